//! Reading: SCAN, iteration, random elements.
//!
//! # SCAN
//!
//! The cursor is a position in the order of hashes read backwards, 48 bits of it, so the bits that choose a leaf come
//! first. All hashes of a leaf are one interval of that order, and a split or a merge moves borders of intervals, never
//! a hash: what is there from the first call to the last is shown. A merge between two calls can repeat a part of one
//! leaf; nothing is skipped, and nothing is kept between the calls.
//!
//! # Random elements
//!
//! A random hash finds a leaf with a probability in proportion to its share of the hashes, 2^-depth. A random slot of as
//! many as the fullest leaf *of that depth* could have (for the shallower ones twice as many) is then an element, or a
//! reason to begin again. So all elements are equally likely, exactly, after two attempts or so.

use super::leaf::{Leaf, Place, Places};
use super::shape::{Element, Shape};
use super::table::PackedTable;
use crate::cow::Heap;
use crate::util::rng::Rng;

/// The bits of a hash that a position ignores; leaves never go so deep.
const GRID_BITS: u32 = 16;

impl<S: Shape> PackedTable<S> {
    /// SCAN: shows about `count` elements from `cursor` on, and gives the cursor for the next call: 0 at the end.
    ///
    /// A cursor is any number below 2^48; 0 begins. At least one leaf is shown, some forty elements.
    pub fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(Element<'_>)) -> u64 {
        let mut position = cursor << GRID_BITS;
        let mut seen = 0;
        if self.is_empty() {
            return 0;
        }
        loop {
            let at = self.address.of(position.reverse_bits());
            // SAFETY: the leaf lives as long as self is borrowed.
            unsafe {
                let leaf = self.directory.leaf(at);
                leaf.places().for_each(|place| f(leaf.element::<S>(place)));
                seen += leaf.count().max(1);
            }
            let after = position | u64::MAX.unbounded_shr(self.address.depth(at));
            match after.checked_add(1) {
                None => return 0,
                Some(next) if seen >= count => return next >> GRID_BITS,
                Some(next) => position = next,
            }
        }
    }

    /// All elements, leaf by leaf.
    pub fn iter(&self) -> Iter<'_, S> {
        Iter { table: self, next: 0, within: None }
    }

    /// A random element, all equally likely.
    #[inline]
    pub fn random(&self, rng: &mut Rng) -> Option<Element<'_>> {
        let (_, leaf, place) = self.draw(rng)?;
        // SAFETY: the leaf lives as long as self is borrowed.
        Some(unsafe { leaf.element::<S>(place) })
    }

    /// Removes a random element, all equally likely, and shows it before that.
    #[inline]
    pub fn take_random<R>(&mut self, heap: &mut Heap, rng: &mut Rng, seen: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let (at, leaf, place) = self.draw(rng)?;
        // SAFETY: the leaf lives, and is not changed before `seen` is done.
        let answer = seen(unsafe { leaf.element::<S>(place) });
        self.take_out(heap, at, leaf, place);
        Some(answer)
    }

    #[inline]
    fn draw(&self, rng: &mut Rng) -> Option<(usize, Leaf, Place)> {
        if self.is_empty() {
            return None;
        }
        let bound = self.fullest.split.max(self.fullest.whole.div_ceil(2));
        loop {
            let at = self.address.of(rng.next_u64());
            let slots = if self.address.is_split(at) { bound } else { 2 * bound };
            let slot = rng.index(slots);
            // SAFETY: the leaf lives, and has an element of this number.
            unsafe {
                let leaf = self.directory.leaf(at);
                if slot < leaf.count() {
                    return Some((at, leaf, leaf.place(slot)));
                }
            }
        }
    }
}

impl<'a, S: Shape> IntoIterator for &'a PackedTable<S> {
    type Item = Element<'a>;
    type IntoIter = Iter<'a, S>;

    fn into_iter(self) -> Iter<'a, S> {
        self.iter()
    }
}

/// All elements of a table, leaf by leaf.
pub struct Iter<'a, S: Shape> {
    table: &'a PackedTable<S>,
    /// The number of the next leaf.
    next: usize,
    within: Option<(Leaf, Places)>,
}

impl<'a, S: Shape> Iterator for Iter<'a, S> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            if let Some((leaf, places)) = &mut self.within
                && let Some(place) = places.next()
            {
                // SAFETY: the leaf lives as long as the table is borrowed.
                return Some(unsafe { leaf.element::<S>(place) });
            }
            if self.next == self.table.directory.leaves() {
                return None;
            }
            // SAFETY: the leaf lives as long as the table is borrowed.
            unsafe {
                let leaf = self.table.directory.leaf(self.next);
                self.within = Some((leaf, leaf.places()));
            }
            self.next += 1;
            if self.next < self.table.directory.leaves() {
                // SAFETY: as above.
                unsafe { self.table.directory.leaf(self.next).prefetch() };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::Keys;
    use super::*;
    use crate::util::hash::HashSeed;
    use std::collections::BTreeMap;

    fn table(heap: &mut Heap, n: u32) -> PackedTable<Keys> {
        let mut table = PackedTable::new(HashSeed::fixed(5), heap.epoch());
        (0..n).for_each(|n| assert!(table.insert(heap, &n.to_le_bytes(), b"", false)));
        table
    }

    #[test]
    fn scan_shows_everything_once_when_nothing_changes() {
        let mut heap = Heap::new();
        for n in [1, 10, 300, 3000] {
            let table = table(&mut heap, n);
            let (mut cursor, mut seen, mut calls) = (0, BTreeMap::new(), 0);
            loop {
                cursor = table.scan(cursor, 10, |e| *seen.entry(e.key.to_vec()).or_insert(0) += 1);
                calls += 1;
                assert!(cursor < 1 << 48);
                if cursor == 0 {
                    break;
                }
            }
            assert_eq!(seen.len(), n as usize);
            assert!(seen.values().all(|&times| times == 1) && calls <= n);
            assert_eq!(table.iter().count(), n as usize);
            // SAFETY: the table is this test's own.
            table.destroy(&unsafe { crate::cow::Unshared::proven() });
        }
    }

    #[test]
    fn draws_are_uniform() {
        let (mut heap, mut rng) = (Heap::new(), Rng::from_seed(3));
        for n in if cfg!(miri) { vec![20] } else { vec![20, 100, 333, 500, 800] } {
            let mut table = table(&mut heap, n + 700);
            (n..n + 700).for_each(|n| assert!(table.remove(&mut heap, &n.to_le_bytes())));
            table.check_invariants();
            let mut drawn = vec![0f64; n as usize];
            let mean = if cfg!(miri) { 5 } else { 300 };
            for _ in 0..n * mean {
                let key = table.random(&mut rng).expect("there are some").key;
                drawn[u32::from_le_bytes(key.try_into().expect("four bytes")) as usize] += 1.0;
            }
            let mean = f64::from(mean);
            let chi = drawn.iter().map(|d| (d - mean).powi(2) / mean).sum::<f64>() / f64::from(n - 1);
            assert!((0.5..1.5).contains(&chi), "{n}: {chi}");
            let mut left = n as usize;
            while table.take_random(&mut heap, &mut rng, |_| ()).is_some() {
                left -= 1;
            }
            assert_eq!((left, table.len()), (0, 0));
            table.check_invariants();
            // SAFETY: the table is this test's own.
            table.destroy(&unsafe { crate::cow::Unshared::proven() });
        }
    }
}
