//! PARSE, PREFETCH, EXECUTE: the requests of a group of connections, as one batch.
//!
//! Arguments are never copied: a request is a run of spans in its connection's query buffer, and the buffer stays
//! where it is until the batch is done. The first key of every request is hashed once; the hash goes with the
//! request to the handler.

use std::ops::Range;
use std::rc::Rc;

use super::flush::{list_once, output_limit};
use super::{Server, notes};
use crate::client::{Attention, ClientFlags, ClientMut, Connection, Session};
use crate::db::Keyspace;
use crate::exec::call::{self, Outcome};
use crate::exec::instance::Instance;
use crate::exec::table::Lookup;
use crate::resp::{ArgSpan, Args, LargeArg, Limits, OwnedArgs, Parsed, ProtocolError};

/// Requests of one connection in one round.
pub(super) const QUANTUM: usize = 64;

/// Requests that are prefetched ahead of execution. Each brings in two or three cache lines.
const PREFETCH_AHEAD: usize = 16;

/// A client that is owed more than this, or than `client-output-buffer-limit` allows, is given no further command until
/// it has read: its debt is bounded by this and one reply. See `docs/adr/0005-what-clients-are-owed.md`.
const OWED_BYTES_MAX: usize = 1 << 20;

/// Connections whose requests are read, parsed and executed together.
#[derive(Default)]
pub(super) struct Group {
    /// Their slots.
    pub(super) slots: Vec<u32>,
    /// Those of them that may have more to be parsed.
    pub(super) active: Vec<u32>,
}
/// The same where memory is not limited (`maxmemory 0`).
const OWED_BYTES_MAX_UNLIMITED: usize = 16 << 20;

/// A request of the batch.
struct Request {
    what: What,
    /// Slot of the connection.
    slot: u32,
    first_span: u32,
    argc: u32,
    /// Where in the query buffer the spans count from.
    base: u32,
    /// The query buffer is done with up to here once this request is executed.
    end: u32,
    /// The db its client had selected when it was parsed: good enough for a prefetch.
    db: u32,
    /// Hash of the first key.
    hash: Option<u64>,
    /// Hash of the element of its value that is asked for.
    element: Option<u64>,
}

enum What {
    Command(Lookup<'static>),
    Broken(ProtocolError),
}

/// What is parsed and not yet executed.
#[derive(Default)]
pub(super) struct Batch {
    requests: Vec<Request>,
    spans: Vec<ArgSpan>,
    larges: Vec<LargeArg>,
    /// The most spans there were since [`Batch::shrink`].
    most_spans: usize,
}

impl Batch {
    fn clear(&mut self) {
        self.most_spans = self.most_spans.max(self.spans.len());
        self.requests.clear();
        self.spans.clear();
        self.larges.clear();
    }

    /// How many requests there are.
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Lets go of room that was not used since this was last called: one request with a million arguments is forgotten.
    /// What is parsed must have been executed.
    pub(super) fn shrink(&mut self) {
        self.clear();
        self.spans.shrink_to(std::mem::take(&mut self.most_spans));
    }

    /// The arguments of a request. `query` is its connection's query buffer.
    #[inline]
    fn args<'a>(&'a self, request: &Request, query: &'a [u8]) -> Args<'a> {
        let spans = &self.spans[request.first_span as usize..][..request.argc as usize];
        Args::new(&query[request.base as usize..], spans, &self.larges)
    }

    #[inline]
    fn prefetch_range(&self, keyspace: &Keyspace, from: usize, to: usize) {
        let requests = &self.requests[from..to];
        for request in requests {
            if let Some(hash) = request.hash {
                keyspace.prefetch_bucket(request.db as usize, hash);
            }
        }
        for request in requests {
            if let Some(hash) = request.hash {
                keyspace.prefetch_entry(request.db as usize, hash);
            }
        }
    }

