//! Metrics and health over HTTP, from a thread of their own.
//!
//! # What this is
//!
//! A small HTTP/1.1 server for those who watch this instance: `GET /metrics` in Prometheus's text format,
//! `GET /healthz` (the process is alive) and `GET /readyz` (it serves: not while it loads). It reads the shared
//! [`Metrics`] and needs nothing from the main loop, so it answers while that is inside a ten-second script: that
//! is when people look. `/healthz` says nothing about the main loop on purpose: whatever restarts processes that
//! are not alive must not kill one that is busy. How long the loop is busy is a metric.
//!
//! # What it never does
//!
//! * It never touches the main loop, a key or a client, and changes nothing.
//! * It never waits for a client. One loop serves all connections; they are few ([`CONNECTIONS_MAX`]), their
//!   requests small, and every state they can be in has a deadline.
//!
//! # Map
//!
//! | file | holds |
//! | --- | --- |
//! | `answer` | bytes of a request in, bytes of a reply out: no sockets |
//! | `serve` | the loop: connections, deadlines |
//!
//! # Read first
//!
//! `answer`.

mod answer;
mod serve;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::observe::export::Exporter;
use crate::observe::keys;
use crate::observe::log::{Logger, Shown};
use crate::observe::metrics::Metrics;
use crate::reactor::{Mailbox, Reactor};
use crate::sys::{process, signals, sockets};

pub use serve::CONNECTIONS_MAX;

/// What the rest of the process may tell the observer.
enum Order {
    Stop,
}

/// The running observer. Dropping it stops the thread.
pub struct Handle {
    addresses: Vec<SocketAddr>,
    mailbox: Mailbox<Order>,
    thread: Option<JoinHandle<()>>,
}

/// Listens on `addrs` (`127.0.0.1:9121`, `[::1]:9121`, `*:9121` for every IPv4 address; port 0 lets the system
/// choose), and serves from a thread of its own until the handle is dropped.
pub fn spawn(addrs: &[String], metrics: Arc<Metrics>, log: Logger) -> io::Result<Handle> {
    const BACKLOG: u32 = 64;
    let mut reactor = Reactor::new()?;
    let mut addresses = Vec::new();
    for entry in addrs {
        for address in resolve(entry)? {
            let listener = reactor.listen_tcp(address, BACKLOG)?;
            addresses.extend(reactor.listener_address(listener));
        }
    }
    for address in &addresses {
        log.notice("Metrics and health over HTTP", &[(keys::ADDRESS, &Shown(address))]);
    }
    let mailbox = reactor.mailbox();
    let body = move || {
        process::name_this_thread("observer");
        // Signals are the main loop's. Without that it works as well, a system call may be interrupted.
        let _ = signals::block_in_this_thread();
        serve::Observer::new(reactor, Exporter::new(metrics.clone()), metrics, log).run();
    };
    let thread = thread::Builder::new().name("observer".to_owned()).spawn(body)?;
    Ok(Handle { addresses, mailbox, thread: Some(thread) })
}

/// The socket addresses that an entry `host:port` means.
fn resolve(entry: &str) -> io::Result<Vec<SocketAddr>> {
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, format!("{entry:?} is not host:port"));
    let (host, port) = entry.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().map_err(|_| bad())?;
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    sockets::resolve_bind(host.as_bytes(), port)
}

impl Handle {
    /// Where it listens, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // A loop that is gone already needs no telling; a panic in it was reported by the hook.
        let _ = self.mailbox.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    fn start() -> (Handle, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new(1, &["get"]));
        (spawn(&["127.0.0.1:0".to_owned()], metrics.clone(), Logger::silent()).unwrap(), metrics)
    }

    fn connect(handle: &Handle) -> TcpStream {
        let stream = TcpStream::connect(handle.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn ask(handle: &Handle, request: &str) -> String {
        let mut stream = connect(handle);
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
    }

    #[test]
    fn pages() {
        let (handle, metrics) = start();
        metrics.connected_clients.set(42);
        let reply = ask(&handle, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        assert!(
            reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.contains("\nredis_connected_clients 42\n"),
            "{reply}"
        );
        metrics.loading.set(1);
        assert!(ask(&handle, "GET /readyz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 503 "));
        assert!(ask(&handle, "GET /healthz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
        metrics.loading.set(0);
        assert!(ask(&handle, "GET /readyz HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
    }

    #[test]
    fn one_connection_many_requests_in_pieces() {
        let (handle, _metrics) = start();
        let mut stream = connect(&handle);
        let request = b"GET /healthz HTTP/1.1\r\n\r\nGET /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n";
        for piece in request.chunks(7) {
            stream.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert_eq!(reply.matches("HTTP/1.1 ").count(), 2);
        assert!(reply.contains("404 Not Found"));
    }

    #[test]
    fn the_idle_do_not_keep_others_out() {
        let (handle, _metrics) = start();
        let idle: Vec<TcpStream> = (0..CONNECTIONS_MAX + 10).map(|_| connect(&handle)).collect();
        std::thread::sleep(Duration::from_millis(50));
        assert!(ask(&handle, "GET /healthz HTTP/1.0\r\n\r\n").contains("200 OK"));
        drop(idle);
    }

    #[test]
    fn addresses() {
        assert_eq!(resolve("[::1]:9").unwrap()[0].to_string(), "[::1]:9");
        assert_eq!(resolve("*:9").unwrap()[0].to_string(), "0.0.0.0:9");
        assert!(resolve("9121").is_err() && resolve("x:y").is_err());
        assert!(spawn(&["256.0.0.1:0".to_owned()], Arc::new(Metrics::new(1, &[])), Logger::silent()).is_err());
    }
}
