//! Keys that run out of time: deleted when a command meets them, and by themselves soon after.
//!
//! Both ways end in the same place: the entry leaves its table and its index, `expired_keys` counts it, watchers hear
//! of it, and it leaves its trace: DEL or UNLINK, the event, its name (`trace.rs`).

use super::data::DbMut;
use super::entry::{EntryRef, Key};
use super::keyspace::{Cause, Db, Keyspace, Side};
use super::slot::{KeySlot, Occupied, With};
use super::trace::KeyEvent;
use crate::cow::Heap;
use crate::dict::{Fragment, Slot};
use crate::types::hash;

/// Records taken from the index at once, so that the buckets of all of them are on their way when the first is needed.
const BATCH: usize = 32;

impl DbMut<'_> {
    /// Deletes the key if its time is over; true if it did. Costs one comparison while nothing in the database is due.
    #[inline]
    pub(super) fn delete_if_expired(&mut self, key: Key<'_>) -> bool {
        let due = self.ks.dbs[self.at].expiries.is_due(self.now_ms);
        due && self.delete_expired(key)
    }

    /// For readers: true if the key's time is over. Then it is gone, unless expired keys are kept for now.
    #[inline]
    pub(super) fn has_expired(&mut self, key: Key<'_>) -> bool {
        let due = self.ks.dbs[self.at].expiries.is_due(self.now_ms);
        due && self.note_expired(key)
    }

    #[cold]
    fn note_expired(&mut self, key: Key<'_>) -> bool {
        if !self.ks.side.options.keep_expired {
            return self.delete_expired(key);
        }
        let found = self.ks.dbs[self.at].table.find(key.hash, key.bytes);
        found.is_some_and(|e| EntryRef(e).is_expired(self.now_ms))
    }

    /// Deletes the key if its time is over, whoever else is to say so.
    pub fn expire_now(&mut self, key: Key<'_>) -> bool {
        self.delete_if_expired(key)
    }

    #[cold]
    fn delete_expired(&mut self, key: Key<'_>) -> bool {
        let Keyspace { dbs, heap, side } = &mut *self.ks;
        let db = &mut dbs[self.at];
        let Slot::Occupied(slot) = db.table.entry_mut(heap, key.hash, key.bytes) else { return false };
        let Some(deadline) = slot.get().expiry_ms().filter(|&deadline| deadline < self.now_ms) else { return false };
        let fields = EntryRef(slot.get()).field_deadline();
        side.sizes.begin();
        side.sizes.leaves(self.at, EntryRef(slot.get()));
        side.charges.leaves(self.at, EntryRef(slot.get()));
        let entry = slot.remove();
        db.expiries.remove(deadline, key.hash_fragment());
        if let Some(deadline) = fields {
            db.field_expiries.remove(deadline, key.hash_fragment());
        }
        side.discard(entry, side.options.lazy_expire);
        side.stats.expired_keys += 1;
        side.note_gone(self.at, key.bytes, Cause::Expired);
        true
    }
}

impl Occupied<'_> {
    /// Deletes fields whose time is over, up to `max` of them, and the hash with the last one. Returns how many.
    pub(super) fn expire_fields(mut self, max: usize) -> usize {
        let now_ms = self.with.now_ms;
        let propagates = self.with.side.trace.propagates();
        let mut names = Vec::new();
        let expired = self.edit_hash(|hash| {
            let mut count = 0;
            while count < max
                && let Some(name) = hash::pop_due(hash, now_ms)
            {
                count += 1;
                if propagates {
                    names.push(name);
                }
            }
            count
        });
        names.iter().for_each(|name| self.with.propagate_hdel(name));
        self.after_expiry(expired);
        expired
    }

    /// Fields ran out of time and were removed: counts them, and removes the hash if none is left.
    fn after_expiry(mut self, expired: usize) {
        self.settle_size();
        let With { side, key, db, .. } = self.with;
        side.stats.expired_fields += expired as u64;
        if expired == 0 {
            return;
        }
        side.touch(db, key.bytes, true);
        let event = KeyEvent::hash("hexpired");
        if EntryRef(self.slot.get()).hash().is_ok_and(|hash| !hash.is_empty()) {
            return side.trace.note(db, key.bytes, event.first());
        }
        side.trace.note(db, key.bytes, event);
        if let Some(deadline) = self.slot.get().expiry_ms() {
            self.with.expiries.remove(deadline, key.hash_fragment());
        }
        side.sizes.begin();
        side.sizes.leaves(db, EntryRef(self.slot.get()));
        let entry = self.slot.remove();
        side.discard(entry, side.options.lazy_expire);
        side.touch(db, key.bytes, false);
        side.trace.note(db, key.bytes, KeyEvent::DEL);
    }
}

