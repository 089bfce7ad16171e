//! The thread that starts children, and buries those nobody waits for.
//!
//! It is one thread for the spawner's whole life because the kernel sends the death signal when the *thread* that
//! made a child ends, not the program: a thread of a pool that retires when idle would take its children along. The first
//! thread of a program never does; what it starts need not wait for two threads to wake each other, which takes as long as
//! half a start.

use std::cell::OnceCell;
use std::collections::VecDeque;
use std::ffi::c_int;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::clone::{Stack, clone_and_exec};
use super::key::Key;
use super::prepare::Launch;
use super::reap::Leader;
use super::sys;
use crate::{SpawnError, Stage};

/// What is asked of the spawner thread.
#[derive(Debug)]
pub(super) struct Queue {
    /// Protects what was asked and not yet taken. Held only to put in or take out.
    inbox: Mutex<Inbox>,
    /// An eventfd, so that one poll hears both requests and the exits of orphans.
    bell: OwnedFd,
    /// The kinds of namespaces that the thread makes for its next child before it is asked for one.
    ahead: c_int,
}

#[derive(Debug)]
struct Inbox {
    requests: VecDeque<Request>,
    orphans: Vec<Arc<Leader>>,
    deadlines: Vec<Deadline>,
    /// Those that did not come from the thread, and so are not ended by the kernel with it.
    others: Vec<Weak<Leader>>,
    /// Whether a request is on its way, that the thread is to be awake for.
    announced: bool,
    /// Whether the thread is awake and looks here by itself.
    is_awake: bool,
    open: bool,
}

/// When a child is to end, if it is still there.
type Deadline = (Instant, Weak<Leader>);

struct Request {
    launch: Launch,
    reply: SyncSender<Result<Leader, SpawnError>>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Request")
    }
}

/// A child that the thread was asked for.
pub(super) struct Sent(Receiver<Result<Leader, SpawnError>>);

impl Sent {
    /// Blocks until the child executes or has failed to.
    pub(super) fn answer(self) -> Result<Leader, SpawnError> {
        self.0.recv().unwrap_or(Err(SpawnError::Gone))
    }
}

/// Starts the thread. It ends when the queue is closed.
pub(super) fn start() -> io::Result<Arc<Queue>> {
    start_after(0, Key::NONE, || Ok(())).map_err(|error| match error {
        SpawnError::Stage { errno, .. } => io::Error::from_raw_os_error(errno),
        error => io::Error::other(error),
    })
}

