//! Listing directories.

use super::shared::{At, Shared};
use crate::{Kind, NodeId, Result};
use fuser::{FileHandle, Generation, INodeNo, ReplyDirectoryPlus, Request};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

impl Shared {
    /// The entries of a directory from one on, until `sink` has enough: number, where the next one is, kind
    /// and name. The dots come first.
    pub(super) fn list(
        &self,
        ino: INodeNo,
        handle: FileHandle,
        from: u64,
        mut sink: impl FnMut(u64, u64, Kind, &[u8]) -> bool,
    ) -> Result<()> {
        for (nth, name) in [&b"."[..], b".."].into_iter().enumerate().skip(from.min(2) as usize) {
            if sink(ino.0, nth as u64 + 1, Kind::Directory, name) {
                return Ok(());
            }
        }
        let skipped = usize::try_from(from.saturating_sub(2)).unwrap_or(usize::MAX);
        match self.at(ino)? {
            At::Top => {
                let views = self.views.read();
                for (nth, (name, index)) in views.by_name.iter().enumerate().skip(skipped) {
                    let Some(view) = views.by_index.get(index) else { continue };
                    let number = self.table.number(*index, view.root.id());
                    if sink(number, nth as u64 + 3, Kind::Directory, name) {
                        break;
                    }
                }
            }
            At::Node(here) => {
                let id = here.node.id();
                // Of what is mounted there only looking it up tells.
                let number = |ino| self.table.number(here.index, NodeId { ino, generation: 0, ..id });
                if handle.0 == 0 {
                    return here.node.read_dir(skipped as u64, &mut |entry| {
                        let next = entry.cursor.wrapping_add(2);
                        !sink(number(entry.ino), next, entry.kind, entry.name.as_bytes())
                    });
                }
                let open = self.handles.get(handle.0)?;
                let entries = open.entries(&here.node, from <= 2)?;
                for (nth, entry) in entries.iter().enumerate().skip(skipped) {
                    if sink(number(entry.ino), nth as u64 + 3, entry.kind, &entry.name) {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The same with what looking each of them up would tell.
    pub(super) fn list_told(
        &self,
        req: &Request,
        ino: INodeNo,
        handle: FileHandle,
        from: u64,
        reply: &mut ReplyDirectoryPlus,
    ) -> Result<()> {
        if from == 0 {
            self.table.lists(ino.0);
        }
        self.list(ino, handle, from, |_, next, _, name| {
            let name = OsStr::from_bytes(name);
            if name == "." || name == ".." {
                // The host takes nothing from these, and does not count them as told.
                return reply.add(ino, next, name, &self.ttl, &self.top_attr(), Generation(0));
            }
            // Whatever has gone since it was listed is left out.
            let Ok(here) = self.look_up(req, ino, name) else { return false };
            let Ok((told, generation)) = self.tell(&here) else { return false };
            let full = reply.add(told.ino, next, name, &self.ttl, &told, generation);
            if full {
                self.table.forget(told.ino.0, 1);
            }
            full
        })
    }
}
