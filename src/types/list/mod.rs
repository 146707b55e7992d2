//! The type `list`: elements in an order, pushed and popped at both ends.
//!
//! # Where a list lives, and what OBJECT ENCODING says about it
//!
//! | the list | lives | reported encoding |
//! | --- | --- | --- |
//! | up to [`COMPACT_MAX`] bytes as a listpack | in the entry or one buffer behind it | `listpack` |
//! | while it would be one listpack in Redis (`list-max-listpack-size`) | a quicklist | `listpack` |
//! | longer | a quicklist | `quicklist` |
//!
//! The last column is Redis's, and depends on the history: a list becomes a quicklist when a push (an LSET, an LINSERT)
//! *might* make it too large, and a listpack again when it has one node of at most half the size. It is kept in the
//! entry. The second column is ours: a listpack of kilobytes in one buffer would be moved by every LPUSH and copied by
//! the first write after a snapshot, so it goes to a quicklist's end, which has room in front, far earlier.

mod edit;
mod rdb;
mod rewrite;

pub use crate::collections::listpack::Item;
pub use crate::collections::quicklist::Side;
pub use edit::{insert, pop, push, push_texts, remove_equal, rotate, set, trim};

use super::contract::{DataType, Encoding, TypeName};
use super::digest::Digest;
use super::object::Object;
use super::place::Maker;
use super::value::Stored;
use crate::collections::listpack::{self, ListpackMut, ListpackRef};
use crate::collections::quicklist::{Fill, NODE_MAX, Quicklist, Shape};
use crate::cow::{CowValue, Defrag, Epoch, Heap, Progress, Unshared};
use crate::dict::Payload;
use crate::types::Limits;
use crate::util::text::Source;
use std::ops::ControlFlow;

/// Above so many bytes a listpack does not lie in the entry or in a buffer of its own.
pub const COMPACT_MAX: usize = 1024;
/// A quicklist that shrinks to this is put there again.
const COMPACT_AGAIN: usize = COMPACT_MAX / 2;

/// The large form.
pub struct ListObject(Quicklist);

impl ListObject {
    /// An independent value with the same contents.
    pub fn duplicate(&self, heap: &Heap) -> Self {
        ListObject(self.0.duplicate(heap.epoch()))
    }
}

impl CowValue for ListObject {
    fn birth(&self) -> Epoch {
        self.0.birth()
    }

    fn origin(&self) -> Epoch {
        self.0.origin()
    }

    fn fork(&self, heap: &mut Heap) -> Self {
        ListObject(self.0.fork(heap))
    }

    fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.0.destroy_some(budget, proof)
    }

    fn destroy(self, proof: &Unshared) {
        self.0.destroy(proof);
    }

    fn free_effort(&self) -> usize {
        self.0.free_effort()
    }

    fn memory(&self) -> usize {
        self.0.memory()
    }

    fn elements(&self) -> usize {
        self.0.len()
    }

    fn defrag(&mut self, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        self.0.defrag(defrag, &mut progress.at)
    }
}

