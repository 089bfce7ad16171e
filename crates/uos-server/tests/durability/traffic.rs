//! Clients at work while the server is killed, and what each of them was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    client::Client,
    desk::{Desk, Face, Survey, shown, state, text, window, window_of},
    dice::Dice,
    keeper::Keeper,
    ledger::Cell,
    server::{DEADLINE, Server},
};

/// How many apps are changed by many clients at once.
const SHARED: usize = 4;

/// All that clients were told.
#[derive(Default)]
pub(crate) struct Books {
    /// Windows and states of the shared apps.
    windows: Mutex<BTreeMap<String, Cell>>,
    states: Mutex<BTreeMap<String, Cell>>,
    shared: Mutex<BTreeSet<String>>,
    /// All desktops that the keeper has made, in their order.
    history: Mutex<Vec<Desk>>,
    snapshots: Mutex<BTreeMap<String, Snapshot>>,
    acknowledged: AtomicU64,
    told: Notify,
    next: AtomicU64,
}

/// A session that is saved while the keeper works. It holds one of the keeper's desktops, and which is known within bounds:
/// places in the history.
#[derive(Default)]
struct Snapshot {
    /// The keeper's last desktop when the save was asked for, and when it was answered.
    saved: Option<(usize, usize)>,
    in_flight: Option<usize>,
}

impl Books {
    /// A number that nobody had before.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_shared(&self, id: &str) -> bool {
        lock(&self.shared).contains(id)
    }

    /// One more write is on the disk; of the keeper, with what its desktop is now.
    pub(crate) fn acknowledged(&self, desk: Option<&Desk>) {
        if let Some(desk) = desk {
            lock(&self.history).push(desk.clone());
        }
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        self.told.notify_waiters();
    }

    pub(crate) fn count(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many writes are acknowledged.
    async fn reach(&self, goal: u64) {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if self.count() >= goal {
                return;
            }
            told.await;
        }
    }

    /// A restore was acknowledged: it is the newest version of every shared app.
    pub(crate) fn restored(&self, apps: &[Value]) {
        for app in apps.iter().filter(|app| self.is_shared(&text(&app["id"]))) {
            let id = text(&app["id"]);
            let (window, state) = (number(&app["version"]), number(&app["state_version"]));
            lock(&self.windows).entry(id.clone()).or_default().acknowledge(window, &window_of(app));
            lock(&self.states).entry(id).or_default().acknowledge(state, &app["state"]);
        }
    }

    fn last_desk(&self) -> usize {
        lock(&self.history).len().saturating_sub(1)
    }

    fn judge(&self, survey: &Survey, restoring: bool) -> Result<(), String> {
        for id in lock(&self.shared).iter() {
            let app = survey.apps.get(id).ok_or_else(|| format!("app {id} is gone"))?;
            let (window, state) = (number(&app["version"]), number(&app["state_version"]));
            let (mut windows, mut states) = (lock(&self.windows), lock(&self.states));
            let cells = (windows.entry(id.clone()).or_default(), states.entry(id.clone()).or_default());
            cells
                .0
                .judge(window, &window_of(app), restoring)
                .map_err(|why| format!("window of {id}: {why}"))?;
            cells.1.judge(state, &app["state"], restoring).map_err(|why| format!("state of {id}: {why}"))?;
            cells.0.settle(window, window_of(app));
            cells.1.settle(state, app["state"].clone());
        }
        let history = lock(&self.history);
        for (name, snapshot) in lock(&self.snapshots).iter_mut() {
            let there = survey.sessions.get(name).map(|(_, apps)| apps);
            snapshot.check(there.map(|apps| self.own(apps)).as_ref(), &history).map_err(|why| {
                format!(
                    "session {name}: {why}; saved {:?}, under way {:?}",
                    snapshot.saved, snapshot.in_flight
                )
            })?;
        }
        for (name, (_, apps)) in &survey.sessions {
            self.check_shared(apps).map_err(|why| format!("session {name}: {why}"))?;
        }
        Ok(())
    }

    /// The keeper's part of a session.
    fn own(&self, apps: &BTreeMap<String, Value>) -> Desk {
        let own = apps.iter().filter(|(id, _)| !self.is_shared(id));
        own.map(|(id, app)| (id.clone(), Face::of(app))).collect()
    }

    /// Every session holds all shared apps, each as it once was.
    fn check_shared(&self, apps: &BTreeMap<String, Value>) -> Result<(), String> {
        for id in lock(&self.shared).iter() {
            let app = apps.get(id).ok_or_else(|| format!("app {id} is missing"))?;
            let known =
                lock(&self.windows)[id].was(&window_of(app)) && lock(&self.states)[id].was(&app["state"]);
            if !known {
                return Err(format!("nobody ever wrote this: {app}"));
            }
        }
        Ok(())
    }
}

