//! Which key is due next: an exact index of deadlines, eight bytes a key.
//!
//! Redis finds keys to expire by sampling: it looks at twenty random volatile keys and goes on while many of them are
//! due, so that a quarter of the dead may stay. This index knows every deadline in order, so that expiring costs what
//! is expired and nothing is polled.
//!
//! # Layout
//!
//! A record is not a pointer, because entries move whenever they are rewritten. It is the deadline and 32 bits of the
//! key's hash, from which the dict finds the entry ([`crate::dict::Fragment`]); the entry's own deadline then says
//! whether it was meant. So the index never has to be told that an entry moved, and a stale record could do no harm.
//!
//! ```text
//! blocks: BTreeMap<Mark, Block>          Mark  = (deadline, hash): nothing in the block is smaller, everything in
//!                                                the blocks before it is at most that
//!   Block { records: Vec<u64> }          record = (deadline - mark.deadline) << 32 | hash       sorted, at most 256
//! ```
//!
//! A B+ tree of two kinds of nodes, then: std's tree above, flat sorted arrays below. An array is searched in eight
//! steps and shifted by `memmove`; it grows by 32 records, which are the allocator's classes at that size.
//!
//! * Deadlines mostly rise as time goes on (`SET k v EX 60`), so a block that is full and hit near its end keeps 97 %
//!   of its records and starts the next one.
//! * A deadline that is 2^32 ms (49 days) or more past its block's mark starts a block of its own.
//! * Two keys may have the same record: this is a multiset.
//!
//! Measured with a million records: 9.1 bytes a record for random inserts, 8.5 for rising ones.

use crate::cow::Defrag;
use crate::util::rng::Rng;
use std::collections::BTreeMap;
use std::ops::Bound;

/// Records in a full block.
const FULL: usize = 256;
/// Where a full block is cut when the new record lands behind it.
const RIGHT_CUT: usize = 248;
/// Below this a block looks for a neighbour to join.
const SPARSE: usize = 64;
/// Two neighbours are joined when the result has at most this many.
const JOINED: usize = 192;
/// Random blocks are drawn at least so many at a time.
const DRAWN_MIN: usize = 64;
/// A block's first mark lies this far before its first deadline, so that earlier ones still fit.
const SLACK_MS: i64 = 1 << 31;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Mark {
    deadline_ms: i64,
    hash: u32,
}

impl Mark {
    /// The record for `self` in a block whose mark says `base_ms`; `None` if it is too far away.
    #[inline]
    fn record(self, base_ms: i64) -> Option<u64> {
        debug_assert!(self.deadline_ms >= base_ms);
        let offset = self.deadline_ms.wrapping_sub(base_ms) as u64;
        (offset >> 32 == 0).then_some(offset << 32 | self.hash as u64)
    }

    #[inline]
    fn of(record: u64, base_ms: i64) -> Self {
        Mark { deadline_ms: base_ms.wrapping_add((record >> 32) as i64), hash: record as u32 }
    }
}

#[derive(Default)]
struct Block {
    records: Vec<u64>,
}

impl Block {
    fn one(record: u64) -> Self {
        let mut records = Vec::with_capacity(4);
        records.push(record);
        Block { records }
    }

    #[inline]
    fn insert(&mut self, at: usize, record: u64) {
        let n = self.records.len();
        if n == self.records.capacity() {
            self.records.reserve_exact(if n < 64 { n.max(4) } else { 32 });
        }
        self.records.insert(at, record);
    }

    /// How many of its records lie before `now_ms`, if its mark says `base_ms`.
    fn due(&self, base_ms: i64, now_ms: i64) -> usize {
        match now_ms.checked_sub(base_ms) {
            _ if now_ms <= base_ms => 0,
            Some(limit) if limit < 1 << 32 => self.records.partition_point(|&r| r >> 32 < limit as u64),
            _ => self.records.len(),
        }
    }

    fn trim(&mut self) {
        let n = self.records.len();
        if self.records.capacity() - n >= 96 {
            self.records.shrink_to(n.next_multiple_of(32));
        }
    }
}

/// A place between deadlines.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines(Mark);

