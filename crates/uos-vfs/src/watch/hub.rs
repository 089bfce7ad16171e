//! The registry: which directories are watched by whom, and what is known of their names.
//!
//! Locks, in this order: the turn of a directory, or of two by number, held while names in it are changed and told; then the
//! registry; then the queues. Wakers are woken when all of them are let go.

use super::hears::Hearing;
use super::{Event, Queue, Spot, Told, What};
use crate::{Caller, Error, FsId, Kind, Name, NodeId, NodeRef, Result};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::task::Waker;

#[derive(Default)]
pub(super) struct Hub {
    /// How many directories are watched. Looked at after every change.
    interested: AtomicUsize,
    registry: Mutex<Registry>,
    watchers: AtomicU64,
    pub(super) hearing: Hearing,
}

#[derive(Default)]
struct Registry {
    dirs: HashMap<NodeId, Watched>,
    /// Where in what is watched a node has its names.
    places: HashMap<Number, Vec<Spot>>,
}

/// A node as listings tell it.
type Number = (FsId, u64);
/// Names that changed in a directory while nobody had its turn, as it was not watched when that began.
type Late<'a> = Vec<(NodeId, Name<'a>)>;
type Turn = Arc<Mutex<()>>;

struct Watched {
    dir: NodeRef,
    turn: Turn,
    names: HashMap<Vec<u8>, Number>,
    watchers: Vec<(u64, Arc<Queue<Event>>)>,
}

fn number_of(id: NodeId) -> Number {
    (id.fs, id.ino)
}

fn spot(dir: NodeId, name: Name<'_>) -> Spot {
    Spot { dir, name: name.as_bytes().to_vec() }
}

impl Hub {
    pub(super) fn new_watcher(&self) -> u64 {
        self.watchers.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn watched(&self) -> usize {
        self.registry.lock().dirs.len()
    }

    pub(super) fn watch(&self, watcher: u64, queue: &Arc<Queue<Event>>, dir: &NodeRef) -> Result<()> {
        let id = dir.id();
        let fresh = Turn::default();
        let held = fresh.lock();
        let before = {
            let mut registry = self.registry.lock();
            let watched = registry.dirs.entry(id).or_insert_with(|| {
                // From here on whoever changes a name waits for the turn, or comes late and looks again.
                self.interested.fetch_add(1, Ordering::SeqCst);
                let (dir, turn) = (NodeRef::clone(dir), Arc::clone(&fresh));
                Watched { dir, turn, names: HashMap::new(), watchers: Vec::new() }
            });
            if watched.watchers.iter().all(|(other, _)| *other != watcher) {
                watched.watchers.push((watcher, Arc::clone(queue)));
            }
            Arc::clone(&watched.turn)
        };
        if !Arc::ptr_eq(&before, &fresh) {
            // Somebody watches it already; but perhaps is not through with listing it.
            drop(before.lock());
            return Ok(());
        }
        fence(Ordering::SeqCst);
        let mut names = HashMap::new();
        let listed = dir.read_dir(0, &mut |entry| {
            names.insert(entry.name.as_bytes().to_vec(), (id.fs, entry.ino));
            true
        });
        let mut registry = self.registry.lock();
        if let Err(error) = listed {
            self.forget(&mut registry, id);
            return Err(error);
        }
        for (name, number) in names {
            registry.learn(Spot { dir: id, name }, number);
        }
        drop((registry, held));
        Ok(())
    }

    pub(super) fn unwatch(&self, watcher: u64, dir: NodeId) -> Result<()> {
        let mut registry = self.registry.lock();
        let watched = registry.dirs.get_mut(&dir).ok_or(Error::NotFound)?;
        let before = watched.watchers.len();
        watched.watchers.retain(|(other, _)| *other != watcher);
        if watched.watchers.len() == before {
            return Err(Error::NotFound);
        }
        let gone = if watched.watchers.is_empty() { self.forget(&mut registry, dir) } else { None };
        drop(registry);
        // Freed after the lock: it may be the last reference to the directory.
        drop(gone);
        Ok(())
    }

    pub(super) fn unwatch_all(&self, watcher: u64) {
        let mut registry = self.registry.lock();
        for watched in registry.dirs.values_mut() {
            watched.watchers.retain(|(other, _)| *other != watcher);
        }
        let unwatched: Vec<NodeId> =
            registry.dirs.iter().filter(|(_, it)| it.watchers.is_empty()).map(|(id, _)| *id).collect();
        let gone: Vec<_> = unwatched.into_iter().map(|id| self.forget(&mut registry, id)).collect();
        drop(registry);
        drop(gone);
    }

    fn forget(&self, registry: &mut Registry, dir: NodeId) -> Option<Watched> {
        let watched = registry.dirs.remove(&dir)?;
        for (name, number) in &watched.names {
            registry.drop_place(*number, dir, name);
        }
        self.interested.fetch_sub(1, Ordering::SeqCst);
        Some(watched)
    }

    fn nobody_listens(&self) -> bool {
        self.interested.load(Ordering::SeqCst) == 0
    }

    pub(super) fn telling<'a, T>(
        &self,
        tag: u64,
        dirs: &[&NodeRef],
        act: impl FnOnce() -> Result<T>,
        told: impl FnOnce(&T) -> Told<'a>,
    ) -> Result<T> {
        let turns = if self.nobody_listens() { [None, None] } else { self.turns(dirs) };
        let held = turns.each_ref().map(|turn| turn.as_ref().map(|(_, turn)| turn.lock()));
        let done = act()?;
        // Either this sees who has begun to watch meanwhile, or they see in their listing what has been done.
        fence(Ordering::SeqCst);
        if self.nobody_listens() {
            if !self.hearing.is_empty() {
                drop(held);
                self.hearing.told(&told(&done));
            }
            return Ok(done);
        }
        let told = told(&done);
        let (late, wakes) = self.post(&told, tag, &turns);
        drop(held);
        self.hearing.told(&told);
        wakes.into_iter().for_each(Waker::wake);
        for (dir, name) in late {
            self.look_again(dir, name, tag);
        }
        Ok(done)
    }

