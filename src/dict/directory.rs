//! From a hash to its segment: root -> chunk -> segment, extendible hashing in two levels.
//!
//! ```text
//! Directory | sole segment, or root | root_depth | buckets |
//! root      2^root_depth slots of 16 bytes, indexed by the top bits of the hash
//! RootSlot  | chunk 8 | birth u32 | bits u8 | size u8 | full u16 |
//! chunk     2^size segment pointers (size <= 8: 2 KiB), indexed by the bits after the first `bits`
//! ```
//!
//! A chunk covers the hashes that begin with certain `bits` bits, so 2^(root_depth - bits) neighbouring root slots
//! are the same; a segment of depth d covers 2^(bits + size - d) neighbouring chunk slots. Such a run of equal slots
//! is one edge, always written as a whole. `full` counts the segments that fill one slot alone: when there is none
//! left, the chunk can be halved.
//!
//! Why two levels: with one, the first write after a snapshot at ten million keys would copy 1 MiB; so it copies the
//! 8 KiB root and a 2 KiB chunk. A table of one segment has neither.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

use super::element::Element;
use super::prefetch::prefetch;
use super::segment::{Place, Segment, home};
use super::tags;
use crate::cow::{Defrag, Epoch, Heap, Retired, free_memory};

/// log2 of the slots of the largest chunk.
pub(super) const CHUNK_SIZE_MAX: u8 = 8;

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct RootSlot {
    pub chunk: *mut Segment,
    pub birth: Epoch,
    pub bits: u8,
    pub size: u8,
    pub full: u16,
}

const _: () = assert!(size_of::<RootSlot>() == 16 && size_of::<Segment>() == 8);

/// The shape of a table: plain pointers, copied into snapshots. Everything that follows one is unsafe for the same
/// reason: the nodes must live; and what writes needs them to be the writer's own (rule R).
#[derive(Clone, Copy)]
pub(super) struct Directory {
    /// The segment of a table that has only one; null if there is a root, or nothing at all.
    pub sole: Segment,
    pub root: *mut RootSlot,
    pub root_depth: u8,
    /// Buckets of every segment of this table: `BUCKETS`, or less if there is one segment.
    pub buckets: u8,
}

/// The bits `from..from + count` of a hash as an index, counted from the top.
#[inline(always)]
fn bits_of(hash: u64, from: u8, count: u8) -> usize {
    ((hash << from) >> 1 >> (63 - count)) as usize
}

/// The first hash with the same first `bits` bits.
#[inline(always)]
pub(super) fn prefix(hash: u64, bits: u32) -> u64 {
    hash & !(u64::MAX >> bits)
}

/// The first hash after all those with the same first `bits` bits; none at the end of the hash space.
#[inline(always)]
pub(super) fn after(hash: u64, bits: u32) -> Option<u64> {
    (hash | u64::MAX >> bits).checked_add(1)
}

impl Directory {
    pub const EMPTY: Directory = Directory { sole: Segment::NULL, root: ptr::null_mut(), root_depth: 0, buckets: 1 };

    #[inline(always)]
    pub fn has_root(&self) -> bool {
        !self.root.is_null()
    }

    /// The segment that covers a hash; null if the table has none.
    #[inline(always)]
    pub unsafe fn locate(&self, hash: u64) -> Segment {
        if !self.has_root() {
            return self.sole;
        }
        // SAFETY: the nodes live, and the indexes are below 2^root_depth and 2^size.
        unsafe {
            let slot = self.root_slot(hash);
            *(*slot).chunk.add(bits_of(hash, (*slot).bits, (*slot).size))
        }
    }

    /// The element of a key.
    #[inline(always)]
    pub unsafe fn find<E: Element>(&self, hash: u64, key: &[u8]) -> Option<Place> {
        // SAFETY: the nodes and the elements in them live.
        unsafe {
            let segment = self.locate(hash);
            if segment.is_null() {
                return None;
            }
            segment.find(self.buckets as usize, hash, |element| E::has_key(element, key))
        }
    }

