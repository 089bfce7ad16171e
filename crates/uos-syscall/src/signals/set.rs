//! Sets of signals.

use uos_proc::Signal;

use crate::Error;

/// Some of the 64 signals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SignalSet(u64);

impl SignalSet {
    /// All that somebody may decide on: not KILL, and not STOP.
    pub(crate) const ALL: Self = Self(!(bit(Signal::KILL) | bit(Signal::STOP)));

    /// Reads numbers of signals. KILL and STOP are not among those that somebody may decide on.
    pub(crate) fn parse(numbers: &[u32]) -> Result<Self, Error> {
        numbers.iter().try_fold(Self::default(), |set, &number| {
            let signal = one(number).map_err(|why| Error::invalid("signals", why))?;
            Ok(Self(set.0 | bit(signal)))
        })
    }

    pub(crate) fn contains(self, signal: Signal) -> bool {
        self.0 & bit(signal) != 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Signal> {
        (1..=Signal::MAX).filter_map(Signal::new).filter(move |&signal| self.contains(signal))
    }
}

impl FromIterator<Signal> for SignalSet {
    fn from_iter<T: IntoIterator<Item = Signal>>(signals: T) -> Self {
        signals.into_iter().fold(Self::default(), |set, signal| Self(set.0 | bit(signal)))
    }
}

/// A signal that somebody may decide on.
pub(crate) fn one(number: u32) -> Result<Signal, String> {
    let signal = i32::try_from(number).ok().and_then(Signal::new);
    let signal = signal.ok_or_else(|| format!("signals are 1 to {}, not {number}", Signal::MAX))?;
    match signal {
        Signal::KILL | Signal::STOP => Err(format!("{signal} can't be held back, caught or ignored")),
        signal => Ok(signal),
    }
}

const fn bit(signal: Signal) -> u64 {
    1 << (signal.number() - 1)
}
