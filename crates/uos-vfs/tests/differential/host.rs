//! The host's tmpfs, by its own calls. Paths are resolved below a directory by openat2, as if it were the
//! root; nothing but the last name is then given to a call.

use super::ours::{said, short};
use super::steps::Step;
use super::{Answer, LONG_AGO, Picture, World};
use rustix::fs::{
    AtFlags, CWD, Dir, FallocateFlags, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Statx,
    StatxFlags, Timespec, Timestamps, UTIME_NOW, Uid, XattrFlags, chmodat, chownat, fallocate, fstatfs,
    ftruncate, getxattr, linkat, listxattr, makedev, mkdirat, mknodat, openat, openat2, readlinkat,
    removexattr, renameat_with, setxattr, statx, symlinkat, unlinkat, utimensat,
};
use rustix::io::{Errno, pread, pwrite, write};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::os::fd::{AsRawFd, OwnedFd};
use uos_vfs::{Allocate, Attr, Caller, Device, Kind, NodeId, Rename, SetXattr, Timestamp};

/// The magic number of tmpfs.
const TMPFS: i64 = 0x0102_1994;

pub(crate) struct Host {
    _dir: tempfile::TempDir,
    root: OwnedFd,
}

type Done<T = String> = Result<T, Errno>;

impl Host {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").expect("a directory to compare with");
        let root = openat(CWD, dir.path(), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .unwrap();
        assert_eq!(
            fstatfs(&root).unwrap().f_type as i64,
            TMPFS,
            "/dev/shm is to be a tmpfs, to compare with"
        );
        chmodat(CWD, dir.path(), Mode::from_raw_mode(0o755), AtFlags::empty()).unwrap();
        rustix::process::umask(Mode::empty());
        Host { _dir: dir, root }
    }

