//! Files by path. Each operation resolves once, and acts on what it found.

mod across;
mod copy;
mod entry;
mod open;
mod remove;
mod staged;

pub use open::OpenOptions;

use crate::path::check_target;
use crate::{
    Access, Attr, Error, File, How, Kind, Name, NodeRef, Place, Reach, Rename, Result, SetAttr, SetTime,
    SetXattr, Special, StatFs, Tree, Unresolved, Want,
};
use entry::Entrance;
use open::Made;

/// What a file made by [`FileSystem::write`] and [`FileSystem::append`] starts with.
const FILE_MODE: u32 = 0o644;
/// What a directory made by [`FileSystem::create_dir`] starts with.
const DIR_MODE: u32 = 0o755;

/// One entry of a listed directory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Its name in the directory.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Its number within its filesystem.
    pub ino: u64,
}

/// Files by path, in every [`Tree`]. Nothing is left to implement.
///
/// Paths are bytes, absolute or from [`Tree::working_dir`], and mean what they mean on Linux: links are
/// followed, at most 40; a slash at the end asks for a directory; `..` stays at the root. Asked for by
/// [`Tree::caller`], errors are those that Linux gives, in its order.
///
/// Whoever has to look at what a path leads to before using it resolves by itself, and then works on
/// the node: all that is done here can be done there.
///
/// ```
/// use uos_vfs::{FileSystem, MemFs};
///
/// let fs = MemFs::builder().build();
/// fs.create_dir("/notes/old")?;
/// fs.write("/notes/today", "buy milk")?;
/// fs.append("/notes/today", ", and bread")?;
/// fs.symlink("notes/today", "/now")?;
/// assert_eq!(fs.read("/now")?, b"buy milk, and bread");
/// fs.rename("/notes/today", "/notes/old/monday")?;
/// assert!(!fs.exists("/now")?);
/// # Ok::<(), uos_vfs::Error>(())
/// ```
pub trait FileSystem: Tree {
    /// The whole content of a file.
    fn read(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        let file = open::existing(self, path.as_ref(), Access::Read)?;
        Ok(file.handle().read_bytes(0, usize::MAX)?.into())
    }

