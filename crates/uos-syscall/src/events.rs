//! What the kernel tells of itself while it runs: processes that start and end, files that calls change.
//!
//! An observer is told on the thread that did it, after it was done, and never under a lock of the kernel. That keeps the
//! order per process without a queue between: whoever starts a process tells so, and an end that comes meanwhile is told
//! by the same hand afterwards.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use uos_proto::Right;
use uos_vfs::VPath;

use crate::{
    Pid,
    admit::Cx,
    asking::{RightRequest, Settled},
    kernel::{Caller, Inner, Kernel},
    pressure::Area,
    process::Process,
};

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A process has been made. Told once for each, before its end.
    ProcessStarted {
        /// Which.
        pid: Pid,
        /// Who made it; 0 for process 1.
        parent: Pid,
        /// Its name, for people.
        name: String,
    },
    /// A process has ended altogether, its program included. Told once for each; process 1 doesn't end.
    ProcessEnded {
        /// Which.
        pid: Pid,
        /// Whose child it was in the end.
        parent: Pid,
        /// Its name, for people.
        name: String,
    },
    /// A call has changed what a name stands for, or what a file holds or says of itself.
    FileChanged {
        /// How.
        change: FileChange,
        /// The canonical path.
        path: VPath,
        /// It is a directory.
        directory: bool,
        /// Who did it.
        by: Pid,
    },
    /// Something that is limited is nearly used up, or no longer. Looked at now and then, so what passes in between is not
    /// told of.
    Pressure {
        /// What.
        area: Area,
        /// How much of it was in use at that look: bytes, but for handles.
        used: u64,
        /// How much there is.
        capacity: u64,
        /// It is nearly used up: nine tenths. Otherwise it was, and is below three quarters.
        is_high: bool,
    },
    /// A call waits for somebody to allow it ([`Kernel::answer_request`]).
    RightRequested(Arc<RightRequest>),
    /// It waits no longer. Told once for each, after it.
    RightSettled {
        /// What was asked.
        request: Arc<RightRequest>,
        /// What became of it.
        settled: Settled,
    },
}

/// How a file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChange {
    /// It is new.
    Created,
    /// It was there and has new content.
    Written,
    /// Its permission bits, owner, times or extended attributes are others.
    Attributes,
    /// It is gone.
    Removed,
    /// It has another name. What had that name before is gone, unless the two were exchanged: then both moves are told.
    Moved {
        /// The canonical path it has now.
        to: VPath,
    },
}

/// Somebody who is told of every event.
pub trait Observer: Send + Sync + 'static {
    /// Something has happened. Called on the thread that did it, from many at once, so it must be quick and must not call
    /// the kernel back; what takes time belongs behind a queue of the observer's own.
    fn event(&self, event: &Event);
}

/// What observers have been told of one thing that begins and ends, so that each of two events is told once and in order, by whichever
/// hand comes second.
#[derive(Default)]
pub(crate) struct Told(AtomicU8);

impl Told {
    const START: u8 = 1;
    const ENDED: u8 = 2;

    /// Its start has been told. Says whether it has ended meanwhile, which is now to be told too.
    pub(crate) fn start(&self) -> bool {
        self.0.fetch_or(Self::START, Ordering::AcqRel) & Self::ENDED != 0
    }

    /// It has ended. Says whether that is to be told now; otherwise whoever tells its start does.
    pub(crate) fn end(&self) -> bool {
        self.0.fetch_or(Self::ENDED, Ordering::AcqRel) == Self::START
    }
}

impl Inner {
    pub(crate) fn tell(&self, event: impl FnOnce() -> Event) {
        if !self.observers.is_empty() {
            let event = event();
            self.observers.iter().for_each(|observer| observer.event(&event));
        }
    }

    /// Tells of a process that has joined the table, once.
    pub(crate) fn tell_start(&self, process: &Process) {
        self.tell(|| Event::ProcessStarted {
            pid: process.pid,
            parent: process.maker,
            name: process.name.clone(),
        });
        if process.told.start() {
            self.tell_end_now(process);
        }
    }

    /// Tells of a process that has been retired, once.
    pub(crate) fn tell_end(&self, process: &Process) {
        if process.told.end() {
            self.tell_end_now(process);
        }
    }

    fn tell_end_now(&self, process: &Process) {
        self.tell(|| Event::ProcessEnded {
            pid: process.pid,
            parent: process.parent().map_or(Pid(0), |parent| parent.pid),
            name: process.name.clone(),
        });
    }

    pub(crate) fn tell_change(&self, by: Pid, change: FileChange, path: &VPath, directory: bool) {
        self.watches.tell(&change, path, directory, by);
        self.tell(|| Event::FileChanged { change, path: path.clone(), directory, by });
    }
}

impl<T> Cx<'_, T> {
    /// Tells of a change that this call has made.
    pub(crate) fn tell_change(&self, change: FileChange, path: &VPath, directory: bool) {
        self.kernel().tell_change(self.caller().pid, change, path, directory);
    }
}

impl Kernel {
    /// Whether a caller may hear of a process: itself, a descendant, or any with `proc.inspect`. Also right for a process
    /// that has just ended, whose record may be gone already. A caller that has ended may hear of nothing.
    pub fn may_inspect(&self, caller: &Caller, pid: Pid) -> bool {
        caller.0.is_alive()
            && (pid == caller.0.pid
                || caller.0.grants().any(Right::ProcInspect).is_some()
                || self.0.processes.is_kin(&caller.0, pid))
    }

    /// Whether a caller may read at a canonical path. A caller that has ended may read nothing.
    pub fn may_read(&self, caller: &Caller, path: &VPath) -> bool {
        caller.0.is_alive() && caller.0.grants().for_path(Right::FsRead, path.as_bytes()).is_some()
    }
}
