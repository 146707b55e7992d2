//! ROLE: which part this instance plays in replication.

use crate::exec::ctx::AdminCtx;
use crate::exec::error::CommandResult;
use crate::exec::replication::{Replica, State};
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

/// A primary: its offset, and of each replica the address, the port and the offset that it has. A replica: its primary, how
/// the line to it is, and the offset.
fn role(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    let AdminCtx { inst, session, .. } = ctx;
    if let Some(upstream) = &inst.replication.upstream {
        let offset = if upstream.is_up() { inst.replication.feed.end() as i64 } else { -1 };
        let reply = &mut session.reply;
        reply.array(5);
        reply.bulk(b"slave");
        reply.bulk(&upstream.primary.host);
        reply.int(upstream.primary.port.into());
        reply.bulk(upstream.state_name().as_bytes());
        reply.int(offset);
        return Ok(());
    }
    let follows = |replica: &&Replica| matches!(replica.state, State::Follows { .. });
    let replicas: Vec<&Replica> = inst.replication.replicas.iter().filter(follows).collect();
    let reply = &mut session.reply;
    reply.array(3);
    reply.bulk(b"master");
    reply.int(inst.replication.feed.end() as i64);
    reply.array(replicas.len());
    for replica in replicas {
        reply.array(3);
        reply.bulk(&replica.address(&inst.clients));
        reply.bulk(replica.facts.port.to_string().as_bytes());
        reply.bulk(replica.acknowledged.to_string().as_bytes());
    }
    Ok(())
}
