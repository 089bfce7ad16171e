//! What is known of a mount: its views, the nodes that the host has been told of, and what is open.

use super::attr::attr_of;
use super::handles::{Handles, Open};
use super::linger::Linger;
use super::locks::Bridge;
use super::table::{Table, VIEWS, view_of};
use super::view::View;
use crate::{Access, Attr, Caller, Error, Kind, Name, NodeId, NodeRef, OpenFile, Result};
use fuser::{FileAttr, FileHandle, FileType, Generation, INodeNo, OpenAccMode, OpenFlags, Request};
use parking_lot::RwLock;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

/// The number of what is at the mount point itself.
const TOP: u64 = 1;
/// The view that is there, if there is only one.
const WHOLE: u16 = 1;
/// Sizes are told to the host in units of this.
pub(super) const BLOCK: u64 = 4096;

thread_local! {
    /// For whom this thread is at work: the mount and the view whose request it serves. It serves no others.
    static SERVES: Cell<Option<(usize, u16)>> = const { Cell::new(None) };
}

/// What the threads that serve and the one that mounted have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) table: Table,
    pub(super) handles: Handles,
    pub(super) views: RwLock<Views>,
    has_whole: bool,
    /// Whether the kernel tells who opens and closes what. Asking each time costs most of what reading a small
    /// file does that the kernel has in its memory.
    pub(super) tells_opens: AtomicBool,
    pub(super) ttl: Duration,
    /// Where locks of the host's processes are kept, if not by the host.
    pub(super) bridge: Option<Bridge>,
    pub(super) linger: Linger,
    mounted: SystemTime,
}

#[derive(Debug)]
pub(super) struct Views {
    pub(super) by_index: HashMap<u16, Arc<View>>,
    pub(super) by_name: BTreeMap<Vec<u8>, u16>,
    /// Not given out before: a number of a view that is gone must not become another's.
    next: u16,
}

/// What a number stands for.
pub(super) enum At {
    /// The directory of views.
    Top,
    Node(Here),
}

/// A node as seen in a view.
pub(super) struct Here {
    pub(super) node: NodeRef,
    pub(super) index: u16,
    pub(super) view: Arc<View>,
}

impl Shared {
    pub(super) fn new(whole: Option<View>, tells_opens: bool, ttl: Duration, bridge: Option<Bridge>) -> Self {
        let has_whole = whole.is_some();
        let by_index = whole.into_iter().map(|view| (WHOLE, Arc::new(view))).collect();
        let views = RwLock::new(Views { by_index, by_name: BTreeMap::new(), next: WHOLE + 1 });
        let (table, handles) = (Table::default(), Handles::default());
        let tells_opens = AtomicBool::new(tells_opens);
        let (linger, mounted) = (Linger::new(), SystemTime::now());
        Shared { table, handles, views, has_whole, tells_opens, ttl, bridge, linger, mounted }
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

    /// By which numbers the host knows a node.
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

    /// The same but in the view whose request this thread serves: of that the host knows what it has asked for.
    pub(super) fn known_otherwise(&self, id: NodeId) -> Vec<u64> {
        let own = SERVES.get().filter(|(mount, _)| *mount == self.address()).map(|(_, index)| index);
        if self.has_whole && own.is_some() {
            return Vec::new();
        }
        let mut numbers = self.numbers_of(id);
        numbers.retain(|number| Some(self.index_of(*number)) != own);
        numbers
    }

    /// All numbers the host knows something by.
    pub(super) fn all_numbers(&self) -> Vec<u64> {
        let mut numbers = self.table.all_numbers();
        numbers.push(TOP);
        numbers
    }

    fn index_of(&self, number: u64) -> u16 {
        if number == TOP { WHOLE } else { view_of(number) }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// This thread is at work for the view of this number from now on.
    fn serve(&self, number: u64) -> u16 {
        let index = self.index_of(number);
        SERVES.set(Some((self.address(), index)));
        index
    }

    pub(super) fn at(&self, number: INodeNo) -> Result<At> {
        let number = number.0;
        if number == TOP && !self.has_whole {
            return Ok(At::Top);
        }
        let index = self.serve(number);
        let view = self.views.read().by_index.get(&index).cloned().ok_or(Error::Stale)?;
        let node = match number {
            TOP => NodeRef::clone(&view.root),
            _ => self.table.get(number).ok_or(Error::Stale)?,
        };
        Ok(At::Node(Here { node, index, view }))
    }

    /// A node that is no directory of views.
    pub(super) fn node(&self, number: INodeNo) -> Result<Here> {
        match self.at(number)? {
            At::Node(here) => Ok(here),
            At::Top => Err(Error::NotPermitted),
        }
    }

    pub(super) fn top_attr(&self) -> FileAttr {
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

    pub(super) fn attr(&self, here: &Here, attr: &Attr) -> FileAttr {
        attr_of(self.number(here), attr)
    }

    pub(super) fn look_up(&self, req: &Request, parent: INodeNo, name: &OsStr) -> Result<Here> {
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
    pub(super) fn tell(&self, here: &Here) -> Result<(FileAttr, Generation)> {
        let number = self.number(here);
        // Before it is looked at: what changes after that is told to whom it is known to.
        if number != TOP {
            self.table.tell(number, &here.node);
        }
        let attr = here.node.attr().inspect_err(|_| self.table.forget(number, 1))?;
        Ok((attr_of(number, &attr), Generation(attr.id.generation)))
    }

    pub(super) fn opened(&self, here: &Here, flags: OpenFlags) -> Result<u64> {
        let access = match flags.acc_mode() {
            OpenAccMode::O_RDONLY => Access::Read,
            OpenAccMode::O_WRONLY => Access::Write,
            OpenAccMode::O_RDWR => Access::ReadWrite,
        };
        // The host has judged, also whoever may use what was just made whatever its mode.
        let by = Caller::ROOT.judged_before();
        let file = NodeRef::clone(&here.node).open(&by, access)?;
        Ok(self.handles.add(Open::File(file), here.node.id()))
    }

    pub(super) fn tells_opens(&self) -> bool {
        self.tells_opens.load(Ordering::Relaxed)
    }

    pub(super) fn file(&self, ino: INodeNo, handle: FileHandle) -> Result<Arc<dyn OpenFile>> {
        self.serve(ino.0);
        match handle.0 {
            0 => self.table.file(ino.0),
            handle => Ok(Arc::clone(self.handles.get(handle)?.file()?)),
        }
    }
}

impl Here {
    pub(super) fn caller(&self, req: &Request) -> Caller {
        match &self.view.caller {
            Some(caller) => caller.clone(),
            None => Caller::user(req.uid(), req.gid()).judged_before(),
        }
    }

    /// Another node of the same view, or what is mounted on it.
    pub(super) fn beside(&self, node: NodeRef) -> Here {
        let covering = match node.kind() {
            Kind::Directory => self.view.crossings.covering(&node),
            _ => None,
        };
        Here { node: covering.unwrap_or(node), index: self.index, view: Arc::clone(&self.view) }
    }
}
