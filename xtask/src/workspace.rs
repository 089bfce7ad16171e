//! What cargo says of the workspace: its crates, whom each names, and all that each brings along.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{Result, shell};

/// The crates of the workspace, by name.
pub(crate) type Workspace = BTreeMap<String, Member>;

/// A crate of the workspace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Member {
    /// Workspace crates its manifest names as normal or build dependencies, optional ones included.
    pub(crate) names: BTreeSet<String>,
    /// Workspace crates its manifest names for its tests.
    pub(crate) names_in_tests: BTreeSet<String>,
    /// Every crate that building it alone builds.
    pub(crate) ships: BTreeSet<String>,
    /// Every crate that testing it alone builds.
    pub(crate) tests: BTreeSet<String>,
    /// Whether it goes to a registry.
    pub(crate) published: bool,
    /// Its targets of kind `test`.
    pub(crate) test_targets: BTreeSet<String>,
}

/// Reads the manifests alone: everything but `ships` and `tests`, which take a resolution each.
pub(crate) fn manifests() -> Result<Workspace> {
    let text = shell::capture(&mut shell::cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Value = serde_json::from_str(&text)?;
    let packages = list(&metadata["packages"]);
    let inside: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();

    let mut workspace = Workspace::new();
    for package in packages {
        let mut member = Member { published: !package["publish"].is_array(), ..Member::default() };
        for dependency in list(&package["dependencies"]) {
            let Some(name) = dependency["name"].as_str().filter(|name| inside.contains(name)) else {
                continue;
            };
            let names =
                if dependency["kind"] == "dev" { &mut member.names_in_tests } else { &mut member.names };
            names.insert(name.to_owned());
        }
        for target in list(&package["targets"]) {
            if list(&target["kind"]).iter().any(|kind| kind == "test") {
                member.test_targets.extend(target["name"].as_str().map(str::to_owned));
            }
        }
        workspace.insert(package["name"].as_str().unwrap_or_default().to_owned(), member);
    }
    Ok(workspace)
}

/// Reads everything. What a crate brings along comes from `cargo tree` for that crate alone: the graph of
/// `cargo metadata` joins the features of all members, so that a crate would seem to have what only another switches on.
pub(crate) fn resolved() -> Result<Workspace> {
    let mut workspace = manifests()?;
    for (name, member) in &mut workspace {
        member.ships = tree(name, "normal,build")?;
        member.tests = tree(name, "normal,build,dev")?;
    }
    Ok(workspace)
}

/// The names of all crates in the tree of one, without itself.
fn tree(package: &str, kinds: &str) -> Result<BTreeSet<String>> {
    let args = ["tree", "--package", package, "--edges", kinds];
    let mut command = shell::cargo(&args);
    command.args(["--prefix", "none", "--format", "{p}"]);
    let text = shell::capture(&mut command)?;
    let names: BTreeSet<String> =
        text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    if !names.contains(package) {
        return Err(format!("`cargo tree` for {package} doesn't list {package} itself").into());
    }
    Ok(names.into_iter().filter(|name| name != package).collect())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
