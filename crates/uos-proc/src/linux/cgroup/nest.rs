//! Several programs that weigh as one, and where each of them is because of that.
//!
//! In the first version what divides processor time is a tree of its own. There a program can be in a group of several,
//! and in others still; its memory, its number and what kills it stay where they are in theirs. The second version has
//! one tree for all, and memory that a program has taken would not move with it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dir::{Dir, PROCS};
use super::v1;
use crate::CpuGroup;

/// The groups of several programs in the tree that divides processor time, for as long as a program is in them.
#[derive(Debug)]
pub(super) struct Nest {
    home: Arc<Dir>,
    /// By their numbers from the outside in. Held to enter and to leave.
    layers: Mutex<Layers>,
}

type Layers = BTreeMap<Vec<u64>, Layer>;

#[derive(Debug)]
struct Layer {
    dir: Arc<Dir>,
    weight: u32,
    /// The programs in it, and in the groups in it.
    programs: usize,
}

/// Where a program is in that tree.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) nest: Arc<Nest>,
    pub(super) cpu: Arc<Cpu>,
}

/// A group's directory in the tree that divides processor time: its own, or one in a group of several.
#[derive(Debug)]
pub(super) struct Cpu {
    pub(super) own: Arc<Dir>,
    /// Whether its tree counts processor time, too.
    counts: bool,
    now: Mutex<Now>,
}

#[derive(Debug)]
struct Now {
    dir: Arc<Dir>,
    /// What was counted in those it has left, by the files in [`COUNTS`].
    left: [u64; 2],
}

/// What a tree counts of processor time: what is spent in the program, and for it in the kernel, in ns.
const COUNTS: [&str; 2] = ["cpuacct.usage_user", "cpuacct.usage_sys"];

impl Cpu {
    pub(super) fn new(own: Arc<Dir>, counts: bool) -> Self {
        let now = Mutex::new(Now { dir: Arc::clone(&own), left: [0; 2] });
        Cpu { own, counts, now }
    }

    pub(super) fn now(&self) -> Arc<Dir> {
        Arc::clone(&self.lock().dir)
    }

    /// Everybody has been moved to `dir`.
    pub(super) fn is_now(&self, dir: Arc<Dir>) {
        let mut now = self.lock();
        let before = std::mem::replace(&mut now.dir, dir);
        if !self.counts {
            return;
        }
        let count = |dir: &Arc<Dir>| if Arc::ptr_eq(dir, &self.own) { [None; 2] } else { counted(dir) };
        let (left, entered) = (count(&before), count(&now.dir));
        for which in 0..2 {
            // One that it was in before counts on.
            let all = now.left[which] + left[which].unwrap_or(0);
            now.left[which] = all.saturating_sub(entered[which].unwrap_or(0));
        }
    }

