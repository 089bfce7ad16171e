//! Moving an entry. Everything that can be refused comes first, in the order Linux decides in; then what moves is
//! put into the upper layer where it is, marks are set that change nothing yet, and one rename there does it.

use super::find::Found;
use super::node::OverlayNode;
use super::{RESERVED, ROOT};
use crate::{Caller, Error, Name, NodeRef, Rename, Result, Want};
use std::sync::Arc;

impl OverlayNode {
    pub(super) fn move_entry(
        &self,
        by: &Caller,
        name: Name<'_>,
        to_dir: &NodeRef,
        to_name: Name<'_>,
        how: Rename,
    ) -> Result<()> {
        let to = self.recognise(to_dir)?;
        self.dir()?;
        to.dir()?;
        let step = Move { by, from: self, to: &to, name, to_name, how };
        // Content is copied without holding anybody up, and then all is looked at again.
        while let Some(file) = step.run()? {
            file.copy_up(by)?;
        }
        Ok(())
    }
}

struct Move<'a> {
    by: &'a Caller,
    from: &'a OverlayNode,
    to: &'a OverlayNode,
    name: Name<'a>,
    to_name: Name<'a>,
    how: Rename,
}

impl Move<'_> {
    /// Moves, or says what has to be copied up before.
    fn run(&self) -> Result<Option<Arc<OverlayNode>>> {
        // Removed when nobody waits any more.
        let mut _removed = None;
        let _tree = self.from.layers.tree.write();
        let (source, target) = self.judge()?;
        let (from, to, exchange) = (self.from, self.to, self.how == Rename::Exchange);
        if target.as_ref().is_some_and(|target| Arc::ptr_eq(&target.node, &source.node)) {
            return Ok(None);
        }
        let moved_back = target.as_ref().filter(|_| exchange);
        for moves in [Some(&source), moved_back].into_iter().flatten() {
            if !moves.node.is_dir() && moves.node.upper.get().is_none() {
                return Ok(Some(Arc::clone(&moves.node)));
            }
        }
        let (from_upper, to_upper) = (from.upper_dir(self.by)?, to.upper_dir(self.by)?);
        from.bring_up(self.by, self.name, &from_upper, &source)?;
        if let Some(target) = moved_back {
            to.bring_up(self.by, self.to_name, &to_upper, target)?;
        }
        if from.has_below(self.name)? {
            from.hide(self.name)?;
        }
        if (exchange || source.node.is_dir()) && to.has_below(self.to_name)? {
            if let Some(target) = &target
                && target.node.is_dir()
            {
                // Seen in the upper layer, or it would be gone for a moment.
                target.node.upper_dir(self.by)?;
            }
            to.hide(self.to_name)?;
        }
        if let Some(target) = target.as_ref().filter(|target| !exchange && target.node.is_dir()) {
            target.node.upper_dir(self.by)?;
            _removed = target.node.drop_marks(&from.layers.work)?;
        }
        if let Some(target) =
            target.as_ref().filter(|target| !exchange && target.above && !target.node.is_dir())
        {
            target.node.park()?;
        }
        // With the tree locked nobody can take a free name meanwhile, and not every host can refuse to replace.
        let how = if exchange { Rename::Exchange } else { Rename::Replace };
        from_upper.rename(ROOT, self.name, &to_upper, self.to_name, how)?;

        match target {
            Some(target) if exchange => target.node.settle(from.home_of(self.name)?),
            Some(target) => {
                if target.node.is_dir() {
                    target.node.go();
                } else if !target.above {
                    target.node.lose_name_below()?;
                }
                target.node.leave(to, self.to_name);
            }
            None => {}
        }
        source.node.settle(to.home_of(self.to_name)?);
        Ok(None)
    }

    /// What moves and what it meets, if the caller may do that.
    fn judge(&self) -> Result<(Found, Option<Found>)> {
        let (by, from, to, exchange) = (self.by, self.from, self.to, self.how == Rename::Exchange);
        let from_owner = from.owner()?;
        by.check(from_owner, Want::SEARCH)?;
        let source = from.find(self.name)?.ok_or(Error::NotFound)?;
        let to_owner = to.owner()?;
        by.check(to_owner, Want::SEARCH)?;
        if to.is_gone() {
            return Err(Error::NotFound);
        }
        if self.to_name.as_bytes() == RESERVED {
            return Err(Error::NotPermitted);
        }
        let target = to.find(self.to_name)?;
        match &target {
            Some(_) if self.how == Rename::NoReplace => return Err(Error::Exists),
            None if exchange => return Err(Error::NotFound),
            _ => {}
        }
        self.check_loop(&source, target.as_ref())?;
        if target.as_ref().is_some_and(|target| Arc::ptr_eq(&target.node, &source.node)) {
            return Ok((source, target));
        }
        by.check(from_owner, Want::WRITE)?;
        by.check_sticky(from_owner, source.node.owner()?.uid)?;
        by.check(to_owner, Want::WRITE)?;
        if let Some(target) = &target {
            by.check_sticky(to_owner, target.node.owner()?.uid)?;
            match (source.node.is_dir(), target.node.is_dir()) {
                (true, false) if !exchange => return Err(Error::NotADirectory),
                (false, true) if !exchange => return Err(Error::IsADirectory),
                _ => {}
            }
        }
        if !std::ptr::eq(from, to) {
            // Another parent is a change of what a directory holds: its `..`.
            if source.node.is_dir() {
                by.check(source.node.owner()?, Want::WRITE)?;
            }
            if let Some(target) = target.as_ref().filter(|target| exchange && target.node.is_dir()) {
                by.check(target.node.owner()?, Want::WRITE)?;
            }
        }
        if let Some(target) = target.as_ref().filter(|target| !exchange && target.node.is_dir()) {
            target.node.check_empty()?;
        }
        Ok((source, target))
    }

    /// No directory may end up inside itself.
    fn check_loop(&self, source: &Found, target: Option<&Found>) -> Result<()> {
        if std::ptr::eq(self.from, self.to) {
            return Ok(());
        }
        let into_itself = Error::InvalidArgument("a directory cannot move into itself");
        if source.node.is_dir() && is_at_or_above(&source.node, self.to) {
            return Err(into_itself);
        }
        match target {
            Some(target) if target.node.is_dir() && is_at_or_above(&target.node, self.from) => {
                Err(if self.how == Rename::Exchange { into_itself } else { Error::NotEmpty })
            }
            _ => Ok(()),
        }
    }
}

impl OverlayNode {
    /// Sees to it that an entry is in the upper layer by its name here, and stays what it is under another.
    fn bring_up(&self, by: &Caller, name: Name<'_>, upper: &NodeRef, entry: &Found) -> Result<()> {
        if entry.node.is_dir() {
            entry.node.upper_dir(by)?;
            return entry.node.keep_origin();
        }
        if let (false, Some(file)) = (entry.above, entry.node.upper.get()) {
            // Copied up under another of its names.
            super::marks::keeping_times(upper, || upper.link(ROOT, name, file))?;
            entry.node.lose_name_below()?;
        }
        Ok(())
    }
}

/// Whether a directory is another one or leads to it.
fn is_at_or_above(dir: &OverlayNode, below: &OverlayNode) -> bool {
    let mut next = below.me.upgrade();
    while let Some(here) = next {
        if std::ptr::eq(&*here, dir) {
            return true;
        }
        next = here.parent();
    }
    false
}
