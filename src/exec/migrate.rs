//! MIGRATE: keys on their way to another instance.
//!
//! # The conversation
//!
//! ```text
//!            +-- AUTH, SELECT, where needed --+
//!            |                                v
//!   connecting                            preparing ---- a refusal: over
//!            |                                |
//!            +-- neither is needed --> RESTORE of every key ---> awaits an answer to each
//! ```
//!
//! A connection that breaks before any key was taken is opened once more: one that others have left may have been closed
//! at the other end. The timeout is for each sign of life, not for the whole.
//!
//! # Keys are in one place
//!
//! Redis does nothing else meanwhile; here others are served. So that nobody reads or changes a key that is about to be
//! elsewhere, whoever names one of the keys on their way waits until it is decided, and so does whoever changes databases
//! as a whole ([`Instance::is_on_its_way`]). A key is deleted when the other instance has said that it has it. That is done
//! even if the client has gone, as in Redis, and it waits while there must be no writes (CLIENT PAUSE, loading).

use std::cell::Cell;
use std::collections::HashMap;

use bytes::Bytes;

use crate::blocking::{BlockedClient, Wait, WaitFor};
use crate::client::{ClientId, Session};
use crate::exec::blocked;
use crate::exec::call::{self, Origin, Request};
use crate::exec::ctx::Host;
use crate::exec::error::CommandError;
use crate::exec::instance::{Alert, Ask, Instance};
use crate::exec::keys;
use crate::exec::link::{Address, Kept, Link, Lost, Step, Time};
use crate::exec::spec::Flags;
use crate::exec::table::Command;
use crate::resp::{Args, OwnedArgs, ReplyLimits, ReplyParser, Value};
use crate::util::output_buffer::OutputBuffer;

const NOT_CONNECTED: CommandError = CommandError::fixed("IOERR error or timeout connecting to the client");
const NOT_WRITTEN: CommandError = CommandError::fixed("IOERR error or timeout writing to target instance");
const NOT_READ: CommandError = CommandError::fixed("IOERR error or timeout reading to target instance");

/// The answers are lines; the text of an error is repeated.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A key with its value.
pub struct Parcel {
    /// The key.
    pub key: Box<[u8]>,
    /// What DUMP says of its value.
    pub payload: Bytes,
    /// When it expires, ms since 1970.
    pub expiry_ms: Option<i64>,
}

/// What MIGRATE asks for.
pub struct Plan {
    /// Where the keys go.
    pub target: Address,
    /// The database there.
    pub db: i64,
    /// How long the other instance may be silent.
    pub timeout_ms: u64,
    /// The words after AUTH.
    pub auth: Vec<Box<[u8]>>,
    /// The keys stay here, too.
    pub copy: bool,
    /// They take the place of what is there.
    pub replace: bool,
    /// The keys.
    pub parcels: Vec<Parcel>,
}

/// What came of it.
pub struct Delivery {
    /// The keys that the other instance has.
    pub taken: Vec<Box<[u8]>>,
    /// What went wrong.
    pub error: Option<CommandError>,
}

/// Who asked for it.
struct Asker {
    client: ClientId,
    command: &'static Command,
    request: OwnedArgs,
    db: u32,
}

/// What it waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// A connection.
    Connection,
    /// The answers to AUTH and SELECT.
    Preparations,
    /// The answers to RESTORE.
    Answers,
}

/// One MIGRATE that is under way.
pub struct Migration {
    plan: Plan,
    /// `None` where the caller waits for it here and now.
    asker: Option<Asker>,
    /// Which connections it shares with others.
    shares: Box<[u8]>,
    state: State,
    parser: ReplyParser,
    unparsed: Vec<u8>,
    /// Answers to AUTH and SELECT that are still to come.
    preparations: usize,
    /// The parcels that were sent, in order: keys that have expired meanwhile were not.
    sent: Vec<usize>,
    answers: usize,
    taken: Vec<usize>,
    error: Option<CommandError>,
    /// So many bytes were not taken by the connection yet.
    unsent: usize,
    deadline_ns: u64,
    may_retry: bool,
    is_usable: bool,
}

