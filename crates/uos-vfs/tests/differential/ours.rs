//! Filesystems of this crate, by path.

use super::steps::Step;
use super::{Answer, LONG_AGO, Picture, World};
use std::io::Read;
use uos_vfs::{
    Access, Attr, Caller, Error, FileSystem, How, Kind, Name, NodeRef, OpenOptions, SetAttr, SetTime,
    Special, Timestamp, Tree,
};

pub(crate) struct Ours<T>(T);

impl<T: Tree> Ours<T> {
    pub(crate) fn new(fs: T) -> Self {
        Ours(fs)
    }

    fn root(&self) -> NodeRef {
        self.0.resolve(b"/", &How::privileged()).unwrap().node.unwrap()
    }
}

impl<T: Tree> World for Ours<T> {
    fn act(&self, by: &Caller, step: &Step) -> Answer {
        let fs = self.0.seen_by(by.clone());
        answer(&fs, &self.0, step).map_err(|error| error.errno())
    }

    fn picture(&self) -> Picture {
        let mut picture = Picture::new();
        look(&self.root(), b"", &mut picture);
        picture
    }

    fn age(&self) {
        age(&self.root());
    }
}

fn answer(fs: &impl Tree, all: &impl Tree, step: &Step) -> Result<String, Error> {
    let done = |result: Result<(), Error>| result.map(|()| String::new());
    match step {
        Step::Own => {
            let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            done(fs.set_attr(
                "/",
                &SetAttr { uid: Some(uid), gid: Some(gid), mode: Some(0o755), ..SetAttr::default() },
            ))
        }
        Step::Create(at, mode) => done(fs.create(at, *mode)),
        Step::Write(at, len) => done(fs.write(at, vec![7; *len])),
        Step::Append(at, len) => done(fs.append(at, vec![8; *len])),
        Step::WriteAt(at, from, len) => {
            let file = fs.open(at, &OpenOptions::write_only())?;
            file.handle().write_at(*from, &vec![9; *len]).map(|len| format!("{len}"))
        }
        Step::Truncate(at, len) => done(fs.open(at, &OpenOptions::write_only())?.set_len(*len)),
        Step::Range(at, from, len, how) => {
            done(fs.open(at, &OpenOptions::write_only())?.handle().allocate(*from, *len, *how))
        }
        Step::Read(at) => {
            let mut data = Vec::new();
            fs.open(at, &OpenOptions::read_only())?.read_to_end(&mut data).unwrap();
            Ok(short(&data))
        }
        Step::Mkdir(at, mode) => done(fs.make_dir(at, *mode)),
        Step::Rmdir(at) => done(fs.remove_dir(at)),
        Step::Unlink(at) => done(fs.delete(at)),
        Step::Rename(from, to, how) => done(fs.rename_with(from, to, *how)),
        Step::Symlink(to, at) => done(fs.symlink(to, at)),
        Step::ReadLink(at) => fs.read_link(at).map(|target| format!("{target:?}")),
        Step::Link(from, to) => done(fs.hard_link(from, to)),
        Step::Mkfifo(at, mode) => done(fs.make_special(at, Special::Fifo, *mode)),
        Step::Stat(at, true) => fs.metadata(at).map(|attr| said(&counted(attr, &node(all, at, true)))),
        Step::Stat(at, false) => {
            fs.symlink_metadata(at).map(|attr| said(&counted(attr, &node(all, at, false))))
        }
        Step::List(at) => {
            let mut names: Vec<_> =
                fs.list_dir(at)?.into_iter().map(|entry| (entry.name, entry.kind)).collect();
            names.sort_by(|one, other| one.0.cmp(&other.0));
            Ok(format!("{names:?}"))
        }
        Step::Chmod(at, mode) => done(fs.set_permissions(at, *mode)),
        Step::Chown(at, uid, gid) => done(fs.set_owner(at, *uid, *gid)),
        Step::Times(at, now) => {
            let time =
                if *now { SetTime::Now } else { SetTime::To(Timestamp { secs: LONG_AGO + 1, nanos: 5 }) };
            done(fs.set_times(at, Some(time), Some(time)))
        }
        Step::SetXattr(at, name, len, how) => done(fs.set_xattr(at, name, vec![1; *len], *how)),
        Step::Xattr(at, name) => fs.xattr(at, name).map(|value| format!("{value:?}")),
        Step::RemoveXattr(at, name) => done(fs.remove_xattr(at, name)),
        Step::ListXattrs(at) => fs.list_xattrs(at).map(|names| format!("{names:?}")),
    }
}

fn node(fs: &impl Tree, at: &str, follow_last: bool) -> NodeRef {
    fs.find(at.as_bytes(), &How { follow_last, ..How::privileged() }).unwrap()
}

/// Where a directory tells no links, as many as it ought to have.
fn counted(attr: Attr, node: &NodeRef) -> Attr {
    if attr.kind != Kind::Directory || attr.nlink != 1 {
        return attr;
    }
    let mut nlink = 2;
    node.read_dir(0, &mut |entry| {
        nlink += u64::from(entry.kind == Kind::Directory);
        true
    })
    .unwrap();
    Attr { nlink, ..attr }
}

/// What every filesystem must say of a node alike. Of times, whether they have moved.
pub(crate) fn said(attr: &Attr) -> String {
    let size = if attr.kind == Kind::Directory { 0 } else { attr.size };
    let modified = attr.modified.secs.min(LONG_AGO + 2);
    format!(
        "{:?} {:o} {}:{} {} names, {size} bytes, {modified}",
        attr.kind, attr.mode, attr.uid, attr.gid, attr.nlink
    )
}

pub(crate) fn short(data: &[u8]) -> String {
    let mut sum = std::hash::DefaultHasher::new();
    std::hash::Hash::hash(data, &mut sum);
    format!("{} bytes {:x}", data.len(), std::hash::Hasher::finish(&sum))
}

fn entries(dir: &NodeRef) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    dir.read_dir(0, &mut |entry| {
        names.push(entry.name.as_bytes().to_vec());
        true
    })
    .unwrap();
    names
}

pub(crate) fn look(node: &NodeRef, path: &[u8], picture: &mut Picture) {
    let attr = counted(node.attr().unwrap(), node);
    let content = match node.kind() {
        Kind::File => {
            let file = NodeRef::clone(node).open(&Caller::ROOT, Access::Read).unwrap();
            short(&file.read_bytes(0, 1 << 20).unwrap())
        }
        Kind::Symlink => format!("{:?}", node.read_link().unwrap()),
        _ => String::new(),
    };
    picture.insert(path.to_vec(), format!("{} {content}", said(&attr)));
    if node.kind() == Kind::Directory {
        for name in entries(node) {
            let child = node.lookup(&Caller::ROOT, Name::new(&name).unwrap()).unwrap();
            look(&child, &[path, b"/", &name].concat(), picture);
        }
    }
}

fn age(node: &NodeRef) {
    let then = Some(SetTime::To(Timestamp { secs: LONG_AGO, nanos: 0 }));
    node.set_attr(&Caller::ROOT, &SetAttr { accessed: then, modified: then, ..SetAttr::default() }).unwrap();
    if node.kind() == Kind::Directory {
        for name in entries(node) {
            age(&node.lookup(&Caller::ROOT, Name::new(&name).unwrap()).unwrap());
        }
    }
}
