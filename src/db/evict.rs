//! Which key goes when memory is full.
//!
//! # Choosing
//!
//! Nobody keeps keys in order of their use: that would cost every access. As in Redis, a victim is the best of a few
//! random keys, and the runners-up are remembered in a small pool, so that the next choice is among them too; sixteen
//! places and five samples come close to the true order. Candidates come from all databases.
//!
//! Which of them is the best is not what Redis asks (the longest time without use, the lowest counter): a key is worth
//! what keys of its class bring for the room they take, which `density` measures. Under LRU policies the time without
//! use decides between equals; under LFU policies the counter counts besides, a step of it as a 32nd of a doubling.
//!
//! * `allkeys-*` samples the tables: consecutive slots of one segment, whose lines are asked for together. Keys lie
//!   where their hashes put them, so neighbours are as random as any.
//! * `volatile-*` samples the tables too, and passes over what has no deadline, as long as one key in eight has one.
//!   Where deadlines are rarer it samples the index of deadlines.
//! * `volatile-ttl` needs no luck: the index knows the earliest deadline. (Redis samples here too.)
//! * `*-random` takes a random key of each database in turn.
//!
//! # A place in the pool is no promise
//!
//! It is the part of the hash that the expiry index remembers too ([`Fragment`]), and the rank. When its turn comes,
//! the entry is looked up by the first and must still have the second, or one above: a key that was used since, renamed,
//! deleted or swapped away is not found, and the next best goes. So the pool owns no keys, and nobody has to tell it
//! anything.
//!
//! # What is freed
//!
//! An entry that a snapshot reads is not freed but retired, and a large one may be on its way to the lazy-free thread.
//! Neither lowers what the allocator counts, and whoever evicts until it falls would delete everything. So both are
//! told by [`Keyspace::uncounted_bytes`], and the limit is for the rest: what a snapshot holds back does not count
//! towards `maxmemory`, as the copied pages of Redis's child do not.

use super::density::{Density, Look};
use super::keyspace::{Cause, Db, Keyspace, Side};
use super::{AccessPolicy, EntryRef, Object};
use crate::cow::Heap;
use crate::dict::{self, Entry, Fragment, OccupiedSlot};
use crate::util::hash::HashSeed;
use crate::util::rng::Rng;

/// Candidates that are remembered.
const POOL: usize = 16;

/// With fewer deadlines than one in so many keys, the index is sampled and not the table.
const RARE: usize = 8;

/// A random choice may meet keys without a deadline; after so many, the earliest deadline it is.
const RANDOM_TRIES: usize = 64;

/// Which keys may go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// All.
    All,
    /// Those with a deadline.
    Volatile,
}

/// Which of them goes first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Preference {
    /// The one that is worth least to keep, by its uses and their time ([`AccessPolicy`]).
    LeastUsed,
    /// Any.
    Random,
    /// The one with the earliest deadline.
    EarliestDeadline,
}

/// `maxmemory-policy` and `maxmemory-samples`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    pub scope: Scope,
    pub preference: Preference,
    /// Keys looked at in each database for each victim.
    pub samples: usize,
}

/// A key that might go. Those with a higher rank go first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Candidate {
    rank: i64,
    db: u32,
    fragment: Fragment,
}

/// The best candidates so far, best last.
#[derive(Default)]
pub(super) struct Pool {
    best: Vec<Candidate>,
    /// Ranks under another policy say nothing.
    filled_under: Option<(Scope, AccessPolicy)>,
    /// The database that is asked first next time.
    next_db: usize,
}

impl Pool {
    /// Another policy than before begins to choose.
    fn begin(&mut self, scope: Scope, access: AccessPolicy) -> bool {
        let begins = self.filled_under != Some((scope, access));
        if begins {
            self.best.clear();
            self.filled_under = Some((scope, access));
        }
        begins
    }

    fn has_room_for(&self, rank: i64) -> bool {
        self.best.len() < POOL || rank > self.best[0].rank
    }

    fn offer(&mut self, new: Candidate) {
        // One that is there already may have aged since.
        if let Some(at) = self.best.iter().position(|c| (c.db, c.fragment) == (new.db, new.fragment)) {
            self.best.remove(at);
        } else if self.best.len() == POOL {
            self.best.remove(0);
        }
        let at = self.best.partition_point(|c| c.rank < new.rank);
        self.best.insert(at, new);
    }
}

