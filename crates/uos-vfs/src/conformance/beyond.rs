//! What not every filesystem can do.

use super::tools::{ROOT, content, err, file, named, names, open, refused, these};
use crate::{Allocate, Caller, Device, Error, Kind, NodeRef, Seek, SetAttr, SetXattr, Special};

pub(super) fn pipes_and_sockets_have_names(root: &NodeRef) {
    for (name, special) in [(b"p", Special::Fifo), (b"s", Special::Socket)] {
        let node = root.mknod(ROOT, named(name), special, 0o640).unwrap();
        let attr = node.attr().unwrap();
        assert_eq!(
            (attr.kind, node.kind(), attr.mode, attr.size),
            (special.kind(), special.kind(), 0o640, 0)
        );
        assert!(matches!(node.clone().open(ROOT, crate::Access::Read), Err(Error::NotSupported(_))));
        assert!(matches!(
            node.set_attr(ROOT, &SetAttr { size: Some(0), ..SetAttr::default() }),
            Err(Error::InvalidArgument(_))
        ));
        refused(root, Error::Exists, || root.mknod(ROOT, named(name), special, 0o640));
        assert_eq!(err(node.lookup(ROOT, named(b"x"))), Error::NotADirectory);
        root.link(ROOT, named(b"more"), &node).unwrap();
        root.unlink(ROOT, named(b"more")).unwrap();
        root.unlink(ROOT, named(name)).unwrap();
    }
    assert_eq!(names(root), these([]));
}

pub(super) fn devices_keep_their_number(root: &NodeRef) {
    let number = Device { major: 4, minor: 300 };
    let node = root.mknod(ROOT, named(b"c"), Special::CharDevice(number), 0o600).unwrap();
    assert_eq!((node.kind(), node.attr().unwrap().device), (Kind::CharDevice, number));
    let node = root.mknod(ROOT, named(b"b"), Special::BlockDevice(number), 0o600).unwrap();
    assert_eq!((node.kind(), node.attr().unwrap().device), (Kind::BlockDevice, number));
    root.set_attr(ROOT, &SetAttr { mode: Some(0o777), ..SetAttr::default() }).unwrap();
    let ada = Caller::user(1001, 101);
    let device = Special::BlockDevice(number);
    refused(root, Error::NotPermitted, || root.mknod(&ada, named(b"x"), device, 0o600));
    root.mknod(&ada, named(b"p"), Special::Fifo, 0o600).unwrap();
}

pub(super) fn extended_attributes_are_kept(root: &NodeRef) {
    let node = file(root, b"f", b"x");
    let (any, new, replace) = (SetXattr::Any, SetXattr::New, SetXattr::Replace);
    assert_eq!(err(node.xattr(ROOT, b"user.a")), Error::NoAttribute);
    refused(root, Error::NoAttribute, || node.set_xattr(ROOT, b"user.a", b"1", replace));
    refused(root, Error::NoAttribute, || node.remove_xattr(ROOT, b"user.a"));
    node.set_xattr(ROOT, b"user.b", b"1", any).unwrap();
    node.set_xattr(ROOT, b"user.a", b"", new).unwrap();
    refused(root, Error::Exists, || node.set_xattr(ROOT, b"user.a", b"2", new));
    node.set_xattr(ROOT, b"user.b", b"\0\xff", replace).unwrap();
    assert_eq!(node.xattr(ROOT, b"user.a").unwrap(), b"");
    assert_eq!(node.xattr(ROOT, b"user.b").unwrap(), b"\0\xff");
    assert_eq!(node.list_xattrs(ROOT).unwrap(), [b"user.a".to_vec(), b"user.b".to_vec()]);
    node.remove_xattr(ROOT, b"user.a").unwrap();
    assert_eq!(node.list_xattrs(ROOT).unwrap(), [b"user.b".to_vec()]);
    for bad in [&b""[..], &[b'x'; 256]] {
        assert_eq!(
            err(node.set_xattr(ROOT, bad, b"1", any)).errno(),
            rustix::io::Errno::RANGE.raw_os_error()
        );
    }
    assert_eq!(err(node.set_xattr(ROOT, b"odd.a", b"1", any)).errno(), Error::NotSupported("").errno());
    // It is the file's own, whatever its name.
    root.rename(ROOT, named(b"f"), root, named(b"g"), crate::Rename::Replace).unwrap();
    assert_eq!(root.lookup(ROOT, named(b"g")).unwrap().xattr(ROOT, b"user.b").unwrap(), b"\0\xff");
    let link = root.symlink(ROOT, named(b"l"), b"g").unwrap();
    refused(root, Error::NotPermitted, || link.set_xattr(ROOT, b"user.a", b"1", any));
}

pub(super) fn ranges_are_punched_and_reserved(root: &NodeRef) {
    let node = file(root, b"f", &[7; 300_000]);
    let file = open(&node);
    file.allocate(10, 100_000, Allocate::Punch).unwrap();
    let expected = [vec![7; 10], vec![0; 100_000], vec![7; 199_990]].concat();
    assert!(content(&node) == expected);
    file.allocate(299_999, 10, Allocate::Punch).unwrap();
    assert_eq!(node.attr().unwrap().size, 300_000);
    file.allocate(299_000, 2_000, Allocate::Reserve).unwrap();
    assert_eq!(node.attr().unwrap().size, 301_000);
    assert_eq!(&content(&node)[299_998..300_002], [7, 0, 0, 0]);
    file.allocate(400_000, 10, Allocate::ReserveKeepingLength).unwrap();
    assert_eq!(node.attr().unwrap().size, 301_000);
    assert!(matches!(err(file.allocate(5, 0, Allocate::Reserve)), Error::InvalidArgument(_)));
    assert_eq!(err(file.allocate(u64::MAX, 5, Allocate::Punch)), Error::TooBig);
}

pub(super) fn holes_can_be_found(root: &NodeRef) {
    let node = file(root, b"f", b"start");
    let file = open(&node);
    let far = 8 << 20;
    file.write_at(far, b"end").unwrap();
    assert_eq!(file.seek(0, Seek::Data).unwrap(), 0);
    let hole = file.seek(0, Seek::Hole).unwrap();
    assert!((5..=1 << 20).contains(&hole), "{hole}");
    let data = file.seek(hole, Seek::Data).unwrap();
    assert!((hole + 1..=far).contains(&data), "{data}");
    assert_eq!(file.seek(far + 1, Seek::Data).unwrap(), far + 1);
    assert_eq!(file.seek(far + 1, Seek::Hole).unwrap(), far + 3);
    for offset in [far + 3, u64::MAX] {
        assert_eq!(err(file.seek(offset, Seek::Data)), Error::PastEnd);
        assert_eq!(err(file.seek(offset, Seek::Hole)), Error::PastEnd);
    }
    file.set_len(far + 100_000).unwrap();
    file.allocate(0, far + 100_000, Allocate::Punch).unwrap();
    assert_eq!(err(file.seek(0, Seek::Data)), Error::PastEnd);
}
