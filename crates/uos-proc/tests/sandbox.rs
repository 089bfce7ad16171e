//! What a program in a sandbox sees and can do, asked of real programs.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use common::{line, output, refusal, run, spawn, within};
use tokio::io::AsyncWriteExt;
use uos_proc::{
    Cwd, ExitCause, Guarantee, Init, Level, Limits, LinuxSpawner, Mount, Network, OnLeaderExit, Signal,
    Source, SpawnError, Spawner, Spec, Stage, Stdio,
};

/// A shell in a sandbox. What cgroups hold is left to the tests of cgroups.
fn boxed(level: Level, script: &str) -> Spec {
    let shell = Spec::new("/bin/sh").arg("-c").arg(script).env("PATH", "/usr/bin:/bin");
    shell.level(level).accept(Guarantee::Memory).accept(Guarantee::Cpu)
}

fn standard(script: &str) -> Spec {
    boxed(Level::Standard, script)
}

/// A folder of the host, as a stranger's: owned by root and closed to others.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    folder
}

#[tokio::test]
async fn the_root_holds_what_was_mounted_and_nothing_else() {
    let root = output(standard("cd /; echo *")).await;
    let mut names: Vec<&str> = root.split_whitespace().collect();
    names.retain(|name| !name.starts_with("lib") && !["bin", "sbin"].contains(name));
    assert_eq!(names, ["dev", "etc", "proc", "tmp", "usr"]);
    let bare = Spec::new("/bin/true").level(Level::Standard).system(false);
    let error = refusal(bare.accept(Guarantee::Memory).accept(Guarantee::Cpu));
    assert_eq!(error, SpawnError::Stage { stage: Stage::Exec, errno: libc::ENOENT });
}

#[tokio::test]
async fn nothing_of_the_system_can_be_changed() {
    for place in ["/x", "/usr/x", "/etc/passwd", "/dev/x", "/bin/x", "/etc/alternatives/x"] {
        let (exit, _, stderr) = run(standard(&format!("echo > {place}"))).await;
        assert_ne!(exit.cause, ExitCause::Exited(0), "{place} was written");
        let said = String::from_utf8(stderr).unwrap();
        assert!(said.contains("Read-only") || said.contains("Permission"), "{said}");
    }
    assert_eq!(output(standard("echo x > /tmp/x; cat /tmp/x; echo > /dev/null")).await, "x\n");
}

#[tokio::test]
async fn two_sandboxes_share_nothing() {
    let one = output(standard("echo secret > /tmp/x; id -u; hostname; echo $$")).await;
    let script = "ls /tmp; id -u; ls -d /proc/[0-9]* | wc -l";
    let first = spawn(standard("echo ready; exec sleep 1000").stdout(Stdio::Pipe));
    line(&mut first.take_stdout().unwrap()).await;
    let other = output(standard(script)).await;
    let (one, other): (Vec<&str>, Vec<&str>) = (one.lines().collect(), other.lines().collect());
    assert_eq!(one[1..], ["sandbox", "2"]);
    let uid: u32 = one[0].parse().unwrap();
    assert!(uid >= 0x7000_0000, "a uid of the host: {uid}");
    // No file in /tmp, another uid while the other one runs, and of processes only init, the shell and its children.
    assert_eq!(other.len(), 2, "{other:?}");
    assert!(other[1].parse::<u32>().unwrap() <= 5, "{other:?}");
    let host_uid = fs::metadata(format!("/proc/{}", first.os_pid())).unwrap().uid();
    assert_ne!(host_uid.to_string(), other[0]);
    first.kill_tree().unwrap();
    within(first.wait()).await;
}

/// Also those that the spawner makes before it knows for whom.
#[tokio::test]
async fn no_two_sandboxes_are_in_one_namespace() {
    let mut sandboxes = Vec::new();
    for round in 0..6 {
        if round == 3 {
            // One that never comes to its program leaves nothing to the next.
            refusal(Spec::new("/no/such/program").level(Level::Standard));
        }
        let sandbox = spawn(standard("echo ready; exec sleep 1000").stdout(Stdio::Pipe));
        line(&mut sandbox.take_stdout().unwrap()).await;
        sandboxes.push(sandbox);
    }
    // With this one, whoever made the others has turned to something else.
    output(standard("true")).await;
    for kind in ["ipc", "uts", "mnt", "pid_for_children", "cgroup"] {
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        let mut all: Vec<_> = sandboxes.iter().map(|sandbox| of(&sandbox.os_pid().to_string())).collect();
        all.push(of("self"));
        // Threads of this program may be elsewhere, but in none that a sandbox is in.
        let threads = fs::read_dir("/proc/self/task").unwrap().flatten();
        let threads: Vec<_> =
            threads.filter_map(|thread| fs::read_link(thread.path().join("ns").join(kind)).ok()).collect();
        assert!(!all[..6].iter().any(|namespace| threads.contains(namespace)), "{kind}");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 7, "{kind}");
    }
    for sandbox in sandboxes {
        sandbox.kill_tree().unwrap();
        within(sandbox.wait()).await;
    }
}

