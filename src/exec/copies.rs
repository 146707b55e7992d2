//! How many copies there are of what a client has written: on replicas, and on disks. WAIT and WAITAOF ask for it.

use crate::client::ClientId;
use crate::exec::blocked;
use crate::exec::ctx::Host;
use crate::exec::instance::Instance;

impl Instance {
    /// How many replicas say that they have everything up to this offset.
    pub fn replicas_with(&self, offset: u64) -> usize {
        self.replication.replicas.iter().filter(|replica| replica.follows() && replica.acknowledged >= offset).count()
    }

    /// On how many disks everything up to this offset is: here, and on replicas.
    pub fn synced_copies(&self, offset: u64) -> (usize, usize) {
        let here = self.aof.is_kept() && self.aof_synced_offset() >= offset;
        let replicas = &self.replication.replicas;
        let there = replicas.iter().filter(|replica| replica.follows() && replica.synced >= Some(offset)).count();
        (usize::from(here), there)
    }

    /// A client waits for copies: replicas are asked how far they are, and every sync counts.
    pub fn await_copies(&mut self, id: ClientId) {
        if !self.copies_awaited.contains(&id) {
            self.copies_awaited.push(id);
        }
        self.replication.asks_how_far = true;
        self.follow_syncs();
    }

    /// Once a turn: a sync may have been done just before it was known that somebody waits for it, and was not reported.
    pub fn look_for_syncs(&mut self, host: &mut dyn Host) {
        if !self.copies_awaited.is_empty() && self.aof.has_synced() {
            self.serve_copies(host);
        }
    }

    /// Something was synced, or a replica has said how far it is: looks whether clients that wait have waited long enough.
    pub fn serve_copies(&mut self, host: &mut dyn Host) {
        if self.copies_awaited.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.copies_awaited) {
            // Whoever waits on is listed again by its request.
            blocked::again(self, host, id);
        }
        self.follow_syncs();
    }
}
