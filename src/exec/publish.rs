//! Messages: from who publishes to who is subscribed, and who comes and goes.
//!
//! A message to a channel goes to the subscribers of the channel first, then to those of every pattern that matches; a
//! client that is both gets it twice. It is put into the outbox, encoded once, with the list of its receivers
//! (`client/outbox.rs`): what is delivered when is decided there.

use std::rc::Rc;

use crate::client::{Outbox, PushKind, Session};
use crate::config::KeyspaceEvents;
use crate::exec::instance::Instance;
use crate::pubsub::{Kind, PubSub, Topic};
use crate::reactor::ConnId;
use crate::resp::{Args, push_bulk, push_bulk_header};
use crate::util::piece::PieceBuf;

/// What is published.
enum Message<'a> {
    Whole(&'a [u8]),
    /// A long argument in the pieces it was received in.
    Pieces(PieceBuf),
}

impl Instance {
    /// Publishes a message that the server itself has made. Returns how often it is delivered.
    pub fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        self.publish_to_channel(channel, &Message::Whole(message))
    }

    /// Publishes argument 2 to the channel, or shard channel, that argument 1 names.
    pub fn publish_argument(&mut self, kind: Kind, args: Args<'_>) -> usize {
        let message = match args.pieces(2) {
            Some(pieces) => Message::Pieces(pieces),
            None => Message::Whole(&args[2]),
        };
        match kind {
            Kind::Shard => {
                self.stats.published_shard += 1;
                let Instance { pubsub, outbox, .. } = self;
                let (head, names) = (b"*3\r\n$8\r\nsmessage\r\n", [&args[1]]);
                let push = Push { kind: PushKind::ShardMessage, head, names: &names, message: &message };
                pubsub.find(Kind::Shard, &args[1]).map_or(0, |topic| send(outbox, pubsub, topic, &push))
            }
            Kind::Channel | Kind::Pattern => {
                self.stats.published += 1;
                self.publish_to_channel(&args[1], &message)
            }
        }
    }

    fn publish_to_channel(&mut self, channel: &[u8], message: &Message<'_>) -> usize {
        let Instance { pubsub, outbox, .. } = self;
        let mut receivers = 0;
        if let Some(topic) = pubsub.find(Kind::Channel, channel) {
            let (kind, head) = (PushKind::Message, b"*3\r\n$7\r\nmessage\r\n");
            receivers += send(outbox, pubsub, topic, &Push { kind, head, names: &[channel], message });
        }
        pubsub.matching(channel, |topic| {
            let (kind, head) = (PushKind::PatternMessage, b"*4\r\n$8\r\npmessage\r\n");
            receivers += send(outbox, pubsub, topic, &Push { kind, head, names: &[topic.name(), channel], message });
        });
        receivers
    }

    /// Subscribes a client; false if it is subscribed already.
    pub fn subscribe(&mut self, session: &mut Session, kind: Kind, name: &[u8]) -> bool {
        let Some(conn) = session.conn else { return false };
        session.receives = true;
        let subscribed = self.pubsub.subscribe(session.subscriptions.get_or_insert_default(), conn, kind, name);
        session.note_subscriber();
        self.listen_for_events();
        subscribed
    }

    /// Ends a subscription; false if there was none.
    pub fn unsubscribe(&mut self, session: &mut Session, kind: Kind, name: &[u8]) -> bool {
        let (Some(mine), Some(conn)) = (&mut session.subscriptions, session.conn) else { return false };
        let unsubscribed = self.pubsub.unsubscribe(mine, conn, kind, name);
        session.note_subscriber();
        self.listen_for_events();
        unsubscribed
    }

    /// Ends the first subscription of a kind, in order of their names.
    pub fn unsubscribe_first(&mut self, session: &mut Session, kind: Kind) -> Option<Rc<Topic>> {
        let topic = self.pubsub.unsubscribe_first(session.subscriptions.as_mut()?, session.conn?, kind);
        session.note_subscriber();
        self.listen_for_events();
        topic
    }

    /// Ends all subscriptions of a client, without a word.
    pub fn unsubscribe_all(&mut self, session: &mut Session) {
        if let (Some(mine), Some(conn)) = (session.subscriptions.take(), session.conn) {
            self.pubsub.unsubscribe_all(*mine, conn);
            session.note_subscriber();
            self.listen_for_events();
        }
    }

    /// The client is gone, and so are its subscriptions.
    pub(super) fn forget_subscriber(&mut self, session: &mut Session) {
        if let (Some(mine), Some(conn)) = (session.subscriptions.take(), session.conn) {
            self.pubsub.leave(*mine, conn);
            self.listen_for_events();
        }
    }

    /// Clients that are gone leave some of what they were subscribed to, or all of it. Before the loop sleeps, and for who
    /// asks what there is.
    pub fn leave_topics(&mut self, all: bool) {
        if self.pubsub.has_gone() {
            match all {
                true => self.pubsub.leave_all(),
                false => self.pubsub.leave_some(),
            }
            self.listen_for_events();
        }
    }

    /// Has events noted while they are wanted and somebody could hear of them. To be called when either may have changed.
    pub(super) fn listen_for_events(&mut self) {
        let storage = &self.config.storage;
        let kept = !storage.notify_keyspace_stream.key.is_empty();
        let wanted = match kept || self.pubsub.hears_events() {
            true => storage.notify_keyspace_events,
            false => KeyspaceEvents::NONE,
        };
        self.keyspace.set_events(wanted, kept);
    }
}

/// What is sent: `head`, `names`, the message.
struct Push<'a> {
    kind: PushKind,
    head: &'a [u8],
    names: &'a [&'a [u8]],
    message: &'a Message<'a>,
}

impl Push<'_> {
    fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.head);
        self.names.iter().for_each(|name| push_bulk(out, name));
    }

    fn send(&self, outbox: &mut Outbox, stamp: u64, receivers: impl IntoIterator<Item = ConnId>) {
        match self.message {
            Message::Whole(message) => outbox.send(self.kind, stamp, receivers, |out| {
                self.begin(out);
                push_bulk(out, message);
            }),
            Message::Pieces(message) => {
                let begin = |out: &mut Vec<u8>| {
                    self.begin(out);
                    push_bulk_header(out, message.len());
                };
                outbox.send_long(self.kind, receivers, begin, message.clone());
            }
        }
    }
}

/// Sends something to the receivers of one topic. Returns how many they are.
fn send(outbox: &mut Outbox, pubsub: &PubSub, topic: &Topic, push: &Push<'_>) -> usize {
    if pubsub.has_gone() {
        let here = pubsub.receivers(topic);
        if !here.is_empty() {
            push.send(outbox, 0, here.iter().copied());
        }
        return here.len();
    }
    let receivers = topic.receivers();
    push.send(outbox, receivers.stamp(), receivers.iter());
    receivers.len()
}
