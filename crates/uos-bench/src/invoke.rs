//! `Kernel::invoke` in process, rights and audit included.
//!
//! The peer's figures are of the nearest existing system, measured apart on a machine of this kind; it can't be built into
//! this program. What is measured beside ours in the same run is the bare leaf: what the call costs without a kernel.

use std::{hint::black_box, time::Instant};

use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, call::Call};
use uos_syscall::{Caller, Kernel, namespace};
use uos_vfs::{Access, How, NodeRef, VPath};

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
        let kernel = Kernel::builder(mounts, LinuxSpawner::new()?).start()?;
        let grants =
            ["proc.spawn:/usr/bin/*", "fs.write:/home/**", "fs.read:/home/**"].map(str::to_owned).to_vec();
        let request = v1::CreateProcessRequest { grants, ..Default::default() };
        let made = kernel.create_process(&kernel.init(), request).await?;
        let caller = kernel.by_token(&made.token).ok_or("the process has just been made")?;
        let write = v1::WriteFile { path: "/home/x".into(), data: "hello".into(), ..Default::default() };
        kernel.invoke(&caller, write.into()).await?;

        let path = || "/home/x".to_owned();
        let calls: [(&'static str, f64, f64, Box<dyn Fn() -> Call>, fn(&Kernel)); 3] = [
            ("invoke GetUptime", 150.0, 630.0, Box::new(|| v1::GetUptime {}.into()), bare_clock),
            (
                "invoke FileExists",
                500.0,
                1_930.0,
                Box::new(move || v1::FileExists { path: path(), ..Default::default() }.into()),
                bare_exists,
            ),
            (
                "invoke ReadFile 5 B",
                700.0,
                3_810.0,
                Box::new(move || v1::ReadFile { path: path(), ..Default::default() }.into()),
                bare_read,
            ),
        ];
        let mut all = Vec::new();
        for (name, most, peer, call, bare) in calls {
            let (mut ours, mut leaf) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                ours.push(through_the_kernel(&kernel, &caller, &call).await?);
                leaf.push(timed(|| bare(&kernel)));
            }
            let ((ours_best, ours), (leaf_best, leaf)) = (summary(ours, true), summary(leaf, true));
            let measurement = |peer, peer_best, peer_name, target, holds| Measurement {
                name,
                ours,
                ours_best,
                peer,
                peer_best,
                peer_name,
                unit: "ns",
                ratio: peer / ours,
                target,
                holds,
                n: ROUNDS,
            };
            all.push(measurement(
                peer,
                peer,
                "nearest system, measured apart",
                format!("≤ {most} ns"),
                ours <= most,
            ));
            all.push(measurement(leaf, leaf_best, "the bare leaf", "none".into(), true));
        }
        kernel.shut_down().await;
        Ok(all)
    })
}

async fn through_the_kernel(kernel: &Kernel, caller: &Caller, call: &dyn Fn() -> Call) -> Result<f64> {
    // The audit's buffer begins each round empty; its thread empties it meanwhile, as it would in life.
    kernel.audit().flush();
    let begun = Instant::now();
    for _ in 0..CALLS {
        black_box(kernel.invoke(caller, black_box(call())).await?);
    }
    Ok(begun.elapsed().as_nanos() as f64 / f64::from(CALLS))
}

fn timed(mut step: impl FnMut()) -> f64 {
    let begun = Instant::now();
    for _ in 0..CALLS {
        step();
    }
    begun.elapsed().as_nanos() as f64 / f64::from(CALLS)
}

fn bare_clock(_: &Kernel) {
    black_box(Instant::now());
}

fn resolve(kernel: &Kernel) -> NodeRef {
    let base = VPath::root();
    let how = How { base: &base, follow_last: true, memory_only: true };
    let place = kernel.mounts().resolve(black_box(b"/home/x"), &how);
    place.ok().and_then(|place| place.node).expect("the file was written before the rounds")
}

fn bare_exists(kernel: &Kernel) {
    black_box(resolve(kernel));
}

fn bare_read(kernel: &Kernel) {
    let data = resolve(kernel).open(Access::Read).and_then(|file| file.read_bytes(0, 1 << 20));
    black_box(data.expect("the file can be read"));
}
