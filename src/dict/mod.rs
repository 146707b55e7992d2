//! The dict (signatures; the real thing follows).
#![allow(unsafe_code)] // one of the four rooms where `unsafe` may live
#![allow(unused_variables, dead_code)]

use crate::cow::{Blob, CowValue, Epoch, Heap, Opening};
use crate::util::hash::HashSeed;
use crate::util::rng::Rng;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// What a table holds: one heap object with a key and a birth. An `E` owns its object; dropping it frees everything.
///
/// # Safety
/// (see the real file)
pub unsafe trait Element: Sized + Send + Sync + 'static {
    type Ref<'a>: Copy;
    fn into_raw(self) -> NonNull<u8>;
    unsafe fn from_raw(raw: NonNull<u8>) -> Self;
    unsafe fn view<'a>(raw: NonNull<u8>) -> Self::Ref<'a>;
}

/// The hash table. Positions come from the caller's hash (`table.hash(key)` or the same `HashSeed`).
pub struct Table<E: Element> {
    _p: PhantomData<E>,
}
pub struct TableStats {
    pub entries: usize,
    pub segments: usize,
    pub depth: u32,
    pub bytes: usize,
}

impl<E: Element> Table<E> {
    /// Allocates nothing.
    pub fn new(seed: HashSeed) -> Table<E> {
        unimplemented!()
    }
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }
    pub fn seed(&self) -> HashSeed {
        unimplemented!()
    }
    pub fn hash(&self, key: &[u8]) -> u64 {
        unimplemented!()
    }
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<E::Ref<'_>> {
        unimplemented!()
    }
    pub fn entry_mut<'a>(&'a mut self, heap: &'a mut Heap, hash: u64, key: &[u8]) -> Slot<'a, E> {
        unimplemented!()
    }
    /// Batch prefetch, stage 1: the bucket's line. Stage 2, some dozens of ns later: the candidate's line.
    pub fn prefetch_bucket(&self, hash: u64) {
        unimplemented!()
    }
    pub fn prefetch_entry(&self, hash: u64) {
        unimplemented!()
    }
    /// SCAN: emits about `count` elements from `cursor` on in hash order; returns the next cursor, 0 at the end (48 bits).
    pub fn scan(&self, cursor: u64, count: usize, f: impl FnMut(E::Ref<'_>)) -> u64 {
        unimplemented!()
    }
    /// Exactly uniform.
    pub fn random(&self, rng: &mut Rng) -> Option<E::Ref<'_>> {
        unimplemented!()
    }
    /// Up to `n` elements that lie together (one cache miss each), from a random place: for eviction. Returns how many.
    pub fn sample(&self, rng: &mut Rng, n: usize, f: impl FnMut(E::Ref<'_>)) -> usize {
        unimplemented!()
    }
    pub fn for_each(&self, f: impl FnMut(E::Ref<'_>)) {
        unimplemented!()
    }
    /// Every element whose hash starts with these 32 bits.
    pub fn with_hash_prefix(&self, prefix: u32, f: impl FnMut(E::Ref<'_>)) {
        unimplemented!()
    }
    /// The first element with that hash prefix that `wanted` accepts, as a slot.
    pub fn occupied_by_prefix<'a>(
        &'a mut self,
        heap: &'a mut Heap,
        prefix: u32,
        wanted: impl FnMut(E::Ref<'_>) -> bool,
    ) -> Option<OccupiedSlot<'a, E>> {
        unimplemented!()
    }
    /// The table as it is now, for another thread.
    pub fn view(&self, opening: &Opening<'_>) -> SnapshotView<E> {
        unimplemented!()
    }
    /// FLUSHALL: leaves an empty table. The old content comes back, to be dropped here or on another thread; or nothing,
    /// when a snapshot still reads it (then it went to the heap as one item). O(1).
    pub fn take_all(&mut self, heap: &mut Heap) -> Option<TakenTable<E>> {
        unimplemented!()
    }
    pub fn stats(&self) -> TableStats {
        unimplemented!()
    }
    pub fn check_invariants(&self) {
        unimplemented!()
    }
}

/// The content of a table that was emptied. Send; drop frees it all (slow: not on the main thread if large).
pub struct TakenTable<E: Element> {
    _p: PhantomData<E>,
}
impl<E: Element> TakenTable<E> {
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// Frees about `max_items` elements; true if some are left.
    pub fn free_some(&mut self, max_items: usize) -> bool {
        unimplemented!()
    }
}

/// Reads a table as it was when the snapshot was opened. Send; keeps the snapshot alive.
pub struct SnapshotView<E: Element> {
    _p: PhantomData<E>,
}
impl<E: Element> SnapshotView<E> {
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }
    /// In hash order, with prefetch. The iterator knows how many are left.
    pub fn iter(&self) -> ViewIter<'_, E> {
        unimplemented!()
    }
}
pub struct ViewIter<'a, E: Element> {
    _p: PhantomData<&'a E>,
}
impl<'a, E: Element> Iterator for ViewIter<'a, E> {
    type Item = E::Ref<'a>;
    fn next(&mut self) -> Option<Self::Item> {
        unimplemented!()
    }
}

