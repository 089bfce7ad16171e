//! Files and directories by path.

use uos_proto::{Right, v1};
use uos_vfs::{Access, Attr, Kind, Name, NodeRef, Unresolved, VPath};

use super::REPLY_BYTES;
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    events::FileChange,
    perform::Syscall,
    target::{KERNEL, PathTarget, Scope},
};

impl Syscall for v1::ReadFile {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::ReadFileReply, Error> {
        let node = cx.target.node()?;
        if node.kind() == Kind::Directory {
            return Err(Errno::EISDIR.into());
        }
        let file = NodeRef::clone(node).open(KERNEL, Access::Read)?;
        let most = self.length.unwrap_or(REPLY_BYTES).min(REPLY_BYTES) as usize;
        let data = file.read_bytes(self.offset, most)?;
        Ok(v1::ReadFileReply { size_bytes: file.attr()?.size, data })
    }
}

impl Syscall for v1::WriteFile {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::WriteFileReply, Error> {
        let place = cx.target.place()?;
        match &place.node {
            Some(node) if node.kind() == Kind::Directory => return Err(Errno::EISDIR.into()),
            Some(node) => {
                NodeRef::clone(node).open(cx.hand(), Access::Write)?.replace(&self.data)?;
                cx.tell_change(FileChange::Written, &place.path, false);
            }
            None if place.must_be_dir => return Err(Errno::EISDIR.into()),
            None => {
                let name = name_of(&place.path)?;
                let mode = bits(self.mode, 0o644)?;
                let node = place.parent.create(cx.hand(), name, mode).map_err(changed)?;
                let written = node.open(cx.hand(), Access::Write).and_then(|file| file.replace(&self.data));
                if let Err(error) = written {
                    // Nothing is left half done: the empty file goes again. Should that fail too, the first error says more.
                    let _ = place.parent.unlink(cx.hand(), name);
                    return Err(error.into());
                }
                cx.tell_change(FileChange::Created, &place.path, false);
            }
        }
        Ok(v1::WriteFileReply { bytes_written: self.data.len() as u64 })
    }
}

impl Syscall for v1::DeleteFile {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, false)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::DeleteFileReply, Error> {
        if cx.target.node()?.kind() == Kind::Directory {
            return Err(Errno::EISDIR.into());
        }
        let place = cx.target.place()?;
        place.parent.unlink(cx.hand(), name_of(&place.path)?)?;
        cx.tell_change(FileChange::Removed, &place.path, false);
        Ok(v1::DeleteFileReply {})
    }
}

impl Syscall for v1::ListDirectory {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::ListDirectoryReply, Error> {
        let node = cx.target.node()?;
        let most = super::reply_entries(self.limit);
        let mut room = REPLY_BYTES as usize;
        let mut reply = v1::ListDirectoryReply::default();
        let mut last = self.cursor;
        node.read_dir(self.cursor, &mut |entry| {
            // A name may stand twice in the reply, once as text and once as bytes, with a few numbers beside it.
            let name = entry.name.as_bytes();
            let size = name.len() * 4 + 32;
            if reply.entries.len() == most || size > room {
                reply.next_cursor = Some(last);
                return false;
            }
            room -= size;
            last = entry.cursor;
            let exact = std::str::from_utf8(name).is_ok();
            reply.entries.push(v1::DirectoryEntry {
                name: String::from_utf8_lossy(name).into_owned(),
                name_raw: if exact { Default::default() } else { name.to_vec().into() },
                kind: kind(entry.kind).into(),
                inode: entry.ino,
            });
            true
        })?;
        Ok(reply)
    }
}

impl Syscall for v1::FileExists {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, true)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::FileExistsReply, Error> {
        match cx.target.place() {
            Ok(place) => Ok(v1::FileExistsReply { exists: place.node.is_some() }),
            Err(Error { errno: Errno::ENOENT | Errno::ENOTDIR, .. }) => {
                Ok(v1::FileExistsReply { exists: false })
            }
            Err(error) => Err(error),
        }
    }
}

impl Syscall for v1::FileStat {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        scope.path(&self.path, &self.path_raw, self.follow)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::FileStatReply, Error> {
        Ok(told(&cx.target.node()?.attr()?, cx.target.path()))
    }
}

