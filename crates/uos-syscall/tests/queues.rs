//! Queues and topics between processes.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{World, give_up, within};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, HandleRight, QueueKind};
use uos_syscall::{Caller, Cause, Errno, Limits};

const MAKER: &[&str] = &["ipc.create", "proc.spawn:/**"];

async fn make(world: &World, who: &Caller, kind: QueueKind, messages: u64, bytes: u64) -> u64 {
    let limits = Some(v1::QueueLimits { messages, bytes });
    world.call(who, v1::CreateQueue { kind: kind.into(), limits }).await.unwrap().id
}

fn send(id: u64, data: &'static str) -> v1::SendMessage {
    v1::SendMessage { id, data: data.into(), timeout_us: Some(0), ..Default::default() }
}

fn receive(id: u64) -> v1::ReceiveMessage {
    v1::ReceiveMessage { id, timeout_us: Some(0) }
}

/// The next message as text.
async fn next(world: &World, who: &Caller, id: u64) -> String {
    let got = world.call(who, receive(id)).await.unwrap();
    assert!(!got.end);
    String::from_utf8(got.data.to_vec()).unwrap()
}

async fn pass(world: &World, from: &Caller, to: &Caller, id: u64, right: HandleRight) {
    let passing = v1::PassHandle { pid: to.pid().0, id, rights: vec![right.into()] };
    world.call(from, passing).await.unwrap();
}

#[tokio::test]
async fn messages_arrive_whole_once_and_in_order() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    let (sender, receiver) = (world.child(&maker, &[]).await, world.child(&maker, &[]).await);
    let id = make(&world, &maker, QueueKind::Fifo, 0, 0).await;
    pass(&world, &maker, &sender, id, HandleRight::Write).await;
    pass(&world, &maker, &receiver, id, HandleRight::Read).await;
    for data in ["one", "", "three"] {
        assert_eq!(world.call(&sender, send(id, data)).await.unwrap().receivers, 1);
    }
    assert_eq!(next(&world, &receiver, id).await, "one");
    assert_eq!(next(&world, &maker, id).await, "");
    assert_eq!(next(&world, &receiver, id).await, "three");
    assert_eq!(world.errno(&receiver, receive(id)).await, Errno::ETIMEDOUT);
    assert_eq!(world.errno(&sender, receive(id)).await, Errno::EBADF);
    assert_eq!(world.errno(&receiver, send(id, "x")).await, Errno::EBADF);
    let seen = world.call(&maker, v1::QueueStats { id }).await.unwrap();
    assert_eq!((seen.sent, seen.received, seen.messages, seen.senders, seen.receivers), (3, 3, 0, 2, 2));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn the_most_urgent_goes_first() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    let id = make(&world, &maker, QueueKind::Priority, 0, 0).await;
    for (data, priority) in [("low", 1), ("first high", 255), ("mid", 7), ("second high", 255)] {
        world.call(&maker, v1::SendMessage { priority, ..send(id, data) }).await.unwrap();
    }
    for (data, priority) in [("first high", 255), ("second high", 255), ("mid", 7), ("low", 1)] {
        let got = world.call(&maker, receive(id)).await.unwrap();
        assert_eq!((&got.data[..], got.priority), (data.as_bytes(), priority));
    }
    assert_eq!(world.errno(&maker, v1::SendMessage { priority: 256, ..send(id, "x") }).await, Errno::EINVAL);
    assert_eq!(world.call(&maker, v1::QueueStats { id }).await.unwrap().messages, 0);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn everybody_who_subscribes_gets_what_is_published_from_then_on() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    let (one, two) = (world.child(&maker, &[]).await, world.child(&maker, &[]).await);
    let id = make(&world, &maker, QueueKind::Topic, 2, 0).await;
    for who in [&one, &two] {
        pass(&world, &maker, who, id, HandleRight::Read).await;
        assert_eq!(world.errno(who, send(id, "x")).await, Errno::EBADF, "to subscribe is not to publish");
    }
    let early = world.call(&one, v1::Subscribe { id }).await.unwrap().id;
    assert_eq!(world.call(&maker, send(id, "first")).await.unwrap().receivers, 1);
    let late = world.call(&two, v1::Subscribe { id }).await.unwrap().id;
    assert_eq!(world.call(&maker, send(id, "second")).await.unwrap().receivers, 2);
    // The early one is full by now, and misses this.
    assert_eq!(world.call(&maker, send(id, "third")).await.unwrap().receivers, 1);
    assert_eq!(world.call(&maker, v1::QueueStats { id }).await.unwrap().missed, 1);
    assert_eq!(world.call(&one, v1::QueueStats { id: early }).await.unwrap().missed, 1);
    for text in ["first", "second"] {
        assert_eq!(next(&world, &one, early).await, text);
    }
    assert_eq!(world.errno(&two, receive(early)).await, Errno::EBADF, "it is somebody else's");
    world.call(&one, v1::Unsubscribe { id: early }).await.unwrap();
    assert_eq!(world.errno(&one, v1::Unsubscribe { id: early }).await, Errno::EBADF);
    assert_eq!(world.call(&maker, v1::QueueStats { id }).await.unwrap().receivers, 1);

    // With the last who could publish, the topic ends; what was published is still received.
    world.call(&maker, v1::RestrictHandle { id, rights: vec![HandleRight::Read.into()] }).await.unwrap();
    for text in ["second", "third"] {
        assert_eq!(next(&world, &two, late).await, text);
    }
    assert!(world.call(&two, receive(late)).await.unwrap().end);
    assert_eq!(world.errno(&two, v1::Subscribe { id }).await, Errno::EPIPE);
    world.kernel.shut_down().await;
    assert_eq!((world.kernel.in_use().queue_bytes, world.kernel.in_use().handles), (0, 0));
}