impl Migration {
    fn new(plan: Plan, asker: Option<Asker>, now_ns: u64) -> Migration {
        let mut migration = Migration {
            shares: shared_key(&plan),
            plan,
            asker,
            state: State::Connection,
            parser: parser(),
            unparsed: Vec::new(),
            preparations: 0,
            sent: Vec::new(),
            answers: 0,
            taken: Vec::new(),
            error: None,
            unsent: 0,
            deadline_ns: 0,
            may_retry: true,
            is_usable: false,
        };
        migration.wait_from(now_ns);
        migration
    }

    /// Somebody gave a sign of life.
    fn wait_from(&mut self, now_ns: u64) {
        self.deadline_ns = now_ns.saturating_add(self.plan.timeout_ms.saturating_mul(1_000_000));
    }

    fn send_parcels(&mut self, now: Time, out: &mut OutputBuffer) -> Step {
        self.state = State::Answers;
        for (at, parcel) in self.plan.parcels.iter().enumerate() {
            let ttl = match parcel.expiry_ms.map(|at_ms| at_ms - now.wall_ms) {
                None => 0,
                Some(left) if left < 0 => continue,
                Some(left) => left.max(1),
            };
            let argc = 4 + usize::from(self.plan.replace);
            let bytes = out.bytes_mut();
            bytes.extend_from_slice(format!("*{argc}\r\n$7\r\nRESTORE\r\n").as_bytes());
            push_bulk(bytes, &parcel.key);
            push_bulk(bytes, ttl.to_string().as_bytes());
            bytes.extend_from_slice(format!("${}\r\n", parcel.payload.len()).as_bytes());
            out.share(parcel.payload.clone());
            out.bytes_mut().extend_from_slice(b"\r\n");
            if self.plan.replace {
                push_bulk(out.bytes_mut(), b"REPLACE");
            }
            self.sent.push(at);
        }
        self.await_answers()
    }

    /// One answer of the other instance.
    fn answered(&mut self, now: Time, answer: Value, out: &mut OutputBuffer) -> Step {
        let refusal = match answer {
            Value::Error(text) => Some(text),
            _ => None,
        };
        let is_refused = refusal.is_some();
        if let Some(text) = refusal.filter(|_| self.error.is_none()) {
            let text = [b"ERR Target instance replied with error: ", &text[..]].concat();
            self.error = Some(CommandError::bytes(text));
        }
        if self.state == State::Preparations {
            self.preparations -= 1;
            if is_refused {
                return Step::Over;
            }
            if self.preparations > 0 {
                return Step::Wait;
            }
            return self.send_parcels(now, out);
        }
        if !is_refused {
            self.taken.push(self.sent[self.answers]);
        }
        self.answers += 1;
        self.await_answers()
    }

    /// Waits for those that are still to come.
    fn await_answers(&mut self) -> Step {
        if self.answers < self.sent.len() {
            return Step::Wait;
        }
        self.is_usable = self.error.is_none();
        Step::Over
    }

    /// The connection is of no use any more. Once more from the beginning, if that can do no harm and may help.
    fn failed(&mut self, now: Time, again: bool, error: CommandError) -> Step {
        if again && self.may_retry && self.answers == 0 {
            self.may_retry = false;
            self.state = State::Connection;
            self.parser = parser();
            self.unparsed.clear();
            self.sent.clear();
            (self.preparations, self.unsent) = (0, 0);
            self.wait_from(now.mono_ns);
            return Step::Reconnect;
        }
        self.error.get_or_insert(error);
        Step::Over
    }

    /// What came of it, once it is over.
    pub fn delivery(&mut self) -> Delivery {
        let taken = std::mem::take(&mut self.taken);
        let mut key_of = |at: usize| std::mem::take(&mut self.plan.parcels[at].key);
        let taken = if self.plan.copy { Vec::new() } else { taken.into_iter().map(&mut key_of).collect() };
        Delivery { taken, error: self.error.take() }
    }
}

fn parser() -> ReplyParser {
    ReplyParser::new(ReplyLimits {
        depth_max: 1,
        bulk_bytes_max: ANSWER_BYTES_MAX,
        reply_bytes_max: ANSWER_BYTES_MAX,
        line_bytes_max: ANSWER_BYTES_MAX,
    })
}

