//! Snapshots written to stores and read from them: the same tree, little written when little has changed, and
//! whatever happens to the writer, the last complete one.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use uos_vfs::store::{ChunkId, ChunkStore, DirStore, MemStore};
use uos_vfs::{
    Allocate, Device, Error, FileSystem, Kind, MemFs, OpenOptions, Result, SetXattr, Special, Tree,
};

/// Everything there is, numbers and times included.
fn picture<T: Tree>(fs: &T) -> BTreeMap<Vec<u8>, String> {
    let mut seen = BTreeMap::new();
    let mut left = vec![b"/".to_vec()];
    while let Some(path) = left.pop() {
        let attr = fs.symlink_metadata(&path).unwrap();
        let said = match attr.kind {
            Kind::Directory => {
                let entries = fs.list_dir(&path).unwrap();
                let above = if path == b"/" { &b""[..] } else { &path };
                left.extend(entries.iter().map(|entry| [above, b"/", &entry.name].concat()));
                String::new()
            }
            Kind::File => format!("{}", ChunkId::of(&fs.read(&path).unwrap())),
            Kind::Symlink => format!("{:?}", fs.read_link(&path).unwrap()),
            _ => String::new(),
        };
        let names = fs.list_xattrs(&path).unwrap_or_default();
        let xattrs: Vec<_> = names.iter().map(|name| (name, fs.xattr(&path, name).ok())).collect();
        let facts = (attr.id.ino, attr.kind, attr.mode, attr.uid, attr.gid, attr.size, attr.nlink);
        let more = (attr.blocks_512, attr.device, attr.modified, attr.changed, attr.born);
        seen.insert(path, format!("{facts:?} {more:?} {xattrs:?} {said}"));
    }
    seen
}

/// A store that counts what is put into it.
#[derive(Default)]
struct Counting {
    store: MemStore,
    puts: AtomicU64,
    gets: AtomicU64,
}

impl ChunkStore for Counting {
    fn put(&self, id: ChunkId, data: &[u8]) -> Result<()> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.store.put(id, data)
    }

    fn get(&self, id: ChunkId) -> Result<Bytes> {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.store.get(id)
    }

    fn root(&self, name: &str) -> Result<Option<ChunkId>> {
        self.store.root(name)
    }

    fn set_root(&self, name: &str, id: ChunkId) -> Result<()> {
        self.store.set_root(name, id)
    }
}

