//! Leaves that come and go, and what that does to the nodes above: splits, merges, a root that grows and shrinks.
//!
//! A node that is full splits in halves, unless the new leaf is the first or the last of the whole tree: then the full
//! node stays as it is, so that a tree filled in order is full everywhere. A node with few children joins a neighbour
//! below the same branch, if the two together are not full again.

use super::leaf::Leaf;
use super::node::{Child, Node, Subtree};
use super::{CowTree, HEIGHT_MAX, Items, Path, Place};
use crate::cow::Heap;

/// A leaf on its way to its bottom.
struct Arrival<B> {
    leaf: Leaf,
    bound: B,
    path: Path,
    after: bool,
    /// Before or after all others.
    outermost: bool,
}

impl<I: Items> CowTree<I> {
    /// Puts a new leaf in.
    ///
    /// # Panics
    ///
    /// When the leaf has no items, or its place is none of this tree's.
    pub fn insert(&mut self, heap: &mut Heap, place: Place, bytes: Vec<u8>) {
        let (count, bound) = (I::count(&bytes), I::bound(&bytes));
        assert!(count > 0, "a leaf has items");
        let leaf = Leaf::new(bytes, heap.epoch(), count);
        self.bytes += leaf.capacity();
        self.leaves += 1;
        if self.is_empty() {
            self.sole = leaf;
            return;
        }
        let last = self.last().map(|last| last.path()).unwrap_or_default();
        let (path, after, outermost) = match place {
            Place::First => (Path::default(), false, true),
            Place::Last => (last, true, true),
            Place::Before(path) => (path, false, path.at == Path::default().at),
            Place::After(path) => (path, true, path.at == last.at),
        };
        if self.height == 0 {
            return self.first_bottom(heap, leaf, bound, after);
        }
        let arrival = Arrival { leaf, bound, path, after, outermost };
        // SAFETY: the root is reached by this tree alone, as far as rule R does not forbid to change it.
        unsafe {
            let (root, split) = self.insert_below(heap, self.root, self.height as usize, &arrival);
            self.root = root;
            if let Some(right) = split {
                assert!((self.height as usize) < HEIGHT_MAX, "a tree of this height has more leaves than memory");
                let branch = Node::<Subtree, I::Bound>::new(Node::<Subtree, I::Bound>::capacity_for(2), heap.epoch());
                branch.insert(0, root, first_bound::<I>(root, self.height as usize));
                branch.insert(1, right, first_bound::<I>(right, self.height as usize));
                self.bytes += branch.bytes();
                self.root = Subtree { node: branch.pointer(), count: root.count + right.count };
                self.height += 1;
            }
        }
    }

    /// The second leaf of a tree brings the first bottom.
    fn first_bottom(&mut self, heap: &mut Heap, leaf: Leaf, bound: I::Bound, after: bool) {
        let first = std::mem::replace(&mut self.sole, Leaf::NONE);
        let bottom = Node::<Leaf, I::Bound>::new(Node::<Leaf, I::Bound>::capacity_for(2), heap.epoch());
        // SAFETY: the bottom is new, with room for two; the first leaf lives.
        unsafe {
            bottom.insert(0, first, I::bound(first.bytes()));
            bottom.insert(usize::from(after), leaf, bound);
            self.bytes += bottom.bytes();
        }
        self.root = Subtree { node: bottom.pointer(), count: first.count() + leaf.count() };
        self.height = 1;
    }

    /// Inserts below a subtree. The subtree as it is then, and its new right neighbour if it split.
    ///
    /// # Safety
    /// The subtree is part of the tree, at this level, and what is above it is the writer's own.
    unsafe fn insert_below(
        &mut self,
        heap: &mut Heap,
        subtree: Subtree,
        level: usize,
        arrival: &Arrival<I::Bound>,
    ) -> (Subtree, Option<Subtree>) {
        let at = arrival.path.at[level - 1] as usize;
        // SAFETY: the caller's promise; every node is made the writer's own before it changes.
        unsafe {
            if level == 1 {
                let bottom = Node::<Leaf, I::Bound>::at(subtree).owned(heap);
                assert!(at < bottom.len(), "a path of this tree");
                let at = at + usize::from(arrival.after);
                return self.add(heap, bottom, at, arrival.leaf, arrival.bound, arrival.outermost);
            }
            let branch = Node::<Subtree, I::Bound>::at(subtree).owned(heap);
            let child = branch.child(at);
            let (left, right) = self.insert_below(heap, *child, level - 1, arrival);
            child.write(left);
            branch.bound(at).write(first_bound::<I>(left, level - 1));
            match right {
                None => (Subtree { node: branch.pointer(), count: subtree.count + arrival.leaf.count() }, None),
                Some(right) => {
                    let bound = first_bound::<I>(right, level - 1);
                    self.add(heap, branch, at + 1, right, bound, arrival.outermost)
                }
            }
        }
    }

