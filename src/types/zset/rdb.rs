//! Sorted sets in files: every form that Redis wrote, from the first to the newest.
//!
//! | opcode | form | written by |
//! | --- | --- | --- |
//! | 3 | members, scores as text | Redis up to 3 |
//! | 5 | members, binary scores | large sets |
//! | 12 | a ziplist | Redis up to 6 |
//! | 17 | a listpack | small sets since Redis 7 |
//!
//! Large sets are written from the highest score to the lowest, as Redis does; read in that order (or in the other one)
//! they need no searching: leaves are filled one after the other. A file whose order is another one is read, too.

use super::leaf::{self, LEAF_MAX, Leaf, Pair};
use super::{COMPACT_BYTES_MAX, NewZset, ZsetObject, ZsetRef, compact};
use crate::collections::listpack::{Depth, ListpackRef};
use crate::collections::ziplist::ZiplistRef;
use crate::cow::Fresh;
use crate::rdb::{RdbError, RdbReader, RdbWriter, TypeOpcode, Why};
use crate::types::object::Object;
use crate::types::place::Maker;
use crate::types::value::Vetting;
use crate::util::text::Text;
use std::collections::HashSet;
use std::io;

impl ZsetRef<'_> {
    /// How [`Self::save`] lays it out in a file of this version.
    pub fn rdb_opcode(self, _version: u32) -> TypeOpcode {
        match self {
            ZsetRef::Compact(_) => TypeOpcode::ZsetListpack,
            ZsetRef::Large(_) => TypeOpcode::Zset2,
        }
    }

    /// Writes the value, without its opcode.
    pub fn save(self, out: &mut RdbWriter<'_>) -> io::Result<()> {
        match self {
            ZsetRef::Compact(lp) => out.write_string(lp.bytes()),
            ZsetRef::Large(set) => {
                out.write_len(set.len() as u64)?;
                set.backwards(set.len()).try_for_each(|(score, member)| {
                    out.write_string(member)?;
                    out.write_f64(score)
                })
            }
        }
    }
}

impl NewZset {
    /// Reads a value laid out as `kind`; None if that is not a layout of sorted sets.
    pub fn load(
        kind: TypeOpcode,
        from: &mut RdbReader<'_>,
        vetting: Vetting,
        maker: &mut Maker<'_>,
    ) -> Result<Option<NewZset>, RdbError> {
        Ok(Some(match kind {
            TypeOpcode::ZsetListpack => load_listpack(from, vetting, maker)?,
            TypeOpcode::ZsetZiplist => load_ziplist(from, maker)?,
            TypeOpcode::Zset2 | TypeOpcode::ZsetText => load_pairs(kind, from, maker)?,
            _ => return Ok(None),
        }))
    }
}

const TWICE: &str = "a member of a sorted set is there twice";
const NOT_A_NUMBER: &str = "a score of a sorted set is not a number";
const NO_SCORE: &str = "a member of a sorted set has no score";

fn load_listpack(from: &mut RdbReader<'_>, vetting: Vetting, maker: &mut Maker<'_>) -> Result<NewZset, RdbError> {
    let bytes = from.read_bytes()?;
    // Walked even in files of our own: a damaged one must not stop the server much later.
    let lp = ListpackRef::validate(&bytes, Depth::Deep)
        .map_err(|_| from.corrupt("Zset listpack integrity check failed."))?;
    if lp.is_empty() {
        return Err(from.error(Why::EmptyValue));
    }
    if vetting == Vetting::Trusted && compact::len(lp) as u64 <= maker.limits.zset_entries {
        return Ok(NewZset::Compact(bytes));
    }
    let items = lp.iter().map(|item| item.to_vec()).collect();
    let (mut pairs, ordered) = vetted(items, from)?;
    if ordered && pairs.len() as u64 <= maker.limits.zset_entries {
        return Ok(NewZset::Compact(bytes));
    }
    Ok(by_count(&mut pairs, maker))
}

fn load_ziplist(from: &mut RdbReader<'_>, maker: &mut Maker<'_>) -> Result<NewZset, RdbError> {
    let bytes = from.read_bytes()?;
    let zl = ZiplistRef::validate(&bytes).map_err(|_| from.corrupt("Zset ziplist integrity check failed."))?;
    if zl.is_empty() {
        return Err(from.error(Why::EmptyValue));
    }
    let (mut pairs, _) = vetted(zl.iter().map(|item| item.to_vec()).collect(), from)?;
    Ok(by_count(&mut pairs, maker))
}

