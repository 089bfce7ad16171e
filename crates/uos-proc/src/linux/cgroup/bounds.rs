//! What a group is held to, and what of that makes sense on this machine.

use std::fs;

use crate::Limits;

/// The limits of [`Limits`] that hold for a tree as a whole. `None` is no limit, and for the weight the usual one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) memory_bytes: Option<u64>,
    /// Beside the memory. `None` is none at all where memory is limited, so that swap is no way around it.
    pub(crate) swap_bytes: Option<u64>,
    pub(crate) pids: Option<u64>,
    pub(crate) cpu_percent: Option<u32>,
    pub(crate) cpu_weight: Option<u32>,
}

/// A field of [`Limits`] and what is wrong with it.
pub(crate) type Nonsense = (&'static str, &'static str);

impl Bounds {
    pub(crate) fn of(limits: &Limits) -> Self {
        Bounds {
            memory_bytes: limits.memory_bytes,
            swap_bytes: limits.memory_swap_bytes,
            pids: limits.pids,
            cpu_percent: limits.cpu_percent,
            cpu_weight: limits.cpu_weight,
        }
    }

    /// What the processor time is cut to, in µs of each [`PERIOD_US`].
    pub(super) fn quota_us(&self) -> Option<u64> {
        self.cpu_percent.map(|percent| u64::from(percent) * PERIOD_US / 100)
    }

    pub(super) fn weight(&self) -> u32 {
        self.cpu_weight.unwrap_or(USUAL_WEIGHT)
    }
}

/// What quotas are counted in. The kernel's own default, and a hundredth of it is the shortest quota it takes.
pub(super) const PERIOD_US: u64 = 100_000;

const USUAL_WEIGHT: u32 = 100;

/// What there is to share out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    pub(crate) memory_bytes: u64,
    pub(crate) swap_bytes: u64,
    pub(crate) pids: u64,
    pub(crate) cpus: u32,
}

impl Machine {
    /// This one. What it does not tell bounds nothing.
    pub(crate) fn this() -> Self {
        let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            line.strip_prefix(':')?.split_ascii_whitespace().next()?.parse::<u64>().ok()
        };
        let pids = fs::read_to_string("/proc/sys/kernel/pid_max").ok();
        let cpus = fs::read_to_string("/sys/devices/system/cpu/online").ok();
        Machine {
            memory_bytes: kib("MemTotal").map_or(u64::MAX, |kib| kib * 1024),
            swap_bytes: kib("SwapTotal").map_or(u64::MAX, |kib| kib * 1024),
            pids: pids.and_then(|text| text.trim().parse().ok()).unwrap_or(u64::MAX),
            cpus: cpus.and_then(|text| count_list(text.trim())).unwrap_or(u32::MAX / 100),
        }
    }

    /// Why `limits` cannot be meant for this machine. A limit beyond what there is holds nothing back, and whoever
    /// asks for it should hear that.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), Nonsense> {
        let beyond_cpus = |percent: u32| u64::from(percent) > 100 * u64::from(self.cpus);
        let nonsense = [
            ("limits.memory_bytes", "less than a page", limits.memory_bytes.is_some_and(|n| n < PAGE)),
            (
                "limits.memory_bytes",
                "more than this machine's memory",
                limits.memory_bytes.is_some_and(|n| n > self.memory_bytes),
            ),
            (
                "limits.memory_swap_bytes",
                "without limits.memory_bytes",
                limits.memory_swap_bytes.is_some() && limits.memory_bytes.is_none(),
            ),
            (
                "limits.memory_swap_bytes",
                "more than this machine's swap",
                limits.memory_swap_bytes.is_some_and(|n| n > self.swap_bytes),
            ),
            (
                "limits.pids",
                "more than this machine's process ids",
                limits.pids.is_some_and(|n| n > self.pids),
            ),
            (
                "limits.cpu_percent",
                "more than this machine's processors",
                limits.cpu_percent.is_some_and(beyond_cpus),
            ),
        ];
        match nonsense.into_iter().find(|(.., is_so)| *is_so) {
            Some((field, why, _)) => Err((field, why)),
            None => Ok(()),
        }
    }
}

/// The smallest page of any architecture; the kernel rounds down to its own.
const PAGE: u64 = 4096;

/// How many numbers a list such as `0-3,5` names.
fn count_list(list: &str) -> Option<u32> {
    let count = |range: &str| match range.split_once('-') {
        None => range.parse::<u32>().ok().map(|_| 1),
        Some((first, last)) => {
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            last.checked_sub(first).map(|more| more + 1)
        }
    };
    list.split(',').map(count).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_counted() {
        let check = |list, count| assert_eq!(count_list(list), count, "{list}");
        check("0", Some(1));
        check("0-1", Some(2));
        check("0-3,5,8-9", Some(7));
        check("", None);
        check("3-0", None);
    }

    #[test]
    fn what_no_machine_has_is_refused_by_field() {
        let machine = Machine { memory_bytes: 1 << 30, swap_bytes: 0, pids: 32768, cpus: 2 };
        let none = Limits::default();
        let check = |limits: Limits, verdict: Result<(), &str>| {
            assert_eq!(machine.check(&limits).map_err(|(field, _)| field), verdict, "{limits:?}");
        };
        check(none, Ok(()));
        check(Limits { memory_bytes: Some(1 << 30), ..none }, Ok(()));
        check(Limits { memory_bytes: Some((1 << 30) + 1), ..none }, Err("limits.memory_bytes"));
        check(Limits { memory_bytes: Some(4095), ..none }, Err("limits.memory_bytes"));
        check(Limits { memory_swap_bytes: Some(0), ..none }, Err("limits.memory_swap_bytes"));
        let swapping = Limits { memory_bytes: Some(1 << 20), memory_swap_bytes: Some(0), ..none };
        check(swapping, Ok(()));
        check(Limits { memory_swap_bytes: Some(1), ..swapping }, Err("limits.memory_swap_bytes"));
        check(Limits { pids: Some(32768), ..none }, Ok(()));
        check(Limits { pids: Some(u64::MAX), ..none }, Err("limits.pids"));
        check(Limits { cpu_percent: Some(200), ..none }, Ok(()));
        check(Limits { cpu_percent: Some(201), ..none }, Err("limits.cpu_percent"));
        check(Limits { cpu_percent: Some(u32::MAX), ..none }, Err("limits.cpu_percent"));
    }

    #[test]
    fn this_machine_tells_what_it_has() {
        let machine = Machine::this();
        assert!((1 << 20..1 << 60).contains(&machine.memory_bytes), "{machine:?}");
        assert!((1..1 << 16).contains(&machine.cpus), "{machine:?}");
        assert!((300..=4 << 20).contains(&machine.pids), "{machine:?}");
    }
}
