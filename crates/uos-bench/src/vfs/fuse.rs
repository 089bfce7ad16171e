//! Real mount points: ours in memory beside bindfs on tmpfs, which is as little as a filesystem in a process can
//! do, and beside tmpfs itself, which is in the kernel. It takes Linux with FUSE, root, tar, grep and bindfs.

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use uos_vfs::{
    MemFs,
    fuse::{Mount, View},
};

use super::{Bar, row, worlds::Done};
use crate::report::{Measurement, summary};

const ROUNDS: usize = 5;
const DIRS: usize = 100;
const FILES: usize = 5_000;
/// In one of ten files.
const NEEDLE: &str = "needle";

/// What is measured of one place, in this order.
const WHAT: [&str; 4] = ["untar", "cold grep", "warm grep", "warm stat"];

pub(super) fn measure() -> Done<Vec<Measurement>> {
    if let Some(missing) = missing() {
        // Left out and not failed: without mounting there is nothing to compare.
        eprintln!("SKIPPED, nothing was mounted: {missing}");
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir_in("/dev/shm")?;
    let tar = make_tar(folder.path())?;
    let place = |name: &str| -> Done<PathBuf> {
        let place = folder.path().join(name);
        fs::create_dir(&place)?;
        Ok(place)
    };
    let (ours, bound, behind, plain) = (place("ours")?, place("bound")?, place("behind")?, place("plain")?);
    let mut rounds: [[Vec<f64>; 4]; 3] = Default::default();
    for round in 0..=ROUNDS {
        let memory = MemFs::builder().build();
        let mount_ours = || Ok(Mount::options().whole(View::of(memory.root())).start(&ours)?);
        let all = [
            visit(&tar, &ours, mount_ours, |mount| Ok(mount.unmount().map(drop)?))?,
            visit(&tar, &bound, || bind(&behind, &bound), Bound::end)?,
            visit(&tar, &plain, || Ok(()), |()| Ok(()))?,
        ];
        for filled in [&behind, &plain] {
            fs::remove_dir_all(filled.join("tree"))?;
        }
        // The first round warms everything up.
        for (seen, kept) in all.into_iter().zip(&mut rounds).filter(|_| round > 0) {
            seen.into_iter().zip(kept).for_each(|(time, times)| times.push(time));
        }
    }
    let [ours, bindfs, tmpfs] = rounds;
    let rows = [
        ("FUSE untar of 5,000 files", 0, "bindfs on tmpfs", "ms", Bar::Ratio(2.0), &bindfs),
        ("FUSE untar of 5,000 files", 0, "tmpfs", "ms", Bar::Compared, &tmpfs),
        ("FUSE cold grep -r of 5,000 files", 1, "bindfs on tmpfs", "ms", Bar::Ratio(2.0), &bindfs),
        ("FUSE cold grep -r of 5,000 files", 1, "tmpfs", "ms", Bar::Compared, &tmpfs),
        ("FUSE warm grep -r of 5,000 files", 2, "tmpfs", "ms", Bar::Ratio(1.0 / 3.0), &tmpfs),
        ("FUSE warm stat", 3, "tmpfs", "ns", Bar::Ratio(1.0 / 1.5), &tmpfs),
    ];
    let measured = rows.map(|(name, what, peer_name, unit, bar, peer)| {
        let (us, them) = (summary(ours[what].clone(), true), summary(peer[what].clone(), true));
        row(name, peer_name, unit, bar, (us.1, us.0), (them.1, them.0), ROUNDS)
    });
    Ok(measured.into())
}

/// Unpacks a tree, lets the kernel forget it by mounting anew, and looks at it.
fn visit<M>(
    tar: &Path,
    at: &Path,
    mount: impl Fn() -> Done<M>,
    end: impl Fn(M) -> Done,
) -> Done<[f64; WHAT.len()]> {
    let mounted = mount()?;
    let untar = timed(|| run(Command::new("tar").arg("-xf").arg(tar).arg("-C").arg(at)).map(drop))?;
    end(mounted)?;
    let mounted = mount()?;
    let grep = || {
        let found = run(Command::new("grep").args(["-r", "-l", NEEDLE]).arg(at))?;
        let lines = found.iter().filter(|&&byte| byte == b'\n').count();
        if lines == FILES / 10 { Done::Ok(()) } else { Err(format!("{lines} files were found").into()) }
    };
    let (cold, warm) = (timed(grep)?, timed(grep)?);
    let paths: Vec<PathBuf> = (0..FILES).map(|nth| at.join(name_of(nth))).collect();
    let stat = || {
        for path in &paths {
            black_box(fs::symlink_metadata(path)?);
        }
        Done::Ok(())
    };
    stat()?;
    let stat = timed(stat)? * 1e6 / FILES as f64;
    end(mounted)?;
    Ok([untar, cold, warm, stat])
}

/// Milliseconds.
fn timed(act: impl FnOnce() -> Done) -> Done<f64> {
    let begun = Instant::now();
    act()?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn name_of(nth: usize) -> String {
    format!("tree/dir{}/file{nth}", nth % DIRS)
}

/// A tree of small texts, packed.
fn make_tar(folder: &Path) -> Done<PathBuf> {
    for dir in 0..DIRS {
        fs::create_dir_all(folder.join(format!("tree/dir{dir}")))?;
    }
    for nth in 0..FILES {
        let words = if nth % 10 == 0 { NEEDLE } else { "nothing of the kind" };
        let text = format!("line {nth} of a file that says little\n").repeat(nth % 100) + words;
        fs::write(folder.join(name_of(nth)), text)?;
    }
    let tar = folder.join("tree.tar");
    run(Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(folder).arg("tree"))?;
    fs::remove_dir_all(folder.join("tree"))?;
    Ok(tar)
}

/// What a program says that ends well.
fn run(command: &mut Command) -> Done<Vec<u8>> {
    let output = command.stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{command:?}: {}", output.status).into())
    }
}

/// A folder shown at another place by bindfs, until this is dropped.
struct Bound {
    at: Option<PathBuf>,
}

fn bind(behind: &Path, at: &Path) -> Done<Bound> {
    run(Command::new("bindfs").arg(behind).arg(at))?;
    Ok(Bound { at: Some(at.to_owned()) })
}

impl Bound {
    fn end(mut self) -> Done {
        self.at.take().map_or(Ok(()), |at| run(Command::new("umount").arg(at)).map(drop))
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Some(at) = self.at.take() {
            // Something has failed already, and that is what is told.
            let _ = run(Command::new("umount").arg("-l").arg(at));
        }
    }
}

/// What this machine lacks.
fn missing() -> Option<String> {
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/fuse") {
        return Some(format!("/dev/fuse: {error}"));
    }
    for program in ["bindfs", "tar", "grep"] {
        let tried =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if let Err(error) = tried {
            return Some(format!("{program}: {error}"));
        }
    }
    None
}
