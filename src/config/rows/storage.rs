//! The group `storage`: databases, memory and eviction, the encodings of small values.

use super::{I32, I64, U63, group};
use crate::config::choice::MaxmemoryPolicy;
use crate::config::row::{Apply, Spec};
use crate::config::special::{EventStream, KeyspaceEvents};

group! {
    /// Databases, memory and eviction, the encodings of small values.
    Storage in storage of Storage {
        /// How many numbered databases there are.
        databases: u32 = 16 => Spec::int("databases", 1, I32).at_start();

        /// The limit on memory. Above it keys are evicted, as the policy says; if none may be, commands that need
        /// memory are refused. What only a running snapshot needs does not count, nor what clients have sent and are
        /// owed; what long strings share counts for each of them. 0 sets none.
        maxmemory: u64 = 0 => Spec::memory("maxmemory", 0).apply(Apply::Memory).protects();

        /// Which keys go when memory is full. LRU and LFU keep what keys like it are used for most often, for the room they take; then LRU looks at the time without use, LFU counts the counter of uses besides.
        maxmemory_policy: MaxmemoryPolicy = MaxmemoryPolicy::Noeviction
            => Spec::choice("maxmemory-policy", MaxmemoryPolicy::WORDS).protects();

        /// Among how many keys of each database the victim is chosen, besides the best seen before. Measured, more than 5 gain nothing.
        maxmemory_samples: u32 = 5 => Spec::int("maxmemory-samples", 1, 64);

        /// How long an eviction may delay clients, from 0 (hardly) over 10 (0.5 ms) to 100 (without limit).
        maxmemory_eviction_tenacity: u32 = 10 => Spec::int("maxmemory-eviction-tenacity", 0, 100);

        /// How slowly the counter of uses grows.
        lfu_log_factor: u32 = 10 => Spec::int("lfu-log-factor", 0, I32);

        /// After how many minutes the counter of uses falls by one. 0 keeps it.
        lfu_decay_time: u32 = 1 => Spec::int("lfu-decay-time", 0, I32);

        /// Free evicted values on another thread, not only the huge ones.
        lazyfree_lazy_eviction: bool = false => Spec::bool("lazyfree-lazy-eviction");

        /// Free overwritten values on another thread, not only the huge ones.
        lazyfree_lazy_server_del: bool = false => Spec::bool("lazyfree-lazy-server-del");

        /// DEL frees on another thread as UNLINK does, not only huge values.
        lazyfree_lazy_user_del: bool = false => Spec::bool("lazyfree-lazy-user-del");

        /// FLUSHDB and FLUSHALL free on another thread unless told otherwise.
        lazyfree_lazy_user_flush: bool = false => Spec::bool("lazyfree-lazy-user-flush");

        /// Which keyspace events are published: a set of letters.
        notify_keyspace_events: KeyspaceEvents = KeyspaceEvents::default()
            => Spec::special("notify-keyspace-events", "letters of `Ag$lshzxeKEtmdnoc`");

        /// A key of database 0 that is a stream of these events, and how long it may become: a consumer that was away
        /// loses nothing. The letters `K` and `E` are not needed for it.
        notify_keyspace_stream: EventStream = EventStream::default()
            => Spec::special("notify-keyspace-stream", "`KEY`, or `KEY MAXLEN COUNT`").multi();

        /// Rehash tables in idle time.
        activerehashing: bool = true
            => Spec::bool("activerehashing").no_effect("tables grow one small segment at a time, with the writes");

        /// Let the allocator return memory from a thread of its own.
        jemalloc_bg_thread: bool = true => Spec::bool("jemalloc-bg-thread").apply(Apply::Allocator);

        /// Move what lies in sparse memory closer together, so that the system gets pages back.
        activedefrag: bool = true => Spec::bool("activedefrag");

        /// Fragmentation in bytes (`allocator_frag_bytes`) below which nothing is moved.
        active_defrag_ignore_bytes: u64 = 1 << 20
            => Spec::memory("active-defrag-ignore-bytes", 1);

        /// Fragmentation in percent from which memory is moved.
        active_defrag_threshold_lower: u32 = 10
            => Spec::int("active-defrag-threshold-lower", 0, 1000);

        /// Fragmentation in percent from which the greatest effort is made.
        active_defrag_threshold_upper: u32 = 100
            => Spec::int("active-defrag-threshold-upper", 0, 1000);

        /// The least effort of a pass, in percent of a processor.
        active_defrag_cycle_min: u32 = 1 => Spec::int("active-defrag-cycle-min", 1, 99);

        /// The greatest effort of a pass, in percent of a processor.
        active_defrag_cycle_max: u32 = 25 => Spec::int("active-defrag-cycle-max", 1, 99);

        /// A value of more elements is gone through in parts, by itself.
        active_defrag_max_scan_fields: u64 = 1000
            => Spec::int("active-defrag-max-scan-fields", 1, I64);

        /// Up to how many fields a hash is a listpack.
        hash_max_listpack_entries: u64 = 512
            => Spec::unsigned("hash-max-listpack-entries", 0, U63).alias(&["hash-max-ziplist-entries"]);

        /// Up to which length of field and value a hash is a listpack.
        hash_max_listpack_value: u64 = 64
            => Spec::memory("hash-max-listpack-value", 0).alias(&["hash-max-ziplist-value"]);

        /// The size of a list's nodes: so many elements, or if negative, 4, 8, 16, 32 or 64 kb for -1 to -5.
        list_max_listpack_size: i32 = -2
            => Spec::int("list-max-listpack-size", -I32 - 1, I32).alias(&["list-max-ziplist-size"]);

        /// How many nodes at the ends of a list are not compressed. 0 compresses none.
        list_compress_depth: u32 = 0 => Spec::int("list-compress-depth", 0, I32);

        /// Up to how many integers a set is an intset.
        set_max_intset_entries: u64 = 512
            => Spec::unsigned("set-max-intset-entries", 0, U63);

        /// Up to how many members a set is a listpack.
        set_max_listpack_entries: u64 = 128
            => Spec::unsigned("set-max-listpack-entries", 0, U63);

        /// Up to which length of a member a set is a listpack.
        set_max_listpack_value: u64 = 64
            => Spec::unsigned("set-max-listpack-value", 0, U63);

        /// Up to how many members a sorted set is a listpack.
        zset_max_listpack_entries: u64 = 128
            => Spec::unsigned("zset-max-listpack-entries", 0, U63).alias(&["zset-max-ziplist-entries"]);

        /// Up to which length of a member a sorted set is a listpack.
        zset_max_listpack_value: u64 = 64
            => Spec::memory("zset-max-listpack-value", 0).alias(&["zset-max-ziplist-value"]);

        /// Up to which size a HyperLogLog is sparse.
        hll_sparse_max_bytes: u64 = 3000 => Spec::memory("hll-sparse-max-bytes", 0);

        /// The size of a stream's nodes in bytes. 0 sets no limit.
        stream_node_max_bytes: u64 = 4096 => Spec::memory("stream-node-max-bytes", 0);

        /// The size of a stream's nodes in entries. 0 sets no limit.
        stream_node_max_entries: u64 = 100
            => Spec::int("stream-node-max-entries", 0, I64);
    }
}
