//! The section about memory.

use super::{Facts, Human, Line};
use crate::exec::memory::percent;
use crate::sys::{allocator, process};

pub(super) fn memory(facts: &Facts<'_>, line: Line<'_>) {
    used(facts, line);
    subsystems(facts, line);
    fragmentation(facts, line);
    let report = facts.memory;
    let lazy = facts.inst.keyspace.lazyfree();
    line("mem_not_counted_for_evict", &facts.inst.uncounted_memory());
    line("mem_replication_backlog", &0);
    line("mem_total_replication_buffers", &0);
    line("mem_replica_full_sync_buffer", &0);
    line("mem_clients_slaves", &0);
    line("mem_clients_normal", &report.clients);
    line("mem_cluster_links", &0);
    line("mem_aof_buffer", &0);
    let called = &facts.inst.config.observability.info_mem_allocator;
    match called.is_empty() {
        true => line("mem_allocator", &allocator::name()),
        false => line("mem_allocator", &called.to_lossy()),
    }
    line("mem_overhead_db_hashtable_rehashing", &0);
    line("active_defrag_running", &facts.inst.defragmenter.percent());
    line("lazyfree_pending_objects", &lazy.pending_objects());
    line("lazyfreed_objects", &lazy.freed_objects());
}

fn used(facts: &Facts<'_>, line: Line<'_>) {
    let report = facts.memory;
    let allocator = &report.allocator;
    let machine_bytes = process::machine_memory_bytes();
    line("used_memory", &report.used);
    line("used_memory_human", &Human(report.used));
    line("used_memory_rss", &report.rss);
    line("used_memory_rss_human", &Human(report.rss));
    line("used_memory_peak", &report.peak);
    line("used_memory_peak_human", &Human(report.peak));
    line("used_memory_peak_time", &report.peak_s);
    line("used_memory_peak_perc", &format_args!("{:.2}%", percent(report.used, report.peak)));
    line("used_memory_overhead", &report.overhead);
    line("used_memory_startup", &report.startup);
    line("used_memory_dataset", &report.dataset());
    line("used_memory_dataset_perc", &format_args!("{:.2}%", report.dataset_percent()));
    line("allocator_allocated", &allocator.allocated);
    line("allocator_active", &allocator.active);
    line("allocator_resident", &allocator.resident);
    line("allocator_muzzy", &0);
    line("total_system_memory", &machine_bytes);
    line("total_system_memory_human", &Human(machine_bytes));
}

/// What scripts take, of which there are none; and the limit.
fn subsystems(facts: &Facts<'_>, line: Line<'_>) {
    let storage = &facts.inst.config.storage;
    line("used_memory_lua", &0);
    line("used_memory_vm_eval", &0);
    line("used_memory_lua_human", &Human(0));
    line("used_memory_scripts_eval", &0);
    line("number_of_cached_scripts", &0);
    line("number_of_functions", &0);
    line("number_of_libraries", &0);
    line("used_memory_vm_functions", &0);
    line("used_memory_vm_total", &0);
    line("used_memory_vm_total_human", &Human(0));
    line("used_memory_functions", &0);
    line("used_memory_scripts", &0);
    line("used_memory_scripts_human", &Human(0));
    line("maxmemory", &storage.maxmemory);
    line("maxmemory_human", &Human(storage.maxmemory));
    line("maxmemory_policy", &storage.maxmemory_policy.word());
}

fn fragmentation(facts: &Facts<'_>, line: Line<'_>) {
    let report = facts.memory;
    for (ratio, bytes, share) in [
        ("allocator_frag_ratio", "allocator_frag_bytes", report.allocator_fragmentation()),
        ("allocator_rss_ratio", "allocator_rss_bytes", report.allocator_rss()),
        ("rss_overhead_ratio", "rss_overhead_bytes", report.rss_overhead()),
        ("mem_fragmentation_ratio", "mem_fragmentation_bytes", report.fragmentation()),
    ] {
        line(ratio, &format_args!("{:.2}", share.ratio));
        line(bytes, &share.bytes);
    }
}
