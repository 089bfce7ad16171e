//! Shared memory.

use uos_ipc::{Access, Rights, Sharing};
use uos_proto::v1;

use super::{
    handles::{give_up, keep},
    reply_bytes,
};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    handles::{Handle, Object, SharedSegment, Window},
    perform::Syscall,
    target::{HandleTarget, Scope, System},
};

impl Syscall for v1::CreateShm {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// The host's kernel makes the memory.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::CreateShmReply, Error> {
        let segments = cx.kernel().segments.for_owner(&cx.caller().share.shm_bytes);
        let segment = segments.create(self.size_bytes, Sharing::Writers)?;
        let handle = Handle::new(Object::Segment(SharedSegment::new(&segment)?), Rights::ALL);
        Ok(v1::CreateShmReply { id: keep(&cx, handle)? })
    }
}

impl Syscall for v1::AttachShm {
    type Target = HandleTarget<Window>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        let needs = if self.read_only { Rights::READ } else { Rights::READ | Rights::WRITE };
        window(scope, self.id, needs)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::AttachShmReply, Error> {
        let (stats, _) = cx.target.found.stats()?;
        let access = if self.read_only { Access::ReadOnly } else { Access::ReadWrite };
        with_segment(&cx, self.id, |segment| segment.attach(access))?;
        Ok(v1::AttachShmReply { size_bytes: stats.len_bytes })
    }
}

impl Syscall for v1::DetachShm {
    type Target = HandleTarget<Window>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        window(scope, self.id, Rights::NONE)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::DetachShmReply, Error> {
        match with_segment(&cx, self.id, SharedSegment::detach)? {
            true => Ok(v1::DetachShmReply {}),
            false => Err(Error::new(Errno::EINVAL, "the segment is not attached")),
        }
    }
}

impl Syscall for v1::WriteShm {
    type Target = HandleTarget<Window>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        window(scope, self.id, Rights::WRITE)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::WriteShmReply, Error> {
        cx.target.found.write(self.offset, &self.data)?;
        Ok(v1::WriteShmReply { bytes_written: self.data.len() as u64 })
    }
}

impl Syscall for v1::ReadShm {
    type Target = HandleTarget<Window>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        window(scope, self.id, Rights::READ)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::ReadShmReply, Error> {
        let data = cx.target.found.read(self.offset, reply_bytes(self.length))?;
        Ok(v1::ReadShmReply { data: data.into() })
    }
}

impl Syscall for v1::DestroyShm {
    type Target = HandleTarget<Window>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        window(scope, self.id, Rights::DESTROY)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::DestroyShmReply, Error> {
        cx.target.found.destroy()?;
        give_up(&cx, self.id)?;
        Ok(v1::DestroyShmReply {})
    }
}

impl Syscall for v1::ShmStats {
    type Target = HandleTarget<Window>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        window(scope, self.id, Rights::NONE)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::ShmStatsReply, Error> {
        let (stats, attached) = cx.target.found.stats()?;
        Ok(v1::ShmStatsReply { size_bytes: stats.len_bytes, charged_bytes: stats.charged_bytes, attached })
    }
}

fn window(scope: &Scope<'_>, id: u64, needs: Rights) -> Result<HandleTarget<Window>, Absent> {
    scope.handle(id, needs, |object| match object {
        Object::Segment(segment) => Some(segment.window()),
        _ => None,
    })
}

/// Changes what the caller holds of the segment.
fn with_segment<T, O>(
    cx: &Cx<'_, T>,
    id: u64,
    change: impl FnOnce(&mut SharedSegment) -> O,
) -> Result<O, Error> {
    let changed = cx.caller().handles.with(id, |handle| match &mut handle.object {
        Object::Segment(segment) => Some(change(segment)),
        _ => None,
    });
    changed.flatten().ok_or_else(|| Error::no_handle(id))
}
