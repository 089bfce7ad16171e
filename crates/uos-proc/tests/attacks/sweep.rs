//! Every system call by its number, under each way of making it, inside each level.
//!
//! What gets through is written down in `docs/attacks.md`, by name: a call more is a visible line of a diff. A call
//! counts as let through if it answers anything but `EPERM` and `ENOSYS`, or ends or holds the one who makes it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use uos_proc::{ExitCause, LinuxSpawner, Signal, Spawner, Spec, Stdio};

/// One more than the highest number that is tried.
const END: usize = 601;

/// Calls of the kernel's own probes, `uretprobe` and `uprobe`. Since 6.14 the kernel lets them past every filter, and refuses
/// whoever makes them from anywhere but its own trampoline by `SIGILL` or `ENXIO`. Before, they are refused like others.
const UNFILTERED: [usize; 2] = [335, 336];

/// What answered under one way of making calls.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Swept {
    pub(crate) let_through: BTreeSet<usize>,
    /// Calls that ended their maker by `SIGSYS`.
    pub(crate) killed: usize,
}

/// Makes every call under `abi`, going on behind each one that ended the sandbox. `boxed` says in which, for its words.
pub(crate) async fn sweep(spawner: &LinuxSpawner, boxed: &dyn Fn(&[String]) -> Spec, abi: &str) -> Swept {
    let mut swept = Swept::default();
    let mut next = 0;
    while next < END {
        let words = ["sweep".to_owned(), abi.to_owned(), next.to_string(), END.to_string()];
        let child = spawner.spawn(boxed(&words).stdout(Stdio::Pipe)).expect("a sandbox");
        let mut said = String::new();
        let mut stdout = child.take_stdout().expect("a pipe");
        let all = async { tokio::join!(child.wait(), stdout.read_to_string(&mut said)) };
        let (exit, read) = tokio::time::timeout(Duration::from_secs(60), all).await.expect("a sweep ends");
        read.expect("its lines are text");
        for line in said.lines() {
            let (number, answer) = line.split_once(' ').expect("a number and an answer");
            let number = number.parse().expect("a number");
            let is_unfiltered = UNFILTERED.contains(&number) && answer == "ENXIO";
            if !["EPERM", "ENOSYS"].contains(&answer) && !is_unfiltered {
                swept.let_through.insert(number);
            }
            next = number + 1;
        }
        if next < END && !said.ends_with(" holds\n") {
            match exit.cause {
                ExitCause::Signaled { signal: Signal::SYS, .. } => swept.killed += 1,
                ExitCause::Signaled { signal: Signal::ILL, .. } if UNFILTERED.contains(&next) => {}
                // It got through, and that was its maker's end.
                _ => _ = swept.let_through.insert(next),
            }
            next += 1;
        }
    }
    swept
}
