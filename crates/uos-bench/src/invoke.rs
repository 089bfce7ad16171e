//! A call in process, rights and audit included, by the async door and by the blocking one.
//!
//! Counted is the CPU time of the calling thread, so that what else the machine does weighs less.
//!
//! The peer's figures are of the nearest existing system, measured apart on a machine of this kind; it can't be built into
//! this program. What is measured beside ours in the same run is the bare leaf: what the call costs without a kernel.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};
use uos_proc::LinuxSpawner;
use uos_proto::{
    Right,
    v1::{self, call::Call},
};
use uos_syscall::{
    Caller, Kernel,
    audit::{Record, Sink},
    namespace,
    rights::{Grant, Grants},
};
use uos_vfs::{Access, How, NodeRef};

use crate::{
    Result,
    report::{Measurement, summary},
};

const ROUNDS: usize = 31;
const CALLS: u32 = 20_000;

/// GetUptime, FileExists and ReadFile of five bytes, as a process with three grants.
pub(crate) fn measure() -> Result<Vec<Measurement>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let mounts = namespace::standard(namespace::Capacity::default())?;
        let kernel = Kernel::builder(mounts, LinuxSpawner::new()?).audit(Reader::default()).start()?;
        let grants =
            ["proc.spawn:/usr/bin/*", "fs.write:/home/**", "fs.read:/home/**"].map(str::to_owned).to_vec();
        let request = v1::CreateProcessRequest { grants, ..Default::default() };
        let made = kernel.create_process(&kernel.init(), request).await?;
        let caller = kernel.by_token(&made.token).ok_or("the process has just been made")?;
        let write = v1::WriteFile { path: "/home/x".into(), data: "hello".into(), ..Default::default() };
        kernel.invoke(&caller, write.into()).await?;

        let path = || "/home/x".to_owned();
        let calls: [Row; 3] = [
            Row {
                names: ["invoke GetUptime", "invoke_blocking GetUptime"],
                most: 120.0,
                nearest: 630.0,
                call: Box::new(|| v1::GetUptime {}.into()),
                bare: bare_clock,
            },
            Row {
                names: ["invoke FileExists", "invoke_blocking FileExists"],
                most: 350.0,
                nearest: 1_930.0,
                call: Box::new(move || v1::FileExists { path: path(), ..Default::default() }.into()),
                bare: bare_exists,
            },
            Row {
                names: ["invoke ReadFile 5 B", "invoke_blocking ReadFile 5 B"],
                most: 500.0,
                nearest: 3_810.0,
                call: Box::new(move || v1::ReadFile { path: path(), ..Default::default() }.into()),
                bare: bare_read,
            },
        ];
        let mut all = Vec::new();
        for row in calls {
            let [mut by_future, mut by_thread, mut leaf] = [const { Vec::new() }; 3];
            for _ in 0..ROUNDS {
                by_future.push(through_invoke(&kernel, &caller, &*row.call).await?);
                by_thread.push(through_invoke_blocking(&kernel, &caller, &*row.call)?);
                leaf.push(timed(|| {
                    (row.bare)(&kernel);
                    Ok(())
                })?);
            }
            let (leaf_best, leaf) = summary(leaf, true);
            for (name, rounds) in row.names.into_iter().zip([by_future, by_thread]) {
                let (ours_best, ours) = summary(rounds, true);
                let measurement = |peer, peer_best, peer_name, target, holds| {
                    let ratio = peer / ours;
                    Measurement::new(
                        name,
                        "ns",
                        (ours_best, ours),
                        (peer_name, (peer_best, peer)),
                        ratio,
                        (target, holds),
                        ROUNDS,
                    )
                };
                let target = format!("≤ {} ns", row.most);
                all.push(measurement(
                    row.nearest,
                    row.nearest,
                    "nearest system, measured apart",
                    target,
                    ours <= row.most,
                ));
                all.push(measurement(leaf, leaf_best, "the bare leaf", "–".into(), true));
            }
        }
        kernel.shut_down().await;
        all.push(right_of_many());
        Ok(all)
    })
}

