//! Advisory locks on open files, by process.

use uos_ipc::Rights;
use uos_proto::v1;
use uos_vfs::lock::{LockKind, LockOwner, LockRange};

use super::{
    open_files::{FileTarget, file},
    within,
};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    perform::{Syscall, Waiting},
    target::Scope,
};

impl Waiting for v1::Lock {
    type Target = FileTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<FileTarget, Absent> {
        file(scope, self.id, if self.shared { Rights::READ } else { Rights::WRITE })
    }

    async fn run(&self, cx: Cx<'_, FileTarget>) -> Result<v1::LockReply, Error> {
        let range = LockRange::new(self.offset, self.length)?;
        let kind = if self.shared { LockKind::Shared } else { LockKind::Exclusive };
        let owner = LockOwner::Given(cx.caller().pid.0);
        let wait = cx.target.found.descriptor.lock(owner, range, kind);
        match within(self.timeout_us, wait).await {
            Some(locked) => locked?,
            None => return Err(Error::new(Errno::ETIMEDOUT, "somebody else's lock is in the way")),
        }
        // The handle may have been closed, or its holder may have ended, while this waited: then nobody would let go of it.
        if !cx.caller().is_alive() || cx.caller().handles.with(self.id, |_| ()).is_none() {
            cx.kernel().locks.release(owner, cx.target.found.descriptor.node().id());
            return Err(Error::no_handle(self.id));
        }
        Ok(v1::LockReply {})
    }
}

impl Syscall for v1::Unlock {
    type Target = FileTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<FileTarget, Absent> {
        // Giving up is free.
        file(scope, self.id, Rights::NONE).map(FileTarget::without_licence)
    }

    fn run(&self, cx: Cx<'_, &FileTarget>) -> Result<v1::UnlockReply, Error> {
        let range = LockRange::new(self.offset, self.length)?;
        cx.target.found.descriptor.unlock(LockOwner::Given(cx.caller().pid.0), range)?;
        Ok(v1::UnlockReply {})
    }
}
