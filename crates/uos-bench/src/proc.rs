//! Starting a program and waiting for its end, from bare to fully sandboxed, beside `posix_spawn` and beside bubblewrap
//! in the same shape.
//!
//! The program is the smallest there is: a static one of a single system call, so that what is measured is what
//! surrounds it.

mod parents;

use std::{
    ffi::CString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio as Streams},
    time::Instant,
};

use nix::{
    spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn},
    sys::wait::waitpid,
};
use tokio::runtime::Runtime;
use uos_proc::{Guarantee, Isolation, Level, Limits, LinuxSpawner, Mount, Network, Spawner, Spec, Stdio};

use crate::{
    Result,
    report::{Measurement, summary},
};

/// Many and short, since what else the machine does comes and goes within seconds.
const ROUNDS: usize = 51;
/// Starts in a row, each round.
const STARTS: u32 = 6;
/// Trees to kill.
const TREES: usize = 15;
const TREE: usize = 1000;
const IDLE: usize = 500;

struct World {
    runtime: Runtime,
    spawner: LinuxSpawner,
    bare: LinuxSpawner,
    target: Target,
}

/// What is started.
struct Target {
    folder: tempfile::TempDir,
    program: PathBuf,
}

/// A way to start the program and wait for its end.
type Start<'a> = Box<dyn Fn() -> Result<()> + 'a>;

pub(crate) use parents::be_one as be_a_parent;

pub(crate) fn measure() -> Result<Vec<Measurement>> {
    let world = World::new()?;
    let mut all = beside_posix_spawn(&world)?;
    all.push(elsewhere(&world)?);
    all.push(parents::of_the_peer(&world.target)?);
    all.extend(beside_bubblewrap(&world)?);
    all.extend(parents::measure()?);
    all.push(kill_tree(&world)?);
    all.push(idle(&world)?);
    Ok(all)
}

impl Target {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let program = folder.path().join("true");
        fs::write(&program, smallest())?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Target { folder, program })
    }

    fn posix_spawn(&self) -> Result<()> {
        let path = CString::new(self.program.as_os_str().as_encoded_bytes())?;
        let (actions, attributes) = (PosixSpawnFileActions::init()?, PosixSpawnAttr::init()?);
        let nothing: [CString; 0] = [];
        let pid = posix_spawn(path.as_c_str(), &actions, &attributes, &[&path], &nothing)?;
        waitpid(pid, None)?;
        Ok(())
    }
}

impl World {
    fn new() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let bare = LinuxSpawner::with_isolation(Isolation::NoNamespaces)?;
        Ok(World { runtime, spawner: LinuxSpawner::new()?, bare, target: Target::new()? })
    }

    fn ours(&self, spawner: &LinuxSpawner, spec: Spec) -> Result<()> {
        let child = spawner.spawn(spec)?;
        let exit = self.runtime.block_on(child.wait());
        if exit.cause.success() { Ok(()) } else { Err(format!("it {}", exit.cause).into()) }
    }

    fn privileged(&self) -> Result<()> {
        self.ours(&self.spawner, Spec::new(&self.target.program).level(Level::Privileged))
    }

    fn sandboxed(&self, level: Level) -> Result<()> {
        let spec = Spec::new("/b/true")
            .level(level)
            .mount(Mount::read_only(self.target.folder.path()).seen_at("/b"));
        self.ours(&self.spawner, spec)
    }

    fn without_namespaces(&self) -> Result<()> {
        let spec = Spec::new(&self.target.program)
            .level(Level::Standard)
            .mount(Mount::read_only(self.target.folder.path()));
        let weak = [Guarantee::FsView, Guarantee::Network, Guarantee::Pids, Guarantee::KillTree];
        self.ours(&self.bare, weak.into_iter().fold(spec, Spec::accept))
    }

    fn bubblewrap(&self) -> Result<()> {
        let mut command = Command::new("bwrap");
        command.args([
            "--unshare-all",
            "--new-session",
            "--die-with-parent",
            "--clearenv",
            "--proc",
            "/proc",
        ]);
        command
            .args(["--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind"])
            .arg(self.target.folder.path())
            .arg("/b");
        for place in ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache"] {
            match fs::read_link(place) {
                Ok(to) => command.arg("--symlink").arg(to).arg(place),
                Err(_) => command.args(["--ro-bind-try", place, place]),
            };
        }
        command.arg("/b/true").stdin(Streams::null()).stdout(Streams::null());
        if command.status()?.success() { Ok(()) } else { Err("bubblewrap failed".into()) }
    }
}

