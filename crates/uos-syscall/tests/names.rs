//! New names of new files and of old ones, seen from outside through the host's folder behind `/data`.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink as outside};

use common::{Log, World, link, list, missing, mkdir, read, stat, symlink, within, write};
use uos_proc::LinuxSpawner;
use uos_proto::v1;
use uos_syscall::{Errno, Error, FileChange, audit::Subject};
use uos_vfs::VPath;

const OPEN: &[&str] = &[
    "fs.read:/data/**",
    "fs.write:/data/**",
    "fs.read:/home/**",
    "fs.write:/home/**",
    "fs.read:/usr/**",
    "fs.write:/usr/**",
];

fn create(path: &str) -> v1::CreateFile {
    v1::CreateFile { path: path.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_new_file_is_empty_and_never_in_place_of_something() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    world.put("there", "content");
    world.put("folder/inner", "");
    outside("nowhere", world.host.path().join("dangling")).unwrap();
    world.call(&agent, v1::CreateFile { mode: Some(0o640), ..create("/data/new") }).await.unwrap();
    let made = world.host.path().join("new").metadata().unwrap();
    assert_eq!((made.len(), made.permissions().mode() & 0o7777), (0, 0o640));
    assert_eq!(log.changes(&agent), [(FileChange::Created, "/data/new".to_owned(), false)]);
    for (path, errno) in [
        ("/data/there", Errno::EEXIST),
        ("/data/folder", Errno::EEXIST),
        ("/data/dangling", Errno::EEXIST),
        ("/data/new/", Errno::ENOTDIR),
        ("/data/other/", Errno::EISDIR),
        ("/data/none/other", Errno::ENOENT),
        ("/data/there/other", Errno::ENOTDIR),
        ("/usr/bin/other", Errno::EROFS),
        ("", Errno::ENOENT),
        ("/data/a\0b", Errno::EINVAL),
    ] {
        assert_eq!(world.errno(&agent, create(path)).await, errno, "{path:?}");
    }
    let odd = v1::CreateFile { mode: Some(0o10000), ..create("/data/other") };
    assert_eq!(world.errno(&agent, odd).await, Errno::EINVAL);
    assert_eq!(log.changes(&agent), []);
    assert_eq!(world.seen("there"), "content");
    assert!(!world.host.path().join("nowhere").exists() && !world.host.path().join("other").exists());

    let narrow = world.agent(&["fs.read:/data/**", "fs.write:/data/folder/**"]).await;
    for name in ["there", "none", "none/deep"] {
        let error = world.call(&narrow, create(&format!("/data/{name}"))).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.write:/data/{name}"));
    }
}

fn read_link(path: &str) -> v1::ReadLink {
    v1::ReadLink { path: path.to_owned(), ..Default::default() }
}

fn created(path: &str) -> (FileChange, String, bool) {
    (FileChange::Created, path.to_owned(), false)
}

/// The same in memory and on the host.
#[tokio::test]
async fn a_second_name_is_the_same_file() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    for base in ["/data", "/home"] {
        let at = |name: &str| format!("{base}/{name}");
        world.call(&agent, mkdir(&at("folder"))).await.unwrap();
        for name in ["file", "there"] {
            world.call(&agent, write(&at(name), name)).await.unwrap();
        }
        world.call(&agent, symlink("file", &at("soft"))).await.unwrap();
        log.changes(&agent);
        world.call(&agent, link(&at("file"), &at("folder/name"))).await.unwrap();
        world.call(&agent, link(&at("soft"), &at("soft-too"))).await.unwrap();
        assert_eq!(log.changes(&agent), [created(&at("folder/name")), created(&at("soft-too"))]);
        world.call(&agent, write(&at("folder/name"), "by the other")).await.unwrap();
        assert_eq!(&world.call(&agent, read(&at("file"))).await.unwrap().data[..], b"by the other");
        let [one, other] = [stat(&at("file")), stat(&at("folder/name"))].map(|call| world.call(&agent, call));
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        assert_eq!((one.inode, one.links), (other.inode, 2));
        assert_eq!(world.call(&agent, read_link(&at("soft-too"))).await.unwrap().target, "file");
        log.changes(&agent);
        for (from, to, errno) in [
            ("none", "new", Errno::ENOENT),
            ("file", "none/new", Errno::ENOENT),
            ("file", "there", Errno::EEXIST),
            ("file", "soft", Errno::EEXIST),
            ("file", "file", Errno::EEXIST),
            ("file", "folder", Errno::EEXIST),
            ("folder", "new", Errno::EPERM),
            ("file", "there/new", Errno::ENOTDIR),
            ("file/", "new", Errno::ENOTDIR),
            ("file", "new/", Errno::ENOTDIR),
            ("file", "folder/..", Errno::EINVAL),
            ("folder/.", "new", Errno::EINVAL),
            ("file\0", "new", Errno::EINVAL),
        ] {
            assert_eq!(world.errno(&agent, link(&at(from), &at(to))).await, errno, "{base} {from} {to}");
        }
        assert_eq!(log.changes(&agent), []);
    }
    let outside = world.host.path().join("file").metadata().unwrap();
    assert_eq!(
        (outside.nlink(), outside.ino()),
        (2, world.host.path().join("folder/name").metadata().unwrap().ino())
    );
    assert_eq!(world.errno(&agent, link("/data/file", "/home/new")).await, Errno::EXDEV);
    assert_eq!(world.errno(&agent, link("/home/file", "/data/new")).await, Errno::EXDEV);
    assert_eq!(world.errno(&agent, link("/usr/bin/printf", "/usr/bin/new")).await, Errno::EROFS);
    assert_eq!(world.errno(&agent, link("", "/data/new")).await, Errno::ENOENT);
    let all = world.agent(&["fs.read:/**", "fs.write:/**"]).await;
    assert_eq!(world.errno(&all, link("/data/file", "/")).await, Errno::EEXIST);
    assert_eq!(world.errno(&all, link("/", "/data/new")).await, Errno::EPERM);
    assert_eq!(world.errno(&all, link("/data", "/home/new")).await, Errno::EPERM);
}

