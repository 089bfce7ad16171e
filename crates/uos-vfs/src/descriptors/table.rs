//! Which numbers are in use, and for what.

use super::numbers::Numbers;
use crate::{Error, Result};
use std::ops::RangeInclusive;

/// Numbers for what a process has open, as POSIX gives them: always the lowest that is free. What they stand for is up to
/// whoever keeps it, as long as clones of that are duplicates.
///
/// Nothing is closed in here: whatever loses its number is handed back.
#[derive(Debug)]
pub struct FdTable<T> {
    slots: Vec<Slot<T>>,
    numbers: Numbers,
    used: usize,
    limit: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Free,
    /// To be filled by whoever has set it aside.
    Reserved,
    Open {
        what: T,
        close_on_exec: bool,
    },
}

impl<T> FdTable<T> {
    /// Nothing is open. Numbers are below the limit.
    pub fn new(limit: u32) -> Self {
        FdTable { slots: Vec::new(), numbers: Numbers::default(), used: 0, limit: limit as usize }
    }

    /// Numbers are below this.
    pub fn limit(&self) -> u32 {
        // Made of one.
        u32::try_from(self.limit).unwrap_or(u32::MAX)
    }

    /// From now on numbers are below this. What has one stays.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit as usize;
    }

    /// How many numbers are in use, those that are set aside included.
    pub fn len(&self) -> usize {
        self.used
    }

    /// True if none is.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Gives something the lowest free number.
    ///
    /// # Errors
    /// [`Error::TooManyFiles`] if all below the limit are in use.
    pub fn insert(&mut self, what: T, close_on_exec: bool) -> Result<u32> {
        self.insert_from(0, what, close_on_exec)
    }

    /// Gives something the lowest free number that is at least `min`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a `min` that is no number below the limit; [`Error::TooManyFiles`].
    pub fn insert_from(&mut self, min: u32, what: T, close_on_exec: bool) -> Result<u32> {
        let fd = self.reserve_from(min)?;
        self.slots[fd as usize] = Slot::Open { what, close_on_exec };
        Ok(fd)
    }

    /// Sets the lowest free number aside for something still to be opened, so that afterwards there is one.
    ///
    /// # Errors
    /// [`Error::TooManyFiles`].
    pub fn reserve(&mut self) -> Result<u32> {
        self.reserve_from(0)
    }

    /// Gives a number that was set aside to something.
    ///
    /// # Errors
    /// [`Error::BadDescriptor`] if it wasn't.
    pub fn fill(&mut self, fd: u32, what: T, close_on_exec: bool) -> Result<()> {
        match self.slots.get_mut(fd as usize) {
            Some(slot @ Slot::Reserved) => *slot = Slot::Open { what, close_on_exec },
            _ => return Err(Error::BadDescriptor),
        }
        Ok(())
    }

    /// Gives a number back that was set aside.
    ///
    /// # Errors
    /// [`Error::BadDescriptor`] if it wasn't.
    pub fn unreserve(&mut self, fd: u32) -> Result<()> {
        match self.slots.get(fd as usize) {
            Some(Slot::Reserved) => self.free(fd as usize),
            _ => return Err(Error::BadDescriptor),
        };
        Ok(())
    }

    /// What has a number.
    ///
    /// # Errors
    /// Of everything that takes a number: [`Error::BadDescriptor`] if nothing has it.
    pub fn get(&self, fd: u32) -> Result<&T> {
        match self.slots.get(fd as usize) {
            Some(Slot::Open { what, .. }) => Ok(what),
            _ => Err(Error::BadDescriptor),
        }
    }

    /// Whether it is closed when the process executes another program.
    pub fn closes_on_exec(&self, fd: u32) -> Result<bool> {
        match self.slots.get(fd as usize) {
            Some(Slot::Open { close_on_exec, .. }) => Ok(*close_on_exec),
            _ => Err(Error::BadDescriptor),
        }
    }

    /// Says whether it is.
    pub fn set_close_on_exec(&mut self, fd: u32, closes: bool) -> Result<()> {
        match self.slots.get_mut(fd as usize) {
            Some(Slot::Open { close_on_exec, .. }) => *close_on_exec = closes,
            _ => return Err(Error::BadDescriptor),
        }
        Ok(())
    }

    /// Takes a number away.
    pub fn remove(&mut self, fd: u32) -> Result<T> {
        self.get(fd)?;
        self.free(fd as usize).ok_or(Error::BadDescriptor)
    }

    /// Takes all numbers of a range away, those that are open.
    pub fn remove_range(&mut self, range: RangeInclusive<u32>) -> Vec<T> {
        let last = (*range.end() as usize).min(self.slots.len().saturating_sub(1));
        let open = (*range.start() as usize)..=last;
        open.filter(|&at| matches!(self.slots.get(at), Some(Slot::Open { .. })))
            .collect::<Vec<_>>()
            .into_iter()
            .filter_map(|at| self.free(at))
            .collect()
    }

    /// Takes away all that is closed when the process executes another program.
    pub fn exec(&mut self) -> Vec<T> {
        let closes = |at: &usize| matches!(self.slots[*at], Slot::Open { close_on_exec: true, .. });
        let closing: Vec<_> = (0..self.slots.len()).filter(closes).collect();
        closing.into_iter().filter_map(|at| self.free(at)).collect()
    }

    /// What is open, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        // There are no more slots than the limit, which is a u32.
        (0..).zip(&self.slots).filter_map(|(fd, slot)| match slot {
            Slot::Open { what, .. } => Some((fd, what)),
            _ => None,
        })
    }

    fn reserve_from(&mut self, min: u32) -> Result<u32> {
        let min = min as usize;
        if min > 0 && min >= self.limit {
            return Err(Error::InvalidArgument("a number that none can have"));
        }
        let at = self.numbers.first_free(min);
        let fd = u32::try_from(at).ok().filter(|_| at < self.limit).ok_or(Error::TooManyFiles)?;
        self.set(at, Slot::Reserved);
        Ok(fd)
    }

    fn set(&mut self, at: usize, slot: Slot<T>) -> Slot<T> {
        if at >= self.slots.len() {
            self.slots.resize_with(at + 1, || Slot::Free);
        }
        let before = std::mem::replace(&mut self.slots[at], slot);
        if matches!(before, Slot::Free) {
            self.used += 1;
            self.numbers.take(at);
        }
        before
    }

    fn free(&mut self, at: usize) -> Option<T> {
        let before = std::mem::replace(self.slots.get_mut(at)?, Slot::Free);
        if !matches!(before, Slot::Free) {
            self.used -= 1;
            self.numbers.give_back(at);
        }
        while let Some(Slot::Free) = self.slots.last() {
            self.slots.pop();
        }
        match before {
            Slot::Open { what, .. } => Some(what),
            _ => None,
        }
    }
}

