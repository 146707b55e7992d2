//! Emptying a table at once (FLUSHALL, lazy free), and what tables inside values need: forks and their ends.

use std::marker::PhantomData;

use super::directory::{Directory, after};
use super::element::Element;
use super::segment::Collected;
use super::table::Table;
use crate::cow::{Heap, Reclaim, Unshared};

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::{CowValue, Epoch};
    use crate::dict::{Entry, EntryHead, EntryRef, OccupiedSlot, Payload, PayloadRef, Slot};
    use crate::util::hash::HashSeed;

    /// A hash, as the types will have one: a table inside a value.
    struct Nest {
        birth: Epoch,
        fields: Table<Entry<Nest>>,
    }

    impl CowValue for Nest {
        fn birth(&self) -> Epoch {
            self.birth
        }
        fn origin(&self) -> Epoch {
            self.fields.origin().min(self.birth)
        }
        fn fork(&self, heap: &mut Heap) -> Nest {
            Nest { birth: heap.epoch(), fields: self.fields.fork() }
        }
        fn destroy(self, proof: &Unshared) {
            self.fields.destroy(proof);
        }
        fn memory(&self) -> usize {
            self.fields.memory()
        }
    }

    fn put(table: &mut Table<Entry<Nest>>, heap: &mut Heap, n: u32, payload: Payload<'_, Nest>) {
        let key = n.to_le_bytes();
        let (hash, birth) = (table.hash(&key), heap.epoch());
        let head = EntryHead { key: &key, hash, expiry_ms: None, type_id: 0, encoding: 0, clock: 0 };
        match table.entry_mut(heap, hash, &key) {
            Slot::Vacant(slot) => drop(slot.insert(Entry::build(birth, &head, payload))),
            Slot::Occupied(mut slot) => drop(slot.set_payload(0, 0, payload)),
        }
    }

    fn slot<'a>(table: &'a mut Table<Entry<Nest>>, heap: &'a mut Heap, n: u32) -> OccupiedSlot<'a, Entry<Nest>> {
        let key = n.to_le_bytes();
        match table.entry_mut(heap, table_hash(n), &key) {
            Slot::Occupied(slot) => slot,
            Slot::Vacant(_) => panic!("{n} is not there"),
        }
    }

    const SEED: HashSeed = HashSeed::fixed(6);

    fn table_hash(n: u32) -> u64 {
        SEED.hash(&n.to_le_bytes())
    }

    /// The number of fields and the sum of their values.
    fn sum(entry: EntryRef<'_, Nest>) -> (usize, i64) {
        let PayloadRef::Node(nest) = entry.payload() else { panic!("a nest") };
        let mut sum = 0;
        nest.fields.for_each(|field| {
            let PayloadRef::Int(n) = field.payload() else { panic!("an integer") };
            sum += n;
        });
        (nest.fields.len(), sum)
    }

    #[test]
    fn a_table_inside_a_value_is_forked_and_freed() {
        let fields = if cfg!(miri) { 200 } else { 2000 };
        let (mut heap, mut table) = (Heap::new(), Table::new(SEED));
        for n in 0..2 {
            let nest = Nest { birth: heap.epoch(), fields: Table::new(SEED) };
            put(&mut table, &mut heap, n, Payload::Node(Box::new(nest)));
            let mut slot = slot(&mut table, &mut heap, n);
            let (nest, heap) = slot.node_and_heap().expect("a nest");
            (0..fields).for_each(|n| put(&mut nest.fields, heap, n, Payload::Int(1)));
        }
        let before = (fields as usize, fields as i64);
        let mut snapshots = vec![];
        for round in 0..3 {
            let opening = heap.open_snapshot();
            snapshots.push((table.view(&opening), opening.ticket()));
            let mut slot = slot(&mut table, &mut heap, 0);
            let (nest, heap) = slot.node_and_heap().expect("a nest");
            (0..fields).for_each(|n| put(&mut nest.fields, heap, n, Payload::Int(round + 2)));
            put(&mut nest.fields, heap, fields + round as u32, Payload::Int(0));
            nest.fields.check_invariants();
        }
        drop(slot(&mut table, &mut heap, 0).remove());
        drop(slot(&mut table, &mut heap, 1).remove());
        for (round, (view, ticket)) in snapshots.into_iter().enumerate() {
            let mut sums: Vec<_> = view.iter().map(sum).collect();
            sums.sort();
            let mut expected = [before, (fields as usize + round, (round as i64 + 1) * fields as i64)];
            expected.sort();
            assert_eq!(sums, expected, "round {round}");
            drop((view, ticket));
            heap.reap();
            while heap.reclaim(7) {}
        }
        assert_eq!(heap.stats().retired_nodes, 0);
        assert!(table.is_empty());
    }

    #[test]
    fn an_empty_table_inside_a_value_is_no_trouble() {
        let (mut heap, mut table) = (Heap::new(), Table::new(SEED));
        for live in [false, true] {
            let ticket = live.then(|| heap.open_snapshot().ticket());
            let nest = Nest { birth: heap.epoch(), fields: Table::new(SEED) };
            put(&mut table, &mut heap, 1, Payload::Node(Box::new(nest)));
            assert!(slot(&mut table, &mut heap, 1).remove().is_some(), "nothing of it is shared");
            drop(ticket);
            heap.reap();
        }
        assert!(table.take_all(&mut heap).is_some());
    }
}
