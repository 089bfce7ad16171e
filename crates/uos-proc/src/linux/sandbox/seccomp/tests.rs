//! The compiled program, run by a machine of our own, against the table it was made of.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::super::child::perform;
use super::super::super::life::Life;
use super::program::OWN_ARCHITECTURE;
use super::*;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;

const fn errno(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.cast_unsigned()
}

fn every_freedom() -> Vec<Freedom> {
    let mut all = Vec::new();
    for (further, processes) in [(false, false), (false, true), (true, false), (true, true)] {
        for sockets in [Sockets::None, Sockets::Local, Sockets::Separated] {
            for (ipc, execute_written) in [(false, false), (false, true), (true, false), (true, true)] {
                all.push(Freedom { further, processes, ipc, sockets, execute_written });
            }
        }
    }
    all
}

/// The kernel's machine, as far as filters use it.
fn run(filter: &Filter, architecture: u32, number: u32, args: [u64; 6]) -> u32 {
    steps(filter, architecture, number, args).0
}

/// The same, and how many instructions it took.
fn steps(filter: &Filter, architecture: u32, number: u32, args: [u64; 6]) -> (u32, usize) {
    let mut data = [0u8; 64];
    data[..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&architecture.to_le_bytes());
    for (place, arg) in args.iter().enumerate() {
        data[16 + 8 * place..24 + 8 * place].copy_from_slice(&arg.to_le_bytes());
    }
    let (mut at, mut accumulator, mut other) = (0, 0u32, 0u32);
    for taken in 1.. {
        let step = filter.instructions()[at];
        let k = step.k;
        at += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { step.jt } else { step.jf });
        match u32::from(step.code) {
            0x20 => {
                let word = data[k as usize..][..4].try_into().expect("four bytes");
                accumulator = u32::from_le_bytes(word);
            }
            0x15 => branch(accumulator == k),
            0x35 => branch(accumulator >= k),
            0x45 => branch(accumulator & k != 0),
            0x54 => accumulator &= k,
            0x00 => accumulator = k,
            0x4c => accumulator |= other,
            0xa4 => accumulator ^= k,
            0x07 => other = accumulator,
            0x05 => at += k as usize,
            0x06 => return (k, taken),
            code => panic!("no such instruction: {code:#x}"),
        }
    }
    unreachable!("filters jump forward only")
}

/// What a rule means, said without jumps.
fn holds(rule: &Rule, args: [u64; 6]) -> Result<(), u16> {
    let low = |arg: u8| args[usize::from(arg)] as u32;
    let (holds, errno) = match *rule {
        Rule::Without { arg, bits, errno } => (low(arg) & bits == 0, errno),
        Rule::With { arg, bits, errno } => (low(arg) & bits == bits, errno),
        Rule::OneOf { arg, values, errno } => (values.contains(&low(arg)), errno),
        Rule::NoneOf { arg, values, errno } => (!values.contains(&low(arg)), errno),
        Rule::WithoutWhen { of, when, arg, bits, errno } => {
            (low(of) & when == 0 || low(arg) & bits == 0, errno)
        }
    };
    if holds { Ok(()) } else { Err(errno) }
}

fn expected(table: &BTreeMap<c_long, Answer>, number: u32, args: [u64; 6]) -> u32 {
    match table.get(&c_long::from(number)) {
        None if number < 424 => errno(libc::EPERM),
        None => errno(libc::ENOSYS),
        Some(Answer::Allow) => ALLOW,
        Some(Answer::Errno(number)) => errno((*number).into()),
        Some(Answer::If(rules)) => {
            let refused = rules.iter().find_map(|rule| holds(rule, args).err());
            refused.map_or(ALLOW, |number| errno(number.into()))
        }
        Some(Answer::Locked(key, _)) if args[2..] == key.words() => ALLOW,
        Some(Answer::Locked(_, number)) => errno((*number).into()),
    }
}

