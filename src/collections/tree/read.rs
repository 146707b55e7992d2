//! Finding a leaf, and walking from it.

use super::leaf::Leaf;
use super::node::{Child, Header, Node, Subtree};
use super::{CowTree, HEIGHT_MAX, Items};
use std::ptr::NonNull;

/// Where a leaf is: the index to take in every node, uppermost last. Good until a leaf comes or goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Path {
    pub(super) at: [u8; HEIGHT_MAX],
}

/// A leaf of a tree, with the way to it.
pub struct Cursor<'t, I: Items> {
    tree: &'t CowTree<I>,
    path: Path,
    /// The nodes on the way; the first `height` are set.
    nodes: [NonNull<Header>; HEIGHT_MAX],
    leaf: Leaf,
}

impl<I: Items> Clone for Cursor<'_, I> {
    fn clone(&self) -> Self {
        Cursor { tree: self.tree, path: self.path, nodes: self.nodes, leaf: self.leaf }
    }
}

/// What [`CowTree::seek`] asks about: the first item of some part of the tree.
pub struct Edge<'t, I: Items> {
    bound: &'t I::Bound,
    subtree: EdgeSubtree,
    level: usize,
    tree: std::marker::PhantomData<&'t CowTree<I>>,
}

enum EdgeSubtree {
    Leaf(Leaf),
    Subtree(Subtree),
}

impl<'t, I: Items> Edge<'t, I> {
    /// Its bound.
    #[inline(always)]
    pub fn bound(&self) -> I::Bound {
        *self.bound
    }

    /// The leaf that begins with the item, where the bound does not decide.
    pub fn leaf(&self) -> &'t [u8] {
        let leaf = match self.subtree {
            EdgeSubtree::Leaf(leaf) => leaf,
            EdgeSubtree::Subtree(mut subtree) => {
                // SAFETY: the nodes live as long as the tree is borrowed; none is empty.
                unsafe {
                    for _ in 1..self.level {
                        subtree = Node::<Subtree, I::Bound>::at(subtree).children()[0];
                    }
                    Node::<Leaf, I::Bound>::at(subtree).children()[0]
                }
            }
        };
        // SAFETY: the leaf lives as long as the tree is borrowed, and is not changed meanwhile.
        unsafe { leaf.bytes() }
    }
}

/// Which child to take in each node on the way down.
trait Choice<I: Items> {
    fn among_subtrees(&mut self, level: usize, node: Node<Subtree, I::Bound>) -> usize;
    fn among_leaves(&mut self, node: Node<Leaf, I::Bound>) -> usize;
}

struct First;
struct Last;
struct ByIndex(u64);
struct ByEdge<F>(F);

impl<I: Items> Choice<I> for First {
    fn among_subtrees(&mut self, _: usize, _: Node<Subtree, I::Bound>) -> usize {
        0
    }
    fn among_leaves(&mut self, _: Node<Leaf, I::Bound>) -> usize {
        0
    }
}

impl<I: Items> Choice<I> for Last {
    fn among_subtrees(&mut self, _: usize, node: Node<Subtree, I::Bound>) -> usize {
        // SAFETY: the node is part of a borrowed tree; none is empty.
        unsafe { node.len() - 1 }
    }
    fn among_leaves(&mut self, node: Node<Leaf, I::Bound>) -> usize {
        // SAFETY: as above.
        unsafe { node.len() - 1 }
    }
}

impl ByIndex {
    #[inline]
    fn choose<C: Child>(&mut self, children: &[C]) -> usize {
        for (at, child) in children.iter().enumerate() {
            if self.0 < child.count() {
                return at;
            }
            self.0 -= child.count();
        }
        unreachable!("the index is below the count of the node")
    }
}

impl<I: Items> Choice<I> for ByIndex {
    fn among_subtrees(&mut self, _: usize, node: Node<Subtree, I::Bound>) -> usize {
        // SAFETY: the node is part of a borrowed tree.
        self.choose(unsafe { node.children() })
    }
    fn among_leaves(&mut self, node: Node<Leaf, I::Bound>) -> usize {
        // SAFETY: as above.
        self.choose(unsafe { node.children() })
    }
}

