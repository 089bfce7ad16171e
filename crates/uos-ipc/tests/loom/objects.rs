//! What is made of pipes and queues, and what pays for them: quotas, pollers, sockets.

use super::{block_on, pipes::pipe};
use loom::thread;
use std::sync::Arc;
use uos_ipc::{Names, Poller, Quota, SocketKind};

#[test]
fn takes_at_the_same_time_never_overshoot_and_leave_nothing() {
    loom::model(|| {
        let root = Quota::root("all", 3);
        let owners = [root.child("a", 2), root.child("b", 2)];
        let taking = owners.clone().map(|owner| {
            let root = root.clone();
            thread::spawn(move || {
                let permit = owner.take(2);
                assert!(root.used() <= 3 && owner.used() <= 2);
                permit.is_ok()
            })
        });
        let taken = taking.map(|thread| thread.join().unwrap());
        assert!(taken.contains(&true), "one alone fits, whichever is first");
        assert_eq!((root.used(), owners[0].used(), owners[1].used()), (0, 0, 0));
    });
}

#[test]
fn a_poller_sees_whatever_comes_first() {
    loom::model(|| {
        let (one, _) = pipe(8);
        let (other, _) = pipe(8);
        let readers = [one.reader, other.reader].map(Arc::new);
        let mut poller = Poller::new();
        for (key, reader) in (0..).zip(&readers) {
            let reader = reader.clone();
            poller.add(key, move || reader.readable());
        }
        let writing = thread::spawn(move || {
            other.writer.try_write(b"x").unwrap();
            other.writer
        });
        assert_eq!(block_on(poller.wait()), [1]);
        drop((writing.join().unwrap(), one.writer));
    });
}

#[test]
fn a_socket_wakes_who_receives_and_who_accepts() {
    loom::model(|| {
        let quota = Quota::root("sockets", 1 << 20);
        let names = Names::new();
        let listener = names.listen(b"door", SocketKind::Stream, 8, 1, &quota).unwrap();
        let connecting = thread::spawn({
            let quota = quota.clone();
            move || {
                let socket = names.connect(b"door", &quota).unwrap();
                socket.try_send(b"x", &mut Vec::new()).unwrap();
                drop(socket);
                names
            }
        });
        let accepted = block_on(listener.accept()).unwrap();
        assert_eq!(&block_on(accepted.recv(8)).unwrap().bytes[..], b"x");
        assert!(block_on(accepted.recv(8)).unwrap().end);
        drop((connecting.join().unwrap(), listener, accepted));
        assert_eq!(quota.used(), 0);
    });
}
