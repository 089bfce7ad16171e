//! What every controller does with groups.

use super::wanted;
use uos_sched::{
    Class, ControlError, Controller, GroupId, GroupSpec, Nanos, Quota, RtPriority, SchedError, Wanted, Weight,
};

fn spec(weight: u32) -> GroupSpec {
    GroupSpec::default().weight(Weight::new(weight).unwrap())
}

fn within(group: GroupId) -> Wanted {
    Wanted { group, ..wanted(1024) }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, ControlError>, wanted: SchedError) {
    match answer {
        Err(ControlError::Refused(error)) => assert_eq!(error, wanted),
        other => panic!("{other:?}, not {wanted:?}"),
    }
}

/// Two processes that live.
pub(crate) fn conforms(control: &mut impl Controller, [first, second]: [u32; 2], has_quotas: bool) {
    let outer = control.create_group(GroupId::ROOT, spec(2048)).unwrap();
    let inner = control.create_group(outer, spec(512)).unwrap();
    control.adopt(first, &within(inner)).unwrap();
    control.adopt(second, &within(GroupId::ROOT)).unwrap();
    shapes(control, [outer, inner], first);

    // Processes move, and only what differs is written.
    for group in [outer, inner, GroupId::ROOT, inner] {
        assert_eq!(control.apply(second, &within(group)).unwrap(), 1);
        assert_eq!(control.apply(second, &within(group)).unwrap(), 0);
    }
    assert_eq!(control.apply(second, &Wanted { group: outer, ..wanted(2048) }).unwrap(), 2);
    assert_eq!(control.set_group(inner, spec(512)).unwrap(), 0);
    assert_eq!(control.set_group(inner, spec(1024)).unwrap(), 1);

    let quota = Quota::new(Nanos::from_millis(100), Nanos::from_millis(50)).unwrap();
    if has_quotas {
        quotas(control, [outer, inner], first, quota);
    } else {
        let answer = control.set_group(inner, spec(1024).quota(quota));
        assert!(matches!(answer, Err(ControlError::NotEnforceable { .. })), "{answer:?}");
        let answer = control.create_group(inner, spec(1024).quota(quota));
        assert!(matches!(answer, Err(ControlError::NotEnforceable { .. })), "{answer:?}");
    }
    assert_eq!(control.set_group(inner, spec(1024)).unwrap(), 0, "nothing of it is in force");

    // A group moves with all that is in it.
    let other = control.create_group(GroupId::ROOT, spec(1024)).unwrap();
    for parent in [other, GroupId::ROOT, outer, outer] {
        control.move_group(inner, parent).unwrap();
        assert_eq!(control.apply(first, &within(inner)).unwrap(), 0);
    }
    control.destroy_group(other).unwrap();

    control.release(first).unwrap();
    control.destroy_group(inner).unwrap();
    control.apply(second, &within(GroupId::ROOT)).unwrap();
    control.destroy_group(outer).unwrap();
    refused(control.apply(second, &within(outer)), SchedError::UnknownGroup { group: outer });
    control.release(second).unwrap();
}

