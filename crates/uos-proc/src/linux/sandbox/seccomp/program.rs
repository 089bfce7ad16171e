//! Turning "this call: that answer" into a program for the kernel's filter machine.
//!
//! The kernel's machine is classic BPF: one accumulator, forward jumps only. A list of comparisons would be
//! walked for every call, and once for every number when it is loaded, because the kernel works out beforehand
//! which calls are always allowed; so the numbers are put into ranges of the same answer and found by halving.

use std::collections::BTreeMap;
use std::ffi::c_long;

use libc::sock_filter;

use super::rules::Rule;

/// What the filter answers to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    Errno(u16),
    /// Allowed if all of these hold.
    If(Vec<Rule>),
}

/// `seccomp_data`: the number, the architecture, an address, six arguments.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

#[cfg(target_arch = "x86_64")]
pub(super) const OWN_ARCHITECTURE: u32 = 0xC000_003E;
#[cfg(target_arch = "aarch64")]
pub(super) const OWN_ARCHITECTURE: u32 = 0xC000_00B7;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const GO: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A program that gives the answers of `table`, and `ENOSYS` to every other number: those of the x32 spelling of
/// this architecture's calls and of future ones among them. Calls in the language of another architecture end
/// the whole process.
pub(super) fn compile(table: &BTreeMap<c_long, Answer>) -> Vec<sock_filter> {
    let ranges = ranges(table);
    let mut code = vec![
        step(LOAD, ARCHITECTURE),
        jump(IF_EQUAL, OWN_ARCHITECTURE, 1, 0),
        step(RETURN, libc::SECCOMP_RET_KILL_PROCESS),
        step(LOAD, NUMBER),
    ];
    find(&ranges, &mut code);
    code
}

/// The numbers at which the answer changes, with the answer from there on; the first is zero.
fn ranges(table: &BTreeMap<c_long, Answer>) -> Vec<(u32, Answer)> {
    let unknown = Answer::Errno(libc::ENOSYS as u16);
    let mut ranges: Vec<(u32, Answer)> = vec![(0, unknown.clone())];
    let mut next = 0;
    for (number, answer) in table {
        let number = u32::try_from(*number).expect("system calls have small numbers");
        if number > next {
            ranges.push((next, unknown.clone()));
        }
        ranges.push((number, answer.clone()));
        next = number + 1;
    }
    ranges.push((next, unknown));
    // Of several that begin at one number the last counts; of neighbours with one answer the first.
    ranges.reverse();
    ranges.dedup_by_key(|range| range.0);
    ranges.reverse();
    ranges.dedup_by(|later, earlier| later.1 == earlier.1);
    ranges
}

/// Finds the accumulator among `ranges` by halving. A far jump takes an instruction of its own, because
/// conditional ones reach 255 instructions.
fn find(ranges: &[(u32, Answer)], code: &mut Vec<sock_filter>) {
    if let [(_, answer)] = ranges {
        return give(answer, code);
    }
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    code.push(jump(IF_AT_LEAST, upper[0].0, 0, 1));
    let far = code.len();
    code.push(step(GO, 0));
    find(lower, code);
    code[far].k = u32::try_from(code.len() - far - 1).expect("a filter is short");
    find(upper, code);
}

fn give(answer: &Answer, code: &mut Vec<sock_filter>) {
    match answer {
        Answer::Allow => code.push(step(RETURN, libc::SECCOMP_RET_ALLOW)),
        Answer::Errno(errno) => code.push(refuse(*errno)),
        Answer::If(rules) => {
            for rule in rules {
                check(rule, code);
            }
            code.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
        }
    }
}

/// Returns the rule's error number if it does not hold, and goes on otherwise.
fn check(rule: &Rule, code: &mut Vec<sock_filter>) {
    match *rule {
        Rule::Without { arg, bits, errno } => {
            code.extend([load(arg), jump(IF_ANY_BIT, bits, 0, 1), refuse(errno)]);
        }
        Rule::With { arg, bits, errno } => {
            code.extend([load(arg), step(AND, bits), jump(IF_EQUAL, bits, 1, 0), refuse(errno)]);
        }
        Rule::OneOf { arg, values, errno } => {
            code.push(load(arg));
            let last = values.len();
            for (place, value) in values.iter().enumerate() {
                code.push(jump(IF_EQUAL, *value, near(last - place), 0));
            }
            code.push(refuse(errno));
        }
        Rule::NoneOf { arg, values, errno } => {
            code.push(load(arg));
            for value in values {
                code.extend([jump(IF_EQUAL, *value, 0, 1), refuse(errno)]);
            }
        }
        Rule::WithoutWhen { of, when, arg, bits, errno } => {
            code.extend([load(of), jump(IF_ANY_BIT, when, 0, 3)]);
            code.extend([load(arg), jump(IF_ANY_BIT, bits, 0, 1), refuse(errno)]);
        }
    }
}

/// The low half of an argument, on the machines this is built for.
fn load(arg: u8) -> sock_filter {
    step(LOAD, ARGUMENTS + 8 * u32::from(arg))
}

fn refuse(errno: u16) -> sock_filter {
    step(RETURN, libc::SECCOMP_RET_ERRNO | u32::from(errno))
}

fn near(distance: usize) -> u8 {
    u8::try_from(distance).expect("a rule is short")
}

const fn step(code: u16, k: u32) -> sock_filter {
    sock_filter { code, jt: 0, jf: 0, k }
}

const fn jump(code: u16, k: u32, then: u8, otherwise: u8) -> sock_filter {
    sock_filter { code, jt: then, jf: otherwise, k }
}
