//! The system calls of sandboxes that no safe wrapper offers.
#![expect(unsafe_code, reason = "raw system calls; each says why it is sound")]

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

/// The version of Landlock's interface, or zero.
pub(super) fn landlock_version() -> u32 {
    const CREATE_RULESET_VERSION: c_int = 1;
    let nothing = std::ptr::null::<u8>();
    // SAFETY: with this flag the kernel wants a null pointer and reads nothing.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, CREATE_RULESET_VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// A network namespace with nothing in it but a loopback interface that is down. A thread is sent there and ends; the
/// descriptor keeps the namespace.
pub(super) fn empty_network() -> io::Result<OwnedFd> {
    let make = || {
        // SAFETY: an integer. It moves the calling thread, which ends right after, and no other.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } == -1 {
            return Err(io::Error::last_os_error());
        }
        File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
    };
    let thread = std::thread::Builder::new().name("uos-net".into()).spawn(make)?;
    thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}
