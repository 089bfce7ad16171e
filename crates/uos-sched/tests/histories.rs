//! Random histories on one CPU: every policy beside its naive reference, and what holds at every step.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod reference;

use proptest::prelude::*;
use reference::{Naive, Return, Who, virtual_slice};
use uos_sched::{
    Cpu, GroupId, GroupSpec, Nanos, Observed, Policy, Priority, Quantum, SchedError, Scheduler, Spec, TaskId,
    TaskState, TaskStats, Weight, Why,
};

const CPU: Cpu = Cpu(0);
const SLICE: Quantum = Quantum::DEFAULT;

#[derive(Clone, Copy, Debug)]
enum Op {
    Add(Weight, Priority, usize),
    AddGroup(usize, Weight, Priority),
    Remove(usize),
    SetWeight(usize, Weight),
    SetPriority(usize, Priority),
    SetGroup(usize, usize),
    SetPolicy(Policy),
    Block(usize),
    Wake(usize),
    Pick,
    Charge,
    PutBack(Why),
    Account(usize, Observed),
}

fn policies() -> Vec<Policy> {
    let ageing = Some(Quantum::new(Nanos::from_millis(30)).unwrap());
    let plain = [Policy::ROUND_ROBIN, Policy::PRIORITY, Policy::FAIR, Policy::EEVDF];
    let aged = Policy::Priority { quantum: SLICE, ageing };
    plain.map(|policy| policy.with_slice(SLICE)).into_iter().chain([aged]).collect()
}

fn weight() -> impl Strategy<Value = Weight> {
    prop_oneof![1..20u32, 1..=1u32 << 20].prop_map(|weight| Weight::new(weight).unwrap())
}

fn why() -> impl Strategy<Value = Why> {
    prop_oneof![
        6 => Just(Why::Expired),
        1 => Just(Why::Preempted),
        2 => Just(Why::Yield),
        2 => Just(Why::Blocked),
        1 => Just(Why::Exited),
    ]
}

/// Operations, each with the time that passes before it, in thousandths of a slice.
fn anything() -> impl Strategy<Value = Vec<(u64, Op)>> {
    let (task, group) = (|| 0..100usize, || 0..5usize);
    let priority = || prop_oneof![Just(Priority(128)), (120..136u8).prop_map(Priority)];
    let observed = (0..5_000_000u64, 0..5u64, 0..5u64).prop_map(|(ran, more, preemptions)| Observed {
        runtime: Nanos(ran),
        switches: preemptions + more,
        preemptions,
    });
    let op = prop_oneof![
        6 => (weight(), priority(), group()).prop_map(|(weight, priority, group)| Op::Add(weight, priority, group)),
        1 => (group(), weight(), priority()).prop_map(|(group, weight, priority)| Op::AddGroup(group, weight, priority)),
        1 => task().prop_map(Op::Remove),
        2 => (task(), weight()).prop_map(|(task, weight)| Op::SetWeight(task, weight)),
        1 => (task(), priority()).prop_map(|(task, priority)| Op::SetPriority(task, priority)),
        1 => (task(), group()).prop_map(|(task, group)| Op::SetGroup(task, group)),
        1 => prop::sample::select(policies()).prop_map(Op::SetPolicy),
        2 => task().prop_map(Op::Block),
        4 => task().prop_map(Op::Wake),
        14 => Just(Op::Pick),
        2 => Just(Op::Charge),
        12 => why().prop_map(Op::PutBack),
        2 => (task(), observed).prop_map(|(task, observed)| Op::Account(task, observed)),
    ];
    prop::collection::vec((prop_oneof![Just(0), 1..700u64], op), 1..150)
}

/// Nothing but tasks in one group that come, sleep, run and go, under one policy.
fn plain() -> impl Strategy<Value = Vec<(u64, Op)>> {
    let op = prop_oneof![
        4 => weight().prop_map(|weight| Op::Add(weight, Priority::DEFAULT, 0)),
        1 => (0..100usize).prop_map(Op::Remove),
        2 => (0..100usize).prop_map(Op::Block),
        4 => (0..100usize).prop_map(Op::Wake),
        14 => Just(Op::Pick),
        2 => Just(Op::Charge),
        12 => why().prop_map(Op::PutBack),
    ];
    prop::collection::vec((prop_oneof![Just(0), 1..700u64], op), 1..150)
}

