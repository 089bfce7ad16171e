//! Sandboxes made without the rights of root, and without namespaces.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use uos_proc::{
    Exit, ExitCause, Guarantee, Init, Isolation, Level, LinuxSpawner, Means, Mount, Network, SpawnError,
    Spawner, Spec, Stdio,
};

/// A user that owns nothing, `nobody` by custom.
const NOBODY: u32 = 65534;

fn shell(script: &str) -> Spec {
    let shell = Spec::new("/bin/sh").arg("-c").arg(script).env("PATH", "/usr/bin:/bin");
    shell.level(Level::Standard).accept(Guarantee::Memory).accept(Guarantee::Cpu)
}

async fn run(spawner: &LinuxSpawner, spec: Spec) -> (Exit, String, String) {
    let child = spawner.spawn(spec.stdout(Stdio::Pipe).stderr(Stdio::Pipe)).unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    let (mut stdout, mut stderr) = (child.take_stdout().unwrap(), child.take_stderr().unwrap());
    let all = async {
        tokio::join!(child.wait(), stdout.read_to_string(&mut out), stderr.read_to_string(&mut err)).0
    };
    let exit = tokio::time::timeout(Duration::from_secs(60), all).await.expect("this hangs");
    (exit, out, err)
}

/// Runs the ignored test `role` of this binary as a user without any right.
fn as_nobody(role: &str) {
    // The binary itself may lie where nobody else can look.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = place.path().join("role");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = Command::new(copy);
    command.args(["--exact", role, "--ignored", "--nocapture"]);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    // The spawner's thread is this one: the role ends with it.
    command.current_dir("/");
    let done = loop {
        match command.output() {
            // A child of another test was made while the copy was open for writing, and has not executed yet.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
            done => break done.unwrap(),
        }
    };
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn without_root_a_user_namespace_does() {
    as_nobody("role_without_root");
}

#[tokio::test]
#[ignore = "a role of the test above"]
async fn role_without_root() {
    let spawner = LinuxSpawner::new().unwrap();
    assert_eq!(spawner.isolation(), Ok(Isolation::UserNamespace));
    let missing = spawner.probe().missing(Level::Standard);
    assert!(missing.iter().all(|(guarantee, _)| [Guarantee::Memory, Guarantee::Cpu].contains(guarantee)));

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in"), "given").unwrap();
    let script = "id -u; echo *; cat /given/in > /given/out; echo x > /usr/x; grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status; \
                  echo > /dev/null; unshare -U true; ls -d /proc/[0-9]* | wc -l; cat /etc/shadow";
    let spec = shell(script).mount(Mount::writable(folder.path()).seen_at("/given"));
    let (_, said, complaints) = run(&spawner, spec).await;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "1000", "{said} {complaints}");
    assert!(lines[1].starts_with("bin dev etc given lib"), "{said}");
    assert!(lines[2..5].iter().all(|line| line.ends_with("0000000000000000")), "{said}");
    assert!(lines[5].parse::<u32>().unwrap() <= 5, "{said}");
    for complaint in ["Read-only file system", "not permitted", "shadow"] {
        assert!(complaints.contains(complaint), "{complaints}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("out")).unwrap(), "given");
    assert_eq!(fs::metadata(folder.path().join("out")).unwrap().uid(), NOBODY);

    for init in [Init::Program, Init::Reaper] {
        let (exit, ..) = run(&spawner, shell("exit 7").init(init).network(Network::Loopback)).await;
        assert_eq!(exit.cause, ExitCause::Exited(7));
    }
    let (exit, said, _) = run(&spawner, shell("echo $$").level(Level::Minimal)).await;
    assert_eq!((exit.cause, said.as_str()), (ExitCause::Exited(0), "1\n"));
}

/// Guarantees that take namespaces, accepted as weakened.
fn weakly(spec: Spec) -> Spec {
    [Guarantee::FsView, Guarantee::Network, Guarantee::Pids, Guarantee::KillTree]
        .into_iter()
        .fold(spec, Spec::accept)
}

#[tokio::test]
async fn without_namespaces_landlock_and_seccomp_do_what_they_can() {
    let spawner = LinuxSpawner::with_isolation(Isolation::NoNamespaces).unwrap();
    without_namespaces(&spawner).await;
    nothing_of_the_spawner_is_seen(&spawner).await;
    threads_and_forks_work(&spawner).await;
}

#[test]
fn without_namespaces_and_without_root() {
    as_nobody("role_without_anything");
}

#[tokio::test]
#[ignore = "a role of the test above"]
async fn role_without_anything() {
    let spawner = LinuxSpawner::with_isolation(Isolation::NoNamespaces).unwrap();
    without_namespaces(&spawner).await;
    nothing_of_the_spawner_is_seen(&spawner).await;
    threads_and_forks_work(&spawner).await;
}

/// Its threads' registers, among which may be the key of a filter, and its memory: Landlock keeps them from a program that
/// runs as the same user and was granted a folder that shows all processes.
async fn nothing_of_the_spawner_is_seen(spawner: &LinuxSpawner) {
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let processes = place.path().join("processes");
    symlink("/proc", &processes).unwrap();
    let script = "head -c 1 /proc/$PPID/stat >/dev/null && echo there; \
                  for file in /proc/$PPID/syscall /proc/$PPID/task/*/syscall; do cat $file && echo seen; done; \
                  exec 3</proc/$PPID/mem && echo opened";
    let (_, said, complaints) = run(spawner, weakly(shell(script)).mount(Mount::read_only(&processes))).await;
    assert_eq!(said, "there\n", "{complaints}");
    assert!(complaints.contains("task") && complaints.contains("mem: "), "{complaints}");

    let (_, said, complaints) = run(spawner, shell(script).level(Level::Privileged)).await;
    let traces = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").is_ok_and(|scope| scope != "0\n");
    assert!(traces || said.contains("seen") && said.contains("opened"), "nothing to see: {said}{complaints}");
}

/// The C library does without the call that the filter says is unknown.
async fn threads_and_forks_work(spawner: &LinuxSpawner) {
    let script = "python3 -c 'import os, threading
answers = []
threads = [threading.Thread(target=lambda: answers.append(os.getpid())) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
child = os.fork()
if child == 0: os._exit(7)
print(len(answers), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))'; (exit 3); echo $?; echo piped | cat";
    let (exit, said, complaints) = run(spawner, weakly(shell(script))).await;
    assert_eq!((exit.cause, said.as_str()), (ExitCause::Exited(0), "4 7\n3\npiped\n"), "{complaints}");
}

async fn without_namespaces(spawner: &LinuxSpawner) {
    // Nobody gets less than a level promises without having said so.
    let Err(SpawnError::NotEnforceable { missing, .. }) = spawner.spawn(shell("true")) else {
        panic!("a weakened guarantee was not asked about");
    };
    for (guarantee, why) in &missing {
        let means = spawner.probe().get(Level::Standard, *guarantee).clone();
        assert!(matches!(&means, Means::Weakened { .. }), "{guarantee}: {means}");
        assert_eq!(means.reason(), why);
    }
    let named: Vec<Guarantee> = missing.into_iter().map(|(guarantee, _)| guarantee).collect();
    // What kills a whole tree is a pid namespace or a control group; the latter this machine may have.
    let rest: Vec<Guarantee> =
        named.into_iter().filter(|guarantee| *guarantee != Guarantee::KillTree).collect();
    assert_eq!(rest, [Guarantee::FsView, Guarantee::Network, Guarantee::Pids]);

    let (granted, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&granted, &kept] {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(folder.path().join("x"), "content").unwrap();
    }
    let (granted, kept) = (granted.path().display(), kept.path().display());
    let script = format!(
        "cat {granted}/x; echo y > {granted}/y; cat {kept}/x; echo y > {kept}/y; cat /etc/passwd; \
         python3 -c 'import socket; socket.socket(socket.AF_INET)'; grep -E 'Cap(Prm|Eff)|NoNew|Seccomp:' /proc/self/status"
    );
    let spec =
        weakly(shell(&script)).mount(Mount::writable(granted.to_string())).mount(Mount::read_only("/proc"));
    // /proc is nobody's to mount, and so not to grant either.
    let refused = spawner.plan(&spec).unwrap_err();
    assert!(matches!(refused, SpawnError::Invalid { field: "mounts.at", .. }), "{refused}");
    let spec = weakly(shell(&script)).mount(Mount::writable(granted.to_string()));
    let (_, said, complaints) = run(spawner, spec).await;
    assert_eq!(said, "content");
    assert_eq!(fs::read_to_string(format!("{granted}/y")).unwrap(), "y\n");
    assert!(!Path::new(&format!("{kept}/y")).exists());
    assert!(complaints.matches("ermission denied").count() >= 4, "{complaints}");
    assert!(complaints.contains("not supported by protocol"), "{complaints}");

    let elsewhere = weakly(shell("true")).mount(Mount::read_only("/usr").seen_at("/x"));
    assert!(matches!(spawner.spawn(elsewhere), Err(SpawnError::Invalid { field: "mounts.at", .. })));
    let scratch = weakly(shell("true")).mount(Mount::scratch("/x", 4096));
    assert!(matches!(spawner.spawn(scratch), Err(SpawnError::Invalid { field: "mounts.source", .. })));
}

#[test]
fn a_way_that_cannot_be_had_says_why() {
    // Root has no use for a user namespace; others have not its rights.
    let (wanted, lacks) = match rustix::process::geteuid().is_root() {
        true => (Isolation::UserNamespace, "not root"),
        false => (Isolation::Root, "rights of root"),
    };
    let spawner = LinuxSpawner::with_isolation(wanted).unwrap();
    assert!(spawner.isolation().unwrap_err().contains(lacks));
    let Err(SpawnError::NotEnforceable { level: Level::Minimal, missing }) =
        spawner.plan(&Spec::new("/bin/true").level(Level::Minimal))
    else {
        panic!("a sandbox in a way that is not to be had");
    };
    assert!(missing.iter().any(|(guarantee, why)| *guarantee == Guarantee::FsView && why.contains(lacks)));
}
