//! Snapshots of filesystems in memory: kept, compared, gone back to, and dropped.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use common::{Log, World, exists, missing, mkdir, mount, move_file, read, stat, write};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, DifferenceKind, MountKind, MountSource};
use uos_syscall::{Caller, Cause, Errno, FileChange, Limits};
use uos_vfs::VPath;

const ADMIN: &[&str] =
    &["fs.read:/data/**", "fs.write:/data/**", "fs.read:/home/**", "fs.write:/home/**", "fs.admin"];

fn snapshot(path: &str) -> v1::Snapshot {
    v1::Snapshot { path: path.to_owned(), ..Default::default() }
}

fn diff(id: u64, other_id: u64) -> v1::DiffSnapshot {
    v1::DiffSnapshot { id, other_id, ..Default::default() }
}

fn delete(path: &str) -> v1::DeleteFile {
    v1::DeleteFile { path: path.to_owned(), ..Default::default() }
}

async fn differences(world: &World, who: &Caller, call: v1::DiffSnapshot) -> Vec<String> {
    let short = |it: v1::Difference| {
        let kind = match it.kind() {
            DifferenceKind::Unspecified => "?",
            DifferenceKind::Created => "+",
            DifferenceKind::Removed => "-",
            DifferenceKind::Renamed => ">",
            DifferenceKind::Modified => "~",
        };
        format!(
            "{kind} {}{}",
            if it.from.is_empty() { String::new() } else { format!("{} ", it.from) },
            it.path
        )
    };
    world.call(who, call).await.unwrap().differences.into_iter().map(short).collect()
}

#[tokio::test]
async fn a_filesystem_goes_back_to_what_it_was_and_the_way_is_told() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let admin = world.agent(ADMIN).await;
    world.call(&admin, mkdir("/home/at")).await.unwrap();
    world.call(&admin, mount("/home/at")).await.unwrap();
    for name in ["kept", "written", "removed", "moved"] {
        world.call(&admin, write(&format!("/home/at/{name}"), name)).await.unwrap();
    }
    world.call(&admin, mkdir("/home/at/dir")).await.unwrap();
    let named = v1::Snapshot { name: "before".into(), ..snapshot("/home/at") };
    let before = world.call(&admin, named).await.unwrap().id;
    assert_eq!(differences(&world, &admin, diff(before, 0)).await, Vec::<String>::new());

    world.call(&admin, write("/home/at/written", "other")).await.unwrap();
    world.call(&admin, delete("/home/at/removed")).await.unwrap();
    world.call(&admin, move_file("/home/at/moved", "/home/at/dir/moved")).await.unwrap();
    world.call(&admin, mkdir("/home/at/new")).await.unwrap();
    let open = v1::Open { path: "/home/at/written".into(), read: true, ..Default::default() };
    let open = world.call(&admin, open).await.unwrap().id;
    let after = world.call(&admin, snapshot("/home/at")).await.unwrap().id;
    let told = differences(&world, &admin, diff(before, after)).await;
    // The times of the directories have changed as well, which may be told or not.
    let times = ["~ /home/at", "~ /home/at/dir"];
    let essential: Vec<_> = told.iter().filter(|it| !times.contains(&it.as_str())).collect();
    assert_eq!(
        essential,
        ["> /home/at/moved /home/at/dir/moved", "+ /home/at/new", "- /home/at/removed", "~ /home/at/written"]
    );
    let part = world.call(&admin, v1::DiffSnapshot { limit: 2, ..diff(before, after) }).await.unwrap();
    assert_eq!((part.differences.len(), part.next_cursor), (2, Some(2)));
    let rest = v1::DiffSnapshot { cursor: 2, ..diff(before, after) };
    let rest = world.call(&admin, rest).await.unwrap();
    let all = differences(&world, &admin, diff(before, after)).await.len();
    assert_eq!((rest.differences.len() + 2, rest.next_cursor), (all, None));
    let beyond = v1::DiffSnapshot { cursor: u64::MAX, ..diff(before, after) };
    assert!(world.call(&admin, beyond).await.unwrap().differences.is_empty());

    log.changes(&admin);
    let done = world.call(&admin, v1::RestoreSnapshot { id: before }).await.unwrap();
    let told = log.changes(&admin);
    assert_eq!(told.len() as u64, done.changes);
    let to = VPath::parse(b"/home/at/moved").unwrap();
    for change in [
        (FileChange::Written, "/home/at/written".to_owned(), false),
        (FileChange::Created, "/home/at/removed".to_owned(), false),
        (FileChange::Moved { to }, "/home/at/dir/moved".to_owned(), false),
        (FileChange::Removed, "/home/at/new".to_owned(), true),
    ] {
        assert!(told.contains(&change), "{change:?} in {told:?}");
    }
    for name in ["kept", "written", "removed", "moved"] {
        let data = world.call(&admin, read(&format!("/home/at/{name}"))).await.unwrap().data;
        assert_eq!(&data[..], name.as_bytes());
    }
    for gone in ["new", "dir/moved"] {
        assert!(!world.call(&admin, exists(&format!("/home/at/{gone}"))).await.unwrap().exists, "{gone}");
    }
    // What is open stays what it was; and the snapshot stays, too.
    let still = world.call(&admin, v1::Read { id: open, ..Default::default() }).await.unwrap();
    assert_eq!(&still.data[..], b"other");
    assert_eq!(differences(&world, &admin, diff(before, 0)).await, Vec::<String>::new());
    world.call(&admin, v1::RestoreSnapshot { id: after }).await.unwrap();
    assert!(world.call(&admin, exists("/home/at/dir/moved")).await.unwrap().exists);

    let listed = world.call(&admin, v1::ListSnapshots {}).await.unwrap().snapshots;
    let listed: Vec<_> = listed.iter().map(|it| (it.id, &*it.path, &*it.name, it.created_by)).collect();
    let by = admin.pid().0;
    assert_eq!(listed, [(before, "/home/at", "before", by), (after, "/home/at", "", by)]);
}

