//! Whole files in and out.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};

use bytes::Bytes;
use common::{Log, World, read, until, within, write};
use uos_proc::LinuxSpawner;
use uos_proto::v1;
use uos_syscall::{
    Caller, Cause, Download, Errno, Error, Existing, FileChange, Upload,
    audit::{Decision, Subject},
};

const OPEN: &[&str] =
    &["fs.read:/data/**", "fs.write:/data/**", "fs.read:/home/**", "fs.write:/home/**", "fs.write:/usr/**"];

async fn all(download: &Download) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        let part = within(download.read(all.len() as u64, usize::MAX)).await.unwrap();
        assert!(part.len() <= 1 << 20);
        if part.is_empty() {
            return all;
        }
        all.extend_from_slice(&part);
    }
}

async fn begin(world: &World, agent: &Caller, path: &str) -> Upload {
    within(world.kernel.begin_upload(agent, path, Existing::Replace)).await.unwrap()
}

async fn give(upload: &mut Upload, data: impl AsRef<[u8]>) -> Result<(), Error> {
    within(upload.write(Bytes::copy_from_slice(data.as_ref()))).await
}

/// The outcomes written down of somebody's calls, with what they were aimed at.
fn records(world: &World, agent: &Caller) -> Vec<(&'static str, Subject, Result<(), Errno>, bool)> {
    world.kernel.audit().flush();
    let own = world.audit.records().into_iter().filter(|it| it.caller == agent.pid());
    own.map(|it| (it.call.name, it.subject, it.outcome, it.decision != Decision::Refused)).collect()
}

fn subject(path: &str) -> Subject {
    Subject::Path(uos_vfs::VPath::parse(path.as_bytes()).unwrap())
}

/// Names in the host's folder.
fn names(world: &World) -> Vec<String> {
    let entries = world.host.path().read_dir().unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_download_is_the_file_that_was_opened_and_is_recorded_once() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    let content: Vec<u8> = (0..2_500_000_u32).map(|place| place as u8).collect();
    world.put("large", &content);
    symlink("large", world.host.path().join("link")).unwrap();
    world.call(&world.kernel.init(), write("/home/small", "in memory")).await.unwrap();

    let download = within(world.kernel.open_download(&agent, "/data/./link")).await.unwrap();
    let stat = world.call(&agent, v1::FileStat { path: "/data/large".into(), ..Default::default() }).await;
    let stat = stat.unwrap();
    assert_eq!((download.size_bytes(), download.modified_us()), (2_500_000, stat.modified_us));
    assert_eq!(download.path().as_bytes(), b"/data/large");
    assert_eq!(&within(download.read(7, 3)).await.unwrap()[..], &content[7..10]);
    std::fs::remove_file(world.host.path().join("large")).unwrap();
    assert_eq!(all(&download).await, content, "its name is gone, the file is not");
    assert!(within(download.read(u64::MAX, 1)).await.unwrap().is_empty());

    let small = within(world.kernel.open_download(&agent, "/home/small")).await.unwrap();
    assert_eq!(all(&small).await, b"in memory");
    let mine = records(&world, &agent);
    let opened: Vec<_> = mine.into_iter().filter(|record| record.0 == "ReadFile").collect();
    assert_eq!(
        opened,
        [
            ("ReadFile", subject("/data/large"), Ok(()), true),
            ("ReadFile", subject("/home/small"), Ok(()), true)
        ]
    );

    world.set_grants(&agent, &["fs.read:/data/**"]);
    let refused = within(small.read(0, 1)).await.unwrap_err();
    assert_eq!(refused.cause.as_deref(), Some(&Cause::Right("fs.read:/home/small".into())));
    within(download.read(0, 1)).await.unwrap();
    let kill = v1::KillProcess { pid: agent.pid().0, tree: true };
    world.call(&world.kernel.init(), kill).await.unwrap();
    assert_eq!(within(download.read(0, 1)).await.unwrap_err().errno, Errno::ESRCH);
}