/// Under LFU policies, what an eighth of a doubling of worth is to a step of the counter. The counter of a key that was
/// popular and is not any more stays high for minutes, so that with equal weight it held such keys for too long.
const COUNTER: i64 = 4;

/// Ranks of keys whose worth differs by one are this far apart: more than seconds, or minutes, can be.
const WORTH: i64 = 1 << 34;

/// How badly an entry deserves to go. It rises while a candidate waits, and falls only when the key is used.
fn rank(access: AccessPolicy, density: &Density, clock: u32, now_ms: i64) -> i64 {
    let worth = i64::from(density.worth(clock));
    match access {
        // The moment of the last use does not change, unlike the time since then.
        AccessPolicy::Lru => -worth * WORTH + i64::from(access.idle_seconds(clock, now_ms)) - now_ms / 1000,
        AccessPolicy::Lfu { .. } => -(worth * COUNTER + i64::from(access.frequency(clock, now_ms))) * WORTH,
    }
}

/// What makes entries into candidates.
struct Judge<'a> {
    access: AccessPolicy,
    density: &'a mut Density,
    look: Look,
    seed: HashSeed,
    now_ms: i64,
    db: u32,
}

impl Judge<'_> {
    /// Looks at a random entry that may go: offers it to the pool, if it is bad enough, and ages it.
    fn look_at(&mut self, e: dict::EntryRef<'_, Object>, pool: &mut Pool) {
        let clock = self.look.at(e.clock(), self.density);
        if clock != e.clock() {
            e.touch(clock);
        }
        let rank = rank(self.access, self.density, clock, self.now_ms);
        if pool.has_room_for(rank) {
            pool.offer(Candidate { rank, db: self.db, fragment: Fragment::of(self.seed.hash(e.key())) });
        }
    }
}

impl Keyspace {
    /// Deletes the key that is to go first; false if there is none that may.
    pub fn evict_one(&mut self, choice: Choice, now_ms: i64) -> bool {
        let mut pool = std::mem::take(&mut self.side.pool);
        let gone = match choice.preference {
            Preference::LeastUsed => self.evict_least_used(choice, now_ms, &mut pool),
            Preference::Random => self.evict_random(choice.scope, &mut pool),
            Preference::EarliestDeadline => self.evict_earliest(),
        };
        self.side.pool = pool;
        gone || self.evict_any(choice.scope)
    }

    /// Bytes that are freed, or as good as freed, although the allocator still counts them: what only snapshots read,
    /// what waits for the lazy-free thread, and pieces of long strings that are no part of the data any more, or yet.
    #[inline]
    pub fn uncounted_bytes(&self) -> u64 {
        let pieces = u64::try_from(-self.shared_bytes()).unwrap_or(0);
        self.heap.stats().retired_bytes + self.side.lazy.unseen_bytes() + pieces
    }

