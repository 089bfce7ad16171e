//! Who pays for what a filesystem holds: how much there is on an account, and how much there may be.
//!
//! The same accounts serve in two places that differ in how they know whose a node is. A mount with a quota asks for
//! its [owner](crate::Attr::uid), and counts lengths. A [`MemFs`](crate::MemFs) keeps with each node on whose account
//! it was made, and counts what takes memory.

use crate::{Error, Result};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;

/// What one account, or one owner, may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes.
    pub bytes: u64,
    /// Nodes: files, directories and all others. In a [`MemFs`](crate::MemFs) every name beyond a node's first counts as one more, as it
    /// takes memory too; for a mount's quota each node counts once however many names it has.
    pub nodes: u64,
}

impl Limit {
    /// No limit.
    pub const NONE: Limit = Limit { bytes: u64::MAX, nodes: u64::MAX };
}

impl Default for Limit {
    fn default() -> Self {
        Limit::NONE
    }
}

/// What one account, or one owner, holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// As in [`Limit::bytes`].
    pub bytes: u64,
    /// As in [`Limit::nodes`].
    pub nodes: u64,
}

/// On whose account nodes are made: goes with a [`Caller`](crate::Caller), and is kept by each node that it makes in a
/// [`MemFs`](crate::MemFs), of however many of them. Cloning gives another name for the same account.
///
/// **Who made a node pays for it**, for as long as it is there and whoever makes it longer, as with disk quotas whoever
/// owns a file pays for it. So what a file holds is on one account as a whole and goes back to that when it goes,
/// whoever shortens, replaces or removes it. Paying by the one who writes would take an account for each range of each
/// file, and a reader could be charged for what somebody else may overwrite.
///
/// **What takes memory is charged**: the content of files, less holes, the targets of links and extended attributes. What a
/// [`Snapshot`](crate::Snapshot) still shows stays on the account that it was on, or a limit would be passed by
/// overwriting a file between two snapshots; what it shares with the present counts once. So all accounts of a filesystem,
/// and what is on none, add up to its [`used_bytes`](crate::MemFs::used_bytes). A file that is open, or only shown by a
/// snapshot, is charged until the last of them lets go of it.
///
/// **What holds it together** is not charged by itself. Nodes stand for themselves and their names, so a limit of nodes bounds
/// those. Content lies in chunks of 16 KiB, and each but the first of a file is charged with 1 KiB at least: so a file of single
/// bytes far apart takes no more than a few times of what it is charged, and a file of one chunk is charged to the byte.
/// What [`restore`](crate::MemFs::restore) makes anew is charged, and never refused.
///
/// ```
/// use uos_vfs::{Account, Caller, Error, FileSystem, Limit, MemFs, Tree};
///
/// let (fs, account) = (MemFs::builder().build(), Account::new(Limit { bytes: 100, ..Limit::NONE }));
/// let theirs = fs.seen_by(Caller { account: Some(account.clone()), ..Caller::ROOT });
/// theirs.write("/plan", [b'x'; 60])?;
/// assert_eq!(account.used().bytes, 60);
/// assert!(matches!(fs.append("/plan", [b'x'; 41]), Err(Error::QuotaExceeded { limit: 100, used: 60, asked: 41 })));
/// fs.delete("/plan")?;
/// assert_eq!(account.used().bytes, 0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Account(Arc<Books>);

/// Held for as long as it takes to add two numbers.
struct Books(Mutex<State>);

#[derive(Default)]
struct State {
    limit: Limit,
    used: Used,
    /// Who has taken over what was on it, and pays from then on.
    heir: Option<Account>,
}

/// Held while an account is taken over. Only then are two locked at once, and only then does it change whom one leads to.
static TAKING_OVER: Mutex<()> = Mutex::new(());

impl Account {
    /// One with nothing on it.
    pub fn new(limit: Limit) -> Self {
        Account(Arc::new(Books(Mutex::new(State { limit, ..State::default() }))))
    }

    /// What is on it; nothing any more once it has been taken over.
    pub fn used(&self) -> Used {
        self.0.0.lock().used
    }

