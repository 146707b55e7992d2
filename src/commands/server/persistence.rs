//! SAVE, BGSAVE, BGREWRITEAOF, LASTSAVE, SHUTDOWN: the data set to disk, and the end.
//!
//! What happens is in `exec/persistence.rs` and `server/shutdown.rs`; here are the words. BGSAVE inside a transaction
//! waits until the transaction is over, because a snapshot in the middle of it would be of a state that nobody may
//! see.

use crate::client::Attention;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::instance::{Alert, Ask, ShutdownOptions};
use crate::exec::spec::{ArgSpec, Arity, Categories, CommandSpec, Flags, Group, Handler};
use crate::persist::StartError;
use crate::resp::Args;

pub(super) static SAVE: CommandSpec = CommandSpec {
    name: "save",
    summary: "Saves the data set to disk before anything else happens.",
    complexity: "O(N), N the keys",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING).or(Flags::NO_MULTI),
    handler: Handler::Admin(save),
    ..CommandSpec::BASE
};

pub(super) static BGSAVE: CommandSpec = CommandSpec {
    name: "bgsave",
    summary: "Saves the data set to disk from a snapshot, in the background.",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING),
    args: &[ArgSpec::word("schedule", "SCHEDULE").optional().since("3.2.2")],
    handler: Handler::Admin(bgsave),
    ..CommandSpec::BASE
};

pub(super) static BGREWRITEAOF: CommandSpec = CommandSpec {
    name: "bgrewriteaof",
    summary: "Writes the append-only file anew from a snapshot, in the background.",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING),
    handler: Handler::Admin(bgrewriteaof),
    ..CommandSpec::BASE
};

pub(super) static LASTSAVE: CommandSpec = CommandSpec {
    name: "lastsave",
    summary: "Returns the unix time of the last successful save.",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::LOADING.or(Flags::STALE).or(Flags::FAST),
    categories: Categories::ADMIN.or(Categories::DANGEROUS),
    tips: &["nondeterministic_output"],
    handler: Handler::Admin(lastsave),
    ..CommandSpec::BASE
};

pub(super) static SHUTDOWN: CommandSpec = CommandSpec {
    name: "shutdown",
    summary: "Saves where asked for, and stops the server.",
    complexity: "O(N) when saving, N the keys",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::NO_MULTI)
        .or(Flags::ALLOW_BUSY),
    args: &[
        ArgSpec::one_of("save-selector", &[ArgSpec::word("nosave", "NOSAVE"), ArgSpec::word("save", "SAVE")])
            .optional(),
        ArgSpec::word("now", "NOW").optional().since("7.0.0"),
        ArgSpec::word("force", "FORCE").optional().since("7.0.0"),
        ArgSpec::word("abort", "ABORT").optional().since("7.0.0"),
    ],
    handler: Handler::Admin(shutdown),
    ..CommandSpec::BASE
};

const IN_PROGRESS: CommandError = CommandError::fixed("ERR Background save already in progress");
const REWRITES: CommandError = CommandError::fixed(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE \
     whenever possible.",
);
/// What went wrong is in the log.
const FAILED: CommandError = CommandError::fixed("ERR");
const NO_SHUTDOWN: CommandError = CommandError::fixed("ERR No shutdown in progress.");

fn save(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.inst.saver.is_running() {
        return Err(IN_PROGRESS);
    }
    let now_ms = ctx.inst.now_ms;
    ctx.inst.save_now(now_ms).map_err(|_| FAILED)?;
    ctx.reply().ok();
    Ok(())
}

fn bgsave(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let may_wait = match (args.len(), args.get(1)) {
        (1, _) => false,
        (2, Some(word)) if word.eq_ignore_ascii_case(b"schedule") => true,
        _ => return Err(error::SYNTAX),
    };
    if ctx.inst.saver.is_running() {
        return Err(IN_PROGRESS);
    }
    // Both could go on at once; but whoever asks expects what Redis answers.
    let rewrites = ctx.inst.aof.is_rewriting();
    if rewrites && !may_wait && !ctx.origin.is_exec() {
        return Err(REWRITES);
    }
    if rewrites || ctx.origin.is_exec() {
        ctx.inst.saver.schedule();
        ctx.reply().simple("Background saving scheduled");
        return Ok(());
    }
    ctx.inst.start_save(ctx.host).map_err(|error| match error {
        StartError::AlreadyRunning => IN_PROGRESS,
        StartError::NoThread(_) => FAILED,
    })?;
    ctx.reply().simple("Background saving started");
    Ok(())
}

fn bgrewriteaof(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    if ctx.inst.aof.is_rewriting() {
        return Err(CommandError::fixed("ERR Background append only file rewriting already in progress"));
    }
    // A backup goes on from its base in one increment, so nothing is rewritten until it is over.
    if ctx.inst.saver.is_running() || ctx.inst.aof.backup.is_running() || ctx.origin.is_exec() {
        ctx.inst.aof.schedule_rewrite();
        ctx.reply().simple("Background append only file rewriting scheduled");
        return Ok(());
    }
    ctx.inst.start_rewrite(ctx.host).map_err(|_| {
        CommandError::fixed(
            "ERR Can't execute an AOF background rewriting. Please check the server logs for more information.",
        )
    })?;
    ctx.reply().simple("Background append only file rewriting started");
    Ok(())
}

fn lastsave(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let seconds = ctx.inst.saver.last_save_ms() / 1000;
    ctx.reply().int(seconds);
    Ok(())
}

/// Says nothing when it works: the connection closes with the process.
fn shutdown(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let (options, abort) = shutdown_options(args)?;
    if abort {
        if ctx.inst.shutdown_deadline_ms == 0 {
            return Err(NO_SHUTDOWN);
        }
        ctx.inst.asks.push(Ask::AbortShutdown);
        ctx.reply().ok();
        return Ok(());
    }
    if ctx.inst.alert.has(Alert::BUSY_SCRIPT) && !options.nosave {
        return Err(ctx.inst.busy_error());
    }
    ctx.session.attention.put(Attention::AWAITS_SHUTDOWN, true);
    ctx.inst.asks.push(Ask::Shutdown(options));
    Ok(())
}

/// The options, and whether ABORT was said.
fn shutdown_options(args: Args<'_>) -> Result<(ShutdownOptions, bool), CommandError> {
    let mut options = ShutdownOptions::default();
    let mut abort = false;
    for word in args.iter().skip(1) {
        let option = match word.to_ascii_lowercase().as_slice() {
            b"save" => &mut options.save,
            b"nosave" => &mut options.nosave,
            b"now" => &mut options.now,
            b"force" => &mut options.force,
            b"abort" => &mut abort,
            _ => return Err(error::SYNTAX),
        };
        *option = true;
    }
    let others = options != ShutdownOptions::default();
    if (abort && others) || (options.save && options.nosave) {
        return Err(error::SYNTAX);
    }
    Ok((options, abort))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgs;

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        let parse = |line: &str| shutdown_options(OwnedArgs::from_parts(line.split(' ')).view());
        for bad in ["shutdown save nosave", "shutdown abort now", "shutdown abort save", "shutdown later"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        let (options, abort) = parse("shutdown NoSave now FORCE").expect("fine");
        assert!(options.nosave && options.now && options.force && !options.save && !abort);
        assert!(parse("shutdown abort abort").expect("as Redis").1);
    }
}
