//! XINFO: what a stream, its groups and their consumers look like from inside.

use super::pending::Names;
use super::{bad_subcommand, no_group, replies};
use crate::exec::args::int;
use crate::exec::ctx::DataCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::help;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::{Args, Reply};
use crate::types::stream::StreamObject;
use crate::types::stream::entries::Range;
use crate::types::stream::groups::{self, Consumer, Groups};
use crate::types::stream::id::StreamId;

pub(super) static XINFO: CommandSpec = CommandSpec {
    name: "xinfo",
    summary: "Container of commands that describe streams.",
    complexity: "see the subcommands",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(2),
    subcommands: &[&XINFO_CONSUMERS, &XINFO_GROUPS, &XINFO_HELP, &XINFO_STREAM],
    ..CommandSpec::BASE
};

static XINFO_CONSUMERS: CommandSpec = CommandSpec {
    name: "consumers",
    summary: "Lists the consumers of a group.",
    complexity: "O(N), N the consumers",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::Exactly(4),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key"), ArgSpec::string("group")],
    tips: &["nondeterministic_output"],
    handler: Handler::Data(xinfo_consumers),
    ..CommandSpec::BASE
};

static XINFO_GROUPS: CommandSpec = CommandSpec {
    name: "groups",
    summary: "Lists the consumer groups of a stream.",
    complexity: "O(N), N the groups",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::Exactly(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[ArgSpec::key("key")],
    handler: Handler::Data(xinfo_groups),
    ..CommandSpec::BASE
};

static XINFO_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the XINFO subcommands.",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Data(xinfo_help),
    ..CommandSpec::BASE
};

static XINFO_STREAM: CommandSpec = CommandSpec {
    name: "stream",
    summary: "Describes a stream.",
    complexity: "O(1), or O(N) for N entries shown",
    since: "5.0.0",
    group: Group::Stream,
    arity: Arity::AtLeast(3),
    flags: Flags::READONLY,
    keys: &[KeySpec::at(2, Access::READ_ONLY.or(Access::ACCESS))],
    args: &[
        ArgSpec::key("key"),
        ArgSpec::block(
            "full-block",
            &[ArgSpec::word("full", "FULL"), ArgSpec::integer("count").token("COUNT").optional()],
        )
        .optional(),
    ],
    handler: Handler::Data(xinfo_stream),
    ..CommandSpec::BASE
};

/// FULL shows so many of everything, unless told otherwise.
const COUNT_DEFAULT: i64 = 10;

fn stream<'a>(ctx: &'a mut DataCtx<'_>, args: Args<'_>) -> Result<(&'a StreamObject, &'a mut Reply), CommandError> {
    let key = ctx.key(args, 2);
    let found = ctx.db.lookup_read(key).ok_or(error::NO_SUCH_KEY)?;
    Ok((found.stream()?.get(), ctx.reply))
}

fn xinfo_stream(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (stream, reply) = stream(ctx, args)?;
    let refused = || bad_subcommand("XINFO", &args[1]);
    let count = match args.len() {
        3 => None,
        4 | 6 if args[3].eq_ignore_ascii_case(b"FULL") => match args.get(4) {
            None => Some(COUNT_DEFAULT),
            Some(word) if word.eq_ignore_ascii_case(b"COUNT") => match int(&args[5])? {
                count @ 0.. => Some(count),
                _ => Some(COUNT_DEFAULT),
            },
            Some(_) => return Err(refused()),
        },
        _ => return Err(refused()),
    };
    let (facts, entries) = (stream.facts(), stream.entries());
    let groups = stream.groups();
    reply.map(if count.is_some() { 9 } else { 10 });
    reply.bulk(b"length");
    reply.int(entries.len() as i64);
    reply.bulk(b"radix-tree-keys");
    reply.int(entries.chunks_len() as i64);
    // There is no radix tree; one of so few keys would have a node for each, and one above.
    reply.bulk(b"radix-tree-nodes");
    reply.int(entries.chunks_len() as i64 + 1);
    for (name, id) in [("last-generated-id", facts.last_id), ("max-deleted-entry-id", facts.max_deleted_id)] {
        reply.bulk(name.as_bytes());
        replies::id(reply, id);
    }
    reply.bulk(b"entries-added");
    reply.int(facts.entries_added as i64);
    reply.bulk(b"recorded-first-entry-id");
    replies::id(reply, facts.first_id);
    match count {
        None => {
            reply.bulk(b"groups");
            reply.int(groups.map_or(0, Groups::len) as i64);
            reply.bulk(b"first-entry");
            one(reply, entries.range(StreamId::MIN, StreamId::MAX));
            reply.bulk(b"last-entry");
            one(reply, entries.range_back(StreamId::MIN, StreamId::MAX));
        }
        Some(count) => {
            let limit = replies::limit(count);
            reply.bulk(b"entries");
            replies::entries(reply, entries.range(StreamId::MIN, StreamId::MAX), limit, |_| {});
            reply.bulk(b"groups");
            reply.array(groups.map_or(0, Groups::len));
            for (name, group) in groups.into_iter().flat_map(Groups::iter) {
                full_group(reply, stream, name, &group, limit);
            }
        }
    }
    Ok(())
}

