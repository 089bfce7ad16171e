//! One random step: what is done, what the model thinks of it, and what the kernel does.

use std::collections::BTreeSet;

use uos_proto::v1::{self, CreateProcessRequest, HandleRight, SandboxLevel, call::Call};

use crate::{
    common::{self, World, copy, link, move_file, read, remove, within, write},
    dice::Dice,
    naive::{Held, Verdict, canonical},
    people::People,
    verdict, word,
};

/// The kinds of steps; each must be seen allowed and refused.
pub(crate) const KINDS: [&str; 17] = [
    "path", "move", "link", "copy", "uproot", "beget", "drop", "keep", "open", "use", "pass", "dup",
    "restrict", "process", "kill", "system", "pipe",
];
/// More than so many do not live at once.
const CROWD: usize = 12;
const HANDLE_RIGHTS: [HandleRight; 5] = [
    HandleRight::Read,
    HandleRight::Write,
    HandleRight::Duplicate,
    HandleRight::Transfer,
    HandleRight::Destroy,
];
const NEVER: u64 = 1 << 52;

pub(crate) struct Random(pub(crate) Dice);

impl Random {
    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        self.0.one_of(all).unwrap()
    }

    fn yes(&mut self, one_in: u64) -> bool {
        self.0.below(one_in) == 0
    }

    fn path(&mut self) -> String {
        let mut path = self.pick(&["/home", "/data", "/data", "/tmp"]).to_owned();
        for _ in 0..self.0.below(4) {
            path = path + "/" + self.pick(&["a", "a", "b", "b", "ab", "ba", "."]);
        }
        if self.yes(8) {
            path = path + "/../" + self.pick(&["a", "b", ".."]);
        }
        path
    }

    /// One that is the same said and done.
    fn plain(&mut self) -> String {
        canonical(&self.path()).0
    }

    fn grant(&mut self) -> String {
        let wide =
            ["proc.inspect", "proc.control", "proc.signal", "ipc.create", "sched.inspect", "proc.spawn:/**"];
        if self.yes(4) {
            return self.pick(&wide).to_owned();
        }
        let mut grant = self.pick(&["fs.read:", "fs.write:"]).to_owned() + self.pick(&["/home", "/data"]);
        for _ in 0..self.pick(&[0, 0, 1, 1, 2]) {
            grant = grant + "/" + self.pick(&["a", "a", "b", "ab", "*", "a*", "*b"]);
        }
        if !self.yes(3) {
            grant += "/**";
        }
        grant
    }

    fn grants(&mut self) -> Vec<String> {
        (0..1 + self.0.below(4)).map(|_| self.grant()).collect()
    }

    fn handle_rights(&mut self) -> Vec<HandleRight> {
        HANDLE_RIGHTS.into_iter().filter(|_| !self.yes(4)).collect()
    }

    /// Something of its own, of somebody else, or that never was.
    fn handle(&mut self, people: &People, who: usize) -> u64 {
        let of = if self.yes(6) { self.pick(&people.living()) } else { who };
        let held: Vec<u64> = people.all[of].handles.keys().copied().collect();
        if held.is_empty() || self.yes(20) { NEVER } else { self.pick(&held) }
    }
}

type Step = (String, Verdict, Verdict);

/// Takes a step.
pub(crate) async fn step(world: &World, people: &mut People, random: &mut Random) -> Step {
    let living = people.living();
    let who = random.pick(&living);
    if living.len() > CROWD {
        // The operator makes room.
        let last = *living.last().unwrap();
        let end = v1::KillProcess { pid: people.pid(last), tree: true };
        world.call(&world.kernel.init(), end).await.unwrap();
        people.kill(last, true);
    }
    let who = if people.all[who].alive { who } else { 0 };
    match random.0.below(40) {
        0..=9 => path(world, people, random, who).await,
        10..=11 => renamed(world, people, random, who).await,
        12 => uprooted(world, people, random, who).await,
        13..=15 => begotten(world, people, random, who).await,
        16..=17 => set(world, people, random, who).await,
        18..=20 => dropped(world, people, random, who).await,
        21..=24 => opened(world, people, random, who).await,
        25..=30 => used(world, people, random, who).await,
        31..=32 => passed(world, people, random, who).await,
        33 => doubled(world, people, random, who).await,
        34 => restricted(world, people, random, who).await,
        35..=36 => looked_at(world, people, random, who).await,
        37 => killed(world, people, random, who).await,
        38 => piped(world, people, random, who).await,
        _ => system(world, people, random, who).await,
    }
}

