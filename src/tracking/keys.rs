//! Keys, and who has read them.
//!
//! One client may read ten million keys, and thousands may read the same one. So an entry is one allocation: the key,
//! and behind it either the number of its only reader, or the numbers of all, in order, and how many they are. A set of
//! entries is sixteen bytes for each beside that.
//!
//! Such a set must be rebuilt when it grows, and there must be no long pause: so there are many sets, and the hash of a
//! key says which one it is in. If they were all of the same size they would all grow at about the same time, and a client
//! that reads keys by the thousand would keep everybody waiting just then. So from the first to the last they are given more
//! and more keys, twice as many in the end, and grow one after another ([`part_at`]). What is forgotten as a whole is freed a
//! few keys at a time.

use std::borrow::Borrow;
use std::collections::{HashSet, hash_set};
use std::hash::{BuildHasher, Hash, Hasher};

use crate::util::hash::HashSeed;
use crate::util::rng::Rng;

/// How many sets there are. Ten million keys are two thousand in each.
const PARTS: usize = 4096;

/// The part that a point between 0 and 2^32 is in: with as many points for each part as there would be if the sizes of
/// parts were spread evenly between two powers of two on a logarithmic scale, so that there are always as many parts at one
/// stage of their growth as at any other.
fn part_at(point: u32) -> usize {
    let x = f64::from(point) / (f64::from(u32::MAX) + 1.0);
    ((x.exp2() - 1.0) * PARTS as f64) as usize
}

/// Says of the last four bytes of an entry that they are a count of readers. No reader has such a number.
const MANY: u32 = 1 << 31;

type Part = HashSet<Entry, HashSeed>;

/// A key and its readers.
struct Entry(Box<[u8]>);

impl Entry {
    fn new(key: &[u8], readers: &[u32]) -> Entry {
        let counted = usize::from(readers.len() > 1);
        let mut bytes = Vec::with_capacity(key.len() + 4 * (readers.len() + counted));
        bytes.extend_from_slice(key);
        readers.iter().for_each(|reader| bytes.extend_from_slice(&reader.to_le_bytes()));
        if counted == 1 {
            bytes.extend_from_slice(&(readers.len() as u32 | MANY).to_le_bytes());
        }
        Entry(bytes.into_boxed_slice())
    }

    /// Where the key ends, and how many readers follow.
    fn shape(&self) -> (usize, usize) {
        let (rest, last) = self.0.split_last_chunk::<4>().expect("every entry ends with a number");
        let last = u32::from_le_bytes(*last);
        if last & MANY == 0 {
            return (rest.len(), 1);
        }
        let readers = (last & !MANY) as usize;
        (rest.len() - 4 * readers, readers)
    }

    fn key(&self) -> &[u8] {
        &self.0[..self.shape().0]
    }

    fn readers(&self) -> impl ExactSizeIterator<Item = u32> {
        let (at, count) = self.shape();
        (0..count).map(move |i| {
            let bytes = self.0[at + 4 * i..].first_chunk().expect("as many follow the key as the count says");
            u32::from_le_bytes(*bytes)
        })
    }

    /// Whether `reader` is among the readers, or where it would be.
    fn find(&self, reader: u32) -> Result<usize, usize> {
        let (at, count) = self.shape();
        let number = |i: usize| {
            let bytes = self.0[at + 4 * i..].first_chunk().expect("as many follow the key as the count says");
            u32::from_le_bytes(*bytes)
        };
        let (mut low, mut high) = (0, count);
        while low < high {
            let middle = low + (high - low) / 2;
            match number(middle).cmp(&reader) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }
}

impl Borrow<[u8]> for Entry {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// See the file's header.
pub struct Keys {
    seed: HashSeed,
    /// None, or all [`PARTS`].
    parts: Vec<Part>,
    /// Parts that are to be freed.
    garbage: Vec<Part>,
    /// The one that is being freed.
    freeing: Option<hash_set::IntoIter<Entry>>,
    len: usize,
    items: u64,
}

impl Keys {
    pub(super) fn new(seed: HashSeed) -> Keys {
        Keys { seed, parts: Vec::new(), garbage: Vec::new(), freeing: None, len: 0, items: 0 }
    }