pub enum Slot<'a, E: Element> {
    Occupied(OccupiedSlot<'a, E>),
    Vacant(VacantSlot<'a, E>),
}
pub struct OccupiedSlot<'a, E: Element> {
    _p: PhantomData<&'a mut E>,
}
pub struct VacantSlot<'a, E: Element> {
    _p: PhantomData<&'a mut E>,
}
impl<'a, E: Element> VacantSlot<'a, E> {
    pub fn heap(&self) -> &Heap {
        unimplemented!()
    }
    /// The element must have the key and the hash that were looked up.
    pub fn insert(self, element: E) -> OccupiedSlot<'a, E> {
        unimplemented!()
    }
}
impl<'a, E: Element> OccupiedSlot<'a, E> {
    pub fn heap(&self) -> &Heap {
        unimplemented!()
    }
    pub fn get(&self) -> E::Ref<'_> {
        unimplemented!()
    }
    pub fn into_ref(self) -> E::Ref<'a> {
        unimplemented!()
    }
    /// Puts another element with the same key. The old one comes back to be dropped (here or elsewhere), unless a snapshot needs it.
    pub fn replace(&mut self, element: E) -> Option<E> {
        unimplemented!()
    }
    /// The element comes back to be dropped (here or elsewhere), unless a snapshot needs it.
    pub fn remove(self) -> Option<E> {
        unimplemented!()
    }
}

// ---- the keyspace's element

/// A key, its expiry and its value in one allocation.
pub struct Entry<V: CowValue> {
    _p: PhantomData<V>,
}
/// The names of a new entry.
#[derive(Clone, Copy, Debug)]
pub struct EntryHead<'a> {
    pub key: &'a [u8],
    /// `table.hash(key)`
    pub hash: u64,
    pub expiry_ms: Option<i64>,
    /// 4 bits each.
    pub type_id: u8,
    pub encoding: u8,
    /// 24 bits: access clock (LRU seconds or LFU counter).
    pub clock: u32,
}
/// What to store.
pub enum Payload<'a, V: CowValue> {
    /// A string, inside the entry if that stays small, else in a blob.
    Bytes(&'a [u8]),
    Int(i64),
    Blob(Blob),
    Node(Box<V>),
    /// What `take_payload` took from another entry (RENAME).
    Moved(MovedPayload<V>),
}
/// A payload on its way from one key to another. Must reach another entry: a snapshot may share it, so dropping it leaks.
pub struct MovedPayload<V: CowValue> {
    _p: PhantomData<V>,
}
/// A replaced value that nobody shares: drop it here, or on another thread if `free_effort` is large.
pub enum Leftover<V: CowValue> {
    Blob(Blob),
    Node(Box<V>),
}
impl<V: CowValue> Leftover<V> {
    pub fn free_effort(&self) -> usize {
        unimplemented!()
    }
}

