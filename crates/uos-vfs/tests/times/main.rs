//! Times of files in memory: asked for exactly where somebody could tell, and roughly where nobody can.

use std::sync::Arc;
mod at_once;

use std::sync::atomic::{AtomicI64, Ordering};
use uos_vfs::{
    Allocate, Clock, Error, FileSystem, MemFs, OpenOptions, SetAttr, SetTime, SystemClock, Timestamp,
};

/// Two seconds later whenever it is asked exactly. About now is between that and the next such time; once somebody was shown it,
/// the next but one.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicI64>);

impl Counting {
    fn asked(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp { secs: self.0.fetch_add(2, Ordering::Relaxed) + 2, nanos: 0 }
    }

    fn about_now(&self) -> Timestamp {
        Timestamp { secs: self.asked() + 1, nanos: 0 }
    }

    fn told(&self, time: Timestamp) {
        self.0.fetch_max(time.secs + time.secs % 2, Ordering::Relaxed);
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
    assert_eq!(seen.modified.secs, asked + 1, "about now is not before what was told");
}

/// Who has seen the time of what is at a path sees another when something else has come there.
#[test]
fn what_takes_the_place_of_another_has_not_its_time() {
    let machine = MemFs::builder().clock(SystemClock).build();
    for fs in [empty().0, machine] {
        type First<'a> = (&'a str, &'a dyn Fn());
        let firsts: [First<'_>; 3] = [
            ("written", &|| fs.write("/f", "first").unwrap()),
            ("cut", &|| fs.set_attr("/f", &SetAttr { size: Some(3), ..SetAttr::default() }).unwrap()),
            ("touched", &|| {
                fs.set_attr("/f", &SetAttr { modified: Some(SetTime::Now), ..SetAttr::default() }).unwrap();
            }),
        ];
        for (how, first) in firsts.iter().cycle().take(30) {
            fs.write("/f", "before").unwrap();
            first();
            let seen = fs.metadata("/f").unwrap();
            fs.write("/g", "other").unwrap();
            fs.rename("/g", "/f").unwrap();
            assert!(fs.metadata("/f").unwrap().modified > seen.modified, "{how}");
        }
    }
}

#[test]
fn what_comes_after_a_snapshot_has_no_time_that_it_shows() {
    let machine = MemFs::builder().clock(SystemClock).build();
    for fs in [empty().0, machine] {
        for _ in 0..30 {
            fs.write("/f", "first").unwrap();
            let snapshot = fs.snapshot();
            let fork = snapshot.fork();
            for (name, fs) in [("the filesystem", &fs), ("its fork", &fork)] {
                let seen = snapshot.metadata("/f").unwrap().modified;
                fs.write("/g", "other").unwrap();
                fs.rename("/g", "/f").unwrap();
                assert!(fs.metadata("/f").unwrap().modified > seen, "{name}");
            }
        }
    }
}

/// What a snapshot shows of a file says nothing about what the file is now.
#[test]
fn who_looks_at_the_past_has_not_seen_the_present() {
    let (fs, _) = empty();
    fs.write("/f", "first").unwrap();
    let past = fs.snapshot();
    fs.write("/g", "").unwrap();
    fs.write("/f", "second").unwrap();
    fs.write("/f", "third").unwrap();
    past.metadata("/f").unwrap();
    let seen = fs.metadata("/f").unwrap();
    fs.write("/g", "other").unwrap();
    fs.rename("/g", "/f").unwrap();
    assert!(fs.metadata("/f").unwrap().modified > seen.modified);
}

/// It is all shown, by the snapshot and by what is made of it.
#[test]
fn after_a_snapshot_nothing_on_the_same_clock_has_a_time_of_before() {
    let (fs, clock) = empty();
    let elsewhere = MemFs::builder().clock(clock).build();
    elsewhere.write("/f", "").unwrap();
    fs.write("/f", "first").unwrap();
    let seen = fs.fork().metadata("/f").unwrap();
    elsewhere.write("/f", "other").unwrap();
    assert!(elsewhere.metadata("/f").unwrap().modified > seen.modified);
}
