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
    order: VecDeque<(Instant, Key)>,
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
        let cell = self.kept.lock().cell((pid, id.into()), Instant::now());
        cell.get_or_init(|| call).await.clone()
    }
}

impl Kept {
    fn cell(&mut self, key: Key, now: Instant) -> Cell {
        while let Some((since, _)) = self.order.front() {
            if now.duration_since(*since) < KEPT && self.order.len() < MOST {
                break;
            }
            if let Some((_, key)) = self.order.pop_front() {
                self.cells.remove(&key);
            }
        }
        if let Some(cell) = self.cells.get(&key) {
            return Arc::clone(cell);
        }
        let cell = Cell::default();
        self.cells.insert(key.clone(), Arc::clone(&cell));
        self.order.push_back((now, key));
        cell
    }
}