/// Nothing but tasks that come and run.
fn steady() -> impl Strategy<Value = Vec<(u64, Op)>> {
    let op = prop_oneof![
        2 => weight().prop_map(|weight| Op::Add(weight, Priority::DEFAULT, 0)),
        14 => Just(Op::Pick),
        2 => Just(Op::Charge),
        12 => prop_oneof![Just(Why::Expired), Just(Why::Preempted)].prop_map(Op::PutBack),
    ];
    prop::collection::vec((prop_oneof![Just(0), 1..2_000u64], op), 1..200)
}

/// How many histories of each kind.
fn seeds() -> u32 {
    std::env::var("UOS_CAMPAIGN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

proptest! {
    // The seeds that failed belong into the tests, not into a file beside them.
    #![proptest_config(ProptestConfig { cases: seeds(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_policy_is_its_reference(
        policy in prop::sample::select(policies()),
        crowd in prop_oneof![4 => Just(0usize), 1 => 60..250usize],
        history in anything(),
    ) {
        let mut world = World::new(policy);
        // A crowd takes another way through the queues than a few do.
        for task in 0..crowd {
            world.step(0, Op::Add(Weight::new(1 + task as u32 * 37).unwrap(), Priority(task as u8), 0))?;
        }
        for (passes, op) in history {
            world.step(passes, op)?;
        }
    }

    /// As long as slices are kept to.
    #[test]
    fn under_fair_two_that_can_run_are_never_further_apart_than_a_slice_of_each(history in plain()) {
        let mut world = World::new(Policy::Fair { slice: SLICE });
        for (passes, op) in history {
            world.step(passes, op)?;
            for a in world.naive.runnable(0) {
                for b in world.naive.runnable(0) {
                    let slice_of = |weight| virtual_slice(SLICE.length(), weight);
                    let bound = slice_of(a.weight) + slice_of(b.weight) + 2;
                    prop_assert!((a.v - b.v).abs() <= bound, "{a:?} {b:?}");
                }
            }
        }
    }

    /// While everybody who comes stays, nobody is ever further from its part than a slice.
    #[test]
    fn under_eevdf_lag_is_bounded_by_a_slice(history in steady()) {
        let mut world = World::new(Policy::Eevdf { slice: SLICE });
        for (passes, op) in history {
            world.step(passes, op)?;
            let lags = world.lags();
            // The heaviest runs that much longer before its request counts as done.
            let coarsest = lags.iter().map(|&(_, unit)| unit).max().unwrap_or(0);
            for (lag, _) in lags {
                prop_assert!(lag.abs() <= i128::from(SLICE.length().0) + 2 * coarsest, "{lag} {coarsest} {:?}", world.naive.runnable(0).collect::<Vec<_>>());
            }
        }
    }

    /// What some are owed, others have had too much.
    #[test]
    fn under_eevdf_lags_sum_to_zero(history in plain()) {
        let mut world = World::new(Policy::Eevdf { slice: SLICE });
        for (passes, op) in history {
            world.step(passes, op)?;
            let (sum, units) = world.lags().into_iter().fold((0, 0), |(sum, units), (lag, unit)| (sum + lag, units + unit + 1));
            prop_assert!(sum.abs() <= units, "{sum}");
        }
    }

    /// Nobody who wants to run waits for ever: among busy tasks there is a longest wait, and it is known.
    #[test]
    fn nobody_starves(weights in prop::collection::vec(1..5_000u32, 2..12), slices in 1..400usize) {
        for policy in [Policy::ROUND_ROBIN, Policy::FAIR, Policy::EEVDF].map(|policy| policy.with_slice(SLICE)) {
            let mut sched = Scheduler::new(policy, 1).unwrap();
            let add = |&weight| sched.add(Weight::new(weight).unwrap(), Nanos::ZERO).unwrap();
            let tasks: Vec<TaskId> = weights.iter().map(add).collect();
            let (mut now, mut ran) = (Nanos::ZERO, vec![Nanos::ZERO; tasks.len()]);
            let all = weights.iter().map(|&weight| u64::from(weight)).sum::<u64>();
            for _ in 0..slices {
                let pick = sched.pick(CPU, now).unwrap().unwrap();
                let at = tasks.iter().position(|&task| task == pick.task).unwrap();
                let others = tasks.len() as u64 - 1;
                let most = match policy {
                    Policy::RoundRobin { .. } => SLICE.length() * others,
                    // What each of the others may be ahead before, and behind after it.
                    _ => Nanos(2 * SLICE.length().0 * all / u64::from(weights[at])) + SLICE.length() * (2 * others),
                };
                prop_assert!(now.since(ran[at]) <= most, "{policy:?}: {} waited {}", weights[at], now.since(ran[at]));
                now = now + pick.slice;
                ran[at] = now;
                sched.put_back(CPU, now, Why::Expired).unwrap();
            }
            for (at, &since) in ran.iter().enumerate() {
                let most = Nanos(2 * SLICE.length().0 * all / u64::from(weights[at])) + SLICE.length() * 22;
                prop_assert!(now.since(since) <= most, "{policy:?}: {} still waits", weights[at]);
            }
        }
    }

    #[test]
    fn the_same_calls_leave_the_same_trace(history in anything()) {
        let run = || {
            let mut world = World::new(Policy::EEVDF);
            for &(passes, op) in &history {
                world.step(passes, op).unwrap();
            }
            world.trace
        };
        prop_assert_eq!(run(), run());
    }
}

/// A scheduler, its naive twin, and what the test itself knows about both.
struct World {
    real: Scheduler,
    naive: Naive,
    now: Nanos,
    tasks: Vec<TaskId>,
    groups: Vec<GroupId>,
    depths: Vec<u8>,
    /// Who runs, when its slice is over, and until when it has been charged.
    running: Option<(TaskId, Nanos, Nanos)>,
    adds: usize,
    exits: usize,
    /// CPU time used up, and the part of it that came while nobody could run and is owed to nobody.
    busy: u64,
    unowed: u64,
    /// Runtime and entitlement of those who have left.
    left: (u64, u64),
    calls: u64,
    trace: Vec<(Nanos, TaskId)>,
}

impl World {
    fn new(policy: Policy) -> World {
        World {
            real: Scheduler::new(policy, 1).unwrap(),
            naive: Naive::new(policy),
            now: Nanos::ZERO,
            tasks: Vec::new(),
            groups: vec![GroupId::ROOT],
            depths: vec![0],
            running: None,
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
        let then = Nanos(self.now.0 + SLICE.length().0 / 1000 * passes);
        let then = self.running.map_or(then, |(_, end, _)| then.min(end));
        if self.running.is_some() {
            self.busy += then.since(self.now).0;
        }
        self.now = then;
        self.calls += 1;
        let told = self.call(op)?;
        self.check(told)
    }

    /// Charges the reference for what the running task had since it was last charged.
    fn charge_naive(&mut self) {
        if let Some((task, _, charged)) = &mut self.running {
            self.naive.charge(*task, self.now.since(*charged).0);
            *charged = self.now;
        }
    }

    /// Makes the call on both, compares the answers, and says whether time was told.
    fn call(&mut self, op: Op) -> Result<bool, TestCaseError> {
        let now = self.now;
        let some = |n: usize| self.tasks.get(n % self.tasks.len().max(1)).copied();
        let runs = |task| self.running.is_some_and(|(running, ..)| running == task);
        match op {
            Op::Add(weight, priority, group) => {
                let group = group % self.groups.len();
                let spec = Spec::default().priority(priority).weight(weight).group(self.groups[group]);
                let task = self.real.add(spec, now).unwrap();
                prop_assert!(!self.tasks.contains(&task));
                self.charge_naive();
                self.naive.add(task, group, weight.get(), priority.0, now.0);
                self.tasks.push(task);
                self.adds += 1;
            }
            Op::AddGroup(parent, weight, priority) => {
                let parent = parent % self.groups.len();
                let spec = GroupSpec::default().priority(priority).weight(weight);
                let made = self.real.create_group(self.groups[parent], spec);
                if self.depths[parent] == Scheduler::MAX_DEPTH {
                    prop_assert_eq!(made, Err(SchedError::GroupTooDeep { max: Scheduler::MAX_DEPTH }));
                } else {
                    self.naive.group(parent, weight.get(), priority.0);
                    self.groups.push(made.unwrap());
                    self.depths.push(self.depths[parent] + 1);
                }
                return Ok(false);
            }
            Op::Remove(n) => {
                let Some(task) = some(n) else { return Ok(false) };
                let running = runs(task);
                let blocked = self.real.task(task).unwrap().state == TaskState::Blocked;
                let removed = self.real.remove(task, now);
                prop_assert_eq!(removed.is_ok(), !running);
                let Ok(stats) = removed else { return Ok(false) };
                if !blocked {
                    self.charge_naive();
                }
                self.naive.remove(task, now.0);
                self.gone(task, stats);
            }
            Op::SetWeight(n, weight) => {
                let Some(task) = some(n) else { return Ok(false) };
                prop_assert_eq!(self.real.set_weight(task, weight, now), Ok(()));
                self.charge_naive();
                self.naive.set_weight(task, weight.get());
            }
            Op::SetPriority(n, priority) => {
                let Some(task) = some(n) else { return Ok(false) };
                prop_assert_eq!(self.real.set_priority(task, priority, now), Ok(()));
                self.charge_naive();
                self.naive.set_weight(task, priority.weight().get());
                self.naive.set_priority(task, priority.0);
            }
            Op::SetGroup(n, group) => {
                let Some(task) = some(n) else { return Ok(false) };
                let (group, running) = (group % self.groups.len(), runs(task));
                let moved = self.real.set_group(task, self.groups[group], now);
                prop_assert_eq!(moved.is_ok(), !running);
                if moved.is_err() {
                    return Ok(false);
                }
                self.charge_naive();
                self.naive.set_group(task, group, now.0);
            }
            Op::SetPolicy(policy) => {
                let before = self.in_state(|state| state != TaskState::Blocked);
                self.real.set_policy(policy, now).unwrap();
                self.charge_naive();
                self.naive.set_policy(policy, now.0);
                let after = self.in_state(|state| state != TaskState::Blocked);
                prop_assert_eq!(before, after, "nobody is lost and nobody comes twice");
            }
            Op::Block(n) => {
                let Some(task) = some(n) else { return Ok(false) };
                let running = runs(task);
                let blocked = self.real.block(task, now);
                prop_assert_eq!(blocked.is_ok(), !running);
                let Ok(news) = blocked else { return Ok(false) };
                if news {
                    self.charge_naive();
                }
                self.naive.block(task, now.0);
            }
            Op::Wake(n) => {
                let Some(task) = some(n) else { return Ok(false) };
                let blocked = self.real.task(task).unwrap().state == TaskState::Blocked;
                prop_assert_eq!(self.real.wake(task, now), Ok(blocked));
                if blocked {
                    self.charge_naive();
                    self.naive.wake(task, now.0);
                }
            }
            Op::Pick => return self.pick(),
            Op::Charge => return self.charge(),
            Op::PutBack(why) => return self.put_back(why),
            Op::Account(n, observed) => {
                let Some(task) = some(n) else { return Ok(false) };
                let nobody_can_run = self.in_state(|state| state != TaskState::Blocked).is_empty();
                let running = runs(task);
                let accounted = self.real.account(task, observed);
                prop_assert_eq!(accounted.is_ok(), !running);
                if accounted.is_ok() {
                    self.naive.charge(task, observed.runtime.0);
                    self.busy += observed.runtime.0;
                    self.unowed += observed.runtime.0 * u64::from(nobody_can_run);
                }
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn pick(&mut self) -> Result<bool, TestCaseError> {
        let waits = self.in_state(|state| state == TaskState::Waiting);
        let picked = self.real.pick(CPU, self.now);
        prop_assert_eq!(picked.is_ok(), self.running.is_none());
        let Ok(picked) = picked else { return Ok(false) };
        prop_assert_eq!(picked.map(|pick| pick.task), self.naive.pick(self.now.0));
        prop_assert_eq!(picked.is_some(), !waits.is_empty(), "no CPU idles while somebody waits");
        if let Some(pick) = picked {
            prop_assert!(waits.contains(&pick.task), "only those who wait run");
            self.running = Some((pick.task, self.now + pick.slice, self.now));
            self.trace.push((self.now, pick.task));
        }
        Ok(true)
    }

    fn charge(&mut self) -> Result<bool, TestCaseError> {
        let ran = self.real.charge(CPU, self.now);
        prop_assert_eq!(ran.ok(), self.running.map(|(_, _, charged)| self.now.since(charged)));
        self.charge_naive();
        Ok(ran.is_ok())
    }

    fn put_back(&mut self, why: Why) -> Result<bool, TestCaseError> {
        // Charged first, so that the books of one who exits can be read up to its end.
        self.charge()?;
        let runs = self.running.take().map(|(task, ..)| task);
        let books = runs.map(|task| self.real.task(task).unwrap());
        prop_assert_eq!(self.real.put_back(CPU, self.now, why).ok(), runs);
        let (Some(task), Some(books)) = (runs, books) else { return Ok(false) };
        match why {
            Why::Expired => self.naive.put_back(task, Return::Expired, self.now.0),
            Why::Preempted => self.naive.put_back(task, Return::Preempted, self.now.0),
            Why::Yield => self.naive.put_back(task, Return::Yielded, self.now.0),
            Why::Exited => {
                self.naive.remove(task, self.now.0);
                self.gone(task, books);
                prop_assert_eq!(self.real.task(task), Err(SchedError::UnknownTask { task }));
            }
            _ => self.naive.block(task, self.now.0),
        }
        Ok(true)
    }

    fn check(&self, told: bool) -> Result<(), TestCaseError> {
        let stats = self.real.stats();
        prop_assert_eq!(stats.policy, self.naive.policy.name());
        prop_assert_eq!(stats.active, self.adds - self.exits);
        prop_assert!(stats.context_switches >= stats.preemptions);
        prop_assert_eq!(self.real.tasks().count(), self.tasks.len());
        let running = self.in_state(|state| matches!(state, TaskState::Running(_)));
        prop_assert_eq!(running, self.running.map(|(task, ..)| task).into_iter().collect::<Vec<_>>());

        let books: Vec<_> = self.tasks.iter().map(|&task| self.real.task(task).unwrap()).collect();
        let runtimes = books.iter().map(|books| books.runtime.0).sum::<u64>() + self.left.0;
        prop_assert_eq!(runtimes, stats.runtime.0);
        let in_groups = self.groups.iter().map(|&group| self.real.group_stats(group).unwrap().tasks);
        prop_assert_eq!(in_groups.sum::<u32>() as usize, self.tasks.len());
        if told {
            prop_assert_eq!(stats.runtime.0, self.busy, "what was charged is what the CPU was busy");
            let owed = books.iter().map(|books| books.entitled.0).sum::<u64>() + self.left.1;
            let whole = self.busy - self.unowed;
            // Up to a nanosecond for each account closed or read, and what the last division in each group left.
            let rounding =
                2 * (self.calls + self.adds as u64) + self.groups.len() as u64 * (self.adds as u64 * 16 + 16);
            prop_assert!(
                owed <= whole && whole - owed <= rounding + self.closings(),
                "{} of {}",
                owed,
                whole
            );
        }
        Ok(())
    }

    /// Of each that can run: its lag, and how much CPU time a unit of virtual time is for it.
    fn lags(&mut self) -> Vec<(i128, i128)> {
        self.charge().unwrap();
        let members: Vec<_> = self.naive.runnable(0).map(|member| (member.who, member.weight)).collect();
        let lags = members.into_iter().map(|(who, weight)| {
            let Who::Task(task) = who else { unreachable!("there are no groups") };
            (i128::from(self.real.lag_ns(task).unwrap()), weight / 1024 + 1)
        });
        lags.collect()
    }

    /// Changing the policy closes every account once.
    fn closings(&self) -> u64 {
        self.calls * self.adds as u64
    }

    fn gone(&mut self, task: TaskId, books: TaskStats) {
        self.tasks.retain(|&other| other != task);
        self.left.0 += books.runtime.0;
        self.left.1 += books.entitled.0;
        self.exits += 1;
    }

    fn in_state(&self, is: impl Fn(TaskState) -> bool) -> Vec<TaskId> {
        self.tasks.iter().copied().filter(|&task| is(self.real.task(task).unwrap().state)).collect()
    }
}
