//! A full disk: what needs room is refused and changes nothing; who reads, makes room or logs in is served.

use std::{fs::File, io::Write, path::Path};

use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    desk::{Survey, check_database, shown, state, text, window, window_of},
    dice::count,
    place::Place,
    server::Server,
};

const DISK_BYTES: u64 = 2 << 20;

/// Takes all room there is, to the last page.
fn fill(path: &Path) {
    let mut filler = File::create(path).expect("a name takes no room");
    for length in [65_536, 4_096, 1] {
        while filler.write_all(&vec![0; length]).is_ok() {}
    }
}

/// What a server shows, without the processes and without times.
async fn shown_by(client: &mut Client) -> Value {
    let survey = Survey::of(client).await;
    let app =
        |app: &Value| json!([app["id"], app["version"], app["state_version"], window_of(app), app["state"]]);
    let apps: Vec<_> = survey.apps.values().map(app).collect();
    let sessions = survey.sessions.iter();
    let sessions: Vec<_> = sessions
        .map(|(name, (id, apps))| json!([name, id, apps.values().map(app).collect::<Vec<_>>()]))
        .collect();
    let registry = client.get("/registry/apps").await.expect("it runs").good();
    json!([apps, sessions, registry])
}

async fn launch(client: &mut Client) -> Value {
    client.post("/registry/apps/notes/launch", &json!({})).await.expect("it runs").good()
}

async fn put_window(client: &mut Client, app: &Value, n: u64) -> Answer {
    let mut body = window(n);
    body["window_id"] = app["window_id"].clone();
    client.post(&format!("/apps/{}/window", text(&app["id"])), &body).await.expect("it runs")
}

async fn save(client: &mut Client, name: &str) -> Answer {
    client.post("/sessions", &json!({ "name": name })).await.expect("it runs")
}

/// Everything that needs room is refused, and leaves everything as it was.
async fn refuses_what_needs_room(client: &mut Client, app: &Value, session: &str) {
    // What still fits into the last page that is half empty may be done.
    let mut n = 0;
    while put_window(client, app, n).await.status == 200 {
        n += 1;
        assert!(n < 1_000, "a full disk takes everything");
    }
    let before = shown_by(client).await;
    let id = text(&app["id"]);
    let manifest = json!({ "id": "x", "title": "X", "ui_spec": { "version": 1, "view": {} } });
    let refused = [
        put_window(client, app, 777).await,
        client.put(&format!("/apps/{id}/state"), &state(777)).await.expect("it runs"),
        save(client, "one too many").await,
        client.post(&format!("/sessions/{session}/restore"), &json!({})).await.expect("it runs"),
        client.post("/registry/apps/notes/launch", &json!({})).await.expect("it runs"),
        client.put("/registry/apps/one-too-many", &manifest).await.expect("it runs"),
    ];
    for answer in refused {
        answer.refused(507, "disk_full");
    }
    assert_eq!(shown_by(client).await, before, "a refused change has changed something");
}

/// Logs in with the token; the login then opens the desktop.
async fn logs_in(client: &mut Client) -> String {
    let answer = client.post("/login", &json!({})).await.expect("it runs");
    let login = answer.login.clone().unwrap_or_else(|| panic!("no login: {}", answer.body));
    answer.good();
    client.with_login(&login).get("/apps").await.expect("it runs").good();
    login
}

