//! Who uses a mount: what is open in it, who changes it, and whether anybody may.

use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// No changes are taken.
const READ_ONLY: u64 = 1 << 63;
/// One of those who change something, be it by an open file or just now.
const WRITER: u64 = 1 << 32;
const WRITERS: u64 = READ_ONLY - WRITER;
/// One open file.
const OPEN: u64 = 1;
const OPENS: u64 = WRITER - OPEN;

/// Counts both kinds of use and the switch in one word, so that the switch can't be turned while somebody writes, nor
/// somebody begin to write while it is turned. Either count would take years of opening without closing to overflow.
#[derive(Clone)]
pub(crate) struct Claims(Arc<AtomicU64>);

impl Claims {
    pub(crate) fn new(read_only: bool) -> Self {
        Claims(Arc::new(AtomicU64::new(if read_only { READ_ONLY } else { 0 })))
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.0.load(Ordering::Acquire) & READ_ONLY != 0
    }

    /// How many files are open.
    pub(crate) fn open_files(&self) -> u64 {
        self.0.load(Ordering::Acquire) & OPENS
    }

    /// For as long as it takes to change something.
    pub(crate) fn change(&self) -> Result<Claim<'_>> {
        self.take(WRITER, true)?;
        Ok(Claim { claims: self, what: WRITER })
    }

    /// For as long as something is kept that changes nothing.
    pub(crate) fn hold(&self) -> OpenClaim {
        self.0.fetch_add(OPEN, Ordering::AcqRel);
        OpenClaim { claims: self.clone(), what: OPEN }
    }

    /// For as long as a file is open.
    pub(crate) fn open(&self, writes: bool) -> Result<OpenClaim> {
        let what = if writes { OPEN | WRITER } else { OPEN };
        self.take(what, writes)?;
        Ok(OpenClaim { claims: self.clone(), what })
    }

    /// [`Error::Busy`] for no changes while somebody is at one.
    pub(crate) fn set_read_only(&self, read_only: bool) -> Result<()> {
        self.0
            .try_update(Ordering::AcqRel, Ordering::Acquire, |now| match read_only {
                true if now & READ_ONLY == 0 && now & WRITERS != 0 => None,
                true => Some(now | READ_ONLY),
                false => Some(now & !READ_ONLY),
            })
            .map(drop)
            .map_err(|_| Error::Busy)
    }

    fn take(&self, what: u64, writes: bool) -> Result<()> {
        if !writes {
            self.0.fetch_add(what, Ordering::AcqRel);
            return Ok(());
        }
        let taken = self.0.try_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            if now & READ_ONLY == 0 { Some(now + what) } else { None }
        });
        taken.map(drop).map_err(|_| Error::ReadOnly)
    }
}

/// A claim that ends where it began.
pub(crate) struct Claim<'a> {
    claims: &'a Claims,
    what: u64,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.0.fetch_sub(self.what, Ordering::AcqRel);
    }
}

/// A claim that lasts.
pub(crate) struct OpenClaim {
    claims: Claims,
    what: u64,
}

impl Drop for OpenClaim {
    fn drop(&mut self) {
        self.claims.0.fetch_sub(self.what, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::Claims;
    use crate::Error;

    #[test]
    fn the_switch_waits_for_writers_and_keeps_them_out() {
        let claims = Claims::new(false);
        let reads = claims.open(false).unwrap();
        let writes = claims.open(true).unwrap();
        assert_eq!((claims.open_files(), claims.set_read_only(true)), (2, Err(Error::Busy)));
        drop(writes);
        let change = claims.change().unwrap();
        assert_eq!(claims.set_read_only(true), Err(Error::Busy));
        drop(change);
        claims.set_read_only(true).unwrap();
        claims.set_read_only(true).unwrap();
        assert_eq!(claims.change().map(drop), Err(Error::ReadOnly));
        assert_eq!(claims.open(true).map(drop), Err(Error::ReadOnly));
        assert_eq!(claims.open_files(), 1);
        drop((reads, claims.open(false).unwrap()));
        assert!(claims.open_files() == 0 && claims.is_read_only());
        claims.set_read_only(false).unwrap();
        assert!(claims.change().is_ok());
    }
}
