//! PARSE, PREFETCH, EXECUTE: the requests of a group of connections, as one batch.
//!
//! Arguments are never copied: a request is a run of spans in its connection's query buffer, and the buffer stays
//! where it is until the batch is done. The first key of every request is hashed once; the hash goes with the
//! request to the handler.

use super::flush::output_limit;
use super::{Server, notes};
use crate::client::{Attention, Client, ClientFlags};
use crate::exec::call::{self, Outcome};
use crate::exec::table::Lookup;
use crate::resp::{ArgSpan, Args, LargeArg, Limits, OwnedArgs, Parsed, ProtocolError};

/// Requests of one connection in one round.
pub(super) const QUANTUM: usize = 64;

/// Requests that are prefetched ahead of execution. Each brings in two or three cache lines.
const PREFETCH_AHEAD: usize = 16;

/// A client that is owed more than this, or than `client-output-buffer-limit` allows, is given no further command until
/// it has read: its debt is bounded by this and one reply. See `docs/adr/0005-what-clients-are-owed.md`.
const OWED_BYTES_MAX: usize = 1 << 20;

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

    /// Lets go of room that was not used since this was last called: one request with a million arguments is forgotten.
    /// What is parsed must have been executed.
    pub(super) fn shrink(&mut self) {
        self.clear();
        self.spans.shrink_to(std::mem::take(&mut self.most_spans));
    }
}

impl Server {
    /// PARSE: takes up to [`QUANTUM`] requests off each connection's buffer. Connections with nothing more to parse
    /// leave the group.
    pub(super) fn parse_group(&mut self, group: &mut Vec<u32>) {
        self.batch.clear();
        let limits = self.limits();
        group.retain(|&slot| self.parse(slot, &limits));
    }

