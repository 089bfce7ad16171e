//! The trait every way of starting programs is behind.

use crate::{Child, Enforcement, Means, SpawnError, Spec, Support};

/// Starts programs.
pub trait Spawner: Send + Sync {
    /// What this machine and this spawner can enforce.
    fn probe(&self) -> Support;

    /// Whether several programs can weigh as one: whether [`Child::set_cpu_groups`] works.
    fn nesting(&self) -> Means {
        Means::Absent { why: "this spawner has no groups of several programs".into() }
    }

    /// How each guarantee would be met for `spec`, or the error that [`spawn`](Spawner::spawn) would give for it
    /// before touching the system. Starts nothing and changes nothing.
    fn plan(&self, spec: &Spec) -> Result<Enforcement, SpawnError>;

    /// Starts the program. Blocks until it executes or has failed to, about a millisecond, so an async caller
    /// moves it off its workers.
    fn spawn(&self, spec: Spec) -> Result<Child, SpawnError>;
}
