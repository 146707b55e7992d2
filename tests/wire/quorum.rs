//! Quorum writes: what is answered when, by a primary whose replicas say what we like.

use std::time::{Duration, Instant};

use crate::replicas::{in_step, kvstash, start};
use crate::sending::Puppet;
use crate::support::{Conn, Proto, Server, Value, real_servers, wait_for};

/// So long nothing may come.
const QUIET: Duration = Duration::from_millis(150);

const NO_QUORUM: &str =
    "(error) NOQUORUM Not enough replicas have acknowledged the write in time: it may be lost, the outcome is unknown.";
const NO_QUORUM_READ: &str =
    "(error) NOQUORUM Not enough replicas have acknowledged in time what the reply would show.";

fn primary(more: &[&str]) -> Server {
    kvstash(&[&["--write-acks-timeout", "20000"], more].concat())
}

fn attach(server: &Server) -> Puppet {
    let puppet = Puppet::attach(server);
    let mut kv = server.connect();
    wait_for("it to follow", Duration::from_secs(5), || kv.info("slave0").contains("state=online"));
    puppet
}

/// Where the stream ends, as one sees it who writes nothing.
fn end(server: &Server) -> String {
    server.info("master_repl_offset")
}

#[track_caller]
fn nothing_comes(conn: &mut Conn) {
    if let Some(reply) = conn.read_within(QUIET) {
        panic!("it was to wait, and says {}", reply.text());
    }
}

#[track_caller]
fn comes(conn: &mut Conn, text: &str) {
    assert_eq!(conn.read().text(), text);
}

#[test]
fn a_write_is_answered_when_a_replica_has_it() {
    let server = primary(&["--write-acks", "1"]);
    let mut replica = attach(&server);
    let (mut kv, mut other) = (server.connect(), server.connect());
    kv.send(&["SET", "a", "1"]);
    nothing_comes(&mut kv);
    other.expect("GET a", "\"1\""); // read-uncommitted yes
    assert_eq!(other.info("write_acks_waiting_clients"), "1");
    replica.until(|got| got.ends_with(b"GETACK\r\n$1\r\n*\r\n"));
    let set = replica.take();
    assert_eq!(set.matches("GETACK").count(), 1, "{set}");
    let at: u64 = end(&server).parse().unwrap();
    replica.acknowledge(&(at - 60).to_string(), None);
    nothing_comes(&mut kv);
    // The question is no part of what is waited for.
    let question = "*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n".len() as u64;
    replica.acknowledge(&(at - question).to_string(), None);
    comes(&mut kv, "OK");
    assert_eq!(other.info("write_acks_waiting_clients"), "0");
    assert_eq!(other.info("write_acks_acknowledged"), "1");
    // What changes nothing waits for what is there, and that is acknowledged.
    kv.expect("SETNX a 2", "0");
    kv.expect("GET a", "\"1\"");
    kv.expect("PING", "PONG");
}

#[test]
fn a_pipeline_stays_in_order_and_goes_on_executing() {
    let server = primary(&["--write-acks", "1"]);
    let mut replica = attach(&server);
    let (mut kv, mut other) = (server.connect(), server.connect());
    for line in ["GET n", "INCR n", "GET n", "INCR n", "MULTI", "INCR n", "GET n", "EXEC", "PING"] {
        kv.send(&line.split(' ').collect::<Vec<_>>());
    }
    comes(&mut kv, "(nil)");
    nothing_comes(&mut kv);
    other.expect("GET n", "\"3\"");
    let at = end(&server);
    kv.send(&["INCR", "n"]);
    wait_for("the last one to run", Duration::from_secs(5), || other.line("GET n").text() == "\"4\"");
    replica.acknowledge(&at, None);
    for reply in ["1", "\"1\"", "2", "OK", "QUEUED", "QUEUED", "[3 \"3\"]", "PONG"] {
        comes(&mut kv, reply);
    }
    nothing_comes(&mut kv);
    replica.acknowledge(&end(&server), None);
    comes(&mut kv, "4");
}

