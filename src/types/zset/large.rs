//! A large sorted set: a counted tree of (score, member), and an index from member to score.
//!
//! OBJECT ENCODING calls it a skiplist, which is what it is in Redis. Every element lies in both structures; the tree
//! answers what asks for an order (ranks, ranges by score, by member, by position), the index what names a member. Each
//! is copied on write node by node, so a write under a snapshot copies a few KiB whatever the size.

use super::leaf::{self, Leaf, Pair, Ranks};
use crate::collections::packed::{self, KeysWithWords, PackedTable};
use crate::collections::tree::{CowTree, Cursor, Path, Place};
use crate::cow::{CowValue, Defrag, Epoch, Heap, Progress, Unshared};
use crate::types::place::Maker;
use crate::util::hash::HashSeed;
use crate::util::text::Text;
use std::cmp::Ordering;
use std::ops::Range;

/// The large form.
pub struct ZsetObject {
    birth: Epoch,
    tree: CowTree<Ranks>,
    index: PackedTable<KeysWithWords>,
}

/// An end of a sorted set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The lowest score.
    First,
    /// The highest.
    Last,
}

/// How many elements ahead [`ZsetObject::pop`] asks for the leaf of one in the index, and for the way to it.
const NEAR: usize = 2;
const FAR: usize = 5;

fn score_of(word: &[u8]) -> f64 {
    f64::from_bits(u64::from_le_bytes(word.try_into().expect("the index has words of eight bytes")))
}

fn word_of(score: f64) -> [u8; 8] {
    score.to_bits().to_le_bytes()
}

impl ZsetObject {
    /// The parts in which its nodes are moved: the tree, and the index.
    pub const PARTS: u32 = 2;

    /// Starts fetching what looking for an element with this hash will read.
    #[inline]
    pub fn prefetch(&self, element: u64) {
        self.index.prefetch(element);
    }

    /// A sorted set without elements.
    pub fn new(maker: &Maker<'_>) -> ZsetObject {
        ZsetObject::with_seed(maker.seed, maker.epoch())
    }

    /// A sorted set without elements, made now.
    pub fn with_seed(seed: HashSeed, now: Epoch) -> ZsetObject {
        ZsetObject { birth: now, tree: CowTree::new(now), index: PackedTable::new(seed, now) }
    }

    /// The first element.
    #[inline]
    pub fn first(&self) -> Option<(f64, &[u8])> {
        self.forwards(0).next()
    }

