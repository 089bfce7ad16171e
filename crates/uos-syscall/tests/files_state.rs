//! Files while things change: no room, long listings, rights given and taken, links swapped under a call's hands.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;

use std::{
    collections::HashSet,
    os::unix::fs::{MetadataExt, symlink},
    sync::atomic::{AtomicBool, Ordering},
};

use common::{World, copy, exists, read, write};
use tempfile::TempDir;
use uos_proto::v1::{self, call::Call};
use uos_syscall::{Cause, Errno, namespace};

#[tokio::test]
async fn a_full_filesystem_keeps_the_old_content_and_names_the_limit() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/home/**", "fs.write:/home/**"]).await;
    world.call(&agent, write("/home/x", "old")).await.unwrap();
    let too_much = vec![b'n'; (1 << 20) + 1];
    for path in ["/home/x", "/home/new"] {
        let error = world.call(&agent, write(path, &too_much)).await.unwrap_err();
        assert_eq!(error.errno, Errno::ENOSPC);
        let limit = error.cause.as_deref();
        assert!(
            matches!(limit, Some(Cause::Limit { name: "filesystem_bytes", max: 0x10_0000, .. })),
            "{limit:?}"
        );
    }
    assert_eq!(&world.call(&agent, read("/home/x")).await.unwrap().data[..], b"old");
    assert!(!world.call(&agent, exists("/home/new")).await.unwrap().exists, "nothing half made");
    world.call(&agent, write("/home/x", &too_much[..1 << 20])).await.unwrap();
}

#[tokio::test]
async fn the_read_only_part_of_the_namespace_takes_no_changes() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/usr/**", "fs.write:/usr/**"]).await;
    for path in ["/usr/bin/printf", "/usr/bin/new-program"] {
        assert_eq!(world.errno(&agent, write(path, "mine")).await, Errno::EROFS);
    }
    assert!(world.call(&agent, read("/usr/bin/printf")).await.unwrap().size_bytes > 4);
}

#[tokio::test]
async fn a_long_directory_is_listed_in_parts_each_name_once() {
    let world = World::start();
    let agent = world.agent(&["fs.read:/data/**", "fs.read:/home/**", "fs.write:/home/**"]).await;
    let names: HashSet<String> = (0..250).map(|number| format!("name-{number}")).collect();
    for name in &names {
        world.put(name, "");
        world.call(&agent, write(&format!("/home/{name}"), "")).await.unwrap();
    }
    for path in ["/data", "/home"] {
        let (mut seen, mut cursor, mut parts) = (Vec::new(), Some(0), 0);
        while let Some(at) = cursor {
            let part = v1::ListDirectory { path: path.into(), cursor: at, limit: 7, ..Default::default() };
            let part = world.call(&agent, part).await.unwrap();
            assert!(part.entries.len() <= 7 && (part.entries.len() == 7 || part.next_cursor.is_none()));
            seen.extend(part.entries.into_iter().map(|entry| entry.name));
            cursor = part.next_cursor;
            parts += 1;
        }
        assert_eq!((seen.len(), parts), (250, 36), "{path}");
        assert_eq!(seen.into_iter().collect::<HashSet<_>>(), names, "{path}");
    }
}

#[tokio::test]
async fn making_parents_needs_the_right_on_each_that_is_made() {
    let world = World::start();
    let mkdir = |path: &str| v1::CreateDirectory { path: path.into(), parents: true, ..Default::default() };
    let agent = world.agent(&["fs.write:/data/a/b/c", "fs.write:/data/a"]).await;
    let error = world.call(&agent, mkdir("/data/a/b/c")).await.unwrap_err();
    assert_eq!(error.cause.as_deref(), Some(&Cause::Right("fs.write:/data/a/b".to_owned())));
    assert!(!world.host.path().join("a").exists(), "nothing is made on the way to a refusal");

    world.set_grants(&agent, &["fs.write:/data/a/**"]);
    world.call(&agent, mkdir("/data/a/b/c")).await.unwrap();
    world.call(&agent, mkdir("/data/a/b/c")).await.unwrap();
    assert!(world.host.path().join("a/b/c").is_dir());

    // What is there already needs no right.
    world.set_grants(&agent, &["fs.write:/data/a/b/d"]);
    world.call(&agent, mkdir("/data/a/b/d")).await.unwrap();
    world.put("file", "");
    world.set_grants(&agent, &["fs.write:/data/**"]);
    assert_eq!(world.errno(&agent, mkdir("/data/file")).await, Errno::EEXIST);
    assert_eq!(world.errno(&agent, mkdir("/data/file/x")).await, Errno::ENOTDIR);
}

#[tokio::test]
async fn a_change_of_rights_holds_from_the_next_call_on() {
    let world = World::start();
    world.put("file", "content");
    let agent = world.agent(&["fs.read:/data/**"]).await;
    for _ in 0..100 {
        world.set_grants(&agent, &["fs.read:/data/**"]);
        world.call(&agent, read("/data/file")).await.unwrap();
        world.set_grants(&agent, &["fs.read:/data/other"]);
        assert_eq!(world.errno(&agent, read("/data/file")).await, Errno::EACCES);
    }
}

/// Calls that change what a path leads to, or copy to it.
fn changes(path: &str) -> [Call; 7] {
    let path = || path.to_owned();
    [
        v1::AppendFile { path: path(), data: "broken in".into(), ..Default::default() }.into(),
        v1::TruncateFile { path: path(), size_bytes: 1, ..Default::default() }.into(),
        v1::Chmod { path: path(), mode: 0o777, ..Default::default() }.into(),
        v1::SetTimes { path: path(), modified_us: Some(1), ..Default::default() }.into(),
        v1::SetXattr { path: path(), name: "user.x".into(), ..Default::default() }.into(),
        copy("/data/other", &path()).into(),
        write(&path(), "broken in").into(),
    ]
}

/// A link that leads now to what the agent may write, now to what it may not, is changed as fast as can be while the
/// agent reads and writes through it. How often is set by `UOS_CAMPAIGN_OPENS`.
#[tokio::test]
async fn a_link_swapped_under_a_calls_hands_never_leads_into_the_forbidden() {
    let opens: u32 = std::env::var("UOS_CAMPAIGN_OPENS").map_or(2_000, |count| count.parse().unwrap());
    let (world, secret) = (World::start(), TempDir::new().unwrap());
    std::fs::write(secret.path().join("forbidden"), "secret").unwrap();
    namespace::mount_host(world.kernel.mounts(), "/secret", secret.path(), false).unwrap();
    world.put("allowed", "open");
    world.put("other", "broken in");
    let before = secret.path().join("forbidden").metadata().unwrap();
    let agent = world.agent(&["fs.read:/data/**", "fs.write:/data/**"]).await;
    let folder = world.host.path().to_owned();
    let swap = |target: &str| {
        let next = folder.join("next");
        symlink(target, &next).unwrap();
        std::fs::rename(&next, folder.join("link")).unwrap();
    };
    swap("/data/allowed");

    let done = AtomicBool::new(false);
    let (mut allowed, mut refused) = (0_u32, 0_u32);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                swap("/secret/forbidden");
                swap("/data/allowed");
            }
        });
        // Both must have happened often, or the swaps have proved nothing.
        while allowed + refused < opens || allowed.min(refused) < opens / 100 {
            for call in changes("/data/link") {
                match world.kernel.invoke_blocking(&agent, call) {
                    Ok(_) => allowed += 1,
                    Err(error) => {
                        assert_eq!(error.errno, Errno::EACCES, "{error:?}");
                        refused += 1;
                    }
                }
            }
            // A copy of it is as good as reading it.
            let copied = world.kernel.invoke_blocking(&agent, copy("/data/link", "/data/copy").into());
            assert!(copied.is_ok() || copied.is_err_and(|error| error.errno == Errno::EACCES));
            if world.host.path().join("copy").exists() {
                assert_ne!(world.seen("copy"), "secret", "the forbidden was copied");
            }
            let data = match world.kernel.invoke_blocking(&agent, read("/data/link").into()) {
                Ok(v1::reply::Reply::ReadFile(reply)) => reply.data,
                other => {
                    assert_eq!(other.unwrap_err().errno, Errno::EACCES);
                    continue;
                }
            };
            assert!(&data[..] != b"secret", "the forbidden was read");
        }
        done.store(true, Ordering::Relaxed);
    });
    println!("through a link being swapped: {allowed} changes allowed, {refused} refused");
    assert_eq!(std::fs::read_to_string(secret.path().join("forbidden")).unwrap(), "secret");
    let after = secret.path().join("forbidden").metadata().unwrap();
    assert_eq!(
        (before.ctime(), before.ctime_nsec()),
        (after.ctime(), after.ctime_nsec()),
        "nothing of it has changed"
    );
    // Which of the changes was let through last is the swapper's doing.
    assert_ne!(world.seen("allowed"), "open", "what is allowed has been changed");
}
