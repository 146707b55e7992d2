//! The packed table against a `BTreeMap`: with snapshots opened, read, kept and dropped in between, of a table that
//! lives where tables live, behind an entry of the dict.
//!
//! A snapshot keeps a copy of the model as it was; whenever it is read, it must show exactly that. At the end the table
//! is destroyed in slices, and the heap's statistics and (under Miri) the allocator say whether all of it went once.

use std::collections::{BTreeMap, BTreeSet};

use kvstash::collections::packed::{Element, Keys, KeysWithValues, KeysWithWords, PackedTable, Shape, ValueShape};
use kvstash::cow::{CowValue, Defrag, Epoch, Heap, HeapStats, Progress, SnapshotTicket, Unshared};
use kvstash::dict::{Entry, EntryHead, OccupiedSlot, Payload, PayloadRef, Slot, SnapshotView, Table, Visits};
use kvstash::sys::defrag::Mover;
use kvstash::util::hash::HashSeed;
use kvstash::util::rng::Rng;
use quickcheck::{Arbitrary, Gen, quickcheck};

/// A value that is a packed table.
struct Nest<S: Shape> {
    birth: Epoch,
    table: PackedTable<S>,
}

impl<S: Shape> CowValue for Nest<S> {
    fn birth(&self) -> Epoch {
        self.birth
    }
    fn origin(&self) -> Epoch {
        self.table.origin()
    }
    fn fork(&self, heap: &mut Heap) -> Nest<S> {
        Nest { birth: heap.epoch(), table: self.table.fork() }
    }
    fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.table.destroy_some(budget, proof)
    }
    fn destroy(self, proof: &Unshared) {
        self.table.destroy(proof);
    }
    fn free_effort(&self) -> usize {
        self.table.free_effort()
    }
    fn memory(&self) -> usize {
        self.table.memory()
    }
    fn elements(&self) -> usize {
        self.table.len()
    }
    fn defrag(&mut self, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        self.table.defrag(defrag, &mut progress.at)
    }
}

type Rows = BTreeMap<Vec<u8>, (Vec<u8>, bool)>;

fn row(element: Element<'_>) -> (Vec<u8>, (Vec<u8>, bool)) {
    (element.key.to_vec(), (element.value.to_vec(), element.marked))
}

#[derive(Clone, Debug)]
pub enum Op {
    Insert(u16, u8, bool),
    InsertNew(u16, u8),
    Mark(u16, bool),
    Fill(u16, u16, u8),
    Remove(u16),
    RemoveRange(u16, u16),
    TakeRandom(u8),
    Retain(u8),
    RemoveAll(u16, u16),
    Duplicate,
    Clear,
    /// In steps of so many nodes.
    Defrag(u8),
    OpenSnapshot,
    ReadSnapshot(u8),
    DropSnapshot(u8),
    Reclaim(u8),
    TakeGarbage,
}

const KEYS: u16 = if cfg!(miri) { 60 } else { 1000 };

fn key(n: u16) -> Vec<u8> {
    let n = n % KEYS;
    let mut key = format!("member:{n}").into_bytes();
    match n % 41 {
        0 => key.resize(90 + n as usize % 60, b'.'), // around the limit of what lies in a leaf
        1 => key.resize(500, b'-'),
        2 => key = n.to_le_bytes().to_vec(),
        _ => {}
    }
    if n == 0 { vec![] } else { key }
}

impl Op {
    /// An operation out of numbers: from chance here, from a fuzzer in tools/fuzz.
    pub fn draw(next: &mut dyn FnMut() -> u64) -> Op {
        let (k, n) = (next() as u16 % KEYS, next() as u8);
        match next() % 25 {
            20 | 21 => Op::Retain(n),
            22 => Op::RemoveAll(k, next() as u16 % (KEYS / 2)),
            0 | 1 => Op::Insert(k, n, next() % 2 == 1),
            2 => Op::InsertNew(k, n),
            23 => Op::Mark(k, n % 2 == 1),
            3..=6 => Op::Fill(k, next() as u16 % (KEYS / 2), n),
            7 => Op::Remove(k),
            8..=10 => Op::RemoveRange(k, next() as u16 % (KEYS / 2)),
            11 => Op::TakeRandom(n),
            12 => [Op::Duplicate, Op::Clear][n as usize % 2].clone(),
            13..=15 => Op::OpenSnapshot,
            16 => Op::ReadSnapshot(n),
            17 => Op::DropSnapshot(n),
            18 => Op::Reclaim(n),
            19 => Op::TakeGarbage,
            _ => Op::Defrag(n),
        }
    }
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        Op::draw(&mut || u64::arbitrary(g))
    }
}

