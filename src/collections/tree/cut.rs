//! Many neighbouring leaves that go at once: whole subtrees are taken off, and freed later.
//!
//! What it costs is the way down to both ends of the range, and a look at each bottom that goes, to know how many bytes
//! it had. The bottoms and leaves themselves are freed in slices or by another thread ([`Heap::free_later`]).

use super::leaf::Leaf;
use super::node::{Child, Node, Subtree};
use super::{CowTree, Items};
use crate::cow::{Heap, Reclaim, Unshared};
use std::ops::Range;

/// What was cut off, each piece a tree without a name.
struct Pieces<I: Items>(Vec<CowTree<I>>);

impl<I: Items> Reclaim for Pieces<I> {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        while let Some(piece) = self.0.last_mut() {
            // SAFETY: only the last owner is asked to free.
            if !piece.destroy_some(budget, &unsafe { Unshared::proven() }) {
                return false;
            }
            self.0.pop();
        }
        true
    }
}

impl<I: Items> CowTree<I> {
    /// Takes out all leaves whose items all have numbers in `items`; returns how many items that were. A leaf that has
    /// others too is left as it is, so up to two remain to be edited. All paths end.
    pub fn cut(&mut self, heap: &mut Heap, items: Range<usize>) -> usize {
        let before = self.len();
        let (start, end) = (items.start as u64, items.end.min(before) as u64);
        if start >= end {
            return 0;
        }
        if start == 0 && end == before as u64 {
            self.clear(heap);
            return before;
        }
        // A tree of one leaf that is not all in the range has nothing to cut.
        if self.height > 0 {
            let mut pieces = Pieces(Vec::new());
            // SAFETY: nodes are the writer's own before they change; what is taken out belongs to `pieces` alone.
            unsafe {
                self.root = self.cut_below(heap, self.root, self.height as usize, start..end, &mut pieces);
                self.lower(heap);
            }
            let (leaves, bytes) =
                pieces.0.iter().fold((0, 0), |(n, bytes), piece| (n + piece.leaves, bytes + piece.bytes));
            self.leaves -= leaves;
            self.bytes -= bytes;
            if !pieces.0.is_empty() {
                heap.free_later(Box::new(pieces), self.origin, bytes);
            }
        }
        before - self.len()
    }

    /// Cuts below a subtree, of which something stays. The numbers are those of the subtree's items.
    ///
    /// # Safety
    /// The subtree is part of the tree, at this level, and what is above it is the writer's own.
    unsafe fn cut_below(
        &mut self,
        heap: &mut Heap,
        subtree: Subtree,
        level: usize,
        items: Range<u64>,
        pieces: &mut Pieces<I>,
    ) -> Subtree {
        // SAFETY: the caller's promise; every node is made the writer's own before it changes.
        unsafe {
            if level == 1 {
                let bottom = Node::<Leaf, I::Bound>::at(subtree).owned(heap);
                let Reach { whole, .. } = Reach::of(bottom.children(), &items);
                for leaf in &bottom.children()[whole.clone()] {
                    self.leaves -= 1;
                    self.bytes -= leaf.capacity();
                    leaf.release(heap);
                }
                bottom.drain(whole);
                return Subtree { node: bottom.pointer(), count: bottom.count() };
            }
            let branch = Node::<Subtree, I::Bound>::at(subtree).owned(heap);
            let Reach { whole, partly } = Reach::of(branch.children(), &items);
            for (at, begins) in partly.into_iter().flatten() {
                let child = branch.child(at);
                let part = items.start.saturating_sub(begins)..(items.end - begins).min((*child).count);
                child.write(self.cut_below(heap, *child, level - 1, part, pieces));
            }
            for child in &branch.children()[whole.clone()] {
                pieces.0.push(self.piece(*child, level - 1));
            }
            branch.drain(whole.clone());
            // From the last to the first: what joins its neighbour leaves the numbers before it as they are.
            for (at, _) in partly.into_iter().rev().flatten() {
                let at = if at < whole.start { at } else { at - whole.len() };
                if level == 2 {
                    self.settle::<Leaf>(heap, branch, at);
                } else {
                    self.settle::<Subtree>(heap, branch, at);
                }
            }
            Subtree { node: branch.pointer(), count: branch.count() }
        }
    }

    /// A subtree as a tree of its own.
    ///
    /// # Safety
    /// The subtree is part of the tree, at this level, and is going to be taken out.
    unsafe fn piece(&self, subtree: Subtree, level: usize) -> CowTree<I> {
        // SAFETY: the caller's promise.
        let (leaves, bytes) = unsafe { measure::<I>(subtree, level) };
        CowTree { root: subtree, height: level as u8, origin: self.origin, leaves, bytes, ..CowTree::new(self.origin) }
    }
}

/// Which children a range of items concerns.
struct Reach {
    /// All of their items are in it.
    whole: Range<usize>,
    /// Some are: the child's number, and that of its first item. In order; the first may be at either end of the range.
    partly: [Option<(usize, u64)>; 2],
}

impl Reach {
    fn of<C: Child>(children: &[C], items: &Range<u64>) -> Reach {
        let mut reach = Reach { whole: 0..0, partly: [None; 2] };
        let mut begins = 0;
        for (at, child) in children.iter().enumerate() {
            let ends = begins + child.count();
            if items.start <= begins && ends <= items.end {
                let first = if reach.whole.is_empty() { at } else { reach.whole.start };
                reach.whole = first..at + 1;
            } else if begins < items.end && items.start < ends {
                let slot = usize::from(reach.partly[0].is_some());
                reach.partly[slot] = Some((at, begins));
            }
            begins = ends;
        }
        reach
    }
}

/// How many leaves are below a subtree, and the bytes of all that is there.
///
/// # Safety
/// The subtree lives, at this level.
unsafe fn measure<I: Items>(subtree: Subtree, level: usize) -> (usize, usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if level == 1 {
            let bottom = Node::<Leaf, I::Bound>::at(subtree);
            let leaves: usize = bottom.children().iter().map(|leaf| leaf.capacity()).sum();
            return (bottom.len(), bottom.bytes() + leaves);
        }
        let branch = Node::<Subtree, I::Bound>::at(subtree);
        branch.children().iter().fold((0, branch.bytes()), |(leaves, bytes), child| {
            let below = measure::<I>(*child, level - 1);
            (leaves + below.0, bytes + below.1)
        })
    }
}
