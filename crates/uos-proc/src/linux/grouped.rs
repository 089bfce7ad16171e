//! A child's control group, from before its first call until its exit has been noticed.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::cgroup::{Abilities, Bounds, Counters, Groups, Lease, Machine, Refused, Unleased};
use super::life::Life;
use crate::{
    CpuGroup, Exit, ExitCause, LimitEvents, Limits, LimitsError, Signal, SpawnError, Spec, Stage, Usage,
};

#[derive(Debug)]
pub(super) struct Grouped {
    /// The group, until the exit has been noticed. Held while using it, so that it is surely still the child's.
    lease: Mutex<Option<Lease>>,
    /// What the child was started with.
    start: Limits,
    /// What can be limited here at all.
    can: Can,
    /// Processes in the group beside the program's own.
    helpers: u64,
    /// Whether nobody of the tree can be left when its first process has gone.
    ends_with_first: bool,
}

/// Which bounds a group takes; for the others the spec has accepted that they are not held to.
#[derive(Clone, Copy, Debug)]
struct Can {
    memory: bool,
    pids: bool,
    cpu: bool,
}

/// Whether a child of `spec` gets a group.
pub(super) fn wants_group(spec: &Spec) -> bool {
    spec.grouped || Bounds::of(&spec.limits.or_of(spec.level)) != Bounds::default()
}

/// Why the limits of `spec` cannot be meant for this machine, or not be held to.
pub(super) fn check(limits: &Limits, can: &Abilities) -> Result<(), LimitsError> {
    check_sense(limits)?;
    if limits.memory_swap_bytes.is_some() && can.swap.is_err() {
        return Err(LimitsError::Unsupported { name: "memory_swap_bytes" });
    }
    Ok(())
}

fn check_sense(limits: &Limits) -> Result<(), LimitsError> {
    // What a machine has takes as long to read as a program to begin; most specs ask for none of it.
    if (Bounds { cpu_weight: None, ..Bounds::of(limits) }) == Bounds::default() {
        return Ok(());
    }
    let checked = Machine::this().check(limits);
    checked.map_err(|(field, why)| LimitsError::Invalid { field, why: why.into() })
}

impl Grouped {
    /// A group for a child of `spec`, in which `helpers` processes beside its own will be. `ends_with_first` is whether
    /// the kernel ends all of the tree with the first.
    pub(super) fn lease(
        groups: &Groups,
        spec: &Spec,
        helpers: u64,
        ends_with_first: bool,
    ) -> Result<Self, SpawnError> {
        let Abilities { memory, pids, cpu, .. } = groups.abilities();
        let can = Can { memory: memory.is_ok(), pids: pids.is_ok(), cpu: cpu.is_ok() };
        let start = spec.limits.or_of(spec.level);
        let mut bounds = bounds(&start, can, helpers);
        let mut leased = groups.lease(&bounds);
        if spec.limits.cpu_percent.is_none()
            && let Err(Unleased::Refused(Refused { field: "cpu_percent", errno: libc::EINVAL })) = leased
        {
            // The group around all of them is held to less than the level's share already.
            bounds.cpu_percent = None;
            leased = groups.lease(&bounds);
        }
        let lease = leased.map_err(|error| match error {
            Unleased::Unmade(error) => stage_failed(Stage::Group, &error),
            Unleased::Refused(Refused { field, errno }) => {
                SpawnError::Stage { stage: Stage::Limit(field), errno }
            }
        })?;
        Ok(Grouped { lease: Mutex::new(Some(lease)), start, can, helpers, ends_with_first })
    }

    /// Whether the group itself counts processes, and tells when it denied one.
    pub(super) fn limits_processes(&self) -> bool {
        self.can.pids
    }

    /// Has the child join before anything else, so that no moment of it is outside.
    pub(super) fn join(&self, life: &mut Life) -> Result<(), SpawnError> {
        if let Some(lease) = &*self.lock() {
            let joining = lease.group().joining().map_err(|error| stage_failed(Stage::Group, &error))?;
            life.join(joining);
        }
        Ok(())
    }

    pub(super) fn kill(&self) {
        if let Some(lease) = &*self.lock() {
            lease.group().lift_quota();
            let _ = lease.kill();
        }
    }

    /// Says that its tree was killed and nobody waits to hear of it.
    pub(super) fn is_given_up(&self) {
        if let Some(lease) = &mut *self.lock() {
            lease.is_coming_back();
        }
    }

    /// Has what was killed die though it is held still.
    pub(super) fn let_die(&self) {
        let lease = self.lock();
        let Some(group) = lease.as_ref().map(Lease::group) else { return };
        if self.ends_with_first {
            group.lift_quota();
        }
        if let Some(hold) = group.hold() {
            let _ = hold.let_die();
        }
    }

    /// Holds the whole tree still, or lets it go on. `None` where that can't be done.
    pub(super) fn freeze(&self, frozen: bool) -> Option<io::Result<()>> {
        self.lock().as_ref()?.group().freeze(frozen)
    }

