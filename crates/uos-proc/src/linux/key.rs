//! A secret between a thread and the filter that it has loaded.
//!
//! A filter sees the registers of a call, also those that the call does not read. So one that a thread shares with its
//! children can let a call through for the thread alone: for whoever puts a key there that was made for this filter.
//!
//! Its children never learn it. They are in our memory until they execute and run nothing but our code there; after that
//! they have another memory, and registers of zeroes. What shows a filter (`PTRACE_SECCOMP_GET_FILTER`) takes rights over the
//! machine, and what shows the registers or the memory of the thread (`/proc/PID/syscall`, `/proc/PID/mem`, tracing) a
//! child is denied by Landlock, whoever it runs as and whatever files it was granted: its rules hold before its program
//! begins, and let it look only into who is held by the same ones. Who could look there otherwise, a program in no sandbox
//! that belongs to the same user, is held by no filter. The comparison takes as long for every wrong key (`seccomp`).

use std::fmt;

use rustix::rand::{GetRandomFlags, getrandom};

/// What four registers hold.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key([u64; 4]);

impl Key {
    /// For who has loaded no filter that asks for one.
    pub(super) const NONE: Key = Key([0; 4]);

    /// One that nobody can guess, or `None` where there is no randomness.
    pub(super) fn new() -> Option<Self> {
        let mut words = [0; 4];
        for word in &mut words {
            let mut bytes = [0; 8];
            let given = getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
            *word = (given == bytes.len()).then_some(u64::from_ne_bytes(bytes))?;
        }
        Some(Key(words))
    }

    pub(super) fn words(&self) -> [u64; 4] {
        self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_never_the_same_and_never_told() {
        let (one, other) = (Key::new().unwrap(), Key::new().unwrap());
        assert!(one != other && one != Key::NONE);
        assert!(one.words().iter().all(|word| *word != 0), "a register of it was left out");
        assert_eq!(format!("{one:?} {one:#?}"), "Key Key");
    }
}
