//! One suite for every controller, and what real processes show of it.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod conformance;

use conformance::{conforms, wanted};
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use uos_sched::{
    ControlError, Controller, Cpu, CpuSet, Means, Nanos, OsControl, Quota, SimulatedControl, Wanted,
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
        let (mut first, second) = (Busy::start(), Busy::start());
        let pids = [first.0.id(), second.0.id()];
        conforms(&mut control, pids, |_| std::thread::sleep(Duration::from_millis(5)), |_| first.end());
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
            let busy = Busy::start();
            let pid = busy.0.id();
            let before = condition(pid);
            let bound = Wanted { affinity: CpuSet::only(Cpu(0)), ..wanted(512) };
            control.adopt(pid, &bound).unwrap();
            assert_ne!(condition(pid), before);
            if by_drop {
                drop(control);
            } else {
                control.release(pid).unwrap();
            }
            assert_eq!(condition(pid), before);
            let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"];
            let left = format!("uos-sched.{}.{pid}", std::process::id());
            assert!(mounts.iter().all(|mount| !std::path::Path::new(mount).join(&left).exists()));
        }
    }
}

#[test]
fn what_nice_values_cannot_do_is_refused() {
    let busy = Busy::start();
    let mut control = OsControl::by_nice();
    assert_eq!(control.means(), Means::Nice);
    let quota = Quota::new(Nanos::from_millis(100), Nanos::from_millis(10)).unwrap();
    let before = condition(busy.0.id());
    let refused = control.adopt(busy.0.id(), &Wanted { quota: Some(quota), ..wanted(2048) });
    assert!(matches!(refused, Err(ControlError::NotEnforceable { .. })), "{refused:?}");
    assert_eq!(condition(busy.0.id()), before);
}

/// A real process that uses up all it gets.
struct Busy(Child);

impl Busy {
    fn start() -> Busy {
        let shell = Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        Busy(shell.unwrap())
    }

    fn end(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