#[tokio::test]
async fn what_is_no_file_for_the_caller_is_refused_like_a_call_and_recorded_once() {
    let world = World::start();
    world.put("folder/file", "");
    for (path, errno) in [
        ("/data/folder", Errno::EISDIR),
        ("/data/none", Errno::ENOENT),
        ("/data/folder/file/x", Errno::ENOTDIR),
        ("/tmp/x", Errno::EACCES),
        ("", Errno::ENOENT),
    ] {
        let agent = world.agent(OPEN).await;
        let error = within(world.kernel.open_download(&agent, path)).await.unwrap_err();
        assert_eq!((error.errno, records(&world, &agent).len()), (errno, 1), "down {path}");
        assert_eq!(error, world.call(&agent, read(path)).await.unwrap_err());
    }
    for (path, errno) in [
        ("/data/folder", Errno::EISDIR),
        ("/data/folder/", Errno::EISDIR),
        ("/data/new/", Errno::EISDIR),
        ("/data/none/x", Errno::ENOENT),
        ("/usr/bin/printf", Errno::EROFS),
        ("/usr/none", Errno::EROFS),
        ("/tmp/x", Errno::EACCES),
        ("/", Errno::EACCES),
    ] {
        let agent = world.agent(OPEN).await;
        let error = within(world.kernel.begin_upload(&agent, path, Existing::Replace)).await.unwrap_err();
        assert_eq!((error.errno, records(&world, &agent).len()), (errno, 1), "up {path}");
        assert_eq!(error, world.call(&agent, write(path, "")).await.unwrap_err());
    }
    assert_eq!(names(&world), ["folder"]);
}

#[tokio::test]
async fn an_upload_is_seen_when_it_is_whole_and_not_before() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    for base in ["/data", "/home"] {
        let path = format!("{base}/file");
        let content =
            async || String::from_utf8(world.call(&agent, read(&path)).await.unwrap().data.to_vec()).unwrap();
        let mut upload = begin(&world, &agent, &path).await;
        give(&mut upload, "one ").await.unwrap();
        give(&mut upload, "two").await.unwrap();
        assert_eq!(world.errno(&agent, read(&path)).await, Errno::ENOENT);
        assert_eq!(log.changes(&agent), []);
        assert_eq!(within(upload.commit()).await.unwrap(), 7);
        assert_eq!(content().await, "one two");
        assert_eq!(log.changes(&agent), [(FileChange::Created, path.clone(), false)]);

        let mode = async || {
            let stat = v1::FileStat { path: path.clone(), ..Default::default() };
            world.call(&agent, stat).await.unwrap().mode
        };
        assert_eq!(mode().await, 0o644);
        let how = uos_vfs::How::privileged();
        let node = world.kernel.mounts().resolve(path.as_bytes(), &how).unwrap().node.unwrap();
        node.set_attr(&uos_vfs::Caller::ROOT, &uos_vfs::SetAttr { mode: Some(0o751), ..Default::default() })
            .unwrap();
        drop(node);
        let mut upload = begin(&world, &agent, &path).await;
        give(&mut upload, "three").await.unwrap();
        assert_eq!(content().await, "one two");
        assert_eq!(within(upload.commit()).await.unwrap(), 5);
        assert_eq!((content().await, mode().await), ("three".to_owned(), 0o751));
        assert_eq!(log.changes(&agent), [(FileChange::Written, path.clone(), false)]);
    }
    let uploads = records(&world, &agent).into_iter().filter(|record| record.0 == "WriteFile");
    let paths = ["/data/file", "/data/file", "/home/file", "/home/file"];
    let expected = paths.map(|path| ("WriteFile", subject(path), Ok(()), true));
    assert_eq!(uploads.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn an_upload_follows_a_link_and_leaves_it_a_link() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    world.put("folder/file", "old");
    symlink("folder/file", world.host.path().join("link")).unwrap();
    symlink("folder/new", world.host.path().join("dangling")).unwrap();
    for (path, at) in [("/data/link", "folder/file"), ("/data/dangling", "folder/new")] {
        let mut upload = begin(&world, &agent, path).await;
        assert_eq!(upload.path().to_string(), format!("/data/{at}"));
        give(&mut upload, at).await.unwrap();
        within(upload.commit()).await.unwrap();
        assert_eq!(world.seen(at), at);
    }
    assert_eq!(names(&world), ["dangling", "folder", "link"]);
    assert!(world.host.path().join("link").is_symlink() && world.host.path().join("dangling").is_symlink());
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_what_was_there_and_is_recorded_as_given_up() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    world.put("file", "old");
    let mut upload = begin(&world, &agent, "/data/file").await;
    give(&mut upload, "new").await.unwrap();
    let hidden: Vec<_> = names(&world).into_iter().filter(|name| name != "file").collect();
    let [hidden] = &hidden[..] else { panic!("{hidden:?}") };
    assert!(hidden.starts_with(".uos-") && hidden.len() > 30, "{hidden}");
    let mode = world.host.path().join(hidden).metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else reads half a file");
    drop(upload);
    until("the part is gone", || names(&world) == ["file"]).await;
    assert_eq!(world.seen("file"), "old");
    assert_eq!(records(&world, &agent), [("WriteFile", subject("/data/file"), Err(Errno::ECANCELED), true)]);

    // Given up in the middle of writing, it can't be committed.
    let mut upload = begin(&world, &agent, "/data/file").await;
    let mut given_up = false;
    while !given_up {
        given_up = tokio::select! {
            biased;
            written = upload.write(vec![b'x'; 1 << 16].into()) => written.is_err(),
            () = std::future::ready(()) => true,
        };
    }
    assert_eq!(within(upload.commit()).await.unwrap_err().errno, Errno::EIO);
    until("the part is gone", || names(&world) == ["file"]).await;
    // Nor by those who have no right any more, or have ended.
    let late = begin(&world, &agent, "/data/file").await;
    let later = begin(&world, &agent, "/data/file").await;
    world.set_grants(&agent, &["fs.read:/**"]);
    assert_eq!(within(late.commit()).await.unwrap_err().errno, Errno::EACCES);
    let kill = v1::KillProcess { pid: agent.pid().0, tree: true };
    world.call(&world.kernel.init(), kill).await.unwrap();
    assert_eq!(within(later.commit()).await.unwrap_err().errno, Errno::ESRCH);
    until("the parts are gone", || names(&world) == ["file"]).await;
    assert_eq!(world.seen("file"), "old");
    let outcomes: Vec<_> = records(&world, &agent).into_iter().map(|record| record.2).collect();
    let expected = [Errno::ECANCELED, Errno::EIO, Errno::EACCES, Errno::ESRCH].map(Err);
    assert_eq!(outcomes, expected, "one record each");
}

