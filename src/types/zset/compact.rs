//! A small sorted set: a listpack of members and scores in turn, in order, as Redis keeps it.
//!
//! A score that is a whole number is stored as one; others as the text that Redis prints. (So a negative
//! zero becomes zero here, in Redis too.)

use super::leaf::order;
use crate::collections::buffer::Buffer;
use crate::collections::listpack::{self, Item, ListpackMut, ListpackRef};
use crate::util::num;
use std::ops::Range;

/// An element of any form of set: its member and its score.
pub type Element<'a> = (Item<'a>, f64);

/// What a score is stored as; its text, if it needs one, goes to `room`.
fn cell(score: f64, room: &mut Vec<u8>) -> Item<'_> {
    let whole = score as i64;
    if score.abs() <= (i64::MAX / 2) as f64 && whole as f64 == score {
        return Item::Int(whole);
    }
    num::push_f64(room, score);
    // From half the range of an i64 on a whole number has a text, with zeros at its end, that can be one nevertheless.
    Item::of(room)
}

/// The score at a position.
fn score_at(lp: ListpackRef<'_>, at: usize) -> f64 {
    lp.item(at).as_f64().expect("every second element is a score")
}

fn score_of(item: Item<'_>) -> f64 {
    item.as_f64().expect("every second element is a score")
}

/// How many elements there are.
pub(super) fn len(lp: ListpackRef<'_>) -> usize {
    lp.len() / 2
}

/// The position of a member, and its score.
pub(super) fn find(lp: ListpackRef<'_>, member: &[u8]) -> Option<(usize, f64)> {
    let at = lp.find(member, 1)?;
    Some((at, score_at(lp, lp.behind(at))))
}

/// The elements in order.
pub(super) fn iter(lp: ListpackRef<'_>) -> impl Iterator<Item = Element<'_>> + Clone {
    let mut items = lp.iter();
    std::iter::from_fn(move || Some((items.next()?, score_of(items.next()?))))
}

/// The elements before a rank, backwards.
pub(super) fn iter_back(lp: ListpackRef<'_>, rank: usize) -> impl Iterator<Item = Element<'_>> {
    let mut items = lp.iter_before(lp.seek(2 * rank).unwrap_or(lp.end()));
    std::iter::from_fn(move || {
        let score = items.next_back()?;
        Some((items.next_back()?, score_of(score)))
    })
}

/// The elements from a rank on.
pub(super) fn iter_from(lp: ListpackRef<'_>, rank: usize) -> impl Iterator<Item = Element<'_>> {
    let mut items = lp.iter_from(lp.seek(2 * rank).unwrap_or(lp.end()));
    std::iter::from_fn(move || Some((items.next()?, score_of(items.next()?))))
}

/// Puts an element in its place. The member is not there.
pub(super) fn insert<B: Buffer + ?Sized>(buffer: &mut B, score: f64, member: &[u8]) {
    let lp = ListpackRef::new(buffer.bytes());
    let mut items = lp.iter();
    let mut room = itoa::Buffer::new();
    let at = loop {
        let at = items.position();
        let (Some(other), Some(cell)) = (items.next(), items.next()) else { break at };
        if order((score_of(cell), other.text(&mut room)), (score, member)).is_gt() {
            break at;
        }
    };
    let mut text = Vec::new();
    ListpackMut::new(buffer).insert_all(at, [Item::of(member), cell(score, &mut text)].into_iter());
}

/// Takes the element at a member's position out.
pub(super) fn remove_at<B: Buffer + ?Sized>(buffer: &mut B, at: usize) {
    ListpackMut::new(buffer).remove_run(at, 2);
}

/// Takes the elements of these ranks out.
pub(super) fn remove_ranks<B: Buffer + ?Sized>(buffer: &mut B, ranks: Range<usize>) {
    ListpackMut::new(buffer).remove_indices(2 * ranks.start..2 * ranks.end);
}

/// A listpack of elements in order.
pub(super) fn collect<'p>(pairs: impl Iterator<Item = (f64, &'p [u8])>) -> Vec<u8> {
    let mut bytes = listpack::new(0);
    let mut lp = ListpackMut::new(&mut bytes);
    let mut text = Vec::new();
    for (score, member) in pairs {
        text.clear();
        lp.push_back(Item::of(member));
        lp.push_back(cell(score, &mut text));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8]) -> Vec<(String, f64)> {
        iter(ListpackRef::new(bytes)).map(|(m, s)| (String::from_utf8(m.to_vec()).unwrap(), s)).collect()
    }

    #[test]
    fn elements_find_their_places() {
        let mut bytes = listpack::new(0);
        for (score, member) in [(2.0, "b"), (1.5, "c"), (2.0, "a"), (f64::INFINITY, "12"), (-0.0, "z"), (0.0, "y")] {
            insert(&mut bytes, score, member.as_bytes());
        }
        let expected = [("y", 0.0), ("z", 0.0), ("c", 1.5), ("a", 2.0), ("b", 2.0), ("12", f64::INFINITY)];
        assert_eq!(all(&bytes), expected.map(|(m, s)| (m.to_owned(), s)));
        let lp = ListpackRef::new(&bytes);
        assert_eq!(find(lp, b"12").map(|(_, s)| s), Some(f64::INFINITY));
        assert_eq!(find(lp, b"0"), None, "a score is no member");
        let back: Vec<_> = iter_back(lp, 2).map(|(m, _)| m.to_vec()).collect();
        assert_eq!(back, [b"z", b"y"]);
        assert_eq!(iter_from(lp, 5).count(), 1);
        assert_eq!(iter_from(lp, 6).count(), 0);
        let at = find(lp, b"c").expect("it is there").0;
        remove_at(&mut bytes, at);
        remove_ranks(&mut bytes, 0..2);
        assert_eq!(all(&bytes), expected[3..].iter().map(|(m, s)| (m.to_string(), *s)).collect::<Vec<_>>());
        let copy = collect([(1.0, &b"x"[..]), (1.25, b"7")].into_iter());
        assert_eq!(all(&copy), [("x".to_owned(), 1.0), ("7".to_owned(), 1.25)]);
    }

    #[test]
    fn scores_are_stored_as_redis_stores_them() {
        for (score, stored) in [
            (-7.0, Item::Int(-7)),
            (-0.0, Item::Int(0)),
            (0.1, Item::Bytes(b"0.1")),
            (1501200421007884.8, Item::Bytes(b"1501200421007884.7")),
            (1e23, Item::Bytes(b"99999999999999990000000")),
            (4611686018427387904.0, Item::Int(4611686018427387904)),
            (4611686018427440000.0, Item::Int(4611686018427440000)),
            (9223372036854864000.0, Item::Bytes(b"9223372036854864000")),
            (f64::INFINITY, Item::Bytes(b"inf")),
        ] {
            let bytes = collect([(score, &b"m"[..])].into_iter());
            let lp = ListpackRef::new(&bytes);
            assert_eq!(lp.iter().nth(1), Some(stored), "{score}");
            assert_eq!(iter(lp).next().map(|(_, score)| score), Some(score));
        }
    }
}
