//! Prefixes that clients have named (BCAST), and the changed keys that begin with them.
//!
//! Changed keys are collected for each prefix until the end of the turn, one behind the other; sorted, and each key once,
//! they are only then. A key that changes over and over does not make the list grow without end: it is sorted out whenever
//! it has doubled.
//!
//! The prefixes of a key are found in a sorted map from the longest to the shortest, as patterns are in `pubsub/`.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::rc::Rc;

use super::tracker::Tracker;
use crate::reactor::ConnId;

/// A list of changed keys is not sorted out before it has so many.
const SORT_OUT_KEYS_MIN: usize = 4096;

/// Room that a list keeps from one turn to the next, bytes of keys.
const KEPT_BYTES: usize = 64 * 1024;

/// Keys that have changed, and who changed each of them last.
#[derive(Default, Debug)]
pub struct Collected {
    bytes: Vec<u8>,
    /// Of each key, where it ends, and who changed it if a client did.
    keys: Vec<(usize, Option<ConnId>)>,
    /// How many there were when the list was last sorted out.
    sorted_out: usize,
}

impl Collected {
    fn add(&mut self, key: &[u8], writer: Option<ConnId>) {
        self.bytes.extend_from_slice(key);
        self.keys.push((self.bytes.len(), writer));
        if self.keys.len() >= SORT_OUT_KEYS_MIN.max(2 * self.sorted_out) {
            self.sort_out();
        }
    }

    fn at(&self, i: usize) -> (&[u8], Option<ConnId>) {
        let begin = i.checked_sub(1).map_or(0, |before| self.keys[before].0);
        let (end, writer) = self.keys[i];
        (&self.bytes[begin..end], writer)
    }

    /// Each key once, in order, with who changed it last.
    pub fn sorted(&self) -> Vec<(&[u8], Option<ConnId>)> {
        let mut order: Vec<(&[u8], usize)> = (0..self.keys.len()).map(|i| (self.at(i).0, i)).collect();
        order.sort_unstable();
        let mut keys: Vec<(&[u8], Option<ConnId>)> = Vec::with_capacity(order.len());
        for (key, i) in order {
            match keys.last_mut() {
                Some(last) if last.0 == key => last.1 = self.keys[i].1,
                _ => keys.push((key, self.keys[i].1)),
            }
        }
        keys
    }

    #[cold]
    fn sort_out(&mut self) {
        let mut sorted = Collected::default();
        for (key, writer) in self.sorted() {
            sorted.bytes.extend_from_slice(key);
            sorted.keys.push((sorted.bytes.len(), writer));
        }
        sorted.sorted_out = sorted.keys.len();
        *self = sorted;
    }

    fn memory(&self) -> usize {
        self.bytes.capacity() + self.keys.capacity() * size_of::<(usize, Option<ConnId>)>()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.keys.clear();
        self.keys.shrink_to(KEPT_BYTES / 16);
        self.sorted_out = 0;
    }
}

#[derive(Debug)]
struct Prefix {
    name: Box<[u8]>,
    receivers: BTreeMap<ConnId, Rc<Tracker>>,
    changed: Collected,
}

/// See the file's header.
#[derive(Default, Debug)]
pub struct Prefixes {
    by_name: BTreeMap<Box<[u8]>, usize>,
    prefixes: Vec<Option<Prefix>>,
    free: Vec<usize>,
    /// Those with changed keys.
    pending: Vec<usize>,
    /// What all lists of changed keys take.
    collected_bytes: usize,
}

impl Prefixes {
    /// How many prefixes.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether there is something to be told.
    #[inline]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Memory of what is to be told.
    #[inline]
    pub fn collected_bytes(&self) -> usize {
        self.collected_bytes
    }

    pub(super) fn add(&mut self, name: &[u8], who: &Rc<Tracker>) {
        let at = self.by_name.get(name).copied().unwrap_or_else(|| {
            let prefix = Prefix { name: name.into(), receivers: BTreeMap::new(), changed: Collected::default() };
            let at = self.free.pop().unwrap_or(self.prefixes.len());
            if at == self.prefixes.len() {
                self.prefixes.push(None);
            }
            self.prefixes[at] = Some(prefix);
            self.by_name.insert(name.into(), at);
            at
        });
        let prefix = self.prefixes[at].as_mut().expect("what has a name is there");
        prefix.receivers.insert(who.conn, Rc::clone(who));
    }

    pub(super) fn remove(&mut self, name: &[u8], who: ConnId) {
        let Some(&at) = self.by_name.get(name) else { return };
        let prefix = self.prefixes[at].as_mut().expect("what has a name is there");
        prefix.receivers.remove(&who);
        if prefix.receivers.is_empty() {
            self.collected_bytes -= prefix.changed.memory();
            self.by_name.remove(name);
            self.prefixes[at] = None;
            self.free.push(at);
            self.pending.retain(|pending| *pending != at);
        }
    }

