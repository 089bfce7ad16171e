//! A server's directory in one tree, below the group it is in; and the removal of dead servers' ones.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use super::dir::{Dir, PROCS};
use super::hold::signal_all;
use super::name::ServerName;
use super::nest::is_layer;

/// One directory for all groups of one spawner.
#[derive(Debug)]
pub(super) struct Home {
    /// The group that this program is, or was, in.
    pub(super) own: Arc<Dir>,
    name: String,
    pub(super) dir: Arc<Dir>,
}

impl Home {
    /// Makes it below `own`, and cleans up there.
    pub(super) fn make(own: &Path, name: ServerName) -> io::Result<Self> {
        let own = Arc::new(Dir::open(own)?);
        remove_dead(&own);
        let name = name.to_string();
        let dir = Arc::new(own.make(&name)?);
        Ok(Home { own, name, dir })
    }

    /// Removes it, if no group is in it any more.
    pub(super) fn remove(&self) -> io::Result<()> {
        self.own.remove(&self.name)
    }

    /// Lets groups in here have those of `wanted` that they can: in the second version, a group hands each controller
    /// down by name. Gives the reason for each that it cannot.
    pub(super) fn hand_down(&self, wanted: &[&'static str]) -> Vec<(&'static str, Result<(), String>)> {
        let hand_down = |name: &&'static str| {
            let has = |dir: &Dir, file| {
                dir.read(file).map(|list| list.split_ascii_whitespace().any(|other| other == *name))
            };
            let down = |dir: &Dir| dir.write(DOWN, &format!("+{name}"));
            let try_to = || {
                if !has(&self.own, "cgroup.controllers")? {
                    return Err(io::Error::other("not handed down to our own group"));
                }
                if !has(&self.own, DOWN)? {
                    self.step_aside()?;
                    down(&self.own)?;
                }
                down(&self.dir)?;
                // The kernel may take a word and not act on it.
                if has(&self.dir, DOWN)? {
                    Ok(())
                } else {
                    Err(io::Error::other("written, but not in force"))
                }
            };
            (*name, try_to().map_err(|error: io::Error| error.to_string()))
        };
        wanted.iter().map(hand_down).collect()
    }

    /// Moves this program into a group of its own: one that hands controllers down may hold no processes itself, but for
    /// the root. The kernel does not refuse them all: to hand down the processor it makes the group one of threads, and
    /// nothing could live in those below. Others' processes are not ours to move.
    fn step_aside(&self) -> io::Result<()> {
        let own_pid = std::process::id().cast_signed();
        let is_root = !self.own.has("cgroup.type");
        match self.own.processes()?[..] {
            _ if is_root => return Ok(()),
            [] => return Ok(()),
            [pid] if pid == own_pid => {}
            _ => return Err(io::Error::other("our own group holds other processes too")),
        }
        let leaf = match self.dir.at(LEAF) {
            Ok(leaf) => leaf,
            Err(_) => self.dir.make(LEAF)?,
        };
        leaf.write(PROCS, "0")
    }
}

/// Which controllers a group hands down.
const DOWN: &str = "cgroup.subtree_control";
/// The group that a server itself steps down into.
const LEAF: &str = "self";

/// The group that a program was in before it stepped down.
pub(super) fn before_step_down(own: &Path) -> &Path {
    let home = own.parent().filter(|_| own.file_name().is_some_and(|name| name == LEAF));
    let is_ours = |home: &&Path| {
        let name = home.file_name().and_then(|name| name.to_str());
        name.and_then(ServerName::parse).is_some_and(|name| name.is_own())
    };
    home.filter(is_ours).and_then(Path::parent).unwrap_or(own)
}

/// Removes what dead servers left below `own`, killing what still runs in there. Anything else is left alone, and what
/// resists is left to the next start.
fn remove_dead(own: &Dir) {
    for name in own.names().unwrap_or_default() {
        if ServerName::parse(&name).is_some_and(|server| server.is_dead())
            && let Ok(home) = own.at(&name)
        {
            for group in home.names().unwrap_or_default() {
                let _ = remove(&home, &group);
            }
            let _ = own.remove(&name);
        }
    }
}

/// Removes a group that a dead server left, and if it is one of several, those of the programs in it.
fn remove(outer: &Dir, name: &str) -> io::Result<()> {
    let group = outer.at(name)?;
    if is_layer(name) {
        for inner in group.names()? {
            // One that can't be removed keeps this one, and none of the others.
            let _ = remove(&group, &inner);
        }
    }
    empty(&group)?;
    outer.remove(name)
}

/// How often, 1 ms apart, a group is told to be empty.
const ROUNDS: u32 = 500;

fn empty(group: &Dir) -> io::Result<()> {
    for round in 0..ROUNDS {
        if group.processes()?.is_empty() {
            return Ok(());
        }
        if round > 0 {
            sleep(Duration::from_millis(1));
        }
        // Frozen ones die when they thaw.
        if group.has("freezer.state") {
            let _ = group.write("freezer.state", "THAWED");
        }
        if group.write("cgroup.kill", "1").is_err() {
            signal_all(group)?;
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
