//! What runs off the worker.

use super::AsyncFile;
use crate::{Error, Result};
use bytes::Bytes;
use rustix::io::Errno;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::{JoinError, JoinHandle};

/// At most one thing at a time.
pub(super) enum Work {
    None,
    /// Of what is at `at`; of no use once the position is elsewhere.
    Reads {
        at: u64,
        task: JoinHandle<Result<Bytes>>,
    },
    /// Gives where the next write goes.
    Writes(JoinHandle<(u64, Result<()>)>),
    /// Finds out how long the file is.
    Measures(JoinHandle<Result<u64>>),
}

impl AsyncFile {
    /// Waits for what is being written, and puts down where that ended and how. Other work is left as it is.
    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Work::Writes(task) = &mut self.work {
            let ended = ready!(Pin::new(task).poll(cx));
            self.work = Work::None;
            let done = match ended {
                Ok((position, done)) => {
                    self.position = position;
                    done
                }
                Err(error) => Err(lost(error)),
            };
            if let Err(error) = done {
                self.failed.get_or_insert(error);
            }
        }
        Poll::Ready(())
    }
}

/// Right here, or where it may block.
pub(super) async fn anywhere<T: Send + 'static>(
    blocks: bool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    if !blocks {
        return work();
    }
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(lost(error)))
}

/// The work panicked, which is told where it was wanted, or the runtime has ended.
pub(super) fn lost(error: JoinError) -> Error {
    if let Ok(panic) = error.try_into_panic() {
        std::panic::resume_unwind(panic);
    }
    Error::Io(Errno::IO.raw_os_error())
}