    fn evict_least_used(&mut self, choice: Choice, now_ms: i64, pool: &mut Pool) -> bool {
        let access = self.side.options.access;
        let n = self.dbs.len();
        if pool.begin(choice.scope, access) {
            self.side.density = Density::default();
        }
        if self.side.density.count_eviction() {
            let population = self.dbs.iter().map(|db| candidates(db, choice.scope)).sum();
            self.side.density.learn(population);
            pool.best.clear();
        }
        // Databases take turns at being first, because among equals the first is chosen.
        let first = (pool.next_db + 1) % n;
        pool.next_db = first;
        for db in (first..n).chain(0..first) {
            if candidates(&self.dbs[db], choice.scope) > 0 {
                self.sample_candidates(db, choice, now_ms, pool);
            }
        }
        while let Some(c) = pool.best.pop() {
            let Keyspace { dbs, heap, side } = &mut *self;
            let is_it = |e: EntryRef<'_>| {
                (choice.scope == Scope::All || e.expiry_ms().is_some())
                    && rank(access, &side.density, e.clock(), now_ms) >= c.rank
            };
            let Some(db) = dbs.get_mut(c.db as usize) else { continue };
            if let Some(slot) = find_fragment(db, heap, c.fragment, is_it) {
                evict(slot, side, c.db as usize);
                return true;
            }
        }
        false
    }

    /// Offers some random keys of one database to the pool.
    fn sample_candidates(&mut self, at: usize, choice: Choice, now_ms: i64, pool: &mut Pool) {
        let candidates = candidates(&self.dbs[at], choice.scope);
        let Keyspace { dbs, heap, side } = self;
        let Side { rng, density, seed, options, .. } = side;
        let Db { table, expiries, .. } = &mut dbs[at];
        let look = density.look(candidates, choice.samples, rng.next_u64());
        let mut judge = Judge { access: options.access, density, look, seed: *seed, now_ms, db: at as u32 };
        match choice.scope {
            Scope::All => {
                table.sample(rng, choice.samples, |e| judge.look_at(e, pool));
            }
            Scope::Volatile if expiries.len() >= table.len() / RARE => {
                let looked_at = choice.samples * table.len() / expiries.len();
                table.sample(rng, looked_at, |e| {
                    if e.expiry_ms().is_some() {
                        judge.look_at(e, pool);
                    }
                });
            }
            Scope::Volatile => {
                for _ in 0..choice.samples {
                    let Some((deadline, fragment)) = expiries.random(rng) else { break };
                    let found =
                        table.occupied_by_fragment(heap, Fragment(fragment), |e| e.expiry_ms() == Some(deadline));
                    if let Some(slot) = found {
                        judge.look_at(slot.get(), pool);
                    }
                }
            }
        }
    }

    /// A random key of the next database that has one.
    fn evict_random(&mut self, scope: Scope, pool: &mut Pool) -> bool {
        let n = self.dbs.len();
        let has_some = |&at: &usize| candidates(&self.dbs[at], scope) > 0;
        let Some(at) = (0..n).map(|i| (pool.next_db + i) % n).find(has_some) else { return false };
        pool.next_db = at + 1;
        let Keyspace { dbs, side, .. } = self;
        let rare = dbs[at].expiries.len() < dbs[at].table.len() / RARE;
        if scope == Scope::Volatile && rare {
            return match dbs[at].expiries.random(&mut side.rng) {
                Some((deadline, fragment)) => {
                    self.evict_by_fragment(at, Fragment(fragment), |e| e.expiry_ms() == Some(deadline))
                }
                None => false,
            };
        }
        let chosen = random_hash(&dbs[at], side.seed, scope, &mut side.rng);
        chosen.is_some_and(|fragment| {
            self.evict_by_fragment(at, fragment, |e| scope == Scope::All || e.expiry_ms().is_some())
        })
    }

    fn evict_earliest(&mut self) -> bool {
        let Some((_, at)) = self.earliest() else { return false };
        let Some((deadline, fragment)) = self.dbs[at].expiries.first() else { return false };
        self.evict_by_fragment(at, Fragment(fragment), |e| e.expiry_ms() == Some(deadline))
    }

    /// When chance found nothing although there is something.
    #[cold]
    fn evict_any(&mut self, scope: Scope) -> bool {
        if self.evict_earliest() {
            return true;
        }
        let Some(at) = self.dbs.iter().position(|db| scope == Scope::All && !db.table.is_empty()) else { return false };
        let chosen = random_hash(&self.dbs[at], self.side.seed, scope, &mut self.side.rng);
        chosen.is_some_and(|fragment| self.evict_by_fragment(at, fragment, |_| true))
    }

    fn evict_by_fragment(&mut self, at: usize, fragment: Fragment, is_it: impl Fn(EntryRef<'_>) -> bool) -> bool {
        let Keyspace { dbs, heap, side } = self;
        let Some(slot) = dbs.get_mut(at).and_then(|db| find_fragment(db, heap, fragment, is_it)) else { return false };
        evict(slot, side, at);
        true
    }
}

/// How many keys of a database may go.
fn candidates(db: &Db, scope: Scope) -> usize {
    match scope {
        Scope::All => db.table.len(),
        Scope::Volatile => db.expiries.len(),
    }
}

/// Finds the key to be evicted, and takes it out of the indexes of deadlines.
fn find_fragment<'a>(
    db: &'a mut Db,
    heap: &'a mut Heap,
    fragment: Fragment,
    is_it: impl Fn(EntryRef<'_>) -> bool,
) -> Option<OccupiedSlot<'a, Entry<Object>>> {
    let Db { table, expiries, field_expiries } = db;
    let slot = table.occupied_by_fragment(heap, fragment, |e| is_it(EntryRef(e)))?;
    if let Some(deadline) = slot.get().expiry_ms() {
        expiries.remove(deadline, fragment.0);
    }
    if let Some(deadline) = EntryRef(slot.get()).field_deadline() {
        field_expiries.remove(deadline, fragment.0);
    }
    Some(slot)
}

