//! How far an engine meets each guarantee, by what it says of itself.

use bollard::models::SystemInfo;

use crate::{Guarantee, Level, Means, Support};

pub(super) fn support(info: &SystemInfo) -> Support {
    Support::by_level(|level, guarantee| means(info, level, guarantee))
}

fn means(info: &SystemInfo, level: Level, guarantee: Guarantee) -> Means {
    let enforced = |by: &'static str| Means::Enforced { by: by.into() };
    let weakened = |why: &'static str| Means::Weakened { why: why.into() };
    let absent = |why: &'static str| Means::Absent { why: why.into() };
    let is_sandbox = level != Level::Privileged;
    match guarantee {
        Guarantee::FsView => match is_sandbox {
            true => enforced("the root of a container, read-only"),
            false => enforced("the root of a container"),
        },
        Guarantee::Network if is_sandbox => enforced("a network namespace without a network"),
        Guarantee::Network => absent("the engine's network"),
        Guarantee::Syscalls if !has(info, "seccomp") => absent("the engine has no seccomp"),
        Guarantee::Syscalls => weakened("the engine's own list of calls, not that of the level"),
        Guarantee::Pids => match info.pids_limit {
            Some(true) => enforced("pid namespace, pids limit of the engine"),
            _ => weakened("a pid namespace, but the engine does not limit their number"),
        },
        Guarantee::Memory => match (info.memory_limit, info.swap_limit) {
            (Some(true), Some(true)) => enforced("memory limit of the engine"),
            (Some(true), _) => weakened("the engine does not limit swap"),
            _ => absent("the engine does not limit memory"),
        },
        Guarantee::Cpu => match (info.cpu_cfs_quota, info.cpu_shares) {
            (Some(true), Some(true)) => enforced("processor quota of the engine"),
            _ => absent("the engine does not limit processor time"),
        },
        Guarantee::KillTree => weakened(WHO_OUTLIVES),
        Guarantee::NoNewPrivileges => enforced("no-new-privileges of the engine"),
        Guarantee::FdHygiene => enforced("a container: it gets its three streams from the engine"),
        Guarantee::Environment => weakened("the engine adds PATH, HOME, HOSTNAME and what the image says"),
        Guarantee::Ipc => enforced("ipc namespace"),
        Guarantee::Devices => enforced("the engine's own /dev"),
    }
}

#[cfg(target_os = "linux")]
const WHO_OUTLIVES: &str =
    "the container; but if the spawning program is killed it runs on until the next spawner removes it";
#[cfg(not(target_os = "linux"))]
const WHO_OUTLIVES: &str = "the container; but if the spawning program is killed it runs on";

/// Whether the engine names a means of security: `name=seccomp,profile=builtin`.
fn has(info: &SystemInfo, name: &str) -> bool {
    let options = info.security_options.as_deref().unwrap_or_default();
    options.iter().any(|option| {
        let mut parts = option.split(',');
        parts.next() == Some(&*format!("name={name}")) && parts.all(|part| part != "profile=unconfined")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_says_little_can_do_little() {
        let all = SystemInfo {
            memory_limit: Some(true),
            swap_limit: Some(true),
            cpu_cfs_quota: Some(true),
            cpu_shares: Some(true),
            pids_limit: Some(true),
            security_options: Some(vec!["name=seccomp,profile=builtin".to_owned()]),
            ..SystemInfo::default()
        };
        let missing = |info: &SystemInfo, level| {
            let missing = support(info).missing(level);
            missing.into_iter().map(|(guarantee, _)| guarantee).collect::<Vec<_>>()
        };
        let weak = [Guarantee::Syscalls, Guarantee::KillTree, Guarantee::Environment];
        assert_eq!(missing(&all, Level::Standard), weak);
        assert_eq!(missing(&all, Level::Privileged), [Guarantee::Environment]);
        let unconfined = SystemInfo {
            security_options: Some(vec!["name=seccomp,profile=unconfined".to_owned()]),
            swap_limit: None,
            pids_limit: None,
            ..all
        };
        let support = support(&unconfined);
        let get = |guarantee| support.get(Level::Minimal, guarantee).clone();
        assert!(matches!(get(Guarantee::Syscalls), Means::Absent { .. }));
        assert!(matches!(get(Guarantee::Memory), Means::Weakened { .. }));
        assert!(matches!(get(Guarantee::Pids), Means::Weakened { .. }));
    }
}
