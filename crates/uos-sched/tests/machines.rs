//! Random machines: several CPUs, affinities, classes, groups with quotas. There is no reference for what exactly
//! runs; there is for what must never happen.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use proptest::prelude::*;
use uos_sched::{
    Ahead, Class, Cpu, CpuSet, GroupId, GroupSpec, Nanos, Policy, Priority, Quota, Reservation, RtPriority,
    SchedError, Scheduler, Spec, Standing, TaskId, TaskState, Weight, Why,
};

const MS: Nanos = Nanos::from_millis(1);

#[derive(Clone, Debug)]
enum Op {
    Add(Spec),
    AddGroup(usize, GroupSpec),
    SetGroupSpec(usize, GroupSpec),
    MoveGroup(usize, usize),
    DestroyGroup(usize),
    Remove(usize),
    SetWeight(usize, Weight),
    SetPriority(usize, Priority),
    SetClass(usize, Class),
    SetAffinity(usize, CpuSet),
    SetGroup(usize, usize),
    SetPolicy(Policy),
    Block(usize),
    Wake(usize),
    Pick(u32),
    PutBack(u32, Why),
}

fn class() -> impl Strategy<Value = Class> {
    let rt = || (1..4u8).prop_map(|priority| RtPriority::new(priority).unwrap());
    let reservation = (1..20u64, 20..40u64, 40..60u64).prop_map(|(runtime, deadline, period)| {
        Reservation::new(MS * runtime, MS * deadline, MS * period).unwrap()
    });
    prop_oneof![
        8 => Just(Class::Normal),
        1 => Just(Class::Batch),
        1 => Just(Class::Idle),
        1 => rt().prop_map(Class::Fifo),
        1 => rt().prop_map(Class::RoundRobin),
        1 => reservation.prop_map(Class::Deadline),
    ]
}

fn cpus() -> impl Strategy<Value = CpuSet> {
    let some = prop::collection::btree_set((0..5u32).prop_map(Cpu), 0..3).prop_map(CpuSet::from_iter);
    prop_oneof![3 => Just(CpuSet::ALL), 1 => some]
}