    /// What may be on it.
    pub fn limit(&self) -> Limit {
        self.0.0.lock().limit
    }

    /// Sets what may be on it. If there is more already, that stays, and nothing is added until there is less.
    pub fn set_limit(&self, limit: Limit) {
        self.0.0.lock().limit = limit;
    }

    /// Another takes over what is on it, whatever its limit, and pays for it from then on, as for what is still made on this
    /// one. Done once and for good: a second time, or with an heir that leads back to this one, it does nothing.
    pub fn pass_on_to(&self, heir: &Account) {
        let _alone = TAKING_OVER.lock();
        // Nobody else takes one over meanwhile, so this is where the heir leads to.
        let heir = heir.last();
        let mut state = self.0.0.lock();
        if state.heir.is_some() || Arc::ptr_eq(&self.0, &heir.0) {
            return;
        }
        // With both locked: what is given back from now on is there already.
        heir.0.0.lock().used.add(std::mem::take(&mut state.used));
        state.heir = Some(heir);
    }

    /// So much more, if there is room for both.
    pub(crate) fn take(&self, bytes: u64, nodes: u64) -> Result<()> {
        self.with(|state| {
            state.used = Used {
                bytes: within(state.used.bytes, bytes, state.limit.bytes)?,
                nodes: within(state.used.nodes, nodes, state.limit.nodes)?,
            };
            Ok(())
        })
    }

    /// So much more, whatever the limit: it is there already.
    pub(crate) fn note(&self, bytes: u64, nodes: u64) {
        self.with(|state| state.used.add(Used { bytes, nodes }));
    }

    pub(crate) fn give_back(&self, bytes: u64, nodes: u64) {
        self.with(|state| {
            // Never below nothing, should somebody have changed a filesystem otherwise than through its mount.
            let used = &mut state.used;
            *used = Used { bytes: used.bytes.saturating_sub(bytes), nodes: used.nodes.saturating_sub(nodes) };
        });
    }

    /// Of what was taken, as much is held as has come of it; be it more, that is so whatever the limit.
    pub(crate) fn settle(&self, taken: u64, held: u64) {
        match held.checked_sub(taken) {
            Some(more) => self.note(more, 0),
            None => self.give_back(taken - held, 0),
        }
    }

    /// Does something with the books of whoever pays.
    fn with<R>(&self, act: impl FnOnce(&mut State) -> R) -> R {
        let mut at = {
            let mut state = self.0.0.lock();
            match &state.heir {
                None => return act(&mut state),
                Some(heir) => heir.clone(),
            }
        };
        let mut far = false;
        loop {
            let next = {
                let mut state = at.0.0.lock();
                match &state.heir {
                    Some(heir) => heir.clone(),
                    None => {
                        let done = act(&mut state);
                        drop(state);
                        if far {
                            // The next one has a shorter way.
                            let _longer = self.0.0.lock().heir.replace(at);
                        }
                        return done;
                    }
                }
            };
            (at, far) = (next, true);
        }
    }

    /// Who pays in the end.
    fn last(&self) -> Account {
        let mut at = self.clone();
        while let Some(next) = { at.0.0.lock().heir.clone() } {
            at = next;
        }
        at
    }
}

impl Used {
    fn add(&mut self, more: Used) {
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.nodes = self.nodes.saturating_add(more.nodes);
    }
}

/// The sum, if that is allowed. Asking for nothing always is, also of one who holds too much since a limit was lowered.
fn within(used: u64, asked: u64, limit: u64) -> Result<u64> {
    match used.checked_add(asked) {
        Some(then) if asked == 0 || then <= limit => Ok(then),
        _ => Err(Error::QuotaExceeded { limit, used, asked }),
    }
}

impl Drop for Books {
    /// Heirs fall apart in a loop: how many there are in a row is up to the clients, the depth of our stack is not.
    fn drop(&mut self) {
        let mut next = self.0.get_mut().heir.take();
        while let Some(heir) = next {
            next = Arc::into_inner(heir.0).and_then(|mut books| books.0.get_mut().heir.take());
        }
    }
}

