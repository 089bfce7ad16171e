//! How apps come to life and end: an app that runs is a process of its own, with the rights its manifest asks for.

use std::{collections::BTreeSet, sync::Arc};

use tracing::warn;
use uos_proto::v1::{CreateProcessRequest, KillProcess, SandboxLevel};
use uos_syscall::{Kernel, Pid};

use super::{
    APPS, App, By, Desktop, Draft, Refusal, State, absent, in_order, raise, running, top, writer::Writer,
};
use crate::{
    events::{AppChange, News},
    random_id,
};

impl Desktop {
    /// Starts an app. One of which there is to be only one is shown instead if it runs.
    pub(crate) async fn launch(
        &self,
        manifest_id: String,
        parent_id: Option<String>,
        by: By,
    ) -> Result<Arc<App>, Refusal> {
        let manifest = self.manifest(&manifest_id)?;
        let state = self.state();
        if let Some(parent) = &parent_id
            && !state.apps.contains_key(parent)
        {
            return Err(absent("app", parent));
        }
        let same = |app: &&Arc<App>| app.manifest_id == manifest_id && app.singleton;
        if let Some(runs) = state.apps.values().find(same) {
            return self.focus(runs.id.clone(), by).await;
        }
        let ids = [random_id(), random_id()];
        let mut app = App::of(&manifest, ids, parent_id, state.apps.len());
        app.grants = manifest.all_grants();
        app.pid = Some(self.give_life(&app).await?);
        let pid = app.pid;
        let opened = self.door.change(move |draft| open(draft, app, by)).await;
        match opened {
            Ok(Opened::New(app)) => {
                self.bury_if_dead(&app).await;
                Ok(app)
            }
            // Somebody else was first with what there is to be only one of.
            Ok(Opened::Shown(app)) => {
                self.end(pid).await;
                Ok(app)
            }
            Err(refusal) => {
                self.end(pid).await;
                Err(refusal)
            }
        }
    }

    /// Closes an app and those that belong to it, and ends their processes.
    pub(crate) async fn close(&self, id: String, by: By) -> Result<Vec<String>, Refusal> {
        let closed = self.door.change_though_full(move |draft| take_away(draft, &id, &by)).await?;
        for app in &closed {
            self.end(app.pid).await;
        }
        Ok(closed.iter().map(|app| app.id.clone()).collect())
    }

    /// Gives an app whose process has ended a new one.
    pub(crate) async fn restart(&self, id: String, by: By) -> Result<Arc<App>, Refusal> {
        let app = self.app(&id)?;
        if app.pid.is_some() {
            return Ok(app);
        }
        let pid = Some(self.give_life(&app).await?);
        let restarted = self.door.change(move |draft| {
            let app = running(draft, &id)?;
            if app.pid.is_some() {
                return Ok((app, false));
            }
            let app = Arc::new(App { pid, ..(*app).clone() });
            draft.state.apps.insert(id.clone(), Arc::clone(&app));
            draft.say(News::App { change: AppChange::Changed, id, app: Some(Arc::clone(&app)), by });
            Ok((app, true))
        });
        let restarted = restarted.await;
        if !matches!(restarted, Ok((_, true))) {
            self.end(pid).await;
        }
        let (app, _) = restarted?;
        self.bury_if_dead(&app).await;
        Ok(app)
    }

    /// Notes that a process has ended, if it was an app's.
    pub(crate) async fn process_ended(&self, ended: Pid) {
        let is_its = move |app: &&Arc<App>| app.pid == Some(ended.0);
        while self.state().apps.values().any(|app| is_its(&app)) {
            let noted = self.door.change(move |draft| {
                if let Some(app) = draft.state.apps.values().find(is_its) {
                    let app = Arc::new(App { pid: None, ..(**app).clone() });
                    draft.state.apps.insert(app.id.clone(), Arc::clone(&app));
                    let id = app.id.clone();
                    draft.say(News::App { change: AppChange::Changed, id, app: Some(app), by: None });
                }
                Ok(())
            });
            match noted.await {
                Ok(()) | Err(Refusal::Stopping) => return,
                // It shared its batch with what could not be written.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(500)).await,
            }
        }
    }

