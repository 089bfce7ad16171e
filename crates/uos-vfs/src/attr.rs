//! The plain facts about a node: identity, kind, attributes and times.

use crate::{Error, Result};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Names one filesystem among all that this process ever makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FsId(NonZeroU64);

impl FsId {
    /// A number never given out before in this process.
    #[allow(clippy::new_without_default, reason = "two calls never agree, which a default would promise")]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        // Counting up from one at any rate cannot wrap within the life of a process.
        FsId(NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU64::MIN))
    }

    /// The number itself, fit to show as a device number.
    pub fn as_u64(self) -> u64 {
        self.0.get()
    }
}

/// Names one node among all nodes that are alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId {
    /// The filesystem it belongs to.
    pub fs: FsId,
    /// Its number there.
    pub ino: u64,
    /// Tells apart nodes that had the number one after the other; 0 where numbers are not used again.
    pub generation: u64,
}

/// What a node is. It never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe. This and what follows has attributes and a name, but is not opened here.
    Fifo,
    /// A socket's address.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

/// A node to be made that is neither file, directory nor link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    /// A named pipe.
    Fifo,
    /// A socket's address.
    Socket,
    /// A character device.
    CharDevice(Device),
    /// A block device.
    BlockDevice(Device),
}

impl Special {
    /// What the node is.
    pub fn kind(self) -> Kind {
        match self {
            Special::Fifo => Kind::Fifo,
            Special::Socket => Kind::Socket,
            Special::CharDevice(_) => Kind::CharDevice,
            Special::BlockDevice(_) => Kind::BlockDevice,
        }
    }

    /// Which device it stands for; 0:0 if it is none.
    pub fn device(self) -> Device {
        match self {
            Special::CharDevice(device) | Special::BlockDevice(device) => device,
            Special::Fifo | Special::Socket => Device::default(),
        }
    }
}

/// The number of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// The attributes of a node at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Who it is.
    pub id: NodeId,
    /// What it is.
    pub kind: Kind,
    /// Bytes in a file, bytes in the target of a link; for directories whatever the filesystem says.
    pub size: u64,
    /// What it occupies, in units of 512 bytes.
    pub blocks_512: u64,
    /// How many names it has; for a directory two and one for every subdirectory, if the filesystem
    /// counts them.
    pub nlink: u64,
    /// The twelve permission bits.
    pub mode: u32,
    /// Owning user.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Which device it stands for; 0:0 if it is none.
    pub device: Device,
    /// Last read, as far as the filesystem tracks it.
    pub accessed: Timestamp,
    /// Last change of the content.
    pub modified: Timestamp,
    /// Last change of content or attributes.
    pub changed: Timestamp,
    /// When it came to be, if the filesystem knows.
    pub born: Option<Timestamp>,
}

/// Which attributes to change; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Cut a file to this length or extend it with zeros.
    pub size: Option<u64>,
    /// The twelve permission bits.
    pub mode: Option<u32>,
    /// Owning user.
    pub uid: Option<u32>,
    /// Owning group.
    pub gid: Option<u32>,
    /// Last read.
    pub accessed: Option<SetTime>,
    /// Last change of the content.
    pub modified: Option<SetTime>,
}

/// What to set a time to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The filesystem's clock. Whoever may write may set both times to this.
    Now,
    /// A time of one's own choice, which is for the owner alone.
    To(Timestamp),
}

impl SetTime {
    /// The time itself.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            SetTime::Now => now,
            SetTime::To(time) => time,
        }
    }
}

impl From<Timestamp> for SetTime {
    fn from(time: Timestamp) -> Self {
        SetTime::To(time)
    }
}

impl SetAttr {
    /// Refuses values that no attribute of this kind of node can have. The highest number stands for
    /// "no user".
    pub(crate) fn check(&self, kind: Kind) -> Result<()> {
        match kind {
            Kind::File => {}
            Kind::Directory if self.size.is_some() => return Err(Error::IsADirectory),
            _ if self.size.is_some() => {
                return Err(Error::InvalidArgument("only files have a length to set"));
            }
            Kind::Symlink if self.mode.is_some() => return Err(Error::NotSupported("links have no mode")),
            _ => {}
        }
        if self.uid == Some(u32::MAX) || self.gid == Some(u32::MAX) {
            return Err(Error::InvalidArgument("no such owner"));
        }
        let times = [self.accessed, self.modified];
        let wrong = |time| matches!(time, SetTime::To(Timestamp { nanos: 1_000_000_000.., .. }));
        if times.into_iter().flatten().any(wrong) {
            return Err(Error::InvalidArgument("nanoseconds make a second"));
        }
        Ok(())
    }
}

/// How much a filesystem holds and may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// The filesystem.
    pub fs: FsId,
    /// The size that reads and writes do best with.
    pub block_size: u32,
    /// Bytes it may hold in all.
    pub bytes_total: u64,
    /// Bytes not in use.
    pub bytes_free: u64,
    /// Bytes that ordinary users may still fill.
    pub bytes_available: u64,
    /// Nodes it may hold in all; zero if it has no fixed number.
    pub nodes_total: u64,
    /// Nodes not in use.
    pub nodes_free: u64,
    /// Longest name, in bytes.
    pub name_max: u32,
    /// True if it takes no changes.
    pub read_only: bool,
}

/// A moment in time since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds, negative before 1970.
    pub secs: i64,
    /// Nanoseconds on top, below one thousand million.
    pub nanos: u32,
}

impl Timestamp {
    /// The moment so many microseconds after the epoch, or before it.
    pub fn from_micros(micros: i64) -> Self {
        let nanos = micros.rem_euclid(1_000_000) as u32 * 1_000;
        Timestamp { secs: micros.div_euclid(1_000_000), nanos }
    }

    /// Microseconds since the epoch, rounded down, held at the ends of what fits.
    pub fn as_micros(self) -> i64 {
        let micros = i128::from(self.secs) * 1_000_000 + i128::from(self.nanos / 1_000);
        micros.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp {
                secs: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanos: after.subsec_nanos(),
            },
            Err(before) => {
                let before = before.duration();
                let secs = i64::try_from(before.as_secs()).map_or(i64::MIN, |secs| -secs);
                match before.subsec_nanos() {
                    0 => Timestamp { secs, nanos: 0 },
                    nanos => Timestamp { secs: secs.saturating_sub(1), nanos: 1_000_000_000 - nanos },
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FsId, Timestamp};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn times_before_the_epoch_keep_nanos_positive() {
        let time = Timestamp::from(UNIX_EPOCH - Duration::from_millis(1_250));
        assert_eq!(time, Timestamp { secs: -2, nanos: 750_000_000 });
        assert_eq!(time.as_micros(), -1_250_000);
        for micros in [i64::MIN, -1_250_000, -1, 0, 1, 1_999_999, i64::MAX] {
            assert_eq!(Timestamp::from_micros(micros).as_micros(), micros);
        }
        assert_eq!(Timestamp::from_micros(-1_250_000), time);
        assert_eq!(Timestamp { secs: i64::MAX, nanos: 0 }.as_micros(), i64::MAX);
    }

    #[test]
    fn no_two_filesystems_share_an_id() {
        assert_ne!(FsId::new(), FsId::new());
    }
}
