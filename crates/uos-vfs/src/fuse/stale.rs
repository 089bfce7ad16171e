//! What the host knows and is so no more, because of changes that did not come from it.

use super::shared::Shared;
use crate::watch::Hears;
use crate::{Name, NodeId};
use fuser::{INodeNo, Notifier};
use parking_lot::{Condvar, Mutex};
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

/// So many names may be waiting to be forgotten. Of more, what is forgotten is all nodes, and the names with their time.
const MOST: usize = 65_536;

/// Collects what is to be forgotten, for a thread of its own: telling the host may have to wait for locks that somebody
/// holds who waits for an answer of ours, so whoever changes something must not wait for it.
#[derive(Debug)]
pub(super) struct Stale {
    shared: Arc<Shared>,
    waiting: Mutex<Waiting>,
    more: Condvar,
}

/// Each once, however often it has changed.
#[derive(Debug, Default)]
struct Waiting {
    names: HashSet<(u64, Vec<u8>)>,
    /// And whether their content has changed.
    nodes: HashMap<u64, bool>,
    everything: bool,
    ends: bool,
}

impl Stale {
    pub(super) fn new(shared: &Arc<Shared>) -> Arc<Self> {
        let (waiting, more) = (Mutex::default(), Condvar::new());
        Arc::new(Stale { shared: Arc::clone(shared), waiting, more })
    }

    /// Tells the host, until that is ended.
    pub(super) fn start(self: &Arc<Self>, notifier: Notifier) -> io::Result<JoinHandle<()>> {
        let stale = Arc::clone(self);
        Builder::new().name("fuse-stale".to_owned()).spawn(move || while stale.tell_next(&notifier) {})
    }

    pub(super) fn end(&self) {
        self.waiting.lock().ends = true;
        self.more.notify_one();
    }

    /// False at the end.
    fn tell_next(&self, host: &Notifier) -> bool {
        let Waiting { names, mut nodes, everything, ends } = {
            let mut waiting = self.waiting.lock();
            while waiting.is_quiet() {
                self.more.wait(&mut waiting);
            }
            std::mem::take(&mut *waiting)
        };
        if ends {
            return false;
        }
        if everything {
            nodes.extend(self.shared.all_numbers().into_iter().map(|number| (number, true)));
        }
        // What it doesn't know any more it need not forget.
        for (dir, name) in names {
            let _ = host.inval_entry(INodeNo(dir), OsStr::from_bytes(&name));
        }
        for (node, content) in nodes {
            let _ = host.inval_inode(INodeNo(node), if content { 0 } else { -1 }, 0);
        }
        true
    }

    fn add(&self, add: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.waiting.lock();
        add(&mut waiting);
        if waiting.names.len() > MOST || waiting.nodes.len() > MOST {
            (waiting.names, waiting.nodes) = Default::default();
            waiting.everything = true;
        }
        drop(waiting);
        self.more.notify_one();
    }
}

impl Waiting {
    fn is_quiet(&self) -> bool {
        self.names.is_empty() && self.nodes.is_empty() && !self.everything && !self.ends
    }
}

impl Hears for Stale {
    fn entry(&self, dir: NodeId, name: Name<'_>) {
        let dirs = self.shared.known_otherwise(dir);
        if !dirs.is_empty() {
            self.add(|waiting| {
                for dir in dirs {
                    waiting.names.insert((dir, name.as_bytes().to_vec()));
                    // Its entries as they were listed are its content.
                    waiting.nodes.insert(dir, true);
                }
            });
        }
    }

    fn node(&self, node: NodeId, content: bool) {
        let nodes = self.shared.known_otherwise(node);
        if !nodes.is_empty() {
            self.add(|waiting| {
                for node in nodes {
                    *waiting.nodes.entry(node).or_default() |= content;
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, Stale};
    use crate::fuse::View;
    use crate::fuse::shared::Shared;
    use crate::watch::Hears;
    use crate::{FileSystem, MemFs, Name};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn what_waits_is_bounded_and_nothing_of_it_is_lost() {
        let fs = MemFs::builder().build();
        fs.write("/f", "").unwrap();
        let shared = Arc::new(Shared::new(Some(View::of(fs.root())), false, Duration::ZERO, None));
        let stale = Stale::new(&shared);
        let (root, file) = (fs.root(), fs.node("/f").unwrap());
        stale.node(file.id(), true);
        assert!(stale.waiting.lock().is_quiet(), "the host doesn't know it");
        stale.entry(root.id(), Name::new(b"f").unwrap());
        for name in 0..=MOST {
            stale.entry(root.id(), Name::new(name.to_string().as_bytes()).unwrap());
            assert!(stale.waiting.lock().names.len() <= MOST);
        }
        let waiting = stale.waiting.lock();
        assert!(waiting.everything, "what was dropped is made up for");
        assert!(!waiting.is_quiet());
    }
}
