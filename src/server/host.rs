//! The world as the instance sees it: a clock, and listeners that follow the configuration.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Server;
use super::drive;
use super::reader::Report;
use super::resolver::Resolved;
use crate::client::ClientId;
use crate::config::Config;
use crate::config::special::BindAddresses;
use crate::exec::ctx::Host;
use crate::exec::instance::Instance;
use crate::exec::link::{Link, LinkId};
use crate::exec::long_read::ReadJob;
use crate::http;
use crate::observe::keys;
use crate::observe::log::{Logger, Shown};
use crate::observe::metrics::Metrics;
use crate::persist::aof::{self, AofThread};
use crate::persist::{Received, SaveOutcome};
use crate::reactor::ListenerId;
use crate::stream::SpillReport;
use crate::sys::process::{Process, RealProcess};
use crate::sys::{process, sockets};

/// What other threads send to the loop.
#[derive(Debug)]
pub enum Mail {
    /// The snapshot thread has finished.
    Saved(SaveOutcome),
    /// The snapshot thread has made a copy for replicas, or has failed to.
    Copied(SaveOutcome),
    /// There is more of a copy for replicas that wait for it.
    CopyGrows,
    /// The thread that keeps a part of the feed on the disk has something to say.
    Spilled(SpillReport),
    /// The thread that writes a copy of a primary's data set has something to say.
    Received(Received),
    /// The snapshot thread has written the base of an append-only file, or has failed to.
    Rewritten(SaveOutcome),
    /// The thread that writes the append-only file has something to say.
    Aof(aof::Report),
    /// The lazy-free thread is done with what this client waits for.
    Freed(ClientId),
    /// A name of another instance was looked up.
    Resolved(Resolved),
    /// The thread that reads from snapshots has read something.
    Read(Box<Report>),
}

/// Descriptors that are not clients: listeners, files, the poll itself.
pub(super) const RESERVED_DESCRIPTORS: u64 = 32;

/// How the complaint about a unix socket begins.
pub(super) const UNIX_SOCKET_FAILED: &str = "Failed opening Unix socket";

/// Open listeners and what they were opened for.
#[derive(Default)]
pub(super) struct Listening {
    tcp: Vec<ListenerId>,
    tcp_key: Option<(BindAddresses, u16)>,
    unix: Option<(ListenerId, PathBuf)>,
}

/// The thread that answers /metrics, and the address it was asked for; stopped when dropped.
pub(super) struct Observer {
    address: String,
    _thread: http::Handle,
}

impl Server {
    #[inline]
    pub(super) fn now_ns(&self) -> u64 {
        self.clock.mono_ns()
    }

    pub(super) fn wall_ms(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// Stops listening, and removes the unix socket's file.
    pub(super) fn stop_listening(&mut self) {
        for id in self.listening.tcp.drain(..) {
            self.reactor.close_listener(id);
        }
        self.listening.tcp_key = None;
        if let Some((id, path)) = self.listening.unix.take() {
            self.reactor.close_listener(id);
            let _ = std::fs::remove_file(path); // somebody may have removed it already
        }
    }

    fn listen_tcp(&mut self, config: &Config) -> Result<Vec<ListenerId>, String> {
        let mut opened = Vec::new();
        if config.server.port == 0 || config.server.bind.0.is_empty() {
            return Ok(opened);
        }
        for entry in &config.server.bind.0 {
            let (optional, address) = match entry.as_bytes().strip_prefix(b"-") {
                Some(rest) => (true, rest),
                None => (false, entry.as_bytes()),
            };
            let result = sockets::resolve_bind(address, config.server.port).and_then(|addresses| {
                for address in addresses {
                    opened.push(self.reactor.listen_tcp(address, config.server.tcp_backlog)?);
                }
                Ok(())
            });
            if let Err(error) = result
                && !(optional && is_unavailable(&error))
            {
                for id in opened {
                    self.reactor.close_listener(id);
                }
                return Err(format!(
                    "Could not create server TCP listening socket {}:{}: {error}",
                    String::from_utf8_lossy(address),
                    config.server.port
                ));
            }
        }
        if opened.is_empty() {
            return Err("none of the addresses to bind is available".to_owned());
        }
        Ok(opened)
    }
}

/// An address family or address that this machine does not have: fine for a bind entry that begins with `-`.
fn is_unavailable(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{AddrNotAvailable, Unsupported};
    const EAFNOSUPPORT: i32 = 97;
    const EPROTONOSUPPORT: i32 = 93;
    matches!(error.kind(), AddrNotAvailable | Unsupported)
        || matches!(error.raw_os_error(), Some(EAFNOSUPPORT | EPROTONOSUPPORT))
}

impl Host for Server {
    fn relisten(&mut self, config: &Config) -> Result<(), String> {
        self.reactor.set_accept_keepalive(config.server.tcp_keepalive);
        let tcp_key = Some((config.server.bind.clone(), config.server.port));
        if self.listening.tcp_key != tcp_key {
            let same_port = self.listening.tcp_key.as_ref().is_some_and(|(_, port)| *port == config.server.port);
            if same_port {
                // The same port on other addresses: the old listeners may stand in the way of the new ones.
                for id in self.listening.tcp.drain(..) {
                    self.reactor.close_listener(id);
                }
            }
            match self.listen_tcp(config) {
                Ok(opened) => {
                    for id in std::mem::replace(&mut self.listening.tcp, opened) {
                        self.reactor.close_listener(id);
                    }
                    self.listening.tcp_key = tcp_key;
                }
                Err(error) => {
                    if same_port && let Some((bind, port)) = self.listening.tcp_key.take() {
                        let mut before = config.clone();
                        (before.server.bind, before.server.port) = (bind, port);
                        self.listening.tcp = self.listen_tcp(&before).unwrap_or_default();
                        self.listening.tcp_key = Some((before.server.bind, port));
                    }
                    return Err(error);
                }
            }
        }
        let wanted = (!config.server.unixsocket.is_empty()).then(|| config.server.unixsocket.as_path().to_owned());
        let have = self.listening.unix.as_ref().map(|(_, path)| path.clone());
        if wanted != have {
            if let Some((id, path)) = self.listening.unix.take() {
                self.reactor.close_listener(id);
                let _ = std::fs::remove_file(path);
            }
            if let Some(path) = wanted {
                let mode = (config.server.unixsocketperm != 0).then_some(config.server.unixsocketperm);
                let id = self
                    .reactor
                    .listen_unix(&path, mode, config.server.tcp_backlog)
                    .map_err(|e| format!("{UNIX_SOCKET_FAILED}: bind: {e}"))?;
                self.listening.unix = Some((id, path));
            }
        }
        Ok(())
    }

