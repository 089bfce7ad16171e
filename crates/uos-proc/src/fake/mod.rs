//! Scripts in place of programs, for tests of code that spawns.

mod process;
mod script;
mod stream;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::check::{invalid, judge};
use crate::{Child, Enforcement, Means, SpawnError, Spawner, Spec, Stdio, Support};
pub use script::{Gate, Script};

/// Above the highest process id Linux gives (4,194,304), so that a scripted child's is never a real one's.
const FIRST_OS_PID: u32 = 0x4000_0001;

type Author = dyn Fn(&Spec) -> Result<Script, SpawnError> + Send + Sync;

/// Plays a [`Script`] for each spec. It starts no process and no thread, reads no clock and needs no runtime;
/// what its children do depends on nothing but the scripts and the calls made on them.
///
/// Every guarantee counts as enforced, because no program runs that could break one; see
/// [`with_support`](FakeSpawner::with_support) for a machine that lacks some.
///
/// ```
/// use uos_proc::{ExitCause, FakeSpawner, Script, Spawner, Spec};
///
/// let spawner = FakeSpawner::new(|_| Ok(Script::new().stdout("ready\n").exit(3)));
/// let child = spawner.spawn(Spec::new("/bin/anything")).unwrap();
/// assert_eq!(child.try_wait().unwrap().cause, ExitCause::Exited(3));
/// ```
pub struct FakeSpawner {
    script: Box<Author>,
    support: Support,
    next_os_pid: AtomicU32,
}

impl FakeSpawner {
    /// A spawner that asks `script` what the child of a spec does, or with which error its start fails.
    pub fn new(script: impl Fn(&Spec) -> Result<Script, SpawnError> + Send + Sync + 'static) -> Self {
        FakeSpawner {
            script: Box::new(script),
            support: Support::new(|_| Means::Enforced { by: "a script: no program runs".into() }),
            next_os_pid: AtomicU32::new(FIRST_OS_PID),
        }
    }

    /// The same spawner on a machine that can enforce only this.
    #[must_use]
    pub fn with_support(mut self, support: Support) -> Self {
        self.support = support;
        self
    }
}

impl Spawner for FakeSpawner {
    fn probe(&self) -> Support {
        self.support.clone()
    }

    fn plan(&self, spec: &Spec) -> Result<Enforcement, SpawnError> {
        let enforcement = judge(&self.support, spec)?;
        if matches!(spec.stdin, Stdio::Fd(_)) {
            // Reading it could block, and a script has no thread of its own to block.
            return invalid("stdin", "a script reads a pipe or nothing");
        }
        if [&spec.stdin, &spec.stdout, &spec.stderr].iter().any(|stdio| matches!(stdio, Stdio::Pty)) {
            return invalid("stdio", "a script has no terminal");
        }
        Ok(enforcement)
    }

    fn spawn(&self, spec: Spec) -> Result<Child, SpawnError> {
        let enforcement = self.plan(&spec)?;
        let script = (self.script)(&spec)?;
        let os_pid = self.next_os_pid.fetch_add(1, Ordering::Relaxed);
        let (process, streams) = process::start(os_pid, script, spec);
        Ok(Child::new(process, streams, enforcement))
    }
}

impl fmt::Debug for FakeSpawner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeSpawner")
    }
}
