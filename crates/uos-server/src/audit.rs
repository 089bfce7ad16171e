//! Where audit records go: a file of JSON lines, and the counters behind `/metrics`.
//!
//! Both are fed by the one record that every call leaves, on the audit's own thread, so they cost the call nothing more
//! and can't disagree with it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use metrics::{Counter, Histogram, counter, histogram};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use serde::Serialize;
use uos_proto::TABLE;
use uos_syscall::audit::{Decision, Record, Sink, Subject};

/// A file is put aside at this size; one older file is kept beside it.
const FILE_BYTES: u64 = 64 << 20;
/// Bounds of the latency histogram, in seconds.
const LATENCY: [f64; 10] = [1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 1e-1, 1.0, 10.0];

/// The server's audit sink.
pub(crate) struct AuditFile {
    path: PathBuf,
    out: File,
    written: u64,
    epoch: SystemTime,
    /// By place in the table; the last are `CreateProcess` and `AnswerRequest`.
    counters: Vec<CallCounters>,
}

struct CallCounters {
    ok: Counter,
    failed: Counter,
    refused: Counter,
    seconds: Histogram,
}

/// One line of the file.
#[derive(Serialize)]
struct Line<'a> {
    at_us: u64,
    caller: u64,
    call: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    decision: String,
    outcome: &'a str,
    latency_us: u64,
}

impl AuditFile {
    /// Opens the file, and gives what renders the counters.
    pub(crate) fn open(path: PathBuf) -> io::Result<(Self, PrometheusHandle)> {
        let build = || -> Result<_, BuildError> {
            Ok(PrometheusBuilder::new().set_buckets(&LATENCY)?.build_recorder())
        };
        let recorder = build().map_err(io::Error::other)?;
        let names = TABLE
            .iter()
            .map(|call| call.name)
            .chain([uos_proto::CREATE_PROCESS.name, uos_proto::ANSWER_REQUEST.name]);
        let counters = metrics::with_local_recorder(&recorder, || {
            names
                .map(|call| CallCounters {
                    ok: counter!("uos_calls_total", "call" => call, "outcome" => "ok"),
                    failed: counter!("uos_calls_total", "call" => call, "outcome" => "error"),
                    refused: counter!("uos_calls_total", "call" => call, "outcome" => "refused"),
                    seconds: histogram!("uos_call_seconds", "call" => call),
                })
                .collect()
        });
        let (out, written) = open(&path)?;
        Ok((Self { path, out, written, epoch: SystemTime::now(), counters }, recorder.handle()))
    }

    fn put_aside(&mut self) -> io::Result<()> {
        match fs::rename(&self.path, self.path.with_extension("log.1")) {
            // It was put aside before, and then the new file could not be opened.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        (self.out, self.written) = open(&self.path)?;
        Ok(())
    }
}

fn open(path: &PathBuf) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let written = file.metadata()?.len();
    Ok((file, written))
}

impl Sink for AuditFile {
    fn start(&mut self, epoch: SystemTime) {
        self.epoch = epoch;
    }

    fn write(&mut self, batch: &[Record]) -> io::Result<()> {
        let mut lines = Vec::with_capacity(batch.len() * 160);
        for record in batch {
            serde_json::to_writer(&mut lines, &line(record, self.epoch))?;
            lines.push(b'\n');
        }
        if self.written > 0 && self.written + lines.len() as u64 > FILE_BYTES {
            self.put_aside()?;
        }
        if let Err(error) = self.out.write_all(&lines) {
            // The batch is offered again: what of it went down goes, so that no line is torn or there twice.
            self.out.set_len(self.written)?;
            return Err(error);
        }
        self.written += lines.len() as u64;
        // Counted once the batch is down, so that one that is offered again is not counted twice.
        for record in batch {
            let Some(counters) = self.counters.get(record.call.index) else { continue };
            match (&record.outcome, &record.decision) {
                (Ok(()), _) => counters.ok.increment(1),
                (Err(_), Decision::Refused) => counters.refused.increment(1),
                (Err(_), _) => counters.failed.increment(1),
            }
            counters.seconds.record(record.latency.as_secs_f64());
        }
        Ok(())
    }
}

fn line(record: &Record, epoch: SystemTime) -> Line<'_> {
    let at = (epoch + record.at).duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Line {
        at_us: at.as_micros() as u64,
        caller: record.caller.0,
        call: record.call.name,
        target: match &record.subject {
            Subject::None => None,
            Subject::Path(path) => Some(path.to_string()),
            Subject::Paths(from, to) => Some(format!("{from} -> {to}")),
            Subject::Process(pid) => Some(format!("pid {pid}")),
            Subject::Handle(id) => Some(format!("handle {id}")),
            Subject::Address(address) => Some(address.to_string()),
        },
        decision: match &record.decision {
            Decision::Refused => "refused".to_owned(),
            Decision::Free => "free".to_owned(),
            Decision::Kin => "kin".to_owned(),
            Decision::Held => "held".to_owned(),
            Decision::Grant(grant) => grant.to_string(),
            Decision::Answered { grant, by } => format!("{grant} once, by pid {by}"),
        },
        outcome: record.outcome.map_or_else(uos_syscall::Errno::name, |()| "ok"),
        latency_us: record.latency.as_micros() as u64,
    }
}