    /// Asks for the line of the bucket that is a key's home.
    #[inline(always)]
    pub unsafe fn prefetch_bucket(&self, hash: u64) {
        // SAFETY: the nodes live.
        let segment = unsafe { self.locate(hash) };
        if !segment.is_null() {
            segment.prefetch_home(hash, self.buckets as usize);
        }
    }

    /// Asks for the lines of the element that has a key's tag.
    #[inline(always)]
    pub unsafe fn prefetch_entry(&self, hash: u64) {
        // SAFETY: the nodes live.
        unsafe {
            let segment = self.locate(hash);
            if segment.is_null() {
                return;
            }
            let bucket = segment.bucket(home(hash, segment.depth(), self.buckets as usize));
            if let Some(slot) = tags::slots_with((*bucket).word, tags::tag_of(hash)).next() {
                let element = (*bucket).slots[slot].cast_const();
                prefetch(element);
                prefetch(element.wrapping_add(63));
            }
        }
    }

    #[inline(always)]
    pub unsafe fn root_slot(&self, hash: u64) -> *mut RootSlot {
        debug_assert!(self.has_root());
        // SAFETY: the root lives, and the index is below 2^root_depth.
        unsafe { self.root.add(bits_of(hash, 0, self.root_depth)) }
    }

    /// Writes a segment into the run of chunk slots (or the sole place) that its depth says.
    pub unsafe fn set_segment(&mut self, hash: u64, segment: Segment) {
        if !self.has_root() {
            self.sole = segment;
            return;
        }
        // SAFETY: the root lives; the chunk lives and is the writer's; the run is inside it.
        unsafe {
            let slot = *self.root_slot(hash);
            let (start, run) = slot.run(hash, segment.depth());
            for at in start..start + run {
                *slot.chunk.add(at) = segment;
            }
        }
    }

    /// Writes a chunk into the run of root slots that its bits say.
    pub unsafe fn set_chunk(&mut self, hash: u64, slot: RootSlot) {
        let run = 1usize << (self.root_depth - slot.bits);
        let start = bits_of(hash, 0, slot.bits) * run;
        // SAFETY: the root lives and is the writer's; the run is inside it.
        unsafe { std::slice::from_raw_parts_mut(self.root.add(start), run).fill(slot) }
    }

    fn root_layout(&self) -> Layout {
        Layout::array::<RootSlot>(1 << self.root_depth).expect("a root is a small part of its table")
    }

    /// The bytes of the root.
    pub fn root_bytes(&self) -> usize {
        if self.has_root() { self.root_layout().size() } else { 0 }
    }

    /// A root of this depth with nothing in it.
    pub fn allocate_root(&mut self, depth: u8) {
        self.root_depth = depth;
        let layout = self.root_layout();
        // SAFETY: the size is not zero.
        let raw = unsafe { alloc(layout) };
        if raw.is_null() {
            handle_alloc_error(layout);
        }
        self.root = raw.cast();
    }

    /// The slots of the root.
    pub unsafe fn root_slots(&self) -> &[RootSlot] {
        // SAFETY: the root lives, initialised.
        unsafe { std::slice::from_raw_parts(self.root, 1 << self.root_depth) }
    }

    /// Ends the life of the root (not of what it points to).
    pub unsafe fn release_root(&self, birth: Epoch, heap: &mut Heap) {
        // SAFETY: the caller has replaced this root.
        unsafe {
            let node = NonNull::new_unchecked(self.root.cast());
            heap.release(Retired {
                node,
                birth,
                bytes: self.root_bytes(),
                free: free_memory::<{ align_of::<RootSlot>() }>,
            });
        }
    }

    /// Moves the root to where it lies better if `hash` is the first of all, and the chunk on the way to `hash` if that
    /// is its first one.
    pub unsafe fn defrag_path(&mut self, defrag: &mut Defrag<'_>, hash: u64) {
        if !self.has_root() {
            return;
        }
        // SAFETY: the nodes live, were allocated with these layouts, and what points to one is written at once.
        unsafe {
            if hash == 0 {
                let root = NonNull::new_unchecked(self.root.cast());
                self.root = defrag.settle(root, self.root_layout()).cast().as_ptr();
            }
            let mut slot = *self.root_slot(hash);
            if prefix(hash, u32::from(slot.bits)) == hash {
                let chunk = NonNull::new_unchecked(slot.chunk.cast());
                slot.chunk = defrag.settle(chunk, RootSlot::layout(slot.size)).cast().as_ptr();
                self.set_chunk(hash, slot);
            }
        }
    }

