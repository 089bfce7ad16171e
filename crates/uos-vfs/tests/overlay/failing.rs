//! A filesystem whose changes fail from some moment on.

use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use uos_vfs::{
    Access, Allocate, Attr, Caller, DirEntry, Error, Kind, Name, Node, NodeId, NodeRef, OpenFile, Reach,
    Rename, Result, Seek, SetAttr, SetXattr, Special, StatFs, Want,
};

/// What becomes of it when its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// One change fails, and those after it don't.
    Fails,
    /// Nothing is changed any more, as if the process were gone.
    Dies,
}

/// When.
pub(crate) struct Plan {
    fate: Fate,
    /// Changes until then.
    left: AtomicI64,
}

impl Plan {
    /// Nothing fails until told.
    pub(crate) fn new(fate: Fate) -> Arc<Self> {
        Arc::new(Plan { fate, left: AtomicI64::new(i64::MAX) })
    }

    /// So many changes are made from now on.
    pub(crate) fn after(&self, changes: i64) {
        self.left.store(changes, Ordering::Relaxed);
    }

    fn change(&self) -> Result<()> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(Error::Io(5)),
            left if left < 0 && self.fate == Fate::Dies => Err(Error::Io(5)),
            _ => Ok(()),
        }
    }
}

/// A node of another filesystem, or an open file of it.
pub(crate) struct Failing<T> {
    inner: T,
    plan: Arc<Plan>,
}

pub(crate) fn failing(node: NodeRef, plan: &Arc<Plan>) -> NodeRef {
    Arc::new(Failing { inner: node, plan: Arc::clone(plan) })
}

fn inner(node: &NodeRef) -> Result<NodeRef> {
    let ours = NodeRef::clone(node).into_any().downcast::<Failing<NodeRef>>();
    ours.map(|ours| NodeRef::clone(&ours.inner)).map_err(|_| Error::CrossDevice)
}

impl Node for Failing<NodeRef> {
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
        self.inner.attr()
    }

    fn set_attr(&self, by: &Caller, set: &SetAttr) -> Result<Attr> {
        self.plan.change()?;
        self.inner.set_attr(by, set)
    }

    fn access(&self, by: &Caller, want: Want) -> Result<()> {
        self.inner.access(by, want)
    }

    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef> {
        Ok(failing(self.inner.lookup(by, name)?, &self.plan))
    }

    fn create(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.plan.change()?;
        Ok(failing(self.inner.create(by, name, mode)?, &self.plan))
    }

    fn mkdir(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.plan.change()?;
        Ok(failing(self.inner.mkdir(by, name, mode)?, &self.plan))
    }

    fn symlink(&self, by: &Caller, name: Name<'_>, target: &[u8]) -> Result<NodeRef> {
        self.plan.change()?;
        Ok(failing(self.inner.symlink(by, name, target)?, &self.plan))
    }

    fn mknod(&self, by: &Caller, name: Name<'_>, special: Special, mode: u32) -> Result<NodeRef> {
        self.plan.change()?;
        Ok(failing(self.inner.mknod(by, name, special, mode)?, &self.plan))
    }

    fn link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        self.plan.change()?;
        self.inner.link(by, name, &inner(node)?)
    }

    fn unlink(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.plan.change()?;
        self.inner.unlink(by, name)
    }

    fn rmdir(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.plan.change()?;
        self.inner.rmdir(by, name)
    }

    fn rename(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        self.plan.change()?;
        self.inner.rename(by, name, &inner(to_dir)?, to_name, how)
    }

    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.inner.read_dir(cursor, sink)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.inner.read_link()
    }

    fn open(self: Arc<Self>, by: &Caller, access: Access) -> Result<Arc<dyn OpenFile>> {
        let file = NodeRef::clone(&self.inner).open(by, access)?;
        Ok(Arc::new(Failing { inner: file, plan: Arc::clone(&self.plan) }))
    }

    fn stat_fs(&self) -> Result<StatFs> {
        self.inner.stat_fs()
    }

    fn sync(&self, reach: Reach) -> Result<()> {
        self.inner.sync(reach)
    }

    fn xattr(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        self.inner.xattr(by, name)
    }

    fn set_xattr(&self, by: &Caller, name: &[u8], value: &[u8], how: SetXattr) -> Result<()> {
        self.plan.change()?;
        self.inner.set_xattr(by, name, value, how)
    }

    fn list_xattrs(&self, by: &Caller) -> Result<Vec<Vec<u8>>> {
        self.inner.list_xattrs(by)
    }

    fn remove_xattr(&self, by: &Caller, name: &[u8]) -> Result<()> {
        self.plan.change()?;
        self.inner.remove_xattr(by, name)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

impl OpenFile for Failing<Arc<dyn OpenFile>> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        self.inner.read_at(offset, buf)
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        self.inner.read_bytes(offset, max)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize> {
        self.plan.change()?;
        self.inner.write_at(offset, data)
    }

    fn append(&self, data: &[u8]) -> Result<u64> {
        self.plan.change()?;
        self.inner.append(data)
    }

    fn replace(&self, data: &[u8]) -> Result<()> {
        self.plan.change()?;
        self.inner.replace(data)
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.plan.change()?;
        self.inner.set_len(len)
    }

    fn allocate(&self, offset: u64, len: u64, how: Allocate) -> Result<()> {
        self.plan.change()?;
        self.inner.allocate(offset, len, how)
    }

    fn seek(&self, offset: u64, to: Seek) -> Result<u64> {
        self.inner.seek(offset, to)
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn attr(&self) -> Result<Attr> {
        self.inner.attr()
    }
}
