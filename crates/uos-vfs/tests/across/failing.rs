//! A filesystem that fails at one step, or from one step on.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uos_vfs::{
    Access, Allocate, Attr, Caller, DirEntry, Error, Kind, MountId, Name, Node, NodeId, NodeRef, OpenFile,
    Reach, Rename, Result, Seek, SetAttr, SetXattr, Special, StatFs, Want,
};

/// What is answered by what fails.
pub(crate) const BROKEN: Error = Error::Io(5);

/// When to fail. Counts the operations of all filesystems that share it.
#[derive(Default)]
pub(crate) struct Fate {
    done: AtomicU64,
    /// The first that fails; none while 0.
    from: AtomicU64,
    /// How many fail from there.
    many: AtomicU64,
}

impl Fate {
    pub(crate) fn fail(&self, from: u64, many: u64) {
        self.done.store(0, Ordering::SeqCst);
        self.many.store(many, Ordering::SeqCst);
        self.from.store(from, Ordering::SeqCst);
    }

    /// How many operations there have been since failing was asked for.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    fn step<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let (nth, from) = (self.done.fetch_add(1, Ordering::SeqCst) + 1, self.from.load(Ordering::SeqCst));
        let fails = from != 0 && nth >= from && nth - from < self.many.load(Ordering::SeqCst);
        if fails { Err(BROKEN) } else { act() }
    }
}

pub(crate) struct Failing {
    inner: NodeRef,
    fate: Arc<Fate>,
}

pub(crate) fn failing(inner: NodeRef, fate: &Arc<Fate>) -> NodeRef {
    Arc::new(Failing { inner, fate: Arc::clone(fate) })
}

impl Failing {
    fn show(&self, node: NodeRef) -> NodeRef {
        failing(node, &self.fate)
    }

    /// What is beneath a node of this kind; the name of the trait's own door is taken by mounts.
    fn own(node: &NodeRef) -> NodeRef {
        match NodeRef::clone(node).into_any().downcast::<Failing>() {
            Ok(failing) => NodeRef::clone(&failing.inner),
            Err(_) => NodeRef::clone(node),
        }
    }
}

impl Node for Failing {
    fn id(&self) -> NodeId {
        self.inner.id()
    }
    fn kind(&self) -> Kind {
        self.inner.kind()
    }
    fn blocks(&self) -> bool {
        self.inner.blocks()
    }
    fn attr(&self) -> Result<Attr> {
        self.fate.step(|| self.inner.attr())
    }
    fn set_attr(&self, by: &Caller, set: &SetAttr) -> Result<Attr> {
        self.fate.step(|| self.inner.set_attr(by, set))
    }
    fn access(&self, by: &Caller, want: Want) -> Result<()> {
        self.fate.step(|| self.inner.access(by, want))
    }
    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef> {
        self.fate.step(|| Ok(self.show(self.inner.lookup(by, name)?)))
    }
    fn create(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.fate.step(|| Ok(self.show(self.inner.create(by, name, mode)?)))
    }
    fn mkdir(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.fate.step(|| Ok(self.show(self.inner.mkdir(by, name, mode)?)))
    }
    fn symlink(&self, by: &Caller, name: Name<'_>, target: &[u8]) -> Result<NodeRef> {
        self.fate.step(|| Ok(self.show(self.inner.symlink(by, name, target)?)))
    }
    fn mknod(&self, by: &Caller, name: Name<'_>, special: Special, mode: u32) -> Result<NodeRef> {
        self.fate.step(|| Ok(self.show(self.inner.mknod(by, name, special, mode)?)))
    }
    fn link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        self.fate.step(|| self.inner.link(by, name, &Self::own(node)))
    }
    fn unlink(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.fate.step(|| self.inner.unlink(by, name))
    }
    fn rmdir(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.fate.step(|| self.inner.rmdir(by, name))
    }
    fn rename(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        self.fate.step(|| self.inner.rename(by, name, &Self::own(to_dir), to_name, how))
    }
    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.fate.step(|| self.inner.read_dir(cursor, sink))
    }
    fn read_link(&self) -> Result<Vec<u8>> {
        self.fate.step(|| self.inner.read_link())
    }
    fn open(self: Arc<Self>, by: &Caller, access: Access) -> Result<Arc<dyn OpenFile>> {
        self.fate.step(|| {
            let inner = NodeRef::clone(&self.inner).open(by, access)?;
            Ok(Arc::new(FailingFile { inner, fate: Arc::clone(&self.fate) }) as Arc<dyn OpenFile>)
        })
    }
    fn stat_fs(&self) -> Result<StatFs> {
        self.fate.step(|| self.inner.stat_fs())
    }
    fn sync(&self, reach: Reach) -> Result<()> {
        self.fate.step(|| self.inner.sync(reach))
    }
    fn xattr(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        self.fate.step(|| self.inner.xattr(by, name))
    }
    fn set_xattr(&self, by: &Caller, name: &[u8], value: &[u8], how: SetXattr) -> Result<()> {
        self.fate.step(|| self.inner.set_xattr(by, name, value, how))
    }
    fn list_xattrs(&self, by: &Caller) -> Result<Vec<Vec<u8>>> {
        self.fate.step(|| self.inner.list_xattrs(by))
    }
    fn remove_xattr(&self, by: &Caller, name: &[u8]) -> Result<()> {
        self.fate.step(|| self.inner.remove_xattr(by, name))
    }
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
    fn beneath(&self) -> Option<(MountId, &NodeRef)> {
        None
    }
}

struct FailingFile {
    inner: Arc<dyn OpenFile>,
    fate: Arc<Fate>,
}

impl OpenFile for FailingFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        self.fate.step(|| self.inner.read_at(offset, buf))
    }
    fn read_bytes(&self, offset: u64, max: usize) -> Result<bytes::Bytes> {
        self.fate.step(|| self.inner.read_bytes(offset, max))
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize> {
        // In small pieces, so that there is something to interrupt.
        self.fate.step(|| self.inner.write_at(offset, &data[..data.len().min(40_000)]))
    }
    fn append(&self, data: &[u8]) -> Result<u64> {
        self.fate.step(|| self.inner.append(data))
    }
    fn replace(&self, data: &[u8]) -> Result<()> {
        self.fate.step(|| self.inner.replace(data))
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.fate.step(|| self.inner.set_len(len))
    }
    fn allocate(&self, offset: u64, len: u64, how: Allocate) -> Result<()> {
        self.fate.step(|| self.inner.allocate(offset, len, how))
    }
    fn seek(&self, offset: u64, to: Seek) -> Result<u64> {
        self.inner.seek(offset, to)
    }
    fn sync(&self) -> Result<()> {
        self.fate.step(|| self.inner.sync())
    }
    fn attr(&self) -> Result<Attr> {
        self.fate.step(|| self.inner.attr())
    }
}
