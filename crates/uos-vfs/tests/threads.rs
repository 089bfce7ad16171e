//! Eight threads change one tree in memory at random; none may wait for ever, and afterwards the
//! tree must add up.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::{HashMap, HashSet};
use std::sync::mpsc;
use std::time::Duration;
use uos_vfs::{Access, Caller, Error, FileSystem, Kind, MemFs, Name, NodeRef, Rename};

const ROOT: &Caller = &Caller::ROOT;
const THREADS: u64 = 8;
/// Until then every thread is done, if none waits for ever.
const LONGEST: Duration = Duration::from_secs(1_200);

/// So many by each thread.
fn operations() -> u32 {
    std::env::var("UOS_CAMPAIGN_HAMMER").map_or(8_000, |text| text.parse().unwrap())
}

/// A small generator, so that every run does the same in each thread.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn name(&mut self) -> Vec<u8> {
        format!("n{}", self.roll(6)).into_bytes()
    }

    /// Some directory, by up to three random steps from the root.
    fn directory(&mut self, root: &NodeRef) -> NodeRef {
        let mut dir = root.clone();
        for _ in 0..self.roll(4) {
            match dir.lookup(ROOT, named(&self.name())) {
                Ok(node) if node.kind() == Kind::Directory => dir = node,
                _ => break,
            }
        }
        dir
    }
}

fn named(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

fn work(root: &NodeRef, seed: u64) {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15 ^ (seed + 1));
    let mut held: Vec<NodeRef> = Vec::new();
    for _ in 0..operations() {
        let (dir, name) = (dice.directory(root), dice.name());
        // Most of these fail, as they should; what counts is what is left at the end.
        match dice.roll(10) {
            0 | 1 => drop(dir.mkdir(ROOT, named(&name), 0o755)),
            2 => {
                if let Ok(node) = dir.create(ROOT, named(&name), 0o755) {
                    let size = dice.roll(5_000) as usize;
                    node.clone().open(ROOT, Access::Write).unwrap().append(&vec![1; size]).unwrap();
                    held.push(node);
                }
            }
            3 => drop(dir.unlink(ROOT, named(&name))),
            4 => drop(dir.rmdir(ROOT, named(&name))),
            5 => {
                if let Some(node) = held.get(dice.roll(held.len().max(1) as u64) as usize) {
                    let _ = dir.link(ROOT, named(&name), node);
                }
            }
            6..9 => {
                let (to_dir, to_name) = (dice.directory(root), dice.name());
                let how = match dice.roll(4) {
                    0 => Rename::Exchange,
                    1 => Rename::NoReplace,
                    _ => Rename::Replace,
                };
                let _ = dir.rename(ROOT, named(&name), &to_dir, named(&to_name), how);
            }
            _ => dir
                .read_dir(0, &mut |entry| {
                    // Asking back from within a listing must not wait for the listing.
                    dir.lookup(ROOT, entry.name).is_ok() || dir.attr().is_ok()
                })
                .unwrap(),
        }
        if held.len() > 20 {
            held.swap_remove(dice.roll(20) as usize);
        }
    }
}

/// What walking the whole tree finds.
#[derive(Default)]
struct Census {
    directories: HashSet<u64>,
    /// Names found of each file, and its size.
    files: HashMap<u64, (u64, u64, u64)>,
}

impl Census {
    /// In a loop: nobody knows how deep the threads have dug.
    fn take(&mut self, root: &NodeRef) {
        let mut left = vec![NodeRef::clone(root)];
        while let Some(dir) = left.pop() {
            self.take_directory(&dir, &mut left);
        }
    }

    fn take_directory(&mut self, dir: &NodeRef, left: &mut Vec<NodeRef>) {
        assert!(self.directories.insert(dir.id().ino), "a directory has two places in the tree");
        let mut subdirectories = 0;
        let mut names = Vec::new();
        dir.read_dir(0, &mut |entry| {
            names.push(entry.name.as_bytes().to_vec());
            true
        })
        .unwrap();
        assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
        for name in names {
            let node = dir.lookup(ROOT, named(&name)).unwrap();
            if node.kind() == Kind::Directory {
                subdirectories += 1;
                left.push(node);
            } else {
                let attr = node.attr().unwrap();
                self.files.entry(attr.id.ino).or_insert((0, attr.nlink, attr.size)).0 += 1;
            }
        }
        assert_eq!(dir.attr().unwrap().nlink, 2 + subdirectories);
    }
}

#[test]
fn a_tree_changed_by_eight_threads_adds_up() {
    let fs = MemFs::builder().build();
    let (done, finished) = mpsc::channel();
    for seed in 0..THREADS {
        let (root, done) = (fs.root(), done.clone());
        std::thread::spawn(move || {
            work(&root, seed);
            done.send(()).unwrap();
        });
    }
    drop(done);
    for _ in 0..THREADS {
        finished.recv_timeout(LONGEST).expect("a thread failed or waits for ever");
    }
    let mut census = Census::default();
    census.take(&fs.root());
    for (ino, (names, nlink, _)) in &census.files {
        assert_eq!(names, nlink, "names of {ino}");
    }
    let names: u64 = census.files.values().map(|(names, ..)| names).sum();
    let bytes: u64 = census.files.values().map(|(.., size)| size).sum();
    assert_eq!(fs.used_nodes(), census.directories.len() as u64 + names);
    assert_eq!(fs.used_bytes(), bytes);
    assert!(census.directories.len() > 1 && names > 1, "the threads left nothing to check");
}

