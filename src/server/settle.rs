//! What the instance asked for while commands ran, done between batches: connections are closed and clients
//! forgotten only here, in `flush.rs` and in `evict.rs`, so that a batch never loses a client under its feet.

use super::Server;
use super::host::Mail;
use crate::client::Attention;
use crate::exec::instance::{Alert, Ask};
use crate::reactor::ConnId;

impl Server {
    pub(super) fn settle(&mut self) {
        while !self.inst.asks.is_empty() {
            for ask in std::mem::take(&mut self.inst.asks) {
                match ask {
                    Ask::Flush(conn) => self.flush_later(conn),
                    Ask::Close(conn, reason) => self.close(conn, reason),
                    Ask::Resume => self.resume_all(),
                    Ask::GoOn(conn) => self.go_on(conn),
                    Ask::HoldBack(conn) => self.hold_back(conn),
                    Ask::Shutdown(options) => self.begin_shutdown(options),
                    Ask::AbortShutdown => self.abort_shutdown(),
                }
            }
        }
    }

    pub(super) fn on_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Saved(outcome) => self.inst.saved(&outcome),
            Mail::Read(report) => self.inst.read_is_done(&mut self.host, report.done, report.duration_ns),
            Mail::Freed(client) => self.inst.memory_is_freed(&mut self.host, client),
        }
    }

    /// Ends CLIENT PAUSE when its time is over.
    pub(super) fn end_pause(&mut self) {
        if self.inst.alert.has(Alert::PAUSED) && self.inst.pause.is_over(self.inst.now_ms) {
            self.resume_all();
        }
    }

    /// Runs what CLIENT PAUSE or a shutdown held back. What is still held back is listed again.
    pub(super) fn resume_all(&mut self) {
        self.inst.refresh_pause();
        for conn in std::mem::take(&mut self.postponed) {
            if self.inst.clients.of(conn).is_some() {
                self.resume(conn.index);
            }
        }
        self.count_held_back();
    }

    /// Lists a client whose requests wait until CLIENT PAUSE is over. To INFO it is a blocked one.
    pub(super) fn hold_back(&mut self, conn: ConnId) {
        self.postponed.push(conn);
        self.count_held_back();
    }

    /// Takes a client off that list.
    pub(super) fn let_go(&mut self, conn: ConnId) {
        self.postponed.retain(|held| *held != conn);
        self.count_held_back();
    }

    fn count_held_back(&mut self) {
        self.inst.held_back = self.postponed.len();
    }

    /// A client's command has waited for long enough: sends the reply, runs what it sent meanwhile.
    fn go_on(&mut self, conn: ConnId) {
        if self.inst.clients.of(conn).is_some_and(|client| !client.attention.has(Attention::HELD)) {
            self.resume(conn.index);
        } else {
            self.flush_later(conn);
        }
    }
}
