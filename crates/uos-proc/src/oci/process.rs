//! The handle of one container.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bollard::errors::Error;
use bollard::models::{ContainerStatsResponse, ContainerUpdateBody};
use bollard::query_parameters::StatsOptions;
use futures_util::StreamExt;

use super::course::Course;
use super::engine::Engine;
use super::{config, errno, fixed};
use crate::check::check_limits;
use crate::child::Process;
use crate::{Exit, ExitCause, Limits, LimitsError, OnDrop, PtySize, Signal, SignalError, SpawnError, Usage};

pub(super) struct OciProcess {
    engine: Arc<Engine>,
    course: Arc<Course>,
    os_pid: u32,
    on_drop: OnDrop,
}

impl OciProcess {
    pub(super) fn new(engine: Arc<Engine>, course: Arc<Course>, os_pid: u32, on_drop: OnDrop) -> Self {
        OciProcess { engine, course, os_pid, on_drop }
    }

    /// Asks the engine for something that only one that has not ended can do.
    fn if_alive<F>(&self, ask: impl FnOnce(Arc<Course>) -> F) -> Result<(), SignalError>
    where
        F: Future<Output = Result<(), Error>> + Send + 'static,
    {
        if self.course.exit().is_some() {
            return Err(SignalError::NoSuchProcess);
        }
        match self.engine.ask(ask(Arc::clone(&self.course))) {
            Some(Ok(())) => Ok(()),
            None => Err(SignalError::NoSuchProcess),
            // It has ended meanwhile, or is not as it would have to be. Only its state tells which.
            Some(Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }))
                if !self.is_running() =>
            {
                Err(SignalError::NoSuchProcess)
            }
            Some(Err(error)) => Err(SignalError::Refused { errno: errno(&error) }),
        }
    }

    fn is_running(&self) -> bool {
        let course = Arc::clone(&self.course);
        let told = self.engine.ask(async move { course.docker.inspect_container(&course.id, None).await });
        let state = told.and_then(Result::ok).and_then(|told| told.state);
        state.and_then(|state| state.running) == Some(true)
    }

    /// What is to be told of `wanted`, which was checked, where now `current` holds.
    fn update(wanted: &Limits, current: &Limits) -> Result<ContainerUpdateBody, LimitsError> {
        // Zero is "as it is" to an engine, so that what has been limited can't be let go.
        let lifted = [
            ("memory_bytes", current.memory_bytes.is_some() && wanted.memory_bytes.is_none()),
            ("cpu_percent", current.cpu_percent.is_some() && wanted.cpu_percent.is_none()),
        ];
        if let Some((name, _)) = lifted.into_iter().find(|(_, is_lifted)| *is_lifted) {
            return Err(LimitsError::Unsupported { name });
        }
        let told = |error| match error {
            SpawnError::Invalid { field, why } => LimitsError::Invalid { field, why },
            _ => LimitsError::Unsupported { name: "memory_bytes" },
        };
        let (memory, memory_swap) = config::memory(wanted).map_err(told)?;
        let pids = config::number("limits.pids", wanted.pids).map_err(told)?;
        Ok(ContainerUpdateBody {
            memory,
            memory_swap,
            pids_limit: (wanted.pids != current.pids).then(|| pids.unwrap_or(-1)),
            nano_cpus: wanted.cpu_percent.map(config::nano_cpus),
            cpu_shares: (wanted.cpu_weight != current.cpu_weight)
                .then(|| config::shares(wanted.cpu_weight.unwrap_or(100))),
            ..ContainerUpdateBody::default()
        })
    }
}

impl Process for OciProcess {
    fn os_pid(&self) -> u32 {
        self.os_pid
    }

