//! The same few things done on our filesystems and on their peers.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use uos_vfs::{FileSystem, OpenOptions, Tree};

pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Done<T = ()> = Result<T, Failure>;

/// What a file holds while it lives.
pub(super) const KIB: [u8; 1024] = [7; 1024];

/// Whatever has files.
pub(super) trait World: Sync {
    fn make_dirs(&self, path: &str) -> Done;

    fn create_empty(&self, path: &str) -> Done;

    /// Makes a file, writes 1 KiB, opens it again and reads it to its end, and removes it.
    fn cycle(&self, path: &str, back: &mut Vec<u8>) -> Done;

    /// The length of what is there.
    fn stat(&self, path: &str) -> Done<u64>;

    /// How many entries there are, having seen the name of each.
    fn list(&self, path: &str) -> Done<usize>;
}

/// Ours.
pub(super) struct Ours<T>(pub(super) T);

impl<T: Tree> World for Ours<T> {
    fn make_dirs(&self, path: &str) -> Done {
        Ok(self.0.create_dir(path)?)
    }

    fn create_empty(&self, path: &str) -> Done {
        Ok(self.0.create(path, 0o644)?)
    }

    fn cycle(&self, path: &str, back: &mut Vec<u8>) -> Done {
        self.0.open(path, &OpenOptions::write_only().create_new(0o644))?.write_all(&KIB)?;
        back.clear();
        self.0.open(path, &OpenOptions::read_only())?.read_to_end(back)?;
        Ok(self.0.delete(path)?)
    }

    fn stat(&self, path: &str) -> Done<u64> {
        Ok(self.0.metadata(path)?.size)
    }

    fn list(&self, path: &str) -> Done<usize> {
        Ok(self.0.list_dir(path)?.iter().filter(|entry| !entry.name.is_empty()).count())
    }
}

/// The filesystem in memory of the `vfs` crate.
pub(super) struct MemoryFs(pub(super) ::vfs::MemoryFS);

impl World for MemoryFs {
    fn make_dirs(&self, path: &str) -> Done {
        use ::vfs::FileSystem;
        for (end, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            if !self.0.exists(&path[..end])? {
                self.0.create_dir(&path[..end])?;
            }
        }
        Ok(())
    }

    fn create_empty(&self, path: &str) -> Done {
        use ::vfs::FileSystem;
        drop(self.0.create_file(path)?);
        Ok(())
    }

    fn cycle(&self, path: &str, back: &mut Vec<u8>) -> Done {
        use ::vfs::FileSystem;
        self.0.create_file(path)?.write_all(&KIB)?;
        back.clear();
        self.0.open_file(path)?.read_to_end(back)?;
        Ok(self.0.remove_file(path)?)
    }

    fn stat(&self, path: &str) -> Done<u64> {
        use ::vfs::FileSystem;
        Ok(self.0.metadata(path)?.len)
    }

    fn list(&self, path: &str) -> Done<usize> {
        use ::vfs::FileSystem;
        Ok(self.0.read_dir(path)?.filter(|name| !name.is_empty()).count())
    }
}

/// A folder of the host, by its paths.
pub(super) struct Host(pub(super) PathBuf);

impl Host {
    fn at(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }
}

impl World for Host {
    fn make_dirs(&self, path: &str) -> Done {
        Ok(std::fs::create_dir_all(self.at(path))?)
    }

    fn create_empty(&self, path: &str) -> Done {
        drop(std::fs::File::create_new(self.at(path))?);
        Ok(())
    }

    fn cycle(&self, path: &str, back: &mut Vec<u8>) -> Done {
        let path = self.at(path);
        std::fs::File::create_new(&path)?.write_all(&KIB)?;
        back.clear();
        std::fs::File::open(&path)?.read_to_end(back)?;
        Ok(std::fs::remove_file(&path)?)
    }

    fn stat(&self, path: &str) -> Done<u64> {
        Ok(std::fs::metadata(self.at(path))?.len())
    }

    fn list(&self, path: &str) -> Done<usize> {
        let mut seen = 0;
        for entry in std::fs::read_dir(self.at(path))? {
            seen += usize::from(!entry?.file_name().is_empty());
        }
        Ok(seen)
    }
}

/// A folder of the host that nothing leads out of, by cap-std.
pub(super) struct Cap(cap_std::fs::Dir);

impl Cap {
    pub(super) fn open(path: &Path) -> Done<Self> {
        Ok(Cap(cap_std::fs::Dir::open_ambient_dir(path, cap_std::ambient_authority())?))
    }
}

impl World for Cap {
    fn make_dirs(&self, path: &str) -> Done {
        Ok(self.0.create_dir_all(&path[1..])?)
    }

    fn create_empty(&self, path: &str) -> Done {
        drop(self.0.create(&path[1..])?);
        Ok(())
    }

    fn cycle(&self, path: &str, back: &mut Vec<u8>) -> Done {
        let path = &path[1..];
        let mut options = cap_std::fs::OpenOptions::new();
        self.0.open_with(path, options.write(true).create_new(true))?.write_all(&KIB)?;
        back.clear();
        self.0.open(path)?.read_to_end(back)?;
        Ok(self.0.remove_file(path)?)
    }

    fn stat(&self, path: &str) -> Done<u64> {
        Ok(self.0.metadata(&path[1..])?.len())
    }

    fn list(&self, path: &str) -> Done<usize> {
        let mut seen = 0;
        for entry in self.0.read_dir(&path[1..])? {
            seen += usize::from(!entry?.file_name().is_empty());
        }
        Ok(seen)
    }
}
