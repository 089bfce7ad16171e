//! Sets of CPUs a task may run on.

use crate::{Cpu, SchedError};
use std::collections::BTreeMap;

/// Which CPUs: all there are, or these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(Option<Vec<u64>>);

impl CpuSet {
    /// Every CPU.
    pub const ALL: CpuSet = CpuSet(None);

    /// This one alone.
    pub fn only(cpu: Cpu) -> CpuSet {
        CpuSet::from_iter([cpu])
    }

    /// Whether it is among them.
    pub fn contains(&self, cpu: Cpu) -> bool {
        match &self.0 {
            None => true,
            Some(words) => words.get(cpu.index() / 64).is_some_and(|word| word >> (cpu.0 % 64) & 1 == 1),
        }
    }
}

impl FromIterator<Cpu> for CpuSet {
    fn from_iter<I: IntoIterator<Item = Cpu>>(cpus: I) -> CpuSet {
        let mut words = Vec::new();
        for cpu in cpus {
            if words.len() <= cpu.index() / 64 {
                words.resize(cpu.index() / 64 + 1, 0);
            }
            words[cpu.index() / 64] |= 1u64 << (cpu.0 % 64);
        }
        CpuSet(Some(words))
    }
}

/// The sets in use, each once: a task keeps a number. Few programs use more than a handful.
pub(crate) struct Masks {
    cpus: u32,
    masks: Vec<Mask>,
    numbers: BTreeMap<Vec<u64>, u32>,
    free: Vec<u32>,
}

struct Mask {
    words: Vec<u64>,
    users: u64,
}

/// The number of the set of all CPUs.
pub(crate) const EVERY: u32 = 0;

impl Masks {
    pub(crate) fn new(cpus: u32) -> Masks {
        let every: CpuSet = (0..cpus).map(Cpu).collect();
        let words = every.0.unwrap_or_default();
        let numbers = BTreeMap::from([(words.clone(), EVERY)]);
        Masks { cpus, masks: vec![Mask { words, users: 1 }], numbers, free: Vec::new() }
    }

    /// The part of a set that there is; an error if that is nothing.
    pub(crate) fn check(&self, set: &CpuSet) -> Result<Vec<u64>, SchedError> {
        let every = &self.masks[EVERY as usize].words;
        let Some(words) = &set.0 else { return Ok(every.clone()) };
        if words.iter().all(|&word| word == 0) {
            return Err(SchedError::EmptyAffinity);
        }
        let there = (0..every.len()).map(|at| every[at] & words.get(at).copied().unwrap_or(0));
        let there: Vec<u64> = there.collect();
        match there.iter().all(|&word| word == 0) {
            true => Err(SchedError::NoAllowedCpu { cpus: self.cpus }),
            false => Ok(there),
        }
    }

    /// The number of a checked set, with one more user.
    pub(crate) fn hold(&mut self, words: Vec<u64>) -> u32 {
        if let Some(&number) = self.numbers.get(&words) {
            self.masks[number as usize].users += 1;
            return number;
        }
        let mask = Mask { words: words.clone(), users: 1 };
        let number = match self.free.pop() {
            Some(number) => {
                self.masks[number as usize] = mask;
                number
            }
            None => {
                self.masks.push(mask);
                (self.masks.len() - 1) as u32
            }
        };
        self.numbers.insert(words, number);
        number
    }

    pub(crate) fn release(&mut self, number: u32) {
        let mask = &mut self.masks[number as usize];
        mask.users -= 1;
        if mask.users == 0 {
            self.numbers.remove(&std::mem::take(&mut mask.words));
            self.free.push(number);
        }
    }

    pub(crate) fn allows(&self, number: u32, cpu: u32) -> bool {
        let words = &self.masks[number as usize].words;
        number == EVERY || words[cpu as usize / 64] >> (cpu % 64) & 1 == 1
    }

    /// The CPUs of a set, from the lowest.
    pub(crate) fn iter(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        self.masks[number as usize].words.iter().zip(0u32..).flat_map(|(&word, at)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(at * 64 + bit)
            })
        })
    }

    pub(crate) fn set(&self, number: u32) -> CpuSet {
        match number {
            EVERY => CpuSet::ALL,
            _ => CpuSet(Some(self.masks[number as usize].words.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_in_use_is_kept_once_and_forgotten_after_its_last_user() {
        let mut masks = Masks::new(70);
        let high = masks.check(&CpuSet::from_iter([Cpu(69), Cpu(400)])).unwrap();
        let (a, b) = (masks.hold(high.clone()), masks.hold(high));
        assert_eq!((a, masks.iter(a).collect::<Vec<_>>()), (b, vec![69]));
        assert!(masks.allows(a, 69) && !masks.allows(a, 5) && masks.allows(EVERY, 5));
        masks.release(a);
        masks.release(b);
        assert!(masks.numbers.len() == 1 && masks.free == [a]);
    }

    #[test]
    fn a_set_without_a_cpu_is_refused() {
        let masks = Masks::new(2);
        assert_eq!(masks.check(&CpuSet::from_iter([])), Err(SchedError::EmptyAffinity));
        assert_eq!(masks.check(&CpuSet::only(Cpu(2))), Err(SchedError::NoAllowedCpu { cpus: 2 }));
        assert_eq!(masks.check(&CpuSet::ALL), Ok(vec![0b11]));
    }
}
