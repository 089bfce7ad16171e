//! [`Node`] for one that is seen through something.

use super::file::ThroughFile;
use super::tally::Quota;
use super::{MountId, Through};
use crate::watch::Told;
use crate::{
    Access, Attr, Caller, DirEntry, Error, Kind, Name, Node, NodeId, NodeRef, OpenFile, Reach, Rename,
    Result, SetAttr, SetXattr, Special, StatFs, Want,
};
use std::any::Any;
use std::os::fd::OwnedFd;
use std::sync::Arc;

impl Node for Through {
    fn id(&self) -> NodeId {
        self.inner.id()
    }

    fn kind(&self) -> Kind {
        self.kind
    }

    fn blocks(&self) -> bool {
        self.inner.blocks()
    }

    fn attr(&self) -> Result<Attr> {
        self.inner.attr()
    }

    fn set_attr(&self, by: &Caller, set: &SetAttr) -> Result<Attr> {
        let _claim = self.via.claims.change()?;
        let act = || self.inner.set_attr(by, set);
        let attr = match &self.tally {
            Some(tally) if set.uid.is_some() || set.size.is_some() => {
                tally.set(&*self.inner, set.uid, set.size.filter(|size| i64::try_from(*size).is_ok()), act)?
            }
            _ => act()?,
        };
        if let Some(watches) = &self.via.watches {
            match set.size {
                Some(_) => watches.modified(self.inner.id(), by.tag),
                None => watches.attributes(self.inner.id(), by.tag),
            }
        }
        Ok(attr)
    }

    fn access(&self, by: &Caller, want: Want) -> Result<()> {
        let changes = matches!(self.kind, Kind::File | Kind::Directory | Kind::Symlink);
        if changes && want.includes(Want::WRITE) && self.via.claims.is_read_only() {
            return Err(Error::ReadOnly);
        }
        self.inner.access(by, want)
    }

    fn lookup(&self, by: &Caller, name: Name<'_>) -> Result<NodeRef> {
        Ok(self.via.show(self.inner.lookup(by, name)?))
    }

    fn create(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.make(by, name, 0, || self.inner.create(by, name, mode))
    }

    fn mkdir(&self, by: &Caller, name: Name<'_>, mode: u32) -> Result<NodeRef> {
        self.make(by, name, 0, || self.inner.mkdir(by, name, mode))
    }

    fn symlink(&self, by: &Caller, name: Name<'_>, target: &[u8]) -> Result<NodeRef> {
        self.make(by, name, target.len() as u64, || self.inner.symlink(by, name, target))
    }

    fn mknod(&self, by: &Caller, name: Name<'_>, special: Special, mode: u32) -> Result<NodeRef> {
        self.make(by, name, 0, || self.inner.mknod(by, name, special, mode))
    }

    fn link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        let inner = self.of_this(node)?;
        let _claim = self.claim_to_make(by, name)?;
        let link = || {
            let _names = self.quota().map(Quota::names);
            self.inner.link(by, name, inner)
        };
        let told = || Told::Made { dir: self.inner.id(), name, node: inner.id(), kind: inner.kind() };
        self.telling(by, &[&self.inner], link, |()| told())
    }

    fn unlink(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.take_away(by, name, || self.inner.unlink(by, name))
    }

    fn rmdir(&self, by: &Caller, name: Name<'_>) -> Result<()> {
        self.take_away(by, name, || self.inner.rmdir(by, name))
    }

    fn rename(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        let to = self.of_this(to_dir)?;
        let _claim = self.via.claims.change()?;
        let rename = || {
            let Some(quota) = self.quota() else { return self.inner.rename(by, name, to, to_name, how) };
            let _names = quota.names();
            let entry = |dir: &NodeRef, name| dir.lookup(&Caller::ROOT, name).map(|node| self.via.seen(node));
            let replaced = if how == Rename::Replace { entry(to, to_name).ok() } else { None };
            let same = match (&replaced, entry(&self.inner, name)) {
                (Some(there), Ok(moved)) => there.inner.id() == moved.inner.id(),
                _ => false,
            };
            self.inner.rename(by, name, to, to_name, how)?;
            if let (Some(replaced), false) = (replaced, same) {
                replaced.lost_a_name();
            }
            Ok(())
        };
        let from = (self.inner.id(), name);
        let told = || Told::Moved { from, to: (to.id(), to_name), exchanged: how == Rename::Exchange };
        let replaced = self.heard(to, to_name);
        self.telling(by, &[&self.inner, to], rename, |()| told())?;
        self.tell_unnamed(replaced);
        Ok(())
    }

    fn read_dir(&self, cursor: u64, sink: &mut dyn FnMut(DirEntry<'_>) -> bool) -> Result<()> {
        self.inner.read_dir(cursor, sink)
    }

    fn read_link(&self) -> Result<Vec<u8>> {
        self.inner.read_link()
    }

    fn open(self: Arc<Self>, by: &Caller, access: Access) -> Result<Arc<dyn OpenFile>> {
        if self.kind != Kind::File {
            return NodeRef::clone(&self.inner).open(by, access);
        }
        let claim = self.via.claims.open(access.writes())?;
        let inner = NodeRef::clone(&self.inner).open(by, access)?;
        let (id, via, tally) = (self.inner.id(), Arc::clone(&self.via), self.tally.clone());
        Ok(Arc::new(ThroughFile { tally, inner, via, id, tag: by.tag, _claim: claim }))
    }

    fn hold(&self) -> Option<Box<dyn Any + Send + Sync>> {
        Some(Box::new((self.via.claims.hold(), self.inner.hold())))
    }

    fn stat_fs(&self) -> Result<StatFs> {
        let stat = self.inner.stat_fs()?;
        Ok(StatFs { read_only: stat.read_only || self.via.claims.is_read_only(), ..stat })
    }

    fn sync(&self, reach: Reach) -> Result<()> {
        self.inner.sync(reach)
    }

    fn xattr(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        self.inner.xattr(by, name)
    }

    fn set_xattr(&self, by: &Caller, name: &[u8], value: &[u8], how: SetXattr) -> Result<()> {
        let _claim = self.via.claims.change()?;
        self.inner.set_xattr(by, name, value, how)?;
        self.tell_attributes(by);
        Ok(())
    }

    fn list_xattrs(&self, by: &Caller) -> Result<Vec<Vec<u8>>> {
        self.inner.list_xattrs(by)
    }

    fn remove_xattr(&self, by: &Caller, name: &[u8]) -> Result<()> {
        let _claim = self.via.claims.change()?;
        self.inner.remove_xattr(by, name)?;
        self.tell_attributes(by);
        Ok(())
    }

    /// That of the node beneath, whose filesystem so knows its own again. Whoever has that node anyway gets nothing by it.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        NodeRef::clone(&self.inner).into_any()
    }

    fn beneath(&self) -> Option<(MountId, &NodeRef)> {
        Some((self.via.id, &self.inner))
    }

    fn host_fd(&self) -> Option<std::io::Result<OwnedFd>> {
        self.inner.host_fd()
    }
}

