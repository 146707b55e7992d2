//! Growth, one segment at a time: this is the incremental rehash, and it is never more than that.
//!
//! A full segment is split in two by the next bit of the hash, which costs a look at its 189 elements: about 10 us,
//! once in some 95 insertions. If its chunk has no bit left, the chunk is doubled (2 KiB at most); if the chunk is as
//! large as chunks get, it is split in two, for which the root may have to be doubled (16 bytes for some 20,000
//! elements). A small table has one segment, which is rebuilt with more buckets: 1, 2, 3, 5, 7, 11, 15, 23, 31.
//!
//! # Flooding
//!
//! Keys chosen to collide would be split again and again without coming apart, and each level doubles a chunk or the
//! root. So a segment may be only six levels deeper than the number of segments explains (by chance none is ever two
//! levels deeper), and none deeper than 38. A full segment at the limit is extended by links instead (see `segment`).

use super::directory::{CHUNK_SIZE_MAX, RootSlot, after};
use super::element::Element;
use super::segment::{BUCKETS, Collected, SMALL, Segment, max_count};
use super::table::{DEPTH_MAX, Table};
use crate::cow::Heap;

/// How much deeper than log2 of the number of segments a segment may be.
const DEPTH_SLACK: u32 = 6;

/// So many segments are looked at, for one that is to be split ahead.
const LOOKS_MAX: usize = 32;

/// A table of so many elements in each of its segments, on average, has split nearly all of them at least that often.
const SPLIT_SURELY: usize = 105;

/// How far a table is going to grow, and where [`Table::grow_ahead`] is.
#[derive(Clone, Copy, Debug)]
pub struct Growth {
    depth: u32,
    /// Segments are split level by level, in the order of their hashes.
    level: u32,
    at: u64,
}

impl Growth {
    /// For a table that is going to have so many elements. It takes no more memory than it will without.
    pub fn to(elements: u64) -> Growth {
        let depth = (elements / SPLIT_SURELY as u64).checked_ilog2().unwrap_or(0);
        Growth { depth: depth.min(DEPTH_MAX), level: 0, at: 0 }
    }
}

impl<E: Element> Table<E> {
    /// Splits what must be split so that the segment of `hash` has room, as far as its depth allows. The path to it
    /// is the writer's, before and after.
    pub(super) fn make_room(&mut self, heap: &mut Heap, hash: u64) {
        loop {
            let segment = self.locate(hash);
            // SAFETY: the segments of a table live; the path is the writer's.
            unsafe {
                if segment.count() < max_count(self.buckets()) {
                    return;
                }
                if !self.is_full_size() {
                    let larger = SMALL.into_iter().find(|&size| size > self.dir.buckets).expect("31 is the largest");
                    self.resize_sole(heap, larger);
                    continue;
                }
                if segment.depth() >= self.depth_limit() || !segment.next().is_null() {
                    return;
                }
                self.split(heap, hash);
            }
        }
    }

    /// Splits the segment of `hash`, and what stands in the way of that.
    ///
    /// # Safety
    ///
    /// The table has segments, of full size; the path to this one is the writer's, and it has no next one.
    unsafe fn split(&mut self, heap: &mut Heap, hash: u64) {
        // SAFETY: the segments of a table live; the path is the writer's.
        unsafe {
            if !self.dir.has_root() {
                self.begin_root(heap);
            }
            loop {
                let slot = *self.dir.root_slot(hash);
                if self.locate(hash).depth() < slot.depth() {
                    return self.split_segment(heap, hash);
                }
                if slot.size < CHUNK_SIZE_MAX {
                    self.double_chunk(heap, hash);
                } else {
                    if slot.bits == self.dir.root_depth {
                        self.double_root(heap);
                    }
                    self.split_chunk(heap, hash);
                }
            }
        }
    }

