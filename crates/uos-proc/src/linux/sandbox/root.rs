//! A root of its own: a filesystem in memory that holds nothing but what is mounted into it.
//!
//! Everything is done by the child, in its own mount namespace: nothing that is being built is ever seen by anybody
//! else, and nothing of a child that fails is left, because it all goes with the namespace. Sources are taken before
//! the root is there, so that what lies below the place where it is put together can be a source too.
//!
//! Paths are a danger twice, because somebody may change a link while they are walked. Sources are walked without
//! links; targets without links and without leaving the new root.

use std::ffi::{CString, c_int, c_long};
use std::path::PathBuf;

use super::super::life::{Arg, Life};
use crate::Stage;

const AT_FDCWD: c_int = libc::AT_FDCWD;
const EMPTY_PATH: c_int = libc::AT_EMPTY_PATH;

const FSOPEN_CLOEXEC: c_int = 1;
const FSCONFIG_SET_STRING: c_int = 1;
const FSCONFIG_CMD_CREATE: c_int = 6;
const FSMOUNT_CLOEXEC: c_int = 1;
const OPEN_TREE_CLONE: c_int = 1;
const MOVE_MOUNT_F_EMPTY_PATH: c_int = 0x4;
const MOVE_MOUNT_T_EMPTY_PATH: c_int = 0x40;
const RESOLVE_NO_MAGICLINKS: u64 = 0x2;
const RESOLVE_NO_SYMLINKS: u64 = 0x4;
const RESOLVE_BENEATH: u64 = 0x8;

pub(super) const READ_ONLY: u64 = 0x1;
pub(super) const NO_SET_ID: u64 = 0x2;
pub(super) const NO_DEVICES: u64 = 0x4;
pub(super) const NO_EXECUTION: u64 = 0x8;
const TRANSLATE_IDS: u64 = 0x10_0000;

/// A process sees its own user's, and of the kernel's other files none.
const PROCESSES: [(&str, &str); 2] = [("hidepid", "invisible"), ("subset", "pid")];

/// Options as the older call takes them.
fn joined<'a>(options: impl Iterator<Item = (&'a str, &'a str)>) -> CString {
    let options: Vec<String> = options.map(|(key, value)| format!("{key}={value}")).collect();
    CString::new(options.join(",")).expect("options hold no NUL")
}

/// Whether a directory or a file is to be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    File,
}

/// Something to be mounted, with every name checked and in the kernel's terms.
pub(super) struct Planned {
    /// Which one it is to whoever asked, and where they want to see it; for messages.
    pub(super) number: usize,
    pub(super) shown_at: PathBuf,
    /// The place, relative to the new root.
    pub(super) at: CString,
    /// Whether it lies in the new root or in memory, so that it can be made; and the directories on the way there.
    pub(super) made: bool,
    pub(super) way: Vec<CString>,
    pub(super) kind: Kind,
    pub(super) source: Tree,
    /// Whether it lies in the new root itself, and not in what is mounted there.
    pub(super) in_root: bool,
    /// Whether it is the same for every sandbox, so that it can be mounted once.
    pub(super) fixed: bool,
    /// Flags of the mount, recursively.
    pub(super) flags: u64,
    /// The user namespace that says who the owner on the host is inside.
    pub(super) owner: Option<c_long>,
}