    /// The same, one stage further: what those that ask for an element will read inside the value.
    #[inline]
    fn prefetch_inside(&self, keyspace: &Keyspace, from: usize, to: usize) {
        for request in &self.requests[from..to] {
            if let (Some(hash), Some(element)) = (request.hash, request.element) {
                keyspace.prefetch_inside(request.db as usize, hash, element);
            }
        }
    }

    /// Copies requests of one connection out of its query buffer: they run when the client's wait is over, or when it
    /// has read what it is owed. The query buffer is done with up to the end that is returned.
    #[cold]
    fn keep(&self, connection: &mut Connection, query: &[u8], requests: Range<usize>) -> Option<usize> {
        let mut end = None;
        for request in &self.requests[requests] {
            if matches!(request.what, What::Broken(_)) {
                break; // found again when the bytes are parsed again
            }
            connection.deferred.push_back(OwnedArgs::from(&self.args(request, query)));
            end = Some(request.end as usize);
        }
        end
    }
}

/// The connection of a slot whose requests are executed.
#[inline]
fn connection_of(inst: &mut Instance, slot: u32) -> &mut Connection {
    inst.clients.connection_mut(slot).expect("a client is removed only between batches")
}

/// True when the connection may have more after this round.
fn parse(inst: &mut Instance, batch: &mut Batch, slot: u32, limits: &Limits) -> bool {
    let Some(ClientMut { session, connection }) = inst.clients.at_mut(slot) else { return false };
    connection.flags.put(ClientFlags::MORE_PARSEABLE, false);
    let stopped = Attention::CLOSING.or(Attention::CLOSE_NOW).or(Attention::HELD);
    if session.attention.has(stopped) {
        return false;
    }
    if session.attention.has(Attention::BEHIND) {
        connection.flags.put(ClientFlags::MORE_PARSEABLE, true); // nobody has looked
        return false;
    }
    let authenticated = !session.attention.has(Attention::UNAUTHENTICATED);
    let limits = Limits { authenticated, ..*limits };
    let quantum = if authenticated { QUANTUM } else { 1 };
    let mut at = connection.consumed;
    for _ in 0..quantum {
        let base = at;
        let first_span = batch.spans.len();
        match connection.parser.parse(&connection.query[base..], &limits, &mut batch.spans, &mut batch.larges) {
            Parsed::Request { consumed, argc } => {
                at = base + consumed;
                let spans = &batch.spans[first_span..first_span + argc];
                let args = Args::new(&connection.query[base..], spans, &batch.larges);
                let found = inst.table.lookup(args);
                let hash = match found {
                    Lookup::Found(command) if command.first_key != 0 => {
                        args.get(usize::from(command.first_key)).map(|key| inst.keyspace.key(key).hash)
                    }
                    _ => None,
                };
                let element = match found {
                    Lookup::Found(command) if command.element != 0 => {
                        args.get_short(usize::from(command.element)).map(|name| inst.keyspace.key(name).hash)
                    }
                    _ => None,
                };
                batch.requests.push(Request {
                    what: What::Command(found),
                    slot,
                    first_span: first_span as u32,
                    argc: argc as u32,
                    base: base as u32,
                    end: at as u32,
                    db: session.db,
                    hash,
                    element,
                });
            }
            Parsed::Incomplete { consumed } => {
                if base == connection.consumed {
                    connection.consumed += consumed; // nothing of this round waits for the bytes before
                } else if let Some(last) = batch.requests.last_mut() {
                    last.end += consumed as u32;
                }
                return false;
            }
            Parsed::Error(error) => {
                batch.requests.push(Request {
                    what: What::Broken(error),
                    slot,
                    first_span: 0,
                    argc: 0,
                    base: base as u32,
                    end: connection.query.len() as u32,
                    db: session.db,
                    hash: None,
                    element: None,
                });
                return false;
            }
        }
    }
    let more = at < connection.query.len();
    connection.flags.put(ClientFlags::MORE_PARSEABLE, more);
    more
}

/// What others have published goes before the replies to what this client is about to ask.
#[inline]
fn deliver_before(inst: &mut Instance, slot: u32) {
    if !inst.outbox.is_empty() && inst.clients.at(slot).is_some_and(|client| client.session.receives) {
        inst.deliver(None);
    }
}

impl Server {
    /// PARSE: takes up to [`QUANTUM`] requests off each connection's buffer. Connections with nothing more to parse
    /// leave the group.
    pub(super) fn parse_group(&mut self, inst: &mut Instance) {
        let mut active = std::mem::take(&mut self.group.active);
        let batch = self.idle_batch();
        batch.clear();
        let limits = Limits { bulk_bytes_max: inst.config.limits.proto_max_bulk_len, ..Limits::default() };
        active.retain(|&slot| parse(inst, batch, slot, &limits));
        self.group.active = active;
        self.executed = 0;
    }

