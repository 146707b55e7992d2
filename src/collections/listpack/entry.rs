//! One entry of a listpack: head, text, and the length that is read backwards.
//!
//! ```text
//! 0nnnnnnn                             the number 0..=127
//! 10LLLLLL text                        a text of up to 63 bytes
//! 110nnnnn nnnnnnnn                    13 bits with a sign
//! 1110LLLL LLLLLLLL text               a text of up to 4095 bytes
//! F0 LLLLLLLL*4 text                   a longer text, length little-endian
//! F1 F2 F3 F4, then 2, 3, 4, 8 bytes   a number with a sign, little-endian
//! FF                                   the end of the listpack
//! ```
//!
//! Behind each entry its own length stands in groups of seven bits, the highest group first, each but the first with
//! its top bit set: so it can be read from its last byte on, and says where the entry begins.

use super::{Item, Malformed};
use crate::collections::text;
use crate::util::text::Source;

pub(super) const END: u8 = 0xFF;
const TEXT_6: u8 = 0x80;
const INT_13: u8 = 0xC0;
const TEXT_12: u8 = 0xE0;
const TEXT_32: u8 = 0xF0;
const INT_16: u8 = 0xF1;
const INT_24: u8 = 0xF2;
const INT_32: u8 = 0xF3;
const INT_64: u8 = 0xF4;

/// Bytes of an entry before the length that is read backwards.
#[inline]
pub(super) fn body_len(item: Item<'_>) -> usize {
    match item {
        Item::Int(n) => int_len(n),
        Item::Bytes(text) => text_head(text.len()) + text.len(),
    }
}

#[inline]
fn int_len(n: i64) -> usize {
    match n {
        0..=127 => 1,
        -4096..=4095 => 2,
        -0x8000..=0x7FFF => 3,
        -0x80_0000..=0x7F_FFFF => 4,
        -0x8000_0000..=0x7FFF_FFFF => 5,
        _ => 9,
    }
}

#[inline]
fn text_head(len: usize) -> usize {
    match len {
        0..64 => 1,
        64..4096 => 2,
        _ => 5,
    }
}

/// Bytes of the length that is read backwards. The limits are Redis's, which gives away one value in each size.
#[inline]
pub(super) fn back_len(body: usize) -> usize {
    match body {
        0..=127 => 1,
        128..16383 => 2,
        16383..2097151 => 3,
        2097151..268435455 => 4,
        _ => 5,
    }
}

/// Writes the entry; `out` has exactly its size.
#[inline]
pub(super) fn write(item: Item<'_>, out: &mut [u8]) {
    let body = match item {
        Item::Int(n) => write_int(n, out),
        Item::Bytes(text) => {
            let head = write_text_head(text.len(), out);
            out[head..head + text.len()].copy_from_slice(text);
            head + text.len()
        }
    };
    if body <= 127 {
        out[body] = body as u8;
    } else {
        write_back(body, &mut out[body..]);
    }
}

/// No text has more around it than its head and its length backwards.
pub(super) const AROUND_MAX: usize = 5 + 5;

/// Appends the entry of a text.
pub(super) fn push_text(out: &mut Vec<u8>, text: Source<'_>) {
    let body = text_head(text.len()) + text.len();
    let mut room = [0; 5];
    let head = write_text_head(text.len(), &mut room);
    out.extend_from_slice(&room[..head]);
    text::append(out, text);
    let back = back_len(body);
    if body <= 127 {
        room[0] = body as u8;
    } else {
        write_back(body, &mut room[..back]);
    }
    out.extend_from_slice(&room[..back]);
}

#[inline]
fn write_int(n: i64, out: &mut [u8]) -> usize {
    let bytes = n.to_le_bytes();
    let len = int_len(n);
    match len {
        1 => out[0] = n as u8,
        2 => {
            out[0] = INT_13 | (n >> 8) as u8 & 0x1F;
            out[1] = n as u8;
        }
        _ => {
            out[0] = match len {
                3 => INT_16,
                4 => INT_24,
                5 => INT_32,
                _ => INT_64,
            };
            out[1..len].copy_from_slice(&bytes[..len - 1]);
        }
    }
    len
}

#[inline]
fn write_text_head(len: usize, out: &mut [u8]) -> usize {
    match text_head(len) {
        1 => out[0] = TEXT_6 | len as u8,
        2 => {
            out[0] = TEXT_12 | (len >> 8) as u8;
            out[1] = len as u8;
        }
        _ => {
            out[0] = TEXT_32;
            out[1..5].copy_from_slice(&(len as u32).to_le_bytes());
        }
    }
    text_head(len)
}

fn write_back(body: usize, out: &mut [u8]) {
    let len = back_len(body);
    for (place, byte) in out[..len].iter_mut().rev().enumerate() {
        *byte = (body >> (7 * place)) as u8 & 127 | 128;
    }
    out[0] &= 127;
}

