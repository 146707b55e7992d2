//! Nodes that have left the live data and wait until no snapshot can read them.
//!
//! A snapshot under heavy writing retires a node or two per write, so an item is 16 bytes: the node, its birth, and
//! one word with the node's kind (how to free it) and its size. The kinds are few (about ten functions in a whole
//! server) and kept in a table beside the list.
//!
//! ```text
//! item  | node 8 | birth 4 | size in units of 8 bytes, 26 bits | kind 6 bits |
//! list  blocks of 32 to 4096 items; a block is never moved, so a push is never slow
//! ```
//!
//! Most items free one allocation. An item may also be *deep* (everything that FLUSHALL took away): it is freed in
//! slices, and stays on the list until it says that it is done.

use crate::sys::priority;
use crate::util::size_class;
use std::alloc::{Layout, dealloc};
use std::ptr::NonNull;

/// Frees a node of `bytes` bytes, or a part of it worth `budget` (which it lowers); true when nothing is left.
pub(crate) type FreeFn = unsafe fn(node: NonNull<u8>, bytes: usize, budget: &mut usize) -> bool;

/// One node on its way to a deadlist.
pub(crate) struct Retired {
    pub node: NonNull<u8>,
    pub birth: super::Epoch,
    /// For the statistics; and for `free_memory` the size of the allocation, which must be a multiple of 8.
    pub bytes: usize,
    pub free: FreeFn,
}

/// Something big that is freed in slices.
pub(crate) trait Reclaim: Send + 'static {
    /// Frees what `budget` allows (lowering it); true when nothing is left. Called by the last owner.
    fn free_some(&mut self, budget: &mut usize) -> bool;
}

/// The [`FreeFn`] of a plain allocation with this alignment.
///
/// # Safety
/// `node` was allocated with exactly this size and alignment, and nobody else can reach it.
pub(crate) unsafe fn free_memory<const ALIGN: usize>(node: NonNull<u8>, bytes: usize, budget: &mut usize) -> bool {
    *budget = budget.saturating_sub(1);
    // SAFETY: the caller's promise.
    unsafe { dealloc(node.as_ptr(), Layout::from_size_align_unchecked(bytes, ALIGN)) };
    true
}

/// The [`FreeFn`] of a `Box<T>` that is freed in slices.
///
/// # Safety
/// `node` came from `Box::<T>::into_raw`, and nobody else can reach it.
pub(super) unsafe fn free_deep<T: Reclaim>(node: NonNull<u8>, _bytes: usize, budget: &mut usize) -> bool {
    let value = node.cast::<T>();
    // SAFETY: the caller's promise.
    unsafe {
        if !(*value.as_ptr()).free_some(budget) {
            return false;
        }
        drop(Box::from_raw(value.as_ptr()));
    }
    true
}

/// Most snapshots see few nodes go, and many snapshots may live: the first block is small, and each of the next ones
/// larger.
const FIRST_ITEMS: usize = 32;
const BLOCK_GROWTH: usize = 8;
const BLOCK_ITEMS_MAX: usize = 4096;
/// Kinds are told apart by the address of what frees them, and a function may have several: one per unit of code that
/// it was compiled into, and under Miri a new one each time it is asked for.
const KIND_BITS: u32 = if cfg!(miri) { 14 } else { 6 };
const UNITS_MAX: u32 = u32::MAX >> KIND_BITS;

/// Up to this size an item knows the size of its node, if that is a multiple of 8; so nodes can be freed without being
/// touched, which would be a cache miss each.
pub(crate) const KNOWN_SIZE_MAX: usize = (UNITS_MAX as usize - 1) * 8;

#[derive(Clone, Copy)]
pub(super) struct Item {
    node: NonNull<u8>,
    pub birth: u32,
    word: u32,
}

// SAFETY: an item is the only owner of a node whose type is Send (retiring asks for it), and only its owner uses it.
unsafe impl Send for Item {}

impl Item {
    #[inline]
    fn bytes(self) -> usize {
        (self.word >> KIND_BITS) as usize * 8
    }

