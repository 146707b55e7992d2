//! The observer's loop: few connections, each with a deadline for whatever it waits for.
//!
//! | a connection that | has |
//! | --- | --- |
//! | has begun a request | [`REQUEST_NS`] from its first byte to its last |
//! | has not read its reply | [`REPLY_NS`] |
//! | is between requests | [`IDLE_NS`]: longer than the usual interval of scrapes |
//!
//! When there are [`CONNECTIONS_MAX`], a newcomer takes the place of the one that is nearest to its deadline: who
//! opens connections and is silent can not keep a scraper out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::Order;
use super::answer::{Answered, HEAD_BYTES_MAX, answer};
use crate::observe::export::Exporter;
use crate::observe::keys;
use crate::observe::log::{Logger, Shown};
use crate::observe::metrics::Metrics;
use crate::reactor::{ConnId, Event, Reactor, ReadOutcome, WriteOutcome};
use crate::sys::clock::Clock;
use crate::util::output_buffer::OutputBuffer;

/// The most connections at a time.
pub const CONNECTIONS_MAX: usize = 64;

const REQUEST_NS: u64 = 5_000_000_000;
const REPLY_NS: u64 = 10_000_000_000;
const IDLE_NS: u64 = 75_000_000_000;

/// How often deadlines are looked at while there are connections.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The loop's state.
pub(super) struct Observer {
    reactor: Reactor<Order>,
    exporter: Exporter,
    metrics: Arc<Metrics>,
    log: Logger,
    clock: Clock,
    peers: HashMap<ConnId, Peer>,
}

/// One connection.
struct Peer {
    input: Vec<u8>,
    output: OutputBuffer,
    deadline_ns: u64,
    /// No further requests: close when the output is written.
    closing: bool,
}

impl Observer {
    pub(super) fn new(reactor: Reactor<Order>, exporter: Exporter, metrics: Arc<Metrics>, log: Logger) -> Observer {
        Observer { reactor, exporter, metrics, log, clock: Clock::system(), peers: HashMap::new() }
    }

    /// Serves until told to stop.
    pub(super) fn run(mut self) {
        let mut events = Vec::new();
        loop {
            let wait = if self.peers.is_empty() { None } else { Some(LOOK_EVERY) };
            if let Err(error) = self.reactor.turn(self.clock.mono_ns(), wait, &mut events) {
                // A reactor that can not wait would spin; the server goes on without metrics.
                self.log.warning("Metrics over HTTP stopped", &[(keys::ERROR, &Shown(error))]);
                return;
            }
            let now_ns = self.clock.mono_ns();
            for event in events.drain(..) {
                match event {
                    Event::Accepted { conn, .. } => self.accept(conn, now_ns),
                    Event::Readable(conn) => self.read(conn, now_ns),
                    Event::Writable(conn) => self.go_on(conn, now_ns),
                    Event::AcceptFailed { error, .. } => {
                        self.log.warning("No connection for metrics accepted", &[(keys::ERROR, &Shown(error))]);
                    }
                    Event::Mail(Order::Stop) => return,
                    Event::Signal(_) | Event::Connected { .. } => {} // none are watched here, and nobody connects out
                }
            }
            self.close_overdue(now_ns);
        }
    }

    fn accept(&mut self, conn: ConnId, now_ns: u64) {
        if self.peers.len() >= CONNECTIONS_MAX
            && let Some(&nearest) = self.peers.iter().min_by_key(|(_, p)| p.deadline_ns).map(|(id, _)| id)
        {
            self.close(nearest);
        }
        // Who just came has not sent anything: as long as a request may take.
        let peer =
            Peer { input: Vec::new(), output: OutputBuffer::new(), deadline_ns: now_ns + REQUEST_NS, closing: false };
        self.peers.insert(conn, peer);
    }