    fn wait(&self) -> Pin<Box<dyn Future<Output = Exit> + Send + '_>> {
        let mut exit = self.course.exit.subscribe();
        Box::pin(async move {
            let told = exit.wait_for(Option::is_some).await.ok().and_then(|exit| *exit);
            // The other end is part of this process.
            told.expect("an exit is told before the teller goes")
        })
    }

    fn try_wait(&self) -> Option<Exit> {
        self.course.exit()
    }

    fn signal(&self, signal: Signal) -> Result<(), SignalError> {
        self.if_alive(|course| async move { course.kill(signal).await })
    }

    fn kill_tree(&self) -> Result<(), SignalError> {
        self.if_alive(|course| async move {
            course.is_to_end_by(ExitCause::Killed);
            course.kill(Signal::KILL).await
        })
    }

    fn set_nice(&self, nice: i32) -> Result<(), SignalError> {
        let errno = if (-20..=19).contains(&nice) { libc::EOPNOTSUPP } else { libc::EINVAL };
        self.if_alive(|_| async { Ok(()) })?;
        Err(SignalError::Refused { errno })
    }

    /// Into which group it would have to go, and back, is the engine's affair.
    fn set_real_time(&self, _: bool) -> Result<(), SignalError> {
        self.if_alive(|_| async { Ok(()) })?;
        Err(SignalError::Refused { errno: libc::EOPNOTSUPP })
    }

    fn set_limits(&self, limits: &Limits) -> Result<(), LimitsError> {
        check_limits(limits)?;
        if self.course.exit().is_some() {
            return Err(LimitsError::NoSuchProcess);
        }
        for ((field, wanted), (_, start)) in fixed(limits).into_iter().zip(fixed(&self.course.start)) {
            if wanted.is_some() && wanted != start {
                return Err(LimitsError::Invalid { field, why: "fixed at the start".into() });
            }
        }
        let body = Self::update(limits, &self.course.limits())?;
        let course = Arc::clone(&self.course);
        let asked = self.engine.ask(async move { course.docker.update_container(&course.id, body).await });
        match asked {
            Some(Ok(())) => {
                self.course.note_limits(*limits);
                Ok(())
            }
            Some(Err(error)) if self.is_running() => {
                Err(LimitsError::Refused { name: "memory_bytes", errno: errno(&error) })
            }
            _ => Err(LimitsError::NoSuchProcess),
        }
    }

    fn pause(&self) -> Result<(), SignalError> {
        self.if_alive(|course| async move { course.docker.pause_container(&course.id).await })
    }

    fn resume(&self) -> Result<(), SignalError> {
        self.if_alive(|course| async move { course.docker.unpause_container(&course.id).await })
    }

    fn resize(&self, _: PtySize) -> Result<(), SignalError> {
        Err(SignalError::Refused { errno: libc::ENOTTY })
    }

    fn usage(&self) -> Usage {
        if let Some(exit) = self.course.exit() {
            return exit.usage;
        }
        let course = Arc::clone(&self.course);
        let options = StatsOptions { stream: false, one_shot: true };
        let told = self.engine.ask(async move {
            let mut stats = std::pin::pin!(course.docker.stats(&course.id, Some(options)));
            stats.next().await
        });
        if let Some(Some(Ok(stats))) = told {
            self.course.note_usage(usage(&stats, self.course.usage()));
        }
        // It may have ended while it was asked.
        self.course.exit().map_or_else(|| self.course.usage(), |exit| exit.usage)
    }
}

/// What an engine says, in our terms, with the peaks of what it said before.
fn usage(stats: &ContainerStatsResponse, before: Usage) -> Usage {
    let cpu = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref());
    let us = |ns: Option<u64>| ns.map_or(0, |ns| ns / 1000);
    let memory = stats.memory_stats.as_ref();
    let memory_bytes = memory.and_then(|memory| memory.usage);
    let peak = memory.and_then(|memory| memory.max_usage).or(memory_bytes);
    Usage {
        cpu_user_us: us(cpu.and_then(|cpu| cpu.usage_in_usermode)).max(before.cpu_user_us),
        cpu_system_us: us(cpu.and_then(|cpu| cpu.usage_in_kernelmode)).max(before.cpu_system_us),
        memory_bytes,
        peak_memory_bytes: peak.max(before.peak_memory_bytes),
        pids: stats.pids_stats.as_ref().and_then(|pids| pids.current),
        ..Usage::default()
    }
}

/// The container is killed if it still runs and is not let go. It is removed when it has ended, by its course.
impl Drop for OciProcess {
    fn drop(&mut self) {
        if self.course.exit().is_none() && self.on_drop == OnDrop::Kill {
            let course = Arc::clone(&self.course);
            self.engine.tell(async move {
                course.is_to_end_by(ExitCause::Killed);
                let _ = course.kill(Signal::KILL).await;
            });
        }
        self.course.released.send_replace(true);
    }
}
