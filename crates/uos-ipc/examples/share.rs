//! Passes a segment to a program that knows nothing of this crate: Python maps it, reads what Rust wrote, and finds that it
//! can't write.
//!
//! The program needs no more than `recvmsg` and `mmap`: a packet has 32 bytes, of which the last 16 begin with the length.

use std::process::{Command, Stdio};
use uos_ipc::{Access, Handoff, Quota, Segments, Sharing};

const PROGRAM: &str = r#"
import mmap, os, socket, struct, sys
control = socket.socket(fileno=os.dup(0))
packet, [fd], _, _ = socket.recv_fds(control, 64, 1)
magic, kind, role, _, length, _ = struct.unpack("<4sIIIQQ", packet)
assert (magic, kind, role) == (b"uOS1", 1, 0), packet
with mmap.mmap(fd, length, prot=mmap.PROT_READ) as segment:
    seen = segment[:].rstrip(b"\0").decode()
writes = []
for attempt in (lambda: mmap.mmap(fd, length, prot=mmap.PROT_READ | mmap.PROT_WRITE),
                lambda: os.pwrite(fd, b"x", 0),
                lambda: os.pwrite(os.open(f"/proc/self/fd/{fd}", os.O_RDWR), b"x", 0),
                lambda: os.truncate(fd, 0)):
    try:
        attempt()
        writes.append("done")
    except OSError:
        writes.append("refused")
control.send(f"{seen}; {' '.join(writes)}".encode())
"#;

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let answer = pass_to_python("written by Rust")?;
    println!("Python read and tried: {answer}");
    Ok(())
}

/// What the program says it has seen, and what became of its attempts to write, resize and reopen.
pub(crate) fn pass_to_python(text: &str) -> Result<String, Box<dyn std::error::Error>> {
    let quota = Quota::root("shared memory", Segments::MAX_TOTAL_BYTES);
    let segment = Segments::new(&quota).create(10_000, Sharing::ReadersOnly)?;
    segment.attach(Access::ReadWrite)?.write(0, text.as_bytes())?;

    let (here, there) = Handoff::pair()?;
    let mut child =
        Command::new("python3").args(["-c", PROGRAM]).stdin(Stdio::from(there.into_fd())).spawn()?;
    let (enforcement, lease) = here.send_segment(&segment, Access::ReadOnly)?;
    println!("only for reading, by the word of the {enforcement:?}");
    let answer = here.recv()?.ok_or("the program has ended without an answer")?;
    child.wait()?;
    drop(lease);
    Ok(String::from_utf8(answer.bytes)?)
}
