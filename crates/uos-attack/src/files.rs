//! Attacks on files that were not given, and on the rights to those that were.

use libc::{O_CREAT, O_DIRECTORY, O_PATH, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, c_int};

use crate::Attack;
use crate::sys::{
    Answer, HERE, Verdict, any, at, at_mut, call, close, execute, minus, open, read, text, write,
};

pub(crate) const ATTACKS: &[(&str, Attack)] = &[
    // Row 11.
    ("find-descriptors", |_| find_descriptors()),
    // Row 12. Arguments: CANARY.
    ("climb-from-directory", |args| climb(&args[0])),
    // Row 13. Arguments: CANARY.
    ("find-old-root", |args| find_old_root(&args[0])),
    // Row 14. Arguments: TOOL; then `write-descriptor` runs as TOOL.
    ("overwrite-own-program", |args| overwrite_own_program(&args[0])),
    ("write-descriptor", |args| append(&format!("/proc/self/fd/{}", args[0])).into()),
    // Row 15. Arguments: PID CANARY.
    ("root-of-process-1", |args| open_and_read(&format!("/proc/1/root{}", args[1])).into()),
    ("root-of-server", |args| open_and_read(&format!("/proc/{}/root{}", args[0], args[1])).into()),
    // Rows 15, 37, 38, 39, 52, 11: a file that is simply not to be had. Arguments: PATH.
    ("read-file", |args| open_and_read(&args[0]).into()),
    ("open-to-write", |args| open(&args[0], O_WRONLY).map(close_and_say).into()),
    ("list-directory", |args| open(&args[0], O_RDONLY | O_DIRECTORY).map(close_and_say).into()),
    // Row 28. Arguments: PATH of a file to be made.
    ("make-file", |args| open(&args[0], O_WRONLY | O_CREAT | O_TRUNC).map(close_and_say).into()),
    ("append-to-file", |args| append(&args[0]).into()),
    // Row 27. Arguments: DIRECTORY.
    ("mount-tmpfs", |args| mount("tmpfs", &args[0], "tmpfs", 0).into()),
    ("mount-proc", |args| mount("proc", &args[0], "proc", 0).into()),
    ("mount-cgroup", |args| mount("cgroup2", &args[0], "cgroup2", 0).into()),
    ("bind-mount", |args| mount("/", &args[0], "", libc::MS_BIND).into()),
    ("unmount", |args| unmount(&args[0]).into()),
    ("remount-writable", |args| mount("", &args[0], "", libc::MS_REMOUNT | libc::MS_BIND).into()),
    // Row 29.
    ("new-mount-calls", |_| new_mount_calls()),
    // Row 32. Arguments: DIRECTORY.
    ("chroot-twice", |args| chroot_twice(&args[0]).into()),
    ("pivot-root", |args| pivot_root(&args[0]).into()),
    // Row 35. Arguments: FROM TO.
    ("link-out", |args| two_paths(libc::SYS_linkat, args).into()),
    ("rename-out", |args| two_paths(libc::SYS_renameat2, args).into()),
    // Row 36. Arguments: FILE.
    ("open-by-handle", |args| open_by_handle(&args[0])),
    // Row 37. Arguments: DIRECTORY.
    ("make-memory-device", |args| make_device(&args[0], libc::S_IFCHR, 1, 1).into()),
    ("make-disk-device", |args| make_device(&args[0], libc::S_IFBLK, 7, 0).into()),
    // Row 67.
    ("execute-memory", |args| execute_memory(args)),
    // Row 67. Arguments: DIRECTORY.
    ("execute-written-file", |args| execute_written_file(&args[0])),
    // Row 69. Arguments: DIRECTORY.
    ("hold-up-openers", |args| hold_up_openers(&args[0])),
    // What the two of row 67 execute.
    ("succeed", |_| Verdict::Did),
];

fn close_and_say(fd: usize) -> usize {
    close(fd);
    0
}

fn append(path: &str) -> Answer {
    let fd = open(path, O_WRONLY | libc::O_APPEND)?;
    let written = write(fd, b"x");
    close(fd);
    written
}

fn open_and_read(path: &str) -> Answer {
    let fd = open(path, O_RDONLY | libc::O_NONBLOCK)?;
    // A record of the kernel's log is read whole or not at all.
    let got = read(fd, &mut [0; 8192]);
    close(fd);
    got
}

