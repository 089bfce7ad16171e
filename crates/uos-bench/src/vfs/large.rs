//! A file of 1 GiB, written and read in order, beside copying the same bytes from one piece of memory to
//! another: into memory that the process touches for the first time, and into one that it has.

use std::{
    hint::black_box,
    io::{Read, Write},
    time::Instant,
};

use uos_vfs::{FileSystem, MemFs, OpenOptions};

use super::{Bar, row, worlds::Done};
use crate::report::{Measurement, summary};

const SIZE: usize = 1 << 30;
/// As much as is handed over at once.
const PIECE: usize = 1 << 20;
const ROUNDS: usize = 5;

pub(super) fn measure() -> Done<Vec<Measurement>> {
    let piece: Vec<u8> = (0..PIECE).map(|at| at as u8).collect();
    let mut back = vec![0; PIECE];
    let (mut write, mut fresh, mut read, mut warm) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let fs = MemFs::builder().build();
        let mut file = fs.open("/large", &OpenOptions::write_only().create(0o644))?;
        let begun = Instant::now();
        for _ in 0..SIZE / PIECE {
            file.write_all(&piece)?;
        }
        write.push(begun.elapsed().as_secs_f64() * 1e3);
        let mut file = fs.open("/large", &OpenOptions::read_only())?;
        let begun = Instant::now();
        for _ in 0..SIZE / PIECE {
            file.read_exact(black_box(&mut back))?;
        }
        read.push(begun.elapsed().as_secs_f64() * 1e3);
        if back != piece {
            return Err("not what was written".into());
        }
        drop((file, fs));

        let begun = Instant::now();
        let mut memory = Vec::with_capacity(SIZE);
        for _ in 0..SIZE / PIECE {
            memory.extend_from_slice(black_box(&piece));
        }
        fresh.push(begun.elapsed().as_secs_f64() * 1e3);
        let begun = Instant::now();
        for part in memory.chunks_exact(PIECE) {
            back.copy_from_slice(black_box(part));
            black_box(&mut back);
        }
        warm.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let both = [
        ("MemFs write of 1 GiB in order", "copying into fresh memory", 0.9, write, fresh),
        ("MemFs read of 1 GiB in order", "copying into warm memory", 0.8, read, warm),
    ];
    let rows = both.into_iter().map(|(name, peer_name, least, ours, peer)| {
        let ((ours_best, ours), (peer_best, peer)) = (summary(ours, true), summary(peer, true));
        row(name, peer_name, "ms", Bar::Ratio(least), (ours, ours_best), (peer, peer_best), ROUNDS)
    });
    Ok(rows.collect())
}
