//! All databases, and what they share.

use super::Object;
use super::access::AccessPolicy;
use super::blocking_keys::{BlockingKey, BlockingKeys};
use super::charge::{self, Charges};
use super::data::DbMut;
use super::declared::Checked;
#[cfg(debug_assertions)]
use super::declared::Declared;
use super::density::{self, Density};
use super::entry::{EntryRef, Key};
use super::evict::Pool;
use super::expiry::ExpiryIndex;
use super::lazyfree::{Garbage, LazyFree, goes_away};
use super::sizes::SizeBook;
use super::trace::Trace;
use super::undo::Undo;
use super::watch::WatchTable;
use crate::cow::{Heap, HeapStats};
use crate::dict::{self, Entry, Growth, Leftover, Table, TableStats};
use crate::types::Limits;
use crate::types::contract::TypeName;
use crate::types::string::SeenPieces;
use crate::util::hash::HashSeed;
use crate::util::output_buffer::OutputBuffer;
use crate::util::rng::Rng;

/// Every key of an instance.
///
/// Commands work on one database at a time, through [`Keyspace::db`]. What concerns all of them, or runs between
/// commands, is here.
pub struct Keyspace {
    pub(super) dbs: Vec<Db>,
    pub(super) heap: Heap,
    pub(super) side: Side,
}

/// One numbered database.
pub(super) struct Db {
    pub table: Table<Entry<Object>>,
    pub expiries: ExpiryIndex,
    /// The earliest deadline of the fields of each hash that has some.
    pub field_expiries: ExpiryIndex,
}

impl Db {
    pub fn new(seed: HashSeed) -> Self {
        Db { table: Table::new(seed), expiries: ExpiryIndex::new(), field_expiries: ExpiryIndex::new() }
    }
}

/// The moment at which the commands of an append-only file are executed again: before all deadlines, so that nothing
/// expires between two commands between which it had not expired when they were written.
pub const REPLAYED_MS: i64 = 0;

/// What every database uses besides its own table.
pub(super) struct Side {
    pub seed: HashSeed,
    pub options: Options,
    pub stats: Stats,
    pub watch: WatchTable,
    pub blocking_keys: BlockingKeys,
    pub lazy: LazyFree,
    pub charges: Charges,
    /// While a file is loaded.
    pub seen: Option<SeenPieces>,
    /// How far the table of a database is going to grow meanwhile.
    pub growth: Option<(usize, Growth)>,
    /// The time, for commands that are executed at [`REPLAYED_MS`].
    pub clock_ms: i64,
    pub trace: Trace,
    pub rng: Rng,
    pub pool: Pool,
    pub checked: Checked,
    pub sizes: SizeBook,
    pub density: Density,
    pub moment: Moment,
    /// So many databases, from the first on, may have deadlines.
    pub dbs_with_deadlines: usize,
    /// What is changed now can be taken back.
    pub(super) undo: Option<Box<Undo>>,
    /// Room for the next time.
    pub(super) undo_room: Option<Box<Undo>>,
}

/// What the uses of one moment write, worked out once.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    at_ms: i64,
    /// The access bits of an entry that is used again and again: the time, and the best class.
    best: u32,
    /// Uses are counted (LFU).
    counts: bool,
}

impl Moment {
    /// No moment is this one.
    const NONE: Moment = Moment { at_ms: i64::MIN, best: 0, counts: false };
}

/// What configuration decides here.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub access: AccessPolicy,
    /// Where values change their form.
    pub limits: Limits,
    /// `lazyfree-lazy-expire`: large values that run out of time are freed on the other thread.
    pub lazy_expire: bool,
    /// `lazyfree-lazy-eviction`: so are those that are evicted.
    pub lazy_evict: bool,
    /// `lazyfree-lazy-server-del`: so are values that a write replaces.
    pub lazy_server_del: bool,
    /// `lazyfree-lazy-user-del`: DEL is UNLINK.
    pub lazy_user_del: bool,
    /// DEBUG SET-ACTIVE-EXPIRE: keys expire by themselves, not only when they are looked up.
    pub active_expire: bool,
    /// CLIENT PAUSE: keys whose time is over are as good as gone to readers, but stay until the pause is over, so that
    /// the data set does not change under whoever waits for it to stand still.
    pub keep_expired: bool,
    /// DEBUG SET-SKIP-CHECKSUM-VALIDATION clears it: RESTORE believes the checksums of payloads.
    pub payload_checksums: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            access: AccessPolicy::Lru,
            limits: Limits::default(),
            lazy_expire: false,
            lazy_evict: false,
            lazy_server_del: false,
            lazy_user_del: false,
            active_expire: true,
            keep_expired: false,
            payload_checksums: true,
        }
    }
}

