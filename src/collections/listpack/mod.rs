//! Listpack: many small elements in one run of bytes, exactly as Redis lays them out.
//!
//! ```text
//! | bytes in all u32 | elements u16 | entry | entry | ... | FF |          all little-endian
//! ```
//!
//! Sixteen bits count the elements; 65535 says "many", and then they are counted by walking. An entry can be walked
//! over from both sides ([`entry`] has its layout). There is no room to spare inside, and nothing points anywhere: a
//! listpack is its bytes, which is why they can lie in an entry of the keyspace, in a file, and on the wire.
//!
//! # How to use it
//!
//! * [`ListpackRef`] reads. [`ListpackRef::new`] is for bytes that this process made, or that were validated before:
//!   it looks at nothing, and reading a listpack that is none panics. [`ListpackRef::validate`] is for bytes from
//!   anywhere else. A *position* is where an entry begins, as a byte; [`ListpackRef::end`] is the position behind the
//!   last one. Positions before an edit mean nothing after it, unless they lie before the place of the edit.
//! * [`ListpackMut`] edits any [`Buffer`]; [`EMPTY`] is what a new one starts as, [`new`] that in a `Vec`.
//! * [`Item`] is an element. `Item::of(text)` finds out whether the text is stored as a number; editors take
//!   `impl Into<Item>`, so that `push_back(text)` does the right thing.
//!
//! No listpack grows beyond [`LIMIT`]; editors that would exceed it panic, so whoever stores what clients send asks
//! [`ListpackRef::fits`], or keeps to a limit far below.

mod edit;
mod entry;
mod item;
mod view;

pub use edit::ListpackMut;
pub use item::Item;
pub use view::{Iter, ListpackRef};

pub use super::buffer::Buffer;
use crate::util::text::Source;

/// Bytes before the first entry.
pub const HEADER: usize = 6;
/// The largest listpack, in bytes.
pub const LIMIT: usize = 1 << 30;
/// A listpack without elements.
pub const EMPTY: [u8; 7] = [7, 0, 0, 0, 0, 0, entry::END];
/// The count that says "many".
const MANY: usize = u16::MAX as usize;

/// A listpack without elements, in a `Vec` with room for `capacity` bytes.
pub fn new(capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(capacity.max(EMPTY.len()));
    bytes.extend_from_slice(&EMPTY);
    bytes
}

/// A listpack of these elements.
pub fn collect<'a, T: Into<Item<'a>>>(items: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut bytes = new(0);
    let mut lp = ListpackMut::new(&mut bytes);
    items.into_iter().for_each(|item| lp.push_back(item));
    bytes
}

/// No longer text is a number.
const SHORT: usize = 64;

/// Appends a text that may be long, and may be given away, to a listpack in a `Vec`.
pub fn push_text(bytes: &mut Vec<u8>, text: Source<'_>) {
    if text.len() <= SHORT {
        return ListpackMut::new(bytes).push_back(Item::of(text.as_ref()));
    }
    let count = ListpackRef::new(bytes).told_len();
    bytes.reserve_exact(text.len() + entry::AROUND_MAX);
    bytes.pop();
    entry::push_text(bytes, text);
    bytes.push(entry::END);
    edit::header(bytes, count.map_or(MANY, |count| (count + 1).min(MANY)));
}

/// How much of a listpack is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// The header and the last byte.
    Shallow,
    /// Every entry, too.
    Deep,
}

/// What is wrong with bytes that should be a listpack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// They end inside the header or an entry.
    Truncated,
    /// The header tells another length.
    WrongLength,
    /// The last byte is not the one that ends a listpack, or one before it is.
    WrongEnd,
    /// An entry begins with a byte that begins none.
    UnknownEntry,
    /// The length that is read backwards is not the one that was read forwards.
    WrongBackLength,
    /// The header tells another number of elements.
    WrongCount,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Malformed::Truncated => "a listpack ends inside an entry",
            Malformed::WrongLength => "a listpack is not as long as it says",
            Malformed::WrongEnd => "a listpack has no end mark, or one too early",
            Malformed::UnknownEntry => "a listpack has an entry of no known kind",
            Malformed::WrongBackLength => "a listpack's entry has two lengths",
            Malformed::WrongCount => "a listpack has not as many elements as it says",
        })
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests;
