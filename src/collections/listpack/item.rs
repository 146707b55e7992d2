//! What stands in a listpack: a number or a text.

use super::entry;
use crate::util::num;
use std::fmt;

/// An element of a listpack, to be read or to be stored.
///
/// A number is stored as one if it is given as one. `Item::from(text)` decides as Redis does: a text that spells an
/// `i64` the one right way is a number. `Item::Bytes` is stored as it is: for what came out of another listpack.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    Int(i64),
    Bytes(&'a [u8]),
}

/// No `i64` has more digits with its sign.
const INT_TEXT_MAX: usize = 20;

impl<'a> Item<'a> {
    /// How a text from outside is stored.
    #[inline]
    pub fn of(text: &'a [u8]) -> Item<'a> {
        match text {
            [b'-' | b'0'..=b'9', ..] if text.len() <= INT_TEXT_MAX => {
                num::parse_i64(text).map_or(Item::Bytes(text), Item::Int)
            }
            _ => Item::Bytes(text),
        }
    }

    /// The text; a number is spelled in `room`.
    #[inline]
    pub fn text<'b>(self, room: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Item::Int(n) => room.format(n).as_bytes(),
            Item::Bytes(text) => text,
        }
    }

    /// Appends the text.
    #[inline]
    pub fn push_to(self, out: &mut Vec<u8>) {
        match self {
            Item::Int(n) => num::push_i64(out, n),
            Item::Bytes(text) => out.extend_from_slice(text),
        }
    }

    /// The text in an allocation of its own.
    pub fn to_vec(self) -> Vec<u8> {
        self.text(&mut itoa::Buffer::new()).to_vec()
    }

    /// Bytes of the text.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Item::Int(n) => usize::from(n < 0) + n.unsigned_abs().checked_ilog10().map_or(1, |d| d as usize + 1),
            Item::Bytes(text) => text.len(),
        }
    }

    pub fn is_empty(self) -> bool {
        matches!(self, Item::Bytes([]))
    }

    /// The integer the text spells the one right way.
    #[inline]
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Item::Int(n) => Some(n),
            Item::Bytes(text) => match Item::of(text) {
                Item::Int(n) => Some(n),
                Item::Bytes(_) => None,
            },
        }
    }

    /// The number the text spells, as scores are read.
    #[inline]
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Item::Int(n) => Some(n as f64),
            Item::Bytes(text) => num::parse_f64(text),
        }
    }

    /// Whether it has this text.
    #[inline]
    pub fn is_text(self, text: &[u8]) -> bool {
        match self {
            Item::Bytes(mine) => mine == text,
            Item::Int(n) => matches!(Item::of(text), Item::Int(m) if m == n),
        }
    }

    /// Bytes the element takes in a listpack.
    #[inline]
    pub fn entry_len(self) -> usize {
        let body = entry::body_len(self);
        body + entry::back_len(body)
    }
}

impl<'a> From<&'a [u8]> for Item<'a> {
    #[inline]
    fn from(text: &'a [u8]) -> Item<'a> {
        Item::of(text)
    }
}

impl From<i64> for Item<'_> {
    #[inline]
    fn from(n: i64) -> Self {
        Item::Int(n)
    }
}

/// Equal texts.
impl PartialEq for Item<'_> {
    #[inline]
    fn eq(&self, other: &Item<'_>) -> bool {
        match (*self, *other) {
            (Item::Int(a), Item::Int(b)) => a == b,
            (a, Item::Bytes(text)) => a.is_text(text),
            (Item::Bytes(text), b) => b.is_text(text),
        }
    }
}

impl Eq for Item<'_> {}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Int(n) => write!(f, "{n}"),
            Item::Bytes(text) => write!(f, "\"{}\"", text.escape_ascii()),
        }
    }
}