/// Deadlines of the keys of one db.
pub struct ExpiryIndex {
    blocks: BTreeMap<Mark, Block>,
    len: usize,
    /// The first deadline; `i64::MAX` without any. Every lookup of a key compares it with the time.
    earliest_ms: i64,
    /// Of all deadlines: the average time to live in INFO is exact.
    sum_ms: i128,
    /// Random blocks, as far as they still are: what [`ExpiryIndex::random`] uses up.
    drawn: Vec<Mark>,
}

impl Default for ExpiryIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl ExpiryIndex {
    pub fn new() -> Self {
        ExpiryIndex { blocks: BTreeMap::new(), len: 0, earliest_ms: i64::MAX, sum_ms: 0, drawn: Vec::new() }
    }

    /// Moves blocks to where they lie closer together, from a place on (none: from the beginning), until the budget is
    /// used up: then it gives the place to go on at, and none at the end.
    pub fn defrag(&mut self, defrag: &mut Defrag<'_>, from: Option<Deadlines>) -> Option<Deadlines> {
        let first = from.map_or(Bound::Unbounded, |place| Bound::Included(place.0));
        for (mark, block) in self.blocks.range_mut((first, Bound::Unbounded)) {
            if !defrag.may_go_on() {
                return Some(Deadlines(*mark));
            }
            defrag.settle_vec(&mut block.records);
        }
        None
    }

    /// Keys with a deadline.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a record; `hash` is a part of the key's hash.
    pub fn insert(&mut self, deadline_ms: i64, hash: u32) {
        self.len += 1;
        self.earliest_ms = self.earliest_ms.min(deadline_ms);
        self.sum_ms += deadline_ms as i128;
        let new = Mark { deadline_ms, hash };
        let Some((&mark, block)) = self.blocks.range_mut(..=new).next_back() else {
            return self.insert_in_front(new);
        };
        let Some(record) = new.record(mark.deadline_ms) else {
            // Too far from this block, and everything in it is nearer: a block of its own goes right behind.
            self.blocks.insert(new, Block::one(u64::from(hash)));
            return;
        };
        let at = block.records.partition_point(|&r| r <= record);
        if block.records.len() < FULL {
            block.insert(at, record);
        } else {
            self.split_and_insert(mark, at, record);
        }
    }

    /// Before the first mark: the first block moves its mark forward, or a new first block is made.
    #[cold]
    fn insert_in_front(&mut self, new: Mark) {
        let early = Mark { deadline_ms: new.deadline_ms.saturating_sub(SLACK_MS), hash: 0 };
        let Some((first, block)) = self.blocks.pop_first() else {
            self.start_block(early, new);
            return;
        };
        let last = block.records.last().map_or(new, |&r| Mark::of(r, first.deadline_ms));
        if block.records.len() == FULL || last.record(new.deadline_ms).is_none() {
            self.blocks.insert(first, block);
            self.start_block(early, new);
            return;
        }
        let lowest = last.deadline_ms.saturating_sub(u32::MAX as i64);
        let moved = Mark { deadline_ms: early.deadline_ms.max(lowest), hash: 0 };
        let shift = (first.deadline_ms.wrapping_sub(moved.deadline_ms) as u64) << 32;
        let mut block = block;
        block.records.iter_mut().for_each(|r| *r = r.wrapping_add(shift));
        let record = new.record(moved.deadline_ms).expect("the new mark is at most 2^31 ms before the new deadline");
        block.insert(0, record);
        self.blocks.insert(moved, block);
    }

    fn start_block(&mut self, mark: Mark, first: Mark) {
        let record = first.record(mark.deadline_ms).expect("a mark is at most 2^31 ms before its first deadline");
        self.blocks.insert(mark, Block::one(record));
    }

    fn split_and_insert(&mut self, mark: Mark, at: usize, record: u64) {
        let left = self.blocks.get_mut(&mark).expect("the block was found under this mark");
        let cut = if at >= RIGHT_CUT { RIGHT_CUT } else { FULL / 2 };
        // Records equal to the cut's stay on one side as far as they can, so that marks differ.
        let mut right = Block { records: left.records.split_off(cut) };
        if at <= cut {
            left.insert(at, record);
        } else {
            right.insert(at - cut, record);
        }
        if cut < RIGHT_CUT {
            left.trim();
        }
        let right_mark = Mark::of(right.records[0], mark.deadline_ms);
        if right_mark == mark || self.blocks.contains_key(&right_mark) {
            // Only when hundreds of records are equal: the marks would collide, so the block stays whole.
            let left = self.blocks.get_mut(&mark).expect("the block was found under this mark");
            left.records.append(&mut right.records);
            return;
        }
        let shift = (right_mark.deadline_ms.wrapping_sub(mark.deadline_ms) as u64) << 32;
        right.records.iter_mut().for_each(|r| *r -= shift);
        self.blocks.insert(right_mark, right);
    }

