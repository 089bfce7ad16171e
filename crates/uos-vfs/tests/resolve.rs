//! What paths lead to: tables of cases, then random trees and paths against a naive resolver that
//! shares nothing with the real one.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use proptest::prelude::*;
use uos_vfs::{
    Caller, Error, How, Kind, LocalFs, MemFs, Mounts, Name, NodeRef, Passed, Place, Unresolved, VPath,
};

const ROOT: &Caller = &Caller::ROOT;

/// Makes a tree from lines: `a/b/` a directory, `a/f` a file, `a/l -> target` a link.
fn named(bytes: &[u8]) -> Name<'_> {
    Name::new(bytes).unwrap()
}

fn grow(root: &NodeRef, lines: &[&str]) {
    for line in lines {
        let (path, target) = line.split_once(" -> ").map_or((*line, None), |(p, t)| (p, Some(t)));
        let mut dir = root.clone();
        let names: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        for name in &names[..names.len() - 1] {
            dir = dir.lookup(ROOT, named(name.as_bytes())).unwrap();
        }
        let name = names[names.len() - 1].as_bytes();
        match target {
            Some(target) => drop(dir.symlink(ROOT, named(name), target.as_bytes()).unwrap()),
            None if path.ends_with('/') => drop(dir.mkdir(ROOT, named(name), 0o755).unwrap()),
            None => drop(dir.create(ROOT, named(name), 0o755).unwrap()),
        }
    }
}

fn tree(lines: &[&str]) -> Mounts {
    let fs = MemFs::builder().build();
    grow(&fs.root(), lines);
    Mounts::new(fs.root())
}

fn path(text: &str) -> VPath {
    VPath::parse(text.as_bytes()).unwrap()
}

fn resolve(mounts: &Mounts, base: &str, text: &[u8], follow_last: bool) -> Result<Place, Unresolved> {
    mounts.resolve(text, &How { base: &path(base), follow_last, ..How::privileged() })
}

fn links_of(passed: &[Passed]) -> Vec<String> {
    let link = |it: &Passed| matches!(it, Passed::Link(_)).then(|| it.path().to_string());
    passed.iter().filter_map(link).collect()
}

const TREE: &[&str] = &[
    "a/",
    "a/b/",
    "a/b/c/",
    "a/f",
    "a/up -> ..",
    "a/abs -> /a/b",
    "a/file -> f",
    "a/dangling -> b/none",
    "a/far -> no/where",
    "a/loop -> loop",
    "a/ping -> pong",
    "a/pong -> ping",
    "a/slash -> b/",
    "a/fslash -> f/",
    "a/nslash -> none/",
    "top -> a/b/c",
];

#[test]
fn paths_that_lead_somewhere() {
    let mounts = tree(TREE);
    use Kind::{Directory, File, Symlink};
    for (text, follow, canonical, kind, followed) in [
        ("/", true, "/", Some(Directory), &[][..]),
        ("//./..", true, "/", Some(Directory), &[]),
        ("/a", true, "/a", Some(Directory), &[]),
        ("/a/", true, "/a", Some(Directory), &[]),
        ("/a/./b/../f", true, "/a/f", Some(File), &[]),
        ("/../../a", true, "/a", Some(Directory), &[]),
        ("/a/..", true, "/", Some(Directory), &[]),
        ("/none", true, "/none", None, &[]),
        ("/none/", true, "/none", None, &[]),
        ("/a/abs", true, "/a/b", Some(Directory), &["/a/abs"]),
        ("/a/abs", false, "/a/abs", Some(Symlink), &[]),
        ("/a/abs/", false, "/a/b", Some(Directory), &["/a/abs"]),
        ("/a/abs/c/..", true, "/a/b", Some(Directory), &["/a/abs"]),
        ("/a/abs/c", false, "/a/b/c", Some(Directory), &["/a/abs/c"]),
        // `..` after a link leads up from where the link led.
        ("/top/..", true, "/a/b", Some(Directory), &["/"]),
        ("/top/../../f", true, "/a/f", Some(File), &["/f"]),
        ("/a/up/a/up/top", true, "/a/b/c", Some(Directory), &["/a/up/a/up/top", "/a/up/top", "/top"]),
        ("/a/file", true, "/a/f", Some(File), &["/a/file"]),
        ("/a/dangling", true, "/a/b/none", None, &["/a/dangling"]),
        ("/a/dangling", false, "/a/dangling", Some(Symlink), &[]),
        ("/a/loop", false, "/a/loop", Some(Symlink), &[]),
        ("/a/slash", true, "/a/b", Some(Directory), &["/a/slash"]),
        ("/a/nslash", true, "/a/none", None, &["/a/nslash"]),
    ] {
        let place = resolve(&mounts, "/", text.as_bytes(), follow).unwrap();
        assert_eq!(place.path.to_string(), canonical, "{text}");
        assert_eq!(place.node.as_ref().map(|node| node.kind()), kind, "{text}");
        assert_eq!(links_of(&place.passed), followed, "{text}");
        let slash = text.ends_with('/') || text.ends_with("slash");
        assert_eq!(place.must_be_dir, slash, "{text}");
        match (place.name(), &place.node) {
            (Some(name), Some(node)) => {
                assert_eq!(place.parent.lookup(ROOT, name).unwrap().id(), node.id(), "{text}");
            }
            (Some(name), None) => assert_eq!(place.parent.lookup(ROOT, name).err(), Some(Error::NotFound)),
            (None, _) => assert!(place.mount_point),
        }
    }
}

