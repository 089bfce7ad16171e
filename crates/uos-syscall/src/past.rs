//! Whose child an ended process was, after its record has gone.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use crate::Pid;

/// The newest of the forgotten, by number alone. Whoever hears late of an end can still be told whether it concerned them.
pub(crate) struct Past {
    /// Held for one step.
    state: Mutex<State>,
    most: usize,
}

#[derive(Default)]
struct State {
    parents: HashMap<Pid, Pid>,
    order: VecDeque<Pid>,
}

impl Past {
    pub(crate) fn new(most: usize) -> Self {
        Self { state: Mutex::default(), most }
    }

    pub(crate) fn add(&self, pid: Pid, parent: Pid) {
        let state = &mut *self.state.lock();
        if state.parents.insert(pid, parent).is_none() {
            state.order.push_back(pid);
        }
        while state.order.len() > self.most {
            if let Some(oldest) = state.order.pop_front() {
                state.parents.remove(&oldest);
            }
        }
    }

    pub(crate) fn parent(&self, pid: Pid) -> Option<Pid> {
        self.state.lock().parents.get(&pid).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::Past;
    use crate::Pid;

    #[test]
    fn the_newest_are_remembered_and_no_more() {
        let past = Past::new(2);
        for pid in [2, 3, 3, 4] {
            past.add(Pid(pid), Pid(1));
        }
        assert_eq!([2, 3, 4].map(|pid| past.parent(Pid(pid))), [None, Some(Pid(1)), Some(Pid(1))]);
    }
}
