//! Links: connections that we open, and what drives the conversations over them ([`Link`]).
//!
//! ```text
//!   open_link -> name looked up -> connecting -> open: bytes in, bytes out, deadline -> over -> finish
//!                      |               | next address        |
//!                      +---------------+------ lost ---------+--> the link decides: once more, or over
//! ```
//!
//! A link is touched when something has happened to it: when the reactor says so, when its deadline is over, or when there
//! was more to read or to write than one turn allows. What it has come to is given to the instance between commands, never
//! within one, and not while there must be no writes.
//!
//! A connection may be kept for the next conversation with the same instance: for ten seconds, and 64 at most, as Redis does.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;

use super::Server;
use super::deadlines::Due;
use super::resolver::{self, Resolved, Resolver};
use crate::exec::instance::Instance;
use crate::exec::link::{Kept, Link, LinkId, Lost, Step, Time};
use crate::reactor::{ConnId, ReadOutcome, TimerId, WriteOutcome};
use crate::util::output_buffer::OutputBuffer;

/// So much is read from one link, and written to it, in one turn.
const TURN_BYTES_MAX: usize = 256 * 1024;

/// Connections that are kept for others.
const KEPT_MAX: usize = 64;

/// For so long.
const KEPT_MS: i64 = 10_000;

/// A conversation and its connection.
struct Open {
    link: Box<dyn Link>,
    /// `None` while its name is looked up.
    conn: Option<ConnId>,
    /// Addresses that were not tried yet.
    addresses: VecDeque<SocketAddr>,
    is_connected: bool,
    /// The socket takes nothing more just now.
    is_blocked: bool,
    /// The socket may have more.
    is_readable: bool,
    /// Listed among those that have something to do.
    is_listed: bool,
    /// The instance has had it woken.
    is_woken: bool,
    out: OutputBuffer,
    timer: Option<TimerId>,
    deadline_ns: u64,
}

/// A connection that nobody uses.
struct Idle {
    conn: ConnId,
    kept: Kept,
    since_ms: i64,
}

/// All links.
#[derive(Default)]
pub(super) struct Links {
    open: HashMap<u64, Open>,
    /// Whose a connection is.
    of_conn: HashMap<ConnId, u64>,
    idle: Vec<Idle>,
    /// Links that have something to read or to write without the reactor saying so again.
    active: VecDeque<u64>,
    /// Links that are over, and whose end has still to follow.
    over: Vec<Box<dyn Link>>,
    begun: u64,
    resolver: Resolver,
    input: Vec<u8>,
}

impl Links {
    /// Whether a connection is one of ours.
    #[inline]
    pub(super) fn has(&self, conn: ConnId) -> bool {
        if self.of_conn.is_empty() && self.idle.is_empty() {
            return false;
        }
        self.of_conn.contains_key(&conn) || self.idle.iter().any(|idle| idle.conn == conn)
    }

    /// Whether the loop may not sleep.
    pub(super) fn have_work(&self, inst: &Instance) -> bool {
        !self.active.is_empty() || (!self.over.is_empty() && inst.may_finish_links())
    }

    fn list(&mut self, number: u64) {
        if let Some(open) = self.open.get_mut(&number).filter(|open| !open.is_listed) {
            open.is_listed = true;
            self.active.push_back(number);
        }
    }

    /// Takes a kept connection that a link may go on with.
    fn take_kept(&mut self, key: &[u8]) -> Option<Idle> {
        let at = self.idle.iter().rposition(|idle| *idle.kept.key == *key)?;
        Some(self.idle.remove(at))
    }
}

impl Server {
    pub(super) fn time(&self) -> Time {
        Time { mono_ns: self.now_ns(), wall_ms: self.wall_ms() }
    }

    /// Begins a conversation.
    pub(super) fn begin_link(&mut self, link: Box<dyn Link>) -> LinkId {
        self.links.begun += 1;
        let number = self.links.begun;
        let open = Open {
            link,
            conn: None,
            addresses: VecDeque::new(),
            is_connected: false,
            is_blocked: false,
            is_readable: false,
            is_listed: false,
            is_woken: false,
            out: OutputBuffer::new(),
            timer: None,
            deadline_ns: u64::MAX,
        };
        self.links.open.insert(number, open);
        let kept = self.links.open[&number].link.shares().map(Box::<[u8]>::from);
        match kept.and_then(|key| self.links.take_kept(&key)) {
            Some(idle) => {
                self.links.of_conn.insert(idle.conn, number);
                if let Some(open) = self.links.open.get_mut(&number) {
                    open.conn = Some(idle.conn);
                }
                self.link_is_connected(number, Some(&idle.kept));
            }
            None => self.look_up(number),
        }
        self.follow_deadline(number);
        LinkId(number)
    }

    /// The instance wants to tell a link something.
    pub(super) fn link_is_woken(&mut self, LinkId(number): LinkId) {
        if let Some(open) = self.links.open.get_mut(&number) {
            open.is_woken = true;
            self.links.list(number);
        }
    }

