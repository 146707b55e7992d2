//! Nodes that come and go: at the ends, beside another, by a split or a join; and which of them are compressed.

use super::end::End;
use super::node;
use super::read::At;
use super::{Quicklist, Side};
use crate::collections::buffer::Buffer;
use crate::collections::listpack::{ListpackMut, ListpackRef};
use crate::collections::tree::Place;
use crate::cow::Heap;

impl Quicklist {
    /// A new outermost node; the one that was it goes inside.
    pub(super) fn push_node(&mut self, heap: &mut Heap, side: Side, node: Vec<u8>) {
        let new = End::of(heap.epoch(), node);
        if self.head.is_none() {
            self.head = new;
            return;
        }
        match side {
            Side::Head => {
                let old = std::mem::replace(&mut self.head, new);
                self.take_in(heap, old, Side::Head);
            }
            Side::Tail => {
                let old = std::mem::replace(&mut self.tail, new);
                self.take_in(heap, old, Side::Tail);
            }
        }
    }

    /// What was an end becomes the other end, if there is none yet, or the outermost leaf of the tree.
    fn take_in(&mut self, heap: &mut Heap, old: End, side: Side) {
        if old.is_none() {
            return;
        }
        if side == Side::Head && self.tail.is_none() {
            self.tail = old;
            return;
        }
        let bytes = match if self.shape.depth == 1 { node::deflated(old.bytes()) } else { None } {
            Some(small) => {
                old.release(heap);
                small
            }
            None => old.into_vec(heap),
        };
        self.middle.insert(heap, if side == Side::Head { Place::First } else { Place::Last }, bytes);
        if self.shape.depth > 1 {
            self.settle_compression(heap);
        }
    }

    /// Puts a node beside another. Places end.
    pub(super) fn insert_node(&mut self, heap: &mut Heap, at: At, after: bool, node: Vec<u8>) {
        let place = match (at, after) {
            (At::Head, false) => return self.push_node(heap, Side::Head, node),
            (At::Tail, true) => return self.push_node(heap, Side::Tail, node),
            (At::Head, true) if self.tail.is_none() => return self.push_node(heap, Side::Tail, node),
            (At::Head, true) => Place::First,
            (At::Tail, false) => Place::Last,
            (At::Middle(path), false) => Place::Before(path),
            (At::Middle(path), true) => Place::After(path),
        };
        let small = if self.shape.depth > 0 { node::deflated(&node) } else { None };
        self.middle.insert(heap, place, small.unwrap_or(node));
        self.settle_compression(heap);
    }

    /// Takes a node out. Places end.
    pub(super) fn remove_node(&mut self, heap: &mut Heap, at: At) {
        match at {
            At::Head => {
                std::mem::replace(&mut self.head, End::NONE).release(heap);
                self.fill_ends(heap);
            }
            At::Tail => {
                std::mem::replace(&mut self.tail, End::NONE).release(heap);
                self.fill_ends(heap);
            }
            At::Middle(path) => {
                self.middle.remove(heap, path);
                self.settle_compression(heap);
            }
        }
    }

    /// Gives an end that has no node its neighbour.
    fn fill_ends(&mut self, heap: &mut Heap) {
        if self.head.is_none() {
            self.head = match self.middle.first().map(|cursor| cursor.path()) {
                Some(path) => self.bring_out(heap, path),
                None => std::mem::replace(&mut self.tail, End::NONE),
            };
        }
        if self.tail.is_none()
            && let Some(path) = self.middle.last().map(|cursor| cursor.path())
        {
            self.tail = self.bring_out(heap, path);
        }
    }

    fn bring_out(&mut self, heap: &mut Heap, path: crate::collections::tree::Path) -> End {
        let end = match node::read(self.node(At::Middle(path))) {
            node::Node::Packed(lp) => {
                let end = End::new(heap.epoch(), &lp);
                self.middle.remove(heap, path);
                end
            }
            // A leaf without bytes goes by itself.
            node::Node::Plain(_) => End::of(heap.epoch(), self.middle.edit(heap, path, std::mem::take)),
        };
        self.settle_compression(heap);
        end
    }

    /// Changes a packed node in place. One that is left without elements is taken out. Places end.
    pub(super) fn edit_node<R>(&mut self, heap: &mut Heap, at: At, f: impl FnOnce(&mut dyn Buffer) -> R) -> R {
        match at {
            At::Head => {
                let result = f(&mut self.head.own(heap));
                if node::count(self.head.bytes()) == 0 {
                    self.remove_node(heap, at);
                }
                result
            }
            At::Tail => {
                let result = f(&mut self.tail.own(heap));
                if node::count(self.tail.bytes()) == 0 {
                    self.remove_node(heap, at);
                }
                result
            }
            At::Middle(path) => {
                let leaves = self.middle.leaves();
                let result = self.middle.edit(heap, path, |leaf| {
                    let was_compressed = node::inflate(leaf);
                    let result = f(leaf);
                    if was_compressed
                        && node::count(leaf) > 0
                        && let Some(small) = node::deflated(leaf)
                    {
                        *leaf = small;
                    }
                    result
                });
                if self.middle.leaves() < leaves {
                    self.settle_compression(heap);
                }
                result
            }
        }
    }

