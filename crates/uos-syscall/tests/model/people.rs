//! All who take part, in the model and in the kernel.

use std::collections::BTreeSet;

use uos_syscall::Caller;

use crate::naive::{Covers, Held, Person, Verdict};

#[derive(Default)]
pub(crate) struct People {
    pub(crate) all: Vec<Person>,
    pub(crate) callers: Vec<Caller>,
    pub(crate) covers: Covers,
    /// Pipes that were ended for everybody.
    pub(crate) destroyed: BTreeSet<u64>,
}

impl People {
    pub(crate) fn add(&mut self, parent: Option<usize>, grants: Vec<String>, caller: Caller) {
        self.all.push(Person { parent, alive: true, grants, ..Person::default() });
        self.callers.push(caller);
    }

    pub(crate) fn living(&self) -> Vec<usize> {
        (0..self.all.len()).filter(|&who| self.all[who].alive).collect()
    }

    pub(crate) fn pid(&self, who: usize) -> u64 {
        self.callers[who].pid().0
    }

    /// Who may see another: itself, a descendant, or any with the right.
    pub(crate) fn needs_sight(&self, who: usize, whom: usize, right: &str) -> Verdict {
        let mut at = Some(whom);
        while let Some(person) = at {
            if person == who {
                return Verdict::Allowed;
            }
            at = self.all[person].parent;
        }
        if self.all[who].has(right) { Verdict::Allowed } else { Verdict::NoProcess }
    }

    /// Who may do something with a handle that takes these rights of it, and what it was opened by.
    pub(crate) fn needs_handle(&self, who: usize, id: u64, rights: &[&'static str]) -> Verdict {
        let Some(held) = self.all[who].handles.get(&id) else { return Verdict::NoHandle };
        let lacks: Vec<_> = rights.iter().filter(|right| !held.rights.contains(**right)).collect();
        if lacks.iter().any(|right| !["read", "write"].contains(right)) {
            return Verdict::HandleRight;
        }
        if !lacks.is_empty() { Verdict::NoHandle } else { self.still_licensed(held, rights) }
    }

    /// Whether the one who opened it would be let through still.
    pub(crate) fn still_licensed(&self, held: &Held, uses: &[&'static str]) -> Verdict {
        let Some((opener, rights, path)) = &held.opened else { return Verdict::Allowed };
        let opener = &self.all[*opener];
        let holds = |right: &str| match opener.on(right, path) {
            true => Verdict::Allowed,
            false => Verdict::Right(format!("{right}:{path}")),
        };
        let used = |right: &&&'static str| uses.contains(&right.strip_prefix("fs.").unwrap());
        if !rights.iter().any(|right| used(&right)) {
            // What neither reads nor writes takes any one of them.
            let each: Vec<Verdict> = rights.iter().map(|right| holds(right)).collect();
            return if each.contains(&Verdict::Allowed) {
                Verdict::Allowed
            } else {
                each.last().unwrap().clone()
            };
        }
        rights
            .iter()
            .filter(used)
            .map(|right| holds(right))
            .find(|it| *it != Verdict::Allowed)
            .unwrap_or(Verdict::Allowed)
    }

    /// What is left of somebody's grants; their descendants have no more than them.
    pub(crate) fn set(&mut self, who: usize, grants: Vec<String>) {
        for child in 0..self.all.len() {
            if self.all[child].parent == Some(who) && self.all[child].alive {
                let has = self.all[child].grants.clone();
                let left = has.into_iter().filter(|grant| self.covers.any(&grants, grant)).collect();
                self.set(child, left);
            }
        }
        self.all[who].grants = grants;
    }

    pub(crate) fn kill(&mut self, who: usize, tree: bool) {
        let heir = self.all[who].parent;
        self.all[who].alive = false;
        self.all[who].handles.clear();
        for child in 0..self.all.len() {
            if self.all[child].parent == Some(who) && self.all[child].alive {
                match heir {
                    Some(_) if !tree => self.all[child].parent = heir,
                    _ => self.kill(child, true),
                }
            }
        }
    }

    pub(crate) fn give(&mut self, to: usize, id: u64, handle: &Held, rights: &BTreeSet<&'static str>) {
        let rights: BTreeSet<_> = handle.rights.intersection(rights).copied().collect();
        let held = self.all[to]
            .handles
            .entry(id)
            .or_insert_with(|| Held { rights: rights.clone(), ..handle.clone() });
        held.rights.extend(rights);
    }
}
