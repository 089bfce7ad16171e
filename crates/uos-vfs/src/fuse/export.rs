//! Each request of the host's kernel, handed to the node that it is about.

use super::attr::{attr_of, set_time_of, special_of, type_of};
use super::handles::{Handles, Open};
use super::table::{Table, VIEWS, view_of};
use super::view::View;
use crate::{
    Access, Allocate, Attr, Caller, Error, Kind, Name, NodeId, NodeRef, OpenFile, Owner, Reach, Rename,
    Result, Seek, SetAttr, SetXattr,
};
use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyLseek, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// The number of what is at the mount point itself.
const TOP: u64 = 1;
/// The view that is there, if there is only one.
const WHOLE: u16 = 1;
/// Sizes are told to the host in units of this.
const BLOCK: u64 = 4096;

/// What the threads that serve and the one that mounted have in common.
#[derive(Debug)]
pub(super) struct Shared {
    table: Table,
    handles: Handles,
    views: RwLock<Views>,
    has_whole: bool,
    /// Whether the kernel tells who opens and closes what. Asking each time costs most of what reading a small
    /// file does that the kernel has in its memory.
    tells_opens: AtomicBool,
    ttl: Duration,
    mounted: SystemTime,
}

#[derive(Debug)]
struct Views {
    by_index: HashMap<u16, Arc<View>>,
    by_name: BTreeMap<Vec<u8>, u16>,
    /// Not given out before: a number of a view that is gone must not become another's.
    next: u16,
}

/// What a number stands for.
enum At {
    /// The directory of views.
    Top,
    Node(Here),
}

/// A node as seen in a view.
struct Here {
    node: NodeRef,
    index: u16,
    view: Arc<View>,
}

impl Shared {
    pub(super) fn new(whole: Option<View>, tells_opens: bool, ttl: Duration) -> Self {
        let has_whole = whole.is_some();
        let by_index = whole.into_iter().map(|view| (WHOLE, Arc::new(view))).collect();
        let views = RwLock::new(Views { by_index, by_name: BTreeMap::new(), next: WHOLE + 1 });
        let (table, handles) = (Table::default(), Handles::default());
        let tells_opens = AtomicBool::new(tells_opens);
        Shared { table, handles, views, has_whole, tells_opens, ttl, mounted: SystemTime::now() }
    }

    pub(super) fn add_view(&self, name: Name<'_>, view: View) -> Result<()> {
        if self.has_whole {
            return Err(Error::NotSupported("views where the mount point itself is one"));
        }
        let mut views = self.views.write();
        if views.by_name.contains_key(name.as_bytes()) {
            return Err(Error::Exists);
        }
        let index = views.next;
        if index == VIEWS {
            return Err(Error::NoSpace { capacity: VIEWS.into(), used: VIEWS.into(), asked: 1 });
        }
        views.next += 1;
        views.by_name.insert(name.as_bytes().to_vec(), index);
        views.by_index.insert(index, Arc::new(view));
        Ok(())
    }

    pub(super) fn remove_view(&self, name: Name<'_>) -> Result<()> {
        let mut views = self.views.write();
        let index = views.by_name.remove(name.as_bytes()).ok_or(Error::NotFound)?;
        let gone = views.by_index.remove(&index);
        drop(views);
        self.table.forget_view(index);
        drop(gone);
        Ok(())
    }

    pub(super) fn numbers_of(&self, id: NodeId) -> Vec<u64> {
        let views = self.views.read();
        let mut numbers = self.table.numbers_of(id, views.by_index.keys().copied());
        if let Some(whole) = views.by_index.get(&WHOLE).filter(|_| self.has_whole)
            && whole.root.id() == id
        {
            numbers.push(TOP);
        }
        numbers
    }

    fn at(&self, number: INodeNo) -> Result<At> {
        let number = number.0;
        if number == TOP && !self.has_whole {
            return Ok(At::Top);
        }
        let index = if number == TOP { WHOLE } else { view_of(number) };
        let view = self.views.read().by_index.get(&index).cloned().ok_or(Error::Stale)?;
        let node = match number {
            TOP => NodeRef::clone(&view.root),
            _ => self.table.get(number).ok_or(Error::Stale)?,
        };
        Ok(At::Node(Here { node, index, view }))
    }

    /// A node that is no directory of views.
    fn node(&self, number: INodeNo) -> Result<Here> {
        match self.at(number)? {
            At::Node(here) => Ok(here),
            At::Top => Err(Error::NotPermitted),
        }
    }

