//! The real server, on a data directory that outlives it.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Seek},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::Client;

/// How long anything may take before the test gives up on it. Nothing is shown by being faster.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    /// The server itself, which under a tracer is not the child.
    pid: Pid,
    address: SocketAddr,
    token: String,
    complaints: File,
}

/// A server that did not start.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: ExitStatus,
    pub(crate) said: String,
}

impl Server {
    /// Starts it; it must.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::try_start(data_dir).unwrap_or_else(|refused| panic!("the server does not start: {refused:?}"))
    }

    pub(crate) fn try_start(data_dir: &Path) -> Result<Self, Refused> {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_uos-server")), data_dir)
    }

    /// Starts it by a command that runs it with the arguments that follow.
    pub(crate) fn start_by(mut command: Command, data_dir: &Path) -> Result<Self, Refused> {
        let complaints = tempfile::tempfile().expect("there is room for complaints");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("UOS_")) {
            command.env_remove(name);
        }
        command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(data_dir).env("RUST_LOG", "warn");
        let stderr = complaints.try_clone().expect("a descriptor can be had");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
        let lines = lines_of(&mut child);
        let listening = loop {
            match lines.recv_timeout(DEADLINE) {
                Ok(line) => match line.strip_prefix("listening on http://") {
                    Some(address) => break address.parse().ok(),
                    None => continue,
                },
                Err(mpsc::RecvTimeoutError::Disconnected) => break None,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let _ = child.kill();
                    panic!("the server neither served nor ended: {}", read(&complaints));
                }
            }
        };
        let Some(address) = listening else {
            let status = child.wait().expect("a child can be waited for");
            return Err(Refused { status, said: read(&complaints) });
        };
        let read_in = |name| std::fs::read_to_string(data_dir.join(name)).expect("a server leaves it there");
        let pid = read_in("lock").split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse().ok());
        let pid = Pid::from_raw(pid.expect("the lock names the process")).expect("a process id is not zero");
        Ok(Self { child, pid, address, token: read_in("token"), complaints })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address, &self.token)
    }

    /// Kills it, whatever it is doing.
    pub(crate) fn kill(mut self) {
        self.end(Signal::KILL);
    }

    /// Stops it as an operator would.
    pub(crate) fn stop(mut self) {
        let status = self.end(Signal::TERM);
        assert!(status.success(), "the server ended with {status}: {}", self.said());
    }

    /// Sends it a signal and waits for its end.
    fn end(&mut self, signal: Signal) -> ExitStatus {
        let _ = kill_process(self.pid, signal);
        self.child.wait().expect("a child can be waited for")
    }

    /// Holds it where it is. When this returns none of its threads runs, and no system call of it is under way.
    pub(crate) fn freeze(&self) {
        kill_process(self.pid, Signal::STOP).expect("the server runs");
        let begun = Instant::now();
        while !all_stopped(self.pid) {
            assert!(begun.elapsed() < DEADLINE, "the server can't be stopped");
            std::thread::yield_now();
        }
    }

    /// What it complained of so far.
    pub(crate) fn said(&self) -> String {
        read(&self.complaints)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `kill` and `stop` the process id may be another's: only a child that still runs is killed.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.end(Signal::KILL);
        }
    }
}

/// Whether no thread of a process runs, or is in a system call that could still do something.
pub(crate) fn all_stopped(process: Pid) -> bool {
    let state = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // The state is the first word behind the name, which is in brackets and may hold any character.
        stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next())
    };
    let tasks = format!("/proc/{}/task", process.as_raw_nonzero());
    let mut tasks = std::fs::read_dir(tasks).expect("the process has not ended").flatten();
    tasks.all(|task| state(task) == Some('T'))
}

fn lines_of(child: &mut Child) -> mpsc::Receiver<String> {
    let stdout = child.stdout.take().expect("it was asked for as a pipe");
    let (tell, lines) = mpsc::channel();
    // Read to its end, so that a server that prints much is never held up.
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    lines
}

fn read(mut file: &File) -> String {
    let mut text = String::new();
    // The place in the file is shared with the one who writes; it writes nothing while this reads, or has ended.
    let at = file.stream_position().expect("a file has a place");
    file.rewind().and_then(|()| file.read_to_string(&mut text)).expect("complaints are text");
    file.seek(std::io::SeekFrom::Start(at)).expect("a file has places");
    text
}
