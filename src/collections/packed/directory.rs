//! From a number to its leaf: a radix tree of nodes with up to 256 slots.
//!
//! ```text
//! height 0   root = leaf 0                                       one leaf
//! height 1   root = node -> leaf                                 up to 256
//! height 2   root = node -> node -> leaf                         up to 65 536
//! node       | birth u32 | capacity u32 | capacity slots of 8 bytes |
//! ```
//!
//! Leaves are numbered without gaps and come and go at the end only, so the tree is full but for its right edge, and
//! only nodes there may have less than 256 slots. What a node has beyond the last leaf is leftover and means nothing:
//! taking the last leaf away writes to no node.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::{self, NonNull};

use super::leaf::{Leaf, prefetch};
use crate::cow::{Defrag, Epoch, Heap, Retired, free_memory};

const BITS: u32 = 8;
const FANOUT: usize = 1 << BITS;
/// More than memory has addresses.
const HEIGHT_MAX: usize = 8;
const CAPACITY_MIN: usize = 4;
const ALIGN: usize = 8;

#[repr(C)]
struct Header {
    birth: Epoch,
    capacity: u32,
}

/// A node of the tree. Whoever follows the pointer must know that it lives.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Node(NonNull<u8>);

fn layout(capacity: usize) -> Layout {
    let bytes = size_of::<Header>() + capacity * size_of::<*mut u8>();
    Layout::from_size_align(bytes, ALIGN).expect("at most 256 slots")
}

impl Node {
    fn new(birth: Epoch, capacity: usize) -> Node {
        let layout = layout(capacity);
        // SAFETY: the size is not zero.
        let Some(raw) = NonNull::new(unsafe { alloc(layout) }) else { handle_alloc_error(layout) };
        // SAFETY: the allocation has room for the header and the slots.
        unsafe {
            raw.cast::<Header>().write(Header { birth, capacity: capacity as u32 });
            ptr::write_bytes(raw.add(size_of::<Header>()).as_ptr(), 0, capacity * size_of::<*mut u8>());
        }
        Node(raw)
    }

    #[inline(always)]
    unsafe fn slot(self, at: usize) -> *mut *mut u8 {
        // SAFETY: the node lives, and has such a slot.
        unsafe { self.0.add(size_of::<Header>()).cast::<*mut u8>().add(at).as_ptr() }
    }

    #[inline(always)]
    unsafe fn header<'a>(self) -> &'a Header {
        // SAFETY: the node lives.
        unsafe { self.0.cast::<Header>().as_ref() }
    }

    unsafe fn capacity(self) -> usize {
        // SAFETY: the node lives.
        unsafe { self.header().capacity as usize }
    }

    /// A copy with so many slots.
    unsafe fn copy(self, birth: Epoch, capacity: usize) -> Node {
        // SAFETY: the node lives; both have so many slots.
        unsafe {
            let copy = Node::new(birth, capacity);
            ptr::copy_nonoverlapping(self.slot(0), copy.slot(0), capacity.min(self.capacity()));
            copy
        }
    }

    unsafe fn release(self, heap: &mut Heap) {
        // SAFETY: the caller has unlinked it.
        unsafe {
            let (birth, bytes) = (self.header().birth, layout(self.capacity()).size());
            heap.release(Retired { node: self.0, birth, bytes, free: free_memory::<ALIGN> });
        }
    }

    unsafe fn free(self) {
        // SAFETY: allocated with this layout; the caller is its last owner.
        unsafe { dealloc(self.0.as_ptr(), layout(self.capacity())) }
    }
}

/// The tree: plain pointers, copied into forks. Everything that follows one is unsafe for the same reason: the nodes
/// must live; and what writes needs the path to be the writer's own (rule R).
#[derive(Clone, Copy)]
pub(super) struct Directory {
    root: *mut u8,
    leaves: usize,
    height: u32,
}

/// The slot of `index` in a node that is `level` above the lowest.
#[inline(always)]
fn digit(index: usize, level: u32) -> usize {
    (index >> (BITS * level)) & (FANOUT - 1)
}

/// Whether `index` is the first below its node of this level.
fn is_first(index: usize, level: u32) -> bool {
    index.trailing_zeros() >= BITS * (level + 1)
}

fn node(raw: *mut u8) -> Node {
    Node(NonNull::new(raw).expect("a slot before the last leaf is filled"))
}

impl Directory {
    pub const EMPTY: Directory = Directory { root: ptr::null_mut(), leaves: 0, height: 0 };

    /// How many leaves there are.
    #[inline(always)]
    pub fn leaves(&self) -> usize {
        self.leaves
    }

    /// The slot that points to a leaf.
    #[inline(always)]
    unsafe fn edge(&mut self, index: usize) -> *mut *mut u8 {
        let mut edge: *mut *mut u8 = &raw mut self.root;
        for level in (0..self.height).rev() {
            // SAFETY: the nodes live, and lead to the leaf.
            unsafe { edge = Node(NonNull::new_unchecked(*edge)).slot(digit(index, level)) };
        }
        edge
    }