#[tokio::test]
async fn a_granted_folder_is_read_or_written_as_granted() {
    let (source, target) = (folder(), folder());
    fs::write(source.path().join("in"), "given").unwrap();
    fs::set_permissions(source.path().join("in"), fs::Permissions::from_mode(0o600)).unwrap();
    let script = "cat /in/in > /out/out; echo > /in/x; mkdir -m 4755 /out/d; touch /out/s; chmod 4755 /out/s; \
                  chmod 600 /out/out; stat -c %u /out/out; id -u";
    let spec = standard(script)
        .mount(Mount::read_only(source.path()).seen_at("/in"))
        .mount(Mount::writable(target.path()).seen_at("/out"));
    let (_, said, complaints) = run(spec).await;
    assert_eq!(fs::read_to_string(target.path().join("out")).unwrap(), "given");
    assert!(!source.path().join("x").exists());
    let said = String::from_utf8(said).unwrap();
    let ids: Vec<&str> = said.lines().collect();
    assert_eq!(ids[0], ids[1], "inside, the file is its own");
    // Outside it belongs to the one who granted it, and so can't be made set-user-ID.
    let made = fs::metadata(target.path().join("out")).unwrap();
    assert_eq!(made.uid(), fs::metadata(target.path()).unwrap().uid());
    assert_eq!(fs::metadata(target.path().join("s")).unwrap().mode() & 0o7777, 0o644);
    assert!(!target.path().join("d").exists());
    let complaints = String::from_utf8(complaints).unwrap();
    assert!(complaints.contains("not permitted"), "{complaints}");
}

#[tokio::test]
async fn a_descriptor_is_mounted_whatever_becomes_of_its_path() {
    let outer = folder();
    let inner = outer.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("x"), "here").unwrap();
    let fd = OwnedFd::from(File::open(&inner).unwrap());
    fs::rename(&inner, outer.path().join("moved")).unwrap();
    symlink("/etc", &inner).unwrap();
    assert_eq!(output(standard("cat /given/deep/x").mount(Mount::of_fd(fd, "/given/deep"))).await, "here");
}

#[tokio::test]
async fn a_source_that_is_or_leads_through_a_link_is_refused() {
    let place = folder();
    let link = place.path().join("link");
    symlink("/etc", &link).unwrap();
    for source in [link.clone(), link.join("passwd"), place.path().join("missing")] {
        let error = refusal(
            standard("true")
                .mount(Mount::read_only("/usr").seen_at("/a"))
                .mount(Mount::read_only(&source).seen_at("/b")),
        );
        let SpawnError::Stage { stage: Stage::Mount { number, at, step }, errno } = error else {
            panic!("another error: {error}");
        };
        assert_eq!((number, at.as_path(), step), (2, Path::new("/b"), "source"));
        let expected = if source.ends_with("missing") { libc::ENOENT } else { libc::ELOOP };
        assert_eq!(errno, expected, "{}", source.display());
    }
}