impl Through {
    fn quota(&self) -> Option<&Quota> {
        self.via.quota.as_deref()
    }

    /// What is beneath a node that is seen through the same as this one.
    fn of_this<'a>(&self, node: &'a NodeRef) -> Result<&'a NodeRef> {
        match node.beneath() {
            Some((via, inner)) if via == self.via.id => Ok(inner),
            _ => Err(Error::CrossDevice),
        }
    }

    /// Where no changes are taken, a name that is taken or can't be looked at is still said to be so, as on Linux.
    fn claim_to_make(&self, by: &Caller, name: Name<'_>) -> Result<super::claims::Claim<'_>> {
        self.via.claims.change().map_err(|refused| match self.inner.lookup(by, name) {
            Ok(_) => Error::Exists,
            Err(Error::NotFound) => refused,
            Err(error) => error,
        })
    }

    fn make(
        &self,
        by: &Caller,
        name: Name<'_>,
        bytes: u64,
        make: impl FnOnce() -> Result<NodeRef>,
    ) -> Result<NodeRef> {
        let _claim = self.claim_to_make(by, name)?;
        let make = || match self.quota() {
            None => make(),
            Some(quota) => quota.made(by.uid, bytes, make),
        };
        let dir = self.inner.id();
        let told = |node: &NodeRef| Told::Made { dir, name, node: node.id(), kind: node.kind() };
        Ok(self.via.show(self.telling(by, &[&self.inner], make, told)?))
    }

    fn take_away(&self, by: &Caller, name: Name<'_>, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let _claim = self.via.claims.change()?;
        let act = || {
            let Some(quota) = self.quota() else { return act() };
            let _names = quota.names();
            let victim = self.inner.lookup(&Caller::ROOT, name).map(|node| self.via.seen(node));
            act()?;
            if let Ok(victim) = victim {
                victim.lost_a_name();
            }
            Ok(())
        };
        let victim = self.heard(&self.inner, name);
        self.telling(by, &[&self.inner], act, |()| Told::Gone { dir: self.inner.id(), name })?;
        self.tell_unnamed(victim);
        Ok(())
    }

    /// What has a name that may be lost to it, if somebody wants to know. Held, so that its number is still its own then.
    fn heard(&self, dir: &NodeRef, name: Name<'_>) -> Option<NodeRef> {
        self.via.watches.as_ref().filter(|watches| watches.are_heard())?;
        dir.lookup(&Caller::ROOT, name).ok()
    }

    fn tell_unnamed(&self, node: Option<NodeRef>) {
        if let (Some(watches), Some(node)) = (&self.via.watches, node) {
            watches.unnamed(node.id());
        }
    }

    fn lost_a_name(&self) {
        if let Some(tally) = &self.tally {
            tally.lost_a_name(&*self.inner);
        }
    }

    /// Changes names in one directory or two, and tells who watches them.
    fn telling<'a, T>(
        &self,
        by: &Caller,
        dirs: &[&NodeRef],
        act: impl FnOnce() -> Result<T>,
        told: impl FnOnce(&T) -> Told<'a>,
    ) -> Result<T> {
        match &self.via.watches {
            None => act(),
            Some(watches) => watches.telling(by.tag, dirs, act, told),
        }
    }

    fn tell_attributes(&self, by: &Caller) {
        if let Some(watches) = &self.via.watches {
            watches.attributes(self.inner.id(), by.tag);
        }
    }
}
