//! Where records end up.

use std::{collections::VecDeque, io, sync::Arc, time::SystemTime};

use parking_lot::Mutex;

use super::Record;

/// Takes records in batches, in order, on a thread of its own.
pub trait Sink: Send + 'static {
    /// Told once, before the first batch: the wall-clock time that a record's `at` counts from.
    fn start(&mut self, _epoch: SystemTime) {}

    /// Writes a batch down. A failure is counted, and the batch is offered again.
    fn write(&mut self, batch: &[Record]) -> io::Result<()>;
}

/// Keeps the newest records in memory, for tests and for programs that embed the kernel and want to look at them.
#[derive(Clone, Debug)]
pub struct Memory {
    records: Arc<Mutex<VecDeque<Record>>>,
    keep: usize,
}

impl Memory {
    /// Keeps at most `keep` records.
    pub fn new(keep: usize) -> Self {
        Self { records: Arc::default(), keep }
    }

    /// What is kept, oldest first. [`Log::flush`](super::Log::flush) first to see everything that happened.
    pub fn records(&self) -> Vec<Record> {
        self.records.lock().iter().cloned().collect()
    }

    /// Forgets what is kept.
    pub fn clear(&self) {
        self.records.lock().clear();
    }
}

impl Sink for Memory {
    fn write(&mut self, batch: &[Record]) -> io::Result<()> {
        let mut records = self.records.lock();
        for record in batch {
            if records.len() == self.keep {
                records.pop_front();
            }
            records.push_back(record.clone());
        }
        Ok(())
    }
}
