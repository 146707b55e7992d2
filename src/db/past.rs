//! One database of a snapshot during one command: what the handler of a long read sees.
//!
//! Time stands still here: a key is judged by the moment at which the snapshot was taken, which is the command's.
//! Nothing leaves a trace: access clocks belong to the live database, and what a lookup counts is handed to whoever
//! keeps the statistics, when the command is over.

use std::ops::ControlFlow;

use super::declared::Checked;
use super::entry::{EntryRef, Key};
use super::place::Reading;
use super::read::Readable;
use super::snapshot::{DbSnapshot, KeyspaceSnapshot};
use crate::cow::Heap;
use crate::types::Limits;
use crate::types::place::Maker;
use crate::util::hash::HashSeed;

/// One database as it was.
pub struct PastDb<'a> {
    snapshot: &'a KeyspaceSnapshot,
    /// `None` if it held no keys.
    db: Option<&'a DbSnapshot>,
    now_ms: i64,
    seed: HashSeed,
    limits: Limits,
    /// Of what is built to be replied: it has nothing to do with the data set.
    heap: Heap,
    counts: Lookups,
    checked: Checked,
}

/// What lookups have counted.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Lookups {
    /// The key was there.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
}

impl<'a> PastDb<'a> {
    /// Database `index` of a snapshot that was taken at `now_ms`.
    pub(super) fn new(snapshot: &'a KeyspaceSnapshot, index: usize, now_ms: i64) -> PastDb<'a> {
        PastDb {
            snapshot,
            db: snapshot.dbs().iter().find(|db| db.index() == index),
            now_ms,
            seed: snapshot.seed,
            limits: snapshot.limits,
            heap: Heap::new(),
            counts: Lookups::default(),
            checked: Checked::default(),
        }
    }

    /// All databases at that moment.
    pub fn snapshot(&self) -> &'a KeyspaceSnapshot {
        self.snapshot
    }

    /// What lookups have counted so far.
    pub fn counts(&self) -> Lookups {
        self.counts
    }

    /// The command at hand is the one that has declared this.
    #[cfg(debug_assertions)]
    pub fn declare(&mut self, declared: super::Declared) {
        self.checked.replace(Some(declared));
    }

    /// The entry of a key that had time left, for as long as the snapshot lives.
    fn find(&self, key: Key<'_>) -> Option<EntryRef<'a>> {
        self.checked.reads(key.bytes);
        self.db?.find(key).filter(|found| !found.is_expired(self.now_ms))
    }
}

impl Readable for PastDb<'_> {
    fn now_ms(&self) -> i64 {
        self.now_ms
    }

    fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.seed.hash(bytes) }
    }

    fn lookup_read(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        let found = self.find(key);
        match found {
            Some(_) => self.counts.hits += 1,
            None => self.counts.misses += 1,
        }
        found
    }

    fn peek(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.find(key)
    }

    fn reading(&mut self) -> (Reading<'_>, Maker<'_>) {
        let maker = Maker { heap: &mut self.heap, limits: self.limits, seed: self.seed };
        (Reading::past(self.db, self.now_ms, &self.checked), maker)
    }

    fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        if let Some(db) = self.db {
            db.prefetch(hashes);
        }
    }

    fn size(&self) -> usize {
        self.db.map_or(0, DbSnapshot::keys)
    }

    fn each(&self, f: impl FnMut(EntryRef<'_>) -> ControlFlow<()>) {
        let entries = self.db.into_iter().flat_map(DbSnapshot::iter);
        // Whoever breaks off has had enough.
        let _ = entries.filter(|entry| !entry.is_expired(self.now_ms)).try_for_each(f);
    }

    fn forget_if_expired(&mut self, _key: Key<'_>, _name: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    fn names(db: &impl Readable) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        db.each(|entry| {
            names.push(entry.key().to_vec());
            ControlFlow::Continue(())
        });
        names
    }

    #[test]
    fn the_past_is_read_as_the_present_was() {
        let mut w = World::new();
        let keys = if cfg!(miri) { 60 } else { 3_000 };
        (0..keys).for_each(|i| w.set(&format!("key:{i}"), &i.to_string()));
        w.set_for("gone", "v", 5);
        w.set_for("soon", "v", 50);
        w.now += 10;
        let (before, now) = (names(&w.db()), w.now);
        let snapshot = w.ks.snapshot();
        let reader = std::thread::spawn(move || {
            let mut db = snapshot.db(0, now);
            let value = |db: &mut PastDb<'_>, name: &str| {
                let key = db.key(name.as_bytes());
                db.lookup_read(key).map(|entry| entry.string().expect("a string").to_vec())
            };
            let all = (0..keys).all(|i| value(&mut db, &format!("key:{i}")) == Some(i.to_string().into_bytes()));
            assert!(all, "every key has the value of that moment");
            assert_eq!((value(&mut db, "gone"), value(&mut db, "never")), (None, None));
            assert!(value(&mut db, "soon").is_some(), "its time was not over then");
            assert_eq!(db.counts(), Lookups { hits: keys as u64 + 1, misses: 2 });
            assert_eq!(snapshot.db(3, now).size(), 0);
            names(&db)
        });
        for round in 0..4 {
            for i in 0..keys {
                match (i + round) % 3 {
                    0 => w.set(&format!("key:{i}"), "changed"),
                    1 => _ = w.on(&format!("key:{i}"), |db, k| db.remove(k)),
                    _ => w.set(&format!("new:{i}"), "v"),
                }
            }
            w.now += 100;
        }
        assert_eq!(reader.join().expect("no panic"), before, "the same entries, in the same order");
        w.ks.reap_snapshots();
        w.ks.check_invariants();
    }

    #[test]
    fn whoever_has_had_enough_sees_no_more() {
        let mut w = World::new();
        (0..20).for_each(|i| w.set(&format!("key:{i}"), "v"));
        let snapshot = w.ks.snapshot();
        let mut seen = 0;
        snapshot.db(0, w.now).each(|_| {
            seen += 1;
            if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!(seen, 3);
    }
}
