//! Filling databases wholesale: from a file, or by DEBUG POPULATE.
//!
//! A loader does what commands do without what only commands need: no change is counted, no watcher asked, no expiry
//! looked for before a key is stored.

use super::access::AccessPolicy;
use super::entry::Key;
use super::keyspace::{Db, Keyspace};
use super::slot::{ExpiryUpdate, KeySlot};
use crate::dict::{Entry, EntryHead, Slot};
use crate::rdb::Access;
use crate::types::value::NewValue;
use crate::util::num;

/// One entry of a file.
pub struct LoadedEntry<'a> {
    pub db: usize,
    pub key: &'a [u8],
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
        let type_id = value.type_name() as u8;
        match self {
            KeySlot::Occupied(mut o) => {
                let clock = o.with.side.options.access.restored(access, o.with.now_ms);
                value.with_payload(o.slot.heap().epoch(), |encoding, payload| {
                    o.replace_aged(type_id, encoding as u8, payload, expiry_ms, clock);
                });
            }
            KeySlot::Vacant(v) => {
                let clock = v.with.side.options.access.restored(access, v.with.now_ms);
                value.with_payload(v.slot.heap().epoch(), |encoding, payload| {
                    v.insert_aged(type_id, encoding as u8, payload, expiry_ms, clock);
                });
            }
        }
    }
}

impl Keyspace {
    /// Stores one entry of a file that is being loaded at `now_ms`.
    pub fn load(&mut self, entry: LoadedEntry<'_>, now_ms: i64) -> Loaded {
        let key = self.key(entry.key);
        let Keyspace { dbs, heap, side } = self;
        let Some(Db { table, expiries }) = dbs.get_mut(entry.db) else { return Loaded::NoSuchDb };
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
        slot.insert(built);
        if let Some(deadline) = entry.expiry_ms {
            expiries.insert(deadline, key.hash_prefix());
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
