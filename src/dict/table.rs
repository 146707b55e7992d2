//! The table: lookups, the path to what may be written, and the counts.
//!
//! A lookup costs two cache misses: the bucket's line, and the element. The root and the chunks are small enough to
//! stay in the caches (1/60 and 1/3000 of the segments), and the segment's header is not read.
//!
//! Before anything below is written, `own_path` makes the root and the chunk the writer's own, and `own_segment` the
//! segment: while no snapshot lives that is one comparison.

use std::marker::PhantomData;

use super::directory::{Directory, RootSlot};
use super::element::Element;
use super::segment::{BUCKETS, Place, Segment};
use super::slot::{OccupiedSlot, Slot, VacantSlot};
use super::tags;
use crate::cow::{Epoch, Heap};
use crate::util::hash::HashSeed;

/// No segment is deeper: 48 bits place an element, and ten of them must remain for its bucket.
pub(super) const DEPTH_MAX: u32 = 38;

/// A hash table whose nodes are copied on write.
///
/// Positions come from the caller's hash, which must be that of [`Table::hash`]: callers hash a key once per command.
///
/// Dropping a table that has elements leaks them, because a snapshot might be reading them: empty it with
/// [`Table::take_all`] first, or [`Table::destroy`](Table::destroy) it.
pub struct Table<E: Element> {
    pub(super) dir: Directory,
    pub(super) len: usize,
    pub(super) segments: usize,
    /// Chunks whose `bits` is the root's depth: when there is none, the root can be halved.
    pub(super) full_chunks: u32,
    pub(super) root_birth: Epoch,
    /// Nothing in the table is older.
    pub(super) origin: Epoch,
    pub(super) depths: Depths,
    pub(super) seed: HashSeed,
    pub(super) elements: PhantomData<E>,
}

// SAFETY: a table owns its elements, which are Send; its pointers are used through &self for reading alone.
unsafe impl<E: Element> Send for Table<E> {}
// SAFETY: reading through &self from several threads touches nothing but what elements allow (they are Sync).
unsafe impl<E: Element> Sync for Table<E> {}

/// How many segments have each depth; boxed, because small tables (inside values) have one segment.
#[derive(Clone, Default)]
pub(super) struct Depths {
    counts: Option<Box<[u32; DEPTH_MAX as usize + 1]>>,
    max: u32,
}

impl Depths {
    /// The depth of the deepest segment.
    #[inline(always)]
    pub fn max(&self) -> u32 {
        self.max
    }

    /// One segment of `depth` became two of `depth + 1`.
    pub fn split(&mut self, depth: u32) {
        let counts = self.counts.get_or_insert_with(|| {
            let mut counts = Box::new([0; DEPTH_MAX as usize + 1]);
            counts[0] = 1;
            counts
        });
        counts[depth as usize] -= 1;
        counts[depth as usize + 1] += 2;
        self.max = self.max.max(depth + 1);
    }

    /// Two segments of `depth` became one of `depth - 1`.
    pub fn merged(&mut self, depth: u32) {
        let counts = self.counts.as_mut().expect("segments that merge were split");
        counts[depth as usize] -= 2;
        counts[depth as usize - 1] += 1;
        while counts[self.max as usize] == 0 {
            self.max -= 1;
        }
        if self.max == 0 {
            self.counts = None;
        }
    }

    pub fn memory(&self) -> usize {
        self.counts.as_ref().map_or(0, |counts| size_of_val(&**counts))
    }
}

/// What a table is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// Elements.
    pub entries: usize,
    /// Elements that would fit (without overflow links).
    pub slots: usize,
    /// Segments of up to 2 KiB.
    pub segments: usize,
    /// Hash bits that the deepest segment has consumed.
    pub depth: u32,
    /// Bytes of the directory and the segments, without the elements.
    pub bytes: usize,
}

impl<E: Element> Table<E> {
    /// An empty table. Allocates nothing.
    pub fn new(seed: HashSeed) -> Table<E> {
        Table {
            dir: Directory::EMPTY,
            len: 0,
            segments: 0,
            full_chunks: 0,
            root_birth: Epoch(0),
            origin: Epoch::NEVER,
            depths: Depths::default(),
            seed,
            elements: PhantomData,
        }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The seed of the table's hashes.
    #[inline]
    pub fn seed(&self) -> HashSeed {
        self.seed
    }

    /// The hash of a key, for all the methods that want one.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.seed.hash(key)
    }

    #[inline(always)]
    pub(super) fn buckets(&self) -> usize {
        self.dir.buckets as usize
    }