/// A random key of a database that has one in scope, unless chance does not find it.
fn random_hash(db: &Db, seed: HashSeed, scope: Scope, rng: &mut Rng) -> Option<Fragment> {
    let mut choices = (0..RANDOM_TRIES).map_while(|_| db.table.random(rng));
    let chosen = choices.find(|e| scope == Scope::All || e.expiry_ms().is_some())?;
    Some(Fragment::of(seed.hash(chosen.key())))
}

fn evict(slot: OccupiedSlot<'_, Entry<Object>>, side: &mut Side, at: usize) {
    let name: Option<Box<[u8]>> = side.must_name_gone().then(|| slot.get().key().into());
    side.sizes.begin();
    side.sizes.leaves(at, EntryRef(slot.get()));
    side.charges.leaves(at, EntryRef(slot.get()));
    let entry = slot.remove();
    side.discard(entry, side.options.lazy_evict);
    side.stats.evicted_keys += 1;
    if let Some(key) = name {
        side.note_gone(at, &key, Cause::Evicted);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;
    use crate::db::FlushMode;

    const LEAST_USED: Choice = Choice { scope: Scope::All, preference: Preference::LeastUsed, samples: 5 };

    impl World {
        fn evict(&mut self, n: usize, choice: Choice) -> usize {
            (0..n).take_while(|_| self.ks.evict_one(choice, self.now)).count()
        }

        fn keys(&mut self) -> usize {
            (0..self.ks.databases()).map(|db| self.ks.size(db)).sum()
        }

        /// Keys that begin so, in all databases.
        fn count(&mut self, prefix: &str) -> usize {
            let mut n = 0;
            for db in 0..self.ks.databases() {
                let now = self.now;
                self.ks.db(db, now).for_each(|e| n += usize::from(e.key().starts_with(prefix.as_bytes())));
            }
            n
        }
    }

    fn volatile(preference: Preference) -> Choice {
        Choice { scope: Scope::Volatile, preference, samples: 5 }
    }

    #[test]
    fn what_was_not_used_for_long_goes_first() {
        let mut w = World::new();
        for i in 0..4_000 {
            w.db = i % 3;
            w.set(&format!("{}:{i}", if i % 2 == 0 { "old" } else { "used" }), "v");
        }
        w.now += 60_000;
        for i in (1..4_000).step_by(2) {
            w.db = i % 3;
            w.get(&format!("used:{i}"));
        }
        assert_eq!(w.evict(1_500, LEAST_USED), 1_500);
        assert!(w.count("used") >= 1_980, "{} of 2000 used keys are left", w.count("used"));
        assert_eq!(w.ks.stats().evicted_keys, 1_500);
        assert_eq!(w.ks.stats().dirty, 4_000, "an eviction is no change");
        w.ks.check_invariants();
        assert_eq!(w.evict(usize::MAX, LEAST_USED), 2_500);
        assert_eq!(w.keys(), 0);
    }

    #[test]
    fn what_is_used_rarely_goes_first() {
        let mut w = World::new();
        w.ks.options_mut().access = AccessPolicy::Lfu { log_factor: 0, decay_minutes: 1 };
        (0..2_000).for_each(|i| w.set(&format!("{}:{i}", if i % 2 == 0 { "rare" } else { "hot" }), "v"));
        for i in (1..2_000).step_by(2) {
            (0..5).for_each(|_| drop(w.get(&format!("hot:{i}"))));
        }
        w.evict(600, LEAST_USED);
        assert!(w.count("hot") >= 990, "{} of 1000 hot keys are left", w.count("hot"));
    }

    #[test]
    fn a_candidate_that_was_used_since_stays() {
        let mut w = World::new();
        (0..POOL).for_each(|i| w.set(&format!("old:{i}"), "v"));
        w.now += 10_000;
        w.set("one more", "v");
        let choice = Choice { samples: 64, ..LEAST_USED };
        assert_eq!(w.evict(1, choice), 1);
        w.now += 10_000;
        (0..POOL).for_each(|i| drop(w.get(&format!("old:{i}"))));
        assert_eq!(w.evict(1, choice), 1);
        assert_eq!((w.count("old"), w.count("one")), (POOL - 1, 0));
    }

    #[test]
    fn a_flush_leaves_candidates_that_are_not_there() {
        let mut w = World::new();
        (0..100).for_each(|i| w.set(&format!("k:{i}"), "v"));
        w.evict(1, LEAST_USED);
        w.ks.flush_all(FlushMode::Sync, w.now);
        assert_eq!(w.evict(1, LEAST_USED), 0);
        w.db = 2;
        w.set("k", "v");
        assert_eq!(w.evict(10, LEAST_USED), 1);
    }

    #[test]
    fn keys_without_a_deadline_are_never_touched_by_volatile_policies() {
        for preference in [Preference::LeastUsed, Preference::Random, Preference::EarliestDeadline] {
            for persistent in [0, 100, 1_000, 20_000] {
                let mut w = World::new();
                for i in 0..persistent {
                    w.db = i % 2;
                    w.set(&format!("stays:{i}"), "v");
                }
                for i in 0..500 {
                    w.db = i % 4;
                    w.set_for(&format!("goes:{i}"), "v", 1_000 + i as i64);
                }
                assert_eq!(w.evict(usize::MAX, volatile(preference)), 500, "{preference:?} among {persistent}");
                assert_eq!(w.keys(), persistent);
                w.ks.check_invariants();
            }
        }
    }

    #[test]
    fn rare_deadlines_are_sampled_well_enough() {
        let mut w = World::new();
        (0..40_000).for_each(|i| w.set(&format!("stays:{i}"), "v"));
        let name = |i: i64| format!("{}:{i}", if i % 2 == 0 { "old" } else { "used" });
        (0..2_000).for_each(|i| w.set_for(&name(i), "v", 1_000_000 + i * 37 % 5_000));
        w.now += 60_000;
        (1..2_000).step_by(2).for_each(|i| drop(w.get(&name(i))));
        assert_eq!(w.evict(700, volatile(Preference::LeastUsed)), 700);
        assert!(w.count("used") >= 980, "{} of 1000 used keys are left", w.count("used"));
        w.ks.check_invariants();
    }

    #[test]
    fn the_earliest_deadline_goes_first_whatever_database_it_is_in() {
        let mut w = World::new();
        for i in 0..400 {
            w.db = i % 4;
            w.set_for(&format!("k:{i}"), "v", 1_000_000 - i as i64);
        }
        w.evict(150, volatile(Preference::EarliestDeadline));
        for i in 0..400 {
            w.db = i % 4;
            assert_eq!(w.get(&format!("k:{i}")).is_some(), i < 250, "{i}");
        }
    }

    #[test]
    fn random_victims_come_from_all_databases_in_turn() {
        let mut w = World::new();
        for i in 0..400 {
            w.db = i % 4;
            w.set(&format!("k:{i}"), "v");
        }
        w.evict(200, Choice { preference: Preference::Random, ..LEAST_USED });
        assert!((0..4).all(|db| w.ks.size(db) == 50));
    }

    #[test]
    fn those_who_care_hear_of_it() {
        let mut w = World::with(&[("k", "v")]);
        w.ks.watch_key(0, b"k", 7, w.now);
        w.evict(1, LEAST_USED);
        assert!(w.ks.is_watch_dirty(7, w.now));
        let gone = w.ks.trace_mut().take_events();
        let gone: Vec<_> = gone.iter().map(|event| (event.key, event.name)).collect();
        assert_eq!(gone, [(&b"k"[..], "evicted")]);
    }

    #[test]
    fn what_a_snapshot_holds_back_does_not_count() {
        let mut w = World::new();
        (0..2_000).for_each(|i| w.set(&format!("k:{i}"), &"v".repeat(1_000)));
        assert_eq!(w.ks.uncounted_bytes(), 0);
        let snapshot = w.ks.snapshot();
        w.evict(1_000, LEAST_USED);
        let held = w.ks.uncounted_bytes();
        assert!(held >= 1_000_000, "{held}");
        assert_eq!(snapshot.keys(), 2_000);
        drop(snapshot);
        w.ks.reap_snapshots();
        assert!(w.ks.uncounted_bytes() * 2 > held, "on their way to the other thread, and not counted yet");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while w.ks.uncounted_bytes() > 0 {
            assert!(std::time::Instant::now() < deadline);
            w.ks.memory_is_counted();
        }
    }
}
