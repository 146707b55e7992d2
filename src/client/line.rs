//! The line of CLIENT LIST and CLIENT INFO. Clients of ours parse it, so the names and their order are Redis's.

use std::fmt::Write;

use super::{Attention, Client, ClientFlags};
use crate::pubsub::Kind;

impl Client {
    /// Appends this client's line, without a line break. `command` is the full name of its last command.
    pub fn push_line(&self, out: &mut String, now_ms: i64, command: &str) {
        let about = &self.about;
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let (multi, multi_memory) = self.transaction.as_ref().map_or((-1, 0), |t| (t.len() as i64, t.memory()));
        let (received, room) = match self.lent {
            (0, 0) => (self.query.len(), self.query.capacity()),
            lent => lent,
        };
        // A large argument is received in a buffer of its own, which in Redis is the query buffer.
        let (large, large_room) = self.parser.large_buffer();
        let free = room - received + large_room - large;
        let owed = self.reply.out.len();
        let _ = write!(
            out,
            "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={multi} \
             watch={} qbuf={} qbuf-free={free} argv-mem={} multi-mem={multi_memory} rbs={} rbp={} obl={} oll={} \
             omem={} tot-mem={} events={} cmd={command} user={} redir=-1 resp={} lib-name={} lib-ver={} io-thread=0 \
             tot-net-in={} tot-net-out={} tot-cmds={}",
            self.id,
            about.addr,
            about.laddr,
            about.fd,
            text(&about.name),
            (now_ms - about.created_ms).max(0) / 1000,
            (now_ms - self.last_active_ms).max(0) / 1000,
            self.flag_letters(),
            self.db,
            self.subscribed(Kind::Channel),
            self.subscribed(Kind::Pattern),
            self.subscribed(Kind::Shard),
            self.watching,
            received - self.consumed + large,
            self.parser.memory() - large_room,
            self.reply.out.memory(),
            owed,
            owed.min(16 * 1024),
            usize::from(owed > 16 * 1024),
            if owed > 16 * 1024 { self.reply.out.memory() } else { 0 },
            self.memory(),
            if self.reply.out.is_empty() { "r" } else { "rw" },
            text(&about.user),
            self.reply.proto.number(),
            text(&about.lib_name),
            text(&about.lib_ver),
            self.input_bytes,
            self.output_bytes,
            self.commands,
        );
    }

    /// The letters of the `flags` field.
    pub fn flag_letters(&self) -> String {
        let mut letters = String::new();
        for (on, letter) in [
            (self.attention.has(Attention::MONITOR), 'O'),
            (self.is_subscriber(), 'P'),
            (self.attention.has(Attention::IN_MULTI), 'x'),
            (self.attention.has(Attention::HELD), 'b'),
            (self.attention.has(Attention::CLOSING), 'c'),
            (self.attention.has(Attention::CLOSE_NOW), 'A'),
            (self.flags.has(ClientFlags::UNIX_SOCKET), 'U'),
            (self.flags.has(ClientFlags::NO_EVICT), 'e'),
            (self.attention.has(Attention::AWAITS_SHUTDOWN), 'b'),
            (self.attention.has(Attention::NO_TOUCH), 'T'),
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
