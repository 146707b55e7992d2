//! Whole lists: made of nodes, shared with a snapshot, copied, freed in slices.

use super::end::End;
use super::node::{self, Fill};
use super::{Quicklist, Shape};
use crate::collections::tree::CowTree;
use crate::cow::{Defrag, Epoch, Heap, Unshared};
use crate::util::text::Source;

impl Quicklist {
    /// A list without elements.
    pub fn new(now: Epoch, shape: Shape) -> Quicklist {
        Quicklist { birth: now, origin: now, shape, head: End::NONE, middle: CowTree::new(now), tail: End::NONE }
    }

    /// A list of one node.
    pub fn from_listpack(now: Epoch, shape: Shape, listpack: &[u8]) -> Quicklist {
        let mut list = Quicklist::new(now, shape);
        if node::count(listpack) > 0 {
            list.head = End::new(now, listpack);
        }
        list
    }

    /// A list out of a file. Nodes without elements are left out, those that are far too large are cut.
    pub fn from_nodes(now: Epoch, shape: Shape, saved: impl IntoIterator<Item = SavedNode>) -> Quicklist {
        let mut nodes: Vec<Vec<u8>> = Vec::new();
        for node in saved {
            match node {
                SavedNode::Plain(text) => nodes.push(node::plain(Source::Whole(text))),
                SavedNode::Packed(listpack) => {
                    nodes.extend(node::pieces(listpack).into_iter().filter(|node| node::count(node) > 0));
                }
            }
        }
        Quicklist::of(now, shape, nodes)
    }

    fn of(now: Epoch, shape: Shape, mut nodes: Vec<Vec<u8>>) -> Quicklist {
        let mut list = Quicklist::new(now, shape);
        if nodes.len() > 1 {
            list.tail = nodes.pop().map_or(End::NONE, |node| End::of(now, node));
        }
        let mut nodes = nodes.into_iter();
        list.head = nodes.next().map_or(End::NONE, |node| End::of(now, node));
        let (depth, inner) = (shape.depth as usize, nodes.len());
        list.middle = CowTree::from_leaves(
            now,
            nodes.enumerate().map(|(place, mut node)| {
                let compressed = depth > 0 && place + 1 >= depth && inner - place >= depth;
                if compressed && let Some(small) = node::deflated(&node) {
                    return small;
                }
                node.shrink_to_fit();
                node
            }),
        );
        list
    }

    pub fn birth(&self) -> Epoch {
        self.birth
    }

    /// No node is older than this.
    pub fn origin(&self) -> Epoch {
        self.origin
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// How nodes are cut from now on. What there is stays as it is.
    pub fn set_fill(&mut self, fill: Fill) {
        self.shape.fill = fill;
    }

    /// The list of a forked value: shares all nodes, each to be copied before it is changed.
    pub fn fork(&self, heap: &Heap) -> Quicklist {
        Quicklist {
            birth: heap.epoch(),
            origin: self.origin,
            shape: self.shape,
            head: self.head.share(),
            middle: self.middle.fork(),
            tail: self.tail.share(),
        }
    }

    /// A second list with the same nodes, sharing nothing.
    pub fn duplicate(&self, now: Epoch) -> Quicklist {
        let copy = |end: &End| if end.is_none() { End::NONE } else { End::new(now, end.bytes()) };
        Quicklist {
            birth: now,
            origin: now,
            shape: self.shape,
            head: copy(&self.head),
            middle: self.middle.duplicate(now),
            tail: copy(&self.tail),
        }
    }

    /// Moves nodes to where they lie closer together, from the element of number `at` in the tree on; true at the end.
    pub fn defrag(&mut self, defrag: &mut Defrag<'_>, at: &mut usize) -> bool {
        if *at == 0 {
            self.head.settle(defrag);
            self.tail.settle(defrag);
        }
        self.middle.defrag(defrag, at)
    }

    /// Frees nodes worth `budget` (and lowers it); true when only the root and its ends are left.
    pub fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.middle.destroy_some(budget, proof)
    }

    /// Frees everything.
    pub fn destroy(self, proof: &Unshared) {
        let Quicklist { head, middle, tail, .. } = self;
        middle.destroy(proof);
        // SAFETY: the proof says that nobody else reaches the list.
        unsafe {
            head.free();
            tail.free();
        }
    }

    /// Ends the life of a list that left its value: frees it, or leaves it to the snapshots that may read it.
    pub fn discard(self, heap: &mut Heap) {
        let Quicklist { head, middle, tail, .. } = self;
        head.release(heap);
        tail.release(heap);
        middle.discard(heap);
    }

    /// Allocations to be freed.
    pub fn free_effort(&self) -> usize {
        1 + self.nodes()
    }

    /// Bytes allocated for nodes.
    pub fn memory(&self) -> usize {
        self.head.memory() + self.middle.memory() + self.tail.memory()
    }

    /// Panics where the list is not as it should be.
    pub fn check_invariants(&self, heap: &Heap) {
        self.middle.check_invariants(heap);
        assert!(!self.head.is_none() || (self.tail.is_none() && self.middle.is_empty()), "the head comes first");
        assert!(!self.tail.is_none() || self.middle.is_empty(), "the tail comes second");
        for (place, node) in self.iter_nodes().enumerate() {
            assert!(node::count(node) > 0, "a node has elements");
            if let node::Node::Packed(lp) = node::read(node) {
                use crate::collections::listpack::{Depth, ListpackRef};
                let lp = ListpackRef::validate(&lp, Depth::Deep).expect("a node is a listpack");
                assert_eq!(lp.len(), node::count(node));
            }
            let inner = place.min(self.nodes() - 1 - place);
            let raw = self.shape.depth == 0 || inner < self.shape.depth as usize;
            assert!(!raw || !node::is_compressed(node), "node {place} of {} is not to be compressed", self.nodes());
        }
    }
}

/// A node as a file has it.
pub enum SavedNode {
    Packed(Vec<u8>),
    Plain(Vec<u8>),
}
