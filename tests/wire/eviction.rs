//! What becomes of keys, and of commands, when memory is at its limit.
//!
//! Limits are set relative to what is used when a test begins, and what is expected is a share of the keys: servers
//! spend memory differently, and choose their victims by chance.

use crate::support::{Conn, Peer, Proto, Server, wait_for};
use std::time::Duration;

const OOM: &str = "(error) OOM command not allowed when used memory > 'maxmemory'.";

/// An access is known by its second.
const TWO_SECONDS: Duration = Duration::from_millis(2_100);

fn number(kv: &mut Conn, field: &str) -> u64 {
    kv.info(field).parse().unwrap()
}

/// Sets the limit to so many bytes above what is used now.
fn limit_above_use(kv: &mut Conn, bytes: u64, policy: &str) {
    let max = number(kv, "used_memory") + bytes;
    kv.ok(&format!("CONFIG SET maxmemory-policy {policy} maxmemory {max}"));
}

/// Writes keys `prefix:0` and so on with values of 1 KB in pipelines; `with` is put behind. Returns how many were
/// refused.
fn fill(kv: &mut Conn, prefix: &str, keys: std::ops::Range<usize>, with: impl Fn(usize) -> Vec<String>) -> usize {
    let mut refused = 0;
    let value = "v".repeat(1_000);
    for chunk in keys.collect::<Vec<_>>().chunks(100) {
        for &i in chunk {
            let mut args = vec!["SET".to_string(), format!("{prefix}:{i}"), value.clone()];
            args.extend(with(i));
            kv.send(&args);
        }
        refused += chunk.iter().filter(|_| kv.read().is_error()).count();
    }
    refused
}

fn plain(_: usize) -> Vec<String> {
    vec![]
}

fn get(kv: &mut Conn, prefix: &str, keys: impl Iterator<Item = usize>, times: usize) {
    for i in keys {
        for _ in 0..times {
            kv.send(&["GET", &format!("{prefix}:{i}")]);
        }
        (0..times).for_each(|_| _ = kv.read());
    }
}

/// How many of the keys are there.
fn present(kv: &mut Conn, prefix: &str, keys: impl Iterator<Item = usize>) -> usize {
    keys.filter(|i| kv.int(&format!("EXISTS {prefix}:{i}")) == 1).count()
}

#[test]
fn without_eviction_commands_that_need_memory_are_refused() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk(&format!(
        r#"
        SET a 1
        SET b 2
        CONFIG SET maxmemory 1
        SET c 1                    => {OOM}
        APPEND a 1                 => {OOM}
        INCR a                     => {OOM}
        SET nobody                 => (error) ERR wrong number of arguments for 'set' command
        GET a                      => "1"
        EXPIRE a 100               => 1
        DEL b                      => 1
        MULTI                      => OK
        GET a                      => QUEUED
        SET c 1                    => {OOM}
        EXEC                       => (error) EXECABORT Transaction discarded because of previous errors.
        MULTI                      => OK
        GET a                      => QUEUED
        EXEC                       => ["1"]
        CONFIG SET maxmemory 0     => OK
        SET c 1                    => OK
        MULTI                      => OK
        SET d 1                    => QUEUED
        "#
    ));
    server.connect().ok("CONFIG SET maxmemory 1");
    kv.talk(&format!(
        r#"
        EXEC    => (error) EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.
        GET d   => (nil)
        EXEC    => (error) ERR EXEC without MULTI
        SET d 1 => {OOM}
        "#
    ));
    assert_eq!(kv.info("evicted_keys"), "0");
    assert_eq!(kv.info("maxmemory"), "1");
    assert_eq!(kv.info("maxmemory_human"), "1B");
    assert_eq!(kv.info("maxmemory_policy"), "noeviction");
    assert_eq!(kv.info("errorstat_OOM"), "count=5");
    std::thread::sleep(Duration::from_millis(20));
    assert!(number(&mut kv, "current_eviction_exceeded_time") >= 20);
    assert!(number(&mut kv, "total_eviction_exceeded_time") >= 20);
    kv.ok("CONFIG SET maxmemory 1gb");
    kv.ok("SET d 1");
    assert_eq!(number(&mut kv, "current_eviction_exceeded_time"), 0);
    assert!(number(&mut kv, "total_eviction_exceeded_time") >= 20);
}

