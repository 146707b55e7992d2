//! What the instance asked for while commands ran, done between batches: connections are closed and clients
//! forgotten only here, in `flush.rs` and in `evict.rs`, so that a batch never loses a client under its feet.

use super::Server;
use super::host::Mail;
use crate::client::Attention;
use crate::exec::instance::{Alert, Ask, Instance};
use crate::reactor::ConnId;

impl Server {
    #[inline]
    pub(super) fn settle(&mut self, inst: &mut Instance) {
        if !inst.outbox.is_idle() || !inst.asks.is_empty() || !self.asks.is_empty() {
            self.settle_all(inst);
        }
    }

    #[inline(never)]
    fn settle_all(&mut self, inst: &mut Instance) {
        inst.deliver(None);
        inst.outbox.take_to_flush(&mut self.to_flush);
        loop {
            self.asks.extend(inst.asks.drain(..));
            let Some(ask) = self.asks.pop_front() else { return };
            match ask {
                Ask::Close(conn, reason) => self.close(inst, conn, reason),
                Ask::Resume => self.resume_all(inst),
                Ask::GoOn(conn) => self.go_on(inst, conn),
                Ask::HoldBack(conn) => self.hold_back(inst, conn),
                Ask::Shutdown(options) => self.begin_shutdown(options),
                Ask::AbortShutdown => self.abort_shutdown(inst),
            }
        }
    }

    pub(super) fn on_mail(&mut self, inst: &mut Instance, mail: Mail) {
        match mail {
            Mail::Saved(outcome) => inst.saved(&outcome),
            Mail::Received(received) => inst.copy_is_received(received, self),
            Mail::Rewritten(outcome) => inst.rewritten(&outcome),
            Mail::Aof(report) => inst.aof_reports(report, self),
            Mail::Copied(outcome) => inst.copy_is_made(&outcome),
            Mail::CopyGrows => {} // before sleep it is taken
            Mail::Spilled(report) => inst.spill_reports(report),
            Mail::Read(report) => inst.read_is_done(self, report.done, report.duration_ns),
            Mail::Resolved(resolved) => self.name_is_resolved(resolved),
            Mail::Freed(client) => inst.memory_is_freed(client),
        }
        // Whoever goes on does so with what was held back, before anything else of it is parsed.
        self.settle(inst);
    }

    /// Ends CLIENT PAUSE when its time is over.
    pub(super) fn end_pause(&mut self, inst: &mut Instance) {
        if inst.alert.has(Alert::PAUSED) && inst.pause.is_over(inst.now_ms) {
            self.resume_all(inst);
        }
    }

    /// Has what CLIENT PAUSE or a shutdown held back run. What is still held back then is listed again.
    pub(super) fn resume_all(&mut self, inst: &mut Instance) {
        inst.refresh_pause();
        for conn in std::mem::take(&mut self.postponed) {
            if let Some(client) = inst.clients.of_mut(conn) {
                client.session.attention.put(Attention::PAUSED, false);
                self.asks.push_back(Ask::GoOn(conn));
            }
        }
        self.count_held_back(inst);
    }

    /// Lists a client whose requests wait until CLIENT PAUSE is over. To INFO it is a blocked one.
    pub(super) fn hold_back(&mut self, inst: &mut Instance, conn: ConnId) {
        self.postponed.push(conn);
        self.count_held_back(inst);
    }

    /// Takes a client off that list.
    pub(super) fn let_go(&mut self, inst: &mut Instance, conn: ConnId) {
        self.postponed.retain(|held| *held != conn);
        self.count_held_back(inst);
    }

    fn count_held_back(&mut self, inst: &mut Instance) {
        inst.held_back = self.postponed.len();
    }

    /// A client's command has waited for long enough: sends the reply, runs what it sent meanwhile.
    fn go_on(&mut self, inst: &mut Instance, conn: ConnId) {
        if inst.clients.of(conn).is_some_and(|client| !client.session.attention.has(Attention::HELD)) {
            self.resume(inst, conn.index);
        } else {
            self.flush_later(inst, conn);
        }
    }
}
