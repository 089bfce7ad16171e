//! Where the control group trees are, and this program's place in each.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A controller of the first version that is of use here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Controller {
    Memory,
    Cpu,
    Cpuacct,
    Pids,
    Freezer,
}

impl Controller {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "memory" => Controller::Memory,
            "cpu" => Controller::Cpu,
            "cpuacct" => Controller::Cpuacct,
            "pids" => Controller::Pids,
            "freezer" => Controller::Freezer,
            _ => return None,
        })
    }
}

/// The directories of the groups this program is in. Everything it makes, it makes below them, and so stays within
/// the limits that it is itself held to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// By controller, in trees of the first version. Two controllers may share a tree.
    pub(super) v1: BTreeMap<Controller, PathBuf>,
    /// In the tree of the second version.
    pub(super) v2: Option<PathBuf>,
}

impl Layout {
    /// That of this program. Empty where `/proc` does not tell.
    pub(super) fn of_this_program() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Layout::parse(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    }

    fn parse(mountinfo: &str, own_groups: &str) -> Self {
        let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::parse).collect();
        let mut layout = Layout::default();
        for line in own_groups.lines() {
            // `4:cpu,cpuacct:/path`, and `0::/path` for the second version.
            let mut parts = line.splitn(3, ':');
            let (Some(number), Some(names), Some(own)) = (parts.next(), parts.next(), parts.next()) else {
                continue;
            };
            let is_v2 = number == "0" && names.is_empty();
            let is_here = |mount: &&Mount<'_>| match is_v2 {
                true => mount.kind == "cgroup2",
                false => mount.kind == "cgroup" && names.split(',').all(|name| mount.has(name)),
            };
            // A tree may be mounted more than once; the last mount that shows our group is as good as any.
            let dir = mounts.iter().filter(is_here).filter_map(|mount| mount.show(own)).next_back();
            let Some(dir) = dir else { continue };
            if is_v2 {
                layout.v2 = Some(dir);
            } else {
                let controllers = names.split(',').filter_map(Controller::named);
                layout.v1.extend(controllers.map(|controller| (controller, dir.clone())));
            }
        }
        layout
    }
}

/// A mounted tree, as `/proc/self/mountinfo` tells of it.
struct Mount<'a> {
    /// The group that is seen at `at`.
    root: PathBuf,
    at: PathBuf,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (place, tree) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, at) = (unescape(place.next()?), unescape(place.next()?));
        let mut tree = tree.split(' ');
        let (kind, _source, options) = (tree.next()?, tree.next()?, tree.next()?);
        Some(Mount { root, at, kind, options })
    }

    fn has(&self, controller: &str) -> bool {
        self.options.split(',').any(|option| option == controller)
    }

    /// Where the group `own` is seen, if it is. One outside what we were given reads `/../…`.
    fn show(&self, own: &str) -> Option<PathBuf> {
        let below = Path::new(own).strip_prefix(&self.root).ok()?;
        let is_inside = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        is_inside.then(|| self.at.join(below))
    }
}

/// Spaces and the like are written `\040` there.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(v1: &[(Controller, &str)], v2: Option<&str>) -> Layout {
        Layout {
            v1: v1.iter().map(|(controller, dir)| (*controller, PathBuf::from(dir))).collect(),
            v2: v2.map(PathBuf::from),
        }
    }

    #[test]
    fn a_unified_machine() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        let own = "0::/system.slice/uos.service\n";
        let expected = layout(&[], Some("/sys/fs/cgroup/system.slice/uos.service"));
        assert_eq!(Layout::parse(mounts, own), expected);
    }

    #[test]
    fn a_hybrid_machine_with_shared_trees() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            35 31 0:32 / /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory\n\
            36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let own = "9:name=systemd:/\n4:memory:/a/b\n2:cpu,cpuacct:/\n5:devices:/\n0::/x";
        let expected = layout(
            &[
                (Controller::Memory, "/sys/fs/cgroup/mem ory/a/b"),
                (Controller::Cpu, "/sys/fs/cgroup/cpu,cpuacct"),
                (Controller::Cpuacct, "/sys/fs/cgroup/cpu,cpuacct"),
            ],
            Some("/sys/fs/cgroup/unified/x"),
        );
        assert_eq!(Layout::parse(mounts, own), expected);
    }

    #[test]
    fn a_container_sees_its_own_part_only() {
        let mounts = "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
            36 31 0:33 /docker/1 /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids";
        let own = "4:memory:/docker/1/deep\n5:pids:/docker/2";
        let expected = layout(&[(Controller::Memory, "/sys/fs/cgroup/memory/deep")], None);
        assert_eq!(Layout::parse(mounts, own), expected);
    }

    #[test]
    fn a_group_beyond_the_namespace_is_not_below_anything() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(Layout::parse(mounts, "0::/../other"), Layout::default());
        assert_eq!(Layout::parse("", ""), Layout::default());
        assert_eq!(Layout::parse("nonsense\n1 2 3 - x", "nonsense\n0:"), Layout::default());
    }
}