    /// A leaf; there must be one of that number.
    #[inline(always)]
    pub unsafe fn leaf(&self, index: usize) -> Leaf {
        debug_assert!(index < self.leaves);
        let mut raw = self.root;
        // SAFETY: the nodes live, and lead to the leaf.
        unsafe {
            for level in (0..self.height).rev() {
                raw = *Node(NonNull::new_unchecked(raw)).slot(digit(index, level));
            }
            Leaf::from_raw(NonNull::new_unchecked(raw))
        }
    }

    /// Asks for the line of the slot that points to a leaf.
    #[inline]
    pub unsafe fn prefetch_slot(&self, index: usize) {
        debug_assert!(index < self.leaves);
        let mut raw = self.root;
        // SAFETY: the nodes live, and lead to the leaf.
        unsafe {
            for level in (1..self.height).rev() {
                raw = *Node(NonNull::new_unchecked(raw)).slot(digit(index, level));
            }
            if self.height > 0 {
                prefetch(Node(NonNull::new_unchecked(raw)).slot(digit(index, 0)).cast::<u8>());
            }
        }
    }

    /// Points to another leaf; the path is the writer's own.
    #[inline]
    pub unsafe fn set(&mut self, index: usize, leaf: Leaf) {
        // SAFETY: the nodes live, and are the writer's.
        unsafe { *self.edge(index) = leaf.raw().as_ptr() }
    }

    /// Makes the nodes on the way to a leaf the writer's own.
    #[inline(always)]
    pub unsafe fn own_path(&mut self, heap: &mut Heap, index: usize) {
        if heap.has_snapshot() && self.height > 0 {
            // SAFETY: the caller's promise.
            unsafe { self.own_path_slow(heap, index) }
        }
    }

    #[inline(never)]
    unsafe fn own_path_slow(&mut self, heap: &mut Heap, index: usize) {
        let mut edge: *mut *mut u8 = &raw mut self.root;
        for level in (0..self.height).rev() {
            // SAFETY: the nodes live; each is the writer's own before its slots are written.
            unsafe {
                let old = node(*edge);
                if heap.is_shared(old.header().birth) {
                    let capacity = old.capacity();
                    let own = old.copy(heap.epoch(), capacity);
                    heap.note_cloned(layout(capacity).size());
                    old.release(heap);
                    *edge = own.0.as_ptr();
                }
                edge = node(*edge).slot(digit(index, level));
            }
        }
    }

    /// Moves a leaf to where it lies better, and before it the nodes that begin with it.
    pub unsafe fn defrag(&mut self, defrag: &mut Defrag<'_>, index: usize) {
        let mut edge: *mut *mut u8 = &raw mut self.root;
        // SAFETY: the nodes live, were allocated with these layouts, and what points to one is written at once.
        unsafe {
            for level in (0..self.height).rev() {
                if is_first(index, level) {
                    let old = node(*edge);
                    *edge = defrag.settle(old.0, layout(old.capacity())).as_ptr();
                }
                edge = node(*edge).slot(digit(index, level));
            }
            let leaf = Leaf::from_raw(NonNull::new_unchecked(*edge));
            *edge = leaf.settled(defrag).raw().as_ptr();
        }
    }

    /// Adds a leaf at the end.
    pub unsafe fn push(&mut self, heap: &mut Heap, leaf: Leaf) {
        let now = heap.epoch();
        // SAFETY: the caller's promise; the nodes that end are unlinked.
        unsafe { self.push_with(now, leaf, |old| heap.is_shared(old.header().birth)) }
            .into_iter()
            .flatten()
            // SAFETY: as above.
            .for_each(|old| unsafe { old.release(heap) });
    }

    /// Adds a leaf at the end of a tree that nobody else reads.
    pub unsafe fn push_unshared(&mut self, now: Epoch, leaf: Leaf) {
        // SAFETY: the caller's promise; the nodes that end are unlinked.
        unsafe { self.push_with(now, leaf, |_| false) }
            .into_iter()
            .flatten()
            // SAFETY: as above.
            .for_each(|old| unsafe { old.free() });
    }

    /// Adds a leaf at the end. Gives the nodes that others have replaced.
    unsafe fn push_with(
        &mut self,
        now: Epoch,
        leaf: Leaf,
        is_shared: impl Fn(Node) -> bool,
    ) -> [Option<Node>; HEIGHT_MAX] {
        let index = self.leaves;
        let mut replaced = [None; HEIGHT_MAX];
        self.leaves += 1;
        if index == 0 {
            self.root = leaf.raw().as_ptr();
            return replaced;
        }
        // SAFETY: the nodes live; those that are written are new or made the writer's own.
        unsafe {
            if index == 1 << (BITS * self.height) {
                let root = Node::new(now, CAPACITY_MIN);
                *root.slot(0) = self.root;
                self.root = root.0.as_ptr();
                self.height += 1;
            }
            let mut edge: *mut *mut u8 = &raw mut self.root;
            for level in (0..self.height).rev() {
                let at = digit(index, level);
                if is_first(index, level) {
                    *edge = Node::new(now, CAPACITY_MIN).0.as_ptr();
                } else {
                    let old = node(*edge);
                    let capacity = old.capacity();
                    let wanted = if at < capacity { capacity } else { 2 * capacity };
                    if wanted > capacity || is_shared(old) {
                        *edge = old.copy(now, wanted).0.as_ptr();
                        replaced[level as usize] = Some(old);
                    }
                }
                edge = node(*edge).slot(at);
            }
            *edge = leaf.raw().as_ptr();
        }
        replaced
    }

