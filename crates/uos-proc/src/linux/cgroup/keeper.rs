//! Groups handed out and taken back.
//!
//! Making and removing directories in three or four trees costs more than starting the program, and a group can only
//! be removed when the last of its processes has left it. So a thread does it, and some groups are kept for the next.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::Abilities;
use super::bounds::Bounds;
use super::change::Refused;
use super::group::Group;
use super::layout::Layout;
use super::trees::Trees;
use crate::CpuGroup;

/// How many groups are kept ready.
const READY: usize = 8;

/// All groups of one spawner.
#[derive(Debug)]
pub(crate) struct Groups {
    layout: Layout,
    /// Found by trying, once.
    abilities: OnceLock<Abilities>,
    /// Begun with the first lease: a spawner that needs no group leaves no directory.
    keeper: OnceLock<Keeper>,
}

#[derive(Debug)]
struct Keeper {
    shared: Arc<Shared>,
    sender: Sender<Work>,
}

#[derive(Debug)]
struct Shared {
    trees: Trees,
    /// Protects the groups that are ready. Held only to put in or take out.
    pool: Mutex<Pool>,
    /// Rings when the last of those that were coming back has been put away.
    all_back: Condvar,
}

#[derive(Debug)]
struct Pool {
    ready: Vec<Arc<Group>>,
    /// How many were given back, or surely will be soon, and are not put away yet.
    coming: usize,
    open: bool,
}

impl Pool {
    /// One that is held to `bounds` already, or else any.
    fn take(&mut self, bounds: &Bounds) -> Option<Arc<Group>> {
        let same = self.ready.iter().position(|group| group.bounds() == *bounds);
        same.map(|place| self.ready.swap_remove(place)).or_else(|| self.ready.pop())
    }
}

enum Work {
    /// Has a slow kill done.
    Kill(Arc<Group>),
    /// Has what is left of a group where it was be removed.
    Tidy(Arc<Group>),
    /// Takes a group back.
    Return { group: Arc<Group>, leave: bool },
}

/// Why no group was handed out.
#[derive(Debug)]
pub(crate) enum Unleased {
    /// It could not be made.
    Unmade(io::Error),
    /// It cannot hold to the bounds.
    Refused(Refused),
}

/// A group for one child. Dropped, its processes are killed and it goes back.
#[derive(Debug)]
pub(crate) struct Lease {
    group: Arc<Group>,
    shared: Arc<Shared>,
    sender: Sender<Work>,
    /// Whether its processes run on when it is dropped.
    leave: bool,
    /// Whether it is counted among those that are coming back.
    is_coming: bool,
}

impl Groups {
    /// Groups below those that this program is in.
    pub(crate) fn of_this_program() -> Self {
        Groups::below(Layout::of_this_program())
    }

    fn below(layout: Layout) -> Self {
        Groups { layout, abilities: OnceLock::new(), keeper: OnceLock::new() }
    }

    /// What can be had here. The first call tries it out.
    pub(crate) fn abilities(&self) -> &Abilities {
        self.abilities.get_or_init(|| {
            if let Some(keeper) = self.keeper.get() {
                return keeper.shared.trees.abilities.clone();
            }
            let trees = Trees::open(&self.layout);
            let abilities = trees.abilities.clone();
            // Unless this program had to step down into one of them, none is needed yet.
            let _ = trees.close();
            abilities
        })
    }

    /// A group for a child that is held to `bounds`. Blocks for as long as making directories takes.
    pub(crate) fn lease(&self, bounds: &Bounds) -> Result<Lease, Unleased> {
        let keeper = match self.keeper.get() {
            Some(keeper) => keeper,
            None => {
                let begun = Keeper::begin(&self.layout).map_err(Unleased::Unmade)?;
                // Of two that began at once, one is dropped, and removes its directories.
                self.keeper.get_or_init(|| begun)
            }
        };
        let group = keeper.shared.pool().take(bounds);
        let group = match group {
            Some(group) => group,
            None => Arc::new(keeper.shared.trees.make().map_err(Unleased::Unmade)?),
        };
        let shared = Arc::clone(&keeper.shared);
        let lease = Lease { group, shared, sender: keeper.sender.clone(), leave: false, is_coming: false };
        lease.group.set(bounds).map_err(Unleased::Refused)?;
        Ok(lease)
    }
}

impl Keeper {
    fn begin(layout: &Layout) -> io::Result<Self> {
        let pool = Mutex::new(Pool { ready: Vec::new(), coming: 0, open: true });
        let shared = Arc::new(Shared { trees: Trees::open(layout), pool, all_back: Condvar::new() });
        let (sender, work) = channel();
        let theirs = Arc::clone(&shared);
        std::thread::Builder::new().name("uos-groups".into()).spawn(move || run(&theirs, &work))?;
        Ok(Keeper { shared, sender })
    }
}

/// Removes what is ready at once, and waits a moment for what is just coming back, so that a program that ends right
/// afterwards leaves nothing. What takes longer the thread removes, or the next start.
impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.close();
        let pool = self.shared.pool();
        drop(self.shared.all_back.wait_timeout_while(pool, A_MOMENT, |pool| pool.coming > 0));
        let _ = self.shared.trees.close();
    }
}

