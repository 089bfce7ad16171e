//! Descriptors: what duplicates share and what is each one's own, in memory and on the host.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::io::{Read, Seek, SeekFrom, Write};
use uos_vfs::{Allocate, Descriptor, Error, FileSystem, LocalFs, MemFs, OpenOptions, Tree};

const THREADS: usize = 8;

fn everywhere(check: impl Fn(&dyn Fn(&str, OpenOptions) -> Descriptor)) {
    fn opened<T: Tree>(fs: &T, path: &str, options: OpenOptions) -> Descriptor {
        fs.open(path, &options).unwrap().into()
    }
    let memory = MemFs::builder().build();
    check(&|path, options| opened(&memory, path, options));
    let dir = tempfile::tempdir().unwrap();
    let local = LocalFs::open(dir.path(), false).unwrap();
    check(&|path, options| opened(&local, path, options));
}

#[test]
fn duplicates_share_a_position_and_others_do_not() {
    everywhere(|open| {
        let one = open("/f", OpenOptions::read_write().create(0o644));
        let two = one.dup();
        let apart = open("/f", OpenOptions::read_write());
        assert!(two.is_dup_of(&one) && !apart.is_dup_of(&one));
        assert_eq!(one.write(b"hello, ").unwrap(), 7);
        assert_eq!(two.write(b"world").unwrap(), 5);
        assert_eq!(one.position(), 12);
        let mut buf = [0; 20];
        assert_eq!(apart.read(&mut buf).unwrap(), 12);
        assert_eq!(&buf[..12], b"hello, world");
        drop(one);
        assert_eq!(two.seek(SeekFrom::Start(7)).unwrap(), 7);
        assert_eq!(two.read(&mut buf).unwrap(), 5, "the file is open as long as one is left");
    });
}

#[test]
fn what_has_its_own_offset_moves_nothing() {
    everywhere(|open| {
        let file = open("/f", OpenOptions::read_write().create(0o644));
        file.write(b"0123456789").unwrap();
        assert_eq!(file.pwrite(3, b"xyz").unwrap(), 3);
        let mut buf = [0; 4];
        assert_eq!(file.pread(2, &mut buf).unwrap(), 4);
        assert_eq!(&buf, b"2xyz");
        assert_eq!(file.position(), 10);
        file.truncate(4).unwrap();
        assert_eq!(file.position(), 10, "beyond the end");
        file.write(b"!").unwrap();
        assert_eq!(file.pread(0, &mut [0; 20]).unwrap(), 11);
        assert_eq!(file.attr().unwrap().size, 11);
        let appends = open("/f", OpenOptions::write_only().append());
        assert_eq!(appends.pwrite(0, b"?").unwrap(), 1);
        assert_eq!(appends.position(), 0);
        assert_eq!(file.attr().unwrap().size, 12, "where it appends, it appends");
    });
}

#[test]
fn a_descriptor_keeps_to_what_it_was_opened_for() {
    everywhere(|open| {
        let writes = open("/f", OpenOptions::write_only().create(0o644));
        assert_eq!(writes.read(&mut [0]), Err(Error::BadDescriptor));
        assert_eq!(writes.pread(0, &mut [0]), Err(Error::BadDescriptor));
        let reads = open("/f", OpenOptions::read_only());
        assert_eq!(reads.write(b"x"), Err(Error::BadDescriptor));
        assert_eq!(reads.pwrite(0, b"x"), Err(Error::BadDescriptor));
        assert_eq!(reads.truncate(0), Err(Error::BadDescriptor));
        for nowhere in [SeekFrom::Current(-1), SeekFrom::End(-1), SeekFrom::Start(u64::MAX)] {
            assert!(matches!(reads.seek(nowhere), Err(Error::InvalidArgument(_))), "{nowhere:?}");
        }
        assert_eq!(reads.position(), 0, "what is refused moves nothing");
    });
}

#[test]
fn the_standard_traits_do_the_same() {
    everywhere(|open| {
        let mut file = open("/f", OpenOptions::read_write().create(0o644));
        write!(file, "line {}", 1).unwrap();
        Seek::seek(&mut file, SeekFrom::Start(5)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "1");
    });
    let fs = MemFs::builder().build();
    let file = Descriptor::from(fs.open("/f", &OpenOptions::read_write().create(0o644)).unwrap());
    file.pwrite(100_000, b"x").unwrap();
    let handle = fs.open("/f", &OpenOptions::write_only()).unwrap();
    handle.handle().allocate(0, 10, Allocate::Reserve).unwrap();
    assert_eq!(file.seek_to(10, uos_vfs::Seek::Data).unwrap(), 98_304);
    assert_eq!(file.position(), 98_304);
}

#[test]
fn appends_of_many_lose_nothing() {
    everywhere(|open| {
        drop(open("/log", OpenOptions::write_only().create(0o644)));
        let files: Vec<_> = (0..THREADS).map(|_| open("/log", OpenOptions::write_only().append())).collect();
        std::thread::scope(|scope| {
            for (thread, file) in files.iter().enumerate() {
                scope.spawn(move || {
                    for _ in 0..200 {
                        assert_eq!(file.write(&[b'a' + thread as u8; 100]).unwrap(), 100);
                    }
                });
            }
        });
        let mut all = vec![0; THREADS * 200 * 100 + 1];
        let read = open("/log", OpenOptions::read_only()).read(&mut all).unwrap();
        assert_eq!(read, THREADS * 200 * 100);
        assert!(all[..read].chunks(100).all(|record| record.iter().all(|byte| *byte == record[0])), "torn");
    });
}

#[test]
fn who_shares_a_position_gets_each_part_once() {
    everywhere(|open| {
        let file = open("/numbers", OpenOptions::read_write().create(0o644));
        let numbers: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
        file.write(&numbers).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut seen: Vec<u32> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| {
                    let file = file.dup();
                    scope.spawn(move || {
                        let mut seen = Vec::new();
                        let mut number = [0; 4];
                        while file.read(&mut number).unwrap() == 4 {
                            seen.push(u32::from_le_bytes(number));
                        }
                        seen
                    })
                })
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        seen.sort_unstable();
        assert_eq!(seen, (0..20_000).collect::<Vec<_>>());
    });
}
