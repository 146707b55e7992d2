//! XACK and XPENDING: entries that were delivered and not acknowledged.

use super::{count_lookup, ids, no_key_or_group, replies, stream_mut};
use crate::db::KeySlot;
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::stream::groups::{self, Consumer, Groups, Pending};
use crate::types::stream::id::StreamId;

pub(super) static XACK: CommandSpec = CommandSpec {
    name: "xack",
    summary: "Marks entries as processed by a consumer group.",
    complexity: "O(log N) an entry",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(4),
    flags: Flags::WRITE.or(Flags::FAST),
    keys: &[KeySpec::at(1, Access::READ_WRITE.or(Access::UPDATE))],
    args: &[ArgSpec::key("key"), ArgSpec::string("group"), ArgSpec::string("id").multiple()],
    handler: Handler::Data(xack),
    ..CommandSpec::BASE
};

pub(super) static XPENDING: CommandSpec = CommandSpec {
    name: "xpending",
    summary: "Returns what a consumer group was given and has not acknowledged.",
    complexity: "O(N), N the entries returned or consumers counted",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(1, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::string("group"),
        ArgSpec::block(
            "filters",
            &[
                ArgSpec::integer("min-idle-time").token("IDLE").optional().since("6.2.0"),
                ArgSpec::string("start"),
                ArgSpec::string("end"),
                ArgSpec::integer("count"),
                ArgSpec::string("consumer").optional(),
            ],
        )
        .optional(),
    ],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(xpending),
    ..CommandSpec::BASE
};

fn xack(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let key = ctx.key(args, 1);
    count_lookup(ctx, key);
    let KeySlot::Occupied(mut place) = ctx.db.entry(key) else {
        ctx.reply.int(0);
        return Ok(());
    };
    let stream = place.get().stream()?;
    let Some(group) = stream.groups().and_then(|groups| groups.group(&args[2])) else {
        ctx.reply.int(0);
        return Ok(());
    };
    let ids = ids::ids(args, 3)?;
    let (stream, heap) = stream_mut(&mut place);
    let groups = stream.groups_mut(heap);
    let count = groups.acknowledge_all(heap, &group, ids);
    if count > 0 {
        place.changed_quietly(count);
    }
    ctx.reply.int(count as i64);
    Ok(())
}

/// What the long form of XPENDING asks for.
struct Filter<'a> {
    idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Option<Filter<'a>>, CommandError> {
        if args.len() == 3 {
            return Ok(None);
        }
        if !(6..=9).contains(&args.len()) {
            return Err(error::SYNTAX);
        }
        let (mut idle_ms, mut at) = (0, 3);
        if args[3].eq_ignore_ascii_case(b"IDLE") {
            idle_ms = int(&args[4])?;
            if args.len() < 8 {
                return Err(error::SYNTAX);
            }
            at = 5;
        }
        let count = usize::try_from(int(&args[at + 2])?).unwrap_or(0);
        let (start, end) = (ids::start(&args[at])?, ids::end(&args[at + 1])?);
        Ok(Some(Filter { idle_ms, start, end, count, consumer: args.get(at + 3) }))
    }
}

fn xpending(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let filter = Filter::parse(args)?;
    let key = ctx.key(args, 1);
    let now_ms = ctx.db.now_ms();
    let Some(found) = ctx.db.lookup_read(key) else { return Err(no_key_or_group(&args[1], &args[2])) };
    let stream = found.stream()?;
    let Some(groups) = stream.groups() else { return Err(no_key_or_group(&args[1], &args[2])) };
    let Some(group) = groups.group(&args[2]) else { return Err(no_key_or_group(&args[1], &args[2])) };
    match filter {
        None => summary(ctx.reply, groups, &group),
        Some(filter) => list(ctx.reply, groups, &group, &filter, now_ms),
    }
    Ok(())
}

/// How many are pending, from where to where, and how many for whom.
fn summary(reply: &mut Reply, groups: &Groups, group: &groups::Group) {
    reply.array(4);
    reply.int(groups.pending_len(group) as i64);
    let first = groups.pending_from(group, StreamId::MIN).next();
    let (Some(first), Some(last)) = (first, groups.pending_last(group)) else {
        reply.null();
        reply.null();
        reply.null_array();
        return;
    };
    replies::id(reply, first.id);
    replies::id(reply, last.id);
    let head = reply.array_deferred();
    let mut n = 0;
    for (name, consumer) in groups.consumers(group) {
        let owned = groups.owned_len(&consumer);
        if owned > 0 {
            reply.array(2);
            reply.bulk(name);
            reply.bulk_int(owned as i64);
            n += 1;
        }
    }
    reply.set_array_len(head, n);
}

fn list(reply: &mut Reply, groups: &Groups, group: &groups::Group, filter: &Filter<'_>, now_ms: i64) {
    let wanted = |p: &Pending| filter.idle_ms == 0 || p.idle_ms(now_ms) >= filter.idle_ms;
    let head = reply.array_deferred();
    let mut n = 0;
    let mut show = |name: &[u8], p: &Pending| {
        reply.array(4);
        replies::id(reply, p.id);
        reply.bulk(name);
        reply.int(p.idle_ms(now_ms).max(0));
        reply.int(p.deliveries as i64);
        n += 1;
    };
    match filter.consumer {
        Some(name) => {
            // Nothing is pending for somebody who is not there.
            if let Some(consumer) = groups.consumer(group, name) {
                let owned = groups.owned_by(&consumer, filter.start).take_while(|id| *id <= filter.end);
                let pending = owned.filter_map(|id| groups.pending(group, id));
                pending.filter(wanted).take(filter.count).for_each(|p| show(name, &p));
            }
        }
        None => {
            let names: Vec<(&[u8], Consumer)> = groups.consumers(group).collect();
            let names = Names::of(&names);
            let pending = groups.pending_from(group, filter.start).take_while(|p| p.id <= filter.end);
            pending.filter(wanted).take(filter.count).for_each(|p| show(names.owner(&p), &p));
        }
    }
    reply.set_array_len(head, n);
}

/// The names of consumers, by what a pending entry knows of its own.
pub(super) struct Names<'a>(Vec<&'a (&'a [u8], Consumer)>);

impl<'a> Names<'a> {
    /// Of all consumers of a group.
    pub fn of(consumers: &'a [(&'a [u8], Consumer)]) -> Names<'a> {
        let mut sorted: Vec<_> = consumers.iter().collect();
        sorted.sort_by_key(|(_, consumer)| consumer.number());
        Names(sorted)
    }

    /// The name of the one that an entry is pending for.
    pub fn owner(&self, pending: &Pending) -> &'a [u8] {
        let found = self.0.binary_search_by_key(&pending.consumer(), |(_, consumer)| consumer.number());
        found.map_or(b"", |at| self.0[at].0)
    }
}
