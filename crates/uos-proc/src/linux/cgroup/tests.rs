//! Random changes of random limits: on trees of plain files, where any write can be made to fail, and on this
//! machine's own, where the kernel is the judge.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::bounds::Bounds;
use super::dir::Dir;
use super::group::{Group, State};
use super::layout::Layout;
use super::nest::Cpu;
use super::trees::Trees;
use super::v1::V1;
use super::v2::V2;
use super::{Abilities, Controllers, Events};

/// The files of one group, as a kernel would have them.
struct FakeGroup {
    root: tempfile::TempDir,
    is_v2: bool,
}

const V1_FILES: [(&str, &str); 6] = [
    ("memory/memory.limit_in_bytes", "-1"),
    ("memory/memory.memsw.limit_in_bytes", "-1"),
    ("cpu/cpu.cfs_period_us", "100000"),
    ("cpu/cpu.cfs_quota_us", "-1"),
    ("cpu/cpu.shares", "1024"),
    ("pids/pids.max", "max"),
];

const V2_FILES: [(&str, &str); 8] = [
    ("memory.current", "0"),
    ("memory.max", "max"),
    ("memory.high", "max"),
    ("memory.swap.max", "max"),
    ("memory.oom.group", "0"),
    ("cpu.max", "max 100000"),
    ("cpu.weight", "100"),
    ("pids.max", "max"),
];

