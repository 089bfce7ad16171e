//! What the scheduler tells: who has which CPU, what everybody may have and got, and why.

use std::{collections::BTreeMap, fmt, sync::Arc};

use uos_proto::{Right, v1};
use uos_sched::{Ahead, Class, Nanos, TaskId};

use super::reply_entries;
use crate::{
    Error,
    admit::{Absent, Cx},
    control::{Place, Standing, Who},
    host::OsProcesses,
    kernel::Inner,
    perform::Syscall,
    process::{Pid, Process, Program},
    target::{ProcessTarget, Scope, System},
};

impl Syscall for v1::GetCurrentScheduled {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// It is read from the host.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::GetCurrentScheduledReply, Error> {
        let kernel = cx.kernel();
        let cpus = match kernel.strict() {
            Some(strict) => {
                let turn = |Who { cpu, pid, left }| v1::ScheduledCpu {
                    cpu,
                    pid: pid.map_or(0, |pid| pid.0),
                    slice_us: left.as_micros(),
                    ready: Vec::new(),
                };
                let turns = strict.entrances().iter().map(|entrance| entrance.current().map(turn));
                turns.collect::<Result<_, _>>()?
            }
            None => by_the_host(kernel),
        };
        Ok(v1::GetCurrentScheduledReply { cpus })
    }
}

fn by_the_host(kernel: &Inner) -> Vec<v1::ScheduledCpu> {
    let mut ready: BTreeMap<u32, Vec<u64>> =
        kernel.control.cpus.iter().map(|&cpu| (cpu, Vec::new())).collect();
    let host = OsProcesses::read();
    for process in kernel.processes.living() {
        let Some(child) = process.program.as_ref().and_then(Program::child) else { continue };
        for cpu in host.ready_on(&child) {
            ready.entry(cpu).or_default().push(process.pid.0);
        }
    }
    let seen = |(cpu, ready): (u32, Vec<u64>)| v1::ScheduledCpu {
        cpu,
        pid: if let [only] = ready[..] { only } else { 0 },
        slice_us: 0,
        ready,
    };
    ready.into_iter().map(seen).collect()
}

impl Syscall for v1::ListSchedule {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// What programs have used is read from the host.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::ListScheduleReply, Error> {
        let (processes, more) =
            cx.kernel()
                .processes
                .after(Pid(self.after_pid), reply_entries(self.limit), |process| process.is_alive());
        let processes = processes.iter().map(|process| schedule(cx.kernel(), process)).collect();
        Ok(v1::ListScheduleReply { processes, more })
    }
}

impl Syscall for v1::GetAffinity {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::SchedInspect)
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetAffinityReply, Error> {
        let cpus = cx.target.process.standing().cpus;
        let cpus = cpus.map_or_else(|| cx.kernel().control.cpus.clone(), |cpus| cpus.to_vec());
        Ok(v1::GetAffinityReply { cpus })
    }
}

impl Syscall for v1::GetProcessSchedule {
    type Target = ProcessTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<ProcessTarget, Absent> {
        scope.process(self.pid, Right::SchedInspect)
    }

    /// What a program has used is read from the host.
    fn blocks(_target: &ProcessTarget) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &ProcessTarget>) -> Result<v1::GetProcessScheduleReply, Error> {
        let (kernel, process) = (cx.kernel(), &cx.target.process);
        let Story { state, why, cpu, ahead, left } = story(kernel, process);
        Ok(v1::GetProcessScheduleReply {
            schedule: Some(schedule(kernel, process)),
            state: state.into(),
            why,
            cpu,
            ahead_pid: ahead.map_or(0, |pid| pid.0),
            slice_us: left.as_micros(),
        })
    }
}

/// What a process may have, and got.
fn schedule(kernel: &Inner, process: &Process) -> v1::ProcessSchedule {
    if process.program.is_some() {
        kernel.tell_scheduler(process, process.usage());
    }
    let standing = process.standing();
    let books = {
        let task = process.task.lock();
        task.id.and_then(|id| kernel.scheduler.lock().task(id).ok())
    };
    let (realtime, rank) = match standing.class {
        Class::Fifo(rank) => (v1::RealtimePolicy::Fifo, rank.get()),
        Class::RoundRobin(rank) => (v1::RealtimePolicy::RoundRobin, rank.get()),
        _ => (v1::RealtimePolicy::Unspecified, 0),
    };
    let reservation = match standing.class {
        Class::Deadline(made) => Some(v1::Reservation {
            runtime_us: made.runtime().as_micros(),
            deadline_us: made.deadline().as_micros(),
            period_us: made.period().as_micros(),
        }),
        _ => None,
    };
    let group = standing.group.as_ref().filter(|group| !group.is_dissolved());
    v1::ProcessSchedule {
        pid: process.pid.0,
        priority: standing.priority.0.into(),
        weight: standing.priority.weight().get(),
        effective_weight: kernel.effective_weight(&standing).get(),
        group_id: group.map_or(0, |group| group.id),
        quantum_us: standing.quantum.map_or(0, |quantum| quantum.length().as_micros()),
        realtime: realtime.into(),
        realtime_priority: rank.into(),
        reservation,
        cpus: standing.cpus.map_or_else(|| kernel.control.cpus.clone(), |cpus| cpus.to_vec()),
        runtime_us: books.map_or(0, |books| books.runtime.as_micros()),
        entitled_us: books.map_or(0, |books| books.entitled.as_micros()),
    }
}