/// The same, with something done by the thread before all else: whatever the kernel keeps by thread and children
/// inherit. All its children have namespaces of their own of the kinds `ahead`. Each of them is made beforehand: the thread
/// moves into it, and out of it as soon as the child is there. If a filter is what it loads, `key` is the filter's.
pub(super) fn start_after(
    ahead: c_int,
    key: Key,
    first: impl FnOnce() -> Result<(), SpawnError> + Send + 'static,
) -> Result<Arc<Queue>, SpawnError> {
    let (done, begun) = sync_channel(1);
    let queue = make(ahead, key, move || {
        let first = first();
        let is_done = first.is_ok();
        let _ = done.send(first);
        is_done
    });
    let queue = queue.map_err(failed)?;
    begun.recv().unwrap_or(Err(SpawnError::Gone))?;
    Ok(queue)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape map_err wants")]
fn failed(error: io::Error) -> SpawnError {
    SpawnError::Stage { stage: Stage::Clone, errno: error.raw_os_error().unwrap_or(libc::EIO) }
}

fn make(ahead: c_int, key: Key, first: impl FnOnce() -> bool + Send + 'static) -> io::Result<Arc<Queue>> {
    let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let inbox = Inbox {
        requests: VecDeque::new(),
        orphans: Vec::new(),
        deadlines: Vec::new(),
        others: Vec::new(),
        announced: false,
        is_awake: false,
        open: true,
    };
    let queue = Arc::new(Queue { inbox: Mutex::new(inbox), bell, ahead });
    let stack = Stack::map()?;
    let heard = Arc::clone(&queue);
    std::thread::Builder::new().name("uos-spawn".into()).spawn(move || {
        if first() {
            run(&heard, &stack, &key);
        }
    })?;
    Ok(queue)
}

impl Queue {
    /// Starts a child, and blocks until it executes or has failed to.
    pub(super) fn launch(&self, launch: Launch) -> Result<Leader, SpawnError> {
        self.send(launch)?.answer()
    }

    /// Has a child started.
    pub(super) fn send(&self, launch: Launch) -> Result<Sent, SpawnError> {
        let (reply, answer) = sync_channel(1);
        let (is_in, is_awake) = self.with(|inbox| {
            if inbox.open {
                inbox.requests.push_back(Request { launch, reply });
            }
            (inbox.open, inbox.is_awake)
        });
        if !is_in {
            return Err(SpawnError::Gone);
        }
        if !is_awake {
            self.ring();
        }
        Ok(Sent(answer))
    }

    /// Says that a request is about to come. Waking a thread takes a while, and whoever prepares the request has other
    /// things to do meanwhile.
    pub(super) fn announce(&self) {
        self.with(|inbox| inbox.announced = true);
        self.ring();
    }

    /// Waits a moment for what was announced.
    fn expect(&self) {
        let begun = Instant::now();
        while begun.elapsed() < A_MOMENT {
            if self.with(|inbox| !inbox.requests.is_empty() || !inbox.open) {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Starts a child that needs nothing of the thread: right here, if this is the program's first thread.
    pub(super) fn launch_plain(&self, launch: Launch) -> Result<Leader, SpawnError> {
        if is_the_first() { self.launch_here(launch) } else { self.launch(launch) }
    }

    /// Starts a child from this thread, whose end is the child's.
    fn launch_here(&self, launch: Launch) -> Result<Leader, SpawnError> {
        if !self.with(|inbox| inbox.open) {
            return Err(SpawnError::Gone);
        }
        thread_local! {
            static STACK: OnceCell<Stack> = const { OnceCell::new() };
        }
        let leader = STACK.with(|stack| match stack.get() {
            Some(stack) => clone_and_exec(stack, launch, &Key::NONE).0,
            None => {
                let mapped = Stack::map().map_err(failed)?;
                clone_and_exec(stack.get_or_init(|| mapped), launch, &Key::NONE).0
            }
        })?;
        Ok(Leader { ends_with_thread: false, ..leader })
    }

    /// Has a child end with the thread though it did not come from it.
    pub(super) fn end_with(&self, leader: &Arc<Leader>) {
        let is_in = self.with(|inbox| {
            if inbox.open {
                // Once in a while, so that each costs the same.
                if inbox.others.len() == inbox.others.capacity() {
                    inbox.others.retain(|other| other.strong_count() > 0);
                }
                inbox.others.push(Arc::downgrade(leader));
            }
            inbox.open
        });
        if !is_in {
            let _ = leader.kill();
        }
    }

    /// Has a child killed at `deadline`, unless it has been reaped by then.
    pub(super) fn end_at(&self, deadline: Instant, leader: &Arc<Leader>) {
        self.with(|inbox| inbox.deadlines.push((deadline, Arc::downgrade(leader))));
        self.ring();
    }

    /// Takes over a child that was killed or let go, and is to be reaped when it is dead.
    pub(super) fn adopt(&self, orphan: Arc<Leader>) {
        let is_in = self.with(|inbox| {
            if inbox.open {
                inbox.orphans.push(Arc::clone(&orphan));
            }
            inbox.open
        });
        if is_in { self.ring() } else { bury(vec![orphan]) }
    }

    /// Ends the thread, and so the children that are still alive.
    pub(super) fn close(&self) {
        self.with(|inbox| inbox.open = false);
        self.ring();
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inbox) -> T) -> T {
        act(&mut self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ring(&self) {
        // It fails only when the bell has been rung 2^64 - 2 times and not been heard; then it is ringing.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Blocks until the bell rings, an orphan dies, or the next deadline has come.
    fn listen(&self, orphans: &[Arc<Leader>], next: Option<Instant>) {
        let mut watched = Vec::with_capacity(1 + orphans.len());
        watched.push(PollFd::new(&self.bell, PollFlags::IN));
        watched.extend(orphans.iter().map(|orphan| PollFd::new(&orphan.pidfd, PollFlags::IN)));
        // An interrupted poll is a needless look at the inbox, no more.
        let left = next.map(|next| next.saturating_duration_since(Instant::now()));
        // A wait too long for the kernel is for ever, as good as.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let _ = poll(&mut watched, left.as_ref());
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
    }
}

/// Whether this is the program's first thread.
pub(super) fn is_the_first() -> bool {
    rustix::process::getpid() == rustix::thread::gettid()
}

/// Longer than preparing a sandbox takes. Whatever else the machine has to do goes first.
const A_MOMENT: Duration = Duration::from_micros(200);

/// How long the dead wait to be buried while there are always more to be started.
const A_WHILE: Duration = Duration::from_millis(5);

fn run(queue: &Queue, stack: &Stack, key: &Key) {
    let closing = Closing(queue);
    let mut orphans = Vec::new();
    let mut deadlines: Vec<Deadline> = Vec::new();
    // Namespaces of the thread that nobody else has ever been in.
    let mut fresh = 0;
    let mut is_asked = false;
    let mut buried = Instant::now();
    loop {
        if !is_asked {
            queue.listen(&orphans, deadlines.first().map(|(at, _)| *at));
            let is_announced = queue.with(|inbox| {
                let is_announced = std::mem::take(&mut inbox.announced) && inbox.requests.is_empty();
                inbox.is_awake = is_announced;
                is_announced
            });
            if is_announced {
                queue.expect();
            }
        }
        // One request at a time: any may take long, and a deadline does not wait for those that come after.
        let (request, adopted, due, open) = queue.with(|inbox| {
            let request = inbox.requests.pop_front();
            if request.is_some() {
                // This may be the one that was announced; if it is not, that one rings.
                inbox.announced = false;
            }
            is_asked = !inbox.requests.is_empty();
            inbox.is_awake = is_asked;
            (request, std::mem::take(&mut inbox.orphans), std::mem::take(&mut inbox.deadlines), inbox.open)
        });
        if !due.is_empty() {
            deadlines.extend(due);
            deadlines.retain(|(_, leader)| leader.strong_count() > 0);
            deadlines.sort_by_key(|(at, _)| *at);
        }
        let now = Instant::now();
        let over = deadlines.partition_point(|(at, _)| *at <= now);
        for leader in deadlines.drain(..over).filter_map(|(_, leader)| leader.upgrade()) {
            leader.time_out();
        }
        orphans.extend(adopted);
        if !open {
            break;
        }
        if let Some(Request { mut launch, reply }) = request {
            // From here on they are the child's.
            launch.flags &= !std::mem::take(&mut fresh);
            let (answer, life) = clone_and_exec(stack, launch, key);
            if let Err(SendError(Ok(leader))) = reply.send(answer) {
                let _ = leader.kill_group();
                orphans.push(Arc::new(leader));
            }
            drop(life);
            if queue.ahead != 0 && sys::leave_namespaces(queue.ahead).is_ok() {
                fresh = queue.ahead;
            }
        }
        if !is_asked || buried.elapsed() >= A_WHILE {
            orphans.retain(|orphan| orphan.reap().is_none());
            buried = Instant::now();
        }
    }
    // Those who came from elsewhere are killed first: they would be mourned for ever.
    drop(closing);
    bury(orphans);
}

/// Closes the queue when the thread ends, even by a bug: whoever waits for an answer gets Gone, not silence, and who is not
/// ended by the kernel is ended here.
struct Closing<'a>(&'a Queue);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let (unanswered, others) = self.0.with(|inbox| {
            inbox.open = false;
            (std::mem::take(&mut inbox.requests), std::mem::take(&mut inbox.others))
        });
        drop(unanswered);
        for leader in others.into_iter().filter_map(|other| other.upgrade()) {
            let _ = leader.kill();
        }
    }
}

/// Reaps killed children without the spawner thread, which has ended or is about to: it must not be kept alive,
/// and with it its other children, by one that takes its time to die.
fn bury(orphans: Vec<Arc<Leader>>) {
    let mourn = |orphans: &[Arc<Leader>]| {
        for orphan in orphans {
            while orphan.reap().is_none() {
                orphan.block_until_exit();
            }
        }
    };
    let living: Vec<_> = orphans.into_iter().filter(|orphan| orphan.reap().is_none()).collect();
    if living.is_empty() {
        return;
    }
    let theirs = living.clone();
    let digger = std::thread::Builder::new().name("uos-reap".into()).spawn(move || mourn(&theirs));
    if digger.is_err() {
        // No thread to be had. They are killed and will be dead soon; a zombie would be there for ever.
        mourn(&living);
    }
}