#[tokio::test]
async fn a_target_in_a_granted_folder_is_not_made_there_nor_followed_out_of_it() {
    let granted = folder();
    symlink("/usr", granted.path().join("link")).unwrap();
    for (at, errno) in [("/out/new", libc::ENOENT), ("/out/link/share", libc::ELOOP)] {
        let spec = standard("true")
            .mount(Mount::writable(granted.path()).seen_at("/out"))
            .mount(Mount::scratch(at, 1 << 20));
        let SpawnError::Stage { stage: Stage::Mount { number: 2, step: "target", .. }, errno: told } =
            refusal(spec)
        else {
            panic!("{at}: another error");
        };
        assert_eq!(told, errno, "{at}");
    }
    assert_eq!(fs::read_dir(granted.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn what_is_mounted_on_the_source_is_read_only_too() {
    // /dev holds mounts of its own on every machine.
    let spec = standard("cat /proc/self/mountinfo").mount(Mount::read_only("/dev").seen_at("/host"));
    let mounts = output(spec).await;
    let below: Vec<&str> = mounts.lines().filter(|line| line.contains(" /host/")).collect();
    assert!(!below.is_empty(), "no mount below: {mounts}");
    assert!(below.iter().all(|line| line.contains(" ro,")), "{below:?}");
    assert!(
        mounts.lines().filter(|line| line.contains(" /host")).all(|line| line.contains("nodev")),
        "{mounts}"
    );
}

#[tokio::test]
async fn scratch_holds_as_much_as_was_said() {
    let spec = standard("head -c 2000000 /dev/zero > /s/x; stat -c %s /s/x; i=0; while touch /s/$i; do i=$((i+1)); done; echo $i")
        .mount(Mount { source: Source::Scratch { size_bytes: 1 << 20, files: 100 }, ..Mount::scratch("/s", 1) });
    let (_, said, complaints) = run(spec).await;
    let said = String::from_utf8(said).unwrap();
    let figures: Vec<u64> = said.lines().map(|line| line.parse().unwrap()).collect();
    assert!(figures[0] <= 1 << 20, "{figures:?}");
    assert_eq!(figures[1], 99, "one is taken already: {figures:?}");
    assert!(String::from_utf8(complaints).unwrap().contains("No space"));
}

#[tokio::test]
async fn minimal_starts_no_other_program_and_has_no_socket() {
    let python = "import socket; socket.socket(socket.AF_UNIX)";
    let level = Level::Minimal;
    let (exit, _, said) = run(boxed(level, "/bin/true; echo after")).await;
    assert_ne!(exit.cause, ExitCause::Exited(0), "{}", String::from_utf8_lossy(&said));
    assert_eq!(output(boxed(level, "echo alone; echo $$")).await, "alone\n1\n");
    let (exit, ..) = run(boxed(level, &format!("exec python3 -c '{python}'"))).await;
    assert!(!exit.cause.success());
}

#[tokio::test]
async fn the_network_is_empty_or_its_own_loopback() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let dial = format!("bash -c 'echo > /dev/tcp/127.0.0.1/{port}'");
    for network in [Network::Empty, Network::Loopback] {
        let (exit, _, said) = run(standard(&dial).network(network)).await;
        assert!(!exit.cause.success(), "{network:?} reached the host");
        let said = String::from_utf8(said).unwrap();
        let expected = if network == Network::Empty { "unreachable" } else { "refused" };
        assert!(said.contains(expected), "{network:?}: {said}");
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn signals_come_through_to_the_program() {
    let child = spawn(
        standard(
            "trap 'echo usr1' USR1; trap 'echo term; exit 7' TERM; echo ready; while :; do sleep 0.01; done",
        )
        .stdout(Stdio::Pipe),
    );
    let mut stdout = child.take_stdout().unwrap();
    assert_eq!(line(&mut stdout).await, "ready");
    child.signal(Signal::USR1).unwrap();
    assert_eq!(line(&mut stdout).await, "usr1");
    // Stopped it does nothing; the next line can only come after it goes on.
    child.signal(Signal::STOP).unwrap();
    child.signal(Signal::CONT).unwrap();
    child.signal(Signal::TERM).unwrap();
    assert_eq!(line(&mut stdout).await, "term");
    assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(7));
}

#[tokio::test]
async fn stopping_stops_the_program_and_not_who_looks_after_it() {
    let child = spawn(standard("echo ready; exec sleep 1000").stdout(Stdio::Pipe));
    line(&mut child.take_stdout().unwrap()).await;
    child.signal(Signal::STOP).unwrap();
    let state = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next().map(str::to_owned))
    };
    let init = child.os_pid();
    let children = fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
    let program: u32 = children.split_whitespace().next().unwrap().parse().unwrap();
    within(async {
        while state(program).as_deref() != Some("T") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    // It is still there to pass the next signal on.
    child.signal(Signal::CONT).unwrap();
    within(async {
        while state(program).as_deref() == Some("T") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    child.signal(Signal::KILL).unwrap();
    assert_eq!(within(child.wait()).await.cause, ExitCause::Signaled { signal: Signal::KILL, core: false });
}

#[tokio::test]
async fn whatever_it_started_ends_with_it() {
    let marker = folder();
    let script = "for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM HUP; touch /m/$$; while :; do sleep 1; done' &) ; done; \
                  while [ $(ls /m | wc -l) -lt 3 ]; do :; done; echo ready; exit 5";
    // The uid is its own, also afterwards: that of another spawner's sandbox could be the next one's of another test.
    let spawner = LinuxSpawner::new().unwrap();
    let spec = standard(script).mount(Mount::writable(marker.path()).seen_at("/m")).stdout(Stdio::Pipe);
    let child = spawner.spawn(spec).unwrap();
    let uid = fs::metadata(format!("/proc/{}", child.os_pid())).unwrap().uid();
    line(&mut child.take_stdout().unwrap()).await;
    assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(5));
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let is_process = entry.file_name().as_encoded_bytes()[0].is_ascii_digit();
        is_process && entry.metadata().is_ok_and(|metadata| metadata.uid() == uid)
    });
    assert_eq!(left.count(), 0);
}

/// Who could write into its memory could have it outlive its spawner.
#[tokio::test]
async fn who_looks_after_the_program_is_out_of_its_reach() {
    let script = "echo > /proc/1/mem; ls -d /proc/1 /proc/1/fd; kill -KILL 1; kill -STOP 1; echo after";
    let (exit, said, complaints) = run(standard(script)).await;
    assert_eq!((exit.cause, said.as_slice()), (ExitCause::Exited(0), b"after\n".as_slice()));
    assert_eq!(String::from_utf8(complaints).unwrap().lines().count(), 3);
}

#[tokio::test]
async fn orphans_are_collected_inside() {
    // Who is not collected is a zombie for ever, and then this ends by its guard.
    let script = "i=0; while [ $i -lt 50 ]; do (sh -c 'sleep 0.01 &' ); i=$((i+1)); done; \
                  while :; do all=$(ps -o stat=,comm= -e) || exit; case \"$all\" in \
                  *sleep*|*Z*) sleep 0.01;; *ps*) break;; *) exit;; esac; done; echo none";
    let (_, said, _) = run(standard(script)).await;
    assert_eq!(said, b"none\n");
}

#[tokio::test]
async fn a_fork_bomb_meets_its_limit() {
    let spec = standard(
        "i=0; while [ $i -lt 200 ]; do sleep 1000 & i=$((i+1)); done 2>/dev/null; ls -d /proc/[0-9]* | wc -l",
    );
    let limits = Limits { pids: Some(20), ..Limits::default() };
    let (exit, said, _) = run(spec.limits(limits)).await;
    // The shell may give up or go on; it never has more than it may.
    if let Ok(seen) = String::from_utf8(said).unwrap().trim().parse::<u32>() {
        assert!(seen <= 22, "{seen}");
    } else {
        assert!(!exit.cause.success());
    }
}

#[tokio::test]
async fn descriptors_are_given_under_their_numbers() {
    let place = folder();
    fs::write(place.path().join("x"), "seven").unwrap();
    let open = || OwnedFd::from(File::open(place.path().join("x")).unwrap());
    for spec in
        [standard("cat <&7; ls /proc/self/fd | wc -l"), common::shell("cat <&7; ls /proc/self/fd | wc -l")]
    {
        // Three streams, the one given, and the folder that ls reads.
        assert_eq!(output(spec.fd(7, open())).await, "seven5\n");
    }
    let directory = OwnedFd::from(File::open("/").unwrap());
    let SpawnError::Invalid { field: "fds", .. } = refusal(standard("true").fd(3, directory)) else {
        panic!("a directory was given")
    };
    let directory = Stdio::Fd(OwnedFd::from(File::open("/").unwrap()));
    let SpawnError::Invalid { field: "stdin", .. } = refusal(standard("true").stdin(directory)) else {
        panic!("a directory was given")
    };
}

#[tokio::test]
async fn a_program_given_by_descriptor_runs_in_any_sandbox() {
    for init in [Init::Program, Init::Reaper] {
        let program = OwnedFd::from(File::open("/usr/bin/cat").unwrap());
        let spec = Spec::new(program).argv(["cat"]).level(Level::Standard).init(init);
        let spec =
            spec.accept(Guarantee::Memory).accept(Guarantee::Cpu).stdin(Stdio::Pipe).stdout(Stdio::Pipe);
        let child = spawn(spec);
        let mut stdin = child.take_stdin().unwrap();
        stdin.write_all(b"through\n").await.unwrap();
        drop(stdin);
        assert_eq!(line(&mut child.take_stdout().unwrap()).await, "through");
        assert!(within(child.wait()).await.cause.success());
    }
}

#[tokio::test]
async fn what_makes_no_sense_in_a_sandbox_is_named() {
    let refused = |spec: Spec| match refusal(spec) {
        SpawnError::Invalid { field, .. } => field,
        SpawnError::Stage { stage, .. } => panic!("failed at {stage}"),
        error => panic!("{error}"),
    };
    let root = || OwnedFd::from(File::open("/").unwrap());
    assert_eq!(refused(standard("true").cwd(Cwd::Fd(root()))), "cwd");
    assert_eq!(refused(standard("true").on_leader_exit(OnLeaderExit::LeaveGroup)), "on_leader_exit");
    for at in ["relative", "/", "/a/../b", "/a//b", "/a/./b", "/a/", "/proc/x", "/dev", "/dev/shm", "/a\0b"] {
        assert_eq!(refused(standard("true").mount(Mount::scratch(at, 4096))), "mounts.at", "{at:?}");
    }
    assert_eq!(refused(standard("true").mount(Mount::scratch("/a", 0))), "mounts.source");
    assert_eq!(refused(standard("true").mount(Mount::read_only("usr").seen_at("/a"))), "mounts.source");
    let twice = standard("true").mount(Mount::scratch("/a", 4096)).mount(Mount::scratch("/a", 4096));
    assert_eq!(refused(twice), "mounts.at");
    assert_eq!(refused(standard("true").fd(2, root())), "fds");
    let missing = refusal(standard("true").cwd(Cwd::Path("/work".into())));
    assert_eq!(missing, SpawnError::Stage { stage: Stage::Cwd, errno: libc::ENOENT });
}

/// The job that all of this is for.
#[tokio::test]
async fn an_untrusted_job_computes_its_result_and_nothing_else() {
    let (source, target) = (folder(), folder());
    let program = r#"
import json, os, socket, sys
total = sum(int(line) for line in open('/job/numbers'))
def attempt(what):
    try:
        what()
        return 'done'
    except OSError as error:
        return type(error).__name__
port = int(sys.argv[1])
report = {
    'total': total,
    'shadow': attempt(lambda: open('/etc/shadow')),
    'elsewhere': attempt(lambda: open('/usr/local/x', 'w')),
    'source': attempt(lambda: open('/job/x', 'w')),
    'network': attempt(lambda: socket.create_connection(('127.0.0.1', port), 1)),
    'kill': attempt(lambda: os.kill(int(sys.argv[2]), 0)),
}
json.dump(report, open('/result/report.json', 'w'), sort_keys=True)
"#;
    fs::write(source.path().join("job.py"), program).unwrap();
    fs::write(source.path().join("numbers"), "1\n2\n39\n").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let spec = Spec::new("/usr/bin/python3")
        .args(["/job/job.py", &port, &std::process::id().to_string()])
        .level(Level::Standard)
        .accept(Guarantee::Memory)
        .accept(Guarantee::Cpu)
        .mount(Mount::read_only(source.path()).seen_at("/job"))
        .mount(Mount::writable(target.path()).seen_at("/result"));
    let (exit, _, complaints) = run(spec).await;
    assert!(exit.cause.success(), "{}", String::from_utf8_lossy(&complaints));
    let report = fs::read_to_string(target.path().join("report.json")).unwrap();
    assert_eq!(
        report,
        r#"{"elsewhere": "OSError", "kill": "ProcessLookupError", "network": "OSError", "shadow": "FileNotFoundError", "source": "OSError", "total": 42}"#
    );
}

/// Roots are made while other children are between their making and their program, with copies of all descriptors.
#[test]
fn many_threads_may_start_the_first_of_their_kind_at_once() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let runtime = &runtime;
            scope.spawn(move || {
                for round in 0..12 {
                    // A place that no other has makes a root of its own.
                    let place = format!("/place-{thread}-{round}");
                    let child = spawn(standard("exit 0").mount(Mount::scratch(place, 4096)));
                    assert!(runtime.block_on(within(child.wait())).cause.success());
                }
            });
        }
    });
}
