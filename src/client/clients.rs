//! All clients, by the slot of their connection and by CLIENT ID.

use std::collections::HashMap;

use super::{ClientId, Connection, Endpoint, Session};
use crate::reactor::ConnId;

/// A client: a session and its connection.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// What runs commands.
    pub session: &'a Session,
    /// What the server reads.
    pub connection: &'a Connection,
}

/// The same, to be changed.
pub struct ClientMut<'a> {
    /// What runs commands.
    pub session: &'a mut Session,
    /// What the server reads.
    pub connection: &'a mut Connection,
}

impl Client<'_> {
    /// Memory held for this client, in bytes: its own state, its buffers, what it has queued.
    pub fn memory(self) -> usize {
        self.session.memory() + self.connection.memory()
    }

    /// Bytes of its buffers: what it sent and what it is owed, without pieces of long strings.
    pub fn buffers(self) -> usize {
        self.connection.query_bytes() + self.session.owed_memory()
    }
}

impl ClientMut<'_> {
    /// To be looked at.
    pub fn as_ref(&self) -> Client<'_> {
        Client { session: self.session, connection: self.connection }
    }
}

/// Both halves of a client. The session is absent while its requests are executed.
#[derive(Default)]
struct Slot {
    session: Option<Box<Session>>,
    connection: Option<Box<Connection>>,
}

impl Slot {
    #[inline]
    fn client(&self) -> Option<Client<'_>> {
        Some(Client { session: self.session.as_deref()?, connection: self.connection.as_deref()? })
    }

    #[inline]
    fn client_mut(&mut self) -> Option<ClientMut<'_>> {
        Some(ClientMut { session: self.session.as_deref_mut()?, connection: self.connection.as_deref_mut()? })
    }
}

