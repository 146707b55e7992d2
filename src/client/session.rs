//! A session: what runs commands, whoever it is.
//!
//! A client is a session with a connection. What a script calls, what a file holds and what a primary sends is run for a
//! session, too, and those have no connection of their own: so handlers and gates are given a session and never ask for
//! more. What concerns a connection (to close it, to show where it comes from) goes over [`Clients`](super::Clients) or
//! is left as an `Ask` for the server.

use std::rc::Rc;

use super::{ClientId, Demand, Held, ReplicaFacts, Transaction};
use crate::pubsub::{Kind, Subscriptions};
use crate::reactor::ConnId;
use crate::resp::{Proto, Reply};
use crate::tracking::Tracker;
use crate::util::bit_set::bit_set;
use crate::util::output_buffer::OutputBuffer;

bit_set! {
    /// Reasons why this client's next request cannot take the short way through the gates. Empty nearly always: the
    /// call path tests the whole set with one branch.
    Attention: u32 {
        /// Must authenticate first.
        UNAUTHENTICATED = 0;
        /// Requests are queued, not run.
        IN_MULTI = 1;
        /// CLIENT REPLY OFF.
        REPLY_OFF = 2;
        /// Said CLIENT REPLY SKIP: the reply of the next request is dropped.
        REPLY_SKIP_NEXT = 3;
        /// The reply of this request is dropped.
        REPLY_SKIP = 4;
        /// In MONITOR mode.
        MONITOR = 5;
        /// Nothing more is read or run; closed when the replies are out.
        CLOSING = 6;
        /// Closed at once, whatever is still to be sent.
        CLOSE_NOW = 7;
        /// CLIENT NO-TOUCH.
        NO_TOUCH = 8;
        /// Held back by CLIENT PAUSE.
        PAUSED = 9;
        /// Said SHUTDOWN, and hears of it only when that fails. What it sent after it waits.
        AWAITS_SHUTDOWN = 10;
        /// Its request waits for a key to change. What it sent after it waits.
        BLOCKED = 11;
        /// It is owed too much to be given more: what it sent waits until it has read its replies.
        BEHIND = 12;
        /// It has asked for the stream of writes.
        REPLICA = 13;
        /// Subscribed to something, and in RESP2, where a message cannot be told from a reply: few commands are left to it.
        SUBSCRIBER_MODE = 14;
        /// Another thread, or another instance, does what it has asked for. What it sent after that waits.
        ELSEWHERE = 15;
        /// Said CLIENT CACHING: what the next command, or the whole next transaction, reads is tracked (OPTIN), or is not.
        CACHING = 16;
        /// It is our primary.
        PRIMARY = 17;
        /// It runs what a script calls.
        SCRIPT = 18;
        /// CLIENT WRITEACKS: replies to its writes wait for replicas.
        WRITE_ACKS = 19;
    }
}

impl Attention {
    /// Its requests wait: nothing more of it is parsed.
    pub const HELD: Attention = Attention::PAUSED.or(Attention::BLOCKED).or(Attention::ELSEWHERE);
}

/// About what watching a key takes: its name, and an entry on both sides.
const WATCH_BYTES: usize = 112;

/// Who has commands run, with what must be known for that.
pub struct Session {
    /// CLIENT ID.
    pub id: ClientId,
    /// The connection that its replies and pushes go to, if it has one.
    pub conn: Option<ConnId>,
    /// Why the next request cannot take the short way.
    pub attention: Attention,
    /// Selected db.
    pub db: u32,
    /// What it is owed, and the protocol that is encoded in.
    pub reply: Reply,
    /// The queue of MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// What it is subscribed to; `None` until it first subscribes.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// How it tracks keys; `None` until it first does.
    pub tracker: Option<Rc<Tracker>>,
    /// How many keys it watches.
    pub watching: u32,
    /// The last command, as an index of the command table; `u16::MAX` before the first.
    pub last_command: u16,
    /// On this machine: it came through the unix socket or the loopback interface.
    pub is_local: bool,
    /// May be sent pushes: those that its own requests cause are delivered behind each of them. Never taken back.
    pub receives: bool,
    /// Requests executed.
    pub commands: u64,
    /// What is asked for rarely.
    pub about: Box<About>,
}