    /// The turns of those that are watched, in the order in which they have to be taken.
    fn turns(&self, dirs: &[&NodeRef]) -> [Option<(NodeId, Turn)>; 2] {
        let registry = self.registry.lock();
        let mut turns = [None, None];
        for (slot, dir) in turns.iter_mut().zip(dirs) {
            let id = dir.id();
            *slot = registry.dirs.get(&id).map(|watched| (id, Arc::clone(&watched.turn)));
        }
        if let [Some((one, _)), Some((other, _))] = &turns {
            match one.cmp(other) {
                std::cmp::Ordering::Less => {}
                std::cmp::Ordering::Equal => turns[1] = None,
                std::cmp::Ordering::Greater => turns.swap(0, 1),
            }
        }
        turns
    }

    fn post<'a>(
        &self,
        told: &Told<'a>,
        tag: u64,
        turns: &[Option<(NodeId, Turn)>; 2],
    ) -> (Late<'a>, Vec<Waker>) {
        let mut registry = self.registry.lock();
        let (mut late, mut wakes) = (Late::new(), Vec::new());
        let names: [Option<(NodeId, Name<'a>)>; 2] = match told {
            Told::Made { dir, name, .. } | Told::Gone { dir, name } => [Some((*dir, *name)), None],
            Told::Moved { from, to, .. } => [Some(*from), Some(*to)],
        };
        let mut listening = Vec::new();
        for (dir, name) in names.into_iter().flatten() {
            let Some(watched) = registry.dirs.get(&dir) else { continue };
            let in_turn = turns.iter().flatten().any(|(_, turn)| Arc::ptr_eq(turn, &watched.turn));
            if !in_turn {
                late.push((dir, name));
            } else if !listening.contains(&dir) {
                listening.push(dir);
            }
        }
        if let Some(what) = registry.take_in(told, |dir| listening.contains(&dir)) {
            registry.tell(&listening, &Event { what, tag }, &mut wakes);
        }
        if !matches!(told, Told::Made { .. }) {
            self.drop_removed(&mut registry, tag, &mut wakes);
        }
        (late, wakes)
    }

    /// Directories that are there no more are told of for the last time.
    fn drop_removed(&self, registry: &mut Registry, tag: u64, wakes: &mut Vec<Waker>) {
        let gone = |it: &Watched| it.dir.attr().is_ok_and(|attr| attr.nlink == 0);
        let removed: Vec<NodeId> =
            registry.dirs.iter().filter(|(_, it)| gone(it)).map(|(id, _)| *id).collect();
        for dir in removed {
            registry.tell(&[dir], &Event { what: What::Removed { dir }, tag }, wakes);
            self.forget(registry, dir);
        }
    }

    /// Compares what has a name with what is known to, and tells the difference.
    fn look_again(&self, dir: NodeId, name: Name<'_>, tag: u64) {
        let Some((node, turn)) =
            self.registry.lock().dirs.get(&dir).map(|it| (it.dir.clone(), it.turn.clone()))
        else {
            return;
        };
        let held = turn.lock();
        let now = node.lookup(&Caller::ROOT, name).ok().map(|node| (node.id(), node.kind()));
        let mut wakes = Vec::new();
        {
            let mut registry = self.registry.lock();
            let Some(watched) = registry.dirs.get(&dir) else { return };
            let known = watched.names.get(name.as_bytes()).copied();
            let mut steps = Vec::new();
            if known.is_some() && known != now.map(|(id, _)| number_of(id)) {
                steps.push(Told::Gone { dir, name });
            }
            if let Some((id, kind)) = now.filter(|(id, _)| known != Some(number_of(*id))) {
                steps.push(Told::Made { dir, name, node: id, kind });
            }
            for told in steps {
                if let Some(what) = registry.take_in(&told, |_| true) {
                    registry.tell(&[dir], &Event { what, tag }, &mut wakes);
                }
            }
        }
        drop(held);
        wakes.into_iter().for_each(Waker::wake);
    }

    /// A node has changed, and is told of by its names.
    pub(super) fn touched(&self, node: NodeId, tag: u64, what: impl Fn(Spot) -> What) {
        fence(Ordering::SeqCst);
        if self.nobody_listens() {
            return;
        }
        let mut wakes = Vec::new();
        {
            let registry = self.registry.lock();
            for at in registry.places.get(&number_of(node)).into_iter().flatten() {
                let dir = at.dir;
                // On the host others may have given the number to something else.
                if registry.dirs.get(&dir).is_some_and(|it| !it.dir.blocks() || it.still_has(at, node)) {
                    registry.tell(&[dir], &Event { what: what(at.clone()), tag }, &mut wakes);
                }
            }
            if registry.dirs.contains_key(&node) {
                let own = Spot { dir: node, name: Vec::new() };
                registry.tell(&[node], &Event { what: what(own), tag }, &mut wakes);
            }
        }
        wakes.into_iter().for_each(Waker::wake);
    }
}

