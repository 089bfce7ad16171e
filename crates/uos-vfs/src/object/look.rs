//! What there is at a service.

use super::Objects;
use super::bridge::error_of;
use super::key::{Key, cursor_of};
use crate::{Kind, Result};
use futures_util::TryStreamExt;
use opendal::options::ListOptions;
use opendal::{EntryMode, ErrorKind, Metadata};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Entries by their place.
pub(super) type Listing = Arc<BTreeMap<(u64, String), Kind>>;

impl Objects {
    /// What is at a key now, and what the service says of it.
    pub(super) fn look(&self, key: &Key) -> Result<Option<(Kind, Option<Metadata>)>> {
        if key.is_root() {
            return Ok(Some((Kind::Directory, None)));
        }
        let operator = self.bridge.operator().clone();
        let (object, directory) = (key.object(), key.directory());
        self.bridge.ask(async move {
            match operator.stat(&object).await {
                Ok(found) if found.is_dir() => return Ok(Some((Kind::Directory, Some(found)))),
                Ok(found) => return Ok(Some((Kind::File, Some(found)))),
                Err(error) if is_absence(&error) => {}
                Err(error) => return Err(error),
            }
            match operator.stat(&directory).await {
                Ok(found) if found.is_dir() => return Ok(Some((Kind::Directory, Some(found)))),
                Ok(_) => {}
                Err(error) if is_absence(&error) => {}
                Err(error) => return Err(error),
            }
            // Nobody has made it, but there may be keys that imply it.
            let options = ListOptions { limit: Some(1), ..ListOptions::default() };
            let implied = match operator.lister_options(&directory, options).await {
                Ok(mut lister) => lister.try_next().await?,
                Err(error) if is_absence(&error) => None,
                Err(error) => return Err(error),
            };
            Ok(implied.map(|_| (Kind::Directory, None)))
        })
    }

    /// What is in a directory; of one that is not there, nothing.
    pub(super) fn list(&self, key: &Key) -> Result<Listing> {
        let (operator, directory) = (self.bridge.operator().clone(), key.directory());
        let listed = self.bridge.wait(async move { operator.list(&directory).await })?;
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) if is_absence(&error) => Vec::new(),
            Err(error) => return Err(error_of(&error)),
        };
        let mut listing = BTreeMap::new();
        for entry in entries {
            let Some(name) = key.name_of(entry.path()) else { continue };
            let place = (cursor_of(name), name.to_owned());
            match entry.metadata().mode() {
                EntryMode::DIR => drop(listing.entry(place).or_insert(Kind::Directory)),
                // Of both the object is seen.
                _ => drop(listing.insert(place, Kind::File)),
            }
        }
        Ok(Arc::new(listing))
    }
}

/// Nothing is there, or something that is a directory or is below what is none.
fn is_absence(error: &opendal::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory)
}