#[test]
fn a_late_reply_is_an_error_and_the_rest_stays_in_order() {
    for proto in [Proto::Resp2, Proto::Resp3] {
        let server = primary(&["--write-acks", "1", "--write-acks-timeout", "200"]);
        let mut replica = attach(&server);
        let mut kv = server.connect_with(proto);
        let before = Instant::now();
        kv.raw(b"SET a 1\r\nGET a\r\nMULTI\r\nSET b 1\r\nSET c 1\r\nEXEC\r\nPING\r\n");
        comes(&mut kv, NO_QUORUM);
        assert!(before.elapsed() >= Duration::from_millis(190), "{:?}", before.elapsed());
        for reply in ["\"1\"", "OK", "QUEUED", "QUEUED", NO_QUORUM, "PONG"] {
            comes(&mut kv, reply);
        }
        // It was executed all the same.
        kv.expect("GET c", "\"1\"");
        assert_eq!(kv.info("errorstat_NOQUORUM"), "count=2");
        assert_eq!(kv.info("write_acks_refused"), "2");
        assert!(server.log().contains("Replicas have not acknowledged writes in time"));
        kv.send(&["SET", "a", "2"]);
        wait_for("it to be asked", Duration::from_secs(5), || end(&server) != "0");
        std::thread::sleep(Duration::from_millis(50));
        replica.acknowledge(&end(&server), None);
        comes(&mut kv, "OK");
    }
}

#[test]
fn a_client_says_for_itself_what_it_wants() {
    let server = primary(&[]);
    let (mut first, mut second) = (attach(&server), Puppet::attach(&server));
    let (mut kv, mut other) = (server.connect(), server.connect());
    for (line, error) in [
        ("CLIENT WRITEACKS", "ERR wrong number of arguments for 'client|writeacks' command"),
        ("CLIENT WRITEACKS x", "ERR value is out of range, must be between 0 and 1000"),
        ("CLIENT WRITEACKS -1", "ERR value is out of range, must be between 0 and 1000"),
        ("CLIENT WRITEACKS 1 SYNC", "ERR syntax error"),
        ("CLIENT WRITEACKS 1 TIMEOUT", "ERR syntax error"),
        ("CLIENT WRITEACKS 1 TIMEOUT x", "ERR timeout is not an integer or out of range"),
        ("CLIENT WRITEACKS 1 TIMEOUT -1", "ERR timeout is negative"),
    ] {
        kv.expect(line, &format!("(error) {error}"));
    }
    let is_shown = |kv: &mut Conn| kv.line("CLIENT INFO").string().contains("write-acks");
    assert!(!is_shown(&mut kv));
    kv.ok("CLIENT WRITEACKS 2 FSYNC TIMEOUT 30000");
    let line = kv.line("CLIENT INFO").string();
    assert!(line.contains(" write-acks=2 write-acks-fsync=yes write-acks-timeout=30000\n"), "{line}");
    other.ok("SET b 1"); // it has demanded nothing
    kv.send(&["SET", "a", "1"]);
    std::thread::sleep(Duration::from_millis(50));
    let at = end(&server);
    first.acknowledge(&at, Some(&at));
    second.acknowledge(&at, Some("1"));
    nothing_comes(&mut kv);
    second.acknowledge(&at, Some(&at));
    comes(&mut kv, "OK");
    kv.ok("CLIENT WRITEACKS 0");
    kv.ok("SET a 2");
    assert!(is_shown(&mut kv));
    kv.expect("RESET", "RESET");
    assert!(!is_shown(&mut kv));
    // What holds for all does not hold for one that has said otherwise.
    other.ok("CONFIG SET write-acks 1");
    other.ok("CLIENT WRITEACKS 0");
    other.ok("SET b 2");
    kv.send(&["SET", "a", "3"]);
    nothing_comes(&mut kv);
    // Nor does anybody wait any more for what is not demanded any more.
    other.ok("CONFIG SET write-acks 0");
    comes(&mut kv, "OK");
}

