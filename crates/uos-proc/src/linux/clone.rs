//! Making a process that shares our memory until it executes.
//!
//! A fork copies the page tables of the parent, which for a server of a gigabyte takes tens of milliseconds.
//! With `CLONE_VM | CLONE_VFORK` nothing is copied: the child runs in our memory, on a stack of its own, while the
//! calling thread is held still by the kernel, until the child executes or exits.
#![expect(unsafe_code, reason = "mapping a stack and cloning onto it; each block says why it is sound")]

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicBool;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::cgroup::Birthplace;
use super::child::{Orders, Report, enter};
use super::clone3::{Entry, clone_into};
use super::key::Key;
use super::life::Life;
use super::prepare::Launch;
use super::reap::{Ending, Leader};
use super::sys;
use crate::{SpawnError, Stage};

/// Enough for the child's few small frames many times over, also without optimisation.
const STACK_LEN: usize = 64 * 1024;
/// A multiple of every page size in use.
const GUARD_LEN: usize = 64 * 1024;

/// The stack children run on until they execute, one after the other.
pub(super) struct Stack {
    base: NonNull<c_void>,
}

// SAFETY: the pointers of a life lead into memory it owns or that lives for ever, so they are good on any thread.
unsafe impl Send for Life {}

// SAFETY: the mapping belongs to this value alone and may be used and unmapped by any thread.
unsafe impl Send for Stack {}

impl Stack {
    /// Maps a stack whose lowest part faults, so that an overflow is a dead child and not a corrupted parent.
    pub(super) fn map() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh anonymous mapping wherever the kernel likes touches no existing memory.
        let base = unsafe { libc::mmap(ptr::null_mut(), GUARD_LEN + STACK_LEN, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Stack { base: NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)? };
        // SAFETY: the guard lies inside the mapping just made, which nobody uses yet.
        if unsafe { libc::mprotect(base, GUARD_LEN, libc::PROT_NONE) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// One past its highest byte, where a stack begins; aligned to a page.
    fn top(&self) -> *mut c_void {
        // SAFETY: one past the end of the mapping is still within what `add` may compute.
        unsafe { self.base.as_ptr().add(GUARD_LEN + STACK_LEN) }
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, whole, and no child runs on it: every child is gone from our memory before
        // the call that made it returns.
        unsafe { libc::munmap(self.base.as_ptr(), GUARD_LEN + STACK_LEN) };
    }
}

/// Makes a child that lives the life of `launch`. The stack is exclusively the caller's: one thread, one child
/// at a time. `key` is that of the filter which the thread has loaded. What is left of the life is for whoever has time to
/// drop it.
pub(super) fn clone_and_exec(stack: &Stack, launch: Launch, key: &Key) -> (Result<Leader, SpawnError>, Life) {
    let Launch { mut life, on_exit, sandbox, group, terminal, .. } = launch;
    let answers = life.answers();
    let mut orders = Orders {
        ops: life.ops.as_ptr(),
        count: life.ops.len(),
        first: 0,
        answers: answers.as_ptr(),
        report: Report::default(),
        #[cfg(test)]
        fault: launch.fault,
    };

    let birthplace = life.birthplace.take();
    // Then the call is made after all.
    #[cfg(test)]
    let birthplace = birthplace.filter(|_| launch.fault.is_none_or(|(place, _)| place != 0));
    let flags = launch.flags | libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    let mask = block_all_signals();
    // SAFETY: the pointers of the orders lead into `life` and `answers`, both of which are there to the end of this.
    // The stack is exclusively the caller's. Signals are blocked.
    let made = unsafe { make(stack, flags, &mut orders, birthplace.as_ref().map(|place| (place, key))) };
    restore_signals(mask);

    let stage_failed = |stage, errno| SpawnError::Stage { stage, errno };
    let (pid, pidfd) = match made {
        Ok(made) => made,
        Err(errno) => return (Err(stage_failed(Stage::Clone, errno)), life),
    };
    let failure = orders.report.read().map(|(place, errno)| stage_failed(life.stage_of(place), errno));
    // The life holds our copies of the child's pipe ends. They go first: whoever gets the answer may wait for end
    // of file.
    life.hang_up();
    if let Some(failure) = failure {
        collect(&pidfd);
        return (Err(failure), life);
    }
    let killed = AtomicBool::new(false);
    let leader = Leader {
        pid,
        pidfd,
        on_exit,
        sandbox,
        group,
        killed,
        terminal,
        ending: Ending::default(),
        ends_with_thread: true,
        spawner_peak_kib: sys::own_peak_kib(),
    };
    (Ok(leader), life)
}

/// Makes the process: in its control group, if it can be, or else where this one is, and then it joins.
///
/// # Safety
///
/// What the orders point to is good until this returns, the stack is used by nobody else, and signals are blocked, so
/// that no handler of ours runs in the child.
unsafe fn make(
    stack: &Stack,
    flags: c_int,
    orders: &mut Orders,
    birthplace: Option<(&Birthplace, &Key)>,
) -> Result<(Pid, OwnedFd), c_int> {
    let mut pidfd: c_int = -1;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
    let made = |pid, pidfd| (pid, unsafe { OwnedFd::from_raw_fd(pidfd) });
    if let Some((birthplace, key)) = birthplace {
        orders.first = 1;
        let child = (enter as Entry, ptr::from_mut(orders).cast());
        let room = (stack.top(), STACK_LEN);
        // SAFETY: `enter` gets what it documents, because CLONE_VFORK holds this thread until the child has left our
        // memory. The stack is mapped and large enough, and ends with a page.
        let answer = unsafe { clone_into(birthplace.as_fd(), flags, room, child, &raw mut pidfd, key) };
        match answer.and_then(|pid| Pid::from_raw(pid).ok_or(libc::EIO)) {
            Ok(pid) => {
                let (pid, pidfd) = made(pid, pidfd);
                if orders.report.has_begun() {
                    birthplace.succeeded();
                    return Ok((pid, pidfd));
                }
                collect(&pidfd);
                birthplace.was_stillborn();
            }
            Err(errno) => birthplace.refused(errno),
        }
        orders.first = 0;
    }
    let arg = ptr::from_mut(orders).cast::<c_void>();
    // SAFETY: as above. The pidfd is written before the call returns.
    let pid = unsafe { libc::clone(enter, stack.top(), flags | libc::SIGCHLD, arg, &raw mut pidfd) };
    if pid <= 0 {
        return Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN));
    }
    Pid::from_raw(pid).map(|pid| made(pid, pidfd)).ok_or(libc::EAGAIN)
}

