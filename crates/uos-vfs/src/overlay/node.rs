//! One node of the overlay: what it is made of, and each operation handed to where it is done.

use super::file::OverlayFile;
use super::layers::{Key, Layers, key_of};
use super::listing::Below;
use super::marks::Marks;
use crate::path::check_target;
use crate::{
    Access, Attr, Caller, Device, DirEntry, Error, Kind, Name, Node, NodeId, NodeRef, OpenFile, Owner, Reach,
    Rename, Result, SetAttr, SetXattr, Special, StatFs, Want,
};
use parking_lot::{Mutex, RwLock};
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};

pub(super) struct OverlayNode {
    /// Itself, for whoever has to come back to it.
    pub(super) me: Weak<OverlayNode>,
    pub(super) layers: Arc<Layers>,
    pub(super) id: NodeId,
    pub(super) kind: Kind,
    /// What it was found as: in the upper layer, or the topmost below.
    pub(super) base: NodeRef,
    /// What it was below, if it comes from there.
    pub(super) origin: Option<Key>,
    pub(super) upper: OnceLock<NodeRef>,
    /// One of its names; none for the root, and when that name has gone. Changes with the tree locked.
    pub(super) home: Mutex<Option<Home>>,
    /// It has lost its last name, which the layers below don't show.
    gone: AtomicBool,
    /// Held while it is copied up.
    pub(super) copying: Mutex<()>,
    dir: Option<Box<Dir>>,
}

#[derive(Clone)]
pub(super) struct Home {
    pub(super) dir: Arc<OverlayNode>,
    pub(super) name: Box<[u8]>,
}

/// What only directories have.
pub(super) struct Dir {
    /// The directories below that it is merged with, the topmost first.
    lowers: Box<[NodeRef]>,
    /// The path of those, if it has another name here; else that is its own name in what its parent is merged with.
    pub(super) from: OnceLock<Box<[u8]>>,
    /// It is merged with those no more.
    pub(super) opaque: AtomicBool,
    pub(super) marks: RwLock<Marks>,
    /// What `lowers` hold, once somebody has listed it.
    pub(super) below: OnceLock<Box<[Below]>>,
}

impl Dir {
    pub(super) fn new(lowers: Box<[NodeRef]>) -> Self {
        let (from, opaque, below) = (OnceLock::new(), AtomicBool::new(false), OnceLock::new());
        Dir { lowers, from, opaque, marks: RwLock::default(), below }
    }

    /// Those that it is merged with now.
    pub(super) fn lowers(&self) -> &[NodeRef] {
        if self.opaque.load(Ordering::Acquire) { &[] } else { &self.lowers }
    }
}

impl OverlayNode {
    pub(super) fn root(layers: &Arc<Layers>, lowers: Box<[NodeRef]>, upper: NodeRef) -> Arc<Self> {
        let key = key_of(upper.id());
        let dir = Dir::new(lowers);
        let root = OverlayNode::new(layers, upper, None, Some(dir), true);
        layers.admit(key, root)
    }

    /// A node found in the upper layer.
    pub(super) fn above(
        dir: &OverlayNode,
        name: Name<'_>,
        found: NodeRef,
        own: Option<Dir>,
    ) -> Result<Arc<Self>> {
        let home = dir.home_of(name)?;
        Ok(OverlayNode::new(&dir.layers, found, Some(home), own, true))
    }

    /// A node found below.
    pub(super) fn below(
        dir: &OverlayNode,
        name: Name<'_>,
        found: NodeRef,
        own: Option<Dir>,
    ) -> Result<Arc<Self>> {
        let home = dir.home_of(name)?;
        Ok(OverlayNode::new(&dir.layers, found, Some(home), own, false))
    }

    fn new(
        layers: &Arc<Layers>,
        base: NodeRef,
        home: Option<Home>,
        dir: Option<Dir>,
        above: bool,
    ) -> Arc<Self> {
        let key = key_of(base.id());
        let copied = if above { layers.origin(key) } else { None };
        let (id, origin) = match copied {
            Some(origin) => (origin.id, Some(origin.key)),
            None => (layers.id_of(base.id()), (!above).then_some(key)),
        };
        let kind = base.kind();
        Arc::new_cyclic(|me| OverlayNode {
            me: Weak::clone(me),
            layers: Arc::clone(layers),
            id,
            kind,
            upper: if above { OnceLock::from(NodeRef::clone(&base)) } else { OnceLock::new() },
            base,
            origin,
            home: Mutex::new(home),
            gone: AtomicBool::new(false),
            copying: Mutex::new(()),
            dir: dir.map(Box::new),
        })
    }

