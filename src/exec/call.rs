//! One request, from its arguments to its reply: lookup, gates, call, statistics.
//!
//! # The short way
//!
//! Nearly every request meets an instance without an alert and a client without anything special about it. Both are
//! bit sets, so this is one branch; then come the handler and its statistics. Everything else ([`gated`]) is cold.
//!
//! # Time
//!
//! A command's duration is the distance between two readings of the monotonic clock, and the reading after one
//! command is the one before the next: one reading a command.

use crate::client::{Attention, Client};
use crate::exec::ctx::{AdminCtx, DataCtx, Host};
use crate::exec::error::{self, CommandError, CommandResult, until_nul};
use crate::exec::gate::{self, Verdict};
use crate::exec::instance::{Alert, CloseReason, Instance};
use crate::exec::monitor;
use crate::exec::spec::Handler;
use crate::exec::table::{Command, Lookup};
use crate::exec::waiting;
use crate::resp::Args;

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ran {
    /// It was executed, queued or refused; what it has to be told is in its reply.
    Done,
    /// It may not run now: keep it in the query buffer.
    Postponed,
}

/// Executes one request of `client`.
#[inline]
pub fn request(
    inst: &mut Instance,
    client: &mut Client,
    host: &mut dyn Host,
    found: Lookup<'static>,
    args: Args<'_>,
    first_key_hash: Option<u64>,
) -> Ran {
    if let Lookup::Found(command) = found
        && (inst.alert.is_empty() || inst.is_within_memory())
        && client.attention.is_empty()
        && command.arity.accepts(args.len())
    {
        call(inst, client, host, command, args, first_key_hash);
        if inst.keyspace.wanted().has_ready() {
            waiting::serve(inst, host);
        }
        return Ran::Done;
    }
    let ran = gated(inst, client, host, found, args, first_key_hash);
    if inst.keyspace.wanted().has_ready() {
        waiting::serve(inst, host);
    }
    ran
}

/// The long way: something about the request, the client or the instance needs a look.
#[cold]
#[inline(never)]
fn gated(
    inst: &mut Instance,
    client: &mut Client,
    host: &mut dyn Host,
    found: Lookup<'static>,
    args: Args<'_>,
    first_key_hash: Option<u64>,
) -> Ran {
    if client.attention.has(Attention::AWAITS_SHUTDOWN) {
        return Ran::Postponed;
    }
    let skip = client.attention.has(Attention::REPLY_SKIP_NEXT);
    client.attention.put(Attention::REPLY_SKIP, skip);
    client.attention.put(Attention::REPLY_SKIP_NEXT, false);
    let before = client.reply.out.mark();
    match found {
        Lookup::Unknown if is_http(&args[0]) => {
            inst.log.warning("A web browser is made to send requests here; its connection is closed", &[]);
            client.attention.put(Attention::CLOSE_NOW, true);
            inst.close_later(client.conn, CloseReason::Killed);
        }
        Lookup::Unknown => refuse(inst, client, None, unknown_command(args)),
        Lookup::UnknownSubcommand(container) => {
            refuse(inst, client, None, error::unknown_subcommand(container.spec.name, &args[1]));
        }
        Lookup::Found(command) => {
            let verdict = if command.arity.accepts(args.len()) {
                gate::check(inst, client, host, command, args)
            } else {
                Verdict::Refuse(error::wrong_arity(&command.full_name))
            };
            match verdict {
                Verdict::Postpone => {
                    client.attention.put(Attention::REPLY_SKIP_NEXT, skip);
                    return Ran::Postponed;
                }
                Verdict::Refuse(error) if command.spec.name == "exec" => exec_refused(inst, client, command, &error),
                Verdict::Refuse(error) => refuse(inst, client, Some(command), error),
                Verdict::Queue => {
                    if let Some(transaction) = &mut client.transaction {
                        transaction.push(command.id, args);
                    }
                    client.reply.simple("QUEUED");
                }
                Verdict::Run => call(inst, client, host, command, args, first_key_hash),
            }
        }
    }
    // Asked only now: CLIENT REPLY ON is answered even when it was to be skipped.
    if client.attention.has(Attention::REPLY_OFF.or(Attention::REPLY_SKIP)) {
        client.reply.out.truncate_to(before);
    }
    // One that waits now is told, or not told, when it is served.
    if !client.attention.has(Attention::BLOCKED) {
        client.attention.put(Attention::REPLY_SKIP, false);
    }
    Ran::Done
}

