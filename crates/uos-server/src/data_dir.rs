//! The data directory: one server at a time, and the operator's token.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FlockOperation, flock};

use crate::Error;

/// How long one that is held is waited for: a child of a server that was killed while it made that has a copy of the lock
/// until it executes its program, or ends.
const PATIENCE: Duration = Duration::from_millis(500);

/// A data directory that is ours for as long as this lives. The lock goes with the process, however that ends.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Makes the directory if need be, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, Error> {
        Self::take_within(path, PATIENCE)
    }

    fn take_within(path: &Path, patience: Duration) -> Result<Self, Error> {
        make(path).map_err(Error::io(format!("can't make the data directory {}", path.display())))?;
        let file = path.join("lock");
        let lock =
            || OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&file);
        let mut lock = lock().map_err(Error::io(format!("can't open {}", file.display())))?;
        if !is_locked_within(&lock, patience) {
            let mut holder = String::new();
            // Who holds it may be between taking the lock and writing its name.
            let read = lock.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder = if read { holder.trim().to_owned() } else { "another uos-server".to_owned() };
            return Err(Error::InUse { dir: path.to_owned(), holder });
        }
        let mut dir = Self { path: path.to_owned(), lock };
        dir.sign(&format!("uos-server, process {}", std::process::id()))
            .map_err(Error::io(format!("can't write {}", file.display())))?;
        Ok(dir)
    }

    /// Leaves word of who holds the directory.
    pub(crate) fn sign(&mut self, words: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.rewind()?;
        self.lock.write_all(words.as_bytes())
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The last part of its path.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A folder in it, made if need be.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.join(name);
        make(&path).map_err(Error::io(format!("can't make {}", path.display())))?;
        Ok(path)
    }

    /// The operator's token: kept from the last start, or made now. Readable by the owner alone.
    pub(crate) fn token(&self) -> Result<String, Error> {
        let file = self.join("token");
        let what = format!("the token in {}", file.display());
        match fs::read_to_string(&file) {
            Ok(token) if token.trim().len() >= 32 => return Ok(token.trim().to_owned()),
            Ok(_) => {
                return Err(Error::Config(format!(
                    "{what} is too short: remove the file to have a new one made"
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::Io { what, error }),
        }
        let mut secret = [0_u8; 32];
        getrandom::fill(&mut secret).map_err(|error| Error::Config(format!("no random bytes: {error}")))?;
        let token: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        // Written beside and renamed, so that a crash leaves no half a token.
        let beside = self.join("token.new");
        let write = || -> io::Result<()> {
            let _ = fs::remove_file(&beside);
            let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            out.write_all(token.as_bytes())?;
            out.sync_all()?;
            fs::rename(&beside, &file)
        };
        write().map_err(Error::io(what))?;
        Ok(token)
    }
}

fn is_locked_within(file: &File, patience: Duration) -> bool {
    let begun = Instant::now();
    loop {
        if flock(file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return true;
        }
        if begun.elapsed() >= patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes a directory and those above it, where there are none, and sees to it that their names survive a power cut: with
/// the directory all that is acknowledged in it would go.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = path.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    make(above)?;
    match DirBuilder::new().mode(0o700).create(path) {
        // Somebody else has made it meanwhile.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    // A directory may let us make something in it and not look at it, and some filesystems can't sync one.
    let Ok(above) = File::open(above) else { return Ok(()) };
    match above.sync_all() {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, time::Duration};

    use super::DataDir;

    #[test]
    fn a_second_taker_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataDir::take(dir.path()).unwrap();
        let refused = DataDir::take(dir.path()).unwrap_err();
        assert_eq!(refused.exit_code(), 1);
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        drop(first);
        DataDir::take(dir.path()).unwrap();
    }

    #[test]
    fn what_a_server_that_was_killed_has_left_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let killed = DataDir::take(dir.path()).unwrap();
        // As a child of its has it that was just being made.
        let copy = killed.lock.try_clone().unwrap();
        drop(killed);
        assert!(DataDir::take_within(dir.path(), Duration::ZERO).is_err());
        let letting_go = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(20));
            drop(copy);
        });
        DataDir::take_within(dir.path(), Duration::from_secs(60)).unwrap();
        letting_go.join().unwrap();
    }

    #[test]
    fn it_is_made_with_all_above_it_and_is_the_owners() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        let data = DataDir::take(&deep).unwrap();
        data.folder("files").unwrap();
        for made in ["a", "a/b", "a/b/c", "a/b/c/files"] {
            assert_eq!(std::fs::metadata(dir.path().join(made)).unwrap().permissions().mode() & 0o777, 0o700);
        }
        std::fs::write(dir.path().join("file"), "").unwrap();
        for wrong in ["file", "file/below"] {
            let refused = DataDir::take(&dir.path().join(wrong)).unwrap_err();
            assert!(refused.to_string().contains("can't make the data directory"), "{refused}");
        }
    }

    #[test]
    fn the_token_is_kept_and_is_the_owners() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::take(dir.path()).unwrap();
        let token = data.token().unwrap();
        assert_eq!((token.len(), data.token().unwrap()), (64, token));
        assert_eq!(std::fs::metadata(data.join("token")).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
