//! What the files of `/proc` say, as text. What is cut off, or in a form that is not known, is `None`.

/// CPU time of the whole host since it booted, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuTicks {
    pub(super) busy: u64,
    pub(super) total: u64,
}

/// `/proc/stat`.
pub(super) fn cpu_ticks(stat: &str) -> Option<CpuTicks> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks = line.split_ascii_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    // user nice system idle iowait irq softirq steal; older kernels know fewer. Guests come after and are in user already.
    let own = &ticks[..ticks.len().min(8)];
    let idle = own.get(3)?.saturating_add(own.get(4).copied().unwrap_or(0));
    let total = own.iter().fold(0, |sum: u64, ticks| sum.saturating_add(*ticks));
    Some(CpuTicks { busy: total - idle, total })
}

/// When the host booted, in seconds since 1970, from `/proc/stat`.
pub(super) fn boot_seconds(stat: &str) -> Option<i64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// `/proc/loadavg`: over one, five and fifteen minutes.
pub(super) fn load(loadavg: &str) -> Option<[f64; 3]> {
    let mut words = loadavg.split_ascii_whitespace();
    let mut next = || words.next()?.parse().ok().filter(|load: &f64| load.is_finite() && *load >= 0.0);
    Some([next()?, next()?, next()?])
}

/// Total and available bytes, from `/proc/meminfo`.
pub(super) fn memory(meminfo: &str) -> Option<(u64, u64)> {
    let bytes = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
        kib.checked_mul(1_024)
    };
    let total = bytes("MemTotal")?;
    // Kernels before 3.14 don't say what is available; this is what people took for it then.
    let guess = || Some(bytes("MemFree")? + bytes("Buffers").unwrap_or(0) + bytes("Cached").unwrap_or(0));
    let available = bytes("MemAvailable").or_else(guess)?;
    Some((total, available.min(total)))
}

/// One of the host's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OsProcess {
    pub(super) parent: u32,
    pub(super) session: u32,
    /// Its own, and that of children it has waited for.
    pub(super) cpu_ticks: u64,
    pub(super) threads: u64,
    pub(super) resident_pages: u64,
    /// Its first thread has a CPU or waits for one.
    pub(super) is_ready: bool,
    /// The CPU it was on last.
    pub(super) cpu: Option<u32>,
}

/// `/proc/PID/stat`.
pub(super) fn os_process(stat: &str) -> Option<OsProcess> {
    // The second field is the name in parentheses, which may itself hold parentheses, blanks and line breaks.
    let fields: Vec<&str> = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().collect();
    // proc_pid_stat(5) counts from one, and two fields are gone.
    let field = |number: usize| fields.get(number - 3)?.parse::<i64>().ok();
    // Times waited for are signed there; a kernel that miscounts must not make us wrap.
    let ticks = |number| field(number).map(|ticks| ticks.max(0) as u64);
    let cpu_ticks = ticks(14)? + ticks(15)? + ticks(16)? + ticks(17)?;
    let id = |number| field(number).and_then(|id| u32::try_from(id).ok());
    Some(OsProcess {
        parent: id(4)?,
        session: id(6)?,
        cpu_ticks,
        threads: ticks(20)?,
        resident_pages: ticks(24)?,
        is_ready: fields.first() == Some(&"R"),
        cpu: id(39),
    })
}

