//! Bad values for a field, by what it stands for.

use prost_reflect::{Kind, Value};

use crate::fields::{Field, Meaning};

/// Bad values for one field, and some that are merely odd. `ids` are of wrong kinds, stale and foreign.
pub(crate) fn values(field: &Field, ids: &[u64]) -> Vec<Value> {
    match field.meaning {
        Meaning::Flag => vec![Value::Bool(false), Value::Bool(true)],
        Meaning::Choice => [0, 1, 2, 3, 4, 5, 6, 99, -1, i32::MIN, i32::MAX].map(Value::EnumNumber).into(),
        Meaning::Number => numbers(&field.kind()),
        Meaning::Process | Meaning::Handle | Meaning::Snapshot | Meaning::Place => {
            let odd = [0, 1, 2, 1 << 32, 1 << 53, u64::MAX - 1, u64::MAX];
            odd.iter().chain(ids).map(|&id| Value::U64(id)).collect()
        }
        Meaning::Path => paths().into_iter().filter_map(|bytes| text(&field.kind(), bytes)).collect(),
        Meaning::Text => texts().into_iter().filter_map(|bytes| text(&field.kind(), bytes)).collect(),
    }
}

/// The largest or longest there is.
pub(crate) fn hugest(field: &Field) -> Value {
    match field.meaning {
        Meaning::Flag => Value::Bool(true),
        Meaning::Choice => Value::EnumNumber(i32::MAX),
        Meaning::Number => numbers(&field.kind()).pop().unwrap(),
        Meaning::Process | Meaning::Handle | Meaning::Snapshot | Meaning::Place => Value::U64(u64::MAX),
        Meaning::Path | Meaning::Text => text(&field.kind(), vec![b'x'; 1 << 20]).unwrap(),
    }
}

/// Small ones and edges; the largest last.
fn numbers(kind: &Kind) -> Vec<Value> {
    match kind {
        Kind::Uint64 | Kind::Fixed64 => {
            [0, 1, 2, 4_097, 1 << 31, 1 << 40, i64::MAX as u64, u64::MAX - 1, u64::MAX].map(Value::U64).into()
        }
        Kind::Uint32 | Kind::Fixed32 => {
            [0, 1, 255, 256, 0o7777, 0o10000, 1 << 31, u32::MAX].map(Value::U32).into()
        }
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
            [0, -1, i64::MIN, i64::MIN + 1, 1 << 40, i64::MAX - 1, i64::MAX].map(Value::I64).into()
        }
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => [0, -1, i32::MIN, i32::MAX].map(Value::I32).into(),
        Kind::Double => [f64::NAN, f64::INFINITY, -0.0, f64::MAX].map(Value::F64).into(),
        Kind::Float => [f32::NAN, f32::INFINITY, -0.0, f32::MAX].map(Value::F32).into(),
        other => panic!("{other:?} is no number"),
    }
}

fn text(kind: &Kind, bytes: Vec<u8>) -> Option<Value> {
    match kind {
        Kind::Bytes => Some(Value::Bytes(bytes.into())),
        // What is not UTF-8 can't be said in text; the field beside it takes it.
        _ => String::from_utf8(bytes).ok().map(Value::String),
    }
}

fn paths() -> Vec<Vec<u8>> {
    let odd: [&[u8]; 25] = [
        b"",
        b"/",
        b"//",
        b".",
        b"..",
        b"/..",
        b"/data",
        b"/data/",
        b"/data/.",
        b"/data/..",
        b"/data/file/",
        b"/data/file/x",
        b"/data/file/..",
        b"/data/link/",
        b"/data/folder",
        b"/data/folder/inner/../../file",
        b"/data/nothing/x",
        b"data/file",
        b"file",
        b"/data/a\0b",
        b"\0",
        b"/data/\xff\xfe",
        b"/data/\xc0\xaf..\xc0\xaf",
        b"/data/new\nline ;rm -rf \xe2\x80\xae",
        b"/etc/passwd",
    ];
    let long = [
        [b"/data/".to_vec(), vec![b'n'; 255]].concat(),
        [b"/data/".to_vec(), vec![b'n'; 256]].concat(),
        [b"/data".to_vec(), b"/d".repeat(2_045)].concat(),
        [b"/data".to_vec(), b"/d".repeat(2_046)].concat(),
        [b"/data/folder".to_vec(), b"/..".repeat(1_300)].concat(),
        b"/".repeat(5_000),
        vec![b'/'; 1 << 20],
        vec![b'x'; 1 << 20],
    ];
    odd.iter().map(|path| path.to_vec()).chain(long).collect()
}

fn texts() -> Vec<Vec<u8>> {
    let odd: [&[u8]; 17] = [
        b"",
        b" ",
        b"=",
        b"=x",
        b"A=B",
        b"A=\0",
        b"\0",
        b"a\0b",
        b"\xff\xfe",
        b"user.\xff",
        b"user.",
        b"system.posix_acl_access",
        b"fs.read",
        b"fs.read:/data/**",
        b"fs.write:/a/../b",
        b"../../etc/passwd",
        b"%s%n\xe2\x80\xae\n",
    ];
    let long = [vec![b'x'; 255], vec![b'x'; 256], vec![b'x'; 4_096], vec![b'x'; 65_536], vec![b'x'; 1 << 20]];
    odd.iter().map(|text| text.to_vec()).chain(long).collect()
}
