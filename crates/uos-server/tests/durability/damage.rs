//! Databases that can't be used: the server says so, ends, and leaves them as they are.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, sqlite::SqliteConnectOptions};

use crate::{
    desk::{Survey, state, text, window},
    dice::{Dice, count},
    place::Place,
    server::Server,
};

/// A data directory with a desktop in it.
struct Made {
    _dir: tempfile::TempDir,
    data: PathBuf,
    /// All that it ever was.
    history: Vec<Value>,
}

/// How the server that made it has ended.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// All is in the file.
    Stopped,
    /// The newest is in the log beside it.
    Killed,
}

async fn made(end: End) -> Made {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let mut client = server.client();
    let mut history = vec![faces(&Survey::of(&mut client).await)];
    for n in 0..4 {
        let app = client.post("/registry/apps/notes/launch", &json!({})).await.expect("it runs").good();
        history.push(faces(&Survey::of(&mut client).await));
        let id = text(&app["id"]);
        let mut body = window(1_000 + n);
        body["window_id"] = app["window_id"].clone();
        client.post(&format!("/apps/{id}/window"), &body).await.expect("it runs").good();
        history.push(faces(&Survey::of(&mut client).await));
        client.put(&format!("/apps/{id}/state"), &state(1_500 + n)).await.expect("it runs").good();
        history.push(faces(&Survey::of(&mut client).await));
        client.post("/sessions", &json!({ "name": format!("session {n}") })).await.expect("it runs").good();
        history.push(faces(&Survey::of(&mut client).await));
    }
    let manifest = json!({ "id": "x", "title": "X", "ui_spec": { "version": 1, "view": {} } });
    client.put("/registry/apps/added", &manifest).await.expect("it runs").good();
    client.post("/login", &json!({})).await.expect("it runs").good();
    match end {
        End::Stopped => server.stop(),
        End::Killed => server.kill(),
    }
    let logged = data.join("uos.db-wal").exists();
    assert_eq!(logged, end == End::Killed, "who is stopped leaves no log, who is killed does");
    Made { _dir: dir, data, history }
}

impl Made {
    fn database(&self) -> PathBuf {
        self.data.join("uos.db")
    }

    fn log(&self) -> PathBuf {
        self.data.join("uos.db-wal")
    }

    async fn execute(&self, statement: &str) {
        let options = SqliteConnectOptions::new().filename(self.database());
        let mut connection = options.connect().await.expect("it is a database");
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.expect("it can be changed");
        connection.close().await.expect("it can be closed");
    }

    /// The server must not start, must say why in these words and what to do, and must leave every byte where it is.
    fn refuses(&self, words: &[&str]) {
        let before = bytes_of(&self.data);
        let Err(refused) = Server::try_start(&self.data) else { panic!("it starts on this: {words:?}") };
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        for word in words.iter().chain(&["uos-server: the database ", "uos.db"]) {
            assert!(refused.said.contains(word), "{word:?} is not in: {}", refused.said);
        }
        assert!(!refused.said.contains("panicked"), "{}", refused.said);
        let after = bytes_of(&self.data);
        assert!(before == after, "a file was changed that can't be used: {}", refused.said);
    }

    /// The server must start, and show what there was.
    async fn shows_everything(&self) {
        let server = Server::start(&self.data);
        let there = Survey::of(&mut server.client()).await;
        assert_eq!(Some(&faces(&there)), self.history.last());
        server.stop();
    }
}

/// What is in the database and its log. The index of the log is SQLite's own, and is made anew from the log.
fn bytes_of(data: &Path) -> [Option<Vec<u8>>; 3] {
    ["uos.db", "uos.db-wal", "uos.db-journal"].map(|name| fs::read(data.join(name)).ok())
}

/// Everything but the processes.
fn faces(survey: &Survey) -> Value {
    let without_process = |app: &Value| {
        let mut app = app.clone();
        app["pid"] = json!(null);
        app
    };
    let apps: Vec<_> = survey.apps.values().map(without_process).collect();
    let sessions: Vec<_> = survey.sessions.iter().map(|(name, (id, apps))| json!([name, id, apps])).collect();
    json!([apps, sessions])
}