struct Snapshot<S: Shape> {
    view: SnapshotView<Entry<Nest<S>>>,
    rows: Rows,
    _ticket: SnapshotTicket,
}

impl<S: Shape> Snapshot<S> {
    /// Reads it on another thread, as the server does.
    fn check(&self) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let entry = self.view.iter().next().expect("the one key");
                let PayloadRef::Node(nest) = entry.payload() else { panic!("a nest") };
                assert_eq!(nest.table.len(), self.rows.len());
                assert_eq!(nest.table.iter().map(row).collect::<Rows>(), self.rows);
            });
        });
    }
}

struct World<S: Shape> {
    heap: Heap,
    dict: Table<Entry<Nest<S>>>,
    rows: Rows,
    snapshots: Vec<Snapshot<S>>,
    rng: Rng,
}

const SEED: HashSeed = HashSeed::fixed(7);

impl<S: Shape> World<S> {
    fn new() -> World<S> {
        let (heap, dict) = (Heap::new(), Table::new(SEED));
        let mut world = World { heap, dict, rows: Rows::new(), snapshots: vec![], rng: Rng::from_seed(1) };
        let table = PackedTable::new(SEED, world.heap.epoch());
        world.store(table);
        world
    }

    /// Another table becomes the value.
    fn store(&mut self, table: PackedTable<S>) {
        let (hash, birth) = (self.dict.hash(b"key"), self.heap.epoch());
        let payload = Payload::Node(Box::new(Nest { birth, table }));
        let head = EntryHead { key: b"key", hash, expiry_ms: None, type_id: 0, encoding: 0, clock: 0 };
        match self.dict.entry_mut(&mut self.heap, hash, b"key") {
            Slot::Vacant(slot) => drop(slot.insert(Entry::build(birth, &head, payload))),
            Slot::Occupied(mut slot) => drop(slot.set_payload(0, 0, payload)),
        }
    }

