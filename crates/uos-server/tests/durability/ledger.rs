//! The ledger of acknowledgements of one thing that several clients change.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

/// A window or a state. Every change that the server makes of it has a version; the versions only grow.
#[derive(Default)]
pub(crate) struct Cell {
    /// What clients were told is on the disk.
    acknowledged: BTreeMap<u64, Value>,
    /// What was asked for and not answered yet.
    in_flight: Vec<Value>,
    /// All that it was ever to be, as text.
    ever: HashSet<String>,
}

impl Cell {
    pub(crate) fn begin(&mut self, content: &Value) {
        self.in_flight.push(content.clone());
        self.ever.insert(content.to_string());
    }

    pub(crate) fn acknowledge(&mut self, version: u64, content: &Value) {
        if let Some(at) = self.in_flight.iter().position(|flying| flying == content) {
            self.in_flight.swap_remove(at);
        }
        self.ever.insert(content.to_string());
        let before = self.acknowledged.insert(version, content.clone());
        assert!(before.is_none_or(|before| before == *content), "version {version} was given to two changes");
    }

    /// Whether it may be this after a crash: the last that was acknowledged, or a later one that was in flight. A restore
    /// that was in flight may have put anything there that it ever was.
    pub(crate) fn judge(&self, version: u64, content: &Value, restoring: bool) -> Result<(), String> {
        let Some((last, expected)) = self.acknowledged.last_key_value() else { return Ok(()) };
        if version < *last {
            return Err(format!("version {last} was acknowledged, {version} is there: {content}"));
        }
        if let Some(acknowledged) = self.acknowledged.get(&version) {
            return if acknowledged == content {
                Ok(())
            } else {
                Err(format!("version {version} was acknowledged as {expected}, and is {content}"))
            };
        }
        if version > last + self.in_flight.len() as u64 + u64::from(restoring) {
            return Err(format!("version {version} is there, but too few changes followed {last}"));
        }
        if self.in_flight.contains(content) || (restoring && self.was(content)) {
            return Ok(());
        }
        Err(format!("version {version} is nothing that anybody wrote: {content}"))
    }

    /// Whether it ever was to be this.
    pub(crate) fn was(&self, content: &Value) -> bool {
        self.ever.contains(&content.to_string())
    }

    /// After a crash: what is there now is what counts.
    pub(crate) fn settle(&mut self, version: u64, content: Value) {
        self.in_flight.clear();
        self.ever.insert(content.to_string());
        self.acknowledged.insert(version, content);
    }
}

#[test]
fn what_is_lost_torn_or_invented_is_told() {
    use serde_json::json;

    let mut cell = Cell::default();
    cell.settle(1, json!("a"));
    cell.begin(&json!("b"));
    cell.acknowledge(2, &json!("b"));
    cell.begin(&json!("c"));
    assert!(cell.judge(2, &json!("b"), false).is_ok() && cell.judge(3, &json!("c"), false).is_ok());
    for (version, content) in [(1, "a"), (2, "a"), (2, "c"), (3, "b"), (3, "d"), (4, "c")] {
        assert!(cell.judge(version, &json!(content), false).is_err(), "{version} {content}");
    }
    assert!(cell.judge(3, &json!("a"), true).is_ok() && cell.judge(3, &json!("d"), true).is_err());
}
