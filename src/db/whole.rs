//! Databases as wholes: FLUSHDB, FLUSHALL, SWAPDB; and what watchers make of it.

use super::entry::EntryRef;
use super::keyspace::{Db, Keyspace};
use super::lazyfree::{Garbage, Notice, SOON_DONE};
use super::watch::{Presence, WatcherId};
use crate::sys::allocator;

/// Who frees what was flushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlushMode {
    /// This thread, before the reply.
    Sync,
    /// The lazy-free thread.
    Async,
}

impl Keyspace {
    /// Whether freeing all of a database takes so long that everybody should not have to wait for it.
    pub fn takes_long_to_free(&self, at: usize) -> bool {
        let table = &self.dbs[at].table;
        let mut effort = table.len();
        if effort <= SOON_DONE {
            table.for_each(|entry| effort += EntryRef(entry).value().free_effort());
        }
        effort > 2 * SOON_DONE
    }

    /// Calls this, from any thread, when all that was given away to be freed is freed.
    pub fn when_freed(&mut self, tell: Notice) {
        self.side.lazy.free(Garbage::Notice(tell));
    }

    /// FLUSHDB; how many keys are gone.
    pub fn flush_db(&mut self, at: usize, mode: FlushMode, now_ms: i64) -> usize {
        let Keyspace { dbs, heap, side } = self;
        let db = &mut dbs[at];
        side.checked.writes_all();
        side.trace.touch_all();
        let keys = db.table.len();
        if keys == 0 {
            return 0;
        }
        if !side.watch.is_idle() {
            let seed = side.seed;
            side.watch.touch_db(at as u32, |key| (presence(db, seed.hash(key), key, now_ms), Presence::Missing));
        }
        if !side.blocking_keys.is_idle() {
            side.blocking_keys.touch_db(at as u32);
        }
        let deadlines = [std::mem::take(&mut db.expiries), std::mem::take(&mut db.field_expiries)];
        let table = db.table.take_all(heap);
        side.sizes.clear(at);
        side.charges.flush(at);
        side.stats.dirty += keys as u64;
        if mode == FlushMode::Async {
            deadlines.into_iter().for_each(|index| side.lazy.free(Garbage::Deadlines(index)));
            if let Some(table) = table {
                side.lazy.free(Garbage::Table(table));
            }
        } else {
            let before_bytes = allocator::freed_bytes();
            drop((deadlines, table));
            side.lazy.give_back(allocator::freed_bytes() - before_bytes);
        }
        keys
    }

    /// FLUSHALL; how many keys are gone.
    pub fn flush_all(&mut self, mode: FlushMode, now_ms: i64) -> usize {
        (0..self.dbs.len()).map(|at| self.flush_db(at, mode, now_ms)).sum()
    }

    /// An empty keyspace, with the same databases, for data that may take the place of this one's.
    pub fn beside(&self) -> Keyspace {
        Keyspace::new(self.dbs.len(), self.side.seed, self.side.options)
    }

    /// All data of `other`, which nobody can reach any more, is given away to be freed, but for what snapshots still
    /// read. To be called again and again until [`Keyspace::is_bare`].
    pub fn free_data_of(&mut self, other: &mut Keyspace, now_ms: i64) {
        // One thread frees everything: it is this one's.
        std::mem::swap(&mut self.side.lazy, &mut other.side.lazy);
        other.flush_all(FlushMode::Async, now_ms);
        other.reap_snapshots();
        std::mem::swap(&mut self.side.lazy, &mut other.side.lazy);
    }

    /// Whether nothing is left of what it had: neither keys nor what snapshots of them still read.
    pub fn is_bare(&self) -> bool {
        self.dbs.iter().all(|db| db.table.is_empty()) && !self.heap.has_snapshot() && !self.heap.has_garbage()
    }

