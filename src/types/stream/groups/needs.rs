//! Which entries groups still need, asked of rising ids: each list of pending entries is walked once, however many
//! entries are asked about.

use crate::types::stream::id::StreamId;
use std::iter::Peekable;

/// What all groups of a stream need: what they were not given yet, and what is pending.
pub struct Needs<'a> {
    /// Every group was given what is not above this.
    all_behind: StreamId,
    /// The pending ids of each group, from the one that was asked for last on.
    pending: Vec<Peekable<Box<dyn Iterator<Item = StreamId> + 'a>>>,
}

impl<'a> Needs<'a> {
    /// Of groups: the last id that each was given, and its pending ids in order.
    pub(super) fn new<I>(groups: impl Iterator<Item = (StreamId, I)>) -> Needs<'a>
    where
        I: Iterator<Item = StreamId> + 'a,
    {
        let mut needs = Needs { all_behind: StreamId::MAX, pending: vec![] };
        for (last_id, pending) in groups {
            needs.all_behind = needs.all_behind.min(last_id);
            let mut pending = (Box::new(pending) as Box<dyn Iterator<Item = StreamId> + 'a>).peekable();
            if pending.peek().is_some() {
                needs.pending.push(pending);
            }
        }
        needs
    }

    /// Behind this id everything is needed.
    pub fn all_behind(&self) -> StreamId {
        self.all_behind
    }

    /// Whether some group needs this entry. Ids must rise from call to call.
    pub fn covers(&mut self, id: StreamId) -> bool {
        id > self.all_behind
            || self.pending.iter_mut().any(|ids| {
                while ids.next_if(|pending| *pending < id).is_some() {}
                ids.peek() == Some(&id)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> StreamId {
        StreamId::new(n, 0)
    }

    #[test]
    fn pending_or_not_given() {
        let groups = [(8, vec![1, 4, 5]), (6, vec![]), (9, vec![2, 5, 20])];
        let ids = |(last, pending): (u64, Vec<u64>)| (id(last), pending.into_iter().map(id));
        let mut needs = Needs::new(groups.into_iter().map(ids));
        assert_eq!(needs.all_behind(), id(6));
        let needed: Vec<u64> = (0..9).filter(|n| needs.covers(id(*n))).collect();
        assert_eq!(needed, [1, 2, 4, 5, 7, 8]);
        assert!(!Needs::new([].map(ids).into_iter()).covers(id(3)), "without groups nothing is needed");
    }
}
