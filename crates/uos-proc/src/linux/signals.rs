//! Which signals this program ignores or handles, and a child has to set back.
//!
//! Setting back all of them takes 62 calls, a twentieth of a start, and a program changes a handful once in its life.
//! The kernel says which in one read, by whoever asked for the child, while that is on its way. The answer counts at the
//! child's last steps; until there is one, everything is set back. What programs change now and then, or for a moment, is
//! set back in any case: another thread may be doing so right now.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Signals by the bit, the first one's being the lowest: those that may do something else in a child than they do by
/// default. As long as nobody has found out, all of them.
#[derive(Debug)]
pub(super) struct Changed(AtomicU64);

impl Default for Changed {
    fn default() -> Self {
        Changed(AtomicU64::new(u64::MAX))
    }
}

impl Changed {
    /// Whether any of `signals` may be.
    pub(super) fn has_any(&self, signals: u64) -> bool {
        self.0.load(Ordering::Relaxed) & signals != 0
    }
}

/// The signals of this program.
#[derive(Debug)]
pub(super) struct Signals {
    /// The kernel's words on this process; none where it does not tell.
    status: Option<File>,
    /// The usual ones, and those that were ever seen changed. They are set back from then on, whatever becomes of them.
    seen: AtomicU64,
}

/// What programs and their libraries ignore or handle while they run: `system` does so for a moment, runtimes when
/// somebody first waits for one.
const USUAL: [i32; 14] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPIPE,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGCHLD,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGWINCH,
    libc::SIGIO,
];

impl Signals {
    pub(super) fn of_this_program() -> Self {
        let usual = USUAL.iter().fold(0, |bits, signal| bits | 1 << (signal - 1));
        Signals { status: File::open("/proc/self/status").ok(), seen: AtomicU64::new(usual) }
    }

    /// Finds out which are changed now, for a child that is being made.
    pub(super) fn tell(&self, changed: &Changed) {
        let Some(status) = &self.status else { return };
        if let Ok(now) = read(status) {
            let before = self.seen.fetch_or(now, Ordering::Relaxed);
            changed.0.store(before | now, Ordering::Relaxed);
        }
    }
}

/// Signals that are ignored or handled.
fn read(status: &File) -> io::Result<u64> {
    let mut text = [0; 8192];
    let len = status.read_at(&mut text, 0)?;
    parse(&text[..len]).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse(status: &[u8]) -> Option<u64> {
    let field = |name: &[u8]| {
        let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))?;
        u64::from_str_radix(std::str::from_utf8(line).ok()?.trim(), 16).ok()
    };
    Some(field(b"SigIgn:")? | field(b"SigCgt:")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_may_be_changed() {
        let changed = Changed::default();
        assert!((0..64).all(|bit| changed.has_any(1 << bit)));
        let blind = Signals { status: None, seen: AtomicU64::new(0) };
        blind.tell(&changed);
        assert!((0..64).all(|bit| changed.has_any(1 << bit)));
    }

    #[test]
    fn ignored_and_handled_signals_are_both_changed() {
        let text = b"Name:\tSigIgn:\nSigBlk:\tffffffffffffffff\nSigIgn:\t0000000000001000\nSigCgt:\t8000000000000440\nCapInh:\t1\n";
        assert_eq!(parse(text), Some(0x8000_0000_0000_1440));
        for cut in [
            &b""[..],
            b"SigIgn:\t0000000000001000\n",
            b"SigCgt:\t0\nSigIgn:\t\n",
            b"SigIgn:\t1\nSigCgt:\tx\n",
        ] {
            assert_eq!(parse(cut), None);
        }
    }

    /// This program, like every one in Rust, ignores `SIGPIPE`, and handles faults of its stack.
    #[test]
    fn those_of_this_program_are_found() {
        let (signals, changed) = (Signals::of_this_program(), Changed::default());
        signals.tell(&changed);
        let bit = |signal: i32| 1u64 << (signal - 1);
        assert!(changed.has_any(bit(libc::SIGPIPE)) && changed.has_any(bit(libc::SIGSEGV)));
        assert!(changed.has_any(bit(libc::SIGINT)), "somebody may do so just now");
        assert!(!changed.has_any(bit(libc::SIGXFSZ)), "nobody here changes it");
    }
}
