//! Reading a listpack.

use super::entry::{self, END};
use super::{Depth, HEADER, Item, LIMIT, MANY, Malformed};

/// A listpack's bytes.
#[derive(Clone, Copy)]
pub struct ListpackRef<'a>(&'a [u8]);

impl<'a> ListpackRef<'a> {
    /// Trusts the bytes; see the module's text.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> ListpackRef<'a> {
        debug_assert!(ListpackRef::validate(bytes, Depth::Shallow).is_ok(), "a listpack: {:?}", bytes.escape_ascii());
        ListpackRef(bytes)
    }

    /// Checks bytes from anywhere.
    pub fn validate(bytes: &'a [u8], depth: Depth) -> Result<ListpackRef<'a>, Malformed> {
        Self::validate_each(bytes, depth, |_| true)
    }

    /// Checks bytes from anywhere, and hands every element to `each` if the check is deep; what `each` refuses is an
    /// unknown entry. The elements come in order, so a type's own rules can be checked in the same walk.
    pub fn validate_each(
        bytes: &'a [u8],
        depth: Depth,
        mut each: impl FnMut(Item<'a>) -> bool,
    ) -> Result<ListpackRef<'a>, Malformed> {
        let (Some(header), Some((&last, _))) = (bytes.first_chunk::<HEADER>(), bytes[..].split_last()) else {
            return Err(Malformed::Truncated);
        };
        if bytes.len() == HEADER {
            return Err(Malformed::Truncated);
        }
        let total = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        if total != bytes.len() || total > LIMIT {
            return Err(Malformed::WrongLength);
        }
        if last != END {
            return Err(Malformed::WrongEnd);
        }
        if depth == Depth::Deep {
            let (mut at, mut count, end) = (HEADER, 0, total - 1);
            while at < end {
                if bytes[at] == END {
                    return Err(Malformed::WrongEnd);
                }
                let behind = entry::check(bytes, at, end)?;
                if !each(entry::read(bytes, at).0) {
                    return Err(Malformed::UnknownEntry);
                }
                at = behind;
                count += 1;
            }
            let told = usize::from(u16::from_le_bytes([header[4], header[5]]));
            if told != MANY && told != count {
                return Err(Malformed::WrongCount);
            }
        }
        Ok(ListpackRef(bytes))
    }

    /// All the bytes.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The count in the header, if it is one.
    #[inline]
    pub(super) fn told_len(self) -> Option<usize> {
        let told = usize::from(u16::from_le_bytes([self.0[4], self.0[5]]));
        (told != MANY).then_some(told)
    }

    /// Elements. Above 65534 they are counted by walking.
    #[inline]
    pub fn len(self) -> usize {
        self.told_len().unwrap_or_else(|| self.iter().count())
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.len() == HEADER + 1
    }

    /// Whether another `more` bytes of entries would keep it within [`LIMIT`].
    pub fn fits(self, more: usize) -> bool {
        self.0.len().saturating_add(more) <= LIMIT
    }

    /// The position behind the last entry: that of the end mark.
    #[inline]
    pub fn end(self) -> usize {
        self.0.len() - 1
    }

    /// The position of the first entry.
    #[inline]
    pub fn first(self) -> Option<usize> {
        (!self.is_empty()).then_some(HEADER)
    }

    /// The position of the last entry.
    #[inline]
    pub fn last(self) -> Option<usize> {
        (!self.is_empty()).then(|| entry::before(self.0, self.end()))
    }

    /// The position of the entry behind the one at `at`.
    #[inline]
    pub fn next(self, at: usize) -> Option<usize> {
        let behind = entry::skip(self.0, at);
        (behind < self.end()).then_some(behind)
    }

    /// The position behind the entry at `at`, be there an entry or the end.
    #[inline]
    pub fn behind(self, at: usize) -> usize {
        entry::skip(self.0, at)
    }

    /// The position of the entry before the position `at` (of an entry or the end).
    #[inline]
    pub fn prev(self, at: usize) -> Option<usize> {
        (at > HEADER).then(|| entry::before(self.0, at))
    }

    /// The element at a position.
    #[inline]
    pub fn item(self, at: usize) -> Item<'a> {
        entry::read(self.0, at).0
    }

    /// The element at a position, and the position behind it.
    #[inline]
    pub fn read(self, at: usize) -> (Item<'a>, usize) {
        entry::read(self.0, at)
    }

    /// The position of the element with this index; walks from the nearer side.
    pub fn seek(self, index: usize) -> Option<usize> {
        match self.told_len() {
            Some(len) if index >= len => None,
            Some(len) if index > len / 2 => Some((index..len).fold(self.end(), |at, _| entry::before(self.0, at))),
            Some(_) => Some((0..index).fold(HEADER, |at, _| entry::skip(self.0, at))),
            None => {
                let mut at = self.first()?;
                for _ in 0..index {
                    at = self.next(at)?;
                }
                Some(at)
            }
        }
    }

    /// The element with this index.
    #[inline]
    pub fn get(self, index: usize) -> Option<Item<'a>> {
        self.seek(index).map(|at| self.item(at))
    }

    /// The position of the first element equal to `what` among the first one and every one that follows after `skip`
    /// others: 0 looks at all, 1 at the keys of pairs.
    #[inline]
    pub fn find<'b>(self, what: impl Into<Item<'b>>, skip: usize) -> Option<usize> {
        self.find_from(HEADER, what, skip)
    }

    /// As [`Self::find`], from a position on.
    #[inline]
    pub fn find_from<'b>(self, at: usize, what: impl Into<Item<'b>>, skip: usize) -> Option<usize> {
        match what.into() {
            Item::Int(n) => self.find_int(at, n, skip),
            Item::Bytes(text) => self.find_text(at, text, skip),
        }
    }

    fn find_text(self, mut at: usize, what: &[u8], skip: usize) -> Option<usize> {
        let (bytes, end) = (self.0, self.end());
        while at < end {
            let head = bytes[at];
            // What is usual has its length in its first byte: one comparison decides for nearly all.
            if (0x80..0xC0).contains(&head) {
                let len = usize::from(head & 63);
                if len == what.len() && &bytes[at + 1..at + 1 + len] == what {
                    return Some(at);
                }
                at += len + 2;
            } else {
                let (item, behind) = entry::read(bytes, at);
                // A number's text is never equal: `what` would be a number as well.
                if matches!(item, Item::Bytes(text) if text == what) {
                    return Some(at);
                }
                at = behind;
            }
            at = self.skip_some(at, skip);
        }
        None
    }

    fn find_int(self, mut at: usize, what: i64, skip: usize) -> Option<usize> {
        let (bytes, end) = (self.0, self.end());
        let mut room = itoa::Buffer::new();
        let text = room.format(what).as_bytes();
        while at < end {
            let (item, behind) = entry::read(bytes, at);
            let equal = match item {
                Item::Int(n) => n == what,
                // Redis never writes a number as a text, but takes it from others.
                Item::Bytes(other) => other.len() == text.len() && other == text,
            };
            if equal {
                return Some(at);
            }
            at = self.skip_some(behind, skip);
        }
        None
    }

    #[inline]
    fn skip_some(self, mut at: usize, count: usize) -> usize {
        let end = self.end();
        for _ in 0..count {
            if at >= end {
                break;
            }
            at = entry::skip(self.0, at);
        }
        at
    }

    /// The bytes of all entries.
    pub fn entries(self) -> &'a [u8] {
        &self.0[HEADER..self.end()]
    }

    /// The elements, from both sides.
    #[inline]
    pub fn iter(self) -> Iter<'a> {
        self.iter_from(HEADER)
    }

    /// The elements from a position on.
    #[inline]
    pub fn iter_from(self, at: usize) -> Iter<'a> {
        Iter { bytes: self.0, at, end: self.end() }
    }

    /// The elements before a position (of an entry or the end); `.rev()` walks away from it.
    #[inline]
    pub fn iter_before(self, at: usize) -> Iter<'a> {
        Iter { bytes: self.0, at: HEADER, end: at }
    }
}

impl std::fmt::Debug for ListpackRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for ListpackRef<'a> {
    type Item = Item<'a>;
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The elements of a listpack.
#[derive(Clone)]
pub struct Iter<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl Iter<'_> {
    /// The position of what `next` will give (the end, if nothing).
    pub fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Item<'a>;

    #[inline]
    fn next(&mut self) -> Option<Item<'a>> {
        if self.at >= self.end {
            return None;
        }
        let (item, behind) = entry::read(self.bytes, self.at);
        self.at = behind;
        Some(item)
    }

    fn count(self) -> usize {
        let (mut at, mut count) = (self.at, 0);
        while at < self.end {
            at = entry::skip(self.bytes, at);
            count += 1;
        }
        count
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        self.end = entry::before(self.bytes, self.end);
        Some(entry::read(self.bytes, self.end).0)
    }
}

impl std::iter::FusedIterator for Iter<'_> {}