    /// From how much on a client is [`Attention::BEHIND`]. Where there is a limit, one that goes beyond it is closed.
    pub(super) fn owed_bytes_max(&self, client: &Client) -> usize {
        let limit = output_limit(&self.inst.config, client);
        let bytes = match (limit.hard_bytes, limit.soft_bytes) {
            (0, soft) => soft.max(OWED_BYTES_MAX as u64),
            (hard, _) => hard,
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    fn limits(&self) -> Limits {
        Limits { bulk_bytes_max: self.inst.config.limits.proto_max_bulk_len, ..Limits::default() }
    }

    /// True when the connection may have more after this round.
    fn parse(&mut self, slot: u32, limits: &Limits) -> bool {
        let Some(client) = self.inst.clients.at_mut(slot) else { return false };
        client.flags.put(ClientFlags::MORE_PARSEABLE, false);
        let stopped = Attention::CLOSING.or(Attention::CLOSE_NOW).or(Attention::HELD);
        if client.attention.has(stopped) {
            return false;
        }
        if client.attention.has(Attention::BEHIND) {
            client.flags.put(ClientFlags::MORE_PARSEABLE, true); // nobody has looked
            return false;
        }
        let authenticated = !client.attention.has(Attention::UNAUTHENTICATED);
        let limits = Limits { authenticated, ..*limits };
        let quantum = if authenticated { QUANTUM } else { 1 };
        let batch = &mut self.batch;
        let mut at = client.consumed;
        for _ in 0..quantum {
            let base = at;
            let first_span = batch.spans.len();
            match client.parser.parse(&client.query[base..], &limits, &mut batch.spans, &mut batch.larges) {
                Parsed::Request { consumed, argc } => {
                    at = base + consumed;
                    let spans = &batch.spans[first_span..first_span + argc];
                    let args = Args::new(&client.query[base..], spans, &batch.larges);
                    let found = self.inst.table.lookup(args);
                    let hash = match found {
                        Lookup::Found(command) if command.first_key != 0 => {
                            args.get(usize::from(command.first_key)).map(|key| self.inst.keyspace.key(key).hash)
                        }
                        _ => None,
                    };
                    let element = match found {
                        Lookup::Found(command) if command.element != 0 => {
                            args.get(usize::from(command.element)).map(|name| self.inst.keyspace.key(name).hash)
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
                        db: client.db,
                        hash,
                        element,
                    });
                }
                Parsed::Incomplete { consumed } => {
                    if base == client.consumed {
                        client.consumed += consumed; // nothing of this round waits for the bytes before
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
                        end: client.query.len() as u32,
                        db: client.db,
                        hash: None,
                        element: None,
                    });
                    return false;
                }
            }
        }
        let more = at < client.query.len();
        client.flags.put(ClientFlags::MORE_PARSEABLE, more);
        more
    }

    /// PREFETCH: the bucket lines, then the entry lines, of the first requests; the rest follow during execution, and
    /// so do the lines inside their values.
    pub(super) fn prefetch(&mut self) {
        let n = self.batch.requests.len().min(PREFETCH_AHEAD);
        self.prefetch_range(0, n);
    }

    #[inline]
    fn prefetch_range(&self, from: usize, to: usize) {
        let requests = &self.batch.requests[from..to];
        for request in requests {
            if let Some(hash) = request.hash {
                self.inst.keyspace.prefetch_bucket(request.db as usize, hash);
            }
        }
        for request in requests {
            if let Some(hash) = request.hash {
                self.inst.keyspace.prefetch_entry(request.db as usize, hash);
            }
        }
    }

    /// The same, one stage further: what those that ask for an element will read inside the value.
    #[inline]
    fn prefetch_inside(&self, from: usize, to: usize) {
        for request in &self.batch.requests[from..to] {
            if let (Some(hash), Some(element)) = (request.hash, request.element) {
                self.inst.keyspace.prefetch_inside(request.db as usize, hash, element);
            }
        }
    }

    /// EXECUTE: the whole batch, in the order of arrival for each connection.
    pub(super) fn execute(&mut self) {
        let count = self.batch.requests.len();
        // The first command is charged from here: not for the reading and parsing of all the others.
        let began_ns = self.host.now_ns();
        self.inst.stamp_ns = began_ns;
        let mut next = 0;
        while next < count {
            let slot = self.batch.requests[next].slot;
            let run_end = (next..count).find(|&i| self.batch.requests[i].slot != slot).unwrap_or(count);
            self.deliver_before(slot);
            match self.inst.clients.take(slot) {
                Some(mut client) => {
                    self.execute_run(&mut client, next, run_end);
                    let conn = client.conn;
                    let owes = !client.reply.out.is_empty() || client.attention.has(Attention::CLOSING);
                    let listed = client.flags.has(ClientFlags::FLUSH_PENDING);
                    client.flags.put(ClientFlags::FLUSH_PENDING, listed || owes);
                    self.inst.clients.put_back(client);
                    self.inst.clients.count(slot); // what it is owed must not evict keys for the next one
                    if owes && !listed {
                        self.to_flush.push(conn);
                    }
                }
                None => debug_assert!(false, "a client is removed only between batches"),
            }
            next = run_end;
        }
    }

    /// What others have published goes before the replies to what this client is about to ask.
    #[inline]
    fn deliver_before(&mut self, slot: u32) {
        if !self.inst.outbox.is_empty()
            && self.inst.clients.at(slot).is_some_and(|client| client.flags.has(ClientFlags::RECEIVES))
        {
            self.inst.deliver(None);
        }
    }

    fn execute_run(&mut self, client: &mut Client, from: usize, to: usize) {
        if client.reply.out.is_empty() && client.reply.out.memory() == 0 {
            client.reply.out = crate::util::output_buffer::OutputBuffer::with_buffer(self.replies.get());
        }
        let query = std::mem::take(&mut client.query);
        client.lent = (query.len(), query.capacity());
        let owed_bytes_max = self.owed_bytes_max(client);
        let mut ran = 0;
        for i in from..to {
            if i % PREFETCH_AHEAD == 0 {
                let ahead = i + PREFETCH_AHEAD;
                let n = self.batch.requests.len();
                self.prefetch_inside(i, ahead.min(n));
                if ahead < n {
                    self.prefetch_range(ahead, (ahead + PREFETCH_AHEAD).min(n));
                }
            }
            if client.attention.has(Attention::CLOSING.or(Attention::CLOSE_NOW)) {
                break; // by an earlier request, its own or another client's CLIENT KILL
            }
            let request = &self.batch.requests[i];
            let found = match &request.what {
                What::Command(found) => *found,
                What::Broken(error) => {
                    let text = error.reply_text();
                    // No replies were wanted: then the connection ends without a word, as after QUIT.
                    if !client.attention.has(Attention::REPLY_OFF.or(Attention::REPLY_SKIP_NEXT)) {
                        client.reply.error_bytes(&text);
                    }
                    self.inst.stats.errors.count("ERR");
                    notes::protocol_error(&self.inst, client, &text);
                    client.consumed = request.end as usize;
                    client.close_after_reply();
                    break;
                }
            };
            let spans = &self.batch.spans[request.first_span as usize..][..request.argc as usize];
            let args = Args::new(&query[request.base as usize..], spans, &self.batch.larges);
            match call::request(&mut self.inst, client, &mut self.host, found, args, request.hash) {
                Outcome::Done => {
                    client.consumed = request.end as usize;
                    ran += 1;
                    if client.reply.out.len() > owed_bytes_max {
                        self.keep(client, &query, i + 1, to);
                        client.attention.put(Attention::BEHIND, true);
                        break;
                    }
                }
                Outcome::Blocked => {
                    client.consumed = request.end as usize;
                    self.keep(client, &query, i + 1, to);
                    break;
                }
                Outcome::Postponed => {
                    self.keep(client, &query, i, to);
                    client.attention.put(Attention::PAUSED, true);
                    self.hold_back(client.conn);
                    break;
                }
            }
        }
        client.commands += ran;
        client.query = query;
        client.lent = (0, 0);
    }

    /// Copies the requests from `from` on out of the query buffer: they run when the client's wait is over, or when it
    /// has read what it is owed.
    #[cold]
    fn keep(&mut self, client: &mut Client, query: &[u8], from: usize, to: usize) {
        for request in &self.batch.requests[from..to] {
            if matches!(request.what, What::Broken(_)) {
                break; // found again when the bytes are parsed again
            }
            let spans = &self.batch.spans[request.first_span as usize..][..request.argc as usize];
            let args = Args::new(&query[request.base as usize..], spans, &self.batch.larges);
            client.deferred.push_back(OwnedArgs::from(&args));
            client.consumed = request.end as usize;
        }
    }

    /// Runs what was held back of a client, until it is held back again or waits.
    pub(super) fn resume(&mut self, slot: u32) {
        self.deliver_before(slot);
        let Some(mut client) = self.inst.clients.take(slot) else { return };
        let owed_bytes_max = self.owed_bytes_max(&client);
        client.attention.put(Attention::PAUSED, false);
        client.attention.put(Attention::BEHIND, client.reply.out.len() > owed_bytes_max);
        while !client.attention.has(Attention::BEHIND)
            && let Some(owned) = client.deferred.pop_front()
        {
            let args = owned.view();
            let found = self.inst.table.lookup(args);
            match call::request(&mut self.inst, &mut client, &mut self.host, found, args, None) {
                Outcome::Done => client.commands += 1,
                Outcome::Blocked => break,
                Outcome::Postponed => {
                    client.deferred.push_front(owned);
                    client.attention.put(Attention::PAUSED, true);
                    self.hold_back(client.conn);
                    break;
                }
            }
            client.attention.put(Attention::BEHIND, client.reply.out.len() > owed_bytes_max);
            if client.attention.has(Attention::CLOSING.or(Attention::CLOSE_NOW)) {
                client.deferred.clear();
                break;
            }
        }
        let conn = client.conn;
        self.inst.clients.put_back(client);
        self.inst.clients.count(slot);
        self.flush_later(conn);
        self.make_ready(conn);
    }
}