fn group_spec() -> impl Strategy<Value = GroupSpec> {
    let quota =
        (5..50u64, 1..30u64).prop_map(|(period, budget)| Quota::new(MS * period, MS * budget).unwrap());
    (1..5_000u32, prop::option::of(quota)).prop_map(|(weight, quota)| {
        let spec = GroupSpec::default().weight(Weight::new(weight).unwrap());
        quota.map_or(spec, |quota| spec.quota(quota))
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    prop::sample::select(vec![Policy::ROUND_ROBIN, Policy::PRIORITY, Policy::FAIR, Policy::EEVDF])
}

fn history() -> impl Strategy<Value = Vec<(u64, Op)>> {
    let (task, group, cpu) = (|| 0..100usize, || 0..4usize, || 0..4u32);
    let weight = || (1..5_000u32).prop_map(|weight| Weight::new(weight).unwrap());
    let spec = (class(), cpus(), weight(), any::<u8>()).prop_map(|(class, cpus, weight, priority)| {
        Spec::default().priority(Priority(priority)).weight(weight).class(class).affinity(cpus)
    });
    let why = prop_oneof![
        6 => Just(Why::Expired),
        1 => Just(Why::Preempted),
        1 => Just(Why::Yield),
        2 => Just(Why::Blocked),
        1 => Just(Why::Exited),
    ];
    let op = prop_oneof![
        6 => spec.prop_map(Op::Add),
        1 => (group(), group_spec()).prop_map(|(group, spec)| Op::AddGroup(group, spec)),
        1 => (group(), group_spec()).prop_map(|(group, spec)| Op::SetGroupSpec(group, spec)),
        1 => (group(), group()).prop_map(|(group, parent)| Op::MoveGroup(group, parent)),
        1 => group().prop_map(Op::DestroyGroup),
        1 => task().prop_map(Op::Remove),
        1 => (task(), weight()).prop_map(|(task, weight)| Op::SetWeight(task, weight)),
        1 => (task(), any::<u8>()).prop_map(|(task, priority)| Op::SetPriority(task, Priority(priority))),
        1 => (task(), class()).prop_map(|(task, class)| Op::SetClass(task, class)),
        1 => (task(), cpus()).prop_map(|(task, cpus)| Op::SetAffinity(task, cpus)),
        2 => (task(), group()).prop_map(|(task, group)| Op::SetGroup(task, group)),
        1 => policy().prop_map(Op::SetPolicy),
        2 => task().prop_map(Op::Block),
        4 => task().prop_map(Op::Wake),
        20 => cpu().prop_map(Op::Pick),
        16 => (cpu(), why).prop_map(|(cpu, why)| Op::PutBack(cpu, why)),
    ];
    prop::collection::vec((prop_oneof![Just(0), 1..3_000u64], op), 1..200)
}

/// How many histories.
fn seeds() -> u32 {
    std::env::var("UOS_CAMPAIGN_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: seeds(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_must_not_happen_does(cpus in 1..=4u32, policy in policy(), history in history()) {
        let mut machine = Machine::new(policy, cpus);
        for (passes, op) in history {
            machine.step(passes, &op)?;
        }
    }
}

struct Machine {
    sched: Scheduler,
    now: Nanos,
    tasks: Vec<TaskId>,
    groups: Vec<GroupId>,
    /// By CPU: who runs, until when, and since when.
    running: Vec<Option<(TaskId, Nanos)>>,
    busy: u64,
    left: u64,
}

impl Machine {
    fn new(policy: Policy, cpus: u32) -> Machine {
        Machine {
            sched: Scheduler::new(policy, cpus).unwrap(),
            now: Nanos::ZERO,
            tasks: Vec::new(),
            groups: vec![GroupId::ROOT],
            running: vec![None; cpus as usize],
            busy: 0,
            left: 0,
        }
    }

    fn step(&mut self, passes: u64, op: &Op) -> Result<(), TestCaseError> {
        let then = Nanos(self.now.0 + passes * 5_000);
        let then = self.running.iter().flatten().fold(then, |then, &(_, end)| then.min(end)).max(self.now);
        self.busy += then.since(self.now).0 * self.running.iter().flatten().count() as u64;
        self.now = then;
        let before = self.tasks.len();
        if self.call(op).is_err() {
            prop_assert_eq!(self.tasks.len(), before);
        }
        self.check(op)
    }

    fn call(&mut self, op: &Op) -> Result<(), SchedError> {
        let now = self.now;
        let some = |n: &usize| self.tasks.get(n % self.tasks.len().max(1)).copied();
        let group = |n: &usize| self.groups[n % self.groups.len()];
        match op {
            Op::Add(spec) => {
                let task = self.sched.add(spec.clone(), now)?;
                self.tasks.push(task);
            }
            Op::AddGroup(parent, spec) => {
                let made = self.sched.create_group(group(parent), *spec)?;
                self.groups.push(made);
            }
            Op::SetGroupSpec(at, spec) => self.sched.set_group_spec(group(at), *spec, now)?,
            Op::MoveGroup(at, parent) => self.sched.move_group(group(at), group(parent), now)?,
            Op::DestroyGroup(at) => {
                let gone = group(at);
                self.sched.destroy_group(gone)?;
                self.groups.retain(|&group| group != gone);
            }
            Op::Remove(n) => {
                if let Some(task) = some(n) {
                    self.left += self.sched.remove(task, now)?.runtime.0;
                    self.tasks.retain(|&other| other != task);
                }
            }
            Op::SetWeight(n, weight) => {
                some(n).map_or(Ok(()), |task| self.sched.set_weight(task, *weight, now))?;
            }
            Op::SetPriority(n, priority) => {
                some(n).map_or(Ok(()), |task| self.sched.set_priority(task, *priority, now))?;
            }
            Op::SetClass(n, class) => {
                some(n).map_or(Ok(()), |task| self.sched.set_class(task, *class, now))?;
            }
            Op::SetAffinity(n, cpus) => {
                if let Some(task) = some(n) {
                    self.sched.set_affinity(task, cpus, now)?;
                }
            }
            Op::SetGroup(n, at) => {
                let at = group(at);
                some(n).map_or(Ok(()), |task| self.sched.set_group(task, at, now))?;
            }
            Op::SetPolicy(policy) => {
                self.sched.set_policy(*policy, now)?;
            }
            Op::Block(n) => {
                some(n).map_or(Ok(false), |task| self.sched.block(task, now))?;
            }
            Op::Wake(n) => {
                some(n).map_or(Ok(false), |task| self.sched.wake(task, now))?;
            }
            Op::Pick(cpu) => {
                let cpu = cpu % self.sched.cpus();
                if let Some(pick) = self.sched.pick(Cpu(cpu), now)? {
                    self.running[cpu as usize] = Some((pick.task, now + pick.slice));
                }
            }
            Op::PutBack(cpu, why) => {
                let cpu = cpu % self.sched.cpus();
                self.sched.charge(Cpu(cpu), now)?;
                let (task, _) = self.running[cpu as usize].take().unwrap();
                let runtime = self.sched.task(task).unwrap().runtime.0;
                assert_eq!(self.sched.put_back(Cpu(cpu), now, *why), Ok(task));
                if *why == Why::Exited {
                    self.left += runtime;
                    self.tasks.retain(|&other| other != task);
                }
            }
        }
        Ok(())
    }

    fn check(&mut self, op: &Op) -> Result<(), TestCaseError> {
        let stats = self.sched.stats();
        prop_assert_eq!(stats.active, self.tasks.len());
        prop_assert_eq!(self.sched.tasks().count(), self.tasks.len());
        let mut running = Vec::new();
        for &task in &self.tasks {
            let books = self.sched.task(task).unwrap();
            if let TaskState::Running(cpu) = books.state {
                prop_assert_eq!(self.running[cpu.0 as usize].map(|(task, _)| task), Some(task));
                running.push(task);
            }
        }
        prop_assert_eq!(running.len(), self.running.iter().flatten().count(), "each runs on one CPU");
        self.check_time()?;
        if let Op::Pick(cpu) = op {
            self.check_pick(Cpu(cpu % self.sched.cpus()))?;
        }
        Ok(())
    }

    /// What was charged is what the CPUs were busy.
    fn check_time(&mut self) -> Result<(), TestCaseError> {
        // A refused call has not moved the scheduler's time.
        for cpu in 0..self.sched.cpus() {
            let _ = self.sched.charge(Cpu(cpu), self.now);
        }
        let books = self.tasks.iter().map(|&task| self.sched.task(task).unwrap());
        let sum = books.map(|books| books.runtime.0).sum::<u64>() + self.left;
        prop_assert_eq!(sum, self.busy);
        prop_assert_eq!(self.sched.stats().runtime.0, self.busy);
        Ok(())
    }

    fn check_pick(&mut self, cpu: Cpu) -> Result<(), TestCaseError> {
        let waiting: Vec<TaskId> = self
            .tasks
            .iter()
            .copied()
            .filter(|&task| self.sched.task(task).unwrap().state == TaskState::Waiting)
            .collect();
        let allowed = |sched: &Scheduler, task: TaskId| sched.affinity(task).unwrap().contains(cpu);
        let Some((picked, _)) = self.running[cpu.0 as usize] else {
            // Nobody was there to be picked: whoever waits is elsewhere bound, or out of budget.
            for task in waiting {
                if allowed(&self.sched, task) {
                    let standing = self.sched.explain(task).unwrap();
                    let out = matches!(standing, Standing::Waiting { ahead: Ahead::Throttled { .. }, .. });
                    prop_assert!(out, "an idle CPU, and {task} waits: {standing:?}");
                }
            }
            return Ok(());
        };
        prop_assert!(allowed(&self.sched, picked) || self.sched.preempts(cpu, self.now).unwrap());
        Ok(())
    }
}
