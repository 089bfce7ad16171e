//! Writes the call table and the dispatch from the descriptor of `uos.v1.Call`.
//!
//! A contract that is incomplete does not build: a call without a reply of the same tag, without a rule, without a man
//! page, a field without a comment, an error list left out.

use std::{collections::HashSet, error::Error, fmt::Write};

use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    ReflectMessage,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// One call, as read from the contract.
struct Row {
    number: u32,
    field: String,
    request: MessageDescriptor,
    reply: MessageDescriptor,
    right: String,
    class: String,
    audit: String,
}

/// The Rust source that `src/table.rs` includes.
pub(crate) fn generate(pool: &DescriptorPool) -> Result<String> {
    let rows = rows(pool)?;
    let mut out = String::from("// Made by build/table.rs from proto/uos/v1. Not to be edited.\n");
    for (name, doc) in [
        ("Right", "The right a call needs."),
        ("Class", "Where a call runs."),
        ("Audit", "What an audit record names."),
    ] {
        let kind =
            pool.get_enum_by_name(&format!("uos.v1.{name}")).ok_or("an enum of rule.proto is missing")?;
        rule_enum(&mut out, name, doc, &kind)?;
    }
    table(&mut out, &rows)?;
    requests(&mut out, &rows)?;
    dispatch(&mut out, &rows)?;
    Ok(out)
}

/// The members of the two oneofs that are kept on the heap: a call is moved several times on its way, and one with many
/// arguments would make all of them as large as itself.
pub(crate) fn boxed(pool: &DescriptorPool) -> Result<Vec<String>> {
    let rows = rows(pool)?;
    let calls = rows
        .iter()
        .filter(|row| is_large(&row.request))
        .map(|row| format!(".uos.v1.Call.call.{}", row.field));
    let replies = rows
        .iter()
        .filter(|row| is_large(&row.reply))
        .map(|row| format!(".uos.v1.Reply.reply.{}", row.field));
    Ok(calls.chain(replies).collect())
}

/// So many bytes are moved in a few registers' width.
const LARGE: usize = 80;

fn is_large(message: &MessageDescriptor) -> bool {
    size(message) > LARGE
}

/// About how many bytes a message takes, those of messages within included.
fn size(message: &MessageDescriptor) -> usize {
    let inner = |field: FieldDescriptor| match field.kind() {
        _ if field.is_list() || field.is_map() => 24,
        Kind::String => 24,
        Kind::Bytes => 32,
        Kind::Message(inner) => size(&inner) + 8,
        Kind::Bool => 1,
        Kind::Enum(_)
        | Kind::Int32
        | Kind::Uint32
        | Kind::Sint32
        | Kind::Fixed32
        | Kind::Sfixed32
        | Kind::Float => 4,
        Kind::Int64 | Kind::Uint64 | Kind::Sint64 | Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => {
            if field.supports_presence() { 16 } else { 8 }
        }
    };
    message.fields().map(inner).sum()
}

/// Reads and checks the two oneofs.
fn rows(pool: &DescriptorPool) -> Result<Vec<Row>> {
    let message = |name: &str| pool.get_message_by_name(name).ok_or(format!("{name} is missing"));
    let (call, reply) = (message("uos.v1.Call")?, message("uos.v1.Reply")?);
    let rule = pool.get_extension_by_name("uos.v1.rule").ok_or("the rule option is missing")?;

    let mut rows = Vec::new();
    for field in call.fields() {
        let options = field.options();
        if !options.has_extension(&rule) {
            return Err(format!("{} has no rule", field.full_name()).into());
        }
        let value = options.get_extension(&rule).into_owned();
        let value = value.as_message().ok_or("the rule is a message")?;
        let answer = reply
            .get_field(field.number())
            .filter(|answer| answer.name() == field.name())
            .ok_or(format!("{} has no reply under its tag and name", field.full_name()))?;
        let request = message_of(&field)?;
        let answer = message_of(&answer)?;
        if answer.name() != format!("{}Reply", request.name()) {
            return Err(format!("the reply of {} must be called {0}Reply", request.name()).into());
        }
        rows.push(Row {
            number: field.number(),
            field: field.name().to_owned(),
            right: variant(value, "right", "RIGHT_")?,
            class: variant(value, "class", "CLASS_")?,
            audit: variant(value, "audit", "AUDIT_")?,
            request,
            reply: answer,
        });
    }
    let calls: HashSet<u32> = rows.iter().map(|row| row.number).collect();
    if let Some(orphan) = reply.fields().find(|field| !calls.contains(&field.number())) {
        return Err(format!("{} answers no call", orphan.full_name()).into());
    }
    rows.sort_by_key(|row| row.number);
    Ok(rows)
}

