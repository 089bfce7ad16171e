//! MoveFile: other names for files and directories, within a filesystem and from one to another.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};

use common::{Log, World, exists, move_file, read, within, write};
use uos_proc::LinuxSpawner;
use uos_proto::v1::{self, MoveFlags};
use uos_syscall::{Caller, Cause, Errno, Error, FileChange, audit::Subject, namespace};
use uos_vfs::VPath;

const OPEN: &[&str] = &[
    "fs.read:/data/**",
    "fs.write:/data/**",
    "fs.read:/home/**",
    "fs.write:/home/**",
    "fs.read:/usr/**",
    "fs.write:/usr/**",
];

fn with(flags: MoveFlags, from: &str, to: &str) -> v1::MoveFile {
    v1::MoveFile { flags: flags.into(), ..move_file(from, to) }
}

fn mkdir(path: &str) -> v1::CreateDirectory {
    v1::CreateDirectory { path: path.to_owned(), parents: true, ..Default::default() }
}

async fn content(world: &World, agent: &Caller, path: &str) -> Option<String> {
    let reply = world.call(agent, read(path)).await.ok()?;
    Some(String::from_utf8(reply.data.to_vec()).unwrap())
}

fn moved(from: &str, to: &str, directory: bool) -> (FileChange, String, bool) {
    (FileChange::Moved { to: VPath::parse(to.as_bytes()).unwrap() }, from.to_owned(), directory)
}

/// The right that a refusal names.
fn missing(error: &Error) -> &str {
    match error.cause.as_deref() {
        Some(Cause::Right(right)) if error.errno == Errno::EACCES => right,
        _ => panic!("this is no refusal that names a right: {error:?}"),
    }
}

/// The same in memory and on the host, whose filesystems decide it.
#[tokio::test]
async fn within_a_filesystem_a_move_is_as_posix_has_it_and_is_told() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    for base in ["/home/t", "/data/t"] {
        let at = |name: &str| format!("{base}/{name}");
        for directory in ["full", "empty", "tree/inner"] {
            world.call(&agent, mkdir(&at(directory))).await.unwrap();
        }
        for name in ["a", "b", "full/x"] {
            world.call(&agent, write(&at(name), name)).await.unwrap();
        }
        log.changes(&agent);

        for (flags, from, to, errno) in [
            (MoveFlags::NoReplace, "a", "b", Errno::EEXIST),
            (MoveFlags::Exchange, "a", "none", Errno::ENOENT),
            (MoveFlags::Unspecified, "none", "c", Errno::ENOENT),
            (MoveFlags::Unspecified, "a", "none/c", Errno::ENOENT),
            (MoveFlags::Unspecified, "a", "b/c", Errno::ENOTDIR),
            (MoveFlags::Unspecified, "a/", "c", Errno::ENOTDIR),
            (MoveFlags::Unspecified, "a", "c/", Errno::ENOTDIR),
            (MoveFlags::Unspecified, "a", "empty", Errno::EISDIR),
            (MoveFlags::Unspecified, "empty", "a", Errno::ENOTDIR),
            (MoveFlags::Unspecified, "empty", "full", Errno::ENOTEMPTY),
            (MoveFlags::Unspecified, "tree", "tree/inner/tree", Errno::EINVAL),
            (MoveFlags::Unspecified, "tree/inner", "tree", Errno::ENOTEMPTY),
            (MoveFlags::Exchange, "tree/inner", "tree", Errno::EINVAL),
            (MoveFlags::Unspecified, "tree/.", "c", Errno::EINVAL),
            (MoveFlags::Unspecified, "a", "tree/..", Errno::EINVAL),
        ] {
            let errno_of = world.errno(&agent, with(flags, &at(from), &at(to))).await;
            assert_eq!(errno_of, errno, "{flags:?} {} {}", at(from), at(to));
        }
        let unknown = v1::MoveFile { flags: 9, ..move_file(&at("a"), &at("c")) };
        assert_eq!(world.errno(&agent, unknown).await, Errno::EINVAL);
        assert_eq!(log.changes(&agent), [], "a failure is no change");

        world.call(&agent, move_file(&at("a"), &at("a"))).await.unwrap();
        assert_eq!(log.changes(&agent), [], "neither is a move to the same name");
        world.call(&agent, move_file(&at("a"), &at("b"))).await.unwrap();
        world.call(&agent, with(MoveFlags::NoReplace, &at("b"), &at("full/y"))).await.unwrap();
        world.call(&agent, with(MoveFlags::Exchange, &at("full/y"), &at("tree/inner"))).await.unwrap();
        world.call(&agent, move_file(&at("full/"), &at("empty/"))).await.unwrap();
        assert_eq!(
            log.changes(&agent),
            [
                moved(&at("a"), &at("b"), false),
                moved(&at("b"), &at("full/y"), false),
                moved(&at("full/y"), &at("tree/inner"), false),
                moved(&at("tree/inner"), &at("full/y"), true),
                moved(&at("full"), &at("empty"), true),
            ]
        );
        assert_eq!(content(&world, &agent, &at("tree/inner")).await.as_deref(), Some("a"));
        assert_eq!(content(&world, &agent, &at("empty/x")).await.as_deref(), Some("full/x"));
        assert!(world.call(&agent, exists(&at("empty/y"))).await.unwrap().exists);
        for gone in ["a", "b", "full"] {
            assert!(!world.call(&agent, exists(&at(gone))).await.unwrap().exists, "{gone}");
        }
    }
    // A link is moved itself, also with a slash behind its new name's neighbours, and nothing behind it moves.
    symlink("t/empty", world.host.path().join("link")).unwrap();
    assert_eq!(world.errno(&agent, move_file("/data/link/", "/data/c")).await, Errno::ENOTDIR);
    world.call(&agent, move_file("/data/link", "/data/other")).await.unwrap();
    assert_eq!(world.host.path().join("other").read_link().unwrap().to_str(), Some("t/empty"));
    assert!(world.host.path().join("t/empty/x").exists());
}

