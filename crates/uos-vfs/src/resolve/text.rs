//! The part of a path still to be walked.

use crate::VPath;
use crate::path::split;

/// Names left to walk, from several texts: the targets of links being followed, innermost first, then
/// what remains of the base, then what remains of the path itself.
pub(crate) struct Text<'a> {
    targets: Vec<Target>,
    base: &'a [u8],
    path: &'a [u8],
    /// A text that held a last name ended in a slash.
    slash: bool,
}

struct Target {
    bytes: Vec<u8>,
    at: usize,
    /// Directories down to this depth were known before this text began.
    known: usize,
}

/// A name as a piece of the text it came from; [`Text::name`] gives the bytes. This way the text can
/// go on being read while the name is in use.
#[derive(Clone, Copy)]
pub(crate) enum Piece<'a> {
    Given(&'a [u8]),
    /// Start and end within the innermost target.
    Target(usize, usize),
}

impl<'a> Text<'a> {
    pub(crate) fn new(base: &'a [u8], path: &'a [u8]) -> Self {
        Text { targets: Vec::new(), base, path, slash: path.ends_with(b"/") }
    }

    /// Takes the next name. The targets that are used up are dropped only here, so a name stays valid
    /// until the next one is taken.
    pub(crate) fn take(&mut self) -> Option<Piece<'a>> {
        while let Some(target) = self.targets.last_mut() {
            if let Some((start, end)) = next_name(&target.bytes[target.at..]) {
                let name = Piece::Target(target.at + start, target.at + end);
                target.at += end;
                return Some(name);
            }
            self.targets.pop();
        }
        for text in [&mut self.base, &mut self.path] {
            if let Some((start, end)) = next_name(text) {
                let (name, rest) = (&text[start..end], &text[end..]);
                *text = rest;
                return Some(Piece::Given(name));
            }
        }
        None
    }

    /// The bytes of a name taken last.
    pub(crate) fn name<'b>(&'b self, name: Piece<'b>) -> &'b [u8] {
        match name {
            Piece::Given(bytes) => bytes,
            Piece::Target(start, end) => self.targets.last().map_or(b"", |target| &target.bytes[start..end]),
        }
    }

    /// Whether `..`, taken last, leaves a directory of that depth that was not known to be there.
    pub(crate) fn leaves(&mut self, dots: Piece<'_>, depth: usize) -> bool {
        match (dots, self.targets.last_mut()) {
            (Piece::Target(..), Some(target)) => leaves(&mut target.known, depth),
            _ => leaves(&mut 0, depth),
        }
    }

    /// Puts the target of a link before everything else. Directories down to the depth `known` lead to it.
    pub(crate) fn push_target(&mut self, bytes: Vec<u8>, known: usize) {
        if self.is_empty() {
            self.slash |= bytes.ends_with(b"/");
        }
        // What is used up goes now: a chain of links keeps one target, not all of them.
        while self.targets.last().is_some_and(|target| next_name(&target.bytes[target.at..]).is_none()) {
            self.targets.pop();
        }
        self.targets.push(Target { bytes, at: 0, known });
    }

    /// True if no name is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts().all(|part| next_name(part).is_none())
    }

    /// True if the last name has to be a directory.
    pub(crate) fn ends_in_slash(&self) -> bool {
        self.slash
    }

    /// Appends all that is still to be walked to a canonical path, by its text; `leaving` is told what would be left
    /// on the way.
    pub(crate) fn append_to(&self, path: &mut VPath, mut leaving: impl FnMut(&VPath)) {
        let mut depth = path.components().count();
        for (part, mut known) in self.parts_known() {
            for name in split(part) {
                match name {
                    b"." => {}
                    b".." => {
                        if leaves(&mut known, depth) {
                            leaving(path);
                        }
                        path.pop();
                        depth = depth.saturating_sub(1);
                    }
                    name => {
                        path.push(name);
                        depth += 1;
                    }
                }
            }
        }
    }

    /// The texts with what is left in them, in the order they will be walked.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.parts_known().map(|(part, _)| part)
    }

    fn parts_known(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let targets = self.targets.iter().rev();
        targets
            .map(|target| (&target.bytes[target.at..], target.known))
            .chain([(self.base, 0), (self.path, 0)])
    }
}

/// Whether `..` out of a directory of that depth leaves one that was not known before. Above what was known everything is
/// new again.
fn leaves(known: &mut usize, depth: usize) -> bool {
    if depth > *known {
        return true;
    }
    *known = depth.saturating_sub(1);
    false
}

/// Where the first name in `text` starts and ends.
fn next_name(text: &[u8]) -> Option<(usize, usize)> {
    let start = text.iter().position(|&byte| byte != b'/')?;
    let len = text[start..].iter().position(|&byte| byte == b'/').unwrap_or(text.len() - start);
    Some((start, start + len))
}
