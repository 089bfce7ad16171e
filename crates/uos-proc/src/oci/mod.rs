//! Programs in containers, by the interface that Docker and Podman offer on a local socket.
//!
//! `engine` is the thread that talks to it, `means` what it says it can enforce, `config` a spec in its words, `course` the
//! life of one container from its start to its removal, and `process` the handle.

mod config;
mod course;
mod engine;
mod means;
mod process;
mod streams;

use std::path::Path;
use std::sync::Arc;

use bollard::container::AttachContainerResults;
use bollard::errors::Error;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::AttachContainerOptions;

use crate::check::judge;
use crate::{Child, Enforcement, Limits, SpawnError, Spawner, Spec, Stage, Stdio, Support};
use config::Surroundings;
use course::{Course, Ends};
use engine::Engine;

/// Starts programs in containers of one image, by an engine that speaks Docker's interface on a local socket: Docker
/// itself, or Podman's service.
///
/// The program is a path inside the image, which takes the place of the system's programs; it has to be there already,
/// since nothing is ever fetched. A container is made for each program and removed when it has ended and its output has
/// been read, or when the last handle of it is dropped.
///
/// What the engine enforces in its own way is weakened, and has to be accepted by name: the calls it lets through are the
/// engine's own list; it adds `PATH`, `HOME` and `HOSTNAME` and what the image says to the environment; and when the
/// spawning program is killed its containers run on until the next spawner removes them. At Privileged, too, a program has
/// the container's view and not the host's, the image's user and the engine's network.
///
/// Refused are terminals, descriptors of any kind, niceness, another `argv[0]` than the program's path, text that is not
/// UTF-8, and mounts that are not to be executed. An exit code from 129 to 192 is told as the signal that it stands for,
/// though a program may end with such a number by itself. Both outputs come in one stream: who reads one of two
/// pipes alone holds up both. Usage is what the engine said when it was last asked.
///
/// Every call waits for an answer of the engine, some milliseconds as a rule.
#[derive(Debug)]
pub struct OciSpawner {
    engine: Arc<Engine>,
    image: String,
    /// Whom programs run as at Minimal and Standard.
    user: String,
    support: Support,
}

/// Why there is no spawner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// Nothing that could be spoken with is there.
    #[error("no engine answers at {socket}: {why}")]
    Unreachable {
        /// The path of the socket.
        socket: String,
        /// What happened instead.
        why: String,
    },
    /// The engine has no such image.
    #[error("the engine has no image {image}: {why}")]
    NoImage {
        /// Its name.
        image: String,
        /// What the engine said.
        why: String,
    },
}

/// Nobody, on every system.
const NOBODY: &str = "65534:65534";

impl OciSpawner {
    /// A spawner of containers of `image`, by the engine at `socket`. Containers that spawners of killed programs left there
    /// are removed.
    pub fn connect(socket: impl AsRef<Path>, image: impl Into<String>) -> Result<Self, OciError> {
        let image = image.into();
        let shown = socket.as_ref().display().to_string();
        let unreachable = |why| OciError::Unreachable { socket: shown.clone(), why };
        let engine = Engine::connect(&shown).map_err(unreachable)?;
        let (docker, name) = (engine.docker().clone(), image.clone());
        let asked = engine.ask(async move { (docker.info().await, docker.inspect_image(&name).await) });
        let (info, inspected) = asked.ok_or_else(|| unreachable("its thread has ended".to_owned()))?;
        let info = info.map_err(|error| unreachable(error.to_string()))?;
        if let Err(error) = inspected {
            return Err(OciError::NoImage { image, why: error.to_string() });
        }
        engine.remove_left_behind();
        let support = means::support(&info);
        Ok(OciSpawner { engine: Arc::new(engine), image, user: NOBODY.to_owned(), support })
    }

    /// The same, but with programs at Minimal and Standard run by this user and group of the container, as in
    /// `1000:1000`. Without, they are run by nobody.
    #[must_use]
    pub fn with_user(mut self, user: impl Into<String>) -> Self {
        self.user = user.into();
        self
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { image: &self.image, user: &self.user, label: self.engine.label() }
    }

    fn planned(&self, spec: &Spec) -> Result<(Enforcement, ContainerCreateBody), SpawnError> {
        let enforcement = judge(&self.support, spec)?;
        Ok((enforcement, config::of(spec, &self.surroundings())?))
    }
}

impl Spawner for OciSpawner {
    fn probe(&self) -> Support {
        self.support.clone()
    }

    fn plan(&self, spec: &Spec) -> Result<Enforcement, SpawnError> {
        self.planned(spec).map(|(enforcement, _)| enforcement)
    }

