//! What each policy promises, in plain scenarios.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use uos_sched::{
    Cpu, Nanos, Observed, Policy, Priority, Quantum, Scheduler, Share, Spec, TaskId, TaskState, Weight, Why,
};

const MS: Nanos = Nanos::from_millis(1);

/// A scheduler on one CPU with busy tasks of these weights.
fn busy(policy: Policy, weights: &[u32]) -> (Scheduler, Vec<TaskId>) {
    let mut sched = Scheduler::new(policy, 1).unwrap();
    let weights = weights.iter().map(|&weight| Weight::new(weight).unwrap());
    let tasks = weights.map(|weight| sched.add(weight, Nanos::ZERO).unwrap()).collect();
    (sched, tasks)
}

/// Lets this many slices run to their end; who ran, in order.
fn rounds(sched: &mut Scheduler, now: &mut Nanos, slices: usize) -> Vec<TaskId> {
    let one = |_| {
        let pick = sched.pick(Cpu(0), *now).unwrap().unwrap();
        *now = *now + pick.slice;
        sched.put_back(Cpu(0), *now, Why::Expired).unwrap()
    };
    (0..slices).map(one).collect()
}

#[test]
fn fair_shares_follow_weights() {
    for weights in [[1, 2, 4, 8], [7, 7, 7, 7], [1, 1, 3, 50], [29, 819, 1024, 35_379]] {
        let ((mut sched, tasks), mut now) = (busy(Policy::FAIR, &weights), Nanos::ZERO);
        // Until the lightest has had a hundred turns.
        let sum: u32 = weights.iter().sum();
        rounds(&mut sched, &mut now, 100 * (sum / weights[0]) as usize);
        let got = tasks.iter().map(|&task| sched.task(task).unwrap());
        let got: Vec<f64> = got.map(|task| task.runtime.0 as f64 / f64::from(task.weight.get())).collect();
        let (sum, squares) = got.iter().fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
        let jain = sum * sum / (squares * got.len() as f64);
        assert!(jain >= 0.999, "{weights:?}: Jain's index is {jain}");
        for &task in &tasks {
            let lag = sched.task(task).unwrap().lag_ns().unsigned_abs();
            assert!(lag <= 2 * 4_000_000, "{weights:?}: {lag} ns from what it is owed");
        }
    }
}

#[test]
fn sleep_earns_one_slice_and_no_more() {
    let (mut sched, tasks) = busy(Policy::FAIR, &[1024, 1024]);
    let (mut now, sleeper) = (Nanos::ZERO, tasks[1]);
    sched.block(sleeper, now).unwrap();
    rounds(&mut sched, &mut now, 10_000);
    assert!(sched.wake(sleeper, now).unwrap());
    let ran = rounds(&mut sched, &mut now, 20);
    let slept = ran.iter().filter(|&&task| task == sleeper).count();
    assert!((10..=11).contains(&slept), "{slept} of 20 slices after 40 s of sleep");
    assert_eq!(ran[0], sleeper, "but it runs at once");
}

#[test]
fn sleeping_between_slices_does_not_cheat_the_busy() {
    let (mut sched, tasks) = busy(Policy::FAIR, &[1024, 1024]);
    let (mut now, sly) = (Nanos::ZERO, tasks[1]);
    for _ in 0..2_000 {
        let pick = sched.pick(Cpu(0), now).unwrap().unwrap();
        now = now + pick.slice;
        // It blocks just before its slice would be over and is awake again at once.
        let why = if pick.task == sly { Why::Blocked } else { Why::Expired };
        sched.put_back(Cpu(0), now, why).unwrap();
        sched.wake(sly, now).unwrap();
    }
    let (honest, sly) = (sched.task(tasks[0]).unwrap(), sched.task(sly).unwrap());
    assert!(sly.runtime <= honest.runtime + MS * 4, "{sly:?} against {honest:?}");
}

#[test]
fn a_newcomer_neither_waits_for_ever_nor_catches_up() {
    let (mut sched, tasks) = busy(Policy::FAIR, &[1024]);
    let mut now = Nanos::ZERO;
    rounds(&mut sched, &mut now, 1_000);
    let new = sched.add(Weight::DEFAULT, now).unwrap();
    let ran = rounds(&mut sched, &mut now, 10);
    assert_eq!(ran.iter().filter(|&&task| task == new).count(), 5, "{tasks:?} {ran:?}");
}

#[test]
fn yielding_lets_the_next_one_run() {
    for policy in [Policy::FAIR, Policy::EEVDF, Policy::ROUND_ROBIN, Policy::PRIORITY] {
        let (mut sched, _) = busy(policy, &[1024, 1024, 1024]);
        let mut last = None;
        for millis in 0..30 {
            let task = sched.pick(Cpu(0), MS * millis).unwrap().unwrap().task;
            assert_ne!(last.replace(task), Some(task));
            sched.put_back(Cpu(0), MS * millis, Why::Yield).unwrap();
        }
        let stats = sched.stats();
        assert_eq!((stats.context_switches, stats.preemptions), (30, 0), "yielding is no preemption");
    }
}

#[test]
fn round_robin_takes_turns_whatever_the_weights() {
    let (mut sched, tasks) = busy(Policy::ROUND_ROBIN, &[1, 1024, 35_379]);
    let mut now = Nanos::ZERO;
    assert_eq!(rounds(&mut sched, &mut now, 9), tasks.repeat(3));
    assert_eq!(now, MS * 90, "10 ms each");
    sched.block(tasks[1], now).unwrap();
    assert_eq!(rounds(&mut sched, &mut now, 2), [tasks[0], tasks[2]]);
    sched.wake(tasks[1], now).unwrap();
    assert_eq!(rounds(&mut sched, &mut now, 3), [tasks[0], tasks[2], tasks[1]]);
}