    /// The data of `other` takes the place of this one's, and the other way round. To clients it is as if every key had
    /// been written.
    pub fn exchange_data(&mut self, other: &mut Keyspace, now_ms: i64) {
        debug_assert!(self.dbs.len() == other.dbs.len(), "it was made beside this one");
        let Keyspace { dbs, heap, side } = self;
        side.checked.writes_all();
        let seed = side.seed;
        for (at, (before, after)) in dbs.iter().zip(&other.dbs).enumerate() {
            if !side.watch.is_idle() {
                side.watch.touch_db(at as u32, |key| {
                    let hash = seed.hash(key);
                    (presence(before, hash, key, now_ms), presence(after, hash, key, now_ms))
                });
            }
            if !side.blocking_keys.is_idle() {
                side.blocking_keys.touch_db(at as u32);
            }
        }
        side.trace.touch_all();
        std::mem::swap(dbs, &mut other.dbs);
        std::mem::swap(heap, &mut other.heap);
        std::mem::swap(&mut side.sizes, &mut other.side.sizes);
        std::mem::swap(&mut side.charges, &mut other.side.charges);
        std::mem::swap(&mut side.density, &mut other.side.density);
        std::mem::swap(&mut side.dbs_with_deadlines, &mut other.side.dbs_with_deadlines);
        (side.pool, other.side.pool) = Default::default();
        side.stats.dirty += 1;
    }

    /// SWAPDB. Clients keep the number they selected, and watches the number they were made in.
    pub fn swap_dbs(&mut self, a: usize, b: usize, now_ms: i64) {
        let Keyspace { dbs, side, .. } = self;
        side.checked.writes_all();
        if a != b && !side.watch.is_idle() {
            let seed = side.seed;
            for (before, after) in [(a, b), (b, a)] {
                side.watch.touch_db(before as u32, |key| {
                    let hash = seed.hash(key);
                    (presence(&dbs[before], hash, key, now_ms), presence(&dbs[after], hash, key, now_ms))
                });
            }
        }
        if a != b && !side.blocking_keys.is_idle() {
            [a, b].into_iter().for_each(|at| side.blocking_keys.touch_db(at as u32));
        }
        if a != b {
            side.trace.touch_all();
        }
        dbs.swap(a, b);
        side.dbs_with_deadlines = side.dbs_with_deadlines.max(a.max(b) + 1);
        side.sizes.swap(a, b);
        side.charges.swap(a, b);
        side.stats.dirty += 1;
    }

    /// WATCH of one key by one client.
    pub fn watch_key(&mut self, at: usize, key: &[u8], client: WatcherId, now_ms: i64) {
        let expired = presence(&self.dbs[at], self.side.seed.hash(key), key, now_ms) == Presence::Expired;
        self.side.watch.watch(at as u32, key, client, expired);
        self.side.note_waiting();
    }

    /// UNWATCH, EXEC, DISCARD, and the end of a connection.
    #[inline]
    pub fn unwatch(&mut self, client: WatcherId) {
        if !self.side.watch.is_idle() {
            self.side.watch.unwatch(client);
            self.side.note_waiting();
        }
    }

    /// Forgets some of the keys that were watched and are not any more.
    pub fn forget_watched(&mut self) {
        self.side.watch.forget_some();
    }

    /// EXEC must fail: a key this client watches has changed or run out of time.
    pub fn is_watch_dirty(&self, client: WatcherId, now_ms: i64) -> bool {
        let watch = &self.side.watch;
        !watch.is_idle()
            && (watch.is_dirty(client)
                || watch.fresh_places(client).any(|(at, key)| {
                    presence(&self.dbs[at as usize], self.side.seed.hash(key), key, now_ms) == Presence::Expired
                }))
    }
}

