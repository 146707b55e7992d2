//! PING, ECHO, SELECT, QUIT, RESET.

use crate::client::{Attention, ClientFlags};
use crate::exec::args;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandResult};
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::{Args, Proto};

pub(super) static PING: CommandSpec = CommandSpec {
    name: "ping",
    summary: "Answers PONG, or the argument given.",
    group: Group::Connection,
    arity: Arity::AtLeast(1),
    flags: Flags::FAST.or(Flags::REPORTS_DISK_ERROR).or(Flags::SUBSCRIBER_MODE).or(Flags::FROM_PRIMARY),
    args: &[ArgSpec::string("message").optional()],
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: Handler::Admin(ping),
    ..CommandSpec::BASE
};

pub(super) static ECHO: CommandSpec = CommandSpec {
    name: "echo",
    summary: "Returns its argument.",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
    args: &[ArgSpec::string("message")],
    handler: Handler::Admin(echo),
    ..CommandSpec::BASE
};

pub(super) static SELECT: CommandSpec = CommandSpec {
    name: "select",
    summary: "Switches the connection to another database.",
    group: Group::Connection,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST).or(Flags::FROM_PRIMARY),
    args: &[ArgSpec::integer("index")],
    handler: Handler::Admin(select),
    ..CommandSpec::BASE
};

pub(super) static QUIT: CommandSpec = CommandSpec {
    name: "quit",
    summary: "Closes the connection.",
    group: Group::Connection,
    arity: Arity::AtLeast(1),
    flags: Flags::NOSCRIPT
        .or(Flags::NOT_QUEUED)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::FAST)
        .or(Flags::NO_AUTH)
        .or(Flags::SUBSCRIBER_MODE)
        .or(Flags::ALLOW_BUSY),
    deprecated: Some(("7.2.0", "just closing the connection")),
    handler: Handler::Admin(quit),
    ..CommandSpec::BASE
};

pub(super) static RESET: CommandSpec = CommandSpec {
    name: "reset",
    summary: "Returns the connection to the state of a new one.",
    since: "6.2.0",
    group: Group::Connection,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT
        .or(Flags::NOT_QUEUED)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::FAST)
        .or(Flags::NO_AUTH)
        .or(Flags::SUBSCRIBER_MODE)
        .or(Flags::ALLOW_BUSY),
    handler: Handler::Admin(reset),
    ..CommandSpec::BASE
};

fn ping(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let message = match args.len() {
        1 => None,
        2 => args.get(1),
        _ => return Err(error::wrong_arity("ping")),
    };
    if ctx.session.attention.has(Attention::SUBSCRIBER_MODE) {
        let reply = ctx.reply();
        reply.array(2);
        reply.bulk(b"pong");
        reply.bulk(message.unwrap_or_default());
        return Ok(());
    }
    match message {
        None => ctx.reply().simple("PONG"),
        Some(message) => ctx.reply().bulk(message),
    }
    Ok(())
}

fn echo(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.reply().bulk(&args[1]);
    Ok(())
}

fn select(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let index = args::int32(&args[1])?;
    let databases = ctx.inst.keyspace.databases();
    let index = usize::try_from(index).ok().filter(|i| *i < databases).ok_or(error::DB_OUT_OF_RANGE)?;
    ctx.session.db = index as u32;
    ctx.reply().ok();
    Ok(())
}

fn quit(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.reply().ok();
    ctx.session.close_after_reply();
    Ok(())
}

fn reset(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let session = &mut *ctx.session;
    ctx.inst.end_transaction(session);
    ctx.inst.set_monitor(session, false);
    session.attention.put(Attention::REPLY_OFF.or(Attention::REPLY_SKIP_NEXT).or(Attention::NO_TOUCH), false);
    session.attention.put(Attention::UNAUTHENTICATED, !ctx.inst.config.server.requirepass.is_empty());
    if let Some(connection) = ctx.inst.clients.connection_of_mut(session) {
        connection.flags.put(ClientFlags::NO_EVICT, false);
    }
    session.db = 0;
    session.about.name.clear();
    session.about.user = b"default".to_vec();
    ctx.inst.unsubscribe_all(session);
    ctx.inst.end_tracking(session);
    ctx.inst.set_demand(session, None);
    session.set_protocol(Proto::Resp2);
    session.reply.simple("RESET");
    Ok(())
}