    /// Takes one such record away; false if there is none.
    pub fn remove(&mut self, deadline_ms: i64, hash: u32) -> bool {
        let gone = Mark { deadline_ms, hash };
        let mut candidates = self.blocks.range_mut(..=gone).rev();
        let found = loop {
            let Some((&mark, block)) = candidates.next() else { return false };
            if let Some(at) = gone.record(mark.deadline_ms).and_then(|r| block.records.binary_search(&r).ok()) {
                block.records.remove(at);
                break (mark, block.records.len());
            }
            // Equal records may have been cut apart: then the mark is equal too, and the rest is one block before.
            if mark != gone {
                return false;
            }
        };
        self.len -= 1;
        self.sum_ms -= deadline_ms as i128;
        if found.1 < SPARSE {
            self.join(found.0);
        }
        if deadline_ms == self.earliest_ms {
            self.find_earliest();
        }
        true
    }

    /// Joins a sparse block with the one before it or the one behind it.
    fn join(&mut self, mark: Mark) {
        let here = self.blocks.get(&mark).map_or(0, |b| b.records.len());
        if here == 0 {
            self.blocks.remove(&mark);
            return;
        }
        let before = self.blocks.range(..mark).next_back().map(|(&m, b)| (m, b.records.len()));
        if let Some((left, n)) = before
            && n + here <= JOINED
            && self.join_pair(left, mark)
        {
            return;
        }
        let behind = self.blocks.range(mark..).nth(1).map(|(&m, b)| (m, b.records.len()));
        if let Some((right, n)) = behind
            && n + here <= JOINED
            && self.join_pair(mark, right)
        {
            return;
        }
        if let Some(block) = self.blocks.get_mut(&mark) {
            block.trim();
        }
    }

    fn join_pair(&mut self, left: Mark, right: Mark) -> bool {
        let Some(last) = self.blocks.get(&right).and_then(|b| b.records.last().copied()) else { return false };
        if Mark::of(last, right.deadline_ms).record(left.deadline_ms).is_none() {
            return false;
        }
        let shift = (right.deadline_ms.wrapping_sub(left.deadline_ms) as u64) << 32;
        let moved = self.blocks.remove(&right).expect("it was looked at above");
        let into = self.blocks.get_mut(&left).expect("the caller found it next to the other");
        into.records.reserve_exact(moved.records.len());
        into.records.extend(moved.records.iter().map(|r| r + shift));
        true
    }

    /// The earliest deadline.
    pub fn next_deadline(&self) -> Option<i64> {
        (self.len > 0).then_some(self.earliest_ms)
    }

    /// The earliest record.
    pub fn first(&self) -> Option<(i64, u32)> {
        self.iter().next()
    }

    /// A random record: a random one of a random block. Blocks are not equally full, so records are not quite equally
    /// likely. A tree has no n-th block; so blocks are drawn many at a time, in one walk over all, which makes it a
    /// few steps for each.
    pub fn random(&mut self, rng: &mut Rng) -> Option<(i64, u32)> {
        if self.is_empty() {
            return None;
        }
        if self.drawn.is_empty() {
            self.draw(rng);
        }
        let drawn = self.drawn.pop()?;
        let near = self.blocks.range(..=drawn).next_back().or_else(|| self.blocks.first_key_value());
        let (mark, block) = near?;
        let m = Mark::of(block.records[rng.index(block.records.len())], mark.deadline_ms);
        Some((m.deadline_ms, m.hash))
    }

    fn draw(&mut self, rng: &mut Rng) {
        let n = (self.blocks.len() / 64).max(DRAWN_MIN);
        for (i, &mark) in self.blocks.keys().enumerate() {
            if i < n {
                self.drawn.push(mark);
            } else if let Some(replaced) = self.drawn.get_mut(rng.index(i + 1)) {
                *replaced = mark;
            }
        }
        for i in (1..self.drawn.len()).rev() {
            self.drawn.swap(i, rng.index(i + 1));
        }
    }

