//! What a handle was opened by, and goes on by.

use std::{fmt, sync::Arc};

use parking_lot::RwLock;
use uos_ipc::Rights;
use uos_proto::Right;
use uos_vfs::VPath;

use crate::{Error, process::Process, rights::Grants, target::denied};

/// The right by which a process opened something. Whoever holds the handle now uses it as long as the one who opened
/// it would still be let through: a right that is taken away closes what it has opened, wherever that was passed.
pub(crate) struct Licence {
    /// The opener's, who may have ended: then those it had at its end.
    grants: Arc<RwLock<Grants>>,
    rights: Vec<Right>,
    of: Of,
}

/// What the right is for.
enum Of {
    Path(VPath),
}

impl Licence {
    /// For what was opened at a canonical path by all of these rights.
    pub(crate) fn path(opener: &Process, rights: Vec<Right>, path: VPath) -> Arc<Self> {
        Arc::new(Self { grants: opener.share_grants(), rights, of: Of::Path(path) })
    }

    /// Whether it holds still for what is to be done. What neither reads nor writes takes any one of its rights.
    pub(crate) fn check(&self, to: Rights) -> Result<(), Error> {
        let grants = self.grants.read();
        let of_use = |right: &Right| match right {
            Right::FsRead => to.contains(Rights::READ),
            Right::FsWrite => to.contains(Rights::WRITE),
            _ => true,
        };
        let mut needed = self.rights.iter().copied().filter(of_use).peekable();
        if needed.peek().is_some() {
            return needed.try_for_each(|right| self.holds(right, &grants));
        }
        let mut last = Ok(());
        for &right in &self.rights {
            last = self.holds(right, &grants);
            if last.is_ok() {
                break;
            }
        }
        last
    }

    fn holds(&self, right: Right, grants: &Grants) -> Result<(), Error> {
        let allowed = match &self.of {
            Of::Path(path) => grants.for_path(right, path.as_bytes()).ok_or_else(|| denied(right, path)),
        };
        allowed.map(|_| ())
    }
}

impl fmt::Display for Licence {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Of::Path(path) => path.fmt(out),
        }
    }
}
