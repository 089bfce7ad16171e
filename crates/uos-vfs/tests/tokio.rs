//! Open files for tasks of tokio, in memory and on the host: the same as for threads, and no worker waits.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use bytes::Bytes;
use proptest::prelude::*;
use std::future::poll_fn;
use std::io::{Read, Seek, SeekFrom, Write};
use std::pin::{Pin, pin};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, ReadBuf};
use uos_vfs::{
    Access, AsyncFile, Attr, Error, File, FileSystem, LocalFs, MemFs, OpenFile, OpenOptions, Tree,
};

#[derive(Clone, Debug)]
enum Step {
    Read(usize),
    /// One that is polled once and then given up.
    Glance(usize),
    Write(u8, usize),
    Seek(SeekFrom),
    SetLen(u64),
    Flush,
}

fn step() -> impl Strategy<Value = Step> {
    let seek = prop_oneof![
        (0..50_u64).prop_map(SeekFrom::Start),
        (-20..20_i64).prop_map(SeekFrom::Current),
        (-20..20_i64).prop_map(SeekFrom::End),
    ];
    prop_oneof![
        3 => (0..30_usize).prop_map(Step::Read),
        2 => (0..30_usize).prop_map(Step::Glance),
        3 => (1..255_u8, 0..30_usize).prop_map(|(byte, len)| Step::Write(byte, len)),
        3 => seek.prop_map(Step::Seek),
        1 => (0..50_u64).prop_map(Step::SetLen),
        1 => Just(Step::Flush),
    ]
}

/// The same for a task as for a thread, with another file of the same filesystem.
async fn compare(ours: File, mut plain: File, append: bool, steps: &[Step]) {
    let mut ours = AsyncFile::from(ours);
    for step in steps {
        match *step {
            Step::Read(len) => {
                let (mut one, mut other) = (vec![0; len], vec![0; len]);
                let read = ours.read(&mut one).await.unwrap();
                // Less is read where one that was given up asked for less; but nothing only where there is nothing.
                let asked = if read == 0 { len } else { read };
                assert_eq!(plain.read(&mut other[..asked]).unwrap(), read, "{step:?}");
                assert_eq!(one, other);
            }
            Step::Glance(len) => {
                let mut buf = vec![0; len];
                let before = ours.position();
                let seen = poll_fn(|cx| {
                    let mut buf = ReadBuf::new(&mut buf);
                    let seen = Pin::new(&mut ours).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len());
                    Poll::Ready(seen)
                });
                match seen.await {
                    // It was there at once, and so it has been read.
                    Poll::Ready(read) => assert_eq!(read.unwrap(), plain.read(&mut buf).unwrap()),
                    // Where an append went is known when that has ended, perhaps just now.
                    Poll::Pending => assert!(append || ours.position() == before),
                }
            }
            Step::Write(byte, len) => {
                let data = vec![byte; len];
                ours.write_all(&data).await.unwrap();
                plain.write_all(&data).unwrap();
            }
            Step::Seek(to) => {
                let kind = |error: std::io::Error| error.raw_os_error();
                assert_eq!(ours.seek(to).await.map_err(kind), plain.seek(to).map_err(kind), "{step:?}");
            }
            Step::SetLen(len) => {
                ours.set_len(len).await.unwrap();
                plain.set_len(len).unwrap();
            }
            Step::Flush => ours.flush().await.unwrap(),
        }
    }
    assert_eq!(ours.metadata().await.unwrap().size, plain.metadata().unwrap().size);
    let mut file = ours.into_file().await.unwrap();
    assert_eq!(file.stream_position().unwrap(), plain.stream_position().unwrap());
    let mut contents = [&mut file, &mut plain].map(|file| {
        file.rewind().unwrap();
        let mut all = Vec::new();
        file.read_to_end(&mut all).unwrap();
        all
    });
    let [one, other] = &mut contents;
    assert_eq!(one, other);
}

