//! Prints a tree: `cargo run -p uos-vfs --example tree -- DIRECTORY`, or of a small one in memory
//! when no directory is given.

use std::io::{BufWriter, Write, stdout};
use std::path::Path;
use uos_vfs::{Access, Error, How, Kind, LocalFs, MemFs, Mounts, New, Node, NodeRef, VPath};

const NEW: New = New { mode: 0o755, uid: 0, gid: 0 };

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = match std::env::args_os().nth(1) {
        Some(directory) => LocalFs::open(Path::new(&directory), true)?.root(),
        None => demo()?,
    };
    let mounts = Mounts::new(root);
    let how = How { base: &VPath::root(), follow_last: true, memory_only: false };
    let top = mounts.resolve(b"/", &how).map_err(|unresolved| unresolved.error)?;
    let mut out = BufWriter::new(stdout().lock());
    writeln!(out, "{}", top.path)?;
    print(&*top.parent, 1, &mut out)?;
    Ok(out.flush()?)
}

fn demo() -> Result<NodeRef, Error> {
    let root = MemFs::builder().build().root();
    let etc = root.mkdir(b"etc", &NEW)?;
    etc.create(b"motd", &NEW)?.open(Access::Write)?.append(b"welcome\n")?;
    root.mkdir(b"home", &NEW)?.mkdir(b"ada", &NEW)?.symlink(b"motd", b"/etc/motd", &NEW)?;
    Ok(root)
}

fn print(dir: &dyn Node, depth: usize, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let mut names = Vec::new();
    dir.read_dir(0, &mut |entry| {
        names.push(entry.name.to_vec());
        true
    })?;
    names.sort();
    for name in names {
        let node = match dir.lookup(&name) {
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
            Kind::Other => writeln!(out, "  (not a file)")?,
        }
    }
    Ok(())
}
