//! Who is owed what: the time each task would have had if CPUs could be split at will.

use crate::{Nanos, Weight};

/// Time given out per unit of weight, so far.
///
/// Instead of crediting every task whenever time is given out, the ledger adds it up once per unit of
/// weight, and a task's account remembers where that stood when it opened. Every operation is O(1).
#[derive(Default)]
pub(crate) struct Ledger {
    per_weight: Fixed,
    open_weight: u64,
}

/// What one task is owed from earlier, and where the ledger stood when it last became able to run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Account {
    owed: Fixed,
    mark: Fixed,
}

/// Nanoseconds with 32 bits behind the point.
type Fixed = u128;

impl Ledger {
    /// CPU time was given out; it belongs to those with an open account, by weight.
    pub(crate) fn give_out(&mut self, time: Nanos) {
        if self.open_weight > 0 {
            self.per_weight += (Fixed::from(time.0) << 32) / Fixed::from(self.open_weight);
        }
    }

    /// The task can run from now on.
    pub(crate) fn open(&mut self, account: &mut Account, weight: Weight) {
        account.mark = self.per_weight;
        self.open_weight += u64::from(weight.get());
    }

    /// It can't run from now on.
    pub(crate) fn close(&mut self, account: &mut Account, weight: Weight) {
        account.owed += self.since_mark(account, weight);
        self.open_weight -= u64::from(weight.get());
    }

    /// What is owed by now; `open` is the weight if the account is open.
    pub(crate) fn entitled(&self, account: &Account, open: Option<Weight>) -> Nanos {
        let more = open.map_or(0, |weight| self.since_mark(account, weight));
        Nanos(u64::try_from((account.owed + more) >> 32).unwrap_or(u64::MAX))
    }

    fn since_mark(&self, account: &Account, weight: Weight) -> Fixed {
        (self.per_weight - account.mark) * Fixed::from(weight.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_owed_by_weight_to_those_who_can_run() {
        let (one, three) = (Weight::new(1).unwrap(), Weight::new(3).unwrap());
        let mut ledger = Ledger::default();
        let (mut a, mut b) = (Account::default(), Account::default());
        ledger.open(&mut a, one);
        ledger.give_out(Nanos(100));
        ledger.open(&mut b, three);
        ledger.give_out(Nanos(400));
        ledger.close(&mut a, one);
        ledger.give_out(Nanos(60));
        assert_eq!(ledger.entitled(&a, None), Nanos(200));
        assert_eq!(ledger.entitled(&b, Some(three)), Nanos(360));
        ledger.close(&mut b, three);
        ledger.give_out(Nanos(1_000));
        assert_eq!(ledger.entitled(&b, None), Nanos(360));
    }
}