#[tokio::test]
async fn an_upload_without_room_keeps_the_old_content_and_gives_the_room_back() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    world.call(&agent, write("/home/file", "old")).await.unwrap();
    let mut upload = begin(&world, &agent, "/home/file").await;
    give(&mut upload, vec![b'n'; 1 << 19]).await.unwrap();
    let error = give(&mut upload, vec![b'n'; 1 << 19]).await.unwrap_err();
    assert!(
        matches!(error.cause.as_deref(), Some(Cause::Limit { name: "filesystem_bytes", .. })),
        "{error:?}"
    );
    assert_eq!(error.errno, Errno::ENOSPC);
    assert_eq!(within(upload.commit()).await.unwrap_err().errno, Errno::EIO);
    let used = || {
        let reply = world.kernel.invoke_blocking(&world.kernel.init(), v1::GetMemoryStats {}.into()).unwrap();
        let v1::reply::Reply::GetMemoryStats(stats) = reply else { panic!("{reply:?}") };
        stats.areas.iter().find(|area| area.name == "/home").unwrap().used_bytes
    };
    until("the room is back", || used() == 3).await;
    assert_eq!(&world.call(&agent, read("/home/file")).await.unwrap().data[..], b"old");
    let outcomes: Vec<_> = records(&world, &agent).into_iter().map(|record| (record.0, record.2)).collect();
    assert_eq!(outcomes, [("WriteFile", Ok(())), ("WriteFile", Err(Errno::ENOSPC)), ("ReadFile", Ok(()))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_the_old_file_or_the_new_one() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    for base in ["/data", "/home"] {
        let path = format!("{base}/file");
        world.call(&agent, write(&path, [b'0'; 200_000])).await.unwrap();
        let uploader = {
            let (kernel, agent, path) = (world.kernel.clone(), agent.clone(), path.clone());
            tokio::spawn(async move {
                for round in 1..20_u8 {
                    let mut upload =
                        within(kernel.begin_upload(&agent, &path, Existing::Replace)).await.unwrap();
                    for _ in 0..20 {
                        give(&mut upload, [b'0' + round; 10_000]).await.unwrap();
                    }
                    within(upload.commit()).await.unwrap();
                }
            })
        };
        while !uploader.is_finished() {
            let data = world.call(&agent, read(&path)).await.unwrap().data;
            assert!(data.len() == 200_000 && data.iter().all(|byte| *byte == data[0]), "a mixture");
        }
        within(uploader).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_to_stay_stays() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    for base in ["/data", "/home"] {
        let path = format!("{base}/file");
        let begin = || within(world.kernel.begin_upload(&agent, &path, Existing::Keep));
        let (mut first, mut second) = (begin().await.unwrap(), begin().await.unwrap());
        give(&mut first, "first").await.unwrap();
        give(&mut second, "second").await.unwrap();
        assert_eq!(within(first.commit()).await.unwrap(), 5);
        assert_eq!(within(second.commit()).await.unwrap_err().errno, Errno::EEXIST, "it came between");
        assert_eq!(begin().await.unwrap_err().errno, Errno::EEXIST);
        assert_eq!(&world.call(&agent, read(&path)).await.unwrap().data[..], b"first");
    }
    until("nothing is left behind", || names(&world) == ["file"]).await;
}
