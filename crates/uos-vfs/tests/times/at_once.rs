//! Who changes something while others do, and is slower with it, gives it no time that is before one they have seen.

use super::Counting;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use uos_vfs::{Clock, FileSystem, MemFs, OpenOptions, SetAttr, SetXattr, Timestamp};

/// Enough for a round where both have a CPU. Counted in turns given away it would be seconds where others want them too.
const MOMENT: Duration = Duration::from_millis(2);

thread_local! {
    static DAWDLES: Cell<bool> = const { Cell::new(false) };
}

/// Gives the time, and lets others go first before a thread that dawdles can do anything with it.
#[derive(Clone, Default)]
struct Dawdling {
    clock: Counting,
    rounds: Arc<AtomicI64>,
}

impl Dawdling {
    /// Until the other thread has been round once more, or for a moment: it cannot while this one holds what it needs.
    fn wait(&self) {
        let (from, begun) = (self.rounds.load(Ordering::Relaxed), Instant::now());
        while self.rounds.load(Ordering::Relaxed) == from && begun.elapsed() < MOMENT {
            std::thread::yield_now();
        }
    }
}

impl Clock for Dawdling {
    fn now(&self) -> Timestamp {
        let now = self.clock.now();
        if DAWDLES.get() {
            self.wait();
        }
        now
    }
}

/// Does one thing again and again, while somebody else changes what that changes, and looks before and after.
fn nothing_goes_back(
    clock: &Dawdling,
    again: impl Fn() + Sync,
    change: impl Fn(),
    changed: impl Fn() -> Timestamp,
) {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            DAWDLES.set(true);
            (0..30).for_each(|_| again());
        });
        let mut seen = changed();
        while !other.is_finished() {
            let before = changed();
            assert!(before >= seen, "a change was at {before:?}, after one at {seen:?}");
            change();
            seen = changed();
            assert!(seen > before, "a change was at {seen:?}, after one at {before:?}");
            clock.rounds.fetch_add(1, Ordering::Relaxed);
            (0..50).for_each(|_| std::thread::yield_now());
        }
    });
}

fn for_two() -> (MemFs, Dawdling) {
    let clock = Dawdling::default();
    let fs = MemFs::builder().clock(clock.clone()).build();
    fs.create_dir("/d").expect("it is empty");
    fs.write("/d/f", "first").expect("it is there");
    (fs, clock)
}

#[test]
fn no_time_of_attributes_is_before_one_that_was_seen() {
    let (fs, clock) = for_two();
    let file = fs.open("/d/f", &OpenOptions::write_only()).unwrap();
    let (write, looks) =
        (|| file.handle().append(b"x").map(drop).unwrap(), || fs.metadata("/d/f").unwrap().changed);
    let mode = SetAttr { mode: Some(0o600), ..SetAttr::default() };
    nothing_goes_back(
        &clock,
        || {
            fs.set_attr("/d/f", &mode).unwrap();
            clock.wait();
        },
        write,
        looks,
    );
    nothing_goes_back(
        &clock,
        || {
            fs.set_xattr("/d/f", "user.a", "1", SetXattr::Any).unwrap();
            clock.wait();
        },
        write,
        looks,
    );
}

#[test]
fn no_time_of_links_is_before_one_that_was_seen() {
    let (fs, clock) = for_two();
    let toggles = || {
        fs.create("/d/g", 0o644).unwrap();
        fs.delete("/d/g").unwrap();
    };
    let looks = || fs.metadata("/d").unwrap().changed;
    let links = || {
        fs.hard_link("/d/f", "/d/l").unwrap();
        clock.wait();
        fs.delete("/d/l").unwrap();
    };
    nothing_goes_back(&clock, links, toggles, looks);
}

#[test]
fn no_time_of_directories_is_before_one_that_was_seen() {
    let (fs, clock) = for_two();
    let toggles = || {
        fs.create("/d/g", 0o644).unwrap();
        fs.delete("/d/g").unwrap();
    };
    let looks = || fs.metadata("/d").unwrap().changed;
    let makes = || {
        fs.create_dir("/d/s").unwrap();
        fs.remove_dir("/d/s").unwrap();
        clock.wait();
    };
    nothing_goes_back(&clock, makes, toggles, looks);
}

#[test]
fn no_time_of_what_is_restored_is_before_one_that_was_seen() {
    let (fs, clock) = for_two();
    fs.write("/f", "first").unwrap();
    fs.hard_link("/f", "/g").unwrap();
    let snapshot = fs.snapshot();
    for _ in 0..30 {
        let file = fs.open("/f", &OpenOptions::write_only()).unwrap();
        let change = || file.handle().append(b"x").map(drop).unwrap();
        let restore = AtomicBool::new(true);
        let restores = || {
            if restore.swap(false, Ordering::Relaxed) {
                fs.restore(&snapshot).unwrap();
            }
            clock.wait();
        };
        nothing_goes_back(&clock, restores, change, || file.metadata().unwrap().changed);
    }
}
