//! Names of error numbers.

macro_rules! names {
    ($($name:ident)*) => {
        /// `EPERM`, or `errno 4000` where there is no name here.
        pub(crate) fn errno(errno: i32) -> String {
            match errno {
                $(libc::$name => stringify!($name).to_owned(),)*
                other => format!("errno {other}"),
            }
        }
    };
}

names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST
    EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE ERANGE
    EDEADLK ENAMETOOLONG ENOSYS ENOTEMPTY ELOOP ENOTSOCK EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EAFNOSUPPORT
    EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNREFUSED EHOSTUNREACH ETIMEDOUT ENOKEY EKEYREVOKED ENODATA
    EOVERFLOW EUSERS EDQUOT ENOTCONN EDESTADDRREQ
}
