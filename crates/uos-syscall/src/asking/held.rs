//! The grants of a process as they change, and what goes on by them.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::{Notify, futures::Notified};

use super::Once;
use crate::rights::{Grant, Grants};

/// What a process may do, until that changes.
pub(crate) struct Held {
    /// Read at every check, written when rights change: a change holds from the next call on.
    grants: RwLock<Grants>,
    /// How often something was taken away. What was answered for one call before that is void.
    losses: AtomicU64,
    /// For those who go on by them without calling again.
    lost: Notify,
}

/// Leave to go on by the grants of a process, whatever becomes of them, and by what it was allowed once.
pub(crate) struct Leave {
    held: Arc<Held>,
    /// What was allowed once, and what `losses` was then.
    once: Option<(Box<Grants>, u64)>,
}

/// Grants to judge by.
pub(crate) enum Effective<'a> {
    /// Those that are held.
    Held(RwLockReadGuard<'a, Grants>),
    /// Those that are held, and what was allowed once.
    More(Box<Grants>),
}

impl Held {
    pub(crate) fn new(grants: Grants) -> Self {
        Self { grants: RwLock::new(grants), losses: AtomicU64::new(0), lost: Notify::new() }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Grants> {
        self.grants.read()
    }

    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// Changes them to what `change` makes of them, or not at all. For changes that take something away.
    pub(crate) fn lessen<E>(&self, change: impl FnOnce(&Grants) -> Result<Grants, E>) -> Result<Grants, E> {
        let mut grants = self.grants.write();
        let changed = change(&grants)?;
        *grants = changed.clone();
        self.losses.fetch_add(1, Ordering::AcqRel);
        self.lost.notify_waiters();
        Ok(changed)
    }

    /// Takes away what `most` doesn't have.
    pub(crate) fn cap(&self, most: &Grants) -> Grants {
        let mut grants = self.grants.write();
        if grants.with_asks().any(|grant| !most.covers(grant)) {
            *grants = grants.with_asks().filter(|grant| most.covers(grant)).cloned().collect();
            self.losses.fetch_add(1, Ordering::AcqRel);
            self.lost.notify_waiters();
        }
        grants.clone()
    }

    /// Adds one.
    pub(crate) fn add(&self, grant: Arc<Grant>) {
        self.grants.write().add(grant);
    }

    /// What they are, with what was allowed once, as long as nothing was taken away since.
    pub(super) fn with<'a>(
        &self,
        once: impl ExactSizeIterator<Item = &'a Arc<Grant>>,
        losses: u64,
    ) -> Effective<'_> {
        let grants = self.grants.read();
        // Asked under the lock, so that no loss comes between.
        if once.len() == 0 || self.losses() != losses {
            return Effective::Held(grants);
        }
        let mut more = Box::new(grants.clone());
        once.for_each(|grant| more.add(Arc::clone(grant)));
        Effective::More(more)
    }
}

impl Leave {
    pub(super) fn new(held: Arc<Held>, once: &Once) -> Self {
        let mut grants = Box::new(Grants::none());
        once.grants().for_each(|grant| grants.add(Arc::clone(grant)));
        let once = (once.len() > 0).then_some((grants, once.losses));
        Self { held, once }
    }

    /// The next time that something is taken away.
    pub(crate) fn next_loss(&self) -> Notified<'_> {
        self.held.lost.notified()
    }

    /// Keeps the grants from changing for a moment, for a step that is to be taken by them or not at all. Whoever waits to
    /// change them goes first, however many steps there are to take: it must not be called by who keeps grants already.
    pub(crate) fn keep(&self) -> RwLockReadGuard<'_, Grants> {
        self.held.grants.read()
    }

    /// The same for who keeps others. Whoever waits to change these may wait for those to be let go, so it goes second.
    pub(crate) fn keep_too(&self) -> RwLockReadGuard<'_, Grants> {
        self.held.grants.read_recursive()
    }

    /// What `judge` says of the grants that are held; and if that is no, what it says of those that were given once, as
    /// long as nothing was taken away since.
    pub(crate) fn ask<T, E>(&self, judge: impl Fn(&Grants) -> Result<T, E>) -> Result<T, E> {
        // Who asks may keep them from changing already, and must not wait for somebody who waits to change them.
        let grants = self.held.grants.read_recursive();
        judge(&grants).or_else(|refusal| match &self.once {
            Some((once, losses)) if self.held.losses() == *losses => judge(once),
            _ => Err(refusal),
        })
    }
}

impl Deref for Effective<'_> {
    type Target = Grants;

    fn deref(&self) -> &Grants {
        match self {
            Self::Held(grants) => grants,
            Self::More(grants) => grants,
        }
    }
}
