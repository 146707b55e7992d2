//! Waiting as such, whichever command waits: order, timeouts, CLIENT UNBLOCK, transactions, pauses, what INFO, CLIENT
//! LIST, SLOWLOG and MONITOR say of it, and clients that go away.

use crate::support::{Conn, Peer, Server, TempDir, Value, each_proto, wait_for};
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(5);
const A_WHILE: Duration = Duration::from_millis(60);

/// A client that waits for entries after the last one of stream `key`, and its CLIENT ID.
fn waiter(kv: &mut Conn, key: &str) -> (Conn, i64) {
    let mut conn = kv.another();
    let id = conn.int("CLIENT ID");
    wait(kv, &mut conn, &["XREAD", "BLOCK", "0", "STREAMS", key, "$"]);
    (conn, id)
}

/// Sends a request and comes back when it waits.
fn wait(kv: &mut Conn, conn: &mut Conn, request: &[&str]) {
    let before: u32 = kv.info("blocked_clients").parse().unwrap();
    conn.send(request);
    wait_for("one more to wait", SOON, || kv.info("blocked_clients").parse::<u32>().unwrap() == before + 1);
}

fn told(conn: &mut Conn) -> String {
    conn.read_within(SOON).map_or_else(|| "nothing".to_owned(), |reply| reply.text())
}

fn is_told_nothing(conn: &mut Conn) -> bool {
    conn.read_within(A_WHILE).is_none()
}

#[test]
fn those_who_came_first_are_served_first() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("FLUSHALL");
        kv.line("XADD s 1-1 a b");
        kv.line("XGROUP CREATE s g 0");
        let mut conns: Vec<Conn> = (0..3).map(|_| kv.another()).collect();
        let request = ["XREADGROUP", "GROUP", "g", "me", "COUNT", "1", "BLOCK", "0", "STREAMS", "s", ">"];
        assert!(conns[0].cmd(&request).text().contains("1-1"));
        conns.iter_mut().for_each(|conn| wait(kv, conn, &request));
        for (i, conn) in conns.iter_mut().enumerate() {
            kv.line(&format!("XADD s 2-{i} a b"));
            assert!(told(conn).contains(&format!("2-{i}")));
        }
        assert_eq!(kv.info("blocked_clients"), "0");
    });
}

#[test]
fn what_was_sent_after_it_waits_too() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let mut conn = kv.another();
        conn.send(&["PING"]);
        wait(kv, &mut conn, &["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]);
        conn.send(&["ECHO", "after"]);
        conn.send(&["XREAD", "BLOCK", "0", "STREAMS", "t", "$"]);
        conn.send(&["ECHO", "last"]);
        assert_eq!(told(&mut conn), "PONG");
        assert!(is_told_nothing(&mut conn));
        kv.line("XADD s 1-1 a b");
        assert!(told(&mut conn).contains("1-1"));
        assert_eq!(told(&mut conn), "\"after\"");
        assert!(is_told_nothing(&mut conn));
        kv.line("XADD t 2-1 a b");
        assert!(told(&mut conn).contains("2-1"));
        assert_eq!(told(&mut conn), "\"last\"");
        kv.ok("FLUSHALL");
    });
}

#[test]
fn time_runs_out() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let began = Instant::now();
        kv.talk("XREAD BLOCK 50 STREAMS none $ => (nil array) || (nil)");
        let took = began.elapsed();
        assert!((50..1000).contains(&took.as_millis()), "{took:?}");
        let (mut late, _) = waiter(kv, "s");
        let mut early = kv.another();
        early.send(&["XREAD", "BLOCK", "30", "STREAMS", "s", "$"]);
        assert!(told(&mut early).contains("nil"));
        assert!(is_told_nothing(&mut late));
    });
}

