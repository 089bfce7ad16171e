//! Quotas: a tree of counters with limits, and permits that return what they took by being dropped.

use crate::sync::{Arc, AtomicU64, Ordering};
use std::fmt;

/// A limit on some amount (bytes, messages, objects), as a node in a tree.
///
/// What is taken from a node is taken from every node above it too, so "50 MiB in all, 1 MiB for each
/// owner" is one root with a child per owner. No node ever counts more than its limit, not even for a
/// moment. Cloning gives another name for the same node.
#[derive(Clone)]
pub struct Quota {
    node: Arc<Node>,
}

struct Node {
    name: &'static str,
    limit: u64,
    used: AtomicU64,
    parent: Option<Quota>,
}

/// A taken amount. It goes back, to the whole chain of quotas, when this is dropped.
///
/// Keep it inside the thing it pays for: then nothing has to remember to release it.
#[must_use = "a permit that is dropped at once has returned what it took"]
pub struct Permit {
    quota: Quota,
    amount: u64,
}

/// The quota has no room for what was asked, and nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {asked} more does not fit, {used} of {limit} is in use")]
pub struct QuotaError {
    /// The node that refused: not always the one asked, it may be one above it.
    pub name: &'static str,
    /// That node's limit.
    pub limit: u64,
    /// How much of it was taken at that moment.
    pub used: u64,
    /// How much more was asked for.
    pub asked: u64,
}

impl Quota {
    /// The top of a tree: at most `limit` in all. The name is what a refusal will say.
    pub fn root(name: &'static str, limit: u64) -> Quota {
        Quota::node(name, limit, None)
    }

    /// A part of this quota with a limit of its own. A limit above the parent's is allowed and means
    /// that only the parent limits it.
    pub fn child(&self, name: &'static str, limit: u64) -> Quota {
        Quota::node(name, limit, Some(self.clone()))
    }

    /// Takes `amount` from this node and from every node above it, or from none.
    ///
    /// A take that a higher node refuses counts in the lower ones until it has been rolled back; a
    /// take running at the same time may be refused because of it. The error is on the safe side.
    pub fn take(&self, amount: u64) -> Result<Permit, QuotaError> {
        for (taken, quota) in self.chain().enumerate() {
            if let Err(refused) = quota.node.add(amount) {
                self.chain().take(taken).for_each(|quota| quota.node.sub(amount));
                return Err(refused);
            }
        }
        Ok(Permit { quota: self.clone(), amount })
    }

    /// What the live permits of this node and all below it add up to.
    pub fn used(&self) -> u64 {
        self.node.used.load(Ordering::Acquire)
    }

    /// The most this node lets out at a time.
    pub fn limit(&self) -> u64 {
        self.node.limit
    }

    /// The name a refusal of this node carries.
    pub fn name(&self) -> &'static str {
        self.node.name
    }

    fn node(name: &'static str, limit: u64, parent: Option<Quota>) -> Quota {
        let used = AtomicU64::new(0);
        Quota { node: Arc::new(Node { name, limit, used, parent }) }
    }

    /// This node, its parent, and so on to the root.
    fn chain(&self) -> impl Iterator<Item = &Quota> {
        std::iter::successors(Some(self), |quota| quota.node.parent.as_ref())
    }
}

impl Node {
    /// Compare-and-swap and not fetch-add: an add that is taken back would overshoot in between.
    fn add(&self, amount: u64) -> Result<(), QuotaError> {
        let mut used = self.used.load(Ordering::Acquire);
        loop {
            let refused = QuotaError { name: self.name, limit: self.limit, used, asked: amount };
            let after = used.checked_add(amount).filter(|&after| after <= self.limit).ok_or(refused)?;
            match self.used.compare_exchange_weak(used, after, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(()),
                Err(seen) => used = seen,
            }
        }
    }

    fn sub(&self, amount: u64) {
        let before = self.used.fetch_sub(amount, Ordering::AcqRel);
        debug_assert!(before >= amount, "{}: returned {amount} of {before}", self.name);
    }
}

impl Permit {
    /// How much it holds.
    pub fn amount(&self) -> u64 {
        self.amount
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.quota.chain().for_each(|quota| quota.node.sub(self.amount));
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quota({:?}, {} of {})", self.name(), self.used(), self.limit())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({} of {:?})", self.amount, self.quota.name())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_fits_and_one_more_does_not() {
        let quota = Quota::root("q", 10);
        let nine = quota.take(9).unwrap();
        let one = quota.take(1).unwrap();
        let refused = quota.take(1).unwrap_err();
        assert_eq!(refused, QuotaError { name: "q", limit: 10, used: 10, asked: 1 });
        drop((nine, one));
        assert_eq!(quota.used(), 0);
    }

    #[test]
    fn a_refusal_above_leaves_nothing_below() {
        let root = Quota::root("all", 10);
        let (a, b) = (root.child("a", 8), root.child("b", 8));
        let held = a.take(6).unwrap();
        assert_eq!(b.take(5).unwrap_err().name, "all");
        assert_eq!((root.used(), a.used(), b.used()), (6, 6, 0));
        assert_eq!(a.take(3).unwrap_err().name, "a");
        drop(held);
        assert_eq!((root.used(), a.used()), (0, 0));
    }

    #[test]
    fn a_sum_that_overflows_is_a_refusal() {
        let quota = Quota::root("q", u64::MAX);
        let _one = quota.take(1).unwrap();
        assert_eq!(quota.take(u64::MAX).unwrap_err().used, 1);
    }

    #[test]
    fn threads_together_never_pass_the_limit() {
        let root = Quota::root("all", 100);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let owner = root.child("owner", 60);
                let root = &root;
                scope.spawn(move || {
                    for n in 0..2_000 {
                        let permit = owner.take(n % 70);
                        assert!(root.used() <= 100 && owner.used() <= 60);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(root.used(), 0);
    }
}
