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

use std::time::Duration;

use crate::blocking::{ClientId, Waiter};
use crate::client::{Attention, Client};
use crate::exec::call;
use crate::exec::ctx::Host;
use crate::exec::error::{CommandError, CommandResult};
use crate::exec::gate::{self, Verdict};
use crate::exec::instance::{Alert, Ask, Instance};
use crate::exec::monitor;
use crate::exec::table::Command;
use crate::resp::Args;
use crate::util::gather::Mark;

/// What a client is told that CLIENT UNBLOCK ... ERROR woke.
const UNBLOCKED: CommandError = CommandError::fixed("UNBLOCKED client unblocked via CLIENT UNBLOCK");

/// How a wait ends without being served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WaitEnd {
    /// As if its time were over.
    Timeout,
    /// With an error.
    Error,
}

impl Instance {
    /// Tells the clients whose time is over.
    pub fn end_due_waits(&mut self, now_ns: u64) {
        while let Some(id) = self.waiting.due(now_ns) {
            if !self.end_wait(id, WaitEnd::Timeout) {
                // Somebody whose box is out cannot be waiting; but a loop must not hang on that.
                self.waiting.remove(self.keyspace.wanted_mut(), id);
            }
        }
    }

    /// Between requests: tells the clients whose time is over, and serves those whose keys changed by themselves.
    pub fn serve_waits(&mut self, host: &mut dyn Host) {
        if self.waiting.is_empty() {
            return;
        }
        self.end_due_waits(host.now_ns());
        if self.keyspace.wanted().has_ready() {
            serve(self, host);
        }
    }

    /// CLIENT UNBLOCK, and the end of a timeout; false for a client that does not wait.
    pub fn end_wait(&mut self, id: ClientId, end: WaitEnd) -> bool {
        if !self.waiting.has(id) {
            return false;
        }
        let Some(mut client) = self.clients.take_by_id(id) else { return false };
        let mark = client.reply.out.mark();
        let result = match end {
            WaitEnd::Timeout => {
                client.reply.null_array();
                Ok(())
            }
            WaitEnd::Error => Err(UNBLOCKED),
        };
        if let Some(waiter) = self.stop_waiting(&mut client) {
            finish(self, &mut client, &waiter, result, mark, 0);
        }
        self.clients.put_back(client);
        true
    }

    /// Takes a client out of the queues, without a word.
    pub fn stop_waiting(&mut self, client: &mut Client) -> Option<Waiter> {
        if !client.attention.has(Attention::BLOCKED) {
            return None;
        }
        client.attention.put(Attention::BLOCKED, false);
        let waiter = self.waiting.remove(self.keyspace.wanted_mut(), client.id);
        self.count_blocked();
        waiter
    }

    /// Clients that wait in a command, and those that CLIENT PAUSE holds back, are blocked clients.
    pub fn count_blocked(&self) {
        self.metrics.blocked_clients.set((self.waiting.len() + self.held_back) as u64);
        self.metrics.blocking_keys.set(self.waiting.totals().keys as u64);
    }
}

/// The handler that has just run for `client` asked to wait.
#[cold]
#[inline(never)]
pub(super) fn begin(
    inst: &mut Instance,
    client: &mut Client,
    host: &mut dyn Host,
    command: &'static Command,
    args: Args<'_>,
) {
    let Some(wait) = inst.waiting.take_asked() else { return };
    let began_ns = inst.stamp_ns;
    inst.stamp_ns = host.now_ns();
    client.last_command = command.id;
    if inst.alert.has(Alert::MONITORED) {
        monitor::feed(inst, client, command, args, host.wall_us());
    }
    let as_ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let waiter = Waiter {
        deadline_ns: wait.timeout.map(|time| began_ns.saturating_add(as_ns(time))),
        wait: *wait,
        db: client.db,
        command: command.id,
        request: args.into(),
        spent_ns: inst.stamp_ns.saturating_sub(began_ns),
    };
    client.attention.put(Attention::BLOCKED, true);
    inst.waiting.add(inst.keyspace.wanted_mut(), client.id, waiter);
    inst.count_blocked();
}

