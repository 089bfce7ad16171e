//! What a real program finds when it starts, and what is said when it cannot.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use common::{SPAWNER, line, output, refusal, rest, run, shell, spawn, spec, within};
use tokio::io::AsyncWriteExt;
use uos_proc::{Cwd, Enforcement, Guarantee, Level, Limits, Means, SpawnError, Spawner, Spec, Stage, Stdio};

#[tokio::test]
async fn arguments_are_text() {
    let words = ["; touch /tmp/x", "| cat", "$(id)", "`id`", "a b", "", "*", "'\"", "\n", "-e"];
    let (_, said, _) = run(spec("/usr/bin/printf").arg("%s\\0").args(words)).await;
    let expected: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    assert_eq!(said, expected);
}

#[tokio::test]
async fn ten_thousand_arguments_arrive() {
    let words: Vec<String> = (0..10_000).map(|n| n.to_string()).collect();
    let said = output(spec("/usr/bin/printf").arg("%s\\n").args(words.clone())).await;
    assert_eq!(said.lines().collect::<Vec<_>>(), words);
}

#[tokio::test]
async fn the_name_is_the_callers_choice() {
    assert_eq!(output(spec("/bin/sh").argv(["my-name", "-c", "echo $0"])).await, "my-name\n");
}

#[tokio::test]
async fn the_environment_is_what_was_given() {
    assert_eq!(output(spec("/usr/bin/env")).await, "");
    let given = spec("/usr/bin/env").env("A", "1").env("B", "").env("C", "x=y").env("A", "2");
    assert_eq!(output(given).await, "A=1\nB=\nC=x=y\nA=2\n");
}

#[tokio::test]
async fn only_three_descriptors_are_open() {
    let null = File::open("/dev/null").unwrap();
    // `dup` leaves close-on-exec off: these would leak into any child that is not careful.
    let leaky: Vec<OwnedFd> = (0..50).map(|_| rustix::io::dup(&null).unwrap()).collect();
    let look = "i=0; while [ $i -lt 300 ]; do [ -e /proc/$$/fd/$i ] && echo $i; i=$((i+1)); done; true";
    assert_eq!(output(shell(look)).await, "0\n1\n2\n");

    let sh: OwnedFd = File::open("/bin/sh").unwrap().into();
    let by_fd = Spec::new(sh).argv(["sh", "-c", look]).level(Level::Privileged);
    assert_eq!(output(by_fd).await, "0\n1\n2\n");
    drop(leaky);
}

#[tokio::test]
async fn no_new_privileges_and_clean_signals() {
    let status = output(spec("/bin/cat").arg("/proc/self/status")).await;
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    assert_eq!(value("NoNewPrivs:"), "1");
    // This test, being Rust, ignores SIGPIPE, and the spawner blocks everything around the clone.
    for name in ["SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:"] {
        assert_eq!(value(name), "0000000000000000", "{name}");
    }
}

#[tokio::test]
async fn it_leads_a_session_and_group_of_its_own() {
    let child = spawn(spec("/bin/cat").arg("/proc/self/stat").stdout(Stdio::Pipe));
    let stat = String::from_utf8(rest(child.take_stdout().unwrap()).await).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let pid = child.os_pid().to_string();
    assert_eq!((fields[2], fields[3]), (&*pid, &*pid));
    within(child.wait()).await;
}

#[tokio::test]
async fn the_directory_and_umask() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    let shown = format!("{}\n", path.display());
    assert_eq!(output(shell("/bin/pwd")).await, "/\n");
    assert_eq!(output(shell("/bin/pwd").cwd(Cwd::Path(path.clone()))).await, shown);
    let fd: OwnedFd = File::open(&path).unwrap().into();
    assert_eq!(output(shell("/bin/pwd").cwd(Cwd::Fd(fd))).await, shown);
    assert_eq!(output(shell("umask")).await, "0022\n");
}

#[tokio::test]
async fn limits_are_seen_by_the_program() {
    let limits = Limits {
        open_files: Some(64),
        file_size_bytes: Some(8192),
        cpu_seconds: Some(7),
        ..Limits::default()
    };
    let script = "ulimit -n; ulimit -Hn; ulimit -f; ulimit -t; ulimit -c; ulimit -Hc";
    assert_eq!(output(shell(script).limits(limits)).await, "64\n64\n16\n7\n0\n0\n");
}