    /// A process may end before its app is known to have it; then nobody else notes it.
    async fn bury_if_dead(&self, app: &App) {
        if let Some(pid) = app.pid.map(Pid)
            && self.kernel.act_as(pid).is_err()
        {
            self.process_ended(pid).await;
        }
    }

    /// Brings what was loaded to life, before anybody sees it.
    pub(super) async fn revive(&self, writer: &Writer) {
        let mut state = (*self.state()).clone();
        for app in in_order(&state) {
            match self.give_life(&app).await {
                Ok(pid) => {
                    let app = App { pid: Some(pid), ..(*app).clone() };
                    drop(state.apps.insert(app.id.clone(), Arc::new(app)));
                }
                // Its window comes back all the same, and says that its process has ended.
                Err(refusal) => warn!(?refusal, app = app.title, "an app could not be started again"),
            }
        }
        writer.begin_with(state);
    }

    /// Makes the process of an app.
    pub(super) async fn give_life(&self, app: &App) -> Result<u64, Refusal> {
        let request = CreateProcessRequest {
            name: app.manifest_id.clone(),
            sandbox_level: SandboxLevel::Minimal.into(),
            grants: app.grants.clone(),
            ..Default::default()
        };
        Ok(self.kernel.create_process(&self.kernel.init(), request).await?.pid)
    }

    /// Ends the process of an app and all it has started.
    pub(super) async fn end(&self, pid: Option<u64>) {
        let Some(pid) = pid else { return };
        end(&self.kernel, pid).await;
    }
}

async fn end(kernel: &Kernel, pid: u64) {
    let kill = KillProcess { pid, tree: true };
    // It may have ended by itself meanwhile.
    let _ = kernel.invoke(&kernel.init(), kill.into()).await;
}

enum Opened {
    New(Arc<App>),
    Shown(Arc<App>),
}

fn open(draft: &mut Draft, app: App, by: By) -> Result<Opened, Refusal> {
    if let Some(parent) = &app.parent_id
        && !draft.state.apps.contains_key(parent)
    {
        return Err(absent("app", parent));
    }
    let runs = draft.state.apps.values().find(|other| app.singleton && other.manifest_id == app.manifest_id);
    if let Some(runs) = runs.map(|app| app.id.clone()) {
        return raise(draft, &runs, by).map(Opened::Shown);
    }
    if draft.state.apps.len() >= APPS {
        return Err(Refusal::Limit("apps", APPS as u64));
    }
    let app = Arc::new(App { z: top(draft) + 1, ..app });
    draft.put_app(Arc::clone(&app));
    let (id, opened) = (app.id.clone(), Some(Arc::clone(&app)));
    draft.say(News::App { change: AppChange::Opened, id, app: opened, by });
    Ok(Opened::New(app))
}

/// Takes an app and those that belong to it off the desktop, the youngest first.
fn take_away(draft: &mut Draft, id: &str, by: &By) -> Result<Vec<Arc<App>>, Refusal> {
    running(draft, id)?;
    let mut closed: Vec<_> = family(&draft.state, id).iter().filter_map(|id| draft.remove_app(id)).collect();
    closed.reverse();
    for app in &closed {
        draft.say(News::App { change: AppChange::Closed, id: app.id.clone(), app: None, by: by.clone() });
    }
    Ok(closed)
}

/// An app and all that belong to it, however far down.
fn family(state: &State, id: &str) -> Vec<String> {
    let mut family = vec![id.to_owned()];
    let mut known = BTreeSet::from([id.to_owned()]);
    let mut next = 0;
    while let Some(parent) = family.get(next).cloned() {
        let children = state.apps.values().filter(|app| app.parent_id.as_ref() == Some(&parent));
        // A session that was tampered with could hold a circle.
        family.extend(children.map(|app| app.id.clone()).filter(|id| known.insert(id.clone())));
        next += 1;
    }
    family
}
