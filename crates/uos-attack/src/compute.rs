//! What a static program does whose language has a runtime of its own, such as Go's: threads that wait for each other, a
//! poller with a bell, a signal from thread to thread that interrupts a loop, stacks for signals, timers, memory that is
//! taken and given back, and a file of its own. It prints one line with what it has worked out.

use std::fs;
use std::io::{self, Write};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

const THREADS: u64 = 4;

/// How often a thread was interrupted.
static INTERRUPTED: AtomicU32 = AtomicU32::new(0);

extern "C" fn interrupted(_: libc::c_int) {
    INTERRUPTED.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn run() {
    handle_on_a_stack_of_its_own();
    let sum = sum_of_threads();
    interrupt_each_other();
    poll_a_bell();
    take_memory_and_give_it_back();
    let path = "/tmp/result";
    fs::write(path, sum.to_string()).expect("a file of its own");
    fs::rename(path, "/tmp/renamed").expect("renamed");
    let read = fs::read_to_string("/tmp/renamed").expect("read back");
    fs::remove_file("/tmp/renamed").expect("removed");
    let mut stdout = io::stdout();
    writeln!(stdout, "computed {read}, {} interrupted", INTERRUPTED.load(Ordering::Relaxed))
        .expect("an output");
}

fn check(answer: libc::c_int) {
    assert!(answer >= 0, "{}", io::Error::last_os_error());
}

fn handle_on_a_stack_of_its_own() {
    let stack = Box::leak(vec![0u8; 64 << 10].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: stack.len() };
    let handler: extern "C" fn(libc::c_int) = interrupted;
    // SAFETY: the stack is there for ever, the handler counts and does nothing else, and all zeroes is a `sigaction`.
    unsafe {
        check(libc::sigaltstack(&raw const stack, ptr::null_mut()));
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as libc::sighandler_t;
        action.sa_flags = libc::SA_ONSTACK | libc::SA_RESTART;
        for signal in [libc::SIGURG, libc::SIGPROF] {
            check(libc::sigaction(signal, &raw const action, ptr::null_mut()));
        }
        // A timer that is set and taken back.
        let (second, none) =
            (libc::timeval { tv_sec: 1, tv_usec: 0 }, libc::timeval { tv_sec: 0, tv_usec: 0 });
        for it_value in [second, none] {
            let timer = libc::itimerval { it_interval: none, it_value };
            check(libc::setitimer(libc::ITIMER_PROF, &raw const timer, ptr::null_mut()));
        }
    }
}

fn sum_of_threads() -> u64 {
    let (sender, receiver) = mpsc::channel();
    for part in 0..THREADS {
        let sender = sender.clone();
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(1));
            sender.send((part * 1000..(part + 1) * 1000).sum::<u64>()).expect("somebody listens");
        });
    }
    drop(sender);
    receiver.iter().sum()
}

fn interrupt_each_other() {
    let (begun, ended) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (theirs_begun, theirs_ended) = (Arc::clone(&begun), Arc::clone(&ended));
    let (sender, receiver) = mpsc::channel();
    let other = thread::spawn(move || {
        // SAFETY: takes nothing, answers a number.
        sender.send(unsafe { libc::gettid() }).expect("somebody listens");
        theirs_begun.wait();
        theirs_ended.wait();
    });
    let tid = receiver.recv().expect("it says who it is");
    begun.wait();
    // SAFETY: integers; the thread waits for us.
    check(unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), tid, libc::SIGURG) } as libc::c_int);
    ended.wait();
    other.join().expect("it does not panic");
}

fn poll_a_bell() {
    // SAFETY: descriptors just made, and structures of the kinds that the calls take.
    unsafe {
        let (poller, bell) = (libc::epoll_create1(libc::EPOLL_CLOEXEC), libc::eventfd(0, libc::EFD_NONBLOCK));
        check(poller);
        check(bell);
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 7 };
        check(libc::epoll_ctl(poller, libc::EPOLL_CTL_ADD, bell, &raw mut event));
        let ringer = thread::spawn(move || check(libc::eventfd_write(bell, 1)));
        check(libc::epoll_wait(poller, &raw mut event, 1, -1));
        ringer.join().expect("it does not panic");
        assert_eq!({ event.u64 }, 7, "somebody else rang");
        let mut ends = [0; 2];
        check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK));
        for fd in [poller, bell, ends[0], ends[1]] {
            check(libc::close(fd));
        }
    }
}

fn take_memory_and_give_it_back() {
    let length = 32 << 20;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: memory of our own, wherever there is room.
    unsafe {
        let memory = libc::mmap(ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        check(libc::mprotect(memory, length, libc::PROT_READ | libc::PROT_WRITE));
        memory.cast::<u8>().write_bytes(1, 1 << 20);
        check(libc::madvise(memory, length, libc::MADV_DONTNEED));
        check(libc::munmap(memory, length));
        let mut cpus: libc::cpu_set_t = std::mem::zeroed();
        check(libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut cpus));
    }
}
