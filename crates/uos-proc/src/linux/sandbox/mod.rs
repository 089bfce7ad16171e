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

use std::collections::HashMap;
use std::ffi::{CString, c_int, c_long};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::life::{Arg, Life};
use super::steps::Place;
use super::thread::Queue;
use crate::check::invalid;
use crate::{Init, Level, Mount, Network, OnLeaderExit, Source, SpawnError, Spec, Stage};
use landlock::{CHANGE, LOOK, RUN, Rule, RuleSet, Rules, Version, WRITE_DEVICE};
use plan::{Devices, Ids, System, Wishes};
use seccomp::{Filter, Freedom, Sockets};
use uids::{Lease, Uids};

pub(super) use init::{Reports, arguments};

/// What a running sandbox keeps in the spawning program, and gives back by drop.
#[derive(Debug)]
pub(super) struct Held {
    uid: Lease,
    reports: Option<Reports>,
}

impl Held {
    /// The user that every process of it is, and nobody else.
    pub(super) fn uid(&self) -> Option<rustix::process::Uid> {
        Some(rustix::process::Uid::from_raw(self.uid.uid()))
    }

    pub(super) fn reports(&self) -> Option<&Reports> {
        self.reports.as_ref()
    }
}

/// What all sandboxes of a spawner share, made at the first that needs it.
#[derive(Debug, Default)]
pub(super) struct Sandboxes {
    shared: OnceLock<Result<Shared, Lacking>>,
}

/// What a machine lacks for sandboxes.
#[derive(Clone, Debug)]
pub(super) struct Lacking(String);

struct Shared {
    version: Version,
    uids: Arc<Uids>,
    system: System,
    staging: CString,
    last_capability: u32,
    init: Option<OwnedFd>,
    owners: owner::Owners,
    /// This program itself, for children to see whether it is still there.
    own: OwnedFd,
    network: OwnedFd,
    /// Filters compiled so far. Held only to look one up or put one in.
    filters: Mutex<HashMap<Freedom, Arc<Filter>>>,
}

/// A sandbox to be: what has to be written into the life of its first process, step by step.
pub(super) struct Sandbox<'a> {
    shared: &'a Shared,
    view: plan::View,
    lease: Lease,
    network: Network,
    rules: Vec<Rule>,
    filter: Arc<Filter>,
    /// The namespaces it is cloned into.
    pub(super) flags: c_int,
    /// Of whoever looks after it: the binary and its end of the socket.
    pub(super) init: Option<(OwnedFd, OwnedFd)>,
    reports: Option<Reports>,
}

impl Sandboxes {
    /// The sandbox of `spec`, whose mounts are taken out of it.
    pub(super) fn sandbox(&self, queue: &Queue, spec: &mut Spec) -> Result<Sandbox<'_>, SpawnError> {
        let shared = self.shared().map_err(|Lacking(what)| SpawnError::Invalid {
            field: "level",
            why: format!("there are no sandboxes here: {what}").into(),
        })?;
        check(spec)?;
        let stage = |stage, errno| SpawnError::Stage { stage, errno };
        let lease = shared.uids.lease().ok_or_else(|| stage(Stage::Privileges("user"), libc::EAGAIN))?;
        let ids = Ids { uid: lease.uid(), gid: lease.uid() };
        let mounts = std::mem::take(&mut spec.mounts);
        let rules = rules(spec.level, &mounts);

