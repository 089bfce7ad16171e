//! POSIX error numbers: the one place that knows them all.

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// A POSIX error, with its Linux number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(clippy::upper_case_acronyms, reason = "these are the field's own names")]
        #[repr(i32)]
        pub enum Errno {
            $(#[doc = $text] $name = $number,)*
        }

        impl Errno {
            /// All that are known here.
            pub const ALL: &[Errno] = &[$(Errno::$name,)*];

            /// Its POSIX name.
            pub fn name(self) -> &'static str {
                match self { $(Errno::$name => stringify!($name),)* }
            }

            /// What it means, in a few words.
            pub fn text(self) -> &'static str {
                match self { $(Errno::$name => $text,)* }
            }

            /// The error of a Linux number. Numbers that are not known here become `EIO`.
            pub fn from_number(number: i32) -> Errno {
                match number { $($number => Errno::$name,)* _ => Errno::EIO }
            }
        }
    };
}

errnos! {
    EPERM = 1, "not permitted";
    ENOENT = 2, "no such file or directory";
    ESRCH = 3, "no such process";
    EINTR = 4, "interrupted";
    EIO = 5, "input or output failed";
    ENXIO = 6, "no such device or address";
    E2BIG = 7, "arguments are too long";
    ENOEXEC = 8, "not an executable format";
    EBADF = 9, "no such handle";
    ECHILD = 10, "no child process";
    EAGAIN = 11, "try again";
    ENOMEM = 12, "out of memory";
    EACCES = 13, "access denied";
    EBUSY = 16, "busy";
    EEXIST = 17, "it exists already";
    EXDEV = 18, "not on the same filesystem";
    ENODEV = 19, "no such device";
    ENOTDIR = 20, "not a directory";
    EISDIR = 21, "is a directory";
    EINVAL = 22, "invalid argument";
    ENFILE = 23, "too many open files in the system";
    EMFILE = 24, "too many handles";
    ENOTTY = 25, "not a terminal";
    ETXTBSY = 26, "the program is being written";
    EFBIG = 27, "too large";
    ENOSPC = 28, "no space left";
    ESPIPE = 29, "can't seek";
    EROFS = 30, "read-only filesystem";
    EMLINK = 31, "too many links";
    EPIPE = 32, "nobody reads any more";
    ERANGE = 34, "out of range";
    EDEADLK = 35, "would deadlock";
    ENAMETOOLONG = 36, "name too long";
    ENOLCK = 37, "too many locks";
    ENOSYS = 38, "no such call";
    ENOTEMPTY = 39, "directory not empty";
    ELOOP = 40, "too many symbolic links";
    EIDRM = 43, "it was destroyed";
    ENODATA = 61, "no data";
    EPROTO = 71, "protocol error";
    EOVERFLOW = 75, "value too large";
    EUSERS = 87, "too many users";
    EDESTADDRREQ = 89, "no address to send to";
    EMSGSIZE = 90, "message too long";
    EPROTOTYPE = 91, "wrong kind of socket";
    ENOPROTOOPT = 92, "no such option";
    EPROTONOSUPPORT = 93, "protocol not supported";
    ENOTSUP = 95, "not supported";
    EAFNOSUPPORT = 97, "address family not supported";
    EADDRINUSE = 98, "address in use";
    EADDRNOTAVAIL = 99, "address not available";
    ENETUNREACH = 101, "network unreachable";
    ECONNABORTED = 103, "connection aborted";
    ECONNRESET = 104, "connection reset";
    EISCONN = 106, "connected already";
    ENOTCONN = 107, "not connected";
    ETIMEDOUT = 110, "timed out";
    ECONNREFUSED = 111, "connection refused";
    EHOSTUNREACH = 113, "host unreachable";
    EALREADY = 114, "already under way";
    ESTALE = 116, "stale";
    EDQUOT = 122, "quota exceeded";
    ECANCELED = 125, "cancelled";
}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn numbers_come_back_and_are_unique() {
        for (place, &errno) in Errno::ALL.iter().enumerate() {
            assert_eq!(Errno::from_number(errno as i32), errno);
            assert!(errno.name().starts_with('E') && !errno.text().is_empty());
            assert!(Errno::ALL[..place].iter().all(|other| *other as i32 != errno as i32));
        }
        assert_eq!(Errno::from_number(9_999), Errno::EIO);
    }
}