fn push_bulk(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(format!("${}\r\n", text.len()).as_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(b"\r\n");
}

/// A connection is for those with the same target and the same credentials: nobody goes on as the user that another one
/// was.
fn shared_key(plan: &Plan) -> Box<[u8]> {
    let mut key = plan.target.port.to_le_bytes().to_vec();
    for part in std::iter::once(&plan.target.host).chain(&plan.auth) {
        key.extend_from_slice(&(part.len() as u64).to_le_bytes());
        key.extend_from_slice(part);
    }
    key.into()
}

impl Link for Migration {
    fn address(&self) -> &Address {
        &self.plan.target
    }

    fn shares(&self) -> Option<&[u8]> {
        Some(&self.shares)
    }

    fn on_open(&mut self, now: Time, kept: Option<&Kept>, out: &mut OutputBuffer) -> Step {
        self.wait_from(now.mono_ns);
        let bytes = out.bytes_mut();
        // Also over a kept one: the password may have been changed since.
        if !self.plan.auth.is_empty() {
            bytes.extend_from_slice(format!("*{}\r\n$4\r\nAUTH\r\n", 1 + self.plan.auth.len()).as_bytes());
            self.plan.auth.iter().for_each(|word| push_bulk(bytes, word));
            self.preparations += 1;
        }
        if kept.is_none_or(|kept| kept.db != self.plan.db) {
            bytes.extend_from_slice(b"*2\r\n$6\r\nSELECT\r\n");
            push_bulk(bytes, self.plan.db.to_string().as_bytes());
            self.preparations += 1;
        }
        self.state = State::Preparations;
        let step = if self.preparations == 0 { self.send_parcels(now, out) } else { Step::Wait };
        self.unsent = out.len();
        step
    }

    fn on_sent(&mut self, now: Time, left: usize) {
        self.unsent = left;
        self.wait_from(now.mono_ns);
    }

    fn on_bytes(&mut self, now: Time, bytes: &[u8], out: &mut OutputBuffer) -> Step {
        self.wait_from(now.mono_ns);
        let mut input = std::mem::take(&mut self.unparsed);
        input.extend_from_slice(bytes);
        let mut at = 0;
        let step = loop {
            match self.parser.feed(&input[at..]) {
                Ok((used, Some(answer))) => {
                    at += used;
                    match self.answered(now, answer, out) {
                        Step::Wait => {}
                        step => break step,
                    }
                }
                Ok((used, None)) => {
                    at += used;
                    break Step::Wait;
                }
                // That is no instance.
                Err(_) => break self.failed(now, false, NOT_READ),
            }
        };
        self.unparsed = input.split_off(at);
        self.unsent = out.len();
        step
    }

    fn next_deadline(&self) -> u64 {
        self.deadline_ns
    }

    fn on_timer(&mut self, now: Time, _out: &mut OutputBuffer) -> Step {
        let error = match self.state {
            State::Connection => NOT_CONNECTED,
            _ if self.unsent > 0 => NOT_WRITTEN,
            _ => NOT_READ,
        };
        self.failed(now, false, error)
    }

    fn on_close(&mut self, now: Time, lost: Lost) -> Step {
        match lost {
            Lost::Unreachable => self.failed(now, false, NOT_CONNECTED),
            // Redis notices it when it writes.
            Lost::Refused => self.failed(now, true, NOT_WRITTEN),
            Lost::Closed if self.unsent > 0 => self.failed(now, true, NOT_WRITTEN),
            Lost::Closed => self.failed(now, true, NOT_READ),
        }
    }

    fn keeps(&self) -> Option<Kept> {
        self.is_usable.then(|| Kept { key: self.shares.clone(), db: self.plan.db })
    }

    fn finish(mut self: Box<Self>, inst: &mut Instance, host: &mut dyn Host) {
        let Some(asker) = self.asker.take() else { return };
        if !self.plan.copy {
            inst.migrations.let_go(keys_of(asker.command, asker.request.view()));
            inst.alert.put(Alert::KEYS_ON_THEIR_WAY, !inst.migrations.is_empty());
            if inst.held_back > 0 {
                inst.asks.push(Ask::Resume);
            }
        }
        inst.migrations.delivery = Some(self.delivery());
        conclude(inst, host, asker);
        debug_assert!(inst.migrations.delivery.is_none(), "the command takes it");
    }
}

fn keys_of(command: &Command, args: Args<'_>) -> Vec<Box<[u8]>> {
    let mut names = Vec::new();
    keys::each(command, args, |key| names.push(key.into()));
    names
}

/// Runs the request again, which finds what came of it: for the client, or for nobody if that has gone.
fn conclude(inst: &mut Instance, host: &mut dyn Host, asker: Asker) {
    let Asker { client, command, request, db } = asker;
    let waits = inst.blocked.client(client).filter(|blocked| blocked.wait.what == WaitFor::Target);
    let waiting = waits.and_then(|blocked| Some((blocked, inst.clients.take_by_id(client)?)));
    let run = |inst: &mut Instance, host: &mut dyn Host, session: &mut Session, blocked: &BlockedClient| {
        inst.stamp_ns = host.now_ns();
        let request = Request { command, args: blocked.request.view(), first_key_hash: None };
        call::execute(inst, session, host, &request, Origin::Unblocked(blocked));
        inst.end_unit();
    };
    match waiting {
        Some((blocked, mut session)) => {
            let before = session.reply.out.mark();
            let told = inst.tells(&session, command);
            run(inst, host, &mut session, &blocked);
            blocked::unblock(inst, &mut session, before, told);
            let conn = session.conn;
            inst.clients.put_back(session);
            conn.into_iter().for_each(|conn| inst.clients.count(conn.index));
        }
        None => {
            let mut session = Session::new(client, None, true);
            session.db = db;
            let wait = Wait::on(WaitFor::Target, [], None);
            let command = command.id;
            let blocked = BlockedClient { wait, db, command, request, spent_ns: Cell::new(0), deadline_ns: None };
            run(inst, host, &mut session, &blocked);
        }
    }
    if inst.keyspace.blocking_keys().has_ready() {
        blocked::serve(inst, host, None);
    }
}

/// What is on its way to other instances.
#[derive(Default)]
pub struct Migrations {
    /// Keys on their way, whichever database they are in, and how often.
    keys: HashMap<Box<[u8]>, u32>,
    /// What came of the one whose request is run again just now.
    pub delivery: Option<Delivery>,
    /// Connections that are kept for the next one.
    pub kept_connections: usize,
}

impl Migrations {
    /// Nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn hold(&mut self, keys: Vec<Box<[u8]>>) {
        keys.into_iter().for_each(|key| *self.keys.entry(key).or_insert(0) += 1);
    }

    fn let_go(&mut self, keys: Vec<Box<[u8]>>) {
        for key in keys {
            if let Some(times) = self.keys.get_mut(&key) {
                *times -= 1;
                if *times == 0 {
                    self.keys.remove(&key);
                }
            }
        }
    }
}

