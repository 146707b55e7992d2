//! New connections: how many there may be, and who may come in without a password.

use super::Server;
use super::notes;
use crate::client::{Attention, Endpoint};
use crate::exec::instance::Instance;
use crate::reactor::ConnId;
use crate::util::output_buffer::OutputBuffer;

const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// What a stranger reads who connects over the network to a server without a password or a bind address.
const PROTECTED: &[u8] =
    b"-DENIED Redis is running in protected mode because protected mode is enabled and no password \
is set for the default user. In this mode connections are only accepted from the loopback interface. To connect from \
other computers, do one of the following: 1) Set a password (CONFIG SET requirepass, or the requirepass parameter). \
2) Set protected-mode to no, when nobody but you can reach this server. 3) Bind to addresses that only you can reach \
(the bind parameter).\r\n";

impl Server {
    pub(super) fn accept(&mut self, inst: &mut Instance, conn: ConnId) {
        let reactor = &self.reactor;
        inst.stats.connections += 1;
        if inst.clients.len() as u64 >= u64::from(inst.config.limits.maxclients) {
            inst.stats.connections_rejected += 1;
            return self.turn_away(conn, TOO_MANY);
        }
        let from = Endpoint {
            addr: reactor.peer_text(conn),
            laddr: reactor.local_text(conn),
            fd: reactor.fd_number(conn),
            is_unix: reactor.is_unix(conn),
        };
        let no_password = inst.config.server.requirepass.is_empty();
        if inst.config.server.protected_mode && no_password && !from.is_local() {
            notes::denied(inst, &from.addr);
            return self.turn_away(conn, PROTECTED);
        }
        let now_ms = inst.now_ms;
        let client = inst.clients.add(conn, from, now_ms);
        client.session.attention.put(Attention::UNAUTHENTICATED, !no_password);
        notes::accepted(inst, conn);
    }

    /// One line, as far as the socket takes it, and goodbye.
    fn turn_away(&mut self, conn: ConnId, line: &[u8]) {
        let mut out = OutputBuffer::new();
        out.bytes_mut().extend_from_slice(line);
        let _ = self.reactor.write(conn, &mut out, usize::MAX); // a peer that is gone already misses nothing
        self.reactor.close(conn);
    }
}