#[tokio::test]
async fn a_plain_file_goes_to_another_filesystem_whole_or_stays() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    let large: String = (0..700_000).map(|place| char::from(b'a' + (place % 23) as u8)).collect();
    world.put("large", &large);
    let outside = world.host.path().join("large");
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o440)).unwrap();
    let before =
        world.call(&agent, v1::FileStat { path: "/data/large".into(), ..Default::default() }).await.unwrap();
    log.changes(&agent);

    world.call(&agent, move_file("/data/large", "/home/here")).await.unwrap();
    assert!(!outside.exists());
    assert_eq!(content(&world, &agent, "/home/here").await.as_deref(), Some(&*large));
    let after =
        world.call(&agent, v1::FileStat { path: "/home/here".into(), ..Default::default() }).await.unwrap();
    assert_eq!((after.mode, after.modified_us), (0o440, before.modified_us));
    assert_eq!(log.changes(&agent), [moved("/data/large", "/home/here", false)]);

    // There is room for one such file, so the second stays where it is, and nothing of it is left where it was to go.
    world.put("large", &large);
    world.call(&agent, mkdir("/home/d")).await.unwrap();
    log.changes(&agent);
    for (flags, from, to, errno) in [
        (MoveFlags::Unspecified, "/data/large", "/home/d/second", Errno::ENOSPC),
        (MoveFlags::NoReplace, "/data/large", "/home/here", Errno::EEXIST),
        (MoveFlags::Exchange, "/data/large", "/home/here", Errno::EXDEV),
        (MoveFlags::Unspecified, "/data/large", "/home/d", Errno::EISDIR),
        (MoveFlags::Unspecified, "/home/d", "/data/d", Errno::EXDEV),
        (MoveFlags::Unspecified, "/usr/bin/printf", "/home/p", Errno::EROFS),
        (MoveFlags::Unspecified, "/home/here", "/usr/p", Errno::EROFS),
    ] {
        assert_eq!(world.errno(&agent, with(flags, from, to)).await, errno, "{flags:?} {from} {to}");
    }
    assert_eq!(log.changes(&agent), []);
    assert_eq!(world.seen("large"), large);
    let names = |path: &str| v1::ListDirectory { path: path.to_owned(), ..Default::default() };
    assert!(world.call(&agent, names("/home/d")).await.unwrap().entries.is_empty(), "no part is left");
    assert_eq!(world.call(&agent, names("/home")).await.unwrap().entries.len(), 2);

    world.call(&agent, move_file("/home/here", "/data/large")).await.unwrap();
    assert_eq!(world.seen("large"), large);
    assert_eq!(std::fs::read_dir(world.host.path()).unwrap().count(), 1, "nor here");
}

