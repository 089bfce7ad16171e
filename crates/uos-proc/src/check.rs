//! Judging a spec before anything is started: what every spawner refuses, and in the same words.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

#[cfg(target_os = "linux")]
use crate::{CpuGroup, SignalError};
use crate::{
    Cwd, Enforcement, Guarantee, Limits, LimitsError, Means, Program, Source, SpawnError, Spec, Support,
};

/// How `spec` would be held by a spawner with this `support`, or why it cannot be.
pub(crate) fn judge(support: &Support, spec: &Spec) -> Result<Enforcement, SpawnError> {
    check_program(spec)?;
    check_env(spec)?;
    if let Some(Cwd::Path(path)) = &spec.cwd {
        no_nul("cwd", path.as_os_str())?;
        if !path.is_absolute() {
            return invalid("cwd", "a relative path");
        }
    }
    if !(-20..=19).contains(&spec.nice) {
        return invalid("nice", "outside -20..=19");
    }
    if spec.deadline.is_some_and(|deadline| deadline.is_zero()) {
        return invalid("deadline", "zero");
    }
    check_limits(&spec.limits)?;

    check_fds(spec)?;
    check_mounts(spec)?;

    let mut missing = support.missing(spec.level);
    missing.retain(|(guarantee, _)| !spec.accepted.contains(guarantee));
    if !missing.is_empty() {
        return Err(SpawnError::NotEnforceable { level: spec.level, missing });
    }
    check_supported(support, spec)?;
    Ok(support.at(spec.level))
}

/// Whether there can be such groups, whoever makes them.
#[cfg(target_os = "linux")]
pub(crate) fn check_cpu_groups(groups: &[CpuGroup]) -> Result<(), SignalError> {
    const DEEPEST: usize = 64;
    let is_wrong = |(depth, group): (usize, &CpuGroup)| {
        let is_inside_itself = groups[..depth].iter().any(|outer| outer.id == group.id);
        !(1..=10_000).contains(&group.weight) || is_inside_itself
    };
    match groups.len() > DEEPEST || groups.iter().enumerate().any(is_wrong) {
        true => Err(SignalError::Refused { errno: libc::EINVAL }),
        false => Ok(()),
    }
}

/// Descriptors are copied to their numbers, so a number above the limit of any sensible program is a mistake.
fn check_fds(spec: &Spec) -> Result<(), SpawnError> {
    for (place, (target, _)) in spec.fds.iter().enumerate() {
        if !(3..=1023).contains(target) {
            return invalid("fds", "a number outside 3..=1023");
        }
        if spec.fds[..place].iter().any(|(other, _)| other == target) {
            return invalid("fds", "a number twice");
        }
    }
    Ok(())
}

fn check_mounts(spec: &Spec) -> Result<(), SpawnError> {
    for (place, mount) in spec.mounts.iter().enumerate() {
        no_nul("mounts.at", mount.at.as_os_str())?;
        let is_plain = |path: &Path| {
            let bytes = path.as_os_str().as_bytes();
            bytes.starts_with(b"/")
                && bytes.len() < 4096
                && bytes[1..]
                    .split(|byte| *byte == b'/')
                    .all(|name| !matches!(name, b"" | b"." | b"..") && name.len() <= 255)
        };
        if !is_plain(&mount.at) {
            return invalid("mounts.at", "not an absolute path of plain names");
        }
        if ["/proc", "/dev"].iter().any(|reserved| mount.at.starts_with(reserved)) {
            return invalid("mounts.at", "in /proc or /dev");
        }
        if spec.mounts[..place].iter().any(|other| other.at == mount.at) {
            return invalid("mounts.at", "a place twice");
        }
        match &mount.source {
            Source::Path(path) => {
                no_nul("mounts.source", path.as_os_str())?;
                if !path.is_absolute() {
                    return invalid("mounts.source", "a relative path");
                }
            }
            Source::Fd(_) => {}
            Source::Scratch { size_bytes: 0, .. } => return invalid("mounts.source", "a size of zero"),
            Source::Scratch { files: 0, .. } => return invalid("mounts.source", "no files at all"),
            Source::Scratch { .. } => {}
        }
    }
    Ok(())
}

fn check_program(spec: &Spec) -> Result<(), SpawnError> {
    if let Program::Path(path) = &spec.program {
        no_nul("program", path.as_os_str())?;
        if !path.is_absolute() {
            return invalid("program", "a relative path");
        }
    }
    if spec.args.is_empty() {
        return invalid("args", "empty: argv[0] is missing");
    }
    spec.args.iter().try_for_each(|arg| no_nul("args", arg))
}

fn check_env(spec: &Spec) -> Result<(), SpawnError> {
    for (name, value) in &spec.env {
        no_nul("env", name)?;
        no_nul("env", value)?;
        if name.is_empty() {
            return invalid("env", "an empty name");
        }
        if name.as_bytes().contains(&b'=') {
            return invalid("env", "a name with '='");
        }
    }
    Ok(())
}

/// Zero is refused where nothing could run under it, or where the kernel would read it as something else.
pub(crate) fn check_limits(limits: &Limits) -> Result<(), LimitsError> {
    let zero = [
        ("limits.open_files", limits.open_files == Some(0)),
        ("limits.cpu_seconds", limits.cpu_seconds == Some(0)),
        ("limits.memory_bytes", limits.memory_bytes == Some(0)),
        ("limits.pids", limits.pids == Some(0)),
        ("limits.cpu_percent", limits.cpu_percent == Some(0)),
        ("limits.cpu_weight", limits.cpu_weight == Some(0)),
    ];
    if let Some((field, _)) = zero.into_iter().find(|(_, is_zero)| *is_zero) {
        return Err(LimitsError::Invalid { field, why: "zero".into() });
    }
    if limits.cpu_weight.is_some_and(|weight| weight > 10_000) {
        return Err(LimitsError::Invalid { field: "limits.cpu_weight", why: "more than 10,000".into() });
    }
    Ok(())
}

fn check_supported(support: &Support, spec: &Spec) -> Result<(), SpawnError> {
    let limits = &spec.limits;
    let asked = [
        ("memory_bytes", Guarantee::Memory, limits.memory_bytes.is_some()),
        ("memory_swap_bytes", Guarantee::Memory, limits.memory_swap_bytes.is_some()),
        ("pids", Guarantee::Pids, limits.pids.is_some()),
        ("cpu_percent", Guarantee::Cpu, limits.cpu_percent.is_some()),
        ("cpu_weight", Guarantee::Cpu, limits.cpu_weight.is_some()),
    ];
    for (name, guarantee, is_asked) in asked {
        // What is weakened is told; only what has no effect at all is refused.
        if is_asked && matches!(support.get(spec.level, guarantee), Means::Absent { .. }) {
            return Err(SpawnError::UnsupportedLimit { name });
        }
    }
    Ok(())
}

fn no_nul(field: &'static str, text: &OsStr) -> Result<(), SpawnError> {
    if text.as_bytes().contains(&0) { invalid(field, "a NUL byte") } else { Ok(()) }
}

pub(crate) fn invalid<T>(field: &'static str, why: &'static str) -> Result<T, SpawnError> {
    Err(SpawnError::Invalid { field, why: why.into() })
}
