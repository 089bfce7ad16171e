//! The newer call that makes a process: it alone can make one in a control group.
//!
//! The C library has no function for it, since what it needs to begin on another stack is the processor's own language.
#![expect(unsafe_code, reason = "a raw call that begins on another stack; each block says why it is sound")]

use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};

use super::key::Key;

/// What a child begins in. It never returns.
pub(super) type Entry = extern "C" fn(*mut c_void) -> c_int;

/// What the call reads, as of Linux 5.7.
#[repr(C)]
#[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "the call is not made here"))]
struct Args {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Whether the call is made at all on processors of this kind.
pub(super) const IS_MADE_HERE: bool = cfg!(target_arch = "x86_64");

/// A flag that the older call can't be given.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Makes a child in a control group, that begins in `enter` with `orders` on the stack of `stack_len` bytes that ends at
/// `top`, and ends with `SIGCHLD`. `key` is that of the filter which the calling thread has loaded. Its number, or the
/// errno. On processors that this was not written for it is `ENOSYS`.
///
/// # Safety
///
/// `flags` have `CLONE_VM`, `CLONE_VFORK` and `CLONE_PIDFD`, `pidfd` is valid for a write, the stack is mapped and nobody
/// else's, its top aligned to 16, and `enter` may be called with `orders` while the caller stands still.
pub(super) unsafe fn clone_into(
    group: BorrowedFd<'_>,
    flags: c_int,
    (top, stack_len): (*mut c_void, usize),
    (enter, orders): (Entry, *mut c_void),
    pidfd: *mut c_int,
    key: &Key,
) -> Result<libc::pid_t, c_int> {
    let args = Args {
        flags: u64::from(flags.cast_unsigned()) | CLONE_INTO_CGROUP,
        pidfd: pidfd as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD as u64,
        stack: top as u64 - stack_len as u64,
        stack_size: stack_len as u64,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: group.as_raw_fd() as u64,
    };
    // SAFETY: as promised by the caller.
    let answer = unsafe { call(&args, enter, orders, key) };
    match libc::pid_t::try_from(answer) {
        Ok(pid @ 1..) => Ok(pid),
        Ok(errno) => Err(errno.wrapping_neg()),
        Err(_) => Err(libc::EIO),
    }
}

#[cfg(target_arch = "x86_64")]
unsafe fn call(args: &Args, enter: Entry, orders: *mut c_void, key: &Key) -> isize {
    let answer: isize;
    let [first, second, third, fourth] = key.words();
    // SAFETY: the kernel reads as many bytes as are said, and nothing of the four registers behind them. The child finds all
    // registers as they are here but the stack's, which is its own and aligned as a call expects it; it calls `enter`, which
    // never returns, so it never comes to what follows. The parent goes on there, after the child has left its memory, with
    // what the kernel may have changed (`rax`, `rcx`, `r11`) declared, and what is cleared here: nothing that either calls
    // next is to show the key.
    unsafe {
        std::arch::asm!(
            "syscall",
            "xor edx, edx",
            "xor r10d, r10d",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 as isize => answer,
            in("rdi") args,
            in("rsi") size_of::<Args>(),
            inlateout("rdx") first => _,
            inlateout("r10") second => _,
            inlateout("r8") third => _,
            inlateout("r9") fourth => _,
            in("r12") orders,
            in("r13") enter,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    answer
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn call(_: &Args, _: Entry, _: *mut c_void, _: &Key) -> isize {
    -(libc::ENOSYS as isize)
}
