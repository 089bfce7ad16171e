//! What a filesystem in memory holds, as plainly as it can be told: every piece that takes memory is counted by whoever
//! reaches it, and what is on an account is found by going through all of them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashSet};
use std::rc::{Rc, Weak};

/// Something that takes memory, shared by whoever has not changed it since.
pub(crate) type Piece = Rc<u64>;

#[derive(Clone, Default)]
pub(crate) struct State {
    pub(crate) len: u64,
    /// The one chunk of the file, with how much of it is stored.
    pub(crate) chunk: Option<Piece>,
    /// All extended attributes as one piece, and the length of the value of the only one.
    pub(crate) xattrs: Option<Piece>,
}

pub(crate) struct Ino {
    /// Which account it was made on; 0 for none.
    pub(crate) account: usize,
    pub(crate) is_dir: bool,
    pub(crate) is_file: bool,
    pub(crate) target: u64,
    pub(crate) names: Cell<u32>,
    pub(crate) state: RefCell<State>,
}

pub(crate) type Tree = BTreeMap<String, Rc<Ino>>;
/// What a snapshot shows: nodes, and what they were then.
#[derive(Default)]
pub(crate) struct Shown {
    tree: BTreeMap<String, (Rc<Ino>, State)>,
    /// What was open without a name keeps its past, too, but not beyond its life.
    nameless: Vec<(Weak<Ino>, State)>,
}

impl Ino {
    pub(crate) fn new(account: usize, kind: char, target: u64) -> Rc<Ino> {
        Rc::new(Ino {
            account,
            is_dir: kind == 'd',
            is_file: kind == 'f',
            target,
            names: Cell::new(1),
            state: RefCell::default(),
        })
    }

    /// One that is taken over as it was.
    fn again(&self, then: &State) -> Rc<Ino> {
        let ino = Ino::new(self.account, 'f', self.target);
        let ino = Ino { is_dir: self.is_dir, is_file: self.is_file, ..Rc::into_inner(ino).unwrap() };
        *ino.state.borrow_mut() = then.clone();
        Rc::new(ino)
    }

    /// What `change` takes first: all of it where the chunk is shared.
    pub(crate) fn cost(&self, end: u64) -> u64 {
        match &self.state.borrow().chunk {
            None => end,
            Some(chunk) if Rc::strong_count(chunk) > 1 => (**chunk).max(end),
            Some(chunk) => end.saturating_sub(**chunk),
        }
    }

    pub(crate) fn cost_of_all(&self, len: u64) -> u64 {
        let state = self.state.borrow();
        let own =
            state.chunk.as_ref().filter(|chunk| Rc::strong_count(chunk) == 1).map_or(0, |chunk| **chunk);
        len.saturating_sub(own)
    }

    pub(crate) fn write(&self, offset: u64, len: u64) {
        let mut state = self.state.borrow_mut();
        state.store(offset + len);
        state.len = state.len.max(offset + len);
    }

    pub(crate) fn replace(&self, len: u64) {
        let mut state = self.state.borrow_mut();
        (state.len, state.chunk) = (len, (len > 0).then(|| Rc::new(len)));
    }

    pub(crate) fn cut(&self, len: u64) {
        let mut state = self.state.borrow_mut();
        if len < state.len {
            state.keep(len);
        }
        state.len = len;
    }

    pub(crate) fn punch(&self, start: u64, end: u64) {
        let mut state = self.state.borrow_mut();
        match state.chunk.as_deref().copied() {
            Some(stored) if end < stored => state.store(0),
            Some(_) => state.keep(start),
            None => {}
        }
    }

    pub(crate) fn reserve(&self, end: u64, grows: bool, zeroes: bool) {
        let mut state = self.state.borrow_mut();
        let stored = state.chunk.as_deref().copied().unwrap_or(0);
        if stored < end || zeroes {
            state.store(end);
        }
        if grows {
            state.len = state.len.max(end);
        }
    }