    /// Cuts the node with the element of this number, and returns the part that leaves it: what comes after the
    /// element if `after`, what comes before it otherwise. The rest has elements.
    pub(super) fn split(&mut self, heap: &mut Heap, at: At, offset: usize, after: bool) -> Vec<u8> {
        self.edit_node(heap, at, |node| {
            let mut lp = ListpackMut::new(node);
            let view = lp.view();
            let cut = view.seek(if after { offset + 1 } else { offset }).unwrap_or(view.end());
            let tail = lp.split_off(cut);
            if after {
                return tail;
            }
            let head = lp.view().bytes().to_vec();
            lp.clear();
            lp.append(ListpackRef::new(&tail));
            head
        })
    }

    /// The places of the node with the element of this number and of its two neighbours: numbers of their first
    /// elements.
    fn neighbours(&self, first: usize) -> (Option<usize>, Option<usize>) {
        let count = self.place_of(first).map_or(0, |(at, _)| node::count(self.node(at)));
        let before = first.checked_sub(1).and_then(|last| self.place_of(last).map(|(_, offset)| last - offset));
        let after = Some(first + count).filter(|next| *next < self.len());
        (before, after)
    }

    /// Joins two neighbours, given by the numbers of their first elements, if both fit into one node.
    fn join(&mut self, heap: &mut Heap, left: usize, right: usize) -> bool {
        let (Some((left, _)), Some((right, _))) = (self.place_of(left), self.place_of(right)) else { return false };
        if !self.shape.fill.admits_both(self.node(left), self.node(right)) {
            return false;
        }
        let node::Node::Packed(more) = node::read(self.node(right)) else { return false };
        let more = more.into_owned();
        self.edit_node(heap, left, |node| ListpackMut::new(node).append(ListpackRef::new(&more)));
        self.remove_node(heap, right);
        true
    }

    /// After a split: joins the nodes around the one that begins with the element of this number, in Redis's order:
    /// the two before it, the two after it, then it with the one before, then with the one after.
    pub(super) fn join_around(&mut self, heap: &mut Heap, mut center: usize) {
        let (before, after) = self.neighbours(center);
        if let Some(before) = before
            && let (Some(earlier), _) = self.neighbours(before)
        {
            self.join(heap, earlier, before);
        }
        if let Some(after) = after
            && let (_, Some(later)) = self.neighbours(after)
        {
            self.join(heap, after, later);
        }
        if let (Some(before), _) = self.neighbours(center)
            && self.join(heap, before, center)
        {
            center = before;
        }
        if let (_, Some(after)) = self.neighbours(center) {
            self.join(heap, center, after);
        }
    }

    /// After nodes came or went: the first and last few are as they are read, and the next ones inside compressed.
    pub(super) fn settle_compression(&mut self, heap: &mut Heap) {
        let depth = self.shape.depth as usize;
        if depth == 0 || self.middle.is_empty() {
            return;
        }
        for backwards in [false, true] {
            let mut cursor = if backwards { self.middle.last() } else { self.middle.first() };
            let mut unpacked = Vec::new();
            let mut packed = None;
            for place in 1..=depth.min(self.middle.leaves()) {
                let Some(at) = &mut cursor else { break };
                if place < depth && node::is_compressed(at.leaf()) {
                    unpacked.push(at.path());
                } else if place == depth && self.is_inner(place) && !node::is_compressed(at.leaf()) {
                    packed = Some(at.path());
                }
                if !(if backwards { at.prev() } else { at.next() }) {
                    break;
                }
            }
            for path in unpacked {
                self.middle.edit(heap, path, node::inflate);
            }
            if let Some(path) = packed {
                self.compress(heap, path);
            }
        }
    }

    /// Whether the leaf that is the `place`th from one end (the end itself is the 0th node) is far from the other.
    fn is_inner(&self, place: usize) -> bool {
        self.nodes() - 1 - place >= self.shape.depth as usize
    }

    fn compress(&mut self, heap: &mut Heap, path: crate::collections::tree::Path) {
        if let Some(small) = node::deflated(self.node(At::Middle(path))) {
            self.middle.edit(heap, path, |leaf| *leaf = small);
        }
    }
}