fn compared<T: Tree>(fs: &T, append: bool, steps: &[Step]) {
    let options = OpenOptions::read_write().create(0o644);
    let options = if append { options.append() } else { options };
    let [ours, plain] = ["/ours", "/plain"].map(|path| fs.open(path, &options).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(compare(ours, plain, append, steps));
}

proptest! {
    #[test]
    fn a_task_sees_what_a_thread_sees(append: bool, steps in prop::collection::vec(step(), 1..40)) {
        compared(&MemFs::builder().build(), append, &steps);
        let dir = tempfile::tempdir().unwrap();
        compared(&LocalFs::open(dir.path(), false).unwrap(), append, &steps);
    }
}

/// A file that answers when it is let. It says that it has been asked.
struct Slow {
    asked: Sender<&'static str>,
    answers: Mutex<Receiver<Result<(), Error>>>,
    written: Mutex<Vec<u8>>,
}

impl Slow {
    fn wait(&self, what: &'static str) -> Result<(), Error> {
        self.asked.send(what).unwrap();
        self.answers.lock().unwrap().recv().unwrap()
    }
}

impl OpenFile for Slow {
    fn read_at(&self, _: u64, _: &mut [u8]) -> Result<usize, Error> {
        unreachable!("tasks read bytes")
    }

    fn read_bytes(&self, offset: u64, max: usize) -> Result<Bytes, Error> {
        self.wait("read")?;
        let written = self.written.lock().unwrap();
        let from = written.len().min(usize::try_from(offset).unwrap());
        Ok(Bytes::copy_from_slice(&written[from..written.len().min(from + max)]))
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> Result<usize, Error> {
        self.wait("write")?;
        let mut written = self.written.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        assert!(offset <= written.len(), "one after the other");
        written.truncate(offset);
        written.extend_from_slice(data);
        Ok(data.len())
    }

    fn append(&self, data: &[u8]) -> Result<u64, Error> {
        let at = self.written.lock().unwrap().len() as u64;
        self.write_at(at, data)?;
        Ok(at)
    }

    fn replace(&self, _: &[u8]) -> Result<(), Error> {
        unreachable!("nobody asks for it")
    }

    fn set_len(&self, _: u64) -> Result<(), Error> {
        unreachable!("nobody asks for it")
    }

    fn sync(&self) -> Result<(), Error> {
        self.wait("sync")
    }

    fn attr(&self) -> Result<Attr, Error> {
        self.wait("attr")?;
        Err(Error::Stale)
    }
}

type Let = Sender<Result<(), Error>>;

fn slow() -> (AsyncFile, Receiver<&'static str>, Let, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let fs = LocalFs::open(dir.path(), false).unwrap();
    fs.create("/f", 0o644).unwrap();
    let ((asked, hears), (lets, answers)) = (channel(), channel());
    let file = Slow { asked, answers: Mutex::new(answers), written: Mutex::default() };
    let node = fs.node("/f").unwrap();
    assert!(node.blocks(), "or nothing would be shown");
    (File::new(node, Arc::new(file), Access::ReadWrite, false).into(), hears, lets, dir)
}

/// On a runtime of one worker, which is this thread: had it waited for the file, this would go on no more.
#[tokio::test(flavor = "current_thread")]
async fn no_worker_waits_for_a_file() {
    let (mut file, asked, lets, _dir) = slow();
    file.write_all(b"hello").await.unwrap();
    assert_eq!(asked.recv().unwrap(), "write");
    let mut flush = Box::pin(file.flush());
    assert!(poll_fn(|cx| Poll::Ready(flush.as_mut().poll(cx).is_pending())).await);
    lets.send(Ok(())).unwrap();
    flush.await.unwrap();
    file.rewind().await.unwrap();
    let mut buf = [0; 10];
    {
        let mut read = pin!(file.read(&mut buf));
        assert!(poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx).is_pending())).await);
        assert_eq!(asked.recv().unwrap(), "read");
    }
    assert_eq!(file.position(), 0, "given up, it has moved nothing");
    lets.send(Ok(())).unwrap();
    assert_eq!(file.read(&mut buf[..3]).await.unwrap(), 3);
    assert_eq!((&buf[..3], file.position()), (&b"hel"[..], 3), "and what it would have got is there");
    assert!(asked.try_recv().is_err(), "without being asked for twice");
    {
        let mut seek = pin!(file.seek(SeekFrom::End(0)));
        assert!(poll_fn(|cx| Poll::Ready(seek.as_mut().poll(cx).is_pending())).await);
        assert_eq!(asked.recv().unwrap(), "attr");
    }
    lets.send(Ok(())).unwrap();
    file.write_all(b"!").await.unwrap();
    lets.send(Ok(())).unwrap();
    assert_eq!(file.stream_position().await.unwrap(), 4, "a seek that is given up is not made up for");
    let refused = tokio::spawn(async move { file.seek(SeekFrom::End(0)).await });
    lets.send(Ok(())).unwrap();
    assert_eq!(refused.await.unwrap().unwrap_err().raw_os_error(), Some(Error::Stale.errno()));
}

