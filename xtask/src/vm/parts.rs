//! What the machine is made of, found or fetched: the emulator, and a kernel that is unpacked and never installed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::machine;
use crate::{
    Result,
    shell::{self, program},
};

/// Debian's kernel for machines such as this one.
const KERNEL: &str = "linux-image-cloud-amd64";
const EMULATOR: &str = "qemu-system-x86";

/// Has the emulator, installed if need be and if we may. The error says what stands in the way.
pub(super) fn emulator() -> Result {
    let there = || shell::works(program(machine::PROGRAM).arg("--version"));
    if there() {
        return Ok(());
    }
    let mut install = program("apt-get");
    install.args(["install", "--yes", "--quiet", "--no-install-recommends", EMULATOR]);
    let installed = shell::run(install.env("DEBIAN_FRONTEND", "noninteractive"));
    match installed {
        Ok(()) if there() => Ok(()),
        Ok(()) => Err(format!("{EMULATOR} was installed, but there is no {}", machine::PROGRAM).into()),
        Err(error) => Err(format!("there is no {}, and {error}", machine::PROGRAM).into()),
    }
}

/// A kernel below `folder`: the one that is there, or else the newest of Debian's.
pub(super) fn kernel(folder: &Path) -> Result<PathBuf> {
    if let Some(kernel) = unpacked(folder) {
        return Ok(kernel);
    }
    // The package of that name is empty and depends on the one of the day.
    let said = shell::capture(program("apt-cache").args(["depends", KERNEL]))
        .map_err(|error| format!("no kernel: {error}"))?;
    let package = depends_on(&said).ok_or_else(|| format!("no kernel: {KERNEL} depends on none"))?;
    fs::create_dir_all(folder)?;
    let mut download = program("apt-get");
    // Whoever downloads for root may not write here, and apt says so. It does no harm.
    download.args(["download", "--quiet", "-o", "APT::Sandbox::User=root", package]).current_dir(folder);
    shell::run(&mut download).map_err(|error| format!("no kernel: {error}"))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            shell::run(program("dpkg").arg("-x").arg(&path).arg(folder.join("unpacked")))?;
            fs::remove_file(path)?;
        }
    }
    let found = folder.join("unpacked/boot");
    // Only the kernel is of use, and whole once it has its place.
    let kernel = fs::read_dir(&found)?.flatten().map(|entry| entry.path()).find(|path| is_kernel(path));
    let kernel = kernel.ok_or_else(|| format!("no kernel in {package}"))?;
    fs::rename(&kernel, folder.join(kernel.file_name().ok_or("a kernel has a name")?))?;
    fs::remove_dir_all(folder.join("unpacked"))?;
    unpacked(folder).ok_or_else(|| format!("no kernel in {package}").into())
}

fn unpacked(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).find(|path| is_kernel(path))
}

fn is_kernel(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
}

/// Reads `  Depends: linux-image-6.1.0-57-cloud-amd64`.
fn depends_on(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.trim().strip_prefix("Depends: ")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::depends_on;

    #[test]
    fn the_kernel_of_the_day_is_read() {
        let said = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-57-cloud-amd64\n";
        assert_eq!(depends_on(said), Some("linux-image-6.1.0-57-cloud-amd64"));
        assert_eq!(depends_on("N: Unable to locate package\n"), None);
    }
}
