//! Which system calls a program can make.

mod calls;
mod program;
mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::c_long;
use std::fmt;

use libc::sock_filter;

use super::super::key::Key;
use program::{Answer, compile};
use rules::Rule;

/// What a filter lets a program do beyond looking after itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::linux) struct Freedom {
    /// What it can do to itself without any need.
    pub(in crate::linux) further: bool,
    /// Starting other programs.
    pub(in crate::linux) processes: bool,
    /// Queues, semaphores and memory by name.
    pub(in crate::linux) ipc: bool,
    /// Sockets.
    pub(in crate::linux) sockets: Sockets,
    /// Executing what it has written itself.
    pub(in crate::linux) execute_written: bool,
}

/// Which sockets a filter lets a program make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::linux) enum Sockets {
    None,
    /// Of the local family.
    Local,
    /// Of the local and the internet families; a network namespace says how far they reach.
    Separated,
}

/// A filter, ready to be loaded. It may hold a key.
pub(in crate::linux) struct Filter(Vec<sock_filter>);

impl Filter {
    pub(in crate::linux) fn new(freedom: Freedom) -> Self {
        Filter(compile(&table(freedom)))
    }

    /// One that lets `clone3` through, too, for whoever has the key in the registers behind those of its arguments.
    pub(in crate::linux) fn with_key(freedom: Freedom, key: &Key) -> Self {
        let mut table = table(freedom);
        table.insert(libc::SYS_clone3, Answer::Locked(key.clone(), libc::ENOSYS as u16));
        Filter(compile(&table))
    }

    pub(in crate::linux) fn instructions(&self) -> &[sock_filter] {
        &self.0
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filter").field(&self.0.len()).finish()
    }
}

fn table(freedom: Freedom) -> BTreeMap<c_long, Answer> {
    let mut rules: Vec<(c_long, Rule)> = rules::ALWAYS.to_vec();
    let mut allowed: Vec<&[c_long]> = vec![calls::BASE, calls::SPELLINGS];
    if freedom.further {
        allowed.extend([calls::FURTHER, calls::FURTHER_SPELLINGS]);
    }
    if freedom.processes {
        allowed.extend([calls::PROCESSES, calls::PROCESS_SPELLINGS]);
    } else {
        rules.extend(rules::WITHOUT_PROCESSES);
    }
    if freedom.ipc {
        allowed.push(calls::IPC);
    }
    match freedom.sockets {
        Sockets::None => {}
        Sockets::Local => rules.extend(rules::LOCAL_SOCKETS),
        Sockets::Separated => rules.extend(rules::WITH_SOCKETS),
    }
    if freedom.sockets != Sockets::None {
        allowed.push(calls::SOCKETS);
    }
    if !freedom.execute_written {
        rules.extend(rules::WRITE_OR_EXECUTE);
    }

    let not_permitted = || Answer::Errno(libc::EPERM as u16);
    let at_no_level = calls::FORBIDDEN.iter();
    // What a looser program could do and this one can't is not permitted either, rather than unknown.
    let at_others = [
        calls::FURTHER,
        calls::FURTHER_SPELLINGS,
        calls::PROCESSES,
        calls::PROCESS_SPELLINGS,
        calls::IPC,
        calls::SOCKETS,
    ];
    let at_others = at_others.into_iter().flatten();
    let mut table: BTreeMap<c_long, Answer> =
        at_no_level.chain(at_others).map(|number| (*number, not_permitted())).collect();
    table.extend(allowed.into_iter().flatten().map(|number| (*number, Answer::Allow)));
    for (number, rule) in rules {
        match table.get_mut(&number) {
            Some(Answer::If(rules)) => rules.push(rule),
            Some(answer @ Answer::Allow) => *answer = Answer::If(vec![rule]),
            Some(Answer::Errno(_) | Answer::Locked(..)) | None => {}
        }
    }
    table
}
