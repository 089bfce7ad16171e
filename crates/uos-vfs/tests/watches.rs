//! Watches: what is told, in which order, and that nothing is missed without a word.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use uos_vfs::watch::{Next, Spot, Watcher, Watches, What};
use uos_vfs::{
    As, Caller, Error, FileSystem, Kind, LocalFs, MemFs, MountOptions, Mounts, Name, NodeId, NodeRef,
    OpenOptions, Rename, SetXattr,
};

/// In memory and on the host: a tree whose changes are told.
fn everywhere(check: impl Fn(&Mounts, &Watches)) {
    let dir = tempfile::tempdir().unwrap();
    for root in [MemFs::builder().build().root(), LocalFs::open(dir.path(), false).unwrap().root()] {
        let watches = Watches::new();
        check(&Mounts::with(root, MountOptions::default().watches(&watches)).unwrap(), &watches);
    }
}

fn heard(watcher: &Watcher) -> Vec<(What, u64)> {
    std::iter::from_fn(|| watcher.take())
        .map(|next| match next {
            Next::Event(event) => (event.what, event.tag),
            Next::Overflow => panic!("there was room"),
        })
        .collect()
}

fn what(watcher: &Watcher) -> Vec<What> {
    heard(watcher).into_iter().map(|(what, _)| what).collect()
}

fn spot(dir: NodeId, name: &str) -> Spot {
    Spot { dir, name: name.into() }
}

