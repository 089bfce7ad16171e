//! Who runs next, for how long, and what everybody got: scheduling policies on a given clock.
//!
//! A [`Scheduler`] keeps tasks, groups and CPUs; its [`Policy`] decides among normal tasks, and a task's [`Class`]
//! says whether it goes before them, beside them or after them. Time is an argument, arithmetic is on integers and
//! ties have an order, so the same calls give the same decisions on every machine, and a simulated hour takes as long
//! as its decisions do. For every decision [`Scheduler::explain`] says why.
//!
//! What the core deliberately does not know: clocks, threads, processes and their ids, the operating system. A task
//! is a [`TaskId`]; who obeys the decision is somebody else's concern. Where a kernel decides by itself,
//! [`Scheduler::account`] takes what really happened instead.
//!
//! ```
//! use uos_sched::{Cpu, Nanos, Policy, Scheduler, Weight, Why};
//!
//! let mut sched = Scheduler::new(Policy::FAIR, 1)?;
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
#![deny(unsafe_code)]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod class;
mod control;
mod cpus;
mod error;
mod group;
mod ledger;
mod policy;
mod queue;
mod reading;
mod scheduler;
mod stats;
mod table;
mod task;
mod time;
mod weight;

pub use class::{Class, Reservation, RtPriority, Spec};
#[cfg(feature = "os")]
pub use control::{Abilities, Explained, Gate, Groups, Means, OsControl, Turn};
pub use control::{ControlError, Controller, SimulatedControl, Wanted};
pub use cpus::CpuSet;
pub use error::SchedError;
pub use group::{GroupSpec, GroupStats, Quota};
pub use policy::Policy;
pub use reading::{Reading, Share};
pub use scheduler::{Ahead, Scheduler, Standing, Why};
pub use stats::{Histogram, Observed, Pick, Stats, Switch, TaskState, TaskStats};
pub use task::{Cpu, GroupId, TaskId};
pub use time::{Nanos, Quantum};
pub use weight::{Priority, Weight};
