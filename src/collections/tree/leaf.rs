//! The bytes of a leaf: a `Vec<u8>` taken apart.
//!
//! Its facts lie in the bottom above, so a search reads a leaf's length without touching it, and its memory is exactly
//! what a `Vec` would own: an edit puts the `Vec` together, hands it to the user, and takes it apart again.

use std::alloc::Layout;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use super::node::Child;
use crate::cow::{Defrag, Epoch, Heap, KNOWN_SIZE_MAX, Reclaim, Retired, free_memory};
use crate::util::size_class;

/// A leaf as its bottom knows it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Leaf {
    data: NonNull<u8>,
    len: u32,
    capacity: u32,
    pub birth: Epoch,
    pub count: u32,
}

const _: () = assert!(size_of::<Leaf>() == 24);

impl Child for Leaf {
    #[inline(always)]
    fn count(&self) -> u64 {
        u64::from(self.count)
    }
}

/// A leaf that keeps more spare room than this is shrunk.
fn spare_max(len: usize) -> usize {
    len + 64
}

impl Leaf {
    pub const NONE: Leaf = Leaf { data: NonNull::dangling(), len: 0, capacity: 0, birth: Epoch::NEVER, count: 0 };

    /// Takes a buffer over.
    pub fn new(mut bytes: Vec<u8>, birth: Epoch, count: usize) -> Leaf {
        settle(&mut bytes);
        let mut leaf = Leaf { count: u32::try_from(count).expect("fewer items than bytes"), birth, ..Leaf::NONE };
        leaf.put(ManuallyDrop::new(bytes));
        leaf
    }

    fn put(&mut self, mut bytes: ManuallyDrop<Vec<u8>>) {
        self.len = u32::try_from(bytes.len()).expect("a leaf is smaller than 4 GiB");
        self.capacity = u32::try_from(bytes.capacity()).expect("a leaf is smaller than 4 GiB");
        self.data = NonNull::new(bytes.as_mut_ptr()).expect("a vector's pointer is never null");
    }

    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// # Safety
    /// The leaf lives as long as 'a, and is not changed.
    #[inline(always)]
    pub unsafe fn bytes<'a>(&self) -> &'a [u8] {
        // SAFETY: the caller's promise; `len` bytes are initialised.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len as usize) }
    }

    /// Makes the leaf the writer's own.
    ///
    /// # Safety
    /// The leaf lives, and this is the writer's only record of it.
    #[inline]
    pub unsafe fn own(&mut self, heap: &mut Heap) {
        if heap.is_shared(self.birth) {
            // SAFETY: the caller's promise.
            unsafe {
                let mut bytes = Vec::with_capacity(self.capacity());
                bytes.extend_from_slice(self.bytes());
                let copy = Leaf::new(bytes, heap.epoch(), self.count as usize);
                heap.note_cloned(copy.capacity());
                std::mem::replace(self, copy).release(heap);
            }
        }
    }

    /// Hands the bytes to `f` as the vector they are. If `f` panics the leaf is whole, with the count it had.
    ///
    /// # Safety
    /// The leaf lives and is the writer's own.
    #[inline]
    pub unsafe fn edit<R>(&mut self, f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        struct Open<'a>(&'a mut Leaf, ManuallyDrop<Vec<u8>>);
        impl Drop for Open<'_> {
            fn drop(&mut self) {
                // SAFETY: taken once, here.
                let mut bytes = unsafe { ManuallyDrop::take(&mut self.1) };
                settle(&mut bytes);
                self.0.put(ManuallyDrop::new(bytes));
            }
        }
        // SAFETY: the parts came from a vector, and until `Open` is dropped only it owns them.
        let bytes = unsafe { Vec::from_raw_parts(self.data.as_ptr(), self.len as usize, self.capacity as usize) };
        let mut open = Open(self, ManuallyDrop::new(bytes));
        f(&mut open.1)
    }

    /// Moves the bytes to where they lie better.
    ///
    /// # Safety
    /// The leaf lives, and this is the writer's only record of it.
    pub unsafe fn settle(&mut self, defrag: &mut Defrag<'_>) {
        if self.capacity > 0 {
            let layout = Layout::array::<u8>(self.capacity()).expect("a leaf is smaller than 4 GiB");
            // SAFETY: allocated by a vector, with this layout; the rest is the caller's promise.
            self.data = unsafe { defrag.settle(self.data, layout) };
        }
    }

    /// Ends the life of a leaf that was unlinked: frees or retires it.
    ///
    /// # Safety
    /// The leaf lives, and is out of the tree.
    pub unsafe fn release(self, heap: &mut Heap) {
        let bytes = self.capacity();
        if bytes.is_multiple_of(8) && bytes <= KNOWN_SIZE_MAX && bytes > 0 {
            // SAFETY: allocated by a vector: with this size and the alignment of bytes; the rest is the caller's
            // promise.
            unsafe { heap.release(Retired { node: self.data, birth: self.birth, bytes, free: free_memory::<1> }) }
        } else if heap.is_shared(self.birth) {
            heap.retire_deep(Box::new(RetiredLeaf(self)), self.birth, bytes);
        } else {
            // SAFETY: rule R.
            unsafe { self.free() }
        }
    }

    /// Frees the bytes.
    ///
    /// # Safety
    /// The leaf lives, and nobody else reaches it.
    pub unsafe fn free(self) {
        // SAFETY: the parts came from a vector.
        drop(unsafe { Vec::from_raw_parts(self.data.as_ptr(), self.len as usize, self.capacity as usize) });
    }
}

/// A leaf whose size a deadlist's item cannot hold.
struct RetiredLeaf(Leaf);

// SAFETY: the bytes belong to this alone once it is asked to free them.
unsafe impl Send for RetiredLeaf {}

impl Reclaim for RetiredLeaf {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        *budget = budget.saturating_sub(1);
        // SAFETY: asked once, by the last owner.
        unsafe { std::mem::replace(&mut self.0, Leaf::NONE).free() };
        true
    }
}

/// Before a vector becomes a leaf: no more spare room than the leaf has bytes, and a size in steps of 8.
#[inline]
fn settle(bytes: &mut Vec<u8>) {
    if bytes.capacity() - bytes.len() > spare_max(bytes.len()) {
        bytes.shrink_to((bytes.len() + bytes.len() / 8).next_multiple_of(8));
    }
    if !bytes.capacity().is_multiple_of(8) {
        bytes.reserve_exact(bytes.capacity().next_multiple_of(8) - bytes.len());
    }
}

/// Makes room for `additional` bytes: up to the allocator's next size, about an eighth more, where a `Vec` would double.
/// For leaves that are many and grow at random.
#[inline]
pub fn reserve_step(leaf: &mut Vec<u8>, additional: usize) {
    let need = leaf.len() + additional;
    if need > leaf.capacity() {
        leaf.reserve_exact(size_class(need) - leaf.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_that_panics_leaves_a_leaf() {
        let heap = Heap::new();
        let mut leaf = Leaf::new(vec![1, 2, 3], heap.epoch(), 3);
        let edit = std::panic::AssertUnwindSafe(|| {
            // SAFETY: the leaf lives, and is owned here.
            unsafe {
                leaf.edit(|bytes| {
                    bytes.extend_from_slice(&[7; 1000]);
                    panic!("in the middle");
                })
            }
        });
        assert!(std::panic::catch_unwind(edit).is_err());
        // SAFETY: as above.
        unsafe {
            assert_eq!(leaf.bytes().len(), 1003);
            assert_eq!(leaf.capacity() % 8, 0);
            leaf.free();
        }
    }
}
