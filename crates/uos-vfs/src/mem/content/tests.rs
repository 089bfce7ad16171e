use super::{Balance, CHUNK, Chunk, Content};
use crate::{Allocate, Seek};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const C: u64 = CHUNK as u64;

fn all(content: &Content) -> Vec<u8> {
    content.read_bytes(0, usize::MAX).unwrap().to_vec()
}

fn write(content: &mut Content, offset: u64, data: &[u8]) {
    let cost = content.cost_of_write(offset, data.len());
    assert_eq!(content.write_at(offset, data).added, cost);
}

#[test]
fn holes_read_as_zero_and_store_nothing() {
    let mut content = Content::default();
    let far = 300 * C + 7;
    write(&mut content, far, b"end");
    assert_eq!((content.len(), content.stored()), (far + 3, 10));
    let bytes = all(&content);
    assert!(bytes[..far as usize].iter().all(|&byte| byte == 0));
    assert_eq!(&bytes[far as usize..], b"end");
    let mut buf = [1; 12];
    assert_eq!(content.read_at(far - 9, &mut buf), 12);
    assert_eq!(&buf, b"\0\0\0\0\0\0\0\0\0end");
}

#[test]
fn writes_cross_chunks_and_cuts_forget() {
    let mut content = Content::default();
    let data: Vec<u8> = (0..40 * CHUNK + 100).map(|i| (i % 251) as u8).collect();
    write(&mut content, 5, &data);
    assert_eq!(content.stored(), data.len() as u64 + 5);
    assert_eq!(&all(&content)[5..], data);
    // Of the last chunk there is little, which counts as a KiB.
    let mut before = 40 * C + 1024;
    for (len, counts) in [(C * 33, C * 33), (C * 2, C * 2), (C + 1, C + 1024), (C, C), (3, 3), (0, 0)] {
        assert_eq!(content.set_len(len), Balance { added: 0, freed: before - counts });
        assert_eq!((content.len(), content.stored()), (len, len));
        before = counts;
    }
    let _ = content.set_len(10);
    assert_eq!((all(&content), content.stored()), (vec![0; 10], 0));
}

#[test]
fn what_is_shared_counts_once_until_one_of_the_two_changes() {
    let mut content = Content::new(&vec![1; 40 * CHUNK]);
    let old = content.clone();
    assert_eq!(content.cost_of_write(3, 1), C);
    assert_eq!(content.write_at(3, b"x"), Balance { added: C, freed: 0 });
    assert_eq!(content.write_at(4, b"x"), Balance::default());
    assert_eq!(all(&old), vec![1; 40 * CHUNK]);
    assert_eq!(content.cost_of_len(C + 5), 1024);
    assert_eq!(content.set_len(C + 5), Balance { added: 1024, freed: 0 });
    assert_eq!(old.release(), 40 * C);
    assert_eq!(content.release(), C + 1024);
}

#[test]
fn single_bytes_far_apart_count_for_their_branches() {
    let mut content = Content::default();
    for nth in 0..100 {
        write(&mut content, nth * 40 * C, b"x");
    }
    assert_eq!((content.own_bytes(), content.stored()), (1 + 99 * 1024, 100));
    // Up to the least that a chunk counts, more in it costs nothing.
    assert_eq!(content.cost_of_write(40 * C + 1, 1023), 0);
    assert_eq!(content.cost_of_write(40 * C + 1, 1024), 1);
    assert_eq!(content.cost_of_range(0, 80 * C + 1, Allocate::Reserve), 80 * C - 1 - 1024);
    assert_eq!(content.set_range(40 * C, 1, Allocate::Punch), Balance { added: 0, freed: 1024 });
    assert_eq!(content.release(), 1 + 98 * 1024);
}

#[test]
fn cutting_gives_memory_back() {
    let mut content = Content::new(&[1; CHUNK]);
    let _ = content.set_len(1);
    assert!(content.tree.get(0).unwrap().capacity() < 64);
    let _ = content.set_len(0);
    assert!(content.tree.next(0).is_none());
}