fn presence(db: &Db, hash: u64, key: &[u8], now_ms: i64) -> Presence {
    match db.table.find(hash, key).map(EntryRef) {
        None => Presence::Missing,
        Some(e) if e.is_expired(now_ms) => Presence::Expired,
        Some(_) => Presence::Alive,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::FlushMode;

    const CLIENT: u64 = 7;

    impl World {
        fn watch(&mut self, key: &str) {
            self.ks.watch_key(self.db, key.as_bytes(), CLIENT, self.now);
        }

        fn is_dirty(&self) -> bool {
            self.ks.is_watch_dirty(CLIENT, self.now)
        }
    }

    #[test]
    fn watched_keys_notice_writes_of_every_kind() {
        type Write = fn(&mut World);
        let writes: [(&str, Write); 7] = [
            ("SET of the same bytes", |w| w.set("k", "v")),
            ("APPEND", |w| _ = w.on("k", |db, k| db.append(k, b"x"))),
            ("DEL", |w| _ = w.on("k", |db, k| db.remove(k))),
            ("EXPIRE", |w| _ = w.on("k", |db, k| db.expire_at(k, i64::MAX))),
            ("RENAME from", |w| {
                let to = w.ks.key(b"other");
                w.on("k", |db, k| db.rename(k, to));
            }),
            ("RENAME to", |w| {
                let to = w.ks.key(b"k");
                w.set("other", "v");
                w.on("other", |db, k| db.rename(k, to));
            }),
            ("FLUSHALL", |w| _ = w.ks.flush_all(FlushMode::Sync, w.now)),
        ];
        for (name, write) in writes {
            let mut w = World::with(&[("k", "v")]);
            w.watch("k");
            w.set("unrelated", "v");
            w.get("k");
            assert!(!w.is_dirty());
            write(&mut w);
            assert!(w.is_dirty(), "{name}");
            w.ks.unwatch(CLIENT);
            assert!(!w.is_dirty());
        }
    }

    #[test]
    fn a_watched_key_that_runs_out_of_time_is_dirty_even_before_it_is_deleted() {
        let mut w = World::new();
        w.set_for("k", "v", 10);
        w.watch("k");
        assert!(!w.is_dirty());
        w.now += 11;
        assert!(w.is_dirty());
        w.ks.expire_due(w.now, 10);
        assert!(w.is_dirty());
    }

    #[test]
    fn a_key_that_had_expired_at_watch_may_be_deleted() {
        let mut w = World::new();
        w.set_for("k", "v", 10);
        w.now += 11;
        w.watch("k");
        assert!(!w.is_dirty());
        w.ks.expire_due(w.now, 10);
        assert!(!w.is_dirty());
        w.set("k", "anew");
        assert!(w.is_dirty());
    }

    #[test]
    fn swapdb_touches_keys_that_exist_on_either_side() {
        for (here, there, dirty) in [(true, false, true), (false, true, true), (false, false, false)] {
            let mut w = World::new();
            if here {
                w.set("k", "v");
            }
            w.db = 1;
            if there {
                w.set("k", "v");
            }
            w.set("other", "v");
            w.db = 0;
            w.watch("k");
            w.ks.swap_dbs(0, 1, w.now);
            assert_eq!(w.is_dirty(), dirty, "here {here}, there {there}");
            assert_eq!(w.get("other").as_deref(), Some("v"));
        }
    }

    #[test]
    fn flushing_lazily_and_under_a_snapshot() {
        let mut w = World::new();
        (0..3_000).for_each(|i| w.set_for(&format!("k{i}"), "v", 1_000));
        let snapshot = w.ks.snapshot();
        assert_eq!(w.ks.flush_db(0, FlushMode::Async, w.now), 3_000);
        assert_eq!((w.ks.size(0), w.ks.info(0, w.now).expires), (0, 0));
        (0..3_000).for_each(|i| w.set(&format!("k{i}"), "w"));
        assert!(snapshot.dbs()[0].iter().all(|e| e.expiry_ms().is_some()));
        drop(snapshot);
        assert!(w.ks.reap_snapshots());
        assert_eq!(w.ks.flush_all(FlushMode::Async, w.now), 3_000);
        while w.ks.lazyfree().pending_objects() > 0 {
            std::thread::yield_now();
        }
        assert_eq!(w.ks.lazyfree().freed_objects(), 3_000, "what a snapshot held back is not an object any more");
        w.ks.check_invariants();
    }
}
