//! Reading in hash order: SCAN, a whole pass, and lookup by a prefix of the hash.
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
use super::segment::{Collected, home};
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

    /// Shows every element whose hash begins with these 32 bits: rarely more than one.
    pub fn with_hash_prefix(&self, prefix: u32, mut f: impl FnMut(E::Ref<'_>)) {
        // SAFETY: the elements live as long as self is borrowed.
        self.each_with_prefix(prefix, |element, _| f(unsafe { E::view(element) }));
    }

    /// The first element that `wanted` accepts, of those whose hash begins with these 32 bits, as a slot.
    pub fn occupied_by_prefix<'a>(
        &'a mut self,
        heap: &'a mut Heap,
        prefix: u32,
        mut wanted: impl FnMut(E::Ref<'_>) -> bool,
    ) -> Option<OccupiedSlot<'a, E>> {
        let mut found = None;
        self.each_with_prefix(prefix, |element, hash| {
            // SAFETY: the element lives.
            if found.is_none() && wanted(unsafe { E::view(element) }) {
                found = Some((element, hash));
            }
        });
        let (element, hash) = found?;
        // SAFETY: the segment lives.
        let place = unsafe { self.locate(hash).find(self.buckets(), hash, |other| other == element) };
        Some(OccupiedSlot::new(self, heap, hash, place.expect("it was just seen there")))
    }

    fn each_with_prefix(&self, prefix: u32, mut f: impl FnMut(NonNull<u8>, u64)) {
        let (first, last) = ((prefix as u64) << 32, (prefix as u64) << 32 | u32::MAX as u64);
        let mut position = (self.len > 0).then_some(first);
        while let Some(hash) = position {
            let segment = self.locate(hash);
            let at = home(hash, segment.depth(), self.buckets());
            // SAFETY: the segment and its elements live.
            unsafe {
                segment.for_each_at_home::<E>(self.buckets(), at, self.seed, |element, hash| {
                    if hash >> 32 == prefix as u64 {
                        f(element, hash);
                    }
                });
            }
            position = next_home(hash, segment.depth(), self.buckets()).filter(|&next| next <= last);
        }
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
