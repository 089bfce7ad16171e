//! Strict classes, quotas, groups, several CPUs and explanations, in plain scenarios.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use uos_sched::{
    Ahead, Class, Cpu, CpuSet, GroupId, GroupSpec, Nanos, Policy, Priority, Quantum, Quota, Reservation,
    RtPriority, SchedError, Scheduler, Spec, Standing, TaskId, TaskState, Weight, Why,
};

const CPU: Cpu = Cpu(0);
const MS: Nanos = Nanos::from_millis(1);

fn one(policy: Policy) -> Scheduler {
    Scheduler::new(policy, 1).unwrap()
}

fn fifo(priority: u8) -> Spec {
    Spec::default().class(Class::Fifo(RtPriority::new(priority).unwrap()))
}

fn reserve(runtime: u64, deadline: u64, period: u64) -> Result<Spec, SchedError> {
    let reservation = Reservation::new(MS * runtime, MS * deadline, MS * period)?;
    Ok(Spec::default().class(Class::Deadline(reservation)))
}

/// Lets every CPU go on picking until this time; slices are kept to, and nobody blocks.
fn run(sched: &mut Scheduler, from: Nanos, to: Nanos) {
    let mut now = from;
    while now < to {
        let mut next = to;
        for cpu in (0..sched.cpus()).map(Cpu) {
            if let Some(pick) = sched.pick(cpu, now).unwrap() {
                next = next.min(now + pick.slice);
            }
        }
        next = sched.next_event().filter(|&at| at > now).map_or(next, |at| next.min(at));
        for cpu in (0..sched.cpus()).map(Cpu) {
            if let Some((_, until)) = sched.current(cpu).unwrap() {
                let why = if until <= next { Why::Expired } else { Why::Preempted };
                sched.put_back(cpu, next, why).unwrap();
            }
        }
        now = next;
    }
}

fn ran(sched: &Scheduler, task: TaskId) -> Nanos {
    sched.task(task).unwrap().runtime
}

/// Periodic jobs that need all they reserved, up to the admitted limit: each is done by its deadline.
#[test]
fn admitted_deadlines_on_one_cpu_are_met() {
    for jobs in
        [&[(2, 10, 10), (15, 50, 50), (40, 100, 100)][..], &[(3, 5, 10), (3, 10, 10)], &[(19, 20, 20)]]
    {
        let mut sched = one(Policy::FAIR);
        let busy = sched.add(Weight::DEFAULT, Nanos::ZERO).unwrap();
        let tasks = jobs.iter().map(|&(q, d, p)| sched.add(reserve(q, d, p).unwrap(), Nanos::ZERO).unwrap());
        let tasks: Vec<TaskId> = tasks.collect();
        let (mut left, mut now): (Vec<u64>, u64) = (jobs.iter().map(|job| job.0 * 1_000_000).collect(), 0);
        while now < 3_000_000_000 {
            for (at, &(q, _, p)) in jobs.iter().enumerate() {
                if now > 0 && now % (p * 1_000_000) == 0 {
                    assert_eq!(left[at], 0, "{jobs:?}: the job of {at} before {now} ns was not done in time");
                    left[at] = q * 1_000_000;
                    sched.wake(tasks[at], Nanos(now)).unwrap();
                }
            }
            let pick = sched.pick(CPU, Nanos(now)).unwrap().unwrap();
            let at = tasks.iter().position(|&task| task == pick.task);
            // To the next release at the latest, since that may preempt.
            let release = (now / 1_000_000 + 1) * 1_000_000;
            let need = at.map_or(u64::MAX, |at| left[at]);
            let end = (now + pick.slice.0.min(need)).min(release);
            if let Some(at) = at {
                left[at] -= end - now;
                let into = end % (jobs[at].2 * 1_000_000);
                let in_time =
                    into == 0 && jobs[at].1 == jobs[at].2 || into <= jobs[at].1 * 1_000_000 && into > 0;
                assert!(left[at] > 0 || in_time, "{jobs:?}: {at} was done at {end} ns, too late");
            }
            let done = at.is_some_and(|at| left[at] == 0);
            sched.put_back(CPU, Nanos(end), if done { Why::Blocked } else { Why::Preempted }).unwrap();
            now = end;
        }
        let sum: u64 = tasks.iter().map(|&task| ran(&sched, task).0).sum();
        assert_eq!(sum + ran(&sched, busy).0, now, "no time is lost");
    }
}

