//! The desktop: apps that run as processes, their windows, and the sessions they are saved in.
//!
//! What is here is on the disk before anybody is told of it; see [`writer`]. Processes are not: they are started again
//! from what is on the disk, by whoever brings an app to life ([`life`]).

mod app;
mod draft;
mod geometry;
mod json;
mod life;
mod manifest;
mod refusal;
mod services;
mod sessions;
mod writer;

pub(crate) use app::{App, WindowChange};
pub(crate) use draft::{Dirty, Draft, Session, State};
pub(crate) use geometry::{Bounds, Coordinate, Extent, Position, Size, WindowState, name_of, of_name};
pub(crate) use json::ObjectOnly;
pub(crate) use manifest::Manifest;
pub(crate) use refusal::Refusal;
pub(crate) use services::{SERVICES, Service};
pub(crate) use sessions::Failed;

use std::sync::Arc;

use serde_json::value::RawValue;
use uos_syscall::Kernel;

use crate::{
    events::{AppChange, Hub, News},
    login::{CookieHash, Logins},
    store::{Loaded, Reader, Store},
};
use writer::Door;

/// How many apps may run at the same time.
const APPS: usize = 256;
/// How many manifests may be added.
const MANIFESTS: usize = 1_024;
/// The most bytes of JSON in an app's own state.
pub(crate) const APP_STATE_BYTES: usize = 256 << 10;
/// How deep it may be. It stands within the list of all apps, which other programs must be able to read: common JSON readers
/// stop at 128 levels.
const APP_STATE_DEPTH: usize = 64;

/// The desktop. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desktop {
    door: Door,
    kernel: Kernel,
    reader: Reader,
}

/// Which tab a change comes from, so that it can tell its own echo.
pub(crate) type By = Option<String>;

impl Desktop {
    /// The desktop that a database holds, with its apps alive again. The writer is to be run.
    pub(crate) async fn wake(
        store: Store,
        kernel: Kernel,
        hub: Hub,
    ) -> (Self, Logins, impl Future<Output = ()> + use<>) {
        let Store { loaded: Loaded { mut state, logins }, committer, reader } = store;
        state.manifests.extend(manifest::built_in());
        let (door, writer) = Door::open(state, committer, reader.clone(), hub);
        let desktop = Self { door, kernel, reader };
        desktop.revive(&writer).await;
        (desktop, Logins::of(logins), writer.run())
    }

    /// What there is now.
    pub(crate) fn state(&self) -> Arc<State> {
        self.door.state()
    }

    /// The apps that run, the ones at the back first.
    pub(crate) fn apps(&self) -> Vec<Arc<App>> {
        in_order(&self.state())
    }

    /// One app that runs.
    pub(crate) fn app(&self, id: &str) -> Result<Arc<App>, Refusal> {
        self.state().apps.get(id).cloned().ok_or_else(|| absent("app", id))
    }

    /// Changes a window. Answers its new version.
    pub(crate) async fn change_window(
        &self,
        id: String,
        change: WindowChange,
        by: By,
    ) -> Result<Arc<App>, Refusal> {
        let change = move |draft: &mut Draft| {
            let app = running(draft, &id)?;
            if app.window_id != change.window_id {
                return Err(absent("window", &change.window_id));
            }
            if change.version.is_some_and(|version| version != app.version) {
                return Err(Refusal::Stale(app));
            }
            let app = Arc::new(app.with_window(&change).map_err(Refusal::Invalid)?);
            draft.put_window(Arc::clone(&app));
            draft.say(News::Window { id, app: Arc::clone(&app), by });
            Ok(app)
        };
        self.door.change(change).await
    }

    /// Brings a window to the front, out of the taskbar if it is there.
    pub(crate) async fn focus(&self, id: String, by: By) -> Result<Arc<App>, Refusal> {
        self.door.change(move |draft| raise(draft, &id, by)).await
    }

