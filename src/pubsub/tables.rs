//! The three tables, and who comes and goes.

use std::rc::Rc;

use super::patterns::{Patterns, literal_prefix};
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
    /// Channels and patterns that a keyspace event may be meant for.
    of_events: usize,
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
                self.of_events += usize::from(is_of_events(kind, name));
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
            self.of_events -= usize::from(is_of_events(kind, topic.name()));
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

    /// Somebody is subscribed to what may be the channel of a keyspace event. If not, events need not even be noted.
    #[inline]
    pub fn hears_events(&self) -> bool {
        self.of_events > 0
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

/// What the channels of all keyspace events begin with.
const EVENTS_PREFIX: &[u8] = b"__key";

fn is_of_events(kind: Kind, name: &[u8]) -> bool {
    match kind {
        Kind::Channel => name.starts_with(EVENTS_PREFIX),
        Kind::Pattern => {
            let prefix = literal_prefix(name);
            prefix.starts_with(EVENTS_PREFIX) || EVENTS_PREFIX.starts_with(&prefix)
        }
        Kind::Shard => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_hear_events_is_known() {
        let (mut pubsub, mut mine) = (PubSub::default(), Subscriptions::default());
        let who = ConnId { index: 0, generation: 1 };
        let deaf = [
            (Kind::Channel, "news"),
            (Kind::Channel, "__ke"),
            (Kind::Pattern, "a*"),
            (Kind::Shard, "__keyspace@0__:k"),
        ];
        deaf.iter().for_each(|(kind, name)| _ = pubsub.subscribe(&mut mine, who, *kind, name.as_bytes()));
        assert!(!pubsub.hears_events());
        for (kind, name) in [
            (Kind::Channel, "__keyspace@0__:k"),
            (Kind::Channel, "__keyevent@0__:set"),
            (Kind::Pattern, "__key*"),
            (Kind::Pattern, "*"),
            (Kind::Pattern, "_*"),
            (Kind::Pattern, "\\__[a-z]*:set"),
            (Kind::Pattern, "__keyspace@0__:k"),
        ] {
            assert!(pubsub.subscribe(&mut mine, who, kind, name.as_bytes()));
            assert!(pubsub.hears_events(), "{name}");
            let (mut others, other) = (Subscriptions::default(), ConnId { index: 1, generation: 1 });
            pubsub.subscribe(&mut others, other, kind, name.as_bytes());
            assert!(pubsub.unsubscribe(&mut mine, who, kind, name.as_bytes()) && pubsub.hears_events());
            pubsub.leave(&mut others, other);
            assert!(!pubsub.hears_events(), "{name}");
        }
    }
}
