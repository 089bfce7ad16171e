//! A file in the making: written under a hidden name beside the one it is to have, and put there in one step.

use std::sync::Arc;

use uos_vfs::{Access, Attr, Caller, Name, NodeRef, OpenFile, Rename, SetAttr};

use crate::{Errno, Error, kernel::hex, target::KERNEL};

/// A new file that nobody is to see before it is whole. Dropped before it is put in place, it goes without a trace.
pub(crate) struct Staged {
    dir: NodeRef,
    name: Vec<u8>,
    node: NodeRef,
    file: Option<Arc<dyn OpenFile>>,
    written: u64,
    placed: bool,
}

/// A name for something that is only passing through. Not to be guessed, so that nobody lies in wait under it.
pub(crate) fn hidden_name() -> Result<Vec<u8>, Error> {
    let mut secret = [0; 16];
    getrandom::fill(&mut secret)
        .map_err(|error| Error::new(Errno::EIO, format!("no random bytes: {error}")))?;
    Ok(format!(".uos-{}.part", hex(&secret)).into_bytes())
}

impl Staged {
    /// Begins a file in a directory, which will have the owner, or be of its own.
    pub(crate) fn begin(dir: &NodeRef, like: Option<&Attr>) -> Result<Self, Error> {
        let name = hidden_name()?;
        // Its owner alone, until it is what it is to be; and writable, which it may not be in the end.
        let (uid, gid) = like.map_or((0, 0), |attr| (attr.uid, attr.gid));
        let owner = Caller::user(uid, gid).judged_before();
        let node = dir.create(&owner, Name::new(&name)?, 0o600)?;
        let mut staged = Self { dir: NodeRef::clone(dir), name, node, file: None, written: 0, placed: false };
        // By now a failure removes it.
        staged.file = Some(NodeRef::clone(&staged.node).open(KERNEL, Access::Write)?);
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

    /// How much it holds.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Makes it durable, gives it its attributes and then its name, in place of what has that name unless told otherwise.
    pub(crate) fn place(
        mut self,
        name: Name<'_>,
        attributes: &SetAttr,
        no_replace: bool,
    ) -> Result<(), Error> {
        self.node.set_attr(KERNEL, attributes)?;
        if let Some(file) = self.file.take() {
            file.sync()?;
        }
        let how = if no_replace { Rename::NoReplace } else { Rename::Replace };
        self.dir.rename(KERNEL, Name::new(&self.name)?, &self.dir, name, how)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let (false, Ok(name)) = (self.placed, Name::new(&self.name)) {
            // Whoever wanted it has been told of a failure, or has gone: there is nobody left to tell of another.
            let _ = self.dir.unlink(KERNEL, name);
        }
    }
}
