//! Ten thousand processes that each wait in a read: what they take, and how soon one is awake.
//!
//! Nobody of them has a program of the host's behind it. Measured in a process of its own, so that nothing else is in its
//! memory; what counts is all that came with them: process, handles, pipe, and the call that waits.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, call::Call, reply::Reply};
use uos_syscall::{Caller, Kernel, Limits, namespace};

use crate::{
    Result,
    invoke::Reader,
    report::{Measurement, summary},
    sched::resident,
};

const PROCESSES: u64 = 10_000;
const ROUNDS: usize = 5;
const MOST_BYTES: f64 = 8_192.0;
const MOST_US: f64 = 2_000.0;

/// Memory of each, and the 99th percentile of the way from a write to who reads it, one after the other in no order.
pub(crate) fn measure() -> Result<Vec<Measurement>> {
    let [mut bytes, mut late] = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        let output = Command::new(std::env::current_exe()?).args(["--one-round-of", "waiting"]).output()?;
        let text = String::from_utf8(output.stdout)?;
        let mut figures = text.split_whitespace().map(str::parse::<f64>);
        let mut next =
            || figures.next().ok_or("the round gave no figures")?.map_err(Box::<dyn std::error::Error>::from);
        bytes.push(next()?);
        late.push(next()?);
    }
    let row = |name, rounds: Vec<f64>, most: f64, unit: &'static str| {
        let (ours_best, ours) = summary(rounds, true);
        Measurement::new(
            name,
            unit,
            (ours_best, ours),
            ("the most it may be", (most, most)),
            most / ours,
            (format!("≤ {most} {unit}"), ours <= most),
            ROUNDS,
        )
    };
    Ok(vec![
        row("10,000 waiting processes, each", bytes, MOST_BYTES, "bytes"),
        row("one of them awake, 99th percentile", late, MOST_US, "µs"),
    ])
}

/// One round, in a process that has done nothing yet.
pub(crate) fn one_round() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (bytes, late) = runtime.block_on(round())?;
    println!("{bytes} {late}");
    Ok(())
}

async fn round() -> Result<(f64, f64)> {
    let limits = Limits {
        handles_per_process: 2 * PROCESSES,
        pipe_bytes_per_process: 64 << 20,
        pipe_bytes: 64 << 20,
        ..Limits::default()
    };
    let mounts = namespace::standard(namespace::Capacity::default())?;
    let kernel =
        Kernel::builder(mounts, LinuxSpawner::new()?).limits(limits).audit(Reader::default()).start()?;
    // What comes with the first is there for all.
    let mut tasks = JoinSet::new();
    let (awake, mut woken) = mpsc::channel(1);
    let mut pipes = vec![begin(&kernel, &mut tasks, &awake).await?];
    let before = resident()?;
    pipes.reserve_exact(PROCESSES as usize);
    for _ in 0..PROCESSES {
        pipes.push(begin(&kernel, &mut tasks, &awake).await?);
    }
    let bytes = resident()?.saturating_sub(before) as f64 / PROCESSES as f64;

    let (init, mut late) = (kernel.init(), Vec::with_capacity(pipes.len()));
    // In an order that nothing is ready for.
    let mut at = 0;
    for _ in 0..pipes.len() {
        at = (at + 7_919) % pipes.len();
        let begun = Instant::now();
        kernel.invoke(&init, write(pipes[at])).await?;
        let then: Instant = woken.recv().await.ok_or("all waiters are gone")?;
        late.push((then - begun).as_secs_f64() * 1e6);
    }
    late.sort_by(f64::total_cmp);
    let percentile = late[late.len() * 99 / 100];
    while let Some(done) = tasks.join_next().await {
        done?.map_err(|failure| failure.to_string())?;
    }
    kernel.shut_down().await;
    Ok((bytes, percentile))
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A process that waits for what is written to the pipe this gives.
async fn begin(
    kernel: &Kernel,
    tasks: &mut JoinSet<std::result::Result<(), Failure>>,
    awake: &mpsc::Sender<Instant>,
) -> Result<u64> {
    let level = v1::SandboxLevel::Minimal.into();
    let request = v1::CreateProcessRequest { sandbox_level: level, ..Default::default() };
    let made = kernel.create_process(&kernel.init(), request).await?;
    let reader: Caller = kernel.by_token(&made.token).ok_or("the process has just been made")?;
    let pipe = v1::CreatePipe { reader_pid: made.pid, capacity: 4_096, ..Default::default() };
    let Reply::CreatePipe(v1::CreatePipeReply { id }) = kernel.invoke(&kernel.init(), pipe.into()).await?
    else {
        return Err("CreatePipe answered something else".into());
    };
    let (kernel, awake) = (kernel.clone(), awake.clone());
    tasks.spawn(async move {
        kernel.invoke(&reader, v1::ReadPipe { id, ..Default::default() }.into()).await?;
        awake.send(Instant::now()).await?;
        Ok(())
    });
    // It is to wait by now.
    tokio::task::yield_now().await;
    tokio::time::sleep(Duration::ZERO).await;
    Ok(id)
}

fn write(id: u64) -> Call {
    v1::WritePipe { id, data: "x".into(), ..Default::default() }.into()
}
