//! Figures of the host, read from `/proc`. Where that is not mounted there are none, which is no error: they are zero.

mod text;

use std::{
    collections::{HashMap, HashSet},
    fs,
    sync::Arc,
};

use text::OsProcess;

use uos_proc::Child;

use crate::process::{Process, Program};

/// What is known of the machine.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) os_name: String,
    pub(crate) kernel: String,
    pub(crate) name: String,
    pub(crate) load: [f64; 3],
    pub(crate) cpu_busy_us: u64,
    pub(crate) cpu_total_us: u64,
    pub(crate) boot_time_us: i64,
}

/// Memory of the machine, and what this program takes of it.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) available: u64,
    pub(crate) own: u64,
}

/// What a program and everything it has started take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    pub(crate) cpu_us: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) os_processes: u64,
    pub(crate) threads: u64,
}

pub(crate) fn look() -> Host {
    let stat = read("/proc/stat");
    let ticks = text::cpu_ticks(&stat);
    let kernel = [read("/proc/sys/kernel/ostype"), read("/proc/sys/kernel/osrelease")];
    Host {
        os_name: text::os_name(&read("/etc/os-release")).unwrap_or_default(),
        kernel: kernel.map(|part| part.trim().to_owned()).join(" ").trim().to_owned(),
        name: read("/proc/sys/kernel/hostname").trim().to_owned(),
        load: text::load(&read("/proc/loadavg")).unwrap_or_default(),
        cpu_busy_us: ticks.map_or(0, |ticks| us(ticks.busy)),
        cpu_total_us: ticks.map_or(0, |ticks| us(ticks.total)),
        boot_time_us: text::boot_seconds(&stat).unwrap_or(0).saturating_mul(1_000_000),
    }
}

pub(crate) fn memory() -> Memory {
    let (total, available) = text::memory(&read("/proc/meminfo")).unwrap_or_default();
    let own = text::resident_pages(&read("/proc/self/statm")).map_or(0, bytes);
    Memory { total, available, own }
}

/// What a process of the host does, by the letter that `/proc` has for it.
pub(crate) fn state_letter(os_pid: u32) -> Option<char> {
    let stat = read(&format!("/proc/{os_pid}/stat"));
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// The CPUs that this program, and so what it starts, may run on.
pub(crate) fn own_cpus() -> Vec<u32> {
    let Ok(own) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..rustix::thread::CpuSet::MAX_CPU).filter(|&cpu| own.is_set(cpu)).map(|cpu| cpu as u32).collect()
}

/// All processes of the host at one time: reading them once serves any number of programs.
pub(crate) struct OsProcesses {
    all: HashMap<u32, OsProcess>,
    children: HashMap<u32, Vec<u32>>,
    sessions: HashMap<u32, Vec<u32>>,
}

impl OsProcesses {
    pub(crate) fn read() -> Self {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Self::new(
            pids.filter_map(|pid: u32| Some((pid, text::os_process(&read(&format!("/proc/{pid}/stat")))?))),
        )
    }

