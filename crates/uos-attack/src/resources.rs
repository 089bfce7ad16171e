//! Attempts to take everything there is.

use std::time::Duration;

use crate::Attack;
use crate::sys::{
    Answer, Verdict, call, fork, ignore_signal, map, open, put_down, sleep_for_ever, text, touch, write,
};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    // Row 1. Arguments: COUNT.
    ("fork-bomb", |args| fork_bomb(number(&args[0]))),
    // Row 2. Arguments: COUNT.
    ("thread-bomb", |args| thread_bomb(number(&args[0]))),
    // Rows 3 and 5. Arguments: MIB.
    ("memory-bomb", |args| memory_bomb(number(&args[0]) << 20).into()),
    // Row 4. Arguments: MIB.
    ("hide-in-memfd", |args| {
        let name = text("hidden");
        // MFD_NOEXEC_SEAL, then as kernels before 6.3 have it.
        call(libc::SYS_memfd_create, &[name.as_ptr() as usize, 0x8])
            .or_else(|_| call(libc::SYS_memfd_create, &[name.as_ptr() as usize, 0]))
            .and_then(|fd| fill(fd, number(&args[0]) << 20))
            .into()
    }),
    ("hide-in-shared-memory", |args| hide_in_shared_memory(number(&args[0]) << 20).into()),
    // Rows 6 and 8. Arguments: DIRECTORY MIB.
    ("fill-disk", |args| fill_disk(&args[0], number(&args[1]) << 20)),
    // Row 9. Arguments: DIRECTORY COUNT.
    ("fill-inodes", |args| fill_inodes(&args[0], number(&args[1]))),
    // Row 7. Arguments: MILLISECONDS of processor time.
    ("spin", |args| spin(Duration::from_millis(number(&args[0]) as u64))),
    // Row 10. Arguments: COUNT.
    ("exhaust-descriptors", |args| exhaust_descriptors(number(&args[0]))),
    // Row 58: forks for ever, so that whoever kills it has somebody new to kill.
    ("fork-storm", |_| fork_storm()),
];

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}

fn fork_bomb(count: usize) -> Verdict {
    let mut children = Vec::with_capacity(count);
    let mut verdict = Verdict::Did;
    for _ in 0..count {
        match fork(|| sleep_for_ever()) {
            Ok(pid) => children.push(pid),
            Err(errno) => {
                verdict = Verdict::Refused(errno);
                break;
            }
        }
    }
    put_down(&children);
    verdict
}

fn thread_bomb(count: usize) -> Verdict {
    for _ in 0..count {
        let thread = std::thread::Builder::new().stack_size(16 << 10);
        if let Err(error) = thread.spawn(|| sleep_for_ever()) {
            return Verdict::Refused(error.raw_os_error().unwrap_or(0));
        }
    }
    Verdict::Did
}

/// In pieces, so that it is the memory and not one address range that runs out.
fn memory_bomb(len: usize) -> Answer {
    let piece = 1 << 20;
    for _ in 0..len / piece {
        touch(map(piece)?, piece);
    }
    Ok(0)
}

fn fill(fd: usize, len: usize) -> Answer {
    let piece = vec![b'x'; 1 << 20];
    let mut written = 0;
    while written < len {
        written += write(fd, &piece)?;
    }
    Ok(written)
}

/// In a segment that stays when its maker has gone.
fn hide_in_shared_memory(len: usize) -> Answer {
    let mode = (libc::IPC_CREAT | 0o600).cast_unsigned() as usize;
    let id = call(libc::SYS_shmget, &[libc::IPC_PRIVATE.cast_unsigned() as usize, len, mode])?;
    let filled = call(libc::SYS_shmat, &[id, 0, 0]).map(|address| touch(address, len));
    let _ = call(libc::SYS_shmctl, &[id, libc::IPC_RMID.cast_unsigned() as usize, 0]);
    filled.map(|()| 0)
}

fn fill_disk(directory: &str, len: usize) -> Verdict {
    ignore_signal(libc::SIGXFSZ);
    let path = format!("{directory}/full");
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC;
    let filled = open(&path, flags).and_then(|fd| fill(fd, len));
    let _ = std::fs::remove_file(path);
    filled.into()
}

fn fill_inodes(directory: &str, count: usize) -> Verdict {
    let path = |place: usize| format!("{directory}/inode-{place}");
    let mut made = 0;
    let verdict = loop {
        if made == count {
            break Verdict::Did;
        }
        match open(&path(made), libc::O_WRONLY | libc::O_CREAT) {
            Ok(fd) => crate::sys::close(fd),
            Err(errno) => break Verdict::Refused(errno),
        }
        made += 1;
    };
    for place in 0..made {
        let _ = std::fs::remove_file(path(place));
    }
    verdict
}

fn spin(length: Duration) -> Verdict {
    let mut now = [0i64; 2];
    loop {
        let clock = libc::CLOCK_PROCESS_CPUTIME_ID.cast_unsigned() as usize;
        let _ = call(libc::SYS_clock_gettime, &[clock, crate::sys::at_mut(&mut now)]);
        let used = Duration::from_secs(now[0].cast_unsigned()) + Duration::from_nanos(now[1].cast_unsigned());
        if used >= length {
            return Verdict::Did;
        }
    }
}

fn exhaust_descriptors(count: usize) -> Verdict {
    for _ in 0..count {
        if let Err(errno) = open("/dev/null", libc::O_RDONLY) {
            return Verdict::Refused(errno);
        }
    }
    Verdict::Did
}

fn fork_storm() -> Verdict {
    ignore_signal(libc::SIGCHLD);
    println!("{}", Verdict::Did);
    loop {
        // Each child goes on with the storm for a while, in a session of its own.
        let _ = fork(|| {
            let _ = call(libc::SYS_setsid, &[]);
            for _ in 0..3 {
                let _ = fork(|| std::thread::sleep(Duration::from_millis(20)));
            }
            std::thread::sleep(Duration::from_millis(20));
        });
        std::thread::yield_now();
    }
}
