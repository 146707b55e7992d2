//! Shrinking, the mirror image of growth: a segment that is less than a quarter full joins its buddy.
//!
//! The buddy of a segment is the one whose hashes differ in the last bit of the depth. They merge if they are equally
//! deep and would fill 55 % together, which leaves room for a while on either side: no element pays for a split and a
//! merge in turn. Chunks whose last bit tells no segments apart are halved; two small chunk buddies are joined; a root
//! that tells no chunks apart is halved. One deletion does a constant amount of this nearly always: a merge makes a
//! segment that is itself too empty only where its neighbours were emptied before.

use super::directory::{Directory, RootSlot};
use super::element::Element;
use super::segment::{BUCKETS, CAPACITY, Collected, SMALL, Segment, max_count};
use super::table::Table;
use crate::cow::{Epoch, Heap};

/// Two segments merge when they have at most this many elements together: 55 % of one.
const MERGED_MAX: usize = CAPACITY * 55 / 100;
/// Two chunks are joined when both have at most 2^this slots.
const JOINED_SIZE_MAX: u8 = 5;

impl<E: Element> Table<E> {
    /// Called after a deletion that left the segment of `hash` less than a quarter full. The path and the segment are
    /// the writer's.
    #[cold]
    #[inline(never)]
    pub(super) fn shrink(&mut self, heap: &mut Heap, hash: u64) {
        // SAFETY: the segments of a table live; the path is the writer's, and stays so.
        unsafe {
            loop {
                let segment = self.locate(hash);
                if !segment.next().is_null() {
                    segment.drop_empty_links(self.buckets());
                    if !segment.next().is_null() {
                        return;
                    }
                }
                if !self.dir.has_root() {
                    return self.shrink_sole(heap);
                }
                if segment.count() >= CAPACITY / 4 || !self.merge_segment(heap, hash) {
                    return;
                }
            }
        }
    }

    unsafe fn shrink_sole(&mut self, heap: &mut Heap) {
        // SAFETY: the segment lives, and is unlinked before it is released.
        unsafe {
            let (segment, buckets) = (self.dir.sole, self.buckets());
            let count = segment.count();
            if count == 0 {
                segment.release(buckets, heap);
                self.dir = Directory::EMPTY;
                self.segments = 0;
                self.origin = Epoch::NEVER;
            } else if count < buckets * super::tags::SLOTS / 4 {
                let fits = |&size: &u8| max_count(size as usize) * 2 / 3 >= count;
                let smaller = SMALL.into_iter().find(fits).expect("31 buckets have room for a quarter of themselves");
                if (smaller as usize) < buckets {
                    self.resize_sole(heap, smaller);
                }
            }
        }
    }

    /// Joins the segment of `hash` with its buddy, if that may be.
    unsafe fn merge_segment(&mut self, heap: &mut Heap, hash: u64) -> bool {
        // SAFETY: the path is the writer's and leads to the buddy too, once their chunk is one; both segments live
        // until they are released, unlinked by then.
        unsafe {
            let segment = self.locate(hash);
            let depth = segment.depth();
            if depth == self.dir.root_slot(hash).read().bits as u32 && !self.join_chunks(heap, hash) {
                return false;
            }
            let buddy = self.locate(hash ^ 1 << (64 - depth));
            if buddy.depth() != depth || !buddy.next().is_null() || segment.count() + buddy.count() > MERGED_MAX {
                return false;
            }
            let merged = Segment::new(BUCKETS, depth - 1, heap.epoch());
            self.pour(segment, merged);
            self.pour(buddy, merged);
            let mut slot = *self.dir.root_slot(hash);
            self.dir.set_segment(hash, merged);
            if depth == slot.depth() {
                slot.full -= 2;
                self.dir.set_chunk(hash, slot);
            }
            segment.release(BUCKETS, heap);
            buddy.release(BUCKETS, heap);
            self.segments -= 1;
            self.depths.merged(depth);
            self.tighten(heap, hash);
            true
        }
    }

    unsafe fn pour(&self, from: Segment, into: Segment) {
        let mut elements = Collected::new();
        // SAFETY: `from` lives; `into` is the writer's and has room for both.
        unsafe {
            from.collect(BUCKETS, &mut elements);
            for element in elements.iter() {
                into.place(BUCKETS, E::hash(element, self.seed), element);
            }
        }
    }

    /// Takes out of the directory what a merge has made superfluous.
    unsafe fn tighten(&mut self, heap: &mut Heap, hash: u64) {
        // SAFETY: root and chunk are the writer's; what is replaced is released after.
        unsafe {
            loop {
                let old = *self.dir.root_slot(hash);
                if old.full > 0 || old.size == 0 {
                    break;
                }
                let mut new = RootSlot::new(old.bits, old.size - 1, heap.epoch());
                new.fill(old.segments().iter().copied().step_by(2));
                self.dir.set_chunk(hash, new);
                old.release(heap);
            }
            while self.join_chunks(heap, hash) {}
            let slot = *self.dir.root_slot(hash);
            if self.dir.root_depth == 0 && slot.size == 0 {
                let old = self.dir;
                self.dir = Directory { sole: slot.segments()[0], ..Directory::EMPTY };
                self.dir.buckets = BUCKETS as u8;
                slot.release(heap);
                old.release_root(self.root_birth, heap);
                self.full_chunks = 0;
            }
        }
    }

    /// Joins the chunk of `hash` with its buddy, if both are small.
    unsafe fn join_chunks(&mut self, heap: &mut Heap, hash: u64) -> bool {
        // SAFETY: the root is the writer's; both chunks live until they are released, unlinked by then.
        unsafe {
            let one = *self.dir.root_slot(hash);
            if one.bits == 0 {
                return false;
            }
            let bit = 1u64 << (64 - one.bits as u32);
            let [low, high] = [hash & !bit, hash | bit].map(|hash| *self.dir.root_slot(hash));
            let size = low.size.max(high.size);
            if low.bits != high.bits || size > JOINED_SIZE_MAX {
                return false;
            }
            let mut new = RootSlot::new(one.bits - 1, size + 1, heap.epoch());
            let stretched = |slot: RootSlot| {
                let times = 1 << (size - slot.size);
                slot.segments().iter().flat_map(move |&segment| std::iter::repeat_n(segment, times))
            };
            new.fill(stretched(low).chain(stretched(high)));
            self.dir.set_chunk(hash, new);
            if one.bits == self.dir.root_depth {
                self.full_chunks -= 2;
            }
            low.release(heap);
            high.release(heap);
            while self.full_chunks == 0 && self.dir.root_depth > 0 {
                self.halve_root(heap);
            }
            true
        }
    }

    unsafe fn halve_root(&mut self, heap: &mut Heap) {
        let old = self.dir;
        self.dir.allocate_root(old.root_depth - 1);
        self.full_chunks = 0;
        // SAFETY: the new root has one slot for each two equal ones of the old root, which lives until it is released.
        unsafe {
            for (at, &slot) in old.root_slots().iter().step_by(2).enumerate() {
                self.dir.root.add(at).write(slot);
                self.full_chunks += u32::from(slot.bits == self.dir.root_depth);
            }
            old.release_root(self.root_birth, heap);
        }
        self.root_birth = heap.epoch();
    }
}
