//! Who may know whom. The order between the crates is kept by this table and by nothing else.

use std::collections::BTreeSet;

use crate::{
    Result,
    workspace::{self, Workspace},
};

/// What one crate may know.
struct Rule {
    of: &'static str,
    /// The workspace crates its manifest may name, optional ones included.
    knows: &'static [&'static str],
    /// The workspace crates its tests may name beside these.
    tests_know: &'static [&'static str],
    /// Libraries that building it alone must not build.
    ships_without: &'static [&'static [&'static str]],
    /// Libraries that testing it alone must not build.
    tests_without: &'static [&'static [&'static str]],
}

/// Serving: HTTP and gRPC.
const WIRE: &[&str] = &["tonic", "axum", "hyper"];
/// Serving alone: a client of HTTP has hyper, too.
const SERVING: &[&str] = &["tonic", "axum"];
/// The contract's messages.
const MESSAGES: &[&str] = &["prost"];
/// Databases.
const SQL: &[&str] = &["sqlx"];
/// The async runtime. A process is waited for with it; the other leaves are polled by whoever uses them.
const RUNTIME: &[&str] = &["tokio"];
/// What only the server has. A client needs tonic and hyper, never these.
const SERVER_ONLY: &[&str] = &["axum", "sqlx"];

const LEAVES: &[&str] = &["uos-ipc", "uos-proc", "uos-sched", "uos-vfs"];

const RULES: &[Rule] = &[
    leaf("uos-ipc", &[WIRE, MESSAGES, SQL, RUNTIME]),
    leaf("uos-proc", &[WIRE, MESSAGES, SQL]),
    leaf("uos-sched", &[WIRE, MESSAGES, SQL, RUNTIME]),
    leaf("uos-vfs", &[WIRE, MESSAGES, SQL, RUNTIME]),
    Rule {
        of: "uos-proto",
        knows: &[],
        tests_know: &[],
        ships_without: &[WIRE, SQL, RUNTIME],
        tests_without: &[],
    },
    Rule {
        of: "uos-syscall",
        knows: &["uos-ipc", "uos-proc", "uos-proto", "uos-sched", "uos-vfs"],
        tests_know: &[],
        ships_without: &[SERVING, SQL],
        tests_without: &[SERVING, SQL],
    },
    // The server picks the spawner that the kernel gets; of the other leaves it needs nothing.
    Rule {
        of: "uos-server",
        knows: &["uos-proc", "uos-proto", "uos-syscall"],
        tests_know: &["uos-client"],
        ships_without: &[],
        tests_without: &[],
    },
    Rule {
        of: "uos-client",
        knows: &["uos-proto"],
        tests_know: &["uos-server", "uos-syscall"],
        ships_without: &[SERVER_ONLY],
        tests_without: &[],
    },
    // These three are known by nobody: no rule names them.
    Rule {
        of: "uos-bench",
        knows: &[
            "uos-client",
            "uos-ipc",
            "uos-proc",
            "uos-proto",
            "uos-sched",
            "uos-server",
            "uos-syscall",
            "uos-vfs",
        ],
        tests_know: &[],
        ships_without: &[],
        tests_without: &[],
    },
    // What attacks a sandbox knows nothing of it, nor of anything else.
    Rule {
        of: "uos-attack",
        knows: &[],
        tests_know: &[],
        ships_without: &[WIRE, MESSAGES, SQL, RUNTIME],
        tests_without: &[WIRE, MESSAGES, SQL, RUNTIME],
    },
    Rule {
        of: "xtask",
        knows: &["uos-proto"],
        tests_know: &[],
        ships_without: &[WIRE, SQL, RUNTIME],
        tests_without: &[],
    },
];

/// A leaf knows no other crate of the workspace, not even in its tests: it must stand alone in somebody else's project.
const fn leaf(of: &'static str, ships_without: &'static [&'static [&'static str]]) -> Rule {
    Rule { of, knows: &[], tests_know: &[], ships_without, tests_without: &[WIRE, MESSAGES, SQL] }
}

/// Checks the workspace as it is. Gives the number of edges it looked at.
pub(crate) fn check() -> Result<usize> {
    let workspace = workspace::resolved()?;
    let violations = violations(&workspace);
    if violations.is_empty() {
        let edges = workspace.values().map(|member| member.names.len() + member.names_in_tests.len());
        return Ok(edges.sum());
    }
    Err(format!("{}\nThe rules are in xtask/src/edges.rs.", violations.join("\n")).into())
}

/// The four crates that stand alone.
pub(crate) fn leaves() -> &'static [&'static str] {
    LEAVES
}

