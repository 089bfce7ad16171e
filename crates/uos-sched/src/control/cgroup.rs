//! A control group for each process, by version 2 or version 1 of the kernel's interface.

use crate::{Quota, Weight};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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
}

/// One process's group. Dropping it puts the process back where it was and removes the group.
#[derive(Debug)]
pub(super) struct Group {
    version: Version,
    path: PathBuf,
    before: PathBuf,
    pid: u32,
    weight: File,
    quota: File,
}

impl Root {
    /// The first hierarchy in which a group can really be made and has a weight.
    pub(super) fn probe() -> Option<Root> {
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let candidates = mounts.lines().filter_map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [_, path, kind, options, ..] = words[..] else { return None };
            let version = match kind {
                "cgroup2" => Version::V2,
                "cgroup" if options.split(',').any(|option| option == "cpu") => Version::V1,
                _ => return None,
            };
            Some(Root { version, path: PathBuf::from(path) })
        });
        candidates.into_iter().find(Root::works)
    }

    fn works(&self) -> bool {
        // The root of version 2 divides only if the controller is switched on for its children.
        let control = self.path.join("cgroup.subtree_control");
        if self.version == Version::V2 && fs::write(&control, "+cpu").is_err() {
            return false;
        }
        let trial = self.path.join(format!("uos-sched.{}.probe", std::process::id()));
        let made = fs::create_dir(&trial).is_ok();
        let works = made && trial.join(self.version.weight_file()).exists();
        if made {
            let _ = fs::remove_dir(&trial);
        }
        works
    }

    /// A new group with this process, and all its threads, in it.
    pub(super) fn put(&self, pid: u32) -> io::Result<Group> {
        let before = self.place_of(pid)?;
        let path = self.path.join(format!("uos-sched.{}.{pid}", std::process::id()));
        fs::create_dir(&path)?;
        let open = |name: &str| File::options().write(true).open(path.join(name));
        let group = open(self.version.weight_file()).and_then(|weight| {
            let quota = open(self.version.quota_file())?;
            fs::write(path.join("cgroup.procs"), pid.to_string())?;
            Ok((weight, quota))
        });
        match group {
            Ok((weight, quota)) => Ok(Group { version: self.version, path, before, pid, weight, quota }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(error)
            }
        }
    }

    /// The group a process is in now.
    fn place_of(&self, pid: u32) -> io::Result<PathBuf> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let line = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            let ours = match self.version {
                Version::V2 => controllers.is_empty(),
                Version::V1 => controllers.split(',').any(|controller| controller == "cpu"),
            };
            ours.then(|| path.trim_start_matches('/').to_owned())
        });
        Ok(self.path.join(line.unwrap_or_default()))
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

    pub(super) fn set_quota(&self, quota: Option<Quota>) -> io::Result<()> {
        let period = quota.map_or(100_000, |quota| quota.period.as_micros().clamp(1_000, 1_000_000));
        // The kernel's longest period is a second: the same part of it, then.
        let budget = quota.map(|quota| {
            let part = u128::from(quota.budget.0) * u128::from(period) / u128::from(quota.period.0);
            (part as u64).max(1_000)
        });
        match (self.version, budget) {
            (Version::V2, None) => rewrite(&self.quota, &format!("max {period}")),
            (Version::V2, Some(budget)) => rewrite(&self.quota, &format!("{budget} {period}")),
            (Version::V1, None) => rewrite(&self.quota, "-1"),
            (Version::V1, Some(budget)) => {
                fs::write(self.path.join("cpu.cfs_period_us"), period.to_string())?;
                rewrite(&self.quota, &budget.to_string())
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let home: &Path = if self.before.is_dir() { &self.before } else { Path::new("/nonexistent") };
        // It may have ended; then there is nothing to move, and the group is empty.
        let _ = fs::write(home.join("cgroup.procs"), self.pid.to_string());
        // Its children may have been born into the group, and the dead leave it a moment after their end.
        for _ in 0..50 {
            let members = fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
            for member in members.lines() {
                let _ = fs::write(home.join("cgroup.procs"), member);
            }
            if fs::remove_dir(&self.path).is_ok() || !self.path.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

impl Version {
    fn weight_file(self) -> &'static str {
        match self {
            Version::V2 => "cpu.weight",
            Version::V1 => "cpu.shares",
        }
    }

    fn quota_file(self) -> &'static str {
        match self {
            Version::V2 => "cpu.max",
            Version::V1 => "cpu.cfs_quota_us",
        }
    }
}

/// On a file that stays open: a sixth of what opening it each time takes.
fn rewrite(file: &File, text: &str) -> io::Result<()> {
    file.write_all_at(text.as_bytes(), 0)
}
