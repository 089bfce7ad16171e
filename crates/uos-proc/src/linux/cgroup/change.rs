//! Several files of a group changed together: all of them, or none.

use std::io;

use super::dir::Dir;

/// Why a group was not changed; it is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The field of [`Limits`](crate::Limits).
    pub(crate) field: &'static str,
    pub(crate) errno: i32,
}

impl Refused {
    pub(super) fn by(field: &'static str, error: &io::Error) -> Self {
        Refused { field, errno: error.raw_os_error().unwrap_or(libc::EIO) }
    }
}

/// Files to be written, in this order.
#[derive(Default)]
pub(super) struct Changes<'a>(Vec<Change<'a>>);

struct Change<'a> {
    field: &'static str,
    dir: &'a Dir,
    file: &'static str,
    value: String,
    /// What it holds so far, to go back to.
    before: String,
}

impl<'a> Changes<'a> {
    /// Adds a file, unless it already holds the value. Without a directory for it, the value cannot be had.
    pub(super) fn add(
        &mut self,
        field: &'static str,
        dir: Option<&'a Dir>,
        file: &'static str,
        before: String,
        value: String,
    ) -> Result<(), Refused> {
        if value == before {
            return Ok(());
        }
        let dir = dir.ok_or(Refused { field, errno: libc::ENODEV })?;
        self.0.push(Change { field, dir, file, value, before });
        Ok(())
    }

    /// Writes them. After one that is refused, those before it are taken back, last first.
    pub(super) fn make(self) -> Result<(), Refused> {
        for (place, change) in self.0.iter().enumerate() {
            if let Err(error) = change.dir.write(change.file, &change.value) {
                for made in self.0[..place].iter().rev() {
                    // What the kernel held a moment ago it takes again: nothing was given up meanwhile.
                    let _ = made.dir.write(made.file, &made.before);
                }
                return Err(Refused::by(change.field, &error));
            }
        }
        Ok(())
    }
}

/// A limit as the kernel reads it.
pub(super) fn or(limit: Option<u64>, none: &str) -> String {
    limit.map_or_else(|| none.to_owned(), |limit| limit.to_string())
}
