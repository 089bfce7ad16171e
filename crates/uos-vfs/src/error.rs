//! What can go wrong, with the Linux number it goes by.

use rustix::io::Errno;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an operation was refused. Every variant has exactly one Linux number ([`Error::errno`]);
/// a number of the host without a variant of its own travels as [`Error::Io`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing goes by that name, or the directory itself was removed.
    #[error("no such file or directory")]
    NotFound,
    /// The name is taken.
    #[error("file exists")]
    Exists,
    /// A directory was needed.
    #[error("not a directory")]
    NotADirectory,
    /// Anything but a directory was needed.
    #[error("is a directory")]
    IsADirectory,
    /// The directory still has entries.
    #[error("directory not empty")]
    NotEmpty,
    /// No path or name can look like this: a NUL byte, or a separator or dots inside a name.
    #[error("invalid path")]
    InvalidPath,
    /// The request contradicts itself; the text says how.
    #[error("invalid argument: {0}")]
    InvalidArgument(&'static str),
    /// A name is longer than 255 bytes or a path longer than 4095.
    #[error("name too long")]
    NameTooLong,
    /// More than 40 symbolic links on the way, or one where none may be followed.
    #[error("too many levels of symbolic links")]
    TooManyLinks,
    /// The filesystem has no room. The figures are bytes or nodes, whichever ran out; all are zero
    /// when a host filesystem, which does not tell, ran out.
    #[error("no space: {asked} asked, {used} of {capacity} used")]
    NoSpace {
        /// What the filesystem may hold.
        capacity: u64,
        /// What it holds.
        used: u64,
        /// What the operation needed on top.
        asked: u64,
    },
    /// The owner has used up what it may hold here. The figures are bytes or nodes.
    #[error("quota exceeded: {asked} asked, {used} of {limit} used")]
    QuotaExceeded {
        /// What it may hold.
        limit: u64,
        /// What it holds.
        used: u64,
        /// What the operation needed on top.
        asked: u64,
    },
    /// The offset or length is beyond any file.
    #[error("file too large")]
    TooBig,
    /// There is nothing at or after this offset.
    #[error("no data at or after the offset")]
    PastEnd,
    /// The node has as many names as the filesystem can count.
    #[error("too many links")]
    LinkLimit,
    /// The node has no such extended attribute.
    #[error("no such attribute")]
    NoAttribute,
    /// The file was not opened for this.
    #[error("bad file descriptor")]
    BadDescriptor,
    /// The filesystem takes no changes.
    #[error("read-only filesystem")]
    ReadOnly,
    /// Both ends must be on one filesystem.
    #[error("cross-device link")]
    CrossDevice,
    /// The node is in use in a way that forbids this, for example as a mount point.
    #[error("device or resource busy")]
    Busy,
    /// All numbers for descriptors are in use.
    #[error("too many open files")]
    TooManyFiles,
    /// The owner has as many locks as it may have.
    #[error("no locks available")]
    TooManyLocks,
    /// Waiting for this would wait for oneself.
    #[error("resource deadlock avoided")]
    Deadlock,
    /// Going on could wait for a disk or network, or for somebody who holds a lock, and the caller asked not to.
    #[error("operation would block")]
    WouldBlock,
    /// Never allowed on this kind of node, whoever asks.
    #[error("operation not permitted")]
    NotPermitted,
    /// Not allowed for this caller.
    #[error("permission denied")]
    AccessDenied,
    /// The filesystem cannot do this; the text says what.
    #[error("not supported: {0}")]
    NotSupported(&'static str),
    /// The node no longer stands for anything.
    #[error("stale file handle")]
    Stale,
    /// Any other refusal of the host, as its raw Linux number.
    #[error("i/o error (errno {0})")]
    Io(i32),
}

impl Error {
    /// The Linux number of this error.
    pub fn errno(&self) -> i32 {
        let errno = match self {
            Error::NotFound => Errno::NOENT,
            Error::Exists => Errno::EXIST,
            Error::NotADirectory => Errno::NOTDIR,
            Error::IsADirectory => Errno::ISDIR,
            Error::NotEmpty => Errno::NOTEMPTY,
            Error::InvalidPath | Error::InvalidArgument(_) => Errno::INVAL,
            Error::NameTooLong => Errno::NAMETOOLONG,
            Error::TooManyLinks => Errno::LOOP,
            Error::NoSpace { .. } => Errno::NOSPC,
            Error::QuotaExceeded { .. } => Errno::DQUOT,
            Error::TooBig => Errno::FBIG,
            Error::PastEnd => Errno::NXIO,
            Error::LinkLimit => Errno::MLINK,
            Error::NoAttribute => Errno::NODATA,
            Error::BadDescriptor => Errno::BADF,
            Error::ReadOnly => Errno::ROFS,
            Error::CrossDevice => Errno::XDEV,
            Error::Busy => Errno::BUSY,
            Error::TooManyFiles => Errno::MFILE,
            Error::TooManyLocks => Errno::NOLCK,
            Error::Deadlock => Errno::DEADLK,
            Error::WouldBlock => Errno::AGAIN,
            Error::NotPermitted => Errno::PERM,
            Error::AccessDenied => Errno::ACCESS,
            Error::NotSupported(_) => Errno::OPNOTSUPP,
            Error::Stale => Errno::STALE,
            Error::Io(raw) => return *raw,
        };
        errno.raw_os_error()
    }

    /// The error of a Linux number. Those without a variant of their own become [`Error::Io`], so that
    /// [`Error::errno`] gives every number back.
    pub fn from_errno(raw: i32) -> Self {
        // Zero and below are no errors; they must not come out as success either.
        if (1..4096).contains(&raw) {
            Errno::from_raw_os_error(raw).into()
        } else {
            Error::Io(Errno::IO.raw_os_error())
        }
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        std::io::Error::from_raw_os_error(error.errno())
    }
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOENT => Error::NotFound,
            Errno::EXIST => Error::Exists,
            Errno::NOTDIR => Error::NotADirectory,
            Errno::ISDIR => Error::IsADirectory,
            Errno::NOTEMPTY => Error::NotEmpty,
            Errno::INVAL => Error::InvalidArgument("refused by the host"),
            Errno::NAMETOOLONG => Error::NameTooLong,
            Errno::LOOP => Error::TooManyLinks,
            Errno::NOSPC => Error::NoSpace { capacity: 0, used: 0, asked: 0 },
            Errno::DQUOT => Error::QuotaExceeded { limit: 0, used: 0, asked: 0 },
            Errno::FBIG => Error::TooBig,
            Errno::NXIO => Error::PastEnd,
            Errno::MLINK => Error::LinkLimit,
            Errno::NODATA => Error::NoAttribute,
            Errno::BADF => Error::BadDescriptor,
            Errno::ROFS => Error::ReadOnly,
            Errno::XDEV => Error::CrossDevice,
            Errno::BUSY => Error::Busy,
            Errno::MFILE => Error::TooManyFiles,
            Errno::NOLCK => Error::TooManyLocks,
            Errno::DEADLK => Error::Deadlock,
            Errno::AGAIN => Error::WouldBlock,
            Errno::PERM => Error::NotPermitted,
            Errno::ACCESS => Error::AccessDenied,
            Errno::OPNOTSUPP => Error::NotSupported("refused by the host"),
            Errno::STALE => Error::Stale,
            other => Error::Io(other.raw_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn every_number_survives_the_round_trip() {
        for raw in 1..=133 {
            assert_eq!(Error::from_errno(raw).errno(), raw, "errno {raw}");
        }
        for raw in [i32::MIN, -1, 0, 4096, i32::MAX] {
            assert_eq!(Error::from_errno(raw), Error::Io(5), "{raw} is no errno");
        }
    }

    #[test]
    fn every_variant_comes_back_as_itself() {
        let variants = [
            Error::NotFound,
            Error::Exists,
            Error::NotADirectory,
            Error::IsADirectory,
            Error::NotEmpty,
            Error::InvalidArgument("refused by the host"),
            Error::NameTooLong,
            Error::TooManyLinks,
            Error::NoSpace { capacity: 0, used: 0, asked: 0 },
            Error::QuotaExceeded { limit: 0, used: 0, asked: 0 },
            Error::TooBig,
            Error::PastEnd,
            Error::LinkLimit,
            Error::NoAttribute,
            Error::BadDescriptor,
            Error::ReadOnly,
            Error::CrossDevice,
            Error::Busy,
            Error::TooManyFiles,
            Error::TooManyLocks,
            Error::Deadlock,
            Error::WouldBlock,
            Error::NotPermitted,
            Error::AccessDenied,
            Error::NotSupported("refused by the host"),
            Error::Stale,
            Error::Io(5),
        ];
        for error in variants {
            assert_eq!(Error::from_errno(error.errno()), error);
        }
    }
}
