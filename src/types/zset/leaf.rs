//! The leaves of a large sorted set: scores in a narrow column, then lengths, then members.
//!
//! ```text
//! | count u16 | width u8 | base 8 bytes | scores: count * width | lengths: count bytes | members |
//!
//! width 0         all scores are the base, bit for bit
//! width 1, 2, 4   all scores are integers: the base (an i64) plus what the column says
//! width 8         the column has the scores as they are
//! ```
//!
//! Neighbours in a sorted set have scores close to each other, so a thousand members with scores up to a million take
//! one byte each for them, not eight. The columns make a search short, too: it looks at scores alone, and then at the
//! members among equal ones.
//!
//! A member of 255 bytes or more lies in a leaf of its own (its length byte is 255, and its text is all the rest): so
//! all other leaves keep within [`LEAF_MAX`], which bounds what a write copies under a snapshot.

use crate::collections::text;
use crate::collections::tree::{self, reserve_step};
use crate::util::text::Source;
use std::cmp::Ordering;

/// Bytes of a leaf that is not one long member.
pub(super) const LEAF_MAX: usize = 1008;
/// A leaf with less looks for a neighbour to join.
pub(super) const LEAF_FEW: usize = 280;
/// Two leaves with no more than this together become one.
const JOINED_MAX: usize = 760;

const HEAD: usize = 11;
const LONG: usize = 255;

/// The order of a sorted set: by score, then by bytes of the member. Scores are never NaN.
#[inline]
pub(super) fn order(a: (f64, &[u8]), b: (f64, &[u8])) -> Ordering {
    match a.0.partial_cmp(&b.0) {
        Some(Ordering::Equal) | None => a.1.cmp(b.1),
        Some(unequal) => unequal,
    }
}

/// The tree's view of a leaf.
pub(super) struct Ranks;

/// What the nodes above know of a leaf's first element.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Bound {
    pub score: f64,
    /// The first eight bytes of the member, comparable as a number.
    pub prefix: u64,
}

/// The first eight bytes, the missing ones zero.
#[inline]
pub(super) fn prefix(member: &[u8]) -> u64 {
    match member.first_chunk::<8>() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..member.len()].copy_from_slice(member);
            u64::from_be_bytes(bytes)
        }
    }
}

impl tree::Items for Ranks {
    type Bound = Bound;

    #[inline]
    fn bound(leaf: &[u8]) -> Bound {
        let leaf = Leaf(leaf);
        Bound { score: leaf.score(0), prefix: prefix(leaf.first_member()) }
    }

    #[inline]
    fn count(leaf: &[u8]) -> usize {
        Leaf(leaf).len()
    }

    fn joinable(left: &[u8], right: &[u8]) -> bool {
        let (a, b) = (Leaf(left), Leaf(right));
        if left.len() + right.len() > JOINED_MAX || a.is_long() || b.is_long() {
            return false;
        }
        // Scores that are far apart, or no integers, take a wider column together than each on its own.
        let scores = (0..a.len()).map(|at| a.score(at)).chain((0..b.len()).map(|at| b.score(at)));
        let width = usize::from(Column::of(scores).width);
        HEAD + (a.len() + b.len()) * (width + 1) + a.members().len() + b.members().len() <= LEAF_MAX
    }

    fn join(left: &mut Vec<u8>, right: &[u8]) {
        let joined = {
            let (left, right) = (Leaf(left), Leaf(right));
            let all: Vec<_> = left.iter().chain(right.iter()).collect();
            encode(&all)
        };
        *left = joined;
    }
}

/// A leaf to be read.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a>(pub &'a [u8]);

impl<'a> Leaf<'a> {
    #[inline]
    pub fn len(self) -> usize {
        u16::from_le_bytes([self.0[0], self.0[1]]) as usize
    }

    #[inline]
    fn width(self) -> usize {
        self.0[2] as usize
    }

    #[inline]
    fn base(self) -> [u8; 8] {
        *self.0[3..].first_chunk().expect("a leaf has a head")
    }

