//! What can be done to an entry in its slot.
//!
//! Every change asks rule R first. An entry that a snapshot shares is copied (its pointer goes into an owned segment,
//! the old allocation is retired as a bare shell: what it points to now belongs to the copy); then its blob or value
//! is copied or forked, if that is shared too. An entry that is not shared is changed in place as long as its rounded
//! size stays the same, and the segment is not touched at all: a pointer that young can only sit in an owned segment.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::layout::{Head, Raw, RawEntry, meta_of};
use super::payload::{self, Leftover, MovedPayload, Payload};
use super::{Entry, Epoch, release_shell};
use crate::cow::{Blob, CowValue, Heap, Retired};
use crate::dict::slot::OccupiedSlot;

impl<'a, V: CowValue> OccupiedSlot<'a, Entry<V>> {
    #[inline(always)]
    fn entry<'e>(&self) -> RawEntry<'e> {
        RawEntry::new(self.raw())
    }

    #[inline(always)]
    fn is_entry_shared(&self) -> bool {
        // SAFETY: the entry lives; so in all methods here.
        self.heap.is_shared(unsafe { self.entry().birth() })
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        self.get().key()
    }

    /// Puts another allocation in the entry's place, with the same payload or one that was dealt with.
    fn exchange(&mut self, new: RawEntry<'_>) {
        let old = RawEntry::new(self.swap(new.pointer()));
        // SAFETY: the old allocation is unlinked, and its payload has another owner.
        unsafe { release_shell(old, self.heap) }
    }

    /// Makes the entry's allocation the writer's own.
    #[inline(always)]
    fn own_entry(&mut self) {
        if self.is_entry_shared() {
            self.copy_entry();
        }
    }

    #[cold]
    fn copy_entry(&mut self) {
        let entry = self.entry();
        // SAFETY: the entry lives until `exchange` has linked the copy.
        unsafe {
            let copy = RawEntry::build(&entry.head(self.heap.epoch()), entry.payload());
            self.heap.note_cloned(copy.size());
            self.exchange(copy);
        }
    }

    /// Replaces the value; key, expiry and access clock stay. What was replaced comes back if nobody shares it and it
    /// is more than bytes.
    pub fn set_payload(&mut self, type_id: u8, encoding: u8, payload: Payload<'_, V>) -> Option<Leftover<V>> {
        self.set(self.get().expiry_ms(), type_id, encoding, payload)
    }

    /// Replaces value and expiry; key and access clock stay. What was replaced comes back if nobody shares it and it
    /// is more than bytes.
    pub fn set(
        &mut self,
        expiry_ms: Option<i64>,
        type_id: u8,
        encoding: u8,
        payload: Payload<'_, V>,
    ) -> Option<Leftover<V>> {
        let (entry, shared) = (self.entry(), self.is_entry_shared());
        let came_from_elsewhere = matches!(payload, Payload::Moved(_));
        // SAFETY: the entry lives until `exchange`; it is written only if it is not shared. The old payload is
        // released after the entry has the new one.
        unsafe {
            let mut head = entry.head(self.heap.epoch());
            let same_shape = head.expiry_ms.is_some() == expiry_ms.is_some();
            head.expiry_ms = expiry_ms;
            head.meta = meta_of(type_id, encoding, head.meta >> 8);
            let old = entry.payload();
            payload.with_raw(&head, |new| {
                if came_from_elsewhere && let Some(oldest) = payload::oldest::<V>(new) {
                    self.table.note_age(self.heap, oldest);
                }
                // Inline bytes go when they are overwritten, pointers stay readable.
                if !shared && same_shape && head.size_with(&new) == entry.size() {
                    let done = entry.replace_payload(new);
                    debug_assert!(done, "the size was compared");
                    entry.set_meta(head.meta);
                    if let Some(expiry_ms) = expiry_ms {
                        entry.set_expiry_ms(expiry_ms);
                    }
                } else {
                    self.exchange(RawEntry::build(&head, new));
                }
            });
            payload::release(forget_inline(old), self.heap)
        }
    }

    /// Sets or clears the expiry.
    pub fn set_expiry(&mut self, expiry_ms: Option<i64>) {
        let entry = self.entry();
        // SAFETY: the entry lives until `exchange`; it is written only if it is not shared.
        unsafe {
            let had = entry.expiry_ms();
            match expiry_ms {
                _ if had == expiry_ms => {}
                Some(at) if had.is_some() && !self.is_entry_shared() => entry.set_expiry_ms(at),
                _ => {
                    let head = Head { expiry_ms, ..entry.head(self.heap.epoch()) };
                    self.exchange(RawEntry::build(&head, entry.payload()));
                }
            }
        }
    }

    /// Changes the 4 bits of the encoding.
    pub fn set_encoding(&mut self, encoding: u8) {
        if self.get().encoding() != encoding {
            self.own_entry();
            let entry = self.get();
            // SAFETY: the entry is the writer's.
            unsafe { self.entry().set_meta(meta_of(entry.type_id(), encoding, entry.clock())) }
        }
    }

    /// Changes an integer in place; the payload must be one.
    #[inline]
    pub fn set_int(&mut self, value: i64) {
        self.own_entry();
        // SAFETY: the entry is the writer's.
        unsafe {
            debug_assert!(matches!(self.entry().payload(), Raw::Int(_)));
            let done = self.entry().replace_payload(Raw::Int(value));
            assert!(done, "set_int is for integers: they all have the same size");
        }
    }