#[test]
fn a_deadline_task_gets_no_more_than_it_reserved() {
    let mut sched = one(Policy::FAIR);
    let greedy = sched.add(reserve(3, 10, 10).unwrap(), Nanos::ZERO).unwrap();
    let other = sched.add(Weight::DEFAULT, Nanos::ZERO).unwrap();
    run(&mut sched, Nanos::ZERO, MS * 995);
    assert_eq!((ran(&sched, greedy), ran(&sched, other)), (MS * 300, MS * 695));
    assert_eq!(sched.task(greedy).unwrap().state, TaskState::Throttled);
    let until = MS * 1_000;
    let throttled = Ahead::Throttled { group: None, until };
    assert!(matches!(sched.explain(greedy).unwrap(), Standing::Waiting { ahead, .. } if ahead == throttled));
}

#[test]
fn what_could_not_be_kept_is_not_admitted() {
    let mut sched = Scheduler::new(Policy::FAIR, 2).unwrap();
    let add = |sched: &mut Scheduler, spec| sched.add(spec, Nanos::ZERO);
    let pinned = |spec: Spec| spec.affinity(CpuSet::only(CPU));
    add(&mut sched, pinned(reserve(60, 100, 100).unwrap())).unwrap();
    let overload = SchedError::Overload { asked_ppm: 400_000, free_ppm: 350_000 };
    assert_eq!(add(&mut sched, pinned(reserve(40, 100, 100).unwrap())), Err(overload), "95 % of its CPU");
    add(&mut sched, pinned(reserve(35, 100, 100).unwrap())).unwrap();
    add(&mut sched, reserve(90, 100, 100).unwrap()).unwrap();
    assert!(matches!(add(&mut sched, reserve(10, 100, 100).unwrap()), Err(SchedError::Overload { .. })));
    let normal = sched.add(Weight::DEFAULT, Nanos::ZERO).unwrap();
    let class = Class::Deadline(Reservation::new(MS * 10, MS * 100, MS * 100).unwrap());
    assert!(matches!(sched.set_class(normal, class, Nanos::ZERO), Err(SchedError::Overload { .. })));
    assert_eq!(sched.task(normal).unwrap().class, Class::Normal);
    assert!(
        matches!(reserve(5, 20, 10), Err(SchedError::BadReservation { .. })),
        "a deadline above its period"
    );
}

#[test]
fn real_time_goes_first_and_leaves_the_rest_a_twentieth() {
    let mut sched = one(Policy::FAIR);
    let normal = sched.add(Weight::MAX, Nanos::ZERO).unwrap();
    let [low, high] = [5, 50].map(|priority| sched.add(fifo(priority), Nanos::ZERO).unwrap());
    run(&mut sched, Nanos::ZERO, MS * 10_000);
    assert_eq!(
        (ran(&sched, high), ran(&sched, low), ran(&sched, normal)),
        (MS * 9_500, Nanos::ZERO, MS * 500)
    );
    // With nobody to be kept alive the cap is nobody's gain.
    sched.block(normal, MS * 10_000).unwrap();
    run(&mut sched, MS * 10_000, MS * 11_000);
    assert_eq!(ran(&sched, high), MS * 10_500);
}

#[test]
fn real_time_round_robin_takes_turns_among_equals() {
    let mut sched = one(Policy::FAIR.with_slice(Quantum::DEFAULT));
    let spec = Spec::default().class(Class::RoundRobin(RtPriority::new(7).unwrap()));
    let tasks = [(); 3].map(|()| sched.add(spec.clone(), Nanos::ZERO).unwrap());
    run(&mut sched, Nanos::ZERO, MS * 90);
    assert!(tasks.iter().all(|&task| ran(&sched, task) == MS * 30));
}

