//! Where a program reads from, for WriteStdin: several writers take turns, and whoever gives up has written nothing.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use parking_lot::Mutex;
use tokio::{
    io::AsyncWrite,
    runtime::Handle,
    sync::{Notify, Semaphore},
};

/// Our end of a program's standard input.
pub(crate) struct Input {
    /// `None` once it is closed. Held for one attempt to write, which doesn't wait.
    end: Mutex<Option<uos_proc::Input>>,
    /// One writer at a time, in the order they came: the end wakes one who waits for room.
    turn: Semaphore,
    closed: Notify,
    pub(crate) is_terminal: bool,
}

/// What came of a write.
pub(crate) struct Written {
    pub(crate) bytes: usize,
    pub(crate) closed: bool,
}

/// Nobody reads any more, or why it can't be written to.
pub(crate) enum Refused {
    Closed,
    Host(io::Error),
}

impl Input {
    pub(crate) fn new(mut end: uos_proc::Input, is_terminal: bool, runtime: &Handle) -> Self {
        // So that the runtime hears of it from now on, and the first writer needn't wait to be told that there is room.
        let _in_runtime = runtime.enter();
        let _ = Pin::new(&mut end).poll_write(&mut Context::from_waker(Waker::noop()), &[]);
        Self { end: Mutex::new(Some(end)), turn: Semaphore::new(1), closed: Notify::new(), is_terminal }
    }

    /// Waits until some of it can be written, and closes the input if that was all and is asked for.
    pub(crate) async fn write(&self, data: &[u8], close: bool) -> Result<Written, Refused> {
        // The semaphore is never closed.
        let _turn = self.turn.acquire().await;
        let bytes = if data.is_empty() { self.look()? } else { self.write_some(data).await? };
        let closed = close && bytes == data.len();
        if closed {
            self.close();
        }
        Ok(Written { bytes, closed })
    }

    async fn write_some(&self, data: &[u8]) -> Result<usize, Refused> {
        let closed = self.closed.notified();
        tokio::pin!(closed);
        closed.as_mut().enable();
        let attempt = std::future::poll_fn(|cx| match &mut *self.end.lock() {
            None => Poll::Ready(Err(Refused::Closed)),
            Some(end) => Pin::new(end).poll_write(cx, data).map_err(|error| match error.kind() {
                io::ErrorKind::BrokenPipe => Refused::Closed,
                // A terminal that was hung up.
                _ if error.raw_os_error() == Some(5) => Refused::Closed,
                _ => Refused::Host(error),
            }),
        });
        tokio::select! {
            biased;
            written = attempt => written,
            () = closed => Err(Refused::Closed),
        }
    }

    fn look(&self) -> Result<usize, Refused> {
        if self.end.lock().is_some() { Ok(0) } else { Err(Refused::Closed) }
    }

    /// The program reads its end, once it has read what was written.
    pub(crate) fn close(&self) {
        let end = self.end.lock().take();
        drop(end);
        self.closed.notify_waiters();
    }
}
