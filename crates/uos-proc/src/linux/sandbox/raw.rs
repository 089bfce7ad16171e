//! The system calls of sandboxes that no safe wrapper offers.
#![expect(unsafe_code, reason = "raw system calls; each says why it is sound")]

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The version of Landlock's interface, or zero.
pub(super) fn landlock_version() -> u32 {
    const CREATE_RULESET_VERSION: c_int = 1;
    let nothing = std::ptr::null::<u8>();
    // SAFETY: with this flag the kernel wants a null pointer and reads nothing.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, CREATE_RULESET_VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// A set of Landlock rules without any rule yet, for what `handled` says in words that the interface has by now.
pub(super) fn landlock_rules(handled: &[u64]) -> io::Result<OwnedFd> {
    let no_flags = 0u32;
    // SAFETY: the kernel reads as many bytes as are said, all of them there.
    let set = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            handled.as_ptr(),
            std::mem::size_of_val(handled),
            no_flags,
        )
    };
    let set = c_int::try_from(set).map_err(|_| io::ErrorKind::Other)?;
    if set == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(set) })
}

/// Allows `rights` in and below a place.
pub(super) fn landlock_allow(rules: &OwnedFd, place: &OwnedFd, rights: u64) -> io::Result<()> {
    const PATH_BENEATH: c_int = 1;
    // Twelve bytes, packed: the rights, and a descriptor of the place.
    let mut rule = [0u8; 12];
    rule[..8].copy_from_slice(&rights.to_ne_bytes());
    rule[8..].copy_from_slice(&place.as_raw_fd().to_ne_bytes());
    // SAFETY: the kernel reads that structure, which is there; the rest are integers.
    let answer = unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), PATH_BENEATH, rule.as_ptr(), 0u32)
    };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
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
