//! The names of tasks and CPUs, and a table in which a stale name finds nothing.

use std::fmt;

/// A CPU, counted from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpu(pub u32);

/// A task of one scheduler: a slot and which of its tenants. No id is ever given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    slot: u32,
    generation: u32,
}

impl TaskId {
    /// The slot: small, dense, and unique among the tasks there are at one time. A policy may index by it.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Values by generational id.
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Slots<T> {
        Slots { slots: Vec::new(), free: Vec::new() }
    }

    /// A new id for the value, or `None` when all ids are used up.
    pub(crate) fn insert(&mut self, value: T) -> Option<TaskId> {
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            place.value = Some(value);
            return Some(TaskId { slot, generation: place.generation });
        }
        let slot = u32::try_from(self.slots.len()).ok()?;
        self.slots.push(Slot { generation: 0, value: Some(value) });
        Some(TaskId { slot, generation: 0 })
    }

    /// Takes the value out and ends its id. A slot whose generations are used up is not used again.
    pub(crate) fn remove(&mut self, id: TaskId) -> Option<T> {
        let place = self.slots.get_mut(id.slot()).filter(|place| place.generation == id.generation)?;
        let value = place.value.take()?;
        if let Some(next) = place.generation.checked_add(1) {
            place.generation = next;
            self.free.push(id.slot);
        }
        Some(value)
    }

    pub(crate) fn get(&self, id: TaskId) -> Option<&T> {
        self.slots.get(id.slot()).filter(|place| place.generation == id.generation)?.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, id: TaskId) -> Option<&mut T> {
        self.slots.get_mut(id.slot()).filter(|place| place.generation == id.generation)?.value.as_mut()
    }

    /// The live ids, by slot.
    pub(crate) fn ids(&self) -> impl Iterator<Item = TaskId> + '_ {
        // There are no more slots than a u32 can count: `insert` sees to that.
        self.slots.iter().zip(0u32..).filter_map(|(place, slot)| {
            place.value.as_ref()?;
            Some(TaskId { slot, generation: place.generation })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_finds_nothing_even_when_its_slot_is_used_again() {
        let mut slots = Slots::new();
        let old = slots.insert('a').unwrap();
        assert_eq!(slots.remove(old), Some('a'));
        assert_eq!(slots.remove(old), None);
        let new = slots.insert('b').unwrap();
        assert_eq!(new.slot(), old.slot());
        assert_eq!((slots.get(old), slots.get(new)), (None, Some(&'b')));
    }

    #[test]
    fn a_worn_out_slot_is_retired() {
        let mut slots = Slots::new();
        let id = slots.insert(()).unwrap();
        slots.slots[id.slot()].generation = u32::MAX;
        let last = TaskId { generation: u32::MAX, ..id };
        assert_eq!(slots.remove(last), Some(()));
        assert_ne!(slots.insert(()).unwrap().slot(), last.slot());
        assert_eq!(slots.get(last), None);
    }
}
