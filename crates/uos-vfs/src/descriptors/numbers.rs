//! Which numbers are free: one bit each, so that looking for one is short however many are in use.

/// A set bit is a number in use; none is behind the last word.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers(Vec<u64>);

impl Numbers {
    pub(super) fn first_free(&self, min: usize) -> usize {
        let (word, bit) = (min / 64, min % 64);
        let Some(first) = self.0.get(word) else { return min };
        // What is below the least one counts as in use.
        let first = first | ((1 << bit) - 1);
        let rest = self.0[word + 1..].iter().copied();
        let words = std::iter::once(first).chain(rest).enumerate();
        let free =
            words.filter(|(_, used)| *used != u64::MAX).map(|(at, used)| (at, used.trailing_ones())).next();
        let (at, bit) = free.unwrap_or((self.0.len() - word, 0));
        (word + at) * 64 + bit as usize
    }

    pub(super) fn take(&mut self, number: usize) {
        if number / 64 >= self.0.len() {
            self.0.resize(number / 64 + 1, 0);
        }
        self.0[number / 64] |= 1 << (number % 64);
    }

    pub(super) fn give_back(&mut self, number: usize) {
        if let Some(word) = self.0.get_mut(number / 64) {
            *word &= !(1 << (number % 64));
        }
    }
}
