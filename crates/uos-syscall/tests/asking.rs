//! Calls that lack a right which may be asked for.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use common::{
    Log, World, copy, give_up, list, missing, move_file, network::Server, read, remove, shell, texts, until,
    watch, within, write,
};
use prost::Message;
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, CreateProcessRequest};
use uos_syscall::{
    Answer, Caller, Cause, Errno, Event, Existing, Limits, Pid, RightRequest, Settled,
    audit::{Decision, Record},
};

fn world(log: &Log) -> World {
    World::observed(LinuxSpawner::new().unwrap(), log.clone())
}

fn limited(log: &Log, limits: Limits) -> World {
    World::built(limits, LinuxSpawner::new().unwrap(), |builder| builder.observer(log.clone()))
}

/// The only request that waits, once there is one.
async fn request(world: &World) -> std::sync::Arc<RightRequest> {
    let all = || world.kernel.right_requests(&world.kernel.init());
    until("a request", || !all().is_empty()).await;
    let all = all();
    assert_eq!(all.len(), 1);
    all[0].clone()
}

/// Makes a call, and gives the only request that it leads to an answer.
async fn answered<T>(world: &World, answer: Answer, call: impl Future<Output = T>) -> T {
    let (result, ()) = tokio::join!(within(call), async {
        let asked = request(world).await;
        world.kernel.answer_request(&world.kernel.init(), asked.id, answer).unwrap();
    });
    result
}

/// Makes a call, and answers everything it asks; says what that was.
async fn granted<T>(world: &World, call: impl Future<Output = T>) -> (T, Vec<String>) {
    let mut asked = Vec::new();
    let mut call = Box::pin(within(call));
    loop {
        tokio::select! {
            result = &mut call => return (result, asked),
            next = request(world) => {
                asked.push(next.wanted.to_string());
                world.kernel.answer_request(&world.kernel.init(), next.id, Answer::Once).unwrap();
            }
        }
    }
}

fn records(world: &World, of: &Caller) -> Vec<Record> {
    world.kernel.audit().flush();
    let mut all = world.audit.records();
    all.retain(|record| record.caller == of.pid());
    all
}

/// What was told of requests.
fn told(log: &Log) -> Vec<(u64, Option<Settled>)> {
    let of = |event: &Event| match event {
        Event::RightRequested(request) => Some((request.id, None)),
        Event::RightSettled { request, settled } => Some((request.id, Some(*settled))),
        _ => None,
    };
    log.0.lock().unwrap().iter().filter_map(of).collect()
}

