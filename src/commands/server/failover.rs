//! FAILOVER: a replica takes over.

use crate::exec::args::int;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::link::Address;
use crate::exec::replication::FailoverPlan;
use crate::exec::spec::{ArgSpec, Arity, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;

pub(super) static FAILOVER: CommandSpec = CommandSpec {
    name: "failover",
    summary: "Hands the part of the primary over to a replica.",
    complexity: "O(1)",
    since: "6.2.0",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::STALE),
    args: &[
        ArgSpec::block(
            "target",
            &[ArgSpec::string("host"), ArgSpec::integer("port"), ArgSpec::word("force", "FORCE").optional()],
        )
        .token("TO")
        .optional(),
        ArgSpec::word("abort", "ABORT").optional(),
        ArgSpec::integer("milliseconds").token("TIMEOUT").optional(),
    ],
    handler: Handler::Admin(failover),
    ..CommandSpec::BASE
};

fn failover(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    let is = |at: usize, word: &str| args.get(at).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    if is(1, "abort") && args.len() == 2 {
        ctx.inst.abort_failover(ctx.host)?;
        ctx.reply().ok();
        return Ok(());
    }
    let mut plan = FailoverPlan::default();
    let mut at = 1;
    while at < args.len() {
        if is(at, "timeout") && at + 1 < args.len() && plan.timeout_ms.is_none() {
            let ms = int(&args[at + 1])?;
            if ms <= 0 {
                return Err(CommandError::fixed("ERR FAILOVER timeout must be greater than 0"));
            }
            plan.timeout_ms = Some(ms);
            at += 2;
        } else if is(at, "to") && at + 2 < args.len() && plan.target.is_none() {
            let port = u16::try_from(int(&args[at + 2])?).map_err(|_| error::NOT_INTEGER)?;
            plan.target = Some(Address { host: args[at + 1].into(), port });
            at += 3;
        } else if is(at, "force") && !plan.force {
            plan.force = true;
            at += 1;
        } else {
            return Err(error::SYNTAX);
        }
    }
    ctx.inst.fail_over(plan)?;
    ctx.reply().ok();
    Ok(())
}
