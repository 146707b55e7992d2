//! Listeners and accepting.
//!
//! A listener is edge-triggered like everything else, so one that was not accepted empty stays marked ready here
//! and the next turn does not sleep. Per turn at most [`ACCEPTS_PER_TURN`] are accepted over all listeners, taken in
//! turns, so that ten thousand clients that reconnect at once are spread between the requests of the others. (Redis
//! accepts 1000 in one go, since 8.0 ten per listener and cycle, because a TLS handshake is expensive; an accept
//! here is four cheap calls, 256 of them are about a millisecond.)
//!
//! When descriptors or memory run out, the connection that cannot be accepted stays in the backlog and would be
//! reported for ever. So accepting rests: until a connection is closed here, or for [`REST_NS`].

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use mio::Interest;
use mio::net::{TcpListener, UnixListener};

use super::conn::Socket;
use super::event::Event;
use super::turn::{Reactor, listener_token};
use crate::sys::sockets;

/// How many connections one turn accepts at most, unless told otherwise.
pub const ACCEPTS_PER_TURN: usize = 256;

/// How long accepting rests when it failed for want of something.
const REST_NS: u64 = 100_000_000;

/// Failures to accept are reported at most so often.
const REPORT_NS: u64 = 1_000_000_000;

/// A listener, in the order they were opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u32);

#[derive(Debug, Default)]
pub(super) struct Listeners {
    /// Closed ones leave a hole, so that ids stay what they are.
    list: Vec<Option<Listener>>,
    keepalive_seconds: u32,
    /// How many a turn accepts; `None`: [`ACCEPTS_PER_TURN`].
    budget: Option<usize>,
    /// Who is asked first next time.
    next: usize,
    rest_until_ns: Option<u64>,
    report_after_ns: u64,
    suppressed: u64,
}

#[derive(Debug)]
struct Listener {
    socket: ListenerSocket,
    ready: bool,
}

#[derive(Debug)]
enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    fn accept(&self) -> io::Result<Socket> {
        Ok(match &self.socket {
            ListenerSocket::Tcp(listener) => Socket::Tcp(listener.accept()?.0),
            ListenerSocket::Unix(listener) => Socket::Unix(listener.accept()?.0),
        })
    }
}

impl Listeners {
    pub(super) fn notice(&mut self, index: u32) {
        if let Some(Some(listener)) = self.list.get_mut(index as usize) {
            listener.ready = true;
        }
    }

    /// How long a turn may sleep.
    pub(super) fn bound_wait(&self, now_ns: u64, wait_max: Option<Duration>) -> Option<Duration> {
        if !self.list.iter().flatten().any(|listener| listener.ready) {
            return wait_max;
        }
        let rest = Duration::from_nanos(self.rest_until_ns.map_or(0, |until| until.saturating_sub(now_ns)));
        Some(wait_max.map_or(rest, |wait| wait.min(rest)))
    }

    /// A descriptor was given back.
    pub(super) fn rested(&mut self) {
        self.rest_until_ns = None;
    }
}

impl<M> Reactor<M> {
    /// Listens on a TCP address; port 0 lets the system choose.
    pub fn listen_tcp(&mut self, address: SocketAddr, backlog: u32) -> io::Result<ListenerId> {
        let listener = sockets::listen_tcp(address, backlog)?;
        self.add_listener(ListenerSocket::Tcp(TcpListener::from_std(listener)))
    }

    /// Listens on a unix socket, with the given file mode.
    pub fn listen_unix(&mut self, path: &Path, mode: Option<u32>, backlog: u32) -> io::Result<ListenerId> {
        let listener = sockets::listen_unix(path, mode, backlog)?;
        self.add_listener(ListenerSocket::Unix(UnixListener::from_std(listener)))
    }

    fn add_listener(&mut self, mut socket: ListenerSocket) -> io::Result<ListenerId> {
        let index = self.listeners.list.len() as u32;
        let (registry, token) = (self.poll.registry(), listener_token(index));
        match &mut socket {
            ListenerSocket::Tcp(listener) => registry.register(listener, token, Interest::READABLE)?,
            ListenerSocket::Unix(listener) => registry.register(listener, token, Interest::READABLE)?,
        }
        self.listeners.list.push(Some(Listener { socket, ready: false }));
        Ok(ListenerId(index))
    }

    /// The address a TCP listener has, with the port the system chose. `None` for a unix or a closed one.
    pub fn listener_address(&self, id: ListenerId) -> Option<SocketAddr> {
        match &self.listeners.list.get(id.0 as usize)?.as_ref()?.socket {
            ListenerSocket::Tcp(listener) => listener.local_addr().ok(),
            ListenerSocket::Unix(_) => None,
        }
    }

    /// Stops listening. Connections already accepted stay. The file of a unix socket is the caller's to remove.
    pub fn close_listener(&mut self, id: ListenerId) {
        if let Some(slot) = self.listeners.list.get_mut(id.0 as usize) {
            *slot = None;
        }
    }

    /// From now on, accepted TCP connections are probed after so many idle seconds; 0 for never.
    pub fn set_accept_keepalive(&mut self, seconds: u32) {
        self.listeners.keepalive_seconds = seconds;
    }

    /// From now on, a turn accepts at most so many connections (at least one).
    pub fn set_accept_budget(&mut self, connections: usize) {
        self.listeners.budget = Some(connections.max(1));
    }

    pub(super) fn accept_all(&mut self, now_ns: u64, out: &mut Vec<Event<M>>) {
        if self.listeners.rest_until_ns.is_some_and(|until| now_ns < until) {
            return;
        }
        self.listeners.rest_until_ns = None;
        let count = self.listeners.list.len();
        let mut budget = self.listeners.budget.unwrap_or(ACCEPTS_PER_TURN);
        for step in 0..count {
            let index = (self.listeners.next + step) % count;
            while let Some(listener) = self.listeners.list[index].as_mut().filter(|listener| listener.ready) {
                if budget == 0 {
                    self.listeners.next = index;
                    return;
                }
                budget -= 1;
                let listener_id = ListenerId(index as u32);
                let error = match listener.accept() {
                    Ok(socket) => {
                        socket.prepare(self.listeners.keepalive_seconds);
                        match self.add(socket, false) {
                            Ok(conn) => {
                                out.push(Event::Accepted { conn, listener: listener_id });
                                continue;
                            }
                            Err(error) => error,
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        listener.ready = false;
                        break;
                    }
                    Err(error) => error,
                };
                if is_the_peers(&error) {
                    continue;
                }
                return self.rest(now_ns, listener_id, error, out);
            }
        }
        if count > 0 {
            self.listeners.next = (self.listeners.next + 1) % count;
        }
    }

    fn rest(&mut self, now_ns: u64, listener: ListenerId, error: io::Error, out: &mut Vec<Event<M>>) {
        let listeners = &mut self.listeners;
        listeners.rest_until_ns = Some(now_ns.saturating_add(REST_NS));
        if now_ns < listeners.report_after_ns {
            listeners.suppressed += 1;
            return;
        }
        listeners.report_after_ns = now_ns.saturating_add(REPORT_NS);
        let suppressed = std::mem::take(&mut listeners.suppressed);
        out.push(Event::AcceptFailed { listener, error, suppressed });
    }
}

/// Errors that concern the one connection that was to be accepted: the next may be fine.
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, PermissionDenied};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | PermissionDenied)
        || matches!(error.raw_os_error(), Some(libc::EPROTO | libc::ENETDOWN | libc::EHOSTUNREACH | libc::ENETUNREACH))
}
