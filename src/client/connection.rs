//! A client's connection, beside its socket: what was received of it and not yet executed, and how that goes.
//!
//! Only the server needs it. It stays where it is while the client's requests are executed, so that whoever asks about
//! connections meanwhile finds this one, too.

use std::collections::VecDeque;

use super::is_loopback;
use crate::reactor::ConnId;
use crate::resp::{OwnedArgs, RequestParser};
use crate::util::bit_set::bit_set;

bit_set! {
    /// Lasting facts about a connection.
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
    }
}

/// The connection of one client.
pub struct Connection {
    /// What the reactor calls it.
    pub conn: ConnId,
    /// Lasting facts.
    pub flags: ClientFlags,
    /// The file descriptor's number.
    pub fd: i32,
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
    /// Wall clock of the last request or read, ms.
    pub last_active_ms: i64,
    /// What the client's memory was when it was last counted, if that is done at all.
    pub(super) counted: usize,
    /// The same of its buffers.
    pub(super) counted_buffers: usize,
    /// Since when the output is over its soft limit, ms; 0 when it is not.
    pub soft_limit_since_ms: i64,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// `ip:port`, or the path of the unix socket with `:0`.
    pub addr: Box<str>,
    /// The address it connected to.
    pub laddr: Box<str>,
    /// Wall clock of the accept, ms.
    pub created_ms: i64,
}

/// Where a connection comes from.
#[derive(Default)]
pub struct Endpoint {
    /// See [`Connection::addr`].
    pub addr: String,
    /// See [`Connection::laddr`].
    pub laddr: String,
    /// The file descriptor's number.
    pub fd: i32,
    /// It is a unix socket.
    pub is_unix: bool,
}

impl Endpoint {
    /// Whether the other end runs on this machine.
    pub fn is_local(&self) -> bool {
        self.is_unix || is_loopback(&self.addr)
    }
}

impl Connection {
    /// A connection as it is right after accept.
    pub fn new(conn: ConnId, from: Endpoint, now_ms: i64) -> Connection {
        let mut flags = ClientFlags::DRAINED; // until the first event says otherwise
        flags.put(ClientFlags::UNIX_SOCKET, from.is_unix);
        Connection {
            conn,
            flags,
            fd: from.fd,
            query: Vec::new(),
            consumed: 0,
            lent: (0, 0),
            parser: RequestParser::new(),
            deferred: VecDeque::new(),
            last_active_ms: now_ms,
            counted: 0,
            counted_buffers: 0,
            soft_limit_since_ms: 0,
            input_bytes: 0,
            output_bytes: 0,
            addr: from.addr.into_boxed_str(),
            laddr: from.laddr.into_boxed_str(),
            created_ms: now_ms,
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

    /// Memory of what was received and not executed, without pieces of long arguments: the query buffer, wherever it is,
    /// and the requests that were held back.
    pub(super) fn query_bytes(&self) -> usize {
        self.query.capacity() + self.lent.1 + self.deferred.iter().map(OwnedArgs::small_memory).sum::<usize>()
    }

    /// Memory held for it, in bytes.
    pub fn memory(&self) -> usize {
        let long = self.deferred.iter().map(OwnedArgs::large_memory).sum::<usize>();
        size_of::<Connection>() + self.query_bytes() + long + self.parser.memory() + self.addr.len() + self.laddr.len()
    }
}
