//! Limits by the second version of control groups: one tree, one directory.

use std::io;
use std::sync::Arc;

use super::bounds::{Bounds, PERIOD_US};
use super::change::{Changes, Refused, or};
use super::dir::{Dir, field};
use super::{Controllers, Counters, Events, pids};

/// A group's directory, and which controllers hold there.
#[derive(Debug)]
pub(super) struct V2 {
    pub(super) dir: Arc<Dir>,
    pub(super) memory: bool,
    pub(super) cpu: bool,
    pub(super) pids: bool,
}

impl V2 {
    fn when(&self, is_there: bool) -> Option<&Dir> {
        is_there.then_some(&*self.dir)
    }

    /// A limit below what is in use would have the kernel kill at once; the first version refuses it. So does this:
    /// it first asks for as much to be reclaimed.
    fn make_room(&self, to: &Bounds) -> Result<(), Refused> {
        let Some(limit) = to.memory_bytes else { return Ok(()) };
        let in_use = || self.dir.number("memory.current");
        if in_use().map_err(|error| Refused::by("memory_bytes", &error))? <= limit {
            return Ok(());
        }
        let shrunk = self.dir.write("memory.high", &limit.to_string()).and_then(|()| in_use());
        let eased = self.dir.write("memory.high", "max");
        match shrunk.and_then(|in_use| eased.map(|()| in_use)) {
            Ok(in_use) if in_use <= limit => Ok(()),
            Ok(_) => Err(Refused { field: "memory_bytes", errno: libc::EBUSY }),
            Err(error) => Err(Refused::by("memory_bytes", &error)),
        }
    }
}

impl Controllers for V2 {
    fn apply(&self, from: &Bounds, to: &Bounds) -> Result<(), Refused> {
        let mut changes = Changes::default();
        let memory = self.when(self.memory);
        if memory.is_some() && from.memory_bytes != to.memory_bytes {
            self.make_room(to)?;
        }
        let swap = |bounds: &Bounds| or(bounds.memory_bytes.map(|_| bounds.swap_bytes.unwrap_or(0)), "max");
        // Where swap is not accounted for, the kernel has no such file, and `Groups` has said so.
        let has_swap = memory.is_some_and(|dir| dir.has(SWAP));
        if has_swap || to.swap_bytes.is_some() {
            changes.add("memory_swap_bytes", self.when(has_swap), SWAP, swap(from), swap(to))?;
        }
        let (before, value) = (or(from.memory_bytes, "max"), or(to.memory_bytes, "max"));
        changes.add("memory_bytes", memory, "memory.max", before, value)?;
        let cpu = self.when(self.cpu);
        let quota = |bounds: &Bounds| format!("{} {PERIOD_US}", or(bounds.quota_us(), "max"));
        changes.add("cpu_percent", cpu, "cpu.max", quota(from), quota(to))?;
        let weight = |bounds: &Bounds| bounds.weight().to_string();
        changes.add("cpu_weight", cpu, "cpu.weight", weight(from), weight(to))?;
        pids::change(&mut changes, self.when(self.pids), from, to)?;
        changes.make()
    }

    fn spent(&self) -> Counters {
        let memory = self.when(self.memory);
        Counters {
            memory_bytes: memory.map(|_| 0),
            // Not told by kernels before 5.19.
            memory_peak_bytes: memory.and_then(|memory| memory.number("memory.peak").ok()),
            ..cpu_time(&self.dir, pids::spent(self.when(self.pids)))
        }
    }

    fn usage(&self) -> Counters {
        let memory_bytes = self.when(self.memory).and_then(|memory| memory.number("memory.current").ok());
        Counters { memory_bytes, pids: self.pids(), ..self.spent() }
    }

    fn pids(&self) -> Option<u64> {
        pids::now(self.when(self.pids))
    }

    fn events(&self) -> Events {
        let oom_kills = self.when(self.memory).and_then(|dir| dir.field("memory.events", "oom_kill").ok());
        let pids_denials = pids::denials(self.when(self.pids));
        Events { oom_kills: oom_kills.unwrap_or(0), pids_denials }
    }

    /// Who is killed when memory runs out is one process, as with the first version, and the others can tell: with
    /// `memory.oom.group` it would be all of them.
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    /// Its peaks cannot begin anew, and a new directory is cheap here.
    fn renew(&self) -> io::Result<bool> {
        Ok(false)
    }
}

const SWAP: &str = "memory.swap.max";

pub(super) const CPU_TIME: &str = "cpu.stat";

/// The processor time of a group, which this version counts in every tree, controllers or none.
pub(super) fn cpu_time(dir: &Dir, others: Counters) -> Counters {
    let stat = dir.read(CPU_TIME).unwrap_or_default();
    Counters { cpu_user_us: field(&stat, "user_usec"), cpu_system_us: field(&stat, "system_usec"), ..others }
}