    /// How many keys.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many readers, each as often as it has read keys.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Which part a key is in. Not by the ends of its hash: those are what the part itself uses.
    fn part_of(&self, key: &[u8]) -> usize {
        part_at((self.seed.hash_one(key) >> 20) as u32)
    }

    /// Remembers that `reader` has read a key; false if that is known.
    pub(super) fn add(&mut self, key: &[u8], reader: u32) -> bool {
        debug_assert!(reader < MANY, "there are not that many connections");
        if self.parts.is_empty() {
            self.parts.resize_with(PARTS, || HashSet::with_hasher(self.seed));
        }
        let at = self.part_of(key);
        let part = &mut self.parts[at];
        match part.get(key).map(|entry| entry.find(reader)) {
            Some(Ok(_)) => return false,
            Some(Err(at)) => {
                let entry = part.take(key).expect("it was there just now");
                let mut readers: Vec<u32> = entry.readers().collect();
                readers.insert(at, reader);
                part.insert(Entry::new(key, &readers));
            }
            None => {
                part.insert(Entry::new(key, &[reader]));
                self.len += 1;
            }
        }
        self.items += 1;
        true
    }

    /// Forgets a key; its readers.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<impl Iterator<Item = u32> + use<>> {
        if self.len == 0 {
            return None;
        }
        let at = self.part_of(key);
        let entry = self.parts[at].take(key)?;
        self.len -= 1;
        self.items -= entry.readers().len() as u64;
        let (count, mut i) = (entry.readers().len(), 0);
        Some(std::iter::from_fn(move || {
            i += 1;
            (i <= count).then(|| entry.readers().nth(i - 1).expect("there are so many"))
        }))
    }

    /// Any key: the first one of a random part that has some, in the order of their hashes.
    pub(super) fn random(&self, rng: &mut Rng) -> Option<Box<[u8]>> {
        if self.len == 0 {
            return None;
        }
        let from = rng.below(PARTS as u64) as usize;
        let mut parts = self.parts[from..].iter().chain(&self.parts[..from]);
        parts.find_map(|part| part.iter().next()).map(|entry| entry.key().into())
    }

    /// Forgets all keys. What they took is freed by [`Keys::free_some`].
    pub(super) fn clear(&mut self) {
        let parts = std::mem::take(&mut self.parts);
        self.garbage.extend(parts.into_iter().filter(|part| part.capacity() > 0));
        (self.len, self.items) = (0, 0);
    }

    /// There is something to be freed.
    #[inline]
    pub fn has_garbage(&self) -> bool {
        !self.garbage.is_empty() || self.freeing.is_some()
    }

