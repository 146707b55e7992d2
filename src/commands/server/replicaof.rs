//! REPLICAOF, SLAVEOF: whom this instance follows.

use crate::exec::args::int;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::link::Address;
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;

pub(super) static REPLICAOF: CommandSpec = CommandSpec {
    name: "replicaof",
    summary: "Makes this server a replica of another one, or a primary.",
    since: "5.0.0",
    ..BASE
};

pub(super) static REPLICAOF_OLD_NAME: CommandSpec = CommandSpec {
    name: "slaveof",
    summary: "The old name of REPLICAOF.",
    deprecated: Some(("5.0.0", "`REPLICAOF`")),
    ..BASE
};

/// What both have in common.
const BASE: CommandSpec = CommandSpec {
    complexity: "O(1)",
    since: "1.0.0",
    group: Group::Server,
    arity: Arity::Exactly(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::STALE).or(Flags::NO_ASYNC_LOADING),
    args: &[ArgSpec::one_of(
        "args",
        &[
            ArgSpec::block("host-port", &[ArgSpec::string("host"), ArgSpec::integer("port")]),
            ArgSpec::block("no-one", &[ArgSpec::word("no", "NO"), ArgSpec::word("one", "ONE")]),
        ],
    )],
    handler: Handler::Admin(replicaof),
    ..CommandSpec::BASE
};

const INVALID_PORT: CommandError = CommandError::fixed("ERR Invalid master port");

fn replicaof(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let asker = asker(ctx);
    if ctx.inst.fails_over() {
        return Err(CommandError::fixed("ERR REPLICAOF not allowed while failing over."));
    }
    if args[1].eq_ignore_ascii_case(b"no") && args[2].eq_ignore_ascii_case(b"one") {
        ctx.inst.promote(&asker, ctx.host);
        ctx.reply().ok();
        return Ok(());
    }
    if ctx.session.attention.has(crate::client::Attention::REPLICA) {
        return Err(CommandError::fixed("ERR Command is not valid when client is a replica."));
    }
    let port = int(&args[2]).ok().and_then(|port| u16::try_from(port).ok()).ok_or(INVALID_PORT)?;
    let primary = Address { host: args[1].into(), port };
    if ctx.inst.replicate(primary, &asker, ctx.host) {
        ctx.reply().ok();
    } else {
        ctx.reply().simple("OK Already connected to specified master");
    }
    Ok(())
}

/// Who asks for it, as the log has it: a line of CLIENT LIST, shortened.
pub(super) fn asker(ctx: &AdminCtx<'_>) -> String {
    let addr = ctx.caller().map_or_else(String::new, |client| client.connection.addr.to_string());
    let name = ctx.session.about.name.escape_ascii();
    format!("id={} addr={addr} name={name} user={}", ctx.session.id, ctx.session.about.user.escape_ascii())
}