fn message_of(field: &FieldDescriptor) -> Result<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) => Ok(message),
        _ => Err(format!("{} must be a message", field.full_name()).into()),
    }
}

/// What a message is called in Rust: of a run of capitals only the first is one, as in `TriggerGc`.
fn rust_name(name: &str) -> String {
    let mut after_capital = false;
    let letters: Vec<char> = name.chars().collect();
    let rust = letters.iter().enumerate().map(|(place, &letter)| {
        let begins_word = letters.get(place + 1).is_some_and(char::is_ascii_lowercase);
        let lower = after_capital && letter.is_ascii_uppercase() && !begins_word;
        after_capital = letter.is_ascii_uppercase();
        if lower { letter.to_ascii_lowercase() } else { letter }
    });
    rust.collect()
}

/// The Rust name of the enum value that a field of the rule holds.
fn variant(rule: &DynamicMessage, field: &str, prefix: &str) -> Result<String> {
    let descriptor = rule.descriptor().get_field_by_name(field).ok_or("a field of Rule is missing")?;
    let Kind::Enum(kind) = descriptor.kind() else { return Err("a field of Rule is an enum".into()) };
    let number = rule.get_field(&descriptor).as_enum_number().ok_or("a field of Rule is an enum")?;
    let value = kind.get_value(number).ok_or("unknown value in a rule")?;
    if number == 0 {
        return Err(format!("a rule leaves `{field}` unstated").into());
    }
    Ok(camel(value.name().trim_start_matches(prefix)))
}

/// An enum for use in statics, without the "unspecified" that protobuf needs.
fn rule_enum(out: &mut String, name: &str, doc: &str, kind: &EnumDescriptor) -> Result<()> {
    let prefix = format!("{}_", name.to_uppercase());
    writeln!(
        out,
        "/// {doc}\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum {name} {{"
    )?;
    for value in kind.values().filter(|value| value.number() != 0) {
        let doc = comment(&value.parent_file(), value.path())
            .ok_or(format!("{} has no comment", value.full_name()))?;
        writeln!(out, "    #[doc = {doc:?}]\n    {},", camel(value.name().trim_start_matches(&prefix)))?;
    }
    writeln!(
        out,
        "}}\nimpl {name} {{\n    /// All of them, in the contract's order.\n    pub const ALL: &[Self] = &["
    )?;
    for value in kind.values().filter(|value| value.number() != 0) {
        writeln!(out, "        Self::{},", camel(value.name().trim_start_matches(&prefix)))?;
    }
    writeln!(out, "    ];\n}}")?;
    Ok(())
}

fn table(out: &mut String, rows: &[Row]) -> Result<()> {
    writeln!(
        out,
        "/// Every call, in the order of their numbers.\npub static TABLE: [CallInfo; {}] = [",
        rows.len()
    )?;
    for (index, row) in rows.iter().enumerate() {
        let page = page(&row.request)?;
        writeln!(
            out,
            "    CallInfo {{ index: {index}, number: {}, name: {:?}, field: {:?},",
            row.number,
            row.request.name(),
            row.field
        )?;
        writeln!(
            out,
            "        right: Right::{}, class: Class::{}, audit: Audit::{},",
            row.right, row.class, row.audit
        )?;
        writeln!(out, "        doc: {:?}, errors: &{:?},", page.doc, page.errors)?;
        writeln!(
            out,
            "        arguments: &[{}], reply: &[{}] }},",
            fields(&row.request)?,
            fields(&row.reply)?
        )?;
    }
    writeln!(out, "];")?;
    Ok(())
}

fn requests(out: &mut String, rows: &[Row]) -> Result<()> {
    for (index, row) in rows.iter().enumerate() {
        let (name, reply) = (rust_name(row.request.name()), rust_name(row.reply.name()));
        let variant = camel(&row.field);
        let wrap_call = if is_large(&row.request) { "Box::new(request)" } else { "request" };
        let wrap_reply = if is_large(&row.reply) { "Box::new(reply)" } else { "reply" };
        let unwrap = if is_large(&row.reply) { "*" } else { "" };
        writeln!(
            out,
            "impl Request for v1::{name} {{\n    type Reply = v1::{reply};\n    const INFO: &'static CallInfo = &TABLE[{index}];\n}}\n\
             impl From<v1::{name}> for v1::call::Call {{ fn from(request: v1::{name}) -> Self {{ Self::{variant}({wrap_call}) }} }}\n\
             impl From<v1::{reply}> for v1::reply::Reply {{ fn from(reply: v1::{reply}) -> Self {{ Self::{variant}({wrap_reply}) }} }}\n\
             impl TryFrom<v1::reply::Reply> for v1::{reply} {{\n    type Error = v1::reply::Reply;\n    \
             fn try_from(reply: v1::reply::Reply) -> Result<Self, Self::Error> {{ if let v1::reply::Reply::{variant}(reply) = reply {{ Ok({unwrap}reply) }} else {{ Err(reply) }} }}\n}}"
        )?;
    }
    Ok(())
}

