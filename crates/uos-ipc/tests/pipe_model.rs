//! Random histories of a pipe beside a naive model of pipe(2): the same answers, the same numbers.

use proptest::prelude::*;
use std::collections::VecDeque;
use uos_ipc::{Capacity, Pipe, PipeError, Quota, Reader, Writer};

#[derive(Clone, Debug)]
enum Op {
    Read { by: usize, max: usize },
    Write { by: usize, len: usize },
    CloneReader { by: usize },
    CloneWriter { by: usize },
    DropReader { by: usize },
    DropWriter { by: usize },
    CloseReader { by: usize },
    Destroy,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let by = || 0..4usize;
    let len = || prop_oneof![0..20usize, 4090..4100usize, 0..9000usize];
    let op = prop_oneof![
        10 => (by(), len()).prop_map(|(by, max)| Op::Read { by, max }),
        12 => (by(), len()).prop_map(|(by, len)| Op::Write { by, len }),
        2 => by().prop_map(|by| Op::CloneReader { by }),
        2 => by().prop_map(|by| Op::CloneWriter { by }),
        1 => by().prop_map(|by| Op::DropReader { by }),
        1 => by().prop_map(|by| Op::DropWriter { by }),
        1 => by().prop_map(|by| Op::CloseReader { by }),
        1 => Just(Op::Destroy),
    ];
    prop::collection::vec(op, 1..80)
}

proptest! {
    #[test]
    fn a_pipe_is_its_model(capacity in prop_oneof![1..64u64, 4090..4100u64, 1..20_000u64], ops in ops()) {
        let quota = Quota::root("pipes", 20_000);
        let Pipe { writer, reader, control } = Pipe::new(Capacity::new(capacity).unwrap(), &quota).unwrap();
        let mut readers: Vec<(Reader, bool)> = vec![(reader, true)];
        let mut writers: Vec<Writer> = vec![writer];
        let mut model = Model::new(capacity as usize);
        let mut next = 0u8;
        for op in ops {
            let before = control.stats();
            let mut refused = false;
            match op {
                Op::Read { by, max } if !readers.is_empty() => {
                    let (reader, open) = &readers[by % readers.len()];
                    let expected = if *open || model.destroyed { model.read(max) } else { Err(PipeError::Closed) };
                    refused = expected.is_err();
                    prop_assert_eq!(reader.try_read(max).map(|bytes| bytes.to_vec()), expected);
                }
                Op::Write { by, len } if !writers.is_empty() => {
                    // Every byte differs from its neighbours, so a mixed-up order can't hide.
                    let bytes: Vec<u8> = (0..len).map(|_| { next = next.wrapping_add(1); next }).collect();
                    let expected = model.write(&bytes);
                    refused = expected.is_err();
                    prop_assert_eq!(writers[by % writers.len()].try_write(&bytes), expected);
                }
                Op::CloneReader { by } if !readers.is_empty() => {
                    let (reader, open) = &readers[by % readers.len()];
                    let copy = (reader.clone(), *open);
                    readers.push(copy);
                }
                Op::CloneWriter { by } if !writers.is_empty() => {
                    writers.push(writers[by % writers.len()].clone());
                }
                Op::DropReader { by } if !readers.is_empty() => {
                    readers.swap_remove(by % readers.len());
                }
                Op::DropWriter { by } if !writers.is_empty() => {
                    writers.swap_remove(by % writers.len());
                }
                Op::CloseReader { by } if !readers.is_empty() => {
                    let at = by % readers.len();
                    readers[at].0.close();
                    readers[at].1 = false;
                }
                Op::Destroy => {
                    control.destroy();
                    model.destroyed = true;
                }
                _ => {}
            }
            model.readers = readers.iter().filter(|(_, open)| *open).count();
            model.writers = writers.len();
            model.settle();

            let stats = control.stats();
            if refused {
                prop_assert_eq!(stats, before, "a refused call changes nothing");
            }
            prop_assert_eq!(
                stats.written_bytes,
                stats.read_bytes + stats.buffered_bytes as u64 + stats.discarded_bytes
            );
            prop_assert_eq!((stats.readers, stats.writers), (model.readers, model.writers));
            prop_assert_eq!(stats.buffered_bytes, model.bytes.len());
            prop_assert!(stats.buffered_bytes <= stats.capacity_bytes);
            prop_assert_eq!(quota.used(), if model.is_over() { 0 } else { capacity });
        }
        drop((readers, writers));
        prop_assert_eq!(quota.used(), 0, "though the control is still there");
    }
}

struct Model {
    capacity: usize,
    bytes: VecDeque<u8>,
    readers: usize,
    writers: usize,
    destroyed: bool,
    discarded: u64,
}

impl Model {
    fn new(capacity: usize) -> Model {
        Model { capacity, bytes: VecDeque::new(), readers: 1, writers: 1, destroyed: false, discarded: 0 }
    }

    fn read(&mut self, max: usize) -> Result<Vec<u8>, PipeError> {
        if self.destroyed {
            return Err(PipeError::Destroyed { discarded_bytes: self.discarded });
        }
        if max > 0 && self.bytes.is_empty() && self.writers > 0 {
            return Err(PipeError::WouldBlock { asked: max, available: 0 });
        }
        Ok((0..max).map_while(|_| self.bytes.pop_front()).collect())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize, PipeError> {
        if self.destroyed {
            return Err(PipeError::Destroyed { discarded_bytes: self.discarded });
        }
        if !bytes.is_empty() && self.readers == 0 {
            return Err(PipeError::BrokenPipe);
        }
        let available = self.capacity - self.bytes.len();
        let whole = bytes.len() <= 4096.min(self.capacity);
        if !bytes.is_empty() && (available == 0 || (whole && available < bytes.len())) {
            return Err(PipeError::WouldBlock { asked: bytes.len(), available });
        }
        let written = bytes.len().min(available);
        self.bytes.extend(&bytes[..written]);
        Ok(written)
    }

    fn settle(&mut self) {
        if self.destroyed || self.readers == 0 {
            self.discarded += self.bytes.len() as u64;
            self.bytes.clear();
        }
    }

    fn is_over(&self) -> bool {
        self.destroyed || self.readers == 0 || (self.writers == 0 && self.bytes.is_empty())
    }
}