/// `first` is in the inner one.
fn shapes(control: &mut impl Controller, [outer, inner]: [GroupId; 2], first: u32) {
    refused(control.move_group(outer, inner), SchedError::GroupCycle { group: outer, parent: inner });
    refused(control.move_group(outer, outer), SchedError::GroupCycle { group: outer, parent: outer });
    refused(control.move_group(GroupId::ROOT, outer), SchedError::RootGroup);
    refused(control.set_group(GroupId::ROOT, spec(1)), SchedError::RootGroup);
    refused(control.destroy_group(GroupId::ROOT), SchedError::RootGroup);
    refused(control.destroy_group(outer), SchedError::GroupNotEmpty { group: outer, tasks: 0, groups: 1 });
    refused(control.destroy_group(inner), SchedError::GroupNotEmpty { group: inner, tasks: 1, groups: 0 });

    let gone = control.create_group(inner, spec(1)).unwrap();
    control.destroy_group(gone).unwrap();
    let unknown = SchedError::UnknownGroup { group: gone };
    refused(control.destroy_group(gone), unknown);
    refused(control.set_group(gone, spec(1)), unknown);
    refused(control.create_group(gone, spec(1)), unknown);
    refused(control.move_group(gone, outer), unknown);
    refused(control.move_group(outer, gone), unknown);
    refused(control.apply(first, &within(gone)), unknown);
    assert_eq!(control.apply(first, &within(inner)).unwrap(), 0, "it is where it was");

    // Eight deep with the two, and a process in the last.
    let mut chain = vec![inner];
    for _ in 0..6 {
        chain.push(control.create_group(*chain.last().unwrap(), spec(1024)).unwrap());
    }
    let deepest = *chain.last().unwrap();
    refused(control.create_group(deepest, spec(1024)), SchedError::GroupTooDeep { max: 8 });
    let beside = control.create_group(GroupId::ROOT, spec(1024)).unwrap();
    refused(control.move_group(outer, beside), SchedError::GroupTooDeep { max: 8 });
    control.destroy_group(beside).unwrap();
    assert_eq!(control.apply(first, &within(deepest)).unwrap(), 1);
    assert_eq!(control.apply(first, &within(inner)).unwrap(), 1);
    for group in chain.into_iter().skip(1).rev() {
        control.destroy_group(group).unwrap();
    }
}

/// `first` is in the inner one; neither has a quota before or after.
fn quotas(control: &mut impl Controller, [outer, inner]: [GroupId; 2], first: u32, quota: Quota) {
    assert_eq!(control.set_group(outer, spec(2048).quota(quota)).unwrap(), 1);
    assert_eq!(control.set_group(outer, spec(2048).quota(quota)).unwrap(), 0);
    // Looser than what is around it, tighter, and what is around it tighter than that.
    for percent in [80, 20] {
        let quota = Quota::new(Nanos::from_millis(100), Nanos::from_millis(percent)).unwrap();
        assert_eq!(control.set_group(inner, spec(1024).quota(quota)).unwrap(), 1);
    }
    let tenth = Quota::new(Nanos::from_millis(50), Nanos::from_millis(5)).unwrap();
    assert_eq!(control.set_group(outer, spec(2048).quota(tenth)).unwrap(), 1);
    assert_eq!(control.set_group(outer, spec(1024).quota(quota)).unwrap(), 2);

    let strict = Wanted { class: Class::Fifo(RtPriority::new(1).unwrap()), ..within(inner) };
    let answer = control.apply(first, &strict);
    assert!(matches!(answer, Err(ControlError::NotEnforceable { .. })), "{answer:?}");
    assert_eq!(control.set_group(inner, spec(1024)).unwrap(), 1);
    let answer = control.apply(first, &strict);
    assert!(
        matches!(answer, Err(ControlError::NotEnforceable { .. })),
        "what is around it has one: {answer:?}"
    );
    assert_eq!(control.set_group(outer, spec(2048)).unwrap(), 2);
    assert_eq!(control.apply(first, &within(inner)).unwrap(), 0);

    // Nor may a quota come to one that no quota holds.
    assert_eq!(control.apply(first, &strict).unwrap(), 1);
    let answer = control.set_group(outer, spec(2048).quota(quota));
    assert!(matches!(answer, Err(ControlError::NotEnforceable { .. })), "{answer:?}");
    let held = control.create_group(GroupId::ROOT, spec(1024).quota(quota)).unwrap();
    let answer = control.move_group(inner, held);
    assert!(matches!(answer, Err(ControlError::NotEnforceable { .. })), "{answer:?}");
    control.destroy_group(held).unwrap();
    assert_eq!(control.apply(first, &within(inner)).unwrap(), 1);
}
