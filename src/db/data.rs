//! One database during one command: what handlers of data commands see.
//!
//! # Time
//!
//! A command sees one moment. A key whose deadline lies before it does not exist for the command: the first lookup that
//! meets it deletes it. The expiry index knows the earliest deadline of the database, so while that lies ahead no
//! lookup asks its entry about time at all.
//!
//! # Which lookup?
//!
//! | for | use | access clock | hits, misses |
//! | --- | --- | --- | --- |
//! | commands that read values | [`DbMut::lookup_read`] | yes | yes |
//! | EXISTS, TYPE, TTL | [`DbMut::lookup_untouched`] | no | yes |
//! | OBJECT | [`DbMut::lookup_unnoticed`] | no | yes, without an event |
//! | commands that read in order to write elsewhere | [`DbMut::lookup_write`] | yes | no |
//! | commands that write here | [`DbMut::entry`] | yes | no |
//! | everything that shall leave no trace | [`DbMut::peek`] | no | no |

use super::entry::{EntryRef, Key};
use super::keyspace::{Keyspace, REPLAYED_MS, Side};
use super::slot::{ExpiryUpdate, KeySlot, Occupied, Vacant, With};
use super::trace::KeyEvent;
use crate::dict::Slot;
use crate::types::contract::WrongType;
use crate::types::string::{Rope, Spelling};

/// One database at one time, for one command.
pub struct DbMut<'a> {
    pub(super) ks: &'a mut Keyspace,
    pub(super) at: usize,
    pub(super) now_ms: i64,
    touch: bool,
}

/// Why a value could not be counted up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IncrError {
    WrongType,
    /// `ERR value is not an integer or out of range`
    NotAnInteger,
    /// `ERR increment or decrement would overflow`
    Overflow,
}

/// How often RANDOMKEY looks for a key whose time is not over while such keys are kept.
const RANDOM_TRIES_MAX: usize = 100;

impl<'a> DbMut<'a> {
    #[inline]
    pub(super) fn new(ks: &'a mut Keyspace, at: usize, now_ms: i64) -> Self {
        DbMut { ks, at, now_ms, touch: true }
    }

    /// CLIENT NO-TOUCH: this command leaves access clocks alone.
    #[inline]
    pub fn set_touch(&mut self, touch: bool) {
        self.touch = touch;
    }

    /// The number SELECT knows this database by.
    #[inline]
    pub fn index(&self) -> usize {
        self.at
    }

    /// The command's moment in unix milliseconds: what is due then has expired.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    /// What a relative time counts from. It is the command's moment, unless that is [`REPLAYED_MS`].
    #[inline]
    pub fn clock_ms(&self) -> i64 {
        if self.now_ms == REPLAYED_MS { self.ks.side.clock_ms } else { self.now_ms }
    }

