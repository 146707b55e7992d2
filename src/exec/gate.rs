//! The gates: what a request must pass before it runs.
//!
//! Order matters, and is Redis's: a client learns of the first thing that is wrong. Arity is checked before (the
//! short way checks it too); a request that comes here has a reason to be looked at, which is either the client's
//! ([`Attention`]) or the instance's ([`Alert`]).

use crate::client::{Attention, Session};
use crate::exec::call::{Origin, Request};
use crate::exec::ctx::Host;
use crate::exec::debug;
use crate::exec::error::{self, CommandError};
use crate::exec::eviction::{Demand, Room};
use crate::exec::instance::{Alert, Instance};
use crate::exec::replication::quorum;
use crate::exec::spec::Flags;
use crate::exec::table::Command;
use crate::resp::Args;

/// What the gates decided.
pub enum Verdict {
    /// Run it.
    Run,
    /// Queue it for EXEC.
    Queue,
    /// Leave it in the query buffer until CLIENT PAUSE is over.
    Postpone,
    /// Refuse it.
    Refuse(CommandError),
}

/// Both of them are there where one is.
const ACKS_AND_LEASE: Alert = Alert::WRITE_ACKS.or(Alert::LEASE);

/// Whether the instance's alerts are a reason to ask the gates about a request of such a command. Those that may last for
/// as long as the server runs are none for most.
#[inline]
pub(super) fn concerns(inst: &Instance, flags: Flags) -> bool {
    match inst.alert {
        Alert::LIMITED_MEMORY => !inst.is_within_memory(),
        Alert::READ_ONLY => flags.has(Flags::WRITE.or(Flags::RUNS_SCRIPT)),
        Alert::WRITE_ACKS | Alert::LEASE | ACKS_AND_LEASE => {
            flags.has(Flags::WRITE.or(Flags::MAY_REPLICATE).or(Flags::RUNS_SCRIPT))
        }
        _ => true,
    }
}

/// Passes a request through all gates. They get the whole request, because permissions and redirection depend on its
/// arguments, and its origin, because not every gate concerns everybody.
pub fn check(
    inst: &mut Instance,
    session: &Session,
    host: &dyn Host,
    request: &Request<'_>,
    origin: Origin<'_>,
) -> Verdict {
    let command = request.command;
    let mut flags = inst.flags_of(command, request.args);
    let mut common = flags;
    // What a transaction would run counts when it is about to run.
    if flags.has(Flags::RUNS_QUEUE)
        && let Some(transaction) = &session.transaction
    {
        for queued in transaction.queue() {
            let queued = inst.flags_of(inst.table.by_id(queued.command), queued.args.view());
            flags = flags.or(queued);
            common = common.and(queued);
        }
    }
    let refusal = authenticated(session, flags)
        .or_else(|| permitted(inst, session, command))
        .or_else(|| allowed_in_multi(session, flags))
        .or_else(|| memory(inst, session, host, flags, request.args))
        .or_else(|| disk(inst, flags))
        .or_else(|| replicas(inst, flags))
        .or_else(|| read_only(inst, flags))
        .or_else(|| subscriber_mode(session, command))
        .or_else(|| stale(inst, common))
        .or_else(|| loaded(inst, common, flags))
        .or_else(|| away_from_keys(session, flags));
    let refusal = refusal.or_else(|| busy(inst, common));
    if let Some(error) = refusal {
        return Verdict::Refuse(error);
    }
    if paused(inst, session, flags) {
        return Verdict::Postpone;
    }
    let may_queue = matches!(origin, Origin::Client) && !flags.has(Flags::NOT_QUEUED);
    if may_queue && session.attention.has(Attention::IN_MULTI) {
        return Verdict::Queue;
    }
    if on_its_way(inst, session, request) {
        return Verdict::Postpone;
    }
    Verdict::Run
}

fn authenticated(session: &Session, flags: Flags) -> Option<CommandError> {
    let must = session.attention.has(Attention::UNAUTHENTICATED) && !flags.has(Flags::NO_AUTH);
    must.then_some(error::NO_AUTH)
}

/// What the configuration says about commands that could do harm. The short way does not come through here: such a
/// command's handler asks again.
pub fn permitted(inst: &Instance, session: &Session, command: &Command) -> Option<CommandError> {
    let permission = command.spec.allowed?;
    let refused = !debug::may((permission.value)(&inst.config), session);
    refused.then(|| error::not_allowed(command.spec.name, permission.parameter))
}

fn allowed_in_multi(session: &Session, flags: Flags) -> Option<CommandError> {
    let refused = session.attention.has(Attention::IN_MULTI) && flags.has(Flags::NO_MULTI);
    refused.then_some(error::NOT_IN_MULTI)
}

