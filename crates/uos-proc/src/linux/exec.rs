//! The child's life between the clone and its program.
//!
//! It runs in the parent's memory while other threads of the parent go on, so it may only make system calls: no
//! allocation, no lock, no panic, nothing that unwinds or drops. Calls go through `syscall(2)`, whose `errno` is
//! the spawner thread's, which stands still meanwhile and does not look at it afterwards. What went wrong is left
//! in [`Orders::report`], in that same memory.
#![expect(unsafe_code, reason = "raw system calls on memory prepared by the parent; each block says why")]

use std::ffi::{c_char, c_int, c_long, c_void};
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use super::prepare::Rlimit;

/// What the child is to do; pointers and numbers only.
pub(super) struct Orders {
    /// The process that must be its parent.
    pub(super) parent: c_int,
    /// What becomes 0, 1 and 2; each is 3 or higher.
    pub(super) stdio: [c_int; 3],
    /// The directory as a path, or null if `cwd_fd` is it.
    pub(super) cwd: *const c_char,
    pub(super) cwd_fd: c_int,
    /// The niceness, and as text; no text leaves it alone.
    pub(super) nice: c_int,
    pub(super) nice_text: *const c_char,
    pub(super) nice_text_len: usize,
    pub(super) rlimits: *const Rlimit,
    pub(super) rlimit_count: usize,
    /// The program as a path, or null if `program_fd` is it.
    pub(super) program: *const c_char,
    pub(super) program_fd: c_int,
    /// Null-terminated lists.
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    pub(super) report: Report,
}

/// The step that failed. The numbers travel through [`Report`]; zero is "none".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Step {
    ParentDeath = 1,
    Session,
    Fds,
    Cwd,
    Nice,
    Rlimit,
    NoNewPrivs,
    Signals,
    Exec,
}

const STEPS: [Step; 9] = [
    Step::ParentDeath,
    Step::Session,
    Step::Fds,
    Step::Cwd,
    Step::Nice,
    Step::Rlimit,
    Step::NoNewPrivs,
    Step::Signals,
    Step::Exec,
];

/// The slot through which a child tells why it failed. Atomics, because the writer is another process as far as
/// the compiler can know.
#[derive(Default)]
pub(super) struct Report {
    step: AtomicI32,
    detail: AtomicUsize,
    errno: AtomicI32,
}

impl Report {
    /// The step, its detail and the errno, if the child failed.
    pub(super) fn read(&self) -> Option<(Step, usize, i32)> {
        let number = self.step.load(Ordering::Acquire);
        let step = STEPS.into_iter().find(|step| *step as i32 == number)?;
        Some((step, self.detail.load(Ordering::Relaxed), self.errno.load(Ordering::Relaxed)))
    }

    fn write(&self, failure: &Failure) {
        self.detail.store(failure.detail, Ordering::Relaxed);
        self.errno.store(failure.errno, Ordering::Relaxed);
        self.step.store(failure.step as i32, Ordering::Release);
    }
}

struct Failure {
    step: Step,
    detail: usize,
    errno: i32,
}

/// Where a child begins. `orders` is a valid [`Orders`] for as long as the child shares the parent's memory.
/// Returns only by exiting.
pub(super) extern "C" fn enter(orders: *mut c_void) -> c_int {
    // SAFETY: the caller passes a valid Orders and stands still until this process executes or exits.
    let orders = unsafe { &*orders.cast_const().cast::<Orders>() };
    if let Err(failure) = become_program(orders) {
        orders.report.write(&failure);
    }
    loop {
        // SAFETY: exit_group takes an integer, and ends this process and no thread of the parent.
        unsafe { libc::syscall(libc::SYS_exit_group, 127) };
    }
}

fn become_program(orders: &Orders) -> Result<(), Failure> {
    tie_to_parent(orders.parent)?;
    call(Step::Session, libc::SYS_setsid, [0; 5])?;
    place_descriptors(&orders.stdio)?;
    change_directory(orders)?;
    call(Step::Cwd, libc::SYS_umask, [0o022, 0, 0, 0, 0])?;
    // Before the limits, one of which may forbid opening the file this opens.
    set_nice(orders)?;
    set_rlimits(orders)?;
    let set = libc::PR_SET_NO_NEW_PRIVS as c_long;
    call(Step::NoNewPrivs, libc::SYS_prctl, [set, 1, 0, 0, 0])?;
    reset_signals()?;
    execute(orders)
}

/// Has the kernel kill this process when the spawner thread ends, and looks whether it already has.
fn tie_to_parent(parent: c_int) -> Result<(), Failure> {
    let set = libc::PR_SET_PDEATHSIG as c_long;
    call(Step::ParentDeath, libc::SYS_prctl, [set, libc::SIGKILL.into(), 0, 0, 0])?;
    let actual = call(Step::ParentDeath, libc::SYS_getppid, [0; 5])?;
    if actual == c_long::from(parent) {
        return Ok(());
    }
    Err(Failure { step: Step::ParentDeath, detail: 0, errno: libc::ESRCH })
}

