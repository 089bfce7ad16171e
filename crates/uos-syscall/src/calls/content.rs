//! What a file holds, changed at its end.

use uos_proto::v1;
use uos_vfs::{Access, Kind, NodeRef, SetAttr};

use super::files::{bits, changed, name_of};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    events::FileChange,
    perform::Syscall,
    target::{PathTarget, Scope},
};

impl Syscall for v1::TruncateFile {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::TruncateFileReply, Error> {
        let node = cx.target.node()?;
        if node.kind() == Kind::Directory {
            return Err(Errno::EISDIR.into());
        }
        node.set_attr(cx.hand(), &SetAttr { size: Some(self.size_bytes), ..SetAttr::default() })?;
        cx.tell_change(FileChange::Written, cx.target.path(), false);
        Ok(v1::TruncateFileReply {})
    }
}

impl Syscall for v1::AppendFile {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::AppendFileReply, Error> {
        let place = cx.target.place()?;
        match &place.node {
            Some(node) if node.kind() == Kind::Directory => return Err(Errno::EISDIR.into()),
            Some(node) => {
                NodeRef::clone(node).open(cx.hand(), Access::Write)?.append(&self.data)?;
                cx.tell_change(FileChange::Written, &place.path, false);
            }
            None if place.must_be_dir => return Err(Errno::EISDIR.into()),
            None => {
                let (name, mode) = (name_of(&place.path)?, bits(self.mode, 0o644)?);
                let node = place.parent.create(cx.hand(), name, mode).map_err(changed)?;
                let written = node.open(cx.hand(), Access::Write).and_then(|file| file.append(&self.data));
                if let Err(error) = written {
                    // As with WriteFile: the empty file goes again.
                    let _ = place.parent.unlink(cx.hand(), name);
                    return Err(error.into());
                }
                cx.tell_change(FileChange::Created, &place.path, false);
            }
        }
        Ok(v1::AppendFileReply { bytes_written: self.data.len() as u64 })
    }
}
