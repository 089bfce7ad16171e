//! How far each guarantee can be met, level by level and by the way sandboxes are made.

use std::borrow::Cow;

use super::cgroup::{Abilities, Ability};
use super::grouped::wants_group;
use super::sandbox::Isolation;
use super::sys;
use crate::{Enforcement, Guarantee, Level, Means, Spec};

/// What can be had at `level`: `isolation` is the way sandboxes are made, or why there are none; `can` what control
/// groups can do.
pub(super) fn means(
    level: Level,
    guarantee: Guarantee,
    isolation: Result<Isolation, &str>,
    can: &Abilities,
) -> Means {
    match (guarantee, level, isolation) {
        (Guarantee::NoNewPrivileges, ..) => enforced("PR_SET_NO_NEW_PRIVS"),
        (Guarantee::FdHygiene, ..) if sys::can_hide_descriptors() => enforced("close_range"),
        (Guarantee::FdHygiene, ..) => absent("close_range with CLOSE_RANGE_CLOEXEC needs Linux 5.11"),
        (Guarantee::Environment, ..) => enforced("execve"),
        (Guarantee::Memory, ..) => of_group(&can.memory),
        (Guarantee::Cpu, ..) => of_group(&can.cpu),
        (Guarantee::Pids, Level::Privileged, _) => match &can.pids {
            Ok(by) => Means::Weakened { why: format!("{by}, but the host's processes can be seen").into() },
            Err(why) => absent(why.clone()),
        },
        (_, Level::Privileged, _) => of_the_host(guarantee),
        (Guarantee::Pids, _, Ok(Isolation::Root | Isolation::UserNamespace)) => {
            let number = can.pids.as_deref().unwrap_or("RLIMIT_NPROC of a user of its own");
            Means::Enforced { by: format!("pid namespace, {number}").into() }
        }
        (Guarantee::KillTree, _, Ok(Isolation::NoNamespaces)) => match &can.hold {
            Ok(by) => Means::Enforced { by: by.clone().into() },
            Err(_) => group_only(),
        },
        (_, _, Ok(Isolation::NoNamespaces)) => without_namespaces(guarantee),
        (_, _, Ok(_)) => in_namespaces(guarantee),
        (_, _, Err(why)) => absent(why.to_owned()),
    }
}

/// What is in force for one program: what its level gives, less the bounds that nobody set, and with what a control
/// group of its own adds.
pub(super) fn of_spec(enforcement: Enforcement, spec: &Spec, can: &Abilities) -> Enforcement {
    let limits = spec.limits.or_of(spec.level);
    let mut enforcement = enforcement;
    let bounds = [
        (Guarantee::Memory, limits.memory_bytes.is_some()),
        (Guarantee::Cpu, limits.cpu_percent.is_some()),
        (Guarantee::Pids, limits.pids.is_some() || spec.level != Level::Privileged),
    ];
    for (guarantee, is_bounded) in bounds {
        if !is_bounded {
            enforcement = enforcement.but(guarantee, absent("no limit was set"));
        }
    }
    if let (Level::Privileged, true, Ok(by)) = (spec.level, wants_group(spec), &can.hold) {
        enforcement = enforcement.but(Guarantee::KillTree, Means::Enforced { by: by.clone().into() });
    }
    enforcement
}

pub(super) fn of_group(ability: &Ability) -> Means {
    match ability {
        Ok(by) => Means::Enforced { by: by.clone().into() },
        Err(why) => absent(why.clone()),
    }
}

fn in_namespaces(guarantee: Guarantee) -> Means {
    enforced(match guarantee {
        Guarantee::FsView => "mount namespace with a root of its own, Landlock",
        Guarantee::Network => "network namespace, seccomp on socket families",
        Guarantee::Syscalls => "seccomp",
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
