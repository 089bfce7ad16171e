//! Process 1 of a sandbox, as small as it can be: it starts the program, passes signals on to it, collects orphans, and
//! ends with it. It has no allocator, no library and no memory worth mentioning, and whatever it does it does under
//! the program's own seccomp filter, uid and limits: it is of no more use to an attacker than the program itself.
//!
//! `uos-init hold FD`: waits for the end of file on FD, then exits.
//! `uos-init run SOCKET PROGRAM TTY PATH ARGV…`: PROGRAM is the number of the program's descriptor, or `-`: then PATH is
//! executed. With TTY 0, 1 or 2, that descriptor becomes the program's controlling terminal. On SOCKET it says, each in a
//! message of two 32-bit words: 1 and the program's process id when it has begun, or 2 and an errno when it could
//! not; and 3 and the program's wait status when it has ended. When the other end of SOCKET is gone, so is the spawner,
//! and it exits; the kernel then kills whatever else is in its process id namespace.
//!
//! A signal that was queued from outside the namespace (`si_code` `SI_QUEUE`, `si_pid` 0) is passed on as the signal
//! that its value names: so `SIGSTOP`, which would stop this process and not the program, comes through.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::mem::MaybeUninit;

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const READ: usize = 0;
    pub const WRITE: usize = 1;
    pub const RT_SIGPROCMASK: usize = 14;
    pub const IOCTL: usize = 16;
    pub const NANOSLEEP: usize = 35;
    pub const CLONE: usize = 56;
    pub const EXECVE: usize = 59;
    pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;
    pub const FCNTL: usize = 72;
    pub const SETPGID: usize = 109;
    pub const SETSID: usize = 112;
    pub const PRCTL: usize = 157;
    pub const EXIT_GROUP: usize = 231;
    pub const PPOLL: usize = 271;
    pub const SIGNALFD4: usize = 289;
    pub const EXECVEAT: usize = 322;
    pub const CLOSE_RANGE: usize = 436;
}
#[cfg(target_arch = "aarch64")]
mod nr {
    pub const FCNTL: usize = 25;
    pub const IOCTL: usize = 29;
    pub const READ: usize = 63;
    pub const WRITE: usize = 64;
    pub const PPOLL: usize = 73;
    pub const SIGNALFD4: usize = 74;
    pub const EXIT_GROUP: usize = 94;
    pub const NANOSLEEP: usize = 101;
    pub const KILL: usize = 129;
    pub const RT_SIGPROCMASK: usize = 135;
    pub const SETPGID: usize = 154;
    pub const SETSID: usize = 157;
    pub const PRCTL: usize = 167;
    pub const CLONE: usize = 220;
    pub const EXECVE: usize = 221;
    pub const WAIT4: usize = 260;
    pub const EXECVEAT: usize = 281;
    pub const CLOSE_RANGE: usize = 436;
}

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "mov rdi, rsp", "and rsp, -16", "call {begin}", "ud2", begin = sym begin);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "mov x29, #0", "mov x0, sp", "bl {begin}", "brk #1", begin = sym begin);

