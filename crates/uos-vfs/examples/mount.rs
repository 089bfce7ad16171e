//! Mounts a filesystem on a directory of the host until it is told to end:
//!
//! `cargo run --release -p uos-vfs --features fuse --example mount -- SOURCE MOUNTPOINT`
//!
//! SOURCE is `mem`, `mem:BYTES`, `local:DIR`, or `overlay:LOWER[,LOWER…]:mem`: folders of the host, the topmost
//! first, which stay as they are, below a filesystem in memory.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::Path;
use uos_vfs::fuse::{Mount, View};
use uos_vfs::{LocalFs, MemFs, NodeRef, OverlayFs};

const USAGE: &str = "usage: mount (mem | mem:BYTES | local:DIR | overlay:LOWER[,LOWER…]:mem) MOUNTPOINT";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, at] = &arguments[..] else { return Err(USAGE.into()) };
    // Before it is mounted: a signal in between must not leave it behind.
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let options = Mount::options().whole(View::of(root_of(source)?)).lends_rights();
    let mount = options.start(Path::new(at))?;
    println!("mounted {at}");
    if !mount.is_for_others() {
        eprintln!("only for the user of this process: the host does not allow it to others");
    }
    signals.forever().next();
    if !mount.unmount()? {
        eprintln!("unmounted, but still in use");
    }
    Ok(())
}

fn root_of(source: &str) -> Result<NodeRef, Box<dyn std::error::Error>> {
    match source.split_once(':') {
        None if source == "mem" => Ok(MemFs::builder().build().root()),
        Some(("mem", bytes)) => Ok(MemFs::builder().capacity_bytes(bytes.parse()?).build().root()),
        Some(("local", dir)) => Ok(LocalFs::open(Path::new(dir), false)?.root()),
        Some(("overlay", layers)) => {
            let Some((lowers, "mem")) = layers.rsplit_once(':') else { return Err(USAGE.into()) };
            let lowers = lowers.split(',').map(|dir| Ok(LocalFs::open(Path::new(dir), true)?.root()));
            let lowers: Vec<NodeRef> = lowers.collect::<uos_vfs::Result<_>>()?;
            Ok(OverlayFs::new(lowers, MemFs::builder().build().root())?.root())
        }
        _ => Err(USAGE.into()),
    }
}