impl With<'_> {
    /// A field ran out of time: elsewhere it is to be deleted, and the hash with its last field.
    fn propagate_hdel(&mut self, field: &[u8]) {
        self.side.trace.push(self.db, [b"HDEL", self.key.bytes, field].into_iter());
    }
}

impl DbMut<'_> {
    /// A field of a hash for a command that reads it and may write: if its time is over it goes, and the hash with the
    /// last one.
    #[inline]
    pub fn forget_if_expired(&mut self, key: Key<'_>, name: &[u8]) {
        self.forget_expired(key, std::iter::once(name));
    }

    /// The same for several fields, which are one event.
    #[inline]
    pub fn forget_expired<'n>(&mut self, key: Key<'_>, names: impl Iterator<Item = &'n [u8]>) {
        // One comparison while no field in the database is due.
        if !self.ks.dbs[self.at].field_expiries.is_due(self.now_ms) {
            return;
        }
        let hash = self.peek(key).and_then(|entry| entry.hash().ok());
        if hash.is_some_and(|hash| hash.has_expired(self.now_ms)) {
            self.delete_expired_among(key, names);
        }
    }

    /// Every field of a hash whose time is over goes, unless expired things are kept for now.
    pub fn delete_expired_fields(&mut self, key: Key<'_>) {
        if self.ks.side.options.keep_expired {
            return;
        }
        if let KeySlot::Occupied(place) = self.entry(key)
            && place.get().hash().is_ok()
        {
            place.expire_fields(usize::MAX);
        }
    }

    /// Those of a hash's fields whose time is over go, unless expired things are kept for now.
    #[cold]
    pub fn delete_expired_among<'n>(&mut self, key: Key<'_>, names: impl Iterator<Item = &'n [u8]>) {
        if self.ks.side.options.keep_expired {
            return;
        }
        let now_ms = self.now_ms;
        let KeySlot::Occupied(mut place) = self.entry(key) else { return };
        if place.get().hash().is_err() {
            return;
        }
        let expired = place.edit_hash(|place| {
            let mut expired = 0;
            for name in names {
                let field = place.get().hash().ok().and_then(|hash| hash.find(name));
                if field.is_some_and(|field| field.is_expired(now_ms)) {
                    hash::remove(place, name);
                    if place.with.side.trace.propagates() {
                        place.with.propagate_hdel(name);
                    }
                    expired += 1;
                }
            }
            expired
        });
        place.after_expiry(expired);
    }
}

impl Keyspace {
    /// The part of keys with a deadline whose time is over, of a hundred: they wait for active expiry.
    pub fn stale_percent(&self, now_ms: i64) -> f64 {
        let indexes = || self.dbs.iter().map(|db| &db.expiries);
        let all: usize = indexes().map(|index| index.len()).sum();
        let due: usize = indexes().map(|index| index.due(now_ms)).sum();
        if all == 0 { 0.0 } else { due as f64 * 100.0 / all as f64 }
    }

    /// The earliest deadline of all databases, of keys and of fields: nothing expires before it.
    pub fn next_deadline(&self) -> Option<i64> {
        [self.earliest(), self.earliest_field()].into_iter().flatten().map(|(deadline, _)| deadline).min()
    }

    /// The earliest deadline of a field, and the database it is in.
    fn earliest_field(&self) -> Option<(i64, usize)> {
        let dbs = self.with_deadlines();
        dbs.filter_map(|(at, db)| Some((db.field_expiries.next_deadline()?, at))).min()
    }

