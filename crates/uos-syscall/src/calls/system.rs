//! Time, chance and the scheduler.

use std::time::Duration;

use uos_proto::v1;
use uos_vfs::{Clock, SystemClock};

use super::LONGEST;
use crate::{
    Errno, Error,
    admit::{Absent, Cx},
    perform::{Syscall, Waiting},
    target::{Scope, System},
};

impl Syscall for v1::GetUptime {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::GetUptimeReply, Error> {
        Ok(v1::GetUptimeReply { uptime_us: cx.kernel().since_start(cx.started()).as_micros() as u64 })
    }
}

impl Syscall for v1::GetCurrentTime {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, _cx: Cx<'_, &System>) -> Result<v1::GetCurrentTimeReply, Error> {
        Ok(v1::GetCurrentTimeReply { time_us: now_us() })
    }
}

/// The time of day, by the host's clock, which files in memory take theirs from too: none that is changed from now on is older.
pub(super) fn now_us() -> i64 {
    SystemClock.now().as_micros()
}

impl Waiting for v1::Sleep {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    async fn run(&self, _cx: Cx<'_, System>) -> Result<v1::SleepReply, Error> {
        let duration = Duration::from_micros(self.duration_us);
        if duration > LONGEST {
            return Err(Error::invalid("duration_us", "at most 366 days"));
        }
        tokio::time::sleep(duration).await;
        Ok(v1::SleepReply {})
    }
}

impl Syscall for v1::GetSchedulerStats {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    /// What programs have used is read from the host.
    fn blocks(_target: &System) -> bool {
        true
    }

    fn run(&self, cx: Cx<'_, &System>) -> Result<v1::GetSchedulerStatsReply, Error> {
        let kernel = cx.kernel();
        for process in kernel.processes.living() {
            if process.program.is_some() {
                kernel.tell_scheduler(&process, process.usage());
            }
        }
        let stats = kernel.scheduler.lock().stats();
        Ok(v1::GetSchedulerStatsReply {
            policy: stats.policy.to_owned(),
            scheduled: stats.scheduled,
            context_switches: stats.context_switches,
            preemptions: stats.preemptions,
            active: stats.active as u64,
            runtime_us: stats.runtime.as_micros(),
        })
    }
}

/// How many random bytes one call gives.
const MOST_RANDOM: u32 = 64 << 10;

impl Syscall for v1::GetRandom {
    type Target = System;

    fn target(&self, _scope: &Scope<'_>) -> Result<System, Absent> {
        Ok(System)
    }

    fn run(&self, _cx: Cx<'_, &System>) -> Result<v1::GetRandomReply, Error> {
        if !(1..=MOST_RANDOM).contains(&self.length) {
            return Err(Error::invalid(
                "length",
                format_args!("1 to {MOST_RANDOM} bytes, not {}", self.length),
            ));
        }
        let mut data = vec![0; self.length as usize];
        getrandom::fill(&mut data)
            .map_err(|error| Error::new(Errno::EIO, format!("no random bytes: {error}")))?;
        Ok(v1::GetRandomReply { data: data.into() })
    }
}
