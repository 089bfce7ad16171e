//! The way of a record from a call to the sink: a bounded buffer, and one thread that empties it.
//!
//! A call leaves its record in the buffer, which costs tens of nanoseconds; the thread takes the whole buffer at once,
//! every few milliseconds or when it is half full. When the sink can't keep up, calls wait before they begin
//! ([`Log::room`]), and records are never dropped; or, where that is wanted ([`Overflow::Drop`]), they are dropped and
//! counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::{Record, Sink};
use crate::moment::Moment;

/// How many records may wait for the sink before calls do. Few enough that both
/// buffers stay in a core's own cache.
const CAPACITY: usize = 1_024;
/// So many places are claimed from the writer's core at once. One by one, each call would wait for its own to come over, which
/// between cores that share no cache takes as long as the rest of a short call; several are under way at the same time.
const CLAIMED: usize = 8;
/// How long a record waits for company.
const LINGER: Duration = Duration::from_millis(20);
/// How soon the writer looks again while there is much to write: waking it is more work for a call than the record.
const BUSY: Duration = Duration::from_micros(50);
/// How long to wait before a failed batch is offered again.
const RETRY: Duration = Duration::from_millis(200);

/// What becomes of records that the sink can't keep up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Calls wait for room, and no record is lost.
    #[default]
    Wait,
    /// Calls go on, and the records that there is no room for are lost, and counted.
    Drop,
}

/// The audit log of one kernel.
pub struct Log {
    shared: Arc<Shared>,
    overflow: Overflow,
    epoch: Instant,
    /// The same as calls count.
    began: Moment,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    /// Protects the buffer and the count of what was taken from it; held for a push, the last look at the clock included, or
    /// a swap only.
    state: Mutex<State>,
    /// Wakes the writer: the buffer is half full, a flush is wanted, or the log is closing.
    wanted: Condvar,
    /// Wakes flushes: `written` moved.
    progress: Condvar,
    /// Wakes calls that wait for room.
    room: Notify,
    full: AtomicBool,
    failures: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    /// The first `waiting` wait for the sink; what lies behind them has been written and is dropped when its place is
    /// needed. So a record is dropped by a call, not by the writer: the writer would free by the thousand what calls are
    /// allocating, and count down the very grants that they count up, and both would wait for each other's cache lines.
    buffer: Vec<Record>,
    waiting: usize,
    recorded: u64,
    written: u64,
    flush: bool,
    closing: bool,
    /// The writer sleeps until it is woken; otherwise it comes by itself.
    asleep: bool,
}

impl Log {
    /// A log that ends in `sink`.
    pub fn new(mut sink: impl Sink, overflow: Overflow) -> Self {
        let (epoch, began, epoch_wall) = (Instant::now(), Moment::now(), SystemTime::now());
        sink.start(epoch_wall);
        let shared = Arc::new(Shared {
            state: Mutex::new(State { buffer: Vec::with_capacity(CAPACITY), ..State::default() }),
            wanted: Condvar::new(),
            progress: Condvar::new(),
            room: Notify::new(),
            full: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        });
        let writer = std::thread::Builder::new().name("uos-audit".into()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.write_all(sink)
        });
        Self {
            shared,
            overflow,
            epoch,
            began,
            writer: Some(writer.expect("a process that can't start one thread can't serve calls either")),
        }
    }

    /// Leaves a record, filled in in its place, where there may be an old one. Never waits.
    #[inline]
    pub(crate) fn record(&self, fill: impl FnOnce(&mut Record)) {
        let mut state = self.shared.state.lock();
        if self.overflow == Overflow::Drop && state.waiting >= CAPACITY {
            drop(state);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let place = state.waiting;
        if place == state.buffer.len() {
            state.buffer.push(Record::BLANK);
        }
        if place.is_multiple_of(CLAIMED) {
            let old = state.buffer[place..].iter_mut();
            old.take(CLAIMED).for_each(Record::claim);
        }
        fill(&mut state.buffer[place]);
        state.waiting += 1;
        state.recorded += 1;
        let waiting = state.waiting;
        let wake = waiting >= CAPACITY / 2 && std::mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.shared.wanted.notify_one();
        }
        if waiting >= CAPACITY && self.overflow == Overflow::Wait {
            self.shared.full.store(true, Ordering::Release);
        }
    }

    /// Waits until there is room for the record of one more call. Calls that are under way may overshoot by one each.
    pub(crate) async fn room(&self) {
        while self.is_full() {
            let freed = self.shared.room.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if !self.is_full() {
                return;
            }
            freed.await;
        }
    }

    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.shared.full.load(Ordering::Acquire)
    }

    /// Waits until everything recorded so far has reached the sink, as long as that takes. Blocks the thread.
    pub fn flush(&self) {
        while !self.flush_within(RETRY) {}
    }

    /// The same for a time; `false` if the sink has not taken everything by then. Blocks the thread.
    pub fn flush_within(&self, time: Duration) -> bool {
        let by = Instant::now() + time;
        let mut state = self.shared.state.lock();
        let goal = state.recorded;
        while state.written < goal {
            state.flush = true;
            self.shared.wanted.notify_one();
            if self.shared.progress.wait_until(&mut state, by).timed_out() {
                return state.written >= goal;
            }
        }
        true
    }

    /// How many calls were recorded, without those whose record was dropped.
    pub fn recorded(&self) -> u64 {
        self.shared.state.lock().recorded
    }

    /// How often the sink failed. Nothing is lost by a failure; calls wait when it lasts.
    pub fn failures(&self) -> u64 {
        self.shared.failures.load(Ordering::Relaxed)
    }

    /// How many records were dropped since there was no room for them; none where calls wait.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// When the log, and with it the kernel, started.
    pub fn started(&self) -> Instant {
        self.epoch
    }

    #[inline]
    pub(crate) fn since_start(&self, now: Moment) -> Duration {
        now.since(self.began)
    }
}

impl Shared {
    fn write_all(&self, mut sink: impl Sink) {
        let (mut batch, mut is_busy) = (Vec::with_capacity(CAPACITY), false);
        loop {
            let mut state = self.state.lock();
            if !state.closing && !state.flush && state.waiting < CAPACITY / 2 {
                if is_busy {
                    drop(state);
                    std::thread::sleep(BUSY);
                    state = self.state.lock();
                } else {
                    state.asleep = true;
                    self.wanted.wait_for(&mut state, LINGER);
                    state.asleep = false;
                }
            }
            std::mem::swap(&mut batch, &mut state.buffer);
            let count = std::mem::take(&mut state.waiting);
            is_busy = count >= CAPACITY / 8;
            state.flush = false;
            let closing = state.closing;
            drop(state);
            if self.full.swap(false, Ordering::AcqRel) {
                self.room.notify_waiters();
            }
            if count == 0 {
                if closing {
                    return;
                }
                continue;
            }
            while sink.write(&batch[..count]).is_err() {
                self.failures.fetch_add(1, Ordering::Relaxed);
                // A log that is being closed over a broken sink must not hold the process for ever.
                if self.state.lock().closing {
                    break;
                }
                std::thread::sleep(RETRY);
            }
            self.state.lock().written += count as u64;
            self.progress.notify_all();
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.state.lock().closing = true;
        self.shared.wanted.notify_one();
        if let Some(writer) = self.writer.take() {
            // The kernel may be dropped by the last record's own thread only if a sink holds it, which none does.
            let _ = writer.join();
        }
    }
}
