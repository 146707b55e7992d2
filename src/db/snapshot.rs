//! The keyspace at one moment, for another thread.
//!
//! Taking a snapshot costs a few words a database, whatever it holds. Whoever has it reads every entry as it was, in
//! hash order, while this thread goes on writing; what was alive at that moment is kept until the snapshot is dropped.

use super::Object;
use super::entry::{EntryRef, Key};
use super::keyspace::Keyspace;
use super::lazyfree::Garbage;
use super::past::PastDb;
use crate::cow::SnapshotTicket;
use crate::dict::{Entry, SnapshotView};
use crate::types::Limits;
use crate::util::hash::HashSeed;

/// Nodes freed here rather than sent away: their number makes no pause.
const FEW_NODES: usize = 64;

/// All databases at one moment. Send; dropping it ends the snapshot.
pub struct KeyspaceSnapshot {
    // Fields are dropped in this order: the views before the ticket that keeps their nodes.
    dbs: Vec<DbSnapshot>,
    /// How keys were hashed.
    pub(super) seed: HashSeed,
    /// Where values changed their form.
    pub(super) limits: Limits,
    _ticket: SnapshotTicket,
}

/// One database at the snapshot's moment.
pub struct DbSnapshot {
    index: usize,
    expires: usize,
    field_expires: usize,
    view: SnapshotView<Entry<Object>>,
}

impl Keyspace {
    /// Opens a snapshot. O(databases).
    pub fn snapshot(&mut self) -> KeyspaceSnapshot {
        let opening = self.heap.open_snapshot();
        let dbs = self.dbs.iter().enumerate().filter(|(_, db)| !db.table.is_empty()).map(|(index, db)| DbSnapshot {
            index,
            expires: db.expiries.len(),
            field_expires: db.field_expiries.len(),
            view: db.table.view(&opening),
        });
        let dbs = dbs.collect();
        let (seed, limits) = (self.side.seed, self.side.options.limits);
        KeyspaceSnapshot { dbs, seed, limits, _ticket: opening.ticket() }
    }

    /// A snapshot lives: writes copy what it shares.
    pub fn has_snapshot(&self) -> bool {
        self.heap.has_snapshot()
    }

    /// Notices snapshots that ended and sends away what only they needed. Call it every turn; true if one ended.
    pub fn reap_snapshots(&mut self) -> bool {
        let ended = self.heap.reap() > 0;
        while self.heap.reclaim(FEW_NODES) {
            match self.heap.take_garbage() {
                Some(garbage) => self.side.lazy.free(Garbage::Nodes(garbage)),
                None => break,
            }
        }
        ended
    }
}

impl KeyspaceSnapshot {
    /// The databases that held keys, by number.
    pub fn dbs(&self) -> &[DbSnapshot] {
        &self.dbs
    }

    /// Database `index` for one command, whose moment is `now_ms`.
    pub fn db(&self, index: usize, now_ms: i64) -> PastDb<'_> {
        PastDb::new(self, index, now_ms)
    }

    /// Keys in all databases.
    pub fn keys(&self) -> usize {
        self.dbs.iter().map(DbSnapshot::keys).sum()
    }
}

impl DbSnapshot {
    /// The number SELECT knew it by.
    pub fn index(&self) -> usize {
        self.index
    }

    pub fn keys(&self) -> usize {
        self.view.len()
    }

    /// Keys with a deadline.
    pub fn expires(&self) -> usize {
        self.expires
    }

    /// Hashes with deadlines of fields.
    pub fn field_expires(&self) -> usize {
        self.field_expires
    }

    /// The entry of a key, its time over or not.
    #[inline]
    pub(super) fn find(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.view.find(key.hash, key.bytes).map(EntryRef)
    }

    /// As [`super::DbMut::prefetch`].
    pub(super) fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        hashes.clone().for_each(|hash| self.view.prefetch_bucket(hash));
        hashes.for_each(|hash| self.view.prefetch_entry(hash));
    }

    /// Every entry, those whose time is over included.
    pub fn iter(&self) -> impl Iterator<Item = EntryRef<'_>> {
        self.view.iter().map(EntryRef)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;

    #[test]
    fn a_snapshot_is_read_while_everything_changes() {
        let mut w = World::new();
        let large = "z".repeat(200_000);
        for i in 0..5_000 {
            w.set(&format!("key:{i}"), &i.to_string());
        }
        w.set("large", &large);
        w.set_for("volatile", "v", 5_000);
        let digest = w.ks.digest();
        let snapshot = w.ks.snapshot();
        let reader = std::thread::spawn(move || (0..4).map(|_| snapshot.digest()).collect::<Vec<_>>());
        let mut round = 0;
        while !reader.is_finished() || round < 2 {
            for i in 0..5_000 {
                let key = format!("key:{i}");
                match (i + round) % 4 {
                    0 => w.set(&key, "changed"),
                    1 => _ = w.on(&key, |db, k| db.append(k, b"more").unwrap()),
                    2 => _ = w.on(&key, |db, k| db.remove(k)),
                    _ => _ = w.on(&key, |db, k| db.expire_at(k, i64::MAX)),
                }
            }
            w.on("large", |db, k| db.append(k, b"more").unwrap());
            w.on("volatile", |db, k| db.persist(k));
            round += 1;
        }
        assert!(reader.join().unwrap().iter().all(|d| *d == digest), "the same data, however often it is read");
        assert!(w.ks.reap_snapshots());
        assert!(!w.ks.has_snapshot());
        w.ks.check_invariants();
    }

    #[test]
    fn a_snapshot_outlives_its_keyspace() {
        let mut w = World::new();
        (0..2_000).for_each(|i| w.set(&format!("key:{i}"), &"v".repeat(i)));
        let (digest, snapshot) = (w.ks.digest(), w.ks.snapshot());
        (0..2_000).step_by(2).for_each(|i| w.set(&format!("key:{i}"), "changed"));
        drop(w);
        assert_eq!(snapshot.digest(), digest);
    }

    #[test]
    fn empty_databases_are_not_listed() {
        let mut w = World::new();
        w.db = 2;
        w.set("k", "v");
        let snapshot = w.ks.snapshot();
        assert_eq!(snapshot.dbs().iter().map(|d| (d.index(), d.keys())).collect::<Vec<_>>(), [(2, 1)]);
    }
}
