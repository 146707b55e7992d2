//! Long reads: what reads much is answered from a snapshot by another thread, exactly as it would have been.

use crate::support::{Conn, Proto, Server, Value, wait_for};
use std::time::{Duration, Instant};

/// Every command that may be answered so, on the data of [`fill`].
const READS: &[&str] = &[
    "KEYS *",
    "KEYS k:1*",
    "KEYS nothing*",
    "SMEMBERS set",
    "SMEMBERS ints",
    "HGETALL hash",
    "HKEYS hash",
    "HVALS hash",
    "HGETALL fading",
    "HKEYS fading",
    "LRANGE list 0 -1",
    "LRANGE list 10 -10",
    "LRANGE list 5 3",
    "ZRANGE zset 0 -1",
    "ZRANGE zset 0 -1 WITHSCORES",
    "ZRANGE zset 20 10 BYSCORE REV LIMIT 3 400",
    "ZRANGEBYSCORE zset (3 +inf WITHSCORES",
    "ZREVRANGEBYSCORE zset +inf 7",
    "ZREVRANGE zset 0 -1",
    "ZRANGEBYLEX lex - + LIMIT 5 200",
    "ZREVRANGEBYLEX lex + [m:10",
    "SORT list",
    "SORT list DESC LIMIT 3 200",
    "SORT list BY k:* GET # GET k:* GET h:*->f",
    "SORT set ALPHA DESC",
    "SORT set BY nosort",
    "SORT_RO zset ALPHA",
    "SORT set BY k:*",
    "SINTER set others",
    "SINTER set nothing",
    "SUNION set ints others",
    "SDIFF set others",
    "SINTERCARD 2 set others",
    "ZUNION 3 zset lex set WEIGHTS 2 3 -1 WITHSCORES",
    "ZINTER 2 zset lex AGGREGATE MAX WITHSCORES",
    "ZDIFF 2 zset set WITHSCORES",
    "ZINTERCARD 2 zset lex",
    "XRANGE stream - +",
    "XRANGE stream - + COUNT 100",
    "XREVRANGE stream + 5-0",
    "XRANGE stream 7-1 7-1",
    "DEBUG DIGEST",
    // Refused before anything is read, or because of what is read.
    "SMEMBERS list",
    "SUNION set list",
    "ZRANGE zset 0 x",
    "SORT list LIMIT 1",
    "SORT words",
    "SMEMBERS nothing",
];

fn fill(kv: &mut Conn, size: usize) {
    let mut put = |parts: &[String]| {
        kv.cmd(parts);
    };
    let words = |line: String| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    for i in 0..size {
        put(&words(format!("SET k:{i} {}", (i * 7919) % 1000)));
        put(&words(format!("HSET h:{i} f {}", i % 10)));
        put(&words(format!("SADD set m:{i} {i}")));
        put(&words(format!("SADD ints {}", i * 3)));
        put(&words(format!("SADD others m:{} x:{i}", i * 2)));
        put(&words(format!("HSET hash f:{i} {i} g:{i} text-of-{i}")));
        put(&words(format!("HSET fading f:{i} {i}")));
        put(&words(format!("RPUSH list {}", (i * 31) % 97)));
        put(&words(format!("RPUSH words w{i}")));
        put(&words(format!("ZADD zset {} m:{i}", i % 30)));
        put(&words(format!("ZADD lex 0 m:{i}")));
        put(&words(format!("XADD stream {i}-1 field {i} other text-{i}")));
    }
    for i in (0..size).step_by(3) {
        put(&words(format!("HPEXPIRE fading 1 FIELDS 1 f:{i}")));
        put(&words(format!("XDEL stream {i}-1")));
        put(&words(format!("PEXPIRE k:{i} 1")));
    }
    std::thread::sleep(Duration::from_millis(5));
}

fn reads_done(kv: &mut Conn) -> i64 {
    kv.info("snapshot_reads").parse().unwrap()
}

/// A server that answers everything from a snapshot that has more than an element.
fn eager(more: &[&str]) -> Server {
    let args = ["--enable-debug-command", "yes", "--snapshot-reads-above", "1"];
    Server::start(&[&args[..], more].concat())
}