async fn make(world: &World, people: &People, who: usize, call: impl Into<Call>) -> Verdict {
    verdict(within(world.kernel.invoke(&people.callers[who], call.into())).await)
}

async fn path(world: &World, people: &People, random: &mut Random, who: usize) -> Step {
    let path = random.path();
    let p = || path.clone();
    let (right, call): (&str, Call) = match random.0.below(13) {
        0 => ("fs.read", read(&path).into()),
        1 => ("fs.read", common::exists(&path).into()),
        2 => ("fs.read", common::list(&path).into()),
        3 => ("fs.read", common::stat(&path).into()),
        4 => ("fs.read", v1::Statfs { path: p(), ..Default::default() }.into()),
        5 => ("fs.read", v1::ListXattr { path: p(), ..Default::default() }.into()),
        6 => ("fs.write", v1::TruncateFile { path: p(), size_bytes: 3, ..Default::default() }.into()),
        7 => ("fs.write", v1::AppendFile { path: p(), data: "x".into(), ..Default::default() }.into()),
        8 => ("fs.write", v1::Chmod { path: p(), mode: 0o700, ..Default::default() }.into()),
        9 => ("fs.write", v1::SetTimes { path: p(), ..Default::default() }.into()),
        10 => ("fs.write", v1::CreateDirectory { path: p(), ..Default::default() }.into()),
        11 => ("fs.write", v1::CreateFile { path: p(), ..Default::default() }.into()),
        _ => ("fs.write", write(&path, "content").into()),
    };
    let what = format!("path {call:?} by {:?}", people.all[who].grants);
    (what, people.all[who].needs_on(right, &path), make(world, people, who, call).await)
}

/// What is at a path, seen by one who may see all: whether it is a directory, if it is there.
async fn is_directory(world: &World, path: &str) -> Option<bool> {
    let stat = world.call(&world.kernel.init(), common::stat(path)).await.ok()?;
    Some(stat.kind() == v1::FileKind::Directory)
}

async fn renamed(world: &World, people: &People, random: &mut Random, who: usize) -> Step {
    let (from, to) = (random.plain(), random.plain());
    let person = &people.all[who];
    let by = format!("{from} {to} by {:?}", person.grants);
    match random.0.below(3) {
        0 => {
            let expected = person.needs_to_move(&from, &to, is_directory(world, &from).await);
            (format!("move {by}"), expected, make(world, people, who, move_file(&from, &to)).await)
        }
        1 => {
            let expected = person.needs_on("fs.write", &to).and(|| person.needs_on("fs.write", &from));
            let expected = expected.and(|| match person.on("fs.read", &to) && !person.on("fs.read", &from) {
                true => Verdict::Right(format!("fs.read:{from}")),
                false => Verdict::Allowed,
            });
            (format!("link {by}"), expected, make(world, people, who, link(&from, &to)).await)
        }
        _ => {
            let expected = person.needs_on("fs.write", &to).and(|| person.needs_on("fs.read", &from));
            (format!("copy {by}"), expected, make(world, people, who, copy(&from, &to)).await)
        }
    }
}

async fn uprooted(world: &World, people: &People, random: &mut Random, who: usize) -> Step {
    let path = random.plain();
    let person = &people.all[who];
    let expected = person.needs_on("fs.write", &path).and(|| person.needs_all_below("fs.write", &path));
    let what = format!("uproot {path} by {:?}", person.grants);
    (what, expected, make(world, people, who, remove(&path, true)).await)
}