#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, a: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: the caller passes what the call documents; a system call changes these registers only.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => answer, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    answer
}
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, a: [usize; 6]) -> isize {
    let answer: isize;
    // SAFETY: as above.
    unsafe {
        asm!("svc #0", in("x8") number, inlateout("x0") a[0] as isize => answer, in("x1") a[1], in("x2") a[2],
            in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    answer
}

/// Starts `child` with `context` on a stack of its own in this memory, and stands still until it executes or exits.
#[cfg(target_arch = "x86_64")]
unsafe fn vfork(stack_top: usize, child: extern "C" fn(*mut Start) -> !, context: *mut Start) -> isize {
    let answer: isize;
    // SAFETY: the child begins on the given stack with its argument, and never returns here.
    unsafe {
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r12", "call r13", "ud2", "2:",
            inlateout("rax") nr::CLONE as isize => answer, in("rdi") VFORK, in("rsi") stack_top, in("rdx") 0,
            in("r10") 0, in("r8") 0, in("r12") context, in("r13") child, lateout("rcx") _, lateout("r11") _);
    }
    answer
}
#[cfg(target_arch = "aarch64")]
unsafe fn vfork(stack_top: usize, child: extern "C" fn(*mut Start) -> !, context: *mut Start) -> isize {
    let answer: isize;
    // SAFETY: as above.
    unsafe {
        asm!("svc #0", "cbnz x0, 2f", "mov x29, #0", "mov x0, x20", "blr x21", "brk #1", "2:",
            in("x8") nr::CLONE, inlateout("x0") VFORK as isize => answer, in("x1") stack_top, in("x2") 0,
            in("x3") 0, in("x4") 0, in("x20") context, in("x21") child);
    }
    answer
}

/// `CLONE_VM | CLONE_VFORK | SIGCHLD`.
const VFORK: usize = 0x100 | 0x4000 | 17;
const SIGCHLD: u32 = 17;
const SIG_SETMASK: usize = 2;
const SI_QUEUE: i32 = -1;
const POLLIN: u16 = 1;

struct Start {
    socket: usize,
    program: Option<usize>,
    /// The digit of a descriptor, or `-`.
    terminal: u8,
    path: *const u8,
    argv: *const *const u8,
    envp: *const *const u8,
    errno: isize,
}

/// 2 KiB, aligned as a stack must be: what runs on it calls next to nothing.
type Stack = MaybeUninit<[u128; 128]>;

extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: the kernel puts the count, the arguments, a null and the environment there.
    let (argc, argv) = unsafe { (*stack, stack.add(1).cast::<*const u8>()) };
    let arg = |place: usize| -> *const u8 {
        if place >= argc {
            exit(126);
        }
        // SAFETY: below the count.
        unsafe { *argv.add(place) }
    };
    if first(arg(1)) == b'h' {
        hold(number(arg(2)));
    }
    let mut start = Start {
        socket: number(arg(2)),
        program: (first(arg(3)) != b'-').then(|| number(arg(3))),
        terminal: first(arg(4)),
        path: arg(5),
        // SAFETY: both lists are in the kernel's block, each ended by a null.
        argv: unsafe { argv.add(6) },
        envp: unsafe { argv.add(argc + 1) },
        errno: 0,
    };
    mask(u64::MAX);
    // It is of the program's user. Not to be read or written in memory by it, it can't be made to outlive the spawner.
    const PR_SET_DUMPABLE: usize = 4;
    // SAFETY: integers.
    unsafe { call(nr::PRCTL, [PR_SET_DUMPABLE, 0, 0, 0, 0, 0]) };
    // Inside its own stack, so that no memory has to be mapped for it.
    let mut inner = Stack::uninit();
    let top = inner.as_mut_ptr() as usize + size_of::<Stack>();
    // SAFETY: the stack is the child's alone, and the child ends before this goes on.
    let child = unsafe { vfork(top, enter, &raw mut start) };
    // SAFETY: written by the child, which has gone by now.
    let errno = unsafe { (&raw const start.errno).read_volatile() };
    if child < 0 || errno != 0 {
        say(start.socket, 2, if child < 0 { -child } else { errno } as u32);
        exit(127);
    }
    // The program's streams are its own: held open here, nobody would ever read their end.
    // SAFETY: integers.
    unsafe {
        if start.socket > 0 {
            call(nr::CLOSE_RANGE, [0, start.socket - 1, 0, 0, 0, 0]);
        }
        call(nr::CLOSE_RANGE, [start.socket + 1, u32::MAX as usize, 0, 0, 0, 0]);
    }
    say(start.socket, 1, child as u32);
    look_after(start.socket, child)
}

/// Between the clone and the program.
extern "C" fn enter(start: *mut Start) -> ! {
    // SAFETY: the parent stands still meanwhile and keeps what it passed.
    unsafe {
        let s = &*start;
        let mut answer = 0;
        if s.terminal != b'-' {
            const TIOCSCTTY: usize = 0x540E;
            call(nr::SETSID, [0; 6]);
            answer = call(nr::IOCTL, [(s.terminal - b'0') as usize, TIOCSCTTY, 0, 0, 0, 0]);
        } else {
            // A group of its own: what it sends to its group does not come here, to be passed on once more.
            call(nr::SETPGID, [0; 6]);
        }
        if answer >= 0 {
            const F_SETFD: usize = 2;
            call(nr::FCNTL, [s.socket, F_SETFD, 1, 0, 0, 0]);
            if let Some(program) = s.program {
                call(nr::FCNTL, [program, F_SETFD, 1, 0, 0, 0]);
            }
            mask(0);
            answer = execute(s);
            // Open for writing somewhere, most likely as a copy that somebody has who is about to execute: 50 us to 26 ms later
            // it may not be, ten times.
            const ETXTBSY: isize = 26;
            let mut pause = 50_000;
            while answer == -ETXTBSY && pause < 50_000_000 {
                let length = [0usize, pause];
                call(nr::NANOSLEEP, [&raw const length as usize, 0, 0, 0, 0, 0]);
                answer = execute(s);
                pause *= 2;
            }
        }
        (&raw mut (*start).errno).write_volatile(-answer);
    }
    exit(127)
}

