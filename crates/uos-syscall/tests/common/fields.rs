//! The arguments of calls by reflection: what each field stands for, and a call with one of them set to something else.
//!
//! What holds for all calls is tested by loops over the table and over these fields. A field of which nothing here says
//! what it stands for fails the tests, so that a new call brings its line.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::sync::LazyLock;

use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use uos_proto::{
    CallInfo,
    v1::{self, call::Call, reply::Reply},
};

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(uos_proto::DESCRIPTOR).unwrap());

/// What a field stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The pid of a process.
    Process,
    /// The id of something in a table of handles.
    Handle,
    /// The id of a snapshot, which is in no table: whoever has `fs.admin` sees all.
    Snapshot,
    /// Where in a list, or in a table, something begins or ends.
    Place,
    /// A path that is judged.
    Path,
    /// Text or bytes that name nothing to have a right on.
    Text,
    /// A plain number.
    Number,
    /// One of several.
    Choice,
    /// Yes or no.
    Flag,
}

fn meaning(field: &FieldDescriptor) -> Meaning {
    let name = field.name();
    let known = match field.kind() {
        Kind::Bool => Some(Meaning::Flag),
        Kind::Enum(_) => Some(Meaning::Choice),
        // Ids have 64 bits.
        Kind::Uint64 if name.ends_with("id") && field.parent_message().name().ends_with("Snapshot") => {
            Some(Meaning::Snapshot)
        }
        Kind::Uint64 => wide(name),
        Kind::String | Kind::Bytes => text(name),
        _ => Some(Meaning::Number),
    };
    known.unwrap_or_else(|| panic!("say here what {} stands for", field.full_name()))
}

fn wide(name: &str) -> Option<Meaning> {
    Some(match name {
        "pid" | "reader_pid" | "writer_pid" => Meaning::Process,
        "id" | "to_id" | "parent_id" | "member_id" => Meaning::Handle,
        "after_pid" | "cursor" | "first" | "last" => Meaning::Place,
        "offset" | "length" | "capacity" | "messages" | "bytes" | "pids" | "open_files" | "cpu_seconds"
        | "limit_nodes" | "value" => Meaning::Number,
        _ if name.ends_with("_us") || name.ends_with("_bytes") => Meaning::Number,
        _ => return None,
    })
}

fn text(name: &str) -> Option<Meaning> {
    Some(match name.strip_suffix("_raw").unwrap_or(name) {
        "path" | "from" | "to" | "program" | "cwd" => Meaning::Path,
        // What a symbolic link says is not judged when it is made, but when it is followed; and folders of the host are
        // the operator's to open.
        "target" | "host_path" => Meaning::Text,
        "method" | "url" | "body" | "host" => Meaning::Text,
        "name" | "value" | "args" | "env" | "grants" | "drop" | "keep" | "prefix" | "data" => Meaning::Text,
        _ => return None,
    })
}

/// A field of a call's arguments, or of a message within them.
#[derive(Clone)]
pub(crate) struct Field {
    /// The call's own field in `Call`, and from there on.
    way: Vec<FieldDescriptor>,
    pub(crate) meaning: Meaning,
}

/// All fields of a call's arguments.
pub(crate) fn fields(row: &CallInfo) -> Vec<Field> {
    let mut all = Vec::new();
    collect(vec![call_descriptor().get_field(row.number).unwrap()], &mut all);
    all
}

fn collect(way: Vec<FieldDescriptor>, all: &mut Vec<Field>) {
    let last = way.last().unwrap();
    match last.kind() {
        Kind::Message(message) => {
            for field in message.fields() {
                collect(way.iter().cloned().chain([field]).collect(), all);
            }
        }
        _ => all.push(Field { meaning: meaning(last), way }),
    }
}

impl Field {
    /// Such as `Poll.handles.id`.
    pub(crate) fn name(&self) -> String {
        let call = self.way[0].kind().as_message().unwrap().name().to_owned();
        self.way[1..].iter().fold(call, |name, field| name + "." + field.name())
    }

    pub(crate) fn kind(&self) -> Kind {
        self.way.last().unwrap().kind()
    }

    /// Whether it is a list, or in one.
    pub(crate) fn is_listed(&self) -> bool {
        self.way.iter().any(FieldDescriptor::is_list)
    }

    /// The call with this field set. Of a list there is one entry then.
    pub(crate) fn set(&self, call: &Call, value: Value) -> Call {
        let mut whole = dynamic(call);
        put(&mut whole, &self.way, value);
        whole.transcode_to::<v1::Call>().unwrap().call.unwrap()
    }

