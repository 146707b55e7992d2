//! Records of one size in order of their keys: what pending entries are kept in.
//!
//! A leaf is records one after the other; a full one splits. Leaves that are filled in order stay full.

use crate::collections::tree::{CowTree, Cursor, Items, Path, Place};
use crate::cow::{Defrag, Epoch, Heap, Unshared};
use std::fmt::Debug;
use std::marker::PhantomData;

/// A leaf has no more bytes than this.
const LEAF_MAX: usize = 1008;

/// A record of `BYTES` bytes.
pub trait Record: Copy + 'static {
    /// By which it is found, and by which records are in order.
    type Key: Copy + Ord + Debug + Send + Sync + 'static;
    /// Its size.
    const BYTES: usize;

    /// The key.
    fn key(&self) -> Self::Key;

    /// The record in these bytes.
    fn read(bytes: &[u8]) -> Self;

    /// Appends its bytes.
    fn write(&self, out: &mut Vec<u8>);
}

/// What becomes of a record that [`Records::revise`] shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revision {
    /// Nothing.
    Keep,
    /// It is written back, with the key it had.
    Change,
    /// It goes.
    Remove,
    /// Nothing, and no others are shown.
    Stop,
}

/// Leaves of records.
struct Leaves<R>(PhantomData<R>);

impl<R: Record> Items for Leaves<R> {
    type Bound = R::Key;

    #[inline]
    fn bound(leaf: &[u8]) -> R::Key {
        R::read(leaf).key()
    }

    #[inline]
    fn count(leaf: &[u8]) -> usize {
        leaf.len() / R::BYTES
    }

    fn joinable(left: &[u8], right: &[u8]) -> bool {
        left.len() + right.len() <= LEAF_MAX / 2
    }

    fn join(left: &mut Vec<u8>, right: &[u8]) {
        left.extend_from_slice(right);
    }
}

/// Records in order.
pub struct Records<R: Record>(CowTree<Leaves<R>>);

#[inline]
fn at<R: Record>(leaf: &[u8], index: usize) -> R {
    R::read(&leaf[index * R::BYTES..])
}