impl Shared {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let ready = {
            let mut pool = self.pool();
            pool.open = false;
            std::mem::take(&mut pool.ready)
        };
        for group in ready {
            let _ = self.trees.remove(&group.name);
        }
        let _ = self.trees.close();
    }

    /// Makes an empty group ready for another child, or removes it. False if it is to be tried again.
    fn put_away(&self, group: &Arc<Group>) -> bool {
        if !group.is_by_itself() {
            return false;
        }
        let wants_more = || {
            let pool = self.pool();
            pool.open && pool.ready.len() < READY
        };
        if wants_more() && group.renew().unwrap_or(false) {
            return self.make_ready(Arc::clone(group));
        }
        if self.trees.remove(&group.name).is_err() {
            return false;
        }
        if wants_more()
            && let Ok(fresh) = self.trees.make()
        {
            return self.make_ready(Arc::new(fresh));
        }
        let is_open = self.pool().open;
        if !is_open {
            // It may have been the last.
            let _ = self.trees.close();
        }
        true
    }

    /// One of those that were coming back is.
    fn is_back(&self) {
        let mut pool = self.pool();
        pool.coming = pool.coming.saturating_sub(1);
        if pool.coming == 0 {
            self.all_back.notify_all();
        }
    }

    fn make_ready(&self, group: Arc<Group>) -> bool {
        // Without, its next user does it.
        let _ = group.get_ready();
        let mut pool = self.pool();
        if pool.open {
            pool.ready.push(group);
            return true;
        }
        drop(pool);
        let is_removed = self.trees.remove(&group.name).is_ok();
        let _ = self.trees.close();
        is_removed
    }
}

impl Lease {
    pub(crate) fn group(&self) -> &Group {
        &self.group
    }

    /// Lets its processes run on when it is dropped.
    pub(crate) fn leave(&mut self) {
        self.leave = true;
    }

    /// Says that it will be dropped soon: its processes have been killed, and nobody holds it but who collects them.
    pub(crate) fn is_coming_back(&mut self) {
        if !std::mem::replace(&mut self.is_coming, true) {
            self.shared.pool().coming += 1;
        }
    }

    /// Has it be in these groups of several: there, or where it is.
    pub(crate) fn set_around(&self, around: &[CpuGroup]) -> io::Result<()> {
        let set = self.group.set_around(around);
        // Somebody may be about to end where it was, and hold that until then.
        if !self.group.tidy() {
            let _ = self.sender.send(Work::Tidy(Arc::clone(&self.group)));
        }
        set
    }

    /// Kills every process in it. Whoever is just being made is killed too. What takes longer is done elsewhere.
    pub(crate) fn kill(&self) -> io::Result<()> {
        match self.group.hold().map(super::hold::Hold::kill) {
            Some(Ok(true)) => Ok(()),
            Some(Err(error)) => Err(error),
            Some(Ok(false)) | None => self
                .sender
                .send(Work::Kill(Arc::clone(&self.group)))
                .map_err(|_| io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.leave {
            self.is_coming_back();
        }
        // The thread ends after the last lease has.
        let _ = self.sender.send(Work::Return { group: Arc::clone(&self.group), leave: self.leave });
    }
}

/// A group that was given back and is not empty yet.
struct Leaving {
    group: Arc<Group>,
    leave: bool,
    looks: u32,
}

/// How long a spawner that ends waits for groups that are coming back: a killed tree takes some milliseconds to die.
const A_MOMENT: Duration = Duration::from_millis(200);

/// How often a group is looked at before it is only looked at now and then.
const LOOKS: u32 = 200;
/// After so many looks, a group is not worth waiting for those that nobody collects: a new one is made instead.
const PATIENCE: u32 = 10;
const SOON: Duration = Duration::from_millis(2);
const NOW_AND_THEN: Duration = Duration::from_secs(1);

/// The thread: does the work, and looks after the groups that are not empty yet.
fn run(shared: &Shared, work: &Receiver<Work>) {
    let mut leaving: Vec<Leaving> = Vec::new();
    let mut untidy: Vec<(Arc<Group>, u32)> = Vec::new();
    loop {
        let looks = leaving.iter().map(|leaving| leaving.looks).chain(untidy.iter().map(|(_, looks)| *looks));
        let wait = match looks.min() {
            None => Duration::MAX,
            Some(looks) if looks < LOOKS => SOON,
            Some(_) => NOW_AND_THEN,
        };
        match work.recv_timeout(wait) {
            Ok(Work::Kill(group)) => kill(&group),
            Ok(Work::Tidy(group)) => untidy.push((group, 0)),
            Ok(Work::Return { group, leave }) => {
                if leave {
                    // Whoever it was in groups with is none of theirs; what can't be moved now is when all have gone.
                    let _ = group.set_around(&[]);
                } else {
                    kill(&group);
                }
                leaving.push(Leaving { group, leave, looks: 0 });
            }
            Err(RecvTimeoutError::Timeout) => {}
            // No lease is left and none can come. What still runs was left to run, or will not die; either way the
            // group stays, and the next start finds it.
            Err(RecvTimeoutError::Disconnected) if leaving.iter().all(|it| it.leave || it.looks >= LOOKS) => {
                break;
            }
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(SOON),
        }
        untidy.retain_mut(|(group, looks)| {
            *looks = looks.saturating_add(1);
            !group.tidy()
        });
        leaving.retain_mut(|it| {
            it.looks = it.looks.saturating_add(1);
            if !it.leave && it.looks.is_multiple_of(16) {
                kill(&it.group);
            }
            let is_done =
                if it.looks > PATIENCE { it.group.is_empty() } else { it.group.is_left() }.unwrap_or(false);
            let is_away = is_done && shared.put_away(&it.group);
            if is_away && !it.leave {
                shared.is_back();
            }
            !is_away
        });
    }
    shared.close();
}

fn kill(group: &Group) {
    let Some(hold) = group.hold() else { return };
    if hold.is_empty().unwrap_or(false) {
        return;
    }
    let _ = hold.kill_slowly();
}
