//! Ids are no secrets: whoever guesses one is told nothing, and reaches nothing.

use std::collections::HashSet;

use uos_proto::{TABLE, v1::call::Call};
use uos_syscall::{Caller, Error};

use crate::{
    answers::{NEVER, of, refusal},
    common::World,
    dice::{Dice, campaign},
    fields::{Field, Meaning, fields},
    known_to,
    samples::Owner,
    victim::{Victim, narrow},
};

/// A call with a place for a guess, and what it answers when there is nothing.
struct Question<'a> {
    asks: &'a Caller,
    field: Field,
    sample: Call,
    absent: Error,
}

#[tokio::test]
async fn no_guessed_id_hits() {
    let guesses = campaign("GUESSES", 20_000);
    let (mut dice, _) = Dice::cast();
    let world = World::start();
    let victim = Victim::new(&world).await;
    let (guesser, blind) = (Owner::new(&world).await, Owner::new(&world).await);
    narrow(&world, &blind).await;
    let before = victim.state(&world).await;
    let mut own: HashSet<u64> = known_to(&world, &guesser.caller).await;
    own.extend(known_to(&world, &blind.caller).await);
    let mut questions = Vec::new();
    for row in &TABLE {
        for field in fields(row) {
            // Who may steer all processes has no strangers among them.
            let owner = match field.meaning {
                Meaning::Process | Meaning::Snapshot => &blind,
                Meaning::Handle => &guesser,
                _ => continue,
            };
            let (asks, sample) = (&owner.caller, owner.sample(row).await);
            let absent = refusal(&world, asks, &field, &sample, NEVER).await;
            questions.push(Question { asks, field, sample, absent });
        }
    }
    let living: Vec<u64> =
        victim.handles.iter().chain(&victim.processes).chain(&victim.snapshots).map(|(_, id)| *id).collect();
    let most = living.iter().max().unwrap() * 2;
    for _ in 0..guesses {
        let near = dice.one_of(&living).unwrap();
        let id = match dice.below(5) {
            0 => near,
            1 => near ^ (1 << dice.below(64)),
            2 => dice.below(most),
            3 => dice.below(1 << 53),
            _ => dice.any(),
        };
        // Its own are none of the guesses, and 0 is short for itself.
        if id == 0 || own.contains(&id) {
            continue;
        }
        let Question { asks, field, sample, absent } =
            &questions[dice.below(questions.len() as u64) as usize];
        let answer = refusal(&world, asks, field, sample, id).await;
        assert_eq!(answer, of(absent, id), "{} {id}", field.name());
    }
    victim.is_as_before(&world, &before).await;
    println!("{guesses} guesses by {} calls", questions.len());
    world.kernel.shut_down().await;
}
