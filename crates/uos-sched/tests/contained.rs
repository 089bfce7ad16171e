//! In a container: all that is seen of control groups is one's own, and it has members.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::Run;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use uos_sched::{Controller, Means, OsControl, Wanted, Weight};

/// In a group of its own of version 2, and that being the root of what it sees of them.
const CONTAINER: &str = "echo 0 > \"$1/cgroup.procs\" && exec unshare --cgroup --mount \
    sh -c 'mount -t tmpfs tmpfs \"$2\" && mount -t cgroup2 cgroup2 \"$2\" && exec \"$0\" --ignored --exact --nocapture \"$1\"' \"$2\" \"$3\" \"$4\"";
const ROLE: &str = "role_of_one_in_a_container";

/// Where version 2 is mounted.
fn hierarchy() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    mount.expect("it takes control groups of version 2").split(' ').nth(1).unwrap().into()
}

/// A group that goes with this, when who is in it has ended.
struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        let gone = fs::remove_dir(&self.0);
        assert!(gone.is_ok() || std::thread::panicking(), "{gone:?}");
    }
}

#[test]
#[ignore = "a role that the next test has another process play"]
fn role_of_one_in_a_container() {
    let switched_on = || fs::read_to_string(hierarchy().join("cgroup.subtree_control")).unwrap();
    let places =
        || fs::read_dir(hierarchy()).unwrap().filter(|it| it.as_ref().unwrap().path().is_dir()).count();
    let before = (switched_on(), places());
    assert!(fs::read_to_string("/proc/self/cgroup").unwrap().contains("0::/\n"), "it is its own root");
    let members = fs::read_to_string(hierarchy().join("cgroup.procs")).unwrap();
    assert!(members.lines().any(|member| member == std::process::id().to_string()), "and in it: {members}");

    let refused = OsControl::by(Means::CgroupV2);
    assert!(refused.is_err(), "no process could be in a group beside this one: {refused:?}");
    assert_eq!((switched_on(), places()), before, "nothing is left of the trial");

    let mut control = OsControl::probe();
    assert_ne!(control.abilities().weights, Means::CgroupV2);
    let run = Run::asleep();
    control.adopt(run.pid(), &Wanted { weight: Weight::new(512).unwrap(), ..Wanted::default() }).unwrap();
    control.release(run.pid()).unwrap();
    drop(control);
    assert_eq!((switched_on(), places()), before);
}

#[test]
fn in_a_container_whose_group_has_members_processes_are_controlled_by_other_means() {
    let at = hierarchy();
    let group = Group(at.join(format!("contained.{}", std::process::id())));
    fs::create_dir(&group.0).unwrap();
    let exe = std::env::current_exe().unwrap();
    let mut container = Command::new("sh");
    container.args(["-c", CONTAINER, "sh"]).args([&group.0, &exe]).arg(ROLE).arg(&at);
    let said = container.stdin(Stdio::null()).output().unwrap();
    let said_all = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && said_all.contains("1 passed"), "{said_all}");
}
