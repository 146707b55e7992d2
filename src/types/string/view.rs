//! Reading a string, wherever it lives.

use super::{Spelling, as_int, text_encoding};
use crate::collections::rope::Rope;
use crate::types::contract::{DataType, Encoding, TypeName};
use crate::types::digest::Digest;
use crate::util::num;

/// A string value as a reader sees it. An integer is not spelled out until somebody asks for its text.
#[derive(Clone, Copy)]
pub enum StringRef<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Rope(&'a Rope),
}

/// Room for [`StringRef::flat`] to put a text that does not lie in memory as one piece.
#[derive(Default)]
pub struct Flat {
    int: itoa::Buffer,
    copy: Vec<u8>,
}

impl<'a> StringRef<'a> {
    /// Bytes of the text.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            StringRef::Int(n) => int_len(n),
            StringRef::Bytes(b) => b.len(),
            StringRef::Rope(r) => r.len(),
        }
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The text as one slice. Only a rope is copied for it; whoever can use pieces should.
    #[inline]
    pub fn flat<'b>(self, room: &'b mut Flat) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            StringRef::Int(n) => room.int.format(n).as_bytes(),
            StringRef::Bytes(b) => b,
            StringRef::Rope(r) => {
                room.copy.clear();
                r.read(0..r.len(), &mut room.copy);
                &room.copy
            }
        }
    }

    /// Appends the text.
    #[inline]
    pub fn push_to(self, out: &mut Vec<u8>) {
        match self {
            StringRef::Int(n) => num::push_i64(out, n),
            StringRef::Bytes(b) => out.extend_from_slice(b),
            StringRef::Rope(r) => r.read(0..r.len(), out),
        }
    }

    /// The text in an allocation of its own.
    pub fn to_vec(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len());
        self.push_to(&mut out);
        out
    }

    /// The integer the text spells, as INCR and its kin understand it.
    #[inline]
    pub fn parse_i64(self) -> Option<i64> {
        match self {
            StringRef::Int(n) => Some(n),
            StringRef::Bytes(b) => as_int(b),
            StringRef::Rope(_) => None,
        }
    }
}

/// Equal texts, wherever they live.
impl PartialEq for StringRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (StringRef::Int(a), StringRef::Int(b)) => a == b,
            (StringRef::Bytes(a), StringRef::Bytes(b)) => a == b,
            _ => self.len() == other.len() && self.flat(&mut Flat::default()) == other.flat(&mut Flat::default()),
        }
    }
}

impl std::fmt::Debug for StringRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StringRef::Int(n) => write!(f, "Int({n})"),
            StringRef::Bytes(b) => write!(f, "Bytes(\"{}\")", b.escape_ascii()),
            StringRef::Rope(r) => write!(f, "Rope({} bytes)", r.len()),
        }
    }
}

/// Digits of `n`, and its sign.
#[inline]
fn int_len(n: i64) -> usize {
    usize::from(n < 0) + n.unsigned_abs().checked_ilog10().map_or(1, |d| d as usize + 1)
}

impl DataType for StringRef<'_> {
    const NAME: TypeName = TypeName::String;

    /// What it would be if it were stored afresh; the entry knows what it is.
    fn encoding(&self) -> Encoding {
        match self {
            StringRef::Int(_) => Encoding::Int,
            _ => text_encoding(StringRef::len(*self), Spelling::Text),
        }
    }

    fn len(&self) -> usize {
        StringRef::len(*self)
    }

    fn memory_usage(&self, _samples: usize) -> usize {
        match self {
            StringRef::Int(_) => 0,
            StringRef::Bytes(b) => b.len(),
            StringRef::Rope(r) => r.memory() + r.charge(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            StringRef::Int(_) | StringRef::Bytes(_) => 1,
            StringRef::Rope(r) => r.free_effort(),
        }
    }

    fn digest(&self, into: &mut Digest) {
        match self {
            StringRef::Int(n) => into.mix(itoa::Buffer::new().format(*n).as_bytes()),
            StringRef::Bytes(b) => into.mix(b),
            StringRef::Rope(r) => into.mix_pieces(r.slices(0..r.len())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views<'a>(text: &'a [u8], rope: &'a Rope) -> Vec<StringRef<'a>> {
        let int = as_int(text).map(StringRef::Int);
        int.into_iter().chain([StringRef::Bytes(text), StringRef::Rope(rope)]).collect()
    }

    #[test]
    fn every_view_of_a_text_says_the_same() {
        for text in ["", "0", "-1", "9", "10", "-9223372036854775808", "9223372036854775807", "hello", "1e5"] {
            let text = text.as_bytes();
            let rope = Rope::from(text);
            for v in views(text, &rope) {
                assert_eq!(v.len(), text.len(), "{v:?}");
                assert_eq!(v.to_vec(), text);
                assert_eq!(v.flat(&mut Flat::default()), text);
                let (mut digest, mut expected) = (Digest::ZERO, Digest::ZERO);
                v.digest(&mut digest);
                expected.mix(text);
                assert_eq!(digest, expected);
                assert!(views(text, &rope).into_iter().all(|w| w == v));
            }
        }
    }
}
