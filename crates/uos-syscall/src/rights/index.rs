//! Many patterns of paths, by the names in them: a look costs by how deep a path is, not by how many patterns there are.

use std::collections::HashMap;

use super::pattern::{PathPattern, glob};

/// A tree of patterns. Each node is the components of one or more of them up to there.
#[derive(Debug, Default)]
pub(super) struct Index {
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    /// The pattern that ends here, by its number.
    exact: Option<u32>,
    /// The one that means this and everything below.
    below: Option<u32>,
    /// Where components lead that mean themselves.
    names: HashMap<Box<[u8]>, u32>,
    /// Where those lead that have a `*`.
    globs: Vec<(Box<[u8]>, u32)>,
}

impl Index {
    /// All of these, which keep the numbers they have here.
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a PathPattern>) -> Self {
        let mut index = Self { nodes: vec![Node::default()] };
        for (number, pattern) in (0..).zip(patterns) {
            let mut at = 0;
            for component in pattern.components() {
                at = index.child(at, component);
            }
            let node = &mut index.nodes[at as usize];
            let end = if pattern.is_below() { &mut node.below } else { &mut node.exact };
            end.get_or_insert(number);
        }
        index
    }

    fn child(&mut self, at: u32, component: &[u8]) -> u32 {
        let new = self.nodes.len() as u32;
        let node = &mut self.nodes[at as usize];
        let child = if component.contains(&b'*') {
            match node.globs.iter().find(|(known, _)| **known == *component) {
                Some(&(_, child)) => child,
                None => {
                    node.globs.push((component.into(), new));
                    new
                }
            }
        } else {
            *node.names.entry(component.into()).or_insert(new)
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    /// A pattern that means a canonical path, by its number.
    pub(super) fn find(&self, path: &[u8]) -> Option<u32> {
        // Where else the way could have gone on, and with what of the path. Each pattern is one way, so this ends.
        let mut others: Vec<(u32, &[u8])> = Vec::new();
        let (mut at, mut rest) = (0, path);
        loop {
            let node = &self.nodes[at as usize];
            if node.below.is_some() {
                return node.below;
            }
            while let [b'/', after @ ..] = rest {
                rest = after;
            }
            if rest.is_empty() && node.exact.is_some() {
                return node.exact;
            }
            let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let mut next = None;
            if !name.is_empty() {
                next = node.names.get(name).copied();
                let fits = node.globs.iter().filter(|(component, _)| glob(component, name));
                others.extend(fits.map(|&(_, child)| (child, after)));
            }
            (at, rest) = match next {
                Some(child) => (child, after),
                None => others.pop()?,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Index, PathPattern};

    #[test]
    fn the_first_of_two_alike_is_found() {
        let all = ["/a/b", "/a/**", "/a/b", "/*/b"].map(|text| PathPattern::parse(text.as_bytes()).unwrap());
        let index = Index::new(all.iter());
        assert_eq!(index.find(b"/a/b"), Some(1), "what lies above is met first");
        assert_eq!(index.find(b"/x/b"), Some(3));
        assert_eq!(index.find(b"/x"), None);
        assert_eq!(index.find(b"/"), None);
        assert_eq!(Index::new([].iter()).find(b"/a"), None);
    }

    #[test]
    fn many_ways_that_all_fit_take_no_longer_than_there_are_patterns() {
        // Were each way tried from the start, this would take longer than there is time.
        let texts: Vec<String> = (0..200).map(|n| format!("{}/end{n}", "/*a*".repeat(100))).collect();
        let all: Vec<PathPattern> =
            texts.iter().map(|text| PathPattern::parse(text.as_bytes()).unwrap()).collect();
        let index = Index::new(all.iter());
        assert_eq!(index.find(format!("{}/end", "/aaaa".repeat(100)).as_bytes()), None);
        assert_eq!(index.find(format!("{}/end7", "/aaaa".repeat(100)).as_bytes()), Some(7));
    }

    fn component() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just("ab"), Just("*"), Just("a*"), Just("*b")]
    }

    proptest! {
        #[test]
        fn an_index_says_what_its_patterns_say(
            patterns in prop::collection::vec((prop::collection::vec(component(), 0..4), any::<bool>()), 0..20),
            paths in prop::collection::vec(prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("ab")], 0..5), 1..20),
        ) {
            let text = |(names, below): &(Vec<&str>, bool)| {
                format!("/{}{}", names.join("/"), if !below { "" } else if names.is_empty() { "**" } else { "/**" })
            };
            let all: Vec<PathPattern> =
                patterns.iter().map(|one| PathPattern::parse(text(one).as_bytes()).unwrap()).collect();
            let index = Index::new(all.iter());
            for names in paths {
                let path = format!("/{}", names.join("/"));
                let found = index.find(path.as_bytes());
                prop_assert_eq!(found.is_some(), all.iter().any(|one| one.matches(path.as_bytes())), "{}", path);
                if let Some(number) = found {
                    prop_assert!(all[number as usize].matches(path.as_bytes()));
                }
            }
        }
    }
}
