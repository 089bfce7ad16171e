//! Reading a filesystem from a store.

use super::content::{CHUNK, Content, LEN_MAX};
use super::directory::Directory;
use super::export::{read_pages, read_root};
use super::inode::{Body, Extra, Home, Inode, Meta, State};
use super::saved::{Entry, Layout, Reader, Saved};
use super::space::{Hold, Lane, Space};
use super::xattrs::Xattrs;
use super::{MemFs, MemFsBuilder};
use crate::path::check_target;
use crate::store::{ChunkId, ChunkStore, damaged};
use crate::{Error, Kind, Result};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

impl MemFsBuilder {
    /// The filesystem that a store has as `id`, with the same numbers, owners and times.
    ///
    /// # Errors
    /// Those of the store; [`Error::NoSpace`] if it is larger than the capacity; `EBADMSG` as [`Error::Io`]
    /// for what no filesystem is written down as. Whatever is found, nothing is left behind.
    pub fn import(self, store: &dyn ChunkStore, id: ChunkId) -> Result<MemFs> {
        let hold = Arc::new(Hold::new(self.capacity_bytes, self.capacity_nodes));
        let space = Arc::new(Space::new(Arc::clone(&hold), self.link_max, self.clock));
        let mut import = Import { store, linked: HashMap::new(), last_ino: 0 };
        let entry = read_root(store, id)?;
        let root = import.node(&Lane::new(&space), &entry, Home::default())?;
        let mut left = vec![(Arc::clone(&root), entry)];
        while let Some((dir, entry)) = left.pop() {
            import.fill(&dir, &entry, &mut left)?;
        }
        // Those who come next get other numbers.
        hold.skip_inos(import.last_ino);
        Ok(MemFs::new(root))
    }
}

struct Import<'a> {
    store: &'a dyn ChunkStore,
    /// Files with several names, by number.
    linked: HashMap<u64, Arc<Inode>>,
    last_ino: u64,
}

impl Import<'_> {
    fn fill(&mut self, dir: &Arc<Inode>, entry: &Entry, left: &mut Vec<(Arc<Inode>, Entry)>) -> Result<()> {
        let Saved::Directory(layout) = entry.body else { return Err(damaged()) };
        let mut state = dir.state.write();
        for page in read_pages(self.store, layout)? {
            let data = self.store.get(page)?;
            let mut input = Reader(&data);
            while !input.is_empty() {
                let entry = Entry::read(&mut input)?;
                let directory = state.directory_mut()?;
                if entry.name.is_empty() || directory.get(&entry.name).is_some() {
                    return Err(damaged());
                }
                directory.check_room()?;
                directory.lane.take_node()?;
                let lane = Arc::clone(&directory.lane);
                let home = Home { dir: Weak::clone(&dir.me), cookie: directory.next_cookie() };
                let made = self.named(&lane, &entry, home);
                let node = made.inspect_err(|_| lane.give_nodes_back(1))?;
                directory.insert(&entry.name, Arc::clone(&node), 0);
                if node.kind() == Kind::Directory {
                    state.meta.nlink += 1;
                    left.push((node, entry));
                }
            }
        }
        Ok(())
    }

    /// The node of an entry, for which a node is counted.
    fn named(&mut self, lane: &Arc<Lane>, entry: &Entry, home: Home) -> Result<Arc<Inode>> {
        let Some(node) = self.linked.get(&entry.ino).filter(|_| entry.linked) else {
            let node = self.node(lane, entry, home)?;
            if entry.linked {
                self.linked.insert(entry.ino, Arc::clone(&node));
            }
            return Ok(node);
        };
        if node.kind() != entry.owner.kind || node.kind() == Kind::Directory {
            return Err(damaged());
        }
        node.state.write().meta.nlink += 1;
        Ok(Arc::clone(node))
    }

    fn node(&mut self, lane: &Arc<Lane>, entry: &Entry, home: Home) -> Result<Arc<Inode>> {
        if entry.ino == 0 || entry.ino > u64::MAX / 2 {
            return Err(damaged());
        }
        self.last_ino = self.last_ino.max(entry.ino);
        let xattrs = Xattrs::from_pairs(&entry.xattrs);
        let extra = if entry.xattrs.is_empty() {
            None
        } else {
            lane.take_bytes(xattrs.bytes())?;
            Some(Box::new(Extra { xattrs: Arc::new(xattrs), ..Extra::default() }))
        };
        let made = self.body(lane, &entry.body);
        let body = made.inspect_err(|_| {
            lane.give_bytes_back(extra.as_ref().map_or(0, |extra| extra.xattrs.bytes()));
        })?;
        let meta = Meta::restored(entry.owner, entry.times);
        Ok(Inode::with(lane, None, entry.ino, entry.owner.kind, State { since: 0, meta, body, home, extra }))
    }

    fn body(&self, lane: &Arc<Lane>, saved: &Saved) -> Result<Body> {
        Ok(match saved {
            Saved::Directory(_) => Body::Directory(Box::new(Directory::new(Lane::new(&lane.space)))),
            Saved::Special(special) => Body::Special(*special),
            Saved::Symlink(target) => {
                check_target(target).map_err(|_| damaged())?;
                lane.take_bytes(target.len() as u64)?;
                Body::Symlink(target[..].into())
            }
            Saved::File(len, layout) => {
                let mut content = Content::default();
                if let Err(error) = self.content(lane, &mut content, *len, *layout) {
                    lane.give_bytes_back(content.release());
                    return Err(error);
                }
                Body::File(content)
            }
        })
    }

    fn content(&self, lane: &Arc<Lane>, content: &mut Content, len: u64, layout: Layout) -> Result<()> {
        if len > LEN_MAX {
            return Err(damaged());
        }
        let mut write = |index: u64, id: ChunkId| {
            let data = self.store.get(id)?;
            let offset = index.checked_mul(CHUNK as u64).filter(|&offset| offset <= LEN_MAX);
            let offset = offset.filter(|_| data.len() <= CHUNK && !data.is_empty()).ok_or_else(damaged)?;
            let cost = content.cost_of_write(offset, data.len());
            lane.take_bytes(cost)?;
            lane.settle(cost, content.write_at(offset, &data));
            Ok::<_, Error>(())
        };
        match layout {
            Layout::Nothing => {}
            Layout::One(id) => write(0, id)?,
            Layout::List(id) => {
                let data = self.store.get(id)?;
                let mut input = Reader(&data);
                while !input.is_empty() {
                    let index = input.u64()?;
                    write(index, ChunkId::from_bytes(input.take()?))?;
                }
            }
        }
        // What was set aside beyond the end is let go of, and what ends in a hole is extended.
        let cost = content.cost_of_len(len);
        lane.take_bytes(cost)?;
        lane.settle(cost, content.set_len(len));
        Ok(())
    }
}
