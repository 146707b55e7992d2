//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! What MULTI queues was looked up and gated when it arrived (see `exec/call.rs`); EXEC runs the queue as it is, one
//! call after another, with nothing in between. WATCH makes EXEC do nothing when a watched key has changed since: the
//! bookkeeping is in `db/watch.rs`.

use crate::client::{Attention, Transaction};
use crate::exec::call::{self, Origin, Request};
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Access, ArgSpec, Arity, CommandSpec, Flags, Group, Handler, KeySpec};
use crate::resp::Args;

pub(super) static COMMANDS: &[&CommandSpec] = &[&MULTI, &EXEC, &DISCARD, &WATCH, &UNWATCH];

static MULTI: CommandSpec = CommandSpec {
    name: "multi",
    summary: "Begins a transaction.",
    since: "1.2.0",
    group: Group::Transactions,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::FAST)
        .or(Flags::ALLOW_BUSY)
        .or(Flags::NOT_QUEUED)
        .or(Flags::BEGINS_QUEUE),
    handler: Handler::Admin(multi),
    ..CommandSpec::BASE
};

static EXEC: CommandSpec = CommandSpec {
    name: "exec",
    summary: "Executes the queued commands of a transaction.",
    complexity: "depends on the commands",
    since: "1.2.0",
    group: Group::Transactions,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::SKIP_SLOWLOG)
        .or(Flags::NOT_QUEUED)
        .or(Flags::RUNS_QUEUE),
    handler: Handler::Admin(exec),
    ..CommandSpec::BASE
};

static DISCARD: CommandSpec = CommandSpec {
    name: "discard",
    summary: "Drops a transaction.",
    since: "2.0.0",
    group: Group::Transactions,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::FAST)
        .or(Flags::ALLOW_BUSY)
        .or(Flags::NOT_QUEUED),
    handler: Handler::Admin(discard),
    ..CommandSpec::BASE
};

static WATCH: CommandSpec = CommandSpec {
    name: "watch",
    summary: "Makes the next transaction depend on keys staying unchanged.",
    complexity: "O(N), N the keys",
    since: "2.2.0",
    group: Group::Transactions,
    arity: Arity::AtLeast(2),
    flags: Flags::NOSCRIPT
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::FAST)
        .or(Flags::ALLOW_BUSY)
        .or(Flags::NOT_QUEUED),
    keys: &[KeySpec::rest(1, 1, Access::READ_ONLY)],
    args: &[ArgSpec::key("key").multiple()],
    handler: Handler::Admin(watch),
    ..CommandSpec::BASE
};

static UNWATCH: CommandSpec = CommandSpec {
    name: "unwatch",
    summary: "Forgets the watched keys.",
    since: "2.2.0",
    group: Group::Transactions,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST).or(Flags::ALLOW_BUSY),
    handler: Handler::Admin(unwatch),
    ..CommandSpec::BASE
};

fn multi(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.session.transaction.is_some() {
        return Err(error::NESTED_MULTI);
    }
    ctx.session.transaction = Some(Box::new(Transaction::default()));
    ctx.session.attention.put(Attention::IN_MULTI, true);
    ctx.reply().ok();
    Ok(())
}

fn exec(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let Some(transaction) = ctx.session.transaction.take() else {
        return Err(error::EXEC_WITHOUT_MULTI);
    };
    let dirty = ctx.session.watching > 0 && ctx.inst.keyspace.is_watch_dirty(ctx.session.id, ctx.inst.now_ms);
    ctx.inst.end_transaction(ctx.session);
    if transaction.is_failed() {
        return Err(error::EXEC_ABORT);
    }
    if dirty {
        ctx.reply().null_array();
        return Ok(());
    }
    let (replied, sent) = (ctx.reply().out.mark(), ctx.inst.outbox.mark());
    ctx.reply().array(transaction.len());
    let began_ns = ctx.inst.stamp_ns;
    ctx.inst.runs_transaction = true;
    let is_whole = ctx.inst.config.limits.transaction_rollback;
    if is_whole {
        ctx.inst.keyspace.begin_undo();
    }
    let mut failed = None;
    for queued in transaction.queue() {
        let command = ctx.inst.table.by_id(queued.command);
        let request = Request { command, args: queued.args.view(), first_key_hash: None };
        if is_whole && command.flags.has(Flags::WRITE.or(Flags::MAY_REPLICATE)) {
            ctx.inst.before_write(command, request.args, ctx.session.db as usize);
        }
        let errors = ctx.inst.stats.errors.total();
        call::execute(ctx.inst, ctx.session, ctx.host, &request, Origin::Exec);
        if is_whole && ctx.inst.stats.errors.total() > errors {
            failed = Some(command);
            break;
        }
    }
    ctx.inst.runs_transaction = false;
    ctx.inst.stats.turns.nested_ns += ctx.inst.stamp_ns.saturating_sub(began_ns);
    let Some(failed) = failed else {
        if is_whole {
            ctx.inst.keyspace.keep_changes();
        }
        return Ok(());
    };
    ctx.inst.keyspace.take_changes_back();
    ctx.inst.outbox.truncate_to(&sent);
    ctx.reply().out.truncate_to(replied);
    let name = &failed.full_name;
    Err(CommandError::text(format!("EXECABORT Transaction taken back because '{name}' failed")))
}

fn discard(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.session.transaction.is_none() {
        return Err(error::DISCARD_WITHOUT_MULTI);
    }
    ctx.inst.end_transaction(ctx.session);
    ctx.reply().ok();
    Ok(())
}

fn watch(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if ctx.session.transaction.is_some() {
        return Err(error::WATCH_IN_MULTI);
    }
    let (id, now_ms) = (ctx.session.id, ctx.inst.now_ms);
    if ctx.inst.keyspace.watch().is_dirty(id) {
        // It has lost already.
        ctx.reply().ok();
        return Ok(());
    }
    for key in args.iter().skip(1) {
        ctx.inst.keyspace.watch_key(ctx.session.db as usize, key, id, now_ms);
    }
    ctx.session.watching = ctx.inst.keyspace.watch().watched_by(id) as u32;
    ctx.reply().ok();
    Ok(())
}

fn unwatch(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.inst.unwatch(ctx.session);
    ctx.reply().ok();
    Ok(())
}
