//! The system calls that no safe wrapper offers.
#![expect(unsafe_code, reason = "raw system calls; each says why it is sound")]

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::Signal;

/// The end of a child, as the kernel tells it once.
pub(super) struct Death {
    pub(super) code: i32,
    pub(super) status: i32,
    pub(super) rusage: libc::rusage,
}

/// Collects the status of an exited child and what it used. `waitid` of the C library leaves the usage out, and
/// `wait4` has it but goes by number; the kernel's own call has both.
pub(super) fn reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<Death>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut rusage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for the one write the kernel makes, and of the types it documents.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_waitid,
            libc::P_PIDFD,
            pidfd.as_raw_fd(),
            info.as_mut_ptr(),
            libc::WEXITED | libc::WNOHANG,
            rusage.as_mut_ptr(),
        )
    };
    if answer == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: all zeroes is a value of both C structs, and the kernel wrote over them or left them so.
    let (info, rusage) = unsafe { (info.assume_init(), rusage.assume_init()) };
    // SAFETY: after waitid these are the fields of the siginfo that are set; zeroes when nothing has exited.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then_some(Death { code: info.si_code, status, rusage }))
}

/// Sends a signal to exactly the process of `pidfd`. Raw, because typed wrappers refuse the real-time signals.
pub(super) fn send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: integers, and a null pointer that the call documents as "like kill".
    let answer =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal.number(), no_info, 0) };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a signal that says which signal is meant: whoever looks after a sandbox passes that one on.
pub(super) fn send_signal_meaning(pidfd: BorrowedFd<'_>, signal: Signal, meant: Signal) -> io::Result<()> {
    // A siginfo as `sigqueue` makes it, by the word: number, error, code, padding, sender, user, value.
    let mut info = [0i32; 32];
    info[0] = signal.number();
    info[2] = libc::SI_QUEUE;
    info[6] = meant.number();
    // SAFETY: the kernel reads one siginfo, which is 128 bytes.
    let answer = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal.number(), info.as_ptr(), 0)
    };
    if answer == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Registers a pidfd with the runtime this is polled in.
pub(super) fn watch(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open, and the same descriptor, until it is dropped; the AsyncFd owns it until then.
    unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }.map_err(Into::into)
}

/// Registers our side of a terminal for reading and writing with the runtime this is polled in.
pub(super) fn watch_both(master: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: an OwnedFd is open, and the same descriptor, until its last owner drops it; the AsyncFd is one of them.
    unsafe { AsyncFd::register_with_interest(master, Interest::READABLE | Interest::WRITABLE) }
        .map_err(Into::into)
}

/// Whether `close_range` knows `CLOSE_RANGE_CLOEXEC`. Asked about a range that holds no descriptor.
pub(super) fn can_hide_descriptors() -> bool {
    // SAFETY: integers only; no descriptor has the highest number, so none changes.
    unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0 }
}

/// Moves the calling thread into new namespaces of these kinds, which nobody else is in.
pub(super) fn leave_namespaces(kinds: c_int) -> io::Result<()> {
    // SAFETY: an integer; the calling thread alone is moved.
    if unsafe { libc::unshare(kinds) } == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The most memory this program has ever had resident, in KiB.
pub(super) fn own_peak_kib() -> i64 {
    let mut rusage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for the one write; all zeroes is a value of the struct should the call fail.
    unsafe {
        libc::getrusage(libc::RUSAGE_SELF, rusage.as_mut_ptr());
        rusage.assume_init().ru_maxrss
    }
}

/// Clock ticks per second, the unit of processor time in `/proc`.
pub(super) fn ticks_per_second() -> u64 {
    // SAFETY: an integer in, an integer out.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
}