    #[inline]
    pub fn score(self, at: usize) -> f64 {
        let base = self.base();
        let column = &self.0[HEAD..];
        let integer = |delta: u32| (i64::from_le_bytes(base) + i64::from(delta)) as f64;
        match self.width() {
            0 => f64::from_bits(u64::from_le_bytes(base)),
            1 => integer(u32::from(column[at])),
            2 => integer(u32::from(u16::from_le_bytes([column[2 * at], column[2 * at + 1]]))),
            4 => integer(u32::from_le_bytes(*column[4 * at..].first_chunk().expect("within the column"))),
            _ => f64::from_bits(u64::from_le_bytes(*column[8 * at..].first_chunk().expect("within the column"))),
        }
    }

    #[inline]
    fn lengths(self) -> &'a [u8] {
        let from = HEAD + self.len() * self.width();
        &self.0[from..from + self.len()]
    }

    #[inline]
    fn members(self) -> &'a [u8] {
        &self.0[HEAD + self.len() * (self.width() + 1)..]
    }

    /// Where the members' bytes begin that belong to element `at`.
    #[inline]
    fn offset(self, at: usize) -> usize {
        self.lengths()[..at].iter().map(|&length| usize::from(length)).sum()
    }

    /// Its one member is a long one.
    #[inline]
    pub fn is_long(self) -> bool {
        self.lengths().first().is_some_and(|length| usize::from(*length) == LONG)
    }

    fn first_member(self) -> &'a [u8] {
        if self.is_long() { self.members() } else { &self.members()[..self.lengths()[0] as usize] }
    }

    #[inline]
    pub fn member(self, at: usize) -> &'a [u8] {
        if self.is_long() {
            return self.members();
        }
        let from = self.offset(at);
        &self.members()[from..from + self.lengths()[at] as usize]
    }

    /// The first element that is not before this one, and whether it is this one.
    #[inline]
    pub fn search(self, score: f64, member: &[u8]) -> Result<usize, usize> {
        let (mut low, mut high) = (self.first_score(|s| s >= score), self.len());
        if low < high && self.score(low) == score {
            high = low + 1;
            if high < self.len() && self.score(high) == score {
                high = self.first_score(|s| s > score);
            }
            while low < high {
                let middle = low + (high - low) / 2;
                match self.member(middle).cmp(member) {
                    Ordering::Less => low = middle + 1,
                    Ordering::Greater => high = middle,
                    Ordering::Equal => return Ok(middle),
                }
            }
        }
        Err(low)
    }

    /// The first element whose score `f` says true of; it says so of a suffix of them.
    #[inline]
    pub fn first_score(self, f: impl Fn(f64) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if f(self.score(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The first element that `f` says true of; it says so of a suffix of them.
    pub fn first_that(self, f: impl Fn(f64, &[u8]) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if f(self.score(middle), self.member(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The elements from `at` on.
    #[inline]
    pub fn iter_from(self, at: usize) -> Forwards<'a> {
        Forwards { leaf: self, at, offset: if self.is_long() { 0 } else { self.offset(at) } }
    }

    pub fn iter(self) -> Forwards<'a> {
        self.iter_from(0)
    }

    /// The elements before `at`, backwards.
    #[inline]
    pub fn iter_before(self, at: usize) -> Backwards<'a> {
        Backwards { leaf: self, at, offset: if self.is_long() { 0 } else { self.offset(at) } }
    }
}

/// An element: its score and its member.
pub(super) type Pair<'a> = (f64, &'a [u8]);

/// Elements in order.
#[derive(Clone)]
pub(super) struct Forwards<'a> {
    leaf: Leaf<'a>,
    at: usize,
    offset: usize,
}

impl<'a> Iterator for Forwards<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        if self.at >= self.leaf.len() {
            return None;
        }
        let at = self.at;
        self.at += 1;
        if self.leaf.is_long() {
            return Some((self.leaf.score(0), self.leaf.members()));
        }
        let end = self.offset + self.leaf.lengths()[at] as usize;
        let member = &self.leaf.members()[self.offset..end];
        self.offset = end;
        Some((self.leaf.score(at), member))
    }
}

/// Elements in the opposite order.
#[derive(Clone)]
pub(super) struct Backwards<'a> {
    leaf: Leaf<'a>,
    at: usize,
    offset: usize,
}

