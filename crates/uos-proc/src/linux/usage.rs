//! What a running process has used, read from `/proc`.

use std::fs;

use rustix::process::Pid;

use super::sys;
use crate::Usage;

/// The usage of `pid`, which the caller keeps from being reaped meanwhile. `None` where `/proc` is not readable.
pub(super) fn live(pid: Pid) -> Option<Usage> {
    let pid = pid.as_raw_nonzero();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    parse(&stat, &status, sys::ticks_per_second())
}

fn parse(stat: &str, status: &str, ticks_per_second: u64) -> Option<Usage> {
    // The second field is the name in parentheses, which may itself hold parentheses and spaces.
    let after_name = &stat[stat.rfind(')')? + 1..];
    // proc_pid_stat(5) counts from one, and two fields are gone.
    let ticks = |field: usize| after_name.split_ascii_whitespace().nth(field - 3)?.parse::<u64>().ok();
    let us = |own: usize, waited_for: usize| {
        Some((ticks(own)? + ticks(waited_for)?).saturating_mul(1_000_000) / ticks_per_second)
    };
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.strip_prefix(':')?.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    Some(Usage {
        cpu_user_us: us(14, 16)?,
        cpu_system_us: us(15, 17)?,
        // A zombie has no memory, and no such lines.
        rss_bytes: number("VmRSS").unwrap_or(0) * 1024,
        peak_rss_bytes: number("VmHWM").map(|kib| kib * 1024),
        voluntary_switches: number("voluntary_ctxt_switches")?,
        involuntary_switches: number("nonvoluntary_ctxt_switches")?,
        ..Usage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let stat = "7 (a) R 1 (b) S 1 7 7 0 -1 4194304 94 0 0 0 150 25 50 75 20 0 1 0 117 5000 230 99";
        let status = "Name:\ta) R 1 (b\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n\
                      voluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t4\n";
        let usage = parse(stat, status, 100).unwrap();
        assert_eq!(usage.cpu_user_us, 2_000_000);
        assert_eq!(usage.cpu_system_us, 1_000_000);
        assert_eq!((usage.rss_bytes, usage.peak_rss_bytes), (1 << 20, Some(2 << 20)));
        assert_eq!((usage.voluntary_switches, usage.involuntary_switches), (3, 4));
    }

    #[test]
    fn a_cut_off_file_is_no_usage() {
        assert_eq!(parse("7 (a) R 1", "", 100), None);
        assert_eq!(parse("", "", 100), None);
    }

    #[test]
    fn this_process_has_used_memory() {
        let usage = live(rustix::process::getpid()).unwrap();
        assert!(usage.rss_bytes > 0);
        assert!(usage.peak_rss_bytes.unwrap() >= usage.rss_bytes);
    }
}
