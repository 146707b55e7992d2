//! Ziplist: what came before the listpack. Redis kept small lists, hashes and sorted sets in it until version 7, and
//! old files hold it; it is read here and never written.
//!
//! ```text
//! | bytes in all u32 | where the last entry begins u32 | entries u16 | entry | entry | ... | FF |   little-endian
//!
//! entry   length of the entry before | what follows | text or integer
//!
//!         0..=253         one byte: the length (0 for the first entry)
//!         FE u32          any length
//!
//!                         00pppppp                 text of up to 63 bytes
//!                         01pppppp pppppppp        text of up to 16383 bytes, the length in big-endian
//!                         10______ u32 big-endian  text of any length
//!                         C0 i16   D0 i32   E0 i64   F0 i24   FE i8
//!                         F1 to FD                 the integers 0 to 12
//! ```
//!
//! A count of 65535 says "many". Whoever wrote the file, every entry is checked before the first is handed out: a
//! ziplist is read once, on its way into another form.

use super::listpack::Item;
use std::fmt;

/// Bytes before the first entry.
const HEADER: usize = 10;
const END: u8 = 0xFF;
/// The first byte of an entry whose neighbour's length takes four bytes.
const LONG_NEIGHBOUR: u8 = 0xFE;
/// The count that says "many".
const MANY: usize = u16::MAX as usize;

/// What is wrong with bytes that should be a ziplist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// They end inside the header or an entry.
    Truncated,
    /// The header tells another length.
    WrongLength,
    /// The last byte is not the one that ends a ziplist, or one before it is.
    WrongEnd,
    /// An entry is of no known kind.
    UnknownEntry,
    /// An entry says that the one before it has another length.
    WrongNeighbour,
    /// The header says that the last entry begins elsewhere.
    WrongTail,
    /// The header tells another number of entries.
    WrongCount,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Truncated => "a ziplist ends inside an entry",
            Malformed::WrongLength => "a ziplist is not as long as it says",
            Malformed::WrongEnd => "a ziplist has no end mark, or one too early",
            Malformed::UnknownEntry => "a ziplist has an entry of no known kind",
            Malformed::WrongNeighbour => "a ziplist's entry has two lengths",
            Malformed::WrongTail => "a ziplist's last entry is not where it says",
            Malformed::WrongCount => "a ziplist has not as many entries as it says",
        })
    }
}

impl std::error::Error for Malformed {}

/// A ziplist that was checked.
#[derive(Clone, Copy, Debug)]
pub struct ZiplistRef<'a> {
    /// Header and end mark left out.
    entries: &'a [u8],
    len: usize,
}

impl<'a> ZiplistRef<'a> {
    /// Checks every byte.
    pub fn validate(bytes: &'a [u8]) -> Result<ZiplistRef<'a>, Malformed> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return Err(Malformed::Truncated) };
        let [total, tail] = [0, 4].map(|at| u32_le(&header[at..]).map_or(0, |n| n as usize));
        if total != bytes.len() {
            return Err(Malformed::WrongLength);
        }
        let Some((&END, entries)) = rest.split_last() else { return Err(Malformed::WrongEnd) };
        let (mut at, mut last, mut neighbour, mut len) = (0, 0, 0, 0);
        while at < entries.len() {
            let entry = Entry::read(&entries[at..])?;
            if entry.neighbour != neighbour {
                return Err(Malformed::WrongNeighbour);
            }
            (last, neighbour) = (at, entry.bytes);
            at += entry.bytes;
            len += 1;
        }
        if tail != HEADER + last {
            return Err(Malformed::WrongTail);
        }
        let told = usize::from(u16::from_le_bytes([header[8], header[9]]));
        if told != MANY && told != len {
            return Err(Malformed::WrongCount);
        }
        Ok(ZiplistRef { entries, len })
    }

    /// Entries.
    pub fn len(self) -> usize {
        self.len
    }

    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The entries from the first to the last. A text that spells an integer comes as one, whatever the ziplist has.
    pub fn iter(self) -> Iter<'a> {
        Iter { rest: self.entries, left: self.len }
    }
}

