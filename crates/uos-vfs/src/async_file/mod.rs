//! An open file for tasks of tokio.

mod io;
mod work;

use crate::{Access, Attr, Error, File, NodeRef, OpenFile, OpenOptions, Result, Tree};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use work::{Work, anywhere};

/// No more is read or written at once, so that no worker copies for long and no buffer gets large.
const MOST: usize = 2 << 20;

/// A regular file with a position of its own: `AsyncRead`, `AsyncWrite` and `AsyncSeek` over [`OpenFile`].
///
/// ```
/// use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
/// use uos_vfs::{AsyncFile, MemFs, OpenOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let fs = std::sync::Arc::new(MemFs::builder().build());
/// let mut file = AsyncFile::open(&fs, "/f", OpenOptions::read_write().create(0o644)).await?;
/// file.write_all(b"hello").await?;
/// file.rewind().await?;
/// let mut text = String::new();
/// file.read_to_string(&mut text).await?;
/// assert_eq!(text, "hello");
/// # Ok(())
/// # }
/// ```
///
/// **No worker waits for a disk.** What [`may block`](crate::Node::blocks) runs on the blocking threads of the runtime that
/// polls it; what is in memory is done right there, and takes no runtime.
///
/// **Reading that is given up** has moved nothing: the next one gets the same, perhaps as it was then. **Writing** is like
/// that of tokio's own files: what may block has been taken over when it answers, and goes on behind it, one write at a
/// time. Whoever wants to know how that ended flushes; else the next write says so. Dropped without, it is still written,
/// unless the runtime ends. At most 2 MiB are read or written at once, so that is what is appended in one piece.
pub struct AsyncFile {
    opened: Opened,
    position: u64,
    work: Work,
    /// How the write ended of which nobody has asked yet.
    failed: Option<Error>,
    /// A seek that is under way, or was given up and then not followed by anything.
    seeks: Option<std::io::SeekFrom>,
}

/// What is open, to be taken along to another thread.
#[derive(Clone)]
struct Opened {
    node: NodeRef,
    file: Arc<dyn OpenFile>,
    access: Access,
    append: bool,
}

impl AsyncFile {
    /// Opens a file by path, off the worker.
    ///
    /// # Errors
    /// Those of [`FileSystem::open`](crate::FileSystem::open).
    pub async fn open<T: Tree + 'static>(
        fs: &Arc<T>,
        path: impl AsRef<[u8]>,
        options: OpenOptions,
    ) -> Result<Self> {
        let (fs, path) = (Arc::clone(fs), path.as_ref().to_vec());
        // Which filesystem it leads to is only known on the way.
        anywhere(true, move || Ok(crate::FileSystem::open(&*fs, path, &options)?.into())).await
    }

    /// The node that is open.
    pub fn node(&self) -> &NodeRef {
        &self.opened.node
    }

    /// Where the next one reads or writes; if it appends and a write is under way, where that began.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Its attributes, after what was written.
    pub async fn metadata(&mut self) -> Result<Attr> {
        self.with(OpenFile::attr).await
    }

    /// Cuts it to `len` or extends it with zeros. [`Error::BadDescriptor`] unless opened for writing.
    pub async fn set_len(&mut self, len: u64) -> Result<()> {
        check(self.opened.access.writes())?;
        self.with(move |file| file.set_len(len)).await
    }

    /// Returns when everything written is as durable as the filesystem makes it.
    pub async fn sync(&mut self) -> Result<()> {
        self.with(OpenFile::sync).await
    }

    /// The file as others read and write it, after what was written.
    ///
    /// # Errors
    /// What became of that.
    pub async fn into_file(mut self) -> Result<File> {
        self.written().await?;
        let Opened { node, file, access, append } = self.opened;
        Ok(File::new(node, file, access, append).at(self.position))
    }

    async fn written(&mut self) -> Result<()> {
        std::future::poll_fn(|cx| self.poll_written(cx)).await;
        self.failed.take().map_or(Ok(()), Err)
    }

    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&dyn OpenFile) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.written().await?;
        // What was read before may be so no longer.
        self.work = Work::None;
        let file = Arc::clone(&self.opened.file);
        anywhere(self.opened.node.blocks(), move || work(&*file)).await
    }
}

impl Opened {
    fn read(&self, at: u64, most: usize) -> Result<Bytes> {
        self.file.read_bytes(at, most)
    }

    /// Where the next write goes, and what became of this one.
    fn write(&self, at: u64, data: &[u8]) -> (u64, Result<()>) {
        if self.append {
            return match self.file.append(data) {
                Ok(from) => (from + data.len() as u64, Ok(())),
                Err(error) => (at, Err(error)),
            };
        }
        let mut done = 0;
        while done < data.len() {
            match self.file.write_at(at + done as u64, &data[done..]) {
                // As of write_all: who takes nothing would take nothing for ever.
                Ok(0) => return (at + done as u64, Err(Error::Io(rustix::io::Errno::IO.raw_os_error()))),
                Ok(written) => done += written,
                Err(error) => return (at + done as u64, Err(error)),
            }
        }
        (at + done as u64, Ok(()))
    }
}

impl From<File> for AsyncFile {
    /// With the position the file has.
    fn from(file: File) -> Self {
        let (node, file, access, append, position) = file.into_parts();
        let opened = Opened { node, file, access, append };
        AsyncFile { opened, position, work: Work::None, failed: None, seeks: None }
    }
}

impl fmt::Debug for AsyncFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("AsyncFile");
        out.field("node", &self.opened.node.id()).field("access", &self.opened.access);
        out.field("append", &self.opened.append).field("position", &self.position).finish_non_exhaustive()
    }
}

fn check(allowed: bool) -> Result<()> {
    if allowed { Ok(()) } else { Err(Error::BadDescriptor) }
}
