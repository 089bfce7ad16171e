//! A key of a service as a node.

use super::Objects;
use super::file::ObjectFile;
use super::key::Key;
use super::look::Listing;
use crate::{
    Access, Attr, Caller, DirEntry, Error, Kind, Name, Node, NodeId, NodeRef, OpenFile, Reach, Rename,
    Result, SetAttr, StatFs, Timestamp, Want,
};
use opendal::options::WriteOptions;
use opendal::{Buffer, Metadata};
use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;

pub(super) struct ObjectNode {
    objects: Arc<Objects>,
    key: Key,
    kind: Kind,
    /// As it was last listed from the start, for listings that go on.
    listed: Mutex<Option<Listing>>,
}

impl ObjectNode {
    pub(super) fn root(objects: &Arc<Objects>) -> NodeRef {
        Self::at(objects, Key::ROOT, Kind::Directory)
    }

    fn at(objects: &Arc<Objects>, key: Key, kind: Kind) -> NodeRef {
        Arc::new(ObjectNode { objects: Arc::clone(objects), key, kind, listed: Mutex::new(None) })
    }

    fn must_be_directory(&self) -> Result<()> {
        if self.kind == Kind::Directory { Ok(()) } else { Err(Error::NotADirectory) }
    }

    fn may(&self, by: &Caller, want: Want) -> Result<()> {
        by.check(self.objects.owner_of(self.kind), want)
    }

    /// The key of something to be made here: nothing is there, and the caller may.
    fn free(&self, by: &Caller, name: Name<'_>) -> Result<Key> {
        self.must_be_directory()?;
        self.may(by, Want::SEARCH)?;
        let key = self.key.entry(name)?;
        if self.objects.look(&key)?.is_some() {
            return Err(Error::Exists);
        }
        self.may(by, Want::WRITE)?;
        if self.objects.look(&self.key)?.is_none() {
            return Err(Error::NotFound);
        }
        Ok(key)
    }

    /// The key of something to be removed, and what it is.
    fn victim(&self, by: &Caller, name: Name<'_>) -> Result<(Key, Kind)> {
        self.must_be_directory()?;
        self.may(by, Want::SEARCH)?;
        let key = self.key.entry(name).map_err(|_| Error::NotFound)?;
        let (kind, _) = self.objects.look(&key)?.ok_or(Error::NotFound)?;
        self.may(by, Want::WRITE)?;
        Ok((key, kind))
    }

    fn delete(&self, at: String) -> Result<()> {
        let operator = self.objects.bridge.operator().clone();
        self.objects.bridge.ask(async move { operator.delete(&at).await })
    }
}