    /// Takes the last leaf out. `end` ends the life of nodes.
    unsafe fn pop_with(&mut self, mut end: impl FnMut(Node)) -> Leaf {
        let index = self.leaves - 1;
        // SAFETY: the nodes live; what is ended leads to nothing but this leaf and leftovers.
        unsafe {
            let leaf = self.leaf(index);
            let mut path = [None; HEIGHT_MAX];
            let mut raw = self.root;
            for level in (0..self.height).rev() {
                path[level as usize] = Some(node(raw));
                raw = *node(raw).slot(digit(index, level));
            }
            self.leaves -= 1;
            for level in 0..self.height {
                let node = path[level as usize].expect("the way down has a node on each level");
                if is_first(index, level) {
                    end(node);
                } else if level + 1 == self.height && index == 1 << (BITS * level) {
                    self.root = *node.slot(0);
                    self.height -= 1;
                    end(node);
                }
            }
            if self.leaves == 0 {
                *self = Directory::EMPTY;
            }
            leaf
        }
    }

    /// Takes the last leaf out.
    pub unsafe fn pop(&mut self, heap: &mut Heap) -> Leaf {
        // SAFETY: the caller's promise; the nodes are unlinked.
        unsafe { self.pop_with(|node| node.release(heap)) }
    }

    /// Takes the last leaf out of a tree that nobody else reads.
    pub unsafe fn pop_unshared(&mut self) -> Leaf {
        // SAFETY: the caller's promise; the nodes are unlinked.
        unsafe { self.pop_with(|node| node.free()) }
    }

    /// Bytes of all nodes, as if those at the right edge were whole. (Those of one table: a node has 2 KiB.)
    pub fn node_bytes(&self) -> usize {
        let mut below = self.leaves;
        let mut bytes = 0;
        for _ in 0..self.height {
            let whole = below / FANOUT;
            let rest = below % FANOUT;
            bytes += whole * layout(FANOUT).size();
            if rest > 0 {
                bytes += layout(rest.next_power_of_two().max(CAPACITY_MIN)).size();
            }
            below = below.div_ceil(FANOUT);
        }
        bytes
    }

    /// Panics if a node is older than `origin`.
    pub unsafe fn check(&self, origin: Epoch) {
        // SAFETY: the nodes live.
        unsafe {
            for index in 0..self.leaves {
                let mut raw = self.root;
                for level in (0..self.height).rev() {
                    let node = node(raw);
                    assert!(origin <= node.header().birth, "a node's birth");
                    assert!(digit(index, level) < node.capacity());
                    raw = *node.slot(digit(index, level));
                }
                assert!(origin <= Leaf::from_raw(NonNull::new(raw).expect("a leaf")).birth(), "a leaf's birth");
            }
            assert!(self.leaves <= 1 << (BITS * self.height));
            assert!(self.height == 0 || self.leaves > 1 << (BITS * (self.height - 1)), "no higher than it must be");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_are_stacked_and_found() {
        let mut heap = Heap::new();
        let mut directory = Directory::EMPTY;
        let most = if cfg!(miri) { 600 } else { 70_000 };
        let numbered = |n: usize, heap: &Heap| Leaf::new(heap.epoch(), 0, n % 100);
        let mut leaves = vec![];
        // SAFETY: the leaves and nodes are this test's own.
        unsafe {
            for n in 0..most {
                leaves.push(numbered(n, &heap));
                directory.push(&mut heap, leaves[n]);
            }
            assert!((0..most).all(|n| directory.leaf(n) == leaves[n]));
            directory.check(heap.epoch());
            for n in (300..most).rev() {
                assert!(directory.pop_unshared() == leaves[n]);
            }
            let snapshot = directory;
            let ticket = heap.open_snapshot().ticket();
            for n in (200..300).rev() {
                assert!(directory.pop(&mut heap) == leaves[n]);
            }
            let other = numbered(0, &heap);
            for n in 200..280 {
                directory.push(&mut heap, other);
                assert!(directory.leaf(n) == other);
            }
            directory.own_path(&mut heap, 7);
            directory.set(7, other);
            assert!((0..300).all(|n| snapshot.leaf(n) == leaves[n]));
            assert!((0..200).all(|n| directory.leaf(n) == if n == 7 { other } else { leaves[n] }));
            while directory.leaves() > 0 {
                directory.pop(&mut heap);
            }
            drop(ticket);
            heap.reap();
            while heap.reclaim(100) {}
            assert_eq!(directory.node_bytes(), 0);
            other.free();
            leaves.into_iter().for_each(|leaf| leaf.free());
        }
    }
}
