//! The compiled program, run by a machine of our own, against the table it was made of.

use std::collections::BTreeSet;

use proptest::prelude::*;

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
    let mut data = [0u8; 64];
    data[..4].copy_from_slice(&number.to_le_bytes());
    data[4..8].copy_from_slice(&architecture.to_le_bytes());
    for (place, arg) in args.iter().enumerate() {
        data[16 + 8 * place..24 + 8 * place].copy_from_slice(&arg.to_le_bytes());
    }
    let (mut at, mut accumulator) = (0, 0u32);
    loop {
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
            0x05 => at += k as usize,
            0x06 => return k,
            code => panic!("no such instruction: {code:#x}"),
        }
    }
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
        let clone_user = high | libc::CLONE_NEWUSER.cast_unsigned() as u64;
        assert_eq!(call(libc::SYS_clone, [clone_user, 0, 0, 0, 0, 0]), errno(libc::EPERM));
        let netlink = high | libc::AF_NETLINK.cast_unsigned() as u64;
        assert_eq!(call(libc::SYS_socket, [netlink, 3, 0, 0, 0, 0]), errno(libc::EAFNOSUPPORT));
    }
    assert_eq!(call(libc::SYS_ioctl, [0, libc::TIOCGWINSZ, 0, 0, 0, 0]), ALLOW);
    assert_eq!(call(libc::SYS_clone3, [0; 6]), errno(libc::ENOSYS));
    assert_eq!(call(libc::SYS_io_uring_setup, [0; 6]), errno(libc::EPERM));
    let set_id = [libc::AT_FDCWD.cast_unsigned().into(), 0, 0o4755, 0, 0, 0];
    assert_eq!(call(libc::SYS_fchmodat, set_id), errno(libc::EPERM));
}
