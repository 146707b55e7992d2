//! Quorum writes: a client is told of a write when enough replicas have it.
//!
//! `write-acks` says how many that are, or the client itself (CLIENT WRITEACKS). The command runs at once, and so do those
//! after it; its reply waits ([`Held`](crate::client::Held)) until so many replicas have acknowledged the offset where its
//! unit ends, or have it on their disks. They are asked once a turn. When they do not answer in time an error stands in the
//! place of the reply: nobody knows what became of the write, and above all it was not acknowledged.
//!
//! A command that could have written and did not waits, too: what it answers may be the work of a write that is not on
//! replicas yet. With `read-uncommitted no` the same holds for reads, and for what subscribers and caches are told.

use std::mem;

use super::replicas::Replica;
use crate::client::{Attention, ClientMut, Condition, Demand, Fate, Session, What};
use crate::exec::error::{self, CommandError};
use crate::exec::instance::{Alert, CloseReason, Instance};
use crate::exec::spec::{Flags, Group};
use crate::exec::table::Command;
use crate::observe::keys;
use crate::reactor::ConnId;
use crate::util::output_buffer::{Mark, OutputBuffer};

/// Writes that are not acknowledged in time are noted in the log at most so often, ms.
const NOTED_EVERY_MS: i64 = 1000;

/// Commands with one of these may show what others have written.
pub(in crate::exec) const SHOWS: Flags =
    Flags::READONLY.or(Flags::MAY_REPLICATE).or(Flags::RUNS_QUEUE).or(Flags::RUNS_SCRIPT);

/// What a reply tells, as far as it is known before the command runs.
#[derive(Clone, Copy)]
pub struct Told {
    flags: Flags,
    /// Where the client's last write before it ended.
    wrote_offset: u64,
}

/// Where things end, before what clients are owed is sent.
#[derive(Clone, Copy)]
pub struct Ends {
    /// The last command, in the stream.
    pub written: u64,
    /// What the append-only file must have before what is owed now may be sent, if anything.
    pub file: Option<u64>,
    /// What it has, as far as anybody waits for that.
    pub safe: u64,
}

/// What became of replies that waited.
#[derive(Clone, Copy, Default, Debug)]
pub struct QuorumCounts {
    /// Those to writes that were let go when replicas had them.
    pub acknowledged: u64,
    /// Those that stayed away, and were replaced by an error.
    pub refused: u64,
}

/// What replicas have, and who waits for that.
#[derive(Default)]
pub struct Quorum {
    /// Somebody demands acknowledgements, and this is a primary.
    applies: bool,
    /// What the configuration demands.
    common: Demand,
    /// `read-uncommitted no`.
    holds_reads: bool,
    /// Clients that have a demand of their own.
    demanding: usize,
    /// Something was noted since replicas were last asked.
    has_noted: bool,
    /// Clients of whom something was noted that was not put aside yet.
    noted: usize,
    /// Up to where they were asked.
    asked: u64,
    /// Clients of whom something waits.
    waiting: Vec<ConnId>,
    /// What each replica has, the most first.
    acknowledged: Vec<u64>,
    /// The same on their disks.
    synced: Vec<u64>,
    /// Room to count in.
    counted: Vec<u64>,
    /// Something has changed since it was last looked who has waited for long enough.
    has_news: bool,
    /// Up to where the append-only file was safe then.
    safe: u64,
    next_deadline_ns: Option<u64>,
    term: u32,
    noted_ms: i64,
    /// What became of replies.
    pub counts: QuorumCounts,
}

