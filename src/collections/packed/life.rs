//! Forks, copies, destruction, memory, and what must hold between any two calls.

use std::mem::ManuallyDrop;
use std::ops::Deref;

use super::grow::Address;
use super::leaf::{Leaf, tag_of};
use super::out_of_line::OutOfLine;
use super::shape::Shape;
use super::table::{LEAF_MEAN, PackedTable};
use crate::cow::{Defrag, Epoch, Heap, Unshared};
use crate::sys::priority;
use crate::util::hash::HashSeed;
use crate::util::text::{Source, Text};

/// Leaves freed between two looks at the clock, by a thread that gives way.
pub(super) const PACE_LEAVES: usize = 64;

impl<S: Shape> PackedTable<S> {
    /// The table of a forked value: shares all nodes, each to be copied before it is changed. Only as safe as the
    /// caller keeps to [`CowValue`](crate::cow::CowValue): the older one is dropped as a shell, that is, forgotten.
    pub fn fork(&self) -> PackedTable<S> {
        self.alias()
    }

    /// A copy that shares nothing: COPY. Work in proportion to the table.
    pub fn duplicate(&self, now: Epoch) -> PackedTable<S> {
        let mut copy = self.alias();
        copy.origin = now;
        copy.directory = super::directory::Directory::EMPTY;
        for at in 0..self.directory.leaves() {
            // SAFETY: the nodes of a table live; the copies are new.
            unsafe {
                let leaf = self.directory.leaf(at);
                let own = leaf.copy(now, 0);
                copy.allocated = copy.allocated + own.size() - leaf.size();
                for place in own.places() {
                    if let Some(node) = own.outside(place) {
                        let node = OutOfLine::new(now, Source::Lent(node.key()), Source::Lent(node.value()));
                        own.set_outside(place, node);
                    }
                }
                copy.directory.push_unshared(now, own);
            }
        }
        copy
    }

    /// Nothing that the table owns is older than this; for [`CowValue::origin`](crate::cow::CowValue::origin).
    pub fn origin(&self) -> Epoch {
        self.origin
    }

    /// Bytes allocated: leaves, what lies outside, and the directory.
    pub fn memory(&self) -> usize {
        self.allocated + self.directory.node_bytes()
    }

    /// How many allocations freeing takes, roughly.
    pub fn free_effort(&self) -> usize {
        self.directory.leaves()
    }

    /// Moves nodes to where they lie closer together, from the leaf of number `at` on: one at least. True at the end.
    pub fn defrag(&mut self, defrag: &mut Defrag<'_>, at: &mut usize) -> bool {
        while *at < self.directory.leaves() {
            // SAFETY: the nodes of a table live.
            unsafe { self.directory.defrag(defrag, *at) };
            *at += 1;
            if !defrag.may_go_on() {
                break;
            }
        }
        *at >= self.directory.leaves()
    }

    /// Frees leaves worth `budget` (and lowers it) from the end: for a large table that is destroyed in slices. True
    /// when nothing is left. What remains is of no use as a table.
    pub fn destroy_some(&mut self, budget: &mut usize, _proof: &Unshared) -> bool {
        while self.directory.leaves() > 0 {
            if *budget == 0 {
                return false;
            }
            // SAFETY: nobody else reads the table's nodes, and this leaf is unlinked.
            unsafe {
                let leaf = self.directory.pop_unshared();
                if self.directory.leaves().is_multiple_of(PACE_LEAVES) {
                    priority::pace();
                }
                *budget = budget.saturating_sub(1 + free_leaf(leaf));
            }
        }
        self.len = 0;
        true
    }

    /// Frees everything.
    pub fn destroy(mut self, proof: &Unshared) {
        self.destroy_some(&mut { usize::MAX }, proof);
    }

