//! Random sequences of operations on `MemFs` and `LocalFs` against a naive model: the same answers,
//! the same error numbers, and after every step the same tree. As the model changes nothing when it
//! refuses, this also shows that a refused operation changes nothing.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod naive;

use naive::{Answer, CHUNK, Naive, Node};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use uos_vfs::{Access, Caller, Error, Kind, LocalFs, MemFs, Name, NodeRef, OpenFile, Rename};

const ROOT: &Caller = &Caller::ROOT;

type Path = Vec<String>;

#[derive(Clone, Debug)]
enum Step {
    Create(Path, String),
    Mkdir(Path, String),
    Symlink(Path, String, String),
    Link(Path, Path, String),
    Unlink(Path, String),
    Rmdir(Path, String),
    Rename(Path, String, Path, String, (bool, bool)),
    Write(Path, usize, u8, usize),
    Append(Path, u8, usize),
    Replace(Path, u8, usize),
    Truncate(Path, usize),
}

fn named(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

fn name() -> impl Strategy<Value = String> {
    "[abc]"
}

/// A directory, or what stands in the place of one.
fn dir() -> impl Strategy<Value = Path> {
    prop_oneof![2 => Just(vec![]), 3 => prop::collection::vec(name(), 1..3)]
}

fn entry() -> impl Strategy<Value = Path> {
    prop::collection::vec(name(), 1..3)
}

/// Mostly small, now and then around where chunks meet.
fn offset() -> impl Strategy<Value = usize> {
    prop_oneof![9 => 0..40usize, 1 => 16_350..16_420usize]
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![
        6 => Just((false, false)), 2 => Just((true, false)), 2 => Just((false, true))
    ];
    prop_oneof![
        3 => (dir(), name()).prop_map(|(dir, name)| Step::Create(dir, name)),
        4 => (dir(), name()).prop_map(|(dir, name)| Step::Mkdir(dir, name)),
        1 => (dir(), name(), "[a-c/.]{1,9}").prop_map(|(dir, name, text)| Step::Symlink(dir, name, text)),
        2 => (entry(), dir(), name()).prop_map(|(from, dir, name)| Step::Link(from, dir, name)),
        2 => (dir(), name()).prop_map(|(dir, name)| Step::Unlink(dir, name)),
        1 => (dir(), name()).prop_map(|(dir, name)| Step::Rmdir(dir, name)),
        5 => (dir(), name(), dir(), name(), flags)
            .prop_map(|(dir, name, to_dir, to_name, flags)| Step::Rename(dir, name, to_dir, to_name, flags)),
        3 => (entry(), offset(), 1..255u8, 0..30usize).prop_map(|(at, from, byte, len)| Step::Write(at, from, byte, len)),
        2 => (entry(), 1..255u8, 0..30usize).prop_map(|(at, byte, len)| Step::Append(at, byte, len)),
        1 => (entry(), 1..255u8, offset()).prop_map(|(at, byte, len)| Step::Replace(at, byte, len)),
        2 => (entry(), offset()).prop_map(|(at, len)| Step::Truncate(at, len)),
    ]
}

fn ask_model(model: &mut Naive, step: &Step) -> Answer<()> {
    match step.clone() {
        Step::Create(dir, name) => model.make(&dir, &name, Node::File(vec![], vec![])),
        Step::Mkdir(dir, name) => model.make(&dir, &name, Node::Directory(BTreeMap::new())),
        Step::Symlink(dir, name, target) => model.make(&dir, &name, Node::Link(target)),
        Step::Link(from, dir, name) => model.link(&from, &dir, &name),
        Step::Unlink(dir, name) => model.unlink(&dir, &name),
        Step::Rmdir(dir, name) => model.rmdir(&dir, &name),
        Step::Rename(dir, name, to_dir, to_name, flags) => {
            model.rename(&dir, &name, &to_dir, &to_name, flags)
        }
        Step::Write(at, from, byte, len) => {
            model.edit(&at, |data, stored| write(data, stored, from, byte, len))
        }
        Step::Append(at, byte, len) => model.edit(&at, |data, stored| {
            let end = data.len();
            write(data, stored, end, byte, len);
        }),
        Step::Replace(at, byte, len) => model.edit(&at, |data, stored| {
            *data = vec![byte; len];
            *stored = vec![true; len];
        }),
        Step::Truncate(at, len) => model.edit(&at, |data, stored| {
            data.resize(len, 0);
            stored.resize(len, false);
        }),
    }
}

fn write(data: &mut Vec<u8>, stored: &mut Vec<bool>, from: usize, byte: u8, len: usize) {
    if len > 0 {
        data.resize(data.len().max(from + len), 0);
        stored.resize(data.len(), false);
        data[from..from + len].fill(byte);
        stored[from / CHUNK * CHUNK..from + len].fill(true);
    }
}

fn find(root: &NodeRef, path: &[String]) -> Result<NodeRef, Error> {
    path.iter().try_fold(root.clone(), |dir, name| dir.lookup(ROOT, named(name.as_bytes())))
}

fn open(root: &NodeRef, path: &[String]) -> Result<Arc<dyn OpenFile>, Error> {
    find(root, path)?.open(ROOT, Access::ReadWrite)
}

fn ask(root: &NodeRef, step: &Step) -> Result<(), Error> {
    match step {
        Step::Create(dir, name) => find(root, dir)?.create(ROOT, named(name.as_bytes()), 0o755).map(drop),
        Step::Mkdir(dir, name) => find(root, dir)?.mkdir(ROOT, named(name.as_bytes()), 0o755).map(drop),
        Step::Symlink(dir, name, target) => {
            find(root, dir)?.symlink(ROOT, named(name.as_bytes()), target.as_bytes()).map(drop)
        }
        Step::Link(from, dir, name) => {
            let node = find(root, from)?;
            find(root, dir)?.link(ROOT, named(name.as_bytes()), &node)
        }
        Step::Unlink(dir, name) => find(root, dir)?.unlink(ROOT, named(name.as_bytes())),
        Step::Rmdir(dir, name) => find(root, dir)?.rmdir(ROOT, named(name.as_bytes())),
        Step::Rename(dir, name, to_dir, to_name, (no_replace, exchange)) => {
            let (dir, to_dir) = (find(root, dir)?, find(root, to_dir)?);
            let how = match (no_replace, exchange) {
                (true, _) => Rename::NoReplace,
                (_, true) => Rename::Exchange,
                _ => Rename::Replace,
            };
            dir.rename(ROOT, named(name.as_bytes()), &to_dir, named(to_name.as_bytes()), how)
        }
        Step::Write(at, from, byte, len) => {
            let written = open(root, at)?.write_at(*from as u64, &vec![*byte; *len])?;
            assert_eq!(written, *len);
            Ok(())
        }
        Step::Append(at, byte, len) => {
            let file = open(root, at)?;
            let end = file.attr()?.size;
            assert_eq!(file.append(&vec![*byte; *len])?, end);
            Ok(())
        }
        Step::Replace(at, byte, len) => open(root, at)?.replace(&vec![*byte; *len]),
        Step::Truncate(at, len) => open(root, at)?.set_len(*len as u64),
    }
}

/// A tree as text: every path with what is there.
type Picture = BTreeMap<String, (Kind, u64, Vec<u8>)>;

fn picture(node: &NodeRef, path: &str, into: &mut Picture) {
    let attr = node.attr().unwrap();
    let content = match node.kind() {
        Kind::File => node.clone().open(ROOT, Access::Read).unwrap().read_bytes(0, 1 << 20).unwrap().to_vec(),
        Kind::Symlink => node.read_link().unwrap(),
        _ => vec![],
    };
    if node.kind() == Kind::Directory {
        let mut names = Vec::new();
        node.read_dir(0, &mut |entry| {
            names.push((entry.name.as_bytes().to_vec(), entry.kind, entry.ino));
            true
        })
        .unwrap();
        for (name, kind, ino) in names {
            let entry = node.lookup(ROOT, named(&name)).unwrap();
            assert_eq!((entry.kind(), entry.id().ino), (kind, ino));
            picture(&entry, &format!("{path}/{}", String::from_utf8(name).unwrap()), into);
        }
    } else {
        assert_eq!(attr.size, content.len() as u64);
    }
    // Not every host filesystem counts subdirectories; what it says then is 1.
    into.insert(path.into(), (node.kind(), if attr.nlink == 1 { 0 } else { attr.nlink }, content));
}

fn picture_of_model(model: &Naive, node: usize, path: &str, dirs_count: bool, into: &mut Picture) {
    let names = model.names_of(node) as u64;
    let names = if names == 1 { 0 } else { names };
    let shown = match &model.nodes[node] {
        Node::File(data, _) => (Kind::File, names, data.clone()),
        Node::Link(target) => (Kind::Symlink, names, target.clone().into_bytes()),
        Node::Directory(entries) => {
            for (name, &entry) in entries {
                picture_of_model(model, entry, &format!("{path}/{name}"), dirs_count, into);
            }
            let subs = entries.values().filter(|&&entry| model.entries(entry).is_ok()).count() as u64;
            (Kind::Directory, if dirs_count { 2 + subs } else { 0 }, vec![])
        }
    };
    into.insert(path.into(), shown);
}

fn compare(root: &NodeRef, steps: &[Step], limits: (usize, usize), check: impl Fn(&Naive)) {
    let mut model = Naive::new(limits);
    let dirs_count = root.attr().unwrap().nlink != 1;
    for (i, step) in steps.iter().enumerate() {
        let (found, expected) = (ask(root, step), ask_model(&mut model, step));
        assert_eq!(found.map_err(|error| error.errno()), expected, "step {i}: {step:?}");
        let (mut seen, mut right) = (Picture::new(), Picture::new());
        picture(root, "", &mut seen);
        picture_of_model(&model, 0, "", dirs_count, &mut right);
        assert_eq!(seen, right, "after step {i}: {step:?}");
        check(&model);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(128), ..ProptestConfig::default() })]

    #[test]
    fn memory_agrees_with_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let fs = MemFs::builder().build();
        compare(&fs.root(), &steps, (usize::MAX, usize::MAX), |model| {
            assert_eq!(fs.used_bytes(), model.used_bytes() as u64);
            assert_eq!(fs.used_nodes(), model.used_names() as u64);
        });
    }

    #[test]
    fn a_small_memory_agrees_with_the_model(
        steps in prop::collection::vec(step(), 1..60), bytes in 0..120usize, nodes in 1..12usize,
    ) {
        let fs = MemFs::builder().capacity_bytes(bytes as u64).capacity_nodes(nodes as u64).build();
        compare(&fs.root(), &steps, (bytes, nodes), |model| {
            assert_eq!(fs.used_bytes(), model.used_bytes() as u64);
            assert_eq!(fs.used_nodes(), model.used_names() as u64);
        });
    }

    #[test]
    fn the_host_agrees_with_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let root = LocalFs::open(dir.path(), false).unwrap().root();
        compare(&root, &steps, (usize::MAX, usize::MAX), |_| {});
    }
}

/// As many as asked for from outside, else what fits a quick run.
fn cases(default: u32) -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
