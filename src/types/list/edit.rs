//! Changing a list where it is.
//!
//! Before elements come, the list may have to change its form ([`grow`]); after some went, it may be allowed to
//! ([`settle`]). No function here leaves an empty list unless it says so: the caller removes the key.

use super::{COMPACT_AGAIN, COMPACT_MAX, Item, ListObject, ListRef, Side, listpack_shape, outgrows, quicklist_shape};
use crate::collections::listpack::{ListpackMut, ListpackRef};
use crate::collections::quicklist::{Fill, NODE_MAX, Quicklist};
use crate::cow::Heap;
use crate::dict::Payload;
use crate::types::contract::Encoding;
use crate::types::object::Object;
use crate::types::place::{Place, sizes_differ};
use crate::types::value::ValueRef;
use crate::util::text::{Source, Text};
use std::ops::Range;

/// The list at a place that has one.
#[inline]
fn view(place: &impl Place) -> ListRef<'_> {
    match place.value() {
        ValueRef::List(list) => list,
        _ => unreachable!("the caller has seen a list"),
    }
}

/// The list, to be changed, if it is in the large form.
#[inline]
fn large(place: &mut impl Place) -> Option<(&mut Quicklist, &mut Heap)> {
    match place.node_mut() {
        Some((Object::List(ListObject(list)), heap)) => Some((list, heap)),
        Some(_) => unreachable!("the caller has seen a list"),
        None => None,
    }
}

fn known_large(place: &mut impl Place) -> (&mut Quicklist, &mut Heap) {
    large(place).expect("it was just given the large form")
}

/// Bytes, as one listpack, and elements of a list that is told to be a listpack.
fn listpack_size(list: ListRef<'_>) -> (usize, usize) {
    match list {
        ListRef::Compact(lp) => (lp.bytes().len(), lp.len()),
        ListRef::Large(list, _) => match list.as_listpack() {
            Some(bytes) => (bytes.len(), ListpackRef::new(bytes).len()),
            None => (list.packed_size().unwrap_or(usize::MAX / 2), list.len()),
        },
    }
}

/// Gives a compact list the large form.
#[cold]
fn enlarge(place: &mut impl Place, encoding: Encoding) {
    let bytes = place.bytes().to_vec();
    let maker = place.maker();
    let quicklist = encoding == Encoding::Quicklist;
    let shape = if quicklist { quicklist_shape(&maker.limits) } else { listpack_shape(&maker.limits) };
    let list = Quicklist::from_listpack(maker.epoch(), shape, &bytes);
    place.store(encoding, Payload::Node(Box::new(Object::List(ListObject(list)))));
}

/// Before elements come: `texts` bytes in `count` texts, as Redis counts them, which make up to `entries` bytes.
#[inline]
fn grow(place: &mut impl Place, texts: usize, count: usize, entries: usize) {
    if place.encoding() != Encoding::Listpack {
        return;
    }
    let limits = place.maker().limits;
    let list = view(place);
    let compact = matches!(list, ListRef::Compact(_));
    let size = listpack_size(list);
    if outgrows(size, (texts, count), &limits) {
        if compact {
            enlarge(place, Encoding::Quicklist);
        } else {
            known_large(place).0.set_fill(quicklist_shape(&limits).fill);
            place.set_encoding(Encoding::Quicklist);
        }
    } else if compact && size.0 + entries > COMPACT_MAX {
        enlarge(place, Encoding::Listpack);
    }
}

/// Whether [`settle`] may have something to do. A list of many nodes has no other form: in Redis it needs to have one
/// node, and only where that may be larger than ours are, a few of ours may be one of theirs.
#[inline]
fn may_settle(list: &Quicklist, encoding: Encoding) -> bool {
    match encoding {
        Encoding::Listpack => list.as_listpack().is_some_and(|bytes| bytes.len() <= COMPACT_AGAIN),
        _ => list.nodes() <= Fill::LARGEST / NODE_MAX,
    }
}

/// After elements went: gives a list the form that is right for it now.
#[inline]
fn settle(place: &mut impl Place) {
    match view(place) {
        ListRef::Large(list, encoding) if may_settle(list, encoding) => match encoding {
            Encoding::Listpack => compact(place),
            _ => become_listpack(place),
        },
        _ => {}
    }
}

