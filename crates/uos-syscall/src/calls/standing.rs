//! Where a process stands: its state, its children, its rights, what it holds and what holds it.

use uos_proc::{Guarantee, Level, Means};
use uos_proto::{Right, v1};

use super::{
    processes::{state, usage, wire_level},
    reply_entries,
};
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    control::program_of,
    host,
    kernel::Inner,
    perform::Syscall,
    process::{Phase, Pid, Process, Program},
    rights::{Grant, Grants},
    target::{ProcessTarget, Scope, System},
};

/// How many grants one call takes.
const MOST_GRANTS: usize = 256;

impl Syscall for v1::GetProcessState {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    /// What a program does is read from the host.
    fn blocks(target: &ProcessTarget) -> bool {
        target.process.program.is_some()
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetProcessStateReply, Error> {
        let process = &cx.target.process;
        let child = process.program.as_ref().and_then(Program::child);
        let letter = child.and_then(|child| {
            let letter = host::state_letter(child.os_pid())?;
            // Its number was its own only if it hasn't exited even now.
            child.try_wait().is_none().then_some(letter)
        });
        Ok(v1::GetProcessStateReply {
            state: state(process).into(),
            host_state: letter.map(String::from).unwrap_or_default(),
        })
    }
}

impl Syscall for v1::GetChildren {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetChildrenReply, Error> {
        let mut pids: Vec<Pid> = {
            let family = cx.target.process.family.lock();
            family.children.iter().copied().chain(family.ended.iter().map(|child| child.pid)).collect()
        };
        pids.sort_unstable();
        pids.dedup();
        pids.retain(|pid| pid.0 > self.after_pid);
        let most = reply_entries(self.limit);
        let more = pids.len() > most;
        pids.truncate(most);
        // One that was forgotten just now is no child any more.
        let children = pids.into_iter().filter_map(|pid| cx.kernel().processes.get(pid));
        let children = children
            .map(|child| v1::ChildProcess { pid: child.pid.0, state: state(&child).into() })
            .collect();
        Ok(v1::GetChildrenReply { children, more })
    }
}

impl Syscall for v1::GetGrants {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetGrantsReply, Error> {
        Ok(v1::GetGrantsReply { grants: texts(&cx.target.process.grants()) })
    }
}

impl Syscall for v1::DropGrants {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcControl)
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::DropGrantsReply, Error> {
        let process = &cx.target.process;
        if self.drop.is_empty() == self.keep.is_empty() {
            return Err(Error::invalid("drop", "say either what to drop or what to keep"));
        }
        let named = self.drop.len() + self.keep.len();
        if named > MOST_GRANTS {
            return Err(Error::limit(Errno::E2BIG, "grants", named as u64, MOST_GRANTS as u64));
        }
        if process.pid == Pid::INIT {
            return Err(Error::new(Errno::EPERM, "process 1 keeps its rights"));
        }
        if !process.is_alive() {
            return Err(Error::no_process(process.pid.0));
        }
        let drop = parsed(&self.drop, "drop")?;
        let keep = parsed(&self.keep, "keep")?;
        let left = process
            .held()
            .lessen(|held| if keep.is_empty() { without(held, &drop) } else { narrowed(held, keep) })?;
        cap_descendants(cx.kernel(), process, &left);
        Ok(v1::DropGrantsReply { grants: texts(&left) })
    }
}

fn parsed(texts: &[String], field: &str) -> Result<Vec<Grant>, Error> {
    texts.iter().map(|text| Grant::parse(text).map_err(|error| Error::invalid(field, error))).collect()
}

/// All but those that one of `drop` covers.
fn without(held: &Grants, drop: &[Grant]) -> Result<Grants, Error> {
    for wanted in drop {
        // A part can't be cut out of a pattern, and leaving it in without a word would be worse than to refuse.
        if let Some(larger) = held.with_asks().find(|grant| grant.covers(wanted) && !wanted.covers(grant)) {
            return Err(Error::invalid(
                "drop",
                format_args!("{wanted} is only a part of {larger}, which is held"),
            )
            .hint(format!("drop `{larger}`, or say what to `keep`")));
        }
    }
    Ok(held.with_asks().filter(|grant| !drop.iter().any(|wanted| wanted.covers(grant))).cloned().collect())
}

fn narrowed(held: &Grants, keep: Vec<Grant>) -> Result<Grants, Error> {
    match keep.iter().find(|grant| !held.covers(grant)) {
        Some(more) => Err(Error::beyond(more)),
        None => Ok(keep.into_iter().collect()),
    }
}

