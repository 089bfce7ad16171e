//! Programs in containers, with an engine that is played: what it is asked for, what becomes of its answers, and what is
//! left behind. What every spawner promises is in `conformance.rs`.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "common/engine.rs"]
mod engine;

use std::time::Duration;

use engine::Engine;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uos_proc::{
    Child, ExitCause, Guarantee, Init, Level, Limits, LimitsError, Mount, OciError, OciSpawner, OnDrop,
    PtySize, Signal, SignalError, SpawnError, Spawner, Spec, Stage, Stdio,
};

const NONE: Limits = Limits::NONE;

const MIB: u64 = 1 << 20;

fn started() -> (Engine, OciSpawner) {
    let engine = Engine::start();
    let spawner = OciSpawner::connect(&engine.socket, "test").unwrap();
    (engine, spawner)
}

fn shell(script: &str) -> Spec {
    let spec = Spec::new("/bin/sh").args(["-c", script]).env("PATH", "/usr/bin:/bin");
    [Guarantee::Environment, Guarantee::KillTree, Guarantee::Syscalls].into_iter().fold(spec, Spec::accept)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("this hangs")
}

async fn ready(spawner: &OciSpawner, spec: Spec) -> Child {
    let child = spawner.spawn(spec.stdout(Stdio::Pipe)).unwrap();
    let mut said = [0; 6];
    within(child.take_stdout().unwrap().read_exact(&mut said)).await.unwrap();
    assert_eq!(&said, b"ready\n");
    child
}

fn made(engine: &Engine) -> Value {
    engine.asked("/create").pop().unwrap()
}

#[tokio::test]
async fn a_level_is_told_in_the_engines_words() {
    let (engine, spawner) = started();
    let limits = Limits {
        memory_bytes: Some(64 * MIB),
        pids: Some(9),
        cpu_percent: Some(50),
        cpu_weight: Some(200),
        ..NONE
    };
    let spec = shell("exit 0")
        .limits(limits)
        .mount(Mount::read_only("/srv/in").seen_at("/in"))
        .mount(Mount::writable("/srv/out").seen_at("/out"))
        .mount(Mount::scratch("/s", 1000));
    within(spawner.spawn(spec).unwrap().wait()).await;
    let body = made(&engine);
    let expected = [
        ("Image", json!("test")),
        ("Entrypoint", json!(["/bin/sh"])),
        ("Cmd", json!(["-c", "exit 0"])),
        ("Env", json!(["PATH=/usr/bin:/bin"])),
        ("User", json!("65534:65534")),
        ("WorkingDir", json!("/")),
        ("OpenStdin", json!(false)),
    ];
    for (name, value) in expected {
        assert_eq!(body[name], value, "{name}");
    }
    let host = &body["HostConfig"];
    let expected = [
        ("Memory", json!(64 * MIB)),
        ("MemorySwap", json!(64 * MIB)),
        ("PidsLimit", json!(9)),
        ("NanoCpus", json!(500_000_000)),
        ("CpuShares", json!(2048)),
        ("Init", json!(true)),
        ("ReadonlyRootfs", json!(true)),
        ("CapDrop", json!(["ALL"])),
        ("SecurityOpt", json!(["no-new-privileges"])),
        ("NetworkMode", json!("none")),
        ("IpcMode", json!("private")),
        ("LogConfig", json!({ "Type": "none" })),
    ];
    for (name, value) in expected {
        assert_eq!(host[name], value, "{name}");
    }
    let mount = |place: usize| {
        let mount = &host["Mounts"][place];
        (mount["Source"].clone(), mount["Target"].clone(), mount["ReadOnly"].clone())
    };
    assert_eq!(mount(0), (json!("/srv/in"), json!("/in"), json!(true)));
    assert_eq!(host["Mounts"][0]["BindOptions"]["ReadOnlyForceRecursive"], json!(true));
    assert_eq!(mount(1), (json!("/srv/out"), json!("/out"), json!(false)));
    assert_eq!(host["Tmpfs"]["/s"], json!("rw,noexec,nosuid,nodev,mode=1777,size=1000,nr_inodes=10000"));
    let has_limit = |name: &str, most: u64| {
        let all = host["Ulimits"].as_array().unwrap();
        all.contains(&json!({ "Name": name, "Soft": most, "Hard": most }))
    };
    assert!(has_limit("nofile", 256) && has_limit("core", 0), "{}", host["Ulimits"]);

    within(spawner.spawn(shell("exit 0").level(Level::Minimal)).unwrap().wait()).await;
    let host = &made(&engine)["HostConfig"];
    assert_eq!((&host["Init"], &host["IpcMode"]), (&json!(false), &json!("none")));
    within(spawner.spawn(shell("exit 0").level(Level::Privileged).init(Init::Program)).unwrap().wait()).await;
    let body = made(&engine);
    assert_eq!((&body["User"], &body["HostConfig"]["CapDrop"]), (&Value::Null, &Value::Null));
    assert_eq!(body["HostConfig"]["SecurityOpt"], json!(["no-new-privileges"]));
}

