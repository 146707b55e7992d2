//! A value goes from one key to another, in the same database or between two: RENAME, MOVE, COPY.
//!
//! RENAME and MOVE take the payload itself: a value behind a pointer is not copied, however large it is. COPY makes
//! another owner of it: pieces are shared until one of both writes.

use super::Object;
use super::data::DbMut;
use super::entry::{EntryRef, Key};
use super::keyspace::{Db, Keyspace};
use super::slot::KeySlot;
use super::trace::KeyEvent;
use crate::dict::{Payload, PayloadRef, Slot};

/// What came of MOVE or COPY.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transfer {
    Done,
    /// There is no such source.
    Missing,
    /// There is such a destination, and it was not to be replaced.
    Occupied,
}

/// A value between two keys, with what goes along with it.
struct Carried {
    type_id: u8,
    encoding: u8,
    expiry_ms: Option<i64>,
    clock: u32,
    value: Value,
}

enum Value {
    Bytes(Vec<u8>),
    Ready(Payload<'static, Object>),
}

impl DbMut<'_> {
    /// RENAME: the value and expiry of `from` become those of `to`, which is replaced. False if `from` is missing.
    pub fn rename(&mut self, from: Key<'_>, to: Key<'_>) -> bool {
        self.delete_if_expired(from);
        self.delete_if_expired(to);
        if from.bytes == to.bytes {
            return self.peek(from).is_some();
        }
        let (at, now_ms) = (self.at, self.now_ms);
        let Some(carried) = take(self.ks, at, from) else { return false };
        let events = [(at, from, KeyEvent::generic("rename_from")), (at, to, KeyEvent::generic("rename_to"))];
        put(self.ks, at, to, carried, now_ms, &events);
        true
    }

    /// MOVE: to the same key of database `to_db`, which must not exist there.
    pub fn move_to(&mut self, key: Key<'_>, to_db: usize) -> Transfer {
        self.delete_if_expired(key);
        if self.peek(key).is_none() {
            return Transfer::Missing;
        }
        let Some(mut target) = self.other(to_db) else { return Transfer::Missing };
        target.delete_if_expired(key);
        if target.peek(key).is_some() {
            return Transfer::Occupied;
        }
        let (at, now_ms) = (self.at, self.now_ms);
        let Some(carried) = take(self.ks, at, key) else { return Transfer::Missing };
        let events = [(at, key, KeyEvent::generic("move_from")), (to_db, key, KeyEvent::generic("move_to"))];
        put(self.ks, to_db, key, carried, now_ms, &events);
        Transfer::Done
    }

    /// COPY: to key `to` of database `to_db`.
    pub fn copy_to(&mut self, from: Key<'_>, to_db: usize, to: Key<'_>, replace: bool) -> Transfer {
        self.delete_if_expired(from);
        if self.peek(from).is_none() {
            return Transfer::Missing;
        }
        let Some(mut target) = self.other(to_db) else { return Transfer::Missing };
        target.delete_if_expired(to);
        if target.peek(to).is_some() && !replace {
            return Transfer::Occupied;
        }
        let Some(carried) = duplicate(self.ks, self.at, from, self.now_ms) else { return Transfer::Missing };
        let now_ms = self.now_ms;
        put(self.ks, to_db, to, carried, now_ms, &[(to_db, to, KeyEvent::generic("copy_to"))]);
        Transfer::Done
    }
}

/// Removes an entry but keeps its value. The change is counted once, where the value arrives.
fn take(ks: &mut Keyspace, at: usize, key: Key<'_>) -> Option<Carried> {
    let Keyspace { dbs, heap, side } = ks;
    let Db { table, expiries, field_expiries } = &mut dbs[at];
    let Slot::Occupied(slot) = table.entry_mut(heap, key.hash, key.bytes) else { return None };
    let e = slot.get();
    let (type_id, encoding, expiry_ms, clock) = (e.type_id(), e.encoding(), e.expiry_ms(), e.clock());
    let fields = EntryRef(e).field_deadline();
    side.sizes.begin();
    side.sizes.leaves(at, EntryRef(e));
    side.charges.leaves(at, EntryRef(e));
    let value = Value::Ready(Payload::Moved(slot.take_payload()));
    if let Some(deadline) = fields {
        field_expiries.remove(deadline, key.hash_fragment());
    }
    if let Some(deadline) = expiry_ms {
        expiries.remove(deadline, key.hash_fragment());
    }
    side.touch(at, key.bytes, false);
    Some(Carried { type_id, encoding, expiry_ms, clock, value })
}

