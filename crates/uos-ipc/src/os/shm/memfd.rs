//! Anonymous files in memory, and their seals.

use super::ShmError;
use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, fchmod, fcntl_add_seals, fcntl_get_seals, fcntl_getfl, fstat,
    ftruncate, memfd_create, open,
};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Without these a segment can be pulled away from under who has mapped it.
const SIZE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// A file of that many zeros, which can neither shrink nor grow. Nothing has been mapped yet.
pub(super) fn create(len: usize) -> Result<OwnedFd, ShmError> {
    let fd = anonymous().map_err(ShmError::of("memfd_create"))?;
    ftruncate(&fd, len as u64).map_err(ShmError::of("ftruncate"))?;
    fcntl_add_seals(&fd, SIZE).map_err(ShmError::of("fcntl(F_ADD_SEALS)"))?;
    Ok(fd)
}

/// Never executable, where the kernel knows how (Linux 6.3).
fn anonymous() -> Result<OwnedFd, Errno> {
    static OLD: AtomicBool = AtomicBool::new(false);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    if !OLD.load(Ordering::Relaxed) {
        match memfd_create(c"uos-segment", flags | MemfdFlags::NOEXEC_SEAL) {
            Err(Errno::INVAL) => OLD.store(true, Ordering::Relaxed),
            answer => return answer,
        }
    }
    memfd_create(c"uos-segment", flags)
}

/// From now on nobody gets a new way to write: neither write(2) nor a new writable mapping. Mappings there are go on.
///
/// It must come before the last seal, which forbids sealing.
pub(super) fn forbid_new_writers(fd: BorrowedFd<'_>) -> Result<(), ShmError> {
    fcntl_add_seals(fd, SealFlags::FUTURE_WRITE | SealFlags::SEAL).map_err(ShmError::of("fcntl(F_ADD_SEALS)"))
}

/// The seals stay as they are: nobody who is given the descriptor can lock others out. Again, it does nothing.
pub(super) fn forbid_sealing(fd: BorrowedFd<'_>) -> Result<(), ShmError> {
    match fcntl_add_seals(fd, SealFlags::SEAL) {
        Err(Errno::PERM) => Ok(()),
        answer => answer.map_err(ShmError::of("fcntl(F_ADD_SEALS)")),
    }
}

/// A descriptor that is only for reading, on a file that only its owner can open, and only for reading.
///
/// By the mode, nobody of another uid can open the file anew through `/proc/self/fd`, be it to write.
pub(super) fn reopen_to_read(fd: BorrowedFd<'_>) -> Result<OwnedFd, ShmError> {
    fchmod(fd, Mode::RUSR).map_err(ShmError::of("fchmod"))?;
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(ShmError::of("open(/proc/self/fd)"))
}

/// What a descriptor from elsewhere is.
pub(super) struct Foreign {
    pub(super) len: u64,
    /// Whether it can be mapped to write.
    pub(super) writable: bool,
    /// Whether anybody can be let in to write.
    pub(super) writers: bool,
    /// Whose it is.
    pub(super) uid: u32,
}

/// Looks at a descriptor from elsewhere, and refuses one whose memory could be pulled away.
pub(super) fn look(fd: BorrowedFd<'_>) -> Result<Foreign, ShmError> {
    // Only files in memory have seals; all others answer EINVAL.
    let seals = match fcntl_get_seals(fd) {
        Ok(seals) if seals.contains(SIZE) => seals,
        Ok(_) | Err(Errno::INVAL) => return Err(ShmError::Unsealed),
        Err(errno) => return Err(ShmError::of("fcntl(F_GET_SEALS)")(errno)),
    };
    let stat = fstat(fd).map_err(ShmError::of("fstat"))?;
    let flags = fcntl_getfl(fd).map_err(ShmError::of("fcntl(F_GETFL)"))?;
    let writers = !seals.intersects(SealFlags::FUTURE_WRITE | SealFlags::WRITE);
    let writable = writers && flags.contains(OFlags::RDWR);
    Ok(Foreign { len: u64::try_from(stat.st_size).unwrap_or(0), writable, writers, uid: stat.st_uid })
}
