//! Open files: opening, and what is done to what is open.

use std::{io::SeekFrom, sync::Arc};

use uos_ipc::Rights;
use uos_proto::{
    Right,
    v1::{self, Whence},
};
use uos_vfs::{Access, Descriptor, File, Kind, NodeRef};

use super::{
    files::{bits, changed, name_of, told},
    handles::keep,
    reply_bytes,
};
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    events::FileChange,
    handles::{FileHandle, Handle, Licence, Object},
    perform::Syscall,
    target::{HandleTarget, PathTarget, Scope},
};

/// A path, and what it is to be opened for.
pub(crate) struct Opening {
    path: PathTarget,
    access: Access,
    changes: bool,
}

impl Opening {
    fn rights(&self) -> Vec<Right> {
        let read = self.access.reads().then_some(Right::FsRead);
        let write = (self.access.writes() || self.changes).then_some(Right::FsWrite);
        read.into_iter().chain(write).collect()
    }
}

impl Target for Opening {
    fn judge(&self, _right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let mut decisions = self.rights().into_iter().map(|right| self.path.judge_path(right, &grants));
        let first = decisions.next().unwrap_or(Ok(Decision::Refused))?;
        decisions.try_for_each(|decision| decision.map(|_| ()))?;
        Ok(first)
    }

    fn subject(&self) -> Subject {
        self.path.subject()
    }

    fn stopped_at_disk(&self) -> bool {
        self.path.stopped_at_disk()
    }
}

impl Syscall for v1::Open {
    type Target = Opening;

    fn target(&self, scope: &Scope<'_>) -> Result<Opening, Absent> {
        let access = match (self.read, self.write || self.append) {
            (_, false) => Access::Read,
            (false, true) => Access::Write,
            (true, true) => Access::ReadWrite,
        };
        // What must be new is not looked for behind a link.
        let follow = !self.no_follow && !self.exclusive;
        let path = scope.path(&self.path, &self.path_raw, follow)?;
        Ok(Opening { path, access, changes: self.create || self.truncate })
    }

    fn run(&self, cx: Cx<'_, &Opening>) -> Result<v1::OpenReply, Error> {
        let access = cx.target.access;
        if self.truncate && !access.writes() {
            return Err(Error::invalid("truncate", "only what is opened to write can be emptied"));
        }
        if self.exclusive && !self.create {
            return Err(Error::invalid("exclusive", "only what is to be made can be new"));
        }
        let place = cx.target.path.place()?;
        let (node, is_new) = match &place.node {
            Some(_) if self.exclusive => return Err(Errno::EEXIST.into()),
            Some(node) => match node.kind() {
                Kind::Directory => return Err(Errno::EISDIR.into()),
                Kind::Symlink => return Err(Errno::ELOOP.into()),
                _ => (NodeRef::clone(node), false),
            },
            None if !self.create => return Err(Errno::ENOENT.into()),
            None if place.must_be_dir => return Err(Errno::EISDIR.into()),
            None => {
                let mode = bits(self.mode, 0o644)?;
                let made = place.parent.create(cx.hand(), name_of(&place.path)?, mode);
                (made.map_err(changed)?, true)
            }
        };
        let opened = NodeRef::clone(&node).open(cx.hand(), access).map_err(Error::from).and_then(|file| {
            let file = File::new(node, Arc::clone(&file), access, self.append);
            let descriptor = Descriptor::with_locks(file, &cx.kernel().locks);
            let object =
                Object::File(FileHandle { descriptor: descriptor.clone(), path: place.path.clone() });
            let licence = Licence::path(cx.asker(), cx.target.rights(), place.path.clone());
            let id = keep(&cx, Handle::licensed(object, rights(access), licence))?;
            Ok((id, descriptor))
        });
        let (id, descriptor) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if is_new {
                    // Nothing is left half done. Should this fail too, the first error says more.
                    let _ = place.parent.unlink(cx.hand(), name_of(&place.path)?);
                }
                return Err(error);
            }
        };
        // Last, since it can't be taken back.
        if is_new {
            cx.tell_change(FileChange::Created, &place.path, false);
        } else if self.truncate {
            if let Err(error) = descriptor.truncate(0) {
                drop(cx.caller().handles.remove(id));
                return Err(error.into());
            }
            cx.tell_change(FileChange::Written, &place.path, false);
        }
        Ok(v1::OpenReply { id })
    }
}

fn rights(access: Access) -> Rights {
    let read = if access.reads() { Rights::READ } else { Rights::NONE };
    let write = if access.writes() { Rights::WRITE } else { Rights::NONE };
    read | write | Rights::DUPLICATE | Rights::TRANSFER
}