#[test]
fn idle_tasks_run_when_nobody_else_wants_to() {
    let mut sched = one(Policy::EEVDF);
    let idle = sched.add(Spec::default().class(Class::Idle), Nanos::ZERO).unwrap();
    let normal = sched.add(Weight::MIN, Nanos::ZERO).unwrap();
    run(&mut sched, Nanos::ZERO, MS * 100);
    assert_eq!((ran(&sched, idle), ran(&sched, normal)), (Nanos::ZERO, MS * 100));
    let standing = sched.explain(idle).unwrap();
    assert!(matches!(standing, Standing::Waiting { ahead: Ahead::Class { task }, .. } if task == normal));
    sched.block(normal, MS * 100).unwrap();
    run(&mut sched, MS * 100, MS * 150);
    assert_eq!(ran(&sched, idle), MS * 50);
    assert_eq!(sched.pick(CPU, MS * 150).unwrap().unwrap().task, idle);
    sched.wake(normal, MS * 151).unwrap();
    assert!(sched.preempts(CPU, MS * 151).unwrap());
}

#[test]
fn a_higher_priority_preempts_and_a_lower_one_never_runs_beside_it() {
    let mut sched = one(Policy::PRIORITY);
    let [low, high] = [100, 101].map(|level| sched.add(Priority(level), Nanos::ZERO).unwrap());
    sched.block(high, Nanos::ZERO).unwrap();
    assert_eq!(sched.pick(CPU, Nanos::ZERO).unwrap().unwrap().task, low);
    sched.wake(high, MS).unwrap();
    assert!(sched.preempts(CPU, MS).unwrap());
    sched.put_back(CPU, MS, Why::Preempted).unwrap();
    run(&mut sched, MS, MS * 1_000);
    assert_eq!((ran(&sched, low), ran(&sched, high)), (MS, MS * 999));
    let because = Ahead::Priority { task: high, theirs: 101, own: 100 };
    assert!(matches!(sched.explain(low).unwrap(), Standing::Waiting { ahead, .. } if ahead == because));
}

#[test]
fn a_batch_task_waits_for_the_end_of_a_slice_and_has_its_share() {
    for policy in [Policy::PRIORITY, Policy::FAIR, Policy::EEVDF] {
        for (class, preempts) in [(Class::Normal, true), (Class::Batch, false)] {
            let mut sched = one(policy);
            let short = Quantum::new(MS).unwrap();
            let spec = Spec::default().priority(Priority(200)).slice(short).class(class);
            let (_, woken) =
                (sched.add(Spec::default(), Nanos::ZERO).unwrap(), sched.add(spec, Nanos::ZERO).unwrap());
            assert_eq!(sched.task(woken).unwrap().class, class);
            sched.block(woken, Nanos::ZERO).unwrap();
            run(&mut sched, Nanos::ZERO, MS * 100);
            sched.pick(Cpu(0), MS * 100).unwrap().unwrap();
            sched.wake(woken, MS * 102).unwrap();
            assert_eq!(sched.preempts(Cpu(0), MS * 103).unwrap(), preempts, "{policy:?} {class:?}");
            let to = sched.switch(Cpu(0), MS * 104, Why::Expired).unwrap().to.unwrap();
            assert_eq!(to.task, woken, "{policy:?}: but then it is its turn");
        }
    }
}

#[test]
fn ageing_lets_the_lowest_run_at_last() {
    let step = Quantum::new(MS * 10).unwrap();
    let mut sched = one(Policy::Priority { quantum: step, ageing: Some(step) });
    let low = sched.add(Priority(100), Nanos::ZERO).unwrap();
    let high = sched.add(Priority(110), Nanos::ZERO).unwrap();
    run(&mut sched, Nanos::ZERO, MS * 1_200);
    // Ten levels are ten steps of waiting; then it has its turn, and waits again.
    assert!((MS * 90..=MS * 110).contains(&ran(&sched, low)), "{}", ran(&sched, low));
    assert_eq!(ran(&sched, low).0 + ran(&sched, high).0, MS.0 * 1_200);
}

