//! XREAD and XREADGROUP: entries behind an id, from several streams, now or when there are some.
//!
//! Both are one command with two ways to say where to go on: XREAD is told an id, XREADGROUP asks the group with `>`, or
//! names an id to see what its consumer was given before and has not acknowledged.

use super::claim::seen_consumer;
use super::propagation::{Claimed, GroupName};
use super::{CREATE_CONSUMER_EVENT, count_lookup, ids, refusal, replies, stream_mut};
use crate::blocking::{Progress, Wait, WaitFor};
use crate::db::KeySlot;
use crate::exec::args::{int, timeout_millis};
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, Begin, CommandSpec, Find, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, OwnedArgs, Proto, Reply};
use crate::types::contract::TypeName;
use crate::types::stream::id::StreamId;
use std::time::Duration;

pub(super) static XREAD: CommandSpec = CommandSpec {
    name: "xread",
    summary: "Returns entries behind given ids from several streams; waits for some where asked for.",
    complexity: "O(log N + M) a stream, M the entries returned",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::READONLY.or(Flags::BLOCKING),
    keys: &[KeySpec {
        access: Access::READ_ONLY.or(Access::ACCESS),
        access_of: None,
        begin: Begin::Keyword("STREAMS", 1),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        notes: "",
    }],
    args: &[
        ArgSpec::integer("count").token("COUNT").optional(),
        ArgSpec::integer("milliseconds").token("BLOCK").optional(),
        ArgSpec::block("streams", &[ArgSpec::key("key").multiple(), ArgSpec::string("id").multiple()]).token("STREAMS"),
    ],
    handler: Handler::Blocking(xread),
    ..CommandSpec::BASE
};

pub(super) static XREADGROUP: CommandSpec = CommandSpec {
    name: "xreadgroup",
    summary: "Returns entries from several streams to one consumer of a group; waits for some where asked for.",
    complexity: "O(log N + M) a stream, M the entries returned",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(7),
    flags: Flags::WRITE.or(Flags::BLOCKING),
    keys: &[KeySpec {
        access: Access::READ_ONLY.or(Access::ACCESS).or(Access::BOOKKEEPING),
        access_of: None,
        begin: Begin::Keyword("STREAMS", 4),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        notes: "",
    }],
    args: &[
        ArgSpec::block("group-block", &[ArgSpec::string("group"), ArgSpec::string("consumer")]).token("GROUP"),
        ArgSpec::integer("count").token("COUNT").optional(),
        ArgSpec::integer("milliseconds").token("BLOCK").optional(),
        ArgSpec::word("noack", "NOACK").optional(),
        ArgSpec::block("streams", &[ArgSpec::key("key").multiple(), ArgSpec::string("id").multiple()]).token("STREAMS"),
    ],
    handler: Handler::Blocking(xreadgroup),
    ..CommandSpec::BASE
};

const GROUP_OF_READ: CommandError =
    CommandError::fixed("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
const NOACK_OF_READ: CommandError =
    CommandError::fixed("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
const NO_GROUP_OPTION: CommandError = CommandError::fixed("ERR Missing GROUP option for XREADGROUP");
const DOLLAR_OF_GROUP: CommandError = CommandError::fixed(
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
     specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
);
const PLUS_OF_GROUP: CommandError = CommandError::fixed(
    "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by \
     specifying a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.",
);
const NEW_OF_READ: CommandError = CommandError::fixed(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
);

/// A group, and who of it reads.
#[derive(Clone, Copy)]
struct Reader<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    no_ack: bool,
}

/// A request without its ids.
struct Request<'a> {
    reader: Option<Reader<'a>>,
    /// Entries from each stream.
    limit: usize,
    /// None: do not wait.
    wait: Option<Option<Duration>>,
    /// Argument of the first key.
    keys_at: usize,
    /// How many keys, and how many ids behind them.
    keys: usize,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, of_group: bool, now_ms: i64) -> Result<Request<'a>, CommandError> {
        let mut request = Request { reader: None, limit: usize::MAX, wait: None, keys_at: 0, keys: 0 };
        let (mut no_ack, mut at) = (false, 1);
        while at < args.len() {
            let (word, more) = (&args[at], args.len() - 1 - at);
            let is = |option: &str| word.eq_ignore_ascii_case(option.as_bytes());
            if is("BLOCK") && more > 0 {
                at += 1;
                request.wait = Some(timeout_millis(&args[at], now_ms)?);
            } else if is("COUNT") && more > 0 {
                at += 1;
                request.limit = replies::limit(int(&args[at])?);
            } else if is("STREAMS") && more > 0 {
                if !more.is_multiple_of(2) {
                    return Err(unbalanced(of_group));
                }
                (request.keys_at, request.keys) = (at + 1, more / 2);
                break;
            } else if is("GROUP") && more >= 2 {
                if !of_group {
                    return Err(GROUP_OF_READ);
                }
                let text = |i: usize| args.get(i).expect("there are two more");
                request.reader = Some(Reader { group: text(at + 1), consumer: text(at + 2), no_ack: false });
                at += 2;
            } else if is("NOACK") {
                if !of_group {
                    return Err(NOACK_OF_READ);
                }
                no_ack = true;
            } else {
                return Err(error::SYNTAX);
            }
            at += 1;
        }
        if request.keys == 0 {
            return Err(error::SYNTAX);
        }
        match &mut request.reader {
            Some(reader) => reader.no_ack = no_ack,
            None if of_group => return Err(NO_GROUP_OPTION),
            None => {}
        }
        Ok(request)
    }

    /// There is nothing: blocks, if that was asked for.
    fn nothing(&self, ctx: &mut DataCtx<'_>, args: Args<'_>, froms: &[StreamId]) -> Progress {
        let Some(timeout) = self.wait else {
            ctx.reply.null_array();
            return Progress::Done;
        };
        let what = if self.reader.is_some() { WaitFor::StreamGroup } else { WaitFor::Stream };
        let keys = args.skip(self.keys_at).iter().take(self.keys);
        let mut wait = Wait::on(what, keys, timeout);
        let ids_at = self.keys_at + self.keys;
        if args.skip(ids_at).iter().any(|text| text == b"$") {
            // The last entry of now, not of when there is another one.
            let mut again = OwnedArgs::new();
            for (i, text) in args.iter().enumerate() {
                match i.checked_sub(ids_at) {
                    Some(at) if text == b"$" => again.push(froms[at].to_string().as_bytes()),
                    _ => again.push(text),
                }
            }
            wait = wait.then(again);
        }
        wait.blocked()
    }
}