/// The last index of which `f` holds; it is taken to hold of 0.
#[inline(always)]
fn last_that(len: usize, mut f: impl FnMut(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, len);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if f(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

impl<'t, I: Items, F: FnMut(Edge<'t, I>) -> bool> Choice<I> for ByEdge<F> {
    #[inline]
    fn among_subtrees(&mut self, level: usize, node: Node<Subtree, I::Bound>) -> usize {
        // SAFETY: the node is part of a borrowed tree.
        let (subtrees, bounds) = unsafe { (node.children(), node.bounds()) };
        last_that(subtrees.len(), |at| {
            let (bound, subtree) = (&bounds[at], EdgeSubtree::Subtree(subtrees[at]));
            (self.0)(Edge { bound, subtree, level: level - 1, tree: std::marker::PhantomData })
        })
    }
    #[inline]
    fn among_leaves(&mut self, node: Node<Leaf, I::Bound>) -> usize {
        // SAFETY: as above.
        let (leaves, bounds) = unsafe { (node.children(), node.bounds()) };
        last_that(leaves.len(), |at| {
            let (bound, subtree) = (&bounds[at], EdgeSubtree::Leaf(leaves[at]));
            (self.0)(Edge { bound, subtree, level: 0, tree: std::marker::PhantomData })
        })
    }
}

impl<I: Items> CowTree<I> {
    #[inline]
    fn descend(&self, mut choice: impl Choice<I>) -> Option<Cursor<'_, I>> {
        if self.is_empty() {
            return None;
        }
        let mut cursor =
            Cursor { tree: self, path: Path::default(), nodes: [NonNull::dangling(); HEIGHT_MAX], leaf: self.sole };
        let mut subtree = self.root;
        for level in (1..=self.height as usize).rev() {
            cursor.nodes[level - 1] = subtree.node;
            // SAFETY: the nodes live as long as the tree is borrowed; a choice is below the node's length.
            unsafe {
                if level > 1 {
                    let node = Node::at(subtree);
                    let at = choice.among_subtrees(level, node);
                    cursor.path.at[level - 1] = at as u8;
                    subtree = node.children()[at];
                } else {
                    let node = Node::at(subtree);
                    let at = choice.among_leaves(node);
                    cursor.path.at[0] = at as u8;
                    cursor.leaf = node.children()[at];
                }
            }
        }
        Some(cursor)
    }

    /// The first leaf.
    pub fn first(&self) -> Option<Cursor<'_, I>> {
        self.descend(First)
    }

    /// The last leaf.
    pub fn last(&self) -> Option<Cursor<'_, I>> {
        self.descend(Last)
    }

    /// The leaf with the item of this number, and the item's number inside it; none beyond the end.
    #[inline]
    pub fn seek_index(&self, index: usize) -> Option<(Cursor<'_, I>, usize)> {
        if index >= self.len() {
            return None;
        }
        let mut by_index = ByIndex(index as u64);
        let cursor = self.descend_by(&mut by_index)?;
        Some((cursor, by_index.0 as usize))
    }

    fn descend_by(&self, by_index: &mut ByIndex) -> Option<Cursor<'_, I>> {
        struct Lent<'a>(&'a mut ByIndex);
        impl<I: Items> Choice<I> for Lent<'_> {
            fn among_subtrees(&mut self, level: usize, node: Node<Subtree, I::Bound>) -> usize {
                Choice::<I>::among_subtrees(self.0, level, node)
            }
            fn among_leaves(&mut self, node: Node<Leaf, I::Bound>) -> usize {
                Choice::<I>::among_leaves(self.0, node)
            }
        }
        self.descend(Lent(by_index))
    }

    /// The last leaf of which `f` says true, or the first leaf if it says so of none. `f` is asked about the first
    /// items of leaves, and must say true of a prefix of them ("is it at or before what I look for?"). None if the
    /// tree is empty.
    #[inline]
    pub fn seek<'t>(&'t self, f: impl FnMut(Edge<'t, I>) -> bool) -> Option<Cursor<'t, I>> {
        self.descend(ByEdge(f))
    }

    /// The leaf at a path; none if there is no such leaf.
    pub fn at(&self, path: Path) -> Option<Cursor<'_, I>> {
        struct Along(Path, bool);
        impl Along {
            fn index(&mut self, level: usize, len: usize) -> usize {
                let at = self.0.at[level - 1] as usize;
                self.1 &= at < len;
                at.min(len - 1)
            }
        }
        impl<I: Items> Choice<I> for &mut Along {
            fn among_subtrees(&mut self, level: usize, node: Node<Subtree, I::Bound>) -> usize {
                // SAFETY: the node is part of a borrowed tree.
                self.index(level, unsafe { node.len() })
            }
            fn among_leaves(&mut self, node: Node<Leaf, I::Bound>) -> usize {
                // SAFETY: as above.
                self.index(1, unsafe { node.len() })
            }
        }
        let mut along = Along(path, true);
        let cursor = self.descend(&mut along)?;
        along.1.then_some(cursor)
    }
}