#[tokio::test]
async fn niceness_counts_for_the_process_and_for_its_session() {
    assert_eq!(output(spec("/usr/bin/nice").nice(7)).await, "7\n");
    if Path::new("/proc/self/autogroup").exists() {
        let weight = output(spec("/bin/cat").arg("/proc/self/autogroup").nice(7)).await;
        assert!(weight.trim().ends_with("nice 7"), "{weight}");
    }
    // The tightest descriptor limit a program can run under does not stand in its way.
    let limits = Limits { open_files: Some(3), ..Limits::default() };
    within(spawn(spec("/bin/true").nice(7).limits(limits)).wait()).await;

    let child = spawn(
        spec("/bin/sh")
            .args(["-c", "read go; exec nice"])
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::Pipe)
            .stdout(Stdio::Pipe),
    );
    child.set_nice(11).unwrap();
    child.take_stdin().unwrap().write_all(b"go\n").await.unwrap();
    assert_eq!(rest(child.take_stdout().unwrap()).await, b"11\n");
}

#[tokio::test]
async fn streams_lead_where_they_were_told() {
    let mut file = tempfile::tempfile().unwrap();
    let copy = || -> OwnedFd { file.try_clone().unwrap().into() };
    let child = spawn(shell("echo out; echo err >&2").stdout(Stdio::Fd(copy())).stderr(Stdio::Fd(copy())));
    within(child.wait()).await;
    file.flush().unwrap();
    let mut said = String::new();
    std::io::Seek::rewind(&mut file).unwrap();
    std::io::Read::read_to_string(&mut file, &mut said).unwrap();
    assert_eq!(said, "out\nerr\n");

    assert_eq!(
        output(shell("for n in 0 1 2; do readlink /proc/$$/fd/$n; done").stderr(Stdio::Null))
            .await
            .lines()
            .next(),
        Some("/dev/null")
    );
}

