//! SLOWLOG and MONITOR: what operators see of the commands that run.

use crate::client::Attention;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::help;
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;
use crate::util::num;

/// Entries that SLOWLOG GET returns unless told otherwise.
const COUNT_DEFAULT: i64 = 10;

pub(super) static SLOWLOG: CommandSpec = CommandSpec {
    name: "slowlog",
    summary: "Container of commands about the slow log.",
    complexity: "see the subcommands",
    since: "2.2.12",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    subcommands: &[&SLOWLOG_GET, &SLOWLOG_HELP, &SLOWLOG_LEN, &SLOWLOG_RESET],
    ..CommandSpec::BASE
};

static SLOWLOG_GET: CommandSpec = CommandSpec {
    name: "get",
    summary: "Returns the latest entries of the slow log.",
    complexity: "O(N), N the entries returned",
    since: "2.2.12",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::integer("count").optional()],
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    handler: Handler::Admin(slowlog_get),
    ..CommandSpec::BASE
};

static SLOWLOG_LEN: CommandSpec = CommandSpec {
    name: "len",
    summary: "Counts the entries of the slow log.",
    since: "2.2.12",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    handler: Handler::Admin(slowlog_len),
    ..CommandSpec::BASE
};

static SLOWLOG_RESET: CommandSpec = CommandSpec {
    name: "reset",
    summary: "Empties the slow log.",
    complexity: "O(N), N the entries",
    since: "2.2.12",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Handler::Admin(slowlog_reset),
    ..CommandSpec::BASE
};

static SLOWLOG_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the SLOWLOG subcommands.",
    since: "6.2.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Admin(slowlog_help),
    ..CommandSpec::BASE
};

pub(super) static MONITOR: CommandSpec = CommandSpec {
    name: "monitor",
    summary: "Shows every command that the server executes.",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    handler: Handler::Admin(monitor),
    ..CommandSpec::BASE
};

fn slowlog_get(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len() > 3 {
        let before = "ERR unknown subcommand or wrong number of arguments for '";
        return Err(CommandError::quoting(before, &args[1], "'. Try SLOWLOG HELP."));
    }
    let count = match args.get(2) {
        None => COUNT_DEFAULT,
        Some(text) => {
            let count = num::parse_i64(text).filter(|n| *n >= -1);
            count.ok_or(CommandError::fixed("ERR count should be greater than or equal to -1"))?
        }
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX); // -1: all
    let reply = &mut ctx.session.reply;
    let entries = ctx.inst.slowlog.latest(count);
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.unix_s);
        reply.int(entry.duration_us as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(())
}

fn slowlog_len(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let len = ctx.inst.slowlog.len();
    ctx.reply().int(len as i64);
    Ok(())
}

fn slowlog_reset(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.inst.slowlog.reset();
    ctx.reply().ok();
    Ok(())
}

fn slowlog_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &SLOWLOG);
    Ok(())
}

fn monitor(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.origin.is_exec() {
        return Err(CommandError::fixed("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if ctx.session.attention.has(Attention::MONITOR) {
        return Ok(()); // without a reply: it would be taken for a line
    }
    ctx.inst.set_monitor(ctx.session, true);
    ctx.reply().ok();
    Ok(())
}
