//! Bottom nodes and branches: a header and two columns in one allocation of at most 1 KiB.
//!
//! ```text
//! | birth u32 | len u16 | capacity u16 | children: capacity of them | bounds: capacity of them |
//! ```
//!
//! Capacities are 4, 8, 16 and so on, up to what fits 1 KiB: a tree of three leaves does not carry a full node.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use crate::cow::{Defrag, Epoch, Heap, Retired, free_memory};

/// Bytes of the largest node.
const NODE_MAX: usize = 1024;

const CAPACITY_MIN: usize = 4;

/// What a node points to.
pub(super) trait Child: Copy {
    fn count(&self) -> u64;
}

/// A bottom or a branch as the node above knows it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Subtree {
    pub node: NonNull<Header>,
    pub count: u64,
}

impl Subtree {
    pub const NONE: Subtree = Subtree { node: NonNull::dangling(), count: 0 };
}

impl Child for Subtree {
    #[inline(always)]
    fn count(&self) -> u64 {
        self.count
    }
}

#[repr(C)]
pub(super) struct Header {
    birth: u32,
    len: u16,
    capacity: u16,
}

const HEADER: usize = size_of::<Header>();

/// A node with children of type `C`. All methods are unsafe for one reason: the node must live, and for those that
/// change it, it must be the writer's own (rule R).
pub(super) struct Node<C, B> {
    at: NonNull<Header>,
    columns: PhantomData<(C, B)>,
}

impl<C, B> Clone for Node<C, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, B> Copy for Node<C, B> {}

impl<C: Child, B: Copy> Node<C, B> {
    const PAIR: usize = size_of::<C>() + size_of::<B>();
    /// Children of the largest node.
    pub const MAX: usize = {
        assert!(align_of::<B>() <= 8 && align_of::<C>() <= 8);
        assert!(size_of::<B>() <= 64, "a bound is a summary");
        (NODE_MAX - HEADER) / Self::PAIR
    };
    /// Nodes with fewer look for a neighbour to join.
    pub const FEW: usize = Self::MAX / 4;
    /// Two neighbours with no more than this together become one.
    pub const JOINED_MAX: usize = Self::MAX * 3 / 4;

    #[inline(always)]
    pub fn at(subtree: Subtree) -> Self {
        Node { at: subtree.node, columns: PhantomData }
    }

    #[inline(always)]
    pub fn pointer(self) -> NonNull<Header> {
        self.at
    }

    fn layout(capacity: usize) -> Layout {
        let size = (HEADER + capacity * Self::PAIR).next_multiple_of(8);
        Layout::from_size_align(size, 8).expect("at most 1 KiB")
    }

    /// A node without children.
    pub fn new(capacity: usize, birth: Epoch) -> Self {
        debug_assert!(capacity <= Self::MAX);
        let layout = Self::layout(capacity);
        // SAFETY: the size is not zero.
        let raw = unsafe { alloc(layout) };
        let Some(raw) = NonNull::new(raw) else { handle_alloc_error(layout) };
        let at = raw.cast::<Header>();
        // SAFETY: the allocation has room for the header, and is aligned for it.
        unsafe { at.write(Header { birth: birth.0, len: 0, capacity: capacity as u16 }) };
        Node { at, columns: PhantomData }
    }

    /// The capacity for this many children.
    pub fn capacity_for(children: usize) -> usize {
        children.next_power_of_two().max(CAPACITY_MIN).min(Self::MAX)
    }

    #[inline(always)]
    pub unsafe fn len(self) -> usize {
        // SAFETY: the node lives.
        unsafe { (*self.at.as_ptr()).len as usize }
    }

    #[inline(always)]
    pub unsafe fn capacity(self) -> usize {
        // SAFETY: the node lives.
        unsafe { (*self.at.as_ptr()).capacity as usize }
    }

    #[inline(always)]
    pub unsafe fn birth(self) -> Epoch {
        // SAFETY: the node lives.
        Epoch(unsafe { (*self.at.as_ptr()).birth })
    }

    /// Bytes of the allocation.
    pub unsafe fn bytes(self) -> usize {
        // SAFETY: the node lives.
        Self::layout(unsafe { self.capacity() }).size()
    }

    #[inline(always)]
    unsafe fn first_child(self) -> *mut C {
        // SAFETY: the children follow the header.
        unsafe { self.at.as_ptr().cast::<u8>().add(HEADER).cast() }
    }

    #[inline(always)]
    unsafe fn first_bound(self) -> *mut B {
        // SAFETY: the bounds follow the children.
        unsafe { self.first_child().add(self.capacity()).cast() }
    }

    #[inline(always)]
    pub unsafe fn children<'a>(self) -> &'a [C] {
        // SAFETY: the first `len` children are initialised.
        unsafe { std::slice::from_raw_parts(self.first_child(), self.len()) }
    }

    #[inline(always)]
    pub unsafe fn bounds<'a>(self) -> &'a [B] {
        // SAFETY: the first `len` bounds are initialised.
        unsafe { std::slice::from_raw_parts(self.first_bound(), self.len()) }
    }

