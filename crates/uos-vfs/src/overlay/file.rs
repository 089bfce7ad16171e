//! A file opened through the overlay: what it reads and writes is where the file is at that moment.

use super::ROOT;
use super::node::OverlayNode;
use crate::{Access, Allocate, Attr, Caller, Error, Node, NodeRef, OpenFile, Owner, Result, Seek, SetAttr};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

pub(super) struct OverlayFile {
    node: Arc<OverlayNode>,
    by: Caller,
    access: Access,
    /// As long as it has not been copied up.
    below: Option<Arc<dyn OpenFile>>,
    above: OnceLock<Arc<dyn OpenFile>>,
    /// The upper layer was not asked who writes, as it would refuse what was allowed when this was opened.
    unasked: AtomicBool,
}

impl OverlayFile {
    /// The caller has been judged.
    pub(super) fn open(node: Arc<OverlayNode>, by: &Caller, access: Access) -> Result<Self> {
        let below = match node.upper.get() {
            Some(_) => None,
            None => Some(NodeRef::clone(&node.base).open(ROOT, Access::Read)?),
        };
        let (above, unasked) = (OnceLock::new(), AtomicBool::new(false));
        let file = OverlayFile { node, by: by.clone(), access, below, above, unasked };
        file.now()?;
        Ok(file)
    }

    /// What the file is now.
    fn now(&self) -> Result<&Arc<dyn OpenFile>> {
        if let Some(above) = self.above.get() {
            return Ok(above);
        }
        match self.node.upper.get() {
            Some(upper) => {
                let opened = self.open_above(upper)?;
                Ok(self.above.get_or_init(|| opened))
            }
            None => self.below.as_ref().ok_or(Error::Stale),
        }
    }

    fn open_above(&self, upper: &NodeRef) -> Result<Arc<dyn OpenFile>> {
        match NodeRef::clone(upper).open(&self.by, self.access) {
            Err(Error::AccessDenied) => {
                self.unasked.store(true, Ordering::Relaxed);
                NodeRef::clone(upper).open(&self.by.clone().judged_before(), self.access)
            }
            opened => opened,
        }
    }

    /// The file in the upper layer, about to be written to.
    fn to_write(&self) -> Result<&Arc<dyn OpenFile>> {
        self.check_writes()?;
        if self.node.upper.get().is_none() {
            self.node.copy_up(&self.by)?;
        }
        let file = self.now()?;
        if self.unasked.load(Ordering::Relaxed) {
            self.lend_no_more()?;
        }
        Ok(file)
    }

    /// Changes the file as a whole: if it has to be copied up for it, with no more content than is needed, and
    /// changed before anybody sees it.
    fn change(&self, most: u64, change: impl Fn(&Arc<dyn OpenFile>) -> Result<()>) -> Result<()> {
        self.check_writes()?;
        let on_copy = |copy: &NodeRef| change(&self.open_above(copy)?);
        if self.node.upper.get().is_none() && self.node.copy_up_with(&self.by, most, on_copy)? {
            return Ok(());
        }
        change(self.to_write()?)
    }

    fn check_writes(&self) -> Result<()> {
        if self.access.writes() { Ok(()) } else { Err(Error::BadDescriptor) }
    }

    /// Takes away the bits that lend rights, before somebody writes who has none.
    fn lend_no_more(&self) -> Result<()> {
        let owner = Owner::from(&self.node.current().attr()?);
        let mode = self.by.mode_once_written(owner);
        if mode != owner.mode {
            let set = SetAttr { mode: Some(mode), ..SetAttr::default() };
            self.node.current().set_attr(ROOT, &set)?;
        }
        Ok(())
    }
}

impl OpenFile for OverlayFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        self.now()?.read_at(offset, buf)
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes> {
        self.now()?.read_bytes(offset, max)
    }

    fn read_onto(&self, offset: u64, max: usize, data: &mut Vec<u8>) -> Result<usize> {
        self.now()?.read_onto(offset, max, data)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize> {
        if data.is_empty() {
            return self.check_writes().map(|()| 0);
        }
        self.to_write()?.write_at(offset, data)
    }

    fn append(&self, data: &[u8]) -> Result<u64> {
        if data.is_empty() {
            self.check_writes()?;
            return Ok(self.now()?.attr()?.size);
        }
        self.to_write()?.append(data)
    }

    fn replace(&self, data: &[u8]) -> Result<()> {
        self.change(0, |file| file.replace(data))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.change(len, |file| file.set_len(len))
    }

    fn allocate(&self, offset: u64, len: u64, how: Allocate) -> Result<()> {
        self.change(u64::MAX, |file| file.allocate(offset, len, how))
    }

    fn seek(&self, offset: u64, to: Seek) -> Result<u64> {
        self.now()?.seek(offset, to)
    }

    fn sync(&self) -> Result<()> {
        self.now()?.sync()
    }

    fn attr(&self) -> Result<Attr> {
        self.node.attr()
    }
}