#[test]
fn groups_share_by_weight_whatever_is_in_them() {
    for policy in [Policy::FAIR, Policy::EEVDF] {
        let mut sched = one(policy);
        let weight = |weight| GroupSpec::default().weight(Weight::new(weight).unwrap());
        let gold = sched.create_group(GroupId::ROOT, weight(3072)).unwrap();
        let silver = sched.create_group(GroupId::ROOT, weight(1024)).unwrap();
        sched.add(Spec::default().group(gold), Nanos::ZERO).unwrap();
        let many = [(); 9].map(|()| sched.add(Spec::default().group(silver), Nanos::ZERO).unwrap());
        run(&mut sched, Nanos::ZERO, MS * 36_000);
        let part = |group| sched.group_stats(group).unwrap().runtime;
        assert!(part(gold).0.abs_diff(MS.0 * 27_000) <= 2 * MS.0 * 4, "{}", part(gold));
        for task in many {
            let books = sched.task(task).unwrap();
            assert!(books.runtime.0.abs_diff(MS.0 * 1_000) <= 2 * MS.0 * 4, "{policy:?} {books:?}");
            assert!(books.entitled.0.abs_diff(MS.0 * 1_000) <= 1_000, "{books:?}");
        }
    }
}

#[test]
fn a_quota_is_kept_in_every_period_and_a_burst_is_saved() {
    let mut sched = one(Policy::FAIR);
    let quota = Quota::new(MS * 100, MS * 20).unwrap();
    let group = sched.create_group(GroupId::ROOT, GroupSpec::default().quota(quota)).unwrap();
    let inside = sched.add(Spec::default().group(group), Nanos::ZERO).unwrap();
    let mut before = Nanos::ZERO;
    for period in 0..20 {
        run(&mut sched, MS * (100 * period), MS * (100 * (period + 1)));
        let used = ran(&sched, inside).since(before);
        assert_eq!(used, MS * 20, "alone on the CPU, and in period {period}");
        before = ran(&sched, inside);
    }
    let until = sched.group_stats(group).unwrap().throttled_until.unwrap();
    let throttled = Ahead::Throttled { group: Some(group), until };
    assert!(matches!(sched.explain(inside).unwrap(), Standing::Waiting { ahead, .. } if ahead == throttled));
    // Asleep for a second it saves up no more than the burst.
    sched.set_group_spec(group, GroupSpec::default().quota(quota.burst(MS * 15)), MS * 2_000).unwrap();
    sched.block(inside, MS * 2_000).unwrap();
    sched.wake(inside, MS * 3_000).unwrap();
    run(&mut sched, MS * 3_000, MS * 3_100);
    assert_eq!(ran(&sched, inside).since(before), MS * 35);
}

