//! The thread that speaks with the engine, so that calls of a spawner may block wherever they are made.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::sync_channel;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptions, RemoveContainerOptions};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

/// How long the engine may take for an answer, in seconds. A wait for the end of a program begins anew after that.
const PATIENCE: u64 = 120;

/// The label that says whose a container is.
const LABEL: &str = "uos-proc.spawner";

pub(super) struct Engine {
    docker: Docker,
    handle: Handle,
    /// Who this spawner is, where that can be told.
    name: Option<String>,
    closing: watch::Sender<bool>,
    /// Held by every course: the thread ends when the last of them has.
    running: Mutex<Option<mpsc::Sender<()>>>,
}

/// What keeps the thread running until a container is gone, and tells when it has to be.
pub(super) struct Pass {
    pub(super) closing: watch::Receiver<bool>,
    _running: mpsc::Sender<()>,
}

impl Engine {
    /// Starts the thread, and asks who is there.
    pub(super) fn connect(socket: &str) -> Result<Self, String> {
        let (told, tell) = sync_channel(1);
        let path = socket.to_owned();
        let (closing, _) = watch::channel(false);
        let (running, mut ended) = mpsc::channel::<()>(1);
        let body = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return drop(told.send(Err(error.to_string()))),
            };
            runtime.block_on(async {
                let docker = Docker::connect_with_unix(&path, PATIENCE, bollard::API_DEFAULT_VERSION);
                let docker = match docker {
                    // Engines are of all ages, and say which words they know.
                    Ok(docker) => docker.negotiate_version().await,
                    Err(error) => Err(error),
                };
                let found =
                    docker.map(|docker| (docker, Handle::current())).map_err(|error| error.to_string());
                let is_there = found.is_ok();
                if told.send(found).is_ok() && is_there {
                    // Nobody ever sends; this ends when the last sender is dropped.
                    let _ = ended.recv().await;
                }
            });
        };
        std::thread::Builder::new().name("uos-oci".into()).spawn(body).map_err(|error| error.to_string())?;
        let (docker, handle) = tell.recv().map_err(|error| error.to_string())??;
        Ok(Engine { docker, handle, name: own_name(), closing, running: Mutex::new(Some(running)) })
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// What containers are marked with.
    pub(super) fn label(&self) -> Option<(&'static str, &str)> {
        Some((LABEL, self.name.as_deref()?))
    }

    /// Waits for an answer. `None` if the thread has ended.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        question: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (reply, answer) = sync_channel(1);
        self.handle.spawn(async move {
            let _ = reply.send(question.await);
        });
        answer.recv().ok()
    }

    /// Has something done, with nobody waiting for it.
    pub(super) fn tell(&self, what: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(what);
    }

    /// `None` once the spawner is closed.
    pub(super) fn pass(&self) -> Option<Pass> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Pass { closing: self.closing.subscribe(), _running: running.clone()? })
    }

    /// Has all containers removed, and then the thread end.
    pub(super) fn close(&self) {
        self.closing.send_replace(true);
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Removes the containers of spawners whose programs are gone.
    pub(super) fn remove_left_behind(&self) {
        let docker = self.docker.clone();
        self.ask(async move {
            let filters = HashMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
            let options = ListContainersOptions { all: true, filters: Some(filters), ..Default::default() };
            // What can't be listed or removed now is left to the next.
            for container in docker.list_containers(Some(options)).await.unwrap_or_default() {
                let owner = container.labels.as_ref().and_then(|labels| labels.get(LABEL));
                if let (Some(id), true) = (container.id, owner.is_some_and(|owner| is_dead(owner))) {
                    remove(&docker, &id).await;
                }
            }
        });
    }
}

/// Kills it if it still runs. What is gone is as good as removed.
pub(super) async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptions { force: true, v: true, link: false };
    let _ = docker.remove_container(id, Some(options)).await;
}

#[cfg(target_os = "linux")]
fn own_name() -> Option<String> {
    crate::linux::ServerName::new().map(|name| name.to_string())
}

#[cfg(target_os = "linux")]
fn is_dead(owner: &str) -> bool {
    crate::linux::ServerName::parse(owner).is_some_and(|name| name.is_dead())
}

/// Who is still there can't be told here.
#[cfg(not(target_os = "linux"))]
fn own_name() -> Option<String> {
    None
}

#[cfg(not(target_os = "linux"))]
fn is_dead(_: &str) -> bool {
    false
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("name", &self.name).finish_non_exhaustive()
    }
}
