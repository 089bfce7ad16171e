//! One suite for every controller, and what real processes show of it.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;
mod conformance;

use common::Run;
use conformance::{conforms, wanted};
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;
use uos_sched::{
    Class, ControlError, Controller, Cpu, CpuSet, Means, Nanos, OsControl, Quantum, Quota, Reservation,
    RtPriority, SimulatedControl, Wanted,
};

#[test]
fn simulated_control_conforms() {
    let mut control = SimulatedControl::new(2).unwrap();
    control.start(7).unwrap();
    control.start(8).unwrap();
    let wait = |control: &mut SimulatedControl| control.pass(Nanos::from_millis(10)).unwrap();
    conforms(&mut control, [7, 8], wait, |control| control.end(7).unwrap());
}

#[test]
fn control_of_this_machine_conforms() {
    for mut control in [OsControl::probe(), OsControl::by_nice()] {
        let (mut first, second) = (Run::busy(), Run::busy());
        let pids = [first.0.id(), second.0.id()];
        conforms(&mut control, pids, |_| std::thread::sleep(Duration::from_millis(5)), |_| first.end());
    }
}

#[test]
fn simulated_control_conforms_with_groups() {
    let mut control = SimulatedControl::new(2).unwrap();
    control.start(7).unwrap();
    control.start(8).unwrap();
    conformance::groups::conforms(&mut control, [7, 8], true);
}

#[test]
fn control_of_this_machine_conforms_with_groups() {
    for mut control in [OsControl::probe(), OsControl::by_nice()] {
        let (first, second) = (Run::asleep(), Run::asleep());
        let pids = [first.0.id(), second.0.id()];
        let before = pids.map(condition);
        let quotas = control.abilities().quotas;
        conformance::groups::conforms(&mut control, pids, quotas);
        assert_eq!(pids.map(condition), before);
    }
}

#[test]
fn simulated_processes_share_by_weight_and_keep_to_quotas() {
    let mut control = SimulatedControl::new(1).unwrap();
    for (pid, weight) in [(1, 1024), (2, 2048), (3, 4096), (4, 8192)] {
        control.start(pid).unwrap();
        control.adopt(pid, &wanted(weight)).unwrap();
    }
    control.pass(Nanos::from_secs(15)).unwrap();
    for (pid, seconds) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        let used = control.used(pid).unwrap();
        assert!(used.0.abs_diff(seconds * 1_000_000_000) <= 8_000_000, "{pid}: {used}");
    }
    let quota = Quota::new(Nanos::from_millis(100), Nanos::from_millis(10)).unwrap();
    control.apply(4, &Wanted { quota: Some(quota), ..wanted(8192) }).unwrap();
    let before = control.used(4).unwrap();
    control.pass(Nanos::from_secs(10)).unwrap();
    let used = control.used(4).unwrap().since(before);
    assert!(used <= Nanos::from_millis(1_010), "{used}");
}

/// Everything about a process that control may change.
fn condition(pid: u32) -> (String, String, String) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let cpus = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap().to_owned();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let nice = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned();
    (fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap(), cpus, nice)
}

#[test]
fn what_was_changed_is_put_back_on_release_and_on_drop() {
    for by_drop in [false, true] {
        for mut control in [OsControl::probe(), OsControl::by_nice()] {
            let busy = Run::busy();
            let pid = busy.0.id();
            let before = condition(pid);
            let bound = Wanted { affinity: CpuSet::only(Cpu(0)), ..wanted(512) };
            control.adopt(pid, &bound).unwrap();
            assert_ne!(condition(pid), before);
            let on_one = |pid| {
                condition(pid).1.split_whitespace().last().unwrap().chars().filter(|&c| c != '0').eq(['1'])
            };
            assert!(on_one(pid), "in its group it runs where it was bound to: {:?}", condition(pid));
            let strict = Class::Fifo(RtPriority::new(1).unwrap());
            for class in [strict, Class::Normal] {
                control.apply(pid, &Wanted { class, ..bound.clone() }).unwrap();
                assert!(on_one(pid), "and when it leaves it and comes back: {:?}", condition(pid));
            }
            if by_drop {
                drop(control);
            } else {
                control.release(pid).unwrap();
            }
            assert_eq!(condition(pid), before);
            let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"];
            let of = format!("-{}-", std::process::id());
            let is_left = |name: &str| {
                name.starts_with("uos-sched.") && name.contains(&of) && name.ends_with(&format!(".{pid}"))
            };
            let there = mounts.iter().flat_map(fs::read_dir).flatten().flatten();
            assert!(!there.filter_map(|one| one.file_name().into_string().ok()).any(|name| is_left(&name)));
        }
    }
}

