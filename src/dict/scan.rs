//! Reading in hash order: SCAN, a whole pass, and lookup by a part of the hash.
//!
//! # Why SCAN is simple here
//!
//! The cursor is a position in hash space, 48 bits of it. The table is in hash order down to the bucket: directory,
//! chunks and segments by construction, buckets because `home` is monotone. So a call emits the elements whose home
//! bucket covers the cursor, wherever they were displaced to, and goes on at the first hash of the next home bucket.
//! Splits, merges, growth and shrinking between two calls move the boundaries of buckets, never the order of
//! elements: what is there from the first call to the last is emitted. A boundary that moved back can repeat some
//! elements of one bucket, nothing is skipped, and nothing is kept between the calls.

use std::ptr::NonNull;

use super::directory::{after, prefix};
use super::element::Element;
use super::segment::{Collected, Place, home};
use super::slot::OccupiedSlot;
use super::table::Table;
use crate::cow::Heap;

/// The bits of a hash that a position ignores.
const GRID_BITS: u32 = 16;
const GRID: u64 = (1 << GRID_BITS) - 1;

/// The first position whose home is a later bucket than that of `position`; none at the end of the hash space.
fn next_home(position: u64, depth: u32, buckets: usize) -> Option<u64> {
    let at = home(position, depth, buckets) + 1;
    if at == buckets {
        return after(position, depth);
    }
    // The smallest 32-bit fraction of the segment that `home` maps to `at`, then the smallest position with it: all
    // positions lie on the grid, so rounding up is exact.
    let fraction = ((at as u64) << 32).div_ceil(buckets as u64) << 32;
    let offset = (fraction >> depth) + u64::from(fraction & ((1 << depth) - 1) != 0);
    Some((prefix(position, depth) + offset + GRID) & !GRID)
}

impl<E: Element> Table<E> {
    /// SCAN: shows about `count` elements from `cursor` on, and gives the cursor for the next call: 0 at the end.
    ///
    /// A cursor is any number below 2^48; 0 begins.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(E::Ref<'_>)) -> u64 {
        if self.is_empty() {
            return 0;
        }
        let mut position = cursor << GRID_BITS;
        let mut seen = 0;
        let mut buckets_left = count.saturating_mul(10); // of a sparse table
        loop {
            let segment = self.locate(position);
            let at = home(position, segment.depth(), self.buckets());
            // SAFETY: the segment and its elements live.
            unsafe {
                segment.for_each_at_home::<E>(self.buckets(), at, self.seed, |element, _| {
                    f(E::view(element));
                    seen += 1;
                });
            }
            let Some(next) = next_home(position, segment.depth(), self.buckets()) else { return 0 };
            debug_assert!(next > position && next & GRID == 0);
            buckets_left = buckets_left.saturating_sub(1);
            if seen >= count || buckets_left == 0 {
                return next >> GRID_BITS;
            }
            position = next;
        }
    }

    /// Shows every element. Table-sized work: for small tables, and for threads that may take their time.
    pub fn for_each(&self, mut f: impl FnMut(E::Ref<'_>)) {
        let mut elements = Collected::new();
        let mut position = (self.len > 0).then_some(0);
        while let Some(hash) = position {
            let segment = self.locate(hash);
            position = after(hash, segment.depth());
            let mut link = segment;
            while !link.is_null() {
                // SAFETY: the segment, its links and the elements live.
                unsafe {
                    link.collect(self.buckets(), &mut elements);
                    for element in elements.iter() {
                        f(E::view(element));
                    }
                    link = link.next();
                }
            }
        }
    }

    /// Shows every element whose hash has this fragment: rarely more than one.
    pub fn with_fragment(&self, fragment: Fragment, mut f: impl FnMut(E::Ref<'_>)) {
        self.find_by_fragment(fragment, |element| {
            // SAFETY: the element lives as long as self is borrowed.
            f(unsafe { E::view(element) });
            false
        });
    }

    /// The first element that `wanted` accepts, of those whose hash has this fragment, as a slot.
    pub fn occupied_by_fragment<'a>(
        &'a mut self,
        heap: &'a mut Heap,
        fragment: Fragment,
        mut wanted: impl FnMut(E::Ref<'_>) -> bool,
    ) -> Option<OccupiedSlot<'a, E>> {
        // SAFETY: the element lives.
        let (hash, place) = self.find_by_fragment(fragment, |element| wanted(unsafe { E::view(element) }))?;
        Some(OccupiedSlot::new(self, heap, hash, place))
    }

    /// Goes through the buckets that can be home to the fragment; in each only what has its tag is looked at.
    fn find_by_fragment(&self, fragment: Fragment, mut is_it: impl FnMut(NonNull<u8>) -> bool) -> Option<(u64, Place)> {
        let first = fragment.lowest();
        let last = first | ((1 << Fragment::FREE_BITS) - 1);
        let mut position = (self.len > 0).then_some(first);
        while let Some(here) = position {
            let segment = self.locate(here);
            let at = home(here, segment.depth(), self.buckets());
            let (mut hash, tagged) = (0, here | u64::from(fragment.0 & 0xff));
            // SAFETY: the segment and its elements live.
            let place = unsafe {
                segment.find(self.buckets(), tagged, |element| {
                    hash = E::hash(element, self.seed);
                    // What is at home elsewhere was displaced into view, and has its own turn.
                    Fragment::of(hash) == fragment
                        && home(hash, segment.depth(), self.buckets()) == at
                        && is_it(element)
                })
            };
            if let Some(place) = place {
                return Some((hash, place));
            }
            position = next_home(here, segment.depth(), self.buckets()).filter(|&next| next <= last);
        }
        None
    }
}

/// What an index remembers of a hash in four bytes: the top 24 bits say where to look, the lowest 8 are the tag, which
/// says at what. So finding an element by it costs what finding it by its key does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fragment(pub u32);

impl Fragment {
    /// The bits between the two parts.
    const FREE_BITS: u32 = 40;

    /// The fragment of a hash.
    #[inline]
    pub fn of(hash: u64) -> Fragment {
        Fragment((hash >> Self::FREE_BITS << 8) as u32 | (hash & 0xff) as u32)
    }

    /// A hash with this fragment, good enough for [`Table::prefetch_bucket`] and [`Table::prefetch_entry`].
    #[inline]
    pub fn likely_hash(self) -> u64 {
        self.lowest() | u64::from(self.0 & 0xff)
    }

    /// The lowest position that a hash with this fragment can have.
    fn lowest(self) -> u64 {
        u64::from(self.0 >> 8) << Self::FREE_BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_boundaries_are_exact() {
        for depth in [0u32, 1, 2, 9, 20, 32, 33, 37, 38] {
            for buckets in [1usize, 2, 3, 5, 7, 11, 15, 23, 31] {
                let start = prefix(0xdead_beef_cafe_f00d, depth);
                let (mut position, mut at) = (start, 0);
                loop {
                    assert_eq!(home(position, depth, buckets), at, "depth {depth} buckets {buckets}");
                    assert!(position == start || home(position - (1 << GRID_BITS), depth, buckets) == at - 1);
                    let Some(next) = next_home(position, depth, buckets) else { break };
                    if prefix(next, depth) != start {
                        assert_eq!(Some(next), after(start, depth));
                        break;
                    }
                    (position, at) = (next, at + 1);
                }
                assert_eq!(at, buckets - 1, "every bucket is home to something");
            }
        }
    }
}