impl<'a> Iterator for Backwards<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        self.at = self.at.checked_sub(1)?;
        if self.leaf.is_long() {
            return Some((self.leaf.score(0), self.leaf.members()));
        }
        let end = self.offset;
        self.offset -= self.leaf.lengths()[self.at] as usize;
        Some((self.leaf.score(self.at), &self.leaf.members()[self.offset..end]))
    }
}

/// How a column of scores is kept.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Column {
    width: u8,
    base: [u8; 8],
}

/// Integers that a double tells from their neighbours. A negative zero is none of them.
#[inline]
fn as_integer(score: f64) -> Option<i64> {
    let integer = score as i64;
    let exact = integer as f64 == score && integer.unsigned_abs() <= 1 << 53;
    (exact && (integer != 0 || score.is_sign_positive())).then_some(integer)
}

impl Column {
    /// The narrowest one for these scores.
    fn of(scores: impl Iterator<Item = f64> + Clone) -> Column {
        let first = scores.clone().next().unwrap_or(0.0);
        if scores.clone().all(|score| score.to_bits() == first.to_bits()) {
            return Column { width: 0, base: first.to_bits().to_le_bytes() };
        }
        let (mut low, mut high) = (i64::MAX, i64::MIN);
        for score in scores {
            let Some(integer) = as_integer(score) else { return Column { width: 8, base: [0; 8] } };
            (low, high) = (low.min(integer), high.max(integer));
        }
        let width = match high - low {
            0..=0xff => 1,
            0x100..=0xffff => 2,
            0x1_0000..=0xffff_ffff => 4,
            _ => return Column { width: 8, base: [0; 8] },
        };
        Column { width, base: low.to_le_bytes() }
    }

    /// A score in this column, in the first `width` bytes; none if the column has no room for it.
    #[inline]
    fn cell(self, score: f64) -> Option<[u8; 8]> {
        if self.width == 8 {
            return Some(score.to_bits().to_le_bytes());
        }
        if self.width == 0 {
            return (score.to_bits().to_le_bytes() == self.base).then_some([0; 8]);
        }
        let delta = as_integer(score)?.checked_sub(i64::from_le_bytes(self.base))?;
        (0..1 << (8 * self.width)).contains(&delta).then(|| delta.to_le_bytes())
    }
}