impl<'t, I: Items> Cursor<'t, I> {
    /// The bytes of the leaf.
    #[inline]
    pub fn leaf(&self) -> &'t [u8] {
        // SAFETY: the leaf lives as long as the tree is borrowed, and is not changed meanwhile.
        unsafe { self.leaf.bytes() }
    }

    /// How many items the leaf has.
    #[inline]
    pub fn count(&self) -> usize {
        self.leaf.count as usize
    }

    /// Where the leaf is.
    #[inline]
    pub fn path(&self) -> Path {
        self.path
    }

    /// How many items come before the leaf.
    pub fn rank(&self) -> usize {
        let mut before = 0;
        for level in 1..=self.tree.height as usize {
            let (subtree, at) = (Subtree { node: self.nodes[level - 1], count: 0 }, self.path.at[level - 1] as usize);
            // SAFETY: the nodes live as long as the tree is borrowed.
            before += unsafe {
                if level == 1 {
                    counts(&Node::<Leaf, I::Bound>::at(subtree).children()[..at])
                } else {
                    counts(&Node::<Subtree, I::Bound>::at(subtree).children()[..at])
                }
            };
        }
        before as usize
    }

    /// Goes to the next leaf; stays where it is and says false at the end.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "the pair of prev; a cursor has no items of its own")]
    pub fn next(&mut self) -> bool {
        if self.tree.height > 0 {
            // SAFETY: the bottom lives as long as the tree is borrowed.
            let leaves = unsafe { self.bottom().children() };
            let at = self.path.at[0] as usize + 1;
            if let Some(leaf) = leaves.get(at) {
                (self.path.at[0], self.leaf) = (at as u8, *leaf);
                return true;
            }
        }
        self.turn(true)
    }

    /// Goes to the leaf before; stays where it is and says false at the beginning.
    #[inline]
    pub fn prev(&mut self) -> bool {
        if self.tree.height > 0 && self.path.at[0] > 0 {
            self.path.at[0] -= 1;
            // SAFETY: the bottom lives as long as the tree is borrowed.
            self.leaf = unsafe { self.bottom().children()[self.path.at[0] as usize] };
            return true;
        }
        self.turn(false)
    }

    fn bottom(&self) -> Node<Leaf, I::Bound> {
        Node::at(Subtree { node: self.nodes[0], count: 0 })
    }

    /// To the next or last bottom.
    fn turn(&mut self, forward: bool) -> bool {
        let height = self.tree.height as usize;
        for level in 2..=height {
            let node = Node::<Subtree, I::Bound>::at(Subtree { node: self.nodes[level - 1], count: 0 });
            let at = self.path.at[level - 1] as usize;
            let to = if forward { Some(at + 1) } else { at.checked_sub(1) };
            // SAFETY: the nodes live as long as the tree is borrowed; none is empty.
            unsafe {
                let Some(mut subtree) = to.and_then(|to| node.children().get(to)).copied() else { continue };
                self.path.at[level - 1] = if forward { at as u8 + 1 } else { at as u8 - 1 };
                for below in (2..level).rev() {
                    let node = Node::<Subtree, I::Bound>::at(subtree);
                    let at = if forward { 0 } else { node.len() - 1 };
                    self.nodes[below - 1] = subtree.node;
                    self.path.at[below - 1] = at as u8;
                    subtree = node.children()[at];
                }
                self.nodes[0] = subtree.node;
                let bottom = self.bottom();
                let at = if forward { 0 } else { bottom.len() - 1 };
                self.path.at[0] = at as u8;
                self.leaf = bottom.children()[at];
            }
            return true;
        }
        false
    }
}

fn counts<C: Child>(children: &[C]) -> u64 {
    children.iter().map(C::count).sum()
}
