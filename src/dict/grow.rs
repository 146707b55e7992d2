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

use super::directory::{CHUNK_SIZE_MAX, RootSlot};
use super::element::Element;
use super::segment::{BUCKETS, Collected, SMALL, Segment, max_count};
use super::table::{DEPTH_MAX, Table};
use crate::cow::Heap;

/// How much deeper than log2 of the number of segments a segment may be.
const DEPTH_SLACK: u32 = 6;

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
                if !self.dir.has_root() {
                    self.begin_root(heap);
                }
                let slot = *self.dir.root_slot(hash);
                if segment.depth() < slot.depth() {
                    self.split_segment(heap, hash);
                } else if slot.size < CHUNK_SIZE_MAX {
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