    /// The bytes of a string that is kept as bytes, to be changed in place.
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        // SAFETY: the entry (and then the blob) is the writer's before bytes are given out.
        unsafe {
            match self.entry().payload() {
                Raw::Int(_) | Raw::Node(_) => None,
                Raw::Inline(_) => {
                    self.own_entry();
                    Some(self.entry().inline_mut())
                }
                Raw::Blob(_) => {
                    let mut blob = self.own_blob(0);
                    let bytes = blob.as_mut_slice();
                    Some(std::slice::from_raw_parts_mut(bytes.as_mut_ptr(), bytes.len()))
                }
            }
        }
    }

    /// Appends to a string that is kept as bytes: in place if there is room and nobody shares it. The caller changes
    /// to a rope when the string becomes long.
    pub fn append(&mut self, bytes: &[u8]) {
        // SAFETY: the entry (and then the blob) is the writer's before it is written.
        unsafe {
            match self.entry().payload() {
                Raw::Inline(old) => self.append_inline(old, bytes),
                Raw::Blob(_) => {
                    let mut blob = self.own_blob(bytes.len());
                    blob.append(bytes);
                    let done = self.entry().replace_payload(Raw::Blob(ManuallyDrop::into_inner(blob).into_raw()));
                    debug_assert!(done, "a pointer for a pointer");
                }
                Raw::Int(_) | Raw::Node(_) => panic!("append is for strings that are kept as bytes"),
            }
        }
    }

    fn append_inline(&mut self, old: &[u8], bytes: &[u8]) {
        let len = old.len() + bytes.len();
        // SAFETY: the entry lives until `exchange`; it is written only if it is not shared.
        unsafe {
            let entry = self.entry();
            let head = entry.head(self.heap.epoch());
            if head.fits_inline(len) {
                let mut joined = [0; 256];
                joined[..old.len()].copy_from_slice(old);
                joined[old.len()..len].copy_from_slice(bytes);
                let joined = Raw::Inline(&joined[..len]);
                if self.is_entry_shared() || !entry.replace_payload(joined) {
                    self.exchange(RawEntry::build(&head, joined));
                }
            } else {
                // A string that is appended to once will be again.
                let mut blob = Blob::with_capacity(self.heap.epoch(), len + len / 2);
                blob.append(old);
                blob.append(bytes);
                self.exchange(RawEntry::build(&head, Raw::Blob(blob.into_raw())));
            }
        }
    }

    /// Makes entry and blob the writer's own, with room for `extra` more bytes if it has to be copied. The handle is
    /// the entry's.
    unsafe fn own_blob(&mut self, extra: usize) -> ManuallyDrop<Blob> {
        self.own_entry();
        // SAFETY: the entry is the writer's, and has a blob; a blob that is replaced is retired.
        unsafe {
            let Raw::Blob(node) = self.entry().payload() else { unreachable!("the caller has seen a blob") };
            let old = ManuallyDrop::new(Blob::from_raw(node));
            if !self.heap.is_shared(old.birth()) {
                return old;
            }
            let room = if extra == 0 { 0 } else { extra + old.len() / 2 };
            let mut blob = Blob::with_capacity(self.heap.epoch(), old.len() + room);
            blob.append(old.as_slice());
            let blob = blob.into_raw();
            let done = self.entry().replace_payload(Raw::Blob(blob));
            debug_assert!(done, "a pointer for a pointer");
            self.heap.note_cloned(old.memory());
            self.heap.retire(Retired { node, birth: old.birth(), bytes: old.memory(), free: Blob::free });
            ManuallyDrop::new(Blob::from_raw(blob))
        }
    }

    /// The value, to be changed; forked first if a snapshot shares it. None if the payload is not a node.
    pub fn node_mut(&mut self) -> Option<&mut V> {
        self.node_and_heap().map(|(value, _)| value)
    }

    /// The value, to be changed, with the heap that nested structures need.
    pub fn node_and_heap(&mut self) -> Option<(&mut V, &mut Heap)> {
        // SAFETY: the entry, and then the value, is the writer's before it is given out.
        unsafe {
            let Raw::Node(_) = self.entry().payload() else { return None };
            self.own_entry();
            let Raw::Node(mut node) = self.entry().payload() else { return None };
            let birth = node.cast::<V>().as_ref().birth();
            if self.heap.is_shared(birth) {
                node = self.fork_node(node, birth);
            }
            Some((node.cast::<V>().as_mut(), self.heap))
        }
    }

    /// # Safety
    /// The entry is the writer's, and this is its value.
    #[cold]
    unsafe fn fork_node(&mut self, old: NonNull<u8>, birth: Epoch) -> NonNull<u8> {
        // SAFETY: the old root lives until it is retired, replaced by then.
        unsafe {
            let fork = Box::new(old.cast::<V>().as_ref().fork(self.heap));
            debug_assert!(!self.heap.is_shared(fork.birth()), "a fork is born now");
            let new = payload::node_pointer(fork);
            let done = self.entry().replace_payload(Raw::Node(new));
            debug_assert!(done, "a pointer for a pointer");
            self.heap.note_cloned(size_of::<V>());
            self.heap.retire(Retired { node: old, birth, bytes: size_of::<V>(), free: payload::free_shell::<V> });
            new
        }
    }

    /// Takes the entry out of the table, but keeps its value, to be put into another entry (RENAME, MOVE).
    pub fn take_payload(self) -> MovedPayload<V> {
        let (heap, raw) = self.unlink();
        // SAFETY: the entry is unlinked; its payload changes hands before its shell is released.
        unsafe {
            let entry = RawEntry::new(raw);
            let moved = MovedPayload::of(entry.payload());
            release_shell(entry, heap);
            moved
        }
    }
}

/// The part of a payload that outlives the entry's bytes.
fn forget_inline(raw: Raw<'_>) -> Raw<'static> {
    match raw {
        Raw::Inline(_) | Raw::Int(_) => Raw::Int(0),
        Raw::Blob(node) => Raw::Blob(node),
        Raw::Node(node) => Raw::Node(node),
    }
}
