//! What a program may use up.

/// Limits of one program. `None` leaves what the spawning program itself is held to.
///
/// The first four are kernel resource limits, set soft and hard alike. They hold for each process of the tree on
/// its own. The last three are meant for the tree as a whole; a spawner that cannot enforce them refuses them
/// with [`SpawnError::UnsupportedLimit`](crate::SpawnError::UnsupportedLimit).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// One more than the highest descriptor number the program may open.
    pub open_files: Option<u64>,
    /// The largest file it may write. Zero forbids writing to files at all.
    pub file_size_bytes: Option<u64>,
    /// Processor time after which it is killed.
    pub cpu_seconds: Option<u64>,
    /// The largest core dump it may leave; zero, the default, is none.
    pub core_bytes: u64,
    /// Memory of the whole tree.
    pub memory_bytes: Option<u64>,
    /// Processes and threads of the whole tree.
    pub pids: Option<u64>,
    /// Processor share of the whole tree, in hundredths of one processor.
    pub cpu_percent: Option<u32>,
}
