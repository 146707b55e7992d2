//! Groups out of a file: read as the file has them, then laid out as leaves.

use super::leaves::Named;
use super::{Consumer, Group, Groups, Owned, Pending};
use crate::collections::tree::CowTree;
use crate::cow::Epoch;
use crate::types::stream::id::StreamId;
use crate::types::stream::records::{self, Records};

/// The four trees as leaves: what a file gives.
#[derive(Default, Debug)]
pub struct NewGroups {
    groups: Vec<Vec<u8>>,
    consumers: Vec<Vec<u8>>,
    pending: Vec<Vec<u8>>,
    owned: Vec<Vec<u8>>,
    next_number: u64,
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
