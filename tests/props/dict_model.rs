//! The dict against a `HashMap`: every edit an entry knows, with snapshots opened, read, kept and dropped in between.
//!
//! A snapshot keeps a copy of the model as it was; whenever it is read, it must show exactly that, whatever happened
//! to the table since. Values count themselves, so that a double free or a leak of a node shows at the end.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use kvstash::cow::{Blob, CowValue, Epoch, Heap, HeapStats, Progress, SnapshotTicket};
use kvstash::dict::{Entry, EntryHead, EntryRef, Payload, PayloadRef, Slot, SnapshotView, Table, Visits};
use kvstash::sys::defrag::Mover;
use kvstash::util::hash::HashSeed;
use kvstash::util::rng::Rng;
use quickcheck::{Arbitrary, Gen, quickcheck};

/// A value that forks by copying, and counts the live ones.
struct Note {
    birth: Epoch,
    text: Vec<u8>,
    live: Arc<AtomicIsize>,
}

impl Note {
    fn new(birth: Epoch, text: Vec<u8>, live: &Arc<AtomicIsize>) -> Note {
        live.fetch_add(1, Ordering::Relaxed);
        Note { birth, text, live: live.clone() }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.live.fetch_sub(1, Ordering::Relaxed);
    }
}

impl CowValue for Note {
    fn birth(&self) -> Epoch {
        self.birth
    }
    fn fork(&self, heap: &mut Heap) -> Note {
        Note::new(heap.epoch(), self.text.clone(), &self.live)
    }
    fn memory(&self) -> usize {
        self.text.capacity()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bytes(Vec<u8>),
    Int(i64),
    Note(Vec<u8>),
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    expiry_ms: Option<i64>,
    value: Value,
}

fn row_of(entry: EntryRef<'_, Note>) -> Row {
    let value = match entry.payload() {
        PayloadRef::Inline(bytes) | PayloadRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        PayloadRef::Int(n) => Value::Int(n),
        PayloadRef::Node(note) => Value::Note(note.text.clone()),
    };
    Row { expiry_ms: entry.expiry_ms(), value }
}

#[derive(Clone, Debug)]
pub enum Op {
    Set(u16, Value, Option<i64>),
    SetBlob(u16, u8),
    Fill(u16, u16),
    Remove(u16),
    RemoveRange(u16, u16),
    Increment(u16),
    Append(u16, u8),
    Scribble(u16),
    Expire(u16, Option<i64>),
    Recode(u16),
    Rename(u16, u16),
    Touch(u16, u32),
    TakeAll,
    /// In steps of so many nodes.
    Defrag(u8),
    OpenSnapshot,
    ReadSnapshot(u8),
    DropSnapshot(u8),
    Reclaim(u8),
    TakeGarbage,
}

const KEYS: u16 = 700;

fn key(n: u16) -> Vec<u8> {
    let mut key = format!("key:{:04}", n % KEYS).into_bytes();
    if n.is_multiple_of(37) {
        key.resize(300, b'.'); // a long key
    }
    key
}

impl Op {
    /// An operation out of numbers: from chance here, from a fuzzer in tools/fuzz.
    pub fn draw(next: &mut dyn FnMut() -> u64) -> Op {
        let (k, n) = (next() as u16 % KEYS, next() as u8);
        let expiry = (next() % 2 == 1).then(|| next() as i64);
        match next() % 25 {
            0 => Op::Set(k, Value::Bytes(vec![n; n as usize]), expiry),
            1 => Op::Set(k, Value::Int(next() as i64), expiry),
            2 => Op::Set(k, Value::Note(vec![n; 3]), expiry),
            3 => Op::SetBlob(k, n),
            4..=6 => Op::Fill(k, next() as u16 % 400),
            7 => Op::Remove(k),
            8 | 9 => Op::RemoveRange(k, next() as u16 % 500),
            10 => Op::Increment(k),
            11 | 12 => Op::Append(k, n),
            13 => Op::Scribble(k),
            14 => Op::Expire(k, expiry),
            15 => Op::Rename(k, next() as u16 % KEYS),
            16 => Op::Touch(k, next() as u32 & 0x1fff_ffff),
            17 => Op::TakeAll,
            18 | 19 => Op::OpenSnapshot,
            20 => Op::ReadSnapshot(n),
            21 => Op::DropSnapshot(n),
            22 => Op::Reclaim(n),
            23 => Op::Defrag(n),
            _ => [Op::TakeGarbage, Op::Recode(k)][n as usize % 2].clone(),
        }
    }
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        Op::draw(&mut || u64::arbitrary(g))
    }
}

struct Snapshot {
    view: SnapshotView<Entry<Note>>,
    rows: HashMap<Vec<u8>, Row>,
    _ticket: SnapshotTicket,
}

