//! The server group that is not observation or configuration: INFO, TIME, LOLWUT, DBSIZE, FLUSH, SWAPDB, DEBUG.

use crate::support::{Proto, Server, Value, each_proto, wait_for};
use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn info_sections() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let reply = kv.line("INFO");
        assert_eq!(matches!(reply, Value::Verbatim(..)), kv.proto == Proto::Resp3);
        let sections = |text: &str| -> Vec<String> {
            text.lines().filter_map(|l| l.strip_prefix("# ")).map(str::to_string).collect()
        };
        let all = reply.string();
        for name in [
            "Server",
            "Clients",
            "Memory",
            "Persistence",
            "Stats",
            "Replication",
            "CPU",
            "Errorstats",
            "Cluster",
            "Keyspace",
        ] {
            assert!(sections(&all).iter().any(|s| s == name), "no section {name}");
        }
        assert!(all.lines().all(|l| l.is_empty() || l.starts_with("# ") || l.contains(':')));
        assert!(all.contains("\r\n"), "lines end as on the wire");
        assert_eq!(sections(&kv.line("INFO server").string()), ["Server"]);
        assert_eq!(sections(&kv.line("info SERVER cpu").string()).len(), 2);
        assert_eq!(sections(&kv.line("INFO server server").string()), ["Server"]);
        assert!(sections(&kv.line("INFO all").string()).iter().any(|s| s == "Commandstats"));
        assert!(sections(&kv.line("INFO everything").string()).iter().any(|s| s == "Commandstats"));
        assert!(sections(&kv.line("INFO default cpu").string()).iter().any(|s| s == "Keyspace"));
        assert!(kv.line("INFO nosuchsection").string().is_empty());
    });
}

#[test]
fn info_counts() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("CONFIG RESETSTAT");
    kv.talk(
        r#"
        SET a 1
        SET b 1 EX 100
        GET a
        GET none
        INCR a
        foo                            =~ (error) ERR *
        SET a                          =~ (error) ERR *
        SELECT 3
        SET c 1
        "#,
    );
    assert_eq!(kv.info("keyspace_hits"), "1");
    assert_eq!(kv.info("keyspace_misses"), "1");
    assert_eq!(kv.info("total_error_replies"), "2");
    assert_eq!(kv.info("errorstat_ERR"), "count=2");
    assert_eq!(kv.info("connected_clients"), "1");
    assert_eq!(kv.info("process_id"), server.pid().to_string());
    assert_eq!(kv.info("tcp_port"), server.port.to_string());
    assert!(kv.info("db0").starts_with("keys=2,expires=1,avg_ttl="), "{}", kv.info("db0"));
    assert!(kv.info("db3").starts_with("keys=1,expires=0,avg_ttl=0"), "{}", kv.info("db3"));
    let set = kv.info("cmdstat_set");
    assert!(set.starts_with("calls=3,usec="), "{set}");
    assert!(set.contains(",usec_per_call=") && set.ends_with(",rejected_calls=1,failed_calls=0"), "{set}");
    assert!(kv.info("cmdstat_select").starts_with("calls=1,"));
    assert!(kv.info("used_memory").parse::<u64>().unwrap() > 0);
    assert!(kv.info("rdb_changes_since_last_save").parse::<u64>().unwrap() >= 4);
    assert!(kv.info("latency_percentiles_usec_set").starts_with("p50="));
    kv.ok("CONFIG RESETSTAT");
    assert_eq!(kv.info("keyspace_hits"), "0");
    assert_eq!(kv.info("total_error_replies"), "0");
}

/// Keys that are dead and not yet gone are counted.
#[test]
fn stale_keys_show() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    if kv.peer.satisfies("redis,valkey") {
        return; // an estimate there, from samples
    }
    kv.ok("DEBUG SET-ACTIVE-EXPIRE 0");
    kv.talk("SET a 1 PX 1\n SET b 1 PX 1\n SET c 1 PX 1\n SET d 1 EX 100\n SET e 1");
    wait_for("their time", Duration::from_secs(5), || kv.info("expired_stale_perc") == "75.00");
    assert_eq!(kv.info("expired_keys"), "0");
    kv.ok("DEBUG SET-ACTIVE-EXPIRE 1");
    wait_for("their end", Duration::from_secs(5), || kv.info("expired_keys") == "3");
    assert_eq!(kv.info("expired_stale_perc"), "0.00");
}

