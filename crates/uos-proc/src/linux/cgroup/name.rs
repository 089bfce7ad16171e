//! The name of a server's directory, which tells whose it is: so that what a dead server left behind can be removed,
//! and nothing else.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// `uos-4026531836-77-5000-0`: process 77 of that pid namespace, which began 5000 ticks after the machine did. Numbers
/// of processes are given anew, but not with the same beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServerName {
    pid_namespace: u64,
    pid: u32,
    began: u64,
    /// One program may have several spawners.
    number: u32,
}

impl ServerName {
    /// A name not used before. `None` where `/proc` does not tell who we are.
    pub(crate) fn new() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let pid = std::process::id();
        Some(ServerName {
            pid_namespace: own_pid_namespace()?,
            pid,
            began: began(pid)?,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// The name in `text`, if it is one that we would give.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix("uos-")?.split('-');
        let name = ServerName {
            pid_namespace: parts.next()?.parse().ok()?,
            pid: parts.next()?.parse().ok()?,
            began: parts.next()?.parse().ok()?,
            number: parts.next()?.parse().ok()?,
        };
        (parts.next().is_none() && name.to_string() == text).then_some(name)
    }

    /// Whether the server is surely gone. One of another pid namespace is not ours to judge: its number means
    /// somebody else here, or nobody.
    pub(crate) fn is_dead(&self) -> bool {
        own_pid_namespace() == Some(self.pid_namespace)
            && began(std::process::id()).is_some()
            && began(self.pid) != Some(self.began)
    }

    /// Whether it is a name of this very program.
    pub(super) fn is_own(&self) -> bool {
        self.pid == std::process::id()
            && own_pid_namespace() == Some(self.pid_namespace)
            && began(self.pid) == Some(self.began)
    }
}

impl std::fmt::Display for ServerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "uos-{}-{}-{}-{}", self.pid_namespace, self.pid, self.began, self.number)
    }
}

fn own_pid_namespace() -> Option<u64> {
    fs::metadata("/proc/self/ns/pid").ok().map(|namespace| namespace.ino())
}

/// When a process began that has not ended, in ticks of the clock: a zombie can hold nothing any more.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
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
    fn a_name_is_read_back_and_is_ours() {
        let (one, two) = (ServerName::new().unwrap(), ServerName::new().unwrap());
        assert_ne!(one, two);
        assert_eq!(ServerName::parse(&one.to_string()), Some(one));
        assert!(one.is_own() && !one.is_dead());
    }

    #[test]
    fn other_names_are_nobodys() {
        for text in
            ["", "uos", "uos-", "uos-1-2-3", "uos-1-2-3-4-5", "uos-1-2-3-x", "uos-1-2-03-4", "vos-1-2-3-4"]
        {
            assert_eq!(ServerName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn only_a_server_that_is_surely_gone_is_dead() {
        let own = ServerName::new().unwrap();
        // Its number belongs to somebody who began at another time.
        assert!(ServerName { began: own.began + 1, ..own }.is_dead());
        // Nobody has its number: beyond the largest that Linux gives.
        assert!(ServerName { pid: 4_194_305, ..own }.is_dead());
        assert!(!ServerName { pid_namespace: 1, pid: 4_194_305, ..own }.is_dead());
        let init = ServerName { pid: 1, began: began(1).unwrap(), ..own };
        assert!(!init.is_dead() && !init.is_own());
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
