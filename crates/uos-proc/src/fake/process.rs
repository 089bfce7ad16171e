//! A script being played.
//!
//! It has no thread: whoever changes something it waits for moves it on, as far as it can go.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

use tokio::sync::watch;

use super::script::{Script, Step};
use super::stream::{Reader, Writer};
use crate::check::check_limits;
use crate::child::{Process, Streams};
use crate::{
    Exit, ExitCause, Input, LimitEvents, Limits, LimitsError, OnDrop, Output, PtySize, Signal, SignalError,
    Spec, Stdio, Usage,
};

/// Plays `script` as far as it goes by itself.
pub(super) fn start(os_pid: u32, script: Script, spec: Spec) -> (ScriptedProcess, Streams) {
    let [has_stdin, has_stdout, has_stderr] =
        [&spec.stdin, &spec.stdout, &spec.stderr].map(|stdio| matches!(stdio, Stdio::Pipe));
    let on_drop = spec.on_drop;
    let state = State {
        script,
        stdin: VecDeque::new(),
        is_stdin_open: has_stdin,
        outputs: [Sink::new(spec.stdout), Sink::new(spec.stderr)],
        readers: [None, None],
        has_ended: false,
    };
    let player = Arc::new_cyclic(|me| Player {
        me: me.clone(),
        state: Mutex::new(state),
        exit: watch::Sender::new(None),
    });
    player.go_on();
    let output = |place| Output::new(Reader { player: Arc::clone(&player), place });
    let streams = Streams {
        stdin: has_stdin.then(|| Input::new(Writer { player: Arc::clone(&player) })),
        stdout: has_stdout.then(|| output(0)),
        stderr: has_stderr.then(|| output(1)),
        pty: None,
    };
    (ScriptedProcess { os_pid, on_drop, player }, streams)
}

#[derive(Debug)]
pub(super) struct Player {
    me: Weak<Player>,
    /// Protects the course of the script. Held while the script moves, never across an await.
    state: Mutex<State>,
    exit: watch::Sender<Option<Exit>>,
}

#[derive(Debug)]
pub(super) struct State {
    script: Script,
    pub(super) stdin: VecDeque<u8>,
    pub(super) is_stdin_open: bool,
    pub(super) outputs: [Sink; 2],
    pub(super) readers: [Option<Waker>; 2],
    pub(super) has_ended: bool,
}

/// Where one of the two outputs leads.
#[derive(Debug)]
pub(super) enum Sink {
    Null,
    Kept(VecDeque<u8>),
    File(File),
    /// The reader has gone.
    Broken,
}

impl Sink {
    fn new(stdio: Stdio) -> Self {
        match stdio {
            Stdio::Null | Stdio::Pty => Sink::Null,
            Stdio::Pipe => Sink::Kept(VecDeque::new()),
            Stdio::Fd(fd) => Sink::File(File::from(fd)),
        }
    }
}

impl Player {
    /// Moves the script on as far as it can go.
    pub(super) fn go_on(&self) {
        self.play(&mut self.state());
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for a caller that holds the state.
    pub(super) fn play(&self, state: &mut State) {
        while !state.has_ended {
            let Some(step) = state.script.steps.pop_front() else {
                let end = state.script.end;
                return self.end(state, end);
            };
            let is_done = match &step {
                Step::Stdout(bytes) => self.write(state, 0, bytes),
                Step::Stderr(bytes) => self.write(state, 1, bytes),
                Step::EchoStdin => {
                    let bytes: Vec<u8> = state.stdin.drain(..).collect();
                    self.write(state, 0, &bytes) && !state.is_stdin_open
                }
                Step::Wait(gate) => gate.admits(&self.me),
                Step::Forever => false,
            };
            if !is_done {
                state.script.steps.push_front(step);
                return;
            }
        }
    }

    /// Writes, or ends the script as a failed write ends most programs. Answers whether it goes on.
    fn write(&self, state: &mut State, place: usize, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let written = match &mut state.outputs[place] {
            Sink::Null => Ok(()),
            Sink::Kept(kept) => {
                kept.extend(bytes);
                Ok(())
            }
            Sink::File(file) => file.write_all(bytes),
            Sink::Broken => Err(io::ErrorKind::BrokenPipe.into()),
        };
        state.readers[place].take().into_iter().for_each(Waker::wake);
        match written {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.end(state, ExitCause::Signaled { signal: Signal::PIPE, core: false });
            }
            Err(_) => self.end(state, ExitCause::Exited(1)),
        }
        false
    }