#[test]
fn time_and_lolwut() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let reply = kv.line("TIME");
        let [seconds, micros] = reply.items() else { panic!("{}", reply.text()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
        let seconds: i64 = seconds.string().parse().unwrap();
        assert!((seconds - now).abs() <= 2);
        assert!((0..1_000_000).contains(&micros.string().parse::<i64>().unwrap()));
        kv.expect("TIME x", "(error) ERR wrong number of arguments for 'time' command");
        let art = kv.line("LOLWUT");
        assert!(art.string().contains("ver"), "it names the version: {}", art.string());
        assert!(!kv.line("LOLWUT VERSION 5").is_error());
    });
}

#[test]
fn sizes_and_flush() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            DBSIZE                     => 0
            MSET a 1 b 2
            DBSIZE                     => 2
            SELECT 1
            SET c 1
            DBSIZE                     => 1
            FLUSHDB                    => OK
            DBSIZE                     => 0
            SELECT 0
            DBSIZE                     => 2
            FLUSHDB ASYNC              => OK
            DBSIZE                     => 0
            SET a 1
            FLUSHDB sync               => OK
            SET a 1
            FLUSHALL ASYNC             => OK
            DBSIZE                     => 0
            SET a 1
            FLUSHALL SYNC              => OK
            DBSIZE                     => 0
            FLUSHALL BAD               => (error) ERR syntax error
            FLUSHDB BAD                => (error) ERR syntax error
            FLUSHALL SYNC ASYNC        => (error) ERR syntax error
            DBSIZE x                   => (error) ERR wrong number of arguments for 'dbsize' command
            "#,
        );
    });
}

#[test]
fn memory_comes_back_after_a_flush() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let before: u64 = kv.info("used_memory").parse().unwrap();
    for how in ["ASYNC", "SYNC"] {
        kv.ok("DEBUG POPULATE 200000 key 100");
        let full: u64 = kv.info("used_memory").parse().unwrap();
        assert!(full > before + 20_000_000, "{before} -> {full}");
        kv.ok(&format!("FLUSHALL {how}"));
        wait_for("the memory of the flushed keys", Duration::from_secs(10), || {
            kv.info("used_memory").parse::<u64>().unwrap() < before + 8_000_000
        });
    }
}

#[test]
fn swapdb() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            SET a zero EX 100
            SELECT 1
            SET a one
            SWAPDB 0 1                 => OK
            GET a                      => "zero"
            TTL a                      => 100
            SELECT 0
            GET a                      => "one"
            SWAPDB 0 0                 => OK
            GET a                      => "one"
            SWAPDB 0 16                => (error) ERR DB index is out of range
            SWAPDB -1 0                => (error) ERR DB index is out of range
            SWAPDB x 1                 => (error) ERR invalid first DB index
            SWAPDB 1 x                 => (error) ERR invalid second DB index
            # what is no index at all comes before what is out of range
            SWAPDB 2147483648 x        => (error) ERR invalid first DB index
            SWAPDB -1 -2147483649      => (error) ERR invalid second DB index
            SWAPDB 2147483647 -1       => (error) ERR DB index is out of range
            SWAPDB 1                   => (error) ERR wrong number of arguments for 'swapdb' command
            "#,
        );
    });
}

#[test]
fn role() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.expect("ROLE", "[\"master\" 0 []]");
        kv.expect("ROLE x", "(error) ERR wrong number of arguments for 'role' command");
    });
}

#[test]
fn debug_protocol() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            DEBUG PROTOCOL string      => "Hello World"
            DEBUG PROTOCOL integer     => 12345
            DEBUG PROTOCOL double      => "3.141" || (double) 3.141
            DEBUG PROTOCOL null        => (nil)
            DEBUG PROTOCOL array       => [0 1 2]
            DEBUG PROTOCOL set         => [0 1 2] || #[0 1 2]
            DEBUG PROTOCOL map         => [0 0 1 1 2 0] || {0: (false), 1: (true), 2: (false)}
            DEBUG PROTOCOL bignum      => "1234567999999999999999999999999999999" || (big) 1234567999999999999999999999999999999
            DEBUG PROTOCOL verbatim    => "This is a verbatim\nstring" || (txt) "This is a verbatim\nstring"
            DEBUG PROTOCOL true        => 1 || (true)
            DEBUG PROTOCOL false       => 0 || (false)
            DEBUG PROTOCOL attrib      =~ "Some real reply following the attribute" || |{"key-popularity": *} "Some real reply following the attribute"
            "#,
        );
        if kv.proto == Proto::Resp2 {
            kv.expect("DEBUG PROTOCOL push", "(error) ERR RESP2 is not supported by this command");
        } else if kv.peer.satisfies("redis>=7.2,valkey") {
            // The push comes out of line, after the reply of the command that caused it.
            kv.expect("DEBUG PROTOCOL push", "\"Some real reply following the push reply\"");
            assert_eq!(kv.read().text(), ">[\"server-cpu-usage\" 42]");
        }
    });
}

