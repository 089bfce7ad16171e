//! First answers, kept for clients that ask again.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use uos_proto::v1::reply::Reply;

use crate::{Error, Pid};

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(600);
/// How many are kept at most; the oldest go first.
const MOST: usize = 65_536;
/// How large all of them together may be; the oldest go first.
const MOST_BYTES: usize = 64 << 20;
/// How long an id may be.
const LONGEST: usize = 128;

type Key = (Pid, Box<str>);
type Cell = Arc<OnceCell<Result<Reply, Error>>>;

/// The answers kept.
#[derive(Default)]
pub(crate) struct Replay {
    /// Held for a look-up; the call itself runs outside.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    cells: HashMap<Key, Cell>,
    order: VecDeque<Entry>,
    bytes: usize,
}

struct Entry {
    since: Instant,
    key: Key,
    /// How large its answer is; nothing until there is one.
    bytes: usize,
}

impl Replay {
    /// Runs a call, or gives the answer it had. A twin that comes while the first is under way waits for its answer; if
    /// the first is given up, the twin runs it.
    pub(crate) async fn once(
        &self,
        pid: Pid,
        id: &str,
        call: impl Future<Output = Result<Reply, Error>>,
    ) -> Result<Reply, Error> {
        if id.is_empty() || id.len() > LONGEST {
            return Err(Error::invalid("request_id", format_args!("1 to {LONGEST} bytes, not {}", id.len())));
        }
        let key: Key = (pid, id.into());
        let cell = self.kept.lock().cell(&key, Instant::now());
        let first = async {
            let answer = call.await;
            self.kept.lock().answered(&key, size(&answer));
            answer
        };
        cell.get_or_init(|| first).await.clone()
    }
}

impl Replay {
    /// Gives up the answers whose time is over: how many, and how large they were.
    pub(crate) fn sweep(&self, now: Instant) -> (u64, u64) {
        let mut kept = self.kept.lock();
        let before = (kept.order.len(), kept.bytes);
        kept.expire(|entry, _| now.duration_since(entry.since) >= KEPT);
        let after = (kept.order.len(), kept.bytes);
        ((before.0 - after.0) as u64, (before.1 - after.1) as u64)
    }
}

impl Kept {
    /// Drops the oldest as long as they are to go.
    fn expire(&mut self, to_go: impl Fn(&Entry, &Self) -> bool) {
        while self.order.front().is_some_and(|entry| to_go(entry, self)) {
            if let Some(Entry { key, bytes, .. }) = self.order.pop_front() {
                self.cells.remove(&key);
                self.bytes -= bytes;
            }
        }
    }

    fn cell(&mut self, key: &Key, now: Instant) -> Cell {
        self.expire(|entry, kept| {
            now.duration_since(entry.since) >= KEPT || kept.order.len() >= MOST || kept.bytes > MOST_BYTES
        });
        if let Some(cell) = self.cells.get(key) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        self.cells.insert(key.clone(), Arc::clone(&cell));
        self.order.push_back(Entry { since: now, key: key.clone(), bytes: 0 });
        cell
    }

    /// Charges an answer to its entry, unless that has had to go meanwhile.
    fn answered(&mut self, key: &Key, bytes: usize) {
        // Answers mostly come soon after their call, so the search is short.
        if let Some(entry) = self.order.iter_mut().rev().find(|entry| entry.key == *key) {
            self.bytes = self.bytes - entry.bytes + bytes;
            entry.bytes = bytes;
        }
    }
}

/// About how much memory an answer takes.
fn size(answer: &Result<Reply, Error>) -> usize {
    match answer {
        Ok(reply) => reply.encoded_len(),
        // The cause repeats what the message names.
        Err(error) => 2 * error.message.len() + error.hint.len(),
    }
}
