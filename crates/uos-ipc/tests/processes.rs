//! Two real processes: what is passed from one to the other, and what they do with it. The other one is this test again, in
//! another role.
#![cfg(target_os = "linux")]
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "../examples/share.rs"]
#[expect(dead_code, reason = "of the example, all but its main is used here")]
mod share;

use rustix::fs::MemfdFlags;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use uos_ipc::{
    Access, ByteStream, Capacity, Carries, Enforcement, Handoff, HandoffError, Input, Limits, LoanError,
    MAX_PACKET_BYTES, Message, Output, Passed, Pipe, QueueError, Quota, Segments, SharedPipe, Sharing, link,
    loans,
};

const ROLE: &str = "UOS_IPC_ROLE";

fn quota() -> Quota {
    Quota::root("shm", Segments::MAX_TOTAL_BYTES)
}

/// This test in the other process, which is killed at the end of the test if it is still there.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }
}

impl Other {
    fn start(test: &str) -> (Other, Handoff) {
        let (here, there) = Handoff::pair().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(ROLE, test)
            .stdin(Stdio::from(there.into_fd()))
            .stdout(Stdio::null())
            .spawn();
        (Other(child.unwrap()), here)
    }

    /// It has ended, and found nothing wrong.
    fn succeeded(mut self) {
        assert!(self.0.wait().unwrap().success());
    }
}

/// The way to the first process, if this is the other one.
fn role(test: &str) -> Option<Handoff> {
    let plays = std::env::var(ROLE).is_ok_and(|role| role == test);
    plays.then(|| Handoff::from_fd(std::io::stdin().as_fd().try_clone_to_owned().unwrap()).unwrap())
}

fn passed(handoff: &Handoff, quota: &Quota) -> Passed {
    handoff.recv_passed(Segments::MAX_SEGMENT_BYTES, quota).unwrap().expect("not the end")
}