    /// Frees a little of what was forgotten at once.
    pub fn free_some(&mut self) {
        for _ in 0..FREE_KEYS {
            if self.freeing.as_mut().is_none_or(|part| part.next().is_none()) {
                self.freeing = self.garbage.pop().map(Part::into_iter);
            }
        }
        if self.garbage.is_empty() {
            self.garbage = Vec::new();
        }
    }
}

/// So many keys are freed at once: a tenth of a millisecond, if all of them have to be fetched from memory.
const FREE_KEYS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Parts get what they are meant to, and grow one after another.
    #[test]
    fn parts_are_of_all_sizes() {
        let mut rng = Rng::from_seed(3);
        let mut counts = vec![0u32; PARTS];
        (0..PARTS * 1000).for_each(|_| counts[part_at(rng.next_u64() as u32)] += 1);
        let [first, middle, last] = [0, PARTS / 2, PARTS - 1].map(|at| f64::from(counts[at]));
        assert!((1.8..2.2).contains(&(first / last)) && first > middle && middle > last, "{first} {middle} {last}");
        assert_eq!((part_at(0), part_at(u32::MAX)), (0, PARTS - 1));
        let mut keys = Keys::new(HashSeed::fixed(5));
        let mut worst = 0;
        let mut capacities = vec![0; PARTS];
        for step in 0..2_000_000 / 1000 {
            (step * 1000..(step + 1) * 1000).for_each(|i: u32| _ = keys.add(&i.to_le_bytes(), 1));
            let grown = keys.parts.iter().zip(&capacities).filter(|(part, before)| part.capacity() != **before);
            let rehashed: usize = grown.map(|(part, _)| part.len()).sum();
            if step > 1000 {
                worst = worst.max(rehashed);
            }
            capacities = keys.parts.iter().map(Part::capacity).collect();
        }
        assert!(worst < 10_000, "{worst} keys were moved while a thousand were added");
        keys.clear();
        let mut steps = 0;
        while keys.has_garbage() {
            keys.free_some();
            steps += 1;
        }
        assert!((3_900..4_100).contains(&steps), "{steps}");
    }

    /// Whatever is read, changed and forgotten, the table knows what a map of sets knows.
    #[test]
    fn as_a_map_of_sets() {
        let mut rng = Rng::from_seed(3);
        let mut keys = Keys::new(HashSeed::fixed(5));
        let mut model: BTreeMap<Vec<u8>, BTreeSet<u32>> = BTreeMap::new();
        for step in 0..60_000 {
            // Keys that end like numbers, empty ones, and one with many readers.
            let key = match rng.below(8) {
                0 => vec![],
                1 => vec![0xff; rng.below(9) as usize],
                _ => format!("key:{}", rng.below(300)).into_bytes(),
            };
            match rng.below(20) {
                0..=13 => {
                    let reader = rng.below(if key.is_empty() { 5000 } else { 3 }) as u32;
                    assert_eq!(keys.add(&key, reader), model.entry(key).or_default().insert(reader), "step {step}");
                }
                14..=18 => {
                    let removed: Option<Vec<u32>> = keys.remove(&key).map(Iterator::collect);
                    assert_eq!(removed, model.remove(&key).map(|set| set.into_iter().collect()), "step {step}");
                }
                _ if rng.below(400) == 0 => {
                    keys.clear();
                    model.clear();
                }
                _ => {
                    let any = keys.random(&mut rng);
                    assert_eq!(any.is_none(), model.is_empty());
                    assert!(any.is_none_or(|key| model.contains_key(&*key)));
                }
            }
            assert_eq!((keys.len(), keys.is_empty()), (model.len(), model.is_empty()));
            assert_eq!(keys.items(), model.values().map(|set| set.len() as u64).sum::<u64>());
        }
        while keys.has_garbage() {
            keys.free_some();
        }
    }

    #[test]
    fn every_key_may_be_the_random_one() {
        let mut rng = Rng::from_seed(1);
        let mut keys = Keys::new(HashSeed::fixed(1));
        (0..20).for_each(|i| _ = keys.add(format!("{i}").as_bytes(), 0));
        let found: BTreeSet<_> = (0..2000).filter_map(|_| keys.random(&mut rng)).collect();
        assert!(found.len() >= 19, "only {}", found.len());
    }

    #[test]
    fn what_was_forgotten_is_freed_in_parts() {
        let mut keys = Keys::new(HashSeed::fixed(2));
        (0..100_000).for_each(|i| _ = keys.add(format!("key:{i}").as_bytes(), 7));
        keys.clear();
        assert!(keys.is_empty() && keys.add(b"key:1", 7), "it is used on at once");
        let mut steps = 0;
        while keys.has_garbage() {
            keys.free_some();
            steps += 1;
        }
        assert!((195..=215).contains(&steps), "{steps}");
    }
}