#[test]
fn another_client_wakes_it() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let (mut conn, id) = waiter(kv, "s");
        let me = kv.int("CLIENT ID");
        assert_eq!(kv.int(&format!("CLIENT UNBLOCK {me}")), 0);
        assert_eq!(kv.int(&format!("CLIENT UNBLOCK {id}")), 1);
        assert!(told(&mut conn).contains("nil"));
        assert_eq!(kv.int(&format!("CLIENT UNBLOCK {id} ERROR")), 0);
        let (mut conn, id) = waiter(kv, "s");
        assert_eq!(kv.int(&format!("CLIENT UNBLOCK {id} error")), 1);
        assert_eq!(told(&mut conn), "(error) UNBLOCKED client unblocked via CLIENT UNBLOCK");
        let (mut conn, id) = waiter(kv, "s");
        assert_eq!(kv.int(&format!("CLIENT UNBLOCK {id} TIMEOUT")), 1);
        assert!(told(&mut conn).contains("nil"));
        conn.expect("PING", "PONG");
    });
}

#[test]
fn a_transaction_counts_as_a_whole_and_waits_for_nothing() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        let (mut conn, _) = waiter(kv, "s");
        kv.talk(
            r#"
            MULTI                      => OK
            XADD s 1-1 a b             => QUEUED
            DEL s                      => QUEUED
            XREAD BLOCK 0 STREAMS s 0  => QUEUED
            EXEC                       => ["1-1" 1 (nil array)] || ["1-1" 1 (nil)]
            "#,
        );
        assert!(is_told_nothing(&mut conn));
        kv.talk(
            r#"
            MULTI                      => OK
            XADD s 2-1 a b             => QUEUED
            XADD s 2-2 a b             => QUEUED
            EXEC                       => ["2-1" "2-2"]
            "#,
        );
        assert!(told(&mut conn).contains("2-2"));
        kv.ok("FLUSHALL");
    });
}

#[test]
fn a_group_that_is_gone_delivers_nothing() {
    let server = Server::start(&[]);
    let gone = "(error) NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
    let wrong_type = "(error) WRONGTYPE Operation against a key holding the wrong kind of value";
    each_proto(&server, |kv| {
        for (how, expected) in [
            ("DEL s", gone),
            ("SET s x", wrong_type),
            ("SETBIT other 7 1", "nothing"),
            ("RENAME other s", wrong_type),
            ("RENAME s t", gone),
            ("EXPIRE s -1", gone),
            ("PEXPIRE s 20", gone),
            ("MOVE s 9", gone),
            ("FLUSHDB", gone),
            ("FLUSHALL ASYNC", gone),
            ("SWAPDB 0 5", gone),
            ("XGROUP DESTROY s g", gone),
            ("XGROUP CREATE s other $", "nothing"),
        ] {
            kv.ok("FLUSHALL");
            kv.ok("SET other x");
            kv.ok("XGROUP CREATE s g $ MKSTREAM");
            let mut conn = kv.another();
            wait(kv, &mut conn, &["XREADGROUP", "GROUP", "g", "me", "BLOCK", "0", "STREAMS", "s", ">"]);
            assert_eq!(kv.info("total_blocking_keys_on_nokey"), "1");
            assert!(!kv.line(how).is_error());
            if expected == "nothing" {
                assert!(is_told_nothing(&mut conn), "{how}");
                let id = kv.line("CLIENT LIST").string().lines().last().map(|line| line[3..].to_owned()).unwrap();
                kv.line(&format!("CLIENT UNBLOCK {}", id.split(' ').next().unwrap()));
            } else {
                assert_eq!(told(&mut conn), expected, "{how}");
            }
        }
    });
}

#[test]
fn a_key_may_come_in_many_ways() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("FLUSHALL");
        kv.line("XADD from 1-1 a b");
        let dump = kv.cmd(&["DUMP", "from"]).bytes().to_vec();
        for how in ["COPY from s", "RENAME from s", "SWAPDB 0 6", "MULTI"] {
            kv.line("DEL s");
            let mut conn = kv.another();
            wait(kv, &mut conn, &["XREAD", "BLOCK", "0", "STREAMS", "s", "0"]);
            match how {
                "SWAPDB 0 6" => {
                    kv.ok("SELECT 6");
                    kv.line("XADD s 1-1 a b");
                    kv.ok("SELECT 0");
                    kv.ok(how);
                }
                "MULTI" => {
                    kv.ok("MULTI");
                    assert_eq!(kv.cmd_bytes(&[b"RESTORE", b"s", b"0", &dump]).text(), "QUEUED");
                    kv.line("EXEC");
                }
                _ => assert!(!kv.line(how).is_error()),
            }
            assert!(told(&mut conn).contains("1-1"), "{how}");
        }
    });
}

