//! The course of one container: it runs, it ends, its end is told, it is removed.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error;
use bollard::query_parameters::KillContainerOptions;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, DuplexStream, duplex};
use tokio::sync::watch;

use super::engine::{self, Engine, Pass};
use super::streams::{ROOM, bring_in, hand_out};
use crate::{Exit, ExitCause, Input, LimitEvents, Limits, Output, Signal, Streams, Usage};

pub(super) struct Course {
    pub(super) docker: Docker,
    pub(super) id: String,
    pub(super) exit: watch::Sender<Option<Exit>>,
    /// True once no handle is left that could ask for anything.
    pub(super) released: watch::Sender<bool>,
    /// What it was started with.
    pub(super) start: Limits,
    state: Mutex<State>,
}

struct State {
    /// Why we have killed it, if we have: the first reason stays.
    ending: Option<ExitCause>,
    limits: Limits,
    /// As of the last answer.
    usage: Usage,
}

/// The engine's ends of the streams.
pub(super) struct Ends {
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    stdin: Option<DuplexStream>,
    outputs: [Option<DuplexStream>; 2],
}

impl Ends {
    /// Both sides of the streams that are pipes: 0, 1 and 2.
    pub(super) fn new(attached: AttachContainerResults, is_pipe: [bool; 3]) -> (Self, Streams) {
        let pair = |is_pipe: bool| is_pipe.then(|| duplex(ROOM)).unzip();
        let ((our_in, their_in), (our_out, their_out), (our_err, their_err)) =
            (pair(is_pipe[0]), pair(is_pipe[1]), pair(is_pipe[2]));
        let ends = Ends {
            output: attached.output,
            input: attached.input,
            stdin: their_in,
            outputs: [their_out, their_err],
        };
        let streams = Streams {
            stdin: our_in.map(Input::new),
            stdout: our_out.map(Output::new),
            stderr: our_err.map(Output::new),
            pty: None,
        };
        (ends, streams)
    }
}

impl Course {
    /// Looks after a container that has been started. `None` if its spawner has been closed meanwhile; then it is gone.
    pub(super) fn start(
        engine: &Engine,
        id: String,
        limits: Limits,
        ends: Ends,
        deadline: Option<Duration>,
    ) -> Option<Arc<Self>> {
        let course = Arc::new(Course {
            docker: engine.docker().clone(),
            id,
            exit: watch::Sender::new(None),
            released: watch::Sender::new(false),
            start: limits,
            state: Mutex::new(State { ending: None, limits, usage: Usage::default() }),
        });
        let Some(pass) = engine.pass() else {
            engine.ask(async move { engine::remove(&course.docker, &course.id).await });
            return None;
        };
        engine.tell(Arc::clone(&course).run(pass, ends, deadline));
        Some(course)
    }

    async fn run(self: Arc<Self>, mut pass: Pass, ends: Ends, deadline: Option<Duration>) {
        let Ends { output, input, stdin, outputs } = ends;
        let output = tokio::spawn(hand_out(output, outputs));
        let input = tokio::spawn(async move {
            match stdin {
                Some(stdin) => bring_in(stdin, input).await,
                // Held, or the engine might take the connection for closed.
                None => std::future::pending().await,
            }
        });
        let cause = tokio::select! {
            code = self.wait() => self.cause(code).await,
            () = self.time_out(deadline) => unreachable!("it waits for ever afterwards"),
            () = is_so(&mut pass.closing) => (ExitCause::Killed, 0),
        };
        input.abort();
        self.end(cause);
        // What it wrote stays to be read for as long as somebody can.
        let mut released = self.released.subscribe();
        let mut read = output;
        tokio::select! {
            _ = &mut read => {}
            () = is_so(&mut released) => {}
            () = is_so(&mut pass.closing) => {}
        }
        engine::remove(&self.docker, &self.id).await;
        read.abort();
    }

    /// Its exit code. `None` if there is no such container any more.
    async fn wait(&self) -> Option<i64> {
        loop {
            let mut waiting = std::pin::pin!(self.docker.wait_container(&self.id, None));
            match waiting.next().await {
                Some(Ok(ended)) => return Some(ended.status_code),
                Some(Err(Error::DockerContainerWaitError { code, .. })) => return Some(code),
                Some(Err(Error::DockerResponseServerError { status_code: 404, .. })) => return None,
                // An engine that restarts, or one that says nothing before the end and has been waited for long enough.
                Some(Err(_)) | None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Kills it at its deadline, and never returns.
    async fn time_out(&self, deadline: Option<Duration>) {
        if let Some(deadline) = deadline {
            tokio::time::sleep(deadline).await;
            self.is_to_end_by(ExitCause::TimedOut);
            let _ = self.kill(Signal::KILL).await;
        }
        std::future::pending::<()>().await;
    }

    /// Why it ended, and how many were killed for want of memory.
    async fn cause(&self, code: Option<i64>) -> (ExitCause, u64) {
        let Some(code) = code else { return (ExitCause::Lost, 0) };
        let state = self.docker.inspect_container(&self.id, None).await.ok().and_then(|told| told.state);
        let oom_kills = u64::from(state.and_then(|state| state.oom_killed) == Some(true));
        let signal = i32::try_from(code - 128).ok().and_then(Signal::new);
        let cause = match (signal, self.with(|state| state.ending)) {
            (Some(Signal::KILL), Some(ending)) => ending,
            (Some(Signal::KILL), None) if oom_kills > 0 => ExitCause::OomKilled,
            (Some(signal), _) => ExitCause::Signaled { signal, core: false },
            (None, _) => ExitCause::Exited(i32::try_from(code).unwrap_or(255)),
        };
        (cause, oom_kills)
    }

    fn end(&self, (cause, oom_kills): (ExitCause, u64)) {
        let usage = self.with(|state| {
            let usage = &mut state.usage;
            usage.memory_bytes = usage.memory_bytes.map(|_| 0);
            usage.pids = usage.pids.map(|_| 0);
            *usage
        });
        let events = LimitEvents { oom_kills, pids_denials: 0 };
        self.exit.send_replace(Some(Exit { cause, usage, events }));
    }

    pub(super) fn is_to_end_by(&self, cause: ExitCause) {
        self.with(|state| _ = state.ending.get_or_insert(cause));
    }

    /// Sends a signal; one that kills reaches what is paused, too.
    pub(super) async fn kill(&self, signal: Signal) -> Result<(), Error> {
        let send = || {
            let options = KillContainerOptions { signal: signal.number().to_string() };
            self.docker.kill_container(&self.id, Some(options))
        };
        match send().await {
            // Podman's answer about one that is paused.
            Err(Error::DockerResponseServerError { .. }) if signal == Signal::KILL => {
                let _ = self.docker.unpause_container(&self.id).await;
                send().await
            }
            answer => answer,
        }
    }

    pub(super) fn exit(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    pub(super) fn usage(&self) -> Usage {
        self.with(|state| state.usage)
    }

    pub(super) fn note_usage(&self, usage: Usage) {
        self.with(|state| state.usage = usage);
    }

    pub(super) fn limits(&self) -> Limits {
        self.with(|state| state.limits)
    }

    pub(super) fn note_limits(&self, limits: Limits) {
        self.with(|state| state.limits = limits);
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits until it is, or can't change any more.
async fn is_so(told: &mut watch::Receiver<bool>) {
    let _ = told.wait_for(|is_so| *is_so).await;
}
