//! Opening by path, as open(2) does it.

use super::{how_of, last_name, node};
use crate::directory;
use crate::path::check_path;
use crate::{Access, Caller, Error, File, How, Kind, Name, NodeRef, Result, Tree, Want};
use std::borrow::Cow;

/// How to open a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    access: Access,
    append: bool,
    truncate: bool,
    follow: bool,
    directory: bool,
    make: Make,
}

/// What to do about a file that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Make {
    Never,
    IfMissing(u32),
    Always(u32),
}

/// So often a name is looked at again when it was free and then taken, or the other way round.
const TRIES: usize = 16;

impl OpenOptions {
    /// For reading a file that is there.
    pub fn read_only() -> Self {
        OpenOptions {
            access: Access::Read,
            append: false,
            truncate: false,
            follow: true,
            directory: false,
            make: Make::Never,
        }
    }

    /// For writing to a file that is there.
    pub fn write_only() -> Self {
        OpenOptions { access: Access::Write, ..Self::read_only() }
    }

    /// For both.
    pub fn read_write() -> Self {
        OpenOptions { access: Access::ReadWrite, ..Self::read_only() }
    }

    /// Make it with this mode if it is missing.
    #[must_use]
    pub fn create(self, mode: u32) -> Self {
        OpenOptions { make: Make::IfMissing(mode), ..self }
    }

    /// Make it with this mode, and refuse with [`Error::Exists`] if anything has the name.
    #[must_use]
    pub fn create_new(self, mode: u32) -> Self {
        OpenOptions { make: Make::Always(mode), ..self }
    }

    /// Cut it to nothing. It must be opened for writing.
    #[must_use]
    pub fn truncate(self) -> Self {
        OpenOptions { truncate: true, ..self }
    }

    /// Let each write go to its end.
    #[must_use]
    pub fn append(self) -> Self {
        OpenOptions { append: true, ..self }
    }

    /// Open a directory, for reading alone, and refuse anything else with [`Error::NotADirectory`]. What can be done with it is
    /// told at [`Descriptor`](crate::Descriptor).
    #[must_use]
    pub fn directory(self) -> Self {
        OpenOptions { directory: true, ..self }
    }

    /// Refuse a link as the last name with [`Error::TooManyLinks`].
    #[must_use]
    pub fn no_follow(self) -> Self {
        OpenOptions { follow: false, ..self }
    }
}

/// A file that opening has made, to be removed again if nothing comes of it.
#[derive(Default)]
pub(super) struct Made<'a>(Option<(NodeRef, Cow<'a, [u8]>)>);

impl Made<'_> {
    /// Removes it. Should that fail as well, the failure before it says more.
    pub(super) fn take_back(self, by: &Caller) {
        if let Some((dir, name)) = self.0
            && let Ok(name) = Name::new(&name)
        {
            let _ = dir.unlink(by, name);
        }
    }
}

pub(super) fn existing<T: Tree + ?Sized>(tree: &T, path: &[u8], access: Access) -> Result<File> {
    by_path(tree, path, OpenOptions { access, ..OpenOptions::read_only() }, None)
}