#[test]
fn replies_are_what_they_would_have_been() {
    let server = eager(&[]);
    fill(&mut server.connect(), 500);
    for proto in [Proto::Resp2, Proto::Resp3] {
        let (mut kv, mut admin) = (server.connect_with(proto), server.connect());
        for read in READS {
            admin.ok("CONFIG SET snapshot-reads-above 0");
            let (before, inline) = (reads_done(&mut admin), kv.line(read));
            assert_eq!(reads_done(&mut admin), before);
            admin.ok("CONFIG SET snapshot-reads-above 1");
            assert_eq!(kv.line(read), inline, "{read}");
            let away = reads_done(&mut admin) - before;
            let much = !matches!(&inline, Value::Error(_) if *read != "SORT words") && inline.text().len() > 20;
            assert!(away == 1 || !much, "{read} was answered by another thread");
        }
    }
}

/// A set so large that reading it takes a while.
fn large(kv: &mut Conn, name: &str, members: usize) {
    let mut request = Vec::new();
    for from in (0..members).step_by(1000) {
        request.clear();
        request.extend_from_slice(format!("*1002\r\n$4\r\nSADD\r\n${}\r\n{name}\r\n", name.len()).as_bytes());
        for i in from..from + 1000 {
            let member = format!("member:{i}");
            request.extend_from_slice(format!("${}\r\n{member}\r\n", member.len()).as_bytes());
        }
        kv.raw(&request);
        kv.read();
    }
}

const MANY: usize = 200_000;

#[test]
fn later_requests_wait_and_others_do_not() {
    let server = eager(&[]);
    let (mut reader, mut other) = (server.connect(), server.connect());
    large(&mut other, "s", MANY);
    other.ok("SET k v");
    reader.raw(b"SORT s ALPHA\r\nSET k after\r\nGET k\r\nSMEMBERS s\r\nPING\r\n");
    let began = Instant::now();
    while other.info("snapshot_reads_running") == "0" && began.elapsed() < Duration::from_secs(10) {}
    assert_eq!(other.info("snapshot_reads_running"), "1");
    let line = other.line("CLIENT LIST").string();
    assert!(line.lines().any(|line| line.contains(" flags=b ") && line.contains(" cmd=sort ")), "{line}");
    assert_eq!((other.info("blocked_clients").as_str(), other.info("snapshot_reads").as_str()), ("0", "0"));
    other.expect("GET k", "\"v\"");
    let id: u64 =
        line.lines().find(|line| line.contains("cmd=sort")).unwrap()[3..].split(' ').next().unwrap().parse().unwrap();
    other.expect(&format!("CLIENT UNBLOCK {id}"), "0");
    let sorted = reader.read();
    assert_eq!(sorted.items().len(), MANY);
    assert!(sorted.items().windows(2).all(|pair| pair[0].bytes() < pair[1].bytes()));
    assert_eq!(reader.read().text(), "OK");
    assert_eq!(reader.read().text(), "\"after\"");
    assert_eq!(reader.read().items().len(), MANY);
    assert_eq!(reader.read().text(), "PONG");
    assert_eq!(other.info("snapshot_reads"), "2");
    let stats = other.line("INFO commandstats").string();
    assert!(stats.contains("cmdstat_sort:calls=1,") && stats.contains("cmdstat_smembers:calls=1,"), "{stats}");
    assert_eq!(other.info("snapshot_reads_running"), "0");
}

/// What was parsed before the read was done runs before what comes in at that moment.
#[test]
fn requests_keep_their_order() {
    let server = eager(&[]);
    let mut kv = server.connect();
    large(&mut kv, "s", 2000);
    for round in 0..300 {
        kv.raw(b"SMEMBERS s\r\nSET k 1\r\nINCR k\r\n");
        if round % 2 == 0 {
            std::thread::sleep(Duration::from_micros(round * 10));
        }
        kv.raw(b"APPEND k 5\r\nKEYS *\r\nINCR k\r\n");
        kv.raw(b"GET k\r\n");
        assert_eq!(kv.read().items().len(), 2000);
        let replies: Vec<String> = (0..6).map(|_| kv.read().text()).collect();
        assert!(replies[3].contains("\"s\""), "{replies:?}");
        assert_eq!([&replies[..3], &replies[4..]].concat(), ["OK", "2", "2", "26", "\"26\""], "{round}");
    }
}

