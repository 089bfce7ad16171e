//! New names: of new files and of what is there already.

use uos_proto::v1;

use super::files::{bits, changed, name_of};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    events::FileChange,
    perform::Syscall,
    target::{KERNEL, PathTarget, Scope},
};

impl Syscall for v1::CreateFile {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        // The name must be new, whatever it links to.
        scope.path(&self.path, &self.path_raw, false)
    }

    fn run(&self, cx: Cx<'_, PathTarget>) -> Result<v1::CreateFileReply, Error> {
        let mode = bits(self.mode, 0o644)?;
        let place = cx.target.place()?;
        if place.must_be_dir {
            return Err(Errno::EISDIR.into());
        }
        if place.node.is_some() {
            return Err(Errno::EEXIST.into());
        }
        place.parent.create(KERNEL, name_of(&place.path)?, mode).map_err(changed)?;
        cx.tell_change(FileChange::Created, &place.path, false);
        Ok(v1::CreateFileReply {})
    }
}
