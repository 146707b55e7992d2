//! A topic: a name that clients are subscribed to, and who they are.
//!
//! Nearly every topic has one receiver, some have many thousands: the first one lies in the topic, the others in a
//! tree, so that a client that leaves is found without a walk over the rest.

use std::borrow::Borrow;
use std::cell::{Ref, RefCell};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::reactor::ConnId;

/// A channel, a shard channel or a pattern that somebody is subscribed to.
#[derive(Debug)]
pub struct Topic {
    name: Box<[u8]>,
    receivers: RefCell<Receivers>,
}

impl Topic {
    /// A topic that nobody is subscribed to yet.
    pub(super) fn new(name: &[u8]) -> Rc<Topic> {
        Rc::new(Topic { name: name.into(), receivers: RefCell::default() })
    }

    /// Its name, or the pattern.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Who is subscribed.
    pub fn receivers(&self) -> Ref<'_, Receivers> {
        self.receivers.borrow()
    }

    pub(super) fn change<T>(&self, f: impl FnOnce(&mut Receivers) -> T) -> T {
        f(&mut self.receivers.borrow_mut())
    }
}

/// The clients that are subscribed to one topic.
#[derive(Default, Debug)]
pub struct Receivers {
    first: Option<ConnId>,
    #[expect(clippy::box_collection, reason = "most topics have one receiver, and a pointer is a third of a set")]
    more: Option<Box<BTreeSet<ConnId>>>,
    /// A number that no other topic has, nor this one before its last change.
    stamp: u64,
}

impl Receivers {
    /// How many.
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.as_ref().map_or(0, |more| more.len())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// All of them, each once.
    pub fn iter(&self) -> impl Iterator<Item = ConnId> {
        self.first.into_iter().chain(self.more.iter().flat_map(|more| more.iter().copied()))
    }

    /// Stands for this topic with just these receivers: the number is another one after every change. Never 0.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// False if `who` is there already.
    pub(super) fn add(&mut self, who: ConnId, stamp: u64) -> bool {
        let added = match self.first {
            None => {
                self.first = Some(who);
                true
            }
            Some(first) => first != who && self.more.get_or_insert_default().insert(who),
        };
        if added {
            self.stamp = stamp;
        }
        added
    }

    /// False if `who` is not there.
    pub(super) fn remove(&mut self, who: ConnId, stamp: u64) -> bool {
        let removed = if self.first == Some(who) {
            self.first = self.more.as_mut().and_then(|more| more.pop_first());
            true
        } else {
            self.more.as_mut().is_some_and(|more| more.remove(&who))
        };
        if self.more.as_ref().is_some_and(|more| more.is_empty()) {
            self.more = None;
        }
        if removed {
            self.stamp = stamp;
        }
        removed
    }
}

/// A topic in a set that is ordered by name, and can be asked by name.
#[derive(Clone, Debug)]
struct ByName(Rc<Topic>);

impl Borrow<[u8]> for ByName {
    fn borrow(&self) -> &[u8] {
        self.0.name()
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &ByName) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for ByName {}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &ByName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByName {
    fn cmp(&self, other: &ByName) -> Ordering {
        self.0.name().cmp(other.0.name())
    }
}

/// Topics by name. A tree and no hash table: with a million topics, growing must not keep everybody waiting.
#[derive(Default, Debug)]
pub(super) struct Topics(BTreeSet<ByName>);

impl Topics {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&Rc<Topic>> {
        self.0.get(name).map(|topic| &topic.0)
    }

    /// False if a topic of that name is there already.
    pub(super) fn add(&mut self, topic: Rc<Topic>) -> bool {
        self.0.insert(ByName(topic))
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> Option<Rc<Topic>> {
        self.0.take(name).map(|topic| topic.0)
    }

    pub(super) fn pop_first(&mut self) -> Option<Rc<Topic>> {
        self.0.pop_first().map(|topic| topic.0)
    }

    /// In order of their names.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Topic> {
        self.0.iter().map(|topic| &*topic.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 7 }
    }

    #[test]
    fn receivers_come_and_go_and_every_change_is_stamped() {
        let mut receivers = Receivers::default();
        for (stamp, index) in [(1, 5), (2, 3), (3, 9)] {
            assert!(receivers.add(conn(index), stamp));
            assert_eq!(receivers.stamp(), stamp);
        }
        assert!(!receivers.add(conn(5), 4) && !receivers.add(conn(3), 4) && receivers.stamp() == 3);
        assert_eq!(receivers.iter().map(|c| c.index).collect::<Vec<_>>(), [5, 3, 9]);
        assert!(receivers.remove(conn(5), 5));
        assert_eq!(receivers.iter().map(|c| c.index).collect::<Vec<_>>(), [3, 9]);
        assert!(!receivers.remove(conn(5), 6) && receivers.stamp() == 5);
        assert!(receivers.remove(conn(9), 7) && receivers.more.is_none());
        assert!(receivers.remove(conn(3), 8) && receivers.is_empty());
    }
}
