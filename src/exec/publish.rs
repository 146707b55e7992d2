//! Messages: from who publishes to who is subscribed, and who comes and goes.
//!
//! A message to a channel goes to the subscribers of the channel first, then to those of every pattern that matches; a
//! client that is both gets it twice. It is put into the outbox, encoded once, with the list of its receivers
//! (`client/outbox.rs`): what is delivered when is decided there.

use std::rc::Rc;

use crate::client::{Outbox, PushKind, Session};
use crate::config::KeyspaceEvents;
use crate::exec::instance::Instance;
use crate::pubsub::{Kind, Topic};
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
                let receivers = self.pubsub.find(Kind::Shard, &args[1]);
                receivers.map_or(0, |topic| {
                    send(
                        &mut self.outbox,
                        PushKind::ShardMessage,
                        b"*3\r\n$8\r\nsmessage\r\n",
                        topic,
                        &[&args[1]],
                        &message,
                    )
                })
            }
            Kind::Channel | Kind::Pattern => {
                self.stats.published += 1;
                self.publish_to_channel(&args[1], &message)
            }
        }
    }

    fn publish_to_channel(&mut self, channel: &[u8], message: &Message<'_>) -> usize {
        let mut receivers = 0;
        let outbox = &mut self.outbox;
        if let Some(topic) = self.pubsub.find(Kind::Channel, channel) {
            receivers += send(outbox, PushKind::Message, b"*3\r\n$7\r\nmessage\r\n", topic, &[channel], message);
        }
        self.pubsub.matching(channel, |topic| {
            let head = b"*4\r\n$8\r\npmessage\r\n";
            receivers += send(outbox, PushKind::PatternMessage, head, topic, &[topic.name(), channel], message);
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
        if let (Some(mut mine), Some(conn)) = (session.subscriptions.take(), session.conn) {
            self.pubsub.leave(&mut mine, conn);
            session.note_subscriber();
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

/// Sends a message to the receivers of one topic: `head`, `names`, the message. Returns how many they are.
fn send(
    outbox: &mut Outbox,
    kind: PushKind,
    head: &[u8],
    topic: &Topic,
    names: &[&[u8]],
    message: &Message<'_>,
) -> usize {
    let receivers = topic.receivers();
    let begin = |out: &mut Vec<u8>| {
        out.extend_from_slice(head);
        names.iter().for_each(|name| push_bulk(out, name));
    };
    match message {
        Message::Whole(message) => outbox.send(kind, receivers.stamp(), receivers.iter(), |out| {
            begin(out);
            push_bulk(out, message);
        }),
        Message::Pieces(message) => {
            let begin = |out: &mut Vec<u8>| {
                begin(out);
                push_bulk_header(out, message.len());
            };
            outbox.send_long(kind, receivers.iter(), begin, message.clone());
        }
    }
    receivers.len()
}
