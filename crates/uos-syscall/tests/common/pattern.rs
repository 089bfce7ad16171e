//! Path patterns once more, over strings and by recursion, from the contract's sentence alone: `/a/**` covers /a and all below
//! it, `*` stays inside one component, anything else means itself.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

/// Whether the pattern means the path.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    all(&names(pattern), &names(path))
}

/// Whether the pattern means the path, or something that could lie below it.
pub(crate) fn reaches(pattern: &str, path: &str) -> bool {
    fn into(pattern: &[&str], path: &[&str]) -> bool {
        match (pattern, path) {
            (["**"], _) | (_, []) => true,
            ([], _) => false,
            ([pattern, patterns @ ..], [name, path @ ..]) => one(pattern, name) && into(patterns, path),
        }
    }
    into(&names(pattern), &names(path))
}

fn names(text: &str) -> Vec<&str> {
    text.split('/').filter(|name| !name.is_empty()).collect()
}

fn one(pattern: &str, name: &str) -> bool {
    match (pattern.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), None) => one(&pattern[1..], ""),
        (Some('*'), Some(_)) => one(&pattern[1..], name) || one(pattern, &name[1..]),
        (Some(expected), Some(found)) => expected == found && one(&pattern[1..], &name[1..]),
        _ => false,
    }
}

fn all(patterns: &[&str], path: &[&str]) -> bool {
    match (patterns, path) {
        (["**"], _) | ([], []) => true,
        ([pattern, patterns @ ..], [name, path @ ..]) => one(pattern, name) && all(patterns, path),
        _ => false,
    }
}
