//! How long a campaign is, and what it draws.

/// How many of something a campaign does: what the variable says, or `otherwise`.
pub(crate) fn count(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a count"))
}

/// Xorshift; the seed is printed, and `UOS_CAMPAIGN_SEED` repeats a run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Random {
        let seed = count("UOS_CAMPAIGN_SEED", 0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id())) | 1;
        println!("UOS_CAMPAIGN_SEED={seed}");
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