/// A quicklist that Redis would make a listpack again becomes one.
fn become_listpack(place: &mut impl Place) {
    let limits = place.maker().limits;
    let ListRef::Large(list, Encoding::Quicklist) = view(place) else { return };
    let fill = Fill::of(limits.list_size);
    let may_have_several = matches!(fill, Fill::Bytes(max) if max > NODE_MAX);
    if list.nodes() > 1 && !may_have_several {
        return;
    }
    let Some(bytes) = list.packed_size() else { return };
    if !fill.allows_return(bytes, list.len()) {
        return;
    }
    if list.nodes() == 1 && bytes <= COMPACT_AGAIN {
        return compact(place);
    }
    let shape = listpack_shape(&limits);
    known_large(place).0.set_fill(shape.fill);
    place.set_encoding(Encoding::Listpack);
}

/// Puts a list of one small node into the entry.
#[cold]
fn compact(place: &mut impl Place) {
    let ListRef::Large(list, _) = view(place) else { return };
    let bytes = list.as_listpack().expect("the caller has seen one packed node").to_vec();
    place.store(Encoding::Listpack, Payload::Bytes(&bytes));
}

/// Puts elements before or after all others, one after the other. `sent` says whether they came as texts: Redis does
/// not count a number that it has as one when it decides whether a list grows too large.
#[inline]
pub fn push<'v>(place: &mut impl Place, side: Side, items: impl Iterator<Item = Item<'v>> + Clone, sent: bool) {
    let (mut texts, mut entries, mut count) = (0, 0, 0);
    for item in items.clone() {
        texts += if sent || matches!(item, Item::Bytes(_)) { item.len() } else { 0 };
        entries += item.entry_len();
        count += 1;
    }
    grow(place, texts, count, entries);
    if let Some((list, heap)) = large(place) {
        items.for_each(|item| list.push(heap, side, item));
        let len = list.len();
        if sizes_differ(len - count, len) {
            place.size_was(len - count);
        }
        return;
    }
    let mut lp = ListpackMut::new(place);
    match side {
        Side::Head => items.for_each(|item| lp.push_front(item)),
        Side::Tail => lp.extend_back(items),
    }
}

/// No text has more around it in a listpack.
const AROUND_TEXT: usize = 10;

/// The same of texts some of which are long, and may be given away.
pub fn push_texts(place: &mut impl Place, side: Side, texts: Vec<Source<'_>>) {
    let lens = texts.iter().map(|text| text.len()).sum();
    grow(place, lens, texts.len(), lens);
    let Some((list, heap)) = large(place) else {
        return push(place, side, texts.iter().map(|text| Item::of(text.as_ref())), true);
    };
    let before = list.len();
    texts.into_iter().for_each(|text| list.push_text(heap, side, text));
    if sizes_differ(before, list.len()) {
        place.size_was(before);
    }
}