#[tokio::test]
async fn what_is_allowed_once_is_allowed_once() {
    let log = Log::default();
    let world = world(&log);
    let agent = world.agent(&["ask:fs.write:/home/**", "fs.read:/home/**"]).await;
    let (result, ()) = tokio::join!(world.call(&agent, write("/home/x", "hello")), async {
        let asked = request(&world).await;
        assert_eq!((asked.pid, asked.call.name), (agent.pid(), "WriteFile"));
        assert_eq!(asked.wanted.to_string(), "fs.write:/home/x");
        // The exact arguments, and nothing done so far.
        let arguments = v1::WriteFile::decode(asked.arguments.clone()).unwrap();
        assert_eq!(arguments, write("/home/x", "hello"));
        assert_eq!(world.errno(&agent, read("/home/x")).await, Errno::ENOENT);
        assert_eq!(world.kernel.in_use().right_requests, 1);
        world.kernel.answer_request(&world.kernel.init(), asked.id, Answer::Once).unwrap();
    });
    result.unwrap();
    assert_eq!(world.call(&agent, read("/home/x")).await.unwrap().data, "hello");
    assert_eq!(world.kernel.in_use().right_requests, 0);
    // The next call asks again.
    let denied =
        answered(&world, Answer::Deny, world.call(&agent, write("/home/x", "more"))).await.unwrap_err();
    assert_eq!((denied.errno, missing(&denied)), (Errno::EACCES, "fs.write:/home/x"));
    assert!(denied.message.contains("process 1 denied it"), "{}", denied.message);
    assert_eq!(world.call(&agent, read("/home/x")).await.unwrap().data, "hello");
    // One record each, which says who decided.
    let writes: Vec<_> =
        records(&world, &agent).into_iter().filter(|record| record.call.name == "WriteFile").collect();
    let by = |record: &Record| match &record.decision {
        Decision::Answered { grant, by } => Some((grant.to_string(), *by)),
        _ => None,
    };
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(by(&writes[0]), Some(("fs.write:/home/x".to_owned(), Pid::INIT)));
    assert_eq!((&writes[1].decision, writes[1].outcome), (&Decision::Refused, Err(Errno::EACCES)));
    // Everybody who listens has heard of both, in order.
    let told = told(&log);
    let by = Pid::INIT;
    assert_eq!(told.len(), 4);
    assert_eq!(told[0], (told[1].0, None));
    assert_eq!(told[1].1, Some(Settled::Answered { by, answer: Answer::Once }));
    assert_eq!(told[3].1, Some(Settled::Answered { by, answer: Answer::Deny }));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_is_allowed_always_is_held_from_then_on() {
    let world = World::start();
    let agent = world.agent(&["ask:fs.write:/home/**"]).await;
    answered(&world, Answer::Always, world.call(&agent, write("/home/x", "1"))).await.unwrap();
    world.call(&agent, write("/home/x", "2")).await.unwrap();
    let held = world.call(&agent, v1::GetGrants { pid: 0 }).await.unwrap().grants;
    assert_eq!(held, ["fs.write:/home/x", "ask:fs.write:/home/**"]);
    // That is what was asked for, and no more.
    answered(&world, Answer::Deny, world.call(&agent, write("/home/y", "1"))).await.unwrap_err();
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn nobody_is_asked_for_what_may_not_be_asked_for() {
    let world = World::start();
    let agent = world.agent(&["ask:fs.write:/home/a/**", "fs.read:/home/b"]).await;
    for path in ["/home/b", "/tmp/a", "/home/ab"] {
        assert_eq!(world.errno(&agent, write(path, "")).await, Errno::EACCES, "{path}");
    }
    assert_eq!(world.errno(&agent, read("/home/a/x")).await, Errno::EACCES);
    // Nor for a name that a pattern would read as many, or that text can't show.
    assert_eq!(world.errno(&agent, write("/home/a/*", "")).await, Errno::EACCES);
    assert_eq!(world.errno(&agent, write("/home/a/**", "")).await, Errno::EACCES);
    let raw = v1::WriteFile { path_raw: b"/home/a/\xff".to_vec().into(), ..Default::default() };
    assert_eq!(world.errno(&agent, raw).await, Errno::EACCES);
    // Nor where nobody can wait.
    let blocked = world.kernel.invoke_blocking(&agent, write("/home/a/x", "").into()).unwrap_err();
    assert_eq!((blocked.errno, missing(&blocked)), (Errno::EACCES, "fs.write:/home/a/x"));
    let records = records(&world, &agent);
    assert_eq!(records.len(), 8);
    assert!(records.iter().all(|record| record.outcome == Err(Errno::EACCES)));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn a_call_asks_for_all_it_needs() {
    let world = World::start();
    world.put("from", "content");
    let agent = world.agent(&["ask:fs.read:/**", "ask:fs.write:/**"]).await;
    let (copied, asked) = granted(&world, world.call(&agent, copy("/data/from", "/home/to"))).await;
    copied.unwrap();
    assert_eq!(asked, ["fs.write:/home/to", "fs.read:/data/from"]);
    let (there, asked) = granted(&world, world.call(&agent, read("/home/to"))).await;
    assert_eq!(
        (&there.unwrap().data[..], &asked[..]),
        (&b"content"[..], &["fs.read:/home/to".to_owned()][..])
    );
    // On a disk, and in a move, which lends nobody anything.
    let (moved, asked) = granted(&world, world.call(&agent, move_file("/data/from", "/data/to"))).await;
    moved.unwrap();
    assert_eq!(asked[..2], ["fs.write:/data/from", "fs.write:/data/to"]);
    assert_eq!(world.seen("to"), "content");
    // What lies below counts as a whole.
    std::fs::create_dir(world.host.path().join("d")).unwrap();
    let (removed, asked) = granted(&world, world.call(&agent, remove("/data/d", true))).await;
    removed.unwrap();
    assert_eq!(asked, ["fs.write:/data/d", "fs.write:/data/d/**"]);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_was_opened_by_an_answer_goes_on_until_something_is_taken_away() {
    let world = World::start();
    world.put("f", "content");
    let agent = world.agent(&["ask:fs.read:/data/**", "sys.info"]).await;
    let open = v1::Open { path: "/data/f".into(), read: true, ..Default::default() };
    let opened = answered(&world, Answer::Once, world.call(&agent, open)).await.unwrap();
    let some = || v1::Read { id: opened.id, max_bytes: 3 };
    assert_eq!(world.call(&agent, some()).await.unwrap().data, "con");
    let watched = answered(&world, Answer::Once, world.call(&agent, watch("/data/f"))).await.unwrap();
    world.call(&world.kernel.init(), write("/data/f", "content")).await.unwrap();
    let heard = world.call(&agent, v1::ReadWatch { id: watched.id, ..Default::default() }).await.unwrap();
    assert_eq!(heard.changes[0].path, "/data/f");
    let drop = v1::DropGrants { pid: agent.pid().0, drop: texts(&["sys.info"]), keep: Vec::new() };
    world.call(&world.kernel.init(), drop).await.unwrap();
    // Now that something was taken away, what was allowed before is to be asked for again.
    let again = answered(&world, Answer::Once, world.call(&agent, some())).await.unwrap();
    assert_eq!(again.data, "ten");
    let refused = answered(&world, Answer::Deny, world.call(&agent, some())).await.unwrap_err();
    assert_eq!(missing(&refused), "fs.read:/data/f");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn an_answer_is_void_once_something_is_taken_away() {
    let world = World::start();
    let agent = world.agent(&["ask:fs.write:/home/**", "ask:fs.read:/home/**", "sys.info"]).await;
    // The first answer is given, the second is waited for while something is taken away.
    let copying = world.call(&agent, copy("/home/a", "/home/b"));
    let (refused, ()) = tokio::join!(copying, async {
        let first = request(&world).await;
        world.kernel.answer_request(&world.kernel.init(), first.id, Answer::Once).unwrap();
        until("the second request", || {
            world.kernel.right_requests(&world.kernel.init()).first().is_some_and(|next| next.id != first.id)
        })
        .await;
        let second = request(&world).await;
        let drop = v1::DropGrants { pid: agent.pid().0, drop: texts(&["sys.info"]), keep: Vec::new() };
        world.call(&world.kernel.init(), drop).await.unwrap();
        world.kernel.answer_request(&world.kernel.init(), second.id, Answer::Once).unwrap();
    });
    assert_eq!(missing(&refused.unwrap_err()), "fs.write:/home/b");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn who_may_answer() {
    let world = World::start();
    let parent = world.agent(&["fs.write:/home/**", "proc.spawn:/**"]).await;
    let agent = world.child(&parent, &["ask:fs.write:/home/**", "proc.spawn:/**"]).await;
    let child = world.child(&agent, &["ask:fs.write:/home/**"]).await;
    let stranger = world.agent(&["fs.write:/home/**"]).await;
    let steward = world.agent(&["proc.control", "fs.write:/home/**"]).await;
    let poor = world.agent(&["proc.control"]).await;
    let kernel = &world.kernel;
    let (written, ()) = tokio::join!(world.call(&agent, write("/home/x", "")), async {
        let id = request(&world).await.id;
        for (who, caller) in [("itself", &agent), ("its child", &child), ("a stranger", &stranger)] {
            assert_eq!(
                kernel.answer_request(caller, id, Answer::Once).unwrap_err().errno,
                Errno::ENOENT,
                "{who}"
            );
            assert!(kernel.right_requests(caller).is_empty(), "{who}");
            assert!(!kernel.may_answer(caller, agent.pid()), "{who}");
        }
        for caller in [&parent, &steward, &poor] {
            assert_eq!(kernel.right_requests(caller).len(), 1);
            assert!(kernel.may_answer(caller, agent.pid()));
        }
        let beyond = kernel.answer_request(&poor, id, Answer::Once).unwrap_err();
        assert_eq!(beyond.errno, Errno::EPERM);
        assert_eq!(beyond.cause.as_deref(), Some(&Cause::Right("fs.write:/home/x".to_owned())));
        assert_eq!(kernel.answer_request(&poor, id + 1, Answer::Deny).unwrap_err().errno, Errno::ENOENT);
        kernel.answer_request(&steward, id, Answer::Once).unwrap();
        assert_eq!(
            kernel.answer_request(&steward, id, Answer::Once).unwrap_err().errno,
            Errno::ENOENT,
            "twice"
        );
    });
    written.unwrap();
    // Every answer is on record, with what let it be given.
    let answers = |caller| records(&world, caller).into_iter().filter(|it| it.call.name == "AnswerRequest");
    assert_eq!(answers(&agent).map(|record| record.outcome).collect::<Vec<_>>(), [Err(Errno::ENOENT)]);
    let first = answers(&steward).next().unwrap();
    assert_eq!(first.outcome, Ok(()));
    assert!(matches!(first.decision, Decision::Grant(grant) if grant.to_string() == "proc.control"));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn nobody_keeps_more_than_their_parent_has() {
    let world = World::start();
    let parent = world.agent(&["ask:fs.write:/home/**", "proc.spawn:/**"]).await;
    let child = world.child(&parent, &["ask:fs.write:/home/**"]).await;
    let (written, ()) = tokio::join!(world.call(&child, write("/home/x", "")), async {
        let (kernel, init) = (&world.kernel, world.kernel.init());
        let id = request(&world).await.id;
        let beyond = kernel.answer_request(&init, id, Answer::Always).unwrap_err();
        assert_eq!(beyond.errno, Errno::EPERM);
        assert!(beyond.message.contains("its parent doesn't have"), "{}", beyond.message);
        // Its own parent may only ask itself.
        assert_eq!(kernel.answer_request(&parent, id, Answer::Once).unwrap_err().errno, Errno::EPERM);
        // It still waits.
        kernel.answer_request(&init, id, Answer::Once).unwrap();
    });
    written.unwrap();
    assert_eq!(world.call(&child, v1::GetGrants { pid: 0 }).await.unwrap().grants, ["ask:fs.write:/home/**"]);
    // A child gets no leave that its parent would have to ask for; the other way round it does.
    let beyond = CreateProcessRequest { grants: texts(&["fs.write:/home/x"]), ..Default::default() };
    assert_eq!(within(world.kernel.create_process(&parent, beyond)).await.unwrap_err().errno, Errno::EPERM);
    let rich = world.agent(&["fs.write:/home/**", "proc.spawn:/**"]).await;
    let careful = world.child(&rich, &["ask:fs.write:/home/y/**"]).await;
    // What is taken from the parent takes what the child may ask for along.
    let drop = v1::DropGrants { pid: rich.pid().0, drop: texts(&["fs.write:/home/**"]), keep: Vec::new() };
    world.call(&world.kernel.init(), drop).await.unwrap();
    assert!(world.call(&careful, v1::GetGrants { pid: 0 }).await.unwrap().grants.is_empty());
    assert_eq!(world.errno(&careful, write("/home/y/z", "")).await, Errno::EACCES);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn nobody_waits_for_ever_and_not_too_many_wait() {
    let log = Log::default();
    let limits = Limits {
        right_requests: 3,
        right_requests_per_process: 2,
        right_request_patience: Duration::from_millis(30),
        ..Limits::default()
    };
    let world = limited(&log, limits);
    let agent = world.agent(&["ask:fs.write:/home/**"]).await;
    let late = world.call(&agent, write("/home/x", "")).await.unwrap_err();
    assert_eq!((late.errno, missing(&late)), (Errno::EACCES, "fs.write:/home/x"));
    assert!(late.message.contains("nobody answered"), "{}", late.message);
    assert_eq!(told(&log).last().unwrap().1, Some(Settled::TimedOut));
    world.kernel.shut_down().await;

    let limits = Limits { right_requests: 3, right_requests_per_process: 2, ..Limits::default() };
    let world = limited(&log, limits);
    let (one, other) =
        (world.agent(&["ask:fs.write:/home/**"]).await, world.agent(&["ask:fs.write:/home/**"]).await);
    let ask = |agent: &Caller| {
        let (kernel, agent) = (world.kernel.clone(), agent.clone());
        tokio::spawn(async move { kernel.invoke(&agent, write("/home/x", "").into()).await })
    };
    let mut waiting = vec![ask(&one), ask(&one), ask(&other)];
    let waiters = || world.kernel.in_use().right_requests;
    until("three wait", || waiters() == 3).await;
    for (agent, whose) in [(&one, "2 of 2 requests of this process"), (&other, "3 of 3 requests in all")] {
        let full = world.call(agent, write("/home/x", "")).await.unwrap_err();
        assert_eq!((full.errno, missing(&full)), (Errno::EACCES, "fs.write:/home/x"));
        assert!(full.message.contains(whose), "{}", full.message);
    }
    // One that is given up makes room.
    waiting.pop().unwrap().abort();
    until("one is given up", || waiters() == 2).await;
    let third = give_up(world.call(&other, write("/home/x", ""))).await;
    assert!(third.is_none(), "{third:?}");
    // Those of a process that ends go with it.
    let kill = v1::KillProcess { pid: one.pid().0, tree: true };
    world.call(&world.kernel.init(), kill).await.unwrap();
    for call in waiting {
        assert_eq!(within(call).await.unwrap().unwrap_err().errno, Errno::ESRCH);
    }
    assert_eq!(waiters(), 0);
    let ends = told(&log).iter().filter(|(_, settled)| *settled == Some(Settled::GivenUp)).count();
    assert_eq!(ends, 4);
    let given_up =
        records(&world, &other).into_iter().filter(|it| it.outcome == Err(Errno::ECANCELED)).count();
    assert_eq!(given_up, 2, "each call is on record once");
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn processes_the_network_and_whole_files_are_asked_for_too() {
    let world = World::start();
    let server = Server::start(|_| common::network::fine("hello"));
    let at = server.at;
    let agent = world
        .agent(&["ask:proc.spawn:/**", "ask:net.connect:127.0.0.0/8", "ask:fs.read:/**", "ask:fs.write:/**"])
        .await;
    let url = format!("http://{at}/");
    let get = v1::NetworkRequest { url, ..Default::default() };
    let (answer, asked) = granted(&world, world.call(&agent, get)).await;
    assert_eq!((&answer.unwrap().body[..], asked), (&b"hello"[..], vec![format!("net.connect:{at}")]));
    assert_eq!(at.ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (started, asked) = granted(&world, world.call(&agent, shell("exit 3"))).await;
    let pid = started.unwrap().pid;
    // The shell may be a link to another.
    assert!(
        asked.iter().all(|it| it.starts_with("proc.spawn:/")) && asked[0] == "proc.spawn:/bin/sh",
        "{asked:?}"
    );
    let ended = world.call(&agent, v1::WaitProcess { pid, timeout_us: None }).await.unwrap();
    assert_eq!(ended.code, 3);
    let (made, asked) =
        granted(&world, world.kernel.create_process(&agent, CreateProcessRequest::default())).await;
    assert!(
        made.is_err() && asked.is_empty(),
        "a pattern of paths lets nobody make a process without a program"
    );
    world.put("f", "content");
    let (download, asked) = granted(&world, world.kernel.open_download(&agent, "/data/f")).await;
    assert_eq!(asked, ["fs.read:/data/f"]);
    assert_eq!(download.unwrap().read(0, 100).await.unwrap(), "content");
    let (upload, asked) = granted(&world, world.kernel.begin_upload(&agent, "/data/g", Existing::Keep)).await;
    assert_eq!(asked, ["fs.write:/data/g"]);
    let mut upload = upload.unwrap();
    upload.write("new".into()).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(world.seen("g"), "new");
    let names: Vec<_> = records(&world, &agent).iter().map(|record| record.call.name).collect();
    assert_eq!(
        names,
        ["NetworkRequest", "SpawnProcess", "WaitProcess", "CreateProcess", "ReadFile", "WriteFile"]
    );
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn what_may_be_asked_for_is_not_shown_to_a_program() {
    let world = World::start();
    world.put("secret", "content");
    // The program sees what may be read; what would have to be asked for is not there for it.
    let agent = world
        .agent(&[
            "proc.spawn:/**",
            "fs.read:/usr/**",
            "fs.read:/bin/**",
            "fs.read:/lib/**",
            "fs.read:/lib64/**",
            "ask:fs.read:/data/**",
        ])
        .await;
    let spawn = v1::SpawnProcess { inherit_grants: true, ..shell("cat /data/secret || exit 7") };
    let pid = world.call(&agent, spawn).await.unwrap().pid;
    let ended = world.call(&agent, v1::WaitProcess { pid, timeout_us: None }).await.unwrap();
    assert_eq!(ended.code, 7);
    assert_eq!(world.kernel.in_use().right_requests, 0);
    // By a call, it is asked for.
    let (listed, asked) = granted(&world, world.call(&agent, list("/data"))).await;
    assert_eq!((listed.unwrap().entries.len(), asked), (1, vec!["fs.read:/data".to_owned()]));
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn each_call_gets_its_own_answer() {
    let world = World::start();
    let agent = world.agent(&["ask:fs.write:/home/**"]).await;
    let (kernel, init) = (&world.kernel, world.kernel.init());
    let (one, other, ()) = tokio::join!(
        world.call(&agent, write("/home/1", "")),
        world.call(&agent, write("/home/2", "")),
        async {
            until("both wait", || kernel.right_requests(&init).len() == 2).await;
            for asked in kernel.right_requests(&init) {
                let first = asked.wanted.to_string().ends_with('1');
                let answer = if first { Answer::Deny } else { Answer::Once };
                kernel.answer_request(&init, asked.id, answer).unwrap();
            }
        }
    );
    assert_eq!(one.unwrap_err().errno, Errno::EACCES);
    other.unwrap();
    world.kernel.shut_down().await;
}
