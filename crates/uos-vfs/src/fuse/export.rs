//! Each request of the host's kernel, handed to the node that it is about.

use super::answers::{answer, holding, sized};
use super::attr::{set_time_of, type_of};
use super::handles::Open;
use super::locks::{Asked, answer_later};
use super::shared::{At, Shared};
use crate::{Caller, Error, FsId, Kind, Name, NodeId, Reach, Seek, SetAttr};
use fuser::{
    BsdFileFlags, Errno, FileHandle, Filesystem, FopenFlags, INodeNo, InitFlags, KernelConfig, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyLock, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};
use parking_lot::Mutex;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

pub(super) struct Export(Arc<Shared>);

impl Export {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Export(Arc::clone(shared))
    }
}

impl Filesystem for Export {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each alone, as an older kernel lacks some. Never the ring, with which requests hang.
        for wanted in [
            InitFlags::FUSE_ASYNC_READ,
            InitFlags::FUSE_BIG_WRITES,
            InitFlags::FUSE_MAX_PAGES,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_AUTO_INVAL_DATA,
            InitFlags::FUSE_CACHE_SYMLINKS,
            InitFlags::FUSE_HANDLE_KILLPRIV_V2,
        ] {
            let _ = config.add_capabilities(wanted);
        }
        if self.0.bridge.is_some() && config.add_capabilities(InitFlags::FUSE_POSIX_LOCKS).is_err() {
            return Err(Error::NotSupported("locks of this host").into());
        }
        let _ = config.set_max_write(1 << 20);
        if !config.capabilities().contains(InitFlags::FUSE_NO_OPEN_SUPPORT) {
            self.0.tells_opens.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(self, reply, self.0.tell(&self.0.look_up(req, parent, name)?),
            (attr, generation) => reply.entry(&self.0.ttl, &attr, generation));
    }

    fn forget(&self, _req: &Request, ino: INodeNo, times: u64) {
        self.0.table.forget(ino.0, times);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        answer!(self, reply, match self.0.at(ino)? {
            At::Top => Ok(self.0.top_attr()),
            At::Node(here) => Ok(self.0.attr(&here, &here.node.attr()?)),
        }, attr => reply.attr(&self.0.ttl, &attr));
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        accessed: Option<TimeOrNow>,
        modified: Option<TimeOrNow>,
        _changed: Option<SystemTime>,
        fh: Option<FileHandle>,
        _born: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let set = SetAttr {
            size,
            mode: mode.map(|mode| mode & 0o7777),
            uid,
            gid,
            accessed: accessed.map(set_time_of),
            modified: modified.map(set_time_of),
        };
        answer!(self, reply, self.0.set(req, ino, fh, set), attr => reply.attr(&self.0.ttl, &attr));
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        answer!(self, reply, self.0.node(ino)?.node.read_link(), target => reply.data(&target));
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        answer!(self, reply, self.0.make_node(req, parent, name, mode, rdev),
            (attr, generation) => reply.entry(&self.0.ttl, &attr, generation));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        answer!(self, reply, {
            let name = Name::new(name.as_bytes())?;
            self.0.made(parent, req, |dir, by| dir.node.mkdir(by, name, mode & 0o7777))
        }, (attr, generation) => reply.entry(&self.0.ttl, &attr, generation));
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(self, reply, self.0.unlink(req, parent, name), () => reply.ok());
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(self, reply, self.0.rmdir(req, parent, name), () => reply.ok());
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        answer!(self, reply, {
            let name = Name::new(name.as_bytes())?;
            let target = target.as_os_str().as_bytes();
            self.0.made(parent, req, |dir, by| dir.node.symlink(by, name, target))
        }, (attr, generation) => reply.entry(&self.0.ttl, &attr, generation));
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        answer!(self, reply, self.0.rename(req, (parent, name), (new_parent, new_name), flags), () => reply.ok());
    }

    fn link(&self, req: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(self, reply, self.0.link(req, ino, parent, name),
            (attr, generation) => reply.entry(&self.0.ttl, &attr, generation));
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if !self.0.tells_opens() {
            // The kernel does not ask again.
            reply.error(Errno::ENOSYS);
            return self.0.linger.answered();
        }
        answer!(self, reply, self.0.opened(&self.0.node(ino)?, flags),
            // What the host has of it is good as long as its time and length are what they were.
            handle => reply.opened(FileHandle(handle), FopenFlags::FOPEN_KEEP_CACHE));
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        answer!(self, reply, self.0.create(req, parent, name, mode, OpenFlags(flags)), (attr, generation, handle) => {
            let flags = FopenFlags::FOPEN_KEEP_CACHE;
            reply.created(&self.0.ttl, &attr, generation, FileHandle(handle), flags);
        });
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        self.0.table.reads();
        answer!(self, reply, self.0.file(ino, fh)?.read_bytes(offset, size as usize),
            data => reply.data(&data));
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        answer!(self, reply, self.0.write(req, (ino, fh), offset, data, write_flags, flags),
            written => reply.written(u32::try_from(written).unwrap_or(u32::MAX)));
    }