impl<T: Clone> FdTable<T> {
    /// What a child has after fork(2): all that is open, by the same numbers, and not what is only set aside.
    #[must_use]
    pub fn fork(&self) -> Self {
        let mut child = FdTable::new(self.limit());
        for (at, slot) in self.slots.iter().enumerate() {
            if let Slot::Open { what, close_on_exec } = slot {
                child.set(at, Slot::Open { what: what.clone(), close_on_exec: *close_on_exec });
            }
        }
        child
    }

    /// Gives the same thing one more number, the lowest free one. It isn't closed on exec.
    ///
    /// # Errors
    /// Also [`Error::TooManyFiles`].
    pub fn dup(&mut self, fd: u32) -> Result<u32> {
        self.dup_from(fd, 0, false)
    }

    /// The same, with the lowest free number that is at least `min`.
    ///
    /// # Errors
    /// Also those of [`FdTable::insert_from`].
    pub fn dup_from(&mut self, fd: u32, min: u32, close_on_exec: bool) -> Result<u32> {
        let what = self.get(fd)?.clone();
        self.insert_from(min, what, close_on_exec)
    }

    /// Gives the same thing the number `to`, and hands back what had that. To its own number it does nothing.
    ///
    /// # Errors
    /// [`Error::BadDescriptor`] for a `to` that is not below the limit; [`Error::Busy`] for one that is set aside.
    pub fn dup_to(&mut self, fd: u32, to: u32, close_on_exec: bool) -> Result<Option<T>> {
        let what = self.get(fd)?;
        if to as usize >= self.limit {
            return Err(Error::BadDescriptor);
        }
        if fd == to {
            return Ok(None);
        }
        if let Some(Slot::Reserved) = self.slots.get(to as usize) {
            return Err(Error::Busy);
        }
        let what = what.clone();
        match self.set(to as usize, Slot::Open { what, close_on_exec }) {
            Slot::Open { what, .. } => Ok(Some(what)),
            _ => Ok(None),
        }
    }
}
