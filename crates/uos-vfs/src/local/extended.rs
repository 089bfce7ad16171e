//! Extended attributes of a file on the host, of the namespace `user.` alone: the others lend rights or
//! steer the host's own security.

use super::node::LocalNode;
use crate::{Caller, Error, Kind, Reach, Result, SetXattr, Want};
use rustix::fs::{
    Mode, OFlags, XattrFlags, fsync, getxattr, listxattr, openat, removexattr, setxattr, syncfs,
};
use rustix::io::Errno;

/// The largest value Linux lets an attribute have, and the longest list of names.
const LARGEST: usize = 64 * 1024;

impl LocalNode {
    pub(super) fn get_attribute(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        self.check_name(name, Error::NoAttribute)?;
        self.permit(by, Want::READ)?;
        let mut value = vec![0; LARGEST];
        let len = self.by_path(|path| getxattr(path, name, &mut value[..]))?;
        value.truncate(len);
        Ok(value)
    }

    pub(super) fn set_attribute(&self, by: &Caller, name: &[u8], value: &[u8], how: SetXattr) -> Result<()> {
        self.check_name(name, Error::NotPermitted)?;
        self.host.check_writable()?;
        self.permit(by, Want::WRITE)?;
        let flags = match how {
            SetXattr::Any => XattrFlags::empty(),
            SetXattr::New => XattrFlags::CREATE,
            SetXattr::Replace => XattrFlags::REPLACE,
        };
        Ok(self.by_path(|path| setxattr(path, name, value, flags))?)
    }

    pub(super) fn list_attributes(&self, by: &Caller) -> Result<Vec<Vec<u8>>> {
        let _ = by;
        if self.kind == Kind::Symlink {
            return Ok(Vec::new());
        }
        let mut list = vec![0; LARGEST];
        let len = self.by_path(|path| listxattr(path, &mut list[..]))?;
        let names = list[..len].split(|&byte| byte == 0);
        let mut names: Vec<_> = names.filter(|name| name.starts_with(b"user.")).map(<[u8]>::to_vec).collect();
        names.sort();
        Ok(names)
    }

    pub(super) fn remove_attribute(&self, by: &Caller, name: &[u8]) -> Result<()> {
        self.check_name(name, Error::NotPermitted)?;
        self.host.check_writable()?;
        self.permit(by, Want::WRITE)?;
        Ok(self.by_path(|path| removexattr(path, name))?)
    }

    pub(super) fn make_durable(&self, reach: Reach) -> Result<()> {
        // What may not be opened has nothing but its attributes, which the directory's sync takes along.
        if !matches!(self.kind, Kind::File | Kind::Directory) {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let fd = self.again(|dir, name| openat(dir, name, flags, Mode::empty()))?;
        match reach {
            Reach::Node => Ok(fsync(fd)?),
            Reach::FileSystem => Ok(syncfs(fd)?),
        }
    }

    /// `otherwise` is what to say of a node that can have none.
    fn check_name(&self, name: &[u8], otherwise: Error) -> Result<()> {
        check_xattr_name(name)?;
        if !name.starts_with(b"user.") {
            return Err(Error::NotSupported("extended attributes other than `user.`"));
        }
        // As Linux has it: those of others mean nothing, as their modes are not for data.
        if matches!(self.kind, Kind::File | Kind::Directory) { Ok(()) } else { Err(otherwise) }
    }
}

/// Names are what the host could store: not empty, not too long, without NUL.
fn check_xattr_name(name: &[u8]) -> Result<()> {
    match name {
        [] => Err(Errno::RANGE.into()),
        name if name.len() > 255 => Err(Errno::RANGE.into()),
        name if name.contains(&0) => Err(Error::InvalidArgument("a NUL in a name")),
        _ => Ok(()),
    }
}
