//! Pressure: telling when something that is limited is nearly used up, and when it is no longer.
//!
//! Nobody who takes of a quota pays for this: one look in a while goes over what is held. So what is used up and given back
//! between two looks is not told of.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::Duration,
};

use crate::{Event, Pid, host, kernel::Inner, limits::Shares, process::Process};

/// How long between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// From how much of a hundred on there is pressure, and below how much there is none any more: what goes up and down
/// between the two is told once.
const HIGH: u64 = 90;
const LOW: u64 = 75;

/// Something of which there is only so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Area {
    /// Whose; nothing for what all share.
    pub pid: Option<Pid>,
    /// What: `pipes`, `queues`, `segments`, `output`, `sockets`, `environment`, `handles`, and of one process
    /// `files` and `file_nodes`; `memory` for what a program and
    /// its children have of their limit; `host` for the machine's memory.
    pub name: &'static str,
}

/// Where there was pressure at the last look.
#[derive(Default)]
struct Gauge {
    high: HashSet<Area>,
}

impl Gauge {
    /// Whether that has changed, and to what.
    fn look(&mut self, area: Area, used: u64, capacity: u64) -> Option<bool> {
        let part = u128::from(used) * 100;
        let of = |percent: u64| u128::from(capacity) * u128::from(percent);
        if capacity > 0 && part >= of(HIGH) {
            return self.high.insert(area).then_some(true);
        }
        (part < of(LOW) && self.high.remove(&area)).then_some(false)
    }

    /// Forgets who is not there any more.
    fn keep(&mut self, is_there: impl Fn(Pid) -> bool) {
        self.high.retain(|area| area.pid.is_none_or(&is_there));
    }
}

/// Looks again and again, as long as there is a kernel.
pub(crate) async fn watch(kernel: Weak<Inner>) {
    let mut gauge = Gauge::default();
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(kernel) = kernel.upgrade() else { return };
        let runtime = kernel.runtime.clone();
        // What programs have is read from the host.
        let looked = runtime.spawn_blocking(move || {
            look(&kernel, &mut gauge);
            gauge
        });
        let Ok(back) = looked.await else { return };
        gauge = back;
    }
}

fn look(kernel: &Arc<Inner>, gauge: &mut Gauge) {
    let mut tell = |area: Area, used: u64, capacity: u64| {
        if let Some(is_high) = gauge.look(area, used, capacity) {
            kernel.tell(|| Event::Pressure { area, used, capacity, is_high });
        }
    };
    for (name, used, capacity) in held(&kernel.quotas.all) {
        tell(Area { pid: None, name }, used, capacity);
    }
    let memory = host::memory();
    tell(Area { pid: None, name: "host" }, memory.total.saturating_sub(memory.available), memory.total);
    let (living, _) = kernel.processes.after(Pid(0), usize::MAX, |process| process.is_alive());
    for process in &living {
        let pid = Some(process.pid);
        for (name, used, capacity) in held(&process.share) {
            tell(Area { pid, name }, used, capacity);
        }
        let (used, limit) = (process.files.used(), process.files.limit());
        tell(Area { pid, name: "files" }, used.bytes, limit.bytes);
        tell(Area { pid, name: "file_nodes" }, used.nodes, limit.nodes);
        if let Some((used, capacity)) = of_program(process) {
            tell(Area { pid, name: "memory" }, used, capacity);
        }
    }
    let living: HashSet<Pid> = living.iter().map(|process| process.pid).collect();
    gauge.keep(|pid| living.contains(&pid));
}

fn held(shares: &Shares) -> [(&'static str, u64, u64); 7] {
    [
        ("pipes", &shares.pipe_bytes),
        ("queues", &shares.queue_bytes),
        ("segments", &shares.shm_bytes),
        ("output", &shares.output_bytes),
        ("sockets", &shares.socket_bytes),
        ("environment", &shares.environment_bytes),
        ("handles", &shares.handles),
    ]
    .map(|(name, quota)| (name, quota.used(), quota.limit()))
}

/// What a program has of the memory that it is limited to.
fn of_program(process: &Process) -> Option<(u64, u64)> {
    let program = process.program.as_ref()?;
    let limit = program.hold.lock().limits.memory_bytes?;
    Some((program.child()?.usage().memory_bytes?, limit))
}

#[cfg(test)]
mod tests {
    use super::{Area, Gauge, Pid};

    #[test]
    fn what_goes_up_and_down_is_told_once() {
        let (mut gauge, area) = (Gauge::default(), Area { pid: Some(Pid(7)), name: "pipes" });
        let told: Vec<_> = [0, 89, 90, 100, 89, 75, 95, 74, 80, 90, 74]
            .into_iter()
            .filter_map(|used| gauge.look(area, used, 100).map(|is_high| (used, is_high)))
            .collect();
        assert_eq!(told, [(90, true), (74, false), (90, true), (74, false)]);
        // Nothing of nothing is no pressure, and large numbers are numbers.
        assert_eq!(gauge.look(area, 0, 0), None);
        assert_eq!(gauge.look(area, u64::MAX, u64::MAX), Some(true));
        // Each is told apart, and who is gone is forgotten.
        let other = Area { pid: None, ..area };
        assert_eq!(gauge.look(other, 95, 100), Some(true));
        gauge.keep(|_| false);
        assert_eq!(gauge.look(area, 95, 100), Some(true));
        assert_eq!(gauge.look(other, 95, 100), None);
    }
}
