//! Every refused call names what is wrong, and has changed nothing.

use uos_sched::{Cpu, Nanos, Observed, Policy, Quantum, SchedError, Scheduler, TaskStats, Weight, Why};

#[test]
fn refused_calls_change_nothing() {
    let t = Nanos::from_millis;
    let mut sched = Scheduler::new(Policy::FAIR, 2).unwrap();
    let weight = Weight::DEFAULT;
    let [runs, waits, gone] = [(); 3].map(|()| sched.add(weight, t(0)).unwrap());
    sched.remove(gone, t(0)).unwrap();
    assert_eq!(sched.pick(Cpu(0), t(5)).unwrap().unwrap().task, runs);

    let before = (sched.stats(), books(&sched));
    let (back, stale) =
        (SchedError::TimeWentBack { from: t(5), to: t(4) }, SchedError::UnknownTask { task: gone });
    let running = SchedError::TaskRunning { task: runs, cpu: Cpu(0) };
    let no_cpu = SchedError::NoSuchCpu { cpu: Cpu(2), cpus: 2 };

    assert_eq!(sched.add(weight, t(4)), Err(back));
    assert_eq!(sched.set_weight(waits, Weight::MAX, t(4)), Err(back));
    assert_eq!(sched.block(waits, t(4)), Err(back));
    assert_eq!(sched.wake(waits, t(4)), Err(back));
    assert_eq!(sched.remove(waits, t(4)), Err(back));
    assert_eq!(sched.pick(Cpu(1), t(4)), Err(back));
    assert_eq!(sched.charge(Cpu(0), t(4)), Err(back));
    assert_eq!(sched.put_back(Cpu(0), t(4), Why::Exited), Err(back));

    assert_eq!(sched.task(gone), Err(stale));
    assert_eq!(sched.set_weight(gone, weight, t(9)), Err(stale));
    assert_eq!(sched.block(gone, t(9)), Err(stale));
    assert_eq!(sched.wake(gone, t(9)), Err(stale));
    assert_eq!(sched.remove(gone, t(9)), Err(stale));
    assert_eq!(sched.account(gone, Observed::default()), Err(stale));

    assert_eq!(sched.block(runs, t(9)), Err(running));
    assert_eq!(sched.remove(runs, t(9)), Err(running));
    assert_eq!(sched.account(runs, Observed::default()), Err(running));
    let impossible = Observed { runtime: t(1), switches: 1, preemptions: 2 };
    let refused = SchedError::BadObservation { switches: 1, preemptions: 2 };
    assert_eq!(sched.account(waits, impossible), Err(refused));

    assert_eq!(sched.pick(Cpu(0), t(9)), Err(SchedError::AlreadyRunning { cpu: Cpu(0), task: runs }));
    assert_eq!(sched.charge(Cpu(1), t(9)), Err(SchedError::NotRunning { cpu: Cpu(1) }));
    assert_eq!(sched.put_back(Cpu(1), t(9), Why::Yield), Err(SchedError::NotRunning { cpu: Cpu(1) }));
    assert_eq!(sched.pick(Cpu(2), t(9)), Err(no_cpu));
    assert_eq!(sched.charge(Cpu(2), t(9)), Err(no_cpu));
    assert_eq!(sched.put_back(Cpu(2), t(9), Why::Yield), Err(no_cpu));

    assert_eq!((sched.stats(), books(&sched)), before);
    assert_eq!(sched.put_back(Cpu(0), t(5), Why::Expired), Ok(runs), "time has not moved either");
}

fn books(sched: &Scheduler) -> Vec<TaskStats> {
    sched.tasks().map(|task| sched.task(task).expect("it is listed")).collect()
}

#[test]
fn a_slot_used_again_does_not_revive_the_old_id() {
    let mut sched = Scheduler::new(Policy::FAIR, 1).unwrap();
    let old = sched.add(Weight::DEFAULT, Nanos::ZERO).unwrap();
    sched.remove(old, Nanos::ZERO).unwrap();
    let new = sched.add(Weight::MAX, Nanos::ZERO).unwrap();
    assert_eq!(old.slot(), new.slot());
    assert_eq!(sched.set_weight(old, Weight::MIN, Nanos::ZERO), Err(SchedError::UnknownTask { task: old }));
    assert_eq!(sched.task(new).unwrap().weight, Weight::MAX);
}

#[test]
fn numbers_from_outside_are_checked_once() {
    let max = Scheduler::MAX_CPUS;
    for asked in [0, max + 1] {
        let refused = Scheduler::new(Policy::FAIR, asked).unwrap_err();
        assert_eq!(refused, SchedError::BadCpuCount { asked, max });
    }
    assert!(Scheduler::new(Policy::FAIR, max).is_ok());
    assert!(Quantum::new(Nanos::ZERO).is_err());
    assert!(Weight::new(0).is_err());
}
