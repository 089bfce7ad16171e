//! Each operation is several steps of the upper layer. After each of them it may fail, or the process be gone: then
//! everything must be as before or, when laid again, as after.

use super::failing::{Fate, Plan, failing};
use super::{layers, tree};
use uos_vfs::{Error, FileSystem, MemFs, OverlayFs, Rename};

type Act = fn(&OverlayFs) -> Result<(), Error>;

/// What is done first, and then with failures.
const ACTS: &[(&str, Act, Act)] = &[
    ("make below", |_| Ok(()), |fs| fs.create("/a/b/new", 0o644)),
    ("make a directory below", |_| Ok(()), |fs| fs.make_dir("/a/b/new", 0o755)),
    ("append", |_| Ok(()), |fs| fs.append("/a/b/file", "!")),
    ("write", |_| Ok(()), |fs| fs.write("/a/b/file", "new")),
    ("cut", |_| Ok(()), |fs| fs.truncate("/a/b/file", 2)),
    ("change a mode", |_| Ok(()), |fs| fs.set_permissions("/a/b/file", 0o600)),
    ("change a directory's mode", |_| Ok(()), |fs| fs.set_permissions("/a/b", 0o700)),
    ("link", |_| Ok(()), |fs| fs.hard_link("/a/b/file", "/a/linked")),
    ("remove from below", |_| Ok(()), |fs| fs.delete("/a/b/file")),
    ("remove what was changed", |fs| fs.append("/a/b/file", "!"), |fs| fs.delete("/a/b/file")),
    ("remove what was made", |fs| fs.write("/a/x", "x"), |fs| fs.delete("/a/x")),
    ("remove a directory from below", |fs| fs.delete("/a/b/file"), |fs| fs.remove_dir("/a/b")),
    ("make what was removed", |fs| fs.remove_dir_all("/a/b"), |fs| fs.make_dir("/a/b", 0o755)),
    ("rename from below", |_| Ok(()), |fs| fs.rename("/a/b/file", "/moved")),
    ("rename onto one from below", |_| Ok(()), |fs| fs.rename("/a/b/file", "/a/above")),
    ("rename what was made onto one from below", |fs| fs.write("/x", "x"), |fs| fs.rename("/x", "/a/above")),
    ("rename a directory from below", |_| Ok(()), |fs| fs.rename("/a/b", "/moved")),
    ("rename it again", |fs| fs.rename("/a/b", "/moved"), |fs| fs.rename("/moved", "/a/again")),
    ("rename it back", |fs| fs.rename("/a/b", "/moved"), |fs| fs.rename("/moved", "/a/b")),
    (
        "rename one that was made onto an empty one",
        |fs| {
            fs.delete("/a/b/file")?;
            fs.create_dir("/x/y")
        },
        |fs| fs.rename("/x", "/a/b"),
    ),
    (
        "rename one from below onto an empty one",
        |fs| {
            fs.create_dir("/a/c")?;
            fs.rename("/a/b/file", "/a/c/file")?;
            fs.rename("/a", "/a2")
        },
        |fs| fs.rename("/a2/c", "/a2/b"),
    ),
    ("rename onto an empty one from below", |fs| fs.create_dir("/x/y"), |fs| fs.rename("/x", "/a/none")),
    ("rename one from below onto another", |_| Ok(()), |fs| fs.rename("/a/b", "/a/none")),
    ("remove an empty one from below", |_| Ok(()), |fs| fs.remove_dir("/a/none")),
    (
        "exchange with an empty one from below",
        |_| Ok(()),
        |fs| fs.rename_with("/a/above", "/a/none", Rename::Exchange),
    ),
    ("exchange", |_| Ok(()), |fs| fs.rename_with("/a/b", "/a/above", Rename::Exchange)),
    ("exchange directories", |fs| fs.create_dir("/x/y"), |fs| fs.rename_with("/a/b", "/x", Rename::Exchange)),
];

#[test]
fn every_step_leaves_what_was_or_what_is_to_be() {
    let mut cut = 0;
    for (name, before, act) in ACTS {
        for fate in [Fate::Fails, Fate::Dies] {
            for changes in 0.. {
                let (upper, lower) = layers_with_an_empty_one();
                let lowers = [upper.root(), lower.root()];
                let top = MemFs::builder().build();
                let plan = Plan::new(fate);
                let fs = OverlayFs::new(lowers.clone(), failing(top.root(), &plan)).unwrap();
                before(&fs).unwrap();
                let was = tree(&fs);
                plan.after(changes);
                let done = act(&fs);
                plan.after(i64::MAX);
                let is = tree(&fs);
                drop(fs);
                let again = tree(&OverlayFs::new(lowers, top.root()).unwrap());
                let to_be = uncut(*before, *act);
                let what = format!("{name}, {fate:?} after {changes}: {done:?}");
                match (&done, fate) {
                    (Ok(()), _) => assert_eq!((&is, &again), (&to_be, &to_be), "{what}"),
                    (Err(_), Fate::Fails) => assert_eq!((&is, &again), (&was, &was), "{what}"),
                    (Err(_), Fate::Dies) => assert!(again == was || again == to_be, "{what}: {again:#?}"),
                }
                cut += 1;
                if done.is_ok() && changes > 60 {
                    break;
                }
            }
        }
    }
    assert!(cut > 20 * ACTS.len(), "only {cut} were cut");
}

fn layers_with_an_empty_one() -> (MemFs, MemFs) {
    let (upper, lower) = layers();
    lower.create_dir("/a/none").unwrap();
    (upper, lower)
}

/// What comes of it when nothing fails.
fn uncut(before: Act, act: Act) -> Vec<String> {
    let (upper, lower) = layers_with_an_empty_one();
    let fs = OverlayFs::new([upper.root(), lower.root()], MemFs::builder().build().root()).unwrap();
    before(&fs).unwrap();
    act(&fs).unwrap();
    tree(&fs)
}
