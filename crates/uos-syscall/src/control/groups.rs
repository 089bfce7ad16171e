//! Groups of processes: what they weigh together, and what each member weighs beside all others because of that.
//!
//! Where the host can have control groups around those of programs, a group is one: it weighs what it does whoever in it
//! wants to run, and a member's weight is its own. Where it divides CPU time by the weights of single programs alone, a
//! member has its part of its group's weight: a change of one is a change of all, and only weights that differ are
//! written.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use uos_ipc::Rights;
use uos_proc::CpuGroup;
use uos_sched::{GroupId, GroupSpec, Weight};

use super::{
    Standing, held,
    program::{Held as Steered, group_weight, nearest, refused},
};
use crate::{Errno, Error, handles::Held, kernel::Inner, process::Process};

/// A group, until it is dissolved.
pub(crate) struct Group {
    pub(crate) id: u64,
    pub(super) weight: Weight,
    pub(crate) in_books: GroupId,
    /// The group it is in; none for the root. Held to look or change.
    parent: Mutex<Option<Arc<Group>>>,
    dissolved: AtomicBool,
    kernel: Weak<Inner>,
}

/// A group, as one process holds it.
pub(crate) struct GroupHandle {
    group: Arc<Group>,
    /// Only the maker's handle keeps the group: with it the group dissolves.
    maker: Option<Arc<Maker>>,
}

struct Maker(Arc<Group>);

impl Group {
    pub(crate) fn is_dissolved(&self) -> bool {
        self.dissolved.load(Ordering::Acquire)
    }

    /// What it is to its siblings, by weight and by the priority that stands for it.
    pub(super) fn spec(&self) -> GroupSpec {
        spec(self.weight)
    }

    /// As the host is told of it.
    fn on_host(&self) -> CpuGroup {
        CpuGroup { id: self.id, weight: group_weight(self.weight) }
    }

    fn parent(&self) -> Option<Arc<Group>> {
        self.parent.lock().clone().filter(|parent| !parent.is_dissolved())
    }

    /// Itself and the groups it is in, from the inside out.
    pub(super) fn chain(self: &Arc<Self>) -> Vec<Arc<Group>> {
        let mut chain = Vec::new();
        let mut at = Some(Arc::clone(self)).filter(|group| !group.is_dissolved());
        while let Some(group) = at {
            at = group.parent();
            chain.push(group);
        }
        chain
    }
}

impl GroupHandle {
    pub(crate) fn group(&self) -> &Arc<Group> {
        &self.group
    }

    pub(crate) fn is_makers(&self) -> bool {
        self.maker.is_some()
    }
}

impl Held for GroupHandle {
    fn share(&self, _rights: Rights) -> Self {
        Self { group: Arc::clone(&self.group), maker: None }
    }

    fn join(&mut self, more: Self) -> Option<Self> {
        if self.maker.is_some() {
            return Some(more);
        }
        self.maker = more.maker;
        None
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        let Some(kernel) = self.0.kernel.upgrade() else { return };
        kernel.dissolve(&self.0);
        let runtime = kernel.runtime.clone();
        // Telling the host takes a while, and this may be anybody's thread.
        runtime.spawn_blocking(move || kernel.rebalance());
    }
}

impl Inner {
    pub(crate) fn create_group(
        self: &Arc<Self>,
        id: u64,
        parent: Option<Arc<Group>>,
        weight: Weight,
    ) -> Result<GroupHandle, Error> {
        let above = parent.as_ref().map_or(GroupId::ROOT, |parent| parent.in_books);
        let made = self.scheduler.lock().create_group(above, spec(weight));
        let in_books = made.map_err(|error| Error::invalid("parent_id", error))?;
        let group = Arc::new(Group {
            id,
            weight,
            in_books,
            parent: Mutex::new(parent),
            dissolved: AtomicBool::new(false),
            kernel: Arc::downgrade(self),
        });
        self.control.groups.lock().push(Arc::clone(&group));
        Ok(GroupHandle { maker: Some(Arc::new(Maker(Arc::clone(&group)))), group })
    }

