//! The bound on the memory of all unfinished messages of a worker together (`MAX_UNFINISHED`).

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// The sizes of the unfinished messages by connection, and the order in which they began.
#[derive(Debug)]
pub(super) struct UnfinishedMessages<K> {
    /// Bound on `total`, in bytes.
    max: usize,
    /// Sum of all sizes, in bytes.
    total: usize,
    by_key: HashMap<K, Unfinished>,
    by_age: BTreeMap<u64, K>,
    next_age: u64,
}

#[derive(Clone, Copy, Debug)]
struct Unfinished {
    age: u64,
    size: usize,
}

impl<K: Copy + Eq + Hash> UnfinishedMessages<K> {
    /// No messages yet; together they may take `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self { max, total: 0, by_key: HashMap::new(), by_age: BTreeMap::new(), next_age: 0 }
    }

    /// Whether no message is unfinished.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Whether all messages together take more than `max` bytes.
    #[inline]
    pub(super) fn is_excessive(&self) -> bool {
        self.total > self.max
    }

    /// Notes that the message of a connection takes `size` bytes; 0 if it has none.
    pub(super) fn set(&mut self, key: K, size: usize) {
        if size == 0 {
            self.remove(key);
        } else if let Some(message) = self.by_key.get_mut(&key) {
            self.total = self.total - message.size + size;
            message.size = size;
        } else {
            let age = self.next_age;
            self.next_age += 1;
            self.by_key.insert(key, Unfinished { age, size });
            self.by_age.insert(age, key);
            self.total += size;
        }
    }

    fn remove(&mut self, key: K) {
        if let Some(Unfinished { age, size }) = self.by_key.remove(&key) {
            self.by_age.remove(&age);
            self.total -= size;
        }
    }

    /// Removes the oldest message if all together take too much, and returns its connection: an
    /// honest message is finished within milliseconds, so the oldest is the least likely to be one.
    pub(super) fn pop_excess(&mut self) -> Option<K> {
        if !self.is_excessive() {
            return None;
        }
        let key = self.by_age.first_key_value().map(|(_, &key)| key)?;
        self.remove(key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let mut messages = UnfinishedMessages::new(100);
        for (key, size) in [('a', 40), ('b', 30), ('c', 20), ('a', 50)] {
            messages.set(key, size);
            assert_eq!(messages.pop_excess(), None);
        }
        messages.set('d', 51);
        assert_eq!(messages.pop_excess(), Some('a'));
        assert_eq!(messages.pop_excess(), Some('b'));
        assert_eq!(messages.pop_excess(), None);
    }

    #[test]
    fn a_message_that_has_ended_takes_no_room() {
        let mut messages = UnfinishedMessages::new(100);
        messages.set('a', 90);
        messages.set('a', 0);
        messages.set('b', 90);
        assert_eq!(messages.pop_excess(), None);
        messages.set('b', 101);
        assert_eq!(messages.pop_excess(), Some('b'));
        assert_eq!(messages.pop_excess(), None);
        assert!(messages.by_key.is_empty() && messages.by_age.is_empty());
    }
}
