//! A program that tries to break out, and what must become of it.
//!
//! Every attack of `table.rs` is run twice: outside, where it has to succeed, or nothing would be shown by its failing;
//! and inside each level, where it has to fail in exactly the way that its row says. After each one inside, the host is
//! looked at: files, listeners, another process, what processes share.
//!
//! Takes Linux and root.
#![cfg(target_os = "linux")]

mod bare;
#[cfg(target_arch = "x86_64")]
mod names;
mod page;
mod program;
mod run;
mod sweep;
mod table;
mod trials;
mod world;

use uos_proc::{Level, LinuxSpawner, SpawnError, Spawner};

use table::{Outside, Row, TABLE};
use world::{World, kernel_is_at_least};

#[test]
fn every_attack_succeeds_outside() {
    let mut world = World::new();
    let mut failed = Vec::new();
    for row in TABLE {
        let ended = run::outside(&world, row);
        let is_as_said = match row.outside {
            Outside::Works | Outside::WorksWith(..) => ended == "did it",
            Outside::Says(said, _) => ended == said,
            Outside::Depends(_) => true,
            Outside::IsHeard(_) => ended != "EPERM" && ended != "EACCES",
        };
        println!("{:>3} {:<50} {ended}", row.number, row.what);
        if !is_as_said {
            failed.push(format!("{} {}: {ended}", row.number, row.what));
        }
        world.repair();
    }
    assert!(failed.is_empty(), "these show nothing by failing inside:\n{}", failed.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_attack_succeeds_at_minimal() {
    none_succeeds(Level::Minimal, |row| match row.minimal_before {
        Some(((major, minor), ended)) if !kernel_is_at_least(major, minor) => ended,
        _ => row.minimal,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_attack_succeeds_at_standard() {
    none_succeeds(Level::Standard, |row| row.standard).await;
}

async fn none_succeeds(level: Level, expected: fn(&Row) -> &'static str) {
    let spawner = LinuxSpawner::new().expect("a spawner");
    let support = spawner.probe();
    let mut world = World::new();
    let (mut failed, mut not_held) = (Vec::new(), 0);
    for row in TABLE {
        let means = support.get(level, row.tries);
        let ended = match run::inside(&spawner, &world, row, level).await {
            Ok(ended) => ended,
            Err(SpawnError::UnsupportedLimit { name }) if !means.is_enforced() => {
                not_held += 1;
                println!("{:>3} {:<50} NOT HELD HERE: {name}: {means}", row.number, row.what);
                continue;
            }
            Err(error) => panic!("{} {}: {error}", row.number, row.what),
        };
        world.assert_unharmed(row.what);
        println!("{:>3} {:<50} {ended}", row.number, row.what);
        if ended != expected(row) {
            failed.push(format!("{} {}: {ended}, not {}", row.number, row.what, expected(row)));
        }
    }
    println!("{level:?}: {} attacks, {not_held} of them not held here", TABLE.len());
    assert!(failed.is_empty(), "at {level:?}:\n{}", failed.join("\n"));
}

/// The numbers that are let through are those of `docs/attacks.md`, and none of them in another way than the native one.
#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn only_listed_calls_get_through() {
    let spawner = LinuxSpawner::new().expect("a spawner");
    let world = World::new();
    let mut native = Vec::new();
    for level in [Level::Minimal, Level::Standard] {
        let boxed = |words: &[String]| run::boxed(&world, level, words);
        let swept = sweep::sweep(&spawner, &boxed, "native").await;
        println!("{level:?}: {} of 601 calls get through", swept.let_through.len());
        assert_eq!(swept.killed, 0, "{level:?}: a call that is refused has an errno");
        native.push(swept.let_through);
        let x32 = sweep::sweep(&spawner, &boxed, "x32").await;
        assert_eq!((x32.let_through.len(), x32.killed), (0, 0), "{level:?} by x32: {x32:?}");
        let i386 = sweep::sweep(&spawner, &boxed, "i386").await;
        assert_eq!((i386.let_through.len(), i386.killed), (0, 601), "{level:?} by the 32-bit gate: {i386:?}");
    }
    assert!(native[0].is_subset(&native[1]), "Minimal lets through what Standard does not");
    for barely in bare::let_through(&world).await {
        assert!(barely.is_subset(&native[1]), "without namespaces: {:?}", barely.difference(&native[1]));
    }
    page::check_calls(&native[0], &native[1]);
}

/// What the page says is tried elsewhere, is.
#[test]
fn every_trial_is_there() {
    let tests = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    for (number, what, test) in table::ELSEWHERE {
        let (file, name) = test.split_once(": ").expect("a file and a name");
        let text = ["", "attacks"].map(|folder| tests.join(folder).join(format!("{file}.rs")));
        let text = text.iter().find_map(|path| std::fs::read_to_string(path).ok());
        let text = text.unwrap_or_else(|| panic!("{number} {what}: there is no {file}.rs"));
        assert!(text.contains(&format!("fn {name}(")), "{number} {what}: there is no {name} in {file}.rs");
    }
    let numbers: std::collections::BTreeSet<u32> = TABLE
        .iter()
        .map(|row| row.number)
        .chain(table::ELSEWHERE.iter().map(|row| row.0))
        .map(|number| number.parse().expect("a number"))
        .collect();
    assert!(numbers.into_iter().eq(1..=69), "a row is tried nowhere");
}

#[test]
fn the_page_of_attacks_is_fresh() {
    page::check_table();
}
