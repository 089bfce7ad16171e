//! The environment of one process: names with values, bounded.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use uos_ipc::{Permit, Quota};

use crate::{Errno, Error};

/// What the environment of one process may take.
pub(crate) const MOST_BYTES: u64 = 256 << 10;
/// What a refusal by that bound is called.
pub(crate) const OWN_BOUND: &str = "environment_bytes_per_process";
/// What a variable is charged beside its text.
const EACH: u64 = 64;

/// A name that a variable can have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name<'a>(&'a str);

impl<'a> Name<'a> {
    pub(crate) fn new(name: &'a str) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(Error::invalid("name", "a variable has a name"));
        }
        match name.find(['=', '\0']) {
            Some(at) => Err(Error::invalid(
                "name",
                format_args!("{:?} at byte {at} can't be in a name", &name[at..=at]),
            )),
            None => Ok(Self(name)),
        }
    }
}

/// The environment of one process.
pub(crate) struct Environment {
    /// `None` once the process has ended. Held for a look or a change.
    variables: Mutex<Option<BTreeMap<Box<str>, Variable>>>,
    room: Quota,
}

struct Variable {
    value: Box<str>,
    /// At least what it takes.
    room: Vec<Permit>,
}

impl Variable {
    fn bytes(&self) -> u64 {
        self.room.iter().map(Permit::amount).sum()
    }
}

impl Environment {
    pub(crate) fn new(room: Quota) -> Self {
        Self { variables: Mutex::new(Some(BTreeMap::new())), room }
    }

    pub(crate) fn get(&self, name: Name<'_>) -> Option<String> {
        let variables = self.variables.lock();
        Some(variables.as_ref()?.get(name.0)?.value.clone().into())
    }

    /// Sets a variable, and gives what it was.
    pub(crate) fn set(&self, name: Name<'_>, value: &str) -> Result<Option<String>, Error> {
        if value.contains('\0') {
            return Err(Error::invalid("value", "a NUL can't be in a value"));
        }
        let mut variables = self.variables.lock();
        let Some(variables) = &mut *variables else {
            return Err(Error::new(Errno::ESRCH, "the process has ended"));
        };
        let bytes = (name.0.len() + value.len()) as u64 + EACH;
        let held = variables.get(name.0).map_or(0, Variable::bytes);
        let value: Box<str> = value.into();
        // What is there stays charged until the new has its room, so that a refusal changes nothing. If both don't fit
        // beside each other, the new one goes on the old one's room, and only what it needs more is taken.
        let room = match self.room.take(bytes) {
            Ok(room) => vec![room],
            Err(full) if held == 0 => return Err(too_much(&full)),
            Err(_) if bytes <= held => Vec::new(),
            Err(_) => vec![self.room.take(bytes - held).map_err(|full| too_much(&full))?],
        };
        match variables.get_mut(name.0) {
            Some(variable) => {
                let is_whole = room.iter().map(Permit::amount).sum::<u64>() >= bytes;
                if is_whole {
                    variable.room = room;
                } else {
                    variable.room.extend(room);
                }
                Ok(Some(std::mem::replace(&mut variable.value, value).into()))
            }
            None => {
                variables.insert(name.0.into(), Variable { value, room });
                Ok(None)
            }
        }
    }

    /// Removes a variable, and gives what it was.
    pub(crate) fn unset(&self, name: Name<'_>) -> Option<String> {
        Some(self.variables.lock().as_mut()?.remove(name.0)?.value.into())
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> Vec<(String, String)> {
        let variables = self.variables.lock();
        let all = variables.iter().flatten();
        all.map(|(name, variable)| (name.to_string(), variable.value.to_string())).collect()
    }

    pub(crate) fn room(&self) -> &Quota {
        &self.room
    }

    /// Forgets all of them and takes no more.
    pub(crate) fn close(&self) {
        let variables = self.variables.lock().take();
        drop(variables);
    }
}

/// Its own bound is what an exec would call too long; that of all together is none of its doing.
fn too_much(full: &uos_ipc::QuotaError) -> Error {
    let errno = if full.name == OWN_BOUND { Errno::E2BIG } else { Errno::EDQUOT };
    Error::limit(errno, full.name, full.used, full.limit)
}
