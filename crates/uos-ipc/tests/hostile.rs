//! A process that has an end of a ring and no manners: while this side uses the ring, it writes anything anywhere in it, tries
//! to pull the memory away, punches holes into it and rings the bells. This side meets refusals that have a name, and nothing
//! worse. Built with AddressSanitizer (`cargo xtask test asan`), it also says that no access was out of range.
#![cfg(target_os = "linux")]
#![cfg(not(any(loom, shuttle)))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod campaign;

use campaign::{Random, count};
use rustix::fs::{FallocateFlags, fallocate, ftruncate};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;
use uos_ipc::{
    Access, Capacity, Carries, Handoff, Input, Limits, Message, Output, PipeError, QueueError, Quota,
    Segment, Segments, link,
};

const ROLE: &str = "UOS_IPC_HOSTILE";
const SHORTLY: Duration = Duration::from_micros(50);

/// What an operation on a ring of such a peer may answer.
#[derive(Default)]
struct Seen {
    done: u64,
    not_now: u64,
    over: u64,
    corrupt: u64,
}

impl Seen {
    fn bytes(&mut self, answer: Result<usize, PipeError>, most: usize) {
        match answer {
            Ok(0) | Err(PipeError::BrokenPipe) => self.over += 1,
            Ok(len) => {
                assert!(len <= most, "{len} of {most}");
                self.done += 1;
            }
            Err(PipeError::WouldBlock { .. }) => self.not_now += 1,
            Err(PipeError::PeerCorrupt) => self.corrupt += 1,
            Err(error) => panic!("{error}"),
        }
    }

