//! What one watcher has not heard yet: in order, bounded, and with a word where something was left out.

use super::Next;
use crate::sync::Mutex;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// Many may put in, one takes out.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// Nobody is woken and no waker dropped while it is held.
    state: Mutex<State<T>>,
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    unheard: VecDeque<T>,
    /// Something was left out behind all that is there. Nothing is taken in until that has been said.
    overflowed: bool,
    waiting: Option<Waker>,
}

impl<T: PartialEq> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let unheard = VecDeque::new();
        let state = State { unheard, overflowed: false, waiting: None };
        Queue { state: Mutex::new(state), capacity: capacity.max(1) }
    }

    /// Puts something in, and gives whom to wake for it once all locks are let go. What is the same as the last
    /// one that is unheard is not said twice.
    #[must_use]
    pub(crate) fn push(&self, item: T) -> Option<Waker> {
        let mut state = self.state.lock();
        if state.overflowed || state.unheard.back() == Some(&item) {
            return None;
        }
        if state.unheard.len() == self.capacity {
            state.overflowed = true;
        } else {
            state.unheard.push_back(item);
        }
        state.waiting.take()
    }

    /// The next one, if there is one.
    pub(crate) fn take(&self) -> Option<Next<T>> {
        Self::next(&mut self.state.lock())
    }

    /// The next one; else whoever asked last is woken when there is one.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<Next<T>> {
        let waker = cx.waker().clone();
        let _before;
        let mut state = self.state.lock();
        if let Some(next) = Self::next(&mut state) {
            return Poll::Ready(next);
        }
        // In the same step as having found nothing: whoever puts something in after this sees it.
        _before = state.waiting.replace(waker);
        drop(state);
        Poll::Pending
    }

    fn next(state: &mut State<T>) -> Option<Next<T>> {
        if let Some(item) = state.unheard.pop_front() {
            return Some(Next::Event(item));
        }
        std::mem::take(&mut state.overflowed).then_some(Next::Overflow)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::Queue;
    use crate::watch::Next::{Event, Overflow};

    #[test]
    fn what_does_not_fit_is_said_to_be_missing_and_then_it_goes_on() {
        let queue = Queue::new(2);
        for item in [1, 1, 2, 2, 3, 4] {
            assert!(queue.push(item).is_none());
        }
        assert_eq!([queue.take(), queue.take()], [Some(Event(1)), Some(Event(2))]);
        assert!(queue.push(5).is_none(), "what comes before the gap was told of is part of it");
        assert_eq!([queue.take(), queue.take()], [Some(Overflow), None]);
        assert!(queue.push(6).is_none());
        assert_eq!([queue.take(), queue.take()], [Some(Event(6)), None]);
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::Queue;
    use crate::watch::Next;
    use loom::sync::Arc;
    use loom::thread;

    /// Takes until `last` has come or something is missing, and waits in between.
    async fn hear(queue: &Queue<u32>, last: u32) -> Vec<Next<u32>> {
        let mut heard = Vec::new();
        loop {
            let next = std::future::poll_fn(|cx| queue.poll(cx)).await;
            let done = next == Next::Event(last) || next == Next::Overflow;
            heard.push(next);
            if done {
                return heard;
            }
        }
    }

    #[test]
    fn no_wake_up_is_lost() {
        loom::model(|| {
            let queue = Arc::new(Queue::new(4));
            let teller = Arc::clone(&queue);
            let telling = thread::spawn(move || {
                for item in [1, 2] {
                    teller.push(item).into_iter().for_each(std::task::Waker::wake);
                }
            });
            // A wake-up that is lost leaves this waiting for ever, which loom calls a deadlock.
            let heard = loom::future::block_on(hear(&queue, 2));
            assert_eq!(heard, [Next::Event(1), Next::Event(2)]);
            telling.join().unwrap();
        });
    }

    #[test]
    fn an_overflow_wakes_too() {
        loom::model(|| {
            let queue = Arc::new(Queue::new(1));
            let teller = Arc::clone(&queue);
            let telling = thread::spawn(move || {
                for item in [1, 2] {
                    teller.push(item).into_iter().for_each(std::task::Waker::wake);
                }
            });
            let heard = loom::future::block_on(hear(&queue, 2));
            assert!(heard == [Next::Event(1), Next::Event(2)] || heard == [Next::Event(1), Next::Overflow]);
            telling.join().unwrap();
        });
    }
}
