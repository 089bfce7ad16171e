//! Moving an entry from one filesystem to another: a whole copy is put in place before anything is taken away.

use super::remove;
use super::staged::{Staged, passing_name, pour};
use crate::{
    Access, Attr, Caller, Error, Kind, Name, NodeId, NodeRef, Reach, Rename, Result, SetAttr, SetXattr,
    Special, Timestamp, Tree, Want,
};
use std::collections::HashMap;

/// Where something is to go.
pub(super) struct Target<'a> {
    pub(super) dir: &'a NodeRef,
    pub(super) name: Name<'a>,
    pub(super) there: Option<NodeRef>,
    pub(super) how: Rename,
}

/// Bits that lend the rights of an owner or a group, and mean nothing with another one.
const LENDING: u32 = 0o6000;

pub(super) fn move_over<T: Tree + ?Sized>(
    tree: &T,
    (dir, name, node): (&NodeRef, Name<'_>, &NodeRef),
    to: &Target<'_>,
) -> Result<()> {
    let by = tree.caller();
    let is_dir = node.kind() == Kind::Directory;
    match &to.there {
        // One file seen through two mounts: as with two names of one file nothing happens.
        Some(there) if there.id() == node.id() => return Ok(()),
        Some(there) if is_dir && there.kind() != Kind::Directory => return Err(Error::NotADirectory),
        Some(there) if !is_dir && there.kind() == Kind::Directory => return Err(Error::IsADirectory),
        Some(there) if is_dir && !remove::list(there)?.is_empty() => return Err(Error::NotEmpty),
        _ => {}
    }
    // What would be refused at the end is refused now.
    dir.access(by, Want::WRITE | Want::SEARCH)?;
    by.check_sticky((&dir.attr()?).into(), node.attr()?.uid)?;
    to.dir.access(by, Want::WRITE | Want::SEARCH)?;
    if is_dir {
        node.access(by, Want::WRITE)?;
    }
    let mut copy = Copying { tree, by, judged: by.clone().judged_before(), seen: HashMap::new() };
    let staged = copy.begin(node, to)?;
    if is_dir {
        let passing = staged.name().to_vec();
        copy.fill(node, &staged.node, &passing)?;
    }
    staged.node.sync(Reach::Node)?;
    staged.put(to.name, to.how)?;
    // Where this can't be done the rename itself is as durable as it gets.
    let _ = to.dir.sync(Reach::Node);
    copy.take_away(dir, name, node)
}

/// Something of which a copy was made, as it was then.
#[derive(PartialEq)]
struct Version {
    kind: Kind,
    len: u64,
    modified: Timestamp,
    changed: Timestamp,
}

impl Version {
    fn of(attr: &Attr) -> Self {
        // The length of a directory is its filesystem's own affair.
        let len = if attr.kind == Kind::Directory { 0 } else { attr.size };
        Version { kind: attr.kind, len, modified: attr.modified, changed: attr.changed }
    }
}

struct Copying<'a, T: ?Sized> {
    tree: &'a T,
    by: &'a Caller,
    judged: Caller,
    /// All that was copied, and for files with several names the copy.
    seen: HashMap<NodeId, (Version, Option<NodeRef>)>,
}

