//! Restrictions by Landlock, which hold whatever namespaces a program is in.
//!
//! In a root of its own they are a second wall: what a mount makes read-only, a rule does too; and only they keep
//! apart sandboxes that share a network without anything in it. Without namespaces they are the wall.

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_long};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{CWD, Mode, OFlags, Stat, fstat, openat, stat};

use super::super::life::{Arg, Life};
use super::raw;
use crate::{SpawnError, Stage};

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

    /// What rules are to hold for, in the words that this version reads: files, TCP, and what is kept apart.
    fn handled(self, no_tcp: bool) -> ([u64; 3], usize) {
        let network = if self >= Version(4) && no_tcp { BIND_TCP | CONNECT_TCP } else { 0 };
        let scopes = if self >= Version(6) { SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL } else { 0 };
        let words = match self.0 {
            0..4 => 1,
            4..6 => 2,
            _ => 3,
        };
        ([self.files(), network, scopes], words)
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

impl Rule {
    fn rights(&self, version: Version) -> u64 {
        let rights = if self.is_directory { self.rights } else { self.rights & ON_FILES };
        rights & version.files()
    }
}

/// Everything a program may do with files.
pub(super) struct Rules {
    pub(super) places: Vec<Rule>,
    /// A program that is executed from where it is, wherever that is.
    pub(super) program: Option<c_int>,
    /// Whether TCP is refused, too.
    pub(super) no_tcp: bool,
}

impl Life {
    /// Makes `rules`, whose paths are looked up in what is the root by then. The kernel takes a place by the number
    /// of a descriptor inside a structure, which has to be known beforehand: that of a stream not yet in its place.
    pub(super) fn make_rules(&mut self, version: Version, rules: Rules) -> RuleSet {
        self.stage(Stage::Landlock);
        let known = version.files();
        let (handled, words) = version.handled(rules.no_tcp);
        let handled = self.words(handled);
        let size = Arg::Is(8 * words as c_long);
        let set = self.keep(libc::SYS_landlock_create_ruleset, [handled, size, 0.into()]);
        const SPARE: c_int = 0;
        for rule in rules.places {
            let rights = rule.rights(version);
            let path = self.text(rule.path);
            let flags = libc::O_PATH | libc::O_CLOEXEC;
            let place = self.keep(libc::SYS_openat, [libc::AT_FDCWD.into(), path, flags.into()]);
            self.call(libc::SYS_dup3, [place, SPARE.into(), libc::O_CLOEXEC.into()]);
            self.allow(set, SPARE, rights, &[]);
        }
        if let Some(program) = rules.program {
            // What lies on no mounted filesystem, such as a file in memory, is not held by these rules anyway.
            self.allow(set, program, (EXECUTE | READ_FILE) & known, &[libc::EBADFD]);
        }
        RuleSet(set)
    }

    /// Rules that were made beforehand.
    pub(super) fn take_rules(&mut self, rules: Arc<OwnedFd>) -> RuleSet {
        let number = self.uses_fd(rules.as_raw_fd());
        self.keep_alive(rules);
        RuleSet(number)
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

/// Rules for places of the host, made once for all who may do the same in the same places. A rule holds for the file that
/// was found at a path, so a set is the same only if the same files are found there again.
#[derive(Default)]
pub(super) struct KnownRules {
    /// Protects the sets made so far. Held only to look one up or put one in.
    sets: Mutex<HashMap<Vec<Found>, Arc<OwnedFd>>>,
}

/// What was found at a place, by device and number, and what may be done there. While there is a rule for it, its number
/// is not given to another.
type Found = (u64, u64, u64);

/// Each takes a descriptor, and is made again in some fifty microseconds.
const MOST: usize = 32;

impl KnownRules {
    pub(super) fn of(
        &self,
        version: Version,
        no_tcp: bool,
        places: &[Rule],
    ) -> Result<Arc<OwnedFd>, SpawnError> {
        let found = places.iter().map(|rule| Ok(found(rule, version, &stat(&*rule.path)?)));
        let found = found.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        if let Some(set) = self.sets().get(&found) {
            return Ok(Arc::clone(set));
        }
        let (found, set) = make(version, no_tcp, places)?;
        let set = Arc::new(set);
        let mut sets = self.sets();
        if sets.len() >= MOST {
            sets.clear();
        }
        sets.insert(found, Arc::clone(&set));
        Ok(set)
    }

    fn sets(&self) -> std::sync::MutexGuard<'_, HashMap<Vec<Found>, Arc<OwnedFd>>> {
        self.sets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Opens each place, so that what the set is known by is what its rules hold for.
fn make(version: Version, no_tcp: bool, places: &[Rule]) -> Result<(Vec<Found>, OwnedFd), SpawnError> {
    let (handled, words) = version.handled(no_tcp);
    let errno = |error: std::io::Error| rustix::io::Errno::from_io_error(&error);
    let failed_raw = |error| failed(errno(error).unwrap_or(rustix::io::Errno::IO));
    let set = raw::landlock_rules(&handled[..words]).map_err(failed_raw)?;
    let mut all = Vec::new();
    for rule in places {
        let place =
            openat(CWD, &*rule.path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
        all.push(found(rule, version, &fstat(&place).map_err(failed)?));
        raw::landlock_allow(&set, &place, rule.rights(version)).map_err(failed_raw)?;
    }
    Ok((all, set))
}

fn found(rule: &Rule, version: Version, stat: &Stat) -> Found {
    (stat.st_dev, stat.st_ino, rule.rights(version))
}

fn failed(errno: rustix::io::Errno) -> SpawnError {
    SpawnError::Stage { stage: Stage::Landlock, errno: errno.raw_os_error() }
}
