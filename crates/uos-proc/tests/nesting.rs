//! Programs in groups of several, by the machine's own tree of control groups that divides processor time. Where there
//! is none that can, that is said, and every test of them asks for that instead.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use common::{line, shell, within};
use proptest::prelude::*;
use uos_proc::{Child, CpuGroup, Limits, LinuxSpawner, SignalError, Spawner, Stdio};

fn group(id: u64, weight: u32) -> CpuGroup {
    CpuGroup { id, weight }
}

/// A spawner, if this machine can. Otherwise it says why and refuses.
fn spawner() -> Option<LinuxSpawner> {
    let spawner = LinuxSpawner::new().unwrap();
    if spawner.nesting().is_enforced() {
        return Some(spawner);
    }
    assert!(!spawner.nesting().reason().is_empty());
    assert!(!has_tree_of_its_own(), "{}", spawner.nesting());
    let child = sleeper(&spawner);
    assert_eq!(child.set_cpu_groups(&[group(1, 100)]), Err(SignalError::Refused { errno: 95 }));
    child.set_cpu_groups(&[]).unwrap();
    None
}

/// Whether CPU time, and nothing else, is divided in one of this machine's trees.
fn has_tree_of_its_own() -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let options = mounts.lines().filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [_, _, "cgroup", options, ..] => Some(options.to_owned()),
        _ => None,
    });
    let names = ["cpu", "cpuacct", "cpuset", "memory", "pids", "freezer", "devices", "blkio"];
    let mut controllers = options.map(|options| {
        options.split(',').filter(|one| names.contains(one)).map(str::to_owned).collect::<Vec<_>>()
    });
    controllers.any(|controllers| controllers == ["cpu"])
}

fn sleeper(spawner: &LinuxSpawner) -> Child {
    spawner.spawn(shell("exec sleep 1000").grouped(true)).unwrap()
}

/// Its directory in the tree.
fn place(pid: u32) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let own = groups.lines().find_map(|line| {
        let (names, path) = line.split_once(':')?.1.split_once(':')?;
        names.split(',').any(|name| name == "cpu").then(|| path.trim_start_matches('/').to_owned())
    });
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let root = mounts.lines().find_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[2] == "cgroup" && words[3].split(',').any(|option| option == "cpu"))
            .then(|| words[1].to_owned())
    });
    PathBuf::from(root.unwrap()).join(own.unwrap())
}

/// The groups around it, from the outside in, with their shares.
fn around(pid: u32) -> Vec<(String, String)> {
    let mut around = Vec::new();
    let own = place(pid);
    for dir in own.ancestors().skip(1) {
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        if name.starts_with("uos-") {
            break;
        }
        around.insert(0, (name, read(dir.join("cpu.shares"))));
    }
    around
}

fn read(file: PathBuf) -> String {
    fs::read_to_string(file).unwrap().trim().to_owned()
}

fn home(pid: u32) -> PathBuf {
    let own = place(pid);
    let is_home = |dir: &&std::path::Path| dir.file_name().unwrap().to_str().unwrap().starts_with("uos-");
    own.ancestors().find(is_home).unwrap().to_owned()
}

