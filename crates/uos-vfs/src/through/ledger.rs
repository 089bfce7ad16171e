//! What each owner holds, and may hold.

use crate::{Error, Result};
use parking_lot::Mutex;
use std::collections::HashMap;

/// What one owner may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes: the lengths of files and of the targets of links. Holes count as if they were filled, so that no
    /// write into one is refused later.
    pub bytes: u64,
    /// Nodes: files, directories and all others, each once however many names it has.
    pub nodes: u64,
}

impl Limit {
    /// No limit.
    pub const NONE: Limit = Limit { bytes: u64::MAX, nodes: u64::MAX };
}

/// What one owner holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// As in [`Limit::bytes`].
    pub bytes: u64,
    /// As in [`Limit::nodes`].
    pub nodes: u64,
}

/// The accounts of all owners.
pub(super) struct Ledger(Mutex<Books>);

struct Books {
    general: Limit,
    limits: HashMap<u32, Limit>,
    used: HashMap<u32, Used>,
}

impl Ledger {
    pub(super) fn new(general: Limit, used: HashMap<u32, Used>) -> Self {
        Ledger(Mutex::new(Books { general, limits: HashMap::new(), used }))
    }

    pub(super) fn limit(&self, uid: u32) -> Limit {
        self.0.lock().limit(uid)
    }

    pub(super) fn set_limit(&self, uid: u32, limit: Limit) {
        self.0.lock().limits.insert(uid, limit);
    }

    pub(super) fn used(&self, uid: u32) -> Used {
        self.0.lock().used.get(&uid).copied().unwrap_or_default()
    }

    /// Both or neither.
    pub(super) fn take(&self, uid: u32, bytes: u64, nodes: u64) -> Result<()> {
        let mut books = self.0.lock();
        let limit = books.limit(uid);
        let used = books.used.entry(uid).or_default();
        let then = Used {
            bytes: within(used.bytes, bytes, limit.bytes)?,
            nodes: within(used.nodes, nodes, limit.nodes)?,
        };
        *used = then;
        Ok(())
    }

    /// Of what was taken, as much is held as has come of it; be it more, that is so whatever the limit.
    pub(super) fn settle(&self, uid: u32, taken: u64, held: u64) {
        if held <= taken {
            return self.give_back(uid, taken - held, 0);
        }
        let mut books = self.0.lock();
        let used = books.used.entry(uid).or_default();
        used.bytes = used.bytes.saturating_add(held - taken);
    }

    /// A node that is there already, whatever the limit.
    pub(super) fn note_node(&self, uid: u32, bytes: u64) {
        let mut books = self.0.lock();
        let used = books.used.entry(uid).or_default();
        *used = Used { bytes: used.bytes.saturating_add(bytes), nodes: used.nodes + 1 };
    }

    pub(super) fn give_back(&self, uid: u32, bytes: u64, nodes: u64) {
        let mut books = self.0.lock();
        if let Some(used) = books.used.get_mut(&uid) {
            // Never below nothing, should somebody have changed the filesystem otherwise than through here.
            used.bytes = used.bytes.saturating_sub(bytes);
            used.nodes = used.nodes.saturating_sub(nodes);
            if *used == Used::default() {
                books.used.remove(&uid);
            }
        }
    }
}

impl Books {
    fn limit(&self, uid: u32) -> Limit {
        self.limits.get(&uid).copied().unwrap_or(self.general)
    }
}

/// The sum, if that is allowed. Asking for nothing always is, also of one who holds too much since a limit was lowered.
fn within(used: u64, asked: u64, limit: u64) -> Result<u64> {
    match used.checked_add(asked) {
        Some(then) if asked == 0 || then <= limit => Ok(then),
        _ => Err(Error::QuotaExceeded { limit, used, asked }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Ledger, Limit, Used};
    use crate::Error;

    #[test]
    fn limits_hold_to_the_last_one() {
        let ledger = Ledger::new(Limit { bytes: 10, nodes: 2 }, [(7, Used { bytes: 4, nodes: 1 })].into());
        ledger.take(7, 6, 0).unwrap();
        assert_eq!(ledger.take(7, 1, 0), Err(Error::QuotaExceeded { limit: 10, used: 10, asked: 1 }));
        ledger.take(7, 0, 1).unwrap();
        assert_eq!(ledger.take(7, 0, 1), Err(Error::QuotaExceeded { limit: 2, used: 2, asked: 1 }));
        ledger.give_back(7, 3, 0);
        assert_eq!(ledger.take(7, 3, 1).map_err(|error| error.errno()), Err(122), "both or neither");
        assert_eq!(ledger.used(7), Used { bytes: 7, nodes: 2 });
        assert_eq!(ledger.take(8, u64::MAX, 0).map_err(|error| error.errno()), Err(122));
        ledger.set_limit(7, Limit { bytes: 1, nodes: 1 });
        ledger.take(7, 0, 0).unwrap();
        ledger.give_back(7, 7, 2);
        assert_eq!(ledger.used(7), Used::default());
        ledger.take(9, 10, 2).unwrap();
    }
}
