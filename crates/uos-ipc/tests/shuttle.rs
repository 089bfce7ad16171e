//! Random schedules of what is too large for loom: owners that end while their handles are used and passed on.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test -p uos-ipc --test shuttle --release`; `UOS_CAMPAIGN_SCHEDULES` says how many of each.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use shuttle::thread;
use std::sync::Arc;
use uos_ipc::{Allowance, Capacity, HandleId, Object, OwnerId, Pipe, Registry, Rights, slots};

fn check(run: impl Fn() + Sync + Send + 'static) {
    let schedules = std::env::var("UOS_CAMPAIGN_SCHEDULES").map_or(2_000, |text| text.parse().unwrap());
    shuttle::check_random(run, schedules);
}

fn with_pipe(registry: &Registry, owner: OwnerId) -> (HandleId, HandleId) {
    let Pipe { writer, reader, .. } =
        Pipe::new(Capacity::new(64).unwrap(), &registry.quotas(owner).unwrap().pipes).unwrap();
    let reader = registry.insert(owner, Object::Reader(reader), Rights::ALL).unwrap();
    (reader, registry.insert(owner, Object::Writer(writer), Rights::ALL).unwrap())
}

#[test]
fn owners_end_while_handles_are_used_and_passed_on() {
    check(|| {
        let registry = Arc::new(Registry::new(Allowance::DEFAULT));
        let [a, b, c] = [(); 3].map(|()| registry.add_owner(Allowance::DEFAULT));
        let (reader, writer) = with_pipe(&registry, a);
        let run = |work: Box<dyn FnOnce(&Registry) + Send>| {
            let registry = registry.clone();
            thread::spawn(move || work(&registry))
        };
        let threads = [
            run(Box::new(move |registry| {
                // There and on; or somebody ends before, and it goes with whoever holds it.
                if let Ok(passed) = registry.transfer(a, writer, b, Rights::ALL) {
                    let _ = registry.transfer(b, passed, c, Rights::ALL);
                }
            })),
            run(Box::new(move |registry| {
                let _ = registry.duplicate(a, reader, Rights::READ);
                if let Ok(held) = registry.get(a, reader, Rights::READ)
                    && let Object::Reader(reader) = (*held).as_ref()
                {
                    let _ = reader.try_read(8);
                }
            })),
            run(Box::new(move |registry| {
                registry.on_exit(a);
            })),
            run(Box::new(move |registry| {
                registry.on_exit(b);
                registry.on_exit(a);
            })),
        ];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(registry.used().handles <= 1, "at most the writer, with the one who has not ended");
        registry.on_exit(c);
        assert_eq!((registry.used().handles, registry.used().pipe_bytes), (0, 0));
    });
}

#[test]
fn transfers_across_each_other_never_lock_up() {
    check(|| {
        let registry = Arc::new(Registry::new(Allowance::DEFAULT));
        let [a, b] = [(); 2].map(|()| registry.add_owner(Allowance::DEFAULT));
        let (of_a, of_b) = (with_pipe(&registry, a).0, with_pipe(&registry, b).0);
        let threads = [(a, of_a, b), (b, of_b, a)].map(|(from, id, to)| {
            let registry = registry.clone();
            thread::spawn(move || registry.transfer(from, id, to, Rights::ALL).unwrap())
        });
        let [in_b, in_a] = threads.map(|thread| thread.join().unwrap());
        assert!(registry.rights(b, in_b).is_ok() && registry.rights(a, in_a).is_ok());
        assert_eq!(registry.on_exit(a) + registry.on_exit(b), 4);
        assert_eq!((registry.used().handles, registry.used().pipe_bytes), (0, 0));
    });
}

#[test]
fn two_writers_and_two_readers_lose_nothing() {
    check(|| {
        let registry = Registry::new(Allowance::DEFAULT);
        let owner = registry.add_owner(Allowance::DEFAULT);
        let Pipe { writer, reader, control } =
            Pipe::new(Capacity::new(4).unwrap(), &registry.quotas(owner).unwrap().pipes).unwrap();
        let writers = [writer.clone(), writer]
            .map(|writer| thread::spawn(move || (0..3).filter(|_| writer.try_write(b"ab").is_ok()).count()));
        let readers = [reader.clone(), reader].map(|reader| {
            thread::spawn(move || {
                (0..3).map(|_| reader.try_read(3).map_or(0, |bytes| bytes.len())).sum::<usize>()
            })
        });
        let written = writers.map(|thread| thread.join().unwrap()).iter().sum::<usize>() * 2;
        let read: usize = readers.map(|thread| thread.join().unwrap()).iter().sum();
        let stats = control.stats();
        assert_eq!(written as u64, stats.read_bytes + stats.discarded_bytes);
        assert_eq!((read as u64, registry.used().pipe_bytes), (stats.read_bytes, 0));
    });
}

#[test]
fn a_ring_keeps_its_order_while_both_sides_sleep_and_wake() {
    check(|| {
        let registry = Registry::new(Allowance::DEFAULT);
        let quota = registry.quotas(registry.add_owner(Allowance::DEFAULT)).unwrap().queues;
        let (mut sender, mut receiver) = slots(2, &quota).unwrap();
        let sending = thread::spawn(move || (0..6).for_each(|n| sender.send_blocking(&[n; 64]).unwrap()));
        let received: Vec<u8> =
            std::iter::from_fn(|| receiver.recv_blocking().ok()).map(|slot| slot[0]).collect();
        assert_eq!(received, [0, 1, 2, 3, 4, 5]);
        sending.join().unwrap();
    });
}