#[test]
fn replies_that_are_not_wanted_and_clients_that_go() {
    let server = primary(&["--write-acks", "1"]);
    let mut replica = attach(&server);
    let (mut kv, mut other) = (server.connect(), server.connect());
    kv.raw(b"CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\n");
    comes(&mut kv, "\"1\"");
    kv.raw(b"SET a 2\r\nCLIENT REPLY OFF\r\nSET a 3\r\nGET a\r\nCLIENT REPLY ON\r\n");
    nothing_comes(&mut kv);
    replica.acknowledge(&end(&server), None);
    comes(&mut kv, "OK");
    comes(&mut kv, "OK");
    kv.raw(b"SET a 4\r\n");
    nothing_comes(&mut kv);
    kv.raw(b"PSYNC ? -1\r\n");
    nothing_comes(&mut kv);
    replica.acknowledge(&end(&server), None);
    comes(&mut kv, "OK");
    comes(&mut kv, "(error) ERR SYNC and PSYNC are invalid with pending output");
    // QUIT, and the end of what it sends, wait for the replies before.
    kv.raw(b"SET a 4\r\nQUIT\r\n");
    nothing_comes(&mut kv);
    let mut gone = other.another();
    gone.raw(b"SET a 5\r\n");
    gone.say_no_more();
    nothing_comes(&mut gone);
    let mut lost = other.another();
    lost.raw(b"SET a 6\r\n");
    drop(lost);
    assert_ne!(other.info("write_acks_waiting_clients"), "0");
    replica.acknowledge(&end(&server), None);
    comes(&mut kv, "OK");
    comes(&mut kv, "OK");
    assert!(kv.is_closed());
    comes(&mut gone, "OK");
    assert!(gone.is_closed());
    wait_for("nobody to wait", Duration::from_secs(5), || other.info("write_acks_waiting_clients") == "0");
    // The one that is killed is not waited for either.
    let mut killed = other.another();
    let id = killed.int("CLIENT ID");
    killed.raw(b"SET a 7\r\n");
    nothing_comes(&mut killed);
    other.expect(&format!("CLIENT KILL ID {id}"), "1");
    assert!(killed.is_closed());
    replica.acknowledge(&end(&server), None);
    wait_for("nobody to wait", Duration::from_secs(5), || other.info("write_acks_waiting_clients") == "0");
}

#[test]
fn blocked_clients_that_are_served_wait_too() {
    let server = primary(&[]);
    let mut replica = attach(&server);
    let (mut pops, mut pushes) = (server.connect(), server.connect());
    pops.ok("CLIENT WRITEACKS 1");
    pops.send(&["BLPOP", "list", "0"]);
    wait_for("it to wait", Duration::from_secs(5), || pushes.info("blocked_clients") == "1");
    pushes.expect("RPUSH list x", "1"); // has demanded nothing
    nothing_comes(&mut pops);
    replica.acknowledge(&end(&server), None);
    comes(&mut pops, "[\"list\" \"x\"]");
    // WAIT, of the same client, behind what waits.
    pops.raw(b"SET a 1\r\nWAIT 1 0\r\n");
    nothing_comes(&mut pops);
    replica.acknowledge(&end(&server), None);
    comes(&mut pops, "OK");
    comes(&mut pops, "1");
}