/// How many records of the leaf are before `key`, and whether the next one has it.
#[inline]
fn find<R: Record>(leaf: &[u8], key: R::Key) -> (usize, bool) {
    let (mut low, mut high) = (0, leaf.len() / R::BYTES);
    while low < high {
        let middle = low.midpoint(high);
        if at::<R>(leaf, middle).key() < key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    (low, low * R::BYTES < leaf.len() && at::<R>(leaf, low).key() == key)
}

/// Leaves of these records, which are in order.
pub fn leaves<R: Record>(records: &[R]) -> Vec<Vec<u8>> {
    let fill = |part: &[R]| {
        let mut leaf = Vec::with_capacity(part.len() * R::BYTES);
        part.iter().for_each(|r| r.write(&mut leaf));
        leaf
    };
    records.chunks(LEAF_MAX / R::BYTES).map(fill).collect()
}

impl<R: Record> Records<R> {
    /// Out of [`leaves`].
    pub fn from_leaves(now: Epoch, leaves: Vec<Vec<u8>>) -> Self {
        Records(CowTree::from_leaves(now, leaves))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn seek(&self, key: R::Key) -> Option<Cursor<'_, Leaves<R>>> {
        self.0.seek(|edge| edge.bound() <= key)
    }

    /// Where the record with this key is.
    #[inline]
    fn place(&self, key: R::Key) -> Option<(Path, usize, R)> {
        let cursor = self.seek(key)?;
        let (index, found) = find::<R>(cursor.leaf(), key);
        found.then(|| (cursor.path(), index, at(cursor.leaf(), index)))
    }

    /// The record with this key.
    #[inline]
    pub fn get(&self, key: R::Key) -> Option<R> {
        self.place(key).map(|(_, _, record)| record)
    }

    /// Puts a record in, or in the place of the one with its key, which is returned.
    pub fn put(&mut self, heap: &mut Heap, record: R) -> Option<R> {
        let Some(cursor) = self.seek(record.key()) else {
            let mut leaf = Vec::with_capacity(R::BYTES);
            record.write(&mut leaf);
            self.0.insert(heap, Place::Last, leaf);
            return None;
        };
        let (path, len) = (cursor.path(), cursor.leaf().len());
        let (index, found) = find::<R>(cursor.leaf(), record.key());
        let from = index * R::BYTES;
        if found {
            let old = at(cursor.leaf(), index);
            self.0.edit(heap, path, |leaf| overwrite(leaf, from, &record));
            return Some(old);
        }
        if len + R::BYTES <= LEAF_MAX {
            self.0.edit(heap, path, |leaf| insert(leaf, from, &record));
            return None;
        }
        let mut right = vec![];
        if from < len {
            right = self.0.edit(heap, path, |leaf| {
                let right = leaf.split_off(len / R::BYTES / 2 * R::BYTES);
                if from < leaf.len() {
                    insert(leaf, from, &record);
                }
                right
            });
        }
        let left_len = len - right.len();
        if from >= left_len {
            insert(&mut right, from - left_len, &record);
        }
        self.0.insert(heap, Place::After(path), right);
        None
    }

    /// Takes a record out.
    pub fn remove(&mut self, heap: &mut Heap, key: R::Key) -> Option<R> {
        let (path, index, record) = self.place(key)?;
        let from = index * R::BYTES;
        let left = self.0.edit(heap, path, |leaf| {
            leaf.drain(from..from + R::BYTES);
            leaf.len()
        });
        if left > 0 && left < LEAF_MAX / 4 {
            self.0.mend(heap, path);
        }
        Some(record)
    }

    /// Takes out all records from `from` on and before `to`.
    pub fn remove_range(&mut self, heap: &mut Heap, from: R::Key, to: R::Key) {
        while let Some(mut cursor) = self.seek(from) {
            let (mut first, _) = find::<R>(cursor.leaf(), from);
            if first * R::BYTES == cursor.leaf().len() {
                if !cursor.next() {
                    return;
                }
                first = 0;
            }
            let (last, _) = find::<R>(cursor.leaf(), to);
            if first >= last {
                return;
            }
            let path = cursor.path();
            if last - first == cursor.count() {
                self.0.remove(heap, path);
            } else {
                self.0.edit(heap, path, |leaf| drop(leaf.drain(first * R::BYTES..last * R::BYTES)));
            }
        }
    }

    /// Shows the records from `from` on, and does what `visit` says about each: leaf by leaf, each written once.
    pub fn revise(&mut self, heap: &mut Heap, from: R::Key, mut visit: impl FnMut(&mut R) -> Revision) {
        let (mut next, mut new) = (Some(from), Vec::with_capacity(LEAF_MAX));
        while let Some(key) = next.take() {
            let Some(mut cursor) = self.seek(key) else { return };
            let (mut first, _) = find::<R>(cursor.leaf(), key);
            if first == cursor.count() {
                if !cursor.next() {
                    return;
                }
                first = 0;
            }
            let (leaf, path) = (cursor.leaf(), cursor.path());
            new.clear();
            new.extend_from_slice(&leaf[..first * R::BYTES]);
            let (mut changed, mut stopped) = (false, false);
            for bytes in leaf[first * R::BYTES..].chunks_exact(R::BYTES) {
                let mut record = R::read(bytes);
                let revision = if stopped { Revision::Keep } else { visit(&mut record) };
                stopped |= matches!(revision, Revision::Stop);
                changed |= matches!(revision, Revision::Change | Revision::Remove);
                match revision {
                    Revision::Keep | Revision::Stop => new.extend_from_slice(bytes),
                    Revision::Change => record.write(&mut new),
                    Revision::Remove => {}
                }
            }
            if !stopped && cursor.next() {
                next = Some(R::read(cursor.leaf()).key());
            }
            if changed {
                self.rewrite(heap, path, &new);
            }
        }
    }

    /// Other records, fewer or as many, become those of a leaf.
    fn rewrite(&mut self, heap: &mut Heap, path: Path, records: &[u8]) {
        self.0.edit(heap, path, |leaf| {
            leaf.clear();
            leaf.extend_from_slice(records);
        });
        if !records.is_empty() && records.len() < LEAF_MAX / 4 {
            self.0.mend(heap, path);
        }
    }

    /// Takes out the records with these keys, which are in order, and shows them; those that are not there are passed
    /// over.
    pub fn remove_sorted(&mut self, heap: &mut Heap, keys: &[R::Key], mut seen: impl FnMut(R)) {
        let (mut keys, mut kept) = (keys, Vec::with_capacity(LEAF_MAX));
        while let Some(&first) = keys.first() {
            let Some(cursor) = self.seek(first) else { return };
            let (leaf, path) = (cursor.leaf(), cursor.path());
            kept.clear();
            for bytes in leaf.chunks_exact(R::BYTES) {
                let record = R::read(bytes);
                let key = record.key();
                while keys.first().is_some_and(|wanted| *wanted < key) {
                    keys = &keys[1..];
                }
                match keys.first() {
                    Some(wanted) if *wanted == key => {
                        keys = &keys[1..];
                        seen(record);
                    }
                    _ => kept.extend_from_slice(bytes),
                }
            }
            let changed = kept.len() < leaf.len();
            // What is still wanted is behind this leaf, or between it and the next one, that is, nowhere.
            let mut behind = cursor;
            let next = behind.next().then(|| R::read(behind.leaf()).key());
            keys = next.map_or(&[][..], |next| &keys[keys.partition_point(|key| *key < next)..]);
            if changed {
                self.rewrite(heap, path, &kept);
            }
        }
    }

    /// Puts records in that are in order; one that has the key of one that is there takes its place.
    pub fn put_sorted(&mut self, heap: &mut Heap, records: &[R]) {
        let mut records = records;
        while let Some(first) = records.first() {
            let Some(cursor) = self.seek(first.key()) else {
                *self = Records(CowTree::from_leaves(heap.epoch(), leaves(records)));
                return;
            };
            let (leaf, path) = (cursor.leaf(), cursor.path());
            let mut behind = cursor.clone();
            let next = behind.next().then(|| R::read(behind.leaf()).key());
            let here = next.map_or(records.len(), |next| records.partition_point(|record| record.key() < next));
            let merged = merge(leaf, &records[..here]);
            records = &records[here..];
            let mut parts = merged.chunks(LEAF_MAX / R::BYTES * R::BYTES);
            let part = parts.next().expect("there is at least one record");
            self.0.edit(heap, path, |leaf| {
                leaf.clear();
                leaf.extend_from_slice(part);
            });
            let mut before = R::read(part).key();
            for part in parts {
                let place = self.seek(before).map_or(Place::Last, |at| Place::After(at.path()));
                self.0.insert(heap, place, part.to_vec());
                before = R::read(part).key();
            }
        }
    }

    /// How many records are before `key`.
    fn rank(&self, key: R::Key) -> usize {
        self.seek(key).map_or(0, |cursor| cursor.rank() + find::<R>(cursor.leaf(), key).0)
    }

    /// How many records there are from `from` on and before `to`.
    pub fn count(&self, from: R::Key, to: R::Key) -> usize {
        self.rank(to).saturating_sub(self.rank(from))
    }

    /// The records from `from` on.
    pub fn iter_from(&self, from: R::Key) -> Iter<'_, R> {
        let cursor = self.seek(from);
        let index = cursor.as_ref().map_or(0, |c| find::<R>(c.leaf(), from).0);
        Iter { cursor, index }
    }

    /// The last record before `key`.
    pub fn last_before(&self, key: R::Key) -> Option<R> {
        let cursor = self.seek(key)?;
        let index = find::<R>(cursor.leaf(), key).0;
        // `seek` went to the leaf that begins at or before the key, so if nothing is before the key in it, there is
        // nothing before the leaf either, or the leaf begins with the key itself.
        match index.checked_sub(1) {
            Some(index) => Some(at(cursor.leaf(), index)),
            None => {
                let mut cursor = cursor;
                cursor.prev().then(|| at(cursor.leaf(), cursor.count() - 1))
            }
        }
    }

    pub(super) fn leaves_len(&self) -> usize {
        self.0.leaves()
    }

    pub(super) fn origin(&self) -> Epoch {
        self.0.origin()
    }

    pub(super) fn fork(&self) -> Self {
        Records(self.0.fork())
    }

    pub(super) fn duplicate(&self, now: Epoch) -> Self {
        Records(self.0.duplicate(now))
    }

    pub(super) fn defrag(&mut self, defrag: &mut Defrag<'_>, at: &mut usize) -> bool {
        self.0.defrag(defrag, at)
    }

    pub(super) fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.0.destroy_some(budget, proof)
    }

    pub(super) fn destroy(self, proof: &Unshared) {
        self.0.destroy(proof);
    }

    pub(super) fn memory(&self) -> usize {
        self.0.memory()
    }
}

