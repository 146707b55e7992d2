//! The primary's stream is applied: its commands run past the gates, and its bytes are passed on to our own replicas.
//!
//! What stands between MULTI and EXEC is applied when all of it is there, so that a transaction of which the end never
//! comes leaves nothing. Offsets count what is applied, not what is received: that is what we say we have, and where we
//! go on when the line was down.
//!
//! The primary decides what has expired: its commands find keys that are over here, and delete them when it says so.

use std::collections::VecDeque;

use super::replies::legible;
use crate::client::Session;
use crate::config::choice::PropagationErrorBehavior;
use crate::exec::blocked;
use crate::exec::call::{self, Origin, Request};
use crate::exec::ctx::Host;
use crate::exec::error;
use crate::exec::instance::{Alert, Instance};
use crate::exec::spec::Flags;
use crate::exec::table::Lookup;
use crate::observe::keys;
use crate::observe::log::{Level, Shown};
use crate::resp::Args;

/// A turn applies for so long, ns.
const BUDGET_NS: u64 = 2_000_000;

/// Commands whose keys are looked up ahead.
const PREFETCH: usize = 16;

/// A request that is whole: what it asks for, and the hash of its first key.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    found: Lookup<'static>,
    hash: Option<u64>,
}

/// How many requests at the front belong together; none if not all of them are there. `seen` of them were looked at
/// before.
fn unit_len(ready: &VecDeque<Ready>, seen: &mut usize) -> Option<usize> {
    let has = |at: usize, flag| matches!(ready[at].found, Lookup::Found(command) if command.flags.has(flag));
    if ready.is_empty() {
        return None;
    }
    if !has(0, Flags::BEGINS_QUEUE) {
        return Some(1);
    }
    let end = (1.max(*seen)..ready.len()).find(|&at| has(at, Flags::RUNS_QUEUE));
    *seen = if end.is_some() { 0 } else { ready.len() };
    end.map(|end| end + 1)
}

impl Instance {
    /// Finds the requests in what was received.
    pub(super) fn parse_inbox(&mut self, host: &mut dyn Host) {
        let Some(upstream) = &mut self.replication.upstream else { return };
        let parsed = upstream.inbox.parse(usize::MAX);
        for at in upstream.ready.len()..upstream.inbox.len() {
            let args = upstream.inbox.request(at);
            let found = self.table.lookup(args);
            let key = match found {
                Lookup::Found(command) if command.first_key != 0 => args.get(usize::from(command.first_key)),
                _ => None,
            };
            upstream.ready.push_back(Ready { found, hash: key.map(|key| self.keyspace.key(key).hash) });
        }
        let Err(fault) = parsed else { return };
        let text = String::from_utf8_lossy(&fault.reply_text()).into_owned();
        self.log.warning("Protocol error from master", &[(keys::ERROR, &Shown(&text))]);
        // Where we are in its stream is unknown now.
        upstream.has_history = false;
        upstream.line.borrow_mut().hang_up();
        host.wake_link(upstream.link);
    }

    /// Applies some of what is there.
    pub(super) fn apply_some(&mut self, host: &mut dyn Host) {
        let until_ns = host.now_ns().saturating_add(BUDGET_NS);
        self.apply_until(host, until_ns);
    }

    /// Applies all that is whole.
    pub(super) fn apply_all(&mut self, host: &mut dyn Host) {
        self.apply_until(host, u64::MAX);
    }

    fn apply_until(&mut self, host: &mut dyn Host, until_ns: u64) {
        let Some(upstream) = &mut self.replication.upstream else { return };
        if upstream.inbox.is_empty() {
            return;
        }
        let Some(mut session) = upstream.session.take() else { return };
        let (mut inbox, mut ready) = (std::mem::take(&mut upstream.inbox), std::mem::take(&mut upstream.ready));
        let mut seen = upstream.seen;
        self.keyspace.begin_replay(self.now_ms);
        self.stamp_ns = host.now_ns();
        let mut fetched = 0;
        while let Some(count) = unit_len(&ready, &mut seen) {
            if fetched < count {
                fetched = PREFETCH.min(ready.len());
                self.prefetch_ready(ready.range(..fetched), session.db);
            }
            for (at, ready) in ready.drain(..count).enumerate() {
                self.apply_request(ready, inbox.request(at), &mut session, host);
            }
            self.end_unit();
            self.replication.feed.pass_on(inbox.bytes(count));
            inbox.applied(count);
            fetched = fetched.saturating_sub(count);
            if self.keyspace.blocking_keys().has_ready() {
                blocked::serve(self, host, None);
            }
            if self.outbox.is_full() {
                self.deliver(None);
            }
            if self.stamp_ns >= until_ns {
                break;
            }
        }
        if let Some(upstream) = &mut self.replication.upstream {
            (upstream.inbox, upstream.ready, upstream.seen) = (inbox, ready, seen);
            upstream.session = Some(session);
        }
    }

