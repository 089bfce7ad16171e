//! Rules that are told in words, one by one.

use super::ROOT;
use std::sync::Barrier;
use uos_vfs::{
    Access, Account, Caller, Error, FileSystem, Limit, MemFs, MountOptions, Mounts, NodeRef, OpenOptions,
    OverlayFs, SetAttr, SetXattr, Tree, Used,
};

fn account() -> (Account, Caller) {
    let account = Account::new(Limit::NONE);
    (account.clone(), Caller::ROOT.paid_by(Some(account)))
}

fn bytes(account: &Account) -> u64 {
    account.used().bytes
}

#[test]
fn whoever_made_a_file_pays_for_what_others_write_into_it() {
    let fs = MemFs::builder().build();
    let ((ada, by_ada), (bob, by_bob)) = (account(), account());
    fs.seen_by(by_ada).write("/plan", "12345").unwrap();
    fs.seen_by(by_bob.clone()).append("/plan", "678").unwrap();
    assert_eq!((bytes(&ada), bytes(&bob)), (8, 0));
    // Given away it is still paid for by the same one: what is on an account was put there by it.
    fs.root()
        .lookup(ROOT, uos_vfs::Name::new(b"plan").unwrap())
        .unwrap()
        .set_attr(ROOT, &SetAttr { uid: Some(7), ..SetAttr::default() })
        .unwrap();
    assert_eq!(bytes(&ada), 8);
    fs.seen_by(by_bob).write("/other", "1").unwrap();
    fs.rename("/other", "/plan").unwrap();
    assert_eq!((ada.used(), bob.used()), (Used::default(), Used { bytes: 1, nodes: 1 }));
}

#[test]
fn a_file_without_names_is_paid_for_until_the_last_who_has_it_open_lets_go() {
    let fs = MemFs::builder().build();
    let (ada, by_ada) = account();
    fs.seen_by(by_ada).write("/plan", "12345").unwrap();
    let node = fs.find(b"/plan", &uos_vfs::How::new(ROOT)).unwrap();
    let file = NodeRef::clone(&node).open(ROOT, Access::Write).unwrap();
    drop(node);
    fs.delete("/plan").unwrap();
    file.append(b"678").unwrap();
    assert_eq!(ada.used(), Used { bytes: 8, nodes: 1 });
    drop(file);
    assert_eq!(ada.used(), Used::default());
}

#[test]
fn what_a_snapshot_shows_stays_on_the_account() {
    let fs = MemFs::builder().build();
    let (ada, by_ada) = account();
    let theirs = fs.seen_by(by_ada);
    theirs.write("/plan", [1; 100]).unwrap();
    let first = fs.snapshot();
    theirs.write("/plan", [2; 40]).unwrap();
    assert_eq!(bytes(&ada), 140);
    theirs.delete("/plan").unwrap();
    assert_eq!(bytes(&ada), 140, "the snapshot still shows it");
    fs.restore(&first).unwrap();
    assert_eq!(fs.read("/plan").unwrap(), [1; 100]);
    drop(first);
    assert_eq!(ada.used(), Used { bytes: 100, nodes: 1 });
    let fork = fs.fork();
    fork.append("/plan", [3; 1]).unwrap();
    assert_eq!(bytes(&ada), 201, "what a fork makes of it too");
    drop(fork);
    assert_eq!(bytes(&ada), 100);
}

#[test]
fn what_is_refused_has_changed_nothing_and_what_is_given_back_can_be_had() {
    let fs = MemFs::builder().build();
    let (ada, by_ada) = account();
    ada.set_limit(Limit { bytes: 100, nodes: 2 });
    let theirs = fs.seen_by(by_ada);
    theirs.write("/a", [1; 60]).unwrap();
    let over = |limit, used, asked| Err(Error::QuotaExceeded { limit, used, asked });
    assert_eq!(theirs.append("/a", [1; 41]).map(drop), over(100, 60, 41));
    assert_eq!(theirs.symlink("x".repeat(41), "/l").map(drop), over(100, 60, 41));
    theirs.create_dir("/d").unwrap();
    assert_eq!(theirs.create_dir("/e").map(drop), over(2, 2, 1));
    assert!(!fs.exists("/l").unwrap() && !fs.exists("/e").unwrap() && fs.read("/a").unwrap().len() == 60);
    assert_eq!(fs.root().attr().unwrap().nlink, 3);
    theirs.append("/a", [1; 40]).unwrap();
    // A hole is free, and so is making one.
    fs.truncate("/a", 1 << 30).unwrap();
    fs.truncate("/a", 10).unwrap();
    assert_eq!(bytes(&ada), 10);
    // Without an account nothing is limited.
    fs.write("/free", [1; 1_000]).unwrap();
    assert_eq!(ada.used(), Used { bytes: 10, nodes: 2 });
}