    /// The earliest deadline, and the database it is in.
    pub(super) fn earliest(&self) -> Option<(i64, usize)> {
        self.with_deadlines().filter_map(|(at, db)| Some((db.expiries.next_deadline()?, at))).min()
    }

    /// The databases that may have deadlines: nearly always few of them.
    #[inline]
    fn with_deadlines(&self) -> impl Iterator<Item = (usize, &Db)> {
        self.dbs[..self.side.dbs_with_deadlines].iter().enumerate()
    }

    /// Deletes keys whose time is over, up to `max` of them, a batch at a time from the database that is most overdue:
    /// a budget that is too small delays keys and starves no database. Returns how many; as many as `max` means that
    /// there may be more. Call it every few milliseconds.
    pub fn expire_due(&mut self, now_ms: i64, max: usize) -> usize {
        if !self.side.options.active_expire || self.side.options.keep_expired {
            return 0;
        }
        let mut expired = 0;
        while expired < max {
            let Some((_, at)) = self.earliest().filter(|&(deadline, _)| deadline < now_ms) else { break };
            let batch = BATCH.min(max - expired);
            expired += expire_batch(&mut self.dbs[at], &mut self.heap, &mut self.side, at, now_ms, batch);
        }
        while expired < max {
            let Some((_, at)) = self.earliest_field().filter(|&(deadline, _)| deadline < now_ms) else { break };
            expired += self.expire_fields(at, now_ms, max - expired);
        }
        expired
    }

    /// Deletes fields whose time is over of the hash that is most overdue, up to `max` of them; at least one.
    fn expire_fields(&mut self, at: usize, now_ms: i64, max: usize) -> usize {
        let Db { table, field_expiries, .. } = &mut self.dbs[at];
        let (deadline, fragment) = field_expiries.first().expect("the caller has seen a deadline");
        let slot = table.occupied_by_fragment(&mut self.heap, Fragment(fragment), |e| {
            EntryRef(e).field_deadline() == Some(deadline)
        });
        let slot = slot.expect("every record of the index has a hash with its deadline");
        let name: Box<[u8]> = slot.get().key().into();
        let key = self.key(&name);
        let mut db = self.db(at, now_ms);
        db.set_touch(false);
        match db.entry(key) {
            KeySlot::Occupied(hash) => hash.expire_fields(max),
            KeySlot::Vacant(_) => 1, // the key's own time was over, and it went with all its fields
        }
    }
}

