//! Control groups, by version 2 or version 1 of the kernel's interface: one for each process, and around those of several
//! one for all of them.

mod dir;
mod member;
mod owner;
mod root;

pub(super) use dir::{Dir, clear, part};
pub(super) use member::Member;
use owner::Owner;
pub(super) use root::Root;
use std::path::PathBuf;

/// Which interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V1,
}

/// What our groups are called: this, whose they are, and whom they hold.
const PREFIX: &str = "uos-sched.";

/// What a line of the list of mounts says of control groups that may have the CPU controller.
fn mounted(line: &str) -> Option<(Version, PathBuf)> {
    let words: Vec<&str> = line.split(' ').collect();
    let [_, path, kind, options, ..] = words[..] else { return None };
    let version = match kind {
        "cgroup2" => Version::V2,
        "cgroup" if options.split(',').any(|option| option == "cpu") => Version::V1,
        _ => return None,
    };
    Some((version, PathBuf::from(path)))
}

/// Where a process is, by its list of groups, below where its hierarchy is mounted.
fn place_in(groups: &str, version: Version) -> Option<&str> {
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let ours = match version {
            Version::V2 => controllers.is_empty(),
            Version::V1 => controllers.split(',').any(|controller| controller == "cpu"),
        };
        ours.then(|| path.trim_start_matches('/'))
    })
}

impl Version {
    fn weight_file(self) -> &'static str {
        match self {
            Version::V2 => "cpu.weight",
            Version::V1 => "cpu.shares",
        }
    }

    fn burst_file(self) -> &'static str {
        match self {
            Version::V2 => "cpu.max.burst",
            Version::V1 => "cpu.cfs_burst_us",
        }
    }

    fn quota_file(self) -> &'static str {
        match self {
            Version::V2 => "cpu.max",
            Version::V1 => "cpu.cfs_quota_us",
        }
    }
}

/// What making and removing a group is. The kernel fills a new one with its files and they go with it; a directory
/// tree of a test has somebody do both.
mod kernel {
    #[cfg(not(test))]
    pub(super) use std::fs::{create_dir as make, remove_dir as remove};

