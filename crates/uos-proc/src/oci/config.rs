//! A spec in the words of an engine, or why it can't be put into them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount as Bind,
    MountBindOptions, MountType, ResourcesUlimits,
};

use crate::check::invalid;
use crate::{Cwd, Init, Level, Limits, Mount, Program, Source, SpawnError, Spec, Stdio};

/// What is the same for all containers of a spawner.
pub(super) struct Surroundings<'a> {
    pub(super) image: &'a str,
    pub(super) user: &'a str,
    pub(super) label: Option<(&'static str, &'a str)>,
}

/// The container for `spec`, which has been judged.
pub(super) fn of(spec: &Spec, surroundings: &Surroundings<'_>) -> Result<ContainerCreateBody, SpawnError> {
    refuse(spec)?;
    let Program::Path(program) = &spec.program else {
        return invalid("program", "a descriptor can't be executed by this spawner");
    };
    let program = text("program", program.as_os_str())?;
    let args = spec.args.iter().map(|arg| text("args", arg)).collect::<Result<Vec<_>, _>>()?;
    if args.first() != Some(&program) {
        return invalid("args", "argv[0] is always the program's path with this spawner");
    }
    let pair =
        |(name, value): &(OsString, OsString)| Ok(format!("{}={}", text("env", name)?, text("env", value)?));
    let env = spec.env.iter().map(pair).collect::<Result<Vec<_>, SpawnError>>()?;
    let cwd = match &spec.cwd {
        Some(Cwd::Path(path)) => text("cwd", path.as_os_str())?,
        Some(Cwd::Fd(_)) => return invalid("cwd", "a descriptor can't be entered by this spawner"),
        None => "/".to_owned(),
    };
    let is_sandbox = spec.level != Level::Privileged;
    let has_stdin = matches!(spec.stdin, Stdio::Pipe);
    Ok(ContainerCreateBody {
        image: Some(surroundings.image.to_owned()),
        // The image's own entry point is not ours.
        entrypoint: Some(vec![program]),
        cmd: Some(args[1..].to_vec()),
        env: Some(env),
        working_dir: Some(cwd),
        user: is_sandbox.then(|| surroundings.user.to_owned()),
        tty: Some(false),
        open_stdin: Some(has_stdin),
        stdin_once: Some(has_stdin),
        attach_stdin: Some(has_stdin),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        labels: surroundings.label.map(|(label, name)| HashMap::from([(label.to_owned(), name.to_owned())])),
        host_config: Some(host_config(spec)?),
        ..ContainerCreateBody::default()
    })
}

/// What no container can have.
fn refuse(spec: &Spec) -> Result<(), SpawnError> {
    let streams = [("stdin", &spec.stdin), ("stdout", &spec.stdout), ("stderr", &spec.stderr)];
    for (field, stdio) in streams {
        match stdio {
            Stdio::Fd(_) => return invalid(field, "a stream of a container leads to a pipe or nowhere"),
            // What comes from a terminal is not told apart from the frames of other streams.
            Stdio::Pty => return invalid("stdio", "this spawner has no terminals"),
            Stdio::Null | Stdio::Pipe => {}
        }
    }
    match spec {
        Spec { nice: 1.. | ..=-1, .. } => invalid("nice", "this spawner sets none"),
        Spec { system: false, .. } => invalid("system", "the image is the system"),
        Spec { fds, .. } if !fds.is_empty() => invalid("fds", "no descriptors reach into a container"),
        _ => Ok(()),
    }
}