/// Whether one of a thousand grants of paths allows a right, and which: the path that is looked for is a deep one, and
/// another each time.
fn right_of_many() -> Measurement {
    const GRANTS: usize = 1_000;
    const MOST: f64 = 150.0;
    let parse = |text: String| Grant::parse(&text).expect("it is a grant");
    let grants: Grants = (0..GRANTS).map(|n| parse(format!("fs.read:/home/user{n}/project/**"))).collect();
    let paths: Vec<String> = (0..GRANTS).map(|n| format!("/home/user{n}/project/src/main.rs")).collect();
    let one_by_one: Vec<Grants> = (0..GRANTS)
        .map(|n| [parse(format!("fs.read:/home/user{n}/project/**"))].into_iter().collect())
        .collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut at = 0;
        let mut next = || {
            at = (at + 389) % GRANTS;
            black_box(paths[at].as_bytes())
        };
        let begun = cpu_ns();
        for _ in 0..CALLS {
            black_box(grants.for_path(Right::FsRead, next()));
        }
        let between = cpu_ns();
        let path = next();
        for _ in 0..2 {
            black_box(one_by_one.iter().find_map(|grant| grant.for_path(Right::FsRead, black_box(path))));
        }
        ours.push((between - begun) / f64::from(CALLS));
        theirs.push((cpu_ns() - between) / 2.0);
    }
    let ((ours_best, ours), (peer_best, peer)) = (summary(ours, true), summary(theirs, true));
    Measurement::new(
        "a right among 1,000 grants",
        "ns",
        (ours_best, ours),
        ("the same one by one", (peer_best, peer)),
        peer / ours,
        (format!("≤ {MOST} ns"), ours <= MOST),
        ROUNDS,
    )
}

/// A sink that reads every record and keeps none: what a sink does with them is done on a thread of its own.
#[derive(Default)]
pub(crate) struct Reader {
    latency: Duration,
}

impl Sink for Reader {
    fn write(&mut self, batch: &[Record]) -> std::io::Result<()> {
        self.latency += batch.iter().map(|record| record.latency).sum();
        black_box(self.latency);
        Ok(())
    }
}

/// A call, its target, and what it is measured beside.
struct Row {
    names: [&'static str; 2],
    /// The target, in nanoseconds.
    most: f64,
    /// The nearest system's figure.
    nearest: f64,
    call: Box<dyn Fn() -> Call>,
    bare: fn(&Kernel),
}

async fn through_invoke(kernel: &Kernel, caller: &Caller, call: &dyn Fn() -> Call) -> Result<f64> {
    // The audit's buffer begins each round empty; its thread empties it meanwhile, as it would in life.
    kernel.audit().flush();
    let begun = cpu_ns();
    for _ in 0..CALLS {
        black_box(&kernel.invoke(caller, call()).await?);
    }
    Ok((cpu_ns() - begun) / f64::from(CALLS))
}

fn through_invoke_blocking(kernel: &Kernel, caller: &Caller, call: &dyn Fn() -> Call) -> Result<f64> {
    kernel.audit().flush();
    timed(|| {
        black_box(&kernel.invoke_blocking(caller, call())?);
        Ok(())
    })
}

fn timed(mut step: impl FnMut() -> Result<()>) -> Result<f64> {
    let begun = cpu_ns();
    for _ in 0..CALLS {
        step()?;
    }
    Ok((cpu_ns() - begun) / f64::from(CALLS))
}

/// What this thread has had of its CPU.
fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn bare_clock(_: &Kernel) {
    black_box(Instant::now());
}

fn resolve(kernel: &Kernel) -> NodeRef {
    let how = How { memory_only: true, ..How::privileged() };
    let place = kernel.mounts().resolve(black_box(b"/home/x"), &how);
    place.ok().and_then(|place| place.node).expect("the file was written before the rounds")
}

fn bare_exists(kernel: &Kernel) {
    black_box(resolve(kernel));
}

fn bare_read(kernel: &Kernel) {
    let data = resolve(kernel)
        .open(&uos_vfs::Caller::ROOT, Access::Read)
        .and_then(|file| file.read_bytes(0, 1 << 20));
    black_box(data.expect("the file can be read"));
}
