//! How far each guarantee can be met, level by level and by the way sandboxes are made.

use std::borrow::Cow;

use super::sandbox::Isolation;
use super::sys;
use crate::{Guarantee, Level, Means};

/// `isolation` is the way sandboxes are made, or why there are none.
pub(super) fn means(level: Level, guarantee: Guarantee, isolation: Result<Isolation, &str>) -> Means {
    match (guarantee, level, isolation) {
        (Guarantee::NoNewPrivileges, ..) => enforced("PR_SET_NO_NEW_PRIVS"),
        (Guarantee::FdHygiene, ..) if sys::can_hide_descriptors() => enforced("close_range"),
        (Guarantee::FdHygiene, ..) => absent("close_range with CLOSE_RANGE_CLOEXEC needs Linux 5.11"),
        (Guarantee::Environment, ..) => enforced("execve"),
        (Guarantee::Memory, ..) => absent("unbounded: no memory cgroup is made"),
        (Guarantee::Cpu, ..) => absent("unbounded: no cpu cgroup is made"),
        (_, Level::Privileged, _) => of_the_host(guarantee),
        (_, _, Ok(Isolation::NoNamespaces)) => without_namespaces(guarantee),
        (_, _, Ok(_)) => in_namespaces(guarantee),
        (_, _, Err(why)) => absent(why.to_owned()),
    }
}

fn in_namespaces(guarantee: Guarantee) -> Means {
    enforced(match guarantee {
        Guarantee::FsView => "mount namespace, pivot_root, Landlock",
        Guarantee::Network => "network namespace, seccomp on socket families",
        Guarantee::Syscalls => "seccomp",
        Guarantee::Pids => "pid namespace, RLIMIT_NPROC of a user of its own",
        Guarantee::KillTree => "pid namespace",
        Guarantee::Ipc => "ipc namespace",
        _ => "a private /dev, and no device on any other mount",
    })
}

fn without_namespaces(guarantee: Guarantee) -> Means {
    match guarantee {
        Guarantee::Syscalls => enforced("seccomp"),
        Guarantee::Ipc => enforced("seccomp: no call that makes or finds any"),
        Guarantee::Devices => enforced("Landlock: no other can be opened"),
        Guarantee::FsView => weakened("Landlock alone: names and attributes of all files can be seen"),
        Guarantee::Network => weakened("seccomp alone: local sockets of the host with a path can be reached"),
        Guarantee::Pids => weakened("no pid namespace: the host's processes can be seen"),
        _ => group_only(),
    }
}

fn of_the_host(guarantee: Guarantee) -> Means {
    match guarantee {
        Guarantee::KillTree => group_only(),
        Guarantee::FsView => absent("the host's files: this level has no mount namespace"),
        Guarantee::Network => absent("the host's network: this level has no network namespace"),
        Guarantee::Syscalls => absent("all calls: this level has no seccomp filter"),
        Guarantee::Pids => absent("the host's processes: this level has no pid namespace"),
        Guarantee::Ipc => absent("the host's: this level has no ipc namespace"),
        _ => absent("the host's /dev"),
    }
}

fn group_only() -> Means {
    weakened("process group only: a descendant that makes its own group or session escapes")
}

fn enforced(by: &'static str) -> Means {
    Means::Enforced { by: by.into() }
}

fn weakened(why: &'static str) -> Means {
    Means::Weakened { why: why.into() }
}

fn absent(why: impl Into<Cow<'static, str>>) -> Means {
    Means::Absent { why: why.into() }
}
