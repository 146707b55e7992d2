//! Commands that wait: how they begin to, how they are tried again, and how waiting ends.
//!
//! # Who is served
//!
//! [`serve`] works off the list of ready keys after a whole request, so after EXEC and not within it. For each key it
//! walks the clients that wait for it in order of arrival; a client whose kind of value is there runs its kept request
//! again through the gates. A client that arrives meanwhile is not met in this walk: it has just been tried.
//!
//! # What operators see
//!
//! A request that waits counts once, when it is over, with the time that all its tries took and none of the time it
//! waited. MONITOR shows it when it is first tried.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::blocking::{BlockedClient, Wait, WaitFor};
use crate::client::{Attention, ClientId, Session};
use crate::exec::call::{self, Origin, Outcome, Request};
use crate::exec::ctx::Host;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::gate::{self, Verdict};
use crate::exec::instance::{Ask, Instance};
use crate::exec::readers;
use crate::exec::replication::Told;
use crate::util::output_buffer::Mark;

/// What a client is told that CLIENT UNBLOCK ... ERROR woke.
const UNBLOCKED: CommandError = CommandError::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK");
const FORCED: CommandError =
    CommandError::fixed("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)");

/// How a wait ends without being served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitEnd {
    /// As if its time were over.
    Timeout,
    /// With an error.
    Error,
    /// The instance is a replica now: who waits for a write waits in vain. The connection closes.
    RoleChanged,
}

impl Instance {
    /// Tells the clients whose time is over.
    fn end_due_waits(&mut self, host: &mut dyn Host) {
        let now_ns = host.now_ns();
        while let Some(id) = self.blocked.due(now_ns) {
            if !self.end_wait(id, WaitEnd::Timeout) {
                // Somebody whose session is out cannot be waiting; but a loop must not hang on that.
                let blocked = &mut self.blocked;
                self.keyspace.with_blocking_keys(|keys| blocked.remove(keys, id));
            }
        }
    }

    /// Between requests: tells the clients whose time is over, and serves those whose keys changed by themselves.
    pub fn serve_waits(&mut self, host: &mut dyn Host) {
        if self.blocked.is_empty() {
            return;
        }
        self.deliver(None);
        self.end_due_waits(host);
        if self.keyspace.blocking_keys().has_ready() {
            serve(self, host, None);
        }
        self.deliver(None);
    }

    /// What a client has waited for to be freed is freed. It may have gone, or been unblocked.
    pub fn memory_is_freed(&mut self, id: ClientId) {
        if self.blocked.client(id).is_some_and(|blocked| blocked.wait.what == WaitFor::Memory) {
            self.end_wait(id, WaitEnd::Timeout);
        }
    }

    /// CLIENT UNBLOCK, and the end of a timeout; false for a client that is not blocked.
    pub fn end_wait(&mut self, id: ClientId, end: WaitEnd) -> bool {
        let Some(blocked) = self.blocked.client(id).filter(|blocked| !blocked.wait.what.is_elsewhere()) else {
            return false;
        };
        // What it was sent before comes before.
        self.deliver(None);
        let Some(mut session) = self.clients.take_by_id(id) else { return false };
        let before = session.reply.out.mark();
        let told = self.tells(&session, self.table.by_id(blocked.command));
        let result = match end {
            WaitEnd::Timeout if blocked.wait.what == WaitFor::Memory => {
                session.reply.ok();
                Ok(())
            }
            WaitEnd::Timeout if blocked.wait.what == WaitFor::Replicas => {
                session.reply.int(self.replicas_with(session.about.wrote_offset) as i64);
                Ok(())
            }
            WaitEnd::Timeout if blocked.wait.what == WaitFor::Disks => {
                let (here, there) = self.synced_copies(session.about.wrote_offset);
                session.reply.array(2);
                session.reply.int(here as i64);
                session.reply.int(there as i64);
                Ok(())
            }
            WaitEnd::Timeout => {
                session.reply.null_array();
                Ok(())
            }
            WaitEnd::Error => Err(UNBLOCKED),
            WaitEnd::RoleChanged => {
                session.close_after_reply();
                match blocked.wait.what {
                    WaitFor::Memory => {
                        session.reply.ok();
                        Ok(())
                    }
                    _ => Err(FORCED),
                }
            }
        };
        let request = again_request(self, &blocked);
        call::finish(self, &mut session, &request, Origin::Unblocked(&blocked), result, 0);
        unblock(self, &mut session, before, told);
        self.clients.put_back(session);
        true
    }

    /// What the request of a client asked somebody else to do is done, or has failed. The client may have gone.
    pub(super) fn answer_waiting(&mut self, id: ClientId, what: WaitFor, result: CommandResult) {
        let Some(blocked) = self.blocked.client(id).filter(|blocked| blocked.wait.what == what) else { return };
        self.deliver(None);
        let Some(mut session) = self.clients.take_by_id(id) else { return };
        let before = session.reply.out.mark();
        if result.is_ok() {
            session.reply.ok();
        }
        let request = again_request(self, &blocked);
        let told = self.tells(&session, request.command);
        call::finish(self, &mut session, &request, Origin::Unblocked(&blocked), result, 0);
        unblock(self, &mut session, before, told);
        self.clients.put_back(session);
    }

    /// Takes a client out of the queues, without a word.
    pub fn stop_waiting(&mut self, session: &mut Session) -> Option<Rc<BlockedClient>> {
        if !session.attention.has(Attention::BLOCKED.or(Attention::ELSEWHERE)) {
            return None;
        }
        if session.attention.has(Attention::ELSEWHERE) {
            self.readers.forget(session.id);
        }
        session.attention.put(Attention::BLOCKED.or(Attention::ELSEWHERE), false);
        let blocked = &mut self.blocked;
        self.keyspace.with_blocking_keys(|keys| blocked.remove(keys, session.id))
    }
}

