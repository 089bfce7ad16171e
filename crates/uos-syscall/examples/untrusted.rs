//! Runs a program that nobody trusts, with three grants: it may read what is in one folder, write to another, and be started.
//!
//! `cargo run -p uos-syscall --example untrusted` has a shell count the words of a folder, and then look where it may not.

use uos_proc::LinuxSpawner;
use uos_proto::v1::{ReadOutput, SpawnProcess, WaitProcess, call::Call, reply::Reply};
use uos_syscall::{Caller, Kernel, namespace};

const JOB: &str = "cat /in/* | wc -w > /out/words; cat /etc/shadow; echo ran as $(id -u)";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (input, output) = (tempfile::tempdir()?, tempfile::tempdir()?);
    std::fs::write(input.path().join("text"), "what is counted here")?;
    let mounts = namespace::standard(namespace::Capacity::default())?;
    namespace::mount_host(&mounts, "/in", input.path(), true)?;
    namespace::mount_host(&mounts, "/out", output.path(), false)?;
    let kernel = Kernel::builder(mounts, LinuxSpawner::new()?).start()?;

    let job = SpawnProcess {
        program: "/bin/sh".into(),
        args: vec!["-c".into(), JOB.into()],
        env: vec!["PATH=/usr/bin:/bin".into()],
        grants: vec!["fs.read:/in/**".into(), "fs.read:/out/**".into(), "fs.write:/out/**".into()],
        ..Default::default()
    };
    let Reply::SpawnProcess(started) = ask(&kernel, &kernel.init(), job).await? else { unreachable!() };
    let pid = started.pid;
    ask(&kernel, &kernel.init(), WaitProcess { pid, timeout_us: None }).await?;
    let said = ask(&kernel, &kernel.init(), ReadOutput { pid, ..Default::default() }).await?;
    let Reply::ReadOutput(said) = said else { unreachable!() };
    print!("it said: {}", String::from_utf8_lossy(&said.data));
    print!("it wrote: {}", std::fs::read_to_string(output.path().join("words"))?);
    kernel.shut_down().await;
    Ok(())
}

async fn ask(kernel: &Kernel, who: &Caller, call: impl Into<Call>) -> Result<Reply, uos_syscall::Error> {
    kernel.invoke(who, call.into()).await
}