async fn begotten(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let inherit = random.yes(3);
    let asked = random.grants();
    let request = CreateProcessRequest {
        grants: asked.clone(),
        inherit_grants: inherit,
        sandbox_level: SandboxLevel::Minimal.into(),
        ..Default::default()
    };
    let has = people.all[who].grants.clone();
    let what = format!("beget {asked:?} by {has:?}");
    let expected = people.all[who].needs("proc.spawn").and(|| {
        let covered = asked.iter().all(|grant| people.covers.any(&has, grant));
        if covered { Verdict::Allowed } else { Verdict::Beyond }
    });
    let made = within(world.kernel.create_process(&people.callers[who], request)).await;
    if let Ok(made) = &made {
        let grants = people.covers.gather(has.into_iter().filter(|_| inherit).chain(asked));
        people.add(Some(who), grants, world.kernel.by_token(&made.token).unwrap());
    }
    (what, expected, verdict(made))
}

/// The operator gives and takes as it likes; it is never refused, and the next calls see it.
async fn set(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let whom = random.pick(&people.living());
    let grants = match whom {
        // Something goes on only if the first of them can do something.
        0 => common::texts(crate::ALL),
        _ => random.grants(),
    };
    let given: Vec<&str> = grants.iter().map(String::as_str).collect();
    world.set_grants(&people.callers[whom], &given);
    people.all[whom].grants = people.covers.gather(grants);
    system(world, people, random, who).await
}

async fn dropped(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let whom = if random.yes(2) { who } else { random.pick(&people.living()) };
    let named = random.grants();
    let has = people.all[whom].grants.clone();
    let keeps = random.yes(2);
    let covers = &mut people.covers;
    let (kind, refusal, left) = match keeps {
        true => {
            let covered = named.iter().all(|grant| covers.any(&has, grant));
            ("keep", (!covered).then_some(Verdict::Beyond), covers.gather(named.clone()))
        }
        false => {
            let is_part = named.iter().any(|grant| {
                has.iter().any(|held| covers.covers(held, grant) && !covers.covers(grant, held))
            });
            let left = has.iter().filter(|held| !covers.any(&named, held)).cloned().collect();
            ("drop", is_part.then_some(Verdict::Part), left)
        }
    };
    let expected = people.needs_sight(who, whom, "proc.control").and(|| refusal.unwrap_or(Verdict::Allowed));
    let (drop, keep) = if keeps { (vec![], named) } else { (named, vec![]) };
    let what = format!("{kind} {drop:?}{keep:?} of {has:?}");
    let seen = make(world, people, who, v1::DropGrants { pid: people.pid(whom), drop, keep }).await;
    if seen == Verdict::Allowed {
        people.set(whom, left);
    }
    (what, expected, seen)
}

async fn opened(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let path = random.path();
    let (reads, writes) = random.pick(&[(true, false), (true, true), (false, true), (false, false)]);
    let create = random.yes(2);
    // What neither reads nor writes reads; what makes writes.
    let needed: Vec<&'static str> = [("fs.read", reads || !writes), ("fs.write", writes || create)]
        .iter()
        .filter(|it| it.1)
        .map(|it| it.0)
        .collect();
    let person = &people.all[who];
    let expected =
        needed.iter().fold(Verdict::Allowed, |so_far, right| so_far.and(|| person.needs_on(right, &path)));
    let what = format!("open {needed:?} {path} by {:?}", person.grants);
    let open = v1::Open { path: path.clone(), read: reads, write: writes, create, ..Default::default() };
    let opened = world.call(&people.callers[who], open).await;
    if let Ok(reply) = &opened {
        let io = [("read", reads || !writes), ("write", writes)];
        let rights = io.iter().filter(|it| it.1).map(|it| it.0).chain(["duplicate", "transfer"]).collect();
        let held = Held { pipe: None, rights, opened: Some((who, needed, canonical(&path).0)) };
        people.all[who].handles.insert(reply.id, held);
    }
    (what, expected, verdict(opened))
}