impl Watched {
    fn still_has(&self, at: &Spot, node: NodeId) -> bool {
        let found = Name::new(&at.name).and_then(|name| self.dir.lookup(&Caller::ROOT, name));
        found.is_ok_and(|found| found.id() == node)
    }
}

impl Registry {
    /// What becomes of the names that are known, and the event of it if there is one.
    fn take_in(&mut self, told: &Told<'_>, known: impl Fn(NodeId) -> bool) -> Option<What> {
        match told {
            Told::Made { dir, name, node, kind } => {
                let at = spot(*dir, *name);
                if known(*dir) {
                    self.learn(at.clone(), number_of(*node));
                }
                Some(What::Created { at, node: *node, kind: *kind })
            }
            Told::Gone { dir, name } => {
                let at = spot(*dir, *name);
                if known(*dir) {
                    self.unlearn(&at);
                }
                Some(What::Deleted { at })
            }
            Told::Moved { from: (dir, name), to: (to_dir, to_name), exchanged } => {
                let (from, to) = (spot(*dir, *name), spot(*to_dir, *to_name));
                let spots = [(&from, known(*dir)), (&to, known(*to_dir))];
                let seen = spots.map(|(at, known)| if known { self.number_by_looking(at) } else { None });
                let same = |(at, now): (&Spot, Option<Number>)| now.is_some() && now == self.number_at(at);
                if [(&from, seen[0]), (&to, seen[1])].into_iter().any(same) {
                    // Two names of one file, or a name to itself: nothing has happened.
                    return None;
                }
                for ((at, known), now) in spots.into_iter().zip(seen) {
                    if known {
                        self.unlearn(at);
                        now.into_iter().for_each(|number| self.learn(at.clone(), number));
                    }
                }
                Some(match exchanged {
                    true => What::Exchanged { one: from, other: to },
                    false => What::Renamed { from, to },
                })
            }
        }
    }

