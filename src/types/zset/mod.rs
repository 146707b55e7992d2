//! The type `zset`: members, each with a score, in the order of their scores.
//!
//! # Where a sorted set lives, and what OBJECT ENCODING says about it
//!
//! | the sorted set | lives | reported encoding |
//! | --- | --- | --- |
//! | up to `zset-max-listpack-entries` members of up to `zset-max-listpack-value` bytes | a listpack, in the entry or behind it | `listpack` |
//! | others | a counted tree, and an index by member | `skiplist` |
//!
//! A set that has become large stays so; one that is made anew, as the result of a command or from a file, begins where
//! it belongs.
//!
//! # What it never does
//!
//! It never compares NaN: no score is one. Everything that asks for a part of a set turns into a range of ranks first
//! ([`ZsetRef::ranks_of_scores`], [`ZsetRef::ranks_of_members`]), and only ranks are walked and removed.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | `compact` | the listpack form |
//! | `large`, `leaf` | the tree with its index, and the bytes of the tree's leaves |
//! | `edit` | changes of a set in its entry |
//! | `spec` | ranges of scores, members, ranks, as clients write them |
//! | `rdb` | the file formats |

mod compact;
mod edit;
mod large;
mod leaf;
mod rdb;
mod rewrite;
pub mod spec;

pub use compact::Element;
pub use edit::{AddRule, Added, NanScore, add, expect_more, pop, remove, remove_ranks};
pub use large::{End, ZsetObject};

use super::contract::{DataType, Encoding, TypeName};
use super::digest::Digest;
use super::object::Object;
use super::place::Maker;
use super::value::Stored;
use crate::collections::listpack::{self, Item, ListpackRef};
use crate::cow::{CowValue, Fresh};
use crate::dict::Payload;
use crate::util::num;
use spec::{LexRange, ScoreRange};
use std::fmt;
use std::ops::Range;

/// A sorted set to be read, in any encoding.
#[derive(Clone, Copy)]
pub enum ZsetRef<'a> {
    Compact(ListpackRef<'a>),
    Large(&'a ZsetObject),
}

impl<'a> ZsetRef<'a> {
    /// The value that an entry stores in this encoding.
    #[inline]
    pub fn of(_encoding: Encoding, stored: Stored<'a>) -> Self {
        match stored {
            Stored::Bytes(bytes) => ZsetRef::Compact(ListpackRef::new(bytes)),
            Stored::Node(Object::Zset(set)) => ZsetRef::Large(set),
            Stored::Node(_) => unreachable!("the entry says that it is a sorted set"),
        }
    }

    /// The score of a member.
    #[inline]
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            ZsetRef::Compact(lp) => compact::find(lp, member).map(|(_, score)| score),
            ZsetRef::Large(set) => set.score(member),
        }
    }

    /// How many elements come before a member, and its score.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            ZsetRef::Compact(lp) => compact::iter(lp)
                .enumerate()
                .find(|(_, (other, _))| other.is_text(member))
                .map(|(rank, (_, score))| (rank, score)),
            ZsetRef::Large(set) => set.score(member).map(|score| (set.rank(score, member), score)),
        }
    }

    /// The ranks of the elements with scores in a range.
    pub fn ranks_of_scores(self, range: &ScoreRange) -> Range<usize> {
        match self {
            ZsetRef::Compact(lp) => span(
                compact::iter(lp).take_while(|(_, score)| range.is_after(*score)).count(),
                compact::iter(lp).take_while(|(_, score)| range.reaches(*score)).count(),
            ),
            ZsetRef::Large(set) => {
                span(set.rank_by_score(|score| range.is_after(score)), set.rank_by_score(|score| range.reaches(score)))
            }
        }
    }

    /// The ranks of the elements with members in a range; meaningful if all scores are equal. With other scores it says
    /// of a small set what Redis says, which looks for the range from the end where it begins to read.
    pub fn ranks_of_members(self, range: &LexRange<'_>, from_behind: bool) -> Range<usize> {
        let last = self.len().wrapping_sub(1);
        let mut may = last != usize::MAX && !range.is_empty();
        if may {
            // The ends decide whether there is anything at all.
            let mut room = itoa::Buffer::new();
            self.walk(0..1, false, |member, _| may &= range.reaches(member.text(&mut room)));
            self.walk(last..last + 1, false, |member, _| may &= !range.is_after(member.text(&mut room)));
        }
        if !may {
            return 0..0;
        }
        match self {
            ZsetRef::Compact(lp) => {
                let mut room = itoa::Buffer::new();
                let mut inside = |(member, _): Element<'_>| {
                    let member = member.text(&mut room);
                    (!range.is_after(member), range.reaches(member))
                };
                if from_behind {
                    let sides: Vec<_> = compact::iter_back(lp, last + 1).map(inside).collect();
                    let above = sides.iter().take_while(|(_, reaches)| !reaches).count();
                    let count = sides[above..].iter().take_while(|(begun, _)| *begun).count();
                    let end = last + 1 - above;
                    return end - count..end;
                }
                let start = compact::iter(lp).take_while(|element| !inside(*element).0).count();
                let count = compact::iter_from(lp, start).take_while(|element| inside(*element).1).count();
                start..start + count
            }
            ZsetRef::Large(set) => span(
                set.rank_by_member(|member| range.is_after(member)),
                set.rank_by_member(|member| range.reaches(member)),
            ),
        }
    }

    /// Shows the elements of these ranks, in order or in the opposite order.
    #[inline]
    pub fn walk(self, ranks: Range<usize>, reverse: bool, mut f: impl FnMut(Item<'a>, f64)) {
        self.walk_while(ranks, reverse, |member, score| {
            f(member, score);
            true
        });
    }

    /// The same as long as `f` wants more.
    #[inline]
    pub fn walk_while(self, ranks: Range<usize>, reverse: bool, mut f: impl FnMut(Item<'a>, f64) -> bool) {
        let count = ranks.len();
        // Whoever breaks off has had enough.
        let _ = match self {
            ZsetRef::Compact(lp) if reverse => {
                compact::iter_back(lp, ranks.end).take(count).all(|(member, score)| f(member, score))
            }
            ZsetRef::Compact(lp) => {
                compact::iter_from(lp, ranks.start).take(count).all(|(member, score)| f(member, score))
            }
            ZsetRef::Large(set) if reverse => {
                set.backwards(ranks.end).take(count).all(|(score, member)| f(Item::Bytes(member), score))
            }
            ZsetRef::Large(set) => {
                set.forwards(ranks.start).take(count).all(|(score, member)| f(Item::Bytes(member), score))
            }
        };
    }

    /// Shows all elements in order.
    pub fn for_each(self, f: impl FnMut(Item<'a>, f64)) {
        self.walk(0..self.len(), false, f);
    }

    /// SCAN: shows about `count` elements from `cursor` on, and gives the cursor for the next call. A small set is
    /// shown as a whole.
    pub fn scan(self, cursor: u64, count: usize, mut f: impl FnMut(Item<'_>, f64)) -> u64 {
        match self {
            ZsetRef::Compact(lp) => {
                compact::iter(lp).for_each(|(member, score)| f(member, score));
                0
            }
            ZsetRef::Large(set) => set.scan(cursor, count, |member, score| f(Item::Bytes(member), score)),
        }
    }
}

fn span(start: usize, end: usize) -> Range<usize> {
    start..end.max(start)
}

impl fmt::Debug for ZsetRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {} of {} elements", self.encoding().name(), self.len())
    }
}

impl DataType for ZsetRef<'_> {
    const NAME: TypeName = TypeName::Zset;

    fn encoding(&self) -> Encoding {
        match self {
            ZsetRef::Compact(_) => Encoding::Listpack,
            ZsetRef::Large(_) => Encoding::Skiplist,
        }
    }

    #[inline]
    fn len(&self) -> usize {
        match self {
            ZsetRef::Compact(lp) => compact::len(*lp),
            ZsetRef::Large(set) => set.len(),
        }
    }

    fn memory_usage(&self, _samples: usize) -> usize {
        match self {
            ZsetRef::Compact(lp) => lp.bytes().len(),
            ZsetRef::Large(set) => size_of::<Object>() + set.memory(),
        }
    }

    fn free_effort(&self) -> usize {
        match self {
            ZsetRef::Compact(_) => 1,
            ZsetRef::Large(set) => set.free_effort(),
        }
    }

    fn digest(&self, into: &mut Digest) {
        let (mut room, mut text) = (itoa::Buffer::new(), Vec::new());
        self.for_each(|member, score| {
            let mut element = Digest::ZERO;
            element.mix(member.text(&mut room));
            text.clear();
            num::push_f64_by_digits(&mut text, score);
            element.mix(&text);
            into.xor_digest(&element);
        });
    }
}

