//! Spawning programs in a bad way: killed outright, or without standard streams. Each is played by this test
//! program itself, started once more.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio as HostStdio};
use std::time::Duration;

use common::{SPAWNER, refusal, rest, run, shell, spawn, spec, within};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::SignalKind;
use uos_proc::{ExitCause, Guarantee, Level, Stdio};

/// This test program, about to play `role`: behind `program`, if that is to arrange something first.
fn host(role: &str, program: &[&str]) -> Command {
    let this = std::env::current_exe().unwrap();
    let mut words = program.iter().map(AsRef::as_ref).chain([this.as_os_str()]);
    let mut host = Command::new(words.next().unwrap());
    host.args(words).args(["--exact", role, "--ignored", "--nocapture"]).env("PLAYS_A_HOST", "1");
    host
}

/// Whether a role was really asked for, and not only by running all tests that are ignored.
fn plays() -> bool {
    std::env::var_os("PLAYS_A_HOST").is_some()
}

#[test]
fn a_killed_host_takes_its_children_along() {
    let mut host = host("play_a_host", &[]).stdout(HostStdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(host.stdout.take().unwrap());
    let ready =
        said.by_ref().lines().map_while(Result::ok).filter(|line| line.contains("child ready")).take(5);
    assert_eq!(ready.count(), 5);
    host.kill().unwrap();
    host.wait().unwrap();
    // The children hold the pipe's other end: it ends when the last of them is gone.
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(said.read_to_string(&mut String::new())));
    end.recv_timeout(Duration::from_secs(60)).expect("the children live on").unwrap();
}

#[test]
#[ignore = "played by a_killed_host_takes_its_children_along"]
fn play_a_host() {
    if !plays() {
        return;
    }
    let stdout = || Stdio::Fd(std::io::stdout().as_fd().try_clone_to_owned().unwrap());
    let start = |_| spawn(shell("echo child ready; exec sleep 1000").stdout(stdout()));
    let _children: Vec<_> = (0..5).map(start).collect();
    loop {
        std::thread::park();
    }
}

