//! Prints a tree: `cargo run -p uos-vfs --example tree -- DIRECTORY`, or of a small one in memory
//! when no directory is given.

use std::io::{BufWriter, Write, stdout};
use std::path::Path;
use uos_vfs::{Caller, Error, FileSystem, How, Kind, LocalFs, MemFs, Mounts, Name, Node, NodeRef};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = match std::env::args_os().nth(1) {
        Some(directory) => LocalFs::open(Path::new(&directory), true)?.root(),
        None => demo()?,
    };
    let mounts = Mounts::new(root);
    let top = mounts.resolve(b"/", &How::privileged()).map_err(|unresolved| unresolved.error)?;
    let mut out = BufWriter::new(stdout().lock());
    writeln!(out, "{}", top.path)?;
    print(&*top.parent, 1, &mut out)?;
    Ok(out.flush()?)
}

fn demo() -> Result<NodeRef, Error> {
    let fs = MemFs::builder().build();
    fs.create_dir("/etc")?;
    fs.write("/etc/motd", "welcome\n")?;
    fs.create_dir("/home/ada")?;
    fs.symlink("/etc/motd", "/home/ada/motd")?;
    Ok(fs.root())
}

fn print(dir: &dyn Node, depth: usize, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let mut names = Vec::new();
    dir.read_dir(0, &mut |entry| {
        names.push(entry.name.as_bytes().to_vec());
        true
    })?;
    names.sort();
    for name in names {
        let node = match dir.lookup(&Caller::ROOT, Name::new(&name)?) {
            Ok(node) => node,
            // Gone since it was listed.
            Err(Error::NotFound) => continue,
            Err(error) => return Err(error.into()),
        };
        write!(out, "{:indent$}{}", "", name.escape_ascii(), indent = depth * 2)?;
        match node.kind() {
            Kind::Directory => {
                writeln!(out, "/")?;
                print(&*node, depth + 1, out)?;
            }
            Kind::Symlink => writeln!(out, " -> {}", node.read_link()?.escape_ascii())?,
            Kind::File => writeln!(out, "  {} bytes", node.attr()?.size)?,
            _ => writeln!(out, "  (not a file)")?,
        }
    }
    Ok(())
}
