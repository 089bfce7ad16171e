//! A process that uses everything that is shared, killed at random points: whoever is left sees the end, and nothing is left
//! over. Alone in its test binary, as it counts the descriptors and mappings of its own process.
#![cfg(target_os = "linux")]
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;
use uos_ipc::{
    Access, Capacity, Carries, Handoff, HandoffError, Input, Limits, LoanError, Message, Output, Passed,
    PipeError, QueueError, Quota, Segments, Sharing, link, loans,
};

const ROLE: &str = "UOS_IPC_VICTIM";

fn byte(at: u64) -> u8 {
    (at % 251) as u8
}

/// Writes bytes, takes messages, sends slots, looks at lent blocks, and makes, maps and passes segments, until it is killed.
fn be_the_victim() -> ! {
    let first = Handoff::from_fd(std::io::stdin().as_fd().try_clone_to_owned().unwrap()).unwrap();
    let quota = Quota::root("victim's", Segments::MAX_TOTAL_BYTES);
    let passed = || first.recv_passed(1 << 20, &quota).unwrap().expect("not the end");
    let (Passed::End(bytes), Passed::End(messages), Passed::End(numbers), Passed::Loans(borrower)) =
        (passed(), passed(), passed(), passed())
    else {
        panic!("three ends and the loans are passed")
    };
    let (Ok(Input::Bytes(mut bytes)), Ok(Output::Messages(mut messages)), Ok(Input::Slots(mut numbers))) =
        (bytes.into_input(), messages.into_output(), numbers.into_input())
    else {
        panic!("bytes, messages and slots")
    };
    let mut borrower = borrower.open().unwrap();
    let (segments, mut written, mut number) = (Segments::new(&quota), 0, 0u64);
    loop {
        let chunk: Vec<u8> = (written..written + 1_000 + number % 3_000).map(byte).collect();
        written += bytes.try_write(&chunk).unwrap_or(0) as u64;
        while messages.try_recv().is_ok() {}
        let mut slot = [0; 64];
        slot[..8].copy_from_slice(&number.to_le_bytes());
        if numbers.try_send(&slot).is_ok() {
            number += 1;
        }
        if let Ok(block) = borrower.try_recv() {
            block.read(0, &mut [0; 100]).unwrap();
        }
        if number.is_multiple_of(8) {
            let segment = segments.create(8_192, Sharing::Writers).unwrap();
            segment.attach(Access::ReadWrite).unwrap().write(0, b"passed").unwrap();
            let _ = first.send_segment(&segment, Access::ReadOnly);
        }
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn mapped_segments() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .filter(|line| line.contains("uos-segment"))
        .count()
}

#[test]
fn a_killed_process_leaves_nothing_behind() {
    if std::env::var_os(ROLE).is_some() {
        be_the_victim();
    }
    let kills: u64 = std::env::var("UOS_CAMPAIGN_PEER_KILLS").map_or(20, |text| text.parse().unwrap());
    let mut random = u64::from(std::process::id()) | 1;
    println!("begins with {random}");
    let (mut received, mut numbers, mut segments) = (0, 0, 0);
    // The first one starts what is there once: the thread that waits for descriptors.
    one_is_killed(Duration::ZERO, &mut (0, 0, 0));
    let before = (descriptors(), mapped_segments());
    for _ in 0..kills {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut seen = (0, 0, 0);
        one_is_killed(Duration::from_micros(random % 4_000), &mut seen);
        (received, numbers, segments) = (received + seen.0, numbers + seen.1, segments + seen.2);
        assert_eq!((descriptors(), mapped_segments()), before);
    }
    println!("{kills} kills: {received} bytes, {numbers} slots, {segments} segments came before them");
    assert!(received > 0 && numbers > 0 && segments > 0, "they were killed at work");
}

/// Counts the bytes, slots and segments that come before the end.
fn one_is_killed(after: Duration, (bytes_seen, slots_seen, segments_seen): &mut (u64, u64, u64)) {
    let quota = Quota::root("all", Segments::MAX_TOTAL_BYTES);
    let made = Segments::new(&quota);
    let (here, there) = Handoff::pair().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_killed_process_leaves_nothing_behind", "--nocapture"])
        .env(ROLE, "1")
        .stdin(Stdio::from(there.into_fd()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (theirs, bytes) = link(Carries::Bytes(Capacity::DEFAULT), &made).unwrap();
    let (messages, theirs_too) = link(Carries::Messages(Limits::DEFAULT), &made).unwrap();
    let (also_theirs, slots) = link(Carries::Slots(64), &made).unwrap();
    let (mut lender, borrower) = loans(1_000, 4, &made).unwrap();
    let mut leases = Vec::new();
    for end in [theirs, theirs_too, also_theirs] {
        leases.push(here.send_end(end).unwrap());
    }
    leases.push(here.send_loans(borrower).unwrap().1);
    let (Ok(Output::Bytes(mut bytes)), Ok(Input::Messages(mut messages)), Ok(Output::Slots(mut slots))) =
        (bytes.into_output(), messages.into_input(), slots.into_output())
    else {
        panic!("bytes, messages and slots")
    };
    let mut buffer = vec![0; 10_000];
    let mut work = |killed: bool| {
        let mut over = 0;
        match bytes.try_read_into(&mut buffer) {
            Ok(0) => over += 1,
            Ok(len) => {
                assert!(
                    buffer[..len].iter().zip(*bytes_seen..).all(|(seen, at)| *seen == byte(at)),
                    "torn bytes"
                );
                *bytes_seen += len as u64;
            }
            Err(error) => assert!(matches!(error, PipeError::WouldBlock { .. }), "{error}"),
        }
        match messages.try_send(&Message::from(b"for the victim")) {
            Ok(()) | Err(QueueError::Full { .. }) => {}
            Err(error) => {
                assert_eq!(error, QueueError::Abandoned);
                over += 1;
            }
        }
        match slots.try_recv() {
            Ok(slot) => {
                assert_eq!(slot[..8], slots_seen.to_le_bytes());
                *slots_seen += 1;
            }
            Err(QueueError::Ended) => over += 1,
            Err(error) => assert_eq!(error, QueueError::Empty),
        }
        match lender.loan(500).and_then(|loan| lender.send(loan)) {
            Ok(()) | Err(LoanError::NoneFree { .. } | LoanError::Ring(QueueError::Full { .. })) => {}
            Err(error) => {
                assert_eq!(error, LoanError::Ring(QueueError::Abandoned));
                over += 1;
            }
        }
        // Only when something is there, or the end: this one may wait.
        if killed || !matches!(is_readable(&here), Some(false)) {
            match here.recv_passed(1 << 20, &quota) {
                Ok(None) | Err(HandoffError::Closed) => over += 1,
                Ok(Some(Passed::Segment(segment))) => {
                    assert_eq!(segment.attach(Access::ReadOnly).unwrap().read_vec(0, 6).unwrap(), b"passed");
                    *segments_seen += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        over
    };
    // At work, as it has sent something.
    while work(false) == 0 && is_readable(&here) == Some(false) {}
    std::thread::sleep(after);
    for _ in 0..20 {
        work(false);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    while work(true) < 5 {}
    drop((bytes, messages, slots, lender, here));
    assert!(quota.used() > 0, "what was lent is charged until its process is known to have ended");
    drop(leases);
    assert_eq!(quota.used(), 0);
}

/// Whether there is something to take, or the end.
fn is_readable(handoff: &Handoff) -> Option<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled = [PollFd::new(handoff, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).ok().map(|ready| ready > 0)
}
