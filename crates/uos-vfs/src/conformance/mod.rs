//! One suite for every filesystem: what [`Node`](crate::Node) and [`OpenFile`](crate::OpenFile) promise,
//! as cases to run a backend through. Feature `conformance`.
//!
//! ```ignore
//! use uos_vfs::{MemFs, conformance};
//!
//! conformance::check(&[], || {
//!     let fs = MemFs::builder().build();
//!     (fs.root(), fs)
//! });
//! ```

#![allow(clippy::unwrap_used, reason = "here a panic is the report")]

mod attributes;
mod beyond;
mod content;
mod listings;
mod names;
#[cfg(test)]
mod ours;
mod renames;
mod rights;
mod tools;

use crate::NodeRef;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a backend may be unable to do. It then refuses, and leaves out the cases that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// Several names for one file.
    HardLinks,
    /// Symbolic links.
    Symlinks,
    /// Moving an entry in one step, replacing or exchanging what is there.
    Renames,
    /// Writing anywhere in a file, and cutting it.
    RandomWrites,
    /// Files that live on without a name, and directories that know they were removed.
    Unlinked,
    /// Modes and times that are kept as they are set.
    Attributes,
    /// Owners that are kept as they are set, and callers judged by them.
    Owners,
    /// The bits that lend rights.
    SetIds,
    /// Pipes and sockets.
    Special,
    /// Devices.
    Devices,
    /// Extended attributes of the namespace `user.`.
    Xattrs,
    /// Setting space aside, punching holes, and telling where they are.
    Holes,
}

/// One thing that every filesystem does alike.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: &'static str,
    /// What a filesystem must be able to do for it.
    pub needs: &'static [Ability],
    /// Runs it in an empty directory of mode 755 that belongs to user 0, the root of its filesystem or
    /// not. Panics if it does not hold.
    pub run: fn(&NodeRef),
}

macro_rules! cases {
    ($($module:ident::$name:ident [$($need:ident),*];)*) => {
        /// All there are.
        pub const CASES: &[Case] = &[$(
            Case { name: stringify!($name), needs: &[$(Ability::$need),*], run: $module::$name },
        )*];
    };
}

cases! {
    content::a_file_holds_what_was_written [RandomWrites];
    content::reading_sees_what_was_written_since_the_file_was_found [RandomWrites];
    content::holes_read_as_zero [RandomWrites];
    content::appends_go_to_the_end [RandomWrites];
    content::replacing_leaves_nothing_of_the_old [];
    content::absurd_offsets_are_too_big [RandomWrites];
    content::an_unlinked_file_lives_on [HardLinks, Unlinked];
    names::making_is_exclusive [Symlinks];
    names::directories_count_their_subdirectories [Renames, Unlinked];
    names::only_empty_directories_are_removed [];
    names::a_removed_directory_takes_nothing [Symlinks, HardLinks, Renames, Unlinked];
    names::kinds_are_told_apart [Symlinks, Renames];
    names::hard_links_are_one_file [HardLinks];
    names::links_are_text [Symlinks, HardLinks];
    names::foreign_nodes_are_refused [HardLinks, Renames];
    names::refusing_changes_nothing [Symlinks, HardLinks, Renames];
    renames::renaming_replaces [Renames, Unlinked];
    renames::renaming_refuses [Renames];
    renames::renaming_one_file_to_itself_does_nothing [Renames, HardLinks];
    renames::directories_move_but_not_into_themselves [Renames];
    renames::exchanging_swaps [Renames];
    listings::a_listing_goes_on_where_it_stopped [];
    listings::a_listing_survives_changes [Renames];
    attributes::attributes_are_set [Attributes, Symlinks, RandomWrites];
    attributes::times_follow_changes [Attributes, HardLinks, Renames, RandomWrites];
    rights::a_directory_is_searched_written_and_read_by_its_bits [Owners, Symlinks, HardLinks, Renames];
    rights::files_are_opened_by_their_bits [Owners];
    rights::what_one_makes_is_ones_own [Owners, Symlinks];
    rights::a_sticky_directory_is_cleared_by_owners_only [Owners, Renames];
    rights::only_who_may_write_a_directory_gives_it_another_parent [Owners, Renames];
    rights::attributes_are_their_owners [Owners, Attributes, RandomWrites];
    rights::a_set_group_id_directory_hands_down_its_group [Owners, SetIds, Symlinks];
    rights::rights_are_not_lent_by_what_others_wrote [Owners, SetIds, RandomWrites];
    beyond::pipes_and_sockets_have_names [Special, HardLinks];
    beyond::devices_keep_their_number [Devices, Owners];
    beyond::extended_attributes_are_kept [Xattrs, Renames, Symlinks];
    beyond::ranges_are_punched_and_reserved [Holes];
    beyond::holes_can_be_found [Holes];
}

/// Runs every case that needs nothing of `lacking`, each in a filesystem of its own. `fresh` makes an
/// empty one and gives its root, and whatever has to be kept until the case is done.
///
/// # Panics
/// At the end, naming all cases that do not hold.
pub fn check<G>(lacking: &[Ability], fresh: impl Fn() -> (NodeRef, G)) {
    let wanted = CASES.iter().filter(|case| case.needs.iter().all(|need| !lacking.contains(need)));
    let failed: Vec<_> = wanted
        .filter(|case| {
            let (root, _guard) = fresh();
            // The filesystem of a case that failed is not looked at again.
            catch_unwind(AssertUnwindSafe(|| (case.run)(&root))).is_err()
        })
        .map(|case| case.name)
        .collect();
    assert!(failed.is_empty(), "these do not hold: {failed:#?}");
}
