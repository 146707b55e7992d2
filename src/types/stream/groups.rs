//! Consumer groups: what was delivered to whom, and not acknowledged yet.
//!
//! Nothing here is nested. A stream has one tree of groups, one of the consumers of all groups, one of all pending
//! entries, and one that lists the pending entries of each consumer. Groups and consumers have numbers that are never
//! given twice, and all trees are in the order of these:
//!
//! ```text
//! groups      by name                     number, last delivered id, entries read
//! consumers   by (group, name)            number, when seen, when active
//! pending     by (group, id)              consumer, when delivered, how often
//! owned       by (consumer, id)           nothing more
//! ```
//!
//! So the entries a consumer has pending are a range of `owned`, a snapshot shares four trees however many groups there
//! are, and a write copies one leaf of each tree it touches. A group or consumer is a leaf of its own.

use super::id::StreamId;
use super::records::{self, Record, Records};
use crate::collections::tree::{CowTree, Cursor, Items, Path, Place};
use crate::cow::{Epoch, Heap, Unshared};
use std::cmp::Ordering;

/// A group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Group {
    number: u64,
    /// The last id that was delivered.
    pub last_id: StreamId,
    /// How many entries were ever delivered, as far as that is known.
    pub entries_read: Option<u64>,
}

/// A consumer of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Consumer {
    group: u64,
    number: u64,
    /// When it last asked for anything.
    pub seen_ms: i64,
    /// When it last got something; -1 for never.
    pub active_ms: i64,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pending {
    group: u64,
    /// The entry, which may have been deleted.
    pub id: StreamId,
    consumer: u64,
    /// When it was last delivered.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
}

impl Consumer {
    /// What tells it from all other consumers of the stream there ever were.
    pub fn number(&self) -> u64 {
        self.number
    }
}

impl Pending {
    /// The number of the consumer it was delivered to.
    pub fn consumer(&self) -> u64 {
        self.consumer
    }

    /// How long ago it was delivered. The clock may have been set back.
    pub fn idle_ms(&self, now_ms: i64) -> i64 {
        now_ms.saturating_sub(self.delivered_ms)
    }
}

/// That an entry belongs to a consumer.
#[derive(Clone, Copy)]
struct Owned {
    consumer: u64,
    id: StreamId,
}

fn word(bytes: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(*bytes[index * 8..].first_chunk().expect("as many words as the layout has"))
}

fn push_words(out: &mut Vec<u8>, words: impl IntoIterator<Item = u64>) {
    words.into_iter().for_each(|w| out.extend_from_slice(&w.to_le_bytes()));
}

impl Record for Pending {
    type Key = (u64, StreamId);
    const BYTES: usize = 48;

    #[inline]
    fn key(&self) -> Self::Key {
        (self.group, self.id)
    }

    #[inline]
    fn read(bytes: &[u8]) -> Pending {
        Pending {
            group: word(bytes, 0),
            id: StreamId::new(word(bytes, 1), word(bytes, 2)),
            consumer: word(bytes, 3),
            delivered_ms: word(bytes, 4) as i64,
            deliveries: word(bytes, 5),
        }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let (id, ms) = (self.id, self.delivered_ms as u64);
        push_words(out, [self.group, id.ms, id.seq, self.consumer, ms, self.deliveries]);
    }
}

impl Record for Owned {
    type Key = (u64, StreamId);
    const BYTES: usize = 24;

    #[inline]
    fn key(&self) -> Self::Key {
        (self.consumer, self.id)
    }

    #[inline]
    fn read(bytes: &[u8]) -> Owned {
        Owned { consumer: word(bytes, 0), id: StreamId::new(word(bytes, 1), word(bytes, 2)) }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        push_words(out, [self.consumer, self.id.ms, self.id.seq]);
    }
}

/// Words of a leaf before the name.
const WORDS: usize = 4;

/// A leaf that is one thing with a name.
trait Named: Copy {
    fn words(&self) -> [u64; WORDS];
    fn from_words(words: [u64; WORDS]) -> Self;

    fn of(leaf: &[u8]) -> Self {
        Self::from_words(std::array::from_fn(|i| word(leaf, i)))
    }

