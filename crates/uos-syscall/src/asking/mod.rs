//! Asking: a call that lacks a right which may be asked for waits until somebody answers.
//!
//! Nothing has been done by then: the call was found, judged and refused, and starts anew once it was allowed. So an
//! answer is no more than one more grant to judge by, for that call alone, and is judged on what the call is aimed at then.

mod answer;
mod asked;
mod held;
mod once;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use uos_proto::CallInfo;

pub use answer::Answer;
pub(crate) use asked::Asked;
pub(crate) use held::{Effective, Held, Leave};
pub(crate) use once::{Asker, Once, UNASKED};

use crate::{
    Pid,
    events::{Event, Told},
    kernel::Inner,
    process::Process,
    rights::Grant,
};

/// A call that waits for somebody to allow it.
#[derive(Debug)]
pub struct RightRequest {
    /// Names the request; never used again.
    pub id: u64,
    /// Who makes the call.
    pub pid: Pid,
    /// Its name, for people.
    pub name: String,
    /// Which call.
    pub call: &'static CallInfo,
    /// The whole argument message of the call, `uos.v1.` and the call's name, as it is encoded; `CreateProcessRequest` for
    /// the rpc `CreateProcess`.
    pub arguments: Bytes,
    /// What it lacks.
    pub wanted: Arc<Grant>,
    /// When it began to wait, since the kernel started.
    pub at: Duration,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Somebody answered.
    Answered {
        /// Who.
        by: Pid,
        /// What.
        answer: Answer,
    },
    /// Nobody answered in time: the call was refused.
    TimedOut,
    /// The call was given up, or its caller has ended.
    GivenUp,
}

/// All requests of a kernel that wait for an answer.
#[derive(Default)]
pub(crate) struct Asking {
    /// Held to look and to change; nobody is told under it.
    parked: Mutex<BTreeMap<u64, Parked>>,
}

struct Parked {
    request: Arc<RightRequest>,
    process: Arc<Process>,
    news: Arc<News>,
    /// Where the answer goes.
    tell: oneshot::Sender<(Answer, Pid)>,
}

/// Sees to it that what became of a request is told after the request, though it may be answered at once.
#[derive(Default)]
struct News {
    told: Told,
    settled: OnceLock<Settled>,
}

impl Asking {
    /// How many wait.
    pub(crate) fn len(&self) -> u64 {
        self.parked.lock().len() as u64
    }
}

impl Inner {
    /// Parks a request, and tells of it. An error if too many are parked.
    fn park(
        &self,
        caller: &Arc<Process>,
        request: RightRequest,
    ) -> Result<oneshot::Receiver<(Answer, Pid)>, Full> {
        let (tell, told) = oneshot::channel();
        let (request, news) = (Arc::new(request), Arc::new(News::default()));
        let parked = Parked {
            request: Arc::clone(&request),
            process: Arc::clone(caller),
            news: Arc::clone(&news),
            tell,
        };
        {
            let mut all = self.asking.parked.lock();
            let limits = &self.limits;
            let own = all.values().filter(|other| other.request.pid == caller.pid).count() as u64;
            for (used, max, whose) in [
                (own, limits.right_requests_per_process, "of this process"),
                (all.len() as u64, limits.right_requests, "in all"),
            ] {
                if used >= max {
                    return Err(Full { used, max, whose });
                }
            }
            all.insert(request.id, parked);
        }
        self.tell(|| Event::RightRequested(Arc::clone(&request)));
        if news.told.start()
            && let Some(settled) = news.settled.get()
        {
            self.tell_settled(&request, *settled);
        }
        Ok(told)
    }

    /// Takes a request out, whoever comes first, and tells what became of it.
    fn settle_request(&self, id: u64, settled: Settled) -> Option<Parked> {
        let parked = self.asking.parked.lock().remove(&id)?;
        // Only who has taken it out comes here.
        let _ = parked.news.settled.set(settled);
        if parked.news.told.end() {
            self.tell_settled(&parked.request, settled);
        }
        Some(parked)
    }

    fn tell_settled(&self, request: &Arc<RightRequest>, settled: Settled) {
        self.tell(|| Event::RightSettled { request: Arc::clone(request), settled });
    }
}

/// There is no room for one more request.
struct Full {
    used: u64,
    max: u64,
    whose: &'static str,
}

/// Requests are told apart by their ids.
impl PartialEq for RightRequest {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for RightRequest {}
