//! Watches of paths.

use uos_ipc::Rights;
use uos_proto::{
    Right,
    v1::{self, WatchChange},
};

use super::{
    handles::{give_up, keep},
    reply_entries, within,
    workdir::both,
};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    events::FileChange,
    handles::{Handle, Licence, Listening, Object, WatchHandle},
    perform::{Syscall, Waiting},
    target::{HandleTarget, PathTarget, Scope},
    watches::Seen,
};

/// How much a watch keeps when nothing is said, and at most.
const CAPACITY: (u64, u64) = (64 << 10, 512 << 10);

impl Syscall for v1::Watch {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::WatchReply, Error> {
        let capacity = match self.capacity_bytes {
            0 => CAPACITY.0,
            bytes if bytes <= CAPACITY.1 => bytes,
            bytes => {
                let why = format_args!("at most {}, not {bytes}", CAPACITY.1);
                return Err(Error::invalid("capacity_bytes", why));
            }
        };
        cx.target.node()?;
        let (caller, path) = (cx.caller(), cx.target.path());
        let room = caller.share.queue_bytes.take(capacity)?;
        let what = (path.clone(), self.recursive);
        let watch = cx.kernel().watches.add(what, cx.asker().leave(), (capacity as usize, room));
        let licence = Licence::path(cx.asker(), vec![Right::FsRead], path.clone());
        let rights = Rights::READ | Rights::DUPLICATE | Rights::TRANSFER;
        let id = keep(&cx, Handle::licensed(Object::Watch(WatchHandle::new(watch)), rights, licence))?;
        let (path, path_raw) = both(path);
        Ok(v1::WatchReply { id, path, path_raw })
    }
}

impl Syscall for v1::Unwatch {
    type Target = HandleTarget<()>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        let found =
            scope.handle(self.id, Rights::NONE, |object| matches!(object, Object::Watch(_)).then_some(()));
        // Giving up is free, also what one may not use any more.
        found.map(HandleTarget::without_licence)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::UnwatchReply, Error> {
        give_up(&cx, self.id)?;
        Ok(v1::UnwatchReply {})
    }
}

impl Waiting for v1::ReadWatch {
    type Target = HandleTarget<Listening>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        scope.handle(self.id, Rights::READ, |object| match object {
            Object::Watch(watch) => Some(watch.listen()),
            _ => None,
        })
    }

    async fn run(&self, cx: Cx<'_, Self::Target>) -> Result<v1::ReadWatchReply, Error> {
        let listening = &cx.target.found;
        match within(self.timeout_us, listening.next(reply_entries(self.max_changes))).await {
            Some(Some((seen, overflow))) => {
                Ok(v1::ReadWatchReply { changes: seen.iter().map(told).collect(), overflow })
            }
            // The handle was closed while the call waited.
            Some(None) => Err(Error::no_handle(self.id)),
            None => Err(Error::new(Errno::ETIMEDOUT, "nothing changed in time")),
        }
    }
}

fn told(seen: &Seen) -> v1::Watched {
    let (change, to) = match &seen.change {
        FileChange::Created => (WatchChange::Created, None),
        FileChange::Written => (WatchChange::Written, None),
        FileChange::Attributes => (WatchChange::Attributes, None),
        FileChange::Removed => (WatchChange::Removed, None),
        FileChange::Moved { to } => (WatchChange::Moved, Some(to)),
    };
    let (path, path_raw) = both(&seen.path);
    let (to, to_raw) = to.map(both).unwrap_or_default();
    v1::Watched {
        change: change.into(),
        path,
        path_raw,
        to,
        to_raw,
        directory: seen.directory,
        pid: seen.by.0,
    }
}