/// A set that was small in the file: only the number of its elements can make it large.
fn by_count(pairs: &mut [Loaded], maker: &mut Maker<'_>) -> NewZset {
    pairs.sort_unstable_by(|a, b| leaf::order((a.0, &a.1), (b.0, &b.1)));
    let ordered = pairs.iter().map(|(score, member)| (*score, &member[..]));
    if pairs.len() as u64 <= maker.limits.zset_entries {
        return NewZset::Compact(compact::collect(ordered));
    }
    let set = ZsetObject::from_ordered(maker, ordered);
    NewZset::large(maker, set)
}

/// A score and its member, not stored yet.
type Loaded = (f64, Vec<u8>);

/// Members and scores in turn, from anywhere. Whether they are in order comes with them.
fn vetted(items: Vec<Vec<u8>>, from: &RdbReader<'_>) -> Result<(Vec<Loaded>, bool), RdbError> {
    if !items.len().is_multiple_of(2) {
        return Err(from.corrupt(NO_SCORE));
    }
    let mut pairs: Vec<Loaded> = Vec::with_capacity(items.len() / 2);
    let mut ordered = true;
    let mut items = items.into_iter();
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        let score = crate::util::num::parse_f64(&score).ok_or_else(|| from.corrupt(NOT_A_NUMBER))?;
        if let Some(last) = pairs.last() {
            ordered &= leaf::order((last.0, &last.1), (score, &member)).is_lt();
        }
        pairs.push((score, member));
    }
    let members: HashSet<&[u8]> = pairs.iter().map(|(_, member)| &member[..]).collect();
    if members.len() < pairs.len() {
        return Err(from.corrupt(TWICE));
    }
    drop(members);
    Ok((pairs, ordered))
}

/// A longer member is given away, so that it is not there once more; for others the buffer serves again.
const GIVEN_ABOVE: usize = 64 << 10;

fn load_pairs(kind: TypeOpcode, from: &mut RdbReader<'_>, maker: &mut Maker<'_>) -> Result<NewZset, RdbError> {
    let count = from.read_count()?;
    if count == 0 {
        return Err(from.error(Why::EmptyValue));
    }
    let mut filling = Filling::new(maker);
    let (mut longest, mut bytes) = (0, 0);
    let mut member = Vec::new();
    for _ in 0..count {
        member.clear();
        from.read_bytes_into(&mut member)?;
        let score = if kind == TypeOpcode::Zset2 { from.read_f64()? } else { from.read_f64_text()? };
        if score.is_nan() {
            return Err(from.corrupt(NOT_A_NUMBER));
        }
        longest = longest.max(member.len() as u64);
        bytes += member.len();
        let is_new = if member.len() > GIVEN_ABOVE {
            filling.push(maker, score, std::mem::take(&mut member))
        } else {
            filling.push(maker, score, &member)
        };
        if !is_new {
            return Err(from.corrupt(TWICE));
        }
    }
    let set = filling.finish(maker);
    let limits = maker.limits;
    if count <= limits.zset_entries && longest <= limits.zset_value && bytes < COMPACT_BYTES_MAX {
        let Object::Zset(all) = set.value() else { unreachable!("that is what was filled") };
        return Ok(NewZset::Compact(compact::collect(all.forwards(0))));
    }
    Ok(NewZset::Large(set))
}

/// A large set that grows from one end, as long as elements come in order.
struct Filling {
    set: Fresh<Object>,
    /// Elements that are in no leaf yet: scores and lengths, and the members one behind the other.
    scores: Vec<(f64, usize)>,
    members: Vec<u8>,
    leaves: Vec<Vec<u8>>,
    direction: Direction,
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Unknown,
    Up,
    Down,
    /// In no order: leaves are made by the tree itself.
    None,
}

impl Filling {
    fn new(maker: &mut Maker<'_>) -> Filling {
        let set = Fresh::new(Object::Zset(ZsetObject::new(maker)), maker.heap);
        let (scores, members, leaves) = (Vec::new(), Vec::new(), Vec::new());
        Filling { set, scores, members, leaves, direction: Direction::Unknown }
    }

    fn set(&mut self) -> &mut ZsetObject {
        match self.set.value_mut() {
            Object::Zset(set) => set,
            _ => unreachable!("that is what it was made with"),
        }
    }