#[tokio::test]
async fn what_no_container_can_have_is_refused_by_field_and_nothing_is_made() {
    let (engine, spawner) = started();
    let file = || std::os::fd::OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let name = std::ffi::OsStr::from_bytes(b"\xff");
    use std::os::unix::ffi::OsStrExt;
    let invalid = [
        ("program", Spec { program: file().into(), ..shell("") }),
        ("args", shell("").arg(name)),
        ("args", shell("").argv(["another", "-c", "x"])),
        ("env", shell("").env("X", name)),
        ("cwd", shell("").cwd(uos_proc::Cwd::Fd(file()))),
        ("stdin", shell("").stdin(Stdio::Fd(file()))),
        ("stdout", shell("").stdout(Stdio::Fd(file()))),
        ("stdio", shell("").on_pty(PtySize::default())),
        ("nice", shell("").nice(3)),
        ("system", shell("").system(false)),
        ("fds", shell("").fd(3, file())),
        ("mounts.source", shell("").mount(Mount::of_fd(file(), "/x"))),
        ("mounts.executable", shell("").mount(Mount::read_only("/x").executable(false))),
        ("limits.memory_bytes", shell("").limits(Limits { memory_bytes: Some(u64::MAX), ..NONE })),
    ];
    for (field, spec) in invalid {
        let planned = spawner.plan(&spec).unwrap_err();
        assert!(
            matches!(&planned, SpawnError::Invalid { field: named, .. } if *named == field),
            "{field}: {planned}"
        );
        assert_eq!(spawner.spawn(spec).unwrap_err(), planned);
    }
    // What the engine does in its own way has to be accepted.
    let Err(SpawnError::NotEnforceable { missing, .. }) = spawner.spawn(Spec::new("/bin/true")) else {
        panic!("a weakened guarantee was not asked about")
    };
    assert_eq!(missing.len(), 3, "{missing:?}");
    assert!(engine.asked("/create").is_empty() && engine.containers().is_empty());
}

#[tokio::test]
async fn a_container_goes_when_it_has_ended_and_was_read() {
    let (engine, spawner) = started();
    let child = spawner.spawn(shell("echo out; echo err >&2").stdout(Stdio::Pipe)).unwrap();
    assert!(within(child.wait()).await.cause.success());
    // It may still be read.
    let mut said = String::new();
    within(child.take_stdout().unwrap().read_to_string(&mut said)).await.unwrap();
    assert_eq!(said, "out\n");
    engine.until_left(0);

    // More than anybody reads, and the last handle is dropped.
    let flood = spawner.spawn(shell("echo ready; exec cat /dev/zero").stdout(Stdio::Pipe)).unwrap();
    let mut stdout = flood.take_stdout().unwrap();
    within(stdout.read_exact(&mut [0; 6])).await.unwrap();
    drop(flood);
    engine.until_left(0);
    let mut left = Vec::new();
    within(stdout.read_to_end(&mut left)).await.unwrap();
    assert!(left.len() <= 4 * MIB as usize, "{} bytes were kept", left.len());

    let lives = ready(&spawner, shell("echo ready; exec sleep 1000").on_drop(OnDrop::Detach)).await;
    drop(lives);
    assert_eq!(engine.containers().len(), 1, "it was let go");
    drop(spawner);
    engine.until_left(0);
}

#[tokio::test]
async fn whoever_holds_a_child_of_a_closed_spawner_hears_of_its_end() {
    let (engine, spawner) = started();
    let child = ready(&spawner, shell("echo ready; exec sleep 1000")).await;
    drop(spawner);
    assert_eq!(within(child.wait()).await.cause, ExitCause::Killed);
    engine.until_left(0);
    assert_eq!(child.signal(Signal::TERM), Err(SignalError::NoSuchProcess));
}