#[tokio::test]
async fn what_a_snapshot_keeps_takes_room_until_it_is_dropped() {
    let world = World::start();
    let admin = world.agent(ADMIN).await;
    let half = vec![b'x'; 600 << 10];
    world.call(&admin, write("/home/file", &half)).await.unwrap();
    let id = world.call(&admin, snapshot("/home")).await.unwrap().id;
    world.call(&admin, delete("/home/file")).await.unwrap();
    assert_eq!(world.errno(&admin, write("/home/other", &half)).await, Errno::ENOSPC);
    world.call(&admin, v1::DropSnapshot { id }).await.unwrap();
    world.call(&admin, write("/home/other", &half)).await.unwrap();
    for call in [v1::DropSnapshot { id }, v1::DropSnapshot { id: 0 }, v1::DropSnapshot { id: u64::MAX }] {
        assert_eq!(world.errno(&admin, call).await, Errno::ENOENT);
    }
    for id in [id, 0, u64::MAX] {
        assert_eq!(world.errno(&admin, v1::RestoreSnapshot { id }).await, Errno::ENOENT);
        assert_eq!(world.errno(&admin, diff(id, 0)).await, Errno::ENOENT);
    }
    assert_eq!(world.kernel.in_use().snapshots, 0);
}

#[tokio::test]
async fn only_whole_filesystems_in_memory_have_snapshots() {
    let world = World::start();
    let admin = world.agent(&["fs.read:/**", "fs.write:/**", "fs.admin"]).await;
    world.call(&admin, mkdir("/home/dir")).await.unwrap();
    world.call(&admin, mkdir("/home/bound")).await.unwrap();
    let source = MountSource { path: "/home/dir".into(), ..Default::default() };
    let bind = v1::Mount {
        path: "/home/bound".into(),
        kind: MountKind::Bind.into(),
        sources: vec![source],
        ..Default::default()
    };
    world.call(&admin, bind).await.unwrap();
    world.call(&admin, write("/home/file", "")).await.unwrap();
    for (path, errno) in [
        ("/data", Errno::ENOTSUP),
        ("/usr", Errno::ENOTSUP),
        ("/home/bound", Errno::ENOTSUP),
        ("/home/dir", Errno::EINVAL),
        ("/home/file", Errno::EINVAL),
        ("/home/none", Errno::ENOENT),
        ("", Errno::ENOENT),
        ("/home\0", Errno::EINVAL),
    ] {
        assert_eq!(world.errno(&admin, snapshot(path)).await, errno, "{path:?}");
    }
    let long = v1::Snapshot { name: "n".repeat(257), ..snapshot("/home") };
    assert_eq!(world.errno(&admin, long).await, Errno::EINVAL);

    // What something is mounted in stays as it is; two of different filesystems can't be compared.
    let (home, tmp) = (
        world.call(&admin, snapshot("/home")).await.unwrap().id,
        world.call(&admin, snapshot("/tmp")).await.unwrap().id,
    );
    let inode = world.call(&admin, stat("/home/dir")).await.unwrap().inode;
    assert_eq!(world.errno(&admin, v1::RestoreSnapshot { id: home }).await, Errno::EBUSY);
    assert_eq!(world.call(&admin, stat("/home/dir")).await.unwrap().inode, inode);
    assert_eq!(world.errno(&admin, diff(home, tmp)).await, Errno::EXDEV);
    // Nor is what snapshots are kept of unmounted; if it is gone all the same, they can only be dropped.
    let gone = v1::Unmount { path: "/tmp".into(), ..Default::default() };
    assert_eq!(world.errno(&world.kernel.init(), gone).await, Errno::EBUSY);
    world.kernel.mounts().unmount(b"/tmp").unwrap();
    assert_eq!(world.errno(&admin, v1::RestoreSnapshot { id: tmp }).await, Errno::ESTALE);
    assert_eq!(world.errno(&admin, diff(tmp, 0)).await, Errno::ESTALE);
    world.call(&admin, diff(tmp, tmp)).await.unwrap();
    world.call(&admin, v1::DropSnapshot { id: tmp }).await.unwrap();
}

