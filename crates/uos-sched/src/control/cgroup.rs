//! A control group for each process, by version 2 or version 1 of the kernel's interface.

use super::process::vanished;
use crate::{Nanos, Quota, Weight};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Which interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V1,
}

/// Where groups can be made that divide CPU time.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) version: Version,
    path: PathBuf,
    /// It is we who let it divide.
    switched_on: bool,
}

/// One process's group. Dropping it puts the process back where it was and removes the group.
#[derive(Debug)]
pub(super) struct Group {
    version: Version,
    path: PathBuf,
    before: PathBuf,
    /// Where it goes if that is no more.
    root: PathBuf,
    pid: u32,
    weight: File,
    quota: File,
}

/// What our groups are called: this, whose they are, and whom they hold.
const PREFIX: &str = "uos-sched.";

impl Root {
    /// The first hierarchy, of this version if one is asked for, in which a group can really be made and has a
    /// weight.
    pub(super) fn probe(only: Option<Version>) -> Option<Root> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        mounts
            .lines()
            .filter_map(mounted)
            .filter(|(version, _)| only.is_none_or(|only| only == *version))
            .find_map(|(version, path)| {
                let mut root = Root { version, path, switched_on: false };
                root.works().then_some(root)
            })
    }

    fn works(&mut self) -> bool {
        self.sweep();
        // The root of version 2 divides only if the controller is switched on for its children.
        if self.version == Version::V2 && !self.switch_on() {
            return false;
        }
        // Several may try at the same time.
        static TRIALS: AtomicU32 = AtomicU32::new(0);
        let number = TRIALS.fetch_add(1, Ordering::Relaxed);
        let trial = self.path.join(format!("{PREFIX}{}.trial-{number}", std::process::id()));
        let made = kernel::make(&trial).is_ok();
        let works = made && trial.join(self.version.weight_file()).exists();
        if made {
            let _ = kernel::remove(&trial);
        }
        works
    }

    fn switch_on(&mut self) -> bool {
        let control = self.path.join("cgroup.subtree_control");
        let Ok(before) = fs::read_to_string(&control) else { return false };
        if before.split_whitespace().any(|controller| controller == "cpu") {
            return true;
        }
        self.switched_on = fs::write(&control, "+cpu").is_ok();
        self.switched_on
    }

    /// Removes the groups of those who were killed before they could; whom they hold goes to the root.
    fn sweep(&self) {
        for (name, owner) in self.groups() {
            let (group, gone) = (self.path.join(name), !Path::new("/proc").join(owner.to_string()).exists());
            // Where its members have no number here, its owner may have another number too.
            let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            if gone && !members.lines().any(|member| member == "0") {
                clear(&group, &self.path);
            }
        }
    }

    /// Our kind of groups, and the process that made each.
    fn groups(&self) -> Vec<(String, u32)> {
        let Ok(there) = fs::read_dir(&self.path) else { return Vec::new() };
        let names = there.flatten().filter_map(|one| one.file_name().into_string().ok());
        let ours = names.filter_map(|name| {
            let owner = name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()?;
            Some((name, owner))
        });
        ours.collect()
    }

    /// A new group with this process, and all its threads, in it.
    pub(super) fn put(&self, pid: u32) -> io::Result<Group> {
        let before = self.place_of(pid)?;
        let path = self.path.join(format!("{PREFIX}{}.{pid}", std::process::id()));
        kernel::make(&path)?;
        let open = |name: &str| File::options().write(true).open(path.join(name));
        let group = open(self.version.weight_file()).and_then(|weight| {
            let quota = open(self.version.quota_file())?;
            fs::write(path.join("cgroup.procs"), pid.to_string())?;
            Ok((weight, quota))
        });
        match group {
            Ok((weight, quota)) => {
                let (version, root) = (self.version, self.path.clone());
                Ok(Group { version, path, before, root, pid, weight, quota })
            }
            Err(error) => {
                let _ = kernel::remove(&path);
                Err(error)
            }
        }
    }

    /// The group a process is in now.
    fn place_of(&self, pid: u32) -> io::Result<PathBuf> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).map_err(vanished)?;
        Ok(self.path.join(place_in(&groups, self.version).unwrap_or_default()))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Others like us may have come to rely on it.
        if self.switched_on && self.groups().is_empty() {
            let _ = fs::write(self.path.join("cgroup.subtree_control"), "-cpu");
        }
    }
}

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

