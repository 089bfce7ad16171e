//! The manual of the calls, `docs/syscalls.md`, from the call table.

use std::ops::RangeInclusive;

use uos_proto::{Audit, CallInfo, Class, FieldInfo, Right};

use crate::generate::{ORIGIN, lower, right};

/// Which numbers belong together. A call's number is stable for ever, so a family has every range it was ever given.
const FAMILIES: &[(&str, &[RangeInclusive<u32>])] = &[
    ("Files", &[1..=14]),
    ("Descriptors", &[60..=79]),
    ("Names", &[80..=99]),
    ("Mounts", &[100..=109]),
    ("Processes", &[15..=22, 110..=129]),
    ("Signals", &[50..=50, 130..=139]),
    ("Handles", &[51..=59]),
    ("Pipes", &[28..=33]),
    ("Shared memory", &[34..=40]),
    ("Queues", &[140..=159]),
    ("Sockets", &[160..=179]),
    ("Network", &[27..=27]),
    ("Scheduling", &[41..=44, 180..=199]),
    ("Time", &[45..=46]),
    ("Memory", &[47..=49]),
    ("System", &[23..=26, 200..=209]),
];

const OPENING: &str = "\
# The calls

A call is a field of `uos.v1.Call`; its number is the field's tag and never changes. A client makes calls through the
gRPC service `uos.v1.Kernel`; a Rust program may also make them in process. What follows is the contract itself: the
text stands above each message in `crates/uos-proto/proto/uos/v1`.

**Right** is what the caller must have been granted: `fs.read` is given by a grant such as `fs.read:/home/**`. A call
marked *none* needs no right. A call marked *handle* works on an id in the caller's own table, and the handle says what
may be done with it; to everybody else the id is absent. Every call may also answer EACCES with the missing right in
`right`, EINVAL for an argument that can't be what it is meant to be, and ESRCH when it is made as a process that the
caller isn't. What would make files in memory beyond the caller's limit answers EDQUOT.

A grant `ask:fs.write:/home/**` gives no right but lets its holder ask: a call that lacks what it is for waits until somebody
allows or denies it, at most five minutes as a rule, and answers EACCES if it was denied or nobody answered. Calls that were
refused in the midst of their work, such as by an address that a name leads to, are not asked about.

**Runs** is *inline* (at once, in memory), *pool* (on a bounded pool of threads, for disks and new processes), *wait*
(until something happens, holding no thread) or *async* (on the network). **Audit** is what the record of the call names
beside caller, call, outcome and latency: *target* (the path, pid or id it was about) or *plain* (nothing more).
";

/// The whole text, or why it can't be written.
pub(crate) fn manual(table: &[CallInfo]) -> Result<String, String> {
    if let Some(stray) = table.iter().find(|call| family(call.number).is_none()) {
        let CallInfo { number, name, .. } = stray;
        return Err(format!("call {number} {name} belongs to no family; give it one in xtask/src/manual.rs"));
    }
    let mut text = format!("<!-- {ORIGIN} -->\n{OPENING}");
    let families = || {
        FAMILIES.iter().filter_map(|(name, _)| {
            let calls: Vec<&CallInfo> =
                table.iter().filter(|call| family(call.number) == Some(name)).collect();
            (!calls.is_empty()).then_some((name, calls))
        })
    };
    text.push_str("\n| Family | Calls |\n|---|---|\n");
    for (name, calls) in families() {
        let links: Vec<String> = calls.iter().map(|call| link(call)).collect();
        text.push_str(&format!("| {name} | {} |\n", links.join(", ")));
    }
    for (name, calls) in families() {
        text.push_str(&format!("\n## {name}\n"));
        for call in calls {
            text.push_str(&page(call));
        }
    }
    Ok(text)
}

fn family(number: u32) -> Option<&'static str> {
    let holds = |ranges: &[RangeInclusive<u32>]| ranges.iter().any(|range| range.contains(&number));
    FAMILIES.iter().find(|(_, ranges)| holds(ranges)).map(|(name, _)| *name)
}

fn link(call: &CallInfo) -> String {
    format!("[{} {}](#{}-{})", call.number, call.name, call.number, call.name.to_lowercase())
}

/// The man page of one call.
fn page(call: &CallInfo) -> String {
    let CallInfo { number, name, field, doc, .. } = call;
    let right = match call.right {
        Right::None | Right::Handle => format!("*{}*", right(call.right)),
        _ => format!("`{}`", right(call.right)),
    };
    let (class, audit): (Class, Audit) = (call.class, call.audit);
    let mut text = format!("\n### {number} {name}\n\n");
    text.push_str(&format!(
        "Right {right} · runs *{}* · audit *{}* · field `{field}`\n\n{doc}\n",
        lower(class),
        lower(audit)
    ));
    text.push_str(&fields("Argument", call.arguments, "It takes no arguments."));
    text.push_str(&fields("Reply", call.reply, "The reply is empty."));
    if call.errors.is_empty() {
        text.push_str("\nIt has no errors of its own.\n");
    } else {
        text.push_str("\n| Error | When |\n|---|---|\n");
        for (errno, when) in call.errors {
            text.push_str(&format!("| {errno} | {} |\n", cell(when)));
        }
    }
    text
}

fn fields(title: &str, fields: &[FieldInfo], none: &str) -> String {
    if fields.is_empty() {
        return format!("\n{none}\n");
    }
    let mut text = format!("\n| {title} | Type | |\n|---|---|---|\n");
    for FieldInfo { name, kind, doc } in fields {
        text.push_str(&format!("| `{name}` | {kind} | {} |\n", cell(doc)));
    }
    text
}

/// Text that stays inside one cell of a table.
fn cell(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use uos_proto::{Audit, CallInfo, Class, Right, TABLE};

    use super::{FAMILIES, family, manual};

    #[test]
    fn every_call_has_its_page() {
        let text = manual(&TABLE).unwrap();
        for call in &TABLE {
            assert_eq!(
                text.matches(&format!("\n### {} {}\n", call.number, call.name)).count(),
                1,
                "{}",
                call.name
            );
            assert!(
                call.errors.iter().all(|(errno, _)| text.contains(&format!("\n| {errno} | "))),
                "{}",
                call.name
            );
        }
    }

    #[test]
    fn families_do_not_overlap() {
        for number in 1..=209 {
            let holding =
                FAMILIES.iter().filter(|(_, ranges)| ranges.iter().any(|range| range.contains(&number)));
            assert_eq!(holding.count(), 1, "number {number}");
        }
        assert_eq!((family(0), family(210)), (None, None));
    }

    #[test]
    fn a_call_outside_every_family_is_refused() {
        let stray = CallInfo {
            index: 0,
            number: 999,
            name: "Stray",
            field: "stray",
            right: Right::None,
            class: Class::Inline,
            audit: Audit::Plain,
            doc: "Strays.",
            errors: &[],
            arguments: &[],
            reply: &[],
        };
        let problem = manual(&[stray]).unwrap_err();
        assert!(problem.starts_with("call 999 Stray belongs to no family"), "{problem}");
    }
}