#[tokio::test]
async fn a_name_lends_no_right_that_the_caller_does_not_hold_already() {
    let world = World::start();
    world.put("in/file", "secret");
    world.put("out/file", "");
    let (write_in, write_out, read_out) =
        ("fs.write:/data/in/**", "fs.write:/data/out/**", "fs.read:/data/out/**");
    for (grants, from, to, right) in [
        (&[write_out][..], "in/file", "out/new", "fs.write:/data/in/file"),
        (&[write_out], "in/none", "out/new", "fs.write:/data/in/none"),
        (&[write_out, read_out], "in/file", "out/new", "fs.write:/data/in/file"),
        (&[write_in], "in/file", "out/new", "fs.write:/data/out/new"),
        (&[write_in], "in/file", "out/file", "fs.write:/data/out/file"),
        // It can't read the file by its name, and could by the other.
        (&[write_in, write_out, read_out], "in/file", "out/new", "fs.read:/data/in/file"),
        (&[write_in, write_out, read_out], "in/none", "out/new", "fs.read:/data/in/none"),
    ] {
        let agent = world.agent(grants).await;
        let error =
            world.call(&agent, link(&format!("/data/{from}"), &format!("/data/{to}"))).await.unwrap_err();
        assert_eq!(missing(&error), right, "{from} {to}");
    }
    assert_eq!(world.host.path().join("in/file").metadata().unwrap().nlink(), 1);
    // Where it can't be read in the end, it needn't be before.
    let agent = world.agent(&[write_in, write_out]).await;
    world.call(&agent, link("/data/in/file", "/data/out/new")).await.unwrap();
    assert_eq!(world.seen("out/new"), "secret");
    world.kernel.audit().flush();
    let [from, to] = ["/data/in/file", "/data/out/new"].map(|path| VPath::parse(path.as_bytes()).unwrap());
    assert!(world.audit.records().iter().any(|it| it.subject == Subject::Paths(from.clone(), to.clone())));
}