#[test]
fn scripts_wait_as_the_commands_do_that_they_call() {
    let server = primary(&["--write-acks", "1"]);
    let mut replica = attach(&server);
    let (mut kv, mut other) = (server.connect(), server.connect());
    kv.expect("EVAL \"return redis.call('get', KEYS[1])\" 1 a", "(nil)");
    for script in ["redis.call('set', KEYS[1], 1)", "#!lua\nredis.call('set', KEYS[1], 2)"] {
        kv.send(&["EVAL", &format!("{script} return redis.call('setnx', KEYS[1], 3)"), "1", "a"]);
        nothing_comes(&mut kv);
        // One that finds what is not acknowledged, and changes nothing.
        other.send(&["EVAL", "return redis.call('setnx', KEYS[1], 3)", "1", "a"]);
        nothing_comes(&mut other);
        replica.acknowledge(&end(&server), None);
        comes(&mut kv, "0");
        comes(&mut other, "0");
    }
    // Without replicas, and with a lease.
    other.ok("CONFIG SET primary-lease-ms 500");
    for script in ["return redis.call('set', KEYS[1], 1)", "#!lua\nreturn redis.call('set', KEYS[1], 2)"] {
        let reply = kv.cmd(&["EVAL", script, "1", "a"]).text();
        assert!(reply.contains("NOREPLICAS Not enough replicas have answered"), "{reply}");
    }
    kv.expect("EVAL \"return redis.call('get', KEYS[1])\" 1 a", "\"2\"");
    kv.ok("CONFIG SET read-uncommitted no");
    let reply = kv.cmd(&["EVAL", "return redis.call('get', KEYS[1])", "1", "a"]).text();
    assert!(reply.contains("NOREPLICAS"), "{reply}");
}

#[test]
fn nobody_reads_what_is_not_acknowledged() {
    let server = primary(&["--write-acks", "1", "--read-uncommitted", "no", "--notify-keyspace-events", "KA"]);
    let mut replica = attach(&server);
    let mut writer = server.connect();
    let (mut reader, mut hears, mut caches) =
        (server.connect(), server.connect_with(Proto::Resp3), server.connect_with(Proto::Resp3));
    reader.expect("GET a", "(nil)");
    caches.ok("CLIENT TRACKING ON");
    caches.expect("GET a", "(nil)");
    hears.line("SUBSCRIBE __keyspace@0__:a");
    writer.send(&["SET", "a", "1"]);
    nothing_comes(&mut writer);
    reader.raw(b"PING\r\nCONFIG GET port\r\nGET a\r\nPING\r\n");
    comes(&mut reader, "PONG");
    reader.read();
    nothing_comes(&mut reader);
    nothing_comes(&mut hears);
    nothing_comes(&mut caches);
    // One that has said it wants to wait for nothing is shown nothing either.
    let mut hasty = server.connect();
    hasty.ok("CLIENT WRITEACKS 0");
    hasty.send(&["INCR", "a"]);
    nothing_comes(&mut hasty);
    replica.acknowledge(&end(&server), None);
    comes(&mut writer, "OK");
    comes(&mut reader, "\"1\"");
    comes(&mut reader, "PONG");
    comes(&mut hasty, "2");
    for conn in [&mut hears, &mut caches] {
        assert!(conn.read_within(Duration::from_secs(5)).is_some());
    }
    // What expires by itself is not told either.
    writer.send(&["SET", "b", "1", "PX", "100"]);
    std::thread::sleep(QUIET);
    let at = end(&server);
    replica.acknowledge(&at, None);
    comes(&mut writer, "OK");
}

#[test]
fn what_cannot_be_shown_in_time_is_refused_and_pushes_end_with_their_connection() {
    let server = primary(&["--write-acks", "1", "--read-uncommitted", "no", "--write-acks-timeout", "200"]);
    let _replica = attach(&server);
    let (mut writer, mut reader) = (server.connect(), server.connect());
    let (mut hears, mut also_asks) = (server.connect(), server.connect_with(Proto::Resp3));
    hears.line("SUBSCRIBE channel");
    also_asks.line("SUBSCRIBE channel");
    writer.send(&["SET", "a", "1"]);
    reader.send(&["EXISTS", "a"]);
    comes(&mut writer, NO_QUORUM);
    comes(&mut reader, NO_QUORUM_READ);
    // A message that is never shown is no reply: who only listens goes on waiting, who asks is closed.
    writer.send(&["PUBLISH", "channel", "x"]);
    also_asks.send(&["GET", "a"]);
    nothing_comes(&mut hears);
    assert!(also_asks.is_closed());
    nothing_comes(&mut hears);
    hears.another().ok("CONFIG SET read-uncommitted yes");
    assert!(hears.read_within(Duration::from_secs(5)).is_some());
}