/// The records of a leaf, and others in order: all in order, of two with one key the other one.
fn merge<R: Record>(leaf: &[u8], others: &[R]) -> Vec<u8> {
    let mut merged = Vec::with_capacity(leaf.len() + others.len() * R::BYTES);
    let mut others = others.iter().peekable();
    for bytes in leaf.chunks_exact(R::BYTES) {
        let key = R::read(bytes).key();
        while let Some(other) = others.next_if(|other| other.key() < key) {
            other.write(&mut merged);
        }
        match others.next_if(|other| other.key() == key) {
            Some(other) => other.write(&mut merged),
            None => merged.extend_from_slice(bytes),
        }
    }
    others.for_each(|other| other.write(&mut merged));
    merged
}

fn overwrite<R: Record>(leaf: &mut Vec<u8>, from: usize, record: &R) {
    let len = leaf.len();
    record.write(leaf);
    leaf.copy_within(len.., from);
    leaf.truncate(len);
}

fn insert<R: Record>(leaf: &mut Vec<u8>, from: usize, record: &R) {
    record.write(leaf);
    leaf[from..].rotate_right(R::BYTES);
}

/// Records in order of their keys.
pub struct Iter<'a, R: Record> {
    cursor: Option<Cursor<'a, Leaves<R>>>,
    index: usize,
}

