//! A file or directory in the making: written under a hidden name beside the one it is to have, and put there in one step.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
    sync::Arc,
};

use uos_vfs::{Access, Attr, Caller, Mounts, Name, NodeRef, OpenFile, Place, Rename, Seek, SetAttr, VPath};

use crate::{Errno, Error, kernel::hex, uproot::uproot};

/// A new directory that nobody is to see before it is whole. Dropped before it is put in place, it goes with everything in it.
pub(crate) struct StagedDirectory<'a> {
    mounts: &'a Mounts,
    /// Where it is, under its hidden name.
    place: Place,
    node: NodeRef,
    by: &'a Caller,
    placed: bool,
}

/// A new file that nobody is to see before it is whole. Dropped before it is put in place, it goes without a trace.
pub(crate) struct Staged {
    dir: NodeRef,
    name: Vec<u8>,
    node: NodeRef,
    file: Option<Arc<dyn OpenFile>>,
    by: Caller,
    written: u64,
    placed: bool,
}

/// What is only passing through.
#[derive(Clone, Copy)]
pub(crate) enum Passing {
    /// A file in the making. Nobody has seen it, and nobody misses it when its maker is gone.
    Unfinished,
    /// A file that had a name before. It may be the only one of its content.
    Aside,
}

impl Passing {
    fn suffix(self) -> &'static str {
        match self {
            Self::Unfinished => ".part",
            Self::Aside => ".aside",
        }
    }
}

const PREFIX: &str = ".uos-";
/// How much is copied at once.
const PIECE: u64 = 1 << 20;
/// Random bytes in a hidden name; each takes two characters of it.
const SECRET: usize = 16;

/// A name for something that is only passing through. Not to be guessed, so that nobody lies in wait under it.
pub(crate) fn hidden_name(what: Passing) -> Result<Vec<u8>, Error> {
    let mut secret = [0; SECRET];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::new(Errno::EIO, format!("no random bytes: {error}")))?;
    Ok(format!("{PREFIX}{}{}", hex(&secret), what.suffix()).into_bytes())
}

