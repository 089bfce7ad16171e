//! A child's life between the clone and its program, written down before there is a child.
//!
//! The child runs in its parent's memory and may only make system calls, so its whole life is a list of them with
//! every pointer in place. Each belongs to a [`Stage`], which names it if it fails.

use std::any::Any;
use std::ffi::{CStr, CString, c_int, c_long};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use super::cgroup::Birthplace;
use crate::Stage;

/// An argument of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// A number, or an address in memory that the life owns.
    Is(c_long),
    /// What an earlier call answered.
    Answer(usize),
}

/// What becomes of a call's answer. An errno is a failure unless this says otherwise.
#[derive(Clone, Copy, Debug)]
pub(super) enum Then {
    /// Nothing.
    Forget,
    /// Nothing, and one of these errnos is no failure either.
    Tolerate(&'static [c_int]),
    /// It must be this number; any other is `ESRCH`.
    MustBe(c_long),
    /// It is kept.
    Keep(usize),
    /// It is kept. This errno is no failure, but so many of the calls that follow are left out.
    KeepOrSkip(usize, c_int, usize),
    /// Nothing. This errno tells of something that mostly passes within a moment: the call is made again a few times, with
    /// [`PAUSES`] in between.
    AgainIf(c_int),
}

/// How long a child waits before it makes a call again, in nanoseconds; 13 ms in all. Its thread starts nobody else meanwhile.
pub(super) const PAUSES: [c_long; 8] = {
    let mut pauses = [50_000; 8];
    let mut n = 1;
    while n < pauses.len() {
        pauses[n] = 2 * pauses[n - 1];
        n += 1;
    }
    pauses
};

/// A system call to be made.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) number: c_long,
    pub(super) args: [Arg; 5],
    pub(super) then: Then,
    /// Which of the life's stages it belongs to.
    stage: usize,
}

/// The list of calls, and everything they point to.
#[derive(Default)]
pub(super) struct Life {
    pub(super) ops: Vec<Op>,
    answers: usize,
    stages: Vec<Stage>,
    texts: Vec<CString>,
    words: Vec<Box<[u64]>>,
    fds: Vec<OwnedFd>,
    /// Those that nobody waits for to be closed.
    quiet: Vec<OwnedFd>,
    kept: Vec<Arc<dyn Any + Send + Sync>>,
    /// The numbers of descriptors that the program has beside its streams.
    pub(super) given: Vec<c_int>,
    /// The highest number of a descriptor that calls use behind the one that leaves the parent's descriptors.
    highest_fd: c_int,
    /// The place of that one.
    leaves_fds: Option<usize>,
    /// The control group that the child is made in, if it can be. Then its first call, which joins it, is left out.
    pub(super) birthplace: Option<Birthplace>,
}

impl Life {
    /// Begins a stage: the calls that follow belong to it.
    pub(super) fn stage(&mut self, stage: Stage) {
        self.stages.push(stage);
    }

    /// The stage of the call at `place`.
    pub(super) fn stage_of(&self, place: usize) -> Stage {
        self.ops.get(place).and_then(|op| self.stages.get(op.stage)).cloned().unwrap_or(Stage::Clone)
    }

    /// A call whose answer does not matter.
    pub(super) fn call<const N: usize>(&mut self, number: c_long, args: [Arg; N]) {
        self.push(number, args, Then::Forget);
    }

    /// A call that may fail in these ways.
    pub(super) fn try_call<const N: usize>(
        &mut self,
        tolerated: &'static [c_int],
        number: c_long,
        args: [Arg; N],
    ) {
        self.push(number, args, Then::Tolerate(tolerated));
    }

    /// A call whose answer is used later.
    pub(super) fn keep<const N: usize>(&mut self, number: c_long, args: [Arg; N]) -> Arg {
        let place = self.answers;
        self.answers += 1;
        self.push(number, args, Then::Keep(place));
        Arg::Answer(place)
    }

    /// A call whose answer is used later. If it fails with `errno`, the next `skipped` calls are left out.
    pub(super) fn keep_unless<const N: usize>(
        &mut self,
        errno: c_int,
        skipped: usize,
        number: c_long,
        args: [Arg; N],
    ) -> Arg {
        let place = self.answers;
        self.answers += 1;
        self.push(number, args, Then::KeepOrSkip(place, errno, skipped));
        Arg::Answer(place)
    }

