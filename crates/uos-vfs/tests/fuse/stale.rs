//! What the host knows and keeps for ten minutes, and what it has to be told to forget.

use super::{named, unmount};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uos_vfs::fuse::{Mount, Options, View};
use uos_vfs::watch::Watches;
use uos_vfs::{FileSystem, MemFs, MountOptions, Mounts};

const LONG: Duration = Duration::from_secs(600);

/// A tree whose changes are told, and whether the host hears of them.
struct Changing {
    mounts: Arc<Mounts>,
    mount: Mount,
    dir: tempfile::TempDir,
}

fn tree() -> (Watches, Arc<Mounts>) {
    let watches = Watches::new();
    let options = MountOptions::default().watches(&watches);
    (watches, Arc::new(Mounts::with(MemFs::builder().build().root(), options).unwrap()))
}

impl Changing {
    fn new(is_heard: bool, options: impl Fn(Options) -> Options) -> Self {
        let (watches, mounts) = tree();
        let dir = tempfile::tempdir().unwrap();
        let shown = Mount::options().whole(View::of(mounts.node("/").unwrap())).ttl(LONG);
        let shown = if is_heard { shown.watches(&watches) } else { shown };
        let mount = options(shown).start(dir.path()).expect("FUSE, and the right to mount, are there");
        Changing { mounts, mount, dir }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.dir.path().join(path)
    }
}