    fn slot(&mut self) -> OccupiedSlot<'_, Entry<Nest<S>>> {
        let hash = self.dict.hash(b"key");
        match self.dict.entry_mut(&mut self.heap, hash, b"key") {
            Slot::Occupied(slot) => slot,
            Slot::Vacant(_) => panic!("the one key"),
        }
    }

    fn edit<R>(&mut self, f: impl FnOnce(&mut PackedTable<S>, &mut Heap) -> R) -> R {
        let mut slot = self.slot();
        let (nest, heap) = slot.node_and_heap().expect("a nest");
        f(&mut nest.table, heap)
    }

    fn read<R>(&mut self, f: impl FnOnce(&PackedTable<S>) -> R) -> R {
        let slot = self.slot();
        let PayloadRef::Node(nest) = slot.get().payload() else { panic!("a nest") };
        f(&nest.table)
    }

    /// A value as the shape wants it.
    fn value(n: u16, v: u8, marked: bool) -> (Vec<u8>, bool) {
        match S::VALUE {
            ValueShape::None => (vec![], false),
            ValueShape::Fixed(size) => (vec![v; size], false),
            ValueShape::Any if v > 250 => (vec![v; 1000], marked),
            ValueShape::Any => (vec![v; (v as usize + n as usize) % 130], marked),
        }
    }

    fn insert(&mut self, n: u16, v: u8, marked: bool) {
        let (key, (value, marked)) = (key(n), Self::value(n, v, marked));
        let new = self.edit(|table, heap| table.insert(heap, &key, &value, marked));
        assert_eq!(new, self.rows.insert(key, (value, marked)).is_none());
    }

    fn remove(&mut self, n: u16) {
        let key = key(n);
        let taken = self.edit(|table, heap| table.take(heap, &key, row));
        assert_eq!(taken, self.rows.remove_entry(&key));
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Insert(n, v, marked) => self.insert(n, v, marked),
            Op::InsertNew(n, v) => {
                let (key, (value, _)) = (key(n), Self::value(n, v, false));
                let new = self.edit(|table, heap| table.insert_new(heap, &key, &value, false));
                assert_eq!(new, !self.rows.contains_key(&key));
                self.rows.entry(key).or_insert((value, false));
            }
            Op::Mark(n, marked) if S::VALUE == ValueShape::Any => {
                let key = key(n);
                self.edit(|table, heap| table.mark(heap, SEED.hash(&key), &key, marked));
                self.rows.entry(key).and_modify(|row| row.1 = marked);
            }
            Op::Mark(..) => {}
            Op::Fill(n, more, v) => (n..n + more).for_each(|n| self.insert(n, v, n.is_multiple_of(7))),
            Op::Remove(n) => self.remove(n),
            Op::RemoveRange(n, more) => (n..n + more).for_each(|n| self.remove(n)),
            Op::TakeRandom(times) => {
                for _ in 0..times {
                    let mut rng = self.rng.clone();
                    let Some((key, rest)) = self.edit(|table, heap| table.take_random(heap, &mut rng, row)) else {
                        assert!(self.rows.is_empty());
                        break;
                    };
                    assert_eq!(self.rows.remove(&key), Some(rest));
                    self.rng = rng;
                }
            }
            Op::Retain(n) => {
                // Which stay, and what is told beforehand of how many that will be: a guess.
                let stays = |key: &[u8]| {
                    !(key.len() + usize::from(*key.last().unwrap_or(&0))).is_multiple_of(1 + usize::from(n) % 5)
                };
                let guess = self.rows.keys().filter(|key| stays(key)).count() * usize::from(n) / 128;
                let (mut asked, rows) = (0, self.rows.len());
                self.edit(|table, heap| {
                    table.retain(heap, guess.min(rows), |element| {
                        asked += 1;
                        stays(element.key)
                    });
                });
                assert_eq!(asked, rows, "each is asked about once");
                self.rows.retain(|key, _| stays(key));
            }
            Op::RemoveAll(n, more) => {
                let keys: Vec<Vec<u8>> = (n..n + more).map(key).collect();
                let removed = self.edit(|table, heap| table.remove_all(heap, keys.iter().map(|key| &key[..])));
                assert_eq!(removed, keys.iter().filter(|key| self.rows.remove(*key).is_some()).count());
            }
            Op::Duplicate => {
                let epoch = self.heap.epoch();
                let copy = self.read(|table| table.duplicate(epoch));
                copy.check_invariants();
                self.store(copy);
            }
            Op::Clear => {
                let epoch = self.heap.epoch();
                self.store(PackedTable::new(SEED, epoch));
                self.rows.clear();
            }
            Op::Defrag(step) => self.defrag(usize::from(step) + 1),
            Op::OpenSnapshot if self.snapshots.len() < 4 => {
                let opening = self.heap.open_snapshot();
                let view = self.dict.view(&opening);
                self.snapshots.push(Snapshot { view, rows: self.rows.clone(), _ticket: opening.ticket() });
            }
            Op::OpenSnapshot => {}
            Op::ReadSnapshot(n) => {
                if !self.snapshots.is_empty() {
                    self.snapshots[n as usize % self.snapshots.len()].check();
                }
            }
            Op::DropSnapshot(n) => {
                if !self.snapshots.is_empty() {
                    drop(self.snapshots.remove(n as usize % self.snapshots.len()));
                    assert_eq!(self.heap.reap(), 1);
                }
            }
            Op::Reclaim(n) => drop(self.heap.reclaim(n as usize)),
            Op::TakeGarbage => drop(self.heap.take_garbage()),
        }
    }

    /// Moves every node, in steps of a few, unless a snapshot lives.
    fn defrag(&mut self, step: usize) {
        let (mut progress, mut visits, mut mover) = (Progress::default(), Visits::default(), Mover::of_all(1));
        let Some(mut defrag) = self.heap.defrag(&mut mover) else {
            assert!(!self.snapshots.is_empty());
            return;
        };
        assert_eq!(self.dict.defrag(&mut defrag, 0, 0, &mut visits), None);
        assert_eq!(visits.moved as usize + visits.later.len(), 1);
        for (key, _) in visits.later {
            while !self.dict.defrag_value(&mut defrag, &key, &mut progress) {
                mover.allow(step);
                defrag = self.heap.defrag(&mut mover).expect("no snapshot was opened");
            }
        }
    }

    fn check(&mut self) {
        let rows = std::mem::take(&mut self.rows);
        self.read(|table| {
            table.check_invariants();
            assert_eq!(table.iter().map(row).collect::<Rows>(), rows);
            for (key, (value, marked)) in &rows {
                assert_eq!(table.get(key), Some(Element { key, value, marked: *marked }));
            }
            assert!(!table.contains(b"nobody"));
            let (mut cursor, mut seen) = (0, BTreeSet::new());
            loop {
                cursor = table.scan(cursor, 7, |element| assert!(seen.insert(element.key.to_vec())));
                if cursor == 0 {
                    break;
                }
            }
            assert!(seen.iter().eq(rows.keys()));
        });
        self.rows = rows;
    }

    /// Ends all snapshots, destroys the table, and counts what is left.
    fn finish(mut self) {
        self.snapshots.iter().for_each(Snapshot::check);
        self.snapshots.clear();
        self.heap.reap();
        while self.heap.reclaim(13) {}
        assert_eq!(self.heap.stats(), HeapStats::default());
        self.check();
        drop(self.dict.take_all(&mut self.heap));
    }
}

