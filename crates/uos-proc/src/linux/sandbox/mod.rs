//! Holding a program so that it can't reach what it was not given.
//!
//! A sandboxed child is cloned into namespaces of its own: mounts, processes, ipc, machine name. It puts its root
//! together (`plan`, `root`), lays its rights down and becomes a user of the host that nobody else is (`uids`,
//! `privileges`), and restricts itself by Landlock and by a filter of system calls (`landlock`, `seccomp`) right before
//! its program. Everything here writes such steps into its [`Life`]; nothing of it is a special case of spawning.

mod init;
mod landlock;
mod owner;
mod plan;
mod privileges;
mod raw;
mod root;
mod seccomp;
mod uids;
mod workshop;

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_int, c_long};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::thread::CapabilitySet;

use super::child::perform;
use super::clone3;
use super::key::Key;
use super::life::{Arg, Life};
use super::steps::Place;
use super::thread::{self, Queue};
use crate::check::invalid;
use crate::{Cwd, Init, Level, Mount, Network, OnLeaderExit, Source, SpawnError, Spec, Stage, Stdio};
use landlock::{CHANGE, KnownRules, LOOK, RUN, Rule, RuleSet, Rules, Version, WRITE_DEVICE};
use plan::{Devices, Ids, System, Wishes};
use seccomp::{Filter, Freedom, Sockets};
use uids::{Lease, Uids};

pub(super) use init::{Reports, arguments};

/// What a running sandbox keeps in the spawning program, and gives back by drop.
#[derive(Debug)]
pub(super) struct Held {
    uid: Option<Lease>,
    reports: Option<Reports>,
}

impl Held {
    /// The user that every process of it is, and nobody else, if there is one.
    pub(super) fn uid(&self) -> Option<rustix::process::Uid> {
        self.uid.as_ref().map(|lease| rustix::process::Uid::from_raw(lease.uid()))
    }

    pub(super) fn reports(&self) -> Option<&Reports> {
        self.reports.as_ref()
    }
}

/// By what means sandboxes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// With the rights of root: namespaces, and for each sandbox a user of the host that nobody else is.
    Root,
    /// Without them: a user namespace, and in it the other ones. Never used by root, who would be root inside.
    UserNamespace,
    /// Without any namespace: Landlock and seccomp alone, and the guarantees that need more are reported as weakened.
    NoNamespaces,
}

/// What all sandboxes of a spawner share.
pub(super) struct Sandboxes {
    pub(super) isolation: Isolation,
    version: Version,
    uids: Option<Arc<Uids>>,
    system: System,
    staging: CString,
    last_capability: Option<u32>,
    init: Option<OwnedFd>,
    owners: owner::Owners,
    /// This program itself, for children to see whether it is still there.
    own: OwnedFd,
    network: Option<OwnedFd>,
    /// Where roots are made once, if this machine can do that.
    workshop: Option<workshop::Workshop>,
    /// The thread that their first processes come from, if it is not the spawner's own.
    queue: Option<Arc<Queue>>,
    /// One for those without namespaces that has loaded their filter, too, and for whom: a filter takes longer to load
    /// than a program to start.
    filtered: Option<(Freedom, Arc<Queue>)>,
    rules: KnownRules,
    /// Filters compiled so far. Held only to look one up or put one in.
    filters: Mutex<HashMap<Freedom, Arc<Filter>>>,
}

/// A sandbox to be: what has to be written into the life of its first process, step by step.
pub(super) struct Sandbox<'a> {
    shared: &'a Sandboxes,
    view: plan::View,
    /// A root in which half of the view is there already.
    root: Option<OwnedFd>,
    lease: Option<Lease>,
    rules: Vec<Rule>,
    /// The filter, unless the thread that it comes from has loaded it.
    filter: Option<Arc<Filter>>,
    /// The thread that it has to come from, if that is not the spawner's own.
    pub(super) queue: Option<Arc<Queue>>,
    loopback: bool,
    /// The namespaces it is cloned into.
    pub(super) flags: c_int,
    /// Of whoever looks after it: the binary and its end of the socket.
    pub(super) init: Option<(OwnedFd, OwnedFd)>,
    reports: Option<Reports>,
}

/// Whom the user of a user namespace takes itself for.
const INSIDE: Ids = Ids { uid: 1000, gid: 1000 };

