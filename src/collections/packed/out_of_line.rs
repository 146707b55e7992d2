//! An element too long for a leaf: its key (and its value, if that may have any length) in a node of their own.
//!
//! ```text
//! | birth u32 | key u32 | value u32 | key bytes, value bytes |
//! ```
//!
//! Such a node never changes, so it is never copied for a snapshot: an update makes another one.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use crate::collections::text;
use crate::cow::{Defrag, Epoch, Heap, KNOWN_SIZE_MAX, Retired, free_memory};
use crate::util::text::Source;

const ALIGN: usize = 8;

#[repr(C)]
struct Header {
    birth: Epoch,
    key: u32,
    value: u32,
}

/// A pointer to such a node. Whoever follows it must know that the node lives.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct OutOfLine(NonNull<u8>);

fn layout(key: usize, value: usize) -> Layout {
    let bytes = (size_of::<Header>() + key + value).next_multiple_of(8);
    Layout::from_size_align(bytes, ALIGN).expect("a key and a value of less than 4 GiB each")
}

/// The [`FreeFn`](crate::cow) of a node too large for a deadlist to know its size.
unsafe fn free_large(node: NonNull<u8>, _bytes: usize, budget: &mut usize) -> bool {
    *budget = budget.saturating_sub(1);
    // SAFETY: the deadlist is its last owner.
    unsafe { OutOfLine(node).free() };
    true
}

impl OutOfLine {
    /// Copies a key and a value, or takes them over. Both are strings a client may send, so they are far below 4 GiB.
    pub fn new(birth: Epoch, key: Source<'_>, value: Source<'_>) -> OutOfLine {
        let header = Header {
            birth,
            key: u32::try_from(key.len()).expect("a key below 4 GiB"),
            value: u32::try_from(value.len()).expect("a value below 4 GiB"),
        };
        let layout = layout(key.len(), value.len());
        // SAFETY: the size is not zero.
        let Some(raw) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the allocation has room for the header and both.
        unsafe {
            raw.cast::<Header>().write(header);
            let bytes = raw.add(size_of::<Header>()).as_ptr();
            let key_len = key.len();
            text::write(key, bytes);
            text::write(value, bytes.add(key_len));
        }
        OutOfLine(raw)
    }

    #[inline]
    unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the node lives.
        unsafe { self.0.cast::<Header>().as_ref() }
    }

    #[inline]
    pub unsafe fn key<'a>(self) -> &'a [u8] {
        // SAFETY: the node lives, and the key is behind its header.
        unsafe {
            let start = self.0.add(size_of::<Header>()).as_ptr();
            std::slice::from_raw_parts(start, self.header().key as usize)
        }
    }

    #[inline]
    pub unsafe fn value<'a>(self) -> &'a [u8] {
        // SAFETY: the node lives, and the value is behind the key.
        unsafe {
            let start = self.0.add(size_of::<Header>() + self.header().key as usize).as_ptr();
            std::slice::from_raw_parts(start, self.header().value as usize)
        }
    }

    pub unsafe fn birth(self) -> Epoch {
        // SAFETY: the node lives.
        unsafe { self.header().birth }
    }

    /// The size of the allocation.
    pub unsafe fn size(self) -> usize {
        // SAFETY: the node lives.
        unsafe { layout(self.header().key as usize, self.header().value as usize).size() }
    }

    /// The node where it lies better.
    pub unsafe fn settled(self, defrag: &mut Defrag<'_>) -> OutOfLine {
        // SAFETY: the node lives and was allocated with this layout; the caller points to the result instead.
        unsafe { OutOfLine(defrag.settle(self.0, layout(self.header().key as usize, self.header().value as usize))) }
    }

    /// Ends the node's life.
    pub unsafe fn release(self, heap: &mut Heap) {
        // SAFETY: the caller has unlinked it.
        unsafe {
            let (birth, bytes) = (self.birth(), self.size());
            let free = if bytes <= KNOWN_SIZE_MAX { free_memory::<ALIGN> } else { free_large };
            heap.release(Retired { node: self.0, birth, bytes, free });
        }
    }

    /// Frees the node.
    pub unsafe fn free(self) {
        // SAFETY: allocated with this layout; the caller is its last owner.
        unsafe {
            let layout = layout(self.header().key as usize, self.header().value as usize);
            dealloc(self.0.as_ptr(), layout);
        }
    }
}