    /// Moves a group into another, with all who are in it. Where the host refuses that for one of them, all are where they were.
    pub(crate) fn move_group(&self, group: &Arc<Group>, parent: Option<Arc<Group>>) -> Result<(), Error> {
        let before = group.parent.lock().clone();
        self.move_in_books(group, parent)?;
        self.rebalance_and_tell(Some(group)).inspect_err(|_| {
            // It may be that it can't be there any more: then it is where the books say.
            let _ = self.move_in_books(group, before);
            self.rebalance();
        })
    }

    fn move_in_books(&self, group: &Group, parent: Option<Arc<Group>>) -> Result<(), Error> {
        let above = parent.as_ref().map_or(GroupId::ROOT, |parent| parent.in_books);
        // The books refuse a ring. Both are changed as one, so that none can come about in between.
        let mut at = group.parent.lock();
        let moved = self.scheduler.lock().move_group(group.in_books, above, self.sched_now());
        moved.map_err(|error| Error::invalid("id", error))?;
        *at = parent;
        Ok(())
    }

    /// Dissolves a group and those in it: whoever is in them is in the root from now on.
    pub(crate) fn dissolve(&self, group: &Arc<Group>) {
        let ending: Vec<Arc<Group>> = {
            let mut groups = self.control.groups.lock();
            let is_in = |other: &Arc<Group>| other.chain().iter().any(|above| Arc::ptr_eq(above, group));
            let (ending, rest) = groups.drain(..).partition(is_in);
            *groups = rest;
            ending
        };
        // One that was dissolved before may have got a member at that very moment.
        let ending = if ending.is_empty() { vec![Arc::clone(group)] } else { ending };
        for group in &ending {
            group.dissolved.store(true, Ordering::Release);
        }
        for process in self.processes.living() {
            let mut task = process.task.lock();
            if task.standing.group.as_ref().is_some_and(|group| group.is_dissolved()) {
                task.standing.group = None;
                if let Some(id) = task.id {
                    let _ = self.scheduler.lock().set_group(id, GroupId::ROOT, self.sched_now());
                }
            }
        }
        // The inner ones first: the books keep what somebody is in.
        let mut books = self.scheduler.lock();
        for _ in 0..ending.len() {
            for group in &ending {
                let _ = books.destroy_group(group.in_books);
            }
        }
    }

    /// What one weighs beside all others if they all want to run.
    pub(crate) fn effective_weight(&self, standing: &Standing) -> Weight {
        match standing.group {
            None => standing.priority.weight(),
            Some(_) => effective(&self.competitors(None), standing),
        }
    }

    /// What one weighs beside these, who are all that want to run just now.
    pub(crate) fn weight_beside(&self, ready: &[Standing], standing: &Standing) -> Weight {
        match self.nests() {
            true => effective(ready, standing),
            false => self.effective_weight(standing),
        }
    }

    /// What the host is to be told that one weighs, if one of them is to be as it says.
    pub(super) fn weight_on_host(&self, one: Option<(&Process, &Standing)>, standing: &Standing) -> Weight {
        match self.nests() {
            true => standing.priority.weight(),
            false => effective(&self.competitors(one), standing),
        }
    }

    /// Has a program be in its groups, where they are now, if the host has such.
    pub(super) fn nest(&self, process: &Process, held: &mut Steered<'_>, to: &Standing) -> Result<(), Error> {
        if !self.nests() {
            return Ok(());
        }
        let chain = to.group.as_ref().map(Group::chain).unwrap_or_default();
        let around: Vec<CpuGroup> = chain.iter().rev().map(|group| group.on_host()).collect();
        if held.hold.reins.around != around {
            held.child.set_cpu_groups(&around).map_err(|error| refused(error, process))?;
            held.hold.reins.around = around;
        }
        Ok(())
    }

