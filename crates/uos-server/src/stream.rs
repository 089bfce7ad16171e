//! `Stream`: calls as they come, answers as they are ready.

use std::collections::HashMap;

use tokio::{
    sync::mpsc,
    task::{AbortHandle, Id, JoinSet},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Status, Streaming};
use uos_proto::v1::{StreamRequest, StreamResponse, reply::Reply, stream_request::Action, stream_response};
use uos_syscall::{Errno, Error};

use crate::grpc::Session;

/// The most calls under way on one stream. A call counts until its answer is taken.
const IN_FLIGHT: usize = 1_024;
/// Answers that wait to be taken.
const ANSWERS: usize = 64;

/// The answers of one stream.
pub(crate) type Answers = ReceiverStream<Result<StreamResponse, Status>>;

/// Serves one stream. When the client goes, what is under way is given up.
pub(crate) fn start(session: Session, mut requests: Streaming<StreamRequest>) -> Answers {
    let (answers, taken) = mpsc::channel(ANSWERS);
    tokio::spawn(async move {
        let mut calls = Calls {
            session,
            answers,
            running: JoinSet::new(),
            by_id: HashMap::new(),
            by_task: HashMap::new(),
        };
        let mut open = true;
        while open || !calls.running.is_empty() {
            tokio::select! {
                request = requests.next(), if open => match request {
                    Some(Ok(request)) => calls.take(request).await,
                    // The client has said all it has to say; what is under way is still answered.
                    None => open = false,
                    // The client is gone, or doesn't speak the protocol.
                    Some(Err(_)) => return,
                },
                Some(done) = calls.running.join_next_with_id() => calls.finished(done).await,
                () = calls.answers.closed() => return,
            }
        }
    });
    ReceiverStream::new(taken)
}

struct Calls {
    session: Session,
    answers: mpsc::Sender<Result<StreamResponse, Status>>,
    /// Dropping it gives up everything in it.
    running: JoinSet<()>,
    by_id: HashMap<u64, AbortHandle>,
    by_task: HashMap<Id, u64>,
}

impl Calls {
    async fn take(&mut self, request: StreamRequest) {
        let StreamRequest { id, pid, action } = request;
        match action {
            Some(Action::Call(call)) => {
                if self.by_id.contains_key(&id) {
                    return self
                        .answer(id, Err(Error::invalid("id", "it names a call that is still under way")))
                        .await;
                }
                if self.by_id.len() >= IN_FLIGHT {
                    let used = self.by_id.len() as u64;
                    return self
                        .answer(id, Err(Error::limit(Errno::EAGAIN, "stream_calls", used, IN_FLIGHT as u64)))
                        .await;
                }
                let (session, answers) = (self.session.clone(), self.answers.clone());
                let task = self.running.spawn(async move {
                    let result = session.invoke(pid, Some(call), None).await;
                    // Fails only if the client is gone, and then nobody minds.
                    let _ = answers.send(Ok(response(id, result))).await;
                });
                self.by_task.insert(task.id(), id);
                self.by_id.insert(id, task);
            }
            Some(Action::Cancel(_)) => {
                // One that is not there has been answered already: the answer and the cancellation have crossed.
                if let Some(task) = self.by_id.get(&id) {
                    task.abort();
                }
            }
            None => {
                let error = Error::new(Errno::EINVAL, "the request holds neither a call nor a cancellation");
                self.answer(id, Err(error)).await;
            }
        }
    }

    async fn finished(&mut self, done: Result<(Id, ()), tokio::task::JoinError>) {
        let (task, failure) = match done {
            Ok((task, ())) => (task, None),
            Err(error) if error.is_cancelled() => (error.id(), Some(Errno::ECANCELED.into())),
            Err(error) => (error.id(), Some(Error::new(Errno::EIO, "the call failed inside the kernel"))),
        };
        let Some(id) = self.by_task.remove(&task) else { return };
        self.by_id.remove(&id);
        if let Some(error) = failure {
            self.answer(id, Err(error)).await;
        }
    }

    async fn answer(&self, id: u64, result: Result<Reply, Error>) {
        let _ = self.answers.send(Ok(response(id, result))).await;
    }
}

fn response(id: u64, result: Result<Reply, Error>) -> StreamResponse {
    let result = match result {
        Ok(reply) => stream_response::Result::Reply(uos_proto::v1::Reply { reply: Some(reply) }),
        Err(error) => stream_response::Result::Error(error.into()),
    };
    StreamResponse { id, result: Some(result) }
}
