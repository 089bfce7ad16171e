//! A user of the host for each sandbox, so that no two share what the kernel counts and allows by user.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::{Arc, Mutex, PoisonError};

/// Above every range that systems give out: users, services, containers (systemd's "unused" from here on).
const FIRST: u32 = 0x7000_0000;
/// How many one spawner has, and so the most sandboxes it runs at once.
const BLOCK: u32 = 4096;
const BLOCKS: u32 = 256;

/// The uids of one spawner, which no other spawner of this machine has.
#[derive(Debug)]
pub(super) struct Uids {
    first: u32,
    /// Protects which are free: those given back, the last one first, and how many were never given out. Held only to
    /// take or give back.
    free: Mutex<(Vec<u32>, u32)>,
    /// A socket with an abstract name: there as long as this program is, however it ends, and no file.
    _claim: UnixListener,
}

/// One uid, given back by drop.
#[derive(Debug)]
pub(in crate::linux) struct Lease {
    uids: Arc<Uids>,
    uid: u32,
}

impl Uids {
    /// Claims a block that nobody has. The search begins somewhere else in each program: what a killed one has left
    /// may be dying or unreaped for a moment still, and would count against the users of whoever came right after it.
    pub(super) fn claim() -> Option<Arc<Self>> {
        let claim = |block: &u32| {
            let name = format!("uos-proc/uids/{block}");
            SocketAddr::from_abstract_name(name).and_then(|name| UnixListener::bind_addr(&name)).ok()
        };
        let start = std::process::id() % BLOCKS;
        let mut blocks = (0..BLOCKS).map(|offset| (start + offset) % BLOCKS);
        let (block, claim) = blocks.find_map(|block| Some((block, claim(&block)?)))?;
        Some(Arc::new(Uids { first: FIRST + block * BLOCK, free: Mutex::default(), _claim: claim }))
    }

    /// The uid that was given back last, or else a new one.
    pub(super) fn lease(self: &Arc<Self>) -> Option<Lease> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (returned, fresh) = &mut *free;
        let uid = returned.pop().or_else(|| {
            let uid = (*fresh < BLOCK).then_some(self.first + *fresh)?;
            *fresh += 1;
            Some(uid)
        })?;
        Some(Lease { uids: Arc::clone(self), uid })
    }
}

impl Lease {
    pub(in crate::linux) fn uid(&self) -> u32 {
        self.uid
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.uids.free.lock().unwrap_or_else(PoisonError::into_inner).0.push(self.uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_is_one_sandboxes_and_comes_back() {
        let (ours, theirs) = (Uids::claim().unwrap(), Uids::claim().unwrap());
        let all: Vec<Lease> = std::iter::from_fn(|| ours.lease()).collect();
        let mut numbers: Vec<u32> = all.iter().map(Lease::uid).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), BLOCK as usize);
        assert!(!numbers.contains(&theirs.lease().unwrap().uid()));
        drop(all);
        assert!(numbers.contains(&ours.lease().unwrap().uid()));
    }

    #[test]
    fn a_block_is_free_again_after_its_owner() {
        // Another test may take it meanwhile, or start a child just then, which has a copy of the claim until it executes.
        let comes_back = (0..1000).any(|_| {
            let first = Uids::claim().unwrap();
            let block = first.first;
            drop(first);
            let next: Vec<_> = std::iter::from_fn(Uids::claim).take(3).collect();
            next.iter().any(|uids| uids.first == block)
        });
        assert!(comes_back);
    }
}
