//! The process that looks after a sandbox, seen from outside; what it does is in `init/main.rs`.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

use crate::{SpawnError, Stage};

#[cfg(has_init)]
const BINARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/uos-init"));
#[cfg(not(has_init))]
const BINARY: &[u8] = &[];

/// The program, in memory that nobody can change: whoever executes it, and whatever finds it as `/proc/self/exe`.
pub(super) fn binary() -> io::Result<OwnedFd> {
    if BINARY.is_empty() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Older kernels don't know that files in memory could be anything but executable.
    let memfd =
        memfd_create("uos-init", flags | MemfdFlags::EXEC).or_else(|_| memfd_create("uos-init", flags))?;
    let mut rest = BINARY;
    while !rest.is_empty() {
        let written = rustix::io::write(&memfd, rest)?;
        rest = &rest[written..];
    }
    fcntl_add_seals(&memfd, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(memfd)
}

/// How it is told what to start: the program's descriptor, or its path. The program's own arguments follow.
pub(in crate::linux) fn arguments(
    socket: i32,
    program: Option<i32>,
    path: CString,
    terminal: Option<i32>,
) -> Vec<CString> {
    let program = program.map_or_else(|| c"-".to_owned(), number);
    let terminal = terminal.map_or_else(|| c"-".to_owned(), number);
    vec![c"uos-init".to_owned(), c"run".to_owned(), number(socket), program, terminal, path]
}

/// The number of a descriptor, for the command line.
pub(super) fn number(number: i32) -> CString {
    CString::new(number.to_string()).expect("digits are not NUL")
}

/// What it tells. As long as this is held it knows that its spawner is there.
#[derive(Clone, Debug)]
pub(in crate::linux) struct Reports(Arc<OwnedFd>);

const BEGUN: u32 = 1;
const FAILED: u32 = 2;
const ENDED: u32 = 3;

impl Reports {
    /// Our end and its end.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Reports(Arc::new(ours)), theirs))
    }

    /// Waits until the program has begun.
    pub(in crate::linux) fn begun(&self) -> Result<(), SpawnError> {
        match self.next(RecvFlags::empty()) {
            Some((BEGUN, _)) => Ok(()),
            Some((FAILED, errno)) => {
                Err(SpawnError::Stage { stage: Stage::Exec, errno: errno.cast_signed() })
            }
            _ => Err(SpawnError::Stage { stage: Stage::Init, errno: libc::ECHILD }),
        }
    }

    /// The program's wait status, if it came to one: nobody killed the one who looked after it before.
    pub(in crate::linux) fn ended(&self) -> Option<i32> {
        match self.next(RecvFlags::DONTWAIT) {
            Some((ENDED, status)) => Some(status.cast_signed()),
            _ => None,
        }
    }

    fn next(&self, flags: RecvFlags) -> Option<(u32, u32)> {
        let mut message = [0u8; 8];
        loop {
            match recv(&self.0, &mut message, flags) {
                Ok((8, _)) => break,
                Err(rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => return None,
            }
        }
        let word =
            |at: usize| u32::from_ne_bytes([message[at], message[at + 1], message[at + 2], message[at + 3]]);
        Some((word(0), word(4)))
    }
}
