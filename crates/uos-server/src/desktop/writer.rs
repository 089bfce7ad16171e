//! The one writer: changes are made one after the other, written many at a time, and only then answered and told.
//!
//! While one batch is being synced the next one gathers, so that many clients share the price of a sync. A change is made
//! on a draft; if its batch can't be written, the draft is dropped and nothing has happened.

use std::sync::Arc;

use parking_lot::RwLock;
use sqlx::SqliteConnection;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::{Draft, Refusal, State};
use crate::{events::Hub, store};

/// The most changes in one transaction.
const BATCH: usize = 256;
/// How many changes may wait; who comes after waits too.
const QUEUE: usize = 1_024;

/// A change that tells its outcome once it is settled.
type Job = Box<dyn FnOnce(&mut Draft) -> Settle + Send>;
type Settle = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// The way to the writer.
#[derive(Clone)]
pub(crate) struct Door {
    jobs: mpsc::Sender<Job>,
    state: Arc<RwLock<Arc<State>>>,
}

impl Door {
    /// Starts the writer on what was loaded.
    pub(crate) fn open(state: State, connection: SqliteConnection, hub: Hub) -> (Self, Writer) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let state = Arc::new(RwLock::new(Arc::new(state)));
        let writer = Writer { queue, state: Arc::clone(&state), connection, hub };
        (Self { jobs, state }, writer)
    }

    /// What is on the disk now.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read())
    }

    /// Makes a change. It is on the disk when this returns `Ok`. A change that refuses must have touched nothing.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Draft) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |draft| {
            let outcome = change(draft);
            // Who asked may have gone; the change holds all the same.
            Box::new(move |written| drop(tell.send(written.and(outcome))))
        });
        self.jobs.send(job).await.map_err(|_| Refusal::Stopping)?;
        told.await.map_err(|_| Refusal::Stopping)?
    }
}

/// The writer's side.
pub(crate) struct Writer {
    queue: mpsc::Receiver<Job>,
    state: Arc<RwLock<Arc<State>>>,
    connection: SqliteConnection,
    hub: Hub,
}

impl Writer {
    /// Begins with another state than the loaded one: what is not on the disk, such as processes, is in it too.
    pub(crate) fn begin_with(&self, state: State) {
        *self.state.write() = Arc::new(state);
    }

    /// Writes until all doors are gone; then closes the file.
    pub(crate) async fn run(mut self) {
        let mut jobs = Vec::new();
        while self.queue.recv_many(&mut jobs, BATCH).await > 0 {
            self.batch(&mut jobs).await;
        }
        use sqlx::Connection;
        if let Err(error) = self.connection.close().await {
            error!(%error, "the database was not closed well; nothing is lost by it");
        }
    }

    async fn batch(&mut self, jobs: &mut Vec<Job>) {
        let mut draft = Draft::of((**self.state.read()).clone());
        let settle: Vec<Settle> = jobs.drain(..).map(|job| job(&mut draft)).collect();
        let written = if draft.dirty.is_empty() {
            Ok(())
        } else {
            store::flush(&mut self.connection, &draft.state, &draft.dirty).await
        };
        let outcome = match written {
            Ok(()) => {
                *self.state.write() = Arc::new(draft.state);
                for (audience, news) in draft.news {
                    self.hub.tell(audience, &news);
                }
                Ok(())
            }
            Err(error) => {
                error!(%error, changes = settle.len(), "changes could not be written, and were refused");
                Err(Refusal::from(&error))
            }
        };
        for settle in settle {
            settle(outcome.clone());
        }
    }
}
