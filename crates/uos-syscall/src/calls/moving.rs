//! MoveFile: another name for a file or directory.

use uos_proto::{Right, v1};
use uos_vfs::{Access, Kind, Name, NodeRef, Place, Rename, SetAttr};

use super::files::name_of;
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    events::FileChange,
    perform::Syscall,
    rights::Grants,
    staged::{Passing, Staged, hidden_name},
    target::{EntryTarget, KERNEL, PathTarget, Scope, denied, denied_below},
};

/// The two names of a move.
pub(crate) struct FromTo {
    from: EntryTarget,
    to: EntryTarget,
    exchange: bool,
}

impl Target for FromTo {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let (from, to) = (&self.from.path, &self.to.path);
        let decision = from.judge_path(right, &grants)?;
        to.judge_path(right, &grants)?;
        lends_nothing(from, to, &grants)?;
        if self.exchange {
            lends_nothing(to, from, &grants)?;
        }
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        Subject::Paths(self.from.path.path().clone(), self.to.path.path().clone())
    }

    fn stopped_at_disk(&self) -> bool {
        self.from.path.stopped_at_disk() || self.to.path.stopped_at_disk()
    }
}

/// Rights go by path, so what moves comes under other rights. The caller must not gain any by it: what it could read or
/// write afterwards it must be able to read or write before.
fn lends_nothing(from: &PathTarget, to: &PathTarget, grants: &Grants) -> Result<(), Error> {
    let Ok(Place { node: Some(node), .. }) = &from.found else { return Ok(()) };
    let (old, new) = (from.path(), to.path());
    if node.kind() != Kind::Directory {
        let reads = |path: &uos_vfs::VPath| grants.for_path(Right::FsRead, path.as_bytes()).is_some();
        return if reads(new) && !reads(old) { Err(denied(Right::FsRead, old)) } else { Ok(()) };
    }
    let holds = |right, path: &uos_vfs::VPath| grants.for_all_below(right, path.as_bytes()).is_some();
    for path in [old, new] {
        if !holds(Right::FsWrite, path) {
            return Err(denied_below(Right::FsWrite, path));
        }
    }
    if grants.reach_into(Right::FsRead, new.as_bytes()) && !holds(Right::FsRead, old) {
        return Err(denied_below(Right::FsRead, old));
    }
    Ok(())
}

impl Syscall for v1::MoveFile {
    type Target = FromTo;

    fn target(&self, scope: &Scope<'_>) -> Result<FromTo, Absent> {
        Ok(FromTo {
            from: scope.entry(&self.from, &self.from_raw)?,
            to: scope.entry(&self.to, &self.to_raw)?,
            exchange: self.flags == v1::MoveFlags::Exchange as i32,
        })
    }

    /// From one filesystem to another everything is copied.
    fn blocks(target: &FromTo) -> bool {
        match (&target.from.path.found, &target.to.path.found) {
            (Ok(from), Ok(to)) => from.parent.id().fs != to.parent.id().fs,
            _ => false,
        }
    }

    fn run(&self, cx: Cx<'_, &FromTo>) -> Result<v1::MoveFileReply, Error> {
        let how = match v1::MoveFlags::try_from(self.flags) {
            Ok(v1::MoveFlags::Unspecified) => Rename::Replace,
            Ok(v1::MoveFlags::NoReplace) => Rename::NoReplace,
            Ok(v1::MoveFlags::Exchange) => Rename::Exchange,
            Err(_) => return Err(Error::invalid("flags", format_args!("{} is not a MoveFlags", self.flags))),
        };
        let FromTo { from, to, .. } = cx.target;
        let (node, old, new) = (from.path.node()?, from.path.place()?, to.path.place()?);
        let (name, to_name) = (name_of(&old.path)?, name_of(&new.path)?);
        if old.mount_point || new.mount_point {
            return Err(Error::new(Errno::EBUSY, "a mount point can't be moved or replaced"));
        }
        if node.kind() != Kind::Directory && (from.must_be_dir || to.must_be_dir) {
            return Err(Errno::ENOTDIR.into());
        }
        let mounts = cx.kernel().mounts.list();
        if let Some(mount) =
            mounts.iter().find(|it| [old, new].iter().any(|place| it.path.starts_with(&place.path)))
        {
            return Err(Error::new(Errno::EBUSY, format!("{} is mounted below it", mount.path)));
        }
        // What was judged is what is moved.
        unchanged(old, name, node)?;
        if let (true, Some(other)) = (how == Rename::Exchange, &new.node) {
            unchanged(new, to_name, other)?;
        }
        match old.parent.rename(cx.hand(), name, &new.parent, to_name, how) {
            // Two names of one file: nothing happens, as POSIX has it.
            Ok(()) if new.node.as_ref().is_some_and(|other| other.id() == node.id()) => {
                return Ok(v1::MoveFileReply {});
            }
            Ok(()) => {}
            Err(uos_vfs::Error::CrossDevice) if node.kind() == Kind::File && how != Rename::Exchange => {
                copy_then_unlink(&cx, node, how == Rename::NoReplace)?;
            }
            Err(uos_vfs::Error::CrossDevice) => {
                return Err(Error::from(Errno::EXDEV)
                    .hint("make it anew on the other filesystem, and remove it here"));
            }
            Err(error) => return Err(error.into()),
        }
        let directory = node.kind() == Kind::Directory;
        cx.tell_change(FileChange::Moved { to: new.path.clone() }, &old.path, directory);
        if let (true, Some(other)) = (how == Rename::Exchange, &new.node) {
            let directory = other.kind() == Kind::Directory;
            cx.tell_change(FileChange::Moved { to: old.path.clone() }, &new.path, directory);
        }
        Ok(v1::MoveFileReply {})
    }
}