#[test]
fn paths_that_lead_nowhere() {
    let mounts = tree(TREE);
    for (text, error, canonical, missing, at) in [
        ("/none/x", Error::NotFound, "/none/x", &["none", "x"][..], "/"),
        ("/a/none/./x//y/", Error::NotFound, "/a/none/x/y", &["none", "x", "y"], "/a"),
        ("/a/none/../f", Error::NotFound, "/a/f", &[], "/a"),
        ("/none/.", Error::NotFound, "/none", &["none"], "/"),
        ("/a/f/", Error::NotADirectory, "/a/f", &[], "/a"),
        ("/a/f/x", Error::NotADirectory, "/a/f/x", &[], "/a"),
        ("/a/f/..", Error::NotADirectory, "/a", &[], "/a"),
        ("/a/f/.", Error::NotADirectory, "/a/f", &[], "/a"),
        ("/a/file/", Error::NotADirectory, "/a/f", &[], "/a"),
        ("/a/fslash", Error::NotADirectory, "/a/f", &[], "/a"),
        ("/a/far", Error::NotFound, "/a/no/where", &["no", "where"], "/a"),
        ("/a/far/x", Error::NotFound, "/a/no/where/x", &["no", "where", "x"], "/a"),
        ("/a/dangling/x", Error::NotFound, "/a/b/none/x", &["none", "x"], "/a/b"),
        ("/a/loop", Error::TooManyLinks, "/a/loop", &[], "/a"),
        ("/a/ping/../x", Error::TooManyLinks, "/a/x", &[], "/a"),
    ] {
        let Unresolved { error: found, path: best, missing: names, at: dir, .. } =
            resolve(&mounts, "/", text.as_bytes(), true).unwrap_err();
        assert_eq!((found, best.to_string().as_str()), (error, canonical), "{text}");
        let names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        assert_eq!(names, missing, "{text}");
        let dir_at = resolve(&mounts, "/", at.as_bytes(), true).unwrap().node.unwrap();
        assert_eq!(dir.unwrap().id(), dir_at.id(), "{text}");
    }
    let unresolved = resolve(&mounts, "/", b"/a/up/a/file/x", true).unwrap_err();
    assert_eq!(unresolved.path, path("/a/f/x"));
    assert_eq!(links_of(&unresolved.passed), ["/a/up/a/file/x", "/a/file/x"]);
}

/// Whether what is left again is a directory, is not there, is a file or a link: the same is noted, up to what a link leads to.
#[test]
fn what_is_left_again_is_noted_whatever_it_is() {
    let entries = [
        "w/",
        "other/",
        "w/f",
        "w/d/",
        "w/in -> ../other/NAME/../../w/f",
        "w/up -> ../w/f",
        "w/deep -> /other/NAME/x/../../../w/f",
    ];
    for what in ["other/NAME/", "other/NAME", "other/NAME -> /w/d", "other/NAME -> none", "other/OTHER"] {
        let mounts = tree(&[&entries[..], &[what]].concat());
        for (text, left) in [
            ("/w/d", &[][..]),
            ("/w/d/../f", &["/w/d"]),
            ("/w/d/../../../w/f", &["/w/d", "/w"]),
            // Where a link is, is no news to whoever met it there.
            ("/w/up", &[]),
            ("/w/in", &["/other/NAME", "/other"]),
            ("/w/deep", &["/other/NAME/x", "/other/NAME", "/other"]),
            ("/other/NAME/../../w/f", &["/other/NAME", "/other"]),
        ] {
            let passed = match resolve(&mounts, "/", text.as_bytes(), true) {
                Ok(place) => place.passed,
                Err(unresolved) => unresolved.passed,
            };
            // The first link may be the path itself.
            let begin =
                passed.iter().skip_while(|it| matches!(it, Passed::Link(path) if path.to_string() == text));
            let paths: Vec<_> = begin.take(left.len()).map(ToOwned::to_owned).collect();
            let expected: Vec<_> = left.iter().map(|text| Passed::Left(path(text))).collect();
            assert_eq!(paths, expected, "{text} with {what}: {passed:?}");
        }
    }
}