fn beside_posix_spawn(world: &World) -> Result<Vec<Measurement>> {
    let peer: Start<'_> = Box::new(|| world.target.posix_spawn());
    let ours: [(&'static str, f64, Start<'_>); 4] = [
        ("start and wait, no sandbox", 1.05, Box::new(|| world.privileged())),
        ("start and wait, no namespaces", 1.8, Box::new(|| world.without_namespaces())),
        ("start and wait, Minimal", 3.5, Box::new(|| world.sandboxed(Level::Minimal))),
        ("start and wait, Standard with its init", 4.8, Box::new(|| world.sandboxed(Level::Standard))),
    ];
    let mut times = vec![Vec::new(); ours.len() + 1];
    for round in 0..=ROUNDS {
        for (place, start) in ours.iter().map(|(.., start)| start).chain([&peer]).enumerate() {
            let took = time(start)?;
            if round > 0 {
                times[place].push(took);
            }
        }
    }
    let spawned = times.pop().unwrap_or_default();
    let rows = ours.into_iter().zip(times);
    Ok(rows
        .map(|((name, most, _), times)| row(name, "posix_spawn", times, spawned.clone(), 1.0 / most))
        .collect())
}

/// From a thread that is not the program's first, which has to ask the spawner's own.
fn elsewhere(world: &World) -> Result<Measurement> {
    let (mut us, mut them) = (Vec::new(), Vec::new());
    let measured = std::thread::scope(|scope| {
        let round = || -> std::result::Result<(), String> {
            let said = |error: Box<dyn std::error::Error>| error.to_string();
            let (ours, peer): (Start<'_>, Start<'_>) =
                (Box::new(|| world.privileged()), Box::new(|| world.target.posix_spawn()));
            (us, them) = turns(&ours, &peer).map_err(said)?;
            Ok(())
        };
        scope.spawn(round).join()
    });
    measured.map_err(|_| "a thread that measured has panicked")??;
    Ok(row("no sandbox, from another thread", "posix_spawn", us, them, 1.0 / 1.05))
}

fn beside_bubblewrap(world: &World) -> Result<Vec<Measurement>> {
    if Command::new("bwrap").arg("--version").output().is_err() {
        return Err("bubblewrap is missing: install the package `bubblewrap`".into());
    }
    let mut all = Vec::new();
    for (name, level) in
        [("Minimal beside bubblewrap", Level::Minimal), ("Standard beside bubblewrap", Level::Standard)]
    {
        let (ours, peer): (Start<'_>, Start<'_>) =
            (Box::new(move || world.sandboxed(level)), Box::new(|| world.bubblewrap()));
        let (us, them) = turns(&ours, &peer)?;
        all.push(row(name, "bwrap --unshare-all", us, them, 3.0));
    }
    Ok(all)
}

/// Until all of them are gone: they all have a uid that nobody else has.
fn kill_tree(world: &World) -> Result<Measurement> {
    let script = format!("i=1; while [ $i -lt {TREE} ]; do sleep 1000 & i=$((i+1)); done; echo ready; wait");
    let mut times = Vec::new();
    for _ in 0..TREES {
        let spec = Spec::new("/bin/sh").arg("-c").arg(&script).env("PATH", "/usr/bin:/bin");
        let limits = Limits { pids: Some(TREE as u64 + 8), memory_bytes: Some(2 << 30), ..Limits::default() };
        let spec = spec.limits(limits).stdout(Stdio::Pipe).network(Network::Empty);
        let child = world.spawner.spawn(spec)?;
        let uid = uid_of(child.os_pid())?;
        let mut said = [0; 6];
        let mut stdout = child.take_stdout().ok_or("no pipe")?;
        world.runtime.block_on(tokio::io::AsyncReadExt::read_exact(&mut stdout, &mut said))?;
        let begun = Instant::now();
        child.kill_tree()?;
        world.runtime.block_on(child.wait());
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        let left = processes_of(uid)?;
        if left > 0 {
            return Err(format!("{left} of {TREE} processes survived").into());
        }
    }
    let worst = times.iter().copied().fold(0.0, f64::max);
    let (best, median) = summary(times, true);
    Ok(Measurement::new(
        "kill a tree of 1,000, the slowest",
        "ms",
        (best, worst),
        ("its own median", (best, median)),
        100.0 / worst,
        ("≤ 100 ms".into(), worst <= 100.0),
        TREES,
    ))
}

