//! The outbox: what clients are sent without having asked for it just now.
//!
//! A push never goes into a reply while that is being made: the client may be in the middle of an array. It waits here
//! until the request at hand is over, for whoever it is, the calling client included; then it is appended to its
//! receiver's output. So the order is: the reply, then what the request has caused. Who sends a push need not know
//! whether its receiver's session is in the collection or out of it.
//!
//! # Encoded once
//!
//! Pushes lie here one after the other, in RESP2, with a list of their receivers. The RESP3 form of a message differs in
//! its first byte alone, so it is made on the way. A short push is copied to each receiver, a long one is shared, and so
//! is a long argument that was received in pieces.
//!
//! # Many in one
//!
//! Clients that publish send many messages to the same receivers. These are not delivered after each request but together:
//! when the requests at hand are executed, or before one of a client that is sent pushes itself
//! ([`Session::receives`]) is, or is answered. Nobody else can tell. Messages that follow each other and have the same
//! receivers become one push. A receiver's own requests find what they cause behind the reply of each.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Attention, ClientFlags, Clients, Session};
use crate::reactor::ConnId;
use crate::resp::Proto;
use crate::util::piece::PieceBuf;

/// A push of so many bytes is shared by its receivers, if there is more than one.
const SHARE_BYTES_MIN: usize = 4 * 1024;

/// So many bytes do not wait any longer, and no push becomes longer by another one.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Room that is kept from one delivery to the next.
const KEEP_BYTES_MAX: usize = 4 * WAITING_BYTES_MAX;

/// What a push is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PushKind {
    /// What MONITOR shows. It counts as a reply to MONITOR, so that CLIENT REPLY OFF silences it.
    Line,
    /// An answer to a command that is sent even to a client that wants no replies.
    Confirmation,
    /// A message to the subscribers of a channel.
    Message,
    /// A message to the subscribers of a pattern.
    PatternMessage,
    /// A message to the subscribers of a shard channel.
    ShardMessage,
    /// Names of changed keys, or that there are none to be told any more, as a RESP3 push: to a client that caches. In
    /// RESP2 it cannot be told from a reply, and is dropped.
    Invalidation,
    /// [`PushKind::Invalidation`] to a client that is told in another one's place: a subscriber gets it in RESP2, too.
    Redirected,
}

/// What a [`PushKind::Invalidation`] begins with: the keys follow.
pub const INVALIDATE: &[u8] = b">2\r\n$10\r\ninvalidate\r\n";

/// And what it begins with for a subscriber in RESP2.
const INVALIDATE_RESP2: &[u8] = b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";

impl PushKind {
    /// How many kinds there are.
    pub const COUNT: usize = 7;

    /// An aggregate whose first byte is another one in RESP3; the others are encoded for their receiver already.
    fn is_message(self) -> bool {
        matches!(self, PushKind::Message | PushKind::PatternMessage | PushKind::ShardMessage)
    }
}

/// How many pushes went where, by [`PushKind`].
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct PushCounts {
    /// Appended to what their receivers are owed.
    pub delivered: [u64; PushKind::COUNT],
    /// Not wanted by a client that silences them, or is being closed.
    pub dropped: [u64; PushKind::COUNT],
}

impl PushCounts {
    /// Messages with names of changed keys that were delivered.
    pub fn delivered_invalidations(&self) -> u64 {
        [PushKind::Invalidation, PushKind::Redirected].iter().map(|kind| self.delivered[*kind as usize]).sum()
    }

    /// Messages of all kinds that were dropped.
    pub fn dropped_messages(&self) -> u64 {
        let kinds = [PushKind::Message, PushKind::PatternMessage, PushKind::ShardMessage];
        kinds.iter().map(|kind| self.dropped[*kind as usize]).sum()
    }
}

/// One push, or several with the same receivers. It begins where the one before ends.
struct Group {
    kind: PushKind,
    /// Stands for its receivers; 0 for a push that must stay alone.
    stamp: u64,
    /// Where in [`Outbox::bytes`] it ends.
    bytes_end: usize,
    /// Where in [`Outbox::messages`].
    messages_end: usize,
    /// Where in [`Outbox::receivers`].
    receivers_end: usize,
    /// What follows the bytes: a long argument, and a line end.
    body: Option<Body>,
}

