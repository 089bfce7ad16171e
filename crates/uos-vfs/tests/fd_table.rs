//! The table of numbers: random histories against a naive model.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use uos_vfs::{Error, FdTable};

#[derive(Clone, Debug)]
enum Step {
    Insert(bool),
    InsertFrom(u32, bool),
    Reserve,
    Fill(u32, bool),
    Unreserve(u32),
    Dup(u32),
    DupFrom(u32, u32, bool),
    DupTo(u32, u32, bool),
    Remove(u32),
    RemoveRange(u32, u32),
    CloseOnExec(u32, bool),
    Exec,
    Limit(u32),
    Fork,
}

/// Around the limits and around the words of 64.
fn fd() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..12_u32, 2 => 60..70_u32, 1 => 120..140_u32, 1 => Just(u32::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<bool>().prop_map(Step::Insert),
        2 => (fd(), any::<bool>()).prop_map(|(min, closes)| Step::InsertFrom(min, closes)),
        2 => Just(Step::Reserve),
        2 => (fd(), any::<bool>()).prop_map(|(fd, closes)| Step::Fill(fd, closes)),
        1 => fd().prop_map(Step::Unreserve),
        3 => fd().prop_map(Step::Dup),
        2 => (fd(), fd(), any::<bool>()).prop_map(|(fd, min, closes)| Step::DupFrom(fd, min, closes)),
        3 => (fd(), fd(), any::<bool>()).prop_map(|(fd, to, closes)| Step::DupTo(fd, to, closes)),
        4 => fd().prop_map(Step::Remove),
        1 => (fd(), fd()).prop_map(|(from, to)| Step::RemoveRange(from, to)),
        1 => (fd(), any::<bool>()).prop_map(|(fd, closes)| Step::CloseOnExec(fd, closes)),
        1 => Just(Step::Exec),
        1 => (0..140_u32).prop_map(Step::Limit),
        1 => Just(Step::Fork),
    ]
}

/// What is open and whether it closes on exec; `None` for what is only set aside.
#[derive(Default)]
struct Naive {
    open: BTreeMap<u32, Option<(u32, bool)>>,
    limit: u32,
}

impl Naive {
    fn free(&self, min: u32) -> Result<u32, Error> {
        if min > 0 && min >= self.limit {
            return Err(Error::InvalidArgument("a number that none can have"));
        }
        (min..self.limit).find(|fd| !self.open.contains_key(fd)).ok_or(Error::TooManyFiles)
    }

    fn get(&self, fd: u32) -> Result<(u32, bool), Error> {
        self.open.get(&fd).copied().flatten().ok_or(Error::BadDescriptor)
    }

    fn put(&mut self, min: u32, what: Option<(u32, bool)>) -> Result<u32, Error> {
        let fd = self.free(min)?;
        self.open.insert(fd, what);
        Ok(fd)
    }

    fn set_aside(&self, fd: u32) -> Result<(), Error> {
        if self.open.get(&fd) == Some(&None) { Ok(()) } else { Err(Error::BadDescriptor) }
    }

    fn close(&mut self, closes: impl Fn(u32, bool) -> bool) -> Vec<u32> {
        let closing = |(fd, what): (&u32, &Option<(u32, bool)>)| {
            let (what, flag) = (*what)?;
            closes(*fd, flag).then_some((*fd, what))
        };
        let closed: Vec<_> = self.open.iter().filter_map(closing).collect();
        self.open.retain(|fd, _| closed.iter().all(|(gone, _)| gone != fd));
        closed.into_iter().map(|(_, what)| what).collect()
    }
}

