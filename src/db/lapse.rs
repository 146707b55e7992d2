//! Keys that run out of time: deleted when a command meets them, and by themselves soon after.
//!
//! Both ways end in the same place: the entry leaves its table and its index, `expired_keys` counts it, watchers hear
//! of it, and, when somebody above has to propagate or notify, its name is noted ([`Keyspace::take_lapsed`]).

use super::data::DbMut;
use super::entry::Key;
use super::keyspace::{Db, Keyspace, Side};
use crate::cow::Heap;
use crate::dict::Slot;

/// Records taken from the index at once, so that the buckets of all of them are on their way when the first is needed.
const BATCH: usize = 32;

impl DbMut<'_> {
    /// Deletes the key if its time is over; true if it did. Costs one comparison while nothing in the database is due.
    #[inline]
    pub(super) fn delete_if_lapsed(&mut self, key: Key<'_>) -> bool {
        let due = self.ks.dbs[self.at].expiries.is_due(self.now_ms);
        due && self.delete_lapsed(key)
    }

    #[cold]
    fn delete_lapsed(&mut self, key: Key<'_>) -> bool {
        let Keyspace { dbs, heap, side } = &mut *self.ks;
        let db = &mut dbs[self.at];
        let Slot::Occupied(slot) = db.table.entry_mut(heap, key.hash, key.bytes) else { return false };
        let Some(deadline) = slot.get().expiry_ms().filter(|&deadline| deadline < self.now_ms) else { return false };
        let entry = slot.remove();
        db.expiries.remove(deadline, key.hash_prefix());
        side.discard(entry, side.options.lazy_expire);
        side.note_lapsed(self.at, key.bytes);
        true
    }
}

impl Keyspace {
    /// The earliest deadline of all databases: nothing expires before it.
    pub fn next_deadline(&self) -> Option<i64> {
        self.dbs.iter().filter_map(|db| db.expiries.next_deadline()).min()
    }

    /// Deletes keys whose time is over, the most overdue first in each database, up to `max` of them. Returns how many;
    /// as many as `max` means that there may be more. Call it every few milliseconds.
    pub fn expire_due(&mut self, now_ms: i64, max: usize) -> usize {
        if !self.side.options.active_expire {
            return 0;
        }
        let mut expired = 0;
        for at in 0..self.dbs.len() {
            while expired < max && self.dbs[at].expiries.is_due(now_ms) {
                let batch = BATCH.min(max - expired);
                expired += expire_batch(&mut self.dbs[at], &mut self.heap, &mut self.side, at, now_ms, batch);
            }
        }
        expired
    }
}

fn expire_batch(db: &mut Db, heap: &mut Heap, side: &mut Side, at: usize, now_ms: i64, batch: usize) -> usize {
    let mut due = [(0i64, 0u32); BATCH];
    let mut n = 0;
    db.expiries.pop_due(now_ms, batch, |deadline, prefix| {
        due[n] = (deadline, prefix);
        n += 1;
    });
    let due = &due[..n];
    for &(_, prefix) in due {
        db.table.prefetch_bucket(u64::from(prefix) << 32);
    }
    for &(deadline, prefix) in due {
        // The record says which hash; the deadline in the entry says which of the keys with that hash.
        let slot = db.table.occupied_by_prefix(heap, prefix, |e| e.expiry_ms() == Some(deadline));
        let slot = slot.expect("every record of the index has an entry with its deadline");
        if side.must_name_lapsed() {
            let key: Box<[u8]> = slot.get().key().into();
            let entry = slot.remove();
            side.discard(entry, side.options.lazy_expire);
            side.note_lapsed(at, &key);
        } else {
            let entry = slot.remove();
            side.discard(entry, side.options.lazy_expire);
            side.stats.expired_keys += 1;
        }
    }
    n
}

impl Side {
    /// Somebody wants to know which keys ran out of time.
    fn must_name_lapsed(&self) -> bool {
        self.options.note_lapsed || !self.watch.is_idle()
    }
}
