//! BACKUP: a consistent set of files, while the server goes on. What happens is in `exec/aof/backup.rs`.

use std::os::unix::ffi::OsStrExt;

use crate::blocking::{Progress, Wait, WaitFor};
use crate::client::ClientId;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::help;
use crate::exec::spec::{Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;

pub(super) static BACKUP: CommandSpec = CommandSpec {
    name: "backup",
    summary: "Container of commands about backups.",
    complexity: "see the subcommands",
    since: "8.10.0",
    group: Group::Server,
    arity: Arity::AtLeast(2),
    subcommands: &[&ABORT, &CLEANUP, &HELP, &LIST, &SEAL, &START, &STATUS],
    ..CommandSpec::BASE
};

/// What they have in common.
const SUBCOMMAND: CommandSpec = CommandSpec {
    complexity: "O(1)",
    since: "8.10.0",
    group: Group::Server,
    arity: Arity::Exactly(2),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT),
    ..CommandSpec::BASE
};

static ABORT: CommandSpec = CommandSpec {
    name: "abort",
    summary: "Gives up a backup that is not sealed.",
    handler: Handler::AdminBlocking(abort),
    ..SUBCOMMAND
};

static CLEANUP: CommandSpec = CommandSpec {
    name: "cleanup",
    summary: "Removes the files of a sealed backup.",
    handler: Handler::AdminBlocking(cleanup),
    ..SUBCOMMAND
};

static HELP: CommandSpec = CommandSpec {
    name: "help",
    summary: "Describes the BACKUP subcommands.",
    flags: Flags::LOADING.or(Flags::STALE),
    handler: Handler::Admin(backup_help),
    ..SUBCOMMAND
};

static LIST: CommandSpec = CommandSpec {
    name: "list",
    summary: "Returns the files of the backup that do not change any more.",
    flags: Flags::ADMIN.or(Flags::STALE),
    handler: Handler::Admin(list),
    ..SUBCOMMAND
};

static SEAL: CommandSpec = CommandSpec {
    name: "seal",
    summary: "Completes the backup: what was written until now belongs to it.",
    handler: Handler::AdminBlocking(seal),
    ..SUBCOMMAND
};

static START: CommandSpec = CommandSpec {
    name: "start",
    summary: "Begins a backup in the directory backupdirname.",
    handler: Handler::Admin(start),
    ..SUBCOMMAND
};

static STATUS: CommandSpec = CommandSpec {
    name: "status",
    summary: "Returns how far the backup is.",
    flags: Flags::ADMIN.or(Flags::LOADING).or(Flags::STALE),
    handler: Handler::Admin(status),
    ..SUBCOMMAND
};

fn start(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.inst.start_backup(ctx.host)?;
    ctx.reply().ok();
    Ok(())
}

fn seal(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> Result<Progress, CommandError> {
    let asker = asker(ctx);
    ctx.inst.seal_backup(asker)?;
    Ok(until_done(ctx))
}

fn abort(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> Result<Progress, CommandError> {
    let asker = asker(ctx);
    ctx.inst.abort_backup(asker)?;
    Ok(until_done(ctx))
}

fn cleanup(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> Result<Progress, CommandError> {
    let asker = asker(ctx);
    if ctx.inst.clean_up_backup(asker)? {
        return Ok(until_done(ctx));
    }
    ctx.reply().ok();
    Ok(Progress::Done)
}

/// Who waits until it is done.
fn asker(ctx: &AdminCtx<'_>) -> Option<ClientId> {
    ctx.origin.may_block().then_some(ctx.session.id)
}

/// What was asked for is on its way; in a transaction that is the answer.
fn until_done(ctx: &mut AdminCtx<'_>) -> Progress {
    if ctx.origin.may_block() {
        return Wait::on(WaitFor::Backup, [], None).blocked();
    }
    ctx.reply().ok();
    Progress::Done
}

fn list(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let files = ctx.inst.aof.backup.files();
    let reply = &mut ctx.session.reply;
    reply.array(files.len());
    for file in files {
        reply.bulk(file.as_os_str().as_bytes());
    }
    Ok(())
}

fn status(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let backup = &ctx.inst.aof.backup;
    let seconds = |ms: i64| (ms / 1000).to_string();
    let reply = &mut ctx.session.reply;
    reply.map(4);
    for (name, value) in [
        ("state", backup.state().word()),
        ("error", backup.error()),
        ("start_time", &seconds(backup.started_ms())),
        ("end_time", &seconds(backup.ended_ms())),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(())
}

fn backup_help(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    help::reply(ctx.reply(), &BACKUP);
    Ok(())
}