/// Makes this process the program, or says why it is not.
unsafe fn execute(s: &Start) -> isize {
    const AT_EMPTY_PATH: usize = 0x1000;
    let empty = c"".as_ptr() as usize;
    let (argv, envp) = (s.argv as usize, s.envp as usize);
    // SAFETY: the lists and strings are in the kernel's block.
    unsafe {
        match s.program {
            None => call(nr::EXECVE, [s.path as usize, argv, envp, 0, 0, 0]),
            Some(program) => call(nr::EXECVEAT, [program, empty, argv, envp, AT_EMPTY_PATH, 0]),
        }
    }
}

/// Until the program ends, or the spawner.
fn look_after(socket: usize, program: isize) -> ! {
    let every = u64::MAX;
    const CLOEXEC: usize = 0o2_000_000;
    // SAFETY: a mask of eight bytes.
    let signals = unsafe { call(nr::SIGNALFD4, [usize::MAX, &raw const every as usize, 8, CLOEXEC, 0, 0]) };
    if signals < 0 {
        exit(126);
    }
    let mut watched = [
        Poll { fd: signals as i32, wanted: POLLIN, seen: 0 },
        Poll { fd: socket as i32, wanted: 0, seen: 0 },
    ];
    loop {
        // The program may have ended before there was a descriptor to hear of it.
        collect(socket, program);
        // SAFETY: two entries of the kernel's own shape, and no timeout.
        unsafe { call(nr::PPOLL, [watched.as_mut_ptr() as usize, 2, 0, 0, 8, 0]) };
        if watched[1].seen != 0 {
            exit(0);
        }
        if watched[0].seen == 0 {
            continue;
        }
        // A `signalfd_siginfo`.
        let mut info = [0u32; 32];
        // SAFETY: room for exactly one.
        if unsafe { call(nr::READ, [signals as usize, info.as_mut_ptr() as usize, 128, 0, 0, 0]) } != 128 {
            continue;
        }
        let (signal, code, sender, value) = (info[0], info[2] as i32, info[3], info[11]);
        if signal == SIGCHLD && code > 0 {
            continue;
        }
        let signal = if code == SI_QUEUE && sender == 0 { value } else { signal };
        // SAFETY: integers. Not yet collected, so the number is the program's.
        unsafe { call(nr::KILL, [program as usize, signal as usize, 0, 0, 0, 0]) };
    }
}

/// Collects everyone who has ended, and ends if the program has.
fn collect(socket: usize, program: isize) {
    loop {
        let mut status = 0i32;
        const WNOHANG: usize = 1;
        // SAFETY: room for the status.
        let who = unsafe { call(nr::WAIT4, [usize::MAX, &raw mut status as usize, WNOHANG, 0, 0, 0]) };
        if who <= 0 {
            return;
        }
        if who == program {
            say(socket, 3, status as u32);
            let signal = status & 0x7f;
            exit(if signal == 0 { (status >> 8 & 0xff) as usize } else { 128 + signal as usize });
        }
    }
}

#[repr(C)]
struct Poll {
    fd: i32,
    wanted: u16,
    seen: u16,
}

fn hold(fd: usize) -> ! {
    let mut byte = 0u8;
    // SAFETY: room for one byte.
    while unsafe { call(nr::READ, [fd, &raw mut byte as usize, 1, 0, 0, 0]) } > 0 {}
    exit(0)
}

fn say(socket: usize, what: u32, value: u32) {
    let message = [what, value];
    // SAFETY: eight bytes.
    unsafe { call(nr::WRITE, [socket, message.as_ptr() as usize, 8, 0, 0, 0]) };
}

fn mask(mask: u64) {
    // SAFETY: a mask of eight bytes, and no place for the old one.
    unsafe { call(nr::RT_SIGPROCMASK, [SIG_SETMASK, &raw const mask as usize, 0, 8, 0, 0]) };
}

fn exit(code: usize) -> ! {
    loop {
        // SAFETY: an integer.
        unsafe { call(nr::EXIT_GROUP, [code, 0, 0, 0, 0, 0]) };
    }
}

fn first(text: *const u8) -> u8 {
    // SAFETY: an argument has at least its end.
    unsafe { *text }
}

fn number(mut text: *const u8) -> usize {
    let mut value = 0usize;
    loop {
        let digit = first(text);
        if !digit.is_ascii_digit() {
            return value;
        }
        value = value.wrapping_mul(10).wrapping_add(usize::from(digit - b'0'));
        // SAFETY: not past the end, which is no digit.
        text = unsafe { text.add(1) };
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(125)
}