    /// For processes without a program there is nothing to read.
    pub(crate) fn read_for<'a>(processes: impl IntoIterator<Item = &'a Arc<Process>>) -> Self {
        let running = |process: &Arc<Process>| process.program.as_ref().and_then(Program::child).is_some();
        if processes.into_iter().any(running) { Self::read() } else { Self::new([]) }
    }

    fn new(processes: impl IntoIterator<Item = (u32, OsProcess)>) -> Self {
        let all: HashMap<_, _> = processes.into_iter().collect();
        let (mut children, mut sessions) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for (&pid, process) in &all {
            children.entry(process.parent).or_default().push(pid);
            sessions.entry(process.session).or_default().push(pid);
        }
        Self { all, children, sessions }
    }

    /// What the program of a process takes, with everything it has started; after its end, what its program has used.
    pub(crate) fn footprint(&self, process: &Process) -> Footprint {
        let usage = process.usage();
        let own = Footprint {
            cpu_us: usage.cpu_user_us + usage.cpu_system_us,
            memory_bytes: usage.rss_bytes,
            ..Footprint::default()
        };
        let Some(child) = process.program.as_ref().and_then(Program::child) else { return own };
        let tree = self.tree(child.os_pid());
        // Its number was its own all the while only if it hasn't exited even now. Nor need it be one of this host's.
        if tree.os_processes == 0 || child.try_wait().is_some() { own } else { tree }
    }

    /// The host's processes that a program is and has started; none if it is no process of this host that we have started.
    pub(crate) fn members(&self, child: &Child) -> Vec<u32> {
        let leader = child.os_pid();
        let is_ours = self.all.get(&leader).is_some_and(|process| process.parent == std::process::id());
        if is_ours && child.try_wait().is_none() { self.below(leader) } else { Vec::new() }
    }

    /// The one that a program begins as. Its leader may only look after it.
    pub(crate) fn first(&self, child: &Child, is_looked_after: bool) -> Option<u32> {
        let members = self.members(child);
        let leader = *members.first()?;
        let child = self.children.get(&leader).and_then(|children| children.iter().min().copied());
        Some(child.filter(|_| is_looked_after).unwrap_or(leader))
    }

    /// The CPUs on which any of a program's processes has a CPU or waits for one.
    pub(crate) fn ready_on(&self, child: &Child) -> Vec<u32> {
        let ready = |pid: &u32| self.all.get(pid).filter(|process| process.is_ready)?.cpu;
        let mut cpus: Vec<u32> = self.members(child).iter().filter_map(ready).collect();
        cpus.sort_unstable();
        cpus.dedup();
        cpus
    }

    fn tree(&self, leader: u32) -> Footprint {
        let mut sum = Footprint::default();
        for process in self.below(leader).iter().filter_map(|pid| self.all.get(pid)) {
            sum.cpu_us += us(process.cpu_ticks);
            sum.memory_bytes += bytes(process.resident_pages);
            sum.os_processes += 1;
            sum.threads += process.threads;
        }
        sum
    }

    /// Every program leads a session of its own. Those that left it, by a session of their own, are still found by descent.
    /// The leader comes first.
    fn below(&self, leader: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        let mut next = vec![leader];
        if self.all.get(&leader).is_some_and(|process| process.session == leader) {
            next.splice(0..0, self.sessions.get(&leader).into_iter().flatten().copied());
        }
        while let Some(pid) = next.pop() {
            if self.all.contains_key(&pid) && seen.insert(pid) {
                found.push(pid);
                next.extend(self.children.get(&pid).into_iter().flatten());
            }
        }
        found
    }
}

fn read(path: &str) -> String {
    // Names of programs and hosts may be anything but text.
    fs::read(path).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn us(ticks: u64) -> u64 {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    (u128::from(ticks) * 1_000_000 / u128::from(per_second)) as u64
}

fn bytes(pages: u64) -> u64 {
    pages.saturating_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::{OsProcess, OsProcesses};

    #[test]
    fn a_tree_is_the_session_and_its_descendants_each_once() {
        let process = |parent, session| OsProcess {
            parent,
            session,
            cpu_ticks: 1,
            threads: 2,
            resident_pages: 3,
            is_ready: parent == 10,
            cpu: Some(4),
        };
        let all = OsProcesses::new([
            (1, process(0, 1)),
            (10, process(1, 10)),
            (11, process(10, 10)),
            // Its parent has exited, so it is the host's child now.
            (12, process(1, 10)),
            // It has begun a session of its own.
            (13, process(11, 13)),
            (14, process(13, 13)),
            (20, process(1, 20)),
        ]);
        let count = |leader| (all.tree(leader).os_processes, all.tree(leader).threads);
        assert_eq!((count(10), count(20), count(99)), ((5, 10), (1, 2), (0, 0)));
        // One that leads no session has no more than its descendants; a ring, which no kernel shows, ends too.
        assert_eq!(count(11), (3, 6));
        let ring = OsProcesses::new([(5, process(6, 5)), (6, process(5, 5))]);
        assert_eq!(ring.tree(5).os_processes, 2);
    }
}
