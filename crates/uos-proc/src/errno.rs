//! Names of system errors, for messages.

use std::fmt;

/// Shows an errno as `ENOENT`, or as `errno 123` where it has no name here.
pub(crate) struct Errno(pub(crate) i32);

macro_rules! names {
    ($($name:ident)*) => {
        fn name(errno: i32) -> Option<&'static str> {
            match errno {
                $(libc::$name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

// Those that clone, execve, the calls between them, kill and setpriority are documented to give.
names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT EBUSY EEXIST EXDEV
    ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ETXTBSY EFBIG ENOSPC EROFS EPIPE ERANGE EDEADLK ENAMETOOLONG
    ENOSYS ELOOP ELIBBAD EOVERFLOW EUSERS EOPNOTSUPP ESTALE EDQUOT ETIMEDOUT
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}