#[test]
fn who_vanishes_at_any_moment_is_gone_and_nothing_else_is_wrong() {
    for mut control in [OsControl::probe(), OsControl::by_nice()] {
        let stays = Run::asleep();
        control.adopt(stays.0.id(), &wanted(2048)).unwrap();
        let settings = [Class::Batch, Class::Idle, Class::Fifo(RtPriority::new(1).unwrap()), Class::Normal];
        for round in 0..200u64 {
            // It ends while it is adopted, changed, asked or released: at another moment each time.
            let ending =
                Command::new("sleep").arg(format!("0.{:04}", round % 40)).stdin(Stdio::null()).spawn();
            let mut ending = Run(ending.unwrap());
            let pid = ending.0.id();
            let mut answers = vec![control.adopt(pid, &wanted(512)).map(|()| 0)];
            for (at, &class) in settings.iter().cycle().take(40).enumerate() {
                answers.push(control.apply(pid, &Wanted { class, ..wanted(512 + at as u32) }));
                answers.push(control.used(pid).map(|_| 0));
            }
            answers.push(control.release(pid).map(|()| 0));
            for answer in answers {
                let expected = matches!(
                    answer,
                    Ok(_) | Err(ControlError::Gone { .. } | ControlError::NotAdopted { .. })
                );
                assert!(expected, "{answer:?}");
            }
            ending.0.wait().unwrap();
        }
        assert_eq!(control.apply(stays.0.id(), &wanted(2048)).unwrap(), 0);
    }
}

#[test]
fn what_nice_values_cannot_do_is_refused() {
    let busy = Run::busy();
    let mut control = OsControl::by_nice();
    assert_eq!(control.means(), Means::Nice);
    let quota = Quota::new(Nanos::from_millis(100), Nanos::from_millis(10)).unwrap();
    let before = condition(busy.0.id());
    let refused = control.adopt(busy.0.id(), &Wanted { quota: Some(quota), ..wanted(2048) });
    assert!(matches!(refused, Err(ControlError::NotEnforceable { .. })), "{refused:?}");
    assert_eq!(condition(busy.0.id()), before);
}

const MS: Nanos = Nanos::from_millis(1);