#[tokio::test]
async fn what_became_of_a_write_is_told_once_and_the_position_is_where_it_ended() {
    let (mut file, _asked, lets, _dir) = slow();
    for way in 0..3 {
        lets.send(Err(Error::NoSpace { capacity: 0, used: 0, asked: 1 })).unwrap();
        file.write_all(b"lost").await.unwrap();
        let told = match way {
            0 => file.flush().await.unwrap_err(),
            1 => file.write(b"more").await.unwrap_err(),
            _ => {
                // Reading waits for it, but has its own answer.
                lets.send(Ok(())).unwrap();
                assert_eq!(file.read(&mut [0; 9]).await.unwrap(), 0);
                file.shutdown().await.unwrap_err()
            }
        };
        assert_eq!(told.raw_os_error(), Some(28), "ENOSPC");
        assert_eq!(file.position(), 0);
        file.flush().await.unwrap();
    }
    lets.send(Ok(())).unwrap();
    file.write_all(b"kept").await.unwrap();
    lets.send(Ok(())).unwrap();
    file.sync().await.unwrap();
    assert_eq!(file.position(), 4);
    lets.send(Err(Error::Stale)).unwrap();
    file.write_all(b"lost").await.unwrap();
    assert_eq!(file.into_file().await.unwrap_err(), Error::Stale);
}

#[tokio::test]
async fn what_is_dropped_is_still_written() {
    let (mut file, asked, lets, _dir) = slow();
    file.write_all(b"hello").await.unwrap();
    drop(file);
    lets.send(Ok(())).unwrap();
    assert_eq!(asked.recv().unwrap(), "write");
    // The file is dropped when that has ended, and with it the other end of this.
    while asked.recv().is_ok() {}
}

#[tokio::test]
async fn it_keeps_to_what_it_was_opened_for_and_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let fs = MemFs::builder().build();
    fs.write("/f", "text").unwrap();
    let local = LocalFs::open(dir.path(), false).unwrap();
    local.write("/f", "text").unwrap();
    for blocks in [false, true] {
        let open = |options| {
            let local = local.open("/f", &options).unwrap();
            let memory = fs.open("/f", &options).unwrap();
            AsyncFile::from(if blocks { local } else { memory })
        };
        let mut reads = open(OpenOptions::read_only());
        assert_eq!(reads.write(b"x").await.unwrap_err().raw_os_error(), Some(9));
        assert_eq!(reads.set_len(0).await.unwrap_err(), Error::BadDescriptor);
        let mut writes = open(OpenOptions::write_only());
        assert_eq!(writes.read(&mut [0]).await.unwrap_err().raw_os_error(), Some(9));
        let last = i64::MAX as u64;
        writes.seek(SeekFrom::Start(last)).await.unwrap();
        let beyond = async {
            writes.write_all(b"xx").await?;
            writes.flush().await
        };
        assert_eq!(beyond.await.unwrap_err().raw_os_error(), Some(Error::TooBig.errno()));
        assert_eq!(writes.position(), last);
        assert!(writes.seek(SeekFrom::Current(1)).await.is_err());
        assert_eq!(writes.position(), last, "what is refused moves nothing");
    }
}

#[tokio::test]
async fn large_files_are_copied_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (fs, local) = (MemFs::builder().build(), LocalFs::open(dir.path(), false).unwrap());
    let data: Vec<u8> = (0..5_000_000_u32).flat_map(|at| [at as u8, (at >> 8) as u8]).collect();
    fs.write("/from", &data).unwrap();
    let options = OpenOptions::read_write().create(0o644);
    let (fs, local) = (Arc::new(fs), Arc::new(local));
    assert_eq!(AsyncFile::open(&fs, "/to", OpenOptions::read_only()).await.unwrap_err(), Error::NotFound);
    let mut from = AsyncFile::open(&fs, "/from", OpenOptions::read_only()).await.unwrap();
    let mut to = AsyncFile::open(&local, "/to", options).await.unwrap();
    assert_eq!(tokio::io::copy(&mut from, &mut to).await.unwrap(), data.len() as u64);
    to.rewind().await.unwrap();
    let mut back = Vec::new();
    to.read_to_end(&mut back).await.unwrap();
    assert!(back == data);
    to.write_all(&data).await.unwrap();
    assert_eq!(to.metadata().await.unwrap().size, 2 * data.len() as u64, "a write of more than fits at once");
}