    #[inline(always)]
    pub(super) fn locate(&self, hash: u64) -> Segment {
        // SAFETY: the nodes of a table live as long as it does.
        unsafe { self.dir.locate(hash) }
    }

    #[inline(always)]
    fn place_in(&self, segment: Segment, hash: u64, key: &[u8]) -> Option<Place> {
        // SAFETY: the segment lives, and so do the elements in it.
        unsafe { segment.find(self.buckets(), hash, |element| E::has_key(element, key)) }
    }

    /// The element of a key.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<E::Ref<'_>> {
        // SAFETY: the nodes live as long as the table, and the element as long as self is borrowed.
        unsafe { self.dir.find::<E>(hash, key).map(|place| E::view(place.element())) }
    }

    /// The place of a key, to be changed or filled.
    #[inline]
    pub fn entry_mut<'a>(&'a mut self, heap: &'a mut Heap, hash: u64, key: &[u8]) -> Slot<'a, E> {
        let segment = self.locate(hash);
        if segment.is_null() {
            return Slot::Vacant(VacantSlot::new(self, heap, hash));
        }
        segment.prefetch_header(); // an insertion or a removal will want the count
        match self.place_in(segment, hash, key) {
            Some(place) => Slot::Occupied(OccupiedSlot::new(self, heap, hash, place)),
            None => Slot::Vacant(VacantSlot::new(self, heap, hash)),
        }
    }

    /// Batch prefetch, stage 1: asks for the line of the key's home bucket.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        // SAFETY: the nodes of a table live as long as it does.
        unsafe { self.dir.prefetch_bucket(hash) }
    }

    /// As [`Table::prefetch_bucket`], for a key that is not in the table and will be put in.
    #[inline]
    pub fn prefetch_place(&self, hash: u64) {
        let segment = self.locate(hash);
        if !segment.is_null() {
            segment.prefetch_header();
            segment.prefetch_home(hash, self.buckets());
        }
    }

    /// Batch prefetch, stage 2, when stage 1 has arrived: asks for the lines of the element that has the key's tag.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) {
        // SAFETY: the nodes of a table live as long as it does.
        unsafe { self.dir.prefetch_entry(hash) }
    }

    /// The element that is likely the key's, by its tag alone.
    #[inline]
    pub fn likely(&self, hash: u64) -> Option<E::Ref<'_>> {
        let segment = self.locate(hash);
        if segment.is_null() {
            return None;
        }
        // SAFETY: the segment lives, and the element as long as self is borrowed.
        unsafe {
            let bucket = segment.bucket(super::segment::home(hash, segment.depth(), self.buckets()));
            let slot = tags::slots_with((*bucket).word, tags::tag_of(hash)).next()?;
            std::ptr::NonNull::new((*bucket).slots[slot]).map(|element| E::view(element))
        }
    }

    /// What the table is made of.
    pub fn stats(&self) -> TableStats {
        TableStats {
            entries: self.len,
            slots: self.segments * self.buckets() * tags::SLOTS,
            segments: self.segments,
            depth: self.depths.max(),
            bytes: self.memory(),
        }
    }

    /// Bytes of the directory and the segments (an estimate for chunks: each segment has one slot at least).
    pub fn memory(&self) -> usize {
        let chunks = if self.dir.has_root() { self.segments.max(2) * size_of::<Segment>() } else { 0 };
        self.segments * (self.buckets() + 1) * super::segment::LINE
            + chunks
            + self.dir.root_bytes()
            + self.depths.memory()
    }

    /// Nothing that the table owns is older than this; for [`CowValue::origin`](crate::cow::CowValue::origin).
    pub fn origin(&self) -> Epoch {
        self.origin
    }

    /// Remembers that something older than the table came in: a value that was moved here.
    #[inline(always)]
    pub(super) fn note_age(&mut self, heap: &Heap, oldest: Epoch) {
        // While no snapshot lives, all future ones are younger than anything here, and the origin may stay.
        if heap.has_snapshot() {
            self.origin = self.origin.min(oldest);
        }
    }

    /// Makes the root and the chunk on the way to `hash` the writer's own.
    #[inline(always)]
    pub(super) fn own_path(&mut self, heap: &mut Heap, hash: u64) {
        if heap.has_snapshot() && self.dir.has_root() {
            self.own_path_slow(heap, hash);
        }
    }

    #[cold]
    #[inline(never)]
    fn own_path_slow(&mut self, heap: &mut Heap, hash: u64) {
        // SAFETY: the nodes live; each is replaced before it is released, and its parent is the writer's by then.
        unsafe {
            if heap.is_shared(self.root_birth) {
                let old = self.dir;
                self.dir.allocate_root(old.root_depth);
                std::ptr::copy_nonoverlapping(old.root, self.dir.root, 1 << old.root_depth);
                old.release_root(self.root_birth, heap);
                self.root_birth = heap.epoch();
                heap.note_cloned(self.dir.root_bytes());
            }
            let old = *self.dir.root_slot(hash);
            if heap.is_shared(old.birth) {
                let mut new = RootSlot::new(old.bits, old.size, heap.epoch());
                new.fill(old.segments().iter().copied());
                self.dir.set_chunk(hash, new);
                heap.note_cloned(old.bytes());
                old.release(heap);
            }
        }
    }

    /// Makes the segment the writer's own, when the path to it is; says whether it is another one now.
    #[inline(always)]
    pub(super) fn own_segment(&mut self, heap: &mut Heap, hash: u64) -> bool {
        heap.has_snapshot() && self.own_segment_slow(heap, hash)
    }

    #[cold]
    #[inline(never)]
    fn own_segment_slow(&mut self, heap: &mut Heap, hash: u64) -> bool {
        let old = self.locate(hash);
        let buckets = self.buckets();
        // SAFETY: the segment lives; it is replaced before it is released.
        unsafe {
            if !heap.is_shared(old.birth()) {
                return false;
            }
            let new = old.copy(buckets, heap.epoch());
            self.dir.set_segment(hash, new);
            heap.note_cloned((buckets + 1) * super::segment::LINE);
            old.release(buckets, heap);
            true
        }
    }

    /// Puts an element in whose key is not in the table.
    #[inline]
    pub(super) fn insert_new(&mut self, heap: &mut Heap, hash: u64, element: std::ptr::NonNull<u8>) -> Place {
        if self.segments == 0 {
            self.begin(heap);
        }
        self.own_path(heap, hash);
        // SAFETY: the path is the writer's; `make_room` keeps it so. The segment is made so before it is written.
        unsafe {
            let mut segment = self.locate(hash);
            let max = super::segment::max_count(self.buckets());
            if segment.count() >= max {
                return self.insert_into_full(heap, hash, element);
            }
            if self.own_segment(heap, hash) {
                segment = self.locate(hash);
            }
            self.len += 1;
            segment.place(self.buckets(), hash, element)
        }
    }

    #[cold]
    #[inline(never)]
    fn insert_into_full(&mut self, heap: &mut Heap, hash: u64, element: std::ptr::NonNull<u8>) -> Place {
        self.make_room(heap, hash);
        self.own_segment(heap, hash);
        let mut segment = self.locate(hash);
        let buckets = self.buckets();
        // SAFETY: the path and the segment are the writer's.
        unsafe {
            if segment.count() >= buckets * tags::SLOTS {
                segment = segment.roomy_link(buckets, heap.epoch());
            }
            self.len += 1;
            segment.place(buckets, hash, element)
        }
    }

    /// The first segment of an empty table.
    #[cold]
    fn begin(&mut self, heap: &Heap) {
        debug_assert!(self.len == 0 && !self.dir.has_root());
        self.dir = Directory { buckets: 1, ..Directory::EMPTY };
        self.dir.sole = Segment::new(1, 0, heap.epoch());
        self.segments = 1;
        self.origin = heap.epoch();
    }

    /// Takes an element out of its place; its fate is the caller's business.
    #[inline]
    pub(super) fn erase(&mut self, heap: &mut Heap, hash: u64, place: Place) {
        let buckets = self.buckets();
        let segment = self.locate(hash);
        // SAFETY: the slot has made path and segment the writer's.
        unsafe {
            segment.erase(buckets, hash, place);
            self.len -= 1;
            if segment.count() < buckets * tags::SLOTS / 4 {
                self.shrink(heap, hash);
            }
        }
    }

    pub(super) fn is_full_size(&self) -> bool {
        self.buckets() == BUCKETS
    }
}

