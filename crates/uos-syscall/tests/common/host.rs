//! What the host says of its processes, read behind the kernel's back.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::{fs, path::PathBuf};

/// A field of `/proc/PID/stat`, as proc_pid_stat(5) numbers them from 1; not the name, which is the second.
pub(crate) fn field(os_pid: u32, number: usize) -> i64 {
    let stat = fs::read_to_string(format!("/proc/{os_pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[number - 3].parse().unwrap()
}

/// CPU time of a process of the host, in ticks.
pub(crate) fn ticks(os_pid: u32) -> u64 {
    (field(os_pid, 14) + field(os_pid, 15)).cast_unsigned()
}

/// A file of the control group of a host process, in the tree of a controller.
pub(crate) fn group_file(os_pid: u32, controller: &str, file: &str) -> PathBuf {
    let groups = fs::read_to_string(format!("/proc/{os_pid}/cgroup")).unwrap();
    let place = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        names.split(',').any(|name| name == controller).then(|| path.trim_start_matches('/').to_owned())
    };
    let v1 = groups.lines().find_map(place);
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mounted = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let is_it = match &v1 {
            Some(_) => words[2] == "cgroup" && words[3].split(',').any(|option| option == controller),
            None => words[2] == "cgroup2",
        };
        is_it.then(|| PathBuf::from(words[1]))
    };
    let root = mounts.lines().find_map(mounted).unwrap();
    let unified = groups.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default().to_owned();
    root.join(v1.unwrap_or(unified)).join(file)
}

/// What the kernel divides CPU time by for a program, 1024 being usual: its group's weight.
pub(crate) fn group_weight(os_pid: u32) -> u64 {
    let shares = group_file(os_pid, "cpu", "cpu.shares");
    if let Ok(shares) = fs::read_to_string(&shares) {
        return shares.trim().parse().unwrap();
    }
    let weight = fs::read_to_string(group_file(os_pid, "cpu", "cpu.weight")).unwrap();
    weight.trim().parse::<u64>().unwrap() * 1_024 / 100
}

/// The same of the innermost group of several programs that it is in, where the host has such and it is in one.
pub(crate) fn around_weight(os_pid: u32) -> u64 {
    let own = group_file(os_pid, "cpu", "cpu.shares");
    let outer = own.ancestors().nth(2).unwrap();
    match outer.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.starts_with('s') => {
            fs::read_to_string(outer.join("cpu.shares")).unwrap().trim().parse().unwrap()
        }
        _ => group_weight(os_pid),
    }
}
