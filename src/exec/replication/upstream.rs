//! As a replica: the line to our primary, and what follows from what comes over it.
//!
//! The line is a state machine ([`Line`]) that the server drives as a link; what comes is put in its queue. Once a turn,
//! between commands, the instance works the queue off ([`Instance::follow_primary`]):
//!
//! ```text
//!                  +CONTINUE
//!   handshake ------------------------------------------> the stream is applied (apply.rs)
//!       |                                                     ^
//!       +-- +FULLRESYNC --> a copy comes, and is loaded ------+
//!                           (copy.rs)
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;

use super::apply::Ready;
use super::copy::Resync;
use crate::client::{Attention, Connection, Endpoint, Session};
use crate::exec::ctx::Host;
use crate::exec::instance::{Alert, Instance};
use crate::exec::link::{Address, Kept, Link, LinkId, Lost, Step, Time};
use crate::exec::spec::Flags;
use crate::observe::keys;
use crate::observe::log::Level;
use crate::reactor::ConnId;
use crate::replication::{Greeting, HistoryId, Inbox, Line, Loss, News, Next, Progress, Refusal, Stage};
use crate::util::output_buffer::OutputBuffer;

/// Our primary, and what we have of its.
pub struct Upstream {
    /// Where it is.
    pub primary: Address,
    pub(super) line: Rc<RefCell<Line>>,
    /// `bind-source-addr`.
    source: Rc<Cell<Option<IpAddr>>>,
    pub(super) link: LinkId,
    /// The stream, as far as it is not applied.
    pub(super) inbox: Inbox,
    /// Who its commands run for; absent while one runs. It keeps the selected database from one connection to the next.
    pub(super) session: Option<Box<Session>>,
    /// What the requests in it ask for.
    pub(super) ready: VecDeque<Ready>,
    /// Requests of an open transaction that were looked at.
    pub(super) seen: usize,
    pub(super) sync: Resync,
    /// What we have is of a history that the primary may know.
    pub(super) has_history: bool,
    /// Since when the line is down, ms since 1970; 0 while it is up.
    down_since_ms: i64,
    /// Bytes of its stream that were received.
    pub(super) received: u64,
}

impl Upstream {
    /// How far the line is.
    pub fn stage(&self) -> Stage {
        self.line.borrow().stage()
    }

    /// The stream is followed: what we have is of the primary, and not old.
    pub fn is_up(&self) -> bool {
        // Not how the line is: what came over it may not have been followed yet.
        self.down_since_ms == 0
    }

    /// A copy is received or loaded.
    pub fn is_syncing(&self) -> bool {
        !matches!(self.sync, Resync::None)
    }

    /// How ROLE calls its state.
    pub fn state_name(&self) -> &'static str {
        match self.stage() {
            _ if self.is_syncing() => "sync",
            Stage::Away => "connect",
            Stage::Connecting => "connecting",
            Stage::Handshake => "handshake",
            Stage::Transfer => "sync",
            Stage::Streaming => "connected",
        }
    }

    /// Whole seconds since something was last heard of it; none while the line is down.
    pub fn silent_s(&self, now_ms: i64) -> Option<i64> {
        self.is_up().then(|| self.heard_s(now_ms))
    }

    /// Whole seconds since something was last heard of it, whatever it was.
    pub fn heard_s(&self, now_ms: i64) -> i64 {
        (now_ms - self.line.borrow().last_heard_ms()).max(0) / 1000
    }

    /// Whole seconds since the line went down; none while it is up.
    pub fn down_s(&self, now_ms: i64) -> Option<i64> {
        (self.down_since_ms > 0).then(|| (now_ms - self.down_since_ms).max(0) / 1000)
    }

    /// The copy that is on its way, or being loaded: its length, if that is known, and how much of it is here.
    pub fn copy_progress(&self) -> (Option<u64>, u64) {
        self.sync.progress()
    }

    /// Bytes received and not applied.
    pub fn waiting_bytes(&self) -> u64 {
        self.inbox.waiting() as u64
    }

    /// Who its commands run for, while none runs.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// What keeps the line from taking in more.
    fn taken(&self) -> usize {
        // Of a transaction that is not whole there can never be too much.
        if self.seen == self.inbox.len() { 0 } else { self.inbox.bytes(self.inbox.len()).len() }
    }
}

/// What is left of a primary that is followed no more.
#[derive(Clone, Copy, Default)]
pub(super) struct LastPrimary {
    /// What we have is of a history that others may know.
    pub has_history: bool,
    /// The database that its stream was about.
    pub stream_db: u32,
}

