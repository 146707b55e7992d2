//! Changing the bytes of one leaf: down to it, making the writer's own what a snapshot shares; up again, with the new
//! count and bound.

use std::ptr::NonNull;

use super::leaf::Leaf;
use super::node::{Header, Node, Subtree};
use super::{CowTree, HEIGHT_MAX, Items, Path};
use crate::cow::Heap;

impl<I: Items> CowTree<I> {
    /// Hands the bytes of the leaf at `path` to `f`, to be changed in place. A leaf left without items is removed, and
    /// paths end; otherwise they stay good.
    ///
    /// # Panics
    ///
    /// When there is no leaf at `path`.
    #[inline]
    pub fn edit<R>(&mut self, heap: &mut Heap, path: Path, f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        assert!(!self.is_empty(), "a path of this tree");
        let height = self.height as usize;
        let mut nodes: [NonNull<Header>; HEIGHT_MAX] = [NonNull::dangling(); HEIGHT_MAX];
        let mut subtree: *mut Subtree = &raw mut self.root;
        let mut leaf: *mut Leaf = &raw mut self.sole;
        // SAFETY: top-down, every node is made the writer's own before a pointer into it is kept, and `f` reaches no
        // node. Nothing frees a node before the last use of these pointers.
        let (result, count, change) = unsafe {
            for level in (1..=height).rev() {
                let at = path.at[level - 1] as usize;
                if level > 1 {
                    let branch = Node::<Subtree, I::Bound>::at(*subtree).owned(heap);
                    (*subtree).node = branch.pointer();
                    nodes[level - 1] = branch.pointer();
                    subtree = branch.child(at);
                } else {
                    let bottom = Node::<Leaf, I::Bound>::at(*subtree).owned(heap);
                    (*subtree).node = bottom.pointer();
                    nodes[0] = bottom.pointer();
                    leaf = bottom.child(at);
                }
            }
            let leaf = &mut *leaf;
            leaf.own(heap);
            let before = leaf.capacity();
            let result = leaf.edit(f);
            self.bytes = self.bytes + leaf.capacity() - before;
            let bytes = leaf.bytes();
            let count = if bytes.is_empty() { 0 } else { I::count(bytes) };
            let change = count as i64 - i64::from(leaf.count);
            leaf.count = u32::try_from(count).expect("fewer items than bytes");
            let mut bound = (count > 0).then(|| I::bound(bytes));
            for level in 1..=height {
                let (node, at) = (Subtree { node: nodes[level - 1], count: 0 }, path.at[level - 1] as usize);
                if level > 1 {
                    let branch = Node::<Subtree, I::Bound>::at(node);
                    let child = branch.child(at);
                    (*child).count = (*child).count.wrapping_add_signed(change);
                    if let Some(bound) = bound {
                        branch.bound(at).write(bound);
                    }
                } else if let Some(bound) = bound {
                    Node::<Leaf, I::Bound>::at(node).bound(at).write(bound);
                }
                bound = bound.filter(|_| at == 0);
            }
            (result, count, change)
        };
        self.root.count = self.root.count.wrapping_add_signed(change);
        if count == 0 {
            self.remove(heap, path);
        }
        result
    }
}