impl Sandboxes {
    /// The ways to make sandboxes, the best one first.
    pub(super) const WAYS: [Isolation; 3] =
        [Isolation::Root, Isolation::UserNamespace, Isolation::NoNamespaces];

    /// What sandboxes made in this way share, or what the machine or the spawner lacks for it. `copies_roots` is whether
    /// roots are copied where the machine can do that.
    pub(super) fn new(isolation: Isolation, copies_roots: bool) -> Result<Self, String> {
        let lacking = |what: &str| what.to_owned();
        let failed = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
        let capabilities =
            rustix::thread::capabilities(None).map_err(|errno| failed("capabilities")(errno.into()))?;
        let has = |set| capabilities.effective.contains(set);
        let ids = CapabilitySet::SETUID | CapabilitySet::SETGID;
        let root = ids | CapabilitySet::SYS_ADMIN | CapabilitySet::SETPCAP | CapabilitySet::MKNOD;
        match isolation {
            Isolation::Root if !has(root) => {
                return Err(lacking("the rights of root (CAP_SYS_ADMIN, SETUID, SETGID, SETPCAP, MKNOD)"));
            }
            Isolation::UserNamespace if rustix::process::geteuid().is_root() => {
                return Err(lacking("a user that is not root"));
            }
            _ => {}
        }
        let version = Version::of_this_machine();
        if version == Version(0) {
            return Err(lacking("Landlock"));
        }
        let is_root = isolation == Isolation::Root;
        let capabilities = fs::read_to_string("/proc/sys/kernel/cap_last_cap").ok();
        let last_capability = capabilities.and_then(|text| text.trim().parse().ok());
        let drops = has(CapabilitySet::SETPCAP) || isolation == Isolation::UserNamespace;
        if drops && last_capability.is_none() {
            return Err(lacking("/proc/sys/kernel/cap_last_cap"));
        }
        let becomes_another = is_root || isolation == Isolation::NoNamespaces && has(ids);
        let uids =
            if becomes_another { Some(Uids::claim().ok_or_else(|| lacking("free user ids"))?) } else { None };
        let own = Pid::from_raw(std::process::id().cast_signed()).ok_or_else(|| lacking("a process id"))?;
        let network = is_root.then(raw::empty_network).transpose();
        let staging = plan::staging().ok_or_else(|| lacking("a directory to put a root together on"))?;
        // A machine that can't do this does it all in the child.
        let workshop = last_capability
            .filter(|_| is_root && copies_roots)
            .and_then(|last| workshop::Workshop::open(staging.clone(), last).ok())
            .and_then(workshop::Workshop::if_it_copies_roots);
        let mut queue = workshop.as_ref().map(|workshop| Arc::clone(&workshop.queue));
        let mut filtered = None;
        if isolation == Isolation::NoNamespaces {
            let last = last_capability.filter(|_| drops);
            queue = last
                .and_then(|last| thread::start_after(0, Key::NONE, move || workshop::lay_down(last)).ok());
            filtered = filtered_thread(last).filter(|_| last.is_none() || queue.is_some());
        }
        Ok(Sandboxes {
            isolation,
            version,
            uids,
            system: System::find(),
            staging,
            last_capability: last_capability.filter(|_| drops && queue.is_none()),
            workshop,
            queue,
            filtered,
            rules: KnownRules::default(),
            init: init::binary().ok(),
            owners: owner::Owners::default(),
            own: pidfd_open(own, PidfdFlags::empty()).map_err(|errno| failed("pidfd_open")(errno.into()))?,
            network: network.map_err(failed("an empty network namespace"))?,
            filters: Mutex::default(),
        })
    }

    /// The sandbox of `spec`, whose mounts are taken out of it.
    pub(super) fn sandbox(&self, queue: &Queue, spec: &mut Spec) -> Result<Sandbox<'_>, SpawnError> {
        let has_root = self.isolation != Isolation::NoNamespaces;
        check(spec, has_root)?;
        let stage = |stage, errno| SpawnError::Stage { stage, errno };
        let lease = match &self.uids {
            Some(uids) => Some(uids.lease().ok_or_else(|| stage(Stage::Privileges("user"), libc::EAGAIN))?),
            None => None,
        };
        let ids = lease.as_ref().map_or(INSIDE, |lease| Ids { uid: lease.uid(), gid: lease.uid() });
        let mounts = std::mem::take(&mut spec.mounts);
        let system = spec.system.then_some(&self.system);
        let mut rules = if has_root { rules_of_a_root(spec.level) } else { rules_of_the_host(system) };
        rules_of_mounts(&mut rules, &mounts);

