//! A machine without disks, emulated instruction by instruction, and what it says.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use crate::Result;

pub(super) const PROGRAM: &str = "qemu-system-x86_64";

/// What the kernel is told: one tree of control groups, of the second version; nothing but emergencies on the console;
/// and to end the machine rather than to stand still.
const COMMAND_LINE: &str = "console=ttyS0 quiet loglevel=1 panic=-1 reboot=t cgroup_no_v1=all mitigations=off tsc=reliable \
    nokaslr random.trust_cpu=on tsc_early_khz=1000000 rdinit=/init";

/// How a suite ended, and when by the machine's own clock.
#[derive(Debug, PartialEq)]
pub(super) struct Ended {
    pub(super) name: String,
    pub(super) status: i32,
    /// Tests that passed in it.
    pub(super) passed: u64,
    pub(super) seconds: f64,
}

/// What a machine has said so far.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    pub(super) kernel: Option<String>,
    pub(super) booted: Option<f64>,
    pub(super) ended: Vec<Ended>,
    begun: Option<(String, f64)>,
    passed: u64,
    pub(super) done: bool,
}

impl Said {
    /// Takes a line of the console; what does not begin with `== ` is not for us.
    pub(super) fn hear(&mut self, line: &str) {
        let Some(said) = line.trim_end().strip_prefix("== ") else {
            if let Some(result) = line.strip_prefix("test result: ok. ") {
                self.passed +=
                    result.split(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap_or(0);
            }
            return;
        };
        let words: Vec<&str> = said.split(' ').collect();
        match words[..] {
            ["kernel", release] => self.kernel = Some(release.to_owned()),
            ["booted", at] => self.booted = at.parse().ok(),
            ["begin", name, at] => {
                self.begun = at.parse().ok().map(|at| (name.to_owned(), at));
                self.passed = 0;
            }
            ["ended", name, status, at] => {
                if let Some((begun, since)) = self.begun.take()
                    && begun == name
                    && let (Ok(status), Ok(at)) = (status.parse(), at.parse::<f64>())
                {
                    self.ended.push(Ended { name: begun, status, passed: self.passed, seconds: at - since });
                }
            }
            ["done", _] => self.done = true,
            _ => {}
        }
    }

    /// What was going on last.
    pub(super) fn last(&self) -> String {
        match &self.begun {
            Some((name, _)) => format!("in {name}"),
            None if self.booted.is_none() => "before it had booted".to_owned(),
            None => "between suites".to_owned(),
        }
    }
}

/// Runs it until it ends, shows what it says and gives each line to `see`. It may take so long, and is ended then.
pub(super) fn run(kernel: &Path, image: &Path, longest: Duration, mut see: impl FnMut(&str)) -> Result {
    let mut command = Command::new(PROGRAM);
    command.args(["-M", "microvm,x-option-roms=off,rtc=on", "-accel", "tcg", "-cpu", "max"]);
    // Its time is the number of instructions it has executed, 8 ns each, and passes at once when it has nothing to do: what
    // else goes on here changes nothing in there. That takes one processor.
    command.args(["-icount", "shift=3,sleep=off", "-smp", "1"]);
    command.args(["-m", "2048", "-nodefaults", "-no-user-config", "-no-reboot"]);
    command.args(["-display", "none", "-serial", "stdio"]);
    command.arg("-kernel").arg(kernel).arg("-initrd").arg(image).args(["-append", COMMAND_LINE]);
    let mut machine = Running(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let stdout = machine.0.stdout.take().ok_or("stdout was asked for as a pipe")?;
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        // The console is bytes; a test may print any.
        for line in BufReader::new(stdout).split(b'\n') {
            let Ok(line) = line else { break };
            if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                break;
            }
        }
    });
    let end = Instant::now() + longest;
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("   {line}");
                see(&line);
            }
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("the machine had not ended after {} s", longest.as_secs()).into());
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = machine.0.wait()?;
    if status.success() { Ok(()) } else { Err(format!("{PROGRAM} ended with {status}").into()) }
}

/// Ended with whoever waits for it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::{Ended, Said};

    #[test]
    fn what_it_says_is_read() {
        let mut said = Said::default();
        for line in [
            "== kernel 6.1.0-57-cloud-amd64\r",
            "== controllers cpu memory pids",
            "== booted 1.25",
            "== begin limits 1.50",
            "test it_holds ... ok",
            "== ended other 0 2.00",
        ] {
            said.hear(line);
        }
        assert_eq!(said.ended, [], "nobody ends who has not begun");
        said.hear("== begin limits 1.50");
        assert_eq!(said.last(), "in limits");
        said.hear("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured");
        said.hear("== ended limits 101 3.00");
        said.hear("== done 3.25");
        assert_eq!(said.ended, [Ended { name: "limits".into(), status: 101, passed: 12, seconds: 1.5 }]);
        assert_eq!(
            (said.kernel.as_deref(), said.booted, said.done),
            (Some("6.1.0-57-cloud-amd64"), Some(1.25), true)
        );
    }
}
