//! `switch` is `put_back` and then `pick`: two schedulers live through the same history, one by each, and must agree
//! about everything that can be asked.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use proptest::prelude::*;
use uos_sched::{
    Class, Cpu, CpuSet, GroupId, GroupSpec, Nanos, Pick, Policy, Priority, Quantum, Quota, Reservation,
    RtPriority, SchedError, Scheduler, Spec, Switch, TaskId, Weight, Why,
};

#[derive(Clone, Copy, Debug)]
enum Op {
    Add { weight: u32, priority: u8, kind: u8 },
    Remove(usize),
    Block(usize),
    Wake(usize),
    Narrow(usize, u32),
    SetPolicy(Policy),
    Pick(u32),
    PutBack(u32, Why),
    Switch(u32, Why),
}

fn policies() -> Vec<Policy> {
    let slice = Quantum::new(Nanos::from_millis(10)).unwrap();
    let aged = Policy::Priority { quantum: slice, ageing: Some(slice) };
    vec![Policy::ROUND_ROBIN, Policy::PRIORITY, aged, Policy::FAIR, Policy::EEVDF]
}

fn history() -> impl Strategy<Value = Vec<(u64, Op)>> {
    let why = prop::sample::select(vec![
        Why::Expired,
        Why::Expired,
        Why::Expired,
        Why::Preempted,
        Why::Yield,
        Why::Blocked,
        Why::Exited,
    ]);
    let (task, cpu) = (|| 0..50usize, || 0..3u32);
    // Most are plain, so that the short way is gone most often.
    let kind = prop_oneof![6 => Just(0u8), 1 => 1..8u8];
    let op = prop_oneof![
        5 => (1..5_000u32, 100..140u8, kind).prop_map(|(weight, priority, kind)| Op::Add { weight, priority, kind }),
        1 => task().prop_map(Op::Remove),
        2 => task().prop_map(Op::Block),
        4 => task().prop_map(Op::Wake),
        1 => (task(), cpu()).prop_map(|(task, cpu)| Op::Narrow(task, cpu)),
        1 => prop::sample::select(policies()).prop_map(Op::SetPolicy),
        8 => cpu().prop_map(Op::Pick),
        2 => (cpu(), why.clone()).prop_map(|(cpu, why)| Op::PutBack(cpu, why)),
        20 => (cpu(), why).prop_map(|(cpu, why)| Op::Switch(cpu, why)),
    ];
    prop::collection::vec((prop_oneof![Just(0), 1..15_000_000u64], op), 1..200)
}

/// What the switch is said to be.
fn by_steps(sched: &mut Scheduler, cpu: Cpu, now: Nanos, why: Why) -> Result<Switch, SchedError> {
    let from = sched.put_back(cpu, now, why)?;
    let to: Option<Pick> = sched.pick(cpu, now)?;
    Ok(Switch { from, to })
}

fn spec(weight: u32, priority: u8, kind: u8, group: Option<GroupId>) -> Spec {
    let plain = Spec::default().weight(Weight::new(weight).unwrap()).priority(Priority(priority));
    let ms = Nanos::from_millis;
    match (kind, group) {
        (1, _) => plain.class(Class::Idle),
        (2, _) => plain.class(Class::Fifo(RtPriority::new(5).unwrap())),
        (3, _) => plain.class(Class::RoundRobin(RtPriority::new(7).unwrap())),
        (4, _) => plain.class(Class::Deadline(Reservation::new(ms(1), ms(8), ms(20)).unwrap())),
        (5, _) => plain.slice(Quantum::new(ms(3)).unwrap()),
        (6 | 7, Some(group)) => plain.group(group),
        _ => plain,
    }
}

