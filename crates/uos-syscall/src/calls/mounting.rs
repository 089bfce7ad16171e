//! Mounts: what is seen in place of what.

use std::path::Path;

use uos_proto::{
    Right,
    v1::{self, MountKind},
};
use uos_vfs::{How, Limit, LocalFs, MemFs, MountOptions, NodeRef, OverlayFs};

use super::workdir::both;
use crate::{
    Errno, Error, Pid,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    events::FileChange,
    mounted::{Made, Room},
    namespace,
    perform::Syscall,
    rights::Grants,
    target::{KERNEL, PathTarget, Scope, System, denied_below, held},
};

/// The most directories that are laid over each other.
const LAYERS: usize = 16;
/// How much a filesystem in memory holds when nothing is said.
const CAPACITY: u64 = 64 << 20;

/// A place where something is to be mounted, and what is to be seen there.
pub(crate) struct Mounting {
    at: PathTarget,
    sources: Vec<PathTarget>,
    /// What is changed through the mount is changed in the sources.
    writes: bool,
}

/// The right on a path, and on all that is or may come below it.
pub(super) fn on_all(right: Right, target: &PathTarget, grants: &Grants) -> Result<(), Error> {
    target.judge_path(right, grants)?;
    match grants.for_all_below(right, target.path().as_bytes()) {
        Some(_) => Ok(()),
        None => Err(denied_below(right, target.path())),
    }
}

impl Target for Mounting {
    /// Rights go by path, so a mount lends what is seen through it, and takes away what it covers.
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let decision = held(&grants, right)?;
        on_all(Right::FsWrite, &self.at, &grants)?;
        for source in &self.sources {
            on_all(Right::FsRead, source, &grants)?;
            if self.writes {
                on_all(Right::FsWrite, source, &grants)?;
            }
        }
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        self.at.subject()
    }

    fn stopped_at_disk(&self) -> bool {
        self.at.stopped_at_disk() || self.sources.iter().any(Target::stopped_at_disk)
    }
}

impl Syscall for v1::Mount {
    type Target = Mounting;

    fn target(&self, scope: &Scope<'_>) -> Result<Mounting, Absent> {
        if self.sources.len() > LAYERS {
            let why = format_args!("at most {LAYERS}, not {}", self.sources.len());
            return Err(Absent { error: Error::invalid("sources", why), subject: Subject::None });
        }
        let sources = self.sources.iter().map(|source| scope.path(&source.path, &source.path_raw, true));
        Ok(Mounting {
            at: scope.path(&self.path, &self.path_raw, true)?,
            sources: sources.collect::<Result<_, _>>()?,
            writes: self.kind() == MountKind::Bind && !self.read_only,
        })
    }

    /// A folder of the host is opened, and what is to be limited is counted.
    fn blocks(_target: &Mounting) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &Mounting>) -> Result<v1::MountReply, Error> {
        let (kernel, caller) = (cx.kernel(), cx.caller());
        let kind = MountKind::try_from(self.kind).unwrap_or(MountKind::Unspecified);
        fits(self, kind)?;
        let place = cx.target.at.place()?;
        let sources: Vec<NodeRef> =
            cx.target.sources.iter().map(|source| source.node().cloned()).collect::<Result<_, _>>()?;
        kernel.mounted.settle();
        let mount = kernel.quotas.mounts.take(1)?;
        let capacity = if self.capacity_bytes == 0 { CAPACITY } else { self.capacity_bytes };
        let (root, memory) = match kind {
            MountKind::Unspecified => {
                return Err(Error::invalid("kind", format_args!("{} is none", self.kind)));
            }
            MountKind::Memory => {
                (namespace::memory(capacity).root(), Some(kernel.quotas.mounted_bytes.take(capacity)?))
            }
            MountKind::Overlay => {
                let room = kernel.quotas.mounted_bytes.take(capacity)?;
                (OverlayFs::new(sources, namespace::memory(capacity).root())?.root(), Some(room))
            }
            MountKind::Bind => (sources.into_iter().next().ok_or(Errno::EINVAL)?, None),
            MountKind::Host if caller.pid == Pid::INIT => {
                (LocalFs::open(Path::new(&self.host_path), self.read_only)?.root(), None)
            }
            MountKind::Host => {
                return Err(Error::new(Errno::EPERM, "only process 1 mounts a folder of the host")
                    .hint("have it configured by who runs this system"));
            }
        };
        let mut options = MountOptions::default();
        if self.read_only {
            options = options.read_only();
        }
        if self.limit_bytes > 0 || self.limit_nodes > 0 {
            let or_none = |limit, none| if limit == 0 { none } else { limit };
            let bytes = or_none(self.limit_bytes, Limit::NONE.bytes);
            options = options.quota(Limit { bytes, nodes: or_none(self.limit_nodes, Limit::NONE.nodes) });
        }
        let room = Room { _mount: mount, _memory: memory };
        let alone = kernel.mounted.alone();
        let id = kernel.mounts.mount_on(place, root, options)?;
        kernel.mounted.add(id, Made { kind, by: caller.pid, room });
        drop(alone);
        cx.tell_change(FileChange::Written, &place.path, true);
        Ok(v1::MountReply {})
    }
}

