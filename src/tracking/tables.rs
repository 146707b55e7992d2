//! Who tracks what, and who comes and goes.

use std::rc::Rc;

use super::keys::Keys;
use super::prefixes::Prefixes;
use super::tracker::{Modes, Tracker, Trackers};
use crate::reactor::ConnId;
use crate::util::hash::HashSeed;
use crate::util::rng::Rng;

/// How many keys are forgotten at most when the table has too many, the first time that this is not enough.
const EFFORT: u64 = 100;

/// And in any case: it is a tenth of a millisecond.
const EFFORT_MAX: u64 = 512;

/// What CLIENT TRACKING ON asks for.
#[derive(Default, Debug)]
pub struct Wanted {
    /// BCAST, OPTIN, OPTOUT, NOLOOP.
    pub modes: Modes,
    /// The CLIENT ID of who is to be told; 0 for the client itself.
    pub redirect: u64,
    /// Prefixes, of BCAST.
    pub prefixes: Vec<Box<[u8]>>,
}

/// A key that a client has changed and caches itself; `None` for all keys.
pub type OwnChange = (Rc<Tracker>, Option<Box<[u8]>>);

/// Two prefixes of one client of which one begins with the other.
#[derive(Debug, PartialEq, Eq)]
pub enum Overlap {
    /// A new one, and one that the client has named before.
    Existing(Box<[u8]>, Box<[u8]>),
    /// Two new ones.
    Provided(Box<[u8]>, Box<[u8]>),
}

impl Wanted {
    /// Whether prefixes overlap, also with those that the client has named before.
    pub fn check_prefixes(&self, tracker: Option<&Tracker>) -> Result<(), Overlap> {
        let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
        for (i, new) in self.prefixes.iter().enumerate() {
            let mut before = tracker.map(Tracker::prefixes).unwrap_or_default().into_iter();
            if let Some(old) = before.find(|old| overlap(old, new)) {
                return Err(Overlap::Existing(new.clone(), old));
            }
            if let Some(other) = self.prefixes[i + 1..].iter().find(|other| overlap(new, other)) {
                return Err(Overlap::Provided(new.clone(), other.clone()));
            }
        }
        Ok(())
    }
}

/// All that is known for clients that cache.
pub struct Tracking {
    trackers: Trackers,
    keys: Keys,
    prefixes: Prefixes,
    /// Trackers that are on.
    on: usize,
    /// Trackers whose connection is open.
    present: usize,
    /// How often in a row the table had too many keys even after some were forgotten.
    times_too_long: u64,
    /// What the client at hand is to be told of its own changes, when its command is over.
    pub own: Vec<OwnChange>,
}

impl Tracking {
    /// Nobody tracks anything.
    pub fn new(seed: HashSeed) -> Tracking {
        Tracking {
            trackers: Trackers::default(),
            keys: Keys::new(seed),
            prefixes: Prefixes::default(),
            on: 0,
            present: 0,
            times_too_long: 0,
            own: Vec::new(),
        }
    }

    /// How many clients track.
    pub fn clients(&self) -> usize {
        self.on
    }

    /// Keys and their readers.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// For freeing what was forgotten.
    pub fn keys_mut(&mut self) -> &mut Keys {
        &mut self.keys
    }

    /// The prefixes.
    pub fn prefixes(&self) -> &Prefixes {
        &self.prefixes
    }

    /// For telling what was collected.
    pub fn prefixes_mut(&mut self) -> &mut Prefixes {
        &mut self.prefixes
    }

    /// Changes must be heard of: somebody tracks, or did and may go on with what is remembered for it.
    pub fn must_listen(&self) -> bool {
        self.on > 0 || (self.present > 0 && !self.keys.is_empty())
    }