/// The same account, not one with as much on it.
impl PartialEq for Account {
    fn eq(&self, other: &Account) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Account {}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit) = (self.used(), self.limit());
        f.debug_struct("Account").field("used", &used).field("limit", &limit).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Limit, Used};
    use crate::Error;

    #[test]
    fn limits_hold_to_the_last_one() {
        let account = Account::new(Limit { bytes: 10, nodes: 2 });
        account.note(4, 1);
        account.take(6, 0).unwrap();
        assert_eq!(account.take(1, 0), Err(Error::QuotaExceeded { limit: 10, used: 10, asked: 1 }));
        account.take(0, 1).unwrap();
        assert_eq!(account.take(0, 1), Err(Error::QuotaExceeded { limit: 2, used: 2, asked: 1 }));
        account.give_back(3, 0);
        assert_eq!(account.take(3, 1).map_err(|error| error.errno()), Err(122), "both or neither");
        assert_eq!(account.used(), Used { bytes: 7, nodes: 2 });
        assert_eq!(account.take(u64::MAX, 0).map_err(|error| error.errno()), Err(122));
        account.set_limit(Limit { bytes: 1, nodes: 1 });
        account.take(0, 0).unwrap();
        account.give_back(7, 2);
        assert_eq!(account.used(), Used::default());
        account.settle(5, 9);
        assert_eq!(account.used().bytes, 4, "what has come to be is so whatever the limit");
        account.settle(4, 0);
        assert_eq!(account.used(), Used::default());
    }

    #[test]
    fn what_is_passed_on_is_paid_for_by_the_last_of_the_heirs() {
        let [child, parent, ancestor] = [10, 20, 5].map(|bytes| Account::new(Limit { bytes, nodes: 9 }));
        child.take(8, 1).unwrap();
        parent.take(3, 1).unwrap();
        child.pass_on_to(&parent);
        parent.pass_on_to(&ancestor);
        assert_eq!([&child, &parent].map(Account::used), [Used::default(); 2]);
        assert_eq!(ancestor.used(), Used { bytes: 11, nodes: 2 }, "whatever its limit");
        assert_eq!(child.take(1, 0), Err(Error::QuotaExceeded { limit: 5, used: 11, asked: 1 }));
        child.give_back(8, 1);
        child.take(2, 0).unwrap();
        assert_eq!(ancestor.used(), Used { bytes: 5, nodes: 1 });
        // Neither in a circle nor to a second heir.
        ancestor.pass_on_to(&child);
        child.pass_on_to(&Account::new(Limit::NONE));
        assert_eq!(ancestor.used(), Used { bytes: 5, nodes: 1 });
    }

    #[test]
    fn a_long_line_of_heirs_ends_without_a_deep_stack() {
        let line: Vec<_> = (0..100_000).map(|_| Account::new(Limit::NONE)).collect();
        line[0].take(1, 0).unwrap();
        for pair in line.windows(2) {
            pair[0].pass_on_to(&pair[1]);
        }
        assert_eq!(line.last().unwrap().used().bytes, 1);
        let first = line[0].clone();
        drop(line);
        first.give_back(1, 0);
        drop(first);
    }

    #[test]
    fn nothing_is_lost_while_accounts_are_taken_over_under_those_who_pay() {
        let accounts: Vec<_> = (0..8).map(|_| Account::new(Limit::NONE)).collect();
        let root = Account::new(Limit::NONE);
        std::thread::scope(|scope| {
            for account in &accounts {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        account.take(3, 1).unwrap();
                        account.give_back(2, 1);
                    }
                });
            }
            scope.spawn(|| {
                for pair in accounts.windows(2) {
                    std::thread::yield_now();
                    pair[0].pass_on_to(&pair[1]);
                }
                accounts[7].pass_on_to(&root);
            });
        });
        assert_eq!(root.used(), Used { bytes: 8 * 2_000, nodes: 0 });
    }
}
