//! One connection: reading, writing, connecting out, options and addresses.
//!
//! # Reading, edge-triggered
//!
//! `Readable` is said once, when something new arrives. Whoever was told must come back until a read says that the
//! socket is drained; it need not be at once, but nobody will say it again. A read that returns less than it could
//! have has drained the socket, which spares the second `recv` that would only say `EAGAIN`.
//!
//! There is one trap in that. When data and the end of the stream arrive together, there is one event, and a short
//! read would leave the end undiscovered for ever. So an event that mentions a hang-up is remembered, and from then
//! on no read is called drained; the caller comes back and gets `Eof`. An end that arrives *after* the event that
//! led to the read raises an event of its own.
//!
//! # Writing
//!
//! One slice goes out with `send`, several with `writev`. A short write means that the socket is full: the kernel
//! has noted that somebody waits for room, and `Writable` will come. TCP connections are registered for it from the
//! start, because the kernel raises it only after a write came up short. Unix sockets raise it whenever the other
//! end reads, which would wake the loop once more for every reply, so they are registered for it only while blocked.

use std::io::{self, IoSlice, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use mio::event::Event as Ready;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry};

use super::event::{ConnId, Event, ReadOutcome, WriteOutcome};
use super::turn::{Reactor, conn_token, find};
use crate::sys::sockets;
use crate::util::output_buffer::OutputBuffer;

/// The most slices one `writev` is given.
const SLICES_MAX: usize = 64;

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

#[derive(Debug)]
pub(super) struct Conn {
    socket: Socket,
    pub(super) generation: u32,
    /// An event mentioned a hang-up or an error that has not been read yet.
    hung_up: bool,
    /// The last write was blocked: `Writable` is wanted.
    blocked: bool,
    /// A connect is under way: `Connected` is wanted, and nothing else.
    connecting: bool,
}

impl Socket {
    /// Options of an accepted connection. A peer that is gone already makes them fail; reading will tell.
    pub(super) fn prepare(&self, keepalive_seconds: u32) {
        if let Socket::Tcp(stream) = self {
            let _ = sockets::set_nodelay(stream, true);
            if keepalive_seconds > 0 {
                let _ = sockets::set_keepalive(stream, keepalive_seconds);
            }
        }
    }

