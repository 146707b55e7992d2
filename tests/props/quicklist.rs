//! The quicklist against a `VecDeque`, with snapshots that are read, long after, by what they showed.

use kvstash::collections::listpack::Item;
use kvstash::collections::quicklist::{Fill, Quicklist, Shape, Side};
use kvstash::cow::{CowValue, Defrag, Epoch, Heap, Progress, SnapshotTicket, Unshared};
use kvstash::dict::{Entry, EntryHead, Payload, PayloadRef, Slot, SnapshotView, Table, Visits};
use kvstash::sys::defrag::Mover;
use kvstash::util::hash::HashSeed;
use kvstash::util::text::Source;
use quickcheck::{Arbitrary, Gen, quickcheck};
use std::collections::VecDeque;
use std::ops::ControlFlow;

/// A list as an entry has it.
struct List(Quicklist);

impl CowValue for List {
    fn birth(&self) -> Epoch {
        self.0.birth()
    }
    fn origin(&self) -> Epoch {
        self.0.origin()
    }
    fn fork(&self, heap: &mut Heap) -> List {
        List(self.0.fork(heap))
    }
    fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.0.destroy_some(budget, proof)
    }
    fn destroy(self, proof: &Unshared) {
        self.0.destroy(proof);
    }
    fn memory(&self) -> usize {
        self.0.memory()
    }
    fn defrag(&mut self, defrag: &mut Defrag<'_>, progress: &mut Progress) -> bool {
        self.0.defrag(defrag, &mut progress.at)
    }
}

#[derive(Clone, Debug)]
struct Text(Vec<u8>);

impl Arbitrary for Text {
    fn arbitrary(g: &mut Gen) -> Text {
        Text(match u8::arbitrary(g) % 16 {
            0 => vec![b'x'; 9000],
            1 => vec![u8::arbitrary(g); usize::from(u16::arbitrary(g)) % 9000],
            2..=7 => format!("{}", u8::arbitrary(g) % 5).into_bytes(),
            8..=11 => i32::arbitrary(g).to_string().into_bytes(),
            _ => Vec::arbitrary(g),
        })
    }
}

#[derive(Clone, Debug)]
enum Op {
    Push(bool, Vec<Text>),
    Pop(bool, u8),
    Insert(u16, bool, Text),
    Replace(u16, Text),
    RemoveRange(u16, u8),
    RemoveEqual(Text, u8, bool),
    Snapshot,
    EndSnapshot(u8),
    Copy,
    Destroy(u8),
    Defrag,
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        let (n, at) = (u8::arbitrary(g), u16::arbitrary(g));
        match u8::arbitrary(g) % 26 {
            0..=6 => Op::Push(n % 2 == 0, Vec::arbitrary(g)),
            7..=9 => Op::Pop(n % 2 == 0, n % 16),
            10..=13 => Op::Insert(at, n % 2 == 0, Text::arbitrary(g)),
            14..=15 => Op::Replace(at, Text::arbitrary(g)),
            16..=17 => Op::RemoveRange(at, n % 40),
            18..=19 => Op::RemoveEqual(Text::arbitrary(g), n % 8, at % 2 == 0),
            20 => Op::Snapshot,
            21 => Op::EndSnapshot(n),
            22 => Op::Copy,
            23 => Op::Destroy(n),
            _ => Op::Defrag,
        }
    }
}

type Model = VecDeque<Vec<u8>>;

fn contents(list: &Quicklist, backwards: bool) -> Model {
    let mut all = Model::new();
    let start = if backwards { list.len().saturating_sub(1) } else { 0 };
    list.walk(start, backwards, |item| {
        all.push_back(item.to_vec());
        ControlFlow::Continue(())
    });
    all
}

fn apply(op: &Op, list: &mut Quicklist, heap: &mut Heap, model: &mut Model) {
    let side = |front: bool| if front { Side::Head } else { Side::Tail };
    match op {
        Op::Push(front, texts) => {
            for text in texts {
                list.push(heap, side(*front), Item::of(&text.0));
                if *front { model.push_front(text.0.clone()) } else { model.push_back(text.0.clone()) }
            }
        }
        Op::Pop(front, count) => {
            for _ in 0..*count {
                let expected = if *front { model.pop_front() } else { model.pop_back() };
                assert_eq!(list.end(side(*front), |item| item.to_vec()), expected);
                list.pop(heap, side(*front));
            }
        }
        Op::Insert(at, after, text) if !model.is_empty() => {
            let at = usize::from(*at) % model.len();
            list.insert(heap, at, *after, Source::Lent(&text.0));
            model.insert(at + usize::from(*after), text.0.clone());
        }
        Op::Replace(at, text) if !model.is_empty() => {
            let at = usize::from(*at) % model.len();
            list.replace(heap, at, Source::Whole(text.0.clone()));
            model[at] = text.0.clone();
        }
        Op::RemoveRange(at, count) => {
            let at = usize::from(*at) % (model.len() + 1);
            let removed = list.remove_range(heap, at, usize::from(*count));
            assert_eq!(removed, model.drain(at..(at + usize::from(*count)).min(model.len())).count());
        }
        Op::RemoveEqual(text, limit, backwards) => {
            let limit = if *limit == 0 { usize::MAX } else { usize::from(*limit) };
            let removed = list.remove_equal(heap, Item::of(&text.0), limit, *backwards);
            let equal: Vec<usize> = (0..model.len()).filter(|at| model[*at] == text.0).collect();
            let gone =
                if *backwards { &equal[equal.len().saturating_sub(limit)..] } else { &equal[..equal.len().min(limit)] };
            gone.iter().rev().for_each(|at| drop(model.remove(*at)));
            assert_eq!(removed, gone.len());
        }
        _ => {}
    }
}

