//! Attributes in the terms of the host's kernel.

use crate::{Attr, Device, Kind, SetTime, Special, Timestamp};
use fuser::{FileAttr, FileType, INodeNo, TimeOrNow};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) fn attr_of(number: u64, attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(number),
        size: attr.size,
        blocks: attr.blocks_512,
        atime: time_of(attr.accessed),
        mtime: time_of(attr.modified),
        ctime: time_of(attr.changed),
        crtime: attr.born.map_or(UNIX_EPOCH, time_of),
        kind: type_of(attr.kind),
        perm: (attr.mode & 0o7777) as u16,
        nlink: u32::try_from(attr.nlink).unwrap_or(u32::MAX),
        uid: attr.uid,
        gid: attr.gid,
        rdev: number_of(attr.device),
        blksize: 4096,
        flags: 0,
    }
}

pub(super) fn type_of(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
    }
}

/// What mknod(2) asks for; `None` for a plain file, and an error for what can't be made so.
pub(super) fn special_of(mode: u32, number: u32) -> Option<Option<Special>> {
    let device = Device { major: number >> 8 & 0xfff, minor: number & 0xff | number >> 12 & 0xf_ff00 };
    Some(match mode & 0o170_000 {
        0 | 0o100_000 => None,
        0o010_000 => Some(Special::Fifo),
        0o140_000 => Some(Special::Socket),
        0o020_000 => Some(Special::CharDevice(device)),
        0o060_000 => Some(Special::BlockDevice(device)),
        _ => return None,
    })
}

fn number_of(device: Device) -> u32 {
    device.minor & 0xff | device.major << 8 | (device.minor & !0xff) << 12
}

fn time_of(time: Timestamp) -> SystemTime {
    let nanos = Duration::from_nanos(time.nanos.into());
    match u64::try_from(time.secs) {
        Ok(secs) => UNIX_EPOCH.checked_add(Duration::from_secs(secs)),
        Err(_) => UNIX_EPOCH.checked_sub(Duration::from_secs(time.secs.unsigned_abs())),
    }
    .and_then(|whole| whole.checked_add(nanos))
    .unwrap_or(UNIX_EPOCH)
}

pub(super) fn set_time_of(time: TimeOrNow) -> SetTime {
    match time {
        TimeOrNow::Now => SetTime::Now,
        TimeOrNow::SpecificTime(time) => SetTime::To(time.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::{number_of, set_time_of, special_of, time_of};
    use crate::{Device, SetTime, Special, Timestamp};
    use fuser::TimeOrNow;

    #[test]
    fn devices_and_times_survive_the_round_trip() {
        for (major, minor) in [(0, 0), (4, 1), (0xfff, 0xf_ffff), (259, 0x1_0203)] {
            let device = Device { major, minor };
            let made = special_of(0o020_644, number_of(device));
            assert_eq!(made, Some(Some(Special::CharDevice(device))));
        }
        assert_eq!(special_of(0o100_644, 0), Some(None));
        assert_eq!(special_of(0o040_755, 0), None);
        for time in [(0, 0), (1, 999_999_999), (-1, 0), (-2, 750_000_000), (1 << 33, 5)] {
            let time = Timestamp { secs: time.0, nanos: time.1 };
            assert_eq!(set_time_of(TimeOrNow::SpecificTime(time_of(time))), SetTime::To(time));
        }
    }
}