impl Snapshot {
    /// Reads it on another thread, as the server does.
    fn check(&self) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert_eq!(self.view.len(), self.rows.len());
                assert_eq!(self.view.iter().len(), self.rows.len());
                let mut seen = 0;
                for entry in &self.view {
                    assert_eq!(Some(&row_of(entry)), self.rows.get(entry.key()));
                    seen += 1;
                }
                assert_eq!(seen, self.rows.len());
            });
        });
    }
}

struct World {
    heap: Heap,
    table: Table<Entry<Note>>,
    rows: HashMap<Vec<u8>, Row>,
    snapshots: Vec<Snapshot>,
    live: Arc<AtomicIsize>,
}

impl World {
    fn new() -> World {
        World {
            heap: Heap::new(),
            table: Table::new(HashSeed::fixed(7)),
            rows: HashMap::new(),
            snapshots: vec![],
            live: Arc::default(),
        }
    }

    fn set(&mut self, key: &[u8], row: Row) {
        let hash = self.table.hash(key);
        let birth = self.heap.epoch();
        let payload = match &row.value {
            Value::Bytes(bytes) => Payload::Bytes(bytes),
            Value::Int(n) => Payload::Int(*n),
            Value::Note(text) => Payload::Node(Box::new(Note::new(birth, text.clone(), &self.live))),
        };
        match self.table.entry_mut(&mut self.heap, hash, key) {
            Slot::Occupied(mut slot) => drop(slot.set(row.expiry_ms, 1, 2, payload)),
            Slot::Vacant(slot) => {
                let head = EntryHead { key, hash, expiry_ms: row.expiry_ms, type_id: 1, encoding: 2, clock: 3 };
                slot.insert(Entry::build(birth, &head, payload));
            }
        }
        self.rows.insert(key.to_vec(), row);
    }

    fn remove(&mut self, key: &[u8]) {
        let hash = self.table.hash(key);
        match self.table.entry_mut(&mut self.heap, hash, key) {
            Slot::Occupied(slot) => drop(slot.remove()),
            Slot::Vacant(_) => assert!(!self.rows.contains_key(key)),
        }
        self.rows.remove(key);
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Set(k, value, expiry_ms) => self.set(&key(k), Row { expiry_ms, value }),
            Op::Fill(k, n) => {
                for k in k..k + n {
                    self.set(&key(k), Row { expiry_ms: None, value: Value::Bytes(k.to_string().into_bytes()) });
                }
            }
            Op::Remove(k) => self.remove(&key(k)),
            Op::RemoveRange(k, n) => (k..k + n).for_each(|k| self.remove(&key(k))),
            Op::Rename(from, to) => self.rename(&key(from), &key(to)),
            Op::TakeAll => {
                drop(self.table.take_all(&mut self.heap));
                self.rows.clear();
            }
            Op::Defrag(step) => self.defrag(usize::from(step) + 1),
            Op::OpenSnapshot if self.snapshots.len() < 4 => {
                let opening = self.heap.open_snapshot();
                let view = self.table.view(&opening);
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
            other => self.edit(other),
        }
    }

    /// Moves every node, in steps of a few, unless a snapshot lives.
    fn defrag(&mut self, step: usize) {
        let (mut next, mut visits, mut mover) = (Some(0), Visits::default(), Mover::of_all(step));
        while let Some(position) = next {
            let Some(mut defrag) = self.heap.defrag(&mut mover) else {
                assert!(!self.snapshots.is_empty());
                return;
            };
            next = self.table.defrag(&mut defrag, position, usize::MAX, &mut visits);
            assert!(next.is_none_or(|next| next > position));
            mover.allow(step);
        }
        assert_eq!((visits.moved as usize + visits.later.len(), visits.left), (self.rows.len(), 0));
        // Values that the budget of a step was too small for.
        let mut defrag = self.heap.defrag(&mut mover).expect("no snapshot was opened");
        for (key, moved) in visits.later {
            assert!(moved && self.table.defrag_value(&mut defrag, &key, &mut Progress::default()));
        }
    }

