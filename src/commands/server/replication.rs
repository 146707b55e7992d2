//! SYNC, PSYNC and REPLCONF: how a client becomes a replica, and what replicas say.

use super::replicaof::asker;
use crate::client::Attention;
use crate::exec::args::int;
use crate::exec::call::Origin;
use crate::exec::ctx::AdminCtx;
use crate::exec::error::{self, CommandError, CommandResult};
use crate::exec::spec::{Arity, CommandSpec, Flags, Group, Handler};
use crate::observe::log::Level;
use crate::resp::Args;
use crate::util::num;
use crate::util::quote::split_args;

pub(super) static SYNC: CommandSpec = CommandSpec {
    name: "sync",
    summary: "Asks for a copy of the data set and all writes that follow. For replicas that know no PSYNC.",
    group: Group::Server,
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING).or(Flags::NO_MULTI),
    handler: Handler::Admin(sync),
    ..CommandSpec::BASE
};

pub(super) static PSYNC: CommandSpec = CommandSpec {
    name: "psync",
    summary: "Asks for the writes after an offset, or for a copy of the data set and all writes that follow.",
    since: "2.8.0",
    group: Group::Server,
    arity: Arity::AtLeast(3),
    flags: Flags::ADMIN.or(Flags::NOSCRIPT).or(Flags::NO_ASYNC_LOADING).or(Flags::NO_MULTI),
    handler: Handler::Admin(psync),
    ..CommandSpec::BASE
};

pub(super) static REPLCONF: CommandSpec = CommandSpec {
    name: "replconf",
    summary: "What a replica says of itself and of how far it is.",
    since: "3.0.0",
    group: Group::Server,
    arity: Arity::AtLeast(1),
    flags: Flags::ADMIN
        .or(Flags::NOSCRIPT)
        .or(Flags::LOADING)
        .or(Flags::STALE)
        .or(Flags::ALLOW_BUSY)
        .or(Flags::FROM_PRIMARY),
    handler: Handler::Admin(replconf),
    ..CommandSpec::BASE
};

fn sync(ctx: &mut AdminCtx<'_>, _args: Args<'_>) -> CommandResult {
    if is_served(ctx) {
        return Ok(());
    }
    may_follow(ctx)?;
    ctx.inst.copy_to_replica(ctx.session, true);
    Ok(())
}

fn psync(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if is_served(ctx) {
        return Ok(());
    }
    if args.get(3).is_some_and(|word| word.eq_ignore_ascii_case(b"failover")) {
        let asker = asker(ctx);
        ctx.inst.take_over(&args[1], &asker, ctx.host)?;
    }
    may_follow(ctx)?;
    let offset = int(&args[2]).inspect_err(|_| {
        let text = format!("Replica {} asks for synchronization but with a wrong offset", asker(ctx));
        ctx.inst.log.log(Level::Warning, &text, &[]);
    })?;
    if let Ok(offset) = u64::try_from(offset)
        && let Some(answer) = ctx.inst.resume_replica(ctx.session, &args[1], offset)
    {
        ctx.reply().simple(&answer);
        return Ok(());
    }
    if let Some(answer) = ctx.inst.offer_channel(ctx.session) {
        ctx.reply().simple(&answer);
        return Ok(());
    }
    // The answer comes when the copy is begun.
    ctx.inst.copy_to_replica(ctx.session, false);
    Ok(())
}

/// One that follows already, in its way.
fn is_served(ctx: &AdminCtx<'_>) -> bool {
    ctx.session.attention.has(Attention::REPLICA.or(Attention::MONITOR))
}

/// Whether a client can become a replica here and now.
fn may_follow(ctx: &AdminCtx<'_>) -> CommandResult {
    if ctx.inst.fails_over() {
        return Err(CommandError::fixed("NOMASTERLINK Can't SYNC while failing over"));
    }
    // A replica has something to pass on only while it is one.
    if ctx.inst.replication.upstream.as_ref().is_some_and(|upstream| !upstream.is_up()) {
        return Err(CommandError::fixed("NOMASTERLINK Can't SYNC while not connected with my master"));
    }
    if !ctx.session.reply.out.is_empty() || ctx.session.held_bytes() > 0 {
        return Err(CommandError::fixed("ERR SYNC and PSYNC are invalid with pending output"));
    }
    let facts = ctx.session.replica_facts();
    // A copy without some of its parts is sent as it is written.
    if facts.without_keys && !facts.eof {
        return Err(CommandError::fixed("ERR Filtered replica requires EOF capability"));
    }
    Ok(())
}