    fn message(&mut self, answer: Result<usize, QueueError>, most: usize) {
        match answer {
            Ok(len) => {
                assert!(len <= most, "{len} of {most}");
                self.done += 1;
            }
            Err(QueueError::Empty | QueueError::Full { .. }) => self.not_now += 1,
            Err(QueueError::Abandoned | QueueError::Ended) => self.over += 1,
            Err(QueueError::PeerCorrupt) => self.corrupt += 1,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_process_without_manners_harms_its_own_ring_only() {
    if std::env::var_os(ROLE).is_some() {
        be_hostile();
    }
    let rings = count("UOS_CAMPAIGN_HOSTILE_RINGS", 200);
    let quota = Quota::root("shm", Segments::MAX_TOTAL_BYTES);
    let segments = Segments::new(&quota);
    let (here, there) = Handoff::pair().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_process_without_manners_harms_its_own_ring_only", "--nocapture"])
        .env(ROLE, "1")
        .stdin(Stdio::from(there.into_fd()))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (mut random, mut seen, mut leases) = (Random::new(), Seen::default(), Vec::new());
    for _ in 0..rings {
        let most = random.below(9_000) + 1;
        let carries = match random.below(3) {
            0 => Carries::Bytes(Capacity::new(most).unwrap()),
            1 => Carries::Messages(Limits::new(random.below(20) + 1, most).unwrap()),
            _ => Carries::Slots(random.below(100) as usize + 1),
        };
        let (producer, consumer) = link(carries, &segments).unwrap();
        let most = most as usize;
        if random.below(2) == 0 {
            leases.push(here.send_end(consumer).unwrap());
            put_in(producer.into_input().unwrap(), most, &mut random, &mut seen);
        } else {
            leases.push(here.send_end(producer).unwrap());
            take_out(consumer.into_output().unwrap(), most, &mut random, &mut seen);
        }
        // What the other one has mapped it has given up by now, or it soon will.
        leases.truncate(8);
    }
    let Seen { done, not_now, over, corrupt } = seen;
    println!("{rings} rings: {done} done, {not_now} not then, {over} after the end, {corrupt} times corrupt");
    assert!(done > 0 && corrupt > 0, "both are seen: {done} and {corrupt}");
    drop((here, leases));
    assert!(child.wait().unwrap().success(), "the memory could be resized");
    assert_eq!(quota.used(), 0);
}

fn put_in(mut input: Input, most: usize, random: &mut Random, seen: &mut Seen) {
    for _ in 0..random.below(400) {
        let bytes = vec![7; random.below(most as u64 + 1) as usize + 1];
        let waits = random.below(20) == 0;
        match &mut input {
            Input::Bytes(writer) if waits => seen.bytes(writer.write_timeout(&bytes, SHORTLY), bytes.len()),
            Input::Bytes(writer) => seen.bytes(writer.try_write(&bytes), bytes.len()),
            Input::Messages(sender) => {
                let message = Message::from(bytes[..bytes.len().min(most)].to_vec());
                let sent =
                    if waits { sender.send_timeout(&message, SHORTLY) } else { sender.try_send(&message) };
                seen.message(sent.map(|()| 0), 0);
            }
            Input::Slots(sender) if waits => {
                seen.message(sender.send_timeout(&[7; 64], SHORTLY).map(|()| 0), 0);
            }
            Input::Slots(sender) => seen.message(sender.try_send(&[7; 64]).map(|()| 0), 0),
        }
    }
}

fn take_out(mut output: Output, most: usize, random: &mut Random, seen: &mut Seen) {
    for _ in 0..random.below(400) {
        let mut buffer = vec![0; random.below(2 * most as u64) as usize + 1];
        let waits = random.below(20) == 0;
        match &mut output {
            Output::Bytes(reader) if waits => {
                let read = reader.read_timeout(&mut buffer, SHORTLY);
                seen.bytes(read, most);
            }
            Output::Bytes(reader) => seen.bytes(reader.try_read_into(&mut buffer), most),
            Output::Messages(receiver) => {
                let received = if waits { receiver.recv_timeout(SHORTLY) } else { receiver.try_recv() };
                seen.message(received.map(|message| message.len()), most);
            }
            Output::Slots(receiver) if waits => {
                seen.message(receiver.recv_timeout(SHORTLY).map(|_| 0), 0);
            }
            Output::Slots(receiver) => seen.message(receiver.try_recv().map(|_| 0), 0),
        }
    }
}

/// Never ends by itself but with the way to the first process, and fails if the memory could be resized.
fn be_hostile() -> ! {
    let way = Handoff::from_fd(std::io::stdin().as_fd().try_clone_to_owned().unwrap()).unwrap();
    let quota = Quota::root("shm", Segments::MAX_TOTAL_BYTES);
    let mut random = Random::new();
    let mut next = way.recv().unwrap();
    while let Some(packet) = next {
        let [memory, own, other, _life] = &packet.fds[..] else { panic!("four descriptors") };
        let file = memory.try_clone().unwrap();
        let segment = Segment::adopt(memory.try_clone().unwrap(), 1 << 30, &quota).unwrap();
        let mapping = segment.attach(Access::ReadWrite).unwrap();
        let len = mapping.len_bytes();
        next = loop {
            for _ in 0..16 {
                // The indices, the flags, and whatever the bytes behind them are.
                let at = match random.below(4) {
                    0 => random.below(2) * 64,
                    1 => random.below(6) * 64,
                    2 => 4096 + random.below(len - 4096 - 8),
                    _ => random.below(len - 8),
                };
                let word = match random.below(4) {
                    0 => random.next(),
                    1 => random.below(20_000),
                    2 => random.below(2),
                    _ => u64::MAX - random.below(20_000),
                };
                let bytes = word.to_le_bytes();
                mapping.write(at, &bytes[..if random.below(2) == 0 { 4 } else { 8 }]).unwrap();
            }
            match random.below(64) {
                0 if [0, 1, len / 2, len * 2].iter().any(|&len| ftruncate(&file, len).is_ok()) => {
                    std::process::exit(3)
                }
                1 => drop(fallocate(
                    &file,
                    FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                    random.below(len / 4096) * 4096,
                    4096,
                )),
                2 => drop(rustix::io::write(own, &random.next().to_ne_bytes())),
                3 => drop(rustix::io::write(other, &random.next().to_ne_bytes())),
                _ => {}
            }
            if let Ok(next) = way.try_recv() {
                break next;
            }
        };
    }
    std::process::exit(0)
}
