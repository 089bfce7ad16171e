//! System calls, raw: what a C library would check, soften or retry, an attacker would not.
#![expect(unsafe_code, reason = "a system call is what every attack consists of")]

use std::ffi::{CString, c_int, c_long};
use std::fmt;

use crate::names;

/// What came of an attack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It worked.
    Did,
    /// The kernel refused with this errno.
    Refused(c_int),
    /// The calls worked, and there was nothing to be had.
    Nothing,
    /// Several ways were tried, and they were refused differently.
    Mixed(Vec<c_int>),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Did => f.write_str("did it"),
            Verdict::Refused(errno) => f.write_str(&names::errno(*errno)),
            Verdict::Nothing => f.write_str("nothing there"),
            Verdict::Mixed(errnos) => {
                let names: Vec<String> = errnos.iter().map(|errno| names::errno(*errno)).collect();
                f.write_str(&names.join(" "))
            }
        }
    }
}

pub(crate) type Answer = Result<usize, c_int>;

impl From<Answer> for Verdict {
    fn from(answer: Answer) -> Self {
        match answer {
            Ok(_) => Verdict::Did,
            Err(errno) => Verdict::Refused(errno),
        }
    }
}

/// The verdict of several ways to the same end: one that works is enough.
pub(crate) fn any(answers: &[Answer]) -> Verdict {
    let errnos: Vec<c_int> = answers.iter().filter_map(|answer| answer.err()).collect();
    match errnos.first() {
        _ if errnos.len() < answers.len() => Verdict::Did,
        Some(first) if errnos.iter().all(|errno| errno == first) => Verdict::Refused(*first),
        _ => Verdict::Mixed(errnos),
    }
}

/// Makes one system call. Numbers that are addresses come from [`at`], [`at_mut`] and strings that live until after it;
/// calls that would change this program's own memory under its feet are made by the functions below alone, and by
/// attacks that end with them.
pub(crate) fn call(number: c_long, args: &[usize]) -> Answer {
    let mut a = [0; 6];
    a[..args.len()].copy_from_slice(args);
    // SAFETY: every caller passes what the call documents, or nonsense that the kernel refuses.
    let answer = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if answer == -1 { Err(errno()) } else { Ok(answer.cast_unsigned() as usize) }
}

pub(crate) fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The address of something that a call reads.
pub(crate) fn at<T: ?Sized>(value: &T) -> usize {
    std::ptr::from_ref(value).cast::<u8>() as usize
}

/// The address of something that a call writes.
pub(crate) fn at_mut<T: ?Sized>(value: &mut T) -> usize {
    std::ptr::from_mut(value).cast::<u8>() as usize
}

/// A negative number as a call takes it.
pub(crate) fn minus(number: isize) -> usize {
    (-number).cast_unsigned()
}

/// The directory that relative paths begin at.
pub(crate) const HERE: usize = libc::AT_FDCWD as isize as usize;

pub(crate) fn text(text: &str) -> CString {
    CString::new(text).expect("an argument holds no NUL")
}

pub(crate) fn open(path: &str, flags: c_int) -> Answer {
    let path = text(path);
    call(libc::SYS_openat, &[HERE, path.as_ptr() as usize, flags.cast_unsigned() as usize, 0o600])
}

pub(crate) fn close(fd: usize) {
    let _ = call(libc::SYS_close, &[fd]);
}

pub(crate) fn write(fd: usize, bytes: &[u8]) -> Answer {
    call(libc::SYS_write, &[fd, at(bytes), bytes.len()])
}

pub(crate) fn read(fd: usize, bytes: &mut [u8]) -> Answer {
    call(libc::SYS_read, &[fd, at_mut(bytes), bytes.len()])
}

/// Forks; the child runs `child` and exits. The parent gets its process id.
pub(crate) fn fork(child: impl FnOnce()) -> Answer {
    let pid = call(libc::SYS_clone, &[libc::SIGCHLD.cast_unsigned() as usize, 0, 0, 0, 0])?;
    if pid == 0 {
        child();
        exit(0);
    }
    Ok(pid)
}

pub(crate) fn exit(code: usize) -> ! {
    let _ = call(libc::SYS_exit_group, &[code]);
    std::process::abort()
}

/// Kills and collects children.
pub(crate) fn put_down(children: &[usize]) {
    for child in children {
        let _ = call(libc::SYS_kill, &[*child, libc::SIGKILL.cast_unsigned() as usize]);
    }
    for child in children {
        let _ = call(libc::SYS_wait4, &[*child, 0, 0, 0]);
    }
}

/// Sleeps until a signal ends it.
pub(crate) fn sleep_for_ever() -> ! {
    loop {
        let _ = call(libc::SYS_ppoll, &[0, 0, 0, 0, 8]);
    }
}

/// Executes, with an empty environment. Comes back only with an errno.
pub(crate) fn execute(path: &str, argv: &[&str]) -> c_int {
    let path = text(path);
    let words: Vec<CString> = argv.iter().map(|word| text(word)).collect();
    let mut list: Vec<usize> = words.iter().map(|word| word.as_ptr() as usize).collect();
    list.push(0);
    let none = [0usize];
    match call(libc::SYS_execve, &[path.as_ptr() as usize, at(&list[..]), at(&none)]) {
        Ok(_) => 0,
        Err(errno) => errno,
    }
}

/// Memory of its own, of zeroes.
pub(crate) fn map(len: usize) -> Answer {
    let protection = (libc::PROT_READ | libc::PROT_WRITE).cast_unsigned() as usize;
    let flags = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).cast_unsigned() as usize;
    call(libc::SYS_mmap, &[0, len, protection, flags, minus(1), 0])
}

/// Writes to every page of what [`map`] gave.
pub(crate) fn touch(address: usize, len: usize) {
    for offset in (0..len).step_by(4096) {
        // SAFETY: within a mapping of this program that nothing else refers to.
        unsafe { std::ptr::with_exposed_provenance_mut::<u8>(address + offset).write_volatile(1) };
    }
}

/// Runs `handler` on `signal`.
pub(crate) fn on_signal(signal: c_int, handler: extern "C" fn(c_int)) {
    // SAFETY: the handlers of this program make system calls only.
    unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) };
}

pub(crate) fn ignore_signal(signal: c_int) {
    // SAFETY: an integer, and a disposition that is always there.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// A system call through the gate of 32-bit programs. The answer is as the kernel gives it: negative is an errno.
#[cfg(target_arch = "x86_64")]
pub(crate) fn call_i386(number: u32, argument: u32) -> i32 {
    let answer: i32;
    // SAFETY: the call gets the same small number six times, which as an address is nobody's. rbx belongs to the
    // compiler, so it is put aside meanwhile; the old gate clobbers r8 to r11.
    unsafe {
        std::arch::asm!(
            "push rbx",
            "push rbp",
            "mov ebx, ecx",
            "mov ebp, ecx",
            "int 0x80",
            "pop rbp",
            "pop rbx",
            inlateout("eax") number.cast_signed() => answer,
            inout("ecx") argument => _,
            inout("edx") argument => _,
            inout("esi") argument => _,
            inout("edi") argument => _,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    answer
}
