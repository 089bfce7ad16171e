//! Extended attributes: those of the namespace `user.`. All others steer the host's security, or say what its privileged
//! programs keep for themselves.

use uos_proto::v1::{self, XattrFlags};
use uos_vfs::Kind;

use super::workdir::text_and_bytes;
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    events::FileChange,
    perform::Syscall,
    target::{KERNEL, PathTarget, Scope},
};

const NAMESPACE: &[u8] = b"user.";
/// The longest name, and the largest value.
const NAME_BYTES: usize = 255;
const VALUE_BYTES: usize = 64 << 10;

/// The name of an attribute as it was asked for, if it can be one.
fn name_of<'a>(text: &'a str, raw: &'a [u8]) -> Result<&'a [u8], Error> {
    let name = if raw.is_empty() { text.as_bytes() } else { raw };
    if name.is_empty() || name.len() > NAME_BYTES {
        return Err(Error::new(Errno::ERANGE, "the name of an attribute has 1 to 255 bytes"));
    }
    match name.strip_prefix(NAMESPACE) {
        _ if name.contains(&0) => Err(Error::invalid("name", "there is a NUL in it")),
        Some([]) => Err(Error::invalid("name", "`user.` alone is no name")),
        Some(_) => Ok(name),
        None => Err(Error::new(Errno::ENOTSUP, "only attributes of the namespace `user.` are kept")
            .hint("begin the name with `user.`")),
    }
}

impl Syscall for v1::GetXattr {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::GetXattrReply, Error> {
        let name = name_of(&self.name, &self.name_raw)?;
        Ok(v1::GetXattrReply { value: cx.target.node()?.xattr(KERNEL, name)?.into() })
    }
}

impl Syscall for v1::SetXattr {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::SetXattrReply, Error> {
        let name = name_of(&self.name, &self.name_raw)?;
        if self.value.len() > VALUE_BYTES {
            let (len, most) = (self.value.len() as u64, VALUE_BYTES as u64);
            return Err(Error::limit(Errno::E2BIG, "xattr_bytes", len, most));
        }
        let node = cx.target.node()?;
        let set = |how| node.set_xattr(cx.hand(), name, &self.value, how);
        match XattrFlags::try_from(self.flags) {
            Ok(XattrFlags::Unspecified) => set(uos_vfs::SetXattr::Any)?,
            Ok(XattrFlags::Create) => set(uos_vfs::SetXattr::New)?,
            Ok(XattrFlags::Replace) => set(uos_vfs::SetXattr::Replace)?,
            Ok(XattrFlags::Remove) if self.value.is_empty() => node.remove_xattr(cx.hand(), name)?,
            Ok(XattrFlags::Remove) => {
                return Err(Error::invalid("value", "there is none to set when one is taken away"));
            }
            Err(_) => {
                return Err(Error::invalid("flags", format_args!("{} is not an XattrFlags", self.flags)));
            }
        }
        cx.tell_change(FileChange::Attributes, cx.target.path(), node.kind() == Kind::Directory);
        Ok(v1::SetXattrReply {})
    }
}

impl Syscall for v1::ListXattr {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::ListXattrReply, Error> {
        let names = cx.target.node()?.list_xattrs(KERNEL)?;
        let ours = names.iter().filter(|name| name.starts_with(NAMESPACE));
        let named = ours.map(|name| {
            let (name, name_raw) = text_and_bytes(name);
            v1::XattrName { name, name_raw }
        });
        Ok(v1::ListXattrReply { names: named.collect() })
    }
}