/// Applies the operations to a table of this shape; looks at all of it after every so many, and at the end.
pub fn run<S: Shape>(ops: &[Op], check_every: usize) {
    let mut world = World::<S>::new();
    for (step, op) in ops.iter().enumerate() {
        world.apply(op.clone());
        if step % check_every == 0 {
            world.check();
        }
    }
    world.finish();
}

quickcheck! {
    fn a_set_is_a_set(ops: Vec<Op>) -> bool {
        run::<Keys>(&ops, 4);
        true
    }

    fn words_stay_with_their_keys(ops: Vec<Op>) -> bool {
        run::<KeysWithWords>(&ops, 4);
        true
    }

    fn a_hash_is_a_map(ops: Vec<Op>) -> bool {
        run::<KeysWithValues>(&ops, 4);
        true
    }
}

#[test]
fn long_runs() {
    // More growth, shrinking and overlapping snapshots than short cases reach.
    for seed in 1..=3 {
        let (mut world, mut g) = (World::<KeysWithValues>::new(), Gen::from_size_and_seed(64, seed));
        for step in 0..if cfg!(miri) { 60 } else { 1000 } {
            world.apply(Op::arbitrary(&mut g));
            if step % 20 == 0 {
                world.check();
            }
        }
        world.finish();
    }
}

#[test]
fn scans_show_what_stays() {
    // What is there from the first call to the last is shown, whatever comes and goes meanwhile.
    for seed in 1..=if cfg!(miri) { 1 } else { 10 } {
        let (mut heap, mut rng) = (Heap::new(), Rng::from_seed(seed));
        let mut world = World::<Keys>::new();
        let (stay, come) = if cfg!(miri) { (30u32, 200u32) } else { (500, 20_000) };
        let name = |n: u32| n.to_be_bytes().to_vec();
        let mut table = PackedTable::<Keys>::new(SEED, heap.epoch());
        (0..stay).for_each(|n| assert!(table.insert(&mut heap, &name(n), b"", false)));
        let (mut cursor, mut seen) = (0, BTreeSet::new());
        loop {
            cursor = table.scan(cursor, 10, |element| {
                seen.insert(element.key.to_vec());
            });
            if cursor == 0 {
                break;
            }
            let growing = rng.below(2) == 0;
            for _ in 0..rng.below(u64::from(come / 10)) {
                let key = name(stay + rng.below(u64::from(come)) as u32);
                if growing {
                    table.insert(&mut heap, &key, b"", false);
                } else {
                    table.remove(&mut heap, &key);
                }
            }
        }
        assert!((0..stay).all(|n| seen.contains(&name(n))));
        world.heap = heap;
        world.store(table);
        drop(world.dict.take_all(&mut world.heap));
    }
}