/// Where a process stands, and why.
struct Story {
    state: v1::ScheduleState,
    why: String,
    cpu: Option<u32>,
    ahead: Option<Pid>,
    left: Nanos,
}

impl Story {
    fn new(state: v1::ScheduleState, why: impl Into<String>) -> Self {
        Self { state, why: why.into(), cpu: None, ahead: None, left: Nanos::ZERO }
    }
}

fn story(kernel: &Inner, process: &Arc<Process>) -> Story {
    let Some(program) = &process.program else {
        return Story::new(v1::ScheduleState::NoProgram, "there is no program to run");
    };
    let Some(child) = program.child().filter(|_| process.is_alive()) else {
        return Story::new(v1::ScheduleState::Exited, "it has ended");
    };
    if program.is_paused() {
        return Story::new(v1::ScheduleState::Paused, "it is held still until ResumeProcess");
    }
    let in_line = kernel.strict().and_then(|_| program.hold.lock().reins.place().and_then(at_gate));
    if let Some(story) = in_line {
        return story;
    }
    let host = OsProcesses::read();
    let ready = host.ready_on(&child);
    let Some(&cpu) = ready.first() else {
        return Story::new(v1::ScheduleState::Sleeping, "it waits for something else than a CPU");
    };
    let is_ready = |other: &Arc<Process>| {
        let child = other.program.as_ref().and_then(Program::child);
        child.is_some_and(|child| !host.ready_on(&child).is_empty())
    };
    let living = kernel.processes.living();
    let all: Vec<_> = living.iter().filter(|other| is_ready(other)).map(|other| other.standing()).collect();
    let weighs = |standing: &Standing| u64::from(kernel.weight_beside(&all, standing).get());
    let own = weighs(&process.standing());
    let all: u64 = all.iter().map(weighs).sum();
    let why = format!(
        "the host's kernel divides CPU time by weight, and it weighs {own} of the {} that ready programs do",
        all.max(own)
    );
    Story { cpu: Some(cpu), ..Story::new(v1::ScheduleState::Ready, why) }
}

/// What a gate says of one in its line.
fn at_gate(place: &Place) -> Option<Story> {
    let (explained, whose) = place.explain()?;
    let pid = |task: TaskId| whose.get(&task).copied();
    let named = |task: TaskId| Named(pid(task));
    let cpu = Some(place.cpu());
    let left = |until: Nanos| until.since(explained.now);
    Some(match explained.standing {
        uos_sched::Standing::Running { until, next, .. } => {
            let why = match next.and_then(pid) {
                Some(next) => format!("it is its turn; process {next} is next"),
                None => "it is its turn, and nobody else wants one".to_owned(),
            };
            Story { cpu, left: left(until), ..Story::new(v1::ScheduleState::Running, why) }
        }
        uos_sched::Standing::Waiting { behind, ahead, .. } => {
            let (why, first) = match ahead {
                Ahead::Nothing => ("it is next".to_owned(), behind.map(|(task, _)| task)),
                Ahead::Turn { task, before } => {
                    (format!("it is not its turn: {before} are before it, {} first", named(task)), Some(task))
                }
                Ahead::Priority { task, theirs, own } => {
                    (format!("{} has the priority {theirs}, and it {own}", named(task)), Some(task))
                }
                Ahead::Class { task } => (format!("{} is of a higher class", named(task)), Some(task)),
                Ahead::Deadline { task, by } => {
                    (format!("the deadline of {} is {by} earlier", named(task)), Some(task))
                }
                Ahead::Throttled { .. } => ("what was reserved for it is used up".to_owned(), None),
                Ahead::Capped { .. } => {
                    ("real-time programs have had their part of this second".to_owned(), None)
                }
                _ => ("others go first".to_owned(), behind.map(|(task, _)| task)),
            };
            Story {
                cpu,
                ahead: first.and_then(pid),
                left: behind.map_or(Nanos::ZERO, |(_, until)| left(until)),
                ..Story::new(v1::ScheduleState::Waiting, why)
            }
        }
        _ => {
            Story { cpu, ..Story::new(v1::ScheduleState::Sleeping, "it waits for something else than a CPU") }
        }
    })
}

struct Named(Option<Pid>);

impl fmt::Display for Named {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(out, "process {pid}"),
            None => out.write_str("one that has just ended"),
        }
    }
}