    fn write(&self, queue: &OutputBuffer, most: usize) -> (usize, io::Result<usize>) {
        if let Some(bytes) = queue.as_one() {
            let bytes = &bytes[..bytes.len().min(most)];
            let sent = match self {
                Socket::Tcp(stream) => (&*stream).write(bytes),
                Socket::Unix(stream) => (&*stream).write(bytes),
            };
            return (bytes.len(), sent);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let (mut count, mut asked) = (0, 0);
        for (slot, chunk) in slices.iter_mut().zip(queue.chunks()) {
            if asked == most {
                break;
            }
            let chunk = &chunk[..chunk.len().min(most - asked)];
            *slot = IoSlice::new(chunk);
            count += 1;
            asked += chunk.len();
        }
        let sent = match self {
            Socket::Tcp(stream) => (&*stream).write_vectored(&slices[..count]),
            Socket::Unix(stream) => (&*stream).write_vectored(&slices[..count]),
        };
        (asked, sent)
    }

    /// How a connect went, once the kernel says that it is over.
    fn connect_outcome(&self) -> io::Result<()> {
        match self {
            Socket::Unix(_) => Ok(()),
            Socket::Tcp(stream) => match stream.take_error()? {
                Some(error) => Err(error),
                None => stream.peer_addr().map(drop),
            },
        }
    }

    fn interest(&self, blocked: bool) -> Interest {
        match self {
            Socket::Unix(_) if !blocked => Interest::READABLE,
            _ => Interest::READABLE | Interest::WRITABLE,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Conn {
    /// Turns what the kernel says into events.
    pub(super) fn notice<M>(&mut self, ready: &Ready, id: ConnId, out: &mut Vec<Event<M>>) {
        let ended = ready.is_read_closed() || ready.is_error();
        self.hung_up |= ended;
        if self.connecting {
            if !ready.is_writable() && !ended {
                return;
            }
            self.connecting = false;
            let outcome = self.socket.connect_outcome();
            let failed = outcome.is_err();
            out.push(Event::Connected { conn: id, outcome });
            if failed {
                return;
            }
            // What the other end has sent already is announced by this same event, and not again.
        }
        if ready.is_readable() || ended {
            out.push(Event::Readable(id));
        }
        if self.blocked && (ready.is_writable() || ready.is_write_closed() || ready.is_error()) {
            out.push(Event::Writable(id));
        }
    }

    /// Notes whether `Writable` is wanted; unix sockets change their registration with it.
    fn set_blocked(&mut self, registry: &Registry, id: ConnId, blocked: bool) -> io::Result<()> {
        if self.blocked == blocked {
            return Ok(());
        }
        self.blocked = blocked;
        let interest = self.socket.interest(blocked);
        match &mut self.socket {
            Socket::Tcp(_) => Ok(()),
            Socket::Unix(stream) => registry.reregister(stream, conn_token(id), interest),
        }
    }
}

impl<M> Reactor<M> {
    /// True once the other end will send nothing more, or is gone: known before all that it sent is read.
    pub fn has_hung_up(&self, id: ConnId) -> bool {
        self.conn(id).is_some_and(|conn| conn.hung_up)
    }

    /// Reads once: at most `max` bytes, appended to `into`, which is given room for them. See this file's header
    /// for when to come back.
    #[inline]
    pub fn read(&mut self, id: ConnId, into: &mut Vec<u8>, max: usize) -> ReadOutcome {
        self.read_with(id, max, |socket| sockets::recv_into(socket, into, max))
    }

    /// The same with another way to receive.
    pub fn read_with(
        &mut self,
        id: ConnId,
        max: usize,
        mut receive: impl FnMut(BorrowedFd<'_>) -> io::Result<usize>,
    ) -> ReadOutcome {
        debug_assert!(max > 0, "a read of nothing looks like the end");
        let Some(conn) = self.conn(id) else { return ReadOutcome::Failed(not_connected()) };
        loop {
            match receive(conn.socket.as_fd()) {
                Ok(0) => return ReadOutcome::Eof,
                Ok(n) => return ReadOutcome::Data { n, drained: n < max && !conn.hung_up },
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => continue,
                    io::ErrorKind::WouldBlock => return ReadOutcome::WouldBlock,
                    _ => return ReadOutcome::Failed(error),
                },
            }
        }
    }

    /// Writes as much of `queue` as the socket takes, and `most` bytes at most.
    pub fn write(&mut self, id: ConnId, queue: &mut OutputBuffer, most: usize) -> WriteOutcome {
        let Some(conn) = find(&mut self.conns, id) else { return WriteOutcome::Failed(not_connected()) };
        let mut left = most;
        let blocked = loop {
            if queue.is_empty() || left == 0 {
                break false;
            }
            match conn.socket.write(queue, left) {
                (asked, Ok(sent)) => {
                    queue.advance(sent);
                    left -= sent;
                    if sent < asked {
                        break true;
                    }
                }
                (_, Err(error)) => match error.kind() {
                    io::ErrorKind::Interrupted => (),
                    io::ErrorKind::WouldBlock => break true,
                    _ => return WriteOutcome::Failed(error),
                },
            }
        };
        match conn.set_blocked(self.poll.registry(), id, blocked) {
            Err(error) => WriteOutcome::Failed(error),
            Ok(()) if blocked => WriteOutcome::Blocked,
            Ok(()) if !queue.is_empty() => WriteOutcome::More,
            Ok(()) => WriteOutcome::Drained,
        }
    }

    /// Closes. Events of it that were already handed out may still be looked at; its id means nothing any more.
    pub fn close(&mut self, id: ConnId) {
        if self.contains(id) {
            // Closing the descriptor takes it off the kernel's list: no call for that.
            self.conns.remove(id.index as usize);
            self.listeners.rested();
        }
    }

    /// Begins to connect. [`Event::Connected`] comes when it is decided.
    /// With a `source` it comes from there, if it can.
    pub fn connect_tcp(&mut self, address: SocketAddr, source: Option<IpAddr>) -> io::Result<ConnId> {
        let stream = match source {
            Some(source) => TcpStream::from_std(sockets::connect_tcp_from(source, address)?),
            None => TcpStream::connect(address)?,
        };
        let socket = Socket::Tcp(stream);
        socket.prepare(0);
        self.add(socket, true)
    }

    /// Probes the idle peer after so many seconds; 0 for never. Unix sockets have no such thing.
    pub fn set_keepalive(&self, id: ConnId, seconds: u32) -> io::Result<()> {
        match &self.conn(id).ok_or_else(not_connected)?.socket {
            Socket::Tcp(stream) => sockets::set_keepalive(stream, seconds),
            Socket::Unix(_) => Ok(()),
        }
    }

    /// The other end's address as `CLIENT LIST` shows it; `?:0` when there is no such connection.
    pub fn peer_text(&self, id: ConnId) -> String {
        self.conn(id).map_or_else(|| "?:0".to_owned(), |conn| sockets::peer_text(&conn.socket))
    }

    /// This end's address, likewise.
    pub fn local_text(&self, id: ConnId) -> String {
        self.conn(id).map_or_else(|| "?:0".to_owned(), |conn| sockets::local_text(&conn.socket))
    }

    /// The descriptor's number, for showing; -1 when there is no such connection.
    pub fn fd_number(&self, id: ConnId) -> i32 {
        self.conn(id).map_or(-1, |conn| conn.socket.as_fd().as_raw_fd())
    }

    /// True for a connection over a unix socket.
    pub fn is_unix(&self, id: ConnId) -> bool {
        self.conn(id).is_some_and(|conn| matches!(conn.socket, Socket::Unix(_)))
    }

    pub(super) fn add(&mut self, mut socket: Socket, connecting: bool) -> io::Result<ConnId> {
        let slot = self.conns.vacant_entry();
        let id = ConnId { index: slot.key() as u32, generation: self.next_generation };
        let (registry, interest) = (self.poll.registry(), socket.interest(connecting));
        match &mut socket {
            Socket::Tcp(stream) => registry.register(stream, conn_token(id), interest)?,
            Socket::Unix(stream) => registry.register(stream, conn_token(id), interest)?,
        }
        self.next_generation = self.next_generation.wrapping_add(1);
        slot.insert(Conn { socket, generation: id.generation, hung_up: false, blocked: false, connecting });
        Ok(id)
    }
}

fn not_connected() -> io::Error {
    io::ErrorKind::NotConnected.into()
}
