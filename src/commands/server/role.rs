//! ROLE: which part this instance plays in replication.

use crate::exec::ctx::AdminCtx;
use crate::exec::error::CommandResult;
use crate::exec::spec::{Arity, Categories, CommandSpec, Flags, Group, Handler};
use crate::resp::Args;

pub(super) static ROLE: CommandSpec = CommandSpec {
    name: "role",
    summary: "Returns the part played in replication.",
    since: "2.8.12",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::NOSCRIPT.or(Flags::LOADING).or(Flags::STALE).or(Flags::FAST),
    categories: Categories::ADMIN.or(Categories::DANGEROUS),
    handler: Handler::Admin(role),
    ..CommandSpec::BASE
};

/// A primary without replicas, whose history has no offset because nobody reads it.
fn role(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let reply = ctx.reply();
    reply.array(3);
    reply.bulk(b"master");
    reply.int(0);
    reply.array(0);
    Ok(())
}
