//! What an app is before it runs: a manifest, built in or added at run time.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use uos_syscall::rights::Grant;
use utoipa::ToSchema;

use super::{
    app::Invalid,
    geometry::Extent,
    json::{depth, object},
    services,
};

/// The most bytes of JSON in a UI spec.
const SPEC_BYTES: usize = 64 << 10;
/// How many lists and objects of a UI spec may be within each other.
const SPEC_DEPTH: usize = 32;

/// What an app is, what it wants, and how it is drawn.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Manifest {
    /// 1 to 64 of `a–z 0–9 -`, a letter or digit first. In a request the path says it, and this is not looked at.
    #[serde(default)]
    pub id: String,
    /// Shown to people, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    pub title: String,
    /// The name of an icon.
    #[serde(default = "default_icon")]
    #[schema(min_length = 1, max_length = 64)]
    pub icon: String,
    /// What it is for, in a sentence.
    #[serde(default)]
    #[schema(max_length = 1_000)]
    pub description: String,
    /// What it is listed under.
    #[serde(default)]
    #[schema(max_length = 100)]
    pub category: String,
    /// `{"builtin": NAME}` or a UI spec, at most 64 KiB of JSON and 32 levels deep.
    #[schema(value_type = UiSpec)]
    pub ui_spec: Arc<RawValue>,
    /// The services it asks for; see `GET /registry/services`.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub services: Vec<String>,
    /// More rights it asks for, `right:pattern` each.
    #[serde(default)]
    #[schema(max_items = 64)]
    pub grants: Vec<String>,
    /// It wants the whole screen.
    #[serde(default)]
    pub fullscreen: bool,
    /// Launching it again shows the one that runs.
    #[serde(default)]
    pub singleton: bool,
    /// How large its window is at first; it is never made smaller than its least size.
    #[serde(default, deserialize_with = "object")]
    pub window: WindowWish,
    /// It came with the program and can't be changed.
    #[serde(default)]
    pub built_in: bool,
}

/// How an app is drawn. The parts of a view are judged where they are drawn.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "see `check_spec`")]
pub(crate) enum UiSpec {
    /// By a component that came with the program.
    BuiltIn { builtin: String },
    /// From data.
    Data {
        #[schema(minimum = 1, maximum = 1)]
        version: u32,
        view: Value,
    },
}

/// How large a window wants to be.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub(crate) struct WindowWish {
    /// At first.
    pub width: Extent,
    /// At first.
    pub height: Extent,
    /// At least.
    pub min_width: Extent,
    /// At least.
    pub min_height: Extent,
}

impl Default for WindowWish {
    fn default() -> Self {
        Self { width: Extent(720), height: Extent(480), min_width: Extent(320), min_height: Extent(200) }
    }
}

fn default_icon() -> String {
    "app-window".to_owned()
}

impl Manifest {
    /// Everything an app of this manifest is given.
    pub(crate) fn all_grants(&self) -> Vec<String> {
        let mut grants = services::grants_of(&self.id, &self.services);
        grants
            .extend(self.grants.iter().filter(|grant| !grants.contains(grant)).cloned().collect::<Vec<_>>());
        grants
    }

    /// Whether it makes sense.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        check_id(&self.id)?;
        check_text("title", &self.title, 1, 100)?;
        check_text("icon", &self.icon, 1, 64)?;
        check_text("description", &self.description, 0, 1_000)?;
        check_text("category", &self.category, 0, 100)?;
        if let Some(unknown) = self.services.iter().find(|name| services::service(name).is_none()) {
            return Err(("services", format!("there is no service `{unknown}`")));
        }
        if self.grants.len() > 64 || self.services.len() > 64 {
            return Err(("grants", "an app asks for at most 64 rights and 64 services".to_owned()));
        }
        for grant in &self.grants {
            Grant::parse(grant).map_err(|error| ("grants", format!("`{grant}`: {error}")))?;
        }
        check_spec(&self.ui_spec)
    }
}

fn check_id(id: &str) -> Result<(), Invalid> {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&id.len()) && id.bytes().all(good) && !id.starts_with('-') {
        return Ok(());
    }
    Err(("id", "an id is 1 to 64 of a–z, 0–9 and -, and doesn't begin with -".to_owned()))
}

/// What has no width and is no blank to Unicode: soft hyphens, joiners, marks of direction.
const UNSEEN: [char; 10] = [
    '\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{202e}', '\u{2060}', '\u{3164}',
    '\u{feff}',
];

