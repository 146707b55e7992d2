//! Keys, and who has read them.
//!
//! One client may read ten million keys, and thousands may read the same one. So an entry is one allocation: the key,
//! and behind it either the number of its only reader, or the numbers of all, in order, and how many they are. A set of
//! entries is sixteen bytes for each beside that.
//!
//! Such a set must be rebuilt when it grows, and there must be no long pause: so there are many sets, and the hash of a
//! key says which one it is in. They are freed one after another, too.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hash, Hasher};

use crate::util::hash::HashSeed;
use crate::util::rng::Rng;

/// How many sets there are, a power of two. Ten million keys are two thousand in each.
const PARTS: usize = 4096;

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
    len: usize,
    items: u64,
}

impl Keys {
    pub(super) fn new(seed: HashSeed) -> Keys {
        Keys { seed, parts: Vec::new(), garbage: Vec::new(), len: 0, items: 0 }
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
        (self.seed.hash_one(key) >> 24) as usize % PARTS
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
        !self.garbage.is_empty()
    }

    /// Frees a little of what was forgotten at once.
    pub fn free_some(&mut self) {
        let mut keys = 0;
        while keys < FREE_KEYS
            && let Some(part) = self.garbage.pop()
        {
            keys += part.len().max(1);
        }
        if self.garbage.is_empty() {
            self.garbage = Vec::new();
        }
    }
}

/// So many keys are freed at once, or a part if that has more.
const FREE_KEYS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

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
        assert!((90..=110).contains(&steps), "{steps}");
    }
}
