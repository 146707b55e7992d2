//! WATCH: which keys a client staked its transaction on, and whether one of them has changed since.
//!
//! Every write asks [`WatchTable::is_idle`] first: while nobody watches, watching costs one branch.
//!
//! # What counts as a change (Redis 7 and later)
//!
//! * Any write to the key, also one that stores the same bytes, and its deletion.
//! * A key that runs out of time between WATCH and EXEC: it is gone for the transaction, whether it was deleted or not.
//! * FLUSHDB and SWAPDB touch a watched key that existed on either side. A key that was missing and stays missing is
//!   untouched.
//! * A key that had *already* run out of time at WATCH is as good as missing: deleting it is no change.
//!
//! Clients watch a number and a key, not a db's contents: SWAPDB leaves the watches where they are.
//!
//! # Nothing is as long as the list of keys
//!
//! A client may watch a million keys. So all that is kept lies in trees, which grow a node at a time; and when it watches
//! them no more, or has lost, its number is gone at once, and the keys it is noted at are worked off later
//! ([`WatchTable::forget_some`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What a client is called here: the number CLIENT ID replies with.
pub type WatcherId = u64;

/// A key in a numbered db.
type Place = (u32, Box<[u8]>);

struct Watcher {
    /// The client's, as long as it goes on watching; then it is nobody's.
    number: u64,
    /// The key had run out of time when WATCH was called.
    expired: bool,
}

#[derive(Default)]
struct Client {
    /// Under which it is noted at its keys.
    number: u64,
    places: BTreeSet<Place>,
    dirty: bool,
}

/// How a watched key looks on one side of a FLUSHDB or SWAPDB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    Missing,
    /// It is there, but its time is over.
    Expired,
    Alive,
}

/// So many places are forgotten at once.
const PLACES_AT_ONCE: usize = 256;

/// Who watches what, in all dbs.
#[derive(Default)]
pub struct WatchTable {
    /// By db, and key.
    watchers: Vec<BTreeMap<Box<[u8]>, Vec<Watcher>>>,
    clients: HashMap<WatcherId, Client>,
    /// The clients that numbers stand for.
    by_number: HashMap<u64, WatcherId>,
    last_number: u64,
    /// Numbers that are nobody's any more, with the places where they are noted.
    gone: Vec<(u64, BTreeSet<Place>)>,
    /// Numbers that have lost, if the changes stay that are made now.
    held: Option<Vec<u64>>,
}

