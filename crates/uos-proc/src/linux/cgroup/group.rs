//! One group: what joins it, is held by it and dies with it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

use super::birth::{Birthplace, Births};
use super::bounds::Bounds;
use super::change::Refused;
use super::dir::{Dir, PROCS, TASKS, out_of_the_way};
use super::hold::{EVENTS, Hold, KILL};
use super::nest::{Cpu, Spot, ids, is_leaving, move_all};
use super::v1;
use super::v2::{CPU_TIME, cpu_time};
use super::{Controllers, Counters, Events};
use crate::CpuGroup;

/// A directory in each of the trees it takes.
#[derive(Debug)]
pub(crate) struct Group {
    /// Of its directory, in every tree.
    pub(super) name: String,
    pub(super) dirs: Vec<Arc<Dir>>,
    /// Its directory in the tree of the second version.
    pub(super) v2: Option<Arc<Dir>>,
    /// Whether a process can be made there.
    pub(super) births: Arc<Births>,
    pub(super) controllers: Box<dyn Controllers>,
    pub(super) hold: Option<Box<dyn Hold>>,
    pub(super) real_time: Option<RealTime>,
    /// Where it can be in groups of several.
    pub(super) spot: Option<Spot>,
    pub(super) state: Mutex<State>,
}

/// Where groups divide real time by themselves, a new one has none of it, and real-time classes are refused in there. They
/// have no use for it either: weights and quotas are for ordinary classes alone.
#[derive(Debug)]
pub(super) struct RealTime {
    /// The group that this program is in.
    pub(super) outside: Arc<Dir>,
    pub(super) inside: Arc<Cpu>,
}

impl RealTime {
    /// What a group of such a tree has.
    pub(super) const FILE: &'static str = "cpu.rt_runtime_us";
}

#[derive(Debug, Default)]
pub(super) struct State {
    bounds: Bounds,
    /// What had been counted when its last user had gone; nothing in a new one.
    before: (Counters, Events),
    /// What its next user joins by, opened beforehand.
    joins: Vec<OwnedFd>,
    /// The groups of several that it is in, from the outside in.
    around: Vec<CpuGroup>,
    /// Those that it has left, and where its directory could not be removed yet.
    left: Vec<Vec<u64>>,
    /// Whether it was ever held still by its present user.
    was_frozen: bool,
}

/// How a child comes to be in a group.
#[derive(Debug)]
pub(crate) struct Joining {
    /// Where it can be made. Then it need not write to the first of the files.
    pub(crate) birthplace: Option<Birthplace>,
    /// What it writes "0" to while it is one thread.
    pub(crate) files: Vec<OwnedFd>,
}

/// How often newly made ones are looked for: nobody makes them faster than that without meaning it.
const ROUNDS: u32 = 16;

impl Group {
    /// What it is held to, also while nobody is in it: the next user may want the same.
    pub(super) fn bounds(&self) -> Bounds {
        self.with(|state| state.bounds)
    }

    /// Does beforehand what its next user would wait for.
    pub(super) fn get_ready(&self) -> io::Result<()> {
        self.controllers.get_ready();
        if let Some(dir) = &self.v2 {
            dir.keep_open(&[CPU_TIME, EVENTS], &[KILL]);
        }
        let joins = self.open_joins()?;
        self.with(|state| state.joins = joins);
        Ok(())
    }

    /// Takes it back from its last user, whose counts are the next one's zero. Whether it can have another.
    pub(super) fn renew(&self) -> io::Result<bool> {
        if let Some(hold) = self.hold.as_ref().filter(|_| self.with(|state| state.was_frozen)) {
            hold.freeze(false)?;
            self.with(|state| state.was_frozen = false);
        }
        let was_killed = || self.hold.as_ref().is_some_and(|hold| hold.has_killed());
        if (self.births.are_possible() && was_killed())
            || !self.is_collected()
            || !self.controllers.renew()?
        {
            return Ok(false);
        }
        let before = (self.with_cpu_time(self.controllers.spent()), self.controllers.events());
        self.with(|state| state.before = before);
        Ok(true)
    }

