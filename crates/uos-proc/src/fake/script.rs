//! What a scripted child does, and what it waits for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::process::Player;
use crate::{ExitCause, Signal, Usage};

/// What a scripted child does, step by step. Ends by exiting with 0 unless told otherwise.
#[derive(Debug)]
pub struct Script {
    pub(super) steps: VecDeque<Step>,
    pub(super) ignored: Vec<Signal>,
    pub(super) end: ExitCause,
    pub(super) usage: Usage,
}

#[derive(Debug)]
pub(super) enum Step {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    EchoStdin,
    Wait(Gate),
    Forever,
}

impl Script {
    /// A script that does nothing and exits with 0.
    #[must_use]
    pub fn new() -> Self {
        let (steps, ignored) = (VecDeque::new(), Vec::new());
        Script { steps, ignored, end: ExitCause::Exited(0), usage: Usage::default() }
    }

    /// Writes to descriptor 1. There is no back-pressure: what a pipe's reader has not read is kept. Given a
    /// descriptor instead, it is written to at once, and blocks whoever moves the script if it is full.
    #[must_use]
    pub fn stdout(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Stdout(bytes.into()))
    }

    /// Writes to descriptor 2, like [`stdout`](Script::stdout).
    #[must_use]
    pub fn stderr(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.step(Step::Stderr(bytes.into()))
    }

    /// Copies descriptor 0 to descriptor 1 until its end of file.
    #[must_use]
    pub fn echo_stdin(self) -> Self {
        self.step(Step::EchoStdin)
    }

    /// Goes no further until `gate` is open.
    #[must_use]
    pub fn wait(self, gate: &Gate) -> Self {
        self.step(Step::Wait(gate.clone()))
    }

    /// Goes no further; only a signal ends it.
    #[must_use]
    pub fn forever(self) -> Self {
        self.step(Step::Forever)
    }

    /// Takes no notice of `signal`, unless it is KILL.
    #[must_use]
    pub fn ignore(mut self, signal: Signal) -> Self {
        self.ignored.push(signal);
        self
    }

    /// Exits with `code` after the last step.
    #[must_use]
    pub fn exit(mut self, code: i32) -> Self {
        self.end = ExitCause::Exited(code);
        self
    }

    /// Dies of `signal` after the last step.
    #[must_use]
    pub fn die(mut self, signal: Signal) -> Self {
        self.end = ExitCause::Signaled { signal, core: false };
        self
    }

    /// Is killed at its deadline after the last step. A script reads no clock, so this is how it comes to one.
    #[must_use]
    pub fn time_out(mut self) -> Self {
        self.end = ExitCause::TimedOut;
        self
    }

    /// Reports this usage from the start to the end.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.usage = usage;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }
}

impl Default for Script {
    fn default() -> Self {
        Script::new()
    }
}

/// Holds scripts back until a test opens it. Clones are the same gate; once open it stays open.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    is_open: bool,
    players: Vec<Weak<Player>>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Gate::default()
    }

    /// Opens it. When this returns, every script that waited has gone on as far as it can.
    pub fn open(&self) {
        let players = {
            let mut held = self.held();
            held.is_open = true;
            std::mem::take(&mut held.players)
        };
        for player in players.iter().filter_map(Weak::upgrade) {
            player.go_on();
        }
    }

    /// Whether it is open; if not, `player` will be moved on when it is.
    pub(super) fn admits(&self, player: &Weak<Player>) -> bool {
        let mut held = self.held();
        if !held.is_open && !held.players.iter().any(|known| known.ptr_eq(player)) {
            held.players.push(player.clone());
        }
        held.is_open
    }

    /// Taken after a player's lock, never before one.
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