type Body = Box<[Bytes]>;

fn is_calling(calling: &Option<&mut Session>, conn: ConnId) -> bool {
    calling.as_ref().is_some_and(|session| session.conn == Some(conn))
}

/// Pushes that wait for the end of the requests that caused them.
#[derive(Default)]
pub struct Outbox {
    groups: Vec<Group>,
    /// All of them, encoded in RESP2.
    bytes: Vec<u8>,
    /// Where in `bytes` each single message begins.
    messages: Vec<usize>,
    receivers: Vec<ConnId>,
    /// Bytes of the bodies.
    body_bytes: usize,
    /// Clients that were delivered something and are not in the server's list of clients to be flushed.
    to_flush: Vec<ConnId>,
}

/// A moment in the life of an outbox.
#[derive(Debug, Default)]
pub struct OutboxMark {
    groups: usize,
    bytes: usize,
    messages: usize,
    receivers: usize,
    body_bytes: usize,
}

impl Outbox {
    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether nothing waits, and nobody is to be flushed.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.groups.is_empty() && self.to_flush.is_empty()
    }

    /// Whether what waits should wait no longer, though the calling client has further requests.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.bytes.len() + self.body_bytes > WAITING_BYTES_MAX
    }

    /// Memory of what waits, without pieces of long arguments.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
            + self.messages.capacity() * size_of::<usize>()
            + self.receivers.capacity() * size_of::<ConnId>()
            + self.groups.capacity() * size_of::<Group>()
    }

    /// How much waits.
    pub fn mark(&self) -> OutboxMark {
        let Outbox { groups, bytes, messages, receivers, body_bytes, .. } = self;
        OutboxMark {
            groups: groups.len(),
            bytes: bytes.len(),
            messages: messages.len(),
            receivers: receivers.len(),
            body_bytes: *body_bytes,
        }
    }

    /// Takes back what was sent since then, of which nothing was delivered.
    pub fn truncate_to(&mut self, mark: &OutboxMark) {
        self.groups.truncate(mark.groups);
        self.bytes.truncate(mark.bytes);
        self.messages.truncate(mark.messages);
        self.receivers.truncate(mark.receivers);
        self.body_bytes = mark.body_bytes;
    }

    /// What waited before others were served goes on waiting; what they were sent is delivered.
    pub fn take_back(&mut self, aside: Outbox) {
        debug_assert!(self.is_empty(), "it was delivered");
        let to_flush = std::mem::take(&mut self.to_flush);
        *self = aside;
        self.to_flush.extend(to_flush);
    }

    /// Sends what `write` appends to all of `receivers`, in this order, behind whatever was sent before. `stamp` stands
    /// for just these receivers, or is 0.
    pub fn send(
        &mut self,
        kind: PushKind,
        stamp: u64,
        receivers: impl IntoIterator<Item = ConnId>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let begin = self.bytes.len();
        write(&mut self.bytes);
        self.messages.push(begin);
        let (bytes_end, messages_end) = (self.bytes.len(), self.messages.len());
        if stamp != 0
            && let Some(last) = self.groups.last_mut()
            && last.stamp == stamp
            && last.body.is_none()
        {
            (last.bytes_end, last.messages_end) = (bytes_end, messages_end);
            return;
        }
        self.receivers.extend(receivers);
        let receivers_end = self.receivers.len();
        self.groups.push(Group { kind, stamp, bytes_end, messages_end, receivers_end, body: None });
    }

    /// The same for a push that ends with an argument that was received in pieces: that is not copied. `write` appends
    /// what goes before it, its length included.
    pub fn send_long(
        &mut self,
        kind: PushKind,
        receivers: impl IntoIterator<Item = ConnId>,
        write: impl FnOnce(&mut Vec<u8>),
        argument: PieceBuf,
    ) {
        self.send(kind, 0, receivers, write);
        self.body_bytes += argument.len();
        let pieces = argument.into_pieces().map(|(piece, len)| piece.slice(0..len));
        let body = pieces.chain([Bytes::from_static(b"\r\n")]).collect();
        self.groups.last_mut().expect("it was sent just now").body = Some(body);
    }

    /// All that waits goes to its receivers. `calling` is the client whose session is out of the collection, if one is.
    /// For another one whose session is out, being in a command that lets others have a turn, it goes on waiting.
    pub fn deliver(&mut self, clients: &mut Clients, mut calling: Option<&mut Session>, counts: &mut PushCounts) {
        let (mut bytes_begin, mut messages_begin, mut receivers_begin) = (0, 0, 0);
        let mut later = Outbox::default();
        for group in &self.groups {
            let messages = &self.messages[messages_begin..group.messages_end];
            let receivers = &self.receivers[receivers_begin..group.receivers_end];
            let mut push = Push {
                kind: group.kind,
                resp2: &self.bytes[bytes_begin..group.bytes_end],
                bytes_begin,
                messages,
                shared_by: receivers.len(),
                shared2: None,
                resp3: None,
                body: group.body.as_deref(),
            };
            let (mut delivered, mut kept) = (0, Vec::new());
            for &to in receivers {
                let connection = match &mut calling {
                    Some(session) if session.conn == Some(to) => {
                        push.append_to(session).then(|| clients.connection_mut(to.index)).flatten()
                    }
                    _ => clients
                        .of_mut(to)
                        .and_then(|client| push.append_to(client.session).then_some(client.connection)),
                };
                let Some(connection) = connection else {
                    if clients.is_out(to) && !is_calling(&calling, to) {
                        kept.push(to);
                    }
                    continue;
                };
                delivered += 1;
                if !connection.flags.has(ClientFlags::FLUSH_PENDING) {
                    connection.flags.put(ClientFlags::FLUSH_PENDING, true);
                    self.to_flush.push(to);
                }
            }
            counts.delivered[group.kind as usize] += delivered * messages.len() as u64;
            counts.dropped[group.kind as usize] +=
                ((receivers.len() - kept.len()) as u64 - delivered) * messages.len() as u64;
            if !kept.is_empty() {
                let ends = messages[1..].iter().copied().chain([group.bytes_end]);
                for (&begin, end) in messages.iter().zip(ends) {
                    later.send(group.kind, 0, kept.iter().copied(), |bytes| {
                        bytes.extend_from_slice(&self.bytes[begin..end])
                    });
                }
                let body = later.groups.last_mut().map(|last| &mut last.body);
                *body.expect("a group has a message") = group.body.clone();
            }
            (bytes_begin, messages_begin, receivers_begin) = (group.bytes_end, group.messages_end, group.receivers_end);
        }
        if clients.are_counted() {
            self.receivers.iter().for_each(|to| clients.count(to.index));
        }
        self.clear();
        if !later.is_empty() {
            let to_flush = std::mem::take(&mut self.to_flush);
            later.body_bytes = later.groups.iter().flat_map(|group| group.body.iter().flatten()).map(Bytes::len).sum();
            *self = Outbox { to_flush, ..later };
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.body_bytes = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_BYTES_MAX);
        self.messages.clear();
        self.messages.shrink_to(KEEP_BYTES_MAX / size_of::<usize>());
        self.receivers.clear();
        self.receivers.shrink_to(KEEP_BYTES_MAX / size_of::<ConnId>());
    }

    /// Clients that were delivered something since this was last called, and are marked as to be flushed.
    pub fn take_to_flush(&mut self, into: &mut VecDeque<ConnId>) {
        into.extend(self.to_flush.drain(..));
    }
}

