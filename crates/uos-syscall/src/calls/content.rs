//! What a file holds, changed otherwise than as a whole.

use uos_proto::v1;
use uos_vfs::{Kind, SetAttr};

use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    events::FileChange,
    perform::Syscall,
    target::{KERNEL, PathTarget, Scope},
};

impl Syscall for v1::TruncateFile {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, PathTarget>) -> Result<v1::TruncateFileReply, Error> {
        let node = cx.target.node()?;
        if node.kind() == Kind::Directory {
            return Err(Errno::EISDIR.into());
        }
        node.set_attr(KERNEL, &SetAttr { size: Some(self.size_bytes), ..SetAttr::default() })?;
        cx.tell_change(FileChange::Written, cx.target.path(), false);
        Ok(v1::TruncateFileReply {})
    }
}