#[test]
fn a_move_up_does_not_lock_against_a_removal_from_above() {
    let root = MemFs::builder().build().root();
    let dir = root.mkdir(ROOT, named(b"dir"), 0o755).unwrap();
    dir.create(ROOT, named(b"stays"), 0o755).unwrap();
    dir.create(ROOT, named(b"moves"), 0o755).unwrap();
    let (done, finished) = mpsc::channel();
    let (mover, moved) = ((root.clone(), dir), done.clone());
    std::thread::spawn(move || {
        let (root, dir) = mover;
        for _ in 0..20_000 {
            dir.rename(ROOT, named(b"moves"), &root, named(b"moves"), Rename::Replace).unwrap();
            root.rename(ROOT, named(b"moves"), &dir, named(b"moves"), Rename::Replace).unwrap();
        }
        moved.send(()).unwrap();
    });
    // Holds the upper directory and looks into the lower one, again and again.
    std::thread::spawn(move || {
        for _ in 0..40_000 {
            assert_eq!(root.rmdir(ROOT, named(b"dir")), Err(uos_vfs::Error::NotEmpty));
        }
        done.send(()).unwrap();
    });
    for _ in 0..2 {
        finished.recv_timeout(LONGEST).expect("a thread failed or waits for ever");
    }
}

#[test]
fn a_replaced_content_is_seen_whole() {
    let fs = MemFs::builder().build();
    let file = fs.root().create(ROOT, named(b"f"), 0o755).unwrap().open(ROOT, Access::ReadWrite).unwrap();
    let (one, two) = (vec![1u8; 100_000], vec![2u8; 70_000]);
    file.replace(&one).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..300 {
                file.replace(&two).unwrap();
                file.replace(&one).unwrap();
            }
        });
        for _ in 0..300 {
            let seen = file.read_bytes(0, usize::MAX).unwrap();
            assert!(seen == one || seen == two);
        }
    });
    assert_eq!(fs.used_bytes(), 100_000);
}

#[test]
fn a_capacity_holds_against_racing_writers() {
    let fs = MemFs::builder().capacity_bytes(10_000).build();
    let root = fs.root();
    let written: u64 = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|i| {
                let root = root.clone();
                scope.spawn(move || {
                    let file = root
                        .create(ROOT, named(&[b'a' + i as u8]), 0o755)
                        .unwrap()
                        .open(ROOT, Access::Write)
                        .unwrap();
                    (0..1_000).filter(|_| file.append(b"0123456").is_ok()).count() as u64 * 7
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!((written, fs.used_bytes()), (10_000 / 7 * 7, 10_000 / 7 * 7));
}

#[test]
fn a_deep_tree_falls_apart_without_a_deep_stack() {
    let fs = MemFs::builder().build();
    let mut dir = fs.root();
    for _ in 0..200_000 {
        dir = dir.mkdir(ROOT, named(b"d"), 0o755).unwrap();
    }
    assert_eq!(fs.used_nodes(), 200_001);
    drop((fs, dir));
}

#[test]
fn a_way_that_was_gone_counts_only_until_a_directory_moves() {
    let fs = MemFs::builder().build();
    fs.create_dir("/a/b").unwrap();
    fs.write("/a/b/file", "old").unwrap();
    let before = fs.snapshot();
    let read = || fs.read("/a/b/file");
    assert_eq!(read().unwrap(), b"old");
    // By another thread, which knows nothing of what this one remembers.
    let elsewhere = |act: &(dyn Fn() + Sync)| std::thread::scope(|scope| scope.spawn(act).join().unwrap());
    elsewhere(&|| fs.rename("/a/b", "/a/c").unwrap());
    assert_eq!(read(), Err(Error::NotFound));
    elsewhere(&|| {
        fs.create_dir("/a/b").unwrap();
        fs.write("/a/b/file", "new").unwrap();
    });
    assert_eq!(read().unwrap(), b"new");
    elsewhere(&|| fs.rename_with("/a/b", "/a/c", Rename::Exchange).unwrap());
    assert_eq!(read().unwrap(), b"old");
    elsewhere(&|| fs.rename("/a", "/x").unwrap());
    assert_eq!(read(), Err(Error::NotFound));
    elsewhere(&|| fs.restore(&before).unwrap());
    assert_eq!(read().unwrap(), b"old");
    elsewhere(&|| {
        fs.remove_dir_all("/a").unwrap();
        fs.symlink("/elsewhere", "/a").unwrap();
    });
    assert_eq!(read(), Err(Error::NotFound));
    drop(before);
    fs.delete("/a").unwrap();
    assert_eq!((fs.used_nodes(), fs.used_bytes()), (1, 0), "what is remembered holds nothing");
}