/// Every way in which the workspace breaks the rules, as sentences.
fn violations(workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    for name in workspace.keys().filter(|name| RULES.iter().all(|rule| rule.of != name.as_str())) {
        found.push(format!("{name} has no rule that says whom it may know"));
    }
    for rule in RULES {
        let of = rule.of;
        let Some(member) = workspace.get(of) else {
            found.push(format!("there is a rule for {of}, but no such crate"));
            continue;
        };
        let allowed: BTreeSet<&str> = rule.knows.iter().copied().collect();
        for name in member.names.iter().filter(|name| !allowed.contains(name.as_str())) {
            found.push(format!("{of} must not know {name}"));
        }
        for name in &member.names_in_tests {
            if !allowed.contains(name.as_str()) && !rule.tests_know.contains(&name.as_str()) {
                found.push(format!("the tests of {of} must not know {name}"));
            }
        }
        for library in
            rule.ships_without.iter().copied().flatten().filter(|library| member.ships.contains(**library))
        {
            found.push(format!(
                "{of} must not bring along {library}: see `cargo tree -p {of} -e normal,build -i {library}`"
            ));
        }
        for library in
            rule.tests_without.iter().copied().flatten().filter(|library| member.tests.contains(**library))
        {
            // Said once: what it ships, its tests build too.
            if !member.ships.contains(*library) {
                found.push(format!(
                    "the tests of {of} must not bring along {library}: see `cargo tree -p {of} -i {library}`"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{LEAVES, RULES, violations};
    use crate::workspace::{Member, Workspace};

    /// A workspace in which every crate knows all it may know, and nothing else is wrong.
    fn sound() -> Workspace {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let member = |rule: &super::Rule| Member {
            names: names(rule.knows),
            names_in_tests: names(rule.tests_know),
            ships: names(&["libc"]),
            tests: names(&["libc", "proptest"]),
            ..Member::default()
        };
        RULES.iter().map(|rule| (rule.of.to_owned(), member(rule))).collect()
    }

    /// Breaks the sound workspace in one place and compares what is said of it.
    fn check(of: &str, break_it: impl FnOnce(&mut Member), expected: &str) {
        let mut workspace = sound();
        break_it(workspace.entry(of.to_owned()).or_default());
        let found = violations(&workspace);
        assert!(found.len() == 1 && found[0].starts_with(expected), "expected `{expected}`, found {found:?}");
    }

    fn insert(set: &mut std::collections::BTreeSet<String>, name: &str) {
        set.insert(name.to_owned());
    }

    #[test]
    fn a_sound_workspace_passes() {
        assert_eq!(violations(&sound()), Vec::<String>::new());
    }

    #[test]
    fn a_leaf_that_grows_any_edge_is_caught() {
        for leaf in LEAVES {
            for other in ["uos-proto", "uos-syscall", "uos-bench", "xtask"] {
                check(leaf, |m| insert(&mut m.names, other), &format!("{leaf} must not know {other}"));
                let tests = format!("the tests of {leaf} must not know {other}");
                check(leaf, |m| insert(&mut m.names_in_tests, other), &tests);
            }
            for library in ["tonic", "axum", "hyper", "prost", "sqlx"] {
                check(
                    leaf,
                    |m| insert(&mut m.ships, library),
                    &format!("{leaf} must not bring along {library}"),
                );
                let tests = format!("the tests of {leaf} must not bring along {library}");
                check(leaf, |m| insert(&mut m.tests, library), &tests);
            }
        }
    }

    #[test]
    fn tokio_belongs_to_the_leaf_that_waits() {
        for leaf in ["uos-ipc", "uos-sched", "uos-vfs"] {
            check(leaf, |m| insert(&mut m.ships, "tokio"), &format!("{leaf} must not bring along tokio"));
        }
        let mut workspace = sound();
        workspace.entry("uos-proc".to_owned()).or_default().ships.insert("tokio".to_owned());
        workspace.entry("uos-ipc".to_owned()).or_default().tests.insert("tokio".to_owned());
        assert_eq!(violations(&workspace), Vec::<String>::new());
    }

    #[test]
    fn the_order_of_the_upper_crates_is_kept() {
        check("uos-proto", |m| insert(&mut m.names, "uos-syscall"), "uos-proto must not know uos-syscall");
        check("uos-proto", |m| insert(&mut m.ships, "tonic"), "uos-proto must not bring along tonic");
        check("uos-syscall", |m| insert(&mut m.names, "uos-server"), "uos-syscall must not know uos-server");
        check("uos-syscall", |m| insert(&mut m.ships, "sqlx"), "uos-syscall must not bring along sqlx");
        check("uos-client", |m| insert(&mut m.names, "uos-syscall"), "uos-client must not know uos-syscall");
        check("uos-client", |m| insert(&mut m.ships, "axum"), "uos-client must not bring along axum");
        check("uos-server", |m| insert(&mut m.names, "uos-bench"), "uos-server must not know uos-bench");
        check("uos-bench", |m| insert(&mut m.names, "xtask"), "uos-bench must not know xtask");
    }

    #[test]
    fn rules_and_crates_are_the_same_set() {
        check("uos-new", |_| {}, "uos-new has no rule");
        let mut workspace = sound();
        workspace.remove("uos-client");
        assert_eq!(violations(&workspace), ["there is a rule for uos-client, but no such crate"]);
    }
}
