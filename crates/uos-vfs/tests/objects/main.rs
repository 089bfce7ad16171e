//! Objects as files, of a service in memory and one on the host: whole objects, and nothing pretended.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod histories;

use opendal::{Operator, services};
use std::io::{Read, Write};
use uos_vfs::{
    Access, Allocate, Caller, Error, FileSystem, Kind, MemFs, Name, NodeRef, ObjectFs, OpenOptions, Rename,
    Seek, SetAttr, SetXattr, Special, Want,
};

const ROOT: &Caller = &Caller::ROOT;

/// Each of the services, and what has to be kept until it is no longer needed.
fn services() -> Vec<(&'static str, Operator, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let host = services::Fs::default().root(&at("objects")).atomic_write_dir(&at("parts"));
    let memory = services::Memory::default();
    vec![("memory", Operator::new(memory).unwrap(), None), ("host", Operator::new(host).unwrap(), Some(dir))]
}

fn everywhere(check: impl Fn(&ObjectFs, &Operator)) {
    for (name, operator, _dir) in services() {
        println!("on {name}");
        check(&ObjectFs::new(operator.clone()).unwrap(), &operator);
    }
}

fn named(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

/// All there is, by path: the content of files, and nothing of directories.
fn picture(fs: &ObjectFs, dir: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let mut all = Vec::new();
    for entry in fs.list_dir(if dir.is_empty() { "/" } else { dir }).unwrap() {
        let path = format!("{dir}/{}", String::from_utf8(entry.name).unwrap());
        if entry.kind == Kind::Directory {
            all.push((path.clone(), None));
            all.extend(picture(fs, &path));
        } else {
            all.push((path.clone(), Some(fs.read(&path).unwrap())));
        }
    }
    all.sort();
    all
}

#[test]
fn objects_are_made_read_in_parts_listed_and_removed() {
    everywhere(|fs, operator| {
        fs.create_dir("/a/b").unwrap();
        fs.write("/a/b/f", "hello world").unwrap();
        fs.write("/a/b/f", "hello there").unwrap();
        let mut part = [0; 5];
        let file = fs.open("/a/b/f", &OpenOptions::read_only()).unwrap();
        assert_eq!(file.handle().read_at(6, &mut part).unwrap(), 5);
        assert_eq!(&part, b"there");
        assert_eq!(file.handle().read_bytes(9, 100).unwrap(), &b"re"[..]);
        for beyond in [11, 12, 1 << 40, u64::MAX] {
            assert_eq!(file.handle().read_bytes(beyond, 10).unwrap().len(), 0, "{beyond}");
        }
        let attr = fs.metadata("/a/b/f").unwrap();
        assert_eq!((attr.size, attr.mode, attr.uid, attr.nlink), (11, 0o644, 0, 1));
        // The service in memory tells no times.
        let told = operator.info().scheme() != "memory";
        assert_eq!(attr.modified.secs > 1_600_000_000, told);
        assert_eq!(attr.id, fs.node("/a/b/f").unwrap().id());
        assert_eq!(fs.metadata("/a").unwrap().mode, 0o755);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let there = runtime.block_on(operator.read("a/b/f")).unwrap();
        assert_eq!(there.to_bytes(), &b"hello there"[..], "others find it by its key");
        assert_eq!(fs.remove_dir("/a/b"), Err(Error::NotEmpty));
        fs.remove_dir_all("/a").unwrap();
        assert_eq!(picture(fs, ""), []);
        assert_eq!(fs.read("/a/b/f"), Err(Error::NotFound));
        assert_eq!(file.handle().read_bytes(0, 1), Err(Error::NotFound), "what is open is a key");
    });
}

#[test]
fn what_objects_cannot_is_refused_and_changes_nothing() {
    everywhere(|fs, _| {
        fs.create_dir("/d").unwrap();
        fs.write("/f", "content").unwrap();
        let (root, node) = (fs.root(), fs.node("/f").unwrap());
        let file = NodeRef::clone(&node).open(ROOT, Access::ReadWrite).unwrap();
        let before = picture(fs, "");
        let set = |set: SetAttr| node.set_attr(ROOT, &set).map(drop);
        let attrs = SetAttr::default();
        let refused = [
            ("symlink", root.symlink(ROOT, named("l"), b"f").map(drop)),
            ("link", root.link(ROOT, named("l"), &node)),
            ("fifo", root.mknod(ROOT, named("p"), Special::Fifo, 0o644).map(drop)),
            ("rename", root.rename(ROOT, named("f"), &root, named("g"), Rename::Replace)),
            ("exchange", root.rename(ROOT, named("f"), &root, named("d"), Rename::Exchange)),
            ("append", file.append(b"x").map(drop)),
            ("write over", file.write_at(0, b"x").map(drop)),
            ("write at the end", file.write_at(7, b"x").map(drop)),
            ("cut", file.set_len(3)),
            ("extend", file.set_len(9)),
            ("punch", file.allocate(0, 1, Allocate::Punch)),
            ("find holes", file.seek(0, Seek::Hole).map(drop)),
            ("cut by name", set(SetAttr { size: Some(3), ..attrs })),
            ("mode", set(SetAttr { mode: Some(0o600), ..attrs })),
            ("owner", set(SetAttr { uid: Some(1), ..attrs })),
            ("time", set(SetAttr { modified: Some(uos_vfs::SetTime::Now), ..attrs })),
            ("both", set(SetAttr { size: Some(0), mode: Some(0o600), ..attrs })),
            ("xattr", node.set_xattr(ROOT, b"user.a", b"", SetXattr::Any)),
            ("xattrs", node.list_xattrs(ROOT).map(drop)),
            ("white space", root.create(ROOT, named(" x"), 0o644).map(drop)),
            ("bytes", root.mkdir(ROOT, Name::new(b"\xff").unwrap(), 0o755).map(drop)),
        ];
        for (what, done) in refused {
            assert!(matches!(done, Err(Error::NotSupported(_))), "{what}: {done:?}");
            assert_eq!(done.unwrap_err().errno(), 95, "ENOTSUP");
        }
        assert_eq!(set(SetAttr { size: Some(u64::MAX), ..attrs }), Err(Error::TooBig));
        assert_eq!(file.write_at(u64::MAX, b"x"), Err(Error::TooBig));
        let other = MemFs::builder().build().root();
        assert_eq!(
            root.rename(ROOT, named("f"), &other, named("g"), Rename::Replace),
            Err(Error::CrossDevice)
        );
        drop(file);
        assert_eq!(picture(fs, ""), before);
    });
}

#[test]
fn pieces_are_one_object_once_they_are_synced() {
    everywhere(|fs, _| {
        let data: Vec<u8> = (0..20_000_000_u32).map(|at| (at / 7) as u8).collect();
        let mut file = fs.open("/large", &OpenOptions::read_write().create(0o644)).unwrap();
        for piece in data.chunks(1_234_567) {
            file.write_all(piece).unwrap();
        }
        assert_eq!(fs.metadata("/large").unwrap().size, 0, "not before");
        let elsewhere = file.handle().write_at(5, b"x");
        assert!(matches!(elsewhere, Err(Error::NotSupported(_))), "{elsewhere:?}");
        file.sync().unwrap();
        assert!(fs.read("/large").unwrap() == data);
        let more = file.write_all(b"more").unwrap_err();
        assert_eq!(more.raw_os_error(), Some(95), "that would be appending");
        file.set_len(0).unwrap();
        assert_eq!(fs.read("/large").unwrap(), b"");
        // From another filesystem, by whoever copies piece by piece.
        let memory = MemFs::builder().build();
        memory.write("/from", &data).unwrap();
        let mut from = memory.open("/from", &OpenOptions::read_only()).unwrap();
        let mut to = fs.open("/large", &OpenOptions::write_only().truncate()).unwrap();
        std::io::copy(&mut from, &mut to).unwrap();
        to.sync().unwrap();
        let mut back = Vec::new();
        fs.open("/large", &OpenOptions::read_only()).unwrap().read_to_end(&mut back).unwrap();
        assert!(back == data);
    });
}

#[test]
fn pieces_that_are_dropped_are_nowhere() {
    everywhere(|fs, _| {
        let mut file = fs.open("/f", &OpenOptions::write_only().create(0o644)).unwrap();
        file.write_all(&[7; 100_000]).unwrap();
        drop(file);
        assert_eq!(fs.read("/f").unwrap(), b"");
        let file = fs.open("/f", &OpenOptions::write_only()).unwrap();
        file.handle().write_at(0, b"begun").unwrap();
        file.handle().replace(b"whole").unwrap();
        file.sync().unwrap();
        assert_eq!(fs.read("/f").unwrap(), b"whole", "replacing takes the place of what was begun");
        assert_eq!(picture(fs, "").len(), 1);
    });
}

#[test]
fn of_many_who_make_an_object_one_does() {
    let dir = tempfile::tempdir().unwrap();
    // Writing in one step, the service on the host looks first and then makes: that would be no condition.
    let host = services::Fs::default().root(dir.path().to_str().unwrap());
    for operator in [Operator::new(services::Memory::default()), Operator::new(host)] {
        let fs = ObjectFs::new(operator.unwrap()).unwrap();
        for round in 0..10 {
            let path = format!("/{round}");
            let made: usize = std::thread::scope(|scope| {
                let makers: Vec<_> = (0..8).map(|_| scope.spawn(|| fs.create(&path, 0o644))).collect();
                let made = makers.into_iter().map(|maker| maker.join().unwrap());
                made.filter(|made| made.is_ok() || *made != Err(Error::Exists))
                    .map(|made| made.map_or(9, |()| 1))
                    .sum()
            });
            assert_eq!(made, 1, "all others are told that it is there");
        }
    }
}

#[test]
fn directories_that_keys_imply_last_as_long_as_these() {
    let operator = Operator::new(services::Memory::default()).unwrap();
    let fs = ObjectFs::new(operator.clone()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for key in ["x/y/z", "x/y.txt", "both", "both/below"] {
        runtime.block_on(operator.write(key, "text")).unwrap();
    }
    assert_eq!(fs.node("/x/y").unwrap().kind(), Kind::Directory);
    assert_eq!(fs.read("/x/y/z").unwrap(), b"text");
    let names = |dir: &str| -> Vec<_> {
        let mut names: Vec<_> =
            fs.list_dir(dir).unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect();
        names.sort_by(|one, other| one.0.cmp(&other.0));
        names
    };
    assert_eq!(names("/x"), [(b"y".to_vec(), Kind::Directory), (b"y.txt".to_vec(), Kind::File)]);
    assert_eq!(
        names("/"),
        [(b"both".to_vec(), Kind::File), (b"x".to_vec(), Kind::Directory)],
        "of both the object"
    );
    assert_eq!(fs.read("/both").unwrap(), b"text");
    let held = fs.node("/x/y").unwrap();
    fs.delete("/x/y/z").unwrap();
    assert_eq!(fs.node("/x/y").map(drop), Err(Error::NotFound));
    assert_eq!(held.create(ROOT, named("new"), 0o644).map(drop), Err(Error::NotFound));
    assert_eq!(held.attr(), Err(Error::NotFound));
    fs.delete("/x/y.txt").unwrap();
    assert_eq!(fs.exists("/x"), Ok(false));
}

#[test]
fn a_listing_goes_on_by_its_cursor_alone() {
    everywhere(|fs, _| {
        for at in 0..50 {
            fs.create(format!("/{at}"), 0o644).unwrap();
        }
        let (mut seen, mut cursor) = (Vec::new(), 0);
        loop {
            let before = seen.len();
            // By another node each time, as whoever has nothing but the path.
            fs.root()
                .read_dir(cursor, &mut |entry| {
                    assert!(entry.cursor > cursor && entry.cursor < 1 << 62);
                    seen.push(entry.name.as_bytes().to_vec());
                    cursor = entry.cursor;
                    seen.len() % 7 != 0
                })
                .unwrap();
            if seen.len() == before {
                break;
            }
            // The entry it stopped at is not taken, and comes again.
            if seen.len() % 7 == 0 {
                fs.create(format!("/later{}", seen.len()), 0o644).unwrap();
            }
        }
        seen.retain(|name| !name.starts_with(b"later"));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 50);
    });
}

#[test]
fn modes_and_owners_are_one_for_all_and_are_judged() {
    let operator = Operator::new(services::Memory::default()).unwrap();
    let fs = ObjectFs::builder(operator).owner(1001, 101).modes(0o640, 0o4750).build().unwrap();
    let (ada, eve) = (Caller::user(1001, 101), Caller::user(1002, 102));
    let member = Caller::user(1003, 101);
    let root = fs.root();
    let node = root.create(&ada, named("f"), 0o777).unwrap();
    let attr = node.attr().unwrap();
    assert_eq!((attr.uid, attr.gid, attr.mode), (1001, 101, 0o640));
    assert_eq!(root.attr().unwrap().mode, 0o750, "no bits that lend rights");
    assert_eq!(root.lookup(&eve, named("f")).map(drop), Err(Error::AccessDenied));
    assert_eq!(root.lookup(&eve, named("missing")).map(drop), Err(Error::AccessDenied));
    assert_eq!(root.create(&member, named("f"), 0o644).map(drop), Err(Error::Exists));
    assert_eq!(root.create(&member, named("g"), 0o644).map(drop), Err(Error::AccessDenied));
    assert_eq!(root.unlink(&member, named("f")), Err(Error::AccessDenied));
    let open = |by: &Caller, access| NodeRef::clone(&node).open(by, access).map(drop);
    assert_eq!(open(&member, Access::Read), Ok(()));
    assert_eq!(open(&member, Access::Write), Err(Error::AccessDenied));
    assert_eq!(open(&eve, Access::Read), Err(Error::AccessDenied));
    assert_eq!(node.access(&member, Want::READ), Ok(()));
    let cut = SetAttr { size: Some(0), ..SetAttr::default() };
    assert_eq!(node.set_attr(&member, &cut).map(drop), Err(Error::AccessDenied));
    assert_eq!(node.set_attr(&ada, &cut).map(|attr| attr.size), Ok(0));
}

#[test]
fn what_the_host_says_beneath_is_said_again() {
    let dir = tempfile::tempdir().unwrap();
    let service = services::Fs::default().root(dir.path().to_str().unwrap());
    let fs = ObjectFs::new(Operator::new(service).unwrap()).unwrap();
    // Deeper than the host's paths may be long, by single names that each are fine.
    let mut node = fs.root();
    let error = loop {
        match node.mkdir(ROOT, named(&"n".repeat(250)), 0o755) {
            Ok(deeper) => node = deeper,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::NameTooLong);
}

/// Its service has workers of its own: this one waits, and is the only one of its runtime.
#[test]
fn it_works_and_ends_inside_of_anybodys_runtime() {
    for runtime in [
        tokio::runtime::Builder::new_current_thread().build().unwrap(),
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap(),
    ] {
        runtime.block_on(async {
            let done = tokio::task::spawn(async {
                let fs = ObjectFs::new(Operator::new(services::Memory::default()).unwrap()).unwrap();
                fs.write("/f", "text").unwrap();
                let root = fs.root();
                assert!(root.blocks(), "which is why a worker should not");
                drop(fs);
                // The last one to let go.
                root.lookup(ROOT, named("f")).map(drop)
            });
            done.await.unwrap().unwrap();
        });
    }
}