impl Quorum {
    /// Whether what clients are owed has to be looked at.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.applies || self.noted > 0 || !self.waiting.is_empty()
    }

    /// Clients of whom something waits.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// When something will have waited for too long, on the monotonic clock; `u64::MAX` for never.
    pub fn next_deadline_ns(&self) -> u64 {
        self.next_deadline_ns.unwrap_or(u64::MAX)
    }

    /// What becomes of something that waits. `safe`: how far the append-only file is on the disk.
    fn fate(&self, until: &Condition, safe: u64, now_ns: u64) -> Fate {
        let acks = match until.what {
            What::Rest => 0,
            // Who waits when the demand is lowered waits for no more than that.
            What::Read | What::Push if !self.holds_reads => 0,
            _ if until.is_common => until.acks.min(self.common.acks),
            _ => until.acks,
        };
        if acks > 0 {
            let all = if until.fsync { &self.synced } else { &self.acknowledged };
            let is_there = all.get(acks as usize - 1).is_some_and(|offset| *offset >= until.offset);
            if until.term != self.term || (!is_there && until.deadline_ns <= now_ns) {
                return Fate::Late;
            }
            if !is_there {
                return Fate::Waits;
            }
        }
        if until.file <= safe { Fate::Met } else { Fate::Waits }
    }

    /// What the replies of a client have to wait for.
    fn demand_on(&self, session: &Session, is_write: bool) -> (Demand, bool) {
        match session.about.demand {
            Some(own) if is_write && self.holds_reads => (own.with(self.common), false),
            Some(own) if is_write => (own, false),
            _ => (self.common, true),
        }
    }

    /// Before what a client is owed is sent: what must wait is put aside.
    pub fn hold(&mut self, client: ClientMut<'_>, ends: Ends) {
        let ClientMut { session, connection } = client;
        let is_told = self.applies && self.holds_reads && session.receives;
        let has_some = session.about.held.as_ref().is_some_and(|held| !held.is_empty());
        if session.is_replica() || !(is_told || has_some) {
            return;
        }
        let rest = match is_told {
            true => Condition {
                what: What::Push,
                acks: self.common.acks,
                fsync: self.common.fsync,
                offset: ends.written,
                is_common: true,
                term: self.term,
                ..Condition::NONE
            },
            false => Condition::NONE,
        };
        let mut held = session.about.held.take().unwrap_or_default();
        let was_waiting = held.waits();
        self.noted -= usize::from(held.has_notes());
        held.begin_term(self.term);
        let (file, safe) = (ends.file.unwrap_or(0), ends.safe);
        held.take(&mut session.reply.out, connection.output_bytes, rest, file, |until| self.fate(until, safe, 0));
        if held.waits() {
            self.next_deadline_ns = Some(self.next_deadline_ns().min(held.deadline_ns()));
            if !was_waiting {
                self.waiting.push(connection.conn);
            }
        }
        session.about.held = Some(held);
    }
}

fn refusal(until: &Condition, term: u32) -> CommandError {
    match (until.what == What::Read, until.term == term) {
        (false, true) => error::NO_QUORUM,
        (true, true) => error::NO_QUORUM_READ,
        (false, false) => error::NO_QUORUM_ANY_MORE,
        (true, false) => error::NO_QUORUM_ANY_MORE_READ,
    }
}

impl Instance {
    /// Where things end now.
    pub fn ends(&self, file: Option<u64>) -> Ends {
        Ends { written: self.replication.feed.written(), file, safe: self.aof_safe_end() }
    }

    /// A client is gone.
    pub(in crate::exec) fn forget_demand(&mut self, session: &mut Session) {
        let noted = session.about.held.take().is_some_and(|held| held.has_notes());
        self.replication.quorum.noted -= usize::from(noted);
        self.set_demand(session, None);
    }

    /// CLIENT WRITEACKS, and its end.
    pub fn set_demand(&mut self, session: &mut Session, demand: Option<Demand>) {
        let quorum = &mut self.replication.quorum;
        let (before, after) = (session.about.demand.is_some(), demand.is_some());
        if !before && !after {
            return;
        }
        quorum.demanding = quorum.demanding + usize::from(after) - usize::from(before);
        session.about.demand = demand;
        session.attention.put(Attention::WRITE_ACKS, demand.is_some_and(|demand| demand.acks > 0));
        self.quorum_config_changed();
    }