/// Every group of several below a directory, by its path. One that is removed meanwhile has none.
fn layers(dir: &std::path::Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for one in fs::read_dir(dir).into_iter().flatten().flatten().filter(|one| one.path().is_dir()) {
        if one.file_name().to_str().unwrap().starts_with('s') {
            found.extend(layers(&one.path()));
            found.insert(one.path());
        }
    }
    found
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

#[derive(Clone, Debug)]
enum Step {
    Put { who: usize, path: Vec<CpuGroup> },
    Bound { who: usize, percent: Option<u32>, weight: Option<u32> },
    End { who: usize },
}

const PROGRAMS: usize = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = 0..PROGRAMS;
    // The same number in different places, and the same group by different weights.
    let path = prop::collection::vec((0u64..3, prop::sample::select(vec![1, 50, 100, 10_000])), 0..4);
    let path = path.prop_map(|path| {
        let mut seen = BTreeSet::new();
        path.into_iter().filter(|(id, _)| seen.insert(*id)).map(|(id, weight)| group(id, weight)).collect()
    });
    let put = (who.clone(), path).prop_map(|(who, path)| Step::Put { who, path });
    let percent = prop::option::of(1u32..100);
    let weight = prop::option::of(1u32..=10_000);
    let bound = (who.clone(), percent, weight).prop_map(|(who, percent, weight)| Step::Bound {
        who,
        percent,
        weight,
    });
    let end = who.prop_map(|who| Step::End { who });
    prop::collection::vec(prop_oneof![6 => put, 2 => bound, 1 => end], 1..20)
}