/// An open file in the caller's table.
pub(super) type FileTarget = HandleTarget<FileHandle>;

pub(super) fn file(scope: &Scope<'_>, id: u64, needs: Rights) -> Result<FileTarget, Absent> {
    scope.handle(id, needs, |object| match object {
        Object::File(file) => Some(file.clone()),
        _ => None,
    })
}

/// Whether using it may wait for a disk.
fn on_disk(target: &FileTarget) -> bool {
    target.found.descriptor.node().blocks()
}

/// As much as was asked for, or as there is.
fn fill(asked: u64, read: impl FnOnce(&mut [u8]) -> uos_vfs::Result<usize>) -> Result<bytes::Bytes, Error> {
    let mut data = vec![0; reply_bytes(asked)];
    let length = read(&mut data)?;
    data.truncate(length);
    Ok(data.into())
}

/// Defines a call on an open file: what the handle must allow, and what is done.
macro_rules! on_file {
    ($($call:ident -> $reply:ident, $needs:expr, |$asked:ident, $cx:ident| $run:block)+) => {
        $(impl Syscall for v1::$call {
            type Target = FileTarget;

            fn target(&self, scope: &Scope<'_>) -> Result<FileTarget, Absent> {
                file(scope, self.id, $needs)
            }

            fn blocks(target: &FileTarget) -> bool {
                on_disk(target)
            }

            fn run(&self, $cx: Cx<'_, &FileTarget>) -> Result<v1::$reply, Error> {
                let $asked = self;
                $run
            }
        })+
    };
}

on_file! {
    Read -> ReadReply, Rights::READ, |asked, cx| {
        let descriptor = &cx.target.found.descriptor;
        Ok(v1::ReadReply { data: fill(asked.max_bytes, |buffer| descriptor.read(buffer))? })
    }
    Write -> WriteReply, Rights::WRITE, |asked, cx| {
        let bytes_written = cx.target.found.descriptor.write(&asked.data)? as u64;
        cx.tell_change(FileChange::Written, &cx.target.found.path, false);
        Ok(v1::WriteReply { bytes_written })
    }
    Pread -> PreadReply, Rights::READ, |asked, cx| {
        let descriptor = &cx.target.found.descriptor;
        Ok(v1::PreadReply { data: fill(asked.max_bytes, |buffer| descriptor.pread(asked.offset, buffer))? })
    }
    Pwrite -> PwriteReply, Rights::WRITE, |asked, cx| {
        let bytes_written = cx.target.found.descriptor.pwrite(asked.offset, &asked.data)? as u64;
        cx.tell_change(FileChange::Written, &cx.target.found.path, false);
        Ok(v1::PwriteReply { bytes_written })
    }
    Seek -> SeekReply, Rights::NONE, |asked, cx| {
        let descriptor = &cx.target.found.descriptor;
        let from_start = || {
            u64::try_from(asked.offset).map_err(|_| Error::invalid("offset", "before the beginning of the file"))
        };
        let position = match Whence::try_from(asked.whence) {
            Ok(Whence::Unspecified | Whence::Set) => descriptor.seek(SeekFrom::Start(from_start()?)),
            Ok(Whence::Current) => descriptor.seek(SeekFrom::Current(asked.offset)),
            Ok(Whence::End) => descriptor.seek(SeekFrom::End(asked.offset)),
            Ok(Whence::Data) => descriptor.seek_to(from_start()?, uos_vfs::Seek::Data),
            Ok(Whence::Hole) => descriptor.seek_to(from_start()?, uos_vfs::Seek::Hole),
            Err(_) => return Err(Error::invalid("whence", format_args!("{} is unknown", asked.whence))),
        };
        Ok(v1::SeekReply { position: position? })
    }
    Fsync -> FsyncReply, Rights::NONE, |_asked, cx| {
        cx.target.found.descriptor.sync()?;
        Ok(v1::FsyncReply {})
    }
    Ftruncate -> FtruncateReply, Rights::WRITE, |asked, cx| {
        cx.target.found.descriptor.truncate(asked.length)?;
        cx.tell_change(FileChange::Written, &cx.target.found.path, false);
        Ok(v1::FtruncateReply {})
    }
    Fstat -> FstatReply, Rights::NONE, |_asked, cx| {
        let FileHandle { descriptor, path } = &cx.target.found;
        let attributes = Some(told(&descriptor.attr()?, path));
        Ok(v1::FstatReply { attributes, position: descriptor.position() })
    }
}