    #[cfg(test)]
    pub(super) use super::tests::{make, remove};
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Nanos, Quota, Weight};
    use std::path::Path;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::{fs, io};

    pub(super) fn make(path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        let has = |name: &str| path.parent().is_some_and(|root| root.join(name).exists());
        let files: &[&str] = match (has("cgroup.subtree_control"), has("cpu.shares")) {
            (true, _) if !read(path.parent().unwrap(), "cgroup.subtree_control").contains("cpu") => &[],
            (true, _) => &["cpu.weight", "cpu.max", "cpu.max.burst", "cpu.idle", "cgroup.subtree_control"],
            (_, true) => {
                &["cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us", "cpu.idle"]
            }
            _ => &[],
        };
        files.iter().chain(&["cgroup.procs"]).try_for_each(|file| fs::write(path.join(file), ""))
    }

    /// As the kernel does, only without members. The test's one process has left when it was told so elsewhere.
    pub(super) fn remove(path: &Path) -> io::Result<()> {
        let member = fs::read_to_string(path.join("cgroup.procs"))?;
        let hierarchy = path.ancestors().find(|path| path.parent() == Some(&std::env::temp_dir())).unwrap();
        if !member.is_empty() && !is_elsewhere(&member, path, hierarchy) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        if !dir::inside(path).is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        fs::remove_dir_all(path)
    }

    fn is_elsewhere(member: &str, than: &Path, from: &Path) -> bool {
        let is_here = from != than
            && fs::read_to_string(from.join("cgroup.procs")).is_ok_and(|members| members == member);
        is_here || dir::inside(from).iter().any(|inner| is_elsewhere(member, than, inner))
    }

    pub(in crate::control) fn read(path: &Path, file: &str) -> String {
        fs::read_to_string(path.join(file)).unwrap()
    }

    /// A hierarchy whose root has these files.
    fn tree(files: &[(&str, &str)]) -> PathBuf {
        static TREES: AtomicU32 = AtomicU32::new(0);
        let number = TREES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("uos-sched-groups.{}.{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        files.iter().for_each(|(file, text)| fs::write(path.join(file), text).unwrap());
        path
    }

    pub(in crate::control) fn v2() -> (PathBuf, Root) {
        let path = tree(&[("cgroup.subtree_control", "memory pids"), ("cgroup.procs", "")]);
        let mut root = Root { version: Version::V2, path: path.clone(), owner: own(), switched_on: false };
        // The kernel merges what is written; a file has it instead.
        assert!(root.works());
        (path, root)
    }

    pub(in crate::control) fn v1() -> (PathBuf, Root) {
        let path = tree(&[("cpu.shares", "1024"), ("cgroup.procs", "")]);
        let mut root = Root { version: Version::V1, path: path.clone(), owner: own(), switched_on: false };
        assert!(root.works());
        (path, root)
    }

    fn own() -> Owner {
        Owner::own().unwrap()
    }

    fn quota(period_ms: u64, budget_us: u64) -> Option<Quota> {
        Some(Quota::new(Nanos::from_millis(period_ms), Nanos::from_micros(budget_us)).unwrap())
    }

    #[test]
    fn version_2_is_switched_on_used_and_switched_off() {
        let (path, root) = v2();
        assert_eq!(read(&path, "cgroup.subtree_control"), "+cpu");
        let pid = std::process::id();
        let mut group = root.put(pid, &path).unwrap();
        group.before = path.clone();
        let at = path.join(format!("uos-sched.{}.{pid}", own()));
        assert_eq!(read(&at, "cgroup.procs"), pid.to_string());
        group.dir.set_weight(Weight::new(2048).unwrap()).unwrap();
        assert_eq!(read(&at, "cpu.weight"), "200");
        group.dir.set_quota(quota(100, 20_000)).unwrap();
        assert_eq!(read(&at, "cpu.max"), "20000 100000");
        assert_eq!(read(&at, "cpu.max.burst"), "0");
        let saved = quota(10_000, 2_000_000).map(|quota| quota.burst(Nanos::from_millis(500)));
        group.dir.set_quota(saved).unwrap();
        assert!(read(&at, "cpu.max").starts_with("200000 1000000"), "{}", read(&at, "cpu.max"));
        assert_eq!(read(&at, "cpu.max.burst"), "50000", "a quarter of the budget");
        fs::write(at.join("cpu.max"), "").unwrap();
        fs::remove_file(at.join("cpu.max.burst")).unwrap();
        group.dir.set_quota(None).unwrap();
        assert!(read(&at, "cpu.max").starts_with("max 100000"), "{}", read(&at, "cpu.max"));
        group.dir.set_idle(true).unwrap();
        assert_eq!(read(&at, "cpu.idle"), "1");
        drop(group);
        assert_eq!(read(&path, "cgroup.procs"), pid.to_string(), "back where it was");
        assert!(!at.exists());
        drop(root);
        assert_eq!(read(&path, "cgroup.subtree_control"), "-cpu");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_was_on_before_stays_on() {
        let path = tree(&[("cgroup.subtree_control", "cpu io"), ("cgroup.procs", "")]);
        let mut root = Root { version: Version::V2, path: path.clone(), owner: own(), switched_on: false };
        assert!(root.works());
        drop(root);
        assert_eq!(read(&path, "cgroup.subtree_control"), "cpu io");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_hierarchy_without_the_controller_is_not_used() {
        let path = tree(&[("cgroup.procs", "")]);
        for version in [Version::V2, Version::V1] {
            assert!(!Root { version, path: path.clone(), owner: own(), switched_on: false }.works());
        }
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing is left of the trial");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn version_1_has_a_file_for_each_number() {
        let path = tree(&[("cpu.shares", "1024"), ("cgroup.procs", "")]);
        let mut root = Root { version: Version::V1, path: path.clone(), owner: own(), switched_on: false };
        assert!(root.works());
        let pid = std::process::id();
        let mut group = root.put(pid, &path).unwrap();
        group.before = path.clone();
        let at = path.join(format!("uos-sched.{}.{pid}", own()));
        group.dir.set_weight(Weight::MIN).unwrap();
        assert_eq!(read(&at, "cpu.shares"), "2", "the kernel's least");
        group.dir.set_quota(quota(50, 10_000)).unwrap();
        assert_eq!(
            (read(&at, "cpu.cfs_quota_us"), read(&at, "cpu.cfs_period_us")),
            ("10000".into(), "50000".into())
        );
        drop(group);
        assert!(!at.exists());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn groups_of_the_dead_are_removed_and_those_of_the_living_are_not() {
        let path = tree(&[("cpu.shares", "1024"), ("cgroup.procs", "")]);
        let text = own().to_string();
        let of = |pid: i32| text.replacen(&format!("-{}-", std::process::id()), &format!("-{pid}-"), 1);
        let (dead, alive) = (format!("uos-sched.{}.7", of(i32::MAX)), format!("uos-sched.{text}.7"));
        // Of another namespace, where there may well be such a process.
        let foreign = format!("uos-sched.1{}.7", of(i32::MAX));
        for name in [dead.as_str(), alive.as_str(), foreign.as_str(), "uos-sched.what", "other"] {
            make(&path.join(name)).unwrap();
        }
        let inside = path.join(&dead).join(format!("uos-sched.{}.8", of(i32::MAX)));
        make(&inside).unwrap();
        fs::write(inside.join("cgroup.procs"), "77").unwrap();
        // Who is alive may have made one within: that stays, and so does the one around it, without members.
        let around = format!("uos-sched.{}.7", of(i32::MAX - 2));
        let within = path.join(&around).join(format!("uos-sched.{text}.9"));
        make(&path.join(&around)).unwrap();
        make(&within).unwrap();
        fs::write(within.join("cgroup.procs"), "99").unwrap();
        let elsewhere = format!("uos-sched.{}.7", of(i32::MAX - 1));
        make(&path.join(&elsewhere)).unwrap();
        fs::write(path.join(&elsewhere).join("cgroup.procs"), "0\n0").unwrap();
        assert!(Root { version: Version::V1, path: path.clone(), owner: own(), switched_on: false }.works());
        assert!(!path.join(&dead).exists() && path.join(&alive).exists() && path.join(&foreign).exists());
        assert_eq!(read(&within, "cgroup.procs"), "99", "its owner lives");
        assert!(path.join("uos-sched.what").exists() && path.join("other").exists());
        assert!(path.join(&elsewhere).exists(), "whose members are not of this machine's numbers");
        assert_eq!(read(&path, "cgroup.procs"), "77", "whom it held is not lost");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn where_groups_are_and_where_a_process_is() {
        let v1 = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,cpu,cpuacct 0 0";
        assert_eq!(mounted(v1), Some((Version::V1, "/sys/fs/cgroup/cpu,cpuacct".into())));
        assert_eq!(mounted("none /cg cgroup2 rw 0 0"), Some((Version::V2, "/cg".into())));
        assert_eq!(mounted("cgroup /sys/fs/cgroup/cpuset cgroup rw,cpuset 0 0"), None);
        assert_eq!(mounted("proc /proc proc rw 0 0"), None);
        let groups = "4:memory:/a\n2:cpu,cpuacct:/user/b:c\n0::/unit\n";
        assert_eq!(place_in(groups, Version::V1), Some("user/b:c"));
        assert_eq!(place_in(groups, Version::V2), Some("unit"));
        assert_eq!(place_in("4:memory:/a\n", Version::V1), None);
    }

    #[test]
    fn groups_are_made_in_groups_and_their_members_move() {
        for (path, root) in [v1(), v2()] {
            let pid = std::process::id();
            let ours = |name: &str| format!("uos-sched.{}.{name}", own());
            let outer = root.make(&path, "outer").unwrap();
            outer.hand_down().unwrap();
            let inner = root.make(outer.path(), "inner").unwrap();
            inner.hand_down().unwrap();
            if root.version == Version::V2 {
                assert!(read(&path.join(ours("outer")), "cgroup.subtree_control").contains("+cpu"));
            }
            let mut member = root.put(pid, inner.path()).unwrap();
            member.before = path.clone();
            assert!(member.is_in(inner.path()) && !member.is_in(outer.path()));
            let first = inner.path().join(ours(&pid.to_string()));
            assert_eq!(read(&first, "cgroup.procs"), pid.to_string());

            let refused = member.move_to(outer.path(), |_| Err(io::ErrorKind::PermissionDenied.into()));
            assert!(refused.is_err() && member.is_in(inner.path()));
            assert_eq!(dir::inside(outer.path()), [inner.path()], "nothing is left of what was refused");

            member.move_to(outer.path(), |dir| dir.set_weight(Weight::new(512).unwrap())).unwrap();
            assert!(member.is_in(outer.path()) && !first.exists());
            let second = outer.path().join(ours(&pid.to_string()));
            assert_eq!(read(&second, "cgroup.procs"), pid.to_string());
            let weight = if root.version == Version::V2 { "cpu.weight" } else { "cpu.shares" };
            assert!(["50", "512"].contains(&&*read(&second, weight)));

            member.follow(&path, Path::new("/nowhere"));
            assert_eq!(member.before, Path::new("/nowhere"));
            drop(member);
            assert_eq!(read(&path, "cgroup.procs"), pid.to_string(), "where it was is no more");
            clear(outer.path(), &path);
            assert!(dir::inside(&path).is_empty(), "those inside go too");
            drop(root);
            fs::remove_dir_all(path).unwrap();
        }
    }

    #[test]
    fn groups_that_others_made_within_a_members_stay() {
        for (path, root) in [v1(), v2()] {
            let pid = std::process::id();
            let outer = root.make(&path, "outer").unwrap();
            let mut member = root.put(pid, &path).unwrap();
            member.before = path.clone();
            let at = path.join(format!("uos-sched.{}.{pid}", own()));
            let theirs = at.join("theirs");
            make(&theirs).unwrap();
            fs::write(theirs.join("cgroup.procs"), "88").unwrap();
            assert!(member.move_to(outer.path(), |_| Ok(())).is_err());
            assert!(member.is_in(&path) && dir::inside(outer.path()).is_empty());
            assert_eq!(read(&at, "cgroup.procs"), pid.to_string(), "nobody is moved");
            drop(member);
            assert_eq!(read(&path, "cgroup.procs"), pid.to_string());
            assert_eq!(read(&theirs, "cgroup.procs"), "88", "it is for its owner to remove");
            fs::remove_dir_all(path).unwrap();
        }
    }
}
