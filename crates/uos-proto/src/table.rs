//! The call table: what the contract says of each call, as data and as types.

use crate::v1;

/// One row of the table.
#[derive(Debug)]
pub struct CallInfo {
    /// Its place in [`TABLE`], for arrays with one cell a call.
    pub index: usize,
    /// Its number: the tag in `uos.v1.Call`.
    pub number: u32,
    /// Its name, such as `ReadFile`.
    pub name: &'static str,
    /// Its field in `uos.v1.Call`, such as `read_file`.
    pub field: &'static str,
    /// The right it needs.
    pub right: Right,
    /// Where it runs.
    pub class: Class,
    /// What its audit record names.
    pub audit: Audit,
    /// Its man page, without the errors.
    pub doc: &'static str,
    /// Its errors: name, and when.
    pub errors: &'static [(&'static str, &'static str)],
    /// Its arguments.
    pub arguments: &'static [FieldInfo],
    /// What it answers.
    pub reply: &'static [FieldInfo],
}

/// A field of an argument or reply message.
#[derive(Debug)]
pub struct FieldInfo {
    /// Its name in the contract.
    pub name: &'static str,
    /// Its type, as the contract writes it.
    pub kind: &'static str,
    /// The comment above it.
    pub doc: &'static str,
}

/// The argument message of a call.
pub trait Request: prost::Message + Sized {
    /// What it answers.
    type Reply: prost::Message;
    /// Its row in the table.
    const INFO: &'static CallInfo;
}

/// The row of the rpc `CreateProcess`, which is admitted and audited as a call is, but has no number.
pub static CREATE_PROCESS: CallInfo = CallInfo {
    index: TABLE.len(),
    number: 0,
    name: "CreateProcess",
    field: "create_process",
    right: Right::ProcSpawn,
    class: Class::Pool,
    audit: Audit::Target,
    doc: "Makes a process as a child of the caller, with a token of its own.",
    errors: &[],
    arguments: &[],
    reply: &[],
};

/// The row of answering a request for a right, which is audited as a call is, but has no number.
pub static ANSWER_REQUEST: CallInfo = CallInfo {
    index: TABLE.len() + 1,
    number: 0,
    name: "AnswerRequest",
    field: "answer_request",
    right: Right::None,
    class: Class::Inline,
    audit: Audit::Target,
    doc: "Answers a call that waits for a right it has asked for.",
    errors: &[],
    arguments: &[],
    reply: &[],
};

impl Request for crate::v1::CreateProcessRequest {
    type Reply = crate::v1::CreateProcessResponse;
    const INFO: &'static CallInfo = &CREATE_PROCESS;
}

/// Marks calls that are carried out at once ([`Class::Inline`], [`Class::Pool`]).
#[derive(Debug)]
pub enum AtOnce {}

/// Marks calls that wait ([`Class::Wait`], [`Class::Async`]).
#[derive(Debug)]
pub enum Later {}

/// Something that carries out calls, by way of [`dispatch`].
pub trait Performer {
    /// What comes of any call.
    type Outcome;
}

/// Carries out one kind of call. `Manner` is [`AtOnce`] or [`Later`], so that one blanket implementation can serve each.
pub trait Perform<R: Request, Manner>: Performer {
    /// Carries it out.
    fn perform(self, request: R) -> Self::Outcome;
}

impl Right {
    /// As a grant writes it: `fs.read`. `None` and `Handle`, which no grant gives, have no such name.
    pub fn grant_name(self) -> Option<&'static str> {
        Some(match self {
            Self::None | Self::Handle => return None,
            Self::FsRead => "fs.read",
            Self::FsWrite => "fs.write",
            Self::FsAdmin => "fs.admin",
            Self::ProcSpawn => "proc.spawn",
            Self::ProcSignal => "proc.signal",
            Self::ProcInspect => "proc.inspect",
            Self::ProcControl => "proc.control",
            Self::IpcCreate => "ipc.create",
            Self::NetConnect => "net.connect",
            Self::NetBind => "net.bind",
            Self::NetResolve => "net.resolve",
            Self::SchedInspect => "sched.inspect",
            Self::SchedControl => "sched.control",
            Self::SysInfo => "sys.info",
            Self::SysAdmin => "sys.admin",
        })
    }
}

include!(concat!(env!("OUT_DIR"), "/table.rs"));
