//! Calls that are allowed with some arguments only.
//!
//! A filter sees registers, not memory. Every rule looks at the low half of one or two of them, which is what the
//! kernel takes of the `int`s, flags and modes judged here: comparing all 64 bits would let a request through
//! whose upper half is not zero and is ignored (as happened to others with `TIOCSTI`).

use std::ffi::c_long;

use libc as c;

/// What must hold of a call's arguments, and the error number if it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// None of these bits may be set.
    Without { arg: u8, bits: u32, errno: u16 },
    /// All of these bits must be set.
    With { arg: u8, bits: u32, errno: u16 },
    /// It must be one of these.
    OneOf { arg: u8, values: &'static [u32], errno: u16 },
    /// It must be none of these.
    NoneOf { arg: u8, values: &'static [u32], errno: u16 },
    /// If any of the bits `when` of the argument `of` is set, none of these bits may be.
    WithoutWhen { of: u8, when: u32, arg: u8, bits: u32, errno: u16 },
}

/// Set-user-ID and set-group-ID. A file that a program makes in a granted folder may belong, on the host, to the
/// one who granted it; marked so, it would run as that one, outside.
const SET_ID: u32 = 0o6000;

/// Any flag of `clone` that makes a namespace. The newest, for time, can't be given to it.
const NAMESPACES: u32 = (c::CLONE_NEWNS
    | c::CLONE_NEWCGROUP
    | c::CLONE_NEWUTS
    | c::CLONE_NEWIPC
    | c::CLONE_NEWUSER
    | c::CLONE_NEWPID
    | c::CLONE_NEWNET)
    .cast_unsigned();

/// Requests that type into a terminal, paste into a console, or give a terminal another line discipline.
const TERMINAL_TRICKS: &[u32] = &[c::TIOCSTI as u32, 0x541C, c::TIOCSETD as u32];

/// Leases on a file, and their successor that holds for directories, too. Whoever opens or executes a leased file waits
/// for its holder, up to 45 seconds: the thread that starts programs would, and a server that reads what it has granted.
const LEASES: &[u32] = &[c::F_SETLEASE.cast_unsigned(), 1040];

/// Families of sockets that a network namespace separates, and that no other part of the kernel is behind.
const FAMILIES: &[u32] =
    &[c::AF_UNIX.cast_unsigned(), c::AF_INET.cast_unsigned(), c::AF_INET6.cast_unsigned()];

/// Flags with which opening a file makes one, so that the mode counts.
const MAKES_FILE: u32 = (c::O_CREAT | (c::O_TMPFILE & !c::O_DIRECTORY)).cast_unsigned();

const EPERM: u16 = c::EPERM as u16;
const EACCES: u16 = c::EACCES as u16;
const EAFNOSUPPORT: u16 = c::EAFNOSUPPORT as u16;

const fn no_set_id(arg: u8) -> Rule {
    Rule::Without { arg, bits: SET_ID, errno: EPERM }
}

const fn no_set_id_when_made(flags: u8, mode: u8) -> Rule {
    Rule::WithoutWhen { of: flags, when: MAKES_FILE, arg: mode, bits: SET_ID, errno: EPERM }
}

/// The rules of every sandboxed program.
pub(super) const ALWAYS: &[(c_long, Rule)] = &[
    (c::SYS_clone, Rule::Without { arg: 0, bits: NAMESPACES, errno: EPERM }),
    (c::SYS_ioctl, Rule::NoneOf { arg: 1, values: TERMINAL_TRICKS, errno: EPERM }),
    (c::SYS_fcntl, Rule::NoneOf { arg: 1, values: LEASES, errno: EPERM }),
    (c::SYS_fchmod, no_set_id(1)),
    (c::SYS_fchmodat, no_set_id(2)),
    (c::SYS_mkdirat, no_set_id(2)),
    (c::SYS_mknodat, no_set_id(2)),
    (c::SYS_openat, no_set_id_when_made(2, 3)),
    #[cfg(target_arch = "x86_64")]
    (c::SYS_chmod, no_set_id(1)),
    #[cfg(target_arch = "x86_64")]
    (c::SYS_creat, no_set_id(1)),
    #[cfg(target_arch = "x86_64")]
    (c::SYS_mkdir, no_set_id(1)),
    #[cfg(target_arch = "x86_64")]
    (c::SYS_mknod, no_set_id(1)),
    #[cfg(target_arch = "x86_64")]
    (c::SYS_open, no_set_id_when_made(1, 2)),
];

/// Where sockets are allowed at all.
pub(super) const WITH_SOCKETS: &[(c_long, Rule)] = &[
    (c::SYS_socket, Rule::OneOf { arg: 0, values: FAMILIES, errno: EAFNOSUPPORT }),
    (c::SYS_socketpair, Rule::OneOf { arg: 0, values: FAMILIES, errno: EAFNOSUPPORT }),
];

/// Where the network can't be taken away by a namespace: nothing but local sockets.
pub(super) const LOCAL_SOCKETS: &[(c_long, Rule)] = &[
    (c::SYS_socket, Rule::OneOf { arg: 0, values: &[c::AF_UNIX as u32], errno: EAFNOSUPPORT }),
    (c::SYS_socketpair, Rule::OneOf { arg: 0, values: &[c::AF_UNIX as u32], errno: EAFNOSUPPORT }),
];

/// Where a program may not start others: threads only, and it keeps the signal that ends it with its spawner.
pub(super) const WITHOUT_PROCESSES: &[(c_long, Rule)] = &[
    (c::SYS_clone, Rule::With { arg: 0, bits: c::CLONE_THREAD.cast_unsigned(), errno: EPERM }),
    (c::SYS_prctl, Rule::NoneOf { arg: 0, values: &[c::PR_SET_PDEATHSIG.cast_unsigned()], errno: EPERM }),
];

/// Where nothing that can be written may be executed.
pub(super) const WRITE_OR_EXECUTE: &[(c_long, Rule)] =
    &[(c::SYS_memfd_create, Rule::With { arg: 1, bits: c::MFD_NOEXEC_SEAL, errno: EACCES })];
