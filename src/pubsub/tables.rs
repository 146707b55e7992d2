//! The three tables, and who comes and goes.
//!
//! A client that is closed may have been subscribed to a million topics. It leaves a part of them at a time, between other
//! work ([`PubSub::leave_some`]); until it has left them all it is one of those who are *gone*, and is not counted among
//! the receivers of any topic.

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
    /// Clients that are closed, with the topics that they have not left yet.
    gone: Vec<(ConnId, Subscriptions)>,
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
        self.left(who, kind, &topic);
        self.clients -= usize::from(mine.total() == 0);
        true
    }

    /// Ends the first subscription of a kind, in order of their names.
    pub fn unsubscribe_first(&mut self, mine: &mut Subscriptions, who: ConnId, kind: Kind) -> Option<Rc<Topic>> {
        let topic = mine.pop_first(kind)?;
        self.left(who, kind, &topic);
        self.clients -= usize::from(mine.total() == 0);
        Some(topic)
    }

    /// Ends all subscriptions of a client that stays.
    pub fn unsubscribe_all(&mut self, mut mine: Subscriptions, who: ConnId) {
        self.clients -= usize::from(mine.total() > 0);
        self.leave_topics(&mut mine, who, usize::MAX);
    }

    /// A client is closed: its subscriptions are over, though it may not have left all of them when this returns.
    pub fn leave(&mut self, mut mine: Subscriptions, who: ConnId) {
        self.clients -= usize::from(mine.total() > 0);
        self.leave_topics(&mut mine, who, TOPICS_AT_ONCE);
        if mine.total() > 0 {
            self.gone.push((who, mine));
        }
    }

    /// One that is gone leaves some more of its topics.
    pub fn leave_some(&mut self) {
        self.leave_up_to(TOPICS_AT_ONCE);
    }

    /// Clients that are gone leave all their topics, for those who ask which topics there are.
    pub fn leave_all(&mut self) {
        while self.has_gone() {
            self.leave_up_to(usize::MAX);
        }
    }

    /// Whether there is something to be done by [`PubSub::leave_some`].
    #[inline]
    pub fn has_gone(&self) -> bool {
        !self.gone.is_empty()
    }

    fn leave_up_to(&mut self, most: usize) {
        let Some((who, mut mine)) = self.gone.pop() else { return };
        self.leave_topics(&mut mine, who, most);
        if mine.total() > 0 {
            self.gone.push((who, mine));
        }
    }

    fn leave_topics(&mut self, mine: &mut Subscriptions, who: ConnId, most: usize) {
        for _ in 0..most {
            let Some((kind, topic)) = Kind::ALL.into_iter().find_map(|kind| Some((kind, mine.pop_first(kind)?))) else {
                return;
            };
            self.left(who, kind, &topic);
        }
    }

    /// The receivers of a topic, those who are gone not among them.
    pub fn receivers(&self, topic: &Topic) -> Vec<ConnId> {
        let is_here = |who: &ConnId| !self.gone.iter().any(|(gone, _)| gone == who);
        topic.receivers().iter().filter(is_here).collect()
    }

    fn left(&mut self, who: ConnId, kind: Kind, topic: &Topic) {
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
    }

    /// The channel or shard channel of that name, or the pattern itself, if somebody is subscribed to it, or was and is gone.
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

    /// How many topics of a kind there are, those included that only clients which are gone have not left yet.
    pub fn count(&self, kind: Kind) -> usize {
        self.topics(kind).len()
    }

    /// The same topics, in order of their names.
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

/// So many topics are left at once: it takes a tenth of a millisecond.
const TOPICS_AT_ONCE: usize = 512;

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
    fn who_is_gone_leaves_a_part_at_a_time_and_receives_nothing() {
        let who = |index| ConnId { index, generation: 1 };
        let name = |i: usize| format!("t:{i}").into_bytes();
        let mut pubsub = PubSub::default();
        let (mut many, mut few) = (Subscriptions::default(), Subscriptions::default());
        for i in 0..10_000 {
            pubsub.subscribe(&mut many, who(1), Kind::ALL[i % 3], &name(i));
        }
        (0..100).for_each(|i| _ = pubsub.subscribe(&mut few, who(2), Kind::ALL[i % 3], &name(i)));
        assert_eq!(pubsub.clients(), 2);
        pubsub.leave(many, who(1));
        assert_eq!(pubsub.clients(), 1);
        let mut steps = 0;
        while pubsub.has_gone() {
            for i in [0, 50, 99, 100, 5_000, 9_999] {
                let topic = pubsub.find(Kind::ALL[i % 3], &name(i));
                let receivers = topic.map_or(Vec::new(), |topic| pubsub.receivers(topic));
                assert_eq!(receivers, if i < 100 { vec![who(2)] } else { vec![] });
            }
            pubsub.leave_some();
            steps += 1;
        }
        assert!((15..30).contains(&steps), "{steps}");
        assert_eq!(Kind::ALL.map(|kind| pubsub.count(kind)), [34, 33, 33]);
        pubsub.leave(few, who(2));
        assert!(!pubsub.has_gone(), "a few are left at once");
        assert_eq!((Kind::ALL.map(|kind| pubsub.count(kind)), pubsub.clients()), ([0, 0, 0], 0));
    }

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
            pubsub.leave(others, other);
            assert!(!pubsub.hears_events(), "{name}");
        }
    }
}
