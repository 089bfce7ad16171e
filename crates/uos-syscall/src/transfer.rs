//! Whole files in and out, for those who have no use for messages: found and judged as ReadFile and WriteFile are, then
//! read or written piece by piece on what was found.

use std::sync::Arc;

use bytes::Bytes;
use uos_proto::{Right, v1};
use uos_vfs::{Access, Kind, Name, NodeRef, OpenFile, SetAttr, VPath};

use crate::{
    Errno, Error,
    admit::Cx,
    asking::{Asked, Leave, Once},
    calls::name_of,
    events::FileChange,
    kernel::{Caller, Inner, Kernel},
    pending::Pending,
    perform::{Syscall, carry_out},
    process::Process,
    staged::Staged,
    target::{KERNEL, PathTarget, Scope, denied},
};

/// The most that one reading gives.
const MOST: usize = 1 << 20;
/// Permission bits of a file that was not there before.
const MODE: u32 = 0o644;

/// What becomes of a file that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The upload takes its place.
    Replace,
    /// It stays, and the upload fails with EEXIST.
    Keep,
}

/// Who works on which file.
struct Bond {
    kernel: Arc<Inner>,
    caller: Arc<Process>,
    leave: Leave,
    path: VPath,
    right: Right,
}

impl Bond {
    /// What is taken from the caller holds at once, on open files too.
    fn holds(&self) -> Result<(), Error> {
        if !self.caller.is_alive() {
            return Err(Error::no_process(self.caller.pid.0));
        }
        self.leave.ask(|grants| match grants.for_path(self.right, self.path.as_bytes()) {
            Some(_) => Ok(()),
            None => Err(denied(self.right, &self.path)),
        })
    }
}

/// A file that is being read. It stays the same one, whatever becomes of its name.
pub struct Download {
    bond: Bond,
    file: Arc<dyn OpenFile>,
    /// Reading may wait for a disk.
    blocks: bool,
    size_bytes: u64,
    modified_us: i64,
}

/// A file that is being written beside the one it is to become. Dropped before [`Upload::commit`], nothing of it stays.
pub struct Upload {
    bond: Bond,
    /// Gone after a failure, and once it has been put in place.
    staged: Option<Unfinished>,
    target: Replacing,
    blocks: bool,
    record: Pending,
}

/// A staged file in the hands of those who must not wait for a disk, as its removal may.
struct Unfinished {
    staged: Option<Staged>,
    kernel: Arc<Inner>,
}

/// Where an upload goes.
struct Replacing {
    parent: NodeRef,
    name: Vec<u8>,
    mode: u32,
    existing: Existing,
}

impl Kernel {
    /// Opens a file to read it from end to end. Judged and recorded as a ReadFile, once; what is read of it afterwards is
    /// neither, but ends with the caller and with its right.
    ///
    /// # Errors
    /// Those of ReadFile.
    pub async fn open_download(&self, caller: &Caller, path: impl AsRef<[u8]>) -> Result<Download, Error> {
        let (path, path_raw) = text_or_bytes(path.as_ref());
        let request = v1::ReadFile { path, path_raw, ..v1::ReadFile::default() };
        let (download, mut record) = self
            .transfer(caller, request, |cx| {
                let node = cx.target.node()?;
                if node.kind() == Kind::Directory {
                    return Err(Errno::EISDIR.into());
                }
                let file = NodeRef::clone(node).open(KERNEL, Access::Read)?;
                let attr = file.attr()?;
                Ok(Download {
                    bond: bond(cx, Right::FsRead),
                    file,
                    blocks: node.blocks(),
                    size_bytes: attr.size,
                    modified_us: attr.modified.as_micros(),
                })
            })
            .await?;
        record.finish(Ok(download))
    }