    /// Makes `data` the whole content of a file, which is made if it is missing. As far as the
    /// filesystem can, readers see the old content or the new, and a failure leaves the old.
    fn write(&self, path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Result<()> {
        let path = path.as_ref();
        let mut made = Made::default();
        let options = OpenOptions::write_only().create(FILE_MODE);
        let file = open::by_path(self, path, options, Some(&mut made))?;
        let written = file.handle().replace(data.as_ref());
        if written.is_err() {
            made.take_back(self.caller());
        }
        written
    }

    /// Writes `data` to the end of a file, in one piece; the file is made if it is missing.
    fn append(&self, path: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Result<()> {
        let path = path.as_ref();
        let mut made = Made::default();
        let options = OpenOptions::write_only().create(FILE_MODE);
        let file = open::by_path(self, path, options, Some(&mut made))?;
        let written = file.handle().append(data.as_ref());
        if written.is_err() {
            made.take_back(self.caller());
        }
        written.map(drop)
    }

    /// Makes an empty file. [`Error::Exists`] if anything has the name, be it a link that leads nowhere.
    fn create(&self, path: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        open::by_path(self, path.as_ref(), OpenOptions::write_only().create_new(mode), None).map(drop)
    }

    /// Takes a name away from anything but a directory. A link itself goes, not what it leads to.
    fn delete(&self, path: impl AsRef<[u8]>) -> Result<()> {
        let entrance = Entrance::find(self, path.as_ref())?;
        entrance.dir.unlink(self.caller(), entrance.name_to_unlink(self)?)
    }

    /// Whether a path leads to anything, links followed. Not being allowed to look is an error.
    fn exists(&self, path: impl AsRef<[u8]>) -> Result<bool> {
        match node(self, path.as_ref(), true) {
            Ok(_) => Ok(true),
            Err(Error::NotFound | Error::NotADirectory) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The attributes of what a path leads to.
    fn metadata(&self, path: impl AsRef<[u8]>) -> Result<Attr> {
        self.look(path.as_ref(), &how_of(self))
    }

    /// The same, of a link itself if the path leads to one.
    fn symlink_metadata(&self, path: impl AsRef<[u8]>) -> Result<Attr> {
        self.look(path.as_ref(), &How { follow_last: false, ..how_of(self) })
    }

    /// All entries of a directory, without `.` and `..`, in the filesystem's order.
    fn list_dir(&self, path: impl AsRef<[u8]>) -> Result<Vec<Entry>> {
        let dir = node(self, path.as_ref(), true)?;
        if dir.kind() != Kind::Directory {
            return Err(Error::NotADirectory);
        }
        dir.access(self.caller(), Want::READ)?;
        let mut entries = Vec::new();
        dir.read_dir(0, &mut |entry| {
            let name = entry.name.as_bytes().to_vec();
            entries.push(Entry { name, kind: entry.kind, ino: entry.ino });
            true
        })?;
        Ok(entries)
    }

    /// Makes a directory and all that are missing above it. One that is there already is no error.
    fn create_dir(&self, path: impl AsRef<[u8]>) -> Result<()> {
        entry::create_dirs(self, path.as_ref(), DIR_MODE)
    }

    /// Makes one directory: [`Error::Exists`] if anything has the name.
    fn make_dir(&self, path: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        let entrance = Entrance::find(self, path.as_ref())?;
        let name = entrance.free_name_of_dir()?;
        entrance.dir.mkdir(self.caller(), name, mode).map(drop)
    }

    /// Removes an empty directory.
    fn remove_dir(&self, path: impl AsRef<[u8]>) -> Result<()> {
        let entrance = Entrance::find(self, path.as_ref())?;
        entrance.dir.rmdir(self.caller(), entrance.name_to_rmdir(self)?.0)
    }

    /// Removes a directory with everything in it. Links go themselves. It stops at the first thing that
    /// can't be removed, [`Error::Busy`] for a mount point; what it removed until then stays removed.
    fn remove_dir_all(&self, path: impl AsRef<[u8]>) -> Result<()> {
        remove::all(self, path.as_ref())
    }

    /// Copies content and mode of a file, and gives its length. What has the name `to` is replaced in
    /// one step when the copy is whole, and stays what it was if that fails.
    fn copy(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<u64> {
        copy::file(self, from.as_ref(), to.as_ref())
    }

    /// Gives an entry another name, replacing what has it.
    ///
    /// Within one filesystem and one mount it is atomic. From one to another it is not: what moves is copied under
    /// a passing name beside the new one, made durable, put there in one step, and only then taken away under its old name.
    /// Wherever that is interrupted, what has the new name is what was there before or the whole copy, never a part of
    /// one, and at least one of the names stands for all of it. An interruption may leave both names, or something
    /// called `.copy-…` beside either. An error, but for one in taking away at the end, has left everything as it was.
    ///
    /// So move files, links, pipes, sockets and whole directories. Names of one file stay so as far as all of them lie in
    /// what moves and the filesystem there has hard links; owners are kept by privileged callers, extended attributes as
    /// far as the caller sees them.
    ///
    /// # Errors
    /// From one filesystem to another also [`Error::Busy`] for what is being changed meanwhile, which is then at both
    /// names if that was noticed only at the end, [`Error::InvalidArgument`] where the directory would have to be in itself, and
    /// [`Error::NotSupported`] for what the other filesystem can't keep.
    fn rename(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()> {
        entry::rename(self, from.as_ref(), to.as_ref(), Rename::Replace)
    }

    /// The same, with a word on what has the name. Exchanging is not for two filesystems: [`Error::CrossDevice`].
    fn rename_with(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>, how: Rename) -> Result<()> {
        entry::rename(self, from.as_ref(), to.as_ref(), how)
    }

    /// Makes a symbolic link at `path` that says `target`.
    fn symlink(&self, target: impl AsRef<[u8]>, path: impl AsRef<[u8]>) -> Result<()> {
        check_target(target.as_ref())?;
        let entrance = Entrance::find(self, path.as_ref())?;
        let name = entrance.free_name(self)?;
        entrance.dir.symlink(self.caller(), name, target.as_ref()).map(drop)
    }

    /// What a symbolic link says.
    fn read_link(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        node(self, path.as_ref(), false)?.read_link()
    }

    /// Gives a file one more name. A link is not followed.
    fn hard_link(&self, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Result<()> {
        let node = node(self, from.as_ref(), false)?;
        let entrance = Entrance::find(self, to.as_ref())?;
        entrance.dir.link(self.caller(), entrance.free_name(self)?, &node)
    }

    /// Makes a pipe, socket or device.
    fn make_special(&self, path: impl AsRef<[u8]>, special: Special, mode: u32) -> Result<()> {
        let entrance = Entrance::find(self, path.as_ref())?;
        let name = entrance.free_name(self)?;
        entrance.dir.mknod(self.caller(), name, special, mode).map(drop)
    }

    /// Cuts a file to `len` or extends it with zeros.
    fn truncate(&self, path: impl AsRef<[u8]>, len: u64) -> Result<()> {
        self.set_attr(path, &SetAttr { size: Some(len), ..SetAttr::default() })
    }

    /// Sets the twelve permission bits.
    fn set_permissions(&self, path: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        self.set_attr(path, &SetAttr { mode: Some(mode), ..SetAttr::default() })
    }

    /// Sets the owner, the group or both.
    fn set_owner(&self, path: impl AsRef<[u8]>, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
        self.set_attr(path, &SetAttr { uid, gid, ..SetAttr::default() })
    }

    /// Sets the times of last read, last change, or both.
    fn set_times(
        &self,
        path: impl AsRef<[u8]>,
        accessed: Option<SetTime>,
        modified: Option<SetTime>,
    ) -> Result<()> {
        self.set_attr(path, &SetAttr { accessed, modified, ..SetAttr::default() })
    }

    /// Changes several attributes at once, all or none.
    fn set_attr(&self, path: impl AsRef<[u8]>, set: &SetAttr) -> Result<()> {
        node(self, path.as_ref(), true)?.set_attr(self.caller(), set).map(drop)
    }

    /// What a path leads to, links followed.
    fn node(&self, path: impl AsRef<[u8]>) -> Result<NodeRef> {
        node(self, path.as_ref(), true)
    }

    /// Opens a file, to read, write and seek.
    fn open(&self, path: impl AsRef<[u8]>, options: &OpenOptions) -> Result<File> {
        open::by_path(self, path.as_ref(), *options, None)
    }

    /// How much the filesystem holds that a path leads into.
    fn stat_fs(&self, path: impl AsRef<[u8]>) -> Result<StatFs> {
        node(self, path.as_ref(), true)?.stat_fs()
    }

    /// Returns when all of the filesystem that a path leads into is as durable as it makes it.
    fn sync(&self, path: impl AsRef<[u8]>) -> Result<()> {
        node(self, path.as_ref(), true)?.sync(Reach::FileSystem)
    }

    /// The value of an extended attribute.
    fn xattr(&self, path: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Result<Vec<u8>> {
        node(self, path.as_ref(), true)?.xattr(self.caller(), name.as_ref())
    }

    /// Sets an extended attribute.
    fn set_xattr(
        &self,
        path: impl AsRef<[u8]>,
        name: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        how: SetXattr,
    ) -> Result<()> {
        let node = node(self, path.as_ref(), true)?;
        node.set_xattr(self.caller(), name.as_ref(), value.as_ref(), how)
    }

    /// The names of all extended attributes.
    fn list_xattrs(&self, path: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>> {
        node(self, path.as_ref(), true)?.list_xattrs(self.caller())
    }

    /// Takes an extended attribute away.
    fn remove_xattr(&self, path: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Result<()> {
        node(self, path.as_ref(), true)?.remove_xattr(self.caller(), name.as_ref())
    }
}

impl<T: Tree + ?Sized> FileSystem for T {}

/// As the tree's own caller from its own working directory.
fn how_of<T: Tree + ?Sized>(tree: &T) -> How<'_> {
    How { base: tree.working_dir(), ..How::new(tree.caller()) }
}

fn place<T: Tree + ?Sized>(
    tree: &T,
    path: &[u8],
    follow_last: bool,
) -> std::result::Result<Place, Unresolved> {
    tree.resolve(path, &How { follow_last, ..how_of(tree) })
}

/// What a path leads to.
fn node<T: Tree + ?Sized>(tree: &T, path: &[u8], follow_last: bool) -> Result<NodeRef> {
    tree.find(path, &How { follow_last, ..how_of(tree) })
}

/// The last name of a place; without one it is the root, which always exists.
fn last_name(place: &Place) -> Result<Name<'_>> {
    place.path.file_name().map_or(Err(Error::Exists), Name::new)
}