/// Takes everything away: the rounds of a long run would fill the disk by themselves.
async fn tidy(client: &mut Client) {
    let survey = Survey::of(client).await;
    for id in survey.apps.keys() {
        client.delete(&format!("/apps/{id}")).await.expect("it runs").good();
    }
    for (id, _) in survey.sessions.values() {
        client.delete(&format!("/sessions/{id}")).await.expect("it runs").good();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_needs_room_and_nothing_else() {
    let rounds = count("UOS_CAMPAIGN_FULL_DISKS", 3);
    let place = Place::make();
    place.mount_memory(DISK_BYTES);
    let (data, filler) = (place.root().join("data"), place.root().join("filler"));
    let mut server = Server::start(&data);
    for round in 0..rounds {
        let mut client = server.client();
        let app = launch(&mut client).await;
        let child = launch(&mut client).await;
        put_window(&mut client, &app, 100 + round).await.good();
        let session = text(&save(&mut client, &format!("before {round}")).await.good()["id"]);
        let spare = text(&save(&mut client, &format!("spare {round}")).await.good()["id"]);
        let manifest = json!({ "id": "x", "title": "X", "ui_spec": { "version": 1, "view": {} } });
        client.put("/registry/apps/added", &manifest).await.expect("it runs").good();

        fill(&filler);
        refuses_what_needs_room(&mut client, &app, &session).await;
        let first_login = logs_in(&mut client).await;
        client.delete(&format!("/apps/{}", text(&child["id"]))).await.expect("it runs").good();
        client.delete(&format!("/sessions/{spare}")).await.expect("it runs").good();
        client.delete("/registry/apps/added").await.expect("it runs").good();
        refuses_what_needs_room(&mut client, &app, &session).await;
        client.with_login(&first_login).post("/logout", &json!({})).await.expect("it runs").good();
        // Many times over: what one deletion takes, the next one has again.
        let mut login = String::new();
        for _ in 0..120 {
            login = logs_in(&mut client).await;
        }
        let kept = shown_by(&mut client).await;

        // On the full disk too it comes back, with all that it has acknowledged.
        server.kill();
        server = Server::start(&data);
        let mut client = server.client();
        assert_eq!(shown_by(&mut client).await, kept);
        assert_eq!(client.with_login(&first_login).get("/apps").await.expect("it runs").status, 401);
        client.with_login(&login).get("/apps").await.expect("it runs").good();
        refuses_what_needs_room(&mut client, &app, &session).await;
        logs_in(&mut client).await;

        std::fs::remove_file(&filler).expect("there is one");
        put_window(&mut client, &app, 200 + round).await.good();
        save(&mut client, &format!("after {round}")).await.good();
        let after = client.get(&format!("/apps/{}", text(&app["id"]))).await.expect("it runs").good();
        assert_eq!(window_of(&after), shown(&window(200 + round)));
        let kept = shown_by(&mut client).await;
        server.kill();
        check_database(&data).await;
        server = Server::start(&data);
        assert_eq!(shown_by(&mut server.client()).await, kept);
        tidy(&mut server.client()).await;
    }
    server.stop();
    check_database(&data).await;
    println!("{rounds} full disks: nothing lost, nothing half, reads, deletions and logins served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_start_on_a_full_disk_says_so_and_can_be_made_later() {
    let place = Place::make();
    place.mount_memory(DISK_BYTES);
    let (data, filler) = (place.root().join("data"), place.root().join("filler"));
    fill(&filler);
    let mut refusals = 0;
    // A little more room each time: every step of the first start is the one that fails once.
    let bytes = std::fs::metadata(&filler).expect("there is one").len();
    for room in (0..bytes).step_by(16 << 10) {
        File::options()
            .write(true)
            .open(&filler)
            .and_then(|file| file.set_len(bytes - room))
            .expect("it gets shorter");
        match Server::try_start(&data) {
            Ok(server) => {
                let answer =
                    put_window(&mut server.client(), &json!({ "id": "none", "window_id": "none" }), 1).await;
                assert!([404, 507].contains(&answer.status), "{}", answer.body);
                server.stop();
                println!("{refusals} first starts refused for want of room, then one with {room} bytes");
                assert!(refusals > 0, "there was room from the beginning");
                return;
            }
            Err(refused) => {
                refusals += 1;
                assert_eq!(refused.status.code(), Some(1), "{refused:?}");
                let said = ["disk is full", "No space left on device"]
                    .iter()
                    .any(|word| refused.said.contains(word));
                assert!(said && !refused.said.contains("panicked"), "{refused:?}");
            }
        }
    }
    panic!("the server never starts");
}
