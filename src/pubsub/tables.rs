//! The three tables, and who comes and goes.

use std::rc::Rc;

use super::patterns::Patterns;
use super::subscriptions::Subscriptions;
use super::topic::{Topic, Topics};
use crate::reactor::ConnId;

/// What a client can be subscribed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A channel, by its name.
    Channel,
    /// All channels whose name matches.
    Pattern,
    /// A channel of a shard. It has nothing to do with a channel of the same name, and matches no pattern.
    Shard,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];
}

/// Who is subscribed to what.
#[derive(Default, Debug)]
pub struct PubSub {
    channels: Topics,
    shard: Topics,
    patterns: Patterns,
    /// Clients with at least one subscription.
    clients: usize,
    last_stamp: u64,
}

impl PubSub {
    /// Subscribes `who`, whose subscriptions are `mine`; false if it is subscribed already.
    pub fn subscribe(&mut self, mine: &mut Subscriptions, who: ConnId, kind: Kind, name: &[u8]) -> bool {
        if mine.of(kind).find(name).is_some() {
            return false;
        }
        self.last_stamp += 1;
        let topic = match self.topics(kind).find(name) {
            Some(topic) => Rc::clone(topic),
            None => {
                let topic = Topic::new(name);
                match kind {
                    Kind::Channel => _ = self.channels.add(Rc::clone(&topic)),
                    Kind::Pattern => self.patterns.add(Rc::clone(&topic)),
                    Kind::Shard => _ = self.shard.add(Rc::clone(&topic)),
                }
                topic
            }
        };
        topic.change(|receivers| receivers.add(who, self.last_stamp));
        self.clients += usize::from(mine.total() == 0);
        mine.add(kind, topic);
        true
    }

    /// Ends one subscription; false if there was none.
    pub fn unsubscribe(&mut self, mine: &mut Subscriptions, who: ConnId, kind: Kind, name: &[u8]) -> bool {
        let Some(topic) = mine.remove(kind, name) else { return false };
        self.left(mine, who, kind, &topic);
        true
    }

    /// Ends the first subscription of a kind, in order of their names.
    pub fn unsubscribe_first(&mut self, mine: &mut Subscriptions, who: ConnId, kind: Kind) -> Option<Rc<Topic>> {
        let topic = mine.pop_first(kind)?;
        self.left(mine, who, kind, &topic);
        Some(topic)
    }

    /// Ends all subscriptions.
    pub fn leave(&mut self, mine: &mut Subscriptions, who: ConnId) {
        for kind in Kind::ALL {
            while self.unsubscribe_first(mine, who, kind).is_some() {}
        }
    }

    fn left(&mut self, mine: &Subscriptions, who: ConnId, kind: Kind, topic: &Topic) {
        self.last_stamp += 1;
        topic.change(|receivers| receivers.remove(who, self.last_stamp));
        if topic.receivers().is_empty() {
            match kind {
                Kind::Channel => _ = self.channels.remove(topic.name()),
                Kind::Pattern => self.patterns.remove(topic.name()),
                Kind::Shard => _ = self.shard.remove(topic.name()),
            }
        }
        self.clients -= usize::from(mine.total() == 0);
    }

    /// The channel or shard channel of that name, or the pattern itself, if somebody is subscribed to it.
    pub fn find(&self, kind: Kind, name: &[u8]) -> Option<&Topic> {
        self.topics(kind).find(name).map(|topic| &**topic)
    }

    /// Calls `f` for every pattern that `channel` matches.
    pub fn matching(&self, channel: &[u8], f: impl FnMut(&Topic)) {
        self.patterns.matching(channel, f);
    }

    /// Nobody is subscribed to any channel or pattern: a message need not even be made.
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.channels.is_empty() && self.patterns.by_name().is_empty()
    }

    /// How many topics of a kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        self.topics(kind).len()
    }

    /// All topics of a kind, in order of their names.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Topic> {
        self.topics(kind).iter()
    }

    /// How many clients are subscribed to anything.
    pub fn clients(&self) -> usize {
        self.clients
    }

    fn topics(&self, kind: Kind) -> &Topics {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => self.patterns.by_name(),
            Kind::Shard => &self.shard,
        }
    }
}
