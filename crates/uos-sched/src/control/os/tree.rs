//! The groups of several processes: which there are, and what the kernel was told of each.

use super::Adopted;
use crate::control::cgroup::{Dir, Root, Version, clear, part};
use crate::control::{ControlError, has_quota};
use crate::{Class, GroupId, GroupSpec, Nanos, Policy, Quota, SchedError, Scheduler, Weight};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A tree of groups. The core keeps its shape and refuses what is none; where there are control groups, each of ours is one.
pub(super) struct Tree {
    pub(super) root: Option<Root>,
    shape: Box<Scheduler>,
    nodes: BTreeMap<GroupId, Node>,
}

#[derive(Debug)]
struct Node {
    parent: GroupId,
    spec: GroupSpec,
    name: String,
    dir: Option<Dir>,
}

/// Where a process is to be, and what that means for what it wants.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) root: Option<&'a Root>,
    /// What its own group is made in.
    pub(super) parent: &'a Path,
    /// The least part of a CPU that the groups around it have, where none inside them may have more.
    pub(super) above: Option<u64>,
    /// What it weighs beside all others, where that can't be divided by groups.
    pub(super) flat: Weight,
}

impl Place<'_> {
    /// The quota that the kernel is to be told: one that is looser than those around it changes nothing, and version 1
    /// refuses it.
    pub(super) fn quota(&self, own: Option<Quota>) -> Option<Quota> {
        own.filter(|own| self.above.is_none_or(|above| part(own) <= above))
    }
}

/// The groups of several controls of one process have different names.
static NAMES: AtomicU64 = AtomicU64::new(0);