/// Resident pages, from `/proc/PID/statm`.
pub(super) fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The name for people, from `/etc/os-release`.
pub(super) fn os_name(release: &str) -> Option<String> {
    let value =
        |name: &str| release.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
    let quoted = value("PRETTY_NAME").or_else(|| value("NAME"))?.trim();
    let bare = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .or_else(|| quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')))
        .unwrap_or(quoted);
    (!bare.is_empty()).then(|| bare.replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_all_but_idle_and_counts_guests_once() {
        let now = "cpu  100 2 30 400 50 6 7 8 90 1\ncpu0 1 1 1 1\nintr 5 0\nbtime 1700000000\nctxt 9\n";
        assert_eq!(cpu_ticks(now), Some(CpuTicks { busy: 153, total: 603 }));
        assert_eq!(boot_seconds(now), Some(1_700_000_000));
        // As kernels before 2.6 had it.
        assert_eq!(cpu_ticks("cpu  10 0 5 85\n"), Some(CpuTicks { busy: 15, total: 100 }));
        for odd in ["", "cpu", "cpu 1 2 3", "cpu 1 2 x 4", "cpu0 1 2 3 4", "cpu -1 2 3 4"] {
            assert_eq!(cpu_ticks(odd), None, "{odd}");
        }
        let huge = format!("cpu  {0} {0} {0} {0}", u64::MAX);
        assert_eq!(cpu_ticks(&huge), Some(CpuTicks { busy: 0, total: u64::MAX }));
        for odd in ["", "btime", "btime x", "btimes 5"] {
            assert_eq!(boot_seconds(odd), None, "{odd}");
        }
    }

    #[test]
    fn load_is_three_numbers() {
        assert_eq!(load("0.20 0.18 12.5 1/80 11206\n"), Some([0.2, 0.18, 12.5]));
        for odd in ["", "1.0 2.0", "nan 1 1", "inf 1 1", "-1 1 1", "a b c"] {
            assert_eq!(load(odd), None, "{odd}");
        }
    }

    #[test]
    fn available_memory_is_guessed_where_it_is_not_told_and_never_more_than_there_is() {
        let now =
            "MemTotal:  1000 kB\nMemFree: 100 kB\nMemAvailable:   700 kB\nBuffers: 1 kB\nCached: 2 kB\n";
        assert_eq!(memory(now), Some((1_024_000, 716_800)));
        let old = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 20 kB\nCached: 30 kB\nSwapCached: 900 kB\n";
        assert_eq!(memory(old), Some((1_024_000, 153_600)));
        assert_eq!(memory("MemTotal: 10 kB\nMemFree: 20 kB\n"), Some((10_240, 10_240)));
        for odd in [
            "",
            "MemTotal: 10 kB\n",
            "MemFree: 1 kB\n",
            "MemTotal: x kB\nMemFree: 1 kB\n",
            "MemTotal:\nMemFree:",
        ] {
            assert_eq!(memory(odd), None, "{odd}");
        }
    }

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        let fields = "R 41 42 43 0 -1 4194304 94 0 0 0 150 25 50 -75 20 0 7 0 117 5000 230 99";
        let expected = OsProcess {
            parent: 41,
            session: 43,
            cpu_ticks: 225,
            threads: 7,
            resident_pages: 230,
            is_ready: true,
            cpu: None,
        };
        for name in ["sh", "a) R 1 (b", "two words", "line\nbreak", ")))", ""] {
            assert_eq!(os_process(&format!("7 ({name}) {fields}")), Some(expected), "{name}");
        }
        for odd in ["", "7", "7 (a", "7 (a) R 1 2 3", ")"] {
            assert_eq!(os_process(odd), None, "{odd}");
        }
    }

    #[test]
    fn names_come_with_and_without_quotes() {
        for (release, name) in [
            ("NAME=\"Debian\"\nPRETTY_NAME=\"Debian 12\"\n", Some("Debian 12")),
            ("NAME=Arch\n", Some("Arch")),
            ("PRETTY_NAME='Single'", Some("Single")),
            ("PRETTY_NAME=\"with \\\"quotes\\\"\"", Some("with \"quotes\"")),
            ("PRETTY_NAME=\"\n", Some("\"")),
            ("PRETTY_NAME=\nID=x", None),
            ("", None),
        ] {
            assert_eq!(os_name(release).as_deref(), name, "{release}");
        }
        assert_eq!(resident_pages("100 42 3 4 0 5 0"), Some(42));
        assert_eq!(resident_pages("100"), None);
    }
}
