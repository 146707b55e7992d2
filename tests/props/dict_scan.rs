//! SCAN's promise, and the fairness of random elements.

use std::collections::{HashMap, HashSet};

use kvstash::cow::{CowValue, Epoch, Heap};
use kvstash::dict::{Entry, EntryHead, Fragment, Payload, Slot, Table};
use kvstash::util::hash::HashSeed;
use kvstash::util::rng::Rng;

/// Tables here hold integers only.
struct Never(std::convert::Infallible);

impl CowValue for Never {
    fn birth(&self) -> Epoch {
        match self.0 {}
    }
    fn fork(&self, _: &mut Heap) -> Never {
        match self.0 {}
    }
    fn memory(&self) -> usize {
        match self.0 {}
    }
}

struct Ints {
    heap: Heap,
    table: Table<Entry<Never>>,
}

impl Ints {
    fn new(seed: u64) -> Ints {
        Ints { heap: Heap::new(), table: Table::new(HashSeed::fixed(seed)) }
    }

    fn add(&mut self, n: u64) {
        let key = n.to_string();
        let hash = self.table.hash(key.as_bytes());
        let birth = self.heap.epoch();
        if let Slot::Vacant(slot) = self.table.entry_mut(&mut self.heap, hash, key.as_bytes()) {
            let head = EntryHead { key: key.as_bytes(), hash, expiry_ms: None, type_id: 0, encoding: 0, clock: 0 };
            slot.insert(Entry::build(birth, &head, Payload::Int(n as i64)));
        }
    }

    fn remove(&mut self, n: u64) {
        let key = n.to_string();
        let hash = self.table.hash(key.as_bytes());
        if let Slot::Occupied(slot) = self.table.entry_mut(&mut self.heap, hash, key.as_bytes()) {
            drop(slot.remove());
        }
    }
}

impl Drop for Ints {
    fn drop(&mut self) {
        drop(self.table.take_all(&mut self.heap));
    }
}

fn number(key: &[u8]) -> u64 {
    std::str::from_utf8(key).expect("digits").parse().expect("digits")
}

/// Scans while `change` changes the table between calls; gives how often each key was seen.
fn scan_all(ints: &mut Ints, count: usize, mut change: impl FnMut(&mut Ints, usize)) -> HashMap<u64, u32> {
    let mut seen = HashMap::new();
    let (mut cursor, mut calls) = (0, 0);
    loop {
        cursor = ints.table.scan(cursor, count, |entry| *seen.entry(number(entry.key())).or_default() += 1);
        assert!(cursor < 1 << 48);
        if cursor == 0 {
            return seen;
        }
        calls += 1;
        assert!(calls < 1_000_000, "a scan ends");
        change(ints, calls);
    }
}

#[test]
fn an_idle_scan_shows_everything_once() {
    for n in [0, 1, 2, 6, 7, 13, 50, 188, 189, 190, 1000, 30_000] {
        let mut ints = Ints::new(n);
        (0..n).for_each(|i| ints.add(i));
        for count in [1, 10, 1000] {
            let seen = scan_all(&mut ints, count, |_, _| {});
            assert_eq!(seen.len() as u64, n);
            assert!(seen.values().all(|&times| times == 1));
        }
    }
}

#[test]
fn what_stays_is_shown_while_the_table_grows_and_shrinks() {
    for round in 0..12u64 {
        let mut ints = Ints::new(round);
        let mut rng = Rng::from_seed(round);
        let (stay, start, end) = (500, [1_000, 40_000][round as usize % 2], [40_000, 1_000][round as usize % 2]);
        (0..stay + start).for_each(|i| ints.add(i));
        let mut edge = stay + start;
        let seen = scan_all(&mut ints, 1 + round as usize * 7, |ints, _| {
            for _ in 0..200 {
                if end > start && edge < stay + end {
                    ints.add(edge);
                    edge += 1;
                } else if end < start && edge > stay + end {
                    edge -= 1;
                    ints.remove(edge);
                }
            }
            ints.add(1_000_000 + rng.below(1000));
            ints.remove(1_000_000 + rng.below(1000));
        });
        ints.table.check_invariants();
        for i in 0..stay {
            assert!(seen.contains_key(&i), "round {round}: {i} was there all the time");
        }
    }
}