/// Sources are 3 or higher, so no target overwrites a source still needed, and each copy loses close-on-exec.
/// Everything else is closed by the execution, whichever way the parent had opened it.
fn place_descriptors(stdio: &[c_int; 3]) -> Result<(), Failure> {
    let [stdin, stdout, stderr] = *stdio;
    call(Step::Fds, libc::SYS_dup3, [stdin.into(), 0, 0, 0, 0])?;
    call(Step::Fds, libc::SYS_dup3, [stdout.into(), 1, 0, 0, 0])?;
    call(Step::Fds, libc::SYS_dup3, [stderr.into(), 2, 0, 0, 0])?;
    let hide = libc::CLOSE_RANGE_CLOEXEC as c_long;
    call(Step::Fds, libc::SYS_close_range, [3, u32::MAX as c_long, hide, 0, 0])?;
    Ok(())
}

fn change_directory(orders: &Orders) -> Result<(), Failure> {
    if orders.cwd.is_null() {
        call(Step::Cwd, libc::SYS_fchdir, [orders.cwd_fd.into(), 0, 0, 0, 0])?;
    } else {
        call(Step::Cwd, libc::SYS_chdir, [orders.cwd as c_long, 0, 0, 0, 0])?;
    }
    Ok(())
}

/// Sets the priority and, where the kernel weighs sessions against each other, that of the session just made.
fn set_nice(orders: &Orders) -> Result<(), Failure> {
    if orders.nice_text_len == 0 {
        return Ok(());
    }
    let who = libc::PRIO_PROCESS as c_long;
    call(Step::Nice, libc::SYS_setpriority, [who, 0, orders.nice.into(), 0, 0])?;
    let path = c"/proc/self/autogroup".as_ptr() as c_long;
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    let fd = match call(Step::Nice, libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags.into(), 0, 0]) {
        Err(Failure { errno: libc::ENOENT, .. }) => return Ok(()),
        opened => opened?,
    };
    let len = orders.nice_text_len as c_long;
    call(Step::Nice, libc::SYS_write, [fd, orders.nice_text as c_long, len, 0, 0])?;
    Ok(())
}

fn set_rlimits(orders: &Orders) -> Result<(), Failure> {
    let mut detail = 0;
    while detail < orders.rlimit_count {
        // SAFETY: the parent gave the address and the number of its limits, and keeps them.
        let Rlimit { resource, value, .. } = unsafe { *orders.rlimits.add(detail) };
        let limit = [value, value];
        let arguments = [0, resource.into(), limit.as_ptr() as c_long, 0, 0];
        call(Step::Rlimit, libc::SYS_prlimit64, arguments)
            .map_err(|failure| Failure { detail, ..failure })?;
        detail += 1;
    }
    Ok(())
}

/// Execution resets handlers but keeps what is ignored, and a parent written in Rust ignores `SIGPIPE`. The mask
/// is cleared last: until then no handler of the parent may run here.
fn reset_signals() -> Result<(), Failure> {
    // The kernel's struct sigaction, on every architecture no longer than this; all zeroes is the default action.
    let default = [0u64; 4];
    let mut signal = 1;
    while signal <= 64 {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            let arguments = [signal.into(), default.as_ptr() as c_long, 0, 8, 0];
            call(Step::Signals, libc::SYS_rt_sigaction, arguments)?;
        }
        signal += 1;
    }
    let none = 0u64;
    let set = c_long::from(libc::SIG_SETMASK);
    call(Step::Signals, libc::SYS_rt_sigprocmask, [set, &raw const none as c_long, 0, 8, 0])?;
    Ok(())
}

/// Returns only if it failed.
fn execute(orders: &Orders) -> Result<(), Failure> {
    let (argv, envp) = (orders.argv as c_long, orders.envp as c_long);
    if orders.program.is_null() {
        let empty = c"".as_ptr() as c_long;
        let flags = c_long::from(libc::AT_EMPTY_PATH);
        call(Step::Exec, libc::SYS_execveat, [orders.program_fd.into(), empty, argv, envp, flags])?;
    } else {
        call(Step::Exec, libc::SYS_execve, [orders.program as c_long, argv, envp, 0, 0])?;
    }
    Ok(())
}

fn call(step: Step, number: c_long, a: [c_long; 5]) -> Result<c_long, Failure> {
    let [a0, a1, a2, a3, a4] = a;
    // SAFETY: every caller above passes what its call documents; pointers lead into the orders or this stack.
    let answer = unsafe { libc::syscall(number, a0, a1, a2, a3, a4) };
    if answer != -1 {
        return Ok(answer);
    }
    // SAFETY: errno of the thread whose place this process has taken.
    let errno = unsafe { *libc::__errno_location() };
    Err(Failure { step, detail: 0, errno })
}
