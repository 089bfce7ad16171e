//! Random calls by several processes against a naive model of rights: kernel and model agree on every verdict.
//!
//! `UOS_CAMPAIGN_STEPS` says how many steps are taken, `UOS_CAMPAIGN_SEED` repeats a run.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/dice.rs"]
mod dice;

mod naive;
#[path = "../common/pattern.rs"]
mod pattern;
mod people;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use common::World;
use dice::{Dice, campaign};
use naive::{Covers, Verdict};
use people::People;
use steps::{Random, step};
use uos_proto::v1::{self, HandleRight};
use uos_syscall::{Cause, Errno, Error};

/// What the first of them has, who is the ancestor of all others.
const ALL: &[&str] = &[
    "fs.read:/home/**",
    "fs.read:/data/**",
    "fs.write:/home/**",
    "fs.write:/data/**",
    "proc.spawn:/**",
    "proc.inspect",
    "proc.control",
    "proc.signal",
    "ipc.create",
    "sched.inspect",
];

/// What the kernel's answer says of rights; whatever else it says, it let the call through.
fn verdict<T>(result: Result<T, Error>) -> Verdict {
    let Err(error) = result else { return Verdict::Allowed };
    match (error.errno, error.cause.as_deref()) {
        (Errno::EACCES, Some(Cause::Right(right))) if right.starts_with("handle.") => Verdict::HandleRight,
        (Errno::EACCES, Some(Cause::Right(right))) => Verdict::Right(right.clone()),
        (Errno::EPERM, Some(Cause::Right(_))) => Verdict::Beyond,
        (Errno::EINVAL, _) if error.message.contains("is only a part of") => Verdict::Part,
        (Errno::EBADF, _) => Verdict::NoHandle,
        (Errno::EIDRM, _) => Verdict::Destroyed,
        (Errno::ESRCH, _) => Verdict::NoProcess,
        (errno, _) => {
            // None of these is a refusal for want of a right.
            let expected = [
                Errno::ENOENT,
                Errno::ENOTDIR,
                Errno::EISDIR,
                Errno::EEXIST,
                Errno::ENOTEMPTY,
                Errno::EINVAL,
                Errno::EBUSY,
                Errno::EPIPE,
                Errno::ETIMEDOUT,
                Errno::EXDEV,
                Errno::EPERM,
                Errno::ENOSPC,
            ];
            assert!(expected.contains(&errno), "{error:?}");
            Verdict::Allowed
        }
    }
}

/// What all have, by the kernel, is what the model says.
async fn compare(world: &World, people: &People) {
    for who in people.living() {
        let (person, caller) = (&people.all[who], &people.callers[who]);
        let grants = world.call(caller, v1::GetGrants { pid: 0 }).await.unwrap().grants;
        let has: BTreeSet<&String> = person.grants.iter().collect();
        assert_eq!(grants.iter().collect::<BTreeSet<_>>(), has, "the grants of {who}");
        let listed = world.call(caller, v1::ListHandles::default()).await.unwrap().handles;
        let listed: BTreeMap<u64, (BTreeSet<&str>, bool)> =
            listed.iter().map(|it| (it.id, (it.rights().map(word).collect(), it.revoked))).collect();
        let held = person.handles.iter().map(|(id, held)| {
            let revoked = people.still_licensed(held, &[]) != Verdict::Allowed;
            (*id, (held.rights.clone(), revoked))
        });
        assert_eq!(listed, held.collect(), "the handles of {who}");
    }
}

fn word(right: HandleRight) -> &'static str {
    match right {
        HandleRight::Read => "read",
        HandleRight::Write => "write",
        HandleRight::Duplicate => "duplicate",
        HandleRight::Transfer => "transfer",
        HandleRight::Destroy => "destroy",
        HandleRight::Unspecified => "",
    }
}

#[tokio::test]
async fn every_verdict_is_that_of_the_model() {
    let steps = campaign("STEPS", 5_000);
    let (dice, seed) = Dice::cast();
    let mut random = Random(dice);
    let world = World::start();
    world.put("a/a", "content");
    let mut people = People { covers: Covers::new(&["/home", "/data"]), ..People::default() };
    let first = world.agent(ALL).await;
    people.add(None, common::texts(ALL), first);
    let mut said: BTreeMap<&str, [u64; 2]> = BTreeMap::new();
    for number in 0..steps {
        let (what, expected, seen) = step(&world, &mut people, &mut random).await;
        assert_eq!(seen, expected, "step {number} of seed {seed}: {what}");
        let kind = what.split([' ', '(']).next().unwrap();
        let kind = steps::KINDS.iter().find(|known| **known == kind);
        let counts = said.entry(kind.unwrap_or_else(|| panic!("{what} is of no kind"))).or_default();
        counts[usize::from(expected != Verdict::Allowed)] += 1;
        if number % 50 == 0 {
            compare(&world, &people).await;
        }
    }
    compare(&world, &people).await;
    println!("{steps} steps, allowed and refused: {said:?}");
    for kind in steps::KINDS {
        let [allowed, refused] = said.get(kind).copied().unwrap_or_default();
        assert!(allowed > 0, "no {kind} was ever allowed");
        assert!(refused > 0, "no {kind} was ever refused");
    }
    world.kernel.shut_down().await;
}
