//! One who has everything that somebody else could reach for.

use std::collections::BTreeMap;

use uos_proto::v1::{self, HandleKind};

use crate::{
    common::{World, program, wait},
    fields,
    samples::Owner,
};

/// Takes away what lets somebody see strangers: rights that are for all processes, or for all snapshots.
pub(crate) async fn narrow(world: &World, owner: &Owner) {
    let grants = world.call(&owner.caller, v1::GetGrants { pid: 0 }).await.unwrap().grants;
    let sees = |grant: &str| {
        let all = ["sched.", "proc.", "fs.admin"].iter().any(|all| grant.starts_with(all));
        all && !grant.contains(':')
    };
    let left: Vec<&str> = grants.iter().map(String::as_str).filter(|grant| !sees(grant)).collect();
    world.set_grants(&owner.caller, &left);
}

pub(crate) struct Victim {
    pub(crate) owner: Owner,
    /// What there is, and its id.
    pub(crate) handles: Vec<(String, u64)>,
    pub(crate) processes: Vec<(String, u64)>,
    pub(crate) snapshots: Vec<(String, u64)>,
}

impl Victim {
    pub(crate) async fn new(world: &World) -> Self {
        let owner = Owner::new(world).await;
        let me = &owner.caller;
        let held = world.call(me, v1::ListHandles::default()).await.unwrap().handles;
        let name = |kind: i32| HandleKind::try_from(kind).unwrap().as_str_name().to_owned();
        let handles: Vec<(String, u64)> = held.iter().map(|it| (name(it.kind), it.id)).collect();
        for kind in fields::choices("HandleKind") {
            let has = handles.iter().any(|(held, _)| *held == name(kind));
            assert!(has, "the owner of the samples is to have a {} too", name(kind));
        }
        let bare = world.child(me, &[]).await.pid().0;
        let ended = world.call(me, program("/usr/bin/true", &[])).await.unwrap().pid;
        wait(world, me, ended).await;
        let children = world.call(me, v1::GetProcessList::default()).await.unwrap().processes;
        let what = |process: &v1::ProcessInfo| match process.pid {
            pid if pid == me.pid().0 => "the victim".to_owned(),
            pid if pid == bare => "a process without a program".to_owned(),
            pid if pid == ended => "a program that has ended".to_owned(),
            _ => format!("the program {}", process.program),
        };
        let mut processes: Vec<(String, u64)> = children.iter().map(|it| (what(it), it.pid)).collect();
        processes.push(("the operator's process".to_owned(), world.kernel.init().pid().0));
        assert!(processes.len() >= 7, "{processes:?}");
        let kept = world.call(me, v1::ListSnapshots {}).await.unwrap().snapshots;
        let snapshots: Vec<(String, u64)> = kept.into_iter().map(|it| (it.path, it.id)).collect();
        assert!(!snapshots.is_empty());
        Self { owner, handles, processes, snapshots }
    }

    /// Sees that all is as it was.
    pub(crate) async fn is_as_before(&self, world: &World, before: &BTreeMap<String, String>) {
        let now = self.state(world).await;
        // Others have made things of their own beside it.
        let changed: Vec<_> = before.iter().filter(|(what, is)| now.get(*what) != Some(*is)).collect();
        assert!(changed.is_empty(), "{changed:#?} was before {now:#?}");
    }

    /// All of it that anybody could have changed.
    pub(crate) async fn state(&self, world: &World) -> BTreeMap<String, String> {
        let me = &self.owner.caller;
        let mut state = BTreeMap::new();
        let mut note = |what: String, is: String| assert!(state.insert(what, is).is_none());
        note("handles".into(), format!("{:?}", world.call(me, v1::ListHandles::default()).await.unwrap()));
        for (kind, id) in &self.handles {
            let id = *id;
            // Whichever of them is for its kind.
            note(
                format!("{kind} {id} as a pipe"),
                format!("{:?}", world.call(me, v1::PipeStats { id }).await),
            );
            note(
                format!("{kind} {id} as a queue"),
                format!("{:?}", world.call(me, v1::QueueStats { id }).await),
            );
            note(
                format!("{kind} {id} as memory"),
                format!("{:?}", world.call(me, v1::ShmStats { id }).await),
            );
            // Others' times change when the next owner in the same world writes what it starts with.
            let file =
                world.call(me, v1::Fstat { id }).await.map(|it| (it.position, it.attributes.unwrap().mode));
            note(format!("{kind} {id} as a file"), format!("{file:?}"));
        }
        for (what, pid) in &self.processes {
            let pid = *pid;
            let Ok(info) = world.call(me, v1::GetProcessInfo { pid }).await else { continue };
            let info = info.process.unwrap();
            let stands = (info.name, info.parent_pid, info.state, info.level, info.priority, info.handles);
            note(format!("{what} {pid}"), format!("{stands:?}"));
            note(
                format!("{what} {pid}: rights"),
                format!("{:?}", world.call(me, v1::GetGrants { pid }).await),
            );
            note(
                format!("{what} {pid}: limits"),
                format!("{:?}", world.call(me, v1::GetLimits { pid }).await),
            );
        }
        let kept = world.call(&world.kernel.init(), v1::ListSnapshots {}).await.unwrap().snapshots;
        for (_, id) in &self.snapshots {
            note(format!("snapshot {id}"), format!("{:?}", kept.iter().find(|it| it.id == *id)));
        }
        for folder in ["", "folder"] {
            for entry in std::fs::read_dir(world.host.path().join(folder)).unwrap() {
                let path = entry.unwrap().path();
                let data = std::fs::metadata(&path).unwrap();
                let content = path.is_file().then(|| std::fs::read(&path).unwrap());
                note(path.display().to_string(), format!("{:?} {content:?}", data.permissions()));
            }
        }
        state
    }
}