    /// Begins a file that is to have a name in the end, in place of what has it then if that may be replaced. Judged as a
    /// WriteFile, and recorded as one when it is done or given up.
    ///
    /// # Errors
    /// Those of WriteFile. EACCES also if the host doesn't let the file be written that is there; EEXIST if it is to stay.
    pub async fn begin_upload(
        &self,
        caller: &Caller,
        path: impl AsRef<[u8]>,
        existing: Existing,
    ) -> Result<Upload, Error> {
        let (path, path_raw) = text_or_bytes(path.as_ref());
        let request = v1::WriteFile { path, path_raw, ..v1::WriteFile::default() };
        let ((bond, staged, target), record) = self
            .transfer(caller, request, move |cx| {
                let place = cx.target.place()?;
                let like = match &place.node {
                    Some(node) if node.kind() == Kind::Directory => return Err(Errno::EISDIR.into()),
                    Some(_) if existing == Existing::Keep => return Err(Errno::EEXIST.into()),
                    // What may not be written may not be replaced either, though the host would let us.
                    Some(node) => Some(NodeRef::clone(node).open(cx.hand(), Access::Write)?.attr()?),
                    None if place.must_be_dir => return Err(Errno::EISDIR.into()),
                    None => None,
                };
                let name = name_of(&place.path)?.as_bytes().to_vec();
                let staged = Staged::begin(cx.hand(), &place.parent, like.as_ref())?;
                let mode = like.map_or(MODE, |attr| attr.mode);
                let target_of = Replacing { parent: NodeRef::clone(&place.parent), name, mode, existing };
                let staged = Unfinished { staged: Some(staged), kernel: Arc::clone(cx.kernel()) };
                Ok((bond(cx, Right::FsWrite), staged, target_of))
            })
            .await?;
        Ok(Upload { bond, staged: Some(staged), blocks: target.parent.blocks(), target, record })
    }

    /// Finds and judges a file as a call for all of it would be, and begins. The record is to be finished by whoever
    /// carries it on.
    async fn transfer<R, T>(
        &self,
        caller: &Caller,
        request: R,
        begin: impl Fn(&Cx<'_, &PathTarget>) -> Result<T, Error> + Clone + Send + 'static,
    ) -> Result<(T, Pending), Error>
    where
        R: Syscall<Target = PathTarget> + Clone + Send + 'static,
        T: Send + 'static,
    {
        let mut once = Once::default();
        loop {
            let (request, begin) = (request.clone(), begin.clone());
            let (asked, had) = self
                .in_pool(caller, R::INFO, move |kernel, caller| {
                    let scope = Scope { kernel, caller, once: &once, memory_only: false };
                    let mut trail = once.trail(&kernel.log, caller.pid, R::INFO);
                    let find = || request.target(&scope);
                    let begun = carry_out(&scope, R::INFO, &mut trail, find, |_| false, |cx| begin(&cx))
                        .unwrap_or_else(|| Err(Errno::EIO.into()));
                    let refusal = match begun {
                        Ok(begun) => return Ok((Ok((begun, Pending::new(kernel, &mut trail))), once)),
                        Err(refusal) => refusal,
                    };
                    match Asked::about(&scope, &request, &mut trail, refusal) {
                        Ok(asked) => Ok((Err(asked), once)),
                        Err(error) => {
                            let failed = Err(error);
                            trail.finish(&failed);
                            failed
                        }
                    }
                })
                .await?;
            match asked {
                Ok(begun) => return Ok(begun),
                Err(asked) => once = Box::pin(asked.settle(&self.0, &caller.0, had)).await?,
            }
        }
    }
}

fn bond(cx: &Cx<'_, &PathTarget>, right: Right) -> Bond {
    Bond {
        kernel: Arc::clone(cx.kernel()),
        caller: Arc::clone(cx.caller()),
        leave: cx.asker().leave(),
        path: cx.target.path().clone(),
        right,
    }
}

/// A path as a message has it: as text if it is that.
fn text_or_bytes(path: &[u8]) -> (String, Bytes) {
    match std::str::from_utf8(path) {
        Ok(text) => (text.to_owned(), Bytes::new()),
        Err(_) => (String::new(), Bytes::copy_from_slice(path)),
    }
}

impl Download {
    /// Its canonical path when it was opened.
    pub fn path(&self) -> &VPath {
        &self.bond.path
    }

