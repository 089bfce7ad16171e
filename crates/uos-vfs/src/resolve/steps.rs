//! The directories a walk has passed, from the root to where it stands.

use crate::NodeRef;

/// Most paths are no deeper than this and need no allocation for their steps.
const SHALLOW: usize = 8;

/// One directory on the way.
pub(crate) struct Step {
    pub(crate) node: NodeRef,
    /// It is the root of a mounted filesystem, seen at its mount point.
    pub(crate) mounted: bool,
}

/// A stack whose bottom, the root, cannot be popped. `..` is answered from here, so that no
/// filesystem is ever asked for a parent and none can lead out of its mount.
pub(crate) struct Steps<'a> {
    root: &'a NodeRef,
    near: [Option<Step>; SHALLOW],
    far: Vec<Step>,
    len: usize,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(root: &'a NodeRef) -> Self {
        Steps { root, near: [const { None }; SHALLOW], far: Vec::new(), len: 0 }
    }

    /// The directory the walk stands in.
    pub(crate) fn top(&self) -> &NodeRef {
        match self.len.checked_sub(1).and_then(|index| self.step(index)) {
            Some(step) => &step.node,
            None => self.root,
        }
    }

    /// Leaves that directory for the one above and hands it out; the root is its own parent.
    pub(crate) fn take_top(&mut self) -> NodeRef {
        match self.take() {
            Some(step) => step.node,
            None => self.root.clone(),
        }
    }

    /// How many directories below the root the walk stands.
    pub(crate) fn depth(&self) -> usize {
        self.len
    }

    /// True if the walk stands at a mount point.
    pub(crate) fn mounted(&self) -> bool {
        self.len == 0 || self.step(self.len - 1).is_some_and(|step| step.mounted)
    }

    #[inline]
    pub(crate) fn push(&mut self, step: Step) {
        match self.near.get_mut(self.len) {
            Some(slot) => *slot = Some(step),
            None => self.far.push(step),
        }
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) {
        drop(self.take());
    }

    pub(crate) fn clear(&mut self) {
        while self.len > 0 {
            self.pop();
        }
    }

    fn take(&mut self) -> Option<Step> {
        self.len = self.len.checked_sub(1)?;
        match self.near.get_mut(self.len) {
            Some(slot) => slot.take(),
            None => self.far.pop(),
        }
    }

    fn step(&self, index: usize) -> Option<&Step> {
        match self.near.get(index) {
            Some(slot) => slot.as_ref(),
            None => self.far.get(index - SHALLOW),
        }
    }
}
