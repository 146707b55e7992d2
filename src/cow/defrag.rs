//! Moving nodes to where they lie closer together: active defragmentation, as structures see it.
//!
//! A node may be moved when nobody but the writer can reach it. While a snapshot lives that would have to be asked of
//! each node, and moving the shared ones would copy everything that the snapshot has; so nothing is moved meanwhile, and
//! [`Defrag`] is the witness that none lives: the heap is borrowed, and without it none can be opened. A moved node keeps
//! its birth, which is as good a lower bound as it was.

use std::alloc::Layout;
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::Heap;
use crate::sys::defrag::Mover;

/// Permission to move the nodes of one heap's data.
pub struct Defrag<'h> {
    mover: &'h mut Mover,
    heap: PhantomData<&'h Heap>,
}

/// How far a pass over one value is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The part of a value that is made of several.
    pub part: u32,
    /// Where in this part, as the part counts.
    pub at: usize,
}

impl Heap {
    /// Lets nodes be moved; none while a snapshot lives.
    pub fn defrag<'h>(&'h self, mover: &'h mut Mover) -> Option<Defrag<'h>> {
        (!self.has_snapshot()).then_some(Defrag { mover, heap: PhantomData })
    }
}

impl Defrag<'_> {
    /// Whether there is budget left.
    #[inline]
    pub fn may_go_on(&self) -> bool {
        self.mover.may_go_on()
    }

    /// How many nodes were moved so far.
    #[inline]
    pub fn moved(&self) -> u64 {
        self.mover.tally().moved
    }

    /// Moves a node if that is worth it; where it lies now.
    ///
    /// # Safety
    ///
    /// The node is a part of this heap's live data, allocated with this layout, and the caller puts what this returns
    /// in its place everywhere.
    #[inline]
    pub(crate) unsafe fn settle(&mut self, node: NonNull<u8>, layout: Layout) -> NonNull<u8> {
        // SAFETY: the caller's promise; no snapshot lives, so nobody else reads the live data.
        unsafe { self.mover.settle(node, layout) }
    }

    /// Moves what a box holds.
    pub fn settle_box<T>(&mut self, boxed: &mut Box<T>) {
        self.mover.settle_box(boxed);
    }

    /// Moves what a vector holds.
    pub fn settle_vec<T>(&mut self, vector: &mut Vec<T>) {
        self.mover.settle_vec(vector);
    }

    /// One part after the other of a value: `f` moves the part of this number from a place on, raises the place, and
    /// says whether it is done. True when all `parts` are.
    pub fn in_parts(
        &mut self,
        parts: u32,
        progress: &mut Progress,
        mut f: impl FnMut(&mut Self, u32, &mut usize) -> bool,
    ) -> bool {
        while progress.part < parts {
            if !f(self, progress.part, &mut progress.at) {
                return false;
            }
            *progress = Progress { part: progress.part + 1, at: 0 };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_moved_while_a_snapshot_lives() {
        let mut heap = Heap::new();
        let mut mover = Mover::of_all(10);
        assert!(heap.defrag(&mut mover).is_some());
        let ticket = heap.open_snapshot().ticket();
        assert!(heap.defrag(&mut mover).is_none());
        drop(ticket);
        assert!(heap.defrag(&mut mover).is_none(), "not before the end was noticed");
        heap.reap();
        assert!(heap.defrag(&mut mover).is_some());
    }

    #[test]
    fn parts_follow_each_other() {
        let (heap, mut mover) = (Heap::new(), Mover::of_all(10));
        let mut defrag = heap.defrag(&mut mover).expect("no snapshot lives");
        let (mut progress, mut seen) = (Progress::default(), vec![]);
        while !defrag.in_parts(3, &mut progress, |_, part, at| {
            seen.push((part, *at));
            *at += 1;
            *at > part as usize
        }) {}
        assert_eq!(seen, [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]);
    }
}