fn expire_batch(db: &mut Db, heap: &mut Heap, side: &mut Side, at: usize, now_ms: i64, batch: usize) -> usize {
    let mut due = [(0i64, Fragment(0)); BATCH];
    let mut n = 0;
    db.expiries.pop_due(now_ms, batch, |deadline, fragment| {
        due[n] = (deadline, Fragment(fragment));
        n += 1;
    });
    let due = &due[..n];
    due.iter().for_each(|(_, fragment)| db.table.prefetch_bucket(fragment.likely_hash()));
    due.iter().for_each(|(_, fragment)| db.table.prefetch_entry(fragment.likely_hash()));
    for &(deadline, fragment) in due {
        // The record says which part of a hash; the deadline in the entry says which of the keys that have it.
        let slot = db.table.occupied_by_fragment(heap, fragment, |e| e.expiry_ms() == Some(deadline));
        let slot = slot.expect("every record of the index has an entry with its deadline");
        let name: Option<Box<[u8]>> = side.must_name_gone().then(|| slot.get().key().into());
        let fields = EntryRef(slot.get()).field_deadline();
        side.sizes.begin();
        side.sizes.leaves(at, EntryRef(slot.get()));
        side.charges.leaves(at, EntryRef(slot.get()));
        let entry = slot.remove();
        if let Some(deadline) = fields {
            db.field_expiries.remove(deadline, fragment.0);
        }
        side.discard(entry, side.options.lazy_expire);
        side.stats.expired_keys += 1;
        if let Some(key) = name {
            side.note_gone(at, &key, Cause::Expired);
        }
    }
    n
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::KeySlot;
    use crate::types::hash::{self, NewHash};
    use crate::types::value::NewValue;

    #[test]
    fn a_lookup_deletes_what_has_expired() {
        let mut w = World::new();
        w.set_for("k", "v", 100);
        w.set_for("later", "v", 200);
        w.now += 100;
        assert_eq!(w.get("k").as_deref(), Some("v"), "the deadline itself is in time");
        w.now += 1;
        assert!(w.on("k", |db, k| db.peek(k).is_none()));
        assert_eq!(w.db().size(), 2, "peek leaves no trace");
        assert_eq!(w.get("k"), None);
        assert_eq!((w.db().size(), w.expired()), (1, vec!["k".to_string()]));
        assert_eq!(w.ks.stats().expired_keys, 1);
        assert_eq!(w.ks.stats().dirty, 2, "running out of time is not a change");
        assert_eq!(w.get("later").as_deref(), Some("v"));
    }

    #[test]
    fn writes_do_not_see_what_has_expired() {
        let mut w = World::new();
        w.set_for("n", "41", 10);
        w.set_for("kept", "old", 10);
        w.now += 11;
        assert_eq!(w.on("n", |db, k| db.incr(k, 1)), Ok(1));
        w.on("kept", |db, k| db.set_bytes(k, b"new", super::super::ExpiryUpdate::Keep));
        assert_eq!(
            w.on("kept", |db, k| db.peek(k).unwrap().expiry_ms()),
            None,
            "KEEPTTL of a expired key keeps nothing"
        );
        assert!(!w.on("gone", |db, k| db.remove(k)));
        assert_eq!(w.ks.info(0, w.now).expires, 0);
    }

    #[test]
    fn keys_expire_by_themselves_in_order_of_their_deadlines() {
        let mut w = World::new();
        for i in 0..1_000 {
            w.db = i % 3;
            w.set_for(&format!("k{i}"), "v", (i as i64 * 37) % 1_000);
        }
        w.db = 0;
        w.set("stays", "v");
        assert_eq!(w.ks.next_deadline(), Some(w.now));
        w.now += 500;
        assert_eq!(w.ks.expire_due(w.now, 100), 100);
        while w.ks.expire_due(w.now, 100) > 0 {}
        assert_eq!(w.expired().len(), 500);
        assert_eq!(w.ks.next_deadline(), Some(w.now));
        w.ks.check_invariants();
        w.now += 1_000;
        assert_eq!(w.ks.expire_due(w.now, 10_000), 500);
        assert_eq!((w.ks.size(0), w.ks.next_deadline()), (1, None));
    }

    #[test]
    fn a_small_budget_starves_no_database() {
        let mut w = World::new();
        for i in 0..200 {
            w.set_for(&format!("many{i}"), "v", 10 + i);
        }
        w.db = 3;
        w.set_for("few", "v", 5);
        w.now += 1_000;
        w.ks.expire_due(w.now, 1);
        assert_eq!(w.expired(), ["few"]);
    }

    #[test]
    fn the_switch_stops_active_expiry_only() {
        let mut w = World::new();
        w.ks.options_mut().active_expire = false;
        w.set_for("k", "v", 1);
        w.now += 2;
        assert_eq!(w.ks.expire_due(w.now, 10), 0);
        assert_eq!(w.get("k"), None);
        assert_eq!(w.db().size(), 0);
    }

    #[test]
    fn snapshots_keep_what_expires() {
        let mut w = World::new();
        (0..500).for_each(|i| w.set_for(&format!("k{i}"), "v", 10));
        let snapshot = w.ks.snapshot();
        w.now += 11;
        while w.ks.expire_due(w.now, 64) > 0 {}
        assert_eq!((w.ks.size(0), snapshot.keys()), (0, 500));
        assert_eq!(snapshot.dbs()[0].iter().filter(|e| e.string().unwrap().len() == 1).count(), 500);
    }

    fn hash(w: &mut World, key: &str, fields: usize) {
        w.on(key, |db, k| {
            let KeySlot::Vacant(mut place) = db.entry(k) else { panic!("a new key") };
            let hash = NewHash::for_fields(fields, &place.maker());
            let mut place = place.insert_value(NewValue::Hash(hash));
            place.edit_hash(|place| {
                for n in 0..fields {
                    hash::set(place, format!("f{n}").as_bytes(), b"v", false);
                }
            });
            place.changed_quietly(1);
        });
    }

    fn expire_field(w: &mut World, key: &str, field: usize, ttl_ms: i64) {
        let deadline = w.now + ttl_ms;
        w.on(key, |db, k| {
            let KeySlot::Occupied(mut place) = db.entry(k) else { panic!("it is there") };
            place.edit_hash(|place| hash::set_deadline(place, format!("f{field}").as_bytes(), Some(deadline)));
        });
    }

    fn fields(w: &mut World, key: &str) -> Option<usize> {
        w.on(key, |db, k| db.peek(k).map(|entry| entry.hash().expect("a hash").len()))
    }

    #[test]
    fn fields_expire_by_themselves_and_the_hash_with_the_last() {
        let mut w = World::new();
        for (key, n) in [("small", 3), ("large", 2000)] {
            hash(&mut w, key, n);
            for field in 0..n {
                expire_field(&mut w, key, field, 10 * (field as i64 % 3));
            }
        }
        hash(&mut w, "stays", 5);
        w.ks.check_invariants();
        assert_eq!(w.ks.next_deadline(), Some(w.now));
        w.now += 1;
        assert_eq!(w.ks.expire_due(w.now, 100), 100, "a large hash does not expire at once");
        while w.ks.expire_due(w.now, 100) > 0 {}
        assert_eq!((fields(&mut w, "small"), fields(&mut w, "large")), (Some(2), Some(1333)));
        w.ks.check_invariants();
        w.now += 100;
        while w.ks.expire_due(w.now, 100) > 0 {}
        assert_eq!((fields(&mut w, "small"), fields(&mut w, "large"), fields(&mut w, "stays")), (None, None, Some(5)));
        assert_eq!(w.ks.next_deadline(), None);
        assert_eq!((w.ks.stats().expired_fields, w.ks.stats().expired_keys), (2003, 0));
        assert!(w.expired().is_empty(), "it is deleted, not expired");
        w.ks.check_invariants();
    }

    #[test]
    fn the_index_of_fields_follows_whatever_happens_to_the_key() {
        let mut w = World::new();
        let indexed = |w: &World| w.ks.info(0, w.now).field_expires;
        for (i, key) in ["set", "del", "rename", "copy", "expire", "flush"].into_iter().enumerate() {
            hash(&mut w, key, if i % 2 == 0 { 3 } else { 1000 });
            expire_field(&mut w, key, 1, 50 + i as i64);
        }
        assert_eq!(indexed(&w), 6);
        w.set("set", "v");
        w.on("del", |db, k| db.remove(k));
        let to = w.ks.key(b"renamed");
        w.on("rename", |db, k| db.rename(k, to));
        let to = w.ks.key(b"copied");
        w.on("copy", |db, k| db.copy_to(k, 0, to, false));
        assert_eq!(indexed(&w), 5);
        w.ks.check_invariants();
        let now = w.now;
        w.on("expire", |db, k| db.expire_at(k, now + 10));
        w.now += 11;
        assert_eq!(w.get("expire"), None);
        assert_eq!(indexed(&w), 4);
        w.on("copy", |db, k| {
            db.delete_expired_among(k, [&b"f1"[..]].into_iter());
            assert_eq!(db.peek(k).expect("it is there").hash().expect("a hash").len(), 1000, "f1 has time left");
        });
        w.now += 100;
        w.on("copy", |db, k| db.delete_expired_among(k, [&b"f1"[..]].into_iter()));
        assert_eq!((fields(&mut w, "copy"), indexed(&w)), (Some(999), 3));
        w.ks.check_invariants();
        w.ks.flush_db(0, crate::db::FlushMode::Sync, w.now);
        assert_eq!(indexed(&w), 0);
    }
}
