//! Intset: integers in order, in as few bytes each as the widest of them needs, exactly as Redis lays them out.
//!
//! ```text
//! | bytes of one: 2, 4 or 8, u32 | integers u32 | integer | integer | ...        all little-endian, ascending
//! ```
//!
//! A lookup is a binary search over bytes that lie side by side. Inserting and removing move what is behind; one
//! integer wider than all before widens them all, and nothing ever narrows them again. Reading trusts its bytes unless
//! they come through [`IntsetRef::validate`].

use super::buffer::Buffer;

/// Bytes before the first integer.
pub const HEADER: usize = 8;
/// An intset without elements.
pub const EMPTY: [u8; HEADER] = [2, 0, 0, 0, 0, 0, 0, 0];

/// What is wrong with bytes that should be an intset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// They end inside the header.
    Truncated,
    /// An integer has no such width.
    UnknownWidth,
    /// The header tells another number of integers.
    WrongLength,
    /// An integer is not greater than the one before it.
    OutOfOrder,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Malformed::Truncated => "an intset ends inside its header",
            Malformed::UnknownWidth => "an intset's integers have no known width",
            Malformed::WrongLength => "an intset is not as long as it says",
            Malformed::OutOfOrder => "an intset is not in order",
        })
    }
}

impl std::error::Error for Malformed {}

/// Bytes of an integer.
#[inline]
fn width_of(n: i64) -> usize {
    match n {
        -0x8000..=0x7FFF => 2,
        -0x8000_0000..=0x7FFF_FFFF => 4,
        _ => 8,
    }
}

/// The bytes behind the header, as integers of one width.
#[derive(Clone, Copy)]
enum Ints<'a> {
    W2(&'a [[u8; 2]]),
    W4(&'a [[u8; 4]]),
    W8(&'a [[u8; 8]]),
}

/// An intset's bytes.
#[derive(Clone, Copy)]
pub struct IntsetRef<'a>(&'a [u8]);

impl<'a> IntsetRef<'a> {
    /// Trusts the bytes.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> IntsetRef<'a> {
        debug_assert!(bytes.len() >= HEADER, "an intset");
        IntsetRef(bytes)
    }

    /// Checks bytes from anywhere; if `order` is asked for, every integer too.
    pub fn validate(bytes: &'a [u8], order: bool) -> Result<IntsetRef<'a>, Malformed> {
        let Some(header) = bytes.first_chunk::<HEADER>() else { return Err(Malformed::Truncated) };
        let [width, count] =
            [0, 4].map(|at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
        if !matches!(width, 2 | 4 | 8) {
            return Err(Malformed::UnknownWidth);
        }
        if (bytes.len() - HEADER) as u64 != u64::from(width) * u64::from(count) {
            return Err(Malformed::WrongLength);
        }
        let set = IntsetRef(bytes);
        if order && !set.iter().is_sorted_by(|a, b| a < b) {
            return Err(Malformed::OutOfOrder);
        }
        Ok(set)
    }

    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Bytes of one integer.
    #[inline]
    pub fn width(self) -> usize {
        usize::from(self.0[0])
    }

    #[inline]
    pub fn len(self) -> usize {
        (self.0.len() - HEADER) >> self.width().trailing_zeros()
    }

    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.len() == HEADER
    }

    #[inline]
    fn ints(self) -> Ints<'a> {
        let bytes = &self.0[HEADER..];
        match self.width() {
            2 => Ints::W2(bytes.as_chunks().0),
            4 => Ints::W4(bytes.as_chunks().0),
            _ => Ints::W8(bytes.as_chunks().0),
        }
    }

    /// The integer with this index, in ascending order.
    #[inline]
    pub fn get(self, index: usize) -> Option<i64> {
        match self.ints() {
            Ints::W2(all) => all.get(index).map(|b| i64::from(i16::from_le_bytes(*b))),
            Ints::W4(all) => all.get(index).map(|b| i64::from(i32::from_le_bytes(*b))),
            Ints::W8(all) => all.get(index).map(|b| i64::from_le_bytes(*b)),
        }
    }

    #[inline]
    pub fn first(self) -> Option<i64> {
        self.get(0)
    }

    #[inline]
    pub fn last(self) -> Option<i64> {
        self.get(self.len().checked_sub(1)?)
    }

    /// How many integers are less than `n`.
    #[inline]
    pub fn rank(self, n: i64) -> usize {
        match self.ints() {
            Ints::W2(all) => all.partition_point(|b| i64::from(i16::from_le_bytes(*b)) < n),
            Ints::W4(all) => all.partition_point(|b| i64::from(i32::from_le_bytes(*b)) < n),
            Ints::W8(all) => all.partition_point(|b| i64::from_le_bytes(*b) < n),
        }
    }

    /// The index of `n`, or the one it would have.
    #[inline]
    pub fn search(self, n: i64) -> Result<usize, usize> {
        if width_of(n) > self.width() {
            return Err(if n < 0 { 0 } else { self.len() });
        }
        // Sets are often filled in order.
        if self.last().is_none_or(|last| last < n) {
            return Err(self.len());
        }
        let rank = self.rank(n);
        if self.get(rank) == Some(n) { Ok(rank) } else { Err(rank) }
    }

    #[inline]
    pub fn contains(self, n: i64) -> bool {
        width_of(n) <= self.width() && self.get(self.rank(n)) == Some(n)
    }

    /// The integers in ascending order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + 'a {
        let width = self.width();
        self.0[HEADER..].chunks_exact(width).map(|b| match *b {
            [a, b] => i64::from(i16::from_le_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => unreachable!("widths are 2, 4 and 8"),
        })
    }
}

