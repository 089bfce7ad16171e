//! Owners and handles: rights that only shrink, ids that are never somebody else's, and an end that returns everything.
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use uos_ipc::{
    Allowance, Capacity, HandleId, Object, OwnerId, Pipe, PipeError, Poller, Quota, Registry, RegistryError,
    Rights, Socket, SocketKind,
};

const SMALL: Allowance = Allowance { pipe_bytes: 1 << 20, handles: 10, ..Allowance::DEFAULT };

fn registry() -> Registry {
    Registry::new(Allowance::DEFAULT)
}

/// A pipe's two ends with this owner.
fn pipe(registry: &Registry, owner: OwnerId) -> Result<(HandleId, HandleId), RegistryError> {
    let Pipe { writer, reader, .. } = Pipe::new(Capacity::DEFAULT, &registry.quotas(owner)?.pipes)?;
    let reader = registry.insert(owner, Object::Reader(reader), Rights::ALL)?;
    match registry.insert(owner, Object::Writer(writer), Rights::ALL) {
        Ok(writer) => Ok((reader, writer)),
        Err(error) => {
            registry.close(owner, reader)?;
            Err(error)
        }
    }
}

fn write(registry: &Registry, owner: OwnerId, id: HandleId, bytes: &[u8]) -> Result<usize, PipeError> {
    let held = registry.get(owner, id, Rights::WRITE).unwrap();
    match (*held).as_ref() {
        Object::Writer(writer) => writer.try_write(bytes),
        other => panic!("{other:?}"),
    }
}