    /// Has the tree be where real-time classes are granted, or brings it back.
    pub(super) fn set_real_time(&self, real_time: bool) -> io::Result<()> {
        self.lock().as_ref().map_or(Ok(()), |lease| lease.group().set_real_time(real_time))
    }

    /// Has the tree be in these groups of several programs.
    pub(super) fn set_cpu_groups(&self, groups: &[CpuGroup]) -> io::Result<()> {
        let lease = self.lock();
        lease.as_ref().map_or(Ok(()), |lease| lease.set_around(groups))
    }

    /// What the tree has used, where it is told; `usage` is what is known without that.
    pub(super) fn usage(&self, usage: Usage) -> Usage {
        let used = self.lock().as_ref().map(|lease| lease.group().usage());
        used.map_or(usage, |used| with_used(usage, used))
    }

    /// Completes the exit of the child by what its group tells, and gives the group back. `killed` says whether it was
    /// killed from here, `leave` whether the rest of the tree is to run on.
    pub(super) fn end(&self, exit: Exit, killed: bool, leave: bool) -> Exit {
        let Some(mut lease) = self.lock().take() else { return exit };
        let usage = with_used(exit.usage, lease.group().spent());
        if leave {
            lease.leave();
        } else if !self.ends_with_first {
            let _ = lease.kill();
        }
        let events = lease.group().events();
        let by_kill = ExitCause::Signaled { signal: Signal::KILL, core: false };
        let is_oom = exit.cause == by_kill && !killed && events.oom_kills > 0;
        Exit {
            cause: if is_oom { ExitCause::OomKilled } else { exit.cause },
            usage,
            events: LimitEvents { oom_kills: events.oom_kills, pids_denials: events.pids_denials },
        }
    }

    /// Changes what the running tree is held to.
    pub(super) fn set(&self, limits: &Limits) -> Result<(), LimitsError> {
        check_sense(limits)?;
        let fixed = [
            ("limits.open_files", limits.open_files, self.start.open_files),
            ("limits.file_size_bytes", limits.file_size_bytes, self.start.file_size_bytes),
            ("limits.cpu_seconds", limits.cpu_seconds, self.start.cpu_seconds),
        ];
        for (field, wanted, start) in fixed {
            if wanted.is_some() && wanted != start {
                return Err(LimitsError::Invalid { field, why: "fixed at the start".into() });
            }
        }
        let asked = [
            ("memory_bytes", self.can.memory, limits.memory_bytes.is_some()),
            ("memory_swap_bytes", self.can.memory, limits.memory_swap_bytes.is_some()),
            ("pids", self.can.pids, limits.pids.is_some()),
            ("cpu_percent", self.can.cpu, limits.cpu_percent.is_some()),
            ("cpu_weight", self.can.cpu, limits.cpu_weight.is_some()),
        ];
        if let Some((name, ..)) = asked.into_iter().find(|(_, can, is_asked)| *is_asked && !can) {
            return Err(LimitsError::Unsupported { name });
        }
        let lease = self.lock();
        let lease = lease.as_ref().ok_or(LimitsError::NoSuchProcess)?;
        lease.group().set(&bounds(limits, self.can, self.helpers)).map_err(|refused| match refused.errno {
            libc::ENODEV => LimitsError::Unsupported { name: refused.field },
            errno => LimitsError::Refused { name: refused.field, errno },
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Lease>> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_used(usage: Usage, used: Counters) -> Usage {
    Usage {
        // What counts the tree also counts those who were never waited for.
        cpu_user_us: usage.cpu_user_us.max(used.cpu_user_us.unwrap_or(0)),
        cpu_system_us: usage.cpu_system_us.max(used.cpu_system_us.unwrap_or(0)),
        memory_bytes: used.memory_bytes,
        peak_memory_bytes: used.memory_peak_bytes,
        pids: used.pids,
        peak_pids: used.pids_peak,
        ..usage
    }
}

fn bounds(limits: &Limits, can: Can, helpers: u64) -> Bounds {
    let all = Bounds::of(limits);
    Bounds {
        memory_bytes: all.memory_bytes.filter(|_| can.memory),
        swap_bytes: all.swap_bytes.filter(|_| can.memory),
        pids: all.pids.filter(|_| can.pids).map(|pids| pids.saturating_add(helpers)),
        cpu_percent: all.cpu_percent.filter(|_| can.cpu),
        cpu_weight: all.cpu_weight.filter(|_| can.cpu),
    }
}

fn stage_failed(stage: Stage, error: &io::Error) -> SpawnError {
    SpawnError::Stage { stage, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

/// The first field that asks for something, to name one.
pub(super) fn first_named(limits: &Limits) -> &'static str {
    let asked = [
        ("memory_swap_bytes", limits.memory_swap_bytes.is_some()),
        ("pids", limits.pids.is_some()),
        ("cpu_percent", limits.cpu_percent.is_some()),
        ("cpu_weight", limits.cpu_weight.is_some()),
    ];
    asked.into_iter().find(|(_, is_asked)| *is_asked).map_or("memory_bytes", |(name, _)| name)
}
