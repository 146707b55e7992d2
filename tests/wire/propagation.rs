//! What a write becomes in the stream that replicas and files read.

use crate::support::{Conn, Peer, Server, Stream, wait_for};
use std::time::Duration;

/// Lines of `commands | what is propagated`: commands and results separated by `;`, a part that may be anything `*`, once in
/// a result. Lines that begin with `+` prepare and are not looked at; those that begin with `@kvstash` are for it alone.
#[track_caller]
fn propagates(kv: &mut Conn, table: &str) {
    let mut stream = Stream::attach(kv);
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let line = match line.split_once(' ') {
            Some((guard, _)) if guard == "@kvstash" && kv.peer != Peer::Kvstash => continue,
            Some(("@kvstash", rest)) => rest,
            _ => line,
        };
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
        let fits = |(got, expected): (&String, &&str)| match expected.split_once('*') {
            Some((start, end)) => got.starts_with(start) && got.ends_with(end),
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
fn a_replica_may_be_silent_for_longer_than_a_client() {
    let server = Server::start(&[]);
    let (mut kv, mut idle) = (server.connect(), server.connect());
    let mut stream = Stream::attach(&kv);
    stream.so_far(&mut kv);
    kv.ok("CONFIG SET timeout 1");
    for _ in 0..35 {
        std::thread::sleep(Duration::from_millis(100));
        kv.line("PING");
    }
    assert!(idle.is_closed());
    kv.ok("SET a 1");
    assert_eq!(stream.so_far(&mut kv), ["SET a 1"]);
}

#[test]
fn a_payload_whose_time_is_over_replaces_by_deleting() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    propagates(
        &mut kv,
        r#"
        + CONFIG SET lazyfree-lazy-expire yes; SET k v
        RESTORE k 1 "\x00\xc0\x01\x0c\x00\xed\x0e\xd3v++\x8f\xb5" REPLACE ABSTTL | DEL k
        + CONFIG SET lazyfree-lazy-expire no; CONFIG SET lazyfree-lazy-server-del yes; SET k v
        RESTORE k 1 "\x00\xc0\x01\x0c\x00\xed\x0e\xd3v++\x8f\xb5" REPLACE ABSTTL | UNLINK k
        RESTORE k 1 "\x00\xc0\x01\x0c\x00\xed\x0e\xd3v++\x8f\xb5" REPLACE ABSTTL |
        "#,
    );
}

#[test]
fn keys_that_go_elsewhere_are_deleted() {
    let (server, other) = (Server::start(&[]), Server::start(&[]));
    let (mut kv, port) = (server.connect(), other.port);
    propagates(
        &mut kv,
        &format!(
            "
            MSET a 1 b 2 c 3 d 4 | MSET a 1 b 2 c 3 d 4
            MIGRATE 127.0.0.1 {port} a 0 5000 COPY |
            MIGRATE 127.0.0.1 {port} none 0 5000 |
            MIGRATE 127.0.0.1 {port} a 0 5000 REPLACE | DEL a
            MIGRATE 127.0.0.1 {port} \"\" 0 5000 KEYS b none c | DEL b c
            MULTI; SET e 5; MIGRATE 127.0.0.1 {port} \"\" 0 5000 KEYS d e; EXEC | MULTI; SET e 5; DEL d e; EXEC
            "
        ),
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
        RPUSH l a b c d e f g | RPUSH l a b c d e f g
        BLPOP none l 0 | LPOP l
        BRPOP l 0 | RPOP l
        LMPOP 2 none l LEFT COUNT 2 | LPOP l 2
        BLMPOP 0 1 l RIGHT COUNT 1 | RPOP l 1
        BLMOVE l to LEFT RIGHT 0 | LMOVE l to LEFT RIGHT
        BLMOVE l to right Left 0 | LMOVE l to right Left
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
fn hashes() {
    let server = Server::start(&["--enable-debug-command", "yes"]);
    let mut kv = server.connect();
    propagates(
        &mut kv,
        "
        + DEBUG SET-ACTIVE-EXPIRE 0
        HSET h f 1 g 2 i 3 j 4 | HSET h f 1 g 2 i 3 j 4
        HINCRBYFLOAT h f 1.5 | HSETEX h KEEPTTL FIELDS 1 f 2.5
        HINCRBY h f2 1 | HINCRBY h f2 1
        HEXPIRE h 100 FIELDS 3 f g nof | HPEXPIREAT h * FIELDS 2 f g
        HEXPIRE h 200 NX FIELDS 3 f g i | HPEXPIREAT h * NX FIELDS 1 i
        HEXPIRE h 300 NX FIELDS 2 f g |
        HPEXPIRE h 300000 XX FIELDS 2 f j | HPEXPIREAT h * XX FIELDS 1 f
        HEXPIREAT h 9999999999 FIELDS 1 f | HPEXPIREAT h 9999999999000 FIELDS 1 f
        HPEXPIREAT h 9999999999001 FIELDS 2 f f | HPEXPIREAT h 9999999999001 FIELDS 2 f f
        HPERSIST h FIELDS 2 f j | HPERSIST h FIELDS 2 f j
        HPERSIST h FIELDS 2 f j |
        HEXPIREAT h 1 FIELDS 2 f nof | HDEL h f
        HEXPIREAT h 1 FIELDS 2 nof nof2 |
        HSET h f 1 | HSET h f 1
        HGETEX h FIELDS 1 f |
        HGETEX h EX 100 FIELDS 2 f nof | HPEXPIREAT h * FIELDS 2 f nof
        HGETEX h PERSIST FIELDS 2 f i | HPERSIST h FIELDS 2 f i
        HGETEX h PERSIST FIELDS 2 f i |
        HGETEX h EXAT 1 FIELDS 2 f g | MULTI; HDEL h f; HDEL h g; EXEC
        HGETEX h EXAT 1 FIELDS 2 nof g |
        HSETEX h EX 100 FIELDS 1 f v | HSETEX h PXAT * FIELDS 1 f v
        HSETEX h FNX EX 100 FIELDS 1 new2 v | HSETEX h FNX PXAT * FIELDS 1 new2 v
        HSETEX h FNX FIELDS 1 new2 v |
        HSETEX h FXX PX 100000 FIELDS 2 new2 v f 2 | HSETEX h FXX PXAT * FIELDS 2 new2 v f 2
        HSETEX h KEEPTTL FIELDS 1 ex v | HSETEX h KEEPTTL FIELDS 1 ex v
        HSETEX h EXAT 1 FIELDS 2 f v g q | MULTI; HDEL h f; HDEL h g; EXEC
        HSETEX none EXAT 1 FIELDS 1 f v | HDEL none f
        HGETDEL h FIELDS 2 i nof | HDEL h i nof
        HGETDEL h FIELDS 2 i nof |
        HSETNX h zz 1 | HSETNX h zz 1
        HSETNX h zz 1 |
        + DEL h; HSET h a 1 b 2 c 3 d 4; HPEXPIRE h 1 FIELDS 2 a b; DEBUG SLEEP 0.01
        HGET h a | HDEL h a
        HMGET h a b | HDEL h b
        + HPEXPIRE h 1 FIELDS 2 c d; DEBUG SLEEP 0.01
        HGETEX h EX 100 FIELDS 2 c d | MULTI; HDEL h c; HDEL h d; EXEC
        + HSET h a 1 b 2 c 3; HPEXPIRE h 1 FIELDS 2 a b; DEBUG SLEEP 0.01
        HGETEX h EX 100 FIELDS 3 a b c | MULTI; HDEL h a; HDEL h b; HPEXPIREAT h * FIELDS 3 a b c; EXEC
        + HSET h a 1 b 2 c 3; HPEXPIRE h 1 FIELDS 3 a b c; DEBUG SLEEP 0.01
        HSET h a 5 | HSET h a 5
        HINCRBY h b 1 | MULTI; HDEL h b; HINCRBY h b 1; EXEC
        HINCRBYFLOAT h c 1 | MULTI; HDEL h c; HSETEX h KEEPTTL FIELDS 1 c 1; EXEC
        + HPEXPIRE h 1 FIELDS 2 a b; DEBUG SLEEP 0.01
        HSETNX h a 5 | MULTI; HDEL h a; HSETNX h a 5; EXEC
        HSETEX h FNX FIELDS 1 b 9 | MULTI; HDEL h b; HSETEX h FNX FIELDS 1 b 9; EXEC
        + HPEXPIRE h 1 FIELDS 2 a b; DEBUG SLEEP 0.01
        HDEL h a b | HDEL h a b
        + DEL h; HSET h a 1 b 2; HPEXPIRE h 1 FIELDS 1 b; DEBUG SLEEP 0.01
        HPERSIST h FIELDS 2 a b |
        HGETDEL h FIELDS 2 a b | MULTI; HDEL h b; HDEL h a b; EXEC
        + HSET h a 1 b 2 c 3 d 4; HPEXPIRE h 1 FIELDS 4 a b c d; DEBUG SLEEP 0.01
        HRANDFIELD h 5 | MULTI; HDEL h d; HDEL h c; HDEL h b; HDEL h a; EXEC
        ",
    );
}

#[test]
fn streams() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    propagates(
        &mut kv,
        "
        XADD s * f v | XADD s 1*-0 f v
        XADD s 9999999999999-* f v | XADD s 9999999999999-0 f v
        XADD s 9999999999999-7 f v | XADD s 9999999999999-7 f v
        XADD none NOMKSTREAM * f v |
        + CONFIG SET stream-node-max-entries 3; XADD t 1-1 f v; XADD t 2-1 f v; XADD t 3-1 f v; XADD t 4-1 f v
        + XADD t 5-1 f v; XADD t 6-1 f v; XADD t 7-1 f v; XADD t 8-1 f v
        XADD t MAXLEN ~ 4 9-1 f v | XADD t MAXLEN = 6 9-1 f v
        @kvstash XADD t MAXLEN ~ 4 LIMIT 2 10-1 f v | XADD t MAXLEN = 7 10-1 f v
        XADD t MAXLEN = 6 12-1 f v | XADD t MAXLEN = 6 12-1 f v
        XADD t MAXLEN 6 13-1 f v | XADD t MAXLEN 6 13-1 f v
        XADD t MINID ~ 9 14-1 f v | XADD t MINID = 7-1 14-1 f v
        XADD t NOMKSTREAM MAXLEN ~ 1000 KEEPREF 15-* f v | XADD t NOMKSTREAM MAXLEN = * KEEPREF 15-0 f v
        XADD t KEEPREF 16 f v | XADD t KEEPREF 16 f v
        XTRIM t MAXLEN ~ 100 |
        XTRIM t MAXLEN ~ 3 | XTRIM t MAXLEN = *
        XTRIM t MINID 15 DELREF | XTRIM t MINID 15 DELREF
        XTRIM t MINID 15 DELREF |
        @kvstash XTRIM t MINID ~ 99 LIMIT 100 | XTRIM t MINID = 18446744073709551615-18446744073709551615
        + DEL a; XADD a 1-1 f v; XADD a 2-1 f v; XADD a 3-1 f v; XADD a 4-1 f v; XADD a 5-1 f v; XADD a 6-1 f v
        + XGROUP CREATE a g 0; XREADGROUP GROUP g c COUNT 4 STREAMS a >; XACK a g 2-1
        @kvstash XTRIM a MINID ~ 4 ACKED | XTRIM a MAXLEN = 5 ACKED
        XGROUP CREATE s g 0 | XGROUP CREATE s g 0
        XGROUP CREATE newkey g $ MKSTREAM | XGROUP CREATE newkey g $ MKSTREAM
        XGROUP CREATECONSUMER s g c | XGROUP CREATECONSUMER s g c
        XREADGROUP GROUP g c STREAMS s > | MULTI; XCLAIM s g c 0 1*; XCLAIM s g c 0 9999999999999-0 TIME * RETRYCOUNT 1 \
            FORCE JUSTID LASTID 9999999999999-0; XCLAIM s g c 0 9999999999999-7 TIME * RETRYCOUNT 1 FORCE JUSTID LASTID \
            9999999999999-7; XGROUP SETID s g 9999999999999-7 ENTRIESREAD 3; EXEC
        XREADGROUP GROUP g c STREAMS s > |
        XREADGROUP GROUP g c STREAMS s 0 |
        @kvstash XREADGROUP GROUP g new STREAMS s 0 | XGROUP CREATECONSUMER s g new
        @kvstash XREADGROUP GROUP g new2 STREAMS s > | XGROUP CREATECONSUMER s g new2
        + XADD s * f v
        XREADGROUP GROUP g new3 NOACK STREAMS s > | MULTI; XGROUP CREATECONSUMER s g new3; XGROUP SETID s g \
            9999999999999-8 ENTRIESREAD 4; EXEC
        + XADD v 1-1 f v; XADD v 2-1 f v; XADD v 3-1 f v; XADD v 4-1 f v; XADD v 5-1 f v; XADD v 8-1 f v
        + XGROUP CREATE v g 0; XREADGROUP GROUP g c COUNT 5 STREAMS v >
        XCLAIM v g d 0 1-1 | XCLAIM v g d 0 1-1 TIME * RETRYCOUNT 2 FORCE JUSTID LASTID 5-1
        XCLAIM v g d 0 1-1 2-1 JUSTID | MULTI; XCLAIM v g d 0 1-1 TIME * RETRYCOUNT 2 FORCE JUSTID LASTID 5-1; \
            XCLAIM v g d 0 2-1 TIME * RETRYCOUNT 1 FORCE JUSTID LASTID 5-1; EXEC
        XCLAIM v g d 0 1-1 TIME 1000 RETRYCOUNT 7 | XCLAIM v g d 0 1-1 TIME 1000 RETRYCOUNT 7 FORCE JUSTID LASTID 5-1
        XCLAIM v g d 100000 2-1 |
        XCLAIM v g d 0 8-1 |
        XCLAIM v g d 0 9-1 FORCE |
        XCLAIM v g d 0 8-1 FORCE | XCLAIM v g d 0 8-1 TIME * RETRYCOUNT 2 FORCE JUSTID LASTID 5-1
        XCLAIM v g d 100000 2-1 LASTID 6-0 | XGROUP SETID v g 6-0 ENTRIESREAD 5
        XCLAIM v g e 0 3-1 LASTID 7-0 | XCLAIM v g e 0 3-1 TIME * RETRYCOUNT 2 FORCE JUSTID LASTID 7-0
        + XDEL v 1-1 2-1 4-1
        XCLAIM v g e 0 1-1 3-1 | MULTI; XCLAIM v g d 0 1-1 TIME 1000 RETRYCOUNT 7 FORCE JUSTID LASTID 7-0; \
            XCLAIM v g e 0 3-1 TIME * RETRYCOUNT 3 FORCE JUSTID LASTID 7-0; EXEC
        XAUTOCLAIM v g e 0 0 COUNT 3 | MULTI; XCLAIM v g d 0 2-1 TIME * RETRYCOUNT 1 FORCE JUSTID LASTID 7-0; \
            XCLAIM v g e 0 3-1 TIME * RETRYCOUNT 4 FORCE JUSTID LASTID 7-0; \
            XCLAIM v g c 0 4-1 TIME * RETRYCOUNT 1 FORCE JUSTID LASTID 7-0; EXEC
        XAUTOCLAIM v g e 100000 0 |
        @kvstash XCLAIM v g i 100000 3-1 | XGROUP CREATECONSUMER v g i
        @kvstash XAUTOCLAIM v g j 100000 0 | XGROUP CREATECONSUMER v g j
        XACK v g 8-1 9-1 | XACK v g 8-1 9-1
        XACK v g 8-1 |
        XGROUP DELCONSUMER v g e | XGROUP DELCONSUMER v g e
        XGROUP DESTROY v g | XGROUP DESTROY v g
        XSETID v 100-1 ENTRIESADDED 100 MAXDELETEDID 3-1 | XSETID v 100-1 ENTRIESADDED 100 MAXDELETEDID 3-1
        + XADD x 1-1 f v; XADD x 2-1 f v; XADD x 3-1 f v; XGROUP CREATE x g 0; XGROUP CREATE x h 0
        + XREADGROUP GROUP g c STREAMS x >; XREADGROUP GROUP h c COUNT 1 STREAMS x >
        XACKDEL x g ACKED IDS 2 2-1 9-1 | XACKDEL x g ACKED IDS 2 2-1 9-1
        XACKDEL x g IDS 1 9-1 |
        XDELEX x ACKED IDS 1 2-1 |
        XDELEX x IDS 1 3-1 | XDELEX x IDS 1 3-1
        MULTI; XADD m 5-1 f v; XADD m 5-* f v; EXEC | MULTI; XADD m 5-1 f v; XADD m 5-2 f v; EXEC
        ",
    );
}

#[test]
fn a_consumer_that_waits_is_known_elsewhere_and_what_it_is_given_later() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    kv.ok("XGROUP CREATE s g $ MKSTREAM");
    kv.line("XGROUP CREATECONSUMER s g c");
    let mut stream = Stream::attach(&kv);
    let mut waits = kv.another();
    waits.send(&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"]);
    wait_for("a client that waits", Duration::from_secs(10), || kv.info("blocked_clients") == "1");
    kv.line("XADD s 1-1 f v");
    waits.read();
    let got = stream.so_far(&mut kv);
    assert_eq!((&*got[0], &*got[1]), ("XADD s 1-1 f v", "MULTI"));
    assert!(got[2].starts_with("XCLAIM s g c 0 1-1 TIME ") && got[2].ends_with(" LASTID 1-1"), "{got:?}");
    assert_eq!(got[3..], ["XGROUP SETID s g 1-1 ENTRIESREAD 1", "EXEC"]);
}

#[test]
fn whoever_waited_is_served_after_the_unit_that_served_it() {
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let mut stream = Stream::attach(&kv);
    let mut waits = kv.another();
    waits.send(&["BLPOP", "l", "0"]);
    wait_for("a client that waits", Duration::from_secs(10), || kv.info("blocked_clients") == "1");
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
    wait_for("the acknowledgement", Duration::from_secs(10), || {
        kv.info("slave0").contains(&format!("port=7000,state=online,offset={end}"))
    });
    assert_eq!(kv.info("connected_slaves"), "1");
    drop(replica);
    wait_for("the end", Duration::from_secs(10), || kv.info("connected_slaves") == "0");

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
    wait_for("a client that waits", Duration::from_secs(10), || kv.info("blocked_clients") == "1");
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

#[test]
fn what_is_kept_for_a_copy_is_bounded() {
    for limit in ["replica 200000 0 0", "replica 0 200000 1"] {
        let few = ["--rdb-key-save-delay", "100000", "--repl-backlog-size", "100000"];
        let server = Server::start(&[&few[..], &["--client-output-buffer-limit", limit]].concat());
        let mut kv = server.connect();
        (0..100).for_each(|i| kv.ok(&format!("SET key:{i} v")));
        let mut replica = kv.another_plain();
        replica.raw(b"SYNC\r\n");
        wait_for("a replica", Duration::from_secs(10), || kv.info("connected_slaves") == "1");
        let value = "x".repeat(100_000);
        (0..5).for_each(|_| kv.ok(&format!("SET large {value}")));
        wait_for("its end", Duration::from_secs(5), || kv.info("connected_slaves") == "0");
    }
}

/// The write stream is there once, for the backlog and for all replicas: what a replica has not read beyond the backlog is
/// told as Redis does.
#[test]
fn what_replicas_have_not_read_is_counted() {
    let server = Server::start(&["--repl-backlog-size", "100000", "--client-output-buffer-limit", "replica 0 0 0"]);
    let mut kv = server.connect();
    let mut replicas = [kv.another_plain(), kv.another_plain()];
    replicas.iter_mut().for_each(|replica| replica.raw(b"SYNC\r\n"));
    wait_for("replicas", Duration::from_secs(20), || {
        kv.line("INFO replication").string().matches("state=online").count() == 2 || {
            replicas.iter_mut().for_each(|replica| replica.raw(b"REPLCONF ACK 1\r\n"));
            false
        }
    });
    let mut number = |field: &str| kv.info(field).parse::<u64>().unwrap();
    assert_eq!(number("mem_clients_slaves"), 0);
    let value = "x".repeat(100_000);
    let mut writer = server.connect();
    (0..200).for_each(|_| writer.ok(&format!("SET large {value}")));
    // Their sockets have taken some of it.
    let held = number("mem_clients_slaves");
    assert!((5_000_000..20_500_000).contains(&held), "{held}");
    assert!((90_000..150_000).contains(&number("mem_replication_backlog")));
    let whole = number("mem_total_replication_buffers");
    assert!(whole >= held && whole < held + 150_000, "{whole}");
    assert!(number("mem_clients_normal") < 3_000_000, "it is not counted again");
    let stats = writer.line("MEMORY STATS").text();
    assert!(!stats.contains("\"clients.slaves\" 0 "), "{stats}");
    drop(replicas);
    wait_for("their end", Duration::from_secs(5), || number("mem_clients_slaves") == 0);
}
