//! Real processes to be controlled.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::fs;
use std::io::{Read, Write};
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use uos_sched::Nanos;

/// Measures again until what was measured is in the range, or for too long. A host that takes a CPU away for a while has
/// one measurement be off, and not all of them.
pub(crate) fn settles(what: &str, range: RangeInclusive<f64>, mut measure: impl FnMut() -> f64) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let measured = measure();
        if range.contains(&measured) {
            return;
        }
        assert!(Instant::now() < deadline, "{what}: {measured} is not in {range:?}");
        println!("{what}: {measured}, once more");
    }
}

/// A real process, which ends with this.
pub(crate) struct Run(pub(crate) Child);

impl Run {
    /// One that uses up all it gets. It does so already: while it starts, it may have to wait for the disk.
    pub(crate) fn busy() -> Run {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo; while :; do :; done"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut busy = Run(shell.spawn().unwrap());
        busy.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        busy
    }

    /// One that uses nothing, for what must not be tried on one that would take the machine.
    pub(crate) fn asleep() -> Run {
        Run(Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap())
    }

    /// A shell's, which can be told something.
    pub(crate) fn script(script: &str) -> Run {
        Run(Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit_once(')').unwrap().1.trim_start().chars().next().unwrap()
    }

    /// What it has used by the kernel's account.
    pub(crate) fn used(&self) -> Nanos {
        let stat = fs::read_to_string(format!("/proc/{}/schedstat", self.pid())).unwrap();
        Nanos(stat.split(' ').next().unwrap().parse().unwrap())
    }

    pub(crate) fn tell(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    pub(crate) fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