#[test]
fn a_client_that_goes_takes_its_read_along() {
    let server = eager(&[]);
    let mut other = server.connect();
    large(&mut other, "s", MANY);
    let used: u64 = other.info("used_memory").parse().unwrap();
    for request in [&b"SORT s ALPHA\r\n"[..], b"ZUNION 2 s s\r\n", b"SUNION s s\r\n"] {
        let mut reader = server.connect();
        let id = reader.int("CLIENT ID");
        let before: i64 = other.info("snapshot_reads_cancelled").parse().unwrap();
        reader.raw(request);
        while other.info("snapshot_reads_running") == "0" {}
        other.expect(&format!("CLIENT KILL ID {id}"), "1");
        assert!(reader.is_closed());
        let began = Instant::now();
        while other.info("snapshot_reads_running") != "0" {
            assert!(began.elapsed() < Duration::from_secs(20));
        }
        assert_eq!(other.info("snapshot_reads_cancelled").parse::<i64>().unwrap(), before + 1);
    }
    assert_eq!(other.info("snapshot_reads"), "0");
    // Nothing of the snapshots is left, or of the replies.
    let began = Instant::now();
    while other.info("used_memory").parse::<u64>().unwrap() > used + (1 << 20) {
        assert!(began.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(20));
    }
    other.expect("SCARD s", &MANY.to_string());
}

#[test]
fn who_has_nothing_more_to_say_is_still_answered() {
    let server = eager(&[]);
    let mut other = server.connect();
    large(&mut other, "s", MANY);
    let mut reader = server.connect();
    reader.raw(b"SORT s ALPHA\r\nSMEMBERS s\r\nPING\r\n");
    reader.say_no_more();
    assert_eq!(reader.read().items().len(), MANY);
    assert_eq!(reader.read().items().len(), MANY);
    assert_eq!(reader.read().text(), "PONG");
    assert!(reader.is_closed());
}

/// More clients than snapshots may be alive: they are served in order, and nobody is forgotten.
#[test]
fn many_at_once_are_served_in_turn() {
    let server = eager(&[]);
    let mut other = server.connect();
    large(&mut other, "s", 20_000);
    let mut readers: Vec<Conn> = (0..60).map(|_| server.connect()).collect();
    for (i, reader) in readers.iter_mut().enumerate() {
        reader.raw(b"SUNION s s\r\nSCARD s\r\n");
        other.line(&format!("SADD s new:{i}"));
    }
    let mut last = 0;
    for reader in &mut readers {
        let members = reader.read().items().len();
        assert!((20_000..=20_060).contains(&members));
        last = last.max(members);
        assert_eq!(reader.read().text(), "20060");
    }
    assert!(last > 20_000);
    assert_eq!(other.info("snapshot_reads"), "60");
}

#[test]
fn pauses_and_transactions() {
    let server = eager(&[]);
    let (mut kv, mut other) = (server.connect(), server.connect());
    large(&mut kv, "s", 20_000);
    kv.ok("MULTI");
    kv.line("SMEMBERS s");
    kv.line("SORT s ALPHA");
    let replies = kv.line("EXEC");
    assert_eq!(replies.items()[0].items().len(), 20_000);
    assert_eq!(other.info("snapshot_reads"), "0", "inline in a transaction");
    other.ok("CLIENT PAUSE 400 ALL");
    kv.raw(b"SMEMBERS s\r\nPING\r\n");
    assert_eq!(kv.read_within(Duration::from_millis(100)), None);
    assert_eq!(kv.read().items().len(), 20_000);
    assert_eq!(kv.read().text(), "PONG");
    // A reply that is not wanted is not sent, and what comes after it is.
    kv.raw(b"CLIENT REPLY SKIP\r\nSMEMBERS s\r\nPING\r\nCLIENT REPLY OFF\r\nSMEMBERS s\r\nCLIENT REPLY ON\r\n");
    assert_eq!(kv.read().text(), "PONG");
    assert_eq!(kv.read().text(), "OK");
    // Monitors are shown the command once.
    let mut monitor = server.connect();
    monitor.ok("MONITOR");
    kv.line("SMEMBERS s");
    kv.line("PING");
    assert!(monitor.read().text().contains("\"SMEMBERS\" \"s\""));
    assert!(monitor.read().text().contains("\"PING\""));
}

