//! One directory of control groups: what it weighs beside its siblings and how much it has at the most.

use super::{PREFIX, Version, kernel};
use crate::{Nanos, Quota, Weight};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A directory that was made here, its files open. Whoever has it removes it with [`clear`].
#[derive(Debug)]
pub(in crate::control) struct Dir {
    pub(super) version: Version,
    pub(super) path: PathBuf,
    weight: File,
    quota: File,
    /// As it was last written.
    in_force: Option<Quota>,
}

impl Dir {
    /// An empty group in another. Nothing is left of one that can't be had whole.
    pub(in crate::control) fn make(version: Version, parent: &Path, name: &str) -> io::Result<Dir> {
        let path = parent.join(name);
        kernel::make(&path)?;
        let open = |name: &str| File::options().write(true).open(path.join(name));
        let opened = open(version.weight_file()).and_then(|weight| Ok((weight, open(version.quota_file())?)));
        match opened {
            Ok((weight, quota)) => Ok(Dir { version, path, weight, quota, in_force: None }),
            Err(error) => {
                let _ = kernel::remove(&path);
                Err(error)
            }
        }
    }

    pub(in crate::control) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets it divide what it has between groups in it. In version 1 all do.
    pub(in crate::control) fn hand_down(&self) -> io::Result<()> {
        match self.version {
            Version::V1 => Ok(()),
            Version::V2 => overwrite(&self.path.join("cgroup.subtree_control"), "+cpu"),
        }
    }

    /// Moves a process with all its threads into it.
    pub(super) fn take(&self, pid: u32) -> io::Result<()> {
        overwrite(&self.path.join("cgroup.procs"), &pid.to_string())
    }

    /// A weight in the kernel's terms: its scale's middle for ours, and its bounds.
    pub(in crate::control) fn set_weight(&self, weight: Weight) -> io::Result<()> {
        let wanted = u64::from(weight.get());
        let value = match self.version {
            Version::V1 => wanted.clamp(2, 262_144),
            // 100 is the default of 1 to 10,000.
            Version::V2 => (wanted * 100).div_ceil(1024).clamp(1, 10_000),
        };
        rewrite(&self.weight, &value.to_string())
    }

    /// As it was last written.
    #[cfg(test)]
    pub(in crate::control) fn quota(&self) -> Option<Quota> {
        self.in_force
    }

    /// Another quota, if it differs; if that is refused, the one before stays.
    pub(in crate::control) fn set_quota(&mut self, quota: Option<Quota>) -> io::Result<()> {
        if quota == self.in_force {
            return Ok(());
        }
        match self.write_quota(quota) {
            Ok(()) => {
                self.in_force = quota;
                Ok(())
            }
            Err(error) => {
                let _ = self.write_quota(self.in_force);
                Err(error)
            }
        }
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
    pub(in crate::control) fn set_idle(&self, idle: bool) -> io::Result<()> {
        match overwrite(&self.path.join("cpu.idle"), if idle { "1" } else { "0" }) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && idle => self.set_weight(Weight::MIN),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.set_weight(Weight::DEFAULT),
            written => written,
        }
    }
}

/// Moves everybody out of a group and those in it that its maker made, and removes them. One with a group in it that somebody
/// else has made stays for its owner.
pub(in crate::control) fn clear(group: &Path, home: &Path) {
    for inner in inside(group).iter().filter(|inner| is_of_its_maker(inner, group)) {
        clear(inner, home);
    }
    // Its children may have been born into it, and the dead leave it a moment after their end.
    for _ in 0..50 {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        // Whom this process can't see is listed as 0, and to write that would move ourselves.
        for member in members.lines().filter(|&member| member != "0") {
            let _ = fs::write(home.join("cgroup.procs"), member);
        }
        if kernel::remove(group).is_ok() || !group.exists() || holds_foreign(group) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Whether somebody else has made a group in this one, or in those of its maker in it.
pub(super) fn holds_foreign(group: &Path) -> bool {
    inside(group).iter().any(|inner| !is_of_its_maker(inner, group) || holds_foreign(inner))
}

fn is_of_its_maker(inner: &Path, group: &Path) -> bool {
    maker(inner).is_some_and(|of| maker(group) == Some(of))
}

fn maker(group: &Path) -> Option<&str> {
    group.file_name()?.to_str()?.strip_prefix(PREFIX)?.split('.').next()
}

/// The groups in a group.
pub(super) fn inside(group: &Path) -> Vec<PathBuf> {
    let Ok(there) = fs::read_dir(group) else { return Vec::new() };
    there.flatten().map(|one| one.path()).filter(|path| path.is_dir()).collect()
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

/// What part of a CPU a quota is, as the kernel compares them.
pub(in crate::control) fn part(quota: &Quota) -> u64 {
    let (budget, period) = in_kernel_terms(quota);
    (budget << 20) / period
}

/// On a file that is there: to ask for a new one would be refused for another reason than that it is not.
fn overwrite(path: &Path, text: &str) -> io::Result<()> {
    io::Write::write_all(&mut File::options().write(true).open(path)?, text.as_bytes())
}

/// On a file that stays open: a sixth of what opening it each time takes.
fn rewrite(file: &File, text: &str) -> io::Result<()> {
    file.write_all_at(text.as_bytes(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_keep_their_part_within_the_kernels_bounds() {
        let terms = |period_ms, budget_us| in_kernel_terms(&quota(period_ms, budget_us));
        assert_eq!(terms(100, 20_000), (20_000, 100_000));
        assert_eq!(terms(10_000, 2_000_000), (200_000, 1_000_000), "a fifth of the longest period");
        assert_eq!(terms(1, 100), (1_000, 10_000), "a tenth, by the shortest budget");
        assert_eq!(terms(3_600_000, 100), (1_000, 1_000_000), "the least there is");
    }

    #[test]
    fn quotas_are_compared_as_the_kernel_does() {
        let quota = |period_ms, budget_us| part(&quota(period_ms, budget_us));
        assert_eq!(quota(100, 20_000), quota(50, 10_000));
        assert!(quota(100, 20_000) < quota(100, 30_000) && quota(100, 200_000) > 1 << 20);
    }

    fn quota(period_ms: u64, budget_us: u64) -> Quota {
        Quota::new(Nanos::from_millis(period_ms), Nanos::from_micros(budget_us)).unwrap()
    }
}