/// The link that drives the line.
struct PrimaryLink {
    primary: Address,
    source: Rc<Cell<Option<IpAddr>>>,
    line: Rc<RefCell<Line>>,
}

fn step(next: Next) -> Step {
    match next {
        Next::Wait => Step::Wait,
        Next::Connect => Step::Reconnect,
        Next::HangUp => Step::HangUp,
    }
}

impl Link for PrimaryLink {
    fn address(&self) -> &Address {
        &self.primary
    }

    fn source(&self) -> Option<IpAddr> {
        self.source.get()
    }

    fn shares(&self) -> Option<&[u8]> {
        None
    }

    fn on_open(&mut self, now: Time, _kept: Option<&Kept>, out: &mut OutputBuffer) -> Step {
        self.line.borrow_mut().on_open(now.mono_ns, now.wall_ms, out.bytes_mut());
        Step::Wait
    }

    fn on_sent(&mut self, _now: Time, _left: usize) {}

    fn on_bytes(&mut self, now: Time, bytes: &[u8], out: &mut OutputBuffer) -> Step {
        step(self.line.borrow_mut().on_bytes(now.mono_ns, now.wall_ms, bytes, out.bytes_mut()))
    }

    fn wants_bytes(&self) -> bool {
        self.line.borrow().wants_bytes()
    }

    fn on_wake(&mut self, now: Time, out: &mut OutputBuffer) -> Step {
        step(self.line.borrow_mut().on_wake(now.mono_ns, out.bytes_mut()))
    }

    fn next_deadline(&self) -> u64 {
        self.line.borrow().next_deadline()
    }

    fn on_timer(&mut self, now: Time, out: &mut OutputBuffer) -> Step {
        step(self.line.borrow_mut().on_timer(now.mono_ns, out.bytes_mut()))
    }

    fn on_close(&mut self, now: Time, lost: Lost) -> Step {
        self.line.borrow_mut().on_close(now.mono_ns, lost == Lost::Closed);
        Step::Wait
    }

    fn keeps(&self) -> Option<Kept> {
        None
    }

    fn finish(self: Box<Self>, _inst: &mut Instance, _host: &mut dyn Host) {}
}

impl Instance {
    /// Whether this instance is a replica.
    #[inline]
    pub fn is_replica(&self) -> bool {
        self.replication.upstream.is_some()
    }

    /// Begins to follow a primary. What is there is offered to it as a beginning, if it `has_history`; then what comes is
    /// about the database `db` until it says otherwise.
    pub(super) fn open_upstream(&mut self, primary: Address, host: &mut dyn Host, has_history: bool, db: u32) {
        let mut session = Session::new(self.clients.new_id(), None, false);
        session.attention.put(Attention::PRIMARY, true);
        session.db = db;
        let line = Line::new(Greeting::default(), self.config.replication.repl_timeout);
        let line = Rc::new(RefCell::new(line));
        let source = Rc::default();
        let link = PrimaryLink { primary: primary.clone(), source: Rc::clone(&source), line: Rc::clone(&line) };
        self.log.notice("Connecting to MASTER", &[(keys::ADDRESS, &Shown(&primary).to_string())]);
        let mut upstream = Upstream {
            primary,
            line,
            source,
            link: LinkId(0),
            inbox: Inbox::default(),
            session: Some(Box::new(session)),
            ready: VecDeque::new(),
            seen: 0,
            sync: Resync::None,
            has_history,
            down_since_ms: self.now_ms,
            received: 0,
        };
        // It may be asked for its greeting at once.
        self.set_greeting(&mut upstream);
        upstream.link = host.open_link(Box::new(link));
        self.replication.upstream = Some(Box::new(upstream));
        self.score_of_role(host);
    }

    /// The primary is followed no more. What was received and is whole is applied first.
    pub(super) fn close_upstream(&mut self, host: &mut dyn Host) {
        let streams = self.replication.upstream.as_ref().is_some_and(|upstream| matches!(upstream.sync, Resync::None));
        if streams {
            self.apply_all(host);
        }
        if let Some(upstream) = self.replication.upstream.take() {
            host.drop_link(upstream.link);
            let stream_db = upstream.session.map_or(0, |session| session.db);
            self.replication.last_primary = LastPrimary { has_history: upstream.has_history, stream_db };
            self.abandon_copy(upstream.sync);
        }
    }

