//! Campaigns: how far they go, and chance that can be repeated.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::time::{SystemTime, UNIX_EPOCH};

/// Random enough, and the same again for the same seed (xorshift64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// By `UOS_CAMPAIGN_SEED`, or by the time; the seed is printed.
    pub(crate) fn cast() -> (Self, u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = campaign("SEED", now | 1);
        println!("UOS_CAMPAIGN_SEED={seed}");
        (Self(seed), seed)
    }

    pub(crate) fn any(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.any() % bound
    }

    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.below(all.len() as u64) as usize])
    }
}

/// How far a campaign goes: what `UOS_CAMPAIGN_…` says, or else `usual`.
pub(crate) fn campaign(name: &str, usual: u64) -> u64 {
    std::env::var(format!("UOS_CAMPAIGN_{name}")).map_or(usual, |count| count.parse().unwrap())
}
