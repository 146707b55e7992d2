//! PUBSUB: who is subscribed to what.

use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::help;
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::pubsub::{Kind, Topic};
use crate::resp::Args;
use crate::util::glob;

pub(super) static PUBSUB: CommandSpec = CommandSpec {
    name: "pubsub",
    summary: "Container of commands about subscriptions.",
    complexity: "see the subcommands",
    since: "2.8.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(2),
    subcommands: &[
        &PUBSUB_CHANNELS,
        &PUBSUB_HELP,
        &PUBSUB_NUMPAT,
        &PUBSUB_NUMSUB,
        &PUBSUB_SHARDCHANNELS,
        &PUBSUB_SHARDNUMSUB,
    ],
    ..CommandSpec::BASE
};

const FLAGS: Flags = Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE);

static PUBSUB_CHANNELS: CommandSpec = CommandSpec {
    name: "channels",
    summary: "Lists the channels that have subscribers, or those that match a pattern.",
    complexity: "O(N), N the channels",
    since: "2.8.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    args: &[ArgSpec::pattern("pattern").optional()],
    handler: Handler::Admin(|ctx, args| names(ctx, args, Kind::Channel)),
    ..CommandSpec::BASE
};

static PUBSUB_SHARDCHANNELS: CommandSpec = CommandSpec {
    name: "shardchannels",
    summary: "Lists the shard channels that have subscribers, or those that match a pattern.",
    complexity: "O(N), N the shard channels",
    since: "7.0.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    args: &[ArgSpec::pattern("pattern").optional()],
    handler: Handler::Admin(|ctx, args| names(ctx, args, Kind::Shard)),
    ..CommandSpec::BASE
};

static PUBSUB_NUMPAT: CommandSpec = CommandSpec {
    name: "numpat",
    summary: "Counts the patterns that have subscribers.",
    since: "2.8.0",
    group: Group::PubSub,
    arity: Arity::Exactly(2),
    flags: FLAGS,
    handler: Handler::Admin(numpat),
    ..CommandSpec::BASE
};

static PUBSUB_NUMSUB: CommandSpec = CommandSpec {
    name: "numsub",
    summary: "Counts the subscribers of channels.",
    complexity: "O(N), N the channels asked for",
    since: "2.8.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    args: &[ArgSpec::string("channel").multiple().optional()],
    handler: Handler::Admin(|ctx, args| counts(ctx, args, Kind::Channel)),
    ..CommandSpec::BASE
};

static PUBSUB_SHARDNUMSUB: CommandSpec = CommandSpec {
    name: "shardnumsub",
    summary: "Counts the subscribers of shard channels.",
    complexity: "O(N), N the shard channels asked for",
    since: "7.0.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    args: &[ArgSpec::string("shardchannel").multiple().optional()],
    handler: Handler::Admin(|ctx, args| counts(ctx, args, Kind::Shard)),
    ..CommandSpec::BASE
};

static PUBSUB_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the PUBSUB subcommands.",
    since: "6.2.0",
    group: Group::PubSub,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Admin(pubsub_help),
    ..CommandSpec::BASE
};

fn names(ctx: &mut AdminCtx<'_>, args: Args<'_>, kind: Kind) -> CommandResult {
    if args.len() > 3 {
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        return Err(CommandError::quoting(before, &args[1], "'. Try PUBSUB HELP."));
    }
    let wanted = |topic: &&Topic| args.get(2).is_none_or(|pattern| glob::matches(pattern, topic.name(), false));
    ctx.inst.leave_topics(true);
    let reply = &mut ctx.session.reply;
    let header = reply.array_deferred();
    let mut count = 0;
    for topic in ctx.inst.pubsub.all(kind).filter(wanted) {
        reply.bulk(topic.name());
        count += 1;
    }
    reply.set_array_len(header, count);
    Ok(())
}

fn counts(ctx: &mut AdminCtx<'_>, args: Args<'_>, kind: Kind) -> CommandResult {
    let reply = &mut ctx.session.reply;
    let asked = args.skip(2);
    reply.array(2 * asked.len());
    for name in asked.iter() {
        reply.bulk(name);
        let pubsub = &ctx.inst.pubsub;
        let count = |topic| if pubsub.has_gone() { pubsub.receivers(topic).len() } else { topic.receivers().len() };
        reply.int(pubsub.find(kind, name).map_or(0, count) as i64);
    }
    Ok(())
}

fn numpat(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.inst.leave_topics(true);
    let count = ctx.inst.pubsub.count(Kind::Pattern) as i64;
    ctx.reply().int(count);
    Ok(())
}

fn pubsub_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &PUBSUB);
    Ok(())
}