fn sample() -> MemFs {
    let fs = MemFs::builder().build();
    fs.create_dir("/d/sub/empty").unwrap();
    fs.write("/d/small", "text").unwrap();
    fs.write("/d/large", (0..100_000u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>()).unwrap();
    let sparse = fs.open("/d/sparse", &OpenOptions::read_write().create(0o4600)).unwrap();
    sparse.handle().write_at(1 << 24, b"far").unwrap();
    sparse.handle().allocate(0, 100, Allocate::ReserveKeepingLength).unwrap();
    fs.truncate("/d/sparse", (1 << 24) + 70_000).unwrap();
    fs.create("/d/empty", 0o644).unwrap();
    fs.symlink("../d/small", "/d/sub/link").unwrap();
    fs.hard_link("/d/small", "/d/sub/other").unwrap();
    fs.set_owner("/d/large", Some(1001), Some(101)).unwrap();
    fs.set_xattr("/d/sub", "user.a", "1", SetXattr::Any).unwrap();
    fs.set_xattr("/d/small", "trusted.b", vec![7; 3_000], SetXattr::Any).unwrap();
    fs.make_special("/d/pipe", Special::Fifo, 0o600).unwrap();
    fs.make_special("/d/tty", Special::CharDevice(Device { major: 4, minor: 1 }), 0o600).unwrap();
    for nth in 0..1_000 {
        fs.write(format!("/d/sub/file{nth}"), format!("{nth}")).unwrap();
    }
    fs
}

#[test]
fn what_is_saved_comes_back_whole() {
    let fs = sample();
    let store = MemStore::default();
    let id = fs.snapshot().export(&store).unwrap();
    let back = MemFs::builder().import(&store, id).unwrap();
    assert_eq!(picture(&back), picture(&fs));
    assert_eq!((back.used_bytes(), back.used_nodes()), (fs.used_bytes(), fs.used_nodes()));
    // Numbers go on where they stopped.
    back.create("/new", 0o644).unwrap();
    let new = back.metadata("/new").unwrap().id.ino;
    assert!(picture(&fs).values().all(|said| !said.starts_with(&format!("({new},"))));
    // Names of one file are still one file.
    back.append("/d/small", "!").unwrap();
    assert_eq!(back.read("/d/sub/other").unwrap(), b"text!");
    // The same tree is the same chunk.
    assert_eq!(MemFs::builder().import(&store, id).unwrap().snapshot().export(&store).unwrap(), id);
}

#[test]
fn saving_again_writes_only_what_changed() {
    let fs = sample();
    let store = Counting::default();
    let mut base = fs.snapshot();
    let mut saved = base.export(&store).unwrap();
    let puts = |store: &Counting| store.puts.swap(0, Ordering::Relaxed);
    assert!(puts(&store) > 1_000);
    let unchanged = fs.snapshot();
    assert_eq!(unchanged.export_since(&store, &base, saved).unwrap(), saved);
    assert!(puts(&store) <= 2, "the root and its one page");
    // One file among a thousand, deep below: its chunk, the pages above, and where those are.
    fs.append("/d/sub/file500", "!").unwrap();
    let next = fs.snapshot();
    saved = next.export_since(&store, &base, saved).unwrap();
    base = next;
    let before = store.store.size();
    let put = puts(&store);
    assert!(put < 80, "{put} chunks were put for one file");
    assert_eq!(base.export(&store).unwrap(), saved, "from the beginning it is the same");
    assert_eq!(store.store.size(), before);
    puts(&store);
    // A large file of which a part has changed, and a directory that has moved with all it has.
    let large = fs.open("/d/large", &OpenOptions::write_only()).unwrap();
    large.handle().write_at(200_000, b"x").unwrap();
    fs.rename("/d/sub", "/moved").unwrap();
    let (chunks, bytes) = store.store.size();
    let last = fs.snapshot().export_since(&store, &base, saved).unwrap();
    let (more, bytes) = (store.store.size().0 - chunks, store.store.size().1 - bytes);
    assert!(more < 12 && bytes < 40_000, "{more} chunks and {bytes} bytes are new");
    assert_eq!(picture(&MemFs::builder().import(&store, last).unwrap()), picture(&fs));
}

#[test]
fn a_capacity_holds_for_what_is_read_too() {
    let fs = sample();
    let store = MemStore::default();
    let id = fs.snapshot().export(&store).unwrap();
    let (bytes, nodes) = (fs.used_bytes(), fs.used_nodes());
    let fits = MemFs::builder().capacity_bytes(bytes).capacity_nodes(nodes);
    assert_eq!(fits.import(&store, id).unwrap().stat_fs("/").unwrap().bytes_free, 0);
    for builder in [
        MemFs::builder().capacity_bytes(bytes - 1),
        MemFs::builder().capacity_nodes(nodes - 1),
        MemFs::builder().capacity_bytes(0),
    ] {
        assert!(matches!(builder.import(&store, id), Err(Error::NoSpace { .. })));
    }
}

#[test]
fn what_is_damaged_is_refused() {
    let fs = MemFs::builder().build();
    fs.create_dir("/d").unwrap();
    fs.write("/d/f", vec![1; 40_000]).unwrap();
    fs.symlink("x", "/l").unwrap();
    let store = MemStore::default();
    let id = fs.snapshot().export(&store).unwrap();
    assert_eq!(MemFs::builder().import(&store, ChunkId::of(b"?")).map(drop), Err(Error::NotFound));
    let root = store.get(id).unwrap();
    // Any byte of the root and any length of it: refused or, where a byte may be anything, read; no panic.
    for at in 0..root.len() {
        let mut bad = root.to_vec();
        bad[at] ^= 0x41;
        let other = MemStore::default();
        let id = ChunkId::of(&bad);
        other.put(id, &bad).unwrap();
        assert!(MemFs::builder().import(&other, id).is_err(), "what it leads to is not there");
        let cut = ChunkId::of(&root[..at]);
        other.put(cut, &root[..at]).unwrap();
        assert_eq!(MemFs::builder().import(&other, cut).map(drop), Err(Error::Io(74)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However a filesystem came to be what it is, one export after the other gives what one alone gives.
    #[test]
    fn step_by_step_is_as_good_as_at_once(
        steps in prop::collection::vec((0..9u8, "/[abc](/[abc]){0,2}", "/[abc](/[abc]){0,2}", 0..60_000usize), 1..60)
    ) {
        let fs = MemFs::builder().build();
        let store = MemStore::default();
        let mut base = fs.snapshot();
        let mut saved = base.export(&store).unwrap();
        for (what, at, to, len) in &steps {
            let _ = match what {
                0..=1 => fs.write(at, vec![*len as u8; *len]),
                2..=3 => fs.make_dir(at, 0o755),
                4 => fs.rename(at, to),
                5 => fs.hard_link(at, to),
                6 => fs.delete(at),
                7 => fs.truncate(at, *len as u64),
                _ => {
                    let next = fs.snapshot();
                    saved = next.export_since(&store, &base, saved).unwrap();
                    prop_assert_eq!(next.export(&store).unwrap(), saved);
                    let back = MemFs::builder().import(&store, saved).unwrap();
                    prop_assert_eq!(picture(&back), picture(&fs));
                    base = next;
                    Ok(())
                }
            };
        }
    }
}

/// Says to the process that this test starts of itself where to export to.
const EXPORT_TO: &str = "UOS_TEST_EXPORT_TO";
const FILES: u32 = 40;

/// Exports one generation after the other until it is killed. All files of one say which it is.
fn export_for_ever(dir: &Path) {
    let store = DirStore::open(&dir.join("store")).unwrap();
    let (mut generation, fs) = match store.root("home").unwrap() {
        Some(id) => {
            let fs = MemFs::builder().import(&store, id).unwrap();
            (whole(&fs), fs)
        }
        None => (0, MemFs::builder().build()),
    };
    let mut saved: Option<(uos_vfs::Snapshot, ChunkId)> = None;
    loop {
        generation += 1;
        fs.create_dir("/a/b").unwrap();
        for nth in 0..FILES {
            let path = format!("/a/{}file{nth}", if nth % 2 == 0 { "" } else { "b/" });
            fs.write(path, [generation.to_le_bytes(), (nth + 1).to_le_bytes()].concat().repeat(3_000))
                .unwrap();
        }
        let now = fs.snapshot();
        let id = match &saved {
            Some((base, id)) => now.export_since(&store, base, *id).unwrap(),
            None => now.export(&store).unwrap(),
        };
        store.set_root("home", id).unwrap();
        // Acknowledged: from here on it must not be lost.
        std::fs::write(dir.join("next"), generation.to_le_bytes()).unwrap();
        std::fs::rename(dir.join("next"), dir.join("acknowledged")).unwrap();
        saved = Some((now, id));
    }
}

/// The generation of a filesystem that must be all of one.
fn whole(fs: &MemFs) -> u32 {
    let mut generations = (0..FILES).map(|nth| {
        let path = format!("/a/{}file{nth}", if nth % 2 == 0 { "" } else { "b/" });
        let data = fs.read(path).unwrap();
        let generation = u32::from_le_bytes(data[..4].try_into().unwrap());
        assert_eq!(data, [generation.to_le_bytes(), (nth + 1).to_le_bytes()].concat().repeat(3_000));
        generation
    });
    let first = generations.next().unwrap();
    assert!(generations.all(|generation| generation == first), "a mixture of generations");
    first
}

fn acknowledged(dir: &Path) -> u32 {
    std::fs::read(dir.join("acknowledged")).map_or(0, |bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
}

#[test]
fn a_killed_export_leaves_the_last_complete_one() {
    if let Some(dir) = std::env::var_os(EXPORT_TO) {
        export_for_ever(Path::new(&dir));
    }
    let kills = std::env::var("UOS_CAMPAIGN_KILLS").map_or(20, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().to_owned();
    let mut seed = 0x2545_F491_4F6C_DD1D_u64;
    let mut last = 0;
    for round in 0..kills {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_export_leaves_the_last_complete_one"])
            .env(EXPORT_TO, &top)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // At least one generation is complete, and the next ones are being written.
        while acknowledged(&top) <= last {
            assert!(child.try_wait().unwrap().is_none(), "the exporting process has failed");
            std::thread::yield_now();
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(std::time::Duration::from_micros((seed >> 33) % 30_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let promised = acknowledged(&top);
        let store = DirStore::open(&top.join("store")).unwrap();
        let id = store.root("home").unwrap().expect("a complete snapshot has its name");
        let found = whole(&MemFs::builder().import(&store, id).unwrap());
        assert!(found == promised || found == promised + 1, "round {round}: {found} after {promised}");
        last = found;
    }
    println!("{kills} kills, {last} generations");
}