/// The entry at `at`, and the position behind it.
#[inline]
pub(super) fn read(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let head = bytes[at];
    if head < TEXT_6 {
        return (Item::Int(i64::from(head)), at + 2);
    }
    if head < INT_13 {
        let end = at + 1 + usize::from(head & 63);
        return (Item::Bytes(&bytes[at + 1..end]), end + 1);
    }
    let (item, body) = read_long(bytes, at);
    (item, at + body + back_len(body))
}

fn read_long(bytes: &[u8], at: usize) -> (Item<'_>, usize) {
    let rest = &bytes[at..];
    match rest[0] {
        head @ ..TEXT_12 => {
            let n = (u16::from(head & 0x1F) << 8 | u16::from(rest[1])) << 3;
            (Item::Int(i64::from(n as i16 >> 3)), 2)
        }
        head @ TEXT_12..TEXT_32 => {
            let len = usize::from(head & 15) << 8 | usize::from(rest[1]);
            (Item::Bytes(&rest[2..2 + len]), 2 + len)
        }
        TEXT_32 => {
            let len = u32::from_le_bytes(array(&rest[1..5])) as usize;
            (Item::Bytes(&rest[5..5 + len]), 5 + len)
        }
        INT_16 => (Item::Int(i64::from(i16::from_le_bytes(array(&rest[1..3])))), 3),
        INT_24 => {
            let n = i32::from_le_bytes([0, rest[1], rest[2], rest[3]]);
            (Item::Int(i64::from(n >> 8)), 4)
        }
        INT_32 => (Item::Int(i64::from(i32::from_le_bytes(array(&rest[1..5])))), 5),
        INT_64 => (Item::Int(i64::from_le_bytes(array(&rest[1..9]))), 9),
        head => unreachable!("no entry begins with {head:#x}: the bytes were never validated"),
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("the slice was taken with this length")
}

/// The position behind the entry at `at`. Cheaper than reading it.
#[inline]
pub(super) fn skip(bytes: &[u8], at: usize) -> usize {
    let head = bytes[at];
    if head < INT_13 {
        // A number of 7 bits has no text; the mask is made from the top bit.
        let text = usize::from(head & 63 & (head >> 7).wrapping_neg());
        return at + 2 + text;
    }
    let body = long_body(bytes, at, head);
    at + body + back_len(body)
}

#[inline]
fn long_body(bytes: &[u8], at: usize, head: u8) -> usize {
    match head {
        ..TEXT_12 => 2,
        TEXT_12..TEXT_32 => 2 + (usize::from(head & 15) << 8 | usize::from(bytes[at + 1])),
        TEXT_32 => 5 + u32::from_le_bytes(array(&bytes[at + 1..at + 5])) as usize,
        INT_16 => 3,
        INT_24 => 4,
        INT_32 => 5,
        INT_64 => 9,
        _ => unreachable!("no entry begins with {head:#x}: the bytes were never validated"),
    }
}

/// Where the entry begins that ends before `end`.
#[inline]
pub(super) fn before(bytes: &[u8], end: usize) -> usize {
    let last = bytes[end - 1];
    if last < 128 {
        return end - 1 - usize::from(last);
    }
    let (mut body, mut groups) = (usize::from(last & 127), 1);
    loop {
        let byte = bytes[end - 1 - groups];
        body |= usize::from(byte & 127) << (7 * groups);
        groups += 1;
        if byte < 128 {
            return end - groups - body;
        }
    }
}

/// The position behind the entry at `at` of bytes nobody has looked at: everything about it is checked. `end` is where
/// the listpack's last byte is; an entry ends before it.
pub(super) fn check(bytes: &[u8], at: usize, end: usize) -> Result<usize, Malformed> {
    let entries = &bytes[..end];
    let head = *entries.get(at).ok_or(Malformed::Truncated)?;
    let body = match head {
        ..TEXT_6 => 1,
        TEXT_6..INT_13 => 1 + usize::from(head & 63),
        INT_13..TEXT_12 => 2,
        TEXT_12..TEXT_32 if at + 1 >= end => return Err(Malformed::Truncated),
        TEXT_32 if at + 5 > end => return Err(Malformed::Truncated),
        TEXT_12..=INT_64 => long_body(entries, at, head),
        _ => return Err(Malformed::UnknownEntry),
    };
    // Nearly all are short, and end with their length in one byte.
    if body < 128 {
        let back = *entries.get(at + body).ok_or(Malformed::Truncated)?;
        return if usize::from(back) == body { Ok(at + body + 1) } else { Err(Malformed::WrongBackLength) };
    }
    let behind = at.checked_add(body).and_then(|n| n.checked_add(back_len(body))).ok_or(Malformed::Truncated)?;
    let back = entries.get(at + body..behind).ok_or(Malformed::Truncated)?;
    let mut expected = [0; 5];
    write_back(body, &mut expected);
    if back != &expected[..back.len()] {
        return Err(Malformed::WrongBackLength);
    }
    Ok(behind)
}
