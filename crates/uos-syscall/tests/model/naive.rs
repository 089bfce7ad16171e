//! The model: rights are sets of strings, and who may do what is looked up in them the slow way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::pattern::{matches, reaches};

/// What is thought of a call before it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    /// The right that is missing.
    Right(String),
    /// A right of the handle is missing, which isn't reading or writing.
    HandleRight,
    /// There is no such handle, or it is not for this.
    NoHandle,
    /// What the handle is of was destroyed.
    Destroyed,
    NoProcess,
    /// What is given isn't held.
    Beyond,
    /// A part of what is held can't be dropped.
    Part,
}

/// Somebody. The place in the list names it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Person {
    pub(crate) parent: Option<usize>,
    pub(crate) alive: bool,
    pub(crate) grants: Vec<String>,
    pub(crate) handles: BTreeMap<u64, Held>,
}

/// A handle, as one holder has it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// The pipe it is of, by its first number; of none if it is a file.
    pub(crate) pipe: Option<u64>,
    pub(crate) rights: BTreeSet<&'static str>,
    /// Who opened it, by which rights, where; unset for what was made.
    pub(crate) opened: Option<(usize, Vec<&'static str>, String)>,
}

/// Where a path leads when there are no links, and what it enters and leaves again on the way.
pub(crate) fn canonical(path: &str) -> (String, Vec<String>) {
    let mut names: Vec<&str> = Vec::new();
    let mut left = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                if !names.is_empty() {
                    left.push(format!("/{}", names.join("/")));
                }
                names.pop();
            }
            name => names.push(name),
        }
    }
    (format!("/{}", names.join("/")), left)
}

/// Whether one grant gives all that another gives: tried on every path that the names of the test can make.
#[derive(Default)]
pub(crate) struct Covers {
    paths: Vec<String>,
    known: HashMap<(String, String), bool>,
}

impl Covers {
    pub(crate) fn new(roots: &[&str]) -> Self {
        let mut paths: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
        let mut last = paths.clone();
        for _ in 0..4 {
            last = last
                .iter()
                .flat_map(|path| ["a", "b", "ab", "ba", "c"].map(|name| format!("{path}/{name}")))
                .collect();
            paths.extend(last.iter().cloned());
        }
        Self { paths, known: HashMap::new() }
    }

    pub(crate) fn covers(&mut self, wide: &str, narrow: &str) -> bool {
        let key = (wide.to_owned(), narrow.to_owned());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let covers = match (wide.split_once(':'), narrow.split_once(':')) {
            (Some((right, wide)), Some((other, narrow))) => {
                let within = |path: &String| !matches(narrow, path) || matches(wide, path);
                right == other && self.paths.iter().all(within)
            }
            _ => wide == narrow,
        };
        self.known.insert(key, covers);
        covers
    }

    pub(crate) fn any(&mut self, held: &[String], grant: &str) -> bool {
        held.iter().any(|wide| self.covers(wide, grant))
    }

    /// Puts grants together: one that is covered by what is there adds nothing.
    pub(crate) fn gather(&mut self, grants: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut set = Vec::new();
        for grant in grants {
            if !self.any(&set, &grant) {
                set.push(grant);
            }
        }
        set
    }
}

impl Person {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.grants.iter().any(|grant| grant.split(':').next() == Some(name))
    }

    pub(crate) fn on(&self, right: &str, path: &str) -> bool {
        self.patterns(right).any(|pattern| matches(pattern, path))
    }

    fn on_all_below(&self, right: &str, path: &str) -> bool {
        self.patterns(right).any(|pattern| pattern.ends_with("/**") && matches(pattern, path))
    }

    fn patterns<'a>(&'a self, right: &'a str) -> impl Iterator<Item = &'a str> {
        self.grants
            .iter()
            .filter_map(move |grant| grant.split_once(':').filter(|(of, _)| *of == right))
            .map(|it| it.1)
    }

    /// Who needs a right that is for everything.
    pub(crate) fn needs(&self, name: &str) -> Verdict {
        if self.has(name) { Verdict::Allowed } else { Verdict::Right(name.to_owned()) }
    }

    /// Who needs a right on a path, as it was said.
    pub(crate) fn needs_on(&self, right: &str, said: &str) -> Verdict {
        let (path, left) = canonical(said);
        let sees = |path: &String| self.on(right, path) || self.on("fs.read", path);
        match left.iter().find(|path| !sees(path)) {
            _ if !self.on(right, &path) => missing(right, &path),
            Some(foreign) => missing(right, foreign),
            None => Verdict::Allowed,
        }
    }

    pub(crate) fn needs_all_below(&self, right: &str, path: &str) -> Verdict {
        if self.on_all_below(right, path) {
            Verdict::Allowed
        } else {
            Verdict::Right(format!("{right}:{path}/**"))
        }
    }

    /// Who gives a file another name must not gain by it; `is_directory` says what it is, if anything.
    pub(crate) fn needs_to_move(&self, from: &str, to: &str, is_directory: Option<bool>) -> Verdict {
        let both = self.needs_on("fs.write", from).and(|| self.needs_on("fs.write", to));
        both.and(|| match is_directory {
            None => Verdict::Allowed,
            Some(false) if self.on("fs.read", to) && !self.on("fs.read", from) => missing("fs.read", from),
            Some(false) => Verdict::Allowed,
            Some(true) => {
                let writes =
                    self.needs_all_below("fs.write", from).and(|| self.needs_all_below("fs.write", to));
                writes.and(|| {
                    let reads = self.patterns("fs.read").any(|pattern| reaches(pattern, to));
                    if reads { self.needs_all_below("fs.read", from) } else { Verdict::Allowed }
                })
            }
        })
    }
}

fn missing(right: &str, path: &str) -> Verdict {
    Verdict::Right(format!("{right}:{path}"))
}

impl Verdict {
    /// This one, or if it allows, the next.
    pub(crate) fn and(self, next: impl FnOnce() -> Verdict) -> Verdict {
        if self == Verdict::Allowed { next() } else { self }
    }
}
