//! What the host says about a file, in our terms.

use crate::{Attr, Device, Kind, NodeId, Result, Timestamp};
use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, StatxTimestamp, statx};
use std::os::fd::AsFd;

/// Everything.
pub(super) fn stat(fd: impl AsFd) -> Result<Statx> {
    ask(fd, StatxFlags::BASIC_STATS | StatxFlags::BTIME)
}

/// Which file it is, of what kind, whose, its mode and its length. Not its times: a host that has told one has to give
/// the next change a time of its own, and what is looked up is often about to change.
pub(super) fn stat_but_for_times(fd: impl AsFd) -> Result<Statx> {
    let owner = StatxFlags::UID | StatxFlags::GID;
    ask(
        fd,
        StatxFlags::TYPE | StatxFlags::MODE | owner | StatxFlags::INO | StatxFlags::SIZE | StatxFlags::BTIME,
    )
}

/// With this flag alone, as the host sees then that there is no path to go; what is held is not followed anyway, be it a link.
fn ask(fd: impl AsFd, what: StatxFlags) -> Result<Statx> {
    Ok(statx(fd, c"", AtFlags::EMPTY_PATH, what)?)
}

pub(super) fn device_of(stat: &Statx) -> (u32, u32) {
    (stat.stx_dev_major, stat.stx_dev_minor)
}

pub(super) fn kind_of(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        FileType::Socket => Kind::Socket,
        FileType::CharacterDevice => Kind::CharDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        _ => Kind::Fifo,
    }
}

pub(super) fn attr_of(id: NodeId, kind: Kind, stat: &Statx) -> Attr {
    let knows_birth = StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::BTIME);
    Attr {
        id,
        kind,
        size: stat.stx_size,
        blocks_512: stat.stx_blocks,
        nlink: u64::from(stat.stx_nlink),
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        device: Device { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor },
        accessed: time_of(stat.stx_atime),
        modified: time_of(stat.stx_mtime),
        changed: time_of(stat.stx_ctime),
        born: knows_birth.then(|| time_of(stat.stx_btime)),
    }
}

/// The host uses numbers again, so nodes are told apart by when they came to be, where it knows that.
pub(super) fn generation_of(stat: &Statx) -> u64 {
    let born = stat.stx_btime;
    (born.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(born.tv_nsec.into())
}

fn time_of(time: StatxTimestamp) -> Timestamp {
    Timestamp { secs: time.tv_sec, nanos: time.tv_nsec }
}
