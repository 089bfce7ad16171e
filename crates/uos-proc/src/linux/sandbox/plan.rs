//! What a sandboxed program will see, worked out from its spec before there is a child.

use std::ffi::{CString, OsStr, c_long};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, OFlags, open, readlink, statx};
use rustix::mount::{OpenTreeFlags, open_tree};

use super::super::life::Arg;
use super::root::{Entry, Kind, NO_DEVICES, NO_EXECUTION, NO_SET_ID, Planned, READ_ONLY, Tree};
use crate::check::invalid;
use crate::{Level, Mount, Source, SpawnError, Stage};

/// The whole view.
#[derive(Default)]
pub(super) struct View {
    /// The descriptors that planned trees refer to. They go where the child's other descriptors go.
    pub(super) taken: Vec<OwnedFd>,
    /// In the order they are attached: what is mounted on comes before what is mounted there.
    pub(super) mounts: Vec<Planned>,
    pub(super) entries: Vec<Entry>,
    /// The user namespaces that planned owners refer to.
    pub(super) translations: Vec<Arc<OwnedFd>>,
}

/// What of the machine's own programs and libraries every view holds unless it is told not to.
pub(super) struct System {
    links: Vec<(&'static str, CString)>,
    mounts: Vec<(&'static str, Kind)>,
}

/// Whom a sandbox acts as on the host.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Who owns something on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

const SYSTEM: [&str; 9] =
    ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/alternatives", "/etc/ld.so.cache"];

/// Devices that do nothing to anybody, with their numbers. A terminal is the program's own or none.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

impl System {
    /// Looks what this machine has. On most, half of the places are links into `/usr`.
    pub(super) fn find() -> Self {
        let mut system = System { links: Vec::new(), mounts: Vec::new() };
        for place in SYSTEM {
            if let Ok(to) = readlink(place, Vec::new()) {
                system.links.push((place, to));
            } else if let Ok(stat) = rustix::fs::stat(place) {
                let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                system.mounts.push((place, if is_directory { Kind::Directory } else { Kind::File }));
            }
        }
        system
    }

    /// Every place that is not a link, and whether it is a directory.
    pub(super) fn places(&self) -> impl Iterator<Item = (CString, bool)> {
        let named = |place: &str| CString::new(place).expect("written here, without NUL");
        self.mounts.iter().map(move |(place, kind)| (named(place), *kind == Kind::Directory))
    }
}

/// How devices come into a view.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Devices {
    /// They are made, which takes the rights of root.
    Made,
    /// The host's are mounted.
    Mounted,
}

pub(super) struct Wishes<'a> {
    pub(super) level: Level,
    pub(super) mounts: Vec<Mount>,
    /// The system's part, if it is wanted.
    pub(super) system: Option<&'a System>,
    pub(super) devices: Devices,
    /// As whom the program will run, by the numbers that hold in its own user namespace.
    pub(super) ids: Ids,
}

/// `translation` gives the user namespace in which somebody on the host is the program, if there are such.
pub(super) fn plan(
    wishes: Wishes<'_>,
    mut translation: impl FnMut(Owner) -> Result<Option<c_long>, SpawnError>,
) -> Result<View, SpawnError> {
    let mut view = View::default();
    furnish(&mut view, &wishes);
    let asked: Vec<PathBuf> = wishes.mounts.iter().map(|mount| mount.at.clone()).collect();
    let free = |place: &str| !asked.iter().any(|at| at == Path::new(place));
    if let Some(system) = wishes.system {
        for (number, (place, kind)) in (1..).zip(&system.mounts).filter(|(_, (place, _))| free(place)) {
            let tree = Tree::Path(text(OsStr::new(place))?);
            view.add(number, Path::new(place), *kind, tree, READ_ONLY | NO_SET_ID | NO_DEVICES, None)?;
        }
        for (place, to) in system.links.iter().filter(|(place, _)| free(place)) {
            view.entries.push(Entry::Link { at: relative(Path::new(place))?, to: to.clone() });
        }
    }
    view.add(0, Path::new("/proc"), Kind::Directory, Tree::Processes, 0xE, None)?;
    let (scratch, shared) = if wishes.level == Level::Minimal { (16, None) } else { (64, Some(64)) };
    if free("/tmp") {
        let execution = if wishes.level == Level::Minimal { NO_EXECUTION } else { 0 };
        view.add_memory(0, Path::new("/tmp"), scratch << 20, 10_000, execution, wishes.ids)?;
    }
    if let Some(shared) = shared {
        view.add_memory(0, Path::new("/dev/shm"), shared << 20, 1_000, NO_EXECUTION, wishes.ids)?;
    }
    for (number, mount) in (1..).zip(wishes.mounts) {
        view.add_asked(number, mount, wishes.ids, &mut translation)?;
    }
    view.order()?;
    Ok(view)
}

