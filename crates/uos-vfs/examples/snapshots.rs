//! Takes a copy of a directory of the host into memory, lets somebody work on a fork of it, says what they
//! have changed, and takes it over: `cargo run -p uos-vfs --example snapshots -- DIRECTORY`, or on a small tree of its own.

use std::path::Path;
use std::time::Instant;
use uos_vfs::store::MemStore;
use uos_vfs::{Error, FileSystem, Kind, LocalFs, MemFs, What};

fn main() -> Result<(), Error> {
    let fs = MemFs::builder().build();
    match std::env::args_os().nth(1) {
        Some(dir) => take_in(&LocalFs::open(Path::new(&dir), true)?, &fs)?,
        None => {
            fs.create_dir("/src/parts")?;
            fs.write("/src/main.txt", "once upon a time")?;
            fs.write("/src/parts/one.txt", "there was")?;
            fs.write("/notes.txt", "to be removed")?;
        }
    }
    let store = MemStore::default();
    let begun = Instant::now();
    let before = fs.snapshot();
    println!("snapshot of {} nodes: {:?}", fs.used_nodes(), begun.elapsed());
    let saved = before.export(&store)?;
    println!("saved as {saved}: {} chunks, {} bytes", store.size().0, store.size().1);

    // Whatever they do, they do to their own.
    let theirs = before.fork();
    let begun_with = theirs.snapshot();
    theirs.create_dir("/made/by/them")?;
    theirs.write("/made/by/them/file", "new")?;
    for entry in fs.list_dir("/")?.into_iter().take(2) {
        theirs.rename([b"/", &entry.name[..]].concat(), [b"/made/", &entry.name[..]].concat())?;
    }
    let done = theirs.snapshot();
    let begun = Instant::now();
    let changes = begun_with.diff(&done)?;
    println!("{} changes, found in {:?}", changes.len(), begun.elapsed());
    for change in &changes {
        match &change.what {
            What::Renamed { from } => println!("  {from} is now {}", change.path),
            what => println!("  {what:?} {}", change.path),
        }
    }
    assert!(before.diff(&fs.snapshot())?.is_empty());

    // Liked, it is taken over as a whole.
    fs.restore(&done)?;
    let chunks = store.size().0;
    fs.snapshot().export(&store)?;
    println!("saving that took {} more chunks", store.size().0 - chunks);
    Ok(())
}

/// Copies files, directories and links, leaving out what may not be read.
fn take_in(from: &LocalFs, to: &MemFs) -> Result<(), Error> {
    let mut left = vec![b"/".to_vec()];
    while let Some(dir) = left.pop() {
        for entry in from.list_dir(&dir)? {
            let above = if dir == b"/" { &b""[..] } else { &dir };
            let path = [above, b"/", &entry.name].concat();
            match entry.kind {
                Kind::Directory => {
                    to.make_dir(&path, 0o755)?;
                    left.push(path);
                }
                Kind::File => {
                    if let Ok(data) = from.read(&path) {
                        to.write(&path, data)?;
                    }
                }
                Kind::Symlink => to.symlink(from.read_link(&path)?, &path)?,
                _ => {}
            }
        }
    }
    Ok(())
}
