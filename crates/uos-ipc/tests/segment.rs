//! What every [`SharedMemory`] promises, as one suite. A new keeper of segments adds one `check_all` line.
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use proptest::prelude::*;
use std::thread;
use uos_ipc::{Access, LocalSegment, MappedMemory, Quota, QuotaError, SharedMemory, ShmError};

const MAX: u64 = 100 << 20;
const PAGE: u64 = 4096;

#[test]
fn a_segment_in_this_process() {
    check_all(1, LocalSegment::new);
}

#[cfg(target_os = "linux")]
mod linux {
    use super::{MAX, PAGE, check_all};
    use std::cell::Cell;
    use uos_ipc::{Access, Quota, Segment, Segments, Sharing};

    #[test]
    fn a_segment_that_others_can_map() {
        for sharing in [Sharing::Writers, Sharing::ReadersOnly] {
            check_all(PAGE, |bytes, quota| Segments::new(quota).create(bytes, sharing));
        }
    }

    #[test]
    fn a_segment_in_memory_that_has_served_before() {
        let pool = Quota::root("kept", 2 * MAX);
        let segments = Segments::with_limits(&pool, MAX, 1 << 20);
        let served = Cell::new(0);
        check_all(PAGE, |bytes, quota| {
            let kept = segments.kept_bytes();
            let segment = segments.for_owner(quota).create(bytes, Sharing::Writers);
            served.set(served.get() + usize::from(segments.kept_bytes() < kept));
            segment
        });
        assert!(served.get() > 100, "most has: {}", served.get());
    }

    #[test]
    fn a_segment_that_came_from_elsewhere() {
        // Its size is whole pages, as nobody has said that it uses less.
        check_all(0, |bytes, quota| {
            let theirs = Quota::root("theirs", MAX);
            let segment = Segments::new(&theirs).create(bytes, Sharing::Writers)?;
            let (fd, ..) = segment.share(Access::ReadWrite, 0)?;
            Segment::adopt(fd, MAX, quota)
        });
    }
}

/// Runs the suite on segments of the sizes it asks for. They cost multiples of `unit` bytes; 0 says that what they have is
/// whole pages, too.
fn check_all<S: SharedMemory>(unit: u64, make: impl Fn(u64, &Quota) -> Result<S, ShmError>) {
    let quota = Quota::root("segments", MAX);
    let size = |bytes: u64| if unit == 0 { bytes.next_multiple_of(PAGE) } else { bytes };
    let new = |bytes| make(bytes, &quota).unwrap();
    it_begins_as_zeros_and_is_one_for_all(&new(3 * PAGE));
    ranges_end_where_it_does_and_overflow_nothing(&new(100), size(100));
    rights_only_shrink(&new(PAGE));
    many_write_at_the_same_time(&new(8 * PAGE));
    it_does_what_a_vector_does(&new);
    assert_eq!(quota.used(), 0);
    it_is_charged_until_the_last_hold_goes(unit.max(1), &quota, &new);
    names_are_never_given_twice(&new);
    if unit > 0 {
        sizes_end_at_their_edges(&quota, &make);
    }
    assert_eq!(quota.used(), 0);
}

fn it_begins_as_zeros_and_is_one_for_all(segment: &impl SharedMemory) {
    let len = segment.len_bytes() as usize;
    let (writer, reader) =
        (segment.attach(Access::ReadWrite).unwrap(), segment.attach(Access::ReadOnly).unwrap());
    let later = segment.clone().attach(Access::ReadWrite).unwrap();
    assert_eq!(reader.read_vec(0, len).unwrap(), vec![0; len]);
    writer.write(PAGE - 2, b"over the edge").unwrap();
    for mapping in [&writer, &reader, &later] {
        let mut bytes = [0; 13];
        mapping.read(PAGE - 2, &mut bytes).unwrap();
        assert_eq!(&bytes, b"over the edge");
    }
    assert_eq!(reader.read_vec(PAGE - 4, 4).unwrap(), b"\0\0ov");
    drop((writer, later));
    assert_eq!(reader.read_vec(PAGE, 4).unwrap(), b"er t", "it stays when its writer goes");
}

fn ranges_end_where_it_does_and_overflow_nothing(segment: &impl SharedMemory, size_bytes: u64) {
    let mapping = segment.attach(Access::ReadWrite).unwrap();
    assert_eq!((segment.len_bytes(), mapping.len_bytes()), (size_bytes, size_bytes));
    mapping.write(size_bytes, b"").unwrap();
    mapping.write(size_bytes - 1, b"x").unwrap();
    let beyond = [(0, 1), (0, usize::MAX >> 33), (1, 0)].map(|(after, len)| (size_bytes + after, len));
    let across = [(size_bytes - 1, 2), (0, size_bytes as usize + 1)];
    let overflowing = [(u64::MAX, 1), (u64::MAX - 1, 8), (u64::MAX, 0)];
    for (offset, len) in beyond.into_iter().chain(across).chain(overflowing) {
        let range = ShmError::Range { offset, len: len as u64, size_bytes };
        assert_eq!(mapping.read_vec(offset, len).unwrap_err(), range);
        let mut bytes = vec![7; len.min(1 << 20)];
        let range = ShmError::Range { offset, len: bytes.len() as u64, size_bytes };
        assert_eq!(mapping.write(offset, &bytes).unwrap_err(), range);
        assert_eq!(mapping.read(offset, &mut bytes).unwrap_err(), range);
        assert!(bytes.iter().all(|byte| *byte == 7), "a refused read fills nothing");
    }
    let all = mapping.read_vec(0, size_bytes as usize).unwrap();
    assert!(
        all.ends_with(b"\0x") && all[..all.len() - 1].iter().all(|byte| *byte == 0),
        "nor writes anything"
    );
}

