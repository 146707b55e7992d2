//! One buffer with a birth: strings that are too large for their entry, and too small for a rope.
//!
//! ```text
//! | birth u32 | len u32 | capacity u32 | bytes ...  |      one pointer outside, 12 bytes of header inside
//! ```
//!
//! A blob is copied whole when a snapshot shares it, so it should stay small: the types switch to a rope at tens of
//! kilobytes. Whoever has the `Blob` value owns the buffer; one that sits in an entry is kept as a raw pointer there,
//! and rule R decides whether the entry may change or free it.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::{self, NonNull};

use super::{Defrag, Epoch, KNOWN_SIZE_MAX};
use crate::util::size_class;

const HEADER: usize = 12;
const ALIGN: usize = 4;
/// A buffer that is appended to grows by half up to here, then by this much.
const GROWTH_MAX: usize = 1 << 20;
/// A smaller buffer is not worth giving a part of it back.
const SHRUNK_ABOVE: usize = 64;

/// A growable buffer of at most 4 GiB behind one pointer.
pub struct Blob(NonNull<u8>);

// SAFETY: a blob owns its buffer, like a Vec<u8>.
unsafe impl Send for Blob {}
// SAFETY: a shared blob is only read.
unsafe impl Sync for Blob {}

#[repr(C)]
struct Header {
    birth: u32,
    len: u32,
    capacity: u32,
}

/// Rounded so that the allocation fills steps of 8 bytes.
fn layout(capacity: usize) -> Layout {
    Layout::from_size_align(HEADER + capacity, ALIGN).expect("a capacity of less than 4 GiB")
}

fn rounded(capacity: usize) -> usize {
    let capacity = (HEADER + capacity).next_multiple_of(8) - HEADER;
    assert!(u32::try_from(capacity).is_ok(), "a blob is smaller than 4 GiB");
    capacity
}

impl Blob {
    /// An empty blob that can take `capacity` bytes without moving.
    pub fn with_capacity(birth: Epoch, capacity: usize) -> Blob {
        let capacity = rounded(capacity);
        let layout = layout(capacity);
        // SAFETY: the size is not zero.
        let raw = unsafe { alloc(layout) };
        let Some(raw) = NonNull::new(raw) else { handle_alloc_error(layout) };
        // SAFETY: the allocation has room for the header, aligned as u32.
        unsafe { raw.cast::<Header>().write(Header { birth: birth.0, len: 0, capacity: capacity as u32 }) };
        Blob(raw)
    }

    /// A copy of `bytes`, with no room to spare.
    pub fn from_slice(birth: Epoch, bytes: &[u8]) -> Blob {
        let mut blob = Blob::with_capacity(birth, bytes.len());
        blob.append(bytes);
        blob
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: written by `with_capacity`, alive as long as self.
        unsafe { self.0.cast::<Header>().as_ref() }
    }

    /// When the buffer was made.
    #[inline]
    pub fn birth(&self) -> Epoch {
        Epoch(self.header().birth)
    }

