//! Filesystems at real mount points: our own tests of that, and two judges that know nothing of us. pjdfstest holds a
//! filesystem to POSIX, beside the host's tmpfs; fsx does anything to one file and compares with what it remembers.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
};

use crate::{
    Result,
    shell::{self, cargo, program},
    test::Campaign,
};

/// The judges and their versions; built from the registry, never part of what we ship.
const JUDGES: [(&str, &str); 2] = [("pjdfstest", "0.2.2"), ("fsx", "0.3.2")];

/// What pjdfstest is told of the host. Both users are on every Debian.
const PJDFSTEST: &str = r#"[features]
posix_fallocate = {}
rename_ctime = {}
stat_st_birthtime = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.01
allow_remount = false
expected_failures = []
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

/// What fsx begins with.
const SEEDS: [&str; 3] = ["1", "2", "3"];

/// All that fsx can do, each as often as the others.
const FSX: &str = "[weights]\nclose_open = 1\ninvalidate = 1\nmapread = 1\nmapwrite = 1\nread = 1\nwrite = 1\ntruncate = 1\nfsync = 1\n\
fdatasync = 1\nposix_fallocate = 1\npunch_hole = 1\nsendfile = 1\nposix_fadvise = 1\ncopy_file_range = 1\n";

/// Runs our tests and both judges. It takes Linux with FUSE, and root; where that is missing it says so, aloud.
pub(crate) fn run(campaign: Campaign) -> Result<String> {
    if let Some(missing) = missing() {
        println!("SKIPPED, nothing was mounted: {missing}");
        return Ok(format!("SKIPPED: {missing}"));
    }
    let mut lints = cargo(&["clippy", "--package", "uos-vfs", "--all-features", "--all-targets"]);
    shell::run(lints.args(["--", "-D", "warnings"]))?;
    shell::run(&mut cargo(&[
        "test",
        "--package",
        "uos-vfs",
        "--features",
        "fuse",
        "--lib",
        "--test",
        "fuse",
    ]))?;
    let tools = judges()?;
    shell::run(&mut cargo(&[
        "build",
        "--release",
        "--package",
        "uos-vfs",
        "--features",
        "fuse",
        "--example",
        "mount",
    ]))?;
    let scratch = Scratch::new()?;
    let folder = scratch.0.clone();
    let place = |name: &str| -> Result<PathBuf> {
        let place = folder.join(name);
        fs::create_dir_all(&place)?;
        Ok(place)
    };
    let (second, tmpfs) = (place("second")?, place("tmpfs")?);
    fs::write(folder.join("pjdfstest.toml"), PJDFSTEST)?;
    fs::write(folder.join("fsx.toml"), FSX)?;
    let _second = Mounted::tmpfs(&second)?;
    let _tmpfs = Mounted::tmpfs(&tmpfs)?;
    let bar = judged(&tools, &folder, &tmpfs, &second)?;
    if bar.failed > 0 {
        return Err(format!("pjdfstest: tmpfs is to be the measure, and has {bar:?} here").into());
    }
    // The overlay is judged in a directory that it has from two layers, beside files that fsx finds there.
    let (upper_layer, lower_layer) = (place("layers/1/j")?, place("layers/2/j")?);
    for seed in SEEDS {
        fs::write(lower_layer.join(format!("fsx{seed}")), "from below")?;
    }
    fs::write(upper_layer.join("above"), "")?;
    let layer = |nth: u32| folder.join(format!("layers/{nth}")).display().to_string();
    let overlay = format!("overlay:{},{}:mem", layer(1), layer(2));
    let operations = if matches!(campaign, Campaign::Long) { "20000" } else { "2000" };
    let mut passed = Vec::new();
    for (name, source, within) in [("MemFs", "mem", ""), ("OverlayFs", &overlay, "j")] {
        // No longer than that of tmpfs: the address of a socket has room for little more.
        let at = place(&name[..1])?;
        let mounted = Mounted::ours(source, &at)?;
        let at = at.join(within);
        let score = judged(&tools, &folder, &at, &second)?;
        println!("pjdfstest: tmpfs {bar:?}, {name} {score:?}");
        if score.failed > 0 || score.passed < bar.passed || score.passed == 0 {
            return Err(format!("pjdfstest: {name} {score:?} where tmpfs has {bar:?}").into());
        }
        for seed in SEEDS {
            let mut fsx = program(tools.join("fsx"));
            fsx.args(["-q", "-S", seed, "-N", operations, "-f"]).arg(folder.join("fsx.toml"));
            shell::run(fsx.arg("-P").arg(&folder).arg(at.join(format!("fsx{seed}"))))?;
        }
        mounted.end()?;
        passed.push(format!("{name} {}", score.passed));
    }
    for seed in SEEDS {
        if fs::read_to_string(lower_layer.join(format!("fsx{seed}")))? != "from below" {
            return Err("a layer below has been changed".into());
        }
    }
    Ok(format!("pjdfstest as tmpfs: {}; fsx {} × {operations} each", passed.join(", "), SEEDS.len()))
}

