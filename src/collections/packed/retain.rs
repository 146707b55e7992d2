//! Bulk removal: one pass over all elements, after which the table has as many leaves as what stays wants.
//!
//! An element that is removed by its key costs a hash and two cache misses. Where a good part of a large table goes it
//! is cheaper to look at every element, in the order in which they lie, and to write those that stay to new leaves.
//! Leaf `j` of the smaller table holds what leaves `j`, `j + 2^d`, `j + 2 * 2^d` ... of the larger one had, `d` being
//! how many low bits of hashes it stands for: merging one by one would end there, too.

use super::directory::Directory;
use super::grow::{Address, Fullest};
use super::leaf::Parts;
use super::life::PACE_LEAVES;
use super::out_of_line::OutOfLine;
use super::shape::{Element, Shape};
use super::table::{LEAF_MEAN, PackedTable};
use crate::cow::{Heap, Reclaim};
use crate::sys::priority;

/// Leaves of a table whose elements went elsewhere.
struct Husk(Directory);

// SAFETY: the leaves and nodes belong to this value alone, and are plain bytes.
unsafe impl Send for Husk {}

impl Reclaim for Husk {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        while self.0.leaves() > 0 {
            if *budget == 0 {
                return false;
            }
            *budget -= 1;
            // SAFETY: only the last owner is asked to free; what the leaves point to is somebody else's.
            unsafe { self.0.pop_unshared().free() };
            if self.0.leaves().is_multiple_of(PACE_LEAVES) {
                priority::pace();
            }
        }
        true
    }
}

impl<S: Shape> PackedTable<S> {
    /// Keeps the elements that `keep` says so of, about `kept` of them. It is asked about each element once, in no
    /// order. If it panics, nothing was removed.
    pub fn retain(&mut self, heap: &mut Heap, kept: usize, mut keep: impl FnMut(Element<'_>) -> bool) {
        let old_leaves = self.directory.leaves();
        if self.is_empty() {
            return;
        }
        let load = (self.load as u128 * kept as u128 / self.len as u128) as usize;
        // In the middle between the load at which a leaf more is made, and that at which there is one less.
        let leaves = load.div_ceil(LEAF_MEAN * 3 / 4).clamp(1, old_leaves);
        let (address, now) = (Address::new(leaves), heap.epoch());
        let mut new = self.alias();
        (new.directory, new.address, new.fullest) = (Directory::EMPTY, address, Fullest::default());
        (new.len, new.load, new.allocated) = (0, 0, 0);
        let mut parts = Parts::default();
        let mut gone: Vec<OutOfLine> = Vec::new();
        let mut husk_bytes = 0;
        for at in 0..leaves {
            parts.clear();
            let step = 1 << address.depth(at);
            for source in (at..old_leaves).step_by(step) {
                // SAFETY: the nodes of a table live.
                unsafe {
                    let leaf = self.directory.leaf(source);
                    let next = if source + step < old_leaves { source + step } else { at + 1 };
                    if next < old_leaves {
                        self.directory.leaf(next).prefetch_all(LEAF_MEAN);
                    }
                    husk_bytes += leaf.size();
                    for place in leaf.places() {
                        let outside = leaf.outside(place);
                        if keep(leaf.element::<S>(place)) {
                            parts.push(leaf, place);
                            new.allocated += outside.map_or(0, |node| node.size());
                        } else {
                            gone.extend(outside);
                        }
                    }
                }
            }
            let leaf = parts.leaf(now);
            // SAFETY: the leaf is new, and so is the directory.
            unsafe {
                new.directory.push_unshared(now, leaf);
                new.allocated += leaf.size();
                new.load += leaf.used() + 2 * leaf.count();
                new.len += leaf.count();
                new.fullest.note(address, at, leaf.count());
            }
        }
        let husk = Husk(std::mem::replace(self, new).directory);
        // SAFETY: nothing of the table points to them any more.
        gone.into_iter().for_each(|node| unsafe { node.release(heap) });
        heap.free_later(Box::new(husk), self.origin, husk_bytes);
        self.settle(heap);
    }

    /// Splits or merges until there are as many leaves as the load wants: the guess of how much stays may have been off.
    fn settle(&mut self, heap: &mut Heap) {
        loop {
            let leaves = self.directory.leaves();
            self.spread(heap);
            if self.directory.leaves() == leaves {
                return;
            }
        }
    }

    /// As [`PackedTable::remove`].
    #[inline]
    pub fn remove_hashed(&mut self, heap: &mut Heap, hash: u64, key: &[u8]) -> bool {
        let Some((at, leaf, place)) = self.locate(hash, key) else { return false };
        self.take_out(heap, at, leaf, place);
        true
    }

    /// Removes these keys; how many of them there were. What removing them will read is asked for ahead.
    pub fn remove_all<'k>(&mut self, heap: &mut Heap, keys: impl IntoIterator<Item = &'k [u8]>) -> usize {
        let mut keys = keys.into_iter();
        let (mut batch, mut removed) = ([(0, &[][..]); BATCH], 0);
        loop {
            let mut n = 0;
            for (slot, key) in batch.iter_mut().zip(keys.by_ref()) {
                let hash = self.hash(key);
                self.prefetch_way(hash);
                *slot = (hash, key);
                n += 1;
            }
            batch[..n].iter().for_each(|(hash, _)| self.prefetch_all(*hash));
            for (hash, key) in &batch[..n] {
                removed += usize::from(self.remove_hashed(heap, *hash, key));
            }
            if n < BATCH {
                return removed;
            }
        }
    }
}

/// Keys looked for at once by [`PackedTable::remove_all`].
const BATCH: usize = 16;

/// How many elements of `len` must go for [`PackedTable::retain`] to be cheaper than removing them one by one.
pub fn is_many(gone: usize, len: usize) -> bool {
    gone > MANY_MIN && gone > len / ONE_IN
}

const MANY_MIN: usize = 64;
/// A key that is looked for costs about as much as so many that are looked at.
const ONE_IN: usize = 12;