    /// Whether it comes from below and is in the upper layer.
    fn is_copied(&self) -> bool {
        self.upper.get().is_some() && self.origin.is_some()
    }

    pub(super) fn dir(&self) -> Result<&Dir> {
        self.dir.as_deref().ok_or(Error::NotADirectory)
    }

    pub(super) fn is_dir(&self) -> bool {
        self.dir.is_some()
    }

    /// What it is made of now.
    pub(super) fn current(&self) -> &NodeRef {
        self.upper.get().unwrap_or(&self.base)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Its last name has gone.
    pub(super) fn go(&self) {
        self.gone.store(true, Ordering::Release);
    }

    pub(super) fn parent(&self) -> Option<Arc<OverlayNode>> {
        self.home.lock().as_ref().map(|home| Arc::clone(&home.dir))
    }

    /// What an entry of this directory has for its home.
    pub(super) fn home_of(&self, name: Name<'_>) -> Result<Home> {
        Ok(Home { dir: self.me.upgrade().ok_or(Error::Stale)?, name: name.as_bytes().into() })
    }

    pub(super) fn settle(&self, home: Home) {
        // What was before is dropped after the lock.
        let _before = self.home.lock().replace(home);
    }

    /// It has a name here, and may have lost the one it was known by.
    pub(super) fn settle_if_lost(&self, dir: &OverlayNode, name: Name<'_>) -> Result<()> {
        let mut home = self.home.lock();
        if home.is_none() {
            *home = Some(dir.home_of(name)?);
        }
        Ok(())
    }

    /// The entry of that name is not its any more.
    pub(super) fn leave(&self, dir: &OverlayNode, name: Name<'_>) {
        let mut home = self.home.lock();
        let left = home.take_if(|home| *home.name == *name.as_bytes() && std::ptr::eq(&*home.dir, dir));
        drop(home);
        drop(left);
    }

    pub(super) fn owner(&self) -> Result<Owner> {
        Ok(Owner::from(&self.current().attr()?))
    }

    /// The node as one of this overlay.
    pub(super) fn recognise(&self, node: &NodeRef) -> Result<Arc<OverlayNode>> {
        let ours = NodeRef::clone(node).into_any().downcast::<OverlayNode>().ok();
        ours.filter(|ours| Arc::ptr_eq(&ours.layers, &self.layers)).ok_or(Error::CrossDevice)
    }

    /// Attributes of what it is made of as its own.
    fn own(&self, attr: Attr) -> Result<Attr> {
        let nlink = match &self.dir {
            None => self.count_names(attr.nlink),
            Some(_) if self.is_gone() => 0,
            Some(dir) if dir.lowers.is_empty() && attr.nlink > 1 => attr.nlink - self.count_marks()?,
            Some(_) => 1,
        };
        Ok(Attr { id: self.id, nlink, ..attr })
    }

    /// Changes something about it in the upper layer, or about a copy before anybody sees that.
    fn change(&self, by: &Caller, most: u64, change: impl Fn(&NodeRef) -> Result<()>) -> Result<()> {
        let done = match self.upper.get() {
            Some(_) => false,
            None if self.is_dir() => self.copy_dir_up_with(by, &change)?,
            None => self.copy_up_with(by, most, &change)?,
        };
        if done { Ok(()) } else { change(self.current()) }
    }
}

impl Node for OverlayNode {
    fn id(&self) -> NodeId {
        self.id
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn blocks(&self) -> bool {
        self.layers.blocks
    }

    fn attr(&self) -> Result<Attr> {
        self.own(self.current().attr()?)
    }

    fn set_attr(&self, by: &Caller, set: &SetAttr) -> Result<Attr> {
        if let Some(upper) = self.upper.get() {
            return self.own(upper.set_attr(by, set)?);
        }
        let now = self.attr()?;
        let then = by.judge_change(Owner::from(&now), set)?;
        let cuts = set.size.is_some_and(|len| len != now.size);
        let rest = SetAttr { size: None, ..*set };
        if !cuts && rest == SetAttr::default() && then.mode == now.mode {
            return Ok(now);
        }
        self.change(by, set.size.unwrap_or(u64::MAX), |node| node.set_attr(by, set).map(drop))?;
        self.attr()
    }

    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef> {
        self.dir()?;
        let _tree = self.layers.tree.read();
        if !by.is_privileged() {
            by.check(self.owner()?, Want::SEARCH)?;
        }
        Ok(self.find(name)?.ok_or(Error::NotFound)?.node)
    }

    fn create(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.make(by, name, Kind::File, mode, |dir, by, mode| dir.create(by, name, mode))
    }

    fn mkdir(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.make(by, name, Kind::Directory, mode, |dir, by, mode| dir.mkdir(by, name, mode))
    }

    fn symlink(&self, by: &Caller, name: Name<'_>, target: &[u8]) -> Result<NodeRef> {
        check_target(target)?;
        self.make(by, name, Kind::Symlink, 0o777, |dir, by, _| dir.symlink(by, name, target))
    }

    fn mknod(&self, by: &Caller, name: Name<'_>, special: Special, mode: u32) -> Result<NodeRef> {
        if special.device() != Device::default() && !by.is_privileged() {
            return Err(Error::NotPermitted);
        }
        self.make(by, name, special.kind(), mode, |dir, by, mode| dir.mknod(by, name, special, mode))
    }

    fn link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        self.make_link(by, name, node)
    }

