//! Calls that are given up, and calls whose caller ends, while they are under way.

use std::{future::poll_fn, pin::pin, sync::atomic::Ordering, task::Poll};

use uos_proto::{Class, TABLE, v1};

use crate::{
    PANICS,
    common::{World, within},
    count_panics, end,
    samples::Owner,
};

/// Polls a future so many times, or until it is done.
async fn polled<F: Future + Unpin>(future: &mut F, times: usize) -> Option<F::Output> {
    for _ in 0..times {
        let once = poll_fn(|context| {
            Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            })
        });
        if let Some(output) = once.await {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test]
async fn every_call_that_is_given_up_leaves_nothing() {
    count_panics();
    let world = World::start();
    for row in &TABLE {
        for (endless, polls) in [(false, 1), (false, 3), (true, 1), (true, 3)] {
            if endless && !matches!(row.class, Class::Wait | Class::Async) {
                continue;
            }
            let owner = Owner::new(&world).await;
            let call = if endless { owner.endless(&world, row).await } else { owner.sample(row).await };
            let mut under_way = Box::pin(world.kernel.invoke(&owner.caller, call));
            let _ = polled(&mut under_way, polls).await;
            drop(under_way);
            end(&world, &format!("{}, given up after {polls}", row.name)).await;
        }
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn every_call_whose_caller_ends_is_answered_and_leaves_nothing() {
    count_panics();
    let world = World::start();
    for row in &TABLE {
        for (endless, polls) in [(false, 0), (false, 1), (true, 1)] {
            if endless && !matches!(row.class, Class::Wait | Class::Async) {
                continue;
            }
            let owner = Owner::new(&world).await;
            let call = if endless { owner.endless(&world, row).await } else { owner.sample(row).await };
            let mut under_way = pin!(world.kernel.invoke(&owner.caller, call));
            let early = polled(&mut under_way, polls).await;
            let kill = v1::KillProcess { pid: owner.caller.pid().0, tree: true };
            // The call may have been to end itself.
            let _ = world.call(&world.kernel.init(), kill).await;
            if early.is_none() {
                let result = within(under_way).await;
                assert!(!endless || result.is_err(), "{} has nobody to answer to", row.name);
            }
            end(&world, &format!("{}, whose caller ended", row.name)).await;
        }
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    world.kernel.shut_down().await;
}
