//! The walk along a path, one name at a time.

use super::Crossings;
use super::place::{How, Passed, Place, Unresolved};
use super::steps::{Step, Steps};
use super::text::{Piece, Text};
use crate::path::{check_path, check_target, split};
use crate::{Caller, Error, Kind, Name, NodeRef, VPath, Want};

/// As many links are followed in one walk as Linux does.
const LINKS_MAX: usize = 40;

/// What is noted of the directories left again takes no more than this. A path as such can't reach it; links in
/// links, each with a long way up and down, could go on to half a gigabyte: those are too many.
const LEFT_MAX: usize = 1 << 20;

pub(super) fn resolve(
    root: &NodeRef,
    crossings: &(impl Crossings + ?Sized),
    path: &[u8],
    how: &How<'_>,
) -> Result<Place, Unresolved> {
    let absolute = path.first() == Some(&b'/');
    if let Err(error) = check_path(path) {
        let path = if absolute { VPath::root() } else { how.base.clone() };
        return Err(Unresolved { error, path, passed: Vec::new(), at: None, missing: Vec::new() });
    }
    let base = if absolute { b"/" } else { how.base.as_bytes() };
    // What may fail is done first, and nothing of a walk is moved once it is there: it is large.
    let canonical = VPath::with_room(base.len() + 1 + path.len());
    let mut walk = Walk {
        crossings,
        by: how.by,
        memory_only: how.memory_only,
        steps: Steps::new(root),
        path: canonical,
        text: Text::new(base, path),
        followed: 0,
        passed: Noted::default(),
    };
    match walk.run(how) {
        Ok(end) => Ok(walk.arrive(end)),
        Err(stop) => Err(walk.give_up(stop)),
    }
}

struct Walk<'a, C: ?Sized> {
    crossings: &'a C,
    by: &'a Caller,
    memory_only: bool,
    steps: Steps<'a>,
    /// The canonical path of the directory on top of `steps`.
    path: VPath,
    text: Text<'a>,
    followed: usize,
    passed: Noted,
}

/// What was passed.
#[derive(Default)]
struct Noted {
    passed: Vec<Passed>,
    left_bytes: usize,
}

impl Noted {
    fn left(&mut self, path: &VPath) -> Result<(), Error> {
        self.left_bytes += path.as_bytes().len() + size_of::<Passed>();
        if self.left_bytes > LEFT_MAX {
            return Err(Error::TooManyLinks);
        }
        self.passed.push(Passed::Left(path.clone()));
        Ok(())
    }
}

/// How a walk ends well.
enum End<'a> {
    /// In the directory on top of the steps.
    Here,
    /// At something else in that directory, or at a name that is free.
    Name(Piece<'a>, Option<NodeRef>),
}

/// How it ends otherwise: at this name, or where it stands.
struct Stop<'a> {
    error: Error,
    name: Option<Piece<'a>>,
}

impl<'a, C: Crossings + ?Sized> Walk<'a, C> {
    fn run(&mut self, how: &How<'_>) -> Result<End<'a>, Stop<'a>> {
        while let Some(name) = self.text.take() {
            match self.text.name(name) {
                b"." => self.check_search().map_err(|error| Stop { error, name: None })?,
                b".." => {
                    self.check_search().map_err(|error| Stop { error, name: None })?;
                    if self.text.leaves(name, self.steps.depth()) {
                        let noted = self.passed.left(&self.path);
                        noted.map_err(|error| Stop { error, name: None })?;
                    }
                    self.steps.pop();
                    self.path.pop();
                }
                bytes => {
                    let stop = |error| Stop { error, name: Some(name) };
                    if how.makes_file && self.text.is_empty() && self.text.ends_in_slash() {
                        self.check_search().map_err(stop)?;
                        return Err(stop(Error::IsADirectory));
                    }
                    match self.look_up(bytes).map_err(stop)? {
                        Some(node) if node.kind() == Kind::Directory => self.enter(name, node),
                        Some(node) if node.kind() == Kind::Symlink => {
                            if self.text.is_empty() && !how.follow_last && !self.text.ends_in_slash() {
                                self.check_memory(&node).map_err(stop)?;
                                return Ok(End::Name(name, Some(node)));
                            }
                            self.follow(name, &node).map_err(stop)?;
                        }
                        Some(node) => {
                            if !self.text.is_empty() || self.text.ends_in_slash() {
                                return Err(stop(Error::NotADirectory));
                            }
                            self.check_memory(&node).map_err(stop)?;
                            return Ok(End::Name(name, Some(node)));
                        }
                        None if self.text.is_empty() => return Ok(End::Name(name, None)),
                        None => return Err(stop(Error::NotFound)),
                    }
                }
            }
        }
        self.check_memory(self.steps.top()).map_err(|error| Stop { error, name: None })?;
        Ok(End::Here)
    }

