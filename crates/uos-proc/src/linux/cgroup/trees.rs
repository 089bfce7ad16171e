//! The trees that groups are made in, and what they can hold.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::birth::Births;
use super::bounds::Bounds;
use super::group::{Group, RealTime, State};
use super::hold::{ByFreezer, ByKernel, Hold};
use super::home::{Home, before_step_down};
use super::layout::{Controller, Layout};
use super::name::ServerName;
use super::nest::{Cpu, Nest, Spot};
use super::v1::V1;
use super::v2::V2;
use super::{Abilities, Ability, Controllers};
use crate::CpuGroup;

/// A home in every tree that is of use.
#[derive(Debug)]
pub(super) struct Trees {
    /// Each with the controllers it has; a tree of the second version has them all or none.
    v1: Vec<(Vec<Controller>, Home)>,
    v2: Option<Home>,
    /// What is handed down in the second version. All false: it is there to kill and to hold still only.
    v2_memory: bool,
    v2_cpu: bool,
    v2_pids: bool,
    /// Where programs can be in groups of several.
    nest: Option<Arc<Nest>>,
    next: AtomicU64,
    births: Arc<Births>,
    pub(super) abilities: Abilities,
}

impl Trees {
    /// Makes the homes below the groups of `layout`, and tries out in a first group what can be had.
    pub(super) fn open(layout: &Layout) -> Self {
        let mut why = BTreeMap::new();
        let Some(name) = ServerName::new() else {
            return Trees::none("/proc is not mounted");
        };
        let v2 = layout.v2.as_deref().map(before_step_down).and_then(|own| Home::make(own, name).ok());
        let mut handed_down = |wanted| {
            let Some(home) = &v2 else { return false };
            let answers = home.hand_down(&[wanted]);
            answers.into_iter().all(|(name, answer)| match answer {
                Ok(()) => true,
                Err(error) => {
                    why.insert(name, error);
                    false
                }
            })
        };
        let (v2_memory, v2_cpu, v2_pids) = (handed_down("memory"), handed_down("cpu"), handed_down("pids"));
        let mut trees = Trees {
            v1: Vec::new(),
            v2,
            v2_memory,
            v2_cpu,
            v2_pids,
            nest: None,
            next: AtomicU64::new(0),
            births: Arc::default(),
            abilities: Abilities::none("no control group can be made"),
        };
        if !(v2_memory || v2_cpu || v2_pids) {
            let can_kill = trees.v2.as_ref().is_some_and(|home| home.dir.has("cgroup.kill"));
            trees.v1 = v1_homes(layout, name, can_kill);
            // In one with others, what they hold would not move with who has it.
            let alone = trees.v1.iter().find(|(controllers, _)| {
                let is_about_time = |one: &Controller| matches!(one, Controller::Cpu | Controller::Cpuacct);
                controllers.contains(&Controller::Cpu) && controllers.iter().all(is_about_time)
            });
            trees.nest = alone.map(|(_, home)| Arc::new(Nest::new(Arc::clone(&home.dir))));
        }
        trees.abilities = trees.try_out(&why);
        if trees.abilities.nest.is_err() {
            trees.nest = None;
        }
        trees
    }

    fn none(why: &str) -> Self {
        Trees {
            v1: Vec::new(),
            v2: None,
            v2_memory: false,
            v2_cpu: false,
            v2_pids: false,
            nest: None,
            next: AtomicU64::new(0),
            births: Arc::default(),
            abilities: Abilities::none(why),
        }
    }

    fn homes(&self) -> impl Iterator<Item = &Home> {
        self.v1.iter().map(|(_, home)| home).chain(&self.v2)
    }

    /// Makes a group that holds nothing back yet.
    pub(super) fn make(&self) -> io::Result<Group> {
        let name = format!("g{}", self.next.fetch_add(1, Ordering::Relaxed));
        let made = self.make_in_each(&name);
        if made.is_err() {
            self.remove(&name).unwrap_or_default();
        }
        made
    }

    fn make_in_each(&self, name: &str) -> io::Result<Group> {
        let mut dirs = Vec::new();
        let mut v1 = V1::default();
        let mut hold: Option<Box<dyn Hold>> = None;
        let (mut real_time, mut spot) = (None, None);
        for (controllers, home) in &self.v1 {
            let dir = Arc::new(home.dir.make(name)?);
            for controller in controllers {
                let dir = Arc::clone(&dir);
                match controller {
                    Controller::Memory => v1.memory = Some(dir),
                    Controller::Cpu => {
                        let has_real_time = dir.has(RealTime::FILE);
                        let cpu = Arc::new(Cpu::new(dir, controllers.contains(&Controller::Cpuacct)));
                        real_time = has_real_time
                            .then(|| RealTime { outside: Arc::clone(&home.own), inside: Arc::clone(&cpu) });
                        let nest = self.nest.as_ref().map(Arc::clone);
                        spot = nest.map(|nest| Spot { nest, cpu: Arc::clone(&cpu) });
                        v1.cpu = Some(cpu);
                    }
                    Controller::Cpuacct if controllers.contains(&Controller::Cpu) => {}
                    Controller::Cpuacct => v1.cpuacct = Some(dir),
                    Controller::Pids => v1.pids = Some(dir),
                    Controller::Freezer => hold = Some(Box::new(ByFreezer(dir))),
                }
            }
            dirs.push(dir);
        }
        let v2 = self.v2.as_ref().map(|home| home.dir.make(name)).transpose()?.map(Arc::new);
        let mut controllers: Box<dyn Controllers> = Box::new(v1);
        if let Some(dir) = &v2 {
            dirs.push(Arc::clone(dir));
            if dir.has("cgroup.kill") && dir.has("cgroup.freeze") {
                hold = Some(Box::new(ByKernel::new(Arc::clone(dir))));
            }
            if self.v2_memory || self.v2_cpu || self.v2_pids {
                let (memory, cpu, pids) = (self.v2_memory, self.v2_cpu, self.v2_pids);
                controllers = Box::new(V2 { dir: Arc::clone(dir), memory, cpu, pids });
            }
        }
        controllers.prepare()?;
        let (name, state) = (name.to_owned(), Mutex::new(State::default()));
        let births = Arc::clone(&self.births);
        Ok(Group { name, dirs, v2, births, controllers, hold, real_time, spot, state })
    }

