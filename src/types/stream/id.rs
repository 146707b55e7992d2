//! Ids of entries: a time in milliseconds and a number within it.
//!
//! An id is one number of 128 bits; written as 16 bytes with the highest first, ids sort as their bytes do. That is how
//! they lie in files and in the records of `records.rs`.
//!
//! # Texts
//!
//! `5-3` is an id, `5` one whose number depends on who asks (0 where a range begins, the highest where it ends). `-` and
//! `+` are the lowest and the highest id where a range is meant, and nowhere else; `5-*` lets XADD choose the number.

use crate::util::num;

/// The id of an entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct StreamId {
    /// Milliseconds since 1970, if nobody chose otherwise.
    pub ms: u64,
    /// The number within the millisecond.
    pub seq: u64,
}

/// Longer texts are no ids, whatever they say.
const TEXT_MAX: usize = 127;

impl StreamId {
    /// `0-0`, which no entry has.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// The last id there is.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The id with these two parts.
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    /// Whether it is `0-0`.
    #[inline]
    pub fn is_zero(self) -> bool {
        self == StreamId::MIN
    }

    /// The id right behind, if there is one.
    #[inline]
    pub fn next(self) -> Option<StreamId> {
        self.number().checked_add(1).map(StreamId::from_number)
    }

    /// The id right before, if there is one.
    #[inline]
    pub fn previous(self) -> Option<StreamId> {
        self.number().checked_sub(1).map(StreamId::from_number)
    }

    /// Both parts as one number.
    #[inline]
    pub const fn number(self) -> u128 {
        (self.ms as u128) << 64 | self.seq as u128
    }

    /// The id that is this number.
    #[inline]
    pub const fn from_number(n: u128) -> StreamId {
        StreamId { ms: (n >> 64) as u64, seq: n as u64 }
    }

    /// As files have it: 16 bytes that sort as ids do.
    #[inline]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.number().to_be_bytes()
    }

    /// The id in 16 bytes.
    #[inline]
    pub const fn from_bytes(bytes: [u8; 16]) -> StreamId {
        StreamId::from_number(u128::from_be_bytes(bytes))
    }

    /// This much behind `self`, each part for itself; as chunks keep the ids of their entries.
    #[inline]
    pub const fn offset(self, ms: i64, seq: i64) -> StreamId {
        StreamId { ms: self.ms.wrapping_add(ms as u64), seq: self.seq.wrapping_add(seq as u64) }
    }

    /// How far `other` is behind `self`: the opposite of [`StreamId::offset`].
    #[inline]
    pub const fn distance(self, other: StreamId) -> (i64, i64) {
        (other.ms.wrapping_sub(self.ms) as i64, other.seq.wrapping_sub(self.seq) as i64)
    }

    /// Reads `ms-seq` or `ms`, which then means `ms-missing_seq`.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        match Written::parse(text)? {
            Written { ms, seq: Seq::Given(seq) } => Some(StreamId { ms, seq }),
            Written { ms, seq: Seq::Missing } => Some(StreamId { ms, seq: missing_seq }),
            Written { seq: Seq::Any, .. } => None,
        }
    }

    /// Appends `ms-seq`.
    #[inline]
    pub fn push_text(self, out: &mut Vec<u8>) {
        num::push_u64(out, self.ms);
        out.push(b'-');
        num::push_u64(out, self.seq);
    }
}

impl std::fmt::Display for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

impl std::fmt::Debug for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// The second part of an id that somebody wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seq {
    /// `5-3`
    Given(u64),
    /// `5`
    Missing,
    /// `5-*`
    Any,
}

/// An id as somebody wrote it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Written {
    /// The first part.
    pub ms: u64,
    /// The second part.
    pub seq: Seq,
}

impl Written {
    /// Reads `ms`, `ms-seq` or `ms-*`.
    pub fn parse(text: &[u8]) -> Option<Written> {
        if text.len() > TEXT_MAX {
            return None;
        }
        // Redis reads what stands before a NUL byte.
        let text = text.iter().position(|&b| b == 0).map_or(text, |nul| &text[..nul]);
        let (ms, seq) = match text.iter().position(|&b| b == b'-') {
            None => (text, Seq::Missing),
            Some(dash) => match &text[dash + 1..] {
                b"*" => (&text[..dash], Seq::Any),
                seq => (&text[..dash], Seq::Given(part(seq)?)),
            },
        };
        Some(Written { ms: part(ms)?, seq })
    }
}

/// A number of 64 bits, read as generously as Redis reads it: what is no plain number may still be one to `strtoull`.
fn part(text: &[u8]) -> Option<u64> {
    num::parse_u64(text).or_else(|| generous(text))
}

/// Blanks before the digits, a plus and leading zeros are passed over; anything behind the digits makes it no number.
#[cold]
fn generous(text: &[u8]) -> Option<u64> {
    // A minus never comes here: it is what divides the parts.
    let blanks = text.iter().take_while(|b| matches!(b, b' ' | 9..=13)).count();
    let text = &text[blanks..];
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, &byte| match byte {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        let id = StreamId::new;
        let cases: [(&str, Option<StreamId>); 12] = [
            ("5-3", Some(id(5, 3))),
            ("5", Some(id(5, 9))),
            ("0-0", Some(id(0, 0))),
            ("18446744073709551615-18446744073709551615", Some(StreamId::MAX)),
            ("18446744073709551616-0", None),
            ("5-*", None),
            ("-", None),
            ("+", None),
            ("5-3-1", None),
            ("", None),
            (" +05-1", Some(id(5, 1))),
            ("5 -1", None),
        ];
        for (text, expected) in cases {
            assert_eq!(StreamId::parse(text.as_bytes(), 9), expected, "{text}");
            if let Some(id) = expected
                && text.contains('-')
                && text.as_bytes()[0] != b' '
            {
                let mut out = vec![];
                id.push_text(&mut out);
                assert_eq!(out, text.as_bytes());
            }
        }
        assert_eq!(Written::parse(b"5-*"), Some(Written { ms: 5, seq: Seq::Any }));
    }

    #[test]
    fn neighbours_and_order() {
        let id = StreamId::new;
        assert_eq!(id(5, u64::MAX).next(), Some(id(6, 0)));
        assert_eq!(id(6, 0).previous(), Some(id(5, u64::MAX)));
        assert_eq!(StreamId::MAX.next(), None);
        assert_eq!(StreamId::MIN.previous(), None);
        assert!(id(5, 9) < id(6, 0) && id(5, 9).to_bytes() < id(6, 0).to_bytes());
        assert_eq!(StreamId::from_bytes(id(5, 9).to_bytes()), id(5, 9));
        let (a, b) = (id(u64::MAX, 3), id(2, 1));
        let (ms, seq) = a.distance(b);
        assert_eq!(a.offset(ms, seq), b);
    }
}
