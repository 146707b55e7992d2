//! Whole trees: made of leaves at once, shared, copied, freed in slices.

use super::leaf::Leaf;
use super::node::{Child, Node, Subtree};
use super::{CowTree, Items, Path};
use crate::cow::{Defrag, Epoch, Heap, Reclaim, Unshared};
use crate::sys::priority;

/// A tree of more leaves is not freed while somebody waits.
const FREED_AT_ONCE_MAX: usize = 64;

impl<I: Items> CowTree<I> {
    /// A tree of these leaves, in this order, its nodes full. Leaves without items are left out.
    pub fn from_leaves(now: Epoch, leaves: impl IntoIterator<Item = Vec<u8>>) -> CowTree<I> {
        let mut tree = CowTree::new(now);
        let mut row: Vec<(Leaf, I::Bound)> = Vec::new();
        for bytes in leaves {
            let count = if bytes.is_empty() { 0 } else { I::count(&bytes) };
            if count > 0 {
                let bound = I::bound(&bytes);
                let leaf = Leaf::new(bytes, now, count);
                tree.bytes += leaf.capacity();
                row.push((leaf, bound));
            }
        }
        tree.leaves = row.len();
        if row.len() <= 1 {
            tree.sole = row.pop().map_or(Leaf::NONE, |(leaf, _)| leaf);
            return tree;
        }
        let mut subtrees = tree.row_above(now, &row);
        tree.height = 1;
        while subtrees.len() > 1 {
            subtrees = tree.row_above(now, &subtrees);
            tree.height += 1;
        }
        tree.root = subtrees[0].0;
        tree
    }

    /// The nodes above a row of children, evenly filled.
    fn row_above<C: Child>(&mut self, now: Epoch, row: &[(C, I::Bound)]) -> Vec<(Subtree, I::Bound)> {
        let nodes = row.len().div_ceil(Node::<C, I::Bound>::MAX);
        let mut above = Vec::with_capacity(nodes);
        let mut rest = row;
        for left in (1..=nodes).rev() {
            let (part, later) = rest.split_at(rest.len().div_ceil(left));
            rest = later;
            let node = Node::<C, I::Bound>::new(Node::<C, I::Bound>::capacity_for(part.len()), now);
            // SAFETY: the node is new and has room for the part.
            unsafe {
                part.iter().enumerate().for_each(|(at, (child, bound))| node.insert(at, *child, *bound));
                self.bytes += node.bytes();
                above.push((Subtree { node: node.pointer(), count: node.count() }, part[0].1));
            }
        }
        above
    }

    /// The tree of a forked value: shares all nodes, each to be copied before it is changed. Only as safe as the
    /// caller keeps to [`CowValue`](crate::cow::CowValue): the older one is dropped as a shell, that is, forgotten.
    pub fn fork(&self) -> CowTree<I> {
        CowTree { ..*self }
    }

    /// A second tree with the same leaves, sharing nothing (COPY).
    pub fn duplicate(&self, now: Epoch) -> CowTree<I> {
        CowTree::from_leaves(now, self.iter().map(<[u8]>::to_vec))
    }