fn named(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

#[test]
fn every_kind_of_change_is_told_with_its_names() {
    everywhere(|mounts, watches| {
        mounts.create_dir("/d/sub").unwrap();
        mounts.create_dir("/e").unwrap();
        mounts.write("/d/old", "x").unwrap();
        let watcher = watches.watcher(1_000);
        let dir = watcher.watch(&mounts.node("/d").unwrap()).unwrap();
        let id = |path: &str| mounts.symlink_metadata(path).unwrap().id;
        let at = |name: &str| spot(dir, name);
        let made = |name: &str, kind| What::Created { at: at(name), node: id(&format!("/d/{name}")), kind };
        mounts.create("/d/f", 0o644).unwrap();
        assert_eq!(what(&watcher), [made("f", Kind::File)]);
        mounts.write("/d/f", "text").unwrap();
        mounts.append("/d/old", "y").unwrap();
        mounts.truncate("/d/f", 1).unwrap();
        let modified = |name: &str| What::Modified { at: at(name) };
        assert_eq!(what(&watcher), [modified("f"), modified("old"), modified("f")]);
        mounts.set_permissions("/d/f", 0o600).unwrap();
        mounts.set_xattr("/d/old", "user.a", "1", SetXattr::Any).unwrap();
        mounts.set_permissions("/d", 0o700).unwrap();
        let attributes = |name: &str| What::Attributes { at: at(name) };
        assert_eq!(what(&watcher), [attributes("f"), attributes("old"), attributes("")]);
        mounts.symlink("f", "/d/l").unwrap();
        mounts.make_dir("/d/m", 0o755).unwrap();
        mounts.hard_link("/d/f", "/d/h").unwrap();
        assert_eq!(
            what(&watcher),
            [made("l", Kind::Symlink), made("m", Kind::Directory), made("h", Kind::File)]
        );
        mounts.append("/d/h", "z").unwrap();
        let both: BTreeSet<_> = what(&watcher).into_iter().map(|what| format!("{what:?}")).collect();
        assert_eq!(both, [modified("f"), modified("h")].map(|what| format!("{what:?}")).into());
        mounts.rename("/d/f", "/d/g").unwrap();
        mounts.rename_with("/d/g", "/d/old", Rename::Exchange).unwrap();
        mounts.rename("/d/g", "/d/h").unwrap();
        assert_eq!(
            what(&watcher),
            [
                What::Renamed { from: at("f"), to: at("g") },
                What::Exchanged { one: at("g"), other: at("old") },
                What::Renamed { from: at("g"), to: at("h") },
            ]
        );
        mounts.rename("/d/h", "/e/away").unwrap();
        mounts.rename("/e/away", "/d/back").unwrap();
        let away = spot(id("/e"), "away");
        assert_eq!(
            what(&watcher),
            [What::Renamed { from: at("h"), to: away.clone() }, What::Renamed { from: away, to: at("back") },]
        );
        mounts.delete("/d/back").unwrap();
        mounts.remove_dir("/d/m").unwrap();
        assert_eq!(what(&watcher), ["back", "m"].map(|name| What::Deleted { at: at(name) }));
        // What is refused, what does nothing and what lies deeper is not told.
        assert!(mounts.create("/d/old", 0o644).is_err() && mounts.delete("/d/none").is_err());
        mounts.write("/d/sub/deep", "").unwrap();
        mounts.write("/e/other", "").unwrap();
        mounts.read("/d/old").unwrap();
        mounts.rename("/d/old", "/d/old").unwrap();
        mounts.hard_link("/d/old", "/e/old too").unwrap();
        mounts.rename("/d/old", "/e/old too").unwrap();
        assert_eq!(what(&watcher), []);
    });
}

#[test]
fn a_file_is_told_of_by_the_name_it_has() {
    everywhere(|mounts, watches| {
        mounts.write("/f", "").unwrap();
        mounts.create_dir("/d").unwrap();
        let file = mounts.open("/f", &OpenOptions::write_only()).unwrap();
        let watcher = watches.watcher(100);
        let root = watcher.watch(&mounts.node("/").unwrap()).unwrap();
        let dir = watcher.watch(&mounts.node("/d").unwrap()).unwrap();
        file.handle().append(b"1").unwrap();
        mounts.rename("/f", "/d/g").unwrap();
        file.handle().append(b"2").unwrap();
        mounts.delete("/d/g").unwrap();
        file.handle().append(b"3").unwrap();
        assert_eq!(
            what(&watcher),
            [
                What::Modified { at: spot(root, "f") },
                What::Renamed { from: spot(root, "f"), to: spot(dir, "g") },
                What::Modified { at: spot(dir, "g") },
                What::Deleted { at: spot(dir, "g") },
            ],
            "each once, also to one who watches both directories"
        );
    });
}

#[test]
fn whoever_changes_something_is_known_by_their_tag() {
    everywhere(|mounts, watches| {
        let watcher = watches.watcher(100);
        watcher.watch(&mounts.node("/").unwrap()).unwrap();
        let ada = As::new(mounts, Caller { tag: 41, ..Caller::ROOT });
        let file = ada.open("/f", &OpenOptions::write_only().create(0o644)).unwrap();
        let bob = As::new(mounts, Caller { tag: 42, ..Caller::ROOT });
        bob.set_permissions("/f", 0o600).unwrap();
        file.handle().append(b"x").unwrap();
        bob.rename("/f", "/g").unwrap();
        ada.delete("/g").unwrap();
        let tags: Vec<u64> = heard(&watcher).into_iter().map(|(_, tag)| tag).collect();
        assert_eq!(tags, [41, 42, 41, 42, 41]);
    });
}

#[test]
fn who_is_slow_is_told_that_something_is_missing() {
    everywhere(|mounts, watches| {
        let (slow, quick) = (watches.watcher(3), watches.watcher(1_000));
        for watcher in [&slow, &quick] {
            watcher.watch(&mounts.node("/").unwrap()).unwrap();
        }
        for nth in 0..10 {
            mounts.create(format!("/{nth}"), 0o644).unwrap();
        }
        assert_eq!(heard(&quick).len(), 10, "others are not held up");
        let first: Vec<_> = std::iter::from_fn(|| slow.take()).collect();
        assert_eq!(first.len(), 4);
        assert!(first[..3].iter().all(|next| matches!(next, Next::Event(_))) && first[3] == Next::Overflow);
        mounts.delete("/5").unwrap();
        assert_eq!(heard(&slow).len(), 1, "and then it goes on");
    });
}

#[test]
fn watching_ends_when_asked_for_and_with_the_directory() {
    everywhere(|mounts, watches| {
        mounts.create_dir("/d").unwrap();
        mounts.create_dir("/e").unwrap();
        let watcher = watches.watcher(10);
        let dir = watcher.watch(&mounts.node("/d").unwrap()).unwrap();
        watcher.watch(&mounts.node("/d").unwrap()).unwrap();
        let other = watcher.watch(&mounts.node("/e").unwrap()).unwrap();
        assert_eq!(format!("{watches:?}"), "Watches { directories: 2 }");
        mounts.remove_dir("/d").unwrap();
        assert_eq!(what(&watcher), [What::Removed { dir }]);
        assert_eq!(watcher.unwatch(dir), Err(Error::NotFound));
        watcher.unwatch(other).unwrap();
        mounts.create("/e/f", 0o644).unwrap();
        assert_eq!(what(&watcher), []);
        assert_eq!(watcher.watch(&mounts.node("/e/f").unwrap()), Err(Error::NotADirectory));
        watcher.watch(&mounts.node("/e").unwrap()).unwrap();
        drop(watcher);
        assert_eq!(format!("{watches:?}"), "Watches { directories: 0 }");
    });
}

#[test]
fn a_filesystem_alone_can_be_watched() {
    let (fs, watches) = (MemFs::builder().build(), Watches::new());
    let root = watches.over(fs.root());
    let watcher = watches.watcher(10);
    let id = watcher.watch(&root).unwrap();
    root.create(&Caller::ROOT, named("f"), 0o644).unwrap();
    fs.root().create(&Caller::ROOT, named("unseen"), 0o644).unwrap();
    let made: Vec<_> = what(&watcher);
    assert!(matches!(&made[..], [What::Created { at, .. }] if *at == spot(id, "f")));
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn waiting_takes_no_thread() {
    everywhere(|mounts, watches| {
        let watcher = watches.watcher(10);
        watcher.watch(&mounts.node("/").unwrap()).unwrap();
        let flag = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut cx = Context::from_waker(&waker);
        let mut next = pin!(watcher.next());
        assert!(next.as_mut().poll(&mut cx).is_pending() && !flag.0.load(Ordering::SeqCst));
        mounts.create("/f", 0o644).unwrap();
        assert!(flag.0.load(Ordering::SeqCst), "woken");
        assert!(matches!(next.as_mut().poll(&mut cx), Poll::Ready(Next::Event(_))));
    });
}

/// Keeps a set of names by events alone, and by listing when told that something is missing.
struct Mirror {
    dir: NodeRef,
    names: BTreeSet<Vec<u8>>,
    lists: u32,
    /// It has watched from before the first change: each event must fit what is known.
    strict: bool,
}

impl Mirror {
    fn new(dir: NodeRef, strict: bool) -> Self {
        let mut mirror = Mirror { dir, names: BTreeSet::new(), lists: 0, strict };
        mirror.list();
        mirror
    }

    fn list(&mut self) {
        self.names.clear();
        let names = &mut self.names;
        let add = &mut |entry: uos_vfs::DirEntry<'_>| {
            names.insert(entry.name.as_bytes().to_vec());
            true
        };
        self.dir.read_dir(0, add).unwrap();
        self.lists += 1;
    }

    fn add(&mut self, at: &Spot, free: bool) {
        if at.dir == self.dir.id() {
            let fits = self.names.insert(at.name.clone()) || !free;
            assert!(fits || !self.strict, "{at:?} is told to be new and was there");
        }
    }

    fn remove(&mut self, at: &Spot) {
        if at.dir == self.dir.id() {
            let fits = self.names.remove(&at.name);
            assert!(fits || !self.strict, "{at:?} is told to be gone and was not there");
        }
    }

    fn take(&mut self, next: Next) {
        let Next::Event(event) = next else { return self.list() };
        match event.what {
            What::Created { at, .. } => self.add(&at, true),
            What::Deleted { at } => self.remove(&at),
            What::Renamed { from, to } => {
                self.remove(&from);
                self.add(&to, false);
            }
            _ => {}
        }
    }
}

/// Several threads change names in two directories; who watches one of them, from before it begins or from somewhere in the
/// middle on, must come to know exactly the names that are there at the end.
fn follow(root: NodeRef, seed: u64, capacity: usize, strict: bool, changes: u32) -> u32 {
    let watches = Watches::new();
    let mounts = Mounts::with(root, MountOptions::default().watches(&watches)).unwrap();
    mounts.create_dir("/d").unwrap();
    mounts.create_dir("/e").unwrap();
    let (done, begin) = (AtomicBool::new(false), std::sync::Barrier::new(5));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4u64)
            .map(|thread| {
                let (mounts, begin) = (&mounts, &begin);
                scope.spawn(move || {
                    let mut dice = 0x9E37_79B9_7F4A_7C15 ^ (seed * 4 + thread + 1);
                    let mut roll = |sides: u64| {
                        dice ^= dice << 13;
                        dice ^= dice >> 7;
                        dice ^= dice << 17;
                        dice % sides
                    };
                    begin.wait();
                    for _ in 0..changes {
                        let mut path = || format!("/{}/{}", ["d", "d", "e"][roll(3) as usize], roll(3));
                        let (from, to) = (path(), path());
                        let _ = match roll(5) {
                            0 => mounts.create(from, 0o644),
                            1 => mounts.delete(from),
                            2 => mounts.hard_link(from, to),
                            3 => mounts.rename(from, to),
                            _ => mounts.rename_with(from, to, Rename::Exchange),
                        };
                    }
                })
            })
            .collect();
        let follower = scope.spawn(|| {
            let (watcher, dir) = (watches.watcher(capacity), mounts.node("/d").unwrap());
            if !strict {
                begin.wait();
            }
            watcher.watch(&dir).unwrap();
            let mut mirror = Mirror::new(dir, strict);
            if strict {
                begin.wait();
            }
            loop {
                let over = done.load(Ordering::SeqCst);
                while let Some(next) = watcher.take() {
                    mirror.take(next);
                }
                if over {
                    return mirror;
                }
                std::thread::yield_now();
            }
        });
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        done.store(true, Ordering::SeqCst);
        let mut mirror = follower.join().unwrap();
        let (by_events, lists) = (mirror.names.clone(), mirror.lists);
        mirror.list();
        assert_eq!(by_events, mirror.names);
        lists
    })
}

#[test]
fn events_come_in_the_order_of_the_changes() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    assert_eq!(follow(LocalFs::open(dir.path(), false).unwrap().root(), 1, 1 << 20, true, 1_500), 1);
    for seed in 0..20 {
        let lists = follow(MemFs::builder().build().root(), seed, 1 << 20, true, 2_000);
        assert_eq!(lists, 1, "there was room for all");
    }
}

#[test]
fn who_begins_in_the_middle_misses_nothing() {
    for seed in 0..800 {
        assert_eq!(follow(MemFs::builder().build().root(), seed, 1 << 20, false, 40), 1);
    }
}

#[test]
fn who_is_slow_knows_every_name_in_the_end() {
    for seed in 0..20 {
        follow(MemFs::builder().build().root(), seed, 5, false, 1_000);
    }
}