#[tokio::test]
async fn a_symbolic_link_says_what_it_was_told_and_is_judged_where_it_leads() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    let narrow = world.agent(&["fs.read:/data/own/**", "fs.write:/data/own/**"]).await;
    world.put("own/file", "content");
    world.put("foreign/file", "secret");
    world.call(&narrow, symlink("file", "/data/own/near")).await.unwrap();
    world.call(&narrow, symlink("/data/foreign/file", "/data/own/far")).await.unwrap();
    assert_eq!(log.changes(&narrow), [created("/data/own/near"), created("/data/own/far")]);
    let seen = world.host.path().join("own/far").read_link().unwrap();
    assert_eq!(seen.to_str(), Some("/data/foreign/file"));
    assert_eq!(&world.call(&narrow, read("/data/own/near")).await.unwrap().data[..], b"content");
    assert_eq!(
        missing(&world.call(&narrow, read("/data/own/far")).await.unwrap_err()),
        "fs.read:/data/foreign/file"
    );
    assert_eq!(
        missing(&world.call(&narrow, write("/data/own/far", "broken in")).await.unwrap_err()),
        "fs.write:/data/foreign/file"
    );
    assert_eq!(world.call(&narrow, read_link("/data/own/far")).await.unwrap().target, "/data/foreign/file");
    assert_eq!(world.seen("foreign/file"), "secret");

    let raw = v1::Symlink { target_raw: (&b"\xff"[..]).into(), ..symlink("ignored", "/home/raw") };
    world.call(&agent, raw).await.unwrap();
    let said = world.call(&agent, read_link("/home/raw")).await.unwrap();
    assert_eq!((&*said.target, &said.target_raw[..]), ("\u{fffd}", &b"\xff"[..]));
    log.changes(&agent);
    for base in ["/data", "/home"] {
        world.call(&agent, write(&format!("{base}/there"), "")).await.unwrap();
        log.changes(&agent);
        for (target, path, errno) in [
            ("x", "there", Errno::EEXIST),
            ("x", "there/new", Errno::ENOTDIR),
            ("x", "none/new", Errno::ENOENT),
            ("x", "new/", Errno::ENOENT),
            ("x", "new/..", Errno::EINVAL),
            ("x", "ne\0w", Errno::EINVAL),
            ("", "new", Errno::ENOENT),
            ("a\0b", "new", Errno::EINVAL),
            (&"x".repeat(4_096), "new", Errno::ENAMETOOLONG),
        ] {
            let call = symlink(target, &format!("{base}/{path}"));
            assert_eq!(
                world.errno(&agent, call).await,
                errno,
                "{base} {path} {:?}",
                &target[..target.len().min(9)]
            );
        }
    }
    assert_eq!(log.changes(&agent), []);
    assert_eq!(world.errno(&agent, symlink("x", "/usr/bin/new")).await, Errno::EROFS);
    for (path, errno) in [
        ("/data/there", Errno::EINVAL),
        ("/data/own", Errno::EINVAL),
        ("/data/own/near/", Errno::ENOTDIR),
        ("/data/none", Errno::ENOENT),
        ("/data/there/x", Errno::ENOTDIR),
    ] {
        assert_eq!(world.errno(&agent, read_link(path)).await, errno, "{path}");
    }
    for name in ["file", "none", "link"] {
        outside("file", world.host.path().join("foreign/link")).ok();
        let error = world.call(&narrow, read_link(&format!("/data/foreign/{name}"))).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.read:/data/foreign/{name}"));
        let error = world.call(&narrow, symlink("x", &format!("/data/foreign/{name}"))).await.unwrap_err();
        assert_eq!(missing(&error), format!("fs.write:/data/foreign/{name}"));
    }
}

