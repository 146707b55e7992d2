//! Changing a set where it is.

use super::{Added, NewSet, SetRef, add_to_intset, add_to_listpack};
use crate::collections::intset::IntsetMut;
use crate::collections::listpack::{Item, ListpackMut};
use crate::collections::packed::{self, Keys, PackedTable};
use crate::cow::Heap;
use crate::types::contract::Encoding;
use crate::types::object::Object;
use crate::types::place::{Place, sizes_differ};
use crate::types::value::ValueRef;
use crate::util::rng::Rng;
use crate::util::text::Text;

/// The set at a place that has one.
fn view(place: &impl Place) -> SetRef<'_> {
    match place.value() {
        ValueRef::Set(set) => set,
        _ => unreachable!("the caller has seen a set"),
    }
}

/// The table of a set in the large form, to be changed.
fn table(place: &mut impl Place) -> (&mut PackedTable<Keys>, &mut Heap) {
    match place.node_mut() {
        Some((Object::Set(set), heap)) => (&mut set.table, heap),
        _ => unreachable!("the caller has seen a set in the large form"),
    }
}

/// Gives a set another encoding.
fn convert(place: &mut impl Place, encoding: Encoding) {
    // The bytes are copied because the heap, which a table is made from, is reached through the same place.
    let bytes = place.bytes().to_vec();
    let compact = match place.encoding() {
        Encoding::Intset => NewSet::Intset(bytes),
        _ => NewSet::Listpack(bytes),
    };
    let new = NewSet::converted(compact.view(), encoding, &mut place.maker());
    new.with_payload(|encoding, payload| place.store(encoding, payload));
}

/// Before `count` members are added at once: a compact set that so many would outgrow becomes large now.
pub fn prepare(place: &mut impl Place, count: usize) {
    let limits = place.maker().limits;
    let most = match place.encoding() {
        Encoding::Intset => limits.intset_entries,
        Encoding::Listpack => limits.set_entries,
        _ => return,
    };
    if count as u64 > most {
        convert(place, Encoding::Hashtable);
    }
}

/// Adds a member; false if it was there.
#[inline]
pub fn add<'t>(place: &mut impl Place, member: impl Text<'t>) -> bool {
    if place.encoding() == Encoding::Hashtable {
        let (table, heap) = table(place);
        let added = table.insert_new(heap, member, b"", false);
        let len = table.len();
        if added && sizes_differ(len - 1, len) {
            place.size_was(len - 1);
        }
        return added;
    }
    add_to_compact(place, member)
}

fn add_to_compact<'t>(place: &mut impl Place, member: impl Text<'t>) -> bool {
    let limits = place.maker().limits;
    loop {
        let item = Item::of(member.as_ref());
        let added = match place.encoding() {
            Encoding::Intset => add_to_intset(IntsetMut::new(place), item, &limits),
            Encoding::Listpack => add_to_listpack(ListpackMut::new(place), item, &limits),
            _ => return add(place, member),
        };
        match added {
            Added::Yes => return true,
            Added::No => return false,
            Added::Outgrown(encoding) => convert(place, encoding),
        }
    }
}

/// Takes a member out; false if it was not there. The set may be empty then.
#[inline]
pub fn remove(place: &mut impl Place, member: &[u8]) -> bool {
    match place.encoding() {
        Encoding::Hashtable => {
            // A fork for nothing would be a copy for nothing.
            let SetRef::Table(there) = view(place) else { unreachable!("the encoding says so") };
            let hash = there.hash(member);
            if there.find(hash, member).is_none() {
                return false;
            }
            let (table, heap) = table(place);
            let removed = table.remove_hashed(heap, hash, member);
            let len = table.len();
            if removed && sizes_differ(len, len + 1) {
                place.size_was(len + 1);
            }
            removed
        }
        Encoding::Intset => match Item::of(member) {
            Item::Int(n) => IntsetMut::new(place).remove(n),
            Item::Bytes(_) => false,
        },
        _ => {
            let mut lp = ListpackMut::new(place);
            let found = lp.view().find(member, 0);
            found.inspect(|&at| lp.remove(at)).is_some()
        }
    }
}

/// Takes a random member out, all equally likely, and shows it before that. The set has some.
pub fn pop_random(place: &mut impl Place, rng: &mut Rng, seen: impl FnOnce(Item<'_>)) {
    if place.encoding() == Encoding::Hashtable {
        let (table, heap) = table(place);
        let popped = table.take_random(heap, rng, |element| seen(Item::Bytes(element.key)));
        popped.expect("no stored set is empty");
        let len = table.len();
        if sizes_differ(len, len + 1) {
            place.size_was(len + 1);
        }
        return;
    }
    let set = view(place);
    let index = rng.index(set.len());
    match set {
        SetRef::Intset(ints) => {
            let n = ints.get(index).expect("an index below the length");
            seen(Item::Int(n));
            IntsetMut::new(place).remove(n);
        }
        SetRef::Listpack(lp) => {
            let at = lp.seek(index).expect("an index below the length");
            seen(lp.item(at));
            ListpackMut::new(place).remove(at);
        }
        SetRef::Table(_) => unreachable!("seen above"),
    }
}

/// Takes `count` random members out of a set in the large form that has more, all choices equally likely, and shows
/// each before that.
pub fn pop_many(place: &mut impl Place, count: usize, rng: &mut Rng, mut seen: impl FnMut(Item<'_>)) {
    let len = view(place).len();
    place.size_was(len);
    let (table, heap) = table(place);
    if !packed::is_many(count, table.len()) {
        for _ in 0..count {
            let popped = table.take_random(heap, rng, |element| seen(Item::Bytes(element.key)));
            popped.expect("there are more");
        }
        return;
    }
    // Each goes with the probability that makes all choices of `count` equally likely.
    let (mut wanted, mut left) = (count, table.len());
    table.retain(heap, left - count, |element| {
        let goes = rng.index(left) < wanted;
        left -= 1;
        if goes {
            wanted -= 1;
            seen(Item::Bytes(element.key));
        }
        !goes
    });
}
