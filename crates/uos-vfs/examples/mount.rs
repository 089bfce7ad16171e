//! Mounts a filesystem on a directory of the host until it is told to end:
//!
//! `cargo run --release -p uos-vfs --features fuse --example mount -- SOURCE MOUNTPOINT`
//!
//! SOURCE is `mem`, `mem:BYTES` or `local:DIR`.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::Path;
use uos_vfs::fuse::{Mount, View};
use uos_vfs::{LocalFs, MemFs, NodeRef};

const USAGE: &str = "usage: mount (mem | mem:BYTES | local:DIR) MOUNTPOINT";

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
        _ => Err(USAGE.into()),
    }
}