impl View {
    fn add(
        &mut self,
        number: usize,
        at: &Path,
        kind: Kind,
        source: Tree,
        flags: u64,
        owner: Option<c_long>,
    ) -> Result<(), SpawnError> {
        let shown_at = at.to_path_buf();
        let at = relative(at)?;
        self.mounts.push(Planned {
            number,
            shown_at,
            at,
            made: true,
            way: Vec::new(),
            kind,
            source,
            flags,
            owner,
        });
        Ok(())
    }

    fn add_memory(
        &mut self,
        number: usize,
        at: &Path,
        size_bytes: u64,
        files: u64,
        flags: u64,
        ids: Ids,
    ) -> Result<(), SpawnError> {
        let options = vec![
            ("size", size_bytes.to_string()),
            // The directory itself counts as one.
            ("nr_inodes", files.saturating_add(1).to_string()),
            ("mode", "0700".to_owned()),
            ("uid", ids.uid.to_string()),
            ("gid", ids.gid.to_string()),
        ];
        self.add(number, at, Kind::Directory, Tree::Memory(options), flags | NO_SET_ID | NO_DEVICES, None)
    }

    fn add_asked(
        &mut self,
        number: usize,
        mount: Mount,
        ids: Ids,
        translation: &mut impl FnMut(Owner) -> Result<Option<c_long>, SpawnError>,
    ) -> Result<(), SpawnError> {
        let flags = NO_SET_ID
            | NO_DEVICES
            | if mount.writable { 0 } else { READ_ONLY }
            | if mount.executable { 0 } else { NO_EXECUTION };
        let failed = |step, errno: rustix::io::Errno| SpawnError::Stage {
            stage: Stage::Mount { number, at: mount.at.clone(), step },
            errno: errno.raw_os_error(),
        };
        match mount.source {
            Source::Scratch { size_bytes, files } => {
                self.add_memory(number, &mount.at, size_bytes, files, flags & NO_EXECUTION, ids)
            }
            Source::Path(path) => {
                let flags_of_look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let look =
                    open(&path, flags_of_look, Mode::empty()).map_err(|errno| failed("source", errno))?;
                let (kind, owner) = kind_and_owner(&look).map_err(|errno| failed("source", errno))?;
                let owner = translation(owner)?;
                self.add(number, &mount.at, kind, Tree::Path(text(path.as_os_str())?), flags, owner)
            }
            Source::Fd(fd) => {
                let (kind, owner) = kind_and_owner(&fd).map_err(|errno| failed("source", errno))?;
                let owner = translation(owner)?;
                let how = OpenTreeFlags::OPEN_TREE_CLONE
                    | OpenTreeFlags::OPEN_TREE_CLOEXEC
                    | OpenTreeFlags::AT_EMPTY_PATH
                    | OpenTreeFlags::AT_RECURSIVE;
                // Here and not in the child: the descriptor belongs to the mounts that this program sees.
                let tree = open_tree(&fd, "", how).map_err(|errno| failed("tree", errno))?;
                let number_of_tree = Arg::from(tree.as_raw_fd());
                self.taken.push(tree);
                self.add(number, &mount.at, kind, Tree::Taken(number_of_tree), flags, owner)
            }
        }
    }