    /// Adds a child to a node of the writer's, which grows or splits for it.
    ///
    /// # Safety
    /// The node lives and is the writer's own.
    unsafe fn add<C: Child>(
        &mut self,
        heap: &mut Heap,
        node: Node<C, I::Bound>,
        at: usize,
        child: C,
        bound: I::Bound,
        outermost: bool,
    ) -> (Subtree, Option<Subtree>) {
        // SAFETY: the caller's promise; new nodes are the writer's own.
        unsafe {
            let (len, max) = (node.len(), Node::<C, I::Bound>::MAX);
            if len < max {
                let node = self.with_room(heap, node, len + 1);
                node.insert(at, child, bound);
                return (whole(node), None);
            }
            let middle = match at {
                // The new child, or the one that split for it, stays alone on its side.
                0 | 1 if outermost => at,
                _ if outermost && at == len => len,
                _ => len / 2,
            };
            let right_len = len - middle + usize::from(at >= middle);
            let capacity = Node::<C, I::Bound>::capacity_for(right_len.max(2));
            let right = Node::<C, I::Bound>::new(capacity, heap.epoch());
            right.extend(node, middle..len);
            node.truncate(middle);
            self.bytes += right.bytes();
            // The first of all goes to the left of a full node, which then is the right one.
            if at < middle || (at == 0 && middle == 0) {
                node.insert(at, child, bound);
            } else {
                right.insert(at - middle, child, bound);
            }
            (whole(node), Some(whole(right)))
        }
    }

    /// The node, or a larger one in its place.
    ///
    /// # Safety
    /// The node lives and is the writer's own.
    unsafe fn with_room<C: Child>(
        &mut self,
        heap: &mut Heap,
        node: Node<C, I::Bound>,
        children: usize,
    ) -> Node<C, I::Bound> {
        // SAFETY: the caller's promise.
        unsafe {
            if children <= node.capacity() {
                return node;
            }
            let larger = node.copied(Node::<C, I::Bound>::capacity_for(children), heap.epoch());
            self.bytes = self.bytes + larger.bytes() - node.bytes();
            node.release(heap);
            larger
        }
    }

