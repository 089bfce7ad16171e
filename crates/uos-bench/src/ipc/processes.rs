//! From one process to another: streams of bytes, short messages, and how long one takes. The other process is this program
//! again, which does what it is told through a control socket.

use std::{
    hint::black_box,
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    time::Instant,
};

use ipc_channel::ipc::{IpcBytesReceiver, IpcOneShotServer, IpcSender, bytes_channel};
use rustix::{
    fd::OwnedFd,
    io::{read, write},
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    pipe::{PipeFlags, pipe_with},
};
use uos_ipc::{
    Capacity, Carries, Handoff, Input, LinkEnd, Output, Passed, Quota, RingReader, RingWriter, Segments,
    SlotReceiver, SlotSender, link,
};

use super::{PAYLOAD, row};
use crate::{Result, report::Measurement};

const ROUNDS: usize = 21;
/// How much one round of a stream moves.
const STREAM: usize = 32 << 20;
/// How many messages one round sends.
const MESSAGES: usize = 400_000;
/// How many are sent and received at once, where that is asked for.
const BATCH: usize = 64;
/// The same by ipc-channel, which is a hundred times slower.
const PEER_MESSAGES: usize = 10_000;
/// How often one round goes there and back.
const PINGS: usize = 2_000;

/// The other process, and this side of everything that connects it.
struct Peer {
    child: Child,
    control: Handoff,
    small: RingReader,
    large: RingReader,
    slots: SlotReceiver,
    ping: SlotSender,
    pipe: OwnedFd,
    socket: OwnedFd,
    ping_pipe: OwnedFd,
    pong_pipe: OwnedFd,
    channel: IpcBytesReceiver,
}

/// The same as the other process has it.
struct Theirs {
    small: RingWriter,
    large: RingWriter,
    slots: SlotSender,
    ping: SlotReceiver,
    pipe: OwnedFd,
    socket: OwnedFd,
    ping_pipe: OwnedFd,
    pong_pipe: OwnedFd,
}

pub(super) fn measure(quota: &Quota) -> Result<Vec<Measurement>> {
    let mut peer = Peer::start(quota)?;
    let mut all = Vec::new();
    for (name, ring, chunk, by, by_name, least) in [
        ("two processes, ring of 64 KiB, in 4 KiB", "small", 4 << 10, "pipe", "pipe(2)", 1.4),
        ("two processes, ring of 64 KiB, in 64 KiB", "small", 64 << 10, "pipe", "pipe(2)", 1.8),
        ("two processes, ring of 1 MiB, in 64 KiB", "large", 64 << 10, "pipe", "pipe(2)", 3.0),
        ("the same beside a socket", "large", 64 << 10, "socket", "socketpair", 2.2),
    ] {
        let mut times = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let (ours, theirs) = (peer.stream(ring, chunk)?, peer.stream(by, chunk)?);
            if round > 0 {
                // For 64 KiB, so that the figures can be read.
                let each = (STREAM / (64 << 10)) as f64;
                times.0.push(ours / each);
                times.1.push(theirs / each);
            }
        }
        all.push(Measurement { n: ROUNDS, ..row(name, by_name, times, least) });
    }
    let (mut times, mut batches) = ((Vec::new(), Vec::new()), Vec::new());
    for round in 0..=ROUNDS {
        let (ours, theirs) = (peer.messages("slots", MESSAGES)?, peer.messages("channel", PEER_MESSAGES)?);
        let many = peer.batches(MESSAGES)?;
        if round > 0 {
            times.0.push(ours);
            times.1.push(theirs);
            batches.push(many);
        }
    }
    let asked = vec![1_000.0 / 15.0; ROUNDS];
    all.push(Measurement {
        n: ROUNDS,
        ..row("two processes, 64 B messages", "15 million a second", (times.0.clone(), asked), 1.0)
    });
    let in_batches = (batches, times.1.clone());
    all.push(Measurement { n: ROUNDS, ..row("the same, one by one", "ipc-channel", times, 80.0) });
    all.push(Measurement {
        n: ROUNDS,
        ..row("the same, ours 64 at a time", "ipc-channel", in_batches, 80.0)
    });
    let mut times = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (ours, theirs) = (peer.there_and_back("ping")?, peer.there_and_back("ping-pipe")?);
        if round > 0 {
            times.0.push(ours);
            times.1.push(theirs);
        }
    }
    all.push(Measurement { n: ROUNDS, ..row("two processes, one way, blocking", "pipe(2)", times, 1.0) });
    peer.control.send(b"end 0", &[])?;
    peer.child.wait()?;
    Ok(all)
}