impl<E: Element> std::fmt::Debug for Table<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.stats().fmt(f)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cow::CowValue;
    use crate::dict::{Entry, EntryHead, Payload};

    /// Tables here hold bytes only.
    pub struct Never(std::convert::Infallible);

    impl CowValue for Never {
        fn birth(&self) -> Epoch {
            match self.0 {}
        }
        fn fork(&self, _: &mut Heap) -> Never {
            match self.0 {}
        }
        fn memory(&self) -> usize {
            match self.0 {}
        }
    }

    pub fn put(table: &mut Table<Entry<Never>>, heap: &mut Heap, n: u32, value: &[u8]) {
        let key = format!("key:{n}").into_bytes();
        let (hash, birth) = (table.hash(&key), heap.epoch());
        let head = EntryHead { key: &key, hash, expiry_ms: None, type_id: 0, encoding: 0, clock: 0 };
        match table.entry_mut(heap, hash, &key) {
            Slot::Vacant(slot) => drop(slot.insert(Entry::build(birth, &head, Payload::Bytes(value)))),
            Slot::Occupied(mut slot) => drop(slot.replace(Entry::build(birth, &head, Payload::Bytes(value)))),
        }
    }

    fn take(table: &mut Table<Entry<Never>>, heap: &mut Heap, n: u32) -> bool {
        let key = format!("key:{n}").into_bytes();
        let hash = table.hash(&key);
        match table.entry_mut(heap, hash, &key) {
            Slot::Vacant(_) => false,
            Slot::Occupied(slot) => {
                drop(slot.remove());
                true
            }
        }
    }

    #[test]
    fn grows_and_shrinks() {
        // Small enough for Miri: two levels of splits, then back to nothing.
        let (mut heap, mut table) = (Heap::new(), Table::new(HashSeed::fixed(2)));
        let all = if cfg!(miri) { 450 } else { 20_000 };
        for n in 0..all {
            put(&mut table, &mut heap, n, b"v");
        }
        table.check_invariants();
        assert!(table.stats().depth >= 2);
        for n in 0..all {
            let key = format!("key:{n}").into_bytes();
            let hash = table.hash(&key);
            table.prefetch_bucket(hash);
            table.prefetch_entry(hash);
            assert_eq!(table.find(hash, &key).and_then(|entry| entry.bytes()), Some(&b"v"[..]));
        }
        for n in 0..all {
            assert!(take(&mut table, &mut heap, n));
            assert!(!take(&mut table, &mut heap, n));
        }
        assert_eq!((table.len(), table.memory()), (0, 0));
    }

    #[test]
    fn the_writer_and_the_reader_of_a_snapshot_do_not_meet() {
        // For Miri's and TSan's eyes: the reader iterates while the writer splits, overwrites and deletes.
        let (mut heap, mut table) = (Heap::new(), Table::new(HashSeed::fixed(3)));
        let rounds = if cfg!(miri) { 3 } else { 20 };
        for n in 0..250 {
            put(&mut table, &mut heap, n, b"old");
        }
        for round in 0..rounds {
            let opening = heap.open_snapshot();
            let view = table.view(&opening);
            let ticket = opening.ticket();
            let expected = table.len();
            let reader = std::thread::spawn(move || {
                let bytes: usize = view.iter().map(|entry| entry.bytes().expect("bytes").len()).sum();
                let count = view.iter().count();
                drop((view, ticket));
                (count, bytes)
            });
            let mut done = 0;
            while heap.has_snapshot() || done < 60 {
                put(&mut table, &mut heap, done % 300, b"new");
                take(&mut table, &mut heap, (done * 7 + round) % 300);
                let key = format!("key:{}", done % 250).into_bytes();
                if let Some(entry) = table.find(table.hash(&key), &key) {
                    entry.touch(done & 0xff_ffff);
                }
                done += 1;
                heap.reap();
            }
            assert_eq!(reader.join().expect("no panic"), (expected, expected * 3));
            while heap.reclaim(50) {}
            table.check_invariants();
        }
        assert_eq!(heap.stats().retired_nodes, 0);
        drop(table.take_all(&mut heap));
    }

    #[test]
    fn copying_is_counted_and_bounded() {
        let (mut heap, mut table) = (Heap::new(), Table::new(HashSeed::fixed(4)));
        let all = if cfg!(miri) { 400 } else { 3000 };
        (0..all).for_each(|n| put(&mut table, &mut heap, n, b"v"));
        let opening = heap.open_snapshot();
        let view = table.view(&opening);
        let ticket = opening.ticket();
        put(&mut table, &mut heap, 0, b"w");
        let once = heap.stats().cloned_bytes;
        assert!((2048..2048 + 2048 + 64).contains(&once), "a segment, a chunk and the root: {once}");
        put(&mut table, &mut heap, 0, b"x");
        assert_eq!(heap.stats().cloned_bytes, once, "the second write finds everything its own");
        drop((view, ticket));
        heap.reap();
        assert_eq!(heap.stats().cloned_bytes, 0);
        while heap.reclaim(1) {}
        let mut taken = table.take_all(&mut heap).expect("nothing is shared any more");
        let mut slices = 0;
        while taken.free_some(1) {
            slices += 1;
        }
        assert!(slices > 1 && taken.is_empty());
    }
}