/// A name still stands for what was found there; otherwise the call looks again.
fn unchanged(place: &Place, name: Name<'_>, node: &NodeRef) -> Result<(), Error> {
    match place.parent.lookup(KERNEL, name) {
        Ok(there) if there.id() == node.id() => Ok(()),
        Ok(_) | Err(uos_vfs::Error::NotFound) => Err(Error::race()),
        Err(error) => Err(error.into()),
    }
}

/// Moves a plain file to another filesystem. At every moment the whole content is at one of the names at least.
fn copy_then_unlink(cx: &Cx<'_, &FromTo>, node: &NodeRef, no_replace: bool) -> Result<(), Error> {
    let FromTo { from, to, .. } = cx.target;
    let (old, new) = (from.path.place()?, to.path.place()?);
    let (name, to_name) = (name_of(&old.path)?, name_of(&new.path)?);
    match &new.node {
        Some(_) if no_replace => return Err(Errno::EEXIST.into()),
        Some(there) if there.kind() == Kind::Directory => return Err(Errno::EISDIR.into()),
        _ => {}
    }
    if old.parent.stat_fs()?.read_only {
        return Err(uos_vfs::Error::ReadOnly.into());
    }
    let before = node.attr()?;
    let file = NodeRef::clone(node).open(KERNEL, Access::Read)?;
    let mut copy = Staged::begin(cx.hand(), &new.parent, Some(&before))?;
    copy.fill(&*file, || cx.caller().lives())?;
    let after = file.attr()?;
    if (after.size, after.modified, after.changed) != (copy.written(), before.modified, before.changed) {
        // Somebody has written to it meanwhile; a copy without that would lose it.
        return Err(Error::race());
    }
    let attributes = SetAttr {
        mode: Some(before.mode),
        accessed: Some(before.accessed.into()),
        modified: Some(before.modified.into()),
        ..SetAttr::default()
    };
    copy.place(to_name, &attributes, no_replace)?;
    take_away(old, name, node).map_err(|error| {
        let change = if new.node.is_some() { FileChange::Written } else { FileChange::Created };
        cx.tell_change(change, &new.path, false);
        let said = format!("it has been copied and is now at both paths: {}", error.message);
        Error::at_stage(error.errno, format!("unlink {}", old.path), said)
    })
}

/// Takes the old name away, if it still stands for the file that was copied. Looking first and removing then would
/// remove what somebody puts there in between; so it is put aside, looked at, and removed or put back.
fn take_away(old: &Place, name: Name<'_>, node: &NodeRef) -> Result<(), Error> {
    let aside = hidden_name(Passing::Aside)?;
    let aside = Name::new(&aside)?;
    match old.parent.rename(KERNEL, name, &old.parent, aside, Rename::NoReplace) {
        Ok(()) => {}
        // Somebody else has taken it away.
        Err(uos_vfs::Error::NotFound) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    if old.parent.lookup(KERNEL, aside)?.id() == node.id() {
        return Ok(old.parent.unlink(KERNEL, aside)?);
    }
    // Another file has got the name, and keeps it; unless it is a third one's by now.
    match old.parent.rename(KERNEL, aside, &old.parent, name, Rename::NoReplace) {
        Err(uos_vfs::Error::Exists) => Ok(old.parent.unlink(KERNEL, aside)?),
        put_back => Ok(put_back?),
    }
}
