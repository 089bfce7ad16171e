//! Scheduling policies on a given clock: who runs next, for how long, and what everybody got.
//!
//! A [`Scheduler`] keeps tasks and CPUs; a [`Policy`] decides. [`Fair`] shares by weight, [`RoundRobin`]
//! by turns. Time is an argument, arithmetic is on integers and ties have an order, so the same calls
//! give the same decisions on every machine, and a simulated hour takes as long as its decisions do.
//!
//! What it deliberately does not know: clocks, threads, processes and their ids, the operating system. A
//! task is a [`TaskId`]; who obeys the decision is somebody else's concern. Where a kernel decides by
//! itself, [`Scheduler::account`] takes what really happened instead.
//!
//! ```
//! use uos_sched::{Cpu, Fair, Nanos, Scheduler, Weight, Why};
//!
//! let mut sched = Scheduler::new(Fair::default(), 1)?;
//! let mut now = Nanos::ZERO;
//! let light = sched.add(Weight::new(1024)?, now)?;
//! let heavy = sched.add(Weight::new(3072)?, now)?;
//! for _ in 0..400 {
//!     let pick = sched.pick(Cpu(0), now)?.expect("two tasks can run");
//!     now = now + pick.slice;
//!     sched.put_back(Cpu(0), now, Why::Expired)?;
//! }
//! assert_eq!(sched.task(heavy)?.runtime, sched.task(light)?.runtime * 3);
//! # Ok::<(), uos_sched::SchedError>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod ledger;
mod policy;
mod scheduler;
mod stats;
mod task;
mod time;
mod weight;

pub use error::SchedError;
pub use policy::{Arrival, Fair, Pick, Policy, RoundRobin};
pub use scheduler::{Scheduler, Why};
pub use stats::{Observed, Stats, TaskState, TaskStats};
pub use task::{Cpu, TaskId};
pub use time::{Nanos, Quantum};
pub use weight::{Priority, Weight};
