//! The counted tree against the standard library: as an ordered set found by bounds, and as a sequence found by
//! numbers; with snapshots opened, read, kept and dropped in between.
//!
//! A snapshot is what a forked value would keep: the old root. Whenever it is read it must show what was there when it
//! was opened. A tree leaks what it is not told to free, so the heap's figures at the end say whether every node was
//! retired and freed.

use kvstash::collections::tree::{CowTree, Items, Path, Place};
use kvstash::cow::{Heap, SnapshotTicket};
use kvstash::sys::defrag::Mover;
use quickcheck::{Arbitrary, Gen, quickcheck};
use std::collections::BTreeSet;

/// Sorted numbers, four bytes each, eight to a leaf; the wide bound makes nodes of eleven children, so that small
/// trees are high.
struct Numbers;

const LEAF_MAX: usize = 32;

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(bytes[..4].try_into().unwrap())
}

impl Items for Numbers {
    type Bound = [u64; 8];
    fn bound(leaf: &[u8]) -> [u64; 8] {
        [u64::from(number(leaf)); 8]
    }
    fn count(leaf: &[u8]) -> usize {
        leaf.len() / 4
    }
    fn joinable(left: &[u8], right: &[u8]) -> bool {
        left.len() + right.len() <= LEAF_MAX * 3 / 4
    }
    fn join(left: &mut Vec<u8>, right: &[u8]) {
        left.extend_from_slice(right);
    }
}

struct Set {
    tree: CowTree<Numbers>,
}

impl Set {
    fn find(&self, n: u32) -> (Option<Path>, Result<usize, usize>) {
        let Some(leaf) = self.tree.seek(|edge| {
            assert_eq!(u64::from(number(edge.leaf())), edge.bound()[0]);
            edge.bound()[0] <= u64::from(n)
        }) else {
            return (None, Err(0));
        };
        let items: Vec<u32> = leaf.leaf().chunks(4).map(number).collect();
        (Some(leaf.path()), items.binary_search(&n))
    }

    fn insert(&mut self, heap: &mut Heap, n: u32) -> bool {
        let (path, at) = self.find(n);
        let Err(at) = at else { return false };
        let Some(path) = path else {
            self.tree.insert(heap, Place::Last, n.to_be_bytes().to_vec());
            return true;
        };
        let tail = self.tree.edit(heap, path, |leaf| {
            leaf.splice(at * 4..at * 4, n.to_be_bytes());
            let half = if at * 4 + 4 == leaf.len() { at * 4 } else { LEAF_MAX / 2 };
            (leaf.len() > LEAF_MAX).then(|| leaf.split_off(half))
        });
        if let Some(tail) = tail {
            self.tree.insert(heap, Place::After(path), tail);
        }
        true
    }

    fn remove(&mut self, heap: &mut Heap, n: u32) -> bool {
        let (Some(path), Ok(at)) = self.find(n) else { return false };
        let left = self.tree.edit(heap, path, |leaf| {
            leaf.drain(at * 4..at * 4 + 4);
            leaf.len()
        });
        if (1..=LEAF_MAX / 4).contains(&left) {
            self.tree.mend(heap, path);
        }
        true
    }

    /// Removes the numbers of these ranks: whole leaves at once, the rest one by one.
    fn cut(&mut self, heap: &mut Heap, ranks: std::ops::Range<usize>, model: &mut BTreeSet<u32>) {
        let gone: Vec<u32> = model.iter().copied().take(ranks.end).skip(ranks.start).collect();
        let before = self.tree.len();
        let cut = self.tree.cut(heap, ranks.clone());
        assert_eq!(self.tree.len(), before - cut);
        self.tree.check_invariants(heap);
        let rest: BTreeSet<u32> = Set::all(&self.tree).into_iter().collect();
        assert!(model.iter().filter(|n| !rest.contains(n)).all(|n| gone.binary_search(n).is_ok()));
        let left: Vec<u32> = gone.iter().copied().filter(|n| rest.contains(n)).collect();
        assert_eq!(left.len(), gone.len() - cut);
        assert!(left.len() <= 2 * LEAF_MAX / 4, "what is left of it shares at most two leaves with what stays");
        assert!(left.is_empty() || gone.len() < before);
        left.into_iter().for_each(|n| assert!(self.remove(heap, n)));
        gone.into_iter().for_each(|n| assert!(model.remove(&n)));
    }