/// A sorted set that is not stored yet.
#[derive(Debug)]
pub enum NewZset {
    Compact(Vec<u8>),
    Large(Fresh<Object>),
}

/// A listpack is not allowed to grow beyond this, whatever the configuration says.
const COMPACT_BYTES_MAX: usize = 1 << 30;

impl NewZset {
    /// One without elements, in the form that is right for so many with members of such a length.
    pub fn empty(maker: &Maker<'_>, elements: usize, member: usize) -> NewZset {
        let limits = maker.limits;
        if elements as u64 <= limits.zset_entries && member as u64 <= limits.zset_value {
            return NewZset::Compact(listpack::new(0));
        }
        NewZset::large(maker, ZsetObject::new(maker))
    }

    /// One of these elements, no member twice; brings them into order.
    pub fn of(maker: &mut Maker<'_>, pairs: &mut [(f64, Vec<u8>)]) -> NewZset {
        pairs.sort_unstable_by(|a, b| leaf::order((a.0, &a.1), (b.0, &b.1)));
        let ordered = pairs.iter().map(|(score, member)| (*score, &member[..]));
        let longest = pairs.iter().map(|(_, member)| member.len()).max().unwrap_or(0) as u64;
        let bytes: usize = pairs.iter().map(|(_, member)| member.len()).sum();
        let limits = maker.limits;
        if pairs.len() as u64 <= limits.zset_entries && longest <= limits.zset_value && bytes < COMPACT_BYTES_MAX {
            return NewZset::Compact(compact::collect(ordered));
        }
        let set = ZsetObject::from_ordered(maker, ordered);
        NewZset::large(maker, set)
    }

    fn large(maker: &Maker<'_>, set: ZsetObject) -> NewZset {
        NewZset::Large(Fresh::new(Object::Zset(set), maker.heap))
    }

    /// Hands the form in which the value goes into an entry to `store`.
    pub(crate) fn with_payload<R>(self, store: impl FnOnce(Encoding, Payload<'_, Object>) -> R) -> R {
        match self {
            NewZset::Compact(bytes) => store(Encoding::Listpack, Payload::Bytes(&bytes)),
            NewZset::Large(set) => store(Encoding::Skiplist, Payload::Node(set.into_box())),
        }
    }
}