    /// A sorted set of elements that are in order, no member twice.
    pub(super) fn from_ordered<'p>(maker: &mut Maker<'_>, pairs: impl Iterator<Item = Pair<'p>>) -> ZsetObject {
        let mut leaves: Vec<Vec<u8>> = Vec::new();
        let mut index = PackedTable::new(maker.seed, maker.epoch());
        let (mut part, mut bytes) = (Vec::new(), 0);
        for pair in pairs {
            // A guess at the column's width: what is too wide only makes smaller leaves.
            let size = pair.1.len() + 3;
            if !part.is_empty() && (bytes + size > leaf::LEAF_MAX - 32 || leaf::is_long(pair.1)) {
                leaves.push(leaf::encode(&part));
                part.clear();
                bytes = 0;
            }
            index.insert(maker.heap, pair.1, &word_of(pair.0), false);
            bytes += if leaf::is_long(pair.1) { leaf::LEAF_MAX } else { size };
            part.push(pair);
        }
        if !part.is_empty() {
            leaves.push(leaf::encode(&part));
        }
        ZsetObject { birth: maker.epoch(), tree: CowTree::from_leaves(maker.epoch(), leaves), index }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.index.get(member).map(|found| score_of(found.value))
    }

    /// The leaf in which an element is, or would be.
    #[inline]
    fn seek(&self, score: f64, member: &[u8]) -> Option<Cursor<'_, Ranks>> {
        let prefix = leaf::prefix(member);
        self.tree.seek(|edge| {
            let bound = edge.bound();
            match bound.score.partial_cmp(&score) {
                Some(Ordering::Equal) | None => match bound.prefix.cmp(&prefix) {
                    Ordering::Equal => Leaf(edge.leaf()).member(0) <= member,
                    unequal => unequal.is_lt(),
                },
                Some(unequal) => unequal.is_lt(),
            }
        })
    }

    /// How many elements come before this one, which is there.
    #[inline]
    pub fn rank(&self, score: f64, member: &[u8]) -> usize {
        let Some(cursor) = self.seek(score, member) else { return 0 };
        let inside = Leaf(cursor.leaf()).search(score, member).unwrap_or_else(|at| at);
        cursor.rank() + inside
    }

    /// How many elements have a score that `is_before` says true of: it says so of a prefix.
    #[inline]
    pub fn rank_by_score(&self, is_before: impl Fn(f64) -> bool) -> usize {
        let Some(cursor) = self.tree.seek(|edge| is_before(edge.bound().score)) else { return 0 };
        cursor.rank() + Leaf(cursor.leaf()).first_score(|score| !is_before(score))
    }

    /// How many elements have a member that `is_before` says true of: it says so of a prefix.
    pub fn rank_by_member(&self, is_before: impl Fn(&[u8]) -> bool) -> usize {
        let Some(cursor) = self.tree.seek(|edge| is_before(Leaf(edge.leaf()).member(0))) else { return 0 };
        cursor.rank() + Leaf(cursor.leaf()).first_that(|_, member| !is_before(member))
    }

    /// Elements from a rank on.
    #[inline]
    pub(super) fn forwards(&self, rank: usize) -> Forwards<'_> {
        Forwards::of(&self.tree, rank)
    }

    /// Elements before a rank, backwards.
    #[inline]
    pub(super) fn backwards(&self, rank: usize) -> Backwards<'_> {
        match rank.checked_sub(1).and_then(|last| self.tree.seek_index(last)) {
            Some((cursor, inside)) => {
                let leaf = Leaf(cursor.leaf()).iter_before(inside + 1);
                Backwards(Some((cursor, leaf)))
            }
            None => Backwards(None),
        }
    }

    /// SCAN over the members.
    pub(super) fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(&[u8], f64)) -> u64 {
        self.index.scan(cursor, count, |found| f(found.key, score_of(found.value)))
    }

    /// Adds an element; a member that is there already gets the score. The score it had, then.
    #[cfg(test)]
    pub fn insert(&mut self, heap: &mut Heap, score: f64, member: &[u8]) -> Option<f64> {
        let old = self.score(member);
        match old {
            None => self.add(heap, score, member),
            Some(old) => self.rescore(heap, member, old, score),
        }
        old
    }

    /// Adds a member that is not there.
    #[inline]
    pub fn add<'t>(&mut self, heap: &mut Heap, score: f64, member: impl Text<'t>) {
        self.index.insert(heap, member.as_ref(), &word_of(score), false);
        self.insert_item(heap, score, member);
    }

    /// Gives a member that is there another score.
    #[inline]
    pub fn rescore(&mut self, heap: &mut Heap, member: &[u8], old: f64, new: f64) {
        self.index.insert(heap, member, &word_of(new), false);
        let cursor = self.seek(old, member).expect("what is in the index is in the tree");
        let view = Leaf(cursor.leaf());
        let at = view.search(old, member).expect("what is in the index is in the tree");
        // At the border of a leaf its neighbours decide; and a leaf's first element is the bound above.
        let inner = at > 0 && at + 1 < view.len();
        let path = cursor.path();
        if inner {
            let done = self.tree.edit(heap, path, |leaf| {
                let done = leaf::rescore(leaf, at, new);
                if !done {
                    leaf::remove(leaf, at..at + 1);
                }
                done
            });
            if done {
                return;
            }
            self.mend(heap, path);
        } else {
            self.uproot(heap, path, at..at + 1);
        }
        self.insert_item(heap, new, member);
    }

    /// Removes a member. The score it had.
    #[inline]
    pub fn remove(&mut self, heap: &mut Heap, member: &[u8]) -> Option<f64> {
        let score = self.index.take(heap, member, |found| score_of(found.value))?;
        let cursor = self.seek(score, member).expect("what is in the index is in the tree");
        let at = Leaf(cursor.leaf()).search(score, member).expect("what is in the index is in the tree");
        let path = cursor.path();
        self.uproot(heap, path, at..at + 1);
        Some(score)
    }

    /// Removes the elements of these ranks.
    pub fn remove_ranks(&mut self, heap: &mut Heap, ranks: Range<usize>) {
        let len = self.len();
        let (start, end) = (ranks.start, ranks.end.min(len));
        if start >= end {
            return;
        }
        self.unindex(heap, start..end);
        let mut left = end - start - self.tree.cut(heap, start..end);
        // What is left of it shares a leaf with elements that stay: at most one at either end.
        while left > 0 {
            let Some((cursor, inside)) = self.tree.seek_index(start) else { return };
            let here = left.min(cursor.count() - inside);
            let path = cursor.path();
            self.uproot(heap, path, inside..inside + here);
            left -= here;
        }
    }

    /// Takes the elements of these ranks out of the index.
    fn unindex(&mut self, heap: &mut Heap, ranks: Range<usize>) {
        let (gone, len) = (ranks.len(), self.len());
        if packed::is_many(gone, len) {
            // Who is neither before the first nor behind the last of them is one of them.
            let first = if ranks.start > 0 { Forwards::of(&self.tree, ranks.start).next() } else { None };
            let behind = if ranks.end < len { Forwards::of(&self.tree, ranks.end).next() } else { None };
            return self.index.retain(heap, len - gone, |found| {
                let this = (score_of(found.value), found.key);
                first.is_some_and(|first| leaf::order(this, first).is_lt())
                    || behind.is_some_and(|behind| leaf::order(this, behind).is_ge())
            });
        }
        let members = Forwards::of(&self.tree, ranks.start).take(gone).map(|(_, member)| member);
        let removed = self.index.remove_all(heap, members);
        debug_assert_eq!(removed, gone, "what is in the tree is in the index");
    }

    /// Takes the first or the last element out of a set that has one, and shows it before that.
    ///
    /// The next ones are likely to be wanted soon: their places in the index, which no cache has, are asked for ahead.
    pub fn pop(&mut self, heap: &mut Heap, end: End, seen: impl FnOnce(f64, &[u8])) {
        let rank = if end == End::First { 0 } else { self.len() - 1 };
        let (cursor, at) = self.tree.seek_index(rank).expect("a set with elements");
        let view = Leaf(cursor.leaf());
        let (score, member) = view.iter_from(at).next().expect("the place of an element");
        seen(score, member);
        let known = self.index.remove(heap, member);
        debug_assert!(known, "what is in the tree is in the index");
        self.ask_ahead(view, at, end);
        // A leaf that gets small is not joined to its neighbour: at an end it soon vanishes.
        self.tree.edit(heap, cursor.path(), |leaf| leaf::remove(leaf, at..at + 1));
    }

    /// Asks for what taking out the elements next to `at` will read: of one further on, the way to its leaf in the
    /// index; of a nearer one, whose way has come meanwhile, the leaf.
    #[inline]
    fn ask_ahead(&self, view: Leaf<'_>, at: usize, end: End) {
        let neighbour = |distance: usize| match end {
            End::First => Some(at + distance).filter(|at| *at < view.len()),
            End::Last => at.checked_sub(distance),
        };
        if let Some(near) = neighbour(NEAR) {
            self.index.prefetch_all(self.index.hash(view.member(near)));
        }
        if let Some(far) = neighbour(FAR) {
            self.index.prefetch_way(self.index.hash(view.member(far)));
        }
    }

    /// Puts a member into the index alone; false if it is there. The tree gets it from [`ZsetObject::insert_leaves`].
    pub(super) fn index_new(&mut self, heap: &mut Heap, score: f64, member: &[u8]) -> bool {
        self.index.insert_new(heap, member, &word_of(score), false)
    }

    /// Makes the tree out of leaves, after all their members went to the index.
    pub(super) fn insert_leaves(&mut self, now: Epoch, leaves: Vec<Vec<u8>>) {
        debug_assert!(self.tree.is_empty(), "nothing was inserted before");
        self.tree = CowTree::from_leaves(now, leaves);
    }

    /// Puts an element into the tree.
    #[inline]
    fn insert_item<'t>(&mut self, heap: &mut Heap, score: f64, text: impl Text<'t>) {
        let member = text.as_ref();
        let Some(cursor) = self.seek(score, member) else {
            return self.tree.insert(heap, Place::Last, leaf::of_one(score, text.into_source()));
        };
        let (path, bytes) = (cursor.path(), cursor.leaf());
        let Err(at) = Leaf(bytes).search(score, member) else { return };
        let room = bytes.len() + leaf::growth(bytes, member) <= leaf::LEAF_MAX;
        if room && !leaf::is_long(member) && !Leaf(bytes).is_long() {
            let size = self.tree.edit(heap, path, |leaf| {
                leaf::insert(leaf, at, score, member);
                leaf.len()
            });
            // A column that became wider may have made the leaf too large.
            if size > leaf::LEAF_MAX {
                self.split(heap, path);
            }
        } else {
            self.insert_beside(heap, path, at, score, text);
        }
    }

    /// Puts an element where a leaf has no room for it.
    #[cold]
    fn insert_beside<'t>(&mut self, heap: &mut Heap, path: Path, at: usize, score: f64, text: impl Text<'t>) {
        let cursor = self.tree.at(path).expect("it was just found");
        let member = text.as_ref();
        let (view, long) = (Leaf(cursor.leaf()), leaf::is_long(member));
        let mut next = cursor.clone();
        if at == view.len() && (long || view.len() == 1 || !next.next()) {
            return self.tree.insert(heap, Place::After(path), leaf::of_one(score, text.into_source()));
        }
        if at == 0 {
            return self.tree.insert(heap, Place::Before(path), leaf::of_one(score, text.into_source()));
        }
        if long {
            let tail = self.tree.edit(heap, path, |leaf| leaf::split(leaf, at));
            self.tree.insert(heap, Place::After(path), tail);
            let place = self.seek(score, member).expect("the tree has leaves").path();
            return self.tree.insert(heap, Place::After(place), leaf::of_one(score, text.into_source()));
        }
        self.split(heap, path);
        self.insert_item(heap, score, text);
    }

    /// Cuts a leaf in two, and again while a part is too large: a column that became wider may have made much of little.
    #[cold]
    fn split(&mut self, heap: &mut Heap, path: Path) {
        let first = |leaf: &[u8]| (Leaf(leaf).score(0), Leaf(leaf).member(0).to_vec());
        let (tail, before) = self.tree.edit(heap, path, |leaf| {
            let at = leaf::middle(Leaf(leaf));
            let tail = leaf::split(leaf, at);
            (tail, (leaf.len() > leaf::LEAF_MAX).then(|| first(leaf)))
        });
        let after = (tail.len() > leaf::LEAF_MAX).then(|| first(&tail));
        self.tree.insert(heap, Place::After(path), tail);
        for (score, member) in [before, after].into_iter().flatten() {
            let path = self.seek(score, &member).filter(|at| Leaf(at.leaf()).len() > 1).map(|at| at.path());
            if let Some(path) = path {
                self.split(heap, path);
            }
        }
    }

    /// Takes elements out of a leaf.
    #[inline]
    fn uproot(&mut self, heap: &mut Heap, path: Path, range: Range<usize>) {
        let left = self.tree.edit(heap, path, |leaf| {
            leaf::remove(leaf, range);
            leaf.len()
        });
        if left > 0 && left < leaf::LEAF_FEW {
            self.tree.mend(heap, path);
        }
    }

    #[inline]
    fn mend(&mut self, heap: &mut Heap, path: Path) {
        if self.tree.at(path).is_some_and(|leaf| leaf.leaf().len() < leaf::LEAF_FEW) {
            self.tree.mend(heap, path);
        }
    }

    /// An independent value with the same contents.
    pub fn duplicate(&self, heap: &Heap) -> ZsetObject {
        let now = heap.epoch();
        ZsetObject { birth: now, tree: self.tree.duplicate(now), index: self.index.duplicate(now) }
    }

    /// Panics where tree and index differ, or one of them is not as it should be.
    #[cfg(test)]
    pub fn check_invariants(&self, heap: &Heap) {
        self.tree.check_invariants(heap);
        self.index.check_invariants();
        assert_eq!(self.tree.len(), self.index.len());
        let mut last: Option<(f64, Vec<u8>)> = None;
        for (score, member) in self.forwards(0) {
            let indexed = self.score(member).expect("what is in the tree is in the index");
            assert_eq!(indexed.to_bits(), score.to_bits());
            if let Some((score_before, before)) = last {
                assert!(leaf::order((score_before, &before), (score, member)).is_lt());
            }
            last = Some((score, member.to_vec()));
        }
        for bytes in self.tree.iter() {
            // A leaf made in bulk guesses at the width of its column.
            assert!(bytes.len() <= 2 * leaf::LEAF_MAX || Leaf(bytes).len() == 1, "{}", bytes.len());
        }
    }
}

