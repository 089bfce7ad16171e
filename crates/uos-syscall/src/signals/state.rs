//! What has come, what is held back, and what is to become of it: pure, without waiting or processes.

use std::collections::{BTreeMap, VecDeque};

use uos_ipc::{Permit, QuotaError};
use uos_proc::Signal;

use super::SignalSet;
use crate::Pid;

/// The lowest of the signals of which each one counts.
const FIRST_QUEUED: i32 = 32;

/// What is to become of a signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Action {
    /// What its number says.
    #[default]
    Default,
    /// Nothing.
    Ignore,
    /// It stays until it is taken.
    Catch,
}

/// A signal that somebody took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) signal: Signal,
    pub(crate) from: Pid,
}

/// How often a signal has come and was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) signal: Signal,
    pub(crate) count: u64,
}

/// What becomes of a signal that comes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Ends,
    Stays,
    Vanishes,
}

/// One that has come. Those that queue have room of their own.
pub(super) struct Come {
    from: Pid,
    _room: Option<Permit>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) blocked: SignalSet,
    actions: BTreeMap<Signal, Action>,
    come: BTreeMap<Signal, VecDeque<Come>>,
    /// One for each who waits.
    wanted: Vec<SignalSet>,
    is_closed: bool,
}

impl State {
    pub(super) fn post(
        &mut self,
        signal: Signal,
        from: Pid,
        room: impl FnOnce() -> Result<Permit, QuotaError>,
    ) -> Result<Fate, QuotaError> {
        let fate = self.fate(signal);
        if fate == Fate::Stays {
            // One that has come already and doesn't queue is the same one still.
            match signal.number() >= FIRST_QUEUED {
                true => {
                    let come = Come { from, _room: Some(room()?) };
                    self.come.entry(signal).or_default().push_back(come);
                }
                false => {
                    let come = self.come.entry(signal).or_default();
                    if come.is_empty() {
                        come.push_back(Come { from, _room: None });
                    }
                }
            }
        }
        Ok(fate)
    }

    fn fate(&self, signal: Signal) -> Fate {
        if self.is_closed {
            return Fate::Vanishes;
        }
        if self.blocked.contains(signal) || self.wanted.iter().any(|these| these.contains(signal)) {
            return Fate::Stays;
        }
        match self.action(signal) {
            Action::Catch => Fate::Stays,
            Action::Ignore => Fate::Vanishes,
            Action::Default if vanishes_by_default(signal) => Fate::Vanishes,
            Action::Default => Fate::Ends,
        }
    }

    fn action(&self, signal: Signal) -> Action {
        self.actions.get(&signal).copied().unwrap_or_default()
    }

    /// Gives the action there was, and what had come and is nothing any more: who ignores a signal ignores what has come, even
    /// what is held back.
    pub(super) fn set_action(&mut self, signal: Signal, action: Action) -> (Action, Option<VecDeque<Come>>) {
        let before = self.action(signal);
        self.actions.insert(signal, action);
        let is_nothing = action == Action::Ignore || action == Action::Default && vanishes_by_default(signal);
        (before, is_nothing.then(|| self.come.remove(&signal)).flatten())
    }

    /// Looks what becomes now of all that has come, after something has changed. Gives one that ends the process.
    pub(super) fn settle(&mut self) -> Option<Signal> {
        let fates: Vec<_> = self.come.keys().map(|&signal| (signal, self.fate(signal))).collect();
        for (signal, fate) in fates {
            match fate {
                Fate::Stays => {}
                Fate::Vanishes => {
                    self.come.remove(&signal);
                }
                Fate::Ends => {
                    self.come.remove(&signal);
                    return Some(signal);
                }
            }
        }
        None
    }

    pub(super) fn take(&mut self, of: SignalSet) -> Option<Taken> {
        let (&signal, come) = self.come.iter_mut().find(|(signal, _)| of.contains(**signal))?;
        let first = come.pop_front();
        if come.is_empty() {
            self.come.remove(&signal);
        }
        first.map(|first| Taken { signal, from: first.from })
    }

    pub(super) fn pending(&self) -> Vec<Pending> {
        self.come.iter().map(|(&signal, come)| Pending { signal, count: come.len() as u64 }).collect()
    }

    pub(super) fn want(&mut self, these: SignalSet) {
        self.wanted.push(these);
    }

    pub(super) fn unwant(&mut self, these: SignalSet) {
        if let Some(place) = self.wanted.iter().position(|wanted| *wanted == these) {
            self.wanted.swap_remove(place);
        }
    }

    pub(super) fn close(&mut self) -> BTreeMap<Signal, VecDeque<Come>> {
        self.is_closed = true;
        std::mem::take(&mut self.come)
    }
}

