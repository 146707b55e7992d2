//! What a write becomes in the stream that replicas and files read.

use crate::support::{Conn, Server, Stream};

/// Lines of `commands | what is propagated`: commands and results separated by `;`, a result that may be anything `*` at its
/// end. Lines that begin with `+` prepare and are not looked at.
#[track_caller]
fn propagates(kv: &mut Conn, table: &str) {
    let mut stream = Stream::attach(kv);
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(preparation) = line.strip_prefix('+') {
            preparation.split(';').for_each(|command| drop(kv.line(command.trim())));
            stream.so_far(kv);
            continue;
        }
        let (commands, expected) = line.split_once('|').expect("commands and what they become");
        for command in commands.split(';').map(str::trim) {
            let reply = kv.line(command);
            assert!(!reply.is_error(), "{command} answered {}", reply.text());
        }
        let got = stream.so_far(kv);
        let expected: Vec<&str> = expected.split(';').map(str::trim).filter(|one| !one.is_empty()).collect();
        let fits = |(got, expected): (&String, &&str)| match expected.strip_suffix('*') {
            Some(start) => got.starts_with(start),
            None => got == expected,
        };
        let all = got.len() == expected.len() && got.iter().zip(&expected).all(fits);
        assert!(all, "{commands} became {got:?}, not {expected:?}");
    }
}

#[test]
fn one_command_one_line_several_a_transaction() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    propagates(
        &mut kv,
        "
        SET k v | SET k v
        GET k |
        DEL none |
        MULTI; GET k; EXEC |
        MULTI; SET a 1; EXEC | SET a 1
        MULTI; SET a 1; INCR a; GET a; EXEC | MULTI; SET a 1; INCR a; EXEC
        SELECT 3; SET k v | [3] SET k v
        SELECT 0; MULTI; SET a 1; SELECT 2; SET b 2; EXEC | MULTI; SET a 1; [2] SET b 2; [2] EXEC
        SELECT 2; FLUSHALL | [2] FLUSHALL
        SELECT 0; FLUSHDB ASYNC | FLUSHDB ASYNC
        SWAPDB 0 1 | SWAPDB 0 1
        CONFIG SET maxmemory 0 |
        DEBUG POPULATE 10 |
        DEBUG REPLICATE repl set a b | SET a b
        ",
    );
}

#[test]
fn strings() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    propagates(
        &mut kv,
        "
        SET k v EX 100 | SET k v PXAT *
        SET k v PX 100000 NX |
        SET k v PX 100000 XX | SET k v PXAT *
        SET k v EXAT 9999999999 | SET k v PXAT 9999999999000
        SET k v KEEPTTL | SET k v KEEPTTL
        SET k v GET | SET k v
        SET k v GET KEEPTTL | SET k v KEEPTTL
        SET k v PXAT 9999999999000 | SET k v PXAT 9999999999000
        SETEX k 100 v | SET k v PXAT *
        PSETEX k 100000 v | SET k v PXAT *
        SETNX k v |
        SETNX new v | SETNX new v
        GETSET k w | SET k w
        GETEX k |
        GETEX k EX 100 | PEXPIREAT k *
        GETEX k PERSIST | PERSIST k
        GETEX k PERSIST |
        GETEX k EXAT 1 | DEL k
        GETDEL new | DEL new
        GETDEL new |
        INCRBYFLOAT f 1.5 | SET f 1.5 KEEPTTL
        INCR n | INCR n
        APPEND n x | APPEND n x
        SETRANGE n 1 y | SETRANGE n 1 y
        MSET a 1 b 2 | MSET a 1 b 2
        MSETNX a 1 c 2 |
        SETBIT bits 7 1 | SETBIT bits 7 1
        PFADD hll a b | PFADD hll a b
        PFADD hll a b |
        PFCOUNT hll | PFCOUNT hll
        PFCOUNT hll |
        ",
    );
}