async fn used(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let id = random.handle(people, who);
    let timeout_us = Some(0);
    // What it takes of the handle, whether it is for a pipe, and whether it is free to whoever holds it.
    let (needs, pipe, free, call): (&[&str], bool, bool, Call) = match random.0.below(14) {
        0 => (&["read"], false, false, v1::Read { id, max_bytes: 1 }.into()),
        1 => (&["read"], false, false, v1::Pread { id, offset: 0, max_bytes: 1 }.into()),
        2 => (&["write"], false, false, v1::Write { id, data: "x".into() }.into()),
        3 => (&["write"], false, false, v1::Pwrite { id, offset: 0, data: "x".into() }.into()),
        4 => (&["write"], false, false, v1::Ftruncate { id, length: 2 }.into()),
        5 => (&[], false, false, v1::Fstat { id }.into()),
        6 => (&[], false, false, v1::Seek { id, ..Default::default() }.into()),
        7 => {
            (&["read"], false, false, v1::Lock { id, shared: true, timeout_us, ..Default::default() }.into())
        }
        8 => (&[], false, true, v1::Unlock { id, ..Default::default() }.into()),
        9 => (&["read"], true, false, v1::ReadPipe { id, max_bytes: 1, timeout_us }.into()),
        10 => (&["write"], true, false, v1::WritePipe { id, data: "x".into(), timeout_us }.into()),
        11 => (&[], true, false, v1::PipeStats { id }.into()),
        12 => (&["destroy"], true, false, v1::DestroyPipe { id }.into()),
        _ => (&[], false, true, v1::Close { id }.into()),
    };
    let (closes, destroys) = (matches!(call, Call::Close(_)), matches!(call, Call::DestroyPipe(_)));
    let held = people.all[who].handles.get(&id).cloned();
    let mut expected = people.needs_handle(who, id, needs);
    if let Some(held) = &held {
        expected = match expected {
            Verdict::Right(_) if free => Verdict::Allowed,
            Verdict::HandleRight => Verdict::HandleRight,
            _ if !closes && held.pipe.is_some() != pipe => Verdict::NoHandle,
            Verdict::NoHandle => Verdict::NoHandle,
            // Nothing is left of a pipe that was destroyed but to give it up.
            _ if !closes && held.pipe.is_some_and(|pipe| people.destroyed.contains(&pipe)) => {
                Verdict::Destroyed
            }
            other => other,
        };
    }
    let seen = make(world, people, who, call.clone()).await;
    if seen == Verdict::Allowed && (closes || destroys) {
        people.all[who].handles.remove(&id);
        if destroys {
            people.destroyed.extend(held.as_ref().and_then(|held| held.pipe));
        }
    }
    (format!("use {call:?} of {held:?}"), expected, seen)
}

async fn passed(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let id = random.handle(people, who);
    let whom = random.pick(&people.living());
    let rights = random.handle_rights();
    let expected = people.needs_handle(who, id, &["transfer"]);
    let expected = expected.and(|| people.needs_sight(who, whom, "proc.control"));
    let passing = v1::PassHandle {
        pid: people.pid(whom),
        id,
        rights: rights.iter().map(|right| *right as i32).collect(),
    };
    let seen = make(world, people, who, passing).await;
    if seen == Verdict::Allowed {
        let handle = people.all[who].handles[&id].clone();
        let named = if rights.is_empty() { HANDLE_RIGHTS.into() } else { rights.clone() };
        people.give(whom, id, &handle, &named.into_iter().map(word).collect());
    }
    (format!("pass {id} {rights:?} to {whom}"), expected, seen)
}

async fn doubled(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let id = random.handle(people, who);
    let expected = people.needs_handle(who, id, &["duplicate"]);
    let second = world.call(&people.callers[who], v1::Dup { id }).await;
    if let Ok(reply) = &second {
        let handle = people.all[who].handles[&id].clone();
        people.all[who].handles.insert(reply.id, handle);
    }
    (format!("dup {id}"), expected, verdict(second))
}

