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
//!
//! | file | holds |
//! | --- | --- |
//! | this | [`Groups`]: all that is done with them |
//! | `leaves` | the bytes of the four trees |
//! | `load` | groups out of a file |
//! | `needs` | which entries some group still needs |

mod leaves;
mod load;
mod needs;

pub use load::{LoadedConsumer, LoadedGroup, LoadedPending, NewGroups};
pub use needs::Needs;

use super::id::StreamId;
use super::records::{Records, Revision};
use crate::collections::tree::{CowTree, Cursor, Path, Place};
use crate::cow::{Defrag, Epoch, Heap, Unshared};
use leaves::{ConsumerLeaf, GroupLeaf, Named, name, prefix};
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

/// What becomes of a pending entry that [`Groups::claim`] shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// Nothing.
    Leave,
    /// The consumer has it now.
    Take {
        /// When it was delivered.
        delivered_ms: i64,
        /// How often.
        deliveries: u64,
    },
    /// It is pending no longer.
    Forget,
    /// Nothing, and no others are shown.
    Stop,
}

/// So many entries are acknowledged leaf by leaf, fewer one by one.
const SORTED_FROM: usize = 16;

/// That an entry belongs to a consumer.
#[derive(Clone, Copy)]
struct Owned {
    consumer: u64,
    id: StreamId,
}

/// All groups of a stream, their consumers and what is pending.
pub struct Groups {
    groups: CowTree<GroupLeaf>,
    consumers: CowTree<ConsumerLeaf>,
    pending: Records<Pending>,
    owned: Records<Owned>,
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

    /// Shows what is pending in a group, from `start` on, and does with each entry what `decide` says: the consumer `to`
    /// takes it over, or it is pending no longer.
    pub fn claim(
        &mut self,
        heap: &mut Heap,
        group: &Group,
        to: &Consumer,
        start: StreamId,
        mut decide: impl FnMut(&Pending) -> Claim,
    ) {
        let (mut lost, mut won) = (Vec::new(), Vec::new());
        self.pending.revise(heap, (group.number, start), |pending| {
            if pending.group != group.number {
                return Revision::Stop;
            }
            match decide(pending) {
                Claim::Leave => Revision::Keep,
                Claim::Stop => Revision::Stop,
                Claim::Forget => {
                    lost.push((pending.consumer, pending.id));
                    Revision::Remove
                }
                Claim::Take { delivered_ms, deliveries } => {
                    if pending.consumer != to.number {
                        lost.push((pending.consumer, pending.id));
                        won.push(Owned { consumer: to.number, id: pending.id });
                    }
                    *pending = Pending { consumer: to.number, delivered_ms, deliveries, ..*pending };
                    Revision::Change
                }
            }
        });
        lost.sort_unstable();
        self.owned.remove_sorted(heap, &lost, |_| ());
        self.owned.put_sorted(heap, &won);
    }

    /// An entry is pending no longer; false if it was not.
    pub fn acknowledge(&mut self, heap: &mut Heap, group: &Group, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(heap, (group.number, id)) else { return false };
        self.owned.remove(heap, (pending.consumer, id));
        true
    }

    /// Entries are pending no longer; how many of them were. Their ids come in any order, and may come twice.
    pub fn acknowledge_all(&mut self, heap: &mut Heap, group: &Group, mut ids: Vec<StreamId>) -> usize {
        if ids.len() < SORTED_FROM {
            return ids.into_iter().filter(|id| self.acknowledge(heap, group, *id)).count();
        }
        ids.sort_unstable();
        ids.dedup();
        let keys: Vec<(u64, StreamId)> = ids.into_iter().map(|id| (group.number, id)).collect();
        let mut lost = Vec::new();
        self.pending.remove_sorted(heap, &keys, |pending| lost.push((pending.consumer, pending.id)));
        lost.sort_unstable();
        self.owned.remove_sorted(heap, &lost, |_| ());
        lost.len()
    }

    /// An entry is pending in no group any more. Whether it was.
    pub fn forget(&mut self, heap: &mut Heap, id: StreamId) -> bool {
        let groups: Vec<Group> = self.iter().map(|(_, group)| group).collect();
        groups.iter().fold(false, |was, group| self.acknowledge(heap, group, id) | was)
    }

    /// Whether anything is pending in any group.
    pub fn is_any_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// No entry below `end` is pending in any group any more. Whether one was.
    pub fn forget_below(&mut self, heap: &mut Heap, end: StreamId) -> bool {
        let mut was_pending = false;
        let groups: Vec<Group> = self.iter().map(|(_, group)| group).collect();
        for group in groups {
            let below = self.pending_from(&group, StreamId::MIN).take_while(|p| p.id < end);
            let mut consumers: Vec<u64> = below.map(|p| p.consumer).collect();
            consumers.sort_unstable();
            consumers.dedup();
            for number in &consumers {
                self.owned.remove_range(heap, (*number, StreamId::MIN), (*number, end));
            }
            if !consumers.is_empty() {
                self.pending.remove_range(heap, (group.number, StreamId::MIN), (group.number, end));
                was_pending = true;
            }
        }
        was_pending
    }

    /// What groups need, to be asked of one id after the other.
    pub fn needs(&self) -> Needs<'_> {
        Needs::new(self.iter().map(|(_, group)| (group.last_id, self.pending_ids(&group))))
    }

    fn pending_ids(&self, group: &Group) -> impl Iterator<Item = StreamId> + use<'_> {
        self.pending_from(group, StreamId::MIN).map(|p| p.id)
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

    /// The parts in which nodes are moved.
    pub(super) const PARTS: u32 = 4;

    pub(super) fn defrag(&mut self, defrag: &mut Defrag<'_>, part: u32, at: &mut usize) -> bool {
        match part {
            0 => self.groups.defrag(defrag, at),
            1 => self.consumers.defrag(defrag, at),
            2 => self.pending.defrag(defrag, at),
            _ => self.owned.defrag(defrag, at),
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
