//! Programs on a terminal of their own: as whoever sits before one expects.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{SPAWNER, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uos_proc::{Child, ExitCause, Guarantee, Level, Pty, PtySize, Signal, SignalError, Spawner, Spec, Stdio};

const SIZE: PtySize = PtySize { rows: 33, columns: 111 };

const LEVELS: [Level; 3] = [Level::Privileged, Level::Standard, Level::Minimal];

fn on_terminal(level: Level, program: &str, args: &[&str]) -> (Child, Screen) {
    let spec = Spec::new(program).args(args.iter().copied()).env("PATH", "/usr/bin:/bin").env("PS1", "$ ");
    let spec = spec.level(level).accept(Guarantee::Memory).accept(Guarantee::Cpu);
    let child = SPAWNER.spawn(spec.on_pty(SIZE)).unwrap();
    let pty = child.take_pty().unwrap();
    assert!(child.take_pty().is_none(), "it is handed out once");
    (child, Screen { pty, shown: String::new() })
}

/// What was shown and not yet looked for.
struct Screen {
    pty: Pty,
    shown: String,
}

impl Screen {
    async fn types(&mut self, text: &str) {
        within(self.pty.write_all(text.as_bytes())).await.unwrap();
    }

    /// Reads until `text` is shown, and gives what came before it.
    async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                let mut before = std::mem::replace(&mut self.shown, rest);
                before.truncate(at);
                return before;
            }
            let mut bytes = [0; 4096];
            let wait = std::time::Duration::from_secs(60);
            let read = tokio::time::timeout(wait, self.pty.read(&mut bytes)).await;
            let read = read.unwrap_or_else(|_| panic!("no {text:?} after {:?}", self.shown)).unwrap();
            assert_ne!(read, 0, "the end, without {text:?} after {:?}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..read]));
        }
    }

    /// What is shown up to the end.
    async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        within(self.pty.read_to_end(&mut bytes)).await.unwrap();
        self.shown + &String::from_utf8_lossy(&bytes)
    }
}

/// Three streams, one terminal, which is the program's own and has the size that was asked for.
#[tokio::test]
async fn all_streams_are_the_programs_own_terminal() {
    for level in LEVELS {
        let script = "test -t 0 && test -t 1 && test -t 2 && stty size < /dev/tty";
        // A shell at Minimal can start nothing, so it executes.
        let script =
            if level == Level::Minimal { "test -t 0 && test -t 2 && exec stty size" } else { script };
        let (child, screen) = on_terminal(level, "/bin/sh", &["-c", script]);
        assert_eq!(screen.rest().await, "33 111\r\n", "{level:?}");
        assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(0), "{level:?}");
    }
}

#[tokio::test]
async fn ctrl_c_ends_the_job_and_not_the_shell() {
    for level in [Level::Privileged, Level::Standard] {
        let (child, mut screen) = on_terminal(level, "/bin/sh", &["-i"]);
        screen.until("$ ").await;
        screen.types("echo be''gun; sleep 1000\n").await;
        screen.until("begun").await;
        // The job must be in the foreground to hear it; a key that comes too early is heard by the shell, which asks anew.
        let interrupt = async {
            loop {
                screen.types("\x03").await;
                screen.types("echo still $((40 + 2))\n").await;
                tokio::select! {
                    _ = screen.until("still 42") => break,
                    () = tokio::time::sleep(std::time::Duration::from_millis(500)) => {}
                }
            }
        };
        within(interrupt).await;
        assert_eq!(child.try_wait(), None, "{level:?}: the shell goes on");
        screen.types("exit 7\n").await;
        assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(7), "{level:?}");
    }
}

#[tokio::test]
async fn jobs_are_stopped_and_brought_back() {
    for level in [Level::Privileged, Level::Standard] {
        let (child, mut screen) =
            on_terminal(level, "/bin/bash", &["--norc", "--noprofile", "--noediting", "-i"]);
        screen.until("$ ").await;
        let stopped = "cat\n";
        screen.types(stopped).await;
        screen.until("\n").await;
        screen.types("hello\n").await;
        screen.until("hello\r\nhello\r\n").await;
        screen.types("\x1a").await;
        screen.until("Stopped").await;
        screen.types("jobs; echo l''isted\n").await;
        assert!(screen.until("listed\r\n").await.contains("cat"), "{level:?}");
        screen.types("fg\n").await;
        screen.until("cat\r\n").await;
        screen.types("again\n").await;
        screen.until("again\r\nagain\r\n").await;
        screen.types("\x04").await;
        screen.types("exit 3\n").await;
        assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(3), "{level:?}");
    }
}

#[tokio::test]
async fn a_new_size_is_told_and_seen() {
    for level in [Level::Privileged, Level::Standard] {
        let script = "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done";
        let (child, mut screen) = on_terminal(level, "/bin/sh", &["-c", script]);
        screen.until("ready").await;
        child.resize(PtySize { rows: 50, columns: 132 }).unwrap();
        screen.until("50 132").await;
        child.kill_tree().unwrap();
        within(child.wait()).await;
        assert_eq!(child.resize(SIZE), Err(SignalError::NoSuchProcess));
    }
}

/// Whoever sits before the terminal goes away.
#[tokio::test]
async fn hanging_up_is_told() {
    for level in LEVELS {
        let (child, mut screen) =
            on_terminal(level, "/bin/sh", &["-c", "trap 'exit 5' HUP; echo ready; read x"]);
        screen.until("ready").await;
        drop(screen);
        let cause = within(child.wait()).await.cause;
        // Reading from a terminal that was hung up may fail before the signal is heard.
        let failed = ExitCause::Exited(1);
        assert!([ExitCause::Exited(5), failed].contains(&cause), "{level:?}: {cause}");
    }
}

#[tokio::test]
async fn a_terminal_may_be_some_of_the_streams_only() {
    let script = "test -t 0 || test -t 1 || echo alone; stty size <&2; echo shown >&2";
    let spec =
        Spec::new("/bin/sh").args(["-c", script]).env("PATH", "/usr/bin:/bin").level(Level::Privileged);
    let child = SPAWNER.spawn(spec.stdout(Stdio::Pipe).stderr(Stdio::Pty)).unwrap();
    let (mut said, mut shown) = (String::new(), String::new());
    within(child.take_stdout().unwrap().read_to_string(&mut said)).await.unwrap();
    within(child.take_pty().unwrap().read_to_string(&mut shown)).await.unwrap();
    assert_eq!((said.as_str(), shown.as_str()), ("alone\n24 80\n", "shown\r\n"));
    assert!(within(child.wait()).await.cause.success());
}

#[tokio::test]
async fn without_a_terminal_there_is_none() {
    let spec = Spec::new("/bin/cat").level(Level::Privileged).stdin(Stdio::Pipe);
    let child = SPAWNER.spawn(spec).unwrap();
    assert!(child.take_pty().is_none());
    assert_eq!(child.resize(SIZE), Err(SignalError::Refused { errno: libc::ENOTTY }));
    child.signal(Signal::KILL).unwrap();
    within(child.wait()).await;
}
