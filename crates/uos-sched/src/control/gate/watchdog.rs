//! Whoever holds others has somebody watch it: a process that lets them run when the gate is gone, however it went.

use super::held::own;
use crate::control::ControlError;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A shell that is told who is held, and notices by the end of its input that nobody holds them any more. A shell,
/// because a library has no other program that is there for sure, and because it needs no code of ours to work.
#[derive(Debug)]
pub(super) struct Watchdog {
    child: Child,
    /// Taken away only to end it.
    line: Option<ChildStdin>,
}

const SCRIPT: &str = r#"
trap '' HUP INT TERM TSTP
held=
while read -r what pid; do
  case $what in
    +) held="$held $pid" ;;
    -) rest=; for one in $held; do [ "$one" = "$pid" ] || rest="$rest $one"; done; held=$rest ;;
  esac
done
for one in $held; do kill -CONT "$one" 2>/dev/null; done
"#;

impl Watchdog {
    pub(super) fn start() -> Result<Watchdog, ControlError> {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "uos-gate-watchdog"]).env_clear().current_dir("/");
        // A group of its own: what a terminal sends to ours is not for it.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(|error| own("the gate's watchdog", error))?;
        let line = child.stdin.take();
        Ok(Watchdog { child, line })
    }

    /// To be told before somebody is stopped for the first time.
    pub(super) fn watch(&mut self, pid: u32) -> Result<(), ControlError> {
        self.tell(&format!("+ {pid}\n"))
    }

    /// Somebody runs freely, or has ended.
    pub(super) fn forget(&mut self, pid: u32) {
        // If it is not there to hear that, it won't let anybody run either.
        let _ = self.tell(&format!("- {pid}\n"));
    }

    fn tell(&mut self, words: &str) -> Result<(), ControlError> {
        let line = self.line.as_mut().ok_or(ControlError::Ended)?;
        line.write_all(words.as_bytes()).map_err(|error| own("the gate's watchdog", error))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.line = None;
        let _ = self.child.wait();
    }
}
