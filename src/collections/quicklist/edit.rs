//! What commands do to a list's elements. Where a node is full, the rules are those of Redis's quicklist, case by case.

use super::node;
use super::read::At;
use super::{NODE_MAX, Nodes, Quicklist, Side};
use crate::collections::listpack::{HEADER, Item, ListpackMut, ListpackRef};
use crate::collections::tree::Cursor;
use crate::cow::Heap;
use crate::util::text::Source;

impl Quicklist {
    /// Puts an element before or after all others.
    #[inline]
    pub fn push(&mut self, heap: &mut Heap, side: Side, item: Item<'_>) {
        let end = match side {
            Side::Tail if !self.tail.is_none() => &mut self.tail,
            _ => &mut self.head,
        };
        if !end.is_none() && self.shape.fill.admits(end.bytes(), item.len()) {
            let mut node = end.own(heap);
            let mut lp = ListpackMut::new(&mut node);
            return match side {
                Side::Head => lp.push_front(item),
                Side::Tail => lp.push_back(item),
            };
        }
        let node = match item {
            Item::Bytes(text) if self.shape.fill.is_large(text.len()) => node::plain(Source::Lent(text)),
            item => node::packed(item),
        };
        self.push_node(heap, side, node);
    }

    /// Puts a text before or after all others: one that may be long.
    pub fn push_text(&mut self, heap: &mut Heap, side: Side, text: Source<'_>) {
        if self.shape.fill.is_large(text.len()) {
            self.push_node(heap, side, node::plain(text));
        } else {
            self.push(heap, side, Item::of(text.as_ref()));
        }
    }

    /// Removes the element at an end. Does nothing to an empty list.
    #[inline]
    pub fn pop(&mut self, heap: &mut Heap, side: Side) {
        let (end, at) = match side {
            Side::Tail if !self.tail.is_none() => (&mut self.tail, At::Tail),
            _ => (&mut self.head, At::Head),
        };
        if node::count(end.bytes()) > 1 {
            let mut node = end.own(heap);
            let mut lp = ListpackMut::new(&mut node);
            let at = if side == Side::Head { Some(HEADER) } else { lp.view().last() };
            lp.remove(at.expect("the node has elements"));
        } else if !end.is_none() {
            self.remove_node(heap, at);
        }
    }

    /// Inserts an element before or after the one with this number.
    ///
    /// # Panics
    /// When there is none.
    pub fn insert(&mut self, heap: &mut Heap, index: usize, after: bool, text: Source<'_>) {
        let (at, offset) = self.place_of(index).expect("an element's number");
        let (fill, node) = (self.shape.fill, self.node(at));
        let (len, count) = (text.len(), node::count(node));
        let is_plain = node::is_plain(node);
        let is_full = !fill.admits(node, len);
        let at_edge = offset == if after { count - 1 } else { 0 };
        if fill.is_large(len) {
            if !is_plain && !at_edge {
                let part = self.split(heap, at, offset, after);
                self.insert_node(heap, at, after, part);
            }
            // What was cut off, if anything, comes next on that side now, and the new node goes between.
            let (at, _) = self.place_of(index).expect("what was split has the element still");
            return self.insert_node(heap, at, after, node::plain(text));
        }
        let item = Item::of(text.as_ref());
        if !is_full {
            return self.insert_into(heap, at, offset, after, item);
        }
        if at_edge {
            let beside = if after { index.checked_add(1) } else { index.checked_sub(1) };
            if let Some((beside, offset)) = beside.and_then(|index| self.place_of(index))
                && fill.admits(self.node(beside), len)
            {
                return self.insert_into(heap, beside, offset, !after, item);
            }
            return self.insert_node(heap, at, after, node::packed(item));
        }
        let mut part = self.split(heap, at, offset, after);
        let mut lp = ListpackMut::new(&mut part);
        if after {
            lp.push_front(item);
        } else {
            lp.push_back(item);
        }
        let moved = lp.view().len();
        self.insert_node(heap, at, after, part);
        // Where the node that was split begins now.
        let first = if after { index - offset } else { index - offset + moved };
        self.join_around(heap, first);
    }

    fn insert_into(&mut self, heap: &mut Heap, at: At, offset: usize, after: bool, item: Item<'_>) {
        self.edit_node(heap, at, |node| {
            let mut lp = ListpackMut::new(node);
            let view = lp.view();
            let at = view.seek(offset + usize::from(after)).unwrap_or(view.end());
            lp.insert(at, item);
        });
    }