#[test]
fn groups_keep_to_their_shape() {
    let mut sched = one(Policy::FAIR);
    let spec = GroupSpec::default();
    let mut chain = vec![GroupId::ROOT];
    for _ in 0..Scheduler::MAX_DEPTH {
        let next = sched.create_group(*chain.last().unwrap(), spec).unwrap();
        chain.push(next);
    }
    let (top, bottom) = (chain[1], chain[8]);
    let max = Scheduler::MAX_DEPTH;
    assert_eq!(sched.create_group(bottom, spec), Err(SchedError::GroupTooDeep { max }));
    let cycle = SchedError::GroupCycle { group: top, parent: bottom };
    assert_eq!(sched.move_group(top, bottom, Nanos::ZERO), Err(cycle));
    assert_eq!(sched.move_group(GroupId::ROOT, top, Nanos::ZERO), Err(SchedError::RootGroup));
    assert_eq!(sched.destroy_group(top), Err(SchedError::GroupNotEmpty { group: top, tasks: 0, groups: 1 }));
    let other = sched.create_group(GroupId::ROOT, spec).unwrap();
    assert_eq!(sched.move_group(top, other, Nanos::ZERO), Err(SchedError::GroupTooDeep { max }));
    let task = sched.add(Spec::default().group(bottom), Nanos::ZERO).unwrap();
    assert_eq!(sched.pick(CPU, Nanos::ZERO).unwrap().unwrap().task, task);
    let running = SchedError::GroupRunning { group: chain[7], cpu: CPU };
    assert_eq!(sched.move_group(chain[7], other, MS), Err(running));
    sched.put_back(CPU, MS, Why::Expired).unwrap();
    sched.move_group(chain[7], other, MS).unwrap();
    run(&mut sched, MS, MS * 10);
    assert_eq!(ran(&sched, task), MS * 10);
    sched.remove(task, MS * 10).unwrap();
    sched.destroy_group(bottom).unwrap();
    let gone = SchedError::UnknownGroup { group: bottom };
    assert_eq!(sched.add(Spec::default().group(bottom), MS * 10), Err(gone));
}

#[test]
fn affinities_are_kept_to_and_bad_ones_refused() {
    let mut sched = Scheduler::new(Policy::FAIR, 2).unwrap();
    let task = sched.add(Spec::default().affinity(CpuSet::only(Cpu(1))), Nanos::ZERO).unwrap();
    assert_eq!(sched.pick(CPU, Nanos::ZERO).unwrap(), None);
    assert_eq!(sched.pick(Cpu(1), Nanos::ZERO).unwrap().unwrap().task, task);
    assert_eq!(sched.set_affinity(task, &CpuSet::from_iter([]), MS), Err(SchedError::EmptyAffinity));
    let nowhere = CpuSet::only(Cpu(2));
    assert_eq!(sched.set_affinity(task, &nowhere, MS), Err(SchedError::NoAllowedCpu { cpus: 2 }));
    assert!(!sched.preempts(Cpu(1), MS).unwrap());
    sched.set_affinity(task, &CpuSet::only(CPU), MS).unwrap();
    assert!(sched.preempts(Cpu(1), MS).unwrap(), "it must go");
    sched.put_back(Cpu(1), MS * 2, Why::Preempted).unwrap();
    assert_eq!(sched.pick(Cpu(1), MS * 2).unwrap(), None);
    assert_eq!(sched.pick(CPU, MS * 2).unwrap().unwrap().task, task);
}

/// No division of three among two is fair; taking turns on the crowded CPU is.
#[test]
fn several_cpus_serve_alike_whom_they_cannot_divide() {
    for policy in [Policy::FAIR, Policy::EEVDF, Policy::ROUND_ROBIN] {
        for (cpus, count) in [(2, 3), (4, 5), (4, 6), (3, 10)] {
            let mut sched = Scheduler::new(policy, cpus).unwrap();
            let tasks = (0..count).map(|_| sched.add(Weight::DEFAULT, Nanos::ZERO).unwrap());
            let tasks: Vec<TaskId> = tasks.collect();
            run(&mut sched, Nanos::ZERO, MS * 20_000);
            let got: Vec<f64> = tasks.iter().map(|&task| ran(&sched, task).0 as f64).collect();
            let (sum, squares) = got.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
            assert_eq!(sum, f64::from(cpus) * 20e9, "no CPU was idle");
            let jain = sum * sum / (squares * got.len() as f64);
            assert!(jain >= 0.999, "{policy:?}, {count} on {cpus}: {jain} {got:?}");
        }
    }
}

