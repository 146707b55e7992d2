//! The line of CLIENT LIST and CLIENT INFO. Clients of ours parse it, so the names and their order are Redis's.

use std::fmt::Write;

use super::{Attention, Client, ClientFlags};
use crate::pubsub::Kind;
use crate::tracking::Modes;

impl Client<'_> {
    /// Appends this client's line, without a line break. `command` is the full name of its last command.
    pub fn push_line(self, out: &mut String, now_ms: i64, command: &str) {
        let Client { session, connection } = self;
        let about = &session.about;
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let (multi, multi_memory) = session.transaction.as_ref().map_or((-1, 0), |t| (t.len() as i64, t.memory()));
        let (received, room) = match connection.lent {
            (0, 0) => (connection.query.len(), connection.query.capacity()),
            lent => lent,
        };
        // A large argument is received in a buffer of its own, which in Redis is the query buffer.
        let (large, large_room) = connection.parser.large_buffer();
        let free = room - received + large_room - large;
        let owed = session.reply.out.len() + session.held_bytes();
        let _ = write!(
            out,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={multi} \
             watch={} qbuf={} qbuf-free={free} argv-mem={} multi-mem={multi_memory} rbs={} rbp={} obl={} oll={} \
             omem={} tot-mem={} events={} cmd={command} user={} redir={} resp={} lib-name={} lib-ver={} io-thread=0 \
             tot-net-in={} tot-net-out={} tot-cmds={}",
            session.id,
            connection.addr,
            connection.laddr,
            connection.fd,
            text(&about.name),
            (now_ms - connection.created_ms).max(0) / 1000,
            (now_ms - connection.last_active_ms).max(0) / 1000,
            self.flag_letters(),
            session.db,
            session.subscribed(Kind::Channel),
            session.subscribed(Kind::Pattern),
            session.subscribed(Kind::Shard),
            session.watching,
            received - connection.consumed + large,
            connection.parser.memory() - large_room,
            session.reply.out.memory(),
            owed,
            owed.min(16 * 1024),
            usize::from(owed > 16 * 1024),
            if owed > 16 * 1024 { session.reply.out.memory() + session.held_memory() } else { 0 },
            self.memory(),
            if owed == 0 { "r" } else { "rw" },
            text(&about.user),
            session.redirect(),
            session.reply.proto.number(),
            text(&about.lib_name),
            text(&about.lib_ver),
            connection.input_bytes,
            connection.output_bytes,
            session.commands,
        );
        // Behind all of Redis's fields, and only where it was asked for.
        if let Some(demand) = &about.demand {
            let (acks, timeout_ms) = (demand.acks, demand.timeout_ms);
            let fsync = if demand.fsync { "yes" } else { "no" };
            let _ = write!(out, " write-acks={acks} write-acks-fsync={fsync} write-acks-timeout={timeout_ms}");
        }
    }

    /// The letters of the `flags` field.
    pub fn flag_letters(self) -> String {
        let (attention, flags) = (self.session.attention, self.connection.flags);
        let modes = self.session.tracker.as_ref().map_or(Modes::NONE, |tracker| tracker.modes());
        let mut letters = String::new();
        for (on, letter) in [
            (attention.has(Attention::MONITOR), 'O'),
            (self.session.is_subscriber(), 'P'),
            (attention.has(Attention::IN_MULTI), 'x'),
            (attention.has(Attention::HELD), 'b'),
            (modes.has(Modes::ON), 't'),
            (modes.has(Modes::BROKEN_REDIRECT), 'R'),
            (modes.has(Modes::BCAST), 'B'),
            (attention.has(Attention::CLOSING), 'c'),
            (attention.has(Attention::CLOSE_NOW), 'A'),
            (attention.has(Attention::REPLICA), 'S'),
            (self.session.is_copy_channel(), 'C'),
            (attention.has(Attention::PRIMARY), 'M'),
            (flags.has(ClientFlags::UNIX_SOCKET), 'U'),
            (flags.has(ClientFlags::NO_EVICT), 'e'),
            (attention.has(Attention::AWAITS_SHUTDOWN), 'b'),
            (attention.has(Attention::NO_TOUCH), 'T'),
        ] {
            if on {
                letters.push(letter);
            }
        }
        if letters.is_empty() {
            letters.push('N');
        }
        letters
    }
}