#[test]
fn what_operators_see() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("FLUSHALL");
        kv.ok("CONFIG RESETSTAT");
        kv.ok("CONFIG SET slowlog-log-slower-than 0");
        kv.ok("SLOWLOG RESET");
        let mut monitor = kv.another();
        monitor.ok("MONITOR");
        let (mut conn, id) = waiter(kv, "s");
        let mut shown = |what: &str| {
            while !told(&mut monitor).contains(what) {}
        };
        shown("\"BLOCK\" \"0\" \"STREAMS\" \"s\" \"$\"");
        let line = kv.line(&format!("CLIENT LIST ID {id}")).string();
        assert!(line.contains(" flags=b ") && line.contains(" cmd=xread "), "{line}");
        assert_eq!(kv.info("total_blocking_keys"), "1");
        assert_eq!(kv.info("total_blocking_keys_on_nokey"), "0");
        assert!(!kv.line("INFO commandstats").string().contains("cmdstat_xread"), "it is not over");
        assert!(!kv.line("SLOWLOG GET 100").text().contains("XREAD"));
        kv.line("XADD s 1-1 a b");
        assert!(told(&mut conn).contains("1-1"));
        let stats = kv.info("cmdstat_xread");
        assert!(stats.starts_with("calls=1,") && stats.ends_with("failed_calls=0"), "{stats}");
        let slow = kv.line("SLOWLOG GET 100").text();
        assert_eq!(slow.matches("\"XREAD\"").count(), 1, "{slow}");
        assert!(slow.contains("\"$\""), "as it was sent: {slow}");
        let (mut conn, id) = waiter(kv, "s");
        kv.int(&format!("CLIENT UNBLOCK {id} ERROR"));
        told(&mut conn);
        assert!(kv.info("cmdstat_xread").ends_with("failed_calls=1"));
        assert_eq!(kv.info("errorstat_UNBLOCKED"), "count=1");
        kv.ok("CONFIG SET slowlog-log-slower-than 10000");
    });
}

#[test]
fn clients_that_go_are_forgotten() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("FLUSHALL");
        let (conn, _) = waiter(kv, "s");
        drop(conn);
        wait_for("the client to be missed", SOON, || kv.info("blocked_clients") == "0");
        assert_eq!(kv.info("total_blocking_keys"), "0");
        let (mut conn, id) = waiter(kv, "s");
        assert_eq!(kv.int(&format!("CLIENT KILL ID {id}")), 1);
        assert!(conn.is_closed());
        assert_eq!(kv.info("blocked_clients"), "0");
        // Killed and served in one batch: nothing of it may be lost.
        kv.ok("XGROUP CREATE s g $ MKSTREAM");
        let mut conn = kv.another();
        let id = conn.int("CLIENT ID");
        wait(kv, &mut conn, &["XREADGROUP", "GROUP", "g", "me", "BLOCK", "0", "STREAMS", "s", ">"]);
        let kill = format!("CLIENT KILL ID {id}");
        kv.pipeline(&[&kill, "XADD s 1-1 a b"]);
        kv.talk("XPENDING s g - + 10 => []");
    });
}

