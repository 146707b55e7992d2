//! What one client is subscribed to.

use std::rc::Rc;

use super::tables::Kind;
use super::topic::{Topic, Topics};

/// About what a subscription takes on both sides, beside the name: a topic with one receiver, and a place in two trees.
const SUBSCRIPTION_BYTES: usize = 128;

/// The topics of one client. A client that never subscribed has none of these.
#[derive(Default, Debug)]
pub struct Subscriptions {
    channels: Topics,
    patterns: Topics,
    shard: Topics,
    /// Bytes of all their names.
    name_bytes: usize,
}

impl Subscriptions {
    /// How many of one kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.of(kind).len()
    }

    /// How many in all.
    pub fn total(&self) -> usize {
        self.channels.len() + self.patterns.len() + self.shard.len()
    }

    /// The number that a reply to a command about this kind tells: channels and patterns are counted together, shard
    /// channels for themselves.
    pub fn told(&self, kind: Kind) -> usize {
        match kind {
            Kind::Channel | Kind::Pattern => self.channels.len() + self.patterns.len(),
            Kind::Shard => self.shard.len(),
        }
    }

    /// Memory that these subscriptions take, here and in the tables. A name that others are subscribed to as well
    /// counts for each of them.
    pub fn memory(&self) -> usize {
        size_of::<Subscriptions>() + self.total() * SUBSCRIPTION_BYTES + self.name_bytes
    }

    pub(super) fn of(&self, kind: Kind) -> &Topics {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shard,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Topics {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shard,
        }
    }

    pub(super) fn add(&mut self, kind: Kind, topic: Rc<Topic>) {
        self.name_bytes += topic.name().len();
        self.of_mut(kind).add(topic);
    }

    pub(super) fn remove(&mut self, kind: Kind, name: &[u8]) -> Option<Rc<Topic>> {
        let topic = self.of_mut(kind).remove(name)?;
        self.name_bytes -= topic.name().len();
        Some(topic)
    }

    pub(super) fn pop_first(&mut self, kind: Kind) -> Option<Rc<Topic>> {
        let topic = self.of_mut(kind).pop_first()?;
        self.name_bytes -= topic.name().len();
        Some(topic)
    }
}
