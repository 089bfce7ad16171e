//! What each owner of a mount holds, and may hold.

use crate::{Account, Limit, Result, Used};
use parking_lot::Mutex;
use std::collections::HashMap;

/// The accounts of all owners.
pub(super) struct Ledger(Mutex<Books>);

struct Books {
    general: Limit,
    owners: HashMap<u32, Owner>,
}

struct Owner {
    account: Account,
    /// It has a limit of its own, which is to be remembered.
    limited: bool,
}

impl Ledger {
    pub(super) fn new(general: Limit, used: HashMap<u32, Used>) -> Self {
        let ledger = Ledger(Mutex::new(Books { general, owners: HashMap::new() }));
        for (uid, used) in used {
            ledger.0.lock().account(uid).note(used.bytes, used.nodes);
        }
        ledger
    }

    pub(super) fn limit(&self, uid: u32) -> Limit {
        let books = self.0.lock();
        books.owners.get(&uid).map_or(books.general, |owner| owner.account.limit())
    }

    pub(super) fn set_limit(&self, uid: u32, limit: Limit) {
        let mut books = self.0.lock();
        books.account(uid).set_limit(limit);
        if let Some(owner) = books.owners.get_mut(&uid) {
            owner.limited = true;
        }
    }

    pub(super) fn used(&self, uid: u32) -> Used {
        self.0.lock().owners.get(&uid).map(|owner| owner.account.used()).unwrap_or_default()
    }

    /// Both or neither.
    pub(super) fn take(&self, uid: u32, bytes: u64, nodes: u64) -> Result<()> {
        self.0.lock().account(uid).take(bytes, nodes)
    }

    /// Of what was taken, as much is held as has come of it; be it more, that is so whatever the limit.
    pub(super) fn settle(&self, uid: u32, taken: u64, held: u64) {
        self.0.lock().account(uid).settle(taken, held);
    }

    /// A node that is there already, whatever the limit.
    pub(super) fn note_node(&self, uid: u32, bytes: u64) {
        self.0.lock().account(uid).note(bytes, 1);
    }

    pub(super) fn give_back(&self, uid: u32, bytes: u64, nodes: u64) {
        let mut books = self.0.lock();
        books.account(uid).give_back(bytes, nodes);
        let idle = |owner: &Owner| !owner.limited && owner.account.used() == Used::default();
        if books.owners.get(&uid).is_some_and(idle) {
            books.owners.remove(&uid);
        }
    }
}

impl Books {
    fn account(&mut self, uid: u32) -> &Account {
        let general = self.general;
        let new = || Owner { account: Account::new(general), limited: false };
        &self.owners.entry(uid).or_insert_with(new).account
    }
}

#[cfg(test)]
mod tests {
    use super::{Ledger, Limit, Used};
    use crate::Error;

    #[test]
    fn each_owner_has_the_general_limit_or_one_of_its_own() {
        let general = Limit { bytes: 10, nodes: 2 };
        let ledger = Ledger::new(general, [(7, Used { bytes: 4, nodes: 1 })].into());
        ledger.take(7, 6, 0).unwrap();
        assert_eq!(ledger.take(7, 1, 0), Err(Error::QuotaExceeded { limit: 10, used: 10, asked: 1 }));
        assert_eq!(ledger.take(8, u64::MAX, 0).map_err(|error| error.errno()), Err(122));
        ledger.set_limit(7, Limit { bytes: 1, nodes: 1 });
        ledger.give_back(7, 10, 1);
        assert_eq!((ledger.used(7), ledger.limit(7)), (Used::default(), Limit { bytes: 1, nodes: 1 }));
        assert_eq!(ledger.take(7, 2, 0), Err(Error::QuotaExceeded { limit: 1, used: 0, asked: 2 }));
        assert_eq!(ledger.limit(9), general);
        ledger.take(9, 10, 2).unwrap();
    }
}