#[test]
fn deadlines() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    propagates(
        &mut kv,
        "
        + SET k v
        EXPIRE k 100 | PEXPIREAT k *
        PEXPIRE k 100000 NX |
        EXPIRE k 200 GT | PEXPIREAT k *
        EXPIREAT k 9999999999 | PEXPIREAT k 9999999999000
        PEXPIREAT k 9999999999001 | PEXPIREAT k 9999999999001
        PERSIST k | PERSIST k
        PERSIST k |
        EXPIRE k -1 | DEL k
        + DEBUG SET-ACTIVE-EXPIRE 0; SET k v PX 1; SET r v; DEBUG SLEEP 0.01
        GET k | DEL k
        + SET k v PX 1; DEBUG SLEEP 0.01
        SET k w | MULTI; DEL k; SET k w; EXEC
        + CONFIG SET lazyfree-lazy-expire yes; SET k v PX 1; DEBUG SLEEP 0.01
        GET k | UNLINK k
        + SET k v
        PEXPIRE k 0 | UNLINK k
        ",
    );
}

#[test]
fn lists_and_sets() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    propagates(
        &mut kv,
        "
        RPUSH l a b c d e f | RPUSH l a b c d e f
        BLPOP none l 0 | LPOP l
        BRPOP l 0 | RPOP l
        LMPOP 2 none l LEFT COUNT 2 | LPOP l 2
        BLMPOP 0 1 l RIGHT COUNT 1 | RPOP l 1
        BLMOVE l to LEFT RIGHT 0 | LMOVE l to LEFT RIGHT
        BRPOPLPUSH to l 0 | RPOPLPUSH to l
        LPUSHX none a |
        LTRIM l 1 0 | LTRIM l 1 0
        SADD s a | SADD s a
        SADD s a |
        SPOP s | SREM s a
        SADD s a b c | SADD s a b c
        SPOP s 3 | DEL s
        SADD s a b c | SADD s a b c
        SPOP s 2 | SREM s *
        SUNIONSTORE t s s | SUNIONSTORE t s s
        ZADD z 1 a 2 b 3 c 4 d 5 e | ZADD z 1 a 2 b 3 c 4 d 5 e
        BZPOPMIN z 0 | ZPOPMIN z
        BZPOPMAX none z 0 | ZPOPMAX z
        ZMPOP 1 z MIN | ZPOPMIN z 1
        BZMPOP 0 1 z MAX COUNT 9 | ZPOPMAX z 2
        GEOADD g 13.361389 38.115556 Palermo | ZADD g 3479099956230698 Palermo
        GEOADD g CH 13.361389 38.115556 Palermo |
        ",
    );
}

#[test]
fn whoever_waited_is_served_after_the_unit_that_served_it() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut stream = Stream::attach(&kv);
    let mut waits = kv.another();
    waits.send(&["BLPOP", "l", "0"]);
    crate::support::wait_for("a client that waits", std::time::Duration::from_secs(10), || {
        kv.info("blocked_clients") == "1"
    });
    kv.line("MULTI");
    kv.line("SET before 1");
    kv.line("RPUSH l a b");
    kv.line("EXEC");
    waits.read();
    assert_eq!(stream.so_far(&mut kv), ["MULTI", "SET before 1", "RPUSH l a b", "EXEC", "LPOP l"]);
}

