//! What long strings are charged.
//!
//! Pieces of long strings are shared: by the two strings of a COPY, by all the gaps there are. The allocator counts them
//! once or not at all, but a file that is loaded, or a payload that is restored, may bring each of them on its own. So
//! `maxmemory` is compared with what the strings of the live data would take if nothing were shared ([`Charges`]),
//! in place of what their pieces take ([`piece::balance`]). What is charged is known for each string without a walk
//! (`Rope::charge`); it is added when the string comes to a key, changed by each write, and given back when the string
//! leaves its key, whoever may still read it then: a snapshot, a reply on its way, the thread that frees.

use super::Object;
use super::entry::EntryRef;
use super::keyspace::Keyspace;
use crate::util::piece;

/// What the long strings of each database are charged, in bytes.
pub(super) struct Charges {
    by_db: Vec<u64>,
    total: u64,
}

/// What an entry is charged beside what the allocator counts for it and its value.
#[inline(always)] // every SET asks, and is told by two bytes
pub(super) fn of(entry: EntryRef<'_>) -> usize {
    if entry.may_be_long_string() { of_long(entry) } else { 0 }
}

#[inline(never)]
fn of_long(entry: EntryRef<'_>) -> usize {
    match entry.node() {
        Some(Object::Rope(string)) => string.rope().charge(),
        _ => 0,
    }
}

impl Charges {
    pub fn new(dbs: usize) -> Charges {
        Charges { by_db: vec![0; dbs], total: 0 }
    }

    /// A value of a database was charged `before`, and is charged `after`.
    #[inline]
    pub fn change(&mut self, db: usize, before: usize, after: usize) {
        if before != after {
            self.by_db[db] = self.by_db[db] + after as u64 - before as u64;
            self.total = self.total + after as u64 - before as u64;
        }
    }

    /// An entry is about to leave its table.
    #[inline]
    pub fn leaves(&mut self, db: usize, entry: EntryRef<'_>) {
        self.change(db, of(entry), 0);
    }

    /// An entry came to a table.
    #[inline]
    pub fn enters(&mut self, db: usize, entry: EntryRef<'_>) {
        self.change(db, 0, of(entry));
    }

    /// A database was flushed.
    pub fn flush(&mut self, db: usize) {
        self.total -= std::mem::take(&mut self.by_db[db]);
    }

    pub fn swap(&mut self, a: usize, b: usize) {
        self.by_db.swap(a, b);
    }

    /// What the long strings of one database are charged.
    pub fn of_db(&self, db: usize) -> u64 {
        self.by_db[db]
    }
}

impl Keyspace {
    /// By how much the charge of all long strings exceeds what their pieces take: what is shared counts once more for
    /// each string that has it, and gaps count. Negative while pieces are needed by others: snapshots, replies,
    /// requests, the thread that frees.
    #[inline]
    pub fn shared_bytes(&self) -> i64 {
        self.side.charges.total as i64 - (piece::balance() + self.side.lazy.seen_pieces())
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyEvent;
    use super::super::testing::World;
    use super::super::{FlushMode, KeySlot, Transfer};
    use super::*;
    use crate::types::string::Rope;

    const LONG: usize = 1 << 20;

    fn write(w: &mut World, key: &str, at: usize) {
        w.on(key, |db, k| match db.entry(k) {
            KeySlot::Occupied(mut o) => o.write_at(at, b"!", KeyEvent::SET).unwrap(),
            KeySlot::Vacant(v) => v.insert_at(at, b"!", KeyEvent::SET),
        });
    }

    /// What the live data is charged for long strings.
    fn charged(w: &World) -> usize {
        w.ks.check_invariants();
        w.ks.side.charges.total as usize
    }

    #[test]
    fn gaps_and_copies_count_in_full_and_leave_with_their_keys() {
        let mut w = World::new();
        let full = Rope::from(&vec![b'z'; LONG][..]).charge();
        let before = piece::balance();
        w.set("long", &"z".repeat(LONG));
        assert_eq!((charged(&w), w.ks.shared_bytes()), (full, 0));
        for i in 0..20 {
            let name = format!("copy:{i}");
            let to = w.ks.key(name.as_bytes());
            assert_eq!(w.on("long", |db, k| db.copy_to(k, 0, to, false)), Transfer::Done);
        }
        assert_eq!((charged(&w), w.ks.shared_bytes()), (21 * full, 20 * full as i64));
        write(&mut w, "gap", LONG - 1);
        assert_eq!(charged(&w), 22 * full);
        write(&mut w, "copy:3", 5);
        assert_eq!(charged(&w), 22 * full, "a write takes memory, and what it takes was charged");
        write(&mut w, "copy:3", 2 * LONG - 1);
        assert!(charged(&w).abs_diff(23 * full) < 20_000);
        let usage = w.on("gap", |db, k| db.peek(k).unwrap().memory_usage());
        assert!(usage.abs_diff(full) < full / 100, "MEMORY USAGE says the same: {usage}");
        // The ways out.
        let to = w.ks.key(b"copy:1");
        assert!(w.on("copy:0", |db, k| db.rename(k, to)));
        assert_eq!(w.on("copy:1", |db, k| db.move_to(k, 1)), Transfer::Done);
        assert!(w.on("copy:3", |db, k| db.unlink(k)));
        w.set("copy:4", "short");
        w.on("copy:5", |db, k| db.expire_at(k, 1));
        assert_eq!(w.get("copy:5"), None);
        assert!(w.on("copy:6", |db, k| db.remove(k)));
        assert!(charged(&w).abs_diff(17 * full) < 20_000, "{} of {full}", charged(&w));
        w.ks.swap_dbs(1, 2, w.now);
        assert_eq!(w.ks.side.charges.of_db(2) as usize, full);
        w.ks.flush_db(0, FlushMode::Sync, w.now);
        assert_eq!(charged(&w), full);
        w.ks.flush_all(FlushMode::Async, w.now);
        assert_eq!(charged(&w), 0);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while w.ks.shared_bytes() != before || w.ks.lazyfree().pending_objects() > 0 {
            assert!(std::time::Instant::now() < deadline, "{}", w.ks.shared_bytes());
            w.ks.memory_is_counted();
        }
    }

    #[test]
    fn snapshots_do_not_change_what_is_charged() {
        let mut w = World::new();
        w.set("long", &"z".repeat(LONG));
        w.set("other", &"z".repeat(LONG));
        let (full, uncounted) = (charged(&w), w.ks.uncounted_bytes());
        let snapshot = w.ks.snapshot();
        (0..LONG).step_by(4096).for_each(|at| write(&mut w, "long", at));
        assert_eq!((charged(&w), snapshot.keys()), (full, 2));
        let held = w.ks.uncounted_bytes() - uncounted;
        assert!((LONG as u64..LONG as u64 * 11 / 10).contains(&held), "the snapshot has its own pieces now: {held}");
        w.on("other", |db, k| db.remove(k));
        assert_eq!(charged(&w), full / 2);
        let held = w.ks.uncounted_bytes() - uncounted;
        assert!((2 * LONG as u64..LONG as u64 * 22 / 10).contains(&held), "and the other string: {held}");
        drop(snapshot);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while w.ks.uncounted_bytes() != uncounted {
            assert!(std::time::Instant::now() < deadline, "{}", w.ks.uncounted_bytes());
            w.ks.reap_snapshots();
            w.ks.memory_is_counted();
        }
        assert_eq!(charged(&w), full / 2);
    }
}