    /// Sorts the mounts so that each finds its place, and works out which directories are missing on the way.
    fn order(&mut self) -> Result<(), SpawnError> {
        self.mounts.sort_by_key(|mount| mount.shown_at.components().count());
        for place in 0..self.mounts.len() {
            let at = self.mounts[place].shown_at.clone();
            // The nearest mount that it lies in; of the host's nothing is changed, also where it could be.
            let below = self.mounts[..place].iter().rev().find(|other| at.starts_with(&other.shown_at));
            let in_memory = below.is_none_or(|below| matches!(below.source, Tree::Memory(_)));
            let mount = &mut self.mounts[place];
            mount.made = in_memory;
            if in_memory {
                let ways: Vec<&Path> = at.ancestors().skip(1).collect();
                let ways = ways.iter().rev().filter(|way| way.as_os_str().len() > 1);
                mount.way = ways.map(|way| relative(way)).collect::<Result<_, _>>()?;
            }
        }
        Ok(())
    }
}

/// What lies in the root itself: directories to mount on, devices, and the few files without which programs think
/// that something is broken.
fn furnish(view: &mut View, wishes: &Wishes<'_>) {
    let c = |text: &str| CString::new(text).expect("written here, without NUL");
    let directory = |at: &str| Entry::Directory(c(at));
    let link = |at: &str, to: &str| Entry::Link { at: c(at), to: c(to) };
    let Ids { uid, gid } = wishes.ids;
    let file = |at: &str, text: String| Entry::File { at: c(at), text: c(&text) };
    view.entries.extend(["proc", "dev", "etc", "tmp"].map(directory));
    view.entries.extend([
        link("dev/fd", "/proc/self/fd"),
        link("dev/stdin", "/proc/self/fd/0"),
        link("dev/stdout", "/proc/self/fd/1"),
        link("dev/stderr", "/proc/self/fd/2"),
        file(
            "etc/passwd",
            format!("root:x:0:0:root:/:/usr/sbin/nologin\nuser:x:{uid}:{gid}:user:/tmp:/bin/sh\n"),
        ),
        file("etc/group", format!("root:x:0:\nuser:x:{gid}:\n")),
        file("etc/hosts", "127.0.0.1 localhost sandbox\n::1 localhost\n".into()),
        file("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n".into()),
    ]);
    for (name, major, minor) in DEVICES {
        let at = format!("dev/{name}");
        match wishes.devices {
            Devices::Made => {
                let number = libc::makedev(major, minor).cast_signed();
                view.entries.push(Entry::Device { at: c(&at), number });
            }
            Devices::Mounted => view.mounts.push(Planned {
                number: 0,
                shown_at: PathBuf::from(format!("/{at}")),
                at: c(&at),
                made: true,
                way: Vec::new(),
                kind: Kind::File,
                source: Tree::Path(c(&format!("/{at}"))),
                flags: NO_SET_ID | NO_EXECUTION,
                owner: None,
            }),
        }
    }
}

fn kind_and_owner(fd: &OwnedFd) -> rustix::io::Result<(Kind, Owner)> {
    let stat = rustix::fs::fstat(fd)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        // The child refuses it in the same words; a link may also have come meanwhile.
        FileType::Symlink => return Err(rustix::io::Errno::LOOP),
        _ => Kind::File,
    };
    Ok((kind, Owner { uid: stat.st_uid, gid: stat.st_gid }))
}

/// A path below the root, as the child names it from there.
fn relative(path: &Path) -> Result<CString, SpawnError> {
    text(path.strip_prefix("/").unwrap_or(path).as_os_str())
}

fn text(text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).or_else(|_| invalid("mounts", "a NUL byte"))
}

/// A directory that every machine has, over which a root can be put together. Not `/proc`: the kernel lets nobody
/// mount a fresh one who does not see a whole one.
pub(super) fn staging() -> Option<CString> {
    let is_there = |place: &&str| {
        statx(CWD, *place, rustix::fs::AtFlags::SYMLINK_NOFOLLOW, rustix::fs::StatxFlags::TYPE)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory)
    };
    let found = ["/tmp", "/usr", "/etc", "/var"].into_iter().find(is_there)?;
    CString::new(found).ok()
}

/// Whether a descriptor leads to a directory, from where a program could walk out of its root.
pub(super) fn is_directory(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