async fn restricted(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let id = random.handle(people, who);
    let rights = random.handle_rights();
    let known = people.all[who].handles.contains_key(&id);
    let expected = if known { Verdict::Allowed } else { Verdict::NoHandle };
    let restrict = v1::RestrictHandle { id, rights: rights.iter().map(|right| *right as i32).collect() };
    let seen = make(world, people, who, restrict).await;
    if let Some(held) = people.all[who].handles.get_mut(&id) {
        let keep: BTreeSet<&str> = rights.iter().copied().map(word).collect();
        held.rights.retain(|right| keep.contains(right));
    }
    (format!("restrict {id} {rights:?}"), expected, seen)
}

async fn looked_at(world: &World, people: &People, random: &mut Random, who: usize) -> Step {
    let whom = random.pick(&people.living());
    let pid = people.pid(whom);
    let (right, call): (&str, Call) = match random.0.below(5) {
        0 => ("proc.inspect", v1::GetGrants { pid }.into()),
        1 => ("proc.inspect", v1::GetChildren { pid, ..Default::default() }.into()),
        2 => ("proc.inspect", v1::GetProcessState { pid }.into()),
        3 => ("proc.inspect", v1::WaitProcess { pid, timeout_us: Some(0) }.into()),
        _ => ("proc.control", v1::SetProcessPriority { pid, priority: 100 }.into()),
    };
    let expected = people.needs_sight(who, whom, right);
    (format!("process {call:?} by {who}"), expected, make(world, people, who, call).await)
}

async fn killed(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let whom = random.pick(&people.living());
    let tree = random.yes(2);
    // The first of them stays, so that there is somebody.
    let pid = if whom == 0 { NEVER } else { people.pid(whom) };
    let expected = if whom == 0 { Verdict::NoProcess } else { people.needs_sight(who, whom, "proc.signal") };
    let seen = make(world, people, who, v1::KillProcess { pid, tree }).await;
    if seen == Verdict::Allowed {
        people.kill(whom, tree);
        for (person, caller) in
            people.all.iter().zip(&people.callers).filter(|(person, _)| !person.alive).take(3)
        {
            let ended = verdict(within(world.kernel.invoke(caller, v1::GetUptime {}.into())).await);
            assert_eq!(ended, Verdict::NoProcess, "{person:?} has ended, and makes no calls");
        }
    }
    (format!("kill {whom} by {who}"), expected, seen)
}

async fn piped(world: &World, people: &mut People, random: &mut Random, who: usize) -> Step {
    let living = people.living();
    let (reader, writer) = (random.pick(&living), random.pick(&living));
    let sight = |whom| people.needs_sight(who, whom, "proc.control");
    let expected = people.all[who].needs("ipc.create").and(|| sight(reader)).and(|| sight(writer));
    let create =
        v1::CreatePipe { reader_pid: people.pid(reader), writer_pid: people.pid(writer), capacity: 4_096 };
    let made = world.call(&people.callers[who], create).await;
    if let Ok(reply) = &made {
        for (whom, right) in [(who, "destroy"), (reader, "read"), (writer, "write")] {
            let rights: BTreeSet<_> = [right, "duplicate", "transfer"].into();
            let held = Held { pipe: Some(reply.id), rights: rights.clone(), opened: None };
            people.give(whom, reply.id, &held, &rights);
        }
    }
    (format!("pipe {reader} {writer} by {who}"), expected, verdict(made))
}

async fn system(world: &World, people: &People, random: &mut Random, who: usize) -> Step {
    let person = &people.all[who];
    let what = format!("system by {:?}", person.grants);
    if random.yes(2) {
        let expected = person.needs("sched.inspect");
        return (what, expected, make(world, people, who, v1::GetSchedulerStats {}).await);
    }
    let made = world.call(&people.callers[who], v1::CreateQueue::default()).await;
    if let Ok(reply) = &made {
        world.call(&people.callers[who], v1::Close { id: reply.id }).await.unwrap();
    }
    (what, person.needs("ipc.create"), verdict(made))
}
