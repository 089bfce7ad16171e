//! What is on the desktop, and a change of it that is not yet on the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use utoipa::ToSchema;

use super::{App, Manifest};
use crate::{
    events::{Audience, News},
    login::CookieHash,
};

/// Everything that is kept, as it is on the disk, but for what the saved sessions hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) apps: BTreeMap<String, Arc<App>>,
    /// Built-in ones too.
    pub(crate) manifests: BTreeMap<String, Arc<Manifest>>,
    pub(crate) sessions: BTreeMap<String, Arc<Session>>,
}

/// A saved desktop, without what is on it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Session {
    /// Its id.
    pub id: String,
    /// What its keeper calls it.
    pub name: String,
    /// How many apps it holds.
    pub apps: usize,
    /// When it was saved first, in microseconds since 1970.
    pub created_us: i64,
    /// When it was saved last.
    pub updated_us: i64,
    /// Kept by the server itself.
    pub automatic: bool,
}

/// A state under change: what becomes of it, what is to be written, and who will be told.
pub(crate) struct Draft {
    pub(crate) state: State,
    pub(crate) dirty: Dirty,
    pub(crate) news: Vec<(Audience, News)>,
}

/// What the disk does not know yet. Only names: what is written is what the state holds in the end, so that many changes
/// of one window within a batch are one row.
#[derive(Default)]
pub(crate) struct Dirty {
    pub(crate) apps: BTreeSet<String>,
    pub(crate) windows: BTreeSet<String>,
    pub(crate) app_states: BTreeSet<String>,
    pub(crate) manifests: BTreeSet<String>,
    /// With what they hold now; a session that is gone is told by the state.
    pub(crate) sessions: BTreeMap<String, Vec<Arc<App>>>,
    /// Logins that are new, with when they end, or gone.
    pub(crate) logins: BTreeMap<CookieHash, Option<i64>>,
}

impl Dirty {
    pub(crate) fn is_empty(&self) -> bool {
        self.apps.is_empty()
            && self.windows.is_empty()
            && self.app_states.is_empty()
            && self.manifests.is_empty()
            && self.sessions.is_empty()
            && self.logins.is_empty()
    }
}

impl Draft {
    pub(crate) fn of(state: State) -> Self {
        Self { state, dirty: Dirty::default(), news: Vec::new() }
    }

    pub(crate) fn say(&mut self, news: News) {
        self.news.push((Audience::Operator, news));
    }

    /// Puts a new app on the desktop, or a wholly changed one.
    pub(crate) fn put_app(&mut self, app: Arc<App>) {
        self.dirty.apps.insert(app.id.clone());
        self.state.apps.insert(app.id.clone(), app);
    }

    /// Replaces an app whose window changed.
    pub(crate) fn put_window(&mut self, app: Arc<App>) {
        self.dirty.windows.insert(app.id.clone());
        self.state.apps.insert(app.id.clone(), app);
    }

    /// Replaces an app whose own state changed.
    pub(crate) fn put_app_state(&mut self, app: Arc<App>) {
        self.dirty.app_states.insert(app.id.clone());
        self.state.apps.insert(app.id.clone(), app);
    }

    /// Takes an app off the desktop.
    pub(crate) fn remove_app(&mut self, id: &str) -> Option<Arc<App>> {
        self.dirty.apps.insert(id.to_owned());
        self.state.apps.remove(id)
    }

    /// Saves what is given under a session.
    pub(crate) fn put_session(&mut self, session: Session, apps: Vec<Arc<App>>) {
        self.dirty.sessions.insert(session.id.clone(), apps);
        self.state.sessions.insert(session.id.clone(), Arc::new(session));
    }
}
