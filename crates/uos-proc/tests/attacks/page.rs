//! `docs/attacks.md`: what is attacked and what comes of it.
//!
//! The table is what the tests of this program hold the sandbox to; the list of calls is what was measured. Both are kept
//! fresh by tests, and written anew with `UOS_WRITE_PAGES=1`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use crate::table::{ELSEWHERE, Outside, TABLE};

const HEAD: &str = "\
# Attacks\n\
\n\
Made by `UOS_WRITE_PAGES=1 cargo test -p uos-proc --test attacks`. Not to be edited.\n\
\n\
A static program that knows nothing of the sandbox tries each of these for real, with raw system calls: outside, begun by\n\
root, where it has to succeed, or its failing would show nothing; and inside each level, where it has to end exactly as\n\
the table says. After each, the host is looked at: its files, its listeners, another process, what processes share. A row\n\
whose guarantee a machine can't enforce (`doctor` tells) is said to be not held there when the tests run.\n\
\n\
`IsHeard` outside: the call gets past the question whether the caller may, and is then refused for the reason given, so\n\
that trying it harms nobody.\n\
\n";

const CALLS: &str = "## Calls that get through\n";

pub(crate) fn check_table() {
    let mut text = HEAD.replace("`IsHeard`", "*heard*");
    text.push_str("| # | attack | against it | outside | Minimal | Standard |\n|---|---|---|---|---|---|\n");
    for row in TABLE {
        let outside = match row.outside {
            Outside::Works => "did it".to_owned(),
            Outside::Says(said, why) => format!("{said}: {why}"),
            Outside::IsHeard(why) => format!("heard: {why}"),
            Outside::Depends(why) => format!("depends: {why}"),
            Outside::WorksWith(_, why) => format!("did it, {why}"),
        };
        let (number, what, against) = (row.number, row.what, row.against);
        let (minimal, standard) = (row.minimal, row.standard);
        writeln!(text, "| {number} | {what} | {against} | {outside} | {minimal} | {standard} |")
            .expect("a string");
    }
    text.push_str("\n## Tried elsewhere\n\nNo attacks by a program, but trials of whoever starts it.\n\n");
    text.push_str("| # | what | test |\n|---|---|---|\n");
    for (number, what, test) in ELSEWHERE {
        writeln!(text, "| {number} | {what} | `{test}` |").expect("a string");
    }
    text.push('\n');
    check(&text, |page| {
        let end = page.find(CALLS).unwrap_or(page.len());
        0..end
    });
}

/// The numbers of the native calls that got through.
#[cfg(target_arch = "x86_64")]
pub(crate) fn check_calls(minimal: &BTreeSet<usize>, standard: &BTreeSet<usize>) {
    let mut text = CALLS.to_owned();
    let words = |numbers: Vec<usize>| {
        let words: Vec<String> = numbers.into_iter().map(crate::names::name).collect();
        fold(&words.join(" "))
    };
    let more: Vec<usize> = standard.difference(minimal).copied().collect();
    write!(
        text,
        "\nEvery number from 0 to 600 was called by an x86-64 program, natively, by its x32 number and through the 32-bit\n\
         gate. Not one of the latter two gets through. Natively, with some arguments at least, these do. (Beside them, recent\n\
         kernels let `uretprobe` and `uprobe` past every filter, and refuse whoever calls them themselves.)\n\n\
         Minimal, {}:\n\n```text\n{}\n```\n\nStandard, {}: the same and\n\n```text\n{}\n```\n",
        minimal.len(),
        words(minimal.iter().copied().collect()),
        standard.len(),
        words(more),
    )
    .expect("a string");
    check(&text, |page| page.find(CALLS).unwrap_or(page.len())..page.len());
}

#[cfg(target_arch = "x86_64")]
fn fold(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if lines.last().is_some_and(|line| line.len() + word.len() > 100) {
            lines.push(String::new());
        }
        let line = lines.last_mut().expect("there is one");
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.join("\n")
}

/// Compares one part of the page, or writes it.
fn check(text: &str, part: impl Fn(&str) -> std::ops::Range<usize>) {
    static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _writing = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/attacks.md");
    let mut page = fs::read_to_string(&path).unwrap_or_default();
    let range = part(&page);
    if std::env::var_os("UOS_WRITE_PAGES").is_some() {
        page.replace_range(range, text);
        fs::write(&path, page).expect("the page can be written");
        return;
    }
    let is = &page[range];
    let differs = is.lines().zip(text.lines()).find(|(is, should)| is != should);
    assert!(is == text, "docs/attacks.md is stale, first at {differs:?}: UOS_WRITE_PAGES=1 writes it");
}
