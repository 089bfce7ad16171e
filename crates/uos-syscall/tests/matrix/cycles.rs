//! Ids are never given twice: what is closed stays closed, whatever is made after it.

use std::collections::VecDeque;

use uos_proto::{
    CallInfo, TABLE,
    v1::{self, CreateProcessRequest, SandboxLevel},
};

use crate::{
    answers::{NEVER, refusal},
    common::{World, within},
    dice::{Dice, campaign},
    fields::{self, Meaning, fields},
    samples::Owner,
    victim::narrow,
};

/// How many ids of things that are no more are kept to be tried again.
const KEPT: usize = 256;
/// Real programs are slow to start: one in so many cycles.
const PROGRAMS: u64 = 200;

/// One kind of id: the newest of it, and some of those that are no more.
#[derive(Default)]
struct Given {
    newest: u64,
    stale: VecDeque<u64>,
}

impl Given {
    fn take(&mut self, id: u64, by: &str) {
        assert!(id > self.newest, "{by} gave {id} after {}", self.newest);
        self.newest = id;
        self.stale.push_back(id);
        if self.stale.len() > KEPT {
            self.stale.pop_front();
        }
    }
}

#[tokio::test]
async fn no_id_is_ever_given_again() {
    let cycles = campaign("CYCLES", 4_000);
    let (mut dice, _) = Dice::cast();
    let world = World::start();
    let owner = Owner::new(&world).await;
    let stranger = Owner::new(&world).await;
    narrow(&world, &stranger).await;
    let bystander = world.child(&owner.caller, &[]).await;
    let held = world.call(&owner.caller, v1::ListHandles::default()).await.unwrap();
    let makers: Vec<&CallInfo> = TABLE.iter().filter(|row| makes_anew(row)).collect();
    assert!(makers.len() >= 6, "the calls that make something are not found");
    let mut questions = Vec::new();
    for row in &TABLE {
        for field in fields(row) {
            // Whoever made a process still knows what became of it; others never hear of it.
            let asks = match field.meaning {
                Meaning::Process => &stranger,
                Meaning::Handle => &owner,
                _ => continue,
            };
            let (asks, sample) = (&asks.caller, asks.sample(row).await);
            let absent = refusal(&world, asks, &field, &sample, NEVER).await;
            questions.push((asks, field, sample, absent));
        }
    }
    let (mut handles, mut pids) = (Given::default(), Given::default());
    for cycle in 0..cycles {
        if cycle % PROGRAMS == 0 {
            let spawned =
                within(world.kernel.invoke(&owner.caller, owner.sample(by_name("SpawnProcess")).await));
            let pid = fields::named(&spawned.await.unwrap())[0].2;
            end(&world, &owner, pid).await;
            pids.take(pid, "SpawnProcess");
        } else if dice.below(4) == 0 {
            let pid = child(&world, &owner).await;
            end(&world, &owner, pid).await;
            pids.take(pid, "CreateProcess");
        } else {
            let row = dice.one_of(&makers).unwrap();
            let made = within(world.kernel.invoke(&owner.caller, owner.sample(row).await)).await;
            // A pair is two of them.
            for (_, _, id) in fields::named(&made.expect(row.name)) {
                let closed = world.call(&owner.caller, v1::Close { id }).await;
                closed.unwrap_or_else(|error| panic!("what {} made: {error}", row.name));
                handles.take(id, row.name);
            }
        }
        let (asks, field, sample, absent) = &questions[dice.below(questions.len() as u64) as usize];
        let given = if field.meaning == Meaning::Process { &pids } else { &handles };
        if let Some(id) = given.stale.get(dice.below(KEPT as u64) as usize) {
            let answer = refusal(&world, asks, field, sample, *id).await;
            assert_eq!(answer.errno, absent.errno, "{} on {id}, which is no more", field.name());
        }
    }
    let lives = world.call(&bystander, v1::GetProcessInfo { pid: 0 }).await.unwrap().process.unwrap();
    assert_eq!(lives.state(), v1::ProcessState::Running, "nobody else was meant");
    assert_eq!(world.call(&owner.caller, v1::ListHandles::default()).await.unwrap(), held);
    println!("{cycles} cycles: ids up to {}, pids up to {}", handles.newest, pids.newest);
    world.kernel.shut_down().await;
}

/// Whether its sample can be repeated, and makes something that `Close` closes.
fn makes_anew(row: &CallInfo) -> bool {
    // What waits for another's doing is made once by its sample.
    fields::makes(row) == Some(Meaning::Handle) && row.name != "Accept"
}

fn by_name(name: &str) -> &'static CallInfo {
    TABLE.iter().find(|row| row.name == name).unwrap()
}

async fn child(world: &World, owner: &Owner) -> u64 {
    let request = CreateProcessRequest { sandbox_level: SandboxLevel::Minimal.into(), ..Default::default() };
    within(world.kernel.create_process(&owner.caller, request)).await.unwrap().pid
}

async fn end(world: &World, owner: &Owner, pid: u64) {
    // The program of the sample may have ended of itself.
    let _ = world.call(&owner.caller, v1::KillProcess { pid, tree: true }).await;
    let ended = world.call(&owner.caller, v1::WaitProcess { pid, timeout_us: None }).await.unwrap();
    assert!(ended.exited);
    let again = world.call(&owner.caller, v1::KillProcess { pid, tree: true }).await;
    assert!(again.is_err(), "what has ended can't be killed");
}
