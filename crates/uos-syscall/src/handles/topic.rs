//! A topic, as one process holds it.

use std::sync::Arc;

use parking_lot::Mutex;
use uos_ipc::{Limits, Rights, Topic};

use super::object::Held;

/// The topic itself, for all who hold it.
struct Whole {
    limits: Limits,
    /// Gone once publishing has ended.
    topic: Mutex<Result<Arc<Topic>, Over>>,
}

/// How publishing has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// It was closed, or nobody is left who could.
    Closed,
    /// The topic was destroyed.
    Destroyed,
}

/// One who may publish. With the last of them the topic ends.
struct Publisher(Arc<Whole>);

/// What one process holds of a topic. Who may only subscribe does not keep it going.
pub(crate) struct TopicEnds {
    publisher: Option<Arc<Publisher>>,
    whole: Arc<Whole>,
}

impl TopicEnds {
    pub(crate) fn new(topic: Topic, limits: Limits) -> Self {
        let whole = Arc::new(Whole { limits, topic: Mutex::new(Ok(Arc::new(topic))) });
        Self { publisher: Some(Arc::new(Publisher(Arc::clone(&whole)))), whole }
    }

    /// The topic, unless publishing has ended.
    pub(crate) fn get(&self) -> Result<Arc<Topic>, Over> {
        self.whole.topic.lock().clone()
    }

    /// The same for one who does not publish.
    pub(crate) fn to_subscribe(&self) -> Self {
        Self { publisher: None, whole: Arc::clone(&self.whole) }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.whole.limits
    }

    /// Ends publishing for everybody: who subscribes gets what is left.
    pub(crate) fn end(&self, how: Over) {
        self.whole.end(how);
    }
}

impl Whole {
    fn end(&self, how: Over) {
        let mut topic = self.topic.lock();
        // What was destroyed stays it, whatever comes later.
        let ended = match *topic {
            Err(Over::Destroyed) => return,
            _ => std::mem::replace(&mut *topic, Err(how)),
        };
        drop(topic);
        if let Ok(topic) = ended {
            topic.close();
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.end(Over::Closed);
    }
}

impl Held for TopicEnds {
    fn share(&self, rights: Rights) -> Self {
        Self {
            publisher: self.publisher.clone().filter(|_| rights.contains(Rights::WRITE)),
            whole: Arc::clone(&self.whole),
        }
    }

    fn narrow(&mut self, rights: Rights) -> Option<Self> {
        let publisher = self.publisher.take_if(|_| !rights.contains(Rights::WRITE));
        Some(Self { publisher, whole: Arc::clone(&self.whole) })
    }

    fn join(&mut self, more: Self) -> Option<Self> {
        if self.publisher.is_some() {
            return Some(more);
        }
        self.publisher = more.publisher;
        None
    }
}
