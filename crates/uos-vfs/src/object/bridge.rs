//! From threads that wait to a service that is async.

use crate::{Error, Result};
use opendal::{ErrorKind, Operator};
use rustix::io::Errno;
use std::error::Error as _;
use std::io;
use std::sync::mpsc::sync_channel;
use tokio::runtime::{Builder, Runtime};

/// A service and the runtime it runs on. It is a runtime of its own, so that whoever waits here never waits for itself: of another's
/// runtime all workers might be waiting.
pub(super) struct Bridge {
    operator: Operator,
    /// Always there until it is dropped.
    runtime: Option<Runtime>,
}

/// They poll, and wait for nothing: what blocks of a service is on threads that the runtime has for that.
const WORKERS: usize = 2;

impl Bridge {
    pub(super) fn new(operator: Operator) -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(WORKERS).thread_name("uos-objects").enable_all().build()?;
        Ok(Bridge { operator, runtime: Some(runtime) })
    }

    pub(super) fn operator(&self) -> &Operator {
        &self.operator
    }

    /// Runs something of the service and waits for what comes of it.
    pub(super) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = sync_channel(1);
        self.detach(async move {
            // Nobody can have gone away: they wait.
            let _ = tell.send(work.await);
        });
        // The service panicked, which it has said.
        told.recv().map_err(|_| Error::Io(Errno::IO.raw_os_error()))
    }

    /// The same, where what comes of it is a result of the service.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl Future<Output = opendal::Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.wait(work)?.map_err(|error| error_of(&error))
    }

    /// Runs something that nobody waits for.
    pub(super) fn detach(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            drop(runtime.spawn(work));
        }
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for its threads is not for those who drop it: they may be workers of another runtime.
            runtime.shutdown_background();
        }
    }
}

/// In terms of files. What a host said beneath is said again.
pub(super) fn error_of(error: &opendal::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::NotFound,
        ErrorKind::PermissionDenied => Error::AccessDenied,
        ErrorKind::IsADirectory => Error::IsADirectory,
        ErrorKind::NotADirectory => Error::NotADirectory,
        ErrorKind::AlreadyExists | ErrorKind::ConditionNotMatch => Error::Exists,
        ErrorKind::Unsupported => Error::NotSupported("by this service"),
        ErrorKind::RateLimited | ErrorKind::Conflict => Error::Busy,
        ErrorKind::ConfigInvalid => Error::InvalidArgument("refused by the service"),
        _ => {
            let mut cause = error.source();
            while let Some(error) = cause {
                if let Some(raw) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
                    return Error::from_errno(raw);
                }
                cause = error.source();
            }
            Error::Io(Errno::IO.raw_os_error())
        }
    }
}
