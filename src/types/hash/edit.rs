//! Changing a hash in its entry, and moving it from one form to the next.
//!
//! What these functions do to the earliest deadline is told to nobody: the keyspace compares it before and after
//! ([`crate::db::Occupied::edit_hash`]).

use super::{COMPACT_BYTES_MAX, Field, HashObject, HashRef, compact};
use crate::collections::listpack::{Item, ListpackRef};
use crate::cow::Heap;
use crate::dict::Payload;
use crate::types::Limits;
use crate::types::contract::Encoding;
use crate::types::object::Object;
use crate::types::place::{Place, sizes_differ};
use crate::types::value::ValueRef;
use crate::util::text::Text;

fn view(place: &impl Place) -> HashRef<'_> {
    match place.value() {
        ValueRef::Hash(hash) => hash,
        _ => unreachable!("the caller has seen that it is a hash"),
    }
}

fn large(place: &mut impl Place) -> (&mut HashObject, &mut Heap) {
    match place.node_mut() {
        Some((Object::Hash(hash), heap)) => (hash, heap),
        _ => unreachable!("the value was just seen to be large"),
    }
}

/// Elements of a compact hash's listpack for each field.
fn width(encoding: Encoding) -> usize {
    if encoding == Encoding::ListpackEx { 3 } else { 2 }
}

/// A compact hash becomes a large one.
fn enlarge(place: &mut impl Place) {
    let bytes = place.bytes().to_vec();
    let width = width(place.encoding());
    let maker = place.maker();
    let mut hash = HashObject::new(maker.seed, maker.epoch());
    let (mut name_room, mut value_room) = (itoa::Buffer::new(), itoa::Buffer::new());
    for Field { name, value, deadline } in compact::iter(ListpackRef::new(&bytes), width) {
        let name = name.text(&mut name_room);
        hash.set(maker.heap, name, value.text(&mut value_room), false);
        if deadline.is_some() {
            hash.set_deadline(maker.heap, name, deadline);
        }
    }
    place.store(Encoding::Hashtable, Payload::Node(Box::new(Object::Hash(hash))));
}

/// Before fields are set: a compact hash that so many at once, or a text as long as the longest of them, would outgrow
/// becomes large now.
pub fn convert_for(place: &mut impl Place, count: usize, longest: usize, bytes: usize) {
    if place.encoding() == Encoding::Hashtable {
        return;
    }
    let limits = place.maker().limits;
    let fits = count as u64 <= limits.hash_entries
        && longest as u64 <= limits.hash_value
        && place.bytes().len() + bytes < COMPACT_BYTES_MAX;
    if !fits {
        enlarge(place);
    }
}

/// Sets a field to a value; true if the field is new. A deadline that it had goes, unless it is kept.
#[inline]
pub fn set<'n, 'v>(place: &mut impl Place, name: impl Text<'n>, value: impl Text<'v>, keep_deadline: bool) -> bool {
    if place.encoding() != Encoding::Hashtable {
        return set_compact(place, name, value, keep_deadline);
    }
    let (hash, heap) = large(place);
    let is_new = hash.set(heap, name, value, keep_deadline);
    let len = hash.len();
    if is_new && sizes_differ(len - 1, len) {
        place.size_was(len - 1);
    }
    is_new
}

fn fits(limits: &Limits, name: usize, value: usize) -> bool {
    name as u64 <= limits.hash_value && value as u64 <= limits.hash_value
}

fn set_compact<'n, 'v>(place: &mut impl Place, name: impl Text<'n>, value: impl Text<'v>, keep_deadline: bool) -> bool {
    let limits = place.maker().limits;
    let all = place.bytes().len() + name.text_len() + value.text_len();
    if !fits(&limits, name.text_len(), value.text_len()) || all >= COMPACT_BYTES_MAX {
        enlarge(place);
        return set(place, name, value, keep_deadline);
    }
    let (name, value) = (name.as_ref(), value.as_ref());
    let width = width(place.encoding());
    let lp = ListpackRef::new(place.bytes());
    match compact::find(lp, width, name) {
        Some((at, field)) if field.deadline.is_none() || keep_deadline => {
            compact::replace_value(place, at, Item::of(value));
            false
        }
        Some((at, _)) => {
            compact::remove_at(place, width, at);
            compact::push(place, width, Item::of(name), Item::of(value));
            false
        }
        None => {
            compact::push(place, width, Item::of(name), Item::of(value));
            if ListpackRef::new(place.bytes()).len() / width > limits.hash_entries as usize {
                enlarge(place);
            }
            true
        }
    }
}

/// Removes a field; false if it was not there. The hash may be empty then.
#[inline]
pub fn remove(place: &mut impl Place, name: &[u8]) -> bool {
    match view(place) {
        HashRef::Large(hash) => {
            // A fork for nothing would be a copy for nothing.
            if hash.find(name).is_none() {
                return false;
            }
            let (hash, heap) = large(place);
            let removed = hash.remove(heap, name);
            let len = hash.len();
            if removed && sizes_differ(len, len + 1) {
                place.size_was(len + 1);
            }
            removed
        }
        HashRef::Pairs(lp) | HashRef::Triples(lp) => {
            let width = width(place.encoding());
            let Some((at, _)) = compact::find(lp, width, name) else { return false };
            compact::remove_at(place, width, at);
            true
        }
    }
}

/// Deadlines are about to be given: a hash of pairs becomes one of triples, whether one is given in the end or not.
pub fn expect_deadlines(place: &mut impl Place) {
    if place.encoding() == Encoding::Listpack {
        let triples = compact::triples_of(ListpackRef::new(place.bytes()));
        place.store(Encoding::ListpackEx, Payload::Bytes(&triples));
    }
}

/// Gives a field that is there a deadline, or takes it away.
pub fn set_deadline(place: &mut impl Place, name: &[u8], deadline: Option<i64>) {
    if deadline.is_some() {
        expect_deadlines(place);
    } else if place.encoding() == Encoding::Listpack {
        return;
    }
    if place.encoding() == Encoding::Hashtable {
        let (hash, heap) = large(place);
        return hash.set_deadline(heap, name, deadline);
    }
    let (at, field) = compact::find(ListpackRef::new(place.bytes()), 3, name).expect("the caller has seen the field");
    if field.deadline == deadline {
        return;
    }
    let value = field.value.to_vec();
    compact::remove_at(place, 3, at);
    compact::insert(place, Item::of(name), Item::of(&value), deadline);
}

/// Removes a field whose time is over, the one that is due longest; its name.
pub fn pop_due(place: &mut impl Place, now_ms: i64) -> Option<Vec<u8>> {
    if !view(place).has_expired(now_ms) {
        return None;
    }
    if place.encoding() == Encoding::Hashtable {
        let (hash, heap) = large(place);
        let popped = hash.pop_due(heap, now_ms);
        let len = hash.len();
        if popped.is_some() && sizes_differ(len, len + 1) {
            place.size_was(len + 1);
        }
        return popped;
    }
    let lp = ListpackRef::new(place.bytes());
    let first = lp.first()?;
    let name = lp.item(first).to_vec();
    compact::remove_at(place, 3, first);
    Some(name)
}
