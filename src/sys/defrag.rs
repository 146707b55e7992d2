//! Moving allocations out of slabs that are nearly empty, so that the slabs can be given back.
//!
//! jemalloc cuts slabs (a few pages each) into blocks of one size, and a slab stays as long as one block of it is in
//! use. After many blocks were freed at random, or when values grew out of one size into the next, most slabs are
//! sparse: the process has twice the memory that its data take. Whoever knows all pointers to a block can help: it
//! copies the block, points to the copy, and frees the original.
//!
//! A copy lies in the oldest slab that has room, because that is what jemalloc gives when it is not asked for a block of
//! the thread's own cache. A block whose slab has room is in no older one, so moving it never makes matters worse, and
//! one visit of all blocks fills the oldest slabs and empties the others. How full a slab is costs a look at jemalloc's
//! record of it, without a lock.

use std::alloc::Layout;
use std::ptr::NonNull;

/// A block is moved if at least one in so many places of its slab is free: slabs fuller than that are as good as full.
#[cfg(not(any(miri, system_allocator)))]
const FREE_OF: usize = 12;

/// What moving a block costs, where looking at one costs 1.
const MOVE_COST: usize = 3;

/// What a [`Mover`] has done.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Blocks that lie elsewhere now.
    pub moved: u64,
    /// Blocks that were looked at and left where they are.
    pub left: u64,
}

/// Moves blocks that lie in sparse slabs, as long as its budget lasts.
///
/// Whoever has structures to be looked through goes on while [`Mover::may_go_on`] says so, and hands each of their
/// nodes to [`Mover::settle`].
pub struct Mover {
    which: Which,
    budget: usize,
    tally: Tally,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Which {
    Sparse,
    All,
}

impl Mover {
    /// Moves what lies in sparse slabs, and looks at about `budget` blocks.
    pub fn new(budget: usize) -> Mover {
        Mover { which: Which::Sparse, budget, tally: Tally::default() }
    }

    /// Moves everything, whatever the allocator says: for tests of structures whose nodes are moved.
    pub fn of_all(budget: usize) -> Mover {
        Mover { which: Which::All, budget, tally: Tally::default() }
    }

    /// Whether there is budget left.
    #[inline]
    pub fn may_go_on(&self) -> bool {
        self.budget > 0
    }

    /// Adds to the budget.
    pub fn allow(&mut self, budget: usize) {
        self.budget += budget;
    }

    /// What was done so far.
    #[inline]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Moves a block if that is worth it; where it lies now.
    ///
    /// # Safety
    ///
    /// `node` is a live allocation of the global allocator, made with this layout. Nobody reads or writes it meanwhile,
    /// and from now on everybody uses what this returns in its place.
    #[inline]
    pub unsafe fn settle(&mut self, node: NonNull<u8>, layout: Layout) -> NonNull<u8> {
        self.budget = self.budget.saturating_sub(1);
        let wanted = match self.which {
            Which::Sparse => jemalloc::is_in_sparse_slab(node, layout.size()),
            Which::All => true,
        };
        if wanted {
            self.budget = self.budget.saturating_sub(MOVE_COST);
            // SAFETY: the caller's promise.
            if let Some(moved) = unsafe { jemalloc::moved(node, layout) } {
                self.tally.moved += 1;
                return moved;
            }
        }
        self.tally.left += 1;
        node
    }

    /// Moves what a box holds.
    pub fn settle_box<T>(&mut self, boxed: &mut Box<T>) {
        if size_of::<T>() == 0 {
            return;
        }
        // SAFETY: the box is read and written once each, and nothing can panic in between; its content is an
        // allocation of its own with this layout, which the mutable reference has to itself, and a box's content may
        // be moved in memory as any value may.
        unsafe {
            let place: *mut Box<T> = boxed;
            let node = NonNull::new_unchecked(Box::into_raw(place.read()));
            place.write(Box::from_raw(self.settle(node.cast(), Layout::new::<T>()).cast().as_ptr()));
        }
    }

