//! CONFIG: parameters are shown, changed, written back; statistics start again.
//!
//! The parameters are rows of `config/`, which also words the refusals; what a change leads to is
//! `exec/configure.rs`. A change of several parameters happens as a whole or not at all.

use crate::config::{self, Caller, SetError};
use crate::exec::configure::Failed;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::help;
use crate::exec::instance::Alert;
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::observe::keys;
use crate::resp::Args;

pub(super) static CONFIG: CommandSpec = CommandSpec {
    name: "config",
    summary: "Container of commands about the configuration.",
    complexity: "see the subcommands",
    since: "2.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    subcommands: &[&CONFIG_GET, &CONFIG_HELP, &CONFIG_RESETSTAT, &CONFIG_REWRITE, &CONFIG_SET],
    ..CommandSpec::BASE
};

static CONFIG_GET: CommandSpec = CommandSpec {
    name: "get",
    summary: "Returns configuration parameters by pattern.",
    complexity: "O(N), N the parameters",
    since: "2.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::string("parameter").multiple()],
    handler: Handler::Admin(config_get),
    ..CommandSpec::BASE
};

static CONFIG_HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the CONFIG subcommands.",
    since: "5.0.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Admin(config_help),
    ..CommandSpec::BASE
};

static CONFIG_RESETSTAT: CommandSpec = CommandSpec {
    name: "resetstat",
    summary: "Sets the statistics back to zero.",
    since: "2.0.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Handler::Admin(config_resetstat),
    ..CommandSpec::BASE
};

static CONFIG_REWRITE: CommandSpec = CommandSpec {
    name: "rewrite",
    summary: "Writes the running configuration back to its file.",
    since: "2.8.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Handler::Admin(config_rewrite),
    ..CommandSpec::BASE
};

static CONFIG_SET: CommandSpec = CommandSpec {
    name: "set",
    summary: "Changes configuration parameters, all or none.",
    complexity: "O(N), N the parameters given",
    since: "2.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(4),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::LOADING).or(Flags::STALE),
    args: &[ArgSpec::block("data", &[ArgSpec::string("parameter"), ArgSpec::string("value")]).multiple()],
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    secret: Some(value_is_secret),
    handler: Handler::Admin(config_set),
    ..CommandSpec::BASE
};

/// `CONFIG SET name value name value`: values stand at odd places. What has a name that does not exist may be a secret
/// with its name misspelt.
fn value_is_secret(args: Args<'_>, i: usize) -> bool {
    let named = i >= 3 && i % 2 == 1;
    named && config::rows::find(&args[i - 1]).is_none_or(|row| row.is(config::Flags::SENSITIVE))
}

fn config_get(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let found = ctx.inst.config.get(args.iter().skip(2));
    let reply = ctx.reply();
    reply.map(found.len());
    for (name, value) in found {
        reply.bulk(name.as_bytes());
        reply.bulk(&value);
    }
    Ok(())
}

fn config_set(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if !args.len().is_multiple_of(2) {
        return Err(error::SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> = (2..args.len()).step_by(2).map(|i| (&args[i], &args[i + 1])).collect();
    let caller = Caller { loading: ctx.inst.alert.has(Alert::LOADING), local: ctx.session.is_local };
    let refused = |error: SetError| CommandError::text(error.to_string());
    let changes = ctx.inst.config.set(&pairs, caller).map_err(refused)?;
    let applied = ctx.inst.apply(changes, ctx.host);
    applied.map_err(|Failed { row, why }| refused(SetError::apply_failed(row, why)))?;
    ctx.reply().ok();
    Ok(())
}

fn config_rewrite(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let inst = &mut *ctx.inst;
    if let Err(error) = inst.sources.rewrite(&inst.config) {
        let why = error.to_string();
        inst.log.warning("CONFIG REWRITE failed", &[(keys::ERROR, &why)]);
        return Err(CommandError::text(why));
    }
    inst.log.notice("CONFIG REWRITE executed with success.", &[]);
    ctx.reply().ok();
    Ok(())
}

fn config_resetstat(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.inst.reset_statistics();
    ctx.reply().ok();
    Ok(())
}

fn config_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &CONFIG);
    Ok(())
}
