//! Objects of an S3 server as files: over HTTP, signed, and in parts.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::Write;
use uos_vfs::conformance::{Ability, CASES};
use uos_vfs::{Caller, Error, FileSystem, Kind, Name, ObjectFs, OpenOptions};
use uos_vfs_s3::Server;

const ROOT: &Caller = &Caller::ROOT;

fn named(name: &str) -> Name<'_> {
    Name::new(name.as_bytes()).unwrap()
}

fn start() -> (Server, ObjectFs) {
    let server = Server::start().unwrap();
    let fs = ObjectFs::new(server.operator(None).unwrap()).unwrap();
    (server, fs)
}

#[test]
fn it_meets_what_objects_can() {
    let (_server, fs) = start();
    // Each in a directory of its own, as there is one server for all.
    let wanted = CASES.iter().filter(|case| case.needs.is_empty());
    for (nth, case) in wanted.enumerate() {
        println!("{}", case.name);
        (case.run)(&fs.root().mkdir(ROOT, named(&nth.to_string()), 0o755).unwrap());
    }
    assert!(
        CASES.iter().any(|case| case.needs.contains(&Ability::Renames)),
        "what it lacks is not asked of it"
    );
}

#[test]
fn objects_are_made_read_in_parts_listed_and_removed() {
    let (server, fs) = start();
    fs.create_dir("/a/b").unwrap();
    fs.write("/a/b/f", "hello there").unwrap();
    assert_eq!(server.object("a/b/f").unwrap(), b"hello there", "it is at the server");
    let file = fs.open("/a/b/f", &OpenOptions::read_only()).unwrap();
    assert_eq!(file.handle().read_bytes(6, 3).unwrap(), &b"the"[..]);
    assert_eq!(file.handle().read_bytes(9, 100).unwrap(), &b"re"[..]);
    assert_eq!(file.handle().read_bytes(11, 100).unwrap().len(), 0);
    let attr = fs.metadata("/a/b/f").unwrap();
    assert_eq!(attr.size, 11);
    assert!(attr.modified.secs > 1_600_000_000);
    let names: Vec<_> =
        fs.list_dir("/a").unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect();
    assert_eq!(names, [(b"b".to_vec(), Kind::Directory)]);
    assert_eq!(fs.remove_dir("/a/b"), Err(Error::NotEmpty));
    assert_eq!(fs.delete("/a/b"), Err(Error::IsADirectory));
    fs.delete("/a/b/f").unwrap();
    assert_eq!(fs.read("/a/b/f"), Err(Error::NotFound));
    assert_eq!(fs.delete("/a/b/f"), Err(Error::NotFound));
    assert!(matches!(fs.rename("/a/b", "/a/c"), Err(Error::NotSupported(_))));
}

#[test]
fn a_large_object_goes_in_parts_and_is_there_when_it_is_synced() {
    let (server, fs) = start();
    let data: Vec<u8> = (0..20_000_000_u32).map(|at| (at / 7) as u8).collect();
    let mut file = fs.open("/large", &OpenOptions::write_only().create(0o644)).unwrap();
    for piece in data.chunks(1_234_567) {
        file.write_all(piece).unwrap();
    }
    assert_eq!(fs.metadata("/large").unwrap().size, 0, "not before");
    file.sync().unwrap();
    assert!(fs.read("/large").unwrap() == data);
    assert!(server.object("large").unwrap() == data);
    fs.create("/dropped", 0o644).unwrap();
    let mut file = fs.open("/dropped", &OpenOptions::write_only()).unwrap();
    file.write_all(&data).unwrap();
    drop(file);
    assert_eq!(fs.read("/dropped").unwrap(), b"");
    // Nobody waits for that to be told to the server.
    while server.uploads() > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn who_may_not_is_told_so_and_a_server_that_is_gone_is_an_error() {
    let (mut server, fs) = start();
    fs.write("/f", "text").unwrap();
    let stranger = ObjectFs::new(server.operator(Some("a guess")).unwrap()).unwrap();
    assert_eq!(stranger.read("/f"), Err(Error::AccessDenied));
    assert_eq!(stranger.write("/f", "theirs"), Err(Error::AccessDenied));
    assert_eq!(fs.read("/f").unwrap(), b"text");
    let open = fs.open("/f", &OpenOptions::read_only()).unwrap();
    server.stop();
    let gone = open.handle().read_bytes(0, 4).unwrap_err();
    assert!(matches!(gone, Error::Io(_)), "{gone:?}");
    let gone = fs.write("/f", "more").unwrap_err();
    assert!(matches!(gone, Error::Io(_)), "{gone:?}");
}