    /// From how much on a client is [`Attention::BEHIND`]. Where there is a limit, one that goes beyond it is closed.
    pub(super) fn owed_bytes_max(&self, inst: &Instance, session: &Session) -> usize {
        let limit = output_limit(&inst.config, session);
        let most = if inst.config.storage.maxmemory == 0 { OWED_BYTES_MAX_UNLIMITED } else { OWED_BYTES_MAX };
        let bytes = match (limit.hard_bytes, limit.soft_bytes) {
            (0, soft) => soft.max(most as u64),
            (hard, _) => hard,
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// The batch, while none of it is executed.
    pub(super) fn idle_batch(&mut self) -> &mut Batch {
        Rc::get_mut(&mut self.batch).expect("`execute` shares it while it runs, and a turn within has another")
    }

    /// PREFETCH: the bucket lines, then the entry lines, of the first requests; the rest follow during execution, and
    /// so do the lines inside their values.
    pub(super) fn prefetch(&self, inst: &Instance) {
        let n = self.batch.requests.len().min(PREFETCH_AHEAD);
        self.batch.prefetch_range(&inst.keyspace, 0, n);
    }

    /// EXECUTE: the whole batch, in the order of arrival for each connection. A turn within a command executes what is
    /// left of the batch; then there is nothing to go on with.
    pub(super) fn execute(&mut self, inst: &mut Instance) {
        let batch = Rc::clone(&self.batch);
        // The first command is charged from here: not for the reading and parsing of all the others.
        let began_ns = self.now_ns();
        inst.stamp_ns = began_ns;
        while let Some(first) = batch.requests.get(self.executed) {
            let (from, slot) = (self.executed, first.slot);
            let others = batch.requests[from..].iter().position(|request| request.slot != slot);
            let to = others.map_or(batch.requests.len(), |n| from + n);
            self.executed = to;
            deliver_before(inst, slot);
            match inst.clients.take(slot) {
                Some(mut session) => {
                    self.execute_run(inst, &batch, &mut session, from..to);
                    let owes = !session.reply.out.is_empty() || session.attention.has(Attention::CLOSING);
                    inst.clients.put_back(session);
                    inst.clients.count(slot); // what it is owed must not evict keys for the next one
                    if owes && let Some(connection) = inst.clients.connection_mut(slot) {
                        list_once(connection, &mut self.to_flush);
                    }
                }
                None => debug_assert!(false, "a client is removed only between batches"),
            }
        }
    }

    fn execute_run(&mut self, inst: &mut Instance, batch: &Batch, session: &mut Session, run: Range<usize>) {
        let slot = batch.requests[run.start].slot;
        if session.reply.out.is_empty() && session.reply.out.memory() == 0 {
            session.reply.out = crate::util::output_buffer::OutputBuffer::with_buffer(inst.pools.replies.get());
        }
        let connection = connection_of(inst, slot);
        let query = std::mem::take(&mut connection.query);
        connection.lent = (query.len(), query.capacity());
        let mut consumed = connection.consumed;
        let owed_bytes_max = self.owed_bytes_max(inst, session);
        let mut ran = 0;
        for i in run.clone() {
            if i % PREFETCH_AHEAD == 0 {
                let ahead = i + PREFETCH_AHEAD;
                let n = batch.requests.len();
                batch.prefetch_inside(&inst.keyspace, i, ahead.min(n));
                if ahead < n {
                    batch.prefetch_range(&inst.keyspace, ahead, (ahead + PREFETCH_AHEAD).min(n));
                }
            }
            if session.attention.has(Attention::CLOSING.or(Attention::CLOSE_NOW)) {
                break; // by an earlier request, its own or another client's CLIENT KILL
            }
            let request = &batch.requests[i];
            let found = match &request.what {
                What::Command(found) => *found,
                What::Broken(error) => {
                    let text = error.reply_text();
                    // No replies were wanted: then the connection ends without a word, as after QUIT.
                    if !session.attention.has(Attention::REPLY_OFF.or(Attention::REPLY_SKIP_NEXT)) {
                        session.reply.error_bytes(&text);
                    }
                    inst.stats.errors.count("ERR");
                    notes::protocol_error(inst, session, &text);
                    consumed = request.end as usize;
                    session.close_after_reply();
                    break;
                }
            };
            let args = batch.args(request, &query);
            match call::request(inst, session, self, found, args, request.hash) {
                Outcome::Done => {
                    consumed = request.end as usize;
                    ran += 1;
                    if session.reply.out.len() > owed_bytes_max {
                        consumed = batch.keep(connection_of(inst, slot), &query, i + 1..run.end).unwrap_or(consumed);
                        session.attention.put(Attention::BEHIND, true);
                        break;
                    }
                }
                Outcome::Blocked => {
                    consumed = request.end as usize;
                    consumed = batch.keep(connection_of(inst, slot), &query, i + 1..run.end).unwrap_or(consumed);
                    break;
                }
                Outcome::Postponed => {
                    consumed = batch.keep(connection_of(inst, slot), &query, i..run.end).unwrap_or(consumed);
                    session.attention.put(Attention::PAUSED, true);
                    let conn = connection_of(inst, slot).conn;
                    self.hold_back(inst, conn);
                    break;
                }
            }
        }
        session.commands += ran;
        let connection = connection_of(inst, slot);
        (connection.query, connection.consumed, connection.lent) = (query, consumed, (0, 0));
    }

    /// Runs what was held back of a client, until it is held back again or waits.
    pub(super) fn resume(&mut self, inst: &mut Instance, slot: u32) {
        deliver_before(inst, slot);
        let Some(mut session) = inst.clients.take(slot) else { return };
        let owed_bytes_max = self.owed_bytes_max(inst, &session);
        session.attention.put(Attention::PAUSED, false);
        session.attention.put(Attention::BEHIND, session.reply.out.len() > owed_bytes_max);
        while !session.attention.has(Attention::BEHIND)
            && let Some(owned) = connection_of(inst, slot).deferred.pop_front()
        {
            let args = owned.view();
            let found = inst.table.lookup(args);
            match call::request(inst, &mut session, self, found, args, None) {
                Outcome::Done => session.commands += 1,
                Outcome::Blocked => break,
                Outcome::Postponed => {
                    session.attention.put(Attention::PAUSED, true);
                    let connection = connection_of(inst, slot);
                    connection.deferred.push_front(owned);
                    let conn = connection.conn;
                    self.hold_back(inst, conn);
                    break;
                }
            }
            session.attention.put(Attention::BEHIND, session.reply.out.len() > owed_bytes_max);
            if session.attention.has(Attention::CLOSING.or(Attention::CLOSE_NOW)) {
                connection_of(inst, slot).deferred.clear();
                break;
            }
        }
        inst.clients.put_back(session);
        inst.clients.count(slot);
        let conn = connection_of(inst, slot).conn;
        self.flush_later(inst, conn);
        self.make_ready(inst, conn);
    }
}
