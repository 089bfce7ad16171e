//! The child between the clone and its program.
//!
//! It runs in the parent's memory while other threads of the parent go on, so it may only make system calls: no
//! allocation, no lock, no panic, nothing that unwinds or drops. It makes those of its [`Life`](super::life::Life)
//! in order. Calls go through `syscall(2)`, whose `errno` is the spawner thread's, which stands still meanwhile and
//! does not look at it afterwards. What went wrong is left in [`Orders::report`], in that same memory.
#![expect(unsafe_code, reason = "raw system calls on memory prepared by the parent; each block says why")]

use std::ffi::{c_int, c_long, c_void};
use std::sync::atomic::{AtomicI32, AtomicI64, AtomicUsize, Ordering};

use super::life::{Arg, Op, Then};

/// What the child is to do; pointers and numbers only.
pub(super) struct Orders {
    pub(super) ops: *const Op,
    pub(super) count: usize,
    /// Room for every answer that the calls keep.
    pub(super) answers: *const AtomicI64,
    pub(super) report: Report,
    /// A call that is not made, and the errno it fails with instead.
    #[cfg(test)]
    pub(super) fault: Option<(usize, c_int)>,
}

/// The slot through which a child tells why it failed. Atomics, because the writer is another process as far as
/// the compiler can know.
#[derive(Default)]
pub(super) struct Report {
    /// One more than the place of the call that failed; zero is "none".
    place: AtomicUsize,
    errno: AtomicI32,
}

impl Report {
    /// The place of the call that failed, and its errno, if the child failed.
    pub(super) fn read(&self) -> Option<(usize, c_int)> {
        let place = self.place.load(Ordering::Acquire).checked_sub(1)?;
        Some((place, self.errno.load(Ordering::Relaxed)))
    }

    fn write(&self, place: usize, errno: c_int) {
        self.errno.store(errno, Ordering::Relaxed);
        self.place.store(place + 1, Ordering::Release);
    }
}

/// Where a child begins. `orders` is a valid [`Orders`] for as long as the child shares the parent's memory.
/// Returns only by exiting.
pub(super) extern "C" fn enter(orders: *mut c_void) -> c_int {
    // SAFETY: the caller passes a valid Orders and stands still until this process executes or exits.
    let orders = unsafe { &*orders.cast_const().cast::<Orders>() };
    make(orders);
    loop {
        // SAFETY: exit_group takes an integer, and ends this process and no thread of the parent.
        unsafe { libc::syscall(libc::SYS_exit_group, 127) };
    }
}

/// Makes all calls. Returns after one that failed; the last one executes a program and then does not return.
fn make(orders: &Orders) {
    let mut place = 0;
    while place < orders.count {
        // SAFETY: the parent gave the address and the number of its calls, and keeps them.
        let op = unsafe { &*orders.ops.add(place) };
        let answer = call(orders, op, place);
        match (answer, op.then) {
            (Ok(_), Then::Forget | Then::Tolerate(_)) => {}
            (Ok(answer), Then::Keep(slot) | Then::KeepOrSkip(slot, ..)) => {
                // SAFETY: the parent made room for every answer its calls keep.
                unsafe { &*orders.answers.add(slot) }.store(answer, Ordering::Relaxed);
            }
            (Ok(answer), Then::MustBe(wanted)) if answer == wanted => {}
            (Ok(_), Then::MustBe(_)) => {
                orders.report.write(place, libc::ESRCH);
                return;
            }
            (Err(errno), Then::Tolerate(tolerated)) if tolerated.contains(&errno) => {}
            (Err(errno), Then::KeepOrSkip(_, tolerated, skipped)) if errno == tolerated => place += skipped,
            (Err(errno), _) => {
                orders.report.write(place, errno);
                return;
            }
        }
        place += 1;
    }
}

#[cfg_attr(not(test), expect(unused_variables, reason = "tests have calls fail by their place"))]
fn call(orders: &Orders, op: &Op, place: usize) -> Result<c_long, c_int> {
    #[cfg(test)]
    if let Some((at, errno)) = orders.fault
        && at == place
    {
        return Err(errno);
    }
    let mut a = [0; 5];
    let mut n = 0;
    while n < 5 {
        a[n] = match op.args[n] {
            Arg::Is(number) => number,
            // SAFETY: the parent made room for every answer its calls refer to.
            Arg::Answer(slot) => unsafe { &*orders.answers.add(slot) }.load(Ordering::Relaxed),
        };
        n += 1;
    }
    // SAFETY: the life passes what each call documents; its pointers lead into memory it owns.
    let answer = unsafe { libc::syscall(op.number, a[0], a[1], a[2], a[3], a[4]) };
    if answer == -1 { Err(errno()) } else { Ok(answer) }
}

fn errno() -> c_int {
    // SAFETY: errno of the thread whose place this process has taken.
    unsafe { *libc::__errno_location() }
}
