//! The section about memory.

use super::row::{Row, Value, absent, counter, gauge};
use crate::exec::memory::percent;
use crate::sys::allocator;

pub(super) static MEMORY: &[Row] = &[
    gauge("used_memory", |f| f.memory.used.into()).human().series("redis_memory_used_bytes", "Memory allocated"),
    gauge("used_memory_rss", |f| f.memory.rss.into())
        .human()
        .series("redis_memory_used_rss_bytes", "Memory resident, as the system counts it"),
    gauge("used_memory_peak", |f| f.memory.peak.into())
        .human()
        .series("redis_memory_used_peak_bytes", "The most memory that was allocated"),
    gauge("used_memory_peak_time", |f| f.memory.peak_s.into()),
    gauge("used_memory_peak_perc", |f| Value::Percent(percent(f.memory.used, f.memory.peak))),
    gauge("used_memory_overhead", |f| f.memory.overhead.into()),
    gauge("used_memory_startup", |f| f.memory.startup.into())
        .series("redis_memory_used_startup_bytes", "Memory allocated when the start was done"),
    gauge("used_memory_dataset", |f| f.memory.dataset().into())
        .series("redis_memory_used_dataset_bytes", "Memory allocated less what is not data"),
    gauge("used_memory_dataset_perc", |f| Value::Percent(f.memory.dataset_percent())),
    gauge("allocator_allocated", |f| f.memory.allocator.allocated.into())
        .series("redis_allocator_allocated_bytes", "Bytes the allocator gave out"),
    gauge("allocator_active", |f| f.memory.allocator.active.into())
        .series("redis_allocator_active_bytes", "Bytes in the allocator's active pages"),
    gauge("allocator_resident", |f| f.memory.allocator.resident.into())
        .series("redis_allocator_resident_bytes", "Bytes of the allocator's resident pages"),
    absent("allocator_muzzy"),
    gauge("total_system_memory", |f| f.host.process().machine_memory_bytes().into()).human(),
    gauge("used_memory_lua", |f| f.inst.scripts.engine_memory().0.into()),
    gauge("used_memory_vm_eval", |f| f.inst.scripts.engine_memory().0.into())
        .series("kvstash_script_engine_bytes", "Memory of the state of Lua that scripts run in"),
    gauge("used_memory_lua_human", |f| Value::Size(f.inst.scripts.engine_memory().0 as u64)),
    gauge("used_memory_scripts_eval", |f| f.inst.scripts.cache.memory().into())
        .series("redis_used_memory_scripts_eval_bytes", "Memory of the scripts that are known"),
    gauge("number_of_cached_scripts", |f| f.inst.scripts.cache.len().into())
        .series("redis_number_of_cached_scripts", "Scripts that are known"),
    gauge("number_of_functions", |f| f.inst.scripts.libraries.functions().into())
        .series("redis_number_of_functions", "Functions of all libraries"),
    gauge("number_of_libraries", |f| f.inst.scripts.libraries.len().into())
        .series("redis_number_of_libraries", "Libraries of functions"),
    gauge("used_memory_vm_functions", |f| f.inst.scripts.engine_memory().1.into())
        .series("kvstash_function_engine_bytes", "Memory of the state of Lua that functions run in"),
    gauge("used_memory_vm_total", |f| {
        let (eval, functions) = f.inst.scripts.engine_memory();
        (eval + functions).into()
    })
    .human(),
    gauge("used_memory_functions", |f| f.inst.scripts.libraries.memory().into()),
    gauge("used_memory_scripts", |f| (f.inst.scripts.cache.memory() + f.inst.scripts.libraries.memory()).into())
        .human(),
    gauge("maxmemory", |f| f.inst.config.storage.maxmemory.into())
        .human()
        .series("redis_memory_max_bytes", "The bound maxmemory; 0 is none"),
    gauge("maxmemory_policy", |f| f.inst.config.storage.maxmemory_policy.word().into()),
    gauge("allocator_frag_ratio", |f| ratio(f.memory.allocator_fragmentation().ratio)),
    gauge("allocator_frag_bytes", |f| f.memory.allocator_fragmentation().bytes.into()),
    gauge("allocator_rss_ratio", |f| ratio(f.memory.allocator_rss().ratio)),
    gauge("allocator_rss_bytes", |f| f.memory.allocator_rss().bytes.into()),
    gauge("rss_overhead_ratio", |f| ratio(f.memory.rss_overhead().ratio)),
    gauge("rss_overhead_bytes", |f| f.memory.rss_overhead().bytes.into()),
    gauge("mem_fragmentation_ratio", |f| ratio(f.memory.fragmentation().ratio))
        .series("redis_mem_fragmentation_ratio", "Resident memory over allocated memory"),
    gauge("mem_fragmentation_bytes", |f| f.memory.fragmentation().bytes.into()),
    gauge("mem_not_counted_for_evict", |f| f.inst.uncounted_memory().into()),
    gauge("mem_replication_backlog", |f| f.memory.stream.backlog.into())
        .series("redis_mem_replication_backlog_bytes", "Memory of the write stream, as far as it is kept in any case"),
    gauge("mem_total_replication_buffers", |f| (f.memory.stream.backlog + f.memory.stream.beyond).into()),
    absent("mem_replica_full_sync_buffer"),
    gauge("mem_clients_slaves", |f| f.memory.stream.beyond.into())
        .series("redis_mem_clients_slaves", "Memory of the write stream that is kept for replicas that are behind"),
    gauge("mem_clients_normal", |f| f.memory.clients.into())
        .series("redis_mem_clients_normal", "Memory of clients' state and buffers"),
    absent("mem_cluster_links"),
    gauge("mem_aof_buffer", |f| f.memory.aof.into()),
    gauge("mem_allocator", |f| match &f.inst.config.observability.info_mem_allocator {
        called if called.is_empty() => allocator::name().into(),
        called => called.to_lossy().into(),
    }),
    absent("mem_overhead_db_hashtable_rehashing"),
    gauge("active_defrag_running", |f| f.inst.defragmenter.percent().into())
        .series("redis_active_defrag_running", "Share of a processor that moving memory may take just now, in percent"),
    gauge("lazyfree_pending_objects", |f| f.inst.keyspace.lazyfree().pending_objects().into())
        .series("redis_lazyfree_pending_objects", "Values that wait to be freed in the background"),
    counter("lazyfreed_objects", |f| f.inst.keyspace.lazyfree().freed_objects().into())
        .series("redis_lazyfreed_objects_total", "Values freed in the background"),
];

fn ratio(ratio: f64) -> Value {
    Value::Fixed(ratio, 2)
}
