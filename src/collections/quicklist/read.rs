//! Finding elements by number, and walking over them.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::node::{self, Node};
use super::{Nodes, Quicklist};
use crate::collections::listpack::{Item, ListpackRef};
use crate::collections::tree::{Cursor, Path};

/// A node's place.
#[derive(Clone, Copy, Debug)]
pub(super) enum At {
    Head,
    Middle(Path),
    Tail,
}

/// A node's place, to be walked from.
#[derive(Clone)]
pub(super) enum Spot<'a> {
    Head,
    Middle(Cursor<'a, Nodes>),
    Tail,
}

/// A node as a file has it.
pub enum NodeRef<'a> {
    Packed(Cow<'a, [u8]>),
    Plain(&'a [u8]),
}

impl<'a> Spot<'a> {
    pub(super) fn bytes(&self, list: &'a Quicklist) -> &'a [u8] {
        match self {
            Spot::Head => list.head.bytes(),
            Spot::Middle(cursor) => cursor.leaf(),
            Spot::Tail => list.tail.bytes(),
        }
    }

    fn at(&self) -> At {
        match self {
            Spot::Head => At::Head,
            Spot::Middle(cursor) => At::Middle(cursor.path()),
            Spot::Tail => At::Tail,
        }
    }

    /// The neighbour in a direction.
    pub(super) fn beside(self, list: &'a Quicklist, backwards: bool) -> Option<Spot<'a>> {
        let tail = (!list.tail.is_none()).then_some(Spot::Tail);
        match (self, backwards) {
            (Spot::Head, false) => list.middle.first().map(Spot::Middle).or(tail),
            (Spot::Tail, true) => Some(list.middle.last().map_or(Spot::Head, Spot::Middle)),
            (Spot::Middle(mut cursor), false) => {
                if cursor.next() {
                    Some(Spot::Middle(cursor))
                } else {
                    tail
                }
            }
            (Spot::Middle(mut cursor), true) => Some(if cursor.prev() { Spot::Middle(cursor) } else { Spot::Head }),
            (Spot::Head, true) | (Spot::Tail, false) => None,
        }
    }
}

impl Quicklist {
    /// Elements.
    #[inline]
    pub fn len(&self) -> usize {
        node::count(self.head.bytes()) + self.middle.len() + node::count(self.tail.bytes())
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// Nodes.
    pub fn nodes(&self) -> usize {
        usize::from(!self.head.is_none()) + self.middle.leaves() + usize::from(!self.tail.is_none())
    }

    /// How many nodes are compressed, and the bytes of all nodes if none were.
    pub fn compression(&self) -> (usize, usize) {
        self.iter_nodes().fold((0, 0), |(compressed, bytes), node| {
            (compressed + usize::from(node::is_compressed(node)), bytes + node::size(node))
        })
    }

    /// The bytes of the listpack that the list would be; none if a node has one large element.
    pub fn packed_size(&self) -> Option<usize> {
        let mut size = 7;
        for node in self.iter_nodes() {
            if node::is_plain(node) {
                return None;
            }
            size += node::size(node) - 7;
        }
        Some(size)
    }

    /// The listpack that the list is, if it is one node.
    pub fn as_listpack(&self) -> Option<&[u8]> {
        let only = self.tail.is_none() && !self.is_empty() && !node::is_plain(self.head.bytes());
        only.then(|| self.head.bytes())
    }

    /// The node with the element of this number, and the element's number inside it.
    #[inline]
    pub(super) fn locate(&self, index: usize) -> Option<(Spot<'_>, usize)> {
        let in_head = node::count(self.head.bytes());
        if index < in_head {
            return Some((Spot::Head, index));
        }
        let index = index - in_head;
        if index < self.middle.len() {
            let (cursor, index) = self.middle.seek_index(index)?;
            return Some((Spot::Middle(cursor), index));
        }
        let index = index - self.middle.len();
        (index < node::count(self.tail.bytes())).then_some((Spot::Tail, index))
    }

    /// As [`Self::locate`], without borrowing the list.
    pub(super) fn place_of(&self, index: usize) -> Option<(At, usize)> {
        self.locate(index).map(|(spot, index)| (spot.at(), index))
    }

    pub(super) fn node(&self, at: At) -> &[u8] {
        match at {
            At::Head => self.head.bytes(),
            At::Middle(path) => self.middle.at(path).expect("a place that was just found").leaf(),
            At::Tail => self.tail.bytes(),
        }
    }

    /// Hands the element with this number to `f`.
    pub fn get<R>(&self, index: usize, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let (spot, index) = self.locate(index)?;
        Some(match node::read(spot.bytes(self)) {
            Node::Plain(text) => f(Item::Bytes(text)),
            Node::Packed(lp) => f(ListpackRef::new(&lp).get(index).expect("the node has as many elements")),
        })
    }

    /// Hands the element at an end to `f`.
    #[inline]
    pub fn end<R>(&self, side: super::Side, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        let node = match side {
            super::Side::Tail if !self.tail.is_none() => self.tail.bytes(),
            _ => self.head.bytes(),
        };
        if node.is_empty() {
            return None;
        }
        // The ends are never compressed.
        if node::is_plain(node) {
            let Node::Plain(text) = node::read(node) else { unreachable!("it was just seen to be plain") };
            return Some(f(Item::Bytes(text)));
        }
        let lp = ListpackRef::new(node);
        let at = if side == super::Side::Head { lp.first() } else { lp.last() };
        Some(f(lp.item(at.expect("a node has elements"))))
    }

    /// Hands elements to `f` until it has enough, from the one with this number on, forwards or backwards.
    pub fn walk(&self, start: usize, backwards: bool, mut f: impl FnMut(Item<'_>) -> ControlFlow<()>) {
        let Some((spot, mut index)) = self.locate(start) else { return };
        let mut next = Some(spot);
        while let Some(spot) = next {
            let flow = match node::read(spot.bytes(self)) {
                Node::Plain(text) => f(Item::Bytes(text)),
                Node::Packed(lp) => {
                    let lp = ListpackRef::new(&lp);
                    match (backwards, index) {
                        (false, 0) => lp.iter().try_for_each(&mut f),
                        (false, _) => {
                            lp.seek(index).map_or(lp.iter_before(6), |at| lp.iter_from(at)).try_for_each(&mut f)
                        }
                        (true, usize::MAX) => lp.iter().rev().try_for_each(&mut f),
                        (true, _) => lp.iter_before(lp.seek(index + 1).unwrap_or(lp.end())).rev().try_for_each(&mut f),
                    }
                }
            };
            if flow.is_break() {
                return;
            }
            index = if backwards { usize::MAX } else { 0 };
            next = spot.beside(self, backwards);
        }
    }

    /// The number of the first element that equals this one.
    pub fn position(&self, what: Item<'_>) -> Option<usize> {
        let mut before = 0;
        for node in self.iter_nodes() {
            let found = match node::read(node) {
                Node::Plain(text) => what.is_text(text).then_some(0),
                Node::Packed(lp) => {
                    let lp = ListpackRef::new(&lp);
                    lp.find(what, 0).map(|at| lp.iter_before(at).count())
                }
            };
            if let Some(found) = found {
                return Some(before + found);
            }
            before += node::count(node);
        }
        None
    }

    /// The bytes of all nodes, from head to tail.
    pub(super) fn iter_nodes(&self) -> impl Iterator<Item = &[u8]> {
        let ends = |end: &'_ super::End| (!end.is_none()).then_some(());
        let (head, tail) = (ends(&self.head), ends(&self.tail));
        head.map(|()| self.head.bytes()).into_iter().chain(self.middle.iter()).chain(tail.map(|()| self.tail.bytes()))
    }

    /// The nodes as a file has them, from head to tail.
    pub fn saved_nodes(&self) -> impl Iterator<Item = NodeRef<'_>> {
        self.iter_nodes().map(|node| match node::read(node) {
            Node::Packed(lp) => NodeRef::Packed(lp),
            Node::Plain(text) => NodeRef::Plain(text),
        })
    }
}
