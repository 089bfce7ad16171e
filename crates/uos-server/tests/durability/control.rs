//! A writer that is nothing but SQLite, with the server's schema and its way of committing: many changes in one transaction,
//! acknowledged after the commit. It runs as a process of its own, with whichever `synchronous` it is told, and shows that
//! the power cuts can be seen: with less than FULL it must lose what it has acknowledged.

use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Instant,
};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use crate::server::{DEADLINE, all_stopped};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");
/// In its environment: the database, and how it is synced.
const WRITE_TO: &str = "UOS_CONTROL_WRITES_TO";
const SYNCHRONOUS: &str = "UOS_CONTROL_SYNCHRONOUS";
/// Windows that change in one transaction.
const WINDOWS: u64 = 8;

/// A running writer. Dropped, it is killed.
pub(crate) struct Control {
    child: Child,
    acknowledged: mpsc::Receiver<u64>,
}

impl Control {
    pub(crate) fn start(database: &Path, synchronous: &str) -> Self {
        let own = std::env::current_exe().expect("a program knows itself");
        let mut command = Command::new(own);
        command.args(["--exact", "control::the_control_keeps_what_it_acknowledges_when_it_is_killed"]);
        command.arg("--nocapture").env(WRITE_TO, database).env(SYNCHRONOUS, synchronous);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a test can run itself");
        let stdout = child.stdout.take().expect("it was asked for as a pipe");
        let (tell, acknowledged) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(version) = line.strip_prefix("acknowledged ").and_then(|word| word.parse().ok()) {
                    let _ = tell.send(version);
                }
            }
        });
        Self { child, acknowledged }
    }

    /// Waits until so many transactions are acknowledged.
    pub(crate) fn reach(&self, count: u64) -> u64 {
        let mut last = 0;
        for _ in 0..count {
            last = self.acknowledged.recv_timeout(DEADLINE).expect("the control goes on acknowledging");
        }
        last
    }

    /// Holds it where it is.
    pub(crate) fn freeze(&self) {
        let process = Pid::from_child(&self.child);
        kill_process(process, Signal::STOP).expect("it runs");
        let begun = Instant::now();
        while !all_stopped(process) {
            assert!(begun.elapsed() < DEADLINE, "the control can't be stopped");
            std::thread::yield_now();
        }
    }

    /// Kills it. Gives the last that it acknowledged.
    pub(crate) fn kill(mut self) -> Option<u64> {
        self.end();
        self.acknowledged.iter().last()
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.end();
    }
}

/// Makes the database, synced: what is lost later is what was written later.
pub(crate) async fn prepare(database: &Path) {
    let mut connection = open(database, "FULL").await;
    MIGRATIONS.run_direct(None, &mut connection, false).await.expect("the schema can be made");
    connection.close().await.expect("it can be closed");
    let directory = database.parent().expect("it lies in a directory");
    File::open(directory).and_then(|directory| directory.sync_all()).expect("it can be synced");
}

/// The version that all windows have; 0 before the first.
pub(crate) async fn stored(database: &Path) -> u64 {
    let mut connection = open(database, "FULL").await;
    let (least, most): (i64, i64) =
        sqlx::query_as("SELECT coalesce(min(version), 0), coalesce(max(version), 0) FROM windows")
            .fetch_one(&mut connection)
            .await
            .expect("the control's windows are there");
    assert_eq!(least, most, "half a transaction");
    connection.close().await.expect("it can be closed");
    least as u64
}

async fn open(database: &Path, synchronous: &str) -> SqliteConnection {
    let synchronous: SqliteSynchronous = synchronous.parse().expect("a mode of SQLite");
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal).synchronous(synchronous).foreign_keys(true);
    options.connect().await.expect("the database can be opened")
}

/// Writes until it is killed.
async fn write_for_ever(database: &Path, synchronous: &str) -> sqlx::Result<()> {
    let mut connection = open(database, synchronous).await;
    let known: Option<i64> =
        sqlx::query_scalar("SELECT max(version) FROM windows").fetch_one(&mut connection).await?;
    for version in known.unwrap_or(0) + 1.. {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        for id in 0..WINDOWS as i64 {
            let app = "INSERT OR REPLACE INTO apps VALUES (?, 'notes', NULL, 'Notes', '', '{}', '[]', 0, 0, 1, 1, 0)";
            sqlx::query(app).bind(id.to_string()).execute(&mut *transaction).await?;
            let window = "INSERT OR REPLACE INTO windows VALUES
                          (?, ?, ?, 0, 9, 9, 'normal', 'normal', 0, 0, 9, 9, NULL, 0, 0, ?, 0)";
            let window = sqlx::query(window).bind(id.to_string()).bind(id.to_string());
            window.bind(version % 30_000).bind(version).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        writeln!(std::io::stdout(), "acknowledged {version}")?;
    }
    Ok(())
}

/// Also the writer itself: the test runs itself again, with an environment that says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_control_keeps_what_it_acknowledges_when_it_is_killed() {
    if let Some(database) = std::env::var_os(WRITE_TO) {
        let synchronous = std::env::var(SYNCHRONOUS).expect("the control is told how to sync");
        write_for_ever(Path::new(&database), &synchronous).await.expect("the control can write");
        return;
    }
    // The system goes on when a process is killed, and with it what was written and not synced: this can't tell the two
    // apart, and only shows that the control is honest.
    let dir = tempfile::tempdir().expect("a directory can be made");
    for synchronous in ["NORMAL", "FULL"] {
        let database = dir.path().join(synchronous);
        prepare(&database).await;
        let control = Control::start(&database, synchronous);
        let reached = control.reach(30);
        let last = control.kill().unwrap_or(reached);
        let stored = stored(&database).await;
        assert!(stored == last || stored == last + 1, "{last} was acknowledged, {stored} is there");
    }
}
