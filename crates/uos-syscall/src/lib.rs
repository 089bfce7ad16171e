//! The uOS kernel: one typed call table over processes, files, pipes and a scheduler.
//!
//! A [`Kernel`] composes the four leaves. A [`Caller`] is a process that acts; [`Kernel::invoke`] is the one door: it
//! finds what a call is aimed at, lets it through or refuses it, runs it on just what it found, and writes down exactly
//! one audit record. Rights are denied by default. Every process owns its handles, and they go with it.
//!
//! It deliberately does not know tokens' transport, servers or SQL: who a caller is was settled by whoever made the
//! channel. It knows no policy of its own either: what a process may do is in its grants.
//!
//! ```
//! use uos_proc::LinuxSpawner;
//! use uos_proto::v1::{CreateProcessRequest, WriteFile};
//! use uos_syscall::{Errno, Kernel, namespace};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::builder(namespace::standard(namespace::Capacity::default())?, LinuxSpawner::new()?).start()?;
//! let grants = vec!["fs.write:/home/**".to_owned()];
//! let made = kernel.create_process(&kernel.init(), CreateProcessRequest { grants, ..Default::default() }).await?;
//! let agent = kernel.by_token(&made.token).expect("it has just been made");
//!
//! let write = |path: &str| WriteFile { path: path.into(), data: "hello".into(), ..Default::default() };
//! kernel.invoke(&agent, write("/home/x").into()).await?;
//! let refused = kernel.invoke(&agent, write("/home/../etc/x").into()).await.unwrap_err();
//! assert_eq!((refused.errno, &*refused.hint), (Errno::EACCES, "grant `fs.write:/etc/x`"));
//! # kernel.shut_down().await;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod admit;
mod asking;
pub mod audit;
mod calls;
mod control;
mod environment;
mod errno;
mod error;
mod events;
mod handles;
mod host;
mod input;
mod kernel;
mod life;
mod limits;
mod making;
mod moment;
mod mounted;
pub mod namespace;
mod net;
mod output;
mod past;
mod pending;
mod perform;
mod pressure;
mod process;
mod replay;
pub mod rights;
mod signals;
mod sockets;
mod staged;
mod table;
mod target;
mod transfer;
mod uproot;
mod watches;

pub use asking::{Answer, RightRequest, Settled};
pub use errno::Errno;
pub use error::{Cause, Error};
pub use events::{Event, FileChange, Observer};
pub use kernel::{Builder, Caller, Kernel};
pub use limits::{InUse, Limits};
pub use net::{Answering, Dialer, HostDialer, HostResolver, ResolveError, Resolver, Turn};
pub use pressure::Area;
pub use process::Pid;
pub use transfer::{Download, Existing, Upload};
/// A canonical path, as events name files by.
pub use uos_vfs::VPath;