impl Instance {
    /// Begins to carry out a plan for a client that waits for it.
    pub fn begin_migration(
        &mut self,
        host: &mut dyn Host,
        session: &Session,
        command: &'static Command,
        args: Args<'_>,
        plan: Plan,
    ) {
        if !plan.copy {
            self.migrations.hold(keys_of(command, args));
            self.alert.put(Alert::KEYS_ON_THEIR_WAY, true);
        }
        let asker = Asker { client: session.id, command, request: args.into(), db: session.db };
        let migration = Migration::new(plan, Some(asker), host.now_ns());
        host.open_link(Box::new(migration));
    }

    /// Carries out a plan here and now, while everybody waits: within a transaction.
    pub fn migrate_now(&mut self, host: &mut dyn Host, plan: Plan) -> Delivery {
        let mut migration = Migration::new(plan, None, host.now_ns());
        host.drive_link(&mut migration);
        migration.delivery()
    }

    /// Whether a request has to do with a key that is about to be elsewhere, or might have.
    pub(super) fn is_on_its_way(&self, command: &Command, args: Args<'_>) -> bool {
        if command.spec.keys.is_empty() {
            return command.flags.has(Flags::WRITE);
        }
        let mut found = false;
        keys::each(command, args, |key| found |= self.migrations.keys.contains_key(key));
        found
    }

    /// What links have come to may change data now.
    pub fn may_finish_links(&self) -> bool {
        !self.alert.has(Alert::LOADING) && !self.pause.holds(Flags::WRITE, self.now_ms)
    }
}
