//! Queues, pipes, rings and shared memory beside what they would otherwise be: a locked `VecDeque`, rtrb, tokio's and
//! crossbeam's channels, the kernel's pipes and sockets, ipc-channel, iceoryx2, memcpy. Ours keep quotas, statistics and the
//! line of those who wait.

mod memory;
mod processes;
mod slots;

pub(crate) use processes::be_the_peer;

use std::{collections::VecDeque, hint::black_box, thread, time::Instant};

use parking_lot::Mutex;
use rustix::{
    io::{read, write},
    pipe::{PipeFlags, pipe_with},
};
use uos_ipc::{Capacity, Limits, Order, Pipe, Queue, Quota};

use crate::{
    Result,
    report::{Measurement, summary},
};

/// Short ones and many of them: the machine has other work, and a median of many is what it disturbs least.
const ROUNDS: usize = 41;
const PAYLOAD: [u8; 64] = [7; 64];

pub(crate) fn measure() -> Result<Vec<Measurement>> {
    let quota = Quota::root("bench", 1 << 30);
    let mut all = slots::measure(&quota)?;
    for (name, backlog) in
        [("queue of 64 B, same thread, empty", 0), ("queue of 64 B, same thread, 1e4 queued", 10_000)]
    {
        all.push(beside_a_locked_list(name, &quota, backlog)?);
    }
    all.push(backlog(&quota)?);
    all.push(two_threads(&quota)?);
    for (name, chunk, least) in
        [("pipe in 4 KiB, same thread", 4 << 10, 6.0), ("pipe in 64 KiB, same thread", 64 << 10, 4.0)]
    {
        all.push(beside_pipe(name, &quota, chunk, least)?);
    }
    all.push(making(&quota)?);
    all.extend(processes::measure(&quota)?);
    all.extend(memory::measure(&quota)?);
    Ok(all)
}

/// Times both in turns, after a first round that warms them up. Nanoseconds a step.
fn rounds(
    steps: u32,
    mut ours: impl FnMut() -> Result<()>,
    mut peer: impl FnMut() -> Result<()>,
) -> Result<(Vec<f64>, Vec<f64>)> {
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        (0..steps).try_for_each(|_| ours())?;
        let between = Instant::now();
        (0..steps).try_for_each(|_| peer())?;
        let ended = Instant::now();
        if round > 0 {
            us.push((between - begun).as_nanos() as f64 / f64::from(steps));
            them.push((ended - between).as_nanos() as f64 / f64::from(steps));
        }
    }
    Ok((us, them))
}

fn row(name: &'static str, peer_name: &'static str, times: (Vec<f64>, Vec<f64>), least: f64) -> Measurement {
    let ((ours_best, ours), (peer_best, peer)) = (summary(times.0, true), summary(times.1, true));
    let ratio = peer / ours;
    Measurement::new(
        name,
        "ns",
        (ours_best, ours),
        (peer_name, (peer_best, peer)),
        ratio,
        (format!("≥ {least:.2} ×"), ratio >= least),
        ROUNDS,
    )
}

fn filled(quota: &Quota, backlog: u32) -> Result<Queue> {
    let queue = Queue::new(Order::Fifo, Limits::new(20_000, 4 << 20)?, quota)?;
    for _ in 0..backlog {
        queue.sender.try_send(&PAYLOAD)?;
    }
    Ok(queue)
}

/// Both copy the bytes in; the list has neither limits nor anybody who could wait at it.
fn beside_a_locked_list(name: &'static str, quota: &Quota, backlog: u32) -> Result<Measurement> {
    let queue = filled(quota, backlog)?;
    let list = Mutex::new(VecDeque::new());
    (0..backlog).for_each(|_| list.lock().push_back(Box::<[u8]>::from(&PAYLOAD[..])));
    let times = rounds(
        20_000,
        || {
            queue.sender.try_send(black_box(&PAYLOAD))?;
            black_box(queue.receiver.try_recv()?);
            Ok(())
        },
        || {
            list.lock().push_back(Box::<[u8]>::from(&black_box(&PAYLOAD)[..]));
            black_box(list.lock().pop_front());
            Ok(())
        },
    )?;
    Ok(row(name, "VecDeque<Box<[u8]>> under parking_lot", times, 1.0 / 1.5))
}

fn backlog(quota: &Quota) -> Result<Measurement> {
    // One after the other in the same loop, so that both are called alike.
    let step = |queue: &Queue| {
        queue.sender.try_send(black_box(&PAYLOAD))?;
        black_box(queue.receiver.try_recv()?);
        Ok(())
    };
    let (long, short) = (filled(quota, 10_000)?, filled(quota, 10)?);
    let times = rounds(20_000, || step(&long), || step(&short))?;
    Ok(row("queue of 64 B with 1e4 queued", "itself with 10 queued", times, 0.9))
}

/// Through a queue of 1024: a thread that sends and one that receives, for as long as a hundred thousand take.
fn two_threads(quota: &Quota) -> Result<Measurement> {
    const MESSAGES: u32 = 100_000;
    let ours = || {
        let Queue { sender, receiver, .. } = Queue::new(Order::Fifo, Limits::new(1024, 1 << 20)?, quota)?;
        thread::scope(|scope| {
            scope.spawn(move || (0..MESSAGES).try_for_each(|_| sender.send_blocking(black_box(&PAYLOAD))));
            while let Ok(message) = receiver.recv_blocking() {
                black_box(message);
            }
        });
        Ok(())
    };
    let peer = || {
        let (sender, receiver) = crossbeam_channel::bounded(1024);
        thread::scope(|scope| {
            scope.spawn(move || {
                (0..MESSAGES).try_for_each(|_| sender.send(Box::<[u8]>::from(&black_box(&PAYLOAD)[..])))
            });
            while let Ok(message) = receiver.recv() {
                black_box(message);
            }
        });
        Ok(())
    };
    let (ours, peer) = rounds(1, ours, peer)?;
    let each = |times: Vec<f64>| times.into_iter().map(|time| time / f64::from(MESSAGES)).collect();
    Ok(row("queue of 64 B, two threads", "crossbeam bounded", (each(ours), each(peer)), 1.0))
}

fn beside_pipe(name: &'static str, quota: &Quota, chunk: usize, least: f64) -> Result<Measurement> {
    let Pipe { writer, reader, control: _control } = Pipe::new(Capacity::DEFAULT, quota)?;
    let (kernel_reader, kernel_writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let (bytes, mut own, mut buffer) = (vec![7; chunk], vec![0; chunk], vec![0; chunk]);
    let times = rounds(
        1_000,
        || {
            writer.try_write(black_box(&bytes))?;
            // A copy is cheaper than fresh memory for the reader to have, up to some length.
            match chunk {
                0..=8192 => drop(black_box(reader.try_read_into(&mut own)?)),
                _ => drop(black_box(reader.try_read(chunk)?)),
            }
            Ok(())
        },
        || {
            write(&kernel_writer, black_box(&bytes))?;
            black_box(read(&kernel_reader, &mut buffer[..])?);
            Ok(())
        },
    )?;
    Ok(row(name, "pipe(2)", times, least))
}

fn making(quota: &Quota) -> Result<Measurement> {
    let times = rounds(
        2_000,
        || {
            drop(black_box(Pipe::new(Capacity::DEFAULT, quota)?));
            Ok(())
        },
        || {
            drop(black_box(pipe_with(PipeFlags::CLOEXEC)?));
            Ok(())
        },
    )?;
    Ok(row("make and drop a pipe", "pipe2(2) and close(2)", times, 4.0))
}