#[test]
fn a_scan_shows_hardly_anything_twice() {
    let mut ints = Ints::new(3);
    (0..20_000).for_each(|i| ints.add(i));
    let mut edge = 20_000;
    let seen = scan_all(&mut ints, 10, |ints, _| {
        (edge..edge + 20).for_each(|i| ints.add(i));
        edge += 20;
    });
    let repeated = seen.values().filter(|&&times| times > 1).count();
    assert!(repeated < 200, "{repeated} of {}", seen.len());
}

#[test]
fn shrinking_gives_the_memory_back() {
    let mut ints = Ints::new(5);
    (0..50_000).for_each(|i| ints.add(i));
    let full = ints.table.stats();
    assert!(full.slots < 50_000 * 5 / 2, "{full:?}");
    for left in [20_000, 5_000, 500, 100, 10, 1] {
        (left..50_000).for_each(|i| ints.remove(i));
        ints.table.check_invariants();
        let stats = ints.table.stats();
        assert!(stats.slots <= left as usize * 6 + 7, "{left}: {stats:?}");
    }
    ints.remove(0);
    assert_eq!((ints.table.stats().segments, ints.table.memory()), (0, 0));
}

#[test]
fn fragments_of_hashes_find_their_elements() {
    let mut ints = Ints::new(11);
    (0..20_000).for_each(|i| ints.add(i));
    for i in (0..20_000u64).step_by(7) {
        let key = i.to_string();
        let hash = ints.table.hash(key.as_bytes());
        let mut found = 0;
        ints.table.with_fragment(Fragment::of(hash), |entry| found += u32::from(number(entry.key()) == i));
        assert_eq!(found, 1);
        if i % 2 == 0 {
            let Ints { heap, table } = &mut ints;
            let slot = table.occupied_by_fragment(heap, Fragment::of(hash), |entry| number(entry.key()) == i);
            drop(slot.expect("it is there").remove());
            let mut keys = HashSet::new();
            ints.table.with_fragment(Fragment::of(hash), |entry| keys.extend([number(entry.key())]));
            assert!(!keys.contains(&i));
        }
    }
    ints.table.check_invariants();
}

#[test]
fn random_is_uniform() {
    // Splits leave segments of unequal depth and load; chi-squared over all keys must not notice.
    for n in [5u64, 150, 3000] {
        let mut ints = Ints::new(n);
        (0..2 * n).for_each(|i| ints.add(i));
        (n..2 * n).for_each(|i| ints.remove(i));
        let mut rng = Rng::from_seed(n);
        let mut hits = vec![0f64; n as usize];
        let draws = 200 * n;
        for _ in 0..draws {
            let entry = ints.table.random(&mut rng).expect("not empty");
            hits[number(entry.key()) as usize] += 1.0;
        }
        let chi2: f64 = hits.iter().map(|h| (h - 200.0).powi(2) / 200.0).sum();
        let freedom = n as f64 - 1.0;
        assert!(chi2 < freedom + 5.0 * (2.0 * freedom).sqrt(), "{n}: chi2 {chi2}");
    }
}

#[test]
fn samples_reach_everything() {
    let mut ints = Ints::new(1);
    (0..3000).for_each(|i| ints.add(i));
    let mut rng = Rng::from_seed(1);
    let mut seen = HashSet::new();
    for _ in 0..20_000 {
        let shown = ints.table.sample(&mut rng, 5, |entry| seen.extend([number(entry.key())]));
        assert_eq!(shown, 5);
    }
    assert!(seen.len() > 2990, "{}", seen.len());
}
