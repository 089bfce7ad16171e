//! Who is owed what: the time each task would have had if CPUs could be split at will.

/// Time given out per unit of weight, so far.
///
/// Instead of crediting every task whenever time is given out, the ledger adds it up once per unit of weight, and
/// an account remembers where that stood when it opened. And since nothing depends on it in between, time is only
/// collected until somebody opens, closes or asks: a decision costs one addition and no division.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Nanoseconds per unit of weight, with 16 bits behind the point.
    per_weight: u128,
    /// Given out since, with 16 bits behind the point; what a division left over stays here.
    pending: u128,
    weight: u64,
    /// `per_weight` when all accounts were last brought up to date: they keep 64 bits of it.
    swept: u128,
}

const POINT: u32 = 16;

impl Ledger {
    /// CPU time was given out; it belongs to those with an open account, by weight.
    pub(crate) fn give_out(&mut self, ns: u64) {
        self.pending += fixed(ns);
    }

    /// The same for what has bits behind the point.
    pub(crate) fn hand_on(&mut self, fixed: u128) {
        self.pending += fixed;
    }

    /// Divides what was collected. With nobody there, it is owed to nobody.
    pub(crate) fn settle(&mut self) {
        match self.weight {
            0 => self.pending = 0,
            weight => {
                self.per_weight += self.pending / u128::from(weight);
                self.pending %= u128::from(weight);
            }
        }
    }

    /// Where an account opened now begins. The ledger is settled.
    pub(crate) fn mark(&self) -> u64 {
        self.per_weight as u64
    }

    pub(crate) fn open(&mut self, weight: u32) {
        self.weight += u64::from(weight);
    }

    pub(crate) fn close(&mut self, weight: u32) {
        self.weight -= u64::from(weight);
    }

    /// What an account opened at this mark has been owed since, with bits behind the point. The ledger is settled.
    pub(crate) fn since(&self, mark: u64, weight: u32) -> u128 {
        u128::from(self.mark().wrapping_sub(mark)) * u128::from(weight)
    }

    /// The same, unsettled, `more` being handed on first.
    pub(crate) fn would_be_since(&self, mark: u64, weight: u32, more: u128) -> u128 {
        let pending = (self.pending + more).checked_div(u128::from(self.weight)).unwrap_or(0);
        let now = (self.per_weight + pending) as u64;
        u128::from(now.wrapping_sub(mark)) * u128::from(weight)
    }

    /// Whether marks are so old that they could soon be mistaken: then all open accounts must be brought up to date.
    pub(crate) fn needs_sweep(&mut self) -> bool {
        let old = self.per_weight - self.swept >= 1 << 62;
        if old {
            self.swept = self.per_weight;
        }
        old
    }
}

/// Nanoseconds with bits behind the point.
pub(crate) fn fixed(ns: u64) -> u128 {
    u128::from(ns) << POINT
}

/// Whole nanoseconds of what has bits behind the point.
pub(crate) fn whole(fixed: u128) -> u64 {
    u64::try_from(fixed >> POINT).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_owed_by_weight_to_those_who_can_run() {
        let mut ledger = Ledger::default();
        ledger.settle();
        let a = ledger.mark();
        ledger.open(1);
        ledger.give_out(100);
        ledger.settle();
        let b = ledger.mark();
        ledger.open(3);
        ledger.give_out(400);
        assert_eq!(whole(ledger.would_be_since(a, 1, 0)), 200);
        ledger.settle();
        assert_eq!((whole(ledger.since(a, 1)), whole(ledger.since(b, 3))), (200, 300));
        ledger.close(1);
        ledger.close(3);
        ledger.give_out(1_000);
        ledger.settle();
        assert_eq!(whole(ledger.since(b, 3)), 300, "with nobody there it is owed to nobody");
    }
}
