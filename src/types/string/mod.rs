//! Strings.
//!
//! # Where a string lives, and what OBJECT ENCODING says about it
//!
//! | the string | lives | reported encoding |
//! | --- | --- | --- |
//! | spells an `i64` the one right way | in the entry, eight bytes | `int` |
//! | up to 44 bytes | in the entry | `embstr` |
//! | while the whole entry has at most 128 bytes | in the entry | `raw` |
//! | up to 64 KiB | a blob: one allocation | `raw` |
//! | longer | a rope: pieces of 8 KiB | `raw` |
//!
//! The first two columns are ours, the third is Redis's, and it depends on how the value came about: a string that
//! APPEND, SETRANGE, SETBIT or BITOP made is `raw` however short it is, and never `int`, even if it spells a number.
//! So the reported encoding is kept in the entry, not derived from the bytes. [`Spelling`] is the choice a writer makes.

mod large;
mod rdb;
mod rewrite;
mod view;

pub use crate::collections::rope::{Rope, RopeBuilder, SeenPieces};
pub use large::LargeString;
pub use rdb::NewString;
pub use view::{Flat, StringRef};

use super::contract::Encoding;
use super::object::Object;
use crate::cow::Epoch;
use crate::dict::Payload;
use crate::util::num;
use crate::util::piece::PieceBuf;

/// Above this a string is a rope.
pub const BLOB_MAX: usize = 64 << 10;
/// Up to this a string that was stored whole is told to be `embstr`.
pub const EMBSTR_MAX: usize = 44;
/// No `i64` has more digits with its sign.
const INT_TEXT_MAX: usize = 20;

/// How a string that is about to be stored came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spelling {
    /// Sent by a client as a whole: a number if it spells one (SET, GETSET, MSET, and what a file held).
    Value,
    /// Made as a text that shall stay one, even if it spells a number (INCRBYFLOAT).
    Text,
    /// Made by changing bytes in place (APPEND, SETRANGE, SETBIT), or as a buffer (BITOP, PFADD).
    Raw,
}

/// The number `bytes` is stored as, if it is stored as one.
#[inline]
pub fn as_int(bytes: &[u8]) -> Option<i64> {
    if bytes.len() <= INT_TEXT_MAX { num::parse_i64(bytes) } else { None }
}

/// What OBJECT ENCODING says of a string of this length that is not a number.
#[inline]
pub fn text_encoding(len: usize, spelling: Spelling) -> Encoding {
    if len <= EMBSTR_MAX && spelling != Spelling::Raw { Encoding::Embstr } else { Encoding::Raw }
}

/// The form in which `bytes` go into an entry.
#[inline]
pub fn payload(bytes: &[u8], spelling: Spelling, now: Epoch) -> (Encoding, Payload<'_, Object>) {
    if spelling == Spelling::Value
        && let Some(n) = as_int(bytes)
    {
        return (Encoding::Int, Payload::Int(n));
    }
    if bytes.len() > BLOB_MAX {
        return (Encoding::Raw, rope_payload(Rope::from(bytes), now));
    }
    (text_encoding(bytes.len(), spelling), Payload::Bytes(bytes))
}

/// Bytes of the text that a payload is, where that can be seen without the value behind it.
#[inline]
pub fn payload_len(payload: &Payload<'_, Object>) -> Option<usize> {
    match payload {
        Payload::Bytes(bytes) => Some(bytes.len()),
        Payload::Int(n) => Some(StringRef::Int(*n).len()),
        Payload::Blob(blob) => Some(blob.len()),
        Payload::Node(_) | Payload::Moved(_) => None,
    }
}

/// Whether two numbers are spelled with as many characters, as far as [classes of sizes](crate::db::sizes) tell them
/// apart; of negative ones it says no.
#[inline]
pub fn are_as_long(one: i64, other: i64) -> bool {
    const CLASSES: [i64; 4] = [10, 1_000, 10_000_000, 1_000_000_000_000_000];
    one >= 0 && other >= 0 && CLASSES.iter().all(|first| (one < *first) == (other < *first))
}

/// The form in which a rope above [`BLOB_MAX`] goes into an entry.
pub(crate) fn rope_payload<'a>(rope: Rope, now: Epoch) -> Payload<'a, Object> {
    Payload::Node(Box::new(Object::Rope(LargeString::new(now, rope))))
}

/// A string that was written to behind its end, or in a form that can not be written to.
pub(crate) enum Patched {
    /// At most [`BLOB_MAX`] bytes.
    Short(Vec<u8>),
    Long(Rope),
}

/// `old` with `bytes` at `offset`, the gap between them filled with zero bytes. A wide gap takes no memory.
pub(crate) fn patched(old: StringRef<'_>, offset: usize, bytes: &[u8]) -> Patched {
    let end = offset + bytes.len();
    let len = old.len().max(end);
    if len <= BLOB_MAX {
        let mut text = Vec::with_capacity(len);
        old.push_to(&mut text);
        text.resize(len, 0);
        text[offset..end].copy_from_slice(bytes);
        return Patched::Short(text);
    }
    let mut rope = Rope::from(old.flat(&mut Flat::default()));
    patch(&mut rope, offset, bytes);
    Patched::Long(rope)
}

/// Puts `bytes` at `offset`, after zero bytes if there is a gap.
pub(crate) fn patch(rope: &mut Rope, offset: usize, bytes: &[u8]) {
    rope.resize_zero(offset);
    let (over, behind) = bytes.split_at(bytes.len().min(rope.len() - offset));
    rope.write_at(offset, over);
    rope.append(behind);
}

/// The same for what was received in pieces.
pub(crate) fn patch_buffer(rope: &mut Rope, offset: usize, bytes: PieceBuf) {
    if offset >= rope.len() {
        rope.resize_zero(offset);
        return rope.append_buffer(bytes);
    }
    let mut at = offset;
    for (piece, len) in bytes.into_pieces() {
        if !rope.replace_piece(at, &piece, len) {
            patch(rope, at, &piece.bytes()[..len]);
        }
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_as_redis_tells_them() {
        let long = "y".repeat(45);
        let cases: [(&str, Spelling, Encoding); 10] = [
            ("123", Spelling::Value, Encoding::Int),
            ("-9223372036854775808", Spelling::Value, Encoding::Int),
            ("9223372036854775808", Spelling::Value, Encoding::Embstr),
            ("012", Spelling::Value, Encoding::Embstr),
            ("-0", Spelling::Value, Encoding::Embstr),
            ("", Spelling::Value, Encoding::Embstr),
            (&long[..44], Spelling::Value, Encoding::Embstr),
            (&long, Spelling::Value, Encoding::Raw),
            ("14", Spelling::Text, Encoding::Embstr),
            ("12", Spelling::Raw, Encoding::Raw),
        ];
        for (text, spelling, expected) in cases {
            let told = match spelling {
                Spelling::Value if as_int(text.as_bytes()).is_some() => Encoding::Int,
                _ => text_encoding(text.len(), spelling),
            };
            assert_eq!(told, expected, "{text} {spelling:?}");
        }
    }
}