    pub(crate) fn is_marked(&self) -> bool {
        self.state.borrow().xattrs.as_deref().is_some_and(|bytes| *bytes > 0)
    }

    /// What others see of the old ones stays; else they make room for the new.
    pub(crate) fn cost_of_marks(&self, bytes: u64) -> u64 {
        let state = self.state.borrow();
        let own = state.xattrs.as_ref().filter(|old| Rc::strong_count(old) == 1).map_or(0, |old| **old);
        bytes.saturating_sub(own)
    }

    pub(crate) fn mark(&self, bytes: u64) {
        self.state.borrow_mut().xattrs = Some(Rc::new(bytes));
    }
}

impl State {
    /// A chunk of its own that reaches to the end.
    fn store(&mut self, end: u64) {
        let stored = self.chunk.as_deref().copied().unwrap_or(0);
        self.chunk = Some(Rc::new(stored.max(end)));
    }

    /// Nothing is stored after that.
    fn keep(&mut self, len: u64) {
        let stored = self.chunk.as_deref().copied().unwrap_or(0);
        if len < stored {
            self.chunk = (len > 0).then(|| Rc::new(len));
        }
    }
}

pub(crate) fn show<'a>(tree: &Tree, open: impl Iterator<Item = &'a Rc<Ino>>) -> Shown {
    let then = |ino: &Rc<Ino>| ino.state.borrow().clone();
    let nameless = open.filter(|ino| ino.names.get() == 0);
    Shown {
        tree: tree.iter().map(|(name, ino)| (name.clone(), (Rc::clone(ino), then(ino)))).collect(),
        nameless: nameless.map(|ino| (Rc::downgrade(ino), then(ino))).collect(),
    }
}

impl Shown {
    pub(crate) fn forget_the_dead(&mut self) {
        self.nameless.retain(|(ino, _)| ino.strong_count() > 0);
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Rc<Ino>, State)> {
        let nameless = self.nameless.iter().filter_map(|(ino, then)| Some((ino.upgrade()?, then.clone())));
        self.tree.values().cloned().chain(nameless)
    }
}

/// A tree of its own that begins as what is shown. Names of one file stay that.
pub(crate) fn take_over(shown: &Shown) -> Tree {
    let mut taken: Vec<(*const Ino, Rc<Ino>)> = Vec::new();
    let mut tree = Tree::new();
    for (name, (ino, then)) in &shown.tree {
        let known = taken.iter().find(|(was, _)| *was == Rc::as_ptr(ino)).map(|(_, is)| Rc::clone(is));
        let is = match known {
            Some(is) => {
                is.names.set(is.names.get() + 1);
                is
            }
            None => {
                let is = ino.again(then);
                taken.push((Rc::as_ptr(ino), Rc::clone(&is)));
                is
            }
        };
        tree.insert(name.clone(), is);
    }
    tree
}

/// What is on each account: bytes and nodes.
pub(crate) fn sums(
    accounts: usize,
    inos: impl Iterator<Item = Rc<Ino>>,
    shown: impl Iterator<Item = (Rc<Ino>, State)>,
) -> Vec<(u64, u64)> {
    let mut sums = vec![(0, 0); accounts];
    let (mut nodes, mut pieces) = (HashSet::new(), HashSet::new());
    let states = inos.map(|ino| (ino, State::default())).chain(shown);
    for (ino, then) in states {
        let sum = &mut sums[ino.account];
        if nodes.insert(Rc::as_ptr(&ino)) {
            // A node with its first name, or none, and each further name.
            *sum = (sum.0 + ino.target, sum.1 + u64::from(ino.names.get().max(1)));
        }
        let now = ino.state.borrow().clone();
        for piece in [now.chunk, now.xattrs, then.chunk, then.xattrs].into_iter().flatten() {
            if pieces.insert(Rc::as_ptr(&piece)) {
                sum.0 += *piece;
            }
        }
    }
    sums
}
