//! What every controller does.

pub(crate) mod groups;

use std::time::{Duration, Instant};
use uos_sched::{
    Class, ControlError, Controller, Cpu, CpuSet, Nanos, Quantum, Quota, RtPriority, Wanted, Weight,
};

pub(crate) fn wanted(weight: u32) -> Wanted {
    Wanted { weight: Weight::new(weight).unwrap(), ..Wanted::default() }
}

/// `wait` lets the processes run a little, `end` ends one.
pub(crate) fn conforms<C: Controller>(
    control: &mut C,
    [first, second]: [u32; 2],
    mut wait: impl FnMut(&mut C),
    end: impl FnOnce(&mut C),
) {
    assert!(matches!(control.used(first), Err(ControlError::NotAdopted { .. })));
    control.adopt(first, &wanted(2048)).unwrap();
    control.adopt(second, &wanted(1024)).unwrap();
    assert!(matches!(control.adopt(first, &wanted(1)), Err(ControlError::AlreadyAdopted { .. })));

    assert_eq!(control.apply(first, &wanted(2048)).unwrap(), 0, "nothing differs, so nothing is written");
    assert_eq!(control.apply(first, &wanted(4096)).unwrap(), 1);
    let bound = Wanted { affinity: CpuSet::only(Cpu(0)), ..wanted(8192) };
    assert_eq!(control.apply(first, &bound).unwrap(), 2);
    assert_eq!(control.apply(first, &bound).unwrap(), 0);
    let nowhere = Wanted { affinity: CpuSet::only(Cpu(8191)), ..wanted(8192) };
    assert!(matches!(control.apply(first, &nowhere), Err(ControlError::NoSuchCpu)));

    // A class, and a slice where there are slices; each counts as a setting.
    for class in [Class::Batch, Class::Idle, Class::Normal] {
        let other = Wanted { class, ..bound.clone() };
        assert_eq!(control.apply(first, &other).unwrap(), 1, "{class:?}");
        assert_eq!(control.apply(first, &other).unwrap(), 0, "{class:?}");
    }
    let slice = Some(Quantum::new(Nanos::from_millis(2)).unwrap());
    match control.apply(first, &Wanted { slice, ..bound.clone() }) {
        Ok(changed) => assert_eq!((changed, control.apply(first, &bound).unwrap()), (1, 1)),
        Err(ControlError::NotEnforceable { .. }) => assert_eq!(control.apply(first, &bound).unwrap(), 0),
        Err(other) => panic!("{other}"),
    }
    let quota = Some(Quota::new(Nanos::from_millis(100), Nanos::from_millis(10)).unwrap());
    let class = Class::Fifo(RtPriority::new(1).unwrap());
    let impossible = control.apply(first, &Wanted { class, quota, ..wanted(1) });
    assert!(matches!(impossible, Err(ControlError::NotEnforceable { .. })), "{impossible:?}");
    assert_eq!(control.apply(first, &bound).unwrap(), 0, "and so nothing of it is in force");

    let before = control.used(first).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while control.used(first).unwrap() <= before {
        assert!(Instant::now() < deadline, "it never got any CPU time");
        wait(control);
    }

    end(control);
    assert!(matches!(control.used(first), Err(ControlError::Gone { .. })));
    assert!(matches!(control.used(first), Err(ControlError::NotAdopted { .. })), "it is forgotten");
    assert_eq!(control.apply(second, &wanted(1024)).unwrap(), 0, "others are as they were");
    control.release(second).unwrap();
    assert!(matches!(control.release(second), Err(ControlError::NotAdopted { .. })));
    assert!(control.adopt(u32::MAX, &wanted(1)).is_err());
}
