//! Symbolic links that are put in the place of what was looked at, between the look and the use, by somebody who knows
//! when: nothing outside of the grant is ever touched.
//!
//! `UOS_CAMPAIGN_SWAPS` says how many calls are made while another process swaps.
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

mod common;
#[path = "common/dice.rs"]
mod dice;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead, BufReader, Read},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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

/// A process of its own that has each pair of names change places, over and over, for as long as its input is open.
struct Swapper {
    process: Child,
    said: BufReader<ChildStdout>,
}

impl Swapper {
    /// Comes back when the first pair has changed places.
    fn start(folder: &Path) -> Self {
        let mut role = Command::new(env::current_exe().unwrap());
        role.args(["--ignored", "--exact", "--nocapture", "role_of_one_who_swaps"]).current_dir(folder);
        let mut process = role.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut swapper = Self { process, said };
        swapper.hear(BEGUN);
        swapper
    }

    /// What stands behind `word` in the line that it begins.
    fn hear(&mut self, word: &str) -> String {
        let mut line = String::new();
        // What the harness says about the role stands before and between.
        loop {
            line.clear();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "it ended and never said {word:?}");
            if let Some((_, rest)) = line.split_once(word) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Ends it; how often it swapped.
    fn stop(mut self) -> u64 {
        drop(self.process.stdin.take());
        let swaps = self.hear(SWAPPED).parse().unwrap();
        assert!(self.process.wait().unwrap().success());
        swaps
    }
}

impl Drop for Swapper {
    /// A test that failed leaves none behind either.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const BEGUN: &str = "the swapping has begun";
const SWAPPED: &str = "swaps: ";
const PAIRS: [[&str; 2]; 5] =
    [["a", "link"], ["b", "absolute"], ["c", "new"], ["d", "up"], ["folder", "way"]];

/// Swaps in the folder it was started in.
#[test]
#[ignore = "a role that the next test has another process play"]
fn role_of_one_who_swaps() {
    let stopped = Arc::<AtomicBool>::default();
    let stop = Arc::clone(&stopped);
    let input = std::thread::spawn(move || {
        let ended = io::stdin().read_to_end(&mut Vec::new());
        stop.store(true, Ordering::Relaxed);
        ended.unwrap();
    });
    let mut swaps = 0_u64;
    while !stopped.load(Ordering::Relaxed) {
        for [one, other] in PAIRS {
            renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
            if swaps == 0 {
                println!("{BEGUN}");
            }
            swaps += 1;
        }
    }
    input.join().unwrap();
    println!("{SWAPPED}{swaps}");
}

/// What the caller may use, and links out of it, in one folder.
fn lay_out(host: &Path) -> PathBuf {
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
    for [name, _] in &PAIRS[..4] {
        fs::write(own.join(name), OWN).unwrap();
    }
    own
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
    let own = lay_out(&host);
    let agent = world.agent(&["fs.read:/data/own/**", "fs.write:/data/own/**"]).await;
    let swapper = Swapper::start(&own);
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
    let swaps = swapper.stop();
    println!("{calls} calls and {swaps} swaps: {said:?}");
    assert!(swaps > calls, "{swaps} swaps are no race");
    for what in CALLS {
        for outcome in ["let through", "EACCES"] {
            assert!(said[what].contains_key(outcome), "{what} was never {outcome}: {said:?}");
        }
    }
    world.kernel.shut_down().await;
}