        let mut translations = Vec::new();
        let mut view = plan::plan(
            Wishes {
                level: spec.level,
                mounts,
                system: spec.system.then_some(&shared.system),
                devices: Devices::Made,
                ids,
            },
            |owner| {
                let Some(init) = shared.init.as_ref().filter(|_| owner.uid != ids.uid) else {
                    return Ok(None);
                };
                let translation = shared.owners.translation(queue, init, owner, ids.uid)?;
                let number = c_long::from(translation.as_raw_fd());
                translations.push(translation);
                Ok(Some(number))
            },
        )?;
        view.translations = translations;
        let filter = shared.filter(freedom(spec));
        let (init, reports) = match (spec.first_process(), &shared.init) {
            (Init::Program, _) => (None, None),
            (Init::Reaper, Some(binary)) => {
                let failed = |error: io::Error| stage(Stage::Init, error.raw_os_error().unwrap_or(libc::EIO));
                let (reports, socket) = Reports::new().map_err(failed)?;
                (Some((binary.try_clone().map_err(failed)?, socket)), Some(reports))
            }
            (Init::Reaper, None) => return invalid("init", "the reaper was not built into this program"),
        };
        let own_network = spec.network == Network::Loopback || !shared.version.separates_sockets();
        let flags = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
        let flags = if own_network { flags | libc::CLONE_NEWNET } else { flags };
        Ok(Sandbox { shared, view, lease, network: spec.network, rules, filter, flags, init, reports })
    }

    /// What this machine lacks, if it lacks something.
    pub(super) fn lacking(&self) -> Option<String> {
        self.shared().err().map(|Lacking(what)| what)
    }

    fn shared(&self) -> Result<&Shared, Lacking> {
        self.shared.get_or_init(Shared::new).as_ref().map_err(Clone::clone)
    }
}

impl Shared {
    fn new() -> Result<Self, Lacking> {
        let lacking = |what: &str| Lacking(what.to_owned());
        let failed = |what: &'static str| move |error: io::Error| Lacking(format!("{what}: {error}"));
        let capabilities =
            rustix::thread::capabilities(None).map_err(|errno| failed("capabilities")(errno.into()))?;
        let needed = rustix::thread::CapabilitySet::SYS_ADMIN
            | rustix::thread::CapabilitySet::SETUID
            | rustix::thread::CapabilitySet::SETGID
            | rustix::thread::CapabilitySet::SETPCAP
            | rustix::thread::CapabilitySet::MKNOD;
        if !capabilities.effective.contains(needed) {
            return Err(lacking("the rights of root (CAP_SYS_ADMIN, SETUID, SETGID, SETPCAP, MKNOD)"));
        }
        let version = Version::of_this_machine();
        if version == Version(0) {
            return Err(lacking("Landlock"));
        }
        let last_capability = fs::read_to_string("/proc/sys/kernel/cap_last_cap")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or_else(|| lacking("/proc/sys/kernel/cap_last_cap"))?;
        let own = Pid::from_raw(std::process::id().cast_signed()).ok_or_else(|| lacking("a process id"))?;
        Ok(Shared {
            version,
            uids: Uids::claim().ok_or_else(|| lacking("free user ids"))?,
            system: System::find(),
            staging: plan::staging().ok_or_else(|| lacking("a directory to put a root together on"))?,
            last_capability,
            init: init::binary().ok(),
            owners: owner::Owners::default(),
            own: pidfd_open(own, PidfdFlags::empty()).map_err(|errno| failed("pidfd_open")(errno.into()))?,
            network: raw::empty_network().map_err(failed("an empty network namespace"))?,
            filters: Mutex::default(),
        })
    }

    fn filter(&self, freedom: Freedom) -> Arc<Filter> {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(filters.entry(freedom).or_insert_with(|| Arc::new(Filter::new(freedom))))
    }
}