/// What this machine lacks for mounting, found out by trying.
fn missing() -> Option<String> {
    if let Err(error) = fs::File::options().read(true).write(true).open("/dev/fuse") {
        return Some(format!("/dev/fuse: {error}"));
    }
    let trial = shell::root().join("target/fuse/trial");
    let mounted = fs::create_dir_all(&trial).map_err(Into::into).and_then(|()| Mounted::tmpfs(&trial));
    mounted.err().map(|error| format!("mounting: {error}"))
}

/// Where the judges do their work. They go on as users who may not be let through to the repository, as when it lies in
/// somebody's home.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = fs::canonicalize(env::temp_dir())?.join(format!("uos-judges-{}", process::id()));
        let closed = folder
            .ancestors()
            .skip(1)
            .find(|above| fs::metadata(above).map_or(true, |above| above.permissions().mode() & 0o001 == 0));
        if let Some(closed) = closed {
            return Err(format!("{} is closed to others: set TMPDIR to what is not", closed.display()).into());
        }
        fs::create_dir(&folder)?;
        let scratch = Self(folder);
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(0o755))?;
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is mounted there has gone before: it was made after this.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What pjdfstest says at its end.
#[derive(Debug, PartialEq)]
struct Score {
    passed: u64,
    failed: u64,
}

fn judged(tools: &Path, folder: &Path, at: &Path, second: &Path) -> Result<Score> {
    let mut command = program(tools.join("pjdfstest"));
    command.arg("-c").arg(folder.join("pjdfstest.toml")).arg("-p").arg(at).arg("-s").arg(second);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let score = text.lines().find_map(read_score);
    let score = score
        .ok_or_else(|| format!("pjdfstest gave no summary: {}", String::from_utf8_lossy(&output.stderr)))?;
    if score.failed > 0 {
        println!("{text}");
    }
    Ok(score)
}

/// Reads `Summary: 0 failed, 14 skipped, 384 passed, 0 expected failures, 398 total`.
fn read_score(line: &str) -> Option<Score> {
    let parts: Vec<&str> = line.strip_prefix("Summary: ")?.split(", ").collect();
    let number = |what: &str| parts.iter().find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
    Some(Score { passed: number(" passed")?, failed: number(" failed")? })
}

/// Where the judges are, built if need be.
fn judges() -> Result<PathBuf> {
    let root = shell::root().join("target/judges");
    for (name, version) in JUDGES {
        let stamp = root.join(format!("{name}-{version}.done"));
        if !stamp.exists() {
            let mut install = cargo(&["install", "--quiet", "--force", "--root"]);
            shell::run(install.arg(&root).arg(format!("{name}@{version}")))?;
            fs::write(stamp, "")?;
        }
    }
    Ok(root.join("bin"))
}

/// Something mounted, until this is dropped.
struct Mounted {
    at: PathBuf,
    served: Option<Child>,
}

impl Mounted {
    fn tmpfs(at: &Path) -> Result<Self> {
        shell::run(program("mount").args(["-t", "tmpfs", "-o", "mode=755", "tmpfs"]).arg(at))?;
        Ok(Self { at: at.to_owned(), served: None })
    }

    fn ours(source: &str, at: &Path) -> Result<Self> {
        let mut child = Command::new(example()).arg(source).arg(at).stdout(Stdio::piped()).spawn()?;
        let mut said = String::new();
        let stdout = child.stdout.take().ok_or("stdout was asked for as a pipe")?;
        BufReader::new(stdout).read_line(&mut said)?;
        let mounted = Self { at: at.to_owned(), served: Some(child) };
        let table = fs::read_to_string("/proc/self/mounts")?;
        let shown = at.display().to_string();
        let line = table.lines().find(|line| line.split(' ').nth(1) == Some(&shown));
        // Without it every test that switches to another user fails, whatever the filesystem does.
        if !line.is_some_and(|line| line.contains("allow_other")) {
            return Err(format!("{source} is not mounted for everybody: {said}").into());
        }
        Ok(mounted)
    }

    /// Tells the program to end, and sees that it ends well and leaves nothing behind.
    fn end(mut self) -> Result {
        if let Some(mut child) = self.served.take() {
            shell::run(program("kill").args(["-TERM", &child.id().to_string()]))?;
            let status = child.wait()?;
            let table = fs::read_to_string("/proc/self/mounts")?;
            let left = table.lines().any(|line| line.contains(&self.at.display().to_string()));
            if !status.success() || left {
                return Err(format!("the mount ended with {status}, and is left: {left}").into());
            }
        }
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(child) = &mut self.served {
            // Something has failed already, and that is what is told.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = program("umount").arg("-l").arg(&self.at).stderr(Stdio::null()).status();
    }
}

/// The program that mounts. The build folder may be elsewhere.
fn example() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR");
    folder.map_or_else(|| shell::root().join("target"), PathBuf::from).join("release/examples/mount")
}

#[cfg(test)]
mod tests {
    use super::{Score, read_score};

    #[test]
    fn the_summary_is_read() {
        let line = "Summary: 2 failed, 14 skipped, 382 passed, 0 expected failures, 398 total";
        assert_eq!(read_score(line), Some(Score { passed: 382, failed: 2 }));
        assert_eq!(read_score("link::unchanged_ctime_fails::block   ok"), None);
    }
}
