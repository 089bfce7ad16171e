//! A file of 1 GiB, written and read in order, beside copying the same bytes from one piece of memory to
//! another: into memory that the process touches for the first time, and out of one that it has.
//!
//! Each round is a process of its own, as an allocator hands out again what was used before. The two take turns in going
//! first: a virtual machine's host takes back what lay free for a while, and whoever is first to touch it again waits for it.

use std::{
    hint::black_box,
    io::{Read, Write},
    process::Command,
    time::Instant,
};

use uos_vfs::{FileSystem, MemFs, OpenOptions};

use super::{Bar, row, worlds::Done};
use crate::report::{Measurement, summary};

const SIZE: usize = 1 << 30;
/// As much as is handed over at once.
const PIECE: usize = 1 << 20;
/// Even, so that each side goes first as often as the other.
const ROUNDS: usize = 8;

pub(super) fn measure() -> Done<Vec<Measurement>> {
    let (mut write, mut fresh, mut read, mut warm) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let early = if round % 2 == 1 { Some(in_child("plain")?) } else { None };
        let ours = in_child("ours")?;
        let plain = early.map_or_else(|| in_child("plain"), Ok)?;
        // The first round has the host give the memory.
        if round > 0 {
            write.push(ours.0);
            read.push(ours.1);
            fresh.push(plain.0);
            warm.push(plain.1);
        }
    }
    let both = [
        ("MemFs write of 1 GiB in order", "copying into fresh memory", 0.9, write, fresh),
        ("MemFs read of 1 GiB in order", "copying out of warm memory", 0.8, read, warm),
    ];
    let rows = both.into_iter().map(|(name, peer_name, least, ours, peer)| {
        let ((ours_best, ours), (peer_best, peer)) = (summary(ours, true), summary(peer, true));
        row(name, peer_name, "ms", Bar::Ratio(least), (ours, ours_best), (peer, peer_best), ROUNDS)
    });
    Ok(rows.collect())
}

fn in_child(which: &str) -> Done<(f64, f64)> {
    let output = Command::new(std::env::current_exe()?).args(["--one-round-of", which]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let (write, read) = text.trim().split_once(' ').ok_or("a round says two times")?;
    Ok((write.parse()?, read.parse()?))
}

/// What a child does: prints the milliseconds of writing and of reading.
pub(super) fn round(which: &str) -> Done {
    let piece: Vec<u8> = (0..PIECE).map(|at| at as u8).collect();
    let mut back = vec![0; PIECE];
    let (write, read) = match which {
        "ours" => {
            let fs = MemFs::builder().build();
            let mut file = fs.open("/large", &OpenOptions::write_only().create(0o644))?;
            let begun = Instant::now();
            for _ in 0..SIZE / PIECE {
                file.write_all(&piece)?;
            }
            let write = begun.elapsed();
            let mut file = fs.open("/large", &OpenOptions::read_only())?;
            let begun = Instant::now();
            for _ in 0..SIZE / PIECE {
                file.read_exact(black_box(&mut back))?;
            }
            (write, begun.elapsed())
        }
        _ => {
            let begun = Instant::now();
            let mut memory = Vec::with_capacity(SIZE);
            for _ in 0..SIZE / PIECE {
                memory.extend_from_slice(black_box(&piece));
            }
            let write = begun.elapsed();
            let begun = Instant::now();
            for part in memory.chunks_exact(PIECE) {
                back.copy_from_slice(black_box(part));
                black_box(&mut back);
            }
            (write, begun.elapsed())
        }
    };
    if back != piece {
        return Err("not what was written".into());
    }
    println!("{} {}", write.as_secs_f64() * 1e3, read.as_secs_f64() * 1e3);
    Ok(())
}
