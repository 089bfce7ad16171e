//! What there is to tell, and how it looks on the wire.

use std::sync::Arc;

use serde::Serialize;
use uos_syscall::{Answer, Event, FileChange, Settled};
use utoipa::ToSchema;

use crate::{asked::Waiting, desktop::App};

/// Something that changed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum News {
    /// A process began or ended.
    Process { change: ProcessChange, pid: u64, parent: u64, name: String },
    /// A file or directory was `created`, `written`, `removed` or `moved`, or has other `attributes`.
    File {
        change: &'static str,
        path: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        directory: bool,
        /// Who did it.
        pid: u64,
    },
    /// An app was opened or closed, or something of it but its window changed.
    App {
        change: AppChange,
        id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<App>)]
        app: Option<Arc<App>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// A window changed.
    Window {
        id: String,
        #[schema(value_type = App)]
        app: Arc<App>,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// All of the desktop was replaced.
    Desktop {
        #[schema(value_type = Vec<App>)]
        apps: Vec<Arc<App>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// A manifest was `put` or `removed`.
    Registry { change: &'static str, id: String },
    /// A session was `saved` or `removed`.
    Session { change: &'static str, id: String },
    /// Something that is limited is nearly used up (`high`), or no longer.
    Pressure {
        /// Whose; nobody's if it is what all share.
        #[serde(skip_serializing_if = "Option::is_none")]
        pid: Option<u64>,
        /// What: `pipes`, `queues`, `segments`, `output`, `sockets`, `environment`, `handles`, and of one process
        /// `files` and `file_nodes`; `memory` of a program and its children; `host` for the machine's memory.
        area: &'static str,
        /// In bytes, but for `handles` and `file_nodes`.
        used: u64,
        capacity: u64,
        high: bool,
    },
    /// A call waits for a right: see `GET /requests`.
    RightRequested {
        #[serde(flatten)]
        request: Waiting,
    },
    /// It waits no longer.
    RightSettled {
        /// The request.
        id: u64,
        /// Who made the call.
        pid: u64,
        outcome: Outcome,
        /// Who answered, if somebody did.
        #[serde(skip_serializing_if = "Option::is_none")]
        by: Option<u64>,
    },
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProcessChange {
    Started,
    Ended,
}

/// What became of a call that waited for a right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Once,
    Always,
    Denied,
    TimedOut,
    GivenUp,
}

impl From<Settled> for Outcome {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Answered { answer: Answer::Once, .. } => Self::Once,
            Settled::Answered { answer: Answer::Always, .. } => Self::Always,
            Settled::Answered { answer: Answer::Deny, .. } => Self::Denied,
            Settled::TimedOut => Self::TimedOut,
            Settled::GivenUp => Self::GivenUp,
        }
    }
}

/// What became of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AppChange {
    Opened,
    Changed,
    Closed,
}

/// What a message tells: news, or only where the stream is.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "messages are put together as text; this is what they look like")]
pub(crate) enum Told {
    News(News),
    Mark(Mark),
}

/// Where the stream is.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "see `mark`")]
pub(crate) enum Mark {
    /// The first message to who gave no place.
    Hello,
    /// Some events are not there any more: look at everything again.
    Resync,
}

/// A frame that tells no news, only where the stream is.
pub(crate) fn mark(kind: &str, epoch: &str, seq: u64) -> String {
    serde_json::json!({ "type": kind, "epoch": epoch, "seq": seq }).to_string()
}

impl News {
    /// The frame of this news under a number.
    pub(crate) fn frame(&self, epoch: &str, seq: u64) -> String {
        let news = serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned());
        let epoch = serde_json::Value::from(epoch);
        // Put together as text, since raw JSON, which apps hold, can't be flattened. The news is an object with at least its
        // type in it.
        format!("{{\"epoch\":{epoch},\"seq\":{seq},{}", &news[1..])
    }
}

impl From<&Event> for News {
    fn from(event: &Event) -> Self {
        match event {
            Event::ProcessStarted { pid, parent, name } => Self::Process {
                change: ProcessChange::Started,
                pid: pid.0,
                parent: parent.0,
                name: name.clone(),
            },
            Event::ProcessEnded { pid, parent, name } => Self::Process {
                change: ProcessChange::Ended,
                pid: pid.0,
                parent: parent.0,
                name: name.clone(),
            },
            Event::FileChanged { change, path, directory, by } => {
                let (change, to) = match change {
                    FileChange::Created => ("created", None),
                    FileChange::Written => ("written", None),
                    FileChange::Attributes => ("attributes", None),
                    FileChange::Removed => ("removed", None),
                    FileChange::Moved { to } => ("moved", Some(to.to_string())),
                };
                Self::File { change, path: path.to_string(), to, directory: *directory, pid: by.0 }
            }
            Event::Pressure { area, used, capacity, is_high } => Self::Pressure {
                pid: area.pid.map(|pid| pid.0),
                area: area.name,
                used: *used,
                capacity: *capacity,
                high: *is_high,
            },
            Event::RightRequested(request) => Self::RightRequested { request: Waiting::from(&**request) },
            Event::RightSettled { request, settled } => {
                let by = if let Settled::Answered { by, .. } = settled { Some(by.0) } else { None };
                let outcome = Outcome::from(*settled);
                Self::RightSettled { id: request.id, pid: request.pid.0, outcome, by }
            }
        }
    }
}
