//! What an inode was, kept as long as a snapshot shows it.

use super::content::Content;
use super::epochs::Shown;
use super::inode::{Body, Home, Inode, Meta, State};
use super::xattrs::Xattrs;
use std::sync::{Arc, Weak};

/// In the order of their epochs, no two of which overlap.
#[derive(Default)]
pub(super) struct Past(Vec<Version>);

/// An inode as it was through some epochs. What a directory held is in the directory.
pub(super) struct Version {
    from: u64,
    until: u64,
    pub(super) meta: Meta,
    pub(super) home: Home,
    pub(super) measure: (u64, u64),
    pub(super) content: Content,
    pub(super) xattrs: Arc<Xattrs>,
}

impl State {
    /// Keeps the present state as what it was from its beginning until the end of an epoch.
    pub(super) fn put_aside(&mut self, until: u64) {
        let content = if let Body::File(content) = &self.body { content.clone() } else { Content::default() };
        let (from, meta, measure) = (self.since, self.meta, self.body.measure());
        let home = self.home.clone();
        let extra = self.extra();
        let xattrs = Arc::clone(&extra.xattrs);
        extra.past.0.push(Version { from, until, meta, home, measure, content, xattrs });
    }

    /// What it was at the end of an epoch, if that is not what it is now.
    pub(super) fn version_at(&self, epoch: u64) -> Option<&Version> {
        if self.since <= epoch {
            return None;
        }
        let versions = &self.extra.as_ref()?.past.0;
        let nth = versions.partition_point(|version| version.until < epoch);
        versions.get(nth).filter(|version| version.from <= epoch)
    }
}

impl Version {
    fn release(self) -> u64 {
        self.content.release() + Xattrs::release(self.xattrs)
    }
}

impl Past {
    /// Lets go of everything, and says how many bytes that sets free.
    #[must_use]
    pub(super) fn release(self) -> u64 {
        self.0.into_iter().map(Version::release).sum()
    }
}

/// Drops what these inodes have put aside and nobody is shown any more.
pub(super) fn forget(inodes: Vec<Weak<Inode>>, shown: &Shown) {
    for inode in inodes.into_iter().filter_map(|inode| inode.upgrade()) {
        let (mut versions, mut entries) = (Vec::new(), Vec::new());
        let mut state = inode.state.write();
        if let Some(extra) = &mut state.extra {
            let past = &mut extra.past.0;
            versions.extend(past.extract_if(.., |version| !shown.any_in(version.from, version.until)));
        }
        if let Body::Directory(directory) = &mut state.body {
            directory.forget(shown, &mut entries);
        }
        drop(state);
        // What that sets free may be large; it is freed after the lock.
        inode.give_bytes_back(versions.into_iter().map(Version::release).sum());
    }
}
