//! Limits by the first version of control groups: a tree for each controller, or for a few.

use std::io;
use std::sync::Arc;

use super::bounds::{Bounds, PERIOD_US};
use super::change::{Changes, Refused, or};
use super::dir::Dir;
use super::nest::{Cpu, counted};
use super::{Controllers, Counters, Events, pids};

/// The directories of one group, as far as there are such trees here.
#[derive(Debug, Default)]
pub(super) struct V1 {
    pub(super) memory: Option<Arc<Dir>>,
    pub(super) cpu: Option<Arc<Cpu>>,
    /// Of a tree that counts processor time and does not divide it.
    pub(super) cpuacct: Option<Arc<Dir>>,
    pub(super) pids: Option<Arc<Dir>>,
}

impl V1 {
    /// Memory, and memory with swap, which the kernel never lets be less. So what grows, grows from the outside.
    fn memory<'a>(&'a self, changes: &mut Changes<'a>, from: &Bounds, to: &Bounds) -> Result<(), Refused> {
        let both = |bounds: &Bounds| {
            let swap = bounds.swap_bytes.unwrap_or(0);
            bounds.memory_bytes.map(|memory| memory.saturating_add(swap))
        };
        let grows = both(to).unwrap_or(u64::MAX) > both(from).unwrap_or(u64::MAX);
        let dir = self.memory.as_deref();
        let field = if from.memory_bytes == to.memory_bytes { "memory_swap_bytes" } else { "memory_bytes" };
        // Where swap is not accounted for, the kernel has no such file, and `Groups` has said so.
        let with_swap = dir.filter(|dir| dir.has(WITH_SWAP));
        let outer = |changes: &mut Changes<'a>| match (with_swap, to.swap_bytes) {
            (None, None) => Ok(()),
            (dir, _) => changes.add(field, dir, WITH_SWAP, or(both(from), "-1"), or(both(to), "-1")),
        };
        if grows {
            outer(changes)?;
        }
        let (before, value) = (or(from.memory_bytes, "-1"), or(to.memory_bytes, "-1"));
        changes.add("memory_bytes", dir, "memory.limit_in_bytes", before, value)?;
        if !grows {
            outer(changes)?;
        }
        Ok(())
    }
}

impl Controllers for V1 {
    fn apply(&self, from: &Bounds, to: &Bounds) -> Result<(), Refused> {
        let mut changes = Changes::default();
        self.memory(&mut changes, from, to)?;
        let now = self.cpu.as_ref().map(|cpu| cpu.now());
        let cpu = now.as_deref();
        let (before, value) = (or(from.quota_us(), "-1"), or(to.quota_us(), "-1"));
        changes.add("cpu_percent", cpu, QUOTA, before, value)?;
        changes.add("cpu_weight", cpu, SHARES, shares(from.weight()), shares(to.weight()))?;
        pids::change(&mut changes, self.pids.as_deref(), from, to)?;
        changes.make()
    }

    fn spent(&self) -> Counters {
        let peak = |memory: &Arc<Dir>| memory.number(PEAK).ok();
        let counted = match (&self.cpuacct, &self.cpu) {
            (Some(cpuacct), _) => counted(cpuacct),
            (None, Some(cpu)) => cpu.counted(),
            (None, None) => [None; 2],
        };
        let [cpu_user_us, cpu_system_us] = counted.map(|ns| ns.map(|ns| ns / 1000));
        Counters {
            memory_bytes: self.memory.as_ref().map(|_| 0),
            memory_peak_bytes: self.memory.as_ref().and_then(peak),
            cpu_user_us,
            cpu_system_us,
            ..pids::spent(self.pids.as_deref())
        }
    }

    fn usage(&self) -> Counters {
        let memory_bytes = self.memory.as_ref().and_then(|memory| memory.number(USED).ok());
        Counters { memory_bytes, pids: self.pids(), ..self.spent() }
    }

    fn pids(&self) -> Option<u64> {
        pids::now(self.pids.as_deref())
    }

    fn events(&self) -> Events {
        let oom_kills = self.memory.as_ref().and_then(|dir| dir.field(OOM, "oom_kill").ok());
        Events { oom_kills: oom_kills.unwrap_or(0), pids_denials: pids::denials(self.pids.as_deref()) }
    }

    fn prepare(&self) -> io::Result<()> {
        self.cpu.as_ref().map_or(Ok(()), |cpu| prepare(&cpu.own))
    }

    fn get_ready(&self) {
        if let Some(memory) = &self.memory {
            memory.keep_open(&[PEAK, OOM], &[]);
        }
        if let Some(pids) = &self.pids {
            pids.keep_open(&pids::FILES, &[]);
        }
    }

    /// What the last processes left behind in memory is given back if it is much, which takes the kernel a while; the
    /// rest is reclaimed when the limit is met. What outlives them and can't be given back, like a file in memory that
    /// somebody holds open, would be the next one's burden: then the group is no good. The peaks begin anew.
    fn renew(&self) -> io::Result<bool> {
        if let Some(memory) = &self.memory {
            if memory.number(USED)? > MUCH {
                memory.write("memory.force_empty", "0")?;
                if memory.number(USED)? > MUCH {
                    return Ok(false);
                }
            }
            memory.write(PEAK, "0")?;
        }
        Ok(true)
    }
}

/// A tenth of what the least of programs may use.
const MUCH: u64 = 1 << 20;
const USED: &str = "memory.usage_in_bytes";
const PEAK: &str = "memory.max_usage_in_bytes";
const OOM: &str = "memory.oom_control";
const WITH_SWAP: &str = "memory.memsw.limit_in_bytes";
const PERIOD: &str = "cpu.cfs_period_us";

const QUOTA: &str = "cpu.cfs_quota_us";
const SHARES: &str = "cpu.shares";

/// A weight in the older unit, of which the usual is 1024 instead of 100.
fn shares(weight: u32) -> String {
    (u64::from(weight) * 1024 / 100).to_string()
}

/// Sets what the directory of one group weighs beside its siblings.
pub(super) fn weigh(dir: &Dir, weight: u32) -> io::Result<()> {
    dir.write(SHARES, &shares(weight))
}

/// Has another directory divide processor time as these bounds say, whatever it said before.
pub(super) fn bound(dir: &Dir, bounds: &Bounds) -> io::Result<()> {
    prepare(dir)?;
    dir.write(QUOTA, &or(bounds.quota_us(), "-1"))?;
    weigh(dir, bounds.weight())
}

fn prepare(dir: &Dir) -> io::Result<()> {
    if dir.number(PERIOD)? == PERIOD_US { Ok(()) } else { dir.write(PERIOD, &PERIOD_US.to_string()) }
}