    fn observe(&mut self, config: &Config, metrics: &Arc<Metrics>, log: &Logger) -> Result<(), String> {
        let wanted = config.observability.http_listen.to_lossy();
        let have = self.observer.as_ref().map_or("", |observer| &observer.address);
        if wanted == have {
            return Ok(());
        }
        // It may stand in the way of the new one.
        let before = self.observer.take().map(|observer| observer.address);
        if wanted.is_empty() {
            return Ok(());
        }
        let mut observe = |address: String| -> std::io::Result<()> {
            let handle = http::spawn(std::slice::from_ref(&address), Arc::clone(metrics), log.for_worker())?;
            self.observer = Some(Observer { address, _thread: handle });
            Ok(())
        };
        observe(wanted).map_err(|error| {
            if let Some(Err(again)) = before.map(&mut observe) {
                log.warning("Metrics are no longer served", &[(keys::ERROR, &Shown(&again))]);
            }
            format!("can't listen for metrics: {error}")
        })
    }

    fn process(&self) -> &dyn Process {
        &RealProcess
    }

    #[inline]
    fn now_ns(&self) -> u64 {
        self.clock.mono_ns()
    }

    fn wall_us(&self) -> i64 {
        self.clock.wall_us()
    }

    fn clock_name(&self) -> String {
        self.clock.describe()
    }

    fn when_saved(&self) -> Box<dyn FnOnce(SaveOutcome) + Send> {
        let mailbox = self.reactor.mailbox();
        Box::new(move |outcome| {
            // Nobody takes mail any more only when the process is about to end.
            let _ = mailbox.send(Mail::Saved(outcome));
        })
    }

    fn when_copied(&self) -> Box<dyn FnOnce(SaveOutcome) + Send> {
        let mailbox = self.reactor.mailbox();
        Box::new(move |outcome| {
            // As above.
            let _ = mailbox.send(Mail::Copied(outcome));
        })
    }

    fn when_copy_grows(&self) -> Box<dyn Fn() + Send + Sync> {
        let mailbox = self.reactor.mailbox();
        Box::new(move || {
            // As above.
            let _ = mailbox.send(Mail::CopyGrows);
        })
    }

    fn when_spilled(&self) -> Box<dyn Fn(SpillReport) + Send> {
        let mailbox = self.reactor.mailbox();
        Box::new(move |report| {
            // As above.
            let _ = mailbox.send(Mail::Spilled(report));
        })
    }

    fn when_received(&self) -> Box<dyn Fn(Received) + Send> {
        let mailbox = self.reactor.mailbox();
        Box::new(move |received| {
            // As above.
            let _ = mailbox.send(Mail::Received(received));
        })
    }

    fn when_rewritten(&self) -> Box<dyn FnOnce(SaveOutcome) + Send> {
        let mailbox = self.reactor.mailbox();
        Box::new(move |outcome| {
            // As above.
            let _ = mailbox.send(Mail::Rewritten(outcome));
        })
    }

    fn start_aof_thread(&self) -> io::Result<AofThread> {
        let (mailbox, clock) = (self.reactor.mailbox(), self.clock);
        let tell = move |report| {
            // As above.
            let _ = mailbox.send(Mail::Aof(report));
        };
        AofThread::start(Box::new(move || clock.mono_ns()), Box::new(tell))
    }

    fn when_freed(&self, client: ClientId) -> Box<dyn FnOnce() + Send> {
        let mailbox = self.reactor.mailbox();
        Box::new(move || {
            // As above.
            let _ = mailbox.send(Mail::Freed(client));
        })
    }

    fn read_elsewhere(&mut self, job: ReadJob) {
        self.reader.take(job, self.reactor.mailbox(), self.clock);
    }

    fn open_link(&mut self, link: Box<dyn Link>) -> LinkId {
        self.begin_link(link)
    }

    fn wake_link(&mut self, id: LinkId) {
        self.link_is_woken(id);
    }

    fn drop_link(&mut self, id: LinkId) {
        self.link_is_dropped(id);
    }

    fn drive_link(&mut self, link: &mut dyn Link) {
        drive::drive(link, || self.time());
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn serve_others(&mut self, inst: &mut Instance) {
        self.turn_within(inst);
    }

    fn allow_clients(&mut self, maxclients: u64) -> Result<(), String> {
        let wanted = maxclients + RESERVED_DESCRIPTORS;
        let allowed = process::raise_nofile(wanted).unwrap_or_else(|_| process::nofile());
        if allowed >= wanted {
            return Ok(());
        }
        let possible = allowed.saturating_sub(RESERVED_DESCRIPTORS);
        Err(format!("The operating system is not able to handle the specified number of clients, try with {possible}"))
    }
}