    /// CLIENT TRACKING ON. What the client tracked before stays remembered.
    pub fn turn_on(&mut self, tracker: &mut Option<Rc<Tracker>>, conn: ConnId, wanted: Wanted) {
        let tracker = tracker.get_or_insert_with(|| {
            self.present += 1;
            self.trackers.add(conn)
        });
        self.on += usize::from(!tracker.is_on());
        tracker.modes.set(wanted.modes.or(Modes::ON));
        tracker.redirect.set(wanted.redirect);
        if wanted.modes.has(Modes::BCAST) {
            let all: Box<[u8]> = Box::default();
            for prefix in if wanted.prefixes.is_empty() { vec![all] } else { wanted.prefixes } {
                self.prefixes.add(&prefix, tracker);
                let bytes = prefix.len();
                if tracker.prefixes.borrow_mut().insert(prefix) {
                    tracker.prefix_bytes.set(tracker.prefix_bytes.get() + 2 * bytes);
                }
            }
        }
    }

    /// CLIENT TRACKING OFF.
    pub fn turn_off(&mut self, tracker: &Tracker) {
        self.on -= usize::from(tracker.is_on());
        tracker.modes.set(Modes::NONE);
        for prefix in tracker.prefixes.take() {
            self.prefixes.remove(&prefix, tracker.conn);
        }
        tracker.prefix_bytes.set(0);
    }

    /// The client is gone. When it was the last one, nobody can be told of any key that is still remembered.
    pub fn leave(&mut self, tracker: &Tracker) {
        self.turn_off(tracker);
        self.trackers.leave(tracker);
        self.present -= 1;
        if self.present == 0 {
            self.forget_all();
        }
    }

    /// A client has read a key.
    #[inline]
    pub fn remember(&mut self, tracker: &Tracker, key: &[u8]) {
        if self.keys.add(key, tracker.number) {
            tracker.items.set(tracker.items.get() + 1);
        }
    }

    /// A key has changed: it is forgotten, and `f` called for those of its readers who want to hear of it. Who it was is
    /// `writer`, if it was a client.
    pub fn changed(&mut self, key: &[u8], writer: Option<ConnId>, f: impl FnMut(&Rc<Tracker>)) {
        if !self.prefixes.is_empty() {
            self.prefixes.collect(key, writer);
        }
        self.forget(key, f);
    }

    fn forget(&mut self, key: &[u8], mut f: impl FnMut(&Rc<Tracker>)) {
        for number in self.keys.remove(key).into_iter().flatten() {
            if let Some(tracker) = self.trackers.get(number).filter(|tracker| tracker.reads_count()) {
                f(tracker);
            }
            self.trackers.lose_item(number);
        }
    }

    /// All keys have changed: `f` is called for everybody who tracks.
    pub fn all_changed(&mut self, f: impl FnMut(&Rc<Tracker>)) {
        self.trackers.iter().filter(|tracker| tracker.is_on()).for_each(f);
        self.forget_all();
    }

    fn forget_all(&mut self) {
        if !self.keys.is_empty() {
            self.keys.clear();
            self.trackers.lose_all_items();
        }
    }

    /// Whether more than `keys_max` keys are remembered; 0 sets no limit.
    #[inline]
    pub fn is_too_long(&self, keys_max: u64) -> bool {
        keys_max > 0 && self.keys.len() as u64 > keys_max
    }