    fn open(&self, path: &str, flags: OFlags, mode: u32) -> Done<OwnedFd> {
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(mode) } else { Mode::empty() };
        // A pipe that nobody has at its other end must not hold up whoever opens it.
        let waits = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK };
        let opened = loop {
            let flags = flags | waits | OFlags::CLOEXEC;
            match openat2(&self.root, path, flags, mode, ResolveFlags::IN_ROOT) {
                // Somebody has renamed or mounted something somewhere while this went up by `..`.
                Err(Errno::AGAIN) => {}
                opened => break opened,
            }
        };
        if !flags.contains(OFlags::PATH) && matches!(opened, Ok(_) | Err(Errno::NXIO)) {
            // Pipes are not opened here, with or without somebody at the other end.
            let node = self.node(path, true);
            if node.is_ok_and(|node| attr(&node).kind == Kind::Fifo) {
                return Err(Errno::OPNOTSUPP);
            }
        }
        opened
    }

    /// What a path leads to, itself.
    fn node(&self, path: &str, follow: bool) -> Done<OwnedFd> {
        self.open(path, if follow { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW }, 0)
    }

    /// The directory that the last name of a path is in, and that name with the slashes behind it.
    fn parent<'a>(&self, path: &'a str) -> Done<(OwnedFd, &'a str)> {
        let bare = path.trim_end_matches('/');
        let start = bare.rfind('/').map_or(0, |slash| slash + 1);
        let above = if start == 0 { "." } else { &path[..start] };
        let dir = self.open(above, OFlags::PATH | OFlags::DIRECTORY, 0)?;
        // A whole path would be asked for the right to search here before anything else is looked at.
        openat(&dir, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        Ok((dir, &path[start..]))
    }

    fn answer(&self, step: &Step) -> Done {
        let done = |result: Done<()>| result.map(|()| String::new());
        let bits = |mode: &u32| Mode::from_raw_mode(*mode);
        match step {
            Step::Own => Ok(String::new()),
            Step::Create(at, mode) => {
                self.open(at, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, *mode).map(|_| String::new())
            }
            Step::Write(at, len) => {
                let file = self.open(at, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, 0o644)?;
                write(file, &vec![7; *len]).map(|_| String::new())
            }
            Step::Append(at, len) => {
                let file = self.open(at, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND, 0o644)?;
                write(file, &vec![8; *len]).map(|_| String::new())
            }
            Step::WriteAt(at, from, len) => {
                pwrite(self.open(at, OFlags::WRONLY, 0)?, &vec![9; *len], *from).map(|len| format!("{len}"))
            }
            Step::Truncate(at, len) => done(ftruncate(self.open(at, OFlags::WRONLY, 0)?, *len)),
            Step::Range(at, from, len, how) => {
                let flags = match how {
                    Allocate::Reserve => FallocateFlags::empty(),
                    Allocate::ReserveKeepingLength => FallocateFlags::KEEP_SIZE,
                    _ => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                };
                done(fallocate(self.open(at, OFlags::WRONLY, 0)?, flags, *from, *len))
            }
            Step::Read(at) => {
                let file = self.open(at, OFlags::RDONLY, 0)?;
                if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::Directory {
                    // Opening it is no error on the host, reading from it is.
                    return Err(Errno::ISDIR);
                }
                all(&file).map(|data| short(&data))
            }
            Step::Mkdir(at, mode) => {
                let (dir, name) = self.parent(at)?;
                done(mkdirat(dir, name, bits(mode)))
            }
            Step::Rmdir(at) => {
                let (dir, name) = self.parent(at)?;
                done(unlinkat(dir, name, AtFlags::REMOVEDIR))
            }
            Step::Unlink(at) => {
                let (dir, name) = self.parent(at)?;
                done(unlinkat(dir, name, AtFlags::empty()))
            }
            Step::Rename(from, to, how) => {
                let ((dir, name), (to_dir, to_name)) = (self.parent(from)?, self.parent(to)?);
                let flags = match how {
                    Rename::Replace => RenameFlags::empty(),
                    Rename::NoReplace => RenameFlags::NOREPLACE,
                    Rename::Exchange => RenameFlags::EXCHANGE,
                };
                done(renameat_with(dir, name, to_dir, to_name, flags))
            }
            Step::Symlink(to, at) => {
                // An empty text is refused before anything is looked at.
                if to.is_empty() {
                    return Err(Errno::NOENT);
                }
                let (dir, name) = self.parent(at)?;
                done(symlinkat(to, dir, name))
            }
            Step::ReadLink(at) => {
                let target = readlinkat(self.node(at, false)?, "", Vec::new());
                // Of something else by descriptor the host says that there is no such name.
                let target =
                    target.map_err(|errno| if errno == Errno::NOENT { Errno::INVAL } else { errno })?;
                Ok(format!("{:?}", target.to_bytes()))
            }
            Step::Link(from, to) => {
                let (node, (dir, name)) = (self.node(from, false)?, self.parent(to)?);
                done(linkat(CWD, again(&node), dir, name, AtFlags::SYMLINK_FOLLOW))
            }
            Step::Mkfifo(at, mode) => {
                let (dir, name) = self.parent(at)?;
                done(mknodat(dir, name, FileType::Fifo, bits(mode), makedev(0, 0)))
            }
            Step::Stat(at, follow) => Ok(said(&attr(&self.node(at, *follow)?))),
            Step::List(at) => {
                let dir = self.open(at, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
                Ok(format!("{:?}", entries_of(dir)))
            }
            Step::Chmod(at, mode) => {
                let (dir, name) = self.at(at)?;
                done(chmodat(dir, name, bits(mode), AtFlags::empty()))
            }
            Step::Chown(at, uid, gid) => {
                let (dir, name) = self.at(at)?;
                done(chownat(dir, name, uid.map(Uid::from_raw), gid.map(Gid::from_raw), AtFlags::empty()))
            }
            Step::Times(at, now) => {
                let time = match now {
                    true => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
                    false => Timespec { tv_sec: LONG_AGO + 1, tv_nsec: 5 },
                };
                let (dir, name) = self.at(at)?;
                let times = Timestamps { last_access: time, last_modification: time };
                done(utimensat(dir, name, &times, AtFlags::empty()))
            }
            Step::SetXattr(at, name, len, how) => {
                let flags = match how {
                    SetXattr::Any => XattrFlags::empty(),
                    SetXattr::New => XattrFlags::CREATE,
                    SetXattr::Replace => XattrFlags::REPLACE,
                };
                done(setxattr(again(&self.node(at, true)?), name.as_str(), &vec![1; *len], flags))
            }
            Step::Xattr(at, name) => {
                let mut value = [0; 64];
                let len = getxattr(again(&self.node(at, true)?), name.as_str(), &mut value[..])?;
                Ok(format!("{:?}", &value[..len]))
            }
            Step::RemoveXattr(at, name) => done(removexattr(again(&self.node(at, true)?), name.as_str())),
            Step::ListXattrs(at) => {
                let mut list = [0; 1024];
                let len = listxattr(again(&self.node(at, true)?), &mut list[..])?;
                let names = list[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty());
                let mut names: Vec<_> = names.map(<[u8]>::to_vec).collect();
                names.sort();
                Ok(format!("{names:?}"))
            }
        }
    }

    /// What a path leads to, as a directory and a name that the host follows no further: for others than root
    /// the way by the descriptor is closed, but they meet no links.
    fn at(&self, path: &str) -> Done<(OwnedFd, String)> {
        let node = self.node(path, true)?;
        if rustix::process::geteuid().is_root() {
            let name = again(&node);
            return Ok((node, name));
        }
        let (dir, name) = self.parent(path)?;
        Ok((dir, name.to_owned()))
    }
}

impl World for Host {
    fn act(&self, by: &Caller, step: &Step) -> Answer {
        let me = rustix::process::geteuid();
        let answer =
            if by.uid == me.as_raw() { self.answer(step) } else { as_somebody(by, || self.answer(step)) };
        answer.map_err(Errno::raw_os_error)
    }

    fn picture(&self) -> Picture {
        let mut picture = Picture::new();
        look(&self.root, b"", &mut picture);
        picture
    }

    fn age(&self) {
        age(&self.root);
    }
}

/// This thread, and no other, is somebody else for a while.
fn as_somebody<T>(by: &Caller, act: impl FnOnce() -> T) -> T {
    /// Root again, also after a panic: what comes next runs in the same thread.
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            become_user(0, 0, &[]);
        }
    }
    let _back = Back;
    become_user(by.uid, by.gid, &by.groups);
    act()
}