#[test]
fn debug_subcommands() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.talk(
            r#"
            DEBUG JMAP                 =~ (error) ERR unknown subcommand or wrong number of arguments for 'JMAP'. Try DEBUG HELP.
            DEBUG                      => (error) ERR wrong number of arguments for 'debug' command
            DEBUG HELP                 =~ [*DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:*
            DEBUG SLEEP 0.01           => OK
            DEBUG SET-ACTIVE-EXPIRE 0  => OK
            DEBUG SET-ACTIVE-EXPIRE 1  => OK
            DEBUG SET-SKIP-CHECKSUM-VALIDATION 0 => OK
            DEBUG QUICKLIST-PACKED-THRESHOLD 1kb => OK
            DEBUG QUICKLIST-PACKED-THRESHOLD x => (error) ERR argument must be a memory value bigger than 1 and smaller than 4gb
            DEBUG QUICKLIST-PACKED-THRESHOLD 4gb => (error) ERR argument must be a memory value bigger than 1 and smaller than 4gb
            DEBUG QUICKLIST-PACKED-THRESHOLD 0 => OK
            DEBUG PAUSE-CRON 0         => OK
            DEBUG REPLYBUFFER RESIZING 1 => OK
            DEBUG CHANGE-REPL-ID       => OK
            DEBUG LOG hello            => OK
            DEBUG ERROR "MINE is this" => (error) MINE is this
            DEBUG OBJECT none          => (error) ERR no such key
            SET a abc
            DEBUG OBJECT a             =~ Value at:0x* refcount:1 encoding:embstr serializedlength:4 lru:* lru_seconds_idle:*
            DEBUG DIGEST-VALUE none    => [0000000000000000000000000000000000000000]
            DEBUG POPULATE 10          => OK
            DBSIZE                     => 11
            GET key:7                  => "value:7"
            DEBUG POPULATE 10 p 20     => OK
            GET p:3                    =~ "value:3\x00\x00*
            STRLEN p:3                 => 20
            DEBUG POPULATE x           => (error) ERR value is out of range, must be positive
            DEBUG STRINGMATCH-TEST     =~ *
            DEBUG RELOAD               => OK
            DBSIZE                     => 21
            GET a                      => "abc"
            "#,
        );
        assert!(!kv.line("DEBUG HTSTATS 0").is_error());
    });
    assert!(server.log().contains("hello"));
}

/// The digest depends on the data alone, not on its order or its encoding, and sees every difference.
#[test]
fn digests() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let empty = kv.line("DEBUG DIGEST").string();
    assert_eq!(empty, "0".repeat(40));
    let mut seen = HashSet::new();
    for line in ["SET a 1", "SET b 1", "SET a 2", "EXPIREAT a 4102444800", "SELECT 1", "SET a 2", "DEL a"] {
        kv.line(line);
        let digest = kv.line("DEBUG DIGEST").string();
        assert_eq!(digest.len(), 40);
        seen.insert(digest);
    }
    // SELECT changes nothing, and the last DEL restores what was before.
    assert_eq!(seen.len(), 5);
    kv.ok("FLUSHALL");
    kv.talk("SELECT 0\n MSET x 1 y 2 z 3");
    let one = kv.line("DEBUG DIGEST").string();
    kv.talk("FLUSHALL\n MSET z 3 x 1\n SET y 2");
    assert_eq!(kv.line("DEBUG DIGEST").string(), one);
    kv.ok("DEBUG RELOAD");
    assert_eq!(kv.line("DEBUG DIGEST").string(), one, "the same after a reload");
}

/// The digest of strings is the one real Redis computes, so that datasets can be compared across servers.
#[test]
fn digest_equals_redis() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.talk("SET a 1\n SET b text\n SET c far EXAT 4102444800");
    kv.expect("DEBUG DIGEST", "484f021b4cd9290f4f33875abe835b04f3ab6d97");
    kv.expect(
        "DEBUG DIGEST-VALUE a b",
        "[b4fc66738120fba0b5aa500ab5c2bf89cea1c5da 2ce3f57ae020966eb041fa6a47e5221ee0d42d6b]",
    );
}

