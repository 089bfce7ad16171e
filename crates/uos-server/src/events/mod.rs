//! Live events: one numbered stream for everything that changes, kept for a while so that who was away can catch up.
//!
//! There is one ring, and each listener has only a place in it. A slow listener therefore costs nothing: when the ring has
//! moved past its place, it is told once to look at everything anew (`resync`).

mod news;
mod socket;

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;
use uos_syscall::{Event, Observer, Pid, VPath};

pub(crate) use news::{AppChange, News, Told};
pub(crate) use socket::{Listener, follow};

/// How many events are kept.
const EVENTS: usize = 8_192;
/// How many bytes of them.
const BYTES: usize = 8 << 20;

/// Who may learn of an event, beside the operator.
#[derive(Clone, Debug)]
pub(crate) enum Audience {
    /// Nobody.
    Operator,
    /// Who may inspect this process.
    Process(Pid),
    /// Who may read this path, or the other.
    File(VPath, Option<VPath>),
    /// Who may answer what this process asks for.
    Answerers(Pid),
}

/// One event, ready to send.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) audience: Audience,
    pub(crate) frame: axum::extract::ws::Utf8Bytes,
}

/// The stream.
#[derive(Clone, Debug)]
pub(crate) struct Hub(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Tells this run of the server from every other.
    epoch: String,
    ring: Mutex<Ring>,
    /// The newest number, for those who wait; `None` once the server stops.
    newest: watch::Sender<Option<u64>>,
}

#[derive(Debug, Default)]
struct Ring {
    newest: u64,
    bytes: usize,
    entries: VecDeque<Arc<Entry>>,
}

/// What a listener finds at its place.
pub(crate) enum Next {
    /// These came after it.
    Entries(Vec<Arc<Entry>>),
    /// Nothing yet.
    Nothing,
    /// What came after it is not kept any more; this is the newest.
    Gone(u64),
}

impl Hub {
    pub(crate) fn new(epoch: String) -> Self {
        let newest = watch::Sender::new(Some(0));
        Self(Arc::new(Shared { epoch, ring: Mutex::default(), newest }))
    }

    pub(crate) fn epoch(&self) -> &str {
        &self.0.epoch
    }

    /// The number of the newest event.
    pub(crate) fn newest(&self) -> u64 {
        self.0.ring.lock().newest
    }

    /// Puts an event into the stream.
    pub(crate) fn tell(&self, audience: Audience, news: &News) {
        let mut ring = self.0.ring.lock();
        let seq = ring.newest + 1;
        let frame = news.frame(&self.0.epoch, seq);
        ring.newest = seq;
        ring.bytes += frame.len();
        ring.entries.push_back(Arc::new(Entry { seq, audience, frame: frame.into() }));
        while ring.entries.len() > EVENTS || (ring.bytes > BYTES && ring.entries.len() > 1) {
            let Some(oldest) = ring.entries.pop_front() else { break };
            ring.bytes -= oldest.frame.len();
        }
        // Under the lock, so that the newest number only grows.
        self.0.newest.send_modify(|newest| {
            if let Some(newest) = newest {
                *newest = seq;
            }
        });
    }

    /// Up to `most` events after a number.
    pub(crate) fn after(&self, seq: u64, most: usize) -> Next {
        let ring = self.0.ring.lock();
        if seq == ring.newest {
            return Next::Nothing;
        }
        // Numbers that were never given are as gone as those that were.
        let Some(oldest) = ring.entries.front().filter(|oldest| seq < ring.newest && seq + 1 >= oldest.seq)
        else {
            return Next::Gone(ring.newest);
        };
        let skip = usize::try_from(seq + 1 - oldest.seq).unwrap_or(usize::MAX);
        Next::Entries(ring.entries.iter().skip(skip).take(most).cloned().collect())
    }

    /// To be woken by new events.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<u64>> {
        self.0.newest.subscribe()
    }

    /// Has all listeners look up, for something else than an event: whether they may still listen.
    pub(crate) fn look_up(&self) {
        self.0.newest.send_modify(|_| {});
    }

    /// Sends all listeners away.
    pub(crate) fn close(&self) {
        self.0.newest.send_replace(None);
    }
}

/// What the kernel tells goes into the stream as it happens.
impl Observer for Hub {
    fn event(&self, event: &Event) {
        let audience = match event {
            Event::ProcessStarted { pid, .. } | Event::ProcessEnded { pid, .. } => Audience::Process(*pid),
            Event::FileChanged { change, path, .. } => {
                let to =
                    if let uos_syscall::FileChange::Moved { to } = change { Some(to.clone()) } else { None };
                Audience::File(path.clone(), to)
            }
            Event::Pressure { area, .. } => area.pid.map_or(Audience::Operator, Audience::Process),
            Event::RightRequested(request) | Event::RightSettled { request, .. } => {
                Audience::Answerers(request.pid)
            }
        };
        self.tell(audience, &News::from(event));
    }
}

#[cfg(test)]
mod tests;