/// What is published while a reply is made comes behind it: it happened later.
#[test]
fn messages_come_behind_the_reply() {
    let server = eager(&[]);
    let (mut reader, mut other) = (server.connect_with(Proto::Resp3), server.connect());
    large(&mut other, "s", MANY);
    reader.line("SUBSCRIBE news");
    reader.raw(b"SORT s ALPHA\r\nPING\r\n");
    while other.info("snapshot_reads_running") == "0" {}
    other.expect("PUBLISH news first", "1");
    other.expect("PUBLISH news second", "1");
    assert_eq!(other.info("snapshot_reads_running"), "1");
    assert_eq!(reader.read().items().len(), MANY);
    assert!(reader.read().text().contains("first") && reader.read().text().contains("second"));
    assert_eq!(reader.read().text(), "PONG");
}

#[test]
fn operators_see_long_reads() {
    let server = eager(&["--slowlog-log-slower-than", "1000", "--latency-monitor-threshold", "1"]);
    let mut kv = server.connect();
    large(&mut kv, "s", MANY);
    kv.line("SLOWLOG RESET");
    kv.line("LATENCY RESET");
    kv.line("SORT s ALPHA");
    let slow = kv.line("SLOWLOG GET 1").text();
    assert!(slow.contains("SORT") && slow.contains("ALPHA"), "{slow}");
    assert!(kv.line("LATENCY LATEST").text().contains("long-read"));
    assert!(kv.info("snapshot_reads_time_us").parse::<u64>().unwrap() > 1000);
    assert!(kv.info("snapshot_reads_reply_bytes").parse::<usize>().unwrap() > MANY * 10);
    kv.ok("CONFIG RESETSTAT");
    assert_eq!(kv.info("snapshot_reads"), "0");
}

/// What replies take is no reason to evict.
#[test]
fn replies_do_not_evict() {
    let server = eager(&[]);
    let mut kv = server.connect();
    large(&mut kv, "s", MANY);
    let used: u64 = kv.info("used_memory").parse().unwrap();
    kv.ok(&format!("CONFIG SET maxmemory {}", used + (2 << 20)));
    kv.ok("CONFIG SET maxmemory-policy allkeys-random");
    for _ in 0..3 {
        assert_eq!(kv.line("SORT s ALPHA").items().len(), MANY);
        assert_eq!(kv.line("ZUNION 2 s s").items().len(), MANY);
    }
    assert_eq!((kv.info("evicted_keys").as_str(), kv.int("SCARD s")), ("0", MANY as i64));
}

#[test]
fn a_shutdown_does_not_wait_for_reads() {
    let mut server = eager(&[]);
    let (mut kv, mut other) = (server.connect(), server.connect());
    large(&mut kv, "s", MANY);
    kv.raw(b"ZUNION 3 s s s\r\n");
    while other.info("snapshot_reads_running") == "0" {}
    other.raw(b"SHUTDOWN NOSAVE\r\n");
    assert_eq!(server.wait_exit(Duration::from_secs(20)).code(), Some(0));
}

/// What a client is sent while it waits for its reply counts for its output limit.
#[test]
fn who_reads_nothing_while_another_thread_reads_for_it_is_closed() {
    let server = eager(&["--client-output-buffer-limit", "pubsub 1000000 0 0"]);
    let (mut kv, mut reader) = (server.connect(), server.connect_with(Proto::Resp3));
    large(&mut kv, "s", MANY);
    reader.line("SUBSCRIBE news");
    reader.raw("SORT s ALPHA LIMIT 0 1\r\n".repeat(3).as_bytes());
    wait_for("it to wait", Duration::from_secs(10), || kv.info("snapshot_reads_running") == "1");
    let message = "m".repeat(100_000);
    (0..12).for_each(|_| _ = kv.cmd(&["PUBLISH", "news", &message]));
    // While it is read for, not only when that is done.
    wait_for("its end", Duration::from_secs(20), || kv.info("connected_clients") == "1");
    assert_eq!(kv.info("client_output_buffer_limit_disconnections"), "1");
    wait_for("the thread", Duration::from_secs(20), || kv.info("snapshot_reads_cancelled") == "1");
}