#[test]
fn memory_that_is_freed_is_room_again() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.cmd(&["SET", "large", &"v".repeat(5 << 20)]);
    limit_above_use(&mut kv, 1 << 20, "noeviction");
    assert!(fill(&mut kv, "k", 0..3_000, plain) > 1_000);
    assert!(fill(&mut kv, "more", 0..1_000, plain) > 500);
    assert_eq!(kv.int("DEL large"), 1);
    kv.ok("SET more 1");
}

/// Names of evicted keys go to subscribers, caches and replicas. What that takes until they have been told is no reason for
/// more keys to go, however much time there is for it.
#[test]
fn what_is_told_of_evicted_keys_evicts_no_others() {
    let events = ["--notify-keyspace-events", "KEA"];
    let events = [&events[..], &["--maxmemory-eviction-tenacity", "100", "--repl-backlog-size", "16384"]].concat();
    for listener in ["nobody", "subscriber", "cache", "replica"] {
        let server = Server::start(&events);
        let (mut kv, mut other) = (server.connect(), server.connect());
        match listener {
            "subscriber" => _ = other.line("PSUBSCRIBE __key*"),
            "cache" => {
                other.line("HELLO 3");
                other.ok("CLIENT TRACKING ON BCAST");
            }
            "replica" => {
                // What a copy on its way keeps in memory is given back when it is there.
                other.send(&["SYNC"]);
                let online = |kv: &mut Conn| kv.line("INFO replication").string().contains("state=online");
                wait_for("the copy", TWO_SECONDS * 15, || online(&mut kv));
            }
            _ => {}
        }
        let name = "n".repeat(200);
        let names = |i: usize| vec!["SET".to_string(), format!("{name}:{i}"), "v".to_string()];
        let set = |kv: &mut Conn, keys: std::ops::Range<usize>| {
            keys.clone().map(|i| kv.cmd(&names(i))).all(|r| r.text() == "OK")
        };
        assert!(set(&mut kv, 0..3_000));
        limit_above_use(&mut kv, 0, "allkeys-random");
        assert!(set(&mut kv, 3_000..4_000), "{listener}");
        let evicted = number(&mut kv, "evicted_keys");
        assert!((800..2_000).contains(&evicted), "{listener}: {evicted} evicted for 1000");
    }
}

#[test]
fn least_recently_used_keys_go_first() {
    for policy in ["allkeys-lru", "volatile-lru"] {
        let server = Server::start(&["--maxmemory-samples", "10"]);
        let mut kv = server.connect();
        let ttl = |_| vec!["EX".to_string(), "1000".to_string()];
        fill(&mut kv, "key", 0..4_000, ttl);
        std::thread::sleep(TWO_SECONDS);
        get(&mut kv, "key", (0..4_000).step_by(2), 1);
        limit_above_use(&mut kv, 0, policy);
        assert_eq!(fill(&mut kv, "new", 0..1_000, plain), 0, "{policy}");
        let evicted = number(&mut kv, "evicted_keys");
        assert!((700..1_500).contains(&evicted), "{policy}: {evicted} evicted for 1000");
        let used = present(&mut kv, "key", (0..4_000).step_by(2));
        assert!(used >= 1_940, "{policy}: {used} of 2000 used keys are left");
        assert_eq!(present(&mut kv, "new", 0..1_000), 1_000, "{policy}");
    }
}