impl FakeGroup {
    fn new(is_v2: bool) -> Self {
        // A disk would be written to each time a file is cut to nothing.
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        for dir in ["memory", "cpu", "pids"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        let files: &[(&str, &str)] = if is_v2 { &V2_FILES } else { &V1_FILES };
        for (file, value) in files {
            fs::write(root.path().join(file), value).unwrap();
        }
        FakeGroup { root, is_v2 }
    }

    fn controllers(&self) -> Box<dyn Controllers> {
        let dir = |name: &str| Arc::new(Dir::open(&self.root.path().join(name)).unwrap());
        if self.is_v2 {
            return Box::new(V2 { dir: dir(""), memory: true, cpu: true, pids: true });
        }
        let (memory, cpu, pids) = (dir("memory"), Arc::new(Cpu::new(dir("cpu"), false)), dir("pids"));
        Box::new(V1 { memory: Some(memory), cpu: Some(cpu), cpuacct: None, pids: Some(pids) })
    }

    fn group(&self) -> Group {
        let controllers = self.controllers();
        controllers.prepare().unwrap();
        let state = Mutex::new(State::default());
        Group {
            name: "g".to_owned(),
            dirs: Vec::new(),
            v2: None,
            births: Arc::default(),
            controllers,
            hold: None,
            real_time: None,
            spot: None,
            state,
        }
    }

    /// What is in force: memory, memory and swap (or swap alone), quota, weight, pids.
    fn values(&self) -> Vec<String> {
        let files: &[&str] = match self.is_v2 {
            true => &["memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"],
            false => &[
                "memory/memory.limit_in_bytes",
                "memory/memory.memsw.limit_in_bytes",
                "cpu/cpu.cfs_quota_us",
                "cpu/cpu.shares",
                "pids/pids.max",
            ],
        };
        files.iter().map(|file| fs::read_to_string(self.root.path().join(file)).unwrap()).collect()
    }

    /// What should be in force, put down once more and differently.
    fn expected(&self, bounds: &Bounds) -> Vec<String> {
        let swap = bounds.swap_bytes.unwrap_or(0);
        let weight = u64::from(bounds.cpu_weight.unwrap_or(100));
        let quota = bounds.cpu_percent.map(|percent| u64::from(percent) * 1000);
        let text = |number: Option<u64>, none: &str| number.map_or(none.to_owned(), |n| n.to_string());
        match self.is_v2 {
            true => vec![
                text(bounds.memory_bytes, "max"),
                text(bounds.memory_bytes.map(|_| swap), "max"),
                text(quota, "max") + " 100000",
                weight.to_string(),
                text(bounds.pids, "max"),
            ],
            false => vec![
                text(bounds.memory_bytes, "-1"),
                text(bounds.memory_bytes.map(|memory| memory + swap), "-1"),
                text(quota, "-1"),
                (weight * 1024 / 100).to_string(),
                text(bounds.pids, "max"),
            ],
        }
    }

    /// Has every write to a file fail while `act` goes on.
    fn without<T>(&self, file: &str, act: impl FnOnce() -> T) -> T {
        let (path, aside) = (self.root.path().join(file), self.root.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        fs::create_dir(&path).unwrap();
        let result = act();
        fs::remove_dir(&path).unwrap();
        fs::rename(&aside, &path).unwrap();
        result
    }
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let memory = prop::option::of(1u64..1 << 40);
    let swap = prop::option::of(0u64..1 << 40);
    let pids = prop::option::of(1u64..1 << 22);
    let percent = prop::option::of(1u32..100_000);
    let weight = prop::option::of(1u32..=10_000);
    (memory, swap, pids, percent, weight).prop_map(|(memory_bytes, swap, pids, cpu_percent, cpu_weight)| {
        Bounds { memory_bytes, swap_bytes: memory_bytes.and(swap), pids, cpu_percent, cpu_weight }
    })
}

proptest! {
    #[test]
    fn changes_are_made_whole_or_not_at_all(
        is_v2: bool,
        steps in prop::collection::vec((bounds(), prop::option::of(any::<prop::sample::Index>())), 1..12),
    ) {
        let fake = FakeGroup::new(is_v2);
        let group = fake.group();
        let mut now = Bounds::default();
        for (next, fault) in steps {
            match fault {
                None => {
                    group.set(&next).unwrap();
                    now = next;
                }
                Some(fault) => {
                    let files: Vec<&str> = match is_v2 {
                        true => vec!["memory.max", "memory.swap.max", "cpu.max", "cpu.weight", "pids.max"],
                        false => V1_FILES.iter().map(|(file, _)| *file).filter(|file| !file.contains("period")).collect(),
                    };
                    let before = fake.values();
                    match fake.without(files[fault.index(files.len())], || group.set(&next)) {
                        // It was not to be written.
                        Ok(()) => now = next,
                        Err(refused) => {
                            prop_assert_eq!(refused.errno, libc::EISDIR);
                            prop_assert_eq!(fake.values(), before);
                        }
                    }
                }
            }
            prop_assert_eq!(fake.values(), fake.expected(&now));
        }
    }
}

/// A limit below what is used is refused with the second version as with the first, instead of killing at once.
#[test]
fn a_limit_below_what_is_in_use_is_refused() {
    let fake = FakeGroup::new(true);
    let group = fake.group();
    fs::write(fake.root.path().join("memory.current"), "5000000\n").unwrap();
    let bounds =
        |memory_bytes| Bounds { memory_bytes: Some(memory_bytes), pids: Some(3), ..Bounds::default() };
    let refused = group.set(&bounds(4_000_000)).unwrap_err();
    assert_eq!((refused.field, refused.errno), ("memory_bytes", libc::EBUSY));
    assert_eq!(fake.values(), fake.expected(&Bounds::default()));
    assert_eq!(fs::read_to_string(fake.root.path().join("memory.high")).unwrap(), "max");
    group.set(&bounds(6_000_000)).unwrap();
}

#[test]
fn a_group_that_is_used_again_counts_anew() {
    let fake = FakeGroup::new(false);
    let write = |file: &str, text: &str| fs::write(fake.root.path().join(file), text).unwrap();
    let count = |kills: u64, denials: u64, peak: u64| {
        write("memory/memory.oom_control", &format!("oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n"));
        write("pids/pids.events", &format!("max {denials}\n"));
        write("pids/pids.peak", &format!("{peak}\n"));
    };
    let group = fake.group();
    count(7, 9, 20);
    for file in ["memory/memory.usage_in_bytes", "memory/memory.max_usage_in_bytes"] {
        write(file, "4096\n");
    }
    write("pids/pids.current", "1\n");
    assert!(!group.renew().unwrap(), "somebody has not been collected yet");
    write("pids/pids.current", "0\n");
    assert!(group.renew().unwrap());
    assert_eq!(group.events(), Events::default());
    assert_eq!(group.usage().pids_peak, None);
    count(8, 12, 21);
    assert_eq!(group.events(), Events { oom_kills: 1, pids_denials: 3 });
    assert_eq!(group.usage().pids_peak, Some(21));
}

/// Where one tree divides processor time and counts it, what was counted in groups of several counts on.
#[test]
fn processor_time_is_counted_wherever_it_was_spent() {
    let root = tempfile::tempdir().unwrap();
    let dir = |name: &str, user: u64, system: u64| {
        let path = root.path().join(name);
        let _ = fs::create_dir(&path);
        fs::write(path.join("cpuacct.usage_user"), format!("{user}\n")).unwrap();
        fs::write(path.join("cpuacct.usage_sys"), format!("{system}\n")).unwrap();
        Arc::new(Dir::open(&path).unwrap())
    };
    let own = dir("own", 1_000, 2_000);
    let cpu = Arc::new(Cpu::new(Arc::clone(&own), true));
    let v1 = V1 { cpu: Some(Arc::clone(&cpu)), ..V1::default() };
    let spent = || (v1.spent().cpu_user_us.unwrap(), v1.spent().cpu_system_us.unwrap());
    assert_eq!(spent(), (1, 2));
    cpu.is_now(dir("first", 0, 0));
    assert_eq!(spent(), (1, 2));
    dir("first", 30_000, 40_000);
    cpu.is_now(dir("second", 0, 0));
    dir("second", 100_000, 200_000);
    assert_eq!(spent(), (131, 242));
    // It has not been removed: somebody is still about to end in there.
    cpu.is_now(dir("first", 31_000, 41_000));
    let before = spent();
    assert!(before.0 >= 131 && before.1 >= 242 && before.0 <= 132 && before.1 <= 243, "{before:?}");
    dir("first", 32_000, 43_000);
    assert_eq!(spent(), (before.0 + 1, before.1 + 2));
    cpu.is_now(own);
    for gone in ["first", "second"] {
        fs::remove_dir_all(root.path().join(gone)).unwrap();
    }
    assert_eq!(spent(), (before.0 + 1, before.1 + 2));
    dir("own", 2_000, 3_000);
    assert_eq!(spent(), (before.0 + 2, before.1 + 3));
}

#[test]
fn swap_that_is_not_accounted_for_is_left_alone() {
    for (is_v2, file) in [(false, "memory/memory.memsw.limit_in_bytes"), (true, "memory.swap.max")] {
        let fake = FakeGroup::new(is_v2);
        fs::remove_file(fake.root.path().join(file)).unwrap();
        let group = fake.group();
        let bounds = Bounds { memory_bytes: Some(1 << 20), ..Bounds::default() };
        group.set(&bounds).unwrap();
        let refused = group.set(&Bounds { swap_bytes: Some(4096), ..bounds }).unwrap_err();
        assert_eq!((refused.field, refused.errno), ("memory_swap_bytes", libc::ENODEV));
    }
}

/// Who dies is not held to a share of a processor; who comes next is again.
#[test]
fn a_quota_is_lifted_from_the_dying_alone() {
    for is_v2 in [false, true] {
        let fake = FakeGroup::new(is_v2);
        let group = fake.group();
        let bounds =
            Bounds { memory_bytes: Some(1 << 20), cpu_percent: Some(5), pids: Some(7), ..Bounds::default() };
        group.set(&bounds).unwrap();
        group.lift_quota();
        assert_eq!(fake.values(), fake.expected(&Bounds { cpu_percent: None, ..bounds }));
        group.set(&bounds).unwrap();
        assert_eq!(fake.values(), fake.expected(&bounds));
    }
}

/// Where nothing can be written, nothing is promised, and every reason is told.
#[test]
fn a_machine_without_trees_can_do_nothing() {
    let trees = Trees::open(&Layout::default());
    let Abilities { memory, swap, pids, cpu, nest, hold } = trees.abilities.clone();
    for ability in [memory, swap, pids, cpu, nest, hold] {
        assert!(!ability.unwrap_err().is_empty());
    }
    let nowhere = Layout { v2: Some("/no/such/tree".into()), ..Layout::default() };
    assert!(Trees::open(&nowhere).abilities.hold.is_err());
}

/// The trees of this machine. A test that needs them and hasn't got them fails, and says what is missing.
fn trees() -> Trees {
    let trees = Trees::open(&Layout::of_this_program());
    let Abilities { memory, pids, cpu, hold, .. } = &trees.abilities;
    for ability in [memory, pids, cpu, hold] {
        assert!(ability.is_ok(), "this test needs root and control groups: {ability:?}");
    }
    trees
}

/// Removes a group when a test ends, however it ends.
struct Made<'a>(&'a Trees, Group);

impl Drop for Made<'_> {
    fn drop(&mut self) {
        let _ = self.0.remove(&self.1.name);
        let _ = self.0.close();
    }
}

