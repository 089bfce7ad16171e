//! The child between the clone and its program.
//!
//! It runs in the parent's memory while other threads of the parent go on, so it may only make system calls: no
//! allocation, no lock, no panic, nothing that unwinds or drops. It makes those of its [`Life`](super::life::Life)
//! in order. Calls go through `syscall(2)`, whose `errno` is the spawner thread's, which stands still meanwhile and
//! does not look at it afterwards. What went wrong is left in [`Orders::report`], in that same memory.
#![expect(unsafe_code, reason = "raw system calls on memory prepared by the parent; each block says why")]

use std::ffi::{c_int, c_long, c_void};
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicUsize, Ordering};

use super::life::{Arg, Life, Op, PAUSES, Then};
use crate::SpawnError;

/// What the child is to do; pointers and numbers only.
pub(super) struct Orders {
    pub(super) ops: *const Op,
    pub(super) count: usize,
    /// The place of the first call to be made.
    pub(super) first: usize,
    /// Room for every answer that the calls keep.
    pub(super) answers: *const AtomicI64,
    pub(super) report: Report,
    /// A call that is not made the first time, and the errno it fails with instead.
    #[cfg(test)]
    pub(super) fault: Option<(usize, c_int)>,
}

/// The slots through which a child tells why it failed. Atomics, because the writer is another process as far as
/// the compiler can know.
#[derive(Default)]
pub(super) struct Report {
    /// Whether it has lived at all.
    has_begun: AtomicBool,
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

    /// Whether the child has come as far as its first instruction. Asked when it is out of our memory.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
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
    orders.report.has_begun.store(true, Ordering::Release);
    make(orders);
    loop {
        // SAFETY: exit_group takes an integer, and ends this process and no thread of the parent.
        unsafe { libc::syscall(libc::SYS_exit_group, 127) };
    }
}

/// Makes the calls of a life in the calling thread, which goes on living. Every answer that was kept is taken for a
/// descriptor that this made; all are closed but `wanted`.
pub(super) fn perform(life: &Life, wanted: Option<Arg>) -> Result<Option<OwnedFd>, SpawnError> {
    let answers = life.answers();
    let orders = Orders {
        ops: life.ops.as_ptr(),
        count: life.ops.len(),
        first: 0,
        answers: answers.as_ptr(),
        report: Report::default(),
        #[cfg(test)]
        fault: None,
    };
    make(&orders);
    let closed =
        |slot| life.ops.iter().any(|op| op.number == libc::SYS_close && op.args[0] == Arg::Answer(slot));
    let mut found = None;
    for (slot, answer) in answers.iter().enumerate() {
        let Ok(number @ 0..) = i32::try_from(answer.load(Ordering::Relaxed)) else { continue };
        if closed(slot) {
            continue;
        }
        // SAFETY: a call of this life has made this descriptor, none has closed it, and nobody else knows of it.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        if wanted == Some(Arg::Answer(slot)) {
            found = Some(fd);
        }
    }
    match orders.report.read() {
        Some((place, errno)) => Err(SpawnError::Stage { stage: life.stage_of(place), errno }),
        None => Ok(found),
    }
}

/// Makes all calls. Returns after one that failed; the last one executes a program and then does not return.
fn make(orders: &Orders) {
    let mut place = orders.first;
    let mut again = 0;
    while place < orders.count {
        // SAFETY: the parent gave the address and the number of its calls, and keeps them.
        let op = unsafe { &*orders.ops.add(place) };
        let answer = call(orders, op, (place, again));
        match (answer, op.then) {
            (Ok(_), Then::Forget | Then::Tolerate(_) | Then::AgainIf(_)) => {}
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
            (Err(errno), Then::AgainIf(passing)) if errno == passing && again < PAUSES.len() => {
                pause(PAUSES[again]);
                again += 1;
                continue;
            }
            (Err(errno), _) => {
                orders.report.write(place, errno);
                return;
            }
        }
        place += 1;
    }
}

#[cfg_attr(not(test), expect(unused_variables, reason = "tests have calls fail by their place"))]
fn call(orders: &Orders, op: &Op, place_and_try: (usize, usize)) -> Result<c_long, c_int> {
    #[cfg(test)]
    if let Some((at, errno)) = orders.fault
        && (at, 0) == place_and_try
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

fn pause(nanos: c_long) {
    let length = [0, nanos];
    // SAFETY: seconds and nanoseconds, as the call wants them, and no place for what is left of them.
    unsafe { libc::syscall(libc::SYS_nanosleep, length.as_ptr(), 0) };
}

fn errno() -> c_int {
    // SAFETY: errno of the thread whose place this process has taken.
    unsafe { *libc::__errno_location() }
}