    /// A key has changed.
    pub(super) fn collect(&mut self, key: &[u8], writer: Option<ConnId>) {
        let mut begin = key;
        while let Some((name, &at)) =
            self.by_name.range::<[u8], _>((Bound::Unbounded, Bound::Included(begin))).next_back()
        {
            let common = name.iter().zip(begin).take_while(|(a, b)| a == b).count();
            if common < name.len() {
                begin = &begin[..common];
                continue;
            }
            let prefix = self.prefixes[at].as_mut().expect("what has a name is there");
            if prefix.changed.keys.is_empty() {
                self.pending.push(at);
            }
            let before = prefix.changed.memory();
            prefix.changed.add(key, writer);
            self.collected_bytes = self.collected_bytes - before + prefix.changed.memory();
            if common == 0 {
                return;
            }
            begin = &begin[..common - 1];
        }
    }

    /// Calls `f` for every prefix with changed keys, in order of their names, with those who are to be told. They are
    /// forgotten then.
    pub fn tell<F>(&mut self, mut f: F)
    where
        F: FnMut(&Collected, &mut dyn Iterator<Item = &Rc<Tracker>>),
    {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_unstable_by(|a, b| self.name(*a).cmp(&self.name(*b)));
        for at in pending.drain(..) {
            let Some(prefix) = &mut self.prefixes[at] else { continue };
            f(&prefix.changed, &mut prefix.receivers.values());
            let before = prefix.changed.memory();
            prefix.changed.clear();
            self.collected_bytes = self.collected_bytes - before + prefix.changed.memory();
        }
        self.pending = pending;
    }

    fn name(&self, at: usize) -> Option<&[u8]> {
        self.prefixes[at].as_ref().map(|prefix| &*prefix.name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tracker::Trackers;
    use super::*;
    use crate::util::rng::Rng;
    use std::collections::BTreeSet;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    /// Each prefix is told just the keys that begin with it, each once and with who changed it last.
    #[test]
    fn as_if_all_were_tried() {
        let mut rng = Rng::from_seed(9);
        let text = |rng: &mut Rng, most: u64| -> Vec<u8> {
            (0..rng.below(most + 1)).map(|_| b"ab"[rng.below(2) as usize]).collect()
        };
        let (mut prefixes, mut trackers) = (Prefixes::default(), Trackers::default());
        let who: Vec<_> = (0..3).map(|index| trackers.add(conn(index))).collect();
        let mut named: BTreeSet<(Vec<u8>, u32)> = BTreeSet::new();
        let mut changed: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Option<ConnId>>> = BTreeMap::new();
        for _ in 0..5000 {
            let (prefix, index) = (text(&mut rng, 4), rng.below(3) as u32);
            match rng.below(6) {
                0 => {
                    prefixes.add(&prefix, &who[index as usize]);
                    named.insert((prefix, index));
                }
                1 => {
                    prefixes.remove(&prefix, conn(index));
                    named.remove(&(prefix.clone(), index));
                    if !named.iter().any(|(name, _)| *name == prefix) {
                        changed.remove(&prefix);
                    }
                }
                2..=4 => {
                    let (key, writer) = (text(&mut rng, 6), (index < 2).then(|| conn(index)));
                    prefixes.collect(&key, writer);
                    for (name, _) in named.iter().filter(|(name, _)| key.starts_with(name)) {
                        changed.entry(name.clone()).or_default().insert(key.clone(), writer);
                    }
                }
                _ => {
                    let mut told = Vec::new();
                    prefixes.tell(|keys, receivers| {
                        let keys: Vec<_> = keys.sorted().into_iter().map(|(key, w)| (key.to_vec(), w)).collect();
                        told.push((keys, receivers.map(|who| who.conn.index).collect::<Vec<_>>()));
                    });
                    let expected: Vec<_> = std::mem::take(&mut changed)
                        .into_iter()
                        .map(|(prefix, keys)| {
                            let receivers = named.iter().filter(|(name, _)| *name == prefix).map(|(_, index)| *index);
                            (keys.into_iter().collect::<Vec<_>>(), receivers.collect::<Vec<_>>())
                        })
                        .collect();
                    assert_eq!(told, expected);
                    assert!(!prefixes.has_pending());
                }
            }
            let names: BTreeSet<_> = named.iter().map(|(name, _)| name).collect();
            assert_eq!(prefixes.len(), names.len());
            assert_eq!(prefixes.has_pending(), !changed.is_empty());
            let memory: usize = prefixes.prefixes.iter().flatten().map(|prefix| prefix.changed.memory()).sum();
            assert_eq!(prefixes.collected_bytes(), memory);
        }
    }

    #[test]
    fn one_key_that_changes_for_ever_takes_no_more_room() {
        let mut changed = Collected::default();
        for i in 0..1_000_000u32 {
            changed.add(b"key:12345", Some(conn(i % 7)));
        }
        assert!(changed.keys.capacity() <= 2 * SORT_OUT_KEYS_MIN, "{}", changed.keys.capacity());
        assert_eq!(changed.sorted(), [(&b"key:12345"[..], Some(conn(999_999 % 7)))]);
    }
}
