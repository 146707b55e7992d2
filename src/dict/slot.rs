//! A key's place in a table, looked up once: occupied or vacant.
//!
//! An occupied slot is found before anything is owned, because many commands only look. The first change calls `own`,
//! which copies the path and the segment if a snapshot shares them, and finds the same element again in the copy.

use std::ptr::NonNull;

use super::element::Element;
use super::segment::Place;
use super::table::Table;
use crate::cow::Heap;

/// The place of a key.
pub enum Slot<'a, E: Element> {
    /// The key is there.
    Occupied(OccupiedSlot<'a, E>),
    /// It is not, and could be put there.
    Vacant(VacantSlot<'a, E>),
}

/// The place of a key that is in the table.
pub struct OccupiedSlot<'a, E: Element> {
    pub(super) table: &'a mut Table<E>,
    pub(super) heap: &'a mut Heap,
    hash: u64,
    place: Place,
}

/// The place of a key that is not in the table.
pub struct VacantSlot<'a, E: Element> {
    table: &'a mut Table<E>,
    heap: &'a mut Heap,
    hash: u64,
}

impl<'a, E: Element> VacantSlot<'a, E> {
    #[inline(always)]
    pub(super) fn new(table: &'a mut Table<E>, heap: &'a mut Heap, hash: u64) -> VacantSlot<'a, E> {
        VacantSlot { table, heap, hash }
    }

    /// The heap, whose epoch the new element needs.
    #[inline]
    pub fn heap(&self) -> &Heap {
        self.heap
    }

    /// The heap, for structures that are built to be put here.
    #[inline]
    pub fn heap_mut(&mut self) -> &mut Heap {
        self.heap
    }

    /// The hash that was looked up.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Puts an element in, which must have the key (and the hash) that was looked up.
    #[inline]
    pub fn insert(self, element: E) -> OccupiedSlot<'a, E> {
        let raw = element.into_raw();
        // SAFETY: the element lives; it is in no table yet.
        unsafe {
            debug_assert_eq!(E::hash(raw, self.table.seed), self.hash, "the key that was looked up");
            let place = self.table.insert_new(self.heap, self.hash, raw);
            self.table.note_age(self.heap, E::oldest(raw));
            OccupiedSlot::new(self.table, self.heap, self.hash, place)
        }
    }
}

impl<'a, E: Element> OccupiedSlot<'a, E> {
    #[inline(always)]
    pub(super) fn new(table: &'a mut Table<E>, heap: &'a mut Heap, hash: u64, place: Place) -> OccupiedSlot<'a, E> {
        OccupiedSlot { table, heap, hash, place }
    }

    /// The heap.
    #[inline]
    pub fn heap(&self) -> &Heap {
        self.heap
    }

    /// The heap, for structures that are built to be put here.
    #[inline]
    pub fn heap_mut(&mut self) -> &mut Heap {
        self.heap
    }

    /// The hash of the key.
    #[inline]
    pub fn hash(&self) -> u64 {
        self.hash
    }

    #[inline(always)]
    pub(super) fn raw(&self) -> NonNull<u8> {
        // SAFETY: the place was found or filled, and `own` keeps it true.
        unsafe { self.place.element() }
    }

    /// The element.
    #[inline]
    pub fn get(&self) -> E::Ref<'_> {
        // SAFETY: the element lives as long as the slot is borrowed.
        unsafe { E::view(self.raw()) }
    }

    /// The element, for as long as the table is borrowed.
    #[inline]
    pub fn into_ref(self) -> E::Ref<'a> {
        // SAFETY: the element lives as long as the table is borrowed.
        unsafe { E::view(self.raw()) }
    }

    /// Makes the path to the place the writer's own.
    #[inline(always)]
    pub(super) fn own(&mut self) {
        if self.heap.has_snapshot() {
            self.own_slow();
        }
    }

    #[cold]
    #[inline(never)]
    fn own_slow(&mut self) {
        let element = self.raw();
        self.table.own_path(self.heap, self.hash);
        if self.table.own_segment(self.heap, self.hash) {
            let segment = self.table.locate(self.hash);
            // SAFETY: the segment lives.
            let place = unsafe { segment.find(self.table.buckets(), self.hash, |other| other == element) };
            self.place = place.expect("a copied segment has the same elements");
        }
    }

    /// Puts another pointer into the place and gives the old one.
    #[inline(always)]
    pub(super) fn swap(&mut self, element: NonNull<u8>) -> NonNull<u8> {
        self.own();
        let old = self.raw();
        // SAFETY: the segment is the writer's.
        unsafe { (*self.place.bucket).slots[self.place.slot] = element.as_ptr() };
        old
    }

    /// Puts another element with the same key in. The old one comes back, to be dropped here or elsewhere, unless a
    /// snapshot needs it.
    #[inline]
    pub fn replace(&mut self, element: E) -> Option<E> {
        let raw = element.into_raw();
        // SAFETY: both elements live; the old one is in no table after the swap.
        unsafe {
            debug_assert!(E::has_key(raw, E::key(self.raw())), "the same key");
            let old = self.swap(raw);
            self.table.note_age(self.heap, E::oldest(raw));
            E::release(old, self.heap)
        }
    }

    /// Takes the element out. It comes back, to be dropped here or elsewhere, unless a snapshot needs it.
    #[inline]
    pub fn remove(self) -> Option<E> {
        let (heap, element) = self.unlink();
        // SAFETY: the element is in no table any more.
        unsafe { E::release(element, heap) }
    }

    /// Takes the element's pointer out of the table.
    #[inline(always)]
    pub(super) fn unlink(mut self) -> (&'a mut Heap, NonNull<u8>) {
        self.own();
        let element = self.raw();
        self.table.erase(self.heap, self.hash, self.place);
        (self.heap, element)
    }
}
