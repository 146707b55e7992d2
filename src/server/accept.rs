//! New connections: how many there may be, and who may come in without a password.

use super::Server;
use super::notes;
use crate::client::{About, Attention, ClientFlags, is_loopback};
use crate::reactor::{ConnId, ListenerId};
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
    pub(super) fn accept(&mut self, conn: ConnId, listener: ListenerId) {
        let reactor = &mut self.host.reactor;
        self.inst.stats.connections += 1;
        if self.inst.clients.len() as u64 >= u64::from(self.inst.config.limits.maxclients) {
            self.inst.stats.connections_rejected += 1;
            return self.turn_away(conn, TOO_MANY);
        }
        let unix = reactor.is_unix(conn);
        let addr = reactor.peer_text(conn);
        let about = About {
            laddr: reactor.local_text(conn),
            fd: i64::from(reactor.fd_number(conn)),
            user: b"default".to_vec(),
            addr,
            ..About::default()
        };
        let local = unix || is_loopback(&about.addr);
        let no_password = self.inst.config.server.requirepass.is_empty();
        if self.inst.config.server.protected_mode && no_password && !local {
            notes::denied(&self.inst, &about.addr);
            return self.turn_away(conn, PROTECTED);
        }
        let now_ms = self.inst.now_ms;
        let client = self.inst.clients.add(conn, about, now_ms);
        client.attention.put(Attention::UNAUTHENTICATED, !no_password);
        client.flags.put(ClientFlags::UNIX_SOCKET, unix);
        client.flags.put(ClientFlags::LOCAL, local);
        client.flags.put(ClientFlags::DRAINED, true); // until the first event says otherwise
        let _ = listener;
        notes::accepted(&self.inst, conn);
    }

    /// One line, as far as the socket takes it, and goodbye.
    fn turn_away(&mut self, conn: ConnId, line: &[u8]) {
        let mut out = OutputBuffer::new();
        out.bytes_mut().extend_from_slice(line);
        let _ = self.host.reactor.write(conn, &mut out, usize::MAX); // a peer that is gone already misses nothing
        self.host.reactor.close(conn);
    }
}
