//! Messages through the kernel's sockets, to and from programs that know nothing of us, one of which is hostile.
#![cfg(all(target_os = "linux", not(any(loom, shuttle))))]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use std::io::{IoSlice, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use uos_ipc::{Channel, KernelQueue, Limits, Message, QueueError};

fn queue(messages: u64, bytes: u64) -> KernelQueue {
    KernelQueue::new(Limits::new(messages, bytes).unwrap()).unwrap()
}

/// A queue of which somebody else has the sending end.
fn with_a_foreign_sender(bytes: u64) -> (KernelQueue, OwnedFd) {
    let queue = queue(16, bytes);
    let foreign = queue.sender_for_child().unwrap();
    queue.close_send();
    (queue, foreign)
}

#[test]
fn a_program_receives_what_is_sent_and_then_the_end() {
    let queue = queue(4, 100);
    let receiver = queue.receiver_for_child().unwrap();
    let mut cat = Command::new("cat").stdin(Stdio::from(receiver)).stdout(Stdio::piped()).spawn().unwrap();
    queue.close_recv();
    for word in ["one ", "two ", "three"] {
        queue.send_blocking(Message::from(word.as_bytes())).unwrap();
    }
    queue.close_send();
    let mut seen = String::new();
    cat.stdout.take().unwrap().read_to_string(&mut seen).unwrap();
    assert_eq!(seen, "one two three");
    assert!(cat.wait().unwrap().success());
}

#[test]
fn a_program_sends_and_each_of_its_writes_is_a_message() {
    let (queue, sender) = with_a_foreign_sender(100);
    let mut shell = {
        // Which keeps its copy of the sender for as long as it is there.
        let mut command = Command::new("sh");
        command.args(["-c", "printf one; printf two"]).stdout(Stdio::from(sender)).spawn().unwrap()
    };
    assert_eq!(queue.recv_blocking().unwrap(), Message::from(b"one"));
    assert_eq!(queue.recv_blocking().unwrap(), Message::from(b"two"));
    assert_eq!(queue.recv_blocking(), Err(QueueError::Ended));
    assert!(shell.wait().unwrap().success());
}

#[test]
fn a_receiver_that_is_killed_is_noticed() {
    let queue = queue(1, 100);
    let receiver = queue.receiver_for_child().unwrap();
    let mut sleeper = Command::new("sleep").arg("600").stdin(Stdio::from(receiver)).spawn().unwrap();
    queue.close_recv();
    while queue.try_send(Message::from(b"unread")).is_ok() {}
    sleeper.kill().unwrap();
    assert_eq!(queue.send_blocking(Message::from(b"x")), Err(QueueError::Abandoned));
    sleeper.wait().unwrap();
}

#[test]
fn a_message_that_is_too_long_ends_the_queue_and_no_other() {
    let (queue, foreign) = with_a_foreign_sender(100);
    let (other, its_sender) = with_a_foreign_sender(100);
    send(&foreign, &[1; 100], SendFlags::empty()).unwrap();
    send(&foreign, &[2; 101], SendFlags::empty()).unwrap();
    send(&foreign, b"after that", SendFlags::empty()).unwrap();
    assert_eq!(&*queue.try_recv().unwrap(), &[1; 100]);
    for _ in 0..2 {
        assert_eq!(queue.try_recv(), Err(QueueError::PeerCorrupt));
    }
    assert_eq!(queue.recv_blocking(), Err(QueueError::PeerCorrupt), "who waits is told at once");
    assert!(send(&foreign, b"x", SendFlags::NOSIGNAL).is_err(), "and so is who has sent it");
    assert_eq!(queue.stats().receivers, 0);
    send(&its_sender, b"as before", SendFlags::empty()).unwrap();
    assert_eq!(other.try_recv().unwrap(), Message::from(b"as before"));
}

#[test]
fn a_foreign_message_of_nothing_is_not_the_end() {
    let (queue, foreign) = with_a_foreign_sender(100);
    for _ in 0..3 {
        send(&foreign, b"", SendFlags::empty()).unwrap();
    }
    send(&foreign, b"x", SendFlags::empty()).unwrap();
    drop(foreign);
    for len in [0, 0, 0, 1] {
        assert_eq!(queue.try_recv().unwrap().len(), len);
    }
    // Another test that starts a program has copies of everything for a moment.
    assert_eq!(queue.recv_blocking(), Err(QueueError::Ended));
}

#[test]
fn descriptors_in_a_message_never_get_here() {
    let (queue, foreign) = with_a_foreign_sender(100);
    let (kept, sent) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    for bytes in [&b"with one"[..], b""] {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [sent.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        sendmsg(&foreign, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
    }
    drop(sent);
    assert_eq!(&*queue.try_recv().unwrap(), b"with one");
    assert_eq!(queue.try_recv().unwrap().len(), 0);
    // Nobody has the pipe's writing end any more: it is at its end.
    assert_eq!(rustix::io::read(&kept, &mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_foreign_end_can_send_nothing_the_other_way() {
    let queue = queue(4, 100);
    let foreign = queue.receiver_for_child().unwrap();
    assert!(send(&foreign, b"back", SendFlags::NOSIGNAL).is_err());
    queue.try_send(Message::from(b"forth")).unwrap();
    assert_eq!(queue.try_recv().unwrap(), Message::from(b"forth"));
}

#[test]
fn what_the_kernel_has_no_room_for_is_refused() {
    let most = std::fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap();
    let most: u64 = most.trim().parse().unwrap();
    let (fits, exceeds) = (most - 512, most - 511);
    assert!(KernelQueue::new(Limits::new(1, fits).unwrap()).is_ok());
    let refused = KernelQueue::new(Limits::new(1, exceeds).unwrap()).err();
    assert_eq!(refused, Some(QueueError::Os { errno: 105 }), "{most}");
}
