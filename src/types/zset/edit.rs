//! Changing a sorted set in its entry, and moving it from one form to the other.

use super::large::{End, ZsetObject};
use super::{COMPACT_BYTES_MAX, ZsetRef, compact};
use crate::collections::listpack::{Item, ListpackRef};
use crate::cow::Heap;
use crate::dict::Payload;
use crate::types::contract::{DataType, Encoding};
use crate::types::object::Object;
use crate::types::place::{Place, sizes_differ};
use crate::types::value::ValueRef;
use crate::util::text::Text;
use std::ops::Range;

/// What may be added, and how: the options of ZADD.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct AddRule {
    /// NX: only members that are not there.
    pub new_only: bool,
    /// XX: only members that are there.
    pub known_only: bool,
    /// GT: a member that is there, only to a greater score.
    pub greater_only: bool,
    /// LT: a member that is there, only to a lower score.
    pub lower_only: bool,
    /// INCR: the score is added to the one that is there.
    pub increment: bool,
}

/// What became of an element that was added.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Added {
    /// It is new.
    New(f64),
    /// It has another score now.
    Moved(f64),
    /// It had that score.
    Same(f64),
    /// The rule forbids it.
    Refused,
}

/// An increment led to no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NanScore;

fn view(place: &impl Place) -> ZsetRef<'_> {
    match place.value() {
        ValueRef::Zset(set) => set,
        _ => unreachable!("the caller has seen that it is a sorted set"),
    }
}

fn large(place: &mut impl Place) -> (&mut ZsetObject, &mut Heap) {
    match place.node_mut() {
        Some((Object::Zset(set), heap)) => (set, heap),
        _ => unreachable!("the value was just seen to be large"),
    }
}

/// Adds a member, or changes its score.
pub fn add<'t>(place: &mut impl Place, rule: AddRule, score: f64, member: impl Text<'t>) -> Result<Added, NanScore> {
    let known = match view(place) {
        ZsetRef::Compact(lp) => compact::find(lp, member.as_ref()),
        ZsetRef::Large(set) => set.score(member.as_ref()).map(|score| (0, score)),
    };
    let Some((at, old)) = known else {
        if rule.known_only {
            return Ok(Added::Refused);
        }
        insert(place, score, member);
        return Ok(Added::New(score));
    };
    if rule.new_only {
        return Ok(Added::Refused);
    }
    let new = if rule.increment { old + score } else { score };
    if new.is_nan() {
        return Err(NanScore);
    }
    if (rule.lower_only && new >= old) || (rule.greater_only && new <= old) {
        return Ok(Added::Refused);
    }
    if new == old {
        return Ok(Added::Same(new));
    }
    if place.encoding() == Encoding::Listpack {
        compact::remove_at(place, at);
        compact::insert(place, new, member.as_ref());
    } else {
        let (set, heap) = large(place);
        set.rescore(heap, member.as_ref(), old, new);
    }
    Ok(Added::Moved(new))
}

/// Adds a member that is not there.
fn insert<'t>(place: &mut impl Place, score: f64, member: impl Text<'t>) {
    if place.encoding() == Encoding::Listpack {
        let limits = place.maker().limits;
        let bytes = place.bytes();
        let entries = compact::len(ListpackRef::new(bytes)) + 1;
        let fits = entries as u64 <= limits.zset_entries
            && member.as_ref().len() as u64 <= limits.zset_value
            && bytes.len() + member.as_ref().len() < COMPACT_BYTES_MAX;
        if fits {
            return compact::insert(place, score, member.as_ref());
        }
        enlarge(place);
    }
    let (set, heap) = large(place);
    set.add(heap, score, member);
    let len = set.len();
    if sizes_differ(len - 1, len) {
        place.size_was(len - 1);
    }
}

/// So many elements are about to be added: a small set that would not hold them becomes large at once.
pub fn expect_more(place: &mut impl Place, elements: usize) {
    if place.encoding() == Encoding::Listpack && elements as u64 > place.maker().limits.zset_entries {
        enlarge(place);
    }
}

/// A small set becomes a large one.
fn enlarge(place: &mut impl Place) {
    let bytes = place.bytes().to_vec();
    let maker = place.maker();
    let mut set = ZsetObject::new(&maker);
    let mut room = itoa::Buffer::new();
    for (member, score) in compact::iter(ListpackRef::new(&bytes)) {
        set.add(maker.heap, score, member.text(&mut room));
    }
    place.store(Encoding::Skiplist, Payload::Node(Box::new(Object::Zset(set))));
}

/// Removes a member; whether it was there.
pub fn remove(place: &mut impl Place, member: &[u8]) -> bool {
    match view(place) {
        ZsetRef::Compact(lp) => {
            let Some((at, _)) = compact::find(lp, member) else { return false };
            compact::remove_at(place, at);
            true
        }
        ZsetRef::Large(set) => {
            if set.score(member).is_none() {
                return false;
            }
            let (set, heap) = large(place);
            let removed = set.remove(heap, member).is_some();
            let len = set.len();
            if removed && sizes_differ(len, len + 1) {
                place.size_was(len + 1);
            }
            removed
        }
    }
}

/// Takes the first or the last of several elements out, and shows it before that.
pub fn pop(place: &mut impl Place, end: End, seen: impl FnOnce(Item<'_>, f64)) {
    if place.encoding() == Encoding::Listpack {
        let set = view(place);
        let rank = if end == End::First { 0 } else { set.len() - 1 };
        let mut seen = Some(seen);
        set.walk(rank..rank + 1, false, |member, score| {
            if let Some(seen) = seen.take() {
                seen(member, score);
            }
        });
        return compact::remove_ranks(place, rank..rank + 1);
    }
    let (set, heap) = large(place);
    set.pop(heap, end, |score, member| seen(Item::Bytes(member), score));
    let len = set.len();
    if sizes_differ(len, len + 1) {
        place.size_was(len + 1);
    }
}

/// Removes the elements of these ranks.
pub fn remove_ranks(place: &mut impl Place, ranks: Range<usize>) {
    if ranks.is_empty() {
        return;
    }
    if place.encoding() == Encoding::Listpack {
        return compact::remove_ranks(place, ranks);
    }
    let len = view(place).len();
    place.size_was(len);
    let (set, heap) = large(place);
    set.remove_ranks(heap, ranks);
}