        let mut view =
            if has_root { self.view(queue, spec.level, mounts, system, ids)? } else { plan::View::default() };
        let root = self.workshop.as_ref().map(|workshop| workshop.root(ids.uid, &mut view)).transpose()?;
        let (init, reports) = match (spec.first_process(), &self.init) {
            _ if !has_root => (None, None),
            (Init::Program, _) => (None, None),
            (Init::Reaper, Some(binary)) => {
                let failed = |error: io::Error| stage(Stage::Init, error.raw_os_error().unwrap_or(libc::EIO));
                let (reports, socket) = Reports::new().map_err(failed)?;
                (Some((binary.try_clone().map_err(failed)?, socket)), Some(reports))
            }
            (Init::Reaper, None) => return invalid("init", "the reaper was not built into this program"),
        };
        let loopback = has_root && spec.network == Network::Loopback;
        let own_network = loopback || self.network.is_none() || !self.version.separates_sockets();
        let mut flags = 0;
        if has_root {
            flags |= libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
            if own_network {
                flags |= libc::CLONE_NEWNET;
            }
        }
        if self.isolation == Isolation::UserNamespace {
            flags |= libc::CLONE_NEWUSER;
        }
        let freedom = freedom(spec, has_root);
        let filter = if self.filtered_queue(freedom).is_some() { None } else { Some(self.filter(freedom)) };
        let queue = self.filtered_queue(freedom).or(self.queue.as_ref()).map(Arc::clone);
        Ok(Sandbox { shared: self, view, root, lease, rules, filter, queue, loopback, flags, init, reports })
    }

    /// That of the thread that the sandbox of `spec` will come from, if it is not the spawner's own.
    pub(super) fn queue_of(&self, spec: &Spec) -> Option<&Queue> {
        let freedom = freedom(spec, self.isolation != Isolation::NoNamespaces);
        self.filtered_queue(freedom).or(self.queue.as_ref()).map(|queue| &**queue)
    }

    fn filtered_queue(&self, freedom: Freedom) -> Option<&Arc<Queue>> {
        self.filtered.as_ref().filter(|(theirs, _)| *theirs == freedom).map(|(_, queue)| queue)
    }

    fn view(
        &self,
        queue: &Queue,
        level: Level,
        mounts: Vec<Mount>,
        system: Option<&System>,
        ids: Ids,
    ) -> Result<plan::View, SpawnError> {
        let is_root = self.isolation == Isolation::Root;
        let devices = if is_root { Devices::Made } else { Devices::Mounted };
        let mut translations = Vec::new();
        let take_here = self.workshop.is_some();
        let mut view = plan::plan(Wishes { level, mounts, system, devices, ids, take_here }, |owner| {
            let wanted = is_root && owner.uid != ids.uid;
            let Some(init) = self.init.as_ref().filter(|_| wanted) else { return Ok(None) };
            let translation = self.owners.translation(queue, init, owner, ids.uid)?;
            let number = c_long::from(translation.as_raw_fd());
            translations.push(translation);
            Ok(Some(number))
        })?;
        view.translations = translations;
        Ok(view)
    }

    fn filter(&self, freedom: Freedom) -> Arc<Filter> {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(filters.entry(freedom).or_insert_with(|| Arc::new(Filter::new(freedom))))
    }
}

/// Ends the threads that first processes come from, and with them those processes.
impl Drop for Sandboxes {
    fn drop(&mut self) {
        self.queue
            .iter()
            .chain(self.filtered.as_ref().map(|(_, queue)| queue))
            .for_each(|queue| queue.close());
    }
}