    /// Some deadline lies before `now_ms`. One comparison: while this says no, no key at all has run out of time.
    #[inline]
    pub fn is_due(&self, now_ms: i64) -> bool {
        self.earliest_ms < now_ms
    }

    fn find_earliest(&mut self) {
        let first = self.blocks.first_key_value().and_then(|(mark, block)| Some((mark, block.records.first()?)));
        self.earliest_ms = first.map_or(i64::MAX, |(mark, &r)| Mark::of(r, mark.deadline_ms).deadline_ms);
    }

    /// Takes away up to `max` records whose deadline lies before `now_ms`, earliest first, and hands each to `due` as
    /// (deadline, hash). Returns how many.
    pub fn pop_due(&mut self, now_ms: i64, max: usize, mut due: impl FnMut(i64, u32)) -> usize {
        let mut popped = 0;
        while popped < max {
            let Some(mut first) = self.blocks.first_entry() else { break };
            let base_ms = first.key().deadline_ms;
            let n = first.get().due(base_ms, now_ms).min(max - popped);
            if n == 0 {
                break;
            }
            let records = &mut first.get_mut().records;
            for r in records.drain(..n) {
                let m = Mark::of(r, base_ms);
                self.sum_ms -= m.deadline_ms as i128;
                due(m.deadline_ms, m.hash);
            }
            self.len -= n;
            popped += n;
            if records.is_empty() {
                first.remove();
            } else {
                first.get_mut().trim();
            }
        }
        if popped > 0 {
            self.find_earliest();
        }
        popped
    }

    /// Records before `now_ms`: keys that are dead and still here. Costs a step for every 256 of them.
    pub fn due(&self, now_ms: i64) -> usize {
        let mut due = 0;
        for (mark, block) in &self.blocks {
            let of_block = block.due(mark.deadline_ms, now_ms);
            due += of_block;
            if of_block < block.records.len() {
                break;
            }
        }
        due
    }

    /// The mean time to live at `now_ms` in milliseconds; 0 without deadlines.
    pub fn average_ttl_ms(&self, now_ms: i64) -> i64 {
        match self.len {
            0 => 0,
            n => i64::try_from(self.sum_ms / n as i128 - now_ms as i128).unwrap_or(i64::MAX).max(0),
        }
    }

    /// All records, earliest first.
    pub fn iter(&self) -> impl Iterator<Item = (i64, u32)> {
        self.blocks.iter().flat_map(|(mark, block)| {
            block.records.iter().map(|&r| {
                let m = Mark::of(r, mark.deadline_ms);
                (m.deadline_ms, m.hash)
            })
        })
    }

    /// Bytes allocated, the tree's own nodes by estimate.
    pub fn memory_bytes(&self) -> usize {
        // A BTreeMap node has 11 places and is about two thirds full.
        let node = (size_of::<Mark>() + size_of::<Block>()) * 3 / 2;
        self.blocks.values().map(|b| b.records.capacity() * 8 + node).sum()
    }

    /// Panics if the index contradicts itself. For tests.
    pub fn check_invariants(&self) {
        let (mut n, mut sum, mut before) = (0, 0i128, None);
        for (&mark, block) in &self.blocks {
            assert!(!block.records.is_empty(), "1: no empty block");
            assert!(block.records.is_sorted(), "2: a block is sorted");
            for &r in &block.records {
                let m = Mark::of(r, mark.deadline_ms);
                assert!(m >= mark, "3: nothing lies before its mark");
                assert!(before.is_none_or(|b| b <= m), "4: blocks are in order");
                before = Some(m);
                sum += m.deadline_ms as i128;
                n += 1;
            }
        }
        assert_eq!((n, sum), (self.len, self.sum_ms), "5: the totals agree");
        assert_eq!(self.iter().next().map_or(i64::MAX, |r| r.0), self.earliest_ms, "6: the earliest is known");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(deadlines: impl Iterator<Item = i64>) -> ExpiryIndex {
        let mut index = ExpiryIndex::new();
        for (i, d) in deadlines.enumerate() {
            index.insert(d, (i as u32).wrapping_mul(2_654_435_761));
        }
        index.check_invariants();
        index
    }

    fn scattered(n: u64) -> impl Iterator<Item = i64> {
        let mut x = 88_172_645_463_325_252u64;
        (0..n).map(move |_| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            1_700_000_000_000 + (x % 3_600_000) as i64
        })
    }