    fn end(&self, state: &mut State, cause: ExitCause) {
        state.has_ended = true;
        for output in &mut state.outputs {
            if matches!(output, Sink::File(_)) {
                *output = Sink::Broken;
            }
        }
        let usage = Usage { rss_bytes: 0, ..state.script.usage };
        self.exit.send_replace(Some(Exit { cause, usage, events: LimitEvents::default() }));
        state.readers.iter_mut().filter_map(Option::take).for_each(Waker::wake);
    }

    fn kill(&self, cause: ExitCause) -> Result<(), SignalError> {
        let mut state = self.state();
        if state.has_ended {
            return Err(SignalError::NoSuchProcess);
        }
        self.end(&mut state, cause);
        Ok(())
    }

    fn kill_by(&self, signal: Signal) -> Result<(), SignalError> {
        let mut state = self.state();
        if state.has_ended {
            return Err(SignalError::NoSuchProcess);
        }
        let is_ignored = signal != Signal::KILL && state.script.ignored.contains(&signal);
        if !is_ignored && !UNDEADLY.contains(&signal) {
            self.end(&mut state, ExitCause::Signaled { signal, core: false });
        }
        Ok(())
    }
}

/// Signals whose default is not to end a process. Being stopped is not played.
const UNDEADLY: [Signal; 8] = [
    Signal::CHLD,
    Signal::CONT,
    Signal::URG,
    Signal::WINCH,
    Signal::STOP,
    Signal::TSTP,
    Signal::TTIN,
    Signal::TTOU,
];

pub(super) struct ScriptedProcess {
    os_pid: u32,
    on_drop: OnDrop,
    player: Arc<Player>,
}

impl Process for ScriptedProcess {
    fn os_pid(&self) -> u32 {
        self.os_pid
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = Exit> + Send + '_>> {
        let mut exit = self.player.exit.subscribe();
        Box::pin(async move {
            let ended = exit.wait_for(Option::is_some).await;
            // The sender lives in the player, which this handle keeps.
            ended.ok().and_then(|exit| *exit).expect("a script tells its end before it goes")
        })
    }

    fn try_wait(&self) -> Option<Exit> {
        *self.player.exit.borrow()
    }

    fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.player.kill_by(signal)
    }

    fn kill_tree(&self) -> Result<(), SignalError> {
        self.player.kill(ExitCause::Killed)
    }

    fn set_nice(&self, nice: i32) -> Result<(), SignalError> {
        if !(-20..=19).contains(&nice) {
            return Err(SignalError::Refused { errno: libc::EINVAL });
        }
        if self.player.state().has_ended { Err(SignalError::NoSuchProcess) } else { Ok(()) }
    }

    fn set_limits(&self, limits: &Limits) -> Result<(), LimitsError> {
        check_limits(limits)?;
        if self.player.state().has_ended { Err(LimitsError::NoSuchProcess) } else { Ok(()) }
    }

    /// A script is not held up: nothing in it takes time.
    fn pause(&self) -> Result<(), SignalError> {
        self.player.kill_by(Signal::STOP)
    }

    fn resume(&self) -> Result<(), SignalError> {
        self.player.kill_by(Signal::CONT)
    }

    /// Scripts have no terminal.
    fn resize(&self, _: PtySize) -> Result<(), SignalError> {
        Err(SignalError::Refused { errno: libc::ENOTTY })
    }

    fn usage(&self) -> Usage {
        self.try_wait().map_or_else(|| self.player.state().script.usage, |exit| exit.usage)
    }
}

impl Drop for ScriptedProcess {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Kill {
            let _ = self.player.kill(ExitCause::Killed);
        }
    }
}
