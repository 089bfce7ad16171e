//! The traits of tokio.

use super::work::{Work, lost};
use super::{AsyncFile, MOST, check};
use crate::{Error, Result};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};
use tokio::task::spawn_blocking;

impl AsyncRead for AsyncFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        check(this.opened.access.reads())?;
        this.seeks = None;
        let room = buf.remaining().min(MOST);
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        if !this.opened.node.blocks() {
            let read = this.opened.file.read_at(this.position, buf.initialize_unfilled_to(room))?;
            buf.advance(read);
            this.position += read as u64;
            return Poll::Ready(Ok(()));
        }
        // What became of it is for the next write to say.
        ready!(this.poll_written(cx));
        if !matches!(&this.work, Work::Reads { at, .. } if *at == this.position) {
            let (opened, at) = (this.opened.clone(), this.position);
            this.work = Work::Reads { at, task: spawn_blocking(move || opened.read(at, room)) };
        }
        if let Work::Reads { task, .. } = &mut this.work {
            let read = ready!(Pin::new(task).poll(cx));
            this.work = Work::None;
            let data = read.unwrap_or_else(|error| Err(lost(error)))?;
            // There may be less room than when it began.
            let fits = data.len().min(room);
            buf.put_slice(&data[..fits]);
            this.position += fits as u64;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AsyncFile {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        check(this.opened.access.writes())?;
        this.seeks = None;
        ready!(this.poll_written(cx));
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Err(error.into()));
        }
        let data = &data[..data.len().min(MOST)];
        if data.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if !this.opened.node.blocks() {
            if this.opened.append {
                this.position = this.opened.file.append(data)? + data.len() as u64;
                return Poll::Ready(Ok(data.len()));
            }
            let written = this.opened.file.write_at(this.position, data)?;
            this.position += written as u64;
            return Poll::Ready(Ok(written));
        }
        let (opened, at, taken) = (this.opened.clone(), this.position, data.to_vec());
        // Nothing has such an end, and the position would not hold it.
        let end = at.checked_add(data.len() as u64).ok_or(Error::TooBig)?;
        this.work = Work::Writes(spawn_blocking(move || opened.write(at, &taken)));
        if !this.opened.append {
            this.position = end;
        }
        Poll::Ready(Ok(data.len()))
    }

    /// Waits until all has been written; [`AsyncFile::sync`] makes durable.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_written(cx));
        Poll::Ready(self.failed.take().map_or(Ok(()), |error| Err(error.into())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsyncSeek for AsyncFile {
    fn start_seek(mut self: Pin<&mut Self>, to: io::SeekFrom) -> io::Result<()> {
        self.seeks = Some(to);
        if let Work::Measures(_) = self.work {
            // Of an earlier one that was given up.
            self.work = Work::None;
        }
        Ok(())
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = &mut *self;
        ready!(this.poll_written(cx));
        if let Some(to) = this.seeks {
            let (from, by) = match to {
                io::SeekFrom::Start(offset) => (Ok(offset), 0),
                io::SeekFrom::Current(by) => (Ok(this.position), by),
                io::SeekFrom::End(by) => (ready!(this.poll_len(cx)), by),
            };
            this.seeks = None;
            let there = from?.checked_add_signed(by).filter(|&there| i64::try_from(there).is_ok());
            this.position = there.ok_or(Error::InvalidArgument("a position no file has"))?;
        }
        Poll::Ready(Ok(this.position))
    }
}

impl AsyncFile {
    fn poll_len(&mut self, cx: &mut Context<'_>) -> Poll<Result<u64>> {
        if !self.opened.node.blocks() {
            return Poll::Ready(self.opened.file.attr().map(|attr| attr.size));
        }
        if !matches!(self.work, Work::Measures(_)) {
            let file = self.opened.file.clone();
            self.work = Work::Measures(spawn_blocking(move || file.attr().map(|attr| attr.size)));
        }
        let Work::Measures(task) = &mut self.work else { return Poll::Pending };
        let len = ready!(Pin::new(task).poll(cx));
        self.work = Work::None;
        Poll::Ready(len.unwrap_or_else(|error| Err(lost(error))))
    }
}