    fn all(tree: &CowTree<Numbers>) -> Vec<u32> {
        tree.iter().flat_map(|leaf| leaf.chunks(4)).map(number).collect()
    }

    fn backwards(&self) -> Vec<u32> {
        let mut found = vec![];
        let Some(mut cursor) = self.tree.last() else { return found };
        loop {
            assert_eq!(cursor.rank() + cursor.count() + found.len(), self.tree.len());
            found.extend(cursor.leaf().chunks(4).rev().map(number));
            if !cursor.prev() {
                return found;
            }
        }
    }
}

#[derive(Clone, Debug)]
pub enum Op {
    Insert(u16),
    InsertRange(u16, u8),
    InsertBackwards(u16, u8),
    Remove(u16),
    RemoveRange(u16, u8),
    Cut(u16, u8),
    Rank(u16),
    Open,
    Read,
    Close(u8),
    Reclaim(u8),
    Rebuild,
    Clear,
    Defrag(u8),
}

impl Op {
    /// An operation out of numbers: from chance here, from a fuzzer in tools/fuzz.
    pub fn draw(next: &mut dyn FnMut() -> u64) -> Op {
        let (n, size) = (next() as u16 % 4096, next() as u8);
        match next() % 28 {
            0..4 => Op::Insert(n),
            4..8 => Op::InsertRange(n, size),
            8..10 => Op::InsertBackwards(n, size),
            10..13 => Op::Remove(n),
            13..17 => Op::RemoveRange(n, size),
            17 => Op::Rank(n),
            18 => Op::Open,
            19 => Op::Read,
            20 => Op::Close(size),
            21 => Op::Reclaim(size),
            22 => Op::Rebuild,
            23 | 24 => Op::Cut(n, size),
            25 | 26 => Op::Defrag(size),
            _ if size < 20 => Op::Clear,
            _ => Op::Read,
        }
    }
}

impl Arbitrary for Op {
    fn arbitrary(g: &mut Gen) -> Op {
        Op::draw(&mut || u64::arbitrary(g))
    }
}

/// Moves every node, in steps of a few; false if a snapshot forbids it.
fn defrag<I: Items>(tree: &mut CowTree<I>, heap: &Heap, step: u8) -> bool {
    let (mut at, mut mover, mut moved) = (0, Mover::of_all(1), 0);
    loop {
        let Some(mut defrag) = heap.defrag(&mut mover) else { return false };
        let done = tree.defrag(&mut defrag, &mut at);
        assert!(defrag.moved() > moved || tree.is_empty() || done, "a step moves something");
        moved = defrag.moved();
        if done {
            assert!(moved as usize >= tree.leaves(), "every leaf, and the nodes above them");
            return true;
        }
        mover.allow(usize::from(step) + 1);
    }
}

