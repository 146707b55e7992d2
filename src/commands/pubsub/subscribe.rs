//! SUBSCRIBE, UNSUBSCRIBE and their forms for patterns and shard channels.
//!
//! There is a confirmation for each name, not one reply for the request: a push in RESP3, which is in its place among
//! the replies all the same. A client that wants no replies (CLIENT REPLY) gets it even so.

use crate::client::{Attention, PushKind};
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::pubsub::Kind;
use crate::resp::{Args, Reply};

const FLAGS: Flags = Flags::PUBSUB.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE).or(Flags::SUBSCRIBER_MODE);

/// What SSUBSCRIBE says inside a transaction, as Redis words it.
const DENIED: CommandError = CommandError::fixed("ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");

pub(super) static SUBSCRIBE: CommandSpec = CommandSpec {
    name: "subscribe",
    summary: "Has the messages of channels sent to this connection.",
    complexity: "O(N), N the channels",
    since: "2.0.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    args: &[ArgSpec::string("channel").multiple()],
    handler: Handler::Admin(|ctx, args| subscribe(ctx, args, Kind::Channel)),
    ..CommandSpec::BASE
};

pub(super) static UNSUBSCRIBE: CommandSpec = CommandSpec {
    name: "unsubscribe",
    summary: "Ends subscriptions to channels, or to all of them.",
    complexity: "O(N), N the channels",
    since: "2.0.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(1),
    flags: FLAGS,
    args: &[ArgSpec::string("channel").multiple().optional()],
    handler: Handler::Admin(|ctx, args| unsubscribe(ctx, args, Kind::Channel)),
    ..CommandSpec::BASE
};

pub(super) static PSUBSCRIBE: CommandSpec = CommandSpec {
    name: "psubscribe",
    summary: "Has the messages of all channels that match patterns sent to this connection.",
    complexity: "O(N), N the patterns",
    since: "2.0.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    args: &[ArgSpec::pattern("pattern").multiple()],
    handler: Handler::Admin(|ctx, args| subscribe(ctx, args, Kind::Pattern)),
    ..CommandSpec::BASE
};

pub(super) static PUNSUBSCRIBE: CommandSpec = CommandSpec {
    name: "punsubscribe",
    summary: "Ends subscriptions to patterns, or to all of them.",
    complexity: "O(N), N the patterns",
    since: "2.0.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(1),
    flags: FLAGS,
    args: &[ArgSpec::pattern("pattern").multiple().optional()],
    handler: Handler::Admin(|ctx, args| unsubscribe(ctx, args, Kind::Pattern)),
    ..CommandSpec::BASE
};

pub(super) static SSUBSCRIBE: CommandSpec = CommandSpec {
    name: "ssubscribe",
    summary: "Has the messages of shard channels sent to this connection.",
    complexity: "O(N), N the shard channels",
    since: "7.0.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(2),
    flags: FLAGS,
    keys: &[KeySpec::rest(1, 1, Access::NOT_KEY)],
    args: &[ArgSpec::string("shardchannel").multiple()],
    handler: Handler::Admin(ssubscribe),
    ..CommandSpec::BASE
};

pub(super) static SUNSUBSCRIBE: CommandSpec = CommandSpec {
    name: "sunsubscribe",
    summary: "Ends subscriptions to shard channels, or to all of them.",
    complexity: "O(N), N the shard channels",
    since: "7.0.0",
    group: Group::PubSub,
    arity: Arity::AtLeast(1),
    flags: FLAGS,
    keys: &[KeySpec::rest(1, 1, Access::NOT_KEY)],
    args: &[ArgSpec::string("shardchannel").multiple().optional()],
    handler: Handler::Admin(|ctx, args| unsubscribe(ctx, args, Kind::Shard)),
    ..CommandSpec::BASE
};

fn ssubscribe(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if ctx.origin.is_exec() {
        return Err(DENIED);
    }
    subscribe(ctx, args, Kind::Shard)
}

fn subscribe(ctx: &mut AdminCtx<'_>, args: Args<'_>, kind: Kind) -> CommandResult {
    let word: &[u8] = match kind {
        Kind::Channel => b"subscribe",
        Kind::Pattern => b"psubscribe",
        Kind::Shard => b"ssubscribe",
    };
    for name in args.iter().skip(1) {
        ctx.inst.subscribe(ctx.session, kind, name);
        confirm(ctx, kind, word, Some(name));
    }
    Ok(())
}

fn unsubscribe(ctx: &mut AdminCtx<'_>, args: Args<'_>, kind: Kind) -> CommandResult {
    let word: &[u8] = match kind {
        Kind::Channel => b"unsubscribe",
        Kind::Pattern => b"punsubscribe",
        Kind::Shard => b"sunsubscribe",
    };
    for name in args.iter().skip(1) {
        ctx.inst.unsubscribe(ctx.session, kind, name);
        confirm(ctx, kind, word, Some(name));
    }
    if args.len() > 1 {
        return Ok(());
    }
    if ctx.session.subscribed(kind) == 0 {
        confirm(ctx, kind, word, None);
    }
    while let Some(topic) = ctx.inst.unsubscribe_first(ctx.session, kind) {
        confirm(ctx, kind, word, Some(topic.name()));
    }
    Ok(())
}

/// Says what has been done, and to how many things the client is subscribed now.
fn confirm(ctx: &mut AdminCtx<'_>, kind: Kind, word: &[u8], name: Option<&[u8]>) {
    let count = ctx.session.subscriptions.as_ref().map_or(0, |mine| mine.told(kind)) as i64;
    let write = |reply: &mut Reply| {
        reply.push(3);
        reply.bulk(word);
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.int(count);
    };
    if !ctx.session.attention.has(Attention::REPLY_OFF.or(Attention::REPLY_SKIP)) {
        return write(&mut ctx.session.reply);
    }
    let mut reply = Reply::with_proto(ctx.session.reply.proto);
    write(&mut reply);
    ctx.session.receives = true;
    let bytes = reply.out.bytes_mut();
    ctx.inst.outbox.send(PushKind::Confirmation, 0, ctx.session.conn, |out| out.append(bytes));
}
