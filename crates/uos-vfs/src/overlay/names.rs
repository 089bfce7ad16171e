//! Making entries and taking them away. All that can be refused is refused before anything is copied up.

use super::find::Found;
use super::layers::key_of;
use super::node::{Dir, OverlayNode};
use super::{RESERVED, ROOT};
use crate::{Caller, Error, Kind, Name, NodeRef, Owner, Result, SetAttr, SetTime, Want};

impl OverlayNode {
    /// Makes a node under a free name, in the upper layer.
    pub(super) fn make(
        &self,
        by: &Caller,
        name: Name<'_>,
        kind: Kind,
        mode: u32,
        make: impl FnOnce(&NodeRef, &Caller, u32) -> Result<NodeRef>,
    ) -> Result<NodeRef> {
        self.dir()?;
        let _tree = self.layers.tree.write();
        let owner = self.check_free(by, name)?;
        // As the upper layer takes the caller for one who was judged, it would leave too many bits.
        let mode = by.owner_of_new(owner, kind, mode).mode;
        let made = make(&self.upper_dir(by)?, &by.clone().judged_before(), mode)?;
        let key = key_of(made.id());
        // What has the name below is hidden, or it would not be free.
        let own = (kind == Kind::Directory).then(|| Dir::new(Box::default()));
        Ok(self.layers.admit(key, OverlayNode::above(self, name, made, own)?))
    }

    pub(super) fn make_link(&self, by: &Caller, name: Name<'_>, node: &NodeRef) -> Result<()> {
        let node = self.recognise(node)?;
        self.dir()?;
        loop {
            {
                let _tree = self.layers.tree.write();
                self.check_free(by, name)?;
                if node.is_dir() {
                    return Err(Error::NotPermitted);
                }
                if node.count_names(node.current().attr()?.nlink) == 0 {
                    return Err(Error::NotFound);
                }
                if let Some(upper) = node.upper.get() {
                    self.upper_dir(by)?.link(ROOT, name, upper)?;
                    return node.settle_if_lost(self, name);
                }
            }
            node.copy_up(by)?;
        }
    }

    pub(super) fn remove(&self, by: &Caller, name: Name<'_>, is_dir: bool) -> Result<()> {
        self.dir()?;
        // Removed when nobody waits any more.
        let _removed;
        let _tree = self.layers.tree.write();
        let owner = self.owner()?;
        by.check(owner, Want::SEARCH)?;
        let Found { node, above } = self.find(name)?.ok_or(Error::NotFound)?;
        by.check(owner, Want::WRITE)?;
        by.check_sticky(owner, node.owner()?.uid)?;
        match (is_dir, node.is_dir()) {
            (false, true) => return Err(Error::IsADirectory),
            (true, false) => return Err(Error::NotADirectory),
            (true, true) => node.check_empty()?,
            (false, false) => {}
        }
        let upper = self.upper_dir(by)?;
        let shows = self.has_below(name)? && !self.is_hidden(name)?;
        if shows {
            self.hide(name)?;
        }
        let done = match (above, is_dir) {
            (true, false) => node.park().and_then(|()| upper.unlink(ROOT, name)).map(|()| None),
            // It may have marks, which go with it.
            (true, true) => self.layers.work.take_in(&upper, name).map(Some),
            (false, _) => touch(&upper).map(|()| None),
        };
        match done {
            Ok(removed) => _removed = removed,
            Err(error) => {
                if shows {
                    self.show(name);
                }
                return Err(error);
            }
        }
        if is_dir {
            node.go();
        } else if !above {
            node.lose_name_below()?;
        }
        node.leave(self, name);
        Ok(())
    }

    /// Whether a caller may make an entry of a name that must be free.
    fn check_free(&self, by: &Caller, name: Name<'_>) -> Result<Owner> {
        let owner = self.owner()?;
        by.check(owner, Want::SEARCH)?;
        if self.is_gone() {
            return Err(Error::NotFound);
        }
        if name.as_bytes() == RESERVED {
            return Err(Error::NotPermitted);
        }
        if self.find(name)?.is_some() {
            return Err(Error::Exists);
        }
        by.check(owner, Want::WRITE)?;
        Ok(owner)
    }

    /// Refuses a directory in which anything is to be seen.
    pub(super) fn check_empty(&self) -> Result<()> {
        let mut seen = Ok(false);
        if let Some(upper) = self.upper.get() {
            upper.read_dir(0, &mut |entry| {
                seen = Ok(entry.name.as_bytes() != RESERVED);
                seen == Ok(false)
            })?;
        }
        for lower in self.dir()?.lowers() {
            if seen != Ok(false) {
                break;
            }
            lower.read_dir(0, &mut |entry| {
                seen = match entry.name.as_bytes() {
                    RESERVED => Ok(false),
                    _ => self.is_hidden(entry.name).map(|hidden| !hidden),
                };
                seen == Ok(false)
            })?;
        }
        if seen? { Err(Error::NotEmpty) } else { Ok(()) }
    }
}

/// What a directory shows has changed, though nothing in the upper layer has.
fn touch(dir: &NodeRef) -> Result<()> {
    dir.set_attr(ROOT, &SetAttr { modified: Some(SetTime::Now), ..SetAttr::default() }).map(drop)
}
