//! Every call with bad input: a typed error or an answer, never a panic, and nothing is left behind.
//!
//! The loops are over the table and over the fields of its calls, so a new call is in them without a line here.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/fields.rs"]
mod fields;
#[path = "../table/samples.rs"]
mod samples;

mod midway;
mod values;

use std::{
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{World, until};
use fields::{Field, Meaning, fields};
use samples::Owner;
use uos_proto::{
    Class, TABLE,
    v1::{self, call::Call, reply::Reply},
};
use uos_syscall::{Caller, Errno, Error, InUse};
use values::{hugest, values};

/// More than any reply holds, by the contract.
const REPLY_BYTES: usize = (1 << 20) + (64 << 10);
/// What an error may say at most: it may name a path, or two.
const ERROR_BYTES: usize = 16 << 10;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Has panics counted, wherever they come: the pool and the runtime's tasks catch theirs.
fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            usual(panic);
        }));
    });
}

/// What was answered; nothing by a call that waits still after a moment, and is given up.
async fn answer(world: &World, caller: &Caller, call: Call) -> Option<Result<Reply, Error>> {
    let info = call.info();
    // Long enough for what waits to have looked, and only a guard for what doesn't wait.
    let patience = match info.class {
        Class::Wait | Class::Async => Duration::from_millis(10),
        _ => Duration::from_secs(60),
    };
    let result = tokio::time::timeout(patience, world.kernel.invoke(caller, call)).await.ok();
    match &result {
        None => assert!(matches!(info.class, Class::Wait | Class::Async), "{} must not wait", info.name),
        Some(Ok(reply)) => {
            assert!(reply.encoded_len() <= REPLY_BYTES, "{}: {}", info.name, reply.encoded_len());
        }
        Some(Err(error)) => {
            let says = error.message.len() + error.hint.len();
            assert!(says > 0 && says <= ERROR_BYTES, "{} says {says} bytes", info.name);
            assert!(!error.message.contains("inside the kernel"), "{} panicked", info.name);
        }
    }
    result
}

/// Ends everybody, and sees that nothing is left of them.
async fn end(world: &World, what: &str) {
    world.clear().await;
    let empty = InUse { processes: 1, ..InUse::default() };
    until(&format!("all is given back after {what}"), || world.kernel.in_use() == empty).await;
}

#[tokio::test]
async fn every_call_with_nothing_set_is_answered() {
    count_panics();
    let world = World::start();
    for row in &TABLE {
        let (owner, nobody) = (Owner::new(&world).await, world.agent(&[]).await);
        answer(&world, &nobody, fields::empty(row)).await;
        answer(&world, &owner.caller, fields::empty(row)).await;
        end(&world, row.name).await;
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn every_call_with_everything_huge_is_answered() {
    count_panics();
    let world = World::start();
    for row in &TABLE {
        let owner = Owner::new(&world).await;
        let huge = |call: Call, field: &Field| field.set(&call, hugest(field));
        let call = fields(row).iter().fold(fields::empty(row), huge);
        answer(&world, &owner.caller, call).await;
        // One that gets further: what the call is aimed at is there.
        let sample = owner.sample(row).await;
        let aims = [Meaning::Process, Meaning::Handle, Meaning::Path];
        let others = fields(row).into_iter().filter(|field| !aims.contains(&field.meaning));
        let call = others.fold(sample, |call, field| huge(call, &field));
        answer(&world, &owner.caller, call).await;
        end(&world, row.name).await;
    }
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    world.kernel.shut_down().await;
}

/// Each field in turn, and the rest as in a call that succeeds, so that what is wrong is looked at and not something
/// before it.
#[tokio::test]
async fn every_field_with_every_bad_value_is_answered() {
    count_panics();
    let world = World::start();
    let mut tried = 0;
    for row in &TABLE {
        for field in fields(row) {
            let mut owner = Owner::new(&world).await;
            let stranger = world.agent(&["ipc.create"]).await;
            let foreign = world.call(&stranger, v1::CreatePipe::default()).await.unwrap().id;
            let ids = Ids::of(&world, &owner, foreign).await;
            for value in values(&field, &ids.all()) {
                let call = field.set(&owner.sample(row).await, value);
                answer(&world, &owner.caller, call).await;
                tried += 1;
                if world.call(&owner.caller, v1::GetUptime {}).await.is_err() {
                    // It has ended itself; the other values have not had their turn.
                    owner = Owner::new(&world).await;
                }
            }
            let kept = world.call(&stranger, v1::PipeStats { id: foreign }).await.unwrap();
            assert_eq!((kept.readers, kept.writers), (1, 1), "{}", field.name());
            end(&world, &field.name()).await;
        }
    }
    println!("{tried} calls");
    assert!(tried > 1_500, "the fields are not found: {tried}");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    world.kernel.shut_down().await;
}

/// Ids that are not what a call is for.
struct Ids {
    /// Of every kind, so that all but one are of a wrong one.
    own: Vec<u64>,
    stale: u64,
    foreign: u64,
}

impl Ids {
    async fn of(world: &World, owner: &Owner, foreign: u64) -> Self {
        let stale = world.call(&owner.caller, v1::CreatePipe::default()).await.unwrap().id;
        world.call(&owner.caller, v1::Close { id: stale }).await.unwrap();
        let held = world.call(&owner.caller, v1::ListHandles::default()).await.unwrap().handles;
        Self { own: held.iter().map(|handle| handle.id).collect(), stale, foreign }
    }

    fn all(&self) -> Vec<u64> {
        self.own.iter().copied().chain([self.stale, self.foreign]).collect()
    }
}

/// A right that is taken away is taken from what it has opened, too.
#[tokio::test]
async fn every_call_on_a_revoked_handle_is_answered() {
    count_panics();
    let world = World::start();
    let mut refused = 0;
    for row in &TABLE {
        if !fields(row).iter().any(|field| field.meaning == Meaning::Handle) {
            continue;
        }
        let owner = Owner::new(&world).await;
        let before = world.seen("file");
        let call = owner.sample(row).await;
        world.set_grants(&owner.caller, &[]);
        if let Some(Err(error)) = answer(&world, &owner.caller, call).await {
            assert_eq!(error.errno, Errno::EACCES, "{}: {error}", row.name);
            refused += 1;
        }
        assert_eq!(world.seen("file"), before, "{}", row.name);
        end(&world, row.name).await;
    }
    assert!(refused > 10, "{refused} calls know of a right that was taken away");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
    world.kernel.shut_down().await;
}