    /// What was counted wherever it was, if this tree does that.
    pub(super) fn counted(&self) -> [Option<u64>; 2] {
        if !self.counts {
            return [None; 2];
        }
        let now = self.lock();
        let inside = if Arc::ptr_eq(&now.dir, &self.own) { [None; 2] } else { counted(&now.dir) };
        let own = counted(&self.own);
        std::array::from_fn(|which| Some(own[which]? + inside[which].unwrap_or(0) + now.left[which]))
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one directory has counted.
pub(super) fn counted(dir: &Dir) -> [Option<u64>; 2] {
    COUNTS.map(|file| dir.number(file).ok())
}

/// The numbers of groups, which tell them apart.
pub(super) fn ids(path: &[CpuGroup]) -> Vec<u64> {
    path.iter().map(|group| group.id).collect()
}

impl Nest {
    pub(super) fn new(home: Arc<Dir>) -> Self {
        Nest { home, layers: Mutex::default() }
    }

    /// Makes an empty group called `name` within these, which are made if nobody is in them yet.
    pub(super) fn enter(&self, path: &[CpuGroup], name: &str) -> io::Result<Arc<Dir>> {
        let mut layers = self.lock();
        let made = self.outer(&mut layers, path).and_then(|outer| outer.make(name));
        if made.is_ok() {
            for depth in 1..=path.len() {
                if let Some(layer) = layers.get_mut(&ids(&path[..depth])) {
                    layer.programs += 1;
                }
            }
        }
        self.tidy(&mut layers);
        made.map(Arc::new)
    }

    /// The group called `name` within these, from where it has not been removed yet.
    pub(super) fn enter_again(&self, path: &[CpuGroup], name: &str) -> io::Result<Arc<Dir>> {
        self.outer(&mut self.lock(), path)?.at(name).map(Arc::new)
    }

    /// Has the groups that somebody is in weigh what is said here.
    pub(super) fn weigh(&self, path: &[CpuGroup]) -> io::Result<()> {
        self.outer(&mut self.lock(), path).map(drop)
    }

    /// Removes the empty group called `name` from these, and those of them that nobody is in any more.
    pub(super) fn leave(&self, path: &[u64], name: &str) -> io::Result<()> {
        let mut layers = self.lock();
        let Some(innermost) = layers.get(path) else { return Ok(()) };
        innermost.dir.remove(name)?;
        for depth in 1..=path.len() {
            if let Some(layer) = layers.get_mut(&path[..depth]) {
                layer.programs = layer.programs.saturating_sub(1);
            }
        }
        self.tidy(&mut layers);
        Ok(())
    }

    /// The innermost of these, each with its weight.
    fn outer(&self, layers: &mut Layers, path: &[CpuGroup]) -> io::Result<Arc<Dir>> {
        let mut at = Arc::clone(&self.home);
        for (depth, group) in path.iter().enumerate() {
            let key = ids(&path[..=depth]);
            let layer = match layers.get_mut(&key) {
                Some(layer) => layer,
                None => {
                    let dir = Arc::new(at.make(&name_of(group.id))?);
                    layers.entry(key).or_insert(Layer { dir, weight: 0, programs: 0 })
                }
            };
            if layer.weight != group.weight {
                v1::weigh(&layer.dir, group.weight)?;
                layer.weight = group.weight;
            }
            at = Arc::clone(&layer.dir);
        }
        Ok(at)
    }

    /// Removes those that nobody is in. One that can't be is tried again with the next that leaves.
    fn tidy(&self, layers: &mut Layers) {
        let unused = layers.iter().filter(|(_, layer)| layer.programs == 0);
        // The inner ones first: their numbers begin with those of the ones around them.
        for key in unused.map(|(key, _)| key.clone()).rev().collect::<Vec<_>>() {
            let Some((last, around)) = key.split_last() else { continue };
            let outer = layers.get(around).map_or(&self.home, |layer| &layer.dir);
            if outer.remove(&name_of(*last)).is_ok() {
                layers.remove(&key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Layers> {
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(id: u64) -> String {
    format!("{PREFIX}{id}")
}

const PREFIX: &str = "s";

/// Whether a directory of a server is a group of several programs.
pub(super) fn is_layer(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|id| id.parse::<u64>().is_ok())
}

/// How often newly made ones are looked for. Whoever was moved has its children where it is, so each look finds those
/// alone that were made while the one before went on.
const ROUNDS: u32 = 64;

/// Moves every process of a group into another. Those that are in a group which one of them made there could not be moved,
/// so nobody is.
pub(super) fn move_all(from: &Dir, to: &Dir) -> io::Result<()> {
    if !from.names()?.is_empty() {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    for _ in 0..ROUNDS {
        let there = from.processes()?;
        // One beyond this program's numbers: to write that would move whoever writes it.
        if there.contains(&0) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        for pid in &there {
            match to.write(PROCS, &pid.to_string()) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                written => written?,
            }
        }
        // Who is about to end makes nobody new; but may have, since the first look.
        if there.iter().all(|pid| is_leaving(*pid)) && from.processes()?.iter().all(|pid| there.contains(pid))
        {
            return Ok(());
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Whether a process, or its first thread, is about to end or has: the kernel says yes to moving it, and leaves it where it
/// is. Its other threads have been moved.
pub(super) fn is_leaving(pid: i32) -> bool {
    const EXITING: u64 = 4;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, fields)| fields.split_ascii_whitespace());
    let flags = fields.and_then(|mut fields| fields.nth(6)?.parse::<u64>().ok());
    flags.is_none_or(|flags| flags & EXITING != 0)
}