impl Sandbox<'_> {
    /// Namespaces and the root. Before this the child is still in the host's; afterwards everything it names is its
    /// own.
    pub(super) fn enter(&mut self, life: &mut Life) {
        let shared = self.shared;
        if shared.isolation == Isolation::NoNamespaces {
            return;
        }
        if shared.isolation == Isolation::UserNamespace {
            life.map_user(INSIDE);
        }
        life.stage(Stage::Namespace("cgroup"));
        life.call(libc::SYS_unshare, [libc::CLONE_NEWCGROUP.into()]);
        if let Some(network) = shared.network.as_ref().filter(|_| self.flags & libc::CLONE_NEWNET == 0) {
            life.stage(Stage::Namespace("network"));
            let network = life.uses_fd(network.as_raw_fd());
            life.call(libc::SYS_setns, [network, libc::CLONE_NEWNET.into()]);
        }
        if self.loopback {
            life.raise_loopback();
        }
        life.name_machine();
        match self.root.take() {
            Some(root) => self.enter_copy(life, root),
            None => self.put_together(life),
        }
        for fd in self.view.taken.drain(..) {
            life.quiet_fd(fd);
        }
        for translation in self.view.translations.drain(..) {
            life.uses_fd(translation.as_raw_fd());
            life.keep_alive(translation);
        }
    }

    /// The root is a copy that was made outside; where the child is there is nothing else.
    fn enter_copy(&self, life: &mut Life, root: OwnedFd) {
        life.stage(Stage::Root("modes"));
        life.call(libc::SYS_umask, [0.into()]);
        let root = life.quiet_fd(root);
        life.show_root(root, c"/");
        for mount in &self.view.mounts {
            if life.mount_at_once(mount) {
                continue;
            }
            let tree = life.take(mount);
            if !mount.in_root {
                life.make_place(mount);
            }
            life.attach(mount, tree);
        }
        life.be_root();
    }

    /// All of it is done by the child, among the mounts of the host, which it then leaves behind.
    fn put_together(&mut self, life: &mut Life) {
        life.separate_mounts();
        let trees: Vec<Arg> = self.view.mounts.iter().map(|mount| life.take(mount)).collect();
        let root = life.new_root(root::NO_SET_ID);
        life.show_root(root, self.shared.staging.clone());
        life.furnish(std::mem::take(&mut self.view.entries));
        for (mount, tree) in self.view.mounts.iter().zip(trees) {
            life.make_place(mount);
            life.attach(mount, tree);
        }
        life.pivot();
        life.freeze_root(root);
    }

    /// What the rules say of files. It opens them, so it comes before the limit of open files, and before the streams, the
    /// number of one of which it uses. Those of the host's
    /// places are found here, where they are the same; those of a root of its own in there.
    pub(super) fn make_rules(&mut self, life: &mut Life, program: &Place) -> Result<RuleSet, SpawnError> {
        let program = match program {
            Place::Fd(fd) => Some(fd.as_raw_fd()),
            Place::Path(_) => None,
        };
        let places = std::mem::take(&mut self.rules);
        let no_tcp = self.shared.isolation == Isolation::NoNamespaces;
        let version = self.shared.version;
        if no_tcp && program.is_none() {
            return Ok(life.take_rules(self.shared.rules.of(version, no_tcp, &places)?));
        }
        Ok(life.make_rules(version, Rules { places, program, no_tcp }))
    }

    pub(super) fn lay_down_rights(&self, life: &mut Life) {
        let ids = self.lease.as_ref().map(|lease| Ids { uid: lease.uid(), gid: lease.uid() });
        life.lay_down_rights(self.shared.last_capability, ids);
        life.tie_again(self.shared.own.as_raw_fd());
    }

    pub(super) fn load_filter(&self, life: &mut Life) {
        if let Some(filter) = &self.filter {
            life.load_filter(Arc::clone(filter));
        }
    }

    /// Whether the kernel counts its processes apart from everybody else's.
    pub(super) fn counts_its_processes(&self) -> bool {
        self.lease.is_some() || self.flags & libc::CLONE_NEWUSER != 0
    }

    pub(super) fn held(self) -> Held {
        Held { uid: self.lease, reports: self.reports }
    }
}

/// A thread that has laid down what is laid down for good and has loaded the filter of most sandboxes without namespaces.
/// Nothing that its children do before their program is beyond that filter. What is beyond it, and the thread does itself, is
/// making them in their control groups: that the filter lets through for whoever has its key.
fn filtered_thread(last_capability: Option<u32>) -> Option<(Freedom, Arc<Queue>)> {
    let freedom = freedom_at(Level::Standard, true, false);
    // Without a key, which takes randomness, each child loads the filter that nobody has a key to.
    let key = if clone3::IS_MADE_HERE { Key::new()? } else { Key::NONE };
    let filter = if clone3::IS_MADE_HERE { Filter::with_key(freedom, &key) } else { Filter::new(freedom) };
    let filter = Arc::new(filter);
    let queue = thread::start_after(0, key, move || {
        let mut life = Life::default();
        if let Some(last) = last_capability {
            life.drop_bounding_set(last);
        }
        life.no_new_privileges();
        life.load_filter(filter);
        perform(&life, None).map(drop)
    });
    Some((freedom, queue.ok()?))
}

