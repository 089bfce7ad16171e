//! What a program writes to a standard stream, kept for ReadOutput: by offset, bounded, read as often as wanted.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::{io::AsyncReadExt, sync::Notify};
use uos_ipc::{Permit, Quota};

/// Room is charged in steps of this size.
const STEP: usize = 64 << 10;
/// How much is read from a program at once.
const GULP: usize = 16 << 10;
/// How long the stream of an ended program may stay silent before it is taken for ended too. Only a descendant that
/// escaped its process group can still hold it open.
const SILENCE: Duration = Duration::from_millis(250);
/// How long such a descendant may go on writing.
const AFTERLIFE: Duration = Duration::from_secs(2);

/// What happens when the room is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// The oldest goes.
    DropOldest,
    /// The program waits until it is read.
    Wait,
}

/// One kept stream.
pub(crate) struct Output {
    /// Protects the kept bytes; held for a copy at most.
    state: Mutex<State>,
    /// Somebody may have to look again: there is more, it has ended, or there is room.
    changed: Notify,
    when_full: WhenFull,
    most: usize,
    quota: Quota,
}

struct State {
    kept: VecDeque<u8>,
    /// The offset of the first kept byte.
    start: u64,
    ended: bool,
    room: Vec<Permit>,
}

/// A part of a stream.
pub(crate) struct Part {
    pub(crate) data: Bytes,
    pub(crate) offset: u64,
    pub(crate) end: bool,
}

/// The offset lies beyond everything the stream will ever hold.
pub(crate) struct BeyondEnd {
    pub(crate) length: u64,
}

impl Output {
    pub(crate) fn new(most: usize, when_full: WhenFull, quota: Quota) -> Self {
        let state = State { kept: VecDeque::new(), start: 0, ended: false, room: Vec::new() };
        Self { state: Mutex::new(state), changed: Notify::new(), when_full, most, quota }
    }

    /// How much is kept.
    pub(crate) fn kept_bytes(&self) -> u64 {
        self.state.lock().kept.len() as u64
    }

    /// Reads from an offset; waits until there is something there or the stream has ended.
    pub(crate) async fn read(&self, offset: u64, max: usize) -> Result<Part, BeyondEnd> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(answer) = self.try_read(offset, max) {
                return answer;
            }
            changed.await;
        }
    }

    fn try_read(&self, offset: u64, max: usize) -> Option<Result<Part, BeyondEnd>> {
        let mut state = self.state.lock();
        let length = state.start + state.kept.len() as u64;
        if offset > length {
            return state.ended.then_some(Err(BeyondEnd { length }));
        }
        if self.when_full == WhenFull::Wait && offset > state.start {
            let gone = (offset - state.start) as usize;
            state.kept.drain(..gone);
            state.start = offset;
            state.give_back_room();
            self.changed.notify_waiters();
        }
        let from = offset.max(state.start);
        if from == length && !state.ended {
            return None;
        }
        let skip = (from - state.start) as usize;
        let take = max.min(state.kept.len() - skip);
        let mut data = Vec::with_capacity(take);
        data.extend(state.kept.range(skip..skip + take));
        let end = state.ended && from + take as u64 == length;
        Some(Ok(Part { data: data.into(), offset: from, end }))
    }

    /// Waits until the program may write more.
    async fn room(&self) {
        if self.when_full == WhenFull::DropOldest {
            return;
        }
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state.lock().kept.len() < self.most {
                return;
            }
            changed.await;
        }
    }

    fn push(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        while state.room.len() * STEP < state.kept.len() + bytes.len() && state.room.len() * STEP < self.most
        {
            match self.quota.take(STEP as u64) {
                Ok(permit) => state.room.push(permit),
                Err(_) => break,
            }
        }
        // A program that must not lose output overshoots by one gulp at most, when its quota is gone.
        let most = match self.when_full {
            WhenFull::DropOldest => self.most.min(state.room.len() * STEP),
            WhenFull::Wait => usize::MAX,
        };
        state.kept.extend(bytes);
        let gone = state.kept.len().saturating_sub(most);
        state.kept.drain(..gone);
        state.start += gone as u64;
        drop(state);
        self.changed.notify_waiters();
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.give_back_room();
        drop(state);
        self.changed.notify_waiters();
    }

    /// Takes in everything a program writes, to the end of its stream or, once `ended` is ready, to its silence.
    pub(crate) async fn take_in(&self, mut source: uos_proc::Output, ended: impl Future<Output = ()>) {
        tokio::pin!(ended);
        let mut gulp = vec![0; GULP];
        let alive = async {
            loop {
                self.room().await;
                match source.read(&mut gulp).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => self.push(&gulp[..count]),
                }
            }
        };
        let over = tokio::select! {
            () = alive => true,
            () = &mut ended => false,
        };
        if !over {
            let rest = async {
                while let Ok(Ok(count @ 1..)) = tokio::time::timeout(SILENCE, source.read(&mut gulp)).await {
                    self.push(&gulp[..count]);
                }
            };
            // Whether it fell silent or its time was up, the stream is over.
            let _ = tokio::time::timeout(AFTERLIFE, rest).await;
        }
        self.end();
    }
}

impl State {
    fn give_back_room(&mut self) {
        self.kept.shrink_to(self.kept.len().next_multiple_of(STEP));
        self.room.truncate(self.kept.len().div_ceil(STEP));
    }
}

#[cfg(test)]
mod tests {
    use super::{Output, STEP, WhenFull};
    use uos_ipc::Quota;

    fn output(most: usize, when_full: WhenFull) -> (Output, Quota) {
        let quota = Quota::root("output_bytes", 1 << 20);
        (Output::new(most, when_full, quota.clone()), quota)
    }

    #[tokio::test]
    async fn the_newest_is_kept_and_the_gap_is_seen() {
        let (output, quota) = output(STEP, WhenFull::DropOldest);
        output.push(&vec![b'a'; STEP]);
        output.push(b"tail");
        output.end();
        let part = output.read(0, usize::MAX).await.ok().unwrap();
        assert_eq!((part.offset, part.data.len(), part.end), (4, STEP, true));
        assert!(part.data.ends_with(b"tail"));
        assert!(output.read(STEP as u64 + 5, 1).await.is_err_and(|beyond| beyond.length == STEP as u64 + 4));
        drop(output);
        assert_eq!(quota.used(), 0);
    }

    #[tokio::test]
    async fn reading_on_makes_room_where_nothing_may_be_lost() {
        let (output, _quota) = output(8, WhenFull::Wait);
        output.push(b"12345678");
        assert!(tokio::time::timeout(std::time::Duration::ZERO, output.room()).await.is_err());
        assert_eq!(&output.read(0, 3).await.ok().unwrap().data[..], b"123");
        assert_eq!(&output.read(3, 9).await.ok().unwrap().data[..], b"45678");
        tokio::time::timeout(std::time::Duration::ZERO, output.room()).await.unwrap();
    }
}