/// Any command at all makes room, so that whoever lowers the limit need not wait for a write.
fn memory(
    inst: &mut Instance,
    session: &Session,
    host: &dyn Host,
    flags: Flags,
    args: Args<'_>,
) -> Option<CommandError> {
    if !inst.alert.has(Alert::LIMITED_MEMORY) || session.is_replica() {
        return None;
    }
    let may_store = flags.has(Flags::DENYOOM);
    let queued = session.transaction.as_ref().map_or(0, |transaction| transaction.large_bytes());
    let demand = Demand {
        stores_bytes: if may_store { (args.large_bytes() + queued) as u64 } else { 0 },
        uncounted_buffers: inst.clients.uncounted_buffers(session),
    };
    let full = inst.make_room(host, demand) == Room::None;
    (full && may_store).then_some(error::OOM)
}

pub(super) fn disk(inst: &Instance, flags: Flags) -> Option<CommandError> {
    let concerned = flags.has(Flags::WRITE.or(Flags::REPORTS_DISK_ERROR));
    if concerned && inst.alert.has(Alert::AOF_ERROR) {
        return Some(inst.aof_refusal());
    }
    (inst.alert.has(Alert::DISK_ERROR) && concerned).then_some(error::MISCONF)
}

pub(super) fn replicas(inst: &Instance, flags: Flags) -> Option<CommandError> {
    let writes = flags.has(Flags::WRITE);
    if writes && inst.alert.has(Alert::FEW_REPLICAS) {
        return Some(error::NO_REPLICAS);
    }
    // Where reads show what is acknowledged, another primary may have acknowledged more.
    let reads = flags.has(quorum::SHOWS) && inst.alert.has(Alert::READS_HELD);
    ((writes || reads) && inst.alert.has(Alert::LEASE) && !inst.has_lease()).then_some(error::NO_LEASE)
}

pub(super) fn read_only(inst: &Instance, flags: Flags) -> Option<CommandError> {
    let refused = inst.alert.has(Alert::READ_ONLY) && flags.has(Flags::WRITE);
    refused.then_some(error::READ_ONLY)
}

fn stale(inst: &Instance, common: Flags) -> Option<CommandError> {
    let refused = inst.alert.has(Alert::STALE) && !common.has(Flags::STALE);
    refused.then_some(error::PRIMARY_DOWN)
}

fn subscriber_mode(session: &Session, command: &Command) -> Option<CommandError> {
    let refused = session.attention.has(Attention::SUBSCRIBER_MODE) && !command.flags.has(Flags::SUBSCRIBER_MODE);
    refused.then(|| error::not_for_subscribers(&command.full_name))
}

/// `common`: what all commands of a transaction have.
fn loaded(inst: &Instance, common: Flags, flags: Flags) -> Option<CommandError> {
    let refused = inst.alert.has(Alert::LOADING) && !common.has(Flags::LOADING)
        || inst.alert.has(Alert::ASYNC_LOADING) && flags.has(Flags::NO_ASYNC_LOADING);
    refused.then_some(error::LOADING)
}

/// Replicas get data in their own way, and are exempt from much that others must keep to. A monitor counts as one.
fn away_from_keys(session: &Session, flags: Flags) -> Option<CommandError> {
    let refused = session.attention.has(Attention::MONITOR.or(Attention::REPLICA))
        && flags.has(Flags::WRITE.or(Flags::READONLY).or(Flags::MAY_REPLICATE));
    refused.then_some(error::MONITOR_AND_KEYS)
}

/// A script runs, and others have a turn in the middle of it.
fn busy(inst: &Instance, common: Flags) -> Option<CommandError> {
    let refused = inst.alert.has(Alert::BUSY_SCRIPT) && !common.has(Flags::ALLOW_BUSY);
    refused.then(|| inst.busy_error())
}

fn paused(inst: &Instance, session: &Session, flags: Flags) -> bool {
    if !inst.alert.has(Alert::PAUSED) || session.attention.has(Attention::MONITOR) {
        return false;
    }
    inst.pause.holds(flags, inst.now_ms)
}

/// The other instance may have the key already, and this one still.
fn on_its_way(inst: &Instance, session: &Session, request: &Request<'_>) -> bool {
    if !inst.alert.has(Alert::KEYS_ON_THEIR_WAY) {
        return false;
    }
    if request.command.flags.has(Flags::RUNS_QUEUE)
        && let Some(transaction) = &session.transaction
    {
        let mut queue = transaction.queue().iter();
        return queue.any(|queued| inst.is_on_its_way(inst.table.by_id(queued.command), queued.args.view()));
    }
    inst.is_on_its_way(request.command, request.args)
}
