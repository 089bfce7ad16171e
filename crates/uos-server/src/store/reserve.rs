//! Room on the disk that is kept for the day when there is none: what makes room again, and logins, are written from it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};
use tracing::warn;

/// Some sixty pages in the database's log: several deletions and logins, each of which takes two to six.
const BYTES: u64 = 256 << 10;

/// A file that holds nothing but room.
pub(super) struct Reserve {
    path: PathBuf,
    held: bool,
}

impl Reserve {
    /// What an earlier start has left of it, and no more.
    pub(super) fn at(path: PathBuf) -> Self {
        let held = path.metadata().is_ok_and(|there| there.len() >= BYTES);
        Self { path, held }
    }

    /// Takes the room, unless it is held. False while the disk has none.
    pub(super) async fn take(&mut self) -> bool {
        if self.held {
            return true;
        }
        let path = self.path.clone();
        let taken = tokio::task::spawn_blocking(move || allocate(&path)).await;
        self.held = match taken.map_err(io::Error::other).flatten() {
            Ok(()) => true,
            Err(error)
                if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
            {
                self.release();
                false
            }
            Err(error) => {
                // Everything works without it, but for deletions on a full disk.
                warn!(%error, file = %self.path.display(), "no room can be kept for a full disk");
                true
            }
        };
        self.held
    }

    /// Gives the room away. False if there was none to give.
    pub(super) fn release(&mut self) -> bool {
        let held = std::mem::take(&mut self.held);
        let emptied = OpenOptions::new().write(true).open(&self.path).and_then(|file| file.set_len(0));
        held && emptied.is_ok()
    }
}

fn allocate(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, BYTES) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => fill(&file),
        done => Ok(done?),
    }
}

/// Where room can't be had without writing. Not zeros, which some filesystems keep no room for.
fn fill(file: &File) -> io::Result<()> {
    use std::os::unix::fs::FileExt;

    let mut block = [0; 4_096];
    for at in (0..BYTES).step_by(block.len()) {
        getrandom::fill(&mut block).map_err(|error| io::Error::other(error.to_string()))?;
        file.write_all_at(&block, at)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::{BYTES, Reserve};

    #[tokio::test]
    async fn room_is_taken_given_away_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let mut reserve = Reserve::at(path.clone());
        assert!(!reserve.release(), "there is none yet");
        assert!(reserve.take().await && reserve.take().await);
        assert_eq!(path.metadata().unwrap().len(), BYTES);
        let mut reserve = Reserve::at(path.clone());
        assert!(reserve.release() && !reserve.release());
        assert_eq!(path.metadata().unwrap().len(), 0);
    }
}
