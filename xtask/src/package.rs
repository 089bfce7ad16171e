//! `package`: makes the package of every published crate and looks at what it holds.

use crate::{
    Result,
    shell::{self, cargo},
    workspace,
};

/// What a crate must carry with it, because a registry shows and ships the package alone.
const MUST_HOLD: [&str; 3] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Lists every package, complains of what is missing in any, then makes them all.
pub(crate) fn run() -> Result {
    let workspace = workspace::manifests()?;
    let published = workspace.iter().filter(|(_, member)| member.published).map(|(name, _)| name.as_str());
    let published: Vec<&str> = published.collect();

    let mut complaints = Vec::new();
    for name in &published {
        let mut command = cargo(&["package", "--allow-dirty", "--list", "--package", name]);
        let listing = shell::capture(&mut command)?;
        println!("{name}: {} files", listing.lines().count());
        complaints.extend(missing(&listing).map(|file| complaint(name, file)));
    }
    if !complaints.is_empty() {
        return Err(complaints.join("\n").into());
    }

    // All in one command: crates that name each other and are in no registry yet can be packaged only together.
    let mut command = cargo(&["package", "--no-verify", "--allow-dirty"]);
    command.args(published.iter().flat_map(|name| ["--package", *name]));
    shell::run(&mut command)
}

fn missing(listing: &str) -> impl Iterator<Item = &'static str> {
    MUST_HOLD.into_iter().filter(move |file| listing.lines().all(|line| line != *file))
}

fn complaint(name: &str, file: &str) -> String {
    match file {
        "README.md" => format!("the package of {name} lacks README.md: write crates/{name}/README.md"),
        _ => format!("the package of {name} lacks {file}: `ln -s ../../{file} crates/{name}/{file}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn a_missing_file_is_named() {
        let whole = "Cargo.toml\nLICENSE-APACHE\nLICENSE-MIT\nREADME.md\nsrc/lib.rs\n";
        assert_eq!(missing(whole).count(), 0);
        let bare = "Cargo.toml\nLICENSE-MIT\ndocs/README.md\nsrc/lib.rs\n";
        assert_eq!(missing(bare).collect::<Vec<_>>(), ["README.md", "LICENSE-APACHE"]);
    }
}