#[test]
fn info_keysizes() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("FLUSHALL");
        kv.ok("MSET empty \"\" one x three xyz number 12345");
        kv.line("SETRANGE long 1099999 x");
        kv.line("RPUSH list a b c");
        kv.ok("SELECT 3");
        kv.line("SADD set a");
        kv.ok("SELECT 0");
        let expected = "# Keysizes\r\ndb0_distrib_strings_sizes:0=1,1=1,2=1,4=1,1M=1\r\ndb0_distrib_lists_items:2=1\r\n\
                        db3_distrib_sets_items:1=1\r\n";
        assert_eq!(kv.line("INFO keysizes").string(), expected);
        assert!(kv.line("INFO").string().contains(&expected.replace("# Keysizes\r\n", "\r\n# Keysizes\r\n")));
    });
}

/// A list that was looked through in vain had its size noted; a key that expired then was counted with it.
#[test]
fn a_key_that_expires_leaves_with_its_own_size() {
    let server = Server::start(&["--list-max-listpack-size", "4", "--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    kv.ok("DEBUG KEYSIZES-HIST-ASSERT 1");
    kv.int("RPUSH l 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17");
    for _ in 0..20 {
        kv.ok("SET s x PX 1");
        assert_eq!(kv.int("LREM l 0 none"), 0);
        std::thread::sleep(std::time::Duration::from_millis(5));
        assert_eq!(kv.int("EXISTS s"), 0);
    }
}

/// The server looks at all keys after every command, and crashes if the counts that it keeps are not right.
#[test]
fn sizes_are_counted_after_every_command() {
    let limits = ["list-max-listpack-size", "hash-max-listpack-entries", "set-max-listpack-entries"];
    let args: Vec<&str> = limits.iter().flat_map(|name| [*name, "4"]).collect();
    let args: Vec<String> = args.chunks(2).flat_map(|pair| [format!("--{}", pair[0]), pair[1].to_owned()]).collect();
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.extend(["--zset-max-listpack-entries", "4", "--set-max-intset-entries", "4", "--enable-debug-command", "yes"]);
    let server = Server::start(&args);
    let mut kv = server.connect();
    kv.ok("DEBUG KEYSIZES-HIST-ASSERT 1");
    let mut seed = 7u64;
    let mut below = move |n: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % n
    };
    for step in 0..6000 {
        let (kind, n, m) = (step / 20 % 6, below(40), below(40));
        let many = |prefix: &str, pairs: bool, count: u64| {
            let each = |at: u64| if pairs { format!(" {at} {prefix}{at}") } else { format!(" {prefix}{at}") };
            (n..n + count).map(each).collect::<String>()
        };
        let (few, key) = (1 + m % 9, below(2));
        let line = match (kind, below(15)) {
            (0, 0..4) => format!("SET s{key} {}", "x".repeat(n as usize)),
            (0, 4) => format!("APPEND s{key} {}", "y".repeat(m as usize)),
            (0, 5) => format!("SETRANGE s{key} {n} {m}"),
            (0, 6) => format!("SETBIT s{key} {} 1", n * 8),
            (0, 7) => format!("SET s{key} {}", 10u64.pow(n as u32 % 18) - 1),
            (0, 8) => format!("INCRBY s{key} 1"),
            (0, 9) => format!("PFADD p{key} {n}"),
            (0, 10) => format!("BITFIELD s{key} SET u8 {n} {m}"),
            (0, 11) => format!("GETDEL s{key}"),
            (0, 12) => format!("COPY s{key} c{key} REPLACE"),
            (0, _) => format!("SET s{key} - PX 1"),
            (1, 0..5) => format!("RPUSH l{key}{}", many("e", false, few)),
            (1, 5) => format!("LPUSH l{key}{}", many("e", false, few)),
            (1, 6..8) => format!("LPOP l{key} {few}"),
            (1, 8) => format!("RPOP l{key}"),
            (1, 9) => format!("LTRIM l{key} {} {}", m % 5, n),
            (1, 10) => format!("LREM l{key} {few} e{n}"),
            (1, 11) => format!("LINSERT l{key} BEFORE e{n} e{m}"),
            (1, 12) => format!("LMOVE l{key} l{} LEFT RIGHT", below(2)),
            (1, _) => format!("SORT l{key} ALPHA STORE l{}", below(2)),
            (2, 0..6) => format!("SADD t{key}{}", many(if m % 2 == 0 { "" } else { "m" }, false, few)),
            (2, 6..8) => format!("SREM t{key}{}", many("m", false, few)),
            (2, 8) => format!("SPOP t{key}"),
            (2, 9..11) => format!("SPOP t{key} {few}"),
            (2, 11) => format!("SMOVE t0 t1 m{n}"),
            (2, _) => format!("SUNIONSTORE t{key} t0 t1"),
            (3, 0..6) => format!("ZADD z{key}{}", many("m", true, few)),
            (3, 6) => format!("ZREM z{key}{}", many("m", false, few)),
            (3, 7) => format!("ZPOPMIN z{key}"),
            (3, 8) => format!("ZPOPMAX z{key} {few}"),
            (3, 9) => format!("ZREMRANGEBYRANK z{key} {} {n}", m % 4),
            (3, 10) => format!("ZINCRBY z{key} 1 m{n}"),
            (3, 11) => format!("ZREMRANGEBYSCORE z{key} {n} {}", n + few),
            (3, _) => format!("ZUNIONSTORE z{key} 2 z0 z1"),
            (4, 0..6) => format!("HSET h{key}{}", many("v", true, few)),
            (4, 6..8) => format!("HDEL h{key}{}", many("", false, few)),
            (4, 8) => format!("HEXPIRE h{key} 0 FIELDS 1 {n}"),
            (4, 9) => format!("HPEXPIRE h{key} 1 FIELDS 2 {n} {m}"),
            (4, 10) => format!("HGETDEL h{key} FIELDS 2 {n} {m}"),
            (4, 11) => format!("HINCRBY h{key} new{n} 1"),
            (4, _) => format!("HSETEX h{key} PX 1 FIELDS 1 {n} v"),
            (_, 0) => format!("RENAME {} moved", ["s0", "l0", "t0", "z0", "h0"][n as usize % 5]),
            (_, 1) => format!("MOVE {} 1", ["s1", "l1", "t1", "z1", "h1"][n as usize % 5]),
            (_, 2) => "SWAPDB 0 1".to_owned(),
            (_, 3) => format!("XADD x{key} * a b"),
            (_, 4) => format!("DEL moved x{key}"),
            (_, 5) => "DEBUG RELOAD".to_owned(),
            (_, 6) if n == 0 => "FLUSHDB".to_owned(),
            _ => "PING".to_owned(),
        };
        kv.line(&line);
    }
    kv.expect("PING", "PONG");
}

/// Only who asks for it waits until all is freed, and what it sends meanwhile.
#[test]
fn flushing_much_with_sync() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    for flush in ["FLUSHALL SYNC", "FLUSHDB SYNC", "FLUSHALL", "FLUSHDB"] {
        kv.ok("DEBUG POPULATE 50000");
        kv.ok("SET small 1");
        kv.ok(flush);
        kv.expect("DBSIZE", "0");
        assert_eq!(kv.info("lazyfree_pending_objects"), "0", "{flush}");
    }
    kv.ok("DEBUG POPULATE 50000");
    kv.ok("MULTI");
    kv.line("FLUSHALL SYNC");
    kv.line("DBSIZE");
    kv.expect("EXEC", "[OK 0]");
    assert_eq!(kv.info("blocked_clients"), "0");
}

/// After a command the loop looks for the next one before it sleeps, if it may.
#[test]
fn busy_polls() {
    let server = Server::start(&["--busy-poll-us", "1000"]);
    let mut kv = server.connect();
    // On a busy machine the next command is rarely there in time, and the loop learns to look rarely.
    wait_for("a look that pays", Duration::from_secs(20), || {
        (0..200).for_each(|_| kv.talk("PING"));
        let found: u64 = kv.info("eventloop_busy_polls_found").parse().unwrap();
        let looked: u64 = kv.info("eventloop_busy_polls").parse().unwrap();
        assert!(found <= looked, "{found} of {looked}");
        found > 0
    });
    kv.ok("CONFIG SET busy-poll-us 0");
    kv.ok("CONFIG RESETSTAT");
    for _ in 0..1000 {
        kv.talk("PING");
    }
    assert_eq!(kv.info("eventloop_busy_polls"), "0");
}