/// Text for people: so many characters, none of them a control character, and where one is wanted, one that can be seen.
pub(crate) fn check_text(field: &'static str, text: &str, least: usize, most: usize) -> Result<(), Invalid> {
    let seen = |it: &char| !it.is_whitespace() && !UNSEEN.contains(it);
    if text.chars().filter(seen).count() < least || text.chars().count() > most {
        return Err((
            field,
            format!("{least} to {most} characters are wanted, not {}", text.chars().count()),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err((field, "control characters are not wanted".to_owned()));
    }
    Ok(())
}

/// The parts of a spec are judged where they are drawn, so that a wrong one shows in its place; here only its size is.
fn check_spec(spec: &RawValue) -> Result<(), Invalid> {
    let field = "ui_spec";
    if spec.get().len() > SPEC_BYTES {
        return Err((field, format!("{} bytes are more than {SPEC_BYTES}", spec.get().len())));
    }
    let value: Value = serde_json::from_str(spec.get()).map_err(|error| (field, error.to_string()))?;
    let Value::Object(parts) = &value else {
        return Err((field, "an object is wanted".to_owned()));
    };
    if depth(spec.get()) > SPEC_DEPTH {
        return Err((field, format!("it is more than {SPEC_DEPTH} levels deep")));
    }
    match (parts.get("builtin"), parts.get("version"), parts.get("view")) {
        (Some(Value::String(name)), None, None) if BUILT_IN.iter().any(|built| built.id == name) => Ok(()),
        (Some(name), None, None) => Err((field, format!("there is no built-in component {name}"))),
        (None, Some(Value::Number(version)), Some(_)) if version.as_u64() == Some(1) => Ok(()),
        (None, Some(version), Some(_)) => Err((field, format!("version {version} is not known; 1 is"))),
        _ => Err((field, "either `builtin`, or `version` and `view` are wanted".to_owned())),
    }
}

struct BuiltIn {
    id: &'static str,
    title: &'static str,
    icon: &'static str,
    description: &'static str,
    category: &'static str,
    services: &'static [&'static str],
    grants: &'static [&'static str],
    singleton: bool,
    size: (u32, u32),
}

/// The apps that come with the program, each drawn by the component of its id.
const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        id: "hub",
        title: "Hub",
        icon: "layout-grid",
        description: "All apps: what each asks for, what runs, and new ones.",
        category: "System",
        services: &[],
        grants: &[],
        singleton: true,
        size: (860, 580),
    },
    BuiltIn {
        id: "files",
        title: "Files",
        icon: "folder",
        description: "Browse, make, rename, remove, upload and download.",
        category: "Work",
        services: &["files"],
        grants: &["fs.read:/**", "fs.write:/home/**", "fs.write:/tmp/**"],
        singleton: false,
        size: (820, 540),
    },
    BuiltIn {
        id: "monitor",
        title: "System Monitor",
        icon: "activity",
        description: "Every process, what it uses, and how to end it.",
        category: "System",
        services: &["process_control", "scheduler", "system"],
        grants: &[],
        singleton: true,
        size: (900, 560),
    },
    BuiltIn {
        id: "notes",
        title: "Notes",
        icon: "notebook-pen",
        description: "Write things down; they are there again tomorrow.",
        category: "Work",
        services: &[],
        grants: &[],
        singleton: false,
        size: (680, 520),
    },
];

/// The manifests of the built-in apps.
pub(crate) fn built_in() -> BTreeMap<String, Arc<Manifest>> {
    let texts = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let manifest = |app: &BuiltIn| Manifest {
        id: app.id.to_owned(),
        title: app.title.to_owned(),
        icon: app.icon.to_owned(),
        description: app.description.to_owned(),
        category: app.category.to_owned(),
        ui_spec: raw(&serde_json::json!({ "builtin": app.id })),
        services: texts(app.services),
        grants: texts(app.grants),
        fullscreen: false,
        singleton: app.singleton,
        window: WindowWish { width: Extent(app.size.0), height: Extent(app.size.1), ..WindowWish::default() },
        built_in: true,
    };
    BUILT_IN.iter().map(|app| (app.id.to_owned(), Arc::new(manifest(app)))).collect()
}

fn raw(value: &Value) -> Arc<RawValue> {
    serde_json::value::to_raw_value(value).expect("a JSON value is JSON").into()
}

#[cfg(test)]
mod tests {
    use super::{Manifest, built_in, raw};

    #[test]
    fn the_built_in_apps_make_sense() {
        for (id, manifest) in built_in() {
            manifest.check().unwrap_or_else(|(field, why)| panic!("{id}: {field}: {why}"));
        }
    }

    #[test]
    fn a_manifest_says_which_field_is_wrong() {
        let good: Manifest = serde_json::from_value(serde_json::json!({
            "id": "x", "title": "X", "ui_spec": { "version": 1, "view": {} }
        }))
        .unwrap();
        good.check().unwrap();
        let mut deep = serde_json::json!(1);
        for _ in 0..40 {
            deep = serde_json::json!([deep]);
        }
        let long = "x".repeat(70_000);
        let wrong = [
            ("id", Manifest { id: "../x".into(), ..good.clone() }),
            ("title", Manifest { title: " ".into(), ..good.clone() }),
            ("title", Manifest { title: "a\nb".into(), ..good.clone() }),
            ("title", Manifest { title: "\u{200b} \u{feff}".into(), ..good.clone() }),
            ("services", Manifest { services: vec!["root".into()], ..good.clone() }),
            ("grants", Manifest { grants: vec!["fs.read".into()], ..good.clone() }),
            ("ui_spec", Manifest { ui_spec: raw(&serde_json::json!([])), ..good.clone() }),
            ("ui_spec", Manifest { ui_spec: raw(&serde_json::json!({ "builtin": "root" })), ..good.clone() }),
            (
                "ui_spec",
                Manifest { ui_spec: raw(&serde_json::json!({ "version": 2, "view": 1 })), ..good.clone() },
            ),
            (
                "ui_spec",
                Manifest { ui_spec: raw(&serde_json::json!({ "version": 1, "view": deep })), ..good.clone() },
            ),
            (
                "ui_spec",
                Manifest { ui_spec: raw(&serde_json::json!({ "version": 1, "view": long })), ..good.clone() },
            ),
        ];
        for (field, manifest) in wrong {
            assert_eq!(manifest.check().unwrap_err().0, field);
        }
    }
}