    /// What is said of us at the next attempt, and where it comes from.
    fn set_greeting(&self, upstream: &mut Upstream) {
        let config = &self.config;
        // Only an address, not a name; anything else is as good as none.
        let source = std::str::from_utf8(config.server.bind_source_addr.as_bytes()).ok();
        upstream.source.set(source.and_then(|source| source.parse().ok()));
        let announced = config.replication.replica_announce_port;
        let next = self.replication.feed.end() + 1;
        upstream.line.borrow_mut().set_greeting(Greeting {
            user: config.replication.user().as_bytes().to_vec(),
            password: config.replication.password().as_bytes().to_vec(),
            port: if announced != 0 { announced } else { config.server.port },
            ip: config.replication.replica_announce_ip.as_bytes().to_vec(),
            has: upstream.has_history.then(|| (self.replication.history.id(), next)),
            takes_over: self.asks_to_take_over(),
        });
    }

    /// Takes over what configuration says of the line.
    pub(in crate::exec) fn upstream_config_changed(&mut self) {
        let Some(mut upstream) = self.replication.upstream.take() else { return };
        self.set_greeting(&mut upstream);
        upstream.line.borrow_mut().set_timeout(self.config.replication.repl_timeout);
        self.replication.upstream = Some(upstream);
        self.follow_role();
    }

    /// The primary as CLIENT LIST shows it, while its stream is followed: what stands for its connection.
    pub fn primary_connection(&self) -> Option<(&Session, Connection)> {
        let upstream = self.replication.upstream.as_ref().filter(|upstream| upstream.is_up())?;
        let session = upstream.session()?;
        let address = Shown(&upstream.primary).to_string();
        let from = Endpoint { addr: address, ..Endpoint::default() };
        let mut connection = Connection::new(ConnId { index: u32::MAX, generation: 0 }, from, self.now_ms);
        connection.last_active_ms = upstream.line.borrow().last_heard_ms();
        connection.input_bytes = upstream.received;
        Some((session, connection))
    }

    /// Has the connection to the primary closed and opened again: CLIENT KILL.
    pub fn hang_up_on_primary(&mut self, host: &mut dyn Host) -> bool {
        let Some(upstream) = &self.replication.upstream else { return false };
        let is_there = matches!(upstream.stage(), Stage::Streaming);
        if is_there {
            upstream.line.borrow_mut().hang_up();
            host.wake_link(upstream.link);
        }
        is_there
    }

    /// Once a turn, between commands: works off what has come from the primary.
    #[inline]
    pub fn follow_primary(&mut self, host: &mut dyn Host) {
        if self.replication.upstream.is_some() {
            self.follow(host);
        }
    }

    /// Whether there is more to be worked off, so that the loop must not sleep.
    pub fn has_primary_work(&self) -> bool {
        let Some(upstream) = &self.replication.upstream else { return false };
        match &upstream.sync {
            Resync::None if self.alert.has(Alert::PAUSED) => false,
            Resync::None => upstream.taken() > 0 || upstream.line.borrow().has_news(),
            sync => sync.has_work(),
        }
    }

    #[inline(never)]
    fn follow(&mut self, host: &mut dyn Host) {
        self.continue_copy(host);
        loop {
            let Some(upstream) = &mut self.replication.upstream else { return };
            if !upstream.sync.takes_news() || upstream.taken() > 0 {
                break;
            }
            let news = upstream.line.borrow_mut().take_news();
            let Some(news) = news else { break };
            self.on_news(news, host);
        }
        // CLIENT PAUSE holds the primary's writes back, too.
        if !self.pause.holds(Flags::WRITE, self.now_ms) {
            self.apply_some(host);
        }
        self.tell_progress(host);
    }

    fn on_news(&mut self, news: News, host: &mut dyn Host) {
        let Some(upstream) = &mut self.replication.upstream else { return };
        match news {
            News::Stream(bytes) => {
                upstream.received += bytes.len() as u64;
                upstream.inbox.push(&bytes);
                self.parse_inbox(host);
            }
            News::Answers => {
                self.log.notice("Master replied to PING, replication can continue...", &[]);
                match upstream.has_history {
                    true => self.log.log(
                        Level::Notice,
                        &format!(
                            "Trying a partial resynchronization (request {}:{}).",
                            self.replication.history.id(),
                            self.replication.feed.end() + 1
                        ),
                        &[],
                    ),
                    false => self.log.notice("Partial resynchronization not possible (no cached master)", &[]),
                }
            }
            News::Old(words) => {
                self.log.warning(
                    "Master does not support PSYNC or is in error state, retrying with SYNC",
                    &[("answer", &crate::observe::log::Shown(&words))],
                );
            }
            News::Declined(what, words) => {
                self.log.notice(
                    "(Non critical) Master does not understand what it was told",
                    &[(keys::COMMAND, &what), ("answer", &crate::observe::log::Shown(&words))],
                );
            }
            News::Continue(id) => self.is_continued(id),
            News::FullResync(of) => self.await_copy(of),
            News::CopyBegins(length) => self.begin_copy(length, host),
            News::Copy(bytes) => self.add_to_copy(bytes),
            News::CopyEnds => self.end_copy(),
            News::Lost(loss) => self.is_lost(&loss, host),
        }
    }