    /// Removes a group that is empty.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        self.homes().map(|home| home.dir.remove(name)).fold(Ok(()), io::Result::and)
    }

    /// Removes the homes, if no group is left in them.
    pub(super) fn close(&self) -> io::Result<()> {
        self.homes().map(Home::remove).fold(Ok(()), io::Result::and)
    }

    /// What can be had, found by having it.
    fn try_out(&self, why: &BTreeMap<&'static str, String>) -> Abilities {
        if self.homes().next().is_none() {
            return Abilities::none("no control group tree can be written to");
        }
        let group = match self.make() {
            Ok(group) => group,
            Err(error) => return Abilities::none(&format!("no control group can be made: {error}")),
        };
        let abilities = self.abilities_of(&group, why);
        let _ = group.set(&Bounds::default());
        let _ = self.remove(&group.name);
        abilities
    }

    fn nest_of(&self, group: &Group) -> Ability {
        let why = match (&self.nest, &self.v2) {
            (Some(_), _) => {
                let around = [CpuGroup { id: 0, weight: 100 }, CpuGroup { id: 1, weight: 50 }];
                return match group.set_around(&around) {
                    Ok(()) if group.is_by_itself() => Ok("cpu cgroup (v1)".to_owned()),
                    Ok(()) => Err("a control group in another can't be left".to_owned()),
                    Err(error) => Err(format!("no control group can be made in another: {error}")),
                };
            }
            (None, Some(_)) if self.v2_cpu => {
                "version 2 has one tree for all controllers, and memory does not move"
            }
            (None, _) if self.v1.is_empty() => "no such tree can be written to",
            (None, _) => "no tree divides CPU time alone",
        };
        Err(format!("cpu cgroup: {why}"))
    }

    fn abilities_of(&self, group: &Group, why: &BTreeMap<&'static str, String>) -> Abilities {
        let version = if self.v1.is_empty() { "2" } else { "1" };
        let can = |controller: &'static str, bounds: Bounds| -> Ability {
            match group.set(&bounds).and_then(|()| group.set(&Bounds::default())) {
                Ok(()) => Ok(format!("{controller} cgroup (v{version})")),
                Err(refused) if refused.errno == libc::ENODEV => {
                    let reason = why.get(controller).map_or("no such tree can be written to", String::as_str);
                    Err(format!("{controller} cgroup: {reason}"))
                }
                Err(refused) => Err(format!("{controller} cgroup: {}", crate::errno::Errno(refused.errno))),
            }
        };
        let none = Bounds::default();
        let memory_bytes = Some(64 << 20);
        Abilities {
            memory: can("memory", Bounds { memory_bytes, ..none }),
            swap: can("memory", Bounds { memory_bytes, swap_bytes: Some(0), ..none }),
            pids: can("pids", Bounds { pids: Some(64), ..none }),
            cpu: can("cpu", Bounds { cpu_percent: Some(50), cpu_weight: Some(50), ..none }),
            nest: self.nest_of(group),
            hold: match group.hold().map(|hold| hold.freeze(true).and_then(|()| hold.freeze(false))) {
                Some(Ok(())) if group.v2.is_some() => Ok("cgroup.kill".to_owned()),
                Some(Ok(())) => Ok("freezer cgroup (v1)".to_owned()),
                Some(Err(error)) => Err(format!("a group cannot be held still: {error}")),
                None => Err("no freezer cgroup, and no cgroup.kill before Linux 5.14".to_owned()),
            },
        }
    }
}

/// The homes in trees of the first version. Processor time is counted and groups are killed better by the second, if
/// only it is there.
fn v1_homes(layout: &Layout, name: ServerName, v2_can_kill: bool) -> Vec<(Vec<Controller>, Home)> {
    let mut dirs: BTreeMap<PathBuf, Vec<Controller>> = BTreeMap::new();
    for (controller, dir) in &layout.v1 {
        let is_of_use = match controller {
            Controller::Memory | Controller::Cpu | Controller::Pids => true,
            Controller::Cpuacct | Controller::Freezer => !v2_can_kill,
        };
        if is_of_use {
            dirs.entry(dir.clone()).or_default().push(*controller);
        }
    }
    let home = |(dir, controllers): (PathBuf, _)| Some((controllers, Home::make(&dir, name).ok()?));
    dirs.into_iter().filter_map(home).collect()
}
