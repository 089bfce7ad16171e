//! Paths that the caller has no right on: refused in the same words whatever is there, or nothing.

use std::os::unix::fs::symlink as link_on_host;

use uos_proto::{TABLE, v1::call::Call};
use uos_syscall::{Caller, Error};

use crate::{
    answers::{is_denial, without},
    common::{World, mkdir, symlink, within, write},
    fields::{Meaning, fields},
    samples::Owner,
};

/// What the samples need, and nothing where the secrets are.
const GRANTS: &[&str] = &[
    "fs.read:/data/file",
    "fs.read:/data/folder/**",
    "fs.read:/data/link",
    "fs.read:/data/made/**",
    "fs.read:/data/mounted-*/**",
    "fs.read:/data/snapped-*/**",
    "fs.write:/data/mounted-*/**",
    "fs.write:/data/snapped-*/**",
    "fs.admin",
    "fs.write:/data/file",
    "fs.write:/data/folder/**",
    "fs.write:/data/link",
    "fs.write:/data/made/**",
    "proc.spawn:/usr/**",
    "ipc.create",
    "sched.inspect",
    "sys.info",
    "sys.admin",
];

/// A link's name, and what it says: a foreign file, nothing, itself. (One that leads to where the caller may go is
/// followed wherever it lies, as `/bin` is: who made it meant it so.)
const LINKS: [(&str, &str); 4] =
    [("qlink", "qfile"), ("qfold", "qdire"), ("qdead", "nowhere"), ("qloop", "qloop")];
const NOTHING: &str = "qnone";

/// What is said behind a name.
const BEHIND: [&str; 5] = ["", "/", "/x", "/./x", "/../qnone"];

/// Two folders with one of everything, one in memory and one of the host; the folder and the names there.
async fn secrets(world: &World) -> [(&'static str, Vec<&'static str>); 2] {
    let init = world.kernel.init();
    world.call(&init, mkdir("/tmp/secret/qdire")).await.unwrap();
    for file in ["/tmp/secret/qfile", "/tmp/secret/qdire/x"] {
        world.call(&init, write(file, "secret")).await.unwrap();
    }
    world.put("secret/qfile", "secret");
    world.put("secret/qdire/x", "secret");
    let on_host = world.host.path().join("secret");
    for (name, target) in LINKS {
        world.call(&init, symlink(target, &format!("/tmp/secret/{name}"))).await.unwrap();
        link_on_host(target, on_host.join(name)).unwrap();
    }
    let socket = std::os::unix::net::UnixListener::bind(on_host.join("qsock")).unwrap();
    drop(socket);
    let names = || ["qfile", "qdire"].into_iter().chain(LINKS.map(|(name, _)| name));
    [("/tmp/secret", names().collect()), ("/data/secret", names().chain(["qsock"]).collect())]
}

#[tokio::test]
async fn every_foreign_path_is_refused_in_the_same_words_whatever_is_there() {
    let world = World::start();
    let owner = Owner::new(&world).await;
    let folders = secrets(&world).await;
    world.set_grants(&owner.caller, GRANTS);
    let (mut calls, mut cells) = (0, 0);
    for row in &TABLE {
        for field in fields(row).into_iter().filter(|field| field.meaning == Meaning::Path) {
            calls += 1;
            let sample = owner.sample(row).await;
            for (folder, names) in &folders {
                for behind in BEHIND {
                    let on = |name: &str| field.set_text(&sample, &format!("{folder}/{name}{behind}"));
                    let absent = refusal(&world, &owner.caller, on(NOTHING)).await;
                    assert!(is_denial(&absent), "{} on {folder}/…{behind}: {absent:?}", field.name());
                    for name in names {
                        let there = refusal(&world, &owner.caller, on(name)).await;
                        let there = without(there, name, NOTHING);
                        assert_eq!(there, absent, "{} on {folder}/{name}{behind}", field.name());
                        cells += 1;
                    }
                }
            }
        }
    }
    println!("{calls} arguments, {cells} cells");
    assert!(calls >= 60, "the fields of the calls are not found");
    let init = world.kernel.init();
    let kept = world.call(&init, crate::common::read("/tmp/secret/qfile")).await.unwrap();
    assert_eq!((&kept.data[..], &*world.seen("secret/qfile")), (&b"secret"[..], "secret"));
    world.kernel.shut_down().await;
}

async fn refusal(world: &World, caller: &Caller, call: Call) -> Error {
    let info = call.info();
    match within(world.kernel.invoke(caller, call.clone())).await {
        Err(error) => error,
        Ok(reply) => panic!("{} was answered {reply:?}: {call:?}", info.name),
    }
}
