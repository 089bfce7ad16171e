//! Signals of processes that have no program behind them. There is no code that could be interrupted, so a signal is an
//! event: it ends the process, is ignored, or stays until somebody takes it.
//!
//! What becomes of a signal to a program is the program's own business, and the host's.

mod set;
mod state;

use parking_lot::Mutex;
use tokio::sync::Notify;
use uos_ipc::{Permit, QuotaError};
use uos_proc::Signal;

pub(crate) use set::{SignalSet, one};
pub(crate) use state::{Action, Pending, Taken};
use state::{Fate, State};

use crate::Pid;

/// The signals of one process.
#[derive(Default)]
pub(crate) struct Signals {
    /// Held for one step.
    state: Mutex<State>,
    /// Something has become pending.
    came: Notify,
}

/// A signal that ends its process now. Whoever is told so sees to it, outside of all locks.
#[derive(Clone, Copy)]
#[must_use]
pub(crate) struct Ends(pub(crate) Signal);

impl Signals {
    /// Has a signal arrive. `room` is asked for one that queues.
    pub(crate) fn post(
        &self,
        signal: Signal,
        from: Pid,
        room: impl FnOnce() -> Result<Permit, QuotaError>,
    ) -> Result<Option<Ends>, QuotaError> {
        let fate = self.state.lock().post(signal, from, room)?;
        match fate {
            Fate::Ends => return Ok(Some(Ends(signal))),
            Fate::Stays => self.came.notify_waiters(),
            Fate::Vanishes => {}
        }
        Ok(None)
    }

    /// Says what is to become of a signal from now on, and what was until now.
    pub(crate) fn set_action(&self, signal: Signal, action: Action) -> (Action, Option<Ends>) {
        let mut state = self.state.lock();
        let (before, spare) = state.set_action(signal, action);
        let ends = state.settle();
        drop(state);
        drop(spare);
        (before, ends.map(Ends))
    }

    /// Changes which signals are held back, and gives those that were.
    pub(crate) fn set_blocked(
        &self,
        change: impl FnOnce(SignalSet) -> SignalSet,
    ) -> (SignalSet, Option<Ends>) {
        let mut state = self.state.lock();
        let before = state.blocked;
        state.blocked = change(before);
        let ends = state.settle();
        (before, ends.map(Ends))
    }

    /// What has come and was not taken, in order.
    pub(crate) fn pending(&self) -> (Vec<Pending>, SignalSet) {
        let state = self.state.lock();
        (state.pending(), state.blocked)
    }

    /// Waits for one of these to come, and takes it. Of several the lowest number goes first, and of one number what came first.
    /// To be called between [`Signals::want`] and [`Signals::unwant`].
    pub(crate) async fn take(&self, of: SignalSet) -> Taken {
        loop {
            let came = self.came.notified();
            tokio::pin!(came);
            came.as_mut().enable();
            let taken = self.state.lock().take(of);
            match taken {
                Some(taken) => return taken,
                None => came.await,
            }
        }
    }

    /// Somebody waits for these: they stay for whoever that is, whatever else would become of them.
    pub(crate) fn want(&self, these: SignalSet) {
        self.state.lock().want(these);
    }

    /// One of those who wait for these does so no longer.
    pub(crate) fn unwant(&self, these: SignalSet) -> Option<Ends> {
        let mut state = self.state.lock();
        state.unwant(these);
        state.settle().map(Ends)
    }

    /// The process has ended, and nothing comes any more.
    pub(crate) fn close(&self) {
        let rest = self.state.lock().close();
        drop(rest);
    }
}
