//! Which leaf a hash belongs to, and how leaves become more or fewer: linear hashing.
//!
//! With `n` leaves, 2^k <= n < 2^(k+1), a round is on its way from 2^k leaves to twice as many: leaves 0 .. n - 2^k have
//! been split, each into itself and the leaf 2^k further on. Split leaves, both halves, are told apart by k + 1 low
//! bits of the hash; the others by k.

use super::leaf::Leaf;
use super::shape::Shape;
use super::table::PackedTable;
use crate::cow::Heap;

/// How hashes are numbered.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Address {
    leaves: usize,
    /// The k + 1 low bits (k, when the round is over).
    mask: u64,
}

impl Address {
    pub fn new(leaves: usize) -> Address {
        Address { leaves, mask: leaves.next_power_of_two() as u64 - 1 }
    }

    /// The number of the leaf of a hash.
    #[inline(always)]
    pub fn of(self, hash: u64) -> usize {
        let at = (hash & self.mask) as usize;
        if at < self.leaves { at } else { at & (self.mask >> 1) as usize }
    }

    /// How many low bits all hashes of a leaf have in common.
    #[inline]
    pub fn depth(self, at: usize) -> u32 {
        let deep = self.mask.count_ones();
        if self.is_split(at) { deep } else { deep - 1 }
    }

    /// Whether a leaf has as many bits as any. When a round is over, all have.
    #[inline]
    pub fn is_split(self, at: usize) -> bool {
        let half = (self.mask as usize).div_ceil(2);
        at >= half || at + half < self.leaves || self.mask == 0
    }

    /// The leaf that the last one was split off from.
    fn buddy_of_last(self) -> usize {
        let last = self.leaves - 1;
        last & (self.mask >> 1) as usize
    }
}

/// The most elements a leaf may have, for drawing uniformly: one bound for leaves that have been split in this round,
/// and one for those that have not.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Fullest {
    pub split: usize,
    pub whole: usize,
}

impl Fullest {
    #[inline(always)]
    pub fn note(&mut self, address: Address, at: usize, count: usize) {
        if count > self.split.min(self.whole) {
            let bound = if address.is_split(at) { &mut self.split } else { &mut self.whole };
            *bound = count.max(*bound);
        }
    }
}

impl<S: Shape> PackedTable<S> {
    /// Adds a leaf at the end, and numbers by it.
    pub(super) unsafe fn push_leaf(&mut self, heap: &mut Heap, leaf: Leaf) {
        // SAFETY: the nodes live; the leaf is new.
        unsafe {
            self.directory.push(heap, leaf);
            self.allocated += leaf.size();
        }
        if self.address.leaves.is_power_of_two() {
            // A round was over, and another begins: nothing is split yet.
            self.fullest = Fullest { split: 0, whole: self.fullest.split };
        }
        self.address = Address::new(self.directory.leaves());
    }

    /// Splits the leaf whose turn it is.
    #[inline(never)]
    pub(super) fn split(&mut self, heap: &mut Heap) {
        let last = self.directory.leaves();
        let next = Address::new(last + 1);
        let at = next.buddy_of_last();
        // SAFETY: the nodes live; the path is made the writer's own; the old leaf is unlinked when it is released.
        unsafe {
            let old = self.directory.leaf(at);
            let mut marks = Marks::new(old.count());
            for place in old.places() {
                if next.of(self.seed.hash(old.element::<S>(place).key)) == last {
                    marks.set(place.index);
                }
            }
            let stays = Leaf::gather(heap.epoch(), &[old], |_, index| !marks.has(index));
            let goes = Leaf::gather(heap.epoch(), &[old], |_, index| marks.has(index));
            self.directory.own_path(heap, at);
            self.directory.set(at, stays);
            self.allocated = self.allocated + stays.size() - old.size();
            if heap.is_shared(old.birth()) {
                heap.note_cloned(stays.size() + goes.size());
            }
            old.release(heap);
            self.push_leaf(heap, goes);
            self.fullest.note(self.address, at, stays.count());
            self.fullest.note(self.address, last, goes.count());
        }
        debug_assert_eq!(self.address, next);
    }

    /// Merges the last leaf into the one it was split off from.
    #[inline(never)]
    pub(super) fn merge(&mut self, heap: &mut Heap) {
        let at = self.address.buddy_of_last();
        // SAFETY: the nodes live; the path is made the writer's own; both leaves are unlinked when they are released.
        unsafe {
            let last = self.directory.pop(heap);
            let first = self.directory.leaf(at);
            let both = Leaf::gather(heap.epoch(), &[first, last], |_, _| true);
            self.directory.own_path(heap, at);
            self.directory.set(at, both);
            self.allocated = self.allocated + both.size() - first.size() - last.size();
            if heap.is_shared(first.birth()) {
                heap.note_cloned(both.size());
            }
            first.release(heap);
            last.release(heap);
            self.address = Address::new(self.directory.leaves());
            if self.address.leaves.is_power_of_two() {
                // The round was taken back: what had not been split has the most bits now.
                self.fullest = Fullest { split: self.fullest.whole, whole: 0 };
            }
            self.fullest.note(self.address, at, both.count());
        }
    }
}

/// One bit for each element of a leaf.
struct Marks {
    few: [u64; 8],
    /// Instead of `few`, in a leaf of more than 512 elements (which chance never makes).
    many: Vec<u64>,
}

impl Marks {
    fn new(count: usize) -> Marks {
        let many = if count > 512 { vec![0; count.div_ceil(64)] } else { Vec::new() };
        Marks { few: [0; 8], many }
    }

    #[inline]
    fn set(&mut self, at: usize) {
        let words = if self.many.is_empty() { &mut self.few[..] } else { &mut self.many };
        words[at / 64] |= 1 << (at % 64);
    }

    #[inline]
    fn has(&self, at: usize) -> bool {
        let words = if self.many.is_empty() { &self.few[..] } else { &self.many };
        words[at / 64] >> (at % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_leaf_has_the_hashes_with_its_bits() {
        for leaves in 1..40usize {
            let address = Address::new(leaves);
            let mut share = vec![0u32; leaves];
            (0..64).for_each(|hash| share[address.of(hash)] += 1);
            for (at, &share) in share.iter().enumerate() {
                assert_eq!(64 >> address.depth(at), share, "leaf {at} of {leaves}");
                assert_eq!(address.of(at as u64), at);
            }
            if leaves > 1 {
                let before = Address::new(leaves - 1);
                let moved: Vec<u64> = (0..64).filter(|&hash| before.of(hash) != address.of(hash)).collect();
                assert!(moved.iter().all(|&hash| address.of(hash) == leaves - 1));
                assert!(moved.iter().all(|&hash| before.of(hash) == address.buddy_of_last()));
            }
        }
    }
}
