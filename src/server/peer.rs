//! What is at the other end of a connection.

use super::Server;
use crate::client::{Attention, Session};
use crate::exec::instance::Instance;
use crate::reactor::ConnId;

/// Whom a connection leads to: what its events mean, and which limits it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Peer {
    /// Somebody who connected to us, and sends requests.
    Client,
    /// A client that reads the feed of writes.
    Replica,
    /// An instance that we connected to, or want to.
    Link,
}

impl Peer {
    /// What a session is, if it has a connection.
    pub(super) fn of(session: &Session) -> Peer {
        if session.attention.has(Attention::REPLICA) { Peer::Replica } else { Peer::Client }
    }
}

impl Server {
    /// Whom a connection leads to; `None` if it is closed. In the middle of its command a client is only a client.
    #[inline]
    pub(super) fn peer(&self, inst: &Instance, conn: ConnId) -> Option<Peer> {
        if self.links.has(conn) {
            return Some(Peer::Link);
        }
        if let Some(client) = inst.clients.of(conn) {
            return Some(Peer::of(client.session));
        }
        inst.clients.is_out(conn).then_some(Peer::Client)
    }
}
