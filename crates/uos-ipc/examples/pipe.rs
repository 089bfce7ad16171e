//! A producer and a consumer on two threads, through a pipe far smaller than what passes through it.

use bytes::Bytes;
use std::thread;
use uos_ipc::{Capacity, Pipe, Quota};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let quota = Quota::root("pipes", 1 << 20);
    let Pipe { writer, reader, control } = Pipe::new(Capacity::new(8 << 10)?, &quota)?;

    let producer = thread::spawn(move || {
        let mut left = Bytes::from(vec![7; 256 << 10]);
        while !left.is_empty() {
            // Longer than the pipe: each write says how much of it went in.
            let written = writer.write_blocking(left.clone())?;
            let _ = left.split_to(written);
        }
        Ok::<(), uos_ipc::PipeError>(())
    });

    let mut received = 0;
    loop {
        let bytes = reader.read_blocking(4 << 10)?;
        if bytes.is_empty() {
            break;
        }
        received += bytes.len();
    }
    producer.join().expect("the producer does not panic")?;

    println!("received {received} bytes through {} KiB", control.stats().capacity_bytes >> 10);
    println!("{quota:?}");
    Ok(())
}
