//! Keys chosen to collide: slow is allowed, wrong, endless or huge is not.
//!
//! The element here says its own hash, so that a test can do what an attacker with the seed could.

use std::collections::HashMap;
use std::ptr::NonNull;

use kvstash::cow::{Epoch, Heap};
use kvstash::dict::{Element, Fragment, Slot, Table};
use kvstash::util::hash::HashSeed;
use kvstash::util::rng::Rng;

struct Chosen(Box<Inner>);

struct Inner {
    hash: u64,
    key: [u8; 8],
    birth: Epoch,
}

// SAFETY: a box's pointer is valid until from_raw; nothing is ever changed; release asks the heap about the only node.
unsafe impl Element for Chosen {
    type Ref<'a> = &'a [u8; 8];
    fn into_raw(self) -> NonNull<u8> {
        NonNull::from(Box::leak(self.0)).cast()
    }
    unsafe fn from_raw(raw: NonNull<u8>) -> Self {
        Chosen(unsafe { Box::from_raw(raw.cast().as_ptr()) })
    }
    unsafe fn view<'a>(raw: NonNull<u8>) -> &'a [u8; 8] {
        unsafe { &raw.cast::<Inner>().as_ref().key }
    }
    unsafe fn key<'a>(raw: NonNull<u8>) -> &'a [u8] {
        unsafe { &raw.cast::<Inner>().as_ref().key }
    }
    unsafe fn hash(raw: NonNull<u8>, _: HashSeed) -> u64 {
        unsafe { raw.cast::<Inner>().as_ref().hash }
    }
    unsafe fn oldest(raw: NonNull<u8>) -> Epoch {
        unsafe { raw.cast::<Inner>().as_ref().birth }
    }
    unsafe fn release(raw: NonNull<u8>, _: &mut Heap) -> Option<Self> {
        Some(unsafe { Chosen::from_raw(raw) }) // these tests open no snapshot while they remove
    }
}

struct Flood {
    heap: Heap,
    table: Table<Chosen>,
    model: HashMap<u64, u64>,
}

impl Flood {
    fn new() -> Flood {
        Flood { heap: Heap::new(), table: Table::new(HashSeed::fixed(0)), model: HashMap::new() }
    }

    fn add(&mut self, n: u64, hash: u64) {
        let key = n.to_le_bytes();
        let birth = self.heap.epoch();
        match self.table.entry_mut(&mut self.heap, hash, &key) {
            Slot::Vacant(slot) => drop(slot.insert(Chosen(Box::new(Inner { hash, key, birth })))),
            Slot::Occupied(_) => panic!("keys are added once"),
        }
        self.model.insert(n, hash);
    }

    fn remove(&mut self, n: u64) {
        let hash = self.model.remove(&n).expect("it was added");
        match self.table.entry_mut(&mut self.heap, hash, &n.to_le_bytes()) {
            Slot::Occupied(slot) => drop(slot.remove()),
            Slot::Vacant(_) => panic!("{n} is lost"),
        }
    }

    fn check(&self) {
        self.table.check_invariants();
        assert_eq!(self.table.len(), self.model.len());
        for (n, &hash) in &self.model {
            assert!(self.table.find(hash, &n.to_le_bytes()).is_some());
        }
        assert!(self.table.find(0x1234_5678_9abc_def0, b"nothing!").is_none());
        let mut scanned = 0;
        let mut cursor = 0;
        loop {
            cursor = self.table.scan(cursor, 10, |_| scanned += 1);
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(scanned, self.model.len());
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        drop(self.table.take_all(&mut self.heap));
    }
}

#[test]
fn one_hash_for_everything() {
    for hash in [0, u64::MAX, 0x0123_4567_89ab_cdef] {
        let mut flood = Flood::new();
        for n in 0..1500 {
            flood.add(n, hash);
            if n % 100 == 0 {
                flood.check();
            }
        }
        assert!(flood.table.memory() < 64 << 10, "the directory stays small: {:?}", flood.table.stats());
        let mut found = 0;
        flood.table.with_fragment(Fragment::of(hash), |_| found += 1);
        assert_eq!(found, 1500);
        let mut rng = Rng::from_seed(1);
        assert!(flood.table.random(&mut rng).is_some());
        assert_eq!(flood.table.sample(&mut rng, 500, |_| {}), 500);
        for n in (0..1500).rev() {
            flood.remove(n);
            if n % 100 == 0 {
                flood.check();
            }
        }
        assert_eq!(flood.table.memory(), 0, "{hash:x}: links and segments are gone: {:?}", flood.table.stats());
    }
}

#[test]
fn common_prefixes_among_ordinary_keys() {
    let mut flood = Flood::new();
    let mut rng = Rng::from_seed(9);
    for n in 0..40_000u64 {
        let hash = rng.next_u64();
        flood.add(n, if n % 4 == 0 { hash >> 30 } else { hash });
    }
    flood.check();
    assert!(flood.table.memory() < 40_000 * 40, "{:?}", flood.table.stats());
    // A snapshot shares chains too.
    let opening = flood.heap.open_snapshot();
    let view = flood.table.view(&opening);
    let ticket = opening.ticket();
    for n in 40_000..50_000u64 {
        let hash = rng.next_u64();
        flood.add(n, if n % 2 == 0 { hash >> 30 } else { hash });
    }
    flood.check();
    assert_eq!((view.iter().count(), view.len()), (40_000, 40_000));
    drop((view, ticket));
    flood.heap.reap();
    while flood.heap.reclaim(100) {}
    for n in 0..50_000 {
        flood.remove(n);
    }
    flood.check();
    assert_eq!(flood.table.memory(), 0);
}
