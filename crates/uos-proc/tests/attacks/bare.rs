//! Sandboxes without namespaces, which Landlock and the filter alone hold. Their programs come from a thread that has loaded
//! the filter and knows a key to it.

use std::collections::BTreeSet;

use uos_proc::{Guarantee, Isolation, Level, LinuxSpawner};

use crate::run::{boxed_barely, ended};
use crate::table::TABLE;
use crate::world::World;

fn spawner() -> LinuxSpawner {
    LinuxSpawner::with_isolation(Isolation::NoNamespaces).expect("a spawner")
}

/// What is refused by its number or its arguments is so with and without namespaces.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_call_is_allowed_for_want_of_namespaces() {
    let (spawner, mut world) = (spawner(), World::new());
    let (mut tried, mut failed) = (0, Vec::new());
    for level in [Level::Minimal, Level::Standard] {
        for row in TABLE.iter().filter(|row| row.tries == Guarantee::Syscalls && !row.on_terminal) {
            let words = world.words(row.words, &world.at("rw").display().to_string());
            let expected = if level == Level::Minimal { row.minimal } else { row.standard };
            let end = ended(&spawner, boxed_barely(&world, level, &words)).await.expect("a sandbox");
            world.assert_unharmed(row.what);
            println!("{:>3} {:<50} {end}", row.number, row.what);
            tried += 1;
            if end != expected {
                failed.push(format!("{level:?}: {} {}: {end}, not {expected}", row.number, row.what));
            }
        }
    }
    assert!(tried > 0 && failed.is_empty(), "of {tried}:\n{}", failed.join("\n"));
}

/// The numbers that get through at each level, natively; none does in another way.
#[cfg(target_arch = "x86_64")]
pub(crate) async fn let_through(world: &World) -> Vec<BTreeSet<usize>> {
    let spawner = spawner();
    let mut native = Vec::new();
    for level in [Level::Minimal, Level::Standard] {
        let boxed = |words: &[String]| boxed_barely(world, level, words);
        let swept = crate::sweep::sweep(&spawner, &boxed, "native").await;
        println!("{level:?} without namespaces: {} of 601 calls get through", swept.let_through.len());
        assert_eq!(swept.killed, 0, "{level:?}: a call that is refused has an errno");
        native.push(swept.let_through);
        let x32 = crate::sweep::sweep(&spawner, &boxed, "x32").await;
        assert_eq!((x32.let_through.len(), x32.killed), (0, 0), "{level:?} by x32: {x32:?}");
        let i386 = crate::sweep::sweep(&spawner, &boxed, "i386").await;
        assert_eq!((i386.let_through.len(), i386.killed), (0, 601), "{level:?} by the 32-bit gate: {i386:?}");
    }
    native
}
