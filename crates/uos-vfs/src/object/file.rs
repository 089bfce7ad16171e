//! Reading and writing an object.

use super::Objects;
use super::bridge::error_of;
use super::key::Key;
use super::node::attr_of;
use crate::{Attr, Error, Kind, OpenFile, Result};
use bytes::Bytes;
use opendal::options::{ReadOptions, WriteOptions};
use opendal::{ErrorKind, Writer};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Where the service takes an object in parts, parts of this size: five gigabytes take 640 of them.
const PART: usize = 8 << 20;
/// No file is longer.
const END: u64 = i64::MAX as u64;

/// An object in somebody's hands.
pub(super) struct ObjectFile {
    objects: Arc<Objects>,
    key: Key,
    /// What is being written piece by piece. Whoever writes the next piece waits for this one.
    upload: Mutex<Option<Upload>>,
    /// How long it was when it was last looked at.
    size: AtomicU64,
}

struct Upload {
    writer: Writer,
    written: u64,
}

impl ObjectFile {
    /// One that was of this size.
    pub(super) fn new(objects: &Arc<Objects>, key: &Key, size: u64) -> Self {
        let (upload, size) = (Mutex::new(None), AtomicU64::new(size));
        ObjectFile { objects: Arc::clone(objects), key: key.clone(), upload, size }
    }

    /// `None` if the object isn't as long.
    fn read_range(&self, offset: u64, end: u64) -> Result<Option<Bytes>> {
        if offset >= end {
            return Ok(Some(Bytes::new()));
        }
        let (operator, key) = (self.objects.bridge.operator().clone(), self.key.object());
        let read = self.objects.bridge.wait(async move {
            let options = ReadOptions { range: (offset..end).into(), ..ReadOptions::default() };
            operator.read_options(&key, options).await
        })?;
        match read {
            // However much there is, no more is taken than was asked for.
            Ok(data) => {
                let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX);
                Ok(Some(data.to_bytes().slice(..data.len().min(wanted))))
            }
            Err(error) if error.kind() == ErrorKind::RangeNotSatisfied => Ok(None),
            Err(error) => Err(error_of(&error)),
        }
    }

    /// Begins an upload, if what is there is nothing: of anything else a part would be lost.
    fn begin(&self, offset: u64) -> Result<Upload> {
        if offset != 0 || self.attr()?.size != 0 {
            return Err(Error::NotSupported("writing elsewhere than on from the start of an empty object"));
        }
        let (operator, key) = (self.objects.bridge.operator().clone(), self.key.object());
        let in_parts = operator.info().capability().write_can_multi;
        let options = WriteOptions { chunk: in_parts.then_some(PART), ..WriteOptions::default() };
        let writer = self.objects.bridge.ask(async move { operator.writer_options(&key, options).await })?;
        Ok(Upload { writer, written: 0 })
    }

    /// What was being written is not to be.
    fn abort(&self, upload: Option<Upload>) {
        if let Some(mut upload) = upload {
            // A service that keeps parts forgets them by this; nobody waits to hear whether it has.
            self.objects.bridge.detach(async move {
                let _ = upload.writer.abort().await;
            });
        }
    }
}

impl OpenFile for ObjectFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let data = self.read_bytes(offset, buf.len())?;
        buf[..data.len()].copy_from_slice(&data);
        Ok(data.len())
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        let mut end = offset.saturating_add(max as u64).min(END);
        // Not every service reads as far as there is: some refuse what is asked for beyond.
        if end > self.size.load(Ordering::Relaxed) {
            end = end.min(self.attr()?.size);
        }
        let mut read = self.read_range(offset, end);
        if let Ok(None) = read {
            // It has become shorter.
            read = self.read_range(offset, end.min(self.attr()?.size));
        }
        Ok(read?.unwrap_or_default())
    }

    /// Only as the next piece of what was begun by this very open file.
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize> {
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > END) {
            return Err(Error::TooBig);
        }
        if data.is_empty() {
            return Ok(0);
        }
        let mut current = self.upload.lock();
        let mut upload = match current.take() {
            Some(upload) if upload.written == offset => upload,
            Some(upload) => {
                *current = Some(upload);
                return Err(Error::NotSupported("writing elsewhere than where the last piece ended"));
            }
            None => self.begin(offset)?,
        };
        let piece = Bytes::copy_from_slice(data);
        let (mut upload, done) = self.objects.bridge.wait(async move {
            let done = upload.writer.write(piece).await;
            (upload, done)
        })?;
        if let Err(error) = done {
            self.abort(Some(upload));
            return Err(error_of(&error));
        }
        upload.written += data.len() as u64;
        *current = Some(upload);
        Ok(data.len())
    }

    fn append(&self, data: &[u8]) -> Result<u64> {
        let _ = data;
        Err(Error::NotSupported("appending to an object"))
    }

    fn replace(&self, data: &[u8]) -> Result<()> {
        if data.len() as u64 > END {
            return Err(Error::TooBig);
        }
        let mut current = self.upload.lock();
        self.abort(current.take());
        let (operator, key) = (self.objects.bridge.operator().clone(), self.key.object());
        let data = Bytes::copy_from_slice(data);
        self.objects.bridge.ask(async move { operator.write(&key, data).await }).map(drop)
    }

    /// To nothing: all else is refused.
    fn set_len(&self, len: u64) -> Result<()> {
        match len {
            0 => self.replace(&[]),
            len if len > END => Err(Error::TooBig),
            _ => Err(Error::NotSupported("cutting an object but to nothing")),
        }
    }

    /// Has what was written piece by piece be there. The next piece would be an append.
    fn sync(&self) -> Result<()> {
        let mut current = self.upload.lock();
        let Some(mut upload) = current.take() else { return Ok(()) };
        let (upload, done) = self.objects.bridge.wait(async move {
            let done = upload.writer.close().await;
            (upload, done)
        })?;
        match done {
            Ok(_) => Ok(()),
            Err(error) => {
                self.abort(Some(upload));
                Err(error_of(&error))
            }
        }
    }

    /// Of what others see: pieces count once they are synced.
    fn attr(&self) -> Result<Attr> {
        let (operator, key) = (self.objects.bridge.operator().clone(), self.key.object());
        let metadata = self.objects.bridge.ask(async move { operator.stat(&key).await })?;
        let attr = attr_of(&self.objects, &self.key, Kind::File, Some(&metadata));
        self.size.store(attr.size, Ordering::Relaxed);
        Ok(attr)
    }
}

impl Drop for ObjectFile {
    fn drop(&mut self) {
        let upload = self.upload.get_mut().take();
        self.abort(upload);
    }
}
