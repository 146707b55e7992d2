//! Whatever a unit does, taking it back leaves everything as it was.

use super::testing::World;
use super::undo::COPIED_KEYS;
use super::{DbMut, ExpiryUpdate, FlushMode, Key};
use crate::config::KeyspaceEvents;
use crate::util::hash::HashSeed;
use crate::util::rng::Rng;

const KEYS: u64 = 40;

impl World {
    fn name(rng: &mut Rng) -> String {
        format!("key:{}", rng.below(KEYS))
    }

    /// As the commands of a script do: the keys are named before they are written.
    fn write(&mut self, key: &str, f: impl FnOnce(&mut DbMut<'_>, Key<'_>)) {
        let named = self.ks.key(key.as_bytes());
        self.ks.before_write(self.db, named);
        f(&mut self.ks.db(self.db, self.now), named);
    }

    fn change(&mut self, rng: &mut Rng) {
        self.db = rng.below(3) as usize;
        let (key, other) = (World::name(rng), World::name(rng));
        let now = self.now;
        match rng.below(20) {
            0..=4 => self.write(&key, |db, k| db.set_bytes(k, b"12345", ExpiryUpdate::Clear)),
            5 => self.write(&key, |db, k| db.set_bytes(k, &[b'x'; 5_000], ExpiryUpdate::Clear)),
            6 => self.write(&key, |db, k| db.set_bytes(k, b"short", ExpiryUpdate::At(now + 500))),
            7..=9 => self.write(&key, |db, k| _ = db.append(k, b"more")),
            10 => self.write(&key, |db, k| _ = db.append(k, &[b'y'; 70_000])),
            11 => self.write(&key, |db, k| _ = db.incr(k, 7)),
            12..=13 => self.write(&key, |db, k| _ = db.remove(k)),
            14 => self.write(&key, |db, k| _ = db.unlink(k)),
            15 => self.write(&key, |db, k| _ = db.expire_at(k, now + 700)),
            16 => self.write(&key, |db, k| _ = db.persist(k)),
            17 => {
                let to = self.ks.key(other.as_bytes());
                self.ks.before_write(self.db, to);
                self.write(&key, |db, k| _ = db.rename(k, to));
            }
            18 => {
                let to_db = rng.below(3) as usize;
                let named = self.ks.key(key.as_bytes());
                (0..4).for_each(|db| self.ks.before_write(db, named));
                self.write(&key, |db, k| _ = db.copy_to(k, to_db, k, true));
            }
            _ => match rng.below(6) {
                0 => {
                    self.ks.before_all();
                    self.ks.flush_db(self.db, FlushMode::Sync, now);
                }
                1 => {
                    self.ks.before_all();
                    self.ks.swap_dbs(0, 2, now);
                }
                _ => _ = self.on(&key, |db, k| db.lookup_read(k).is_some()),
            },
        }
    }

    fn sizes(&self) -> Vec<(usize, usize)> {
        (0..4).map(|db| self.ks.info(db, self.now)).map(|info| (info.keys, info.expires)).collect()
    }
}

fn world() -> World {
    let mut w = World::new();
    w.ks.set_events(KeyspaceEvents::NONE, false);
    w
}

#[test]
fn whatever_was_done_is_taken_back() {
    let rounds = if cfg!(miri) { 2 } else { 60 };
    for seed in 0..rounds {
        let mut rng = Rng::from_seed(HashSeed::fixed(seed).hash(b"undo"));
        let mut w = world();
        for _ in 0..200 {
            w.change(&mut rng);
        }
        w.ks.reap_snapshots();
        let (digest, sizes, dirty) = (w.ks.digest(), w.sizes(), w.ks.stats().dirty);
        w.ks.begin_undo();
        for _ in 0..rng.below(200) {
            w.change(&mut rng);
        }
        w.ks.take_changes_back();
        assert_eq!((w.ks.digest(), w.sizes(), w.ks.stats().dirty), (digest, sizes, dirty), "seed {seed}");
        w.ks.reap_snapshots();
        w.ks.check_invariants();
        assert!(!w.ks.has_snapshot());
        // And what is kept stays.
        w.ks.begin_undo();
        (0..20).for_each(|_| w.change(&mut rng));
        let digest = w.ks.digest();
        w.ks.keep_changes();
        assert_eq!(w.ks.digest(), digest);
    }
}

#[test]
fn many_keys_are_taken_back_too() {
    let mut w = world();
    (0..3 * COPIED_KEYS).for_each(|i| w.set(&format!("key:{i}"), "before"));
    let digest = w.ks.digest();
    w.ks.begin_undo();
    (0..6 * COPIED_KEYS).for_each(|i| {
        w.write(&format!("key:{i}"), |db, k| db.set_bytes(k, b"after", ExpiryUpdate::Clear));
    });
    assert!(w.ks.has_snapshot());
    w.ks.take_changes_back();
    assert_eq!(w.ks.digest(), digest);
}

#[test]
fn watchers_hear_of_what_stays() {
    for stays in [true, false] {
        let mut w = world();
        w.set("k", "v");
        w.ks.watch_key(0, b"k", 7, w.now);
        w.ks.begin_undo();
        w.write("k", |db, k| db.set_bytes(k, b"w", ExpiryUpdate::Clear));
        if stays {
            w.ks.keep_changes()
        } else {
            w.ks.take_changes_back()
        }
        assert_eq!(w.ks.is_watch_dirty(7, w.now), stays);
        w.set("k", "x");
        assert!(w.ks.is_watch_dirty(7, w.now));
    }
}

#[test]
fn keys_whose_time_was_over_stay_gone_and_are_told() {
    let mut w = world();
    w.ks.set_propagation(true);
    w.set_for("gone", "v", 10);
    w.set("k", "v");
    w.ks.trace_mut().clear_ops();
    w.now += 20;
    w.ks.begin_undo();
    assert_eq!(w.get("gone"), None);
    w.write("k", |db, k| db.set_bytes(k, b"w", ExpiryUpdate::Clear));
    w.ks.take_changes_back();
    let ops: Vec<_> = w.ks.trace().ops().map(|op| String::from_utf8_lossy(op.request).into_owned()).collect();
    assert_eq!(ops, ["*2\r\n$3\r\nDEL\r\n$4\r\ngone\r\n"]);
    assert_eq!(w.get("k").as_deref(), Some("v"));
}