    /// Its size when it was opened.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// When it was last written by then, microseconds since 1970.
    pub fn modified_us(&self) -> i64 {
        self.modified_us
    }

    /// Up to `max` bytes from an offset, and no more than 1 MiB; nothing at the end.
    ///
    /// # Errors
    /// What the filesystem gives; ESRCH and EACCES when the caller has ended, or its right.
    pub async fn read(&self, offset: u64, max: usize) -> Result<Bytes, Error> {
        self.bond.holds()?;
        let max = max.min(MOST);
        if !self.blocks {
            return Ok(self.file.read_bytes(offset, max)?);
        }
        let file = Arc::clone(&self.file);
        self.bond.kernel.on_pool(move || Ok(file.read_bytes(offset, max)?)).await
    }
}

impl Upload {
    /// The canonical path that it will have.
    pub fn path(&self) -> &VPath {
        &self.bond.path
    }

    /// Adds to it. After a failure, and after giving the future up, it can only be dropped.
    ///
    /// # Errors
    /// What the filesystem gives, ENOSPC among it; ESRCH and EACCES when the caller has ended, or its right.
    pub async fn write(&mut self, data: Bytes) -> Result<(), Error> {
        let ready = self.bond.holds().and_then(|()| self.staged.take().ok_or_else(given_up));
        let mut staged = match ready {
            Ok(staged) => staged,
            Err(error) => return self.record.finish(Err(error)),
        };
        let written = if self.blocks {
            self.bond.kernel.on_pool(move || staged.write(&data).map(|()| staged)).await
        } else {
            staged.write(&data).map(|()| staged)
        };
        match written {
            Ok(staged) => {
                self.staged = Some(staged);
                Ok(())
            }
            Err(error) => self.record.finish(Err(error)),
        }
    }

    /// Makes it durable and puts it in place of what has the name by now, in one step. Gives its size.
    ///
    /// Given up while it is under way, it may still come to pass.
    ///
    /// # Errors
    /// What the filesystem gives; then what was there stays. ESRCH and EACCES when the caller has ended, or its right.
    pub async fn commit(self) -> Result<u64, Error> {
        let Self { bond, staged, target, mut record, .. } = self;
        let ready = bond.holds().and_then(|()| staged.ok_or_else(given_up));
        let mut staged = match ready {
            Ok(staged) => staged,
            Err(error) => return record.finish(Err(error)),
        };
        let kernel = Arc::clone(&bond.kernel);
        let done = kernel.on_pool(move || {
            let result = staged.take().ok_or_else(given_up).and_then(|staged| target.put(staged));
            record.finish(result.map(|(size, replaces)| {
                let change = if replaces { FileChange::Written } else { FileChange::Created };
                bond.kernel.tell_change(bond.caller.pid, change, &bond.path, false);
                size
            }))
        });
        done.await
    }
}

impl Unfinished {
    fn write(&mut self, data: &[u8]) -> Result<(), Error> {
        self.staged.as_mut().ok_or_else(given_up)?.write(data)
    }

    fn take(&mut self) -> Option<Staged> {
        self.staged.take()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(staged) = self.staged.take() {
            self.kernel.runtime.spawn_blocking(move || drop(staged));
        }
    }
}

impl Replacing {
    /// Puts a file in its place; says how large it is, and whether there was one.
    fn put(&self, staged: Staged) -> Result<(u64, bool), Error> {
        let size = staged.written();
        let name = Name::new(&self.name)?;
        let replaces = self.parent.lookup(KERNEL, name).is_ok();
        let attributes = SetAttr { mode: Some(self.mode), ..SetAttr::default() };
        staged.place(name, &attributes, self.existing == Existing::Keep)?;
        Ok((size, replaces))
    }
}

fn given_up() -> Error {
    Error::new(Errno::EIO, "the upload has failed before")
}

impl std::fmt::Debug for Download {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Download").field("path", &self.bond.path).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Upload").field("path", &self.bond.path).finish_non_exhaustive()
    }
}
