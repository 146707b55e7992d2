//! The node at an end of a list: bytes with room on both sides.
//!
//! ```text
//! | room | the node's bytes | room |        one allocation, no header
//! ```
//!
//! Nearly all writes go to the ends of lists. An element that is put before all others of a listpack makes its header
//! move by a few bytes to the left, into the room there, and nothing else moves: [`EndMut::reshape`] moves whatever is
//! shorter, what lies before the place or what lies behind it.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use super::node::NODE_MAX;
use crate::collections::buffer::Buffer;
use crate::cow::{Defrag, Epoch, Heap, KNOWN_SIZE_MAX, Reclaim, Retired, free_memory};
use crate::util::size_class;

/// A node, or none. Dropping it leaks: the list frees it, or gives it to the heap.
pub(super) struct End {
    data: NonNull<u8>,
    start: u32,
    len: u32,
    capacity: u32,
    birth: Epoch,
}

// SAFETY: the bytes belong to this (together with its forks, that is, with readers).
unsafe impl Send for End {}
// SAFETY: a shared one is only read.
unsafe impl Sync for End {}

/// The least that is allocated, and below which nothing is given back.
const CAPACITY_MIN: usize = 128;

fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(capacity, 1).expect("a node is smaller than 4 GiB")
}

fn allocate(capacity: usize) -> NonNull<u8> {
    let layout = layout(capacity);
    // SAFETY: the size is not zero: see the callers.
    let raw = unsafe { alloc(layout) };
    NonNull::new(raw).unwrap_or_else(|| handle_alloc_error(layout))
}

/// How much is allocated for a node of this size that will grow.
fn roomy(len: usize) -> usize {
    let wanted = if len <= NODE_MAX { (len + len / 4).clamp(CAPACITY_MIN, NODE_MAX) } else { len + len / 8 };
    size_class(wanted)
}

impl End {
    pub const NONE: End = End { data: NonNull::dangling(), start: 0, len: 0, capacity: 0, birth: Epoch::NEVER };

    /// A copy of a node's bytes, with no room beside them.
    pub fn new(now: Epoch, bytes: &[u8]) -> End {
        let capacity = bytes.len().next_multiple_of(8);
        let len = u32::try_from(capacity).map(|_| bytes.len() as u32).expect("a node is smaller than 4 GiB");
        assert!(len > 0, "a node has bytes");
        let data = allocate(capacity);
        // SAFETY: the allocation is new and large enough.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), data.as_ptr(), bytes.len()) };
        End { data, start: 0, len, capacity: capacity as u32, birth: now }
    }

    /// A node in the buffer that it is in, if that has a size that a node may have, else a copy.
    pub fn of(now: Epoch, node: Vec<u8>) -> End {
        let (len, capacity) = (node.len(), node.capacity());
        if len <= NODE_MAX || !capacity.is_multiple_of(8) || u32::try_from(capacity).is_err() {
            return End::new(now, &node);
        }
        let mut node = ManuallyDrop::new(node);
        let data = NonNull::new(node.as_mut_ptr()).expect("a vector's pointer is never null");
        End { data, start: 0, len: len as u32, capacity: capacity as u32, birth: now }
    }

    /// The bytes of a node that left the list, in the buffer that they are in if it is a large one and nobody else reads
    /// it, else a copy.
    pub fn into_vec(self, heap: &mut Heap) -> Vec<u8> {
        let (start, len) = (self.start as usize, self.len as usize);
        if len <= NODE_MAX || heap.is_shared(self.birth) {
            let bytes = self.bytes().to_vec();
            self.release(heap);
            return bytes;
        }
        // SAFETY: allocated as a vector of this capacity allocates, and by rule R this is its only record; what is moved
        // to the front is initialised.
        unsafe {
            ptr::copy(self.data.as_ptr().add(start), self.data.as_ptr(), len);
            Vec::from_raw_parts(self.data.as_ptr(), len, self.memory())
        }
    }

    #[inline]
    pub fn is_none(&self) -> bool {
        self.capacity == 0
    }