    /// Without locks the answer makes the host not ask again: there is nothing to do then when a descriptor is closed.
    fn flush(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, lock_owner: LockOwner, reply: ReplyEmpty) {
        let Some(bridge) = &self.0.bridge else { return reply.error(Errno::ENOSYS) };
        answer!(self, reply, self.0.handles.node_of(fh.0), node => {
            bridge.closed(node, lock_owner.0);
            reply.ok();
        });
    }

    fn getlk(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        _pid: u32,
        reply: ReplyLock,
    ) {
        let asked = Asked { owner: lock_owner.0, start, end, kind: typ };
        answer!(self, reply, self.0.lock_in_the_way(ino, asked), found => match found {
            // Whose it is has no number over there.
            Some((start, end, kind)) => reply.locked(start, end, kind, 0),
            None => reply.locked(start, end, libc::F_UNLCK, 0),
        });
    }

    fn setlk(
        &self,
        req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        lock_owner: LockOwner,
        start: u64,
        end: u64,
        typ: i32,
        _pid: u32,
        sleep: bool,
        reply: ReplyEmpty,
    ) {
        let asked = Asked { owner: lock_owner.0, start, end, kind: typ };
        answer!(self, reply, self.0.lock(ino, asked, sleep), waits => match waits {
            Some(wait) => answer_later(wait, req, reply),
            None => reply.ok(),
        });
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        match &self.0.bridge {
            None => self.0.handles.close(fh.0),
            Some(bridge) => {
                if let Some(node) = self.0.handles.close_last(fh.0) {
                    bridge.closed_by_all(node);
                }
            }
        }
        reply.ok();
        self.0.linger.answered();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer!(self, reply, self.0.file(ino, fh)?.sync(), () => reply.ok());
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if !self.0.tells_opens() {
            let mut flags = FopenFlags::FOPEN_CACHE_DIR;
            flags.set(FopenFlags::FOPEN_KEEP_CACHE, self.0.table.is_listed(ino.0));
            reply.opened(FileHandle(0), flags);
            return self.0.linger.answered();
        }
        answer!(self, reply, {
            let node = match self.0.at(ino)? {
                At::Node(here) if here.node.kind() != Kind::Directory => return Err(Error::NotADirectory),
                At::Node(here) => here.node.id(),
                At::Top => NodeId { fs: FsId::new(), ino: 0, generation: 0 },
            };
            Ok(self.0.handles.add(Open::Directory(Mutex::default()), node))
        }, handle => reply.opened(FileHandle(handle), FopenFlags::FOPEN_CACHE_DIR));
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.0.list(ino, fh, offset, |number, next, kind, name| {
            reply.add(INodeNo(number), next, type_of(kind), OsStr::from_bytes(name))
        });
        answer!(self, reply, listed, () => reply.ok());
    }

    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let listed = self.0.list_told(req, ino, fh, offset, &mut reply);
        answer!(self, reply, listed, () => reply.ok());
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.0.handles.close(fh.0);
        reply.ok();
        self.0.linger.answered();
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer!(self, reply, self.0.node(ino)?.node.sync(Reach::Node), () => reply.ok());
    }

    fn statfs(&self, _req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        answer!(self, reply, match self.0.at(ino)? {
            At::Top => Ok(None),
            At::Node(here) => here.node.stat_fs().map(Some),
        }, stat => holding(reply, stat.as_ref()));
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        answer!(self, reply, self.0.set_xattr(req, ino, name, value, flags), () => reply.ok());
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        answer!(self, reply, {
            let here = self.0.node(ino)?;
            here.node.xattr(&here.caller(req), name.as_bytes())
        }, value => sized(reply, &value, size));
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        answer!(self, reply, {
            // The host leaves it to us who sees what.
            let names = self.0.node(ino)?.node.list_xattrs(&Caller::user(req.uid(), req.gid()))?;
            Ok(names.into_iter().flat_map(|name| name.into_iter().chain([0])).collect::<Vec<u8>>())
        }, names => sized(reply, &names, size));
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(self, reply, {
            let here = self.0.node(ino)?;
            here.node.remove_xattr(&here.caller(req), name.as_bytes())
        }, () => reply.ok());
    }

    fn fallocate(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        answer!(self, reply, self.0.allocate((ino, fh), offset, len, mode), () => reply.ok());
    }

    fn lseek(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        answer!(self, reply, {
            let to = match whence {
                libc::SEEK_DATA => Seek::Data,
                libc::SEEK_HOLE => Seek::Hole,
                _ => return Err(Error::InvalidArgument("the host seeks otherwise by itself")),
            };
            let offset = u64::try_from(offset).map_err(|_| Error::PastEnd)?;
            self.0.file(ino, fh)?.seek(offset, to)
        }, found => reply.offset(found as i64));
    }
}