impl Sandbox<'_> {
    /// Namespaces and the root. Before this the child is still in the host's; afterwards everything it names is its
    /// own.
    pub(super) fn enter(&mut self, life: &mut Life) {
        let shared = self.shared;
        life.stage(Stage::Namespace("cgroup"));
        life.call(libc::SYS_unshare, [libc::CLONE_NEWCGROUP.into()]);
        if self.flags & libc::CLONE_NEWNET == 0 {
            life.stage(Stage::Namespace("network"));
            let network = Arg::from(shared.network.as_raw_fd());
            life.call(libc::SYS_setns, [network, libc::CLONE_NEWNET.into()]);
        } else if self.network == Network::Loopback {
            life.raise_loopback();
        }
        life.name_machine();
        life.separate_mounts();
        let trees: Vec<Arg> = self.view.mounts.iter().map(|mount| life.take(mount)).collect();
        life.begin_root(shared.staging.clone(), root::NO_SET_ID);
        life.furnish(std::mem::take(&mut self.view.entries));
        for (mount, tree) in self.view.mounts.iter().zip(trees) {
            life.attach(mount, tree);
        }
        life.enter_root();
        for fd in self.view.taken.drain(..) {
            life.fd(fd);
        }
        for translation in self.view.translations.drain(..) {
            life.keep_alive(translation);
        }
    }

    /// What the rules say of files. It opens them, so it comes before the limit of open files.
    pub(super) fn make_rules(&mut self, life: &mut Life, program: &Place, spare: OwnedFd) -> RuleSet {
        let program = match program {
            Place::Fd(fd) => Some(fd.as_raw_fd()),
            Place::Path(_) => None,
        };
        let places = std::mem::take(&mut self.rules);
        life.make_rules(self.shared.version, Rules { places, program, no_tcp: false, spare })
    }

    pub(super) fn lay_down_rights(&self, life: &mut Life) {
        let uid = self.lease.uid();
        life.lay_down_rights(self.shared.last_capability, Some(Ids { uid, gid: uid }));
        life.tie_again(self.shared.own.as_raw_fd());
    }

    pub(super) fn load_filter(&self, life: &mut Life) {
        life.load_filter(Arc::clone(&self.filter));
    }

    pub(super) fn held(self) -> Held {
        Held { uid: self.lease, reports: self.reports }
    }
}

/// What of a spec makes no sense in a sandbox.
fn check(spec: &Spec) -> Result<(), SpawnError> {
    if matches!(spec.cwd, Some(crate::Cwd::Fd(_))) {
        return invalid("cwd", "a descriptor leads out of a sandbox; name a path inside");
    }
    if spec.on_leader_exit == OnLeaderExit::LeaveGroup {
        return invalid("on_leader_exit", "nothing outlives a sandbox");
    }
    let streams = [("stdin", &spec.stdin), ("stdout", &spec.stdout), ("stderr", &spec.stderr)];
    for (field, stream) in streams {
        if let crate::Stdio::Fd(fd) = stream
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

fn freedom(spec: &Spec) -> Freedom {
    let is_minimal = spec.level == Level::Minimal;
    Freedom {
        processes: !is_minimal || spec.first_process() == Init::Reaper,
        sockets: if is_minimal { Sockets::None } else { Sockets::Separated },
        execute_written: !is_minimal,
    }
}

/// What may be done where. Mounts have said it already, and better; this holds if they should be got around.
fn rules(level: Level, mounts: &[Mount]) -> Vec<Rule> {
    let rule = |path: CString, is_directory, rights| Rule { path, is_directory, rights };
    let mut rules = vec![
        rule(c"/".to_owned(), true, LOOK | RUN),
        rule(c"/dev".to_owned(), true, LOOK | WRITE_DEVICE),
        rule(c"/tmp".to_owned(), true, LOOK | CHANGE),
    ];
    if level != Level::Minimal {
        rules.push(rule(c"/dev/shm".to_owned(), true, LOOK | CHANGE));
    }
    for mount in mounts.iter().filter(|mount| mount.writable) {
        let is_directory = match &mount.source {
            Source::Scratch { .. } => true,
            Source::Path(path) => path.is_dir(),
            Source::Fd(fd) => plan::is_directory(fd.as_fd()),
        };
        if let Ok(path) = CString::new(mount.at.as_os_str().as_encoded_bytes()) {
            rules.push(rule(path, is_directory, LOOK | CHANGE));
        }
    }
    rules
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
