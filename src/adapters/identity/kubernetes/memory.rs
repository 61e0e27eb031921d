//! Answers with an end: bounded, and never given after it.

use std::hash::Hash;

use jiff::Timestamp;
use quick_cache::sync::Cache;

pub struct Memory<K, V>(Cache<K, (V, Timestamp)>);

impl<K: Hash + Eq + Clone, V: Clone> Memory<K, V> {
    pub fn new(size: usize) -> Self {
        Self(Cache::new(size))
    }

    pub fn get(&self, key: &K, now: Timestamp) -> Option<V> {
        let (value, until) = self.0.get(key)?;
        (now < until).then_some(value)
    }

    pub fn put(&self, key: K, value: V, until: Timestamp) {
        self.0.insert(key, (value, until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_given_until_its_end_and_there_are_never_too_many() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let memory = Memory::new(8);
        memory.put(0, "yes", at(10));
        assert_eq!((memory.get(&0, at(9)), memory.get(&0, at(10)), memory.get(&1, at(0))), (Some("yes"), None, None));
        for key in 0..1000 {
            memory.put(key, "yes", at(10));
        }
        assert!((0..1000).filter(|key| memory.get(key, at(0)).is_some()).count() <= 8);
    }
}
