//! A million entries where a list is taken: answered, and in bounded memory.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;
#[path = "common/fields.rs"]
mod fields;
#[path = "table/samples.rs"]
mod samples;

use std::time::Duration;

use common::{World, until};
use fields::{Field, Meaning, fields};
use prost_reflect::{Kind, Value};
use samples::Owner;
use uos_proto::{Class, TABLE};
use uos_syscall::InUse;

const ENTRIES: usize = 1_000_000;
/// What a call may take at its highest beside its arguments.
const MOST_BYTES: u64 = 64 << 20;

/// An entry that is well formed, so that it is the number of them that is looked at. None where that of the sample stays.
fn entry(field: &Field) -> Option<Value> {
    let text = match field.name().rsplit('.').next().unwrap() {
        "env" => "A=B",
        "grants" | "drop" | "keep" => "fs.read:/data/**",
        _ => "x",
    };
    Some(match (field.meaning, field.kind()) {
        (Meaning::Process | Meaning::Handle | Meaning::Snapshot | Meaning::Place, _) => return None,
        (Meaning::Flag, _) => Value::Bool(true),
        (Meaning::Choice, _) => Value::EnumNumber(1),
        (Meaning::Number, Kind::Uint32) => Value::U32(1),
        (Meaning::Number, _) => Value::U64(1),
        (Meaning::Path | Meaning::Text, Kind::Bytes) => Value::Bytes(text.into()),
        (Meaning::Path | Meaning::Text, _) => Value::String(text.to_owned()),
    })
}

/// A line of `/proc/self/status`, in bytes.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|it| it.strip_prefix(line)?.strip_suffix("kB")).unwrap();
    found.trim_matches([':', ' ', '\t']).parse::<u64>().unwrap() << 10
}

// Alone in its file: the memory of other tests beside it would be counted.
#[tokio::test]
async fn a_million_entries_are_answered_in_bounded_memory() {
    let world = World::start();
    let (mut tried, mut most) = (0, (0, String::new()));
    for row in &TABLE {
        for field in fields(row).iter().filter(|field| field.is_listed()) {
            if let Some(entry) = entry(field) {
                let owner = Owner::new(&world).await;
                let call = field.repeat(&owner.sample(row).await, entry.clone(), ENTRIES);
                // Has the highest mark begin anew.
                std::fs::write("/proc/self/clear_refs", "5").unwrap();
                let before = memory("VmRSS");
                // What waits goes on waiting, and is given up.
                let patience = match row.class {
                    Class::Wait | Class::Async => Duration::from_millis(100),
                    _ => Duration::from_secs(60),
                };
                let result = tokio::time::timeout(patience, world.kernel.invoke(&owner.caller, call)).await;
                let took = memory("VmHWM").saturating_sub(before);
                println!("{} of {entry:?}: {took} bytes, {:?}", field.name(), result.map(Result::err));
                tried += 1;
                most = most.max((took, field.name()));
                world.clear().await;
                let empty = InUse { processes: 1, ..InUse::default() };
                until("all is given back", || world.kernel.in_use() == empty).await;
            }
        }
    }
    println!("{tried} calls, at most {most:?} bytes");
    assert!(tried >= 10, "the lists are not found");
    assert!(most.0 <= MOST_BYTES, "{most:?}");
    world.kernel.shut_down().await;
}