/// The end of the stream may arrive along with the request, and with more behind it than anybody will read.
#[test]
fn clients_that_go_at_once_are_forgotten() {
    let dir = TempDir::new();
    let path = dir.path().join("socket");
    let server = Server::start(&["--unixsocket", path.to_str().unwrap()]);
    let mut kv = server.connect();
    let request = b"BLPOP nothing 0\r\n".to_vec();
    let behind = [&request[..], &b"PING\r\n".repeat(20_000)].concat();
    for sent in [&request, &behind].into_iter().cycle().take(100) {
        let mut tcp = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        tcp.write_all(sent).unwrap();
        let mut unix = UnixStream::connect(&path).unwrap();
        unix.write_all(sent).unwrap();
    }
    kv.line("PING");
    wait_for("clients to be forgotten", Duration::from_secs(5), || kv.info("connected_clients") == "1");
    assert_eq!(kv.info("blocked_clients"), "0");
}

#[test]
fn a_pause_goes_before() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("FLUSHALL");
        let (mut conn, _) = waiter(kv, "s");
        let mut writer = kv.another();
        kv.ok("CLIENT PAUSE 10000 WRITE");
        writer.send(&["XADD", "s", "1-1", "a", "b"]);
        wait_for("two to wait", SOON, || kv.info("blocked_clients") == "2");
        assert!(is_told_nothing(&mut conn));
        kv.ok("CLIENT UNPAUSE");
        assert!(told(&mut writer).contains("1-1"));
        assert!(told(&mut conn).contains("1-1"));
    });
}

#[test]
fn replies_that_are_not_wanted() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("FLUSHALL");
        let mut conn = kv.another();
        conn.send(&["CLIENT", "REPLY", "SKIP"]);
        wait(kv, &mut conn, &["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]);
        kv.line("XADD s 1-1 a b");
        conn.expect("PING", "PONG");
    });
}

/// Whatever makes a key what clients wait for wakes them: also what writes over a value of another type, and XGROUP
/// SETID, where Redis leaves them asleep.
#[test]
fn whatever_fills_a_key_wakes() {
    let server = Server::start(&[]);
    if server.peer != Peer::Kvstash {
        return;
    }
    each_proto(&server, |kv| {
        for (request, fills) in [
            ("BLPOP k 0", &["SORT l STORE k", "SORT l GET # STORE k", "COPY l k REPLACE", "RENAME l k"][..]),
            (
                "BZPOPMIN k 0",
                &[
                    "ZUNIONSTORE k 1 z",
                    "ZINTERSTORE k 1 z",
                    "ZDIFFSTORE k 1 z",
                    "ZRANGESTORE k z 0 -1",
                    "GEOSEARCHSTORE k geo FROMLONLAT 1 1 BYRADIUS 9 km",
                    "GEORADIUS geo 1 1 9 km STORE k",
                    "GEORADIUSBYMEMBER geo a 9 km STOREDIST k",
                    "COPY z k REPLACE",
                    "RENAME z k",
                ],
            ),
            ("XREAD BLOCK 0 STREAMS k 0", &["COPY x k REPLACE", "RENAME x k"]),
        ] {
            for fill in fills {
                kv.ok("FLUSHALL");
                for line in ["RPUSH l 1", "ZADD z 1 a", "GEOADD geo 1 1 a", "XADD x 1-1 a b"] {
                    kv.line(line);
                }
                let mut conn = kv.another();
                wait(kv, &mut conn, &request.split(' ').collect::<Vec<_>>());
                kv.ok("SET k of-another-type");
                assert!(!kv.line(fill).is_error(), "{fill}");
                assert!(told(&mut conn).contains("\"k\""), "{request} after {fill}");
            }
        }
        kv.ok("FLUSHALL");
        kv.line("XADD x 1-1 a b");
        kv.ok("XGROUP CREATE x g $");
        let mut conn = kv.another();
        wait(kv, &mut conn, &["XREADGROUP", "GROUP", "g", "me", "BLOCK", "0", "STREAMS", "x", ">"]);
        kv.ok("XGROUP SETID x g 0");
        assert!(told(&mut conn).contains("1-1"));
    });
}