    /// The node's bytes; none if there is no node.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes from `start` on are initialised and belong to this.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr().add(self.start as usize), self.len as usize) }
    }

    /// Bytes allocated.
    pub fn memory(&self) -> usize {
        self.capacity as usize
    }

    /// Moves the node to where it lies better.
    pub fn settle(&mut self, defrag: &mut Defrag<'_>) {
        if !self.is_none() {
            // SAFETY: allocated with this layout, and this is the live data's only pointer to it.
            self.data = unsafe { defrag.settle(self.data, layout(self.memory())) };
        }
    }

    /// The same node for a fork of the list.
    pub fn share(&self) -> End {
        End { ..*self }
    }

    /// The node, to be changed: copied first if a snapshot shares it.
    #[inline]
    pub fn own(&mut self, heap: &mut Heap) -> EndMut<'_> {
        if heap.is_shared(self.birth) {
            self.copy(heap);
        }
        EndMut(self)
    }

    #[cold]
    fn copy(&mut self, heap: &mut Heap) {
        let copy = End {
            data: allocate(self.memory()),
            start: self.start,
            len: self.len,
            capacity: self.capacity,
            birth: heap.epoch(),
        };
        // SAFETY: the copy has the same capacity; it is new.
        unsafe {
            let to = copy.data.as_ptr().add(copy.start as usize);
            ptr::copy_nonoverlapping(self.bytes().as_ptr(), to, self.len as usize);
        }
        heap.note_cloned(self.memory());
        std::mem::replace(self, copy).release(heap);
    }

    /// Ends the life of a node that left the list: frees it, or leaves it to the snapshots that read it.
    pub fn release(self, heap: &mut Heap) {
        let bytes = self.memory();
        if bytes == 0 {
            return;
        }
        if bytes <= KNOWN_SIZE_MAX {
            // SAFETY: allocated with this size, a multiple of 8, and alignment; the list's only record of it ends here.
            unsafe { heap.release(Retired { node: self.data, birth: self.birth, bytes, free: free_memory::<1> }) }
        } else if heap.is_shared(self.birth) {
            let birth = self.birth;
            heap.retire_deep(Box::new(RetiredEnd(self)), birth, bytes);
        } else {
            // SAFETY: rule R.
            unsafe { self.free() }
        }
    }

    /// Frees the node.
    ///
    /// # Safety
    /// Nobody else reaches it.
    pub unsafe fn free(self) {
        if !self.is_none() {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(self.data.as_ptr(), layout(self.memory())) }
        }
    }
}

/// A node whose size a deadlist's item cannot hold.
struct RetiredEnd(End);

impl Reclaim for RetiredEnd {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        *budget = budget.saturating_sub(1);
        // SAFETY: asked by the last owner.
        unsafe { std::mem::replace(&mut self.0, End::NONE).free() };
        true
    }
}

/// A node that is the writer's own.
pub(super) struct EndMut<'e>(&'e mut End);

impl EndMut<'_> {
    /// Moves the bytes before `at` to the beginning of the node's new place, and what is behind `behind` to its end.
    fn move_to(&mut self, at: usize, behind: usize, new_len: usize, front: bool, wasteful: bool) {
        let end = &mut *self.0;
        let (len, capacity) = (end.len as usize, end.capacity as usize);
        // With a fifth of it to spare the allocation stays: what is moved now is paid for by what then fits.
        let fits = new_len + new_len / 4 <= capacity || (capacity == NODE_MAX && new_len <= NODE_MAX);
        let stays = fits && !wasteful;
        let new_capacity = if stays { capacity } else { roomy(new_len).max(new_len.next_multiple_of(8)) };
        assert!(u32::try_from(new_capacity).is_ok(), "a node is smaller than 4 GiB");
        let spare = new_capacity - new_len;
        // Most of the room goes to the side that asks for it, some to the other: both sides may grow by turns.
        let other = if new_capacity == NODE_MAX && spare < NODE_MAX / 4 { 0 } else { spare / 4 };
        let start = if front { spare - other } else { other };
        let (tail, tail_to) = (len - behind, start + new_len - (len - behind));
        // SAFETY: both parts fit into the new place, as `spare` was counted. Within the same allocation the part that
        // would be written over is moved first.
        unsafe {
            let from = end.data.as_ptr().add(end.start as usize);
            if stays {
                let to = end.data.as_ptr();
                if start > end.start as usize {
                    ptr::copy(from.add(behind), to.add(tail_to), tail);
                    ptr::copy(from, to.add(start), at);
                } else {
                    ptr::copy(from, to.add(start), at);
                    ptr::copy(from.add(behind), to.add(tail_to), tail);
                }
            } else {
                let new = allocate(new_capacity);
                ptr::copy_nonoverlapping(from, new.as_ptr().add(start), at);
                ptr::copy_nonoverlapping(from.add(behind), new.as_ptr().add(tail_to), tail);
                dealloc(end.data.as_ptr(), layout(capacity));
                end.data = new;
                end.capacity = new_capacity as u32;
            }
        }
        (end.start, end.len) = (start as u32, new_len as u32);
    }
}

