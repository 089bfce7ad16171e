//! Whose a group is, by its name: so that what the dead have left can be removed, and nothing else.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// `4026531836-4026531834-77-5000`: process 77 of that namespace of process numbers, which began 5,000 ticks after the machine
/// did, by the clock of that namespace of time. Numbers are given anew, and mean others in other namespaces; but not with the
/// same beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    numbers: u64,
    /// Zero where the kernel has but one.
    time: u64,
    pid: u32,
    began: u64,
}

/// What is to be seen of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// It has not ended, and began then, in ticks of the clock.
    Alive {
        began: u64,
    },
    Ended,
    /// We may not look, or could not.
    Hidden,
}

impl Owner {
    /// This process. `None` where `/proc` does not tell, or tells of other processes by the same numbers.
    pub(super) fn own() -> Option<Owner> {
        let pid = std::process::id();
        let is_ours = fs::read_link("/proc/self").ok()?.to_str() == Some(&pid.to_string());
        match look(pid) {
            Sight::Alive { began } if is_ours => {
                Some(Owner { numbers: namespace("pid")?, time: namespace("time").unwrap_or(0), pid, began })
            }
            _ => None,
        }
    }

    pub(super) fn parse(text: &str) -> Option<Owner> {
        let mut parts = text.split('-');
        let owner = Owner {
            numbers: parts.next()?.parse().ok()?,
            time: parts.next()?.parse().ok()?,
            pid: parts.next()?.parse().ok()?,
            began: parts.next()?.parse().ok()?,
        };
        (owner.to_string() == text).then_some(owner)
    }

    /// Whether it has surely ended, as `judge` sees it, who is alive. One of other namespaces is not for us to judge.
    pub(super) fn is_gone(&self, judge: &Owner) -> bool {
        let can_judge = self.numbers == judge.numbers && self.time == judge.time;
        can_judge
            && match look(self.pid) {
                Sight::Alive { began } => began != self.began,
                Sight::Ended => true,
                Sight::Hidden => false,
            }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.numbers, self.time, self.pid, self.began)
    }
}

fn namespace(kind: &str) -> Option<u64> {
    fs::metadata(format!("/proc/self/ns/{kind}")).ok().map(|namespace| namespace.ino())
}

fn look(pid: u32) -> Sight {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => seen(&stat).unwrap_or(Sight::Hidden),
        // A `/proc` may hide whom one may not trace; the kernel says whether there is somebody.
        Err(_) => match i32::try_from(pid).ok().and_then(Pid::from_raw).map(test_kill_process) {
            None | Some(Err(Errno::SRCH)) => Sight::Ended,
            Some(_) => Sight::Hidden,
        },
    }
}

fn seen(stat: &[u8]) -> Option<Sight> {
    // The name before the last parenthesis may hold anything. The state is the third field, the number of threads the
    // 20th, the beginning the 22nd.
    let behind = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&stat[behind..]).ok()?.split_ascii_whitespace().collect();
    let (state, threads) = (*fields.first()?, fields.get(17)?.parse::<u64>().ok()?);
    // One whose first thread has ended looks like one that has ended, while others go on.
    let has_ended = matches!(state, "Z" | "X") && threads <= 1;
    let began = fields.get(19)?.parse().ok()?;
    Some(if has_ended { Sight::Ended } else { Sight::Alive { began } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    #[test]
    fn a_name_is_read_back_and_others_are_nobodys() {
        let own = Owner::own().unwrap();
        assert_eq!(Owner::parse(&own.to_string()), Some(own));
        for text in
            ["", "77", "1-2-3", "1-2-3-4-5", "1-2-3-x", "1-2-03-4", "-1-2-3-4", "1-2-3-99999999999999999999"]
        {
            assert_eq!(Owner::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_who_has_surely_ended_is_gone() {
        let own = Owner::own().unwrap();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let Sight::Alive { began } = look(child.id()) else { panic!("it sleeps") };
        let other = Owner { pid: child.id(), began, ..own };
        let with_its_number = Owner { began: other.began + 1, ..other };
        let nobody = Owner { pid: i32::MAX as u32, ..own };
        let elsewhere = Owner { numbers: own.numbers + 1, ..nobody };
        let otherwise = Owner { time: own.time + 1, ..with_its_number };
        assert!(!own.is_gone(&own) && !other.is_gone(&own));
        assert!(!elsewhere.is_gone(&own) && !otherwise.is_gone(&own));
        assert!(with_its_number.is_gone(&own) && nobody.is_gone(&own));
        child.kill().unwrap();
        // It has ended, whoever has not asked for it yet.
        while !other.is_gone(&own) {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(other.is_gone(&own));
    }

    #[test]
    fn who_goes_on_without_its_first_thread_has_not_ended() {
        let script = "import ctypes, platform, threading, time\n\
            threading.Thread(target=lambda: (print('ready', flush=True), time.sleep(1000))).start()\n\
            ctypes.CDLL(None).syscall(60 if platform.machine() == 'x86_64' else 93, 0)";
        let mut python = Command::new("python3").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let (pid, mut line) = (python.id(), String::new());
        BufReader::new(python.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let state = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        while !state().contains(") Z ") {
            std::thread::yield_now();
        }
        let goes_on = matches!(look(pid), Sight::Alive { .. });
        python.kill().unwrap();
        python.wait().unwrap();
        assert!(goes_on && look(pid) == Sight::Ended);
    }

    #[test]
    fn a_name_may_hold_anything() {
        let stat = |name: &[u8], state: &str, threads: u32| {
            let mut stat = b"77 (".to_vec();
            stat.extend(name);
            let nothing = "0 ".repeat(16);
            stat.extend(format!(") {state} {nothing}{threads} 0 5000 0\n").into_bytes());
            seen(&stat)
        };
        for name in [&b"sh"[..], b"a) Z 1", b"\xff\xc3", b""] {
            assert_eq!(stat(name, "S", 1), Some(Sight::Alive { began: 5_000 }), "{name:?}");
            assert_eq!(stat(name, "Z", 1), Some(Sight::Ended));
            assert_eq!(stat(name, "Z", 2), Some(Sight::Alive { began: 5_000 }));
        }
        assert_eq!((seen(b""), seen(b"77 (sh) S 1")), (None, None));
    }
}