/// Opens a file, and says whether it has made it if somebody wants to know. Nothing is handed back beside the file
/// for those who don't: moving both took longer than finding the file.
pub(super) fn by_path<'a, T: Tree + ?Sized>(
    tree: &T,
    path: &'a [u8],
    options: OpenOptions,
    mut maker: Option<&mut Made<'a>>,
) -> Result<File> {
    if options.truncate && !options.access.writes() {
        return Err(Error::InvalidArgument("cutting is writing"));
    }
    if options.directory && options.make != Make::Never {
        return Err(Error::InvalidArgument("only files are made by opening"));
    }
    let exclusive = matches!(options.make, Make::Always(_));
    match options.make {
        Make::Never => {
            let node = node(tree, path, options.follow)?;
            return opened(tree, node, options, false);
        }
        Make::IfMissing(mode) | Make::Always(mode) => {
            if exclusive
                && maker.is_none()
                && let Some(made) = tree.create_at_once(path, &how_of(tree), mode, options.access)
            {
                let (node, file) = made?;
                return Ok(File::new(node, file, options.access, options.append));
            }
            if let Some(done) = plainly(tree, path, options, mode, maker.as_deref_mut())? {
                return Ok(done);
            }
        }
    }
    for _ in 0..TRIES {
        let how = How {
            follow_last: options.follow && !exclusive,
            makes_file: options.make != Make::Never,
            ..how_of(tree)
        };
        let mut found = tree.resolve(path, &how).map_err(|unresolved| unresolved.error)?;
        let (node, made) = match (found.node.take(), options.make) {
            (Some(_), Make::Always(_)) => return Err(Error::Exists),
            (Some(node), _) => (node, false),
            (None, Make::Never) => return Err(Error::NotFound),
            (None, Make::IfMissing(mode) | Make::Always(mode)) => {
                match found.parent.create(tree.caller(), last_name(&found)?, mode) {
                    Ok(node) => (node, true),
                    Err(Error::Exists) if !exclusive => continue,
                    Err(error) => return Err(error),
                }
            }
        };
        let file = opened(tree, node, options, made)?;
        if let (true, Some(maker)) = (made, maker) {
            let name = Cow::Owned(last_name(&found)?.as_bytes().to_vec());
            *maker = Made(Some((found.parent, name)));
        }
        return Ok(file);
    }
    Err(Error::Busy)
}

/// Opens or makes a file in the directory that the path names; `None` if there is more to it, such as a link,
/// dots, a slash at the end, or others who make and remove it meanwhile.
fn plainly<'a, T: Tree + ?Sized>(
    tree: &T,
    path: &'a [u8],
    options: OpenOptions,
    mode: u32,
    maker: Option<&mut Made<'a>>,
) -> Result<Option<File>> {
    check_path(path)?;
    let start = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (above, last) = path.split_at(start);
    let Ok(name) = Name::new(last) else { return Ok(None) };
    if above.is_empty() {
        return Ok(None);
    }
    let dir = node(tree, above, true)?;
    if dir.kind() != Kind::Directory {
        return Err(Error::NotADirectory);
    }
    let exclusive = matches!(options.make, Make::Always(_));
    if !exclusive {
        match dir.lookup(tree.caller(), name) {
            Ok(node) if node.kind() == Kind::Symlink || tree.is_mount_point(node.id()) => return Ok(None),
            Ok(node) => return opened(tree, node, options, false).map(Some),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    match dir.create(tree.caller(), name, mode) {
        Ok(node) => {
            let file = opened(tree, node, options, true)?;
            if let Some(maker) = maker {
                *maker = Made(Some((dir, Cow::Borrowed(last))));
            }
            Ok(Some(file))
        }
        Err(Error::Exists) if !exclusive => Ok(None),
        Err(error) => Err(error),
    }
}

fn opened<T: Tree + ?Sized>(tree: &T, node: NodeRef, options: OpenOptions, made: bool) -> Result<File> {
    if node.kind() == Kind::Directory {
        // Linux opens it for reading, if that is allowed, and says so then.
        if !options.access.writes() {
            node.access(tree.caller(), Want::READ)?;
        }
        if !options.directory || options.access.writes() {
            return Err(Error::IsADirectory);
        }
        let handle = directory::open(&node, tree.caller())?;
        return Ok(File::new(node, handle, options.access, options.append));
    }
    if options.directory {
        return Err(Error::NotADirectory);
    }
    let handle = if made {
        // Whoever makes a file may use it, whatever its mode says to everybody after.
        NodeRef::clone(&node).open(&tree.caller().clone().judged_before(), options.access)?
    } else {
        NodeRef::clone(&node).open(tree.caller(), options.access)?
    };
    if options.truncate && !made {
        handle.set_len(0)?;
    }
    Ok(File::new(node, handle, options.access, options.append))
}