    /// The leaves in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut cursor = self.first();
        std::iter::from_fn(move || {
            let leaf = cursor.as_ref()?.leaf();
            if !cursor.as_mut()?.next() {
                cursor = None;
            }
            Some(leaf)
        })
    }

    /// Moves nodes and leaves to where they lie closer together, from the item of number `at` on, a bottom with its leaves
    /// at a time, and one at least. True at the end.
    pub fn defrag(&mut self, defrag: &mut Defrag<'_>, at: &mut usize) -> bool {
        while *at < self.len() {
            // SAFETY: the nodes and leaves of a tree live.
            *at = unsafe { self.defrag_bottom(defrag, *at) };
            if !defrag.may_go_on() {
                break;
            }
        }
        *at >= self.len()
    }

    /// Moves what lies below the bottom that has the item `at`, and the nodes above that begin with it. Returns the number
    /// of the item after the bottom's last one.
    ///
    /// # Safety
    /// The nodes live, and there is such an item.
    unsafe fn defrag_bottom(&mut self, defrag: &mut Defrag<'_>, at: usize) -> usize {
        // SAFETY: whoever points to a node that was moved is told at once, and reached by a fresh pointer afterwards.
        unsafe {
            if self.height == 0 {
                self.sole.settle(defrag);
                return self.len();
            }
            let (mut subtree, mut before): (*mut Subtree, usize) = (&raw mut self.root, 0);
            for _ in 1..self.height {
                let mut branch = Node::<Subtree, I::Bound>::at(*subtree);
                if before == at {
                    branch = branch.settled(defrag);
                    (*subtree).node = branch.pointer();
                }
                let mut next = 0;
                while before + branch.children()[next].count as usize <= at {
                    before += branch.children()[next].count as usize;
                    next += 1;
                }
                subtree = branch.child(next);
            }
            let bottom = Node::<Leaf, I::Bound>::at(*subtree).settled(defrag);
            (*subtree).node = bottom.pointer();
            for next in 0..bottom.len() {
                let leaf = bottom.child(next);
                before += (*leaf).count as usize;
                if before > at {
                    (*leaf).settle(defrag);
                }
            }
            before
        }
    }

    /// Frees leaves worth `budget` (one each, which lowers it), and nodes with them; true when nothing is left. What
    /// remains is of no use as a tree.
    pub fn destroy_some(&mut self, budget: &mut usize, _proof: &Unshared) -> bool {
        while self.height > 0 {
            if *budget == 0 {
                return false;
            }
            // SAFETY: the proof says that this is the last owner.
            let freed = unsafe { self.free_last_bottom() };
            self.leaves = self.leaves.saturating_sub(freed);
            *budget = budget.saturating_sub(freed);
            priority::pace();
        }
        let sole = std::mem::replace(&mut self.sole, Leaf::NONE);
        // SAFETY: as above.
        unsafe { sole.free() };
        (self.leaves, self.bytes) = (0, 0);
        true
    }

    /// Frees the last bottom with its leaves, and the branches that had nothing else.
    ///
    /// # Safety
    /// This is the last owner; the height is not 0.
    unsafe fn free_last_bottom(&mut self) -> usize {
        let height = self.height as usize;
        let (mut way, mut subtree) = ([Subtree::NONE; super::HEIGHT_MAX], self.root);
        // SAFETY: nodes are freed bottom-up, and forgotten by the node above at once.
        unsafe {
            for level in (2..=height).rev() {
                way[level - 1] = subtree;
                subtree = *Node::<Subtree, I::Bound>::at(subtree).children().last().expect("no node is empty");
            }
            let bottom = Node::<Leaf, I::Bound>::at(subtree);
            let freed = bottom.len();
            bottom.children().iter().for_each(|leaf| leaf.free());
            bottom.free();
            for above in &way[1..height] {
                let branch = Node::<Subtree, I::Bound>::at(*above);
                branch.truncate(branch.len() - 1);
                if branch.len() > 0 {
                    return freed;
                }
                branch.free();
            }
            (self.root, self.height) = (Subtree::NONE, 0);
            freed
        }
    }

    /// Frees everything.
    pub fn destroy(mut self, proof: &Unshared) {
        self.destroy_some(&mut { usize::MAX }, proof);
    }

    /// Ends the life of a tree that left its value: frees it, now if it is small, or leaves it to the snapshots that may
    /// read it.
    pub fn discard(self, heap: &mut Heap) {
        if self.leaves > FREED_AT_ONCE_MAX || (heap.is_shared(self.origin) && self.leaves > 0) {
            let (origin, bytes) = (self.origin, self.bytes);
            heap.free_later(Box::new(Discarded(self)), origin, bytes);
        } else {
            // SAFETY: no node is older than the origin, and that is younger than all snapshots (rule R).
            self.destroy(&unsafe { Unshared::proven() });
        }
    }

    /// Removes all leaves, as [`CowTree::discard`] does.
    pub fn clear(&mut self, heap: &mut Heap) {
        let old = std::mem::replace(self, CowTree::new(heap.epoch()));
        old.discard(heap);
    }
}

struct Discarded<I: Items>(CowTree<I>);

impl<I: Items> Reclaim for Discarded<I> {
    fn free_some(&mut self, budget: &mut usize) -> bool {
        // SAFETY: only the last owner is asked to free.
        self.0.destroy_some(budget, &unsafe { Unshared::proven() })
    }
}

impl Path {
    /// The path of a tree's first leaf.
    pub const FIRST: Path = Path { at: [0; super::HEIGHT_MAX] };
}
