//! Writing a snapshot to a store. From one that is stored already only what has changed since is looked at.

use super::content::Content;
use super::diff::{Touched, touched};
use super::inode::{Body, Inode};
use super::saved::{Entry, Layout, MAGIC, Reader, Saved};
use super::snapshot::{Snapshot, View};
use super::xattrs::Xattrs;
use crate::store::{ChunkId, ChunkStore, damaged};
use crate::{Kind, Result};
use std::collections::HashMap;
use std::sync::Arc;

impl Snapshot {
    /// Writes all of it to a store, and says which chunk stands for it. Chunks that the store has are not
    /// written again. Give it a name there to find it by ([`ChunkStore::set_root`]); until then an interrupted
    /// or failed export has left chunks that nothing leads to, and nothing else.
    ///
    /// # Errors
    /// Those of the store.
    pub fn export(&self, store: &dyn ChunkStore) -> Result<ChunkId> {
        Export { store, view: &self.view, touched: None }.all(None)
    }

    /// The same, from another snapshot of this filesystem, which the store has as `saved`: nothing is looked
    /// at but what has changed between the two, and the directories that holds.
    ///
    /// # Errors
    /// Those of the store, and `EBADMSG` as [`Error::Io`](crate::Error::Io) if `saved` does not stand for a
    /// filesystem.
    pub fn export_since(&self, store: &dyn ChunkStore, base: &Snapshot, saved: ChunkId) -> Result<ChunkId> {
        if !Arc::ptr_eq(&base.view.root, &self.view.root) {
            return self.export(store);
        }
        let old = read_root(store, saved)?;
        let touched = Some(touched(&base.view, &self.view));
        Export { store, view: &self.view, touched }.all(Some(&old))
    }
}

pub(super) fn read_root(store: &dyn ChunkStore, id: ChunkId) -> Result<Entry> {
    let data = store.get(id)?;
    let mut input = Reader(data.strip_prefix(MAGIC).ok_or_else(damaged)?);
    let root = Entry::read(&mut input)?;
    if input.is_empty() && root.name.is_empty() && root.owner.kind == Kind::Directory {
        Ok(root)
    } else {
        Err(damaged())
    }
}

/// The ids in a list.
pub(super) fn read_pages(store: &dyn ChunkStore, layout: Layout) -> Result<Vec<ChunkId>> {
    Ok(match layout {
        Layout::Nothing => Vec::new(),
        Layout::One(id) => vec![id],
        Layout::List(id) => {
            let data = store.get(id)?;
            let mut input = Reader(&data);
            let mut ids = Vec::new();
            while !input.is_empty() {
                ids.push(ChunkId::from_bytes(input.take()?));
            }
            ids
        }
    })
}

struct Export<'a> {
    store: &'a dyn ChunkStore,
    view: &'a View,
    /// What is not as it was in what is stored; `None` if nothing is.
    touched: Option<Touched>,
}

/// A directory being written, while those below it are.
struct Level {
    /// Its own entry, which lacks the layout yet.
    entry: Entry,
    /// What was stored of it.
    old: HashMap<Vec<u8>, Entry>,
    /// What it has left to write, the next one last.
    left: Vec<(Box<[u8]>, Arc<Inode>)>,
    page: Vec<u8>,
    pages: Vec<ChunkId>,
}