/// Moves everybody out of a group and removes it.
fn clear(group: &Path, home: &Path) {
    // Its children may have been born into it, and the dead leave it a moment after their end.
    for _ in 0..50 {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        // Whom this process can't see is listed as 0, and to write that would move ourselves.
        for member in members.lines().filter(|&member| member != "0") {
            let _ = fs::write(home.join("cgroup.procs"), member);
        }
        if kernel::remove(group).is_ok() || !group.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Group {
    /// A weight in the kernel's terms: its scale's middle for ours, and its bounds.
    pub(super) fn set_weight(&self, weight: Weight) -> io::Result<()> {
        let wanted = u64::from(weight.get());
        let value = match self.version {
            Version::V1 => wanted.clamp(2, 262_144),
            // 100 is the default of 1 to 10,000.
            Version::V2 => (wanted * 100).div_ceil(1024).clamp(1, 10_000),
        };
        rewrite(&self.weight, &value.to_string())
    }

    /// Another quota; if that is refused, `before` stays.
    pub(super) fn set_quota(&self, quota: Option<Quota>, before: Option<Quota>) -> io::Result<()> {
        let set = self.write_quota(quota);
        if set.is_err() {
            let _ = self.write_quota(before);
        }
        set
    }

    fn write_quota(&self, quota: Option<Quota>) -> io::Result<()> {
        // No more may be saved up than a budget, at any moment.
        self.write_burst(0)?;
        self.write_budget(quota)?;
        let burst = quota.map_or(0, |quota| {
            let (budget, _) = in_kernel_terms(&quota);
            (u128::from(quota.burst.0) * u128::from(budget) / u128::from(quota.budget.0)) as u64
        });
        if burst > 0 { self.write_burst(burst) } else { Ok(()) }
    }

    /// Kernels before 5.14 save nothing up.
    fn write_burst(&self, micros: u64) -> io::Result<()> {
        match overwrite(&self.path.join(self.version.burst_file()), &micros.to_string()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            written => written,
        }
    }

    fn write_budget(&self, quota: Option<Quota>) -> io::Result<()> {
        let (budget, period) = quota.map_or((None, 100_000), |quota| {
            let (budget, period) = in_kernel_terms(&quota);
            (Some(budget), period)
        });
        match (self.version, budget) {
            (Version::V2, None) => rewrite(&self.quota, &format!("max {period}")),
            (Version::V2, Some(budget)) => rewrite(&self.quota, &format!("{budget} {period}")),
            (Version::V1, None) => rewrite(&self.quota, "-1"),
            (Version::V1, Some(budget)) => {
                // A file each: in between, no combination of old and new may be one that the kernel refuses.
                rewrite(&self.quota, "-1")?;
                overwrite(&self.path.join("cpu.cfs_period_us"), &period.to_string())?;
                rewrite(&self.quota, &budget.to_string())
            }
        }
    }

    /// The idle class of threads is no more than their order within the group: the group itself has to be idle beside
    /// others. Its weight is the default afterwards. Kernels before 5.15 do not know that.
    pub(super) fn set_idle(&self, idle: bool) -> io::Result<()> {
        match overwrite(&self.path.join("cpu.idle"), if idle { "1" } else { "0" }) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && idle => self.set_weight(Weight::MIN),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.set_weight(Weight::DEFAULT),
            written => written,
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let home = if self.before.is_dir() { &self.before } else { &self.root };
        // It may have ended; then there is nothing to move, and the group is empty.
        let _ = fs::write(home.join("cgroup.procs"), self.pid.to_string());
        clear(&self.path, home);
    }
}

/// A budget and a period in microseconds. The kernel's longest period is a second, and its shortest budget a
/// millisecond: the same part of it, then, of a longer period where the budget would be shorter.
fn in_kernel_terms(quota: &Quota) -> (u64, u64) {
    let part =
        |period: u64| (u128::from(quota.budget.0) * u128::from(period) / u128::from(quota.period.0)) as u64;
    let shortest = Nanos::from_millis(1).as_micros();
    let period = quota.period.as_micros().clamp(1_000, 1_000_000);
    if part(period) >= shortest {
        return (part(period), period);
    }
    let longer = (u128::from(quota.period.0) * u128::from(shortest)).div_ceil(u128::from(quota.budget.0));
    let longer = u64::try_from(longer).unwrap_or(u64::MAX).clamp(period, 1_000_000);
    (part(longer).max(shortest), longer)
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

/// On a file that is there: to ask for a new one would be refused for another reason than that it is not.
fn overwrite(path: &Path, text: &str) -> io::Result<()> {
    io::Write::write_all(&mut File::options().write(true).open(path)?, text.as_bytes())
}

/// On a file that stays open: a sixth of what opening it each time takes.
fn rewrite(file: &File, text: &str) -> io::Result<()> {
    file.write_all_at(text.as_bytes(), 0)
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
mod tests {
    use super::*;

    pub(super) fn make(path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        let has = |name: &str| path.parent().is_some_and(|root| root.join(name).exists());
        let files: &[&str] = match (has("cgroup.subtree_control"), has("cpu.shares")) {
            (true, _) if !read(path.parent().unwrap(), "cgroup.subtree_control").contains("cpu") => &[],
            (true, _) => &["cpu.weight", "cpu.max", "cpu.max.burst", "cpu.idle"],
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
        let moved = fs::read_to_string(path.parent().unwrap().join("cgroup.procs"))?;
        let home = fs::read_to_string(path.parent().unwrap().join("home/cgroup.procs")).unwrap_or_default();
        if !member.is_empty() && ![moved, home].contains(&member) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        fs::remove_dir_all(path)
    }

    fn read(path: &Path, file: &str) -> String {
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

    fn v2() -> (PathBuf, Root) {
        let path = tree(&[("cgroup.subtree_control", "memory pids"), ("cgroup.procs", "")]);
        let mut root = Root { version: Version::V2, path: path.clone(), switched_on: false };
        // The kernel merges what is written; a file has it instead.
        assert!(root.works());
        (path, root)
    }

    fn quota(period_ms: u64, budget_us: u64) -> Option<Quota> {
        Some(Quota::new(Nanos::from_millis(period_ms), Nanos::from_micros(budget_us)).unwrap())
    }

    #[test]
    fn version_2_is_switched_on_used_and_switched_off() {
        let (path, root) = v2();
        assert_eq!(read(&path, "cgroup.subtree_control"), "+cpu");
        let pid = std::process::id();
        let mut group = root.put(pid).unwrap();
        group.before = path.clone();
        let at = path.join(format!("uos-sched.{pid}.{pid}"));
        assert_eq!(read(&at, "cgroup.procs"), pid.to_string());
        group.set_weight(Weight::new(2048).unwrap()).unwrap();
        assert_eq!(read(&at, "cpu.weight"), "200");
        group.set_quota(quota(100, 20_000), None).unwrap();
        assert_eq!(read(&at, "cpu.max"), "20000 100000");
        assert_eq!(read(&at, "cpu.max.burst"), "0");
        let saved = quota(10_000, 2_000_000).map(|quota| quota.burst(Nanos::from_millis(500)));
        group.set_quota(saved, None).unwrap();
        assert!(read(&at, "cpu.max").starts_with("200000 1000000"), "{}", read(&at, "cpu.max"));
        assert_eq!(read(&at, "cpu.max.burst"), "50000", "a quarter of the budget");
        fs::write(at.join("cpu.max"), "").unwrap();
        fs::remove_file(at.join("cpu.max.burst")).unwrap();
        group.set_quota(None, saved).unwrap();
        assert!(read(&at, "cpu.max").starts_with("max 100000"), "{}", read(&at, "cpu.max"));
        group.set_idle(true).unwrap();
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
        let mut root = Root { version: Version::V2, path: path.clone(), switched_on: false };
        assert!(root.works());
        drop(root);
        assert_eq!(read(&path, "cgroup.subtree_control"), "cpu io");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_hierarchy_without_the_controller_is_not_used() {
        let path = tree(&[("cgroup.procs", "")]);
        for version in [Version::V2, Version::V1] {
            assert!(!Root { version, path: path.clone(), switched_on: false }.works());
        }
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1, "nothing is left of the trial");
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn version_1_has_a_file_for_each_number() {
        let path = tree(&[("cpu.shares", "1024"), ("cgroup.procs", "")]);
        let mut root = Root { version: Version::V1, path: path.clone(), switched_on: false };
        assert!(root.works());
        let pid = std::process::id();
        let mut group = root.put(pid).unwrap();
        group.before = path.clone();
        let at = path.join(format!("uos-sched.{pid}.{pid}"));
        group.set_weight(Weight::MIN).unwrap();
        assert_eq!(read(&at, "cpu.shares"), "2", "the kernel's least");
        group.set_quota(quota(50, 10_000), None).unwrap();
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
        let (dead, alive) =
            (format!("uos-sched.{}.7", i32::MAX), format!("uos-sched.{}.7", std::process::id()));
        for name in [dead.as_str(), alive.as_str(), "uos-sched.what", "other"] {
            make(&path.join(name)).unwrap();
        }
        fs::write(path.join(&dead).join("cgroup.procs"), "77").unwrap();
        let elsewhere = format!("uos-sched.{}.7", i32::MAX - 1);
        make(&path.join(&elsewhere)).unwrap();
        fs::write(path.join(&elsewhere).join("cgroup.procs"), "0\n0").unwrap();
        assert!(Root { version: Version::V1, path: path.clone(), switched_on: false }.works());
        assert!(!path.join(&dead).exists() && path.join(&alive).exists());
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
    fn quotas_keep_their_part_within_the_kernels_bounds() {
        let terms = |period_ms, budget_us| in_kernel_terms(&quota(period_ms, budget_us).unwrap());
        assert_eq!(terms(100, 20_000), (20_000, 100_000));
        assert_eq!(terms(10_000, 2_000_000), (200_000, 1_000_000), "a fifth of the longest period");
        assert_eq!(terms(1, 100), (1_000, 10_000), "a tenth, by the shortest budget");
        assert_eq!(terms(3_600_000, 100), (1_000, 1_000_000), "the least there is");
    }
}
