//! Keys that blocked clients wait for, and which of them have changed since that was last asked.
//!
//! Who waits, for what and in which order is the affair of `blocking/`; here is only what a write needs to know. While
//! nobody waits, that is one branch; else one lookup. A change puts the key on the ready list, whatever the change was:
//! whether it helps anybody is found out when the list is worked off, after the command, the transaction or the script
//! that made it.

use std::collections::{HashMap, VecDeque};

/// A key in a numbered database.
pub type BlockingKey = (u32, Box<[u8]>);

/// The keys that are waited for.
#[derive(Default)]
pub struct BlockingKeys {
    /// By database and key: whether the key is on the ready list.
    keys: HashMap<u32, HashMap<Box<[u8]>, bool>>,
    ready: VecDeque<BlockingKey>,
}

impl BlockingKeys {
    /// Nobody waits for any key.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.keys.is_empty()
    }

    /// A key that was waited for has changed.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// From now on somebody waits for this key.
    pub fn want(&mut self, db: u32, key: &[u8]) {
        self.keys.entry(db).or_default().entry(key.into()).or_insert(false);
    }

    /// Nobody waits for this key any more.
    pub fn unwant(&mut self, db: u32, key: &[u8]) {
        let Some(keys) = self.keys.get_mut(&db) else { return };
        keys.remove(key);
        if keys.is_empty() {
            self.keys.remove(&db);
        }
    }

    /// The key was written, made or deleted.
    #[cold]
    pub fn touch(&mut self, db: u32, key: &[u8]) {
        let Some(listed) = self.keys.get_mut(&db).and_then(|keys| keys.get_mut(key)) else { return };
        if !std::mem::replace(listed, true) {
            self.ready.push_back((db, key.into()));
        }
    }

    /// The whole database has other contents now (FLUSHDB, SWAPDB).
    pub fn touch_db(&mut self, db: u32) {
        let Some(keys) = self.keys.get_mut(&db) else { return };
        // A hash map has no order of its own; clients should see one.
        let mut unlisted: Vec<_> = keys.iter_mut().filter(|(_, listed)| !**listed).collect();
        unlisted.sort();
        for (key, listed) in unlisted {
            *listed = true;
            self.ready.push_back((db, key.clone()));
        }
    }

    /// Takes the key that has been ready for longest off the list.
    pub fn take_ready(&mut self) -> Option<BlockingKey> {
        let (db, key) = self.ready.pop_front()?;
        self.unlist(db, &key);
        Some((db, key))
    }

    /// How many keys are on the list.
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Forgets all but the first `len` keys of the list: their changes were made by somebody who still waits.
    pub fn truncate_ready(&mut self, len: usize) {
        while self.ready.len() > len {
            let (db, key) = self.ready.pop_back().expect("it is longer than `len`");
            self.unlist(db, &key);
        }
    }

    /// Takes the whole list: others are served in the middle of a command, and what that has changed so far is not to be
    /// seen by those who wait.
    pub fn set_ready_aside(&mut self) -> VecDeque<BlockingKey> {
        let aside = std::mem::take(&mut self.ready);
        aside.iter().for_each(|(db, key)| self.unlist(*db, key));
        aside
    }

    /// Ends what [`BlockingKeys::set_ready_aside`] began.
    pub fn take_back(&mut self, aside: VecDeque<BlockingKey>) {
        aside.into_iter().for_each(|(db, key)| self.touch(db, &key));
    }

    fn unlist(&mut self, db: u32, key: &[u8]) {
        if let Some(listed) = self.keys.get_mut(&db).and_then(|keys| keys.get_mut(key)) {
            *listed = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BlockingKeys;

    fn ready(blocking_keys: &mut BlockingKeys) -> Vec<String> {
        std::iter::from_fn(|| blocking_keys.take_ready())
            .map(|(db, key)| format!("{db}/{}", String::from_utf8_lossy(&key)))
            .collect()
    }

    #[test]
    fn only_blocking_keys_become_ready_and_each_once() {
        let mut blocking_keys = BlockingKeys::default();
        assert!(blocking_keys.is_idle());
        blocking_keys.want(0, b"a");
        blocking_keys.want(0, b"a");
        blocking_keys.want(3, b"b");
        for (db, key) in [(3, b"b"), (0, b"a"), (3, b"b"), (0, b"b"), (1, b"a")] {
            blocking_keys.touch(db, key);
        }
        assert!(blocking_keys.has_ready());
        assert_eq!(ready(&mut blocking_keys), ["3/b", "0/a"]);
        blocking_keys.touch(0, b"a");
        blocking_keys.unwant(0, b"a");
        assert_eq!(ready(&mut blocking_keys), ["0/a"], "who serves it finds nobody");
        blocking_keys.unwant(3, b"b");
        assert!(blocking_keys.is_idle());
    }

    #[test]
    fn a_database_changes_as_a_whole() {
        let mut blocking_keys = BlockingKeys::default();
        [b"c", b"a", b"b"].iter().for_each(|key| blocking_keys.want(2, *key));
        blocking_keys.want(1, b"x");
        blocking_keys.touch(2, b"b");
        blocking_keys.touch_db(2);
        assert_eq!(ready(&mut blocking_keys), ["2/b", "2/a", "2/c"]);
    }

    #[test]
    fn changes_set_aside_come_back_and_each_once() {
        let mut blocking_keys = BlockingKeys::default();
        [b"a", b"b", b"c"].iter().for_each(|key| blocking_keys.want(0, *key));
        blocking_keys.touch(0, b"a");
        blocking_keys.touch(0, b"b");
        let aside = blocking_keys.set_ready_aside();
        assert!(!blocking_keys.has_ready());
        blocking_keys.touch(0, b"b");
        blocking_keys.touch(0, b"c");
        blocking_keys.unwant(0, b"a");
        blocking_keys.take_back(aside);
        assert_eq!(ready(&mut blocking_keys), ["0/b", "0/c"], "nobody waits for a any more");
    }

    #[test]
    fn changes_of_those_who_wait_on_are_forgotten() {
        let mut blocking_keys = BlockingKeys::default();
        [b"a", b"b", b"c"].iter().for_each(|key| blocking_keys.want(0, *key));
        blocking_keys.touch(0, b"a");
        let mark = blocking_keys.ready_len();
        blocking_keys.touch(0, b"b");
        blocking_keys.touch(0, b"c");
        blocking_keys.truncate_ready(mark);
        blocking_keys.touch(0, b"c");
        assert_eq!(ready(&mut blocking_keys), ["0/a", "0/c"]);
    }
}