    fn read(&mut self, conn: ConnId, now_ns: u64) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        let was_empty = peer.input.is_empty();
        loop {
            match self.reactor.read(conn, &mut peer.input, HEAD_BYTES_MAX) {
                // More than a head's worth while replies are outstanding: no sane client does that.
                ReadOutcome::Data { .. } if peer.input.len() > 2 * HEAD_BYTES_MAX => return self.close(conn),
                ReadOutcome::Data { drained: false, .. } => {}
                ReadOutcome::Data { drained: true, .. } | ReadOutcome::WouldBlock => break,
                ReadOutcome::Eof => {
                    peer.closing = true;
                    break;
                }
                ReadOutcome::Failed(_) => return self.close(conn),
            }
        }
        if was_empty && !peer.input.is_empty() && peer.output.is_empty() {
            peer.deadline_ns = now_ns + REQUEST_NS;
        }
        self.go_on(conn, now_ns);
    }

    /// Writes what waits, then answers the next request, until one of them has to wait.
    fn go_on(&mut self, conn: ConnId, now_ns: u64) {
        let Some(peer) = self.peers.get_mut(&conn) else { return };
        loop {
            if !peer.output.is_empty() {
                match self.reactor.write(conn, &mut peer.output, usize::MAX) {
                    WriteOutcome::Drained if peer.closing && peer.input.is_empty() => return self.close(conn),
                    WriteOutcome::Drained => peer.deadline_ns = now_ns + IDLE_NS,
                    WriteOutcome::Blocked => return,
                    WriteOutcome::More => {}
                    WriteOutcome::Failed(_) => return self.close(conn),
                }
            }
            if peer.input.is_empty() {
                if peer.closing {
                    self.close(conn);
                }
                return;
            }
            match answer(&peer.input, &self.metrics, &self.exporter, peer.output.bytes_mut()) {
                Answered::NeedMore if peer.closing => return self.close(conn), // there will be no more
                Answered::NeedMore => {
                    peer.deadline_ns = peer.deadline_ns.min(now_ns + REQUEST_NS);
                    return;
                }
                Answered::Reply { consumed, keep } => {
                    peer.input.drain(..consumed);
                    peer.deadline_ns = now_ns + REPLY_NS;
                    if !keep {
                        peer.closing = true;
                        peer.input.clear();
                    }
                }
            }
        }
    }

    fn close_overdue(&mut self, now_ns: u64) {
        let overdue = |(id, peer): (&ConnId, &Peer)| (peer.deadline_ns <= now_ns).then_some(*id);
        let overdue: Vec<ConnId> = self.peers.iter().filter_map(overdue).collect();
        overdue.into_iter().for_each(|id| self.close(id));
    }

    fn close(&mut self, conn: ConnId) {
        self.reactor.close(conn);
        self.peers.remove(&conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    /// An observer that is not running: its steps are taken by the test.
    fn observer() -> (Observer, std::net::SocketAddr) {
        let mut reactor = Reactor::new().unwrap();
        let listener = reactor.listen_tcp("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let address = reactor.listener_address(listener).unwrap();
        let metrics = Arc::new(Metrics::new(Vec::new(), 1, &[]));
        (Observer::new(reactor, Exporter::new(metrics.clone()), metrics, Logger::silent()), address)
    }

    fn turn(observer: &mut Observer, now_ns: u64) {
        let mut events = Vec::new();
        observer.reactor.turn(now_ns, Some(Duration::from_millis(200)), &mut events).unwrap();
        for event in events {
            match event {
                Event::Accepted { conn, .. } => observer.accept(conn, now_ns),
                Event::Readable(conn) => observer.read(conn, now_ns),
                Event::Writable(conn) => observer.go_on(conn, now_ns),
                other => panic!("{other:?}", other = std::mem::discriminant(&other)),
            }
        }
        observer.close_overdue(now_ns);
    }

    #[test]
    fn deadlines() {
        let (mut observer, address) = observer();
        let mut slow = TcpStream::connect(address).unwrap();
        let mut idle = TcpStream::connect(address).unwrap();
        slow.write_all(b"GET /hea").unwrap();
        idle.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
        for _ in 0..5 {
            turn(&mut observer, 1);
        }
        let mut start = [0; 12];
        idle.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200");
        assert_eq!(observer.peers.len(), 2);
        slow.write_all(b"l").unwrap(); // one byte now and then buys no time
        turn(&mut observer, REQUEST_NS - 1);
        assert_eq!(observer.peers.len(), 2);
        turn(&mut observer, REQUEST_NS + 2);
        assert_eq!(observer.peers.len(), 1);
        assert_eq!(slow.read(&mut start).unwrap(), 0);
        turn(&mut observer, IDLE_NS + 2);
        assert!(observer.peers.is_empty() && observer.reactor.is_empty());
    }

    #[test]
    fn an_end_of_stream_after_a_request_is_answered() {
        let (mut observer, address) = observer();
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        for _ in 0..5 {
            turn(&mut observer, 1);
        }
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert!(text.ends_with("ok\n"));
        assert!(observer.peers.is_empty());
    }
}
