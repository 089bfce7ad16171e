//! A topic, as one process holds it.

use std::sync::Arc;

use parking_lot::Mutex;
use uos_ipc::{Limits, Rights, Topic};

use super::object::Held;

/// The topic itself, for all who hold it.
struct Whole {
    limits: Limits,
    /// `None` once publishing has ended.
    topic: Mutex<Option<Arc<Topic>>>,
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
        let whole = Arc::new(Whole { limits, topic: Mutex::new(Some(Arc::new(topic))) });
        Self { publisher: Some(Arc::new(Publisher(Arc::clone(&whole)))), whole }
    }

    /// The topic, unless publishing has ended.
    pub(crate) fn get(&self) -> Option<Arc<Topic>> {
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
    pub(crate) fn end(&self) {
        self.whole.end();
    }
}

impl Whole {
    fn end(&self) {
        let topic = self.topic.lock().take();
        if let Some(topic) = topic {
            topic.close();
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.end();
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
