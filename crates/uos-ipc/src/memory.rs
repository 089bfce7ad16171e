//! Bytes that somebody else may change at any time: mapped memory, and the only unsafe code of this crate.
//!
//! No reference into the bytes is ever made, as a reference promises that nobody writes meanwhile. Bytes are copied in and
//! out through raw pointers, and what another process must be told of goes through the atomic words at the front.

#[cfg(any(loom, shuttle))]
mod model;
#[cfg(any(loom, shuttle))]
pub(crate) use model::{Memory, RingMemory};

#[cfg(not(any(loom, shuttle)))]
pub(crate) use mapped::{Memory, RingMemory};

#[cfg(not(any(loom, shuttle)))]
mod mapped {
    use rustix::io::Errno;
    use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
    use rustix::thread::futex;
    use std::os::fd::BorrowedFd;
    use std::ptr::{self, NonNull};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, AtomicU64};
    use std::time::Duration;

    /// One mapping. It goes when this is dropped.
    pub(crate) struct Memory {
        base: NonNull<u8>,
        len: usize,
        writable: bool,
    }

    // SAFETY: a mapping belongs to the process and not to a thread, and everything below takes it as memory that others
    // change at the same time anyway.
    unsafe impl Send for Memory {}
    // SAFETY: as above.
    unsafe impl Sync for Memory {}

    impl Memory {
        /// The first `len` bytes of a file that can't shrink, shared with whoever else has mapped it.
        pub(crate) fn map(fd: BorrowedFd<'_>, len: usize, writable: bool) -> Result<Memory, Errno> {
            let prot = if writable { ProtFlags::READ | ProtFlags::WRITE } else { ProtFlags::READ };
            // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory that is in use.
            let base = unsafe { mmap(ptr::null_mut(), len, prot, MapFlags::SHARED, fd, 0) }?;
            Memory::at(base.cast(), len, writable)
        }

        /// Memory of this process alone, and of what it forks.
        pub(crate) fn anonymous(len: usize) -> Result<Memory, Errno> {
            let prot = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: as in `map`.
            let base = unsafe { mmap_anonymous(ptr::null_mut(), len, prot, MapFlags::SHARED) }?;
            Memory::at(base.cast(), len, true)
        }

        fn at(base: *mut u8, len: usize, writable: bool) -> Result<Memory, Errno> {
            NonNull::new(base).map(|base| Memory { base, len, writable }).ok_or(Errno::NOMEM)
        }

        #[inline]
        pub(crate) fn len(&self) -> usize {
            self.len
        }

        #[inline]
        pub(crate) fn as_ptr(&self) -> *mut u8 {
            self.base.as_ptr()
        }

        /// Copies in. That the range exists is the caller's to know; a wrong one ends the thread, not the process.
        #[inline]
        pub(crate) fn copy_in(&self, at: usize, bytes: &[u8]) {
            self.check(at, bytes.len(), true);
            // SAFETY: the range is within the mapping, which is writable and lives as long as `self`; the source is a
            // Rust slice, which no mapping made here is ever lent out as, so they don't overlap.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.as_ptr().add(at), bytes.len()) }
        }

        /// Copies out. What another process writes meanwhile may be in it in part.
        #[inline]
        pub(crate) fn copy_out(&self, at: usize, bytes: &mut [u8]) {
            self.check(at, bytes.len(), false);
            // SAFETY: as in `copy_in`, the other way round.
            unsafe { ptr::copy_nonoverlapping(self.base.as_ptr().add(at), bytes.as_mut_ptr(), bytes.len()) }
        }

        /// Copies `len` bytes to the end of `bytes`, without clearing the room for them first.
        #[inline]
        pub(crate) fn append_to(&self, at: usize, len: usize, bytes: &mut Vec<u8>) {
            self.check(at, len, false);
            bytes.reserve(len);
            let end = bytes.len();
            // SAFETY: the source is within the mapping; the target is the spare capacity that was just reserved, all of
            // which is written before it counts as part of the vector.
            unsafe {
                ptr::copy_nonoverlapping(self.base.as_ptr().add(at), bytes.as_mut_ptr().add(end), len);
                bytes.set_len(end + len);
            }
        }

        /// Sets all bytes to zero.
        pub(crate) fn clear(&self) {
            self.check(0, self.len, true);
            // SAFETY: the whole of a writable mapping.
            unsafe { ptr::write_bytes(self.base.as_ptr(), 0, self.len) }
        }

        #[inline(always)]
        fn check(&self, at: usize, len: usize, writes: bool) {
            assert!(at <= self.len && len <= self.len - at, "{len} bytes at {at} of {}", self.len);
            assert!(self.writable || !writes, "a write through a mapping that is only read");
        }
    }

    /// Memory with a ring in it, looked at once: a writable page of words and flags, and a power of two of bytes behind it. What
    /// is done for every message needs no check after that.
    pub(crate) struct RingMemory {
        memory: Arc<Memory>,
        base: NonNull<u8>,
        mask: u64,
    }

    // SAFETY: it is a `Memory` and a pointer into it.
    unsafe impl Send for RingMemory {}
    // SAFETY: as above.
    unsafe impl Sync for RingMemory {}

    impl RingMemory {
        /// Where the bytes begin.
        pub(crate) const BYTES: usize = 4096;

        pub(crate) fn new(memory: Arc<Memory>, storage: u64) -> RingMemory {
            let bytes = memory.len.checked_sub(RingMemory::BYTES).expect("a page of words and flags") as u64;
            assert!(
                storage.is_power_of_two() && storage <= bytes && memory.writable,
                "{storage} of {bytes} bytes"
            );
            RingMemory { base: memory.base, mask: storage - 1, memory }
        }

        #[inline(always)]
        pub(crate) fn word<const AT: usize>(&self) -> &AtomicU64 {
            const { assert!(AT.is_multiple_of(8) && AT + 8 <= RingMemory::BYTES) };
            // SAFETY: in the first page, which is there and writable, as was looked at; aligned, as mappings begin at a page;
            // and only ever used atomically: what a foreign process does to it is another value and nothing worse.
            unsafe { AtomicU64::from_ptr(self.base.as_ptr().add(AT).cast()) }
        }

        #[inline(always)]
        pub(crate) fn flag<const AT: usize>(&self) -> &AtomicU32 {
            const { assert!(AT.is_multiple_of(4) && AT + 4 <= RingMemory::BYTES) };
            // SAFETY: as in `word`.
            unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(AT).cast()) }
        }

        /// Sleeps while the flag has this value, until somebody wakes it or the time is over. It may also wake for nothing.
        pub(crate) fn sleep(&self, flag: &AtomicU32, while_it_is: u32, at_most: Option<Duration>) {
            let timeout = at_most.and_then(|time| time.try_into().ok());
            // Woken, interrupted, timed out, or another value by now: the caller looks again in any case.
            let _ = futex::wait(flag, futex::Flags::empty(), while_it_is, timeout.as_ref());
        }

        /// Wakes everybody who sleeps at that flag, in this process and in all others.
        pub(crate) fn wake(&self, flag: &AtomicU32) {
            let _ = futex::wake(flag, futex::Flags::empty(), i32::MAX as u32);
        }

        /// Copies a slot to where that index is. Indices of slots are multiples of 64.
        #[inline(always)]
        pub(crate) fn slot_in(&self, index: u64, slot: &[u8; 64]) {
            let at = RingMemory::BYTES + (index & self.mask & !63) as usize;
            // SAFETY: with a storage of 64 or more, 64 bytes from a multiple of 64 below it are in it; with less, they begin at
            // its begin, in a page that is mapped as a whole. The source is a Rust value, and no mapping is one.
            unsafe { ptr::copy_nonoverlapping(slot.as_ptr(), self.base.as_ptr().add(at), 64) }
        }

        /// Copies the slot out that is at that index.
        #[inline(always)]
        pub(crate) fn slot_out(&self, index: u64) -> [u8; 64] {
            let at = RingMemory::BYTES + (index & self.mask & !63) as usize;
            let mut slot = [0; 64];
            // SAFETY: as in `slot_in`.
            unsafe { ptr::copy_nonoverlapping(self.base.as_ptr().add(at), slot.as_mut_ptr(), 64) }
            slot
        }
    }

    impl std::ops::Deref for RingMemory {
        type Target = Memory;

        fn deref(&self) -> &Memory {
            &self.memory
        }
    }

    impl Drop for Memory {
        fn drop(&mut self) {
            // SAFETY: the mapping is this one's, and every pointer into it was used only while `self` was borrowed.
            let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
            debug_assert!(unmapped.is_ok(), "{unmapped:?}");
        }
    }
}