    /// Takes over what follows from the configuration, the part that this instance plays, and what clients demand.
    pub(in crate::exec) fn quorum_config_changed(&mut self) {
        let (config, is_primary) = (&self.config.replication, !self.is_replica());
        let quorum = &mut self.replication.quorum;
        quorum.common =
            Demand { acks: config.write_acks, fsync: config.write_acks_fsync, timeout_ms: config.write_acks_timeout };
        let is_common = config.write_acks > 0 && is_primary;
        quorum.holds_reads = !config.read_uncommitted && config.write_acks > 0;
        quorum.applies = is_primary && (is_common || quorum.demanding > 0);
        (quorum.has_news, quorum.asked) = (true, u64::MAX);
        self.alert.put(Alert::WRITE_ACKS, is_common);
        self.alert.put(Alert::READS_HELD, is_common && !config.read_uncommitted);
        self.alert.put(Alert::LEASE, is_primary && config.primary_lease_ms > 0);
        self.count_acknowledgements();
    }

    /// What replicas have may have changed.
    pub(super) fn count_acknowledgements(&mut self) {
        self.extend_lease();
        let quorum = &mut self.replication.quorum;
        if !quorum.is_active() {
            return;
        }
        let replicas = &self.replication.replicas;
        let follow = || replicas.iter().filter(|replica| replica.follows() && replica.has_answered);
        let counted = &mut quorum.counted;
        let mut changed = |all: &mut Vec<u64>, of: fn(&Replica) -> Option<u64>| {
            counted.clear();
            counted.extend(follow().filter_map(of));
            counted.sort_unstable_by(|a, b| b.cmp(a));
            mem::swap(all, counted);
            all != counted
        };
        quorum.has_news |= changed(&mut quorum.acknowledged, |replica| Some(replica.acknowledged));
        quorum.has_news |= changed(&mut quorum.synced, |replica| replica.synced);
    }

    /// Before a command runs: what its reply will tell, if that may have to wait.
    #[inline]
    pub(in crate::exec) fn tells(&self, session: &Session, command: &Command) -> Option<Told> {
        if self.replication.quorum.applies { self.tells_of(session, command) } else { None }
    }

    fn tells_of(&self, session: &Session, command: &Command) -> Option<Told> {
        if session.is_replica() || command.spec.group == Group::PubSub {
            return None;
        }
        let mut flags = command.flags;
        if flags.has(Flags::RUNS_QUEUE)
            && let Some(transaction) = &session.transaction
        {
            flags = transaction
                .queue()
                .iter()
                .fold(flags, |flags, queued| flags.or(self.table.by_id(queued.command).flags));
        }
        Some(Told { flags, wrote_offset: session.about.wrote_offset })
    }

    /// A command's unit is over, and what it was answered begins at `before`: notes what that has to wait for.
    pub(in crate::exec) fn note_reply(&mut self, session: &mut Session, before: Mark, told: Told) {
        let quorum = &mut self.replication.quorum;
        // What a script does is not known before, unless it is one of those that only read.
        let is_script = told.flags.has(Flags::RUNS_SCRIPT) && told.flags.has(Flags::MAY_REPLICATE);
        let may_write = told.flags.has(Flags::WRITE) || is_script;
        let is_write = may_write || session.about.wrote_offset != told.wrote_offset;
        if !(is_write || quorum.holds_reads && told.flags.has(SHOWS)) {
            return;
        }
        let (demand, is_common) = quorum.demand_on(session, is_write);
        if demand.acks == 0 {
            return;
        }
        let deadline_ns = match demand.timeout_ms {
            0 => u64::MAX,
            ms => self.stamp_ns.saturating_add(ms.saturating_mul(1_000_000)),
        };
        let until = Condition {
            what: if is_write { What::Write } else { What::Read },
            acks: demand.acks,
            fsync: demand.fsync,
            offset: self.replication.feed.written(),
            file: 0,
            is_common,
            deadline_ns,
            term: quorum.term,
        };
        quorum.has_noted = true;
        let held = session.about.held.get_or_insert_default();
        let had_notes = held.has_notes();
        held.note(&session.reply.out, before, until);
        quorum.noted += usize::from(held.has_notes() && !had_notes);
    }

