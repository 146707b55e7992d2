//! Databases as wholes: FLUSHDB, FLUSHALL, SWAPDB; and what watchers make of it.

use super::entry::EntryRef;
use super::expiry::ExpiryIndex;
use super::keyspace::{Db, Keyspace};
use super::lazyfree::Waste;
use super::watch::{Presence, WatcherId};

/// Who frees what was flushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlushMode {
    /// This thread, before the reply.
    Sync,
    /// The lazy-free thread.
    Async,
}

impl Keyspace {
    /// FLUSHDB; how many keys are gone.
    pub fn flush_db(&mut self, at: usize, mode: FlushMode, now_ms: i64) -> usize {
        let Keyspace { dbs, heap, side } = self;
        let db = &mut dbs[at];
        let keys = db.table.len();
        if keys == 0 {
            return 0;
        }
        if !side.watch.is_idle() {
            let seed = side.seed;
            side.watch.touch_db(at as u32, |key| (presence(db, seed.hash(key), key, now_ms), Presence::Missing));
        }
        let deadlines = std::mem::replace(&mut db.expiries, ExpiryIndex::new());
        let table = db.table.take_all(heap);
        side.stats.dirty += keys as u64;
        if mode == FlushMode::Async {
            side.lazy.free(Waste::Deadlines(deadlines));
            if let Some(table) = table {
                side.lazy.free(Waste::Table(table));
            }
        }
        keys
    }

    /// FLUSHALL; how many keys are gone.
    pub fn flush_all(&mut self, mode: FlushMode, now_ms: i64) -> usize {
        (0..self.dbs.len()).map(|at| self.flush_db(at, mode, now_ms)).sum()
    }

    /// SWAPDB. Clients keep the number they selected, and watches the number they were made in.
    pub fn swap_dbs(&mut self, a: usize, b: usize, now_ms: i64) {
        let Keyspace { dbs, side, .. } = self;
        if a != b && !side.watch.is_idle() {
            let seed = side.seed;
            for (before, after) in [(a, b), (b, a)] {
                side.watch.touch_db(before as u32, |key| {
                    let hash = seed.hash(key);
                    (presence(&dbs[before], hash, key, now_ms), presence(&dbs[after], hash, key, now_ms))
                });
            }
        }
        dbs.swap(a, b);
        side.stats.dirty += 1;
    }

    /// WATCH of one key by one client.
    pub fn watch_key(&mut self, at: usize, key: &[u8], client: WatcherId, now_ms: i64) {
        let lapsed = presence(&self.dbs[at], self.side.seed.hash(key), key, now_ms) == Presence::Lapsed;
        self.side.watch.watch(at as u32, key, client, lapsed);
    }

    /// UNWATCH, EXEC, DISCARD, and the end of a connection.
    #[inline]
    pub fn unwatch(&mut self, client: WatcherId) {
        if !self.side.watch.is_idle() {
            self.side.watch.unwatch(client);
        }
    }

    /// EXEC must fail: a key this client watches has changed or run out of time.
    pub fn is_watch_dirty(&self, client: WatcherId, now_ms: i64) -> bool {
        let watch = &self.side.watch;
        !watch.is_idle()
            && (watch.is_dirty(client)
                || watch.fresh_places(client).any(|(at, key)| {
                    presence(&self.dbs[at as usize], self.side.seed.hash(key), key, now_ms) == Presence::Lapsed
                }))
    }
}

fn presence(db: &Db, hash: u64, key: &[u8], now_ms: i64) -> Presence {
    match db.table.find(hash, key).map(EntryRef) {
        None => Presence::Missing,
        Some(e) if e.is_lapsed(now_ms) => Presence::Lapsed,
        Some(_) => Presence::Alive,
    }
}
