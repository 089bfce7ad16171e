//! Bounded pipes and quotas: waiting without threads, releasing by drop.
