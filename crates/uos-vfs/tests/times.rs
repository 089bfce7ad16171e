//! Times of files in memory: asked for exactly where somebody could tell, and roughly where nobody can.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use uos_vfs::{Allocate, Clock, Error, FileSystem, MemFs, OpenOptions, SetAttr, Timestamp};

/// A second later whenever it is asked exactly.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicI64>);

impl Counting {
    fn asked(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp { secs: self.0.fetch_add(1, Ordering::Relaxed) + 1, nanos: 0 }
    }

    fn about_now(&self) -> Timestamp {
        Timestamp { secs: self.asked(), nanos: 0 }
    }
}

fn empty() -> (MemFs, Counting) {
    let clock = Counting::default();
    (MemFs::builder().capacity_bytes(1 << 20).clock(clock.clone()).build(), clock)
}

#[test]
fn who_has_seen_a_time_sees_another_after_every_change() {
    let (fs, _) = empty();
    fs.create_dir("/d").unwrap();
    fs.write("/d/f", "first").unwrap();
    let file = fs.open("/d/f", &OpenOptions::read_write()).unwrap();
    let handle = file.handle();
    type Change<'a> = (&'a str, &'a dyn Fn());
    let changes: [Change<'_>; 8] = [
        ("/d/f", &|| assert_eq!(handle.write_at(0, b"other").unwrap(), 5)),
        ("/d/f", &|| assert_eq!(handle.append(b"more").unwrap(), 5)),
        ("/d/f", &|| handle.set_len(3).unwrap()),
        ("/d/f", &|| handle.replace(b"new").unwrap()),
        ("/d/f", &|| handle.allocate(10, 10, Allocate::Reserve).unwrap()),
        ("/d/f", &|| fs.set_attr("/d/f", &SetAttr { mode: Some(0o600), ..SetAttr::default() }).unwrap()),
        ("/d", &|| fs.create("/d/g", 0o644).unwrap()),
        ("/d", &|| fs.delete("/d/g").unwrap()),
    ];
    for (nth, (path, change)) in changes.iter().enumerate() {
        let before = fs.metadata(path).unwrap();
        change();
        let after = fs.metadata(path).unwrap();
        assert!(after.changed > before.changed, "{nth}");
    }
}

#[test]
fn a_change_that_failed_leaves_the_time_seen() {
    let (fs, _) = empty();
    fs.write("/f", "x").unwrap();
    let before = fs.metadata("/f").unwrap();
    let file = fs.open("/f", &OpenOptions::write_only()).unwrap();
    let failed = file.handle().write_at(0, &vec![0; 2 << 20]);
    assert!(matches!(failed, Err(Error::NoSpace { .. })), "{failed:?}");
    file.handle().write_at(0, b"y").unwrap();
    assert!(fs.metadata("/f").unwrap().modified > before.modified);
}

#[test]
fn who_has_a_name_removed_of_a_file_sees_that() {
    let (fs, _) = empty();
    fs.write("/f", "x").unwrap();
    fs.hard_link("/f", "/g").unwrap();
    let before = fs.metadata("/g").unwrap();
    fs.delete("/f").unwrap();
    assert!(fs.metadata("/g").unwrap().changed > before.changed);
}

#[test]
fn what_a_snapshot_shows_is_not_what_comes_after() {
    let (fs, _) = empty();
    fs.write("/f", "same").unwrap();
    let before = fs.snapshot();
    fs.open("/f", &OpenOptions::write_only()).unwrap().handle().write_at(0, b"same").unwrap();
    assert_eq!(before.diff(&fs.snapshot()).unwrap().len(), 1, "it was written to");
    let seen = before.metadata("/f").unwrap();
    let fork = before.fork();
    fork.open("/f", &OpenOptions::write_only()).unwrap().handle().write_at(0, b"same").unwrap();
    assert!(fork.metadata("/f").unwrap().modified > seen.modified);
}

#[test]
fn nobody_is_asked_where_nobody_looks() {
    let (fs, clock) = empty();
    fs.create_dir("/d").unwrap();
    fs.metadata("/d").unwrap();
    fs.write("/d/first", "").unwrap();
    let asked = clock.asked();
    for _ in 0..10 {
        fs.write("/d/f", "x").unwrap();
        fs.delete("/d/f").unwrap();
    }
    assert_eq!(clock.asked(), asked);
    let seen = fs.metadata("/d").unwrap();
    assert_eq!(seen.modified.secs, asked, "about now is not before what was told");
}
