//! A request repeated under its id gets the first answer again, and nothing happens twice.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::sync::Arc;

use common::{World, exists, give_up, read, within, write};
use uos_proto::v1::{self, reply::Reply};
use uos_syscall::{Caller, Errno, Error};

async fn once(
    world: &World,
    who: &Caller,
    call: impl Into<v1::call::Call>,
    id: &str,
) -> Result<Reply, Error> {
    within(world.kernel.invoke_once(who, call.into(), id)).await
}

#[tokio::test]
async fn a_repeated_call_happens_once_and_answers_alike() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/home/**", "fs.write:/home/**", "ipc.create"]).await;
    let first = once(&world, &agent, write("/home/x", "one"), "w").await.unwrap();
    world.call(&agent, write("/home/x", "between")).await.unwrap();
    assert_eq!(once(&world, &agent, write("/home/x", "one"), "w").await.unwrap(), first);
    assert_eq!(&world.call(&agent, read("/home/x")).await.unwrap().data[..], b"between");

    let made = once(&world, &agent, v1::CreatePipe::default(), "p").await.unwrap();
    assert_eq!(once(&world, &agent, v1::CreatePipe::default(), "p").await.unwrap(), made);
    assert_eq!(world.kernel.in_use().handles, 1);
    let other = once(&world, &agent, v1::CreatePipe::default(), "q").await.unwrap();
    assert_ne!(other, made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_at_the_same_time_are_one_call() {
    let world = Arc::new(World::start());
    let agent = world.agent(&["ipc.create", "fs.write:/data/**"]).await;
    for round in 0..50 {
        let twins: Vec<_> = (0..4)
            .map(|_| {
                let (world, agent, id) = (Arc::clone(&world), agent.clone(), format!("twin {round}"));
                tokio::spawn(
                    async move { once(&world, &agent, v1::CreatePipe::default(), &id).await.unwrap() },
                )
            })
            .collect();
        let mut answers = Vec::new();
        for twin in twins {
            answers.push(within(twin).await.unwrap());
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert_eq!(world.kernel.in_use().handles, round + 1);
    }
}

#[tokio::test]
async fn ids_are_each_processs_own() {
    let world = World::start();
    let grants = &["fs.read:/home/**", "fs.write:/home/**"];
    let (one, two) = (world.agent(grants).await, world.agent(grants).await);
    once(&world, &one, write("/home/one", ""), "same").await.unwrap();
    once(&world, &two, write("/home/two", ""), "same").await.unwrap();
    assert!(world.call(&one, exists("/home/two")).await.unwrap().exists, "the second was made too");
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_is_kept_too() {
    let world = World::start();
    let agent = world.agent(&[]).await;
    let first = once(&world, &agent, write("/home/x", ""), "w").await.unwrap_err();
    assert_eq!(first.errno, Errno::EACCES);
    world.set_grants(&agent, &["fs.write:/home/**"]);
    assert_eq!(once(&world, &agent, write("/home/x", ""), "w").await.unwrap_err(), first);
    once(&world, &agent, write("/home/x", ""), "again").await.unwrap();
}

#[tokio::test]
async fn a_call_that_was_given_up_has_no_answer_to_give_again() {
    let world = World::start();
    let agent = world.agent(&["ipc.create"]).await;
    let id = world.call(&agent, v1::CreatePipe::default()).await.unwrap().id;
    let read = v1::ReadPipe { id, ..Default::default() };
    assert!(give_up(world.kernel.invoke_once(&agent, read.into(), "r")).await.is_none());
    world.call(&agent, v1::WritePipe { id, data: "late".into(), timeout_us: None }).await.unwrap();
    for _ in 0..2 {
        let Reply::ReadPipe(reply) = once(&world, &agent, read, "r").await.unwrap() else {
            panic!("not its reply")
        };
        assert_eq!(&reply.data[..], b"late");
    }
}

#[tokio::test]
async fn an_id_has_1_to_128_bytes() {
    let world = World::start();
    let agent = world.agent(&[]).await;
    for (length, fits) in [(0, false), (1, true), (128, true), (129, false)] {
        let result = once(&world, &agent, v1::GetUptime {}, &"i".repeat(length)).await;
        assert_eq!(result.err().map(|error| error.errno), (!fits).then_some(Errno::EINVAL), "{length} bytes");
    }
}