impl Peer {
    fn start(quota: &Quota) -> Result<Peer> {
        let segments = Segments::new(quota);
        let (control, theirs) = Handoff::pair()?;
        let child = Command::new(std::env::current_exe()?)
            .args(["--one-round-of", "ipc"])
            .stdin(Stdio::from(theirs.into_fd()))
            .spawn()?;
        let small = link(Carries::Bytes(Capacity::DEFAULT), &segments)?;
        let large = link(Carries::Bytes(Capacity::MAX), &segments)?;
        let slots = link(Carries::Slots(4096), &segments)?;
        let ping = link(Carries::Slots(16), &segments)?;
        for end in [small.0, large.0, slots.0, ping.1] {
            control.send_end(end)?;
        }
        let (pipe, pipe_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        let (socket, socket_theirs) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        let (ping_theirs, ping_pipe) = pipe_with(PipeFlags::CLOEXEC)?;
        let (pong_pipe, pong_theirs) = pipe_with(PipeFlags::CLOEXEC)?;
        control.send(
            b"descriptors",
            &[pipe_theirs.as_fd(), socket_theirs.as_fd(), ping_theirs.as_fd(), pong_theirs.as_fd()],
        )?;
        let (server, name) = IpcOneShotServer::<IpcBytesReceiver>::new()?;
        control.send(name.as_bytes(), &[])?;
        let (_, channel) = server.accept()?;
        Ok(Peer {
            child,
            control,
            small: reader(small.1)?,
            large: reader(large.1)?,
            slots: match slots.1.into_output()? {
                Output::Slots(slots) => slots,
                _ => return Err("slots were asked for".into()),
            },
            ping: match ping.0.into_input()? {
                Input::Slots(ping) => ping,
                _ => return Err("slots were asked for".into()),
            },
            pipe,
            socket,
            ping_pipe,
            pong_pipe,
            channel,
        })
    }

    /// Nanoseconds until all bytes of a round are here.
    fn stream(&mut self, by: &str, chunk: usize) -> Result<f64> {
        let mut buffer = vec![0; chunk];
        self.control.send(format!("{by} {chunk}").as_bytes(), &[])?;
        let begun = Instant::now();
        let mut left = STREAM;
        while left > 0 {
            left -= match by {
                "small" => self.small.read_blocking(&mut buffer)?,
                "large" => self.large.read_blocking(&mut buffer)?,
                "pipe" => read(&self.pipe, &mut buffer[..])?,
                _ => read(&self.socket, &mut buffer[..])?,
            };
            black_box(&buffer);
        }
        Ok(begun.elapsed().as_nanos() as f64)
    }

    /// Nanoseconds for each message.
    fn messages(&mut self, by: &str, count: usize) -> Result<f64> {
        self.control.send(format!("{by} {count}").as_bytes(), &[])?;
        let begun = Instant::now();
        for _ in 0..count {
            match by {
                "slots" => drop(black_box(self.slots.recv_blocking()?)),
                _ => drop(black_box(self.channel.recv()?)),
            }
        }
        Ok(begun.elapsed().as_nanos() as f64 / count as f64)
    }

    /// The same, up to 64 at a time where they are there.
    fn batches(&mut self, count: usize) -> Result<f64> {
        self.control.send(format!("batches {count}").as_bytes(), &[])?;
        let (mut left, mut slots) = (count, Vec::with_capacity(BATCH));
        let begun = Instant::now();
        while left > 0 {
            slots.clear();
            left -= self.slots.recv_many_blocking(&mut slots, BATCH)?;
            black_box(&slots);
        }
        Ok(begun.elapsed().as_nanos() as f64 / count as f64)
    }

    /// Nanoseconds for one way of a message that the other side waits for, asleep.
    fn there_and_back(&mut self, by: &str) -> Result<f64> {
        self.control.send(format!("{by} {PINGS}").as_bytes(), &[])?;
        let mut buffer = [0; 64];
        let begun = Instant::now();
        for _ in 0..PINGS {
            if by == "ping" {
                self.ping.send_blocking(&PAYLOAD)?;
                black_box(self.slots.recv_blocking()?);
            } else {
                write(&self.ping_pipe, &PAYLOAD)?;
                read(&self.pong_pipe, &mut buffer[..])?;
            }
        }
        Ok(begun.elapsed().as_nanos() as f64 / (2 * PINGS) as f64)
    }
}

fn reader(end: LinkEnd) -> Result<RingReader> {
    match end.into_output()? {
        Output::Bytes(reader) => Ok(reader),
        _ => Err("bytes were asked for".into()),
    }
}

/// Does what it is told until it is told to end.
pub(crate) fn be_the_peer() -> Result<()> {
    let control = Handoff::from_fd(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    let quota = Quota::root("peer", Segments::MAX_TOTAL_BYTES);
    let mut theirs = Theirs::receive(&control, &quota)?;
    let name = control.recv()?.ok_or("the end")?.bytes;
    let (channel, receiver) = bytes_channel()?;
    IpcSender::connect(String::from_utf8(name)?)?.send(receiver)?;
    let chunks = vec![7; 64 << 10];
    while let Some(order) = control.recv()? {
        let order = String::from_utf8(order.bytes)?;
        let (what, number) = order.split_once(' ').ok_or("an order without a number")?;
        let number: usize = number.parse()?;
        match what {
            "small" | "large" | "pipe" | "socket" => {
                let mut left = STREAM;
                while left > 0 {
                    let chunk = &chunks[..number.min(left)];
                    left -= match what {
                        "small" => theirs.small.write_blocking(chunk).map(|()| chunk.len())?,
                        "large" => theirs.large.write_blocking(chunk).map(|()| chunk.len())?,
                        "pipe" => write(&theirs.pipe, chunk)?,
                        _ => write(&theirs.socket, chunk)?,
                    };
                }
            }
            "slots" => (0..number).try_for_each(|_| theirs.slots.send_blocking(black_box(&PAYLOAD)))?,
            "batches" => {
                let batch = [PAYLOAD; BATCH];
                (0..number / BATCH).try_for_each(|_| theirs.slots.send_all_blocking(black_box(&batch)))?;
            }
            "channel" => (0..number).try_for_each(|_| channel.send(black_box(&PAYLOAD)))?,
            "ping" => {
                for _ in 0..number {
                    let slot = theirs.ping.recv_blocking()?;
                    theirs.slots.send_blocking(&slot)?;
                }
            }
            "ping-pipe" => {
                let mut buffer = [0; 64];
                for _ in 0..number {
                    read(&theirs.ping_pipe, &mut buffer[..])?;
                    write(&theirs.pong_pipe, &buffer)?;
                }
            }
            _ => break,
        }
    }
    Ok(())
}

impl Theirs {
    fn receive(control: &Handoff, quota: &Quota) -> Result<Theirs> {
        let mut inputs = Vec::new();
        for _ in 0..3 {
            match control.recv_passed(Segments::MAX_SEGMENT_BYTES, quota)? {
                Some(Passed::End(end)) => inputs.push(end.into_input()?),
                _ => return Err("an end was expected".into()),
            }
        }
        let ping = match control.recv_passed(Segments::MAX_SEGMENT_BYTES, quota)? {
            Some(Passed::End(end)) => end.into_output()?,
            _ => return Err("an end was expected".into()),
        };
        let packet = control.recv()?.ok_or("the end")?;
        let [pipe, socket, ping_pipe, pong_pipe] =
            <[OwnedFd; 4]>::try_from(packet.fds).map_err(|_| "four descriptors were expected")?;
        let mut inputs = inputs.into_iter();
        match (inputs.next(), inputs.next(), inputs.next(), ping) {
            (
                Some(Input::Bytes(small)),
                Some(Input::Bytes(large)),
                Some(Input::Slots(slots)),
                Output::Slots(ping),
            ) => Ok(Theirs { small, large, slots, ping, pipe, socket, ping_pipe, pong_pipe }),
            _ => Err("bytes, bytes, slots and slots were expected".into()),
        }
    }
}