/// Counters of what happened to keys. All but `dirty` are INFO's.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Stats {
    pub hits: u64,
    pub misses: u64,
    pub expired_keys: u64,
    /// Fields of hashes.
    pub expired_fields: u64,
    pub evicted_keys: u64,
    /// Changes since the start; the difference to its value at the last save is `rdb_changes_since_last_save`.
    pub dirty: u64,
}

impl Stats {
    /// CONFIG RESETSTAT.
    pub fn reset(&mut self) {
        *self = Stats { dirty: self.dirty, ..Stats::default() };
    }
}

/// Why a key went by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It ran out of time.
    Expired,
    /// Memory was full.
    Evicted,
}

/// One line of INFO keyspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DbInfo {
    pub keys: usize,
    pub expires: usize,
    pub average_ttl_ms: i64,
    /// Hashes with deadlines of fields.
    pub field_expires: usize,
}

impl Keyspace {
    /// `dbs` empty databases.
    pub fn new(dbs: usize, seed: HashSeed, options: Options) -> Keyspace {
        assert!(dbs > 0, "an instance has at least database 0");
        Keyspace {
            dbs: (0..dbs).map(|_| Db::new(seed)).collect(),
            heap: Heap::new(),
            side: Side {
                seed,
                options,
                stats: Stats::default(),
                watch: WatchTable::default(),
                blocking_keys: BlockingKeys::default(),
                lazy: LazyFree::default(),
                charges: Charges::new(dbs),
                seen: None,
                growth: None,
                clock_ms: 0,
                trace: Trace::default(),
                rng: Rng::from_seed(seed.hash(b"samples")),
                pool: Pool::default(),
                checked: Checked::default(),
                sizes: SizeBook::new(dbs),
                density: Density::default(),
                moment: Moment::NONE,
                dbs_with_deadlines: 0,
                undo: None,
                undo_room: None,
            },
        }
    }

    /// From now on the command at hand is the one that has declared this; returns the declaration of the one before.
    #[cfg(debug_assertions)]
    pub fn declare(&mut self, declared: Option<Declared>) -> Option<Declared> {
        self.side.checked.replace(declared)
    }

    /// Number of databases.
    pub fn databases(&self) -> usize {
        self.dbs.len()
    }

    /// The seed under which keys are hashed.
    #[inline]
    pub fn seed(&self) -> HashSeed {
        self.side.seed
    }