    /// What the node takes of the allocator.
    #[inline]
    fn takes(self) -> u64 {
        size_class(self.bytes()) as u64
    }
}

/// How to free each kind of node: a small table that only grows.
#[derive(Clone, Default)]
pub(super) struct Kinds(Vec<FreeFn>);

impl Kinds {
    #[inline]
    pub fn item(&mut self, retired: &Retired) -> Item {
        let kind = match self.0.iter().position(|known| std::ptr::fn_addr_eq(*known, retired.free)) {
            Some(kind) => kind,
            None => self.learn(retired.free),
        };
        let units = u32::try_from(retired.bytes.div_ceil(8)).unwrap_or(UNITS_MAX).min(UNITS_MAX);
        Item { node: retired.node, birth: retired.birth.0, word: units << KIND_BITS | kind as u32 }
    }

    #[cold]
    fn learn(&mut self, free: FreeFn) -> usize {
        assert!(self.0.len() < 1 << KIND_BITS, "a server has few kinds of nodes");
        self.0.push(free);
        self.0.len() - 1
    }

    /// Frees a node, or as much of it as the budget allows.
    ///
    /// # Safety
    /// The item is on no list any more, and no snapshot can read its node.
    pub unsafe fn free(&self, item: Item, budget: &mut usize) -> bool {
        let kind = (item.word & ((1 << KIND_BITS) - 1)) as usize;
        // SAFETY: the caller's promise, and that of `retire`: this function fits this node.
        unsafe { self.0[kind](item.node, item.bytes(), budget) }
    }
}

#[derive(Default)]
pub(super) struct Deadlist {
    blocks: Vec<Vec<Item>>,
    items: u64,
    bytes: u64,
}

impl Deadlist {
    #[inline]
    pub fn push(&mut self, item: Item) {
        self.items += 1;
        self.bytes += item.takes();
        match self.blocks.last_mut() {
            Some(block) if block.len() < block.capacity() => block.push(item),
            last => {
                let items = last.map_or(FIRST_ITEMS, |full| (full.len() * BLOCK_GROWTH).min(BLOCK_ITEMS_MAX));
                let mut block = Vec::with_capacity(items);
                block.push(item);
                self.bytes += block_bytes(&block);
                self.blocks.push(block);
            }
        }
    }

    pub fn pop(&mut self) -> Option<Item> {
        loop {
            let block = self.blocks.last_mut()?;
            if let Some(item) = block.pop() {
                self.items -= 1;
                self.bytes -= item.takes();
                return Some(item);
            }
            self.bytes -= block_bytes(block);
            self.blocks.pop();
        }
    }

    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    pub fn items(&self) -> u64 {
        self.items
    }

    /// Bytes of the nodes and of the list.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn block_bytes(block: &Vec<Item>) -> u64 {
    (block.capacity() * size_of::<Item>()) as u64
}

/// Nodes that nobody needs any more, to be freed where it disturbs nobody: send it to another thread and drop it.
pub struct Garbage {
    list: Deadlist,
    kinds: Kinds,
}

impl Garbage {
    /// # Safety
    /// No snapshot can read a node of the list.
    pub(super) unsafe fn new(list: Deadlist, kinds: Kinds) -> Garbage {
        Garbage { list, kinds }
    }

    /// How many nodes there are. A table that was flushed as a whole counts as one.
    pub fn items(&self) -> u64 {
        self.list.items()
    }

    /// Bytes of these nodes, and of the list of them.
    pub fn bytes(&self) -> u64 {
        self.list.bytes()
    }
}

impl Drop for Garbage {
    fn drop(&mut self) {
        let mut freed = 0u32;
        while let Some(item) = self.list.pop() {
            freed = freed.wrapping_add(1);
            if freed.is_multiple_of(64) {
                priority::pace();
            }
            let mut budget = usize::MAX;
            // SAFETY: the promise of `new`.
            while !unsafe { self.kinds.free(item, &mut budget) } {
                budget = usize::MAX;
            }
        }
    }
}