/// Whether a call has all that a kind of mount takes, and no more.
fn fits(asked: &v1::Mount, kind: MountKind) -> Result<(), Error> {
    let (sources, in_memory, limited) = match kind {
        MountKind::Unspecified => return Ok(()),
        MountKind::Memory => (0..=0, true, false),
        MountKind::Bind => (1..=1, false, true),
        MountKind::Overlay => (1..=LAYERS, true, false),
        MountKind::Host => (0..=0, false, true),
    };
    if !sources.contains(&asked.sources.len()) {
        let why = format_args!("{} to {}, not {}", sources.start(), sources.end(), asked.sources.len());
        return Err(Error::invalid("sources", why));
    }
    if asked.capacity_bytes > 0 && !in_memory {
        return Err(Error::invalid("capacity_bytes", "only what is in memory has one"));
    }
    if (asked.limit_bytes > 0 || asked.limit_nodes > 0) && !limited {
        return Err(Error::invalid("limit_bytes", "what is in memory has a capacity instead"));
    }
    if asked.host_path.starts_with('/') != (kind == MountKind::Host) {
        return Err(Error::invalid("host_path", "a folder of the host has one, which begins with `/`"));
    }
    Ok(())
}

/// A place where something is mounted that is to go.
pub(crate) struct Unmounting(PathTarget);

impl Target for Unmounting {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let decision = held(&grants, right)?;
        on_all(Right::FsWrite, &self.0, &grants)?;
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        self.0.subject()
    }

    fn stopped_at_disk(&self) -> bool {
        self.0.stopped_at_disk()
    }
}

impl Syscall for v1::Unmount {
    type Target = Unmounting;

    fn target(&self, scope: &Scope<'_>) -> Result<Unmounting, Absent> {
        scope.path(&self.path, &self.path_raw, true).map(Unmounting)
    }

    fn run(&self, cx: Cx<'_, &Unmounting>) -> Result<v1::UnmountReply, Error> {
        let kernel = cx.kernel();
        let (place, node) = (cx.target.0.place()?, cx.target.0.node()?);
        if place.path.is_root() {
            return Err(Error::new(Errno::EBUSY, "the root stays"));
        }
        let mounted = node.beneath().filter(|_| place.mount_point);
        let (id, _) = mounted.ok_or_else(|| Error::new(Errno::EINVAL, "nothing is mounted there"))?;
        let made = kernel.mounted.made(id);
        if made.is_none() && cx.caller().pid != Pid::INIT {
            return Err(Error::new(Errno::EPERM, "it was mounted by who runs this system"));
        }
        let is_bound = made.is_some_and(|(kind, _)| kind == MountKind::Bind);
        if !is_bound && kernel.mounted.has_kept(node.id().fs) {
            return Err(Error::new(Errno::EBUSY, "snapshots of it are kept").hint("drop them first"));
        }
        let in_use = |error| match error {
            uos_vfs::Error::Busy => {
                Error::new(Errno::EBUSY, "files are open through it, or something is mounted below")
                    .hint("close them, or set `force`; unmount what is below")
            }
            error => error.into(),
        };
        let detached = match self.force {
            true => Some(kernel.mounts.detach_from(place).map_err(in_use)?),
            false => {
                kernel.mounts.unmount_from(place).map_err(in_use)?;
                None
            }
        };
        kernel.mounted.remove(id, detached);
        cx.tell_change(FileChange::Written, &place.path, true);
        Ok(v1::UnmountReply {})
    }
}

impl Syscall for v1::ListMounts {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// Mount points may lie on disks.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::ListMountsReply, Error> {
        let kernel = cx.kernel();
        let mounts = kernel.mounts.list().into_iter().map(|mount| {
            let made = mount.id.and_then(|id| kernel.mounted.made(id));
            let seen = kernel.mounts.resolve(mount.path.as_bytes(), &How::new(KERNEL));
            let root = seen.ok().and_then(|place| place.node);
            // The filesystem itself may take no changes either.
            let takes_none =
                root.as_ref().is_some_and(|root| root.stat_fs().is_ok_and(|stat| stat.read_only));
            let (path, path_raw) = both(&mount.path);
            v1::MountInfo {
                path,
                path_raw,
                kind: made.map_or_else(|| kind(root.as_ref()), |(kind, _)| kind).into(),
                read_only: mount.read_only || takes_none,
                open_files: mount.open_files,
                by_call: made.is_some(),
                mounted_by: made.map_or(0, |(_, by)| by.0),
            }
        });
        Ok(v1::ListMountsReply { mounts: mounts.collect() })
    }
}

/// What is mounted that no call has mounted.
fn kind(root: Option<&NodeRef>) -> MountKind {
    match root {
        Some(root) if MemFs::with_root(root).is_some() => MountKind::Memory,
        Some(root) if root.host_fd().is_some() => MountKind::Host,
        _ => MountKind::Unspecified,
    }
}