/// Hands `count` elements from one end to `f`, the outermost first, and removes them. There are more than that.
#[inline]
pub fn pop(place: &mut impl Place, side: Side, count: usize, f: impl FnMut(Item<'_>)) {
    if count == 1 {
        let encoding = place.encoding();
        if let Some((list, heap)) = large(place) {
            list.end(side, f).expect("no stored list is empty");
            list.pop(heap, side);
            let (len, may_settle) = (list.len(), may_settle(list, encoding));
            if sizes_differ(len, len + 1) {
                place.size_was(len + 1);
            }
            if may_settle {
                settle(place);
            }
            return;
        }
        view(place).end(side, f).expect("no stored list is empty");
        return remove_end(place, side);
    }
    let list = view(place);
    let len = list.len();
    debug_assert!(count < len, "whoever takes all removes the key");
    list.take(if side == Side::Head { 0 } else { len - 1 }, side == Side::Tail, count, f);
    remove_range(place, if side == Side::Head { 0 } else { len - count }, count);
}

/// Removes the element at an end, and nothing else.
#[inline]
fn remove_end(place: &mut impl Place, side: Side) {
    if let Some((list, heap)) = large(place) {
        list.pop(heap, side);
        let len = list.len();
        if sizes_differ(len, len + 1) {
            place.size_was(len + 1);
        }
        return;
    }
    let mut lp = ListpackMut::new(place);
    let at = if side == Side::Head { lp.view().first() } else { lp.view().last() };
    lp.remove(at.expect("no stored list is empty"));
}

/// Moves the element from one end to the other (or the same), and hands it to `f`.
pub fn rotate(place: &mut impl Place, from: Side, to: Side, f: impl FnOnce(Item<'_>)) {
    let mut text = Vec::new();
    let number = view(place).end(from, |item| {
        f(item);
        match item {
            Item::Int(n) => Some(n),
            Item::Bytes(bytes) => {
                text.extend_from_slice(bytes);
                None
            }
        }
    });
    remove_end(place, from);
    push(place, to, std::iter::once(number.flatten().map_or(Item::Bytes(&text), Item::Int)), false);
    settle(place);
}

/// Removes `count` elements from the one with this number on. Others are left.
fn remove_range(place: &mut impl Place, start: usize, count: usize) {
    let len = view(place).len();
    place.size_was(len);
    match large(place) {
        Some((list, heap)) => drop(list.remove_range(heap, start, count)),
        None => drop(ListpackMut::new(place).remove_indices(start..start + count)),
    }
    settle(place);
}

/// Removes all elements but those with these numbers, of which there are some.
pub fn trim(place: &mut impl Place, kept: Range<usize>) {
    let len = view(place).len();
    if kept.end < len {
        remove_range(place, kept.end, len - kept.end);
    }
    if kept.start > 0 {
        remove_range(place, 0, kept.start);
    }
}

/// Removes the first `limit` elements that equal this text, or the last. Returns how many; all may be gone.
pub fn remove_equal(place: &mut impl Place, text: &[u8], limit: usize, backwards: bool) -> usize {
    let what = Item::of(text);
    let len = view(place).len();
    let removed = match view(place) {
        ListRef::Compact(lp) => {
            if lp.find(what, 0).is_none() {
                return 0;
            }
            let mut seen = lp.iter().filter(|item| *item == what).count();
            let (from, to) = if backwards { (seen.saturating_sub(limit), seen) } else { (0, limit) };
            seen = 0;
            ListpackMut::new(place).retain(1, |item| {
                let equal = item == what;
                seen += usize::from(equal);
                !equal || !(from..to).contains(&(seen - 1))
            })
        }
        ListRef::Large(..) => {
            let (list, heap) = known_large(place);
            let removed = list.remove_equal(heap, what, limit, backwards);
            if removed > 0 {
                place.size_was(len);
            }
            removed
        }
    };
    if removed > 0 && !view(place).is_empty() {
        settle(place);
    }
    removed
}

/// Puts another element in the place of the one with this number. False if there is none.
pub fn set<'t>(place: &mut impl Place, index: usize, text: impl Text<'t>) -> bool {
    grow(place, text.text_len(), 1, text.text_len() + AROUND_TEXT);
    if index >= view(place).len() {
        return false;
    }
    match large(place) {
        Some((list, heap)) => list.replace(heap, index, text.into_source()),
        None => {
            let mut lp = ListpackMut::new(place);
            let at = lp.view().seek(index).expect("the number was compared");
            lp.replace(at, Item::of(text.as_ref()));
        }
    }
    settle(place);
    true
}

/// Inserts an element before or after the first one that equals `pivot`. False if there is none.
pub fn insert<'t>(place: &mut impl Place, pivot: &[u8], after: bool, text: impl Text<'t>) -> bool {
    let pivot = Item::of(pivot);
    grow(place, text.text_len(), 1, text.text_len() + AROUND_TEXT);
    match view(place) {
        ListRef::Compact(lp) => {
            let Some(at) = lp.find(pivot, 0) else { return false };
            let at = if after { lp.behind(at) } else { at };
            ListpackMut::new(place).insert(at, Item::of(text.as_ref()));
        }
        ListRef::Large(list, _) => {
            let (position, len) = (list.position(pivot), list.len());
            let Some(index) = position else { return false };
            place.size_was(len);
            let (list, heap) = known_large(place);
            list.insert(heap, index, after, text.into_source());
        }
    }
    true
}
