//! Sessions: desktops that were saved. The desktop as it is now is the session `current`; what it was before the last
//! restore is `previous`, so that a restore can be taken back.

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;
use utoipa::ToSchema;

use super::{App, By, Desktop, Draft, Refusal, Session, absent, in_order, manifest::check_text};
use crate::{events::News, random_id, store::now_us};

/// The desktop as it is now.
const CURRENT: &str = "current";
/// The desktop before the last restore.
const PREVIOUS: &str = "previous";
/// How many sessions may be saved.
const SESSIONS: usize = 1_000;

/// An app that could not be brought back.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Failed {
    id: String,
    title: String,
    /// Why not.
    message: String,
}

impl Desktop {
    /// All sessions, `current` among them.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        let state = self.state();
        let mut sessions = vec![current(state.apps.len())];
        sessions.extend(state.sessions.values().map(|session| (**session).clone()));
        sessions[1..].sort_by_key(|session| std::cmp::Reverse(session.updated_us));
        sessions
    }

    /// A session with what it holds.
    pub(crate) async fn session(&self, id: &str) -> Result<(Session, Vec<Arc<App>>), Refusal> {
        if id == CURRENT {
            let apps = self.apps();
            return Ok((current(apps.len()), apps));
        }
        // Not from the state: between a look there and a look at the disk somebody may have forgotten the session, and
        // what would be found then is an empty one.
        let saved = self.reader.session(id).await;
        let saved = saved.map_err(|error| Refusal::Unreadable(error.to_string()))?;
        let (session, apps) = saved.ok_or_else(|| absent("session", id))?;
        Ok((session, apps.into_iter().map(Arc::new).collect()))
    }

    /// Saves the desktop under a name. A name that is taken is refused unless it is to be replaced.
    pub(crate) async fn save(&self, name: String, replace: bool) -> Result<Session, Refusal> {
        let name = name.trim().to_owned();
        check_text("name", &name, 1, 100).map_err(Refusal::Invalid)?;
        let change = move |draft: &mut Draft| {
            if [CURRENT, PREVIOUS].contains(&&*name.to_lowercase()) {
                return Err(Refusal::Fixed("the server keeps a session of that name itself"));
            }
            let same = draft.state.sessions.values().find(|session| session.name == name).cloned();
            let (id, created_us) = match same {
                Some(same) if !replace => return Err(Refusal::Duplicate(same.id.clone())),
                Some(same) => (same.id.clone(), same.created_us),
                None if draft.state.sessions.len() >= SESSIONS => {
                    return Err(Refusal::Limit("sessions", SESSIONS as u64));
                }
                None => (random_id(), now_us()),
            };
            Ok(put(draft, id, name, created_us, false))
        };
        self.door.change(change).await
    }

    /// Forgets a session.
    pub(crate) async fn forget(&self, id: String) -> Result<(), Refusal> {
        let change = move |draft: &mut Draft| {
            if id == CURRENT {
                return Err(Refusal::Fixed("it is the desktop itself: close its apps instead"));
            }
            if draft.state.sessions.remove(&id).is_none() {
                return Err(absent("session", &id));
            }
            draft.dirty.sessions.insert(id.clone(), Vec::new());
            draft.say(News::Session { change: "removed", id });
            Ok(())
        };
        self.door.change_though_full(change).await
    }

    /// Replaces the desktop by what a session holds. Ids are kept, processes are new. It happens in one step: until that
    /// is on the disk everything is as it was.
    pub(crate) async fn restore(&self, id: &str, by: By) -> Result<(Vec<Arc<App>>, Vec<Failed>), Refusal> {
        let (_, saved) = self.session(id).await?;
        if id == CURRENT {
            return Ok((saved, Vec::new()));
        }
        let mut apps = Vec::new();
        let mut failed = Vec::new();
        for app in saved {
            match self.give_life(&app).await {
                Ok(pid) => apps.push(Arc::new(App { pid: Some(pid), ..(*app).clone() })),
                Err(refusal) => failed.push(Failed {
                    id: app.id.clone(),
                    title: app.title.clone(),
                    message: crate::http::Failure::from(refusal).message,
                }),
            }
        }
        let alive: BTreeSet<String> = apps.iter().map(|app| app.id.clone()).collect();
        for app in &mut apps {
            if app.parent_id.as_ref().is_some_and(|parent| !alive.contains(parent)) {
                *app = Arc::new(App { parent_id: None, ..(**app).clone() });
            }
        }
        let restored = apps.clone();
        let swapped = self.door.change(move |draft| Ok(replace(draft, restored, by))).await;
        let ended = match &swapped {
            Ok(swapped) => &swapped.gone,
            Err(_) => &apps,
        };
        for app in ended {
            self.end(app.pid).await;
        }
        Ok((swapped?.here, failed))
    }
}

fn current(apps: usize) -> Session {
    let now = now_us();
    Session {
        id: CURRENT.to_owned(),
        name: CURRENT.to_owned(),
        apps,
        created_us: now,
        updated_us: now,
        automatic: true,
    }
}

/// Saves what is on the desktop.
fn put(draft: &mut Draft, id: String, name: String, created_us: i64, automatic: bool) -> Session {
    let unborn = |app: Arc<App>| Arc::new(App { pid: None, ..(*app).clone() });
    let apps: Vec<_> = in_order(&draft.state).into_iter().map(unborn).collect();
    let session = Session { id, name, apps: apps.len(), created_us, updated_us: now_us(), automatic };
    draft.put_session(session.clone(), apps);
    draft.say(News::Session { change: "saved", id: session.id.clone() });
    session
}

struct Swapped {
    gone: Vec<Arc<App>>,
    here: Vec<Arc<App>>,
}

/// Puts these apps in the place of all others.
fn replace(draft: &mut Draft, apps: Vec<Arc<App>>, by: By) -> Swapped {
    let created_us = draft.state.sessions.get(PREVIOUS).map_or_else(now_us, |previous| previous.created_us);
    put(draft, PREVIOUS.to_owned(), PREVIOUS.to_owned(), created_us, true);
    // Versions only grow, so that a tab that still shows the old window is told so.
    let renewed = |app: Arc<App>| match draft.state.apps.get(&app.id) {
        Some(old) => Arc::new(App {
            version: app.version.max(old.version) + 1,
            state_version: app.state_version.max(old.state_version) + 1,
            ..(*app).clone()
        }),
        None => app,
    };
    let here: Vec<_> = apps.into_iter().map(renewed).collect();
    let ids: Vec<String> = draft.state.apps.keys().cloned().collect();
    let gone = ids.iter().filter_map(|id| draft.remove_app(id)).collect();
    here.iter().for_each(|app| draft.put_app(Arc::clone(app)));
    draft.say(News::Desktop { apps: here.clone(), by });
    Swapped { gone, here }
}