#[tokio::test]
async fn a_blocking_topic_waits_for_the_slowest() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    let id = make(&world, &maker, QueueKind::TopicBlocking, 1, 0).await;
    let subscription = world.call(&maker, v1::Subscribe { id }).await.unwrap().id;
    world.call(&maker, send(id, "first")).await.unwrap();
    assert_eq!(world.errno(&maker, send(id, "second")).await, Errno::ETIMEDOUT);
    let waiting = world.call(&maker, v1::SendMessage { timeout_us: None, ..send(id, "second") });
    let (sent, got) = tokio::join!(waiting, next(&world, &maker, subscription));
    assert_eq!((sent.unwrap().receivers, &*got), (1, "first"));
    assert_eq!(next(&world, &maker, subscription).await, "second");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn closing_drains_and_destroying_does_not() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    let other = world.child(&maker, &[]).await;
    let id = make(&world, &maker, QueueKind::Fifo, 0, 0).await;
    pass(&world, &maker, &other, id, HandleRight::Read).await;
    world.call(&maker, send(id, "left")).await.unwrap();
    assert_eq!(world.errno(&other, v1::CloseQueue { id }).await, Errno::EBADF);
    assert_eq!(world.errno(&other, v1::DestroyQueue { id }).await, Errno::EACCES);
    world.call(&maker, v1::CloseQueue { id }).await.unwrap();
    assert_eq!(world.errno(&maker, send(id, "x")).await, Errno::EPIPE);
    assert_eq!(next(&world, &other, id).await, "left");
    assert!(world.call(&other, receive(id)).await.unwrap().end);

    let id = make(&world, &maker, QueueKind::Fifo, 0, 0).await;
    pass(&world, &maker, &other, id, HandleRight::Read).await;
    let waiting = world.call(&other, v1::ReceiveMessage { id, timeout_us: None });
    let (got, destroyed) = tokio::join!(waiting, world.call(&maker, v1::DestroyQueue { id }));
    destroyed.unwrap();
    assert_eq!(got.unwrap_err().errno, Errno::EIDRM);
    assert_eq!(world.errno(&other, receive(id)).await, Errno::EIDRM);
    assert_eq!(world.errno(&other, v1::QueueStats { id }).await, Errno::EIDRM);
    assert_eq!(world.errno(&maker, v1::QueueStats { id }).await, Errno::EBADF, "it has given up its own");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_destroyed_queue_is_told_from_a_closed_one() {
    let world = World::start();
    let maker = world.agent(MAKER).await;
    for kind in [QueueKind::Fifo, QueueKind::Topic, QueueKind::TopicBlocking] {
        let id = make(&world, &maker, kind, 1, 9).await;
        let [twin, another] = [
            world.call(&maker, v1::Dup { id }).await.unwrap().id,
            world.call(&maker, v1::Dup { id }).await.unwrap().id,
        ];
        let subscription = match kind {
            QueueKind::Fifo => None,
            _ => Some(world.call(&maker, v1::Subscribe { id }).await.unwrap().id),
        };
        world.call(&maker, send(id, "lost")).await.unwrap();
        let waits = kind != QueueKind::Topic;
        let waiting = world.call(&maker, v1::SendMessage { timeout_us: None, ..send(id, "more") });
        let (sent, destroyed) = tokio::join!(waiting, world.call(&maker, v1::DestroyQueue { id }));
        destroyed.unwrap();
        assert_eq!(sent.err().map(|error| error.errno), waits.then_some(Errno::EIDRM), "{kind:?}");
        for call in
            [v1::DestroyQueue { id: twin }.into(), v1::QueueStats { id: twin }.into(), send(twin, "x").into()]
        {
            let refused = within(world.kernel.invoke(&maker, call)).await.unwrap_err();
            assert_eq!(refused.errno, Errno::EIDRM, "{kind:?}");
        }
        assert_eq!(world.errno(&maker, v1::CloseQueue { id: twin }).await, Errno::EIDRM, "{kind:?}");
        if let Some(subscription) = subscription {
            assert_eq!(world.errno(&maker, v1::Subscribe { id: another }).await, Errno::EIDRM);
            assert_eq!(next(&world, &maker, subscription).await, "lost", "subscribers get what is left");
            assert!(world.call(&maker, receive(subscription)).await.unwrap().end);
        } else {
            let refused = world.call(&maker, receive(another)).await.unwrap_err();
            let why = "the queue was destroyed, 1 messages of it not received";
            assert_eq!((refused.errno, &*refused.message), (Errno::EIDRM, why));
        }
    }
    // What was closed is only closed.
    for kind in [QueueKind::Fifo, QueueKind::Topic] {
        let id = make(&world, &maker, kind, 1, 9).await;
        world.call(&maker, v1::CloseQueue { id }).await.unwrap();
        assert_eq!(world.errno(&maker, send(id, "x")).await, Errno::EPIPE, "{kind:?}");
        assert!(world.call(&maker, v1::QueueStats { id }).await.unwrap().closed);
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_is_too_much_is_refused_by_its_limit() {
    let limits = Limits { queue_bytes: 200_000, queue_bytes_per_process: 150_000, ..Limits::default() };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let maker = world.agent(MAKER).await;
    let id = make(&world, &maker, QueueKind::Fifo, 1, 3).await;
    let long = world.call(&maker, send(id, "long")).await.unwrap_err();
    let (name, used, max) = ("message_bytes", 4, 3);
    assert_eq!(
        (long.errno, long.cause.as_deref()),
        (Errno::EMSGSIZE, Some(&Cause::Limit { name, used, max }))
    );
    for (messages, bytes) in [(u64::MAX, 0), (0, u64::MAX), ((1 << 20) + 1, 1)] {
        let limits = Some(v1::QueueLimits { messages, bytes });
        let odd = v1::CreateQueue { kind: 0, limits };
        assert_eq!(world.errno(&maker, odd).await, Errno::EINVAL);
    }
    assert_eq!(world.errno(&maker, v1::CreateQueue { kind: 9, limits: None }).await, Errno::EINVAL);
    let large = Some(v1::QueueLimits { messages: 1, bytes: 150_000 });
    let full = world.call(&maker, v1::CreateQueue { kind: 0, limits: large }).await.unwrap_err();
    assert!(matches!(full.cause.as_deref(), Some(Cause::Limit { name: "queue_bytes_per_process", .. })));
    assert_eq!(full.errno, Errno::EDQUOT);
    // A send that is given up has sent nothing.
    world.call(&maker, send(id, "one")).await.unwrap();
    for _ in 0..50 {
        let waiting = v1::SendMessage { timeout_us: None, ..send(id, "two") };
        assert!(give_up(world.kernel.invoke(&maker, waiting.into())).await.is_none());
    }
    assert_eq!(next(&world, &maker, id).await, "one");
    assert_eq!(world.errno(&maker, receive(id)).await, Errno::ETIMEDOUT);
    world.kernel.shut_down().await;
    assert_eq!(world.kernel.in_use().queue_bytes, 0);
}
