//! A large hash: a packed table of fields and values, and the deadlines of those fields that have one.

use super::Field;
use crate::collections::listpack::Item;
use crate::collections::packed::{Element, KeysWithValues, PackedTable};
use crate::cow::{CowValue, Defrag, Epoch, Heap, Progress, Unshared};
use crate::types::zset::ZsetObject;
use crate::util::hash::HashSeed;
use crate::util::rng::Rng;
use crate::util::text::Text;

/// The large form.
pub struct HashObject {
    birth: Epoch,
    /// Elements whose field has a deadline are marked.
    table: PackedTable<KeysWithValues>,
    /// Fields by deadline. In a box, for few hashes have it and every large value has the size of the largest.
    deadlines: Option<Box<ZsetObject>>,
}

impl HashObject {
    /// Starts fetching what looking for an element with this hash will read.
    #[inline]
    pub fn prefetch(&self, element: u64) {
        self.table.prefetch(element);
    }

    /// A hash without fields.
    pub fn new(seed: HashSeed, now: Epoch) -> HashObject {
        HashObject { birth: now, table: PackedTable::new(seed, now), deadlines: None }
    }

    /// An independent value with the same contents.
    pub fn duplicate(&self, heap: &Heap) -> HashObject {
        let now = heap.epoch();
        let deadlines = self.deadlines.as_ref().map(|deadlines| Box::new(deadlines.duplicate(heap)));
        HashObject { birth: now, table: self.table.duplicate(now), deadlines }
    }

    /// How many fields there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    fn field<'a>(&'a self, element: Element<'a>) -> Field<'a> {
        let deadline = if element.marked { self.deadline(element.key) } else { None };
        Field { name: Item::Bytes(element.key), value: Item::Bytes(element.value), deadline }
    }

    #[cold]
    fn deadline(&self, name: &[u8]) -> Option<i64> {
        let score = self.deadlines.as_ref()?.score(name);
        debug_assert!(score.is_some(), "a marked field has a deadline");
        score.map(|score| score as i64)
    }

    /// A field.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Field<'_>> {
        self.table.get(name).map(|element| self.field(element))
    }

    /// The earliest deadline.
    #[inline]
    pub fn next_deadline(&self) -> Option<i64> {
        self.deadlines.as_ref()?.first().map(|(score, _)| score as i64)
    }

    /// How many deadlines lie before `now_ms`.
    pub fn expired(&self, now_ms: i64) -> usize {
        self.deadlines.as_ref().map_or(0, |deadlines| deadlines.rank_by_score(|score| score < now_ms as f64))
    }

    /// All fields.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.table.iter().map(|element| self.field(element))
    }

    pub(super) fn scan(&self, cursor: u64, count: usize, mut f: impl FnMut(Field<'_>)) -> u64 {
        self.table.scan(cursor, count, |element| f(self.field(element)))
    }

    pub(super) fn random(&self, rng: &mut Rng) -> Option<Field<'_>> {
        self.table.random(rng).map(|element| self.field(element))
    }

    /// Stores a field's value; true if the field is new. A deadline that it had goes, unless it is kept.
    #[inline]
    pub fn set<'n, 'v>(
        &mut self,
        heap: &mut Heap,
        name: impl Text<'n>,
        value: impl Text<'v>,
        keep_deadline: bool,
    ) -> bool {
        let hash = self.table.hash(name.as_ref());
        let mut marked = false;
        if self.deadlines.is_some() {
            marked = self.table.find(hash, name.as_ref()).is_some_and(|element| element.marked);
            if marked && !keep_deadline {
                self.forget_deadline(heap, name.as_ref());
                marked = false;
            }
        }
        self.table.insert_hashed(heap, hash, name, value, marked)
    }

    /// Removes a field; false if it was not there.
    #[inline]
    pub fn remove(&mut self, heap: &mut Heap, name: &[u8]) -> bool {
        match self.table.take(heap, name, |element| element.marked) {
            None => false,
            Some(marked) => {
                if marked {
                    self.forget_deadline(heap, name);
                }
                true
            }
        }
    }

    #[cold]
    fn forget_deadline(&mut self, heap: &mut Heap, name: &[u8]) {
        if let Some(deadlines) = &mut self.deadlines {
            let known = deadlines.remove(heap, name);
            debug_assert!(known.is_some(), "a marked field has a deadline");
        }
    }

    /// Gives a field a deadline, or takes it away; the field is there.
    pub fn set_deadline(&mut self, heap: &mut Heap, name: &[u8], deadline: Option<i64>) {
        let hash = self.table.hash(name);
        let element = self.table.find(hash, name).expect("the caller has seen the field");
        let was_marked = element.marked;
        if was_marked != deadline.is_some() {
            self.table.mark(heap, hash, name, deadline.is_some());
        }
        match deadline {
            None if was_marked => self.forget_deadline(heap, name),
            None => {}
            Some(deadline) => {
                let (seed, now, score) = (self.table.seed(), heap.epoch(), deadline as f64);
                let deadlines = self.deadlines.get_or_insert_with(|| Box::new(ZsetObject::with_seed(seed, now)));
                match deadlines.score(name) {
                    None => deadlines.add(heap, score, name),
                    Some(old) if old != score => deadlines.rescore(heap, name, old, score),
                    Some(_) => {}
                }
            }
        }
    }

    /// Removes the field with the earliest deadline, if that lies before `now_ms`; its name.
    pub fn pop_due(&mut self, heap: &mut Heap, now_ms: i64) -> Option<Vec<u8>> {
        let (score, name) = self.deadlines.as_ref()?.first()?;
        if score >= now_ms as f64 {
            return None;
        }
        let name = name.to_vec();
        self.remove(heap, &name);
        Some(name)
    }

    /// Panics where table and deadlines differ, or one of them is not as it should be.
    #[cfg(test)]
    pub fn check_invariants(&self, heap: &Heap) {
        self.table.check_invariants();
        let marked = self.table.iter().filter(|element| element.marked).count();
        assert_eq!(marked, self.deadlines.as_ref().map_or(0, |deadlines| deadlines.len()));
        if let Some(deadlines) = &self.deadlines {
            deadlines.check_invariants(heap);
        }
        for element in self.table.iter().filter(|element| element.marked) {
            assert!(self.deadline(element.key).is_some());
        }
    }
}