#[test]
fn thousands_wait_and_are_served() {
    let server = Server::start(&[]);
    each_proto(&server, |kv| {
        kv.ok("FLUSHALL");
        let mut conns: Vec<Conn> = (0..500).map(|_| kv.another()).collect();
        conns.iter_mut().for_each(|conn| conn.send(&["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]));
        wait_for("all to wait", SOON, || kv.info("blocked_clients") == "500");
        kv.line("XADD s 1-1 a b");
        assert!(conns.iter_mut().all(|conn| told(conn).contains("1-1")));
    });
}

/// Producers push numbers one by one, in transactions and through moves; consumers pop them in every way, time out, are
/// woken and pipeline. Each number must come out once, or still be in a list.
#[test]
fn nothing_is_lost_or_delivered_twice() {
    const CONSUMERS: usize = 8;
    const NUMBERS: i64 = 4_000;
    let server = Server::start(&[]);
    let mut kv = server.connect();
    let taken: Vec<i64> = std::thread::scope(|scope| {
        let consumers: Vec<_> = (0..CONSUMERS)
            .map(|i| {
                let mut conn = server.connect();
                scope.spawn(move || {
                    let mut taken = Vec::new();
                    for turn in 0.. {
                        let line = match (turn + i) % 5 {
                            0 => "BLPOP a b c 0.5",
                            1 => "BRPOP c b a 0.01",
                            2 => "BLMOVE a b LEFT RIGHT 0.001",
                            3 => "BLMPOP 0.2 3 b c a RIGHT COUNT 3",
                            _ => "BRPOPLPUSH b c 0.001",
                        };
                        let replies = conn.pipeline(&[line, "BLPOP a b c 0.001", "GET done"]);
                        let (moved, last) = (line.starts_with("BLMOVE") || line.starts_with("BRPOPLPUSH"), &replies[2]);
                        if !moved {
                            numbers(&replies[0], &mut taken);
                        }
                        numbers(&replies[1], &mut taken);
                        if last.text() != "(nil)" && replies[..2].iter().all(|reply| reply.text().contains("nil")) {
                            return taken;
                        }
                    }
                    taken
                })
            })
            .collect();
        for n in (0..NUMBERS).step_by(4) {
            match n % 3 {
                0 => drop(kv.pipeline(&[&format!("RPUSH a {n} {}", n + 1), &format!("LPUSH b {} {}", n + 2, n + 3)])),
                1 => {
                    kv.pipeline(&[
                        "MULTI",
                        &format!("RPUSH c {n} {}", n + 1),
                        &format!("RPUSH a {} {}", n + 2, n + 3),
                        "LMOVE a b LEFT LEFT",
                        "EXEC",
                    ]);
                }
                _ => {
                    kv.pipeline(&[
                        &format!("RPUSH tmp{{n}} {n} {} {} {}", n + 1, n + 2, n + 3),
                        "LMOVE tmp{n} a LEFT LEFT",
                        "LMOVE tmp{n} b LEFT LEFT",
                        "LMOVE tmp{n} c LEFT LEFT",
                        "LMOVE tmp{n} c LEFT LEFT",
                    ]);
                }
            }
            if n % 64 == 0 {
                kv.line(&format!("CLIENT UNBLOCK {}", 2 + n as usize / 64 % CONSUMERS));
            }
        }
        kv.ok("SET done 1");
        consumers.into_iter().flat_map(|consumer| consumer.join().expect("a consumer")).collect()
    });
    let mut all = taken;
    for key in ["a", "b", "c", "tmp{n}"] {
        numbers(&kv.line(&format!("LRANGE {key} 0 -1")), &mut all);
    }
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..NUMBERS), "{} of {NUMBERS} came out", all.len());
    assert_eq!((kv.info("blocked_clients"), kv.info("total_blocking_keys")), ("0".into(), "0".into()));
}

/// The numbers of a reply, however deep.
fn numbers(reply: &Value, into: &mut Vec<i64>) {
    match reply {
        Value::Array(items) => items.iter().for_each(|item| numbers(item, into)),
        other => into.extend(other.text().trim_matches('"').parse::<i64>().ok()),
    }
}
