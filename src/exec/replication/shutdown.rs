//! A shutdown waits until replicas have everything: for `shutdown-timeout` seconds, with writes held back.

use super::replicas::{Replica, State};
use crate::exec::instance::{Ask, Instance, ShutdownOptions};
use crate::observe::keys;
use crate::observe::log::Level;

/// So long DEBUG PAUSE-CRON keeps a signal from ending the server, ms.
const HELD_MS: i64 = 1_000;

impl Instance {
    fn is_in_step(&self, replica: &Replica) -> bool {
        replica.acknowledged == self.replication.feed.end()
    }

    /// Whether a shutdown may go on; otherwise it is to be asked again in the next turn.
    pub fn may_shut_down(&mut self, options: &ShutdownOptions) -> bool {
        let replicas = &self.replication.replicas;
        let timeout_ms = i64::from(self.config.server.shutdown_timeout) * 1000;
        let waits = !options.now && timeout_ms > 0 && !self.is_replica();
        let lags = waits && replicas.iter().any(|replica| !self.is_in_step(replica));
        // Looking at signals is among what DEBUG PAUSE-CRON stops, so that they can be taken back; but not for ever.
        let is_held = options.by_signal && self.debug.cron_paused;
        if (lags || is_held) && self.shutdown_deadline_ms == 0 {
            self.shutdown_deadline_ms = self.now_ms + if lags { timeout_ms } else { HELD_MS };
            self.pause.for_shutdown = true;
            self.refresh_pause();
            if lags {
                self.log.notice("Waiting for replicas before shutting down.", &[]);
            }
        }
        if (lags || is_held) && self.now_ms < self.shutdown_deadline_ms {
            return false;
        }
        let all = replicas_count(self);
        if all.1 > 0 {
            for replica in self.replication.replicas.iter().filter(|replica| !self.is_in_step(replica)) {
                let end = self.replication.feed.end();
                let (lag_s, offset) = ((self.now_ms - replica.acknowledged_ms) / 1000, replica.acknowledged);
                let text = format!(
                    "Lagging replica {}:{} reported offset {} behind master, lag={lag_s}, state={}.",
                    String::from_utf8_lossy(&replica.address(&self.clients)),
                    replica.facts.port,
                    end.saturating_sub(offset),
                    replica.state_name()
                );
                self.log.log(Level::Warning, &text, &[(keys::CLIENT, &replica.id)]);
            }
            let text = format!("{} of {} replicas are in sync when shutting down.", all.0, all.1);
            self.log.log(Level::Notice, &text, &[]);
        }
        true
    }

    /// It was given up: writes go on.
    pub fn end_shutdown(&mut self) {
        self.shutdown_deadline_ms = 0;
        if std::mem::take(&mut self.pause.for_shutdown) {
            self.refresh_pause();
            self.asks.push(Ask::Resume);
        }
    }
}

/// How many replicas have everything, and how many there are.
fn replicas_count(inst: &Instance) -> (usize, usize) {
    let all = inst.replication.replicas.iter().filter(|replica| replica.state != State::AwaitsStart);
    (all.clone().filter(|replica| inst.is_in_step(replica)).count(), all.count())
}
