//! RemoveDirectory: what goes, what stays, and who may.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::{
    collections::BTreeSet,
    os::unix::fs::symlink,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use common::{Log, World, exists, mkdir, mount, remove, write};
use proptest::prelude::*;
use uos_proc::LinuxSpawner;
use uos_proto::v1;
use uos_syscall::{Cause, Errno, Event, FileChange, Observer, namespace};
use uos_vfs::{Caller, How, Name, NodeRef, Rename};

const OPEN: &[&str] = &["fs.read:/data/**", "fs.write:/data/**", "fs.read:/home/**", "fs.write:/home/**"];
const ROOT: &Caller = &Caller::ROOT;

fn named(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

fn node(world: &World, path: &str) -> NodeRef {
    let how = How { follow_last: false, ..How::privileged() };
    world.kernel.mounts().resolve(path.as_bytes(), &how).unwrap().node.unwrap()
}

#[tokio::test]
async fn an_empty_directory_goes_and_nothing_else_does() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    for base in ["/home/t", "/data/t"] {
        let at = |name: &str| format!("{base}{name}");
        let mkdir = |path| v1::CreateDirectory { path, parents: true, ..Default::default() };
        world.call(&agent, mkdir(at("/empty"))).await.unwrap();
        world.call(&agent, mkdir(at("/full"))).await.unwrap();
        world.call(&agent, write(&at("/full/f"), "")).await.unwrap();
        node(&world, base).symlink(ROOT, named(b"link"), b"empty").unwrap();
        log.changes(&agent);
        for (name, recursive, errno) in [
            ("/full", false, Errno::ENOTEMPTY),
            ("/none", false, Errno::ENOENT),
            ("/none", true, Errno::ENOENT),
            ("/none/x", true, Errno::ENOENT),
            ("/full/f", false, Errno::ENOTDIR),
            ("/full/f", true, Errno::ENOTDIR),
            ("/link", false, Errno::ENOTDIR),
            ("/link/", true, Errno::ENOTDIR),
            ("/empty/.", false, Errno::EINVAL),
            ("/empty/..", true, Errno::EINVAL),
            ("/empty/../", true, Errno::EINVAL),
        ] {
            assert_eq!(world.errno(&agent, remove(&at(name), recursive)).await, errno, "{base}{name}");
        }
        assert_eq!(log.changes(&agent), []);
        world.call(&agent, remove(&at("/empty//"), false)).await.unwrap();
        assert_eq!(log.changes(&agent), [(FileChange::Removed, at("/empty"), true)]);
        assert!(world.call(&agent, exists(&at("/full/f"))).await.unwrap().exists);
    }
    for path in ["", "/usr/none"] {
        world.set_grants(&agent, &["fs.write:/**", "fs.read:/**"]);
        assert_eq!(world.errno(&agent, remove(path, true)).await, Errno::ENOENT);
    }
    let games = ["/usr/share", "/usr/lib"].into_iter().find(|path| std::path::Path::new(path).is_dir());
    assert_eq!(world.errno(&agent, remove(games.unwrap(), true)).await, Errno::EROFS);
}

#[tokio::test]
async fn all_of_it_must_be_the_callers_to_write() {
    let world = World::start();
    world.put("d/sub/f", "");
    for (grants, right) in [
        (&["fs.write:/data/d"][..], "fs.write:/data/d/**"),
        (&["fs.write:/data/*", "fs.write:/data/d/*", "fs.write:/data/d/*/*"], "fs.write:/data/d/**"),
        (&["fs.write:/data/d/**"], ""),
    ] {
        let agent = world.agent(grants).await;
        match world.call(&agent, remove("/data/d", true)).await {
            Ok(_) => assert_eq!(right, ""),
            Err(error) => {
                assert_eq!(error.errno, Errno::EACCES);
                assert_eq!(error.cause.as_deref(), Some(&Cause::Right(right.to_owned())));
                assert!(world.host.path().join("d/sub/f").exists());
                // The same whether or not there is anything.
                let absent = world.call(&agent, remove("/data/d/none", true)).await.unwrap_err();
                assert_eq!(absent.errno, Errno::EACCES);
            }
        }
    }
    let stranger = world.agent(&["fs.write:/home/**"]).await;
    let error = world.call(&stranger, remove("/", true)).await.unwrap_err();
    assert_eq!(error.cause.as_deref(), Some(&Cause::Right("fs.write:/".to_owned())));
}

#[tokio::test]
async fn links_in_it_go_and_what_they_point_to_stays() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    world.put("kept/f", "kept");
    world.put("d/sub/f", "");
    for (target, name) in [("../kept", "dir"), ("../kept/f", "file"), ("none", "dangling"), ("/", "root")] {
        symlink(target, world.host.path().join("d").join(name)).unwrap();
    }
    world.call(&agent, remove("/data/d", true)).await.unwrap();
    assert!(!world.host.path().join("d").exists());
    assert_eq!(world.seen("kept/f"), "kept");
}