fn replconf(ctx: &mut AdminCtx<'_>, args: Args<'_>) -> CommandResult {
    if args.len().is_multiple_of(2) {
        return Err(error::SYNTAX);
    }
    for at in (1..args.len()).step_by(2) {
        let (option, value) = (&args[at], &args[at + 1]);
        let is = |name: &str| option.eq_ignore_ascii_case(name.as_bytes());
        if is("ack") {
            // Never answered. One that is no replica has nothing to say here.
            let offset = num::parse_i64(value).and_then(|offset| u64::try_from(offset).ok());
            let names_sync = args.get(at + 2).is_some_and(|word| word.eq_ignore_ascii_case(b"fack"));
            let synced = args.get(at + 3).filter(|_| names_sync).and_then(num::parse_i64);
            let synced = synced.and_then(|offset| u64::try_from(offset).ok());
            if let (Some(offset), Some(conn)) = (offset, ctx.session.conn) {
                ctx.inst.acknowledge(conn, offset, synced, ctx.host);
            }
            return Ok(());
        }
        if is("getack") {
            // It is for replicas to answer, and for their primary to ask.
            if matches!(ctx.origin, Origin::Primary) {
                ctx.inst.answer_primary(ctx.host);
            }
            return Ok(());
        }
        let facts = ctx.session.replica_facts_mut();
        if is("listening-port") {
            // Nothing is done with it but to show it.
            facts.port = int(value)? as i32;
        } else if is("ip-address") {
            if value.len() > NAME_BYTES_MAX {
                return Err(CommandError::text(format!(
                    "ERR REPLCONF ip-address provided by replica instance is too long: {} bytes",
                    value.len()
                )));
            }
            facts.ip = value.to_vec();
        } else if is("capa") {
            // What it can do that is not known here does not matter.
            facts.psync2 |= value.eq_ignore_ascii_case(b"psync2");
            facts.eof |= value.eq_ignore_ascii_case(b"eof");
            facts.rdb_channel_repl |= value.eq_ignore_ascii_case(b"rdb-channel-repl");
            facts.dual_channel |= value.eq_ignore_ascii_case(b"dual-channel");
        } else if is("rdb-only") {
            facts.rdb_only = zero_or_one(value)?;
        } else if is("rdb-filter-only") {
            facts.without_keys = true;
            let words = split_args(value).ok_or(CommandError::fixed("ERR Missing rdb-filter-only values"))?;
            if let Some(word) = words.iter().find(|word| !word.eq_ignore_ascii_case(b"functions")) {
                let text = String::from_utf8_lossy(word);
                return Err(CommandError::text(format!("ERR Unsupported rdb-filter-only option: {text}")));
            }
        } else if is("version") {
            facts.rdb_version = readable_by(value);
        } else if is("rdb-channel") {
            facts.is_copy_channel = zero_or_one(value)?;
        } else if is("main-ch-client-id") {
            let id = int(value)?;
            let known = u64::try_from(id).ok().filter(|id| ctx.inst.awaits_channel(*id));
            if known.is_none() {
                return Err(CommandError::text(format!("ERR Unrecognized RDB client id: {id}")));
            }
            ctx.session.replica_facts_mut().main_client = known;
        } else if is("set-rdb-client-id") {
            facts.copy_client = u64::try_from(int(value)?).ok();
        } else {
            let text = String::from_utf8_lossy(error::until_nul(option)).into_owned();
            return Err(CommandError::text(format!("ERR Unrecognized REPLCONF option: {text}")));
        }
    }
    ctx.reply().ok();
    Ok(())
}

/// The newest version of the format that a server of this version reads: only Valkey says which it is. None: all that is
/// written here.
fn readable_by(version: &[u8]) -> Option<u32> {
    let major = version.split(|&byte| byte == b'.').next().and_then(num::parse_i64);
    match major {
        Some(..=7) => Some(10),
        Some(8) => Some(11),
        _ => None,
    }
}

fn zero_or_one(value: &[u8]) -> Result<bool, CommandError> {
    match int(value)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(CommandError::fixed("ERR value is out of range, value must between 0 and 1")),
    }
}

/// The longest name of a host.
const NAME_BYTES_MAX: usize = 255;