fn dispatch(out: &mut String, rows: &[Row]) -> Result<()> {
    writeln!(
        out,
        "impl crate::v1::call::Call {{\n    /// The row of this call.\n    pub fn info(&self) -> &'static CallInfo {{\n        match self {{"
    )?;
    for (index, row) in rows.iter().enumerate() {
        writeln!(out, "            Self::{}(_) => &TABLE[{index}],", camel(&row.field))?;
    }
    writeln!(out, "        }}\n    }}\n}}")?;

    writeln!(
        out,
        "/// Hands a call to the kernel that performs it: the one match over all calls. A call nobody performs does not compile.\npub fn dispatch<P>(call: crate::v1::call::Call, performer: P) -> P::Outcome\nwhere\n    P: Performer"
    )?;
    for row in rows {
        writeln!(out, "        + Perform<crate::v1::{}, {}>", rust_name(row.request.name()), manner(row))?;
    }
    writeln!(out, "{{\n    match call {{")?;
    for row in rows {
        writeln!(
            out,
            "        crate::v1::call::Call::{}(request) => Perform::<_, {}>::perform(performer, {}request),",
            camel(&row.field),
            manner(row),
            if is_large(&row.request) { "*" } else { "" }
        )?;
    }
    writeln!(out, "    }}\n}}")?;
    Ok(())
}

/// How a call is carried out, as a type: at once, or by waiting.
fn manner(row: &Row) -> &'static str {
    match row.class.as_str() {
        "Wait" | "Async" => "Later",
        _ => "AtOnce",
    }
}

/// A man page: prose, then a list of errors.
struct Page {
    doc: String,
    errors: Vec<(String, String)>,
}

fn page(message: &MessageDescriptor) -> Result<Page> {
    let name = message.full_name();
    let text = comment(&message.parent_file(), message.path()).ok_or(format!("{name} has no comment"))?;
    let (doc, list) = text.split_once("Errors:").ok_or(format!("the comment of {name} has no `Errors:`"))?;
    let mut errors = Vec::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line == "none." {
            continue;
        }
        let entry = line.strip_prefix("- ").and_then(|line| line.split_once(": "));
        let (errno, when) = entry.ok_or(format!("{name}: an error reads `- ENAME: when.`, not `{line}`"))?;
        errors.push((errno.to_owned(), when.to_owned()));
    }
    if errors.is_empty() && list.trim() != "none." {
        return Err(format!("{name} lists no errors; say `Errors: none.` if there are none").into());
    }
    Ok(Page { doc: doc.trim().to_owned(), errors })
}

/// The fields of a message as `FieldInfo` literals.
fn fields(message: &MessageDescriptor) -> Result<String> {
    let mut out = String::new();
    for field in message.fields() {
        let doc = comment(&field.parent_message().parent_file(), field.path())
            .ok_or(format!("{} has no comment", field.full_name()))?;
        let mut kind = match field.kind() {
            Kind::Message(message) => message.name().to_owned(),
            Kind::Enum(kind) => kind.name().to_owned(),
            scalar => format!("{scalar:?}").to_lowercase(),
        };
        if field.is_list() {
            kind = format!("repeated {kind}");
        } else if field.supports_presence() && !matches!(field.kind(), Kind::Message(_)) {
            kind = format!("optional {kind}");
        }
        write!(out, "FieldInfo {{ name: {:?}, kind: {kind:?}, doc: {doc:?} }}, ", field.name())?;
    }
    Ok(out)
}

/// The comment above an element, without the blank that follows each `//`.
fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let text = info.location.iter().find(|location| location.path == path)?.leading_comments.as_deref()?;
    let text: Vec<&str> =
        text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    let text = text.join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}

fn camel(name: &str) -> String {
    let word = |word: &str| {
        let (head, tail) = word.split_at(1);
        head.to_uppercase() + &tail.to_lowercase()
    };
    name.split('_').map(word).collect()
}