/// Where a tree of files comes from.
pub(super) enum Tree {
    /// A path of the host.
    Path(CString),
    /// The number of a descriptor of a tree that is mounted nowhere yet.
    Taken(Arg),
    /// Memory.
    Memory(Vec<(&'static str, String)>),
    /// The processes of the namespace.
    Processes,
}

/// Something small that lies in the new root itself.
pub(super) enum Entry {
    Directory(CString),
    Link { at: CString, to: CString },
    File { at: CString, text: CString },
    Device { at: CString, number: c_long },
}

impl Life {
    fn mount_stage(&mut self, mount: &Planned, step: &'static str) {
        self.stage(Stage::Mount { number: mount.number, at: mount.shown_at.clone(), step });
    }

    /// Cuts the namespace off from the one it was copied of: neither sees what the other mounts.
    pub(super) fn separate_mounts(&mut self) {
        self.stage(Stage::Root("propagation"));
        let flags = Arg::Is((libc::MS_REC | libc::MS_PRIVATE).cast_signed());
        self.call(libc::SYS_mount, [0.into(), Life::fixed(c"/"), 0.into(), flags, 0.into()]);
        // Modes below are meant as they are written.
        self.call(libc::SYS_umask, [0.into()]);
    }

    /// The tree to be mounted, not yet seen anywhere.
    pub(super) fn take(&mut self, mount: &Planned) -> Arg {
        let tree = match &mount.source {
            Tree::Taken(tree) => *tree,
            Tree::Path(path) => {
                self.mount_stage(mount, "source");
                let source = self.open_path(path.clone(), RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
                self.mount_stage(mount, "tree");
                let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC | EMPTY_PATH | libc::AT_RECURSIVE;
                self.keep(libc::SYS_open_tree, [source, Life::fixed(c""), flags.into()])
            }
            Tree::Memory(options) => {
                self.mount_stage(mount, "tree");
                self.filesystem("tmpfs", options, mount.flags)
            }
            Tree::Processes => {
                self.mount_stage(mount, "tree");
                let options = PROCESSES.map(|(key, value)| (key, value.to_owned()));
                self.filesystem("proc", &options, mount.flags)
            }
        };
        if matches!(mount.source, Tree::Taken(_) | Tree::Path(_)) {
            if let Some(owner) = mount.owner {
                self.mount_stage(mount, "owner");
                // Not every filesystem can. Then the program meets the host's ids, and may do less, never more.
                self.set_flags(&[libc::EINVAL], tree, TRANSLATE_IDS, owner.cast_unsigned());
            }
            self.mount_stage(mount, "read-only");
            self.set_flags(&[], tree, mount.flags, 0);
        }
        tree
    }

    /// Mounts what is made of nothing at a place in the root itself, whose names are nobody else's: one call instead of
    /// a dozen. False for anything else.
    pub(super) fn mount_at_once(&mut self, mount: &Planned) -> bool {
        let (kind, options) = match &mount.source {
            Tree::Memory(options) if mount.in_root => {
                (c"tmpfs", joined(options.iter().map(|(k, v)| (*k, v.as_str()))))
            }
            Tree::Processes if mount.in_root => (c"proc", joined(PROCESSES.into_iter())),
            _ => return false,
        };
        self.mount_stage(mount, "attach");
        let (kind, at, options) = (Life::fixed(kind), self.text(mount.at.clone()), self.text(options));
        // The flags of old and new calls are the same bits.
        self.call(libc::SYS_mount, [kind, at, kind, Arg::Is(mount.flags.cast_signed()), options]);
        true
    }

    /// A new filesystem, mounted nowhere yet.
    fn filesystem(&mut self, kind: &str, options: &[(&'static str, String)], flags: u64) -> Arg {
        let text = |text: &str| CString::new(text).expect("options hold no NUL");
        let kind = self.text(text(kind));
        let fs = self.keep(libc::SYS_fsopen, [kind, FSOPEN_CLOEXEC.into()]);
        for (key, value) in options {
            let (key, value) = (self.text(text(key)), self.text(text(value)));
            self.call(libc::SYS_fsconfig, [fs, FSCONFIG_SET_STRING.into(), key, value, 0.into()]);
        }
        self.call(libc::SYS_fsconfig, [fs, FSCONFIG_CMD_CREATE.into(), 0.into(), 0.into(), 0.into()]);
        self.keep(libc::SYS_fsmount, [fs, FSMOUNT_CLOEXEC.into(), Arg::Is(flags.cast_signed())])
    }

    /// Sets flags of all mounts in `tree`; what is mounted on the host later shows nowhere in it.
    fn set_flags(&mut self, tolerated: &'static [c_int], tree: Arg, set: u64, user_namespace: u64) {
        let attributes = self.words([set, 0, libc::MS_PRIVATE, user_namespace]);
        let flags = EMPTY_PATH | libc::AT_RECURSIVE;
        let args = [tree, Life::fixed(c""), flags.into(), attributes, 32.into()];
        self.try_call(tolerated, libc::SYS_mount_setattr, args);
    }

    /// An empty root that is mounted nowhere yet.
    pub(super) fn new_root(&mut self, flags: u64) -> Arg {
        self.stage(Stage::Root("filesystem"));
        let options = [("size", "1m"), ("nr_inodes", "1024"), ("mode", "0755")];
        let options = options.map(|(key, value)| (key, value.to_owned()));
        self.filesystem("tmpfs", &options, flags)
    }

    /// Puts a root over a directory, and enters it. What is relative from here on is relative to it.
    pub(super) fn show_root(&mut self, root: Arg, over: impl Into<CString>) {
        self.stage(Stage::Root("attach"));
        let over = self.text(over);
        let flags = MOVE_MOUNT_F_EMPTY_PATH.into();
        self.call(libc::SYS_move_mount, [root, Life::fixed(c""), AT_FDCWD.into(), over, flags]);
        self.enter_directory(root);
    }

    pub(super) fn enter_directory(&mut self, directory: Arg) {
        self.call(libc::SYS_fchdir, [directory]);
    }

    pub(super) fn furnish(&mut self, entries: Vec<Entry>) {
        self.stage(Stage::Root("entries"));
        for entry in entries {
            match entry {
                Entry::Directory(at) => self.directory(at),
                Entry::Link { at, to } => {
                    let (at, to) = (self.text(at), self.text(to));
                    self.call(libc::SYS_symlinkat, [to, AT_FDCWD.into(), at]);
                }
                Entry::File { at, text } => {
                    let len = c_long::try_from(text.count_bytes()).expect("a small file");
                    let (at, text) = (self.text(at), self.text(text));
                    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
                    let file = self.keep(libc::SYS_openat, [AT_FDCWD.into(), at, flags.into(), 0o644.into()]);
                    self.call(libc::SYS_write, [file, text, len.into()]);
                    // What is open for writing can't be made read-only.
                    self.call(libc::SYS_close, [file]);
                }
                Entry::Device { at, number } => {
                    let at = self.text(at);
                    let mode = libc::S_IFCHR | 0o666;
                    self.call(libc::SYS_mknodat, [AT_FDCWD.into(), at, Arg::Is(mode.into()), number.into()]);
                }
            }
        }
    }

    fn directory(&mut self, at: CString) {
        let at = self.text(at);
        self.try_call(&[libc::EEXIST], libc::SYS_mkdirat, [AT_FDCWD.into(), at, 0o755.into()]);
    }

    /// Makes the place that a mount is to be seen at, where it can be made.
    pub(super) fn make_place(&mut self, mount: &Planned) {
        self.mount_stage(mount, "target");
        for directory in &mount.way {
            self.directory(directory.clone());
        }
        // In what is mounted of the host nothing is made: the place is there, or is missed later.
        match mount.kind {
            Kind::Directory if mount.made => self.directory(mount.at.clone()),
            Kind::File if mount.made => {
                let at = self.text(mount.at.clone());
                let mode = libc::S_IFREG | 0o644;
                let args = [AT_FDCWD.into(), at, Arg::Is(mode.into()), 0.into()];
                self.try_call(&[libc::EEXIST], libc::SYS_mknodat, args);
            }
            _ => {}
        }
    }

    /// Has `tree` seen at its place.
    pub(super) fn attach(&mut self, mount: &Planned, tree: Arg) {
        self.mount_stage(mount, "target");
        let resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
        let target = self.open_path(mount.at.clone(), resolve);
        self.mount_stage(mount, "attach");
        let flags = (MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH).into();
        let empty = Life::fixed(c"");
        self.call(libc::SYS_move_mount, [tree, empty, target, empty, flags]);
    }

    fn open_path(&mut self, path: CString, resolve: u64) -> Arg {
        let path = self.text(path);
        let flags = (libc::O_PATH | libc::O_CLOEXEC).cast_unsigned();
        let how = self.words([flags.into(), 0, resolve]);
        self.keep(libc::SYS_openat2, [AT_FDCWD.into(), path, how, 24.into()])
    }

    /// Makes what has been put together the root, and the old one unreachable.
    pub(super) fn pivot(&mut self) {
        self.stage(Stage::Root("pivot"));
        let here = Life::fixed(c".");
        self.call(libc::SYS_pivot_root, [here, here]);
        // The old root is mounted over the new one, where "." now leads.
        self.call(libc::SYS_umount2, [here, libc::MNT_DETACH.into()]);
        self.call(libc::SYS_chdir, [Life::fixed(c"/")]);
    }

    /// Makes the current directory the root, where there is nothing else that could be reached.
    pub(super) fn be_root(&mut self) {
        self.stage(Stage::Root("chroot"));
        self.call(libc::SYS_chroot, [Life::fixed(c".")]);
    }

    /// Nothing in the root itself can be changed any more.
    pub(super) fn freeze_root(&mut self, root: Arg) {
        self.stage(Stage::Root("read-only"));
        let attributes = self.words([READ_ONLY, 0, 0, 0]);
        self.call(
            libc::SYS_mount_setattr,
            [root, Life::fixed(c""), EMPTY_PATH.into(), attributes, 32.into()],
        );
    }
}
