//! A small vocabulary for this room's tests: a keyspace that is spoken to in keys and texts, with a clock that stands
//! still until it is moved.

use super::{Event, ExpiryUpdate, Keyspace, Options};
use crate::config::KeyspaceEvents;
use crate::util::hash::HashSeed;

pub(super) const START: i64 = 1_700_000_000_000;

/// A keyspace, the time, and the number of the database that is spoken to.
pub(super) struct World {
    pub ks: Keyspace,
    pub now: i64,
    pub db: usize,
}

impl World {
    pub fn new() -> Self {
        let mut ks = Keyspace::new(4, HashSeed::fixed(3), Options::default());
        ks.set_events(KeyspaceEvents::KEYSPACE.or(KeyspaceEvents::EXPIRED).or(KeyspaceEvents::EVICTED), false);
        World { ks, now: START, db: 0 }
    }

    /// Database 0, with these keys and values.
    pub fn with(pairs: &[(&str, &str)]) -> Self {
        let mut world = World::new();
        pairs.iter().for_each(|(k, v)| world.set(k, v));
        world
    }

    pub fn db(&mut self) -> super::DbMut<'_> {
        self.ks.db(self.db, self.now)
    }

    /// Calls `f` with the database and the key.
    pub fn on<R>(&mut self, key: &str, f: impl FnOnce(&mut super::DbMut<'_>, super::Key<'_>) -> R) -> R {
        let key = self.ks.key(key.as_bytes());
        f(&mut self.db(), key)
    }

    pub fn set(&mut self, key: &str, value: &str) {
        self.on(key, |db, k| db.set_bytes(k, value.as_bytes(), ExpiryUpdate::Clear));
    }

    pub fn set_for(&mut self, key: &str, value: &str, ttl_ms: i64) {
        let at = ExpiryUpdate::At(self.now + ttl_ms);
        self.on(key, |db, k| db.set_bytes(k, value.as_bytes(), at));
    }

    pub fn get(&mut self, key: &str) -> Option<String> {
        self.on(key, |db, k| {
            let text = db.lookup_read(k)?.string().expect("a string").to_vec();
            Some(String::from_utf8(text).expect("the tests store text"))
        })
    }

    pub fn encoding(&mut self, key: &str) -> &'static str {
        self.on(key, |db, k| db.peek(k).map_or("none", |e| e.encoding().name()))
    }

    /// Keys that ran out of time since the last call.
    pub fn expired(&mut self) -> Vec<String> {
        let name = |event: Event<'_>| String::from_utf8(event.key.into()).expect("the tests' keys are text");
        self.ks.trace_mut().take_events().iter().map(name).collect()
    }
}
