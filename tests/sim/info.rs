//! The rows of INFO on a whole instance: what CONFIG RESETSTAT sets to zero, and what it leaves alone.

use kvstash::client::PushCounts;
use kvstash::commands::info::{self, Facts, Kind, Value};
use kvstash::config::choice::Allowed;
use kvstash::config::value::Text;
use kvstash::db;
use kvstash::exec::defrag::DefragCounts;
use kvstash::exec::eviction::Demand;
use kvstash::exec::persistence::Snapshots;
use kvstash::exec::readers::ReadCounts;
use kvstash::exec::replication::{QuorumCounts, SyncCounts};
use kvstash::exec::stats::{Stats, Turns};

use crate::world::World;

/// An instance on which everything that is counted has been counted. Written without `..`: a new count does not compile
/// before it is counted here, too.
fn busy_world() -> World {
    let mut w = World::new(1, 1);
    let say = |w: &mut World, line: &str| {
        w.say(1, &line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    };
    say(&mut w, "SET gone 1");
    say(&mut w, "FLUSHALL ASYNC");
    while w.inst.keyspace.lazyfree().pending_objects() > 0 {
        std::thread::yield_now(); // the thread that frees is at it
    }
    say(&mut w, "SET a 1");
    w.inst.config.persistence.dbfilename = Text::from("no-such-directory/dump.rdb");
    assert!(w.inst.save_now(w.host.now_ms()).is_err());
    w.inst.config.storage.maxmemory = 1;
    w.inst.config_changed();
    w.inst.make_room(&w.host, Demand { stores_bytes: 1 << 20, ..Demand::default() });
    w.pass(50);
    let mut stats = Stats {
        commands: 1,
        input_bytes: 2,
        output_bytes: 3,
        reads: 4,
        writes: 5,
        unexpected_errors: 23,
        connections: 6,
        connections_rejected: 7,
        query_limit_closed: 8,
        output_limit_closed: 9,
        evicted_clients: 10,
        busy_polls: 11,
        busy_polls_found: 12,
        expire_stopped_early: 13,
        events: 1,
        events_refused: false,
        published: 1,
        published_shard: 2,
        pushes: PushCounts { delivered: [3, 4, 5, 6, 7, 8, 9], dropped: [8, 9, 10, 11, 12, 13, 14] },
        subscribers_closed: 13,
        rollbacks: 14,
        errors: Default::default(),
        rates: Default::default(),
        turns: Turns {
            longest_us: 14,
            commands_max: 15,
            count: 16,
            total_ns: 17_000,
            cron_ns: 18_000,
            expire_ns: 19_000_000,
            nested_ns: 20,
        },
    };
    stats.errors.count("ERR");
    w.inst.stats = stats;
    w.inst.scripts.cache.evicted = 41;
    w.inst.readers.counts = ReadCounts { done: 35, cancelled: 36, reply_bytes: 37, time_ns: 8_000 };
    w.inst.replication.counts = SyncCounts { full: 38, partial: 39, refused: 40 };
    w.inst.replication.quorum.counts = QuorumCounts { acknowledged: 42, refused: 43 };
    w.inst.snapshots = Snapshots { taken: 21, last_ns: 22_000 };
    *w.inst.keyspace.stats_mut() =
        db::Stats { hits: 23, misses: 24, expired_keys: 25, expired_fields: 26, evicted_keys: 27, dirty: 28 };
    w.inst.defragmenter.counts =
        DefragCounts { hits: 30, misses: 31, key_hits: 32, key_misses: 33, total_ns: 34_000_000 };
    w.inst.metrics.commands[0].record(29_000, true, true);
    w
}

/// What every row says: section, name, kind, value.
fn said(w: &mut World) -> Vec<(&'static str, &'static str, Kind, Value)> {
    let memory = w.inst.memory_report(&w.host, None);
    let facts = Facts::new(&w.inst, None, &w.host, &memory);
    info::rows().map(|(section, row)| (section, row.info, row.kind, row.value(&facts))).collect()
}

#[test]
fn resetstat_sets_counters_to_zero_and_leaves_states() {
    let mut w = busy_world();
    let before = said(&mut w);
    w.inst.reset_statistics();
    let after = said(&mut w);
    assert_eq!(before.len(), after.len());
    for ((section, name, kind, before), (.., after)) in before.into_iter().zip(after) {
        let zero = |value: &Value| value.number() == Some(0.0);
        match kind {
            Kind::Counter => {
                assert!(!zero(&before), "{section}: {name} is counted, but not by this test");
                assert!(zero(&after), "{section}: {name} is {after} after a reset");
            }
            Kind::Measure => {
                assert!(zero(&after) || after.number().is_none(), "{section}: {name} is {after} after a reset");
            }
            // Other tests of this process take and free memory meanwhile.
            Kind::Gauge if section == "memory" => {
                assert!(zero(&before) || !zero(&after), "{section}: {name} is a state, and was reset");
            }
            Kind::Gauge => assert_eq!(before, after, "{section}: {name} is a state"),
            Kind::Total => assert!(after.number() >= before.number(), "{section}: {name} went back"),
            Kind::Absent => assert_eq!(before, after, "{section}: {name} is about nothing"),
        }
    }
}

/// What other threads see is what the rows say.
#[test]
fn what_is_published_is_what_the_rows_say() {
    let mut w = busy_world();
    info::publish(&mut w.inst, &w.host);
    let said = said(&mut w);
    let mut seen = 0;
    for (series, value) in w.inst.metrics.rows() {
        let (section, _, _, row) = said.iter().find(|(_, name, ..)| *name == series.info).expect("a row");
        if !["memory", "cpu"].contains(section) {
            // What INFO says nothing about, because there is no such thing just now, is 0.
            assert_eq!(value, row.number().unwrap_or(0.0), "{}", series.name);
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
    let keys = w.inst.metrics.dbs[0].keys.get();
    assert_eq!(keys, 1);
}

#[test]
fn the_process_is_the_hosts() {
    let mut w = World::new(1, 1);
    let says = |w: &mut World, name: &str| {
        let found = said(w).into_iter().find(|(_, row, ..)| *row == name);
        found.map(|(.., value)| value.to_string()).expect("there is such a row")
    };
    for (name, value) in [
        ("process_id", "4242"),
        ("executable", "/simulated/kvstash"),
        ("os", "Simulation 1.0 none"),
        ("total_system_memory", "17179869184"),
        ("used_memory_rss", "16777216"),
    ] {
        assert_eq!(says(&mut w, name), value, "{name}");
    }
    w.inst.config.server.enable_protected_configs = Allowed::Yes;
    let mut set = |words: &[&str]| {
        let words: Vec<String> = ["CONFIG", "SET"].iter().chain(words).map(|word| word.to_string()).collect();
        w.say(1, &words);
        assert_eq!(w.received(1), "+OK\r\n", "{words:?}");
    };
    set(&["oom-score-adj-values", "30 200 800", "oom-score-adj", "absolute"]);
    set(&["dir", "/"]);
    assert_eq!(w.host.oom_score.get(), 30);
    assert_eq!(w.host.directory.borrow().to_str(), Some("/"));
}