#[test]
fn a_file_of_single_bytes_far_apart_is_charged_with_what_holds_them_together() {
    const LIMIT: u64 = 1 << 20;
    for gap in [16 << 10, 512 << 10, 16 << 20] {
        let fs = MemFs::builder().build();
        let (ada, by_ada) = account();
        ada.set_limit(Limit { bytes: LIMIT, ..Limit::NONE });
        let theirs = fs.seen_by(by_ada);
        let file = theirs.open("/holes", &OpenOptions::write_only().create(0o644)).unwrap();
        let mut kept = 0;
        let refused = loop {
            match file.handle().write_at(kept * gap, b"x") {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
            assert!(kept <= LIMIT / 1024, "{kept} bytes {gap} apart, and no end");
        };
        assert_eq!(refused, Error::QuotaExceeded { limit: LIMIT, used: bytes(&ada), asked: 1024 });
        assert_eq!((kept, bytes(&ada)), (LIMIT / 1024, 1 + (kept - 1) * 1024));
        // What others are told of the file stays what it is anywhere.
        let attr = fs.metadata("/holes").unwrap();
        assert_eq!((attr.size, attr.blocks_512), ((kept - 1) * gap + 1, kept.div_ceil(512)));
        fs.truncate("/holes", gap + 1).unwrap();
        assert_eq!((bytes(&ada), fs.used_bytes()), (1 + 1024, 1 + 1024));
        fs.write("/holes", vec![1; 16_384 + 1]).unwrap();
        assert_eq!(bytes(&ada), 16_384 + 1024);
        drop(file);
        fs.delete("/holes").unwrap();
        assert_eq!(ada.used(), Used::default());
    }
}

#[test]
fn attributes_are_shortened_and_removed_where_there_is_no_room() {
    let fs = MemFs::builder().capacity_bytes(90).build();
    let (ada, by_ada) = account();
    let theirs = fs.seen_by(by_ada);
    let over = |limit, used, asked| Err(Error::QuotaExceeded { limit, used, asked });
    theirs.write("/plan", [1; 40]).unwrap();
    theirs.set_xattr("/plan", "user.x", [1; 44], SetXattr::Any).unwrap();
    ada.set_limit(Limit { bytes: 90, ..Limit::NONE });
    // Neither on the account nor in the filesystem is there a byte left.
    assert_eq!(theirs.set_xattr("/plan", "user.x", [1; 45], SetXattr::Any), over(90, 90, 1));
    theirs.set_xattr("/plan", "user.x", [2; 44], SetXattr::Any).unwrap();
    theirs.set_xattr("/plan", "user.x", [2; 30], SetXattr::Any).unwrap();
    assert_eq!((bytes(&ada), fs.used_bytes()), (76, 76));
    // What a snapshot shows makes no room.
    let snapshot = fs.snapshot();
    assert_eq!(theirs.set_xattr("/plan", "user.x", [3; 29], SetXattr::Any), over(90, 76, 35));
    theirs.remove_xattr("/plan", "user.x").unwrap();
    drop(snapshot);
    assert_eq!((bytes(&ada), fs.used_bytes()), (40, 40));
}

#[test]
fn whoever_has_a_file_copied_up_pays_for_the_copy() {
    let (below, above) = (MemFs::builder().build(), MemFs::builder().build());
    let ((ada, by_ada), (bob, by_bob), (cid, by_cid)) = (account(), account(), account());
    let theirs = below.seen_by(by_ada);
    theirs.create_dir("/d").unwrap();
    theirs.write("/d/one", [1; 100]).unwrap();
    theirs.write("/d/two", [1; 50]).unwrap();
    theirs.write("/d/three", [1; 30]).unwrap();
    let before = ada.used();
    let fs = OverlayFs::new([below.root()], above.root()).unwrap();
    fs.seen_by(by_bob.clone()).append("/d/one", [2; 5]).unwrap();
    assert_eq!(bob.used(), Used { bytes: 105, nodes: 2 }, "the file, and the directory it is in");
    // To be moved it has to be copied, too, and to be marked.
    fs.seen_by(by_cid.clone()).rename("/d/two", "/d/moved").unwrap();
    assert_eq!(cid.used(), Used { bytes: 50, nodes: 1 });
    fs.seen_by(by_cid.clone()).set_permissions("/d/three", 0o600).unwrap();
    assert_eq!(cid.used(), Used { bytes: 80, nodes: 2 });
    // Whoever writes over all of it copies nothing.
    theirs.write("/four", [1; 500]).unwrap();
    fs.seen_by(by_cid).write("/four", [2; 7]).unwrap();
    assert_eq!(cid.used(), Used { bytes: 87, nodes: 3 });
    fs.seen_by(by_bob).delete("/d/moved").unwrap();
    assert_eq!(cid.used(), Used { bytes: 37, nodes: 2 });
    assert_eq!(ada.used().bytes, before.bytes + 500, "what is below is not touched");
    drop(fs);
    // A copy that there is no room for leaves nothing.
    let fs = OverlayFs::new([below.root()], MemFs::builder().build().root()).unwrap();
    let (dan, by_dan) = account();
    dan.set_limit(Limit { bytes: 99, ..Limit::NONE });
    assert!(matches!(
        fs.seen_by(by_dan).append("/d/one", [2; 5]),
        Err(Error::QuotaExceeded { asked: 100, .. })
    ));
    assert_eq!(bytes(&dan), 0);
    assert_eq!(fs.read("/d/one").unwrap().len(), 100);
}

#[test]
fn an_account_goes_across_filesystems_and_through_mounts_with_quotas() {
    let mounts = Mounts::new(MemFs::builder().build().root());
    mounts.create_dir("/m").unwrap();
    let options = MountOptions::default().quota(Limit { bytes: 1_000, ..Limit::NONE });
    mounts.mount_with(b"/m", MemFs::builder().build().root(), options).unwrap();
    let (ada, by_ada) = account();
    ada.set_limit(Limit { bytes: 100, ..Limit::NONE });
    let theirs = mounts.seen_by(by_ada);
    theirs.write("/here", [1; 60]).unwrap();
    let over = Err(Error::QuotaExceeded { limit: 100, used: 60, asked: 41 });
    assert_eq!(theirs.write("/m/there", [1; 41]), over);
    // Of what the account refused, the owner of the mount has nothing either.
    assert_eq!(mounts.quota(b"/m", 0).unwrap().0.bytes, 0);
    theirs.write("/m/there", [1; 40]).unwrap();
    assert_eq!((bytes(&ada), mounts.quota(b"/m", 0).unwrap().0.bytes), (100, 40));
    mounts.rename("/here", "/m/moved").unwrap();
    assert_eq!(bytes(&ada), 40, "moved across, it is a copy of whoever moved it");
}

/// Files on one account, changed by all threads at once: no more than the limit is ever there, and in the end what there is.
#[test]
fn no_race_goes_beyond_the_limit() {
    const THREADS: usize = 4;
    let fs = MemFs::builder().build();
    let (ada, by_ada) = account();
    ada.set_limit(Limit { bytes: 10_000, nodes: 6 });
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (fs, ada, by_ada, barrier) = (&fs, &ada, by_ada.clone(), &barrier);
            scope.spawn(move || {
                barrier.wait();
                let theirs = fs.seen_by(by_ada);
                for round in 0..500 {
                    let path = format!("/{thread}-{}", round % 3);
                    match round % 5 {
                        0..=2 => drop(theirs.append(&path, vec![1; 100 + 37 * thread])),
                        3 => drop(theirs.rename(&path, format!("/{thread}-x"))),
                        _ => drop(theirs.delete(format!("/{thread}-x"))),
                    }
                    let used = ada.used();
                    assert!(used.bytes <= 10_000 && used.nodes <= 6, "{used:?}");
                }
            });
        }
    });
    let root = fs.root();
    let files = fs.list_dir("/").unwrap();
    let held: u64 = files
        .iter()
        .map(|file| {
            let name = uos_vfs::Name::new(&file.name).unwrap();
            root.lookup(ROOT, name).unwrap().attr().unwrap().size
        })
        .sum();
    assert_eq!(ada.used(), Used { bytes: held, nodes: files.len() as u64 });
    assert_eq!(held, fs.used_bytes());
}
