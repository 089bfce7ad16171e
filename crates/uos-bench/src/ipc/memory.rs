//! Shared memory beside memcpy and beside the calls it is made of.

use std::{hint::black_box, ptr};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create},
    mm::{MapFlags, ProtFlags, mmap, munmap},
};
use uos_ipc::{Access, Quota, Segments, Sharing};

use super::{rounds, row};
use crate::{Result, report::Measurement};

const SIZE: usize = 1 << 20;

pub(super) fn measure(quota: &Quota) -> Result<Vec<Measurement>> {
    Ok(vec![writing(quota)?, making(quota)?])
}

/// 1 MiB into memory that was touched before.
fn writing(quota: &Quota) -> Result<Measurement> {
    let mapping = Segments::new(quota).create(SIZE as u64, Sharing::Writers)?.attach(Access::ReadWrite)?;
    let (source, mut target) = (vec![7; SIZE], vec![0; SIZE]);
    let times = rounds(
        50,
        || Ok(mapping.write(0, black_box(&source))?),
        || {
            target.copy_from_slice(black_box(&source));
            black_box(&mut target);
            Ok(())
        },
    )?;
    Ok(row("1 MiB into a segment, warm", "memcpy", times, 0.97))
}

/// Made, sealed, mapped, unmapped and closed.
fn making(quota: &Quota) -> Result<Measurement> {
    let segments = Segments::new(quota);
    let times = rounds(
        500,
        || {
            drop(black_box(segments.create(SIZE as u64, Sharing::Writers)?.attach(Access::ReadWrite)?));
            Ok(())
        },
        by_hand,
    )?;
    Ok(row("make, map and drop a segment of 1 MiB", "the raw calls", times, 1.0 / 1.3))
}

#[expect(unsafe_code, reason = "the raw calls are what is measured against")]
fn by_hand() -> Result<()> {
    let fd =
        memfd_create(c"bench", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING | MemfdFlags::NOEXEC_SEAL)?;
    ftruncate(&fd, SIZE as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW)?;
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh mapping at an address of the kernel's choice, which is not used and unmapped at once.
    unsafe {
        let mapped = mmap(ptr::null_mut(), SIZE, prot, MapFlags::SHARED, &fd, 0)?;
        munmap(black_box(mapped), SIZE)?;
    }
    Ok(())
}
