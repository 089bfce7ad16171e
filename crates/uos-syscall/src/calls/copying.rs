//! CopyFile: a second one of a file, or of a directory with everything in it.

use std::collections::VecDeque;

use uos_proto::{Right, v1};
use uos_vfs::{Access, Crossings, Kind, Name, NodeRef, SetAttr, Special};

use super::files::{changed, name_of};
use crate::{
    Errno, Error,
    admit::{Absent, Cx, Target},
    asking::Asker,
    audit::{Decision, Subject},
    events::FileChange,
    perform::Syscall,
    staged::{Staged, StagedDirectory, is_unfinished, pour},
    target::{KERNEL, PathTarget, Scope, denied_below},
};

/// So many levels of directories are held open at once.
const DEEPEST: usize = 256;
/// So many names are listed at once.
const BATCH: usize = 128;
/// The permission bits that are copied: not those that lend rights.
const MODE: u32 = 0o1777;

/// What is to be copied, and where to.
pub(crate) struct Copying {
    from: PathTarget,
    to: PathTarget,
    recursive: bool,
}

impl Target for Copying {
    fn judge(&self, right: Right, caller: Asker<'_>) -> Result<Decision, Error> {
        let grants = caller.grants();
        let decision = self.to.judge_path(right, &grants)?;
        self.from.judge_path(Right::FsRead, &grants)?;
        // What it is may be known by now.
        if self.recursive && self.from.node().is_ok_and(|node| node.kind() == Kind::Directory) {
            for (right, path) in [(right, self.to.path()), (Right::FsRead, self.from.path())] {
                if grants.for_all_below(right, path.as_bytes()).is_none() {
                    return Err(denied_below(right, path));
                }
            }
        }
        Ok(decision)
    }

    fn subject(&self) -> Subject {
        Subject::Paths(self.from.path().clone(), self.to.path().clone())
    }

    fn stopped_at_disk(&self) -> bool {
        self.from.stopped_at_disk() || self.to.stopped_at_disk()
    }
}

impl Syscall for v1::CopyFile {
    type Target = Copying;

    fn target(&self, scope: &Scope<'_>) -> Result<Copying, Absent> {
        Ok(Copying {
            from: scope.path(&self.from, &self.from_raw, true)?,
            to: scope.path(&self.to, &self.to_raw, true)?,
            recursive: self.recursive,
        })
    }

    /// There may be a great deal of it.
    fn blocks(_target: &Copying) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &Copying>) -> Result<v1::CopyFileReply, Error> {
        match cx.target.from.node()?.kind() {
            Kind::Directory if self.recursive => copy_directory(&cx),
            Kind::Directory => Err(Error::from(Errno::EISDIR).hint("set `recursive`")),
            _ => copy_file(&cx, self.no_replace),
        }
    }
}

fn copy_file(cx: &Cx<'_, &Copying>, no_replace: bool) -> Result<v1::CopyFileReply, Error> {
    let (node, to) = (cx.target.from.node()?, cx.target.to.place()?);
    match &to.node {
        Some(there) if there.id() == node.id() => {
            return Err(Error::new(Errno::EINVAL, "a file can't be copied onto itself"));
        }
        Some(there) if there.kind() == Kind::Directory => return Err(Errno::EISDIR.into()),
        None if to.must_be_dir => return Err(Errno::EISDIR.into()),
        Some(_) if no_replace => return Err(Errno::EEXIST.into()),
        _ => {}
    }
    let name = name_of(&to.path)?;
    let from = NodeRef::clone(node).open(KERNEL, Access::Read)?;
    let mode = from.attr()?.mode & MODE;
    // What may not be written may not be replaced either, though the host would let us.
    let there = to.node.as_ref().map(|there| NodeRef::clone(there).open(cx.hand(), Access::Write)?.attr());
    let mut copy = Staged::begin(cx.hand(), &to.parent, there.transpose()?.as_ref())?;
    copy.fill(&*from, || cx.caller().lives())?;
    let copied_bytes = copy.written();
    copy.place(name, &SetAttr { mode: Some(mode), ..SetAttr::default() }, no_replace)?;
    let change = if to.node.is_some() { FileChange::Written } else { FileChange::Created };
    cx.tell_change(change, &to.path, false);
    Ok(v1::CopyFileReply { copied_bytes, copied_entries: 1 })
}