/// It is told behind the change, so it is waited for; what never comes fails.
fn comes(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the host was never told: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Has the host know all there is.
fn look(there: &Changing) {
    assert_eq!(fs::read(there.at("d/f")).unwrap(), b"before");
    assert_eq!(fs::metadata(there.at("d/g")).unwrap().nlink(), 2);
    assert_eq!(names(&there.at("d")), ["e", "f", "g"]);
    assert_eq!(fs::read_link(there.at("l")).unwrap(), Path::new("d/f"));
}

fn fill(there: &Changing) {
    there.mounts.create_dir("/d/e").unwrap();
    there.mounts.write("/d/f", "before").unwrap();
    there.mounts.hard_link("/d/f", "/d/g").unwrap();
    there.mounts.symlink("d/f", "/l").unwrap();
}

#[test]
fn untold_the_host_shows_what_was() {
    let there = Changing::new(false, |options| options);
    fill(&there);
    look(&there);
    there.mounts.write("/d/f", "after that").unwrap();
    there.mounts.delete("/d/g").unwrap();
    assert_eq!(fs::read(there.at("d/f")).unwrap(), b"before", "or the other tests show nothing");
    assert_eq!(fs::metadata(there.at("d/g")).unwrap().nlink(), 2);
}

#[test]
fn whatever_changes_behind_the_host_it_is_told() {
    for opens in [false, true] {
        let there = Changing::new(true, |options| if opens { options } else { options.without_opens() });
        fill(&there);
        look(&there);
        there.mounts.write("/d/f", "after that").unwrap();
        comes("content", || fs::read(there.at("d/f")).unwrap() == b"after that");
        comes("length", || fs::metadata(there.at("d/g")).unwrap().len() == 10);
        there.mounts.set_permissions("/d/f", 0o604).unwrap();
        comes("mode", || fs::metadata(there.at("d/f")).unwrap().permissions().mode() & 0o777 == 0o604);
        there.mounts.delete("/d/g").unwrap();
        comes("a name less", || !there.at("d/g").exists());
        comes("a link less", || fs::metadata(there.at("d/f")).unwrap().nlink() == 1);
        there.mounts.write("/d/new", "new").unwrap();
        comes("a name more", || names(&there.at("d")) == ["e", "f", "new"]);
        there.mounts.rename("/d/new", "/d/f").unwrap();
        comes("replaced", || fs::read(there.at("d/f")).unwrap() == b"new");
        comes("moved", || names(&there.at("d")) == ["e", "f"]);
        there.mounts.remove_dir("/d/e").unwrap();
        comes("a directory less", || fs::metadata(there.at("d")).unwrap().nlink() == 2);
        there.mounts.delete("/l").unwrap();
        there.mounts.symlink("elsewhere", "/l").unwrap();
        comes("another link", || fs::read_link(there.at("l")).unwrap() == Path::new("elsewhere"));
        assert!(unmount(there.mount));
    }
}

#[test]
fn views_see_what_is_done_in_each_other() {
    let (watches, mounts) = tree();
    mounts.write("/f", "before").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mount = Mount::options().ttl(LONG).watches(&watches).start(dir.path()).unwrap();
    for name in ["one", "two"] {
        mount.add_view(named(name), View::of(mounts.node("/").unwrap())).unwrap();
    }
    let [one, two] = ["one", "two"].map(|name| dir.path().join(name));
    assert_eq!(fs::read(two.join("f")).unwrap(), b"before");
    assert_eq!(names(&two), ["f"]);
    fs::write(one.join("f"), "after that").unwrap();
    fs::write(one.join("g"), "").unwrap();
    comes("content", || fs::read(two.join("f")).unwrap() == b"after that");
    comes("names", || names(&two) == ["f", "g"]);
    fs::rename(two.join("g"), two.join("h")).unwrap();
    comes("moved", || !one.join("g").exists() && one.join("h").exists());
    mount.remove_view(named("one")).unwrap();
    fs::write(two.join("f"), "alone").unwrap();
    assert!(unmount(mount));
}

#[test]
fn more_than_can_be_told_one_by_one_is_forgotten_as_a_whole() {
    let there = Changing::new(true, |options| options.threads(1));
    fill(&there);
    look(&there);
    // Far faster than the host takes it.
    for at in 0..100_000 {
        let path = format!("/d/{at}");
        there.mounts.create(&path, 0o644).unwrap();
        there.mounts.delete(&path).unwrap();
    }
    there.mounts.write("/d/f", "after that").unwrap();
    comes("content", || fs::read(there.at("d/f")).unwrap() == b"after that");
    comes("names", || names(&there.at("d")) == ["e", "f", "g"]);
}

/// Telling the host takes locks that it holds while it waits for us.
#[test]
fn both_sides_at_once_hold_nobody_up() {
    let there = Changing::new(true, |options| options.threads(2));
    for dir in 0..4 {
        there.mounts.create_dir(format!("/{dir}")).unwrap();
    }
    let ours_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ours: Vec<_> = (0..2)
            .map(|us| {
                let mounts = &there.mounts;
                scope.spawn(move || {
                    for round in 0..1_500 {
                        let (from, to) =
                            (format!("/{}/ours{us}", round % 4), format!("/{}/moved{us}", round % 3));
                        mounts.write(&from, round.to_string()).unwrap();
                        mounts.rename(&from, &to).unwrap();
                        let _ = mounts.delete(format!("/{}/theirs{us}", round % 4));
                        if round % 5 == 0 {
                            // Unless they were before us.
                            let _ = mounts.delete(&to);
                        }
                    }
                })
            })
            .collect();
        for them in 0..2 {
            let (there, ours_done) = (&there, &ours_done);
            scope.spawn(move || {
                let mut round = 0;
                while !ours_done.load(Ordering::SeqCst) {
                    round += 1;
                    let dir = there.at(&(round % 4).to_string());
                    let _ = fs::write(dir.join(format!("theirs{them}")), round.to_string());
                    let _ = fs::rename(dir.join(format!("theirs{them}")), dir.join(format!("kept{them}")));
                    let _ = fs::read(dir.join(format!("moved{them}")));
                    let _ = fs::remove_file(dir.join(format!("moved{them}")));
                    let _ = names(&dir);
                }
            });
        }
        let ended: Vec<_> = ours.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        // Before anything fails: they would go on for ever.
        ours_done.store(true, Ordering::SeqCst);
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    let ours = || -> BTreeMap<String, Vec<u8>> {
        let list =
            |dir: u32| there.mounts.list_dir(format!("/{dir}")).unwrap().into_iter().map(move |it| (dir, it));
        let path =
            |(dir, it): (u32, uos_vfs::Entry)| format!("/{dir}/{}", String::from_utf8(it.name).unwrap());
        (0..4).flat_map(list).map(path).map(|path| (path.clone(), there.mounts.read(path).unwrap())).collect()
    };
    let theirs = || -> BTreeMap<String, Vec<u8>> {
        let list =
            |dir: u32| names(&there.at(&dir.to_string())).into_iter().map(move |it| format!("/{dir}/{it}"));
        (0..4).flat_map(list).map(|path| (path.clone(), fs::read(there.at(&path[1..])).unwrap())).collect()
    };
    comes("all of it", || ours() == theirs());
    assert!(unmount(there.mount));
}
