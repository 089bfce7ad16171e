//! Handles: passing them on, making them less, and looking at what one holds.

use std::sync::Arc;

use uos_ipc::Rights;
use uos_proto::{
    Right,
    v1::{self, HandleRight},
};
use uos_vfs::lock::LockOwner;

use super::reply_entries;
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    handles::{Handle, Object},
    perform::Syscall,
    process::Process,
    target::{HandleTarget, Scope, System},
};

/// The contract's rights beside those of the leaf.
const RIGHTS: [(HandleRight, Rights); 5] = [
    (HandleRight::Read, Rights::READ),
    (HandleRight::Write, Rights::WRITE),
    (HandleRight::Duplicate, Rights::DUPLICATE),
    (HandleRight::Transfer, Rights::TRANSFER),
    (HandleRight::Destroy, Rights::DESTROY),
];

fn parse(rights: &[i32]) -> Result<Rights, Error> {
    rights.iter().try_fold(Rights::NONE, |all, &number| {
        let known = RIGHTS.iter().find(|(named, _)| *named as i32 == number);
        known
            .map(|(_, right)| all | *right)
            .ok_or_else(|| Error::invalid("rights", format_args!("{number} is no right of a handle")))
    })
}

fn spell(rights: Rights) -> Vec<i32> {
    RIGHTS.iter().filter(|(_, right)| rights.contains(*right)).map(|(named, _)| *named as i32).collect()
}

/// A handle to pass on, and to whom.
pub(crate) struct Passing {
    handle: Handle,
    to: Option<Arc<Process>>,
}

impl Syscall for v1::PassHandle {
    type Target = HandleTarget<Passing>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        let to = scope
            .visible(self.pid, Right::ProcControl)
            .map(|(process, _)| process)
            .filter(|process| process.is_alive());
        let wanted = |handle: &Handle| match parse(&self.rights) {
            Ok(rights) if rights == Rights::NONE => Ok(handle.share(Rights::ALL)),
            Ok(rights) => Ok(handle.share(rights)),
            Err(error) => Err(error),
        };
        scope.whole_handle(self.id, Rights::TRANSFER, |handle| Ok(Passing { handle: wanted(handle)?, to }))
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::PassHandleReply, Error> {
        let to = cx.target.found.to.as_ref().ok_or_else(|| Error::no_process(self.pid))?;
        // A second one is made for the table: the call may start over, and has this one still.
        to.handles.insert(self.id, cx.target.found.handle.share(Rights::ALL))?;
        let rights = to.handles.with(self.id, |held| held.rights).unwrap_or(Rights::NONE);
        Ok(v1::PassHandleReply { rights: spell(rights) })
    }
}

impl Syscall for v1::RestrictHandle {
    type Target = HandleTarget<()>;

    fn target(&self, scope: &Scope<'_>) -> Result<Self::Target, Absent> {
        // Giving up is free, also what one may not use any more.
        scope.whole_handle(self.id, Rights::NONE, |_| Ok(())).map(HandleTarget::without_licence)
    }

    fn run(&self, cx: Cx<'_, &Self::Target>) -> Result<v1::RestrictHandleReply, Error> {
        let keep = parse(&self.rights)?;
        let restrict = |handle: &mut Handle| (handle.restrict(keep), handle.rights);
        let (spare, left) =
            cx.caller().handles.with(self.id, restrict).ok_or_else(|| Error::no_handle(self.id))?;
        drop(spare);
        Ok(v1::RestrictHandleReply { rights: spell(left) })
    }
}

impl Syscall for v1::ListHandles {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::ListHandlesReply, Error> {
        let say = |id, handle: &Handle| {
            let licence = handle.licence();
            v1::HandleInfo {
                id,
                kind: handle.object.kind() as i32,
                rights: spell(handle.rights),
                opened: licence.as_ref().map(ToString::to_string).unwrap_or_default(),
                revoked: licence.is_some_and(|licence| licence.check(Rights::NONE).is_err()),
            }
        };
        let (handles, more) = cx.caller().handles.after(self.cursor, reply_entries(self.limit), say);
        let next_cursor = handles.last().filter(|_| more).map_or(0, |last| last.id);
        Ok(v1::ListHandlesReply { handles, next_cursor })
    }
}

/// Makes a handle in the caller's own table.
pub(super) fn keep<T>(cx: &Cx<'_, T>, handle: Handle) -> Result<u64, Error> {
    let id = cx.kernel().new_object();
    cx.caller().handles.insert(id, handle).map(|()| id)
}

/// Takes a handle out of the caller's table, and closes it.
pub(super) fn give_up<T>(cx: &Cx<'_, T>, id: u64) -> Result<(), Error> {
    // None if a twin was quicker.
    let handle = cx.caller().handles.remove(id).ok_or_else(|| Error::no_handle(id))?;
    closed(cx, handle);
    Ok(())
}

/// What follows from closing a handle.
pub(super) fn closed<T>(cx: &Cx<'_, T>, handle: Handle) {
    if let Object::File(file) = &handle.object {
        // Whichever handle of the file it was by.
        let owner = LockOwner::Given(cx.caller().pid.0);
        cx.kernel().locks.release(owner, file.descriptor.node().id());
    }
    drop(handle);
}

/// The answer of one who can do nothing more with what is left of an object.
pub(super) fn broken() -> Error {
    Errno::EPIPE.into()
}