fn copy_directory(cx: &Cx<'_, &Copying>) -> Result<v1::CopyFileReply, Error> {
    let (from, to) = (cx.target.from.place()?, cx.target.to.place()?);
    let node = cx.target.from.node()?;
    let name = name_of(&to.path)?;
    // Where the copy is seen in what it is of by way of another mount, it is left out as something in the making.
    if to.path.starts_with(&from.path) {
        return Err(Error::new(Errno::EINVAL, "a directory can't be copied into itself"));
    }
    if to.node.is_some() {
        return Err(Errno::EEXIST.into());
    }
    let staged = StagedDirectory::begin(&cx.kernel().mounts, cx.hand(), to)?;
    let mut walk = Walk { cx, levels: Vec::new(), done: v1::CopyFileReply::default() };
    walk.enter(NodeRef::clone(node), NodeRef::clone(staged.node()))?;
    walk.run()?;
    let done = walk.done;
    staged.place(name).map_err(|error| if error.errno == Errno::EEXIST { Error::race() } else { error })?;
    cx.tell_change(FileChange::Created, &to.path, true);
    Ok(done)
}

/// The way through a directory that is being copied, with a list of its own instead of the stack.
struct Walk<'a, 'k> {
    cx: &'a Cx<'k, &'k Copying>,
    levels: Vec<Level>,
    done: v1::CopyFileReply,
}

/// A directory on the way down, and its copy.
struct Level {
    from: NodeRef,
    to: NodeRef,
    mode: u32,
    listed: VecDeque<Vec<u8>>,
    /// Where the listing goes on; nowhere once it is at its end.
    cursor: Option<u64>,
}

impl Walk<'_, '_> {
    fn run(&mut self) -> Result<(), Error> {
        while let Some(level) = self.levels.last_mut() {
            self.cx.caller().lives()?;
            if level.listed.is_empty() {
                level.list()?;
            }
            match level.listed.pop_front() {
                // What is in the making has no place in a copy.
                Some(name) if is_unfinished(&name) => {}
                Some(name) => self.copy(&name)?,
                None => self.leave()?,
            }
        }
        Ok(())
    }

    fn copy(&mut self, name: &[u8]) -> Result<(), Error> {
        let Some(level) = self.levels.last() else { return Ok(()) };
        let name = Name::new(name)?;
        let (by, from, to) = (self.cx.hand(), &level.from, &level.to);
        let node = match from.lookup(KERNEL, name) {
            Ok(node) => node,
            // Somebody has removed it meanwhile.
            Err(uos_vfs::Error::NotFound) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match node.kind() {
            Kind::Directory => {
                // What is seen at the path is what is mounted there.
                let node = self.cx.kernel().mounts.covering(&node).unwrap_or(node);
                let made = to.mkdir(by, name, 0o700).map_err(changed)?;
                return self.enter(node, made);
            }
            Kind::File => {
                let source = node.open(KERNEL, Access::Read)?;
                let made = to.create(by, name, 0o600).map_err(changed)?;
                let copy = NodeRef::clone(&made).open(by, Access::Write)?;
                self.done.copied_bytes += pour(&*source, &*copy, || self.cx.caller().lives())?;
                set_mode(&made, source.attr()?.mode)?;
            }
            Kind::Symlink => drop(to.symlink(by, name, &node.read_link()?)?),
            Kind::Fifo => drop(to.mknod(by, name, Special::Fifo, node.attr()?.mode & MODE)?),
            Kind::Socket => drop(to.mknod(by, name, Special::Socket, node.attr()?.mode & MODE)?),
            Kind::CharDevice | Kind::BlockDevice => {
                return Err(Error::new(Errno::ENOTSUP, format!("{name} is a device, which is not copied")));
            }
        }
        self.done.copied_entries += 1;
        Ok(())
    }

    fn enter(&mut self, from: NodeRef, to: NodeRef) -> Result<(), Error> {
        if self.levels.len() == DEEPEST {
            let deepest = DEEPEST as u64;
            return Err(Error::limit(Errno::ENAMETOOLONG, "copy_depth", deepest, deepest));
        }
        let mode = from.attr()?.mode;
        self.levels.push(Level { from, to, mode, listed: VecDeque::new(), cursor: Some(0) });
        Ok(())
    }

    /// The lowest directory is whole, and gets its bits: those may have kept us from filling it.
    fn leave(&mut self) -> Result<(), Error> {
        let Some(level) = self.levels.pop() else { return Ok(()) };
        set_mode(&level.to, level.mode)?;
        self.done.copied_entries += 1;
        Ok(())
    }
}

impl Level {
    /// Lists the next names, none at the end.
    fn list(&mut self) -> Result<(), Error> {
        let Some(cursor) = self.cursor.take() else { return Ok(()) };
        let (listed, mut last) = (&mut self.listed, None);
        self.from.read_dir(cursor, &mut |entry| {
            let room = listed.len() < BATCH;
            if room {
                listed.push_back(entry.name.as_bytes().to_vec());
                last = Some(entry.cursor);
            }
            room
        })?;
        self.cursor = last;
        Ok(())
    }
}

fn set_mode(node: &NodeRef, mode: u32) -> Result<(), Error> {
    node.set_attr(KERNEL, &SetAttr { mode: Some(mode & MODE), ..SetAttr::default() })?;
    Ok(())
}
