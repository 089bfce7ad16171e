//! New names: of new files and of what is there already.

use uos_proto::{Right, v1};
use uos_vfs::{Kind, VPath};

use super::{
    files::{bits, changed, name_of},
    workdir::{both, text_and_bytes},
};
use crate::{
    Cause, Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    events::FileChange,
    kernel::hex,
    perform::Syscall,
    target::{EntryTarget, PathTarget, Scope, denied},
};

/// How long what a passing name begins with may be, so that all of it is a name.
const PREFIX_BYTES: usize = 200;
/// Random bytes in a passing name; each takes two characters of it.
const SECRET: usize = 12;

impl Syscall for v1::CreateFile {
    type Target = PathTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<PathTarget, Absent> {
        // The name must be new, whatever it links to.
        scope.path(&self.path, &self.path_raw, false)
    }

    fn run(&self, cx: Cx<'_, &PathTarget>) -> Result<v1::CreateFileReply, Error> {
        let mode = bits(self.mode, 0o644)?;
        let place = cx.target.place()?;
        if place.must_be_dir {
            return Err(Errno::EISDIR.into());
        }
        if place.node.is_some() {
            return Err(Errno::EEXIST.into());
        }
        place.parent.create(cx.hand(), name_of(&place.path)?, mode).map_err(changed)?;
        cx.tell_change(FileChange::Created, &place.path, false);
        Ok(v1::CreateFileReply {})
    }
}

/// A name that a file has, and one that it gets.
pub(crate) struct Names {
    from: EntryTarget,
    to: EntryTarget,
}

impl Target for Names {
    /// Rights go by path, so a name lends what it may be used for. Whatever the caller could do by the new one, it must be
    /// able to do by the old one.
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let (from, to) = (&self.from.path, &self.to.path);
        let decision = to.judge_path(right, &grants)?;
        from.judge_path(right, &grants)?;
        let reads = |path: &VPath| grants.for_path(Right::FsRead, path.as_bytes()).is_some();
        if reads(to.path()) && !reads(from.path()) {
            return Err(denied(Right::FsRead, from.path()));
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

impl Syscall for v1::Link {
    type Target = Names;

    fn target(&self, scope: &Scope<'_>) -> Result<Names, Absent> {
        Ok(Names { from: scope.entry(&self.from, &self.from_raw)?, to: scope.entry(&self.to, &self.to_raw)? })
    }

    fn run(&self, cx: Cx<'_, &Names>) -> Result<v1::LinkReply, Error> {
        let Names { from, to } = cx.target;
        let (node, place) = (from.path.node()?, to.path.place()?);
        if node.kind() == Kind::Directory {
            return Err(Error::new(Errno::EPERM, "a directory has one name"));
        }
        if place.node.is_some() {
            return Err(Errno::EEXIST.into());
        }
        if from.must_be_dir || to.must_be_dir {
            return Err(Errno::ENOTDIR.into());
        }
        place.parent.link(cx.hand(), name_of(&place.path)?, node).map_err(changed)?;
        cx.tell_change(FileChange::Created, &place.path, false);
        Ok(v1::LinkReply {})
    }
}

impl Syscall for v1::Symlink {
    type Target = EntryTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<EntryTarget, Absent> {
        scope.entry(&self.path, &self.path_raw)
    }

    fn run(&self, cx: Cx<'_, &EntryTarget>) -> Result<v1::SymlinkReply, Error> {
        let place = cx.target.path.place()?;
        if place.node.is_some() {
            return Err(Errno::EEXIST.into());
        }
        if cx.target.must_be_dir {
            return Err(Errno::ENOENT.into());
        }
        let target = if self.target_raw.is_empty() { self.target.as_bytes() } else { &self.target_raw };
        place.parent.symlink(cx.hand(), name_of(&place.path)?, target).map_err(changed)?;
        cx.tell_change(FileChange::Created, &place.path, false);
        Ok(v1::SymlinkReply {})
    }
}

impl Syscall for v1::ReadLink {
    type Target = EntryTarget;

    fn target(&self, scope: &Scope<'_>) -> Result<EntryTarget, Absent> {
        scope.entry(&self.path, &self.path_raw)
    }

    fn run(&self, cx: Cx<'_, &EntryTarget>) -> Result<v1::ReadLinkReply, Error> {
        let node = cx.target.path.node()?;
        if cx.target.must_be_dir && node.kind() != Kind::Directory {
            return Err(Errno::ENOTDIR.into());
        }
        let (target, target_raw) = text_and_bytes(&node.read_link()?);
        Ok(v1::ReadLinkReply { target, target_raw })
    }
}

/// A name in a directory that nobody has heard of.
pub(crate) struct Fresh {
    path: PathTarget,
    name: String,
    prefix: String,
}

impl Target for Fresh {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        self.path.judge_path(right, &caller.grants()).map_err(|error| {
            // A grant for this one name would come too late: what is missing is one for all such names.
            match error.cause.as_deref() {
                Some(Cause::Right(wanted)) => match wanted.strip_suffix(&*self.name) {
                    Some(directory) => Error::denied(format!("{directory}{}*", self.prefix)),
                    None => error,
                },
                _ => error,
            }
        })
    }

    fn subject(&self) -> Subject {
        self.path.subject()
    }

    fn stopped_at_disk(&self) -> bool {
        self.path.stopped_at_disk()
    }
}

/// Such a name.
fn fresh(prefix: &str) -> Result<String, Error> {
    if prefix.len() > PREFIX_BYTES {
        let (len, most) = (prefix.len() as u64, PREFIX_BYTES as u64);
        return Err(Error::limit(Errno::ENAMETOOLONG, "prefix_bytes", len, most));
    }
    if prefix.contains(['/', '\0']) {
        return Err(Error::invalid("prefix", "there is a slash or a NUL in it"));
    }
    let mut secret = [0; SECRET];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::new(Errno::EIO, format!("no random bytes: {error}")))?;
    Ok(format!("{prefix}{}", hex(&secret)))
}

impl Syscall for v1::TempFile {
    type Target = Fresh;

    fn target(&self, scope: &Scope<'_>) -> Result<Fresh, Absent> {
        let name = fresh(&self.prefix).map_err(|error| Absent { error, subject: Subject::None })?;
        let directory = if self.path_raw.is_empty() { self.path.as_bytes() } else { &self.path_raw };
        // No directory is none, and not the root.
        let path =
            if directory.is_empty() { Vec::new() } else { [directory, b"/", name.as_bytes()].concat() };
        Ok(Fresh { path: scope.path("", &path, false)?, name, prefix: self.prefix.clone() })
    }

    fn run(&self, cx: Cx<'_, &Fresh>) -> Result<v1::TempFileReply, Error> {
        let mode = bits(self.mode, 0o600)?;
        let place = cx.target.path.place()?;
        place.parent.create(cx.hand(), name_of(&place.path)?, mode).map_err(changed)?;
        cx.tell_change(FileChange::Created, &place.path, false);
        let (path, path_raw) = both(&place.path);
        Ok(v1::TempFileReply { path, path_raw })
    }
}
