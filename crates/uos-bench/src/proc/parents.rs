//! A start from a program with a gigabyte in memory beside the same from one without: two processes that live through
//! all rounds, in turns. One that took and gave back the gigabyte each round would measure what the machine does about
//! that meanwhile.

use std::{
    hint::black_box,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use uos_proc::Level;

use super::{ROUNDS, Start, Target, World, compared, in_turns, row, time};
use crate::{Result, report::Measurement};

/// A parent without spawners.
const PLAIN: &str = "plain";
const TOUCHED: usize = 1 << 30;

/// What is started, in this order.
const WAYS: [&str; 4] =
    ["no sandbox, from 1 GiB", "no namespaces, from 1 GiB", "Minimal, from 1 GiB", "Standard, from 1 GiB"];

pub(super) fn measure() -> Result<Vec<Measurement>> {
    let (mut large, mut small) = (Parent::start("large")?, Parent::start("small")?);
    let rows = WAYS.iter().enumerate().map(|(way, name)| {
        let (us, them) = in_turns(ROUNDS, &mut || large.time(way), &mut || small.time(way))?;
        Ok(row(name, "the same from a small one", us, them, 1.0 / 1.2))
    });
    rows.collect()
}

/// The peer itself from here, where spawners have groups and sockets open that it copies for its child, beside the same from
/// a process that has nothing.
pub(super) fn of_the_peer(target: &Target) -> Result<Measurement> {
    let mut plain = Parent::start(PLAIN)?;
    let here: Start<'_> = Box::new(|| target.posix_spawn());
    let (us, them) = in_turns(ROUNDS, &mut || time(&here), &mut || plain.time(0))?;
    Ok(compared("posix_spawn from beside spawners", "from a process without them", us, them))
}

/// A program that starts others when it is told to. It ends with the pipe to it.
struct Parent {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Parent {
    fn start(size: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--one-round-of", &format!("proc-parent:{size}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().ok_or("its output was asked for as a pipe")?);
        Ok(Parent { child, orders, answers })
    }

    /// Microseconds a start.
    fn time(&mut self, way: usize) -> Result<f64> {
        let orders = self.orders.as_mut().ok_or("its input was asked for as a pipe")?;
        writeln!(orders, "{way}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        Ok(answer.trim().parse()?)
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It has read the end, and gives back what it holds.
        let _ = self.child.wait();
    }
}

/// Is such a program.
pub(crate) fn be_one(size: &str) -> Result<()> {
    if size == PLAIN {
        let target = Target::new()?;
        return start_when_told(&[Box::new(|| target.posix_spawn())]);
    }
    let world = World::new()?;
    let memory = if size == "large" { vec![1u8; TOUCHED] } else { Vec::new() };
    let starts: [Start<'_>; WAYS.len()] = [
        Box::new(|| world.privileged()),
        Box::new(|| world.without_namespaces()),
        Box::new(|| world.sandboxed(Level::Minimal)),
        Box::new(|| world.sandboxed(Level::Standard)),
    ];
    let told = start_when_told(&starts);
    black_box(memory);
    told
}

fn start_when_told(starts: &[Start<'_>]) -> Result<()> {
    for order in std::io::stdin().lock().lines() {
        let start = starts.get(order?.parse::<usize>()?).ok_or("there is no such way")?;
        println!("{}", time(start)?);
    }
    Ok(())
}