#[test]
fn a_way_by_links_that_is_left_again_too_often_has_too_many_of_them() {
    let mounts = tree(&["d/"]);
    let root = resolve(&mounts, "/", b"/", true).unwrap().parent;
    let way = [b"/x".repeat(800), b"/..".repeat(800)].concat();
    for i in 0..8 {
        let target = [format!("l{}", i + 1).as_bytes(), &way].concat();
        root.symlink(ROOT, named(format!("l{i}").as_bytes()), &target).unwrap();
    }
    let unresolved = resolve(&mounts, "/", b"/l0", true).unwrap_err();
    assert_eq!(unresolved.error, Error::TooManyLinks);
    let noted: usize = unresolved.passed.iter().map(|it| it.path().as_bytes().len()).sum();
    assert!((500_000..=1 << 20).contains(&noted), "{noted}");
}

#[test]
fn texts_that_are_no_paths() {
    let mounts = tree(TREE);
    let long_name = [b"/a/", [b'x'; 256].as_slice()].concat();
    let long_path = b"/a/..".repeat(1000);
    for (text, error) in
        [(&b""[..], Error::NotFound), (b"/a\0", Error::InvalidPath), (&long_path, Error::NameTooLong)]
    {
        let unresolved = resolve(&mounts, "/a", text, true).unwrap_err();
        assert_eq!(unresolved.error, error);
        let best = if text.first() == Some(&b'/') { "/" } else { "/a" };
        assert_eq!(unresolved.path, path(best));
    }
    assert_eq!(resolve(&mounts, "/a", b"b\0", true).unwrap_err().path, path("/a"));
    assert_eq!(resolve(&mounts, "/", &long_name, true).unwrap_err().error, Error::NameTooLong);
    // What is missing before it comes first.
    let behind = [b"/missing/", [b'x'; 256].as_slice()].concat();
    assert_eq!(resolve(&mounts, "/", &behind, true).unwrap_err().error, Error::NotFound);
    assert!(resolve(&mounts, "/", &b"/a/..".repeat(819), true).is_ok());
    assert!(resolve(&mounts, "/", &long_name[..258], true).unwrap().node.is_none());
}

#[test]
fn relative_paths_start_at_the_base() {
    let mounts = tree(TREE);
    for (base, text, canonical) in [
        ("/a", "b", "/a/b"),
        ("/a/b", "../f", "/a/f"),
        ("/a/b/c", "../../../../top", "/a/b/c"),
        ("/a", "/a", "/a"),
    ] {
        assert_eq!(resolve(&mounts, base, text.as_bytes(), true).unwrap().path, path(canonical));
    }
    let gone = resolve(&mounts, "/gone", b"x", true).unwrap_err();
    assert_eq!((gone.error, gone.path), (Error::NotFound, path("/gone/x")));
    assert_eq!(resolve(&mounts, "/a/f", b".", true).unwrap_err().error, Error::NotADirectory);
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let mounts = tree(&["d/", "l0 -> d"]);
    let root = mounts.resolve(b"/", &How { base: &path("/"), memory_only: true, ..How::privileged() });
    let root = root.unwrap().parent;
    for i in 1..=40 {
        root.symlink(ROOT, named(format!("l{i}").as_bytes()), format!("l{}", i - 1).as_bytes()).unwrap();
    }
    let place = resolve(&mounts, "/", b"/l39", true).unwrap();
    assert_eq!((place.path, links_of(&place.passed).len()), (path("/d"), 40));
    let unresolved = resolve(&mounts, "/", b"/l40/x", true).unwrap_err();
    assert_eq!((unresolved.error, unresolved.path), (Error::TooManyLinks, path("/l0/x")));
}