/// By their numbers these are news and no more. Those that would stop a program find nothing to stop here.
fn vanishes_by_default(signal: Signal) -> bool {
    [
        Signal::CHLD,
        Signal::CONT,
        Signal::URG,
        Signal::WINCH,
        Signal::STOP,
        Signal::TSTP,
        Signal::TTIN,
        Signal::TTOU,
    ]
    .contains(&signal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uos_ipc::Quota;
    use uos_proc::Signal;

    use super::{Action, Fate, State, Taken, vanishes_by_default};
    use crate::{Pid, signals::SignalSet};

    /// How many may queue in the test.
    const ROOM: u64 = 4;

    #[derive(Clone, Debug)]
    enum Step {
        Post(i32, u64),
        Act(i32, Action),
        Block(Vec<i32>),
        Want(Vec<i32>),
        Unwant,
        Take(Vec<i32>),
    }

    /// The same as one list of what has come, gone through from the start each time.
    #[derive(Default)]
    struct Model {
        blocked: Vec<i32>,
        actions: Vec<(i32, Action)>,
        come: Vec<(i32, u64)>,
        wanted: Vec<Vec<i32>>,
    }

    impl Model {
        fn fate(&self, signal: i32) -> Fate {
            let action =
                self.actions.iter().rev().find(|(of, _)| *of == signal).map_or(Action::Default, |it| it.1);
            let kept = self.blocked.contains(&signal) || self.wanted.iter().flatten().any(|&it| it == signal);
            match action {
                _ if kept => Fate::Stays,
                Action::Catch => Fate::Stays,
                Action::Ignore => Fate::Vanishes,
                Action::Default if vanishes_by_default(Signal::new(signal).unwrap()) => Fate::Vanishes,
                Action::Default => Fate::Ends,
            }
        }

        fn post(&mut self, signal: i32, from: u64) -> Option<Fate> {
            let fate = self.fate(signal);
            if fate == Fate::Stays {
                let queued = self.come.iter().filter(|(of, _)| *of >= 32).count() as u64;
                if signal >= 32 && queued == ROOM {
                    return None;
                }
                if signal >= 32 || self.come.iter().all(|(of, _)| *of != signal) {
                    self.come.push((signal, from));
                }
            }
            Some(fate)
        }

        fn settle(&mut self) -> Option<i32> {
            for signal in 1..=64 {
                if self.come.iter().all(|(of, _)| *of != signal) {
                    continue;
                }
                let fate = self.fate(signal);
                if fate != Fate::Stays {
                    self.come.retain(|(of, _)| *of != signal);
                }
                if fate == Fate::Ends {
                    return Some(signal);
                }
            }
            None
        }

        fn take(&mut self, of: &[i32]) -> Option<(i32, u64)> {
            let signal = self.come.iter().map(|(signal, _)| *signal).filter(|it| of.contains(it)).min()?;
            let place = self.come.iter().position(|(of, _)| *of == signal)?;
            Some(self.come.remove(place))
        }
    }

    fn set(numbers: &[i32]) -> SignalSet {
        numbers.iter().map(|&number| Signal::new(number).unwrap()).collect()
    }

    fn step() -> impl Strategy<Value = Step> {
        let signal = || prop_oneof![Just(1), Just(10), Just(17), Just(34), Just(64)];
        let some = move || prop::collection::vec(signal(), 0..4);
        let action = prop_oneof![Just(Action::Default), Just(Action::Ignore), Just(Action::Catch)];
        prop_oneof![
            4 => (signal(), 1..9_u64).prop_map(|(signal, from)| Step::Post(signal, from)),
            1 => (signal(), action).prop_map(|(signal, action)| Step::Act(signal, action)),
            1 => some().prop_map(Step::Block),
            1 => some().prop_map(Step::Want),
            1 => Just(Step::Unwant),
            2 => some().prop_map(Step::Take),
        ]
    }

    proptest! {
        #[test]
        fn what_comes_of_signals_is_what_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
            let quota = Quota::root("signals", ROOM);
            let (mut state, mut model) = (State::default(), Model::default());
            for step in steps {
                match step {
                    Step::Post(signal, from) => {
                        let fate = state.post(Signal::new(signal).unwrap(), Pid(from), || quota.take(1));
                        prop_assert_eq!(fate.ok(), model.post(signal, from));
                    }
                    Step::Act(signal, action) => {
                        drop(state.set_action(Signal::new(signal).unwrap(), action));
                        model.actions.push((signal, action));
                        let is_news = action == Action::Default && signal == 17;
                        if action == Action::Ignore || is_news {
                            model.come.retain(|(of, _)| *of != signal);
                        }
                        prop_assert_eq!(state.settle().map(Signal::number), model.settle());
                    }
                    Step::Block(signals) => {
                        state.blocked = set(&signals);
                        model.blocked = signals;
                        prop_assert_eq!(state.settle().map(Signal::number), model.settle());
                    }
                    Step::Want(signals) => {
                        state.want(set(&signals));
                        model.wanted.push(signals);
                    }
                    Step::Unwant => {
                        if let Some(signals) = model.wanted.pop() {
                            state.unwant(set(&signals));
                            prop_assert_eq!(state.settle().map(Signal::number), model.settle());
                        }
                    }
                    Step::Take(signals) => {
                        let taken = state.take(set(&signals)).map(|Taken { signal, from }| (signal.number(), from.0));
                        prop_assert_eq!(taken, model.take(&signals));
                    }
                }
                let queued = model.come.iter().filter(|(of, _)| *of >= 32).count() as u64;
                prop_assert_eq!(quota.used(), queued);
                let pending: Vec<_> = state.pending().iter().map(|it| (it.signal.number(), it.count as usize)).collect();
                let mut expected: Vec<(i32, usize)> = Vec::new();
                for (signal, _) in &model.come {
                    match expected.iter_mut().find(|(of, _)| of == signal) {
                        Some((_, count)) => *count += 1,
                        None => expected.push((*signal, 1)),
                    }
                }
                expected.sort_unstable();
                prop_assert_eq!(pending, expected);
            }
            drop(state.close());
            prop_assert_eq!(quota.used(), 0);
            let late = state.post(Signal::new(34).unwrap(), Pid(1), || quota.take(1));
            prop_assert_eq!(late.ok(), Some(Fate::Vanishes));
        }
    }
}