/// Elements in order.
pub(super) struct Forwards<'a>(Option<(Cursor<'a, Ranks>, leaf::Forwards<'a>)>);

impl<'a> Forwards<'a> {
    /// Those from a rank on.
    #[inline]
    fn of(tree: &'a CowTree<Ranks>, rank: usize) -> Forwards<'a> {
        Forwards(tree.seek_index(rank).map(|(cursor, inside)| {
            let leaf = Leaf(cursor.leaf()).iter_from(inside);
            (cursor, leaf)
        }))
    }
}

impl<'a> Iterator for Forwards<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        let (cursor, leaf) = self.0.as_mut()?;
        if let Some(pair) = leaf.next() {
            return Some(pair);
        }
        if !cursor.next() {
            self.0 = None;
            return None;
        }
        *leaf = Leaf(cursor.leaf()).iter();
        leaf.next()
    }
}

/// Elements in the opposite order.
pub(super) struct Backwards<'a>(Option<(Cursor<'a, Ranks>, leaf::Backwards<'a>)>);

impl<'a> Iterator for Backwards<'a> {
    type Item = Pair<'a>;

    #[inline]
    fn next(&mut self) -> Option<Pair<'a>> {
        let (cursor, leaf) = self.0.as_mut()?;
        if let Some(pair) = leaf.next() {
            return Some(pair);
        }
        if !cursor.prev() {
            self.0 = None;
            return None;
        }
        *leaf = Leaf(cursor.leaf()).iter_before(cursor.count());
        leaf.next()
    }
}

