//! A disk that fails: at the n-th call, for every n, until nothing fails any more.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};

use crate::{
    client::Client,
    desk::{Desk, Face, Survey, check_database, shown, state, text, window},
    dice::count,
    disk::Disk,
    server::Server,
    tracer::{Injection, Traced},
};

/// One after the other, what there is to be written.
#[derive(Clone, Debug)]
enum Step {
    Move(usize, u64),
    Note(usize, u64),
    Save(&'static str),
    Restore(&'static str),
    Close(usize),
    Forget(&'static str),
}

const STEPS: [Step; 9] = [
    Step::Move(0, 1_001),
    Step::Note(0, 1_802),
    Step::Save("one"),
    Step::Move(1, 1_003),
    Step::Restore("one"),
    Step::Save("two"),
    Step::Close(1),
    Step::Forget("one"),
    Step::Move(0, 1_004),
];

/// What must be there.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    desk: Desk,
    sessions: BTreeMap<String, Desk>,
}

impl Model {
    fn of(survey: &Survey) -> Self {
        let desk = |apps: &BTreeMap<String, Value>| -> Desk {
            apps.iter().map(|(id, app)| (id.clone(), Face::of(app))).collect()
        };
        let sessions = survey.sessions.iter().map(|(name, (_, apps))| (name.clone(), desk(apps)));
        Self { desk: desk(&survey.apps), sessions: sessions.collect() }
    }

    fn face(&mut self, id: &str) -> &mut Face {
        self.desk.get_mut(id).expect("it is not closed")
    }

    fn after(&self, step: &Step, ids: &[String]) -> Self {
        let mut next = self.clone();
        match *step {
            Step::Move(app, n) => next.face(&ids[app]).window = shown(&window(n)),
            Step::Note(app, n) => next.face(&ids[app]).state = state(n),
            Step::Save(name) => drop(next.sessions.insert(name.to_owned(), next.desk.clone())),
            Step::Restore(name) => {
                let before = std::mem::replace(&mut next.desk, self.sessions[name].clone());
                next.sessions.insert("previous".to_owned(), before);
            }
            Step::Close(app) => drop(next.desk.remove(&ids[app])),
            Step::Forget(name) => drop(next.sessions.remove(name)),
        }
        next
    }
}

async fn perform(client: &mut Client, step: &Step, ids: &[String]) -> (u16, Value) {
    let survey = Survey::of(client).await;
    let id_of = |name: &str| survey.sessions.get(name).map(|(id, _)| id.clone()).unwrap_or_default();
    let answer = match *step {
        Step::Move(app, n) => {
            let mut body = window(n);
            body["window_id"] = survey.apps[&ids[app]]["window_id"].clone();
            client.post(&format!("/apps/{}/window", ids[app]), &body).await
        }
        Step::Note(app, n) => client.put(&format!("/apps/{}/state", ids[app]), &state(n)).await,
        Step::Save(name) => client.post("/sessions", &json!({ "name": name, "replace": true })).await,
        Step::Restore(name) => client.post(&format!("/sessions/{}/restore", id_of(name)), &json!({})).await,
        Step::Close(app) => client.delete(&format!("/apps/{}", ids[app])).await,
        Step::Forget(name) => client.delete(&format!("/sessions/{}", id_of(name))).await,
    };
    let answer = answer.expect("a server whose disk fails answers all the same");
    (answer.status, answer.body)
}

/// How a disk fails, and what comes then.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Once, and everything goes on.
    Once,
    /// From then on.
    Lasting,
    /// Once, and the server is killed as soon as it has told somebody.
    ThenKilled,
}

/// What a run with one injection has shown.
#[derive(Default)]
struct Seen {
    injected: usize,
    refused_start: bool,
    failures: usize,
    /// Steps that were done after others had failed.
    recovered: usize,
}

/// How often a step is tried. On a disk that fails once in a while the second try must do.
const TRIES: usize = 2;
/// The most calls of one kind that a new connection and one step take.
const CALLS: u64 = 64;

async fn run(data: &Path, injection: Injection, kind: Kind) -> Seen {
    let mut seen = Seen::default();
    let quiet = Server::start(data);
    let mut client = quiet.client();
    let before = Model::of(&Survey::of(&mut client).await);
    let ids: Vec<String> = before.desk.keys().cloned().collect();
    // The next start has a log to begin with.
    quiet.kill();

    let traced = Traced::start(data, injection);
    // What may be there: one thing for sure, or two that can't be told apart.
    let (mut model, mut possible) = (before, Vec::new());
    match &traced.started {
        Err(refused) => {
            let said = refused.said.contains("the disk fails")
                || refused.said.contains("disk is full")
                || refused.said.contains("os error");
            assert!(refused.status.code() == Some(1) && said, "{injection:?}: {refused:?}");
            assert!(!refused.said.contains("panicked"), "{injection:?}: {refused:?}");
            seen.refused_start = true;
        }
        Ok(server) => {
            let mut client = server.client();
            'steps: for step in &STEPS {
                if matches!(step, Step::Restore(name) | Step::Forget(name) if !model.sessions.contains_key(*name))
                {
                    continue;
                }
                let mut done = false;
                for _ in 0..TRIES {
                    let (status, body) = perform(&mut client, step, &ids).await;
                    let after = model.after(step, &ids);
                    if (200..300).contains(&status) {
                        (model, done) = (after, true);
                        seen.recovered += usize::from(seen.failures > 0);
                        possible.clear();
                        break;
                    }
                    seen.failures += 1;
                    match (status, body["error"]["code"].as_str()) {
                        (503, Some("storage")) | (507, Some("disk_full")) => {}
                        (503, Some("storage_unknown")) => possible.push(after),
                        _ => panic!("{injection:?}, {step:?}: {status}: {body}"),
                    }
                    if kind == Kind::ThenKilled {
                        break 'steps;
                    }
                    let there = Model::of(&Survey::of(&mut client).await);
                    assert_eq!(there, model, "{injection:?}, {step:?}: refused, and done all the same");
                }
                // Every connection has a thread of its own, which counts anew: where one fails before it could have done the
                // whole step, no try can do.
                let hopeless = injection.lasting || injection.nth <= CALLS;
                assert!(done || hopeless, "{injection:?}, {step:?}: it is never done. {}", server.said());
            }
            assert!(!server.said().contains("panicked"), "{injection:?}: {}", server.said());
        }
    }
    seen.injected = traced.end();