    /// Puts another element in the place of the one with this number.
    ///
    /// # Panics
    /// When there is none.
    pub fn replace(&mut self, heap: &mut Heap, index: usize, text: Source<'_>) {
        let (at, offset) = self.place_of(index).expect("an element's number");
        let (fill, node) = (self.shape.fill, self.node(at));
        let large = fill.is_large(text.len());
        match (node::is_plain(node), large) {
            (false, false) => {
                let size = self.edit_node(heap, at, |node| {
                    let mut lp = ListpackMut::new(node);
                    let at = lp.view().seek(offset).expect("the node has as many elements");
                    lp.replace(at, Item::of(text.as_ref()));
                    lp.view().bytes().len()
                });
                if size > 4 * NODE_MAX {
                    self.cut(heap, index - offset);
                }
            }
            (true, false) => {
                // As an insertion behind it, which may find room in the next node.
                self.insert(heap, index, true, text);
                let (at, _) = self.place_of(index).expect("still there");
                self.remove_node(heap, at);
            }
            (true, true) => {
                self.insert_node(heap, at, true, node::plain(text));
                let (at, _) = self.place_of(index).expect("still there");
                self.remove_node(heap, at);
            }
            (false, true) => {
                if offset + 1 < node::count(node) {
                    let part = self.split(heap, at, offset, true);
                    self.insert_node(heap, at, true, part);
                }
                let (at, offset) = self.place_of(index).expect("still there");
                self.insert_node(heap, at, true, node::plain(text));
                let (at, _) = self.place_of(index).expect("still there");
                self.remove_within(heap, at, offset, 1);
            }
        }
    }

    /// Cuts a node in two that has become far too large, if it has more than one element.
    fn cut(&mut self, heap: &mut Heap, first: usize) {
        let (at, _) = self.place_of(first).expect("an element's number");
        let count = node::count(self.node(at));
        if count > 1 {
            let part = self.split(heap, at, count / 2 - 1, true);
            self.insert_node(heap, at, true, part);
        }
    }

    /// Removes elements of one node; the node, if none is left.
    fn remove_within(&mut self, heap: &mut Heap, at: At, offset: usize, count: usize) {
        let node = self.node(at);
        if node::is_plain(node) || (offset == 0 && count >= node::count(node)) {
            return self.remove_node(heap, at);
        }
        self.edit_node(heap, at, |node| ListpackMut::new(node).remove_indices(offset..offset + count));
    }

    /// Removes up to `count` elements from the one with this number on. Returns how many there were.
    pub fn remove_range(&mut self, heap: &mut Heap, start: usize, count: usize) -> usize {
        let mut left = count.min(self.len().saturating_sub(start));
        let removed = left;
        left -= self.cut_nodes(heap, start, left);
        while left > 0 {
            let (at, offset) = self.place_of(start).expect("the range was cut to what there is");
            let here = left.min(node::count(self.node(at)) - offset);
            self.remove_within(heap, at, offset, here);
            left -= here;
        }
        removed
    }

    /// Takes out, at once, the nodes between the ends whose elements all go; returns how many elements that were.
    fn cut_nodes(&mut self, heap: &mut Heap, start: usize, count: usize) -> usize {
        let before = if self.head.is_none() { 0 } else { node::count(self.head.bytes()) };
        let first = start.saturating_sub(before);
        let last = (start + count).saturating_sub(before).min(self.middle.len());
        // Within one node there is nothing to cut, and no way to it to be made the writer's own.
        let reaches_behind = |(at, inside): (Cursor<'_, Nodes>, usize)| last - first > at.count() - inside;
        if first >= last || !self.middle.seek_index(first).is_some_and(reaches_behind) {
            return 0;
        }
        let cut = self.middle.cut(heap, first..last);
        if cut > 0 {
            self.settle_compression(heap);
        }
        cut
    }

    /// Removes the first `limit` elements that equal this one, or the last. Returns how many.
    pub fn remove_equal(&mut self, heap: &mut Heap, what: Item<'_>, limit: usize, backwards: bool) -> usize {
        let (mut removed, mut place) = (0, if backwards { self.len() } else { 0 });
        // Forwards `place` is where the next node begins, backwards it is where the one before ends.
        while removed < limit {
            let index = if backwards { place.checked_sub(1) } else { Some(place) };
            let Some((at, offset)) = index.and_then(|index| self.place_of(index)) else { break };
            let count = node::count(self.node(at));
            let equal = self.equal_in(at, what, limit - removed, backwards);
            if !equal.is_empty() {
                self.remove_these(heap, at, &equal);
            }
            removed += equal.len();
            place = if backwards { place - 1 - offset } else { place + count - equal.len() };
        }
        removed
    }

    /// The numbers, within a node, of its first or last elements that equal this one, ascending.
    fn equal_in(&self, at: At, what: Item<'_>, limit: usize, backwards: bool) -> Vec<usize> {
        let mut equal = Vec::new();
        match node::read(self.node(at)) {
            node::Node::Plain(text) => {
                if what.is_text(text) {
                    equal.push(0);
                }
            }
            node::Node::Packed(lp) => {
                let lp = ListpackRef::new(&lp);
                if lp.find(what, 0).is_none() {
                    return equal;
                }
                let all = lp.iter().enumerate().filter(|(_, item)| *item == what).map(|(number, _)| number);
                if backwards {
                    equal.extend(all);
                    equal.drain(..equal.len().saturating_sub(limit));
                } else {
                    equal.extend(all.take(limit));
                }
            }
        }
        equal
    }

    fn remove_these(&mut self, heap: &mut Heap, at: At, numbers: &[usize]) {
        if numbers.len() == node::count(self.node(at)) {
            return self.remove_node(heap, at);
        }
        self.edit_node(heap, at, |node| {
            let (mut number, mut next) = (0, 0);
            ListpackMut::new(node).retain(1, |_| {
                let goes = numbers.get(next) == Some(&number);
                next += usize::from(goes);
                number += 1;
                !goes
            });
        });
    }
}