impl CowValue for ZsetObject {
    fn birth(&self) -> Epoch {
        self.birth
    }

    fn origin(&self) -> Epoch {
        self.birth.min(self.tree.origin()).min(self.index.origin())
    }

    fn fork(&self, heap: &mut Heap) -> Self {
        ZsetObject { birth: heap.epoch(), tree: self.tree.fork(), index: self.index.fork() }
    }

    fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.tree.destroy_some(budget, proof) && self.index.destroy_some(budget, proof)
    }

    fn destroy(self, proof: &Unshared) {
        self.tree.destroy(proof);
        self.index.destroy(proof);
    }

    fn free_effort(&self) -> usize {
        self.tree.leaves() + self.index.free_effort()
    }

    fn memory(&self) -> usize {
        self.tree.memory() + self.index.memory()
    }

    fn elements(&self) -> usize {
        self.tree.len()
    }

    fn defrag(&mut self, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        defrag.in_parts(ZsetObject::PARTS, progress, |defrag, part, at| match part {
            0 => self.tree.defrag(defrag, at),
            _ => self.index.defrag(defrag, at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Limits;
    use crate::util::hash::HashSeed;
    use crate::util::rng::Rng;
    use std::collections::HashMap;

    fn ordered(model: &HashMap<Vec<u8>, f64>) -> Vec<(f64, Vec<u8>)> {
        let mut all: Vec<_> = model.iter().map(|(m, s)| (*s, m.clone())).collect();
        all.sort_by(|a, b| leaf::order((a.0, &a.1), (b.0, &b.1)));
        all
    }

    fn check(set: &ZsetObject, model: &HashMap<Vec<u8>, f64>) {
        let all = ordered(model);
        let owned = |pair: Pair<'_>| (pair.0, pair.1.to_vec());
        assert!(set.forwards(0).map(owned).eq(all.iter().cloned()));
        assert!(set.backwards(all.len()).map(owned).eq(all.iter().rev().cloned()));
        for (rank, (score, member)) in all.iter().enumerate().step_by(7) {
            assert_eq!(set.rank(*score, member), rank);
            assert_eq!(set.forwards(rank).next().map(owned), Some((*score, member.clone())));
            assert_eq!(set.rank_by_score(|s| s < *score), all.partition_point(|(s, _)| s < score));
            assert_eq!(set.rank_by_score(|s| s <= *score), all.partition_point(|(s, _)| s <= score));
        }
    }

    #[test]
    fn a_large_set_keeps_its_order_under_snapshots() {
        let mut rng = Rng::from_seed(11);
        for round in 0..if cfg!(miri) { 1 } else { 12 } {
            let mut heap = Heap::new();
            let maker = Maker { heap: &mut heap, limits: Limits::default(), seed: HashSeed::fixed(3) };
            let mut set = ZsetObject::new(&maker);
            let (mut model, mut shots) = (HashMap::new(), vec![]);
            for step in 0..if cfg!(miri) { 150 } else { 3000 } {
                let n = rng.below(900);
                let size = if rng.index(60) == 0 { 200 + rng.index(200) } else { rng.index(20) };
                let member =
                    [format!("m{n}").as_bytes(), &vec![b'x'; size * usize::from(n.is_multiple_of(9))]].concat();
                let score = match round % 4 {
                    0 => 1.0,
                    1 => rng.below(100_000) as f64,
                    2 => rng.unit(),
                    _ => rng.below(10) as f64,
                };
                match rng.index(10) {
                    0..6 => assert_eq!(set.insert(&mut heap, score, &member), model.insert(member, score)),
                    6..9 => assert_eq!(set.remove(&mut heap, &member), model.remove(&member)),
                    _ if step % 5 == 0 => {
                        let from = rng.index(model.len() + 1);
                        let to = from + rng.index(if step % 10 == 0 { 500 } else { 100 });
                        let gone = ordered(&model);
                        for (_, member) in gone.iter().take(to).skip(from) {
                            model.remove(member);
                        }
                        set.remove_ranks(&mut heap, from..to);
                    }
                    _ if step % 5 == 1 && model.len() > 1 => {
                        let all = ordered(&model);
                        let last = step % 2 == 0;
                        let (score, member) = &all[if last { all.len() - 1 } else { 0 }];
                        let seen = |s: f64, m: &[u8]| assert_eq!((s, m), (*score, &member[..]));
                        set.pop(&mut heap, if last { End::Last } else { End::First }, seen);
                        model.remove(member);
                    }
                    _ if step % 97 == 0 => {
                        // What an entry does when its value is shared.
                        let ticket = heap.open_snapshot().ticket();
                        let fork = set.fork(&mut heap);
                        shots.push((std::mem::replace(&mut set, fork), model.clone(), ticket));
                    }
                    _ => {}
                }
                if step % 300 == 0 {
                    set.check_invariants(&heap);
                    check(&set, &model);
                }
            }
            set.check_invariants(&heap);
            for (shot, model, ticket) in shots {
                check(&shot, &model);
                drop(ticket);
                heap.reap();
                while heap.reclaim(100) {}
            }
            while heap.reclaim(100) {}
            assert_eq!(heap.stats().retired_nodes, 0);
            check(&set, &model);
            let all = ordered(&model);
            let mut maker = Maker { heap: &mut heap, limits: Limits::default(), seed: HashSeed::fixed(3) };
            let built = ZsetObject::from_ordered(&mut maker, all.iter().map(|(s, m)| (*s, &m[..])));
            built.check_invariants(&heap);
            check(&built, &model);
            for set in [built, set.duplicate(&heap), set] {
                drop(crate::cow::Fresh::new(set, &heap));
            }
        }
    }

    #[test]
    fn a_million_members_would_take_less_than_52_bytes_each() {
        let elements = if cfg!(miri) { 1000 } else { 50_000u64 };
        let mut rng = Rng::from_seed(2);
        for (kind, limit) in [("in order", 46), ("at random", 50)] {
            let mut heap = Heap::new();
            let maker = Maker { heap: &mut heap, limits: Limits::default(), seed: HashSeed::fixed(3) };
            let mut set = ZsetObject::new(&maker);
            for n in 0..elements {
                let score = if kind == "in order" { n } else { rng.below(elements) };
                set.add(&mut heap, score as f64, format!("member:{n:06}").as_bytes());
            }
            let each = set.memory() / elements as usize;
            assert!(each < limit || cfg!(miri), "{each} bytes {kind}");
            drop(crate::cow::Fresh::new(set, &heap));
        }
    }
}