#[test]
fn rights_only_shrink_and_say_what_is_missing() {
    let registry = registry();
    let (a, b) = (registry.add_owner(SMALL), registry.add_owner(SMALL));
    let (reader, _) = pipe(&registry, a).unwrap();
    let both = Rights::READ | Rights::TRANSFER;
    assert_eq!(registry.restrict(a, reader, both), Ok(both));
    assert_eq!(registry.restrict(a, reader, Rights::ALL), Ok(both), "nothing comes back");
    let denied = RegistryError::Denied { lacks: Rights::DUPLICATE, has: both };
    assert_eq!(registry.duplicate(a, reader, Rights::ALL), Err(denied));
    let passed = registry.transfer(a, reader, b, Rights::ALL.without(Rights::TRANSFER)).unwrap();
    assert_eq!(registry.rights(b, passed), Ok(Rights::READ));
    let denied = RegistryError::Denied { lacks: Rights::TRANSFER, has: Rights::READ };
    assert_eq!(registry.transfer(b, passed, a, Rights::ALL), Err(denied.clone()));
    assert_eq!(denied.to_string(), r#"the handle lacks ["transfer"], it has ["read"]"#);
    assert!(matches!(registry.get(b, passed, Rights::WRITE).err(), Some(RegistryError::Denied { .. })));
}

#[test]
fn a_foreign_or_stale_id_is_unknown() {
    let registry = registry();
    let (a, b) = (registry.add_owner(SMALL), registry.add_owner(SMALL));
    let (reader, writer) = pipe(&registry, a).unwrap();
    let unknown = |id| RegistryError::Unknown { id };
    assert_eq!(registry.get(b, reader, Rights::NONE).err(), Some(unknown(reader)), "somebody else's");
    registry.close(a, reader).unwrap();
    assert_eq!(registry.close(a, reader), Err(unknown(reader)), "closed");
    let (again, _) = pipe(&registry, a).unwrap();
    assert!(again != reader && registry.get(a, reader, Rights::NONE).is_err(), "never given twice");
    let passed = registry.transfer(a, writer, b, Rights::ALL).unwrap();
    assert_eq!(registry.close(a, writer), Err(unknown(writer)), "passed on");
    assert_eq!(registry.close(a, passed), Err(unknown(passed)));
    let nobody = HandleId::new(u64::MAX);
    assert_eq!(registry.close(a, nobody), Err(unknown(nobody)));
    registry.on_exit(b);
    assert_eq!(registry.transfer(a, again, b, Rights::ALL), Err(RegistryError::Owner));
    assert!(registry.get(a, again, Rights::ALL).is_ok(), "a refused transfer changes nothing");
}

#[test]
fn an_end_returns_everything_once() {
    let registry = registry();
    let (a, b) = (registry.add_owner(SMALL), registry.add_owner(SMALL));
    let (kept_reader, writer) = pipe(&registry, a).unwrap();
    let passed = registry.transfer(a, writer, b, Rights::ALL).unwrap();
    pipe(&registry, a).unwrap();
    let sockets = registry.quotas(a).unwrap().sockets;
    let (one, other) = Socket::pair(SocketKind::Stream, 100, &sockets).unwrap();
    for socket in [one, other] {
        registry.insert(a, Object::Socket(socket), Rights::ALL).unwrap();
    }
    assert_eq!(write(&registry, b, passed, b"x"), Ok(1));
    assert_eq!(registry.on_exit(a), 5, "as many as it held");
    assert_eq!(registry.on_exit(a), 0);
    assert_eq!(write(&registry, b, passed, b"x"), Err(PipeError::BrokenPipe), "its reader is gone");
    assert!(registry.get(a, kept_reader, Rights::NONE).is_err());
    assert_eq!(registry.add_owner(SMALL).get(), passed.get() + 1 + 4, "numbers go on");
    registry.on_exit(b);
    let nothing = Allowance { pipe_bytes: 0, queue_bytes: 0, socket_bytes: 0, segment_bytes: 0, handles: 0 };
    assert_eq!(registry.used(), nothing);
}

#[test]
fn a_wait_through_a_handle_ends_with_its_owner() {
    let registry = registry();
    let owner = registry.add_owner(SMALL);
    let (reader, _writer) = pipe(&registry, owner).unwrap();
    let held = registry.get(owner, reader, Rights::READ).unwrap();
    let Object::Reader(reader) = (*held).as_ref() else { panic!("a reader") };
    let (mut read, mut cx) = (pin!(reader.read(1)), Context::from_waker(Waker::noop()));
    assert!(read.as_mut().poll(&mut cx).is_pending());
    registry.on_exit(owner);
    assert_eq!(
        read.as_mut().poll(&mut cx),
        Poll::Ready(Err(PipeError::Closed)),
        "though somebody is using it"
    );
}

#[test]
fn one_of_two_handles_to_an_object_leaves_it_open() {
    let registry = registry();
    let (a, b) = (registry.add_owner(SMALL), registry.add_owner(SMALL));
    let (_reader, writer) = pipe(&registry, a).unwrap();
    let second = registry.duplicate(a, writer, Rights::WRITE | Rights::TRANSFER).unwrap();
    let theirs = registry.transfer(a, second, b, Rights::ALL).unwrap();
    registry.close(a, writer).unwrap();
    assert_eq!(write(&registry, b, theirs, b"x"), Ok(1));
}

#[test]
fn handles_are_counted_too() {
    let registry = registry();
    let (a, b) = (registry.add_owner(SMALL), registry.add_owner(SMALL));
    let ends: Vec<_> = (0..5).map(|_| pipe(&registry, a).unwrap()).collect();
    assert!(
        matches!(pipe(&registry, a), Err(RegistryError::Quota(error)) if (error.used, error.limit) == (10, 10))
    );
    assert!(registry.duplicate(a, ends[0].0, Rights::ALL).is_err());
    let before = registry.quotas(a).unwrap().used();
    let passed = registry.transfer(a, ends[0].0, b, Rights::ALL).unwrap();
    assert_eq!(registry.quotas(a).unwrap().used().handles, before.handles - 1);
    registry.duplicate(b, passed, Rights::ALL).unwrap();
    registry.transfer(a, ends[1].0, a, Rights::ALL).expect("to oneself, which costs one for a moment");
    assert_eq!((registry.handles(a), registry.handles(b)), (Ok(9), Ok(2)));
}

#[test]
fn many_things_are_waited_for_at_once() {
    let quota = Quota::root("pipes", 1 << 30);
    let mut poller = Poller::new();
    let pipes: Vec<_> = (0..1_000)
        .map(|key| {
            let Pipe { writer, reader, control } = Pipe::new(Capacity::DEFAULT, &quota).unwrap();
            let reader = Arc::new(reader);
            poller.add(key, {
                let reader = reader.clone();
                move || reader.readable()
            });
            (writer, reader, control)
        })
        .collect();
    assert_eq!(poller.wait_timeout(std::time::Duration::ZERO), []);
    for key in [700, 3, 999] {
        pipes[key].0.try_write(b"x").unwrap();
    }
    assert_eq!(poller.wait_blocking(), [3, 700, 999]);
    pipes[3].1.try_read(1).unwrap();
    assert_eq!(poller.wait_blocking(), [700, 999], "told again until it is not");
    assert!(poller.remove(700) && !poller.remove(700));
    pipes[5].0.close();
    assert_eq!(poller.wait_blocking(), [5, 999], "the end is readable");
    assert!(poller.remove(5) && poller.remove(999));
    let waiting = std::thread::spawn(move || poller.wait_blocking());
    while pipes[0].2.stats().waiting_readers == 0 {
        std::thread::yield_now();
    }
    pipes[42].0.try_write(b"x").unwrap();
    assert_eq!(waiting.join().unwrap(), [42]);
}

proptest! {
    /// Random histories beside a list of who holds what: nothing is held twice, lost, or given more rights.
    #[test]
    fn a_registry_is_its_model(ops in prop::collection::vec((0..7u8, 0..4usize, 0..4usize, 0..8usize, 0..32u8), 1..120)) {
        let registry = registry();
        let mut owners: Vec<Option<OwnerId>> = (0..4).map(|_| Some(registry.add_owner(SMALL))).collect();
        let mut model: BTreeMap<HandleId, (usize, Rights)> = BTreeMap::new();
        let all = [Rights::READ, Rights::WRITE, Rights::DUPLICATE, Rights::TRANSFER, Rights::DESTROY];
        for (op, from, to, which, bits) in ops {
            let keep = all.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).fold(Rights::NONE, |sum, (_, right)| sum | *right);
            let keys: Vec<HandleId> = model.keys().copied().collect();
            let id = keys.get(which % keys.len().max(1)).copied().unwrap_or(HandleId::new(1 << 40));
            let Some(owner) = owners[from] else {
                prop_assert_eq!(registry.on_exit(owner_of_old(&registry)), 0);
                continue;
            };
            let mine = model.get(&id).filter(|(holder, _)| *holder == from).copied();
            let count = |model: &BTreeMap<HandleId, (usize, Rights)>, who: usize| model.values().filter(|(holder, _)| *holder == who).count();
            match op {
                0 | 1 => {
                    let made = pipe(&registry, owner);
                    prop_assert_eq!(made.is_ok(), count(&model, from) + 2 <= 10);
                    if let Ok((reader, writer)) = made {
                        model.insert(reader, (from, Rights::ALL));
                        model.insert(writer, (from, Rights::ALL));
                    }
                }
                2 => {
                    let answer = registry.restrict(owner, id, keep);
                    prop_assert_eq!(answer.clone().ok(), mine.map(|(_, rights)| rights & keep));
                    if let Ok(rights) = answer {
                        model.insert(id, (from, rights));
                    }
                }
                3 => {
                    let allowed = mine.is_some_and(|(_, rights)| rights.contains(Rights::DUPLICATE)) && count(&model, from) < 10;
                    let answer = registry.duplicate(owner, id, keep);
                    prop_assert_eq!(answer.is_ok(), allowed);
                    if let (Ok(copy), Some((_, rights))) = (answer, mine) {
                        model.insert(copy, (from, rights & keep));
                    }
                }
                4 => {
                    let Some(taker) = owners[to] else { continue };
                    let room = count(&model, to) < 10;
                    let allowed = mine.is_some_and(|(_, rights)| rights.contains(Rights::TRANSFER)) && room;
                    let answer = registry.transfer(owner, id, taker, keep);
                    prop_assert_eq!(answer.is_ok(), allowed);
                    if let (Ok(passed), Some((_, rights))) = (answer, mine) {
                        model.remove(&id);
                        model.insert(passed, (to, rights & keep));
                    }
                }
                5 => {
                    prop_assert_eq!(registry.close(owner, id).is_ok(), mine.is_some());
                    if mine.is_some() {
                        model.remove(&id);
                    }
                }
                _ => {
                    prop_assert_eq!(registry.on_exit(owner), count(&model, from));
                    prop_assert_eq!(registry.on_exit(owner), 0);
                    model.retain(|_, (holder, _)| *holder != from);
                    owners[from] = None;
                }
            }
            prop_assert_eq!(registry.used().handles, model.len() as u64);
            for (id, (holder, rights)) in &model {
                prop_assert_eq!(registry.rights(owners[*holder].unwrap(), *id), Ok(*rights));
            }
        }
        for owner in owners.into_iter().flatten() {
            registry.on_exit(owner);
        }
        prop_assert_eq!(registry.used().pipe_bytes + registry.used().handles, 0);
    }
}

/// One who has ended.
fn owner_of_old(registry: &Registry) -> OwnerId {
    let owner = registry.add_owner(SMALL);
    registry.on_exit(owner);
    owner
}