    fn spawn(&self, spec: Spec) -> Result<Child, SpawnError> {
        let (enforcement, body) = self.planned(&spec)?;
        let docker = self.engine.docker().clone();
        let begin = async move { begin(&docker, body).await };
        let (id, os_pid, attached) = self.engine.ask(begin).ok_or(SpawnError::Gone)??;
        let is_pipe = |stdio: &Stdio| matches!(stdio, Stdio::Pipe);
        let (ends, streams) =
            Ends::new(attached, [is_pipe(&spec.stdin), is_pipe(&spec.stdout), is_pipe(&spec.stderr)]);
        let limits = spec.limits.or_of(spec.level);
        let course = Course::start(&self.engine, id, limits, ends, spec.deadline).ok_or(SpawnError::Gone)?;
        let process = process::OciProcess::new(Arc::clone(&self.engine), course, os_pid, spec.on_drop);
        Ok(Child::new(process, streams, enforcement))
    }
}

/// The containers end with their spawner.
impl Drop for OciSpawner {
    fn drop(&mut self) {
        self.engine.close();
    }
}

/// A container that runs: its id, its first process as the host sees it, and its streams. If any step fails, nothing of
/// it is left.
async fn begin(
    docker: &bollard::Docker,
    body: ContainerCreateBody,
) -> Result<(String, u32, AttachContainerResults), SpawnError> {
    let stdin = body.open_stdin == Some(true);
    let made = docker.create_container(None, body).await;
    let id = made.map_err(|error| failed(Stage::Clone, &error))?.id;
    let begun = async {
        // Before the start, so that nothing it says is lost.
        let options =
            AttachContainerOptions { stream: true, stdin, stdout: true, stderr: true, ..Default::default() };
        let attached = docker.attach_container(&id, Some(options)).await;
        let attached = attached.map_err(|error| failed(Stage::Stdio, &error))?;
        docker.start_container(&id, None).await.map_err(|error| failed(Stage::Exec, &error))?;
        Ok(attached)
    };
    match begun.await {
        Ok(attached) => {
            // One that has ended has no process any more, and that is no reason to fail.
            let state = docker.inspect_container(&id, None).await.ok().and_then(|told| told.state);
            let pid = state.and_then(|state| state.pid).and_then(|pid| u32::try_from(pid).ok());
            Ok((id, pid.unwrap_or(0), attached))
        }
        Err(error) => {
            engine::remove(docker, &id).await;
            Err(error)
        }
    }
}

fn failed(stage: Stage, error: &Error) -> SpawnError {
    SpawnError::Stage { stage, errno: errno(error) }
}

/// What the engine says, as an error number. Of what the runtime below it was refused, only the text tells.
fn errno(error: &Error) -> i32 {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
            match status_code {
                _ if says(&["permission denied"]) => libc::EACCES,
                _ if says(&["exec format error"]) => libc::ENOEXEC,
                404 => libc::ENOENT,
                _ if says(&["no such file or directory", "executable file not found"]) => libc::ENOENT,
                400 => libc::EINVAL,
                403 => libc::EPERM,
                409 => libc::EBUSY,
                _ => libc::EIO,
            }
        }
        Error::IOError { err } => err.raw_os_error().unwrap_or(libc::EIO),
        Error::RequestTimeoutError => libc::ETIMEDOUT,
        Error::SocketNotFoundError(_) => libc::ENOENT,
        // Nobody listens any more.
        Error::HyperLegacyError { .. } | Error::HyperResponseError { .. } => libc::ECONNREFUSED,
        _ => libc::EIO,
    }
}

/// What of `limits` holds for each process on its own, and so is fixed at the start.
fn fixed(limits: &Limits) -> [(&'static str, Option<u64>); 3] {
    [
        ("limits.open_files", limits.open_files),
        ("limits.file_size_bytes", limits.file_size_bytes),
        ("limits.cpu_seconds", limits.cpu_seconds),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_says_has_a_number() {
        let check = |status_code, message: &str, number| {
            let error = Error::DockerResponseServerError { status_code, message: message.to_owned() };
            assert_eq!(errno(&error), number, "{status_code} {message}");
        };
        check(404, "No such container: x", libc::ENOENT);
        check(400, "exec: \"/x\": stat /x: no such file or directory: unknown", libc::ENOENT);
        check(500, "crun: executable file not found in $PATH", libc::ENOENT);
        check(500, "exec /etc/passwd: permission denied", libc::EACCES);
        check(400, "exec /x: exec format error", libc::ENOEXEC);
        check(400, "Minimum memory limit allowed is 6MB", libc::EINVAL);
        check(500, "out of luck", libc::EIO);
        assert_eq!(errno(&Error::RequestTimeoutError), libc::ETIMEDOUT);
    }
}