    /// The element that came last.
    fn last(&self) -> Option<Pair<'_>> {
        if let Some((score, len)) = self.scores.last() {
            return Some((*score, &self.members[self.members.len() - len..]));
        }
        let leaf = Leaf(self.leaves.last()?);
        let at = if self.direction == Direction::Down { 0 } else { leaf.len() - 1 };
        Some((leaf.score(at), leaf.member(at)))
    }

    /// False if the member is there already.
    fn push<'t>(&mut self, maker: &mut Maker<'_>, score: f64, text: impl Text<'t>) -> bool {
        let member = text.as_ref();
        if self.direction == Direction::None {
            let known = self.set().score(member).is_some();
            if !known {
                self.set().add(maker.heap, score, text);
            }
            return !known;
        }
        let step = self.last().map(|last| leaf::order(last, (score, member)));
        let direction = match step {
            None => Direction::Unknown,
            Some(step) if step.is_lt() => Direction::Up,
            Some(step) if step.is_gt() => Direction::Down,
            Some(_) => return false,
        };
        if self.direction != Direction::Unknown && direction != self.direction {
            self.settle(maker);
            self.direction = Direction::None;
            return self.push(maker, score, text);
        }
        if !self.set().index_new(maker.heap, score, member) {
            return false;
        }
        self.direction = direction;
        let used = self.members.len() + 3 * self.scores.len();
        if leaf::is_long(member) {
            self.flush();
            self.leaves.push(leaf::of_one(score, text.into_source()));
            return true;
        }
        if used + member.len() + 3 > LEAF_MAX - 32 {
            self.flush();
        }
        self.scores.push((score, member.len()));
        self.members.extend_from_slice(member);
        true
    }

    /// Makes a leaf of what is in none.
    fn flush(&mut self) {
        let mut from = 0;
        let mut pairs: Vec<Pair<'_>> = Vec::with_capacity(self.scores.len());
        for (score, len) in &self.scores {
            pairs.push((*score, &self.members[from..from + len]));
            from += len;
        }
        if self.direction == Direction::Down {
            pairs.reverse();
        }
        if !pairs.is_empty() {
            self.leaves.push(leaf::encode(&pairs));
        }
        self.scores.clear();
        self.members.clear();
    }

    /// Makes the tree of the leaves.
    fn settle(&mut self, maker: &Maker<'_>) {
        self.flush();
        let mut leaves = std::mem::take(&mut self.leaves);
        if self.direction == Direction::Down {
            leaves.reverse();
        }
        let epoch = maker.epoch();
        self.set().insert_leaves(epoch, leaves);
    }

    fn finish(mut self, maker: &Maker<'_>) -> Fresh<Object> {
        if self.direction != Direction::None {
            self.settle(maker);
        }
        self.set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collections::listpack;
    use crate::cow::Heap;
    use crate::rdb::WriteOptions;
    use crate::types::Limits;
    use crate::util::hash::HashSeed;
    use crate::util::rng::Rng;

    fn with_maker<R>(entries: u64, f: impl FnOnce(&mut Maker<'_>) -> R) -> R {
        let limits = Limits { zset_entries: entries, ..Limits::default() };
        f(&mut Maker { heap: &mut Heap::new(), limits, seed: HashSeed::fixed(1) })
    }

    fn load(kind: TypeOpcode, bytes: &[u8], maker: &mut Maker<'_>) -> Result<NewZset, String> {
        let mut reader = RdbReader::from_bytes(bytes);
        let set = NewZset::load(kind, &mut reader, Vetting::Hostile, maker).map_err(|e| e.to_string())?;
        assert!(reader.at_end().unwrap());
        Ok(set.expect("a sorted set's opcode"))
    }

    fn view(set: &NewZset) -> ZsetRef<'_> {
        match set {
            NewZset::Compact(bytes) => ZsetRef::Compact(ListpackRef::new(bytes)),
            NewZset::Large(object) => match object.value() {
                Object::Zset(set) => ZsetRef::Large(set),
                _ => unreachable!(),
            },
        }
    }

    fn all(set: &NewZset) -> Vec<(f64, Vec<u8>)> {
        let mut all = vec![];
        view(set).for_each(|member, score| all.push((score, member.to_vec())));
        all
    }

    fn pairs_file(pairs: &[(f64, Vec<u8>)], text: bool) -> Vec<u8> {
        let mut out = RdbWriter::in_memory(WriteOptions::default());
        out.write_len(pairs.len() as u64).unwrap();
        for (score, member) in pairs {
            out.write_string(member).unwrap();
            if text {
                let number = score.to_string();
                out.write_u8(number.len() as u8).unwrap();
                out.write_raw(number.as_bytes()).unwrap();
            } else {
                out.write_f64(*score).unwrap();
            }
        }
        out.take_bytes()
    }

    #[test]
    fn every_order_is_read_and_written_back() {
        let mut rng = Rng::from_seed(9);
        let long = vec![b'l'; 700];
        let mut pairs: Vec<Loaded> =
            (0..1000).map(|n| (rng.below(300) as f64 / 4.0, format!("member:{n}").into_bytes())).collect();
        pairs.push((3.0, long));
        let shuffled = pairs.clone();
        pairs.sort_by(|a, b| leaf::order((a.0, &a.1), (b.0, &b.1)));
        let down: Vec<_> = pairs.iter().rev().cloned().collect();
        let mut bent = down.clone();
        bent.swap(400, 900);
        with_maker(128, |maker| {
            for order in [&pairs, &down, &shuffled, &bent] {
                for text in [false, true] {
                    let kind = if text { TypeOpcode::ZsetText } else { TypeOpcode::Zset2 };
                    let set = load(kind, &pairs_file(order, text), maker).unwrap();
                    assert_eq!(all(&set), pairs);
                    let NewZset::Large(object) = &set else { panic!("it is large") };
                    let Object::Zset(object) = object.value() else { unreachable!() };
                    object.check_invariants(maker.heap);
                    let mut out = RdbWriter::in_memory(WriteOptions::default());
                    view(&set).save(&mut out).unwrap();
                    assert_eq!(out.take_bytes(), pairs_file(&down, false));
                }
            }
        });
        with_maker(2000, |maker| {
            let set = load(TypeOpcode::Zset2, &pairs_file(&down, false), maker).unwrap();
            assert!(matches!(set, NewZset::Large(_)), "a member is too long");
            let short: Vec<_> = down.iter().filter(|(_, member)| member.len() < 64).cloned().collect();
            let set = load(TypeOpcode::Zset2, &pairs_file(&short, false), maker).unwrap();
            assert!(matches!(set, NewZset::Compact(_)));
            let mut out = RdbWriter::in_memory(WriteOptions::default());
            view(&set).save(&mut out).unwrap();
            let bytes = out.take_bytes();
            assert_eq!(all(&load(view(&set).rdb_opcode(11), &bytes, maker).unwrap()), all(&set));
        });
        with_maker(5, |maker| {
            let short: Vec<_> = pairs.iter().filter(|(_, member)| member.len() < 64).cloned().collect();
            let lp = compact::collect(short.iter().map(|(s, m)| (*s, &m[..])));
            let mut out = RdbWriter::in_memory(WriteOptions::default());
            out.write_string(&lp).unwrap();
            let set = load(TypeOpcode::ZsetListpack, &out.take_bytes(), maker).unwrap();
            assert!(matches!(set, NewZset::Large(_)));
            assert_eq!(all(&set), short);
        });
    }

    #[test]
    fn what_is_no_sorted_set_is_refused() {
        let string = |bytes: &[u8]| {
            let mut out = RdbWriter::in_memory(WriteOptions::default());
            out.write_string(bytes).unwrap();
            out.take_bytes()
        };
        let lp = |items: &[&str]| string(&listpack::collect(items.iter().map(|i| i.as_bytes())));
        with_maker(128, |maker| {
            let mut refused = |kind, bytes: &[u8]| load(kind, bytes, maker).map(|set| all(&set)).unwrap_err();
            for items in [&["a"][..], &["a", "x"], &["a", "1", "a", "2"], &[], &["a", "nan"]] {
                refused(TypeOpcode::ZsetListpack, &lp(items));
            }
            refused(TypeOpcode::ZsetListpack, &string(b"\x07\0\0\0"));
            refused(TypeOpcode::ZsetZiplist, &string(b"\x07\0\0\0"));
            refused(TypeOpcode::Zset2, &pairs_file(&[], false));
            refused(TypeOpcode::Zset2, &pairs_file(&[(1.0, b"a".to_vec()), (f64::NAN, b"b".to_vec())], false));
            let twice = [(1.0, b"a".to_vec()), (2.0, b"b".to_vec()), (3.0, b"a".to_vec())];
            refused(TypeOpcode::Zset2, &pairs_file(&twice, false));
        });
        with_maker(128, |maker| {
            let set = load(TypeOpcode::ZsetListpack, &lp(&["b", "2", "a", "1"]), maker).unwrap();
            assert_eq!(all(&set), [(1.0, b"a".to_vec()), (2.0, b"b".to_vec())], "brought into order");
        });
    }
}
