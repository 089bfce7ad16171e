//! Signals by number and by name.

use std::fmt;
use std::str::FromStr;

/// A signal, 1 to 64. Zero, which only asks whether a process exists, is not one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(i32);

macro_rules! named {
    ($($name:ident = $raw:ident, $what:literal;)*) => {
        impl Signal {
            $(#[doc = $what] pub const $name: Signal = Signal(libc::$raw);)*
        }

        /// Every named signal with its name, without the `SIG`.
        const NAMED: &[(&str, Signal)] = &[$((stringify!($name), Signal::$name)),*];
    };
}

named! {
    HUP = SIGHUP, "The terminal is gone; by custom, reload.";
    INT = SIGINT, "Interrupted from the keyboard.";
    QUIT = SIGQUIT, "Quit from the keyboard, with a core.";
    ILL = SIGILL, "Illegal instruction.";
    TRAP = SIGTRAP, "Breakpoint.";
    ABRT = SIGABRT, "The program gave up.";
    BUS = SIGBUS, "Access to memory that is not there.";
    FPE = SIGFPE, "Arithmetic fault.";
    KILL = SIGKILL, "Killed; cannot be caught.";
    USR1 = SIGUSR1, "The program's own, first.";
    SEGV = SIGSEGV, "Access to memory that is not allowed.";
    USR2 = SIGUSR2, "The program's own, second.";
    PIPE = SIGPIPE, "Wrote to a pipe nobody reads.";
    ALRM = SIGALRM, "The alarm clock.";
    TERM = SIGTERM, "Asked to end.";
    CHLD = SIGCHLD, "A child changed state.";
    CONT = SIGCONT, "Continue after a stop.";
    STOP = SIGSTOP, "Stopped; cannot be caught.";
    TSTP = SIGTSTP, "Stop from the keyboard.";
    TTIN = SIGTTIN, "Read from the terminal in the background.";
    TTOU = SIGTTOU, "Wrote to the terminal in the background.";
    URG = SIGURG, "Urgent data on a socket.";
    XCPU = SIGXCPU, "Used up its processor time.";
    XFSZ = SIGXFSZ, "Wrote past the file size limit.";
    VTALRM = SIGVTALRM, "The alarm clock of processor time.";
    PROF = SIGPROF, "The profiling clock.";
    WINCH = SIGWINCH, "The terminal changed size.";
    IO = SIGIO, "Input or output is possible.";
    SYS = SIGSYS, "A system call that is not allowed.";
}

impl Signal {
    /// The highest signal number.
    pub const MAX: i32 = 64;

    /// The signal with this number, if there is one.
    #[must_use]
    pub fn new(number: i32) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Signal(number))
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }
}

/// `SIGTERM`, or the bare number where there is no name. [`Signal::from_str`] reads both.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMED.iter().find(|(_, signal)| signal == self) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signal({self})")
    }
}

/// This text names no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signal is called {0:?}")]
pub struct ParseSignalError(pub String);

/// Reads `TERM`, `SIGTERM`, `sigterm` and `15`.
impl FromStr for Signal {
    type Err = ParseSignalError;

    fn from_str(text: &str) -> Result<Self, ParseSignalError> {
        let unknown = || ParseSignalError(text.to_owned());
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().ok().and_then(Signal::new).ok_or_else(unknown);
        }
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("SIG").unwrap_or(&upper);
        NAMED.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_from_1_to_64_are_signals() {
        assert_eq!(Signal::new(0), None);
        assert_eq!(Signal::new(1), Some(Signal::HUP));
        assert!(Signal::new(64).is_some());
        assert_eq!(Signal::new(65), None);
        assert_eq!(Signal::new(-9), None);
    }

    #[test]
    fn names_and_numbers_are_read() {
        for text in ["TERM", "SIGTERM", "sigterm", "15", "015"] {
            assert_eq!(text.parse(), Ok(Signal::TERM), "{text}");
        }
        for text in ["", "0", "65", "SIG", "SIGSIGTERM", "TERM ", "-15", "+15", "99999999999999999999"] {
            assert_eq!(text.parse::<Signal>(), Err(ParseSignalError(text.to_owned())));
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for signal in (1..=Signal::MAX).filter_map(Signal::new) {
            assert_eq!(signal.to_string().parse(), Ok(signal));
        }
        assert_eq!(Signal::KILL.to_string(), "SIGKILL");
        assert_eq!(Signal::new(40).unwrap().to_string(), "40");
    }
}
