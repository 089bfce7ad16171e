//! Messages in the order they will come out.

use super::message::Short;
use super::{Message, Order};
use std::collections::VecDeque;

pub(crate) enum Store {
    Fifo(Line),
    Priority(Levels),
}

/// Messages as they came. Short ones lie in the line itself; of the long ones only the place does.
#[derive(Default)]
pub(crate) struct Line {
    places: VecDeque<Option<Short>>,
    long: VecDeque<Message>,
}

/// A list for each of 256 priorities, made when first needed, and a bit for each that is not empty.
#[derive(Default)]
pub(crate) struct Levels {
    lists: Option<Box<[VecDeque<Message>; 256]>>,
    occupied: [u64; 4],
    len: usize,
}

impl Store {
    pub(crate) fn new(order: Order) -> Store {
        match order {
            Order::Fifo => Store::Fifo(Line::default()),
            Order::Priority => Store::Priority(Levels::default()),
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Store::Fifo(line) => line.places.len(),
            Store::Priority(levels) => levels.len,
        }
    }

    /// Takes the message out of its place.
    #[inline(always)]
    pub(crate) fn push(&mut self, message: &mut Message) {
        match (self, message.as_short()) {
            (Store::Fifo(line), Some(short)) => line.places.push_back(Some(*short)),
            (other, _) => other.push_long(message),
        }
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<Message> {
        match self {
            Store::Fifo(line) => match line.places.pop_front()? {
                Some(short) => Some(short.into()),
                None => line.long.pop_front(),
            },
            Store::Priority(levels) => levels.pop(),
        }
    }

    #[inline(never)]
    fn push_long(&mut self, message: &mut Message) {
        let message = std::mem::take(message);
        match self {
            Store::Fifo(line) => {
                line.places.push_back(None);
                line.long.push_back(message);
            }
            Store::Priority(levels) => levels.push(message),
        }
    }

    /// An empty one of the same order in its place. Its memory goes with what is taken out.
    pub(crate) fn take(&mut self) -> Store {
        let empty = Store::new(match self {
            Store::Fifo(_) => Order::Fifo,
            Store::Priority(_) => Order::Priority,
        });
        std::mem::replace(self, empty)
    }
}

impl Levels {
    fn push(&mut self, message: Message) {
        let level = usize::from(message.priority());
        let lists = self.lists.get_or_insert_with(|| Box::new(std::array::from_fn(|_| VecDeque::new())));
        lists[level].push_back(message);
        self.occupied[level / 64] |= 1 << (level % 64);
        self.len += 1;
    }

    fn pop(&mut self) -> Option<Message> {
        let word = (0..4).rev().find(|&word| self.occupied[word] != 0)?;
        let level = word * 64 + 63 - self.occupied[word].leading_zeros() as usize;
        let list = &mut self.lists.as_mut()?[level];
        let message = list.pop_front();
        if list.is_empty() {
            self.occupied[word] &= !(1 << (level % 64));
        }
        self.len -= 1;
        message
    }
}