/// Serves the clients that wait for keys which have changed, until no key is ready.
#[cold]
#[inline(never)]
pub fn serve(inst: &mut Instance, host: &mut dyn Host) {
    // What made the keys ready may have taken long; those who are served live now.
    inst.now_ms = inst.now_ms.max(host.wall_us() / 1000);
    while let Some((db, key)) = inst.keyspace.wanted_mut().take_ready() {
        let latest = inst.waiting.latest_arrival();
        let mut after = 0;
        while let Some(next) = inst.waiting.next_after(db, &key, after) {
            if next.arrival > latest {
                break;
            }
            after = next.arrival;
            let there = inst.keyspace.type_at(db as usize, &key, inst.now_ms);
            if next.what.is_met_by(there) {
                again(inst, host, next.client);
            } else if there.is_none() && !inst.waiting.concerns_absence(db, &key) {
                break; // the last one took all there was: nobody behind can be served
            }
        }
    }
}

/// Runs the request of a client that waits.
fn again(inst: &mut Instance, host: &mut dyn Host, id: ClientId) {
    let Some(mut client) = inst.clients.take_by_id(id) else { return };
    if !client.attention.has(Attention::CLOSE_NOW.or(Attention::CLOSING)) {
        try_again(inst, host, &mut client);
    }
    inst.clients.put_back(client);
}

fn try_again(inst: &mut Instance, host: &mut dyn Host, client: &mut Client) {
    let Some(waiter) = inst.waiting.waiter_mut(client.id) else { return };
    let request = waiter.again().clone();
    let command = inst.table.by_id(waiter.command);
    let mark = client.reply.out.mark();
    match gate::check(inst, client, host, command, request.view()) {
        Verdict::Run => {}
        Verdict::Postpone => {
            // It arrives anew when the pause is over.
            if let Some(waiter) = inst.stop_waiting(client) {
                client.deferred.push_front(waiter.request);
                client.attention.put(Attention::PAUSED, true);
                inst.asks.push(Ask::HoldBack(client.conn));
            }
            return;
        }
        Verdict::Refuse(error) => {
            if let Some(waiter) = inst.stop_waiting(client) {
                inst.metrics.commands[usize::from(command.id)].rejected.inc();
                finish(inst, client, &waiter, Err(error), mark, 0);
            }
            return;
        }
        Verdict::Queue => return, // nobody waits inside MULTI
    }
    let began_ns = inst.stamp_ns;
    let ready = inst.keyspace.wanted().ready_len();
    let result = call::run(inst, client, host, command, request.view(), None);
    inst.stamp_ns = host.now_ns();
    let spent_ns = inst.stamp_ns.saturating_sub(began_ns);
    if inst.waiting.take_asked().is_some() {
        // In vain: it goes on waiting where it stood.
        inst.keyspace.wanted_mut().truncate_ready(ready);
        if let Some(waiter) = inst.waiting.waiter_mut(client.id) {
            waiter.spent_ns += spent_ns;
        }
        return;
    }
    if let Some(waiter) = inst.stop_waiting(client) {
        finish(inst, client, &waiter, result, mark, spent_ns);
    }
}

/// The request is over: its reply, its statistics, and what the client sent meanwhile.
fn finish(inst: &mut Instance, client: &mut Client, waiter: &Waiter, result: CommandResult, mark: Mark, last_ns: u64) {
    let failed = result.is_err();
    if let Err(error) = result {
        client.reply.error_bytes(error.as_bytes());
        inst.errors.count(error.code());
    }
    if client.attention.has(Attention::REPLY_OFF.or(Attention::REPLY_SKIP)) {
        client.reply.out.truncate_to(mark);
    }
    client.attention.put(Attention::REPLY_SKIP, false);
    client.commands += 1;
    let command = inst.table.by_id(waiter.command);
    inst.account(client, command, waiter.request.view(), waiter.spent_ns + last_ns, failed);
    inst.asks.push(Ask::GoOn(client.conn));
}