#[test]
fn mounts_cover_what_is_below() {
    let mounts = tree(&["m/", "m/hidden", "other/", "f", "in -> m/deep/x"]);
    let (one, two) = (MemFs::builder().build(), MemFs::builder().build());
    grow(&one.root(), &["deep/", "x", "out -> ../f", "deep/abs -> /f"]);
    grow(&two.root(), &["x"]);
    mounts.mount(b"/m", one.root()).unwrap();
    mounts.mount(b"/m/deep/", two.root()).unwrap();
    for (text, canonical, fs) in [
        ("/m", "/m", one.root()),
        ("/m/x", "/m/x", one.root()),
        ("/m/deep", "/m/deep", two.root()),
        ("/in", "/m/deep/x", two.root()),
        ("/m/deep/../x", "/m/x", one.root()),
    ] {
        let place = resolve(&mounts, "/", text.as_bytes(), true).unwrap();
        assert_eq!(place.path, path(canonical));
        assert_eq!(place.node.unwrap().id().fs, fs.id().fs, "{text}");
        assert_eq!(place.mount_point, matches!(text, "/m" | "/m/deep"), "{text}");
    }
    // `..` and links lead out of a mount by the tree's rules, not by the filesystem's.
    assert_eq!(resolve(&mounts, "/", b"/m/out", true).unwrap().path, path("/f"));
    assert_eq!(resolve(&mounts, "/", b"/m/..", true).unwrap().path, path("/"));
    assert!(resolve(&mounts, "/", b"/m/hidden", true).unwrap().node.is_none());
    let parent = resolve(&mounts, "/", b"/m", true).unwrap().parent;
    assert_eq!(parent.lookup(ROOT, named(b"f")).unwrap().kind(), Kind::File);

    let list: Vec<_> = mounts.list().into_iter().map(|info| (info.path.to_string(), info.fs)).collect();
    assert_eq!(list[1..], [("/m".into(), one.root().id().fs), ("/m/deep".into(), two.root().id().fs)]);
    assert_eq!(mounts.mount(b"/m", two.root()), Err(Error::Busy));
    assert_eq!(mounts.mount(b"/", two.root()), Err(Error::Busy));
    assert_eq!(mounts.mount(b"/none", two.root()), Err(Error::NotFound));
    assert_eq!(mounts.mount(b"/f", two.root()), Err(Error::NotADirectory));
    assert_eq!(
        mounts.mount(b"/other", two.root().lookup(ROOT, named(b"x")).unwrap()),
        Err(Error::NotADirectory)
    );
    assert_eq!(mounts.unmount(b"/m"), Err(Error::Busy));
    assert_eq!(mounts.unmount(b"/"), Err(Error::Busy));
    assert!(matches!(mounts.unmount(b"/other"), Err(Error::InvalidArgument(_))));
    mounts.unmount(b"/m/deep").unwrap();
    mounts.unmount(b"/m").unwrap();
    assert!(resolve(&mounts, "/", b"/m/hidden", true).unwrap().node.is_some());
}

#[test]
fn a_mount_moves_with_its_directory_and_many_are_found() {
    let mounts = tree(&["a/", "a/m/"]);
    let root = resolve(&mounts, "/", b"/", true).unwrap().parent;
    let fs = MemFs::builder().build();
    mounts.mount(b"/a/m", fs.root()).unwrap();
    root.rename(ROOT, named(b"a"), &root, named(b"b"), Default::default()).unwrap();
    assert_eq!(resolve(&mounts, "/", b"/b/m", true).unwrap().node.unwrap().id(), fs.root().id());
    let many: Vec<_> = (0..30)
        .map(|i| {
            let name = format!("m{i}");
            grow(&root, &[&format!("{name}/")]);
            let fs = MemFs::builder().build();
            mounts.mount(format!("/{name}").as_bytes(), fs.root()).unwrap();
            (name, fs.root().id())
        })
        .collect();
    for (name, id) in &many {
        assert_eq!(resolve(&mounts, "/", name.as_bytes(), true).unwrap().node.unwrap().id(), *id);
    }
    mounts.unmount(b"/b/m").unwrap();
    assert_eq!(mounts.list().len(), 31);
}

#[test]
fn memory_only_never_waits_for_a_disk() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("d")).unwrap();
    let mounts = tree(&["m/", "f", "l -> m/d", "m2/"]);
    mounts.mount(b"/m", LocalFs::open(dir.path(), false).unwrap().root()).unwrap();
    let memory =
        |text: &[u8]| mounts.resolve(text, &How { base: &path("/"), memory_only: true, ..How::privileged() });
    for text in ["/m", "/m/d", "/l", "/m/none", "/m/d/../../f"] {
        let unresolved = memory(text.as_bytes()).unwrap_err();
        assert_eq!(unresolved.error, Error::WouldBlock, "{text}");
    }
    assert_eq!(memory(b"/m/d/x").unwrap_err().path, path("/m/d/x"));
    // Passing by the root of it asks it nothing.
    for text in ["/f", "/m/../f", "/m/..", "/none"] {
        assert!(memory(text.as_bytes()).is_ok(), "{text}");
    }
}