impl CowValue for HashObject {
    fn birth(&self) -> Epoch {
        self.birth
    }

    fn origin(&self) -> Epoch {
        let origin = self.birth.min(self.table.origin());
        self.deadlines.as_ref().map_or(origin, |deadlines| origin.min(deadlines.origin()))
    }

    fn fork(&self, heap: &mut Heap) -> Self {
        let deadlines = self.deadlines.as_ref().map(|deadlines| Box::new(deadlines.fork(heap)));
        HashObject { birth: heap.epoch(), table: self.table.fork(), deadlines }
    }

    fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.table.destroy_some(budget, proof)
            && self.deadlines.as_mut().is_none_or(|deadlines| deadlines.destroy_some(budget, proof))
    }

    fn destroy(self, proof: &Unshared) {
        self.table.destroy(proof);
        if let Some(deadlines) = self.deadlines {
            deadlines.destroy(proof);
        }
    }

    fn free_effort(&self) -> usize {
        self.table.free_effort() + self.deadlines.as_ref().map_or(0, |deadlines| deadlines.free_effort())
    }

    fn memory(&self) -> usize {
        let deadlines = self.deadlines.as_ref();
        self.table.memory() + deadlines.map_or(0, |deadlines| size_of::<ZsetObject>() + deadlines.memory())
    }

    fn elements(&self) -> usize {
        self.table.len()
    }

    /// The table is the part after those of the deadlines.
    fn defrag(&mut self, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        if let Some(deadlines) = &mut self.deadlines {
            if *progress == Progress::default() {
                defrag.settle_box(deadlines);
            }
            if !deadlines.defrag(defrag, progress) {
                return false;
            }
        }
        progress.part = progress.part.max(ZsetObject::PARTS);
        self.table.defrag(defrag, &mut progress.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

    fn check(hash: &HashObject, model: &Model) {
        assert_eq!(hash.len(), model.len());
        let mut seen = Model::new();
        hash.iter().for_each(|field| {
            seen.insert(field.name.to_vec(), (field.value.to_vec(), field.deadline));
        });
        assert_eq!(&seen, model);
        assert_eq!(hash.next_deadline(), model.values().filter_map(|(_, deadline)| *deadline).min());
        let expired = model.values().filter(|(_, deadline)| deadline.is_some_and(|deadline| deadline < 500)).count();
        assert_eq!(hash.expired(500), expired);
    }

    #[test]
    fn fields_and_deadlines_agree_under_snapshots() {
        let mut rng = Rng::from_seed(7);
        for _ in 0..if cfg!(miri) { 1 } else { 8 } {
            let mut heap = Heap::new();
            let mut hash = HashObject::new(HashSeed::fixed(5), heap.epoch());
            let (mut model, mut shots) = (Model::new(), vec![]);
            for step in 0..if cfg!(miri) { 200 } else { 4000 } {
                let name = format!("field:{}", rng.below(400)).into_bytes();
                let value = vec![b'v'; if rng.index(50) == 0 { 300 } else { rng.index(30) }];
                match rng.index(12) {
                    0..5 => {
                        let keep = rng.index(2) == 0;
                        let old = model.get(&name).and_then(|(_, deadline)| *deadline).filter(|_| keep);
                        let new = model.insert(name.clone(), (value.clone(), old)).is_none();
                        assert_eq!(hash.set(&mut heap, &name, &value, keep), new);
                    }
                    5..8 => assert_eq!(hash.remove(&mut heap, &name), model.remove(&name).is_some()),
                    8..10 => {
                        if let Some((_, deadline)) = model.get_mut(&name) {
                            *deadline = (rng.index(3) > 0).then(|| 1 + rng.below(1000) as i64);
                            hash.set_deadline(&mut heap, &name, *deadline);
                        }
                    }
                    10 => {
                        let now = rng.below(300) as i64;
                        let due =
                            model.iter().filter_map(|(name, (_, deadline))| Some(((*deadline)?, name.clone()))).min();
                        let due = due.filter(|(deadline, _)| *deadline < now);
                        match hash.pop_due(&mut heap, now) {
                            None => assert_eq!(due, None),
                            Some(name) => {
                                let (_, deadline) = model.remove(&name).expect("it was there");
                                assert_eq!(deadline, due.map(|(deadline, _)| deadline));
                            }
                        }
                    }
                    _ if step % 83 == 0 => {
                        // What an entry does when its value is shared.
                        let ticket = heap.open_snapshot().ticket();
                        let fork = hash.fork(&mut heap);
                        shots.push((std::mem::replace(&mut hash, fork), model.clone(), ticket));
                    }
                    _ => {}
                }
                if step % 500 == 0 {
                    hash.check_invariants(&heap);
                    check(&hash, &model);
                }
            }
            hash.check_invariants(&heap);
            for (shot, model, ticket) in shots {
                check(&shot, &model);
                shot.drop_shell();
                drop(ticket);
                heap.reap();
                while heap.reclaim(100) {}
            }
            assert_eq!(heap.stats().retired_nodes, 0);
            check(&hash, &model);
            for hash in [hash.duplicate(&heap), hash] {
                check(&hash, &model);
                drop(crate::cow::Fresh::new(hash, &heap));
            }
        }
    }
}