#[test]
fn least_frequently_used_keys_go_first() {
    for policy in ["allkeys-lfu", "volatile-lfu"] {
        // No counter falls because a minute is over.
        let never = ["--lfu-log-factor", "0", "--lfu-decay-time", "0"];
        let server = Server::start(&[&["--maxmemory-samples", "10"][..], &never].concat());
        let mut kv = server.connect();
        kv.ok(&format!("CONFIG SET maxmemory-policy {policy}"));
        let ttl = |_| vec!["EX".to_string(), "1000".to_string()];
        fill(&mut kv, "key", 0..3_000, ttl);
        get(&mut kv, "key", (0..3_000).step_by(2), 10);
        assert_eq!(kv.int("OBJECT FREQ key:0"), 15);
        limit_above_use(&mut kv, 0, policy);
        assert_eq!(fill(&mut kv, "new", 0..1_000, ttl), 0, "{policy}");
        let hot = present(&mut kv, "key", (0..3_000).step_by(2));
        assert!(hot >= 1_470, "{policy}: {hot} of 1500 hot keys are left");
    }
}

#[test]
fn the_earliest_deadline_goes_first() {
    let server = Server::start(&["--maxmemory-samples", "10"]);
    let mut kv = server.connect();
    fill(&mut kv, "key", 0..3_000, |i| vec!["EX".to_string(), (1_000 + i).to_string()]);
    limit_above_use(&mut kv, 0, "volatile-ttl");
    assert_eq!(fill(&mut kv, "new", 0..1_000, plain), 0);
    let late = present(&mut kv, "key", 1_600..3_000);
    assert!(late >= 1_350, "{late} of 1400 late ones are left");
    let early = present(&mut kv, "key", 0..500);
    assert!(early <= 100, "{early} of 500 early ones are left");
}

#[test]
fn keys_without_a_deadline_stay_under_volatile_policies() {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let server = Server::start(&[]);
        let mut kv = server.connect();
        fill(&mut kv, "stays", 0..1_000, plain);
        fill(&mut kv, "goes", 0..1_000, |_| vec!["EX".to_string(), "1000".to_string()]);
        limit_above_use(&mut kv, 0, policy);
        let refused = fill(&mut kv, "new", 0..3_000, plain);
        assert!((1_000..2_800).contains(&refused), "{policy}: {refused} refused");
        assert_eq!(present(&mut kv, "stays", 0..1_000), 1_000, "{policy}");
        assert_eq!(present(&mut kv, "goes", 0..1_000), 0, "{policy}");
        assert_eq!(kv.info("evicted_keys"), "1000", "{policy}");
        assert!(fill(&mut kv, "more", 0..1_000, plain) > 500, "{policy}");
    }
}

#[test]
fn all_databases_give() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    for db in [0, 3, 9] {
        kv.ok(&format!("SELECT {db}"));
        fill(&mut kv, "key", 0..1_000, plain);
    }
    limit_above_use(&mut kv, 0, "allkeys-random");
    assert_eq!(fill(&mut kv, "new", 0..1_000, plain), 0);
    for db in [0, 3, 9] {
        kv.ok(&format!("SELECT {db}"));
        let left = present(&mut kv, "key", 0..1_000);
        assert!((100..900).contains(&left), "{left} left in {db}");
    }
}

#[test]
fn a_new_limit_below_what_is_used_evicts_at_once() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let empty = number(&mut kv, "used_memory");
    fill(&mut kv, "key", 0..20_000, plain);
    let max = empty + (number(&mut kv, "used_memory") - empty) / 2;
    kv.ok(&format!("CONFIG SET maxmemory-policy allkeys-lru maxmemory {max}"));
    wait_for("half to be gone", Duration::from_secs(10), || kv.int("DBSIZE") < 11_500);
    wait_for("it to be over", Duration::from_secs(10), || kv.info("current_eviction_exceeded_time") == "0");
    assert!(kv.int("DBSIZE") > 8_000);
    assert!(number(&mut kv, "used_memory") < max + max / 10);
    assert!(server.log().contains("new maxmemory"), "{}", server.log());
    kv.ok("CONFIG RESETSTAT");
    assert_eq!(kv.info("evicted_keys"), "0");
    assert_eq!(kv.info("total_eviction_exceeded_time"), "0");
}