#[test]
fn a_primary_that_is_demoted_or_stopped_acknowledges_nothing() {
    let server = primary(&["--write-acks", "1", "--write-acks-timeout", "0"]);
    let _replica = attach(&server);
    let elsewhere = kvstash(&[]);
    let mut kv = server.connect();
    kv.raw(b"SET a 1\r\nGET a\r\n");
    nothing_comes(&mut kv);
    let mut demotes = server.connect();
    let request = format!("SET b 1\r\nREPLICAOF 127.0.0.1 {}\r\n", elsewhere.port);
    demotes.raw(request.as_bytes());
    const GONE: &str =
        "(error) NOQUORUM This instance is no primary any more: the write may be lost, the outcome is unknown.";
    comes(&mut kv, GONE);
    kv.read();
    comes(&mut demotes, GONE);
    comes(&mut demotes, "OK");
    let mut stopped = primary(&["--write-acks", "1", "--write-acks-timeout", "0"]);
    let mut kv = stopped.connect();
    kv.send(&["SET", "a", "1"]);
    nothing_comes(&mut kv);
    stopped.signal("TERM");
    comes(&mut kv, GONE);
    assert!(stopped.wait_exit(Duration::from_secs(20)).success());
}

#[test]
fn without_replicas_and_with_new_ones() {
    let server = primary(&["--write-acks", "1", "--write-acks-timeout", "300"]);
    let mut kv = server.connect();
    kv.send(&["SET", "a", "1"]);
    comes(&mut kv, NO_QUORUM);
    kv.ok("CONFIG SET write-acks-timeout 20000");
    kv.send(&["SET", "a", "2"]);
    nothing_comes(&mut kv);
    // One that comes now has it when it has the copy.
    let replica = kvstash(&[]);
    let mut down = replica.connect();
    down.ok(&format!("REPLICAOF 127.0.0.1 {}", server.port));
    comes(&mut kv, "OK");
    down.expect("GET a", "\"2\"");
    for i in 0..100 {
        kv.ok(&format!("SET key{i} {i}"));
        down.expect(&format!("GET key{i}"), &format!("\"{i}\""));
    }
    // On its disk.
    kv.ok("CLIENT WRITEACKS 1 FSYNC TIMEOUT 300");
    kv.expect("SET b 1", NO_QUORUM);
    down.ok("CONFIG SET appendonly yes");
    wait_for("the first rewrite", Duration::from_secs(10), || down.info("aof_rewrite_in_progress") == "0");
    kv.ok("CLIENT WRITEACKS 1 FSYNC TIMEOUT 20000");
    kv.ok("SET b 2");
    // One that is lost and comes back.
    kv.ok("CLIENT WRITEACKS 1 TIMEOUT 20000");
    let mut other = server.connect();
    other.line("CLIENT KILL TYPE replica");
    kv.ok("SET b 3");
}

#[test]
fn with_appendfsync_always_it_waits_for_both() {
    let server = primary(&["--write-acks", "1", "--appendonly", "yes", "--appendfsync", "always"]);
    let replica = kvstash(&["--replicaof", &format!("127.0.0.1 {}", server.port)]);
    let (mut kv, mut down) = (server.connect(), replica.connect());
    for i in 0..50 {
        let replies = kv.pipeline(&[&format!("SET a {i}"), "INCR n", "GET a", "PING"]);
        let text: Vec<String> = replies.iter().map(Value::text).collect();
        assert_eq!(text, ["OK".to_owned(), (i + 1).to_string(), format!("\"{i}\""), "PONG".to_owned()]);
    }
    in_step(&mut kv, &mut down);
}