/// Any descriptor beside the three.
fn find_descriptors() -> Verdict {
    let is_open = |fd: &usize| call(libc::SYS_fcntl, &[*fd, libc::F_GETFD.cast_unsigned() as usize]).is_ok();
    if (3..4096).any(|fd| is_open(&fd)) { Verdict::Did } else { Verdict::Nothing }
}

/// Up from the working directory as far as it goes, by name and step by step, and from there to the canary.
fn climb(canary: &str) -> Verdict {
    let by_name = open_and_read(&format!("{}{}", "../".repeat(64), canary.trim_start_matches('/')));
    let mut by_step: Answer = Err(0);
    if let Ok(mut fd) = open(".", O_PATH | O_DIRECTORY) {
        for _ in 0..64 {
            let up = text("..");
            let flags = (O_PATH | O_DIRECTORY).cast_unsigned() as usize;
            match call(libc::SYS_openat, &[fd, up.as_ptr() as usize, flags, 0]) {
                Ok(next) => {
                    close(fd);
                    fd = next;
                }
                Err(_) => break,
            }
        }
        let relative = text(canary.trim_start_matches('/'));
        by_step = call(libc::SYS_openat, &[fd, relative.as_ptr() as usize, 0, 0]);
        close(fd);
    }
    any(&[by_name, by_step])
}

/// Wherever the host's root might still hang.
fn find_old_root(canary: &str) -> Verdict {
    let places = [
        "",
        "/..",
        "/proc/self/root",
        "/proc/self/root/..",
        "/proc/self/cwd/..",
        "/.old_root",
        "/oldroot",
        "/mnt",
    ];
    let found = places.map(|place| open_and_read(&format!("{place}{canary}")));
    any(&found)
}

/// As a program once overwrote the one that started its container: it keeps a descriptor of its own file, has another
/// program executed so that nobody runs it any more, and opens the descriptor for writing.
fn overwrite_own_program(tool: &str) -> Verdict {
    match open("/proc/self/exe", O_PATH) {
        Ok(fd) => Verdict::Refused(execute(tool, &["tool", "write-descriptor", &fd.to_string()])),
        Err(errno) => Verdict::Refused(errno),
    }
}

fn mount(source: &str, target: &str, kind: &str, flags: u64) -> Answer {
    let (source, target, kind) = (text(source), text(target), text(kind));
    let pointers = [&source, &target, &kind].map(|text| text.as_ptr() as usize);
    call(libc::SYS_mount, &[pointers[0], pointers[1], pointers[2], flags as usize, 0])?;
    if flags & libc::MS_REMOUNT == 0 {
        let _ = call(libc::SYS_umount2, &[pointers[1], libc::MNT_DETACH.cast_unsigned() as usize]);
    }
    Ok(0)
}

fn unmount(target: &str) -> Answer {
    let target = text(target);
    call(libc::SYS_umount2, &[target.as_ptr() as usize, libc::MNT_DETACH.cast_unsigned() as usize])
}

/// A filesystem, a copy of the root's tree, a move, an attribute: each by its own call.
fn new_mount_calls() -> Verdict {
    let (tmpfs, root, empty) = (text("tmpfs"), text("/"), text(""));
    let opened = call(libc::SYS_fsopen, &[tmpfs.as_ptr() as usize, 0]);
    let cloned = call(libc::SYS_open_tree, &[HERE, root.as_ptr() as usize, 1]);
    let moved = call(
        libc::SYS_move_mount,
        &[minus(1), empty.as_ptr() as usize, minus(1), empty.as_ptr() as usize, 4],
    );
    let attributes = [0u64; 4];
    let set = call(
        libc::SYS_mount_setattr,
        &[HERE, root.as_ptr() as usize, 0, at(&attributes), size_of_val(&attributes)],
    );
    let picked = call(libc::SYS_fspick, &[HERE, root.as_ptr() as usize, 0]);
    any(&[opened, cloned, moved, set, picked])
}

fn chroot_twice(directory: &str) -> Answer {
    let path = text(directory);
    call(libc::SYS_chroot, &[path.as_ptr() as usize])?;
    // The working directory has stayed outside: up from it is up in the host.
    for _ in 0..64 {
        let up = text("..");
        call(libc::SYS_chdir, &[up.as_ptr() as usize])?;
    }
    let here = text(".");
    call(libc::SYS_chroot, &[here.as_ptr() as usize])
}