/// Where each program is and what each group weighs, against what was last said; and nothing else is there.
#[test]
fn programs_are_where_they_were_put_last_and_no_other_groups_are_there() {
    let Some(spawner) = spawner() else { return };
    let config = ProptestConfig { cases: 24, ..ProptestConfig::default() };
    proptest!(config, |(steps in steps())| {
        let start = || (sleeper(&spawner), Vec::<CpuGroup>::new(), Limits::NONE);
        let mut programs: Vec<_> = (0..PROGRAMS).map(|_| start()).collect();
        let home = home(programs[0].0.os_pid());
        let mut weights = std::collections::BTreeMap::new();
        for step in steps {
            match step {
                Step::Put { who, path } => {
                    programs[who].0.set_cpu_groups(&path).unwrap();
                    for depth in 1..=path.len() {
                        let ids: Vec<u64> = path[..depth].iter().map(|group| group.id).collect();
                        weights.insert(ids, path[depth - 1].weight);
                    }
                    programs[who].1 = path;
                }
                Step::Bound { who, percent, weight } => {
                    let limits = Limits { cpu_percent: percent, cpu_weight: weight, ..Limits::NONE };
                    programs[who].0.set_limits(&limits).unwrap();
                    programs[who].2 = limits;
                }
                Step::End { who } => {
                    programs[who].0.kill_tree().unwrap();
                    programs[who] = start();
                }
            }
            for (child, path, limits) in &programs {
                let pid = child.os_pid();
                let expected: Vec<_> = (1..=path.len()).map(|depth| {
                    let ids: Vec<u64> = path[..depth].iter().map(|group| group.id).collect();
                    (format!("s{}", path[depth - 1].id), (u64::from(weights[&ids]) * 1024 / 100).to_string())
                }).collect();
                let shares: Vec<_> = expected.iter().map(|(name, shares)| {
                    (name.clone(), shares.parse::<u64>().unwrap().max(2).to_string())
                }).collect();
                prop_assert_eq!(around(pid), shares);
                let own = place(pid);
                let weight = u64::from(limits.cpu_weight.unwrap_or(100)) * 1024 / 100;
                prop_assert_eq!(read(own.join("cpu.shares")), weight.to_string());
                let quota = limits.cpu_percent.map_or("-1".to_owned(), |percent| (percent * 1000).to_string());
                prop_assert_eq!(read(own.join("cpu.cfs_quota_us")), quota);
            }
        }
        let used: BTreeSet<PathBuf> = programs.iter().flat_map(|(child, path, _)| {
            let own = place(child.os_pid());
            own.ancestors().skip(1).take(path.len()).map(PathBuf::from).collect::<Vec<_>>()
        }).collect();
        // Those of programs that were killed just now go a moment after them.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while layers(&home) != used {
            prop_assert!(std::time::Instant::now() < deadline, "{:?} instead of {:?}", layers(&home), used);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
}

#[tokio::test]
async fn a_tree_that_grows_meanwhile_moves_whole() {
    let Some(spawner) = spawner() else { return };
    // Each of them is made by one that ends, so that none is ever where the last look found it.
    let script =
        "grow() { sleep 0.01; grow & }; for i in 1 2 3 4 5 6 7 8; do grow & done; wait; exec sleep 1000";
    let limits = Limits { pids: Some(64), ..Limits::NONE };
    let child = spawner.spawn(shell(script).grouped(true).limits(limits)).unwrap();
    let own = place(child.os_pid());
    let mut before = own.clone();
    for round in 0..40u64 {
        let path = [group(round % 2, 100), group(7, 200)];
        child.set_cpu_groups(&path[..usize::try_from(round % 3).unwrap()]).unwrap();
        let now = place(child.os_pid());
        // Who was about to end stays until it has.
        let left = |place: &PathBuf| fs::read_to_string(place.join("cgroup.procs")).unwrap_or_default();
        until("nobody is where it was before", || {
            [&own, &before].into_iter().all(|place| *place == now || left(place).is_empty())
        })
        .await;
        before = now;
    }
    child.set_cpu_groups(&[]).unwrap();
    assert_eq!(place(child.os_pid()), own);
    let home = home(child.os_pid());
    until("no group is left", || layers(&home).is_empty()).await;
    child.kill_tree().unwrap();
    within(child.wait()).await;
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let Some(spawner) = spawner() else { return };
    let child = sleeper(&spawner);
    child.set_cpu_groups(&[group(1, 300)]).unwrap();
    let before = place(child.os_pid());
    let deep: Vec<CpuGroup> = (0..65).map(|id| group(id, 100)).collect();
    for wrong in [&[group(1, 0)][..], &[group(1, 10_001)], &[group(1, 100), group(1, 100)], &deep] {
        assert_eq!(child.set_cpu_groups(wrong), Err(SignalError::Refused { errno: 22 }));
    }
    // A program that divides its own time keeps what it has made.
    let theirs = before.join("theirs");
    fs::create_dir(&theirs).unwrap();
    for path in [&[][..], &[group(2, 100)], &[group(1, 300), group(2, 100)]] {
        assert_eq!(child.set_cpu_groups(path), Err(SignalError::Refused { errno: 16 }), "{path:?}");
        assert_eq!(place(child.os_pid()), before);
    }
    assert_eq!(around(child.os_pid()), [("s1".to_owned(), "3072".to_owned())]);
    assert_eq!(layers(&home(child.os_pid())).len(), 1);
    fs::remove_dir(theirs).unwrap();
    child.set_cpu_groups(&[group(2, 100)]).unwrap();
    let home = home(child.os_pid());
    child.kill_tree().unwrap();
    within(child.wait()).await;
    assert_eq!(child.set_cpu_groups(&[]), Err(SignalError::NoSuchProcess));
    until("the group has gone", || layers(&home).is_empty()).await;
    drop((child, spawner));
    until("all has gone", || !home.exists()).await;
}

#[tokio::test]
async fn a_member_can_be_real_time_and_comes_back_to_where_it_was_put_meanwhile() {
    let Some(spawner) = spawner() else { return };
    let child = sleeper(&spawner);
    child.set_cpu_groups(&[group(1, 100)]).unwrap();
    let pid = child.os_pid();
    let inside = place(pid);
    if !inside.join("cpu.rt_runtime_us").exists() {
        // Groups don't divide real time: there is nowhere to go.
        child.set_real_time(true).unwrap();
        assert_eq!(place(pid), inside);
        return;
    }
    child.set_real_time(true).unwrap();
    assert!(!place(pid).starts_with(home_of(&inside)));
    child.set_real_time(false).unwrap();
    assert_eq!(place(pid), inside);
    child.set_real_time(true).unwrap();
    child.set_cpu_groups(&[group(2, 100), group(3, 100)]).unwrap();
    assert!(!place(pid).starts_with(home_of(&inside)), "it stays where it may be real-time");
    child.set_real_time(false).unwrap();
    let names: Vec<String> = around(pid).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["s2", "s3"]);
}

fn home_of(inside: &std::path::Path) -> PathBuf {
    inside.parent().unwrap().parent().unwrap().to_owned()
}

/// What is killed by a signal of ours, and not collected by its parent, is no burden to a move.
#[tokio::test]
async fn the_dead_that_nobody_collects_do_not_hold_the_others() {
    let Some(spawner) = spawner() else { return };
    let script = "sleep 0.001 & sleep 0.001 & exec sleep 1000";
    let child = spawner.spawn(shell(script).grouped(true)).unwrap();
    let zombies = || {
        let list =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.os_pid())).unwrap_or_default();
        let state = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        list.split_whitespace().filter(|pid| state(pid).contains(") Z ")).count()
    };
    until("two have ended", || zombies() == 2).await;
    let own = place(child.os_pid());
    for _ in 0..3 {
        child.set_cpu_groups(&[group(1, 100)]).unwrap();
        assert_ne!(place(child.os_pid()), own);
        child.set_cpu_groups(&[]).unwrap();
        assert_eq!(place(child.os_pid()), own);
        assert_eq!(layers(&home(child.os_pid())), BTreeSet::new());
    }
}