fn one(reply: &mut Reply, mut range: Range<'_>) {
    match range.next() {
        Some(entry) => replies::entry(reply, &entry),
        None => reply.null(),
    }
}

/// What both XINFO GROUPS and XINFO STREAM FULL say of a group's progress.
fn progress(reply: &mut Reply, stream: &StreamObject, group: &groups::Group) {
    reply.bulk(b"last-delivered-id");
    replies::id(reply, group.last_id);
    let counts = [("entries-read", group.entries_read.map(|n| n as i64)), ("lag", stream.lag(group))];
    for (name, count) in counts {
        reply.bulk(name.as_bytes());
        match count {
            Some(count) => reply.int(count),
            None => reply.null(),
        }
    }
}

fn full_group(reply: &mut Reply, stream: &StreamObject, name: &[u8], group: &groups::Group, limit: usize) {
    let Some(groups) = stream.groups() else { return };
    let consumers: Vec<(&[u8], Consumer)> = groups.consumers(group).collect();
    let names = Names::of(&consumers);
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(name);
    progress(reply, stream, group);
    reply.bulk(b"pel-count");
    let pending_len = groups.pending_len(group);
    reply.int(pending_len as i64);
    reply.bulk(b"pending");
    reply.array(pending_len.min(limit));
    for pending in groups.pending_from(group, StreamId::MIN).take(limit) {
        reply.array(4);
        replies::id(reply, pending.id);
        reply.bulk(names.owner(&pending));
        reply.int(pending.delivered_ms);
        reply.int(pending.deliveries as i64);
    }
    reply.bulk(b"consumers");
    reply.array(consumers.len());
    for (name, consumer) in &consumers {
        reply.map(5);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"seen-time");
        reply.int(consumer.seen_ms);
        reply.bulk(b"active-time");
        reply.int(consumer.active_ms);
        reply.bulk(b"pel-count");
        let owned_len = groups.owned_len(consumer);
        reply.int(owned_len as i64);
        reply.bulk(b"pending");
        reply.array(owned_len.min(limit));
        let owned = groups.owned_by(consumer, StreamId::MIN).take(limit);
        for pending in owned.filter_map(|id| groups.pending(group, id)) {
            reply.array(3);
            replies::id(reply, pending.id);
            reply.int(pending.delivered_ms);
            reply.int(pending.deliveries as i64);
        }
    }
}

fn xinfo_groups(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let (stream, reply) = stream(ctx, args)?;
    let Some(groups) = stream.groups() else {
        reply.array(0);
        return Ok(());
    };
    reply.array(groups.len());
    for (name, group) in groups.iter() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.int(groups.consumers_len(&group) as i64);
        reply.bulk(b"pending");
        reply.int(groups.pending_len(&group) as i64);
        progress(reply, stream, &group);
    }
    Ok(())
}

fn xinfo_consumers(ctx: &mut DataCtx<'_>, args: Args<'_>) -> CommandResult {
    let now_ms = ctx.db.now_ms();
    let (stream, reply) = stream(ctx, args)?;
    let found = stream.groups().and_then(|groups| Some((groups, groups.group(&args[3])?)));
    let Some((groups, group)) = found else { return Err(no_group(&args[2], &args[3])) };
    reply.array(groups.consumers_len(&group));
    for (name, consumer) in groups.consumers(&group) {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"pending");
        reply.int(groups.owned_len(&consumer) as i64);
        reply.bulk(b"idle");
        reply.int(now_ms.saturating_sub(consumer.seen_ms).max(0));
        reply.bulk(b"inactive");
        let never = consumer.active_ms == -1;
        reply.int(if never { -1 } else { now_ms.saturating_sub(consumer.active_ms) });
    }
    Ok(())
}

fn xinfo_help(ctx: &mut DataCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply, &XINFO);
    Ok(())
}
