//! What holds for every call in the table, whichever they are.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

#[path = "../common/mod.rs"]
mod common;
mod samples;
mod wire;

use std::collections::HashSet;

use common::{World, give_up, network::Never, within};
use samples::Owner;
use uos_proc::LinuxSpawner;
use uos_proto::{
    Audit, CallInfo, Class, Right, TABLE,
    v1::{self, reply::Reply},
};
use uos_syscall::{
    Caller, Cause, Errno, Limits,
    audit::{Decision, Record, Subject},
};
use wire::Wire;

/// What was written down of somebody's calls of one kind.
fn records(world: &World, caller: &Caller, row: &CallInfo) -> Vec<Record> {
    world.kernel.audit().flush();
    let all = world.audit.records();
    all.into_iter().filter(|it| it.caller == caller.pid() && it.call.number == row.number).collect()
}

/// The one record there is to be.
fn record(world: &World, caller: &Caller, row: &CallInfo) -> Record {
    let mut all = records(world, caller, row);
    assert_eq!(all.len(), 1, "{} is to be recorded once", row.name);
    let record = all.remove(0);
    assert_eq!(
        record.subject == Subject::None,
        row.audit == Audit::Plain,
        "{} on {:?}",
        row.name,
        record.subject
    );
    record
}

/// What somebody without any right is told.
fn refusal(row: &CallInfo) -> Option<Errno> {
    match row.right {
        Right::None => None,
        // Everybody sees something; the right widens the view.
        Right::ProcInspect if row.name == "GetProcessList" => None,
        Right::Handle => Some(Errno::EBADF),
        // Somebody else's process looks absent.
        Right::ProcInspect | Right::ProcSignal | Right::ProcControl => Some(Errno::ESRCH),
        Right::SchedInspect if matches!(row.name, "GetProcessSchedule" | "GetAffinity") => Some(Errno::ESRCH),
        _ => Some(Errno::EACCES),
    }
}