/// Applies the operations; looks at all of the tree after every so many, and at the end.
pub fn ordered(ops: Vec<Op>, check_every: usize) {
    let mut heap = Heap::new();
    let mut set = Set { tree: CowTree::new(heap.epoch()) };
    let mut model = BTreeSet::new();
    let mut snapshots: Vec<(CowTree<Numbers>, Vec<u32>, SnapshotTicket)> = vec![];
    for (step, op) in ops.into_iter().enumerate() {
        match op {
            Op::Insert(n) => assert_eq!(set.insert(&mut heap, n.into()), model.insert(n.into())),
            Op::InsertRange(n, size) => (0..u32::from(size)).map(|i| u32::from(n) + i * 3).for_each(|n| {
                assert_eq!(set.insert(&mut heap, n), model.insert(n));
            }),
            Op::InsertBackwards(n, size) => (0..u32::from(size)).rev().map(|i| u32::from(n) + i).for_each(|n| {
                assert_eq!(set.insert(&mut heap, n), model.insert(n));
            }),
            Op::Remove(n) => assert_eq!(set.remove(&mut heap, n.into()), model.remove(&n.into())),
            Op::RemoveRange(n, size) => (0..4 * u32::from(size)).map(|i| u32::from(n) + i).for_each(|n| {
                assert_eq!(set.remove(&mut heap, n), model.remove(&n));
            }),
            Op::Cut(n, size) => {
                let start = usize::from(n) % (model.len() + 1);
                // Now and then from the first or to the last.
                let start = if size % 5 == 0 { 0 } else { start };
                let end = if size % 7 == 0 { usize::MAX } else { start + usize::from(size) * 8 };
                set.cut(&mut heap, start..end, &mut model);
            }
            Op::Rank(n) => {
                let expected = model.range(..u32::from(n)).count();
                let (path, at) = set.find(n.into());
                let before = path.and_then(|path| set.tree.at(path)).map_or(0, |leaf| leaf.rank());
                assert_eq!(before + at.unwrap_or_else(|at| at), expected);
                let found = set.tree.seek_index(expected).map(|(leaf, at)| number(&leaf.leaf()[at * 4..]));
                assert_eq!(found, model.range(u32::from(n)..).next().copied());
            }
            Op::Open => {
                let ticket = heap.open_snapshot().ticket();
                snapshots.push((set.tree.fork(), model.iter().copied().collect(), ticket));
            }
            Op::Read => {
                for (tree, expected, _) in &snapshots {
                    assert_eq!(&Set::all(tree), expected);
                }
            }
            Op::Close(n) if !snapshots.is_empty() => {
                let (tree, expected, ticket) = snapshots.swap_remove(n as usize % snapshots.len());
                assert_eq!(Set::all(&tree), expected);
                drop(ticket);
                heap.reap();
            }
            Op::Close(_) => {}
            Op::Reclaim(n) => drop(heap.reclaim(n.into())),
            Op::Rebuild => {
                let copy = set.tree.duplicate(heap.epoch());
                std::mem::replace(&mut set.tree, copy).discard(&mut heap);
            }
            Op::Defrag(step) => assert!(defrag(&mut set.tree, &heap, step) || !snapshots.is_empty()),
            Op::Clear => {
                set.tree.clear(&mut heap);
                model.clear();
            }
        }
        assert_eq!(set.tree.len(), model.len());
        if step % check_every == 0 {
            set.tree.check_invariants(&heap);
        }
    }
    set.tree.check_invariants(&heap);
    assert!(Set::all(&set.tree).into_iter().eq(model.iter().copied()));
    assert!(set.backwards().into_iter().eq(model.iter().rev().copied()));
    for (tree, expected, ticket) in snapshots {
        assert_eq!(Set::all(&tree), expected);
        drop(ticket);
    }
    set.tree.discard(&mut heap);
    heap.reap();
    while heap.reclaim(3) {}
    assert_eq!(heap.stats(), Default::default());
}

/// Single bytes, found by number alone.
struct Letters;

impl Items for Letters {
    type Bound = ();
    fn bound(_: &[u8]) {}
    fn count(leaf: &[u8]) -> usize {
        leaf.len()
    }
    fn joinable(left: &[u8], right: &[u8]) -> bool {
        left.len() + right.len() <= 6
    }
    fn join(left: &mut Vec<u8>, right: &[u8]) {
        left.extend_from_slice(right);
    }
}

#[derive(Clone, Debug)]
pub enum Edit {
    Insert(u16, u8),
    PushFront(u8),
    PushBack(u8),
    RemoveRange(u16, u16),
    Defrag(u8),
    Snapshot,
    End,
}

impl Edit {
    /// As [`Op::draw`].
    pub fn draw(next: &mut dyn FnMut() -> u64) -> Edit {
        match next() % 13 {
            0..3 => Edit::Insert(next() as u16, next() as u8),
            3..6 => Edit::PushFront(next() as u8),
            6..9 => Edit::PushBack(next() as u8),
            9 => Edit::RemoveRange(next() as u16, next() as u16 % 300),
            10 => Edit::Snapshot,
            11 => Edit::Defrag(next() as u8),
            _ => Edit::End,
        }
    }
}

impl Arbitrary for Edit {
    fn arbitrary(g: &mut Gen) -> Edit {
        Edit::draw(&mut || u64::arbitrary(g))
    }
}