    /// The primary goes on from where we are.
    fn is_continued(&mut self, id: Option<HistoryId>) {
        if self.fails_over() {
            self.end_failover();
        }
        self.log.notice("Successful partial resynchronization with master.", &[]);
        let end = self.replication.feed.end();
        if let Some(id) = id.filter(|id| *id != self.replication.history.id()) {
            self.replication.history.go_on_as(id, end);
            self.log.notice("Master replication ID changed", &[("replid", &id.to_string())]);
            // They learn of it when they come back.
            self.drop_replicas();
        }
        if self.replication.feed.activate_at(end) {
            self.follow_propagation();
        }
        self.log.notice("MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.", &[]);
        self.stream_begins();
    }

    /// The stream is followed from now on.
    pub(super) fn stream_begins(&mut self) {
        if let Some(upstream) = &mut self.replication.upstream {
            upstream.down_since_ms = 0;
        }
        self.follow_role();
    }

    /// There is no connection any more.
    fn is_lost(&mut self, loss: &Loss, host: &mut dyn Host) {
        self.apply_all(host);
        let Some(upstream) = &mut self.replication.upstream else { return };
        let was_up = upstream.down_since_ms == 0;
        if was_up {
            upstream.down_since_ms = self.now_ms;
            self.log.notice("Connection with master lost.", &[]);
        }
        // What is not whole comes again.
        (upstream.inbox, upstream.seen) = (Inbox::default(), 0);
        upstream.ready.clear();
        match loss {
            Loss::NotReached => self.log.warning("Error condition on socket for SYNC: Connection refused", &[]),
            Loss::Closed if was_up => {}
            Loss::Closed => self.log.warning("Master closed the connection during the handshake or a sync", &[]),
            Loss::Silent(Stage::Streaming) => self.log.warning("MASTER timeout: no data nor PING received...", &[]),
            Loss::Silent(Stage::Transfer) => self.log.warning(
                "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' \
                 parameter to a larger value.",
                &[],
            ),
            Loss::Silent(_) => self.log.warning("Timeout connecting to the MASTER...", &[]),
            Loss::Refused(Refusal::Later(words)) => self.log.log(Level::Notice, words, &[]),
            Loss::Refused(Refusal::Unwelcome(words)) if self.asks_to_take_over() => {
                let words = words.clone();
                return self.give_up_failover(&words, host);
            }
            Loss::Refused(Refusal::Unwelcome(words) | Refusal::Nonsense(words) | Refusal::Aborted(words)) => {
                self.log.log(Level::Warning, words, &[]);
            }
        }
        self.copy_is_lost(host);
        let Some(mut upstream) = self.replication.upstream.take() else { return };
        self.set_greeting(&mut upstream);
        if was_up {
            self.log.notice("Reconnecting to MASTER", &[(keys::ADDRESS, &Shown(&upstream.primary).to_string())]);
        }
        // It has a deadline now.
        host.wake_link(upstream.link);
        self.replication.upstream = Some(upstream);
        self.follow_role();
    }

    /// What the line says of us, and whether it may take in more.
    pub(super) fn tell_progress(&mut self, host: &mut dyn Host) {
        let applied = self.replication.feed.end();
        let synced = self.aof.is_kept().then(|| self.aof_synced_offset());
        let Some(upstream) = &self.replication.upstream else { return };
        let mut line = upstream.line.borrow_mut();
        line.set_progress(Progress { applied, synced, loads: upstream.sync.loads() });
        line.set_taken(upstream.taken());
        if line.has_room_again() {
            host.wake_link(upstream.link);
        }
    }

    /// Takes over what follows from being a replica or not, and from how the line is.
    pub(in crate::exec) fn follow_role(&mut self) {
        let config = &self.config.replication;
        let upstream = self.replication.upstream.as_ref();
        let is_stale = upstream.is_some_and(|upstream| !upstream.is_up()) && !config.replica_serve_stale_data;
        self.alert.put(Alert::READ_ONLY, upstream.is_some() && config.replica_read_only);
        self.alert.put(Alert::WRITABLE_REPLICA, upstream.is_some() && !config.replica_read_only);
        self.alert.put(Alert::STALE, is_stale);
        self.refresh_pause();
        self.check_memory_limit();
        self.follow_propagation();
    }
}

/// Where a primary is, for the log.
pub(super) struct Shown<'a>(pub &'a Address);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.0.host.escape_ascii(), self.0.port)
    }
}
