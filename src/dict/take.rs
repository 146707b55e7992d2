//! Emptying a table at once (FLUSHALL, lazy free), and what tables inside values need: forks and their ends.

use std::marker::PhantomData;

use super::directory::{Directory, after};
use super::element::Element;
use super::segment::Collected;
use super::table::Table;
use crate::cow::{Epoch, Heap, Reclaim, Unshared};

/// What a table held, now owned by whoever has this. Dropping it frees everything: slow if large, on any thread.
pub struct TakenTable<E: Element> {
    dir: Directory,
    len: usize,
    /// The first hash that has not been freed; none when all is.
    position: Option<u64>,
    elements: PhantomData<E>,
}

// SAFETY: the nodes belong to this value alone, and the elements are Send.
unsafe impl<E: Element> Send for TakenTable<E> {}
// SAFETY: nothing can be done through a shared reference but asking for the length.
unsafe impl<E: Element> Sync for TakenTable<E> {}

impl<E: Element> Table<E> {
    /// Empties the table, in no time. What it held comes back, to be dropped here or on another thread; unless a
    /// snapshot still reads some of it: then it went to the heap's deadlist as one item.
    pub fn take_all(&mut self, heap: &mut Heap) -> Option<TakenTable<E>> {
        let (oldest, bytes) = (self.origin, self.memory() + self.len * 64);
        let taken = self.take();
        if taken.position.is_some() && heap.is_shared(oldest) {
            heap.retire_deep(Box::new(taken), oldest, bytes);
            return None;
        }
        Some(taken)
    }

    fn take(&mut self) -> TakenTable<E> {
        let old = std::mem::replace(self, Table::new(self.seed));
        let position = (old.segments > 0).then_some(0);
        TakenTable { dir: old.dir, len: old.len, position, elements: PhantomData }
    }

    /// The table of a forked value: shares all nodes, each to be copied before it is changed. Only as safe as the
    /// caller keeps to [`CowValue`](crate::cow::CowValue): the older one is dropped as a shell, that is, forgotten.
    pub fn fork(&self) -> Table<E> {
        Table {
            dir: self.dir,
            len: self.len,
            segments: self.segments,
            full_chunks: self.full_chunks,
            root_birth: self.root_birth,
            origin: self.origin,
            depths: self.depths.clone(),
            seed: self.seed,
            elements: PhantomData,
        }
    }

    /// Frees everything, for a value that is destroyed.
    pub fn destroy(mut self, _proof: &Unshared) {
        drop(self.take());
    }

    /// The oldest node that the table owns; for [`CowValue::origin`](crate::cow::CowValue::origin).
    pub fn oldest(&self) -> Epoch {
        self.origin
    }
}

impl<E: Element> TakenTable<E> {
    /// Elements that have not been freed yet.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is left to free.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Frees about `max_items` elements; true if some are left.
    pub fn free_some(&mut self, max_items: usize) -> bool {
        let mut budget = max_items;
        !Reclaim::free_some(self, &mut budget)
    }

    /// Frees the segment at `hash` with its elements, and its chunk if it is the last one of that.
    fn free_segment(&mut self, hash: u64) -> usize {
        let (buckets, mut elements) = (self.dir.buckets as usize, Collected::new());
        let mut freed = 1;
        // SAFETY: this value is the last owner; what comes before `position` is gone, this is not.
        unsafe {
            let segment = self.dir.locate(hash);
            self.position = after(hash, segment.depth());
            let mut link = segment;
            while !link.is_null() {
                link.collect(buckets, &mut elements);
                for element in elements.iter() {
                    drop(E::from_raw(element));
                }
                freed += elements.len();
                self.len -= elements.len();
                let next = link.next();
                link.free(buckets);
                link = next;
            }
            if self.dir.has_root() {
                let slot = *self.dir.root_slot(hash);
                if after(hash, slot.bits as u32) == self.position {
                    slot.free();
                }
            }
        }
        freed
    }
}

impl<E: Element> Reclaim for TakenTable<E> {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        while let Some(hash) = self.position {
            if *budget == 0 {
                return false;
            }
            let freed = self.free_segment(hash);
            *budget = budget.saturating_sub(freed);
        }
        // SAFETY: nothing below the root is left.
        unsafe { self.dir.free_root() };
        true
    }
}

impl<E: Element> Drop for TakenTable<E> {
    fn drop(&mut self) {
        let done = Reclaim::free_some(self, &mut { usize::MAX });
        debug_assert!(done || self.len > 0);
    }
}
