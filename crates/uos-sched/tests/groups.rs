//! Groups of real processes: what they weigh and may have together, whoever is in them and wherever they are moved.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{Run, settles};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use uos_sched::{
    Class, Controller, Cpu, CpuSet, GroupId, GroupSpec, Groups, Nanos, OsControl, Quota, SimulatedControl,
    Wanted, Weight,
};

fn weighing(weight: u32) -> GroupSpec {
    GroupSpec::default().weight(Weight::new(weight).unwrap())
}

fn wanted(weight: u32) -> Wanted {
    Wanted { weight: Weight::new(weight).unwrap(), ..Wanted::default() }
}

fn percent(percent: u64) -> Quota {
    Quota::new(Nanos::from_millis(100), Nanos::from_millis(percent)).unwrap()
}

fn within(group: GroupId, weight: u32) -> Wanted {
    Wanted { group, affinity: CpuSet::only(Cpu(0)), ..wanted(weight) }
}

/// What the machine has here, which a test about control groups takes.
fn nested() -> OsControl {
    let control = OsControl::probe();
    assert_eq!(
        control.abilities().groups,
        Groups::Nested,
        "it takes control groups: {:?}",
        control.abilities()
    );
    control
}

/// Where a process is, in the hierarchy that divides CPU time.
fn place(pid: u32) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let by_cpu =
        |line: &&str| line.split(':').nth(1).is_some_and(|names| names.split(',').any(|it| it == "cpu"));
    let v1 = groups.lines().find(by_cpu);
    let line = v1.or_else(|| groups.lines().find(|line| line.starts_with("0::"))).unwrap();
    let path = line.splitn(3, ':').nth(2).unwrap().trim_start_matches('/');
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let is_it = |line: &&str| {
        let words: Vec<&str> = line.split(' ').collect();
        match v1 {
            Some(_) => words[2] == "cgroup" && words[3].split(',').any(|option| option == "cpu"),
            None => words[2] == "cgroup2",
        }
    };
    let mount = mounts.lines().find(is_it).unwrap().split(' ').nth(1).unwrap();
    PathBuf::from(mount).join(path)
}

/// What a group weighs, by our scale.
fn weight(group: &std::path::Path) -> u64 {
    let read = |file| fs::read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    read("cpu.shares").or_else(|| Some(read("cpu.weight")? * 1024 / 100)).unwrap()
}

/// What it may have, in microseconds.
fn budget(group: &std::path::Path) -> Option<u64> {
    let read = |file| fs::read_to_string(group.join(file)).ok();
    let text = read("cpu.cfs_quota_us").or_else(|| read("cpu.max")).unwrap();
    text.split_whitespace().next().unwrap().parse().ok()
}

/// What each got of one CPU, until all together have got so much.
fn ran(control: &mut impl Controller, pids: &[u32], in_all: Nanos) -> Vec<u64> {
    let used = |control: &mut dyn Controller| -> Vec<u64> {
        pids.iter().map(|&pid| control.used(pid).unwrap().0).collect()
    };
    let before = used(control);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        std::thread::sleep(Duration::from_millis(20));
        let since: Vec<u64> = used(control).iter().zip(&before).map(|(now, before)| now - before).collect();
        if since.iter().sum::<u64>() >= in_all.0 {
            return since;
        }
        assert!(Instant::now() < deadline, "they should run: {since:?}");
    }
}

/// Two groups of 1:3 with three members and one, and one of the three weighs twice what the others do.
fn in_groups(control: &mut impl Controller, pids: [u32; 4]) {
    let light = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
    let heavy = control.create_group(GroupId::ROOT, weighing(3072)).unwrap();
    for (pid, (group, weight)) in
        pids.into_iter().zip([(light, 1024), (light, 1024), (light, 2048), (heavy, 1024)])
    {
        control.adopt(pid, &within(group, weight)).unwrap();
    }
}

