//! Random elements: one that is exactly uniform, or several cheap ones that lie together.
//!
//! A random hash finds a segment with a probability in proportion to its share of the hash space, 2^-depth. Accepting
//! it with probability 2^(depth - deepest) makes all segments equally likely; then a random slot of the segment, again
//! until it is occupied, makes all elements equally likely. Elements in overflow links (which chance never makes) are
//! reached through their head, a little less often than others.
//!
//! A run of several begins at a random element, not anywhere in a random segment: that would show those of a sparse
//! segment more often. Eviction by such samples empties sparse segments further and lets full ones split, so that a part
//! of the keys stays for half as long as the others.

use super::element::Element;
use super::segment::{Collected, Segment};
use super::table::Table;
use super::tags::{self, SLOTS};
use crate::util::rng::Rng;

/// Tries to begin a run at an element. In a table that is as good as empty it begins anywhere after that.
const BEGINNINGS: usize = 32;

impl<E: Element> Table<E> {
    /// A random element, all equally likely.
    pub fn random(&self, rng: &mut Rng) -> Option<E::Ref<'_>> {
        if self.is_empty() {
            return None;
        }
        loop {
            let segment = self.random_link(rng);
            let at = rng.index(self.buckets() * SLOTS);
            // SAFETY: the segment and its elements live.
            unsafe {
                let bucket = segment.bucket(at / SLOTS);
                if tags::is_occupied((*bucket).word, at % SLOTS) {
                    let element = (*bucket).slots[at % SLOTS];
                    return Some(E::view(std::ptr::NonNull::new_unchecked(element)));
                }
            }
        }
    }

    /// Shows up to `n` elements that lie together, from a random place on; gives their number. Made for eviction: one
    /// cache miss each, and the lines are asked for together. Fewer than `n` only if the table is small.
    pub fn sample(&self, rng: &mut Rng, n: usize, mut f: impl FnMut(E::Ref<'_>)) -> usize {
        let wanted = n.min(self.len);
        let mut shown = 0;
        let mut elements = Collected::new();
        // The loop ends by chance, because some segment has an element; the bound is for chance's worst days.
        for attempt in 0..1000 {
            if shown >= wanted {
                break;
            }
            let segment = self.random_link(rng);
            let start = rng.index(self.buckets() * SLOTS);
            // SAFETY: the segment and its elements live.
            unsafe {
                let begins = tags::is_occupied((*segment.bucket(start / SLOTS)).word, start % SLOTS);
                if !begins && attempt < BEGINNINGS {
                    continue;
                }
                self.collect_run(segment, start, wanted - shown, &mut elements);
                for element in elements.iter() {
                    f(E::view(element));
                }
            }
            shown += elements.len();
        }
        shown
    }

    /// A random segment, all equally likely (or one of its links). The table is not empty.
    fn random_link(&self, rng: &mut Rng) -> Segment {
        loop {
            let hash = rng.next_u64();
            let segment = self.locate(hash);
            let (depth, deepest) = (segment.depth(), self.depths.max());
            if depth < deepest && (hash << depth) >> (64 - (deepest - depth)) != 0 {
                continue; // the bits after the depth are as random as those before
            }
            // SAFETY: the segment lives.
            if unsafe { segment.next().is_null() } {
                return segment;
            }
            return Self::random_of_chain(segment, rng);
        }
    }

    #[cold]
    fn random_of_chain(segment: Segment, rng: &mut Rng) -> Segment {
        let links: Vec<Segment> = std::iter::successors(Some(segment), |link| {
            // SAFETY: links live as long as their head.
            Some(unsafe { link.next() }).filter(|next| !next.is_null())
        })
        .collect();
        links[rng.index(links.len())]
    }

    /// Collects up to `n` elements of consecutive slots, from one on and around the end.
    unsafe fn collect_run(&self, segment: Segment, start: usize, n: usize, into: &mut Collected) {
        into.clear();
        // The first bucket comes again at the end, for the slots before the start.
        for step in 0..=self.buckets() {
            let at = (start / SLOTS + step) % self.buckets();
            // SAFETY: the segment lives.
            unsafe {
                let bucket = segment.bucket(at);
                for slot in tags::occupied((*bucket).word) {
                    let before_start = at == start / SLOTS && slot < start % SLOTS;
                    if (step == 0 && before_start) || (step == self.buckets() && !before_start) {
                        continue;
                    }
                    if into.len() == n {
                        return;
                    }
                    into.push((*bucket).slots[slot]);
                }
            }
        }
    }
}
