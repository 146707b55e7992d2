//! CLIENT WRITEACKS: how many replicas must have what this connection writes before it is told so.

use crate::client::Demand;
use crate::exec::args::timeout_millis;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;
use crate::util::num;

/// As many as `write-acks` may ask for.
const ACKS_MAX: i64 = 1000;

pub(super) static CLIENT_WRITEACKS: CommandSpec = CommandSpec {
    name: "writeacks",
    summary: "Has replies to writes of this connection wait until so many replicas have them.",
    since: "8.10.0",
    group: Group::Connection,
    arity: Arity::AtLeast(3),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE),
    args: &[
        ArgSpec::integer("numreplicas"),
        ArgSpec::word("fsync", "FSYNC").optional(),
        ArgSpec::integer("milliseconds").token("TIMEOUT").optional(),
    ],
    handler: Handler::Admin(client_writeacks),
    ..CommandSpec::BASE
};

fn client_writeacks(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let acks = num::parse_i64(&args[2]).filter(|acks| (0..=ACKS_MAX).contains(acks));
    let acks = acks.and_then(|acks| u32::try_from(acks).ok());
    let acks = acks.ok_or(CommandError::fixed("ERR value is out of range, must be between 0 and 1000"))?;
    let mut demand = Demand { acks, fsync: false, timeout_ms: ctx.inst.config.replication.write_acks_timeout };
    let mut at = 3;
    while let Some(option) = args.get(at) {
        if option.eq_ignore_ascii_case(b"fsync") {
            demand.fsync = true;
        } else if let Some(time) = args.get(at + 1).filter(|_| option.eq_ignore_ascii_case(b"timeout")) {
            let timeout = timeout_millis(time, ctx.inst.now_ms)?;
            demand.timeout_ms = timeout.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            at += 1;
        } else {
            return Err(error::SYNTAX);
        }
        at += 1;
    }
    ctx.inst.set_demand(ctx.session, Some(demand));
    ctx.reply().ok();
    Ok(())
}