    /// The call with so many entries in the list that this field is, or is in. Made of bytes: what is said of a list
    /// twice is both in it.
    pub(crate) fn repeat(&self, call: &Call, entry: Value, times: usize) -> Call {
        let arguments =
            |whole: &DynamicMessage| whole.get_field(&self.way[0]).as_message().unwrap().encode_to_vec();
        let (mut all, mut alone) = (dynamic(call), DynamicMessage::new(call_descriptor()));
        put(&mut all, &self.way, entry.clone());
        put(&mut alone, &self.way, entry);
        let (mut bytes, piece) = (arguments(&all), arguments(&alone));
        bytes.reserve(piece.len() * times);
        (1..times).for_each(|_| bytes.extend_from_slice(&piece));
        let mut wire = Vec::with_capacity(bytes.len() + 16);
        encode_key(self.way[0].number(), WireType::LengthDelimited, &mut wire);
        encode_varint(bytes.len() as u64, &mut wire);
        wire.append(&mut bytes);
        v1::Call::decode(wire.as_slice()).unwrap().call.unwrap()
    }

    pub(crate) fn set_number(&self, call: &Call, number: u64) -> Call {
        self.set(call, Value::U64(number))
    }

    pub(crate) fn set_text(&self, call: &Call, text: &str) -> Call {
        let value = match self.kind() {
            Kind::String => Value::String(text.to_owned()),
            _ => Value::Bytes(text.to_owned().into()),
        };
        self.set(call, value)
    }
}

fn put(message: &mut DynamicMessage, way: &[FieldDescriptor], value: Value) {
    let (field, rest) = way.split_first().unwrap();
    let value = match (rest, field.kind()) {
        ([], _) => value,
        (_, kind) => {
            let held = message.get_field(field).into_owned();
            let held = if field.is_list() {
                held.as_list().and_then(|list| list.first().cloned())
            } else {
                Some(held)
            };
            let mut inner = held.unwrap_or_else(|| Value::default_value(&kind));
            put(inner.as_message_mut().unwrap(), rest, value);
            inner
        }
    };
    message.set_field(field, if field.is_list() { Value::List(vec![value]) } else { value });
}

fn call_descriptor() -> MessageDescriptor {
    POOL.get_message_by_name("uos.v1.Call").unwrap()
}

fn dynamic(call: &Call) -> DynamicMessage {
    let wire = v1::Call { call: Some(call.clone()) }.encode_to_vec();
    DynamicMessage::decode(call_descriptor(), wire.as_slice()).unwrap()
}

/// The call with nothing set.
pub(crate) fn empty(row: &CallInfo) -> Call {
    let mut whole = DynamicMessage::new(call_descriptor());
    let field = call_descriptor().get_field(row.number).unwrap();
    let nothing = Value::default_value(&field.kind());
    whole.set_field(&field, nothing);
    whole.transcode_to::<v1::Call>().unwrap().call.unwrap()
}

/// The fields of a reply that name a process or something in a table, and what they say.
pub(crate) fn named(reply: &Reply) -> Vec<(Meaning, String, u64)> {
    let wire = v1::Reply { reply: Some(reply.clone()) }.encode_to_vec();
    let descriptor = POOL.get_message_by_name("uos.v1.Reply").unwrap();
    let mut all = Vec::new();
    gather(&DynamicMessage::decode(descriptor, wire.as_slice()).unwrap(), &mut all);
    all
}

fn gather(message: &DynamicMessage, all: &mut Vec<(Meaning, String, u64)>) {
    for (field, value) in message.fields() {
        let mut take = |value: &Value| match value {
            Value::Message(inner) => gather(inner, all),
            Value::U64(number) => {
                let meaning = match field.name() {
                    name if name == "pid" || name.ends_with("_pid") => Meaning::Process,
                    name if name == "id" || name.ends_with("_id") => Meaning::Handle,
                    _ => return,
                };
                all.push((meaning, field.full_name().to_owned(), *number));
            }
            _ => {}
        };
        match value {
            Value::List(values) => values.iter().for_each(&mut take),
            one => take(one),
        }
    }
}

/// Whether a call answers with the id of something it has made.
pub(crate) fn makes(row: &CallInfo) -> Option<Meaning> {
    row.reply.iter().find_map(|field| match field.name {
        "id" if row.name == "Snapshot" => Some(Meaning::Snapshot),
        "id" => Some(Meaning::Handle),
        "pid" if row.name == "SpawnProcess" => Some(Meaning::Process),
        _ => None,
    })
}

/// The numbers of an enum of the contract, but for the one that says nothing.
pub(crate) fn choices(name: &str) -> Vec<i32> {
    let all = POOL.get_enum_by_name(&format!("uos.v1.{name}")).unwrap();
    all.values().map(|value| value.number()).filter(|number| *number != 0).collect()
}
