//! RemoveDirectory: an empty one, or with everything in it.

use uos_proto::{Right, v1};
use uos_vfs::{Kind, NodeRef};

use super::files::name_of;
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    events::FileChange,
    perform::Syscall,
    target::{EntryTarget, Scope, denied_below},
    uproot::uproot,
};

/// A directory that is to go, alone or with everything in it.
pub(crate) struct Doomed {
    entry: EntryTarget,
    recursive: bool,
}

impl Target for Doomed {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let path = &self.entry.path;
        let decision = path.judge_path(right, &grants)?;
        if !self.recursive {
            return Ok(decision);
        }
        match grants.for_all_below(right, path.path().as_bytes()) {
            Some(grant) => Ok(Decision::Grant(grant.clone())),
            None => Err(denied_below(right, path.path())),
        }
    }

    fn subject(&self) -> Subject {
        self.entry.path.subject()
    }

    fn stopped_at_disk(&self) -> bool {
        self.entry.path.stopped_at_disk()
    }
}

impl Syscall for v1::RemoveDirectory {
    type Target = Doomed;

    fn target(&self, scope: &Scope<'_>) -> Result<Doomed, Absent> {
        Ok(Doomed { entry: scope.entry(&self.path, &self.path_raw)?, recursive: self.recursive })
    }

    /// There may be a great many files.
    fn blocks(target: &Doomed) -> bool {
        target.recursive
    }

    fn run(&self, cx: Cx<'_, &Doomed>) -> Result<v1::RemoveDirectoryReply, Error> {
        let target = &cx.target.entry.path;
        let (place, node): (_, &NodeRef) = (target.place()?, target.node()?);
        if node.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        let name = name_of(&place.path)?;
        if place.mount_point {
            return Err(Error::new(Errno::EBUSY, "it is a mount point"));
        }
        if self.recursive {
            let mounts = &cx.kernel().mounts;
            if let Some(mount) = mounts.list().iter().find(|mount| mount.path.starts_with(&place.path)) {
                return Err(Error::new(Errno::EBUSY, format!("{} is mounted below it", mount.path)));
            }
            uproot(mounts, place, node, |path, directory| {
                cx.tell_change(FileChange::Removed, path, directory);
            })?;
        } else {
            place.parent.rmdir(cx.hand(), name)?;
            cx.tell_change(FileChange::Removed, &place.path, true);
        }
        Ok(v1::RemoveDirectoryReply {})
    }
}