fn check(steps: &[Step]) {
    let mut table: FdTable<u32> = FdTable::new(10);
    let mut naive = Naive { limit: 10, ..Naive::default() };
    for (what, step) in (0..).zip(steps) {
        match *step {
            Step::Insert(flag) => assert_eq!(table.insert(what, flag), naive.put(0, Some((what, flag)))),
            Step::InsertFrom(min, flag) => {
                assert_eq!(table.insert_from(min, what, flag), naive.put(min, Some((what, flag))));
            }
            Step::Reserve => assert_eq!(table.reserve(), naive.put(0, None)),
            Step::Fill(fd, flag) => {
                let expected = naive.set_aside(fd);
                assert_eq!(table.fill(fd, what, flag), expected);
                if expected.is_ok() {
                    naive.open.insert(fd, Some((what, flag)));
                }
            }
            Step::Unreserve(fd) => {
                let expected = naive.set_aside(fd);
                assert_eq!(table.unreserve(fd), expected);
                if expected.is_ok() {
                    naive.open.remove(&fd);
                }
            }
            Step::Dup(fd) => {
                let expected = naive.get(fd).and_then(|(what, _)| naive.put(0, Some((what, false))));
                assert_eq!(table.dup(fd), expected);
            }
            Step::DupFrom(fd, min, flag) => {
                let expected = naive.get(fd).and_then(|(what, _)| naive.put(min, Some((what, flag))));
                assert_eq!(table.dup_from(fd, min, flag), expected);
            }
            Step::DupTo(fd, to, flag) => {
                let expected = naive.get(fd).and_then(|(what, _)| {
                    if to >= naive.limit {
                        return Err(Error::BadDescriptor);
                    } else if fd == to {
                        return Ok(None);
                    } else if naive.set_aside(to).is_ok() {
                        return Err(Error::Busy);
                    }
                    Ok(naive.open.insert(to, Some((what, flag))).flatten().map(|(what, _)| what))
                });
                assert_eq!(table.dup_to(fd, to, flag), expected);
            }
            Step::Remove(fd) => {
                let expected = naive.get(fd).map(|(what, _)| what);
                assert_eq!(table.remove(fd), expected);
                if expected.is_ok() {
                    naive.open.remove(&fd);
                }
            }
            Step::RemoveRange(from, to) => {
                let expected = naive.close(|fd, _| (from..=to).contains(&fd));
                assert_eq!(table.remove_range(from..=to), expected);
            }
            Step::CloseOnExec(fd, flag) => {
                let expected = naive.get(fd).map(|(what, _)| {
                    naive.open.insert(fd, Some((what, flag)));
                });
                assert_eq!(table.set_close_on_exec(fd, flag), expected);
            }
            Step::Exec => assert_eq!(table.exec(), naive.close(|_, flag| flag)),
            Step::Limit(limit) => {
                table.set_limit(limit);
                naive.limit = limit;
            }
            Step::Fork => {
                table = table.fork();
                naive.open.retain(|_, what| what.is_some());
            }
        }
        let open: Vec<_> =
            table.iter().map(|(fd, what)| (fd, (*what, table.closes_on_exec(fd).unwrap()))).collect();
        let expected: Vec<_> = naive.open.iter().filter_map(|(fd, what)| Some((*fd, (*what)?))).collect();
        assert_eq!(open, expected, "after {step:?}");
        assert_eq!((table.len(), table.limit()), (naive.open.len(), naive.limit));
    }
}

proptest! {
    #[test]
    fn numbers_are_what_a_naive_model_says(steps in prop::collection::vec(step(), 1..120)) {
        check(&steps);
    }
}

#[test]
fn a_table_without_room_gives_no_number() {
    let mut table = FdTable::new(0);
    assert_eq!(table.insert((), false), Err(Error::TooManyFiles));
    assert!(table.is_empty() && table.iter().next().is_none());
    assert_eq!(table.get(0), Err(Error::BadDescriptor));
    assert_eq!(table.remove_range(0..=u32::MAX), []);
}

#[test]
fn all_numbers_are_given_once_before_there_are_none() {
    let mut table = FdTable::new(5000);
    for fd in 0..5000 {
        assert_eq!(table.insert(fd, false), Ok(fd));
    }
    assert_eq!(table.insert(0, false), Err(Error::TooManyFiles));
    for fd in [4999, 64, 63, 128] {
        assert_eq!(table.remove(fd), Ok(fd));
    }
    for fd in [63, 64, 128, 4999] {
        assert_eq!(table.insert(fd, false), Ok(fd), "the lowest first");
    }
}
