//! DEBUG subcommands about the process: switches of the running server, and its violent end.

use std::time::Duration;

use crate::db::Target;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::instance::Alert;
use crate::observe::log::Level;
use crate::resp::Args;
use crate::sys::fault;
use crate::util::num;

/// The longest sleep: a day is longer than any test.
const SLEEP_SECONDS_MAX: f64 = 86_400.0;

/// A switch: anything but 0 is on, as C has it; what is no number at all is refused.
fn on(text: &[u8]) -> Result<bool, CommandError> {
    num::parse_i64(text).map(|n| n != 0).ok_or(error::NOT_INTEGER)
}

fn done(ctx: &mut AdminCtx<'_>) -> CommandResult {
    ctx.reply().ok();
    Ok(())
}

pub(super) fn sleep(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let seconds = num::parse_f64(&args[2]).ok_or(error::NOT_FLOAT)?;
    ctx.host.sleep(Duration::from_secs_f64(seconds.clamp(0.0, SLEEP_SECONDS_MAX)));
    done(ctx)
}

pub(super) fn aof_flush_sleep(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let micros = num::parse_i64(&args[2]).ok_or(error::NOT_INTEGER)?;
    ctx.inst.aof.delay_writes(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
    done(ctx)
}

pub(super) fn log(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let text = String::from_utf8_lossy(&args[2]);
    ctx.inst.log.log(Level::Warning, &format!("DEBUG LOG: {text}"), &[]);
    done(ctx)
}

pub(super) fn active_expire(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.inst.keyspace.options_mut().active_expire = on(&args[2])?;
    done(ctx)
}

pub(super) fn skip_checksums(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.inst.keyspace.options_mut().payload_checksums = !on(&args[2])?;
    done(ctx)
}

pub(super) fn assert_sizes(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.inst.alert.put(Alert::SIZES_ASSERTED, on(&args[2])?);
    done(ctx)
}

/// SET-DISABLE-DENY-SCRIPTS
pub(super) fn allow_all_in_scripts(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.inst.debug.scripts_may_call_anything = on(&args[2])?;
    ctx.reply().ok();
    Ok(())
}

pub(super) fn pause_cron(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    ctx.inst.debug.cron_paused = on(&args[2])?;
    done(ctx)
}

/// Reply buffers have no peak to remember, so PEAK-RESET-TIME has nothing to set.
pub(super) fn replybuffer(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if args[2].eq_ignore_ascii_case(b"peak-reset-time") {
        let text = "ERR DEBUG REPLYBUFFER PEAK-RESET-TIME is not supported: a client has a reply buffer only while \
                    it is owed something";
        return Err(CommandError::fixed(text));
    }
    if !args[2].eq_ignore_ascii_case(b"resizing") {
        return Err(super::unknown(&args[1]));
    }
    ctx.inst.debug.buffers_kept = !on(&args[3])?;
    done(ctx)
}

pub(super) fn change_repl_id(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    ctx.inst.change_replication_id();
    done(ctx)
}

pub(super) fn replicate(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let (target, request) = match &args[2] {
        word if word.eq_ignore_ascii_case(b"all") => (Target::All, args.skip(3)),
        word if word.eq_ignore_ascii_case(b"repl") => (Target::Replicas, args.skip(3)),
        word if word.eq_ignore_ascii_case(b"aof") => (Target::File, args.skip(3)),
        // As Redis 8.0 has it.
        _ => (Target::Replicas, args.skip(2)),
    };
    if request.is_empty() {
        return Err(error::SYNTAX);
    }
    ctx.inst.keyspace.propagate_always(target, ctx.session.db as usize, request.iter());
    done(ctx)
}

pub(super) fn config_rewrite(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    match ctx.inst.sources.rewrite_all(&ctx.inst.config) {
        Ok(()) => done(ctx),
        Err(error) => {
            let why = error.to_string();
            let why = why.strip_prefix("ERR ").unwrap_or(&why);
            Err(CommandError::text(format!("ERR CONFIG-REWRITE-FORCE-ALL failed: {why}")))
        }
    }
}

pub(super) fn panic(_ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    panic!("called by user request (DEBUG PANIC)")
}

pub(super) fn assert(_ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    assert!(args.is_empty(), "called by user request (DEBUG ASSERT)");
    Ok(())
}

/// Does not return: the process ends by the signal.
pub(super) fn segfault(_ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    fault::provoke();
    Err(CommandError::fixed("ERR memory that is not there could be written to"))
}
