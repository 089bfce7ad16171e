//! Files that are on their way when the server is killed, and those that had arrived when the power went.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    net::TcpStream,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    dice::{Dice, count},
    disk::Disk,
    server::{DEADLINE, Server},
};

/// Everything below a folder.
fn names(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("it is a folder").flatten() {
            if entry.file_type().expect("it is known").is_dir() {
                folders.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    found
}

/// Begins an upload that does not end: its connection must be kept.
fn begin_upload(server: &Server, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).expect("the server listens");
    let (host, token) = (server.address(), server.token());
    let head = format!(
        "PUT /files{path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\ncontent-length: 10000000\r\n\r\n"
    );
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&[7; 100_000]))
        .expect("the server reads");
    stream
}

fn unfinished(folder: &Path) -> BTreeSet<PathBuf> {
    names(folder).into_iter().filter(|path| path.extension().is_some_and(|part| part == "part")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_server_was_receiving_is_swept_away_and_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let data = dir.path().join("data");
    let files = data.join("files");
    let server = Server::start(&data);
    fs::create_dir_all(files.join("deep/er")).expect("it can be made");
    let _ways = ["/home/files/new", "/home/files/deep/er/new"].map(|path| begin_upload(&server, path));
    let begun = Instant::now();
    while unfinished(&files).len() < 2 {
        assert!(begun.elapsed() < DEADLINE, "the uploads don't begin");
        std::thread::yield_now();
    }
    server.kill();
    let dead = unfinished(&files);
    assert_eq!(dead.len(), 2, "who is killed can't clean up");

    // What only looks like it, and what it is not the server's to look into.
    let hex = "0123456789abcdef0123456789abcdef";
    let outside = dir.path().join("outside");
    fs::create_dir(&outside).expect("it can be made");
    fs::write(outside.join(format!(".uos-{hex}.part")), "not below").expect("it can be written");
    for name in
        [".uos-.part", "x.part", ".uos-0123.part", "uos.part", ".uos-0123456789ABCDEF0123456789abcdef.part"]
    {
        fs::write(files.join(name), "mine").expect("it can be written");
    }
    fs::write(files.join(format!(".uos-{hex}.aside")), "put aside in a move").expect("it can be written");
    // A whole directory that was being copied goes too; what a link in it leads to does not.
    let copied = files.join(format!(".uos-{hex}.part"));
    fs::create_dir(&copied).expect("it can be made");
    std::os::unix::fs::symlink(&outside, copied.join("link")).expect("it can be made");
    let link = |target: &Path, name: &str| std::os::unix::fs::symlink(target, files.join("deep").join(name));
    link(&outside, "outside")
        .and_then(|()| link(Path::new("nowhere"), &format!(".uos-{hex}.part")))
        .expect("links can be made");
    let before = names(&files);
    let is_left = |name: &&_| !dead.contains(*name) && !Path::new(*name).starts_with(&copied);
    let expected: BTreeSet<_> = before.iter().filter(is_left).cloned().collect();

    let server = Server::start(&data);
    assert_eq!(names(&files), expected);
    assert_eq!(names(&outside).len(), 1);
    server.client().upload("/home/files/new", b"now").await.expect("it runs").good();
    assert_eq!(fs::read(files.join("new")).expect("it is there"), b"now");
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_taken_in_is_there_after_a_power_cut() {
    let cuts = count("UOS_CAMPAIGN_POWER_CUTS", 3);
    let mut dice = Dice::of_the_campaign("files");
    let disk = Disk::make();
    let data = disk.root().join("data");
    let mut expected: Vec<(String, Vec<u8>)> = Vec::new();
    for cut in 0..cuts {
        let server = Server::start(&data);
        let mut client = server.client();
        // One that was not there, and one in the place of another.
        for name in [format!("new-{cut}"), "replaced".to_owned()] {
            let content = vec![cut as u8; 1 + dice.below(200_000) as usize];
            client.upload(&format!("/home/files/{name}"), &content).await.expect("it runs").good();
            expected.retain(|(known, _)| *known != name);
            expected.push((name, content));
        }
        server.freeze();
        disk.cut();
        server.kill();
        disk.restore();
        for (name, content) in &expected {
            let there =
                fs::read(data.join("files").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(there == *content, "{name} is not what was taken in");
        }
    }
    println!("{cuts} power cuts, {} files taken in, 0 lost", 2 * cuts);
}