    /// Asks the current directory for a name; `None` if it has none such.
    fn look_up(&self, name: &[u8]) -> Result<Option<NodeRef>, Error> {
        let dir = self.steps.top();
        self.check_memory(dir)?;
        match Name::component(name).and_then(|name| dir.lookup(self.by, name)) {
            Ok(node) => Ok(Some(node)),
            Err(Error::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looking up a name asks this by itself; the dots are answered without looking up.
    fn check_search(&self) -> Result<(), Error> {
        if self.by.is_privileged() {
            return Ok(());
        }
        let dir = self.steps.top();
        self.check_memory(dir)?;
        dir.access(self.by, Want::SEARCH)
    }

    fn enter(&mut self, name: Piece<'_>, node: NodeRef) {
        self.path.push(self.text.name(name));
        let step = match self.crossings.covering(&node) {
            Some(root) => Step { node: root, mounted: true },
            None => Step { node, mounted: false },
        };
        self.steps.push(step);
    }

    fn follow(&mut self, name: Piece<'_>, link: &NodeRef) -> Result<(), Error> {
        self.check_memory(link)?;
        if self.followed == LINKS_MAX {
            return Err(Error::TooManyLinks);
        }
        let target = link.read_link()?;
        // An empty target cannot be made here, but a filesystem may bring one along.
        check_target(&target)?;
        self.followed += 1;
        let mut unfollowed = self.path.clone();
        unfollowed.push(self.text.name(name));
        self.append_rest_to(&mut unfollowed)?;
        self.passed.passed.push(Passed::Link(unfollowed));
        if target[0] == b'/' {
            self.steps.clear();
            self.path.clear();
        }
        self.text.push_target(target, self.steps.depth());
        Ok(())
    }

    /// Appends what is still to be walked, by its text, and notes what that leaves again.
    fn append_rest_to(&mut self, path: &mut VPath) -> Result<(), Error> {
        let (passed, mut noted) = (&mut self.passed, Ok(()));
        self.text.append_to(path, |path| {
            if noted.is_ok() {
                noted = passed.left(path);
            }
        });
        noted
    }

    fn check_memory(&self, node: &NodeRef) -> Result<(), Error> {
        if self.memory_only && node.blocks() { Err(Error::WouldBlock) } else { Ok(()) }
    }

    fn arrive(&mut self, end: End<'a>) -> Place {
        let must_be_dir = self.text.ends_in_slash();
        let (node, parent, mount_point) = match end {
            End::Here => {
                let mounted = self.steps.mounted();
                let node = self.steps.take_top();
                (Some(node), self.steps.take_top(), mounted)
            }
            End::Name(name, node) => {
                self.path.push(self.text.name(name));
                (node, self.steps.take_top(), false)
            }
        };
        let (path, passed) = (self.path.take(), std::mem::take(&mut self.passed.passed));
        Place { path, node, parent, passed, must_be_dir, mount_point }
    }

    #[cold]
    fn give_up(&mut self, stop: Stop<'a>) -> Unresolved {
        let mut missing = Vec::new();
        if let Some(name) = stop.name {
            let name = self.text.name(name);
            if stop.error == Error::NotFound {
                let rest = self.text.parts().flat_map(split).filter(|&name| name != b".");
                missing = [name].into_iter().chain(rest).map(<[u8]>::to_vec).collect();
                if missing.iter().any(|name| name == b"..") {
                    missing.clear();
                }
            }
            self.path.push(name);
        }
        let mut path = self.path.take();
        // Too many links are too many whether or not there is something at their end.
        let error = self.append_rest_to(&mut path).err().unwrap_or(stop.error);
        let at = Some(self.steps.take_top());
        Unresolved { error, path, passed: std::mem::take(&mut self.passed.passed), at, missing }
    }
}
