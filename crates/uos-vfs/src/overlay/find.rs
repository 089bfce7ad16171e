//! Finding the entry of a name: in the upper layer, or else below.

use super::layers::{entry_of, key_of};
use super::marks;
use super::node::{Dir, OverlayNode};
use super::{RESERVED, ROOT};
use crate::{Error, Kind, Name, NodeRef, Result};
use std::sync::Arc;

/// An entry of a directory.
pub(super) struct Found {
    pub(super) node: Arc<OverlayNode>,
    /// Whether the upper layer has it by this name.
    pub(super) above: bool,
}

impl OverlayNode {
    /// The entry `name` of this directory. The tree is locked.
    pub(super) fn find(&self, name: Name<'_>) -> Result<Option<Found>> {
        let dir = self.dir()?;
        if self.is_gone() || name.as_bytes() == RESERVED {
            return Ok(None);
        }
        if let Some(upper) = self.upper.get() {
            if let Some(found) = entry_of(upper, name)? {
                let node = self.find_above(name, found)?;
                return Ok(Some(Found { node, above: true }));
            }
            if dir.lowers().is_empty() || self.is_hidden(name)? {
                return Ok(None);
            }
        }
        Ok(self.find_below(dir, name)?.map(|node| Found { node, above: false }))
    }

    /// The node of an entry of the upper layer.
    fn find_above(&self, name: Name<'_>, found: NodeRef) -> Result<Arc<OverlayNode>> {
        let key = key_of(found.id());
        if let Some(node) = self.layers.live(key) {
            return Ok(node);
        }
        let dir = match found.kind() {
            Kind::Directory => Some(self.dir_above(name, &found)?),
            _ => None,
        };
        let fresh = OverlayNode::above(self, name, found, dir)?;
        Ok(self.layers.admit(key, fresh))
    }

    /// What a directory of the upper layer is merged with: what it says itself, else what has its name below.
    fn dir_above(&self, name: Name<'_>, upper: &NodeRef) -> Result<Dir> {
        if let Some(dir) = marks::origin_of(&self.layers, upper)? {
            return Ok(dir);
        }
        let dir = self.dir()?;
        let lowers = match dir.lowers() {
            [] => Box::default(),
            _ if self.is_hidden(name)? => Box::default(),
            lowers => marks::dirs_of(lowers, name)?,
        };
        Ok(Dir::new(lowers))
    }

    fn find_below(&self, dir: &Dir, name: Name<'_>) -> Result<Option<Arc<OverlayNode>>> {
        let lowers = dir.lowers();
        for (nth, lower) in lowers.iter().enumerate() {
            let found = match lower.lookup(ROOT, name) {
                Ok(found) => found,
                Err(Error::NotFound) => continue,
                Err(error) => return Err(error),
            };
            let key = key_of(found.id());
            if let Some(node) = self.layers.live(key) {
                // One of several names may have gone that it was found by.
                node.settle_if_lost(self, name)?;
                return Ok(Some(node));
            }
            if found.kind() != Kind::Directory {
                if let Some(upper) = self.layers.ties.upper_of(key) {
                    return self.find_above(name, upper).map(Some);
                }
                let fresh = OverlayNode::below(self, name, found, None)?;
                return Ok(Some(self.layers.admit(key, fresh)));
            }
            let mut stack = vec![NodeRef::clone(&found)];
            stack.extend_from_slice(&marks::dirs_of(&lowers[nth + 1..], name)?);
            let merged = Dir::new(stack.into());
            let fresh = OverlayNode::below(self, name, found, Some(merged))?;
            return Ok(Some(self.layers.admit(key, fresh)));
        }
        Ok(None)
    }
}
