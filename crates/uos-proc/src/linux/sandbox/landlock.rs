//! Restrictions by Landlock, which hold whatever namespaces a program is in.
//!
//! In a root of its own they are a second wall: what a mount makes read-only, a rule does too; and only they keep
//! apart sandboxes that share a network without anything in it. Without namespaces they are the wall.

use std::ffi::{CString, c_int, c_long};
use std::os::fd::{AsRawFd, OwnedFd};

use super::super::life::{Arg, Life};
use crate::Stage;

const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const REMOVE_DIR: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_DIR: u64 = 1 << 7;
const MAKE_REG: u64 = 1 << 8;
const MAKE_SOCK: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_BLOCK: u64 = 1 << 11;
const MAKE_SYM: u64 = 1 << 12;
/// Since version 2 of the interface.
const REFER: u64 = 1 << 13;
/// Since version 3.
const TRUNCATE: u64 = 1 << 14;

const BIND_TCP: u64 = 1 << 0;
const CONNECT_TCP: u64 = 1 << 1;
/// Since version 6.
const SCOPE_ABSTRACT_UNIX: u64 = 1 << 0;
const SCOPE_SIGNAL: u64 = 1 << 1;

const RULE_PATH_BENEATH: c_int = 1;

/// What may be done somewhere.
pub(super) const LOOK: u64 = READ_FILE | READ_DIR;
pub(super) const RUN: u64 = EXECUTE;
pub(super) const CHANGE: u64 = WRITE_FILE
    | TRUNCATE
    | REFER
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM;
pub(super) const WRITE_DEVICE: u64 = WRITE_FILE;

const ON_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;
/// What version 1 knows.
const FIRST: u64 = (1 << 13) - 1;

/// The version of the interface; zero where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32);

impl Version {
    pub(super) fn of_this_machine() -> Self {
        Version(super::raw::landlock_version())
    }

    /// Whether sandboxes in one network can't meet under abstract names.
    pub(super) fn separates_sockets(self) -> bool {
        self >= Version(6)
    }

    fn files(self) -> u64 {
        let refer = if self >= Version(2) { REFER } else { 0 };
        let truncate = if self >= Version(3) { TRUNCATE } else { 0 };
        FIRST | MAKE_CHAR | MAKE_BLOCK | refer | truncate
    }
}

/// Rules that do not hold yet.
pub(in crate::linux) struct RuleSet(Arg);

/// A place and what may be done there.
pub(super) struct Rule {
    pub(super) path: CString,
    pub(super) is_directory: bool,
    pub(super) rights: u64,
}

/// Everything a program may do with files.
pub(super) struct Rules {
    pub(super) places: Vec<Rule>,
    /// A program that is executed from where it is, wherever that is.
    pub(super) program: Option<c_int>,
    /// Whether TCP is refused, too.
    pub(super) no_tcp: bool,
    /// Any descriptor: its number is used for one place after the other.
    pub(super) spare: OwnedFd,
}

impl Life {
    /// Makes `rules`, whose paths are looked up in what is the root by then. The kernel takes a place by the number
    /// of a descriptor inside a structure, which has to be known beforehand: hence the spare one.
    pub(super) fn make_rules(&mut self, version: Version, rules: Rules) -> RuleSet {
        self.stage(Stage::Landlock);
        let known = version.files();
        let network = if version >= Version(4) && rules.no_tcp { BIND_TCP | CONNECT_TCP } else { 0 };
        let scopes = if version >= Version(6) { SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL } else { 0 };
        let size: c_long = match version.0 {
            0..4 => 8,
            4..6 => 16,
            _ => 24,
        };
        let handled = self.words([known, network, scopes]);
        let set = self.keep(libc::SYS_landlock_create_ruleset, [handled, size.into(), 0.into()]);
        let spare = rules.spare.as_raw_fd();
        let spare_arg = self.fd(rules.spare);
        for rule in rules.places {
            let path = self.text(rule.path);
            let flags = libc::O_PATH | libc::O_CLOEXEC;
            let place = self.keep(libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags.into()]);
            self.call(libc::SYS_dup3, [place, spare_arg, libc::O_CLOEXEC.into()]);
            let rights = if rule.is_directory { rule.rights } else { rule.rights & ON_FILES };
            self.allow(set, spare, rights & known, &[]);
        }
        if let Some(program) = rules.program {
            // What lies on no mounted filesystem, such as a file in memory, is not held by these rules anyway.
            self.allow(set, program, (EXECUTE | READ_FILE) & known, &[libc::EBADFD]);
        }
        RuleSet(set)
    }

    /// From here on the rules hold, for this process and all that come of it.
    pub(in crate::linux) fn restrict(&mut self, rules: &RuleSet) {
        self.stage(Stage::Landlock);
        self.call(libc::SYS_landlock_restrict_self, [rules.0, 0.into()]);
    }

    fn allow(&mut self, set: Arg, place: c_int, rights: u64, tolerated: &'static [c_int]) {
        let rule = self.words([rights, u64::from(place.cast_unsigned())]);
        let args = [set, RULE_PATH_BENEATH.into(), rule, 0.into()];
        self.try_call(tolerated, libc::SYS_landlock_add_rule, args);
    }
}
