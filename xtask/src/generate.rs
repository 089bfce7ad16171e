//! `gen`: writes what is derived from the call table and from the routes and committed, or says that it is stale.

use std::{fmt::Write, fs, io::ErrorKind};

use uos_proto::{CallInfo, Right, TABLE};

use crate::{Result, manual, shell};

/// The server prints the description of its routes by an example. It is run, not linked: this program stays small.
const ROUTES: [&str; 6] = ["run", "--quiet", "--package", "uos-server", "--example", "openapi"];

/// Says in every generated file that can hold a remark how it is made.
pub(crate) const ORIGIN: &str = "Made by `cargo xtask gen` from crates/uos-proto/proto. Not to be edited.";

/// Writes the files; with `check` writes nothing and fails if one differs from what would be written.
pub(crate) fn run(check: bool) -> Result {
    let files = [
        ("crates/uos-proto/table.golden", golden(&TABLE)),
        ("docs/syscalls.md", manual::manual(&TABLE)?),
        ("docs/openapi.json", shell::capture(&mut shell::cargo(&ROUTES))?),
    ];
    for (path, text) in files {
        let place = shell::root().join(path);
        let there = match fs::read_to_string(&place) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{path} could not be read: {error}").into()),
        };
        if there.as_deref() == Some(text.as_str()) {
            println!("{path} is fresh");
        } else if check {
            return Err(stale(path, there.as_deref(), &text).into());
        } else {
            fs::write(&place, text).map_err(|error| format!("{path} could not be written: {error}"))?;
            println!("{path} written");
        }
    }
    Ok(())
}

/// One line a call, so that a changed right is a visible line of a diff.
fn golden(table: &[CallInfo]) -> String {
    let mut text = format!("# {ORIGIN}\n# number name field right class audit\n");
    for call in table {
        let (right, class, audit) = (right(call.right), lower(call.class), lower(call.audit));
        writeln!(text, "{} {} {} {right} {class} {audit}", call.number, call.name, call.field)
            .expect("writing to a string doesn't fail");
    }
    text
}

/// A right as a grant writes it; the two that no grant gives, by their own names.
pub(crate) fn right(right: Right) -> String {
    right.grant_name().map_or_else(|| lower(right), str::to_owned)
}

/// The name of a variant in small letters.
pub(crate) fn lower(variant: impl std::fmt::Debug) -> String {
    format!("{variant:?}").to_lowercase()
}

/// A complaint that shows the first line that differs and the command that helps.
fn stale(path: &str, there: Option<&str>, wanted: &str) -> String {
    let Some(there) = there else { return format!("{path} is missing; run `cargo xtask gen`") };
    let (mut old, mut new) = (there.lines(), wanted.lines());
    let mut number = 1;
    loop {
        match (old.next(), new.next()) {
            (None, None) => return format!("{path} differs in its line ends; run `cargo xtask gen`"),
            (was, is) if was != is => {
                let show =
                    |line: Option<&str>| line.map_or("(the end)".to_owned(), |line| format!("`{line}`"));
                let (was, is) = (show(was), show(is));
                return format!(
                    "{path} is stale at line {number}: {was} should be {is}; run `cargo xtask gen`"
                );
            }
            _ => number += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use uos_proto::TABLE;

    use super::{golden, stale};

    #[test]
    fn the_golden_file_has_a_line_for_every_call() {
        let text = golden(&TABLE);
        let rows: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(rows.len(), TABLE.len());
        assert_eq!(rows[0], "1 ReadFile read_file fs.read pool target");
        assert!(rows.contains(&"30 ReadPipe read_pipe handle wait target"), "{text}");
        assert!(rows.contains(&"46 GetUptime get_uptime none inline plain"), "{text}");
    }

    #[test]
    fn a_stale_file_is_named_with_its_first_difference() {
        let fresh = "a\nb\n";
        assert_eq!(stale("F", None, fresh), "F is missing; run `cargo xtask gen`");
        assert_eq!(
            stale("F", Some("a\nc\n"), fresh),
            "F is stale at line 2: `c` should be `b`; run `cargo xtask gen`"
        );
        assert_eq!(
            stale("F", Some("a\n"), fresh),
            "F is stale at line 2: (the end) should be `b`; run `cargo xtask gen`"
        );
        assert_eq!(stale("F", Some("a\nb"), fresh), "F differs in its line ends; run `cargo xtask gen`");
    }
}