    /// `bytes` with their hash.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key { bytes, hash: self.side.seed.hash(bytes) }
    }

    /// Database `index` at the time `now_ms`, for one command.
    ///
    /// # Panics
    ///
    /// When there is no such database: SELECT has checked.
    #[inline]
    pub fn db(&mut self, index: usize, now_ms: i64) -> DbMut<'_> {
        assert!(index < self.dbs.len(), "a client has selected a database that exists");
        DbMut::new(self, index, now_ms)
    }

    /// Starts fetching the bucket a key would be in. Stage 1 of 3, for a batch of keys.
    #[inline]
    pub fn prefetch_bucket(&self, db: usize, hash: u64) {
        self.dbs[db].table.prefetch_bucket(hash);
    }

    /// Starts fetching what storing a new key will read and write.
    #[inline]
    pub fn prefetch_place(&self, db: usize, hash: u64) {
        self.dbs[db].table.prefetch_place(hash);
    }

    /// Starts fetching the entry that is likely the key's. Stage 2, when the bucket has arrived.
    #[inline]
    pub fn prefetch_entry(&self, db: usize, hash: u64) {
        self.dbs[db].table.prefetch_entry(hash);
    }

    /// Starts fetching what looking for an element in the value of the entry that is likely the key's will read. Stage
    /// 3, when the entry has arrived.
    #[inline]
    pub fn prefetch_inside(&self, db: usize, hash: u64, element: u64) {
        if let Some(found) = self.dbs[db].table.likely(hash) {
            EntryRef(found).prefetch_inside(element);
        }
    }

    /// Keys in database `index`, those that ran out of time but are still there included.
    #[inline]
    pub fn size(&self, index: usize) -> usize {
        self.dbs[index].table.len()
    }

    /// The numbers of INFO keyspace.
    pub fn info(&self, index: usize, now_ms: i64) -> DbInfo {
        let db = &self.dbs[index];
        DbInfo {
            keys: db.table.len(),
            expires: db.expiries.len(),
            average_ttl_ms: db.expiries.average_ttl_ms(now_ms),
            field_expires: db.field_expiries.len(),
        }
    }

    pub fn stats(&self) -> &Stats {
        &self.side.stats
    }

    /// For counters that others keep count of (a loaded file, CONFIG RESETSTAT).
    pub fn stats_mut(&mut self) -> &mut Stats {
        &mut self.side.stats
    }

    pub fn options(&self) -> &Options {
        &self.side.options
    }

    pub fn options_mut(&mut self) -> &mut Options {
        // The access policy may be another one afterwards.
        self.side.moment = Moment::NONE;
        &mut self.side.options
    }

    pub fn watch(&self) -> &WatchTable {
        &self.side.watch
    }

    /// The keys that blocked clients wait for.
    #[inline]
    pub fn blocking_keys(&self) -> &BlockingKeys {
        &self.side.blocking_keys
    }

    /// Changes what blocked clients wait for.
    pub fn with_blocking_keys<R>(&mut self, change: impl FnOnce(&mut BlockingKeys) -> R) -> R {
        let result = change(&mut self.side.blocking_keys);
        self.side.note_waiting();
        result
    }

    /// Takes the key that has been ready for longest off the list.
    pub fn take_ready(&mut self) -> Option<BlockingKey> {
        self.side.blocking_keys.take_ready()
    }

    /// When a key expires, without a trace; none if it does not, or is missing.
    pub fn deadline_of(&self, db: usize, key: &[u8]) -> Option<i64> {
        EntryRef(self.dbs[db].table.find(self.side.seed.hash(key), key)?).expiry_ms()
    }

    /// The type of a key's value, without a trace; none if the key is missing or its time is over.
    pub fn type_at(&self, db: usize, key: &[u8], now_ms: i64) -> Option<TypeName> {
        let found = EntryRef(self.dbs[db].table.find(self.side.seed.hash(key), key)?);
        (!found.is_expired(now_ms)).then(|| found.type_name())
    }

    pub fn lazyfree(&self) -> &LazyFree {
        &self.side.lazy
    }

    /// Has the thread that frees drop what a client was owed.
    pub fn free_elsewhere(&mut self, buffer: OutputBuffer) {
        self.side.lazy.free(Garbage::Buffer(buffer));
    }

    /// Has it drop what another room has no use for: so many objects, and about so many bytes.
    pub fn free_other_elsewhere(&mut self, thing: Box<dyn Send>, objects: u64, bytes: u64) {
        self.side.lazy.free(Garbage::Other { thing, objects, bytes });
    }

    /// The allocator's count is about to be read anew: it will know of everything freed until now.
    pub fn memory_is_counted(&mut self) {
        self.side.lazy.see_freed();
    }

    /// What snapshots hold back (INFO current_cow_size, MEMORY STATS).
    pub fn heap_stats(&self) -> HeapStats {
        self.heap.stats()
    }

    /// The shape of one table (DEBUG HTSTATS, MEMORY STATS).
    pub fn table_stats(&self, index: usize) -> TableStats {
        self.dbs[index].table.stats()
    }

    /// Bytes of the expiry index of one database (MEMORY STATS overhead.hashtable.expires).
    pub fn expiry_bytes(&self, index: usize) -> usize {
        self.dbs[index].expiries.memory_bytes() + self.dbs[index].field_expiries.memory_bytes()
    }

    /// Panics if a table, an index or their agreement is broken. For tests.
    pub fn check_invariants(&self) {
        assert!(self.sizes_are_right(), "sizes are counted as they are");
        for (at, db) in self.dbs.iter().enumerate() {
            db.table.check_invariants();
            db.expiries.check_invariants();
            db.field_expiries.check_invariants();
            let (mut expiries, mut of_fields) = (vec![], vec![]);
            let mut charged = 0;
            db.table.for_each(|e| {
                let fragment = self.key(e.key()).hash_fragment();
                charged += charge::of(EntryRef(e)) as u64;
                expiries.extend(e.expiry_ms().map(|deadline| (deadline, fragment)));
                of_fields.extend(EntryRef(e).field_deadline().map(|deadline| (deadline, fragment)));
            });
            assert_eq!(self.side.charges.of_db(at), charged, "every long string is charged, and nothing else is");
            expiries.sort_unstable();
            of_fields.sort_unstable();
            assert!(db.expiries.iter().eq(expiries), "every deadline of an entry is in the index, and no other");
            assert!(db.field_expiries.iter().eq(of_fields), "and so is the earliest deadline of a hash's fields");
        }
    }
}