#[derive(Clone, Copy)]
pub enum PayloadRef<'a, V> {
    Inline(&'a [u8]),
    Int(i64),
    Blob(&'a [u8]),
    Node(&'a V),
}

impl<V: CowValue> Entry<V> {
    pub fn build(birth: Epoch, head: &EntryHead<'_>, payload: Payload<'_, V>) -> Entry<V> {
        unimplemented!()
    }
    pub fn as_ref(&self) -> EntryRef<'_, V> {
        unimplemented!()
    }
    pub fn free_effort(&self) -> usize {
        unimplemented!()
    }
}
unsafe impl<V: CowValue> Element for Entry<V> {
    type Ref<'a> = EntryRef<'a, V>;
    fn into_raw(self) -> NonNull<u8> {
        unimplemented!()
    }
    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        unimplemented!()
    }
    unsafe fn view<'a>(raw: NonNull<u8>) -> Self::Ref<'a> {
        unimplemented!()
    }
}

pub struct EntryRef<'a, V> {
    _p: PhantomData<&'a V>,
}
impl<V> Clone for EntryRef<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<V> Copy for EntryRef<'_, V> {}
impl<'a, V: CowValue> EntryRef<'a, V> {
    pub fn key(self) -> &'a [u8] {
        unimplemented!()
    }
    pub fn expiry_ms(self) -> Option<i64> {
        unimplemented!()
    }
    pub fn type_id(self) -> u8 {
        unimplemented!()
    }
    pub fn encoding(self) -> u8 {
        unimplemented!()
    }
    pub fn clock(self) -> u32 {
        unimplemented!()
    }
    /// Works on shared entries too: the one word that both threads may touch.
    pub fn touch(self, clock: u32) {
        unimplemented!()
    }
    pub fn payload(self) -> PayloadRef<'a, V> {
        unimplemented!()
    }
    /// Inline or Blob bytes.
    pub fn bytes(self) -> Option<&'a [u8]> {
        unimplemented!()
    }
    /// All bytes: entry, blob, node.
    pub fn memory(self) -> usize {
        unimplemented!()
    }
}

impl<'a, V: CowValue> OccupiedSlot<'a, Entry<V>> {
    pub fn key(&self) -> &[u8] {
        unimplemented!()
    }
    /// Replaces the value; keeps key, expiry and clock.
    pub fn set_payload(&mut self, type_id: u8, encoding: u8, payload: Payload<'_, V>) -> Option<Leftover<V>> {
        unimplemented!()
    }
    /// Replaces value and expiry at once (SET).
    pub fn set(
        &mut self,
        expiry_ms: Option<i64>,
        type_id: u8,
        encoding: u8,
        payload: Payload<'_, V>,
    ) -> Option<Leftover<V>> {
        unimplemented!()
    }
    pub fn set_expiry(&mut self, expiry_ms: Option<i64>) {
        unimplemented!()
    }
    pub fn set_encoding(&mut self, encoding: u8) {
        unimplemented!()
    }
    /// The payload must be an Int: changed in place when unshared.
    pub fn set_int(&mut self, value: i64) {
        unimplemented!()
    }
    /// The payload must be Inline or Blob. Appends in place when unshared; the caller switches to a rope at its own threshold.
    pub fn append(&mut self, bytes: &[u8]) {
        unimplemented!()
    }
    /// Inline or Blob bytes to be changed in place (SETBIT, SETRANGE within the length); copied first when shared.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        unimplemented!()
    }
    /// The value to be changed; forked first when shared. None if the payload is not a Node.
    pub fn node_mut(&mut self) -> Option<&mut V> {
        unimplemented!()
    }
    /// Same, with the heap for nested structures.
    pub fn node_and_heap(&mut self) -> Option<(&mut V, &mut Heap)> {
        unimplemented!()
    }
    /// Removes the entry but keeps its value, to build another entry with it (RENAME).
    pub fn take_payload(self) -> MovedPayload<V> {
        unimplemented!()
    }
}
