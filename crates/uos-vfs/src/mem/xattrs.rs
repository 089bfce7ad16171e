//! Extended attributes of a node in memory.

use super::inode::{Body, Inode};
use crate::{Caller, Error, Kind, Owner, Result, SetXattr, Want};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The largest value, as on Linux.
const LARGEST: usize = 64 * 1024;
const NAME_MAX: usize = 255;

/// All attributes of a node. Shared with what snapshots show of it, and replaced as a whole. Each such
/// set that there is counts with its names and values.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Xattrs(BTreeMap<Box<[u8]>, Box<[u8]>>);

impl Xattrs {
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
    }

    /// All names with their values.
    pub(super) fn pairs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.0.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
    }

    pub(super) fn from_pairs(pairs: &[(Vec<u8>, Vec<u8>)]) -> Self {
        Xattrs(pairs.iter().map(|(name, value)| (name[..].into(), value[..].into())).collect())
    }

    /// Lets go of a set, and says how many bytes that sets free.
    pub(super) fn release(this: Arc<Self>) -> u64 {
        Arc::into_inner(this).map_or(0, |xattrs| xattrs.bytes())
    }

    pub(super) fn get(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.0.get(name).map(|value| value.to_vec()).ok_or(Error::NoAttribute)
    }

    /// The names that a caller may see.
    pub(super) fn names(&self, by: &Caller) -> Vec<Vec<u8>> {
        let seen = |name: &[u8]| by.is_privileged() || !name.starts_with(b"trusted.");
        self.0.keys().map(|name| name.to_vec()).filter(|name| seen(name)).collect()
    }
}

/// Who may do what with an attribute is said by the beginning of its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Namespace {
    User,
    Trusted,
    Security,
}

fn namespace(name: &[u8]) -> Result<Namespace> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(Errno::RANGE.into());
    }
    let found =
        [("user.", Namespace::User), ("trusted.", Namespace::Trusted), ("security.", Namespace::Security)]
            .into_iter()
            .find_map(|(prefix, namespace)| Some((name.strip_prefix(prefix.as_bytes())?, namespace)));
    match found {
        _ if name.contains(&0) => Err(Error::InvalidArgument("a NUL in a name")),
        Some(([], _)) => Err(Error::InvalidArgument("a namespace is no name")),
        Some((_, namespace)) => Ok(namespace),
        None => Err(Error::NotSupported("attributes of that namespace")),
    }
}

impl Inode {
    pub(super) fn get_xattr(&self, by: &Caller, name: &[u8]) -> Result<Vec<u8>> {
        let state = self.state.read();
        self.permit_xattr(self.owner(&state.meta), &state.body, by, name, Want::READ)?;
        state.extra.as_ref().ok_or(Error::NoAttribute)?.xattrs.get(name)
    }

    pub(super) fn list_xattr_names(&self, by: &Caller) -> Vec<Vec<u8>> {
        self.state.read().extra.as_ref().map_or_else(Vec::new, |extra| extra.xattrs.names(by))
    }

    pub(super) fn put_xattr(&self, by: &Caller, name: &[u8], value: &[u8], how: SetXattr) -> Result<()> {
        if value.len() > LARGEST {
            return Err(Errno::TOOBIG.into());
        }
        self.change_xattrs(by, name, |xattrs| {
            match (xattrs.0.contains_key(name), how) {
                (true, SetXattr::New) => return Err(Error::Exists),
                (false, SetXattr::Replace) => return Err(Error::NoAttribute),
                _ => {}
            }
            xattrs.0.insert(name.into(), value.into());
            Ok(())
        })
    }

    pub(super) fn drop_xattr(&self, by: &Caller, name: &[u8]) -> Result<()> {
        self.change_xattrs(by, name, |xattrs| xattrs.0.remove(name).map(drop).ok_or(Error::NoAttribute))
    }

    fn change_xattrs(
        &self,
        by: &Caller,
        name: &[u8],
        change: impl FnOnce(&mut Xattrs) -> Result<()>,
    ) -> Result<()> {
        let mut state = self.state.write();
        self.permit_xattr(self.owner(&state.meta), &state.body, by, name, Want::WRITE)?;
        let mut xattrs = state.extra.as_ref().map(|extra| Xattrs::clone(&extra.xattrs)).unwrap_or_default();
        change(&mut xattrs)?;
        // What is put aside for a snapshot is shared from then on, and makes no room.
        let (epoch, now) = (self.epoch(), self.now());
        let state = self.edit(&mut state, epoch);
        // What is its own alone is set free by this, so that may be needed for it. Nobody can share it meanwhile.
        let own = state.extra.as_ref().filter(|extra| Arc::strong_count(&extra.xattrs) == 1);
        let (len, own) = (xattrs.bytes(), own.map_or(0, |extra| extra.xattrs.bytes()));
        let taken = len.saturating_sub(own);
        self.take_bytes(taken)?;
        state.meta.touch_attributes(now);
        let old = std::mem::replace(&mut state.extra().xattrs, Arc::new(xattrs));
        self.give_bytes_back(taken + Xattrs::release(old) - len);
        Ok(())
    }

    /// As Linux has it: `user.` goes by the mode, on files and directories, whose modes are about data;
    /// in a directory that all may write to it is the owner's. The others are for the privileged.
    pub(super) fn permit_xattr(
        &self,
        owner: Owner,
        body: &Body,
        by: &Caller,
        name: &[u8],
        want: Want,
    ) -> Result<()> {
        match namespace(name)? {
            Namespace::User => {
                let writes = want == Want::WRITE;
                match body {
                    Body::File(_) => {}
                    Body::Directory(_) if !writes || owner.mode & 0o1000 == 0 || by.owns(owner.uid) => {}
                    _ if writes || self.kind() == Kind::Directory => return Err(Error::NotPermitted),
                    _ => return Err(Error::NoAttribute),
                }
                by.check(owner, want)
            }
            Namespace::Trusted if by.is_privileged() => Ok(()),
            Namespace::Trusted if want == Want::READ => Err(Error::NoAttribute),
            Namespace::Security if by.is_privileged() || want == Want::READ => Ok(()),
            Namespace::Trusted | Namespace::Security => Err(Error::NotPermitted),
        }
    }
}