/// What the snapshot still reads cannot be freed, and that must not make everything else go.
#[test]
fn a_running_snapshot_does_not_make_eviction_run_away() {
    let server = Server::start(&["--rdb-key-save-delay", "500"]);
    let mut kv = server.connect();
    fill(&mut kv, "key", 0..10_000, plain);
    limit_above_use(&mut kv, 0, "allkeys-lru");
    kv.cmd(&["BGSAVE"]);
    wait_for("the snapshot to begin", Duration::from_secs(5), || kv.info("rdb_bgsave_in_progress") == "1");
    assert_eq!(fill(&mut kv, "new", 0..3_000, plain), 0);
    assert_eq!(kv.info("rdb_bgsave_in_progress"), "1");
    let keys = kv.int("DBSIZE");
    assert!((8_500..11_000).contains(&keys), "{keys} keys of about 10000 during the snapshot");
    if server.peer == Peer::Kvstash {
        assert!(number(&mut kv, "mem_not_counted_for_evict") > 1 << 20);
    }
    kv.ok("CONFIG SET rdb-key-save-delay 0");
    wait_for("the snapshot to end", Duration::from_secs(30), || kv.info("rdb_bgsave_in_progress") == "0");
    assert_eq!(fill(&mut kv, "newer", 0..1_000, plain), 0);
    let keys = kv.int("DBSIZE");
    assert!((8_500..11_000).contains(&keys), "{keys} keys of about 10000 after the snapshot");
    if server.peer == Peer::Kvstash {
        // Clients' buffers do not count either.
        wait_for("all to be freed", Duration::from_secs(20), || number(&mut kv, "mem_not_counted_for_evict") < 100_000);
    }
    assert_eq!(fill(&mut kv, "newest", 0..500, plain), 0);
    let keys = kv.int("DBSIZE");
    assert!((8_500..11_000).contains(&keys), "{keys} keys of about 10000 when all was freed");
}

/// A large value makes many small ones go, in several turns; what comes meanwhile is served.
#[test]
fn one_large_value_for_many_small_ones() {
    let server = Server::start(&["--maxmemory-eviction-tenacity", "0", "--lazyfree-lazy-eviction", "yes"]);
    let mut kv = server.connect();
    fill(&mut kv, "key", 0..10_000, plain);
    limit_above_use(&mut kv, 0, "allkeys-random");
    kv.cmd(&["SET", "large", &"v".repeat(5 << 20)]);
    wait_for("half to be gone", Duration::from_secs(10), || kv.int("DBSIZE") < 6_500 || kv.int("EXISTS large") == 0);
    assert!(kv.int("DBSIZE") > 500);
    let max = number(&mut kv, "maxmemory");
    wait_for("memory to be freed", Duration::from_secs(10), || number(&mut kv, "used_memory") < max + max / 10);
}

#[test]
fn a_pause_keeps_keys() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    fill(&mut kv, "key", 0..100, plain);
    kv.ok("CLIENT PAUSE 100000 WRITE");
    kv.ok("CONFIG SET maxmemory-policy allkeys-lru maxmemory 1");
    assert_eq!(kv.int("DBSIZE"), 100);
    kv.ok("CLIENT UNPAUSE");
    wait_for("the keys to go", Duration::from_secs(5), || kv.int("DBSIZE") == 0);
}

/// Leaves an argument of so many bytes unfinished.
fn half_a_request(kv: &mut Conn, bytes: usize) {
    let head = format!("*2\r\n$4\r\nECHO\r\n${}\r\n", bytes + 1);
    kv.raw(&[head.as_bytes(), &vec![b'x'; bytes]].concat());
}

fn clients_named(kv: &mut Conn, name: &str) -> usize {
    kv.line("CLIENT LIST").string().lines().filter(|line| line.contains(&format!(" name={name} "))).count()
}