impl<R: Record> Iterator for Iter<'_, R> {
    type Item = R;

    #[inline]
    fn next(&mut self) -> Option<R> {
        let cursor = self.cursor.as_mut()?;
        if self.index == cursor.count() {
            if !cursor.next() {
                self.cursor = None;
                return None;
            }
            self.index = 0;
        }
        self.index += 1;
        Some(at(cursor.leaf(), self.index - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::util::rng::Rng;
    use std::collections::BTreeMap;

    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Pair(u64, u64);

    impl Record for Pair {
        type Key = u64;
        const BYTES: usize = 16;
        fn key(&self) -> u64 {
            self.0
        }
        fn read(bytes: &[u8]) -> Pair {
            let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
            Pair(word(0), word(8))
        }
        fn write(&self, out: &mut Vec<u8>) {
            out.extend_from_slice(&self.0.to_le_bytes());
            out.extend_from_slice(&self.1.to_le_bytes());
        }
    }

    #[test]
    fn they_are_a_map_in_order() {
        let steps = if cfg!(miri) { 500 } else { 20_000 };
        let mut rng = Rng::from_seed(7);
        let mut heap = Heap::new();
        let (mut records, mut model) = (Records::<Pair>::from_leaves(heap.epoch(), vec![]), BTreeMap::new());
        let mut shots = vec![];
        for step in 0..steps {
            let key = rng.below(2000);
            match rng.below(100) {
                0..60 => {
                    let old = records.put(&mut heap, Pair(key, step)).map(|p| p.1);
                    assert_eq!(old, model.insert(key, step));
                }
                60..95 => assert_eq!(records.remove(&mut heap, key).map(|p| p.1), model.remove(&key)),
                97 => {
                    let (mut left, what) = (rng.below(200), rng.below(3));
                    records.revise(&mut heap, key, |pair| {
                        assert_eq!(model.range(pair.0..).next(), Some((&pair.0, &pair.1)));
                        left = match left.checked_sub(1) {
                            None => return Revision::Stop,
                            Some(left) => left,
                        };
                        match (pair.0 + what) % 3 {
                            0 => Revision::Keep,
                            1 => {
                                pair.1 = step;
                                model.insert(pair.0, step);
                                Revision::Change
                            }
                            _ => {
                                model.remove(&pair.0);
                                Revision::Remove
                            }
                        }
                    });
                }
                96 => {
                    let mut keys: Vec<u64> = (0..rng.below(300)).map(|_| key + rng.below(400)).collect();
                    keys.sort_unstable();
                    keys.dedup();
                    let mut seen = vec![];
                    records.remove_sorted(&mut heap, &keys, |pair| seen.push((pair.0, pair.1)));
                    let there = keys.iter().filter_map(|key| Some((*key, *model.get(key)?)));
                    assert!(seen.into_iter().eq(there));
                    model.retain(|key, _| keys.binary_search(key).is_err());
                }
                95 => {
                    let keys: std::collections::BTreeSet<u64> =
                        (0..rng.below(300)).map(|_| key + rng.below(400)).collect();
                    let pairs: Vec<Pair> = keys.iter().map(|key| Pair(*key, step)).collect();
                    records.put_sorted(&mut heap, &pairs);
                    model.extend(keys.iter().map(|key| (*key, step)));
                }
                98 => {
                    let to = key + rng.below(50);
                    records.remove_range(&mut heap, key, to);
                    model.retain(|k, _| !(key..to).contains(k));
                }
                _ => {
                    let here: Vec<_> = records.iter_from(key).map(|p| (p.0, p.1)).collect();
                    let there: Vec<_> = model.range(key..).map(|(k, v)| (*k, *v)).collect();
                    assert_eq!(here, there);
                    assert_eq!(records.count(key, key + 100), model.range(key..key + 100).count());
                    assert_eq!(records.last_before(key).map(|p| p.0), model.range(..key).next_back().map(|p| *p.0));
                }
            }
            assert_eq!(records.get(key).map(|p| p.1), model.get(&key).copied());
            if step % 100 == 0 {
                records.0.check_invariants(&heap);
                assert!(records.0.iter().all(|leaf| leaf.len() <= LEAF_MAX));
            }
            // A snapshot sees what there was, whatever is done to it in bulk.
            if step % 500 == 0 {
                let fork = records.fork();
                shots.push((std::mem::replace(&mut records, fork), model.clone(), heap.open_snapshot().ticket()));
            }
        }
        for (shot, model, ticket) in shots {
            assert!(shot.iter_from(0).map(|p| (p.0, p.1)).eq(model));
            drop(ticket);
            heap.reap();
            while heap.reclaim(100) {}
        }
        assert_eq!(heap.stats().retired_nodes, 0);
        records.remove_range(&mut heap, 0, u64::MAX);
        assert!(records.iter_from(0).next().is_none());
    }
}
