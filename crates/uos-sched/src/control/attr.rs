//! How the kernel schedules one thread: the pair of system calls that tell and set all of it at once.
#![expect(unsafe_code, reason = "nobody wraps sched_getattr and sched_setattr")]

use crate::{Class, Nanos, RtPriority};
use rustix::process::{Pid, getpriority_process};
use std::io;
use std::mem::size_of;

const OTHER: u32 = 0;
const FIFO: u32 = 1;
const ROUND_ROBIN: u32 = 2;
const BATCH: u32 = 3;
const IDLE: u32 = 5;
const DEADLINE: u32 = 6;
/// Its children start as ordinary processes.
const RESET_ON_FORK: u64 = 1;

/// The kernel's `struct sched_attr`, in its first form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Attr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// Of the ordinary policies: the slice, where the kernel has such a thing, otherwise 0.
    runtime: u64,
    deadline: u64,
    period: u64,
}

impl Attr {
    /// What is in force for a thread; without an id, for the calling one.
    pub(super) fn of(thread: Option<Pid>) -> io::Result<Attr> {
        let mut attr = Attr::default();
        let size = size_of::<Attr>();
        // SAFETY: the kernel writes at most `size` bytes to the pointer, which is to so many of ours, all of them
        // plain numbers; it keeps neither.
        let told = unsafe {
            libc::syscall(libc::SYS_sched_getattr, number(thread), &raw mut attr, size as u32, 0u32)
        };
        if told != 0 {
            return Err(io::Error::last_os_error());
        }
        attr.size = size as u32;
        attr.flags &= RESET_ON_FORK;
        // The kernel leaves out what doesn't count at the moment, and so would forget it.
        if !attr.is_ordinary() {
            attr.nice = getpriority_process(thread)?;
        }
        Ok(attr)
    }

    /// Puts this in force.
    pub(super) fn set(&self, thread: Option<Pid>) -> io::Result<()> {
        // SAFETY: the kernel reads `size` bytes from the pointer, which are there, and does not keep it.
        let told =
            unsafe { libc::syscall(libc::SYS_sched_setattr, number(thread), std::ptr::from_ref(self), 0u32) };
        if told == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The same in another class. A slice counts in the ordinary ones; without one of its own a thread has what it
    /// had, or the kernel's.
    pub(super) fn in_class(self, class: &Class, slice: Option<Nanos>) -> Attr {
        let plain = Attr { priority: 0, runtime: 0, deadline: 0, period: 0, ..self };
        let own = if self.is_ordinary() { self.runtime } else { 0 };
        let runtime = slice.map_or(own, |slice| slice.0);
        let rt = |policy, priority: &RtPriority| Attr { policy, priority: priority.get().into(), ..plain };
        match class {
            Class::Normal => Attr { policy: OTHER, runtime, ..plain },
            Class::Batch => Attr { policy: BATCH, runtime, ..plain },
            Class::Idle => Attr { policy: IDLE, runtime, ..plain },
            Class::Fifo(priority) => rt(FIFO, priority),
            Class::RoundRobin(priority) => rt(ROUND_ROBIN, priority),
            // The kernel forbids a thread to have children in this class.
            Class::Deadline(reservation) => Attr {
                policy: DEADLINE,
                flags: RESET_ON_FORK,
                runtime: reservation.runtime().0,
                deadline: reservation.deadline().0,
                period: reservation.period().0,
                ..plain
            },
        }
    }

    /// The same with another nice value.
    pub(super) fn with_nice(self, nice: i32) -> Attr {
        Attr { nice, ..self }
    }

    /// The same with a reservation too small to count. Some kernels (6.18 is one) keep what a sleeping thread had reserved
    /// when it leaves the class, until nothing can be promised any more; what it changes to within the class they count
    /// right.
    pub(super) fn with_next_to_nothing(self) -> Attr {
        // The shortest runtime and the longest period that the kernel takes: a fortieth of a millionth.
        let (runtime, period) = (1 << 10, (1 << 22) * 1_000);
        Attr { runtime, deadline: period, period, ..self }
    }

    /// Whether it reserves CPU time.
    pub(super) fn is_deadline(&self) -> bool {
        self.policy == DEADLINE
    }

    /// Whether a slice and a nice value count.
    fn is_ordinary(&self) -> bool {
        matches!(self.policy, OTHER | BATCH | IDLE)
    }
}

/// 0 is the calling thread.
fn number(thread: Option<Pid>) -> libc::pid_t {
    thread.map_or(0, |thread| thread.as_raw_nonzero().get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reservation;

    #[test]
    fn classes_are_the_kernels_policies_and_back_again() {
        let before = Attr { nice: 7, runtime: 3_000_000, ..Attr::default() };
        let slice = |ms| Some(Nanos::from_millis(ms));
        assert_eq!(before.in_class(&Class::Normal, None), before);
        assert_eq!(
            before.in_class(&Class::Batch, slice(1)),
            Attr { policy: BATCH, runtime: 1_000_000, ..before }
        );
        let fifo = before.in_class(&Class::Fifo(RtPriority::new(9).unwrap()), None);
        assert_eq!((fifo.policy, fifo.priority, fifo.nice, fifo.runtime), (FIFO, 9, 7, 0));
        let [runtime, deadline, period] = [1, 5, 10].map(Nanos::from_millis);
        let reservation = Reservation::new(runtime, deadline, period).unwrap();
        let reserved = before.in_class(&Class::Deadline(reservation), None);
        assert_eq!(
            (reserved.runtime, reserved.deadline, reserved.period),
            (1_000_000, 5_000_000, 10_000_000)
        );
        assert_eq!(reserved.in_class(&Class::Idle, None).runtime, 0, "a reservation is no slice");
    }

    #[test]
    fn a_thread_is_asked_and_told() {
        let thread = std::thread::spawn(|| {
            let before = Attr::of(None).unwrap();
            let batch = before.in_class(&Class::Batch, None);
            batch.set(None).unwrap();
            assert_eq!(Attr::of(None).unwrap(), batch);
            before.set(None).unwrap();
            assert_eq!(Attr::of(None).unwrap(), before);
        });
        thread.join().unwrap();
        assert_eq!(Attr::of(Pid::from_raw(i32::MAX)).unwrap_err().raw_os_error(), Some(libc::ESRCH));
    }
}
