//! Filling databases wholesale: from a file, or by DEBUG POPULATE.
//!
//! A loader does what commands do without what only commands need: no change is counted, no watcher asked, no expiry
//! looked for before a key is stored.

use super::access::AccessPolicy;
use super::entry::{EntryRef, Key};
use super::keyspace::{Db, Keyspace};
use super::slot::{ExpiryUpdate, KeySlot};
use super::trace::KeyEvent;
use crate::dict::{Entry, EntryHead, Growth, Slot};
use crate::rdb::Access;
use crate::types::string::{NewString, SeenPieces};
use crate::types::value::NewValue;
use crate::util::num;

/// The table of a database whose size is foretold is enlarged by one segment for so many keys that arrive, until it is
/// large enough: a fraction of the way, and never a step that takes long.
const GROW_EVERY: usize = 8;

/// One entry of a file.
pub struct LoadedEntry<'a> {
    pub db: usize,
    pub key: Key<'a>,
    pub expiry_ms: Option<i64>,
    pub access: Access,
    pub value: NewValue,
}

/// What came of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loaded {
    Stored,
    /// The key is there already. A file with two entries for a key is damaged; nothing was changed.
    Duplicate,
    /// There is no database of that number.
    NoSuchDb,
}

impl AccessPolicy {
    /// The access bits of an entry from a file that was written under this policy or another one.
    fn restored(self, access: Access, now_ms: i64) -> u32 {
        match access {
            Access::Unknown => self.fresh(now_ms),
            Access::IdleSeconds(seconds) => self.idle_for(seconds, now_ms),
            Access::Frequency(counter) => self.with_frequency(counter, now_ms),
        }
    }

    /// What a file is told about an entry with these bits.
    pub fn saved(self, bits: u32, now_ms: i64) -> Access {
        match self {
            AccessPolicy::Lru => Access::IdleSeconds(u64::from(self.idle_seconds(bits, now_ms))),
            AccessPolicy::Lfu { .. } => Access::Frequency(self.frequency(bits, now_ms) as u8),
        }
    }
}

impl KeySlot<'_> {
    /// RESTORE: a value from a payload becomes the key's, whatever was there.
    pub fn restore(self, value: NewValue, expiry_ms: Option<i64>, access: Access) {
        let event = KeyEvent::generic("restore");
        let type_id = value.type_name() as u8;
        match self {
            KeySlot::Occupied(mut o) => {
                let clock = o.with.side.options.access.restored(access, o.with.now_ms);
                let was = o.slot.get().type_id();
                value.with_payload(o.slot.heap().epoch(), |encoding, payload| {
                    o.replace_aged(type_id, encoding as u8, payload, expiry_ms, clock);
                });
                // In the order of a server that deletes what there is and begins anew.
                o.notify(KeyEvent::NEW);
                o.notify(event);
                o.with.note_overwritten((was, type_id));
            }
            KeySlot::Vacant(v) => {
                let clock = v.with.side.options.access.restored(access, v.with.now_ms);
                value.with_payload(v.slot.heap().epoch(), |encoding, payload| {
                    v.insert_aged(type_id, encoding as u8, payload, expiry_ms, clock).note(event);
                });
            }
        }
    }
}

impl Keyspace {
    /// A file is about to be loaded: until [`Keyspace::end_load`], equal pieces of long strings are stored once.
    pub fn begin_load(&mut self) {
        self.side.seen = Some(SeenPieces::new(self.side.seed));
        self.side.growth = None;
    }

    /// The file was loaded.
    pub fn end_load(&mut self) {
        self.side.seen = None;
        self.side.growth = None;
    }

    /// A file says that it has so many keys for a database. If that is not true, little is lost.
    pub fn expect_keys(&mut self, db: usize, keys: u64) {
        self.side.growth = Some((db, Growth::to(keys)));
    }

