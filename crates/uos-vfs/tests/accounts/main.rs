//! What is on whose account: random histories against a naive model that adds up all there is, limits to the last byte,
//! and where bytes go when a file is copied up, restored or taken over.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod naive;
mod rules;

use naive::{Ino, Shown, Tree};
use proptest::prelude::*;
use std::rc::Rc;
use std::sync::Arc;
use uos_vfs::{
    Access, Account, Allocate, Caller, Error, Limit, MemFs, Name, NodeRef, OpenFile, Rename, SetXattr,
    Snapshot,
};

const ROOT: &Caller = &Caller::ROOT;
/// Nobody's, and three others.
const ACCOUNTS: usize = 4;
const XATTR: &[u8] = b"user.x";

#[derive(Clone, Debug)]
enum Step {
    Make(usize, String, char, u64),
    Remove(String),
    Rename(String, String, bool),
    Link(String, String),
    Open(String),
    Close(usize),
    Write(Via, u64, u64),
    Replace(Via, u64),
    Cut(Via, u64),
    Allocate(Via, u64, u64, usize),
    Mark(String, u64),
    Unmark(String),
    Snapshot,
    Forget(usize),
    Restore(usize),
    Fork(usize),
    Unfork(usize),
    Limit(usize, u64, u64),
    PassOn(usize, usize),
}

/// A file by its name or by one of the open ones.
#[derive(Clone, Debug)]
enum Via {
    Name(String),
    Open(usize),
}

fn name() -> impl Strategy<Value = String> {
    "[abcde]"
}

fn via() -> impl Strategy<Value = Via> {
    prop_oneof![3 => name().prop_map(Via::Name), 1 => any::<usize>().prop_map(Via::Open)]
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![4 => Just('f'), 1 => Just('d'), 1 => Just('l')];
    let any = any::<usize>;
    prop_oneof![
        8 => (0..ACCOUNTS, name(), kind, 1..60u64).prop_map(|(on, name, kind, len)| Step::Make(on, name, kind, len)),
        4 => name().prop_map(Step::Remove),
        3 => (name(), name(), prop::bool::weighted(0.3)).prop_map(|(from, to, swap)| Step::Rename(from, to, swap)),
        2 => (name(), name()).prop_map(|(from, to)| Step::Link(from, to)),
        3 => name().prop_map(Step::Open),
        2 => any().prop_map(Step::Close),
        6 => (via(), 0..500u64, 0..300u64).prop_map(|(at, from, len)| Step::Write(at, from, len)),
        2 => (via(), 0..400u64).prop_map(|(at, len)| Step::Replace(at, len)),
        3 => (via(), 0..600u64).prop_map(|(at, len)| Step::Cut(at, len)),
        3 => (via(), 0..500u64, 1..300u64, 0..5usize)
            .prop_map(|(at, from, len, how)| Step::Allocate(at, from, len, how)),
        2 => (name(), 0..90u64).prop_map(|(at, len)| Step::Mark(at, len)),
        1 => name().prop_map(Step::Unmark),
        2 => Just(Step::Snapshot),
        2 => any().prop_map(Step::Forget),
        1 => any().prop_map(Step::Restore),
        1 => any().prop_map(Step::Fork),
        1 => any().prop_map(Step::Unfork),
        1 => (1..ACCOUNTS, 0..1_500u64, 0..8u64).prop_map(|(on, bytes, nodes)| Step::Limit(on, bytes, nodes)),
        1 => (1..ACCOUNTS, 1..ACCOUNTS).prop_map(|(from, to)| Step::PassOn(from, to)),
    ]
}

struct World {
    fs: MemFs,
    root: NodeRef,
    accounts: Vec<Option<Account>>,
    open: Vec<(Rc<Ino>, Arc<dyn OpenFile>)>,
    snapshots: Vec<(Shown, Snapshot)>,
    forks: Vec<(Tree, MemFs)>,
    tree: Tree,
    /// To which account each leads, and what that may hold.
    heirs: [usize; ACCOUNTS],
    limits: [(u64, u64); ACCOUNTS],
}