#[test]
fn a_replica_is_sent_a_copy_and_goes_on_where_it_was() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("SET k v");
    let mut replica = kv.another_plain();
    replica.ok("REPLCONF listening-port 7000 capa psync2");
    replica.send(&["PSYNC", "?", "-1"]);
    let answer = replica.read().string();
    let (id, offset) = answer.strip_prefix("FULLRESYNC ").unwrap().split_once(' ').unwrap();
    let (id, offset): (String, u64) = (id.to_owned(), offset.parse().unwrap());
    let copy = replica.read_copy();
    assert!(copy.starts_with(b"REDIS"));
    kv.ok("SET after 1");
    assert_eq!(replica.read().text(), r#"["SELECT" "0"]"#);
    assert_eq!(replica.read().text(), r#"["SET" "after" "1"]"#);
    let end: u64 = kv.info("master_repl_offset").parse().unwrap();
    replica.send(&["REPLCONF", "ACK", &end.to_string()]);
    crate::support::wait_for("the acknowledgement", std::time::Duration::from_secs(10), || {
        kv.info("slave0").contains(&format!("port=7000,state=online,offset={end}"))
    });
    assert_eq!(kv.info("connected_slaves"), "1");
    drop(replica);
    crate::support::wait_for("the end", std::time::Duration::from_secs(10), || kv.info("connected_slaves") == "0");

    let mut again = kv.another_plain();
    again.send(&["PSYNC", &id, &(offset + 1).to_string()]);
    assert_eq!(again.read().text(), "CONTINUE");
    assert_eq!(again.read().text(), r#"["SELECT" "0"]"#);
    let mut stranger = kv.another_plain();
    stranger.send(&["PSYNC", &"0".repeat(40), "1"]);
    assert!(stranger.read().string().starts_with("FULLRESYNC"));
    let mut ahead = kv.another_plain();
    ahead.send(&["PSYNC", &id, &(end + 2).to_string()]);
    assert!(ahead.read().string().starts_with("FULLRESYNC"));
    assert!(kv.another_plain().line("REPLCONF listening-port").is_error());
    assert_eq!(kv.another_plain().line("REPLCONF fish 1").text(), "(error) ERR Unrecognized REPLCONF option: fish");
}

#[test]
fn a_large_value_arrives_whole() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut stream = Stream::attach(&kv);
    let value = "x".repeat(3 << 20);
    kv.ok(&format!("SET large {value}"));
    assert_eq!(stream.next(), format!("SET large {value}"));
}

#[test]
fn events_are_kept_in_a_stream() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("CONFIG SET notify-keyspace-events A notify-keyspace-stream \"events MAXLEN 1000\"");
    let mut stream = Stream::attach(&kv);
    let mut waits = kv.another();
    waits.send(&["XREAD", "BLOCK", "0", "STREAMS", "events", "$"]);
    crate::support::wait_for("a client that waits", std::time::Duration::from_secs(10), || {
        kv.info("blocked_clients") == "1"
    });
    kv.ok("SELECT 1");
    kv.ok("SET k v EX 100");
    assert!(waits.read().text().contains(r#"["event" "set" "db" "1" "key" "k"]"#));
    kv.ok("SELECT 0");
    let entries = kv.line("XRANGE events - +").text();
    assert!(entries.contains(r#"["event" "expire" "db" "1" "key" "k"]"#), "{entries}");
    assert_eq!(kv.int("XLEN events"), 2, "the stream itself causes no event");
    let lines = stream.so_far(&mut kv);
    assert!(lines[1].starts_with("[1] SET k v PXAT"), "{lines:?}");
    assert!(lines[2].starts_with("XADD events MAXLEN = 1 ") && lines[2].ends_with("event set db 1 key k"), "{lines:?}");
    kv.ok("CONFIG SET notify-keyspace-stream \"\"");
    kv.ok("SET other v");
    assert_eq!(kv.int("DEL events"), 1);
    kv.ok("CONFIG SET notify-keyspace-stream events");
    kv.ok("SET events v");
    kv.ok("SET more v");
    assert_eq!(kv.line("GET events").text(), "\"v\"", "what is no stream is left alone");
    assert!(server.log().contains("Keyspace events cannot be kept"));
    assert!(kv.line("CONFIG SET notify-keyspace-stream \"a b\"").is_error());
    assert!(kv.line("CONFIG SET notify-keyspace-stream \"a MAXLEN 0\"").is_error());
}