/// At whatever moment of a life of spawning, at every level. `UOS_CAMPAIGN_HOSTS` is how many hosts are killed.
#[test]
fn a_host_killed_at_any_moment_leaves_nobody() {
    let count =
        std::env::var("UOS_CAMPAIGN_HOSTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20u64);
    for number in 0..count {
        // Processes are known by a word of theirs that nobody else has.
        let mark = format!("uos-host-{}-{number}", std::process::id());
        let mut host =
            host("play_a_busy_host", &[]).env("MARK", &mark).stdout(HostStdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(host.stdout.take().unwrap());
        let begun = said.by_ref().lines().map_while(Result::ok).any(|line| line.contains("begun"));
        assert!(begun, "the host did not begin");
        std::thread::sleep(Duration::from_micros(number * 7919 % 40_000));
        host.kill().unwrap();
        host.wait().unwrap();
        let left = || {
            let processes = std::fs::read_dir("/proc").unwrap().flatten();
            let commands = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
            commands.filter(|command| command.windows(mark.len()).any(|word| word == mark.as_bytes())).count()
        };
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while left() > 0 {
            assert!(std::time::Instant::now() < deadline, "{} processes outlive host {number}", left());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    println!("{count} hosts killed, nobody left");
}

#[test]
#[ignore = "played by a_host_killed_at_any_moment_leaves_nobody"]
fn play_a_busy_host() {
    if !plays() {
        return;
    }
    let mark = std::env::var("MARK").unwrap();
    let levels = [Level::Standard, Level::Minimal, Level::Privileged];
    let mut children = std::collections::VecDeque::new();
    for number in 0.. {
        let words = ["-c", "read nothing", &mark];
        let spec = spec("/bin/sh").args(words).stdin(Stdio::Pipe).level(levels[number % 3]);
        let spec = spec.accept(Guarantee::Memory).accept(Guarantee::Cpu);
        children.push_back(spawn(spec));
        if number == 3 {
            println!("begun");
        }
        if children.len() > 8 {
            children.pop_front();
        }
    }
}

#[test]
fn a_host_without_standard_streams_can_spawn() {
    let dir = tempfile::tempdir().unwrap();
    let verdict = dir.path().join("verdict");
    host("play_a_host_without_streams", &[]).env("VERDICT", &verdict).status().unwrap();
    assert_eq!(std::fs::read_to_string(verdict).unwrap(), "good");
}

/// Here the pipes themselves get the numbers 0, 1 and 2 in the host, in an order that crosses the child's.
#[test]
#[ignore = "played by a_host_without_standard_streams_can_spawn"]
fn play_a_host_without_streams() {
    if !plays() {
        return;
    }
    // What else needs descriptors takes its own first, and leaves the three numbers to the pipes.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    std::sync::LazyLock::force(&SPAWNER);
    for fd in 0..3 {
        // SAFETY: nothing in this process uses its standard streams from here on.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    let is_good = runtime.block_on(async {
        let script = "read line; echo \"out $line\"; echo \"err $line\" >&2";
        let child = spawn(shell(script).stdin(Stdio::Pipe).stdout(Stdio::Pipe).stderr(Stdio::Pipe));
        child.take_stdin().unwrap().write_all(b"hello\n").await.unwrap();
        let (out, err) = (rest(child.take_stdout().unwrap()).await, rest(child.take_stderr().unwrap()).await);
        let exit = within(child.wait()).await;
        let (null, _, _) = run(spec("/bin/cat")).await;
        exit.cause.success() && null.cause.success() && out == b"out hello\n" && err == b"err hello\n"
    });
    std::fs::write(std::env::var_os("VERDICT").unwrap(), if is_good { "good" } else { "bad" }).unwrap();
    // The harness would want to print.
    std::process::exit(0);
}

#[test]
fn a_host_that_ignores_its_children_is_told_so() {
    // What is ignored stays so over an exec.
    let mut host = host("play_a_host_that_ignores_its_children", &["/usr/bin/env", "--ignore-signal=CHLD"]);
    assert!(host.stdout(HostStdio::null()).status().unwrap().success());
}

#[test]
#[ignore = "played by a_host_that_ignores_its_children_is_told_so"]
fn play_a_host_that_ignores_its_children() {
    if !plays() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        assert_eq!(within(spawn(spec("/bin/true")).wait()).await.cause, ExitCause::Lost);
        assert_eq!(refusal(spec("/no/such/program")).to_string(), "exec: ENOENT");
        // The child itself does not inherit the habit: its shell sees how its own children end.
        let child = spawn(shell("(exit 3); echo $?").stdout(Stdio::Pipe));
        assert_eq!(rest(child.take_stdout().unwrap()).await, b"3\n");
    });
}

#[test]
fn what_a_host_ignores_or_handles_its_children_do_not() {
    let ignoring = ["/usr/bin/env", "--ignore-signal=HUP,USR1,RTMIN+3"];
    let mut host = host("play_a_host_that_ignores_much", &ignoring);
    assert!(host.stdout(HostStdio::null()).status().unwrap().success());
}

#[test]
#[ignore = "played by what_a_host_ignores_or_handles_its_children_do_not"]
fn play_a_host_that_ignores_much() {
    if !plays() {
        return;
    }
    let signals = |status: &str| -> Vec<u64> {
        let values = ["SigBlk:", "SigIgn:", "SigCgt:"]
            .map(|name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim());
        values.iter().map(|value| u64::from_str_radix(value, 16).unwrap()).collect()
    };
    let own = || signals(&std::fs::read_to_string("/proc/self/status").unwrap());
    // SIGHUP, SIGUSR1, SIGPIPE and a real-time signal.
    let much = 1 << 0 | 1 << 9 | 1 << 12 | 1 << 36;
    assert_eq!(own()[1] & much, much);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for round in 0..3 {
            if round == 1 {
                // From now on it handles one more, and no longer ignores it.
                drop(tokio::signal::unix::signal(SignalKind::hangup()).unwrap());
                assert_eq!((own()[1] & 1, own()[2] & 1), (0, 1));
            }
            for level in [Level::Privileged, Level::Minimal, Level::Standard] {
                let cat = spec("/bin/cat").arg("/proc/self/status").level(level);
                let (exit, status, _) = run(cat.accept(Guarantee::Memory).accept(Guarantee::Cpu)).await;
                assert_eq!(exit.cause, ExitCause::Exited(0));
                assert_eq!(signals(&String::from_utf8(status).unwrap()), [0, 0, 0], "{level:?}");
            }
        }
    });
}
