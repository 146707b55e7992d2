//! What replicas are sent goes to their connections.
//!
//! Nothing is copied for a single replica: a slice of the feed is shared by the output buffers of all that follow. How far
//! a replica may fall behind is the affair of its output limit (`client-output-buffer-limit replica`).

use super::Server;
use crate::exec::instance::Instance;

impl Server {
    /// Before sleep: every replica gets what there is for it.
    pub(super) fn feed_replicas(&mut self, inst: &mut Instance) {
        if inst.replication.replicas.is_empty() && !inst.replication.feed.has_spill_jobs() {
            return;
        }
        inst.feed_replicas(self);
        let mut listed = std::mem::take(&mut inst.replication.to_flush);
        listed.drain(..).for_each(|conn| self.flush_later(inst, conn));
        inst.replication.to_flush = listed; // keep the allocation
        self.settle(inst);
    }

    /// Now and then: pings, signs of life for those that wait.
    pub(super) fn replication_cron(&mut self, inst: &mut Instance) {
        for conn in inst.replication_cron(self) {
            if let Some(client) = inst.clients.of_mut(conn) {
                client.session.reply.out.bytes_mut().push(b'\n');
                self.flush_later(inst, conn);
            }
        }
    }
}