impl Tree {
    pub(super) fn new(root: Option<Root>) -> Tree {
        let shape = Scheduler::new(Policy::FAIR, 1).expect("there may be one CPU");
        Tree { root, shape: Box::new(shape), nodes: BTreeMap::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether there is such a group.
    pub(super) fn find(&self, group: GroupId) -> Result<(), SchedError> {
        self.shape.group_stats(group).map(drop)
    }

    /// Whether a group or one around it has a quota.
    pub(super) fn has_quota(&self, group: GroupId) -> bool {
        has_quota(&self.shape, group)
    }

    pub(super) fn place(&self, group: GroupId, flat: Weight) -> Place<'_> {
        let parent = self.path(group).unwrap_or(Path::new(""));
        Place { root: self.root.as_ref(), parent, above: self.part_of(group), flat }
    }

    /// The directory of a group.
    fn path(&self, group: GroupId) -> Option<&Path> {
        match self.nodes.get(&group) {
            Some(node) => node.dir.as_ref().map(Dir::path),
            None => self.root.as_ref().map(Root::path),
        }
    }

    /// The least part that a group and those around it have of a CPU, where that binds what is inside.
    fn part_of(&self, group: GroupId) -> Option<u64> {
        let binds = self.root.as_ref().is_some_and(|root| root.version == Version::V1);
        let quotas = self.up_from(group).filter_map(|node| node.spec.quota);
        quotas.map(|quota| part(&quota)).min().filter(|_| binds)
    }

    /// A group and those around it, from the inside out.
    fn up_from(&self, group: GroupId) -> impl Iterator<Item = &Node> {
        std::iter::successors(self.nodes.get(&group), |node| self.nodes.get(&node.parent))
    }

    /// A group and those in it, those further out first.
    pub(super) fn inside(&self, group: GroupId) -> Vec<GroupId> {
        let mut inside = vec![group];
        let mut at = 0;
        while let Some(&outer) = inside.get(at) {
            inside.extend(self.nodes.iter().filter(|(_, node)| node.parent == outer).map(|(&id, _)| id));
            at += 1;
        }
        inside
    }

    /// The quota that the kernel was told of a group.
    #[cfg(test)]
    pub(super) fn told(&self, group: GroupId) -> Option<Quota> {
        self.nodes[&group].dir.as_ref().and_then(Dir::quota)
    }

    pub(super) fn create(&mut self, parent: GroupId, spec: GroupSpec) -> Result<GroupId, ControlError> {
        let id = self.shape.create_group(parent, spec)?;
        let name = format!("g{}", NAMES.fetch_add(1, Ordering::Relaxed));
        match self.make(parent, &name, &spec) {
            Ok(dir) => {
                self.nodes.insert(id, Node { parent, spec, name, dir });
                Ok(id)
            }
            Err(error) => {
                let _ = self.shape.destroy_group(id);
                Err(refused(error))
            }
        }
    }

    /// Where there are control groups, one that nobody is in yet.
    fn make(&self, parent: GroupId, name: &str, spec: &GroupSpec) -> io::Result<Option<Dir>> {
        let (Some(root), Some(path)) = (&self.root, self.path(parent)) else { return Ok(None) };
        let mut dir = root.make(path, name)?;
        let quota = self.place(parent, Weight::DEFAULT).quota(spec.quota);
        let told = dir.hand_down().and_then(|()| dir.set_weight(spec.weight));
        if let Err(error) = told.and_then(|()| dir.set_quota(quota)) {
            clear(dir.path(), root.path());
            return Err(error);
        }
        Ok(Some(dir))
    }

    /// What a group is to be. Answers what it was.
    pub(super) fn set(&mut self, group: GroupId, spec: GroupSpec) -> Result<GroupSpec, ControlError> {
        self.shape.set_group_spec(group, spec, Nanos::ZERO)?;
        let node = self.nodes.get_mut(&group).ok_or(SchedError::UnknownGroup { group })?;
        let before = std::mem::replace(&mut node.spec, spec);
        if let Some(dir) = &node.dir
            && spec.weight != before.weight
            && let Err(error) = dir.set_weight(spec.weight)
        {
            node.spec = before;
            let _ = self.shape.set_group_spec(group, before, Nanos::ZERO);
            return Err(refused(error));
        }
        Ok(before)
    }

    /// Tells the kernel the quotas of a group and all that is in it, of which any may differ.
    pub(super) fn tell_quotas(
        &mut self,
        group: GroupId,
        adopted: &mut BTreeMap<u32, Adopted>,
    ) -> io::Result<()> {
        let inside = self.inside(group);
        let quota = |tree: &Tree, id: &GroupId| {
            let node = tree.nodes.get(id)?;
            tree.place(node.parent, Weight::DEFAULT).quota(node.spec.quota)
        };
        // First those inside that have to yield to what is around them, then from the outside in.
        for yielding in [true, false] {
            for id in &inside {
                let wanted = quota(self, id);
                if let Some(dir) = self.nodes.get_mut(id).and_then(|node| node.dir.as_mut())
                    && (!yielding || wanted.is_none())
                {
                    dir.set_quota(wanted)?;
                }
                let place = self.place(*id, Weight::DEFAULT);
                for one in adopted.values_mut().filter(|one| one.wanted.group == *id) {
                    one.tell_quota(&place, yielding)?;
                }
            }
        }
        Ok(())
    }

    /// Moves a group with those in it into another. Whoever is in them is to be brought along before `forget`.
    pub(super) fn relocate(&mut self, group: GroupId, parent: GroupId) -> Result<Moved, ControlError> {
        self.shape.move_group(group, parent, Nanos::ZERO)?;
        let node = self.nodes.get_mut(&group).ok_or(SchedError::UnknownGroup { group })?;
        let mut moved =
            Moved { group, parent: std::mem::replace(&mut node.parent, parent), dirs: Vec::new() };
        if moved.parent == parent {
            return Ok(moved);
        }
        // The kernel can't move them. The outer ones first: the inner ones are made in the new ones.
        for id in self.inside(group) {
            let Some(node) = self.nodes.get(&id) else { continue };
            let (parent, name, spec) = (node.parent, node.name.clone(), node.spec);
            match self.make(parent, &name, &spec) {
                Ok(dir) => {
                    let left = self.nodes.get_mut(&id).map(|node| std::mem::replace(&mut node.dir, dir));
                    moved.dirs.push((id, left.flatten()));
                }
                Err(error) => {
                    self.exchange(&mut moved);
                    self.forget(moved);
                    return Err(refused(error));
                }
            }
        }
        Ok(moved)
    }

    /// Has a group be where it was before, or again where it was moved to.
    pub(super) fn exchange(&mut self, moved: &mut Moved) {
        let _ = self.shape.move_group(moved.group, moved.parent, Nanos::ZERO);
        if let Some(node) = self.nodes.get_mut(&moved.group) {
            std::mem::swap(&mut node.parent, &mut moved.parent);
        }
        for (id, dir) in &mut moved.dirs {
            if let Some(node) = self.nodes.get_mut(id) {
                std::mem::swap(&mut node.dir, dir);
            }
        }
    }

    /// Removes what was left. Nobody is in there any more.
    pub(super) fn forget(&self, moved: Moved) {
        for dir in moved.dirs.into_iter().rev().filter_map(|(_, left)| left) {
            discard(self.root.as_ref(), &dir);
        }
    }

    pub(super) fn destroy(&mut self, group: GroupId, processes: u32) -> Result<(), ControlError> {
        if processes > 0 && self.nodes.contains_key(&group) {
            let groups = self.nodes.values().filter(|node| node.parent == group).count() as u32;
            return Err(SchedError::GroupNotEmpty { group, tasks: processes, groups }.into());
        }
        self.shape.destroy_group(group)?;
        if let Some(dir) = self.nodes.remove(&group).and_then(|node| node.dir) {
            discard(self.root.as_ref(), &dir);
        }
        Ok(())
    }

    /// What each of these, by its class, own weight and group, weighs beside all others: its part of what its group weighs
    /// among those that share by weight, and so on outwards.
    pub(super) fn flat(&self, all: &[(Class, Weight, GroupId)], of: (Weight, GroupId)) -> Weight {
        let shares = |class: &Class| !class.is_strict() && *class != Class::Idle;
        let members: Vec<_> = all.iter().filter(|(class, ..)| shares(class)).collect();
        let (own, mut group) = of;
        let (mut part, mut own_weight) = (1.0, f64::from(own.get()));
        while let Some(node) = self.nodes.get(&group) {
            let here = members.iter().filter(|(.., of)| *of == group).map(|(_, weight, _)| weight.get());
            let mut sum: f64 = here.map(f64::from).sum();
            for (&id, inner) in self.nodes.iter().filter(|(_, inner)| inner.parent == group) {
                let inside = self.inside(id);
                if members.iter().any(|(.., of)| inside.contains(of)) {
                    sum += f64::from(inner.spec.weight.get());
                }
            }
            // It may not be among them itself.
            part *= own_weight / sum.max(own_weight);
            own_weight = f64::from(node.spec.weight.get());
            group = node.parent;
        }
        let rounded = (part * own_weight).round().clamp(1.0, f64::from(Weight::MAX.get())) as u32;
        Weight::new(rounded).unwrap_or(own)
    }
}

/// Where a group is not, before or after it was moved.
#[derive(Debug)]
pub(super) struct Moved {
    group: GroupId,
    parent: GroupId,
    dirs: Vec<(GroupId, Option<Dir>)>,
}

impl Drop for Tree {
    fn drop(&mut self) {
        for id in self.inside(GroupId::ROOT).into_iter().rev() {
            if let Some(dir) = self.nodes.remove(&id).and_then(|node| node.dir) {
                discard(self.root.as_ref(), &dir);
            }
        }
    }
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tree").field("root", &self.root).field("nodes", &self.nodes).finish_non_exhaustive()
    }
}

/// Whoever is still in there, born to somebody who was let go, goes to the root.
fn discard(root: Option<&Root>, dir: &Dir) {
    if let Some(root) = root {
        clear(dir.path(), root.path());
    }
}

fn refused(source: io::Error) -> ControlError {
    ControlError::System { what: "control group", pid: 0, source }
}