/// Nobody has more than their parent. A list and not a recursion: families may be deeper than a stack.
fn cap_descendants(kernel: &Inner, process: &Process, left: &Grants) {
    let children = |process: &Process| process.family.lock().children.clone();
    let mut next: Vec<(Pid, Grants)> =
        children(process).into_iter().map(|child| (child, left.clone())).collect();
    while let Some((pid, parents)) = next.pop() {
        let Some(child) = kernel.processes.get(pid) else { continue };
        let has = child.held().cap(&parents);
        next.extend(children(&child).into_iter().map(|child| (child, has.clone())));
    }
}

fn texts(grants: &Grants) -> Vec<String> {
    grants.with_asks().map(ToString::to_string).collect()
}

impl Syscall for v1::GetResourceUsage {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    /// What a program uses is read from the host.
    fn blocks(target: &ProcessTarget) -> bool {
        target.process.program.is_some()
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetResourceUsageReply, Error> {
        let process = &cx.target.process;
        let used = process.usage();
        let ended = match process.family.lock().phase {
            Phase::Ended(end) => end.exit,
            _ => None,
        };
        let bounded = |name: &str, used, max| v1::ResourceUsage { name: name.to_owned(), used, max };
        let of = |quota: &uos_ipc::Quota, name| bounded(name, quota.used(), Some(quota.limit()));
        let (files, most) = (process.files.used(), process.files.limit());
        let mut resources = vec![
            bounded("handles", process.handles.len(), Some(cx.kernel().limits.handles_per_process)),
            of(&process.share.pipe_bytes, "pipe_bytes"),
            of(&process.share.queue_bytes, "queue_bytes"),
            of(&process.share.shm_bytes, "shm_bytes"),
            of(&process.share.output_bytes, "output_bytes"),
            of(process.environment.room(), "environment_bytes"),
            bounded("file_bytes", files.bytes, bound(most.bytes)),
            bounded("file_nodes", files.nodes, bound(most.nodes)),
        ];
        if let Some(program) = &process.program {
            let limits = program.hold.lock().limits;
            let counted =
                [("memory_bytes", used.memory_bytes, limits.memory_bytes), ("pids", used.pids, limits.pids)];
            resources
                .extend(counted.into_iter().filter_map(|(name, used, max)| Some(bounded(name, used?, max))));
        }
        Ok(v1::GetResourceUsageReply {
            usage: Some(usage(used)),
            peak_resident_bytes: used.peak_rss_bytes,
            peak_memory_bytes: used.peak_memory_bytes,
            peak_pids: used.peak_pids,
            memory_kills: ended.map_or(0, |exit| exit.events.oom_kills),
            pids_denials: ended.map_or(0, |exit| exit.events.pids_denials),
            resources,
        })
    }
}

/// A limit of files, as long as it is one.
pub(super) fn bound(most: u64) -> Option<u64> {
    (most < u64::MAX).then_some(most)
}

impl Syscall for v1::GetEnforcement {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::ProcInspect)
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetEnforcementReply, Error> {
        let program = program_of(&cx.target.process)?;
        let guarantees = program.enforcement.iter().map(guarantee).collect();
        Ok(v1::GetEnforcementReply { level: wire_level(program.enforcement.level).into(), guarantees })
    }
}

impl Syscall for v1::GetHostCapabilities {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// It is found out by trying.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::GetHostCapabilitiesReply, Error> {
        let kernel = cx.kernel();
        let support = kernel.spawner.probe();
        let level = |level: Level| v1::LevelSupport {
            level: wire_level(level).into(),
            available: support.missing(level).is_empty(),
            guarantees: support.iter(level).map(guarantee).collect(),
        };
        let abilities = kernel.abilities();
        let weights = if kernel.weighs_by_group() { "control groups" } else { "niceness" };
        Ok(v1::GetHostCapabilitiesReply {
            levels: Level::ALL.map(level).into(),
            weights: weights.to_owned(),
            quanta: abilities.slices,
            real_time: abilities.real_time,
            deadlines: abilities.deadlines,
            cpus: host::own_cpus(),
            nested_groups: kernel.nests(),
        })
    }
}

fn guarantee((guarantee, means): (Guarantee, &Means)) -> v1::Guarantee {
    let state = match means {
        Means::Enforced { .. } => v1::GuaranteeState::Enforced,
        Means::Weakened { .. } => v1::GuaranteeState::Weakened,
        Means::Absent { .. } => v1::GuaranteeState::Absent,
    };
    v1::Guarantee { name: guarantee.to_string(), state: state.into(), how: means.reason().to_owned() }
}
