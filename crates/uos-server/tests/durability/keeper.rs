//! A client who alone changes some apps, saves them and restores them, one step after the other. So at every moment there
//! are two desktops at most that a crash may leave: the one before the step under way, and the one after it.

use std::collections::BTreeMap;

use serde_json::json;

use crate::{
    client::{Answer, Client, Lost},
    desk::{Desk, Face, Survey, shown, state, text, window},
    dice::Dice,
    traffic::Books,
};

/// The keeper's own apps, and the sessions it has saved, as they must be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    desk: Desk,
    /// By name: the id, once that is known, and the keeper's apps in it.
    sessions: BTreeMap<String, (String, Desk)>,
}

/// What the keeper does.
#[derive(Clone, Debug)]
enum Step {
    Move(String, u64),
    Note(String, u64),
    Launch,
    Close(String),
    Save(String),
    Restore(String),
    Forget(String),
}

pub(crate) struct Keeper {
    pub(crate) model: Model,
    /// Asked for and not answered.
    pending: Option<Step>,
    dice: Dice,
}

impl Model {
    /// What is there now of it; the apps and sessions of others are left out.
    fn of(survey: &Survey, books: &Books) -> Self {
        let own = |apps: &BTreeMap<String, serde_json::Value>| -> Desk {
            let own = apps.iter().filter(|(id, _)| !books.is_shared(id));
            own.map(|(id, app)| (id.clone(), Face::of(app))).collect()
        };
        let sessions = survey.sessions.iter().filter(|(name, _)| !name.starts_with("snap"));
        let sessions = sessions.map(|(name, (id, apps))| (name.clone(), (id.clone(), own(apps))));
        Self { desk: own(&survey.apps), sessions: sessions.collect() }
    }

    /// What it becomes by a step, as far as that is known before the answer.
    fn after(&self, step: &Step) -> Self {
        let mut next = self.clone();
        let Self { desk, sessions } = &mut next;
        match step {
            Step::Move(id, n) => {
                desk.get_mut(id).expect("it is there").window = shown(&window(*n));
            }
            Step::Note(id, n) => desk.get_mut(id).expect("it is there").state = state(*n),
            // The new app's id is the server's to choose.
            Step::Launch => {}
            Step::Close(id) => drop(desk.remove(id)),
            Step::Save(name) => {
                let id = sessions.get(name).map(|(id, _)| id.clone()).unwrap_or_default();
                sessions.insert(name.clone(), (id, desk.clone()));
            }
            Step::Restore(name) => {
                let restored = sessions[name].1.clone();
                let before = std::mem::replace(desk, restored);
                sessions.insert("previous".to_owned(), ("previous".to_owned(), before));
            }
            Step::Forget(name) => drop(sessions.remove(name)),
        }
        next
    }

    /// Whether this is what is there. While a launch is under way there may be one app more, as it is made.
    fn is(&self, there: &Self, launching: bool) -> bool {
        let mut desk = there.desk.clone();
        let new: Vec<_> = desk.keys().filter(|id| !self.desk.contains_key(*id)).cloned().collect();
        if let (true, [new]) = (launching, &new[..]) {
            let face = desk.remove(new);
            if face.is_none_or(|face| !face.state.is_null()) {
                return false;
            }
        }
        let names = |model: &Self| {
            model.sessions.iter().map(|(name, (_, desk))| (name.clone(), desk.clone())).collect::<Vec<_>>()
        };
        desk == self.desk && names(self) == names(there)
    }
}

impl Keeper {
    pub(crate) fn new(dice: Dice) -> Self {
        Self { model: Model::default(), pending: None, dice }
    }

    /// Works until the server is gone.
    pub(crate) async fn work(&mut self, mut client: Client, books: &Books) {
        loop {
            let step = self.choose(books);
            self.pending = Some(step.clone());
            let Ok(answer) = self.perform(&mut client, &step).await else { return };
            self.pending = None;
            self.note(&step, answer, books);
        }
    }

    fn choose(&mut self, books: &Books) -> Step {
        let (model, dice) = (&self.model, &mut self.dice);
        let apps: Vec<_> = model.desk.keys().cloned().collect();
        let saved: Vec<_> = model.sessions.keys().cloned().collect();
        let app = dice.one_of(&apps).cloned();
        match (dice.below(12), app, dice.one_of(&saved).cloned()) {
            (0..4, Some(id), _) => Step::Move(id, books.number()),
            (4, Some(id), _) => Step::Note(id, books.number()),
            (5, Some(id), _) if apps.len() > 2 => Step::Close(id),
            (6 | 7, _, _) => Step::Save(format!("kept-{}", dice.below(4))),
            (8 | 9, _, Some(name)) => Step::Restore(name),
            (10, _, Some(name)) if name != "previous" => Step::Forget(name),
            (_, Some(id), _) if apps.len() >= 5 => Step::Move(id, books.number()),
            _ => Step::Launch,
        }
    }

    async fn perform(&self, client: &mut Client, step: &Step) -> Result<Answer, Lost> {
        let id_of = |name: &str| self.model.sessions[name].0.clone();
        match step {
            Step::Move(id, n) => {
                let app = client.get(&format!("/apps/{id}")).await?.good();
                let mut body = window(*n);
                body["window_id"] = app["window_id"].clone();
                client.post(&format!("/apps/{id}/window"), &body).await
            }
            Step::Note(id, n) => client.put(&format!("/apps/{id}/state"), &state(*n)).await,
            Step::Launch => client.post("/registry/apps/notes/launch", &json!({})).await,
            Step::Close(id) => client.delete(&format!("/apps/{id}")).await,
            Step::Save(name) => client.post("/sessions", &json!({ "name": name, "replace": true })).await,
            Step::Restore(name) => {
                client.post(&format!("/sessions/{}/restore", id_of(name)), &json!({})).await
            }
            Step::Forget(name) => client.delete(&format!("/sessions/{}", id_of(name))).await,
        }
    }

    /// Takes down what has been acknowledged.
    fn note(&mut self, step: &Step, answer: Answer, books: &Books) {
        let body = answer.good();
        self.model = self.model.after(step);
        match step {
            Step::Launch => {
                let face = Face::of(&body);
                self.model.desk.insert(text(&body["id"]), face);
            }
            Step::Save(name) => {
                self.model.sessions.get_mut(name).expect("it has just been saved").0 = text(&body["id"]);
            }
            Step::Restore(_) => {
                assert_eq!(body["failed"], json!([]), "an app did not come back to life");
                books.restored(body["apps"].as_array().expect("apps are a list"));
            }
            _ => {}
        }
        books.acknowledged(Some(&self.model.desk));
    }

    /// Whether a restore was under way when the server went.
    pub(crate) fn restoring(&self) -> bool {
        matches!(self.pending, Some(Step::Restore(_)))
    }

    /// After a crash: what is there must be the desktop and the sessions before the step under way, or after it. From now on
    /// that is what counts.
    pub(crate) fn check(&mut self, survey: &Survey, books: &Books) -> Result<(), String> {
        let there = Model::of(survey, books);
        let step = self.pending.take();
        let possible = match &step {
            None => vec![(self.model.clone(), false)],
            Some(step) => {
                let launching = matches!(step, Step::Launch);
                vec![(self.model.clone(), false), (self.model.after(step), launching)]
            }
        };
        if !possible.iter().any(|(model, launching)| model.is(&there, *launching)) {
            return Err(format!(
                "half a desktop, or a lost one. Under way: {step:?}\nthere:    {there:?}\npossible: {possible:?}"
            ));
        }
        self.model = there;
        Ok(())
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.model.desk
    }
}