    fn leaf(&self, name: &[u8]) -> Vec<u8> {
        let mut leaf = Vec::with_capacity(WORDS * 8 + name.len());
        push_words(&mut leaf, self.words());
        leaf.extend_from_slice(name);
        leaf
    }

    fn overwrite(&self, leaf: &mut [u8]) {
        for (place, word) in leaf.chunks_exact_mut(8).zip(self.words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
}

/// As files have it, too.
const UNKNOWN: u64 = u64::MAX;

impl Named for Group {
    fn words(&self) -> [u64; WORDS] {
        [self.number, self.last_id.ms, self.last_id.seq, self.entries_read.unwrap_or(UNKNOWN)]
    }

    fn from_words([number, ms, seq, read]: [u64; WORDS]) -> Group {
        Group { number, last_id: StreamId::new(ms, seq), entries_read: (read != UNKNOWN).then_some(read) }
    }
}

impl Named for Consumer {
    fn words(&self) -> [u64; WORDS] {
        [self.group, self.number, self.seen_ms as u64, self.active_ms as u64]
    }

    fn from_words([group, number, seen, active]: [u64; WORDS]) -> Consumer {
        Consumer { group, number, seen_ms: seen as i64, active_ms: active as i64 }
    }
}

fn name(leaf: &[u8]) -> &[u8] {
    &leaf[WORDS * 8..]
}

/// The first bytes of a name as a number that is in the order of names.
fn prefix(name: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let len = name.len().min(8);
    bytes[..len].copy_from_slice(&name[..len]);
    u64::from_be_bytes(bytes)
}

struct GroupLeaf;
struct ConsumerLeaf;

impl Items for GroupLeaf {
    type Bound = u64;
    fn bound(leaf: &[u8]) -> u64 {
        prefix(name(leaf))
    }
    fn count(_leaf: &[u8]) -> usize {
        1
    }
}

impl Items for ConsumerLeaf {
    type Bound = (u64, u64);
    fn bound(leaf: &[u8]) -> (u64, u64) {
        (word(leaf, 0), prefix(name(leaf)))
    }
    fn count(_leaf: &[u8]) -> usize {
        1
    }
}

/// All groups of a stream, their consumers and what is pending.
pub struct Groups {
    groups: CowTree<GroupLeaf>,
    consumers: CowTree<ConsumerLeaf>,
    pending: Records<Pending>,
    owned: Records<Owned>,
    next_number: u64,
}

/// The four trees as leaves: what a file gives.
#[derive(Default, Debug)]
pub struct NewGroups {
    groups: Vec<Vec<u8>>,
    consumers: Vec<Vec<u8>>,
    pending: Vec<Vec<u8>>,
    owned: Vec<Vec<u8>>,
    next_number: u64,
}

impl Groups {
    /// None yet.
    pub fn new(now: Epoch) -> Groups {
        NewGroups::default().build(now)
    }

    // ---- groups

    fn place(&self, wanted: &[u8]) -> Option<Cursor<'_, GroupLeaf>> {
        let head = prefix(wanted);
        self.groups.seek(|edge| match edge.bound().cmp(&head) {
            Ordering::Equal => name(edge.leaf()) <= wanted,
            other => other.is_lt(),
        })
    }

    fn path_of(&self, wanted: &[u8]) -> Option<Path> {
        self.place(wanted).filter(|c| name(c.leaf()) == wanted).map(|c| c.path())
    }

    /// The group with this name.
    pub fn group(&self, wanted: &[u8]) -> Option<Group> {
        self.place(wanted).filter(|c| name(c.leaf()) == wanted).map(|c| Group::of(c.leaf()))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// All groups in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Group)> {
        self.groups.iter().map(|leaf| (name(leaf), Group::of(leaf)))
    }

    /// Makes a group; false if there is one of this name.
    pub fn create(&mut self, heap: &mut Heap, new: &[u8], last_id: StreamId, entries_read: Option<u64>) -> bool {
        let place = match self.place(new) {
            None => Place::Last,
            Some(at) => match name(at.leaf()).cmp(new) {
                Ordering::Equal => return false,
                Ordering::Less => Place::After(at.path()),
                Ordering::Greater => Place::Before(at.path()),
            },
        };
        let group = Group { number: self.next_number, last_id, entries_read };
        self.next_number += 1;
        self.groups.insert(heap, place, group.leaf(new));
        true
    }

    /// Stores what was changed about a group.
    pub fn update(&mut self, heap: &mut Heap, named: &[u8], group: &Group) {
        if let Some(path) = self.path_of(named) {
            self.groups.edit(heap, path, |leaf| group.overwrite(leaf));
        }
    }

    /// Removes a group with all that belongs to it; false if there is none of this name.
    pub fn destroy_group(&mut self, heap: &mut Heap, named: &[u8]) -> bool {
        let Some(path) = self.path_of(named) else { return false };
        let group = self.group(named).expect("its path was just found");
        self.groups.remove(heap, path);
        self.pending.remove_range(heap, (group.number, StreamId::MIN), (group.number + 1, StreamId::MIN));
        while let Some(cursor) = self.consumer_place(group.number, b"")
            && let consumer = Consumer::of(cursor.leaf())
            && consumer.group == group.number
        {
            let path = cursor.path();
            self.consumers.remove(heap, path);
            self.disown(heap, &consumer);
        }
        true
    }

    // ---- consumers

    /// Where the consumer is, or else the one before its place, or the first one of its group or behind.
    fn consumer_place(&self, group: u64, wanted: &[u8]) -> Option<Cursor<'_, ConsumerLeaf>> {
        let head = (group, prefix(wanted));
        let mut cursor = self.consumers.seek(|edge| match edge.bound().cmp(&head) {
            Ordering::Equal => name(edge.leaf()) <= wanted,
            other => other.is_lt(),
        })?;
        if wanted.is_empty() && Consumer::of(cursor.leaf()).group < group {
            cursor.next();
        }
        Some(cursor)
    }

