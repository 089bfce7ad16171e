//! Whose a group is, by its name: so that what the dead have left can be removed, and nothing else.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// `4026531836-77-5000`: process 77 of that namespace of process numbers, which began 5,000 ticks after the machine did.
/// Numbers are given anew, and mean others in other namespaces; but not with the same beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    namespace: u64,
    pid: u32,
    began: u64,
}

impl Owner {
    /// This process. `None` where `/proc` does not tell.
    pub(super) fn own() -> Option<Owner> {
        let pid = std::process::id();
        Some(Owner { namespace: namespace()?, pid, began: began(pid)? })
    }

    pub(super) fn parse(text: &str) -> Option<Owner> {
        let mut parts = text.split('-');
        let owner = Owner {
            namespace: parts.next()?.parse().ok()?,
            pid: parts.next()?.parse().ok()?,
            began: parts.next()?.parse().ok()?,
        };
        (owner.to_string() == text).then_some(owner)
    }

    /// Whether it has surely ended, as `judge` sees it, who is alive. One of another namespace is not for us to judge.
    pub(super) fn is_gone(&self, judge: &Owner) -> bool {
        self.namespace == judge.namespace && began(self.pid) != Some(self.began)
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.namespace, self.pid, self.began)
    }
}

fn namespace() -> Option<u64> {
    fs::metadata("/proc/self/ns/pid").ok().map(|namespace| namespace.ino())
}

/// When a process began that has not ended, in ticks of the clock.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the last parenthesis may hold anything. The state is the third field, the number of threads the
    // 20th, the beginning the 22nd.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let (state, threads) = (*fields.first()?, fields.get(17)?.parse::<u64>().ok()?);
    // One whose first thread has ended looks like one that has ended, while others go on.
    let has_ended = matches!(state, "Z" | "X") && threads <= 1;
    if has_ended { None } else { fields.get(19)?.parse().ok() }
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
        for text in ["", "77", "1-2", "1-2-3-4", "1-2-x", "1-02-3", "-1-2-3", "1-2-99999999999999999999"] {
            assert_eq!(Owner::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_who_has_surely_ended_is_gone() {
        let own = Owner::own().unwrap();
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let other = Owner { pid: child.id(), began: began(child.id()).unwrap(), ..own };
        let with_its_number = Owner { began: other.began + 1, ..other };
        let nobody = Owner { pid: i32::MAX as u32, ..own };
        let elsewhere = Owner { namespace: own.namespace + 1, ..nobody };
        assert!(!own.is_gone(&own) && !other.is_gone(&own) && !elsewhere.is_gone(&own));
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
        let goes_on = began(pid).is_some();
        python.kill().unwrap();
        python.wait().unwrap();
        assert!(goes_on && began(pid).is_none());
    }
}