    /// A call, and what becomes of its answer.
    pub(super) fn push<const N: usize>(&mut self, number: c_long, args: [Arg; N], then: Then) {
        let mut all = [Arg::Is(0); 5];
        all[..N].copy_from_slice(&args);
        let stage = self.stages.len().saturating_sub(1);
        self.ops.push(Op { number, args: all, then, stage });
    }

    /// Has a string owned, and gives its address.
    pub(super) fn text(&mut self, text: impl Into<CString>) -> Arg {
        let text = text.into();
        let address = text.as_ptr() as c_long;
        self.texts.push(text);
        Arg::Is(address)
    }

    /// A string that lives for ever.
    pub(super) fn fixed(text: &'static CStr) -> Arg {
        Arg::Is(text.as_ptr() as c_long)
    }

    /// Has memory owned, and gives its address. Most structures of the kernel are lists of 64-bit words.
    pub(super) fn words(&mut self, words: impl Into<Box<[u64]>>) -> Arg {
        let mut words = words.into();
        let address = words.as_mut_ptr() as c_long;
        self.words.push(words);
        Arg::Is(address)
    }

    /// Has a null-terminated list of strings owned, and gives its address.
    pub(super) fn list(&mut self, texts: Vec<CString>) -> Arg {
        let addresses: Vec<u64> = texts.iter().map(|text| text.as_ptr() as u64).chain([0]).collect();
        self.texts.extend(texts);
        self.words(addresses)
    }

    /// Has the child begin among the descriptors of its parent, and from here on have copies of its own: of those that it may
    /// use, and of what has a lower number. To copy one and close it again takes a third of a microsecond, and there may be
    /// many. Nothing that changes a descriptor may come before.
    pub(super) fn leave_descriptors(&mut self) {
        self.stage(Stage::Fds);
        self.leaves_fds = Some(self.ops.len());
        let unshare = Arg::Is(libc::CLOSE_RANGE_UNSHARE.into());
        self.call(libc::SYS_close_range, [Arg::Is(0), Arg::Is(u32::MAX.into()), unshare]);
    }

    /// Whether it begins among the descriptors of its parent. From where on they are left is settled by now.
    pub(super) fn shares_descriptors(&mut self) -> bool {
        if let Some(op) = self.leaves_fds.and_then(|place| self.ops.get_mut(place)) {
            // The streams are there in any case.
            op.args[0] = Arg::from(self.highest_fd.max(2) + 1);
        }
        self.leaves_fds.is_some()
    }

    /// Says that a descriptor that something else owns is used.
    pub(super) fn uses_fd(&mut self, number: c_int) -> Arg {
        self.highest_fd = self.highest_fd.max(number);
        Arg::from(number)
    }

    /// Has a descriptor owned that is used before those of the parent are left, and gives its number.
    pub(super) fn early_fd(&mut self, fd: OwnedFd) -> Arg {
        let number = fd.as_raw_fd();
        self.quiet.push(fd);
        Arg::from(number)
    }

    /// Has a descriptor owned, and gives its number.
    pub(super) fn fd(&mut self, fd: OwnedFd) -> Arg {
        let number = self.uses_fd(fd.as_raw_fd());
        self.fds.push(fd);
        number
    }

    /// The same for one that was opened for this life alone, and that nobody is at the other end of.
    pub(super) fn quiet_fd(&mut self, fd: OwnedFd) -> Arg {
        let number = self.uses_fd(fd.as_raw_fd());
        self.quiet.push(fd);
        number
    }

    /// Closes what somebody may wait for to be closed. The child must be out of our memory, or not be there yet.
    pub(super) fn hang_up(&mut self) {
        self.fds.clear();
    }

    /// Keeps what calls point to, and others do too.
    pub(super) fn keep_alive(&mut self, value: Arc<dyn Any + Send + Sync>) {
        self.kept.push(value);
    }

    /// How many calls are made if each succeeds.
    #[cfg(test)]
    pub(super) fn calls(&self) -> usize {
        let executes = |op: &Op| [libc::SYS_execve, libc::SYS_execveat].contains(&op.number);
        self.ops.iter().position(executes).map_or(self.ops.len(), |place| place + 1)
    }

    /// Room for what the calls answer.
    pub(super) fn answers(&self) -> Vec<AtomicI64> {
        (0..self.answers).map(|_| AtomicI64::new(-1)).collect()
    }
}

impl From<c_long> for Arg {
    fn from(number: c_long) -> Self {
        Arg::Is(number)
    }
}

impl From<c_int> for Arg {
    fn from(number: c_int) -> Self {
        Arg::Is(number.into())
    }
}
