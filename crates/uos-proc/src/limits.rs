//! What a program may use up.

use crate::Level;

/// Limits of one program. `None` is the level's own limit; at Privileged, which has none, what the spawning program
/// itself is held to.
///
/// The first four are kernel resource limits, set soft and hard alike. They hold for each process of the tree on
/// its own. The last five are meant for the tree as a whole; a spawner that cannot enforce them refuses them
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
    /// Memory of the whole tree, page cache and kernel memory on its behalf included.
    pub memory_bytes: Option<u64>,
    /// Swap of the whole tree beside its memory, which must then be limited too. `None` is none at all for a tree
    /// whose memory is limited.
    pub memory_swap_bytes: Option<u64>,
    /// Processes and threads of the whole tree.
    pub pids: Option<u64>,
    /// Processor share of the whole tree, in hundredths of one processor.
    pub cpu_percent: Option<u32>,
    /// Weight of the whole tree against its siblings where processors are short, 1 to 10,000; 100 is usual.
    pub cpu_weight: Option<u32>,
}

/// A group of several programs that share processor time as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuGroup {
    /// Tells it apart from others in the same place.
    pub id: u64,
    /// Its weight against its siblings where processors are short, 1 to 10,000; 100 is that of one usual program.
    pub weight: u32,
}

impl Limits {
    /// Nothing said.
    pub const NONE: Limits = Limits {
        open_files: None,
        file_size_bytes: None,
        cpu_seconds: None,
        core_bytes: 0,
        memory_bytes: None,
        memory_swap_bytes: None,
        pids: None,
        cpu_percent: None,
        cpu_weight: None,
    };

    /// These, and where they say nothing, those of `level`.
    #[must_use]
    pub fn or_of(self, level: Level) -> Self {
        let of = level.limits();
        Limits {
            open_files: self.open_files.or(of.open_files),
            file_size_bytes: self.file_size_bytes.or(of.file_size_bytes),
            cpu_seconds: self.cpu_seconds.or(of.cpu_seconds),
            core_bytes: self.core_bytes,
            memory_bytes: self.memory_bytes.or(of.memory_bytes),
            memory_swap_bytes: self.memory_swap_bytes.or(of.memory_swap_bytes),
            pids: self.pids.or(of.pids),
            cpu_percent: self.cpu_percent.or(of.cpu_percent),
            cpu_weight: self.cpu_weight.or(of.cpu_weight),
        }
    }
}

impl Level {
    /// What a program at this level may use up when nothing else is said.
    #[must_use]
    pub fn limits(self) -> Limits {
        let of = |open_files, file_size_bytes, memory_bytes, pids| Limits {
            open_files: Some(open_files),
            file_size_bytes: Some(file_size_bytes),
            memory_bytes: Some(memory_bytes),
            pids: Some(pids),
            cpu_percent: Some(100),
            ..Limits::default()
        };
        match self {
            Level::Minimal => of(64, 16 << 20, 64 << 20, 8),
            Level::Standard => of(256, 1 << 30, 256 << 20, 64),
            Level::Privileged => Limits::default(),
        }
    }
}
