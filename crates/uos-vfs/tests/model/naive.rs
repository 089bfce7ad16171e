//! A filesystem so plain that it is right by reading it: a list of nodes, no locks, no sharing, every
//! rule written out where it applies. It answers with Linux error numbers.

use std::collections::BTreeMap;

/// `MemFs` stores every chunk of this size from its start up to the last byte written there; the rest
/// of it, and chunks nothing was written to, are free.
pub(crate) const CHUNK: usize = 16 * 1024;

/// What counts of one chunk of a file: what is stored of it, but no less than a KiB if there is another before it.
fn weight((index, stored): (usize, &[bool])) -> usize {
    match stored.iter().filter(|&&stored| stored).count() {
        0 => 0,
        bytes if index == 0 => bytes,
        bytes => bytes.max(1024),
    }
}

pub(crate) const ENOENT: i32 = 2;
pub(crate) const EEXIST: i32 = 17;
pub(crate) const ENOTDIR: i32 = 20;
pub(crate) const EISDIR: i32 = 21;
pub(crate) const EINVAL: i32 = 22;
pub(crate) const ENOSPC: i32 = 28;
pub(crate) const EPERM: i32 = 1;
pub(crate) const ENOTEMPTY: i32 = 39;
pub(crate) const ELOOP: i32 = 40;

pub(crate) type Answer<T> = Result<T, i32>;

pub(crate) enum Node {
    /// The bytes, and which of them are stored rather than free.
    File(Vec<u8>, Vec<bool>),
    Directory(BTreeMap<String, usize>),
    Link(String),
}

pub(crate) struct Naive {
    pub(crate) nodes: Vec<Node>,
    /// Bytes and names it may hold.
    limits: (usize, usize),
}

impl Naive {
    pub(crate) fn new(limits: (usize, usize)) -> Self {
        Naive { nodes: vec![Node::Directory(BTreeMap::new())], limits }
    }

    pub(crate) fn entries(&self, node: usize) -> Answer<&BTreeMap<String, usize>> {
        if let Node::Directory(entries) = &self.nodes[node] { Ok(entries) } else { Err(ENOTDIR) }
    }

    fn entries_mut(&mut self, node: usize) -> &mut BTreeMap<String, usize> {
        if let Node::Directory(entries) = &mut self.nodes[node] { entries } else { panic!("no directory") }
    }

    pub(crate) fn find(&self, path: &[String]) -> Answer<usize> {
        path.iter().try_fold(0, |node, name| self.entries(node)?.get(name).copied().ok_or(ENOENT))
    }

    /// Every node reachable from here, once for each of its names, this one included.
    pub(crate) fn below(&self, node: usize) -> Vec<usize> {
        let mut all = vec![node];
        if let Ok(entries) = self.entries(node) {
            all.extend(entries.values().flat_map(|&entry| self.below(entry)));
        }
        all
    }

    pub(crate) fn names_of(&self, node: usize) -> usize {
        self.below(0).into_iter().filter(|&other| other == node).count()
    }

    pub(crate) fn used_names(&self) -> usize {
        self.below(0).len()
    }

    pub(crate) fn used_bytes(&self) -> usize {
        let mut nodes = self.below(0);
        nodes.sort_unstable();
        nodes.dedup();
        nodes
            .into_iter()
            .map(|node| match &self.nodes[node] {
                Node::File(_, stored) => stored.chunks(CHUNK).enumerate().map(weight).sum(),
                Node::Directory(_) => 0,
                Node::Link(target) => target.len(),
            })
            .sum()
    }

    pub(crate) fn make(&mut self, dir: &[String], name: &str, node: Node) -> Answer<()> {
        let dir = self.find(dir)?;
        if self.entries(dir)?.contains_key(name) {
            return Err(EEXIST);
        }
        let bytes = if let Node::Link(target) = &node { target.len() } else { 0 };
        if self.used_names() + 1 > self.limits.1 || bytes > 0 && self.used_bytes() + bytes > self.limits.0 {
            return Err(ENOSPC);
        }
        self.nodes.push(node);
        let made = self.nodes.len() - 1;
        self.entries_mut(dir).insert(name.into(), made);
        Ok(())
    }

