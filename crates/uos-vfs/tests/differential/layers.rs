//! Overlays, and a plain filesystem that holds what their layers come to.

use super::ours::{Ours, look};
use super::steps::{People, Step};
use super::{Answer, Picture, World};
use std::cell::RefCell;
use std::collections::HashMap;
use uos_vfs::{
    Access, Caller, FileSystem, Kind, MemFs, Mounts, Name, NodeId, NodeRef, OverlayFs, SetAttr, SetTime,
    SetXattr, Special,
};

const ROOT: &Caller = &Caller::ROOT;

/// An empty directory in the middle of an overlay, over others in which every name is taken and hidden.
pub(crate) fn emptied() -> Mounts {
    let lowers = [0, 1].map(|layer| {
        let fs = MemFs::builder().build();
        for (nth, name) in ["a", "b", "c"].iter().enumerate() {
            if nth % 2 == layer {
                fs.create_dir(format!("/top/{name}/a/b")).unwrap();
                fs.write(format!("/top/{name}/c"), "below").unwrap();
            } else {
                fs.create_dir("/top").unwrap();
                fs.write(format!("/top/{name}"), "below").unwrap();
            }
        }
        fs.root()
    });
    let fs = OverlayFs::new(lowers, MemFs::builder().build().root()).unwrap();
    for entry in fs.list_dir("/top").unwrap() {
        let path = [b"/top/", &entry.name[..]].concat();
        if entry.kind == Kind::Directory {
            fs.remove_dir_all(path).unwrap();
        } else {
            fs.delete(path).unwrap();
        }
    }
    Mounts::new(fs.root().lookup(ROOT, Name::new(b"top").unwrap()).unwrap())
}

/// An overlay of layers that something has happened in.
pub(crate) struct Laid {
    below: Vec<(NodeRef, Picture)>,
    upper: NodeRef,
    fs: RefCell<Ours<OverlayFs>>,
}

impl Laid {
    pub(crate) fn over(below: &[Vec<Step>], links: bool) -> Self {
        let by_me = |steps: &Vec<Step>| steps.iter().map(|step| (People::Me, step.clone())).collect();
        Laid::over_by(&below.iter().map(by_me).collect::<Vec<_>>(), links)
    }

    /// Without links no two names lead to one file.
    pub(crate) fn over_by(below: &[Vec<(People, Step)>], links: bool) -> Self {
        let below: Vec<_> = below
            .iter()
            .enumerate()
            .map(|(nth, steps)| {
                // A name that another layer covers is counted as a link all the same; in the topmost none is.
                let links = links && nth == 0;
                let fs = MemFs::builder().build();
                let root = fs.root();
                let world = Ours::new(fs);
                for (by, step) in steps.iter().filter(|(_, step)| links || !matches!(step, Step::Link(..))) {
                    // What is refused is only not there then.
                    let _ = world.act(&by.caller(), step);
                }
                world.age();
                let picture = world.picture();
                (root, picture)
            })
            .collect();
        let upper = MemFs::builder().build().root();
        let fs = OverlayFs::new(below.iter().map(|(root, _)| root.clone()), upper.clone()).unwrap();
        // The root is that of the upper layer, whatever the others say.
        Laid { below, upper, fs: RefCell::new(Ours::new(fs)) }
    }

    /// The layers as they are laid now are taken away, and the same laid again.
    pub(crate) fn lay_again(&self) {
        let lowers = self.below.iter().map(|(root, _)| root.clone());
        *self.fs.borrow_mut() = Ours::new(OverlayFs::new(lowers, self.upper.clone()).unwrap());
    }

    /// A plain filesystem that holds what the layers come to, put together by the simplest rules there are.
    pub(crate) fn merged(&self) -> MemFs {
        let fs = MemFs::builder().build();
        let stack: Vec<NodeRef> = self.below.iter().map(|(root, _)| root.clone()).collect();
        fill(&fs.root(), &stack, &mut HashMap::new());
        give(&self.upper, &fs.root());
        fs
    }

    /// Nothing that was done to the overlay has changed what it was laid over.
    pub(crate) fn check_below(&self) {
        for (root, before) in &self.below {
            let mut now = Picture::new();
            look(root, b"", &mut now);
            assert_eq!(now, *before, "a layer below has changed");
        }
    }
}

impl World for Laid {
    fn act(&self, by: &Caller, step: &Step) -> Answer {
        self.fs.borrow().act(by, step)
    }

    fn picture(&self) -> Picture {
        self.fs.borrow().picture()
    }

    fn age(&self) {
        self.fs.borrow().age();
    }
}

/// Puts into a directory what several merged ones hold. `seen` are the files with their copies.
fn fill(to: &NodeRef, stack: &[NodeRef], seen: &mut HashMap<NodeId, NodeRef>) {
    let mut names: Vec<Vec<u8>> = Vec::new();
    for dir in stack {
        dir.read_dir(0, &mut |entry| {
            names.push(entry.name.as_bytes().to_vec());
            true
        })
        .unwrap();
    }
    names.sort();
    names.dedup();
    for name in &names {
        let name = Name::new(name).unwrap();
        let all: Vec<NodeRef> = stack.iter().filter_map(|dir| dir.lookup(ROOT, name).ok()).collect();
        let from = &all[0];
        if let Some(copy) = seen.get(&from.id()) {
            to.link(ROOT, name, copy).unwrap();
            continue;
        }
        let copy = match from.kind() {
            Kind::Directory => {
                let dirs: Vec<NodeRef> =
                    all.iter().take_while(|node| node.kind() == Kind::Directory).cloned().collect();
                let copy = to.mkdir(ROOT, name, 0o755).unwrap();
                fill(&copy, &dirs, seen);
                copy
            }
            Kind::Symlink => to.symlink(ROOT, name, &from.read_link().unwrap()).unwrap(),
            Kind::Fifo => to.mknod(ROOT, name, Special::Fifo, 0o600).unwrap(),
            _ => {
                let copy = to.create(ROOT, name, 0o600).unwrap();
                let data = from.clone().open(ROOT, Access::Read).unwrap().read_bytes(0, 1 << 20).unwrap();
                copy.clone().open(ROOT, Access::Write).unwrap().replace(&data).unwrap();
                copy
            }
        };
        give(from, &copy);
        if copy.kind() != Kind::Directory {
            seen.insert(from.id(), copy);
        }
    }
}

/// Gives one node the attributes of another.
fn give(from: &NodeRef, to: &NodeRef) {
    for name in from.list_xattrs(ROOT).unwrap() {
        to.set_xattr(ROOT, &name, &from.xattr(ROOT, &name).unwrap(), SetXattr::Any).unwrap();
    }
    let attr = from.attr().unwrap();
    let set = SetAttr {
        mode: (attr.kind != Kind::Symlink).then_some(attr.mode),
        uid: Some(attr.uid),
        gid: Some(attr.gid),
        accessed: Some(SetTime::To(attr.accessed)),
        modified: Some(SetTime::To(attr.modified)),
        ..SetAttr::default()
    };
    to.set_attr(ROOT, &set).unwrap();
}
