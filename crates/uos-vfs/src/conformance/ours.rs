//! The filesystems of this crate. A new one adds a test here, and says what it lacks.

use super::tools::{ROOT, file, named};
use super::{Ability, check};
use crate::{FileSystem, Kind, LocalFs, MemFs, NodeRef, OverlayFs};

#[test]
fn memory_meets_the_suite() {
    check(&[], || {
        let fs = MemFs::builder().build();
        (fs.root(), fs)
    });
}

#[test]
fn the_host_meets_the_suite() {
    let mut lacking = vec![Ability::SetIds, Ability::Devices];
    if !rustix::process::geteuid().is_root() {
        // Only root can give files away on the host.
        lacking.push(Ability::Owners);
    }
    check(&lacking, || {
        let dir = tempfile::tempdir().unwrap();
        (LocalFs::open(dir.path(), false).unwrap().root(), dir)
    });
}

#[test]
fn an_overlay_of_nothing_meets_the_suite() {
    check(&[], || {
        let fs = OverlayFs::new([], MemFs::builder().build().root()).unwrap();
        (fs.root(), fs)
    });
}

#[test]
fn an_overlay_of_an_empty_layer_meets_the_suite() {
    check(&[], || {
        let fs = OverlayFs::new([MemFs::builder().build().root()], MemFs::builder().build().root()).unwrap();
        (fs.root(), fs)
    });
}

/// Three layers that are full of the names that the cases use, some as files and some as directories.
fn lowers() -> [NodeRef; 3] {
    [1, 2, 3].map(|layer| {
        let root = MemFs::builder().build().root();
        let top = root.mkdir(ROOT, named(b"top"), 0o755).unwrap();
        for (nth, name) in (b'a'..=b'z').enumerate() {
            if nth % layer == 0 {
                let dir = top.mkdir(ROOT, named(&[name]), 0o755).unwrap();
                file(&dir, b"f", b"below");
                dir.mkdir(ROOT, named(b"s"), 0o755).unwrap();
            } else {
                file(&top, &[name], b"below");
            }
        }
        for nth in 0..300 {
            file(&top, format!("{}{}", ["stay", "go", "name"][nth % 3], nth / 3).as_bytes(), b"below");
        }
        for name in ["common", "two", "mine", "new", "tmp", "in", "x", "y"] {
            let _ = top.create(ROOT, named(name.as_bytes()), 0o600);
        }
        root
    })
}

/// The directory that all that is in, with nothing of it left to be seen.
fn emptied(fs: &OverlayFs) -> NodeRef {
    for entry in fs.list_dir("/top").unwrap() {
        let path = [b"/top/", &entry.name[..]].concat();
        if entry.kind == Kind::Directory {
            fs.remove_dir_all(path).unwrap();
        } else {
            fs.delete(path).unwrap();
        }
    }
    fs.root().lookup(ROOT, named(b"top")).unwrap()
}

#[test]
fn an_overlay_of_three_layers_meets_the_suite() {
    check(&[], || {
        let fs = OverlayFs::new(lowers(), MemFs::builder().build().root()).unwrap();
        let top = emptied(&fs);
        (top, fs)
    });
}

#[test]
fn an_overlay_below_the_host_meets_the_suite() {
    let mut lacking = vec![Ability::SetIds, Ability::Devices];
    if !rustix::process::geteuid().is_root() {
        lacking.push(Ability::Owners);
    }
    check(&lacking, || {
        let dir = tempfile::tempdir().unwrap();
        let fs = OverlayFs::new(lowers(), LocalFs::open(dir.path(), false).unwrap().root()).unwrap();
        let top = emptied(&fs);
        (top, (dir, fs))
    });
}

/// What needs none of the abilities.
#[cfg(feature = "opendal")]
#[test]
fn objects_meet_what_objects_can() {
    use crate::ObjectFs;
    use Ability::{
        Attributes, Devices, HardLinks, Holes, Owners, RandomWrites, Renames, SetIds, Special, Symlinks,
        Unlinked, Xattrs,
    };
    use opendal::{Operator, services};
    let lacking = [
        HardLinks,
        Symlinks,
        Renames,
        RandomWrites,
        Unlinked,
        Attributes,
        Owners,
        SetIds,
        Special,
        Devices,
        Xattrs,
        Holes,
    ];
    check(&lacking, || {
        let fs = ObjectFs::new(Operator::new(services::Memory::default()).unwrap()).unwrap();
        (fs.root(), fs)
    });
    check(&lacking, || {
        let dir = tempfile::tempdir().unwrap();
        let service = services::Fs::default().root(dir.path().to_str().unwrap());
        let fs = ObjectFs::new(Operator::new(service).unwrap()).unwrap();
        // In a directory of its own, as the root is not made but there.
        (fs.root().mkdir(ROOT, named(b"below"), 0o755).unwrap(), (fs, dir))
    });
}
