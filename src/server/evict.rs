//! maxmemory-clients: when all clients together take too much memory, those that take the most are closed.
//!
//! While there is a limit, on this or on the data, each client is counted after its bytes were read, after its requests ran, and after its
//! replies were sent; so the sum is known without a walk over all of them. It is compared with the limit before requests
//! run, so that they need not be refused and no key has to go for a client's sake, and before the wait.
//!
//! A client that said CLIENT NO-EVICT ON counts, and is never closed for this.

use super::Server;
use crate::client::ClientFlags;
use crate::exec::instance::{CloseReason, Instance};

impl Server {
    /// Closes clients, the largest first, until the others are within the limit.
    #[inline]
    pub(super) fn evict_clients(&mut self, inst: &mut Instance) {
        let config = &inst.config;
        let limit = config.limits.maxmemory_clients.bytes_of(config.storage.maxmemory);
        // Eviction of keys wants to know what belongs to clients, too.
        let sum = inst.clients.count_all(limit.is_some() || config.storage.maxmemory > 0);
        if limit.is_some_and(|limit| sum as u64 >= limit) {
            self.evict_down_to(inst, limit.unwrap_or(0));
        }
    }

    #[cold]
    fn evict_down_to(&mut self, inst: &mut Instance, limit: u64) {
        let clients = inst.clients.iter().filter(|client| !client.connection.flags.has(ClientFlags::NO_EVICT));
        let mut greedy: Vec<_> = clients.map(|client| (client.memory(), client.connection.conn)).collect();
        greedy.sort_unstable_by_key(|(memory, _)| std::cmp::Reverse(*memory));
        for (_, conn) in greedy {
            if (inst.clients.count_all(true) as u64) < limit {
                return;
            }
            self.close(inst, conn, CloseReason::Evicted);
        }
    }
}