impl Snapshot {
    fn check(&mut self, there: Option<&Desk>, history: &[Desk]) -> Result<(), String> {
        let Some(there) = there else {
            return if self.saved.is_none() { Ok(()) } else { Err("it is gone".to_owned()) };
        };
        // The keeper's next step may be on the disk before the keeper knows, and is the next in the history in any case.
        let end = |last: usize| (last + 2).min(history.len());
        let saved = self.saved.is_some_and(|(from, to)| history[from..end(to)].contains(there));
        let under_way = self.in_flight.is_some_and(|from| history[from..].contains(there));
        if !saved && !under_way {
            return Err(format!("it is no desktop of its time, or half of one: {there:?}"));
        }
        if !saved {
            self.saved = self.in_flight.map(|from| (from, history.len() - 1));
        }
        self.in_flight = None;
        Ok(())
    }
}

/// The clients, with what they know, across many crashes of one data directory.
pub(crate) struct Traffic {
    pub(crate) books: Arc<Books>,
    keeper: Keeper,
    dice: Dice,
}

impl Traffic {
    pub(crate) async fn on(server: &Server, mut dice: Dice) -> Self {
        let books = Arc::new(Books::default());
        let mut client = server.client();
        for _ in 0..SHARED {
            let app = client.post("/registry/apps/notes/launch", &json!({})).await.expect("it runs").good();
            lock(&books.shared).insert(text(&app["id"]));
        }
        let keeper = Keeper::new(dice.fork());
        let mut traffic = Self { books, keeper, dice };
        traffic.check(server).await;
        traffic
    }

    /// Lets all clients work until some tens of writes more are acknowledged; then `crash` ends the server while they go on.
    pub(crate) async fn until_crash(&mut self, server: Server, crash: impl FnOnce(Server)) {
        let goal = self.books.count() + 20 + self.dice.below(150);
        // Not always right behind an acknowledgement.
        let moment = std::time::Duration::from_micros(self.dice.below(3_000));
        let mut clients = JoinSet::new();
        let shared: Vec<String> = lock(&self.books.shared).iter().cloned().collect();
        let windows = shared.iter().chain(shared.first());
        for id in windows.clone() {
            clients.spawn(move_windows(server.client(), Arc::clone(&self.books), id.clone()));
        }
        for id in shared.iter().take(2) {
            clients.spawn(keep_notes(server.client(), Arc::clone(&self.books), id.clone()));
        }
        clients.spawn(take_snapshots(server.client(), Arc::clone(&self.books)));
        let (books, keeper) = (Arc::clone(&self.books), &mut self.keeper);
        let work = keeper.work(server.client(), &books);
        let crashed = async {
            tokio::time::timeout(DEADLINE, books.reach(goal)).await.expect("writes are acknowledged");
            tokio::time::sleep(moment).await;
            tokio::task::block_in_place(|| crash(server));
        };
        tokio::join!(work, crashed);
        while let Some(ended) = clients.join_next().await {
            ended.expect("a client only ends with the server");
        }
    }

    /// Compares what a server shows with the ledger.
    pub(crate) async fn check(&mut self, server: &Server) {
        let survey = Survey::of(&mut server.client()).await;
        let restoring = self.keeper.restoring();
        let kept = self.keeper.check(&survey, &self.books);
        lock(&self.books.history).push(self.keeper.desk().clone());
        if let Err(why) = kept.and_then(|()| self.books.judge(&survey, restoring)) {
            panic!("{why}");
        }
    }
}

async fn move_windows(mut client: Client, books: Arc<Books>, id: String) {
    let Ok(app) = client.get(&format!("/apps/{id}")).await else { return };
    let window_id = app.good()["window_id"].clone();
    loop {
        let mut body = window(books.number());
        let shown = shown(&body);
        body["window_id"] = window_id.clone();
        lock(&books.windows).entry(id.clone()).or_default().begin(&shown);
        let Ok(answer) = client.post(&format!("/apps/{id}/window"), &body).await else { return };
        let version = number(&answer.good()["version"]);
        lock(&books.windows).entry(id.clone()).or_default().acknowledge(version, &shown);
        books.acknowledged(None);
    }
}

async fn keep_notes(mut client: Client, books: Arc<Books>, id: String) {
    loop {
        let note = state(books.number());
        lock(&books.states).entry(id.clone()).or_default().begin(&note);
        let Ok(answer) = client.put(&format!("/apps/{id}/state"), &note).await else { return };
        let version = number(&answer.good()["version"]);
        lock(&books.states).entry(id.clone()).or_default().acknowledge(version, &note);
        books.acknowledged(None);
    }
}

async fn take_snapshots(mut client: Client, books: Arc<Books>) {
    loop {
        let name = format!("snap-{}", books.number() % 3);
        let from = books.last_desk();
        lock(&books.snapshots).entry(name.clone()).or_default().in_flight = Some(from);
        let saved = client.post("/sessions", &json!({ "name": name, "replace": true })).await;
        let Ok(answer) = saved else { return };
        answer.good();
        let to = books.last_desk();
        *lock(&books.snapshots).entry(name).or_default() =
            Snapshot { saved: Some((from, to)), in_flight: None };
        books.acknowledged(None);
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a version is a number")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("nobody panics with the books open")
}