#[test]
fn the_policy_changes_while_tasks_run_and_everybody_goes_on() {
    let mut sched = one(Policy::ROUND_ROBIN);
    let tasks = [1, 2, 4].map(|weight| sched.add(Weight::new(weight * 512).unwrap(), Nanos::ZERO).unwrap());
    let mut now = Nanos::ZERO;
    for policy in
        [Policy::FAIR, Policy::PRIORITY, Policy::EEVDF, Policy::ROUND_ROBIN, Policy::EEVDF, Policy::FAIR]
    {
        let before = tasks.map(|task| ran(&sched, task));
        let end = now + MS * 7_000;
        run(&mut sched, now, end);
        let had: Vec<u64> =
            tasks.iter().zip(before).map(|(&task, before)| ran(&sched, task).since(before).0).collect();
        assert_eq!(had.iter().sum::<u64>(), 7_000_000_000);
        assert!(had.iter().all(|&had| had >= 950_000_000), "before {policy:?}: {had:?}");
        assert_eq!(sched.set_policy(policy, end), Ok(3));
        now = end;
    }
}

#[test]
fn an_explanation_names_who_is_before_and_by_how_much() {
    let mut sched = one(Policy::FAIR);
    let [first, second, third] = [(); 3].map(|()| sched.add(Weight::DEFAULT, Nanos::ZERO).unwrap());
    assert_eq!(sched.pick(CPU, Nanos::ZERO).unwrap().unwrap().task, first);
    assert_eq!(
        sched.explain(first),
        Ok(Standing::Running { cpu: CPU, until: MS * 4, next: Some(second), lag_ns: 0 })
    );
    let behind = Some((first, MS * 4));
    let waiting = |ahead| Standing::Waiting { cpu: CPU, since: Nanos::ZERO, behind, ahead, lag_ns: 0 };
    assert_eq!(sched.explain(second), Ok(waiting(Ahead::Nothing)));
    assert_eq!(sched.explain(third), Ok(waiting(Ahead::Share { task: second, by: Nanos::ZERO })));
    sched.put_back(CPU, MS * 4, Why::Expired).unwrap();
    let Standing::Waiting { ahead, behind: None, lag_ns, .. } = sched.explain(first).unwrap() else {
        panic!("it waits")
    };
    assert_eq!((ahead, lag_ns), (Ahead::Share { task: second, by: MS * 4 }, -4_000_000));
    sched.set_policy(Policy::ROUND_ROBIN, MS * 4).unwrap();
    let Standing::Waiting { ahead, .. } = sched.explain(first).unwrap() else { panic!("it waits") };
    assert_eq!(ahead, Ahead::Turn { task: second, before: 2 });
}

#[test]
fn a_short_slice_means_less_waiting_at_the_same_share() {
    let slice = |length| Spec::default().slice(Quantum::new(length).unwrap());
    let mut sched = one(Policy::EEVDF.with_slice(Quantum::new(MS * 20).unwrap()));
    for _ in 0..4 {
        sched.add(Weight::DEFAULT, Nanos::ZERO).unwrap();
    }
    let quick = sched.add(slice(MS * 2), Nanos::ZERO).unwrap();
    run(&mut sched, Nanos::ZERO, MS * 10_000);
    let quick = sched.task(quick).unwrap();
    assert!(quick.runtime.0.abs_diff(MS.0 * 2_000) <= MS.0 * 20, "{quick:?}");
    let mean = quick.waited.0 / quick.waits;
    assert!(mean <= MS.0 * 20, "it waits {mean} ns for each turn, and others 80 ms");
}

/// A list keeps its neighbours where a heap keeps the stamp of its entry; neither may be taken for the other.
#[test]
fn the_remains_of_a_task_in_a_queue_are_not_taken_for_its_slots_next_tenant() {
    for policy in [Policy::FAIR, Policy::EEVDF] {
        let mut sched = one(policy);
        let first = [(); 6].map(|()| sched.add(Weight::DEFAULT, Nanos::ZERO).unwrap());
        for task in first.into_iter().rev() {
            sched.remove(task, Nanos::ZERO).unwrap();
        }
        let idle = [(); 6].map(|()| sched.add(Spec::default().class(Class::Idle), Nanos::ZERO).unwrap());
        run(&mut sched, Nanos::ZERO, MS * 400);
        assert!(idle.iter().all(|&task| ran(&sched, task) >= MS * 64), "{policy:?}");
    }
}