#[tokio::test]
async fn ends_are_told_apart() {
    let (engine, spawner) = started();
    let timed = spawner.spawn(shell("exec sleep 1000").deadline(Duration::from_millis(50))).unwrap();
    assert_eq!(within(timed.wait()).await.cause, ExitCause::TimedOut);
    let child = ready(&spawner, shell("echo ready; exec sleep 1000")).await;
    child.signal(Signal::KILL).unwrap();
    let by_signal = ExitCause::Signaled { signal: Signal::KILL, core: false };
    assert_eq!(within(child.wait()).await.cause, by_signal);
    engine.run_out_of_memory();
    let bomb = within(spawner.spawn(shell("kill -KILL $$")).unwrap().wait()).await;
    assert_eq!((bomb.cause, bomb.events.oom_kills), (ExitCause::OomKilled, 1));
    // Somebody else removed it.
    let taken = ready(&spawner, shell("echo ready; exec sleep 1000")).await;
    let docker = std::os::unix::net::UnixStream::connect(&engine.socket).unwrap();
    let id = engine.containers().pop().unwrap();
    std::io::Write::write_all(&mut &docker, format!("DELETE /containers/{id} HTTP/1.1\r\n\r\n").as_bytes())
        .unwrap();
    assert_eq!(within(taken.wait()).await.cause, ExitCause::Lost);
}

#[tokio::test]
async fn what_is_paused_stands_still_and_can_be_killed() {
    let (engine, spawner) = started();
    let script = "echo ready; while read line; do echo $line; done";
    let spec = shell(script).stdin(Stdio::Pipe).stdout(Stdio::Pipe);
    let child = spawner.spawn(spec).unwrap();
    let (mut stdin, mut stdout) = (child.take_stdin().unwrap(), child.take_stdout().unwrap());
    within(stdout.read_exact(&mut [0; 6])).await.unwrap();
    child.pause().unwrap();
    assert_eq!(child.pause(), Err(SignalError::Refused { errno: libc::EBUSY }), "it is already");
    stdin.write_all(b"x\n").await.unwrap();
    child.resume().unwrap();
    for refused in [child.set_nice(3), child.set_real_time(true)] {
        assert_eq!(refused, Err(SignalError::Refused { errno: libc::EOPNOTSUPP }), "no engine does that");
    }
    within(stdout.read_exact(&mut [0; 2])).await.unwrap();
    child.pause().unwrap();
    child.kill_tree().unwrap();
    assert_eq!(within(child.wait()).await.cause, ExitCause::Killed);
    assert_eq!(child.pause(), Err(SignalError::NoSuchProcess));
    assert_eq!(child.resize(PtySize::default()), Err(SignalError::Refused { errno: libc::ENOTTY }));
    assert!(!engine.asked("/unpause").is_empty());
}

#[tokio::test]
async fn limits_change_while_it_runs() {
    let (engine, spawner) = started();
    let child = ready(&spawner, shell("echo ready; exec sleep 1000")).await;
    let usual = Level::Standard.limits();
    child
        .set_limits(&Limits {
            memory_bytes: Some(32 * MIB),
            memory_swap_bytes: Some(MIB),
            pids: None,
            ..usual
        })
        .unwrap();
    let told = engine.asked("/update").pop().unwrap();
    assert_eq!((&told["Memory"], &told["MemorySwap"]), (&json!(32 * MIB), &json!(33 * MIB)));
    assert_eq!((&told["PidsLimit"], &told["CpuShares"]), (&json!(-1), &Value::Null));
    // What can't be done with an engine is not half done.
    let lifted = child.set_limits(&Limits { cpu_percent: usual.cpu_percent, ..NONE });
    assert_eq!(lifted, Err(LimitsError::Unsupported { name: "memory_bytes" }));
    let fixed = child.set_limits(&Limits { open_files: Some(7), ..usual });
    assert!(matches!(fixed, Err(LimitsError::Invalid { field: "limits.open_files", .. })), "{fixed:?}");
    let zero = child.set_limits(&Limits { pids: Some(0), ..usual });
    assert!(matches!(zero, Err(LimitsError::Invalid { field: "limits.pids", .. })), "{zero:?}");
    assert_eq!(engine.asked("/update").len(), 1);
    engine.refuse("/update", 500, "device or resource busy");
    let refused = child.set_limits(&usual);
    assert!(matches!(refused, Err(LimitsError::Refused { .. })), "{refused:?}");
    child.kill_tree().unwrap();
    within(child.wait()).await;
    assert_eq!(child.set_limits(&usual), Err(LimitsError::NoSuchProcess));
}