    fn prefetch_ready<'a>(&self, ready: impl Iterator<Item = &'a Ready> + Clone, db: u32) {
        let hashes = ready.filter_map(|ready| ready.hash);
        hashes.clone().for_each(|hash| self.keyspace.prefetch_bucket(db as usize, hash));
        hashes.for_each(|hash| self.keyspace.prefetch_entry(db as usize, hash));
    }

    fn apply_request(&mut self, ready: Ready, args: Args<'_>, session: &mut Session, host: &mut dyn Host) {
        let command = match ready.found {
            Lookup::Found(command) if command.arity.accepts(args.len()) => command,
            Lookup::Found(command) => {
                let refusal = error::wrong_arity(&command.full_name);
                return self.failed_to_apply(args, refusal.as_bytes());
            }
            _ => return self.failed_to_apply(args, b"ERR unknown command"),
        };
        // What stands between MULTI and EXEC is there as a whole: the words themselves have nothing to do.
        if command.flags.has(Flags::BEGINS_QUEUE) || command.flags.has(Flags::RUNS_QUEUE) {
            return;
        }
        // A primary passes on what it has done to data. Nothing else of it is run: it is not an operator here.
        if !command.flags.has(Flags::WRITE.or(Flags::MAY_REPLICATE).or(Flags::FROM_PRIMARY)) {
            return self.failed_to_apply(args, b"ERR not a command that a primary passes on");
        }
        if command.flags.has(Flags::WRITE) && (self.alert.has(Alert::DISK_ERROR) || self.alert.has(Alert::AOF_ERROR)) {
            self.cannot_keep_what_is_applied();
        }
        let request = Request { command, args, first_key_hash: ready.hash };
        call::execute(self, session, host, &request, Origin::Primary);
        let failed = session.reply.out.chunks().next().is_some_and(|reply| reply.starts_with(b"-"));
        if failed {
            let reply = session.reply.out.to_vec();
            let reply = reply.trim_ascii_end();
            self.failed_to_apply(args, reply.strip_prefix(b"-").unwrap_or(reply));
        }
        session.reply.out.clear();
    }

    /// A command that the primary has executed cannot be executed here: from now on the data may not be the same.
    fn failed_to_apply(&mut self, args: Args<'_>, reply: &[u8]) {
        let (name, reply) = (args[0].escape_ascii(), legible(reply));
        self.stats.unexpected_errors += 1;
        self.log.log(
            Level::Warning,
            &format!(
                "== CRITICAL == This replica is sending an error to its master: '{reply}' after processing the command \
                 '{name}'"
            ),
            &[(keys::OFFSET, &self.replication.feed.end())],
        );
        use PropagationErrorBehavior::{Ignore, Panic, PanicOnReplicas};
        match self.config.replication.propagation_error_behavior {
            Ignore => {}
            // Where others write, too, nothing else is to be expected.
            _ if !self.config.replication.replica_read_only => {}
            Panic | PanicOnReplicas => panic!(
                "This replica panicked sending an error to its master after processing a command from its replication \
                 stream"
            ),
        }
    }

    /// The disk fails, and writes from elsewhere would be refused.
    fn cannot_keep_what_is_applied(&mut self) {
        if !self.config.replication.replica_ignore_disk_write_errors {
            panic!("Replica was unable to write command to disk.");
        }
        if self.now_ms - self.replication.disk_error_noted_ms >= 10_000 {
            self.replication.disk_error_noted_ms = self.now_ms;
            self.log.warning("Replica is applying a command it is unable to write to disk.", &[]);
        }
    }

    /// REPLCONF GETACK, from the primary.
    pub fn answer_primary(&mut self, host: &mut dyn Host) {
        self.tell_progress(host);
        if let Some(upstream) = &self.replication.upstream {
            upstream.line.borrow_mut().acknowledge();
            host.wake_link(upstream.link);
        }
    }
}
