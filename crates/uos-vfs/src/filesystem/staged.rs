//! Something in the making, under a name of its own beside the one it is to have.

use crate::{Caller, Error, Kind, Name, NodeRef, OpenFile, Rename, Result, Seek};
use std::sync::atomic::{AtomicU64, Ordering};

/// How much is copied at once.
const PIECE: usize = 1 << 20;

/// A copy that nobody is to take for the real thing yet. Dropped before it is put there, it goes again.
pub(super) struct Staged<'a> {
    by: &'a Caller,
    dir: &'a NodeRef,
    name: Vec<u8>,
    pub(super) node: NodeRef,
}

impl<'a> Staged<'a> {
    /// For a start something empty, or with what `make` puts in; its owner's alone.
    pub(super) fn begin(
        by: &'a Caller,
        dir: &'a NodeRef,
        make: impl Fn(&Caller, Name<'_>) -> Result<NodeRef>,
    ) -> Result<Self> {
        loop {
            let name = passing_name();
            match make(by, Name::new(&name)?) {
                Ok(node) => return Ok(Staged { by, dir, name, node }),
                // Left over from another time.
                Err(Error::Exists) => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Gives it its name, in one step.
    pub(super) fn put(mut self, name: Name<'_>, how: Rename) -> Result<()> {
        self.dir.rename(self.by, Name::new(&self.name)?, self.dir, name, how)?;
        self.name.clear();
        Ok(())
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        let Ok(name) = Name::new(&self.name) else { return };
        // The copy has failed already; that its beginnings can't be removed either is of less use.
        let by = self.by.clone().judged_before();
        let _ = match self.node.kind() {
            Kind::Directory => super::remove::tree(&by, self.dir, name, &self.node, &|_| false),
            _ => self.dir.unlink(&by, name),
        };
    }
}

/// A name for something that is only passing through. It is not kept secret, only free.
pub(super) fn passing_name() -> Vec<u8> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(".copy-{}-{number}", std::process::id()).into_bytes()
}

/// Copies all that a file holds into an empty one, its holes as holes where both can, and says how long it is.
pub(super) fn pour(from: &dyn OpenFile, to: &dyn OpenFile) -> Result<u64> {
    let mut done = 0;
    loop {
        match from.seek(done, Seek::Data) {
            Ok(data) => done = data,
            Err(Error::PastEnd) => break,
            // Who can't tell holes reads zeros.
            Err(_) => {}
        }
        let piece = from.read_bytes(done, PIECE)?;
        if piece.is_empty() {
            break;
        }
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let written = to.write_at(done, rest)?;
            if written == 0 {
                return Err(Error::Io(rustix::io::Errno::IO.raw_os_error()));
            }
            done += written as u64;
            rest = &rest[written..];
        }
    }
    let len = from.attr()?.size;
    if len > done {
        to.set_len(len)?;
    }
    Ok(len.max(done))
}
