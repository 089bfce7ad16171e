//! Random histories: every policy beside its naive reference, and the promises that hold at every step.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod reference;

use proptest::prelude::*;
use reference::{NaiveFair, NaiveTurns, Seen};
use std::cell::RefCell;
use std::rc::Rc;
use uos_sched::{
    Cpu, Fair, Nanos, Observed, Pick, Policy, Quantum, RoundRobin, SchedError, Scheduler, TaskId, TaskState,
    TaskStats, Weight, Why,
};

const SLICE: Nanos = Nanos::from_millis(4);

#[derive(Clone, Copy, Debug)]
enum Op {
    Add(Weight),
    Remove(usize),
    SetWeight(usize, Weight),
    Block(usize),
    Wake(usize),
    Pick(u32),
    Charge(u32),
    PutBack(u32, Why),
    Account(usize, Observed),
}

/// Operations, each with the time that passes before it, in thousandths of a slice.
fn history(kernel_decides_too: bool) -> impl Strategy<Value = Vec<(u64, Op)>> {
    let weight = || prop_oneof![1..20u32, 1..=1u32 << 20].prop_map(|w| Weight::new(w).unwrap());
    let (task, cpu) = (|| 0..12usize, || 0..3u32);
    let why = prop_oneof![
        6 => Just(Why::Expired),
        2 => Just(Why::Yield),
        2 => Just(Why::Blocked),
        1 => Just(Why::Exited),
    ];
    let observed = (0..5_000_000u64, 0..5u64, 0..5u64).prop_map(|(ran, more, preemptions)| Observed {
        runtime: Nanos(ran),
        switches: preemptions + more,
        preemptions,
    });
    let op = prop_oneof![
        4 => weight().prop_map(Op::Add),
        1 => task().prop_map(Op::Remove),
        2 => (task(), weight()).prop_map(|(task, weight)| Op::SetWeight(task, weight)),
        2 => task().prop_map(Op::Block),
        4 => task().prop_map(Op::Wake),
        12 => cpu().prop_map(Op::Pick),
        2 => cpu().prop_map(Op::Charge),
        10 => (cpu(), why).prop_map(|(cpu, why)| Op::PutBack(cpu, why)),
        u32::from(kernel_decides_too) * 2 => (task(), observed).prop_map(|(t, o)| Op::Account(t, o)),
    ];
    prop::collection::vec((prop_oneof![Just(0), 1..400u64], op), 1..100)
}