/// A value to be read, in any encoding.
#[derive(Clone, Copy)]
pub enum ListRef<'a> {
    Compact(ListpackRef<'a>),
    Large(&'a Quicklist, Encoding),
}

impl<'a> ListRef<'a> {
    /// The value that an entry stores in this encoding.
    #[inline]
    pub fn of(encoding: Encoding, stored: Stored<'a>) -> Self {
        match stored {
            Stored::Bytes(bytes) => ListRef::Compact(ListpackRef::new(bytes)),
            Stored::Node(Object::List(list)) => ListRef::Large(&list.0, encoding),
            Stored::Node(_) => unreachable!("the entry says that it is a list"),
        }
    }

    /// How many elements it has.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            ListRef::Compact(lp) => lp.len(),
            ListRef::Large(list, _) => list.len(),
        }
    }

    /// Whether it has no element, which no stored list is.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Hands the element with this number to `f`, unless there is none.
    #[inline]
    pub fn get<R>(self, index: usize, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self {
            ListRef::Compact(lp) => lp.get(index).map(f),
            ListRef::Large(list, _) => list.get(index, f),
        }
    }

    /// Hands elements to `f` until it has enough, from the one with this number on, forwards or backwards.
    #[inline]
    pub fn walk(self, start: usize, backwards: bool, mut f: impl FnMut(Item<'_>) -> ControlFlow<()>) {
        match self {
            ListRef::Compact(lp) => {
                let Some(at) = lp.seek(start) else { return };
                // Whoever breaks off has what it wants.
                let _ = if backwards {
                    lp.iter_before(lp.behind(at)).rev().try_for_each(&mut f)
                } else {
                    lp.iter_from(at).try_for_each(&mut f)
                };
            }
            ListRef::Large(list, _) => list.walk(start, backwards, f),
        }
    }

    /// Hands `count` elements to `f`, or as many as there are.
    #[inline]
    pub fn take(self, start: usize, backwards: bool, count: usize, mut f: impl FnMut(Item<'_>)) {
        let mut left = count;
        if left == 0 {
            return;
        }
        self.walk(start, backwards, |item| {
            f(item);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// Hands every element to `f`, from head to tail.
    pub fn each(self, mut f: impl FnMut(Item<'_>)) {
        self.walk(0, false, |item| {
            f(item);
            ControlFlow::Continue(())
        });
    }

    /// Hands the element at an end to `f`.
    #[inline]
    fn end<R>(self, side: Side, f: impl FnOnce(Item<'_>) -> R) -> Option<R> {
        match self {
            ListRef::Compact(lp) => {
                let at = if side == Side::Head { lp.first() } else { lp.last() };
                at.map(|at| f(lp.item(at)))
            }
            ListRef::Large(list, _) => list.end(side, f),
        }
    }
}

impl std::fmt::Debug for ListRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ListRef::Compact(lp) => lp.fmt(f),
            ListRef::Large(list, encoding) => write!(f, "{encoding:?} of {} elements", list.len()),
        }
    }
}

impl DataType for ListRef<'_> {
    const NAME: TypeName = TypeName::List;

    fn encoding(&self) -> Encoding {
        match self {
            ListRef::Compact(_) => Encoding::Listpack,
            ListRef::Large(_, encoding) => *encoding,
        }
    }

    fn len(&self) -> usize {
        ListRef::len(*self)
    }

    fn memory_usage(&self, _samples: usize) -> usize {
        match self {
            ListRef::Compact(lp) => lp.bytes().len(),
            ListRef::Large(list, _) => size_of::<Object>() + list.memory(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            ListRef::Compact(_) => 1,
            ListRef::Large(list, _) => list.free_effort(),
        }
    }

    fn digest(&self, into: &mut Digest) {
        self.each(|item| into.mix(item.text(&mut itoa::Buffer::new())));
    }
}

/// How the nodes of a list are cut that Redis would call a quicklist.
fn quicklist_shape(limits: &Limits) -> Shape {
    Shape { fill: Fill::of_node(limits.list_size), depth: limits.list_compress_depth }
}

/// How the nodes of a list are cut that would be one listpack in Redis: not at all, unless that may be larger than a
/// node.
fn listpack_shape(limits: &Limits) -> Shape {
    let fill = match Fill::of(limits.list_size) {
        Fill::Bytes(max) if max > NODE_MAX => Fill::of_node(limits.list_size),
        _ => Fill::Unbounded,
    };
    Shape { fill, depth: limits.list_compress_depth }
}

/// Whether a list of so many bytes (as one listpack) and elements, with more of both, is too large for a listpack.
fn outgrows((bytes, count): (usize, usize), (more, added): (usize, usize), limits: &Limits) -> bool {
    Fill::of(limits.list_size).is_exceeded(bytes.saturating_add(more), count + added)
}

/// A value that is not stored yet.
pub enum NewList {
    /// The bytes of a listpack.
    Compact(Vec<u8>),
    Large(Quicklist, Encoding),
}

impl NewList {
    /// A list of these elements, pushed one after the other at one side.
    pub fn pushed<'v>(items: impl Iterator<Item = Item<'v>> + Clone, side: Side, maker: &mut Maker<'_>) -> NewList {
        let (texts, entries, count) = items
            .clone()
            .fold((0, 0, 0), |(texts, entries, n), item| (texts + item.len(), entries + item.entry_len(), n + 1));
        let empty = listpack::EMPTY.len();
        let outgrown = outgrows((empty, 0), (texts, count), &maker.limits);
        if !outgrown && empty + entries <= COMPACT_MAX {
            let mut bytes = listpack::new(empty + entries);
            let mut lp = ListpackMut::new(&mut bytes);
            match side {
                Side::Head => items.for_each(|item| lp.push_front(item)),
                Side::Tail => lp.extend_back(items),
            }
            return NewList::Compact(bytes);
        }
        let (shape, encoding) = if outgrown {
            (quicklist_shape(&maker.limits), Encoding::Quicklist)
        } else {
            (listpack_shape(&maker.limits), Encoding::Listpack)
        };
        let mut list = Quicklist::new(maker.epoch(), shape);
        items.for_each(|item| list.push(maker.heap, side, item));
        NewList::Large(list, encoding)
    }

    /// The same of texts some of which are long, and may be given away.
    pub fn pushed_texts(texts: Vec<Source<'_>>, side: Side, maker: &mut Maker<'_>) -> NewList {
        let lens = texts.iter().map(|text| text.len()).sum();
        if !outgrows((listpack::EMPTY.len(), 0), (lens, texts.len()), &maker.limits) {
            return NewList::pushed(texts.iter().map(|text| Item::of(text.as_ref())), side, maker);
        }
        let mut list = Quicklist::new(maker.epoch(), quicklist_shape(&maker.limits));
        texts.into_iter().for_each(|text| list.push_text(maker.heap, side, text));
        NewList::Large(list, Encoding::Quicklist)
    }

    /// A list that is one listpack, of this size or smaller than any limit.
    fn of_listpack(bytes: Vec<u8>, maker: &Maker<'_>) -> NewList {
        if bytes.len() <= COMPACT_MAX {
            return NewList::Compact(bytes);
        }
        let list = Quicklist::from_listpack(maker.epoch(), listpack_shape(&maker.limits), &bytes);
        NewList::Large(list, Encoding::Listpack)
    }

    /// To be read.
    pub fn view(&self) -> ListRef<'_> {
        match self {
            NewList::Compact(bytes) => ListRef::Compact(ListpackRef::new(bytes)),
            NewList::Large(list, encoding) => ListRef::Large(list, *encoding),
        }
    }

    /// Hands the form in which the value goes into an entry to `store`.
    pub(crate) fn with_payload<R>(self, store: impl FnOnce(Encoding, Payload<'_, Object>) -> R) -> R {
        match self {
            NewList::Compact(bytes) => store(Encoding::Listpack, Payload::Bytes(&bytes)),
            NewList::Large(list, encoding) => store(encoding, Payload::Node(Box::new(Object::List(ListObject(list))))),
        }
    }
}

impl std::fmt::Debug for NewList {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}
