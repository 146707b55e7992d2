//! A pass over all databases that moves what lies in sparse memory closer together: active defragmentation.
//!
//! It is made in steps of a few hundred nodes, between which everything may change. The pass remembers a database, a
//! position in it, and the keys of values that are gone through in parts; a key that is gone by its turn is forgotten.
//! What is moved are the tables, the entries and their values, and the index of deadlines. Long strings are not: their
//! pieces are as large as what the allocator would give back.

use super::expiry::Deadlines;
use super::keyspace::Keyspace;
use crate::cow::Progress;
use crate::dict::Visits;
use crate::sys::defrag::Mover;

/// How far a pass is, and what it did to keys.
#[derive(Default, Debug)]
pub struct DefragPass {
    db: usize,
    stage: Stage,
    /// Values that are gone through in parts before anything else: the last one is on its way.
    later: Vec<Later>,
    /// Keys of which something was moved.
    pub keys_moved: u64,
    /// Keys of which nothing was.
    pub keys_left: u64,
}

#[derive(Debug)]
struct Later {
    key: Box<[u8]>,
    progress: Progress,
    moved: bool,
}

/// Where in its database a pass is.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// At this position of the table.
    Table(u64),
    /// In the deadlines of keys, then in those of fields.
    Deadlines { fields: bool, from: Option<Deadlines> },
}

impl Default for Stage {
    fn default() -> Self {
        Stage::Table(0)
    }
}

impl Keyspace {
    /// Goes on with a pass until the mover's budget is used up; true at the end. Values of more than `elements_max`
    /// elements are gone through in parts. While a snapshot lives nothing happens.
    pub fn defrag(&mut self, pass: &mut DefragPass, mover: &mut Mover, elements_max: usize) -> bool {
        let Keyspace { dbs, heap, .. } = self;
        let Some(mut defrag) = heap.defrag(mover) else { return false };
        while let Some(db) = dbs.get_mut(pass.db) {
            if !defrag.may_go_on() {
                return false;
            }
            if let Some(value) = pass.later.last_mut() {
                let before = defrag.moved();
                let done = db.table.defrag_value(&mut defrag, &value.key, &mut value.progress);
                value.moved |= defrag.moved() > before;
                if done {
                    let moved = value.moved;
                    pass.later.pop();
                    pass.count(moved);
                }
                continue;
            }
            pass.stage = match pass.stage {
                Stage::Table(position) => {
                    let mut visits = Visits::default();
                    let next = db.table.defrag(&mut defrag, position, elements_max, &mut visits);
                    pass.keys_moved += visits.moved;
                    pass.keys_left += visits.left;
                    let later = |(key, moved)| Later { key, progress: Progress::default(), moved };
                    pass.later.extend(visits.later.into_iter().map(later));
                    next.map_or(Stage::Deadlines { fields: false, from: None }, Stage::Table)
                }
                Stage::Deadlines { fields, from } => {
                    let index = if fields { &mut db.field_expiries } else { &mut db.expiries };
                    match index.defrag(&mut defrag, from) {
                        Some(from) => Stage::Deadlines { fields, from: Some(from) },
                        None if !fields => Stage::Deadlines { fields: true, from: None },
                        None => {
                            pass.db += 1;
                            Stage::default()
                        }
                    }
                }
            };
        }
        true
    }
}

impl Keyspace {
    /// Unused pages go back to the system soon, and not by this thread.
    pub fn give_pages_back(&mut self) {
        self.side.lazy.give_pages_back();
    }
}

impl DefragPass {
    fn count(&mut self, moved: bool) {
        if moved { self.keys_moved += 1 } else { self.keys_left += 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    /// A whole pass that moves everything, in steps of so many nodes; with the number of steps.
    fn pass(w: &mut World, step: usize) -> (DefragPass, usize) {
        let mut pass = DefragPass::default();
        for steps in 1.. {
            if w.ks.defrag(&mut pass, &mut Mover::of_all(step), 100) {
                return (pass, steps);
            }
            assert!(steps < 1_000_000);
        }
        unreachable!()
    }

    #[test]
    fn every_key_is_visited_and_stays_what_it_was() {
        let mut w = World::new();
        (0..3000).for_each(|i| w.set(&format!("key:{i}"), &"v".repeat(i % 300)));
        (0..500).for_each(|i| w.set_for(&format!("volatile:{i}"), "v", 50_000 + i));
        w.db = 3;
        w.set("long", &"z".repeat(100_000));
        let digest = w.ks.digest();
        let (done, steps) = pass(&mut w, 10);
        assert_eq!((done.keys_moved, done.keys_left), (3501, 0));
        assert!(steps > 10);
        assert_eq!(w.ks.digest(), digest);
        w.ks.check_invariants();
        assert_eq!(pass(&mut w, usize::MAX).1, 1);
        w.ks.check_invariants();
    }

    #[test]
    fn everything_may_change_between_steps() {
        let mut w = World::new();
        (0..3000).for_each(|i| w.set(&format!("key:{i}"), "v"));
        let mut pass = DefragPass::default();
        let mut i = 0;
        while !w.ks.defrag(&mut pass, &mut Mover::of_all(50), 100) {
            for _ in 0..40 {
                i += 1;
                w.on(&format!("key:{i}"), |db, k| db.remove(k));
                if i % 2 == 0 {
                    w.set(&format!("new:{i}"), "v");
                }
            }
        }
        w.ks.check_invariants();
        w.ks.flush_all(super::super::FlushMode::Sync, 0);
        assert!(w.ks.defrag(&mut pass, &mut Mover::of_all(50), 100), "a pass that is over stays so");
    }

    #[test]
    fn a_snapshot_stops_a_pass() {
        let mut w = World::with(&[("k", "v")]);
        let snapshot = w.ks.snapshot();
        let (mut pass, mut mover) = (DefragPass::default(), Mover::of_all(50));
        assert!(!w.ks.defrag(&mut pass, &mut mover, 100));
        assert_eq!(mover.tally().moved, 0);
        drop(snapshot);
        w.ks.reap_snapshots();
        assert!(w.ks.defrag(&mut pass, &mut mover, 100));
        assert!(mover.tally().moved > 0);
    }
}