/// What an idle child costs the program that started it.
fn idle(world: &World) -> Result<Measurement> {
    let start = || -> Result<_> {
        Ok(world.spawner.spawn(Spec::new("/bin/sleep").arg("1000").level(Level::Standard))?)
    };
    // What is made once is made now.
    drop(start()?);
    let before = resident()?;
    let children = (0..IDLE).map(|_| start()).collect::<Result<Vec<_>>>()?;
    let each = resident()?.saturating_sub(before) as f64 / IDLE as f64;
    drop(children);
    Ok(Measurement::new(
        "memory of an idle child, in its parent",
        "bytes",
        (each, each),
        ("the most it may be", (8192.0, 8192.0)),
        8192.0 / each,
        ("≤ 8192 bytes".into(), each <= 8192.0),
        1,
    ))
}

/// Microseconds a start.
fn time(start: &Start<'_>) -> Result<f64> {
    let begun = Instant::now();
    (0..STARTS).try_for_each(|_| start())?;
    Ok(begun.elapsed().as_secs_f64() * 1e6 / f64::from(STARTS))
}

fn turns(ours: &Start<'_>, peer: &Start<'_>) -> Result<(Vec<f64>, Vec<f64>)> {
    in_turns(ROUNDS, &mut || time(ours), &mut || time(peer))
}

/// Each goes first as often as the other. The first round warms up.
fn in_turns(
    rounds: usize,
    ours: &mut dyn FnMut() -> Result<f64>,
    peer: &mut dyn FnMut() -> Result<f64>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (one, other) = if round % 2 == 0 {
            (ours()?, peer()?)
        } else {
            let other = peer()?;
            (ours()?, other)
        };
        if round > 0 {
            us.push(one);
            them.push(other);
        }
    }
    Ok((us, them))
}

/// Two things beside each other that need not be in any order.
fn compared(name: &'static str, peer_name: &'static str, us: Vec<f64>, them: Vec<f64>) -> Measurement {
    Measurement { target: "–".into(), holds: true, ..row(name, peer_name, us, them, 0.0) }
}

fn row(name: &'static str, peer_name: &'static str, us: Vec<f64>, them: Vec<f64>, least: f64) -> Measurement {
    let n = us.len();
    let ((ours_best, ours), (peer_best, peer)) = (summary(us, true), summary(them, true));
    let ratio = peer / ours;
    Measurement::new(
        name,
        "µs",
        (ours_best, ours),
        (peer_name, (peer_best, peer)),
        ratio,
        (format!("≥ {least:.2} ×"), ratio >= least),
        n,
    )
}

fn uid_of(pid: u32) -> Result<u32> {
    Ok(std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{pid}"))?))
}

fn processes_of(uid: u32) -> Result<usize> {
    let entries = fs::read_dir("/proc")?
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit());
    let of = |path: &Path| uid_of(path.file_name()?.to_str()?.parse().ok()?).ok();
    Ok(entries.filter(|entry| of(&entry.path()) == Some(uid)).count())
}

fn resident() -> Result<u64> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).ok_or("no second figure")?.parse()?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// A static program that exits with 0: header, one segment, three instructions.
fn smallest() -> Vec<u8> {
    let code: &[u8] = if cfg!(target_arch = "x86_64") {
        // mov eax, 231 (exit_group); xor edi, edi; syscall
        &[0xb8, 231, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05]
    } else {
        // mov x8, #94 (exit_group); mov x0, #0; svc #0
        &[0xc8, 0x0b, 0x80, 0xd2, 0x00, 0x00, 0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4]
    };
    let machine: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(2u16.to_le_bytes());
    file.extend(machine.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for word in [BASE + HEADERS, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 1, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for word in [1u32, 5] {
        file.extend(word.to_le_bytes());
    }
    for word in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(word.to_le_bytes());
    }
    file.extend(code);
    file
}