fn host_config(spec: &Spec) -> Result<HostConfig, SpawnError> {
    let level = spec.level;
    let is_sandbox = level != Level::Privileged;
    let limits = spec.limits.or_of(level);
    let mut tmpfs = HashMap::new();
    let mut mounts = Vec::new();
    if let Some(mib) = scratch_mib(level) {
        tmpfs.insert("/tmp".to_owned(), format!("rw,nosuid,nodev,noexec,mode=1777,size={mib}m"));
    }
    for mount in &spec.mounts {
        let at = text("mounts.at", mount.at.as_os_str())?;
        match &mount.source {
            Source::Fd(_) => {
                return invalid("mounts.source", "a descriptor can't be mounted by this spawner");
            }
            Source::Scratch { size_bytes, files } => {
                let access = if mount.writable { "rw" } else { "ro" };
                let execute = if mount.executable { "exec" } else { "noexec" };
                let kept = format!("size={size_bytes},nr_inodes={files}");
                tmpfs.insert(at, format!("{access},{execute},nosuid,nodev,mode=1777,{kept}"));
            }
            Source::Path(path) => mounts.push(bind(mount, path, at)?),
        }
    }
    let (memory, memory_swap) = memory(&limits)?;
    Ok(HostConfig {
        memory,
        memory_swap,
        pids_limit: number("limits.pids", limits.pids)?,
        nano_cpus: limits.cpu_percent.map(nano_cpus),
        cpu_shares: limits.cpu_weight.map(shares),
        ulimits: Some(ulimits(&limits)?),
        init: Some(spec.first_process() == Init::Reaper),
        mounts: Some(mounts),
        tmpfs: Some(tmpfs),
        readonly_rootfs: Some(is_sandbox),
        cap_drop: is_sandbox.then(|| vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        network_mode: is_sandbox.then(|| "none".to_owned()),
        ipc_mode: Some(if level == Level::Minimal { "none" } else { "private" }.to_owned()),
        shm_size: (level == Level::Standard).then_some(64 << 20),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        // Nobody reads it there, and it would fill the engine's disk.
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    })
}

/// As in a sandbox of the other spawners.
fn scratch_mib(level: Level) -> Option<u32> {
    match level {
        Level::Minimal => Some(16),
        Level::Standard => Some(64),
        Level::Privileged => None,
    }
}

fn bind(mount: &Mount, source: &Path, at: String) -> Result<Bind, SpawnError> {
    if !mount.executable {
        return invalid("mounts.executable", "an engine can't keep what it mounts from being executed");
    }
    let options = MountBindOptions {
        // Else an older engine would leave what is mounted below writable, and not say so.
        read_only_force_recursive: (!mount.writable).then_some(true),
        propagation: (!mount.writable).then_some(bollard::models::MountBindOptionsPropagationEnum::RPRIVATE),
        create_mountpoint: Some(false),
        ..MountBindOptions::default()
    };
    Ok(Bind {
        typ: Some(MountType::BIND),
        source: Some(text("mounts.source", source.as_os_str())?),
        target: Some(at),
        read_only: Some(!mount.writable),
        bind_options: Some(options),
        ..Bind::default()
    })
}

/// Memory, and memory and swap together, as engines count.
pub(super) fn memory(limits: &Limits) -> Result<(Option<i64>, Option<i64>), SpawnError> {
    let Some(bytes) = limits.memory_bytes else {
        return match limits.memory_swap_bytes {
            Some(_) => invalid("limits.memory_swap_bytes", "without limits.memory_bytes"),
            None => Ok((None, None)),
        };
    };
    let both = bytes.saturating_add(limits.memory_swap_bytes.unwrap_or(0));
    Ok((number("limits.memory_bytes", Some(bytes))?, number("limits.memory_swap_bytes", Some(both))?))
}

pub(super) fn number(field: &'static str, value: Option<u64>) -> Result<Option<i64>, SpawnError> {
    let number = value.map(i64::try_from).transpose();
    number.or_else(|_| invalid(field, "more than an engine can be told"))
}

/// Billionths of a processor.
pub(super) fn nano_cpus(percent: u32) -> i64 {
    i64::from(percent) * 10_000_000
}

/// 1024 is usual there, and 2 the least.
pub(super) fn shares(weight: u32) -> i64 {
    (i64::from(weight) * 1024 / 100).clamp(2, 262_144)
}

fn ulimits(limits: &Limits) -> Result<Vec<ResourcesUlimits>, SpawnError> {
    let all = [
        ("nofile", "limits.open_files", limits.open_files),
        ("fsize", "limits.file_size_bytes", limits.file_size_bytes),
        ("cpu", "limits.cpu_seconds", limits.cpu_seconds),
        ("core", "limits.core_bytes", Some(limits.core_bytes)),
    ];
    let mut ulimits = Vec::new();
    for (name, field, value) in all {
        if let Some(value) = number(field, value)? {
            ulimits.push(ResourcesUlimits {
                name: Some(name.to_owned()),
                soft: Some(value),
                hard: Some(value),
            });
        }
    }
    Ok(ulimits)
}

/// Engines are spoken to in JSON.
fn text(field: &'static str, text: &OsStr) -> Result<String, SpawnError> {
    text.to_str().map(str::to_owned).map_or_else(|| invalid(field, "not UTF-8"), Ok)
}
