//! What was acknowledged is there again, and whole: the real binary, a real file, real signals, real full and failing disks.
//!
//! `UOS_CAMPAIGN_SERVER_KILLS` and `UOS_CAMPAIGN_POWER_CUTS` say how often the server or its disk is stopped,
//! `UOS_CAMPAIGN_FAULTS` how many of the calls of a sweep fail; `UOS_CAMPAIGN_SEED` repeats a run. `--nocapture` shows the
//! figures.

mod client;
mod control;
mod cuts;
mod damage;
mod desk;
mod dice;
mod disk;
mod faults;
mod first_start;
mod full;
mod keeper;
mod kills;
mod ledger;
mod place;
mod server;
mod tracer;
mod traffic;
mod uploads;
