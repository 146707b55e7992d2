//! Clients: the state of each connection that speaks to us as a client.
//!
//! # What this is
//!
//! [`Client`] is all that is known of one connection beside its socket: what it sent and was not yet executed, what
//! it is owed, who it is, which db it uses, whether it is in a transaction. [`Clients`] holds them all, by the slot
//! of their connection and by CLIENT ID.
//!
//! # What it never does
//!
//! **Architecture Invariant:** no socket, no clock, no command is run here. While a client's requests are executed its
//! box is *taken out* of [`Clients`], so that a handler can hold it and the collection at once; whoever walks over all
//! clients then must count that one in (`AdminCtx::each_client`).
//!
//! # Map
//!
//! | file | what |
//! | --- | --- |
//! | `mod.rs` | `Client`, its bit sets, `Clients` |
//! | `address.rs` | which addresses are of this machine |
//! | `line.rs` | the line of CLIENT LIST |
//! | `outbox.rs` | what clients are sent without having asked just now |
//! | `recent.rs` | the largest buffers of the recent past |
//! | `transaction.rs` | what MULTI has queued |
//!
//! # Read first
//!
//! [`Attention`]: how one branch decides whether a request may take the short way.

mod address;
mod line;
mod outbox;
mod recent;
mod transaction;

use std::collections::{HashMap, VecDeque};

use crate::reactor::ConnId;
use crate::resp::{OwnedArgs, Proto, Reply, RequestParser};
use crate::util::bit_set::bit_set;
pub use address::is_loopback;
pub use outbox::{Outbox, Push};
pub use recent::RecentBuffers;
pub use transaction::{Queued, Transaction};

/// The number CLIENT ID replies with. Never reused.
pub type ClientId = u64;

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
        /// Another thread reads what it has asked for. What it sent after that waits.
        READING = 13;
    }
}

impl Attention {
    /// Its requests wait: nothing more of it is parsed.
    pub const HELD: Attention = Attention::PAUSED.or(Attention::BLOCKED).or(Attention::READING);
}

bit_set! {
    /// Lasting facts about a client.
    ClientFlags: u32 {
        /// Came through the unix socket.
        UNIX_SOCKET = 0;
        /// CLIENT NO-EVICT.
        NO_EVICT = 1;
        /// In the server's list of clients to be flushed.
        FLUSH_PENDING = 2;
        /// In the server's list of clients with bytes to read or requests to parse.
        READY = 3;
        /// The socket has no more bytes than were read: wait for the next event.
        DRAINED = 4;
        /// The peer has closed its sending side.
        INPUT_ENDED = 5;
        /// The query buffer may hold another whole request.
        MORE_PARSEABLE = 6;
        /// On this machine: came through the unix socket or the loopback interface.
        LOCAL = 7;
    }
}

/// About what watching a key takes: its name, and an entry on both sides.
const WATCH_BYTES: usize = 112;

/// One client.
pub struct Client {
    /// CLIENT ID.
    pub id: ClientId,
    /// Its connection.
    pub conn: ConnId,
    /// Why the next request cannot take the short way.
    pub attention: Attention,
    /// Lasting facts.
    pub flags: ClientFlags,
    /// Selected db.
    pub db: u32,
    /// What it is owed, and the protocol that is encoded in.
    pub reply: Reply,
    /// What has been received; bytes before `consumed` are done with.
    pub query: Vec<u8>,
    /// See `query`.
    pub consumed: usize,
    /// Length and capacity of `query` while its requests are executed, when it is elsewhere; else 0.
    pub lent: (usize, usize),
    /// The parser's state between reads.
    pub parser: RequestParser,
    /// Requests that were parsed and then held back (CLIENT PAUSE, or an earlier one waits), to be executed before any
    /// other.
    pub deferred: VecDeque<OwnedArgs>,
    /// The queue of MULTI.
    pub transaction: Option<Box<Transaction>>,
    /// How many keys it watches.
    pub watching: u32,
    /// Wall clock of the last request or read, ms.
    pub last_active_ms: i64,
    /// What [`Client::memory`] was when it was last counted, if that is done at all.
    counted: usize,
    /// The same of [`Client::buffers`].
    counted_buffers: usize,
    /// Since when the output is over its soft limit, ms; 0 when it is not.
    pub soft_limit_since_ms: i64,
    /// The last command, as an index of the command table; `u16::MAX` before the first.
    pub last_command: u16,
    /// Requests executed.
    pub commands: u64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// What is asked for rarely.
    pub about: Box<About>,
}

/// Facts about a client that only introspection asks for.
#[derive(Default)]
pub struct About {
    /// `ip:port`, or the path of the unix socket with `:0`.
    pub addr: String,
    /// The address it connected to.
    pub laddr: String,
    /// The file descriptor's number.
    pub fd: i64,
    /// Wall clock of the accept, ms.
    pub created_ms: i64,
    /// CLIENT SETNAME.
    pub name: Vec<u8>,
    /// CLIENT SETINFO LIB-NAME.
    pub lib_name: Vec<u8>,
    /// CLIENT SETINFO LIB-VER.
    pub lib_ver: Vec<u8>,
    /// The user it authenticated as.
    pub user: Vec<u8>,
}

