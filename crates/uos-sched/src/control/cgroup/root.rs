//! Where groups can be made, and what others have left there.

use super::dir::{clear, inside};
use super::{Dir, Member, Owner, PREFIX, Version, kernel, mounted, place_in};
use crate::control::process::vanished;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where groups can be made that divide CPU time.
#[derive(Debug)]
pub(in crate::control) struct Root {
    pub(in crate::control) version: Version,
    pub(super) path: PathBuf,
    /// As whom groups are made here.
    pub(super) owner: Owner,
    /// It is we who let it divide.
    pub(super) switched_on: bool,
}

impl Root {
    /// The first hierarchy, of this version if one is asked for, in which a group can really be made and has a
    /// weight.
    pub(in crate::control) fn probe(only: Option<Version>) -> Option<Root> {
        let (mounts, owner) = (fs::read_to_string("/proc/self/mounts").ok()?, Owner::own()?);
        mounts
            .lines()
            .filter_map(mounted)
            .filter(|(version, _)| only.is_none_or(|only| only == *version))
            .find_map(|(version, path)| {
                let mut root = Root { version, path, owner, switched_on: false };
                root.works().then_some(root)
            })
    }

    pub(super) fn works(&mut self) -> bool {
        self.sweep();
        // The root of version 2 divides only if the controller is switched on for its children.
        if self.version == Version::V2 && !self.switch_on() {
            return false;
        }
        // Several may try at the same time.
        static TRIALS: AtomicU32 = AtomicU32::new(0);
        let number = TRIALS.fetch_add(1, Ordering::Relaxed);
        let trial = self.path.join(format!("{PREFIX}{}.trial-{number}", self.owner));
        let made = kernel::make(&trial).is_ok();
        let works = made && trial.join(self.version.weight_file()).exists() && !takes_threads_alone(&trial);
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
            let group = self.path.join(name);
            // Where its members have no number here, whoever looks after them may not have one either.
            if owner.is_gone(&self.owner) && !holds_strangers(&group) {
                clear(&group, &self.path);
            }
        }
    }

    /// Our kind of groups, and who made each.
    fn groups(&self) -> Vec<(String, Owner)> {
        let Ok(there) = fs::read_dir(&self.path) else { return Vec::new() };
        let names = there.flatten().filter_map(|one| one.file_name().into_string().ok());
        let ours = names.filter_map(|name| {
            let owner = Owner::parse(name.strip_prefix(PREFIX)?.split('.').next()?)?;
            Some((name, owner))
        });
        ours.collect()
    }

    pub(in crate::control) fn path(&self) -> &Path {
        &self.path
    }

    /// A new group in another, to be called by this name among those of this process.
    pub(in crate::control) fn make(&self, parent: &Path, name: &str) -> io::Result<Dir> {
        Dir::make(self.version, parent, &format!("{PREFIX}{}.{name}", self.owner))
    }

    /// A new group within `parent` with this process, and all its threads, in it.
    pub(in crate::control) fn put(&self, pid: u32, parent: &Path) -> io::Result<Member> {
        let before = self.place_of(pid)?;
        let dir = self.make(parent, &pid.to_string())?;
        match dir.take(pid) {
            Ok(()) => Ok(Member { dir, before, root: self.path.clone(), pid }),
            Err(error) => {
                let _ = kernel::remove(&dir.path);
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

/// Whether no process can be in a group. So it is in version 2 where the one around it has members, unless that is the root
/// of all: a container's own group is the root of what it sees only, and the kernel has it hand CPU time down to groups
/// of threads at the most.
fn takes_threads_alone(group: &Path) -> bool {
    fs::read_to_string(group.join("cgroup.type")).is_ok_and(|kind| kind.trim_end() != "domain")
}

/// Whether somebody in a group, or in those in it, has no number here.
fn holds_strangers(group: &Path) -> bool {
    let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    members.lines().any(|member| member == "0") || inside(group).iter().any(|inner| holds_strangers(inner))
}