    /// Frees the root, if there is one.
    pub unsafe fn free_root(&mut self) {
        if self.has_root() {
            // SAFETY: allocated with this layout; the caller is its last owner.
            unsafe { dealloc(self.root.cast(), self.root_layout()) }
            self.root = ptr::null_mut();
        }
    }
}

impl RootSlot {
    fn layout(size: u8) -> Layout {
        // At least 16 bytes: a deadlist knows sizes in steps of 8, and one slot alone hardly occurs.
        Layout::array::<Segment>(1 << size.max(1)).expect("at most 2 KiB")
    }

    /// A chunk with nothing in it.
    pub fn new(bits: u8, size: u8, birth: Epoch) -> RootSlot {
        debug_assert!(size <= CHUNK_SIZE_MAX);
        let layout = RootSlot::layout(size);
        // SAFETY: the size is not zero.
        let raw = unsafe { alloc(layout) };
        if raw.is_null() {
            handle_alloc_error(layout);
        }
        RootSlot { chunk: raw.cast(), birth, bits, size, full: 0 }
    }

    /// The first slot and the number of slots of a segment of this depth.
    #[inline(always)]
    fn run(&self, hash: u64, depth: u32) -> (usize, usize) {
        let inside = depth as u8 - self.bits;
        let run = 1usize << (self.size - inside);
        (bits_of(hash, self.bits, inside) * run, run)
    }

    /// The depth of a segment that fills one slot.
    pub fn depth(&self) -> u32 {
        (self.bits + self.size) as u32
    }

    pub fn bytes(&self) -> usize {
        RootSlot::layout(self.size).size()
    }

    /// The slots of the chunk.
    pub unsafe fn segments<'a>(self) -> &'a [Segment] {
        // SAFETY: the chunk lives, initialised.
        unsafe { std::slice::from_raw_parts(self.chunk, 1 << self.size) }
    }

    /// The slots of a chunk that was just made, to be filled.
    pub unsafe fn fill(&mut self, segments: impl Iterator<Item = Segment>) {
        self.full = 0;
        let depth = self.depth();
        let mut filled = 0;
        for (at, segment) in segments.take(1 << self.size).enumerate() {
            // SAFETY: the chunk is new and has this many slots.
            unsafe { self.chunk.add(at).write(segment) };
            self.full += u16::from(segment.depth() == depth);
            filled += 1;
        }
        debug_assert_eq!(filled, 1 << self.size);
    }

    /// Ends the life of the chunk (not of its segments).
    pub unsafe fn release(self, heap: &mut Heap) {
        // SAFETY: the caller has replaced this chunk.
        unsafe {
            let node = NonNull::new_unchecked(self.chunk.cast());
            heap.release(Retired {
                node,
                birth: self.birth,
                bytes: self.bytes(),
                free: free_memory::<{ align_of::<Segment>() }>,
            });
        }
    }

    /// Frees the chunk.
    pub unsafe fn free(self) {
        // SAFETY: allocated with this layout; the caller is its last owner.
        unsafe { dealloc(self.chunk.cast(), RootSlot::layout(self.size)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_tile_the_hash_space() {
        let hash = 0xabcd_ef01_2345_6789;
        assert_eq!(prefix(hash, 0), 0);
        assert_eq!(prefix(hash, 8), 0xab << 56);
        assert_eq!(after(hash, 8), Some(0xac << 56));
        assert_eq!(after(hash, 0), None);
        assert_eq!(after(u64::MAX, 38), None);
        assert_eq!(bits_of(hash, 0, 0), 0);
        assert_eq!(bits_of(hash, 0, 8), 0xab);
        assert_eq!(bits_of(hash, 8, 4), 0xc);
        assert_eq!(bits_of(hash, 8, 0), 0);
    }
}