/// Collects a child that has left our memory by exiting, which takes no noticeable time.
fn collect(pidfd: &OwnedFd) {
    let exited = || waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
    while let Err(rustix::io::Errno::INTR) = exited() {}
}

/// Blocks every signal for this thread and returns the mask before. Not by the C library, which leaves out two
/// signals of its own: their handlers would run in the child as well.
fn block_all_signals() -> u64 {
    set_signal_mask(u64::MAX)
}

fn restore_signals(mask: u64) {
    set_signal_mask(mask);
}

fn set_signal_mask(mask: u64) -> u64 {
    let mut before = 0u64;
    // SAFETY: both pointers are to masks of the size given, and valid for the call.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, &raw mut before, 8);
    }
    before
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::{Bounds, Groups, Joining};
    use super::super::life::{Arg, Op};
    use super::super::steps::Place;
    use super::*;
    use crate::{Guarantee, Isolation, Level, LinuxSpawner, Spec};

    /// A life whose first call, the one that joins a group, fails.
    fn life(birthplace: Option<Birthplace>) -> Life {
        let mut life = Life::default();
        life.join(Joining { birthplace, files: Vec::new() });
        life.call(libc::SYS_write, [(-1).into(), Life::fixed(c"0"), 1.into()]);
        life.execute(Place::Path(c"/bin/true".to_owned()), vec![c"true".to_owned()], Vec::new());
        life
    }

    fn start(life: Life) -> Result<bool, SpawnError> {
        let (made, _life) = clone_and_exec(&Stack::map().unwrap(), Launch::of(life), &Key::NONE);
        let leader = made?;
        leader.block_until_exit();
        Ok(leader.reap().unwrap().cause.success())
    }

    #[test]
    fn who_is_made_in_a_group_need_not_join_it() {
        let groups = Groups::of_this_program();
        let lease = groups.lease(&Bounds::default()).unwrap();
        let Joining { birthplace, .. } = lease.group().joining().unwrap();
        assert!(birthplace.is_some(), "this takes control groups of version 2 that can be written to");
        assert_eq!(start(life(birthplace)), Ok(true));
        let failed = SpawnError::Stage { stage: Stage::Group, errno: libc::EBADF };
        assert_eq!(start(life(None)), Err(failed));
    }

    /// A spawner of each kind, and a spec of each level for it.
    fn everywhere(mut act: impl FnMut(&LinuxSpawner, Spec)) {
        let usual = LinuxSpawner::new().unwrap();
        let bare = LinuxSpawner::with_isolation(Isolation::NoNamespaces).unwrap();
        let levels = [Level::Privileged, Level::Minimal, Level::Standard];
        for (spawner, level) in [&usual, &bare].into_iter().flat_map(|it| levels.map(|level| (it, level))) {
            let weak = [Guarantee::FsView, Guarantee::Network, Guarantee::Pids, Guarantee::KillTree];
            let spec = Spec::new("/bin/true").level(level).grouped(true);
            act(spawner, weak.into_iter().fold(spec, Spec::accept));
        }
    }

    /// Also where its thread has loaded a filter that refuses its children to be made so.
    #[test]
    fn at_every_level_a_program_is_made_in_its_cgroup() {
        everywhere(|spawner, spec| {
            let level = spec.level;
            let (mut launch, _streams) = spawner.prepare(spec).unwrap();
            // Who joined it would fail.
            launch.life.ops[0].args[0] = Arg::from(-1);
            let (leader, _queue) = spawner.launch(launch).unwrap();
            leader.block_until_exit();
            assert!(leader.reap().unwrap().cause.success(), "{:?}, {level:?}", spawner.isolation());
        });
    }

    /// They are its spawner's until it has its own.
    #[test]
    fn no_descriptor_is_changed_before_a_child_has_its_own() {
        everywhere(|spawner, spec| {
            let level = spec.level;
            let (launch, _streams) = spawner.prepare(spec).unwrap();
            assert_ne!(launch.flags & libc::CLONE_FILES, 0);
            let (last, unshare) = (i64::from(u32::MAX), i64::from(libc::CLOSE_RANGE_UNSHARE));
            let leaves = |op: &Op| {
                let args = [Arg::from(last), Arg::from(unshare)];
                op.number == libc::SYS_close_range && op.args[1..3] == args
            };
            let place = launch.life.ops.iter().position(leaves).unwrap();
            let before: Vec<_> = launch.life.ops[..place].iter().map(|op| op.number).collect();
            assert!(before.iter().all(|number| *number == libc::SYS_write), "{level:?}: {before:?}");
            assert!(matches!(launch.life.ops[place].args[0], Arg::Is(3..)), "{level:?}");
        });
    }
}