/// What of a spec makes no sense in a sandbox.
fn check(spec: &Spec, has_root: bool) -> Result<(), SpawnError> {
    if !has_root {
        return check_without_root(spec);
    }
    if matches!(spec.cwd, Some(Cwd::Fd(_))) {
        return invalid("cwd", "a descriptor leads out of a sandbox; name a path inside");
    }
    if spec.on_leader_exit == OnLeaderExit::LeaveGroup {
        return invalid("on_leader_exit", "nothing outlives a sandbox");
    }
    let streams = [("stdin", &spec.stdin), ("stdout", &spec.stdout), ("stderr", &spec.stderr)];
    for (field, stream) in streams {
        if let Stdio::Fd(fd) = stream
            && plan::is_directory(fd.as_fd())
        {
            return invalid(field, "a directory leads out of a sandbox; mount it");
        }
    }
    if spec.fds.iter().any(|(_, fd)| plan::is_directory(fd.as_fd())) {
        return invalid("fds", "a directory leads out of a sandbox; mount it");
    }
    Ok(())
}

/// Landlock allows what is where it is; it mounts nothing.
fn check_without_root(spec: &Spec) -> Result<(), SpawnError> {
    for mount in &spec.mounts {
        match &mount.source {
            Source::Path(path) if *path == mount.at => {}
            Source::Path(_) => {
                return invalid("mounts.at", "elsewhere than the source: that takes namespaces");
            }
            Source::Fd(_) | Source::Scratch { .. } => {
                return invalid("mounts.source", "not a path: that takes namespaces");
            }
        }
    }
    Ok(())
}

fn freedom(spec: &Spec, has_namespaces: bool) -> Freedom {
    freedom_at(spec.level, spec.first_process() == Init::Reaper, has_namespaces)
}

fn freedom_at(level: Level, has_reaper: bool, has_namespaces: bool) -> Freedom {
    let is_minimal = level == Level::Minimal;
    Freedom {
        further: !is_minimal,
        processes: !is_minimal || has_reaper,
        ipc: !is_minimal && has_namespaces,
        sockets: match (is_minimal, has_namespaces) {
            (true, _) => Sockets::None,
            (false, true) => Sockets::Separated,
            (false, false) => Sockets::Local,
        },
        execute_written: !is_minimal,
    }
}

fn rule(path: &CStr, rights: u64) -> Rule {
    Rule { path: path.to_owned(), is_directory: true, rights }
}

/// What may be done where in a root of its own. Mounts have said it already, and better; this holds if they should
/// be got around.
fn rules_of_a_root(level: Level) -> Vec<Rule> {
    let mut rules =
        vec![rule(c"/", LOOK | RUN), rule(c"/dev", LOOK | WRITE_DEVICE), rule(c"/tmp", LOOK | CHANGE)];
    if level != Level::Minimal {
        rules.push(rule(c"/dev/shm", LOOK | CHANGE));
    }
    rules
}

/// What may be done where among the files of the host: with the system's programs and with harmless devices.
fn rules_of_the_host(system: Option<&System>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = [c"/dev/null", c"/dev/zero", c"/dev/full", c"/dev/random", c"/dev/urandom"]
        .map(|device| Rule { path: device.to_owned(), is_directory: false, rights: LOOK | WRITE_DEVICE })
        .into();
    rules.extend(system.into_iter().flat_map(System::places).map(|(path, is_directory)| Rule {
        path,
        is_directory,
        rights: LOOK | RUN,
    }));
    rules
}

fn rules_of_mounts(rules: &mut Vec<Rule>, mounts: &[Mount]) {
    for mount in mounts {
        let is_directory = match &mount.source {
            Source::Scratch { .. } => true,
            Source::Path(path) => path.is_dir(),
            Source::Fd(fd) => plan::is_directory(fd.as_fd()),
        };
        let run = if mount.executable { RUN } else { 0 };
        let change = if mount.writable { CHANGE } else { 0 };
        if let Ok(path) = CString::new(mount.at.as_os_str().as_encoded_bytes()) {
            rules.push(Rule { path, is_directory, rights: LOOK | run | change });
        }
    }
}

impl std::fmt::Debug for Sandboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandboxes").field("isolation", &self.isolation).finish_non_exhaustive()
    }
}