    fn top_attr(&self) -> FileAttr {
        let time = self.mounted;
        FileAttr {
            ino: INodeNo(TOP),
            size: 0,
            blocks: 0,
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: FileType::Directory,
            perm: 0o755,
            nlink: 2,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            rdev: 0,
            blksize: BLOCK as u32,
            flags: 0,
        }
    }

    fn number(&self, here: &Here) -> u64 {
        if self.has_whole && here.node.id() == here.view.root.id() {
            TOP
        } else {
            self.table.number(here.index, here.node.id())
        }
    }

    fn attr(&self, here: &Here, attr: &Attr) -> FileAttr {
        attr_of(self.number(here), attr)
    }

    fn look_up(&self, req: &Request, parent: INodeNo, name: &OsStr) -> Result<Here> {
        let name = Name::new(name.as_bytes())?;
        match self.at(parent)? {
            At::Top => {
                let views = self.views.read();
                let index = *views.by_name.get(name.as_bytes()).ok_or(Error::NotFound)?;
                let view = views.by_index.get(&index).cloned().ok_or(Error::NotFound)?;
                Ok(Here { node: NodeRef::clone(&view.root), index, view })
            }
            At::Node(dir) => {
                let node = dir.node.lookup(&dir.caller(req), name)?;
                Ok(dir.beside(node))
            }
        }
    }

    /// The kernel is told of a node.
    fn tell(&self, here: &Here) -> Result<(FileAttr, Generation)> {
        let attr = here.node.attr()?;
        let told = self.attr(here, &attr);
        if told.ino.0 != TOP {
            self.table.tell(told.ino.0, &here.node);
        }
        Ok((told, Generation(attr.id.generation)))
    }

    fn made(
        &self,
        parent: INodeNo,
        req: &Request,
        make: impl FnOnce(&Here, &Caller) -> Result<NodeRef>,
    ) -> Result<(FileAttr, Generation)> {
        let dir = self.node(parent)?;
        let node = make(&dir, &dir.caller(req))?;
        self.tell(&dir.beside(node))
    }

    fn opened(&self, here: &Here, flags: OpenFlags) -> Result<u64> {
        let access = match flags.acc_mode() {
            OpenAccMode::O_RDONLY => Access::Read,
            OpenAccMode::O_WRONLY => Access::Write,
            OpenAccMode::O_RDWR => Access::ReadWrite,
        };
        // The host has judged, also whoever may use what was just made whatever its mode.
        let by = Caller::ROOT.judged_before();
        let file = NodeRef::clone(&here.node).open(&by, access)?;
        Ok(self.handles.add(Open::File(file)))
    }

    fn tells_opens(&self) -> bool {
        self.tells_opens.load(Ordering::Relaxed)
    }

    fn file(&self, ino: INodeNo, handle: FileHandle) -> Result<Arc<dyn OpenFile>> {
        match handle.0 {
            0 => self.table.file(ino.0),
            handle => Ok(Arc::clone(self.handles.get(handle)?.file()?)),
        }
    }