#[tokio::test]
async fn more_than_a_pipe_holds_goes_through() {
    let child = spawn(spec("/bin/cat").stdin(Stdio::Pipe).stdout(Stdio::Pipe));
    let (mut stdin, stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
    let sent: Vec<u8> = (0..1_000_000u32).flat_map(u32::to_le_bytes).collect();
    let send = async {
        stdin.write_all(&sent).await.unwrap();
        stdin.shutdown().await.unwrap();
        assert!(stdin.write_all(b"more").await.is_err());
    };
    let ((), got) = within(async { tokio::join!(send, rest(stdout)) }).await;
    assert!(got == sent);
}

#[tokio::test]
async fn twenty_at_once_never_cross() {
    let one = |n: usize| async move {
        let start = move || spawn(spec("/bin/cat").stdin(Stdio::Pipe).stdout(Stdio::Pipe));
        let child = tokio::task::spawn_blocking(start).await.unwrap();
        let (mut stdin, mut stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
        stdin.write_all(format!("I am {n}\n").as_bytes()).await.unwrap();
        assert_eq!(line(&mut stdout).await, format!("I am {n}"));
        // The end of file arrives only if no sibling holds a copy of this pipe.
        drop(stdin);
        assert_eq!(rest(stdout).await, b"");
        assert!(within(child.wait()).await.cause.success());
    };
    let all: Vec<_> = (0..20).map(|n| tokio::spawn(one(n))).collect();
    for task in all {
        within(task).await.unwrap();
    }
}

#[tokio::test]
async fn a_program_by_descriptor() {
    let readable: OwnedFd = File::open("/usr/bin/printf").unwrap().into();
    let path_only = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open("/usr/bin/printf").unwrap();
    for fd in [readable, path_only.into()] {
        let spec = Spec::new(fd).argv(["printf", "hello"]).level(Level::Privileged);
        assert_eq!(output(spec).await, "hello");
    }
}

#[tokio::test]
async fn a_script_needs_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = executable(dir.path(), "script", "#!/bin/sh\necho ran \"$1\"\n");
    assert_eq!(output(Spec::new(&path).arg("it").level(Level::Privileged)).await, "ran it\n");

    let readable: OwnedFd = File::open(&path).unwrap().into();
    let path_only = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(&path).unwrap();
    for fd in [readable, path_only.into()] {
        let error = refusal(Spec::new(fd).arg("script").level(Level::Privileged));
        assert_eq!(error.to_string(), "program: a script needs a path");
    }
    let directory: OwnedFd = File::open(dir.path()).unwrap().into();
    let error = refusal(Spec::new(directory).arg("dir").level(Level::Privileged));
    assert_eq!(error.to_string(), "program: not a regular file");
}

#[test]
fn failures_name_their_stage() {
    let dir = tempfile::tempdir().unwrap();
    let check = |spec: Spec, stage: Stage, errno: i32| {
        assert_eq!(refusal(spec), SpawnError::Stage { stage, errno });
    };
    check(spec("/no/such/program"), Stage::Exec, libc::ENOENT);
    check(spec("/etc/passwd"), Stage::Exec, libc::EACCES);
    check(spec("/etc"), Stage::Exec, libc::EACCES);
    check(spec("/etc/passwd/x"), Stage::Exec, libc::ENOTDIR);
    let nonsense = executable(dir.path(), "nonsense", "neither ELF nor script");
    check(Spec::new(&nonsense).level(Level::Privileged), Stage::Exec, libc::ENOEXEC);
    let lost = executable(dir.path(), "lost", "#!/no/such/interpreter\n");
    check(Spec::new(&lost).level(Level::Privileged), Stage::Exec, libc::ENOENT);
    check(spec("/bin/true").arg("x".repeat(1 << 20)), Stage::Exec, libc::E2BIG);
    check(spec("/bin/true").env("X", "x".repeat(1 << 20)), Stage::Exec, libc::E2BIG);
    check(spec("/bin/true").cwd(Cwd::Path("/no/such/dir".into())), Stage::Cwd, libc::ENOENT);
    check(spec("/bin/true").cwd(Cwd::Path("/etc/passwd".into())), Stage::Cwd, libc::ENOTDIR);
    let file: OwnedFd = File::open("/etc/passwd").unwrap().into();
    check(spec("/bin/true").cwd(Cwd::Fd(file)), Stage::Cwd, libc::ENOTDIR);
    let limits = Limits { open_files: Some(u64::MAX), ..Limits::default() };
    check(spec("/bin/true").limits(limits), Stage::Rlimit("nofile"), libc::EPERM);
    assert_eq!(refusal(spec("/no/such/program")).to_string(), "exec: ENOENT");
}

#[test]
fn what_is_in_force_is_said() {
    let child = spawn(spec("/bin/true"));
    let in_force: &Enforcement = child.enforcement();
    assert_eq!(in_force.level, Level::Privileged);
    for (guarantee, means) in in_force.iter() {
        let expected = match guarantee {
            Guarantee::NoNewPrivileges | Guarantee::FdHygiene | Guarantee::Environment => {
                matches!(means, Means::Enforced { .. })
            }
            Guarantee::KillTree => matches!(means, Means::Weakened { .. }),
            _ => matches!(means, Means::Absent { .. }),
        };
        assert!(expected, "{guarantee}: {means}");
        assert!(!means.reason().is_empty());
    }
}

/// A machine that lacks something says so with the reason, and starts nothing; one that lacks nothing starts it.
#[test]
fn tighter_levels_are_had_or_refused_with_everything_that_is_missing() {
    for level in [Level::Minimal, Level::Standard] {
        let missing = SPAWNER.probe().missing(level);
        match SPAWNER.spawn(spec("/bin/true").level(level)) {
            Ok(child) => {
                assert_eq!(missing, []);
                assert!(child.enforcement().iter().all(|(_, means)| means.is_enforced()));
            }
            Err(error) => assert_eq!(error, SpawnError::NotEnforceable { level, missing }),
        }
    }
}

fn executable(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// It gets copies of those it may use and of what lies below, and not of what lies above.
#[tokio::test]
async fn a_child_does_not_pay_for_descriptors_above_its_own() {
    let null = File::open("/dev/null").unwrap();
    let many: Vec<OwnedFd> = (0..100).map(|_| rustix::io::fcntl_dupfd_cloexec(&null, 900).unwrap()).collect();
    let room = |pid: u32| -> usize {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        size.unwrap().trim().parse().unwrap()
    };
    assert!(room(std::process::id()) >= 1000);
    for level in [Level::Privileged, Level::Minimal, Level::Standard] {
        let child = spawn(shell("echo here; read line").level(level).stdin(Stdio::Pipe).stdout(Stdio::Pipe));
        assert_eq!(line(&mut child.take_stdout().unwrap()).await, "here");
        assert!(room(child.os_pid()) < 900, "{level:?}: {}", room(child.os_pid()));
    }
    assert!(many.iter().all(|fd| rustix::io::fcntl_getfd(fd).is_ok()), "one was closed");
}