    check_database(data).await;
    let server = Server::start(data);
    let there = Model::of(&Survey::of(&mut server.client()).await);
    possible.push(model);
    assert!(possible.contains(&there), "{injection:?}: there is {there:?}, and not one of {possible:?}");
    server.stop();
    seen
}

/// Makes the n-th call fail, n growing until there is no n-th call any more.
async fn sweep(calls: &'static str, what: &'static str, kind: Kind) {
    let most = count("UOS_CAMPAIGN_FAULTS", 7);
    let dir = tempfile::tempdir().expect("a directory can be made");
    let made = dir.path().join("made");
    let server = Server::start(&made);
    let mut client = server.client();
    for _ in 0..2 {
        let app = client.post("/registry/apps/notes/launch", &json!({})).await.expect("it runs").good();
        text(&app["id"]);
    }
    server.stop();
    let (mut runs, mut total, mut clean) = (0, Seen::default(), false);
    // A few runs are spread wider the farther they go; with many every call has its turn.
    let mut nth = 1;
    while runs < most && !clean {
        let data = dir.path().join(format!("{nth}"));
        copy(&made, &data);
        let lasting = kind == Kind::Lasting;
        let seen = run(&data, Injection { calls, what, nth, lasting }, kind).await;
        clean = seen.injected == 0;
        assert!(
            clean || seen.failures > 0 || seen.refused_start || !lasting,
            "a failing disk goes unnoticed at {nth}"
        );
        total.injected += seen.injected;
        total.failures += seen.failures;
        total.recovered += seen.recovered;
        total.refused_start |= seen.refused_start;
        std::fs::remove_dir_all(&data).expect("it can be removed");
        runs += 1;
        nth += 1 + if most < 50 { nth / 2 } else { 0 };
    }
    let Seen { injected, failures, recovered, .. } = total;
    assert!(injected > 0 && failures > 0, "{calls} {what}: nothing has failed, which shows nothing");
    assert!(
        recovered > 0 || kind == Kind::ThenKilled,
        "{calls} {what}: after a failure nothing is done any more"
    );
    println!(
        "{calls} {what} {kind:?}: {runs} runs{}, {injected} injected, {failures} changes refused, {recovered} done after a refusal; 0 lost, 0 half",
        if clean { " until clean" } else { "" }
    );
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it can be made");
    for file in std::fs::read_dir(from).expect("it is there").flatten().filter(|file| file.path().is_file()) {
        std::fs::copy(file.path(), to.join(file.file_name())).expect("it can be copied");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_sync_is_told_and_nothing_acknowledged_is_lost() {
    sweep("fsync,fdatasync", "error=EIO", Kind::Once).await;
    sweep("fsync,fdatasync", "error=EIO", Kind::Lasting).await;
    sweep("fsync,fdatasync", "error=EIO", Kind::ThenKilled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_is_told_and_nothing_acknowledged_is_lost() {
    sweep("pwrite64", "error=ENOSPC", Kind::Once).await;
    sweep("pwrite64", "error=EIO", Kind::Lasting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_dies_is_told_and_what_was_acknowledged_is_on_it() {
    let disk = Disk::make();
    let data = disk.root().join("data");
    let server = Server::start(&data);
    let mut client = server.client();
    let app = client.post("/registry/apps/notes/launch", &json!({})).await.expect("it runs").good();
    let ids = [text(&app["id"])];
    let note = |n| Step::Note(0, n);
    let (status, body) = perform(&mut client, &note(1), &ids).await;
    assert_eq!(status, 200, "{body}");
    let model = Model::of(&Survey::of(&mut client).await);
    disk.cut();
    // It was to be committed, and nothing else can be put in its place.
    let (status, body) = perform(&mut client, &note(2), &ids).await;
    assert_eq!((status, body["error"]["code"].as_str()), (503, Some("storage_unknown")), "{body}");
    // This one was not even begun.
    let (status, body) = perform(&mut client, &note(3), &ids).await;
    assert_eq!((status, body["error"]["code"].as_str()), (503, Some("storage")), "{body}");
    assert_eq!(Model::of(&Survey::of(&mut client).await), model, "what is known is still shown");
    server.kill();
    disk.restore();
    check_database(&data).await;
    let server = Server::start(&data);
    let there = Model::of(&Survey::of(&mut server.client()).await);
    assert!([model.clone(), model.after(&note(2), &ids)].contains(&there), "{there:?}");
    server.stop();
}
