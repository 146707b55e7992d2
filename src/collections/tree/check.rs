//! The invariants, for tests: counts, bounds, sizes, and that no node the writer owns hangs below a shared one.

use super::leaf::Leaf;
use super::node::{Node, Subtree};
use super::{CowTree, Items};
use crate::cow::{Epoch, Heap};

/// What is below a node.
#[derive(Default)]
struct Sum {
    count: u64,
    leaves: usize,
    bytes: usize,
}

impl<I: Items> CowTree<I> {
    /// Panics where the tree is not as it should be.
    pub fn check_invariants(&self, heap: &Heap) {
        let mut sum = Sum::default();
        if self.height == 0 {
            assert!(self.sole.capacity() == 0 || self.sole.count > 0, "a leaf has items");
            if self.sole.count > 0 {
                self.check_leaf(self.sole, None, &mut sum);
            }
        } else {
            // SAFETY: the tree's nodes live.
            let children = unsafe {
                if self.height == 1 {
                    Node::<Leaf, I::Bound>::at(self.root).len()
                } else {
                    Node::<Subtree, I::Bound>::at(self.root).len()
                }
            };
            assert!(children > 1, "a root has more than one child");
            self.check_subtree(heap, self.root, self.height as usize, None, &mut sum);
        }
        assert_eq!((sum.count, sum.leaves, sum.bytes), (self.len() as u64, self.leaves, self.bytes));
    }

    fn check_leaf(&self, leaf: Leaf, bound: Option<I::Bound>, sum: &mut Sum) {
        // SAFETY: the tree's leaves live.
        let bytes = unsafe { leaf.bytes() };
        assert_eq!(I::count(bytes), leaf.count as usize);
        assert!(bound.is_none_or(|bound| bound == I::bound(bytes)), "a bound is that of the first item");
        assert!(leaf.birth >= self.origin);
        sum.count += u64::from(leaf.count);
        sum.leaves += 1;
        sum.bytes += leaf.capacity();
    }

    fn check_subtree(&self, heap: &Heap, subtree: Subtree, level: usize, bound: Option<I::Bound>, sum: &mut Sum) {
        let before = sum.count;
        let shared = |birth: Epoch| heap.is_shared(birth);
        // SAFETY: the tree's nodes live.
        unsafe {
            if level == 1 {
                let bottom = Node::<Leaf, I::Bound>::at(subtree);
                sum.bytes += bottom.bytes();
                assert!(bottom.len() > 0 && bound.is_none_or(|bound| bound == bottom.bounds()[0]));
                for (leaf, bound) in bottom.children().iter().zip(bottom.bounds()) {
                    assert!(!shared(bottom.birth()) || shared(leaf.birth), "rule R, top-down");
                    self.check_leaf(*leaf, Some(*bound), sum);
                }
                assert!(bottom.birth() >= self.origin);
            } else {
                let branch = Node::<Subtree, I::Bound>::at(subtree);
                sum.bytes += branch.bytes();
                assert!(branch.len() > 0 && bound.is_none_or(|bound| bound == branch.bounds()[0]));
                for (child, bound) in branch.children().iter().zip(branch.bounds()) {
                    let birth = Node::<Subtree, I::Bound>::at(*child).birth();
                    assert!(!shared(branch.birth()) || shared(birth), "rule R, top-down");
                    self.check_subtree(heap, *child, level - 1, Some(*bound), sum);
                }
                assert!(branch.birth() >= self.origin);
            }
        }
        assert_eq!(sum.count - before, subtree.count);
    }
}