impl Node for ObjectNode {
    fn id(&self) -> NodeId {
        self.objects.node_id(&self.key)
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn blocks(&self) -> bool {
        true
    }

    fn attr(&self) -> Result<Attr> {
        match self.objects.look(&self.key)? {
            Some((kind, metadata)) if kind == self.kind => {
                Ok(attr_of(&self.objects, &self.key, kind, metadata.as_ref()))
            }
            Some(_) => Err(Error::Stale),
            None => Err(Error::NotFound),
        }
    }

    fn set_attr(&self, by: &Caller, set: &SetAttr) -> Result<Attr> {
        let now = self.objects.owner_of(self.kind);
        by.judge_change(now, set)?;
        match *set {
            SetAttr { size: Some(_), .. } if self.kind == Kind::Directory => Err(Error::IsADirectory),
            SetAttr {
                size: Some(size),
                mode: None,
                uid: None,
                gid: None,
                accessed: None,
                modified: None,
            } => {
                // It must be there: else this would make it.
                let before = self.attr()?.size;
                ObjectFile::new(&self.objects, &self.key, before).set_len(size)?;
                self.attr()
            }
            _ if *set == SetAttr::default() => self.attr(),
            _ => Err(Error::NotSupported("changing attributes of objects")),
        }
    }

    fn access(&self, by: &Caller, want: Want) -> Result<()> {
        if want.includes(Want::WRITE) && !self.objects.bridge.operator().info().capability().write {
            return Err(Error::ReadOnly);
        }
        self.may(by, want)
    }

    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef> {
        self.must_be_directory()?;
        self.may(by, Want::SEARCH)?;
        let key = self.key.entry(name).map_err(|_| Error::NotFound)?;
        let (kind, _) = self.objects.look(&key)?.ok_or(Error::NotFound)?;
        Ok(Self::at(&self.objects, key, kind))
    }

    /// By the service's own condition that nothing is there.
    fn create(&self, by: &Caller, name: Name<'_>, _mode: u32) -> Result<NodeRef> {
        let key = self.free(by, name)?;
        let (operator, object) = (self.objects.bridge.operator().clone(), key.object());
        if !operator.info().capability().write_with_if_not_exists {
            return Err(Error::NotSupported("making an object only where none is"));
        }
        let options = WriteOptions { if_not_exists: true, ..WriteOptions::default() };
        self.objects
            .bridge
            .ask(async move { operator.write_options(&object, Buffer::new(), options).await.map(drop) })?;
        Ok(Self::at(&self.objects, key, Kind::File))
    }

    fn mkdir(&self, by: &Caller, name: Name<'_>, _mode: u32) -> Result<NodeRef> {
        let key = self.free(by, name)?;
        let (operator, directory) = (self.objects.bridge.operator().clone(), key.directory());
        self.objects.bridge.ask(async move { operator.create_dir(&directory).await })?;
        Ok(Self::at(&self.objects, key, Kind::Directory))
    }

    fn symlink(&self, _by: &Caller, _name: Name<'_>, _target: &[u8]) -> Result<NodeRef> {
        self.must_be_directory()?;
        Err(Error::NotSupported("symbolic links among objects"))
    }

    fn unlink(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        match self.victim(by, name)? {
            (_, Kind::Directory) => Err(Error::IsADirectory),
            (key, _) => self.delete(key.object()),
        }
    }

    fn rmdir(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        match self.victim(by, name)? {
            (key, Kind::Directory) => {
                if !self.objects.list(&key)?.is_empty() {
                    return Err(Error::NotEmpty);
                }
                self.delete(key.directory())
            }
            _ => Err(Error::NotADirectory),
        }
    }

    fn rename(
        &self,
        _by: &Caller,
        _name: Name<'_>,
        to_dir: &NodeRef,
        _to_name: Name<'_>,
        _how: Rename,
    ) -> Result<()> {
        if to_dir.id().fs != self.objects.id {
            return Err(Error::CrossDevice);
        }
        self.must_be_directory()?;
        Err(Error::NotSupported("renaming objects"))
    }

    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.must_be_directory()?;
        let kept = if cursor == 0 { None } else { self.listed.lock().clone() };
        let listing = match kept {
            Some(listing) => listing,
            None => Arc::clone(self.listed.lock().insert(self.objects.list(&self.key)?)),
        };
        for ((place, name), kind) in listing.range((cursor.saturating_add(1), String::new())..) {
            let name = Name::new(name.as_bytes())?;
            let ino = self.key.entry(name)?.number();
            if !sink(DirEntry { name, kind: *kind, ino, cursor: *place }) {
                break;
            }
        }
        Ok(())
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        Err(Error::InvalidArgument("not a symbolic link"))
    }

    fn open(self: Arc<Self>, by: &Caller, access: Access) -> Result<Arc<dyn OpenFile>> {
        if self.kind == Kind::Directory {
            return Err(Error::IsADirectory);
        }
        self.access(by, access.wants())?;
        // It must be there: else reading would say so late, and writing would make it.
        let size = self.attr()?.size;
        Ok(Arc::new(ObjectFile::new(&self.objects, &self.key, size)))
    }

    /// Of a store nobody knows how much it can hold.
    fn stat_fs(&self) -> Result<StatFs> {
        let bytes = i64::MAX as u64;
        Ok(StatFs {
            fs: self.objects.id,
            block_size: 4096,
            bytes_total: bytes,
            bytes_free: bytes,
            bytes_available: bytes,
            nodes_total: 0,
            nodes_free: 0,
            name_max: crate::NAME_MAX as u32,
            read_only: !self.objects.bridge.operator().info().capability().write,
        })
    }

    /// What was answered is as durable as the service makes it.
    fn sync(&self, _reach: Reach) -> Result<()> {
        Ok(())
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// The service has one time, and none of a directory that keys imply.
pub(super) fn attr_of(objects: &Objects, key: &Key, kind: Kind, metadata: Option<&Metadata>) -> Attr {
    let owner = objects.owner_of(kind);
    let size = metadata.filter(|_| kind == Kind::File).map_or(0, Metadata::content_length);
    let time = metadata.and_then(Metadata::last_modified).map(std::time::SystemTime::from);
    let time = time.map(Timestamp::from).unwrap_or_default();
    Attr {
        id: objects.node_id(key),
        kind,
        size,
        blocks_512: size.div_ceil(512),
        nlink: 1,
        mode: owner.mode,
        uid: owner.uid,
        gid: owner.gid,
        device: crate::Device::default(),
        accessed: time,
        modified: time,
        changed: time,
        born: None,
    }
}
