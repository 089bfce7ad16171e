//! The one writer: changes are made one after the other, written many at a time, and only then answered and told.
//!
//! While one batch is being synced the next one gathers, so that many clients share the price of a sync. A change is made
//! on a draft; if its batch can't be written, the draft is dropped and nothing has happened.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::{Draft, Refusal, State};
use crate::{
    events::Hub,
    store::{Committer, Reader},
};

/// The most changes in one transaction.
const BATCH: usize = 256;
/// How many changes may wait; who comes after waits too.
const QUEUE: usize = 1_024;

/// A change, and from which room it may be written.
struct Job {
    make: Make,
    room: Room,
}

/// Makes a change, and tells its outcome once that is settled.
type Make = Box<dyn FnOnce(&mut Draft) -> Settle + Send>;
type Settle = Box<dyn FnOnce(Result<(), Refusal>) + Send>;

/// Which room on the disk a change may take.
#[derive(Clone, Copy, PartialEq)]
enum Room {
    /// What is free, beside the reserve.
    Free,
    /// The reserve too.
    Reserved,
}

/// The way to the writer.
#[derive(Clone)]
pub(crate) struct Door {
    jobs: mpsc::Sender<Job>,
    state: Arc<RwLock<Arc<State>>>,
}

impl Door {
    /// Starts the writer on what was loaded.
    pub(crate) fn open(state: State, committer: Committer, reader: Reader, hub: Hub) -> (Self, Writer) {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let state = Arc::new(RwLock::new(Arc::new(state)));
        let writer = Writer { queue, state: Arc::clone(&state), committer, reader, hub };
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
        self.ask(change, Room::Free).await
    }

    /// Makes a change that must be possible on a full disk too, because it makes room, or lets in somebody who can.
    pub(crate) async fn change_though_full<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Draft) -> Result<T, Refusal> + Clone + Send + 'static,
    ) -> Result<T, Refusal> {
        match self.ask(change.clone(), Room::Free).await {
            Err(Refusal::DiskFull) => self.ask(change, Room::Reserved).await,
            settled => settled,
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Draft) -> Result<T, Refusal> + Send + 'static,
        room: Room,
    ) -> Result<T, Refusal> {
        let (tell, told) = oneshot::channel();
        let make: Make = Box::new(move |draft| {
            let outcome = change(draft);
            // Who asked may have gone; the change holds all the same.
            Box::new(move |written| drop(tell.send(written.and(outcome))))
        });
        self.jobs.send(Job { make, room }).await.map_err(|_| Refusal::Stopping)?;
        told.await.map_err(|_| Refusal::Stopping)?
    }
}

/// The writer's side.
pub(crate) struct Writer {
    queue: mpsc::Receiver<Job>,
    state: Arc<RwLock<Arc<State>>>,
    committer: Committer,
    reader: Reader,
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
        // Closing it last, the writer's connection puts all that is in the log into the file.
        let _ = self.reader.close().await;
        if let Err(error) = self.committer.close().await {
            error!(%error, "the database was not closed well; nothing is lost by it");
        }
    }

    async fn batch(&mut self, jobs: &mut Vec<Job>) {
        let spending = jobs.iter().any(|job| job.room == Room::Reserved);
        if spending {
            self.committer.spend_reserve().await;
        }
        // While the reserve is spent, what is left of it is for those alone who may have it.
        let room = !spending && self.committer.has_room().await;
        let (jobs, poor): (Vec<_>, Vec<_>) =
            jobs.drain(..).partition(|job| room || job.room == Room::Reserved);
        let mut draft = Draft::of((**self.state.read()).clone());
        let settle: Vec<Settle> = jobs.into_iter().map(|job| (job.make)(&mut draft)).collect();
        let written = if draft.dirty.is_empty() {
            Ok(())
        } else {
            self.committer.commit(&draft.state, &draft.dirty).await
        };
        let outcome = match written {
            Ok(()) => {
                self.publish(draft);
                Ok(())
            }
            Err(unwritten) => {
                error!(?unwritten, changes = settle.len(), "changes could not be written, and were refused");
                Err(Refusal::from(unwritten))
            }
        };
        for settle in settle {
            settle(outcome.clone());
        }
        for job in poor {
            let mut draft = Draft::of((**self.state.read()).clone());
            let settle = (job.make)(&mut draft);
            // What is not kept on the disk needs no room there.
            let unkept = draft.dirty.is_empty();
            if unkept {
                self.publish(draft);
            }
            settle(if unkept { Ok(()) } else { Err(Refusal::DiskFull) });
        }
    }

    /// From now on this is how it is.
    fn publish(&self, draft: Draft) {
        *self.state.write() = Arc::new(draft.state);
        for (audience, news) in draft.news {
            self.hub.tell(audience, &news);
        }
    }
}