    /// Commands of a file are executed at [`REPLAYED_MS`](crate::db::REPLAYED_MS) from now on; it is `clock_ms`.
    pub fn begin_replay(&mut self, clock_ms: i64) {
        self.side.clock_ms = clock_ms;
    }

    /// Stores one entry of a file that is being loaded at `now_ms`.
    pub fn load(&mut self, mut entry: LoadedEntry<'_>, now_ms: i64) -> Loaded {
        if let (NewValue::String(NewString::Long(rope)), Some(seen)) = (&mut entry.value, &mut self.side.seen) {
            seen.share(rope);
        }
        let key = entry.key;
        let Keyspace { dbs, heap, side } = self;
        let Some(Db { table, expiries, field_expiries }) = dbs.get_mut(entry.db) else { return Loaded::NoSuchDb };
        let Slot::Vacant(slot) = table.entry_mut(heap, key.hash, key.bytes) else { return Loaded::Duplicate };
        let birth = slot.heap().epoch();
        let type_id = entry.value.type_name() as u8;
        let clock = side.options.access.restored(entry.access, now_ms);
        let Key { bytes, hash } = key;
        let built = entry.value.with_payload(birth, |encoding, payload| {
            let head =
                EntryHead { key: bytes, hash, expiry_ms: entry.expiry_ms, type_id, encoding: encoding as u8, clock };
            Entry::build(birth, &head, payload)
        });
        let slot = slot.insert(built);
        side.sizes.enters_entry(entry.db, EntryRef(slot.get()));
        side.charges.enters(entry.db, EntryRef(slot.get()));
        side.dbs_with_deadlines = side.dbs_with_deadlines.max(entry.db + 1);
        let deadline_of_fields = EntryRef(slot.get()).field_deadline();
        if table.len().is_multiple_of(GROW_EVERY)
            && let Some((db, growth)) = &mut side.growth
            && *db == entry.db
            && table.grow_ahead(heap, growth)
        {
            side.growth = None;
        }
        if let Some(deadline) = entry.expiry_ms {
            expiries.insert(deadline, key.hash_fragment());
        }
        if let Some(deadline) = deadline_of_fields {
            field_expiries.insert(deadline, key.hash_fragment());
        }
        Loaded::Stored
    }

    /// DEBUG POPULATE: keys `<prefix>:0` and so on with values `value:0` and so on, those that exist left alone. With a
    /// `size` every value is cut or filled up with zero bytes to it. Counts as no change: nobody else is to do it again.
    pub fn populate(&mut self, at: usize, count: u64, prefix: &[u8], size: Option<usize>, now_ms: i64) {
        let dirty = self.side.stats.dirty;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for i in 0..count {
            key.clear();
            key.extend_from_slice(prefix);
            key.push(b':');
            num::push_u64(&mut key, i);
            value.clear();
            value.extend_from_slice(b"value:");
            num::push_u64(&mut value, i);
            if let Some(size) = size {
                value.resize(size, 0);
            }
            let mut db = self.db(at, now_ms);
            let key = db.key(&key);
            if db.peek(key).is_none() {
                db.set_bytes(key, &value, ExpiryUpdate::Clear);
            }
        }
        self.side.stats.dirty = dirty;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;
    use crate::rdb::RdbString;
    use crate::types::string::Rope;
    use crate::util::piece;

    fn entry(db: usize, key: &[u8], text: &[u8]) -> LoadedEntry<'static> {
        let value = NewValue::String(NewString::Text(RdbString::Bytes(text.to_vec())));
        let key = Key { bytes: key.to_vec().leak(), hash: World::new().ks.seed().hash(key) };
        LoadedEntry { db, key, expiry_ms: None, access: Access::Unknown, value }
    }