impl Buffer for EndMut<'_> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    #[inline]
    fn in_place(&mut self) -> &mut [u8] {
        let end = &mut *self.0;
        // SAFETY: as for `bytes`; the node is the writer's own.
        unsafe { std::slice::from_raw_parts_mut(end.data.as_ptr().add(end.start as usize), end.len as usize) }
    }

    #[inline]
    fn reshape(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8] {
        let (len, behind) = (self.0.len as usize, at + removed);
        assert!(behind <= len, "a range within the node");
        let new_len = len - removed + added;
        let (start, capacity) = (self.0.start as usize, self.0.capacity as usize);
        let front = at < len - behind;
        let has_room = if front { start + removed >= added } else { start + new_len <= capacity };
        let wasteful = new_len < capacity / 2 && capacity > 4 * CAPACITY_MIN;
        if wasteful || !has_room {
            self.move_to(at, behind, new_len, front, wasteful);
        } else {
            // SAFETY: there is room on the side that moves. What is between the parts afterwards was initialised, or
            // is written below.
            unsafe {
                let node = self.0.data.as_ptr().add(start);
                if front {
                    let start = start + removed - added;
                    ptr::copy(node, self.0.data.as_ptr().add(start), at);
                    self.0.start = start as u32;
                } else {
                    ptr::copy(node.add(behind), node.add(at + added), len - behind);
                }
            }
            self.0.len = new_len as u32;
        }
        let end = &mut *self.0;
        // SAFETY: the node has `new_len` bytes, of which those that were added may be uninitialised until here.
        unsafe {
            let node = end.data.as_ptr().add(end.start as usize);
            ptr::write_bytes(node.add(at), 0, added);
            std::slice::from_raw_parts_mut(node, new_len)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splice(end: &mut End, heap: &mut Heap, model: &mut Vec<u8>, (at, removed, added): (usize, usize, usize)) {
        let fill: Vec<u8> = (0..added).map(|n| (n * 7 + at) as u8).collect();
        end.own(heap).reshape(at, removed, added)[at..at + added].copy_from_slice(&fill);
        model.splice(at..at + removed, fill);
        assert_eq!(end.bytes(), model);
        assert!(end.memory().is_multiple_of(8));
    }

    #[test]
    fn bytes_come_and_go_anywhere() {
        let mut heap = Heap::new();
        let mut model = b"begin".to_vec();
        let mut end = End::new(heap.epoch(), &model);
        let mut seed = 1usize;
        let mut next = move |n: usize| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        let rounds = if cfg!(miri) { 300 } else { 5000 };
        for round in 0..rounds {
            let ticket = (round % 50 == 0).then(|| heap.open_snapshot().ticket());
            let at = match round / 7 % 3 {
                0 => 0,
                1 => model.len(),
                _ => next(model.len() + 1),
            };
            let shrinking = round / 500 % 2 == 1;
            let removed = next(if shrinking { 40 } else { 10 }).min(model.len() - at);
            let added = if model.len() > 20_000 { 0 } else { next(if shrinking { 20 } else { 60 }) };
            splice(&mut end, &mut heap, &mut model, (at, removed, added.max(1)));
            drop(ticket);
            heap.reap();
            while heap.reclaim(10) {}
        }
        end.release(&mut heap);
        End::NONE.release(&mut heap);
        assert_eq!(heap.stats(), Default::default());
    }

    #[test]
    fn what_shrinks_gives_its_memory_back() {
        let mut heap = Heap::new();
        let mut model = vec![7; NODE_MAX];
        let mut end = End::new(heap.epoch(), &model);
        while model.len() > 600 {
            let at = if model.len().is_multiple_of(3) { 0 } else { model.len() - 8 };
            splice(&mut end, &mut heap, &mut model, (at, 8, 0));
            assert!(end.memory() <= 2 * model.len(), "{} for {}", end.memory(), model.len());
        }
        while model.len() < 6000 {
            splice(&mut end, &mut heap, &mut model, (6, 0, 12));
        }
        assert!(end.memory() < 6000 + 6000 / 2, "{}", end.memory());
        end.release(&mut heap);
    }

    #[test]
    fn filling_from_one_side_ends_with_a_full_allocation() {
        for front in [true, false] {
            let mut heap = Heap::new();
            let mut model = vec![1; 7];
            let mut end = End::new(heap.epoch(), &model);
            while model.len() + 12 <= NODE_MAX {
                let at = if front { 6 } else { model.len() - 1 };
                splice(&mut end, &mut heap, &mut model, (at, 0, 12));
            }
            assert_eq!(end.memory(), NODE_MAX);
            end.release(&mut heap);
        }
    }
}
