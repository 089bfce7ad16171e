//! Symbolic links that are put in the place of what was looked at, between the look and the use, by somebody who knows
//! when: nothing outside of the grant is ever touched.
//!
//! `UOS_CAMPAIGN_SWAPS` says how many calls are made while another thread swaps.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;
#[path = "common/dice.rs"]
mod dice;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use common::{World, read, write};
use dice::campaign;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use uos_proto::v1;
use uos_syscall::{Caller, Errno, Error};

const SECRET: &str = "the secret";
const OWN: &str = "the caller's own";
/// Of the secret file; calls that are let through give others.
const MODE: u32 = 0o604;

/// Has each pair of names change places, over and over.
struct Swapper {
    stop: Arc<AtomicBool>,
    swaps: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Swapper {
    fn start(pairs: Vec<[PathBuf; 2]>) -> Self {
        let (stop, swaps) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&swaps));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for [one, other] in &pairs {
                    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Self { stop, swaps, thread: Some(thread) }
    }
}

impl Drop for Swapper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the swapping came to an end");
    }
}

/// What the caller may use, and links out of it, in one folder.
fn lay_out(host: &Path) -> Vec<[PathBuf; 2]> {
    let own = host.join("own");
    for folder in ["own/folder", "secret"] {
        fs::create_dir_all(host.join(folder)).unwrap();
    }
    fs::write(host.join("secret/file"), SECRET).unwrap();
    fs::set_permissions(host.join("secret/file"), fs::Permissions::from_mode(MODE)).unwrap();
    for (name, target) in [
        ("link", "../secret/file"),
        // In the namespace this is the same, and on the host it is nothing.
        ("absolute", "/data/secret/file"),
        ("way", "../secret"),
        ("new", "../secret/new"),
        ("up", "../../../../../../data/secret/file"),
    ] {
        symlink(target, own.join(name)).unwrap();
    }
    fs::write(own.join("folder/file"), OWN).unwrap();
    let pairs = [["a", "link"], ["b", "absolute"], ["c", "new"], ["d", "up"], ["folder", "way"]];
    for [name, _] in &pairs[..4] {
        fs::write(own.join(name), OWN).unwrap();
    }
    pairs.map(|names| names.map(|name| own.join(name))).into()
}

/// One call on a path that is being swapped; what it read, if anything.
async fn one(world: &World, agent: &Caller, number: u64, path: &str) -> Result<Option<Vec<u8>>, Error> {
    let path_of = || path.to_owned();
    match number % 6 {
        0 => Ok(Some(world.call(agent, read(path)).await?.data.to_vec())),
        1 => world.call(agent, write(path, OWN)).await.map(|_| None),
        2 => world
            .call(agent, v1::Chmod { path: path_of(), mode: 0o640, ..Default::default() })
            .await
            .map(|_| None),
        3 => {
            let open =
                v1::Open { path: path_of(), read: true, write: true, create: true, ..Default::default() };
            let id = world.call(agent, open).await?.id;
            let read = world.call(agent, v1::Pread { id, offset: 0, max_bytes: 0 }).await;
            let written = world.call(agent, v1::Pwrite { id, offset: 0, data: OWN.into() }).await;
            world.call(agent, v1::Close { id }).await.unwrap();
            written?;
            Ok(Some(read?.data.to_vec()))
        }
        4 => world
            .call(agent, v1::AppendFile { path: path_of(), data: "".into(), ..Default::default() })
            .await
            .map(|_| None),
        // Removing a name follows no link at its end, so this is for the one on the way.
        _ => {
            let path = "/data/own/folder/file".to_owned();
            world.call(agent, v1::DeleteFile { path, ..Default::default() }).await.map(|_| None)
        }
    }
}

const CALLS: [&str; 6] = ["ReadFile", "WriteFile", "Chmod", "Open", "AppendFile", "DeleteFile"];

#[tokio::test]
async fn no_swapped_link_leads_out_of_the_grant() {
    let calls = campaign("SWAPS", 4_000);
    let world = World::start();
    let host = world.host.path().canonicalize().unwrap();
    let pairs = lay_out(&host);
    let agent = world.agent(&["fs.read:/data/own/**", "fs.write:/data/own/**"]).await;
    let swapper = Swapper::start(pairs);
    let paths = ["a", "b", "c", "d", "folder/file"].map(|name| format!("/data/own/{name}"));
    let mut said: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    for number in 0..calls {
        let path = &paths[(number / 6 % 5) as usize];
        let what = CALLS[(number % 6) as usize];
        let result = one(&world, &agent, number, path).await;
        let outcome = match &result {
            Ok(_) => "let through".to_owned(),
            Err(error) => error.errno.name().to_owned(),
        };
        *said.entry(what).or_default().entry(outcome).or_default() += 1;
        match result {
            Ok(Some(data)) => assert!(!data.starts_with(SECRET.as_bytes()), "{what} {path} read the secret"),
            Ok(None) => {}
            // Gone, or swapped more often than the call is patient.
            Err(Error { errno: Errno::EACCES | Errno::ENOENT | Errno::EAGAIN, .. }) => {}
            Err(error) => panic!("{what} {path}: {error:?}"),
        }
        let secret = host.join("secret");
        assert_eq!(fs::read_to_string(secret.join("file")).unwrap(), SECRET, "{what} {path}");
        let mode = fs::metadata(secret.join("file")).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode, fs::read_dir(secret).unwrap().count()), (MODE, 1), "{what} {path}");
    }
    let swaps = swapper.swaps.load(Ordering::Relaxed);
    drop(swapper);
    println!("{calls} calls and {swaps} swaps: {said:?}");
    assert!(swaps > calls, "{swaps} swaps are no race");
    for what in CALLS {
        for outcome in ["let through", "EACCES"] {
            assert!(said[what].contains_key(outcome), "{what} was never {outcome}: {said:?}");
        }
    }
    world.kernel.shut_down().await;
}