    fn number_at(&self, at: &Spot) -> Option<Number> {
        self.dirs.get(&at.dir)?.names.get(&at.name).copied()
    }

    fn number_by_looking(&self, at: &Spot) -> Option<Number> {
        let found = self.dirs.get(&at.dir)?.dir.lookup(&Caller::ROOT, Name::new(&at.name).ok()?).ok()?;
        Some(number_of(found.id()))
    }

    fn learn(&mut self, at: Spot, number: Number) {
        let Some(watched) = self.dirs.get_mut(&at.dir) else { return };
        if let Some(before) = watched.names.insert(at.name.clone(), number) {
            self.drop_place(before, at.dir, &at.name);
        }
        self.places.entry(number).or_default().push(at);
    }

    fn unlearn(&mut self, at: &Spot) {
        let Some(watched) = self.dirs.get_mut(&at.dir) else { return };
        if let Some(number) = watched.names.remove(&at.name) {
            self.drop_place(number, at.dir, &at.name);
        }
    }

    fn drop_place(&mut self, number: Number, dir: NodeId, name: &[u8]) {
        if let Some(spots) = self.places.get_mut(&number) {
            spots.retain(|spot| spot.dir != dir || spot.name != name);
            if spots.is_empty() {
                self.places.remove(&number);
            }
        }
    }

    /// Tells everybody who watches one of these, once.
    fn tell(&self, dirs: &[NodeId], event: &Event, wakes: &mut Vec<Waker>) {
        let mut heard = Vec::new();
        for watched in dirs.iter().filter_map(|dir| self.dirs.get(dir)) {
            for (watcher, queue) in &watched.watchers {
                if !heard.contains(watcher) {
                    heard.push(*watcher);
                    wakes.extend(queue.push(event.clone()));
                }
            }
        }
    }
}

/// Only directories have names to watch.
pub(super) fn check(dir: &NodeRef) -> Result<()> {
    if dir.kind() == Kind::Directory { Ok(()) } else { Err(Error::NotADirectory) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::{Next, Told, Watches, What};
    use crate::{Caller, MemFs, Name, NodeRef};

    /// A name is made while somebody begins to watch, before it is there or after.
    fn check(watch_first: bool) -> Vec<Next> {
        let (root, watches) = (MemFs::builder().build().root(), Watches::new());
        let (name, watcher) = (Name::new(b"f").expect("a plain name"), watches.watcher(10));
        let act = || {
            if watch_first {
                watcher.watch(&root).expect("the root is a directory");
            }
            let made = root.create(&Caller::ROOT, name, 0o644);
            if !watch_first {
                watcher.watch(&root).expect("the root is a directory");
            }
            made
        };
        let told = |node: &NodeRef| Told::Made { dir: root.id(), name, node: node.id(), kind: node.kind() };
        watches.telling(7, &[&root], act, told).expect("memory has room for a file");
        std::iter::from_fn(|| watcher.take()).collect()
    }

    #[test]
    fn what_began_before_watching_did_is_told_or_listed() {
        assert_eq!(check(false), [], "who listed it need not be told");
        let told = check(true);
        assert!(matches!(&told[..], [Next::Event(event)] if matches!(event.what, What::Created { .. })));
    }
}
