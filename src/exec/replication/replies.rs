//! What a replica is sent is the stream. One that has a command answered would read the answer as a part of it: it is
//! closed before that.

use crate::client::{Client, Session};
use crate::exec::instance::{CloseReason, Instance};
use crate::observe::keys;
use crate::observe::log::Level;
use crate::util::output_buffer::Mark;

impl Instance {
    /// A client that was a replica before has had a command executed, or refused. What it was answered begins at `before`.
    pub(in crate::exec) fn silence_replica(&mut self, session: &mut Session, before: Mark, name: &str) {
        let len = session.reply.out.len_since(before);
        if len == 0 {
            return;
        }
        let all = session.reply.out.to_vec();
        let reply = legible(all[all.len() - len..].trim_ascii_end());
        session.reply.out.truncate_to(before);
        let Some(connection) = session.conn.and_then(|conn| self.clients.connection_mut(conn.index)) else { return };
        let mut line = String::new();
        Client { session, connection }.push_line(&mut line, self.now_ms, name);
        let text = format!("Replica generated a reply to command '{name}', disconnecting it: {line}");
        self.log.log(Level::Warning, &text, &[]);
        if let Some(error) = reply.strip_prefix('-') {
            let error = error.strip_prefix("ERR ").unwrap_or(error);
            self.stats.unexpected_errors += 1;
            let text = format!(
                "== CRITICAL == This master is sending an error to its replica: '{error}' after processing the command \
                 '{name}'"
            );
            self.log.log(Level::Warning, &text, &[(keys::OFFSET, &self.replication.feed.end())]);
        }
        self.close_session(session, CloseReason::Killed);
    }
}

/// A reply as it may stand in a line of the log.
pub(super) fn legible(reply: &[u8]) -> String {
    reply.escape_ascii().to_string().replace("\\'", "'")
}