/// Everything both can be asked.
fn books(sched: &mut Scheduler, tasks: &[TaskId], cpus: u32) -> String {
    let tasks = tasks.iter().map(|&task| {
        let (lag, standing) = (sched.lag_ns(task), sched.explain(task));
        format!("{:?} {lag:?} {standing:?}\n", sched.task(task))
    });
    let tasks: String = tasks.collect();
    let current: Vec<_> = (0..cpus).map(|cpu| sched.current(Cpu(cpu))).collect();
    format!("{tasks}{:?}\n{:?}\n{current:?}\n{:?}", sched.stats(), sched.wait_times(), sched.next_event())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn switching_is_putting_back_and_picking(
        policy in prop::sample::select(policies()),
        cpus in prop_oneof![3 => Just(1u32), 1 => 2..4u32],
        grouped in prop_oneof![3 => Just(false), 1 => Just(true)],
        history in history(),
    ) {
        let mut pair = [Scheduler::new(policy, cpus).unwrap(), Scheduler::new(policy, cpus).unwrap()];
        let quota = Quota::new(Nanos::from_millis(100), Nanos::from_millis(30)).unwrap();
        let group = grouped.then(|| {
            let made = pair.each_mut().map(|sched| {
                sched.create_group(GroupId::ROOT, GroupSpec::default().quota(quota)).unwrap()
            });
            assert_eq!(made[0], made[1]);
            made[0]
        });
        let (mut tasks, mut now) = (Vec::<TaskId>::new(), Nanos::ZERO);
        for (passed, op) in history {
            now = now + Nanos(passed);
            let at = |at: usize| tasks.get(at % tasks.len().max(1)).copied();
            let one = |sched: &mut Scheduler, switches: bool| match op {
                Op::Add { weight, priority, kind } => {
                    format!("{:?}", sched.add(spec(weight, priority, kind, group), now))
                }
                Op::Remove(task) => format!("{:?}", at(task).map(|task| sched.remove(task, now))),
                Op::Block(task) => format!("{:?}", at(task).map(|task| sched.block(task, now))),
                Op::Wake(task) => format!("{:?}", at(task).map(|task| sched.wake(task, now))),
                Op::Narrow(task, cpu) => {
                    let only = CpuSet::only(Cpu(cpu));
                    format!("{:?}", at(task).map(|task| sched.set_affinity(task, &only, now)))
                }
                Op::SetPolicy(policy) => format!("{:?}", sched.set_policy(policy, now)),
                Op::Pick(cpu) => format!("{:?}", sched.pick(Cpu(cpu), now)),
                Op::PutBack(cpu, why) => format!("{:?}", sched.put_back(Cpu(cpu), now, why)),
                Op::Switch(cpu, why) if switches => format!("{:?}", sched.switch(Cpu(cpu), now, why)),
                Op::Switch(cpu, why) => format!("{:?}", by_steps(sched, Cpu(cpu), now, why)),
            };
            let [first, second] = &mut pair;
            let (ours, reference) = (one(first, true), one(second, false));
            prop_assert_eq!(ours, reference, "{:?} at {:?}", op, now);
            tasks = first.tasks().collect();
            let (ours, reference) = (books(first, &tasks, cpus), books(second, &tasks, cpus));
            prop_assert_eq!(ours, reference, "after {:?} at {:?}", op, now);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// The queues of many are others than those of a few, and are only seen to be right once all have gone round.
    #[test]
    fn so_it_is_in_a_crowd(
        policy in prop::sample::select(policies()),
        weights in prop::collection::vec(prop_oneof![1..20u32, 1..=1u32 << 20], 70..400),
        steps in prop::collection::vec((prop_oneof![Just(0), 1..15_000_000u64], 0..12u8, any::<usize>()), 1..1_500),
    ) {
        let mut pair = [Scheduler::new(policy, 1).unwrap(), Scheduler::new(policy, 1).unwrap()];
        let (mut now, cpu) = (Nanos::ZERO, Cpu(0));
        let mut tasks = Vec::new();
        for sched in &mut pair {
            let add = |&weight: &u32| sched.add(Weight::new(weight).unwrap(), now).unwrap();
            tasks = weights.iter().map(add).collect();
            sched.pick(cpu, now).unwrap();
        }
        for (passed, what, at) in steps {
            now = now + Nanos(passed);
            let task = tasks[at % tasks.len()];
            let one = |sched: &mut Scheduler, switches: bool| match what {
                0 => format!("{:?}", sched.block(task, now)),
                1 => format!("{:?}", sched.wake(task, now)),
                _ => {
                    let why = [Why::Expired, Why::Preempted, Why::Yield][usize::from(what).saturating_sub(8) % 3];
                    let switched =
                        if switches { sched.switch(cpu, now, why) } else { by_steps(sched, cpu, now, why) };
                    format!("{switched:?}")
                }
            };
            let [first, second] = &mut pair;
            prop_assert_eq!(one(first, true), one(second, false));
        }
        let [first, second] = &mut pair;
        prop_assert_eq!(books(first, &tasks, 1), books(second, &tasks, 1));
    }
}

#[test]
fn a_switch_that_is_refused_changes_nothing() {
    let mut sched = Scheduler::new(Policy::ROUND_ROBIN, 1).unwrap();
    let task = sched.add(Weight::DEFAULT, Nanos(5)).unwrap();
    assert!(matches!(
        sched.switch(Cpu(0), Nanos(5), Why::Expired),
        Err(SchedError::NotRunning { cpu: Cpu(0) })
    ));
    assert!(matches!(
        sched.switch(Cpu(1), Nanos(5), Why::Expired),
        Err(SchedError::NoSuchCpu { cpus: 1, .. })
    ));
    sched.pick(Cpu(0), Nanos(7)).unwrap();
    let back = sched.switch(Cpu(0), Nanos(6), Why::Expired);
    assert!(matches!(back, Err(SchedError::TimeWentBack { from: Nanos(7), to: Nanos(6) })));
    assert_eq!(sched.current(Cpu(0)).unwrap().map(|(task, _)| task), Some(task));
    let alone = sched.switch(Cpu(0), Nanos(9), Why::Expired).unwrap();
    assert_eq!((alone.from, alone.to.map(|pick| pick.task)), (task, Some(task)));
    let last = sched.switch(Cpu(0), Nanos(9), Why::Exited).unwrap();
    assert_eq!((last.from, last.to), (task, None));
    assert_eq!(sched.stats().runtime, Nanos(2));
}

#[test]
fn time_has_an_end_that_can_be_reached() {
    let end = Nanos(u64::MAX);
    for policy in [Policy::ROUND_ROBIN, Policy::PRIORITY, Policy::FAIR, Policy::EEVDF] {
        let mut sched = Scheduler::new(policy, 1).unwrap();
        let task = sched.add(Weight::DEFAULT, Nanos(0)).unwrap();
        sched.pick(Cpu(0), Nanos(u64::MAX - 5)).unwrap();
        let switch = sched.switch(Cpu(0), end, Why::Expired).unwrap();
        assert_eq!((switch.from, switch.to.map(|pick| pick.task)), (task, Some(task)));
        sched.put_back(Cpu(0), end, Why::Exited).unwrap();
        assert_eq!(sched.stats().runtime, Nanos(5));
    }
}