fn input(handoff: &Handoff, quota: &Quota) -> Input {
    match passed(handoff, quota) {
        Passed::End(end) => end.into_input().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn output(handoff: &Handoff, quota: &Quota) -> Output {
    match passed(handoff, quota) {
        Passed::End(end) => end.into_output().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_segment_is_seen_by_both() {
    let quota = quota();
    if let Some(first) = role("a_segment_is_seen_by_both") {
        let Passed::Segment(segment) = passed(&first, &quota) else { panic!("a segment was passed") };
        assert_eq!((segment.len_bytes(), segment.access()), (10_000, Access::ReadWrite));
        let mapping = segment.attach(Access::ReadWrite).unwrap();
        assert_eq!(mapping.read_vec(9_990, 10).unwrap(), b"from first");
        mapping.write(0, b"from the other").unwrap();
        return first.send(b"done", &[]).unwrap();
    }
    let segment = Segments::new(&quota).create(10_000, Sharing::Writers).unwrap();
    let mapping = segment.attach(Access::ReadWrite).unwrap();
    mapping.write(9_990, b"from first").unwrap();
    let (other, handoff) = Other::start("a_segment_is_seen_by_both");
    let (_, lease) = handoff.send_segment(&segment, Access::ReadWrite).unwrap();
    assert_eq!(handoff.recv().unwrap().unwrap().bytes, b"done");
    assert_eq!(mapping.read_vec(0, 14).unwrap(), b"from the other");
    other.succeeded();
    assert!(handoff.recv().unwrap().is_none(), "the end");
    assert!(matches!(handoff.send(b"x", &[]), Err(HandoffError::Closed)));
    drop((segment, mapping));
    assert!(quota.used() > 0);
    drop(lease);
    assert_eq!(quota.used(), 0);
}

#[test]
fn bytes_flow_to_another_process_and_end() {
    const TOTAL: usize = 3 << 20;
    let quota = quota();
    let byte = |at: usize| (at % 251) as u8;
    if let Some(first) = role("bytes_flow_to_another_process_and_end") {
        let Input::Bytes(mut writer) = input(&first, &quota) else { panic!("bytes were passed") };
        let all: Vec<u8> = (0..TOTAL).map(byte).collect();
        return all.chunks(50_000).for_each(|chunk| writer.write_blocking(chunk).unwrap());
    }
    let (producer, consumer) = link(Carries::Bytes(Capacity::DEFAULT), &Segments::new(&quota)).unwrap();
    let (other, handoff) = Other::start("bytes_flow_to_another_process_and_end");
    let lease = handoff.send_end(producer).unwrap();
    let Output::Bytes(mut reader) = consumer.into_output().unwrap() else { panic!("bytes were asked for") };
    let (mut received, mut buffer) = (0, vec![0; 30_000]);
    loop {
        match reader.read_blocking(&mut buffer).unwrap() {
            0 => break,
            len => {
                assert!(buffer[..len].iter().enumerate().all(|(at, seen)| *seen == byte(received + at)));
                received += len;
            }
        }
    }
    assert_eq!(received, TOTAL);
    other.succeeded();
    drop((reader, lease));
    assert_eq!(quota.used(), 0);
}

#[test]
fn messages_and_slots_go_there_and_back() {
    let quota = quota();
    if let Some(first) = role("messages_and_slots_go_there_and_back") {
        let Output::Messages(mut receiver) = output(&first, &quota) else { panic!("messages were passed") };
        let Input::Slots(mut sender) = input(&first, &quota) else { panic!("slots were passed") };
        loop {
            match receiver.recv_blocking() {
                Ok(message) => {
                    let mut slot = [0; 64];
                    slot[..8].copy_from_slice(&(message.len() as u64).to_le_bytes());
                    slot[8] = message.priority();
                    sender.send_blocking(&slot).unwrap();
                }
                Err(QueueError::Ended) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
    let segments = Segments::new(&quota);
    let limits = Limits::new(10, 20_000).unwrap();
    let (sender, receiver) = link(Carries::Messages(limits), &segments).unwrap();
    let (answers, answered) = link(Carries::Slots(5), &segments).unwrap();
    let (other, handoff) = Other::start("messages_and_slots_go_there_and_back");
    let _leases = [handoff.send_end(receiver).unwrap(), handoff.send_end(answers).unwrap()];
    let Input::Messages(mut sender) = sender.into_input().unwrap() else { panic!("messages were asked for") };
    let Output::Slots(mut answered) = answered.into_output().unwrap() else { panic!("slots were asked for") };
    for round in 0..2_000usize {
        let len = round * 37 % 9_000;
        sender.send_blocking(&Message::from(vec![1; len]).with_priority(round as u8)).unwrap();
        let answer = answered.recv_blocking().unwrap();
        assert_eq!((&answer[..8], answer[8]), (&(len as u64).to_le_bytes()[..], round as u8));
    }
    drop(sender);
    assert_eq!(answered.recv_blocking(), Err(QueueError::Ended));
    other.succeeded();
}

#[tokio::test(flavor = "current_thread")]
async fn a_task_waits_for_another_process() {
    let quota = quota();
    if let Some(first) = role("a_task_waits_for_another_process") {
        let Passed::End(end) = passed(&first, &quota) else { panic!("an end was passed") };
        let pipe = SharedPipe::of(end).unwrap();
        for go in 0..50u8 {
            assert_eq!(first.recv().unwrap().unwrap().bytes, [go]);
            pipe.try_write(&[go; 100]).unwrap();
        }
        // Ends without a close, as one that is killed does.
        std::process::exit(0);
    }
    let (producer, consumer) = link(Carries::Bytes(Capacity::DEFAULT), &Segments::new(&quota)).unwrap();
    let (other, handoff) = Other::start("a_task_waits_for_another_process");
    let _lease = handoff.send_end(producer).unwrap();
    let pipe = SharedPipe::of(consumer).unwrap();
    for go in 0..50u8 {
        let readable = pipe.readable();
        handoff.send(&[go], &[]).unwrap();
        readable.await;
        assert_eq!(&pipe.try_read(1_000).unwrap()[..], [go; 100]);
    }
    pipe.readable().await;
    assert!(pipe.try_read(1_000).unwrap().is_empty(), "its end is the end");
    other.succeeded();
}

#[test]
fn blocks_are_lent_to_another_process() {
    let quota = quota();
    if let Some(first) = role("blocks_are_lent_to_another_process") {
        let Passed::Loans(end) = passed(&first, &quota) else { panic!("loans were passed") };
        let mut borrower = end.open().unwrap();
        for round in 0..100u8 {
            let block = borrower.recv_blocking().unwrap();
            let mut bytes = vec![0; block.len_bytes() as usize];
            block.read(0, &mut bytes).unwrap();
            assert!(bytes.iter().all(|byte| *byte == round));
        }
        assert_eq!(borrower.recv_blocking().err(), Some(LoanError::Ring(QueueError::Ended)));
        return;
    }
    let (mut lender, end) = loans(100_000, 3, &Segments::new(&quota)).unwrap();
    let (other, handoff) = Other::start("blocks_are_lent_to_another_process");
    let (enforcement, lease) = handoff.send_loans(end).unwrap();
    assert_eq!(enforcement, Enforcement::Kernel, "whoever it runs as");
    for round in 0..100u8 {
        let mut loan = lender.loan_blocking(50_000 + u64::from(round)).unwrap();
        loan.write(0, &vec![round; 50_000 + usize::from(round)]).unwrap();
        lender.send(loan).unwrap();
    }
    drop(lender);
    other.succeeded();
    drop(lease);
    assert_eq!(quota.used(), 0);
}

#[test]
fn packets_are_bounded_and_what_lies_is_refused() {
    let (here, there) = Handoff::pair().unwrap();
    assert_eq!(there.try_recv().unwrap_err(), HandoffError::WouldBlock);
    let me = here.peer().unwrap();
    assert_eq!((me.pid as u32, me.uid), (std::process::id(), rustix::process::geteuid().as_raw()));
    let memfd = rustix::fs::memfd_create(c"x", MemfdFlags::CLOEXEC).unwrap();
    let too_many = vec![memfd.as_fd(); 17];
    assert_eq!(here.send(b"", &too_many), Err(HandoffError::TooLarge { bytes: 0, fds: 17 }));
    let refused = here.send(&vec![0; MAX_PACKET_BYTES + 1], &[]);
    assert_eq!(refused, Err(HandoffError::TooLarge { bytes: MAX_PACKET_BYTES + 1, fds: 0 }));
    here.send(&vec![7; MAX_PACKET_BYTES], &too_many[..16]).unwrap();
    let packet = there.recv().unwrap().unwrap();
    assert_eq!((packet.bytes.len(), packet.fds.len()), (MAX_PACKET_BYTES, 16));
    for fd in &packet.fds {
        assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
    // Frames that say what they are not.
    let quota = quota();
    let frame = |kind: u32, role: u32, a: u64, b: u64| {
        let mut bytes = b"uOS1".to_vec();
        bytes.extend(kind.to_le_bytes());
        bytes.extend(role.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(a.to_le_bytes());
        bytes.extend(b.to_le_bytes());
        bytes
    };
    for (bytes, fds) in [
        (frame(1, 0, 10, 0), 0),
        (frame(1, 0, 10, 0), 1),
        (frame(2, 1, 0, 0), 4),
        (frame(2, 1, u64::MAX, 0), 4),
        (frame(2, 1, 4096, 0), 3),
        (frame(2, 1, 4096, 0), 4),
        (frame(2, 3, 4096, 0), 4),
        (frame(3, 1, 0, 1), 4),
        (frame(4, 1, u64::MAX, 0), 4),
        (frame(5, 2, u64::MAX, u64::MAX), 9),
        (frame(6, 0, 0, 0), 0),
    ] {
        here.send(&bytes, &too_many[..fds]).unwrap();
        let answer = there.recv_passed(1 << 20, &quota);
        assert!(
            matches!(answer, Err(HandoffError::Malformed(_) | HandoffError::Shm(_))),
            "{bytes:?}: {answer:?}"
        );
    }
    assert_eq!(quota.used(), 0);
    here.send(b"just a packet", &[]).unwrap();
    assert!(matches!(there.recv_passed(1, &quota), Ok(Some(Passed::Packet(_)))));
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    assert!(matches!(Handoff::from_fd(reader), Err(HandoffError::NotSeqpacket)));
}

#[test]
fn a_ring_passed_with_too_little_memory_is_refused() {
    let quota = quota();
    let (here, there) = Handoff::pair().unwrap();
    let (producer, _consumer) = link(Carries::Slots(1), &Segments::new(&quota)).unwrap();
    let _lease = here.send_end(producer).unwrap();
    let packet = there.recv().unwrap().unwrap();
    let mut lie = packet.bytes.clone();
    lie[16..24].copy_from_slice(&100_000u64.to_le_bytes());
    let fds: Vec<_> = packet.fds.iter().map(AsFd::as_fd).collect();
    here.send(&lie, &fds).unwrap();
    assert!(matches!(there.recv_passed(1 << 20, &quota), Err(HandoffError::Shm(_))));
}

#[test]
fn a_program_that_knows_nothing_of_us_reads_what_rust_wrote() {
    let answer = share::pass_to_python("Grüße aus Rust").unwrap();
    assert_eq!(answer, "Grüße aus Rust; refused refused refused refused");
}

#[test]
fn a_program_reads_and_writes_pipes_of_ours() {
    let quota = Quota::root("pipes", 1 << 20);
    let input = Pipe::new(Capacity::DEFAULT, &quota).unwrap();
    let output = Pipe::new(Capacity::DEFAULT, &quota).unwrap();
    let (stdin, feeding) = input.reader.into_fd().unwrap();
    let (stdout, draining) = output.writer.into_fd().unwrap();
    let mut child = Command::new("tr").args(["a-z", "A-Z"]).stdin(stdin).stdout(stdout).spawn().unwrap();
    let text = "a text, and again ".repeat(20_000);
    std::thread::scope(|scope| {
        let feeding = scope.spawn(|| feeding.run());
        let draining = scope.spawn(|| draining.run());
        scope.spawn(|| {
            let mut left = bytes::Bytes::from(text.clone());
            while !left.is_empty() {
                let written = input.writer.write_blocking(left.clone()).unwrap();
                drop(left.split_to(written));
            }
            input.writer.close();
        });
        let mut received = Vec::new();
        loop {
            let part = output.reader.read_blocking(10_000).unwrap();
            if part.is_empty() {
                break;
            }
            received.extend_from_slice(&part);
        }
        assert_eq!(received, text.to_uppercase().as_bytes());
        assert_eq!(feeding.join().unwrap(), Ok(text.len() as u64));
        assert_eq!(draining.join().unwrap(), Ok(text.len() as u64));
    });
    assert!(child.wait().unwrap().success());
    drop(output.reader);
    assert_eq!(quota.used(), 0);
}

#[test]
fn a_program_that_stops_reading_breaks_the_pipe_and_one_that_nobody_reads_gets_epipe() {
    let quota = Quota::root("pipes", 1 << 20);
    let Pipe { writer, reader, .. } = Pipe::new(Capacity::DEFAULT, &quota).unwrap();
    let (stdin, pump) = reader.into_fd().unwrap();
    let mut child = Command::new("true").stdin(stdin).spawn().unwrap();
    assert_eq!(pump.run(), Ok(0), "ends though nothing was ever written");
    assert_eq!(writer.try_write(b"x"), Err(uos_ipc::PipeError::BrokenPipe));
    child.wait().unwrap();
    let Pipe { writer, reader, .. } = Pipe::new(Capacity::DEFAULT, &quota).unwrap();
    let (stdout, pump) = writer.into_fd().unwrap();
    let pumping = std::thread::spawn(|| pump.run());
    drop(reader);
    assert_eq!(pumping.join().unwrap(), Ok(0), "ends though the program says nothing");
    let mut child = Command::new("yes").stdout(stdout).stderr(Stdio::null()).spawn().unwrap();
    assert!(!child.wait().unwrap().success(), "by SIGPIPE or an error");
    assert_eq!(quota.used(), 0);
}