/// The naive resolver: texts only, restarting from the root at every link.
fn naive(root: &NodeRef, text: &str, follow: bool, budget: usize) -> Result<(String, bool), Error> {
    fn node(root: &NodeRef, names: &[&str]) -> Result<NodeRef, Error> {
        names.iter().try_fold(root.clone(), |dir, name| dir.lookup(ROOT, named(name.as_bytes())))
    }
    let slash = text.ends_with('/');
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
    let mut done: Vec<&str> = Vec::new();
    for (i, &part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        match part {
            "." => continue,
            ".." => {
                done.pop();
                continue;
            }
            part => done.push(part),
        }
        let found = match node(root, &done) {
            Err(Error::NotFound) if last => return Ok((format!("/{}", done.join("/")), false)),
            found => found?,
        };
        match found.kind() {
            Kind::Directory => {}
            Kind::Symlink if !last || follow || slash => {
                let budget = budget.checked_sub(1).ok_or(Error::TooManyLinks)?;
                let target = String::from_utf8(found.read_link()?).unwrap();
                let start =
                    if target.starts_with('/') { String::new() } else { done[..done.len() - 1].join("/") };
                let rest = parts[i + 1..].join("/");
                let end = if slash || !last { "/" } else { "" };
                let text = if last {
                    format!("/{start}/{target}{end}")
                } else {
                    format!("/{start}/{target}/{rest}{}", if slash { "/" } else { "" })
                };
                return naive(root, &text, follow, budget);
            }
            _ if !last || slash => return Err(Error::NotADirectory),
            _ => {}
        }
    }
    Ok((format!("/{}", done.join("/")), true))
}

fn any_path() -> impl Strategy<Value = String> {
    let part = prop_oneof![4 => "[a-d]", 1 => Just(".".into()), 2 => Just("..".into())];
    (any::<bool>(), prop::collection::vec(part, 1..6), any::<bool>()).prop_map(|(absolute, parts, slash)| {
        format!("{}{}{}", if absolute { "/" } else { "" }, parts.join("/"), if slash { "/" } else { "" })
    })
}

proptest! {
    #[test]
    fn resolves_as_the_naive_one_does(
        dirs in prop::collection::vec("[a-d](/[a-d]){0,2}", 0..8),
        files in prop::collection::vec("([a-d]/){0,2}[a-d]", 0..4),
        links in prop::collection::vec(("([a-d]/){0,2}[a-d]", any_path()), 0..8),
        text in any_path(),
        follow in any::<bool>(),
    ) {
        let root = MemFs::builder().build().root();
        let make = |text: &str, target: Option<&str>| {
            let mut dir: NodeRef = root.clone();
            let names: Vec<&str> = text.split('/').collect();
            for name in &names[..names.len() - 1] {
                let Ok(next) = dir.lookup(ROOT, named(name.as_bytes())).or_else(|_| dir.mkdir(ROOT, named(name.as_bytes()), 0o755)) else { return };
                dir = next;
            }
            let name = names[names.len() - 1].as_bytes();
            let _ = match target {
                Some("") => dir.mkdir(ROOT, named(name), 0o755),
                Some(target) => dir.symlink(ROOT, named(name), target.as_bytes()),
                None => dir.create(ROOT, named(name), 0o755),
            };
        };
        dirs.iter().for_each(|text| make(text, Some("")));
        links.iter().for_each(|(text, target)| make(text, Some(target)));
        files.iter().for_each(|text| make(text, None));
        let mounts = Mounts::new(root.clone());
        let found = mounts.resolve(text.as_bytes(), &How { follow_last: follow, memory_only: true, ..How::privileged() });
        let expected = naive(&root, &text, follow, 40);
        match (found, expected) {
            (Ok(place), Ok((canonical, exists))) => {
                prop_assert_eq!(place.path.to_string(), canonical);
                prop_assert_eq!(place.node.is_some(), exists);
                // The path found is the end of it: it resolves to itself, through no link.
                let again = mounts.resolve(place.path.as_bytes(), &How { follow_last: false, memory_only: true, ..How::privileged() }).unwrap();
                prop_assert_eq!((again.path, links_of(&again.passed).len()), (place.path, 0));
                prop_assert_eq!(again.node.map(|node| node.id()), place.node.map(|node| node.id()));
            }
            (Err(unresolved), Err(error)) => prop_assert_eq!(unresolved.error, error),
            (found, expected) => prop_assert!(false, "{text}: {found:?}, naively {expected:?}"),
        }
    }
}
