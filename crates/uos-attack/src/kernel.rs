//! Calls into parts of the kernel that no ordinary program needs.
//!
//! Each is made so that nothing is changed where it is allowed: with arguments that are refused only after the question
//! whether the caller may.

use crate::Attack;
use crate::sys::{Answer, Verdict, at, at_mut, call, minus, text};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    // Row 47.
    ("io-uring", |_| {
        let mut parameters = [0u32; 30];
        call(libc::SYS_io_uring_setup, &[1, at_mut(&mut parameters)]).into()
    }),
    // Row 48.
    ("bpf", |_| {
        // An array of one, of four bytes each under a key of four.
        let attributes = [2u32, 4, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        call(libc::SYS_bpf, &[0, at(&attributes), 48]).into()
    }),
    ("perf-events", |_| perf_event().into()),
    ("userfaultfd", |_| call(libc::SYS_userfaultfd, &[0]).into()),
    // Row 49.
    ("x32-call", |_| call(libc::SYS_getpid | 0x4000_0000, &[]).into()),
    ("i386-call", |_| i386_call()),
    // Row 50.
    ("load-kernel", |_| call(libc::SYS_kexec_load, &[0, usize::MAX, 0, 0]).into()),
    ("load-module", |_| call(libc::SYS_init_module, &[0, 0, at(c"")]).into()),
    ("load-module-file", |_| call(libc::SYS_finit_module, &[minus(1), at(c""), 0]).into()),
    ("remove-module", |_| {
        let name = text("uos_no_such_module");
        call(libc::SYS_delete_module, &[name.as_ptr() as usize, 0]).into()
    }),
    ("reboot", |_| call(libc::SYS_reboot, &[1, 2, 3, 0]).into()),
    ("swap-on", |_| {
        let name = text("/no/such/file");
        call(libc::SYS_swapon, &[name.as_ptr() as usize, 0]).into()
    }),
    ("set-clock", |_| call(libc::SYS_clock_settime, &[0, at(&[0i64, 2_000_000_000])]).into()),
    ("set-time-of-day", |_| call(libc::SYS_settimeofday, &[at(&[0i64, 2_000_000]), 0]).into()),
    ("adjust-clock", |_| {
        // A frequency beyond every bound.
        let mut timex = [0u64; 32];
        timex[0] = 0x4000;
        timex[1] = i64::MAX.cast_unsigned();
        timex[10] = 1;
        call(libc::SYS_adjtimex, &[at_mut(&mut timex)]).into()
    }),
    ("account", |_| {
        let name = text("/no/such/file");
        call(libc::SYS_acct, &[name.as_ptr() as usize]).into()
    }),
    ("quotas", |_| {
        let name = text("/no/such/device");
        // Q_SYNC asks for no right; Q_QUOTAON of user quotas does.
        let quota_on = 0x80_0002 << 8;
        call(libc::SYS_quotactl, &[quota_on, name.as_ptr() as usize, 0, 0]).into()
    }),
    ("read-kernel-log", |_| {
        let mut text = [0u8; 64];
        call(libc::SYS_syslog, &[3, at_mut(&mut text), text.len()]).into()
    }),
    ("io-ports", |_| io_ports()),
];

/// A software clock, of this process alone.
fn perf_event() -> Answer {
    let mut attributes = [0u32; 32];
    // Software; size; configuration 0 is the processor's clock.
    attributes[0] = 1;
    attributes[1] = 128;
    call(libc::SYS_perf_event_open, &[at(&attributes), 0, minus(1), minus(1), 0])
}

#[cfg(target_arch = "x86_64")]
fn i386_call() -> Verdict {
    // getpid is 20 there.
    match crate::sys::call_i386(20, 0) {
        pid if pid > 0 => Verdict::Did,
        errno => Verdict::Refused(-errno),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn i386_call() -> Verdict {
    Verdict::Refused(libc::ENOSYS)
}

#[cfg(target_arch = "x86_64")]
fn io_ports() -> Verdict {
    call(libc::SYS_ioperm, &[0x80, 1, 1]).into()
}

#[cfg(not(target_arch = "x86_64"))]
fn io_ports() -> Verdict {
    Verdict::Refused(libc::ENOSYS)
}
