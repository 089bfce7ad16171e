//! The uOS contract: protobuf messages, the gRPC service and the typed call table.
//!
//! The `.proto` files are the contract. A field of `uos.v1.Call` is a call, its tag is the call's number, its option the
//! rule it runs under, and the comment above its arguments is its man page. From them come the messages in [`v1`], the
//! [`TABLE`] and the one [`dispatch`].
//!
//! This crate does not know the kernel, the server or any transport; the features `client` and `server` add tonic's
//! halves of the service.
//!
//! ```
//! use uos_proto::{Class, Right, TABLE, v1};
//!
//! let call = v1::call::Call::from(v1::ReadFile { path: "/home/x".into(), ..Default::default() });
//! let info = call.info();
//! assert_eq!((info.number, info.name, info.right), (1, "ReadFile", Right::FsRead));
//! assert!(TABLE.iter().any(|row| row.class == Class::Wait));
//! ```
#![forbid(unsafe_code)]

mod table;

pub use table::{
    ANSWER_REQUEST, AtOnce, Audit, CREATE_PROCESS, CallInfo, Class, FieldInfo, Later, Perform, Performer,
    Request, Right, TABLE, dispatch,
};

/// The messages of package `uos.v1`, and the service under the features `client` and `server`.
#[allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    reason = "generated; the contract carries the documentation"
)]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/uos.v1.rs"));
}

/// The whole contract as an encoded `FileDescriptorSet`, for server reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));