#[tokio::test]
async fn mount_points_stay_and_so_does_what_holds_them() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/**", "fs.write:/**"]).await;
    namespace::mount_host(world.kernel.mounts(), "/outer/inner", world.host.path(), false).unwrap();
    world.call(&agent, mkdir("/free")).await.unwrap();
    for (from, to) in [
        ("/data", "/x"),
        ("/free", "/data"),
        ("/outer", "/x"),
        ("/free", "/outer"),
        ("/", "/x"),
        ("/free", "/"),
    ] {
        assert_eq!(world.errno(&agent, move_file(from, to)).await, Errno::EBUSY, "{from} {to}");
    }
    let swap = with(MoveFlags::Exchange, "/free", "/outer");
    assert_eq!(world.errno(&agent, swap).await, Errno::EBUSY);
}

#[tokio::test]
async fn a_move_lends_no_right_that_the_caller_does_not_hold_already() {
    let world = World::start();
    world.put("in/file", "secret");
    world.put("in/tree/deep", "secret");
    world.put("out/file", "");
    for (grants, flags, from, to, right) in [
        (
            &["fs.write:/data/in/**"][..],
            MoveFlags::Unspecified,
            "/data/in/file",
            "/data/out/f",
            "fs.write:/data/out/f",
        ),
        (
            &["fs.write:/data/out/**"],
            MoveFlags::Unspecified,
            "/data/in/file",
            "/data/out/f",
            "fs.write:/data/in/file",
        ),
        (
            &["fs.write:/data/out/**"],
            MoveFlags::Unspecified,
            "/data/in/none",
            "/data/out/f",
            "fs.write:/data/in/none",
        ),
        // It can't read the file where it is, and could where it would be.
        (
            &["fs.write:/data/**", "fs.read:/data/out/**"],
            MoveFlags::Unspecified,
            "/data/in/file",
            "/data/out/f",
            "fs.read:/data/in/file",
        ),
        (
            &["fs.write:/data/**", "fs.read:/data/out/**"],
            MoveFlags::Exchange,
            "/data/out/file",
            "/data/in/file",
            "fs.read:/data/in/file",
        ),
        (
            &["fs.write:/data/**", "fs.read:/data/out/t/deep"],
            MoveFlags::Unspecified,
            "/data/in/tree",
            "/data/out/t",
            "fs.read:/data/in/tree/**",
        ),
        // It can't write what is in the directory where it is, or could not where it would be.
        (
            &["fs.write:/data/in/tree", "fs.write:/data/out/**"],
            MoveFlags::Unspecified,
            "/data/in/tree",
            "/data/out/t",
            "fs.write:/data/in/tree/**",
        ),
        (
            &["fs.write:/data/in/**", "fs.write:/data/out/t"],
            MoveFlags::Unspecified,
            "/data/in/tree",
            "/data/out/t",
            "fs.write:/data/out/t/**",
        ),
    ] {
        let agent = world.agent(grants).await;
        let error = world.call(&agent, with(flags, from, to)).await.unwrap_err();
        assert_eq!(missing(&error), right, "{from} {to}");
        assert_eq!(world.seen("in/file"), "secret");
    }
    // Where nothing can be read in the end, nothing needs to be read before.
    let agent = world.agent(&["fs.write:/data/**", "fs.read:/home/**"]).await;
    world.call(&agent, move_file("/data/in/file", "/data/out/f")).await.unwrap();
    world.call(&agent, move_file("/data/in/tree", "/data/out/t")).await.unwrap();
    assert_eq!(world.seen("out/t/deep"), "secret");
    world.kernel.audit().flush();
    let paths = [b"/data/in/file", b"/data/out/f".as_slice()].map(|path| VPath::parse(path).unwrap());
    let [from, to] = paths;
    assert!(world.audit.records().iter().any(|it| it.subject == Subject::Paths(from.clone(), to.clone())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_move_a_file_to_and_fro_between_filesystems_lose_nothing() {
    let world = World::start();
    let agent = world.agent(OPEN).await;
    world.call(&agent, write("/data/f", "content")).await.unwrap();
    let movers = [("/data/f", "/home/f"), ("/home/f", "/data/f")].map(|(from, to)| {
        let (kernel, agent) = (world.kernel.clone(), agent.clone());
        tokio::spawn(async move {
            for _ in 0..200 {
                if let Err(error) = within(kernel.invoke(&agent, move_file(from, to).into())).await {
                    assert!(matches!(error.errno, Errno::ENOENT | Errno::EAGAIN), "{error}");
                }
            }
        })
    });
    for mover in movers {
        within(mover).await.unwrap();
    }
    let (here, there) = (content(&world, &agent, "/data/f").await, content(&world, &agent, "/home/f").await);
    assert_eq!(here.or(there).as_deref(), Some("content"));
    let listed = v1::ListDirectory { path: "/home".into(), ..Default::default() };
    assert!(world.call(&agent, listed).await.unwrap().entries.len() <= 1, "no part is left");
}
