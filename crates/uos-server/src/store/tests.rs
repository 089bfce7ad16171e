use std::{
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
};

use sqlx::{Connection, SqliteConnection};

use super::{APPLICATION_ID, Fault, Store};
use crate::Error;

async fn fault(path: &Path) -> Fault {
    match Store::open(path).await {
        Err(Error::Database { fault, .. }) => fault,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// A connection to a database that was made and closed.
async fn made(path: &Path) -> SqliteConnection {
    let store = Store::open(path).await.unwrap_or_else(|error| panic!("{error}"));
    store.reader.close().await.expect("it was opened");
    store.committer.close().await.expect("it was opened");
    super::open_to_write(path).await.unwrap_or_else(|fault| panic!("{fault}"))
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

#[tokio::test]
async fn a_new_file_is_marked_synced_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("uos.db");
    let mut first = made(&path).await;
    let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut first).await.unwrap();
    let synchronous: i32 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut first).await.unwrap();
    assert_eq!((id, synchronous), (APPLICATION_ID, 2), "2 is FULL");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    first.close().await.unwrap();
    made(&path).await.close().await.unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_sound_database_of_ours_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("uos.db");
    let text = b"this is a letter to my grandmother, and no database at all".repeat(20);
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(fault(&path).await, Fault::Damaged(_)));
    assert_eq!(std::fs::read(&path).unwrap(), text);

    std::fs::remove_file(&path).unwrap();
    made(&path).await.close().await.unwrap();
    // The pages behind the first hold tables and indexes; with their heads gone the file is inconsistent.
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4_096;
    (1..pages).for_each(|page| file.write_all_at(&[0xa5; 64], page * 4_096).unwrap());
    let damaged = std::fs::read(&path).unwrap();
    assert!(matches!(fault(&path).await, Fault::Damaged(_)));
    assert_eq!(std::fs::read(&path).unwrap(), damaged);
}

#[tokio::test]
async fn a_newer_file_and_another_programs_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("uos.db");
    let mut newer = made(&path).await;
    execute(
        &mut newer,
        "INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 1)",
    )
    .await;
    newer.close().await.unwrap();
    assert!(matches!(fault(&path).await, Fault::Newer));

    let other = dir.path().join("other.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&other).create_if_missing(true);
    let mut foreign = SqliteConnection::connect_with(&options).await.unwrap();
    execute(&mut foreign, "CREATE TABLE bookmarks (url TEXT)").await;
    foreign.close().await.unwrap();
    let before = std::fs::read(&other).unwrap();
    assert!(matches!(fault(&other).await, Fault::Foreign));
    assert_eq!(std::fs::read(&other).unwrap(), before);
}

#[tokio::test]
async fn a_directory_in_its_place_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("uos.db");
    std::fs::create_dir(&path).unwrap();
    fault(&path).await;
}
