//! A directory opened: it can be listed, asked for its attributes, made durable, locked and gone on from, but has no bytes.

use crate::{Attr, Caller, Error, Kind, NodeRef, OpenFile, Reach, Result, Want};
use bytes::Bytes;
use std::any::Any;
use std::sync::Arc;

struct OpenDirectory {
    node: NodeRef,
    /// Keeps what it is seen through in use.
    _hold: Option<Box<dyn Any + Send + Sync>>,
}

/// Opens a directory for reading.
///
/// # Errors
/// [`Error::NotADirectory`], [`Error::AccessDenied`].
pub(crate) fn open(node: &NodeRef, by: &Caller) -> Result<Arc<dyn OpenFile>> {
    if node.kind() != Kind::Directory {
        return Err(Error::NotADirectory);
    }
    node.access(by, Want::READ)?;
    Ok(Arc::new(OpenDirectory { node: NodeRef::clone(node), _hold: node.hold() }))
}

impl OpenFile for OpenDirectory {
    fn read_at(&self, _offset: u64, _buf: &mut [u8]) -> Result<usize> {
        Err(Error::IsADirectory)
    }

    fn read_bytes(&self, _offset: u64, _max: usize) -> Result<Bytes> {
        Err(Error::IsADirectory)
    }

    fn read_onto(&self, _offset: u64, _max: usize, _data: &mut Vec<u8>) -> Result<usize> {
        Err(Error::IsADirectory)
    }

    // It is only ever opened for reading.
    fn write_at(&self, _offset: u64, _data: &[u8]) -> Result<usize> {
        Err(Error::BadDescriptor)
    }

    fn append(&self, _data: &[u8]) -> Result<u64> {
        Err(Error::BadDescriptor)
    }

    fn replace(&self, _data: &[u8]) -> Result<()> {
        Err(Error::BadDescriptor)
    }

    fn set_len(&self, _len: u64) -> Result<()> {
        Err(Error::BadDescriptor)
    }

    fn sync(&self) -> Result<()> {
        self.node.sync(Reach::Node)
    }

    fn attr(&self) -> Result<Attr> {
        self.node.attr()
    }
}