    /// Moves what a vector holds.
    pub fn settle_vec<T>(&mut self, vector: &mut Vec<T>) {
        if size_of::<T>() == 0 || vector.capacity() == 0 {
            return;
        }
        let layout = Layout::array::<T>(vector.capacity()).expect("the vector has it");
        let mut whole = std::mem::ManuallyDrop::new(std::mem::take(vector));
        let node = NonNull::new(whole.as_mut_ptr()).expect("a vector's pointer is never null");
        // SAFETY: the parts come from one vector, which is never used or dropped again; its buffer is an allocation with
        // this layout that nobody else has, and its elements may be moved in memory as any value may.
        *vector = unsafe {
            let moved = self.settle(node.cast(), layout);
            Vec::from_raw_parts(moved.cast().as_ptr(), whole.len(), whole.capacity())
        };
    }
}

/// What only jemalloc does.
#[cfg(not(any(miri, system_allocator)))]
mod jemalloc {
    use super::{FREE_OF, Layout, NonNull};
    use std::os::raw::c_void;
    use std::ptr::{self, null_mut};
    use std::sync::LazyLock;
    use tikv_jemalloc_sys as jemalloc;

    /// No slab has larger blocks: above are allocations of whole pages.
    const SLAB_BLOCK_MAX: usize = 14 << 10;

    /// The alignment that every size class has.
    const QUANTUM: usize = 8;

    /// The thread's cache would give back what was put into it a moment ago; without it blocks come from the oldest slab.
    const UNCACHED: i32 = jemalloc::MALLOCX_TCACHE_NONE;

    fn flags(layout: Layout) -> i32 {
        if layout.align() > QUANTUM { UNCACHED | jemalloc::MALLOCX_ALIGN(layout.align()) } else { UNCACHED }
    }

    /// `experimental.utilization.batch_query`, as a path of numbers; none where jemalloc has no such thing.
    static QUERY: LazyLock<Option<[usize; 3]>> = LazyLock::new(|| {
        let (mut path, mut length) = ([0_usize; 3], 3_usize);
        let name = c"experimental.utilization.batch_query";
        // SAFETY: the name is NUL-terminated, and the path has room for the length that is given.
        let code = unsafe { jemalloc::mallctlnametomib(name.as_ptr(), path.as_mut_ptr(), &raw mut length) };
        (code == 0 && length == path.len()).then_some(path)
    });

    /// jemalloc's answer for one pointer.
    #[repr(C)]
    #[derive(Default)]
    struct Utilization {
        free: usize,
        blocks: usize,
        size: usize,
    }

    pub fn is_in_sparse_slab(node: NonNull<u8>, size: usize) -> bool {
        let Some(path) = QUERY.as_ref().filter(|_| size <= SLAB_BLOCK_MAX) else { return false };
        let mut slab = Utilization::default();
        let mut length = size_of::<Utilization>();
        let mut asked: *mut c_void = node.as_ptr().cast();
        // SAFETY: the path is jemalloc's own; one pointer goes in, and the answer has room for the one that comes out.
        // The pointer is only looked up.
        let code = unsafe {
            jemalloc::mallctlbymib(
                path.as_ptr(),
                path.len(),
                (&raw mut slab).cast(),
                &raw mut length,
                (&raw mut asked).cast(),
                size_of::<*mut c_void>(),
            )
        };
        code == 0 && slab.free > 0 && slab.free * FREE_OF >= slab.blocks
    }

    /// # Safety
    /// As for [`super::Mover::settle`].
    pub unsafe fn moved(node: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the size is not zero; the copy has room for all of the original, which was allocated with this layout
        // and is the caller's to free.
        unsafe {
            let copy = NonNull::new(jemalloc::mallocx(layout.size(), flags(layout)).cast::<u8>())?;
            ptr::copy_nonoverlapping(node.as_ptr(), copy.as_ptr(), layout.size());
            jemalloc::sdallocx(node.as_ptr().cast(), layout.size(), flags(layout));
            Some(copy)
        }
    }