    fn set(&self, req: &Request, ino: INodeNo, fh: Option<FileHandle>, mut set: SetAttr) -> Result<FileAttr> {
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
    fn lend_no_more(&self, req: &Request, here: &Here) -> Result<()> {
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

    /// The entries of a directory from one on, until `sink` has enough: number, where the next one is, kind
    /// and name. The dots come first.
    fn list(
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
}

impl Here {
    fn caller(&self, req: &Request) -> Caller {
        match &self.view.caller {
            Some(caller) => caller.clone(),
            None => Caller::user(req.uid(), req.gid()).judged_before(),
        }
    }

    /// Another node of the same view, or what is mounted on it.
    fn beside(&self, node: NodeRef) -> Here {
        let covering = match node.kind() {
            Kind::Directory => self.view.crossings.covering(&node),
            _ => None,
        };
        Here { node: covering.unwrap_or(node), index: self.index, view: Arc::clone(&self.view) }
    }
}

pub(super) struct Export(Arc<Shared>);

impl Export {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Export(Arc::clone(shared))
    }
}

fn errno(error: &Error) -> Errno {
    Errno::from_i32(error.errno())
}

/// What several steps come to, which `?` may leave.
fn tried<T>(steps: impl FnOnce() -> Result<T>) -> Result<T> {
    steps()
}

/// Answers with what came of it, or its error.
macro_rules! answer {
    ($reply:ident, $result:expr, $value:pat => $said:expr) => {
        match tried(|| $result) {
            Ok($value) => $said,
            Err(error) => $reply.error(errno(&error)),
        }
    };
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
        let _ = config.set_max_write(1 << 20);
        let stateless = InitFlags::FUSE_NO_OPEN_SUPPORT | InitFlags::FUSE_NO_OPENDIR_SUPPORT;
        if !config.capabilities().contains(stateless) {
            self.0.tells_opens.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn lookup(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(reply, self.0.tell(&self.0.look_up(req, parent, name)?),
            (attr, generation) => reply.entry(&self.0.ttl, &attr, generation));
    }

    fn forget(&self, _req: &Request, ino: INodeNo, times: u64) {
        self.0.table.forget(ino.0, times);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, match self.0.at(ino)? {
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
        answer!(reply, self.0.set(req, ino, fh, set), attr => reply.attr(&self.0.ttl, &attr));
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        answer!(reply, self.0.node(ino)?.node.read_link(), target => reply.data(&target));
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
        answer!(reply, {
            let special = special_of(mode, rdev).ok_or(Error::InvalidArgument("no such kind of file"))?;
            let name = Name::new(name.as_bytes())?;
            self.0.made(parent, req, |dir, by| match special {
                None => dir.node.create(by, name, mode & 0o7777),
                Some(special) => dir.node.mknod(by, name, special, mode & 0o7777),
            })
        }, (attr, generation) => reply.entry(&self.0.ttl, &attr, generation));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        answer!(reply, {
            let name = Name::new(name.as_bytes())?;
            self.0.made(parent, req, |dir, by| dir.node.mkdir(by, name, mode & 0o7777))
        }, (attr, generation) => reply.entry(&self.0.ttl, &attr, generation));
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, {
            let dir = self.0.node(parent)?;
            dir.node.unlink(&dir.caller(req), Name::new(name.as_bytes())?)
        }, () => reply.ok());
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, {
            let dir = self.0.node(parent)?;
            let (by, name) = (dir.caller(req), Name::new(name.as_bytes())?);
            // What is mounted on is not there to be removed.
            if dir.view.crossings.covering(&dir.node.lookup(&by, name)?).is_some() {
                return Err(Error::Busy);
            }
            dir.node.rmdir(&by, name)
        }, () => reply.ok());
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        answer!(reply, {
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
        answer!(reply, {
            let how = match flags {
                flags if flags.is_empty() => Rename::Replace,
                RenameFlags::RENAME_NOREPLACE => Rename::NoReplace,
                RenameFlags::RENAME_EXCHANGE => Rename::Exchange,
                _ => return Err(Error::InvalidArgument("no such way to rename")),
            };
            let (from, to) = (self.0.node(parent)?, self.0.node(new_parent)?);
            if from.index != to.index || from.node.id().fs != to.node.id().fs {
                return Err(Error::CrossDevice);
            }
            let (name, new_name) = (Name::new(name.as_bytes())?, Name::new(new_name.as_bytes())?);
            from.node.rename(&from.caller(req), name, &to.node, new_name, how)
        }, () => reply.ok());
    }

    fn link(&self, req: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(reply, {
            let (node, dir) = (self.0.node(ino)?, self.0.node(parent)?);
            if node.index != dir.index {
                return Err(Error::CrossDevice);
            }
            dir.node.link(&dir.caller(req), Name::new(name.as_bytes())?, &node.node)?;
            self.0.tell(&node)
        }, (attr, generation) => reply.entry(&self.0.ttl, &attr, generation));
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        if !self.0.tells_opens() {
            // The kernel does not ask again.
            return reply.error(Errno::ENOSYS);
        }
        answer!(reply, self.0.opened(&self.0.node(ino)?, flags),
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
        answer!(reply, {
            let dir = self.0.node(parent)?;
            let node = dir.node.create(&dir.caller(req), Name::new(name.as_bytes())?, mode & 0o7777)?;
            let here = dir.beside(node);
            let handle = if self.0.tells_opens() { self.0.opened(&here, OpenFlags(flags))? } else { 0 };
            let told = self.0.tell(&here);
            let (attr, generation) = told.inspect_err(|_| self.0.handles.close(handle))?;
            Ok((attr, generation, handle))
        }, (attr, generation, handle) => {
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
        answer!(reply, self.0.file(ino, fh)?.read_bytes(offset, size as usize),
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
        answer!(reply, {
            if write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID) {
                self.0.lend_no_more(req, &self.0.node(ino)?)?;
            }
            let file = self.0.file(ino, fh)?;
            if flags.0 & libc::O_APPEND != 0 {
                // Where the end is the host may not know.
                file.append(data).map(|_| data.len())
            } else {
                file.write_at(offset, data)
            }
        }, written => reply.written(u32::try_from(written).unwrap_or(u32::MAX)));
    }

    /// The answer makes the host not ask again: there is nothing to do when a descriptor is closed.
    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
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
        self.0.handles.close(fh.0);
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer!(reply, self.0.file(ino, fh)?.sync(), () => reply.ok());
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if !self.0.tells_opens() {
            return reply.error(Errno::ENOSYS);
        }
        answer!(reply, {
            if let At::Node(here) = self.0.at(ino)?
                && here.node.kind() != Kind::Directory
            {
                return Err(Error::NotADirectory);
            }
            Ok(self.0.handles.add(Open::Directory(Mutex::default())))
        }, handle => reply.opened(FileHandle(handle), FopenFlags::FOPEN_CACHE_DIR));
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let listed = self.0.list(ino, fh, offset, |number, next, kind, name| {
            reply.add(INodeNo(number), next, type_of(kind), OsStr::from_bytes(name))
        });
        answer!(reply, listed, () => reply.ok());
    }

    fn readdirplus(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let shared = &*self.0;
        let listed = shared.list(ino, fh, offset, |_, next, _, name| {
            let name = OsStr::from_bytes(name);
            if name == "." || name == ".." {
                // The host takes nothing from these, and does not count them as told.
                return reply.add(ino, next, name, &shared.ttl, &shared.top_attr(), Generation(0));
            }
            // Whatever has gone since it was listed is left out.
            let Ok(here) = shared.look_up(req, ino, name) else { return false };
            let Ok(attr) = here.node.attr() else { return false };
            let (told, generation) = (shared.attr(&here, &attr), Generation(attr.id.generation));
            let full = reply.add(told.ino, next, name, &shared.ttl, &told, generation);
            if !full {
                shared.table.tell(told.ino.0, &here.node);
            }
            full
        });
        answer!(reply, listed, () => reply.ok());
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
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        answer!(reply, self.0.node(ino)?.node.sync(Reach::Node), () => reply.ok());
    }

    fn statfs(&self, _req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        answer!(reply, match self.0.at(ino)? {
            At::Top => Ok(None),
            At::Node(here) => here.node.stat_fs().map(Some),
        }, stat => match stat {
            None => reply.statfs(0, 0, 0, 0, 0, BLOCK as u32, 255, BLOCK as u32),
            Some(stat) => {
                let blocks = |bytes: u64| bytes.min(i64::MAX as u64) / BLOCK;
                let nodes = |nodes: u64| nodes.min(i64::MAX as u64);
                reply.statfs(
                    blocks(stat.bytes_total),
                    blocks(stat.bytes_free),
                    blocks(stat.bytes_available),
                    nodes(stat.nodes_total),
                    nodes(stat.nodes_free),
                    BLOCK as u32,
                    stat.name_max,
                    BLOCK as u32,
                );
            }
        });
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
        answer!(reply, {
            let here = self.0.node(ino)?;
            let how = match flags {
                0 => SetXattr::Any,
                libc::XATTR_CREATE => SetXattr::New,
                libc::XATTR_REPLACE => SetXattr::Replace,
                _ => return Err(Error::InvalidArgument("both new and not new")),
            };
            here.node.set_xattr(&here.caller(req), name.as_bytes(), value, how)
        }, () => reply.ok());
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        answer!(reply, {
            let here = self.0.node(ino)?;
            here.node.xattr(&here.caller(req), name.as_bytes())
        }, value => sized(reply, &value, size));
    }

    fn listxattr(&self, req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        answer!(reply, {
            // The host leaves it to us who sees what.
            let names = self.0.node(ino)?.node.list_xattrs(&Caller::user(req.uid(), req.gid()))?;
            Ok(names.into_iter().flat_map(|name| name.into_iter().chain([0])).collect::<Vec<u8>>())
        }, names => sized(reply, &names, size));
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        answer!(reply, {
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
        const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        const ZERO_KEEPING: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;
        answer!(reply, {
            let how = match mode {
                0 => Allocate::Reserve,
                libc::FALLOC_FL_KEEP_SIZE => Allocate::ReserveKeepingLength,
                PUNCH => Allocate::Punch,
                libc::FALLOC_FL_ZERO_RANGE => Allocate::Zero,
                ZERO_KEEPING => Allocate::ZeroKeepingLength,
                _ => return Err(Error::NotSupported("allocating in that way")),
            };
            self.0.file(ino, fh)?.allocate(offset, len, how)
        }, () => reply.ok());
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
        answer!(reply, {
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

/// Answers with a value, or with how long it is if nobody has room for it yet.
fn sized(reply: ReplyXattr, value: &[u8], size: u32) {
    match size {
        0 => reply.size(value.len() as u32),
        size if value.len() > size as usize => reply.error(Errno::ERANGE),
        _ => reply.data(value),
    }
}