impl Client {
    /// A client as it is right after accept.
    pub fn new(id: ClientId, conn: ConnId, about: About, now_ms: i64) -> Client {
        Client {
            id,
            conn,
            attention: Attention::NONE,
            flags: ClientFlags::NONE,
            db: 0,
            reply: Reply::new(),
            query: Vec::new(),
            consumed: 0,
            lent: (0, 0),
            parser: RequestParser::new(),
            deferred: VecDeque::new(),
            transaction: None,
            watching: 0,
            last_active_ms: now_ms,
            counted: 0,
            counted_buffers: 0,
            soft_limit_since_ms: 0,
            last_command: u16::MAX,
            commands: 0,
            input_bytes: 0,
            output_bytes: 0,
            about: Box::new(About { created_ms: now_ms, ..about }),
        }
    }

    /// Bytes received and not yet executed.
    pub fn unread(&self) -> &[u8] {
        &self.query[self.consumed..]
    }

    /// Gives back what the query buffer has beyond the bytes that wait in it.
    pub fn fit_query(&mut self) {
        if self.query.capacity() > 2 * (self.query.len() - self.consumed) {
            self.query = self.unread().to_vec();
            self.consumed = 0;
        }
    }

    /// Closes after what it is owed has been sent.
    pub fn close_after_reply(&mut self) {
        self.attention.put(Attention::CLOSING, true);
    }

    /// Whether it runs on this machine.
    pub fn is_local(&self) -> bool {
        self.flags.has(ClientFlags::UNIX_SOCKET) || is_loopback(&self.about.addr)
    }

    /// Memory held for this client, in bytes: its own state, its buffers, what it has queued.
    pub fn memory(&self) -> usize {
        size_of::<Client>()
            + size_of::<About>()
            + self.query.capacity()
            + self.lent.1
            + self.parser.memory()
            + self.reply.out.memory()
            + self.transaction.as_ref().map_or(0, |t| t.memory())
            + self.watching as usize * WATCH_BYTES
            + self.about.addr.capacity()
            + self.about.laddr.capacity()
            + self.about.name.capacity()
    }

    /// Bytes of its buffers: what it sent and what it is owed, without pieces of long strings.
    pub fn buffers(&self) -> usize {
        self.query.capacity() + self.lent.1 + self.reply.out.buffer_memory()
    }

    /// By how much its buffers have grown since they were counted.
    pub fn uncounted_buffers(&self) -> i64 {
        self.buffers() as i64 - self.counted_buffers as i64
    }

    /// Back to RESP2, as `RESET` does it.
    pub fn reset_protocol(&mut self) {
        self.reply.proto = Proto::Resp2;
    }
}

/// All clients. A box is absent from its slot while its requests are being executed.
#[derive(Default)]
pub struct Clients {
    slots: Vec<Option<Box<Client>>>,
    slot_of: HashMap<ClientId, u32>,
    last_id: ClientId,
    len: usize,
    /// The sum of what is counted, while it is.
    counted: Option<usize>,
    /// The sum of [`Client::buffers`], likewise; 0 while it is not counted.
    buffers: usize,
}

impl Clients {
    /// Adds a client for a new connection.
    pub fn add(&mut self, conn: ConnId, about: About, now_ms: i64) -> &mut Client {
        self.last_id += 1;
        let slot = conn.index as usize;
        if slot >= self.slots.len() {
            self.slots.resize_with(slot + 1, || None);
        }
        debug_assert!(self.slots[slot].is_none(), "the reactor gives a slot to one connection at a time");
        self.slot_of.insert(self.last_id, conn.index);
        self.len += 1;
        self.slots[slot].insert(Box::new(Client::new(self.last_id, conn, about, now_ms)))
    }

    /// How many there are, the one being executed included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the client of a slot out for execution; give it back with [`Clients::put_back`].
    #[inline]
    pub fn take(&mut self, slot: u32) -> Option<Box<Client>> {
        self.slots.get_mut(slot as usize)?.take()
    }

    /// Ends what [`Clients::take`] began.
    #[inline]
    pub fn put_back(&mut self, client: Box<Client>) {
        let slot = client.conn.index as usize;
        self.slots[slot] = Some(client);
    }

    /// The client of a slot.
    #[inline]
    pub fn at(&self, slot: u32) -> Option<&Client> {
        self.slots.get(slot as usize)?.as_deref()
    }

    /// The client of a slot.
    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut Client> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// The client of a connection, unless that connection is gone and its slot reused.
    #[inline]
    pub fn of(&self, conn: ConnId) -> Option<&Client> {
        self.at(conn.index).filter(|c| c.conn == conn)
    }

    /// The client of a connection, unless that connection is gone and its slot reused.
    #[inline]
    pub fn of_mut(&mut self, conn: ConnId) -> Option<&mut Client> {
        self.at_mut(conn.index).filter(|c| c.conn == conn)
    }

