//! Every system call by its number, to see which are let through.
//!
//! `sweep ABI FIRST END` prints `NUMBER ANSWER` for each number from FIRST below END. Some calls end or hold whoever makes
//! them: whoever reads the lines sees that after which number nothing came, and goes on behind it. A call that holds is
//! given up after a moment, and says `holds`.

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::names;
use crate::sys::{at, at_mut, call, errno, exit, on_signal, write};

#[derive(Clone, Copy)]
enum Abi {
    Native,
    X32,
    I386,
}

static NOW: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn run(args: &[String]) {
    let abi = match args[0].as_str() {
        "native" => Abi::Native,
        "x32" => Abi::X32,
        "i386" => Abi::I386,
        other => panic!("no abi is called {other}"),
    };
    let [first, end] = [&args[1], &args[2]].map(|number| number.parse::<usize>().expect("a number"));
    on_signal(libc::SIGALRM, held);
    let own = call(libc::SYS_getpid, &[]).unwrap_or(0);
    for number in first..end {
        NOW.store(number, Ordering::Relaxed);
        alarm_in_ms(300);
        // Nonsense first. What answers it with one of the errnos that a filter would give is asked once more, with
        // zeroes: some calls know no better word for nonsense.
        let mut answer = make(abi, number, u64::MAX);
        leave_if_child(own);
        if matches!(answer, Err(libc::EPERM | libc::ENOSYS)) {
            answer = make(abi, number, 0);
            leave_if_child(own);
        }
        alarm_in_ms(0);
        say(
            number,
            &match answer {
                Ok(_) => "ok".to_owned(),
                Err(errno) => names::errno(errno),
            },
        );
    }
}

/// A call that forks gives two answers; one is enough.
fn leave_if_child(own: usize) {
    if call(libc::SYS_getpid, &[]).unwrap_or(own) != own {
        exit(0);
    }
}

fn make(abi: Abi, number: usize, argument: u64) -> Result<usize, c_int> {
    let _ = errno();
    match abi {
        Abi::Native => call(number as i64, &[argument as usize; 6]),
        Abi::X32 => call(number as i64 | 0x4000_0000, &[argument as usize; 6]),
        Abi::I386 => i386(number, argument),
    }
}

#[cfg(target_arch = "x86_64")]
fn i386(number: usize, argument: u64) -> Result<usize, c_int> {
    match crate::sys::call_i386(number as u32, argument as u32) {
        errno @ -4095..0 => Err(-errno),
        answer => Ok(answer.cast_unsigned() as usize),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn i386(_: usize, _: u64) -> Result<usize, c_int> {
    Err(libc::ENOSYS)
}

extern "C" fn held(_: c_int) {
    say(NOW.load(Ordering::Relaxed), "holds");
    exit(0);
}

fn say(number: usize, answer: &str) {
    let line = format!("{number} {answer}\n");
    let _ = write(1, line.as_bytes());
}

fn alarm_in_ms(ms: i64) {
    let timer = [0, 0, ms / 1000, ms % 1000 * 1000];
    let mut old = [0i64; 4];
    let _ = call(libc::SYS_setitimer, &[0, at(&timer), at_mut(&mut old)]);
}
