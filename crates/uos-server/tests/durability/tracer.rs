//! The server under strace, which makes system calls of it fail or kills it at one of them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::server::{Refused, Server};

/// What strace is to do at the `nth` of some calls. Each thread counts for itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Injection {
    pub(crate) calls: &'static str,
    /// `error=EIO` or `signal=KILL`.
    pub(crate) what: &'static str,
    pub(crate) nth: u64,
    /// Also at all that follow.
    pub(crate) lasting: bool,
}

/// A server that is started with an injection, and the record of what was injected.
pub(crate) struct Traced {
    pub(crate) started: Result<Server, Refused>,
    record: PathBuf,
    _dir: tempfile::TempDir,
}

impl Traced {
    pub(crate) fn start(data: &Path, injection: Injection) -> Self {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let record = dir.path().join("record");
        let Injection { calls, what, nth, lasting } = injection;
        let mut strace = Command::new("strace");
        // The calls must be traced to be injected into: with none traced nothing happens, and nothing is said.
        strace.args(["-f", "-qq", "-e", &format!("trace={calls}"), "-e", "signal=none", "-e"]);
        strace.arg(format!("inject={calls}:{what}:when={nth}{}", if lasting { "+" } else { "" }));
        strace.arg("-o").arg(&record).arg(env!("CARGO_BIN_EXE_uos-server"));
        let there = Command::new("strace").arg("--version").output();
        assert!(
            there.is_ok(),
            "no disk can be made to fail here: strace is missing, and without it this shows nothing"
        );
        Self { started: Server::start_by(strace, data), record, _dir: dir }
    }

    /// Kills the server, if it runs. Says how often a call was injected into; never is no proof of anything.
    pub(crate) fn end(self) -> usize {
        self.started.into_iter().for_each(Server::kill);
        let record = std::fs::read_to_string(&self.record).expect("strace keeps a record");
        record.lines().filter(|line| line.contains("(INJECTED)")).count()
    }
}