    #[test]
    fn a_file_fills_databases_without_counting_changes() {
        let mut w = World::new();
        let now = w.now;
        assert_eq!(w.ks.load(entry(1, b"k", b"12"), now), Loaded::Stored);
        assert_eq!(w.ks.load(entry(1, b"k", b"13"), now), Loaded::Duplicate);
        assert_eq!(w.ks.load(entry(9, b"k", b"13"), now), Loaded::NoSuchDb);
        let idle = LoadedEntry { expiry_ms: Some(now + 9), access: Access::IdleSeconds(60), ..entry(1, b"idle", b"v") };
        assert_eq!(w.ks.load(idle, now), Loaded::Stored);
        assert_eq!(w.ks.load(entry(1, b"large", &[b'x'; 100_000]), now), Loaded::Stored);
        w.db = 1;
        assert_eq!((w.get("k").as_deref(), w.encoding("k")), (Some("12"), "int"));
        let policy = w.ks.options().access;
        assert_eq!(w.on("idle", |db, k| policy.idle_seconds(db.peek(k).unwrap().clock(), now)), 60);
        assert_eq!(w.ks.info(1, now).expires, 1);
        assert_eq!(w.ks.stats().dirty, 0);
        w.ks.check_invariants();
    }

    #[test]
    fn a_table_grows_to_what_the_file_foretells() {
        let mut w = World::new();
        let (now, all) = (w.now, 3000);
        let segments = |w: &World| w.ks.table_stats(1).segments;
        w.ks.begin_load();
        w.ks.expect_keys(1, 1 << 40);
        w.ks.expect_keys(1, all);
        for i in 0..all {
            assert_eq!(w.ks.load(entry(1, format!("k{i}").as_bytes(), b"v"), now), Loaded::Stored);
            if i == 200 {
                assert_eq!(segments(&w), 16, "without it there would be two");
            }
        }
        w.ks.end_load();
        assert!((16..32).contains(&segments(&w)), "{}", segments(&w));
        w.ks.check_invariants();
    }

    #[test]
    fn populate_makes_what_redis_makes() {
        let mut w = World::with(&[("p:1", "mine")]);
        w.ks.populate(0, 3, b"p", None, w.now);
        assert_eq!(["p:0", "p:1", "p:2"].map(|k| w.get(k).unwrap()), ["value:0", "mine", "value:2"]);
        w.ks.populate(0, 1, b"long", Some(10), w.now);
        w.ks.populate(0, 1, b"cut", Some(3), w.now);
        assert_eq!(["long:0", "cut:0"].map(|k| w.get(k).unwrap()), ["value:0\0\0\0", "val"]);
    }

    #[test]
    fn copies_in_a_file_take_the_memory_of_one() {
        let text: Vec<u8> = (0..1_000_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
        let long = |name: &str| LoadedEntry {
            value: NewValue::String(NewString::Long(Rope::from(&text[..]))),
            ..entry(0, name.as_bytes(), b"")
        };
        let mut w = World::new();
        let (now, before) = (w.now, piece::balance());
        w.ks.begin_load();
        assert!((0..5).all(|i| w.ks.load(long(&i.to_string()), now) == Loaded::Stored));
        w.ks.end_load();
        assert!(piece::balance() - before < 1_050_000, "{}", piece::balance() - before);
        assert!(w.ks.shared_bytes() > 3_900_000, "each is charged for all of it");
        w.on("3", |db, k| db.append(k, b"!").unwrap());
        w.ks.check_invariants();
        (0..5).for_each(|i| _ = w.on(&i.to_string(), |db, k| db.remove(k)));
        assert_eq!((w.ks.shared_bytes(), piece::balance()), (0, before));
    }

    #[test]
    fn restore_replaces() {
        let mut w = World::with(&[("k", "old")]);
        let at = w.now + 100;
        let value = NewValue::String(NewString::Text(RdbString::Int(5)));
        w.on("k", |db, k| db.entry(k).restore(value, Some(at), Access::Frequency(9)));
        assert_eq!((w.get("k").as_deref(), w.encoding("k")), (Some("5"), "int"));
        assert_eq!(w.on("k", |db, k| db.peek(k).unwrap().expiry_ms()), Some(at));
    }
}