    /// Everybody who competes for CPU time, and how; with one of them as it is to be.
    fn competitors(&self, one: Option<(&Process, &Standing)>) -> Vec<Standing> {
        let competes =
            |process: &Process| process.program.as_ref().is_some_and(|program| !program.is_paused());
        let standing = |process: &Process| match one {
            Some((changed, to)) if changed.pid == process.pid => to.clone(),
            _ => process.standing(),
        };
        let living = self.processes.living().into_iter().filter(|process| competes(process));
        living.map(|process| standing(&process)).collect()
    }

    /// Has the host know what has become of others, where the weight of one is a matter of all.
    pub(crate) fn rebalance_flat(&self) {
        if !self.nests() {
            self.rebalance();
        }
    }

    /// Writes the weights of all who are in a group, or were until just now, and has all be in their groups.
    pub(crate) fn rebalance(&self) {
        // What the host refuses stays as it is; whoever asked for it has been told.
        let _ = self.rebalance_and_tell(None);
    }

    /// The same, and says if it was refused for one who is in this group.
    fn rebalance_and_tell(&self, about: Option<&Arc<Group>>) -> Result<(), Error> {
        let mut told = Ok(());
        let _one_at_a_time = self.control.balance.lock();
        for process in self.processes.living() {
            let Some(program) = &process.program else { continue };
            let _mine = process.steering.lock();
            let Ok(mut held) = held(&process, program) else { continue };
            let standing = process.standing();
            let weight = self.weight_on_host(None, &standing);
            let is_in = |group| {
                standing
                    .group
                    .as_ref()
                    .is_some_and(|own| own.chain().iter().any(|one| Arc::ptr_eq(one, group)))
            };
            if let Err(refused) = self.nest(&process, &mut held, &standing)
                && refused.errno != Errno::ESRCH
                && about.is_some_and(is_in)
                && told.is_ok()
            {
                told = Err(refused);
            }
            if held.hold.reins.weight != weight {
                let _ = self.weigh(&process, &mut held, weight);
            }
            if let Some(strict) = self.strict() {
                let _ = self.regroup(&process, &mut held, &standing, &strict);
            }
        }
        told
    }
}

fn spec(weight: Weight) -> GroupSpec {
    GroupSpec::default().priority(nearest(weight)).weight(weight)
}

/// What one weighs beside all others.
fn effective(competitors: &[Standing], standing: &Standing) -> Weight {
    let own = standing.priority.weight();
    let Some(group) = &standing.group else { return own };
    let chains: Vec<(u32, Vec<Arc<Group>>)> = competitors
        .iter()
        .filter_map(|other| {
            Some((other.priority.weight().get(), other.group.as_ref()?.chain()))
                .filter(|(_, chain)| !chain.is_empty())
        })
        .collect();
    let mut part = f64::from(own.get());
    for group in group.chain() {
        let members: f64 = chains
            .iter()
            .filter(|(_, chain)| Arc::ptr_eq(&chain[0], &group))
            .map(|(weight, _)| f64::from(*weight))
            .sum();
        // Groups count once, and only those in which somebody wants something.
        let mut inner = BTreeSet::new();
        for (_, chain) in &chains {
            if let Some(at) = chain.iter().position(|other| Arc::ptr_eq(other, &group)).filter(|&at| at > 0) {
                inner.insert((chain[at - 1].id, chain[at - 1].weight));
            }
        }
        let groups: f64 = inner.iter().map(|(_, weight)| f64::from(weight.get())).sum();
        let all = members + groups;
        if all > 0.0 {
            part *= f64::from(group.weight.get()) / all;
        }
    }
    let rounded = part.round().clamp(1.0, f64::from(Weight::MAX.get())) as u32;
    Weight::new(rounded).unwrap_or(own)
}
