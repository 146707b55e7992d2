//! PUBLISH, SPUBLISH.

use crate::db::Target;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::CommandResult;
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::pubsub::Kind;
use crate::resp::Args;

pub(super) static PUBLISH: CommandSpec = CommandSpec {
    name: "publish",
    summary: "Sends a message to the subscribers of a channel.",
    complexity: "O(N+M), N the receivers and M the patterns whose literal beginning the channel shares",
    since: "2.0.0",
    group: Group::PubSub,
    arity: Arity::Exactly(3),
    flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::MAY_REPLICATE),
    args: &[ArgSpec::string("channel"), ArgSpec::string("message")],
    handler: Handler::Admin(publish),
    ..CommandSpec::BASE
};

pub(super) static SPUBLISH: CommandSpec = CommandSpec {
    name: "spublish",
    summary: "Sends a message to the subscribers of a shard channel.",
    complexity: "O(N), N the receivers",
    since: "7.0.0",
    group: Group::PubSub,
    arity: Arity::Exactly(3),
    flags: Flags::PUBSUB.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::MAY_REPLICATE),
    keys: &[KeySpec::at(1, Access::NOT_KEY)],
    args: &[ArgSpec::string("shardchannel"), ArgSpec::string("message")],
    handler: Handler::Admin(spublish),
    ..CommandSpec::BASE
};

fn publish(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let receivers = ctx.inst.publish_argument(Kind::Channel, args);
    // Subscribers of replicas get it from them.
    ctx.inst.keyspace.propagate_always(Target::Replicas, ctx.session.db as usize, args.iter());
    ctx.reply().int(receivers as i64);
    Ok(())
}

fn spublish(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let receivers = ctx.inst.publish_argument(Kind::Shard, args);
    // Subscribers of replicas get it from them.
    ctx.inst.keyspace.propagate_always(Target::Replicas, ctx.session.db as usize, args.iter());
    ctx.reply().int(receivers as i64);
    Ok(())
}