    /// `bytes` with their hash, for keys that were not hashed with the request.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        self.ks.key(bytes)
    }

    /// The keyspace this database is one of.
    pub fn keyspace(&self) -> &Keyspace {
        self.ks
    }

    /// Another database at the same moment (MOVE, COPY ... DB). None if there is no such database.
    pub fn other(&mut self, index: usize) -> Option<DbMut<'_>> {
        let exists = index < self.ks.databases();
        exists.then_some(DbMut { ks: self.ks, at: index, now_ms: self.now_ms, touch: self.touch })
    }

    /// Starts fetching what lookups of keys with these hashes will read: for commands that name several keys.
    #[inline]
    pub fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        let table = &self.ks.dbs[self.at].table;
        hashes.clone().for_each(|hash| table.prefetch_bucket(hash));
        hashes.for_each(|hash| table.prefetch_entry(hash));
    }

    // ---- lookups

    /// The entry, for a command that reads its value.
    #[inline]
    pub fn lookup_read(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.lookup_counted(key, self.touch, true)
    }

    /// The entry, for a command that reads about it: no access.
    #[inline]
    pub fn lookup_untouched(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.lookup_counted(key, false, true)
    }

    /// The same without an event for a key that is not there (OBJECT).
    pub fn lookup_unnoticed(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.lookup_counted(key, false, false)
    }

    #[inline]
    fn lookup_counted(&mut self, key: Key<'_>, touch: bool, notify: bool) -> Option<EntryRef<'_>> {
        self.ks.side.checked.reads(key.bytes);
        let expired = self.has_expired(key);
        let Keyspace { dbs, side, .. } = &mut *self.ks;
        let Some(found) = dbs[self.at].table.find(key.hash, key.bytes).filter(|_| !expired) else {
            side.stats.misses += 1;
            if notify {
                side.trace.note(self.at, key.bytes, KeyEvent::MISS);
            }
            return None;
        };
        side.stats.hits += 1;
        if touch {
            side.touch_clock(found, self.now_ms);
        }
        Some(EntryRef(found))
    }

    /// The entry, for a command that will write because of it. Use [`Self::entry`] to write to it.
    #[inline]
    pub fn lookup_write(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.ks.side.checked.reads(key.bytes);
        self.delete_if_expired(key);
        let Keyspace { dbs, side, .. } = &mut *self.ks;
        let found = dbs[self.at].table.find(key.hash, key.bytes)?;
        if self.touch {
            side.touch_clock(found, self.now_ms);
        }
        Some(EntryRef(found))
    }

    /// Counts a lookup that went through [`Self::entry`], for a command that both reads and writes (GETDEL, GETSET).
    #[inline]
    pub fn count_lookup(&mut self, key: Key<'_>, hit: bool) {
        let Side { stats, trace, .. } = &mut self.ks.side;
        if hit {
            stats.hits += 1;
        } else {
            stats.misses += 1;
            trace.note(self.at, key.bytes, KeyEvent::MISS);
        }
    }

    /// The entry, without a trace.
    #[inline]
    pub fn peek(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.ks.side.checked.reads(key.bytes);
        let db = &self.ks.dbs[self.at];
        let found = EntryRef(db.table.find(key.hash, key.bytes)?);
        (!found.is_expired(self.now_ms)).then_some(found)
    }

    /// The key is there.
    #[inline]
    pub fn exists(&mut self, key: Key<'_>) -> bool {
        self.lookup_untouched(key).is_some()
    }

    /// The key's place, for a command that writes: read, change, make or remove it without another search.
    #[inline]
    pub fn entry<'s>(&'s mut self, key: Key<'s>) -> KeySlot<'s> {
        self.ks.side.checked.reads(key.bytes);
        self.delete_if_expired(key);
        let Keyspace { dbs, heap, side } = &mut *self.ks;
        let db = &mut dbs[self.at];
        side.sizes.begin();
        let slot = db.table.entry_mut(heap, key.hash, key.bytes);
        let with = With {
            expiries: &mut db.expiries,
            field_expiries: &mut db.field_expiries,
            side,
            key,
            db: self.at,
            now_ms: self.now_ms,
        };
        match slot {
            Slot::Occupied(slot) => {
                if self.touch {
                    with.side.touch_clock(slot.get(), self.now_ms);
                }
                KeySlot::Occupied(Occupied { slot, with })
            }
            Slot::Vacant(slot) => KeySlot::Vacant(Vacant { slot, with }),
        }
    }

    // ---- the writes that need nothing but the key

    /// SET: bytes a client sent, stored as a number if they spell one.
    #[inline]
    pub fn set_bytes(&mut self, key: Key<'_>, value: &[u8], expiry: ExpiryUpdate) {
        self.entry(key).set_bytes(value, Spelling::Value, expiry, KeyEvent::SET);
    }

    /// A number.
    pub fn set_int(&mut self, key: Key<'_>, value: i64, expiry: ExpiryUpdate) {
        self.entry(key).set_int(value, expiry, KeyEvent::SET);
    }

    /// SET of an argument that was received in pieces.
    pub fn set_rope(&mut self, key: Key<'_>, value: Rope, expiry: ExpiryUpdate) {
        self.entry(key).set_rope(value, Spelling::Value, expiry, KeyEvent::SET);
    }

    /// INCRBY. A missing key counts from 0.
    #[inline]
    pub fn incr(&mut self, key: Key<'_>, delta: i64) -> Result<i64, IncrError> {
        let mut slot = self.entry(key);
        let event = KeyEvent::string("incrby");
        if let KeySlot::Occupied(o) = &mut slot {
            return o.add_int(delta, event);
        }
        slot.set_int(delta, ExpiryUpdate::Clear, event);
        Ok(delta)
    }

    /// APPEND; the new length. A missing key is made as SET would. The caller has checked that the length is allowed.
    pub fn append(&mut self, key: Key<'_>, more: &[u8]) -> Result<usize, WrongType> {
        let mut slot = self.entry(key);
        if let KeySlot::Occupied(o) = &mut slot {
            return o.append(more);
        }
        slot.set_bytes(more, Spelling::Value, ExpiryUpdate::Clear, KeyEvent::string("append"));
        Ok(more.len())
    }

    /// DEL of one key; false if it was missing.
    #[inline]
    pub fn remove(&mut self, key: Key<'_>) -> bool {
        match self.entry(key) {
            KeySlot::Occupied(o) => o.remove(),
            KeySlot::Vacant(_) => return false,
        }
        true
    }

    /// UNLINK of one key; false if it was missing.
    pub fn unlink(&mut self, key: Key<'_>) -> bool {
        match self.entry(key) {
            KeySlot::Occupied(o) => o.unlink(),
            KeySlot::Vacant(_) => return false,
        }
        true
    }

    /// PEXPIREAT; false if the key is missing. A deadline that has passed is the caller's to notice.
    pub fn expire_at(&mut self, key: Key<'_>, deadline_ms: i64) -> bool {
        match self.entry(key) {
            KeySlot::Occupied(mut o) => o.set_expiry(Some(deadline_ms)),
            KeySlot::Vacant(_) => return false,
        }
        true
    }

    /// PERSIST; true if the key is there and had a deadline.
    pub fn persist(&mut self, key: Key<'_>) -> bool {
        match self.entry(key) {
            KeySlot::Occupied(mut o) if o.expiry_ms().is_some() => o.set_expiry(None),
            _ => return false,
        }
        true
    }

    // ---- the database as a whole

    /// DBSIZE.
    #[inline]
    pub fn size(&self) -> usize {
        self.ks.size(self.at)
    }

    /// RANDOMKEY: a uniform choice among the keys that have time left. Those met that have none are deleted.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        let mut tries = 0;
        loop {
            let Keyspace { dbs, side, .. } = &mut *self.ks;
            let chosen = dbs[self.at].table.random(&mut side.rng)?.key().to_vec();
            // While expired keys are kept there may be no others: then one of them is better than no end.
            tries += usize::from(side.options.keep_expired);
            if !self.has_expired(self.ks.key(&chosen)) || tries == RANDOM_TRIES_MAX {
                return Some(chosen);
            }
        }
    }

    /// SCAN: visits about `count` entries from `cursor` on and returns the next cursor, 0 at the end. Entries that
    /// `wanted` accepts are handed to `emit`, or deleted if their time is over.
    pub fn scan(
        &mut self,
        cursor: u64,
        count: usize,
        mut wanted: impl FnMut(EntryRef<'_>) -> bool,
        mut emit: impl FnMut(EntryRef<'_>),
    ) -> u64 {
        let now_ms = self.now_ms;
        let mut expired: Vec<Box<[u8]>> = vec![];
        let next = self.ks.dbs[self.at].table.scan(cursor, count, |e| {
            let e = EntryRef(e);
            if !wanted(e) {
                return;
            }
            if e.is_expired(now_ms) {
                expired.push(e.key().into());
            } else {
                emit(e);
            }
        });
        for key in expired {
            self.has_expired(self.ks.key(&key));
        }
        next
    }

    /// KEYS: every entry that has time left.
    pub fn for_each(&self, mut f: impl FnMut(EntryRef<'_>)) {
        self.ks.dbs[self.at].table.for_each(|e| {
            let e = EntryRef(e);
            if !e.is_expired(self.now_ms) {
                f(e);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::super::{AccessPolicy, KeySlot, Options};

    #[test]
    fn lookups_count_and_touch_as_their_table_says() {
        let mut w = World::with(&[("k", "v")]);
        let made = w.now;
        w.now += 10_000;
        let clock = |w: &mut World| {
            let (since, policy) = (((w.now - made) / 1000) as u32, w.ks.options().access);
            w.on("k", |db, k| since - policy.idle_seconds(db.peek(k).unwrap().clock(), db.now_ms()))
        };
        w.on("k", |db, k| db.lookup_untouched(k).is_some());
        assert_eq!(clock(&mut w), 0);
        w.on("k", |db, k| {
            db.set_touch(false);
            db.lookup_read(k).is_some()
        });
        assert_eq!(clock(&mut w), 0, "CLIENT NO-TOUCH");
        assert_eq!(w.get("k").as_deref(), Some("v"));
        assert_eq!(clock(&mut w), 10);
        assert_eq!(w.get("missing"), None);
        w.on("missing", |db, k| db.lookup_write(k).is_none());
        let stats = w.ks.stats();
        assert_eq!((stats.hits, stats.misses), (3, 1));
        w.now += 5_000;
        w.on("k", |db, k| matches!(db.entry(k), KeySlot::Occupied(_)));
        assert_eq!(clock(&mut w), 15);
    }

    #[test]
    fn frequencies_rise_by_use() {
        let mut w = World::new();
        let access = AccessPolicy::Lfu { log_factor: 0, decay_minutes: 1 };
        *w.ks.options_mut() = Options { access, ..Options::default() };
        w.set("k", "v");
        (0..10).for_each(|_| drop(w.get("k")));
        let bits = w.on("k", |db, k| db.peek(k).unwrap().clock());
        assert_eq!(access.frequency(bits, w.now), 15);
    }

    #[test]
    fn every_write_counts_once() {
        let mut w = World::new();
        w.set("k", "1");
        w.on("k", |db, k| db.incr(k, 1).unwrap());
        w.on("k", |db, k| db.append(k, b"x").unwrap());
        w.on("k", |db, k| db.expire_at(k, super::super::testing::START + 5));
        w.on("k", |db, k| db.persist(k));
        w.on("k", |db, k| db.persist(k));
        let other = w.ks.key(b"other");
        w.on("k", |db, k| db.rename(k, other));
        w.on("other", |db, k| db.remove(k));
        w.on("other", |db, k| db.remove(k));
        assert_eq!(w.ks.stats().dirty, 7);
    }

    #[test]
    fn scan_deletes_what_it_wants_and_finds_expired() {
        let mut w = World::with(&[("a", "1"), ("b", "2")]);
        w.set_for("c", "3", 5);
        w.set_for("d", "4", 5);
        w.now += 6;
        let mut seen = vec![];
        let wanted = |e: super::EntryRef<'_>| e.key() != b"d";
        let next = w.db().scan(0, 100, wanted, |e| seen.push(e.key().to_vec()));
        seen.sort();
        assert_eq!((next, seen), (0, vec![b"a".to_vec(), b"b".to_vec()]));
        assert_eq!(w.expired(), ["c"]);
        assert_eq!(w.db().size(), 3);
    }

    #[test]
    fn a_random_key_has_time_left() {
        let mut w = World::with(&[("a", "1")]);
        (0..20).for_each(|i| w.set_for(&format!("k{i}"), "v", 5));
        w.now += 6;
        (0..20).for_each(|_| assert_eq!(w.db().random_key().as_deref(), Some(&b"a"[..])));
        w.on("a", |db, k| db.remove(k));
        assert_eq!(w.db().random_key(), None);
        assert_eq!(w.db().size(), 0);
    }
}