#[cold]
fn unbalanced(of_group: bool) -> CommandError {
    CommandError::fixed(if of_group {
        "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
    } else {
        "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified."
    })
}

/// The header of a reply that lists streams, begun when the first of them has something.
#[derive(Default)]
struct Streams {
    head: Option<crate::resp::Deferred>,
    len: usize,
}

impl Streams {
    fn add(&mut self, reply: &mut Reply, key: &[u8]) {
        if self.head.is_none() {
            self.head = Some(match reply.proto {
                Proto::Resp2 => reply.array_deferred(),
                Proto::Resp3 => reply.map_deferred(),
            });
        }
        self.len += 1;
        if reply.proto == Proto::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
    }

    /// False if there is nothing.
    fn end(self, reply: &mut Reply) -> bool {
        match (self.head, reply.proto) {
            (None, _) => return false,
            (Some(head), Proto::Resp2) => reply.set_array_len(head, self.len),
            (Some(head), Proto::Resp3) => reply.set_map_len(head, self.len),
        }
        true
    }
}

fn xread(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let request = Request::parse(args, false, ctx.db.clock_ms())?;
    let mut froms = Vec::with_capacity(request.keys);
    for at in request.keys_at..request.keys_at + request.keys {
        let key = ctx.key(args, at);
        let found = ctx.db.lookup_read(key);
        let stream = found.map(|entry| entry.stream()).transpose()?;
        let last = || stream.and_then(|s| s.get().entries().last());
        froms.push(match &args[at + request.keys] {
            b"$" => stream.map_or(StreamId::MIN, |s| s.facts().last_id),
            b"+" => last().and_then(|entry| entry.id.previous()).unwrap_or(StreamId::MIN),
            b">" => return Err(NEW_OF_READ),
            text => ids::id(text)?,
        });
    }
    let mut streams = Streams::default();
    for (i, from) in froms.iter().enumerate() {
        let key = ctx.key(args, request.keys_at + i);
        let Some(entry) = ctx.db.lookup_read(key) else { continue };
        let stream = entry.stream()?.get();
        let (entries, Some(start)) = (stream.entries(), from.next()) else { continue };
        // The last id is no lower than that of the last entry: often that is enough to know.
        if *from >= stream.facts().last_id || entries.last().is_none_or(|last| last.id <= *from) {
            continue;
        }
        streams.add(ctx.reply, key.bytes);
        replies::entries(ctx.reply, entries.range(start, StreamId::MAX), request.limit, |_| {});
    }
    if streams.end(ctx.reply) { Ok(Progress::Done) } else { Ok(request.nothing(ctx, args, &froms)) }
}

/// What a consumer asks for.
#[derive(Clone, Copy)]
enum Asked {
    /// `>`: what nobody of the group was given.
    New,
    /// What it was given itself, behind this id.
    History(StreamId),
}