    /// Panics if the table is not as it must be. Reads everything: for tests.
    pub fn check_invariants(&self) {
        let (mut len, mut load, mut allocated) = (0, 0, 0);
        let leaves = self.directory.leaves();
        assert_eq!(self.address, if leaves == 0 { Address::default() } else { Address::new(leaves) });
        for at in 0..leaves {
            // SAFETY: the nodes of a table live.
            unsafe {
                let leaf = self.directory.leaf(at);
                leaf.check::<S>(|key| tag_of(self.hash(key)));
                for place in leaf.places() {
                    let element = leaf.element::<S>(place);
                    assert_eq!(self.address.of(self.hash(element.key)), at, "an element is in the leaf of its hash");
                    assert_eq!(self.get(element.key), Some(element), "a key is found, and stands there once");
                    allocated += leaf.outside(place).map_or(0, |node| node.size());
                    assert!(leaf.outside(place).is_none_or(|node| self.origin <= node.birth()));
                }
                let bound = if self.address.is_split(at) { self.fullest.split } else { self.fullest.whole };
                assert!(leaf.count() <= bound, "the bounds on counts: {} > {bound}", leaf.count());
                len += leaf.count();
                load += leaf.used() + 2 * leaf.count();
                allocated += leaf.size();
            }
        }
        assert_eq!((self.len, self.load, self.allocated), (len, load, allocated));
        // An operation splits or merges once, and may have changed the load by an element.
        assert!(leaves <= 1 || load + LEAF_MEAN >= leaves * (LEAF_MEAN / 2), "few enough leaves");
        assert!(load <= (leaves + 1) * LEAF_MEAN, "enough leaves");
        // SAFETY: the nodes of a table live.
        unsafe { self.directory.check(self.origin) };
    }
}

/// A table that is being built: not part of the data yet, so nobody else reads it. Dropping it frees it.
pub struct FreshTable<S: Shape>(ManuallyDrop<PackedTable<S>>);

impl<S: Shape> FreshTable<S> {
    /// An empty table.
    pub fn new(seed: HashSeed, now: Epoch) -> FreshTable<S> {
        FreshTable(ManuallyDrop::new(PackedTable::new(seed, now)))
    }

    /// As [`PackedTable::insert`].
    #[inline]
    pub fn insert(&mut self, heap: &mut Heap, key: &[u8], value: &[u8], marked: bool) -> bool {
        self.0.insert(heap, key, value, marked)
    }

    /// As [`PackedTable::insert_new`].
    #[inline]
    pub fn insert_new<'t>(&mut self, heap: &mut Heap, key: impl Text<'t>, value: &[u8], marked: bool) -> bool {
        self.0.insert_new(heap, key, value, marked)
    }

    /// As [`PackedTable::remove`].
    pub fn remove(&mut self, heap: &mut Heap, key: &[u8]) -> bool {
        self.0.remove(heap, key)
    }

    /// It becomes a part of the data.
    pub fn into_table(self) -> PackedTable<S> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never used or dropped again.
        unsafe { ManuallyDrop::take(&mut this.0) }
    }
}

impl<S: Shape> Deref for FreshTable<S> {
    type Target = PackedTable<S>;

    fn deref(&self) -> &PackedTable<S> {
        &self.0
    }
}

impl<S: Shape> Drop for FreshTable<S> {
    fn drop(&mut self) {
        // SAFETY: taken once, here; the table was never reachable from the data, so no snapshot has it.
        unsafe { ManuallyDrop::take(&mut self.0).destroy(&Unshared::proven()) }
    }
}

impl<S: Shape> std::fmt::Debug for FreshTable<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Frees a leaf with what lies outside; returns how many nodes that was.
unsafe fn free_leaf(leaf: Leaf) -> usize {
    let mut nodes = 0;
    // SAFETY: the caller is the leaf's last owner, and so that of what it points to.
    unsafe {
        for node in leaf.places().filter_map(|place| leaf.outside(place)) {
            node.free();
            nodes += 1;
        }
        leaf.free();
    }
    nodes
}
