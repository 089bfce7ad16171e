//! A record that is written down in the end, however that comes.

use std::sync::Arc;

use crate::{
    Error,
    audit::{Suspended, Trail},
    kernel::Inner,
    moment::Moment,
};

/// What is known so far of a call that goes on after its thread has turned to something else. Dropped, the call is
/// recorded as given up.
pub(crate) struct Pending {
    record: Option<Suspended>,
    started: Moment,
    kernel: Arc<Inner>,
}

impl Pending {
    pub(crate) fn new(kernel: &Arc<Inner>, trail: &mut Trail<'_>) -> Self {
        let started = trail.started();
        Self { record: Some(trail.suspend()), started, kernel: Arc::clone(kernel) }
    }

    /// When the call began.
    pub(crate) fn started(&self) -> Moment {
        self.started
    }

    /// Writes it down, once.
    pub(crate) fn finish<T>(&mut self, result: Result<T, Error>) -> Result<T, Error> {
        if let Some(record) = self.record.take() {
            record.resume(&self.kernel.log).finish(&result);
        }
        result
    }

    /// The call goes on under a trail of its own.
    pub(crate) fn hand_over(mut self) {
        self.record = None;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(record) = self.record.take() {
            drop(record.resume(&self.kernel.log));
        }
    }
}