#[test]
fn a_kernels_own_decisions_move_order_and_books() {
    let (mut sched, tasks) = busy(Policy::FAIR, &[1024, 3072]);
    let seen = |runtime, switches, preemptions| Observed { runtime, switches, preemptions };
    sched.account(tasks[0], seen(MS * 300, 30, 20)).unwrap();
    sched.account(tasks[1], seen(MS * 500, 10, 5)).unwrap();
    let (light, heavy) = (sched.task(tasks[0]).unwrap(), sched.task(tasks[1]).unwrap());
    assert_eq!((light.entitled, heavy.entitled), (MS * 200, MS * 600));
    assert_eq!((light.lag_ns(), heavy.lag_ns()), (-100_000_000, 100_000_000));
    assert_eq!((light.waits, light.preemptions, light.state), (30, 20, TaskState::Waiting));
    let stats = sched.stats();
    assert_eq!((stats.scheduled, stats.context_switches, stats.preemptions), (40, 40, 25));
    assert_eq!(stats.runtime, MS * 800);
    let next = sched.pick(Cpu(0), Nanos::ZERO).unwrap().unwrap();
    assert_eq!(next.task, tasks[1], "the one that is owed");
}

#[test]
fn a_window_has_what_was_got_and_owed_within_it() {
    let (mut sched, tasks) = busy(Policy::FAIR, &[1024, 3072]);
    let mut now = Nanos::ZERO;
    rounds(&mut sched, &mut now, 1_000);
    let from = sched.reading();
    assert!(
        from.since(&from).iter().all(|share| share.runtime == Nanos::ZERO && share.error_ppm().is_none())
    );
    assert_eq!(Share::jain_ppm(&from.since(&from)), None);
    let late = sched.add(Weight::new(4096).unwrap(), now).unwrap();
    rounds(&mut sched, &mut now, 8_000);
    let shares = sched.reading().since(&from);
    assert_eq!(shares.iter().map(|share| share.task).collect::<Vec<_>>(), [tasks[0], tasks[1], late]);
    assert_eq!(shares.iter().map(|share| share.runtime.0).sum::<u64>(), shares[0].all.0);
    assert_eq!(shares[0].all, MS * 32_000);
    for (share, owed) in shares.iter().zip([125_000, 375_000, 500_000]) {
        assert!(share.owed_ppm().abs_diff(owed) <= 1 && share.got_ppm().abs_diff(owed) <= 500, "{share:?}");
        assert!(share.error_ppm().unwrap() <= 2_000, "{share:?}");
        assert!(share.waits > 0 && share.waited > Nanos::ZERO);
    }
    assert!(Share::jain_ppm(&shares).unwrap() >= 999_990);

    sched.block(late, now).unwrap();
    let from = sched.reading();
    sched.account(late, Observed { runtime: MS, ..Observed::default() }).unwrap();
    rounds(&mut sched, &mut now, 100);
    let shares = sched.reading().since(&from);
    assert_eq!(shares[2].waits, 0, "it was away");
    sched.remove(late, now).unwrap();
    assert_eq!(sched.reading().since(&from).len(), 2, "who has left is in no later reading");
}

#[test]
fn jains_index_tells_alike_from_unlike() {
    let (mut sched, _) = busy(Policy::PRIORITY, &[1024; 4]);
    let (mut now, from) = (Nanos::ZERO, sched.reading());
    // One turn of four: all that was given out went to one of them.
    rounds(&mut sched, &mut now, 1);
    assert_eq!(Share::jain_ppm(&sched.reading().since(&from)), Some(250_000));
    rounds(&mut sched, &mut now, 3);
    assert_eq!(Share::jain_ppm(&sched.reading().since(&from)), Some(1_000_000));
}

/// Two CPUs and a history from a fixed generator; the hash is the same on every machine and for ever, or
/// decisions have changed.
#[test]
fn a_known_history_leaves_a_known_trace() {
    let quantum = Quantum::new(MS).unwrap();
    let trace = |policy: Policy| trace(policy.with_slice(quantum));
    let traces = [Policy::ROUND_ROBIN, Policy::PRIORITY, Policy::FAIR, Policy::EEVDF].map(trace);
    assert_eq!(traces, [2917676378408260772, 16418763689938211482, 591773490775867954, 15485075602260001372]);
}

fn trace(policy: Policy) -> u64 {
    let mut sched = Scheduler::new(policy, 2).unwrap();
    let (mut seed, mut hash, mut now) = (7u64, 0xcbf2_9ce4_8422_2325u64, Nanos::ZERO);
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut tasks: Vec<TaskId> = Vec::new();
    for _ in 0..5_000 {
        now = now + Nanos(random(600_000));
        let cpu = Cpu(random(2) as u32);
        match random(10) {
            0 if tasks.len() < 20 => {
                let spec = Spec::default().priority(Priority(random(256) as u8));
                tasks.push(
                    sched.add(spec.weight(Weight::new(1 + random(5_000) as u32).unwrap()), now).unwrap(),
                );
            }
            1 if !tasks.is_empty() => {
                sched.wake(tasks[random(tasks.len() as u64) as usize], now).unwrap();
            }
            2..=5 => {
                if let Ok(Some(pick)) = sched.pick(cpu, now) {
                    for byte in format!("{} {} {};", now.0, cpu, pick.task).bytes() {
                        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                    }
                }
            }
            _ => {
                let whys = [Why::Expired, Why::Expired, Why::Yield, Why::Blocked, Why::Exited];
                let why = whys[random(5) as usize];
                if let (Ok(task), Why::Exited) = (sched.put_back(cpu, now, why), why) {
                    tasks.retain(|&other| other != task);
                }
            }
        }
    }
    hash
}
