//! Snapshots of filesystems in memory.

use std::sync::Arc;

use uos_proto::{
    Right,
    v1::{self, DifferenceKind},
};
use uos_vfs::{Change, FileSystem, Kind, MemFs, NodeRef, Snapshot, VPath, What};

use super::{REPLY_BYTES, mounting::on_all, reply_entries, system::now_us, workdir::both};
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    events::FileChange,
    mounted::Kept,
    perform::Syscall,
    target::{PathTarget, Scope, System, held},
};

/// How long a name for people may be.
const NAME_BYTES: usize = 256;

/// A filesystem of which all is concerned.
pub(crate) struct Whole(PathTarget);

impl Target for Whole {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let decision = held(&grants, right)?;
        on_all(Right::FsRead, &self.0, &grants)?;
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        self.0.subject()
    }

    fn stopped_at_disk(&self) -> bool {
        self.0.stopped_at_disk()
    }
}

impl Syscall for v1::Snapshot {
    type Target = Whole;

    fn target(&self, scope: &Scope<'_>) -> Result<Whole, Absent> {
        scope.path(&self.path, &self.path_raw, true).map(Whole)
    }

    fn run(&self, cx: Cx<'_, &Whole>) -> Result<v1::SnapshotReply, Error> {
        if self.name.len() > NAME_BYTES {
            return Err(Error::invalid("name", format_args!("at most {NAME_BYTES} bytes")));
        }
        let (place, node) = (cx.target.0.place()?, cx.target.0.node()?);
        if !place.mount_point {
            return Err(Error::new(Errno::EINVAL, "no filesystem is mounted there"));
        }
        let fs = MemFs::with_root(node)
            .ok_or_else(|| Error::new(Errno::ENOTSUP, "what is mounted there is not in memory"))?;
        let kernel = cx.kernel();
        let room = kernel.quotas.snapshots.take(1)?;
        let id = kernel.new_object();
        kernel.mounted.keep(Kept {
            id,
            snapshot: fs.snapshot(),
            fs: node.id().fs,
            path: place.path.clone(),
            name: self.name.clone(),
            created_us: now_us(),
            by: cx.caller().pid,
            _room: room,
        });
        Ok(v1::SnapshotReply { id })
    }
}

impl Syscall for v1::ListSnapshots {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::ListSnapshotsReply, Error> {
        let info = |kept: Arc<Kept>| {
            let (path, path_raw) = both(&kept.path);
            v1::SnapshotInfo {
                id: kept.id,
                path,
                path_raw,
                name: kept.name.clone(),
                created_us: kept.created_us,
                created_by: kept.by.0,
            }
        };
        let snapshots = cx.kernel().mounted.all_kept().into_iter().map(info).collect();
        Ok(v1::ListSnapshotsReply { snapshots })
    }
}

/// A snapshot that is kept, if there is one, and where its filesystem was.
pub(crate) struct KeptTarget {
    id: u64,
    kept: Option<(Arc<Kept>, PathTarget)>,
    /// What is needed on all that is there.
    needs: Right,
}

impl KeptTarget {
    fn find(scope: &Scope<'_>, id: u64, needs: Right) -> Result<Self, Absent> {
        let kept = scope.kernel.mounted.kept(id);
        let kept = kept.map(|kept| {
            let path = scope.path("", kept.path.as_bytes(), true)?;
            Ok((kept, path))
        });
        Ok(Self { id, kept: kept.transpose()?, needs })
    }

    fn kept(&self) -> Result<&(Arc<Kept>, PathTarget), Error> {
        self.kept.as_ref().ok_or_else(|| no_snapshot(self.id))
    }

    /// The filesystem, if it is where it was, and its root.
    fn filesystem(&self) -> Result<(MemFs, &NodeRef), Error> {
        let (kept, path) = self.kept()?;
        let found = path.node().ok().filter(|node| node.id().fs == kept.fs);
        found.and_then(|node| Some((MemFs::with_root(node)?, node))).ok_or_else(|| {
            let said = format!("its filesystem is not mounted at {} any more", kept.path);
            Error::new(Errno::ESTALE, said)
        })
    }
}

impl Target for KeptTarget {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        // The right first: without it, nobody learns which snapshots there are.
        let decision = held(&grants, right)?;
        let (_, path) = self.kept()?;
        on_all(self.needs, path, &grants)?;
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        match &self.kept {
            Some((kept, _)) => Subject::Path(kept.path.clone()),
            None => Subject::Handle(self.id),
        }
    }

    fn stopped_at_disk(&self) -> bool {
        self.kept.as_ref().is_some_and(|(_, path)| path.stopped_at_disk())
    }
}

fn no_snapshot(id: u64) -> Error {
    Error::new(Errno::ENOENT, format!("there is no snapshot {id}"))
}

impl Syscall for v1::RestoreSnapshot {
    type Target = KeptTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<KeptTarget, Absent> {
        KeptTarget::find(scope, self.id, Right::FsWrite)
    }