impl<'a> IntoIterator for ZiplistRef<'a> {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The entries of a ziplist. See [`ZiplistRef::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.rest.is_empty() {
            return None;
        }
        let entry = Entry::read(self.rest).expect("checked when the ziplist was opened");
        self.rest = &self.rest[entry.bytes..];
        self.left -= 1;
        Some(entry.item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl std::iter::FusedIterator for Iter<'_> {}

struct Entry<'a> {
    /// What it says of the length of the entry before it.
    neighbour: usize,
    item: Item<'a>,
    /// Its own length.
    bytes: usize,
}

impl<'a> Entry<'a> {
    /// The entry at the start of `rest`, which is not empty.
    fn read(rest: &'a [u8]) -> Result<Entry<'a>, Malformed> {
        let (neighbour, at) = match rest[0] {
            END => return Err(Malformed::WrongEnd),
            LONG_NEIGHBOUR => (u32_le(&rest[1..]).ok_or(Malformed::Truncated)? as usize, 5),
            short => (usize::from(short), 1),
        };
        let (item, bytes) = value(&rest[at..])?;
        Ok(Entry { neighbour, item, bytes: at + bytes })
    }
}

/// The text or integer at the start of `rest`, and the bytes it takes.
fn value(rest: &[u8]) -> Result<(Item<'_>, usize), Malformed> {
    let Some((&first, body)) = rest.split_first() else { return Err(Malformed::Truncated) };
    let integer = |n: Option<i64>, bytes: usize| Ok((Item::Int(n.ok_or(Malformed::Truncated)?), 1 + bytes));
    let (header, len) = match first {
        0x00..=0x3F => (1, usize::from(first)),
        0x40..=0x7F => {
            let &low = body.first().ok_or(Malformed::Truncated)?;
            (2, usize::from(first & 0x3F) << 8 | usize::from(low))
        }
        0x80..=0xBF => {
            let len = body.first_chunk().ok_or(Malformed::Truncated)?;
            (5, u32::from_be_bytes(*len) as usize)
        }
        0xC0 => return integer(body.first_chunk().map(|b| i16::from_le_bytes(*b).into()), 2),
        0xD0 => return integer(body.first_chunk().map(|b| i32::from_le_bytes(*b).into()), 4),
        0xE0 => return integer(body.first_chunk().map(|b| i64::from_le_bytes(*b)), 8),
        // Shifted down from the top, the sign comes along.
        0xF0 => {
            return integer(body.first_chunk().map(|[a, b, c]| (i32::from_le_bytes([0, *a, *b, *c]) >> 8).into()), 3);
        }
        0xFE => return integer(body.first_chunk().map(|b| i8::from_le_bytes(*b).into()), 1),
        0xF1..=0xFD => return integer(Some(i64::from(first - 0xF1)), 0),
        _ => return Err(Malformed::UnknownEntry),
    };
    let text = rest[header..].get(..len).ok_or(Malformed::Truncated)?;
    Ok((Item::of(text), header + len))
}

fn u32_le(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|four| u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ziplist of these values, each as it stands behind the neighbour's length.
    fn ziplist(values: &[&[u8]]) -> Vec<u8> {
        let (mut body, mut last, mut neighbour) = (Vec::new(), 0, 0);
        for value in values {
            last = body.len();
            match u8::try_from(neighbour) {
                Ok(short) if short < LONG_NEIGHBOUR => body.push(short),
                _ => {
                    body.push(LONG_NEIGHBOUR);
                    body.extend_from_slice(&(neighbour as u32).to_le_bytes());
                }
            }
            body.extend_from_slice(value);
            neighbour = body.len() - last;
        }
        let mut bytes = ((HEADER + body.len() + 1) as u32).to_le_bytes().to_vec();
        bytes.extend_from_slice(&((HEADER + last) as u32).to_le_bytes());
        bytes.extend_from_slice(&(values.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes.push(END);
        bytes
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        let list = ZiplistRef::validate(bytes).expect("well formed");
        assert_eq!((list.iter().len(), list.is_empty()), (list.len(), list.iter().next().is_none()));
        list.iter().map(|item| String::from_utf8(item.to_vec()).expect("the tests' texts are")).collect()
    }

    #[test]
    fn every_kind_of_entry() {
        let long = "y".repeat(70_000);
        let middle = "x".repeat(300);
        let bytes = ziplist(&[
            b"\x00",
            b"\x02ab",
            &[&[0x41, 0x2C], middle.as_bytes()].concat(),
            &[&[0x80, 0x00, 0x01, 0x11, 0x70], long.as_bytes()].concat(),
            b"\xF1",
            b"\xFD",
            b"\xFE\x80",
            b"\xC0\x00\x80",
            b"\xF0\x00\x00\x80",
            b"\xF0\xFF\xFF\x7F",
            b"\xD0\x00\x00\x00\x80",
            b"\xE0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F",
            b"\x0212",
            b"\x03012",
        ]);
        let expected = [
            "",
            "ab",
            &middle,
            &long,
            "0",
            "12",
            "-128",
            "-32768",
            "-8388608",
            "8388607",
            "-2147483648",
            "9223372036854775807",
            "12",
            "012",
        ];
        assert_eq!(texts(&bytes), expected);
        let list = ZiplistRef::validate(&bytes).expect("well formed");
        assert!(matches!(list.iter().nth(12), Some(Item::Int(12))), "a number is a number");
        assert_eq!(texts(&ziplist(&[])), [""; 0]);
    }

    /// `RPUSH l 1 a 300 70000 -5 ""`, worked out by hand.
    #[test]
    fn bytes_by_the_drawing() {
        let bytes = b"\x1e\0\0\0\x1b\0\0\0\x06\0\
            \0\xf2\
            \x02\x01a\
            \x03\xc0\x2c\x01\
            \x04\xf0\x70\x11\x01\
            \x05\xfe\xfb\
            \x03\0\xff";
        assert_eq!(texts(bytes), ["1", "a", "300", "70000", "-5", ""]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "many")]
    fn many_entries_are_not_counted_in_the_header() {
        let values = vec![&b"\xF2"[..]; 70_000];
        let mut bytes = ziplist(&values);
        bytes[8..10].copy_from_slice(&[0xFF, 0xFF]);
        assert_eq!(ZiplistRef::validate(&bytes).map(ZiplistRef::len), Ok(70_000));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let good = ziplist(&[b"\x02ab", b"\xF3"]);
        let wrong = |at: usize, byte: u8| {
            let mut bad = good.clone();
            bad[at] = byte;
            ZiplistRef::validate(&bad).expect_err("damaged")
        };
        assert_eq!(wrong(0, 99), Malformed::WrongLength);
        assert_eq!(wrong(4, 10), Malformed::WrongTail);
        assert_eq!(wrong(8, 3), Malformed::WrongCount);
        assert_eq!(wrong(10, END), Malformed::WrongEnd);
        assert_eq!(wrong(10, 1), Malformed::WrongNeighbour);
        assert_eq!(wrong(11, 0x3F), Malformed::Truncated);
        assert_eq!(wrong(11, 0xC1), Malformed::UnknownEntry);
        assert_eq!(wrong(good.len() - 1, 0), Malformed::WrongEnd);
    }

    #[test]
    fn a_neighbour_of_255_bytes_is_not_an_end_mark() {
        // The one length whose single byte would be the mark.
        let text = [&[0x40, 252][..], &[b'z'; 252]].concat();
        let bytes = ziplist(&[&text, b"\xF1"]);
        assert_eq!(ZiplistRef::validate(&bytes).map(ZiplistRef::len), Ok(2));
        let mut short = bytes[..HEADER + 255].to_vec();
        short.extend_from_slice(b"\xFF\xF1\xFF");
        short[0..4].copy_from_slice(&268u32.to_le_bytes());
        assert_eq!(ZiplistRef::validate(&short).map(ZiplistRef::len), Err(Malformed::WrongEnd));
    }

    #[test]
    fn any_damage_is_an_answer() {
        let good = ziplist(&[b"\x02ab", b"\xC0\x01\x02", &[&[0x41, 0], &[b'z'; 256][..]].concat(), b"\xF3"]);
        for at in 0..good.len() {
            assert!(ZiplistRef::validate(&good[..at]).is_err(), "cut at {at}");
            let changes: Vec<u8> = if cfg!(miri) { vec![1, 0x80, 0xFF] } else { (1..=255).collect() };
            for change in changes {
                let mut bad = good.clone();
                bad[at] ^= change;
                if let Ok(list) = ZiplistRef::validate(&bad) {
                    assert_eq!(list.iter().count(), list.len());
                }
            }
        }
    }
}