    /// Forgets random keys, as long as there are more than `keys_max`; those who have read them are told, by `f`. The
    /// effort grows each time it was not enough, as long as nobody waits for that.
    pub fn shorten(&mut self, keys_max: u64, rng: &mut Rng, mut f: impl FnMut(&[u8], &Rc<Tracker>)) {
        for _ in 0..(EFFORT * (self.times_too_long + 1)).min(EFFORT_MAX) {
            let Some(key) = self.keys.random(rng) else { break };
            self.forget(&key, |tracker| f(&key, tracker));
            if !self.is_too_long(keys_max) {
                self.times_too_long = 0;
                return;
            }
        }
        self.times_too_long += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    fn tracking() -> Tracking {
        Tracking::new(HashSeed::fixed(1))
    }

    fn reader(tracking: &mut Tracking, index: u32, modes: Modes) -> Rc<Tracker> {
        let mut tracker = None;
        tracking.turn_on(&mut tracker, conn(index), Wanted { modes, ..Wanted::default() });
        tracker.expect("turned on")
    }

    fn told(tracking: &mut Tracking, key: &str) -> Vec<u32> {
        let mut told = Vec::new();
        tracking.changed(key.as_bytes(), None, |tracker| told.push(tracker.conn.index));
        told
    }

    #[test]
    fn a_number_is_nobody_elses_before_its_keys_are_forgotten() {
        let mut tracking = tracking();
        let (a, b) = (reader(&mut tracking, 1, Modes::NONE), reader(&mut tracking, 2, Modes::NONE));
        tracking.remember(&a, b"k");
        tracking.remember(&b, b"k");
        tracking.leave(&a);
        let c = reader(&mut tracking, 3, Modes::NONE);
        assert_ne!(c.number, a.number);
        assert_eq!(told(&mut tracking, "k"), [2], "and who is gone is not told");
        assert_eq!(reader(&mut tracking, 4, Modes::NONE).number, a.number);
    }

    #[test]
    fn off_and_on_again_goes_on_with_what_is_remembered() {
        let mut tracking = tracking();
        let mut a = None;
        tracking.turn_on(&mut a, conn(1), Wanted::default());
        let tracker = a.clone().expect("turned on");
        tracking.remember(&tracker, b"k");
        tracking.remember(&tracker, b"l");
        tracking.turn_off(&tracker);
        assert!(tracking.must_listen() && tracking.clients() == 0);
        assert!(told(&mut tracking, "k").is_empty());
        tracking.turn_on(&mut a, conn(1), Wanted::default());
        assert_eq!((told(&mut tracking, "k"), told(&mut tracking, "l")), (vec![], vec![1]));
        tracking.remember(&tracker, b"m");
        tracking.leave(&tracker);
        assert!(!tracking.must_listen() && tracking.keys().is_empty(), "nobody is left to be told");
    }

    #[test]
    fn the_effort_grows_until_the_table_is_short_enough() {
        let mut tracking = tracking();
        let a = reader(&mut tracking, 1, Modes::NONE);
        (0..1000).for_each(|i| tracking.remember(&a, format!("{i}").as_bytes()));
        let mut rng = Rng::from_seed(1);
        let mut left = Vec::new();
        while tracking.is_too_long(10) {
            let before = tracking.keys().len();
            let mut told = 0;
            tracking.shorten(10, &mut rng, |_, _| told += 1);
            assert_eq!(told, before - tracking.keys().len());
            left.push(tracking.keys().len());
        }
        assert_eq!(left, [900, 700, 400, 10]);
        assert_eq!(a.items.get(), 10);
    }

    #[test]
    fn prefixes_of_one_client_must_not_overlap() {
        let mut tracking = tracking();
        let wanted = |prefixes: &[&str]| Wanted {
            modes: Modes::BCAST,
            prefixes: prefixes.iter().map(|prefix| prefix.as_bytes().into()).collect(),
            ..Wanted::default()
        };
        let mut tracker = None;
        tracking.turn_on(&mut tracker, conn(1), wanted(&["a:", "b:"]));
        let check = |prefixes: &[&str]| wanted(prefixes).check_prefixes(tracker.as_deref());
        let boxed = |text: &str| -> Box<[u8]> { text.as_bytes().into() };
        assert_eq!(check(&["c", "d"]), Ok(()));
        assert_eq!(check(&["c", "a"]), Err(Overlap::Existing(boxed("a"), boxed("a:"))));
        assert_eq!(check(&["ccc", "d", "cc"]), Err(Overlap::Provided(boxed("ccc"), boxed("cc"))));
        assert_eq!(tracking.prefixes().len(), 2);
        tracking.turn_off(&tracker.expect("turned on"));
        assert!(tracking.prefixes().is_empty());
    }
}