    /// The client with that CLIENT ID.
    pub fn by_id(&mut self, id: ClientId) -> Option<&mut Client> {
        let slot = *self.slot_of.get(&id)?;
        self.at_mut(slot)
    }

    /// Whether a client with that CLIENT ID is connected (being executed counts).
    pub fn exists(&self, id: ClientId) -> bool {
        self.slot_of.contains_key(&id)
    }

    /// Takes the client with that CLIENT ID out; `None` also when it is out already.
    pub fn take_by_id(&mut self, id: ClientId) -> Option<Box<Client>> {
        let slot = *self.slot_of.get(&id)?;
        self.take(slot)
    }

    /// Forgets a client whose connection is closed.
    pub fn remove(&mut self, slot: u32) -> Option<Box<Client>> {
        let client = self.slots.get_mut(slot as usize)?.take()?;
        self.remove_taken(&client);
        Some(client)
    }

    /// Forgets a client whose box was taken out.
    pub fn remove_taken(&mut self, client: &Client) {
        self.slot_of.remove(&client.id);
        self.len -= 1;
        self.counted = self.counted.map(|sum| sum - client.counted);
        self.buffers -= client.counted_buffers;
    }

    /// Bytes of the buffers of all clients, as far as they are counted.
    #[inline]
    pub fn buffers(&self) -> usize {
        self.buffers
    }

    /// Turns counting on or off. The memory of all clients as it was when each of them was last counted.
    #[inline]
    pub fn count_all(&mut self, wanted: bool) -> usize {
        match self.counted {
            Some(sum) if wanted => sum,
            None if !wanted => 0,
            _ => self.begin_or_end_counting(wanted),
        }
    }

    #[cold]
    fn begin_or_end_counting(&mut self, wanted: bool) -> usize {
        for client in self.iter_mut() {
            (client.counted, client.counted_buffers) =
                if wanted { (client.memory(), client.buffers()) } else { (0, 0) };
        }
        let sum = self.iter().map(|client| client.counted).sum();
        self.buffers = self.iter().map(|client| client.counted_buffers).sum();
        self.counted = wanted.then_some(sum);
        sum
    }

    /// Counts what one client takes now, if that is done at all.
    #[inline]
    pub fn count(&mut self, slot: u32) {
        let Some(sum) = self.counted else { return };
        let Some(client) = self.at_mut(slot) else { return };
        let (before, now) = (client.counted, client.memory());
        let (buffers_before, buffers_now) = (client.counted_buffers, client.buffers());
        (client.counted, client.counted_buffers) = (now, buffers_now);
        self.counted = Some(sum - before + now);
        self.buffers = self.buffers - buffers_before + buffers_now;
    }

    /// All clients but the one being executed.
    pub fn iter(&self) -> impl Iterator<Item = &Client> {
        self.slots.iter().flatten().map(|c| &**c)
    }

    /// All clients but the one being executed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Client> {
        self.slots.iter_mut().flatten().map(|c| &mut **c)
    }

    /// How many slots there are, for walking in slices.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conn(index: u32, generation: u32) -> ConnId {
        ConnId { index, generation }
    }

    #[test]
    fn a_stale_connection_finds_nobody() {
        let mut clients = Clients::default();
        let first = clients.add(conn(3, 1), About::default(), 0).id;
        assert!(clients.of(conn(3, 1)).is_some());
        clients.remove(3);
        let second = clients.add(conn(3, 2), About::default(), 0).id;
        assert!(second > first);
        assert!(clients.of(conn(3, 1)).is_none());
        assert!(clients.by_id(first).is_none());
        assert_eq!(clients.len(), 1);
    }

    #[test]
    fn the_sum_of_memory_follows_those_that_are_counted() {
        let mut clients = Clients::default();
        (0..3).for_each(|slot| _ = clients.add(conn(slot, 1), About::default(), 0));
        assert_eq!(clients.count_all(false), 0);
        clients.count(1);
        assert_eq!(clients.count_all(false), 0, "not while nobody wants to know");
        let before = clients.count_all(true);
        assert_eq!(before, clients.iter().map(Client::memory).sum::<usize>());
        clients.at_mut(1).expect("it is there").query.reserve_exact(10_000);
        assert_eq!(clients.count_all(true), before);
        clients.count(1);
        assert_eq!(clients.count_all(true), before + 10_000);
        clients.remove(1);
        assert_eq!(clients.count_all(true), before / 3 * 2);
        clients.add(conn(1, 2), About::default(), 0);
        clients.count(1);
        assert_eq!(clients.count_all(true), before);
        assert_eq!(clients.count_all(false), 0);
        clients.remove(2);
        assert_eq!(clients.count_all(true), before / 3 * 2);
    }

    #[test]
    fn a_client_taken_out_still_exists() {
        let mut clients = Clients::default();
        let id = clients.add(conn(0, 1), About::default(), 0).id;
        let taken = clients.take(0).expect("just added");
        assert!(clients.exists(id));
        assert_eq!(clients.iter().count(), 0);
        clients.put_back(taken);
        assert_eq!(clients.iter().count(), 1);
    }
}