    #[test]
    fn pops_in_order_and_only_what_is_due() {
        let mut index = ExpiryIndex::new();
        for d in [30, 10, 20, 20] {
            index.insert(d, d as u32);
        }
        assert_eq!(index.next_deadline(), Some(10));
        let mut seen = vec![];
        assert_eq!(index.pop_due(20, 100, |d, _| seen.push(d)), 1, "a deadline equal to now has not passed");
        assert_eq!(index.pop_due(21, 1, |d, _| seen.push(d)), 1);
        assert_eq!(index.pop_due(100, 100, |d, _| seen.push(d)), 2);
        assert_eq!(seen, [10, 20, 20, 30]);
        assert_eq!((index.len(), index.next_deadline()), (0, None));
        index.check_invariants();
    }

    #[test]
    fn what_is_due_is_counted_without_being_taken() {
        let index = filled((0..5000).chain([i64::MAX, i64::MIN]));
        for (now_ms, due) in [(i64::MIN, 0), (0, 1), (1, 2), (2500, 2501), (5000, 5001), (i64::MAX, 5001)] {
            assert_eq!(index.due(now_ms), due, "at {now_ms}");
        }
        assert_eq!(index.len(), 5002);
    }

    #[test]
    fn memory_stays_within_the_promise() {
        let n = 200_000;
        let random = filled(scattered(n)).memory_bytes() as f64 / n as f64;
        let rising = filled((0..n as i64).map(|i| 1_700_000_000_000 + i / 3)).memory_bytes() as f64 / n as f64;
        assert!(random <= 12.0, "random: {random}");
        assert!(rising <= 9.0, "rising: {rising}");
    }

    #[test]
    fn distant_deadlines_live_in_blocks_of_their_own() {
        let extremes = [0, i64::MAX, i64::MIN, 1, -1, 1 << 33, 1 << 32, (1 << 32) - 1, i64::MAX - 1, i64::MIN + 1];
        let mut index = filled(extremes.into_iter());
        let mut sorted = extremes.to_vec();
        sorted.sort();
        assert_eq!(index.iter().map(|r| r.0).collect::<Vec<_>>(), sorted);
        let mut seen = vec![];
        index.pop_due(i64::MAX, 100, |d, _| seen.push(d));
        assert_eq!(seen, sorted[..9]);
    }

    #[test]
    fn equal_records_without_end_are_kept() {
        let mut index = ExpiryIndex::new();
        for _ in 0..2000 {
            index.insert(5, 7);
        }
        index.insert(6, 1);
        index.check_invariants();
        for _ in 0..2000 {
            assert!(index.remove(5, 7));
        }
        assert!(!index.remove(5, 7));
        assert_eq!(index.len(), 1);
        index.check_invariants();
    }

    #[test]
    fn removing_joins_blocks() {
        let mut index = filled(0..10_000);
        for i in 0..10_000u32 {
            if i % 50 != 0 {
                assert!(index.remove(i as i64, i.wrapping_mul(2_654_435_761)));
            }
        }
        index.check_invariants();
        assert_eq!(index.len(), 200);
        assert!(index.blocks.len() <= 5, "{} blocks for 200 records", index.blocks.len());
    }

    #[test]
    fn falling_deadlines_fill_blocks_too() {
        let index = filled((0..10_000).rev());
        assert!(index.blocks.len() <= 160, "{} blocks", index.blocks.len());
    }

    #[test]
    fn random_records_are_all_records() {
        let mut rng = Rng::from_seed(5);
        let mut index = filled(scattered(20_000));
        let all: std::collections::BTreeSet<_> = index.iter().collect();
        let drawn: std::collections::BTreeSet<_> = (0..40_000).filter_map(|_| index.random(&mut rng)).collect();
        assert!(drawn.is_subset(&all));
        assert!(drawn.len() > 15_000, "{} different ones of {}", drawn.len(), all.len());
        while let Some((deadline, hash)) = index.random(&mut rng) {
            assert!(index.remove(deadline, hash), "also when blocks go meanwhile");
        }
        assert_eq!((index.len(), index.first()), (0, None));
    }

    #[test]
    fn the_average_is_exact() {
        let index = filled([1_000, 2_000, 6_000].into_iter());
        assert_eq!(index.average_ttl_ms(500), 2_500);
        assert_eq!(index.average_ttl_ms(5_000), 0);
    }
}