fn duplicate(ks: &Keyspace, at: usize, key: Key<'_>, now_ms: i64) -> Option<Carried> {
    let e = ks.dbs[at].table.find(key.hash, key.bytes)?;
    let value = match e.payload() {
        PayloadRef::Inline(bytes) | PayloadRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        PayloadRef::Int(n) => Value::Ready(Payload::Int(n)),
        PayloadRef::Node(object) => Value::Ready(Payload::Node(Box::new(object.duplicate(&ks.heap)))),
    };
    let clock = ks.side.options.access.fresh(now_ms);
    Some(Carried { type_id: e.type_id(), encoding: e.encoding(), expiry_ms: e.expiry_ms(), clock, value })
}

/// Stores a value under a key, replacing what is there. To subscribers of events the key is a new one in any case, and
/// that it was overwritten comes last.
fn put(
    ks: &mut Keyspace,
    at: usize,
    key: Key<'_>,
    carried: Carried,
    now_ms: i64,
    events: &[(usize, Key<'_>, KeyEvent)],
) {
    let Carried { type_id, encoding, expiry_ms, clock, value } = carried;
    let (bytes, ready) = match value {
        Value::Bytes(bytes) => (bytes, None),
        Value::Ready(payload) => (Vec::new(), Some(payload)),
    };
    let payload = ready.unwrap_or(Payload::Bytes(&bytes));
    let replaced = match ks.db(at, now_ms).entry(key) {
        KeySlot::Occupied(mut o) => {
            let was = o.slot.get().type_id();
            o.replace_aged(type_id, encoding, payload, expiry_ms, clock);
            o.notify(KeyEvent::NEW);
            Some(was)
        }
        KeySlot::Vacant(v) => {
            v.insert_aged(type_id, encoding, payload, expiry_ms, clock);
            None
        }
    };
    let trace = &mut ks.side.trace;
    events.iter().for_each(|(at, key, event)| trace.note(*at, key.bytes, *event));
    if let Some(was) = replaced {
        trace.note(at, key.bytes, KeyEvent::OVERWRITTEN);
        if was != type_id {
            trace.note(at, key.bytes, KeyEvent::TYPE_CHANGED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::Transfer;

    fn rename(w: &mut World, from: &str, to: &str) -> bool {
        let to = w.ks.key(to.as_bytes());
        w.on(from, |db, k| db.rename(k, to))
    }

    #[test]
    fn rename_takes_value_deadline_and_encoding_along() {
        let large = "z".repeat(300_000);
        for value in ["12", "short", &"m".repeat(1_000), &large] {
            let mut w = World::with(&[("to", "old")]);
            w.set_for("from", value, 50);
            w.on("from", |db, k| db.append(k, b"!").unwrap());
            assert!(rename(&mut w, "from", "to"));
            assert_eq!(w.get("from"), None);
            assert!(w.get("to").is_some_and(|v| v == format!("{value}!")));
            assert_eq!(w.encoding("to"), "raw");
            let deadline = w.now + 50;
            assert_eq!(w.on("to", |db, k| db.peek(k).unwrap().expiry_ms()), Some(deadline));
            w.ks.check_invariants();
        }
    }

    #[test]
    fn rename_of_a_key_to_itself_changes_nothing() {
        let mut w = World::with(&[("k", "v")]);
        assert!(rename(&mut w, "k", "k"));
        assert!(!rename(&mut w, "missing", "missing"));
        assert!(!rename(&mut w, "missing", "k"));
        assert_eq!(w.get("k").as_deref(), Some("v"));
        assert_eq!(w.ks.stats().dirty, 1);
    }

    #[test]
    fn move_and_copy_between_databases() {
        let mut w = World::with(&[("k", "v")]);
        assert_eq!(w.on("k", |db, k| db.move_to(k, 2)), Transfer::Done);
        assert_eq!(w.on("k", |db, k| db.move_to(k, 2)), Transfer::Missing);
        w.set("k", "again");
        assert_eq!(w.on("k", |db, k| db.move_to(k, 2)), Transfer::Occupied);
        assert_eq!(w.on("k", |db, k| db.copy_to(k, 2, k, false)), Transfer::Occupied);
        assert_eq!(w.on("k", |db, k| db.copy_to(k, 2, k, true)), Transfer::Done);
        w.db = 2;
        assert_eq!(w.get("k").as_deref(), Some("again"));
        w.on("k", |db, k| db.append(k, b"!").unwrap());
        w.db = 0;
        assert_eq!(w.get("k").as_deref(), Some("again"), "a copy is independent");
    }

    #[test]
    fn a_copy_of_a_large_value_shares_it_until_written() {
        let mut w = World::with(&[("k", &"z".repeat(1 << 20))]);
        let to = w.ks.key(b"copy");
        assert_eq!(w.on("k", |db, k| db.copy_to(k, 0, to, false)), Transfer::Done);
        w.on("copy", |db, k| db.append(k, b"!").unwrap());
        assert_eq!(w.on("k", |db, k| db.peek(k).unwrap().string().unwrap().len()), 1 << 20);
        assert_eq!(w.on("copy", |db, k| db.peek(k).unwrap().string().unwrap().len()), (1 << 20) + 1);
    }
}
