//! Filesystems beside their peers: in memory beside the `vfs` crate's and the host's tmpfs, folders of the host
//! beside cap-std, large files beside plain copying.
//!
//! Both sides are used by path, as somebody would who takes the crate alone.

mod fuse;
mod large;
mod rows;
mod worlds;

use std::{hint::black_box, time::Instant};

use rows::{Bar, Row, alone, in_turns, row};
use uos_vfs::{FileSystem, LocalFs, MemFs, OpenOptions, OverlayFs};
use worlds::{Cap, Done, Host, MemoryFs, Ours, World};

use crate::{
    Result,
    report::{Measurement, summary},
};

const MANY: u32 = 100_000;
const MILLION: u32 = 1_000_000;

pub(crate) fn measure() -> Result<Vec<Measurement>> {
    all().map_err(|failure| failure as Box<dyn std::error::Error>)
}

/// One round of a measurement that has a process of its own for each.
pub(crate) fn one_round_of(which: &str) -> Result<()> {
    large::round(which).map_err(|failure| failure as Box<dyn std::error::Error>)
}

fn all() -> Done<Vec<Measurement>> {
    // First, while the process has no memory lying idle.
    let mut all = million()?;
    let shown = tempfile::tempdir_in("/dev/shm")?;
    let capped = tempfile::tempdir_in("/dev/shm")?;
    let ours = Ours(MemFs::builder().build());
    let memory = MemoryFs(::vfs::MemoryFS::new());
    let tmpfs = Host(capped.path().to_owned());
    let local = Ours(LocalFs::open(shown.path(), false)?);
    let cap = Cap::open(capped.path())?;
    let worlds: [&dyn World; 5] = [&ours, &memory, &tmpfs, &local, &cap];
    for world in &worlds[..4] {
        world.make_dirs("/a/b/c")?;
        world.create_empty("/a/b/c/file")?;
    }
    let cores = std::thread::available_parallelism()?.get() as u32;
    let overlays = Overlays::lay()?;
    let mut rows = Vec::new();
    for (name, us, peer, peer_name, threads, ops, least) in [
        (
            "MemFs cycle of 1 KiB, 1 thread",
            &ours as &dyn World,
            &memory as &dyn World,
            "vfs MemoryFS",
            1,
            20_000,
            1.0,
        ),
        ("MemFs cycle of 1 KiB, 1 thread", &ours, &tmpfs, "std::fs on tmpfs", 1, 4_000, 15.0),
        ("MemFs cycle of 1 KiB, all cores", &ours, &memory, "vfs MemoryFS", cores, 20_000, 1.6),
        ("LocalFs cycle of 1 KiB", &local, &cap, "cap-std", 1, 2_000, 1.0 / 1.15),
    ] {
        let cycles = move |world: &dyn World| cycles(world, threads, ops);
        let (ours, peer) = (move || cycles(us), move || cycles(peer));
        rows.push(Row::new(name, peer_name, "ns", Bar::Ratio(least), ours, peer));
    }
    rows.push(Row::new(
        "MemFs cycle, a core of all for one alone",
        "itself on 1 core",
        "ns",
        Bar::Ratio(0.8),
        // A core's time for one cycle while all are busy.
        || Ok(cycles(&ours, cores, 20_000)? * f64::from(cores)),
        || cycles(&ours, 1, 20_000),
    ));
    for (name, us, peer, peer_name, ops, least) in [
        ("MemFs stat, 4 deep", &ours as &dyn World, &memory as &dyn World, "vfs MemoryFS", 100_000, 0.5),
        ("LocalFs stat, 4 deep", &local, &cap, "cap-std", 10_000, 1.0 / 1.15),
    ] {
        let (ours, peer) = (move || stats(us, ops), move || stats(peer, ops));
        rows.push(Row::new(name, peer_name, "ns", Bar::Ratio(least), ours, peer));
    }
    rows.extend(overlays.rows());
    all.extend(in_turns(rows)?);
    for world in &worlds[..3] {
        world.make_dirs("/many")?;
        for nth in 0..MANY {
            world.create_empty(&format!("/many/file{nth}"))?;
        }
    }
    let lists = |world: &dyn World| {
        let begun = Instant::now();
        let seen = world.list("/many")?;
        if seen == MANY as usize {
            Ok(begun.elapsed().as_secs_f64() * 1e6)
        } else {
            Err("entries are missing".into())
        }
    };
    let listed = |peer_name, bar, peer| {
        let (ours, peer) = (|| lists(&ours), move || lists(peer));
        Row::new("MemFs list of 100,000", peer_name, "µs", bar, ours, peer)
    };
    // Not among the others, which it would leave less of the caches.
    all.extend(in_turns(vec![
        listed("vfs MemoryFS", Bar::Ratio(1.3), &memory),
        listed("std::fs on tmpfs", Bar::Compared, &tmpfs),
    ])?);
    drop((ours, memory));
    all.extend(large::measure()?);
    all.extend(fuse::measure()?);
    Ok(all)
}