    /// Nobody wants to hear of a link any more.
    pub(super) fn link_is_dropped(&mut self, LinkId(number): LinkId) {
        self.hang_up(number);
        if let Some(timer) = self.links.open.remove(&number).and_then(|open| open.timer) {
            self.deadlines.cancel(timer);
        }
    }

    /// Finds the addresses of a link's other end, and tries the first.
    fn look_up(&mut self, number: u64) {
        let Some(open) = self.links.open.get_mut(&number) else { return };
        let address = open.link.address().clone();
        if let Some(numeric) = resolver::numeric(&address) {
            open.addresses = VecDeque::from([numeric]);
            return self.connect(number, Lost::Unreachable);
        }
        let reactor = &self.reactor;
        if !self.links.resolver.ask(number, address, || reactor.mailbox()) {
            self.link_is_lost(number, Lost::Unreachable);
        }
    }

    /// A name was looked up. The link may be over by now.
    pub(super) fn name_is_resolved(&mut self, resolved: Resolved) {
        let Some(open) = self.links.open.get_mut(&resolved.link) else { return };
        open.addresses = resolved.addresses.into();
        self.connect(resolved.link, Lost::Unreachable);
        self.follow_deadline(resolved.link);
    }

    /// Connects to the next address that there is a way to; `last` is why the one before it was in vain.
    fn connect(&mut self, number: u64, mut last: Lost) {
        loop {
            let Some(open) = self.links.open.get_mut(&number) else { return };
            let Some(address) = open.addresses.pop_front() else { return self.link_is_lost(number, last) };
            match self.reactor.connect_tcp(address, open.link.source()) {
                Ok(conn) => {
                    open.conn = Some(conn);
                    self.links.of_conn.insert(conn, number);
                    return;
                }
                Err(_) => last = Lost::Unreachable,
            }
        }
    }

    /// A connect is decided.
    pub(super) fn link_connected(&mut self, conn: ConnId, outcome: &io::Result<()>) {
        let Some(&number) = self.links.of_conn.get(&conn) else { return };
        match outcome {
            Ok(()) => self.link_is_connected(number, None),
            Err(_) => {
                self.hang_up(number);
                self.connect(number, Lost::Refused);
            }
        }
        self.follow_deadline(number);
    }

    fn link_is_connected(&mut self, number: u64, kept: Option<&Kept>) {
        let now = self.time();
        let Some(open) = self.links.open.get_mut(&number) else { return };
        (open.is_connected, open.is_blocked, open.is_readable) = (true, false, false);
        let step = open.link.on_open(now, kept, &mut open.out);
        self.links.list(number);
        self.take_step(number, step);
    }

    /// There may be something to read.
    pub(super) fn link_readable(&mut self, conn: ConnId) {
        match self.links.of_conn.get(&conn) {
            Some(&number) => {
                if let Some(open) = self.links.open.get_mut(&number) {
                    open.is_readable = true;
                }
                self.links.list(number);
            }
            // Nobody has asked for anything: the other end closes it, or does not speak our language.
            None => self.drop_kept(|idle| idle.conn == conn),
        }
    }

    /// There is room again.
    pub(super) fn link_writable(&mut self, conn: ConnId) {
        let Some(&number) = self.links.of_conn.get(&conn) else { return };
        if let Some(open) = self.links.open.get_mut(&number) {
            open.is_blocked = false;
        }
        self.links.list(number);
    }

    /// A link's deadline is over.
    pub(super) fn link_timer(&mut self, number: u64) {
        let now = self.time();
        let Some(open) = self.links.open.get_mut(&number) else { return };
        (open.timer, open.deadline_ns) = (None, u64::MAX);
        let step = open.link.on_timer(now, &mut open.out);
        self.links.list(number);
        self.take_step(number, step);
        self.follow_deadline(number);
    }

    /// Reads and writes for those that have something to do: each once, and what is left in the next turn.
    #[inline]
    pub(super) fn serve_links(&mut self) {
        if !self.links.active.is_empty() {
            self.serve_active();
        }
    }

    #[cold]
    fn serve_active(&mut self) {
        let now = self.time();
        for _ in 0..self.links.active.len() {
            let Some(number) = self.links.active.pop_front() else { return };
            let Some(open) = self.links.open.get_mut(&number) else { continue };
            open.is_listed = false;
            if std::mem::take(&mut open.is_woken) {
                let step = open.link.on_wake(now, &mut open.out);
                self.take_step(number, step);
            }
            self.read_link(number);
            self.write_link(number);
            self.follow_deadline(number);
            let Some(open) = self.links.open.get(&number).filter(|open| open.is_connected) else { continue };
            if (open.is_readable && open.link.wants_bytes()) || (!open.is_blocked && !open.out.is_empty()) {
                self.links.list(number);
            }
        }
    }

