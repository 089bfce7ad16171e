//! Handles of any kind: closing and duplicating them.

use uos_ipc::Rights;
use uos_proto::v1;

use super::handles::{closed, give_up, keep};
use crate::{
    Error,
    admit::{Absent, Cx},
    handles::{Handle, Object},
    perform::Syscall,
    target::{HandleTarget, Scope, System},
};

/// Whether dropping it may wait for a disk.
fn on_disk(object: &Object) -> bool {
    matches!(object, Object::File(file) if file.descriptor.node().blocks())
}

impl Syscall for v1::Close {
    type Target = HandleTarget<bool>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        let look = |handle: &mut Handle| Ok(on_disk(&handle.object));
        scope.whole_handle(self.id, Rights::NONE, look).map(HandleTarget::without_licence)
    }

    fn blocks(target: &Self::Target) -> bool {
        target.found
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::CloseReply, Error> {
        give_up(&cx, self.id)?;
        Ok(v1::CloseReply {})
    }
}

impl Syscall for v1::CloseRange {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// Files of the host may be among them.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::CloseRangeReply, Error> {
        if self.first > self.last {
            return Err(Error::invalid("first", "above the last"));
        }
        let handles = cx.caller().handles.remove_range(self.first..=self.last);
        let count = handles.len() as u64;
        handles.into_iter().for_each(|handle| closed(&cx, handle));
        Ok(v1::CloseRangeReply { closed: count })
    }
}

impl Syscall for v1::Dup {
    type Target = HandleTarget<Handle>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.whole_handle(self.id, Rights::DUPLICATE, |handle| Ok(handle.share(Rights::ALL)))
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::DupReply, Error> {
        Ok(v1::DupReply { id: keep(&cx, cx.target.found.share(Rights::ALL))? })
    }
}

impl Syscall for v1::Dup2 {
    type Target = HandleTarget<bool>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        let to_disk = scope.whole_handle(self.to_id, Rights::NONE, |handle| Ok(on_disk(&handle.object)))?;
        scope.whole_handle(self.id, Rights::DUPLICATE, |_| Ok(to_disk.found))
    }

    fn blocks(target: &Self::Target) -> bool {
        target.found
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::Dup2Reply, Error> {
        let may = |handle: &Handle| match handle.rights.contains(Rights::DUPLICATE) {
            true => Ok(()),
            false => Err(Error::handle_lacks(self.id, Rights::DUPLICATE)),
        };
        let before = cx.caller().handles.replace(self.id, self.to_id, may)?;
        before.into_iter().for_each(|handle| closed(&cx, handle));
        Ok(v1::Dup2Reply {})
    }
}
