//! Listing directories that change meanwhile.

use super::tools::{ROOT, named};
use crate::{Kind, NodeRef, Rename};
use std::collections::BTreeSet;

pub(super) fn a_listing_goes_on_where_it_stopped(root: &NodeRef) {
    let all: BTreeSet<Vec<u8>> = (0..300).map(|i| format!("name{i}").into_bytes()).collect();
    for name in &all {
        root.create(ROOT, named(name), 0o755).unwrap();
    }
    let (mut seen, mut cursor) = (Vec::new(), 0);
    loop {
        let mut taken = 0;
        root.read_dir(cursor, &mut |entry| {
            if taken == 7 {
                return false;
            }
            taken += 1;
            cursor = entry.cursor;
            seen.push(entry.name.as_bytes().to_vec());
            assert_eq!(entry.kind, Kind::File);
            assert_eq!(entry.ino, root.lookup(ROOT, entry.name).unwrap().id().ino);
            true
        })
        .unwrap();
        if taken == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 300);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all);
}

pub(super) fn a_listing_survives_changes(root: &NodeRef) {
    for i in 0..200 {
        root.create(ROOT, named(format!("stay{i}").as_bytes()), 0o755).unwrap();
        root.create(ROOT, named(format!("go{i}").as_bytes()), 0o755).unwrap();
    }
    let (mut seen, mut cursor, mut round) = (Vec::new(), 0, 0);
    loop {
        let mut taken = 0;
        root.read_dir(cursor, &mut |entry| {
            if taken == 10 {
                return false;
            }
            taken += 1;
            cursor = entry.cursor;
            seen.push(entry.name.as_bytes().to_vec());
            true
        })
        .unwrap();
        if taken == 0 {
            break;
        }
        for i in (round * 3..round * 3 + 3).filter(|&i| i < 200) {
            let _ = root.unlink(ROOT, named(format!("go{i}").as_bytes()));
            root.create(ROOT, named(format!("come{i}").as_bytes()), 0o755).unwrap();
            // Replacing keeps a name where it is.
            root.create(ROOT, named(b"tmp"), 0o755).unwrap();
            root.rename(ROOT, named(b"tmp"), root, named(format!("stay{i}").as_bytes()), Rename::Replace)
                .unwrap();
        }
        round += 1;
    }
    seen.retain(|name| name.starts_with(b"stay"));
    assert_eq!(seen.len(), 200);
    assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 200);
}