/// A group on its way to its receivers.
struct Push<'a> {
    kind: PushKind,
    resp2: &'a [u8],
    /// `messages` counts from so many bytes before.
    bytes_begin: usize,
    messages: &'a [usize],
    shared_by: usize,
    /// The two forms as they are shared, once there was somebody to share them with.
    shared2: Option<Bytes>,
    resp3: Option<Bytes>,
    body: Option<&'a [Bytes]>,
}

impl Push<'_> {
    /// Appends it to what `session` is owed; false if it does not want it.
    fn append_to(&mut self, session: &mut Session) -> bool {
        let unwanted = if self.kind == PushKind::Line { NO_LINES } else { CLOSED };
        if session.attention.has(unwanted) {
            return false;
        }
        // What has happened since a reply was asked for comes behind it.
        let is_later = session.attention.has(Attention::ELSEWHERE);
        let is_subscriber = session.is_subscriber();
        let out = if is_later { &mut session.about.late } else { &mut session.reply.out };
        if session.reply.proto == Proto::Resp2 {
            match self.kind {
                PushKind::Redirected if is_subscriber => {
                    let bytes = self.in_resp2();
                    out.bytes_mut().extend_from_slice(&bytes);
                    return true;
                }
                PushKind::Invalidation | PushKind::Redirected => return false,
                _ => {}
            }
        }
        let shared = self.shared_by > 1 && self.resp2.len() >= SHARE_BYTES_MIN;
        if session.reply.proto == Proto::Resp2 || !self.kind.is_message() {
            match shared {
                true => out.share(self.shared2.get_or_insert_with(|| Bytes::copy_from_slice(self.resp2)).clone()),
                false => out.bytes_mut().extend_from_slice(self.resp2),
            }
        } else if shared {
            let resp3 = self.resp3.get_or_insert_with(|| {
                let mut bytes = self.resp2.to_vec();
                self.messages.iter().for_each(|at| bytes[at - self.bytes_begin] = b'>');
                Bytes::from(bytes)
            });
            out.share(resp3.clone());
        } else {
            let out = out.bytes_mut();
            let begin = out.len();
            out.extend_from_slice(self.resp2);
            self.messages.iter().for_each(|at| out[begin + at - self.bytes_begin] = b'>');
        }
        self.body.into_iter().flatten().for_each(|piece| out.share(piece.clone()));
        true
    }

    /// Names of changed keys as messages of a channel.
    fn in_resp2(&self) -> Vec<u8> {
        let ends = self.messages.iter().skip(1).map(|at| at - self.bytes_begin).chain([self.resp2.len()]);
        let mut bytes = Vec::with_capacity(self.resp2.len() + INVALIDATE_RESP2.len());
        for (begin, end) in self.messages.iter().zip(ends) {
            let keys = &self.resp2[begin - self.bytes_begin + INVALIDATE.len()..end];
            bytes.extend_from_slice(INVALIDATE_RESP2);
            bytes.extend_from_slice(if keys == b"_\r\n" { b"$-1\r\n" } else { keys });
        }
        bytes
    }
}

