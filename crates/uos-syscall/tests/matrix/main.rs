//! The cross-tenant matrix: every call that takes an id, a pid or a path, on everything that belongs to somebody else.
//!
//! What is asked: whoever is not to know of something gets the same answer as if it had never been, to the letter, and
//! what belongs to others stays as it was. The loops are over the table, so a new call is in them without a line here; a
//! new kind of thing must be held by the owner of the samples, or the tests fail.
//!
//! `UOS_CAMPAIGN_GUESSES` says how many ids are guessed, `UOS_CAMPAIGN_CYCLES` how often something is made and closed
//! again, and `UOS_CAMPAIGN_SEED` repeats a run.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/dice.rs"]
mod dice;
#[path = "../common/fields.rs"]
mod fields;
#[path = "../table/samples.rs"]
mod samples;

mod answers;
mod cycles;
mod guesses;
mod paths;
mod victim;

use std::collections::HashSet;

use answers::{NEVER, of, refusal};
use common::{World, within};
use fields::{Meaning, fields};
use samples::Owner;
use uos_proto::{TABLE, v1};
use uos_syscall::Caller;
use victim::{Victim, narrow};

#[tokio::test]
async fn every_foreign_id_is_answered_as_one_that_never_was() {
    let world = World::start();
    let victim = Victim::new(&world).await;
    let nobody = world.agent(&[]).await;
    let child = world.child(&victim.owner.caller, &["ipc.create"]).await;
    // Those who have one of everything of their own, and all rights; one of them none that is for all
    // processes or snapshots.
    let (equal, blind) = (Owner::new(&world).await, Owner::new(&world).await);
    narrow(&world, &blind).await;
    let before = victim.state(&world).await;
    let (mut rows, mut cells) = (HashSet::new(), 0);
    for row in &TABLE {
        for field in fields(row) {
            let foreign = match field.meaning {
                Meaning::Process => &victim.processes,
                Meaning::Handle => &victim.handles,
                Meaning::Snapshot => &victim.snapshots,
                _ => continue,
            };
            rows.insert(row.name);
            let owner = if field.meaning == Meaning::Handle { &equal } else { &blind };
            let sample = owner.sample(row).await;
            for (who, stranger) in [("nobody", &nobody), ("an equal", &owner.caller), ("a child", &child)] {
                let absent = refusal(&world, stranger, &field, &sample, NEVER).await;
                for (what, id) in foreign {
                    let answer = refusal(&world, stranger, &field, &sample, *id).await;
                    assert_eq!(answer, of(&absent, *id), "{who} on {what} by {}", field.name());
                    cells += 1;
                }
                assert_eq!(refusal(&world, stranger, &field, &sample, u64::MAX).await, of(&absent, u64::MAX));
            }
        }
    }
    println!("{} calls, {cells} cells", rows.len());
    assert!(rows.len() > 50, "the fields of the calls are not found: {rows:?}");
    victim.is_as_before(&world, &before).await;
    world.kernel.shut_down().await;
}

/// Lists begin where one likes, and show no more than what one may see.
#[tokio::test]
async fn a_place_in_a_list_gives_away_nothing_of_others() {
    let world = World::start();
    let victim = Victim::new(&world).await;
    let before = victim.state(&world).await;
    let mut tried = 0;
    for row in &TABLE {
        for field in fields(row).into_iter().filter(|field| field.meaning == Meaning::Place) {
            // One of its own for each, since some of these calls end what they find.
            let equal = Owner::new(&world).await;
            narrow(&world, &equal).await;
            let own: HashSet<u64> = known_to(&world, &equal.caller).await;
            let sample = equal.sample(row).await;
            let foreign = victim.handles.iter().chain(&victim.processes).map(|(_, id)| *id);
            for place in foreign.chain([0, NEVER, u64::MAX]) {
                tried += 1;
                let call = field.set_number(&sample, place);
                let Ok(reply) = within(world.kernel.invoke(&equal.caller, call)).await else { continue };
                for (_, name, id) in fields::named(&reply) {
                    assert!(own.contains(&id), "{} from {place} told of {name} {id}", field.name());
                }
            }
        }
    }
    assert!(tried > 30, "the fields are not found");
    victim.is_as_before(&world, &before).await;
    world.kernel.shut_down().await;
}

/// Every number somebody knows rightly: of itself, its children, its handles and its parent.
async fn known_to(world: &World, caller: &Caller) -> HashSet<u64> {
    let processes = world.call(caller, v1::GetProcessList::default()).await.unwrap().processes;
    let handles = world.call(caller, v1::ListHandles::default()).await.unwrap().handles;
    processes
        .iter()
        .flat_map(|process| [process.pid, process.parent_pid])
        .chain(handles.iter().map(|handle| handle.id))
        .collect()
}
