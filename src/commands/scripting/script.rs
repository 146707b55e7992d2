//! SCRIPT: the scripts that are known.

use super::flush_lazily;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::help;
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;
use crate::script::Kind;

pub(super) static SCRIPT: CommandSpec = CommandSpec {
    name: "script",
    summary: "Container of commands about scripts.",
    complexity: "see the subcommands",
    since: "2.6.0",
    group: Group::Scripting,
    arity: Arity::AtLeast(2),
    subcommands: &[&DEBUG, &EXISTS, &FLUSH, &HELP, &KILL, &LOAD, &SHOW],
    ..CommandSpec::BASE
};

/// What they have in common.
const SUBCOMMAND: CommandSpec = CommandSpec {
    since: "2.6.0",
    group: Group::Scripting,
    arity: Arity::Exactly(2),
    flags: Flags::NOSCRIPT,
    ..CommandSpec::BASE
};

static DEBUG: CommandSpec = CommandSpec {
    name: "debug",
    summary: "Refuses to debug scripts; NO is what it is.",
    since: "3.2.0",
    arity: Arity::Exactly(3),
    args: &[ArgSpec::one_of(
        "mode",
        &[ArgSpec::word("yes", "YES"), ArgSpec::word("sync", "SYNC"), ArgSpec::word("no", "NO")],
    )],
    handler: Handler::Admin(debug),
    ..SUBCOMMAND
};

static EXISTS: CommandSpec = CommandSpec {
    name: "exists",
    summary: "Returns which scripts are known.",
    complexity: "O(N), N the digests",
    arity: Arity::AtLeast(3),
    args: &[ArgSpec::string("sha1").multiple()],
    tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
    handler: Handler::Admin(exists),
    ..SUBCOMMAND
};

static FLUSH: CommandSpec = CommandSpec {
    name: "flush",
    summary: "Forgets all scripts.",
    complexity: "O(N), N the scripts",
    arity: Arity::AtLeast(2),
    args: &[ArgSpec::one_of("flush-type", &[ArgSpec::word("async", "ASYNC"), ArgSpec::word("sync", "SYNC")])
        .optional()
        .since("6.2.0")],
    history: &[("6.2.0", "ASYNC and SYNC.")],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Handler::Admin(flush),
    ..SUBCOMMAND
};

static HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the SCRIPT subcommands.",
    since: "5.0.0",
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Admin(script_help),
    ..SUBCOMMAND
};

static KILL: CommandSpec = CommandSpec {
    name: "kill",
    summary: "Stops the script that runs.",
    flags: Flags::NOSCRIPT.or(Flags::ALLOW_BUSY),
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    handler: Handler::Admin(kill),
    ..SUBCOMMAND
};

static LOAD: CommandSpec = CommandSpec {
    name: "load",
    summary: "Makes a script known, and returns its SHA1.",
    complexity: "O(N), N the length of the script",
    arity: Arity::Exactly(3),
    flags: Flags::NOSCRIPT.or(Flags::STALE),
    args: &[ArgSpec::string("script")],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Handler::Admin(load),
    ..SUBCOMMAND
};

static SHOW: CommandSpec = CommandSpec {
    name: "show",
    summary: "Returns the text of a script.",
    since: "8.0.0",
    arity: Arity::Exactly(3),
    args: &[ArgSpec::string("sha1")],
    handler: Handler::Admin(show),
    ..SUBCOMMAND
};

fn debug(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let mode = args[2].to_ascii_lowercase();
    match &mode[..] {
        b"no" => {
            ctx.reply().ok();
            Ok(())
        }
        b"yes" | b"sync" => Err(CommandError::fixed("ERR The debugger of scripts is not supported")),
        _ => Err(CommandError::fixed("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
}

fn exists(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.reply().array(args.len() - 2);
    for digest in args.iter().skip(2) {
        let is_there = ctx.inst.has_script(digest);
        ctx.reply().int(is_there.into());
    }
    Ok(())
}

fn flush(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    const REFUSED: CommandError = CommandError::fixed("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
    let lazily = flush_lazily(ctx.inst, args, REFUSED)?;
    let count = ctx.inst.scripts.cache.len();
    let engine = ctx.inst.scripts.flush_scripts();
    ctx.inst.drop_engine(engine, count, lazily);
    ctx.reply().ok();
    Ok(())
}

fn kill(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.inst.stop_script(Kind::Scripts)?;
    ctx.reply().ok();
    Ok(())
}

fn load(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let digest = ctx.inst.load_script(&args[2])?;
    ctx.reply().bulk(&digest);
    Ok(())
}

fn show(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let text = ctx.inst.script_text(&args[2])?;
    ctx.session.reply.bulk(text);
    Ok(())
}

fn script_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &SCRIPT);
    Ok(())
}