    /// Empties the calling thread's cache: what lies there keeps slabs alive.
    pub fn flush_cache() {
        let name = c"thread.tcache.flush";
        // SAFETY: the name is NUL-terminated; nothing is read or written. Without a cache there is nothing to do.
        unsafe { jemalloc::mallctl(name.as_ptr(), null_mut(), null_mut(), null_mut(), 0) };
    }

    pub fn is_supported() -> bool {
        QUERY.is_some()
    }
}

/// Another allocator says nothing about its slabs; everything may still be moved, by a test.
#[cfg(any(miri, system_allocator))]
mod jemalloc {
    use super::{Layout, NonNull};
    use std::alloc::{alloc, dealloc};
    use std::ptr;

    pub fn is_in_sparse_slab(_node: NonNull<u8>, _size: usize) -> bool {
        false
    }

    /// # Safety
    /// As for [`super::Mover::settle`].
    pub unsafe fn moved(node: NonNull<u8>, layout: Layout) -> Option<NonNull<u8>> {
        // SAFETY: the size is not zero; the rest is the caller's promise.
        unsafe {
            let copy = NonNull::new(alloc(layout))?;
            ptr::copy_nonoverlapping(node.as_ptr(), copy.as_ptr(), layout.size());
            dealloc(node.as_ptr(), layout);
            Some(copy)
        }
    }

    pub fn flush_cache() {}

    pub fn is_supported() -> bool {
        false
    }
}

pub use jemalloc::{flush_cache, is_supported};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(any(miri, system_allocator)))]
    fn a_pass_empties_sparse_slabs_and_leaves_full_ones() {
        assert!(is_supported());
        // A size that nothing else in this process has many blocks of.
        let mut boxes: Vec<Box<[u64; 389]>> = (0..4000).map(|n| Box::new([n; 389])).collect();
        flush_cache();
        let mut mover = Mover::new(usize::MAX);
        boxes.iter_mut().for_each(|boxed| mover.settle_box(boxed));
        assert!(mover.tally().moved < 40, "all slabs but the last are full: {:?}", mover.tally());

        let mut n = 0;
        boxes.retain(|_| {
            n += 1;
            n % 4 == 0
        });
        flush_cache();
        let mut mover = Mover::new(usize::MAX);
        boxes.iter_mut().for_each(|boxed| mover.settle_box(boxed));
        let first = mover.tally();
        assert!((400..=1000).contains(&first.moved), "{first:?}");
        assert!(boxes.iter().enumerate().all(|(at, boxed)| boxed.iter().all(|&n| n == at as u64 * 4 + 3)));

        let mut mover = Mover::new(usize::MAX);
        boxes.iter_mut().for_each(|boxed| mover.settle_box(boxed));
        assert!(mover.tally().moved < 40, "what has settled stays: {:?}", mover.tally());
    }

    #[test]
    fn the_budget_runs_out() {
        let mut mover = Mover::of_all(2 * (1 + MOVE_COST));
        let mut boxed = Box::new(7_u32);
        let mut visits = 0;
        while mover.may_go_on() {
            mover.settle_box(&mut boxed);
            visits += 1;
        }
        assert_eq!((visits, *boxed), (2, 7));
        assert_eq!(mover.tally(), Tally { moved: 2, left: 0 });
        mover.settle_box(&mut Box::new(()));
        let mut many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        mover.settle_vec(&mut many);
        assert!(many.iter().enumerate().all(|(at, text)| *text == at.to_string()) && many.len() == 100);
        mover.settle_vec(&mut Vec::<u64>::new());
        mover.allow(1);
        assert!(mover.may_go_on());
    }
}
