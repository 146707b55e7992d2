//! The group `limits`: what one client, or all of them together, may use.

use super::{I64, U63, group};
use crate::config::output_limits::OutputLimits;
use crate::config::row::{Apply, Needs, Spec};
use crate::config::value::MemoryOrPercent;

group! {
    /// What one client, or all of them together, may use.
    Limits in limits of Limits {
        /// How many clients may be connected at a time.
        maxclients: u32 = 10000 => Spec::unsigned("maxclients", 1, u32::MAX as u64).apply(Apply::MaxClients).protects();

        /// What a client may leave unread before it is closed, by class: at once above the hard limit, or when above
        /// the soft one for so many seconds. Classes that are not named keep their limits. Without a hard limit, a client
        /// that has left more than a megabyte unread (or than its soft limit) is given no further command until it reads.
        client_output_buffer_limit: OutputLimits = OutputLimits::default()
            => Spec::special("client-output-buffer-limit", "any of `normal|replica|pubsub HARD SOFT SECONDS`").multi().protects();

        /// How much of requests that are not complete a client may have sent. Of one that does not read its replies no
        /// more than half of this is received.
        client_query_buffer_limit: u64 = 1 << 30 => Spec::memory("client-query-buffer-limit", 1 << 20).protects();

        /// The largest argument of a request.
        proto_max_bulk_len: u64 = 512 << 20 => Spec::signed_memory("proto-max-bulk-len", 1 << 20).protects();

        /// How large a reply may be whose size the client chooses, not the data; more is refused. That is the reply of
        /// SRANDMEMBER, HRANDFIELD and ZRANDMEMBER with a negative count; what SORT makes of GET patterns may be eight
        /// times as large. 0 sets no limit.
        reply_max_bytes: u64 = 64 << 20 => Spec::memory("reply-max-bytes", 0).protects();

        /// A command that only reads, and more elements than this, is answered from a snapshot by another thread. So nobody
        /// else waits for it; its client's later commands do. Elements are counted by what they cost: one that is sorted,
        /// or looked for in other keys, counts as several. 0 never does that.
        snapshot_reads_above: u64 = 10_000 => Spec::unsigned("snapshot-reads-above", 0, U63);

        /// What all clients together may take: an amount, or a percentage of maxmemory. The greediest are closed.
        /// 0 sets no limit.
        maxmemory_clients: MemoryOrPercent = MemoryOrPercent::Bytes(0)
            => Spec::memory_or_percent("maxmemory-clients").protects();

        /// How many new connections are accepted in one turn.
        max_new_connections_per_cycle: u32 = 10 => Spec::unsigned("max-new-connections-per-cycle", 1, 1000).protects();

        /// The same for TLS connections, whose handshakes cost more.
        max_new_tls_connections_per_cycle: u32 = 1
            => Spec::unsigned("max-new-tls-connections-per-cycle", 1, 1000).waits(Needs::Tls).protects();

        /// How many requests of one client are carried out in one turn before the others have theirs.
        max_pipeline_depth: u32 = 1024 => Spec::int("max-pipeline-depth", 1, 1 << 20).protects();

        /// How many keys are remembered for clients that cache. Beyond that, random ones are forgotten, and those who have
        /// read them told so. 0 sets no limit.
        tracking_table_max_keys: u64 = 1_000_000 => Spec::unsigned("tracking-table-max-keys", 0, U63);

        /// After so many milliseconds a script is called slow, and other clients are told BUSY.
        busy_reply_threshold: i64 = 5000
            => Spec::int("busy-reply-threshold", 0, I64).alias(&["lua-time-limit"]);

        /// How much memory the state of Lua of all scripts may take, and that of all functions. A script that wants more
        /// fails. 0 sets no limit.
        lua_memory_limit: u64 = 1 << 30 => Spec::memory("lua-memory-limit", 0).protects();

        /// After so many milliseconds a script is stopped, and what it has written is taken back. 0 lets it run.
        lua_timeout_kill: i64 = 0 => Spec::int("lua-timeout-kill", 0, I64).protects();

        /// Keep what a script overwrites until it ends, so that one that has written can be stopped, too: what it has
        /// written is taken back. With no, such a script cannot be stopped.
        lua_rollback_on_kill: bool = true => Spec::bool("lua-rollback-on-kill");

        /// Take back what a transaction has written when one of its commands fails: EXEC is an error then. Without it, as in
        /// Redis, the others stay.
        transaction_rollback: bool = false => Spec::bool("transaction-rollback");
    }
}