    fn read_link(&mut self, number: u64) {
        let now = self.time();
        let Some(open) = self.links.open.get_mut(&number).filter(|open| open.is_connected && open.is_readable) else {
            return;
        };
        if !open.link.wants_bytes() {
            return;
        }
        let Some(conn) = open.conn else { return };
        let mut input = std::mem::take(&mut self.links.input);
        input.clear();
        let outcome = self.reactor.read(conn, &mut input, TURN_BYTES_MAX);
        open.is_readable = matches!(outcome, ReadOutcome::Data { drained: false, .. });
        match outcome {
            ReadOutcome::Data { .. } => {
                let step = open.link.on_bytes(now, &input, &mut open.out);
                self.take_step(number, step);
            }
            ReadOutcome::WouldBlock => {}
            ReadOutcome::Eof | ReadOutcome::Failed(_) => self.link_is_lost(number, Lost::Closed),
        }
        self.links.input = input;
    }

    fn write_link(&mut self, number: u64) {
        let now = self.time();
        let Some(open) = self.links.open.get_mut(&number).filter(|open| open.is_connected && !open.is_blocked) else {
            return;
        };
        let (Some(conn), false) = (open.conn, open.out.is_empty()) else { return };
        let before = open.out.len();
        let outcome = self.reactor.write(conn, &mut open.out, TURN_BYTES_MAX);
        if open.out.len() < before {
            open.link.on_sent(now, open.out.len());
        }
        match outcome {
            WriteOutcome::Drained | WriteOutcome::More => {}
            WriteOutcome::Blocked => open.is_blocked = true,
            WriteOutcome::Failed(_) => self.link_is_lost(number, Lost::Closed),
        }
    }

    /// There is no connection, or none any more.
    fn link_is_lost(&mut self, number: u64, lost: Lost) {
        let now = self.time();
        self.hang_up(number);
        let Some(open) = self.links.open.get_mut(&number) else { return };
        let step = open.link.on_close(now, lost);
        self.take_step(number, step);
    }

    fn take_step(&mut self, number: u64, step: Step) {
        match step {
            Step::Wait => {}
            Step::Reconnect => {
                self.hang_up(number);
                self.look_up(number);
            }
            Step::HangUp => self.hang_up(number),
            Step::Over => self.end_link(number),
        }
    }

    /// Closes a link's connection.
    fn hang_up(&mut self, number: u64) {
        let Some(open) = self.links.open.get_mut(&number) else { return };
        open.is_connected = false;
        open.out.clear();
        if let Some(conn) = open.conn.take() {
            self.links.of_conn.remove(&conn);
            self.reactor.close(conn);
        }
    }

    fn end_link(&mut self, number: u64) {
        let since_ms = self.wall_ms();
        let Some(open) = self.links.open.get_mut(&number) else { return };
        if let (Some(kept), Some(conn)) = (open.link.keeps(), open.conn) {
            // Whatever is still to be read comes to nobody who has asked for it.
            if open.is_connected && open.out.is_empty() && !self.reactor.has_hung_up(conn) {
                open.conn = None;
                self.links.of_conn.remove(&conn);
                self.links.idle.push(Idle { conn, kept, since_ms });
            }
        }
        self.hang_up(number);
        if let Some(open) = self.links.open.remove(&number) {
            open.timer.into_iter().for_each(|timer| self.deadlines.cancel(timer));
            self.links.over.push(open.link);
        }
        if self.links.idle.len() > KEPT_MAX {
            let oldest = self.links.idle[0].conn;
            self.drop_kept(|idle| idle.conn == oldest);
        }
    }

    fn drop_kept(&mut self, mut is_dropped: impl FnMut(&Idle) -> bool) {
        let reactor = &mut self.reactor;
        self.links.idle.retain(|idle| {
            let drops = is_dropped(idle);
            if drops {
                reactor.close(idle.conn);
            }
            !drops
        });
    }

    /// Sets a link's timer by its deadline.
    fn follow_deadline(&mut self, number: u64) {
        let Some(open) = self.links.open.get_mut(&number) else { return };
        let deadline_ns = open.link.next_deadline();
        if deadline_ns == open.deadline_ns {
            return;
        }
        open.deadline_ns = deadline_ns;
        open.timer.take().into_iter().for_each(|timer| self.deadlines.cancel(timer));
        if deadline_ns < u64::MAX {
            open.timer = Some(self.deadlines.set(deadline_ns, Due::Link(number)));
        }
    }

    /// What links have come to follows for the instance, if that may be now.
    #[inline]
    pub(super) fn finish_links(&mut self, inst: &mut Instance) {
        if !self.links.over.is_empty() && inst.may_finish_links() {
            self.finish_over(inst);
        }
    }

    #[cold]
    fn finish_over(&mut self, inst: &mut Instance) {
        for link in std::mem::take(&mut self.links.over) {
            link.finish(inst, self);
        }
        self.count_kept(inst);
        self.settle(inst);
    }

    /// Now and then: connections that nobody has come back for are closed.
    pub(super) fn close_kept(&mut self, inst: &mut Instance) {
        let now_ms = inst.now_ms;
        self.drop_kept(|idle| now_ms - idle.since_ms > KEPT_MS);
        self.count_kept(inst);
    }

    fn count_kept(&self, inst: &mut Instance) {
        inst.migrations.kept_connections = self.links.idle.len();
    }
}