/// Nanoseconds for one cycle, of as many threads together as there are, each in a directory of its own.
fn cycles(world: &dyn World, threads: u32, ops: u32) -> Done<f64> {
    for thread in 0..threads {
        world.make_dirs(&format!("/t{thread}"))?;
    }
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let path = format!("/t{thread}/file");
                    let mut back = Vec::with_capacity(2048);
                    for _ in 0..ops {
                        world.cycle(&path, &mut back)?;
                    }
                    if back == worlds::KIB { Done::Ok(()) } else { Err("not what was written".into()) }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })?;
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(threads * ops))
}

fn stats(world: &dyn World, ops: u32) -> Done<f64> {
    let begun = Instant::now();
    for _ in 0..ops {
        black_box(world.stat(black_box("/a/b/c/file"))?);
    }
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(ops))
}

/// Three layers, each of which has the directories and only the lowest the file; one layer; and none.
struct Overlays {
    three: Ours<OverlayFs>,
    one: Ours<OverlayFs>,
    plain: Ours<MemFs>,
}

impl Overlays {
    fn lay() -> Done<Overlays> {
        let layers: Vec<MemFs> = (0..3).map(|_| MemFs::builder().build()).collect();
        for layer in &layers {
            layer.create_dir("/a/b/c")?;
        }
        layers[2].create("/a/b/c/file", 0o644)?;
        let laid = |from: usize| {
            let lowers = layers[from..].iter().map(MemFs::root);
            OverlayFs::new(lowers, MemFs::builder().build().root()).map(Ours)
        };
        let plain = MemFs::builder().build();
        plain.create_dir("/a/b/c")?;
        plain.create("/a/b/c/file", 0o644)?;
        Ok(Overlays { three: laid(0)?, one: laid(2)?, plain: Ours(plain) })
    }

    /// Stat through three of them, beside one; and what is made above them.
    fn rows(&self) -> [Row<'_>; 3] {
        let (stat, cycle) = ("OverlayFs stat through 3 layers", "OverlayFs cycle of 1 KiB over 3 layers");
        let stats = |world| move || stats(world, 100_000);
        let cycles = |world| move || cycles(world, 1, 20_000);
        let (three, one, plain): (&dyn World, &dyn World, &dyn World) = (&self.three, &self.one, &self.plain);
        [
            Row::new(stat, "through 1 layer", "ns", Bar::Ratio(0.5), stats(three), stats(one)),
            Row::new(stat, "MemFs alone", "ns", Bar::Compared, stats(three), stats(plain)),
            Row::new(cycle, "MemFs alone", "ns", Bar::Compared, cycles(three), cycles(plain)),
        ]
    }
}

/// A million empty files in a hundred directories: what they take, and what a snapshot of them costs.
fn million() -> Done<Vec<Measurement>> {
    let before = resident_bytes()?;
    let fs = MemFs::builder().build();
    for dir in 0..100 {
        fs.create_dir(format!("/d{dir}"))?;
        for nth in 0..MILLION / 100 {
            fs.create(format!("/d{dir}/file{nth}"), 0o644)?;
        }
    }
    let each = (resident_bytes()? - before) / f64::from(MILLION);
    let mut all = vec![alone("memory of an empty file", "bytes", Bar::Most(300.0), vec![each])];
    fs.write("/d0/file0", worlds::KIB)?;
    let file = fs.open("/d0/file0", &OpenOptions::write_only())?;
    let (mut take, mut first, mut plain) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..200 {
        let written = |offset: u64| {
            let begun = Instant::now();
            file.handle().write_at(offset, b"x").map(|_| begun.elapsed().as_nanos() as f64)
        };
        written(0)?;
        plain.push(written(1)?);
        let begun = Instant::now();
        let snapshot = fs.snapshot();
        take.push(begun.elapsed().as_nanos() as f64 / 1e3);
        first.push(written(2)?);
        drop(snapshot);
        black_box(round);
    }
    all.push(alone("snapshot of a million files", "µs", Bar::Most(5.0), take));
    let ((ours_best, ours), (peer_best, peer)) = (summary(first, true), summary(plain, true));
    all.push(row(
        "first write after a snapshot",
        "a plain write",
        "ns",
        Bar::Ratio(1.0 / 3.0),
        (ours, ours_best),
        (peer, peer_best),
        200,
    ));
    let (mut differ, mut fork) = (Vec::new(), Vec::new());
    for round in 0..15u32 {
        let (old, begun) = (fs.snapshot(), Instant::now());
        let other = old.fork();
        fork.push(begun.elapsed().as_nanos() as f64 / 1e3);
        drop(other);
        for nth in 0..10 {
            fs.write(format!("/d{nth}/file{round}"), "changed")?;
        }
        let (new, begun) = (fs.snapshot(), Instant::now());
        let changes = old.diff(&new)?;
        differ.push(begun.elapsed().as_nanos() as f64 / 1e3);
        if changes.len() != 10 {
            return Err("ten files have changed".into());
        }
    }
    all.push(alone("fork of a million files", "µs", Bar::Compared, fork));
    all.push(alone("diff of 10 changes in a million files", "µs", Bar::Compared, differ));
    Ok(all)
}

fn resident_bytes() -> Done<f64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: f64 = statm.split(' ').nth(1).ok_or("statm tells the resident pages")?.parse()?;
    Ok(pages * rustix::param::page_size() as f64)
}