fn named(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

impl World {
    fn new() -> World {
        let fs = MemFs::builder().build();
        World {
            root: fs.root(),
            fs,
            accounts: (0..ACCOUNTS).map(|on| (on > 0).then(|| Account::new(Limit::NONE))).collect(),
            open: Vec::new(),
            snapshots: Vec::new(),
            forks: Vec::new(),
            tree: Tree::new(),
            heirs: [0, 1, 2, 3],
            limits: [(u64::MAX, u64::MAX); ACCOUNTS],
        }
    }

    /// What the model says is on each account.
    fn sums(&self) -> Vec<(u64, u64)> {
        let forked = self.forks.iter().flat_map(|(tree, _)| tree.values());
        let open = self.open.iter().map(|(ino, _)| ino);
        let inos = self.tree.values().chain(forked).chain(open).map(Rc::clone);
        let shown = self.snapshots.iter().flat_map(|(shown, _)| shown.all());
        let by_maker = naive::sums(ACCOUNTS, inos, shown);
        let mut sums = vec![(0, 0); ACCOUNTS];
        for (maker, (bytes, nodes)) in by_maker.into_iter().enumerate() {
            let sum = &mut sums[self.heirs[maker]];
            *sum = (sum.0 + bytes, sum.1 + nodes);
        }
        sums
    }

    /// Whether so much more is too much for who pays for what is made on an account.
    fn is_over(&self, on: usize, bytes: u64, nodes: u64) -> bool {
        let pays = self.heirs[on];
        let ((held, there), (most, count)) = (self.sums()[pays], self.limits[pays]);
        bytes > 0 && held + bytes > most || nodes > 0 && there + nodes > count
    }

    fn check(&self) {
        let sums = self.sums();
        for (account, sum) in self.accounts.iter().zip(&sums).skip(1) {
            let used = account.as_ref().unwrap().used();
            assert_eq!((used.bytes, used.nodes), *sum, "of {sums:?}");
        }
        let all: u64 = sums.iter().map(|(bytes, _)| bytes).sum();
        assert_eq!(self.fs.used_bytes(), all, "what is on accounts and on none is all there is");
    }

    fn find(&self, via: &Via) -> Option<(Rc<Ino>, Arc<dyn OpenFile>)> {
        match via {
            Via::Open(_) if self.open.is_empty() => None,
            Via::Open(nth) => {
                let (ino, file) = &self.open[nth % self.open.len()];
                Some((Rc::clone(ino), Arc::clone(file)))
            }
            Via::Name(name) => {
                let ino = self.tree.get(name).filter(|ino| ino.is_file)?;
                let node = self.root.lookup(ROOT, named(name)).unwrap();
                Some((Rc::clone(ino), node.open(ROOT, Access::ReadWrite).unwrap()))
            }
        }
    }

    /// Changes a file, if its account has room for so much more; the model is told of what was done.
    fn change(
        &self,
        via: &Via,
        cost: impl FnOnce(&Ino) -> u64,
        act: impl FnOnce(&dyn OpenFile) -> Result<(), Error>,
        then: impl FnOnce(&Ino),
    ) {
        let Some((ino, file)) = self.find(via) else { return };
        let over = self.is_over(ino.account, cost(&ino), 0);
        match act(&*file) {
            Ok(()) => {
                assert!(!over, "this was too much");
                then(&ino);
            }
            Err(Error::QuotaExceeded { .. }) => assert!(over, "this was not too much"),
            Err(error) => panic!("{error}"),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Make(on, name, kind, len) => self.make(*on, name, *kind, *len),
            Step::Remove(name) => {
                let Some(ino) = self.tree.remove(name) else { return };
                let gone = if ino.is_dir {
                    self.root.rmdir(ROOT, named(name))
                } else {
                    self.root.unlink(ROOT, named(name))
                };
                gone.unwrap();
                ino.names.set(ino.names.get() - 1);
            }
            Step::Rename(from, to, swap) => self.rename(from, to, *swap),
            Step::Link(from, to) => {
                let Some(ino) = self.tree.get(from).filter(|ino| !ino.is_dir).cloned() else { return };
                if self.tree.contains_key(to) {
                    return;
                }
                let node = self.root.lookup(ROOT, named(from)).unwrap();
                let over = self.is_over(ino.account, 0, 1);
                match self.root.link(ROOT, named(to), &node) {
                    Ok(()) => assert!(!over),
                    Err(Error::QuotaExceeded { .. }) => return assert!(over),
                    Err(error) => panic!("{error}"),
                }
                ino.names.set(ino.names.get() + 1);
                self.tree.insert(to.clone(), ino);
            }
            Step::Open(name) => self.open.extend(self.find(&Via::Name(name.clone()))),
            Step::Close(nth) => drop(nth.checked_rem(self.open.len()).map(|nth| self.open.remove(nth))),
            Step::Write(via, from, len) => {
                let act = |file: &dyn OpenFile| file.write_at(*from, &vec![1; *len as usize]).map(drop);
                let cost = |ino: &Ino| if *len > 0 { ino.cost(from + len) } else { 0 };
                self.change(via, cost, act, |ino| {
                    if *len > 0 {
                        ino.write(*from, *len);
                    }
                });
            }
            Step::Replace(via, len) => {
                let act = |file: &dyn OpenFile| file.replace(&vec![1; *len as usize]);
                self.change(via, |ino| ino.cost_of_all(*len), act, |ino| ino.replace(*len));
            }
            Step::Cut(via, len) => {
                let cost = |ino: &Ino| {
                    let state = ino.state.borrow();
                    let shared = state.chunk.as_ref().filter(|chunk| Rc::strong_count(chunk) > 1);
                    if *len < state.len { shared.map_or(0, |chunk| (**chunk).min(*len)) } else { 0 }
                };
                self.change(via, cost, |file| file.set_len(*len), |ino| ino.cut(*len));
            }
            Step::Allocate(via, from, len, how) => self.allocate(via, *from, *len, *how),
            Step::Mark(name, len) => self.mark(name, Some(*len)),
            Step::Unmark(name) => self.mark(name, None),
            Step::Snapshot => {
                let open = self.open.iter().map(|(ino, _)| ino);
                self.snapshots.push((naive::show(&self.tree, open), self.fs.snapshot()));
            }
            Step::Forget(nth) => {
                drop(nth.checked_rem(self.snapshots.len()).map(|nth| self.snapshots.remove(nth)));
            }
            Step::Restore(nth) => {
                let Some(nth) = nth.checked_rem(self.snapshots.len()) else { return };
                let (shown, snapshot) = &self.snapshots[nth];
                self.fs.restore(snapshot).unwrap();
                self.tree.values().for_each(|ino| ino.names.set(ino.names.get() - 1));
                self.tree = naive::take_over(shown);
            }
            Step::Fork(nth) => {
                let Some(nth) = nth.checked_rem(self.snapshots.len()) else { return };
                let (shown, snapshot) = &self.snapshots[nth];
                let fork = snapshot.fork();
                // What it has is taken over when somebody looks.
                fork.root().read_dir(0, &mut |_| true).unwrap();
                self.forks.push((naive::take_over(shown), fork));
            }
            Step::Unfork(nth) => drop(nth.checked_rem(self.forks.len()).map(|nth| self.forks.remove(nth))),
            Step::Limit(on, bytes, nodes) => {
                self.limits[*on] = (*bytes, *nodes);
                self.accounts[*on].as_ref().unwrap().set_limit(Limit { bytes: *bytes, nodes: *nodes });
            }
            Step::PassOn(from, to) => {
                let [one, other] = [from, to].map(|on| self.accounts[*on].as_ref().unwrap());
                one.pass_on_to(other);
                let heir = self.heirs[*to];
                // Once each, and not in a circle.
                if self.heirs[*from] == *from && heir != *from {
                    self.heirs.iter_mut().filter(|leads| **leads == *from).for_each(|leads| *leads = heir);
                }
            }
        }
    }

    fn make(&mut self, on: usize, name: &str, kind: char, len: u64) {
        if self.tree.contains_key(name) {
            return;
        }
        let by = Caller::ROOT.paid_by(self.accounts[on].clone());
        let target = if kind == 'l' { len } else { 0 };
        let over = self.is_over(on, target, 1) && on > 0;
        let made = match kind {
            'd' => self.root.mkdir(&by, named(name), 0o755),
            'l' => self.root.symlink(&by, named(name), &vec![b'x'; len as usize]),
            _ => self.root.create(&by, named(name), 0o644),
        };
        match made {
            Ok(_) => {
                assert!(!over);
                self.tree.insert(name.to_owned(), Ino::new(on, kind, target));
            }
            Err(Error::QuotaExceeded { .. }) => assert!(over),
            Err(error) => panic!("{error}"),
        }
    }

    fn rename(&mut self, from: &str, to: &str, swap: bool) {
        let (Some(moved), there) = (self.tree.get(from).cloned(), self.tree.get(to).cloned()) else { return };
        let how = if swap { Rename::Exchange } else { Rename::Replace };
        if self.root.rename(ROOT, named(from), &self.root, named(to), how).is_err() {
            // One is a directory and the other is not, or there is nothing to exchange with.
            return;
        }
        if there.as_ref().is_some_and(|there| Rc::ptr_eq(there, &moved)) {
            return;
        }
        self.tree.remove(from);
        self.tree.insert(to.to_owned(), moved);
        match there {
            Some(there) if swap => drop(self.tree.insert(from.to_owned(), there)),
            Some(there) => there.names.set(there.names.get() - 1),
            None => {}
        }
    }

    fn allocate(&self, via: &Via, from: u64, len: u64, how: usize) {
        use Allocate::{Punch, Reserve, ReserveKeepingLength, Zero, ZeroKeepingLength};
        let how = [Reserve, ReserveKeepingLength, Punch, Zero, ZeroKeepingLength][how];
        let end = from + len;
        let cost = |ino: &Ino| match how {
            Punch => {
                // Both ends lie in the one chunk, and are asked for one by one.
                let state = ino.state.borrow();
                2 * state
                    .chunk
                    .as_ref()
                    .filter(|chunk| Rc::strong_count(chunk) > 1)
                    .map_or(0, |chunk| **chunk)
            }
            _ => ino.cost(end),
        };
        self.change(
            via,
            cost,
            |file| file.allocate(from, len, how),
            |ino| match how {
                Punch => ino.punch(from, end),
                _ => ino.reserve(end, matches!(how, Reserve | Zero), matches!(how, Zero | ZeroKeepingLength)),
            },
        );
    }

    /// Sets the attribute to so many bytes, or removes it.
    fn mark(&self, name: &str, len: Option<u64>) {
        let Some(ino) = self.tree.get(name).filter(|ino| ino.is_file || ino.is_dir) else { return };
        let node = self.root.lookup(ROOT, named(name)).unwrap();
        let bytes = len.map_or(0, |len| XATTR.len() as u64 + len);
        let over = self.is_over(ino.account, ino.cost_of_marks(bytes), 0);
        let marked = match len {
            Some(len) => node.set_xattr(ROOT, XATTR, &vec![2; len as usize], SetXattr::Any),
            None => node.remove_xattr(ROOT, XATTR),
        };
        match marked {
            Ok(()) => {
                assert!(!over);
                ino.mark(bytes);
            }
            Err(Error::NoAttribute) => assert!(len.is_none() && !ino.is_marked()),
            Err(Error::QuotaExceeded { .. }) => assert!(over),
            Err(error) => panic!("{error}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_on_each_account_is_the_sum_of_what_was_made_on_it(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in &steps {
            world.snapshots.iter_mut().for_each(|(shown, _)| shown.forget_the_dead());
            world.take(step);
            world.check();
        }
        // And nothing is left on any when all is gone.
        let accounts = world.accounts.clone();
        drop(world);
        for account in accounts.iter().flatten() {
            prop_assert_eq!(account.used(), uos_vfs::Used::default());
        }
    }
}
