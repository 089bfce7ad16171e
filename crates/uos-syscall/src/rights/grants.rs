//! All grants of one process.

use std::sync::Arc;

use uos_proto::Right;

use super::grant::Grant;

/// A set of grants. What none of them allows is denied.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// By right, so that a check looks only at grants that can answer it.
    by_right: [Vec<Arc<Grant>>; Right::ALL.len()],
}

impl Grants {
    /// No grants: everything is denied.
    pub fn none() -> Self {
        Self::default()
    }

    /// Every right for everything: what process 1 holds.
    pub fn all() -> Self {
        Right::ALL
            .iter()
            .filter(|right| right.grant_name().is_some())
            .map(|&right| Grant::all(right))
            .collect()
    }

    /// Adds one, unless one that covers it is there.
    pub fn add(&mut self, grant: Grant) {
        if !self.covers(&grant) {
            self.by_right[grant.right() as usize].push(Arc::new(grant));
        }
    }

    /// The grant that allows a right on a canonical path.
    pub fn for_path(&self, right: Right, path: &[u8]) -> Option<&Arc<Grant>> {
        self.by_right[right as usize].iter().find(|grant| grant.allows_path(path))
    }

    /// The one grant that allows a right on a canonical path and on everything that ever lies below it.
    pub fn for_all_below(&self, right: Right, path: &[u8]) -> Option<&Arc<Grant>> {
        let whole = |grant: &&Arc<Grant>| grant.paths().is_some_and(|paths| paths.matches_below(path));
        self.by_right[right as usize].iter().find(whole)
    }

    /// Whether some grant allows a right on a canonical path, or on something that could lie below it.
    pub fn reach_into(&self, right: Right, path: &[u8]) -> bool {
        let any = |grant: &Arc<Grant>| grant.paths().is_some_and(|paths| paths.reaches_into(path));
        self.by_right[right as usize].iter().any(any)
    }

    /// Any grant of a right.
    pub fn any(&self, right: Right) -> Option<&Arc<Grant>> {
        self.by_right[right as usize].first()
    }

    /// Whether one grant here gives everything that `grant` gives.
    pub fn covers(&self, grant: &Grant) -> bool {
        self.by_right[grant.right() as usize].iter().any(|ours| ours.covers(grant))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Grant> {
        self.by_right.iter().flatten().map(|grant| &**grant)
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<T: IntoIterator<Item = Grant>>(grants: T) -> Self {
        let mut set = Self::none();
        for grant in grants {
            set.add(grant);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uos_proto::Right;

    use super::{Grant, Grants};

    #[test]
    fn nothing_is_allowed_by_default() {
        for &right in Right::ALL {
            assert!(Grants::none().for_path(right, b"/").is_none());
            assert!(Grants::none().any(right).is_none());
        }
    }

    #[test]
    fn all_covers_the_vocabulary() {
        for text in ["fs.write:/etc/x", "sys.admin", "net.connect:h:1", "proc.spawn:/bin/sh"] {
            assert!(Grants::all().covers(&Grant::parse(text).unwrap()), "{text}");
        }
        assert!(Grants::all().any(Right::None).is_none());
    }

    proptest! {
        /// What a set allows is exactly what one of its grants allows.
        #[test]
        fn a_set_is_the_union_of_its_grants(
            patterns in prop::collection::vec("(/([ab*]|[ab]{2})){1,3}(/\\*\\*)?", 0..6),
            path in "(/[ab]{1,2}){1,4}",
        ) {
            let parsed: Vec<Grant> =
                patterns.iter().filter_map(|text| Grant::parse(&format!("fs.read:{text}")).ok()).collect();
            let alone = parsed.iter().any(|grant| grant.allows_path(path.as_bytes()));
            let set: Grants = parsed.into_iter().collect();
            prop_assert_eq!(set.for_path(Right::FsRead, path.as_bytes()).is_some(), alone);
            prop_assert!(set.for_path(Right::FsWrite, path.as_bytes()).is_none());
        }
    }
}