#[tokio::test]
async fn usage_is_what_the_engine_said_last() {
    let (engine, spawner) = started();
    let child = ready(&spawner, shell("echo ready; exec sleep 1000")).await;
    let stats = |user_ns: u64, bytes: u64| {
        json!({ "cpu_stats": { "cpu_usage": { "usage_in_usermode": user_ns, "usage_in_kernelmode": 7000 } },
                "memory_stats": { "usage": bytes }, "pids_stats": { "current": 3 } })
    };
    engine.tell_stats(stats(5_000_000, 9000));
    let usage = child.usage();
    assert_eq!((usage.cpu_user_us, usage.cpu_system_us, usage.pids), (5000, 7, Some(3)));
    engine.tell_stats(stats(6_000_000, 4000));
    let usage = child.usage();
    assert_eq!(
        (usage.cpu_user_us, usage.memory_bytes, usage.peak_memory_bytes),
        (6000, Some(4000), Some(9000))
    );
    child.kill_tree().unwrap();
    let exit = within(child.wait()).await;
    assert_eq!((exit.usage.memory_bytes, exit.usage.pids, exit.usage.cpu_user_us), (Some(0), Some(0), 6000));
    assert_eq!(child.usage(), exit.usage);
}

#[tokio::test]
async fn every_step_of_a_start_fails_once_and_leaves_nothing() {
    let (engine, spawner) = started();
    let failed = |stage, errno| SpawnError::Stage { stage, errno };
    for (end, status, message, expected) in [
        ("/create", 404, "No such image: test", failed(Stage::Clone, libc::ENOENT)),
        ("/create", 400, "Minimum memory limit allowed is 6MB", failed(Stage::Clone, libc::EINVAL)),
        ("/attach", 500, "no", failed(Stage::Stdio, libc::EIO)),
        ("/start", 500, "exec format error", failed(Stage::Exec, libc::ENOEXEC)),
    ] {
        engine.refuse(end, status, message);
        assert_eq!(spawner.spawn(shell("exit 0")).unwrap_err(), expected);
        engine.refuse_nothing();
        assert!(engine.containers().is_empty(), "{end}");
    }
    let missing = Spec { args: vec!["/no/such".into()], program: "/no/such".into(), ..shell("") };
    assert_eq!(spawner.spawn(missing).unwrap_err(), failed(Stage::Exec, libc::ENOENT));
    assert!(engine.containers().is_empty());
    // One that has ended before it could be looked at has been started all the same.
    engine.refuse("/json", 500, "no");
    let child = spawner.spawn(shell("exit 3")).unwrap();
    assert_eq!(child.os_pid(), 0);
    assert_eq!(within(child.wait()).await.cause, ExitCause::Exited(3));
}

#[tokio::test]
async fn an_engine_that_is_not_there_and_an_image_that_is_not_are_told() {
    let nowhere = OciSpawner::connect("/no/such/socket", "test").unwrap_err();
    assert!(matches!(nowhere, OciError::Unreachable { .. }), "{nowhere}");
    let engine = Engine::start();
    let missing = OciSpawner::connect(&engine.socket, "another").unwrap_err();
    assert!(matches!(&missing, OciError::NoImage { image, .. } if image == "another"), "{missing}");
    engine.refuse("/info", 500, "no");
    let broken = OciSpawner::connect(&engine.socket, "test").unwrap_err();
    assert!(matches!(broken, OciError::Unreachable { .. }), "{broken}");
}

/// Of a program that was killed, that is: nobody else's are touched.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn containers_of_the_dead_are_removed_by_the_next() {
    let engine = Engine::start();
    let namespace = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata("/proc/self/ns/pid").unwrap());
    let (dead, living) =
        (format!("uos-{namespace}-{}-5-0", i32::MAX), format!("uos-{}-1-5-0", namespace + 1));
    engine.leave_behind("dead", &dead);
    engine.leave_behind("elsewhere", &living);
    engine.leave_behind("foreign", "somebody's");
    let spawner = OciSpawner::connect(&engine.socket, "test").unwrap();
    assert_eq!(engine.containers(), ["elsewhere", "foreign"]);
    let child = ready(&spawner, shell("echo ready; exec sleep 1000")).await;
    let _next = OciSpawner::connect(&engine.socket, "test").unwrap();
    assert_eq!(child.try_wait(), None, "it is ours, and we live");
    assert!(made(&engine)["Labels"]["uos-proc.spawner"].as_str().unwrap().starts_with("uos-"));
}