    /// Replaces an app's own state.
    pub(crate) async fn change_state(
        &self,
        id: String,
        state: Box<RawValue>,
        version: Option<u64>,
        by: By,
    ) -> Result<u64, Refusal> {
        if json::depth(state.get()) > APP_STATE_DEPTH {
            return Err(Refusal::Invalid(("body", format!("it is more than {APP_STATE_DEPTH} levels deep"))));
        }
        let change = move |draft: &mut Draft| {
            let app = running(draft, &id)?;
            if version.is_some_and(|version| version != app.state_version) {
                return Err(Refusal::Stale(app));
            }
            let state_version = app.state_version + 1;
            let app = Arc::new(App { state: state.into(), state_version, ..(*app).clone() });
            draft.put_app_state(Arc::clone(&app));
            draft.say(News::App { change: AppChange::Changed, id, app: Some(app), by });
            Ok(state_version)
        };
        self.door.change(change).await
    }

    /// Keeps logins that are new, with when they end, and forgets those that are gone.
    pub(crate) async fn keep_logins(&self, logins: Vec<(CookieHash, Option<i64>)>) -> Result<(), Refusal> {
        let change = move |draft: &mut Draft| {
            draft.dirty.logins.extend(logins);
            Ok(())
        };
        self.door.change_though_full(change).await
    }

    /// One app that can be launched.
    pub(crate) fn manifest(&self, id: &str) -> Result<Arc<Manifest>, Refusal> {
        self.state().manifests.get(id).cloned().ok_or_else(|| absent("manifest", id))
    }

    /// Adds an app to the registry, or replaces it. True if it is new.
    pub(crate) async fn put_manifest(&self, manifest: Manifest) -> Result<bool, Refusal> {
        manifest.check().map_err(Refusal::Invalid)?;
        let change = move |draft: &mut Draft| {
            let known = draft.state.manifests.get(&manifest.id);
            if known.is_some_and(|known| known.built_in) {
                return Err(Refusal::Fixed("it came with the program"));
            }
            let new = known.is_none();
            if new && draft.state.manifests.len() >= MANIFESTS {
                return Err(Refusal::Limit("manifests", MANIFESTS as u64));
            }
            let id = manifest.id.clone();
            draft.dirty.manifests.insert(id.clone());
            draft.state.manifests.insert(id.clone(), Arc::new(manifest));
            draft.say(News::Registry { change: "put", id });
            Ok(new)
        };
        self.door.change(change).await
    }

    /// Takes an app out of the registry. Those that run go on.
    pub(crate) async fn remove_manifest(&self, id: String) -> Result<(), Refusal> {
        let change = move |draft: &mut Draft| {
            match draft.state.manifests.get(&id) {
                None => return Err(absent("manifest", &id)),
                Some(manifest) if manifest.built_in => {
                    return Err(Refusal::Fixed("it came with the program"));
                }
                Some(_) => {}
            }
            draft.state.manifests.remove(&id);
            draft.dirty.manifests.insert(id.clone());
            draft.say(News::Registry { change: "removed", id });
            Ok(())
        };
        self.door.change_though_full(change).await
    }
}

/// The apps of a state, the ones at the back first.
fn in_order(state: &State) -> Vec<Arc<App>> {
    let mut apps: Vec<_> = state.apps.values().cloned().collect();
    apps.sort_by(|one, other| (one.z, &one.id).cmp(&(other.z, &other.id)));
    apps
}

fn absent(what: &'static str, id: &str) -> Refusal {
    // What was asked for is only repeated as far as a real id could go.
    Refusal::Absent(what, id.chars().take(100).collect())
}

fn running(draft: &Draft, id: &str) -> Result<Arc<App>, Refusal> {
    draft.state.apps.get(id).cloned().ok_or_else(|| absent("app", id))
}

fn top(draft: &Draft) -> i64 {
    draft.state.apps.values().map(|app| app.z).max().unwrap_or(0)
}

fn raise(draft: &mut Draft, id: &str, by: By) -> Result<Arc<App>, Refusal> {
    let app = running(draft, id)?;
    let top = draft.state.apps.values().filter(|other| other.id != id).map(|other| other.z).max();
    let hidden = app.window_state == WindowState::Minimized;
    if !hidden && top.is_none_or(|top| app.z > top) {
        return Ok(app);
    }
    let app = Arc::new(App {
        z: top.map_or(app.z, |top| app.z.max(top + 1)),
        window_state: app.restore_state,
        version: app.version + 1,
        ..(*app).clone()
    });
    draft.put_window(Arc::clone(&app));
    draft.say(News::Window { id: id.to_owned(), app: Arc::clone(&app), by });
    Ok(app)
}
