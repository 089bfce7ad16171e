//! What the machine is made of, found or fetched: the emulator, and a kernel with one of its modules and what loads it, which
//! are unpacked and never installed.

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
const BUSYBOX: &str = "busybox-static";
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

/// What lies in the folder of the machine.
pub(super) struct Parts {
    pub(super) kernel: PathBuf,
    /// Its module for disks of memory. What the root is made of can't be shown under other owners by older kernels; a
    /// disk can.
    pub(super) disk: PathBuf,
    /// What loads that.
    pub(super) busybox: PathBuf,
}

/// The parts below `folder`: those that are there, or else Debian's newest.
pub(super) fn fetch(folder: &Path) -> Result<Parts> {
    let parts = Parts {
        kernel: folder.join("vmlinuz"),
        disk: folder.join("brd.ko"),
        busybox: folder.join("busybox"),
    };
    if [&parts.kernel, &parts.disk, &parts.busybox].into_iter().all(|part| part.exists()) {
        return Ok(parts);
    }
    // The package of that name is empty and depends on the one of the day.
    let said = shell::capture(program("apt-cache").args(["depends", KERNEL]));
    let said = said.map_err(|error| format!("no kernel: {error}"))?;
    let package = depends_on(&said).ok_or_else(|| format!("no kernel: {KERNEL} depends on none"))?;
    let unpacked = folder.join("unpacked");
    fs::create_dir_all(&unpacked)?;
    let mut download = program("apt-get");
    // Whoever downloads for root may not write here, and apt would complain.
    download.args(["download", "--quiet", "-o", "APT::Sandbox::User=root", package, BUSYBOX]);
    shell::run(download.current_dir(folder)).map_err(|error| format!("no kernel: {error}"))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            shell::run(program("dpkg").arg("-x").arg(&path).arg(&unpacked))?;
            fs::remove_file(path)?;
        }
    }
    let release = package.strip_prefix("linux-image-").unwrap_or(package);
    let module = format!("lib/modules/{release}/kernel/drivers/block/brd.ko");
    // The kernel last: where it is, all of them are.
    for (from, to) in [
        ("bin/busybox", &parts.busybox),
        (module.as_str(), &parts.disk),
        (&format!("boot/vmlinuz-{release}"), &parts.kernel),
    ] {
        fs::rename(unpacked.join(from), to).map_err(|error| format!("no {from} in {package}: {error}"))?;
    }
    fs::remove_dir_all(unpacked)?;
    Ok(parts)
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
