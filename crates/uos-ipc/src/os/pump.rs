//! An end of a pipe in memory, given to a program as a real descriptor.

use super::reactor::{Interest, Source};
use crate::pipe::{PipeError, Reader, Writer};
use crate::waiting::blocking::block_on;
use bytes::Bytes;
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, pipe_with};
use std::future::{Future, poll_fn};
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::task::Poll;

/// How much is moved at a time.
const CHUNK: usize = 64 << 10;

/// Moves bytes between a pipe in memory and a descriptor that a program has, until either ends. Answers how many it moved.
///
/// It is a future for any runtime; [`run`](Self::run) is the same for a thread. Dropping it ends the connection.
#[must_use = "nothing is moved until it is run"]
pub struct Pump {
    moving: Pin<Box<dyn Future<Output = Result<u64, PipeError>> + Send>>,
}

impl Pump {
    /// Moves on the calling thread until one of the ends is closed.
    pub fn run(self) -> Result<u64, PipeError> {
        block_on(self)
    }
}

impl Future for Pump {
    type Output = Result<u64, PipeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        self.moving.as_mut().poll(cx)
    }
}

impl Reader {
    /// Gives this end to a program: the descriptor is the reading end of a pipe(2), which the pump fills from here.
    ///
    /// When the last writer here is gone, the program reads what is left and then the end; when the program closes its end,
    /// writers here get `BrokenPipe`.
    pub fn into_fd(self) -> Result<(OwnedFd, Pump), PipeError> {
        let (theirs, ours) = pipe_with(PipeFlags::CLOEXEC).map_err(os)?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(os)?;
        let ours = Source::new(ours).map_err(os)?;
        Ok((theirs, Pump { moving: Box::pin(fill(self, ours)) }))
    }
}

impl Writer {
    /// Gives this end to a program: the descriptor is the writing end of a pipe(2), which the pump empties into here.
    ///
    /// When the program closes its end, or ends, readers here read what is left and then the end; when the last reader here is
    /// gone, the program gets EPIPE.
    pub fn into_fd(self) -> Result<(OwnedFd, Pump), PipeError> {
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(os)?;
        rustix::io::ioctl_fionbio(&ours, true).map_err(os)?;
        let ours = Source::new(ours).map_err(os)?;
        Ok((theirs, Pump { moving: Box::pin(empty(self, ours)) }))
    }
}

async fn fill(reader: Reader, to: Source) -> Result<u64, PipeError> {
    let mut moved = 0;
    loop {
        // The program may close its end while nothing comes: then nobody reads here any more either.
        let Some(mut bytes) = unless_broken(reader.read(CHUNK), &to).await.transpose()? else {
            return Ok(moved);
        };
        if bytes.is_empty() {
            return Ok(moved);
        }
        while !bytes.is_empty() {
            match retry_on_intr(|| rustix::io::write(&to, &bytes)) {
                Ok(written) => {
                    moved += written as u64;
                    drop(bytes.split_to(written));
                }
                Err(Errno::AGAIN) => to.wait(Interest::Write).await,
                Err(Errno::PIPE) => return Ok(moved),
                Err(errno) => return Err(os(errno)),
            }
        }
    }
}

async fn empty(writer: Writer, from: Source) -> Result<u64, PipeError> {
    let mut moved = 0;
    let mut buffer = vec![0; CHUNK];
    loop {
        match retry_on_intr(|| rustix::io::read(&from, &mut buffer[..])) {
            Ok(0) => return Ok(moved),
            Ok(read) => {
                let mut bytes = Bytes::copy_from_slice(&buffer[..read]);
                while !bytes.is_empty() {
                    match writer.write(bytes.clone()).await {
                        Ok(written) => drop(bytes.split_to(written)),
                        Err(PipeError::BrokenPipe) => return Ok(moved),
                        Err(error) => return Err(error),
                    }
                }
                moved += read as u64;
            }
            Err(Errno::AGAIN) => {
                // Nobody may be left who reads here while nothing comes.
                let broken = pin!(writer.abandoned());
                let waited = either(from.wait(Interest::Read), broken).await;
                if !waited {
                    return Ok(moved);
                }
            }
            Err(errno) => return Err(os(errno)),
        }
    }
}

/// The answer, or none if the descriptor's other end is closed before it comes.
async fn unless_broken<T>(answer: impl Future<Output = T>, to: &Source) -> Option<T> {
    let (mut answer, mut broken) = (pin!(answer), to.wait(Interest::Broken));
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Pin::new(&mut broken).poll(cx).map(|()| None),
    })
    .await
}

/// Whether it was the first of them.
async fn either(first: impl Future<Output = ()>, second: impl Future<Output = ()>) -> bool {
    let (mut first, mut second) = (pin!(first), pin!(second));
    poll_fn(|cx| match first.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending => second.as_mut().poll(cx).map(|()| false),
    })
    .await
}

fn os(errno: Errno) -> PipeError {
    PipeError::Os { errno: errno.raw_os_error() }
}
