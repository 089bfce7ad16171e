//! A running app and its window, in the one form that the database, the HTTP routes and the events share.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    geometry::{Bounds, Extent, Position, Size, Snap, WindowState},
    json::{object, object_or_null},
    manifest::{Manifest, UiSpec},
};

/// A running app. Values of it are never changed, only replaced.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct App {
    /// The running instance; a restore keeps it.
    pub id: String,
    /// The registry's id of what runs.
    pub manifest_id: String,
    /// Shown in the title bar.
    pub title: String,
    /// The name of an icon.
    pub icon: String,
    /// How it is drawn: `{"builtin": NAME}` or a UI spec.
    #[schema(value_type = UiSpec)]
    pub ui_spec: Arc<RawValue>,
    /// What the app itself wants to find again.
    #[schema(value_type = serde_json::Value)]
    pub state: Arc<RawValue>,
    /// Counts the accepted states.
    pub state_version: u64,
    /// The window's own id.
    pub window_id: String,
    /// Where the window is on the screen; of a minimised one, where it will be again.
    pub window_pos: Position,
    /// How large it is there.
    pub window_size: Size,
    /// What it looks like.
    pub window_state: WindowState,
    /// What a minimised window comes back as; of others, the same as `window_state`.
    pub restore_state: WindowState,
    /// Where it goes back to from maximised, snapped and fullscreen.
    pub restore_bounds: Bounds,
    /// The part of the desktop that a snapped window fills.
    #[schema(required = true)]
    pub snap: Option<Snap>,
    /// Higher is nearer to the eye.
    pub z: i64,
    /// On which workspace.
    pub workspace: u32,
    /// Counts the accepted changes of the window.
    pub version: u64,
    /// The app that this one belongs to, and closes with.
    #[schema(required = true)]
    pub parent_id: Option<String>,
    /// Its process; none when that has ended.
    #[schema(required = true)]
    pub pid: Option<u64>,
    /// It asks for the whole screen.
    pub fullscreen: bool,
    /// There is never more than one.
    pub singleton: bool,
    /// The window is never made smaller.
    pub min_size: Size,
    /// What its process was given, as `right:pattern`.
    pub grants: Vec<String>,
}

/// What a client says of a window.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(crate) struct WindowChange {
    /// Which window; it must be the app's.
    pub window_id: String,
    /// Where it is.
    #[serde(deserialize_with = "object")]
    pub position: Position,
    /// How large it is.
    #[serde(deserialize_with = "object")]
    pub size: Size,
    /// Its place in the stack; unset leaves it.
    #[serde(default)]
    pub z: Option<Depth>,
    /// What it looks like; unset leaves it.
    #[serde(default)]
    pub state: Option<WindowState>,
    /// The part of the desktop it fills; needed when `state` is `snapped`.
    #[serde(default)]
    pub snap: Option<Snap>,
    /// What it comes back as when it is minimised; unset takes the state it had.
    #[serde(default)]
    pub restore_state: Option<WindowState>,
    /// Where it goes back to; unset leaves it, or takes the new place of a normal window.
    #[serde(default, deserialize_with = "object_or_null")]
    pub restore_bounds: Option<Bounds>,
    /// On which workspace; unset leaves it.
    #[serde(default)]
    pub workspace: Option<Workspace>,
    /// The version that the change was made on; unset means whichever.
    #[serde(default)]
    pub version: Option<u64>,
}

/// A place in the stack of windows, within ±2^40.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "i64")]
#[schema(value_type = i64, minimum = -1_099_511_627_776_i64, maximum = 1_099_511_627_776_i64)]
pub(crate) struct Depth(pub i64);

impl TryFrom<i64> for Depth {
    type Error = String;

    fn try_from(z: i64) -> Result<Self, String> {
        if z.unsigned_abs() <= 1 << 40 { Ok(Self(z)) } else { Err(format!("{z} is not within ±2^40")) }
    }
}

/// The number of a workspace, 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(try_from = "i64")]
#[schema(value_type = u32, minimum = 0, maximum = 63)]
pub(crate) struct Workspace(pub u32);

impl TryFrom<i64> for Workspace {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        match u32::try_from(number) {
            Ok(number @ 0..=63) => Ok(Self(number)),
            _ => Err(format!("{number} is not within 0 and 63")),
        }
    }
}

/// Why a change makes no sense: the field, and what is wrong with it.
pub(crate) type Invalid = (&'static str, String);

impl App {
    /// A new app of a manifest. `nth` says how many windows were opened before, so that they don't hide each other.
    pub(crate) fn of(manifest: &Manifest, ids: [String; 2], parent_id: Option<String>, nth: usize) -> Self {
        let [id, window_id] = ids;
        let step = 32 * (nth % 8) as i32;
        let position =
            Position { x: super::geometry::Coordinate(64 + step), y: super::geometry::Coordinate(48 + step) };
        let window = manifest.window;
        // A manifest that asks for less than its own least gets the least.
        let larger = |one: Extent, other: Extent| Extent(one.0.max(other.0));
        let size = Size {
            width: larger(window.width, window.min_width),
            height: larger(window.height, window.min_height),
        };
        let state = if manifest.fullscreen { WindowState::Fullscreen } else { WindowState::Normal };
        Self {
            id,
            manifest_id: manifest.id.clone(),
            title: manifest.title.clone(),
            icon: manifest.icon.clone(),
            ui_spec: Arc::clone(&manifest.ui_spec),
            state: RawValue::NULL.to_owned().into(),
            state_version: 1,
            window_id,
            window_pos: position,
            window_size: size,
            window_state: state,
            restore_state: state,
            restore_bounds: Bounds::new(position, size),
            snap: None,
            z: 0,
            workspace: 0,
            version: 1,
            parent_id,
            pid: None,
            fullscreen: manifest.fullscreen,
            singleton: manifest.singleton,
            min_size: Size { width: window.min_width, height: window.min_height },
            grants: Vec::new(),
        }
    }

    /// The app with its window changed.
    pub(crate) fn with_window(&self, change: &WindowChange) -> Result<Self, Invalid> {
        let state = change.state.unwrap_or(self.window_state);
        let restore_state = match (state, change.restore_state) {
            (WindowState::Minimized, Some(WindowState::Minimized)) => {
                return Err(("restore_state", "a window can't come back as minimized".to_owned()));
            }
            (WindowState::Minimized, given) => given.unwrap_or(self.restore_state),
            (state, _) => state,
        };
        let snap = if restore_state == WindowState::Snapped { change.snap.or(self.snap) } else { None };
        if restore_state == WindowState::Snapped && snap.is_none() {
            return Err(("snap", "a snapped window fills some part of the desktop: say which".to_owned()));
        }
        let here = Bounds::new(change.position, change.size);
        let restore_bounds = match change.restore_bounds {
            Some(bounds) => bounds,
            None if restore_state == WindowState::Normal => here,
            None => self.restore_bounds,
        };
        Ok(Self {
            window_pos: change.position,
            window_size: change.size,
            window_state: state,
            restore_state,
            restore_bounds,
            snap,
            z: change.z.map_or(self.z, |z| z.0),
            workspace: change.workspace.map_or(self.workspace, |workspace| workspace.0),
            version: self.version + 1,
            ..self.clone()
        })
    }
}