fn xreadgroup(ctx: &mut DataCtx<'_>, args: Args<'_>) -> Result<Progress, CommandError> {
    let request = Request::parse(args, true, ctx.db.clock_ms())?;
    let Some(reader) = request.reader else { return Err(NO_GROUP_OPTION) };
    let mut asked = Vec::with_capacity(request.keys);
    for at in request.keys_at..request.keys_at + request.keys {
        let key = ctx.key(args, at);
        let stream = ctx.db.lookup_read(key).map(|entry| entry.stream()).transpose()?;
        let group = stream.and_then(|s| s.get().groups()?.group(reader.group));
        if group.is_none() {
            return Err(no_group(key.bytes, reader.group));
        }
        asked.push(match &args[at + request.keys] {
            b"$" => return Err(DOLLAR_OF_GROUP),
            b"+" => return Err(PLUS_OF_GROUP),
            b">" => Asked::New,
            text => match ids::id(text)? {
                StreamId::MAX => Asked::New,
                id => Asked::History(id),
            },
        });
    }
    let mut streams = Streams::default();
    for (i, asked) in asked.into_iter().enumerate() {
        read_one(ctx, args, request.keys_at + i, (reader, asked, request.limit), &mut streams)?;
    }
    if streams.end(ctx.reply) { Ok(Progress::Done) } else { Ok(request.nothing(ctx, args, &[])) }
}

fn no_group(key: &[u8], group: &[u8]) -> CommandError {
    let after = "' in XREADGROUP with GROUP option";
    refusal("NOGROUP No such key '", key, "' or consumer group '", group, after)
}

/// Serves one stream, if there is something for the consumer.
fn read_one(
    ctx: &mut DataCtx<'_>,
    args: Args<'_>,
    at: usize,
    (reader, asked, limit): (Reader<'_>, Asked, usize),
    streams: &mut Streams,
) -> CommandResult {
    let key = ctx.key(args, at);
    let now_ms = ctx.db.clock_ms();
    count_lookup(ctx, key);
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else { return Ok(()) };
    place.get().expect(TypeName::Stream)?;
    let reply = &mut *ctx.reply;
    let (stream, heap) = stream_mut(&mut place);
    let Some(mut group) = stream.groups().and_then(|groups| groups.group(reader.group)) else { return Ok(()) };
    let (mut consumer, is_new) = seen_consumer(stream, heap, &group, reader.consumer, now_ms);
    let mut changes = usize::from(is_new);
    let mut given = vec![];
    match asked {
        // That something was delivered once more is no change that has to be saved.
        Asked::History(from) => {
            streams.add(reply, key.bytes);
            let owned = stream.groups().zip(from.next());
            let owned: Vec<StreamId> =
                owned.into_iter().flat_map(|(groups, start)| groups.owned_by(&consumer, start)).take(limit).collect();
            reply.array(owned.len());
            for id in owned {
                if let Some(entry) = stream.entries().get(id) {
                    replies::entry(reply, &entry);
                    let groups = stream.groups_mut(heap);
                    let deliveries = groups.pending(&group, id).map_or(0, |p| p.deliveries);
                    groups.deliver(heap, &consumer, id, now_ms, deliveries.wrapping_add(1));
                } else {
                    // It was deleted, and is still to be acknowledged.
                    reply.array(2);
                    replies::id(reply, id);
                    reply.null_array();
                }
            }
        }
        Asked::New => {
            let last_id = stream.entries().last().map(|entry| entry.id);
            if let (Some(start), true) = (group.last_id.next(), last_id.is_some_and(|last| last > group.last_id)) {
                changes += 1;
                streams.add(reply, key.bytes);
                replies::entries(reply, stream.entries().range(start, StreamId::MAX), limit, |id| given.push(id));
                for id in &given {
                    stream.advance(&mut group, *id);
                    if !reader.no_ack {
                        stream.groups_mut(heap).deliver(heap, &consumer, *id, now_ms, 1);
                    }
                }
                let groups = stream.groups_mut(heap);
                groups.update(heap, reader.group, &group);
                if !reader.no_ack {
                    consumer.active_ms = now_ms;
                    groups.update_consumer(heap, &group, reader.consumer, &consumer);
                }
            }
        }
    }
    if changes > 0 {
        place.changed_quietly(changes);
    }
    if is_new {
        place.notify(CREATE_CONSUMER_EVENT);
    }
    if changes == 0 || !ctx.db.propagates() {
        return Ok(());
    }
    let name = GroupName { key, group: reader.group };
    if is_new && (given.is_empty() || reader.no_ack) {
        name.propagate_consumer(&mut ctx.db, reader.consumer);
    }
    if !reader.no_ack {
        for id in &given {
            let claimed = Claimed { id: *id, delivered_ms: now_ms, deliveries: 1, owner: None };
            name.propagate_claim(&mut ctx.db, reader.consumer, &claimed, *id);
        }
    }
    if !given.is_empty() {
        name.propagate_position(&mut ctx.db, &group);
    }
    Ok(())
}