    /// How a child is to join it.
    pub(crate) fn joining(&self) -> io::Result<Joining> {
        let birthplace = self.v2.as_ref().and_then(|dir| Birthplace::of(dir, &self.births));
        let ready = self.with(|state| std::mem::take(&mut state.joins));
        let files = if ready.is_empty() { self.open_joins()? } else { ready };
        Ok(Joining { birthplace, files })
    }

    /// In the tree of the second version first, which it may be made in.
    fn open_joins(&self) -> io::Result<Vec<OwnedFd>> {
        let is_v1 = |dir: &&Arc<Dir>| self.v2.as_ref().is_none_or(|v2| !Arc::ptr_eq(dir, v2));
        let v2 = self.v2.iter().map(|dir| (dir, PROCS));
        let v1 = self.dirs.iter().filter(is_v1).map(|dir| (dir, TASKS));
        v2.chain(v1).map(|(dir, file)| dir.writable(file).map(out_of_the_way)).collect()
    }

    /// Changes what it is held to: all of it, or nothing.
    pub(crate) fn set(&self, bounds: &Bounds) -> Result<(), Refused> {
        self.with(|state| {
            if state.bounds == *bounds {
                return Ok(());
            }
            self.controllers.apply(&state.bounds, bounds)?;
            state.bounds = *bounds;
            Ok(())
        })
    }

    /// Has its processes die as fast as they can: held to a share of a processor, a thousand of them take long to.
    pub(crate) fn lift_quota(&self) {
        let bounds = Bounds { cpu_percent: None, ..self.bounds() };
        // Where it can't be lifted they die as well.
        let _ = self.set(&bounds);
    }

    /// What its present user has used.
    pub(crate) fn usage(&self) -> Counters {
        self.since(self.controllers.usage())
    }

    /// The same, when nobody of it is left.
    pub(crate) fn spent(&self) -> Counters {
        self.since(self.controllers.spent())
    }

