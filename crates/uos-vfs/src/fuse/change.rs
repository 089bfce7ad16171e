//! What requests change.

use super::attr::special_of;
use super::shared::{At, Here, Shared};
use crate::{Allocate, Caller, Error, Name, NodeRef, Owner, Rename, Result, SetAttr, SetXattr};
use fuser::{FileAttr, FileHandle, Generation, INodeNo, OpenFlags, RenameFlags, Request, WriteFlags};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

impl Shared {
    pub(super) fn made(
        &self,
        parent: INodeNo,
        req: &Request,
        make: impl FnOnce(&Here, &Caller) -> Result<NodeRef>,
    ) -> Result<(FileAttr, Generation)> {
        let dir = self.node(parent)?;
        let node = make(&dir, &dir.caller(req))?;
        self.tell(&dir.beside(node))
    }

    pub(super) fn set(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: Option<FileHandle>,
        mut set: SetAttr,
    ) -> Result<FileAttr> {
        let here = match self.at(ino)? {
            At::Top => return Err(Error::NotPermitted),
            At::Node(here) => here,
        };
        if set.size.is_some() && set.mode.is_none() {
            self.lend_no_more(req, &here)?;
        }
        if let (Some(handle), Some(len)) = (fh, set.size) {
            // By descriptor the time of change moves also if the length does not.
            self.file(ino, handle)?.set_len(len)?;
            set.size = None;
        }
        let attr = here.node.set_attr(&here.caller(req), &set)?;
        Ok(self.attr(&here, &attr))
    }

    /// Whoever is not root and writes takes the bits that lend rights away.
    pub(super) fn lend_no_more(&self, req: &Request, here: &Here) -> Result<()> {
        if req.uid() == 0 {
            return Ok(());
        }
        let owner = Owner::from(&here.node.attr()?);
        let mode = Caller::user(req.uid(), req.gid()).mode_once_written(owner);
        if mode != owner.mode {
            let set = SetAttr { mode: Some(mode), ..SetAttr::default() };
            here.node.set_attr(&Caller::ROOT.judged_before(), &set)?;
        }
        Ok(())
    }

    pub(super) fn make_node(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        rdev: u32,
    ) -> Result<(FileAttr, Generation)> {
        let special = special_of(mode, rdev).ok_or(Error::InvalidArgument("no such kind of file"))?;
        let name = Name::new(name.as_bytes())?;
        self.made(parent, req, |dir, by| match special {
            None => dir.node.create(by, name, mode & 0o7777),
            Some(special) => dir.node.mknod(by, name, special, mode & 0o7777),
        })
    }

    /// Makes a file and opens it, if the host tells that.
    pub(super) fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        flags: OpenFlags,
    ) -> Result<(FileAttr, Generation, u64)> {
        let dir = self.node(parent)?;
        let node = dir.node.create(&dir.caller(req), Name::new(name.as_bytes())?, mode & 0o7777)?;
        let here = dir.beside(node);
        let handle = if self.tells_opens() { self.opened(&here, flags)? } else { 0 };
        let (attr, generation) = self.tell(&here).inspect_err(|_| self.handles.close(handle))?;
        Ok((attr, generation, handle))
    }

    pub(super) fn link(
        &self,
        req: &Request,
        ino: INodeNo,
        parent: INodeNo,
        name: &OsStr,
    ) -> Result<(FileAttr, Generation)> {
        let (node, dir) = (self.node(ino)?, self.node(parent)?);
        if node.index != dir.index {
            return Err(Error::CrossDevice);
        }
        dir.node.link(&dir.caller(req), Name::new(name.as_bytes())?, &node.node)?;
        self.tell(&node)
    }

    pub(super) fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr) -> Result<()> {
        let dir = self.node(parent)?;
        dir.node.unlink(&dir.caller(req), Name::new(name.as_bytes())?)
    }

    pub(super) fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr) -> Result<()> {
        let dir = self.node(parent)?;
        let (by, name) = (dir.caller(req), Name::new(name.as_bytes())?);
        // What is mounted on is not there to be removed.
        if dir.view.crossings.covering(&dir.node.lookup(&by, name)?).is_some() {
            return Err(Error::Busy);
        }
        dir.node.rmdir(&by, name)
    }

    pub(super) fn rename(
        &self,
        req: &Request,
        (parent, name): (INodeNo, &OsStr),
        (new_parent, new_name): (INodeNo, &OsStr),
        flags: RenameFlags,
    ) -> Result<()> {
        let how = match flags {
            flags if flags.is_empty() => Rename::Replace,
            RenameFlags::RENAME_NOREPLACE => Rename::NoReplace,
            RenameFlags::RENAME_EXCHANGE => Rename::Exchange,
            _ => return Err(Error::InvalidArgument("no such way to rename")),
        };
        let (from, to) = (self.node(parent)?, self.node(new_parent)?);
        if from.index != to.index || from.node.id().fs != to.node.id().fs {
            return Err(Error::CrossDevice);
        }
        let (name, new_name) = (Name::new(name.as_bytes())?, Name::new(new_name.as_bytes())?);
        from.node.rename(&from.caller(req), name, &to.node, new_name, how)
    }

    pub(super) fn write(
        &self,
        req: &Request,
        (ino, fh): (INodeNo, FileHandle),
        offset: u64,
        data: &[u8],
        lends: WriteFlags,
        flags: OpenFlags,
    ) -> Result<usize> {
        if lends.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) {
            self.lend_no_more(req, &self.node(ino)?)?;
        }
        let file = self.file(ino, fh)?;
        if flags.0 & libc::O_APPEND != 0 {
            // Where the end is the host may not know.
            file.append(data).map(|_| data.len())
        } else {
            file.write_at(offset, data)
        }
    }

    pub(super) fn allocate(
        &self,
        (ino, fh): (INodeNo, FileHandle),
        offset: u64,
        len: u64,
        mode: i32,
    ) -> Result<()> {
        const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        const ZERO_KEEPING: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;
        let how = match mode {
            0 => Allocate::Reserve,
            libc::FALLOC_FL_KEEP_SIZE => Allocate::ReserveKeepingLength,
            PUNCH => Allocate::Punch,
            libc::FALLOC_FL_ZERO_RANGE => Allocate::Zero,
            ZERO_KEEPING => Allocate::ZeroKeepingLength,
            _ => return Err(Error::NotSupported("allocating in that way")),
        };
        self.file(ino, fh)?.allocate(offset, len, how)
    }

    pub(super) fn set_xattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
    ) -> Result<()> {
        let here = self.node(ino)?;
        let how = match flags {
            0 => SetXattr::Any,
            libc::XATTR_CREATE => SetXattr::New,
            libc::XATTR_REPLACE => SetXattr::Replace,
            _ => return Err(Error::InvalidArgument("both new and not new")),
        };
        here.node.set_xattr(&here.caller(req), name.as_bytes(), value, how)
    }
}