/// Fields of `/proc/PID/task/TID/stat`: nice value, real-time priority, policy, in the kernel's numbers.
fn policy_of(thread: &str) -> (i32, u32, u32) {
    let stat = fs::read_to_string(format!("{thread}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[16].parse().unwrap(), fields[37].parse().unwrap(), fields[38].parse().unwrap())
}

#[derive(Debug, PartialEq, Eq)]
struct Thread {
    path: String,
    policy: (i32, u32, u32),
    cpus: String,
    slice_ns: u64,
}

/// Everything of each thread of a process that control may change.
fn threads(pid: u32) -> Vec<Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut paths: Vec<String> =
        tasks.map(|task| task.unwrap().path().to_str().unwrap().to_owned()).collect();
    paths.sort();
    let condition = |thread: String| {
        let status = fs::read_to_string(format!("{thread}/status")).unwrap();
        let cpus = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap().to_owned();
        let sched = fs::read_to_string(format!("{thread}/sched")).unwrap();
        let slice = sched.lines().find(|line| line.starts_with("se.slice"));
        let slice_ns = slice.map_or(0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap());
        Thread { policy: policy_of(&thread), path: thread, cpus, slice_ns }
    };
    paths.into_iter().map(condition).collect()
}

fn classes() -> [(Class, (u32, u32)); 7] {
    let rt = |priority| RtPriority::new(priority).unwrap();
    let reservation = Reservation::new(MS, MS * 50, MS * 100).unwrap();
    [
        (Class::Batch, (0, 3)),
        (Class::Idle, (0, 5)),
        (Class::Fifo(rt(3)), (3, 1)),
        (Class::RoundRobin(rt(99)), (99, 2)),
        (Class::Deadline(reservation), (0, 6)),
        (Class::Fifo(rt(1)), (1, 1)),
        (Class::Normal, (0, 0)),
    ]
}

#[test]
fn classes_are_the_kernels_and_are_put_back() {
    for mut control in [OsControl::probe(), OsControl::by_nice()] {
        let (abilities, asleep) = (control.abilities(), Run::asleep());
        assert!(abilities.real_time && abilities.deadlines, "it takes root: {abilities:?}");
        let (pid, main) = (asleep.0.id(), format!("/proc/{}", asleep.0.id()));
        let before = (condition(pid), policy_of(&main), threads(pid));
        control.adopt(pid, &wanted(2048)).unwrap();
        for (class, (priority, policy)) in classes() {
            assert_eq!(control.apply(pid, &Wanted { class, ..wanted(2048) }).unwrap(), 1, "{class:?}");
            assert_eq!(control.apply(pid, &Wanted { class, ..wanted(2048) }).unwrap(), 0);
            let (_, rt, now) = policy_of(&main);
            assert_eq!((rt, now), (priority, policy), "{class:?}");
        }
        let class = Class::RoundRobin(RtPriority::new(5).unwrap());
        control.apply(pid, &Wanted { class, ..wanted(4096) }).unwrap();
        drop(control);
        assert_eq!((condition(pid), policy_of(&main), threads(pid)), before);
    }
}

/// What its group is called.
fn group_of(pid: u32) -> String {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let mut names = groups.lines().filter_map(|line| line.rsplit('/').next());
    names.rfind(|name| name.starts_with("uos-sched.")).unwrap_or_else(|| panic!("{groups}")).to_owned()
}

#[test]
fn a_weight_counts_again_after_a_class_that_has_none() {
    let mut control = OsControl::probe();
    if control.means() == Means::Nice {
        panic!("it takes control groups: {:?}", control.abilities());
    }
    let asleep = Run::asleep();
    let pid = asleep.0.id();
    let weight = || {
        let name = group_of(pid);
        let mounts = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"];
        let files = ["cpu.shares", "cpu.weight"];
        let mut paths = mounts.iter().flat_map(|mount| files.map(|file| format!("{mount}/{name}/{file}")));
        paths.find_map(|path| fs::read_to_string(path).ok()).unwrap().trim().to_owned()
    };
    control.adopt(pid, &wanted(4096)).unwrap();
    let first = weight();
    for (class, _) in classes() {
        control.apply(pid, &Wanted { class, ..wanted(4096) }).unwrap();
    }
    assert_eq!(weight(), first);
    // Changed while it did not count.
    control.apply(pid, &Wanted { class: Class::Idle, ..wanted(4096) }).unwrap();
    control.apply(pid, &Wanted { class: Class::Idle, ..wanted(1024) }).unwrap();
    control.apply(pid, &wanted(1024)).unwrap();
    assert_ne!(weight(), first);
}

#[test]
fn a_quota_is_the_kernels_with_what_it_saves_up() {
    let mut control = OsControl::probe();
    assert!(control.abilities().quotas, "it takes control groups: {:?}", control.abilities());
    let asleep = Run::asleep();
    let pid = asleep.0.id();
    let file = |names: [&str; 2]| {
        let group = group_of(pid);
        let mounts = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup"];
        let mut paths = mounts.iter().flat_map(|mount| names.map(|name| format!("{mount}/{group}/{name}")));
        paths.find_map(|path| fs::read_to_string(path).ok()).unwrap().trim().to_owned()
    };
    let (budget, burst) = (["cpu.cfs_quota_us", "cpu.max"], ["cpu.cfs_burst_us", "cpu.max.burst"]);
    let quota = Quota::new(MS * 50, MS * 20).unwrap();
    control.adopt(pid, &Wanted { quota: Some(quota), ..wanted(1024) }).unwrap();
    assert!(file(budget).starts_with("20000") && file(burst) == "0", "{} {}", file(budget), file(burst));
    let saves = Wanted { quota: Some(quota.burst(MS * 5)), ..wanted(1024) };
    assert_eq!(control.apply(pid, &saves).unwrap(), 1);
    assert!(file(budget).starts_with("20000") && file(burst) == "5000", "{} {}", file(budget), file(burst));
    assert_eq!(control.apply(pid, &wanted(1024)).unwrap(), 1);
    assert!(["-1", "max 100000"].contains(&file(budget).as_str()) && file(burst) == "0");
}

#[test]
fn what_can_not_be_promised_is_refused_and_nothing_is_half_applied() {
    let mut control = OsControl::probe();
    let sleepers: Vec<Run> = (0..64).map(|_| Run::asleep()).collect();
    let reserve = |runtime| {
        let reservation = Reservation::new(MS * runtime, MS * 100, MS * 100).unwrap();
        Wanted { class: Class::Deadline(reservation), ..Wanted::default() }
    };
    // What is given up can be promised again, as often as one likes.
    for asleep in &sleepers[..40] {
        let mut control = OsControl::probe();
        control.adopt(asleep.0.id(), &wanted(1024)).unwrap();
        control.apply(asleep.0.id(), &reserve(40)).unwrap();
        control.apply(asleep.0.id(), &wanted(1024)).unwrap();
        control.apply(asleep.0.id(), &reserve(40)).unwrap();
    }
    let mut refused = None;
    for asleep in &sleepers {
        let pid = asleep.0.id();
        let before = threads(pid);
        control.adopt(pid, &wanted(2048)).unwrap();
        let adopted = threads(pid);
        match control.apply(pid, &reserve(90)) {
            Ok(changed) => assert_eq!(changed, 2, "class and weight"),
            Err(ControlError::Overload { pid: of }) => {
                assert_eq!((of, threads(pid)), (pid, adopted));
                assert_eq!(control.apply(pid, &wanted(2048)).unwrap(), 0, "it is as it was");
                refused = Some((pid, before));
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    // The CPUs are written first, and then the kernel reserves nothing for one that may not use all there are.
    let bound = Wanted { affinity: CpuSet::only(Cpu(0)), ..reserve(1) };
    let (asleep, cpus) = (Run::asleep(), std::thread::available_parallelism().unwrap().get());
    let pid = asleep.0.id();
    control.adopt(pid, &wanted(2048)).unwrap();
    let adopted = threads(pid);
    let answer = control.apply(pid, &bound);
    if cpus > 1 {
        assert!(matches!(answer, Err(ControlError::System { .. })), "{answer:?}");
        assert_eq!(threads(pid), adopted);
        assert_eq!(control.apply(pid, &wanted(2048)).unwrap(), 0);
    }

    let (pid, before) = refused.expect("a machine has fewer than 64 CPUs, or this test needs more sleepers");
    control.release(pid).unwrap();
    assert!(matches!(control.adopt(pid, &reserve(90)), Err(ControlError::Overload { .. })));
    assert_eq!(threads(pid), before, "nor when it is adopted so");
}

#[test]
fn slices_and_what_no_kernel_knows() {
    for mut control in [OsControl::probe(), OsControl::by_nice()] {
        let asleep = Run::asleep();
        let pid = asleep.0.id();
        let before = threads(pid);
        let slice = |micros| Some(Quantum::new(Nanos::from_micros(micros)).unwrap());
        let own = Wanted { slice: slice(300), ..wanted(1024) };
        if control.abilities().slices {
            control.adopt(pid, &own).unwrap();
            assert_eq!(threads(pid)[0].slice_ns, 300_000);
            assert_eq!(control.apply(pid, &Wanted { slice: slice(700), ..own.clone() }).unwrap(), 1);
            assert_eq!(threads(pid)[0].slice_ns, 700_000);
            assert_eq!(control.apply(pid, &wanted(1024)).unwrap(), 1);
            assert_eq!(threads(pid)[0].slice_ns, before[0].slice_ns, "what it had before");
            for unknown in [slice(99), slice(100_001)] {
                let refused = control.apply(pid, &Wanted { slice: unknown, ..own.clone() });
                assert!(matches!(refused, Err(ControlError::NotEnforceable { .. })), "{refused:?}");
            }
        } else {
            assert!(matches!(control.adopt(pid, &own), Err(ControlError::NotEnforceable { .. })));
            control.adopt(pid, &wanted(1024)).unwrap();
        }
        let class = Class::Fifo(RtPriority::new(1).unwrap());
        let refused = control.apply(pid, &Wanted { class, ..own });
        assert!(matches!(refused, Err(ControlError::NotEnforceable { .. })), "{refused:?}");
        let quota = Quota::new(MS * 100, MS * 10).unwrap();
        let refused = control.apply(pid, &Wanted { class, quota: Some(quota), ..wanted(1024) });
        assert!(matches!(refused, Err(ControlError::NotEnforceable { .. })), "{refused:?}");
        drop(control);
        assert_eq!(threads(pid), before);
    }
}

#[test]
#[ignore = "a role that the next test has another process play"]
fn role_of_one_with_several_threads() {
    let sleep = || std::thread::sleep(Duration::from_secs(600));
    let threads: Vec<_> = (0..3).map(|_| std::thread::spawn(sleep)).collect();
    println!("\nborn");
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn all_threads_are_meant_and_a_reservation_is_for_one() {
    let mut role = Command::new(std::env::current_exe().unwrap());
    role.args(["--ignored", "--exact", "--nocapture", "role_of_one_with_several_threads"]);
    let mut role = Run(role.stdout(Stdio::piped()).spawn().unwrap());
    let lines = std::io::BufRead::lines(std::io::BufReader::new(role.0.stdout.take().unwrap()));
    assert!(lines.map_while(Result::ok).any(|line| line == "born"));
    let pid = role.0.id();
    let before = threads(pid);
    assert!(before.len() >= 4, "{before:?}");
    for mut control in [OsControl::probe(), OsControl::by_nice()] {
        let class = Class::RoundRobin(RtPriority::new(2).unwrap());
        let bound = Wanted { affinity: CpuSet::only(Cpu(0)), class, ..wanted(2048) };
        control.adopt(pid, &bound).unwrap();
        for thread in threads(pid) {
            assert_eq!((thread.policy.1, thread.policy.2), (2, 2), "{thread:?}");
            assert!(thread.cpus.ends_with('1'), "{thread:?}");
        }
        let reservation = Reservation::new(MS, MS * 100, MS * 100).unwrap();
        let reserved = Wanted { class: Class::Deadline(reservation), ..wanted(2048) };
        let refused = control.apply(pid, &reserved);
        assert!(matches!(refused, Err(ControlError::NotEnforceable { .. })), "{refused:?}");
        assert!(threads(pid).iter().all(|thread| thread.policy.2 == 2), "nothing is half applied");
        drop(control);
        assert_eq!(threads(pid), before);
    }
}