    /// The operations on one entry that is there.
    fn edit(&mut self, op: Op) {
        let (Op::SetBlob(k, _)
        | Op::Increment(k)
        | Op::Append(k, _)
        | Op::Scribble(k)
        | Op::Expire(k, _)
        | Op::Recode(k)
        | Op::Touch(k, _)) = op
        else {
            unreachable!("the others are applied above")
        };
        let key = key(k);
        let hash = self.table.hash(&key);
        let Slot::Occupied(mut slot) = self.table.entry_mut(&mut self.heap, hash, &key) else {
            assert!(!self.rows.contains_key(&key));
            return;
        };
        let row = self.rows.get_mut(&key).expect("the model has it too");
        match (op, &mut row.value) {
            (Op::SetBlob(_, n), value) => {
                let mut blob = Blob::with_capacity(slot.heap().epoch(), n as usize);
                blob.append(b"blob");
                drop(slot.set_payload(1, 3, Payload::Blob(blob)));
                *value = Value::Bytes(b"blob".to_vec());
            }
            (Op::Increment(_), Value::Int(n)) => {
                *n = n.wrapping_add(1);
                slot.set_int(*n);
            }
            (Op::Append(_, n), Value::Bytes(bytes)) => {
                let more = vec![b'+'; n as usize / 4];
                slot.append(&more);
                bytes.extend_from_slice(&more);
            }
            (Op::Scribble(_), Value::Bytes(bytes)) => {
                bytes.reverse();
                slot.bytes_mut().expect("bytes").reverse();
            }
            (Op::Scribble(_), Value::Note(text)) => {
                text.push(b'!');
                slot.node_mut().expect("a node").text.push(b'!');
            }
            (Op::Expire(_, expiry_ms), _) => {
                slot.set_expiry(expiry_ms);
                row.expiry_ms = expiry_ms;
            }
            (Op::Touch(_, clock), _) => {
                slot.get().touch(clock);
                assert_eq!((slot.get().clock(), slot.get().type_id()), (clock, 1));
            }
            (Op::Recode(_), _) => {
                slot.set_encoding(5);
                assert_eq!((slot.get().encoding(), slot.get().type_id()), (5, 1));
            }
            _ => {}
        }
        assert_eq!(&row_of(slot.get()), row);
    }

    fn rename(&mut self, from: &[u8], to: &[u8]) {
        if from == to || !self.rows.contains_key(from) {
            return;
        }
        let hashes = (self.table.hash(from), self.table.hash(to));
        let Slot::Occupied(slot) = self.table.entry_mut(&mut self.heap, hashes.0, from) else {
            panic!("the model has it");
        };
        let expiry_ms = slot.get().expiry_ms();
        let moved = slot.take_payload();
        let birth = self.heap.epoch();
        match self.table.entry_mut(&mut self.heap, hashes.1, to) {
            Slot::Occupied(mut slot) => drop(slot.set(expiry_ms, 1, 2, Payload::Moved(moved))),
            Slot::Vacant(slot) => {
                let head = EntryHead { key: to, hash: hashes.1, expiry_ms, type_id: 1, encoding: 2, clock: 0 };
                slot.insert(Entry::build(birth, &head, Payload::Moved(moved)));
            }
        }
        let row = self.rows.remove(from).expect("seen above");
        self.rows.insert(to.to_vec(), row);
    }

    fn check(&self) {
        self.table.check_invariants();
        assert_eq!(self.table.len(), self.rows.len());
        for (key, row) in &self.rows {
            let entry = self.table.find(self.table.hash(key), key).expect("in the model, so in the table");
            assert_eq!(&row_of(entry), row);
        }
        let mut seen = 0;
        self.table.for_each(|entry| {
            assert!(self.rows.contains_key(entry.key()));
            seen += 1;
        });
        assert_eq!(seen, self.rows.len());
        let mut rng = Rng::from_seed(seen as u64);
        assert_eq!(self.table.random(&mut rng).is_some(), seen > 0);
        let shown = self.table.sample(&mut rng, 5, |entry| assert!(self.rows.contains_key(entry.key())));
        assert_eq!(shown, seen.min(5));
    }

    /// Ends all snapshots, empties the table, and counts what is left.
    fn finish(mut self) -> bool {
        self.snapshots.iter().for_each(Snapshot::check);
        self.snapshots.clear();
        self.heap.reap();
        while self.heap.reclaim(13) {}
        assert_eq!(self.heap.stats(), HeapStats::default());
        self.check();
        drop(self.table.take_all(&mut self.heap));
        assert_eq!(self.live.load(Ordering::Relaxed), 0, "every value was freed once");
        true
    }
}

/// Applies the operations; looks at everything after every so many, and at the end.
pub fn run(ops: impl Iterator<Item = Op>, check_every: usize) -> bool {
    let mut world = World::new();
    for (step, op) in ops.enumerate() {
        world.apply(op);
        if step.is_multiple_of(check_every) {
            world.check();
        }
    }
    world.finish()
}

quickcheck! {
    fn a_table_is_a_map_and_snapshots_do_not_change(ops: Vec<Op>) -> bool {
        run(ops.into_iter(), if cfg!(miri) { 8 } else { 1 })
    }
}

#[test]
fn long_runs() {
    // More growth, shrinking and overlapping snapshots than short cases reach.
    let (seeds, steps) = if cfg!(miri) { (1, 60) } else { (3, 1000) };
    for seed in 1..=seeds {
        let mut g = Gen::from_size_and_seed(64, seed);
        run((0..steps).map(|_| Op::arbitrary(&mut g)), 20);
    }
}