#[tokio::test]
async fn every_call_is_refused_without_its_right_and_recorded_once() {
    let world = World::start();
    let owner = Owner::new(&world).await;
    for row in &TABLE {
        let stranger = world.agent(&[]).await;
        samples::prepare(&world, &stranger, row).await;
        let result = within(world.kernel.invoke(&stranger, owner.sample(row).await)).await;
        let record = record(&world, &stranger, row);
        match refusal(row) {
            Some(errno) => {
                let error = result.expect_err(row.name);
                assert_eq!(error.errno, errno, "{}: {error}", row.name);
                assert_eq!(
                    (record.outcome, record.decision),
                    (Err(errno), Decision::Refused),
                    "{}",
                    row.name
                );
                if errno == Errno::EACCES {
                    let right = row.right.grant_name().unwrap();
                    let named =
                        matches!(error.cause.as_deref(), Some(Cause::Right(it)) if it.starts_with(right));
                    assert!(
                        named && error.message.contains(right),
                        "{} must name {right}: {error:?}",
                        row.name
                    );
                }
            }
            None => {
                let reply = result.expect(row.name);
                assert_eq!(record.outcome, Ok(()), "{}", row.name);
                if let Reply::GetProcessList(list) = reply {
                    let pids: Vec<u64> = list.processes.iter().map(|process| process.pid).collect();
                    assert_eq!(pids, [stranger.pid().0], "no more than its own tree");
                }
            }
        }
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn every_call_succeeds_with_its_right_and_is_recorded_once() {
    for row in &TABLE {
        // A world of its own for each, because some of them end what others need.
        let world = World::start();
        let owner = Owner::new(&world).await;
        samples::prepare(&world, &owner.caller, row).await;
        owner.settle(&world, row).await;
        let before = records(&world, &owner.caller, row).len();
        let reply =
            within(world.kernel.invoke(&owner.caller, owner.sample(row).await)).await.expect(row.name);
        if let Reply::SpawnProcess(v1::SpawnProcessReply { pid, .. }) = reply {
            assert_eq!(samples::spawned(&world, &owner, pid).await, b"x");
        }
        let after = records(&world, &owner.caller, row);
        // Setting the owner up took some calls of the same kinds.
        let [record] = &after[before..] else { panic!("{}: {after:?}", row.name) };
        assert_eq!(record.outcome, Ok(()), "{}", row.name);
        assert_eq!(record.subject == Subject::None, row.audit == Audit::Plain, "{}", row.name);
        let fits = match (&record.decision, row.right) {
            (Decision::Free, Right::None) | (Decision::Held, Right::Handle) => true,
            (Decision::Kin, right) => {
                matches!(
                    right,
                    Right::ProcInspect | Right::ProcSignal | Right::ProcControl | Right::SchedInspect
                )
            }
            (Decision::Grant(grant), right) => grant.right() == right,
            _ => false,
        };
        assert!(fits, "{} was let through by {:?}", row.name, record.decision);
        world.kernel.shut_down().await;
    }
}

#[tokio::test]
async fn every_waiting_call_that_is_given_up_is_recorded_once() {
    let world =
        World::built(Limits::default(), LinuxSpawner::new().unwrap(), |builder| builder.resolver(Never));
    for row in TABLE.iter().filter(|row| matches!(row.class, Class::Wait | Class::Async)) {
        let owner = Owner::new(&world).await;
        let call = owner.endless(&world, row).await;
        let before = records(&world, &owner.caller, row).len();
        let answer = give_up(world.kernel.invoke(&owner.caller, call)).await;
        assert!(answer.is_none(), "{} must wait: {answer:?}", row.name);
        let after = records(&world, &owner.caller, row);
        let [record] = &after[before..] else { panic!("{}: {after:?}", row.name) };
        assert_eq!(record.outcome, Err(Errno::ECANCELED), "{}", row.name);
        assert_ne!(record.decision, Decision::Refused, "{} had been let through", row.name);
    }
    world.kernel.shut_down().await;
}

#[tokio::test]
async fn every_call_survives_the_wire_and_is_answered_under_its_number() {
    let world = World::start();
    let owner = Owner::new(&world).await;
    for row in &TABLE {
        let call = owner.sample(row).await;
        assert_eq!(call.info().name, row.name);
        let seen = uos_proto::dispatch(call.clone(), Wire { sent: call });
        assert_eq!(seen.number, row.number);
    }
    world.kernel.shut_down().await;
}

#[test]
fn every_call_is_documented_and_has_a_number_of_its_own() {
    let numbers: HashSet<u32> = TABLE.iter().map(|row| row.number).collect();
    assert_eq!(numbers.len(), TABLE.len());
    for (index, row) in TABLE.iter().enumerate() {
        assert_eq!(row.index, index);
        assert!(!row.doc.is_empty(), "{}", row.name);
        for field in row.arguments.iter().chain(row.reply) {
            assert!(!field.doc.is_empty() && !field.kind.is_empty(), "{} of {}", field.name, row.name);
        }
        for (name, when) in row.errors {
            assert!(Errno::ALL.iter().any(|errno| errno.name() == *name), "{} of {}", name, row.name);
            assert!(!when.is_empty(), "{} of {}", name, row.name);
        }
    }
}

/// The contract's calls: the number of the first of a run, and their names.
const CONTRACT: [(u32, &str); 10] = [
    (
        1,
        "ReadFile WriteFile CreateFile DeleteFile ListDirectory FileExists FileStat MoveFile CopyFile \
         CreateDirectory RemoveDirectory GetWorkingDirectory SetWorkingDirectory TruncateFile SpawnProcess \
         KillProcess GetProcessInfo GetProcessList SetProcessPriority GetProcessState GetProcessStats \
         WaitProcess GetSystemInfo GetCurrentTime GetEnvironmentVar SetEnvironmentVar NetworkRequest \
         CreatePipe WritePipe ReadPipe ClosePipe DestroyPipe PipeStats CreateShm AttachShm DetachShm WriteShm \
         ReadShm DestroyShm ShmStats ScheduleNext YieldProcess GetCurrentScheduled GetSchedulerStats Sleep \
         GetUptime GetMemoryStats GetProcessMemoryStats TriggerGC SendSignal PassHandle RestrictHandle \
         ListHandles Lock Unlock",
    ),
    (60, "Open Close Read Write Pread Pwrite Seek Dup Dup2 Fsync Ftruncate Fstat Poll CloseRange"),
    (
        80,
        "AppendFile Link Symlink ReadLink Chmod Chown SetTimes GetXattr SetXattr ListXattr Statfs Watch \
         Unwatch TempFile ReadWatch",
    ),
    (100, "Mount Unmount ListMounts Snapshot ListSnapshots RestoreSnapshot DiffSnapshot DropSnapshot"),
    (
        110,
        "PauseProcess ResumeProcess WriteStdin ReadOutput ResizeTerminal SetLimits GetLimits GetChildren \
         GetGrants DropGrants GetResourceUsage GetEnforcement",
    ),
    (130, "SetSignalAction MaskSignals PendingSignals WaitSignal"),
    (140, "CreateQueue SendMessage ReceiveMessage Subscribe Unsubscribe CloseQueue DestroyQueue QueueStats"),
    (
        160,
        "Socket Bind Listen Accept Connect Send Receive SendTo ReceiveFrom Shutdown SocketPair \
         SetSocketOption GetSocketOption Resolve",
    ),
    (
        180,
        "SetPolicy GetPolicy SetQuantum GetProcessSchedule ListSchedule SetAffinity GetAffinity SetRealtime \
         SetDeadline CreateGroup SetGroup DestroyGroup",
    ),
    (200, "GetRandom ListEnvironment UnsetEnvironmentVar GetHostCapabilities"),
];

/// The numbers are the contract: clients hold them, so they never change.
#[test]
fn the_numbers_are_those_of_the_contract() {
    let numbered = |(first, names): &(u32, &'static str)| (*first..).zip(names.split_whitespace());
    let contract: Vec<(u32, &str)> = CONTRACT.iter().flat_map(numbered).collect();
    for row in &TABLE {
        assert!(contract.contains(&(row.number, row.name)), "{} {}", row.number, row.name);
    }
    for (number, name) in contract {
        let is_there = TABLE.iter().any(|row| (row.number, row.name) == (number, name));
        assert!(is_there, "{number} {name} is in the contract, and nobody performs it");
    }
}