impl std::fmt::Debug for IntsetRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// An intset in a buffer, to be edited.
pub struct IntsetMut<'b, B: Buffer + ?Sized>(&'b mut B);

impl<'b, B: Buffer + ?Sized> IntsetMut<'b, B> {
    /// Trusts the bytes.
    #[inline]
    pub fn new(buffer: &'b mut B) -> Self {
        IntsetMut(buffer)
    }

    #[inline]
    pub fn view(&self) -> IntsetRef<'_> {
        IntsetRef::new(self.0.bytes())
    }

    /// Adds an integer; false if it is there.
    pub fn insert(&mut self, n: i64) -> bool {
        let Err(index) = self.view().search(n) else { return false };
        if width_of(n) > self.view().width() {
            self.widen(width_of(n));
        }
        let (width, len) = (self.view().width(), self.view().len());
        let at = HEADER + index * width;
        let bytes = self.0.reshape(at, 0, width);
        bytes[at..at + width].copy_from_slice(&n.to_le_bytes()[..width]);
        write_len(bytes, len + 1);
        true
    }

    /// Removes an integer; false if it is not there.
    pub fn remove(&mut self, n: i64) -> bool {
        let Ok(index) = self.view().search(n) else { return false };
        self.remove_index(index);
        true
    }

    /// Removes the integer with this index.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn remove_index(&mut self, index: usize) {
        let (width, len) = (self.view().width(), self.view().len());
        assert!(index < len, "an index of this set");
        write_len(self.0.reshape(HEADER + index * width, width, 0), len - 1);
    }

    /// Makes all integers wider, from the last one on: none is overwritten before it was read.
    fn widen(&mut self, width: usize) {
        let (old, len) = (self.view().width(), self.view().len());
        let end = self.0.bytes().len();
        let bytes = self.0.reshape(end, 0, len * (width - old));
        for index in (0..len).rev() {
            let mut wide = [0; 8];
            let from = HEADER + index * old;
            wide[..old].copy_from_slice(&bytes[from..from + old]);
            if wide[old - 1] & 0x80 != 0 {
                wide[old..].fill(0xFF);
            }
            let to = HEADER + index * width;
            bytes[to..to + width].copy_from_slice(&wide[..width]);
        }
        bytes[0] = width as u8;
    }
}

#[inline]
fn write_len(bytes: &mut [u8], len: usize) {
    let len = u32::try_from(len).expect("whoever lets an intset grow keeps it small");
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
}

/// An intset without elements, in a `Vec` with room for `capacity` bytes.
pub fn new(capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(capacity.max(HEADER));
    bytes.extend_from_slice(&EMPTY);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_in_order_and_widen() {
        let mut bytes = new(0);
        let mut set = IntsetMut::new(&mut bytes);
        assert!(set.insert(5) && set.insert(-3) && set.insert(1000) && !set.insert(5));
        assert_eq!(set.view().bytes(), [2, 0, 0, 0, 3, 0, 0, 0, 0xFD, 0xFF, 5, 0, 0xE8, 3]);
        assert!(set.insert(70_000) && set.insert(-70_000));
        assert_eq!((set.view().width(), set.view().len()), (4, 5));
        assert!(!set.view().contains(i64::MAX) && !set.remove(i64::MIN));
        assert!(set.insert(i64::MIN) && set.insert(i64::MAX));
        let all: Vec<_> = set.view().iter().collect();
        assert_eq!(all, [i64::MIN, -70_000, -3, 5, 1000, 70_000, i64::MAX]);
        assert!(all.iter().all(|&n| set.view().contains(n)));
        assert!(set.remove(i64::MIN) && set.remove(70_000) && !set.remove(70_000));
        assert_eq!((set.view().first(), set.view().last(), set.view().get(5)), (Some(-70_000), Some(i64::MAX), None));
        assert_eq!(set.view().width(), 8, "it never narrows");
        assert!(IntsetRef::validate(&bytes, true).is_ok());
    }

    #[test]
    fn hostile_bytes_are_refused() {
        let check = |bytes: &[u8]| IntsetRef::validate(bytes, true).map(|_| ());
        assert_eq!(check(&EMPTY), Ok(()));
        assert_eq!(check(&EMPTY[..7]), Err(Malformed::Truncated));
        assert_eq!(check(&[3, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3]), Err(Malformed::UnknownWidth));
        assert_eq!(check(&[2, 1, 0, 0, 1, 0, 0, 0, 1, 2]), Err(Malformed::UnknownWidth));
        assert_eq!(check(&[2, 0, 0, 0, 1, 0, 0, 0, 1]), Err(Malformed::WrongLength));
        assert_eq!(check(&[8, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1]), Err(Malformed::WrongLength));
        assert_eq!(check(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0]), Err(Malformed::OutOfOrder));
        assert_eq!(check(&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 2, 0]), Ok(()));
    }
}
