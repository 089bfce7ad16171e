//! The filesystems of this crate. A new one adds a test here, and says what it lacks.

use super::{Ability, check};
use crate::{LocalFs, MemFs};

#[test]
fn memory_meets_the_suite() {
    check(&[], || {
        let fs = MemFs::builder().build();
        (fs.root(), fs)
    });
}

#[test]
fn the_host_meets_the_suite() {
    let mut lacking = vec![Ability::SetIds, Ability::Devices];
    if !rustix::process::geteuid().is_root() {
        // Only root can give files away on the host.
        lacking.push(Ability::Owners);
    }
    check(&lacking, || {
        let dir = tempfile::tempdir().unwrap();
        (LocalFs::open(dir.path(), false).unwrap().root(), dir)
    });
}