/// It is there by that thread's number alone.
#[tokio::test]
async fn a_program_whose_first_thread_has_ended_moves_with_the_others() {
    let Some(spawner) = spawner() else { return };
    let script = "import ctypes, threading, time\n\
                  threading.Thread(target=time.sleep, args=(1000,)).start()\n\
                  ctypes.CDLL(None).pthread_exit(None)";
    let child = spawner.spawn(shell("python3 -c \"$0\" & wait").arg(script).grouped(true)).unwrap();
    let own = child.os_pid();
    let python = || {
        let list = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        list.split_whitespace().next().map(str::to_owned)
    };
    let is_headless = || {
        let Some(pid) = python() else { return false };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        stat.contains(") Z ") && threads == 2
    };
    until("its first thread has ended", is_headless).await;
    let pid = python().unwrap();
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let other = threads.map(|one| one.path()).find(|path| !path.ends_with(&pid)).unwrap();
    let place_of_other = || read(other.join("cgroup"));
    for _ in 0..3 {
        let before = place_of_other();
        child.set_cpu_groups(&[group(1, 100)]).unwrap();
        assert!(place_of_other().contains("/s1/"), "{}", place_of_other());
        child.set_cpu_groups(&[]).unwrap();
        assert_eq!(place_of_other(), before);
    }
    let home = home(own);
    until("the group has gone", || layers(&home).is_empty()).await;
    child.kill_tree().unwrap();
    within(child.wait()).await;
}

/// One that dies takes its time to give its memory back, and meanwhile the kernel moves it nowhere, and says that it did.
#[tokio::test]
async fn one_that_is_about_to_end_does_not_hold_the_others() {
    let Some(spawner) = spawner() else { return };
    let script = "import time\nfull = b'x' * 400_000_000\nprint('ready', flush=True)\ntime.sleep(1000)";
    let spec = shell("python3 -c \"$0\" & wait; exec sleep 1000").arg(script).grouped(true);
    let child = spawner.spawn(spec.stdout(Stdio::Pipe)).unwrap();
    assert_eq!(line(&mut child.take_stdout().unwrap()).await, "ready");
    let own = child.os_pid();
    let list = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
    let kill = std::process::Command::new("kill").args(["-9", list.trim()]).status().unwrap();
    assert!(kill.success());
    let mut rounds = 0;
    let is_there =
        || fs::read_to_string(format!("/proc/{own}/task/{own}/children")).is_ok_and(|now| now == list);
    while is_there() || rounds < 2 {
        child.set_cpu_groups(&[group(rounds % 2, 100)]).unwrap();
        rounds += 1;
    }
    child.set_cpu_groups(&[]).unwrap();
    let home = home(own);
    until("where it was nothing is left", || layers(&home).is_empty()).await;
}