impl Export<'_> {
    /// In a loop: how deep directories lie is up to others.
    fn all(&self, old: Option<&Entry>) -> Result<ChunkId> {
        let old = old.map(|old| &old.body);
        let mut levels = vec![self.begin(&self.view.root, Vec::new(), old)?];
        loop {
            let Some(level) = levels.last_mut() else { return Err(damaged()) };
            if let Some((name, node)) = level.left.pop() {
                let old = level.old.get(&name[..]).filter(|old| old.ino == node.ino());
                if let Some(old) = old.filter(|_| !self.is_touched(node.ino())) {
                    let old = old.clone();
                    self.add(level, &old)?;
                } else if node.kind() == Kind::Directory {
                    let old = old.map(|old| old.body.clone());
                    let below = self.begin(&node, name.into(), old.as_ref())?;
                    levels.push(below);
                } else {
                    let entry = self.entry(&node, name.into())?;
                    self.add(level, &entry)?;
                }
                continue;
            }
            let Some(mut done) = levels.pop() else { return Err(damaged()) };
            self.end_page(&mut done)?;
            done.entry.body = Saved::Directory(self.list(&done.pages)?);
            match levels.last_mut() {
                Some(above) => self.add(above, &done.entry)?,
                None => {
                    let mut root = MAGIC.to_vec();
                    done.entry.write(&mut root);
                    return self.put(&root);
                }
            }
        }
    }

    fn is_touched(&self, ino: u64) -> bool {
        self.touched
            .as_ref()
            .is_none_or(|touched| touched.nodes.contains(&ino) || touched.above.contains(&ino))
    }

    fn begin(&self, dir: &Arc<Inode>, name: Vec<u8>, old: Option<&Saved>) -> Result<Level> {
        let mut stored = HashMap::new();
        if let Some(Saved::Directory(layout)) = old {
            for page in read_pages(self.store, *layout)? {
                let data = self.store.get(page)?;
                let mut input = Reader(&data);
                while !input.is_empty() {
                    let entry = Entry::read(&mut input)?;
                    stored.insert(entry.name.clone(), entry);
                }
            }
        }
        dir.filled();
        let mut left: Vec<_> = {
            let state = dir.state.read();
            let listed = state.directory()?.list_at(self.view.epoch(), 0);
            listed.into_iter().map(|entry| (entry.name, entry.node)).collect()
        };
        left.sort_unstable_by(|one, other| other.0.cmp(&one.0));
        let entry = self.entry(dir, name)?;
        Ok(Level { entry, old: stored, left, page: Vec::new(), pages: Vec::new() })
    }

    fn add(&self, level: &mut Level, entry: &Entry) -> Result<()> {
        entry.write(&mut level.page);
        if Entry::ends_page(&entry.name, &level.page) { self.end_page(level) } else { Ok(()) }
    }

    fn end_page(&self, level: &mut Level) -> Result<()> {
        if !level.page.is_empty() {
            level.pages.push(self.put(&level.page)?);
            level.page.clear();
        }
        Ok(())
    }

    /// A node as it was, with its content stored if it is a file, and without a layout if it is a directory.
    fn entry(&self, node: &Inode, name: Vec<u8>) -> Result<Entry> {
        let epoch = self.view.epoch();
        let state = node.state.read();
        let version = state.version_at(epoch);
        let meta = version.map_or(state.meta, |version| version.meta);
        let xattrs = match version {
            Some(version) => Some(&version.xattrs),
            None => state.extra.as_ref().map(|extra| &extra.xattrs),
        };
        let xattrs = xattrs.map_or_else(Vec::new, |xattrs| Xattrs::pairs(xattrs));
        let mut content = Content::default();
        let mut body = match &state.body {
            Body::File(now) => {
                content = version.map_or(now, |version| &version.content).clone();
                Saved::File(content.len(), Layout::Nothing)
            }
            Body::Directory(_) => Saved::Directory(Layout::Nothing),
            Body::Symlink(target) => Saved::Symlink(target.to_vec()),
            Body::Special(special) => Saved::Special(*special),
        };
        let owner = node.owner(&meta);
        drop(state);
        // Stored without the lock: a store may be slow.
        if let Saved::File(len, _) = body {
            let layout = self.content(&content);
            node.give_bytes_back(content.release());
            body = Saved::File(len, layout?);
        }
        let linked = owner.kind != Kind::Directory && meta.nlink > 1;
        Ok(Entry { name, ino: node.ino(), owner, times: Entry::times_of(&meta), xattrs, linked, body })
    }

    fn content(&self, content: &Content) -> Result<Layout> {
        let mut list = Vec::new();
        let mut only = None;
        for (index, chunk) in content.chunks() {
            let id = self.put(chunk)?;
            only = if index == 0 { Some(id) } else { None };
            list.extend_from_slice(&index.to_le_bytes());
            list.extend_from_slice(id.as_bytes());
        }
        Ok(match only {
            Some(id) => Layout::One(id),
            None if list.is_empty() => Layout::Nothing,
            None => Layout::List(self.put(&list)?),
        })
    }

    fn list(&self, pages: &[ChunkId]) -> Result<Layout> {
        Ok(match pages {
            [] => Layout::Nothing,
            [one] => Layout::One(*one),
            several => {
                let list: Vec<u8> = several.iter().flat_map(|id| *id.as_bytes()).collect();
                Layout::List(self.put(&list)?)
            }
        })
    }

    fn put(&self, data: &[u8]) -> Result<ChunkId> {
        let id = ChunkId::of(data);
        self.store.put(id, data)?;
        Ok(id)
    }
}