/// The handler that has just run for `session` found nothing, in `spent_ns`, and is to be tried again when a key changes.
#[cold]
#[inline(never)]
pub(super) fn block(
    inst: &mut Instance,
    session: &mut Session,
    host: &mut dyn Host,
    request: &Request<'_>,
    origin: Origin<'_>,
    wait: Wait,
    spent_ns: u64,
) {
    if let Origin::Unblocked(blocked) = origin {
        // In vain: it goes on waiting where it stood.
        blocked.spent_ns.set(blocked.spent_ns.get() + spent_ns);
        if wait.what == WaitFor::Reader {
            readers::begin(inst, host, session, request);
        }
        return;
    }
    let Request { command, args, .. } = *request;
    let began_ns = inst.stamp_ns.saturating_sub(spent_ns);
    let as_ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let blocked = BlockedClient {
        deadline_ns: wait.timeout.map(|time| began_ns.saturating_add(as_ns(time))),
        wait,
        db: session.db,
        command: command.id,
        request: args.into(),
        spent_ns: Cell::new(spent_ns),
    };
    let reads = blocked.wait.what == WaitFor::Reader;
    let here = !blocked.wait.what.is_elsewhere();
    session.attention.put(if here { Attention::BLOCKED } else { Attention::ELSEWHERE }, true);
    let all = &mut inst.blocked;
    inst.keyspace.with_blocking_keys(|keys| all.add(keys, session.id, blocked));
    if reads {
        readers::begin(inst, host, session, request);
    }
}

/// Serves the clients that wait for keys which have changed, until no key is ready. `calling` is the session that is out of
/// the collection, if one is.
#[cold]
#[inline(never)]
pub fn serve(inst: &mut Instance, host: &mut dyn Host, mut calling: Option<&mut Session>) {
    // What made the keys ready may have taken long; those who are served live now.
    inst.now_ms = inst.now_ms.max(host.wall_us() / 1000);
    while let Some((db, key)) = inst.keyspace.take_ready() {
        let latest = inst.blocked.latest_arrival();
        let mut after = 0;
        while let Some(next) = inst.blocked.next_after(db, &key, after) {
            if next.arrival > latest {
                break;
            }
            after = next.arrival;
            let there = inst.keyspace.type_at(db as usize, &key, inst.now_ms);
            if next.what.is_met_by(there) {
                // Whoever is served has been sent before what was caused before.
                inst.deliver(calling.as_deref_mut());
                again(inst, host, next.client);
            } else if there.is_none() && !inst.blocked.concerns_absence(db, &key) {
                break; // the last one took all there was: nobody behind can be served
            }
        }
    }
}

/// Runs the request of a client that waits.
pub(super) fn again(inst: &mut Instance, host: &mut dyn Host, id: ClientId) {
    let Some(mut session) = inst.clients.take_by_id(id) else { return };
    if !session.attention.has(Attention::CLOSE_NOW.or(Attention::CLOSING)) {
        try_again(inst, host, &mut session);
    }
    inst.clients.put_back(session);
}

fn try_again(inst: &mut Instance, host: &mut dyn Host, session: &mut Session) {
    let Some(blocked) = inst.blocked.client(session.id) else { return };
    let (request, origin) = (again_request(inst, &blocked), Origin::Unblocked(&blocked));
    let before = session.reply.out.mark();
    match gate::check(inst, session, host, &request, origin) {
        Verdict::Run => {
            let ready = inst.keyspace.blocking_keys().ready_len();
            let told = inst.tells(session, request.command);
            match call::execute(inst, session, host, &request, origin) {
                Outcome::Done => {
                    inst.end_unit();
                    unblock(inst, session, before, told);
                }
                Outcome::Blocked | Outcome::Postponed => {
                    inst.keyspace.with_blocking_keys(|keys| keys.truncate_ready(ready));
                }
            }
        }
        Verdict::Postpone => {
            // It arrives anew when the pause is over.
            inst.stop_waiting(session);
            session.owe_late();
            if let Some(connection) = inst.clients.connection_of_mut(session) {
                connection.deferred.push_front(blocked.request.clone());
                session.attention.put(Attention::PAUSED, true);
                inst.asks.push(Ask::HoldBack(connection.conn));
            }
        }
        Verdict::Refuse(error) => {
            inst.metrics.commands[usize::from(request.command.id)].rejected.inc();
            call::finish(inst, session, &request, origin, Err(error), 0);
            unblock(inst, session, before, None);
        }
        Verdict::Queue => {} // nobody blocks inside MULTI
    }
}

/// What is run, or answered, for a blocked client.
fn again_request<'w>(inst: &Instance, blocked: &'w BlockedClient) -> Request<'w> {
    Request { command: inst.table.by_id(blocked.command), args: blocked.again().view(), first_key_hash: None }
}

/// A blocked client's request is over and answered: it goes on with what it sent meanwhile. `told`: what the answer tells.
pub(super) fn unblock(inst: &mut Instance, session: &mut Session, before: Mark, told: Option<Told>) {
    inst.stop_waiting(session);
    call::apply_reply_rules(session, before);
    if let Some(told) = told {
        inst.note_reply(session, before, told);
    }
    session.owe_late();
    session.attention.put(Attention::CACHING, false);
    session.commands += 1;
    inst.asks.extend(session.conn.map(Ask::GoOn));
}
