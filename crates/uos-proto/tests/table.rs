//! The call table against what clients were promised, and against the messages on the wire.

use std::collections::BTreeSet;

use prost::Message;
use uos_proto::{Class, DESCRIPTOR, Right, TABLE, v1};

/// The first fifty calls, whose numbers are part of the contract.
const FIRST_FIFTY: [&str; 50] = [
    "ReadFile",
    "WriteFile",
    "CreateFile",
    "DeleteFile",
    "ListDirectory",
    "FileExists",
    "FileStat",
    "MoveFile",
    "CopyFile",
    "CreateDirectory",
    "RemoveDirectory",
    "GetWorkingDirectory",
    "SetWorkingDirectory",
    "TruncateFile",
    "SpawnProcess",
    "KillProcess",
    "GetProcessInfo",
    "GetProcessList",
    "SetProcessPriority",
    "GetProcessState",
    "GetProcessStats",
    "WaitProcess",
    "GetSystemInfo",
    "GetCurrentTime",
    "GetEnvironmentVar",
    "SetEnvironmentVar",
    "NetworkRequest",
    "CreatePipe",
    "WritePipe",
    "ReadPipe",
    "ClosePipe",
    "DestroyPipe",
    "PipeStats",
    "CreateShm",
    "AttachShm",
    "DetachShm",
    "WriteShm",
    "ReadShm",
    "DestroyShm",
    "ShmStats",
    "ScheduleNext",
    "YieldProcess",
    "GetCurrentScheduled",
    "GetSchedulerStats",
    "Sleep",
    "GetUptime",
    "GetMemoryStats",
    "GetProcessMemoryStats",
    "TriggerGC",
    "SendSignal",
];

#[test]
fn the_first_fifty_have_their_promised_numbers() {
    for call in &TABLE {
        let promised = FIRST_FIFTY.iter().position(|name| *name == call.name).map(|at| at + 1);
        match promised {
            Some(number) => assert_eq!(call.number as usize, number, "{}", call.name),
            None => assert!(
                call.number > 50,
                "{} has the number of {}",
                call.name,
                FIRST_FIFTY[call.number as usize - 1]
            ),
        }
    }
}

#[test]
fn numbers_and_names_are_unique_and_in_order() {
    assert!(TABLE.windows(2).all(|pair| pair[0].number < pair[1].number));
    assert!(TABLE.iter().enumerate().all(|(index, call)| call.index == index));
    assert_eq!(TABLE.iter().map(|call| call.name).collect::<BTreeSet<_>>().len(), TABLE.len());
    // The names of generated variants depend on this: a field is its message's name in small words.
    for call in &TABLE {
        assert_eq!(call.field.replace('_', ""), call.name.to_lowercase());
    }
}

#[test]
fn a_call_on_the_wire_is_the_call_of_its_number() {
    for row in &TABLE {
        // The tag for "length-delimited", then a length of none: a call with every argument at its default.
        let mut bytes = Vec::new();
        prost::encoding::encode_key(row.number, prost::encoding::WireType::LengthDelimited, &mut bytes);
        bytes.push(0);

        let call = v1::Call::decode(bytes.as_slice()).unwrap();
        assert_eq!(call.call.as_ref().unwrap().info().name, row.name);
        assert_eq!(call.encode_to_vec(), bytes, "{}", row.name);
        let reply = v1::Reply::decode(bytes.as_slice()).unwrap();
        assert!(reply.reply.is_some(), "{} has a reply under its number", row.name);
        assert_eq!(reply.encode_to_vec(), bytes, "{}", row.name);
    }
}

#[test]
fn an_unknown_number_is_no_call() {
    let mut bytes = Vec::new();
    prost::encoding::encode_key(4000, prost::encoding::WireType::LengthDelimited, &mut bytes);
    bytes.push(0);
    assert_eq!(v1::Call::decode(bytes.as_slice()).unwrap().call, None);
}

#[test]
fn every_call_is_documented() {
    for call in &TABLE {
        assert!(call.doc.ends_with('.'), "{}", call.name);
        let fields = call.arguments.iter().chain(call.reply);
        assert!(fields.clone().all(|field| !field.doc.is_empty() && !field.kind.is_empty()), "{}", call.name);
        for (errno, when) in call.errors {
            let posix = errno.starts_with('E')
                && errno.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
            assert!(posix && when.ends_with('.'), "{}: {errno}: {when}", call.name);
        }
    }
}

/// What a call says of its right and what it says of its errors must agree: a right can be missing, a handle absent.
#[test]
fn errors_follow_from_the_right() {
    for call in &TABLE {
        let lists = |errno: &str| call.errors.iter().any(|(name, _)| *name == errno);
        match call.right {
            Right::None => assert!(!lists("EACCES"), "{} needs no right", call.name),
            Right::Handle => assert!(lists("EBADF"), "{} works on a handle", call.name),
            Right::FsRead | Right::FsWrite | Right::FsAdmin | Right::ProcSpawn | Right::IpcCreate => {
                assert!(lists("EACCES"), "{} needs a right", call.name);
            }
            _ => {}
        }
        // A time to wait means something only where waiting holds no thread.
        let takes_timeout = call.arguments.iter().any(|field| field.name == "timeout_us");
        assert!(!takes_timeout || matches!(call.class, Class::Wait | Class::Async), "{}", call.name);
    }
}

#[test]
fn every_right_but_two_has_a_name_in_grants() {
    let names: Vec<&str> = Right::ALL.iter().filter_map(|right| right.grant_name()).collect();
    assert_eq!(names.len(), Right::ALL.len() - 2);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.iter().all(|name| name.split('.').count() == 2));
}

/// Just enough of a `FileDescriptorSet` to look into the one that reflection serves.
#[derive(Clone, PartialEq, Message)]
struct Files {
    #[prost(message, repeated, tag = "1")]
    files: Vec<File>,
}

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "6")]
    services: Vec<Service>,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    methods: Vec<Method>,
}

#[derive(Clone, PartialEq, Message)]
struct Method {
    #[prost(string, tag = "1")]
    name: String,
}

#[test]
fn the_descriptor_holds_the_service_and_all_it_imports() {
    let set = Files::decode(DESCRIPTOR).unwrap();
    let names: BTreeSet<&str> = set.files.iter().map(|file| file.name.as_str()).collect();
    for file in ["kernel", "calls", "common", "files", "pipes", "processes", "rule", "system"] {
        assert!(names.contains(format!("uos/v1/{file}.proto").as_str()), "{file} in {names:?}");
    }
    assert!(names.contains("google/protobuf/descriptor.proto"), "a client needs it to read the rules");

    let kernel =
        set.files.iter().flat_map(|file| &file.services).find(|service| service.name == "Kernel").unwrap();
    let methods: Vec<&str> = kernel.methods.iter().map(|method| method.name.as_str()).collect();
    assert_eq!(methods, ["CreateProcess", "Execute", "ExecuteBatch", "Stream"]);
}