/// All clients.
#[derive(Default)]
pub struct Clients {
    slots: Vec<Slot>,
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
    pub fn add(&mut self, conn: ConnId, from: Endpoint, now_ms: i64) -> ClientMut<'_> {
        self.last_id += 1;
        let index = conn.index as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, Slot::default);
        }
        let slot = &mut self.slots[index];
        debug_assert!(slot.connection.is_none(), "the reactor gives a slot to one connection at a time");
        self.slot_of.insert(self.last_id, conn.index);
        self.len += 1;
        ClientMut {
            session: slot.session.insert(Box::new(Session::new(self.last_id, Some(conn), from.is_local()))),
            connection: slot.connection.insert(Box::new(Connection::new(conn, from, now_ms))),
        }
    }

    /// A CLIENT ID for a session that is none of these.
    pub fn new_id(&mut self) -> ClientId {
        self.last_id += 1;
        self.last_id
    }

    /// How many there are, the one being executed included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the session of a slot out for execution; give it back with [`Clients::put_back`].
    #[inline]
    pub fn take(&mut self, slot: u32) -> Option<Box<Session>> {
        self.slots.get_mut(slot as usize)?.session.take()
    }

    /// Takes the session with that CLIENT ID out; `None` also when it is out already.
    pub fn take_by_id(&mut self, id: ClientId) -> Option<Box<Session>> {
        let slot = *self.slot_of.get(&id)?;
        self.take(slot)
    }

    /// Ends what [`Clients::take`] began.
    #[inline]
    pub fn put_back(&mut self, session: Box<Session>) {
        let conn = session.conn.expect("a session that was taken out of a slot has the connection of that slot");
        self.slots[conn.index as usize].session = Some(session);
    }

    /// The client of a slot.
    #[inline]
    pub fn at(&self, slot: u32) -> Option<Client<'_>> {
        self.slots.get(slot as usize)?.client()
    }

    /// The client of a slot.
    #[inline]
    pub fn at_mut(&mut self, slot: u32) -> Option<ClientMut<'_>> {
        self.slots.get_mut(slot as usize)?.client_mut()
    }

    /// The client of a connection, unless that connection is gone and its slot reused.
    #[inline]
    pub fn of(&self, conn: ConnId) -> Option<Client<'_>> {
        self.at(conn.index).filter(|client| client.connection.conn == conn)
    }

    /// The client of a connection, unless that connection is gone and its slot reused.
    #[inline]
    pub fn of_mut(&mut self, conn: ConnId) -> Option<ClientMut<'_>> {
        self.at_mut(conn.index).filter(|client| client.connection.conn == conn)
    }

    /// The connection of the client with that CLIENT ID, also while its session is out.
    pub fn conn_of(&self, id: ClientId) -> Option<ConnId> {
        let slot = *self.slot_of.get(&id)?;
        self.slots[slot as usize].connection.as_ref().map(|connection| connection.conn)
    }

    /// The connection of a slot, also while its session is out.
    #[inline]
    pub fn connection_mut(&mut self, slot: u32) -> Option<&mut Connection> {
        self.slots.get_mut(slot as usize)?.connection.as_deref_mut()
    }

    /// Whether the session of a connection is out.
    pub fn is_out(&self, conn: ConnId) -> bool {
        let slot = self.slots.get(conn.index as usize);
        let connection = slot.filter(|slot| slot.session.is_none()).and_then(|slot| slot.connection.as_deref());
        connection.is_some_and(|connection| connection.conn == conn)
    }

    /// The connection of a session, if it has one; the session may be out.
    pub fn connection_of(&self, session: &Session) -> Option<&Connection> {
        let conn = session.conn?;
        self.slots.get(conn.index as usize)?.connection.as_deref().filter(|connection| connection.conn == conn)
    }

    /// The same, to be changed.
    pub fn connection_of_mut(&mut self, session: &Session) -> Option<&mut Connection> {
        let conn = session.conn?;
        self.connection_mut(conn.index).filter(|connection| connection.conn == conn)
    }

    /// The client that a session is one half of, if it has a connection; the session may be out.
    pub fn with<'a>(&'a self, session: &'a Session) -> Option<Client<'a>> {
        self.connection_of(session).map(|connection| Client { session, connection })
    }

    /// Where a session comes from, as text; empty without a connection.
    pub fn addr_of(&self, session: &Session) -> &str {
        self.connection_of(session).map_or("", |connection| &connection.addr)
    }

    /// Forgets a client whose connection is closed. `None` if it is gone already, or its session is out.
    pub fn remove(&mut self, conn: ConnId) -> Option<(Box<Session>, Box<Connection>)> {
        self.of(conn)?;
        let slot = std::mem::take(&mut self.slots[conn.index as usize]);
        let (session, connection) = slot.session.zip(slot.connection)?;
        self.slot_of.remove(&session.id);
        self.len -= 1;
        self.counted = self.counted.map(|sum| sum - connection.counted);
        self.buffers -= connection.counted_buffers;
        Some((session, connection))
    }

    /// Bytes of the buffers of all clients, as far as they are counted.
    #[inline]
    pub fn buffers(&self) -> usize {
        self.buffers
    }

    /// By how much the buffers of a session's client have grown since they were counted.
    pub fn uncounted_buffers(&self, session: &Session) -> i64 {
        self.with(session).map_or(0, |client| client.buffers() as i64 - client.connection.counted_buffers as i64)
    }

    /// Whether the memory of clients is counted.
    #[inline]
    pub fn are_counted(&self) -> bool {
        self.counted.is_some()
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
        let (mut sum, mut buffers) = (0, 0);
        for client in self.iter_mut() {
            let now = if wanted { (client.as_ref().memory(), client.as_ref().buffers()) } else { (0, 0) };
            (client.connection.counted, client.connection.counted_buffers) = now;
            (sum, buffers) = (sum + now.0, buffers + now.1);
        }
        self.buffers = buffers;
        self.counted = wanted.then_some(sum);
        sum
    }

    /// Counts what one client takes now, if that is done at all.
    #[inline]
    pub fn count(&mut self, slot: u32) {
        let Some(sum) = self.counted else { return };
        let Some(client) = self.at_mut(slot) else { return };
        let now = (client.as_ref().memory(), client.as_ref().buffers());
        let connection = client.connection;
        let before = (connection.counted, connection.counted_buffers);
        (connection.counted, connection.counted_buffers) = now;
        self.counted = Some(sum - before.0 + now.0);
        self.buffers = self.buffers - before.1 + now.1;
    }

    /// All clients but the one being executed.
    pub fn iter(&self) -> impl Iterator<Item = Client<'_>> {
        self.slots.iter().filter_map(Slot::client)
    }

    /// All clients but the one being executed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = ClientMut<'_>> {
        self.slots.iter_mut().filter_map(Slot::client_mut)
    }

    /// How many slots there are, for walking in slices.
    pub fn slots(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Endpoint;

    fn conn(index: u32, generation: u32) -> ConnId {
        ConnId { index, generation }
    }

    #[test]
    fn a_stale_connection_finds_nobody() {
        let mut clients = Clients::default();
        let first = clients.add(conn(3, 1), Endpoint::default(), 0).session.id;
        assert!(clients.of(conn(3, 1)).is_some());
        clients.remove(conn(3, 1));
        let second = clients.add(conn(3, 2), Endpoint::default(), 0).session.id;
        assert!(second > first);
        assert!(clients.of(conn(3, 1)).is_none());
        assert!(clients.take_by_id(first).is_none());
        assert_eq!(clients.len(), 1);
    }

    #[test]
    fn the_sum_of_memory_follows_those_that_are_counted() {
        let mut clients = Clients::default();
        (0..3).for_each(|slot| _ = clients.add(conn(slot, 1), Endpoint::default(), 0));
        assert_eq!(clients.count_all(false), 0);
        clients.count(1);
        assert_eq!(clients.count_all(false), 0, "not while nobody wants to know");
        let before = clients.count_all(true);
        assert_eq!(before, clients.iter().map(|client| client.memory()).sum::<usize>());
        clients.at_mut(1).expect("it is there").connection.query.reserve_exact(10_000);
        assert_eq!(clients.count_all(true), before);
        clients.count(1);
        assert_eq!(clients.count_all(true), before + 10_000);
        clients.remove(conn(1, 1));
        assert_eq!(clients.count_all(true), before / 3 * 2);
        clients.add(conn(1, 2), Endpoint::default(), 0);
        clients.count(1);
        assert_eq!(clients.count_all(true), before);
        assert_eq!(clients.count_all(false), 0);
        clients.remove(conn(2, 1));
        assert_eq!(clients.count_all(true), before / 3 * 2);
    }

    #[test]
    fn a_session_taken_out_leaves_its_connection() {
        let mut clients = Clients::default();
        clients.add(conn(0, 1), Endpoint { addr: "a:1".to_owned(), ..Endpoint::default() }, 0);
        let taken = clients.take(0).expect("just added");
        assert_eq!((clients.iter().count(), clients.len()), (0, 1));
        assert!(clients.of(conn(0, 1)).is_none() && clients.take(0).is_none());
        assert_eq!(clients.addr_of(&taken), "a:1");
        assert_eq!(
            clients.with(&taken).map(|client| client.memory()),
            Some(taken.memory() + clients.slots[0].connection.as_ref().expect("it stays").memory())
        );
        assert!(clients.remove(conn(0, 1)).is_none(), "not while it is out");
        clients.put_back(taken);
        assert_eq!(clients.iter().count(), 1);
    }

    #[test]
    fn a_session_without_connection_is_of_this_machine_and_nowhere() {
        let clients = Clients::default();
        let session = Session::new(7, None, true);
        assert_eq!(clients.addr_of(&session), "");
        assert!(clients.with(&session).is_none());
    }
}