/// The kernel has the last word on what is in force.
#[test]
fn the_kernel_is_held_to_the_same() {
    let trees = trees();
    let made = Made(&trees, trees.make().unwrap());
    let group = &made.1;
    let files: BTreeMap<&str, PathBuf> = group
        .dirs
        .iter()
        .flat_map(|dir| {
            let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(dir));
            let path = fs::read_link(format!("/proc/self/fd/{fd}")).unwrap();
            ["memory.limit_in_bytes", "memory.max", "pids.max", "cpu.cfs_quota_us", "cpu.max"]
                .map(|file| (file, path.join(file)))
        })
        .filter(|(_, path)| path.exists())
        .collect();
    let first = |one: &str, other: &str| {
        let text =
            fs::read_to_string(files.get(one).or(files.get(other)).map_or(Path::new(""), PathBuf::as_path));
        text.unwrap().split_whitespace().next().unwrap().to_owned()
    };
    let config = ProptestConfig { cases: 200, ..ProptestConfig::default() };
    proptest!(config, |(mut next in bounds())| {
        // A parent that is held to less refuses a larger quota, and all numbers of processes there are is the most.
        next.pids = next.pids.map(|pids| pids % 4_000_000 + 1);
        // A multiple of every page size in use.
        next.memory_bytes = next.memory_bytes.map(|bytes| (bytes >> 16 << 16).max(1 << 16));
        group.set(&next).unwrap();
        if let Some(bytes) = next.memory_bytes {
            prop_assert_eq!(first("memory.limit_in_bytes", "memory.max"), bytes.to_string());
        }
        prop_assert_eq!(first("pids.max", ""), next.pids.map_or("max".to_owned(), |pids| pids.to_string()));
        let quota = next.cpu_percent.map(|percent| (u64::from(percent) * 1000).to_string());
        let none = if files.contains_key("cpu.max") { "max" } else { "-1" };
        prop_assert_eq!(first("cpu.cfs_quota_us", "cpu.max"), quota.unwrap_or_else(|| none.to_owned()));
    });
    // What the kernel refuses leaves everything as it was.
    let refused =
        group.set(&Bounds { pids: Some(u64::MAX), memory_bytes: Some(1 << 20), ..Bounds::default() });
    assert_eq!(refused.unwrap_err().field, "pids");
}