/// Runs a command that may run, and keeps its statistics. EXEC runs its queue through here too.
#[inline]
pub fn call(
    inst: &mut Instance,
    client: &mut Client,
    host: &mut dyn Host,
    command: &'static Command,
    args: Args<'_>,
    first_key_hash: Option<u64>,
) {
    let began_ns = inst.stamp_ns;
    // Before the call, because CLIENT INFO tells of itself; after it again, because EXEC calls others.
    client.last_command = command.id;
    // Monitors are shown the arguments when the command has run; the slow log wants no more than their first bytes.
    if !inst.alert.has(Alert::MONITORED) {
        args.release();
    }
    let result = run(inst, client, host, command, args, first_key_hash);
    if inst.waiting.is_asked() {
        return waiting::begin(inst, client, host, command, args);
    }
    let failed = result.is_err();
    if let Err(error) = result {
        client.reply.error_bytes(error.as_bytes());
        inst.errors.count(error.code());
    }
    let ended_ns = host.now_ns();
    inst.stamp_ns = ended_ns;
    client.last_command = command.id;
    if inst.alert.has(Alert::MONITORED) {
        monitor::feed(inst, client, command, args, host.wall_us());
    }
    inst.account(client, command, args, ended_ns.saturating_sub(began_ns), failed);
}

#[inline]
pub(super) fn run(
    inst: &mut Instance,
    client: &mut Client,
    host: &mut dyn Host,
    command: &'static Command,
    args: Args<'_>,
    first_key_hash: Option<u64>,
) -> CommandResult {
    match command.handler {
        Handler::Data(handler) => {
            let mut db = inst.keyspace.db(client.db as usize, inst.now_ms);
            if client.attention.has(Attention::NO_TOUCH) && command.spec.name != "touch" {
                db.set_touch(false);
            }
            let mut ctx = DataCtx {
                db,
                reply: &mut client.reply,
                config: &inst.config,
                log: &inst.log,
                command,
                first_key_hash,
                waiting: &mut inst.waiting,
                may_wait: !inst.in_exec,
            };
            handler(&mut ctx, args)
        }
        Handler::Admin(handler) => handler(&mut AdminCtx { inst, client, host, command }, args),
        Handler::Container => Err(error::wrong_arity(&command.full_name)),
    }
}

/// Tells the client that its request did not run, which also spoils a transaction it was meant for.
fn refuse(inst: &mut Instance, client: &mut Client, command: Option<&Command>, error: CommandError) {
    if let Some(transaction) = &mut client.transaction {
        transaction.fail();
    }
    if let Some(command) = command {
        inst.metrics.commands[usize::from(command.id)].rejected.inc();
    }
    client.reply.error_bytes(error.as_bytes());
    inst.errors.count(error.code());
}

/// EXEC that may not run ends the transaction all the same, and says why.
fn exec_refused(inst: &mut Instance, client: &mut Client, command: &Command, error: &CommandError) {
    inst.end_transaction(client);
    let text = error.as_bytes();
    let text = text.strip_prefix(b"ERR ").unwrap_or(text);
    let told = CommandError::bytes([b"EXECABORT Transaction discarded because of: ", text].concat());
    refuse(inst, client, Some(command), told);
}

/// The first words of the lines of an HTTP request. A page can make a browser post to any port of its own machine, with
/// commands as the body; such a connection ends before they are reached.
fn is_http(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:")
}

/// The text for a name that is no command: it repeats the name and the first arguments, shortened.
fn unknown_command(args: Args<'_>) -> CommandError {
    let shorten = |bytes: &'_ [u8], max: usize| until_nul(&bytes[..bytes.len().min(max)]).to_vec();
    let mut shown = Vec::new();
    for i in 1..args.len() {
        if shown.len() >= 128 {
            break;
        }
        let arg = shorten(&args.start_of(i, 128), 128 - shown.len());
        shown.extend([b"'", &arg[..], b"' "].concat());
    }
    let name = shorten(&args[0], 128);
    CommandError::bytes([b"ERR unknown command '", &name[..], b"', with args beginning with: ", &shown].concat())
}
