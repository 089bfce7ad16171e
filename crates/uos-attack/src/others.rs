//! Attacks on other processes, and on what processes share.

use std::ffi::c_int;
use std::time::Duration;

use crate::Attack;
use crate::sys::{Answer, Verdict, any, at, at_mut, call, fork, minus, open, sleep_for_ever, text};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    // Row 16. Arguments: PID.
    ("trace", |args| trace(number(&args[0])).into()),
    // Row 17. Arguments: PID ADDRESS LENGTH.
    ("read-memory", |args| memory(libc::SYS_process_vm_readv, args).into()),
    ("write-memory", |args| memory(libc::SYS_process_vm_writev, args).into()),
    // Row 17. Arguments: PID.
    ("open-memory", |args| open(&format!("/proc/{}/mem", args[0]), libc::O_RDONLY).into()),
    ("read-registers", |args| read_registers(&args[0])),
    // Row 18. Arguments: PID.
    ("take-descriptor", |args| take_descriptor(number(&args[0])).into()),
    // Row 19. Arguments: `contained`, where it would end the whole machine.
    ("kill-all", |args| kill_all(!args.is_empty())),
    // Row 20. Arguments: PID. SIGURG does nothing to whoever has not asked for it.
    ("signal", |args| signal(number(&args[0]), libc::SIGURG).into()),
    // Row 31. Arguments: NAME of a namespace, PID.
    ("enter-namespace", |args| enter_namespace(&args[0], &args[1]).into()),
    // Row 45. Arguments: KEY or NAME.
    ("shared-memory", |args| call(libc::SYS_shmget, &[number(&args[0]), 0, 0]).into()),
    ("semaphores", |args| call(libc::SYS_semget, &[number(&args[0]), 0, 0]).into()),
    ("message-queue", |args| {
        let name = text(&args[0]);
        call(libc::SYS_mq_open, &[name.as_ptr() as usize, 0, 0, 0]).into()
    }),
    // Row 46.
    ("keys", |_| keys()),
];

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

/// Attaches, waits for the stop, and lets go.
fn trace(pid: usize) -> Answer {
    call(libc::SYS_ptrace, &[libc::PTRACE_ATTACH as usize, pid, 0, 0])?;
    let wall = 0x4000_0000;
    call(libc::SYS_wait4, &[pid, 0, wall, 0])?;
    call(libc::SYS_ptrace, &[libc::PTRACE_DETACH as usize, pid, 0, 0])
}

/// Reads what lies there, or writes the same back.
fn memory(call_number: libc::c_long, args: &[String]) -> Answer {
    let (pid, address, len) = (number(&args[0]), number(&args[1]), number(&args[2]));
    let mut bytes = vec![0u8; len];
    let ours = [at_mut(&mut bytes[..]), len];
    let theirs = [address, len];
    if call_number == libc::SYS_process_vm_writev {
        call(libc::SYS_process_vm_readv, &[pid, at(&ours), 1, at(&theirs), 1, 0])?;
    }
    call(call_number, &[pid, at(&ours), 1, at(&theirs), 1, 0])
}

/// What its threads have in the registers of the calls that they are in.
fn read_registers(pid: &str) -> Verdict {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let files = threads.map(|thread| thread.path().join("syscall").display().to_string());
    let read = |file: String| crate::sys::read(open(&file, libc::O_RDONLY)?, &mut [0; 256]);
    let answers: Vec<Answer> = files.chain([format!("/proc/{pid}/syscall")]).map(read).collect();
    any(&answers)
}

/// The call itself is made even when the process is not to be found.
fn take_descriptor(pid: usize) -> Answer {
    let process = call(libc::SYS_pidfd_open, &[pid, 0]).unwrap_or(minus(1));
    call(libc::SYS_pidfd_getfd, &[process, 0, 0])
}

/// Everybody but process 1 and itself. Contained, it makes a namespace of processes for itself first, with a child in it
/// to be killed.
fn kill_all(contained: bool) -> Verdict {
    let kill = || call(libc::SYS_kill, &[minus(1), libc::SIGKILL.cast_unsigned() as usize]);
    if !contained {
        return kill().into();
    }
    if let Err(errno) = call(libc::SYS_unshare, &[libc::CLONE_NEWPID.cast_unsigned() as usize]) {
        return Verdict::Refused(errno);
    }
    let first = fork(|| {
        let bystander = fork(|| sleep_for_ever());
        std::thread::sleep(Duration::from_millis(10));
        let killed =
            kill().is_ok() && bystander.is_ok_and(|pid| call(libc::SYS_wait4, &[pid, 0, 0, 0]) == Ok(pid));
        crate::sys::exit(usize::from(!killed));
    });
    let mut status: c_int = -1;
    match first.and_then(|pid| call(libc::SYS_wait4, &[pid, at_mut(&mut status), 0, 0])) {
        Ok(_) if status == 0 => Verdict::Did,
        Ok(_) => Verdict::Nothing,
        Err(errno) => Verdict::Refused(errno),
    }
}

fn signal(pid: usize, signal: c_int) -> Answer {
    call(libc::SYS_kill, &[pid, signal.cast_unsigned() as usize])
}

fn enter_namespace(name: &str, pid: &str) -> Answer {
    let path = format!("/proc/{pid}/ns/{name}");
    let fd = open(&path, libc::O_RDONLY).unwrap_or(minus(1));
    call(libc::SYS_setns, &[fd, 0])
}

/// Adds one, asks for one, looks into the user's ring: each by its own call.
fn keys() -> Verdict {
    let (kind, name) = (text("user"), text("uos-attack"));
    let process_ring = minus(2);
    let added =
        call(libc::SYS_add_key, &[kind.as_ptr() as usize, name.as_ptr() as usize, at(b"x"), 1, process_ring]);
    let asked = call(libc::SYS_request_key, &[kind.as_ptr() as usize, name.as_ptr() as usize, 0, 0]);
    let looked = call(libc::SYS_keyctl, &[0, minus(4), 0]);
    any(&[added, asked, looked])
}