    fn since(&self, now: Counters) -> Counters {
        let now = self.with_cpu_time(now);
        let before = self.with(|state| state.before.0);
        let since = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before.unwrap_or(0)));
        // This peak cannot begin anew. That of a user before is not told as this one's.
        let pids_peak = now.pids_peak.filter(|peak| *peak > before.pids_peak.unwrap_or(0));
        Counters {
            cpu_user_us: since(now.cpu_user_us, before.cpu_user_us),
            cpu_system_us: since(now.cpu_system_us, before.cpu_system_us),
            pids_peak,
            ..now
        }
    }

    /// What happened to its present user.
    pub(crate) fn events(&self) -> Events {
        let (now, before) = (self.controllers.events(), self.with(|state| state.before.1));
        Events {
            oom_kills: now.oom_kills.saturating_sub(before.oom_kills),
            pids_denials: now.pids_denials.saturating_sub(before.pids_denials),
        }
    }

    /// Has its processes, and those they make meanwhile, be where real-time classes are granted; or brings them back.
    pub(crate) fn set_real_time(&self, real_time: bool) -> io::Result<()> {
        let Some(RealTime { outside, inside }) = &self.real_time else { return Ok(()) };
        // They stay in all other trees, and that tells who they are.
        let all = self.dirs.iter().find(|dir| !Arc::ptr_eq(dir, &inside.own));
        let all = all.ok_or_else(|| io::Error::from_raw_os_error(libc::EOPNOTSUPP))?;
        self.with(|_| {
            let inside = inside.now();
            let target = if real_time { outside } else { &inside };
            for _ in 0..ROUNDS {
                let there = target.processes()?;
                let is_missing = |pid: &i32| *pid != 0 && !there.contains(pid) && !is_leaving(*pid);
                let missing: Vec<i32> = all.processes()?.into_iter().filter(is_missing).collect();
                if missing.is_empty() {
                    return Ok(());
                }
                for pid in missing {
                    match target.write(PROCS, &pid.to_string()) {
                        // It has ended meanwhile.
                        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                        written => written?,
                    }
                }
            }
            Err(io::ErrorKind::TimedOut.into())
        })
    }

    /// Has it be in these groups of several, which are made if nobody is in them yet: there, or where it is.
    pub(super) fn set_around(&self, around: &[CpuGroup]) -> io::Result<()> {
        let Some(Spot { nest, cpu }) = &self.spot else {
            let is_nothing = around.is_empty();
            return if is_nothing { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)) };
        };
        self.with(|state| {
            let (from_ids, to_ids) = (ids(&state.around), ids(around));
            if from_ids == to_ids {
                // Others in them may have said something else meanwhile.
                nest.weigh(around)?;
                state.around = around.to_vec();
                return Ok(());
            }
            let from = cpu.now();
            let was_left = state.left.iter().position(|left| *left == to_ids);
            let to = match was_left {
                _ if around.is_empty() => Arc::clone(&cpu.own),
                Some(_) => nest.enter_again(around, &self.name)?,
                None => nest.enter(around, &self.name)?,
            };
            if let Some(place) = was_left {
                state.left.swap_remove(place);
            }
            // Those in real time are elsewhere, and come to the new place when they are ordinary again.
            let moved = v1::bound(&to, &state.bounds).and_then(|()| move_all(&from, &to));
            if moved.is_err() {
                // Where they were they may be again.
                let _ = move_all(&to, &from);
            } else {
                cpu.is_now(to);
                state.around = around.to_vec();
            }
            let left = if moved.is_ok() { from_ids } else { to_ids };
            if !left.is_empty() && nest.leave(&left, &self.name).is_err() {
                state.left.push(left);
            }
            moved
        })
    }

    /// Removes what it has left of itself in groups of several. Whether that is all.
    pub(super) fn tidy(&self) -> bool {
        let Some(Spot { nest, .. }) = &self.spot else { return true };
        self.with(|state| {
            state.left.retain(|left| nest.leave(left, &self.name).is_err());
            state.left.is_empty()
        })
    }

    /// Has it be in no group of several, and nothing of it be left in one. Whether that is so.
    pub(super) fn is_by_itself(&self) -> bool {
        self.set_around(&[]).is_ok() && self.tidy()
    }

    pub(crate) fn hold(&self) -> Option<&dyn Hold> {
        self.hold.as_deref()
    }

    /// Holds all of it still, or lets it go on. `None` where that can't be done.
    pub(crate) fn freeze(&self, frozen: bool) -> Option<io::Result<()>> {
        let hold = self.hold()?;
        self.with(|state| state.was_frozen = true);
        Some(hold.freeze(frozen))
    }

    /// Whether none is left that has ended and was not collected yet. They count, though they are not in it any more; the
    /// next user would pay for them.
    pub(super) fn is_collected(&self) -> bool {
        self.controllers.pids().is_none_or(|pids| pids == 0)
    }

    /// Whether all that were in it have gone and were collected: then they have left every tree. Where processes are not
    /// counted, whether nobody is in it.
    pub(super) fn is_left(&self) -> io::Result<bool> {
        self.controllers.pids().map_or_else(|| self.is_empty(), |pids| Ok(pids == 0))
    }

    /// Whether nobody is in it. Each tree is asked: leaving them all takes a dying process a moment.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        for dir in &self.dirs {
            if !dir.processes()?.is_empty() {
                return Ok(false);
            }
        }
        self.spot.as_ref().map_or(Ok(true), |spot| Ok(spot.cpu.now().processes()?.is_empty()))
    }

    fn with_cpu_time(&self, counters: Counters) -> Counters {
        match &self.v2 {
            Some(dir) if counters.cpu_user_us.is_none() => cpu_time(dir, counters),
            _ => counters,
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
