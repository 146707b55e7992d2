//! A small hash: a listpack of pairs (field, value), or of triples (field, value, deadline), as Redis keeps it.
//!
//! `width` is 2 or 3 here. Triples are in the order of their deadlines; a deadline of 0 says that there is none, and
//! those come last.

use super::Field;
use crate::collections::buffer::Buffer;
use crate::collections::listpack::{self, Item, ListpackMut, ListpackRef};

/// What a triple has in the place of its deadline.
fn deadline_of(item: Item<'_>) -> Option<i64> {
    item.as_i64().filter(|&deadline| deadline != 0)
}

/// The field at a position.
fn field_at<'a>(lp: ListpackRef<'a>, width: usize, at: usize) -> Field<'a> {
    let (name, behind) = lp.read(at);
    let (value, behind) = lp.read(behind);
    let deadline = if width == 3 { deadline_of(lp.item(behind)) } else { None };
    Field { name, value, deadline }
}

/// The position of a field, and the field.
#[inline]
pub(super) fn find<'a>(lp: ListpackRef<'a>, width: usize, name: &[u8]) -> Option<(usize, Field<'a>)> {
    let at = lp.find(name, width - 1)?;
    Some((at, field_at(lp, width, at)))
}

/// The field with this number.
pub(super) fn at_index(lp: ListpackRef<'_>, width: usize, index: usize) -> Option<Field<'_>> {
    lp.seek(index * width).map(|at| field_at(lp, width, at))
}

/// All fields in order.
pub(super) fn iter<'a>(lp: ListpackRef<'a>, width: usize) -> impl Iterator<Item = Field<'a>> + Clone {
    let mut items = lp.iter();
    std::iter::from_fn(move || {
        let (name, value) = (items.next()?, items.next()?);
        let deadline = if width == 3 { deadline_of(items.next()?) } else { None };
        Some(Field { name, value, deadline })
    })
}

/// The earliest deadline of triples: that of the first.
pub(super) fn first_deadline(lp: ListpackRef<'_>) -> Option<i64> {
    at_index(lp, 3, 0)?.deadline
}

/// Appends a field without deadline. It is not there yet.
pub(super) fn push<B: Buffer + ?Sized>(buffer: &mut B, width: usize, name: Item<'_>, value: Item<'_>) {
    let items = [name, value, Item::Int(0)];
    ListpackMut::new(buffer).extend_back(items[..width].iter().copied());
}

/// Puts a triple where its deadline belongs. The field is not there yet.
pub(super) fn insert<B: Buffer + ?Sized>(buffer: &mut B, name: Item<'_>, value: Item<'_>, deadline: Option<i64>) {
    let Some(deadline) = deadline else { return push(buffer, 3, name, value) };
    let lp = ListpackRef::new(buffer.bytes());
    let mut items = lp.iter();
    let at = loop {
        let at = items.position();
        let (Some(_), Some(_), Some(other)) = (items.next(), items.next(), items.next()) else { break at };
        if deadline_of(other).is_none_or(|other| other >= deadline) {
            break at;
        }
    };
    ListpackMut::new(buffer).insert_all(at, [name, value, Item::Int(deadline)].into_iter());
}

/// Gives the field at a position another value.
pub(super) fn replace_value<B: Buffer + ?Sized>(buffer: &mut B, at: usize, value: Item<'_>) {
    let mut lp = ListpackMut::new(buffer);
    let value_at = lp.view().behind(at);
    lp.replace(value_at, value);
}

/// Takes the field at a position out.
pub(super) fn remove_at<B: Buffer + ?Sized>(buffer: &mut B, width: usize, at: usize) {
    ListpackMut::new(buffer).remove_run(at, width);
}

/// Pairs as triples without deadlines.
pub(super) fn triples_of(lp: ListpackRef<'_>) -> Vec<u8> {
    let mut bytes = listpack::new(lp.bytes().len() + lp.len());
    iter(lp, 2).for_each(|field| push(&mut bytes, 3, field.name, field.value));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> String {
        let fields = iter(ListpackRef::new(bytes), 3).map(|field| {
            let text = |item: Item<'_>| String::from_utf8(item.to_vec()).expect("the test's own text");
            format!("{}={}@{}", text(field.name), text(field.value), field.deadline.unwrap_or(0))
        });
        fields.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn triples_lie_in_the_order_of_their_deadlines() {
        let mut bytes = listpack::new(0);
        push(&mut bytes, 3, Item::of(b"plain"), Item::of(b"1"));
        for (name, deadline) in [("b", 20), ("a", 10), ("c", 30), ("a2", 10)] {
            insert(&mut bytes, Item::of(name.as_bytes()), Item::of(b"v"), Some(deadline));
        }
        insert(&mut bytes, Item::of(b"7"), Item::of(b"v"), None);
        assert_eq!(told(&bytes), "a2=v@10 a=v@10 b=v@20 c=v@30 plain=1@0 7=v@0");
        let at = find(ListpackRef::new(&bytes), 3, b"b").expect("it is there").0;
        replace_value(&mut bytes, at, Item::of(b"longer than before"));
        let at = find(ListpackRef::new(&bytes), 3, b"a").expect("it is there").0;
        remove_at(&mut bytes, 3, at);
        assert_eq!(told(&bytes), "a2=v@10 b=longer than before@20 c=v@30 plain=1@0 7=v@0");
        assert_eq!(first_deadline(ListpackRef::new(&bytes)), Some(10));
        assert!(find(ListpackRef::new(&bytes), 3, b"10").is_none(), "a deadline is no field");
        assert!(find(ListpackRef::new(&bytes), 3, b"v").is_none(), "a value is no field");
    }
}
