//! Turning "this call: that answer" into a program for the kernel's filter machine.
//!
//! The kernel's machine is classic BPF: one accumulator, forward jumps only. A list of comparisons would be
//! walked for every call, and once for every number when it is loaded, because the kernel works out beforehand
//! which calls are always allowed; so the numbers are put into ranges of the same answer and found by halving.

use std::collections::BTreeMap;
use std::ffi::c_long;

use libc::sock_filter;

use super::super::super::key::Key;
use super::rules::Rule;

/// What the filter answers to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    Errno(u16),
    /// Allowed if all of these hold.
    If(Vec<Rule>),
    /// Allowed if the last four arguments are the key, and else this errno.
    Locked(Key, u16),
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
const PUT: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_IMM) as u16;
const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const IF_ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const XOR: u16 = (libc::BPF_ALU | libc::BPF_XOR | libc::BPF_K) as u16;
/// Both of these with the machine's other register.
const OR_OTHER: u16 = (libc::BPF_ALU | libc::BPF_OR | libc::BPF_X) as u16;
const TO_OTHER: u16 = (libc::BPF_MISC | libc::BPF_TAX) as u16;
const GO: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A program that gives the answers of `table`, and [`unlisted`] to every other number. Calls in the language of another
/// architecture end the whole process.
pub(super) fn compile(table: &BTreeMap<c_long, Answer>) -> Vec<sock_filter> {
    let mut code = Backwards::default();
    let found = code.find(&ranges(table));
    code.jump_if_far(found);
    code.push(step(LOAD, NUMBER));
    code.push(step(RETURN, libc::SECCOMP_RET_KILL_PROCESS));
    code.push(jump(IF_EQUAL, OWN_ARCHITECTURE, 1, 0));
    code.push(step(LOAD, ARCHITECTURE));
    code.0.reverse();
    code.0
}

/// From here on numbers are the same on all architectures, and calls so young (Linux 5.1) that every library knows
/// what to do without them.
const YOUNG: u32 = 424;

/// What is answered to a number that no list has: "not permitted" to old calls; to young and future ones, and to the
/// x32 spelling of all, what says "an older kernel" and is worked around.
pub(super) fn unlisted(number: u32) -> Answer {
    Answer::Errno(if number < YOUNG { libc::EPERM } else { libc::ENOSYS } as u16)
}

/// The numbers at which the answer changes, with the answer from there on; the first is zero.
fn ranges(table: &BTreeMap<c_long, Answer>) -> Vec<(u32, Answer)> {
    let mut ranges: Vec<(u32, Answer)> = vec![(0, unlisted(0)), (YOUNG, unlisted(YOUNG))];
    for (number, answer) in table {
        let number = u32::try_from(*number).expect("system calls have small numbers");
        ranges.push((number + 1, unlisted(number + 1)));
        ranges.push((number, answer.clone()));
    }
    // What is said of a number itself comes after what is said of the ones that follow another.
    ranges.sort_by_key(|(number, answer)| (*number, table.get(&c_long::from(*number)) == Some(answer)));
    // Of several that begin at one number the last counts; of neighbours with one answer the first.
    ranges.reverse();
    ranges.dedup_by_key(|range| range.0);
    ranges.reverse();
    ranges.dedup_by(|later, earlier| later.1 == earlier.1);
    ranges
}

/// Code that grows from its end to its beginning: what is jumped to is there before the jump, so that its distance is
/// known and one answer serves all who are near enough. The shorter the program, the sooner it is loaded.
#[derive(Default)]
struct Backwards(Vec<sock_filter>, Vec<(Answer, Place)>);

/// Where an instruction is, counted from the end.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(usize);

impl Backwards {
    fn push(&mut self, instruction: sock_filter) -> Place {
        self.0.push(instruction);
        Place(self.0.len() - 1)
    }

    /// How far the next instruction would have to jump.
    fn distance(&self, to: Place) -> usize {
        self.0.len() - to.0 - 1
    }

    /// The place, or one from where it is jumped to: a conditional jump reaches 255 instructions, and the next one may
    /// come after another jump like this.
    fn near(&mut self, to: Place) -> Place {
        let distance = self.distance(to);
        if distance < 254 {
            to
        } else {
            self.push(step(GO, u32::try_from(distance).expect("a filter is short")))
        }
    }

    /// Has whatever comes before go on at `to`.
    fn jump_if_far(&mut self, to: Place) {
        let distance = self.distance(to);
        if distance > 0 {
            self.push(step(GO, u32::try_from(distance).expect("a filter is short")));
        }
    }

    /// Finds the accumulator among `ranges` by halving.
    fn find(&mut self, ranges: &[(u32, Answer)]) -> Place {
        if let [(_, answer)] = ranges {
            return self.give(answer);
        }
        let (lower, upper) = ranges.split_at(ranges.len() / 2);
        let least = upper[0].0;
        let upper = self.find(upper);
        let lower = self.find(lower);
        let (upper, lower) = (self.near(upper), self.near(lower));
        let reach = |code: &Self, to| u8::try_from(code.distance(to)).expect("made near");
        let (then, otherwise) = (reach(self, upper), reach(self, lower));
        self.push(jump(IF_AT_LEAST, least, then, otherwise))
    }

    fn give(&mut self, answer: &Answer) -> Place {
        let known = self.1.iter().rev().find(|(known, _)| known == answer).map(|(_, place)| *place);
        if let Some(place) = known.filter(|place| self.distance(*place) < 200) {
            return place;
        }
        let mut code = Vec::new();
        match answer {
            Answer::Allow => {}
            Answer::Errno(errno) => code.push(refuse(*errno)),
            Answer::If(rules) => rules.iter().for_each(|rule| check(rule, &mut code)),
            Answer::Locked(key, errno) => unlock(key, *errno, &mut code),
        }
        if !matches!(answer, Answer::Errno(_)) {
            code.push(step(RETURN, libc::SECCOMP_RET_ALLOW));
        }
        self.0.extend(code.into_iter().rev());
        let place = Place(self.0.len() - 1);
        self.1.push((answer.clone(), place));
        place
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

/// Returns the error number unless the last four arguments are the key, and goes on otherwise. All of it is always
/// compared before anything is decided: were it half by half, each half could be guessed by how long that takes.
fn unlock(key: &Key, errno: u16, code: &mut Vec<sock_filter>) {
    code.extend([step(PUT, 0), step(TO_OTHER, 0)]);
    for (arg, word) in (2..).zip(key.words()) {
        for (half, wanted) in [load(arg), load_high(arg)].into_iter().zip(halves(word)) {
            code.extend([half, step(XOR, wanted), step(OR_OTHER, 0), step(TO_OTHER, 0)]);
        }
    }
    code.extend([jump(IF_EQUAL, 0, 1, 0), refuse(errno)]);
}

/// The low one and the high one.
fn halves(word: u64) -> [u32; 2] {
    let half = |word: u64| u32::try_from(word & u64::from(u32::MAX)).expect("one half");
    [half(word), half(word >> 32)]
}

/// The low half of an argument, on the machines this is built for.
fn load(arg: u8) -> sock_filter {
    step(LOAD, ARGUMENTS + 8 * u32::from(arg))
}

fn load_high(arg: u8) -> sock_filter {
    step(LOAD, ARGUMENTS + 8 * u32::from(arg) + 4)
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