/// A client that is being closed is sent nothing more.
const CLOSED: Attention = Attention::CLOSING.or(Attention::CLOSE_NOW);
const NO_LINES: Attention = CLOSED.or(Attention::REPLY_OFF);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Endpoint;

    fn conn(index: u32) -> ConnId {
        ConnId { index, generation: 1 }
    }

    fn three_clients() -> Clients {
        let mut clients = Clients::default();
        (0..3).for_each(|index| _ = clients.add(conn(index), Endpoint::default(), 0));
        clients.at_mut(2).expect("just added").session.reply.proto = Proto::Resp3;
        clients
    }

    fn text(clients: &Clients, index: u32) -> String {
        String::from_utf8(clients.at(index).expect("just added").session.reply.out.to_vec()).expect("text")
    }

    fn message(outbox: &mut Outbox, stamp: u64, to: &[u32], text: &str) {
        let to = to.iter().map(|index| conn(*index));
        outbox.send(PushKind::Message, stamp, to, |out| out.extend_from_slice(format!("*1\r\n+{text}\r\n").as_bytes()));
    }

    #[test]
    fn in_order_and_silenced_by_reply_off() {
        let mut clients = three_clients();
        clients.at_mut(1).expect("just added").session.attention.put(Attention::REPLY_OFF, true);
        let (mut outbox, mut counts) = (Outbox::default(), PushCounts::default());
        outbox.send(PushKind::Line, 0, [conn(0), conn(1)], |out| out.extend_from_slice(b"+a\r\n"));
        outbox.send(PushKind::Line, 0, [conn(0)], |out| out.extend_from_slice(b"+b\r\n"));
        message(&mut outbox, 1, &[0, 1], "c");
        outbox.deliver(&mut clients, None, &mut counts);
        assert!(outbox.is_empty());
        assert_eq!(text(&clients, 0), "+a\r\n+b\r\n*1\r\n+c\r\n");
        assert_eq!(text(&clients, 1), "*1\r\n+c\r\n", "a message is no reply");
        assert_eq!((counts.delivered, counts.dropped), ([2, 0, 2, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0]));
        let mut flushed = VecDeque::new();
        outbox.take_to_flush(&mut flushed);
        assert_eq!(flushed, [conn(0), conn(1)], "each once");
    }

    #[test]
    fn one_in_the_middle_of_a_command_receives_afterwards() {
        let (mut clients, mut outbox, mut counts) = (three_clients(), Outbox::default(), PushCounts::default());
        let busy = clients.take(1).expect("just added");
        message(&mut outbox, 7, &[0, 1], "a");
        message(&mut outbox, 7, &[0, 1], "b");
        message(&mut outbox, 8, &[1], "c");
        for _ in 0..2 {
            outbox.deliver(&mut clients, None, &mut counts);
            assert_eq!((text(&clients, 0).as_str(), outbox.is_empty()), ("*1\r\n+a\r\n*1\r\n+b\r\n", false));
        }
        clients.put_back(busy);
        outbox.deliver(&mut clients, None, &mut counts);
        assert_eq!(text(&clients, 1), "*1\r\n+a\r\n*1\r\n+b\r\n*1\r\n+c\r\n");
        assert_eq!((counts.delivered[PushKind::Message as usize], counts.dropped), (5, [0; PushKind::COUNT]));
        assert!(outbox.is_empty());
    }

    #[test]
    fn messages_to_the_same_receivers_become_one_and_keep_their_order() {
        let (mut clients, mut outbox, mut counts) = (three_clients(), Outbox::default(), PushCounts::default());
        for (stamp, to, text) in [
            (7, &[1, 2][..], "a"),
            (7, &[1, 2], "b"),
            (8, &[2], "c"),
            (7, &[1, 2], "d"),
            (0, &[2], "e"),
            (0, &[1], "f"),
        ] {
            message(&mut outbox, stamp, to, text);
        }
        assert_eq!(outbox.groups.len(), 5);
        let mut calling = clients.take(2).expect("just added");
        outbox.deliver(&mut clients, Some(&mut calling), &mut counts);
        clients.put_back(calling);
        assert_eq!(text(&clients, 1), "*1\r\n+a\r\n*1\r\n+b\r\n*1\r\n+d\r\n*1\r\n+f\r\n");
        assert_eq!(text(&clients, 2), ">1\r\n+a\r\n>1\r\n+b\r\n>1\r\n+c\r\n>1\r\n+d\r\n>1\r\n+e\r\n");
        assert_eq!(counts.delivered[PushKind::Message as usize], 9);
    }

    #[test]
    fn long_ones_are_shared_in_both_forms() {
        let (mut clients, mut outbox, mut counts) = (three_clients(), Outbox::default(), PushCounts::default());
        let long = "x".repeat(SHARE_BYTES_MIN);
        message(&mut outbox, 1, &[0, 1, 2], &long);
        message(&mut outbox, 1, &[0, 1, 2], "b");
        let mut argument = PieceBuf::default();
        argument.push(&[b'y'; 50_000]);
        outbox.send_long(
            PushKind::ShardMessage,
            [conn(0), conn(2)],
            |out| out.extend_from_slice(b"*1\r\n$50000\r\n"),
            argument,
        );
        outbox.deliver(&mut clients, None, &mut counts);
        let body = "y".repeat(50_000);
        assert_eq!(text(&clients, 0), format!("*1\r\n+{long}\r\n*1\r\n+b\r\n*1\r\n$50000\r\n{body}\r\n"));
        assert_eq!(text(&clients, 1), format!("*1\r\n+{long}\r\n*1\r\n+b\r\n"));
        assert_eq!(text(&clients, 2), format!(">1\r\n+{long}\r\n>1\r\n+b\r\n>1\r\n$50000\r\n{body}\r\n"));
        assert!(clients.iter().all(|client| client.session.reply.out.buffer_memory() < 4000), "nothing long is copied");
    }

    #[test]
    fn who_is_being_closed_or_gone_is_sent_nothing() {
        let (mut clients, mut outbox, mut counts) = (three_clients(), Outbox::default(), PushCounts::default());
        clients.remove(conn(0));
        clients.at_mut(1).expect("just added").session.attention.put(Attention::CLOSE_NOW, true);
        message(&mut outbox, 1, &[0, 1, 2], "a");
        outbox.deliver(&mut clients, None, &mut counts);
        assert!(text(&clients, 1).is_empty());
        let kind = PushKind::Message as usize;
        assert_eq!((counts.delivered[kind], counts.dropped[kind]), (1, 2));
    }
}