    /// The bytes.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes behind the header are initialised.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().add(HEADER), self.len()) }
    }

    /// The bytes, to be changed in place.
    #[inline]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: `len` bytes behind the header are initialised, and self is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_ptr().add(HEADER), self.len()) }
    }

    /// How many bytes there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.header().len as usize
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes fit without moving.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.header().capacity as usize
    }

    /// The size of the allocation.
    #[inline]
    pub fn memory(&self) -> usize {
        HEADER + self.capacity()
    }

    /// Appends in place if there is room, else moves to a buffer of about one and a half times the size.
    pub fn append(&mut self, bytes: &[u8]) {
        let (len, need) = (self.len(), self.len() + bytes.len());
        if need > self.capacity() {
            self.reserve(need + (need / 2).min(GROWTH_MAX));
        }
        // SAFETY: the capacity is sufficient, and `bytes` borrows another allocation (self is borrowed mutably).
        unsafe {
            ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_ptr().add(HEADER + len), bytes.len());
            (*self.0.cast::<Header>().as_ptr()).len = need as u32;
        }
    }

    /// Makes the `removed` bytes at `at` into `added` bytes with any content; what lies behind them moves. Returns all
    /// the bytes. Grows to the allocator's next size, and gives memory back when a quarter of it is unused.
    ///
    /// # Panics
    /// When `at + removed` lies behind the end.
    pub fn reshape(&mut self, at: usize, removed: usize, added: usize) -> &mut [u8] {
        let (old, behind) = (self.len(), at + removed);
        assert!(behind <= old, "a range within the blob");
        let len = old - removed + added;
        if len > self.capacity() {
            self.reserve(len);
        }
        // SAFETY: the capacity is sufficient for both lengths, and bytes up to `old` are initialised; what is added at
        // the end is written here.
        unsafe {
            let bytes = self.0.as_ptr().add(HEADER);
            ptr::copy(bytes.add(behind), bytes.add(at + added), old - behind);
            if at + added > old {
                ptr::write_bytes(bytes.add(old), 0, at + added - old);
            }
            (*self.0.cast::<Header>().as_ptr()).len = len as u32;
        }
        if len < self.capacity() - self.capacity() / 4 && self.capacity() > SHRUNK_ABOVE {
            self.reserve(len);
        }
        self.as_mut_slice()
    }

    /// Moves to an allocation of the next size that holds so many bytes: all of that serves.
    fn reserve(&mut self, capacity: usize) {
        let (old, capacity) = (layout(self.capacity()), rounded(size_class(HEADER + capacity) - HEADER));
        // An empty blob that was made for exactly one append keeps no spare room, and never comes here.
        // SAFETY: allocated with this layout; the new size is not zero.
        let raw = unsafe { realloc(self.0.as_ptr(), old, HEADER + capacity) };
        let Some(raw) = NonNull::new(raw) else { handle_alloc_error(layout(capacity)) };
        self.0 = raw;
        // SAFETY: realloc kept the header.
        unsafe { (*raw.cast::<Header>().as_ptr()).capacity = capacity as u32 };
    }

    /// Gives the buffer to whoever keeps the pointer.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        std::mem::ManuallyDrop::new(self).0
    }

    /// # Safety
    /// The pointer came from `into_raw`, and this is its only owner (or the value is never dropped nor changed).
    #[inline]
    pub(crate) unsafe fn from_raw(raw: NonNull<u8>) -> Blob {
        Blob(raw)
    }

    /// Moves a blob that lies in an entry; where it is now.
    ///
    /// # Safety
    /// The pointer came from `into_raw`; the rest is as for [`Defrag::settle`].
    pub(crate) unsafe fn settle(raw: NonNull<u8>, defrag: &mut Defrag<'_>) -> NonNull<u8> {
        // SAFETY: the blob lives, and was allocated with this layout.
        unsafe { defrag.settle(raw, layout((*raw.cast::<Header>().as_ptr()).capacity as usize)) }
    }

    /// The `FreeFn` of a blob.
    ///
    /// # Safety
    /// The node came from `into_raw` and nobody else can reach it; `bytes` is its `memory`.
    pub(crate) unsafe fn free(node: NonNull<u8>, bytes: usize, budget: &mut usize) -> bool {
        *budget = budget.saturating_sub(1);
        if bytes <= KNOWN_SIZE_MAX {
            // SAFETY: allocated with this layout; the caller is the last owner.
            unsafe { dealloc(node.as_ptr(), layout(bytes - HEADER)) }
        } else {
            drop(Blob(node));
        }
        true
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, owned by self.
        unsafe { dealloc(self.0.as_ptr(), layout(self.capacity())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::Heap;

    #[test]
    #[cfg(not(miri))] // which has another allocator
    fn classes_are_the_allocators() {
        let sizes = (0..=70_000).chain([100_000, 131_072, 131_073, 1 << 20, (1 << 20) + 1]);
        sizes.for_each(|size| assert_eq!(size_class(size), crate::sys::allocator::size_class(size), "{size}"));
    }

    #[test]
    fn grows_and_keeps_its_bytes() {
        let heap = Heap::new();
        let mut blob = Blob::with_capacity(heap.epoch(), 5);
        assert_eq!(blob.memory() % 8, 0);
        let mut model = Vec::new();
        for i in 0..200u32 {
            let piece = i.to_le_bytes();
            blob.append(&piece);
            model.extend_from_slice(&piece);
            assert_eq!(blob.as_slice(), model);
            assert!(blob.capacity() >= blob.len());
        }
        assert_eq!(blob.birth(), heap.epoch());
    }

    #[test]
    fn bytes_become_more_and_fewer() {
        let mut blob = Blob::from_slice(Heap::new().epoch(), b"one three");
        blob.reshape(4, 0, 4)[4..8].copy_from_slice(b"two ");
        assert_eq!(blob.as_slice(), b"one two three");
        blob.reshape(0, 8, 2)[..2].copy_from_slice(b"2-");
        assert_eq!(blob.as_slice(), b"2-three");
        assert_eq!(blob.reshape(7, 0, 3), b"2-three\0\0\0");
        let mut model = blob.as_slice().to_vec();
        for round in 0..400usize {
            let (at, added) = (round * 7 % (model.len() + 1), round % 100);
            let removed = (model.len() - at).min(if round < 200 { round % 20 } else { 200 });
            let fill = vec![round as u8; added];
            blob.reshape(at, removed, added)[at..at + added].copy_from_slice(&fill);
            model.splice(at..at + removed, fill);
            assert_eq!(blob.as_slice(), model);
        }
        blob.reshape(0, blob.len(), 1);
        assert!(blob.capacity() < 256);
    }

    #[test]
    fn a_copy_is_exact() {
        let heap = Heap::new();
        for n in [0, 1, 4, 5, 100] {
            let blob = Blob::from_slice(heap.epoch(), &vec![7; n]);
            assert_eq!(blob.as_slice(), vec![7; n]);
            assert!(blob.memory() <= (HEADER + n).next_multiple_of(8));
        }
    }
}