impl Side {
    /// A key was written.
    #[inline]
    pub fn changed(&mut self, db: usize, key: &[u8]) {
        self.changed_by(db, key, 1);
    }

    /// As [`Self::changed`], for `count` elements of the value.
    #[inline]
    pub fn changed_by(&mut self, db: usize, key: &[u8], count: usize) {
        self.count_change(key, count);
        self.touch(db, key, true);
    }

    /// The change alone: who listens is asked elsewhere.
    #[inline]
    pub fn count_change(&mut self, key: &[u8], count: usize) {
        self.checked.writes(key);
        self.stats.dirty += count as u64;
    }

    /// A key was deleted by a command.
    #[inline]
    pub fn deleted(&mut self, db: usize, key: &[u8]) {
        self.checked.writes(key);
        self.stats.dirty += 1;
        self.touch(db, key, false);
    }

    /// A command changed a key, or deleted it: watchers, blocked clients and caches hear of it.
    #[inline]
    pub fn touch(&mut self, db: usize, key: &[u8], exists: bool) {
        debug_assert!(
            self.trace.is_muted()
                || self.trace.has_listeners()
                || (self.watch.is_idle() && self.blocking_keys.is_idle())
        );
        if self.trace.has_listeners() {
            self.touch_now(db, key, exists);
            self.trace.touch(key);
        }
    }

    /// To be called when somebody has begun, or ceased, to watch keys or to wait for them.
    pub(super) fn note_waiting(&mut self) {
        self.trace.set_waiting(!self.watch.is_idle(), !self.blocking_keys.is_idle());
    }

    #[cold]
    #[inline(never)]
    fn touch_now(&mut self, db: usize, key: &[u8], exists: bool) {
        if !self.watch.is_idle() {
            self.watch.touch(db as u32, key, exists);
        }
        if !self.blocking_keys.is_idle() {
            self.blocking_keys.touch(db as u32, key);
        }
    }

    /// An entry was used.
    #[inline(always)]
    pub fn touch_clock(&mut self, entry: dict::EntryRef<'_, Object>, now_ms: i64) {
        if now_ms != self.moment.at_ms {
            self.begin_moment(now_ms);
        }
        let Moment { best, counts, .. } = self.moment;
        if counts {
            let Side { density, options, rng, .. } = self;
            entry.retouch(|bits| {
                density.note_use(bits);
                options.access.counted(bits, best, rng)
            });
        } else {
            entry.retouch(|bits| if density::is_best(bits) { best } else { self.density.used_at(bits, best) });
        }
    }

    #[cold]
    #[inline(never)]
    fn begin_moment(&mut self, now_ms: i64) {
        let access = self.options.access;
        let counts = access != AccessPolicy::Lru;
        self.moment = Moment { at_ms: now_ms, best: density::best(self.fresh_clock(now_ms)), counts };
    }

    /// The access bits of an entry that is made at `now_ms`.
    #[inline]
    pub fn fresh_clock(&self, now_ms: i64) -> u32 {
        self.options.access.fresh(if now_ms == REPLAYED_MS { self.clock_ms } else { now_ms })
    }

    /// Frees an entry that left its table: on the other thread if `lazily` and worth it, or if it is huge.
    #[inline]
    pub fn discard(&mut self, entry: Option<Entry<Object>>, lazily: bool) {
        let Some(entry) = entry else { return };
        if goes_away(entry.free_effort(), lazily) {
            self.lazy.free(Garbage::Entry(entry));
        }
    }

    /// Frees a value that was replaced; on the other thread as above.
    #[inline]
    pub fn discard_value(&mut self, value: Option<Leftover<Object>>) {
        let Some(value) = value else { return };
        if goes_away(value.free_effort(), self.options.lazy_server_del) {
            self.lazy.free(Garbage::Value(value));
        }
    }

    /// Somebody wants to know which keys go by themselves.
    pub fn must_name_gone(&self) -> bool {
        self.trace.has_listeners() || self.undo.is_some()
    }

    /// A key was deleted without a command.
    pub fn note_gone(&mut self, db: usize, key: &[u8], cause: Cause) {
        if let Some(undo) = &mut self.undo {
            undo.gone.push((db, key.into()));
        }
        self.touch_now(db, key, false);
        let lazily = match cause {
            Cause::Expired => self.options.lazy_expire,
            Cause::Evicted => self.options.lazy_evict,
        };
        self.trace.note_gone(db, key, cause, lazily);
    }
}