/// Facts about a session that only introspection asks for.
#[derive(Default)]
pub struct About {
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_ver: Vec<u8>,
    /// The user it authenticated as.
    pub user: Vec<u8>,
    /// What it was sent while another thread reads what it has asked for: that comes behind the reply.
    pub late: OutputBuffer,
    /// Where the last of its writes ends in the replication stream, at the latest: 0 if it has written nothing.
    pub wrote_offset: u64,
    /// CLIENT WRITEACKS, if it has said that.
    pub demand: Option<Demand>,
    /// What it is owed and cannot be sent before replicas have what it speaks of; `None` until something first waits.
    pub held: Option<Box<Held>>,
    /// What it said by REPLCONF, if it said anything.
    pub replica: Option<Box<ReplicaFacts>>,
}

impl Session {
    /// A session of the default user that has done nothing yet.
    pub fn new(id: ClientId, conn: Option<ConnId>, is_local: bool) -> Session {
        Session {
            id,
            conn,
            attention: Attention::NONE,
            db: 0,
            reply: Reply::new(),
            transaction: None,
            subscriptions: None,
            tracker: None,
            watching: 0,
            last_command: u16::MAX,
            is_local,
            receives: false,
            commands: 0,
            about: Box::new(About { user: b"default".to_vec(), ..About::default() }),
        }
    }

    /// What it has said by REPLCONF.
    pub fn replica_facts(&self) -> ReplicaFacts {
        self.about.replica.as_deref().cloned().unwrap_or_default()
    }

    /// Whether it is a second connection of a replica, for the copy alone.
    pub fn is_copy_channel(&self) -> bool {
        self.is_replica() && self.about.replica.as_ref().is_some_and(|facts| facts.is_copy_channel)
    }

    /// Where to write down what it says by REPLCONF.
    pub fn replica_facts_mut(&mut self) -> &mut ReplicaFacts {
        self.about.replica.get_or_insert_default()
    }

    /// Another thread has read what it asked for, or will not: what came behind that is owed now.
    pub fn owe_late(&mut self) {
        self.reply.out.append(std::mem::take(&mut self.about.late));
    }

    /// Its connection closes after what it is owed has been sent.
    pub fn close_after_reply(&mut self) {
        self.attention.put(Attention::CLOSING, true);
    }

    /// Bytes that it is owed, and cannot be sent before replicas have what they speak of.
    pub fn held_bytes(&self) -> usize {
        self.about.held.as_ref().map_or(0, |held| held.len())
    }

    /// The memory of that.
    pub fn held_memory(&self) -> usize {
        self.about.held.as_ref().map_or(0, |held| size_of::<Held>() + held.memory())
    }

    /// Memory of what it is owed, without pieces of long strings.
    pub(super) fn owed_memory(&self) -> usize {
        let held = self.about.held.as_ref().map_or(0, |held| held.buffer_memory());
        self.reply.out.buffer_memory() + self.about.late.buffer_memory() + held
    }

    /// Memory held for it, in bytes: its own state, what it is owed, what it has queued.
    pub fn memory(&self) -> usize {
        size_of::<Session>()
            + size_of::<About>()
            + self.reply.out.memory()
            + self.about.late.memory()
            + self.held_memory()
            + self.transaction.as_ref().map_or(0, |t| t.memory())
            + self.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.memory())
            + self.tracker.as_ref().map_or(0, |tracker| tracker.memory())
            + self.watching as usize * WATCH_BYTES
            + self.about.name.capacity()
    }

    /// The CLIENT ID of who is told in its place of changed keys; 0 for nobody, -1 while it does not track.
    pub fn redirect(&self) -> i64 {
        self.tracker.as_ref().filter(|tracker| tracker.is_on()).map_or(-1, |tracker| tracker.redirect() as i64)
    }

    /// Speaks this protocol from now on.
    pub fn set_protocol(&mut self, proto: Proto) {
        self.reply.proto = proto;
        self.note_subscriber();
    }

    /// How many channels, patterns or shard channels it is subscribed to.
    pub fn subscribed(&self, kind: Kind) -> usize {
        self.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.count(kind))
    }

    /// Whether it reads the write stream.
    pub fn is_replica(&self) -> bool {
        self.attention.has(Attention::REPLICA)
    }

    /// Whether it is subscribed to anything.
    pub fn is_subscriber(&self) -> bool {
        self.subscriptions.as_ref().is_some_and(|subscriptions| subscriptions.total() > 0)
    }

    /// To be called when its subscriptions or its protocol have changed.
    pub fn note_subscriber(&mut self) {
        let limited = self.is_subscriber() && self.reply.proto == Proto::Resp2;
        self.attention.put(Attention::SUBSCRIBER_MODE, limited);
    }
}