#[tokio::test]
async fn snapshots_need_the_right_on_all_that_they_show_or_change() {
    let world = World::start();
    let admin = world.agent(ADMIN).await;
    world.call(&admin, write("/home/file", "before")).await.unwrap();
    let id = world.call(&admin, snapshot("/home")).await.unwrap().id;
    world.call(&admin, write("/home/file", "after")).await.unwrap();
    let (restore, drop) = (v1::RestoreSnapshot { id }, v1::DropSnapshot { id });
    for (grants, right) in [
        (&["fs.read:/home/**", "fs.write:/home/**"][..], ["fs.admin"; 4]),
        (&["fs.admin"], ["fs.read:/home", "fs.read:/home", "fs.write:/home", "fs.write:/home"]),
        (
            &["fs.admin", "fs.read:/home", "fs.write:/home"],
            ["fs.read:/home/**", "fs.read:/home/**", "fs.write:/home/**", "fs.write:/home/**"],
        ),
    ] {
        let agent = world.agent(grants).await;
        let errors = [
            world.call(&agent, snapshot("/home")).await.map(|_| ()),
            world.call(&agent, diff(id, 0)).await.map(|_| ()),
            world.call(&agent, restore).await.map(|_| ()),
            world.call(&agent, drop).await.map(|_| ()),
        ];
        let named: Vec<_> = errors.iter().map(|error| missing(error.as_ref().unwrap_err())).collect();
        assert_eq!(named, right);
    }
    let stranger = world.agent(&[]).await;
    for id in [id, 999_999] {
        assert_eq!(
            missing(&world.call(&stranger, v1::RestoreSnapshot { id }).await.unwrap_err()),
            "fs.admin"
        );
    }
    assert_eq!(missing(&world.call(&stranger, v1::ListSnapshots {}).await.unwrap_err()), "fs.admin");
    assert_eq!(&world.call(&admin, read("/home/file")).await.unwrap().data[..], b"after");
}

#[tokio::test]
async fn there_is_room_for_so_many_snapshots_and_they_outlive_their_maker() {
    let limits = Limits { snapshots: 2, ..Limits::default() };
    let world = World::with(limits, LinuxSpawner::new().unwrap());
    let (admin, other) = (world.agent(ADMIN).await, world.agent(ADMIN).await);
    let id = world.call(&admin, snapshot("/home")).await.unwrap().id;
    world.call(&admin, snapshot("/home")).await.unwrap();
    let error = world.call(&admin, snapshot("/home")).await.unwrap_err();
    assert!(
        matches!(error.cause.as_deref(), Some(Cause::Limit { name: "snapshots", used: 2, max: 2 })),
        "{error:?}"
    );
    world.call(&world.kernel.init(), v1::KillProcess { pid: admin.pid().0, tree: true }).await.unwrap();
    world.call(&other, v1::DropSnapshot { id }).await.unwrap();
    world.call(&other, snapshot("/home")).await.unwrap();
}