/// How far what each got is from what it should have got, relative to that: the farthest.
fn off(ran: &[u64], wanted: [f64; 4]) -> f64 {
    let all: u64 = ran.iter().sum();
    let parts = ran.iter().map(|&ran| ran as f64 / all as f64);
    parts.zip(wanted).map(|(got, wanted)| (got / wanted - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
fn groups_share_by_their_weights_whoever_is_in_them() {
    let (mut control, busy) = (nested(), [(); 4].map(|()| Run::busy()));
    let pids = busy.each_ref().map(Run::pid);
    in_groups(&mut control, pids);
    settles("what each gets is off by", 0.0..=0.2, || {
        off(&ran(&mut control, &pids, Nanos::from_secs(3)), [0.0625, 0.0625, 0.125, 0.75])
    });
}

#[test]
fn what_a_member_leaves_goes_to_its_group() {
    let mut control = nested();
    let (asleep, busy, other) = (Run::asleep(), Run::busy(), Run::busy());
    let both = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
    control.adopt(asleep.pid(), &within(both, 8192)).unwrap();
    control.adopt(busy.pid(), &within(both, 1024)).unwrap();
    control.adopt(other.pid(), &within(GroupId::ROOT, 1024)).unwrap();
    settles("of two of the same weight", 0.4..=0.6, || {
        let ran = ran(&mut control, &[busy.pid(), other.pid()], Nanos::from_secs(2));
        ran[0] as f64 / (ran[0] + ran[1]) as f64
    });
}

#[test]
fn a_quota_holds_for_all_in_a_group_together() {
    let mut control = nested();
    let hogs = [(); 3].map(|()| Run::busy());
    let group = control.create_group(GroupId::ROOT, weighing(1024).quota(percent(20))).unwrap();
    let inner = control.create_group(group, weighing(1024)).unwrap();
    for (hog, group) in hogs.iter().zip([group, group, inner]) {
        // On all CPUs there are: it is one budget for all of them.
        control.adopt(hog.pid(), &Wanted { group, ..wanted(1024) }).unwrap();
    }
    let used =
        |control: &mut OsControl| hogs.iter().map(|hog| control.used(hog.pid()).unwrap().0).sum::<u64>();
    let part = |control: &mut OsControl| {
        let (begun, before) = (Instant::now(), used(control));
        std::thread::sleep(Duration::from_secs(2));
        (used(control) - before) as f64 / begun.elapsed().as_nanos() as f64
    };
    // How much less it is depends on what else there is to do here. A slice of each CPU may be used beyond.
    settles("of a CPU", 0.02..=0.22, || part(&mut control));
    // Moved under a group that has less, they have that.
    let less = control.create_group(GroupId::ROOT, weighing(1024).quota(percent(5))).unwrap();
    control.move_group(group, less).unwrap();
    settles("of a CPU, where there is less", 0.0..=0.07, || part(&mut control));
    // And without any they have what there is.
    control.set_group(less, weighing(1024)).unwrap();
    control.set_group(group, weighing(1024)).unwrap();
    let own = place(hogs[0].pid());
    assert!(own.ancestors().skip(1).take(2).all(|group| budget(group).is_none()), "{}", own.display());
    // How much that is depends on who else wants it; more than the five percent of before in any case.
    settles("of a CPU, held to nothing", 0.1..=1_000.0, || part(&mut control));
}

#[test]
fn simulated_groups_do_the_same() {
    let mut control = SimulatedControl::new(1).unwrap();
    let pids = [1, 2, 3, 4];
    for pid in pids {
        control.start(pid).unwrap();
    }
    let light = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
    let heavy = control.create_group(GroupId::ROOT, weighing(3072)).unwrap();
    for (pid, (group, weight)) in
        pids.into_iter().zip([(light, 1024), (light, 1024), (light, 2048), (heavy, 1024)])
    {
        control.adopt(pid, &within(group, weight)).unwrap();
    }
    control.pass(Nanos::from_secs(16)).unwrap();
    for (pid, seconds) in [(1, 1), (2, 1), (3, 2), (4, 12)] {
        let used = control.used(pid).unwrap();
        assert!(used.0.abs_diff(seconds * 1_000_000_000) <= 16_000_000, "{pid}: {used}");
    }
    control.set_group(light, weighing(1024).quota(percent(10))).unwrap();
    let before: u64 = [1, 2, 3].map(|pid| control.used(pid).unwrap().0).iter().sum();
    control.pass(Nanos::from_secs(10)).unwrap();
    let used = [1, 2, 3].map(|pid| control.used(pid).unwrap().0).iter().sum::<u64>() - before;
    assert!(used <= 1_010_000_000, "{used}");
}

#[test]
fn by_nice_values_members_are_given_their_parts() {
    let nice = |run: &Run| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", run.pid())).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse::<i32>().unwrap()
    };
    let mut control = OsControl::by_nice();
    assert_eq!(control.abilities().groups, Groups::Flattened);
    let mut runs = [(); 3].map(|()| Run::asleep());
    let group = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
    control.adopt(runs[0].pid(), &within(group, 1024)).unwrap();
    assert_eq!(nice(&runs[0]), 0, "alone it has all of it");
    control.adopt(runs[1].pid(), &within(group, 1024)).unwrap();
    // Half is three steps of 1.25.
    assert_eq!((nice(&runs[0]), nice(&runs[1])), (3, 3));
    control.set_group(group, weighing(2048)).unwrap();
    assert_eq!((nice(&runs[0]), nice(&runs[1])), (0, 0));
    control.adopt(runs[2].pid(), &within(GroupId::ROOT, 1024)).unwrap();
    assert_eq!(nice(&runs[2]), 0);
    // One that goes before all takes no part.
    let class = Class::Fifo(uos_sched::RtPriority::new(1).unwrap());
    control.apply(runs[1].pid(), &Wanted { class, ..within(group, 1024) }).unwrap();
    assert_eq!(nice(&runs[0]), -3);
    control.apply(runs[1].pid(), &within(group, 1024)).unwrap();
    assert_eq!(nice(&runs[0]), 0);
    // A group inside counts as one, once somebody is in it.
    let inner = control.create_group(group, weighing(1024)).unwrap();
    assert_eq!(nice(&runs[0]), 0);
    control.apply(runs[2].pid(), &within(inner, 4096)).unwrap();
    let parts = runs.each_ref().map(nice);
    assert_eq!(parts, [2, 2, 2], "a third of 2,048 is nearest to that");
    control.move_group(inner, GroupId::ROOT).unwrap();
    assert_eq!(runs.each_ref().map(nice), [0, 0, 0]);
    runs[1].end();
    control.apply(runs[0].pid(), &within(group, 512)).unwrap();
    assert_eq!(nice(&runs[0]), -3, "whoever has ended takes no part");
    control.release(runs[2].pid()).unwrap();
    drop(control);
    assert_eq!((nice(&runs[0]), nice(&runs[2])), (0, 0));
}

#[test]
fn the_kernels_groups_are_as_ours() {
    let mut control = nested();
    let (first, second) = (Run::asleep(), Run::asleep());
    let before = place(first.pid());
    let outer = control.create_group(GroupId::ROOT, weighing(4096)).unwrap();
    let inner = control.create_group(outer, weighing(512).quota(percent(50))).unwrap();
    control.adopt(first.pid(), &within(inner, 2048)).unwrap();
    control.adopt(second.pid(), &within(outer, 1024)).unwrap();
    let up = |pid: u32| [1, 2, 3].map(|above| place(pid).ancestors().nth(above).unwrap().to_owned());
    let [around, further, root] = up(first.pid());
    assert_eq!((weight(&place(first.pid())), weight(&around), weight(&further)), (2048, 512, 4096));
    assert_eq!(up(second.pid())[0], further);
    assert_eq!((budget(&around), budget(&further)), (Some(50_000), None));

    // Moved, all of it is somewhere else, and nothing is left behind.
    let elsewhere = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
    control.move_group(outer, elsewhere).unwrap();
    let [around_now, further_now, above_now] = up(first.pid());
    assert_eq!(above_now.parent(), Some(&*root));
    assert_eq!((weight(&place(first.pid())), weight(&around_now), weight(&further_now)), (2048, 512, 4096));
    assert_eq!((budget(&around_now), weight(&place(second.pid()))), (Some(50_000), 1024));
    assert!(!further.exists(), "{}", further.display());
    let status = fs::read_to_string(format!("/proc/{}/status", first.pid())).unwrap();
    let cpus = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap();
    assert!(cpus.ends_with('1'), "it still runs where it was bound to: {cpus}");

    // An idle one is idle among its siblings, wherever it goes.
    let idle = Wanted { class: Class::Idle, ..within(inner, 2048) };
    control.apply(first.pid(), &idle).unwrap();
    control.apply(first.pid(), &Wanted { group: elsewhere, ..idle }).unwrap();
    let is_idle = fs::read_to_string(place(first.pid()).join("cpu.idle"));
    assert!(is_idle.is_err() || is_idle.unwrap().trim() == "1", "kernels before 5.15 have none");
    control.apply(first.pid(), &within(inner, 2048)).unwrap();
    assert_eq!(weight(&place(first.pid())), 2048);

    drop(control);
    assert_eq!((place(first.pid()), place(second.pid())), (before.clone(), before));
    assert!(!above_now.exists(), "what was made is removed");
}

#[test]
fn who_is_born_into_a_member_goes_where_it_goes() {
    let mut control = nested();
    let script = ["-c", "sleep 600 & echo $!; wait"];
    let parent = Command::new("sh").args(script).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let mut parent = Run(parent.unwrap());
    let group = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
    control.adopt(parent.pid(), &within(group, 1024)).unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(parent.0.stdout.take().unwrap()), &mut line)
        .unwrap();
    let child = line.trim().parse::<u32>().unwrap();
    let together = |parent: &Run| place(child) == place(parent.pid());
    // It may have been born before its parent was taken under control.
    if together(&parent) {
        let other = control.create_group(group, weighing(1024)).unwrap();
        control.apply(parent.pid(), &within(other, 1024)).unwrap();
        assert!(together(&parent));
        // One that was in another's group goes back to that, though it has moved.
        control.adopt(child, &within(GroupId::ROOT, 1024)).unwrap();
        assert!(!together(&parent));
        control.move_group(other, GroupId::ROOT).unwrap();
        control.release(child).unwrap();
        assert!(together(&parent));
    }
    drop(control);
    let end = Command::new("kill").arg(child.to_string()).status().unwrap();
    assert!(end.success());
    parent.end();
}

#[test]
fn who_vanishes_is_not_in_the_way() {
    let mut control = nested();
    for round in 0..60u64 {
        let group = control.create_group(GroupId::ROOT, weighing(1024)).unwrap();
        let other = control.create_group(GroupId::ROOT, weighing(1024).quota(percent(50))).unwrap();
        let mut ending = Run(Command::new("sleep")
            .arg(format!("0.{:04}", round % 20))
            .stdin(Stdio::null())
            .spawn()
            .unwrap());
        let pid = ending.pid();
        let gone = |answer: Result<usize, uos_sched::ControlError>| match answer {
            Ok(_)
            | Err(uos_sched::ControlError::Gone { .. } | uos_sched::ControlError::NotAdopted { .. }) => {}
            Err(other) => panic!("{other}"),
        };
        gone(control.adopt(pid, &within(group, 1024)).map(|()| 0));
        for _ in 0..8 {
            control.move_group(group, other).unwrap();
            gone(control.apply(pid, &within(other, 1024)));
            control.set_group(other, weighing(1024)).unwrap();
            control.move_group(group, GroupId::ROOT).unwrap();
            gone(control.apply(pid, &within(group, 512)));
            control.set_group(other, weighing(1024).quota(percent(50))).unwrap();
        }
        ending.0.wait().unwrap();
        control.destroy_group(group).unwrap();
        control.destroy_group(other).unwrap();
    }
}
