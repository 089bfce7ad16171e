//! The audit over a sink that fails, and of calls that break: nothing is lost, and nobody who only looks waits for ever.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use uos_proto::v1::{GetUptime, WriteFile};
use uos_syscall::{
    Errno, Event, Kernel, Observer,
    audit::{Decision, Memory, Overflow, Record, Sink, Subject},
    namespace,
};
use uos_vfs::VPath;

/// A disk that is full until it is told otherwise.
#[derive(Clone, Default)]
struct Disk {
    has_room: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
}

impl Sink for Disk {
    fn write(&mut self, batch: &[Record]) -> io::Result<()> {
        if !self.has_room.load(Ordering::Acquire) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.written.fetch_add(batch.len() as u64, Ordering::AcqRel);
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_delays_records_and_loses_none() {
    let disk = Disk::default();
    let mounts = namespace::standard(namespace::Capacity::default()).unwrap();
    let spawner = uos_proc::FakeSpawner::new(|_| Ok(uos_proc::Script::new()));
    let kernel = Kernel::builder(mounts, spawner).audit(disk.clone()).start().unwrap();
    for _ in 0..3 {
        kernel.invoke(&kernel.init(), GetUptime {}.into()).await.unwrap();
    }
    assert!(!kernel.audit().flush_within(Duration::from_millis(300)), "the disk is full");
    // Whoever writes may not have come to it by then.
    let begun = Instant::now();
    while kernel.audit().failures() == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody has tried to write");
        std::thread::yield_now();
    }
    assert_eq!(disk.written.load(Ordering::Acquire), 0);

    disk.has_room.store(true, Ordering::Release);
    kernel.audit().flush();
    assert_eq!(disk.written.load(Ordering::Acquire), 3);
}

#[tokio::test]
async fn a_full_disk_loses_records_by_count_where_calls_are_not_to_wait() {
    let disk = Disk::default();
    let mounts = namespace::standard(namespace::Capacity::default()).unwrap();
    let spawner = uos_proc::FakeSpawner::new(|_| Ok(uos_proc::Script::new()));
    let kernel = Kernel::builder(mounts, spawner).audit_with(disk.clone(), Overflow::Drop).start().unwrap();
    // Far more than there is room for: with the usual choice these would wait for ever.
    const CALLS: u64 = 10_000;
    for _ in 0..CALLS {
        kernel.invoke(&kernel.init(), GetUptime {}.into()).await.unwrap();
    }
    let dropped = kernel.audit().dropped();
    assert!(dropped > 0 && kernel.audit().recorded() + dropped == CALLS, "{dropped}");
    disk.has_room.store(true, Ordering::Release);
    kernel.audit().flush();
    assert_eq!(disk.written.load(Ordering::Acquire), CALLS - dropped);
    // There is room again.
    kernel.invoke(&kernel.init(), GetUptime {}.into()).await.unwrap();
    assert_eq!(kernel.audit().dropped(), dropped);
}

/// Somebody who can't bear to hear of files.
struct Fragile;

impl Observer for Fragile {
    fn event(&self, event: &Event) {
        assert!(!matches!(event, Event::FileChanged { .. }), "a file has changed");
    }
}

#[tokio::test]
async fn a_call_that_breaks_in_the_middle_is_recorded_with_what_it_was_aimed_at() {
    let records = Memory::new(8);
    let mounts = namespace::standard(namespace::Capacity::default()).unwrap();
    let spawner = uos_proc::FakeSpawner::new(|_| Ok(uos_proc::Script::new()));
    let builder = Kernel::builder(mounts, spawner).audit(records.clone()).observer(Fragile);
    let kernel = Arc::new(builder.start().unwrap());
    let write = WriteFile { path: "/home/../home/x".into(), data: "x".into(), ..Default::default() };
    let broken = tokio::spawn({
        let kernel = Arc::clone(&kernel);
        async move { kernel.invoke(&kernel.init(), write.into()).await }
    });
    assert!(broken.await.unwrap_err().is_panic());
    kernel.audit().flush();
    let [record] = &records.records()[..] else { panic!("one call is one record") };
    assert_eq!(record.subject, Subject::Path(VPath::parse(b"/home/x").unwrap()));
    assert_eq!(record.outcome, Err(Errno::ECANCELED));
    assert!(matches!(record.decision, Decision::Grant(_)), "it was let through before it broke: {record:?}");
}

#[tokio::test]
async fn what_was_recorded_stays_as_it_is_while_places_are_used_again() {
    const CALLS: usize = 5_000;
    let kept = Memory::new(CALLS);
    let mounts = namespace::standard(namespace::Capacity::default()).unwrap();
    let spawner = uos_proc::FakeSpawner::new(|_| Ok(uos_proc::Script::new()));
    let kernel = Kernel::builder(mounts, spawner).audit(kept.clone()).start().unwrap();
    for call in 0..CALLS {
        kernel.invoke(&kernel.init(), GetUptime {}.into()).await.unwrap();
        // Now and then the places begin anew, at another number each time.
        if call % 37 == 0 {
            kernel.audit().flush();
        }
    }
    kernel.audit().flush();
    let records = kept.records();
    assert_eq!(records.len(), CALLS);
    for pair in records.windows(2) {
        assert!(pair[0].at + pair[0].latency <= pair[1].at, "one after the other: {pair:?}");
        assert_eq!((pair[0].outcome, pair[0].call.name), (Ok(()), "GetUptime"));
    }
}