/// Whether a name is that of something in the making.
pub(crate) fn is_unfinished(name: &[u8]) -> bool {
    let secret = name.strip_prefix(PREFIX.as_bytes());
    let secret = secret.and_then(|rest| rest.strip_suffix(Passing::Unfinished.suffix().as_bytes()));
    secret.is_some_and(|secret| {
        secret.len() == 2 * SECRET && secret.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Removes the files and directories that a kernel was making in a folder of the host, and below it, when it was killed. Says
/// how many.
///
/// To be called before the folder is mounted, and only by whom it belongs to: what another living kernel is making there
/// looks the same. Links are not followed, and what is mounted below is left alone. What can't be read or removed is passed
/// over.
///
/// # Errors
/// What the first that was passed over gave; all others have been looked at all the same.
pub fn remove_unfinished(host: &Path) -> io::Result<usize> {
    let device = fs::metadata(host)?.dev();
    let (mut removed, mut first) = (0, None);
    let mut folders = vec![host.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut look = || -> io::Result<()> {
            if fs::symlink_metadata(&folder)?.dev() != device {
                return Ok(());
            }
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let kind = entry.file_type()?;
                let is_unfinished = is_unfinished(entry.file_name().as_bytes());
                let gone = match () {
                    () if kind.is_dir() && is_unfinished => fs::remove_dir_all(entry.path()),
                    () if kind.is_file() && is_unfinished => fs::remove_file(entry.path()),
                    () => {
                        if kind.is_dir() {
                            folders.push(entry.path());
                        }
                        continue;
                    }
                };
                match gone {
                    Ok(()) => removed += 1,
                    Err(error) => drop(first.get_or_insert(error)),
                }
            }
            Ok(())
        };
        if let Err(error) = look() {
            first.get_or_insert(error);
        }
    }
    first.map_or(Ok(removed), Err)
}

impl Staged {
    /// Begins a file in a directory, which will have the owner, or be of its own. Whoever asks pays for it.
    pub(crate) fn begin(by: &Caller, dir: &NodeRef, like: Option<&Attr>) -> Result<Self, Error> {
        let name = hidden_name(Passing::Unfinished)?;
        // Its owner alone, until it is what it is to be; and writable, which it may not be in the end.
        let (uid, gid) = like.map_or((0, 0), |attr| (attr.uid, attr.gid));
        let owner = Caller::user(uid, gid).judged_before().paid_by(by.account.clone());
        let node = dir.create(&owner, Name::new(&name)?, 0o600)?;
        let (dir, by) = (NodeRef::clone(dir), by.clone());
        let mut staged = Self { dir, name, node, file: None, by, written: 0, placed: false };
        // By now a failure removes it.
        staged.file = Some(NodeRef::clone(&staged.node).open(&staged.by, Access::Write)?);
        Ok(staged)
    }

    /// Adds to what it holds.
    pub(crate) fn write(&mut self, mut data: &[u8]) -> Result<(), Error> {
        let file = self.file.as_ref().ok_or(Errno::EBADF)?;
        while !data.is_empty() {
            match file.write_at(self.written, data)? {
                0 => return Err(Errno::EIO.into()),
                taken => {
                    self.written += taken as u64;
                    data = &data[taken..];
                }
            }
        }
        Ok(())
    }

    /// Takes in all that another file holds, its holes as holes, as the first that it holds itself. `go_on` is asked before
    /// each piece.
    pub(crate) fn fill(
        &mut self,
        from: &dyn OpenFile,
        go_on: impl Fn() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let file = self.file.as_ref().ok_or(Errno::EBADF)?;
        self.written = pour(from, &**file, go_on)?;
        Ok(())
    }

    /// How much it holds.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Makes it durable, gives it its attributes and then its name, in place of what has that name unless told otherwise.
    /// When this returns `Ok` the name is durable too.
    pub(crate) fn place(
        mut self,
        name: Name<'_>,
        attributes: &SetAttr,
        no_replace: bool,
    ) -> Result<(), Error> {
        self.node.set_attr(&self.by, attributes)?;
        let file = self.file.take().ok_or(Errno::EBADF)?;
        file.sync()?;
        let how = if no_replace { Rename::NoReplace } else { Rename::Replace };
        self.dir.rename(&self.by, Name::new(&self.name)?, &self.dir, name, how)?;
        self.placed = true;
        // A directory can't be synced by itself here. The rename has changed the file too, though, and the filesystems that
        // keep a log write the two down together.
        file.sync().map_err(|error| {
            let said = format!("it is there, but a power cut may take it back: {error}");
            Error::at_stage(Error::from(error).errno, "sync".to_owned(), said)
        })
    }
}

impl<'a> StagedDirectory<'a> {
    /// Begins a directory beside a name that it is to have, its owner's alone for now.
    pub(crate) fn begin(mounts: &'a Mounts, by: &'a Caller, beside: &Place) -> Result<Self, Error> {
        let name = hidden_name(Passing::Unfinished)?;
        let node = beside.parent.mkdir(by, Name::new(&name)?, 0o700)?;
        let path = beside.path.parent().unwrap_or_else(VPath::root).join(&name);
        Ok(Self { mounts, place: Place { path, ..beside.clone() }, node, by, placed: false })
    }

    pub(crate) fn node(&self) -> &NodeRef {
        &self.node
    }

    /// Gives it its name, which must be free.
    pub(crate) fn place(mut self, name: Name<'_>) -> Result<(), Error> {
        let parent = &self.place.parent;
        let hidden = self.place.name().ok_or(Errno::EIO)?;
        parent.rename(self.by, hidden, parent, name, Rename::NoReplace)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for StagedDirectory<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // As with a file: nobody is left to be told of another failure.
            let _ = uproot(self.mounts, &self.place, &self.node, |_, _| {});
        }
    }
}

/// Copies all that a file holds into an empty one, its holes as holes. Gives how much that is. `go_on` is asked before each
/// piece.
pub(crate) fn pour(
    from: &dyn OpenFile,
    to: &dyn OpenFile,
    go_on: impl Fn() -> Result<(), Error>,
) -> Result<u64, Error> {
    let mut done = 0;
    loop {
        go_on()?;
        match from.seek(done, Seek::Data) {
            Ok(data) => done = data,
            Err(uos_vfs::Error::PastEnd) => break,
            // Who can't tell holes reads zeros.
            Err(_) => {}
        }
        let until = from.seek(done, Seek::Hole).map_or(u64::MAX, |hole| hole - done);
        let piece = from.read_bytes(done, until.min(PIECE) as usize)?;
        if piece.is_empty() {
            break;
        }
        let mut rest = &piece[..];
        while !rest.is_empty() {
            match to.write_at(done, rest)? {
                0 => return Err(Errno::EIO.into()),
                taken => {
                    done += taken as u64;
                    rest = &rest[taken..];
                }
            }
        }
    }
    let len = from.attr()?.size;
    if len > done {
        // It ends in a hole.
        to.set_len(len)?;
    }
    Ok(len.max(done))
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let (false, Ok(name)) = (self.placed, Name::new(&self.name)) {
            // Whoever wanted it has been told of a failure, or has gone: there is nobody left to tell of another.
            let _ = self.dir.unlink(&self.by, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Passing, hidden_name, is_unfinished};

    #[test]
    fn what_is_unfinished_is_told_by_its_name_and_nothing_else_is() {
        assert!(is_unfinished(&hidden_name(Passing::Unfinished).unwrap()));
        let hex = "0123456789abcdef0123456789abcdef";
        assert!(is_unfinished(format!(".uos-{hex}.part").as_bytes()));
        assert!(!is_unfinished(&hidden_name(Passing::Aside).unwrap()));
        let others = [
            String::new(),
            ".uos-.part".to_owned(),
            format!("uos-{hex}.part"),
            format!(".uos-{hex}0.part"),
            format!(".uos-{}.part", hex.to_uppercase()),
            format!(".uos-{hex}.part~"),
        ];
        for name in others {
            assert!(!is_unfinished(name.as_bytes()), "{name}");
        }
    }
}