/// A leaf of these elements, which are in order; one that is long is alone.
pub(super) fn encode(pairs: &[Pair<'_>]) -> Vec<u8> {
    let column = Column::of(pairs.iter().map(|pair| pair.0));
    let width = usize::from(column.width);
    let members: usize = pairs.iter().map(|pair| pair.1.len()).sum();
    let mut leaf = Vec::new();
    reserve_step(&mut leaf, HEAD + pairs.len() * (width + 1) + members);
    leaf.extend_from_slice(&(pairs.len() as u16).to_le_bytes());
    leaf.push(column.width);
    leaf.extend_from_slice(&column.base);
    for (score, _) in pairs {
        leaf.extend_from_slice(&column.cell(*score).expect("the column was made for it")[..width]);
    }
    leaf.extend(pairs.iter().map(|pair| pair.1.len().min(LONG) as u8));
    pairs.iter().for_each(|pair| leaf.extend_from_slice(pair.1));
    leaf
}

/// A leaf of one element, whose member may be long, and may be given away.
pub(super) fn of_one(score: f64, member: Source<'_>) -> Vec<u8> {
    if member.len() < LONG {
        return encode(&[(score, member.as_ref())]);
    }
    let mut leaf = Vec::new();
    reserve_step(&mut leaf, HEAD + 1 + member.len());
    leaf.extend_from_slice(&1u16.to_le_bytes());
    leaf.push(0);
    leaf.extend_from_slice(&score.to_bits().to_le_bytes());
    leaf.push(LONG as u8);
    text::append(&mut leaf, member);
    leaf
}

/// Whether a member lies in a leaf of its own.
#[inline]
pub(super) fn is_long(member: &[u8]) -> bool {
    member.len() >= LONG
}

/// Bytes by which a leaf may grow with this element, if its column need not become wider.
#[inline]
pub(super) fn growth(leaf: &[u8], member: &[u8]) -> usize {
    Leaf(leaf).width() + 1 + member.len()
}

/// Inserts an element before element `at`; its member is not long.
pub(super) fn insert(leaf: &mut Vec<u8>, at: usize, score: f64, member: &[u8]) {
    let view = Leaf(leaf);
    let column = Column { width: leaf[2], base: view.base() };
    let Some(cell) = column.cell(score) else {
        let mut pairs: Vec<_> = view.iter().collect();
        pairs.insert(at, (score, member));
        let wider = encode(&pairs);
        *leaf = wider;
        return;
    };
    let (count, width, before) = (view.len(), view.width(), view.offset(at));
    let (old, growth) = (leaf.len(), width + 1 + member.len());
    let lengths = HEAD + count * width;
    let members = lengths + count;
    reserve_step(leaf, growth);
    leaf.resize(old + growth, 0);
    // From the end: each piece moves as far as the pieces before it grow.
    leaf.copy_within(members + before..old, members + before + growth);
    leaf.copy_within(members..members + before, members + width + 1);
    leaf.copy_within(lengths + at..members, lengths + at + width + 1);
    leaf.copy_within(lengths..lengths + at, lengths + width);
    leaf.copy_within(HEAD + at * width..lengths, HEAD + (at + 1) * width);
    leaf[HEAD + at * width..HEAD + (at + 1) * width].copy_from_slice(&cell[..width]);
    leaf[lengths + width + at] = member.len() as u8;
    let from = members + width + 1 + before;
    leaf[from..from + member.len()].copy_from_slice(member);
    leaf[..2].copy_from_slice(&(count as u16 + 1).to_le_bytes());
}

/// Gives element `at` another score, if it stays in its place and the column has room.
pub(super) fn rescore(leaf: &mut [u8], at: usize, score: f64) -> bool {
    let view = Leaf(leaf);
    let (count, width, member) = (view.len(), view.width(), view.member(at));
    let after_left = at == 0 || order((view.score(at - 1), view.member(at - 1)), (score, member)).is_lt();
    let before_right = at + 1 == count || order((score, member), (view.score(at + 1), view.member(at + 1))).is_lt();
    let column = Column { width: leaf[2], base: view.base() };
    match column.cell(score) {
        Some(cell) if after_left && before_right && width > 0 => {
            leaf[HEAD + at * width..HEAD + (at + 1) * width].copy_from_slice(&cell[..width]);
            true
        }
        _ => false,
    }
}

/// Removes a range of elements.
pub(super) fn remove(leaf: &mut Vec<u8>, range: std::ops::Range<usize>) {
    let view = Leaf(leaf);
    let count = view.len();
    if range.len() == count {
        leaf.clear();
        return;
    }
    let (width, gone) = (view.width(), range.len());
    let (from, to) = (view.offset(range.start), view.offset(range.end));
    let lengths = HEAD + count * width;
    let members = lengths + count;
    let old = leaf.len();
    // From the beginning: each piece moves back as far as the pieces before it shrink.
    leaf.copy_within(HEAD + range.end * width..lengths, HEAD + range.start * width);
    let shift = gone * width;
    leaf.copy_within(lengths..lengths + range.start, lengths - shift);
    leaf.copy_within(lengths + range.end..members, lengths + range.start - shift);
    let shift = shift + gone;
    leaf.copy_within(members..members + from, members - shift);
    leaf.copy_within(members + to..old, members + from - shift);
    leaf.truncate(old - shift - (to - from));
    leaf[..2].copy_from_slice(&((count - gone) as u16).to_le_bytes());
}

/// Cuts a leaf in two; the second part comes back.
pub(super) fn split(leaf: &mut Vec<u8>, at: usize) -> Vec<u8> {
    let (left, right) = {
        let all: Vec<_> = Leaf(leaf).iter().collect();
        (encode(&all[..at]), encode(&all[at..]))
    };
    *leaf = left;
    right
}

/// The element at which the second half of the bytes begins; neither half is empty.
pub(super) fn middle(leaf: Leaf<'_>) -> usize {
    let half = leaf.members().len() / 2;
    let mut offset = 0;
    for (at, &length) in leaf.lengths().iter().enumerate() {
        if offset >= half && at > 0 {
            return at;
        }
        offset += usize::from(length);
    }
    leaf.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::rng::Rng;

    type Model = Vec<(f64, Vec<u8>)>;

    fn check(leaf: &[u8], model: &Model) {
        let leaf = Leaf(leaf);
        assert_eq!(leaf.len(), model.len());
        let same = |(a, b): (Pair<'_>, &(f64, Vec<u8>))| a.0.to_bits() == b.0.to_bits() && a.1 == b.1;
        assert!(leaf.iter().zip(model).all(same), "{:?} {model:?}", leaf.iter().collect::<Vec<_>>());
        assert!(leaf.iter_before(leaf.len()).zip(model.iter().rev()).all(same));
        for (at, (score, member)) in model.iter().enumerate() {
            assert_eq!(leaf.search(*score, member), Ok(at));
            assert_eq!(leaf.member(at), member);
        }
    }

    fn score(rng: &mut Rng, kind: usize) -> f64 {
        match kind {
            0 => 0.0,
            1 => rng.below(200) as f64,
            2 => rng.below(60_000) as f64 - 30_000.0,
            3 => rng.below(1 << 40) as f64,
            4 => rng.unit(),
            _ => [f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 1e300, 0.1, 9007199254740992.0][rng.index(7)],
        }
    }

    #[test]
    fn any_scores_and_members_keep_their_order() {
        let mut rng = Rng::from_seed(5);
        for round in 0..if cfg!(miri) { 4 } else { 300 } {
            let (mut leaf, mut model) = (encode(&[]), Model::new());
            for _ in 0..if cfg!(miri) { 12 } else { 60 } {
                let member: Vec<u8> = (0..rng.index(12)).map(|_| b'a' + rng.index(3) as u8).collect();
                let kind = if rng.index(10) == 0 { rng.index(6) } else { round % 6 };
                let score = score(&mut rng, kind);
                let at = model.partition_point(|(s, m)| order((*s, m), (score, &member)).is_lt());
                assert_eq!(Leaf(&leaf).search(score, &member).unwrap_or_else(|at| at), at);
                if model.get(at).is_some_and(|(s, m)| (*s, m) == (score, &member)) {
                    continue;
                }
                insert(&mut leaf, at, score, &member);
                model.insert(at, (score, member));
                if rng.index(4) == 0 {
                    let from = rng.index(model.len());
                    let to = from + rng.index((model.len() - from).min(4) + 1);
                    if to - from < model.len() {
                        remove(&mut leaf, from..to);
                        model.drain(from..to);
                    }
                }
                check(&leaf, &model);
            }
            if model.len() > 1 {
                let at = middle(Leaf(&leaf));
                let tail = split(&mut leaf, at);
                let right = model.split_off(at);
                check(&leaf, &model);
                check(&tail, &right);
                <Ranks as tree::Items>::join(&mut leaf, &tail);
                model.extend(right);
                check(&leaf, &model);
            }
        }
    }

    #[test]
    fn columns_are_as_narrow_as_scores_allow() {
        let width = |scores: &[f64]| encode(&scores.iter().map(|&s| (s, &b"m"[..])).collect::<Vec<_>>())[2];
        assert_eq!(width(&[0.5, 0.5]), 0);
        assert_eq!(width(&[-0.0, 0.0]), 8);
        assert_eq!(width(&[-100.0, 155.0]), 1);
        assert_eq!(width(&[-100.0, 156.0]), 2);
        assert_eq!(width(&[0.0, 65_536.0]), 4);
        assert_eq!(width(&[0.0, 4294967296.0]), 8);
        assert_eq!(width(&[1.0, 1.5]), 8);
        assert_eq!(width(&[1.0, f64::INFINITY]), 8);
    }

    #[test]
    fn a_long_member_is_alone() {
        let long = vec![b'x'; 5000];
        let leaf = encode(&[(1.5, &long)]);
        let view = Leaf(&leaf);
        assert_eq!((view.member(0), view.score(0), view.len()), (&long[..], 1.5, 1));
        assert!(view.iter().eq([(1.5, &long[..])]) && view.iter_before(1).eq([(1.5, &long[..])]));
        assert_eq!(view.search(1.5, &long), Ok(0));
    }
}
