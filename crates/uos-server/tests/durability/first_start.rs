//! A first start that is killed, at every call it makes of the disk and at random moments: the next one works.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::json;
use sqlx::{
    ConnectOptions, Connection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

use crate::{
    desk::{Survey, check_database},
    dice::{Dice, count},
    server::Server,
    tracer::{Injection, Traced},
};

/// A start on what is there, which must work and show an empty desktop that takes something.
async fn starts(data: &Path, after: &str) {
    let server = Server::try_start(data).unwrap_or_else(|refused| panic!("after {after}: {refused:?}"));
    let mut client = server.client();
    let survey = Survey::of(&mut client).await;
    assert!(survey.apps.is_empty() && survey.sessions.is_empty(), "after {after}: {survey:?}");
    client.post("/registry/apps/notes/launch", &json!({})).await.expect("it runs").good();
    server.stop();
    check_database(data).await;
    let names = std::fs::read_dir(data).expect("it is there").flatten().map(|file| file.file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".new")).collect();
    assert!(left.is_empty(), "after {after}: {left:?} stays behind");
}

/// A database of ours from before the first step of the schema.
async fn make_older(data: &Path) {
    std::fs::create_dir(data).expect("it can be made");
    let options = SqliteConnectOptions::new().filename(data.join("uos.db")).create_if_missing(true);
    let mut older = options.journal_mode(SqliteJournalMode::Wal).connect().await.expect("it can be made");
    let steps = "PRAGMA application_id = 1968132913;
        CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
            installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL,
            checksum BLOB NOT NULL, execution_time BIGINT NOT NULL)";
    sqlx::raw_sql(steps).execute(&mut older).await.expect("it can be written");
    older.close().await.expect("it can be closed");
}

/// Kills starts at the n-th of some calls, n growing until a start gets through.
async fn sweep(older: bool) {
    let most = count("UOS_CAMPAIGN_FAULTS", 7);
    let (mut kills, mut runs) = (0, 0);
    for calls in ["pwrite64", "fsync,fdatasync,ftruncate,rename,unlink,fallocate", "openat,write"] {
        let mut nth = 1;
        for _ in 0..most {
            let dir = tempfile::tempdir().expect("a directory can be made");
            let data = dir.path().join("data");
            if older {
                make_older(&data).await;
            }
            let traced = Traced::start(&data, Injection { calls, what: "signal=KILL", nth, lasting: false });
            let killed = traced.started.is_err();
            traced.end();
            runs += 1;
            starts(&data, &format!("a kill at call {nth} of {calls}")).await;
            // The calls of a start that got through are fewer than that.
            if !killed {
                break;
            }
            kills += 1;
            nth += 1 + if most < 50 { nth / 2 } else { 0 };
        }
    }
    assert!(kills > 0, "no start was killed");
    let kind = if older { "starts on an older database" } else { "first starts" };
    println!("{runs} {kind}, {kills} of them killed at a call: each could be made again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_call_a_first_start_can_be_made_again() {
    sweep(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_brings_an_older_database_up_to_date_it_can_be_started_again() {
    sweep(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_a_first_start_can_be_made_again() {
    let kills = count("UOS_CAMPAIGN_SERVER_KILLS", 5) * 4;
    let mut dice = Dice::of_the_campaign("first starts");
    for _ in 0..kills {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let data = dir.path().join("data");
        // Killed several times before it may get through.
        for _ in 0..=dice.below(3) {
            let mut command = Command::new(env!("CARGO_BIN_EXE_uos-server"));
            command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
            let mut child =
                command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it can be run");
            // A start takes some tens of milliseconds.
            tokio::time::sleep(Duration::from_micros(dice.below(60_000))).await;
            child.kill().and_then(|()| child.wait()).expect("a child can be killed");
        }
        starts(&data, "kills at random").await;
    }
    println!("{kills} first starts killed at random moments: each could be made again");
}