fn rights_only_shrink<S: SharedMemory>(segment: &S) {
    let reader = segment.read_only();
    assert_eq!((segment.access(), reader.access()), (Access::ReadWrite, Access::ReadOnly));
    for handle in [&reader, &reader.clone(), &reader.read_only()] {
        assert_eq!(handle.attach(Access::ReadWrite).err(), Some(ShmError::ReadOnly));
        let mapping = handle.attach(Access::ReadOnly).unwrap();
        assert_eq!(mapping.access(), Access::ReadOnly);
        assert_eq!(mapping.write(0, b"x"), Err(ShmError::ReadOnly));
        assert_eq!(mapping.write(u64::MAX, b"x"), Err(ShmError::ReadOnly), "before it is looked at where");
        assert_eq!(mapping.read_vec(0, 1).unwrap(), [0]);
    }
    let looking = segment.attach(Access::ReadOnly).unwrap();
    assert_eq!(looking.write(0, b"x"), Err(ShmError::ReadOnly), "who asked for less has less");
    segment.attach(Access::ReadWrite).unwrap().write(0, b"x").unwrap();
    assert_eq!(looking.read_vec(0, 1).unwrap(), b"x");
}

fn many_write_at_the_same_time<S: SharedMemory>(segment: &S) {
    let each = segment.len_bytes() / 4;
    thread::scope(|scope| {
        for who in 0..4u8 {
            let mapping = segment.attach(Access::ReadWrite).unwrap();
            scope.spawn(move || {
                for at in 0..each {
                    mapping.write(u64::from(who) * each + at, &[who + 1]).unwrap();
                }
            });
        }
    });
    let all = segment.attach(Access::ReadOnly).unwrap().read_vec(0, segment.len_bytes() as usize).unwrap();
    for (who, part) in all.chunks(each as usize).enumerate() {
        assert!(part.iter().all(|byte| usize::from(*byte) == who + 1), "{who}");
    }
}

fn it_does_what_a_vector_does<S: SharedMemory>(new: &impl Fn(u64) -> S) {
    let access = (0..3u64, prop::collection::vec(any::<u8>(), 0..40), 0..300u64, any::<bool>());
    let histories = (1..200u64, prop::collection::vec(access, 0..40));
    proptest!(|((bytes, history) in histories)| {
        let segment = new(bytes);
        let mut model = vec![0; segment.len_bytes() as usize];
        let mappings = [(); 3].map(|()| segment.attach(Access::ReadWrite).unwrap());
        for (by, data, offset, writes) in history {
            let mapping = &mappings[by as usize];
            let range = offset as usize..offset as usize + data.len();
            let fits = range.end <= model.len();
            if writes {
                prop_assert_eq!(mapping.write(offset, &data).is_ok(), fits);
                if fits {
                    model[range].copy_from_slice(&data);
                }
            } else {
                prop_assert_eq!(mapping.read_vec(offset, data.len()).ok(), fits.then(|| model[range].to_vec()));
            }
        }
        prop_assert_eq!(mappings[0].read_vec(0, model.len()).unwrap(), model);
    });
}

fn it_is_charged_until_the_last_hold_goes<S: SharedMemory>(
    unit: u64,
    quota: &Quota,
    new: &impl Fn(u64) -> S,
) {
    let segment = new(PAGE + 1);
    let charged_bytes = segment.stats().charged_bytes;
    assert!(charged_bytes >= segment.len_bytes() && charged_bytes.is_multiple_of(unit));
    assert_eq!(quota.used(), charged_bytes);
    let (twin, mapping) = (segment.read_only(), segment.attach(Access::ReadWrite).unwrap());
    assert!(segment.stats().holders >= 3);
    drop(segment);
    mapping.write(0, b"x").unwrap();
    drop(mapping);
    assert_eq!(quota.used(), charged_bytes);
    assert_eq!(twin.attach(Access::ReadOnly).unwrap().read_vec(0, 1).unwrap(), b"x");
    drop(twin);
    assert_eq!(quota.used(), 0);
}

fn names_are_never_given_twice<S: SharedMemory>(new: &impl Fn(u64) -> S) {
    let first = new(1);
    let (name, twins) = (first.stats().id, first.clone().stats().id);
    assert_eq!(name, twins);
    drop(first);
    assert!(new(1).stats().id != name);
}

fn sizes_end_at_their_edges<S: SharedMemory>(
    quota: &Quota,
    make: &impl Fn(u64, &Quota) -> Result<S, ShmError>,
) {
    for asked_bytes in [0, MAX + 1, u64::MAX] {
        let refused = make(asked_bytes, quota).err();
        assert_eq!(refused, Some(ShmError::Size { asked_bytes, max_bytes: MAX }));
    }
    let whole = make(MAX, quota).unwrap();
    whole.attach(Access::ReadWrite).unwrap().write(MAX - 1, b"x").unwrap();
    let full = QuotaError { name: "segments", limit: MAX, used: MAX, asked: PAGE };
    assert_eq!(make(PAGE, quota).err(), Some(ShmError::Quota(full)));
}