#[test]
fn replicas_of_every_kind_acknowledge() {
    for binary in real_servers() {
        let server = primary(&["--write-acks", "1", "--rdb-version", "10", "--primary-lease-ms", "2000"]);
        let theirs = start(&binary, &["--replicaof", &format!("127.0.0.1 {}", server.port)]);
        let mut kv = server.connect();
        wait_for("the lease", Duration::from_secs(20), || kv.info("primary_lease") == "held");
        let before = Instant::now();
        for i in 0..200 {
            kv.ok(&format!("SET key{i} {i}"));
        }
        assert!(before.elapsed() < Duration::from_secs(5), "they are asked, and do not wait for the second to be over");
        theirs.connect().expect("GET key199", "\"199\"");
    }
}

#[test]
fn the_lease_of_a_primary() {
    const REFUSED: &str =
        "(error) NOREPLICAS Not enough replicas have answered within primary-lease-ms: there may be another primary.";
    let server = primary(&["--primary-lease-ms", "1000"]);
    let mut kv = server.connect();
    kv.expect("SET a 1", REFUSED);
    kv.expect("GET a", "(nil)");
    kv.pipeline(&["MULTI", "SET a 1"]);
    assert!(kv.line("EXEC").text().contains("EXECABORT"));
    let mut replica = kvstash(&["--replicaof", &format!("127.0.0.1 {}", server.port)]);
    wait_for("the lease", Duration::from_secs(20), || kv.info("primary_lease") == "held");
    let until = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < until {
        kv.ok("SET a 1"); // it is extended though nobody writes much
        std::thread::sleep(Duration::from_millis(100));
    }
    // Who is stopped and goes on finds what replicas said long ago, and is not deceived by it.
    server.signal("STOP");
    std::thread::sleep(Duration::from_millis(1500));
    kv.send(&["SET", "a", "2"]);
    server.signal("CONT");
    comes(&mut kv, REFUSED);
    wait_for("the lease", Duration::from_secs(20), || kv.info("primary_lease") == "held");
    kv.ok("SET a 3");
    replica.kill_9();
    wait_for("the lease to be over", Duration::from_secs(5), || kv.line("SET a 4").text() == REFUSED);
    assert_eq!(kv.info("primary_lease"), "lost");
    // Another primary may have acknowledged what is not here: where that matters nothing is read either.
    kv.expect("EXISTS a", "1");
    kv.ok("CONFIG SET write-acks 1 read-uncommitted no");
    kv.expect("GET a", REFUSED);
    kv.expect("PING", "PONG");
    kv.ok("CONFIG SET write-acks 0");
    kv.expect("EXISTS a", "1");
    kv.ok("CONFIG SET primary-lease-ms 0");
    kv.ok("SET a 5");
}

#[test]
fn what_waits_counts_as_memory_and_holds_the_client_back() {
    const MUCH: u64 = 8 << 20;
    let server = primary(&["--write-acks", "1"]);
    let mut replica = attach(&server);
    let (mut kv, mut other) = (server.connect(), server.connect());
    let id = kv.int("CLIENT ID");
    kv.send(&["SET", "value", &"v".repeat(100_000)]);
    (0..1000).for_each(|_| kv.send(&["GET", "value"]));
    let line = |other: &mut Conn| other.line(&format!("CLIENT LIST ID {id}")).string();
    let field = |line: &str, name: &str| -> u64 {
        let found = line.split(' ').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        found.unwrap().parse().unwrap()
    };
    wait_for("much to wait", Duration::from_secs(5), || field(&line(&mut other), "omem") > MUCH);
    std::thread::sleep(QUIET);
    let line = line(&mut other);
    // It is not given more than one that does not read.
    assert!(field(&line, "omem") < 4 * MUCH, "{line}");
    replica.acknowledge(&end(&server), None);
    comes(&mut kv, "OK");
    for _ in 0..1000 {
        assert_eq!(kv.read().string().len(), 100_000);
    }
    kv.ok("CONFIG SET client-output-buffer-limit \"normal 1mb 0 0\"");
    kv.send(&["SET", "value", &"v".repeat(100_000)]);
    let all = "GET value\r\n".repeat(100);
    let _ = kv.try_raw(all.as_bytes());
    assert!(kv.is_closed(), "the limit is one of what waits, too");
    other.expect("PING", "PONG");
}