struct World {
    heap: Heap,
    table: Table<Entry<List>>,
    snapshots: Vec<(SnapshotView<Entry<List>>, SnapshotTicket, Option<Model>)>,
}

impl World {
    fn slot(&mut self) -> (Slot<'_, Entry<List>>, u64) {
        let hash = self.table.hash(b"list");
        (self.table.entry_mut(&mut self.heap, hash, b"list"), hash)
    }

    fn put(&mut self, list: Quicklist) {
        let birth = self.heap.epoch();
        let (Slot::Vacant(slot), hash) = self.slot() else { panic!("put is for a new key") };
        let head = EntryHead { key: b"list", hash, expiry_ms: None, type_id: 1, encoding: 9, clock: 0 };
        slot.insert(Entry::build(birth, &head, Payload::Node(Box::new(List(list)))));
    }

    fn check(view: &SnapshotView<Entry<List>>, model: &Option<Model>) {
        let seen: Vec<Model> = view
            .iter()
            .map(|entry| match entry.payload() {
                PayloadRef::Node(list) => contents(&list.0, false),
                _ => panic!("a list"),
            })
            .collect();
        assert_eq!(seen, Vec::from_iter(model.clone()));
    }
}

fn run(fill: Fill, depth: u32, ops: &[Op]) -> bool {
    let mut world = World { heap: Heap::new(), table: Table::new(HashSeed::fixed(3)), snapshots: vec![] };
    let shape = Shape { fill, depth };
    let mut model = Model::new();
    world.put(Quicklist::new(world.heap.epoch(), shape));
    for op in ops {
        match op {
            Op::Snapshot => {
                let opening = world.heap.open_snapshot();
                let view = world.table.view(&opening);
                let ticket = opening.ticket();
                world.snapshots.push((view, ticket, Some(model.clone())));
            }
            Op::EndSnapshot(n) if !world.snapshots.is_empty() => {
                let (view, ticket, model) = world.snapshots.remove(usize::from(*n) % world.snapshots.len());
                World::check(&view, &model);
                drop((view, ticket));
                world.heap.reap();
                while world.heap.reclaim(3) {}
            }
            Op::Defrag => {
                let (mut visits, mut mover) = (Visits::default(), Mover::of_all(usize::MAX));
                if let Some(mut defrag) = world.heap.defrag(&mut mover) {
                    assert_eq!(world.table.defrag(&mut defrag, 0, usize::MAX, &mut visits), None);
                    assert_eq!((visits.moved, visits.later.len()), (1, 0));
                }
            }
            Op::Copy => {
                let birth = world.heap.epoch();
                let (Slot::Occupied(slot), _) = world.slot() else { panic!("the list is there") };
                let PayloadRef::Node(list) = slot.get().payload() else { panic!("a list") };
                let copy = list.0.duplicate(birth);
                drop(slot.remove());
                world.put(copy);
            }
            Op::Destroy(n) if n % 4 == 0 => {
                let (Slot::Occupied(slot), _) = world.slot() else { panic!("the list is there") };
                drop(slot.remove());
                world.put(Quicklist::new(world.heap.epoch(), shape));
                model.clear();
            }
            op => {
                let (Slot::Occupied(mut slot), _) = world.slot() else { panic!("the list is there") };
                let (list, heap) = slot.node_and_heap().expect("a list");
                apply(op, &mut list.0, heap, &mut model);
                list.0.check_invariants(heap);
                assert_eq!(list.0.len(), model.len());
            }
        }
    }
    let (Slot::Occupied(slot), _) = world.slot() else { panic!("the list is there") };
    let PayloadRef::Node(list) = slot.get().payload() else { panic!("a list") };
    assert_eq!(contents(&list.0, false), model);
    assert_eq!(contents(&list.0, true), model.iter().rev().cloned().collect::<Model>());
    for (at, element) in model.iter().enumerate() {
        assert!(list.0.get(at, |item| item.to_vec() == *element).expect("there"));
    }
    drop(slot.remove());
    for (view, ticket, model) in world.snapshots {
        World::check(&view, &model);
        drop((view, ticket));
    }
    world.heap.reap();
    while world.heap.reclaim(5) {}
    world.heap.stats().retired_nodes == 0
}

quickcheck! {
    fn a_quicklist_is_a_deque(ops: Vec<Op>, fill: u8, depth: u32) -> bool {
        let fills = [Fill::Count(1), Fill::Count(3), Fill::Bytes(60), Fill::of(-2), Fill::Unbounded];
        run(fills[usize::from(fill) % fills.len()], depth % 4, &ops)
    }
}