fn pivot_root(directory: &str) -> Answer {
    let path = text(directory);
    call(libc::SYS_pivot_root, &[path.as_ptr() as usize, path.as_ptr() as usize])
}

fn two_paths(number: libc::c_long, args: &[String]) -> Answer {
    let (from, to) = (text(&args[0]), text(&args[1]));
    call(number, &[HERE, from.as_ptr() as usize, HERE, to.as_ptr() as usize, 0])
}

/// Past every check of paths: a file by its number in its filesystem.
fn open_by_handle(path: &str) -> Verdict {
    let name = text(path);
    // The length of the handle's bytes, its kind, and room.
    let mut handle = [0u32; 34];
    handle[0] = 128;
    let mut mount = 0i32;
    let named = call(
        libc::SYS_name_to_handle_at,
        &[HERE, name.as_ptr() as usize, at_mut(&mut handle), at_mut(&mut mount), 0],
    );
    // Any directory of the same filesystem does.
    let beside = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
    let beside = open(beside, O_RDONLY | O_DIRECTORY).unwrap_or(minus(1));
    let opened = call(libc::SYS_open_by_handle_at, &[beside, at(&handle), 0]);
    match (named, opened) {
        (_, Ok(_)) => Verdict::Did,
        (Ok(_), Err(errno)) => Verdict::Refused(errno),
        (named, opened) => any(&[named, opened]),
    }
}

fn make_device(directory: &str, kind: u32, major: u32, minor: u32) -> Answer {
    let path = text(&format!("{directory}/device"));
    let number = libc::makedev(major, minor) as usize;
    call(libc::SYS_mknodat, &[HERE, path.as_ptr() as usize, (kind | 0o600) as usize, number])?;
    call(libc::SYS_unlinkat, &[HERE, path.as_ptr() as usize, 0])
}

fn own_program() -> Vec<u8> {
    std::fs::read("/proc/self/exe").unwrap_or_default()
}

fn execute_memory(_: &[String]) -> Verdict {
    let name = text("attack");
    // MFD_EXEC, then as older kernels have it.
    let made = call(libc::SYS_memfd_create, &[name.as_ptr() as usize, 0x10])
        .or_else(|_| call(libc::SYS_memfd_create, &[name.as_ptr() as usize, 0]));
    match made {
        Ok(fd) => fill_and_execute(fd, &format!("/proc/self/fd/{fd}")),
        Err(errno) => Verdict::Refused(errno),
    }
}

/// With a lease on a file of its own a program makes everybody wait who opens or executes that: up to 45 seconds, each time.
fn hold_up_openers(directory: &str) -> Verdict {
    let file = match open(&format!("{directory}/held"), O_RDWR | O_CREAT | O_TRUNC) {
        Ok(fd) => fd,
        Err(errno) => return Verdict::Refused(errno),
    };
    let lease = |request: usize| call(libc::SYS_fcntl, &[file, request, libc::F_WRLCK as usize]);
    let request = libc::F_SETLEASE.cast_unsigned() as usize;
    any(&[lease(request), lease(request | 0xDEAD << 32)])
}

fn execute_written_file(directory: &str) -> Verdict {
    let path = format!("{directory}/written");
    match open(&path, O_WRONLY | O_CREAT | O_TRUNC) {
        Ok(fd) => fill_and_execute(fd, &path),
        Err(errno) => Verdict::Refused(errno),
    }
}

fn fill_and_execute(fd: usize, path: &str) -> Verdict {
    let program = own_program();
    if program.is_empty() {
        return Verdict::Nothing;
    }
    let mut rest = &program[..];
    while !rest.is_empty() {
        match write(fd, rest) {
            Ok(written) => rest = &rest[written..],
            Err(errno) => return Verdict::Refused(errno),
        }
    }
    let mode: c_int = 0o700;
    let _ = call(libc::SYS_fchmod, &[fd, mode.cast_unsigned() as usize]);
    if path.starts_with("/proc/") {
        let (empty, word) = (text(""), text("succeed"));
        let argv = [empty.as_ptr() as usize, word.as_ptr() as usize, 0];
        let flags = libc::AT_EMPTY_PATH.cast_unsigned() as usize;
        let failed = call(libc::SYS_execveat, &[fd, empty.as_ptr() as usize, at(&argv), 0, flags]);
        return failed.into();
    }
    close(fd);
    Verdict::Refused(execute(path, &["attack", "succeed"]))
}