#[test]
fn every_number_gets_the_answer_of_the_table() {
    for freedom in every_freedom() {
        let (filter, table) = (Filter::new(freedom), table(freedom));
        assert!(filter.instructions().len() < 4096, "the kernel takes no more");
        let x32 = 0x4000_0000..0x4000_0400;
        for number in (0..1024).chain(x32).chain([u32::MAX, u32::MAX - 1, 0x8000_0000]) {
            for args in [[0; 6], [u64::MAX; 6]] {
                let answer = run(&filter, OWN_ARCHITECTURE, number, args);
                assert_eq!(answer, expected(&table, number, args), "{freedom:?} {number} {args:x?}");
            }
            for foreign in [0x4000_0003, 0x4000_0028, 0, !OWN_ARCHITECTURE] {
                assert_eq!(run(&filter, foreign, number, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
            }
        }
        for number in 0x4000_0000..0x4000_0400 {
            assert_eq!(run(&filter, OWN_ARCHITECTURE, number, [0; 6]), errno(libc::ENOSYS), "x32 {number}");
        }
    }
}

const CLONE3: u32 = libc::SYS_clone3 as u32;

/// Nothing but `clone3` is another call with a key than without, in whatever way it is made.
#[test]
fn a_key_opens_one_call() {
    for freedom in every_freedom() {
        let key = Key::new().unwrap();
        let (locked, plain) = (Filter::with_key(freedom, &key), Filter::new(freedom));
        assert!(locked.instructions().len() < 4096, "the kernel takes no more");
        let [first, second, third, fourth] = key.words();
        let x32 = 0x4000_0000..0x4000_0400;
        for number in (0..1024).chain(x32).chain([u32::MAX, u32::MAX - 1, 0x8000_0000]) {
            for args in [[0; 6], [u64::MAX; 6], [0, 0, first, second, third, fourth]] {
                let answer = run(&locked, OWN_ARCHITECTURE, number, args);
                let is_open = number == CLONE3 && args[2] == first;
                let expected = if is_open { ALLOW } else { run(&plain, OWN_ARCHITECTURE, number, args) };
                assert_eq!(answer, expected, "{freedom:?} {number}");
            }
            for foreign in [0x4000_0003, 0x4000_0028, 0, !OWN_ARCHITECTURE] {
                let args = [0, 0, first, second, third, fourth];
                assert_eq!(run(&locked, foreign, number, args), libc::SECCOMP_RET_KILL_PROCESS);
            }
        }
    }
}

/// Keys that differ in one bit, and all that have the right halves in other places.
fn almost(key: &Key) -> Vec<[u64; 4]> {
    let right = key.words();
    let flipped = (0..256).map(|bit| {
        let mut words = right;
        words[bit / 64] ^= 1 << (bit % 64);
        words
    });
    let swapped = right.map(|word| word.rotate_left(32));
    let [first, second, third, fourth] = right;
    flipped.chain([swapped, [second, first, third, fourth], [fourth, third, second, first]]).collect()
}

/// Nobody learns by the length of the way how much of a guess was right.
#[test]
fn every_wrong_key_is_refused_and_takes_the_same_steps() {
    let key = Key::new().unwrap();
    let filter = Filter::with_key(every_freedom()[0], &key);
    let call = |[first, second, third, fourth]: [u64; 4]| {
        steps(&filter, OWN_ARCHITECTURE, CLONE3, [0, 0, first, second, third, fourth])
    };
    let (answer, length) = call([0; 4]);
    assert_eq!(answer, errno(libc::ENOSYS));
    let first_is_right = [key.words()[0], 0, 0, 0];
    for wrong in almost(&key).into_iter().chain([[u64::MAX; 4], first_is_right]) {
        assert_eq!(call(wrong), (errno(libc::ENOSYS), length));
    }
    assert_eq!(call(key.words()).0, ALLOW);
}

/// As the kernel itself has it, which translates filters into the processor's language.
#[test]
fn the_kernel_opens_for_the_key_alone() {
    let key = Key::new().unwrap();
    let guesses = almost(&key);
    let right = key.words();
    let answers = move |guesses: Vec<[u64; 4]>| -> Vec<i32> {
        let mut life = Life::default();
        life.no_new_privileges();
        life.load_filter(std::sync::Arc::new(Filter::with_key(every_freedom()[0], &key)));
        perform(&life, None).unwrap();
        guesses.into_iter().map(refusal_of_clone3).collect()
    };
    // The thread keeps the filter as long as it lives.
    let answers = std::thread::spawn(move || answers([vec![right], guesses].concat())).join().unwrap();
    // Then the kernel has seen that there is nothing to read.
    assert_eq!(answers[0], libc::EINVAL);
    assert!(answers[1..].iter().all(|errno| *errno == libc::ENOSYS), "{answers:?}");
}

/// The errno of a call without any arguments of its own.
#[expect(unsafe_code, reason = "a call that no safe wrapper makes")]
fn refusal_of_clone3([first, second, third, fourth]: [u64; 4]) -> i32 {
    // SAFETY: the kernel refuses arguments of no length before it reads or makes anything.
    let answer = unsafe { libc::syscall(libc::SYS_clone3, 0u64, 0u64, first, second, third, fourth) };
    assert_eq!(answer, -1);
    std::io::Error::last_os_error().raw_os_error().unwrap()
}

#[test]
fn no_key_is_told() {
    let key = Key::new().unwrap();
    let words = key.words().map(|word| word as u32);
    for said in
        [format!("{:?}", Filter::with_key(every_freedom()[0], &key)), format!("{:?}", Answer::Locked(key, 1))]
    {
        let is_told = |word: &u32| said.contains(&word.to_string()) || said.contains(&format!("{word:x}"));
        assert!(!words.iter().any(is_told), "{said}");
    }
}

proptest! {
    #[test]
    fn arguments_decide_as_their_rules_say(
        which in any::<prop::sample::Index>(),
        number in prop_oneof![
            Just(libc::SYS_clone), Just(libc::SYS_ioctl), Just(libc::SYS_socket), Just(libc::SYS_openat),
            Just(libc::SYS_fchmodat), Just(libc::SYS_prctl), Just(libc::SYS_memfd_create), 0..512i64,
        ],
        args in prop::array::uniform6(prop_oneof![
            any::<u64>(), 0..64u64, (0..64u32).prop_map(|bit| 1 << bit), Just(0x5412), Just(0xFFFF_0000_0000_5412),
            Just(u64::from(libc::O_CREAT.cast_unsigned())), Just(0o4755), Just(0o755),
        ]),
    ) {
        let freedoms = every_freedom();
        let freedom = *which.get(&freedoms);
        let number = u32::try_from(number).expect("small");
        let answer = run(&Filter::new(freedom), OWN_ARCHITECTURE, number, args);
        prop_assert_eq!(answer, expected(&table(freedom), number, args));
    }
}

fn allowed(freedom: Freedom) -> BTreeSet<c_long> {
    let table = table(freedom);
    table
        .into_iter()
        .filter(|(_, answer)| !matches!(answer, Answer::Errno(_)))
        .map(|(number, _)| number)
        .collect()
}

/// A freedom more never takes an allowed call away.
#[test]
fn freedoms_only_add() {
    let tight = Freedom {
        further: false,
        processes: false,
        ipc: false,
        sockets: Sockets::None,
        execute_written: false,
    };
    let loose = Freedom {
        further: true,
        processes: true,
        ipc: true,
        sockets: Sockets::Separated,
        execute_written: true,
    };
    for freedom in every_freedom() {
        assert!(allowed(tight).is_subset(&allowed(freedom)));
        assert!(allowed(freedom).is_subset(&allowed(loose)));
    }
}

#[test]
fn nothing_is_both_allowed_and_forbidden() {
    let loose = Freedom {
        further: true,
        processes: true,
        ipc: true,
        sockets: Sockets::Separated,
        execute_written: true,
    };
    let forbidden: BTreeSet<c_long> = calls::FORBIDDEN.iter().copied().collect();
    assert_eq!(forbidden.len(), calls::FORBIDDEN.len(), "listed twice");
    assert!(forbidden.is_disjoint(&allowed(loose)));
}

/// The requests that made history, spelled as they were.
#[test]
fn a_request_with_high_bits_is_the_same_request() {
    let filter = Filter::new(Freedom {
        further: true,
        processes: true,
        ipc: true,
        sockets: Sockets::Separated,
        execute_written: true,
    });
    let number = |number: c_long| u32::try_from(number).expect("small");
    let call = |nr: c_long, args: [u64; 6]| run(&filter, OWN_ARCHITECTURE, number(nr), args);
    for high in [0, 1 << 32, u64::MAX << 32] {
        assert_eq!(call(libc::SYS_ioctl, [0, high | libc::TIOCSTI, 0, 0, 0, 0]), errno(libc::EPERM));
        let lease = high | libc::F_SETLEASE.cast_unsigned() as u64;
        assert_eq!(call(libc::SYS_fcntl, [0, lease, 0, 0, 0, 0]), errno(libc::EPERM));
        let clone_user = high | libc::CLONE_NEWUSER.cast_unsigned() as u64;
        assert_eq!(call(libc::SYS_clone, [clone_user, 0, 0, 0, 0, 0]), errno(libc::EPERM));
        let netlink = high | libc::AF_NETLINK.cast_unsigned() as u64;
        assert_eq!(call(libc::SYS_socket, [netlink, 3, 0, 0, 0, 0]), errno(libc::EAFNOSUPPORT));
    }
    assert_eq!(call(libc::SYS_ioctl, [0, libc::TIOCGWINSZ, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call(libc::SYS_fcntl, [0, libc::F_SETFD.cast_unsigned().into(), 1, 0, 0, 0]), ALLOW);
    assert_eq!(call(libc::SYS_clone3, [0; 6]), errno(libc::ENOSYS));
    assert_eq!(call(libc::SYS_io_uring_setup, [0; 6]), errno(libc::EPERM));
    let set_id = [libc::AT_FDCWD.cast_unsigned().into(), 0, 0o4755, 0, 0, 0];
    assert_eq!(call(libc::SYS_fchmodat, set_id), errno(libc::EPERM));
}