    fn consumer_at(&self, group: &Group, wanted: &[u8]) -> Option<Cursor<'_, ConsumerLeaf>> {
        let is_it = |leaf: &[u8]| Consumer::of(leaf).group == group.number && name(leaf) == wanted;
        self.consumer_place(group.number, wanted).filter(|c| is_it(c.leaf()))
    }

    /// The consumer of this name.
    pub fn consumer(&self, group: &Group, wanted: &[u8]) -> Option<Consumer> {
        self.consumer_at(group, wanted).map(|c| Consumer::of(c.leaf()))
    }

    /// The consumers of a group in the order of their names.
    pub fn consumers(&self, group: &Group) -> impl Iterator<Item = (&[u8], Consumer)> + use<'_> {
        let number = group.number;
        let mut cursor = self.consumer_place(number, b"");
        std::iter::from_fn(move || {
            let at = cursor.as_mut()?;
            let (leaf, consumer) = (at.leaf(), Consumer::of(at.leaf()));
            if consumer.group != number {
                return None;
            }
            if !at.next() {
                cursor = None;
            }
            Some((name(leaf), consumer))
        })
    }

    /// How many consumers a group has.
    pub fn consumers_len(&self, group: &Group) -> usize {
        let rank = |number| {
            self.consumer_place(number, b"").map_or(0, |c| {
                let before = Consumer::of(c.leaf()).group < number;
                c.rank() + usize::from(before)
            })
        };
        rank(group.number + 1) - rank(group.number)
    }

    /// Makes a consumer; false if there is one of this name.
    pub fn create_consumer(&mut self, heap: &mut Heap, group: &Group, new: &[u8], seen_ms: i64) -> bool {
        let place = match self.consumer_place(group.number, new) {
            None => Place::Last,
            Some(at) => match (Consumer::of(at.leaf()).group, name(at.leaf())).cmp(&(group.number, new)) {
                Ordering::Equal => return false,
                Ordering::Less => Place::After(at.path()),
                Ordering::Greater => Place::Before(at.path()),
            },
        };
        let consumer = Consumer { group: group.number, number: self.next_number, seen_ms, active_ms: -1 };
        self.next_number += 1;
        self.consumers.insert(heap, place, consumer.leaf(new));
        true
    }

    /// Stores what was changed about a consumer.
    pub fn update_consumer(&mut self, heap: &mut Heap, group: &Group, named: &[u8], consumer: &Consumer) {
        if let Some(path) = self.consumer_at(group, named).map(|c| c.path()) {
            self.consumers.edit(heap, path, |leaf| consumer.overwrite(leaf));
        }
    }

    /// Removes a consumer, and with it what is pending for it. Returns how many entries that were.
    pub fn delete_consumer(&mut self, heap: &mut Heap, group: &Group, named: &[u8]) -> Option<usize> {
        let cursor = self.consumer_at(group, named)?;
        let (consumer, path) = (Consumer::of(cursor.leaf()), cursor.path());
        let ids: Vec<StreamId> = self.owned_by(&consumer, StreamId::MIN).collect();
        for id in &ids {
            self.pending.remove(heap, (group.number, *id));
        }
        self.disown(heap, &consumer);
        self.consumers.remove(heap, path);
        Some(ids.len())
    }

    fn disown(&mut self, heap: &mut Heap, consumer: &Consumer) {
        self.owned.remove_range(heap, (consumer.number, StreamId::MIN), (consumer.number + 1, StreamId::MIN));
    }

    // ---- pending entries

    /// How many entries are pending in a group.
    pub fn pending_len(&self, group: &Group) -> usize {
        self.pending.count((group.number, StreamId::MIN), (group.number + 1, StreamId::MIN))
    }

    /// How many entries are pending for a consumer.
    pub fn owned_len(&self, consumer: &Consumer) -> usize {
        self.owned.count((consumer.number, StreamId::MIN), (consumer.number + 1, StreamId::MIN))
    }

    /// The pending entry with this id.
    pub fn pending(&self, group: &Group, id: StreamId) -> Option<Pending> {
        self.pending.get((group.number, id))
    }

    /// The pending entries of a group from `start` on.
    pub fn pending_from(&self, group: &Group, start: StreamId) -> impl Iterator<Item = Pending> + use<'_> {
        let number = group.number;
        self.pending.iter_from((number, start)).take_while(move |p| p.group == number)
    }

    /// The pending entry of a group with the highest id.
    pub fn pending_last(&self, group: &Group) -> Option<Pending> {
        self.pending.last_before((group.number + 1, StreamId::MIN)).filter(|p| p.group == group.number)
    }

    /// The ids of the entries that are pending for a consumer, from `start` on.
    pub fn owned_by(&self, consumer: &Consumer, start: StreamId) -> impl Iterator<Item = StreamId> + use<'_> {
        let number = consumer.number;
        self.owned.iter_from((number, start)).take_while(move |o| o.consumer == number).map(|o| o.id)
    }

    /// An entry was delivered to a consumer, whoever had it before.
    pub fn deliver(&mut self, heap: &mut Heap, to: &Consumer, id: StreamId, delivered_ms: i64, deliveries: u64) {
        let record = Pending { group: to.group, id, consumer: to.number, delivered_ms, deliveries };
        let before = self.pending.put(heap, record);
        match before {
            Some(before) if before.consumer == to.number => return,
            Some(before) => drop(self.owned.remove(heap, (before.consumer, id))),
            None => {}
        }
        self.owned.put(heap, Owned { consumer: to.number, id });
    }

    /// An entry is pending no longer; false if it was not.
    pub fn acknowledge(&mut self, heap: &mut Heap, group: &Group, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(heap, (group.number, id)) else { return false };
        self.owned.remove(heap, (pending.consumer, id));
        true
    }

    /// An entry is pending in no group any more.
    pub fn forget(&mut self, heap: &mut Heap, id: StreamId) {
        let groups: Vec<Group> = self.iter().map(|(_, group)| group).collect();
        for group in groups {
            self.acknowledge(heap, &group, id);
        }
    }

    /// Whether some group was given the entry and has not acknowledged it, or has not been given it yet.
    pub fn is_needed(&self, id: StreamId) -> bool {
        self.iter().any(|(_, group)| group.last_id < id || self.pending(&group, id).is_some())
    }

    // ---- the whole

    /// How many allocations freeing takes.
    pub(super) fn free_effort(&self) -> usize {
        self.groups.leaves() + self.consumers.leaves() + self.pending.leaves_len() + self.owned.leaves_len()
    }

    pub(super) fn origin(&self) -> Epoch {
        let trees = [self.groups.origin(), self.consumers.origin(), self.pending.origin(), self.owned.origin()];
        trees.into_iter().min().expect("there are four")
    }

    pub(super) fn fork(&self) -> Groups {
        Groups {
            groups: self.groups.fork(),
            consumers: self.consumers.fork(),
            pending: self.pending.fork(),
            owned: self.owned.fork(),
            next_number: self.next_number,
        }
    }

    pub(super) fn duplicate(&self, now: Epoch) -> Groups {
        Groups {
            groups: self.groups.duplicate(now),
            consumers: self.consumers.duplicate(now),
            pending: self.pending.duplicate(now),
            owned: self.owned.duplicate(now),
            next_number: self.next_number,
        }
    }

    pub(super) fn destroy_some(&mut self, budget: &mut usize, proof: &Unshared) -> bool {
        self.groups.destroy_some(budget, proof)
            && self.consumers.destroy_some(budget, proof)
            && self.pending.destroy_some(budget, proof)
            && self.owned.destroy_some(budget, proof)
    }

    pub(super) fn destroy(self, proof: &Unshared) {
        self.groups.destroy(proof);
        self.consumers.destroy(proof);
        self.pending.destroy(proof);
        self.owned.destroy(proof);
    }

    pub(super) fn memory(&self) -> usize {
        self.groups.memory() + self.consumers.memory() + self.pending.memory() + self.owned.memory()
    }
}

