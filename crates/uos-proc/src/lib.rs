//! Start, watch and stop real operating system processes.
//!
//! A [`Spec`] says which program to run and how tightly to hold it, a [`Spawner`] turns it into a [`Child`], and
//! the child answers until it has exited. Three rules shape everything here:
//!
//! - **Nothing is inherited by accident.** The environment is empty, the descriptors are 0, 1 and 2, signal
//!   dispositions and the mask are the defaults, and every argument reaches the program byte for byte.
//! - **Nothing is pretended.** What a machine cannot enforce is an error before the program starts
//!   ([`SpawnError::NotEnforceable`]) or is reported as [`Means::Weakened`] or [`Means::Absent`] with the reason.
//! - **Never fork.** A large parent pays for a fork with its page tables; the Linux spawner shares memory with the
//!   child until it executes, and tells by name which [`Stage`] of that short life failed.
//!
//! The crate deliberately knows nothing of who asked for a process and whether they may, of virtual
//! files or of any wire format: those are the caller's business. It also reaps only what it started, so it can
//! live in a program that has other children.
//!
//! ```
//! # #[cfg(target_os = "linux")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tokio::io::AsyncReadExt;
//! use uos_proc::{ExitCause, Level, LinuxSpawner, Spawner, Spec, Stdio};
//!
//! let spawner = LinuxSpawner::new()?;
//! let spec = Spec::new("/usr/bin/printf")
//!     .args(["%s", "; rm -rf / is only text"])
//!     .stdout(Stdio::Pipe)
//!     .level(Level::Privileged);
//! let child = spawner.spawn(spec)?;
//!
//! let mut said = String::new();
//! child.take_stdout().expect("stdout is a pipe").read_to_string(&mut said).await?;
//! assert_eq!(said, "; rm -rf / is only text");
//! assert_eq!(child.wait().await.cause, ExitCause::Exited(0));
//! # Ok(())
//! # }
//! # #[cfg(not(target_os = "linux"))]
//! # fn main() {}
//! ```
//!
//! For tests of code that spawns, [`FakeSpawner`] plays scripts instead of programs behind the same trait.

#![deny(unsafe_code)]

mod check;
mod child;
mod errno;
mod error;
mod exit;
mod fake;
mod guarantee;
mod limits;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(feature = "oci")]
mod oci;
mod pipe;
mod portable;
mod pty;
mod signal;
mod spawner;
mod spec;
mod stream;
mod view;

pub use child::{Child, Process, Streams};
pub use error::{LimitsError, SignalError, SpawnError, Stage};
pub use exit::{Exit, ExitCause, LimitEvents, Usage};
pub use fake::{FakeSpawner, Gate, Script};
pub use guarantee::{Enforcement, Guarantee, Means, Support};
pub use limits::{CpuGroup, Limits};
#[cfg(target_os = "linux")]
pub use linux::{Isolation, LinuxSpawner};
#[cfg(feature = "oci")]
pub use oci::{OciError, OciSpawner};
pub use portable::PortableSpawner;
pub use pty::{Pty, PtySize};
pub use signal::{ParseSignalError, Signal};
pub use spawner::Spawner;
pub use spec::{Cwd, Level, OnDrop, OnLeaderExit, Program, Spec, Stdio};
pub use stream::{Input, Output};
pub use view::{Init, Mount, Network, Source};