/// As [`ordered`].
pub fn sequence(edits: Vec<Edit>, check_every: usize) {
    let mut heap = Heap::new();
    let mut tree = CowTree::<Letters>::new(heap.epoch());
    let mut model: Vec<u8> = vec![];
    let mut snapshot = None;
    for (step, edit) in edits.into_iter().enumerate() {
        match edit {
            Edit::Insert(at, letter) => {
                let at = at as usize % (model.len() + 1);
                model.insert(at, letter);
                let Some((leaf, inside)) = tree.seek_index(at) else {
                    tree.insert(&mut heap, Place::Last, vec![letter]);
                    continue;
                };
                let path = leaf.path();
                if leaf.count() < 8 {
                    tree.edit(&mut heap, path, |leaf| leaf.insert(inside, letter));
                } else if inside == 0 {
                    tree.insert(&mut heap, Place::Before(path), vec![letter]);
                } else {
                    let tail = tree.edit(&mut heap, path, |leaf| {
                        let tail = leaf.split_off(inside);
                        leaf.push(letter);
                        tail
                    });
                    tree.insert(&mut heap, Place::After(path), tail);
                }
            }
            Edit::Defrag(step) => assert!(defrag(&mut tree, &heap, step) || heap.has_snapshot()),
            Edit::PushFront(size) => (0..size).for_each(|n| {
                tree.insert(&mut heap, Place::First, vec![n; 3]);
                model.splice(0..0, [n; 3]);
            }),
            Edit::PushBack(size) => (0..size).for_each(|n| {
                tree.insert(&mut heap, Place::Last, vec![n; 2]);
                model.extend([n; 2]);
            }),
            Edit::RemoveRange(at, size) => {
                let at = at as usize % (model.len() + 1);
                let end = model.len().min(at + size as usize);
                let mut left = end - at;
                while left > 0 {
                    let (leaf, inside) = tree.seek_index(at).expect("below the length");
                    let (path, here) = (leaf.path(), left.min(leaf.count() - inside));
                    if here == leaf.count() {
                        tree.remove(&mut heap, path);
                    } else {
                        tree.edit(&mut heap, path, |leaf| drop(leaf.drain(inside..inside + here)));
                        tree.mend(&mut heap, path);
                    }
                    left -= here;
                }
                model.drain(at..end);
            }
            Edit::Snapshot => {
                drop(snapshot.take());
                heap.reap();
                let ticket = heap.open_snapshot().ticket();
                snapshot = Some((ticket, tree.fork(), model.clone()));
            }
            Edit::End => {
                drop(snapshot.take());
                heap.reap();
                heap.reclaim(100);
            }
        }
        if step % check_every != 0 {
            continue;
        }
        tree.check_invariants(&heap);
        assert!(tree.iter().flatten().eq(&model));
        if let Some((_, tree, model)) = &snapshot {
            assert!(tree.iter().flatten().eq(model));
        }
    }
    tree.check_invariants(&heap);
    tree.discard(&mut heap);
    drop(snapshot);
    heap.reap();
    while heap.reclaim(100) {}
    assert_eq!(heap.stats(), Default::default());
}

quickcheck! {
    fn a_tree_is_an_ordered_set(ops: Vec<Op>) -> bool {
        ordered(ops, 1);
        true
    }

    fn a_tree_is_a_sequence(edits: Vec<Edit>) -> bool {
        sequence(edits, 1);
        true
    }
}

#[test]
fn filled_in_order_it_is_full() {
    let leaves = if cfg!(miri) { 500 } else { 10_000 };
    let heap = &mut Heap::new();
    let mut forwards = CowTree::<Letters>::new(heap.epoch());
    let mut backwards = CowTree::<Letters>::new(heap.epoch());
    for _ in 0..leaves {
        forwards.insert(heap, Place::Last, vec![1; 8]);
        backwards.insert(heap, Place::First, vec![1; 8]);
    }
    for tree in [forwards, backwards] {
        tree.check_invariants(heap);
        let nodes = tree.memory() - leaves * 8;
        assert!(nodes < leaves * 26, "{nodes} bytes of nodes for {leaves} leaves");
        tree.discard(heap);
    }
}