/// Whoever makes links could ask by them what is there, by going in and out again.
#[tokio::test]
async fn no_link_tells_what_a_foreign_name_stands_for() {
    let world = World::start();
    world.put("own/file", "content");
    world.put("foreign/folder/inner", "");
    world.put("foreign/plain", "");
    outside("/data/own", world.host.path().join("foreign/link")).unwrap();
    outside("/data/foreign/folder", world.host.path().join("foreign/deep")).unwrap();
    outside("loop", world.host.path().join("foreign/loop")).unwrap();
    let agent = world.agent(&["fs.read:/data/own/**", "fs.write:/data/own/**"]).await;
    for way in [
        "/data/foreign/NAME/../../own/file",
        "../foreign/NAME/../../own/file",
        "../foreign/NAME/inner/../../../own/file",
        "../foreign/NAME/..",
    ] {
        let mut first: Option<Vec<Error>> = None;
        for name in ["folder", "plain", "link", "deep", "loop", "nothing"] {
            let path = format!("/data/own/to-{name}-{}", way.len());
            world.call(&agent, symlink(&way.replace("NAME", name), &path)).await.unwrap();
            let mut refusals = Vec::new();
            for path in [path.clone(), format!("{path}/"), format!("{path}/../own/file")] {
                for call in [
                    read(&path).into(),
                    write(&path, "x").into(),
                    common::exists(&path).into(),
                    list(&path).into(),
                ] {
                    let mut error: Error = within(world.kernel.invoke(&agent, call)).await.unwrap_err();
                    let named = missing(&error).replace(name, "NAME");
                    error = Error::denied(named.replace(&format!("to-NAME-{}", way.len()), "PATH"));
                    refusals.push(error);
                }
            }
            assert_eq!(first.get_or_insert_with(|| refusals.clone()), &refusals, "{way} with {name}");
        }
    }
    assert_eq!(world.seen("own/file"), "content");
}

#[tokio::test]
async fn a_passing_file_has_a_name_that_nobody_else_has() {
    let log = Log::default();
    let world = World::observed(LinuxSpawner::new().unwrap(), log.clone());
    let agent = world.agent(OPEN).await;
    let temp = |path: &str, prefix: &str| v1::TempFile {
        path: path.to_owned(),
        prefix: prefix.to_owned(),
        ..Default::default()
    };
    world.put("folder/inner", "");
    world.put("file", "");
    outside("folder", world.host.path().join("link")).unwrap();
    let mut names = std::collections::HashSet::new();
    for _ in 0..50 {
        let path = world.call(&agent, temp("/data/link/", "draft-")).await.unwrap().path;
        let name = path.strip_prefix("/data/folder/draft-").unwrap().to_owned();
        let outside = world.host.path().join(format!("folder/draft-{name}")).metadata().unwrap();
        assert_eq!((outside.len(), outside.mode() & 0o7777), (0, 0o600));
        assert_eq!(log.changes(&agent), [created(&path)]);
        assert!(name.len() == 24 && names.insert(name));
    }
    let path =
        world.call(&agent, v1::TempFile { mode: Some(0o644), ..temp("/home", "") }).await.unwrap().path;
    world.call(&agent, write(&path, "x")).await.unwrap();
    assert_eq!(world.call(&agent, stat(&path)).await.unwrap().mode, 0o644);
    log.changes(&agent);
    for (path, prefix, errno) in [
        ("", "", Errno::ENOENT),
        ("/data/none", "", Errno::ENOENT),
        ("/data/file", "", Errno::ENOTDIR),
        ("/data/a\0b", "", Errno::EINVAL),
        ("/data", "a/b", Errno::EINVAL),
        ("/data", "../x", Errno::EINVAL),
        ("/data", "a\0", Errno::EINVAL),
        ("/data", &"x".repeat(201), Errno::ENAMETOOLONG),
        (&"/x".repeat(2_040), "", Errno::ENAMETOOLONG),
        ("/usr/bin", "", Errno::EROFS),
    ] {
        assert_eq!(
            world.errno(&agent, temp(path, prefix)).await,
            errno,
            "{:?} {:?}",
            &path[..path.len().min(9)],
            &prefix[..prefix.len().min(9)]
        );
    }
    assert_eq!(log.changes(&agent), []);
    world.call(&agent, temp("/data", &"x".repeat(200))).await.unwrap();

    let narrow = world.agent(&["fs.read:/data/**", "fs.write:/data/folder/draft-*"]).await;
    world.call(&narrow, temp("/data/folder", "draft-")).await.unwrap();
    for (path, prefix, right) in [
        ("/data/folder", "final-", "fs.write:/data/folder/final-*"),
        ("/data/folder/../folder", "", "fs.write:/data/folder/*"),
        ("/data/none", "draft-", "fs.write:/data/none/draft-*"),
        ("/data/file", "draft-", "fs.write:/data/file/draft-*"),
    ] {
        let error = world.call(&narrow, temp(path, prefix)).await.unwrap_err();
        assert_eq!(missing(&error), right);
        assert_eq!(error.hint, format!("grant `{right}`"));
    }
}