proptest! {
    #[test]
    fn fair_is_its_reference(cpus in 1..=3u32, history in history(true)) {
        let fair = Fair::new(Quantum::new(SLICE).unwrap());
        let mut world = World::new(fair, NaiveFair::new(SLICE), cpus);
        for (passes, op) in history {
            world.step(passes, op)?;
        }
    }

    #[test]
    fn round_robin_is_its_reference(cpus in 1..=3u32, history in history(true)) {
        let turns = RoundRobin::new(Quantum::new(SLICE).unwrap());
        let mut world = World::new(turns, NaiveTurns { quantum: SLICE, queue: Vec::new() }, cpus);
        for (passes, op) in history {
            world.step(passes, op)?;
        }
    }

    /// On one CPU, and as long as slices are kept to.
    #[test]
    fn two_that_can_run_are_never_further_apart_than_a_slice_of_each(history in history(false)) {
        let fair = Fair::new(Quantum::new(SLICE).unwrap());
        let mut world = World::new(fair, NaiveFair::new(SLICE), 1);
        for (passes, op) in history {
            world.step(passes, op)?;
            let naive = world.naive.borrow();
            for a in naive.runnable() {
                for b in naive.runnable() {
                    let bound = naive.slice_at(a.weight) + naive.slice_at(b.weight) + 2;
                    prop_assert!(a.vruntime.abs_diff(b.vruntime) <= bound, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn the_same_calls_leave_the_same_trace(history in history(true)) {
        let run = || {
            let mut world = World::new(Fair::default(), NaiveFair::new(SLICE), 3);
            for &(passes, op) in &history {
                world.step(passes, op).unwrap();
            }
            world.trace
        };
        prop_assert_eq!(run(), run());
    }
}

/// A scheduler, the same with the naive policy, and what the test itself knows about both.
struct World<P, N> {
    real: Scheduler<P>,
    twin: Scheduler<Seen<N>>,
    naive: Rc<RefCell<N>>,
    now: Nanos,
    cpus: u32,
    tasks: Vec<TaskId>,
    /// By CPU: who runs, and when its slice is over.
    running: Vec<Option<(TaskId, Nanos)>>,
    adds: usize,
    exits: usize,
    /// CPU time used up, and the part of it that came while nobody could run and is owed to nobody.
    busy: u64,
    unowed: u64,
    /// Runtime and entitlement of those who have left.
    left: (u64, u64),
    calls: u64,
    trace: Vec<(Nanos, Pick)>,
}

impl<P: Policy, N: Policy> World<P, N> {
    fn new(policy: P, naive: N, cpus: u32) -> World<P, N> {
        let naive = Rc::new(RefCell::new(naive));
        World {
            real: Scheduler::new(policy, cpus).unwrap(),
            twin: Scheduler::new(Seen(naive.clone()), cpus).unwrap(),
            naive,
            now: Nanos::ZERO,
            cpus,
            tasks: Vec::new(),
            running: vec![None; cpus as usize],
            adds: 0,
            exits: 0,
            busy: 0,
            unowed: 0,
            left: (0, 0),
            calls: 0,
            trace: Vec::new(),
        }
    }

    /// Time passes, never beyond the end of a running slice; then one call is made on both.
    fn step(&mut self, passes: u64, op: Op) -> Result<(), TestCaseError> {
        let ends = self.running.iter().flatten().map(|&(_, end)| end);
        let then = ends.fold(Nanos(self.now.0 + SLICE.0 / 1000 * passes), Nanos::min);
        self.busy += then.since(self.now).0 * self.running.iter().flatten().count() as u64;
        self.now = then;
        self.calls += 1;
        let told = self.call(op)?;
        self.check(told)
    }

    /// Makes the call on both, compares the answers, and says whether it was done or refused.
    fn call(&mut self, op: Op) -> Result<bool, TestCaseError> {
        let now = self.now;
        let some = |n: usize| self.tasks.get(n % self.tasks.len().max(1)).copied();
        Ok(match op {
            Op::Add(weight) => {
                let task = self.real.add(weight, now);
                prop_assert_eq!(task, self.twin.add(weight, now));
                prop_assert!(!self.tasks.contains(&task.unwrap()));
                self.tasks.push(task.unwrap());
                self.adds += 1;
                true
            }
            Op::Remove(n) => {
                let Some(task) = some(n) else { return Ok(false) };
                let removed = self.real.remove(task, now);
                prop_assert_eq!(removed, self.twin.remove(task, now));
                prop_assert_eq!(removed.is_ok(), !self.is_running(task));
                if let Ok(stats) = removed {
                    self.gone(task, stats);
                }
                removed.is_ok()
            }
            Op::SetWeight(n, weight) => {
                let Some(task) = some(n) else { return Ok(false) };
                prop_assert_eq!(self.real.set_weight(task, weight, now), Ok(()));
                self.twin.set_weight(task, weight, now).unwrap();
                true
            }
            Op::Block(n) => {
                let Some(task) = some(n) else { return Ok(false) };
                let blocked = self.real.block(task, now);
                prop_assert_eq!(blocked, self.twin.block(task, now));
                prop_assert_eq!(blocked.is_ok(), !self.is_running(task));
                blocked.is_ok()
            }
            Op::Wake(n) => {
                let Some(task) = some(n) else { return Ok(false) };
                let woken = self.real.wake(task, now);
                prop_assert_eq!(woken, self.twin.wake(task, now));
                woken.is_ok()
            }
            Op::Pick(cpu) => self.pick(Cpu(cpu % self.cpus))?,
            Op::Charge(cpu) => self.charge(Cpu(cpu % self.cpus))?,
            Op::PutBack(cpu, why) => self.put_back(Cpu(cpu % self.cpus), why)?,
            Op::Account(n, observed) => {
                let Some(task) = some(n) else { return Ok(false) };
                let nobody_can_run = self.in_state(|state| state != TaskState::Blocked).is_empty();
                let accounted = self.real.account(task, observed);
                prop_assert_eq!(accounted, self.twin.account(task, observed));
                prop_assert_eq!(accounted.is_ok(), !self.is_running(task));
                if accounted.is_ok() {
                    self.busy += observed.runtime.0;
                    self.unowed += observed.runtime.0 * u64::from(nobody_can_run);
                }
                false
            }
        })
    }

    fn pick(&mut self, cpu: Cpu) -> Result<bool, TestCaseError> {
        let waits = self.in_state(|state| state == TaskState::Waiting);
        let picked = self.real.pick(cpu, self.now);
        prop_assert_eq!(picked, self.twin.pick(cpu, self.now));
        prop_assert_eq!(picked.is_ok(), self.running[cpu.0 as usize].is_none());
        let Ok(picked) = picked else { return Ok(false) };
        prop_assert_eq!(picked.is_some(), !waits.is_empty(), "no CPU idles while somebody waits");
        if let Some(pick) = picked {
            prop_assert!(waits.contains(&pick.task), "only those who wait run, each on one CPU");
            self.running[cpu.0 as usize] = Some((pick.task, self.now + pick.slice));
            self.trace.push((self.now, pick));
        }
        Ok(true)
    }

    fn charge(&mut self, cpu: Cpu) -> Result<bool, TestCaseError> {
        let ran = self.real.charge(cpu, self.now);
        prop_assert_eq!(ran, self.twin.charge(cpu, self.now));
        prop_assert_eq!(ran.is_ok(), self.running[cpu.0 as usize].is_some());
        Ok(ran.is_ok())
    }

    fn put_back(&mut self, cpu: Cpu, why: Why) -> Result<bool, TestCaseError> {
        // Charged first, so that the books of one who exits can be read up to its end.
        self.charge(cpu)?;
        let runs = self.running[cpu.0 as usize].take().map(|(task, _)| task);
        let books = runs.map(|task| self.real.task(task).unwrap());
        let put = self.real.put_back(cpu, self.now, why);
        prop_assert_eq!(put, self.twin.put_back(cpu, self.now, why));
        prop_assert_eq!(put.ok(), runs);
        if let (Why::Exited, Some(task), Some(books)) = (why, runs, books) {
            self.gone(task, books);
            prop_assert_eq!(self.real.task(task), Err(SchedError::UnknownTask { task }));
        }
        Ok(put.is_ok())
    }

    fn check(&self, told: bool) -> Result<(), TestCaseError> {
        let stats = self.real.stats();
        prop_assert_eq!(stats, self.twin.stats());
        prop_assert_eq!(stats.active, self.adds - self.exits);
        prop_assert!(stats.context_switches >= stats.preemptions);
        prop_assert_eq!(self.real.tasks().count(), self.tasks.len());
        let mut running = self.in_state(|state| matches!(state, TaskState::Running(_)));
        let mut expected: Vec<_> = self.running.iter().flatten().map(|&(task, _)| task).collect();
        running.sort();
        expected.sort();
        prop_assert_eq!(running, expected);

        let books: Vec<_> = self.tasks.iter().map(|&task| self.real.task(task).unwrap()).collect();
        prop_assert_eq!(
            books.iter().map(|books| books.runtime.0).sum::<u64>() + self.left.0,
            stats.runtime.0
        );
        if told {
            prop_assert_eq!(stats.runtime.0, self.busy, "what was charged is what CPUs were busy");
            let owed = books.iter().map(|books| books.entitled.0).sum::<u64>() + self.left.1;
            let whole = self.busy - self.unowed;
            let rounding = self.calls + self.adds as u64;
            prop_assert!((whole.saturating_sub(rounding)..=whole).contains(&owed), "{owed} of {whole}");
        }
        Ok(())
    }

    fn gone(&mut self, task: TaskId, books: TaskStats) {
        self.tasks.retain(|&other| other != task);
        self.left.0 += books.runtime.0;
        self.left.1 += books.entitled.0;
        self.exits += 1;
    }

    fn is_running(&self, task: TaskId) -> bool {
        self.running.iter().flatten().any(|&(running, _)| running == task)
    }

    fn in_state(&self, is: impl Fn(TaskState) -> bool) -> Vec<TaskId> {
        self.tasks.iter().copied().filter(|&task| is(self.real.task(task).unwrap().state)).collect()
    }
}
