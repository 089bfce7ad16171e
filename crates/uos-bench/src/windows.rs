//! Window updates, acknowledged when they are on the disk, beside the bare database library that writes the same row with
//! the same durability and does nothing else: no HTTP, no version, no other tab to tell.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::{net::TcpStream, task::JoinSet};
use uos_server::{Config, Server};

use crate::{
    Result,
    report::{Measurement, summary},
};

const CLIENTS: usize = 32;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(700);

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Updates a second by 32 clients, each with a window of its own.
pub(crate) fn measure() -> Result<Vec<Measurement>> {
    // Where the code is, the disk is a real one; a folder for temporary files may be memory.
    let dir = tempfile::tempdir_in("target")?;
    let mut config = Config::new(dir.path().join("data"));
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let served = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (address, token) = served.block_on(async {
        let server = Server::start(config).await?;
        let known = (server.address(), server.token().to_owned());
        tokio::spawn(server.serve(std::future::pending()));
        Ok::<_, Box<dyn std::error::Error>>(known)
    })?;
    let client = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let all = client.block_on(async {
        let mut tabs = Vec::new();
        for _ in 0..CLIENTS {
            tabs.push(Tab::open(address, &token).await?);
        }
        let mut all = Vec::new();
        for (peer_name, connections) in [("bare sqlx, 1 connection", 1), ("bare sqlx, 8 connections", 8)] {
            let pool = bare(&dir.path().join(format!("bare{connections}.db")), connections).await?;
            let (mut us, mut them) = (Vec::new(), Vec::new());
            for round in 0..=ROUNDS {
                let (our, their) = (ours(&mut tabs).await?, peers(&pool).await?);
                // The first round warms both up.
                if round > 0 {
                    us.push(our);
                    them.push(their);
                }
            }
            pool.close().await;
            let ((ours_best, ours), (peer_best, peer)) = (summary(us, false), summary(them, false));
            all.push(Measurement::new(
                "window update, durable, 32 clients",
                "updates/s",
                (ours_best, ours),
                (peer_name, (peer_best, peer)),
                ours / peer,
                ("≥ 0.9".into(), ours / peer >= 0.9),
                ROUNDS,
            ));
        }
        Ok::<_, Failure>(all)
    });
    served.shutdown_background();
    // `?` alone can't take what says that it may cross threads for what says less.
    all.map_err(|failure| failure as Box<dyn std::error::Error>)
}

/// A client with one window.
struct Tab {
    connection: SendRequest<Full<Bytes>>,
    host: String,
    bearer: String,
    app: String,
    window: String,
    moves: i64,
}

impl Tab {
    async fn open(address: SocketAddr, token: &str) -> std::result::Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        let (host, bearer) = (address.to_string(), format!("Bearer {token}"));
        let mut tab = Self { connection, host, bearer, app: String::new(), window: String::new(), moves: 0 };
        let launched = tab.ask("POST", "/registry/apps/notes/launch", &json!({})).await?;
        tab.app = launched["app_id"].as_str().ok_or("a launched app has an id")?.to_owned();
        let shown = tab.ask("GET", &format!("/apps/{}", tab.app), &Value::Null).await?;
        tab.window = shown["window_id"].as_str().ok_or("an app has a window")?.to_owned();
        Ok(tab)
    }

    async fn ask(&mut self, method: &str, path: &str, body: &Value) -> std::result::Result<Value, Failure> {
        let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body)? };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("authorization", &self.bearer)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        self.connection.ready().await?;
        let answer = self.connection.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != StatusCode::OK && status != StatusCode::CREATED {
            return Err(format!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body)?)
    }

    async fn shift(&mut self) -> std::result::Result<(), Failure> {
        self.moves += 1;
        let place = self.moves % 500;
        let change = json!({
            "window_id": self.window, "position": { "x": place, "y": place }, "size": { "width": 640, "height": 480 },
        });
        self.ask("POST", &format!("/apps/{}/window", self.app), &change).await.map(drop)
    }
}

async fn ours(tabs: &mut Vec<Tab>) -> std::result::Result<f64, Failure> {
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for mut tab in tabs.drain(..) {
        workers.spawn(async move {
            let mut updates = 0_u64;
            while begun.elapsed() < ROUND {
                tab.shift().await?;
                updates += 1;
            }
            Ok::<_, Failure>((tab, updates))
        });
    }
    let mut updates = 0;
    while let Some(done) = workers.join_next().await {
        let (tab, done) = done??;
        tabs.push(tab);
        updates += done;
    }
    Ok(updates as f64 / begun.elapsed().as_secs_f64())
}

/// The same table, made by the same steps, with the rows that the clients write.
async fn bare(path: &Path, connections: u32) -> std::result::Result<SqlitePool, Failure> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(30));
    let pool = SqlitePoolOptions::new().max_connections(connections).connect_with(options).await?;
    sqlx::migrate!("../../migrations").run(&pool).await?;
    for client in 0..CLIENTS {
        sqlx::query("INSERT INTO apps VALUES (?, 'notes', NULL, 'Notes', '', '{}', '[]', 0, 0, 0, 0, 0)")
            .bind(client.to_string())
            .execute(&pool)
            .await?;
        place(&pool, client, 0).await?;
    }
    Ok(pool)
}

async fn place(pool: &SqlitePool, client: usize, moves: i64) -> std::result::Result<(), Failure> {
    let put = "INSERT OR REPLACE INTO windows (app_id, window_id, x, y, width, height, state, restore_state, restore_x,
               restore_y, restore_width, restore_height, snap, z, workspace, version, sum)
               VALUES (?1, ?1, ?2, ?2, 640, 480, 'normal', 'normal', ?2, ?2, 640, 480, NULL, 1, 0, ?3, 0)";
    sqlx::query(put).bind(client.to_string()).bind(moves % 500).bind(moves).execute(pool).await?;
    Ok(())
}

async fn peers(pool: &SqlitePool) -> std::result::Result<f64, Failure> {
    let begun = Instant::now();
    let mut workers = JoinSet::new();
    for client in 0..CLIENTS {
        let pool = pool.clone();
        workers.spawn(async move {
            let mut updates = 0;
            while begun.elapsed() < ROUND {
                updates += 1;
                place(&pool, client, updates).await?;
            }
            Ok::<_, Failure>(updates)
        });
    }
    let mut updates = 0;
    while let Some(done) = workers.join_next().await {
        updates += done??;
    }
    Ok(updates as f64 / begun.elapsed().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_peer_writes_rows_of_the_schema_as_it_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let pool = bare(&dir.path().join("peer.db"), 1).await.expect("the schema takes the rows");
        place(&pool, 0, 7).await.expect("a window is placed");
        let x: i64 = sqlx::query_scalar("SELECT x FROM windows WHERE app_id = '0'")
            .fetch_one(&pool)
            .await
            .expect("a row");
        assert_eq!(x, 7);
    }
}