#[tokio::test]
async fn what_is_mounted_below_is_not_touched_and_neither_is_the_rest() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/**", "fs.write:/**"]).await;
    world.put("f", "kept");
    namespace::mount_host(world.kernel.mounts(), "/home/a/b/mounted", world.host.path(), false).unwrap();
    world.call(&agent, write("/home/a/b/beside", "kept")).await.unwrap();
    for path in ["/home/a", "/home/a/b/mounted", "/home", "/"] {
        assert_eq!(world.errno(&agent, remove(path, true)).await, Errno::EBUSY, "{path}");
    }
    assert!(world.call(&agent, exists("/home/a/b/beside")).await.unwrap().exists);
    assert_eq!(world.seen("f"), "kept");
    // Under another name, by which the mounts don't know it, it is still one.
    let home = node(&world, "/home");
    home.rename(ROOT, named(b"a"), &home, named(b"renamed"), Rename::Replace).unwrap();
    assert_eq!(world.errno(&agent, remove("/home/renamed", true)).await, Errno::EBUSY);
    assert_eq!(world.seen("f"), "kept");
}

/// Looks at every hundredth event how many descriptors this program holds.
#[derive(Clone, Default)]
struct Descriptors {
    log: Log,
    most: Arc<AtomicUsize>,
}

impl Observer for Descriptors {
    fn event(&self, event: &Event) {
        if self.log.0.lock().unwrap().len() % 100 == 50 {
            let count = std::fs::read_dir("/proc/self/fd").unwrap().count();
            self.most.fetch_max(count, Ordering::Relaxed);
        }
        self.log.event(event);
    }
}

/// Deeper than a stack, than descriptors and than any path that could be given.
#[tokio::test]
async fn a_deep_tree_goes_like_a_flat_one() {
    let watch = Descriptors::default();
    let log = watch.log.clone();
    let world = World::observed(LinuxSpawner::new().unwrap(), watch.clone());
    let agent = world.agent(&[OPEN, &["fs.admin"]].concat()).await;
    // With room for so many names.
    world.call(&agent, mkdir("/home/wide")).await.unwrap();
    world.call(&agent, v1::Mount { capacity_bytes: 16 << 20, ..mount("/home/wide") }).await.unwrap();
    for (base, depth) in [("/home/wide", 3_000), ("/data", 1_000)] {
        let mut dir = node(&world, base).mkdir(ROOT, named(b"top"), 0o755).unwrap();
        for _ in 0..depth {
            dir.create(ROOT, named(b"a"), 0o755).unwrap();
            dir.create(ROOT, named(b"z"), 0o755).unwrap();
            dir = dir.mkdir(ROOT, named(b"d"), 0o755).unwrap();
        }
        drop(dir);
        log.changes(&agent);
        world.call(&agent, remove(&format!("{base}/top"), true)).await.unwrap();
        assert!(!world.call(&agent, exists(&format!("{base}/top"))).await.unwrap().exists);
        assert_eq!(log.changes(&agent).len(), 3 * depth + 1);
    }
    let most = watch.most.load(Ordering::Relaxed);
    assert!((1..500).contains(&most), "{most} descriptors");
}

fn trees() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(0..4_u8, 1..5), 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Of any tree exactly what is in it goes, each once and before the directory it is in.
    #[test]
    fn exactly_the_tree_goes(tree in trees(), wide in 0..300_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let log = Log::default();
            let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
            let agent = world.agent(OPEN).await;
            for base in ["/home", "/data"] {
                let root = node(&world, base);
                let top = root.mkdir(ROOT, named(b"top"), 0o755).unwrap();
                let beside = root.mkdir(ROOT, named(b"top2"), 0o755).unwrap();
                beside.create(ROOT, named(b"kept"), 0o755).unwrap();
                let mut all = BTreeSet::from([format!("{base}/top")]);
                for path in &tree {
                    let mut dir = NodeRef::clone(&top);
                    let mut at = format!("{base}/top");
                    for name in path {
                        let name = format!("n{name}");
                        at = format!("{at}/{name}");
                        dir = dir.mkdir(ROOT, named(name.as_bytes()), 0o755).or_else(|_| dir.lookup(ROOT, named(name.as_bytes()))).unwrap();
                        all.insert(at.clone());
                    }
                    let _ = dir.create(ROOT, named(b"file"), 0o755);
                    all.insert(format!("{at}/file"));
                }
                for number in 0..wide {
                    top.create(ROOT, named(format!("w{number}").as_bytes()), 0o755).unwrap();
                    all.insert(format!("{base}/top/w{number}"));
                }
                log.changes(&agent);
                world.call(&agent, remove(&format!("{base}/top"), true)).await.unwrap();
                let told: Vec<String> = log.changes(&agent).into_iter().map(|(change, path, _)| {
                    assert_eq!(change, FileChange::Removed);
                    path
                }).collect();
                assert_eq!(told.len(), all.len());
                for (place, path) in told.iter().enumerate() {
                    assert!(all.remove(path), "{path} was not there");
                    let below = format!("{path}/");
                    assert!(!told[place..].iter().any(|later| later.starts_with(&below)), "{path} went too early");
                }
                assert!(top.lookup(ROOT, named(b"n0")).is_err() && root.lookup(ROOT, named(b"top")).is_err());
                assert!(beside.lookup(ROOT, named(b"kept")).is_ok());
            }
        });
    }
}