fn flip(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("it is there");
    change(&mut bytes);
    fs::write(path, bytes).expect("it can be written");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_program_is_left_alone() {
    let there = made(End::Stopped).await;
    there.execute("PRAGMA application_id = 1").await;
    there.refuses(&["of another program"]);
    there.execute("PRAGMA application_id = 0").await;
    there.refuses(&["of another program"]);
    fs::write(there.database(), b"a letter to my grandmother, and no database at all".repeat(100))
        .expect("it can be written");
    there.refuses(&["is damaged", "put a copy back"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_database_is_left_alone() {
    let there = made(End::Stopped).await;
    there
        .execute("INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 1)")
        .await;
    there.refuses(&["a newer version of uOS"]);
    there.execute("DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    there.shows_everything().await;
    there.execute("UPDATE _sqlx_migrations SET checksum = x'00'").await;
    there.refuses(&["is damaged", "schema"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_cut_short_is_left_alone() {
    for end in [End::Stopped, End::Killed] {
        let there = made(end).await;
        let whole = fs::read(there.database()).expect("it is there");
        for length in [0, 1, 100, 4_095, 4_096, whole.len() / 2, whole.len() - 4_096, whole.len() - 1] {
            // What the log holds of the file is not missed in it.
            if end == End::Killed && length >= 4_096 {
                continue;
            }
            fs::write(there.database(), &whole[..length]).expect("it can be written");
            println!("{length} of {} bytes", whole.len());
            there.refuses(&["is damaged", "move it away"]);
        }
        fs::write(there.database(), &whole).expect("it can be written");
        there.shows_everything().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_without_its_database_is_left_alone() {
    let there = made(End::Killed).await;
    assert!(fs::metadata(there.log()).is_ok_and(|log| log.len() > 0), "a killed server leaves its log");
    let database = fs::read(there.database()).expect("it is there");
    fs::remove_file(there.database()).expect("it can be removed");
    there.refuses(&["is damaged", "log"]);
    fs::write(there.database(), b"").expect("it can be written");
    there.refuses(&["is damaged", "log"]);
    fs::write(there.database(), database).expect("it can be written");
    there.shows_everything().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stray_files_beside_a_database_do_no_harm() {
    for end in [End::Stopped, End::Killed] {
        let there = made(end).await;
        fs::write(there.data.join("uos.db-shm"), [0xa5; 32_768]).expect("it can be written");
        there.shows_everything().await;
        fs::write(there.data.join("uos.db-shm"), b"short").expect("it can be written");
        fs::write(there.log(), b"").expect("it can be written");
        there.shows_everything().await;
        // What a first start leaves that was killed.
        for name in ["uos.db.new", "uos.db.new-wal", "uos.db.new-shm", "uos.db.new-journal"] {
            fs::write(there.data.join(name), [0xa5; 5_000]).expect("it can be written");
        }
        there.shows_everything().await;
        assert!(!there.data.join("uos.db.new").exists(), "what is unfinished is removed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contents_that_make_no_sense_are_found_before_anything_is_written() {
    for (statement, what) in [
        ("UPDATE apps SET ui_spec = '{'", "no JSON"),
        ("UPDATE windows SET state = 'flying'", "no such state"),
        ("UPDATE windows SET width = -1", "no such size"),
        ("DELETE FROM windows WHERE version > 0", "an app without a window"),
        ("UPDATE session_apps SET app = '[]'", "a session of something else"),
        ("UPDATE manifests SET manifest = '{}'", "half a manifest"),
        ("DROP TABLE session_apps", "no table"),
        ("UPDATE windows SET x = x + 1 WHERE version = 2", "another number"),
        ("UPDATE app_states SET state = replace(state, 'xxx', 'xyx')", "another letter"),
        ("UPDATE sessions SET name = name || '.'", "another name"),
        (
            "CREATE TRIGGER t AFTER UPDATE ON windows BEGIN DELETE FROM apps; END",
            "something of somebody else's",
        ),
        ("PRAGMA foreign_keys = OFF; DELETE FROM apps", "windows of no app"),
    ] {
        println!("{what}");
        let there = made(End::Stopped).await;
        there.execute(statement).await;
        there.refuses(&["is damaged"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_types_that_are_no_text_any_more_are_told() {
    let there = made(End::Stopped).await;
    let whole = fs::read(there.database()).expect("it is there");
    for text in
        ["checksum BLOB", "success BOOLEAN", "window_id", "expires_us", "CREATE TABLE apps", "REFERENCES"]
    {
        let at = whole.windows(text.len()).position(|bytes| bytes == text.as_bytes());
        let last = at.unwrap_or_else(|| panic!("{text} is not in the file")) + text.len() - 1;
        fs::write(there.database(), &whole).expect("it can be written");
        flip(&there.database(), |bytes| bytes[last] = 0xc0);
        // What the library calls its own table's columns is nothing to us, so that one may be read all the same.
        if text.starts_with("checksum") || text.starts_with("success") {
            there.shows_everything().await;
        } else {
            there.refuses(&["is damaged"]);
        }
    }
}

/// Every damage is refused or does no harm. Never is something shown that nobody wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_damage_is_reported_or_harmless() {
    let cases = count("UOS_CAMPAIGN_DAMAGES", 40);
    let mut dice = Dice::of_the_campaign("damage");
    let there = made(End::Stopped).await;
    let whole = fs::read(there.database()).expect("it is there");
    let (mut refused, mut harmless) = (0, 0);
    for _ in 0..cases {
        fs::write(there.database(), &whole).expect("it can be written");
        let mut what = Vec::new();
        flip(&there.database(), |bytes| {
            for _ in 0..=dice.below(4) {
                let at = dice.below(bytes.len() as u64) as usize;
                let length = [1, 1, 1, 16, 512][dice.below(5) as usize];
                let mask = (1 + dice.below(255)) as u8;
                bytes.iter_mut().skip(at).take(length).for_each(|byte| *byte ^= mask);
                what.push((at, length, mask));
            }
        });
        let before = bytes_of(&there.data);
        match Server::try_start(&there.data) {
            Ok(server) => {
                let survey = Survey::of(&mut server.client()).await;
                assert_eq!(
                    Some(&faces(&survey)),
                    there.history.last(),
                    "shown as if it were sound: {what:?}"
                );
                harmless += 1;
                server.stop();
            }
            Err(why) => {
                let told = why.status.code() == Some(1) && !why.said.contains("panicked");
                assert!(told, "{why:?} of {what:?}");
                let said = why.said.contains("is damaged")
                    || why.said.contains("of another program")
                    || why.said.contains("a newer version");
                assert!(said, "{why:?} of {what:?}");
                assert!(before == bytes_of(&there.data), "changed, though damaged: {what:?}");
                refused += 1;
            }
        }
        let _ = fs::remove_file(there.log());
    }
    assert!(refused > 0, "no damage was found at all");
    println!(
        "{cases} damages: {refused} reported and left as they were, {harmless} harmless, 0 shown as sound"
    );
}

/// SQLite takes the damaged end of a log for one that was being written, and goes back to the commit before it: what is
/// shown was once so, all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_damage_to_the_log_leads_back_to_an_earlier_commit_at_worst() {
    let cases = count("UOS_CAMPAIGN_DAMAGES", 40) / 2;
    let mut dice = Dice::of_the_campaign("damage to the log");
    let there = made(End::Killed).await;
    let (log, database) =
        (fs::read(there.log()).expect("it is there"), fs::read(there.database()).expect("it is there"));
    let mut commits = BTreeSet::new();
    for _ in 0..cases {
        fs::write(there.database(), &database).expect("it can be written");
        let at = dice.below(log.len() as u64) as usize;
        let mask = (1 + dice.below(255)) as u8;
        fs::write(there.log(), &log).expect("it can be written");
        flip(&there.log(), |bytes| bytes[at] ^= mask);
        let server = Server::start(&there.data);
        let shown = faces(&Survey::of(&mut server.client()).await);
        let commit = there.history.iter().rposition(|earlier| *earlier == shown);
        commits.insert(commit.unwrap_or_else(|| panic!("{at} ^ {mask}: it was never so: {shown}")));
        server.stop();
    }
    println!(
        "{cases} damages to the log: {} of {} commits shown, each whole",
        commits.len(),
        there.history.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_written_is_told_and_left() {
    let place = Place::make();
    place.mount_memory(8 << 20);
    let there = made(End::Killed).await;
    let data = place.root().join("data");
    fs::create_dir(&data).expect("it can be made");
    for file in fs::read_dir(&there.data).expect("it is there").flatten().filter(|file| file.path().is_file())
    {
        fs::copy(file.path(), data.join(file.file_name())).expect("it can be copied");
    }
    let before = bytes_of(&data);
    let file_only = place.make_file_read_only(&data.join("uos.db"));
    let refused = Server::try_start(&data).err().expect("a database that can't be written is refused");
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.said.contains("uos.db can't be used: it can't be written"), "{refused:?}");
    drop(file_only);
    assert!(before == bytes_of(&data));
    place.make_read_only();
    let refused = Server::try_start(&data).err().expect("a directory that can't be written is refused");
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.said.contains("Read-only file system") && refused.said.contains("data"), "{refused:?}");
    assert!(before == bytes_of(&data));
}