    /// Splits one segment that elements to come will split, while there is little in it. True if there is nothing left
    /// to do.
    ///
    /// Whoever fills a table asks for it now and then as elements arrive, so that an expectation that was wrong costs no
    /// more than what has arrived explains.
    pub fn grow_ahead(&mut self, heap: &mut Heap, growth: &mut Growth) -> bool {
        if self.segments == 0 || growth.level >= growth.depth {
            return growth.level >= growth.depth;
        }
        for _ in 0..LOOKS_MAX {
            let at = growth.at;
            match after(at, growth.level) {
                Some(next) => growth.at = next,
                None => (growth.at, growth.level) = (0, growth.level + 1),
            }
            self.own_path(heap, at);
            let segment = self.locate(at);
            // SAFETY: the segments of a table live; the path is the writer's.
            unsafe {
                if segment.depth() < growth.depth.min(self.depth_limit()) && segment.next().is_null() {
                    if !self.is_full_size() {
                        self.resize_sole(heap, BUCKETS as u8);
                    }
                    self.split(heap, at);
                    break;
                }
            }
            if growth.level >= growth.depth {
                return true;
            }
        }
        false
    }

    fn depth_limit(&self) -> u32 {
        DEPTH_MAX.min(self.segments.ilog2() + DEPTH_SLACK)
    }

    /// Rebuilds the only segment with another number of buckets.
    pub(super) unsafe fn resize_sole(&mut self, heap: &mut Heap, buckets: u8) {
        // SAFETY: the segment lives, and is unlinked before it is released.
        unsafe {
            let (old, old_buckets) = (self.dir.sole, self.buckets());
            let new = Segment::new(buckets as usize, 0, heap.epoch());
            self.redistribute(old, old_buckets, buckets as usize, [new, new]);
            self.dir.sole = new;
            self.dir.buckets = buckets;
            old.release(old_buckets, heap);
        }
    }

    /// Gives the only segment a root with one chunk of one slot.
    unsafe fn begin_root(&mut self, heap: &Heap) {
        let mut slot = RootSlot::new(0, 0, heap.epoch());
        // SAFETY: chunk and root are new.
        unsafe {
            slot.fill(std::iter::once(self.dir.sole));
            self.dir.allocate_root(0);
            self.dir.root.write(slot);
        }
        self.dir.sole = Segment::NULL;
        self.root_birth = heap.epoch();
        self.full_chunks = 1;
    }

    unsafe fn split_segment(&mut self, heap: &mut Heap, hash: u64) {
        // SAFETY: the path is the writer's; the old segment lives until it is released, unlinked by then.
        unsafe {
            let old = self.locate(hash);
            let depth = old.depth();
            let halves = [0, 1].map(|_| Segment::new(BUCKETS, depth + 1, heap.epoch()));
            self.redistribute(old, BUCKETS, BUCKETS, halves);
            let bit = 1u64 << (63 - depth);
            self.dir.set_segment(hash & !bit, halves[0]);
            self.dir.set_segment(hash | bit, halves[1]);
            let mut slot = *self.dir.root_slot(hash);
            if depth + 1 == slot.depth() {
                slot.full += 2;
                self.dir.set_chunk(hash, slot);
            }
            old.release(BUCKETS, heap);
        }
        self.segments += 1;
        self.depths.split(self.locate(hash).depth() - 1);
    }

    /// Puts the elements of a segment into new ones: by the bit that distinguishes them, or both the same.
    unsafe fn redistribute(&self, old: Segment, old_buckets: usize, buckets: usize, new: [Segment; 2]) {
        let mut elements = Collected::new();
        let depth = new[0].depth();
        // SAFETY: the old segment lives, the new ones are the writer's and have room: each had room for all.
        unsafe {
            old.collect(old_buckets, &mut elements);
            for element in elements.iter() {
                let hash = E::hash(element, self.seed);
                let half = if new[0] == new[1] { 0 } else { (hash >> (64 - depth)) as usize & 1 };
                new[half].place(buckets, hash, element);
            }
        }
    }

    unsafe fn double_chunk(&mut self, heap: &mut Heap, hash: u64) {
        // SAFETY: the root is the writer's; the old chunk lives until it is released, unlinked by then.
        unsafe {
            let old = *self.dir.root_slot(hash);
            let mut new = RootSlot::new(old.bits, old.size + 1, heap.epoch());
            new.fill(old.segments().iter().flat_map(|&segment| [segment, segment]));
            self.dir.set_chunk(hash, new);
            old.release(heap);
        }
    }