    fn unlink(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.remove(by, name, false)
    }

    fn rmdir(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.remove(by, name, true)
    }

    fn rename(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        self.move_entry(by, name, to_dir, to_name, how)
    }

    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.list(cursor, sink)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.current().read_link()
    }

    fn open(self: Arc<Self>, by: &Caller, access: Access) -> Result<Arc<dyn OpenFile>> {
        match self.kind {
            Kind::File => {}
            Kind::Directory => return Err(Error::IsADirectory),
            Kind::Symlink => return Err(Error::TooManyLinks),
            _ => return Err(Error::NotSupported("devices, pipes and sockets are not opened")),
        }
        by.check(self.owner()?, access.wants())?;
        Ok(Arc::new(OverlayFile::open(self, by, access)?))
    }

    /// That of the upper layer: it is what fills up.
    fn stat_fs(&self) -> Result<StatFs> {
        Ok(StatFs { fs: self.layers.fs, ..self.layers.work.stat_fs()? })
    }

    fn sync(&self, reach: Reach) -> Result<()> {
        match (self.upper.get(), reach) {
            (Some(upper), _) => upper.sync(reach),
            (None, Reach::FileSystem) => self.layers.work.sync(),
            (None, Reach::Node) => Ok(()),
        }
    }

    fn xattr(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        self.current().xattr(by, name)
    }

    fn set_xattr(&self, by: &Caller, name: &[u8], value: &[u8], how: SetXattr) -> Result<()> {
        self.change(by, u64::MAX, |node| node.set_xattr(by, name, value, how))
    }

    fn list_xattrs(&self, by: &Caller) -> Result<Vec<Vec<u8>>> {
        self.current().list_xattrs(by)
    }

    fn remove_xattr(&self, by: &Caller, name: &[u8]) -> Result<()> {
        self.change(by, u64::MAX, |node| node.remove_xattr(by, name))
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }

    /// Of files alone: a directory of one layer is not what is seen here.
    fn host_fd(&self) -> Option<std::io::Result<OwnedFd>> {
        if self.is_dir() { None } else { self.current().host_fd() }
    }
}

impl Drop for OverlayNode {
    /// The directories it is in may be used by nobody else. They go in a loop: their depth is up to the clients,
    /// the depth of our stack is not.
    fn drop(&mut self) {
        let upper = self.upper.get();
        // Where it comes from is kept as long as it has names.
        let is_nameless = |upper: &&NodeRef| {
            let names = |attr: Attr| if self.is_dir() { attr.nlink } else { self.count_names(attr.nlink) };
            self.is_copied() && upper.attr().map(names) == Ok(0)
        };
        let nameless = upper.filter(is_nameless).map(|upper| key_of(upper.id()));
        if let (Some(origin), true) = (self.origin, nameless.is_some() || self.is_gone()) {
            self.layers.ties.forget(origin);
        }
        let keys = [Some(key_of(self.base.id())), upper.map(|upper| key_of(upper.id()))];
        self.layers.forget(&self.me, keys, nameless);
        let mut next = self.home.get_mut().take();
        while let Some(home) = next {
            next = Arc::into_inner(home.dir).and_then(|mut dir| dir.home.get_mut().take());
        }
    }
}
