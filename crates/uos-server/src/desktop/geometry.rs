//! Where a window is. Everything is in whole CSS pixels, and only values that make sense can be made.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

/// The farthest from the desktop's corner that a window may be: no screen is larger.
const FARTHEST: i64 = 32_767;

/// A coordinate between -32,767 and 32,767.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = i32, minimum = -32_767, maximum = 32_767)]
pub(crate) struct Coordinate(pub i32);

/// A width or height between 1 and 32,767.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(value_type = u32, minimum = 1, maximum = 32_767)]
pub(crate) struct Extent(pub u32);

impl<'de> Deserialize<'de> for Coordinate {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let given = i64::deserialize(input)?;
        match i32::try_from(given) {
            Ok(value) if given.abs() <= FARTHEST => Ok(Self(value)),
            _ => Err(D::Error::custom(format!("{given} is not within ±{FARTHEST} pixels"))),
        }
    }
}

impl<'de> Deserialize<'de> for Extent {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let given = i64::deserialize(input)?;
        match u32::try_from(given) {
            Ok(value) if (1..=FARTHEST).contains(&given) => Ok(Self(value)),
            _ => Err(D::Error::custom(format!("{given} is not within 1 and {FARTHEST} pixels"))),
        }
    }
}

/// A place on the desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Position {
    /// From the left.
    pub x: Coordinate,
    /// From the top.
    pub y: Coordinate,
}

/// How large a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Size {
    /// From left to right.
    pub width: Extent,
    /// From top to bottom.
    pub height: Extent,
}

/// A place and a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Bounds {
    /// From the left.
    pub x: Coordinate,
    /// From the top.
    pub y: Coordinate,
    /// From left to right.
    pub width: Extent,
    /// From top to bottom.
    pub height: Extent,
}

impl Bounds {
    /// Of a position and a size.
    pub(crate) fn new(position: Position, size: Size) -> Self {
        Self { x: position.x, y: position.y, width: size.width, height: size.height }
    }
}

/// What a window looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WindowState {
    /// At its own place and size.
    Normal,
    /// In the taskbar only.
    Minimized,
    /// As large as the desktop.
    Maximized,
    /// As large as the screen, over the taskbar too.
    Fullscreen,
    /// On one half or quarter of the desktop.
    Snapped,
}

/// The part of the desktop that a snapped window fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Snap {
    /// The left half.
    Left,
    /// The right half.
    Right,
    /// The upper left quarter.
    TopLeft,
    /// The upper right quarter.
    TopRight,
    /// The lower left quarter.
    BottomLeft,
    /// The lower right quarter.
    BottomRight,
}

/// The name of a value of a plain enum, as it is on the wire and in the database.
pub(crate) fn name_of(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// The value of a name.
pub(crate) fn of_name<T: for<'de> Deserialize<'de>>(name: &str) -> Result<T, serde_json::Error> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Coordinate, Extent, Snap, WindowState, name_of, of_name};

    #[test]
    fn only_what_makes_sense_can_be_made() {
        for good in ["-32767", "0", "32767"] {
            serde_json::from_str::<Coordinate>(good).unwrap();
        }
        for bad in ["-32768", "32768", "1e300", "1.5", "null", "\"1\"", "9223372036854775808"] {
            serde_json::from_str::<Coordinate>(bad).unwrap_err();
            serde_json::from_str::<Extent>(bad).unwrap_err();
        }
        serde_json::from_str::<Extent>("0").unwrap_err();
        serde_json::from_str::<Extent>("-1").unwrap_err();
    }

    #[test]
    fn names_are_those_of_the_wire() {
        assert_eq!(name_of(Snap::TopLeft), "top_left");
        assert_eq!(of_name::<WindowState>("minimized").unwrap(), WindowState::Minimized);
        of_name::<Snap>("top").unwrap_err();
    }
}