    /// Takes the leaf at `path` out.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn remove(&mut self, heap: &mut Heap, path: Path) {
        assert!(self.leaves > 0, "a path of this tree");
        self.leaves -= 1;
        // SAFETY: what is taken out of the tree is released once; nodes are the writer's own before they change.
        unsafe {
            if self.height == 0 {
                let sole = std::mem::replace(&mut self.sole, Leaf::NONE);
                self.bytes -= sole.capacity();
                sole.release(heap);
                return;
            }
            self.root = self.remove_below(heap, self.root, self.height as usize, &path);
            self.lower(heap);
        }
    }

    /// Takes roots away that have one child.
    ///
    /// # Safety
    /// The root is the writer's own.
    pub(super) unsafe fn lower(&mut self, heap: &mut Heap) {
        // SAFETY: the caller's promise; a child may be shared, it is only moved.
        unsafe {
            while self.height > 1 {
                let root = Node::<Subtree, I::Bound>::at(self.root);
                let &[child] = root.children() else { return };
                self.bytes -= root.bytes();
                root.release(heap);
                self.root = child;
                self.height -= 1;
            }
            let bottom = Node::<Leaf, I::Bound>::at(self.root);
            let &[leaf] = bottom.children() else { return };
            self.bytes -= bottom.bytes();
            bottom.release(heap);
            (self.root, self.sole, self.height) = (Subtree::NONE, leaf, 0);
        }
    }

    /// Removes below a subtree, which may be left without children.
    ///
    /// # Safety
    /// As for [`CowTree::insert_below`].
    unsafe fn remove_below(&mut self, heap: &mut Heap, subtree: Subtree, level: usize, path: &Path) -> Subtree {
        let at = path.at[level - 1] as usize;
        // SAFETY: the caller's promise; every node is made the writer's own before it changes.
        unsafe {
            if level == 1 {
                let bottom = Node::<Leaf, I::Bound>::at(subtree).owned(heap);
                let leaf = *bottom.child(at);
                bottom.remove(at);
                self.bytes -= leaf.capacity();
                leaf.release(heap);
                return Subtree { node: bottom.pointer(), count: subtree.count - leaf.count() };
            }
            let branch = Node::<Subtree, I::Bound>::at(subtree).owned(heap);
            let child = branch.child(at);
            let before = *child;
            let after = self.remove_below(heap, before, level - 1, path);
            child.write(after);
            if level == 2 {
                self.settle::<Leaf>(heap, branch, at);
            } else {
                self.settle::<Subtree>(heap, branch, at);
            }
            Subtree { node: branch.pointer(), count: subtree.count - (before.count - after.count) }
        }
    }

    /// After a child lost something: forgets it if it is empty, joins it to a neighbour if it has few left.
    ///
    /// # Safety
    /// The branch and the child, whose children are `C`, are the writer's own.
    pub(super) unsafe fn settle<C: Child>(&mut self, heap: &mut Heap, branch: Node<Subtree, I::Bound>, at: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let child = Node::<C, I::Bound>::at(*branch.child(at));
            if child.len() == 0 {
                branch.remove(at);
                self.bytes -= child.bytes();
                child.release(heap);
                return;
            }
            branch.bound(at).write(child.bounds()[0]);
            if child.len() < Node::<C, I::Bound>::FEW {
                let _joined = self.join::<C>(heap, branch, at) || (at > 0 && self.join::<C>(heap, branch, at - 1));
            }
        }
    }

    /// Makes one of two neighbouring nodes, if that is not too full.
    ///
    /// # Safety
    /// The branch is the writer's own.
    unsafe fn join<C: Child>(&mut self, heap: &mut Heap, branch: Node<Subtree, I::Bound>, at: usize) -> bool {
        // SAFETY: the caller's promise; the left node is made the writer's own, the right one is only read.
        unsafe {
            let &[left, right, ..] = &branch.children()[at..] else { return false };
            let (first, second) = (Node::<C, I::Bound>::at(left), Node::<C, I::Bound>::at(right));
            let total = first.len() + second.len();
            if total > Node::<C, I::Bound>::JOINED_MAX {
                return false;
            }
            let first = first.owned(heap);
            let first = self.with_room(heap, first, total);
            first.extend(second, 0..second.len());
            self.bytes -= second.bytes();
            second.release(heap);
            branch.child(at).write(Subtree { node: first.pointer(), count: left.count + right.count });
            branch.remove(at + 1);
            true
        }
    }

    /// After items were taken from the leaf at `path`: joins it with a neighbour if [`Items::joinable`] says so. All
    /// paths end. Does nothing if there is no such leaf.
    pub fn mend(&mut self, heap: &mut Heap, path: Path) {
        let Some(this) = self.at(path) else { return };
        for forward in [true, false] {
            let mut other = this.clone();
            if !(if forward { other.next() } else { other.prev() }) {
                continue;
            }
            let (left, right) = if forward { (&this, &other) } else { (&other, &this) };
            if I::joinable(left.leaf(), right.leaf()) {
                let (to, from, moved) = (left.path(), right.path(), right.leaf().to_vec());
                self.edit(heap, to, |leaf| I::join(leaf, &moved));
                return self.remove(heap, from);
            }
        }
    }
}

/// A node with the count of its children.
///
/// # Safety
/// The node lives.
unsafe fn whole<C: Child, B: Copy>(node: Node<C, B>) -> Subtree {
    // SAFETY: the caller's promise.
    Subtree { node: node.pointer(), count: unsafe { node.count() } }
}

/// The bound of a subtree's first item.
///
/// # Safety
/// The subtree lives, at this level, and is not empty.
unsafe fn first_bound<I: Items>(subtree: Subtree, level: usize) -> I::Bound {
    // SAFETY: the caller's promise.
    unsafe {
        if level == 1 {
            Node::<Leaf, I::Bound>::at(subtree).bounds()[0]
        } else {
            Node::<Subtree, I::Bound>::at(subtree).bounds()[0]
        }
    }
}