    /// A child to be changed.
    #[inline(always)]
    pub unsafe fn child(self, at: usize) -> *mut C {
        // SAFETY: the node lives; the index is checked.
        unsafe {
            assert!(at < self.len(), "a path of this tree");
            self.first_child().add(at)
        }
    }

    /// A bound to be changed.
    #[inline(always)]
    pub unsafe fn bound(self, at: usize) -> *mut B {
        // SAFETY: as above.
        unsafe {
            assert!(at < self.len(), "a path of this tree");
            self.first_bound().add(at)
        }
    }

    /// The items of all children.
    pub unsafe fn count(self) -> u64 {
        // SAFETY: the node lives.
        unsafe { self.children() }.iter().map(C::count).sum()
    }

    unsafe fn set_len(self, len: usize) {
        // SAFETY: the node lives, and is the writer's.
        unsafe {
            debug_assert!(len <= self.capacity());
            (*self.at.as_ptr()).len = len as u16;
        }
    }

    /// Inserts a child; there must be room.
    pub unsafe fn insert(self, at: usize, child: C, bound: B) {
        // SAFETY: both columns have room for one more, and `at` is within them.
        unsafe {
            let len = self.len();
            assert!(at <= len && len < self.capacity());
            let (children, bounds) = (self.first_child().add(at), self.first_bound().add(at));
            ptr::copy(children, children.add(1), len - at);
            ptr::copy(bounds, bounds.add(1), len - at);
            children.write(child);
            bounds.write(bound);
            self.set_len(len + 1);
        }
    }

    /// Takes a child out.
    pub unsafe fn remove(self, at: usize) {
        // SAFETY: `at` is within the columns.
        unsafe {
            let len = self.len();
            assert!(at < len);
            let (children, bounds) = (self.first_child().add(at), self.first_bound().add(at));
            ptr::copy(children.add(1), children, len - at - 1);
            ptr::copy(bounds.add(1), bounds, len - at - 1);
            self.set_len(len - 1);
        }
    }

    /// Takes several neighbouring children out.
    pub unsafe fn drain(self, range: std::ops::Range<usize>) {
        // SAFETY: the range is within the columns.
        unsafe {
            let len = self.len();
            assert!(range.start <= range.end && range.end <= len);
            let (children, bounds, rest) = (self.first_child(), self.first_bound(), len - range.end);
            ptr::copy(children.add(range.end), children.add(range.start), rest);
            ptr::copy(bounds.add(range.end), bounds.add(range.start), rest);
            self.set_len(range.start + rest);
        }
    }

    /// Appends a part of another node's children; there must be room.
    pub unsafe fn extend(self, from: Self, range: std::ops::Range<usize>) {
        // SAFETY: the nodes are two, `range` is within the one, and fits the other.
        unsafe {
            let len = self.len();
            assert!(range.end <= from.len() && len + range.len() <= self.capacity());
            ptr::copy_nonoverlapping(from.first_child().add(range.start), self.first_child().add(len), range.len());
            ptr::copy_nonoverlapping(from.first_bound().add(range.start), self.first_bound().add(len), range.len());
            self.set_len(len + range.len());
        }
    }

    /// Drops the children from `len` on.
    pub unsafe fn truncate(self, len: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            assert!(len <= self.len());
            self.set_len(len);
        }
    }

    /// A copy with another capacity.
    pub unsafe fn copied(self, capacity: usize, birth: Epoch) -> Self {
        let copy = Self::new(capacity, birth);
        // SAFETY: the copy is new, and the caller chose a sufficient capacity (which `extend` checks).
        unsafe { copy.extend(self, 0..self.len()) };
        copy
    }

    /// This node, or a copy in its place if a snapshot shares it.
    #[inline]
    pub unsafe fn owned(self, heap: &mut Heap) -> Self {
        // SAFETY: the node lives; the caller puts the result where this was.
        unsafe {
            if !heap.is_shared(self.birth()) {
                return self;
            }
            let copy = self.copied(self.capacity(), heap.epoch());
            heap.note_cloned(copy.bytes());
            self.release(heap);
            copy
        }
    }

    /// The node where it lies better.
    pub unsafe fn settled(self, defrag: &mut Defrag<'_>) -> Self {
        // SAFETY: the node lives and was allocated with this layout; the caller points to the result instead.
        let at = unsafe { defrag.settle(self.at.cast(), Self::layout(self.capacity())) };
        Node { at: at.cast(), columns: PhantomData }
    }

    /// Ends the life of a node that was unlinked (not of its children): frees or retires it.
    pub unsafe fn release(self, heap: &mut Heap) {
        // SAFETY: allocated with this size and alignment, a multiple of 8; the caller has unlinked it.
        unsafe {
            let (birth, bytes) = (self.birth(), self.bytes());
            heap.release(Retired { node: self.at.cast(), birth, bytes, free: free_memory::<8> });
        }
    }

    /// Frees the node.
    pub unsafe fn free(self) {
        // SAFETY: allocated with this layout; the caller is the last owner.
        unsafe { dealloc(self.at.as_ptr().cast(), Self::layout(self.capacity())) }
    }
}