#[test]
fn the_greediest_clients_are_closed() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("CLIENT NO-EVICT ON");
    kv.ok("CLIENT SETNAME control");
    let mut all = Vec::new();
    for (name, bytes) in [("small", 100_000), ("middle", 500_000), ("large", 2_000_000)] {
        for _ in 0..2 {
            let mut one = kv.another();
            one.ok(&format!("CLIENT SETNAME {name}"));
            half_a_request(&mut one, bytes);
            all.push(one);
        }
    }
    let mut count = |name: &str| clients_named(&mut kv, name);
    wait_for("all to be there", Duration::from_secs(10), || {
        let list = server.connect().line("CLIENT LIST").string();
        list.lines().filter(|line| line.contains("qbuf=2000000 ") || line.contains("qbuf=500000 ")).count() == 4
    });
    assert_eq!([count("small"), count("middle"), count("large")], [2, 2, 2]);
    let mut admin = server.connect();
    admin.ok("CLIENT NO-EVICT ON");
    admin.ok("CONFIG SET maxmemory-clients 2mb");
    wait_for("the large ones to go", Duration::from_secs(10), || count("large") == 0);
    assert_eq!([count("small"), count("middle")], [2, 2], "no more go than must");
    admin.ok("CONFIG SET maxmemory-clients 700kb");
    wait_for("the middle ones to go", Duration::from_secs(10), || count("middle") == 0);
    assert_eq!(count("small"), 2);
    admin.ok("CONFIG SET maxmemory-clients 1");
    wait_for("all to go", Duration::from_secs(10), || count("small") == 0);
    assert_eq!(admin.info("evicted_clients"), "6");
    assert_eq!(count("control"), 1, "who must not be evicted stays, over the limit or not");
    assert!(server.log().contains("Evicting client"), "{}", server.log());
    assert!(all.iter_mut().all(Conn::is_closed));
}

#[test]
fn clients_go_before_their_requests_run_and_when_they_do_not_read() {
    let server = Server::start(&["--maxmemory-clients", "3mb"]);
    let mut control = server.connect();
    control.ok("CLIENT NO-EVICT ON");
    let mut kv = control.another();
    kv.ok("SET small x");
    // It may be closed before all of it is sent.
    let _ = kv.try_raw(format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$4000000\r\n{}\r\n", "v".repeat(4_000_000)).as_bytes());
    wait_for("it to be closed", Duration::from_secs(10), || kv.is_closed());
    assert_eq!(control.int("EXISTS key"), 0);
    // One that asks for much and takes nothing. A percentage is one of maxmemory.
    control.ok("CONFIG SET maxmemory 30mb maxmemory-clients 10%");
    control.int("SETRANGE long 4000000 x");
    let mut deaf = control.another();
    deaf.ok("CLIENT SETNAME deaf");
    for _ in 0..200 {
        if deaf.try_raw(b"GET long\r\n").is_err() {
            break;
        }
    }
    wait_for("it to be closed", Duration::from_secs(10), || clients_named(&mut control, "deaf") == 0);
    assert_eq!(control.info("evicted_clients"), "2");
    assert_eq!(control.info("evicted_keys"), "0");
}

/// Whoever caches keys that go is told so, by ten times more bytes than go: they must not drive out the rest.
#[test]
fn what_is_told_of_keys_that_go_drives_no_others_out() {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru", "--maxmemory-eviction-tenacity", "100"]);
    let mut kv = server.connect();
    let mut caches: Vec<Conn> = (0..10).map(|_| server.connect_with(Proto::Resp3)).collect();
    caches.iter_mut().for_each(|cache| cache.ok("CLIENT TRACKING ON"));
    for i in 0..300 {
        let key = format!("{i}{}", "x".repeat(1000));
        kv.cmd(&["SET", &key, "x"]);
        for cache in &mut caches {
            cache.cmd(&["GET", &key]);
        }
    }
    let max = number(&mut kv, "used_memory") - 40_000;
    kv.ok(&format!("CONFIG SET maxmemory {max}"));
    let evicted = number(&mut kv, "evicted_keys");
    assert!((10..150).contains(&evicted), "{evicted} of 300");
}
