//! A kernel with one of its leaves replaced: programs are started by a spawner of one's own, which here asks a list first
//! and leaves the rest to the one that comes with uOS. Files, rights, handles and the audit stay what they are.
//!
//! `cargo run -p uos-syscall --example own_spawner`

use uos_proc::{Child, Enforcement, LinuxSpawner, SpawnError, Spawner, Spec, Support};
use uos_proto::v1::{SandboxLevel, SpawnProcess, WaitProcess};
use uos_syscall::{Kernel, audit, namespace};

/// Starts only what has one of these names.
struct Listed {
    names: &'static [&'static str],
    host: LinuxSpawner,
}

impl Spawner for Listed {
    fn probe(&self) -> Support {
        self.host.probe()
    }

    fn plan(&self, spec: &Spec) -> Result<Enforcement, SpawnError> {
        self.look(spec)?;
        self.host.plan(spec)
    }

    fn spawn(&self, spec: Spec) -> Result<Child, SpawnError> {
        self.look(&spec)?;
        self.host.spawn(spec)
    }
}

impl Listed {
    fn look(&self, spec: &Spec) -> Result<(), SpawnError> {
        let name = spec.args.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if self.names.contains(&&*name) {
            return Ok(());
        }
        Err(SpawnError::Invalid { field: "program", why: format!("{name} is not on the list").into() })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let spawner = Listed { names: &["/usr/bin/true"], host: LinuxSpawner::new()? };
    let records = audit::Memory::new(100);
    let mounts = namespace::standard(namespace::Capacity::default())?;
    let kernel = Kernel::builder(mounts, spawner).audit(records.clone()).start()?;
    let level = SandboxLevel::Privileged.into();
    for program in ["/usr/bin/true", "/usr/bin/whoami"] {
        let spawn = SpawnProcess { program: program.into(), level, ..Default::default() };
        match kernel.invoke(&kernel.init(), spawn.into()).await {
            Ok(_) => println!("{program} was started"),
            Err(error) => println!("{program} was not: {error}"),
        }
    }
    // Whatever came of a call, it was recorded once.
    let _ = kernel.invoke(&kernel.init(), WaitProcess { pid: 2, timeout_us: None }.into()).await;
    kernel.audit().flush();
    for record in records.records() {
        println!("recorded: {} on {:?}: {:?}", record.call.name, record.subject, record.outcome);
    }
    kernel.shut_down().await;
    Ok(())
}