/// A group out of a file, while it is read.
pub struct LoadedGroup {
    /// Its name.
    pub name: Vec<u8>,
    /// The last id that was delivered.
    pub last_id: StreamId,
    /// How many entries were delivered, if known.
    pub entries_read: Option<u64>,
    /// What is pending: by id.
    pub pending: Vec<LoadedPending>,
    /// Its consumers, with the ids they own in order.
    pub consumers: Vec<LoadedConsumer>,
}

/// A pending entry out of a file.
pub struct LoadedPending {
    /// The entry.
    pub id: StreamId,
    /// When it was last delivered.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
    /// Whose it is: index into the consumers of the group.
    pub consumer: Option<usize>,
}

/// A consumer out of a file.
pub struct LoadedConsumer {
    /// Its name.
    pub name: Vec<u8>,
    /// When it was last seen.
    pub seen_ms: i64,
    /// When it was last active.
    pub active_ms: i64,
    /// The ids of its pending entries, in order.
    pub owned: Vec<StreamId>,
}

impl NewGroups {
    /// Takes the groups of a file. Pending entries without a consumer are left out.
    pub fn of(mut loaded: Vec<LoadedGroup>) -> NewGroups {
        loaded.sort_by(|a, b| a.name.cmp(&b.name));
        let mut new = NewGroups::default();
        let (mut pending, mut owned) = (vec![], vec![]);
        let mut next = 0;
        let mut number = || {
            next += 1;
            next - 1
        };
        for mut group in loaded {
            let head = Group { number: number(), last_id: group.last_id, entries_read: group.entries_read };
            new.groups.push(head.leaf(&group.name));
            // Pending entries name consumers by their place in the file; numbers go by names.
            let mut order: Vec<usize> = (0..group.consumers.len()).collect();
            order.sort_by(|a, b| group.consumers[*a].name.cmp(&group.consumers[*b].name));
            let mut numbers = vec![0; order.len()];
            for place in order {
                let from = &mut group.consumers[place];
                let (seen_ms, active_ms) = (from.seen_ms, from.active_ms);
                let consumer = Consumer { group: head.number, number: number(), seen_ms, active_ms };
                numbers[place] = consumer.number;
                new.consumers.push(consumer.leaf(&from.name));
                owned.extend(from.owned.drain(..).map(|id| Owned { consumer: consumer.number, id }));
            }
            pending.extend(group.pending.iter().filter_map(|p| {
                let LoadedPending { id, delivered_ms, deliveries, consumer } = *p;
                Some(Pending { group: head.number, id, consumer: numbers[consumer?], delivered_ms, deliveries })
            }));
        }
        new.pending = records::leaves(&pending);
        new.owned = records::leaves(&owned);
        new.next_number = next;
        new
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The trees.
    pub fn build(self, now: Epoch) -> Groups {
        Groups {
            groups: CowTree::from_leaves(now, self.groups),
            consumers: CowTree::from_leaves(now, self.consumers),
            pending: Records::from_leaves(now, self.pending),
            owned: Records::from_leaves(now, self.owned),
            next_number: self.next_number,
        }
    }
}
