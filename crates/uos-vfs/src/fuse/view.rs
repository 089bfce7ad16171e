//! What is shown, and as whom.

use crate::resolve::{Crossings, NoMounts};
use crate::{Caller, NodeRef};
use std::fmt;
use std::sync::Arc;

/// A tree to show: a directory and all below it, and what is mounted there.
#[derive(Clone)]
pub struct View {
    pub(super) root: NodeRef,
    pub(super) crossings: Arc<dyn Crossings + Send + Sync>,
    pub(super) caller: Option<Caller>,
    alone: bool,
}

impl View {
    /// A directory and all below it.
    pub fn of(root: NodeRef) -> Self {
        View { root, crossings: Arc::new(NoMounts), caller: None, alone: true }
    }

    /// With what is mounted in it, such as [`Mounts`](crate::Mounts).
    #[must_use]
    pub fn with_mounts(self, crossings: Arc<dyn Crossings + Send + Sync>) -> Self {
        View { crossings, alone: false, ..self }
    }

    /// Nothing else is mounted in it.
    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    /// Lets everything be done by this caller. Without it new files belong to the user who asks, and the
    /// host's kernel judges.
    #[must_use]
    pub fn as_caller(self, caller: Caller) -> Self {
        View { caller: Some(caller), ..self }
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("root", &self.root.id()).field("caller", &self.caller).finish()
    }
}