    /// Before sleep: replicas are asked how far they are, once for all who want to know.
    pub(super) fn ask_how_far(&mut self) {
        let (replication, config) = (&mut self.replication, &self.config.replication);
        let quorum = &mut replication.quorum;
        let written = replication.feed.written();
        if (mem::take(&mut quorum.has_noted) || (quorum.applies && quorum.holds_reads)) && quorum.asked != written {
            quorum.asked = written;
            replication.asks_how_far = true;
        }
        // A replica passes its primary's stream on, and has nothing to add.
        if mem::take(&mut replication.asks_how_far) && replication.upstream.is_none() && replication.feed.is_active() {
            replication.feed.emit_getack();
            replication.lease.asked(replication.feed.end(), self.stamp_ns, config.primary_lease_ms);
        }
    }

    /// What has waited for long enough is owed to its clients, or an error in its place: `on` is told of them.
    pub fn release_held(&mut self, now_ns: u64, ends: Ends, mut on: impl FnMut(ClientMut<'_>)) {
        let safe = ends.safe;
        let quorum = &mut self.replication.quorum;
        if !quorum.has_news && now_ns < quorum.next_deadline_ns() && safe == quorum.safe {
            return;
        }
        (quorum.has_news, quorum.safe) = (false, safe);
        let mut waiting = mem::take(&mut quorum.waiting);
        let (term, mut next_ns, mut refused, mut stuck) = (quorum.term, u64::MAX, 0, Vec::new());
        waiting.retain(|conn| {
            let quorum = &mut self.replication.quorum;
            let Some(client) = self.clients.of_mut(*conn) else {
                // Where it is in the middle of a command it is looked at when that is over.
                quorum.has_news |= self.clients.is_out(*conn);
                return self.clients.is_out(*conn);
            };
            // What it was answered since comes behind that.
            let ClientMut { session, connection } = client;
            quorum.hold(ClientMut { session, connection }, ends);
            let Some(held) = &mut session.about.held else { return false };
            let refuse = |until: &Condition, out: &mut OutputBuffer| {
                let error = refusal(until, term);
                self.stats.errors.count(error.code());
                out.bytes_mut().push(b'-');
                out.bytes_mut().extend_from_slice(error.as_bytes());
                out.bytes_mut().extend_from_slice(b"\r\n");
            };
            let (to, sent) = (&mut session.reply.out, connection.output_bytes);
            let released = held.release(to, sent, |until| quorum.fate(until, safe, now_ns), refuse);
            let (waits, deadline_ns) = (held.waits(), held.deadline_ns());
            quorum.counts.acknowledged += u64::from(released.writes);
            refused += u64::from(released.refused);
            if released.is_stuck {
                stuck.push(*conn);
            } else {
                next_ns = next_ns.min(deadline_ns);
            }
            if released.some {
                on(ClientMut { session, connection });
            }
            waits
        });
        let quorum = &mut self.replication.quorum;
        (quorum.waiting, quorum.next_deadline_ns) = (waiting, Some(next_ns));
        quorum.counts.refused += refused;
        stuck.into_iter().for_each(|conn| self.close_later(conn, CloseReason::Killed));
        if refused > 0 && self.now_ms - self.replication.quorum.noted_ms >= NOTED_EVERY_MS {
            self.replication.quorum.noted_ms = self.now_ms;
            let replicas = self.replication.quorum.acknowledged.len();
            self.log.warning(
                "Replicas have not acknowledged writes in time: clients are told that the outcome is unknown",
                &[(keys::REPLIES, &refused), (keys::REPLICAS, &replicas)],
            );
        }
    }

    /// Nobody will acknowledge any more what waits now: this instance is to be a replica, or to end.
    pub fn give_up_quorum(&mut self) {
        let quorum = &mut self.replication.quorum;
        (quorum.term, quorum.has_news, quorum.asked) = (quorum.term + 1, true, u64::MAX);
    }
}
