//! Zipmap: the small hash of Redis before version 2.6. It is read here, out of files as old as that, and never written.
//!
//! ```text
//! | pairs u8 | <length> field <length> <free u8> value <free bytes> | ... | FF |
//!
//! length   0..=253: one byte; FE u32 little-endian: any length
//! ```
//!
//! A count of 254 says "many". The free bytes behind a value are what it had left of the room of the one before it.

use std::fmt;

const END: u8 = 0xFF;
/// The first byte of a length of four bytes; as a count, "many".
const LONG: u8 = 0xFE;

/// What is wrong with bytes that should be a zipmap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// They end inside a pair.
    Truncated,
    /// The last byte is not the one that ends a zipmap, or one before it is.
    WrongEnd,
    /// The first byte tells another number of pairs.
    WrongCount,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Truncated => "a zipmap ends inside a pair",
            Malformed::WrongEnd => "a zipmap has no end mark, or one too early",
            Malformed::WrongCount => "a zipmap has not as many pairs as it says",
        })
    }
}

impl std::error::Error for Malformed {}

/// A zipmap that was checked.
#[derive(Clone, Copy, Debug)]
pub struct ZipmapRef<'a> {
    /// Count and end mark left out.
    pairs: &'a [u8],
    len: usize,
}

impl<'a> ZipmapRef<'a> {
    /// Checks every byte. Whether a field comes twice is for whoever builds a hash of it to find out.
    pub fn validate(bytes: &'a [u8]) -> Result<ZipmapRef<'a>, Malformed> {
        let Some((&told, rest)) = bytes.split_first() else { return Err(Malformed::Truncated) };
        let Some((&END, pairs)) = rest.split_last() else { return Err(Malformed::WrongEnd) };
        let (mut rest, mut len) = (pairs, 0);
        while !rest.is_empty() {
            (_, rest) = pair(rest)?;
            len += 1;
        }
        if told < LONG && usize::from(told) != len {
            return Err(Malformed::WrongCount);
        }
        Ok(ZipmapRef { pairs, len })
    }

    /// Pairs.
    pub fn len(self) -> usize {
        self.len
    }

    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Fields and values.
    pub fn iter(self) -> Iter<'a> {
        Iter { rest: self.pairs, left: self.len }
    }
}

impl<'a> IntoIterator for ZipmapRef<'a> {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The pairs of a zipmap. See [`ZipmapRef::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (found, rest) = pair(self.rest).expect("checked when the zipmap was opened");
        self.rest = rest;
        self.left -= 1;
        Some(found)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl std::iter::FusedIterator for Iter<'_> {}

type Pair<'a> = (&'a [u8], &'a [u8]);

/// The pair at the start of `rest`, and what follows it.
fn pair(rest: &[u8]) -> Result<(Pair<'_>, &[u8]), Malformed> {
    let (len, rest) = length(rest)?;
    let (field, rest) = rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
    let (len, rest) = length(rest)?;
    let (&free, rest) = rest.split_first().ok_or(Malformed::Truncated)?;
    let (value, rest) = rest.split_at_checked(len).ok_or(Malformed::Truncated)?;
    let rest = rest.get(usize::from(free)..).ok_or(Malformed::Truncated)?;
    Ok(((field, value), rest))
}

fn length(rest: &[u8]) -> Result<(usize, &[u8]), Malformed> {
    match rest.split_first().ok_or(Malformed::Truncated)? {
        (&END, _) => Err(Malformed::WrongEnd),
        (&LONG, rest) => {
            let (len, rest) = rest.split_first_chunk().ok_or(Malformed::Truncated)?;
            Ok((u32::from_le_bytes(*len) as usize, rest))
        }
        (&short, rest) => Ok((usize::from(short), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
        let map = ZipmapRef::validate(bytes).expect("well formed");
        assert_eq!((map.iter().len(), map.is_empty()), (map.len(), map.iter().next().is_none()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        map.iter().map(|(field, value)| (text(field), text(value))).collect()
    }

    #[test]
    fn fields_and_values() {
        let bytes = b"\x02\x03foo\x03\x00bar\x05hello\x05\x02world..\xff";
        let expected = [("foo", "bar"), ("hello", "world")].map(|(f, v)| (f.to_owned(), v.to_owned()));
        assert_eq!(pairs(bytes), expected);
        assert_eq!(pairs(b"\0\xff"), []);
        assert_eq!(pairs(b"\x01\0\0\0\xff"), [(String::new(), String::new())]);
        let long = "v".repeat(300);
        let bytes = [b"\xfe\x01f\xfe\x2c\x01\0\0\0", long.as_bytes(), b"\xff"].concat();
        assert_eq!(pairs(&bytes), [("f".to_owned(), long)], "a long value, and a count that is none");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong = |bytes: &[u8]| ZipmapRef::validate(bytes).expect_err("damaged");
        assert_eq!(wrong(b""), Malformed::Truncated);
        assert_eq!(wrong(b"\xff"), Malformed::WrongEnd);
        assert_eq!(wrong(b"\x01\x01f\x01\x00v"), Malformed::WrongEnd);
        assert_eq!(wrong(b"\x01\x01f\xff\xff"), Malformed::WrongEnd);
        assert_eq!(wrong(b"\x01\x01f\x01\x09v\xff"), Malformed::Truncated);
        assert_eq!(wrong(b"\x01\xfe\xff\xff\xff\xfff\xff"), Malformed::Truncated);
        assert_eq!(wrong(b"\x02\x01f\x01\x00v\xff"), Malformed::WrongCount);
    }

    #[test]
    fn any_damage_is_an_answer() {
        let good = b"\x02\x03foo\x03\x00bar\x05hello\xfe\x05\0\0\0\x02world..\xff";
        for at in 0..good.len() {
            assert!(ZipmapRef::validate(&good[..at]).is_err(), "cut at {at}");
            for change in 1..=255 {
                let mut bad = good.to_vec();
                bad[at] ^= change;
                if let Ok(map) = ZipmapRef::validate(&bad) {
                    assert_eq!(map.iter().count(), map.len());
                }
            }
        }
    }
}