#[test]
fn data_and_holes_are_told_apart() {
    let mut content = Content::default();
    write(&mut content, 5 * C, b"x");
    let _ = content.set_len(9 * C);
    assert_eq!(content.seek(0, Seek::Hole), Some(0));
    assert_eq!(content.seek(0, Seek::Data), Some(5 * C));
    assert_eq!(content.seek(5 * C, Seek::Hole), Some(5 * C + 1));
    assert_eq!(content.seek(5 * C + 1, Seek::Data), None);
    assert_eq!(content.seek(9 * C, Seek::Hole), None);
    write(&mut content, 6 * C, b"y");
    assert_eq!(content.seek(5 * C + 1, Seek::Data), Some(6 * C));
    let _ = content.set_range(0, 2 * C, Allocate::Reserve);
    assert_eq!(content.seek(3, Seek::Hole), Some(2 * C));
}

/// What counts of all chunks there are, each once however many have it.
fn counted(contents: &[Content]) -> u64 {
    let mut chunks: BTreeMap<*const Vec<u8>, u64> = BTreeMap::new();
    for (index, chunk) in contents.iter().flat_map(Content::chunks) {
        let least = if index == 0 { 0 } else { 1024 };
        chunks.insert(Arc::as_ptr(chunk), least.max(Chunk::as_ref(chunk).len() as u64));
    }
    chunks.values().sum()
}

/// What may happen to two contents that began as one.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, usize),
    SetLen(u64),
    Range(u64, u64, Allocate),
    /// Starts over from the other's state.
    Share,
}

fn step() -> impl Strategy<Value = Step> {
    let offset = || prop_oneof![0..100u64, C - 50..C + 50, 0..3 * C, 32 * C - 20..34 * C];
    let how = prop::sample::select(vec![
        Allocate::Punch,
        Allocate::Reserve,
        Allocate::ReserveKeepingLength,
        Allocate::Zero,
        Allocate::ZeroKeepingLength,
    ]);
    prop_oneof![
        4 => (offset(), 1..40_000usize).prop_map(|(offset, len)| Step::Write(offset, len)),
        2 => offset().prop_map(Step::SetLen),
        3 => (offset(), 1..3 * C, how).prop_map(|(offset, len, how)| Step::Range(offset, len, how)),
        1 => Just(Step::Share),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Both read as plain vectors do, and what was taken less what was set free is what there is: each chunk
    /// once, and at the end, when both are let go, nothing.
    #[test]
    fn contents_behave_as_vectors_and_their_bytes_add_up(
        steps in prop::collection::vec((any::<bool>(), step()), 1..40),
    ) {
        let mut real = [Content::default(), Content::default()];
        let mut plain = [Vec::<u8>::new(), Vec::new()];
        let mut taken = 0u64;
        for (nth, (which, step)) in steps.into_iter().enumerate() {
            let which = usize::from(which);
            let (content, model) = (&mut real[which], &mut plain[which]);
            let (cost, balance) = match step {
                Step::Write(offset, len) => {
                    let data = vec![nth as u8 + 1; len];
                    let end = offset as usize + len;
                    model.resize(model.len().max(end), 0);
                    model[offset as usize..end].copy_from_slice(&data);
                    let cost = content.cost_of_write(offset, len);
                    (cost, content.write_at(offset, &data))
                }
                Step::SetLen(len) => {
                    model.resize(len as usize, 0);
                    (content.cost_of_len(len), content.set_len(len))
                }
                Step::Range(offset, len, how) => {
                    let end = (offset + len) as usize;
                    if matches!(how, Allocate::Reserve | Allocate::Zero) {
                        model.resize(model.len().max(end), 0);
                    }
                    if !matches!(how, Allocate::Reserve | Allocate::ReserveKeepingLength) {
                        let (from, to) = (model.len().min(offset as usize), model.len().min(end));
                        model[from..to].fill(0);
                    }
                    (content.cost_of_range(offset, len, how), content.set_range(offset, len, how))
                }
                Step::Share => {
                    let fresh = content.clone();
                    plain[1 - which] = model.clone();
                    taken -= std::mem::replace(&mut real[1 - which], fresh).release();
                    continue;
                }
            };
            prop_assert!(balance.added <= cost, "{balance:?} of {cost}");
            taken = taken + balance.added - balance.freed;
            prop_assert_eq!(taken, counted(&real));
            for (content, model) in real.iter().zip(&plain) {
                prop_assert_eq!(content.len(), model.len() as u64);
                prop_assert!(&all(content) == model);
            }
        }
        for content in real {
            taken -= content.release();
        }
        prop_assert_eq!(taken, 0);
    }
}
