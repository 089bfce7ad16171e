//! Attempts to gain rights.

use std::ffi::c_int;

use crate::Attack;
use crate::sys::{
    Answer, Verdict, any, at, at_mut, call, execute, fork, ignore_signal, minus, sleep_for_ever,
};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    // Rows 24 to 26. Arguments: PROGRAM, which is executed as one of the next two.
    ("execute-set-user-id", |args| Verdict::Refused(execute(&args[0], &["attack", "am-i-root"]))),
    ("execute-capable", |args| Verdict::Refused(execute(&args[0], &["attack", "am-i-capable"]))),
    ("am-i-root", |_| yes(call(libc::SYS_geteuid, &[]) == Ok(0))),
    ("am-i-capable", |_| yes(is_capable())),
    ("regain-capabilities", |_| regain_capabilities()),
    ("become-root", |_| become_root()),
    // Row 30.
    ("unshare-user", |_| call(libc::SYS_unshare, &[libc::CLONE_NEWUSER.cast_unsigned() as usize]).into()),
    ("clone-user", |_| clone_into(libc::CLONE_NEWUSER).into()),
    ("clone-network", |_| clone_into(libc::CLONE_NEWNET).into()),
    ("clone3-user", |_| clone3_into(libc::CLONE_NEWUSER, [0; 4]).into()),
    ("clone3-user-by-guessing", |_| guess_at_clone3()),
    ("unshare-cgroup", |_| call(libc::SYS_unshare, &[libc::CLONE_NEWCGROUP.cast_unsigned() as usize]).into()),
    // Row 40.
    ("raise-limit", |_| raise_limit().into()),
    // Row 51. Arguments: NAME of a variable.
    ("look-into-environment", |args| match std::env::var(&args[0]) {
        Ok(_) => Verdict::Did,
        Err(_) => Verdict::Nothing,
    }),
    // Row 53.
    ("dump-core", |_| dump_core()),
    // Row 65.
    ("rename-machine", |_| {
        // Outside, where it works, the name stays what it was.
        let old = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_else(|_| b"attacked\n".to_vec());
        call(libc::SYS_sethostname, &[at(&old[..]), old.len().saturating_sub(1)]).into()
    }),
    ("change-personality", |_| call(libc::SYS_personality, &[0x004_0000]).into()),
    // Row 66.
    ("raise-priority", |_| call(libc::SYS_setpriority, &[0, 0, minus(5)]).into()),
    ("run-real-time", |_| {
        let priority: c_int = 1;
        call(libc::SYS_sched_setscheduler, &[0, libc::SCHED_FIFO.cast_unsigned() as usize, at(&priority)])
            .into()
    }),
    ("lock-memory", |_| lock_memory().into()),
    // Rows 56 and 59: what it leaves behind is looked for by whoever started it.
    ("grow", grow),
    ("daemonize", |_| daemonize()),
];

fn yes(is_so: bool) -> Verdict {
    if is_so { Verdict::Did } else { Verdict::Nothing }
}

const VERSION_3: u32 = 0x2008_0522;

/// Any capability in force.
fn is_capable() -> bool {
    let header = [VERSION_3, 0];
    let mut sets = [0u32; 6];
    let _ = call(libc::SYS_capget, &[at(&header), at_mut(&mut sets)]);
    // Effective, permitted, inheritable; low words before high.
    sets[0] | sets[3] != 0
}

/// Any capability in any of the five sets.
fn has_capabilities() -> bool {
    let header = [VERSION_3, 0];
    let mut sets = [0u32; 6];
    let _ = call(libc::SYS_capget, &[at(&header), at_mut(&mut sets)]);
    let prctl = |option: c_int, first: c_int, capability: usize| {
        let (option, first) = (option.cast_unsigned() as usize, first.cast_unsigned() as usize);
        match option == libc::PR_CAPBSET_READ.cast_unsigned() as usize {
            true => call(libc::SYS_prctl, &[option, capability, 0, 0, 0]),
            false => call(libc::SYS_prctl, &[option, first, capability, 0, 0]),
        }
    };
    let in_bounding = |capability| prctl(libc::PR_CAPBSET_READ, 0, capability) == Ok(1);
    let in_ambient =
        |capability| prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET, capability) == Ok(1);
    sets.iter().any(|set| *set != 0)
        || (0..64).any(|capability| in_bounding(capability) || in_ambient(capability))
}

fn regain_capabilities() -> Verdict {
    if has_capabilities() {
        return Verdict::Did;
    }
    let header = [VERSION_3, 0];
    let all = [u32::MAX; 6];
    let set = call(libc::SYS_capset, &[at(&header), at(&all)]);
    let prctl = |option: c_int, a: usize, b: usize| {
        call(libc::SYS_prctl, &[option.cast_unsigned() as usize, a, b, 0, 0])
    };
    let raised = prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as usize, 21);
    let kept = prctl(libc::PR_SET_SECUREBITS, 0x10, 0);
    if has_capabilities() { Verdict::Did } else { any(&[set, raised, kept]) }
}