    unsafe fn double_root(&mut self, heap: &mut Heap) {
        let old = self.dir;
        self.dir.allocate_root(old.root_depth + 1);
        // SAFETY: the new root has two slots for each of the old one, which lives until it is released.
        unsafe {
            for (at, &slot) in old.root_slots().iter().enumerate() {
                self.dir.root.add(2 * at).write(slot);
                self.dir.root.add(2 * at + 1).write(slot);
            }
            old.release_root(self.root_birth, heap);
        }
        self.root_birth = heap.epoch();
        self.full_chunks = 0;
    }

    /// Splits a chunk by its first bit; the root has a bit for it.
    unsafe fn split_chunk(&mut self, heap: &mut Heap, hash: u64) {
        // SAFETY: the root is the writer's; the old chunk lives until it is released, unlinked by then.
        unsafe {
            let old = *self.dir.root_slot(hash);
            let bit = 1u64 << (63 - old.bits);
            let halves = old.segments().split_at(1 << (old.size - 1));
            for (hash, half) in [(hash & !bit, halves.0), (hash | bit, halves.1)] {
                let deepest = half.iter().map(|segment| segment.depth() as u8).max().expect("a half has slots");
                let size = deepest - (old.bits + 1); // smaller than the half, if the other one has the deep segments
                let mut new = RootSlot::new(old.bits + 1, size, heap.epoch());
                new.fill(half.iter().copied().step_by(half.len() >> size));
                self.dir.set_chunk(hash, new);
            }
            if old.bits + 1 == self.dir.root_depth {
                self.full_chunks += 2;
            }
            old.release(heap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dict::table::tests::put;
    use crate::util::hash::HashSeed;

    #[test]
    fn growth_that_is_foretold_comes_to_the_same_table() {
        let all = if cfg!(miri) { 450 } else { 20_000 };
        let (mut heap, mut natural) = (Heap::new(), Table::new(HashSeed::fixed(5)));
        (0..all).for_each(|n| put(&mut natural, &mut heap, n, b"v"));
        let mut table = Table::new(HashSeed::fixed(5));
        let mut growth = Growth::to(u64::from(all));
        assert!(!table.grow_ahead(&mut heap, &mut growth), "an empty table has no segment to be split");
        let mut split = 0;
        let mut snapshot = None;
        for n in 0..all {
            put(&mut table, &mut heap, n, b"v");
            let before = table.stats().segments;
            table.grow_ahead(&mut heap, &mut growth);
            split += table.stats().segments - before;
            assert!(table.stats().segments <= before + 1);
            if n == 20 {
                // What a snapshot reads is left to it.
                let opening = heap.open_snapshot();
                snapshot = Some((table.view(&opening), opening.ticket()));
            }
            if n % 100 == 0 {
                table.check_invariants();
            }
        }
        assert!(split > table.stats().segments / 2, "{split} of {}", table.stats().segments);
        assert!(table.stats().segments <= natural.stats().segments * 11 / 10, "{table:?} and {natural:?}");
        assert_eq!(table.len(), natural.len());
        let (view, ticket) = snapshot.expect("taken at the twentieth");
        assert_eq!(view.iter().count(), 21);
        drop((view, ticket));
        heap.reap();
        while heap.reclaim(50) {}
        table.check_invariants();
        drop((table.take_all(&mut heap), natural.take_all(&mut heap)));
    }

    #[test]
    fn a_wrong_expectation_costs_a_segment_for_each_step() {
        let (mut heap, mut table) = (Heap::new(), Table::new(HashSeed::fixed(6)));
        let mut growth = Growth::to(u64::MAX);
        for n in 0..100 {
            put(&mut table, &mut heap, n, b"v");
            table.grow_ahead(&mut heap, &mut growth);
            assert!(table.stats().segments <= n as usize + 2);
            table.check_invariants();
        }
        drop(table.take_all(&mut heap));
    }
}