    /// All differences are looked for.
    fn blocks(_target: &KeptTarget) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &KeptTarget>) -> Result<v1::RestoreSnapshotReply, Error> {
        let (kept, _) = cx.target.kept()?;
        let (fs, root) = cx.target.filesystem()?;
        if root.stat_fs()?.read_only {
            return Err(Errno::EROFS.into());
        }
        let kernel = cx.kernel();
        let alone = kernel.mounted.alone();
        if let Some(path) = kernel.mounts.mounted_in(kept.fs) {
            return Err(Error::new(Errno::EBUSY, format!("{path} is mounted below")));
        }
        let now = fs.snapshot();
        let changes = now.diff(&kept.snapshot)?;
        fs.restore(&kept.snapshot)?;
        drop(alone);
        for change in &changes {
            tell(&cx, change, &now, kept);
        }
        Ok(v1::RestoreSnapshotReply { changes: changes.len() as u64 })
    }
}

/// Tells of a difference that a restore has made.
fn tell(cx: &Cx<'_, &KeptTarget>, change: &Change, before: &Snapshot, kept: &Kept) {
    let there = |path: &VPath| kept.path.join(path.as_bytes());
    let is_dir = |snapshot: &Snapshot| {
        let attr = snapshot.symlink_metadata(change.path.as_bytes());
        attr.is_ok_and(|attr| attr.kind == Kind::Directory)
    };
    let path = there(&change.path);
    match &change.what {
        What::Removed => cx.tell_change(FileChange::Removed, &path, is_dir(before)),
        What::Created => cx.tell_change(FileChange::Created, &path, is_dir(&kept.snapshot)),
        What::Modified => cx.tell_change(FileChange::Written, &path, is_dir(&kept.snapshot)),
        What::Renamed { from } => {
            cx.tell_change(FileChange::Moved { to: path }, &there(from), is_dir(&kept.snapshot));
        }
    }
}

/// Two snapshots, or one and the present.
pub(crate) struct Pair {
    one: KeptTarget,
    other: Option<KeptTarget>,
}

impl Target for Pair {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let decision = self.one.judge(right, caller)?;
        if let Some(other) = &self.other {
            other.judge(right, caller)?;
        }
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        self.one.subject()
    }

    fn stopped_at_disk(&self) -> bool {
        [Some(&self.one), self.other.as_ref()].into_iter().flatten().any(Target::stopped_at_disk)
    }
}

impl Syscall for v1::DiffSnapshot {
    type Target = Pair;

    fn target(&self, scope: &Scope<'_>) -> Result<Pair, Absent> {
        let find = |id| KeptTarget::find(scope, id, Right::FsRead);
        let other = (self.other_id != 0).then(|| find(self.other_id)).transpose()?;
        Ok(Pair { one: find(self.id)?, other })
    }

    /// There may be many differences.
    fn blocks(_target: &Pair) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &Pair>) -> Result<v1::DiffSnapshotReply, Error> {
        let (kept, _) = cx.target.one.kept()?;
        let changes = match &cx.target.other {
            Some(other) => kept.snapshot.diff(&other.kept()?.0.snapshot)?,
            None => kept.snapshot.diff(&cx.target.one.filesystem()?.0.snapshot())?,
        };
        let (most, mut room) = (reply_entries(self.limit), REPLY_BYTES as usize);
        let mut reply = v1::DiffSnapshotReply::default();
        let begin = usize::try_from(self.cursor).unwrap_or(usize::MAX);
        for (place, change) in changes.iter().enumerate().skip(begin) {
            let difference = told(change, &kept.path);
            // A path may stand twice in the reply, once as text and once as bytes.
            let from = difference.from.len() + difference.from_raw.len();
            let size = difference.path.len() + difference.path_raw.len() + from + 32;
            if reply.differences.len() == most || size > room {
                reply.next_cursor = Some(place as u64);
                break;
            }
            room -= size;
            reply.differences.push(difference);
        }
        Ok(reply)
    }
}

fn told(change: &Change, at: &VPath) -> v1::Difference {
    let there = |path: &VPath| both(&at.join(path.as_bytes()));
    let (kind, from) = match &change.what {
        What::Created => (DifferenceKind::Created, None),
        What::Removed => (DifferenceKind::Removed, None),
        What::Renamed { from } => (DifferenceKind::Renamed, Some(from)),
        What::Modified => (DifferenceKind::Modified, None),
    };
    let (path, path_raw) = there(&change.path);
    let (from, from_raw) = from.map(there).unwrap_or_default();
    v1::Difference { kind: kind.into(), path, path_raw, from, from_raw }
}

impl Syscall for v1::DropSnapshot {
    type Target = KeptTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<KeptTarget, Absent> {
        KeptTarget::find(scope, self.id, Right::FsWrite)
    }

    /// What only it has kept is freed.
    fn blocks(_target: &KeptTarget) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &KeptTarget>) -> Result<v1::DropSnapshotReply, Error> {
        let kept = cx.kernel().mounted.drop_kept(self.id);
        // None if a twin was quicker.
        kept.map(drop).ok_or_else(|| no_snapshot(self.id))?;
        Ok(v1::DropSnapshotReply {})
    }
}