fn become_root() -> Verdict {
    let user = call(libc::SYS_setresuid, &[0, 0, 0]);
    let group = call(libc::SYS_setresgid, &[0, 0, 0]);
    let groups = call(libc::SYS_setgroups, &[1, at(&0u32)]);
    any(&[user, group, groups])
}

fn clone_into(namespace: c_int) -> Answer {
    let flags = (namespace | libc::SIGCHLD).cast_unsigned() as usize;
    let pid = call(libc::SYS_clone, &[flags, 0, 0, 0, 0])?;
    if pid == 0 {
        crate::sys::exit(0);
    }
    call(libc::SYS_wait4, &[pid, 0, 0, 0])
}

/// A filter may look at registers that the call does not. Tries what may lie there, and then what comes.
fn guess_at_clone3() -> Verdict {
    const GUESSES: usize = 100_000;
    let mut guesses = vec![[0; 4], [usize::MAX; 4], [1, 2, 3, 4], [libc::CLONE_NEWUSER as usize; 4]];
    let mut random = [0usize; 4 * 512];
    while guesses.len() < GUESSES {
        let _ = call(libc::SYS_getrandom, &[at_mut(&mut random), size_of_val(&random), 0]);
        guesses.extend(random.as_chunks::<4>().0);
    }
    for guess in guesses {
        match clone3_into(libc::CLONE_NEWUSER, guess) {
            Err(libc::ENOSYS) => {}
            answer => return answer.into(),
        }
    }
    Verdict::Refused(libc::ENOSYS)
}

/// With these in the registers behind its arguments.
fn clone3_into(namespace: c_int, further: [usize; 4]) -> Answer {
    // Flags, then pidfd, child_tid, parent_tid, exit_signal.
    let args = [u64::from(namespace.cast_unsigned()), 0, 0, 0, libc::SIGCHLD.cast_unsigned().into(), 0, 0, 0];
    let [first, second, third, fourth] = further;
    let pid = call(libc::SYS_clone3, &[at(&args), size_of_val(&args), first, second, third, fourth])?;
    if pid == 0 {
        crate::sys::exit(0);
    }
    call(libc::SYS_wait4, &[pid, 0, 0, 0])
}

/// Lowers the hard limit of core files to nothing and raises it again.
fn raise_limit() -> Answer {
    let core = libc::RLIMIT_CORE as usize;
    call(libc::SYS_prlimit64, &[0, core, at(&[0u64; 2]), 0])?;
    call(libc::SYS_prlimit64, &[0, core, at(&[u64::MAX; 2]), 0])
}

/// Dies of a fault that dumps core, if it may: whether it left one is told by the status of its end.
fn dump_core() -> Verdict {
    let _ = call(libc::SYS_prlimit64, &[0, libc::RLIMIT_CORE as usize, at(&[1u64 << 30; 2]), 0]);
    let _ = call(libc::SYS_prctl, &[libc::PR_SET_DUMPABLE.cast_unsigned() as usize, 1, 0, 0, 0]);
    let memory = crate::sys::map(4096).unwrap_or(0);
    let _ = call(libc::SYS_munmap, &[memory, 4096]);
    crate::sys::touch(memory, 1);
    Verdict::Nothing
}

fn lock_memory() -> Answer {
    let len = 64 << 20;
    let memory = crate::sys::map(len)?;
    call(libc::SYS_mlock, &[memory, len])
}

/// Out of its session, its group and its parentage, deaf to polite signals, in the background.
fn daemonize() -> Verdict {
    let first = fork(|| {
        become_deaf();
        let _ = fork(|| sleep_for_ever());
    });
    match first.and_then(|pid| call(libc::SYS_wait4, &[pid, 0, 0, 0])) {
        Ok(_) => Verdict::Did,
        Err(errno) => Verdict::Refused(errno),
    }
}

fn become_deaf() {
    let _ = call(libc::SYS_setsid, &[]);
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        ignore_signal(signal);
    }
}

/// A tree of some processes, each in a session of its own and deaf: double-forked daemons, plain children, or children
/// that stop themselves. Says how it went, and stays.
fn grow(args: &[String]) -> Verdict {
    let kind = args.first().map(String::as_str);
    let branch = |depth: u32| {
        become_deaf();
        if depth < 3 {
            let _ = fork(|| sleep_for_ever());
        }
        if kind == Some("stopped") {
            let own = call(libc::SYS_getpid, &[]).unwrap_or(0);
            let _ = call(libc::SYS_kill, &[own, libc::SIGSTOP.cast_unsigned() as usize]);
        }
    };
    let mut verdict = Verdict::Did;
    for depth in 0..5 {
        let grown = match kind {
            Some("daemon") => daemonize(),
            _ => fork(|| {
                branch(depth);
                sleep_for_ever()
            })
            .into(),
        };
        if grown != Verdict::Did {
            verdict = grown;
            break;
        }
    }
    become_deaf();
    println!("{verdict}");
    if kind == Some("stopped") {
        branch(3);
    }
    sleep_for_ever()
}