    pub(crate) fn link(&mut self, from: &[String], dir: &[String], name: &str) -> Answer<()> {
        let (node, dir) = (self.find(from)?, self.find(dir)?);
        if self.entries(dir)?.contains_key(name) {
            return Err(EEXIST);
        }
        if self.entries(node).is_ok() {
            return Err(EPERM);
        }
        if self.used_names() + 1 > self.limits.1 {
            return Err(ENOSPC);
        }
        self.entries_mut(dir).insert(name.into(), node);
        Ok(())
    }

    pub(crate) fn unlink(&mut self, dir: &[String], name: &str) -> Answer<()> {
        let dir = self.find(dir)?;
        let node = *self.entries(dir)?.get(name).ok_or(ENOENT)?;
        if self.entries(node).is_ok() {
            return Err(EISDIR);
        }
        self.entries_mut(dir).remove(name);
        Ok(())
    }

    pub(crate) fn rmdir(&mut self, dir: &[String], name: &str) -> Answer<()> {
        let dir = self.find(dir)?;
        let node = *self.entries(dir)?.get(name).ok_or(ENOENT)?;
        if !self.entries(node)?.is_empty() {
            return Err(ENOTEMPTY);
        }
        self.entries_mut(dir).remove(name);
        Ok(())
    }

    pub(crate) fn rename(
        &mut self,
        dir: &[String],
        name: &str,
        to_dir: &[String],
        to_name: &str,
        (no_replace, exchange): (bool, bool),
    ) -> Answer<()> {
        let (dir, to_dir) = (self.find(dir)?, self.find(to_dir)?);
        if no_replace && exchange {
            return Err(EINVAL);
        }
        if self.entries(to_dir).is_err() {
            return Err(ENOTDIR);
        }
        let source = *self.entries(dir)?.get(name).ok_or(ENOENT)?;
        let target = self.entries(to_dir)?.get(to_name).copied();
        if no_replace && target.is_some() {
            return Err(EEXIST);
        }
        if exchange && target.is_none() {
            return Err(ENOENT);
        }
        if self.below(source).contains(&to_dir) {
            return Err(EINVAL);
        }
        if let Some(target) = target {
            if self.below(target).contains(&dir) {
                return Err(if exchange { EINVAL } else { ENOTEMPTY });
            }
            if target == source {
                return Ok(());
            }
            if exchange {
                self.entries_mut(dir).insert(name.into(), target);
                self.entries_mut(to_dir).insert(to_name.into(), source);
                return Ok(());
            }
            match (self.entries(source), self.entries(target)) {
                (Ok(_), Ok(entries)) if !entries.is_empty() => return Err(ENOTEMPTY),
                (Ok(_), Err(_)) => return Err(ENOTDIR),
                (Err(_), Ok(_)) => return Err(EISDIR),
                _ => {}
            }
        }
        self.entries_mut(dir).remove(name);
        self.entries_mut(to_dir).insert(to_name.into(), source);
        Ok(())
    }

    /// Opens a file and changes its content; if that then takes too much, undoes it.
    pub(crate) fn edit(
        &mut self,
        path: &[String],
        change: impl FnOnce(&mut Vec<u8>, &mut Vec<bool>),
    ) -> Answer<()> {
        let (node, before) = (self.find(path)?, self.used_bytes());
        let (data, stored) = match &mut self.nodes[node] {
            Node::File(data, stored) => (data, stored),
            Node::Directory(_) => return Err(EISDIR),
            Node::Link(_) => return Err(ELOOP),
        };
        let undo = (data.clone(), stored.clone());
        change(data, stored);
        if self.used_bytes() > before.max(self.limits.0) {
            self.nodes[node] = Node::File(undo.0, undo.1);
            return Err(ENOSPC);
        }
        Ok(())
    }
}
