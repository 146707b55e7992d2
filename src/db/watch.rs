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

use std::collections::{HashMap, HashSet};

/// What a client is called here: the number CLIENT ID replies with.
pub type WatcherId = u64;

/// A key in a numbered db.
type Place = (u32, Box<[u8]>);

struct Watcher {
    client: WatcherId,
    /// The key had run out of time when WATCH was called.
    expired: bool,
}

#[derive(Default)]
struct Client {
    places: HashSet<Place>,
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

/// Who watches what, in all dbs.
#[derive(Default)]
pub struct WatchTable {
    watchers: HashMap<Place, Vec<Watcher>>,
    clients: HashMap<WatcherId, Client>,
}

impl WatchTable {
    /// Nobody watches anything.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.clients.is_empty()
    }

    /// WATCH of one key; `expired` if it is there but its time is over.
    pub fn watch(&mut self, db: u32, key: &[u8], client: WatcherId, expired: bool) {
        let place: Place = (db, key.into());
        let state = self.clients.entry(client).or_default();
        if state.places.insert(place.clone()) {
            self.watchers.entry(place).or_default().push(Watcher { client, expired });
        }
    }

    /// UNWATCH, EXEC, DISCARD, and the end of a connection.
    pub fn unwatch(&mut self, client: WatcherId) {
        let Some(state) = self.clients.remove(&client) else { return };
        self.forget(client, state.places);
    }

    fn forget(&mut self, client: WatcherId, places: HashSet<Place>) {
        for place in places {
            if let Some(watchers) = self.watchers.get_mut(&place) {
                watchers.retain(|w| w.client != client);
                if watchers.is_empty() {
                    self.watchers.remove(&place);
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
        let places = self.clients.get(&client).into_iter().flat_map(|c| &c.places);
        places
            .filter(move |&place| {
                self.watchers.get(place).is_some_and(|all| all.iter().any(|w| w.client == client && !w.expired))
            })
            .map(|(db, key)| (*db, &**key))
    }

    /// A key was written or deleted; `exists` says whether it is there now.
    #[cold]
    pub fn touch(&mut self, db: u32, key: &[u8], exists: bool) {
        let Some(watchers) = self.watchers.get_mut(&(db, Box::from(key)) as &Place) else { return };
        let mut dirtied = vec![];
        for w in watchers {
            if w.expired && !exists {
                // What had run out of time is deleted now. From here on it is an ordinary missing key.
                w.expired = false;
            } else {
                dirtied.push(w.client);
            }
        }
        dirtied.into_iter().for_each(|c| self.soil(c));
    }

    /// Marks a client dirty; its watches have done their work and go.
    fn soil(&mut self, client: WatcherId) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        state.dirty = true;
        let places = std::mem::take(&mut state.places);
        self.forget(client, places);
    }

    /// The contents of a whole db change: `presence` says for a key how it looks before and after.
    pub fn touch_db(&mut self, db: u32, presence: impl Fn(&[u8]) -> (Presence, Presence)) {
        let mut dirtied = vec![];
        for ((_, key), watchers) in self.watchers.iter_mut().filter(|((at, _), _)| *at == db) {
            let (before, after) = presence(key);
            if before == Presence::Missing && after == Presence::Missing {
                continue;
            }
            for w in watchers {
                match (w.expired, after) {
                    (true, Presence::Missing) => w.expired = false,
                    (true, Presence::Expired) => {}
                    (false, Presence::Expired) if before == Presence::Missing => w.expired = true,
                    _ => dirtied.push(w.client),
                }
            }
        }
        dirtied.into_iter().for_each(|c| self.soil(c));
    }

    /// Keys this client watches: `watch=` of CLIENT LIST.
    pub fn watched_by(&self, client: WatcherId) -> usize {
        self.clients.get(&client).map_or(0, |c| c.places.len())
    }

    /// `watching_clients` and `total_watched_keys` of INFO.
    pub fn totals(&self) -> (usize, usize) {
        (self.clients.values().filter(|c| !c.places.is_empty()).count(), self.watchers.len())
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
