//! Randomness that can be had again.

use std::time::{SystemTime, UNIX_EPOCH};

/// Random enough, and the same again for the same seed (xorshift64).
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Seeded by `UOS_CAMPAIGN_SEED`, or by the clock. The seed is printed.
    pub(crate) fn of_the_campaign(name: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos();
        let given = std::env::var("UOS_CAMPAIGN_SEED").ok();
        let seed = given.map_or(now as u64 | 1, |seed| seed.parse().expect("UOS_CAMPAIGN_SEED is a number"));
        println!("{name}: UOS_CAMPAIGN_SEED={seed}");
        Self::of(seed)
    }

    pub(crate) fn of(seed: u64) -> Self {
        // Neighbouring seeds would begin alike.
        let mut dice = Self(seed | 1);
        for _ in 0..8 {
            dice.below(2);
        }
        dice
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { all.get(self.below(all.len() as u64) as usize) }
    }

    /// Dice of their own for somebody else.
    pub(crate) fn fork(&mut self) -> Self {
        Self::of(self.below(u64::MAX))
    }
}

/// How often a campaign does what it does.
pub(crate) fn count(variable: &str, plain: u64) -> u64 {
    std::env::var(variable).map_or(plain, |count| count.parse().expect("the count of a campaign is a number"))
}
