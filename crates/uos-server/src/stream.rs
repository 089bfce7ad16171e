//! `Stream`: calls as they come, answers as they are ready.
//!
//! One task takes the calls of a stream and makes them. Most are done as soon as they are made; the others wait side by
//! side, and none of them for a client that is slow to take answers.

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::Poll,
};

use futures_util::{
    FutureExt,
    future::{AbortHandle, Abortable, Aborted},
    stream::FuturesUnordered,
};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Status, Streaming};
use uos_proto::v1::{
    Call, StreamRequest, StreamResponse, reply::Reply, stream_request::Action, stream_response,
};
use uos_syscall::{Errno, Error};

use crate::grpc::Session;

/// The most calls under way on one stream. A call counts until its answer is on its way.
const IN_FLIGHT: usize = 1_024;
/// Answers on their way.
const ANSWERS: usize = 64;

/// The answers of one stream.
pub(crate) type Answers = ReceiverStream<Result<StreamResponse, Status>>;

type Running = Pin<Box<dyn Future<Output = (u64, Result<Reply, Error>)> + Send>>;

/// Serves one stream. When the client goes, what is under way is given up.
pub(crate) fn start(session: Session, mut requests: Streaming<StreamRequest>) -> Answers {
    let (answers, taken) = mpsc::channel(ANSWERS);
    tokio::spawn(async move {
        let mut calls = Calls {
            session: Arc::new(session),
            running: FuturesUnordered::new(),
            by_id: HashMap::new(),
            answered: VecDeque::new(),
        };
        let mut open = true;
        loop {
            if calls.send(&answers).is_err() || (!open && calls.are_done()) {
                return;
            }
            tokio::select! {
                room = answers.reserve(), if !calls.answered.is_empty() => match (room, calls.answered.pop_front()) {
                    (Ok(room), Some(answer)) => room.send(Ok(answer)),
                    _ => return,
                },
                request = requests.next(), if open && calls.answered.len() < IN_FLIGHT => match request {
                    Some(Ok(request)) => calls.take(request).await,
                    // The client has said all it has to say; what is under way is still answered.
                    None => open = false,
                    // The client is gone, or doesn't speak the protocol.
                    Some(Err(_)) => return,
                },
                Some((id, result)) = calls.running.next(), if !calls.running.is_empty() => calls.finish(id, result),
                () = answers.closed(), if calls.answered.is_empty() => return,
            }
        }
    });
    ReceiverStream::new(taken)
}

struct Calls {
    session: Arc<Session>,
    /// Dropping it gives up everything in it.
    running: FuturesUnordered<Running>,
    by_id: HashMap<u64, AbortHandle>,
    /// Answers that wait for room on the way.
    answered: VecDeque<StreamResponse>,
}

impl Calls {
    /// Nothing is under way or waits to be sent.
    fn are_done(&self) -> bool {
        self.running.is_empty() && self.answered.is_empty()
    }

    async fn take(&mut self, request: StreamRequest) {
        let StreamRequest { id, pid, action } = request;
        match action {
            Some(Action::Call(call)) => {
                if self.by_id.contains_key(&id) {
                    let error = Error::invalid("id", "it names a call that is still under way");
                    return self.answer(id, Err(error));
                }
                let used = self.by_id.len() + self.answered.len();
                if used >= IN_FLIGHT {
                    let error = Error::limit(Errno::EAGAIN, "stream_calls", used as u64, IN_FLIGHT as u64);
                    return self.answer(id, Err(error));
                }
                self.begin(id, pid, call).await;
            }
            Some(Action::Cancel(_)) => {
                // One that is not there has been answered already: the answer and the cancellation have crossed.
                if let Some(call) = self.by_id.get(&id) {
                    call.abort();
                }
            }
            None => {
                let error = Error::new(Errno::EINVAL, "the request holds neither a call nor a cancellation");
                self.answer(id, Err(error));
            }
        }
    }

    /// Makes a call, and goes on with others if it has to wait.
    async fn begin(&mut self, id: u64, pid: u64, call: Call) {
        let session = Arc::clone(&self.session);
        let (cancel, registration) = AbortHandle::new_pair();
        let made = async move { session.invoke(pid, Some(call), None).await };
        let made = Abortable::new(AssertUnwindSafe(made).catch_unwind(), registration);
        let mut running: Running = Box::pin(async move {
            let result = match made.await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Error::new(Errno::EIO, "the call failed inside the kernel")),
                Err(Aborted) => Err(Errno::ECANCELED.into()),
            };
            (id, result)
        });
        match poll_fn(|cx| Poll::Ready(running.as_mut().poll(cx))).await {
            Poll::Ready((id, result)) => self.answer(id, result),
            Poll::Pending => {
                self.by_id.insert(id, cancel);
                self.running.push(running);
            }
        }
    }

    /// Before its answer is on its way, so that whoever has it may use its id again.
    fn finish(&mut self, id: u64, result: Result<Reply, Error>) {
        self.by_id.remove(&id);
        self.answer(id, result);
    }

    fn answer(&mut self, id: u64, result: Result<Reply, Error>) {
        let result = match result {
            Ok(reply) => stream_response::Result::Reply(uos_proto::v1::Reply { reply: Some(reply) }),
            Err(error) => stream_response::Result::Error(error.into()),
        };
        self.answered.push_back(StreamResponse { id, result: Some(result) });
    }

    /// Sends as many answers as there is room for. Fails when nobody takes them any more.
    fn send(&mut self, answers: &mpsc::Sender<Result<StreamResponse, Status>>) -> Result<(), ()> {
        while let Some(answer) = self.answered.pop_front() {
            match answers.try_send(Ok(answer)) {
                Ok(()) => {}
                Err(TrySendError::Full(Ok(answer))) => {
                    self.answered.push_front(answer);
                    break;
                }
                Err(_) => return Err(()),
            }
        }
        Ok(())
    }
}