impl WatchTable {
    /// Nobody watches anything.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.clients.is_empty()
    }

    /// WATCH of one key; `expired` if it is there but its time is over.
    pub fn watch(&mut self, db: u32, key: &[u8], client: WatcherId, expired: bool) {
        let WatchTable { watchers, clients, by_number, last_number, .. } = self;
        let state = clients.entry(client).or_insert_with(|| {
            *last_number += 1;
            by_number.insert(*last_number, client);
            Client { number: *last_number, ..Client::default() }
        });
        if !state.dirty && state.places.insert((db, key.into())) {
            if watchers.len() <= db as usize {
                watchers.resize_with(db as usize + 1, BTreeMap::new);
            }
            let here = watchers[db as usize].entry(key.into()).or_default();
            here.push(Watcher { number: state.number, expired });
        }
    }

    /// UNWATCH, EXEC, DISCARD, and the end of a connection.
    pub fn unwatch(&mut self, client: WatcherId) {
        let Some(state) = self.clients.remove(&client) else { return };
        self.is_over(state.number, state.places);
    }

    /// A number is nobody's any more.
    fn is_over(&mut self, number: u64, mut places: BTreeSet<Place>) {
        self.by_number.remove(&number);
        self.forget(number, &mut places, PLACES_AT_ONCE);
        if !places.is_empty() {
            self.gone.push((number, places));
        }
    }

    /// Whether there is something to be done by [`Self::forget_some`].
    #[inline]
    pub fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    /// Forgets some of the places that were watched and are not any more.
    pub fn forget_some(&mut self) {
        let Some((number, mut places)) = self.gone.pop() else { return };
        self.forget(number, &mut places, PLACES_AT_ONCE);
        if !places.is_empty() {
            self.gone.push((number, places));
        }
    }

    fn forget(&mut self, number: u64, places: &mut BTreeSet<Place>, most: usize) {
        for _ in 0..most {
            let Some((db, key)) = places.pop_first() else { return };
            let all = &mut self.watchers[db as usize];
            if let Some(watchers) = all.get_mut(&key) {
                watchers.retain(|w| w.number != number);
                if watchers.is_empty() {
                    all.remove(&key);
                }
            }
        }
    }

    /// A watched key of this client has changed. (Whether one has run out of time since, [`Self::fresh_places`] helps
    /// to find out.)
    pub fn is_dirty(&self, client: WatcherId) -> bool {
        self.clients.get(&client).is_some_and(|c| c.dirty)
    }

    /// The keys of this client that had time left at WATCH.
    pub fn fresh_places(&self, client: WatcherId) -> impl Iterator<Item = (u32, &[u8])> {
        let state = self.clients.get(&client);
        let places = state.into_iter().flat_map(|c| c.places.iter().map(|place| (c.number, place)));
        places
            .filter(|(number, (db, key))| {
                let here = self.watchers.get(*db as usize).and_then(|all| all.get(key));
                here.is_some_and(|all| all.iter().any(|w| w.number == *number && !w.expired))
            })
            .map(|(_, (db, key))| (*db, &**key))
    }

    /// A key was written or deleted; `exists` says whether it is there now.
    #[cold]
    pub fn touch(&mut self, db: u32, key: &[u8], exists: bool) {
        let Some(watchers) = self.watchers.get_mut(db as usize).and_then(|all| all.get_mut(key)) else { return };
        let mut dirtied = vec![];
        for w in watchers {
            if w.expired && !exists && self.held.is_none() {
                // What had run out of time is deleted now. From here on it is an ordinary missing key.
                w.expired = false;
            } else {
                dirtied.push(w.number);
            }
        }
        dirtied.into_iter().for_each(|number| self.soil(number));
    }

    /// Marks a client dirty; its watches have done their work and go.
    fn soil(&mut self, number: u64) {
        if let Some(held) = &mut self.held {
            return held.push(number);
        }
        let Some(state) = self.by_number.get(&number).and_then(|client| self.clients.get_mut(client)) else { return };
        state.dirty = true;
        let places = std::mem::take(&mut state.places);
        self.is_over(number, places);
    }

    /// The contents of a whole db change: `presence` says for a key how it looks before and after.
    pub fn touch_db(&mut self, db: u32, presence: impl Fn(&[u8]) -> (Presence, Presence)) {
        let mut dirtied = vec![];
        for (key, watchers) in self.watchers.get_mut(db as usize).into_iter().flatten() {
            let (before, after) = presence(key);
            if before == Presence::Missing && after == Presence::Missing {
                continue;
            }
            for w in watchers {
                match (w.expired, after) {
                    (true, Presence::Missing) => w.expired = false,
                    (true, Presence::Expired) => {}
                    (false, Presence::Expired) if before == Presence::Missing => w.expired = true,
                    _ => dirtied.push(w.number),
                }
            }
        }
        dirtied.into_iter().for_each(|number| self.soil(number));
    }

    /// Changes may be taken back from now on: who has lost by them is decided by [`Self::release`] or
    /// [`Self::drop_held`].
    pub fn hold(&mut self) {
        if !self.is_idle() {
            self.held = Some(Vec::new());
        }
    }

    /// The changes stay.
    pub fn release(&mut self) {
        self.held.take().into_iter().flatten().for_each(|number| self.soil(number));
    }

    /// The changes were taken back.
    pub fn drop_held(&mut self) {
        self.held = None;
    }

    /// Keys this client watches: `watch=` of CLIENT LIST.
    pub fn watched_by(&self, client: WatcherId) -> usize {
        self.clients.get(&client).map_or(0, |c| c.places.len())
    }

    /// `watching_clients` and `total_watched_keys` of INFO. Keys are counted until they are forgotten.
    pub fn totals(&self) -> (usize, usize) {
        let watching = self.clients.values().filter(|c| !c.places.is_empty()).count();
        (watching, self.watchers.iter().map(BTreeMap::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_dirties_every_watcher_once() {
        let mut table = WatchTable::default();
        assert!(table.is_idle());
        table.watch(0, b"k", 1, false);
        table.watch(0, b"k", 1, false);
        table.watch(0, b"other", 1, false);
        table.watch(0, b"k", 2, false);
        table.watch(1, b"k", 3, false);
        assert_eq!(table.totals(), (3, 3));
        table.touch(0, b"k", true);
        assert_eq!([1, 2, 3].map(|c| table.is_dirty(c)), [true, true, false]);
        assert_eq!(table.totals(), (1, 1), "a dirty client's other watches are gone");
        (1..=3).for_each(|c| table.unwatch(c));
        assert!(table.is_idle());
        assert!(!table.is_dirty(1));
    }

    #[test]
    fn many_keys_are_forgotten_a_part_at_a_time_and_who_watches_again_begins_anew() {
        let mut table = WatchTable::default();
        let name = |i: u32| format!("key:{i}").into_bytes();
        (0..10_000).for_each(|i| table.watch(i % 3, &name(i), 1, false));
        table.watch(0, b"mine", 2, false);
        table.unwatch(1);
        assert!(table.has_gone() && table.totals().1 > 9_000);
        table.watch(0, &name(3), 1, false);
        table.touch(1, &name(4), true);
        assert!(!table.is_dirty(1), "it watched that key before");
        let mut steps = 0;
        while table.has_gone() {
            table.forget_some();
            steps += 1;
        }
        assert!((30..50).contains(&steps), "{steps}");
        assert_eq!((table.totals(), table.watched_by(1)), ((2, 2), 1));
        table.touch(0, &name(3), true);
        assert_eq!([1, 2].map(|c| table.is_dirty(c)), [true, false]);
        // Dirty already: nothing more is noted for it.
        table.watch(0, &name(5), 1, false);
        assert_eq!(table.totals(), (1, 1));
    }

    #[test]
    fn deleting_what_had_expired_is_no_change() {
        let mut table = WatchTable::default();
        table.watch(0, b"k", 1, true);
        assert_eq!(table.fresh_places(1).count(), 0);
        table.touch(0, b"k", false);
        assert!(!table.is_dirty(1));
        assert_eq!(table.fresh_places(1).count(), 1);
        table.touch(0, b"k", true);
        assert!(table.is_dirty(1), "but writing it afresh is one");
    }

    #[test]
    fn flushing_and_swapping() {
        use Presence::*;
        let case = |expired: bool, before: Presence, after: Presence| {
            let mut table = WatchTable::default();
            table.watch(0, b"k", 1, expired);
            table.touch_db(0, |_| (before, after));
            table.is_dirty(1)
        };
        assert!(case(false, Alive, Missing), "FLUSHDB of a live key");
        assert!(!case(false, Missing, Missing), "FLUSHDB of a missing key");
        assert!(case(false, Missing, Alive), "SWAPDB brings a key");
        assert!(!case(false, Missing, Expired), "SWAPDB brings a key whose time is over");
        assert!(!case(true, Expired, Missing), "FLUSHDB of a key that had expired");
        assert!(!case(true, Expired, Expired));
        assert!(case(true, Expired, Alive));
    }
}