fn become_user(uid: u32, gid: u32, groups: &[u32]) {
    let (root, wheel) = (Some(Uid::ROOT), Some(Gid::ROOT));
    let groups: Vec<_> = groups.iter().copied().map(Gid::from_raw).collect();
    // From whatever it is now, over root.
    set_thread_res_uid(root, root, root).unwrap();
    set_thread_groups(&groups).unwrap();
    set_thread_res_gid(wheel, Some(Gid::from_raw(gid)), wheel).unwrap();
    set_thread_res_uid(root, Some(Uid::from_raw(uid)), root).unwrap();
}

/// A path that leads to this very file.
fn again(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn all(file: &OwnedFd) -> Done<Vec<u8>> {
    let mut data = vec![0; 1 << 18];
    let len = pread(file, &mut data[..], 0)?;
    data.truncate(len);
    Ok(data)
}

fn stat(fd: &OwnedFd) -> Statx {
    statx(fd, "", AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS).unwrap()
}

fn attr(fd: &OwnedFd) -> Attr {
    let stat = stat(fd);
    let modified = Timestamp { secs: stat.stx_mtime.tv_sec, nanos: stat.stx_mtime.tv_nsec };
    Attr {
        id: NodeId { fs: uos_vfs::FsId::new(), ino: stat.stx_ino, generation: 0 },
        kind: kind(FileType::from_raw_mode(u32::from(stat.stx_mode))),
        size: stat.stx_size,
        blocks_512: stat.stx_blocks,
        nlink: u64::from(stat.stx_nlink),
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        device: Device::default(),
        accessed: modified,
        modified,
        changed: modified,
        born: None,
    }
}

fn kind(file_type: FileType) -> Kind {
    match file_type {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Fifo,
    }
}

fn entries(dir: &OwnedFd) -> Vec<(Vec<u8>, Kind)> {
    entries_of(openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap())
}

fn entries_of(dir: OwnedFd) -> Vec<(Vec<u8>, Kind)> {
    let mut names: Vec<_> = Dir::new(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().to_bytes().to_vec(), kind(entry.file_type())))
        .filter(|(name, _)| !matches!(&name[..], b"." | b".."))
        .collect();
    names.sort_by(|one, other| one.0.cmp(&other.0));
    names
}

fn child(dir: &OwnedFd, name: &[u8]) -> OwnedFd {
    openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

fn look(node: &OwnedFd, path: &[u8], picture: &mut Picture) {
    let attr = attr(node);
    let content = match attr.kind {
        Kind::File => {
            let file = openat(CWD, again(node), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
            short(&all(&file).unwrap())
        }
        Kind::Symlink => format!("{:?}", readlinkat(node, "", Vec::new()).unwrap().to_bytes()),
        _ => String::new(),
    };
    picture.insert(path.to_vec(), format!("{} {content}", said(&attr)));
    if attr.kind == Kind::Directory {
        for (name, _) in entries(node) {
            look(&child(node, &name), &[path, b"/", &name].concat(), picture);
        }
    }
}

fn age(node: &OwnedFd) {
    let then = Timespec { tv_sec: LONG_AGO, tv_nsec: 0 };
    let times = Timestamps { last_access: then, last_modification: then };
    let kind = attr(node).kind;
    if kind == Kind::Directory {
        for (name, _) in entries(node) {
            age(&child(node, &name));
        }
    }
    // By descriptor, also of a link: this follows the link of /proc and no other.
    utimensat(CWD, again(node), &times, AtFlags::empty()).unwrap();
}