impl<'a, T: Tree + ?Sized> Copying<'a, T> {
    /// A copy of the thing itself, of a directory without its entries.
    fn begin(&mut self, node: &NodeRef, to: &Target<'a>) -> Result<Staged<'a>> {
        let staged = Staged::begin(self.by, to.dir, |by, name| self.make(by, node, to.dir, name))?;
        self.finish(node, &staged.node)?;
        Ok(staged)
    }

    fn make(&self, by: &Caller, node: &NodeRef, dir: &NodeRef, name: Name<'_>) -> Result<NodeRef> {
        let device = || node.attr().map(|attr| attr.device);
        match node.kind() {
            Kind::File => dir.create(by, name, 0o600),
            Kind::Directory => dir.mkdir(by, name, 0o700),
            Kind::Symlink => dir.symlink(by, name, &node.read_link()?),
            Kind::Fifo => dir.mknod(by, name, Special::Fifo, 0o600),
            Kind::Socket => dir.mknod(by, name, Special::Socket, 0o600),
            Kind::CharDevice => dir.mknod(by, name, Special::CharDevice(device()?), 0o600),
            Kind::BlockDevice => dir.mknod(by, name, Special::BlockDevice(device()?), 0o600),
        }
    }

    /// Content and attributes, of anything but a directory.
    fn finish(&mut self, node: &NodeRef, copy: &NodeRef) -> Result<()> {
        let before = node.attr()?;
        let keep = before.nlink > 1 && before.kind != Kind::Directory;
        self.seen.insert(before.id, (Version::of(&before), keep.then(|| NodeRef::clone(copy))));
        match node.kind() {
            Kind::Directory => return Ok(()),
            Kind::File => {
                let from = NodeRef::clone(node).open(self.by, Access::Read)?;
                let to = NodeRef::clone(copy).open(&self.judged, Access::Write)?;
                let len = pour(&*from, &*to)?;
                let after = from.attr()?;
                if len != before.size || Version::of(&after) != Version::of(&before) {
                    return Err(Error::Busy);
                }
                self.dress(&before, node, copy)?;
                return to.sync();
            }
            _ => {}
        }
        self.dress(&before, node, copy)
    }

    /// Gives a copy the attributes of what it is of.
    fn dress(&self, attr: &Attr, node: &NodeRef, copy: &NodeRef) -> Result<()> {
        match node.list_xattrs(self.by) {
            Ok(names) => {
                for name in names {
                    let value = node.xattr(self.by, &name)?;
                    copy.set_xattr(&self.judged, &name, &value, SetXattr::Any)?;
                }
            }
            Err(Error::NotSupported(_)) => {}
            Err(error) => return Err(error),
        }
        let owned = self.by.is_privileged();
        if owned {
            let owner = SetAttr { uid: Some(attr.uid), gid: Some(attr.gid), ..SetAttr::default() };
            copy.set_attr(&self.judged, &owner)?;
        }
        let mode = if owned { attr.mode } else { attr.mode & !LENDING };
        let set = SetAttr {
            mode: (attr.kind != Kind::Symlink).then_some(mode),
            accessed: Some(attr.accessed.into()),
            modified: Some(attr.modified.into()),
            ..SetAttr::default()
        };
        copy.set_attr(&self.judged, &set).map(drop)
    }

    /// Copies all that is in a directory, and then its attributes, which changing it would move.
    fn fill(&mut self, top: &NodeRef, copy: &NodeRef, passing: &[u8]) -> Result<()> {
        struct Level {
            from: NodeRef,
            to: NodeRef,
            before: Attr,
            left: Vec<Vec<u8>>,
        }
        let enter = |this: &Self, from: NodeRef, to: NodeRef| {
            from.access(this.by, Want::READ)?;
            let before = from.attr()?;
            let left = remove::list(&from)?.into_iter().map(|(name, _)| name).collect();
            Result::Ok(Level { from, to, before, left })
        };
        let mut levels = vec![enter(self, NodeRef::clone(top), NodeRef::clone(copy))?];
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.left.pop() else {
                if Version::of(&level.from.attr()?) != Version::of(&level.before) {
                    return Err(Error::Busy);
                }
                self.dress(&level.before, &level.from, &level.to)?;
                levels.pop();
                continue;
            };
            let entry = Name::new(&name)?;
            let node = match level.from.lookup(self.by, entry) {
                Ok(node) => node,
                Err(Error::NotFound) => return Err(Error::Busy),
                Err(error) => return Err(error),
            };
            if self.tree.is_mount_point(node.id()) || node.id().fs != level.from.id().fs {
                return Err(Error::Busy);
            }
            // The copy itself, seen in what it is to be a copy of.
            if node.id() == copy.id() || name == passing {
                return Err(Error::InvalidArgument("a directory can't be moved into itself"));
            }
            if let Some((_, Some(known))) = self.seen.get(&node.id()) {
                match level.to.link(&self.judged, entry, known) {
                    Ok(()) => continue,
                    // Without hard links each name gets a file of its own.
                    Err(Error::NotSupported(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            // For its owner, who is not asked again.
            let made = self.make(&self.judged, &node, &level.to, entry)?;
            self.finish(&node, &made)?;
            if node.kind() == Kind::Directory {
                let below = enter(self, node, made)?;
                levels.push(below);
            }
        }
        Ok(())
    }

    /// Takes the old name away, if it still stands for what was copied, as it was then. Looking first and removing then would
    /// remove what somebody puts there in between; so it is put aside, looked at, and removed or put back.
    fn take_away(&self, dir: &NodeRef, name: Name<'_>, node: &NodeRef) -> Result<()> {
        let aside = loop {
            let aside = passing_name();
            match dir.rename(self.by, name, dir, Name::new(&aside)?, Rename::NoReplace) {
                Ok(()) => break aside,
                Err(Error::Exists) => {}
                // Somebody else has taken it away.
                Err(Error::NotFound) => return Ok(()),
                Err(error) => return Err(error),
            }
        };
        let aside = Name::new(&aside)?;
        let is_it = dir.lookup(&self.judged, aside)?.id() == node.id() && self.is_unchanged(node)?;
        if !is_it {
            return match dir.rename(self.by, aside, dir, name, Rename::NoReplace) {
                Ok(()) => Err(Error::Busy),
                Err(error) => Err(error),
            };
        }
        if node.kind() != Kind::Directory {
            return dir.unlink(&self.judged, aside);
        }
        remove::tree(&self.judged, dir, aside, node, &|id| self.tree.is_mount_point(id))
    }

    /// Whether everything is as it was copied. What has just been put aside itself has changed by that, but not what it holds.
    fn is_unchanged(&self, top: &NodeRef) -> Result<bool> {
        let (mut left, mut met) = (vec![NodeRef::clone(top)], std::collections::HashSet::new());
        while let Some(node) = left.pop() {
            let now = node.attr()?;
            let Some((then, _)) = self.seen.get(&now.id) else { return Ok(false) };
            let mut version = Version::of(&now);
            if now.id == top.id() {
                version.changed = then.changed;
            }
            if version != *then {
                return Ok(false);
            }
            if met.insert(now.id) && now.kind == Kind::Directory {
                for (name, _) in remove::list(&node)? {
                    left.push(node.lookup(&self.judged, Name::new(&name)?)?);
                }
            }
        }
        Ok(met.len() == self.seen.len())
    }
}