/// What is known of a file.
pub(super) fn told(attr: &Attr, path: &VPath) -> v1::FileStatReply {
    v1::FileStatReply {
        kind: kind(attr.kind).into(),
        size_bytes: attr.size,
        mode: attr.mode,
        uid: attr.uid,
        gid: attr.gid,
        links: attr.nlink,
        inode: attr.id.ino,
        accessed_us: attr.accessed.as_micros(),
        modified_us: attr.modified.as_micros(),
        changed_us: attr.changed.as_micros(),
        created_us: attr.born.map(uos_vfs::Timestamp::as_micros),
        canonical_path: path.to_string(),
    }
}

/// A directory to be made, possibly with parents that must be allowed too.
pub(crate) struct NewDirectory {
    path: PathTarget,
    parents: bool,
}

impl Target for NewDirectory {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let decision = self.path.judge_path(right, &grants)?;
        if let (true, Err(unresolved)) = (self.parents, &self.path.found) {
            let mut parent = unresolved.path.parent();
            for _ in 1..unresolved.missing.len() {
                let Some(path) = parent else { break };
                if grants.for_path(right, path.as_bytes()).is_none() {
                    return Err(Error::denied(format!("{}:{path}", right.grant_name().unwrap_or_default())));
                }
                parent = path.parent();
            }
        }
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        self.path.subject()
    }

    fn stopped_at_disk(&self) -> bool {
        self.path.stopped_at_disk()
    }
}

impl Syscall for v1::CreateDirectory {
    type Target = NewDirectory;

    fn target(&self, scope: &Scope<'_>) -> Result<NewDirectory, Absent> {
        // Without parents the last name must be new, whatever it links to.
        Ok(NewDirectory {
            path: scope.path(&self.path, &self.path_raw, self.parents)?,
            parents: self.parents,
        })
    }

    fn run(&self, cx: Cx<'_, &NewDirectory>) -> Result<v1::CreateDirectoryReply, Error> {
        let mode = bits(self.mode, 0o755)?;
        match &cx.target.path.found {
            Ok(place) => match &place.node {
                Some(node) if self.parents && node.kind() == Kind::Directory => {}
                Some(_) => return Err(Errno::EEXIST.into()),
                None => {
                    place.parent.mkdir(cx.hand(), name_of(&place.path)?, mode).map_err(changed)?;
                    cx.tell_change(FileChange::Created, &place.path, true);
                }
            },
            Err(unresolved) => match &**unresolved {
                Unresolved { at: Some(at), missing, path, .. } if self.parents && !missing.is_empty() => {
                    let mut parent = NodeRef::clone(at);
                    let names: Vec<_> = path.components().collect();
                    for (depth, name) in (names.len() - missing.len() + 1..).zip(missing) {
                        parent = parent.mkdir(cx.hand(), Name::new(name)?, mode).map_err(changed)?;
                        let made = VPath::root().join(&names[..depth].join(&b'/'));
                        cx.tell_change(FileChange::Created, &made, true);
                    }
                }
                Unresolved { error, .. } => return Err(error.clone().into()),
            },
        }
        Ok(v1::CreateDirectoryReply {})
    }
}

/// The last name of a path; the root has none, and is busy being the root.
pub(crate) fn name_of(path: &VPath) -> Result<Name<'_>, Error> {
    Ok(Name::new(path.file_name().ok_or(Errno::EBUSY)?)?)
}

/// Somebody else was quicker than the call at a name it had found free: it looks again.
pub(super) fn changed(error: uos_vfs::Error) -> Error {
    if error == uos_vfs::Error::Exists { Error::race() } else { error.into() }
}

pub(super) fn bits(asked: Option<u32>, default: u32) -> Result<u32, Error> {
    match asked.unwrap_or(default) {
        mode @ 0..=0o7777 => Ok(mode),
        mode => Err(Error::invalid("mode", format_args!("at most 0o7777, not {mode:#o}"))),
    }
}

fn kind(kind: Kind) -> v1::FileKind {
    match kind {
        Kind::File => v1::FileKind::File,
        Kind::Directory => v1::FileKind::Directory,
        Kind::Symlink => v1::FileKind::Symlink,
        Kind::Fifo | Kind::Socket | Kind::CharDevice | Kind::BlockDevice => v1::FileKind::Other,
    }
}
